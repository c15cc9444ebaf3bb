//! The golden model of language models: plain integer arithmetic over the quantised graph.
//!
//! It has never heard of cycles, tiles or schedules. Every function in it is one that the machine has: products of int8 and int16
//! into 32 bits, requantisation, and the element-wise operations, tables and normalisations of [`lpu_isa::fixed_point`].
//!
//! | module | holds |
//! | --- | --- |
//! | this one | one token in, elements of the logits out |
//! | [`sampling`] | from logits to the next token, with a temperature |

pub mod sampling;

use lpu_compiler::llama::check::LlamaGraphError;
use lpu_compiler::llama::graph::{
    Attention, CACHE_LIMIT, FeedForward, Matrix, Norm, NormedProduct, Product, QuantisedLlama, ROPE_FRACTION_BITS,
    Requantisation,
};
use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::fixed_point::{add, arg_max, multiply, subtract, sum_of_squares};
use lpu_isa::program::Scale;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GoldenLlamaError {
    /// The graph cannot be executed.
    #[error(transparent)]
    Graph(#[from] LlamaGraphError),
    /// A token that there is not.
    #[error("token {token} of `{model}`, whose vocabulary has {vocabulary} tokens")]
    Token {
        /// The model.
        model: String,
        /// The token.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// The longest sequence has been reached.
    #[error("`{model}` has a context of {context} tokens, and all are taken")]
    ContextFull {
        /// The model.
        model: String,
        /// Longest sequence.
        context: usize,
    },
}

/// A sequence in progress: the keys and values so far.
#[derive(Debug, Clone)]
pub struct GoldenLlama<'graph> {
    graph: &'graph QuantisedLlama,
    /// For each layer, `[position][kv_heads × head_size]`.
    keys: Vec<Vec<i8>>,
    values: Vec<Vec<i8>>,
    position: usize,
}

/// What may come after a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One for each token of the vocabulary: the classifier's products, before the norm's factor.
    pub elements: Vec<i16>,
    /// The factor of the last norm.
    pub factor: Factor,
    /// The right shift that goes with it.
    pub right_shift: i32,
}

impl Answer {
    /// The token of the largest logit, the first of equals. The factor is positive: the elements alone decide.
    #[must_use]
    pub fn most_likely(&self) -> u32 {
        arg_max(&self.elements).unwrap_or(0) as u32
    }

    /// The logits, in units of the graph's `classifier.unit`.
    #[must_use]
    pub fn logits(&self) -> Vec<i16> {
        self.elements.iter().map(|&element| self.factor.scale(element, self.right_shift)).collect()
    }
}

impl<'graph> GoldenLlama<'graph> {
    /// A sequence without tokens.
    ///
    /// # Errors
    /// The graph contradicts itself, or sums in it could leave 32 bits.
    pub fn new(graph: &'graph QuantisedLlama) -> Result<Self, GoldenLlamaError> {
        graph.check()?;
        let empty = || vec![Vec::new(); graph.layers.len()];
        Ok(Self { graph, keys: empty(), values: empty(), position: 0 })
    }

    /// Forgets the sequence.
    pub fn restart(&mut self) {
        self.keys.iter_mut().chain(&mut self.values).for_each(Vec::clear);
        self.position = 0;
    }

    /// Tokens so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// What may come after `token`, which stands at the next position.
    ///
    /// # Errors
    /// The token is beyond the vocabulary, or the context is full. The sequence stays as it was.
    pub fn step(&mut self, token: u32) -> Result<Answer, GoldenLlamaError> {
        let graph = self.graph;
        let model = || graph.name.clone();
        let (vocabulary, context) = (graph.shape.vocabulary, graph.shape.context);
        if token as usize >= vocabulary {
            return Err(GoldenLlamaError::Token { model: model(), token, vocabulary });
        }
        if self.position >= context {
            return Err(GoldenLlamaError::ContextFull { model: model(), context });
        }
        let mut residual = self.embed(token as usize);
        for (number, layer) in graph.layers.iter().enumerate() {
            let update = self.attention(number, &layer.attention, &residual);
            self.add_to_residual(&mut residual, &update);
            let update = self.feed_forward(&layer.feed_forward, &residual);
            self.add_to_residual(&mut residual, &update);
        }
        self.position += 1;
        let classifier = &graph.classifier;
        let factor = self.factor(&classifier.norm, &residual);
        let input = match &classifier.weights {
            None => residual,
            Some(weights) => {
                let limit = classifier.requantisation.input_limit;
                let pairs = residual.iter().zip(&weights.values);
                pairs.map(|(&x, &weight)| clamp(multiply(x, weight, weights.right_shift), limit)).collect()
            }
        };
        let elements = product(graph.classifier_matrix(), &classifier.requantisation, &input);
        Ok(Answer { elements, factor, right_shift: classifier.right_shift })
    }

    /// The row of `token`, in the unit of the residual stream.
    fn embed(&self, token: usize) -> Vec<i16> {
        let matrix = &self.graph.embedding;
        let groups = matrix.groups();
        let row = &matrix.weights[token * matrix.columns..(token + 1) * matrix.columns];
        let factors = &self.graph.embedding_factors[token * groups..(token + 1) * groups];
        let group = |(weights, &factor): (&[i8], &i16)| -> Vec<i16> {
            weights.iter().map(|&weight| multiply(i16::from(weight), factor, self.graph.embedding_shift)).collect()
        };
        let elements = row.chunks(matrix.group).zip(factors).flat_map(group);
        elements.map(|element| clamp(element, self.graph.residual_limit)).collect()
    }

    fn add_to_residual(&self, residual: &mut [i16], update: &[i16]) {
        let limit = self.graph.residual_limit;
        residual.iter_mut().zip(update).for_each(|(sum, &update)| *sum = clamp(add(*sum, update), limit));
    }

    fn factor(&self, norm: &Norm, residual: &[i16]) -> Factor {
        // The graph's check has seen to it that the sum stays within 32 bits.
        let sum = sum_of_squares(residual, norm.square_shift).wrapping_add(norm.epsilon);
        self.graph.normalise.reciprocal_root(sum)
    }

    fn attention(&mut self, number: usize, layer: &Attention, residual: &[i16]) -> Vec<i16> {
        let graph = self.graph;
        let shape = &graph.shape;
        let factor = self.factor(&layer.norm, residual);
        let mut query = normed_product(&layer.query, factor, residual);
        let mut key = normed_product(&layer.key, factor, residual);
        let value = normed_product(&layer.value, factor, residual);
        self.rotate(&mut query);
        self.rotate(&mut key);
        query.iter_mut().for_each(|element| *element = clamp(*element, layer.query_limit));
        let keys = key.into_iter().zip(&layer.key_offsets);
        let keys = keys.map(|(key, &offset)| cached(multiply(subtract(key, offset), 1, layer.key_shift)));
        self.keys[number].extend(keys);
        self.values[number].extend(value.into_iter().map(cached));
        let mut result = Vec::with_capacity(shape.query_length());
        for (head, query) in query.chunks_exact(shape.head_size).enumerate() {
            let channels = shape.kv_head(head) * shape.head_size..(shape.kv_head(head) + 1) * shape.head_size;
            let keys = self.keys[number].chunks_exact(shape.kv_length()).map(|row| &row[channels.clone()]);
            let scores: Vec<i16> = keys.map(|key| requantise(dot(key, query), layer.score_scales[head])).collect();
            let probabilities = self.exponentials(&scores);
            let sum = probabilities.iter().map(|&probability| i32::from(probability)).fold(0, i32::wrapping_add);
            let reciprocal = graph.normalise.reciprocal(sum);
            let values = |channel: usize| self.values[number].iter().skip(channel).step_by(shape.kv_length());
            for channel in channels {
                let products = values(channel).zip(&probabilities);
                let accumulator = products
                    .map(|(&value, &probability)| i32::from(value) * i32::from(probability))
                    .fold(0, i32::wrapping_add);
                let weighted = requantise(accumulator, layer.weighted_scales[channel]);
                let element = reciprocal.scale(weighted, layer.weighted_shift);
                result.push(clamp(element, layer.output.requantisation.input_limit));
            }
        }
        product(&layer.output.matrix, &layer.output.requantisation, &result)
    }

    /// `exp(score - largest score)`, in units that do not matter: whoever uses them divides by their sum.
    fn exponentials(&self, scores: &[i16]) -> Vec<i16> {
        let exponential = &self.graph.exponential;
        // The largest score, shifted, stands just below the end of the table.
        let largest = scores.iter().copied().max().unwrap_or(0);
        let origin = subtract(largest, ((1_i32 << 15 >> exponential.left_shift) - 1) as i16);
        let argument = |&score: &i16| multiply(subtract(score, origin), 1 << exponential.left_shift, 0);
        scores.iter().map(argument).map(|argument| exponential.table.apply(argument)).collect()
    }

    /// RoPE: every pair of every head by the angle of the position.
    fn rotate(&self, vector: &mut [i16]) {
        let pairs = self.graph.shape.head_size / 2;
        let angles = self.position * pairs..(self.position + 1) * pairs;
        let (cosines, sines) = (&self.graph.cosines[angles.clone()], &self.graph.sines[angles]);
        let times = |element, factor| multiply(element, factor, ROPE_FRACTION_BITS);
        for head in vector.chunks_exact_mut(2 * pairs) {
            for ((pair, &cosine), &sine) in head.chunks_exact_mut(2).zip(cosines).zip(sines) {
                let (a, b) = (pair[0], pair[1]);
                pair[0] = add(times(a, cosine), times(b, -sine));
                pair[1] = add(times(a, sine), times(b, cosine));
            }
        }
    }

    fn feed_forward(&self, layer: &FeedForward, residual: &[i16]) -> Vec<i16> {
        let factor = self.factor(&layer.norm, residual);
        let gate = normed_product(&layer.gate, factor, residual);
        let up = normed_product(&layer.up, factor, residual);
        let Product { matrix, requantisation } = &layer.down;
        let element = |(&gate, &up): (&i16, &i16)| multiply(layer.silu.apply(gate), up, layer.hidden_shift);
        let hidden: Vec<i16> =
            gate.iter().zip(&up).map(element).map(|element| clamp(element, requantisation.input_limit)).collect();
        product(matrix, requantisation, &hidden)
    }
}

/// A product of the residual stream, then the norm's factor.
fn normed_product(normed: &NormedProduct, factor: Factor, residual: &[i16]) -> Vec<i16> {
    let Product { matrix, requantisation } = &normed.product;
    let raw = product(matrix, requantisation, residual);
    raw.into_iter().map(|element| factor.scale(element, normed.right_shift)).collect()
}

/// One element for each row: the row's groups requantised and added up.
fn product(matrix: &Matrix, requantisation: &Requantisation, input: &[i16]) -> Vec<i16> {
    let scales = requantisation.scales.chunks_exact(matrix.groups());
    let row = |(weights, scales): (&[i8], &[Scale])| {
        let groups = weights.chunks(matrix.group).zip(input.chunks(matrix.group)).zip(scales);
        groups.map(|((weights, input), &scale)| requantise(dot(weights, input), scale)).fold(0, add)
    };
    matrix.rows().zip(scales).map(row).collect()
}

fn dot(weights: &[i8], input: &[i16]) -> i32 {
    let products = weights.iter().zip(input).map(|(&weight, &element)| i32::from(weight) * i32::from(element));
    products.fold(0, i32::wrapping_add)
}

fn requantise(accumulator: i32, scale: Scale) -> i16 {
    let requantise = Requantise {
        multiplier: scale.multiplier,
        shift: scale.shift,
        zero_point: 0,
        minimum: i32::from(i16::MIN),
        maximum: i32::from(i16::MAX),
        rounding: Rounding::Double,
    };
    requantise.apply(accumulator) as i16
}

fn clamp(element: i16, limit: i16) -> i16 {
    element.clamp(-limit, limit)
}

/// An element of the cache.
fn cached(element: i16) -> i8 {
    clamp(element, CACHE_LIMIT) as i8
}
