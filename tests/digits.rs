//! The network that ships with the project, with tflite-micro's answers beside it.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::Graph;
use lpu_compiler::import::read_model;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_sim::cycle::CycleModel;
use lpu_sim::golden;
use lpu_sim::rtl::Rtl;
use lpu_tests::conformance::rows;
use lpu_tests::machines::small;
use lpu_tests::witnesses::{compile_and_check, library, model_agrees, rtl_agrees, rtl_options};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits").join(name)
}

/// Network, images and tflite-micro's logits for them.
fn reference() -> (Graph, Vec<Vec<i8>>, Vec<Vec<i8>>) {
    let graph = read_model(file("digits.tflite")).unwrap();
    let (inputs, expected) = (rows(&file("inputs.npy")).unwrap(), rows(&file("expected.npy")).unwrap());
    assert_eq!((inputs.len(), inputs[0].len(), expected.len(), expected[0].len()), (32, 64, 32, 10));
    (graph, inputs, expected)
}

fn program(graph: &Graph) -> Program {
    compile_and_check(graph, &Configuration::default()).unwrap()
}

#[test]
fn the_golden_model_gives_the_logits_of_tflite_micro() {
    let (graph, inputs, expected) = reference();
    for (input, expected) in inputs.iter().zip(&expected) {
        assert_eq!(&golden::run(&graph, input).unwrap(), expected);
    }
}

#[test]
fn the_cycle_model_gives_the_logits_of_tflite_micro() {
    let (graph, inputs, expected) = reference();
    let program = program(&graph);
    model_agrees(&graph, &program, &inputs).unwrap();
    let mut model = CycleModel::new(&program);
    for (input, expected) in inputs.iter().zip(&expected) {
        assert_eq!(&model.run(input).unwrap().output, expected);
    }
}

#[test]
fn a_machine_a_sixth_of_the_size_gives_the_same_logits() {
    let (graph, inputs, _) = reference();
    let program = compile_and_check(&graph, &Configuration { weight_depth: 1500, ..small() }).unwrap();
    model_agrees(&graph, &program, &inputs).unwrap();
}

#[test]
fn the_rtl_gives_the_logits_of_tflite_micro() {
    let (graph, inputs, expected) = reference();
    let program = program(&graph);
    let Some(library) = library(&program.configuration, "the digits network on the RTL").unwrap() else { return };
    rtl_agrees(&graph, &program, &library, &inputs).unwrap();
    let mut rtl = Rtl::with_library(&program, &library, &rtl_options()).unwrap();
    for (input, expected) in inputs.iter().zip(&expected) {
        assert_eq!(&rtl.run(input).unwrap().output, expected);
    }
}

#[test]
fn most_images_are_read_correctly() {
    let (_, _, expected) = reference();
    // The labels are unsigned bytes; a digit is the same byte either way, but NumPy's type is not.
    let labels = std::fs::read(file("labels.npy")).unwrap();
    let labels = &labels[labels.len() - expected.len()..];
    let read = |logits: &Vec<i8>| (0..logits.len()).max_by_key(|&digit| logits[digit]).unwrap();
    let right = expected.iter().zip(labels).filter(|(logits, label)| read(logits) == usize::from(**label)).count();
    assert!(right >= 30, "{right} of {}", expected.len());
}
