//! Operators on elements: `RELU`, `RELU6`, `RELU_N1_TO_1`, `QUANTIZE` of one tensor, `ADD` and `MUL` of two.

use lpu_isa::arithmetic::{Activation, Requantise};

use super::{ImportError, Imported, Node, Single, Tensors};
use crate::graph::{ChannelScale, Elementwise, ElementwiseFunction, OperatorKind, TensorId, broadcast};
use crate::import::arithmetic::requantise;
use crate::import::tflite::names::element;

pub(super) fn relu(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let single = node.single(tensors, 1)?;
    rescale(node, tensors, &single, ElementwiseFunction::Relu, Activation::Relu)
}

pub(super) fn relu_n1_to_1(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let single = node.single(tensors, 1)?;
    rescale(node, tensors, &single, ElementwiseFunction::ReluN1To1, Activation::ReluN1To1)
}

/// Input and output may be uint8: the graph has them as int8, 128 lower, and both zero points with them.
pub(super) fn quantize(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    const TYPES: [i8; 2] = [element::INT8, element::UINT8];
    node.counts(1, 1)?;
    let input = tensors.read(node.here, node.input(0)?, &TYPES, "input")?;
    let output = tensors.write(node.here, node.outputs[0], &TYPES)?;
    rescale(node, tensors, &Single { input, output }, ElementwiseFunction::Quantize, Activation::None)
}

/// tflite-micro clamps the integers in the *input's* scale and never looks at the output's.
pub(super) fn relu6(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let single = node.single(tensors, 1)?;
    node.same_elements(tensors, single.input, single.output)?;
    let input = tensors.tensor(single.input).quantisation;
    let (multiplier, shift) = Requantise::IDENTITY;
    let range = node.range(Activation::Relu6, input)?;
    let requantise = requantise(ChannelScale { multiplier, shift }, input.zero_point, range);
    let function = ElementwiseFunction::Relu6;
    let layer = Elementwise { function, input_zero_point: input.zero_point, requantise };
    node.one(OperatorKind::Elementwise(layer), &single)
}

/// A change of scale with a clamp in the output's scale.
fn rescale(
    node: &Node<'_>,
    tensors: &Tensors<'_>,
    single: &Single,
    function: ElementwiseFunction,
    activation: Activation,
) -> Imported {
    node.same_elements(tensors, single.input, single.output)?;
    let input = tensors.tensor(single.input).quantisation;
    let output = tensors.tensor(single.output).quantisation;
    let requantise = node.here.rescale(input, output, node.range(activation, output)?)?;
    node.one(
        OperatorKind::Elementwise(Elementwise { function, input_zero_point: input.zero_point, requantise }),
        single,
    )
}

/// Both operands, which may be constants, and the output, of their joined shape.
fn operands(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Result<([TensorId; 2], TensorId), ImportError> {
    node.counts(2, 1)?;
    let operands = [tensors.operand(node.here, node.input(0)?)?, tensors.operand(node.here, node.input(1)?)?];
    let output = tensors.write(node.here, node.outputs[0], &[element::INT8])?;
    let [first, second] = operands.map(|id| tensors.tensor(id));
    match broadcast(&first.shape, &second.shape) {
        Some(shape) => node.expect_shape(tensors.tensor(output), &shape)?,
        None => {
            let why = format!("shapes {:?} and {:?}, of which neither repeats to the other", first.shape, second.shape);
            return Err(node.here.shape(why));
        }
    }
    Ok((operands, output))
}

pub(super) fn add(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let (inputs, output) = operands(node, tensors)?;
    let options = here.sound(node.operator.add_options())?;
    let activation = options.map_or(Ok(0), |options| here.sound(options.fused_activation_function()))?;
    let activation = node.activation(activation)?;
    let [first, second] = inputs.map(|id| tensors.tensor(id).quantisation);
    let quantisation = tensors.tensor(output).quantisation;
    let sum = here.addition(first, second, quantisation, node.range(activation, quantisation)?)?;
    Ok(vec![node.operator(OperatorKind::Add(sum), inputs.to_vec(), output)])
}

pub(super) fn multiply(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let (inputs, output) = operands(node, tensors)?;
    let options = here.sound(node.operator.mul_options())?;
    let activation = options.map_or(Ok(0), |options| here.sound(options.fused_activation_function()))?;
    let activation = node.activation(activation)?;
    let [first, second] = inputs.map(|id| tensors.tensor(id).quantisation);
    let quantisation = tensors.tensor(output).quantisation;
    let product = here.product(first, second, quantisation, node.range(activation, quantisation)?)?;
    Ok(vec![node.operator(OperatorKind::Multiply(product), inputs.to_vec(), output)])
}
