//! The golden model on small graphs whose answers can be followed by hand.

#![allow(clippy::unwrap_used)]

use super::*;
use lpu_compiler::graph::{
    Accumulation, ChannelScale, Convolution, Element, Elementwise, ElementwiseFunction, FullyConnected, Operator,
    OperatorKind, Padding, Plane, Pool, PoolFunction, Quantisation, State, Tensor, Window,
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
        accumulation: Accumulation {
            bias: Some(vec![10, -20]),
            input_zero_point: 1,
            // Times one half, and times one eighth.
            scales: vec![
                ChannelScale { multiplier: 1 << 30, shift: 0 },
                ChannelScale { multiplier: 1 << 30, shift: -2 },
            ],
            output_zero_point: -5,
            minimum: -128,
            maximum: 127,
            rounding: Rounding::Double,
        },
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

/// A network of one operator between those shapes.
fn one(kind: OperatorKind, from: &[usize], to: &[usize]) -> Graph {
    Graph {
        name: "one".into(),
        tensors: vec![tensor("in", from), tensor("out", to)],
        operators: vec![operator("layer", kind, 0, 1)],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        ..Graph::default()
    }
}

#[test]
fn padding_counts_as_the_zero_point_in_a_convolution_and_not_at_all_in_a_pool() {
    let size = Plane { rows: 1, columns: 3 };
    let window = Window { size, padding: Padding { left: 1, right: 1, ..Padding::default() }, ..Window::POINT };
    let (multiplier, shift) = Requantise::IDENTITY;
    let accumulation = Accumulation {
        bias: Some(vec![5]),
        input_zero_point: 10,
        scales: vec![ChannelScale { multiplier, shift }],
        output_zero_point: 0,
        minimum: -128,
        maximum: 127,
        rounding: Rounding::Double,
    };
    let weights = vec![1, 2, 3];
    let layer = Convolution { window, input_channels: 1, output_channels: 1, groups: 1, weights, accumulation };
    let graph = one(OperatorKind::Convolution(layer), &[1, 1, 3, 1], &[1, 1, 3, 1]);
    // Over x - 10 = [1, 2, 3]: 5 + 2·1 + 3·2, 5 + 1·1 + 2·2 + 3·3, 5 + 1·2 + 2·3.
    assert_eq!(run(&graph, &[11, 12, 13]).unwrap(), [13, 19, 13]);
    let pool = |function| {
        let pool = Pool { function, window, minimum: -128, maximum: 127 };
        run(&one(OperatorKind::Pool(pool), &[1, 1, 3, 1], &[1, 1, 3, 1]), &[-11, -12, -14]).unwrap()
    };
    // Halves away from zero: -11.5, -37/3, -13.
    assert_eq!(pool(PoolFunction::Average), [-12, -12, -13]);
    assert_eq!(pool(PoolFunction::Maximum), [-11, -11, -12]);
}

#[test]
fn state_is_carried_from_one_inference_to_the_next_until_it_is_reset() {
    // The output is what came before.
    let mut graph = one(OperatorKind::Reshape, &[2], &[2]);
    graph.tensors.push(tensor("state", &[2]));
    graph.operators[0].inputs = vec![TensorId(2)];
    graph.states = vec![State { name: "last".into(), tensor: TensorId(2), initial: vec![7, 8], next: TensorId(0) }];
    let mut golden = Golden::new(&graph).unwrap();
    assert_eq!(golden.run(&[1, 2]).unwrap(), [7, 8]);
    assert_eq!(golden.run(&[3, 4]).unwrap(), [1, 2]);
    golden.reset();
    assert_eq!(golden.run(&[5, 6]).unwrap(), [7, 8]);
}
