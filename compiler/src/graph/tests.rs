//! What the check of a graph accepts and refuses.

#![allow(clippy::unwrap_used)]

use super::*;
use lpu_isa::arithmetic::{Requantise, Rounding};

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let quantisation = Quantisation { scale: 1.0, zero_point: 0 };
    Tensor { name: name.into(), shape: shape.into(), quantisation, element: Element::Int8 }
}

fn reshape(name: &str, from: usize, to: usize) -> Operator {
    let (inputs, outputs) = (vec![TensorId(from)], vec![TensorId(to)]);
    Operator { name: name.into(), kind: OperatorKind::Reshape, inputs, outputs }
}

fn graph() -> Graph {
    Graph {
        name: "chain".into(),
        tensors: vec![tensor("a", &[2, 3]), tensor("b", &[6]), tensor("c", &[3, 2])],
        operators: vec![reshape("first", 0, 1), reshape("second", 1, 2)],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(2)],
        ..Graph::default()
    }
}

#[test]
fn operators_in_an_executable_order_pass() {
    assert_eq!(graph().check(), Ok(()));
}

#[test]
fn a_tensor_read_before_it_is_written_is_named() {
    let mut graph = graph();
    graph.operators.swap(0, 1);
    let error = GraphError::ReadBeforeWritten { by: "operator `second`".into(), tensor: "b".into() };
    assert_eq!(graph.check(), Err(error));
}

#[test]
fn a_second_writer_is_named() {
    let mut graph = graph();
    graph.operators.push(reshape("third", 1, 0));
    let error = GraphError::WrittenTwice { by: "operator `third`".into(), tensor: "a".into() };
    assert_eq!(graph.check(), Err(error));
}

#[test]
fn a_tensor_that_does_not_exist_is_refused() {
    let mut graph = graph();
    graph.outputs = vec![TensorId(7)];
    assert!(matches!(graph.check(), Err(GraphError::UnknownTensor { tensor: 7, tensors: 3, .. })));
}

#[test]
fn a_reshape_that_loses_elements_is_refused() {
    let mut graph = graph();
    graph.tensors[2].shape = vec![5];
    assert!(matches!(graph.check(), Err(GraphError::Inconsistent { by, .. }) if by == "operator `second`"));
}

#[test]
fn a_layer_with_a_missing_weight_or_a_clamp_beyond_int8_is_refused() {
    let layer = FullyConnected {
        input_length: 6,
        output_length: 2,
        weights: vec![1; 12],
        accumulation: Accumulation {
            bias: Some(vec![0; 2]),
            input_zero_point: 0,
            scales: vec![ChannelScale { multiplier: 1 << 30, shift: 0 }; 2],
            output_zero_point: 0,
            minimum: -128,
            maximum: 127,
            rounding: Rounding::Double,
        },
    };
    let with = |change: fn(&mut FullyConnected)| {
        let mut layer = layer.clone();
        change(&mut layer);
        let mut graph = graph();
        graph.tensors[2].shape = vec![1, 2];
        graph.operators[1].kind = OperatorKind::FullyConnected(layer);
        graph.check()
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert!(with(|layer| layer.weights.truncate(11)).is_err());
    assert!(with(|layer| layer.accumulation.scales.truncate(1)).is_err());
    assert!(with(|layer| layer.accumulation.bias = Some(vec![0; 3])).is_err());
    assert!(with(|layer| layer.input_length = usize::MAX).is_err());
    assert!(with(|layer| layer.accumulation.input_zero_point = 128).is_err());
    assert!(with(|layer| layer.accumulation.maximum = 128).is_err());
    assert!(with(|layer| layer.accumulation.minimum = 127 + layer.accumulation.maximum).is_err());
    // What the importer makes is normalised; the scale table has no room for anything else.
    assert_eq!(with(|layer| layer.accumulation.scales[1].multiplier = 0), Ok(()));
    assert_eq!(with(|layer| layer.accumulation.scales[1] = ChannelScale { multiplier: i32::MAX, shift: -31 }), Ok(()));
    let error = with(|layer| layer.accumulation.scales[1].multiplier = (1 << 30) - 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "operator `second`: scale 1 is 1073741823 shifted by 0, but its multiplier must be 0 or 1073741824 to \
         2147483647, and its shift -31 to 30"
    );
    assert!(with(|layer| layer.accumulation.scales[0].multiplier = -1).is_err());
    assert!(with(|layer| layer.accumulation.scales[0].shift = 31).is_err());
}

#[test]
fn an_elementwise_operator_has_a_normalised_scale() {
    let with = |multiplier, shift| {
        let (zero_point, minimum, maximum, rounding) = (0, -128, 127, Rounding::Double);
        let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding };
        let function = ElementwiseFunction::Quantize;
        let mut graph = graph();
        graph.operators[0].kind = OperatorKind::Elementwise(Elementwise { function, input_zero_point: 0, requantise });
        graph.check()
    };
    assert_eq!(with(Requantise::IDENTITY.0, Requantise::IDENTITY.1), Ok(()));
    assert_eq!(with(1 << 30, 30), Ok(()));
    assert!(matches!(with(1 << 29, 0), Err(GraphError::Inconsistent { .. })));
}

/// Two operators behind each other, the second of which is `kind` between those shapes.
fn with(kind: OperatorKind, from: &[usize], to: &[usize]) -> Result<(), GraphError> {
    let mut graph = graph();
    graph.tensors[0].shape = from.to_vec();
    graph.tensors[1].shape = from.to_vec();
    graph.tensors[2].shape = to.to_vec();
    graph.operators[1].kind = kind;
    graph.check()
}

fn accumulation(channels: usize) -> Accumulation {
    Accumulation {
        bias: None,
        input_zero_point: 0,
        scales: vec![ChannelScale { multiplier: 1 << 30, shift: 0 }; channels],
        output_zero_point: 0,
        minimum: -128,
        maximum: 127,
        rounding: Rounding::Double,
    }
}

#[test]
fn a_convolution_has_weights_groups_and_positions_that_fit() {
    let size = Plane { rows: 3, columns: 3 };
    let padding = Padding { top: 1, bottom: 1, left: 1, right: 1 };
    let layer = Convolution {
        window: Window { size, padding, ..Window::POINT },
        input_channels: 4,
        output_channels: 6,
        groups: 2,
        weights: vec![1; 6 * 9 * 2],
        accumulation: accumulation(6),
    };
    let changed = |change: fn(&mut Convolution), to: &[usize]| {
        let mut layer = layer.clone();
        change(&mut layer);
        with(OperatorKind::Convolution(layer), &[1, 5, 4, 4], to)
    };
    assert_eq!(changed(|_| (), &[1, 5, 4, 6]), Ok(()));
    assert!(changed(|_| (), &[1, 5, 5, 6]).is_err());
    assert!(changed(|_| (), &[2, 5, 4, 6]).is_err());
    assert!(changed(|_| (), &[1, 5, 4, 5]).is_err());
    assert!(changed(|layer| layer.groups = 4, &[1, 5, 4, 6]).is_err());
    assert!(changed(|layer| layer.groups = 0, &[1, 5, 4, 6]).is_err());
    assert!(changed(|layer| layer.weights.truncate(107), &[1, 5, 4, 6]).is_err());
    assert!(changed(|layer| layer.window.stride.rows = 0, &[1, 5, 4, 6]).is_err());
    assert!(changed(|layer| layer.accumulation.scales.truncate(5), &[1, 5, 4, 6]).is_err());
    assert!(changed(|layer| layer.window.size.rows = usize::MAX, &[1, 5, 4, 6]).is_err());
}

#[test]
fn a_pool_reads_no_window_beside_the_input() {
    let pool = |top: usize| {
        let size = Plane { rows: 2, columns: 1 };
        let window = Window { size, padding: Padding { top, ..Padding::default() }, ..Window::POINT };
        let pool = Pool { function: PoolFunction::Average, window, minimum: -128, maximum: 127 };
        with(OperatorKind::Pool(pool), &[1, 3, 1, 2], &[1, 2 + top, 1, 2])
    };
    assert_eq!((pool(0), pool(1)), (Ok(()), Ok(())));
    assert!(pool(2).is_err());
}

#[test]
fn a_slice_stays_within_its_input() {
    let slice = |start: usize, stride: isize, size: usize| {
        let slice = Slice { start: vec![0, start], stride: vec![1, stride], size: vec![2, size] };
        with(OperatorKind::Slice(slice), &[2, 5], &[2, size])
    };
    assert_eq!((slice(4, -2, 3), slice(0, 4, 2), slice(4, 9, 1)), (Ok(()), Ok(()), Ok(())));
    assert!(slice(3, -2, 3).is_err());
    assert!(slice(1, 4, 2).is_err());
    assert!(slice(5, 1, 1).is_err());
    assert!(slice(0, isize::MAX, 3).is_err());
}

#[test]
fn a_state_has_a_first_value_and_a_next_one_of_the_same_size() {
    let with = |initial: usize, next: usize| {
        let mut graph = graph();
        graph.tensors.push(tensor("state", &[6]));
        graph.states =
            vec![State { name: "ring".into(), tensor: TensorId(3), initial: vec![0; initial], next: TensorId(next) }];
        graph.check()
    };
    assert_eq!((with(6, 2), with(6, 3)), (Ok(()), Ok(())));
    assert_eq!(with(5, 2).unwrap_err().to_string(), "the state `ring`: 5 values for 6 elements");
    assert!(matches!(with(6, 9), Err(GraphError::UnknownTensor { .. })));
}

#[test]
fn shapes_repeat_to_each_other_along_axes_of_one() {
    assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Some(vec![2, 4, 3]));
    assert_eq!(broadcast(&[], &[2]), Some(vec![2]));
    assert_eq!(broadcast(&[2, 3], &[2]), None);
}
