//! A register that stays a register of its own.

use super::{Primitive, range};
use crate::layer::{FamilyTexts, Module, Type};
use std::fmt::Write as _;
use std::sync::Arc;

/// A register of `width` bits beside its users: `q` is `d` of the cycle before.
///
/// Synthesis makes one register of all that hold the same, and its wires then span the chip. On ECP5 the flip-flops are
/// instantiated, which keeps the copies apart.
#[must_use]
pub fn register_copy(width: usize) -> Arc<Module> {
    let ports = [("clk", 1, true), ("d", width, true), ("q", width, false)]
        .map(|(name, width, input)| (name.to_string(), Type::bits(width), input));
    let range = range(width);
    let behavioural = format!(
        "\n  reg {range}q_registered;\n\n  always @(posedge clk) q_registered <= d;\n\n  assign q = q_registered;\n"
    );
    Primitive {
        name: format!("register_copy_{width}"),
        description: format!(
            "A register of {width} bits that synthesis does not merge with others that hold the same."
        ),
        latencies: vec![("d to q".into(), 1)],
        ports: ports.into(),
        behavioural,
        families: FamilyTexts::ecp5(ecp5_body(width)),
        combinational: false,
    }
    .module()
}

fn ecp5_body(width: usize) -> String {
    let mut text = String::from("\n");
    for bit in 0..width {
        let index = if width == 1 { String::new() } else { format!("[{bit}]") };
        let _ = write!(
            text,
            "  TRELLIS_FF #(.GSR(\"DISABLED\"), .CEMUX(\"1\"), .CLKMUX(\"CLK\"), .LSRMUX(\"LSR\"), .REGSET(\"RESET\")) bit_{bit} (
    .CLK(clk), .LSR(1'b0), .DI(d{index}), .Q(q{index})
  );
"
        );
    }
    text
}
