//! Language models of unusual sizes and weights: they run on the board's machine, or are refused with the reason and the numbers.

use crate::support::{Called, Scratch};
use lpu_compiler::import::llama::llama2c;
use lpu_compiler::llama::model::{LlamaModel, Shape};
use lpu_tests::llama::{config_json, random_model, safetensors, small_shape, tokenizer_file};
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

/// A directory of the transformers library with `model` in it, and a tokenizer of as many tokens beside it.
fn directory(scratch: &Scratch, model: &LlamaModel, change: impl Fn(&mut Value)) {
    std::fs::create_dir_all(scratch.path("hf")).unwrap();
    let mut config = config_json(model);
    change(&mut config);
    scratch.write("hf/config.json", config.to_string());
    scratch.write("hf/model.safetensors", safetensors(model, Dtype::F32));
    scratch.write("tokens", tokenizer_file(model.shape.vocabulary));
}

/// Lets the board's machine for language models say something with it, as the cycle model.
fn run(scratch: &Scratch) -> Called {
    let model = ["run", "hf", "--tokenizer", "tokens", "--prompt", "ab", "--tokens", "12", "--json"];
    scratch.lpu(&[&model[..], &["--on", "model", "--board", "ulx3s-85f"]].concat())
}

/// It runs, equal to golden, in the cycles predicted.
fn runs(scratch: &Scratch, what: &str) {
    let called = run(scratch);
    assert_eq!(called.status, 0, "{what}: {}", called.stderr);
    let report = called.json();
    let kept = (&report["outputs_equal_golden"], &report["cycles_as_predicted"]);
    assert_eq!(kept, (&true.into(), &true.into()), "{what}");
}

#[test]
fn sizes_that_divide_nothing_run_on_the_board_s_machine() {
    let shapes = [
        Shape { dim: 17, hidden: 23, layers: 1, heads: 5, kv_heads: 5, head_size: 6, vocabulary: 293, context: 32 },
        Shape { dim: 31, hidden: 53, layers: 3, heads: 7, kv_heads: 7, head_size: 10, vocabulary: 307, context: 37 },
        Shape { dim: 13, hidden: 7, layers: 2, heads: 3, kv_heads: 1, head_size: 14, vocabulary: 301, context: 40 },
        Shape { dim: 1, hidden: 1, layers: 1, heads: 1, kv_heads: 1, head_size: 2, vocabulary: 290, context: 16 },
    ];
    for (seed, shape) in (3..).zip(&shapes) {
        for tied in [true, false] {
            let scratch = Scratch::new();
            directory(&scratch, &random_model(seed, shape, tied), |_| ());
            runs(&scratch, &format!("{shape:?}, tied: {tied}"));
        }
    }
}

#[test]
fn sizes_that_the_machine_cannot_take_are_refused_with_the_numbers() {
    let small = small_shape();
    let of = |shape: &Shape, change: fn(&mut Value)| {
        let scratch = Scratch::new();
        directory(&scratch, &random_model(4, shape, false), change);
        let called = run(&scratch);
        assert_eq!((called.status, called.stdout.as_str()), (2, ""), "{}", called.stderr);
        called.stderr
    };
    let same = |_: &mut Value| ();
    for (shape, change, why) in [
        (
            Shape { hidden: 1999, layers: 1, ..small.clone() },
            same as fn(&mut Value),
            "is 500, but must be 1 to 256 (`count_bits` = 8",
        ),
        (Shape { head_size: 256, ..small.clone() }, same, "words of weight RAM in each tile, the machine has 2,560"),
        (small.clone(), |config| config["num_key_value_heads"] = json!(4), "4 key-value heads do not divide 6 heads"),
        (small.clone(), |config| config["head_dim"] = json!(3), "a head has 3 elements"),
        (small.clone(), |config| config["hidden_size"] = json!(-24), "hidden_size is -24, but must be 1 to 1048576"),
        (
            small.clone(),
            |config| config["hidden_size"] = json!(25),
            "its shape is [271, 24], config.json asks for [271, 25]",
        ),
        (
            small.clone(),
            |config| config["num_hidden_layers"] = json!(3),
            "model.layers.2.input_layernorm.weight`: there is no",
        ),
    ] {
        let said = of(&shape, change);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn values_of_zero_run_and_an_embedding_of_zeros_is_named() {
    let zeros: [fn(&mut LlamaModel); 3] = [
        |model| model.layers.iter_mut().for_each(|layer| layer.value.fill(0.0)),
        |model| model.layers[0].value[..24 * 5].fill(0.0),
        |model| model.final_norm.fill(0.0),
    ];
    for (number, zero) in zeros.into_iter().enumerate() {
        let scratch = Scratch::new();
        let mut model = random_model(4, &small_shape(), true);
        zero(&mut model);
        directory(&scratch, &model, |_| ());
        runs(&scratch, &format!("zeros number {number}"));
    }
    let scratch = Scratch::new();
    let mut model = random_model(4, &small_shape(), true);
    model.embedding.fill(0.0);
    directory(&scratch, &model, |_| ());
    let called = run(&scratch);
    assert!(called.refusal().contains("`embedding` is all zeros"), "{}", called.stderr);
}

#[test]
fn weights_that_no_integers_hold_are_named() {
    let scratch = Scratch::new();
    let mut model = random_model(4, &small_shape(), true);
    model.layers[1].query[7] = 3e30;
    directory(&scratch, &model, |_| ());
    let called = run(&scratch);
    assert!(called.refusal().contains("the largest of `layer 1, query` is 3e30"), "{}", called.stderr);
}

#[test]
fn any_number_of_tokens_may_be_asked_for() {
    let scratch = Scratch::new();
    let model = random_model(4, &small_shape(), true);
    scratch.write("m.bin", llama2c::export(&model));
    scratch.write("tok271.bin", tokenizer_file(271));
    for tokens in ["0", "18446744073709551615"] {
        let called = scratch.lpu(&[
            "run",
            "m.bin",
            "--prompt",
            "a",
            "--tokens",
            tokens,
            "--on",
            "model",
            "--board",
            "ulx3s-85f",
            "--json",
        ]);
        assert_eq!(called.status, 0, "{}", called.stderr);
    }
}

#[test]
fn a_board_without_room_names_one_that_has_it() {
    let scratch = Scratch::new();
    directory(&scratch, &random_model(4, &small_shape(), true), |_| ());
    let called = scratch.lpu(&["compile", "hf", "--board", "icebreaker", "--out", "p.json"]);
    assert!(called.refusal().contains("it fits ulx3s-85f;"), "{}", called.stderr);
}

#[test]
fn a_tokenizer_that_is_called_json_is_judged_as_json() {
    let scratch = Scratch::new();
    directory(&scratch, &random_model(4, &small_shape(), true), |_| ());
    scratch.write("tokenizer.json", b"\xff\xfe");
    let called = scratch.lpu(&["run", "hf", "--tokenizer", "tokenizer.json", "--prompt", "a", "--on", "golden"]);
    assert!(called.refusal().contains("tokenizer.json: the file is damaged: "), "{}", called.stderr);
    assert!(!called.stderr.contains("token 0"), "{}", called.stderr);
}
