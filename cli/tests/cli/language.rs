//! `lpu run` and `lpu eval` on language models.

use crate::support::{Called, Scratch, digits, language_board, npy, npy_of};
use expect_test::expect;
use lpu_compiler::import::llama::llama2c;
use lpu_compiler::llama::model::{LlamaModel, Shape};
use lpu_tests::conformance;
use lpu_tests::llama::{config_json, random_model, safetensors, small_shape, tokenizer_file};
use safetensors::tensor::Dtype;

/// A model of random weights with a tokenizer beside it.
pub fn small(scratch: &Scratch) -> LlamaModel {
    let model = random_model(4, &small_shape(), true);
    scratch.write("m.bin", llama2c::export(&model));
    scratch.write("tok271.bin", tokenizer_file(271));
    model
}

fn run(scratch: &Scratch, more: &[&str]) -> Called {
    scratch.lpu(&[&["run", "m.bin", "--on", "golden", "--prompt", "abba"], more].concat())
}

#[test]
fn text_arrives_on_standard_output_and_everything_else_on_standard_error() {
    let scratch = Scratch::new();
    small(&scratch);
    let called = run(&scratch, &["--tokens", "5"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    let report = run(&scratch, &["--tokens", "5", "--json"]).json();
    let text = report["text"].as_str().unwrap();
    assert!(text.starts_with("abba"), "{text}");
    assert!(
        !text.chars().any(|character| character.is_control() || character == '\u{fffd}'),
        "choose another seed: {text:?}"
    );
    assert_eq!(called.stdout, format!("{text}\n"));
    assert!(called.stderr.contains("5 new; golden model"), "{}", called.stderr);
}

#[test]
fn json_has_the_keys_of_the_contract_and_stands_alone() {
    let scratch = Scratch::new();
    small(&scratch);
    let called = run(&scratch, &["--tokens", "3", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    let keys: Vec<&str> =
        called.stdout.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    expect![[r#"["model", "backend", "prompt_tokens", "tokens", "text", "ending", "temperature", "seed", "cycles_per_token", "tokens_per_second", "first_divergence", "wall_seconds"]"#]]
    .assert_eq(&format!("{keys:?}"));
    assert_eq!(report["backend"], "golden");
    assert!(report["cycles_per_token"].is_null() && report["tokens_per_second"].is_null());
    let prompt = report["prompt_tokens"].as_u64().unwrap() as usize;
    assert_eq!(report["tokens"].as_array().unwrap().len(), prompt + 3);
    assert_eq!(report["tokens"][0], 1);
}

#[test]
fn a_seed_gives_the_same_text_again() {
    let scratch = Scratch::new();
    small(&scratch);
    let tokens = |seed| run(&scratch, &["--temperature", "0.8", "--seed", seed, "--json"]).json()["tokens"].clone();
    assert_eq!(tokens("3"), tokens("3"));
    assert_ne!(tokens("3"), tokens("4"));
}

#[test]
fn a_full_context_ends_the_text_and_is_said() {
    let scratch = Scratch::new();
    small(&scratch);
    let report = run(&scratch, &["--tokens", "1000", "--json"]).json();
    // Twenty positions, and the token that the last of them gives.
    assert_eq!((report["tokens"].as_array().unwrap().len(), &report["ending"]), (21, &"context".into()));
    assert!(run(&scratch, &["--tokens", "1000"]).stderr.contains("the context of 20 tokens was full"));
}

#[test]
fn a_directory_of_transformers_says_what_the_checkpoint_says() {
    let scratch = Scratch::new();
    let model = small(&scratch);
    std::fs::create_dir(scratch.path("hf")).unwrap();
    scratch.write("hf/config.json", config_json(&model).to_string());
    scratch.write("hf/model.safetensors", safetensors(&model, Dtype::F32));
    let in_directory = |more: &[&str]| {
        scratch.lpu(&[&["run", "hf", "--on", "golden", "--prompt", "abba", "--json", "--tokens", "6"], more].concat())
    };
    expect![[r"
        error: the tokenizer cannot be used
          where: hf
          why:   hf: there is no tokenizer beside the model (tok*.bin, or tokenizer.json in the model's directory)
          help:  name the tokenizer's file with `--tokenizer FILE`
    "]]
    .assert_eq(in_directory(&[]).refusal());
    let expected = run(&scratch, &["--tokens", "6", "--json"]).json();
    let report = in_directory(&["--tokenizer", "tok271.bin"]).json();
    assert_eq!((&report["tokens"], &report["model"]), (&expected["tokens"], &"hf".into()));
}

/// A run on the cycle model of a machine that is large enough.
fn machine(scratch: &Scratch, more: &[&str]) -> Called {
    scratch.write("board.toml", language_board(4096));
    let prompt: &[&str] = if more.contains(&"--prompt") { &[] } else { &["--prompt", "abba"] };
    let common = ["run", "m.bin", "--on", "model", "--config", "board.toml"];
    scratch.lpu(&[&common[..], prompt, more].concat())
}

#[test]
fn the_machine_says_what_golden_says_and_counts_its_cycles() {
    let scratch = Scratch::new();
    small(&scratch);
    for more in [&["--tokens", "9", "--json"][..], &["--tokens", "9", "--temperature", "0.8", "--seed", "3", "--json"]]
    {
        let (golden, called) = (run(&scratch, more).json(), machine(&scratch, more));
        assert_eq!((called.status, called.stderr.as_str()), (0, ""));
        let report = called.json();
        for key in ["tokens", "text", "ending", "prompt_tokens", "first_divergence"] {
            assert_eq!(report[key], golden[key], "{key}");
        }
        assert_eq!((&report["outputs_equal_golden"], &report["cycles_as_predicted"]), (&true.into(), &true.into()));
        let cycles: Vec<u64> =
            report["cycles_per_token"].as_array().unwrap().iter().map(|cycles| cycles.as_u64().unwrap()).collect();
        assert_eq!(cycles.len(), 9);
        let mean = cycles.iter().sum::<u64>() as f64 / 9.0;
        let speed = report["tokens_per_second"].as_f64().unwrap();
        assert!((speed * mean / 125e6 - 1.0).abs() < 1e-9, "{speed} tokens/s at {mean} cycles");
        let spent = report["cycles_spent"].as_object().unwrap();
        assert_eq!(spent.keys().collect::<Vec<_>>(), ["attention", "matrix", "vector", "waiting"]);
        assert!(spent.values().all(|cycles| cycles.as_u64().unwrap() > 0), "{spent:?}");
        assert_eq!(spent.values().map(|cycles| cycles.as_u64().unwrap()).sum::<u64>(), cycles.iter().sum::<u64>());
        let utilisation = report["mac_utilization"].as_f64().unwrap();
        assert!((0.0..1.0).contains(&utilisation) && utilisation > 0.0, "{utilisation}");
    }
}

#[test]
fn cycles_behind_a_prompt_that_is_taken_in_at_once_are_those_of_the_longer_context() {
    let scratch = Scratch::new();
    scratch.write("m.bin", llama2c::export(&random_model(4, &Shape { context: 60, ..small_shape() }, true)));
    scratch.write("tok271.bin", tokenizer_file(271));
    // A schedule ends at position 32; most of the prompt comes in runs of several tokens.
    let called = machine(&scratch, &["--prompt", &"ab".repeat(20), "--tokens", "9", "--json"]);
    let report = called.json();
    let (prompt, prefill) = (report["prompt_tokens"].as_u64().unwrap(), report["prefill"]["tokens"].as_u64().unwrap());
    assert!(prompt > 32 && prefill > 16, "{prompt} tokens, {prefill} at once");
    let sum = |values: Vec<&serde_json::Value>| values.iter().map(|value| value.as_u64().unwrap()).sum::<u64>();
    let cycles = report["cycles_per_token"].as_array().unwrap().iter().collect();
    assert_eq!(sum(report["cycles_spent"].as_object().unwrap().values().collect()), sum(cycles));
}

#[test]
fn json_of_a_machine_has_the_keys_of_the_contract() {
    let scratch = Scratch::new();
    small(&scratch);
    let called = machine(&scratch, &["--tokens", "2", "--json"]);
    let keys: Vec<&str> =
        called.stdout.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    expect![[r#"["model", "backend", "prompt_tokens", "tokens", "text", "ending", "temperature", "seed", "cycles_per_token", "tokens_per_second", "board", "context", "clock_mhz", "prompt_cycles", "prefill", "cycles_as_predicted", "outputs_equal_golden", "cycles_between_tokens", "multipliers", "mac_utilization", "cycles_spent", "first_divergence", "wall_seconds"]"#]].assert_eq(&format!("{keys:?}"));
}

#[test]
fn text_of_a_machine_streams_and_the_figures_follow() {
    let scratch = Scratch::new();
    small(&scratch);
    let (golden, called) = (run(&scratch, &["--tokens", "5"]), machine(&scratch, &["--tokens", "5"]));
    assert_eq!((called.status, &called.stdout), (0, &golden.stdout));
    for part in
        ["5 new; cycle model", "all as predicted", "tokens/s at 125 MHz", "of 148 multipliers", "equal to golden"]
    {
        assert!(called.stderr.contains(part), "{part}: {}", called.stderr);
    }
    for part in ["█ matrix ", "▓ attention ", "▒ vector ", "░ waiting ", "room for 10 positions"] {
        assert!(called.stderr.contains(part), "{part}: {}", called.stderr);
    }
}

#[test]
fn a_context_of_one_s_own_ends_the_text_everywhere() {
    let scratch = Scratch::new();
    small(&scratch);
    let more = ["--tokens", "1000", "--context", "7", "--json"];
    let (golden, model) = (run(&scratch, &more).json(), machine(&scratch, &more).json());
    // Seven positions, and the token that the last of them gives.
    assert_eq!((golden["tokens"].as_array().unwrap().len(), &golden["ending"]), (8, &"context".into()));
    assert_eq!((&golden["tokens"], &golden["ending"]), (&model["tokens"], &model["ending"]));
    let full = machine(&scratch, &["--tokens", "1000", "--json"]).json();
    assert_eq!((full["tokens"].as_array().unwrap().len(), &full["context"]), (21, &20.into()));
}

#[test]
fn the_rtl_says_what_golden_says_in_the_cycles_of_the_cycle_model() {
    let scratch = Scratch::new();
    small(&scratch);
    let more = ["--tokens", "3", "--json"];
    let [golden, model] = [run(&scratch, &more).json(), machine(&scratch, &more).json()];
    let arguments = ["run", "m.bin", "--on", "rtl", "--config", "board.toml", "--prompt", "abba"];
    let rtl = scratch.lpu(&[&arguments[..], &more].concat());
    assert_eq!(rtl.status, 0, "{}", rtl.stderr);
    let rtl = rtl.json();
    assert_eq!(rtl["tokens"], golden["tokens"]);
    assert_eq!(rtl["cycles_per_token"], model["cycles_per_token"]);
}

#[test]
fn a_board_without_extensions_gives_its_machine_for_language_models() {
    let scratch = Scratch::new();
    small(&scratch);
    let board =
        ["run", "m.bin", "--on", "model", "--prompt", "abba", "--tokens", "3", "--board", "ulx3s-85f", "--json"];
    let called = scratch.lpu(&board);
    expect![[r"
        m.bin: the board's own machine has no `extensions`, which language models need; taken instead is ulx3s-85f/language, constraints/ulx3s-85f/language.toml
    "]]
    .assert_eq(&called.stderr);
    let report = called.json();
    assert_eq!(
        (called.status, report["tokens"].as_array().unwrap().len()),
        (0, 3 + report["prompt_tokens"].as_u64().unwrap() as usize)
    );
    assert!(report["first_divergence"].is_null() && report["tokens_per_second"].is_f64());
}

#[test]
fn a_board_without_a_port_is_refused() {
    let scratch = Scratch::new();
    small(&scratch);
    let called = scratch.lpu(&["run", "m.bin", "--prompt", "a", "--on", "board"]);
    assert!(called.refusal().contains("where: --port\n"), "{}", called.stderr);
    assert!(called.stderr.contains("`--port sim`"), "{}", called.stderr);
}

/// A machine that Verilator builds quickly and that generates tokens by itself.
pub const GENERATING: &str = "tiles = 16\ndot = 4\nstream_elements = 8\nweight_depth = 1024\nvector_slices = 3\n\
    vector_depth = 512\nscale_depth = 512\nnarrow_scales = true\nqueue_depth = 1024\nqueue_word_bits = 72\n\
    [extensions]\nregisters = 15\nscalars = 64\ntables = 16\ntokens = 32\n";

#[test]
fn a_machine_goes_from_token_to_token_without_the_host_and_says_the_same() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let common = ["run", "m.bin", "--on", "model", "--config", "generating.toml", "--prompt", "abba"];
    let on = |more: &[&str]| scratch.lpu(&[&common[..], more].concat());
    // Until the length, until the context is full, one token, none.
    for more in [&["--tokens", "9", "--json"][..], &["--tokens", "1000", "--json"], &["--tokens", "1", "--json"]] {
        let (golden, called) = (run(&scratch, more).json(), on(more));
        assert_eq!((called.status, called.stderr.as_str()), (0, ""));
        let report = called.json();
        for key in ["tokens", "text", "ending", "prompt_tokens", "first_divergence"] {
            assert_eq!(report[key], golden[key], "{key}");
        }
        assert_eq!((&report["outputs_equal_golden"], &report["cycles_as_predicted"]), (&true.into(), &true.into()));
        assert!(report["cycles_between_tokens"].as_u64().unwrap() < 20);
        let new = report["tokens"].as_array().unwrap().len() - report["prompt_tokens"].as_u64().unwrap() as usize;
        assert_eq!(report["cycles_per_token"].as_array().unwrap().len(), new);
    }
    // A temperature takes the host.
    let more = ["--tokens", "6", "--temperature", "0.8", "--seed", "3", "--json"];
    let (golden, report) = (run(&scratch, &more).json(), on(&more).json());
    assert_eq!((&report["tokens"], report["cycles_between_tokens"].is_null()), (&golden["tokens"], true));
    let (golden, called) = (run(&scratch, &["--tokens", "5"]), on(&["--tokens", "5"]));
    assert_eq!((called.status, &called.stdout), (0, &golden.stdout));
    assert!(called.stderr.contains("cycles, without the host"), "{}", called.stderr);
}

#[test]
fn a_simulated_board_says_what_golden_says() {
    if lpu_tests::witnesses::toolchain("a language model on a board").is_none() {
        return;
    }
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("generating.toml", GENERATING);
    let common = ["run", "m.bin", "--on", "board", "--port", "sim", "--config", "generating.toml", "--prompt", "abba"];
    for more in [&["--tokens", "9", "--json"][..], &["--tokens", "3", "--temperature", "0.8", "--json"]] {
        let (golden, called) = (run(&scratch, more).json(), scratch.lpu(&[&common[..], more].concat()));
        assert_eq!((called.status, called.stderr.as_str()), (0, ""));
        let report = called.json();
        assert_eq!(report["tokens"], golden["tokens"]);
        assert_eq!((&report["outputs_equal_golden"], &report["cycles_as_predicted"]), (&true.into(), &true.into()));
        assert_eq!(report["cycles_between_tokens"].is_null(), more.contains(&"--temperature"));
        assert_eq!((&report["link"]["port"], &report["link"]["repeats"]), (&"sim".into(), &0.into()));
        assert!(report["link"]["loaded_bytes"].as_u64().unwrap() > 1000);
    }
}

#[test]
fn what_a_machine_cannot_hold_is_refused_with_the_numbers_and_a_way_out() {
    let scratch = Scratch::new();
    small(&scratch);
    let shape = Shape { context: 100, ..small_shape() };
    scratch.write("long.bin", llama2c::export(&random_model(4, &shape, true)));
    // Room for the keys and values of two passes, 64 positions.
    scratch.write("small.toml", language_board(200));
    let run = ["run", "long.bin", "--on", "model", "--prompt", "a", "--tokens", "90", "--config", "small.toml"];
    expect![[r#"
        error: the language model cannot be compiled for small
          where: long.bin
          why:   `long` with 92 positions of context does not fit:
                 it needs 220 words of weight RAM in each tile, the machine has 200: 20 too few
          help:  this machine holds 64 positions of it (`--context 64`); it fits ulx3s-85f; or describe a larger machine, with a section `extensions`, with `--config FILE.toml`; int4 weights and several chips would help too, but are not there yet
    "#]].assert_eq(scratch.lpu(&run).refusal());
    let whole = scratch.lpu(&["compile", "long.bin", "--config", "small.toml", "--out", "p.json", "--json"]);
    let schedules = whole.json()["schedules"].as_array().unwrap().clone();
    assert_eq!((whole.status, &schedules.last().unwrap()["positions_below"]), (0, &64.into()), "{}", whole.stderr);
    expect![[r"
        note: room for 64 of the 100 positions of `long`: it needs 230 words of weight RAM in each tile, the machine has 200: 30 too few
    "]]
    .assert_eq(&whole.stderr);
    let fewer = scratch.lpu(&[&run[..], &["--context", "64", "--json"]].concat());
    assert_eq!((fewer.status, &fewer.json()["ending"]), (0, &"context".into()), "{}", fewer.stderr);
    let plain = language_board(4096).replace("[configuration.extensions]", "[nothing]");
    scratch.write("plain.toml", &plain[..plain.find("[nothing]").unwrap()]);
    let plain = ["run", "m.bin", "--on", "model", "--prompt", "a", "--config", "plain.toml"];
    assert!(scratch.lpu(&plain).refusal().contains("has no `extensions`"), "{}", scratch.lpu(&plain).stderr);
    let int4 = machine(&scratch, &["--weights", "int4"]);
    assert!(int4.refusal().contains("scales for groups of columns"), "{}", int4.stderr);
}

#[test]
fn a_language_model_is_compiled_checked_and_disassembled_like_a_network() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("board.toml", language_board(4096));
    let compile = ["compile", "m.bin", "--config", "board.toml", "--out", "p.json"];
    let called = scratch.lpu(&[&compile[..], &["--json"]].concat());
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    let schedules = report["schedules"].as_array().unwrap();
    assert_eq!((schedules.len(), &schedules[0]["positions_below"]), (1, &20.into()));
    assert_eq!(report["cycles_predicted"], schedules[0]["cycles_predicted"]);
    let people = scratch.lpu(&compile);
    for part in ["positions below", "accepted by the checker", "a token", "registers"] {
        assert!(people.stdout.contains(part), "{part}: {}", people.stdout);
    }
    let checked = scratch.lpu(&["check", "p.json"]);
    assert_eq!(checked.status, 0, "{}", checked.stdout);
    assert!(checked.stdout.contains("positions below"), "{}", checked.stdout);
    assert!(scratch.lpu(&["disasm", "p.json"]).stdout.contains("fetch"));
    // A store a cycle later is noticed.
    let mut image: serde_json::Value = serde_json::from_slice(&std::fs::read(scratch.path("p.json")).unwrap()).unwrap();
    let queues = image["queues"].as_array_mut().unwrap();
    let weights = queues.iter_mut().find(|queue| queue["unit"] == "Weights").unwrap();
    let interval = &mut weights["instructions"][0]["instruction"]["interval"];
    *interval = (interval.as_u64().unwrap() + 1).into();
    scratch.write("late.json", image.to_string());
    let late = scratch.lpu(&["check", "late.json"]);
    assert_eq!(late.status, 1);
    assert!(late.stdout.contains("positions below 20, cycle "), "{}", late.stdout);
    let network = ["compile", &digits("digits.tflite"), "--board", "ulx3s-12f", "--out", "d.json", "--context", "4"];
    assert!(scratch.lpu(&network).refusal().contains("this network is no language model"));
    let long = scratch.lpu(&[&compile[..], &["--context", "21"]].concat());
    assert!(long.refusal().contains("the context of this model is 20 tokens"), "{}", long.stderr);
}

#[test]
fn what_cannot_be_run_is_refused_with_status_2() {
    let scratch = Scratch::new();
    small(&scratch);
    let bytes = std::fs::read(scratch.path("m.bin")).unwrap();
    scratch.write("cut.bin", &bytes[..bytes.len() - 9]);
    scratch.write("tok99", tokenizer_file(99));
    let mut broken = bytes.clone();
    broken[28 + 40..28 + 44].copy_from_slice(&f32::NAN.to_le_bytes());
    scratch.write("nan.bin", &broken);
    let golden = ["run", "--on", "golden"];
    let long = "a b ".repeat(8);
    let network = digits("digits.tflite");
    let cases: [(&[&str], &str); 14] = [
        (&["m.bin", "--prompt", &long], "tokens, the context of this model 20"),
        (&["m.bin", "--prompt", "abba", "--context", "3"], "the prompt has "),
        (&["m.bin", "--prompt", "abba", "--context", "21"], "the context of this model is 20 tokens"),
        (&["m.bin"], "a language model takes a text, and none is given"),
        (&["m.bin", "--prompt", "a", "--inputs", "x.npy"], "a language model takes a text and gives a text"),
        (&["m.bin", "--prompt", "a", "--temperature", "-1"], "a temperature of -1"),
        (&["m.bin", "--prompt", "a", "--temperature", "1e-9"], "a temperature of 0.000000001"),
        (&["m.bin", "--prompt", "a", "--tokenizer", "tok99"], "the tokenizer knows 99 tokens, the model 271"),
        (
            &["m.bin", "--prompt", "a", "--weights", "int8", "--group", "8"],
            "weights of eight bits have one scale for each row",
        ),
        (&["cut.bin", "--prompt", "a"], "the header asks for"),
        (&["nan.bin", "--prompt", "a"], "tensor `embedding`, element 10: the weight is NaN"),
        (&["nowhere.bin", "--prompt", "a"], "No such file"),
        (&[&network, "--prompt", "a"], "this network is no language model"),
        (&[&network], "a network takes examples, and none are given"),
    ];
    // The machine refuses the same, before it compiles anything.
    scratch.write("board.toml", language_board(4096));
    let model = ["run", "--on", "model", "--config", "board.toml"];
    for (arguments, why) in cases {
        for on in [&golden[..], &model] {
            let called = scratch.lpu(&[on, arguments].concat());
            assert!(called.refusal().contains(why), "{on:?} {arguments:?}: {}", called.stderr);
        }
    }
}

#[test]
fn an_evaluation_compares_integers_with_floating_point() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("t.npy", npy("(2, 9)", &[1, 50, 60, 70, 80, 90, 100, 110, 120, 1, 5, 6, 7, 8, 9, 10, 11, 12]));
    let called = scratch.lpu(&["eval", "m.bin", "--tokens-file", "t.npy", "--prompt", "ab", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    let number = |key: &str| report[key].as_f64().unwrap();
    assert!((number("perplexity") / number("float_perplexity") / number("ratio") - 1.0).abs() < 1e-9);
    assert!((number("ratio") - 1.0).abs() < 0.05, "{}", number("ratio"));
    assert_eq!((&report["sequences"], &report["tokens"], &report["weights"]), (&2.into(), &16.into(), &"int8".into()));
    assert_eq!(report["greedy"][0]["prompt"], "ab");
    let coarse =
        scratch.lpu(&["eval", "m.bin", "--tokens-file", "t.npy", "--weights", "int4", "--group", "8", "--json"]);
    let coarse = coarse.json();
    assert_eq!((&coarse["group"], &coarse["weights"]), (&8.into(), &"int4".into()));
    assert_eq!(coarse["weight_bytes"].as_u64().unwrap() * 2, report["weight_bytes"].as_u64().unwrap());
    let people = scratch.lpu(&["eval", "m.bin", "--tokens-file", "t.npy"]);
    assert!(people.stdout.contains("in floating point  "), "{}", people.stdout);
}

#[test]
fn tokens_that_are_not_the_models_are_refused() {
    let scratch = Scratch::new();
    small(&scratch);
    scratch.write("beyond.npy", npy_of("<i2", "(1, 2)", &[1, 0, 15, 1]));
    scratch.write("long.npy", npy("(1, 21)", &[1; 21]));
    scratch.write("float.npy", npy_of("<f4", "(1, 2)", &[0; 8]));
    for (file, why) in [
        ("beyond.npy", "sequence 0, token 1 is 271, but the model's vocabulary has 271 tokens"),
        ("long.npy", "1 sequences of 21 tokens; there must be one at least, of 2 to 20 tokens"),
        ("float.npy", "the elements are float32, not integers"),
        ("none.npy", "No such file"),
    ] {
        let called = scratch.lpu(&["eval", "m.bin", "--tokens-file", file]);
        assert!(called.refusal().contains(why), "{}", called.stderr);
    }
    let called = scratch.lpu(&["eval", &digits("digits.tflite"), "--tokens-file", "beyond.npy"]);
    assert!(called.refusal().contains("this is no language model"), "{}", called.stderr);
}

/// A file of the language model that ships with the project.
fn stories(name: &str) -> String {
    format!("{}/../models/stories/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_model_that_ships_with_the_project_loses_nothing_by_becoming_integers() {
    let scratch = Scratch::new();
    let (model, tokens) = (stories("stories.bin"), stories("eval_tokens.npy"));
    let report = scratch.lpu(&["eval", &model, "--tokens-file", &tokens, "--json"]).json();
    assert!(report["ratio"].as_f64().unwrap() <= 1.005, "{}", report["ratio"]);
}

#[test]
fn stories_lose_nothing_by_becoming_integers() {
    let (Some(model), Some(tokens)) = (
        conformance::file("models/stories260K/stories260K.bin"),
        conformance::file("reference/stories260K/eval_tokens.npy"),
    ) else {
        return;
    };
    let scratch = Scratch::new();
    let (model, tokens) = (model.to_string_lossy(), tokens.to_string_lossy());
    let report = scratch.lpu(&["eval", &model, "--tokens-file", &tokens, "--json"]).json();
    assert!(report["ratio"].as_f64().unwrap() <= 1.005, "{}", report["ratio"]);
    assert!((report["float_perplexity"].as_f64().unwrap() - 3.664_266_266_764_137).abs() < 1e-9);
    let run = scratch.lpu(&["run", &model, "--on", "golden", "--prompt", "Once upon a time", "--tokens", "20"]);
    assert_eq!(run.stdout, "Once upon a time, there was a little girl named Lily. She loved to play outsid\n");
}
