//! Convolutions over rows and columns.

use super::{Accumulation, Window};

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
