//! The multiplier of the requantiser: wider than the FPGA's own cells.
//!
//! Three cells do it by Karatsuba's method, or logic does, where the tiles need all cells.

use super::multiplier::{Registers, cell};
use super::{Primitive, range};
use crate::layer::{FamilyTexts, Module, Type};
use std::fmt::Write as _;
use std::sync::Arc;

/// Register stages of the multiplier for operands of up to 32 bits, and for a second one that is a single factor of a cell.
const STAGES: [usize; 2] = [6, 4];
/// Bits of a second operand that is a single factor of a cell.
const SHORT: usize = 16;
/// Where the first operand is split for it.
const LOWER: usize = 17;
/// Operands are split above this many bits.
const HALF: usize = 16;

/// A multiplier of two's complement `a` (`a_bits`, 18 to 33) and unsigned `b` (`b_bits`, 18 to 32) to their signed product `p`
/// (`a_bits + b_bits`), six cycles later; four where `b` is short (9 to 16 bits).
///
/// On ECP5, `in_cells`: with `a = a1 2^16 + a0` and `b` alike, the product is `a1 b1 2^32 + a0 b0 + 2^16 ((a1 + a0)(b1 + b0) - a1 b1 -
/// a0 b0)`: three cells instead of four, because the sums still fit 18 bits (A. Karatsuba, Yu. Ofman, 1962). A short `b` takes two cells,
/// `a1 b 2^17 + a0 b`. Otherwise each pair of
/// rows is added in one carry chain that also masks the rows by their bits of `b`: the four inputs of a CCU2C are two bits of `a`
/// and two of `b`. A binary tree of adders follows, registered at each level.
#[must_use]
pub fn scale_multiplier(a_bits: usize, b_bits: usize, in_cells: bool) -> Arc<Module> {
    module(a_bits, b_bits, Some(in_cells))
}

/// The same a cycle later, as synthesis makes it.
#[must_use]
pub fn compact_scale_multiplier(a_bits: usize, b_bits: usize) -> Arc<Module> {
    module(a_bits, b_bits, None)
}

/// The multiplier; its register stages are of the generator's design where `in_cells` says which of them.
fn module(a_bits: usize, b_bits: usize, in_cells: Option<bool>) -> Arc<Module> {
    let ports = [
        ("clk", Type::bits(1), true),
        ("a", Type::signed(a_bits), true),
        ("b", Type::bits(b_bits), true),
        ("p", Type::signed(a_bits + b_bits), false),
    ]
    .map(|(name, ty, input)| (name.to_string(), ty, input));
    let short = b_bits <= SHORT;
    let stages = STAGES[usize::from(short)];
    let (kind, ecp5, stages) = match in_cells {
        Some(true) if short => ("cell", short_cells_body(a_bits, b_bits), stages),
        Some(true) => ("cell", cells_body(a_bits, b_bits), stages),
        Some(false) => ("logic", logic_body(a_bits, b_bits, stages), stages),
        None => ("compact", behavioural_body(a_bits, b_bits, 1), 1),
    };
    Primitive {
        name: format!("{kind}_multiplier_{a_bits}x{b_bits}"),
        description: format!("The product of a signed number of {a_bits} bits and an unsigned one of {b_bits} bits."),
        latencies: vec![("a, b to p".into(), stages)],
        ports: ports.into(),
        behavioural: behavioural_body(a_bits, b_bits, stages),
        families: FamilyTexts::ecp5(ecp5),
        combinational: false,
    }
    .module()
}

fn behavioural_body(a_bits: usize, b_bits: usize, stages: usize) -> String {
    let top = a_bits + b_bits - 1;
    let extension = a_bits - 1;
    let mut text = format!("\n  wire signed [{top}:0] b_signed = {{{a_bits}'d0, b}};\n");
    text += &format!("  wire signed [{top}:0] a_signed = {{{{{b_bits}{{a[{extension}]}}}}, a}};\n");
    for stage in 1..=stages {
        let _ = writeln!(text, "  reg signed [{top}:0] product_{stage};");
    }
    text += "\n  always @(posedge clk) begin\n    product_1 <= a_signed * b_signed;\n";
    for stage in 2..=stages {
        let _ = writeln!(text, "    product_{stage} <= product_{};", stage - 1);
    }
    let _ = write!(text, "  end\n\n  assign p = product_{stages};\n");
    text
}

fn short_cells_body(a_bits: usize, b_bits: usize) -> String {
    let (upper, lower) = (a_bits - LOWER + b_bits, LOWER + b_bits);
    let mut text = format!(
        "
  wire [17:0] upper_a = {{{{{extension}{{a[{a_top}]}}}}, a[{a_top}:{LOWER}]}};
  wire [17:0] lower_a = {{1'd0, a[{lower_top}:0]}};
  wire [17:0] factor = {{{zeros}'d0, b}};
",
        extension = 18 - (a_bits - LOWER),
        a_top = a_bits - 1,
        lower_top = LOWER - 1,
        zeros = 18 - b_bits,
    );
    for (name, width) in [("upper", upper), ("lower", lower)] {
        let _ = writeln!(text, "  wire [{}:0] {name};", width - 1);
        text += &cell(&format!("{name}_cell"), [&format!("{name}_a"), "factor"], name, width, Registers::All);
    }
    let _ = write!(
        text,
        "
  reg [{top}:0] product;
  always @(posedge clk) product <= {{upper + {{{missing}'d0, lower[{last}:{LOWER}]}}, lower[{lower_top}:0]}};

  assign p = product;
",
        top = a_bits + b_bits - 1,
        missing = upper - b_bits,
        last = lower - 1,
        lower_top = LOWER - 1,
    );
    text
}

fn cells_body(a_bits: usize, b_bits: usize) -> String {
    const CELL: usize = 18;
    // Widths of the products of the upper and of the lower halves, and of the sum of the cross terms.
    let upper = a_bits + b_bits - 2 * HALF;
    let (lower, cross, both) = (2 * HALF, a_bits.max(b_bits) + 2, 2 * CELL);
    let total = a_bits + b_bits;
    let sum = both.max(upper + 1);
    let extended = |name: &str, width: usize, to: usize, signed: bool| match (to - width, signed) {
        (0, _) => name.to_string(),
        (more, true) => format!("{{{{{more}{{{name}[{}]}}}}, {name}}}", width - 1),
        (more, false) => format!("{{{more}'d0, {name}}}"),
    };
    let mut text = format!(
        "
  wire {a_high_range}a_high = a[{a_top}:{HALF}];
  wire {b_high_range}b_high = b[{b_top}:{HALF}];
  wire [17:0] upper_a = {upper_a};
  wire [17:0] upper_b = {upper_b};
  wire [17:0] lower_a = {{2'd0, a[15:0]}};
  wire [17:0] lower_b = {{2'd0, b[15:0]}};
  reg [17:0] both_a;
  reg [17:0] both_b;
",
        a_high_range = range(a_bits - HALF),
        b_high_range = range(b_bits - HALF),
        a_top = a_bits - 1,
        b_top = b_bits - 1,
        upper_a = extended("a_high", a_bits - HALF, CELL, true),
        upper_b = extended("b_high", b_bits - HALF, CELL, false),
    );
    for (name, width) in [("upper", upper), ("lower", lower), ("both", both)] {
        let _ = writeln!(text, "  wire [{}:0] {name};", width - 1);
        text +=
            &cell(&format!("{name}_cell"), [&format!("{name}_a"), &format!("{name}_b")], name, width, Registers::All);
    }
    let _ = write!(
        text,
        "
  // The cross terms, and beside them the outer products as one number
  reg [{sum_top}:0] outer_sum;
  reg [{outer_top}:0] outer_1;
  reg [{outer_top}:0] outer_2;
  reg [{cross_top}:0] middle;
  reg [{outer_top}:0] product;
  wire [{sum_top}:0] cross_sum = {both_extended} - outer_sum;
  always @(posedge clk) begin
    both_a <= upper_a + lower_a;
    both_b <= upper_b + lower_b;
    outer_sum <= {upper_extended} + {lower_extended};
    outer_1 <= {{upper, lower}};
    outer_2 <= outer_1;
    middle <= cross_sum[{cross_top}:0];
    product <= {{outer_2[{outer_top}:{HALF}] + {cross_extended}, outer_2[{half_top}:0]}};
  end
  wire unused_sign = &{{1'b0, cross_sum[{sum_top}:{cross_bits}]}};

  assign p = product;
",
        sum_top = sum - 1,
        outer_top = total - 1,
        half_top = HALF - 1,
        cross_top = cross - 1,
        cross_bits = cross,
        both_extended = extended("both", both, sum, true),
        upper_extended = extended("upper", upper, sum, true),
        lower_extended = extended("lower", lower, sum, false),
        cross_extended = extended("middle", cross, total - HALF, true),
    );
    text
}

/// One addend of the tree: name of its register, position of its lowest bit in the product, and width.
struct Addend {
    name: String,
    position: usize,
    width: usize,
}

fn logic_body(a_bits: usize, b_bits: usize, stages: usize) -> String {
    let mut text = String::new();
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
        let _ = writeln!(clocked, "    {name} <= {name}_sum;");
        addends.push(Addend { name, position: 2 * pair, width: bits });
    }
    for level in 1..stages {
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
        let _ = writeln!(clocked, "    {name} <= {};", low.name);
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
    let _ = writeln!(clocked, "    {name} <= {{{left} + {right}, {}[{}:0]}};", low.name, offset - 1);
    Addend { name, position: low.position, width }
}
