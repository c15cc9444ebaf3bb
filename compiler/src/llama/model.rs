//! A language model of the Llama architecture in floating point, wherever it was read from.
//!
//! ```text
//! x = embedding[token]
//! each layer:   h = norm(x)   q, k, v = Wq h, Wk h, Wv h     RoPE on the pairs of q and k
//!               x += Wo · attention(q, all k so far, all v so far)
//!               h = norm(x)   x += W2 (silu(W1 h) × W3 h)
//! logits = classifier · norm(x)
//! ```

use thiserror::Error;

/// Sizes of a model. All are at least 1, `kv_heads` divides `heads`, `head_size` is even.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Length of the residual stream.
    pub dim: usize,
    /// Length of the feed-forward network's hidden vector.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values; `heads / kv_heads` query heads share one.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_size: usize,
    /// Number of tokens there are.
    pub vocabulary: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
}

/// Largest number that a [`Shape`] may hold in any place. Far beyond what any machine here can be given.
pub const LARGEST_SIZE: usize = 1 << 20;

/// Why sizes make no model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// A size is zero or absurd.
    #[error("{name} is {value}, but must be 1 to {LARGEST_SIZE}")]
    Range {
        /// Which size.
        name: &'static str,
        /// What it is.
        value: i64,
    },
    /// Heads cannot share.
    #[error("{kv_heads} key-value heads do not divide {heads} heads")]
    KvHeads {
        /// Query heads.
        heads: usize,
        /// Key-value heads.
        kv_heads: usize,
    },
    /// The residual stream cannot be cut into heads.
    #[error("{heads} heads do not divide a model of {dim} elements")]
    Heads {
        /// Length of the residual stream.
        dim: usize,
        /// Query heads.
        heads: usize,
    },
    /// Rotary embedding turns pairs.
    #[error("a head has {head_size} elements, but rotary position embedding turns pairs: the number must be even")]
    OddHead {
        /// Elements of a head.
        head_size: usize,
    },
}

impl Shape {
    /// Whether the sizes make a model.
    ///
    /// # Errors
    /// A size out of range, key-value heads that do not divide the heads, a head of an odd number of elements.
    pub fn check(&self) -> Result<(), ShapeError> {
        let sizes = [
            ("the model's dimension", self.dim),
            ("the hidden dimension", self.hidden),
            ("the number of layers", self.layers),
            ("the number of heads", self.heads),
            ("the number of key-value heads", self.kv_heads),
            ("the size of a head", self.head_size),
            ("the vocabulary", self.vocabulary),
            ("the longest sequence", self.context),
        ];
        if let Some((name, value)) = sizes.into_iter().find(|(_, value)| !(1..=LARGEST_SIZE).contains(value)) {
            return Err(ShapeError::Range { name, value: value as i64 });
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ShapeError::KvHeads { heads: self.heads, kv_heads: self.kv_heads });
        }
        if !self.head_size.is_multiple_of(2) {
            return Err(ShapeError::OddHead { head_size: self.head_size });
        }
        Ok(())
    }

    /// Length of all query heads together.
    #[must_use]
    pub fn query_length(&self) -> usize {
        self.heads * self.head_size
    }

    /// Length of all key (or value) heads together.
    #[must_use]
    pub fn kv_length(&self) -> usize {
        self.kv_heads * self.head_size
    }

    /// The key-value head that query head `head` uses.
    #[must_use]
    pub fn kv_head(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads)
    }

    /// Multiply-accumulates of one token with `positions` tokens in the context, itself included.
    #[must_use]
    pub fn multiply_accumulates(&self, positions: usize) -> u64 {
        let attention = 2 * self.query_length() * positions;
        let projections = self.dim * (2 * self.query_length() + 2 * self.kv_length());
        let layer = (attention + projections + 3 * self.dim * self.hidden) as u64;
        layer * self.layers as u64 + (self.vocabulary * self.dim) as u64
    }

    /// The same for a token within a prompt: nothing is asked of the last layer but keys and values, and nothing of the classifier.
    pub fn prompt_multiply_accumulates(&self, positions: usize) -> u64 {
        let unused = Shape { layers: self.layers.min(1), ..*self }.multiply_accumulates(positions);
        self.multiply_accumulates(positions) - unused + (self.layers.min(1) * 2 * self.dim * self.kv_length()) as u64
    }
}

/// A model. All matrices are row-major, one row for each output.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaModel {
    /// What messages and reports call it.
    pub name: String,
    /// Its sizes.
    pub shape: Shape,
    /// Base of RoPE's angles: pair *i* of a head of *n* elements turns by `position × theta^(-2i/n)`.
    pub rope_theta: f64,
    /// What RMSNorm adds to the mean of the squares.
    pub norm_epsilon: f64,
    /// `[vocabulary][dim]`.
    pub embedding: Vec<f32>,
    /// Layers, first to last.
    pub layers: Vec<LlamaLayer>,
    /// Weights of the last norm: `[dim]`.
    pub final_norm: Vec<f32>,
    /// `[vocabulary][dim]`; none where it is the embedding.
    pub classifier: Option<Vec<f32>>,
    /// The token that begins a sequence.
    pub begin: u32,
    /// The tokens that end one.
    pub end: Vec<u32>,
}

/// Weights of a layer. The rows of `query` and `key` stand so that RoPE turns neighbours: elements 2*i* and 2*i* + 1 of a head.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaLayer {
    /// Weights of the norm before attention: `[dim]`.
    pub attention_norm: Vec<f32>,
    /// `[heads × head_size][dim]`.
    pub query: Vec<f32>,
    /// `[kv_heads × head_size][dim]`.
    pub key: Vec<f32>,
    /// `[kv_heads × head_size][dim]`.
    pub value: Vec<f32>,
    /// `[dim][heads × head_size]`.
    pub output: Vec<f32>,
    /// Weights of the norm before the feed-forward network: `[dim]`.
    pub feed_forward_norm: Vec<f32>,
    /// W1, whose product goes through SiLU: `[hidden][dim]`.
    pub gate: Vec<f32>,
    /// W2: `[dim][hidden]`.
    pub down: Vec<f32>,
    /// W3, whose product is multiplied with the gate: `[hidden][dim]`.
    pub up: Vec<f32>,
}

impl LlamaModel {
    /// The matrix that makes logits.
    #[must_use]
    pub fn classifier(&self) -> &[f32] {
        self.classifier.as_deref().unwrap_or(&self.embedding)
    }

    /// All tensors with their names and the lengths they must have.
    pub fn tensors(&self) -> impl Iterator<Item = (String, &[f32], usize)> {
        let Shape { dim, hidden, vocabulary, .. } = self.shape;
        let (query, kv) = (self.shape.query_length(), self.shape.kv_length());
        let layers = self.layers.iter().enumerate().flat_map(move |(number, layer)| {
            let tensors: [(&str, &[f32], usize); 9] = [
                ("attention_norm", &layer.attention_norm, dim),
                ("query", &layer.query, query * dim),
                ("key", &layer.key, kv * dim),
                ("value", &layer.value, kv * dim),
                ("output", &layer.output, dim * query),
                ("feed_forward_norm", &layer.feed_forward_norm, dim),
                ("gate", &layer.gate, hidden * dim),
                ("down", &layer.down, dim * hidden),
                ("up", &layer.up, hidden * dim),
            ];
            tensors.map(|(name, weights, length)| (format!("layer {number}, {name}"), weights, length))
        });
        let whole: [(&str, Option<&[f32]>, usize); 3] = [
            ("embedding", Some(&self.embedding), vocabulary * dim),
            ("final_norm", Some(&self.final_norm), dim),
            ("classifier", self.classifier.as_deref(), vocabulary * dim),
        ];
        let whole = whole.into_iter().filter_map(|(name, weights, length)| Some((name.to_owned(), weights?, length)));
        whole.chain(layers)
    }

    /// Number of weights.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors().map(|(_, weights, _)| weights.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape { dim: 64, hidden: 172, layers: 5, heads: 8, kv_heads: 4, head_size: 8, vocabulary: 512, context: 512 }
    }

    #[test]
    fn multiplications_are_counted_with_the_context() {
        // The table of docs/architecture.md: (128 + 64) × 64 + 3 × 172 × 64 a layer, and 512 × 64.
        assert_eq!(shape().multiply_accumulates(0), 5 * (192 * 64 + 3 * 172 * 64) + 512 * 64);
        assert_eq!(shape().multiply_accumulates(128) - shape().multiply_accumulates(0), 5 * 2 * 128 * 64);
    }

    #[test]
    fn sizes_that_make_no_model_are_refused() {
        assert_eq!(shape().check(), Ok(()));
        let message = |change: fn(&mut Shape)| {
            let mut shape = shape();
            change(&mut shape);
            shape.check().map_err(|error| error.to_string()).err().unwrap_or_default()
        };
        assert_eq!(message(|shape| shape.kv_heads = 3), "3 key-value heads do not divide 8 heads");
        assert_eq!(message(|shape| shape.layers = 0), "the number of layers is 0, but must be 1 to 1048576");
        assert!(message(|shape| shape.head_size = 7).starts_with("a head has 7 elements"));
        assert!(message(|shape| shape.vocabulary = 1 << 21).starts_with("the vocabulary is 2097152"));
    }

    #[test]
    fn heads_share_keys_and_values_in_order() {
        let heads: Vec<usize> = (0..8).map(|head| shape().kv_head(head)).collect();
        assert_eq!(heads, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
