//! The sum of two int8 elements in two scales, as int8 in a third.

use serde::{Deserialize, Serialize};

use super::{Requantise, multiply_by_quantized_multiplier};

/// One of the two elements of an [`Addition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Addend {
    /// Subtracted from the element first.
    pub zero_point: i32,
    /// Fraction of its scale over twice the larger of both, in units of 2⁻³¹.
    pub multiplier: i32,
    /// Power of two of that scale; not positive.
    pub shift: i32,
}

/// `requantise(scale(first) + scale(second))`, where each element, less its zero point, is shifted left by
/// [`Addition::LEFT_SHIFT`] and scaled to one half or less of what that makes: three double roundings. 32 bits hold every
/// step: 9 bits shifted by 20, halved, and the sum of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Addition {
    /// The first operand.
    pub first: Addend,
    /// The second operand.
    pub second: Addend,
    /// From the sum to the output.
    pub output: Requantise,
}

impl Addition {
    /// Bits by which both elements are shifted before they are scaled.
    pub const LEFT_SHIFT: u32 = 20;

    /// The output element of the elements `first` and `second`.
    #[must_use]
    #[inline]
    pub fn apply(&self, first: i32, second: i32) -> i32 {
        let scaled = |addend: &Addend, element: i32| {
            let shifted = element.wrapping_sub(addend.zero_point).wrapping_shl(Self::LEFT_SHIFT);
            multiply_by_quantized_multiplier(shifted, addend.multiplier, addend.shift, self.output.rounding)
        };
        self.output.apply(scaled(&self.first, first).wrapping_add(scaled(&self.second, second)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::{Rounding, quantize_multiplier};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sum_is_off_by_little_more_than_half_a_unit(
            a: i8, b: i8, zero_points: [i8; 3], scales in prop::array::uniform3(0.01_f64..1.0)
        ) {
            let twice = 2.0 * scales[0].max(scales[1]);
            let addend = |index: usize| {
                let (multiplier, shift) = quantize_multiplier(scales[index] / twice);
                Addend { zero_point: zero_points[index].into(), multiplier, shift }
            };
            let (multiplier, shift) = quantize_multiplier(twice / f64::from(1 << Addition::LEFT_SHIFT) / scales[2]);
            let zero_point = i32::from(zero_points[2]);
            let rounding = Rounding::Double;
            let output = Requantise { multiplier, shift, zero_point, minimum: -128, maximum: 127, rounding };
            let sum = Addition { first: addend(0), second: addend(1), output }.apply(a.into(), b.into());
            let real = |x: i8, index: usize| (f64::from(x) - f64::from(zero_points[index])) * scales[index];
            let exact = (real(a, 0) + real(b, 1)) / scales[2] + f64::from(zero_point);
            prop_assert!((f64::from(sum) - exact.clamp(-128.0, 127.0)).abs() < 0.51);
        }
    }
}
