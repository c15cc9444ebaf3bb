//! `config.json` of the transformers library: what the model is, before its weights are looked at.

use serde::Deserialize;
use serde_json::Value;

use super::error::LlamaError;
use crate::llama::model::{Shape, ShapeError};

/// The keys that say something here; all others are of no consequence for inference.
#[derive(Debug, Deserialize)]
struct Keys {
    model_type: Option<String>,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: Option<i64>,
    head_dim: Option<i64>,
    vocab_size: i64,
    max_position_embeddings: i64,
    #[serde(default = "default_epsilon")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    bos_token_id: Value,
    #[serde(default)]
    eos_token_id: Value,
    quantization_config: Option<Value>,
}

fn default_epsilon() -> f64 {
    1e-6
}

fn default_activation() -> String {
    "silu".into()
}

/// What the configuration says, checked.
#[derive(Debug)]
pub(super) struct Config {
    pub shape: Shape,
    pub norm_epsilon: f64,
    pub rope_theta: f64,
    pub tied: bool,
    pub begin: u32,
    pub end: Vec<u32>,
}

/// The base of RoPE where nothing else is said.
const ROPE_THETA: f64 = 10_000.0;

/// Reads `config.json`; `file` is what messages call it.
pub(super) fn read(text: &[u8], file: &str) -> Result<Config, LlamaError> {
    let keys: Keys = serde_json::from_slice(text)
        .map_err(|error| LlamaError::Damaged { file: file.into(), why: error.to_string() })?;
    supported(&keys, file)?;
    let shape_error = |source| LlamaError::Shape { file: file.into(), source };
    let size = |name, value: i64| usize::try_from(value).map_err(|_| shape_error(ShapeError::Range { name, value }));
    let (dim, heads) = (size("hidden_size", keys.hidden_size)?, size("num_attention_heads", keys.num_attention_heads)?);
    let head_size = match keys.head_dim {
        Some(head) => size("head_dim", head)?,
        None if heads == 0 => {
            return Err(shape_error(ShapeError::Range { name: "num_attention_heads", value: 0 }));
        }
        None if !dim.is_multiple_of(heads) => return Err(shape_error(ShapeError::Heads { dim, heads })),
        None => dim / heads,
    };
    let shape = Shape {
        dim,
        hidden: size("intermediate_size", keys.intermediate_size)?,
        layers: size("num_hidden_layers", keys.num_hidden_layers)?,
        heads,
        kv_heads: size("num_key_value_heads", keys.num_key_value_heads.unwrap_or(keys.num_attention_heads))?,
        head_size,
        vocabulary: size("vocab_size", keys.vocab_size)?,
        context: size("max_position_embeddings", keys.max_position_embeddings)?,
    };
    shape.check().map_err(shape_error)?;
    let rope_theta = match &keys.rope_parameters {
        Some(parameters) => parameters.get("rope_theta").and_then(Value::as_f64).or(keys.rope_theta),
        None => keys.rope_theta,
    }
    .unwrap_or(ROPE_THETA);
    for (name, value, least) in [("rope_theta", rope_theta, 1.0), ("rms_norm_eps", keys.rms_norm_eps, 0.0)] {
        if !value.is_finite() || value < least {
            let why = format!("{name} is {value}, but must be a number of {least} or more");
            return Err(LlamaError::Damaged { file: file.into(), why });
        }
    }
    let vocabulary = shape.vocabulary as u64;
    let tokens = |value: &Value| -> Vec<u32> {
        let ids = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let known = ids.iter().filter_map(Value::as_u64).filter(|&id| id < vocabulary);
        known.map(|id| id as u32).collect()
    };
    let begin = tokens(&keys.bos_token_id);
    let Some(&begin) = begin.first() else {
        let why = format!("bos_token_id is {}, but must be a token below {vocabulary}", keys.bos_token_id);
        return Err(LlamaError::Damaged { file: file.into(), why });
    };
    let mut end = tokens(&keys.eos_token_id);
    if !end.contains(&begin) {
        end.push(begin);
    }
    Ok(Config { shape, norm_epsilon: keys.rms_norm_eps, rope_theta, tied: keys.tie_word_embeddings, begin, end })
}

/// What this architecture's relatives do differently is refused rather than ignored.
fn supported(keys: &Keys, file: &str) -> Result<(), LlamaError> {
    let refused = |feature: String, instead| Err(LlamaError::Unsupported { file: file.into(), feature, instead });
    let other_model = "give a model of the Llama architecture (`\"model_type\": \"llama\"`)";
    match &keys.model_type {
        Some(kind) if kind != "llama" => return refused(format!("model_type `{kind}`"), other_model),
        _ => (),
    }
    if !matches!(keys.hidden_act.as_str(), "silu" | "swish") {
        return refused(format!("hidden_act `{}`; SiLU is", keys.hidden_act), other_model);
    }
    for (name, present) in [("attention_bias", keys.attention_bias), ("mlp_bias", keys.mlp_bias)] {
        if present {
            return refused(format!("{name}: products without bias are"), other_model);
        }
    }
    if keys.quantization_config.is_some() {
        return refused(
            "weights that are quantised already (quantization_config)".into(),
            "give the checkpoint in F32, F16 or BF16 that it was made from: quantisation is done here",
        );
    }
    let kind = |value: &Value| -> Option<String> {
        let kind = value.get("rope_type").or_else(|| value.get("type"))?;
        Some(kind.as_str().unwrap_or_default().to_owned())
    };
    for value in [&keys.rope_scaling, &keys.rope_parameters].into_iter().flatten() {
        match kind(value).as_deref() {
            None | Some("default") => (),
            Some(other) => {
                return refused(
                    format!("rotary position embedding of type `{other}`; the default is"),
                    "give a model whose rope_scaling is null: contexts that fit on a chip need no stretching",
                );
            }
        }
    }
    Ok(())
}
