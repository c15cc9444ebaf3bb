//! Third-party networks on the machine: bit-exact with the golden model, which is their reference, in the cycles predicted.
//!
//! `cargo test -p lpu-tests --test networks_on_the_machine -- --nocapture` prints the cycles of each layer.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::Graph;
use lpu_compiler::import::read_model;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_isa::resources::total_block_rams;
use lpu_tests::conformance;
use lpu_tests::witnesses::{compile_and_check, library, model_agrees, model_run, rtl_agrees};

/// The machine of the ULX3S for networks of this kind.
fn machine() -> Configuration {
    Configuration::from_toml(include_str!("../constraints/ulx3s-85f/networks.toml")).unwrap()
}

/// One example a row.
type Rows = Vec<Vec<i8>>;

/// Network, program, inputs, the other runtime's outputs; `None` where they are not installed.
fn reference(model: &str, reference: &str) -> Option<(Graph, Program, Rows, Rows)> {
    let paths = [
        format!("models/mlperf_tiny/{model}.tflite"),
        format!("reference/{reference}/inputs.npy"),
        format!("reference/{reference}/outputs.npy"),
    ];
    let [Some(model), Some(inputs), Some(outputs)] = paths.map(|path| conformance::file(&path)) else { return None };
    let graph = read_model(model).unwrap();
    let program = compile_and_check(&graph, &machine()).unwrap();
    print(&program);
    Some((graph, program, conformance::rows(&inputs).unwrap(), conformance::rows(&outputs).unwrap()))
}

fn print(program: &Program) {
    for layer in &program.layers {
        println!(
            "{:>8} .. {:>8}  {:22} {:2} tiles  {}",
            layer.start, layer.end, layer.operator, layer.tiles, layer.name
        );
    }
    let words = program.weights[0].len() / 4;
    let instructions = program.queues.iter().map(|queue| queue.instructions.len()).max().unwrap();
    println!(
        "{}: {} cycles; {words} words of weights, {} scales, {instructions} instructions",
        program.model,
        program.cycles,
        program.scales.len()
    );
}

/// Every reference input gives the reference's answer, and no more than `most` cycles.
fn every_reference_input((graph, program, inputs, outputs): &(Graph, Program, Rows, Rows), most: u64) {
    assert!(program.cycles <= most, "{} cycles", program.cycles);
    model_agrees(graph, program, inputs).unwrap();
    for (number, (input, output)) in inputs.iter().zip(outputs).enumerate() {
        assert_eq!(&model_run(program, input).unwrap().output, output, "input {number}");
    }
}

#[test]
fn the_machine_fits_its_board() {
    assert!(total_block_rams(&machine()) <= 208, "{}", total_block_rams(&machine()));
}

#[test]
fn image_classification_gives_every_reference_answer_on_the_cycle_model() {
    let Some(reference) = reference("resnet8_cifar10_int8", "mlperf_ic") else { return };
    every_reference_input(&reference, 135_000);
}

#[test]
fn keyword_spotting_gives_every_reference_answer_on_the_cycle_model() {
    let Some(reference) = reference("kws_ref_model", "mlperf_kws") else { return };
    every_reference_input(&reference, 65_000);
}

#[test]
fn image_classification_gives_the_reference_answer_on_the_rtl() {
    let Some((graph, program, inputs, _)) = reference("resnet8_cifar10_int8", "mlperf_ic") else { return };
    let Some(library) = library(&program.configuration, "resnet8 on the RTL").unwrap() else { return };
    rtl_agrees(&graph, &program, &library, &inputs[..1]).unwrap();
}
