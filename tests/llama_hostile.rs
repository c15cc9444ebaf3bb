//! Damaged and malicious language models and tokenizers never panic and never allocate what they merely claim.

#![allow(clippy::unwrap_used)]

use lpu_compiler::import::llama::{LlamaError, llama2c, safetensors as huggingface};
use lpu_compiler::llama::model::{LlamaModel, Shape};
use lpu_compiler::tokenizer::huggingface::HuggingFaceTokenizer;
use lpu_tests::llama::{config_json, random_model, safetensors};
use proptest::prelude::*;
use proptest::sample::Index;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

fn model() -> LlamaModel {
    let shape = Shape { dim: 6, hidden: 5, layers: 2, heads: 3, kv_heads: 1, head_size: 2, vocabulary: 7, context: 4 };
    random_model(1, &shape, false)
}

/// Flips bits, cuts, and puts noise in place of a part.
fn damage(bytes: &mut Vec<u8>, flips: &[(Index, u8)], cut: Option<Index>, noise: &(Index, Vec<u8>)) {
    for (place, mask) in flips {
        let place = place.index(bytes.len());
        bytes[place] ^= mask;
    }
    let at = noise.0.index(bytes.len());
    for (byte, &noise) in bytes[at..].iter_mut().zip(&noise.1) {
        *byte = noise;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
}

/// Flips, a cut, noise: what [`damage`] takes.
type Damage = (Vec<(Index, u8)>, Option<Index>, (Index, Vec<u8>));

fn damages() -> impl Strategy<Value = Damage> {
    let flips = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let noise = (any::<Index>(), prop::collection::vec(any::<u8>(), 0..12));
    (flips, prop::option::of(any::<Index>()), noise)
}

#[test]
fn every_truncation_of_a_checkpoint_is_refused_with_both_lengths() {
    let bytes = llama2c::export(&model());
    for length in 0..bytes.len() {
        match llama2c::import(&bytes[..length], "m").unwrap_err() {
            LlamaError::UnknownFormat { .. } => assert!(length < 28),
            LlamaError::Length { expected, actual, .. } => {
                assert_eq!((expected, actual), (bytes.len() as u128, length as u64));
            }
            other => panic!("{length} bytes: {other}"),
        }
    }
}

#[test]
fn every_truncation_of_safetensors_is_refused() {
    let (config, bytes) = (config_json(&model()).to_string(), safetensors(&model(), Dtype::F16));
    for length in 0..bytes.len() {
        assert!(huggingface::import(config.as_bytes(), &bytes[..length], "m").is_err(), "{length}");
    }
}

#[test]
fn a_header_of_safetensors_may_claim_any_length() {
    let config = config_json(&model()).to_string();
    for claim in [u64::MAX, u64::MAX - 7, 1 << 62, 99_999_999, 8, 0] {
        let mut bytes = claim.to_le_bytes().to_vec();
        bytes.extend(b"{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[99999999999,99999999],\"data_offsets\":[0,4]}}");
        assert!(huggingface::import(config.as_bytes(), &bytes, "m").is_err(), "{claim}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_checkpoint_is_refused_or_a_model((flips, cut, noise) in damages(), in_header: bool) {
        let mut bytes = llama2c::export(&model());
        if in_header {
            let mut header = bytes[..28].to_vec();
            damage(&mut header, &flips, None, &noise);
            bytes[..28].copy_from_slice(&header);
        } else {
            damage(&mut bytes, &flips, cut, &noise);
        }
        if let Ok(model) = llama2c::import(&bytes, "m") {
            prop_assert!(model.shape.check().is_ok());
            for (name, weights, length) in model.tensors() {
                prop_assert_eq!(weights.len(), length, "{}", name);
            }
        }
    }

    #[test]
    fn any_header_of_a_checkpoint_is_refused_or_fits_its_file(numbers: [i32; 7], small: [u8; 7], shrink: bool) {
        let numbers = if shrink { small.map(|number| i32::from(number % 5)) } else { numbers };
        let bytes: Vec<u8> = numbers.into_iter().flat_map(i32::to_le_bytes).chain([0; 999]).collect();
        if let Ok(model) = llama2c::import(&bytes, "m") {
            prop_assert!(model.parameters() * 4 < bytes.len());
        }
    }

    #[test]
    fn damaged_safetensors_are_refused_or_a_model((flips, cut, noise) in damages()) {
        let config = config_json(&model()).to_string();
        let mut bytes = safetensors(&model(), Dtype::F32);
        damage(&mut bytes, &flips, cut, &noise);
        if let Ok(model) = huggingface::import(config.as_bytes(), &bytes, "m") {
            prop_assert_eq!(model.shape, self::model().shape);
        }
    }

    #[test]
    fn a_damaged_configuration_is_refused_or_fits_the_weights((flips, cut, noise) in damages()) {
        let mut config = config_json(&model()).to_string().into_bytes();
        damage(&mut config, &flips, cut, &noise);
        if let Ok(model) = huggingface::import(&config, &safetensors(&model(), Dtype::F32), "m") {
            prop_assert!(model.shape.check().is_ok());
        }
    }

    #[test]
    fn numbers_in_a_configuration_never_allocate(key in 0_usize..8, value in prop_oneof![any::<i64>(), 0_i64..(1 << 21)]) {
        let keys = [
            "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "head_dim", "vocab_size", "max_position_embeddings",
        ];
        let mut config = config_json(&model());
        let was = config[keys[key]].as_i64();
        config[keys[key]] = value.into();
        let read = huggingface::import(config.to_string().as_bytes(), &safetensors(&model(), Dtype::F32), "m");
        // Only the longest sequence is a number that no tensor shows.
        prop_assert!(read.is_err() || was == Some(value) || key == 7);
    }

    #[test]
    fn a_damaged_tokenizer_never_panics((flips, cut, noise) in damages()) {
        let mut json = tokenizer_json().to_string().into_bytes();
        damage(&mut json, &flips, cut, &noise);
        use_tokenizer(&json);
    }

    #[test]
    fn a_tokenizer_with_strange_values_never_panics(place: Index, value in 0_usize..9) {
        let strange = [
            json!(null), json!(-1), json!(u64::MAX), json!(1e300), json!(""), json!([]), json!({}), json!("BPE"), json!([["a"]]),
        ];
        let mut json = tokenizer_json();
        replace(&mut json, &mut place.index(60), &strange[value]);
        use_tokenizer(json.to_string().as_bytes());
    }
}

/// Reads, encodes, decodes, as far as it goes.
fn use_tokenizer(json: &[u8]) {
    let Ok(tokenizer) = HuggingFaceTokenizer::read(json, "tokenizer.json", 7, 1) else { return };
    let _ = tokenizer.decode(&tokenizer.encode("ab a").unwrap_or_default());
}

fn tokenizer_json() -> Value {
    json!({
        "version": "1.0", "added_tokens": [],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "_"},
        "decoder": {"type": "ByteFallback"},
        "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
                  "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "<0x61>": 4}, "merges": [["a", "b"]]}
    })
}

/// Puts `by` in the place of the value numbered `left`, counted from the outside.
fn replace(json: &mut Value, left: &mut usize, by: &Value) {
    if *left == 0 {
        *json = by.clone();
        *left = usize::MAX;
        return;
    }
    *left -= 1;
    match json {
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, left, by)),
        Value::Object(values) => values.iter_mut().for_each(|(_, value)| replace(value, left, by)),
        _ => (),
    }
}
