//! Requantiser lane: gemmlowp's doubling high multiplication and rounding shift, bit for bit.

use super::{FINE_SHIFT_BITS, bit, by_eights, follow_valid, held_if};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, NARROW_MULTIPLIER_BITS};
use lpu_isa::host::{SCALE_MULTIPLIER_BITS, SCALE_SHIFT_BITS};
use lpu_isa::stages::LaneStage;
use std::sync::Arc;

/// Bits of the multiplier of a scale. The highest stands for one half: the upper ones of 31.
pub fn multiplier_bits(configuration: &Configuration) -> usize {
    (if configuration.narrow_scales { NARROW_MULTIPLIER_BITS } else { SCALE_MULTIPLIER_BITS }) as usize
}

/// One lane of the requantiser, which multiplies `in_cells` of the FPGA or in logic.
///
/// # Errors
/// None.
pub fn requantiser_lane(in_cells: bool, configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let bits = ACCUMULATOR_BITS as usize;
    let accumulator = Type::signed(bits);
    let element = Type::signed(ELEMENT_BITS as usize);
    let shift = Type::bits(SCALE_SHIFT_BITS as usize);
    let begin = |stage: LaneStage| stage.begin(configuration) as usize;
    let end = |stage: LaneStage| stage.end(configuration) as usize;
    let all = LaneStage::cycles_of_all(configuration) as usize;
    // The register of the operand stands outside.
    let first = end(LaneStage::Operand);
    let lane_cycles = all - first;
    let mut m = ModuleBuilder::new_variant("requantiser_lane", if in_cells { "cells" } else { "logic" });
    let narrow = configuration.narrow_scales;
    m.describe(if narrow {
        "result = clamp(round(round(operand * multiplier / 2^13) / 2^right_shift)). The first rounding is to nearest with ties upwards, \
         the second to nearest with ties away from zero: gemmlowp's double rounding."
    } else {
        "result = clamp(round(round((operand + bias) * 2^left_shift * multiplier / 2^31) / 2^right_shift) + zero_point). The first \
         rounding is to nearest with ties upwards, the second to nearest with ties away from zero: gemmlowp's double \
         rounding."
    });
    if narrow {
        m.latency("valid, operand, multiplier and shift to result", lane_cycles);
    } else {
        m.latency("valid, operand, bias, multiplier and shifts to result", lane_cycles);
        m.latency("zero_point to result", all - begin(LaneStage::Offset));
    }
    m.latency("minimum and maximum to result", all - begin(LaneStage::Compared));
    m.section("Operands");
    let operand = m.input("operand", accumulator);
    let bias = (!narrow).then(|| m.input("bias", accumulator));
    let multiplier_bits = multiplier_bits(configuration);
    let multiplier = m.input("multiplier", Type::bits(multiplier_bits));
    let left_shift = (!narrow).then(|| m.input("left_shift", shift));
    let right_shift = m.input("right_shift", shift);
    m.section("Control");
    let valid = m.input("valid", bit());
    let zero_point = (!narrow).then(|| m.input("zero_point", element));
    let minimum = m.input("minimum", element);
    let maximum = m.input("maximum", element);
    // Comes with the limits.
    let masked = configuration.extensions.map(|_| m.input("masked", bit()));
    m.section("Result");
    let result = m.output("result", element);

    let follow = follow_valid(&mut m, &valid, lane_cycles - 1);
    // Set while the operand of this lane has come as far as the registers of `stage`, so that they must take it over; nothing where
    // the configuration leaves them out.
    let at = |stage: LaneStage| {
        let begin = begin(stage) - first;
        let comes = if begin == 0 { Expr::from(&valid) } else { follow.bit(begin - 1) };
        (stage.cycles(configuration) > 0).then_some(comes)
    };
    let held = |m: &mut ModuleBuilder, name: &str, stage: LaneStage, value: Expr| {
        Expr::from(&held_if(m, name, at(stage).as_ref(), value))
    };
    let (mut shifted, mut multiplier) = (Expr::from(&operand), Expr::from(&multiplier));
    if let (Some(bias), Some(left_shift)) = (&bias, &left_shift) {
        m.section("Bias");
        let sum = held(&mut m, "sum", LaneStage::Sum, shifted.add(Expr::from(bias)));
        let left_shift = held(&mut m, "left_shift_q", LaneStage::Sum, Expr::from(left_shift));
        m.section("Left shift");
        // By multiples of eight, then by the rest: a barrel shifter in one cycle would set the pace of the machine.
        let eights = by_eights(&left_shift);
        let coarse = held(&mut m, "shifted_by_eights", LaneStage::CoarseLeft, sum.shift_left_by(eights));
        let fine = held(&mut m, "left_shift_rest", LaneStage::CoarseLeft, left_shift.slice(0, FINE_SHIFT_BITS));
        shifted = held(&mut m, "shifted", LaneStage::Left, coarse.shift_left_by(fine));
        multiplier = [LaneStage::Sum, LaneStage::CoarseLeft, LaneStage::Left]
            .into_iter()
            .enumerate()
            .fold(multiplier, |waiting, (k, stage)| held(&mut m, &format!("multiplier_{k}"), stage, waiting));
    }
    m.section("Scale");
    let product = if configuration.pipeline.compact {
        primitives::compact_scale_multiplier(bits, multiplier_bits)
    } else {
        primitives::scale_multiplier(bits, multiplier_bits, in_cells)
    };
    let stage = if narrow { LaneStage::NarrowProduct } else { LaneStage::Product };
    let cycles = match (configuration.pipeline.compact, narrow) {
        (true, _) => 1,
        (false, true) => 4,
        (false, false) => 6,
    };
    debug_assert_eq!(stage.cycles(configuration), cycles);
    let product = m.instance("scale", &product, vec![("a", shifted), ("b", multiplier)])?.output("p");
    // Doubled high half, rounded: bits 30 (12) and up, plus 1, halved. The multiplier is below 2^31 (2^13), so it always fits: no
    // saturation is needed.
    let lowest = multiplier_bits - 1;
    m.unused(Expr::from(&product).slice(0, lowest));
    let upper = Expr::from(&product).slice(lowest, bits + 1);
    let one = literal(1, Type::bits(bits + 1));
    let rounded = m.wire("rounded", upper.add(one));
    m.unused(Expr::from(&rounded).bit(0));
    let high = held(&mut m, "high", LaneStage::High, Expr::from(&rounded).slice(1, bits).as_signed());

    // Right shift, rounding to nearest, ties away from zero: add half, less one for negative numbers, then floor.
    m.section("Right shift");
    let right = Expr::from(&m.delay("right_shift_at_high", Expr::from(&right_shift), begin(LaneStage::High) - first));
    let negative = high.bit(bits - 1);
    // For a shift by n, bit n - 1 alone, or all bits below it. Both are ready before the sign is known.
    let mut ready = |name: &str, mask: Expr| {
        m.unused(mask.bit(0));
        Expr::from(&m.delay(name, mask.slice(1, bits - 1), LaneStage::High.cycles(configuration) as usize))
    };
    let (one, zero) = (literal(1, Type::bits(bits)), literal(0, Type::bits(bits)));
    let of_positive = ready("half_of_positive", one.shift_left_by(&right));
    let of_negative = ready("half_of_negative", zero.not().shift_left_by(&right).not());
    let half = negative.choose(of_negative, of_positive);
    let right = Expr::from(&m.delay("right_shift_at_half", right, LaneStage::High.cycles(configuration) as usize));
    let half = held(&mut m, "half", LaneStage::Half, half);
    let high = held(&mut m, "high_q", LaneStage::Half, high);
    let with_half = high.extend(bits + 1).add(half.extend(bits + 1).as_signed());
    let with_half = held(&mut m, "with_half", LaneStage::WithHalf, with_half);
    let right =
        Expr::from(&m.delay("right_shift_at_sum", right, begin(LaneStage::CoarseRight) - begin(LaneStage::Half)));
    let eights = by_eights(&right);
    let coarse = held(&mut m, "scaled_by_eights", LaneStage::CoarseRight, with_half.shift_right_by(eights));
    let fine = Expr::from(&m.delay(
        "right_shift_rest",
        right.slice(0, FINE_SHIFT_BITS),
        LaneStage::CoarseRight.cycles(configuration) as usize,
    ));
    let scaled = held(&mut m, "scaled", LaneStage::Right, coarse.shift_right_by(fine));
    m.section("Output");
    m.unused(scaled.bit(bits));
    // The sum wraps at 32 bits, as the reference's does.
    let mut offset = scaled.truncate(bits);
    if let Some(zero_point) = &zero_point {
        offset = held(&mut m, "offset", LaneStage::Offset, offset.add(Expr::from(zero_point).extend(bits)));
    }
    let enables = [at(LaneStage::Compared), at(LaneStage::Clamped)];
    let clamped = super::clamp(&mut m, enables, &offset, [&minimum, &maximum], masked.as_ref());
    m.drive(&result, Expr::from(&clamped));
    m.finish()
}
