//! What the host makes of a network's output.

use crate::arithmetic::rescale::Rescale;
use crate::arithmetic::softmax::Softmax;
use serde::{Deserialize, Serialize};

/// A network's end, which the host computes where the machine has no softmax: a softmax takes exponentials, a reciprocal and products of 32 bits, of a dozen numbers, and
/// what changes its results element by element comes behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// The softmax.
    pub softmax: Softmax,
    /// Elements of a row.
    pub row: u32,
    /// The changes of scale behind it, in the order of execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescales: Vec<Rescale>,
}

impl Finish {
    /// The network's answer to what the machine has made.
    #[must_use]
    pub fn apply(&self, elements: &[i8]) -> Vec<i8> {
        let rows = elements.chunks(self.row.max(1) as usize);
        let rescaled = |element: i8| self.rescales.iter().fold(element, |element, rescale| rescale.apply(element));
        rows.flat_map(|row| self.softmax.apply(row)).map(rescaled).collect()
    }

    /// Whether it can be applied to an output of so many elements, and what it makes are elements of int8.
    pub(super) fn check(&self, elements: usize) -> Result<(), String> {
        if self.row == 0 || !elements.is_multiple_of(self.row as usize) {
            return Err(format!("a softmax over rows of {} elements of an output of {elements}", self.row));
        }
        let limits = self.rescales.iter().map(|rescale| (rescale.requantise.minimum, rescale.requantise.maximum));
        for (minimum, maximum) in limits {
            if minimum < i8::MIN.into() || maximum > i8::MAX.into() || minimum > maximum {
                return Err(format!("the clamp {minimum}..={maximum} behind a softmax is none of int8"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::arithmetic::{Requantise, Rounding, quantize_multiplier};

    fn finish(maximum: i32) -> Finish {
        let (multiplier, shift) = quantize_multiplier(0.5);
        let requantise =
            Requantise { multiplier, shift, zero_point: 1, minimum: -100, maximum, rounding: Rounding::Double };
        let rescales = vec![Rescale { zero_point: -128, requantise }; 2];
        Finish { softmax: Softmax::new(0.1, 1.0).unwrap(), row: 2, rescales }
    }

    #[test]
    fn rows_are_softmaxed_and_each_element_rescaled() {
        // A half is 128 above the least: 0, then 65, then 97 and a half, rounded.
        assert_eq!(finish(127).apply(&[7, 7, -3, -3]), [98; 4]);
        assert_eq!(finish(90).apply(&[7, 7]), [90; 2]);
    }

    #[test]
    fn rows_that_do_not_divide_and_clamps_beyond_int8_are_refused() {
        assert_eq!(finish(127).check(4), Ok(()));
        assert!(finish(127).check(5).unwrap_err().contains("rows of 2 elements of an output of 5"));
        assert!(finish(128).check(4).unwrap_err().contains("-100..=128"));
        assert!(finish(-101).check(4).is_err());
        assert!(Finish { row: 0, ..finish(127) }.check(4).is_err());
    }

    #[test]
    fn images_of_before_there_were_changes_of_scale_are_read() {
        let plain = Finish { rescales: vec![], ..finish(127) };
        let text = serde_json::to_string(&plain).unwrap();
        assert!(!text.contains("rescales"));
        assert_eq!(serde_json::from_str::<Finish>(&text).unwrap(), plain);
    }
}
