//! Language models from every format that is read are the same model.

#![allow(clippy::unwrap_used)]

use lpu_compiler::import::llama::{LlamaError, llama2c, read_model, safetensors as huggingface};
use lpu_compiler::llama::float::{FloatSession, rope_angle};
use lpu_compiler::llama::model::{LlamaModel, Shape};
use lpu_compiler::tokenizer::Tokenizer;
use lpu_tests::llama::{config_json, random_model, safetensors, small_shape, tokenizer_file};
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

fn logits(model: &LlamaModel) -> Vec<Vec<f64>> {
    let mut session = FloatSession::new(model);
    [1, 200, 7, 7, 30].into_iter().map(|token| session.step(token)).collect()
}

#[test]
fn both_layouts_give_the_same_model_and_the_same_logits() {
    for tied in [true, false] {
        let model = random_model(3, &small_shape(), tied);
        let from_llama2c = llama2c::import(&llama2c::export(&model), "random").unwrap();
        assert_eq!(from_llama2c, model);
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let config = config_json(&model).to_string();
            let read = huggingface::import(config.as_bytes(), &safetensors(&model, dtype), "random").unwrap();
            assert_eq!(read, model, "{dtype:?}");
            assert_eq!(logits(&read), logits(&from_llama2c));
        }
    }
}

/// The transformers library's rotary embedding: `x × cos + rotate_half(x) × sin`.
fn rotate_half(vector: &[f64], position: usize) -> Vec<f64> {
    let half = vector.len() / 2;
    let element = |index: usize| {
        let angle = rope_angle(index % half, vector.len(), position, 10_000.0);
        let other = if index < half { -vector[index + half] } else { vector[index - half] };
        vector[index] * angle.cos() + other * angle.sin()
    };
    (0..vector.len()).map(element).collect()
}

#[test]
fn a_head_in_the_order_of_transformers_has_the_scores_of_that_library() {
    // One layer, one head of six, everything but queries and keys switched off: attention's result shows the probabilities.
    let shape = Shape { dim: 6, hidden: 1, layers: 1, heads: 1, kv_heads: 1, head_size: 6, vocabulary: 8, context: 9 };
    let model = random_model(11, &shape, false);
    let layer = &model.layers[0];
    let file = safetensors(&model, Dtype::F32);
    let views = safetensors::SafeTensors::deserialize(&file).unwrap();
    let matrix = |name: &str| -> Vec<f64> {
        let data = views.tensor(&format!("model.layers.0.self_attn.{name}_proj.weight")).unwrap().data().to_vec();
        data.chunks_exact(4).map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap()))).collect()
    };
    let normed = |token: usize| -> Vec<f64> {
        let row: Vec<f64> = model.embedding[6 * token..6 * token + 6].iter().map(|&x| f64::from(x)).collect();
        let root = (row.iter().map(|x| x * x).sum::<f64>() / 6.0 + 1e-5).sqrt();
        row.iter().zip(&layer.attention_norm).map(|(x, &weight)| x / root * f64::from(weight)).collect()
    };
    let times = |matrix: &[f64], vector: &[f64]| -> Vec<f64> {
        matrix.chunks_exact(6).map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
    };
    let tokens = [1_usize, 4, 2, 7];
    let turned = |name: &str, position: usize| rotate_half(&times(&matrix(name), &normed(tokens[position])), position);
    let query = turned("q", 3);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let expected: Vec<f64> = (0..4).map(|at| dot(&query, &turned("k", at)) / 6_f64.sqrt()).collect();

    struct Scores(Vec<f64>);
    impl lpu_compiler::llama::float::Observer for Scores {
        fn see(&mut self, place: lpu_compiler::llama::float::Probe, values: &[f64]) {
            if matches!(place, lpu_compiler::llama::float::Probe::Score(0)) {
                self.0 = values.to_vec();
            }
        }
    }
    let read = huggingface::import(config_json(&model).to_string().as_bytes(), &file, "random").unwrap();
    let mut session = FloatSession::new(&read);
    let mut scores = Scores(vec![]);
    tokens.iter().for_each(|&token| drop(session.step_observed(token as u32, &mut scores)));
    assert_eq!(scores.0.len(), 4);
    for (got, expected) in scores.0.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-9, "{:?} {expected:?}", scores.0);
    }
}

#[test]
fn a_directory_and_the_file_in_it_are_the_same_model() {
    let directory = tempfile::tempdir().unwrap();
    let model = random_model(5, &small_shape(), true);
    std::fs::write(directory.path().join("config.json"), config_json(&model).to_string()).unwrap();
    std::fs::write(directory.path().join("model.safetensors"), safetensors(&model, Dtype::F32)).unwrap();
    let whole = read_model(directory.path()).unwrap();
    assert_eq!((&whole.layers, &whole.embedding), (&model.layers, &model.embedding));
    assert_eq!(read_model(&directory.path().join("model.safetensors")).unwrap().layers, model.layers);
}

fn refused(change: impl Fn(&mut Value)) -> (String, LlamaError) {
    let model = random_model(5, &small_shape(), false);
    let mut config = config_json(&model);
    change(&mut config);
    let error = huggingface::import(config.to_string().as_bytes(), &safetensors(&model, Dtype::F32), "m").unwrap_err();
    assert!(!error.help().is_empty());
    (error.to_string(), error)
}

#[test]
fn what_a_configuration_asks_for_in_vain_is_refused_with_the_reason() {
    let cases: [(&str, Value, &str); 14] = [
        ("model_type", json!("mistral"), "m/config.json: not supported: model_type `mistral`"),
        ("hidden_act", json!("gelu"), "m/config.json: not supported: hidden_act `gelu`; SiLU is"),
        ("attention_bias", json!(true), "m/config.json: not supported: attention_bias: products without bias are"),
        (
            "rope_scaling",
            json!({"rope_type": "llama3", "factor": 8.0}),
            "m/config.json: not supported: rotary position embedding of type `llama3`; the default is",
        ),
        ("quantization_config", json!({"bits": 4}), "m/config.json: not supported: weights that are quantised already"),
        ("num_key_value_heads", json!(4), "m/config.json: 4 key-value heads do not divide 6 heads"),
        ("head_dim", json!(3), "m/config.json: a head has 3 elements, but rotary position embedding turns pairs"),
        ("head_dim", Value::Null, ""),
        ("num_hidden_layers", json!(-2), "m/config.json: num_hidden_layers is -2, but must be 1 to 1048576"),
        (
            "num_hidden_layers",
            json!(3),
            "m/model.safetensors: tensor `model.layers.2.input_layernorm.weight`: there is no",
        ),
        ("vocab_size", json!(100_000_000), "m/config.json: the vocabulary is 100000000, but must be 1 to 1048576"),
        (
            "intermediate_size",
            json!(38),
            "m/model.safetensors: tensor `model.layers.0.mlp.gate_proj.weight`: its shape is [37, 24], config.json asks for \
             [38, 24]",
        ),
        ("rms_norm_eps", json!(-1.0), "m/config.json: the file is damaged: rms_norm_eps is -1"),
        ("bos_token_id", json!(9999), "m/config.json: the file is damaged: bos_token_id is 9999, but must be a token"),
    ];
    for (key, value, message) in cases {
        if value.is_null() {
            continue;
        }
        let (text, _) = refused(|config| config[key] = value.clone());
        assert!(text.starts_with(message), "{text}");
    }
    let (text, _) = refused(|config| drop(config.as_object_mut().unwrap().remove("hidden_size")));
    assert!(text.contains("missing field `hidden_size`"), "{text}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_place() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut model = random_model(5, &small_shape(), false);
        model.layers[1].down[17] = value;
        let expected = format!("m: tensor `layer 1, down`, element 17: the weight is {value}");
        assert_eq!(llama2c::import(&llama2c::export(&model), "m").unwrap_err().to_string(), expected);
        let config = config_json(&model).to_string();
        let error = huggingface::import(config.as_bytes(), &safetensors(&model, Dtype::BF16), "m").unwrap_err();
        assert!(matches!(error, LlamaError::NotFinite { index: 17, .. }), "{error}");
    }
}

#[test]
fn checkpoints_that_are_cut_or_of_another_layout_are_refused_with_both_lengths() {
    let bytes = llama2c::export(&random_model(5, &small_shape(), true));
    let error = llama2c::import(&bytes[..bytes.len() - 4], "m").unwrap_err();
    let expected = format!(
        "m: the header asks for {} bytes (dimension 24, hidden 37, 2 layers, 6 heads, 3 key-value heads, vocabulary 271, \
         longest sequence 20), the file has {}",
        bytes.len(),
        bytes.len() - 4
    );
    assert_eq!(error.to_string(), expected);
    let header = |numbers: [i32; 7]| -> Vec<u8> { numbers.into_iter().flat_map(i32::to_le_bytes).collect() };
    let message = |numbers| llama2c::import(&header(numbers), "m").unwrap_err().to_string();
    assert!(
        message([1 << 20, 1 << 20, 1 << 20, 2, 1, i32::MIN + 1, 9]).starts_with("m: the vocabulary is 2147483647, but")
    );
    assert!(message([1 << 20, 1 << 20, 1 << 20, 2, 1, 1 << 20, 9]).contains("the header asks for"));
    assert_eq!(message([64, 0, 1, 8, 8, 9, 9]), "m: the hidden dimension is 0, but must be 1 to 1048576");
    assert_eq!(message([64, 3, 1, 7, 7, 9, 9]), "m: 7 heads do not divide a model of 64 elements");
    assert_eq!(message([64, 3, 1, 8, -8, 9, 9]), "m: the number of key-value heads is -8, but must be 1 to 1048576");
    assert!(message([0x616b_3432, 1, 1, 8, 8, 9, 9]).contains("version 1 of llama2.c's layouts"));
    let error = llama2c::import(&[0; 5], "m").unwrap_err();
    assert_eq!(error.to_string(), "m: no language model in a known format: 5 bytes, and the header alone has 28");
}

#[test]
fn the_tokenizer_beside_a_checkpoint_is_found_unless_several_could_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    let model = random_model(5, &small_shape(), true);
    let path = directory.path().join("m.bin");
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), bytes).unwrap();
    put("m.bin", llama2c::export(&model));
    assert!(Tokenizer::beside(&path, &model).unwrap_err().to_string().contains("there is no tokenizer beside"));
    put("tokenizer.bin", tokenizer_file(271));
    assert_eq!(Tokenizer::beside(&path, &model).unwrap(), directory.path().join("tokenizer.bin"));
    put("tok99.bin", tokenizer_file(99));
    let error = Tokenizer::beside(&path, &model).unwrap_err();
    assert!(error.to_string().ends_with("several tokenizers: tok99.bin, tokenizer.bin"), "{error}");
    put("tok271.bin", tokenizer_file(271));
    let found = Tokenizer::beside(&path, &model).unwrap();
    assert_eq!(found, directory.path().join("tok271.bin"));
    assert!(Tokenizer::read(&found, &model).is_ok());
    let error = Tokenizer::read(&directory.path().join("tok99.bin"), &model).unwrap_err();
    assert!(error.to_string().ends_with("the tokenizer knows 99 tokens, the model 271"), "{error}");
}
