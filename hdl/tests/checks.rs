//! Every mistake in a description is refused, with a message that names the module and what is wrong.

#![allow(clippy::unwrap_used)]

use lpu_hdl::layer::{Design, DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use std::sync::Arc;

/// A module `broken` with an 8-bit input `a`, a signed input `s` and an 8-bit output `q`, described by `body`, which is
/// expected to be wrong. The inputs are declared unused, so that only the mistake remains.
fn mistake(body: impl FnOnce(&mut ModuleBuilder, &Signal, &Signal, &Signal)) -> DesignError {
    let mut m = ModuleBuilder::new("broken");
    let a = m.input("a", Type::bits(8));
    let s = m.input("s", Type::signed(8));
    let q = m.output("q", Type::bits(8));
    m.unused(&a);
    m.unused(&s);
    body(&mut m, &a, &s, &q);
    m.finish().unwrap_err()
}

/// Asserts that the message names the module and contains every one of `parts`.
fn says(error: &DesignError, parts: &[&str]) {
    let text = error.to_string();
    for part in ["module `broken`"].iter().chain(parts) {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

/// An adder: `x` and `clk` in, `y` out.
fn child() -> Arc<Module> {
    let mut m = ModuleBuilder::new("child");
    let x = m.input("x", Type::bits(8));
    let y = m.output("y", Type::bits(8));
    let held = m.delay("held", &x, 1);
    m.drive(&y, held.add(literal(1, Type::bits(8))));
    m.finish().unwrap()
}

#[test]
fn operands_of_different_width_are_refused() {
    let error = mistake(|m, a, _, q| m.drive(q, a.add(a.extend(9))));
    says(&error, &["`q`", "add", "bits(8)", "bits(9)"]);
}

#[test]
fn operands_of_different_sign_are_refused() {
    let error = mistake(|m, a, s, q| m.drive(q, a.less_than(s).extend(8)));
    says(&error, &["`q`", "less_than", "bits(8)", "signed(8)", "`a`", "`s`"]);
    let error = mistake(|m, a, s, q| m.drive(q, a.mul(s).truncate(8)));
    says(&error, &["`q`", "mul", "bits(8)", "signed(8)"]);
}

#[test]
fn a_mistake_deep_inside_an_expression_is_reported_where_it_leads() {
    let error = mistake(|m, a, s, _| {
        let wrong = concat(&[a.or(s), a.into()]).slice(3, 8);
        m.wire("later", wrong.not());
    });
    says(&error, &["`later`", "or", "`s`"]);
}

#[test]
fn a_driver_of_another_type_is_refused() {
    let error = mistake(|m, _, s, q| m.drive(q, s));
    says(&error, &["`q`", "`s`", "bits(8)", "signed(8)"]);
    let error = mistake(|m, a, _, q| {
        let r = m.register("r", Type::bits(9));
        m.next(&r, a);
        m.drive(q, r.truncate(8));
    });
    says(&error, &["`r`", "bits(9)", "bits(8)"]);
    let error = mistake(|m, a, _, q| {
        let r = m.register("r", Type::bits(8));
        m.next_when(&r, a, a);
        m.drive(q, &r);
    });
    says(&error, &["`r`", "bits(1)", "bits(8)"]);
}

#[test]
fn slices_and_sizes_beyond_the_operand_are_refused() {
    says(&mistake(|m, a, _, q| m.drive(q, a.slice(1, 8))), &["slice", "8 bits from bit 1", "`a`"]);
    says(&mistake(|m, a, _, q| m.drive(q, a.truncate(9))), &["truncate", "9"]);
    says(&mistake(|m, a, _, q| m.drive(q, a.extend(7))), &["extend", "7"]);
    says(&mistake(|m, a, _, q| m.drive(q, a.shift_right(8))), &["shift_right", "8"]);
    says(&mistake(|m, a, _, q| m.drive(q, a.repeat(0))), &["repeat"]);
}

#[test]
fn conditions_counts_and_indices_have_their_types() {
    says(&mistake(|m, a, _, q| m.drive(q, a.choose(a, a))), &["choose", "condition", "`a`"]);
    says(&mistake(|m, a, s, q| m.drive(q, a.shift_left_by(s))), &["shift_left_by", "unsigned", "`s`"]);
    says(&mistake(|m, a, s, q| m.drive(q, select(s, &[a.into(), a.not()]))), &["select", "unsigned", "`s`"]);
}

#[test]
fn lists_that_cannot_be_right_are_refused() {
    let choices = |a: &Signal| -> Vec<Expr> { vec![a.into(), a.not(), a.negate()] };
    let error = mistake(|m, a, _, q| m.drive(q, select(a.bit(0), &choices(a))));
    says(&error, &["select", "3 choices", "1 bits"]);
    says(&mistake(|m, a, _, q| m.drive(q, select(a, &[]))), &["select"]);
    says(&mistake(|m, _, _, q| m.drive(q, concat(&[]))), &["concat"]);
}

#[test]
fn constants_outside_their_type_are_refused() {
    says(&mistake(|m, _, _, q| m.drive(q, literal(256, Type::bits(8)))), &["`q`", "256", "bits(8)"]);
    says(&mistake(|m, _, _, q| m.drive(q, literal(-1, Type::bits(8)))), &["-1"]);
    says(&mistake(|m, _, _, q| m.drive(q, literal(-129, Type::signed(8)).as_bits())), &["-129", "signed(8)"]);
    let error = mistake(|m, a, _, q| {
        let r = m.register_with_reset("r", Type::bits(8), 300);
        m.next(&r, a);
        m.drive(q, &r);
    });
    says(&error, &["`r`", "300"]);
}

#[test]
fn two_drivers_and_none_are_refused() {
    let error = mistake(|m, a, _, q| {
        m.drive(q, a);
        m.drive(q, a);
    });
    says(&error, &["`q`", "twice"]);
    says(&mistake(|_, _, _, _| {}), &["output `q`", "never driven"]);
    let error = mistake(|m, a, _, q| {
        m.drive(q, a);
        let w = m.undriven_wire("w", Type::bits(1));
        m.unused(&w);
    });
    says(&error, &["wire `w`", "never driven"]);
    let error = mistake(|m, _, _, q| {
        let r = m.register("r", Type::bits(8));
        m.drive(q, &r);
    });
    says(&error, &["register `r`", "never driven"]);
    let error = mistake(|m, a, _, q| {
        let r = m.register("r", Type::bits(8));
        m.next(&r, a);
        m.next(&r, a);
        m.drive(q, &r);
    });
    says(&error, &["`r`", "twice"]);
}

#[test]
fn signals_are_driven_the_way_their_kind_is() {
    says(&mistake(|m, a, _, _| m.drive(a, a)), &["`a`", "input"]);
    says(&mistake(|m, a, _, q| m.next(q, a)), &["`q`", "register"]);
    let error = mistake(|m, a, _, _| {
        let r = m.register("r", Type::bits(8));
        m.drive(&r, a);
    });
    says(&error, &["`r`", "next"]);
}

#[test]
fn names_are_unique_plain_and_not_reserved() {
    says(&mistake(|m, a, _, _| _ = m.wire("a", a)), &["`a`", "used twice"]);
    says(&mistake(|m, a, _, _| _ = m.wire("priority", a)), &["`priority`", "reserved"]);
    says(&mistake(|m, a, _, _| _ = m.wire("a$b", a)), &["`a$b`"]);
    says(&mistake(|m, a, _, _| _ = m.wire("2a", a)), &["`2a`"]);
    let error = ModuleBuilder::new("program").finish().unwrap_err();
    assert!(error.to_string().contains("module `program`"));
}

#[test]
fn signals_without_bits_are_refused() {
    says(&mistake(|m, _, _, _| _ = m.input("none", Type::bits(0))), &["`none`", "width 0"]);
}

#[test]
fn bits_that_nothing_reads_are_named() {
    let error = mistake(|m, a, _, q| {
        m.drive(q, a);
        m.wire("idle", a.not());
    });
    says(&error, &["wire `idle` is never used"]);
    let error = mistake(|m, a, _, q| {
        let part = m.input("part", Type::bits(12));
        m.drive(q, part.slice(2, 8));
        _ = a;
    });
    says(&error, &["input `part`: bits 11:10, 1:0 are never used"]);
    let error = mistake(|m, a, _, q| {
        let r = m.register("r", Type::bits(8));
        m.next(&r, a);
        m.drive(q, concat(&[r.slice(0, 7), a.bit(0)]));
    });
    says(&error, &["register `r`: bit 7 is never used"]);
}

#[test]
fn bits_declared_unused_are_accepted() {
    let mut m = ModuleBuilder::new("fine");
    let part = m.input("part", Type::bits(12));
    let q = m.output("q", Type::bits(8));
    m.drive(&q, part.slice(2, 8));
    m.unused(part.slice(0, 2));
    m.unused(part.slice(10, 2));
    assert!(m.finish().is_ok());
}

#[test]
fn instances_are_connected_completely_and_by_known_names() {
    let connect = |inputs: fn(&Signal, &Signal) -> Vec<(&'static str, Expr)>| {
        let mut m = ModuleBuilder::new("broken");
        let a = m.input("a", Type::bits(8));
        let s = m.input("s", Type::signed(8));
        m.instance("unit", &child(), inputs(&a, &s)).unwrap_err()
    };
    says(&connect(|_, _| vec![]), &["`unit`", "`child`", "`x`", "unconnected"]);
    says(&connect(|a, _| vec![("x", a.into()), ("z", a.into())]), &["`unit`", "no input `z`"]);
    says(&connect(|a, _| vec![("x", a.into()), ("y", a.into())]), &["no input `y`"]);
    says(&connect(|a, _| vec![("x", a.into()), ("x", a.into())]), &["`unit.x`", "twice"]);
    says(&connect(|_, s| vec![("x", s.into())]), &["`unit.x`", "bits(8)", "signed(8)"]);
    says(&connect(|a, _| vec![("x", a.slice(0, 4))]), &["`unit.x`", "bits(8)", "bits(4)"]);
}

#[test]
fn outputs_of_instances_are_taken_or_given_up() {
    let with = |body: fn(&mut ModuleBuilder, lpu_hdl::layer::Instance, &Signal)| {
        mistake(|m, a, _, q| {
            let unit = m.instance("unit", &child(), vec![("x", a.into())]).unwrap();
            body(m, unit, q);
        })
    };
    let error = with(|m, unit, q| {
        _ = unit;
        m.drive(q, literal(0, Type::bits(8)));
    });
    says(&error, &["output `y`", "`unit`", "neither used nor ignored"]);
    says(&with(|m, unit, q| m.drive(q, unit.output("z"))), &["`unit`", "no output `z`"]);
    let error = with(|m, unit, q| {
        _ = unit.output("y");
        m.drive(q, literal(0, Type::bits(8)));
    });
    says(&error, &["`unit_y`", "never used"]);
    let error = with(|m, unit, q| m.drive(q, unit.output("y").slice(0, 4).extend(8)));
    says(&error, &["`unit_y`: bits 7:4"]);
}

#[test]
fn signals_of_another_module_are_refused() {
    let mut other = ModuleBuilder::new("other");
    let stranger = other.input("stranger", Type::bits(8));
    says(&mistake(|m, _, _, q| m.drive(q, &stranger)), &["`stranger`", "`other`"]);
    says(&mistake(|m, a, _, _| m.drive(&stranger, a)), &["`stranger`", "`other`"]);
}

#[test]
fn combinational_loops_are_found() {
    let error = mistake(|m, a, _, q| {
        let w = m.undriven_wire("w", Type::bits(8));
        let v = m.wire("v", w.add(a));
        m.drive(&w, v.xor(a));
        m.drive(q, &v);
    });
    says(&error, &["combinational loop", "v", "w"]);
}

/// A module whose output `y` depends on `x` at once, and whose output `z` only after a clock edge.
fn half_combinational() -> Arc<Module> {
    let mut m = ModuleBuilder::new("half");
    let x = m.input("x", Type::bits(8));
    let y = m.output("y", Type::bits(8));
    let z = m.output("z", Type::bits(8));
    let held = m.delay("held", &x, 1);
    m.drive(&y, x.not());
    m.drive(&z, &held);
    m.finish().unwrap()
}

#[test]
fn loops_through_instances_are_found_and_registers_break_them() {
    let closed = |through: &'static str, other: &'static str| {
        let mut m = ModuleBuilder::new("broken");
        let q = m.output("q", Type::bits(8));
        let back = m.undriven_wire("back", Type::bits(8));
        let half = half_combinational();
        let unit = m.instance("unit", &half, vec![("x", back.add(literal(1, Type::bits(8))))]).unwrap();
        m.drive(&back, unit.output(through));
        unit.ignore(other);
        m.drive(&q, &back);
        m.finish()
    };
    says(&closed("y", "z").unwrap_err(), &["combinational loop", "unit_y", "back"]);
    assert!(closed("z", "y").is_ok());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("taken");
    std::fs::write(&file, "").unwrap();
    let design = Design::new(child()).unwrap();
    let error = design.write_to(&file).unwrap_err();
    assert!(error.to_string().contains("taken"), "{error}");
}
