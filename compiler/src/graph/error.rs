//! Why a graph is refused.

use thiserror::Error;

/// Why a graph is not one that can be executed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// A [`TensorId`](super::TensorId) beyond the tensors.
    #[error("{by} names tensor {tensor} of {tensors}")]
    UnknownTensor {
        /// The operator or interface that names it.
        by: String,
        /// The position named.
        tensor: usize,
        /// How many there are.
        tensors: usize,
    },
    /// A tensor is read (or handed out) before any operator has written it.
    #[error("{by} reads tensor `{tensor}` before it is written")]
    ReadBeforeWritten {
        /// The operator or interface that reads.
        by: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has two writers, or a network input is written.
    #[error("{by} writes tensor `{tensor}`, which has a value already")]
    WrittenTwice {
        /// The second writer.
        by: String,
        /// The tensor's name.
        tensor: String,
    },
    /// Sizes or ranges within an operator contradict each other or its tensors.
    #[error("{by}: {why}")]
    Inconsistent {
        /// The operator.
        by: String,
        /// Which sizes or ranges.
        why: String,
    },
}
