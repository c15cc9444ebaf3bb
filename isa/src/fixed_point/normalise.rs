//! Reciprocal and reciprocal square root of a 32-bit sum, as a mantissa and a shift.
//!
//! A sum is normalised: shifted left until its highest bit stands at the top. The 16 bits there go through a
//! [table](super::table), and the amount of the shift is applied to whatever is multiplied with the result: a [`Factor`]. No
//! divider, and the relative error does not depend on the size of the sum.

use serde::{Deserialize, Serialize};

use super::multiply;
use super::table::Table;

/// `mantissa × 2^exponent`: a positive number that elements can be multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// 2¹⁴ to 2¹⁵ - 1.
    pub mantissa: i16,
    /// Power of two.
    pub exponent: i32,
}

impl Factor {
    /// `element × mantissa × 2^exponent × 2^-right_shift`, rounded once and saturated.
    ///
    /// The two powers of two make one right shift. One to the left is not made (the compiler chooses `right_shift` large
    /// enough), nor one by more than 31.
    #[must_use]
    #[inline]
    pub fn scale(&self, element: i16, right_shift: i32) -> i16 {
        let shift = right_shift.saturating_sub(self.exponent).clamp(0, 31);
        multiply(element, self.mantissa, shift as u32)
    }
}

/// The tables of both functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalise {
    reciprocal: Table,
    reciprocal_root: Table,
}

impl Default for Normalise {
    fn default() -> Self {
        Self::new()
    }
}

impl Normalise {
    /// The tables. They are the same for every model.
    #[must_use]
    pub fn new() -> Self {
        // The argument is the 16 bits below the highest one: 1 ≤ m < 2. The result is Q0.15 of 1 / m.
        let reciprocal = Table::of(|x| 32768.0 / (1.0 + (x + 32768.0) / 65536.0));
        // The argument is the 16 highest bits: ¼ ≤ m < 1. The result is Q1.14 of 1 / √m; below ¼ nothing is asked.
        let reciprocal_root = Table::of(|x| 16384.0 / ((x + 32768.0) / 65536.0).max(0.25).sqrt());
        Self { reciprocal, reciprocal_root }
    }

    /// Both tables, that of the reciprocal first: what a machine's memory of them holds.
    #[must_use]
    pub fn tables(&self) -> [&Table; 2] {
        [&self.reciprocal, &self.reciprocal_root]
    }

    /// `1 / sum`; a sum below 1 counts as 1.
    ///
    /// `sum = m × 2^(31 - z)` with `z` leading zeros and `1 ≤ m < 2`; the mantissa is Q0.15 of `1 / m` (and 2¹⁵ - 1 for
    /// `m` = 1), so the exponent is `z - 46`. Relative error at most 1.1 × 10⁻⁴: the cut of the argument to 17 bits, the chord
    /// (`c = 2 / 256² × 2¹⁵ = 1`) and the units of a mantissa of at least 2¹⁴.
    #[must_use]
    pub fn reciprocal(&self, sum: i32) -> Factor {
        let sum = sum.max(1) as u32;
        let zeros = sum.leading_zeros();
        let below_the_highest = ((sum << zeros) >> 15) as u16;
        let mantissa = self.reciprocal.apply(centred(below_the_highest));
        Factor { mantissa, exponent: zeros as i32 - 46 }
    }

    /// `1 / √sum`; a sum below 1 counts as 1.
    ///
    /// `sum = m × 2^(32 - e)` with `e` even and `¼ ≤ m < 1`; the mantissa is Q1.14 of `1 / √m`, so the exponent is
    /// `e / 2 - 30`. Relative error at most 1.5 × 10⁻⁴: the cut of the argument to 14 bits or more, the chord
    /// (`c = 24 / 256² × 2¹⁴ = 6` at `m` = ¼, where the mantissa is 2¹⁵, and less above) and the units of the mantissa.
    #[must_use]
    pub fn reciprocal_root(&self, sum: i32) -> Factor {
        let sum = sum.max(1) as u32;
        let even = sum.leading_zeros() & !1;
        let highest = ((sum << even) >> 16) as u16;
        let mantissa = self.reciprocal_root.apply(centred(highest));
        Factor { mantissa, exponent: even as i32 / 2 - 30 }
    }
}

/// The element that stands where `bits` stands among the unsigned numbers: its highest bit inverted.
fn centred(bits: u16) -> i16 {
    (bits ^ 0x8000) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(factor: Factor) -> f64 {
        f64::from(factor.mantissa) * f64::from(factor.exponent).exp2()
    }

    /// Sums of every magnitude.
    fn sum() -> impl Strategy<Value = i32> {
        (1_i32.., 0_u32..31).prop_map(|(sum, shift)| (sum >> shift).max(1))
    }

    proptest! {
        #[test]
        fn a_reciprocal_is_within_its_bound(sum in sum()) {
            let factor = Normalise::new().reciprocal(sum);
            let error = value(factor) * f64::from(sum) - 1.0;
            prop_assert!(error.abs() <= 1.1e-4, "1 / {sum}: {error}");
            prop_assert!(factor.mantissa >= 1 << 14);
        }

        #[test]
        fn a_reciprocal_root_is_within_its_bound(sum in sum()) {
            let factor = Normalise::new().reciprocal_root(sum);
            let error = value(factor) * f64::from(sum).sqrt() - 1.0;
            prop_assert!(error.abs() <= 1.5e-4, "1 / √{sum}: {error}");
            prop_assert!(factor.mantissa >= 1 << 14);
        }

        #[test]
        fn a_scaled_element_is_the_exact_product_within_half_a_unit(sum in sum(), element: i16, right_shift in 0_i32..32) {
            let factor = Normalise::new().reciprocal_root(sum);
            // A shift to the left is not made, nor one by more than 31.
            prop_assume!((0..=31).contains(&(right_shift - factor.exponent)));
            let exact = f64::from(element) * value(factor) * f64::from(-right_shift).exp2();
            let nearest = exact.clamp(-32768.0, 32767.0);
            prop_assert!((f64::from(factor.scale(element, right_shift)) - nearest).abs() <= 0.5);
        }

        #[test]
        fn nothing_panics(sum: i32, element: i16, right_shift: i32) {
            let normalise = Normalise::new();
            let _ = normalise.reciprocal(sum).scale(element, right_shift);
            let _ = normalise.reciprocal_root(sum).scale(element, right_shift);
        }
    }

    #[test]
    fn every_small_sum_is_within_its_bound() {
        let normalise = Normalise::new();
        for sum in 1..100_000 {
            assert!((value(normalise.reciprocal(sum)) * f64::from(sum) - 1.0).abs() <= 1.1e-4, "1 / {sum}");
            let root = value(normalise.reciprocal_root(sum)) * f64::from(sum).sqrt() - 1.0;
            assert!(root.abs() <= 1.5e-4, "1 / √{sum}: {root}");
        }
    }
}
