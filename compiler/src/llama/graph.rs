//! A language model in integers: all that the golden model executes and that later steps schedule.
//!
//! Vectors are elements of 16 bits, each vector in a unit of its own; matrices, keys and values have 8 bits. Units are chosen so
//! that the arithmetic needs none of them: they are folded into scales and right shifts. `docs/language-models.md` writes the
//! whole computation down; its functions are those of [`lpu_isa::arithmetic`] and [`lpu_isa::fixed_point`].

use lpu_isa::fixed_point::normalise::Normalise;
use lpu_isa::fixed_point::table::Table;
use lpu_isa::program::Scale;
use serde::{Deserialize, Serialize};

use super::model::Shape;

/// Largest magnitude of an element of a key or a value in the cache.
pub const CACHE_LIMIT: i16 = 127;

/// Fraction bits of RoPE's sines and cosines: Q1.14.
pub const ROPE_FRACTION_BITS: u32 = 14;

/// Integers with a unit for each row, or for each group of columns in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Columns that share a unit, and so an accumulator: `columns` where a row is one group. The last group may be shorter.
    pub group: usize,
    /// `[rows][columns]`.
    pub weights: Vec<i8>,
    /// Real value of a weight of 1, `[rows][groups]`. For the record: the arithmetic is complete without it.
    pub units: Vec<f64>,
}

/// What a matrix' accumulators become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requantisation {
    /// From accumulator to element, `[rows][groups]`. The elements of a row's groups are added, saturated, first to last.
    pub scales: Vec<Scale>,
    /// Largest magnitude of an input element: with it no accumulator leaves 32 bits. Whoever makes the input clamps it.
    pub input_limit: i16,
}

/// A matrix and what its accumulators become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// The weights.
    pub matrix: Matrix,
    /// From accumulators to elements.
    pub requantisation: Requantisation,
}

/// A product of the residual stream, with RMSNorm's factor applied to its result.
///
/// The norm's weights are in the matrix' columns already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NormedProduct {
    /// The product of the residual stream as it is.
    pub product: Product,
    /// The right shift that, with the factor's exponent, brings the result to its unit.
    pub right_shift: i32,
}

/// RMSNorm without its weights: the factor is `1 / √(epsilon + Σ round(x² / 2^square_shift))`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Norm {
    /// Right shift of every square.
    pub square_shift: u32,
    /// The model's epsilon in units of the sum.
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

/// Attention of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// The norm in front.
    pub norm: Norm,
    /// Wq: `[heads × head_size][dim]`. The unit of a pair of a head is the inverse of its key's, so that their products have one
    /// unit for the whole head.
    pub query: NormedProduct,
    /// Largest magnitude of a query's element: with it no score leaves 32 bits.
    pub query_limit: i16,
    /// Wk: `[kv_heads × head_size][dim]`. Each pair of a head has a unit of its own; 2^`key_shift` of them are one of the cache.
    pub key: NormedProduct,
    /// Subtracted from the turned key: the middle of each channel's range. It moves all scores of a query alike, and so no
    /// probability.
    pub key_offsets: Vec<i16>,
    /// Right shift from there to the eight bits of the cache.
    pub key_shift: u32,
    /// Wv: `[kv_heads × head_size][dim]`. Each channel has a unit of its own.
    pub value: NormedProduct,
    /// From Σ query × key to a score, for each head.
    pub score_scales: Vec<Scale>,
    /// From Σ probability × value to an element, for each channel of the key-value heads.
    pub weighted_scales: Vec<Scale>,
    /// The right shift that, with the exponent of 1 / Σ probability, brings the result to the unit of `output`'s input.
    pub weighted_shift: i32,
    /// Wo: `[dim][heads × head_size]`; its elements are in the unit of the residual stream.
    pub output: Product,
}

/// The feed-forward network of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedForward {
    /// The norm in front.
    pub norm: Norm,
    /// W1: `[hidden][dim]`.
    pub gate: NormedProduct,
    /// From an element of `gate` to SiLU of it.
    pub silu: Table,
    /// W3: `[hidden][dim]`.
    pub up: NormedProduct,
    /// Right shift of the products of both.
    pub hidden_shift: u32,
    /// W2: `[dim][hidden]`; its elements are in the unit of the residual stream.
    pub down: Product,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedLayer {
    /// The first half.
    pub attention: Attention,
    /// The second half.
    pub feed_forward: FeedForward,
}

/// The end: last norm and classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classifier {
    /// The last norm.
    pub norm: Norm,
    /// The norm's weights, where the matrix is the embedding; elsewhere they are in its columns.
    pub weights: Option<ElementWeights>,
    /// `[vocabulary][dim]`; none where it is the embedding.
    pub matrix: Option<Matrix>,
    /// From accumulators to elements.
    pub requantisation: Requantisation,
    /// The right shift that, with the factor's exponent, makes logits of the elements. The largest element is that of the largest
    /// logit: who only wants that needs no factor.
    pub right_shift: i32,
    /// Real value of a logit of 1.
    pub unit: f64,
}

/// The exponential of scores and logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exponential {
    /// From `(score - origin) × 2^left_shift` to a probability, not yet divided by the sum. The largest is such that no sum of
    /// products with values leaves 32 bits.
    pub table: Table,
    /// What scores are shifted by, to the left and saturated: they span more than the table does.
    pub left_shift: u32,
    /// Real value of an argument of 1.
    pub unit: f64,
}

/// A whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedLlama {
    /// What messages and reports call it.
    pub name: String,
    /// Its sizes.
    pub shape: Shape,
    /// The token that begins a sequence.
    pub begin: u32,
    /// The tokens that end one.
    pub end: Vec<u32>,
    /// `[vocabulary][dim]`.
    pub embedding: Matrix,
    /// What a weight of the embedding is multiplied with to be an element of the residual stream, `[vocabulary][groups]`. An element
    /// each, so that a token's is an element of the vector memory.
    pub embedding_factors: Vec<i16>,
    /// Right shift of these products.
    pub embedding_shift: u32,
    /// Largest magnitude in the residual stream: the least `input_limit` of the products of it.
    pub residual_limit: i16,
    /// First to last.
    pub layers: Vec<QuantisedLayer>,
    /// The end.
    pub classifier: Classifier,
    /// RoPE's cosines, Q1.14: `[context][head_size / 2]`.
    pub cosines: Vec<i16>,
    /// RoPE's sines, Q1.14: `[context][head_size / 2]`.
    pub sines: Vec<i16>,
    /// One table for all layers, and for sampling.
    pub exponential: Exponential,
    /// Reciprocals and reciprocal roots.
    pub normalise: Normalise,
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

    /// The largest Σ |weight| of any group: times the largest input, the largest accumulator.
    #[must_use]
    pub fn largest_sum(&self) -> u64 {
        let sum = |group: &[i8]| group.iter().map(|weight| u64::from(weight.unsigned_abs())).sum();
        self.rows().flat_map(|row| row.chunks(self.group.max(1))).map(sum).max().unwrap_or(0)
    }

    /// The largest input with which no accumulator leaves 32 bits.
    #[must_use]
    pub fn input_limit(&self) -> i16 {
        input_limit(self.largest_sum())
    }
}

/// The largest input with which a sum of weights of these magnitudes stays within 32 bits.
#[must_use]
pub fn input_limit(largest_sum: u64) -> i16 {
    let limit = (i32::MAX as u64).checked_div(largest_sum).unwrap_or(u64::MAX);
    i16::try_from(limit).unwrap_or(i16::MAX)
}

impl QuantisedLlama {
    /// The matrix that makes logits.
    #[must_use]
    pub fn classifier_matrix(&self) -> &Matrix {
        self.classifier.matrix.as_ref().unwrap_or(&self.embedding)
    }

    /// Bytes of all matrices on the machine, with `bits` for a weight.
    #[must_use]
    pub fn weight_bytes(&self, bits: usize) -> usize {
        let layer = |layer: &QuantisedLayer| -> usize {
            let (attention, feed_forward) = (&layer.attention, &layer.feed_forward);
            let normed = [&attention.query, &attention.key, &attention.value, &feed_forward.gate, &feed_forward.up];
            let plain = [&attention.output, &feed_forward.down];
            let normed = normed.into_iter().map(|normed| normed.product.matrix.weights.len());
            normed.chain(plain.into_iter().map(|product| product.matrix.weights.len())).sum()
        };
        let classifier = self.classifier.matrix.as_ref().map_or(0, |matrix| matrix.weights.len());
        let weights = self.embedding.weights.len() + classifier + self.layers.iter().map(layer).sum::<usize>();
        (weights * bits).div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_limit_is_the_largest_that_keeps_accumulators_within_32_bits() {
        let matrix = Matrix { rows: 2, columns: 3, group: 2, weights: vec![1, -2, 100, 3, 3, -3], units: vec![] };
        assert_eq!((matrix.groups(), matrix.largest_sum(), matrix.input_limit()), (2, 100, i16::MAX));
        assert_eq!(input_limit(0), i16::MAX);
        for sum in [65_536_u64, 65_538, 70_000, 127 * 11_008] {
            let limit = u64::from(input_limit(sum).unsigned_abs());
            assert!(limit * sum <= i32::MAX as u64 && (limit + 1) * sum > i32::MAX as u64, "{sum}");
        }
    }
}
