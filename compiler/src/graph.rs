//! The network as a graph of integer operators.
//!
//! Tensors are what flows between operators: int8, with one scale and zero point. What is known before the run (weights,
//! biases, scales) is part of the operator that uses it; only an operand of a sum, a product or a concatenation can be a
//! [`Constant`] of its own. Operators stand in an order in which they can be executed; a tensor is written once and read by
//! any number of them. What a network keeps from one inference to the next is a [`State`]: a tensor that has a value before
//! the first operator, and another one whose value it takes after the last.
//!
//! Every operator carries its arithmetic as integers, fixed at import. No floating-point number decides an output bit
//! after that; the scales of the tensors are kept for reports.
//!
//! | file | holds |
//! | --- | --- |
//! | `operator` | one step of the network, and the list of kinds |
//! | `window` | what an output position of a convolution or a pool reads: taps, strides, explicit padding |
//! | `fully_connected`, `convolution`, `elementwise`, `reduction`, `movement` | a family of operators each |
//! | `check` | what every reader of a graph relies on |

mod accumulation;
mod check;
mod convolution;
mod elementwise;
mod error;
mod fully_connected;
mod movement;
mod operator;
mod reduction;
#[cfg(test)]
mod tests;
mod window;

pub use accumulation::Accumulation;
pub use convolution::{Convolution, DepthwiseConvolution};
pub use elementwise::{Elementwise, ElementwiseFunction, Multiply, broadcast};
pub use error::GraphError;
pub use fully_connected::FullyConnected;
pub use movement::{Concatenation, Pad, Slice};
pub use operator::{ChannelScale, Operator, OperatorKind};
pub use reduction::{Mean, Pool, PoolFunction};
pub use window::{Padding, Plane, Window};

/// Position of a tensor in [`Graph::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// A network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// What messages and reports call it.
    pub name: String,
    /// Everything that flows, at the positions that a [`TensorId`] names.
    pub tensors: Vec<Tensor>,
    /// In an order of execution.
    pub operators: Vec<Operator>,
    /// Tensors given from outside, in the order of the network's interface.
    pub inputs: Vec<TensorId>,
    /// Tensors handed out, in the order of the network's interface.
    pub outputs: Vec<TensorId>,
    /// Tensors whose value never changes.
    pub constants: Vec<Constant>,
    /// What is kept from one inference to the next.
    pub states: Vec<State>,
}

/// An int8 tensor, row-major; `[batch, rows, columns, channels]` where it has four axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name in the file it came from.
    pub name: String,
    /// Sizes of the axes, outermost first; all positive.
    pub shape: Vec<usize>,
    /// What its integers stand for.
    pub quantisation: Quantisation,
    /// How an input or an output looks from outside.
    pub element: Element,
}

/// How a tensor's elements look from outside. Within the graph all are int8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Element {
    /// As they are.
    #[default]
    Int8,
    /// With 128 added: an element `q` of the graph stands for `q + 128` outside, and the zero point likewise.
    Uint8,
}

/// The real value of an element `q` is `scale × (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    /// Positive and finite.
    pub scale: f32,
    /// Within -128..=127.
    pub zero_point: i32,
}

/// A tensor whose value never changes: an operand of an operator that has others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// The tensor, which nothing else writes.
    pub tensor: TensorId,
    /// Its elements.
    pub values: Vec<i8>,
}

/// What a network keeps from one inference to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The variable's name in the file it came from.
    pub name: String,
    /// The value before an inference; nothing else writes it.
    pub tensor: TensorId,
    /// The value before the first inference, and after a reset.
    pub initial: Vec<i8>,
    /// Whose value [`State::tensor`] has in the next inference: as many elements; `tensor` itself where nothing is assigned.
    pub next: TensorId,
}

impl Tensor {
    /// Number of elements: the product of the shape, 1 for an empty one.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |product, &size| product.saturating_mul(size))
    }
}

impl Graph {
    /// The tensor at `id`; `None` where there is none.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.tensors.get(id.0)
    }

    /// Products of weight and activation in one inference, those with padding included.
    #[must_use]
    pub fn multiply_accumulates(&self) -> u64 {
        self.operators.iter().map(|operator| operator.multiply_accumulates(self)).fold(0, u64::saturating_add)
    }
}
