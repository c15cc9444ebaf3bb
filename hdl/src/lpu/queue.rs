//! Instruction queue: issues each instruction a fixed number of cycles after the one before it.

use super::{bit, constant, increment};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type};
use crate::primitives;
use lpu_isa::configuration::bits_for;
use lpu_isa::instruction::{INTERVAL_BITS, OPCODE_BITS, OPCODE_HALT, OPCODE_RUN};
use std::sync::Arc;

/// Cycles from the start pulse to the issue of the first instruction.
pub const START_TO_ISSUE: u32 = 2;

/// Bits of opcode and interval, which the queue keeps to itself.
pub const HEADER_BITS: u32 = OPCODE_BITS + INTERVAL_BITS;

/// An instruction queue of `depth` words of `word_bits`.
///
/// Ports: `start`, `entry`; `load_enable`, `load_address`, `load_word`; `run` (an operation is issued in this cycle),
/// `fields` (its instruction word without opcode and interval, valid in the cycle of the issue), `halted`.
///
/// # Errors
/// None for a checked configuration.
pub fn queue(word_bits: u32, depth: u32) -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new_variant("instruction_queue", &format!("{word_bits}x{depth}"));
    m.describe(
        "Holds the program of one unit and issues it. Each instruction says how many cycles lie between its own issue and \
         the next, so nothing the unit does can change when the next instruction comes.",
    );
    m.latency("start to the issue of the instruction at the entry point", START_TO_ISSUE as usize);
    let address_bits = bits_for(depth) as usize;
    let interval_bits = INTERVAL_BITS as usize;
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(address_bits));
    let run = m.output("run", bit());
    let halted_port = m.output("halted", bit());
    m.section("Instruction");
    let fields_port = m.output("fields", Type::bits((word_bits - HEADER_BITS) as usize));
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(address_bits));
    let load_word = m.input("load_word", Type::bits(word_bits as usize));

    m.section("State");
    let program_counter = m.register("program_counter", Type::bits(address_bits));
    let running = m.register_with_reset("running", bit(), 0);
    let halted = m.register_with_reset("halted_q", bit(), 1);
    let wait = m.register("wait_cycles", Type::bits(interval_bits));

    let memory = primitives::distributed_ram(word_bits as usize, depth as usize);
    let memory = m.instance(
        "program_memory",
        &memory,
        vec![
            ("write_enable", load_enable.into()),
            ("write_address", load_address.into()),
            ("write_data", load_word.into()),
            ("read_address", program_counter.clone().into()),
        ],
    )?;
    let word = memory.output("read_data");
    let word_bits_expr = Expr::from(&word);
    let opcode = m.wire("opcode", word_bits_expr.slice(0, OPCODE_BITS as usize));
    let interval = word_bits_expr.slice(OPCODE_BITS as usize, interval_bits);
    let issue = m.wire("issue", Expr::from(&running).and(Expr::from(&wait).any().not()));
    let halt = m.wire("halt", Expr::from(&issue).and(Expr::from(&opcode).equals(constant(OPCODE_HALT, OPCODE_BITS))));

    m.next_cases(
        &program_counter,
        &[(Expr::from(&start), entry.into()), (Expr::from(&issue), increment(&program_counter))],
    );
    m.next_cases(&running, &[(Expr::from(&start), constant(1, 1)), (Expr::from(&halt), constant(0, 1))]);
    m.next_cases(&halted, &[(Expr::from(&start), constant(0, 1)), (Expr::from(&halt), constant(1, 1))]);
    let one = constant(1, INTERVAL_BITS);
    m.next_cases(
        &wait,
        &[
            (Expr::from(&start), constant(u64::from(START_TO_ISSUE) - 1, INTERVAL_BITS)),
            (Expr::from(&issue), interval.sub(one.clone())),
            (Expr::from(&wait).any(), Expr::from(&wait).sub(one)),
        ],
    );
    m.drive(&run, Expr::from(&issue).and(Expr::from(&opcode).equals(constant(OPCODE_RUN, OPCODE_BITS))));
    m.drive(&fields_port, word_bits_expr.slice(HEADER_BITS as usize, (word_bits - HEADER_BITS) as usize));
    m.drive(&halted_port, Expr::from(&halted));
    m.finish()
}
