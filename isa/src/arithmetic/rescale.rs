//! An int8 element in another scale.

use serde::{Deserialize, Serialize};

use super::Requantise;

/// `requantise(element - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rescale {
    /// Subtracted from the element.
    pub zero_point: i32,
    /// Scale, zero point and clamp of the output; the clamp lies within int8.
    pub requantise: Requantise,
}

impl Rescale {
    /// The output of `element`.
    #[must_use]
    #[inline]
    pub fn apply(&self, element: i8) -> i8 {
        self.requantise.apply(i32::from(element).wrapping_sub(self.zero_point)) as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::{Rounding, quantize_multiplier};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_element_stands_for_the_same_number_to_half_a_unit(
            element: i8, zero_points: [i8; 2], real in 0.1_f64..10.0
        ) {
            let [from, to] = zero_points.map(i32::from);
            let (multiplier, shift) = quantize_multiplier(real);
            let rounding = Rounding::Double;
            let requantise = Requantise { multiplier, shift, zero_point: to, minimum: -128, maximum: 127, rounding };
            let output = Rescale { zero_point: from, requantise }.apply(element);
            let exact = (f64::from(i32::from(element) - from) * real + f64::from(to)).clamp(-128.0, 127.0);
            // The first of two roundings moves a result that is nearly halfway.
            prop_assert!((f64::from(output) - exact).abs() <= 1.0, "{output} for {exact}");
        }

        #[test]
        fn nothing_panics(element: i8, numbers: [i32; 6]) {
            let [first, multiplier, shift, zero_point, minimum, maximum] = numbers;
            let rounding = Rounding::Double;
            let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding };
            let _ = Rescale { zero_point: first, requantise }.apply(element);
        }
    }
}
