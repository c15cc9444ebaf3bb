//! From floating point to integers: units for every vector, and the scales and shifts that follow from them.
//!
//! A vector's unit is its largest magnitude in [calibration](super::calibrate), with some headroom, over the largest integer that
//! it may hold. Below, names with `unit` are the real value of an integer of 1.
//!
//! # A product of the residual stream
//! With `x` in units of `u`, RMSNorm's factor is `F / (u × c)`, where `F = 1 / √(ε + Σ round(x² / 2^s))` is what the machine
//! computes and `c = √(2^s / dim)`. The product's accumulators are requantised to a raw unit `r`, and `y = raw × F × 2^-n` is then
//! in the unit `v` that is wanted if
//!
//! ```text
//! r = v × u × c × 2^-n
//! ```
//!
//! `n` is the largest with which the raw elements, as calibrated, still fit: half a bit of precision is lost to it on average.
//!
//! # What layers share
//! A machine executes one schedule for all layers (`Shared`): what stands in its instructions (shifts, limits, the table of SiLU)
//! is the same for all, what stands in memories (scales, weights, middles of keys) each layer's own.

use lpu_isa::arithmetic::quantize_multiplier;
use lpu_isa::fixed_point::normalise::Normalise;
use lpu_isa::fixed_point::square_shift;
use lpu_isa::fixed_point::table::Table;
use lpu_isa::program::Scale;

use super::calibrate::{LayerRanges, NormedRange, Ranges};
use super::check::LlamaGraphError;
use super::correlation::Correlation;
use super::float::rope_angle;
use super::graph::{
    Attention, CACHE_LIMIT, Classifier, ElementWeights, Exponential, FeedForward, Matrix, Norm, NormedProduct, Product,
    QuantisedLayer, QuantisedLlama, ROPE_FRACTION_BITS, Requantisation, input_limit,
};
use super::model::{LlamaLayer, LlamaModel, Shape};
use super::weights::{WeightFormat, round};

/// What a vector may exceed its calibrated range by before it saturates.
const HEADROOM: f64 = 1.1;

/// What keys and values may exceed theirs by: nothing, for their eight bits are the coarsest of all. Saturation costs less.
const CACHE_HEADROOM: f64 = 1.0;

/// How far below the largest score the exponential reaches, in nats: e^-11.09 of 2¹⁵ is half a unit.
const EXPONENTIAL_SPAN: f64 = 16.0 * std::f64::consts::LN_2;

/// Bits of a norm's epsilon, without the zeros below them.
const EPSILON_BITS: u32 = 15;

/// Largest part of a sum of squares that a norm's epsilon may be.
const LARGEST_EPSILON: f64 = (1 << 29) as f64;

/// The model in integers, calibrated on text of its own.
///
/// # Errors
/// Weights of such magnitudes that scales or shifts leave what the machine has, or sizes at which sums leave 32 bits.
pub fn quantise(model: &LlamaModel, format: WeightFormat) -> Result<QuantisedLlama, LlamaGraphError> {
    quantise_with(model, &Ranges::of(model), format)
}

/// The same with known ranges.
///
/// # Errors
/// As [`quantise`].
pub fn quantise_with(
    model: &LlamaModel,
    ranges: &Ranges,
    format: WeightFormat,
) -> Result<QuantisedLlama, LlamaGraphError> {
    let quantised = Quantiser::new(model, ranges, format).run();
    quantised.check()?;
    Ok(quantised)
}

/// The unit with which `range`, with its headroom, is `limit`. A vector of zeros has any unit.
fn unit_of(range: f64, headroom: f64, limit: i16) -> f64 {
    let range = if range > 0.0 && range.is_finite() { range } else { 1.0 };
    range * headroom / f64::from(limit.max(1))
}

/// The unit of a vector that nothing but 16 bits limits.
fn full_unit(range: f64) -> f64 {
    unit_of(range, HEADROOM, i16::MAX)
}

/// The narrow scale nearest to `real`, so that it is the same number on every machine. One to the left is left as it is.
fn scale_of(real: f64) -> Scale {
    let (multiplier, shift) = quantize_multiplier(real);
    let scale = Scale { multiplier, shift, bias: 0 };
    scale.narrowed().unwrap_or(scale)
}

/// From accumulators of `matrix` with inputs in `input_unit` to elements in `unit(row)`.
fn requantisation(matrix: &Matrix, input_unit: f64, input_limit: i16, unit: impl Fn(usize) -> f64) -> Requantisation {
    let groups = matrix.groups();
    let scale = |(index, weight_unit): (usize, &f64)| scale_of(weight_unit * input_unit / unit(index / groups));
    Requantisation { scales: matrix.units.iter().enumerate().map(scale).collect(), input_limit }
}

/// The matrices of a layer in integers.
struct LayerMatrices {
    query: Matrix,
    key: Matrix,
    value: Matrix,
    output: Matrix,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// What is the same in all layers: of each the one that suits every layer.
#[derive(Clone, Copy)]
struct Shared {
    /// Right shifts of the products of the residual stream: query, key, value, gate, up. The smallest.
    right_shifts: [i32; 5],
    /// From turned keys to those of the cache. The smallest.
    key_shift: u32,
    /// From weighted sums to the unit of attention's result. The smallest.
    weighted_shift: i32,
    /// Limits of attention's result and of the hidden vector. The smallest.
    limits: [i16; 2],
    /// Of the products in the hidden vector. The smallest.
    hidden_shift: u32,
    /// Unit of the gate, and of SiLU of it, which is never larger.
    gate: f64,
}

impl Shared {
    /// What restricts nothing, with the gate's unit for `ranges`.
    fn any(ranges: &Ranges) -> Shared {
        let gate = ranges.layers.iter().map(|layer| layer.gate.value).fold(0.0, f64::max);
        Shared {
            right_shifts: [i32::MAX; 5],
            key_shift: u32::MAX,
            weighted_shift: i32::MAX,
            limits: [i16::MAX; 2],
            hidden_shift: u32::MAX,
            gate: full_unit(gate),
        }
    }

    /// The same, restricted to what suits `layer` too.
    fn with(mut self, layer: &QuantisedLayer) -> Shared {
        let (attention, network) = (&layer.attention, &layer.feed_forward);
        let normed = [&attention.query, &attention.key, &attention.value, &network.gate, &network.up];
        for (shared, normed) in self.right_shifts.iter_mut().zip(normed) {
            *shared = (*shared).min(normed.right_shift);
        }
        for (shared, product) in self.limits.iter_mut().zip([&attention.output, &network.down]) {
            *shared = (*shared).min(product.requantisation.input_limit);
        }
        self.key_shift = self.key_shift.min(attention.key_shift);
        self.weighted_shift = self.weighted_shift.min(attention.weighted_shift);
        self.hidden_shift = self.hidden_shift.min(network.hidden_shift);
        self
    }
}

struct Quantiser<'a> {
    model: &'a LlamaModel,
    ranges: &'a Ranges,
    layers: Vec<LayerMatrices>,
    embedding: Matrix,
    classifier: Option<Matrix>,
    residual_limit: i16,
    /// Unit of the residual stream.
    residual: f64,
    /// The norm of the residual stream, and its `c`.
    norm: Norm,
    norm_constant: f64,
}

impl<'a> Quantiser<'a> {
    fn new(model: &'a LlamaModel, ranges: &'a Ranges, format: WeightFormat) -> Self {
        let shape = &model.shape;
        let plain = |weights: &[f32], columns: usize, inputs: &Correlation| {
            let weights: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
            round(&weights, columns, inputs, format)
        };
        // With the norm's weights in the columns, the input is the residual stream over its root mean square.
        let folded = |weights: &[f32], norm: &[f32], inputs: &Correlation| {
            let columns = norm.iter().cycle();
            let weights: Vec<f64> =
                weights.iter().zip(columns).map(|(&weight, &norm)| f64::from(weight) * f64::from(norm)).collect();
            round(&weights, shape.dim, inputs, format)
        };
        // Rows of the embedding are read out, even where they are a product's weights too: none may make up for another.
        let embedding = plain(&model.embedding, shape.dim, &Correlation::new(shape.dim));
        let layer = |(layer, ranges): (&LlamaLayer, &LayerRanges)| LayerMatrices {
            query: folded(&layer.query, &layer.attention_norm, &ranges.attention_inputs),
            key: folded(&layer.key, &layer.attention_norm, &ranges.attention_inputs),
            value: folded(&layer.value, &layer.attention_norm, &ranges.attention_inputs),
            output: plain(&layer.output, shape.query_length(), &ranges.output_inputs),
            gate: folded(&layer.gate, &layer.feed_forward_norm, &ranges.feed_forward_inputs),
            up: folded(&layer.up, &layer.feed_forward_norm, &ranges.feed_forward_inputs),
            down: plain(&layer.down, shape.hidden, &ranges.hidden_inputs),
        };
        let layers: Vec<LayerMatrices> = model.layers.iter().zip(&ranges.layers).map(layer).collect();
        let classifier =
            model.classifier.as_ref().map(|weights| folded(weights, &model.final_norm, &ranges.final_inputs));
        let of_residual = layers
            .iter()
            .flat_map(|layer| [&layer.query, &layer.key, &layer.value, &layer.gate, &layer.up])
            .chain(&classifier);
        let residual_limit = of_residual.map(Matrix::input_limit).min().unwrap_or(i16::MAX);
        let residual = unit_of(ranges.residual, HEADROOM, residual_limit);
        let (norm, norm_constant) = norm(shape.dim, residual_limit, residual, model.norm_epsilon);
        Self { model, ranges, layers, embedding, classifier, residual_limit, residual, norm, norm_constant }
    }

    fn run(self) -> QuantisedLlama {
        let (model, shape) = (self.model, &self.model.shape);
        let largest_score = self.ranges.layers.iter().map(|layer| layer.score).fold(0.0, f64::max);
        let exponential = exponential(shape, largest_score);
        let score_unit = exponential.unit * f64::from(exponential.left_shift).exp2();
        let largest = exponential.table.values().iter().copied().max().unwrap_or(0);
        let layers = |shared: &Shared| -> Vec<QuantisedLayer> {
            let layers = self.layers.iter().zip(&self.ranges.layers);
            let layer = |(matrices, ranges): (&LayerMatrices, &LayerRanges)| QuantisedLayer {
                attention: self.attention(matrices, ranges, shared, score_unit, largest),
                feed_forward: self.feed_forward(matrices, ranges, shared),
            };
            layers.map(layer).collect()
        };
        // First each as suits it best. A restriction makes units coarser, which restricts nothing else further.
        let own = layers(&Shared::any(self.ranges));
        let layers = layers(&own.iter().fold(Shared::any(self.ranges), Shared::with));
        let (cosines, sines) = rotations(shape, model.rope_theta);
        let (embedding_factors, embedding_shift) = factors(&self.embedding.units, self.residual);
        QuantisedLlama {
            name: model.name.clone(),
            shape: shape.clone(),
            begin: model.begin,
            end: model.end.clone(),
            embedding_factors,
            embedding_shift,
            residual_limit: self.residual_limit,
            layers,
            classifier: self.classifier(),
            embedding: self.embedding,
            cosines,
            sines,
            exponential,
            normalise: Normalise::new(),
        }
    }

    /// The raw unit of a product of the residual stream whose results are in `unit` after a right shift by `n`.
    fn raw_unit(&self, unit: f64, n: i32) -> f64 {
        unit * self.residual * self.norm_constant * f64::from(-n).exp2()
    }

    /// The largest right shift with which raw elements of `range` fit.
    fn right_shift(&self, unit: f64, range: &NormedRange) -> i32 {
        // The cast saturates.
        (self.raw_unit(unit, 0) / full_unit(range.raw)).log2().floor() as i32
    }

    /// The product of the residual stream with `matrix`, whose row's unit and range are `rows(row)`; its right shift is at most `most`.
    fn normed<'r>(&self, matrix: &Matrix, most: i32, rows: impl Fn(usize) -> (f64, &'r NormedRange)) -> NormedProduct {
        let shift = |row: usize| {
            let (unit, range) = rows(row);
            self.right_shift(unit, range)
        };
        // A row of zeros suits every shift.
        let used = (0..matrix.rows).filter(|&row| rows(row).1.raw > 0.0);
        let right_shift = used.map(shift).min().unwrap_or(0).min(most);
        let unit = |row: usize| self.raw_unit(rows(row).0, right_shift);
        let requantisation = requantisation(matrix, self.residual, self.residual_limit, unit);
        NormedProduct { product: Product { matrix: matrix.clone(), requantisation }, right_shift }
    }

    fn attention(
        &self,
        matrices: &LayerMatrices,
        ranges: &LayerRanges,
        shared: &Shared,
        score_unit: f64,
        largest_probability: i16,
    ) -> Attention {
        let shape = &self.model.shape;
        let pairs = shape.head_size / 2;
        let cached = |range: &NormedRange| unit_of(range.value, CACHE_HEADROOM, CACHE_LIMIT);
        let reach =
            |pair: &[(f64, f64)]| pair.iter().fold(0.0_f64, |reach, range| reach.max((range.1 - range.0) / 2.0));
        let key_unit = |pair: &[(f64, f64)]| unit_of(reach(pair), CACHE_HEADROOM, CACHE_LIMIT);
        let key_units: Vec<f64> = ranges.turned_key.chunks_exact(2).map(key_unit).collect();
        // As many bits below those of the cache as leave whole keys, their middles included, within 16.
        let whole = ranges.key.iter().zip(&key_units).map(|(range, unit)| range.value / unit).fold(1.0, f64::max);
        let key_shift = (f64::from(i16::MAX) / (whole * HEADROOM)).log2().floor().clamp(0.0, 8.0);
        let key_shift = key_shift.min(f64::from(shared.key_shift));
        let key_offset =
            |(channel, middle): (usize, f64)| (middle / key_units[channel / 2] * key_shift.exp2()).round() as i16;
        // A channel of zeros has any unit: that of another, so that it asks for no scale of its own.
        let any = ranges.value.iter().filter(|range| range.value > 0.0).map(cached).fold(0.0, f64::max);
        let value_unit = |range: &NormedRange| if range.value > 0.0 || any == 0.0 { cached(range) } else { any };
        let value_units: Vec<f64> = ranges.value.iter().map(value_unit).collect();
        // What a query's pair is multiplied with has the unit of its key's pair.
        let key_of = |pair: usize| key_units[shape.kv_head(pair / pairs) * pairs + pair % pairs];
        let query_limit = input_limit(u64::from(CACHE_LIMIT.unsigned_abs()) * shape.head_size as u64);
        let of_head = |head: usize| {
            let product = |pair: usize| ranges.query[pair].value * key_of(pair);
            let largest = (head * pairs..(head + 1) * pairs).map(product).fold(0.0, f64::max);
            unit_of(largest, HEADROOM, query_limit)
        };
        let product_units: Vec<f64> = (0..shape.heads).map(of_head).collect();
        let query_unit = |row: usize| product_units[row / shape.head_size] / key_of(row / 2);
        let root = (shape.head_size as f64).sqrt();
        let coarse = key_shift.exp2();

        let input_limit = matrices.output.input_limit().min(shared.limits[0]);
        let result = unit_of(ranges.attention, HEADROOM, input_limit);
        // The raw unit is that of the result times a power of two.
        let weighted = if ranges.weighted > 0.0 { ranges.weighted } else { 1.0 };
        let weighted = full_unit(weighted * f64::from(largest_probability));
        let exponent = (weighted / result).log2().ceil().max(-f64::from(shared.weighted_shift));
        let weighted = result * exponent.exp2();
        let output = requantisation(&matrices.output, result, input_limit, |_| self.residual);
        Attention {
            norm: self.norm.clone(),
            query: self
                .normed(&matrices.query, shared.right_shifts[0], |row| (query_unit(row), &ranges.query[row / 2])),
            query_limit,
            key: self.normed(&matrices.key, shared.right_shifts[1], |row| {
                (key_units[row / 2] / coarse, &ranges.key[row / 2])
            }),
            key_offsets: ranges.key_middles().into_iter().enumerate().map(key_offset).collect(),
            key_shift: key_shift as u32,
            value: self.normed(&matrices.value, shared.right_shifts[2], |row| (value_units[row], &ranges.value[row])),
            score_scales: product_units.iter().map(|unit| scale_of(unit / root / score_unit)).collect(),
            weighted_scales: value_units.iter().map(|unit| scale_of(unit / weighted)).collect(),
            weighted_shift: -exponent as i32,
            output: Product { matrix: matrices.output.clone(), requantisation: output },
        }
    }

    fn feed_forward(&self, matrices: &LayerMatrices, ranges: &LayerRanges, shared: &Shared) -> FeedForward {
        let (gate, up) = (shared.gate, full_unit(ranges.up.value));
        let input_limit = matrices.down.input_limit().min(shared.limits[1]);
        let hidden = unit_of(ranges.hidden, HEADROOM, input_limit);
        // The unit of the hidden vector is that of the gate's SiLU, which is the gate's, times that of `up`, times a power of two.
        let shift = (hidden / (gate * up)).log2().floor().clamp(0.0, 31.0).min(f64::from(shared.hidden_shift));
        let up = up.max(hidden / gate / shift.exp2());
        let down = requantisation(&matrices.down, gate * up * shift.exp2(), input_limit, |_| self.residual);
        FeedForward {
            norm: self.norm.clone(),
            gate: self.normed(&matrices.gate, shared.right_shifts[3], |_| (gate, &ranges.gate)),
            silu: Table::silu(gate, gate),
            up: self.normed(&matrices.up, shared.right_shifts[4], |_| (up, &ranges.up)),
            hidden_shift: shift as u32,
            down: Product { matrix: matrices.down.clone(), requantisation: down },
        }
    }

    fn classifier(&self) -> Classifier {
        let unit = full_unit(self.ranges.logits.value);
        let right_shift = self.right_shift(unit, &self.ranges.logits);
        let raw = self.raw_unit(unit, right_shift);
        let matrix = self.classifier.as_ref().unwrap_or(&self.embedding);
        let (weights, requantisation) = if self.classifier.is_some() {
            (None, requantisation(matrix, self.residual, self.residual_limit, |_| raw))
        } else {
            let input_limit = matrix.input_limit();
            let (weights, unit) = self.final_weights(input_limit);
            (Some(weights), requantisation(matrix, unit, input_limit, |_| raw))
        };
        Classifier {
            norm: self.norm.clone(),
            weights,
            matrix: self.classifier.clone(),
            requantisation,
            right_shift,
            unit,
        }
    }

    /// The last norm's weights for the residual stream, and the unit of the products.
    fn final_weights(&self, limit: i16) -> (ElementWeights, f64) {
        let weights = &self.model.final_norm;
        let largest = weights.iter().fold(0.0_f64, |largest, &weight| largest.max(f64::from(weight).abs()));
        let unit = unit_of(self.ranges.final_input.raw, HEADROOM, limit);
        let shift = (unit / (self.residual * unit_of(largest, 1.0, i16::MAX))).log2().floor().clamp(0.0, 31.0);
        let weight_unit = unit / self.residual / shift.exp2();
        let values = weights.iter().map(|&weight| (f64::from(weight) / weight_unit).round() as i16).collect();
        (ElementWeights { values, right_shift: shift as u32 }, unit)
    }
}

/// The norm of `count` elements of at most `limit` in `unit`, and its `c`.
fn norm(count: usize, limit: i16, unit: f64, epsilon: f64) -> (Norm, f64) {
    let whole = epsilon * count as f64 / (unit * unit);
    let in_sum = |shift: u32| (whole / f64::from(shift).exp2()).round();
    let least = square_shift(count, limit, (1 << 30) - 1);
    let square_shift = (least..31).find(|&shift| in_sum(shift) <= LARGEST_EPSILON).unwrap_or(31);
    let constant = (f64::from(square_shift).exp2() / count as f64).sqrt();
    let epsilon = few_bits(in_sum(square_shift).min(LARGEST_EPSILON) as i32);
    (Norm { square_shift, epsilon }, constant)
}

/// `value`, which is not negative, cut to its highest [`EPSILON_BITS`] bits: an instruction has a constant and a shift.
fn few_bits(value: i32) -> i32 {
    let surplus = (i32::BITS - value.leading_zeros()).saturating_sub(EPSILON_BITS);
    value >> surplus << surplus
}

/// Elements and one right shift that make elements in `unit` of integers in each of `units`.
fn factors(units: &[f64], unit: f64) -> (Vec<i16>, u32) {
    let largest = units.iter().fold(0.0_f64, |largest, &other| largest.max(other / unit));
    let room = if largest > 0.0 { (f64::from(i16::MAX) / largest).log2().floor() } else { 0.0 };
    let shift = room.clamp(0.0, 31.0);
    // The cast saturates.
    (units.iter().map(|other| (other / unit * shift.exp2()).round() as i16).collect(), shift as u32)
}

/// The exponential for scores whose largest are within `largest_score` of 0.
fn exponential(shape: &Shape, largest_score: f64) -> Exponential {
    let unit = EXPONENTIAL_SPAN / 65536.0;
    let left_shift = (full_unit(largest_score) / unit).log2().ceil().clamp(0.0, 14.0) as u32;
    let one = input_limit(u64::from(CACHE_LIMIT.unsigned_abs()) * shape.context as u64);
    Exponential { table: Table::exponential(unit, one), left_shift, unit }
}

/// Cosines and sines of all positions.
fn rotations(shape: &Shape, theta: f64) -> (Vec<i16>, Vec<i16>) {
    let pairs = shape.head_size / 2;
    let one = f64::from(1 << ROPE_FRACTION_BITS);
    let places = (0..shape.context).flat_map(|position| (0..pairs).map(move |pair| (position, pair)));
    let turn = |(position, pair)| {
        let (sine, cosine) = rope_angle(pair, shape.head_size, position, theta).sin_cos();
        ((cosine * one).round() as i16, (sine * one).round() as i16)
    };
    places.map(turn).unzip()
}
