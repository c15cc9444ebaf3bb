//! Why a network cannot be compiled for a machine.

use crate::graph::GraphError;
use thiserror::Error;

/// A memory of the machine that a program fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Words of weight RAM in each tile.
    WeightRam,
    /// Beats of one vector memory slice, in one piece.
    VectorMemory,
    /// Entries of the requantiser's scale table.
    ScaleTable,
    /// Instructions of one queue.
    Queue,
}

/// Why a network cannot be compiled.
#[derive(Debug, Error, PartialEq)]
pub enum CompileError {
    /// The graph contradicts itself.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A memory is too small.
    #[error("`{model}` does not fit: layer `{layer}` needs {needed} {what}, the machine has {available}{shortfall}")]
    DoesNotFit {
        /// Name of the network.
        model: String,
        /// The layer at which the memory overflows.
        layer: String,
        /// Which memory.
        resource: Resource,
        /// Words needed, all layers up to this one included.
        needed: u64,
        /// Words there are.
        available: u64,
        /// What the words are, in words.
        what: &'static str,
        /// How many block RAMs are missing, as the end of the sentence; empty for memories not made of block RAM.
        shortfall: String,
        /// How many block RAMs are missing.
        block_rams: u64,
    },
    /// A layer is larger than an instruction can count.
    #[error("layer `{layer}`: {what} is {value}, one instruction counts to {limit}")]
    TooLarge {
        /// The layer.
        layer: String,
        /// What is too large.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The largest value possible.
        limit: u64,
    },
    /// An operator or a feature of the graph that only the golden model executes so far.
    #[error("layer `{layer}`: {operator} cannot be compiled for the machine yet; only the golden model executes it")]
    NotLowered {
        /// The layer, or the state.
        layer: String,
        /// The operator, with its article, or the feature.
        operator: String,
    },
    /// Something that the import should have refused.
    #[error("layer `{layer}`: {why}")]
    Unsupported {
        /// The layer.
        layer: String,
        /// What is not supported.
        why: String,
    },
}
