//! Means of int8 elements: of a pooling window, and over axes into another scale.

use super::MINIMUM_SHIFT;

/// `sum / count`, rounded to nearest with halves away from zero; 0 where `count` is 0. What an average pool computes: of the
/// elements as they are, zero point included.
#[must_use]
#[inline]
pub fn average(sum: i32, count: i32) -> i32 {
    if count <= 0 {
        return 0;
    }
    let half = count / 2;
    if sum > 0 { sum.wrapping_add(half) / count } else { sum.wrapping_sub(half) / count }
}

/// The scale `(multiplier, shift)` divided by `count`, as the mean over axes has it: the quotient of the multiplier is
/// truncated after a shift by as many bits as `count` has below its highest.
///
/// The multiplier that comes back is at least 2²⁹ and **may lack the bit 2³⁰** that [`quantize_multiplier`] sets: it must not
/// be normalised, because the two roundings would then round elsewhere. `count` is positive; 0 gives the scale back.
///
/// [`quantize_multiplier`]: super::quantize_multiplier
#[must_use]
pub fn divide_scale((multiplier, shift): (i32, i32), count: u64) -> (i32, i32) {
    let Some(bits) = count.checked_ilog2() else { return (multiplier, shift) };
    let bits = (bits as i32).min(32).min(shift - MINIMUM_SHIFT).max(0);
    let quotient = (i128::from(multiplier) << bits) / i128::from(count);
    (quotient as i32, shift - bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_average_is_the_nearest_integer_with_halves_away_from_zero(sum in -1_000_000_i32..1_000_000, count in 1_i32..5000) {
            let exact = f64::from(sum) / f64::from(count);
            prop_assert_eq!(f64::from(average(sum, count)), exact.abs().mul_add(1.0, 0.5).floor().copysign(exact) + 0.0);
        }

        #[test]
        fn a_divided_scale_is_the_scale_over_the_count(
            multiplier in (1_i32 << 30)..=i32::MAX, shift in -10_i32..10, count in 1_u64..100_000
        ) {
            let (quotient, lower) = divide_scale((multiplier, shift), count);
            let real = |multiplier: i32, shift: i32| f64::from(multiplier) * f64::from(shift - 31).exp2();
            let error = real(quotient, lower) * count as f64 / real(multiplier, shift) - 1.0;
            prop_assert!(error <= 0.0 && error > -f64::from(-28).exp2());
            prop_assert!(quotient >= 1 << 29);
        }

        #[test]
        fn no_argument_panics(sum: i32, count: i32, multiplier: i32, shift in -31_i32..=30, divisor: u64) {
            let _ = (average(sum, count), divide_scale((multiplier, shift), divisor));
        }
    }
}
