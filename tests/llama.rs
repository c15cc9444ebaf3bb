//! Language models end to end: floating point against another implementation's answers, integers against floating point.

#![allow(clippy::unwrap_used)]

use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::check::LlamaGraphError;
use lpu_compiler::llama::float::{FloatSession, arg_max, negative_log_likelihood};
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::{LlamaModel, Shape};
use lpu_compiler::llama::quantise::quantise;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::tokenizer::Tokenizer;
use lpu_sim::golden_llama::sampling::Sampler;
use lpu_sim::golden_llama::{GoldenLlama, GoldenLlamaError};
use lpu_tests::conformance;
use lpu_tests::llama::{random_model, small_shape};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;
use std::path::PathBuf;

/// The model, its tokenizer and the folder of another implementation's answers; `None` where they are not installed.
fn reference() -> Option<(LlamaModel, Tokenizer, PathBuf)> {
    let files =
        ["models/stories260K/stories260K.bin", "models/stories260K/tok512.bin", "reference/stories260K/greedy.json"];
    let [Some(path), Some(tokenizer), Some(answers)] = files.map(conformance::file) else { return None };
    let model = read_model(&path).unwrap();
    assert_eq!(Tokenizer::beside(&path, &model).unwrap(), tokenizer);
    let tokenizer = Tokenizer::read(&tokenizer, &model).unwrap();
    Some((model, tokenizer, answers.parent().unwrap().to_owned()))
}

fn json(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tokens_of(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect()
}

/// The evaluation's sequences.
fn sequences(folder: &std::path::Path) -> Vec<Vec<u32>> {
    let bytes = std::fs::read(folder.join("eval_tokens.npy")).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    let length = array.shape()[1] as usize;
    let tokens: Vec<i16> = array.into_vec().unwrap();
    tokens.chunks_exact(length).map(|row| row.iter().map(|&token| token as u32).collect()).collect()
}

#[test]
fn prompts_become_the_tokens_and_tokens_the_text_of_another_implementation() {
    let Some((_, tokenizer, folder)) = reference() else { return };
    for case in json(folder.join("greedy.json"))["cases"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        assert_eq!(tokenizer.encode(prompt).unwrap(), tokens_of(&case["prompt_tokens"]), "{prompt:?}");
        assert_eq!(tokenizer.decode(&tokens_of(&case["tokens"])), case["text"].as_str().unwrap());
    }
}

#[test]
fn floating_point_gives_the_logits_and_the_most_likely_tokens_of_another_implementation() {
    let Some((model, _, folder)) = reference() else { return };
    let answers = json(folder.join("greedy.json"));
    for (number, case) in answers["cases"].as_array().unwrap().iter().enumerate() {
        let (tokens, prompt) = (tokens_of(&case["tokens"]), tokens_of(&case["prompt_tokens"]).len());
        // Logits are there for the first two prompts.
        let logits: Option<Vec<f32>> = (number < 2).then(|| {
            let bytes = std::fs::read(folder.join(format!("logits_{number}.npy"))).unwrap();
            npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
        });
        let mut session = FloatSession::new(&model);
        for (position, &token) in tokens.iter().enumerate() {
            let got = session.step(token);
            if let Some(expected) = logits.as_deref().and_then(|logits| logits.chunks_exact(512).nth(position)) {
                for (got, &expected) in got.iter().zip(expected) {
                    assert!((got - f64::from(expected)).abs() < 1e-4, "case {number}, position {position}");
                }
            }
            if let Some(&next) = tokens.get(position + 1).filter(|_| position + 1 >= prompt) {
                assert_eq!(arg_max(&got), next, "case {number}, position {position}");
            }
        }
    }
}

/// Mean -ln p of `sequences` in integers.
fn likelihood(graph: &QuantisedLlama, sequences: &[Vec<u32>]) -> f64 {
    let mut golden = GoldenLlama::new(graph).unwrap();
    let (mut sum, mut count) = (0.0, 0);
    for sequence in sequences {
        golden.restart();
        for pair in sequence.windows(2) {
            let logits = golden.step(pair[0]).unwrap().logits();
            let logits: Vec<f64> = logits.into_iter().map(|logit| f64::from(logit) * graph.classifier.unit).collect();
            sum += negative_log_likelihood(&logits, pair[1]);
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
fn integers_are_as_good_as_floating_point_on_the_evaluation() {
    let Some((model, _, folder)) = reference() else { return };
    let sequences = sequences(&folder);
    let expected = json(folder.join("eval_tokens.json"))["float64_mean_nll_nats"].as_f64().unwrap();
    let (mut float, mut count) = (0.0, 0);
    for sequence in &sequences {
        let mut session = FloatSession::new(&model);
        for pair in sequence.windows(2) {
            float += negative_log_likelihood(&session.step(pair[0]), pair[1]);
            count += 1;
        }
    }
    let float = float / f64::from(count);
    assert!((float - expected).abs() < 1e-9, "{float}, {expected} wanted");
    let ratio = |format| (likelihood(&quantise(&model, format).unwrap(), &sequences) - float).exp();
    let int8 = ratio(WeightFormat::Int8);
    assert!(int8 <= 1.005, "int8: {int8}");
    let int4 = ratio(WeightFormat::Int4 { group: 16 });
    assert!(int4 <= 1.12, "int4: {int4}");
}

/// The integers may choose another token only where floating point all but tosses a coin.
#[test]
fn the_most_likely_text_in_integers_leaves_that_in_floating_point_only_at_a_near_tie() {
    let Some((model, tokenizer, folder)) = reference() else { return };
    let graph = quantise(&model, WeightFormat::Int8).unwrap();
    for case in json(folder.join("greedy.json"))["cases"].as_array().unwrap() {
        let (expected, prompt) = (tokens_of(&case["tokens"]), case["prompt"].as_str().unwrap());
        let mut golden = GoldenLlama::new(&graph).unwrap();
        let mut float = FloatSession::new(&model);
        let prompted = tokenizer.encode(prompt).unwrap().len();
        for (position, &token) in expected[..32].iter().enumerate() {
            let (chosen, logits) = (golden.step(token).unwrap().most_likely(), float.step(token));
            let said = expected[position + 1];
            if position + 1 >= prompted && chosen != said {
                let margin = negative_log_likelihood(&logits, chosen) - negative_log_likelihood(&logits, said);
                assert!((0.0..0.02).contains(&margin), "{prompt:?}, token {}: {margin} nats", position + 1);
            }
        }
    }
}

#[test]
fn a_graph_survives_being_written_and_read() {
    let graph = quantise(&random_model(2, &small_shape(), false), WeightFormat::Int4 { group: 5 }).unwrap();
    let text = serde_json::to_string(&graph).unwrap();
    let read: QuantisedLlama = serde_json::from_str(&text).unwrap();
    assert_eq!(read, graph);
    assert_eq!(read.check(), Ok(()));
}

#[test]
fn a_graph_that_could_overflow_or_contradicts_itself_is_refused() {
    let graph = quantise(&random_model(2, &small_shape(), true), WeightFormat::Int8).unwrap();
    let refused = |change: fn(&mut QuantisedLlama)| {
        let mut graph = graph.clone();
        change(&mut graph);
        match GoldenLlama::new(&graph) {
            Err(GoldenLlamaError::Graph(error)) => (error.to_string(), error),
            other => panic!("{:?}", other.map(|golden| golden.position())),
        }
    };
    let (text, _) = refused(|graph| graph.layers[1].attention.key.product.matrix.weights.truncate(7));
    assert_eq!(text, "`random`, layer 1, key: 7 weights instead of 288");
    let (_, error) = refused(|graph| graph.shape.context = 300_000);
    assert!(matches!(error, LlamaGraphError::Length { what: "cosines", .. }), "{error}");
    let (_, error) = refused(|graph| graph.residual_limit = -1);
    assert!(matches!(error, LlamaGraphError::Overflow { .. } | LlamaGraphError::Range { .. }), "{error}");
    let (text, _) = refused(|graph| graph.layers[0].attention.output.requantisation.scales[3].shift = 12);
    assert_eq!(text, "`random`, layer 0, output: a scale's shift of 12 cannot be applied");
    let (text, _) = refused(|graph| graph.classifier.requantisation.scales[0].multiplier = 5);
    assert_eq!(text, "`random`, classifier: a multiplier of 5 cannot be applied");
}

#[test]
fn tokens_beyond_the_vocabulary_and_positions_beyond_the_context_are_refused() {
    let graph = quantise(&random_model(2, &small_shape(), true), WeightFormat::Int8).unwrap();
    let mut golden = GoldenLlama::new(&graph).unwrap();
    let error = golden.step(271).unwrap_err();
    assert_eq!(error.to_string(), "token 271 of `random`, whose vocabulary has 271 tokens");
    assert_eq!(golden.position(), 0);
    (0..20).for_each(|token| drop(golden.step(token).unwrap()));
    assert_eq!(golden.step(1).unwrap_err().to_string(), "`random` has a context of 20 tokens, and all are taken");
    golden.restart();
    assert!(golden.step(1).is_ok());
}

/// A text of `length` tokens from `seed`.
fn sampled(graph: &QuantisedLlama, temperature: f64, seed: u64, length: usize) -> Vec<u32> {
    let mut golden = GoldenLlama::new(graph).unwrap();
    let mut sampler = Sampler::new(graph, temperature, seed).unwrap();
    let mut tokens = vec![graph.begin];
    while tokens.len() < length {
        let answer = golden.step(tokens[tokens.len() - 1]).unwrap();
        tokens.push(sampler.next_token(graph, &answer));
    }
    tokens
}

#[test]
fn a_seed_gives_one_text_and_a_low_temperature_the_most_likely() {
    let graph = quantise(&random_model(2, &small_shape(), true), WeightFormat::Int8).unwrap();
    assert_eq!(sampled(&graph, 0.9, 5, 19), sampled(&graph, 0.9, 5, 19));
    assert_ne!(sampled(&graph, 0.9, 5, 19), sampled(&graph, 0.9, 6, 19));
    assert_eq!(sampled(&graph, 0.002, 5, 19), sampled(&graph, 0.0, 0, 19));
    for temperature in [-1.0, 1e-9, f64::NAN, f64::INFINITY, 1e9] {
        assert!(Sampler::new(&graph, temperature, 0).is_err(), "{temperature}");
    }
}

#[test]
fn tokens_are_drawn_as_often_as_their_probabilities_say() {
    let graph = quantise(&random_model(2, &small_shape(), true), WeightFormat::Int8).unwrap();
    let answer = GoldenLlama::new(&graph).unwrap().step(9).unwrap();
    let logits: Vec<f64> = answer.logits().iter().map(|&logit| f64::from(logit) * graph.classifier.unit).collect();
    for temperature in [0.7, 1.0, 2.0] {
        let mut sampler = Sampler::new(&graph, temperature, 3).unwrap();
        let draws = 20_000;
        let mut counts = vec![0.0; logits.len()];
        (0..draws).for_each(|_| counts[sampler.next_token(&graph, &answer) as usize] += 1.0);
        let cooled: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
        for (probability, count) in lpu_compiler::llama::float::softmax(&cooled).into_iter().zip(counts) {
            let expected = probability * f64::from(draws);
            assert!((count - expected).abs() <= 5.0 * expected.sqrt() + 5.0, "{count} for {expected} at {temperature}");
        }
    }
}

fn shapes() -> impl Strategy<Value = (Shape, bool)> {
    let heads = (1_usize..4, 1_usize..4, 1_usize..5);
    (1_usize..40, 1_usize..40, 1_usize..3, heads, 2_usize..60, 2_usize..12, any::<bool>()).prop_map(
        |(dim, hidden, layers, (kv_heads, shared, half), vocabulary, context, tied)| {
            let (heads, head_size) = (kv_heads * shared, 2 * half);
            (Shape { dim, hidden, layers, heads, kv_heads, head_size, vocabulary, context }, tied)
        },
    )
}

proptest! {
    // A statistical bound: the same models each time, so that an unlucky one in thousands does not stop a change that it has
    // nothing to do with.
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn integers_follow_floating_point_for_any_shape((shape, tied) in shapes(), seed: u64) {
        let model = random_model(seed, &shape, tied);
        let graph = quantise(&model, WeightFormat::Int8).unwrap();
        let mut golden = GoldenLlama::new(&graph).unwrap();
        let mut session = FloatSession::new(&model);
        let (mut error, mut power) = (0.0, 1e-3);
        // A text of the model's own, which calibration has not seen, up to its end.
        let text = sampled(&graph, 1.0, seed, shape.context);
        let length = text.iter().skip(1).take_while(|token| !graph.end.contains(token)).count();
        for token in text.into_iter().take(1 + length) {
            let logits = golden.step(token).unwrap().logits();
            for (integer, float) in logits.into_iter().zip(session.step(token)) {
                error += (f64::from(integer) * graph.classifier.unit - float).powi(2);
                power += float.powi(2);
            }
        }
        prop_assert!(error <= 0.01 * power, "{} for {shape:?}", (error / power).sqrt());
    }

    #[test]
    fn int4_groups_of_any_size_can_be_executed((shape, tied) in shapes(), seed: u64, group in 1_usize..50) {
        let graph = quantise(&random_model(seed, &shape, tied), WeightFormat::Int4 { group }).unwrap();
        let mut golden = GoldenLlama::new(&graph).unwrap();
        prop_assert_eq!(golden.step(0).unwrap().elements.len(), shape.vocabulary);
    }

    #[test]
    fn strange_weights_are_refused_or_executed((shape, tied) in shapes(), seed: u64, exponent in -130_i32..120, kind in 0..4) {
        let mut model = random_model(seed, &shape, tied);
        let factor = 2_f32.powi(exponent);
        match kind {
            0 => model.embedding.iter_mut().for_each(|weight| *weight = 0.0),
            1 => model.embedding.iter_mut().for_each(|weight| *weight *= factor),
            2 => model.layers[0].query.iter_mut().for_each(|weight| *weight *= factor),
            _ => model.layers[0].down.iter_mut().for_each(|weight| *weight *= factor),
        }
        if let Ok(graph) = quantise(&model, WeightFormat::Int8) {
            let mut golden = GoldenLlama::new(&graph).unwrap();
            for token in 0..shape.context.min(shape.vocabulary) {
                let _ = golden.step(token as u32).unwrap();
            }
        }
    }
}
