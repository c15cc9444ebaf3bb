//! Operators on elements: of one tensor, and of two.

use lpu_isa::arithmetic::Requantise;
use lpu_isa::arithmetic::rescale::Rescale;

/// `output[i] = requantise(input[i] - input_zero_point)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elementwise {
    /// Which operator of the network this was; the arithmetic below is complete without it.
    pub function: ElementwiseFunction,
    /// Subtracted from every input element.
    pub input_zero_point: i32,
    /// Scale, zero point and clamp of the output.
    pub requantise: Requantise,
}

impl Elementwise {
    /// Its arithmetic.
    #[must_use]
    pub fn rescale(&self) -> Rescale {
        Rescale { zero_point: self.input_zero_point, requantise: self.requantise }
    }
}

/// The operators that become an [`Elementwise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementwiseFunction {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
    /// The same value in another scale and zero point.
    Quantize,
}

/// `output[i] = requantise((first[i] - first_zero_point) × (second[i] - second_zero_point))`, with the operands' axes of size
/// one repeated. The product has 18 bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Multiply {
    /// Subtracted from every element of the first operand.
    pub first_zero_point: i32,
    /// Subtracted from every element of the second operand.
    pub second_zero_point: i32,
    /// Scale, zero point and clamp of the output.
    pub requantise: Requantise,
}

/// The shape of two tensors' elements together: axes are matched from the innermost, and one of size 1 repeats. `None` where
/// two sizes differ and neither is 1.
#[must_use]
pub fn broadcast(first: &[usize], second: &[usize]) -> Option<Vec<usize>> {
    let rank = first.len().max(second.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let joined = |axis: usize| match (size(first, axis), size(second, axis)) {
        (a, b) if a == b => Some(a),
        (1, other) | (other, 1) => Some(other),
        _ => None,
    };
    (0..rank).map(joined).collect()
}
