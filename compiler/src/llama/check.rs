//! Whether a graph can be executed: sizes that fit each other, and accumulators that stay within 32 bits.

use lpu_isa::arithmetic::{MAXIMUM_SHIFT, MINIMUM_SHIFT};
use lpu_isa::program::Scale;
use thiserror::Error;

use super::graph::{
    Attention, CACHE_LIMIT, FeedForward, Matrix, Norm, NormedProduct, QuantisedLlama, Requantisation, input_limit,
};
use super::model::ShapeError;

/// Why a graph cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LlamaGraphError {
    /// Sizes that make no model.
    #[error("`{model}`: {source}")]
    Shape {
        /// The model.
        model: String,
        /// Which sizes.
        source: ShapeError,
    },
    /// Something has another length than the sizes say.
    #[error("`{model}`, {place}: {found} {what} instead of {expected}")]
    Length {
        /// The model.
        model: String,
        /// Where.
        place: String,
        /// Of what.
        what: &'static str,
        /// As they are.
        found: usize,
        /// As they should be.
        expected: usize,
    },
    /// Sums that would leave 32 bits.
    #[error("`{model}`, {place}: with inputs of up to {limit} and weights of {sum} together, a sum leaves 32 bits")]
    Overflow {
        /// The model.
        model: String,
        /// Where.
        place: String,
        /// Largest input.
        limit: i16,
        /// Largest sum of the weights' magnitudes.
        sum: u64,
    },
    /// A scale or a shift that the machine does not have, or that would overflow.
    #[error("`{model}`, {place}: {what} of {value} cannot be applied")]
    Range {
        /// The model.
        model: String,
        /// Where.
        place: String,
        /// Of what.
        what: &'static str,
        /// It.
        value: i64,
    },
}

/// The right shifts that a norm's factor can be applied with: its exponent is -30 to -15.
const NORM_SHIFTS: std::ops::RangeInclusive<i32> = -15..=31;

/// The right shifts that a reciprocal can be applied with: its exponent is -46 to -30, because the largest score alone contributes
/// 2¹⁵ or, where the context is long, a little less.
const WEIGHTED_SHIFTS: std::ops::RangeInclusive<i32> = -30..=31;

impl QuantisedLlama {
    /// Whether the graph can be executed without leaving 32 bits or the tables.
    ///
    /// # Errors
    /// Which rule is broken, and where.
    pub fn check(&self) -> Result<(), LlamaGraphError> {
        let site = Site { model: &self.name, place: "the model".into() };
        let shape = &self.shape;
        shape.check().map_err(|source| LlamaGraphError::Shape { model: self.name.clone(), source })?;
        site.length("layers", self.layers.len(), shape.layers)?;
        let angles = shape.context * shape.head_size / 2;
        site.length("cosines", self.cosines.len(), angles)?;
        site.length("sines", self.sines.len(), angles)?;
        if u64::from(self.exponential.left_shift) > 14 {
            return Err(site.range("a left shift", i64::from(self.exponential.left_shift)));
        }
        let largest = self.exponential.table.values().iter().copied().max().unwrap_or(0);
        site.sum(largest, u64::from(CACHE_LIMIT.unsigned_abs()) * shape.context as u64)?;
        let embedding = site.at("embedding");
        embedding.matrix(&self.embedding, shape.vocabulary, shape.dim)?;
        embedding.length("factors", self.embedding_factors.len(), shape.vocabulary * self.embedding.groups())?;
        if self.embedding_shift > 31 {
            return Err(embedding.range("a right shift", i64::from(self.embedding_shift)));
        }
        for (number, layer) in self.layers.iter().enumerate() {
            self.check_attention(&layer.attention, number)?;
            self.check_feed_forward(&layer.feed_forward, number)?;
        }
        let (end, matrix) = (site.at("classifier"), self.classifier_matrix());
        end.matrix(matrix, shape.vocabulary, shape.dim)?;
        end.requantisation(matrix, &self.classifier.requantisation)?;
        end.norm(&self.classifier.norm, shape.dim, self.residual_limit)?;
        end.shift(self.classifier.right_shift, NORM_SHIFTS)?;
        match &self.classifier.weights {
            Some(weights) => end.length("weights of the norm", weights.values.len(), shape.dim),
            // The residual stream itself is the input.
            None => end.sum(self.residual_limit, matrix.largest_sum()),
        }
    }

    fn check_attention(&self, attention: &Attention, number: usize) -> Result<(), LlamaGraphError> {
        let shape = &self.shape;
        let site = |name: &str| Site { model: &self.name, place: format!("layer {number}, {name}") };
        let (query, kv) = (shape.query_length(), shape.kv_length());
        site("attention").norm(&attention.norm, shape.dim, self.residual_limit)?;
        for (name, product, rows) in
            [("query", &attention.query, query), ("key", &attention.key, kv), ("value", &attention.value, kv)]
        {
            self.check_normed(&site(name), product, rows)?;
        }
        site("key").length("offsets", attention.key_offsets.len(), kv)?;
        if attention.key_shift > 31 {
            return Err(site("key").range("a right shift", i64::from(attention.key_shift)));
        }
        let keys = u64::from(CACHE_LIMIT.unsigned_abs()) * shape.head_size as u64;
        site("scores").sum(attention.query_limit, keys)?;
        site("scores").scales(&attention.score_scales, shape.heads, keys * 32768)?;
        site("weighted values").scales(&attention.weighted_scales, kv, i32::MAX as u64)?;
        site("weighted values").shift(attention.weighted_shift, WEIGHTED_SHIFTS)?;
        let output = site("output");
        output.matrix(&attention.output.matrix, shape.dim, query)?;
        output.requantisation(&attention.output.matrix, &attention.output.requantisation)
    }

    fn check_feed_forward(&self, network: &FeedForward, number: usize) -> Result<(), LlamaGraphError> {
        let shape = &self.shape;
        let site = |name: &str| Site { model: &self.name, place: format!("layer {number}, {name}") };
        site("feed-forward network").norm(&network.norm, shape.dim, self.residual_limit)?;
        self.check_normed(&site("gate"), &network.gate, shape.hidden)?;
        self.check_normed(&site("up"), &network.up, shape.hidden)?;
        let down = site("down");
        down.matrix(&network.down.matrix, shape.dim, shape.hidden)?;
        down.requantisation(&network.down.matrix, &network.down.requantisation)
    }

    fn check_normed(&self, site: &Site<'_>, normed: &NormedProduct, rows: usize) -> Result<(), LlamaGraphError> {
        let matrix = &normed.product.matrix;
        site.matrix(matrix, rows, self.shape.dim)?;
        site.requantisation(matrix, &normed.product.requantisation)?;
        site.sum(self.residual_limit, matrix.largest_sum())?;
        site.shift(normed.right_shift, NORM_SHIFTS)
    }
}

/// Where the check stands, for messages.
struct Site<'a> {
    model: &'a str,
    place: String,
}

impl Site<'_> {
    fn at(&self, place: &str) -> Site<'_> {
        Site { model: self.model, place: place.into() }
    }

    fn length(&self, what: &'static str, found: usize, expected: usize) -> Result<(), LlamaGraphError> {
        if found == expected {
            return Ok(());
        }
        Err(LlamaGraphError::Length { model: self.model.into(), place: self.place.clone(), what, found, expected })
    }

    fn range(&self, what: &'static str, value: i64) -> LlamaGraphError {
        LlamaGraphError::Range { model: self.model.into(), place: self.place.clone(), what, value }
    }

    fn shift(&self, shift: i32, allowed: std::ops::RangeInclusive<i32>) -> Result<(), LlamaGraphError> {
        if allowed.contains(&shift) { Ok(()) } else { Err(self.range("a right shift", i64::from(shift))) }
    }

    /// Inputs of up to `limit`, weights of `sum` together.
    fn sum(&self, limit: i16, sum: u64) -> Result<(), LlamaGraphError> {
        if (0..=input_limit(sum)).contains(&limit) {
            return Ok(());
        }
        Err(LlamaGraphError::Overflow { model: self.model.into(), place: self.place.clone(), limit, sum })
    }

    fn matrix(&self, matrix: &Matrix, rows: usize, columns: usize) -> Result<(), LlamaGraphError> {
        self.length("rows", matrix.rows, rows)?;
        self.length("columns", matrix.columns, columns)?;
        self.length("weights", matrix.weights.len(), rows * columns)?;
        if !(1..=columns).contains(&matrix.group) {
            return Err(self.range("a group", matrix.group as i64));
        }
        self.length("units", matrix.units.len(), rows * matrix.groups())
    }

    fn requantisation(&self, matrix: &Matrix, requantisation: &Requantisation) -> Result<(), LlamaGraphError> {
        let (limit, sum) = (requantisation.input_limit, matrix.largest_sum());
        self.sum(limit, sum)?;
        self.scales(&requantisation.scales, matrix.rows * matrix.groups(), sum * u64::from(limit.unsigned_abs()))
    }

    /// `count` scales for accumulators of up to `largest`: a left shift must not push them out of 32 bits.
    fn scales(&self, scales: &[Scale], count: usize, largest: u64) -> Result<(), LlamaGraphError> {
        self.length("scales", scales.len(), count)?;
        for scale in scales {
            if scale.multiplier != 0 && scale.multiplier < 1 << 30 {
                return Err(self.range("a multiplier", i64::from(scale.multiplier)));
            }
            let fits = (MINIMUM_SHIFT..=MAXIMUM_SHIFT).contains(&scale.shift)
                && largest.saturating_mul(1 << scale.shift.max(0)) <= i32::MAX as u64;
            if !fits {
                return Err(self.range("a scale's shift", i64::from(scale.shift)));
            }
        }
        Ok(())
    }

    fn norm(&self, norm: &Norm, count: usize, limit: i16) -> Result<(), LlamaGraphError> {
        if norm.square_shift > 31 || norm.epsilon < 0 {
            return Err(self.range("a norm's epsilon", i64::from(norm.epsilon)));
        }
        let square = (u64::from(limit.unsigned_abs()).pow(2) >> norm.square_shift) + 1;
        let largest = square.saturating_mul(count as u64).saturating_add(u64::from(norm.epsilon.unsigned_abs()));
        if largest <= i32::MAX as u64 { Ok(()) } else { Err(self.range("a sum of squares", largest as i64)) }
    }
}
