//! What is broken on purpose turns red, and the report names cycle, unit and element.
//!
//! The texts below are what a person gets to read. They follow the schedule: a better one changes cycles and steps, and
//! `UPDATE_EXPECT=1 cargo test -p lpu-tests --test broken_on_purpose` writes the new ones.

#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use lpu_compiler::checker::{self, Violation};
use lpu_compiler::graph::Graph;
use lpu_compiler::import::import;
use lpu_isa::arithmetic::Rounding;
use lpu_isa::configuration::{Configuration, Pipeline};
use lpu_isa::instruction::{Operation, Source, Unit};
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use lpu_sim::cycle::{self, CycleModel, WriteEvent};
use lpu_sim::divergence::{Divergence, Kind, against_golden, explain, investigate};
use lpu_sim::rtl::{self, Rtl};
use lpu_tests::machines::small;
use lpu_tests::networks::halving;
use lpu_tests::random::Random;
use lpu_tests::tflite_writer::{Dense, Fused, Network};
use lpu_tests::witnesses::{compile_and_check, library, model_run, recording, rtl_options};

/// Three fully connected layers, 12 → 10 → 7 → 5, per tensor, with biases.
fn graph() -> Graph {
    let mut random = Random::new(12);
    let mut network = Network::new(&[1, 12], 0.05, -3);
    for (inputs, outputs) in [(12, 10), (10, 7), (7, 5)] {
        let output_scale = network.last().scales[0] * 2.0;
        network = network.dense(Dense {
            weights: (0..inputs * outputs).map(|_| random.byte().max(-127)).collect(),
            bias: Some((0..outputs).map(|_| i32::from(random.byte()) * 40).collect()),
            scales: vec![0.01],
            outputs,
            fused: Fused::None,
            output_scale,
            output_zero_point: random.byte() / 8,
        });
    }
    import(&network.model().bytes(), "three_layers").unwrap()
}

fn input(seed: u64) -> Vec<i8> {
    let mut random = Random::new(seed);
    (0..12).map(|_| random.byte()).collect()
}

fn compiled() -> (Graph, Program) {
    let graph = graph();
    let program = compile_and_check(&graph, &small()).unwrap();
    (graph, program)
}

fn rtl_run(program: &Program, input: &[i8]) -> Option<rtl::Outcome> {
    let library = library(&program.configuration, "a machine broken on purpose").unwrap()?;
    Some(Rtl::with_library(program, &library, &rtl_options()).unwrap().run(input).unwrap())
}

fn shows(expected: &Expect, divergence: &Divergence) {
    expected.assert_eq(&format!("{divergence}\n"));
}

/// The program with one bit of one weight changed.
fn flipped(program: &Program, tile: usize, weight: usize, bit: u32) -> Program {
    let mut broken = program.clone();
    broken.weights[tile][weight] ^= 1 << bit;
    broken
}

#[test]
fn a_flipped_weight_bit_is_traced_to_its_tile() {
    let (graph, program) = compiled();
    let input = input(1);
    let good = model_run(&program, &input).unwrap();
    let (mut seen, mut weights) = (0, 0);
    for tile in 0..program.weights.len() {
        for weight in 0..program.weights[tile].len() {
            weights += 1;
            let broken = model_run(&flipped(&program, tile, weight, 6), &input).unwrap();
            let Some(divergence) = explain(&graph, &program, &input, &good.writes, &broken.writes) else {
                // Behind a zero, or in padding, or rounded away.
                continue;
            };
            seen += 1;
            let element = divergence.element.as_ref().unwrap();
            let computed = element.computed.as_ref().unwrap();
            assert_eq!((divergence.kind, computed.tile as usize, divergence.differing), (Kind::Value, tile, 1));
            assert_eq!(element.golden.map(i16::from), divergence.expected);
            // The weight lies in the words that this very instruction passes over.
            let Operation::Multiply { sequence, .. } =
                operation(&program, computed.instruction.unit, computed.instruction.index)
            else {
                panic!("{computed:?}");
            };
            let (first, last) = sequence.extent(program.configuration.bias_words());
            assert!((first..=last).contains(&(weight as i64 / i64::from(program.configuration.dot))));
            let golden = against_golden(&graph, &program, &input, &broken.writes).unwrap().unwrap();
            assert_eq!((golden.cycle, golden.lane, golden.got), (divergence.cycle, divergence.lane, divergence.got));
        }
    }
    assert!(2 * seen > weights, "{seen} of {weights}");
}

fn operation(program: &Program, unit: Unit, index: usize) -> Operation {
    program.queue(unit).unwrap().instructions[index].instruction.operation
}

#[test]
fn a_flipped_weight_bit_in_the_rtl_is_reported() {
    let (graph, program) = compiled();
    let input = input(1);
    let good = model_run(&program, &input).unwrap();
    // Tile 5 stands alone in its column of the second row.
    let Some(broken) = rtl_run(&flipped(&program, 5, 6, 6), &input) else { return };
    let divergence = explain(&graph, &program, &input, &good.writes, &broken.writes).unwrap();
    shows(&expect![[]], &divergence);
    assert_ne!(broken.output, good.output);
}

/// The cycle model's first run with another latency table.
fn run_with(program: &Program, input: &[i8], latency: Latency) -> cycle::Outcome {
    CycleModel::with_options(program, cycle::Options { latency, ..recording(&program.configuration) })
        .run(input)
        .unwrap()
}

/// A field of the latency table that the cycle model obeys.
type Field = (&'static str, fn(&mut Latency) -> &mut u32);

/// All of them. The other fields are parts of `step_to_drain`; the pipeline's fields change them, further down.
fn obeyed() -> Vec<Field> {
    // A new field must find its place here.
    let Latency {
        crossbar: _,
        vector_read: _,
        weight_read: _,
        multiply: _,
        adder_tree: _,
        step_to_shadow: _,
        step_to_drain: _,
        requantise: _,
        vector_unit: _,
        write_to_read: _,
    } = Latency::of(&small());
    vec![
        ("crossbar", |latency| &mut latency.crossbar),
        ("vector_read", |latency| &mut latency.vector_read),
        ("step_to_drain", |latency| &mut latency.step_to_drain),
        ("requantise", |latency| &mut latency.requantise),
        ("vector_unit", |latency| &mut latency.vector_unit),
        ("write_to_read", |latency| &mut latency.write_to_read),
    ]
}

#[test]
fn every_latency_that_is_one_longer_changes_the_writes() {
    let (graph, program, input) = clamped();
    let good = model_run(&program, &input).unwrap();
    for (name, field) in obeyed() {
        let mut latency = Latency::of(&program.configuration);
        *field(&mut latency) += 1;
        let broken = run_with(&program, &input, latency);
        let divergence = explain(&graph, &program, &input, &good.writes, &broken.writes);
        assert!(divergence.is_some_and(|divergence| divergence.element.is_some()), "{name}");
    }
}

#[test]
fn every_latency_that_is_one_shorter_changes_the_writes() {
    let (graph, program, input) = clamped();
    let good = model_run(&program, &input).unwrap();
    // A word that can be read earlier than the schedule reads it changes nothing; the next test has a schedule of its own.
    for (name, field) in obeyed().into_iter().filter(|(name, _)| *name != "write_to_read") {
        let mut latency = Latency::of(&program.configuration);
        *field(&mut latency) -= 1;
        let broken = run_with(&program, &input, latency);
        assert!(explain(&graph, &program, &input, &good.writes, &broken.writes).is_some(), "{name}");
    }
}

/// As [`compiled`], with a clamp in the middle, so that the vector unit has work.
fn clamped() -> (Graph, Program, Vec<i8>) {
    use lpu_tests::tflite_writer::code;
    let mut random = Random::new(3);
    let mut dense = |inputs: usize, outputs: usize| Dense {
        weights: (0..inputs * outputs).map(|_| random.byte().max(-127)).collect(),
        bias: None,
        scales: vec![0.01],
        outputs,
        fused: Fused::None,
        output_scale: 0.1,
        output_zero_point: 4,
    };
    let network = Network::new(&[1, 12], 0.05, -3).dense(dense(12, 10));
    let network = network.elementwise(code::RELU6, 0.1, 4).dense(dense(10, 7));
    let graph = import(&network.model().bytes(), "clamped").unwrap();
    let program = compile_and_check(&graph, &small()).unwrap();
    (graph, program, input(1))
}

#[test]
fn every_pipeline_register_too_many_changes_the_writes() {
    let (graph, program, input) = clamped();
    let good = model_run(&program, &input).unwrap();
    let Pipeline { crossbar, weight_read, multiply, drain, vector_read } = small().pipeline;
    let longer = [
        Pipeline { crossbar: crossbar + 1, ..small().pipeline },
        Pipeline { weight_read: weight_read + 1, ..small().pipeline },
        Pipeline { multiply: multiply + 1, ..small().pipeline },
        Pipeline { drain: drain + 1, ..small().pipeline },
        Pipeline { vector_read: vector_read + 1, ..small().pipeline },
    ];
    for pipeline in longer {
        let broken = run_with(&program, &input, Latency::of(&Configuration { pipeline, ..small() }));
        assert!(explain(&graph, &program, &input, &good.writes, &broken.writes).is_some(), "{pipeline:?}");
    }
}

#[test]
fn a_latency_off_by_one_against_the_rtl_is_reported() {
    let (graph, program) = compiled();
    let input = input(1);
    let Some(right) = rtl_run(&program, &input) else { return };
    let report = |change: fn(&mut Latency)| {
        let mut latency = Latency::of(&program.configuration);
        change(&mut latency);
        explain(&graph, &program, &input, &right.writes, &run_with(&program, &input, latency).writes).unwrap()
    };
    shows(&expect![[]], &report(|latency| latency.requantise += 1));
    shows(&expect![[]], &report(|latency| latency.write_to_read += 1));
    shows(&expect![[]], &report(|latency| latency.crossbar -= 1));
}

/// Queue `unit` of the program, to be changed.
fn queue(program: &mut Program, unit: Unit) -> &mut Vec<lpu_isa::program::Placed> {
    &mut program.queues.iter_mut().find(|queue| queue.unit == unit).unwrap().instructions
}

/// The checker's complaints, one a line.
fn complaints(program: &Program) -> String {
    let violations = checker::check(program).unwrap_err();
    violations.iter().map(|violation| format!("{violation}\n")).collect()
}

#[test]
fn a_write_port_that_listens_to_the_wrong_source_is_a_crossbar_conflict() {
    let (graph, mut program) = compiled();
    let write =
        queue(&mut program, Unit::Write(1)).iter_mut().find_map(|placed| match &mut placed.instruction.operation {
            Operation::Write { source, .. } => Some(source),
            _ => None,
        });
    *write.unwrap() = Source::Vector;
    let violations = checker::check(&program).unwrap_err();
    assert!(matches!(violations[0], Violation::SilentPort { .. }));
    expect![[]].assert_eq(&complaints(&program));
    // And it is no false alarm.
    let input = input(1);
    let broken = model_run(&program, &input).unwrap();
    let divergence = against_golden(&graph, &program, &input, &broken.writes).unwrap().unwrap();
    shows(&expect![[]], &divergence);
}

#[test]
fn a_port_that_listens_a_cycle_late_is_a_crossbar_conflict() {
    let (_, mut program) = compiled();
    // The second layer's results go to slice 2; the wait in front of their write grows by one.
    queue(&mut program, Unit::Write(2))[0].instruction.interval += 1;
    assert!(checker::check(&program).is_err());
    expect![[]].assert_eq(&complaints(&program));
}

#[test]
fn two_instructions_on_one_port_are_a_conflict() {
    let (_, mut program) = compiled();
    // The requantiser is told to begin with the second layer while it is busy with the first.
    let instructions = queue(&mut program, Unit::Requantiser);
    let first = instructions.iter().position(|placed| placed.instruction.operation.sequence().is_some()).unwrap();
    instructions[first].instruction.interval = 2;
    let violations = checker::check(&program).unwrap_err();
    assert!(violations.iter().any(|violation| matches!(violation, Violation::StillStepping { .. })));
    expect![[]].assert_eq(&complaints(&program));
}

/// The first of the inputs 0, 1, … for which the model that rounds once writes something else.
fn rounded_once(program: &Program) -> (Vec<i8>, Vec<WriteEvent>) {
    let once = |input: &[i8]| {
        let options = cycle::Options { rounding: Rounding::Single, ..recording(&program.configuration) };
        CycleModel::with_options(program, options).run(input).unwrap().writes
    };
    let mut inputs = (0..500).map(input);
    inputs
        .find_map(|input| {
            let writes = once(&input);
            (writes != model_run(program, &input).unwrap().writes).then_some((input, writes))
        })
        .unwrap()
}

#[test]
fn a_swapped_rounding_mode_is_reported_against_golden() {
    let (graph, program) = compiled();
    let (input, writes) = rounded_once(&program);
    shows(&expect![[]], &against_golden(&graph, &program, &input, &writes).unwrap().unwrap());
}

#[test]
fn a_swapped_rounding_mode_is_reported_against_the_rtl() {
    let (graph, program) = compiled();
    let (input, writes) = rounded_once(&program);
    let Some(right) = rtl_run(&program, &input) else { return };
    let divergence = explain(&graph, &program, &input, &right.writes, &writes).unwrap();
    let by_golden = against_golden(&graph, &program, &input, &writes).unwrap().unwrap();
    assert_eq!(divergence, by_golden);
}

#[test]
fn a_wrong_prediction_is_reported() {
    let (graph, mut program) = compiled();
    program.cycles += 1;
    let violations = checker::check(&program).unwrap_err();
    assert!(matches!(violations[..], [Violation::CycleCount { .. }]));
    let options = library(&program.configuration, "a wrong prediction on the RTL").unwrap().map(|_| rtl_options());
    let report = investigate(&graph, &program, &input(1), options.as_ref()).unwrap();
    assert!(!report.agrees());
    let text = report.to_string();
    let model: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    expect![[]].assert_eq(&format!("{}{model}", complaints(&program)));
    let rtl = text.lines().nth(2).map(|line| line.replace("RTL        ", "cycle model"));
    assert!(options.is_none() || rtl.as_deref() == text.lines().nth(1), "{text}");
    program.cycles -= 1;
    assert!(investigate(&graph, &program, &input(1), options.as_ref()).unwrap().agrees());
}

/// A scale of one half for each of eight channels, with the multiplier of channel 5 one too small: exact halves now round down.
fn halving_less_one() -> (Graph, Program, Program, Vec<i8>) {
    let graph = halving(8);
    let program = compile_and_check(&graph, &small()).unwrap();
    // Channel 5 is computed by tile 5, whose results stand in lane 1.
    let mut broken = program.clone();
    broken.scales[0][1].multiplier -= 1;
    (graph, program, broken, vec![0, 2, 4, 6, 8, 7, 10, 12])
}

#[test]
fn a_scale_off_by_one_is_reported() {
    let (graph, program, broken, input) = halving_less_one();
    let writes = model_run(&broken, &input).unwrap().writes;
    shows(&expect![[]], &against_golden(&graph, &program, &input, &writes).unwrap().unwrap());
}

#[test]
fn a_scale_off_by_one_in_the_rtl_is_reported() {
    let (graph, program, broken, input) = halving_less_one();
    let Some(outcome) = rtl_run(&broken, &input) else { return };
    let divergence = against_golden(&graph, &program, &input, &outcome.writes).unwrap().unwrap();
    let good = model_run(&program, &input).unwrap();
    assert_eq!(explain(&graph, &program, &input, &good.writes, &outcome.writes), Some(divergence.clone()));
    assert_eq!(divergence.element.unwrap().index, Some(5));
}

#[test]
fn an_unbroken_machine_is_not_reported() {
    let (graph, program) = compiled();
    let options = library(&program.configuration, "an unbroken RTL").unwrap().map(|_| rtl_options());
    for seed in 0..8 {
        let report = investigate(&graph, &program, &input(seed), options.as_ref()).unwrap();
        assert!(report.agrees(), "{report}");
    }
}
