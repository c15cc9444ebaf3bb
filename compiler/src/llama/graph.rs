//! A language model in integers: all that the golden model executes and that later steps schedule.
//!
//! Vectors are elements of 16 bits in a unit of their own; matrices, keys and values have 8 bits. Which function makes which
//! vector from which is written in `docs/language-models.md`; the functions are those of [`lpu_isa::arithmetic`] and
//! [`lpu_isa::fixed_point`].

use lpu_isa::fixed_point::normalise::Normalise;
use lpu_isa::fixed_point::table::Table;
use lpu_isa::program::Scale;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::model::{Shape, ShapeError};

/// Largest magnitude of an element of a key or a value.
pub const CACHE_LIMIT: i16 = 127;

/// Fraction bits of RoPE's sines and cosines.
pub const ROPE_FRACTION_BITS: u32 = 14;

/// Right shift from a key of 16 bits to one of 8.
pub const KEY_SHIFT: u32 = 8;

/// Integers with a scale for each row, or for each group of columns in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Columns that share a scale (and an accumulator); `columns` where a row is one group. The last group may be shorter.
    pub group: usize,
    /// `[rows][columns]`.
    pub weights: Vec<i8>,
    /// Units of the weights, `[rows][groups]`. For the record: the arithmetic is complete without them.
    pub units: Vec<f64>,
}

/// A matrix and what its accumulators become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// The weights.
    pub matrix: Matrix,
    /// From accumulator to element, `[rows][groups]`. A row's groups are added up, saturated, first to last.
    pub scales: Vec<Scale>,
    /// Largest magnitude of an input element. With it no accumulator leaves 32 bits; whoever makes the input clamps it.
    pub limit: i16,
}

/// RMSNorm without its weights: the sum of squares and what is added to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Norm {
    /// Right shift of every square.
    pub square_shift: u32,
    /// Added to the sum: the norm's epsilon in its units.
    pub epsilon: i32,
}

/// Weights that a vector is multiplied with, element by element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementWeights {
    /// One for each element.
    pub values: Vec<i16>,
    /// Right shift of the products.
    pub right_shift: u32,
}

/// Where the factor of a norm is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormPlace {
    /// To the input of the products.
    Before,
    /// To their results.
    After,
}

/// Where the largest score comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SoftmaxOrigin {
    /// It is looked for.
    Largest,
    /// It was seen in calibration.
    Fixed,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedLayer {
    /// The norm before attention.
    pub attention_norm: Norm,
    /// Input shift (before).
    pub attention_shift: i32,
    /// Queries.
    pub query: Product,
    /// Shift after.
    pub query_shift: i32,
    /// Largest query magnitude.
    pub query_limit: i16,
    /// Keys.
    pub key: Product,
    /// Shift after.
    pub key_shift: i32,
    /// Values.
    pub value: Product,
    /// Shift after.
    pub value_shift: i32,
    /// For each key-value head.
    pub score_scales: Vec<Scale>,
    /// Fixed origin.
    pub score_origin: Vec<i16>,
    /// For each key-value channel.
    pub weighted_scales: Vec<Scale>,
    /// Shift of the reciprocal.
    pub weighted_shift: i32,
    /// Wo.
    pub output: Product,
    /// The norm before the feed-forward network.
    pub feed_forward_norm: Norm,
    /// Input shift (before).
    pub feed_forward_shift: i32,
    /// W1.
    pub gate: Product,
    /// Shift after.
    pub gate_shift: i32,
    /// W3.
    pub up: Product,
    /// Shift after.
    pub up_shift: i32,
    /// SiLU.
    pub silu: Table,
    /// Shift of the product of gate and up.
    pub hidden_shift: u32,
    /// W2.
    pub down: Product,
}

/// A whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedLlama {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub shape: Shape,
    /// The token that begins a sequence.
    pub begin: u32,
    /// The tokens that end one.
    pub end: Vec<u32>,
    /// Experiment.
    pub norm_place: NormPlace,
    /// Experiment.
    pub softmax_origin: SoftmaxOrigin,
    /// `[vocabulary][dim]`.
    pub embedding: Matrix,
    /// From a weight of the embedding to the residual stream.
    pub embedding_scales: Vec<Scale>,
    /// Largest magnitude in the residual stream.
    pub residual_limit: i16,
    /// Layers.
    pub layers: Vec<QuantisedLayer>,
    /// The last norm.
    pub final_norm: Norm,
    /// Input shift (before).
    pub final_shift: i32,
    /// Its weights, if the classifier is the embedding.
    pub final_weights: Option<ElementWeights>,
    /// Classifier, none if the embedding.
    pub classifier: Option<Matrix>,
    /// Its scales.
    pub classifier_scales: Vec<Scale>,
    /// Its limit.
    pub classifier_limit: i16,
    /// Shift after.
    pub logits_shift: i32,
    /// Unit of the logits.
    pub logits_unit: f64,
    /// Unit of scores.
    pub score_unit: f64,
    /// Cosines `[context][head_size / 2]`.
    pub cosines: Vec<i16>,
    /// Sines.
    pub sines: Vec<i16>,
    /// Exponential of scores.
    pub exponential: Table,
    /// Reciprocals.
    pub normalise: Normalise,
}

/// Why a graph cannot be executed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LlamaGraphError {
    /// Sizes.
    #[error("{0}")]
    Shape(#[from] ShapeError),
}

impl Matrix {
    /// Groups of a row.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.columns.div_ceil(self.group.max(1))
    }

    /// The rows, first to last.
    pub fn rows(&self) -> impl Iterator<Item = &[i8]> {
        self.weights.chunks_exact(self.columns.max(1))
    }

    /// The largest Σ|w| of any group: times the largest input, the largest accumulator.
    #[must_use]
    pub fn largest_sum(&self) -> u64 {
        let sum = |group: &[i8]| group.iter().map(|weight| u64::from(weight.unsigned_abs())).sum();
        self.rows().flat_map(|row| row.chunks(self.group.max(1))).map(sum).max().unwrap_or(0)
    }
}
