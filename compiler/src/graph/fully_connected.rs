//! Fully connected layers.

use super::Accumulation;

/// `output[o] = requantise(o)(bias[o] + Σ_k weights[o][k] × (input[k] - input_zero_point))`.
///
/// The sum is one of 32 bits and wraps.
#[derive(Debug, Clone, PartialEq)]
pub struct FullyConnected {
    /// Length of the reduction axis: elements of the input.
    pub input_length: usize,
    /// Elements of the output.
    pub output_length: usize,
    /// `[output_length][input_length]`, row-major; symmetric (their zero point is 0).
    pub weights: Vec<i8>,
    /// Before and behind the products.
    pub accumulation: Accumulation,
}
