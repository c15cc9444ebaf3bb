//! The multiplier made of logic, for the few wide products that would otherwise cost tiles their multipliers.

use super::Primitive;
use crate::layer::{Module, Type};
use std::fmt::Write as _;
use std::sync::Arc;

/// Bits of `b` that one partial product takes.
const PIECE: usize = 4;

/// A multiplier of two's complement `a` (`a_bits`) and `b` (`b_bits`, at least 8 and a power of two) to their product `p`
/// (`a_bits + b_bits`), four cycles later. On ECP5 it is a tree of adders, registered at each level but the first.
#[must_use]
pub fn soft_multiplier(a_bits: usize, b_bits: usize) -> Arc<Module> {
    let ports = [
        ("clk", Type::bits(1), true),
        ("a", Type::signed(a_bits), true),
        ("b", Type::signed(b_bits), true),
        ("p", Type::signed(a_bits + b_bits), false),
    ]
    .map(|(name, ty, input)| (name.to_string(), ty, input));
    Primitive {
        name: format!("soft_multiplier_{a_bits}x{b_bits}"),
        description: format!("The product of signed numbers of {a_bits} and {b_bits} bits, made of logic."),
        latencies: vec![("a, b to p".into(), 4)],
        ports: ports.into(),
        behavioural: behavioural_body(a_bits + b_bits),
        ecp5: logic_body(a_bits, b_bits),
        combinational: false,
    }
    .module()
}

fn behavioural_body(bits: usize) -> String {
    let top = bits - 1;
    format!(
        "
  reg signed [{top}:0] product_1;
  reg signed [{top}:0] product_2;
  reg signed [{top}:0] product_3;
  reg signed [{top}:0] product_4;

  always @(posedge clk) begin
    product_1 <= a * b;
    product_2 <= product_1;
    product_3 <= product_2;
    product_4 <= product_3;
  end

  assign p = product_4;
"
    )
}

/// Partial products of four bits of `b` each, then a binary tree of sums. Every value is kept at full width; synthesis
/// removes the bits that are constant.
fn logic_body(a_bits: usize, b_bits: usize) -> String {
    let bits = a_bits + b_bits;
    let top = bits - 1;
    let mut text = format!("\n  wire signed [{top}:0] a_wide = a;\n  wire signed [{top}:0] zero = {bits}'sd0;\n");
    let pieces = b_bits / PIECE;
    let mut clocked = String::new();
    for piece in 0..pieces {
        let row = |bit: usize| {
            let position = piece * PIECE + bit;
            format!("(b[{position}] ? (a_wide <<< {position}) : zero)")
        };
        // The sign bit of b counts negative.
        let last = if piece + 1 == pieces { "-" } else { "+" };
        let _ = writeln!(text, "  reg signed [{top}:0] sum_0_{piece};");
        let _ = writeln!(clocked, "    sum_0_{piece} <= ({} + {}) + ({} {last} {});", row(0), row(1), row(2), row(3));
    }
    let mut count = pieces;
    let mut level = 0;
    while level < 3 {
        let next = count.div_ceil(2);
        for index in 0..next {
            let _ = writeln!(text, "  reg signed [{top}:0] sum_{}_{index};", level + 1);
            let left = format!("sum_{level}_{}", 2 * index);
            let right = if 2 * index + 1 < count { format!(" + sum_{level}_{}", 2 * index + 1) } else { String::new() };
            let _ = writeln!(clocked, "    sum_{}_{index} <= {left}{right};", level + 1);
        }
        count = next;
        level += 1;
    }
    let _ = write!(text, "\n  always @(posedge clk) begin\n{clocked}  end\n\n  assign p = sum_3_0;\n");
    text
}
