//! What values a model's vectors take: observed on text that the model makes itself.
//!
//! No text from outside is needed, and the same model always gives the same ranges: sequences are sampled at temperature 1 from
//! the floating-point model with fixed seeds.

use lpu_isa::fixed_point::sampling::Xorshift;

use super::float::{FloatSession, Observer, Probe, softmax};
use super::model::LlamaModel;

/// Sequences that are sampled.
const SEQUENCES: u64 = 8;
/// Tokens of each at most.
const LENGTH: usize = 256;

/// Largest magnitudes in one layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerRanges {
    /// The normalised input of attention.
    pub attention_input: f64,
    /// Queries.
    pub query: f64,
    /// Queries times the root mean square of the residual stream: products of the residual stream itself.
    pub query_raw: f64,
    /// Keys, for each key-value head.
    pub key: Vec<f64>,
    /// The same times the root mean square.
    pub key_raw: Vec<f64>,
    /// Values, for each channel.
    pub value: Vec<f64>,
    /// The same times the root mean square.
    pub value_raw: Vec<f64>,
    /// Scores.
    pub score: f64,
    /// The largest score of each head (not its magnitude).
    pub score_top: Vec<f64>,
    /// Σ exp(score - largest) × value.
    pub weighted: f64,
    /// Attention's result.
    pub attention: f64,
    /// The normalised input of the feed-forward network.
    pub feed_forward_input: f64,
    /// W1's product.
    pub gate: f64,
    /// The same times the root mean square.
    pub gate_raw: f64,
    /// W3's product.
    pub up: f64,
    /// The same times the root mean square.
    pub up_raw: f64,
    /// W2's input.
    pub hidden: f64,
}

/// Largest magnitudes in a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranges {
    /// The residual stream.
    pub residual: f64,
    /// Each layer.
    pub layers: Vec<LayerRanges>,
    /// The last norm's result.
    pub final_input: f64,
    /// The same times the root mean square.
    pub final_raw: f64,
    /// Logits.
    pub logits: f64,
    /// The same times the root mean square.
    pub logits_raw: f64,
}

impl Ranges {
    /// The ranges of `model`, on text of its own.
    #[must_use]
    pub fn of(model: &LlamaModel) -> Self {
        let mut watcher = Watcher {
            ranges: Self { layers: vec![LayerRanges::default(); model.layers.len()], ..Self::default() },
            head_size: model.shape.head_size,
            epsilon: model.norm_epsilon,
            root: 0.0,
            head: 0,
            heads: model.shape.heads,
        };
        for seed in 0..SEQUENCES {
            let mut random = Xorshift::new(seed);
            let mut session = FloatSession::new(model);
            let mut token = model.begin;
            for _ in 0..LENGTH.min(model.shape.context) {
                let logits = session.step_observed(token, &mut watcher);
                token = sample(&logits, f64::from(random.next_number()) / 4_294_967_296.0);
                if model.end.contains(&token) {
                    break;
                }
            }
        }
        watcher.ranges
    }
}

/// The token at which the running sum of probabilities exceeds `random`, at temperature 1.
fn sample(logits: &[f64], random: f64) -> u32 {
    let mut running = 0.0;
    let exceeds = |probability: f64| {
        running += probability;
        running > random
    };
    softmax(logits).into_iter().position(exceeds).unwrap_or(0) as u32
}

struct Watcher {
    ranges: Ranges,
    head_size: usize,
    epsilon: f64,
    /// Root mean square of the residual stream.
    root: f64,
    head: usize,
    heads: usize,
}

impl Observer for Watcher {
    fn see(&mut self, place: Probe, values: &[f64]) {
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let root = self.root;
        let raise = |range: &mut f64, value: f64| *range = range.max(value);
        let raise_all = |ranges: &mut Vec<f64>, values: &mut dyn Iterator<Item = f64>| {
            for (index, value) in values.enumerate() {
                match ranges.get_mut(index) {
                    Some(range) => *range = range.max(value),
                    None => ranges.push(value),
                }
            }
        };
        let heads = || {
            let largest = |head: &[f64]| head.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            values.chunks_exact(self.head_size).map(largest)
        };
        let ranges = &mut self.ranges;
        match place {
            Probe::Residual => {
                raise(&mut ranges.residual, largest);
                let mean = values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64;
                self.root = (mean + self.epsilon).sqrt();
            }
            Probe::AttentionInput(layer) => raise(&mut ranges.layers[layer].attention_input, largest),
            Probe::Query(layer) => {
                raise(&mut ranges.layers[layer].query, largest);
                raise(&mut ranges.layers[layer].query_raw, largest * root);
            }
            Probe::Key(layer) => {
                raise_all(&mut ranges.layers[layer].key, &mut heads());
                raise_all(&mut ranges.layers[layer].key_raw, &mut heads().map(|key| key * root));
            }
            Probe::Value(layer) => {
                raise_all(&mut ranges.layers[layer].value, &mut values.iter().map(|value| value.abs()));
                raise_all(&mut ranges.layers[layer].value_raw, &mut values.iter().map(|value| value.abs() * root));
            }
            Probe::Score(layer) => {
                raise(&mut ranges.layers[layer].score, largest);
                let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let tops = &mut ranges.layers[layer].score_top;
                tops.resize(self.heads, f64::NEG_INFINITY);
                tops[self.head] = tops[self.head].max(top);
                self.head = (self.head + 1) % self.heads;
            }
            Probe::Weighted(layer) => raise(&mut ranges.layers[layer].weighted, largest),
            Probe::Attention(layer) => raise(&mut ranges.layers[layer].attention, largest),
            Probe::FeedForwardInput(layer) => raise(&mut ranges.layers[layer].feed_forward_input, largest),
            Probe::Gate(layer) => {
                raise(&mut ranges.layers[layer].gate, largest);
                raise(&mut ranges.layers[layer].gate_raw, largest * root);
            }
            Probe::Up(layer) => {
                raise(&mut ranges.layers[layer].up, largest);
                raise(&mut ranges.layers[layer].up_raw, largest * root);
            }
            Probe::Hidden(layer) => raise(&mut ranges.layers[layer].hidden, largest),
            Probe::FinalInput => {
                raise(&mut ranges.final_input, largest);
                raise(&mut ranges.final_raw, largest * root);
            }
            Probe::Logits => {
                raise(&mut ranges.logits, largest);
                raise(&mut ranges.logits_raw, largest * root);
            }
            Probe::Update(_) => (),
        }
    }
}
