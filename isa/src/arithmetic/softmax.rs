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

    /// Distances of an element from the largest of its row: as many entries has a table of exponentials.
    pub const EXPONENTIALS: usize = 256;

    /// Bits of an exponential in Q0.31, which is not negative.
    pub const EXPONENTIAL_BITS: u32 = 31;

    /// Bits of a sum of [`LONGEST_ROW`](Self::LONGEST_ROW) summands, each at most [`LEAST_SUM`](Self::LEAST_SUM).
    pub const SUM_BITS: u32 = 28;

    /// The least sum that a row can have: that of its largest element alone, 1 in Q12.19.
    pub const LEAST_SUM: i32 = 1 << (31 - SUM_INTEGER_BITS);

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

    /// The exponentials by the distance below the largest element, 0 for those that count as nothing: the machine's table.
    #[must_use]
    pub fn exponentials(&self) -> Vec<i32> {
        (0..Self::EXPONENTIALS as i32).map(|distance| self.exponential(-distance).unwrap_or(0)).collect()
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

/// A row under way in the machine: what its passes have found so far. For a row that stays the same in all passes, the outputs are those of
/// [`Softmax::apply`]; whatever else the passes meet, the outputs are defined, and the hardware's are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// The largest element.
    pub largest: i8,
    /// The exponentials' sum in Q12.19.
    pub sum: i32,
}

impl Row {
    /// The first pass: takes an element, the `first` of the row or another.
    #[inline]
    pub fn compare(&mut self, first: bool, element: i8) {
        self.largest = if first { element } else { self.largest.max(element) };
    }

    /// The place of an element's exponential in the table: how far it lies below the largest, modulo the table.
    #[must_use]
    #[inline]
    pub fn distance(&self, element: i8) -> usize {
        usize::from(self.largest.wrapping_sub(element) as u8)
    }

    /// The second pass: takes an exponential.
    #[inline]
    pub fn add(&mut self, first: bool, exponential: i32) {
        let before = if first { 0 } else { self.sum };
        self.sum = before.wrapping_add(Softmax::summand(exponential));
    }

    /// The third pass: the output for an exponential. A sum below that of any row gets the bit of the least one.
    #[must_use]
    #[inline]
    pub fn output(&self, exponential: i32) -> i8 {
        let sum = if self.sum < Softmax::LEAST_SUM { self.sum | Softmax::LEAST_SUM } else { self.sum };
        Softmax::output(exponential, sum) as i8
    }
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
        fn the_passes_of_the_machine_come_to_the_same(
            row in prop::collection::vec(any::<i8>(), 1..=Softmax::LONGEST_ROW), scale in 0.001_f64..1.0
        ) {
            let Some(softmax) = Softmax::new(scale, 1.0) else { return Ok(()) };
            let (table, mut passes) = (softmax.exponentials(), Row { largest: 9, sum: -7 });
            row.iter().enumerate().for_each(|(index, &element)| passes.compare(index == 0, element));
            for (index, &element) in row.iter().enumerate() {
                passes.add(index == 0, table[passes.distance(element)]);
            }
            prop_assert!((Softmax::LEAST_SUM..1 << Softmax::SUM_BITS).contains(&passes.sum));
            let output: Vec<i8> = row.iter().map(|&element| passes.output(table[passes.distance(element)])).collect();
            prop_assert_eq!(output, softmax.apply(&row));
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
