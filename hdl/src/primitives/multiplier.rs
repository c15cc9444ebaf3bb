//! The multiplier: the FPGA's 18 × 18 cell behind operands of the widths that are needed.

use super::{Primitive, constant_pins, pins};
use crate::layer::{FamilyTexts, Module, Type};
use std::sync::Arc;

/// Operand width of the ECP5 cell.
const CELL: usize = 18;

/// A multiplier of two's complement `a` (`a_bits`, at most 18) and `b` (`b_bits`, at most 18) to their product `p`
/// (`a_bits + b_bits`), three cycles later. On ECP5 it is one MULT18X18D with input, pipeline and output registers.
///
/// Narrow ports keep the behavioural twin in the simulator's native words.
#[must_use]
pub fn multiplier(a_bits: usize, b_bits: usize) -> Arc<Module> {
    multiplier_in(a_bits, b_bits, 3)
}

/// The same, `cycles` later: 3, or 1, which leaves all registers but the output's out.
#[must_use]
pub fn multiplier_in(a_bits: usize, b_bits: usize, cycles: u32) -> Arc<Module> {
    let ports = [
        ("clk", Type::bits(1), true),
        ("a", Type::signed(a_bits), true),
        ("b", Type::signed(b_bits), true),
        ("p", Type::signed(a_bits + b_bits), false),
    ]
    .map(|(name, ty, input)| (name.to_string(), ty, input));
    let product = a_bits + b_bits - 1;
    if cycles == 1 {
        return Primitive {
            name: format!("multiplier_{a_bits}x{b_bits}_compact"),
            description: format!(
                "The product of signed numbers of {a_bits} and {b_bits} bits, with a register at the output."
            ),
            latencies: vec![("a, b to p".into(), 1)],
            ports: ports.into(),
            behavioural: format!(
                "\n  reg signed [{product}:0] product;\n\n  always @(posedge clk) product <= a * b;\n\n  assign p = product;\n"
            ),
            families: FamilyTexts::ecp5(ecp5_body(a_bits, b_bits, Registers::Output)),
            combinational: false,
        }
        .module();
    }
    let behavioural = format!(
        "
  reg signed [{}:0] a_registered;
  reg signed [{}:0] b_registered;
  reg signed [{product}:0] product;
  reg signed [{product}:0] product_registered;

  always @(posedge clk) begin
    a_registered <= a;
    b_registered <= b;
    product <= a_registered * b_registered;
    product_registered <= product;
  end

  assign p = product_registered;
",
        a_bits - 1,
        b_bits - 1,
    );
    Primitive {
        name: format!("multiplier_{a_bits}x{b_bits}"),
        description: format!(
            "The product of signed numbers of {a_bits} and {b_bits} bits. The registers stand at the inputs, after the \
             partial products and at the output."
        ),
        latencies: vec![("a, b to p".into(), 3)],
        ports: ports.into(),
        behavioural,
        families: FamilyTexts::ecp5(ecp5_body(a_bits, b_bits, Registers::All)),
        combinational: false,
    }
    .module()
}

/// Which of its registers a cell uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Registers {
    /// Those of inputs, partial products and output.
    All,
    /// That of the output.
    Output,
}

/// The operands stand at the upper ends of the cell's: a constant pin costs no wire, a copy of the sign bit does.
fn ecp5_body(a_bits: usize, b_bits: usize, registers: Registers) -> String {
    // Unsigned vectors: a bit-select of a signed wire on a cell's port stops yosys 0.70.
    let operand = |name: &str, bits: usize| {
        let zeros = match CELL - bits {
            0 => String::new(),
            missing => format!(", {missing}'d0"),
        };
        format!("  wire [{}:0] {name}_cell = {{{name}{zeros}}};\n", CELL - 1)
    };
    let (whole, lowest) = (2 * CELL, 2 * CELL - a_bits - b_bits);
    let unused = match lowest {
        0 => String::new(),
        _ => format!("  wire unused_zeros = &{{1'b0, p_cell[{}:0]}};\n", lowest - 1),
    };
    format!(
        "\n{}{}  wire [{top}:0] p_cell;\n  assign p = p_cell[{top}:{lowest}];\n{unused}{}",
        operand("a", a_bits),
        operand("b", b_bits),
        cell("mult18x18d", ["a_cell", "b_cell"], "p_cell", whole, registers),
        top = whole - 1,
    )
}

/// A cell of that name: signed operands of 18 bits, the lowest `product_bits` bits of the product.
///
/// Control pins cannot be tied where they are, as data pins can: a constant there is a wire. Each cell has look-up tables of its own for
/// them, because place and route would otherwise lead two wires from one place to the pins of all multipliers.
pub(super) fn cell(name: &str, [a, b]: [&str; 2], p: &str, product_bits: usize, registers: Registers) -> String {
    let clock = if registers == Registers::All { "CLK0" } else { "NONE" };
    let bus = |pin: &str, name: &str, width: usize| pins(pin, (0..width).map(|index| format!("{name}[{index}]")));
    let zeros: Vec<String> = (0..CELL).map(|index| format!("C{index}")).collect();
    let zeros: Vec<&str> = zeros.iter().map(String::as_str).collect();
    let third_operand: Vec<String> = zeros.chunks(6).map(|names| constant_pins(names, 0)).collect();
    let table = |value: &str, contents: &str| {
        format!(
            "  wire {name}_{value};
  (* keep *) LUT4 #(.INIT(16'h{contents})) {name}_{value}_table (.A(1'b0), .B(1'b0), .C(1'b0), .D(1'b0), .Z({name}_{value}));
"
        )
    };
    format!(
        "
{}{}  MULT18X18D #(
    .REG_INPUTA_CLK(\"{clock}\"), .REG_INPUTB_CLK(\"{clock}\"),
    .REG_PIPELINE_CLK(\"{clock}\"), .REG_OUTPUT_CLK(\"CLK0\"),
    .GSR(\"DISABLED\")
  ) {name} (
    .CLK0(clk), .CE0({name}_one), .RST0({name}_zero),
    .SIGNEDA({name}_one), .SIGNEDB({name}_one), .SOURCEA({name}_zero), .SOURCEB({name}_zero),
    {},
    {},
    {},
    {}
  );
",
        table("zero", "0000"),
        table("one", "ffff"),
        bus("A", a, CELL),
        bus("B", b, CELL),
        third_operand.join(",\n    "),
        bus("P", p, product_bits),
    )
}
