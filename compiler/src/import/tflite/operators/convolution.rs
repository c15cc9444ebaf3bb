//! `CONV_2D` and `DEPTHWISE_CONV_2D`.

use super::accumulation::{accumulation, bias};
use super::window::{Options, image, window};
use super::{ImportError, Imported, Node, Tensors};
use crate::graph::{Convolution, DepthwiseConvolution, OperatorKind};
use crate::import::tflite::tensors::Constant;

pub(super) fn convolution(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 3)?;
    let options =
        here.sound(node.operator.conv_2d_options())?.ok_or_else(|| here.damaged("the operator has no options"))?;
    let activation = node.activation(here.sound(options.fused_activation_function())?)?;
    let weights = weights(node, tensors)?;
    let (input, input_channels) = image(node, tensors.tensor(single.input))?;
    let &[output_channels, rows, columns, depth] = weights.shape.as_slice() else {
        return Err(here
            .tensor(&weights.name)
            .shape(format!("weights of shape {:?} instead of outputs×rows×columns×inputs", weights.shape)));
    };
    let groups = input_channels / depth;
    if input_channels % depth != 0 || output_channels % groups.max(1) != 0 {
        return Err(here.tensor(&weights.name).shape(format!(
            "weights of shape {:?} for {input_channels} input channels, which make no equal groups",
            weights.shape
        )));
    }
    let options = Options {
        padding: here.sound(options.padding())?,
        size: (rows, columns),
        stride: (here.sound(options.stride_h())?, here.sound(options.stride_w())?),
        dilation: (here.sound(options.dilation_h_factor())?, here.sound(options.dilation_w_factor())?),
    };
    let (window, output) = window(node, &options, input)?;
    node.expect_shape(tensors.tensor(single.output), &[1, output.rows, output.columns, output_channels])?;
    let bias = bias(node, tensors, output_channels)?;
    let accumulation = accumulation(node, tensors, &single, &weights, bias, (output_channels, 0), activation)?;
    let weights = weights.values;
    let layer = Convolution { window, input_channels, output_channels, groups, weights, accumulation };
    node.one(OperatorKind::Convolution(layer), &single)
}

pub(super) fn depthwise(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 3)?;
    let options = here.sound(node.operator.depthwise_conv_2d_options())?;
    let options = options.ok_or_else(|| here.damaged("the operator has no options"))?;
    let activation = node.activation(here.sound(options.fused_activation_function())?)?;
    let weights = weights(node, tensors)?;
    let (input, input_channels) = image(node, tensors.tensor(single.input))?;
    let &[1, rows, columns, output_channels] = weights.shape.as_slice() else {
        return Err(here
            .tensor(&weights.name)
            .shape(format!("weights of shape {:?} instead of 1×rows×columns×outputs", weights.shape)));
    };
    let multiplier = here.sound(options.depth_multiplier())?;
    let multiplier = match usize::try_from(multiplier) {
        Ok(count) if count > 0 && input_channels.checked_mul(count) == Some(output_channels) => count,
        _ => {
            return Err(here.tensor(&weights.name).shape(format!(
                "{output_channels} output channels of {input_channels} input channels, {multiplier} of each"
            )));
        }
    };
    let options = Options {
        padding: here.sound(options.padding())?,
        size: (rows, columns),
        stride: (here.sound(options.stride_h())?, here.sound(options.stride_w())?),
        dilation: (here.sound(options.dilation_h_factor())?, here.sound(options.dilation_w_factor())?),
    };
    let (window, output) = window(node, &options, input)?;
    node.expect_shape(tensors.tensor(single.output), &[1, output.rows, output.columns, output_channels])?;
    let bias = bias(node, tensors, output_channels)?;
    let accumulation = accumulation(node, tensors, &single, &weights, bias, (output_channels, 3), activation)?;
    let weights = weights.values;
    let layer = DepthwiseConvolution { window, input_channels, multiplier, weights, accumulation };
    node.one(OperatorKind::DepthwiseConvolution(layer), &single)
}

fn weights(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Result<Constant<i8>, ImportError> {
    let &weights = node.inputs.get(1).ok_or_else(|| node.here.damaged("the operator has no weights"))?;
    tensors.weights(node.here, weights)
}
