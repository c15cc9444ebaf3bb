//! One lane of the vector unit of a machine with extensions: function, shift, sum over a run's steps, table, clamp.

use super::normalise::interpolate;
use super::{FINE_SHIFT_BITS, address_bits, bit, constant, follow_valid, held_if, saturate, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS};
use lpu_isa::fixed_point::table::SEGMENT_BITS;
use lpu_isa::host::Memory;
use lpu_isa::instruction::{FUNCTION_BITS, Function};
use lpu_isa::latency::{block_ram, multiplier};
use lpu_isa::stages::VectorStage;
use lpu_isa::vector::Path;
use std::sync::Arc;

/// Code of the difference from a scalar's origin, which no instruction has: behind those of the functions.
pub const FROM_ORIGIN: u64 = Function::ALL.len() as u64;

/// Bits of what a right shift is rounded with.
pub const HALF_BITS: usize = ACCUMULATOR_BITS as usize - 1;

/// Bits of the second operand of the product, signed: an element, or any power of two that an element is shifted to the left by.
const FACTOR_BITS: usize = ELEMENT_BITS as usize + 1;

/// `value` times two to one of `shifts`, which `choice` numbers, saturated to the width it has. What does not fit, times any element, is
/// beyond all elements: its product saturates to the right side.
fn shifted_left(value: &Expr, choice: &Expr, shifts: [usize; 4]) -> Expr {
    let width = value.width();
    let choices: Vec<Expr> = shifts
        .into_iter()
        .map(|shift| match shift {
            0 => value.clone(),
            _ => saturate(&value.shift_left(shift), width),
        })
        .collect();
    select(choice.clone(), &choices)
}

/// The lane.
///
/// # Errors
/// None for a checked configuration.
pub fn extended_vector_lane(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let element_bits = ELEMENT_BITS as usize;
    let element = Type::signed(element_bits);
    let wide = element_bits + 1;
    let begin = |stage: VectorStage| stage.begin(configuration) as usize;
    let mut m = ModuleBuilder::new("extended_vector_lane");
    m.describe(
        "One lane of the vector unit: a function of two elements, shifted and rounded, added to the steps of a run before it, looked up \
         in a table, clamped to minimum..maximum. It may leave for its limits behind the function, behind the sum or behind the table. \
         Controls come with the value that has come as far as what they control.",
    );
    for (way, path) in [("plain", Path::Plain), ("arithmetic", Path::Arithmetic), ("table", Path::Table)] {
        m.latency(&format!("operands to result, {way}"), VectorStage::cycles_of_path(path, configuration) as usize);
    }
    m.section("Operands");
    let a = m.input("a", element);
    let b = m.input("b", element);
    let origin = m.input("origin", element);
    m.section("Control");
    let valid = m.input("valid", bit());
    let multiplies = m.input("multiplies", bit());
    let function = m.input("function_code", Type::bits(FUNCTION_BITS as usize));
    let left_by_fours = m.input("left_by_fours", Type::bits(2));
    let left_rest = m.input("left_rest", Type::bits(2));
    let half_of_positive = m.input("half_of_positive", Type::bits(HALF_BITS));
    let half_of_negative = m.input("half_of_negative", Type::bits(HALF_BITS));
    let right_by_eights = m.input("right_by_eights", Type::bits(5 - FINE_SHIFT_BITS));
    let right_rest = m.input("right_rest", Type::bits(FINE_SHIFT_BITS));
    let combines = m.input("combines", bit());
    let tables = configuration.tables();
    let table_bits = address_bits(tables);
    let table = m.input("table_number", Type::bits(table_bits));
    // With the value that is compared: does any leave, and from where if not from the table?
    let leaves = m.input("leaves", bit());
    let plain = m.input("plain", bit());
    let arithmetic = m.input("arithmetic", bit());
    let masked = m.input("masked", bit());
    let minimum = m.input("minimum", element);
    let maximum = m.input("maximum", element);
    m.section("Result");
    let result = m.output("result", element);
    m.section("Load");
    let words = Memory::Tables.words(configuration);
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(address_bits(words)));
    let load_word = m.input("load_word", Type::bits(SEGMENT_BITS as usize));

    let follow = follow_valid(&mut m, &valid, begin(VectorStage::Interpolated));
    let at = |stage: VectorStage| {
        let begins = if begin(stage) == 0 { Expr::from(&valid) } else { follow.bit(begin(stage) - 1) };
        (stage.cycles(configuration) > 0).then_some(begins)
    };
    let held = |m: &mut ModuleBuilder, name: &str, stage: VectorStage, value: Expr| {
        Expr::from(&held_if(m, name, at(stage).as_ref(), value))
    };
    let a = held(&mut m, "a_q", VectorStage::Operands, Expr::from(&a));
    let b = held(&mut m, "b_q", VectorStage::Operands, Expr::from(&b));
    m.section("Candidates");
    let sum = held(&mut m, "sum", VectorStage::Candidates, a.add_wide(&b));
    let difference = held(&mut m, "difference", VectorStage::Candidates, a.sub_wide(&b));
    let b_is_larger = held(&mut m, "b_is_larger", VectorStage::Candidates, b.greater_than(&a));
    let a = held(&mut m, "a_qq", VectorStage::Candidates, a).extend(wide);
    let factor = Expr::from(&multiplies).choose(b.extend(FACTOR_BITS), literal(1, Type::signed(FACTOR_BITS)));
    let factor = held(&mut m, "factor", VectorStage::Candidates, factor);
    let b = held(&mut m, "b_qq", VectorStage::Candidates, b).extend(wide);
    m.section("Choice");
    // The place of each is its code.
    let values: Vec<Expr> = Function::ALL
        .iter()
        .map(|(function, _)| match function {
            Function::Pass | Function::Multiply => a.clone(),
            Function::Add => sum.clone(),
            Function::Subtract => difference.clone(),
            Function::Maximum => b_is_larger.choose(&b, &a),
            Function::Minimum => b_is_larger.choose(&a, &b),
        })
        .chain([a.sub(Expr::from(&origin).extend(wide))])
        .collect();
    let value = held(&mut m, "value", VectorStage::Value, select(Expr::from(&function), &values));
    let factor = shifted_left(&factor, &Expr::from(&left_by_fours), [0, 4, 8, 12]);
    let factor = held(&mut m, "factor_by_fours", VectorStage::Value, factor);
    let saturated = held(&mut m, "saturated", VectorStage::Saturated, saturate(&value, element_bits));
    let factor = shifted_left(&factor, &Expr::from(&left_rest), [0, 1, 2, 3]);
    let factor = held(&mut m, "factor_shifted", VectorStage::Saturated, factor);

    m.section("Product");
    let negative = saturated.bit(element_bits - 1).xor(factor.bit(FACTOR_BITS - 1));
    let cycles = multiplier(configuration);
    debug_assert_eq!(cycles, VectorStage::Product.cycles(configuration));
    let negative = m.delay("negative", negative, cycles as usize);
    let product = primitives::multiplier_in(element_bits, FACTOR_BITS, cycles);
    let product = m.instance("value_product", &product, vec![("a", saturated.clone()), ("b", factor)])?.output("p");
    m.section("Right shift");
    // To nearest, ties away from zero. A product of 0 may take either half.
    let half = Expr::from(&negative).choose(Expr::from(&half_of_negative), Expr::from(&half_of_positive));
    let bits = element_bits + FACTOR_BITS;
    let with_half = Expr::from(&product).add(half.extend(bits).as_signed());
    let with_half = held(&mut m, "with_half", VectorStage::WithHalf, with_half);
    let eights = concat(&[Expr::from(&right_by_eights), literal(0, Type::bits(FINE_SHIFT_BITS))]);
    let coarse = held(&mut m, "by_eights", VectorStage::CoarseShift, with_half.shift_right_by(eights));
    let shifted = held(&mut m, "shifted", VectorStage::Shifted, coarse.shift_right_by(Expr::from(&right_rest)));
    let narrowed = held(&mut m, "narrowed", VectorStage::Narrowed, saturate(&shifted, element_bits));

    m.section("Run");
    let kept = m.register("kept", element);
    let sum = saturate(&Expr::from(&kept).add_wide(&narrowed), element_bits);
    let combined = Expr::from(&combines).choose(sum, narrowed);
    m.next_when(&kept, at(VectorStage::Combined).unwrap_or_else(|| constant(1, 1)), combined);

    m.section("Table");
    let ram_cycles = block_ram(configuration);
    let segment_bits = element_bits - 8;
    let kept = Expr::from(&kept);
    // Elements count from the least one: their sign is inverted.
    let segment =
        concat(&[kept.bit(element_bits - 1).not(), kept.slice(segment_bits, element_bits - segment_bits - 1)]);
    let address = if tables > 1 { concat(&[Expr::from(&table), segment]) } else { segment };
    if tables == 1 {
        m.unused(Expr::from(&table));
    }
    let own = |m: &mut ModuleBuilder, name: &str, signal: &Signal| {
        Expr::from(&m.delay(name, Expr::from(signal), spare_registers(configuration)))
    };
    let load = [
        ("write_enable", own(&mut m, "load_enable_q", &load_enable)),
        ("write_address", own(&mut m, "load_address_q", &load_address)),
        ("write_data", own(&mut m, "load_word_q", &load_word)),
    ];
    let memory = primitives::block_ram_in(SEGMENT_BITS as usize, words as usize, ram_cycles);
    let connections = load.into_iter().chain([("read_address", address)]).collect();
    let segment = m.instance("function_table", &memory, connections)?.output("read_data");
    let fraction = Expr::from(&m.delay("fraction", kept.slice(0, segment_bits), ram_cycles as usize));
    let found = interpolate(&mut m, configuration, &Expr::from(&segment), &fraction)?.as_signed();
    let found = held(&mut m, "interpolated", VectorStage::Interpolated, found);
    m.section("Output");
    let value = Expr::from(&plain).choose(saturated, Expr::from(&arithmetic).choose(kept, found));
    let value = Expr::from(&m.wire("leaving_value", value));
    let clamps = m.delay("clamps", Expr::from(&leaves), VectorStage::Compared.cycles(configuration) as usize);
    let compares = (VectorStage::Compared.cycles(configuration) > 0).then(|| Expr::from(&leaves));
    let enables = [compares, Some(Expr::from(&clamps))];
    let clamped = super::clamp(&mut m, enables, &value, [&minimum, &maximum], Some(&masked));
    m.drive(&result, Expr::from(&clamped));
    m.finish()
}
