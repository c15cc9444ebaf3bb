//! One step of the network.

use lpu_isa::arithmetic::addition::Addition;
use lpu_isa::arithmetic::logistic::Logistic;
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::program::Scale;

use super::{
    Concatenation, Convolution, DepthwiseConvolution, Elementwise, FullyConnected, Graph, Mean, Multiply, Pad, Padding,
    Pool, Slice, TensorId,
};

/// One step of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// The layer's name, for messages and reports: the name of the tensor it writes.
    pub name: String,
    /// What it computes.
    pub kind: OperatorKind,
    /// The tensors it reads: two for [`OperatorKind::Add`] and [`OperatorKind::Multiply`], any number for
    /// [`OperatorKind::Concatenation`], one for all others.
    pub inputs: Vec<TensorId>,
    /// The tensors it writes; one.
    pub outputs: Vec<TensorId>,
}

/// What an operator computes.
#[derive(Debug, Clone, PartialEq)]
pub enum OperatorKind {
    /// A matrix times the flattened input, requantised.
    FullyConnected(FullyConnected),
    /// A convolution over rows and columns, requantised.
    Convolution(Convolution),
    /// A convolution of each channel on its own, requantised.
    DepthwiseConvolution(DepthwiseConvolution),
    /// The largest or the average of each window.
    Pool(Pool),
    /// The mean over some axes, requantised.
    Mean(Mean),
    /// Each element on its own: the clamps and changes of scale.
    Elementwise(Elementwise),
    /// The sums of two tensors' elements. Axes of size one repeat, as for [`Multiply`].
    Add(Addition),
    /// The products of two tensors' elements.
    Multiply(Multiply),
    /// The softmax of each row along the innermost axis.
    Softmax(Softmax),
    /// The logistic function of each element.
    Logistic(Logistic),
    /// The same elements in the same order under another shape (and, where the file says so, in another scale). Nothing moves.
    Reshape,
    /// Elements around the input.
    Pad(Pad),
    /// Inputs one behind the other.
    Concatenation(Concatenation),
    /// A part of the input.
    Slice(Slice),
}

/// A real scale as `multiplier / 2^31 × 2^shift`; see [`lpu_isa::arithmetic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelScale {
    /// Fraction in units of 2⁻³¹; not negative.
    pub multiplier: i32,
    /// Left where positive, right where negative.
    pub shift: i32,
}

impl ChannelScale {
    /// The entry of the scale table that adds `bias` before it scales.
    #[must_use]
    pub fn with_bias(self, bias: i32) -> Scale {
        Scale { multiplier: self.multiplier, shift: self.shift, bias }
    }
}

impl OperatorKind {
    /// What reports and messages call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FullyConnected(_) => "fully connected",
            Self::Convolution(_) => "convolution",
            Self::DepthwiseConvolution(_) => "depthwise convolution",
            Self::Pool(_) => "pool",
            Self::Mean(_) => "mean",
            Self::Elementwise(_) => "elementwise",
            Self::Add(_) => "add",
            Self::Multiply(_) => "multiply",
            Self::Softmax(_) => "softmax",
            Self::Logistic(_) => "logistic",
            Self::Reshape => "reshape",
            Self::Pad(_) => "pad",
            Self::Concatenation(_) => "concatenation",
            Self::Slice(_) => "slice",
        }
    }

    /// The padding that its windows want around what it reads, and what that holds. A convolution counts what lies outside as its input's
    /// zero point; pools leave it out, and everything else reads nothing outside.
    #[must_use]
    pub fn padding(&self) -> (Padding, i32) {
        match self {
            Self::Convolution(layer) => (layer.window.padding, layer.accumulation.input_zero_point),
            Self::DepthwiseConvolution(layer) => (layer.window.padding, layer.accumulation.input_zero_point),
            _ => (Padding::default(), 0),
        }
    }
}

impl Operator {
    /// Products of weight and activation in one inference, those with padding included.
    #[must_use]
    pub fn multiply_accumulates(&self, graph: &Graph) -> u64 {
        let outputs =
            || self.outputs.iter().filter_map(|&id| graph.tensor(id)).map(|tensor| tensor.elements() as u64).sum();
        match &self.kind {
            OperatorKind::FullyConnected(layer) => {
                (layer.input_length as u64).saturating_mul(layer.output_length as u64)
            }
            OperatorKind::Convolution(layer) => u64::saturating_mul(outputs(), layer.reduction_length() as u64),
            OperatorKind::DepthwiseConvolution(layer) => {
                u64::saturating_mul(outputs(), layer.window.size.product() as u64)
            }
            _ => 0,
        }
    }
}
