//! Requantiser lane: gemmlowp's doubling high multiplication and rounding shift, bit for bit.

use super::{bit, follow_valid, held_while_idle};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, ELEMENT_BITS};
use lpu_isa::host::{SCALE_MULTIPLIER_BITS, SCALE_SHIFT_BITS};
use lpu_isa::latency::{REQUANTISER_STAGES, SOFT_MULTIPLIER};
use std::sync::Arc;

/// One lane of the requantiser.
///
/// # Errors
/// None.
pub fn requantiser_lane() -> Result<Arc<Module>, DesignError> {
    debug_assert_eq!(primitives::SOFT_MULTIPLIER_STAGES, SOFT_MULTIPLIER as usize);
    let bits = ACCUMULATOR_BITS as usize;
    let accumulator = Type::signed(bits);
    let element = Type::signed(ELEMENT_BITS as usize);
    let shift = Type::bits(SCALE_SHIFT_BITS as usize);
    let mut m = ModuleBuilder::new("requantiser_lane");
    m.describe(
        "result = clamp(round(round(operand * 2^left_shift * multiplier / 2^31) / 2^right_shift) + zero_point). The first \
         rounding is to nearest with ties upwards, the second to nearest with ties away from zero: gemmlowp's double \
         rounding.",
    );
    m.latency("valid, operand, multiplier and shifts to result", REQUANTISER_STAGES as usize - 1);
    m.latency("zero_point to result", 2);
    m.latency("minimum and maximum to result", 1);
    m.section("Operands");
    let operand = m.input("operand", accumulator);
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
    let shifted = held_while_idle(&mut m, "shifted", &at(0), Expr::from(&operand).shift_left_by(&left_shift));
    let multiplier = held_while_idle(&mut m, "multiplier_q", &at(0), Expr::from(&multiplier));
    let product = primitives::soft_multiplier(bits, SCALE_MULTIPLIER_BITS as usize);
    let product = m.instance(
        "scale",
        &product,
        vec![("enable", at(1)), ("a", Expr::from(&shifted)), ("b", Expr::from(&multiplier))],
    )?;
    let product = product.output("p");
    // The multiplier is below 2^31, so the doubled high half always fits: no saturation is needed.
    let half = literal(1 << (SCALE_MULTIPLIER_BITS - 1), product.ty());
    let rounded = m.wire("rounded", Expr::from(&product).add(half));
    m.unused(Expr::from(&rounded).slice(0, SCALE_MULTIPLIER_BITS as usize));
    let high = Expr::from(&rounded).slice(SCALE_MULTIPLIER_BITS as usize, bits).as_signed();
    let arrived = 1 + SOFT_MULTIPLIER as usize;
    let high = held_while_idle(&mut m, "high", &at(arrived), high);

    // Right shift, rounding to nearest, ties away from zero: add half less one for negative numbers, then floor.
    let right = m.delay("right_shift_at_high", Expr::from(&right_shift), arrived + 1);
    let one = literal(1, Type::bits(bits));
    let power = m.wire("power", one.shift_left_by(&right));
    m.unused(Expr::from(&power).bit(0));
    let half = Expr::from(&power).slice(1, bits - 1).extend(bits + 1).as_signed();
    let negative = Expr::from(&high).bit(bits - 1);
    let correction = negative.and(Expr::from(&right).any()).extend(bits + 1).as_signed();
    let with_half = Expr::from(&high).extend(bits + 1).add(half.sub(correction));
    let with_half = held_while_idle(&mut m, "with_half", &at(arrived + 1), with_half);
    let right = m.delay("right_shift_at_half", Expr::from(&right), 1);
    let scaled = Expr::from(&with_half).shift_right_by(&right).truncate(bits);
    let scaled = held_while_idle(&mut m, "scaled", &at(arrived + 2), scaled);
    let offset = Expr::from(&scaled).add(Expr::from(&zero_point).extend(bits));
    let offset = held_while_idle(&mut m, "offset", &at(arrived + 3), offset);
    let clamped = super::clamp(&Expr::from(&offset), &Expr::from(&minimum), &Expr::from(&maximum));
    let clamped = held_while_idle(&mut m, "clamped", &at(arrived + 4), clamped);
    m.drive(&result, Expr::from(&clamped));
    m.finish()
}
