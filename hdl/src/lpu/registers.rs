//! Run-time registers: what changes them. Each reader has a copy of them of its own, see [`queue`](mod@super::queue).

use super::fields::Fields;
use super::queue::queue;
use super::{FINE_SHIFT_BITS, LoadBus, RegisterBus, bit, constant, copied, held_while_idle, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, REGISTER_BITS};
use lpu_isa::host::TOKEN_REGISTER;
use lpu_isa::instruction::Unit;
use lpu_isa::latency::{Latency, REGISTER_LOOKUP, multiplier};
use std::sync::Arc;

/// Bits of an assignment's sum.
const SUM_BITS: usize = 32;

/// The unit of the registers.
///
/// # Errors
/// None for a checked configuration.
pub fn registers(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::Registers;
    let latency = Latency::of(configuration);
    let value_bits = REGISTER_BITS as usize;
    let [_, number_type, value_type] = RegisterBus::types(configuration);
    let beat_bits = (configuration.dot * ELEMENT_BITS) as usize;
    let mut m = ModuleBuilder::new("registers");
    m.describe(
        "Computes run-time registers: (multiplier * source + addend + constant) >> shift, cut to some bits. The bus to all copies of the \
         registers carries these results, the positions that the vector unit finds, and what the host writes. No two of them may come \
         in the same cycle; an assignment would hide a position.",
    );
    m.latency(
        "issue of an assignment to the issue that takes its result",
        REGISTER_LOOKUP as usize + to_copies(configuration),
    );
    m.latency("found_write to register_write", 1);
    m.latency("host_address to host_beat", spare_registers(configuration) + latency.vector_read as usize);
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(configuration.queue_address_bits() as usize));
    let halted = m.output("halted", bit());
    m.section("Position");
    let found_write = m.input("found_write", bit());
    let found_number = m.input("found_number", number_type);
    let found_value = m.input("found_value", value_type);
    m.section("Host");
    let host_write = m.input("host_write", bit());
    let host_address = m.input("host_address", number_type);
    let host_value = m.input("host_value", value_type);
    let host_beat = m.output("host_beat", Type::bits(beat_bits));
    let token = configuration.generates().then(|| {
        m.section("Token");
        (m.input("token_write", bit()), m.input("token_value", value_type))
    });
    let load = LoadBus::ports(&mut m, configuration, unit, "queue");
    m.section("Bus");
    let [write_port, number_port, value_port] =
        [0, 1, 2].map(|k| m.output(RegisterBus::NAMES[k], RegisterBus::types(configuration)[k]));

    // Declared first: the queue reads the registers that its instructions change.
    let write = m.register_with_reset("bus_write", bit(), 0);
    let number = m.register("bus_number", number_type);
    let value = m.register("bus_value", value_type);
    let bus = RegisterBus { write: Expr::from(&write), number: Expr::from(&number), value: Expr::from(&value) };
    let own = bus.copied(&mut m, configuration)?;
    for (port, wire) in [(&write_port, &bus.write), (&number_port, &bus.number), (&value_port, &bus.value)] {
        m.drive(port, wire);
    }

    m.section("Program");
    let queue = m.instance("queue", &queue(unit, configuration)?, load.queue(&start, &entry, Some(&own)))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, &queue);
    fields.leave_numbers(&mut m, &[]);

    m.section("Assignment");
    let cycles = multiplier(configuration);
    let source = concat(&[constant(0, 1), fields.captured("assigned")]).as_signed();
    let product = primitives::multiplier_in(value_bits, value_bits + 1, cycles);
    let product =
        m.instance("source_product", &product, vec![("a", fields.get("multiplier")), ("b", source)])?.output("p");
    let addition = fields.captured("addend").extend(SUM_BITS).add(fields.get("constant").extend(SUM_BITS).as_bits());
    let addition = held_while_idle(&mut m, "addition", &Expr::from(&run), addition);
    m.unused(Expr::from(&product).slice(SUM_BITS, 1));
    let sum = Expr::from(&product).slice(0, SUM_BITS).add(Expr::from(&addition));
    let sum = m.delay("sum", sum, 1);
    let (cycles, spare) = (cycles as usize, spare_registers(configuration));
    // A field `n` cycles behind its register, which follows the issue by one.
    let behind =
        |m: &mut ModuleBuilder, name: &str, value: Expr, n: usize| fields.follow_value(m, &run, name, value, n);
    let (amount, rest) = (fields.bits("shift"), FINE_SHIFT_BITS);
    let eights = behind(&mut m, "eights", amount.slice(rest, amount.width() - rest), cycles);
    let eights = concat(&[eights, literal(0, Type::bits(rest))]);
    let coarse = m.wire("by_eights", Expr::from(&sum).shift_right_by(eights));
    let kept = value_bits + (1 << rest) - 1;
    m.unused(Expr::from(&coarse).slice(kept, SUM_BITS - kept));
    let coarse = m.delay("shifted_by_eights", Expr::from(&coarse).slice(0, kept), spare);
    let amount = behind(&mut m, "rest", amount.slice(0, rest), cycles + spare);
    let shifted = m.wire("by_rest", Expr::from(&coarse).shift_right_by(amount));
    m.unused(Expr::from(&shifted).slice(value_bits, kept - value_bits));
    let shifted = m.delay("shifted", Expr::from(&shifted).slice(0, value_bits), 1);
    let bits = behind(&mut m, "bits", fields.bits("bits"), cycles + 1 + spare);
    let mask: Vec<Expr> =
        (0..REGISTER_BITS).rev().map(|bit| bits.greater_equal(constant(u64::from(bit), bits.width() as u32))).collect();
    let assigned_value = Expr::from(&shifted).and(concat(&mask));
    let assigned_number = behind(&mut m, "destination", fields.bits("destination"), cycles + 1 + spare);
    let assigned = m.delay("assigned", Expr::from(&run), cycles + 2 + spare);

    m.section("Bus");
    let assigned = Expr::from(&assigned);
    let (found, mut host) = (Expr::from(&found_write), Expr::from(&host_write));
    let (mut host_number, mut host_one) = (Expr::from(&host_address), Expr::from(&host_value));
    if let Some((token_write, token_value)) = &token {
        // Tokens come between two runs of a generation, the host's values when there is none.
        let token = Expr::from(token_write);
        host = host.or(&token);
        host_number = token.choose(constant(u64::from(TOKEN_REGISTER), host_number.width() as u32), host_number);
        host_one = token.choose(token_value, host_one);
    }
    m.next(&write, assigned.or(&found).or(&host));
    let of = |assigned_one: Expr, found_one: &Expr, host_one: &Expr| {
        assigned.choose(assigned_one, found.choose(found_one, host_one))
    };
    m.next(&number, of(assigned_number, &Expr::from(&found_number), &host_number));
    m.next(&value, of(assigned_value, &Expr::from(&found_value), &host_one));

    m.section("Reading back");
    let address = copied(&mut m, configuration, "own_host_address", &Expr::from(&host_address))?;
    let memory = primitives::distributed_ram(value_bits, configuration.registers() as usize + 1);
    let memory = m.instance(
        "host_registers",
        &memory,
        vec![
            ("write_enable", own.write.clone()),
            ("write_address", own.number.clone()),
            ("write_data", own.value.clone()),
            ("read_address", address),
        ],
    )?;
    let read = m.delay("host_value_q", Expr::from(&memory.output("read_data")), latency.vector_read as usize - 1);
    m.drive(&host_beat, Expr::from(&read).extend(beat_bits));
    m.finish()
}

/// Cycles from the issue of an assignment until its value stands at the copies of the registers.
fn to_copies(configuration: &Configuration) -> usize {
    // The product, the sum, the shift in one cycle or two, the bus, its copy.
    multiplier(configuration) as usize + 3 + 2 * spare_registers(configuration)
}
