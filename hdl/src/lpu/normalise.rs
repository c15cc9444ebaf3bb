//! Reciprocal and reciprocal square root of a sum, as a mantissa and a power of two.

use super::{address_bits, bit, constant, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS};
use lpu_isa::fixed_point::table::SEGMENT_BITS;
use lpu_isa::host::Memory;
use lpu_isa::latency::{block_ram, multiplier};
use lpu_isa::stages::NormaliseStage;
use std::sync::Arc;

/// Bits of a scalar's exponent, negated: 0 to 46.
pub const EXPONENT_BITS: u32 = 6;

/// The value of a table at a place in a segment: `segment` is its word, `fraction` the place in it, 8 bits, both valid in the same cycle.
/// The product takes the cycles of the multiplier primitive; behind it the sum of 16 bits is combinational.
pub(super) fn interpolate(
    m: &mut ModuleBuilder,
    configuration: &Configuration,
    segment: &Expr,
    fraction: &Expr,
) -> Result<Expr, DesignError> {
    let element = ELEMENT_BITS as usize;
    let cycles = multiplier(configuration);
    let slope_bits = SEGMENT_BITS as usize - element;
    let slope = segment.slice(element, slope_bits).as_signed();
    let place = concat(&[constant(0, 1), fraction.clone()]).as_signed();
    let product = primitives::multiplier_in(slope_bits, place.width(), cycles);
    let product = m.instance("slope", &product, vec![("a", slope.clone()), ("b", place)])?.output("p");
    let product = Expr::from(&product);
    let from = m.delay("segment_begin", segment.slice(0, element), cycles as usize);
    let falls = m.delay("segment_falls", slope.bit(slope_bits - 1), cycles as usize);
    // To nearest, ties away from zero: half, or one less where the product is negative (or 0, which that does not change), stands in the
    // bits below the segment's value.
    let falls = Expr::from(&falls);
    let half = concat(&[falls.not(), falls.repeat(fraction.width() - 1)]);
    let begin = concat(&[Expr::from(&from), half]).as_signed().extend(product.width());
    let sum = m.wire("interpolated_sum", begin.add(&product));
    m.unused(Expr::from(&sum).slice(0, fraction.width()));
    m.unused(Expr::from(&sum).slice(fraction.width() + element, product.width() - fraction.width() - element));
    Ok(Expr::from(&sum).slice(fraction.width(), element))
}

/// `value` without `zeros` leading zeros if it has so many, and whether it has.
fn without(m: &mut ModuleBuilder, name: &str, value: &Expr, zeros: usize, registers: usize) -> (Expr, Expr) {
    let bits = value.width();
    let has = m.wire(&format!("{name}_found"), value.slice(bits - zeros, zeros).any().not());
    let has = Expr::from(&has);
    let moved = concat(&[value.slice(0, bits - zeros), literal(0, Type::bits(zeros))]);
    let value = m.delay(&format!("{name}_value"), has.choose(moved, value.clone()), registers);
    let has = m.delay(&format!("{name}_has"), has, registers);
    (Expr::from(&value), Expr::from(&has))
}

/// The unit; its last register is that of the interpolated value.
///
/// # Errors
/// None for a checked configuration.
pub fn normalise(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let element = ELEMENT_BITS as usize;
    let cycles = |stage: NormaliseStage| stage.cycles(configuration) as usize;
    let words = Memory::Normalise.words(configuration);
    let table_type = Type::bits(address_bits(words));
    let mut m = ModuleBuilder::new("normalise");
    m.describe(
        "1 / sum or 1 / sqrt(sum): the sum's leading zeros choose the power of two, the bits behind them a place in a table. A sum \
         below 1 counts as 1.",
    );
    m.latency("sum to mantissa and exponent", NormaliseStage::Scalar.begin(configuration) as usize);
    m.section("Sum");
    let sum = m.input("sum", Type::bits(ACCUMULATOR_BITS as usize));
    let root = m.input("root", bit());
    m.section("Factor");
    let mantissa = m.output("mantissa", Type::bits(element));
    // The exponent's negative.
    let exponent = m.output("exponent", Type::bits(EXPONENT_BITS as usize));
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", table_type);
    let load_word = m.input("load_word", Type::bits(SEGMENT_BITS as usize));

    m.section("Leading zeros");
    let spare = cycles(NormaliseStage::By16);
    let sum = Expr::from(&sum);
    let half = ACCUMULATOR_BITS as usize / 2;
    let delayed =
        |m: &mut ModuleBuilder, name: &str, value: Expr, cycles: usize| Expr::from(&m.delay(name, value, cycles));
    let negative = delayed(&mut m, "negative", sum.bit(2 * half - 1), spare);
    let upper = delayed(&mut m, "upper_any", sum.slice(half, half).any(), spare);
    let lower = delayed(&mut m, "lower_any", sum.slice(0, half).any(), spare);
    let below_one = negative.or(upper.or(&lower).not());
    let (value, by_16) = without(&mut m, "by_16", &sum, 16, spare);
    let (value, by_8) = without(&mut m, "by_8", &value, 8, spare);
    let (value, by_4) = without(&mut m, "by_4", &value, 4, spare);
    let by_16 = delayed(&mut m, "by_16_at_rest", by_16, 2 * spare);
    let by_8 = delayed(&mut m, "by_8_at_rest", by_8, spare);
    let below_one = delayed(&mut m, "below_one", below_one, 2 * spare);
    let root = delayed(&mut m, "root_at_rest", Expr::from(&root), 3 * spare);
    let (value, by_2) = without(&mut m, "by_2", &value, 2, 0);
    let by_1 = value.bit(2 * half - 1).not();
    // The bits behind the highest one, or for a root the highest ones.
    let behind = by_1.choose(value.slice(half - 2, half), value.slice(half - 1, half));
    let argument = root.choose(value.slice(half, half), behind);
    m.unused(value.slice(0, half - 2));
    let least = concat(&[constant(0, 1), root.clone(), constant(0, half as u32 - 2)]);
    let rest = cycles(NormaliseStage::Rest);
    let argument = delayed(&mut m, "argument", below_one.choose(least, argument), rest);
    let even = concat(&[by_16, by_8, by_4, by_2]);
    let even = below_one.choose(constant(15, 4), even);
    let odd = below_one.or(&by_1);
    let even = delayed(&mut m, "zeros_even", even, rest);
    let odd = delayed(&mut m, "zeros_odd", odd, rest);
    let root = delayed(&mut m, "root_q", root, rest);

    m.section("Table");
    let ram_cycles = block_ram(configuration);
    let own = |m: &mut ModuleBuilder, name: &str, signal: &Signal| {
        Expr::from(&m.delay(name, Expr::from(signal), spare_registers(configuration)))
    };
    let load = [
        ("write_enable", own(&mut m, "load_enable_q", &load_enable)),
        ("write_address", own(&mut m, "load_address_q", &load_address)),
        ("write_data", own(&mut m, "load_word_q", &load_word)),
    ];
    let segment_bits = element - 8;
    let address = concat(&[root.clone(), argument.slice(segment_bits, element - segment_bits)]);
    let table = primitives::block_ram_in(SEGMENT_BITS as usize, words as usize, ram_cycles);
    let connections = load.into_iter().chain([("read_address", address)]).collect();
    let segment = m.instance("factor_table", &table, connections)?.output("read_data");
    let fraction = delayed(&mut m, "fraction", argument.slice(0, segment_bits), ram_cycles as usize);
    let value = interpolate(&mut m, configuration, &Expr::from(&segment), &fraction)?;
    let value = delayed(&mut m, "interpolated", value, cycles(NormaliseStage::Interpolated));
    m.drive(&mantissa, value);

    m.section("Exponent");
    let bits = EXPONENT_BITS as usize;
    let of_reciprocal = constant(46, EXPONENT_BITS).sub(concat(&[even.clone(), odd]).extend(bits));
    let of_root = constant(30, EXPONENT_BITS).sub(even.extend(bits));
    let later = [NormaliseStage::Segment, NormaliseStage::Slope, NormaliseStage::Interpolated].map(cycles).iter().sum();
    let chosen = select(root, &[of_reciprocal, of_root]);
    let chosen = delayed(&mut m, "exponent_q", chosen, later);
    m.drive(&exponent, chosen);
    m.finish()
}
