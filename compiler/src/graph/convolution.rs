//! Convolutions over rows and columns.

use lpu_isa::arithmetic::{Requantise, Rounding};

use super::{ChannelScale, Window};

/// What both kinds of convolution do to an element before the products and to the sum behind them.
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

/// `output[y][x][o] = requantise(o)(bias[o] + Σ weights[o][tap row][tap column][k] × (input[row][column][g + k] - zero point))`
/// over the taps of the window and the input channels `g + k` of the group that `o` belongs to.
///
/// The sum is one of 32 bits and wraps. The input is `[batch, rows, columns, input_channels]`, the output the same with
/// `output_channels`.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// What a position reads.
    pub window: Window,
    /// Channels of the input.
    pub input_channels: usize,
    /// Channels of the output.
    pub output_channels: usize,
    /// Input channels are split into so many groups of neighbours, and output channels too; each of these reads its group.
    /// 1 for a plain convolution. Divides both numbers of channels.
    pub groups: usize,
    /// `[output_channels][rows][columns][input_channels / groups]`, row-major; symmetric (their zero point is 0).
    pub weights: Vec<i8>,
    /// Before and behind the products.
    pub accumulation: Accumulation,
}

/// `output[y][x][o] = requantise(o)(bias[o] + Σ weights[tap row][tap column][o] × (input[row][column][o / multiplier] - zero
/// point))` over the taps of the window: each input channel on its own makes `multiplier` output channels.
///
/// The sum is one of 32 bits and wraps.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthwiseConvolution {
    /// What a position reads.
    pub window: Window,
    /// Channels of the input.
    pub input_channels: usize,
    /// Output channels for each input channel.
    pub multiplier: usize,
    /// `[rows][columns][input_channels × multiplier]`, row-major; symmetric (their zero point is 0).
    pub weights: Vec<i8>,
    /// Before and behind the products.
    pub accumulation: Accumulation,
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

impl Convolution {
    /// Products for one element of the output.
    #[must_use]
    pub fn reduction_length(&self) -> usize {
        self.window.size.product().saturating_mul(self.input_channels / self.groups.max(1))
    }
}

impl DepthwiseConvolution {
    /// Channels of the output.
    #[must_use]
    pub fn output_channels(&self) -> usize {
        self.input_channels.saturating_mul(self.multiplier)
    }
}
