//! Whole generations, as many tokens as the machine has room for: golden model, cycle model and RTL say the same of every token,
//! element by element and write by write, and every token takes the cycles predicted, whatever stands before it.
//!
//! `--nocapture` prints what was compared and how long each witness took.

#![allow(clippy::unwrap_used)]

use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::quantise::quantise;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::lower::llama::{Runs, compile, compile_runs};
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_sim::golden_llama::GoldenLlama;
use lpu_sim::language::{LanguageError, LanguageModel, Token};
use lpu_sim::rtl::RtlError;
use lpu_sim::rtl::language::LanguageRtl;
use lpu_tests::conformance;
use lpu_tests::machines::language_machine_of_the_board;
use lpu_tests::random::Random;
use lpu_tests::witnesses::{accept_schedules, library, recording, rtl_options};
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// The machine of the board with so much more memory that stories260K has 256 positions, 2,686 words in each tile, and a schedule for
/// each of the eight lengths of the context. The board itself has no room for it.
fn with_256_positions() -> Configuration {
    Configuration { weight_depth: 2688, queue_depth: 320, ..language_machine_of_the_board() }
}

/// stories260K in integers; `None`, with a message, where it is not installed.
fn stories260k() -> Option<QuantisedLlama> {
    let path = conformance::file("models/stories260K/stories260K.bin")?;
    Some(quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap())
}

fn compiled(graph: &QuantisedLlama, configuration: &Configuration, positions: usize, sequences: usize) -> Program {
    let runs = Runs { sequences, ..Runs::default() };
    let program = compile_runs(graph, configuration, "test", Some(positions), runs).unwrap();
    accept_schedules(&program);
    program
}

/// What `work` gives, its time added to `spent`.
fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *spent += start.elapsed();
    result
}

/// Lets all three witnesses tell what the model says from the begin token on, until no position is left; of two sequences, the second begins
/// with another token. Each token but the first is the machine's own choice: nothing is written to its registers. The mean of a run's
/// cycles; `None`, with a message, where there is no Verilator.
fn whole_generation(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    positions: usize,
    sequences: usize,
) -> Option<f64> {
    let program = compiled(graph, configuration, positions, sequences);
    let library = library(configuration, &format!("{positions} tokens of {} on RTL", graph.name)).unwrap()?;
    let mut goldens: Vec<GoldenLlama<'_>> = (0..sequences).map(|_| GoldenLlama::new(graph).unwrap()).collect();
    let mut model = LanguageModel::with_options(&program, recording(configuration)).unwrap();
    let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
    let [mut of_golden, mut of_model, mut of_rtl] = [Duration::ZERO; 3];
    let (mut cycles, mut writes, mut elements) = (0, 0, 0);
    let mut tokens: Vec<u32> = [graph.begin, 403].into_iter().take(sequences).collect();
    for position in 0..positions {
        let outside: Vec<Option<u32>> = tokens.iter().map(|&token| (position == 0).then_some(token)).collect();
        let all_of_model = timed(&mut of_model, || model.step_all(&outside)).unwrap();
        let all_of_rtl = timed(&mut of_rtl, || rtl.step_all(&outside)).unwrap();
        assert_eq!((all_of_model.len(), all_of_rtl.len()), (sequences, sequences));
        let runs = all_of_model.iter().zip(&all_of_rtl);
        for (sequence, ((model, rtl), golden)) in runs.zip(&mut goldens).enumerate() {
            let what = format!("sequence {sequence}, position {position}");
            let expected = timed(&mut of_golden, || golden.step(tokens[sequence])).unwrap();
            for (number, (model, rtl)) in model.writes.iter().zip(&rtl.writes).enumerate() {
                assert_eq!(model, rtl, "{what}, write {number}");
            }
            assert_eq!(model.writes.len(), rtl.writes.len(), "{what}");
            for (witness, said) in [("cycle model", model), ("RTL", rtl)] {
                let first = said.elements.iter().zip(&expected.elements).position(|(got, expected)| got != expected);
                assert_eq!(first, None, "{witness}, {what}: first element that differs");
                assert_eq!(said.elements.len(), graph.shape.vocabulary, "{witness}, {what}");
                assert_eq!(said.next, expected.most_likely(), "{witness}, {what}");
                assert_eq!(said.cycles, said.predicted, "{witness}, {what}");
            }
            (tokens[sequence], elements) = (rtl.next, elements + rtl.elements.len());
        }
        // The writes are those of the run.
        (cycles, writes) = (cycles + all_of_rtl[0].cycles, writes + all_of_rtl[0].writes.len());
    }
    let full = LanguageError::ContextFull(positions as u32);
    assert_eq!(model.step(None).unwrap_err(), full);
    assert!(matches!(rtl.step(None), Err(RtlError::Language(error)) if error == full));
    let mean = cycles as f64 / positions as f64;
    println!(
        "{}, {positions} tokens of {sequences}: {cycles} cycles, {mean:.0} a run; {writes} writes and {elements} results compared; \
         golden {of_golden:.1?}, cycle model {of_model:.1?}, RTL {of_rtl:.1?}",
        graph.name,
    );
    Some(mean)
}

#[test]
fn a_whole_generation_on_the_board_s_machine_is_the_same_on_all_three_witnesses() {
    let Some(graph) = stories260k() else { return };
    let Some(mean) = whole_generation(&graph, &language_machine_of_the_board(), 192, 1) else { return };
    assert!(mean <= 5_000.0, "{mean} cycles a token");
}

#[test]
fn a_whole_generation_of_256_tokens_is_the_same_on_all_three_witnesses() {
    let Some(graph) = stories260k() else { return };
    let Some(mean) = whole_generation(&graph, &with_256_positions(), 256, 1) else { return };
    assert!(mean <= 5_000.0, "{mean} cycles a token");
}

/// Two sequences of as many positions as the board's machine has room for, whose tokens come faster than one after the other.
#[test]
fn two_sequences_fill_the_board_s_machine_and_are_the_same_on_all_three_witnesses() {
    let Some(graph) = stories260k() else { return };
    let board = language_machine_of_the_board();
    let Some(both) = whole_generation(&graph, &board, 96, 2) else { return };
    let mean = |positions: u32| {
        let one = compile(&graph, &board, "test", Some(positions as usize)).unwrap().language.unwrap();
        let cycles = (0..positions).map(|position| one.entry_of(position).unwrap().cycles).sum::<u64>();
        cycles as f64 / f64::from(positions)
    };
    // In as many positions, and in all that the same memory holds of one sequence.
    for (positions, least) in [(96, 1.3), (192, 1.5)] {
        let times = 2.0 * mean(positions) / both;
        println!("two sequences of 96 tokens: {times:.3} times the tokens of one in {positions} positions");
        assert!(times >= least, "{times}, one sequence in {positions} positions");
    }
}

/// The model that ships with the project, of which the board's machine holds 128 positions.
#[test]
fn a_whole_generation_of_the_project_s_own_model_is_the_same_on_all_three_witnesses() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/stories/stories.bin");
    let graph = quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap();
    let _ = whole_generation(&graph, &language_machine_of_the_board(), 128, 1);
}

/// Something that takes tokens in and can go back to an earlier position.
trait Machine {
    fn take(&mut self, token: u32) -> Token;
    fn go_back(&mut self, position: u32);
}

impl Machine for LanguageModel<'_> {
    fn take(&mut self, token: u32) -> Token {
        self.step(Some(token)).unwrap()
    }

    fn go_back(&mut self, position: u32) {
        LanguageModel::go_back(self, position);
    }
}

impl Machine for LanguageRtl<'_> {
    fn take(&mut self, token: u32) -> Token {
        self.step(Some(token)).unwrap()
    }

    fn go_back(&mut self, position: u32) {
        LanguageRtl::go_back(self, position).unwrap();
    }
}

/// The position at which tokens are timed: neither the first nor the last of its schedule.
const TIMED: usize = 100;
/// The last tokens before it, which differ in each context.
const OWN: usize = 8;

/// The cycles that the token at position [`TIMED`] took, each number once, in `beginnings` × `ends` × `last` different contexts:
/// beginnings of 92 tokens, of each several ends of eight, behind each of them several tokens. The first beginning is what the model
/// says itself, the second the begin token again and again, all others are drawn. Every result is golden's.
fn cycles_in_contexts(
    graph: &QuantisedLlama,
    machine: &mut dyn Machine,
    [beginnings, ends, last]: [usize; 3],
) -> HashSet<u64> {
    let mut random = Random::new(1);
    let mut drawn = |_| random.within(0, graph.shape.vocabulary - 1) as u32;
    let (mut cycles, mut contexts) = (HashSet::new(), HashSet::new());
    for beginning in 0..beginnings {
        let mut golden = GoldenLlama::new(graph).unwrap();
        let mut tokens = vec![graph.begin];
        machine.go_back(0);
        while golden.position() < TIMED - OWN {
            let answer = golden.step(tokens[golden.position()]).unwrap();
            machine.take(tokens[tokens.len() - 1]);
            tokens.push(match beginning {
                0 => answer.most_likely(),
                1 => graph.begin,
                _ => drawn(0),
            });
        }
        tokens.pop();
        for _ in 0..ends {
            let mut golden = golden.clone();
            machine.go_back((TIMED - OWN) as u32);
            let end: Vec<u32> = (0..OWN).map(&mut drawn).collect();
            for &token in &end {
                golden.step(token).unwrap();
                machine.take(token);
            }
            // As many as are asked for, no two alike.
            let mut lasts = HashSet::new();
            while lasts.len() < last {
                lasts.insert(drawn(0));
            }
            for token in lasts {
                machine.go_back(TIMED as u32);
                let got = machine.take(token);
                assert_eq!(got.elements, golden.clone().step(token).unwrap().elements);
                cycles.insert(got.cycles);
                contexts.insert([&tokens[..], &end, &[token]].concat());
            }
        }
    }
    assert_eq!(contexts.len(), beginnings * ends * last);
    assert!(contexts.iter().all(|context| context.len() == TIMED + 1));
    cycles
}

/// The cycles predicted for position [`TIMED`].
fn predicted(program: &Program) -> u64 {
    let entries = &program.language.as_ref().unwrap().entries;
    entries.iter().find(|entry| TIMED < entry.positions as usize).unwrap().cycles
}

#[test]
fn a_token_takes_the_same_cycles_in_a_thousand_contexts() {
    let Some(graph) = stories260k() else { return };
    let program = compiled(&graph, &language_machine_of_the_board(), 192, 1);
    let mut model = LanguageModel::new(&program).unwrap();
    assert_eq!(cycles_in_contexts(&graph, &mut model, [10, 10, 10]), HashSet::from([predicted(&program)]));
}

#[test]
fn a_token_takes_the_same_cycles_in_many_contexts_on_the_rtl() {
    let Some(graph) = stories260k() else { return };
    let program = compiled(&graph, &language_machine_of_the_board(), 192, 1);
    let Some(library) = library(&program.configuration, "a token in many contexts on RTL").unwrap() else { return };
    let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
    assert_eq!(cycles_in_contexts(&graph, &mut rtl, [3, 4, 8]), HashSet::from([predicted(&program)]));
}
