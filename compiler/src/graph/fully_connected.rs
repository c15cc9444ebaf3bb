//! Fully connected layers.

use lpu_isa::arithmetic::{Requantise, Rounding};

use super::ChannelScale;

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
    /// One for each output, in units of the accumulator; `None` adds nothing.
    pub bias: Option<Vec<i32>>,
    /// Subtracted from every input element before the product.
    pub input_zero_point: i32,
    /// From the accumulator to the output, one for each output channel (all equal where the weights have one scale).
    pub scales: Vec<ChannelScale>,
    /// Added after the scaling.
    pub output_zero_point: i32,
    /// Lower end of the clamp, included: int8, narrowed by a fused activation.
    pub minimum: i32,
    /// Upper end of the clamp, included.
    pub maximum: i32,
    /// How the scaled accumulator is rounded.
    pub rounding: Rounding,
}

impl FullyConnected {
    /// The requantiser of output channel `channel`; `None` beyond the last.
    #[must_use]
    pub fn requantise(&self, channel: usize) -> Option<Requantise> {
        let ChannelScale { multiplier, shift } = *self.scales.get(channel)?;
        Some(Requantise {
            multiplier,
            shift,
            zero_point: self.output_zero_point,
            minimum: self.minimum,
            maximum: self.maximum,
            rounding: self.rounding,
        })
    }
}
