//! The multiplier made of logic, for the few wide products that would otherwise cost tiles their multipliers.

use super::Primitive;
use crate::layer::{FamilyTexts, Module, Type};
use std::fmt::Write as _;
use std::sync::Arc;

/// Register stages of the multiplier for operands of up to 32 bits.
pub const SOFT_MULTIPLIER_STAGES: usize = 5;

/// A multiplier of two's complement `a` (`a_bits`) and unsigned `b` (`b_bits`, 17 to 32) to their signed product `p`
/// (`a_bits + b_bits`), five cycles after a cycle in which `enable` is set. A stage that holds no such product keeps its value:
/// an idle multiplier neither draws power nor costs a simulator time.
///
/// On ECP5 each pair of rows is added in one carry chain that also masks the rows by their bits of `b`: the four inputs of a
/// CCU2C are two bits of `a` and two of `b`. A binary tree of adders follows, registered at each level.
#[must_use]
pub fn soft_multiplier(a_bits: usize, b_bits: usize) -> Arc<Module> {
    let ports = [
        ("clk", Type::bits(1), true),
        ("enable", Type::bits(1), true),
        ("a", Type::signed(a_bits), true),
        ("b", Type::bits(b_bits), true),
        ("p", Type::signed(a_bits + b_bits), false),
    ]
    .map(|(name, ty, input)| (name.to_string(), ty, input));
    Primitive {
        name: format!("soft_multiplier_{a_bits}x{b_bits}"),
        description: format!(
            "The product of a signed number of {a_bits} bits and an unsigned one of {b_bits} bits, made of logic."
        ),
        latencies: vec![("enable, a, b to p".into(), SOFT_MULTIPLIER_STAGES)],
        ports: ports.into(),
        behavioural: behavioural_body(a_bits, b_bits),
        families: FamilyTexts::ecp5(ecp5_body(a_bits, b_bits)),
        combinational: false,
    }
    .module()
}

/// The stages' own enables: bit `k - 1` is set while stage `k` takes a product over.
fn enables() -> String {
    let stages = SOFT_MULTIPLIER_STAGES;
    format!(
        "
  // One bit for each stage that takes over a product in this cycle.
  wire [{top}:0] stage = {{stage_q, enable}};
  reg [{under}:0] stage_q;
  always @(posedge clk) stage_q <= stage[{under}:0];
",
        top = stages - 1,
        under = stages - 2,
    )
}

fn behavioural_body(a_bits: usize, b_bits: usize) -> String {
    let top = a_bits + b_bits - 1;
    let extension = a_bits - 1;
    let mut text = enables();
    text += &format!("  wire signed [{top}:0] b_signed = {{{a_bits}'d0, b}};\n");
    text += &format!("  wire signed [{top}:0] a_signed = {{{{{b_bits}{{a[{extension}]}}}}, a}};\n");
    for stage in 1..=SOFT_MULTIPLIER_STAGES {
        let _ = writeln!(text, "  reg signed [{top}:0] product_{stage};");
    }
    text += "\n  always @(posedge clk) begin\n    if (stage[0]) product_1 <= a_signed * b_signed;\n";
    for stage in 2..=SOFT_MULTIPLIER_STAGES {
        let _ = writeln!(text, "    if (stage[{}]) product_{stage} <= product_{};", stage - 1, stage - 1);
    }
    let _ = write!(text, "  end\n\n  assign p = product_{SOFT_MULTIPLIER_STAGES};\n");
    text
}

/// One addend of the tree: name of its register, position of its lowest bit in the product, and width.
struct Addend {
    name: String,
    position: usize,
    width: usize,
}

fn ecp5_body(a_bits: usize, b_bits: usize) -> String {
    let mut text = enables();
    let mut clocked = String::new();
    let mut addends: Vec<Addend> = Vec::new();
    // Two rows: (b[0] ? a : 0) + 2 × (b[1] ? a : 0), of a_bits + 2 bits, rounded up to whole cells.
    let cells = (a_bits + 2).div_ceil(2);
    let bits = 2 * cells;
    let sign = a_bits - 1;
    let _ = writeln!(text, "\n  wire [{}:0] a_row = {{{{{}{{a[{sign}]}}}}, a}};", bits - 1, bits - a_bits);
    let _ = writeln!(text, "  wire [{}:0] a_twice = {{a_row[{}:0], 1'b0}};", bits - 1, bits - 2);
    for pair in 0..b_bits.div_ceil(2) {
        let low = format!("b[{}]", 2 * pair);
        let high = if 2 * pair + 1 < b_bits { format!("b[{}]", 2 * pair + 1) } else { "1'b0".into() };
        let name = format!("rows_{pair}");
        let _ = writeln!(text, "  wire [{}:0] {name}_sum;\n  wire [{cells}:0] {name}_carry;", bits - 1);
        let _ = writeln!(text, "  assign {name}_carry[0] = 1'b0;\n  reg [{}:0] {name};", bits - 1);
        for cell in 0..cells {
            let (even, odd) = (2 * cell, 2 * cell + 1);
            let _ = writeln!(
                text,
                "  CCU2C #(.INIT0(16'h7888), .INIT1(16'h7888), .INJECT1_0(\"NO\"), .INJECT1_1(\"NO\")) {name}_cell_{cell} (\n    \
                 .CIN({name}_carry[{cell}]), .COUT({name}_carry[{}]),\n    \
                 .A0(a_row[{even}]), .B0({low}), .C0(a_twice[{even}]), .D0({high}), .S0({name}_sum[{even}]),\n    \
                 .A1(a_row[{odd}]), .B1({low}), .C1(a_twice[{odd}]), .D1({high}), .S1({name}_sum[{odd}])\n  );",
                cell + 1
            );
        }
        let _ = writeln!(clocked, "    if (stage[0]) {name} <= {name}_sum;");
        addends.push(Addend { name, position: 2 * pair, width: bits });
    }
    for level in 1..SOFT_MULTIPLIER_STAGES {
        addends = addends
            .chunks(2)
            .enumerate()
            .map(|(index, pair)| add_pair(&mut text, &mut clocked, level, index, pair))
            .collect();
    }
    let width = a_bits + b_bits;
    let last = &addends[0];
    let _ = write!(text, "\n  always @(posedge clk) begin\n{clocked}  end\n\n");
    let _ = if last.width >= width {
        writeln!(text, "  assign p = {}[{}:0];", last.name, width - 1)
    } else {
        let top = last.width - 1;
        writeln!(text, "  assign p = {{{{{}{{{}[{top}]}}}}, {}}};", width - last.width, last.name, last.name)
    };
    text
}

/// The registered sum of two addends, or of one alone. The low bits of the lower one pass beside the adder.
fn add_pair(text: &mut String, clocked: &mut String, level: usize, index: usize, pair: &[Addend]) -> Addend {
    let name = format!("sum_{level}_{index}");
    let low = &pair[0];
    let Some(high) = pair.get(1) else {
        let _ = writeln!(text, "  reg [{}:0] {name};", low.width - 1);
        let _ = writeln!(clocked, "    if (stage[{level}]) {name} <= {};", low.name);
        return Addend { name, position: low.position, width: low.width };
    };
    let offset = high.position - low.position;
    // Both parts above the offset, sign-extended to one bit more than the wider one.
    let upper = low.width - offset;
    let sum = upper.max(high.width) + 1;
    let extend = |name: &str, range: &str, top: usize, width: usize| {
        format!("{{{{{}{{{name}[{top}]}}}}, {name}{range}}}", sum - width)
    };
    let left = extend(&low.name, &format!("[{}:{offset}]", low.width - 1), low.width - 1, upper);
    let right = extend(&high.name, "", high.width - 1, high.width);
    let width = offset + sum;
    let _ = writeln!(text, "  reg [{}:0] {name};", width - 1);
    let _ =
        writeln!(clocked, "    if (stage[{level}]) {name} <= {{{left} + {right}, {}[{}:0]}};", low.name, offset - 1);
    Addend { name, position: low.position, width }
}
