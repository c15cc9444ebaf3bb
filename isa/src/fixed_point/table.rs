//! Functions of one element by table: 256 segments, linear interpolation.
//!
//! The upper eight bits of the element choose a segment, the lower eight the place in it:
//!
//! ```text
//! i = (x + 2^15) >> 8        f = (x + 2^15) & 255
//! y = v[i] + round((v[i + 1] - v[i]) × f / 2^8)
//! ```
//!
//! In hardware a segment is one word of 33 bits (the value and the 17-bit difference), the interpolation one product of 17 by
//! 8 bits.
//!
//! # Error
//! For a function `g` of the element, scaled to units of the result, with `|g''| <= c` per segment squared: at most `c / 8` from
//! the chord, half a unit from the rounded ends of the segment and half a unit from the rounded product. That is `c / 8 + 1`
//! units; [`normalise`](super::normalise) and the constructors here say what `c` is.

use serde::{Deserialize, Deserializer, Serialize};

use crate::arithmetic::rounding_divide_by_pot;

/// Segments of a table.
pub const SEGMENTS: usize = 256;
/// Bits of a segment in hardware: its value and the difference to the next.
pub const SEGMENT_BITS: u32 = 33;

/// The largest argument of an [exponential](Table::exponential): the one that stands for 0, less a unit.
pub const EXPONENTIAL_ORIGIN: i16 = i16::MAX;

/// A function from elements to elements: its values at the ends of 256 segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    values: Vec<i16>,
}

impl Table {
    /// The table of `function`, which takes an element and gives a number in units of the result. Values beyond an element
    /// saturate; what is no number becomes 0.
    #[must_use]
    pub fn of(function: impl Fn(f64) -> f64) -> Self {
        let end = |index: usize| (index * SEGMENTS) as f64 - 32768.0;
        // The cast saturates, and makes 0 of what is no number.
        Self { values: (0..=SEGMENTS).map(|index| function(end(index)).round() as i16).collect() }
    }

    /// The function's value at `element`.
    #[must_use]
    #[inline]
    pub fn apply(&self, element: i16) -> i16 {
        let place = (i32::from(element) + 32768) as usize;
        let (segment, fraction) = (place >> 8, (place & 255) as i32);
        let (from, to) = (i32::from(self.values[segment]), i32::from(self.values[segment + 1]));
        // Between two elements: no saturation is needed.
        (from + rounding_divide_by_pot((to - from) * fraction, 8)) as i16
    }

    /// The 257 ends of the segments.
    #[must_use]
    pub fn values(&self) -> &[i16] {
        &self.values
    }

    /// `one × exp((x - 32768) × unit)`: the exponential of a number that is never positive, in units of `1 / one`.
    ///
    /// The whole range of elements is used: `unit` × 65535 is how far below the largest number the result is still exact.
    /// `c = one × (256 × unit)²`; for `unit` = 2⁻¹² and `one` = 2¹⁵ that is 128, but it shrinks with the result: the
    /// relative error is (256 × unit)² / 8 = 4.9 × 10⁻⁴ and a unit, always upwards, so that most of it cancels in a quotient of
    /// two such numbers.
    #[must_use]
    pub fn exponential(unit: f64, one: i16) -> Self {
        Self::of(|x| f64::from(one) * ((x - 32768.0) * unit).exp())
    }

    /// SiLU, `x / (1 + exp(-x))`, of an argument in units of `unit`, in units of `result_unit`.
    ///
    /// The second derivative is at most ½: `c = (256 × unit)² / (2 × result_unit)`.
    #[must_use]
    pub fn silu(unit: f64, result_unit: f64) -> Self {
        Self::of(|x| x * unit / (1.0 + (-x * unit).exp()) / result_unit)
    }
}

/// A table read from outside has as many values as it must have: an access never leaves it.
impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Plain {
            values: Vec<i16>,
        }
        let Plain { values } = Plain::deserialize(deserializer)?;
        if values.len() != SEGMENTS + 1 {
            let why = format!("a table has {} values, and this one {}", SEGMENTS + 1, values.len());
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self { values })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_linear_function_is_exact() {
        let table = Table::of(|x| x / 2.0);
        for element in i16::MIN..=i16::MAX {
            let error = f64::from(table.apply(element)) - f64::from(element) / 2.0;
            assert!(error.abs() <= 0.5, "{element}: {error}");
        }
    }

    #[test]
    fn an_exponential_is_within_its_bound_everywhere() {
        for (unit, one) in [(1.0 / 4096.0, i16::MAX), (1.0 / 2048.0, i16::MAX), (1.0 / 8192.0, 1000)] {
            let table = Table::exponential(unit, one);
            for element in i16::MIN..=i16::MAX {
                let exact = f64::from(one) * ((f64::from(element) - 32768.0) * unit).exp();
                let error = f64::from(table.apply(element)) - exact;
                // The chord of a segment lies above by at most c / 8, with the exponential of the segment's upper end.
                let chord = exact * (256.0 * unit).exp() * (256.0 * unit).powi(2) / 8.0;
                assert!(error.abs() <= chord + 1.0, "{element}: {error}");
            }
            assert!(table.apply(EXPONENTIAL_ORIGIN) >= one - (f64::from(one) * unit) as i16 - 1);
        }
    }

    proptest! {
        #[test]
        fn silu_is_within_its_bound(range in 0.5_f64..64.0, element: i16) {
            let (unit, result_unit) = (range / 32767.0, range / 32767.0);
            let x = f64::from(element) * unit;
            let exact = x / (1.0 + (-x).exp()) / result_unit;
            let error = f64::from(Table::silu(unit, result_unit).apply(element)) - exact;
            let bound = (256.0 * unit).powi(2) / (2.0 * result_unit) / 8.0 + 1.0;
            // Only the last element of a range lies beyond what the result can hold.
            prop_assert!(error.abs() <= bound + f64::from(element == i16::MIN), "{error} of {bound}");
        }

        #[test]
        fn a_result_lies_between_the_ends_of_its_segment(seed: i16, element: i16) {
            let table = Table::of(|x| (x * f64::from(seed)).sin() * 40000.0);
            let segment = ((i32::from(element) + 32768) >> 8) as usize;
            let ends = [table.values()[segment], table.values()[segment + 1]];
            let result = table.apply(element);
            prop_assert!(ends.iter().min() <= Some(&result) && Some(&result) <= ends.iter().max());
        }
    }

    #[test]
    fn a_table_of_another_length_is_refused() {
        let table = Table::exponential(0.001, 100);
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
        let error = serde_json::from_str::<Table>(r#"{"values":[1,2,3]}"#).unwrap_err();
        assert!(error.to_string().starts_with("a table has 257 values, and this one 3"), "{error}");
    }
}
