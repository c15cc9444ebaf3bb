//! Requantiser lane: gemmlowp's doubling high multiplication and rounding shift, bit for bit.

use super::{bit, follow_valid, held_while_idle};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, ELEMENT_BITS};
use lpu_isa::host::{SCALE_MULTIPLIER_BITS, SCALE_SHIFT_BITS};
use lpu_isa::latency::{REQUANTISER_STAGES, SCALE_MULTIPLIER};
use std::sync::Arc;

/// Bits of a shift's amount that its second cycle takes care of.
const FINE_SHIFT_BITS: usize = 3;

/// The part of a shift's amount that its first cycle takes care of.
fn by_eights(amount: &Expr) -> Expr {
    let upper = amount.slice(FINE_SHIFT_BITS, amount.width() - FINE_SHIFT_BITS);
    concat(&[upper, literal(0, Type::bits(FINE_SHIFT_BITS))])
}

/// One lane of the requantiser, which multiplies `in_cells` of the FPGA or in logic.
///
/// # Errors
/// None.
pub fn requantiser_lane(in_cells: bool) -> Result<Arc<Module>, DesignError> {
    let bits = ACCUMULATOR_BITS as usize;
    let accumulator = Type::signed(bits);
    let element = Type::signed(ELEMENT_BITS as usize);
    let shift = Type::bits(SCALE_SHIFT_BITS as usize);
    let mut m = ModuleBuilder::new_variant("requantiser_lane", if in_cells { "cells" } else { "logic" });
    m.describe(
        "result = clamp(round(round((operand + bias) * 2^left_shift * multiplier / 2^31) / 2^right_shift) + zero_point). The first \
         rounding is to nearest with ties upwards, the second to nearest with ties away from zero: gemmlowp's double \
         rounding.",
    );
    m.latency("valid, operand, bias, multiplier and shifts to result", REQUANTISER_STAGES as usize - 1);
    m.latency("zero_point to result", 4);
    m.latency("minimum and maximum to result", 2);
    m.section("Operands");
    let operand = m.input("operand", accumulator);
    let bias = m.input("bias", accumulator);
    let multiplier = m.input("multiplier", Type::bits(SCALE_MULTIPLIER_BITS as usize));
    let left_shift = m.input("left_shift", shift);
    let right_shift = m.input("right_shift", shift);
    m.section("Control");
    let valid = m.input("valid", bit());
    let zero_point = m.input("zero_point", element);
    let minimum = m.input("minimum", element);
    let maximum = m.input("maximum", element);
    m.section("Result");
    let result = m.output("result", element);

    let stages = REQUANTISER_STAGES as usize - 1;
    let follow = follow_valid(&mut m, &valid, stages - 1);
    // Set while the operand of this lane has come as far as register `stage`, so that the next one must take it over.
    let at = |stage: usize| if stage == 0 { Expr::from(&valid) } else { follow.bit(stage - 1) };
    let held = |m: &mut ModuleBuilder, name: &str, stage: usize, value: Expr| {
        Expr::from(&held_while_idle(m, name, &at(stage), value))
    };
    m.section("Bias");
    let sum = held(&mut m, "sum", 0, Expr::from(&operand).add(Expr::from(&bias)));
    let left_shift = held(&mut m, "left_shift_q", 0, Expr::from(&left_shift));
    m.section("Left shift");
    // By multiples of eight, then by the rest: a barrel shifter in one cycle would set the pace of the machine.
    let eights = by_eights(&left_shift);
    let coarse = held(&mut m, "shifted_by_eights", 1, sum.shift_left_by(eights));
    let fine = held(&mut m, "left_shift_rest", 1, left_shift.slice(0, FINE_SHIFT_BITS));
    let shifted = held(&mut m, "shifted", 2, coarse.shift_left_by(fine));
    let multiplier = (0..3)
        .fold(Expr::from(&multiplier), |waiting, stage| held(&mut m, &format!("multiplier_{stage}"), stage, waiting));
    m.section("Scale");
    let product = primitives::scale_multiplier(bits, SCALE_MULTIPLIER_BITS as usize, in_cells);
    let product = m.instance("scale", &product, vec![("a", shifted), ("b", multiplier)])?.output("p");
    // Doubled high half, rounded: bits 30 and up, plus 1, halved. The multiplier is below 2^31, so it always fits: no
    // saturation is needed.
    let lowest = SCALE_MULTIPLIER_BITS as usize - 1;
    m.unused(Expr::from(&product).slice(0, lowest));
    let upper = Expr::from(&product).slice(lowest, bits + 1);
    let one = literal(1, Type::bits(bits + 1));
    let rounded = m.wire("rounded", upper.add(one));
    m.unused(Expr::from(&rounded).bit(0));
    let arrived = 3 + SCALE_MULTIPLIER as usize;
    let high = held(&mut m, "high", arrived, Expr::from(&rounded).slice(1, bits).as_signed());

    // Right shift, rounding to nearest, ties away from zero: add half, less one for negative numbers, then floor.
    m.section("Right shift");
    let right = Expr::from(&m.delay("right_shift_at_high", Expr::from(&right_shift), arrived + 1));
    let negative = high.bit(bits - 1);
    // For a shift by n, bit n - 1 alone, or all bits below it.
    let half: Vec<Expr> = (0..bits as u64 - 1)
        .rev()
        .map(|position| {
            let n = literal(i128::from(position) + 1, shift);
            negative.choose(right.greater_than(&n), right.equals(&n))
        })
        .collect();
    let half = held(&mut m, "half", arrived + 1, concat(&half));
    let high = held(&mut m, "high_q", arrived + 1, high);
    let with_half = high.extend(bits + 1).add(half.extend(bits + 1).as_signed());
    let with_half = held(&mut m, "with_half", arrived + 2, with_half);
    let right = Expr::from(&m.delay("right_shift_at_half", right, 2));
    let eights = by_eights(&right);
    let coarse = held(&mut m, "scaled_by_eights", arrived + 3, with_half.shift_right_by(eights));
    let fine = Expr::from(&m.delay("right_shift_rest", right.slice(0, FINE_SHIFT_BITS), 1));
    let scaled = held(&mut m, "scaled", arrived + 4, coarse.shift_right_by(fine));
    m.section("Output");
    m.unused(scaled.bit(bits));
    // The sum wraps at 32 bits, as the reference's does.
    let offset = scaled.truncate(bits).add(Expr::from(&zero_point).extend(bits));
    let offset = held(&mut m, "offset", arrived + 5, offset);
    // A value beyond these bits is clamped anyway, so it may be cut to them first: shorter comparisons.
    let kept = ELEMENT_BITS as usize + 1;
    let sign = offset.bit(bits - 1);
    let beyond = offset.slice(kept - 1, bits - kept);
    let fits = sign.choose(beyond.all(), beyond.any().not());
    let extreme = concat(&[sign.clone(), sign.not().as_signed().extend(kept - 1).as_bits()]);
    let cut = held(&mut m, "cut", arrived + 6, fits.choose(offset.slice(0, kept), extreme).as_signed());
    let clamped = super::clamp(&mut m, [&at(arrived + 7), &at(arrived + 8)], &cut, &minimum, &maximum);
    m.drive(&result, Expr::from(&clamped));
    m.finish()
}
