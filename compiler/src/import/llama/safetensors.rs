//! A directory as the transformers library writes it: `config.json` and `model.safetensors`.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::config::{self, Config};
use super::error::LlamaError;
use crate::llama::model::{LlamaLayer, LlamaModel};

/// Reads a model from the contents of `config.json` and `model.safetensors`; `name` is what messages and reports call it.
///
/// The rows of query and key are reordered: transformers' rotary embedding turns elements *i* and *i* + n/2 of a head, here
/// neighbours turn, so row *i* becomes row 2*i* and row *i* + n/2 row 2*i* + 1. Scores do not change.
///
/// # Errors
/// A configuration that makes no model of this architecture, a tensor that is missing or of another shape or type, a weight
/// that is not finite.
pub fn import(config: &[u8], weights: &[u8], name: &str) -> Result<LlamaModel, LlamaError> {
    let config = config::read(config, &format!("{name}/config.json"))?;
    let file = format!("{name}/model.safetensors");
    let tensors = SafeTensors::deserialize(weights)
        .map_err(|error| LlamaError::Damaged { file: file.clone(), why: error.to_string() })?;
    let model = Reader { tensors, file: &file, config: &config }.model(name)?;
    super::check_weights(&model, &file)?;
    Ok(model)
}

struct Reader<'bytes> {
    tensors: SafeTensors<'bytes>,
    file: &'bytes str,
    config: &'bytes Config,
}

impl Reader<'_> {
    fn model(&self, name: &str) -> Result<LlamaModel, LlamaError> {
        let shape = &self.config.shape;
        let table = [shape.vocabulary, shape.dim];
        let embedding = self.tensor("model.embed_tokens.weight", &table)?;
        // The configuration decides, as it does there: a tied model's file may hold a copy.
        let classifier = if self.config.tied { None } else { Some(self.tensor("lm_head.weight", &table)?) };
        Ok(LlamaModel {
            name: name.into(),
            shape: shape.clone(),
            rope_theta: self.config.rope_theta,
            norm_epsilon: self.config.norm_epsilon,
            embedding,
            // One after another: a claim of a million layers ends at the first that is missing.
            layers: (0..shape.layers).map(|number| self.layer(number)).collect::<Result<_, _>>()?,
            final_norm: self.tensor("model.norm.weight", &[shape.dim])?,
            classifier,
            begin: self.config.begin,
            end: self.config.end.clone(),
        })
    }

    fn layer(&self, number: usize) -> Result<LlamaLayer, LlamaError> {
        let shape = &self.config.shape;
        let (dim, hidden) = (shape.dim, shape.hidden);
        let (query, kv) = (shape.query_length(), shape.kv_length());
        let tensor = |name: &str, shape: &[usize]| self.tensor(&format!("model.layers.{number}.{name}.weight"), shape);
        let neighbours = |rows: Vec<f32>| pairs_as_neighbours(&rows, shape.head_size, dim);
        Ok(LlamaLayer {
            attention_norm: tensor("input_layernorm", &[dim])?,
            query: neighbours(tensor("self_attn.q_proj", &[query, dim])?),
            key: neighbours(tensor("self_attn.k_proj", &[kv, dim])?),
            value: tensor("self_attn.v_proj", &[kv, dim])?,
            output: tensor("self_attn.o_proj", &[dim, query])?,
            feed_forward_norm: tensor("post_attention_layernorm", &[dim])?,
            gate: tensor("mlp.gate_proj", &[hidden, dim])?,
            down: tensor("mlp.down_proj", &[dim, hidden])?,
            up: tensor("mlp.up_proj", &[hidden, dim])?,
        })
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LlamaError> {
        let refused = |why: String| LlamaError::Tensor { file: self.file.into(), tensor: name.into(), why };
        let view = self.tensors.tensor(name).map_err(|_| refused("there is no such tensor".into()))?;
        if view.shape() != shape {
            return Err(refused(format!("its shape is {:?}, config.json asks for {shape:?}", view.shape())));
        }
        floats(&view).ok_or_else(|| refused(format!("its type is {:?}, but must be F32, F16 or BF16", view.dtype())))
    }
}

/// The elements as float32, exactly; `None` for a type that is none of the three.
fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let halves =
        |convert: fn([u8; 2]) -> f32| view.data().chunks_exact(2).map(|two| convert([two[0], two[1]])).collect();
    match view.dtype() {
        Dtype::F32 => {
            let words = view.data().chunks_exact(4);
            Some(words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
        }
        Dtype::F16 => Some(halves(|bytes| half::f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Some(halves(|bytes| half::bf16::from_le_bytes(bytes).to_f32())),
        _ => None,
    }
}

/// Rows of heads whose pairs stand half a head apart, in the order in which pairs are neighbours.
fn pairs_as_neighbours(rows: &[f32], head_size: usize, columns: usize) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(rows.len());
    for head in rows.chunks_exact(head_size * columns) {
        let (first, second) = head.split_at(head_size / 2 * columns);
        for (a, b) in first.chunks_exact(columns).zip(second.chunks_exact(columns)) {
            ordered.extend_from_slice(a);
            ordered.extend_from_slice(b);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_half_a_head_apart_become_neighbours() {
        // Two heads of four rows with two columns.
        let rows: Vec<f32> = (0..8).flat_map(|row| [row as f32, row as f32 + 0.5]).collect();
        let firsts: Vec<f32> = pairs_as_neighbours(&rows, 4, 2).chunks(2).map(|row| row[0]).collect();
        assert_eq!(firsts, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
