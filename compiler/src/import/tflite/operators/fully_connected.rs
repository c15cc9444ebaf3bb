//! `FULLY_CONNECTED`.

use lpu_isa::arithmetic::Activation;

use super::accumulation::{accumulation, bias, check_bias_scale};
use super::{ImportError, Imported, Node, Single, Tensors};
use crate::graph::{FullyConnected, OperatorKind};

pub(super) fn fully_connected(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 3)?;
    let activation = fused_activation(node)?;
    let &weights = node.inputs.get(1).ok_or_else(|| here.damaged("the operator has no weights"))?;
    let weights = tensors.weights(here, weights)?;
    let &[output_length, input_length] = weights.shape.as_slice() else {
        return Err(here
            .tensor(&weights.name)
            .shape(format!("weights of shape {:?} instead of outputs×inputs", weights.shape)));
    };
    check_batch(node, tensors, &single, input_length, output_length)?;
    let bias = bias(node, tensors, output_length)?;
    let input = tensors.tensor(single.input).quantisation;
    let output = tensors.tensor(single.output).quantisation;
    check_bias_scale(node, &weights, bias.as_ref(), input, output)?;
    let accumulation = accumulation(node, tensors, &single, &weights, bias, (output_length, 0), activation)?;
    let layer = FullyConnected { input_length, output_length, weights: weights.values, accumulation };
    node.one(OperatorKind::FullyConnected(layer), &single)
}

fn fused_activation(node: &Node<'_>) -> Result<Activation, ImportError> {
    let here = node.here;
    let Some(options) = here.sound(node.operator.fully_connected_options())? else { return Ok(Activation::None) };
    if here.sound(options.weights_format())? != 0 {
        return Err(here.unsupported(
            "weights in the shuffled order of one CPU kernel",
            "export the network with weights in the default format",
        ));
    }
    node.activation(here.sound(options.fused_activation_function())?)
}

/// Refuses anything but one vector in and one vector out.
fn check_batch(
    node: &Node<'_>,
    tensors: &Tensors<'_>,
    single: &Single,
    input_length: usize,
    output_length: usize,
) -> Result<(), ImportError> {
    let here = node.here;
    let (input, output) = (tensors.tensor(single.input), tensors.tensor(single.output));
    if input.elements() % input_length != 0 {
        return Err(here.shape(format!(
            "an input of shape {:?} does not divide into vectors of the {input_length} that the weights take",
            input.shape
        )));
    }
    let batch = input.elements() / input_length;
    if batch != 1 {
        return Err(here.unsupported(
            format!("a batch of {batch} (an input of shape {:?} for weights of {input_length})", input.shape),
            "export the network with a batch of one, and run it once for each example",
        ));
    }
    if output.elements() != output_length || output.shape.last() != Some(&output_length) {
        return Err(here.shape(format!("an output of shape {:?} for weights of {output_length} rows", output.shape)));
    }
    Ok(())
}
