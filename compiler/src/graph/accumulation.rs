//! What goes with a sum of products: zero points, bias, scales, clamp.

use lpu_isa::arithmetic::{Requantise, Rounding};

use super::ChannelScale;

/// What fully connected layers and convolutions do to an element before the products and to the sum behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Accumulation {
    /// One for each output channel, in units of the accumulator; `None` adds nothing.
    pub bias: Option<Vec<i32>>,
    /// Subtracted from every input element before the product: what lies outside the input adds nothing.
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

impl Accumulation {
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

    /// The bias of output channel `channel`.
    #[must_use]
    pub fn bias(&self, channel: usize) -> i32 {
        self.bias.as_ref().and_then(|bias| bias.get(channel)).copied().unwrap_or(0)
    }
}
