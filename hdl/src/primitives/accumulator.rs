//! The accumulator: a register that a sum is added to, or that starts again with it.

use super::Primitive;
use crate::layer::{FamilyTexts, Module, Type};
use std::fmt::Write as _;
use std::sync::Arc;

/// An accumulator of `bits` bits (even, at least 2): where `enable` is set, `total` becomes `addend`, plus its present value where
/// `keep` is set too. The sum wraps.
///
/// On ECP5 a cell of the carry chain masks the present value itself. Left to synthesis, the mask is a look-up table for each bit
/// in front of the chain, in the one loop of a tile that cannot be pipelined.
#[must_use]
pub fn accumulator(bits: usize) -> Arc<Module> {
    let ports = [
        ("clk", Type::bits(1), true),
        ("enable", Type::bits(1), true),
        ("keep", Type::bits(1), true),
        ("addend", Type::signed(bits), true),
        ("total", Type::signed(bits), false),
    ]
    .map(|(name, ty, input)| (name.to_string(), ty, input));
    let top = bits - 1;
    let behavioural = format!(
        "
  reg signed [{top}:0] total_q;

  always @(posedge clk) if (enable) total_q <= addend + (keep ? total_q : {bits}'sd0);

  assign total = total_q;
"
    );
    Primitive {
        name: format!("accumulator_{bits}"),
        description: format!("A register of {bits} bits that a sum is added to, or that starts again with it."),
        latencies: vec![("enable, keep and addend to total".into(), 1)],
        ports: ports.into(),
        behavioural,
        families: FamilyTexts::ecp5(ecp5_body(bits)),
        combinational: false,
    }
    .module()
}

fn ecp5_body(bits: usize) -> String {
    let (top, cells) = (bits - 1, bits / 2);
    // Look-up tables of A ^ (C & D); where that is 0, both addends are equal and A alone is the carry.
    let table = "16'h5aaa";
    let mut text = format!(
        "
  reg [{top}:0] total_q;
  wire [{top}:0] addend_bits = addend;
  wire [{top}:0] sum;
  wire [{cells}:0] carry;
  assign carry[0] = 1'b0;
"
    );
    for cell in 0..cells {
        let (even, odd) = (2 * cell, 2 * cell + 1);
        let _ = write!(
            text,
            "  CCU2C #(.INIT0({table}), .INIT1({table}), .INJECT1_0(\"NO\"), .INJECT1_1(\"NO\")) cell_{cell} (
    .CIN(carry[{cell}]), .COUT(carry[{}]),
    .A0(addend_bits[{even}]), .B0(1'b0), .C0(total_q[{even}]), .D0(keep), .S0(sum[{even}]),
    .A1(addend_bits[{odd}]), .B1(1'b0), .C1(total_q[{odd}]), .D1(keep), .S1(sum[{odd}])
  );
",
            cell + 1
        );
    }
    text + "\n  always @(posedge clk) if (enable) total_q <= sum;\n\n  assign total = total_q;\n"
}
