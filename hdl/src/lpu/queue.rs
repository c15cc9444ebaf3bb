//! Instruction queue: issues each instruction a fixed number of cycles after the one before it.

use super::{bit, constant, copied, decrement, increment, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat};
use crate::primitives;
use lpu_isa::configuration::{Configuration, bits_for};
use lpu_isa::instruction::{OPCODE_BITS, OPCODE_HALT, OPCODE_RUN};
use lpu_isa::latency::block_ram;
use std::sync::Arc;

/// Bits of opcode and interval, which the queue keeps to itself.
pub fn header_bits(configuration: &Configuration) -> u32 {
    OPCODE_BITS + configuration.interval_bits
}

/// Registers in front of a queue: the start pulse crosses the chip.
pub fn start_register(configuration: &Configuration) -> usize {
    spare_registers(configuration)
}

/// Cycles from the start pulse to the issue of the first instruction: a register beside the queue, the program counter, the
/// words of an instruction through the block RAM, and the register that puts them together.
pub fn start_to_issue(configuration: &Configuration) -> u32 {
    // The opcode of an instruction is decoded one cycle behind its first word, so a single word takes as long as two.
    let words = configuration.queue_words_per_instruction().max(2);
    start_register(configuration) as u32 + 1 + words + block_ram(configuration)
}

/// An instruction queue whose instructions have `word_bits` bits.
///
/// Ports: `start`, `entry` (address of the first instruction's first word in the RAM); `load_enable`, `load_address`,
/// `load_word`; `run` (an operation is issued in this cycle), `fields` (its instruction word without opcode and interval, valid
/// in the cycle of the issue), `halted`.
///
/// # Errors
/// None for a checked configuration.
pub fn queue(word_bits: u32, configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let (header_bits, interval_bits) = (header_bits(configuration), configuration.interval_bits);
    let (ram_cycles, start_register) = (block_ram(configuration), start_register(configuration));
    let mut m = ModuleBuilder::new_variant("instruction_queue", &word_bits.to_string());
    m.describe(
        "Holds the program of one unit and issues it. Each instruction says how many cycles lie between its own issue and \
         the next, so nothing the unit does can change when the next instruction comes. An instruction is several words of \
         the block RAM; the next one is fetched, a word a cycle, so that its first word takes the place of this one's in the \
         cycle after the issue.",
    );
    let start_to_issue = start_to_issue(configuration);
    m.latency("start to the issue of the instruction at the entry point", start_to_issue as usize);
    let words = configuration.queue_words_per_instruction();
    // Words that this unit's instructions fill: those behind them are read, but not kept.
    let own_words = word_bits.div_ceil(configuration.queue_word_bits);
    let ram_bits = configuration.queue_word_bits as usize;
    let address_bits = configuration.queue_address_bits() as usize;
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(address_bits));
    let run = m.output("run", bit());
    let halted_port = m.output("halted", bit());
    m.section("Instruction");
    let fields_port = m.output("fields", Type::bits((word_bits - header_bits) as usize));
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(address_bits));
    let load_word = m.input("load_word", Type::bits(ram_bits));

    // A queue's own: all of them start at once.
    let start = copied(&mut m, configuration, "own_start", &Expr::from(&start))?;
    let entry = copied(&mut m, configuration, "own_entry", &Expr::from(&entry))?;
    m.section("State");
    let fetch_address = m.register("fetch_address", Type::bits(address_bits));
    let running = m.register_with_reset("running", bit(), 0);
    let halted = m.register_with_reset("halted_q", bit(), 1);
    // In the cycle of an issue and before the first, one more than the cycles that are left to the next issue.
    let wait = m.register("wait_cycles", Type::bits(interval_bits as usize));
    let issue = m.register("issue", bit());
    let run_q = m.register("run_q", bit());
    let halt = m.register("halt", bit());
    // Set in the cycle before the one in which so many cycles are left.
    let soon = |cycles: u32| {
        Expr::from(&running).and(Expr::from(&wait).equals(constant(u64::from(cycles) + 1, interval_bits)))
    };
    let word = m.register("word", Type::bits(ram_bits * own_words as usize));
    let issue_next = m.delay("issue_next", soon(2), 1);
    let mut fetch_soon = start.or(soon(ram_cycles + 1));
    if configuration.minimum_interval() < ram_cycles + 2 {
        // An interval so short is not counted down: it comes with the issue, in the cycle before.
        let shortest = constant(u64::from(ram_cycles) + 1, interval_bits);
        let next = Expr::from(&word).slice(OPCODE_BITS as usize, interval_bits as usize).equals(shortest);
        fetch_soon = fetch_soon.or(Expr::from(&issue).and(next));
    }
    let fetch_soon = m.wire("fetch_soon", fetch_soon);

    m.section("Fetch");
    // Set with the first word of an instruction, and with each of its words; words that come after this one.
    let fetch = m.delay("fetch", Expr::from(&fetch_soon), 1);
    let advance = m.register("advance", bit());
    let count_bits = bits_for(words);
    let words_left = m.register("words_left", Type::bits(count_bits as usize));
    m.next_cases(
        &advance,
        &[(Expr::from(&fetch_soon), constant(1, 1)), (Expr::from(&words_left).any().not(), constant(0, 1))],
    );
    m.next_cases(
        &words_left,
        &[
            (Expr::from(&fetch_soon), constant(u64::from(words) - 1, count_bits)),
            (Expr::from(&advance), decrement(&words_left)),
        ],
    );
    m.next_cases(&fetch_address, &[(start.clone(), entry), (Expr::from(&advance), increment(&fetch_address))]);
    let memory = primitives::block_ram_in(ram_bits, configuration.queue_words() as usize, ram_cycles);
    // A queue's own, like the start.
    let load_enable = copied(&mut m, configuration, "own_load_enable", &Expr::from(&load_enable))?;
    let load_address = copied(&mut m, configuration, "own_load_address", &Expr::from(&load_address))?;
    let load_word = copied(&mut m, configuration, "own_load_word", &Expr::from(&load_word))?;
    let memory = m.instance(
        "program_memory",
        &memory,
        vec![
            ("write_enable", load_enable),
            ("write_address", load_address),
            ("write_data", load_word),
            ("read_address", Expr::from(&fetch_address)),
        ],
    )?;
    let fetched = memory.output("read_data");
    let kept = if own_words == words {
        Expr::from(&advance)
    } else {
        let behind = constant(u64::from(words - own_words), count_bits);
        Expr::from(&advance).and(Expr::from(&words_left).greater_equal(behind))
    };
    let arrived = m.delay("arrived", kept, ram_cycles as usize);
    let first_arrived = m.delay("first_arrived", Expr::from(&fetch), ram_cycles as usize);
    let shifted = if own_words == 1 {
        Expr::from(&fetched)
    } else {
        concat(&[Expr::from(&fetched), Expr::from(&word).slice(ram_bits, ram_bits * (own_words as usize - 1))])
    };
    m.next_when(&word, Expr::from(&arrived), shifted);
    // The opcode comes with the first word, early enough to prepare the issue.
    let opcode = Expr::from(&fetched).slice(0, OPCODE_BITS as usize);
    let opcode_is = |m: &mut ModuleBuilder, name: &str, code: u64| {
        let register = m.register(name, bit());
        m.next_when(&register, Expr::from(&first_arrived), opcode.equals(constant(code, OPCODE_BITS)));
        register
    };
    let is_run = opcode_is(&mut m, "next_runs", OPCODE_RUN);
    let is_halt = opcode_is(&mut m, "next_halts", OPCODE_HALT);

    m.section("Issue");
    m.next(&issue, Expr::from(&issue_next));
    m.next(&run_q, Expr::from(&issue_next).and(Expr::from(&is_run)));
    m.next(&halt, Expr::from(&issue_next).and(Expr::from(&is_halt)));
    m.next_cases(&running, &[(start.clone(), constant(1, 1)), (Expr::from(&halt), constant(0, 1))]);
    m.next_cases(&halted, &[(start.clone(), constant(0, 1)), (Expr::from(&halt), constant(1, 1))]);
    let word = Expr::from(&word);
    m.next_cases(
        &wait,
        &[
            (start.clone(), constant(u64::from(start_to_issue) - start_register as u64, interval_bits)),
            (Expr::from(&issue), word.slice(OPCODE_BITS as usize, interval_bits as usize)),
            (constant(1, 1), decrement(&wait)),
        ],
    );
    m.drive(&run, Expr::from(&run_q));
    m.drive(&fields_port, word.slice(header_bits as usize, (word_bits - header_bits) as usize));
    m.unused(word.slice(0, OPCODE_BITS as usize));
    let used = word_bits as usize;
    if word.width() > used {
        m.unused(word.slice(used, word.width() - used));
    }
    m.drive(&halted_port, Expr::from(&halted));
    m.finish()
}
