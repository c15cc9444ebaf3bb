//! Third-party networks answer on the golden model as the runtimes that they were made for.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use lpu_compiler::graph::Element;
use lpu_compiler::import::read_model;
use lpu_sim::golden::Golden;
use lpu_tests::conformance;

fn files<const N: usize>(paths: [&str; N]) -> Option<[PathBuf; N]> {
    let found: Option<Vec<PathBuf>> = paths.into_iter().map(conformance::file).collect();
    found?.try_into().ok()
}

/// Every reference input of an MLPerf Tiny network, answered from its initial state.
fn every_reference_input(model: &str, reference: &str, count: usize, products: u64) {
    let paths = [
        format!("models/mlperf_tiny/{model}.tflite"),
        format!("reference/{reference}/inputs.npy"),
        format!("reference/{reference}/outputs.npy"),
    ];
    let Some([model, inputs, outputs]) = files(paths.each_ref().map(String::as_str)) else { return };
    let graph = read_model(model).unwrap();
    assert_eq!(graph.multiply_accumulates(), products);
    let (inputs, outputs) = (conformance::rows(&inputs).unwrap(), conformance::rows(&outputs).unwrap());
    assert_eq!((inputs.len(), outputs.len()), (count, count));
    let mut golden = Golden::new(&graph).unwrap();
    for (number, (input, output)) in inputs.iter().zip(&outputs).enumerate() {
        assert_eq!(&golden.run(input).unwrap(), output, "input {number}");
    }
}

#[test]
fn anomaly_detection_gives_every_reference_answer() {
    every_reference_input("ad01_int8", "mlperf_ad", 16, 264_192);
}

#[test]
fn image_classification_gives_every_reference_answer() {
    every_reference_input("resnet8_cifar10_int8", "mlperf_ic", 16, 12_501_632);
}

#[test]
fn keyword_spotting_gives_every_reference_answer() {
    every_reference_input("kws_ref_model", "mlperf_kws", 4, 2_656_768);
}

/// The wake word networks' probabilities (uint8, of 256) at each step of each clip.
fn wake_word(name: &str) {
    let model = format!("models/microwakeword/{name}.tflite");
    let Some([model, reference]) = files([model.as_str(), "reference/microwakeword/probs.json"]) else { return };
    let reference: serde_json::Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let graph = read_model(model).unwrap();
    assert_eq!(graph.states.len(), 6);
    assert_eq!(graph.tensors[graph.outputs[0].0].element, Element::Uint8);
    let mut golden = Golden::new(&graph).unwrap();
    for clip in ["alexa_1", "hey_jarvis_1"] {
        let steps = conformance::file(&format!("reference/microwakeword/{clip}.features.npy")).unwrap();
        golden.reset();
        let step = |step: &Vec<i8>| golden.run(step).unwrap()[0] as u8 ^ 0x80;
        let answers: Vec<u8> = conformance::rows(&steps).unwrap().iter().map(step).collect();
        let expected = reference["results"][name][clip].as_array().unwrap();
        let expected: Vec<u8> = expected.iter().map(|value| value.as_u64().unwrap() as u8).collect();
        assert_eq!(answers, expected, "{clip}");
    }
}

#[test]
fn alexa_gives_the_reference_probability_at_every_step() {
    wake_word("alexa");
}

#[test]
fn hey_jarvis_gives_the_reference_probability_at_every_step() {
    wake_word("hey_jarvis");
}
