//! Language models on the cycle model: every element of every token is the golden model's, every cycle the one predicted. What the RTL says
//! stands in `whole_generations.rs`.

#![allow(clippy::unwrap_used)]

use lpu_compiler::checker;
use lpu_compiler::error::CompileError;
use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::Shape;
use lpu_compiler::llama::quantise::quantise;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::lower::llama::{Runs, compile, compile_runs};
use lpu_isa::assembly::{assemble, disassemble};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::program::{Placed, Program, Queue};
use lpu_isa::resources::{multipliers, total_block_rams};
use lpu_sim::golden_llama::GoldenLlama;
use lpu_sim::language::{LanguageError, LanguageModel};
use lpu_sim::rtl::language::LanguageRtl;
use lpu_tests::conformance;
use lpu_tests::llama::{random_model, small_shape};
use lpu_tests::machines::{generating, language_machine_of_the_board, with_room_for_language_models as machine};
use lpu_tests::witnesses::{accept_schedules, library, recording, rtl_options};
use proptest::prelude::*;

/// A generation of `count` tokens from the begin token on, the machine's own choices as next tokens.
fn agrees(graph: &QuantisedLlama, program: &Program, count: usize) {
    program.check().unwrap();
    accept_schedules(program);
    let mut golden = GoldenLlama::new(graph).unwrap();
    let mut machine = LanguageModel::new(program).unwrap();
    let mut token = graph.begin;
    for position in 0..count {
        let expected = golden.step(token).unwrap();
        // Only the first token comes from outside.
        let got = machine.step((position == 0).then_some(token)).unwrap();
        let first = expected.elements.iter().zip(&got.elements).position(|(expected, got)| expected != got);
        assert_eq!(first, None, "position {position}: first element that differs");
        assert_eq!(got.next, expected.most_likely(), "position {position}");
        assert_eq!(got.cycles, got.predicted, "position {position}");
        token = got.next;
    }
}

fn compiled(seed: u64, shape: &Shape, tied: bool, configuration: &Configuration) -> (QuantisedLlama, Program) {
    let graph = quantise(&random_model(seed, shape, tied), WeightFormat::Int8).unwrap();
    let program = compile(&graph, configuration, "test", None).unwrap();
    (graph, program)
}

/// The program of two sequences; `searched`: in the order that takes the fewest cycles.
fn of_two(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    context: Option<usize>,
    searched: bool,
) -> Result<Program, CompileError> {
    compile_runs(graph, configuration, "test", context, Runs { sequences: 2, searched, ..Runs::default() })
}

/// Mean cycles of the first `positions` tokens.
fn mean(program: &Program, positions: u32) -> f64 {
    let entries = &program.language.as_ref().unwrap().entries;
    let cycles = |position| entries.iter().find(|entry| position < entry.positions).unwrap().cycles;
    (0..positions).map(cycles).sum::<u64>() as f64 / f64::from(positions)
}

/// Cycles of each schedule, and their mean over all positions, in words.
fn cycles_of_entries(program: &Program) -> String {
    let language = program.language.as_ref().unwrap();
    let cycles = language.entries.iter().map(|entry| format!("{} below {}", entry.cycles, entry.positions));
    format!("{}; mean {}", cycles.collect::<Vec<_>>().join(", "), mean(program, language.context))
}

#[test]
fn a_whole_generation_of_stories260k_is_golden_s_and_takes_the_cycles_predicted() {
    let Some(path) = conformance::file("models/stories260K/stories260K.bin") else { return };
    let graph = quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap();
    let program = compile(&graph, &machine(), "test", Some(256)).unwrap();
    println!("256 positions: {}", cycles_of_entries(&program));
    let narrow = Configuration { narrow_scales: true, queue_word_bits: 256, ..machine() };
    let program = compile(&graph, &narrow, "test", Some(256)).unwrap();
    agrees(&graph, &program, 256);
    println!("256 positions, narrow scales, instructions of one word: {}", cycles_of_entries(&program));
    assert!(mean(&program, 256) <= 5_000.0);
}

/// When the tiles wait for ten cycles or more before the loop over layers of the schedule from `entry` on ends, in words.
fn idle_tiles(program: &Program, entry: usize) -> String {
    let queue = program.queue(Unit::TileGroup(0)).unwrap();
    let mut until = None;
    let mut gaps = Vec::new();
    for (cycle, index) in queue.issued(entry, &program.configuration) {
        let Placed { instruction, layer } = &queue.instructions[index];
        if matches!(instruction.operation, Operation::Repeat { .. }) {
            break;
        }
        let waited = cycle - until.unwrap_or(cycle);
        gaps.extend((waited >= 10).then(|| format!("{waited} before cycle {}", cycle + 1)));
        until = Some(cycle + instruction.operation.duration()).filter(|_| *layer == Some(1));
    }
    gaps.join(", ")
}

#[test]
fn stories260k_fits_one_chip_with_192_positions() {
    let configuration = language_machine_of_the_board();
    assert!(total_block_rams(&configuration) <= 208, "{} block RAMs", total_block_rams(&configuration));
    assert!(multipliers(&configuration) <= 156, "{} multipliers", multipliers(&configuration));
    let Some(path) = conformance::file("models/stories260K/stories260K.bin") else { return };
    let graph = quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap();
    let program = compile(&graph, &configuration, "ulx3s-85f", Some(192)).unwrap();
    println!("{} block RAMs, 192 positions: {}", total_block_rams(&configuration), cycles_of_entries(&program));
    let entry = program.language.as_ref().unwrap().entries.iter().find(|entry| entry.positions == 128).unwrap();
    println!("the tiles at 128 positions, first layer: {}", idle_tiles(&program, entry.instruction as usize));
    let refused = compile(&graph, &configuration, "ulx3s-85f", Some(193)).unwrap_err().to_string();
    assert!(refused.contains("2571 words of weight RAM in each tile, the machine has 2560"), "{refused}");
    // Of two sequences each has half.
    of_two(&graph, &configuration, Some(96), false).unwrap();
    let refused = of_two(&graph, &configuration, Some(97), false).unwrap_err().to_string();
    assert!(refused.contains("2616 words of weight RAM in each tile, the machine has 2560"), "{refused}");
}

#[test]
fn models_of_any_shape_are_golden_s() {
    let shapes = [
        small_shape(),
        // Heads narrower than a beat, one key-value head, more positions than a pass.
        Shape { dim: 10, hidden: 6, layers: 1, heads: 5, kv_heads: 1, head_size: 2, vocabulary: 50, context: 70 },
        // Heads wider than a word, a head for each.
        Shape { dim: 33, hidden: 90, layers: 2, heads: 3, kv_heads: 3, head_size: 12, vocabulary: 300, context: 40 },
        // A head's values fill more than the full rows.
        Shape { dim: 40, hidden: 41, layers: 1, heads: 2, kv_heads: 2, head_size: 20, vocabulary: 90, context: 33 },
    ];
    for (seed, shape) in (3..).zip(&shapes) {
        for tied in [false, true] {
            let (graph, program) = compiled(seed, shape, tied, &machine());
            agrees(&graph, &program, shape.context);
        }
    }
}

#[test]
fn machines_of_any_shape_give_golden_s_tokens() {
    let machines = [
        Configuration { tiles: 8, ..machine() },
        Configuration { tiles: 24, requantise_interval: 2, vector_slices: 2, ..machine() },
        Configuration { tiles: 39, stream_elements: 16, ..machine() },
        Configuration { tiles: 9, dot: 2, stream_elements: 4, vector_slices: 4, ..machine() },
    ];
    let shape = Shape { context: 12, ..small_shape() };
    for configuration in machines {
        configuration.check().unwrap();
        let (graph, program) = compiled(9, &shape, true, &configuration);
        agrees(&graph, &program, shape.context);
    }
}

#[test]
fn a_machine_with_narrow_scales_gives_golden_s_tokens() {
    let narrow = Configuration { narrow_scales: true, ..machine() };
    narrow.check().unwrap();
    let shape = Shape { context: 36, ..small_shape() };
    let (graph, program) = compiled(12, &shape, true, &narrow);
    agrees(&graph, &program, shape.context);
    let (_, wide) = compiled(12, &shape, true, &machine());
    assert!(program.cycles < wide.cycles, "its requantiser is shorter: {} {}", program.cycles, wide.cycles);
}

#[test]
fn a_second_sequence_knows_nothing_of_the_first() {
    let (graph, program) = compiled(5, &small_shape(), true, &machine());
    let mut machine = LanguageModel::new(&program).unwrap();
    for tokens in [[7, 9, 100, 3], [1, 200, 5, 8]] {
        let mut golden = GoldenLlama::new(&graph).unwrap();
        machine.restart();
        for token in tokens {
            let expected = golden.step(token).unwrap().elements;
            assert_eq!(machine.step(Some(token)).unwrap().elements, expected);
        }
    }
}

#[test]
fn a_full_context_and_an_unknown_token_are_refused() {
    let shape = Shape { context: 2, ..small_shape() };
    let (_, program) = compiled(6, &shape, true, &machine());
    let mut machine = LanguageModel::new(&program).unwrap();
    assert_eq!(machine.step(Some(271)).unwrap_err(), LanguageError::Token { token: 271, vocabulary: 271 });
    machine.step(Some(1)).unwrap();
    machine.step(None).unwrap();
    assert_eq!(machine.step(None).unwrap_err(), LanguageError::ContextFull(2));
}

/// A generation of `count` tokens of two sequences that begin with `begins`; each is that of golden alone.
fn two_agree(graph: &QuantisedLlama, program: &Program, begins: [u32; 2], count: usize) {
    program.check().unwrap();
    accept_schedules(program);
    let mut goldens = begins.map(|_| GoldenLlama::new(graph).unwrap());
    let mut machine = LanguageModel::new(program).unwrap();
    let mut tokens = begins;
    for position in 0..count {
        let got = machine.step_all(&tokens.map(|token| (position == 0).then_some(token))).unwrap();
        assert_eq!(got.len(), 2);
        for (sequence, got) in got.iter().enumerate() {
            let expected = goldens[sequence].step(tokens[sequence]).unwrap();
            let first = expected.elements.iter().zip(&got.elements).position(|(expected, got)| expected != got);
            assert_eq!(first, None, "position {position}, sequence {sequence}: first element that differs");
            assert_eq!(got.next, expected.most_likely(), "position {position}, sequence {sequence}");
            assert_eq!(got.cycles, got.predicted, "position {position}");
            tokens[sequence] = got.next;
        }
    }
}

#[test]
fn two_sequences_in_one_schedule_are_golden_s_each() {
    let shape = Shape { context: 36, ..small_shape() };
    let graph = quantise(&random_model(14, &shape, true), WeightFormat::Int8).unwrap();
    let cycles = [false, true].map(|searched| {
        let program = of_two(&graph, &machine(), None, searched).unwrap();
        two_agree(&graph, &program, [7, 100], shape.context);
        assert_eq!(Program::from_json(&program.to_json().unwrap()).unwrap(), program);
        assert_eq!(of_two(&graph, &machine(), None, searched).unwrap(), program, "the same each time");
        mean(&program, shape.context as u32)
    });
    assert!(cycles[1] < cycles[0], "{cycles:?}");
    let three = Runs { sequences: 3, ..Runs::default() };
    let refused = compile_runs(&graph, &machine(), "test", None, three).unwrap_err().to_string();
    assert!(refused.contains("one sequence or of two, not of 3"), "{refused}");
}

/// On the RTL each step is the cycle model's, for both sequences.
#[test]
fn two_sequences_in_one_schedule_agree_on_the_rtl() {
    let shape = Shape { context: 20, ..small_shape() };
    let graph = quantise(&random_model(14, &shape, true), WeightFormat::Int8).unwrap();
    let program = of_two(&graph, &generating(), None, true).unwrap();
    two_agree(&graph, &program, [7, 100], shape.context);
    let Some(library) = library(&program.configuration, "two sequences on the RTL").unwrap() else { return };
    let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
    let mut model = LanguageModel::with_options(&program, recording(&program.configuration)).unwrap();
    let mut tokens = [Some(7), Some(100)];
    for position in 0..shape.context {
        let (expected, got) = (model.step_all(&tokens).unwrap(), rtl.step_all(&tokens).unwrap());
        assert_eq!(got.len(), 2);
        for (sequence, (expected, got)) in expected.iter().zip(&got).enumerate() {
            let what = format!("position {position}, sequence {sequence}");
            assert_eq!((&got.elements, got.next), (&expected.elements, expected.next), "{what}");
            assert_eq!((got.cycles, got.cycles), (got.predicted, expected.cycles), "{what}");
            assert_eq!(got.writes, expected.writes, "{what}");
        }
        tokens = [None, None];
    }
}

/// A schedule that serves positions of several passes over the keys stores for any of them, so nothing that it multiplies may be read before.
#[test]
fn few_schedules_for_two_sequences_read_nothing_before_it_has_been_stored() {
    let shape = Shape { context: 120, ..small_shape() };
    for (seed, queue_depth) in [(20, 130), (21, 130), (22, 260)] {
        let graph = quantise(&random_model(seed, &shape, true), WeightFormat::Int8).unwrap();
        let few = Configuration { tiles: 8, queue_depth, ..machine() };
        let program = of_two(&graph, &few, None, true).unwrap();
        assert!(program.language.as_ref().unwrap().entries.len() < 15);
        accept_schedules(&program);
    }
}

#[test]
fn two_sequences_of_stories260k_take_turns_at_the_tiles() {
    let Some(path) = conformance::file("models/stories260K/stories260K.bin") else { return };
    let graph = quantise(&read_model(&path).unwrap(), WeightFormat::Int8).unwrap();
    for tiles in [37, 32] {
        let narrow = Configuration { tiles, narrow_scales: true, queue_word_bits: 256, ..machine() };
        let one = compile(&graph, &narrow, "test", Some(256)).unwrap();
        let two = of_two(&graph, &narrow, Some(128), true).unwrap();
        two_agree(&graph, &two, [graph.begin, 403], 40);
        println!("{tiles} tiles, one sequence: {}", cycles_of_entries(&one));
        println!("{tiles} tiles, two sequences: {}", cycles_of_entries(&two));
        for positions in [32, 64, 96, 128] {
            let speed = 2.0 * mean(&one, positions) / mean(&two, positions);
            println!("{tiles} tiles, mean of {positions} positions: {speed:.3} times the tokens of one sequence");
        }
        let whole = 2.0 * mean(&one, 256) / mean(&two, 128);
        println!("{tiles} tiles, 128 positions of each beside 256 of one sequence: {whole:.3} times the tokens");
        assert!(2.0 * mean(&one, 128) >= 1.3 * mean(&two, 128) && whole >= 1.5);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let graph = quantise(&random_model(7, &small_shape(), true), WeightFormat::Int8).unwrap();
    let refused = |configuration: &Configuration| compile(&graph, configuration, "test", None).unwrap_err().to_string();
    let small = refused(&Configuration { weight_depth: 64, ..machine() });
    assert!(small.contains("words of weight RAM in each tile, the machine has 64"), "{small}");
    let plain = refused(&Configuration { extensions: None, ..machine() });
    assert!(plain.contains("`extensions`"), "{plain}");
    let short = refused(&Configuration { queue_depth: 12, ..machine() });
    assert!(short.contains("instructions in one queue, the machine has 12"), "{short}");
}

#[test]
fn queues_with_their_loops_unrolled_halt_in_the_cycle_predicted() {
    let (_, program) = compiled(13, &small_shape(), true, &machine());
    let repeats = |queue: &Queue| {
        queue.instructions.iter().any(|placed| matches!(placed.instruction.operation, Operation::Repeat { .. }))
    };
    assert!(program.queues.iter().any(repeats), "layers are alike");
    for entry in &program.language.as_ref().unwrap().entries {
        let issued = |queue: &Queue| queue.issued(entry.instruction as usize, &program.configuration);
        let halts = program.queues.iter().filter_map(|queue| issued(queue).last().map(|&(cycle, _)| cycle));
        assert_eq!(halts.max().unwrap() + 1, entry.cycles);
    }
}

#[test]
fn a_language_model_s_program_survives_its_text_and_its_file() {
    let (_, program) = compiled(8, &small_shape(), true, &machine());
    assert_eq!(assemble(&disassemble(&program), &program.configuration).unwrap(), program.queues);
    assert_eq!(Program::from_json(&program.to_json().unwrap()).unwrap(), program);
    for queue in &program.queues {
        for placed in &queue.instructions {
            placed.instruction.encode(queue.unit, &program.configuration).unwrap();
        }
    }
}

#[test]
fn a_unit_that_is_a_cycle_late_is_noticed_by_the_checker() {
    let (_, program) = compiled(8, &small_shape(), true, &machine());
    for (number, queue) in program.queues.iter().enumerate().filter(|(_, queue)| queue.unit != Unit::Registers) {
        let halts = |index: usize| {
            let placed = queue.instructions.get(index);
            placed.is_none_or(|placed| placed.instruction.operation == Operation::Halt)
        };
        // Behind the last instruction of a schedule that does something only the end of the run comes later.
        let counts = |index: &usize| !halts(*index) && !halts(index + 1);
        for index in (0..queue.instructions.len()).filter(counts).step_by(5) {
            let mut wrong = program.clone();
            wrong.queues[number].instructions[index].instruction.interval += 1;
            let violations = checker::check(&wrong).expect_err(&format!("{}, instruction {index}", queue.unit));
            assert!(violations.iter().any(|violation| violation.at().is_some()), "{}, instruction {index}", queue.unit);
        }
    }
}

#[test]
fn a_reduction_of_few_elements_waits_until_they_have_landed() {
    let shape = Shape { dim: 5, hidden: 1, layers: 2, heads: 6, kv_heads: 2, head_size: 10, vocabulary: 2, context: 4 };
    let (_, program) = compiled(0, &shape, false, &Configuration { tiles: 12, ..machine() });
    accept_schedules(&program);
}

fn shapes() -> impl Strategy<Value = (Shape, bool)> {
    let heads = (1_usize..4, 1_usize..4, 1_usize..7);
    (1_usize..40, 1_usize..60, 1_usize..3, heads, 2_usize..150, 2_usize..80, any::<bool>()).prop_map(
        |(dim, hidden, layers, (kv_heads, shared, half), vocabulary, context, tied)| {
            let (heads, head_size) = (kv_heads * shared, 2 * half);
            (Shape { dim, hidden, layers, heads, kv_heads, head_size, vocabulary, context }, tied)
        },
    )
}

fn configurations() -> impl Strategy<Value = Configuration> {
    let sizes = (0..3_u32, 0..2_u32, 0..40_u32, 2..5_u32, 0..2_u32);
    (sizes, any::<bool>()).prop_map(|((dot, beats, more, vector_slices, pace), shallow)| {
        let (dot, beats) = (2 << dot, 1 << beats);
        let stream_elements = dot * beats;
        let weight_depth = if shallow { 300 } else { 4096 };
        let tiles = stream_elements + more.min(64 - stream_elements);
        let requantise_interval = 1 << pace;
        Configuration { tiles, dot, stream_elements, weight_depth, vector_slices, requantise_interval, ..machine() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_model_on_any_machine_is_refused_or_has_a_schedule_that_the_checker_accepts(
        (shape, tied) in shapes(),
        configuration in configurations(),
        seed: u64,
    ) {
        prop_assume!(configuration.check().is_ok());
        let graph = quantise(&random_model(seed, &shape, tied), WeightFormat::Int8).unwrap();
        match compile(&graph, &configuration, "test", None) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            Ok(program) => {
                let complaints = checker::check(&program).err().unwrap_or_default();
                let complaints: String = complaints.iter().map(|violation| format!("{violation}\n")).collect();
                prop_assert!(complaints.is_empty(), "{complaints}");
            }
        }
    }
}
