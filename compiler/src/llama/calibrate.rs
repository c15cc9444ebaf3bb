//! What values a model's vectors take: observed on text that the model makes itself.
//!
//! No text from outside is needed, and the same model always gives the same ranges: sequences are sampled at temperature 1 from
//! the floating-point model with fixed seeds.

use lpu_isa::fixed_point::sampling::Xorshift;

use super::correlation::Correlation;
use super::float::{FloatSession, Observer, Probe, softmax};
use super::model::{LlamaModel, Shape};

/// Tokens that are sampled.
const TOKENS: usize = 2048;
/// Tokens of a sequence at most.
const LENGTH: usize = 512;
/// Sequences at most: a model may end each at once.
const SEQUENCES: u64 = 2048;
/// How far below the largest score others still count: e⁻¹¹ of it is half a unit of a probability.
const SCORE_REACH: f64 = 11.0;

/// Largest magnitudes of a product of the normalised residual stream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NormedRange {
    /// Of the product.
    pub value: f64,
    /// Of the product before the norm's factor is applied: times the root mean square of the residual stream.
    pub raw: f64,
}

impl NormedRange {
    fn see(&mut self, value: f64, root: f64) {
        self.value = self.value.max(value.abs());
        self.raw = self.raw.max(value.abs() * root);
    }
}

/// What was seen in one layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerRanges {
    /// Inputs of Wq, Wk and Wv, the norm's weights apart.
    pub attention_inputs: Correlation,
    /// Queries, for each pair of each head, before and after rotation.
    pub query: Vec<NormedRange>,
    /// Keys, for each pair of each key-value head, before and after rotation.
    pub key: Vec<NormedRange>,
    /// Values, for each channel.
    pub value: Vec<NormedRange>,
    /// Least and largest element of each channel of the key-value heads, after rotation.
    pub turned_key: Vec<(f64, f64)>,
    /// Magnitude up to which scores must be told apart, with the [middles](LayerRanges::key_middles) of the keys subtracted.
    pub score: f64,
    /// Largest magnitude of Σ exp(score - largest score) × value.
    pub weighted: f64,
    /// Largest magnitude of attention's result.
    pub attention: f64,
    /// Inputs of Wo.
    pub output_inputs: Correlation,
    /// Inputs of W1 and W3, the norm's weights apart.
    pub feed_forward_inputs: Correlation,
    /// W1's product.
    pub gate: NormedRange,
    /// W3's product.
    pub up: NormedRange,
    /// Largest magnitude of W2's input.
    pub hidden: f64,
    /// Inputs of W2.
    pub hidden_inputs: Correlation,
}

/// What was seen in a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranges {
    /// Largest magnitude in the residual stream.
    pub residual: f64,
    /// Each layer.
    pub layers: Vec<LayerRanges>,
    /// The last norm's result.
    pub final_input: NormedRange,
    /// Inputs of the classifier, the norm's weights apart.
    pub final_inputs: Correlation,
    /// Logits.
    pub logits: NormedRange,
}

impl LayerRanges {
    /// The middle of each channel of the turned keys.
    #[must_use]
    pub fn key_middles(&self) -> Vec<f64> {
        let middle = |&(least, largest): &(f64, f64)| if least <= largest { (least + largest) / 2.0 } else { 0.0 };
        self.turned_key.iter().map(middle).collect()
    }
}

impl Ranges {
    /// The ranges of `model`, on text of its own.
    #[must_use]
    pub fn of(model: &LlamaModel) -> Self {
        let mut watcher = Watcher {
            ranges: empty(&model.shape),
            epsilon: model.norm_epsilon,
            residual: Vec::new(),
            root: 0.0,
            tokens: 0,
            history: History::default(),
        };
        for seed in 0..SEQUENCES {
            if watcher.tokens >= TOKENS {
                break;
            }
            watcher.history.begin(model.layers.len());
            let mut random = Xorshift::new(seed);
            let mut session = FloatSession::new(model);
            let mut token = model.begin;
            for _ in 0..LENGTH.min(model.shape.context) {
                let logits = session.step_observed(token, &mut watcher);
                watcher.tokens += 1;
                token = sample(&logits, f64::from(random.next_number()) / 4_294_967_296.0);
                if model.end.contains(&token) {
                    break;
                }
            }
        }
        // Tokens that were not sampled will be given all the same.
        watcher.ranges.residual = model
            .embedding
            .iter()
            .fold(watcher.ranges.residual, |largest, &weight| largest.max(f64::from(weight).abs()));
        for (number, layer) in watcher.ranges.layers.iter_mut().enumerate() {
            layer.score = watcher.history.score(number, &model.shape, &layer.key_middles());
        }
        watcher.ranges
    }
}

fn empty(shape: &Shape) -> Ranges {
    let layer = LayerRanges {
        attention_inputs: Correlation::new(shape.dim),
        query: vec![NormedRange::default(); shape.query_length() / 2],
        key: vec![NormedRange::default(); shape.kv_length() / 2],
        turned_key: vec![(f64::INFINITY, f64::NEG_INFINITY); shape.kv_length()],
        value: vec![NormedRange::default(); shape.kv_length()],
        output_inputs: Correlation::new(shape.query_length()),
        feed_forward_inputs: Correlation::new(shape.dim),
        hidden_inputs: Correlation::new(shape.hidden),
        ..LayerRanges::default()
    };
    let layers = vec![layer; shape.layers];
    Ranges { layers, final_inputs: Correlation::new(shape.dim), ..Ranges::default() }
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
    epsilon: f64,
    /// The residual stream as last seen, and its root mean square.
    residual: Vec<f64>,
    root: f64,
    tokens: usize,
    history: History,
}

/// All turned queries and keys: scores are computed when the middles of the keys are known.
#[derive(Default)]
struct History {
    /// For each sequence and layer: `[position][heads × head_size]` and `[position][kv_heads × head_size]`.
    sequences: Vec<Vec<(Vec<f32>, Vec<f32>)>>,
}

impl History {
    fn begin(&mut self, layers: usize) {
        self.sequences.push(vec![(Vec::new(), Vec::new()); layers]);
    }

    /// The queries and keys of the present sequence.
    fn layer(&mut self, layer: usize) -> Option<&mut (Vec<f32>, Vec<f32>)> {
        self.sequences.last_mut()?.get_mut(layer)
    }

    /// Magnitude up to which the scores of `layer` must be told apart.
    ///
    /// Of a head's scores, those far below the largest do not count; and the largest need not be told from one that is
    /// [`SCORE_REACH`] above the second.
    fn score(&self, layer: usize, shape: &Shape, middles: &[f64]) -> f64 {
        let (size, root) = (shape.head_size, (shape.head_size as f64).sqrt());
        let mut range = 0.0_f64;
        for (queries, keys) in self.sequences.iter().filter_map(|layers| layers.get(layer)) {
            for (position, query) in queries.chunks_exact(shape.query_length()).enumerate() {
                for (head, query) in query.chunks_exact(size).enumerate() {
                    let channels = shape.kv_head(head) * size..(shape.kv_head(head) + 1) * size;
                    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
                    for key in keys.chunks_exact(shape.kv_length()).take(position + 1) {
                        let key = key[channels.clone()].iter().zip(&middles[channels.clone()]);
                        let products =
                            key.zip(query).map(|((&key, middle), &query)| (f64::from(key) - middle) * f64::from(query));
                        let score = products.sum::<f64>() / root;
                        second = second.max(first.min(score));
                        first = first.max(score);
                    }
                    range = range.max(first.min(second + SCORE_REACH)).max(SCORE_REACH - first);
                }
            }
        }
        range
    }
}

impl Observer for Watcher {
    fn see(&mut self, place: Probe, values: &[f64]) {
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let root = self.root;
        let raise = |range: &mut f64| *range = range.max(largest);
        let pairs = |ranges: &mut [NormedRange]| {
            for (range, pair) in ranges.iter_mut().zip(values.chunks_exact(2)) {
                range.see(pair[0].abs().max(pair[1].abs()), root);
            }
        };
        let layers = &mut self.ranges.layers;
        match place {
            Probe::Residual => {
                raise(&mut self.ranges.residual);
                let mean = values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64;
                // A norm without epsilon of a vector of zeros has no root: any will do.
                self.root = (mean + self.epsilon).sqrt().max(f64::MIN_POSITIVE);
                self.residual = values.to_vec();
            }
            Probe::AttentionInput(layer) => layers[layer].attention_inputs.see(&self.residual, root),
            Probe::Query(layer) => pairs(&mut layers[layer].query),
            Probe::TurnedQuery(layer) => {
                pairs(&mut layers[layer].query);
                if let Some((queries, _)) = self.history.layer(layer) {
                    queries.extend(values.iter().map(|&value| value as f32));
                }
            }
            Probe::Key(layer) => pairs(&mut layers[layer].key),
            Probe::TurnedKey(layer) => {
                pairs(&mut layers[layer].key);
                for (range, &value) in layers[layer].turned_key.iter_mut().zip(values) {
                    *range = (range.0.min(value), range.1.max(value));
                }
                if let Some((_, keys)) = self.history.layer(layer) {
                    keys.extend(values.iter().map(|&value| value as f32));
                }
            }
            Probe::Value(layer) => {
                layers[layer].value.iter_mut().zip(values).for_each(|(range, &value)| range.see(value, root));
            }
            Probe::Score(_) => (),
            Probe::Weighted(layer) => raise(&mut layers[layer].weighted),
            Probe::Attention(layer) => {
                raise(&mut layers[layer].attention);
                layers[layer].output_inputs.see(values, 1.0);
            }
            Probe::FeedForwardInput(layer) => layers[layer].feed_forward_inputs.see(&self.residual, root),
            Probe::Gate(layer) => layers[layer].gate.see(largest, root),
            Probe::Up(layer) => layers[layer].up.see(largest, root),
            Probe::Hidden(layer) => {
                raise(&mut layers[layer].hidden);
                layers[layer].hidden_inputs.see(values, 1.0);
            }
            Probe::FinalInput => {
                self.ranges.final_input.see(largest, root);
                self.ranges.final_inputs.see(&self.residual, root);
            }
            Probe::Logits => self.ranges.logits.see(largest, root),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_seen_with_and_without_the_norms_factor() {
        let shape =
            Shape { dim: 4, hidden: 3, layers: 1, heads: 2, kv_heads: 1, head_size: 2, vocabulary: 5, context: 4 };
        let mut watcher = Watcher {
            ranges: empty(&shape),
            epsilon: 0.0,
            residual: vec![],
            root: 0.0,
            tokens: 1,
            history: History::default(),
        };
        watcher.see(Probe::Residual, &[3.0, -3.0, 3.0, 3.0]);
        watcher.see(Probe::AttentionInput(0), &[9.0; 4]);
        watcher.see(Probe::Query(0), &[1.0, -2.0, 0.5, 0.0]);
        let ranges = watcher.ranges;
        assert_eq!(ranges.residual, 3.0);
        assert_eq!(ranges.layers[0].attention_inputs.powers(), [1.0; 4]);
        let [first, second] = &ranges.layers[0].query[..] else { panic!("one range for each pair") };
        assert_eq!((first, second), (&NormedRange { value: 2.0, raw: 6.0 }, &NormedRange { value: 0.5, raw: 1.5 }));
    }
}
