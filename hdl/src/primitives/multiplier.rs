//! The signed 18 × 18 multiplier.

use super::{Primitive, constant_pins, pins};
use crate::layer::{Module, Type};
use std::sync::Arc;

/// A multiplier: two's complement `a` and `b` (18 bits) to their product `p` (36 bits), three cycles later.
///
/// The ports are unsigned vectors; the numbers in them are signed. On ECP5 it is one MULT18X18D with its input, pipeline
/// and output registers in use.
#[must_use]
pub fn multiplier() -> Arc<Module> {
    let bits = Type::bits;
    let ports = [("clk", bits(1), true), ("a", bits(18), true), ("b", bits(18), true), ("p", bits(36), false)]
        .map(|(name, ty, input)| (name.to_string(), ty, input));
    Primitive {
        name: "multiplier".into(),
        description: "The product of two signed 18-bit numbers. The registers stand at the inputs, after the partial \
                      products and at the output."
            .into(),
        latencies: vec![("a, b to p".into(), 3)],
        ports: ports.into(),
        behavioural: "
  reg signed [17:0] a_registered;
  reg signed [17:0] b_registered;
  reg signed [35:0] product;
  reg signed [35:0] product_registered;

  always @(posedge clk) begin
    a_registered <= a;
    b_registered <= b;
    product <= a_registered * b_registered;
    product_registered <= product;
  end

  assign p = product_registered;
"
        .into(),
        ecp5: ecp5_body(),
        combinational: false,
    }
    .module()
}

fn ecp5_body() -> String {
    let bus = |pin: &str, name: &str, width: usize| pins(pin, (0..width).map(|index| format!("{name}[{index}]")));
    let zeros: Vec<String> = (0..18).map(|index| format!("C{index}")).collect();
    let zeros: Vec<&str> = zeros.iter().map(String::as_str).collect();
    let third_operand: Vec<String> = zeros.chunks(6).map(|names| constant_pins(names, 0)).collect();
    format!(
        "
  MULT18X18D #(
    .REG_INPUTA_CLK(\"CLK0\"), .REG_INPUTB_CLK(\"CLK0\"),
    .REG_PIPELINE_CLK(\"CLK0\"), .REG_OUTPUT_CLK(\"CLK0\"),
    .GSR(\"DISABLED\")
  ) mult18x18d (
    .CLK0(clk), .CE0(1'b1), .RST0(1'b0),
    .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
    {},
    {},
    {},
    {}
  );
",
        bus("A", "a", 18),
        bus("B", "b", 18),
        third_operand.join(",\n    "),
        bus("P", "p", 36),
    )
}
