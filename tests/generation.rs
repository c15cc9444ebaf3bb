//! Tokens that the machine generates without the host in between: golden's, on the cycle model and on the RTL, in the cycles predicted,
//! those between two runs included.

#![allow(clippy::unwrap_used)]

use lpu_compiler::checker;
use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::Shape;
use lpu_compiler::llama::quantise::quantise;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::lower::llama::{Runs, compile, compile_runs};
use lpu_isa::configuration::{Configuration, Extensions, Pipeline};
use lpu_isa::generation::GenerationError;
use lpu_isa::host::Memory;
use lpu_isa::latency::between_runs;
use lpu_isa::program::Program;
use lpu_sim::cycle::WriteEvent;
use lpu_sim::golden_llama::GoldenLlama;
use lpu_sim::language::{GeneratedRun, LanguageError, LanguageModel};
use lpu_sim::rtl::language::LanguageRtl;
use lpu_sim::rtl::{RtlError, source};
use lpu_sim::verilated::lint;
use lpu_tests::conformance;
use lpu_tests::llama::{random_model, small_shape};
use lpu_tests::machines::generating as machine;
use lpu_tests::witnesses::{library, recording, rtl_options, toolchain};

/// Machines that generate, with names for messages: instructions in several words and in one, rows of a number that is no power of two,
/// few pipeline registers and many, beats of one bus word, compact.
fn machines() -> Vec<(&'static str, Configuration)> {
    let quick = Pipeline { crossbar: 1, weight_read: 0, multiply: 0, drain: 1, vector_read: 0, compact: false };
    vec![
        ("generation, two rows", machine()),
        (
            "generation, three rows, instructions of one word, long reads",
            Configuration {
                tiles: 25,
                queue_word_bits: 256,
                narrow_scales: false,
                pipeline: Pipeline { vector_read: 4, ..machine().pipeline },
                ..machine()
            },
        ),
        (
            "generation, narrow beats, shortest pipelines",
            Configuration {
                tiles: 9,
                dot: 2,
                stream_elements: 4,
                vector_slices: 4,
                queue_word_bits: 16,
                pipeline: quick,
                ..machine()
            },
        ),
        ("generation, compact", Configuration { pipeline: Pipeline { compact: true, ..quick }, ..machine() }),
    ]
}

fn shape() -> Shape {
    Shape { context: 60, vocabulary: 90, ..small_shape() }
}

fn compiled(seed: u64, configuration: &Configuration) -> (QuantisedLlama, Program) {
    let graph = quantise(&random_model(seed, &shape(), true), WeightFormat::Int8).unwrap();
    let program = compile(&graph, configuration, "test", None).unwrap();
    program.check().unwrap();
    assert!(checker::check(&program).is_ok());
    (graph, program)
}

/// Golden's most likely tokens: `runs` steps, of which the first take in `prompt`; the choice of each.
fn golden_choices(golden: &mut GoldenLlama<'_>, prompt: &[u32], runs: usize) -> Vec<u32> {
    let mut choices: Vec<u32> = Vec::new();
    for number in 0..runs {
        let token = prompt.get(number).copied().unwrap_or_else(|| choices[number - 1]);
        choices.push(golden.step(token).unwrap().most_likely());
    }
    choices
}

/// What the machine tells of `runs`: golden's choices where the host has not given the next token, the cycles predicted.
fn judge(runs: &[GeneratedRun], first: u32, prompt: &[u32], choices: &[u32], place: &str) {
    assert_eq!(runs.len(), choices.len(), "{place}");
    for (number, (run, &choice)) in runs.iter().zip(choices).enumerate() {
        let position = first + number as u32;
        let next = (number + 1 >= prompt.len()).then_some(choice);
        assert_eq!((run.position, run.next), (position, next), "{place}, position {position}");
        assert_eq!(run.cycles, run.predicted, "{place}, position {position}");
    }
}

fn all_of_model(model: &mut LanguageModel<'_>) -> (Vec<GeneratedRun>, Vec<WriteEvent>) {
    let (mut runs, mut writes) = (Vec::new(), Vec::new());
    while let Some((run, more)) = model.more().unwrap() {
        runs.push(run);
        writes.extend(more);
    }
    (runs, writes)
}

fn all_of_rtl(rtl: &mut LanguageRtl<'_>) -> Vec<GeneratedRun> {
    let mut all = Vec::new();
    loop {
        let runs = rtl.more().unwrap();
        if runs.is_empty() {
            return all;
        }
        all.extend(runs);
    }
}

/// A sequence in several generations on both, from `prompt` on, across changes of the schedule.
fn agrees(name: &str, configuration: &Configuration) {
    configuration.check().unwrap();
    let (graph, program) = compiled(21, configuration);
    let changes: Vec<u32> = program.language.as_ref().unwrap().entries.iter().map(|entry| entry.positions).collect();
    assert!(changes.len() > 2 && changes[0] < 40, "{name}: schedules change at {changes:?}");
    let mut golden = GoldenLlama::new(&graph).unwrap();
    let mut model = LanguageModel::with_options(&program, recording(configuration)).unwrap();
    let library = library(configuration, name).unwrap();
    let mut rtl = library.as_ref().map(|library| LanguageRtl::with_library(&program, library, &rtl_options()).unwrap());
    let (mut first, mut last) = (0, 0);
    // A prompt and many tokens; on from there; one token; more that come from outside; fewer runs than tokens.
    let parts: [(&[u32], usize); 5] =
        [(&[1, 17, 3, 88, 40], 34), (&[], 8), (&[], 1), (&[5, 6, 7], 6), (&[9, 10, 11], 2)];
    for (part, &(prompt, runs)) in parts.iter().enumerate() {
        let place = format!("{name}, part {part}");
        // What golden takes in where the host gives nothing is its own last choice, which is the machine's.
        let begin: Vec<u32> = if prompt.is_empty() { vec![last] } else { prompt.to_vec() };
        let choices = golden_choices(&mut golden, &begin, runs);
        last = choices[runs - 1];
        model.generate(prompt, runs as u32).unwrap();
        let (told, writes) = all_of_model(&mut model);
        let given = &begin[..begin.len().min(runs)];
        judge(&told, first, given, &choices, &format!("{place}, cycle model"));
        if let Some(rtl) = &mut rtl {
            rtl.generate(prompt, runs as u32).unwrap();
            let told_by_rtl = all_of_rtl(rtl);
            assert_eq!(told_by_rtl, told, "{place}, RTL");
            let measured = rtl.take_writes();
            for (number, (write, measured)) in writes.iter().zip(&measured).enumerate() {
                assert_eq!(write, measured, "{place}, write {number}");
            }
            assert_eq!(writes.len(), measured.len(), "{place}");
            assert_eq!(rtl.elements().unwrap(), model.elements(), "{place}");
        }
        first += runs as u32;
        assert_eq!(model.position(), first);
    }
    // The host in between again, then none: the machine goes on from its last choice.
    let expected = golden.step(70).unwrap();
    let choice = expected.most_likely();
    assert_eq!(model.step(Some(70)).unwrap().elements, expected.elements, "{name}");
    model.generate(&[], 2).unwrap();
    let choices = golden_choices(&mut golden, &[choice], 2);
    judge(&all_of_model(&mut model).0, first + 1, &[choice], &choices, name);
    if let Some(rtl) = &mut rtl {
        assert_eq!(rtl.step(Some(70)).unwrap().elements, expected.elements, "{name}");
        rtl.generate(&[], 2).unwrap();
        judge(&all_of_rtl(rtl), first + 1, &[choice], &choices, name);
        // A second sequence knows nothing of the first, and its prompt is shorter.
        rtl.restart().unwrap();
        let choices = golden_choices(&mut GoldenLlama::new(&graph).unwrap(), &[2, 33], 20);
        rtl.generate(&[2, 33], 20).unwrap();
        judge(&all_of_rtl(rtl), 0, &[2, 33], &choices, &format!("{name}, second sequence"));
    }
}

fn agrees_on(name: &str) {
    let (name, configuration) = machines().into_iter().find(|(other, _)| *other == name).unwrap();
    agrees(name, &configuration);
}

#[test]
fn generated_tokens_are_golden_s_on_two_rows_of_tiles() {
    agrees_on("generation, two rows");
}

#[test]
fn generated_tokens_are_golden_s_where_a_pass_is_no_power_of_two() {
    agrees_on("generation, three rows, instructions of one word, long reads");
}

#[test]
fn generated_tokens_are_golden_s_with_the_shortest_pipelines() {
    agrees_on("generation, narrow beats, shortest pipelines");
}

#[test]
fn generated_tokens_are_golden_s_on_a_compact_machine() {
    agrees_on("generation, compact");
}

#[test]
fn verilator_has_nothing_to_say_about_machines_that_generate() {
    let Some(toolchain) = toolchain("linting the emitted Verilog") else { return };
    for (name, machine) in machines() {
        if let Err(error) = lint(&source(&machine, None).unwrap(), &toolchain) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn the_cycle_count_tells_when_each_token_is_there() {
    let (_, program) = compiled(22, &machine());
    let idle = u64::from(between_runs(&program.configuration));
    let predicted = program.generation(10, 20).unwrap();
    let language = program.language.as_ref().unwrap();
    let mut end = 0;
    for (number, run) in predicted.iter().enumerate() {
        assert_eq!(run.cycles, language.entry_of(10 + number as u32).unwrap().cycles);
        end += run.cycles + if number == 0 { 0 } else { idle };
        assert_eq!(run.end, end);
    }
    assert!(predicted[0].cycles < predicted[19].cycles, "the schedule changes");
}

#[test]
fn what_cannot_be_generated_is_refused_and_nothing_is_begun() {
    let (graph, program) = compiled(23, &machine());
    let mut model = LanguageModel::new(&program).unwrap();
    let refused = |error: LanguageError| match error {
        LanguageError::Generation(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(refused(model.generate(&[1], 0).unwrap_err()), GenerationError::NoRuns);
    let beyond = |first, runs| GenerationError::Context { first, runs, context: 60 };
    for runs in [61, u32::MAX] {
        assert_eq!(refused(model.generate(&[1], runs).unwrap_err()), beyond(0, runs));
    }
    assert_eq!(model.generate(&[1, 90], 5), Err(LanguageError::Token { token: 90, vocabulary: 90 }));
    assert_eq!(model.position(), 0);
    model.generate(&[1], 60).unwrap();
    assert_eq!(all_of_model(&mut model).0.len(), 60);
    assert_eq!(refused(model.generate(&[], 1).unwrap_err()), beyond(60, 1));
    if let Some(library) = library(&program.configuration, "refusals on RTL").unwrap() {
        let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
        for (token, runs) in [(1, 0), (1, 61), (90, 1)] {
            assert!(matches!(rtl.generate(&[token], runs), Err(RtlError::Language(_))), "{token}, {runs}");
        }
        assert_eq!((rtl.position(), rtl.more().unwrap()), (0, vec![]));
    }
    // Other machines and programs.
    let of = |tokens| Extensions { tokens, ..machine().extensions.unwrap() };
    let with = |tokens| Configuration { extensions: Some(of(tokens)), ..machine() };
    let why = |program: &Program| program.generation(0, 1).unwrap_err();
    assert_eq!(why(&compile(&graph, &with(0), "test", None).unwrap()), GenerationError::NoTokens);
    let small = compile(&graph, &with(60), "test", None).unwrap();
    assert_eq!(why(&small), GenerationError::Memory { context: 60, tokens: 60 });
    assert!(compile(&graph, &with(60), "test", Some(59)).unwrap().generation(58, 1).is_ok());
    assert_eq!(
        why(&compile_runs(&graph, &machine(), "test", Some(20), Runs { sequences: 2, ..Runs::default() }).unwrap()),
        GenerationError::Sequences(2)
    );
    for tokens in [1, 4097] {
        let refused = with(tokens).check().unwrap_err().to_string();
        assert!(refused.contains("`extensions.tokens` is"), "{refused}");
    }
}

#[test]
fn a_machine_without_a_memory_of_tokens_has_neither_memory_nor_command() {
    let extensions = machine().extensions.map(|extensions| Extensions { tokens: 0, ..extensions });
    let configuration = Configuration { extensions, ..machine() };
    assert!(!serde_json::to_string(&configuration).unwrap().contains("tokens"));
    let memories = Memory::all(&configuration);
    assert!(!memories.contains(&Memory::Tokens) && !memories.contains(&Memory::Entries));
    let files = source(&configuration, None).unwrap().files;
    assert!(files.iter().all(|(name, text)| name != "generation.v" && !text.contains("generate")));
}

/// Tokens of stories260K that the board's machine generates in one command.
const TOKENS: usize = 80;

#[test]
fn tokens_of_stories260k_that_the_machine_of_the_board_generates_are_golden_s() {
    let Some(path) = conformance::file("models/stories260K/stories260K.bin") else { return };
    let graph = quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../constraints/ulx3s-85f");
    let text = std::fs::read_to_string(folder.join("language.toml")).unwrap();
    let configuration = Configuration::from_toml(&text).unwrap();
    let program = compile(&graph, &configuration, "ulx3s-85f", Some(192)).unwrap();
    let choices = golden_choices(&mut GoldenLlama::new(&graph).unwrap(), &[graph.begin], TOKENS);
    let mut model = LanguageModel::new(&program).unwrap();
    model.generate(&[graph.begin], TOKENS as u32).unwrap();
    judge(&all_of_model(&mut model).0, 0, &[graph.begin], &choices, "cycle model");
    let Some(library) = library(&program.configuration, "stories260K on RTL").unwrap() else { return };
    let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
    rtl.generate(&[graph.begin], TOKENS as u32).unwrap();
    judge(&all_of_rtl(&mut rtl), 0, &[graph.begin], &choices, "RTL");
    assert_eq!(rtl.elements().unwrap(), model.elements());
}
