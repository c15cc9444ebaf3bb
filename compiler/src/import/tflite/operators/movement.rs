//! `RESHAPE`, `PAD` and `CONCATENATION`: elements move, or get other names. Scales are not looked at, as in tflite-micro.

use super::{ABSENT, Imported, Node, Tensors, resolve_axis};
use crate::graph::{Concatenation, OperatorKind, Pad};
use crate::import::tflite::names::element;

pub(super) fn reshape(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let single = node.single(tensors, 2)?;
    // The shape of the output tensor is what counts, as in tflite-micro; the operand repeats it.
    let shape = node.inputs.get(1).copied().unwrap_or(ABSENT);
    if shape != ABSENT && !tensors.is_constant(node.here, shape)? {
        return Err(node.here.unsupported(
            "the new shape is computed at run time",
            "export the network with fixed shapes and a batch of one",
        ));
    }
    node.same_elements(tensors, single.input, single.output)?;
    node.one(OperatorKind::Reshape, &single)
}

/// The elements around the input are the output's zero point.
pub(super) fn pad(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 2)?;
    let amounts = node.integers(tensors, 1, "padding")?;
    let (input, output) = (tensors.tensor(single.input), tensors.tensor(single.output));
    let sizes: Option<Vec<usize>> = amounts.iter().map(|&amount| usize::try_from(amount).ok()).collect();
    let Some(sizes) = sizes.filter(|sizes| sizes.len() == 2 * input.shape.len()) else {
        let why =
            format!("padding of {amounts:?} for shape {:?}: two numbers from 0 are needed for each axis", input.shape);
        return Err(here.shape(why));
    };
    let pad = Pad {
        before: sizes.iter().step_by(2).copied().collect(),
        after: sizes.iter().skip(1).step_by(2).copied().collect(),
        value: output.quantisation.zero_point as i8,
    };
    match pad.output_shape(&input.shape) {
        Some(shape) => node.expect_shape(output, &shape)?,
        None => return Err(here.shape(format!("padding of {amounts:?}, which makes more than can be counted"))),
    }
    node.one(OperatorKind::Pad(pad), &single)
}

pub(super) fn concatenation(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    node.counts(node.inputs.len().max(1), 1)?;
    node.input(0)?;
    let options = here.sound(node.operator.concatenation_options())?;
    let options = options.ok_or_else(|| here.damaged("the operator has no options"))?;
    if here.sound(options.fused_activation_function())? != 0 {
        return Err(here.unsupported(
            "a fused activation on a concatenation",
            "put the activation on the operators before the concatenation",
        ));
    }
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for &index in &node.inputs {
        inputs.push(tensors.operand(here, index)?);
    }
    let output = tensors.write(here, node.outputs[0], &[element::INT8])?;
    let first = &tensors.tensor(inputs[0]).shape;
    let axis = resolve_axis(here, here.sound(options.axis())?, first.len())?;
    let mut joined = first.clone();
    joined[axis] = 0;
    for &input in &inputs {
        let shape = &tensors.tensor(input).shape;
        let others = |shape: &[usize]| {
            shape.iter().enumerate().filter(|&(other, _)| other != axis).map(|(_, &size)| size).collect::<Vec<_>>()
        };
        if shape.len() != first.len() || others(shape) != others(first) {
            return Err(here.shape(format!("shapes {first:?} and {shape:?}, which differ beside axis {axis}")));
        }
        joined[axis] = joined[axis].saturating_add(shape[axis]);
    }
    node.expect_shape(tensors.tensor(output), &joined)?;
    Ok(vec![node.operator(OperatorKind::Concatenation(Concatenation { axis }), inputs, output)])
}
