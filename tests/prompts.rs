//! Prompts taken in several tokens at once: what follows is golden's, every cycle the one predicted, on the cycle model and on the RTL.

#![allow(clippy::unwrap_used)]

use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::Shape;
use lpu_compiler::llama::quantise::quantise;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::lower::llama::{Runs, compile, compile_runs};
use lpu_compiler::occupation::Occupation;
use lpu_isa::configuration::{Configuration, Extensions};
use lpu_isa::program::{Prefill, Program};
use lpu_isa::timeline::entry_points;
use lpu_sim::golden_llama::GoldenLlama;
use lpu_sim::language::LanguageModel;
use lpu_sim::rtl::language::LanguageRtl;
use lpu_tests::conformance;
use lpu_tests::llama::{random_model, small_shape};
use lpu_tests::machines::{language_machine_of_the_board, with_room_for_language_models};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{accept_schedules, library, recording, rtl_options};

/// A machine with room for the models below.
fn machine() -> Configuration {
    Configuration { narrow_scales: true, queue_word_bits: 256, ..with_room_for_language_models() }
}

fn accepted(program: &Program) {
    program.check().unwrap();
    accept_schedules(program);
}

fn schedules(program: &Program) -> &[Prefill] {
    &program.language.as_ref().unwrap().prefill
}

/// Takes in `prompt`, as much of all but its last token as goes at once, then the rest one by one, then `more` tokens of the machine's own
/// choice. Every answer is golden's. Returns how many tokens were taken in at once.
fn agrees(graph: &QuantisedLlama, program: &Program, prompt: &[u32], more: usize) -> usize {
    let mut golden = GoldenLlama::new(graph).unwrap();
    let mut machine = LanguageModel::new(program).unwrap();
    let (mut position, mut at_once) = (0, 0);
    let mut next = 0;
    while position < prompt.len() + more {
        let before = prompt.len() - 1;
        let left = if position < before { &prompt[position..before] } else { &[] };
        if let Some(taken) = machine.take_in(left).unwrap() {
            assert_eq!(taken.cycles, taken.predicted, "position {position}");
            for &token in &left[..taken.tokens] {
                golden.step(token).unwrap();
            }
            position += taken.tokens;
            at_once += taken.tokens;
            continue;
        }
        let token = prompt.get(position).copied();
        let expected = golden.step(token.unwrap_or(next)).unwrap();
        let got = machine.step(token).unwrap();
        let first = expected.elements.iter().zip(&got.elements).position(|(expected, got)| expected != got);
        assert_eq!(first, None, "position {position}: first element that differs");
        assert_eq!(got.next, expected.most_likely(), "position {position}");
        assert_eq!(got.cycles, got.predicted, "position {position}");
        next = got.next;
        position += 1;
    }
    at_once
}

fn prompt(seed: u64, vocabulary: usize, length: usize) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..length).map(|_| random.within(0, vocabulary - 1) as u32).collect()
}

#[test]
fn what_follows_a_prompt_of_any_length_is_golden_s() {
    let shapes = [
        Shape { context: 70, ..small_shape() },
        // One layer: only its keys and values.
        Shape { dim: 10, hidden: 6, layers: 1, heads: 5, kv_heads: 1, head_size: 2, vocabulary: 50, context: 70 },
        Shape { dim: 33, hidden: 90, layers: 3, heads: 3, kv_heads: 3, head_size: 12, vocabulary: 300, context: 40 },
    ];
    for (seed, shape) in (21..).zip(&shapes) {
        let graph = quantise(&random_model(seed, shape, true), WeightFormat::Int8).unwrap();
        for most in [2, 4] {
            let program =
                compile_runs(&graph, &machine(), "test", None, Runs { prompt: most, ..Runs::default() }).unwrap();
            accepted(&program);
            assert!(schedules(&program).iter().all(|prefill| prefill.tokens.len() == most as usize));
            assert_eq!(Program::from_json(&program.to_json().unwrap()).unwrap(), program);
            for length in [1, 2, 5, 6, 8, shape.context - 1] {
                let at_once = agrees(&graph, &program, &prompt(seed, shape.vocabulary, length), 1);
                assert_eq!(at_once, (length - 1) / most as usize * most as usize, "{length} tokens");
            }
        }
    }
}

#[test]
fn machines_of_other_shapes_take_in_prompts_too() {
    let machines = [
        Configuration { tiles: 8, ..machine() },
        Configuration { tiles: 24, requantise_interval: 2, vector_slices: 2, ..machine() },
        Configuration { tiles: 39, stream_elements: 16, ..machine() },
        Configuration { tiles: 9, dot: 2, stream_elements: 4, vector_slices: 4, ..machine() },
        // Heads take turns at scalars.
        Configuration {
            extensions: Some(Extensions { registers: 14, scalars: 10, tables: 16, tokens: 0 }),
            ..machine()
        },
    ];
    let shape = Shape { context: 36, ..small_shape() };
    let graph = quantise(&random_model(31, &shape, true), WeightFormat::Int8).unwrap();
    for configuration in machines {
        let program = compile(&graph, &configuration, "test", None).unwrap();
        accepted(&program);
        assert!(!schedules(&program).is_empty());
        assert!(agrees(&graph, &program, &prompt(3, shape.vocabulary, 30), 4) > 0);
    }
}

/// Cycles for each token of a prompt beside those of a token by itself, and how busy the multipliers are, for each schedule; and the ratio
/// of the means over all positions that have a schedule for prompts.
fn compared(name: &str, program: &Program) -> f64 {
    let language = program.language.as_ref().unwrap();
    let (mut alone, mut at_once, mut first) = (0, 0.0, 0);
    for (entry, point) in language.prefill.iter().zip(entry_points(program).iter().skip(language.entries.len())) {
        let count = entry.tokens.len();
        let by_itself: u64 = (first..entry.positions)
            .map(|position| language.entries.iter().find(|entry| position < entry.positions).unwrap().cycles)
            .sum();
        let positions = u64::from(entry.positions - first);
        let spent = Occupation::of(program, point).cycles_spent();
        let products = (spent.matrix + spent.attention) as f64 / entry.cycles as f64;
        let useful = entry.macs as f64 / (entry.cycles * u64::from(program.configuration.macs_per_cycle())) as f64;
        let each = entry.cycles as f64 / count as f64;
        println!(
            "{name}, positions {first} to {}: {count} tokens in {} cycles, {each:.0} each, {:.0} by itself: {:.2} times as fast; tiles at \
             work in {:.1}% of the cycles, {:.1}% of the multipliers' products useful",
            entry.positions - 1,
            entry.cycles,
            by_itself as f64 / positions as f64,
            by_itself as f64 / (each * positions as f64),
            100.0 * products,
            100.0 * useful
        );
        alone += by_itself;
        at_once += each * positions as f64;
        first = entry.positions;
    }
    alone as f64 / at_once
}

#[test]
fn a_prompt_of_stories260k_takes_two_thirds_of_the_cycles_or_fewer() {
    let Some(path) = conformance::file("models/stories260K/stories260K.bin") else { return };
    let graph = quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap();
    let mut cases: Vec<(String, Configuration, usize, u32)> = Vec::new();
    for tiles in [37, 32] {
        for most in [2, 4] {
            let configuration = Configuration { tiles, ..machine() };
            cases.push((format!("{tiles} tiles, {most} tokens"), configuration, 256, most));
        }
    }
    cases.push(("ulx3s-85f/language".into(), language_machine_of_the_board(), 192, 4));
    for (name, configuration, context, most) in cases {
        let program =
            compile_runs(&graph, &configuration, "test", Some(context), Runs { prompt: most, ..Runs::default() })
                .unwrap();
        accepted(&program);
        let at_once = agrees(&graph, &program, &prompt(5, 512, context - 2), 2);
        let last = schedules(&program).last().unwrap().positions;
        println!("{name}: {at_once} of {} tokens of a prompt at once; schedules up to position {last}", context - 2);
        let ratio = compared(&name, &program);
        println!("{name}: {ratio:.3} times as fast on average");
        assert!(ratio >= 1.5, "{name}: {ratio}");
    }
}

#[test]
fn prompts_on_the_rtl_are_golden_s_and_take_the_cycles_predicted() {
    let shape =
        Shape { dim: 24, hidden: 37, layers: 3, heads: 4, kv_heads: 2, head_size: 4, vocabulary: 90, context: 40 };
    let graph = quantise(&random_model(17, &shape, true), WeightFormat::Int8).unwrap();
    // The board's own machine: narrow scales, queues as wide as their instructions.
    let program = compile(&graph, &language_machine_of_the_board(), "ulx3s-85f", None).unwrap();
    accepted(&program);
    let Some(library) = library(&program.configuration, "prompts on RTL").unwrap() else { return };
    let mut golden = GoldenLlama::new(&graph).unwrap();
    let mut model = LanguageModel::with_options(&program, recording(&program.configuration)).unwrap();
    let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
    let prompt = prompt(11, shape.vocabulary, 14);
    let mut position = 0;
    while position < prompt.len() {
        let left = &prompt[position..prompt.len() - 1];
        let (taken, same) = (rtl.take_in(left).unwrap(), model.take_in(left).unwrap());
        assert_eq!(taken, same, "position {position}");
        let count = taken.map_or(0, |taken| {
            assert_eq!(taken.cycles, taken.predicted, "position {position}");
            taken.tokens
        });
        for &token in &left[..count] {
            golden.step(token).unwrap();
        }
        position += count;
        if count == 0 {
            let token = prompt[position];
            let expected = golden.step(token).unwrap();
            let (rtl, model) = (rtl.step(Some(token)).unwrap(), model.step(Some(token)).unwrap());
            assert_eq!(
                (&rtl.elements, &model.elements),
                (&expected.elements, &expected.elements),
                "position {position}"
            );
            assert_eq!((rtl.next, rtl.cycles), (expected.most_likely(), rtl.predicted), "position {position}");
            position += 1;
        }
    }
    assert!(schedules(&program).first().is_some_and(|prefill| prefill.tokens.len() > 1));
}
