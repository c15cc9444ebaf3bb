//! Modules that invite warnings are clean under Verilator's `-Wall`, without a waiver.

#![allow(clippy::unwrap_used)]

mod support;

use lpu_hdl::layer::{Design, Module, ModuleBuilder, Type, concat, literal, select};
use lpu_hdl::primitives;
use std::sync::Arc;
use support::{Verilator, transcript, yosys};

fn lint(verilator: &Verilator, module: Arc<Module>) {
    let design = Design::new(module).unwrap();
    let directory = tempfile::tempdir().unwrap();
    design.write_to(directory.path()).unwrap();
    let top = design.top_name();
    let file = format!("rtl/{top}.v");
    let arguments = ["--lint-only", "-Wall", "--top-module", top, "-y", "rtl", "-y", "behavioural", &file];
    let output = verilator.run(directory.path(), &arguments);
    let text = transcript(&output);
    assert!(output.status.success() && !text.contains("%Warning"), "{text}\n{}", design.single_text());
    assert!(!design.single_text().contains("lint_off"));
}

/// Truncated products, saturations and rounding shifts: operators whose upper bits are dropped.
fn arithmetic() -> Arc<Module> {
    let mut m = ModuleBuilder::new("arithmetic");
    let a = m.input("a", Type::signed(17));
    let b = m.input("b", Type::signed(9));
    let count = m.input("count", Type::bits(5));
    let q = m.output("q", Type::signed(8));
    let r = m.output("r", Type::bits(4));
    let product = a.mul(&b);
    let rounded = product.add_wide(literal(1 << 6, Type::signed(26)));
    let shifted = rounded.shift_right_by(&count);
    let (low, high) = (literal(-128, Type::signed(27)), literal(127, Type::signed(27)));
    let clamped = shifted.less_than(&low).choose(&low, shifted.greater_than(&high).choose(&high, &shifted));
    m.drive(&q, clamped.truncate(8));
    m.drive(&r, a.as_bits().mul(count.extend(7)).slice(3, 4));
    m.finish().unwrap()
}

/// Comparisons with the ends of ranges, one-bit arithmetic, constant selections.
fn constants() -> Arc<Module> {
    let mut m = ModuleBuilder::new("constants");
    let a = m.input("a", Type::bits(4));
    let s = m.input("s", Type::signed(1));
    let q = m.output("q", Type::bits(8));
    let always = a.less_equal(literal(15, Type::bits(4)));
    let never = a.less_than(literal(0, Type::bits(4)));
    let sign = s.less_than(literal(0, Type::signed(1)));
    let wide = literal(-5, Type::signed(200)).slice(120, 2);
    let picked = select(literal(2, Type::bits(2)), &[a.bit(0), a.bit(1), a.bit(2), a.bit(3)]);
    m.drive(&q, concat(&[always, never, sign, s.add(&s).as_bits(), wide, picked, a.any()]));
    m.finish().unwrap()
}

/// Selections of every size, with indices wider than the list, feeding wires, outputs and registers.
fn selections() -> Arc<Module> {
    let mut m = ModuleBuilder::new("selections");
    let index = m.input("index", Type::bits(5));
    let data = m.input("data", Type::signed(32));
    let q = m.output("q", Type::signed(8));
    let part = |position: usize| data.slice(8 * position, 8).as_signed();
    let two = select(&index, &[part(0), part(1)]);
    let three = m.wire("three", select(&index, &[part(0), part(1), part(2)]));
    let four = select(index.slice(0, 2), &[part(0), part(1), part(2), part(3)]);
    let held = m.register_with_reset("held", Type::signed(8), -1);
    m.next(&held, select(&index, &[two, three.into(), four.clone(), four.negate()]));
    m.drive(&q, &held);
    m.finish().unwrap()
}

/// A memory behind registers whose upper output bits and second port nobody reads.
fn hierarchy() -> Arc<Module> {
    let mut m = ModuleBuilder::new("hierarchy");
    let address = m.input("address", Type::bits(12));
    let data = m.input("data", Type::signed(20));
    let q = m.output("q", Type::bits(16));
    let ram = primitives::block_ram(20, 700);
    let inputs = vec![
        ("write_enable", address.slice(10, 2).all()),
        ("write_address", address.slice(0, 10)),
        ("write_data", data.as_bits()),
        ("read_address", address.slice(0, 10).add(literal(1, Type::bits(10)))),
    ];
    let bank = m.instance("bank", &ram, inputs).unwrap();
    let word = bank.output("read_data");
    m.unused(word.slice(16, 4));
    let table = primitives::distributed_ram(6, 5);
    let inputs = vec![
        ("write_enable", literal(0, Type::bits(1))),
        ("write_address", literal(0, Type::bits(3))),
        ("write_data", literal(0, Type::bits(6))),
        ("read_address", address.slice(0, 3)),
    ];
    let spare = m.instance("spare", &table, inputs).unwrap();
    spare.ignore("read_data");
    m.drive(&q, word.slice(0, 16));
    m.finish().unwrap()
}

#[test]
fn tricky_modules_lint_without_a_warning() {
    let Some(verilator) = Verilator::find_or_skip("linting the emitted text") else {
        return;
    };
    for module in [arithmetic(), constants(), selections(), hierarchy()] {
        lint(&verilator, module);
    }
}

#[test]
fn tricky_modules_are_accepted_by_yosys() {
    for module in [arithmetic(), constants(), selections(), hierarchy()] {
        let design = Design::new(module).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("design.v");
        std::fs::write(&file, design.single_ecp5_text()).unwrap();
        let script = format!("read_verilog {}; synth_ecp5 -top {}; check -assert", file.display(), design.top_name());
        if yosys("synthesis of the emitted text", &script).is_none() {
            return;
        }
    }
}
