//! Language models of the Llama architecture, random, in every format that is read.

use crate::random::Random;
use half::{bf16, f16};
use lpu_compiler::llama::model::{LlamaLayer, LlamaModel, Shape};
use safetensors::tensor::{Dtype, TensorView};

/// A small model's sizes: nothing divides anything that it need not.
#[must_use]
pub fn small_shape() -> Shape {
    Shape { dim: 24, hidden: 37, layers: 2, heads: 6, kv_heads: 3, head_size: 4, vocabulary: 271, context: 20 }
}

/// A model of random weights, of magnitudes like those of a trained one. They are exact in F16 and in BF16.
#[must_use]
pub fn random_model(seed: u64, shape: &Shape, tied: bool) -> LlamaModel {
    let mut random = Random::new(seed);
    let mut weights = |count: usize, middle: f64, spread: f64| -> Vec<f32> {
        // Eight bits in all, so that halves of both kinds hold them.
        let mut one = || middle + spread * (random.within(0, 62) as f64 - 31.0) / 32.0;
        (0..count).map(|_| bf16::from_f64(one()).to_f32()).collect()
    };
    let (dim, hidden) = (shape.dim, shape.hidden);
    let (query, kv) = (shape.query_length(), shape.kv_length());
    let spread = |inputs: usize| 1.7 / (inputs as f64).sqrt();
    let embedding = weights(shape.vocabulary * dim, 0.0, 1.0);
    let layers = (0..shape.layers)
        .map(|_| LlamaLayer {
            attention_norm: weights(dim, 1.0, 0.5),
            query: weights(query * dim, 0.0, spread(dim)),
            key: weights(kv * dim, 0.0, spread(dim)),
            value: weights(kv * dim, 0.0, spread(dim)),
            output: weights(dim * query, 0.0, spread(query)),
            feed_forward_norm: weights(dim, 1.0, 0.5),
            gate: weights(hidden * dim, 0.0, spread(dim)),
            down: weights(dim * hidden, 0.0, spread(hidden)),
            up: weights(hidden * dim, 0.0, spread(dim)),
        })
        .collect();
    LlamaModel {
        name: "random".into(),
        shape: shape.clone(),
        rope_theta: 10_000.0,
        norm_epsilon: 1e-5,
        embedding,
        layers,
        final_norm: weights(dim, 1.0, 0.5),
        classifier: (!tied).then(|| weights(shape.vocabulary * dim, 0.0, spread(dim))),
        begin: 1,
        end: vec![1],
    }
}

/// `config.json` of the transformers library for `model`.
#[must_use]
pub fn config_json(model: &LlamaModel) -> serde_json::Value {
    let shape = &model.shape;
    serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.dim,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": model.norm_epsilon,
        "rope_theta": model.rope_theta,
        "rope_scaling": null,
        "tie_word_embeddings": model.classifier.is_none(),
        "bos_token_id": model.begin,
        "eos_token_id": model.end,
    })
}

/// `model.safetensors` of the transformers library for `model`, with elements of `dtype`: F32, F16 or BF16.
///
/// Rotary embedding turns elements half a head apart there, so that the rows of queries and keys stand in another order.
#[must_use]
pub fn safetensors(model: &LlamaModel, dtype: Dtype) -> Vec<u8> {
    let shape = &model.shape;
    let (dim, hidden) = (shape.dim, shape.hidden);
    let (query, kv) = (shape.query_length(), shape.kv_length());
    let apart = |rows: &[f32]| halves_apart(rows, shape.head_size, dim);
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = vec![
        ("model.embed_tokens.weight".into(), vec![shape.vocabulary, dim], model.embedding.clone()),
        ("model.norm.weight".into(), vec![dim], model.final_norm.clone()),
    ];
    if let Some(classifier) = &model.classifier {
        tensors.push(("lm_head.weight".into(), vec![shape.vocabulary, dim], classifier.clone()));
    }
    for (number, layer) in model.layers.iter().enumerate() {
        let mut put = |name: &str, shape: Vec<usize>, weights: Vec<f32>| {
            tensors.push((format!("model.layers.{number}.{name}.weight"), shape, weights));
        };
        put("input_layernorm", vec![dim], layer.attention_norm.clone());
        put("self_attn.q_proj", vec![query, dim], apart(&layer.query));
        put("self_attn.k_proj", vec![kv, dim], apart(&layer.key));
        put("self_attn.v_proj", vec![kv, dim], layer.value.clone());
        put("self_attn.o_proj", vec![dim, query], layer.output.clone());
        put("post_attention_layernorm", vec![dim], layer.feed_forward_norm.clone());
        put("mlp.gate_proj", vec![hidden, dim], layer.gate.clone());
        put("mlp.down_proj", vec![dim, hidden], layer.down.clone());
        put("mlp.up_proj", vec![hidden, dim], layer.up.clone());
    }
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> =
        tensors.into_iter().map(|(name, shape, weights)| (name, shape, bytes(&weights, dtype))).collect();
    let views = tensors
        .iter()
        .filter_map(|(name, shape, bytes)| Some((name.clone(), TensorView::new(dtype, shape.clone(), bytes).ok()?)));
    safetensors::serialize(views, None).unwrap_or_default()
}

fn bytes(weights: &[f32], dtype: Dtype) -> Vec<u8> {
    let convert = |&weight: &f32| match dtype {
        Dtype::F16 => f16::from_f32(weight).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(weight).to_le_bytes().to_vec(),
        _ => weight.to_le_bytes().to_vec(),
    };
    weights.iter().flat_map(convert).collect()
}

/// Row 2*i* of a head becomes row *i*, row 2*i* + 1 row *i* + n/2.
fn halves_apart(rows: &[f32], head_size: usize, columns: usize) -> Vec<f32> {
    let head = |head: &[f32]| -> Vec<f32> {
        let rows: Vec<&[f32]> = head.chunks_exact(columns).collect();
        let (even, odd) = (rows.iter().step_by(2), rows.iter().skip(1).step_by(2));
        even.chain(odd).flat_map(|row| row.iter().copied()).collect()
    };
    rows.chunks_exact(head_size * columns).flat_map(head).collect()
}

/// A tokenizer of llama2.c for `vocabulary` tokens: the special ones, the bytes, then letters and pairs of them.
#[must_use]
pub fn tokenizer_file(vocabulary: usize) -> Vec<u8> {
    let special = ["<unk>", "\n<s>\n", "\n</s>\n"].map(String::from);
    let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
    let letters = std::iter::once(' ').chain('a'..='z').map(String::from);
    let pairs = ('a'..='z').flat_map(|first| ('a'..='z').map(move |second| format!("{first}{second}")));
    let pieces = special.into_iter().chain(bytes).chain(letters).chain(pairs).take(vocabulary);
    let mut file = 8_i32.to_le_bytes().to_vec();
    for (token, piece) in pieces.enumerate() {
        file.extend((-(token as f32)).to_le_bytes());
        file.extend((piece.len() as i32).to_le_bytes());
        file.extend(piece.bytes());
    }
    file
}
