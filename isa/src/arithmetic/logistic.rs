//! The logistic function of an int8 element. The output's scale is 1/256 and its zero point -128, always.

use serde::{Deserialize, Serialize};

use super::functions::logistic;
use super::softmax::input_radius;
use super::{Rounding, multiply_by_quantized_multiplier, quantize_multiplier, rounding_divide_by_pot};

/// Integer bits of the function's argument.
const INTEGER_BITS: u32 = 4;

/// The scale of the argument, and where the function ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Logistic {
    /// Subtracted from the element first.
    pub zero_point: i32,
    /// Fraction of the scale from there to Q4.27, in units of 2⁻³¹.
    pub multiplier: i32,
    /// Power of two of that scale: 0 to 31, to the left.
    pub shift: i32,
    /// From this distance from the zero point on, the output is the smallest or the largest there is.
    pub radius: i32,
}

impl Logistic {
    /// For an input of scale `scale` and zero point `zero_point`; `None` for a scale below 2⁻²⁷ or above 16 (where no element
    /// but the zero point is left, and the reference shifts by more than its registers have).
    #[must_use]
    pub fn new(scale: f64, zero_point: i32) -> Option<Self> {
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let (multiplier, shift) = quantize_multiplier(scale * f64::from(31 - INTEGER_BITS).exp2());
        let radius = || input_radius(INTEGER_BITS, shift);
        (0..=31).contains(&shift).then(|| Self { zero_point, multiplier, shift, radius: radius() })
    }

    /// The output element of `element`, within -128..=127.
    #[must_use]
    pub fn apply(&self, element: i32) -> i32 {
        let input = element.wrapping_sub(self.zero_point);
        if input <= self.radius.wrapping_neg() {
            return -128;
        }
        if input >= self.radius {
            return 127;
        }
        let argument = multiply_by_quantized_multiplier(input, self.multiplier, self.shift, Rounding::Double);
        (rounding_divide_by_pot(logistic(argument), 31 - 8) - 128).clamp(-128, 127)
    }

    /// The outputs of all elements, that of -128 first.
    #[must_use]
    pub fn table(&self) -> [i8; 256] {
        std::array::from_fn(|index| self.apply(index as i32 - 128) as i8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_output_is_the_logistic_of_its_real_value(element: i8, zero_point: i8, scale in 1e-4_f64..1.0) {
            let got = Logistic::new(scale, zero_point.into()).map(|logistic| logistic.apply(element.into()));
            let real = (f64::from(element) - f64::from(zero_point)) * scale;
            let exact = (256.0 / (1.0 + (-real).exp()) - 128.0).min(127.0);
            prop_assert!((f64::from(got.unwrap_or(1000)) - exact).abs() < 0.51);
        }

        #[test]
        fn nothing_panics(element: i32, zero_point: i32, multiplier: i32, shift: i32, radius: i32, scale: f64) {
            let _ = Logistic { zero_point, multiplier, shift, radius }.apply(element);
            let _ = Logistic::new(scale, zero_point).map(|logistic| logistic.table());
        }
    }
}
