//! The golden model on small graphs whose answers can be followed by hand.

#![allow(clippy::unwrap_used)]

use super::*;
use lpu_compiler::graph::{
    ChannelScale, Element, Elementwise, ElementwiseFunction, FullyConnected, Operator, OperatorKind, Quantisation,
    Tensor,
};
use lpu_isa::arithmetic::{Requantise, Rounding};

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let quantisation = Quantisation { scale: 1.0, zero_point: 0 };
    Tensor { name: name.into(), shape: shape.into(), quantisation, element: Element::Int8 }
}

fn operator(name: &str, kind: OperatorKind, from: usize, to: usize) -> Operator {
    Operator { name: name.into(), kind, inputs: vec![TensorId(from)], outputs: vec![TensorId(to)] }
}

/// Three inputs, two outputs, then a clamp to at most 10.
fn graph() -> Graph {
    let layer = FullyConnected {
        input_length: 3,
        output_length: 2,
        weights: vec![1, 2, 3, -1, 0, 4],
        bias: Some(vec![10, -20]),
        input_zero_point: 1,
        // Times one half, and times one eighth.
        scales: vec![ChannelScale { multiplier: 1 << 30, shift: 0 }, ChannelScale { multiplier: 1 << 30, shift: -2 }],
        output_zero_point: -5,
        minimum: -128,
        maximum: 127,
        rounding: Rounding::Double,
    };
    let (multiplier, shift) = Requantise::IDENTITY;
    let requantise =
        Requantise { multiplier, shift, zero_point: 0, minimum: -128, maximum: 10, rounding: Rounding::Double };
    let clamp = Elementwise { function: ElementwiseFunction::Relu6, input_zero_point: 0, requantise };
    Graph {
        name: "small".into(),
        tensors: vec![tensor("in", &[3]), tensor("hidden", &[1, 2]), tensor("out", &[2]), tensor("idle", &[1])],
        operators: vec![
            operator("dense", OperatorKind::FullyConnected(layer), 0, 1),
            operator("clamp", OperatorKind::Elementwise(clamp), 1, 2),
        ],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(2)],
        ..Graph::default()
    }
}

#[test]
fn a_layer_is_bias_plus_products_scaled_and_clamped() {
    // Over x - 1 = [4, 5, 6]: 10 + 4 + 10 + 18 = 42, half of it 21, minus 5: 16, clamped to 10.
    // -20 - 4 + 24 = 0, minus 5.
    let tensors = run_all_tensors(&graph(), &[5, 6, 7]).unwrap();
    assert_eq!(tensors[1], Some(vec![16, -5]));
    assert_eq!(tensors[2], Some(vec![10, -5]));
    assert_eq!(tensors[3], None);
    assert_eq!(run(&graph(), &[5, 6, 7]).unwrap(), [10, -5]);
}

#[test]
fn an_input_of_another_length_is_refused() {
    let error = run(&graph(), &[1, 2]).unwrap_err();
    assert_eq!(error.to_string(), "an input of 2 elements for `small`, whose input has the shape [3]");
}

#[test]
fn a_graph_that_contradicts_itself_is_refused() {
    let mut graph = graph();
    graph.operators.swap(0, 1);
    assert!(matches!(run(&graph, &[1, 2, 3]), Err(GoldenError::Graph { .. })));
}

#[test]
fn two_outputs_are_refused() {
    let mut graph = graph();
    graph.outputs.push(TensorId(1));
    assert!(matches!(run(&graph, &[1, 2, 3]), Err(GoldenError::Interface { inputs: 1, outputs: 2, .. })));
}
