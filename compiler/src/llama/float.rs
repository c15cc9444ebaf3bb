//! The model's answer in floating point: float32 weights, float64 everything else.
//!
//! What the quantiser calibrates with and what perplexities are compared with. Nothing here reaches the machine.

use super::model::{LlamaLayer, LlamaModel, Shape};

/// A place in the computation whose values the quantiser wants to see. `usize` is the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The residual stream, after the embedding and after every addition.
    Residual,
    /// The normalised input of attention's products.
    AttentionInput(usize),
    /// Queries before rotation.
    Query(usize),
    /// Queries after rotation.
    TurnedQuery(usize),
    /// Keys before rotation.
    Key(usize),
    /// Keys after rotation.
    TurnedKey(usize),
    /// Values.
    Value(usize),
    /// Scores of one head over all positions, divided by the root of the head's size.
    Score(usize),
    /// Σ exp(score - largest score) × value of one head: attention's result before the division.
    Weighted(usize),
    /// Attention's result, all heads.
    Attention(usize),
    /// The normalised input of the feed-forward network's products.
    FeedForwardInput(usize),
    /// W1's product, before SiLU.
    Gate(usize),
    /// W3's product.
    Up(usize),
    /// The product of both: W2's input.
    Hidden(usize),
    /// The last norm's result.
    FinalInput,
    /// The logits.
    Logits,
}

/// Somebody who looks at values on their way.
pub trait Observer {
    /// `values` at `place`, of the present token.
    fn see(&mut self, place: Probe, values: &[f64]);
}

/// Nobody.
impl Observer for () {
    fn see(&mut self, _: Probe, _: &[f64]) {}
}

/// A sequence in progress: the keys and values so far.
#[derive(Debug, Clone)]
pub struct FloatSession<'model> {
    model: &'model LlamaModel,
    /// For each layer, `[position][kv_heads × head_size]`.
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
    position: usize,
}

impl<'model> FloatSession<'model> {
    /// A sequence without tokens.
    #[must_use]
    pub fn new(model: &'model LlamaModel) -> Self {
        let empty = || vec![Vec::new(); model.layers.len()];
        Self { model, keys: empty(), values: empty(), position: 0 }
    }

    /// The logits after `token`: what may come next. `token` is below the vocabulary.
    ///
    /// There is no longest sequence here: RoPE goes on, whatever the model was trained for.
    pub fn step(&mut self, token: u32) -> Vec<f64> {
        self.step_observed(token, &mut ())
    }

    /// The same, with somebody looking.
    pub fn step_observed(&mut self, token: u32, observer: &mut impl Observer) -> Vec<f64> {
        let model = self.model;
        let dim = model.shape.dim;
        let row = model.embedding.chunks_exact(dim).nth(token as usize).unwrap_or_default();
        let mut residual: Vec<f64> = row.iter().map(|&weight| f64::from(weight)).collect();
        residual.resize(dim, 0.0);
        observer.see(Probe::Residual, &residual);
        for (number, layer) in model.layers.iter().enumerate() {
            let update = self.attention(number, layer, &residual, observer);
            add(&mut residual, &update);
            observer.see(Probe::Residual, &residual);
            let update = self.feed_forward(number, layer, &residual, observer);
            add(&mut residual, &update);
            observer.see(Probe::Residual, &residual);
        }
        self.position += 1;
        let input = norm(&residual, &model.final_norm, model.norm_epsilon);
        observer.see(Probe::FinalInput, &input);
        let logits = product(model.classifier(), &input);
        observer.see(Probe::Logits, &logits);
        logits
    }

    fn attention(
        &mut self,
        number: usize,
        layer: &LlamaLayer,
        residual: &[f64],
        observer: &mut impl Observer,
    ) -> Vec<f64> {
        let shape = &self.model.shape;
        let input = norm(residual, &layer.attention_norm, self.model.norm_epsilon);
        observer.see(Probe::AttentionInput(number), &input);
        let (mut query, mut key) = (product(&layer.query, &input), product(&layer.key, &input));
        let value = product(&layer.value, &input);
        observer.see(Probe::Query(number), &query);
        observer.see(Probe::Key(number), &key);
        for vector in [&mut query, &mut key] {
            rotate(vector, shape.head_size, self.position, self.model.rope_theta);
        }
        observer.see(Probe::TurnedQuery(number), &query);
        observer.see(Probe::TurnedKey(number), &key);
        observer.see(Probe::Value(number), &value);
        self.keys[number].extend(&key);
        self.values[number].extend(&value);
        let mut result = Vec::with_capacity(shape.query_length());
        for (head, query) in query.chunks_exact(shape.head_size).enumerate() {
            let root = (shape.head_size as f64).sqrt();
            let keys = head_rows(&self.keys[number], shape, head);
            let scores: Vec<f64> = keys.map(|key| dot(key, query) / root).collect();
            observer.see(Probe::Score(number), &scores);
            let exponentials = exponentials(&scores);
            let mut weighted = vec![0.0; shape.head_size];
            for (row, exponential) in head_rows(&self.values[number], shape, head).zip(&exponentials) {
                weighted.iter_mut().zip(row).for_each(|(sum, value)| *sum += exponential * value);
            }
            observer.see(Probe::Weighted(number), &weighted);
            let sum: f64 = exponentials.iter().sum();
            result.extend(weighted.iter().map(|weighted| weighted / sum));
        }
        observer.see(Probe::Attention(number), &result);
        product(&layer.output, &result)
    }

    fn feed_forward(
        &self,
        number: usize,
        layer: &LlamaLayer,
        residual: &[f64],
        observer: &mut impl Observer,
    ) -> Vec<f64> {
        let input = norm(residual, &layer.feed_forward_norm, self.model.norm_epsilon);
        observer.see(Probe::FeedForwardInput(number), &input);
        let (gate, up) = (product(&layer.gate, &input), product(&layer.up, &input));
        observer.see(Probe::Gate(number), &gate);
        observer.see(Probe::Up(number), &up);
        let hidden: Vec<f64> = gate.iter().zip(&up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
        observer.see(Probe::Hidden(number), &hidden);
        product(&layer.down, &hidden)
    }
}

/// The rows of the key-value head that query head `head` uses.
fn head_rows<'c>(cache: &'c [f64], shape: &Shape, head: usize) -> impl Iterator<Item = &'c [f64]> {
    let from = shape.kv_head(head) * shape.head_size;
    let to = from + shape.head_size;
    cache.chunks_exact(shape.kv_length()).map(move |row| &row[from..to])
}

fn add(sum: &mut [f64], other: &[f64]) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(matrix: &[f32], vector: &[f64]) -> Vec<f64> {
    let row = |row: &[f32]| row.iter().zip(vector).map(|(&weight, &element)| f64::from(weight) * element).sum();
    matrix.chunks_exact(vector.len().max(1)).map(row).collect()
}

fn norm(vector: &[f64], weights: &[f32], epsilon: f64) -> Vec<f64> {
    let mean = dot(vector, vector) / vector.len().max(1) as f64;
    let factor = 1.0 / (mean + epsilon).sqrt();
    vector.iter().zip(weights).map(|(element, &weight)| element * factor * f64::from(weight)).collect()
}

/// Turns the pairs of every head by the angles of `position`.
fn rotate(vector: &mut [f64], head_size: usize, position: usize, theta: f64) {
    for head in vector.chunks_exact_mut(head_size) {
        for (pair, elements) in head.chunks_exact_mut(2).enumerate() {
            let (sine, cosine) = rope_angle(pair, head_size, position, theta).sin_cos();
            let (a, b) = (elements[0], elements[1]);
            elements[0] = a * cosine - b * sine;
            elements[1] = a * sine + b * cosine;
        }
    }
}

/// The angle by which RoPE turns a pair of elements.
#[must_use]
pub fn rope_angle(pair: usize, head_size: usize, position: usize, theta: f64) -> f64 {
    position as f64 / theta.powf(2.0 * pair as f64 / head_size as f64)
}

/// `exp(logit) / Σ exp(logit)`.
#[must_use]
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let exponentials = exponentials(logits);
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}

/// `exp(logit - largest logit)`.
fn exponentials(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter().map(|logit| (logit - largest).exp()).collect()
}

/// `-ln p(token)` under `logits`, in nats.
#[must_use]
pub fn negative_log_likelihood(logits: &[f64], token: u32) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let own = logits.get(token as usize).copied().unwrap_or(f64::NEG_INFINITY);
    sum.ln() + largest - own
}

/// Position of the largest logit, the first of equals; 0 for none.
#[must_use]
pub fn arg_max(logits: &[f64]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_turns_neighbours_and_keeps_their_length() {
        let mut vector = vec![1.0, 0.0, 0.0, 2.0];
        rotate(&mut vector, 4, 3, 10_000.0);
        let expected = [3_f64.cos(), 3_f64.sin(), -2.0 * 0.03_f64.sin(), 2.0 * 0.03_f64.cos()];
        for (got, expected) in vector.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{vector:?}");
        }
    }

    #[test]
    fn a_norm_makes_the_mean_square_one() {
        let normed = norm(&[3.0, -3.0, 3.0, -3.0], &[1.0, 1.0, 2.0, 0.5], 0.0);
        assert_eq!(normed, [1.0, -1.0, 2.0, -0.5]);
    }

    #[test]
    fn likelihoods_are_those_of_the_softmax() {
        let logits = [1.0, 3.0, 2.0];
        let expected = -softmax(&logits)[2].ln();
        assert!((negative_log_likelihood(&logits, 2) - expected).abs() < 1e-12);
        assert_eq!(negative_log_likelihood(&logits, 9), f64::INFINITY);
        assert_eq!(arg_max(&[1.0, 3.0, 3.0]), 1);
    }
}
