//! The anomaly detector of MLPerf Tiny: ten fully connected layers, real audio features, another runtime's answers.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::Graph;
use lpu_compiler::import::read_model;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_sim::golden;
use lpu_tests::networks::{narrowed, random_input};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{compile_and_check, library, model_agrees, rtl_agrees};
use lpu_tests::{conformance, witnesses};

/// One example a row.
type Rows = Vec<Vec<i8>>;

/// Network, program for the default machine, inputs, tflite-micro's outputs; `None` where they are not installed.
fn reference() -> Option<(Graph, Program, Rows, Rows)> {
    let files =
        ["models/mlperf_tiny/ad01_int8.tflite", "reference/mlperf_ad/inputs.npy", "reference/mlperf_ad/outputs.npy"];
    let [Some(model), Some(inputs), Some(outputs)] = files.map(conformance::file) else { return None };
    let graph = read_model(model).unwrap();
    let program = compile_and_check(&graph, &Configuration::default()).unwrap();
    let (inputs, outputs) = (conformance::rows(&inputs).unwrap(), conformance::rows(&outputs).unwrap());
    assert_eq!((inputs.len(), outputs.len()), (16, 16));
    Some((graph, program, inputs, outputs))
}

/// Inputs that no microphone delivers.
fn other_inputs(graph: &Graph, count: usize) -> Rows {
    let mut random = Random::new(0xad01);
    (0..count).map(|_| random_input(&mut random, graph)).collect()
}

#[test]
fn an_inference_takes_at_most_2800_cycles_with_half_of_the_multipliers_useful() {
    let Some((graph, program, ..)) = reference() else { return };
    let multipliers = u64::from(program.configuration.multipliers());
    assert!(multipliers >= 144);
    assert!(program.cycles <= 2800, "{} cycles", program.cycles);
    assert_eq!(program.macs, graph.multiply_accumulates());
    assert!(2 * program.macs >= multipliers * program.cycles, "{} of {multipliers}", program.macs / program.cycles);
}

#[test]
fn the_cycle_model_gives_every_reference_answer_in_the_cycles_predicted() {
    let Some((graph, program, inputs, outputs)) = reference() else { return };
    model_agrees(&graph, &program, &inputs).unwrap();
    for (number, (input, output)) in inputs.iter().zip(&outputs).enumerate() {
        assert_eq!(&golden::run(&graph, input).unwrap(), output, "golden, example {number}");
        assert_eq!(&witnesses::model_run(&program, input).unwrap().output, output, "cycle model, example {number}");
    }
}

#[test]
fn the_cycle_model_agrees_with_golden_on_any_other_input() {
    let Some((graph, program, ..)) = reference() else { return };
    model_agrees(&graph, &program, &other_inputs(&graph, 64)).unwrap();
}

#[test]
fn the_rtl_gives_every_reference_answer_in_the_cycles_predicted_with_the_writes_of_the_cycle_model() {
    let Some((graph, program, inputs, outputs)) = reference() else { return };
    let Some(library) = library(&program.configuration, "ad01 on the RTL").unwrap() else { return };
    // Golden is tflite-micro's answer, and the RTL's is golden.
    for (input, output) in inputs.iter().zip(&outputs) {
        assert_eq!(&golden::run(&graph, input).unwrap(), output);
    }
    rtl_agrees(&graph, &program, &library, inputs.iter().chain(&other_inputs(&graph, 8))).unwrap();
}

/// The network with its weights narrowed to int4, and its program for the default machine with int4 weights.
fn in_int4(graph: Graph) -> (Graph, Program) {
    let machine = Configuration { weight_bits: 4, ..Configuration::default() };
    assert!(machine.macs_per_cycle() >= 288);
    let graph = narrowed(graph, machine.weight_bits);
    let program = compile_and_check(&graph, &machine).unwrap();
    (graph, program)
}

#[test]
fn with_int4_weights_an_inference_does_more_than_one_product_a_cycle_on_each_multiplier() {
    let Some((graph, wide, ..)) = reference() else { return };
    let (graph, program) = in_int4(graph);
    let useful = program.macs / program.cycles;
    assert!(program.cycles < wide.cycles, "{} cycles, {} with int8", program.cycles, wide.cycles);
    assert!(useful > u64::from(program.configuration.multipliers()), "{useful} a cycle in {} cycles", program.cycles);
    model_agrees(&graph, &program, &other_inputs(&graph, 16)).unwrap();
}

#[test]
fn with_int4_weights_the_rtl_gives_golden_answers_in_the_cycles_predicted() {
    let Some((graph, ..)) = reference() else { return };
    let (graph, program) = in_int4(graph);
    let Some(library) = library(&program.configuration, "ad01 with int4 weights on the RTL").unwrap() else { return };
    rtl_agrees(&graph, &program, &library, &other_inputs(&graph, 4)).unwrap();
}

#[test]
fn weights_of_eight_bits_are_refused_by_a_machine_for_four() {
    let Some((graph, ..)) = reference() else { return };
    let machine = Configuration { weight_bits: 4, ..Configuration::default() };
    let error = compile_and_check(&graph, &machine).unwrap_err().to_string();
    expect_test::expect!["layer `functional_1/activation/Relu;functional_1/dense/BiasAdd`: it has a weight of 10, and the machine multiplies weights of 4 bits, -8 to 7; use a machine with `weight_bits = 8` or a network quantised to int4"].assert_eq(&error);
}
