//! Vector memory slice: banks one beat wide, a read port and a write port, each with its queue.

use super::fields::Fields;
use super::queue::queue;
use super::sequencer::{self, Shape};
use super::{
    LoadBus, RegisterBus, bit, constant, copied, held_if, held_while_idle, increment, picked, spare_registers,
};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use crate::primitives;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::instruction::{Unit, last_beats_bits};
use lpu_isa::latency::{Latency, block_ram};
use std::sync::Arc;

/// Where a word that starts at a beat address lies: the bank of its first beat and each bank's own address.
struct Placement {
    first_bank: Option<Expr>,
    bank_address: Vec<Expr>,
}

fn place(m: &mut ModuleBuilder, name: &str, address: &Expr, banks: usize) -> Placement {
    let bank_bits = banks.trailing_zeros() as usize;
    if bank_bits == 0 {
        return Placement { first_bank: None, bank_address: vec![address.clone()] };
    }
    let first_bank = address.slice(0, bank_bits);
    let row = address.slice(bank_bits, address.width() - bank_bits);
    let row = m.wire(&format!("{name}_row"), row);
    let next_row = m.wire(&format!("{name}_next_row"), increment(&row));
    let bank_address = (0..banks)
        .map(|bank| {
            // Banks before the first beat's bank hold the beats that wrap into the next row.
            let wrapped = first_bank.greater_than(constant(bank as u64, bank_bits as u32));
            wrapped.choose(Expr::from(&next_row), Expr::from(&row))
        })
        .collect();
    Placement { first_bank: Some(first_bank), bank_address }
}

/// Rotates `beats`: result `i` is beat `(i + by) % n`.
fn rotate(beats: &[Expr], by: Option<&Expr>) -> Vec<Expr> {
    match by {
        None => beats.to_vec(),
        Some(by) => (0..beats.len())
            .map(|i| {
                let choices: Vec<Expr> = (0..beats.len()).map(|k| beats[(i + k) % beats.len()].clone()).collect();
                select(by.clone(), &choices)
            })
            .collect(),
    }
}

/// A vector memory slice.
///
/// # Errors
/// None for a checked configuration.
pub fn vector_slice(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let latency = Latency::of(configuration);
    let ram_cycles = block_ram(configuration);
    let banks = configuration.beats_per_word() as usize;
    let bank_bits = banks.trailing_zeros() as usize;
    let beat_bits = (configuration.dot * ELEMENT_BITS) as usize;
    let word_type = Type::bits(beat_bits * banks);
    let address_bits = configuration.vector_address_bits();
    let address_type = Type::bits(address_bits as usize);
    let source_type = Type::bits(configuration.crossbar_sources() as usize);
    let entry_type = Type::bits(configuration.queue_address_bits() as usize);
    let mut m = ModuleBuilder::new("vector_slice");
    m.describe(
        "Vector memory of one slice. A word may start at any beat: beat b lies in bank b modulo the number of banks, and \
         each bank has its own address, so a word that straddles two rows is read or written in one cycle like any other.",
    );
    m.latency("read step to read_data", latency.vector_read as usize);
    m.latency("write step to the word in the memory", latency.write_to_read as usize + 1);
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", entry_type);
    let read_halted = m.output("read_halted", bit());
    let write_halted = m.output("write_halted", bit());
    m.section("Streams");
    let read_data = m.output("read_data", word_type);
    let source = m.output("write_source", source_type);
    let write_data = m.input("write_data", word_type);
    let read_load = LoadBus::ports(&mut m, configuration, Unit::Read(0), "read_queue");
    let write_load = LoadBus::ports(&mut m, configuration, Unit::Write(0), "write_queue");
    let registers = RegisterBus::of_unit(&mut m, configuration)?;
    m.section("Host");
    let host_read = m.input("host_read", bit());
    let host_write = m.input("host_write", bit());
    let host_address = m.input("host_address", address_type);
    let host_beat = m.input("host_beat", Type::bits(beat_bits));

    // A slice's own: all of them hear the host.
    let [host_read, host_write] = [("own_host_read", host_read), ("own_host_write", host_write)]
        .map(|(name, bit)| copied(&mut m, configuration, name, &Expr::from(&bit)));
    let (host_read, host_write) = (host_read?, host_write?);
    let host_address = copied(&mut m, configuration, "own_host_address", &Expr::from(&host_address))?;
    let host_beat = copied(&mut m, configuration, "own_host_beat", &Expr::from(&host_beat))?;

    m.section("Read");
    let module = queue(Unit::Read(0), configuration)?;
    let read_queue = m.instance("read_queue", &module, read_load.queue(&start, &entry, registers.as_ref()))?;
    m.drive(&read_halted, Expr::from(&read_queue.output("halted")));
    let fields = Fields::of(Unit::Read(0), configuration, &read_queue);
    fields.leave_numbers(&mut m, &[]);
    let shape = Shape { address_bits, end_of_level_0: false, run_edges: false, instruction_edges: false };
    let reader = sequencer::place(&mut m, "read_sequencer", shape, &read_queue.output("run"), &fields)?;
    let address_registers = configuration.pipeline.read_address_registers();
    let reading = host_read.clone().or(Expr::from(&reader.output("step")));
    // The word is rotated into a register; a compact machine has one bank more often than not, and does without.
    let rotated = spare_registers(configuration) > 0;
    let arriving = if rotated {
        Some(m.delay("read_arriving", reading, (address_registers + 1 + ram_cycles) as usize))
    } else {
        m.unused(reading);
        None
    };
    let address = host_read.clone().choose(host_address.clone(), Expr::from(&reader.output("address")));
    // With a register between them, the choice between host and sequencer and the next row's address are a cycle each.
    let address = m.delay("read_target", address, address_registers as usize);
    let placement = place(&mut m, "read", &Expr::from(&address), banks);
    let read_bank_address: Vec<Signal> = placement
        .bank_address
        .into_iter()
        .enumerate()
        .map(|(bank, expr)| m.delay(&format!("read_address_{bank}"), expr, 1))
        .collect();
    let read_first_bank = placement.first_bank.map(|bank| m.delay("read_first_bank", bank, 1 + ram_cycles as usize));

    m.section("Write");
    let module = queue(Unit::Write(0), configuration)?;
    let write_queue = m.instance("write_queue", &module, write_load.queue(&start, &entry, registers.as_ref()))?;
    m.drive(&write_halted, Expr::from(&write_queue.output("halted")));
    let run = write_queue.output("run");
    let fields = Fields::of(Unit::Write(0), configuration, &write_queue);
    fields.leave_numbers(&mut m, &[]);
    let shape = Shape { address_bits, end_of_level_0: banks > 1, run_edges: false, instruction_edges: false };
    let writer = sequencer::place(&mut m, "write_sequencer", shape, &run, &fields)?;
    let source_q = picked(&mut m, &fields, &run, "source", configuration);
    m.drive(&source, Expr::from(&source_q));
    // The controls wait for the word on its way through the crossbar.
    let crossing = latency.crossbar as usize;
    // Co-simulation looks at write_strobe, write_target and write_last, so the last register of each has a name of its own. The host
    // writes while nothing runs: its address takes the last register too, and all that is its own waits as long.
    let waiting = spare_registers(configuration);
    let under_way = m.delay("write_step", Expr::from(&writer.output("step")), crossing - 1);
    let write_step = m.delay("write_strobe", Expr::from(&under_way), 1);
    let under_way = m.delay("write_address", Expr::from(&writer.output("address")), crossing - 1);
    let host = Expr::from(&m.delay("host_write_q", host_write.clone(), waiting));
    let host_beat = Expr::from(&m.delay("host_beat_q", host_beat, waiting));
    let target = if waiting == 0 {
        let write_address = m.delay("write_target", Expr::from(&under_way), 1);
        m.wire("target_address", host.choose(host_address.clone(), Expr::from(&write_address)))
    } else {
        m.delay("write_target", host_write.clone().choose(host_address.clone(), Expr::from(&under_way)), 1)
    };
    let placement = place(&mut m, "write", &Expr::from(&target), banks);
    // Beats of the word that are stored, less one.
    let write_last = if banks > 1 {
        let last_beats = m.register("last_beats", Type::bits(last_beats_bits(configuration) as usize));
        m.next_when(&last_beats, Expr::from(&run), fields.bits("last_beats"));
        let all = constant(banks as u64 - 1, last_beats_bits(configuration));
        let beats = Expr::from(&writer.output("end_of_level_0")).choose(Expr::from(&last_beats), all);
        let last = m.delay("write_last_beat", beats, crossing);
        Some(m.wire("write_last", Expr::from(&last)))
    } else {
        m.unused(fields.bits("last_beats"));
        None
    };
    let written: Vec<Expr> = (0..banks)
        .map(|beat| {
            let step = Expr::from(&write_step);
            match &write_last {
                Some(last) if beat > 0 => {
                    let inside = Expr::from(last).greater_equal(constant(beat as u64, bank_bits as u32));
                    host.not().and(step).and(inside)
                }
                _ => host.or(step),
            }
        })
        .collect();
    let beats: Vec<Expr> = (0..banks)
        .map(|beat| {
            let word = Expr::from(&write_data).slice(beat * beat_bits, beat_bits);
            if beat == 0 { host.choose(host_beat.clone(), word) } else { word }
        })
        .collect();
    // Bank b stores beat (b - first) modulo the number of banks.
    let turn = placement.first_bank.as_ref().map(|first| {
        let zero = literal(0, first.ty());
        m.wire("write_turn", zero.sub(first))
    });
    let turn = turn.as_ref().map(Expr::from);
    let bank_beat = rotate(&beats, turn.as_ref());
    let bank_enable = rotate(&written, turn.as_ref());

    m.section("Banks");
    let ram = primitives::block_ram_in(beat_bits, configuration.vector_depth as usize, ram_cycles);
    let mut bank_data: Vec<Expr> = Vec::new();
    for (bank, write_address) in placement.bank_address.into_iter().enumerate() {
        let enable = m.delay(&format!("write_enable_{bank}"), bank_enable[bank].clone(), 1);
        let write_address = m.delay(&format!("write_address_{bank}"), write_address, 1);
        let beat = held_while_idle(&mut m, &format!("write_beat_{bank}"), &bank_enable[bank], bank_beat[bank].clone());
        let instance = m.instance(
            &format!("bank_{bank}"),
            &ram,
            vec![
                ("write_enable", enable.into()),
                ("write_address", write_address.into()),
                ("write_data", beat.into()),
                ("read_address", Expr::from(&read_bank_address[bank])),
            ],
        )?;
        bank_data.push(Expr::from(&instance.output("read_data")));
    }
    let first = read_first_bank.as_ref().map(Expr::from);
    let mut turned = rotate(&bank_data, first.as_ref());
    turned.reverse();
    let word = held_if(&mut m, "read_word", arriving.as_ref().map(Expr::from).as_ref(), concat(&turned));
    let word =
        m.delay("read_word_q", Expr::from(&word), (configuration.pipeline.vector_read - address_registers) as usize);
    m.drive(&read_data, Expr::from(&word));
    m.finish()
}
