//! Softmax of a row of int8 elements.
//!
//! `exp((x - maximum) × scale × beta)` of each element in Q0.31, their sum in Q12.19, its reciprocal, and a product and a
//! rounding shift for each element. The output's scale is 1/256 and its zero point -128, always.

use serde::{Deserialize, Serialize};

use super::functions::{exp_on_negative_values, reciprocal};
use super::{
    Rounding, multiply_by_quantized_multiplier, quantize_multiplier, rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
};

/// Integer bits of the exponential's argument.
const DIFFERENCE_INTEGER_BITS: u32 = 5;

/// Integer bits of the sum.
const SUM_INTEGER_BITS: u32 = 12;

/// The scale of the differences, and which of them count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Softmax {
    /// Fraction of the scale from a difference to Q5.26, in units of 2⁻³¹.
    pub multiplier: i32,
    /// Power of two of that scale: 0 to 31, to the left.
    pub shift: i32,
    /// Elements below the maximum by more than this (which is negative or 0) count as nothing.
    pub minimum_difference: i32,
}

impl Softmax {
    /// Elements of a row, at most: the sum of 512 equal ones is beyond what the last shift can undo (the reference aborts).
    pub const LONGEST_ROW: usize = 511;

    /// For an input of scale `scale` and the factor `beta`; `None` where their product is not above 2⁻²⁶ or not finite (the
    /// reference aborts).
    #[must_use]
    pub fn new(scale: f64, beta: f64) -> Option<Self> {
        let fraction = f64::from(31 - DIFFERENCE_INTEGER_BITS).exp2();
        let real = beta * scale * fraction;
        if !(real.is_finite() && real > 1.0) {
            return None;
        }
        let (multiplier, shift) = quantize_multiplier(real.min(f64::from(i32::MAX)));
        let minimum_difference = -input_radius(DIFFERENCE_INTEGER_BITS, shift);
        Some(Self { multiplier, shift, minimum_difference })
    }

    /// `exp` of an element that is `difference` (not positive) above the row's maximum, in Q0.31; `None` for one that counts
    /// as nothing. At most 256 values: a table.
    #[must_use]
    pub fn exponential(&self, difference: i32) -> Option<i32> {
        if difference < self.minimum_difference {
            return None;
        }
        let scaled = multiply_by_quantized_multiplier(difference, self.multiplier, self.shift, Rounding::Double);
        Some(exp_on_negative_values(scaled, DIFFERENCE_INTEGER_BITS))
    }

    /// What an exponential adds to the sum: rounded to Q12.19.
    #[must_use]
    pub fn summand(exponential: i32) -> i32 {
        rounding_divide_by_pot(exponential, SUM_INTEGER_BITS)
    }

    /// The output for one exponential, given the sum of all: within -128..=127.
    #[must_use]
    pub fn output(exponential: i32, sum: i32) -> i32 {
        let (scale, exponent) = reciprocal(sum, SUM_INTEGER_BITS);
        let product = saturating_rounding_doubling_high_mul(scale, exponential);
        let shift = (exponent + 31 - 8).clamp(0, 31) as u32;
        (rounding_divide_by_pot(product, shift) - 128).clamp(-128, 127)
    }

    /// The output of a row, element by element.
    #[must_use]
    pub fn apply(&self, row: &[i8]) -> Vec<i8> {
        let maximum = row.iter().copied().max().map_or(0, i32::from);
        let exponentials: Vec<Option<i32>> =
            row.iter().map(|&element| self.exponential(i32::from(element) - maximum)).collect();
        let sum = exponentials.iter().flatten().fold(0_i32, |sum, &value| sum.wrapping_add(Self::summand(value)));
        let output = |value: &Option<i32>| value.map_or(i8::MIN, |value| Self::output(value, sum) as i8);
        exponentials.iter().map(output).collect()
    }
}

/// Largest element whose product with a scale of `shift` has at most `integer_bits` integer bits: TFLite's
/// `CalculateInputRadius` for 31 bits. `shift` is 0 to 62.
pub(super) fn input_radius(integer_bits: u32, shift: i32) -> i32 {
    let largest = f64::from((1_i32 << integer_bits) - 1) * f64::from(31 - integer_bits).exp2();
    (largest / f64::from(shift).exp2()).floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_is_the_softmax_of_its_real_values(row in prop::collection::vec(any::<i8>(), 1..40), scale in 0.001_f64..1.0) {
            let output = Softmax::new(scale, 1.0).map(|softmax| softmax.apply(&row));
            let exponentials: Vec<f64> = row.iter().map(|&x| ((f64::from(x) - 127.0) * scale).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            for (&got, exact) in output.iter().flatten().zip(&exponentials) {
                let exact = (256.0 * exact / sum - 128.0).min(127.0);
                prop_assert!((f64::from(got) - exact).abs() < 0.51, "{got} for {exact}");
            }
        }

        #[test]
        fn nothing_panics(row in prop::collection::vec(any::<i8>(), 0..600), multiplier: i32, shift: i32, minimum_difference: i32) {
            let softmax = Softmax { multiplier, shift, minimum_difference };
            prop_assert_eq!(softmax.apply(&row).len(), row.len());
        }
    }

    #[test]
    fn the_longest_row_of_equals_shares_evenly() {
        let softmax = Softmax::new(0.1, 1.0);
        let output = softmax.map(|softmax| softmax.apply(&[5; Softmax::LONGEST_ROW]));
        assert_eq!(output, Some(vec![-127; Softmax::LONGEST_ROW]));
    }

    #[test]
    fn a_scale_too_small_for_fixed_point_is_refused() {
        assert_eq!(Softmax::new(f64::from(-26).exp2(), 1.0), None);
        assert_eq!(Softmax::new(0.1, 0.0), None);
        assert_eq!(Softmax::new(0.1, f64::NAN), None);
    }
}
