//! The emitted text of small modules, as it is read by people.

#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use lpu_hdl::layer::{Design, Module, ModuleBuilder, Type, literal, select};
use lpu_hdl::primitives;
use std::sync::Arc;

fn emitted(module: Arc<Module>, expected: &Expect) {
    expected.assert_eq(&Design::new(module).unwrap().single_text());
}

fn counter() -> Arc<Module> {
    let mut m = ModuleBuilder::new("counter");
    m.describe("Counts enabled clock edges up to a limit, then starts again at zero.");
    m.latency("enable to count", 1);
    m.note("The limit is sampled at each edge.");
    m.section("Control");
    let enable = m.input("enable", Type::bits(1));
    let limit = m.input("limit", Type::bits(4));
    m.section("Result");
    let count_out = m.output("count", Type::bits(4));
    let wrapped_out = m.output("wrapped", Type::bits(1));
    m.section("State");
    let value = m.register_with_reset("value", Type::bits(4), 0);
    let wrapped = m.register("was_last", Type::bits(1));
    let is_last = m.wire("is_last", value.equals(&limit));
    let one = literal(1, Type::bits(4));
    m.next_cases(&value, &[(is_last.and(&enable), literal(0, Type::bits(4))), (enable.clone().into(), value.add(one))]);
    m.next_when(&wrapped, &enable, &is_last);
    m.section("Outputs");
    m.drive(&count_out, &value);
    m.drive(&wrapped_out, &wrapped);
    m.finish().unwrap()
}

#[test]
fn a_counter_reads_like_a_counter() {
    emitted(
        counter(),
        &expect![[r#"
        // counter
        //
        // Counts enabled clock edges up to a limit, then starts again at zero.
        //
        // Latency:
        //   enable to count: 1 cycle
        //
        // The limit is sampled at each edge.
        module counter (
          input  wire clk,
          input  wire reset,
          // Control
          input  wire enable,
          input  wire [3:0] limit,
          // Result
          output wire [3:0] count,
          output wire wrapped
        );

          // State
          reg [3:0] value;
          reg was_last;
          wire is_last = value == limit;

          always @(posedge clk) begin
            if (enable) was_last <= is_last;
          end

          always @(posedge clk) begin
            if (reset) begin
              value <= 4'd0;
            end else begin
              if (is_last & enable) value <= 4'd0;
              else if (enable) value <= value + 4'd1;
            end
          end

          // Outputs
          assign count = value;
          assign wrapped = was_last;
        endmodule
    "#]],
    );
}

#[test]
fn sign_dependent_operators_get_declared_operands() {
    let mut m = ModuleBuilder::new("clamp");
    m.describe("Picks one of four scalings of a signed number and clamps it.");
    let value = m.input("value", Type::signed(8));
    let scale = m.input("scale", Type::bits(2));
    let clamped = m.output("clamped", Type::signed(8));
    let scaled = select(
        &scale,
        &[value.extend(10), value.extend(9).shift_left(1), value.shift_left(2), value.extend(10).shift_right(1)],
    );
    let sum = scaled.add(literal(-3, Type::signed(10)));
    let limit = literal(127, Type::signed(10));
    let high = sum.greater_than(&limit);
    let low = sum.less_than(literal(-128, Type::signed(10)));
    let kept = low.choose(literal(-128, Type::signed(10)), &sum);
    m.drive(&clamped, high.choose(&limit, kept).truncate(8));
    emitted(
        m.finish().unwrap(),
        &expect![[r#"
            // clamp
            //
            // Picks one of four scalings of a signed number and clamps it.
            module clamp (
              input  wire signed [7:0] value,
              input  wire [1:0] scale,
              output wire signed [7:0] clamped
            );

              wire signed [9:0] clamped_selected_extended = {{2{value[7]}}, value};
              wire signed [9:0] clamped_selected_signed = {{value[7], value}, 1'b0};
              wire signed [9:0] clamped_selected_signed_2 = {value, 2'd0};
              wire signed [9:0] clamped_selected_extended_2 = {{2{value[7]}}, value};
              wire signed [9:0] clamped_selected_extended_3 = {clamped_selected_extended_2[9], clamped_selected_extended_2[9:1]};
              reg signed [9:0] clamped_selected;
              always @*
                case (scale)
                  2'd0: clamped_selected = clamped_selected_extended;
                  2'd1: clamped_selected = clamped_selected_signed;
                  2'd2: clamped_selected = clamped_selected_signed_2;
                  default: clamped_selected = clamped_selected_extended_3;
                endcase
              wire signed [9:0] clamped_sum = clamped_selected + (-10'sd3);
              wire signed [9:0] clamped_choice = (clamped_sum > 10'sd127) ? 10'sd127 :
                (clamped_sum < (-10'sd128)) ? (-10'sd128) : clamped_sum;
              assign clamped = clamped_choice[7:0];

              // Read by nothing, on purpose
              wire unused_bits = &{1'b0, clamped_selected_extended_2[0], clamped_choice[9:8]};
            endmodule
        "#]],
    );
}

/// Adds `width`-bit numbers.
fn adder(width: usize) -> Arc<Module> {
    let mut m = ModuleBuilder::new("adder");
    let a = m.input("a", Type::bits(width));
    let b = m.input("b", Type::bits(width));
    let sum = m.output("sum", Type::bits(width + 1));
    m.drive(&sum, a.add_wide(&b));
    m.finish().unwrap()
}

fn tree() -> Arc<Module> {
    let mut m = ModuleBuilder::new("tree");
    m.describe("The sum of four numbers, two adders deep.");
    m.latency("v to sum", 2);
    let v: Vec<_> = (0..4).map(|i| m.input(&format!("v{i}"), Type::bits(4))).collect();
    let sum = m.output("sum", Type::bits(6));
    let mut halves = Vec::new();
    for (index, pair) in v.chunks(2).enumerate() {
        // Each instance has its own `Module`: equal shapes are folded by their text, not by identity.
        let inputs = vec![("a", (&pair[0]).into()), ("b", (&pair[1]).into())];
        let half = m.instance(&format!("half_{index}"), &adder(4), inputs).unwrap();
        halves.push(half.output("sum").clone());
    }
    let inputs = vec![("a", halves[0].clone().into()), ("b", halves[1].clone().into())];
    let whole = m.instance("whole", &adder(5), inputs).unwrap();
    let registered = m.delay("sum", whole.output("sum"), 2);
    _ = &registered;
    m.drive(&sum, &registered);
    m.finish().unwrap()
}

#[test]
fn modules_of_one_shape_are_emitted_once() {
    emitted(
        tree(),
        &expect![[r#"
            // adder
            module adder (
              input  wire [3:0] a,
              input  wire [3:0] b,
              output wire [4:0] sum
            );

              assign sum = {1'b0, a} + {1'b0, b};
            endmodule

            // adder_v2
            module adder_v2 (
              input  wire [4:0] a,
              input  wire [4:0] b,
              output wire [5:0] sum
            );

              assign sum = {1'b0, a} + {1'b0, b};
            endmodule

            // tree
            //
            // The sum of four numbers, two adders deep.
            //
            // Latency:
            //   v to sum: 2 cycles
            module tree (
              input  wire clk,
              input  wire [3:0] v0,
              input  wire [3:0] v1,
              input  wire [3:0] v2,
              input  wire [3:0] v3,
              output wire [5:0] sum
            );

              wire [4:0] half_0_sum;
              adder half_0 (
                .a(v0),
                .b(v1),
                .sum(half_0_sum)
              );
              wire [4:0] half_1_sum;
              adder half_1 (
                .a(v2),
                .b(v3),
                .sum(half_1_sum)
              );
              wire [5:0] whole_sum;
              adder_v2 whole (
                .a(half_0_sum),
                .b(half_1_sum),
                .sum(whole_sum)
              );
              reg [5:0] sum_d1;
              reg [5:0] sum_d2;
              assign sum = sum_d2;

              always @(posedge clk) begin
                sum_d1 <= whole_sum;
                sum_d2 <= sum_d1;
              end
            endmodule
        "#]],
    );
    let design = Design::new(tree()).unwrap();
    let names: Vec<(&str, usize)> =
        design.modules().iter().map(|module| (module.name.as_str(), module.instances)).collect();
    assert_eq!(names, [("adder", 2), ("adder_v2", 1), ("tree", 1)]);
    let hierarchy: Vec<(&str, &str)> =
        design.hierarchy().iter().map(|(path, module)| (path.as_str(), module.as_str())).collect();
    assert_eq!(
        hierarchy,
        [("tree", "tree"), ("tree.half_0", "adder"), ("tree.half_1", "adder"), ("tree.whole", "adder_v2")]
    );
}

#[test]
fn shared_expressions_are_emitted_once_and_not_per_use() {
    let mut m = ModuleBuilder::new("shared");
    let a = m.input("a", Type::bits(8));
    let b = m.input("b", Type::bits(8));
    let x = m.output("x", Type::bits(8));
    let y = m.output("y", Type::bits(8));
    let sum = a.add(&b);
    m.drive(&x, sum.xor(&a));
    m.drive(&y, sum.xor(&b));
    let text = Design::new(m.finish().unwrap()).unwrap().single_text();
    assert_eq!(text.matches("a + b").count(), 1, "{text}");
}

#[test]
fn neighbouring_registers_under_one_condition_share_it() {
    let mut m = ModuleBuilder::new("pair");
    let load = m.input("load", Type::bits(1));
    let a = m.input("a", Type::bits(8));
    let q = m.output("q", Type::bits(16));
    let low = m.register("low", Type::bits(8));
    let high = m.register("high", Type::bits(8));
    m.next_when(&low, &load, &a);
    m.next_when(&high, &load, a.not());
    m.drive(&q, lpu_hdl::layer::concat(&[high.into(), low.into()]));
    let text = Design::new(m.finish().unwrap()).unwrap().single_text();
    assert_eq!(text.matches("if (load)").count(), 1, "{text}");
}

#[test]
fn a_design_is_the_same_text_every_time() {
    assert_eq!(Design::new(tree()).unwrap().files(), Design::new(tree()).unwrap().files());
}

#[test]
fn primitives_have_the_same_ports_in_every_family() {
    for module in [primitives::multiplier(18, 18), primitives::block_ram(40, 600), primitives::distributed_ram(3, 5)] {
        let design = Design::new(module).unwrap();
        let head = |text: String| {
            let from = text.find("\nmodule ").unwrap();
            text[from..from + text[from..].find(");").unwrap()].to_string()
        };
        assert_eq!(head(design.single_text()), head(design.single_ecp5_text()));
    }
}

#[test]
fn emitted_names_have_no_dollar() {
    let design = Design::new(tree()).unwrap();
    assert!(!design.single_text().contains('$'));
}

#[test]
fn a_negative_factor_is_a_wire_of_its_own_width() {
    let mut m = ModuleBuilder::new("negated");
    m.describe("A product with minus one.");
    let value = m.input("value", Type::signed(2));
    let product = m.output("product", Type::signed(4));
    m.drive(&product, literal(-1, Type::signed(2)).mul(&value));
    let text = Design::new(m.finish().unwrap()).unwrap().single_text();
    // With the minus in the product itself, Verilog would negate at four bits, and Verilator would say so.
    assert!(!text.contains("(-2'sd1) *") && !text.contains("-2'sd1 *"), "{text}");
    assert!(text.contains("= -2'sd1;"), "{text}");
}

#[test]
fn a_computed_shift_count_is_a_wire_of_its_own_width() {
    let mut m = ModuleBuilder::new("shifted");
    m.describe("A shift by a sum that wraps at two bits.");
    let value = m.input("value", Type::bits(8));
    let count = m.input("count", Type::bits(2));
    let shifted = m.output("result", Type::bits(8));
    m.drive(&shifted, value.shift_right_by(count.add(&count)));
    let text = Design::new(m.finish().unwrap()).unwrap().single_text();
    assert!(!text.contains(">> (count + count)"), "{text}");
    assert!(text.contains("= count + count;"), "{text}");
}
