//! What fully connected layers and convolutions have in common: bias, and the scales from the accumulator to the output.

use lpu_isa::arithmetic::{Activation, Rounding};

use super::{ABSENT, ImportError, Node, Single, Tensors};
use crate::graph::{Accumulation, ChannelScale, Quantisation};
use crate::import::tflite::names::element;
use crate::import::tflite::tensors::Constant;

/// How much the bias's scale may differ from the accumulator's, over the output's scale: tflite-micro's limit.
const BIAS_SCALE_TOLERANCE: f64 = 0.02;

/// The bias of `channels` outputs, which is the third input; `None` where there is none.
pub(super) fn bias(
    node: &Node<'_>,
    tensors: &mut Tensors<'_>,
    channels: usize,
) -> Result<Option<Constant<i32>>, ImportError> {
    let bias = match node.inputs.get(2) {
        None | Some(&ABSENT) => return Ok(None),
        Some(&index) => tensors.constant::<i32>(node.here, index, element::INT32, "bias")?,
    };
    if bias.values.len() != channels {
        let why = format!("{} biases for {channels} outputs", bias.values.len());
        return Err(node.here.tensor(&bias.name).shape(why));
    }
    Ok(Some(bias))
}

/// What stands before and behind the products with `weights`. `channels` is how many outputs there are, and their axis in the weights.
pub(super) fn accumulation(
    node: &Node<'_>,
    tensors: &mut Tensors<'_>,
    single: &Single,
    weights: &Constant<i8>,
    bias: Option<Constant<i32>>,
    channels: (usize, i32),
    activation: Activation,
) -> Result<Accumulation, ImportError> {
    let input = tensors.tensor(single.input).quantisation;
    let output = tensors.tensor(single.output).quantisation;
    let scales = channel_scales(node, tensors, weights, channels, input, output)?;
    let (minimum, maximum) = node.range(activation, output)?;
    Ok(Accumulation {
        bias: bias.map(|bias| bias.values),
        input_zero_point: input.zero_point,
        scales,
        output_zero_point: output.zero_point,
        minimum,
        maximum,
        rounding: Rounding::Double,
    })
}

/// From the accumulator to the output, one scale for each output channel. `axis` is that of the channels in the weights.
fn channel_scales(
    node: &Node<'_>,
    tensors: &mut Tensors<'_>,
    weights: &Constant<i8>,
    (channels, axis): (usize, i32),
    input: Quantisation,
    output: Quantisation,
) -> Result<Vec<ChannelScale>, ImportError> {
    tensors.charge(node.here, channels.saturating_mul(size_of::<ChannelScale>()))?;
    let there = node.here.tensor(&weights.name);
    let Some(scales) = &weights.scales else {
        return Err(there.quantisation("no scale and zero point"));
    };
    if let Some(zero_point) = scales.zero_points.iter().find(|&&zero_point| zero_point != 0) {
        return Err(there.quantisation(format!("a zero point of {zero_point}, but weights are symmetric (0)")));
    }
    let several = scales.scales.len() != 1;
    if several && (scales.scales.len() != channels || scales.axis != axis) {
        return Err(there.quantisation(format!(
            "{} scales along axis {} instead of one, or {channels} along axis {axis}",
            scales.scales.len(),
            scales.axis
        )));
    }
    node.here.channel_scales(input, &scales.scales, output, channels)
}

/// The bias is added to the accumulator as it is, so that it has to be in the accumulator's scale. The reference looks at it
/// in fully connected layers whose weights have one scale.
pub(super) fn check_bias_scale(
    node: &Node<'_>,
    weights: &Constant<i8>,
    bias: Option<&Constant<i32>>,
    input: Quantisation,
    output: Quantisation,
) -> Result<(), ImportError> {
    let weights = weights.scales.as_ref().map(|scales| scales.scales.as_slice());
    let (Some((bias, scales)), Some(&[weights])) = (bias.and_then(|bias| Some((bias, bias.scales.as_ref()?))), weights)
    else {
        return Ok(());
    };
    let Some(&scale) = scales.scales.first() else { return Ok(()) };
    let accumulator = f64::from(input.scale) * f64::from(weights);
    if (accumulator - f64::from(scale)).abs() / f64::from(output.scale) <= BIAS_SCALE_TOLERANCE {
        return Ok(());
    }
    Err(node.here.tensor(&bias.name).quantisation(format!(
        "a bias in units of {scale:e}, but input and weights multiply to units of {accumulator:e}"
    )))
}
