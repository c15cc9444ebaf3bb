//! Integer arithmetic of quantised networks, written once.
//!
//! The golden model, the cycle model and the compiler call these functions; the RTL equals them bit for bit. The
//! reference is tflite-micro: a 32-bit accumulator is scaled by a fixed-point number, rounded **twice** (as gemmlowp
//! does it), moved to the output's zero point and clamped.
//!
//! # The scale
//! A real scale `r > 0` is carried as `(multiplier, shift)` with
//!
//! ```text
//! r ≈ multiplier / 2^31 × 2^shift        2^30 <= multiplier < 2^31,  -31 <= shift
//! ```
//!
//! and applied as
//!
//! ```text
//! left  = max(shift, 0)     right = max(-shift, 0)
//! high  = round_half_away((x × 2^left) × multiplier / 2^31)      SaturatingRoundingDoublingHighMul
//! value = round_half_away(high / 2^right)                        RoundingDivideByPOT
//! ```
//!
//! The two roundings make the result differ by one from the single rounding of newer LiteRT kernels now and then;
//! [`Rounding`] names both so that a swap can be shown to matter.
//!
//! # Beyond the scale
//! | module | holds |
//! | --- | --- |
//! | this one | scaling an accumulator, fused activations, requantising |
//! | [`addition`] | the sum of two elements in two scales |
//! | [`mean`] | averages of a window, means over axes |
//! | [`softmax`], [`logistic`] | those functions of int8 elements |
//! | [`functions`] | exponential, logistic and reciprocal of 32-bit fixed-point numbers, which they are made of |
//!
//! # Overflow
//! Everything wraps at 32 bits where the reference's `int32_t` does (there it is undefined; its builds wrap), and
//! nothing panics for any argument. Hardware of 32 bits needs no special case but the one saturation of
//! [`saturating_rounding_doubling_high_mul`].
//!
//! ```
//! use lpu_isa::arithmetic::{Requantise, Rounding, quantize_multiplier};
//!
//! // An accumulator in units of 0.5 × 0.03, an output in units of 0.25 around the zero point -3.
//! let (multiplier, shift) = quantize_multiplier(0.5 * 0.03 / 0.25);
//! let requantise =
//!     Requantise { multiplier, shift, zero_point: -3, minimum: -128, maximum: 127, rounding: Rounding::Double };
//! assert_eq!(requantise.apply(1000), 60 - 3);
//! assert_eq!(requantise.apply(1_000_000), 127);
//! ```

pub mod addition;
pub mod functions;
pub mod logistic;
pub mod mean;
pub mod softmax;

use serde::{Deserialize, Serialize};

/// The largest left shift of [`multiply_by_quantized_multiplier`] that means anything in 32 bits.
pub const MAXIMUM_SHIFT: i32 = 30;

/// The largest right shift, negated: a scale below 2⁻³² or so is carried as zero instead.
pub const MINIMUM_SHIFT: i32 = -31;

/// How many times a product is rounded on its way from 62 bits to the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Twice: gemmlowp's high multiply, then its rounding shift. What tflite-micro computes, and the default.
    #[default]
    Double,
    /// Once, half towards plus infinity, as LiteRT built with `TFLITE_SINGLE_ROUNDING`.
    Single,
}

/// The activation functions that a layer may fuse into its clamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// The whole int8 range.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
}

/// The high 32 bits of `2 × a × b`, rounded to nearest with halves towards plus infinity; `i32::MAX` for the one product
/// that does not fit (`i32::MIN × i32::MIN`).
///
/// gemmlowp's `SaturatingRoundingDoublingHighMul`: `(a × b + nudge) / 2^31` with a division that truncates, where the
/// nudge is `2^30` for a product `>= 0` and `1 - 2^30` for one below. That equals `(a × b + 2^30) >> 31` with an
/// arithmetic shift, for every pair: one adder in hardware.
#[must_use]
#[inline]
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    // The product is at most 2^62 - 2^31 here, so that the result fits in 32 bits.
    ((i64::from(a) * i64::from(b) + (1_i64 << 30)) >> 31) as i32
}

/// `x / 2^exponent`, rounded to nearest with halves away from zero. `exponent` is 0 to 31; larger ones count as 31.
///
/// gemmlowp's `RoundingDivideByPOT`: an arithmetic shift, plus one where the bits shifted out exceed half a unit (for
/// negative `x`: reach more than half, because the shift has rounded down already).
#[must_use]
#[inline]
pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let exponent = exponent.min(31);
    let mask = (1_i64 << exponent) - 1;
    let remainder = i64::from(x) & mask;
    let threshold = (mask >> 1) + i64::from(x < 0);
    (x >> exponent) + i32::from(remainder > threshold)
}

/// `x × multiplier / 2^31 × 2^shift`, rounded as `rounding` says. See the module's head for the formula.
///
/// `multiplier` is not negative and `shift` is in [`MINIMUM_SHIFT`]..=[`MAXIMUM_SHIFT`]: whatever
/// [`quantize_multiplier`] returned, checked against [`MAXIMUM_SHIFT`]. Outside that the result means nothing, but it
/// is the same result every time.
///
/// With [`Rounding::Double`] the left shift of a positive `shift` happens first and wraps at 32 bits: tflite-micro
/// writes `x * (1 << left_shift)`.
#[must_use]
#[inline]
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i32, rounding: Rounding) -> i32 {
    let shift = shift.clamp(MINIMUM_SHIFT, 31);
    match rounding {
        Rounding::Double => {
            let left = shift.max(0) as u32;
            let right = (-shift).max(0) as u32;
            let shifted = x.wrapping_mul(1_i32.wrapping_shl(left));
            rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)
        }
        Rounding::Single => {
            let total = 31 - shift.min(MAXIMUM_SHIFT);
            let half = 1_i64 << (total - 1);
            ((i64::from(x) * i64::from(multiplier) + half) >> total) as i32
        }
    }
}

/// A real scale as `(multiplier, shift)` with `real ≈ multiplier / 2^31 × 2^shift`: TFLite's `QuantizeMultiplier`.
///
/// The multiplier has its top bit set (`2^30..2^31`), rounded to nearest with halves away from zero; a fraction that
/// rounds up to `2^31` becomes `2^30` with the next shift. Zero, and anything below about 2⁻³², gives `(0, 0)`, which
/// scales everything to zero. Large scales give shifts above [`MAXIMUM_SHIFT`]: the caller refuses them. What is not
/// finite gives `(0, 0)`: the caller refuses it before.
#[must_use]
pub fn quantize_multiplier(real: f64) -> (i32, i32) {
    if real == 0.0 || !real.is_finite() {
        return (0, 0);
    }
    let (fraction, mut shift) = split_float(real);
    // |fraction| < 1, therefore |fixed| <= 2^31.
    let mut fixed = (fraction * (1_i64 << 31) as f64).round() as i64;
    if fixed == 1 << 31 {
        fixed /= 2;
        shift += 1;
    }
    if shift < MINIMUM_SHIFT {
        return (0, 0);
    }
    (fixed as i32, shift)
}

/// `value = fraction × 2^exponent` with `0.5 <= |fraction| < 1`: C's `frexp` for a finite number that is not zero.
fn split_float(value: f64) -> (f64, i32) {
    const FRACTION_BITS: u32 = 52;
    const EXPONENT_MASK: u64 = 0x7ff;
    let biased = (value.to_bits() >> FRACTION_BITS) & EXPONENT_MASK;
    if biased == 0 {
        // Subnormal: make it normal first. The product is exact.
        let (fraction, exponent) = split_float(value * (1_u64 << 63) as f64);
        return (fraction, exponent - 63);
    }
    let mantissa = value.to_bits() & !(EXPONENT_MASK << FRACTION_BITS);
    (f64::from_bits(mantissa | (1022 << FRACTION_BITS)), biased as i32 - 1022)
}

/// The clamp of an int8 output with a fused activation, both ends included: TFLite's
/// `CalculateActivationRangeQuantized`.
///
/// `scale` is the output's (positive, finite), `zero_point` its zero point (-128..=127). The bounds 0, 6, -1 and 1 are
/// divided by the scale in single precision and rounded to nearest, halves away from zero; the result lies within
/// -128..=127 and is never empty.
#[must_use]
pub fn activation_range(activation: Activation, scale: f32, zero_point: i32) -> (i32, i32) {
    match activation {
        Activation::None => clamp_range(f32::NEG_INFINITY, f32::INFINITY, scale, zero_point),
        Activation::Relu => clamp_range(0.0, f32::INFINITY, scale, zero_point),
        Activation::Relu6 => clamp_range(0.0, 6.0, scale, zero_point),
        Activation::ReluN1To1 => clamp_range(-1.0, 1.0, scale, zero_point),
    }
}

/// The clamp of an int8 output to the real numbers from `lowest` to `highest`, both ends included, in the way of
/// [`activation_range`]. An infinite bound is none. Where `lowest` is not above `highest`, it is never empty.
#[must_use]
pub fn clamp_range(lowest: f32, highest: f32, scale: f32, zero_point: i32) -> (i32, i32) {
    // The cast saturates, as far beyond int8 as it needs to.
    let quantised = |real: f32| zero_point.saturating_add((real / scale).round() as i32).clamp(-128, 127);
    (quantised(lowest), quantised(highest))
}

/// From a 32-bit accumulator to an element of the output: scale, round, move to the zero point, clamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requantise {
    /// Fraction of the scale in units of 2⁻³¹; not negative.
    pub multiplier: i32,
    /// Power of two of the scale: left where positive, right where negative.
    pub shift: i32,
    /// Added after the scaling: the output's zero point.
    pub zero_point: i32,
    /// Lower end of the clamp, included.
    pub minimum: i32,
    /// Upper end of the clamp, included; not below `minimum`.
    pub maximum: i32,
    /// How the product is rounded.
    pub rounding: Rounding,
}

impl Requantise {
    /// The scale one: `multiply_by_quantized_multiplier(x, IDENTITY.0, IDENTITY.1, _)` is `x` for every `x` of up to 31
    /// bits.
    pub const IDENTITY: (i32, i32) = (1 << 30, 1);

    /// The output element of `accumulator`, within `minimum..=maximum`.
    ///
    /// The addition of the zero point wraps, as the reference's does: a scale so large that the scaled value comes
    /// within a zero point of 2³¹ ends at the wrong end of the clamp, there and here.
    #[must_use]
    #[inline]
    pub fn apply(&self, accumulator: i32) -> i32 {
        multiply_by_quantized_multiplier(accumulator, self.multiplier, self.shift, self.rounding)
            .wrapping_add(self.zero_point)
            .max(self.minimum)
            .min(self.maximum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of every magnitude, and the corners.
    fn any_word() -> impl Strategy<Value = i32> {
        prop_oneof![
            any::<i32>(),
            (any::<i32>(), 0_u32..32).prop_map(|(x, shift)| x >> shift),
            prop::sample::select(vec![0, 1, -1, i32::MAX, i32::MIN, i32::MIN + 1, 1 << 30, -(1 << 30)]),
        ]
    }

    fn multiplier() -> impl Strategy<Value = i32> {
        prop_oneof![Just(0), (1_i32 << 30)..=i32::MAX, Just(1 << 30), Just(i32::MAX)]
    }

    /// `numerator / 2^bits` to the nearest integer, halves away from zero, by comparing distances.
    fn nearest_half_away(numerator: i128, bits: u32) -> i128 {
        let unit = 1_i128 << bits;
        let magnitude = numerator.abs();
        let (whole, rest) = (magnitude / unit, magnitude % unit);
        (whole + i128::from(2 * rest >= unit)) * numerator.signum()
    }

    proptest! {
        #[test]
        fn high_multiplication_is_the_nudged_and_truncated_quotient_of_the_reference(
            a in any_word(), b in any_word()
        ) {
            let exact = i128::from(a) * i128::from(b);
            let nudge = if exact >= 0 { 1 << 30 } else { 1 - (1 << 30) };
            let expected = ((exact + nudge) / (1 << 31)).min(i128::from(i32::MAX));
            prop_assert_eq!(i128::from(saturating_rounding_doubling_high_mul(a, b)), expected);
        }

        #[test]
        fn high_multiplication_is_off_by_half_a_unit_at_most(a in any_word(), b in any_word()) {
            prop_assume!((a, b) != (i32::MIN, i32::MIN));
            let exact = i128::from(a) * i128::from(b);
            let error = (i128::from(saturating_rounding_doubling_high_mul(a, b)) << 31) - exact;
            prop_assert!(-(1 << 30) < error && error <= 1 << 30, "off by {error} / 2^31");
        }

        #[test]
        fn division_by_a_power_of_two_rounds_halves_away_from_zero(x in any_word(), exponent in 0_u32..32) {
            prop_assert_eq!(
                i128::from(rounding_divide_by_pot(x, exponent)),
                nearest_half_away(i128::from(x), exponent)
            );
        }

        #[test]
        fn single_rounding_is_the_exact_value_rounded_once(
            x in any_word(), multiplier in multiplier(), shift in MINIMUM_SHIFT..=0
        ) {
            let total = (31 - shift) as u32;
            let exact = i128::from(x) * i128::from(multiplier) + (1_i128 << (total - 1));
            prop_assert_eq!(
                i128::from(multiply_by_quantized_multiplier(x, multiplier, shift, Rounding::Single)),
                exact.div_euclid(1_i128 << total)
            );
        }

        #[test]
        fn two_roundings_stay_within_one_unit_of_the_exact_value(
            x in any_word(), multiplier in multiplier(), shift in MINIMUM_SHIFT..=0
        ) {
            let value = i128::from(multiply_by_quantized_multiplier(x, multiplier, shift, Rounding::Double));
            let total = (31 - shift) as u32;
            let error = (value << total) - i128::from(x) * i128::from(multiplier);
            prop_assert!(error.abs() <= 1_i128 << total, "off by {error} / 2^{total}");
        }

        #[test]
        fn a_left_shift_wraps_at_32_bits(x in any_word(), multiplier in multiplier(), shift in 1..=MAXIMUM_SHIFT) {
            let wrapped = (i128::from(x) << shift) as i32;
            prop_assert_eq!(
                multiply_by_quantized_multiplier(x, multiplier, shift, Rounding::Double),
                saturating_rounding_doubling_high_mul(wrapped, multiplier)
            );
        }

        #[test]
        fn no_argument_panics(x: i32, multiplier: i32, shift: i32, exponent: u32, bits: u64, scale: f32, zero: i32) {
            for rounding in [Rounding::Double, Rounding::Single] {
                let _ = multiply_by_quantized_multiplier(x, multiplier, shift, rounding);
            }
            let _ = rounding_divide_by_pot(x, exponent);
            let _ = quantize_multiplier(f64::from_bits(bits));
            for activation in [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1] {
                let _ = activation_range(activation, scale, zero);
            }
        }

        #[test]
        fn a_quantised_scale_is_the_nearest_of_31_bits(exponent in -30_i32..30, fraction in 0.5_f64..1.0) {
            let real = fraction * f64::from(exponent).exp2();
            let (multiplier, shift) = quantize_multiplier(real);
            prop_assert!(multiplier >= 1 << 30);
            let unit = f64::from(shift - 31).exp2();
            prop_assert!((f64::from(multiplier) * unit - real).abs() <= unit / 2.0);
        }

        #[test]
        fn the_identity_scale_changes_nothing(x in -(1_i32 << 30)..(1 << 30)) {
            let (multiplier, shift) = Requantise::IDENTITY;
            for rounding in [Rounding::Double, Rounding::Single] {
                prop_assert_eq!(multiply_by_quantized_multiplier(x, multiplier, shift, rounding), x);
            }
        }

        #[test]
        fn an_output_stays_within_its_clamp(
            accumulator in any_word(), multiplier in multiplier(), shift in MINIMUM_SHIFT..=MAXIMUM_SHIFT,
            zero_point in -128_i32..128, (minimum, maximum) in (-128_i32..128).prop_flat_map(|a| (Just(a), a..128))
        ) {
            let rounding = Rounding::Double;
            let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding };
            prop_assert!((minimum..=maximum).contains(&requantise.apply(accumulator)));
        }

        #[test]
        fn an_activation_range_is_never_empty_and_holds_the_zero_point(
            scale in 1e-30_f32..1e30, zero_point in -128_i32..128
        ) {
            for activation in [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1] {
                let (minimum, maximum) = activation_range(activation, scale, zero_point);
                prop_assert!((minimum..=maximum).contains(&zero_point));
                prop_assert!(minimum >= -128 && maximum <= 127);
            }
        }
    }

    #[test]
    fn the_two_roundings_differ_where_halves_meet() {
        // 2^30 / 2^31 × 3 = 1.5 rounds to 2, and 2 / 4 = 0.5 rounds to 1; the exact value is 0.375.
        assert_eq!(multiply_by_quantized_multiplier(3, 1 << 30, -2, Rounding::Double), 1);
        assert_eq!(multiply_by_quantized_multiplier(3, 1 << 30, -2, Rounding::Single), 0);
    }

    #[test]
    fn the_only_saturating_product_saturates() {
        assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
        assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MAX), i32::MIN + 1);
    }

    #[test]
    fn edges_of_the_quantised_scale() {
        assert_eq!(quantize_multiplier(0.0), (0, 0));
        assert_eq!(quantize_multiplier(1.0), (1 << 30, 1));
        assert_eq!(quantize_multiplier(0.5), (1 << 30, 0));
        // One unit below 1 in double precision rounds up to 2^31, hence to the next power of two.
        assert_eq!(quantize_multiplier(1.0_f64.next_down()), (1 << 30, 1));
        assert_eq!(quantize_multiplier(2.0_f64.powi(-32)), (1 << 30, -31));
        assert_eq!(quantize_multiplier(2.0_f64.powi(-33)), (0, 0));
        assert_eq!(quantize_multiplier(2.0_f64.powi(-32).next_down()), (1 << 30, -31));
        assert_eq!(quantize_multiplier(f64::from_bits(1)), (0, 0));
        assert_eq!(quantize_multiplier(2.0_f64.powi(40)), (1 << 30, 41));
        assert_eq!(quantize_multiplier(-0.5), (-(1 << 30), 0));
        assert_eq!(quantize_multiplier(f64::NAN), (0, 0));
    }

    #[test]
    fn fused_activations_clamp_at_their_quantised_bounds() {
        assert_eq!(activation_range(Activation::None, 0.1, 5), (-128, 127));
        assert_eq!(activation_range(Activation::Relu, 0.1, -20), (-20, 127));
        assert_eq!(activation_range(Activation::Relu6, 0.1, -20), (-20, 40));
        assert_eq!(activation_range(Activation::Relu6, 0.01, -20), (-20, 127));
        assert_eq!(activation_range(Activation::ReluN1To1, 0.4, 3), (0, 6));
    }
}
