//! `Gemm` and `MatMul` with constant weights: a fully connected layer for one row, a convolution of points for several.

use super::super::destination::Fusion;
use super::super::layout::Layout;
use super::super::node::Node;
use super::super::value::Value;
use super::super::{Form, ImportError, Importer, ORDER};
use super::accumulation::{accumulation, bias, weights};
use crate::graph::{Convolution, FullyConnected, OperatorKind, Window};

pub(super) fn gemm<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(3, &["alpha", "beta", "transA", "transB"])?;
    if (node.number("alpha", 1.0), node.number("beta", 1.0), node.integer("transA", 0)) != (1.0, 1.0, 0) {
        return Err(node.here.unsupported(
            "a matrix product with factors (alpha, beta), or of a transposed input",
            "multiply weights and bias by the factors, and leave out the transposition",
        ));
    }
    product(importer, node, node.integer("transB", 0) != 0)
}

pub(super) fn matmul<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(2, &[])?;
    product(importer, node, false)
}

fn product<'a>(importer: &mut Importer<'a>, node: &Node<'a>, transposed: bool) -> Result<(), ImportError> {
    let here = &node.here;
    let input = node.real(importer, 0)?;
    if !matches!(node.name(1).and_then(|name| importer.values.get(name)), None | Some(Value::Constant(_))) {
        return Err(here.unsupported(
            "a product of two tensors that the network computes",
            "use Gemm or MatMul with constant weights only: attention between activations is not lowered",
        ));
    }
    // The axis of the outputs, behind axes of one element.
    let output_axis = |shape: &[usize]| shape.len().checked_sub(if transposed { 2 } else { 1 });
    let weights = weights(importer, node, output_axis)?;
    let shape = &weights.constant.shape;
    let there = here.tensor(node.name(1).unwrap_or_default());
    let (length, outputs) = match shape[..] {
        [ref more @ .., outputs, length] if transposed && more.iter().all(|&size| size == 1) => (length, outputs),
        [ref more @ .., length, outputs] if !transposed && more.iter().all(|&size| size == 1) => (length, outputs),
        _ => return Err(there.shape(format!("weights of shape {shape:?} instead of a matrix"))),
    };
    let Some((_, before)) = input.shape.split_last().filter(|&(&last, _)| last == length) else {
        return Err(here.shape(format!("an input of shape {:?} for weights of {length} rows", input.shape)));
    };
    let rows = before.iter().product::<usize>();
    let mut bias = bias(importer, node, outputs)?;
    let fusion = if bias.is_some() { Fusion::Clamps } else { Fusion::Bias { channels: outputs, behind: 0 } };
    let destination = importer.quantised(node, fusion)?;
    bias = bias.or(destination.bias.clone());
    let quantisation = importer.quantisation(&input);
    let accumulation = accumulation(importer, node, quantisation, &weights, bias.as_ref(), outputs, &destination)?;
    let values = weights.values();
    let weight = |output: usize, number: usize| {
        if transposed { values[output * length + number] } else { values[number * outputs + output] }
    };
    let mut output_shape = before.to_vec();
    output_shape.push(outputs);
    let (kind, tensor, form) = if rows == 1 {
        // A row is read in the order in which it stands.
        let numbers = input.layout.numbers();
        let numbers = numbers.as_slice();
        let weights =
            (0..outputs).flat_map(|output| numbers.iter().map(move |&number| weight(output, number))).collect();
        let layer = FullyConnected { input_length: length, output_length: outputs, weights, accumulation };
        let order: Vec<usize> = (0..output_shape.len()).collect();
        (OperatorKind::FullyConnected(layer), input.tensor, Form::of(output_shape, &order))
    } else {
        // Rows stand in one piece: their elements can be the innermost.
        let last_axis = before.len();
        let innermost = |order: Vec<usize>| {
            order.into_iter().filter(|&axis| axis != last_axis).chain([last_axis]).collect::<Vec<_>>()
        };
        let order = importer.order(&input).map(innermost);
        let Some(order) = order.filter(|order| Layout::of(&input.shape, order) == input.layout) else {
            return Err(here.unsupported("rows that do not stand in one piece in memory", ORDER));
        };
        let tensor = importer.view(here, &input, &[1, 1, rows, length])?;
        let weights = (0..outputs).flat_map(|output| (0..length).map(move |number| weight(output, number))).collect();
        let (input_channels, output_channels, window) = (length, outputs, Window::POINT);
        let layer = Convolution { window, input_channels, output_channels, groups: 1, weights, accumulation };
        let form = Form { stored: vec![1, 1, rows, outputs], ..Form::of(output_shape, &order) };
        (OperatorKind::Convolution(layer), tensor, form)
    };
    let name = node.output()?;
    let outside = (destination.quantisation, destination.element);
    let result = importer.emit(node, name, kind, vec![tensor], form, outside)?;
    importer.put(name, Value::Activation(result));
    Ok(())
}
