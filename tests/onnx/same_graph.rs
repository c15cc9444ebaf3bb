//! What is equal in both formats becomes the same graph, and answers bit for bit alike.

use lpu_compiler::graph::{Graph, OperatorKind};
use lpu_compiler::import::{ImportError, import};
use lpu_isa::configuration::Configuration;
use lpu_sim::golden::{self, Golden};
use lpu_tests::onnx_writer::{image_network, twin};
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{compile_and_check, model_agrees};

/// Networks of each operator.
const NETWORKS: u64 = 240;

/// What is computed, in order. Shapes are left out: ONNX's need no operator.
fn kinds(graph: &Graph) -> Vec<&OperatorKind> {
    graph.operators.iter().map(|operator| &operator.kind).filter(|kind| **kind != OperatorKind::Reshape).collect()
}

/// Whether two networks compute the same. A convolution whose groups are channels is a depthwise one, and the other way round.
fn alike(first: &[&OperatorKind], second: &[&OperatorKind]) -> bool {
    use OperatorKind::{Convolution, DepthwiseConvolution};
    let pair = |(first, second): (&&OperatorKind, &&OperatorKind)| match (first, second) {
        (Convolution(a), DepthwiseConvolution(b)) | (DepthwiseConvolution(b), Convolution(a)) => {
            a.accumulation == b.accumulation && a.window == b.window && a.groups == b.input_channels
        }
        _ => first == second,
    };
    first.len() == second.len() && first.iter().zip(second).all(pair)
}

#[test]
fn a_network_of_any_operator_is_the_same_graph_from_both_formats() {
    let mut failures = Vec::new();
    for (operator, (name, _)) in OPERATORS.iter().enumerate() {
        let mut compared = 0;
        for seed in 0..NETWORKS {
            let case = case(operator, seed);
            let (Ok(tflite), Some(onnx)) = (import(&case.model.bytes(), "net"), twin(&case.model)) else { continue };
            let onnx = match import(&onnx.bytes(), "net") {
                Ok(onnx) => onnx,
                // A change of scale or shape that changes nothing leaves no network.
                Err(ImportError::Unsupported { feature, .. }) if feature == "the output is the input" => continue,
                Err(error) => {
                    failures.push(format!("{name} {seed}: {error}"));
                    continue;
                }
            };
            if !alike(&kinds(&onnx), &kinds(&tflite)) {
                failures.push(format!("{name} {seed}: {:?} instead of {:?}", kinds(&onnx), kinds(&tflite)));
                continue;
            }
            let (mut first, mut second) = (Golden::new(&tflite).unwrap(), Golden::new(&onnx).unwrap());
            for input in &case.inputs {
                let input: Vec<i8> = input.iter().map(|&byte| byte as i8).collect();
                assert_eq!(second.run(&input).unwrap(), first.run(&input).unwrap(), "{name} {seed}");
            }
            compared += 1;
        }
        println!("{name}: {compared} networks are the same graph");
        // State has no counterpart, and half of the softmaxes have a factor.
        let least = match *name {
            "ASSIGN_VARIABLE" => 0,
            "SOFTMAX" => 90,
            "RESHAPE" => 150,
            _ => 200,
        };
        if compared < least {
            failures.push(format!("{name}: only {compared} networks"));
        }
    }
    assert!(failures.is_empty(), "{} failures; {}", failures.len(), failures[..failures.len().min(12)].join("\n"));
}

#[test]
fn a_network_of_images_is_the_same_graph_from_both_formats_and_runs_on_the_machine() {
    let machine = Configuration {
        weight_depth: 1 << 12,
        vector_depth: 1 << 12,
        scale_depth: 1 << 11,
        queue_depth: 1 << 10,
        lookup: true,
        ..Configuration::default()
    };
    for seed in 0..20 {
        let pair = image_network(seed);
        let onnx = import(&pair.onnx.bytes(), "net").unwrap();
        let tflite = import(&pair.tflite.bytes(), "net").unwrap();
        assert_eq!(kinds(&onnx), kinds(&tflite), "{seed}");
        let shape = |graph: &Graph| graph.tensors[graph.inputs[0].0].shape.clone();
        assert_eq!(shape(&onnx), shape(&tflite));
        let mut random = Random::new(seed);
        let elements = onnx.tensors[onnx.inputs[0].0].elements();
        let inputs: Vec<Vec<i8>> = (0..3).map(|_| (0..elements).map(|_| random.byte()).collect()).collect();
        for input in &inputs {
            assert_eq!(golden::run(&onnx, input).unwrap(), golden::run(&tflite, input).unwrap(), "{seed}");
        }
        let program = compile_and_check(&onnx, &machine).unwrap();
        model_agrees(&onnx, &program, &inputs).unwrap();
    }
}
