//! gemmlowp's fixed-point functions of one 32-bit number: exponential, logistic and reciprocal.
//!
//! `Qm.n` is an integer in units of 2⁻ⁿ with `m + n = 31`. Every product is a
//! [`saturating_rounding_doubling_high_mul`](super::saturating_rounding_doubling_high_mul), so that the product of `Qa` and `Qb` has `a + b` integer bits; every loss of
//! bits is a [`rounding_divide_by_pot`]. The constants are those of the source: the real number beside each, rounded.

use super::{rounding_divide_by_pot, saturating_rounding_doubling_high_mul as multiply};

/// `x × 2^exponent`, saturated: gemmlowp's `SaturatingRoundingMultiplyByPOT` with a positive exponent of at most 31.
#[inline]
fn shift_left_saturating(x: i32, exponent: u32) -> i32 {
    (i64::from(x) << exponent).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// `(a + b) / 2`, rounded with halves away from zero.
#[inline]
fn rounding_half_sum(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32
}

/// `exp(a)` in Q0.31 for `a` in Q0.31 within -1/4..0: four terms of the series around -1/8.
#[inline]
fn exp_between_minus_one_quarter_and_zero(a: i32) -> i32 {
    /// exp(-1/8)
    const CONSTANT: i32 = 1_895_147_668;
    /// 1/3
    const ONE_THIRD: i32 = 715_827_883;
    let x = a.wrapping_add(1 << 28);
    let x2 = multiply(x, x);
    let x3 = multiply(x2, x);
    let x4_over_4 = rounding_divide_by_pot(multiply(x2, x2), 2);
    let tail = rounding_divide_by_pot(multiply(x4_over_4.wrapping_add(x3), ONE_THIRD).wrapping_add(x2), 1);
    CONSTANT.wrapping_add(multiply(CONSTANT, x.wrapping_add(tail)))
}

/// `exp(a)` in Q0.31 for `a <= 0` with `integer_bits` (1 to 5) integer bits; 1 is `i32::MAX`.
///
/// gemmlowp's `exp_on_negative_values`: the part of `a` below 1/4 by a series, each bit above by a factor.
#[must_use]
pub fn exp_on_negative_values(a: i32, integer_bits: u32) -> i32 {
    /// exp(-2^exponent) for the exponents from -2.
    const FACTORS: [i32; 7] = [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    let integer_bits = integer_bits.clamp(1, 5);
    let fraction_bits = 31 - integer_bits;
    let quarter = 1_i32 << (fraction_bits - 2);
    let low = (a & (quarter - 1)) - quarter;
    let mut result = exp_between_minus_one_quarter_and_zero(shift_left_saturating(low, integer_bits));
    let remainder = low.wrapping_sub(a);
    for (index, factor) in FACTORS.into_iter().enumerate().take(integer_bits as usize + 2) {
        if remainder & (1 << (fraction_bits - 2 + index as u32)) != 0 {
            result = multiply(result, factor);
        }
    }
    if a == 0 { i32::MAX } else { result }
}

/// 48/17 and -32/17 in Q2.29: the straight line that [`one_over_one_plus`] begins with, which the hardware begins with too.
pub const RECIPROCAL_GUESS: [i32; 2] = [1_515_870_810, -1_010_580_540];

/// `1 / (1 + a)` in Q0.31 for `a` in Q0.31 within 0..=1: three Newton steps.
#[must_use]
pub fn one_over_one_plus(a: i32) -> i32 {
    let half_denominator = rounding_half_sum(a, i32::MAX);
    let mut x = RECIPROCAL_GUESS[0].wrapping_add(multiply(half_denominator, RECIPROCAL_GUESS[1]));
    for _ in 0..3 {
        let rest = (1_i32 << 29).wrapping_sub(multiply(half_denominator, x));
        x = x.wrapping_add(shift_left_saturating(multiply(x, rest), 2));
    }
    shift_left_saturating(x, 1)
}

/// `1 / (1 + exp(-a))` in Q0.31 for `a` in Q4.27.
#[must_use]
pub fn logistic(a: i32) -> i32 {
    let magnitude = if a > 0 { a } else { a.wrapping_neg() };
    let positive = one_over_one_plus(exp_on_negative_values(magnitude.wrapping_neg(), 4));
    match a.signum() {
        0 => 1 << 30,
        1 => positive,
        _ => i32::MAX.wrapping_sub(positive),
    }
}

/// The reciprocal of `x`, a positive number with `integer_bits` integer bits, as `(fraction, exponent)`:
/// `1 / x = fraction / 2^31 / 2^exponent`, the fraction in Q0.31 and at least one half.
#[must_use]
pub fn reciprocal(x: i32, integer_bits: u32) -> (i32, i32) {
    let headroom = (x as u32).leading_zeros().min(31);
    let minus_one = ((x as u32) << headroom).wrapping_sub(1 << 31) as i32;
    (one_over_one_plus(minus_one), integer_bits as i32 - headroom as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn real(x: i32, integer_bits: u32) -> f64 {
        f64::from(x) / f64::from(31 - integer_bits).exp2()
    }

    proptest! {
        #[test]
        fn the_exponential_is_right_to_22_bits(a in i32::MIN..=0) {
            for integer_bits in [4, 5] {
                let error = real(exp_on_negative_values(a, integer_bits), 0) - real(a, integer_bits).exp();
                prop_assert!(error.abs() < f64::from(-22).exp2(), "{error:e} at {}", real(a, integer_bits));
            }
        }

        #[test]
        fn the_logistic_is_right_to_22_bits_and_symmetric(a in (i32::MIN + 1)..=i32::MAX) {
            let error = real(logistic(a), 0) - 1.0 / (1.0 + (-real(a, 4)).exp());
            prop_assert!(error.abs() < f64::from(-22).exp2(), "{error:e} at {}", real(a, 4));
            prop_assert!((i64::from(logistic(a)) + i64::from(logistic(-a)) - (1 << 31)).abs() <= 1);
        }

        #[test]
        fn the_reciprocal_is_right_to_22_bits(x in 1_i32..=i32::MAX, integer_bits in 0_u32..=12) {
            let (fraction, exponent) = reciprocal(x, integer_bits);
            let error = real(fraction, 0) / f64::from(exponent).exp2() * real(x, integer_bits) - 1.0;
            prop_assert!(error.abs() < f64::from(-22).exp2(), "{error:e} at {}", real(x, integer_bits));
        }

        #[test]
        fn no_argument_panics(a: i32, bits: u32) {
            let _ = (exp_on_negative_values(a, bits), one_over_one_plus(a), logistic(a), reciprocal(a, bits));
        }
    }

    #[test]
    fn the_ends_of_the_ranges() {
        assert_eq!(exp_on_negative_values(0, 5), i32::MAX);
        assert_eq!(exp_on_negative_values(i32::MIN, 5), 0);
        assert_eq!(logistic(0), 1 << 30);
        assert_eq!(reciprocal(1 << 19, 12).1, 0);
    }
}
