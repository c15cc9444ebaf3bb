//! The golden model answers as tflite-micro does.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::OperatorKind;
use lpu_compiler::import::{import, read_model};
use lpu_isa::arithmetic::Rounding;
use lpu_sim::golden;
use lpu_tests::conformance;
use lpu_tests::tflite_writer::{Limits, random_network};
use proptest::prelude::*;

#[test]
fn ad01_gives_every_reference_answer() {
    let files =
        ["models/mlperf_tiny/ad01_int8.tflite", "reference/mlperf_ad/inputs.npy", "reference/mlperf_ad/outputs.npy"];
    let [Some(model), Some(inputs), Some(outputs)] = files.map(conformance::file) else { return };
    let graph = read_model(model).unwrap();
    assert_eq!(graph.name, "ad01_int8");
    assert_eq!(graph.operators.len(), 10);
    assert_eq!(graph.multiply_accumulates(), 264_192);
    let (inputs, outputs) = (conformance::rows(&inputs).unwrap(), conformance::rows(&outputs).unwrap());
    assert_eq!((inputs.len(), outputs.len()), (16, 16));
    for (index, (input, output)) in inputs.iter().zip(&outputs).enumerate() {
        assert_eq!(&golden::run(&graph, input).unwrap(), output, "example {index}");
    }
}

#[test]
fn a_swapped_rounding_changes_answers_of_ad01() {
    let files =
        ["models/mlperf_tiny/ad01_int8.tflite", "reference/mlperf_ad/inputs.npy", "reference/mlperf_ad/outputs.npy"];
    let [Some(model), Some(inputs), Some(outputs)] = files.map(conformance::file) else { return };
    let mut graph = read_model(model).unwrap();
    for operator in &mut graph.operators {
        if let OperatorKind::FullyConnected(layer) = &mut operator.kind {
            layer.accumulation.rounding = Rounding::Single;
        }
    }
    let (inputs, outputs) = (conformance::rows(&inputs).unwrap(), conformance::rows(&outputs).unwrap());
    let same = inputs.iter().zip(&outputs).filter(|(input, output)| golden::run(&graph, input).unwrap() == **output);
    assert!(same.count() < outputs.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_written_network_is_imported_and_answers_with_the_shape_of_its_output(
        seed: u64, layers in 1_usize..6, width in 1_usize..40, fill: i8
    ) {
        let model = random_network(seed, Limits { layers, width });
        let graph = import(&model.bytes(), "random").unwrap();
        prop_assert_eq!(graph.operators.len(), model.operators.len());
        let input = vec![fill; model.tensors[0].elements()];
        let output = golden::run(&graph, &input).unwrap();
        prop_assert_eq!(output.len(), model.tensors[model.outputs[0] as usize].elements());
    }

    #[test]
    fn the_weights_of_the_file_are_the_weights_of_the_graph(seed: u64, layers in 1_usize..6, width in 1_usize..40) {
        let model = random_network(seed, Limits { layers, width });
        let graph = import(&model.bytes(), "random").unwrap();
        for (written, read) in model.operators.iter().zip(&graph.operators) {
            let OperatorKind::FullyConnected(layer) = &read.kind else { continue };
            let weights: Vec<u8> = layer.weights.iter().map(|&weight| weight as u8).collect();
            prop_assert_eq!(Some(&weights), model.tensors[written.inputs[1] as usize].data.as_ref());
            prop_assert_eq!(layer.accumulation.bias.is_some(), written.inputs[2] >= 0);
        }
    }
}
