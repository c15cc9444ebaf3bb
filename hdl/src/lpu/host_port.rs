//! Host port: the one place of the machine where something waits for somebody.

use super::generation::position_bits;
use super::{bit, constant, held_while_idle, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::host::{ADDRESS_BITS, BUS_BITS, COMMAND_BITS, Command, MEMORY_BITS, Memory, RUNS_BITS};
use lpu_isa::latency::Latency;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Values of half the bits of a memory's number.
const NIBBLE: usize = 1 << (MEMORY_BITS / 2);

/// Cycles by which a start follows its command, so that all earlier writes have landed: those of the bus's registers, and more.
fn start_delay(configuration: &Configuration) -> usize {
    if configuration.pipeline.compact { 2 } else { 8 }
}

/// Cycles from a start command to the start pulse: its own register, then the delay.
pub fn start_command(configuration: &Configuration) -> usize {
    1 + start_delay(configuration)
}

/// Name of the host port's enable for a memory.
pub fn enable_name(memory: Memory) -> String {
    match memory {
        Memory::Weights(n) => format!("weights_{n}_enable"),
        Memory::Queue(n) => format!("queue_{n}_enable"),
        Memory::Vector(n) => format!("vector_{n}_enable"),
        Memory::Scale(n) => format!("scale_{n}_enable"),
        Memory::Registers => "registers_enable".to_string(),
        Memory::Tables => "tables_enable".to_string(),
        Memory::Normalise => "normalise_enable".to_string(),
        Memory::Tokens => "tokens_enable".to_string(),
        Memory::Entries => "entries_enable".to_string(),
        Memory::Exponentials => "exponentials_enable".to_string(),
    }
}

/// The host port.
///
/// # Errors
/// None for a checked configuration.
pub fn host_port(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let latency = Latency::of(configuration);
    let bus = BUS_BITS as usize;
    let address_bits = Memory::address_bits(configuration) as usize;
    let staging_bits = Memory::staging_bits(configuration) as usize;
    let beat_type = Type::bits((configuration.dot * ELEMENT_BITS) as usize);
    let mut m = ModuleBuilder::new("host_port");
    m.describe(
        "Takes one host command a cycle: loads programs, weights and vectors, starts a run, reads results. Words wider than \
         the bus arrive in chunks, least significant first, in a staging register.",
    );
    // Two where wires are long: the memories stand all over the chip.
    let registers = 2 * spare_registers(configuration);
    m.latency("command to the enable of a memory", 2 + registers);
    m.latency("command to start", start_command(configuration));
    m.latency(
        "read command to read_data",
        3 + registers + spare_registers(configuration) + latency.vector_read as usize,
    );
    m.section("Host");
    let command = m.input("command", Type::bits(COMMAND_BITS as usize));
    let data = m.input("data", Type::bits(bus));
    let read_valid = m.output("read_valid", bit());
    let read_data = m.output("read_data", beat_type);
    m.section("Control");
    let start = m.output("start", bit());
    let entry = m.output("entry", Type::bits(configuration.queue_address_bits() as usize));
    let generation = configuration.generates().then(|| {
        [("generate_runs", 1), ("first", position_bits(configuration)), ("runs", RUNS_BITS as usize)]
            .map(|(name, bits)| m.output(name, Type::bits(bits)))
    });
    m.section("Memories");
    let load_address = m.output("load_address", Type::bits(address_bits));
    let load_word = m.output("load_word", Type::bits(staging_bits));

    let command = m.delay("command_q", Expr::from(&command), 1);
    let data = m.delay("data_q", Expr::from(&data), 1);
    let data = Expr::from(&data);
    let is = |m: &mut ModuleBuilder, name: &str, which: Command| -> Expr {
        let expr = Expr::from(&command).equals(constant(which as u64, COMMAND_BITS));
        Expr::from(&m.wire(name, expr))
    };
    let set_address = is(&mut m, "set_address", Command::Address);
    let shift = is(&mut m, "shift", Command::Shift);
    let write = is(&mut m, "write", Command::Write);
    let read = is(&mut m, "read", Command::Read);
    let begin = is(&mut m, "begin_run", Command::Start);

    let memory = m.register("memory", Type::bits(MEMORY_BITS as usize));
    m.next_when(&memory, set_address.clone(), data.slice(ADDRESS_BITS as usize, MEMORY_BITS as usize));
    let address = m.register("address", Type::bits(address_bits));
    let next = super::increment(&address);
    m.next_cases(&address, &[(set_address, data.slice(0, address_bits)), (write.or(&read), next)]);
    let staging = m.register("staging", Type::bits(staging_bits));
    let kept = if staging_bits > bus {
        concat(&[data.clone(), Expr::from(&staging).slice(bus, staging_bits - bus)])
    } else {
        data.clone()
    };
    m.next_when(&staging, shift.or(&write), kept);
    let write_q = m.delay("write_q", write, 1);
    let read_q = m.delay("read_q", read, 1);
    let address_q = m.delay("address_q", Expr::from(&address), 1);
    let address_out = m.delay("load_address_q", Expr::from(&address_q), registers);
    let word_out = m.delay("load_word_q", Expr::from(&staging), registers);
    m.drive(&load_address, Expr::from(&address_out));
    m.drive(&load_word, Expr::from(&word_out));
    // Each half of the memory's number is decoded while the command that uses it is: the number came with an earlier one. What is left
    // for each memory is one look-up table.
    let mut decoded = |name: &str, lowest: usize, of: fn(usize) -> usize| -> BTreeMap<usize, Signal> {
        let values: BTreeSet<usize> =
            Memory::all(configuration).into_iter().map(|which| of(which.number() as usize)).collect();
        let half = Expr::from(&memory).slice(lowest, MEMORY_BITS as usize / 2);
        let is = |value: usize| half.equals(constant(value as u64, MEMORY_BITS / 2));
        let registers = spare_registers(configuration);
        values.into_iter().map(|value| (value, m.delay(&format!("{name}_{value}"), is(value), registers))).collect()
    };
    let lower = decoded("memory_lower", 0, |number| number % NIBBLE);
    let upper = decoded("memory_upper", MEMORY_BITS as usize / 2, |number| number / NIBBLE);
    let enable_inside = |m: &mut ModuleBuilder, name: &str, strobe: &Signal, which: Memory| -> Signal {
        let number = which.number() as usize;
        let here = Expr::from(&lower[&(number % NIBBLE)]).and(&upper[&(number / NIBBLE)]);
        m.delay(&format!("{name}_q"), Expr::from(strobe).and(here), registers)
    };
    let enable = |m: &mut ModuleBuilder, name: &str, strobe: &Signal, which: Memory| -> Signal {
        let register = enable_inside(m, name, strobe, which);
        let port = m.output(name, bit());
        m.drive(&port, Expr::from(&register));
        register
    };
    for which in Memory::all(configuration) {
        enable(&mut m, &enable_name(which), &write_q, which);
    }

    m.section("Results");
    // A slice takes the host's wires into registers of its own.
    let slice_read = spare_registers(configuration) + latency.vector_read as usize;
    let mut valid: Vec<Expr> = Vec::new();
    let mut value = literal(0, beat_type);
    // Registers and tokens come as late as the words of a slice.
    let registers = configuration.extensions.map(|_| ("registers".to_string(), Memory::Registers));
    let slices = (0..configuration.vector_slices).map(|slice| (format!("vector_{slice}"), Memory::Vector(slice)));
    let tokens = configuration.generates().then(|| ("tokens".to_string(), Memory::Tokens));
    for (name, memory) in slices.chain(registers).chain(tokens) {
        let beat = m.input(&format!("{name}_beat"), beat_type);
        let strobe = if memory == Memory::Registers {
            enable_inside(&mut m, "registers_read", &read_q, memory)
        } else {
            enable(&mut m, &format!("{name}_read"), &read_q, memory)
        };
        let arrived = m.delay(&format!("{name}_arrived"), Expr::from(&strobe), slice_read);
        value = select(&arrived, &[value, Expr::from(&beat)]);
        valid.push(Expr::from(&arrived));
    }
    let any = valid.into_iter().reduce(|a, b| a.or(&b)).unwrap_or_else(|| constant(0, 1));
    let any = m.delay("read_valid_q", any, 1);
    let value = m.delay("read_data_q", value, 1);
    m.drive(&read_valid, Expr::from(&any));
    m.drive(&read_data, Expr::from(&value));

    m.section("Start");
    let begin = m.delay("start_q", begin, start_delay(configuration));
    m.drive(&start, Expr::from(&begin));
    let entry_q =
        m.delay("entry_q", data.slice(0, configuration.queue_address_bits() as usize), start_delay(configuration));
    m.drive(&entry, Expr::from(&entry_q));
    if let Some([generate_port, first_port, runs_port]) = generation {
        m.section("Generation");
        let generate = is(&mut m, "begin_generation", Command::Generate);
        // What is asked for stands still until the next command of the kind.
        let lower = data.slice(0, first_port.ty().width());
        let first = held_while_idle(&mut m, "first_q", &generate, lower);
        let runs = held_while_idle(&mut m, "runs_q", &generate, data.slice(RUNS_BITS as usize, RUNS_BITS as usize));
        let generate = m.delay("generate_q", generate, start_delay(configuration));
        for (port, value) in [(&generate_port, &generate), (&first_port, &first), (&runs_port, &runs)] {
            m.drive(port, value);
        }
    }
    m.finish()
}
