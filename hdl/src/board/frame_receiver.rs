//! The line's bytes to the bytes of a frame: boundaries and byte stuffing.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type};
use std::sync::Arc;

/// The code of a block after which no zero stands.
const FULL: u64 = 255;

/// Undoes the byte stuffing. Bytes come at least four cycles apart.
///
/// Ports: `line_data`, `line_valid`: from the line; `deaf`: what comes now is lost, and so is the frame it belongs to. `data`,
/// `data_valid`: a byte of the frame. `boundary`: a zero has come; `whole` tells in the same cycle whether the bytes since the one
/// before it can be a frame.
///
/// # Errors
/// None.
pub fn frame_receiver() -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new("frame_receiver");
    m.describe(
        "Undoes the byte stuffing (COBS). A block is its length plus one, then its bytes, none of which is zero; between two \
         blocks a zero is meant unless the first of them is full. A zero on the line is a boundary.",
    );
    m.latency("line_data to data and boundary", 2);
    m.section("Line");
    let byte = m.input("line_data", Type::bits(8));
    let valid = m.input("line_valid", bit());
    let deaf = m.input("deaf", bit());
    m.section("Frame");
    let data = m.output("data", Type::bits(8));
    let data_valid = m.output("data_valid", bit());
    let boundary = m.output("boundary", bit());
    let whole = m.output("whole", bit());

    let left = m.register_with_reset("block_left", Type::bits(8), 0);
    let full = m.register("full", bit());
    let empty = m.register_with_reset("empty", bit(), 1);
    let broken = m.register_with_reset("broken", bit(), 0);
    let zero = m.delay("zero", byte.any().not(), 1);
    let byte = m.delay("line_data_q", &byte, 1);
    let valid_q = m.register_with_reset("line_valid_q", bit(), 0);
    m.next(&valid_q, &valid);
    let valid = valid_q;
    let end = m.wire("end_of_frame", Expr::from(&valid).and(&zero));
    let inner = m.wire("inner", Expr::from(&valid).and(zero.not()));
    // Bytes come many cycles apart.
    let in_block = m.delay("in_block", left.any(), 1);
    let one = || constant(1, 8);
    let new_left = Expr::from(&in_block).choose(left.sub(one()), byte.sub(one()));
    m.next_cases(&left, &[(Expr::from(&end), constant(0, 8)), (Expr::from(&inner), new_left)]);
    m.next_when(&full, Expr::from(&inner).and(in_block.not()), byte.equals(constant(FULL, 8)));
    m.next_cases(&empty, &[(Expr::from(&end), constant(1, 1)), (Expr::from(&inner), constant(0, 1))]);
    m.next_cases(&broken, &[(Expr::from(&end), constant(0, 1)), (Expr::from(&inner).and(&deaf), constant(1, 1))]);

    // A code byte stands for the zero between its block and the one before.
    let meant = Expr::from(&in_block).or(Expr::from(&empty).or(&full).not());
    let data_valid_q = m.register_with_reset("data_valid_q", bit(), 0);
    m.next(&data_valid_q, Expr::from(&inner).and(meant));
    let data_q = m.register("data_q", Type::bits(8));
    m.next(&data_q, Expr::from(&byte).and(in_block.repeat(8)));
    let boundary_q = m.register_with_reset("boundary_q", bit(), 0);
    m.next(&boundary_q, &end);
    let whole_q = m.delay("whole_q", Expr::from(&in_block).or(&empty).or(&broken).not(), 1);
    m.drive(&data, &data_q);
    m.drive(&data_valid, &data_valid_q);
    m.drive(&boundary, &boundary_q);
    m.drive(&whole, &whole_q);
    m.finish()
}
