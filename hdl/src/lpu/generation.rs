//! Tokens without the host: one run after the other, each with the token that the one before has chosen.

use super::{RegisterBus, bit, constant, copied, decrement, increment, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat};
use crate::primitives;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, REGISTER_BITS, bits_for};
use lpu_isa::host::{Memory, RUNS_BITS, STAMP_BITS, TOKEN_REGISTER};
use lpu_isa::latency::{Latency, block_ram};
use std::sync::Arc;

/// Bits of a byte of the memory of tokens.
const BYTE: usize = 8;

/// Bits of a position.
pub fn position_bits(configuration: &Configuration) -> usize {
    bits_for(configuration.tokens()) as usize
}

/// Cycles from the pulse that asks for a generation to the start pulse of its first run: the token is fetched, and a cycle more.
fn generate_to_start(configuration: &Configuration) -> usize {
    5 + block_ram(configuration) as usize
}

/// What starts runs in a machine that generates tokens.
///
/// Ports: `host_start` and `host_entry` start a run as in any machine; `generate_runs` starts `runs` of them from position `first` on.
/// `all_halted` is a cycle behind the queues' flags, `cycles` the lowest bits of the count, which has to go on while `counting`; it begins
/// at `first_start`. `token_write` and `token_value` change the register of the token.
///
/// # Errors
/// None for a checked configuration.
pub fn generation(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let latency = Latency::of(configuration);
    let ram_cycles = block_ram(configuration) as usize;
    let position_bits = position_bits(configuration);
    let (position_type, token_type) = (Type::bits(position_bits), Type::bits(REGISTER_BITS as usize));
    let entry_type = Type::bits(configuration.queue_address_bits() as usize);
    let word_bits = Memory::Tokens.bits(configuration) as usize;
    let beat_bits = (configuration.dot * ELEMENT_BITS) as usize;
    let entries = Memory::Entries.words(configuration);
    let mut m = ModuleBuilder::new("generation");
    m.describe(
        "Starts runs: one when the host says so, or one after the other. The token of a run's position stands in the memory of tokens. \
         When the run has ended, what it has chosen is written there as the next position's token, unless the host has written that one. \
         The memory is looked up while a run is under way, so that nothing is fetched between two runs.",
    );
    m.latency("host_start to start", 1);
    m.latency("generate_runs to start", generate_to_start(configuration));
    m.latency("all_halted to start", 1);
    m.latency("tokens_read to host_beat", spare_registers(configuration) + latency.vector_read as usize);
    m.section("Host");
    let host_start = m.input("host_start", bit());
    let host_entry = m.input("host_entry", entry_type);
    let generate = m.input("generate_runs", bit());
    let first = m.input("first", position_type);
    let runs = m.input("runs", Type::bits(RUNS_BITS as usize));
    m.section("Run");
    let all_halted = m.input("all_halted", bit());
    let cycles = m.input("cycles", Type::bits(STAMP_BITS as usize));
    let start_port = m.output("start", bit());
    let entry_port = m.output("entry", entry_type);
    let begin_port = m.output("first_start", bit());
    let counting_port = m.output("counting", bit());
    let generating_port = m.output("generating", bit());
    m.section("Token");
    let token_write_port = m.output("token_write", bit());
    let token_value_port = m.output("token_value", token_type);
    m.section("Load");
    let tokens_enable = m.input("tokens_load_enable", bit());
    let tokens_address = m.input("tokens_load_address", position_type);
    let tokens_word = m.input("tokens_load_word", Type::bits(word_bits));
    let tokens_read = m.input("tokens_read", bit());
    let host_beat = m.output("host_beat", Type::bits(beat_bits));
    let entries_enable = m.input("entries_load_enable", bit());
    let entries_address = m.input("entries_load_address", Type::bits(bits_for(entries) as usize));
    let entries_word = m.input("entries_load_word", entry_type);
    let registers = RegisterBus::of_unit(&mut m, configuration)?;

    m.section("State");
    let active = m.register_with_reset("active", bit(), 0);
    // Set from the cycle in which the queues' flags show the run until it has ended.
    let under_way = m.register_with_reset("under_way", bit(), 0);
    // The position behind the run under way, and how many runs follow it.
    let next_position = m.register("next_position", position_type);
    let runs_left = m.register("runs_left", Type::bits(RUNS_BITS as usize));
    let none_left = m.delay("none_left", Expr::from(&runs_left).any().not(), 1);
    let ended = m.wire("ended", Expr::from(&all_halted).and(&under_way));
    let finished = m.wire("finished", Expr::from(&ended).and(&none_left));
    let asked = m.wire("asked", Expr::from(&generate).and(Expr::from(&runs).any()));
    let arm = m.delay("arm", Expr::from(&asked), generate_to_start(configuration) - 1);
    let goes_on = m.wire("goes_on", Expr::from(&ended).and(Expr::from(&none_left).not()));
    let follow = m.wire("follow", Expr::from(&arm).or(&goes_on));
    // Set from a run's end until the flags show the next one. The count goes on; in front of the first run it does not.
    let between = m.register_with_reset("between_runs", bit(), 0);
    let running = Expr::from(&all_halted).not();
    m.next_cases(&between, &[(Expr::from(&goes_on), constant(1, 1)), (running.clone(), constant(0, 1))]);
    m.next_cases(&active, &[(Expr::from(&asked), constant(1, 1)), (Expr::from(&finished), constant(0, 1))]);
    let shown = Expr::from(&active).and(Expr::from(&all_halted).not());
    m.next_cases(&under_way, &[(Expr::from(&ended), constant(0, 1)), (shown, constant(1, 1))]);
    m.next_cases(
        &next_position,
        &[(Expr::from(&generate), Expr::from(&first)), (Expr::from(&follow), increment(&next_position))],
    );
    m.next_cases(
        &runs_left,
        &[(Expr::from(&generate), Expr::from(&runs)), (Expr::from(&follow), decrement(&runs_left))],
    );
    // The last word that the host has written, and whether the next position's is one of its own.
    let last_written = m.register_with_reset("last_written", position_type, 0);
    m.next_when(&last_written, &tokens_enable, &tokens_address);
    let is_given = m.delay("is_given", Expr::from(&last_written).greater_equal(&next_position), 1);

    m.section("Tokens");
    let chosen = m.register("chosen_token", token_type);
    if let Some(registers) = registers {
        let is_token = registers.number.equals(constant(u64::from(TOKEN_REGISTER), registers.number.width() as u32));
        m.next_when(&chosen, registers.write.and(is_token), registers.value);
    }
    let of_run = |m: &mut ModuleBuilder, name: &str, run: Expr, host: &Signal| {
        m.delay(name, Expr::from(&ended).choose(run, Expr::from(host)), 1)
    };
    let write_enable = m.delay("write_enable", Expr::from(&tokens_enable).or(&ended), 1);
    let write_address = of_run(&mut m, "write_address", Expr::from(&next_position), &tokens_address);
    let stamped = concat(&[Expr::from(&cycles), Expr::from(&chosen)]);
    let write_word = of_run(&mut m, "write_word", stamped, &tokens_word);
    // The run's count is written in any case.
    let keeps = m.delay("keeps_token", Expr::from(&ended).and(&is_given), 1);
    let (stamp_bytes, token_bytes) = (STAMP_BITS as usize / BYTE, REGISTER_BITS as usize / BYTE);
    let bytes = concat(&[constant(1, 1).repeat(stamp_bytes), Expr::from(&keeps).not().repeat(token_bytes)]);
    let strobe = copied(&mut m, configuration, "own_tokens_read", &Expr::from(&tokens_read))?;
    let host_address = copied(&mut m, configuration, "own_tokens_address", &Expr::from(&tokens_address))?;
    let read_address = m.delay("read_address", strobe.choose(host_address, &next_position), 1);
    let memory =
        primitives::block_ram_of_bytes(word_bits / BYTE, configuration.tokens() as usize, block_ram(configuration));
    let memory = m.instance(
        "tokens",
        &memory,
        vec![
            ("write_enable", Expr::from(&write_enable)),
            ("write_bytes", bytes),
            ("write_address", Expr::from(&write_address)),
            ("write_data", Expr::from(&write_word)),
            ("read_address", Expr::from(&read_address)),
        ],
    )?;
    let read = Expr::from(&memory.output("read_data"));
    let is_next = m.delay("is_next", strobe.not(), 1 + ram_cycles);
    let ahead = m.register("token_ahead", token_type);
    m.next_when(&ahead, &is_next, read.slice(0, REGISTER_BITS as usize));
    let beat = m.delay("host_word", &read, latency.vector_read as usize - 1 - ram_cycles);
    m.drive(&host_beat, Expr::from(&beat).extend(beat_bits));

    m.section("Entry points");
    let shift = configuration.positions_per_entry().trailing_zeros() as usize;
    let upper = match position_bits.checked_sub(shift) {
        None | Some(0) => constant(0, 1),
        Some(bits) => Expr::from(&next_position).slice(shift, bits),
    };
    let memory = primitives::distributed_ram(entry_type.width(), entries as usize);
    let memory = m.instance(
        "entry_points",
        &memory,
        vec![
            ("write_enable", Expr::from(&entries_enable)),
            ("write_address", Expr::from(&entries_address)),
            ("write_data", Expr::from(&entries_word)),
            ("read_address", upper),
        ],
    )?;
    let entry = Expr::from(&host_start).choose(&host_entry, memory.output("read_data"));

    m.section("Start");
    let first_run = m.wire("first_run", Expr::from(&arm).or(&host_start));
    let start = m.delay("start_q", Expr::from(&follow).or(&host_start), 1);
    let entry = m.delay("entry_q", entry, 1);
    let begin = m.delay("begin_q", Expr::from(&first_run), 1);
    let brings = Expr::from(&arm).or(Expr::from(&follow).and(&is_given));
    let token_write = m.delay("token_write_q", brings, 1);
    let token_value = m.delay("token_value_q", Expr::from(&ahead), 1);
    for (port, value) in [
        (&start_port, Expr::from(&start)),
        (&entry_port, Expr::from(&entry)),
        (&begin_port, Expr::from(&begin)),
        (&token_write_port, Expr::from(&token_write)),
        (&token_value_port, Expr::from(&token_value)),
        (&counting_port, running.or(&goes_on).or(&between)),
        (&generating_port, Expr::from(&active)),
    ] {
        m.drive(port, value);
    }
    m.finish()
}
