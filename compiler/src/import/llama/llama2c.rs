//! Checkpoints of llama2.c in the legacy layout (`export.py --version 0`): a header of seven little-endian int32, then all
//! weights as little-endian float32.
//!
//! | order | tensor | shape |
//! | --- | --- | --- |
//! | 1 | embedding | `[vocabulary][dim]` |
//! | 2 | attention norm, query, key, value, output, each of all layers | `[dim]`, `[dim][dim]`, `[kv][dim]` twice, `[dim][dim]` |
//! | 3 | feed-forward norm, w1, w2, w3, each of all layers | `[dim]`, `[hidden][dim]`, `[dim][hidden]`, `[hidden][dim]` |
//! | 4 | last norm | `[dim]` |
//! | 5 | cosines and sines of RoPE, not used | `[context][head_size / 2]` twice |
//! | 6 | classifier, where the vocabulary in the header is negative | `[vocabulary][dim]` |
//!
//! RoPE turns neighbours with the base 10,000; the norms add 10⁻⁵; a sequence begins with token 1, and where a model says 1 again
//! the next sequence would begin: all fixed by llama2.c.

use super::error::LlamaError;
use crate::llama::model::{LlamaLayer, LlamaModel, Shape, ShapeError};

const HEADER_BYTES: usize = 28;
const ROPE_THETA: f64 = 10_000.0;
const NORM_EPSILON: f64 = 1e-5;
const BEGIN: u32 = 1;
/// Newer layouts begin with this word, "ak42".
const VERSIONED_MAGIC: u32 = 0x616b_3432;

/// The header's numbers, in its order.
const NAMES: [&str; 7] = [
    "the model's dimension",
    "the hidden dimension",
    "the number of layers",
    "the number of heads",
    "the number of key-value heads",
    "the vocabulary",
    "the longest sequence",
];

/// Whether the bytes are so long as their first 28, read as a header, ask for.
#[must_use]
pub fn is_llama2c(bytes: &[u8]) -> bool {
    header(bytes, "").is_ok_and(|header| header.bytes() == bytes.len() as u128)
}

/// Reads the checkpoint in `bytes`; `name` is what messages and reports call it.
///
/// # Errors
/// A header that makes no model, another length than the header asks for, weights that are not finite.
pub fn import(bytes: &[u8], name: &str) -> Result<LlamaModel, LlamaError> {
    let header = header(bytes, name)?;
    if header.bytes() != bytes.len() as u128 {
        let Shape { dim, hidden, layers, heads, kv_heads, vocabulary, context, .. } = header.shape;
        let sizes = format!(
            "dimension {dim}, hidden {hidden}, {layers} layers, {heads} heads, {kv_heads} key-value heads, vocabulary \
             {vocabulary}, longest sequence {context}"
        );
        let (expected, actual) = (header.bytes(), bytes.len() as u64);
        return Err(LlamaError::Length { file: name.into(), expected, actual, sizes });
    }
    let shape = header.shape;
    // From here on, every size is one that the file really has.
    let mut rest = &bytes[HEADER_BYTES..];
    let mut take = |count: usize| -> Vec<f32> {
        let (tensor, behind) = rest.split_at(4 * count);
        rest = behind;
        tensor.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
    };
    let (dim, hidden, kv) = (shape.dim, shape.hidden, shape.kv_length());
    let embedding = take(shape.vocabulary * dim);
    let mut of_layers = |count: usize| -> Vec<Vec<f32>> { (0..shape.layers).map(|_| take(count)).collect() };
    let mut attention_norm = of_layers(dim).into_iter();
    let mut query = of_layers(dim * dim).into_iter();
    let mut key = of_layers(kv * dim).into_iter();
    let mut value = of_layers(kv * dim).into_iter();
    let mut output = of_layers(dim * dim).into_iter();
    let mut feed_forward_norm = of_layers(dim).into_iter();
    let mut gate = of_layers(hidden * dim).into_iter();
    let mut down = of_layers(dim * hidden).into_iter();
    let mut up = of_layers(hidden * dim).into_iter();
    let layer = |_| -> Option<LlamaLayer> {
        Some(LlamaLayer {
            attention_norm: attention_norm.next()?,
            query: query.next()?,
            key: key.next()?,
            value: value.next()?,
            output: output.next()?,
            feed_forward_norm: feed_forward_norm.next()?,
            gate: gate.next()?,
            down: down.next()?,
            up: up.next()?,
        })
    };
    let layers = (0..shape.layers).map_while(layer).collect();
    let final_norm = take(dim);
    drop(take(shape.context * shape.head_size));
    let classifier = header.own_classifier.then(|| take(shape.vocabulary * dim));
    let model = LlamaModel {
        name: name.into(),
        shape,
        rope_theta: ROPE_THETA,
        norm_epsilon: NORM_EPSILON,
        embedding,
        layers,
        final_norm,
        classifier,
        begin: BEGIN,
        end: vec![BEGIN],
    };
    super::check_weights(&model, name)?;
    Ok(model)
}

struct Header {
    shape: Shape,
    own_classifier: bool,
}

impl Header {
    /// Bytes of a file with this header.
    fn bytes(&self) -> u128 {
        let wide = |size: usize| size as u128;
        let Shape { dim, hidden, layers, vocabulary, context, head_size, .. } = self.shape;
        let (dim, hidden) = (wide(dim), wide(hidden));
        let attention = dim * (1 + 2 * dim + 2 * wide(self.shape.kv_length()));
        let feed_forward = dim * (1 + 3 * hidden);
        let tables = dim * wide(vocabulary) * (1 + u128::from(self.own_classifier));
        let floats = tables + wide(layers) * (attention + feed_forward) + dim + wide(context) * wide(head_size);
        HEADER_BYTES as u128 + 4 * floats
    }
}

fn header(bytes: &[u8], name: &str) -> Result<Header, LlamaError> {
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        let why = format!("{} bytes, and the header alone has {HEADER_BYTES}", bytes.len());
        return Err(LlamaError::UnknownFormat { file: name.into(), why });
    };
    let word = |index: usize| {
        let at = 4 * index;
        i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if word(0) as u32 == VERSIONED_MAGIC {
        return Err(LlamaError::Unsupported {
            file: name.into(),
            feature: format!("version {} of llama2.c's layouts; version 0 is read", word(1)),
            instead: "export the model again with llama2.c's `export.py --version 0`",
        });
    }
    let refused = |source| LlamaError::Shape { file: name.into(), source };
    let size = |index: usize| {
        // Only the vocabulary carries a meaning in its sign.
        let value = if index == 5 { i64::from(word(index)).abs() } else { i64::from(word(index)) };
        usize::try_from(value).map_err(|_| refused(ShapeError::Range { name: NAMES[index], value }))
    };
    let (dim, heads) = (size(0)?, size(3)?);
    if heads > 0 && !dim.is_multiple_of(heads) {
        return Err(refused(ShapeError::Heads { dim, heads }));
    }
    let shape = Shape {
        dim,
        hidden: size(1)?,
        layers: size(2)?,
        heads,
        kv_heads: size(4)?,
        // What is no head is found by the check.
        head_size: dim.checked_div(heads).unwrap_or(0),
        vocabulary: size(5)?,
        context: size(6)?,
    };
    if heads == 0 {
        return Err(refused(ShapeError::Range { name: NAMES[3], value: 0 }));
    }
    shape.check().map_err(refused)?;
    Ok(Header { shape, own_classifier: word(5) < 0 })
}

/// `model` as llama2.c writes it: the inverse of [`import`], for tests and for making models. RoPE's tables are zero.
#[must_use]
pub fn export(model: &LlamaModel) -> Vec<u8> {
    let shape = &model.shape;
    let vocabulary = shape.vocabulary as i32 * if model.classifier.is_some() { -1 } else { 1 };
    let header = [
        shape.dim as i32,
        shape.hidden as i32,
        shape.layers as i32,
        shape.heads as i32,
        shape.kv_heads as i32,
        vocabulary,
        shape.context as i32,
    ];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(i32::to_le_bytes).collect();
    let mut put = |tensor: &[f32]| bytes.extend(tensor.iter().flat_map(|weight| weight.to_le_bytes()));
    put(&model.embedding);
    let tensors: [fn(&LlamaLayer) -> &[f32]; 9] = [
        |layer| &layer.attention_norm,
        |layer| &layer.query,
        |layer| &layer.key,
        |layer| &layer.value,
        |layer| &layer.output,
        |layer| &layer.feed_forward_norm,
        |layer| &layer.gate,
        |layer| &layer.down,
        |layer| &layer.up,
    ];
    tensors.iter().for_each(|tensor| model.layers.iter().for_each(|layer| put(tensor(layer))));
    put(&model.final_norm);
    put(&vec![0.0; shape.context * shape.head_size]);
    put(model.classifier.as_deref().unwrap_or_default());
    bytes
}
