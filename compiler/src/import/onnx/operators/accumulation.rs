//! What convolutions and matrix products have in common: weights, bias, and the scales from the accumulator to the output.

use lpu_isa::arithmetic::Rounding;

use super::super::destination::Destination;
use super::super::node::Node;
use super::super::value::{Constant, Data};
use super::super::{ImportError, Importer, QUANTISE};
use crate::graph::{Accumulation, ChannelScale, Quantisation};

/// How much the scale of a bias may differ from the accumulator's, as a fraction, for its integers to be taken over as they are.
const BIAS_SCALE_TOLERANCE: f64 = 1e-5;

/// The weights that are input 1: int8, symmetric, with one scale or one for each output channel.
pub(super) struct Weights {
    pub(super) constant: Constant,
    scales: Vec<f32>,
}

impl Weights {
    pub(super) fn values(&self) -> &[i8] {
        match &*self.constant.data {
            Data::Int8(values) => values,
            _ => &[],
        }
    }
}

/// The weights of `node`; `channel_axis` is the axis of their output channels.
pub(super) fn weights<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    channel_axis: impl Fn(&[usize]) -> Option<usize>,
) -> Result<Weights, ImportError> {
    let here = &node.here;
    let there = here.tensor(node.name(1).unwrap_or_default());
    let constant = node.constant(importer, 1, "weights")?.ok_or_else(|| here.damaged("the operator has no weights"))?;
    let (Some(scaling), Data::Int8(_)) = (&constant.scaling, &*constant.data) else {
        return Err(
            there.unsupported(format!("weights of type {} that nothing quantises", constant.data.name()), QUANTISE)
        );
    };
    if let Some(zero_point) = scaling.zero_points.iter().find(|&&zero_point| zero_point != 0) {
        return Err(there.unsupported(
            format!("weights with a zero point of {zero_point} (as int8)"),
            "quantise weights symmetrically: weight_type=QuantType.QInt8, extra_options={\"WeightSymmetric\": True}",
        ));
    }
    if constant.shape.contains(&0) {
        return Err(there.shape(format!("weights of shape {:?}", constant.shape)));
    }
    if scaling.scales.len() > 1 && channel_axis(&constant.shape) != Some(scaling.axis) {
        return Err(there.unsupported(
            format!("weights of shape {:?} with a scale for each element of axis {}", constant.shape, scaling.axis),
            "quantise weights with one scale, or one for each output channel",
        ));
    }
    let scales = scaling.scales.clone();
    importer.charge(here, constant.bytes())?;
    Ok(Weights { constant, scales })
}

/// The bias that is input 2; `None` where there is none.
pub(super) fn bias<'a>(
    importer: &Importer<'a>,
    node: &Node<'a>,
    channels: usize,
) -> Result<Option<Constant>, ImportError> {
    let Some(bias) = node.constant(importer, 2, "bias")? else { return Ok(None) };
    let elements = bias.data.len();
    if elements == channels && bias.shape.last().is_none_or(|&last| last == channels) {
        return Ok(Some(bias));
    }
    let there = node.here.tensor(node.name(2).unwrap_or_default());
    Err(there.shape(format!("a bias of shape {:?} for {channels} outputs", bias.shape)))
}

/// What stands before and behind the products with `weights`, for a result of that destination.
pub(super) fn accumulation<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    input: Quantisation,
    weights: &Weights,
    bias: Option<&Constant>,
    channels: usize,
    destination: &Destination,
) -> Result<Accumulation, ImportError> {
    let output = destination.quantisation;
    importer.charge(&node.here, channels.saturating_mul(size_of::<ChannelScale>() + size_of::<i32>()))?;
    let scales = node.here.channel_scales(input, &weights.scales, output, channels)?;
    let (minimum, maximum) = destination.bounds.range(&node.here, output)?;
    let bias = bias.map(|bias| in_accumulators(node, bias, input, &weights.scales, channels)).transpose()?;
    Ok(Accumulation {
        bias,
        input_zero_point: input.zero_point,
        scales,
        output_zero_point: output.zero_point,
        minimum,
        maximum,
        rounding: Rounding::Double,
    })
}

/// The bias in units of the accumulators: as it is, where it has their scales, else rounded to them.
fn in_accumulators(
    node: &Node<'_>,
    bias: &Constant,
    input: Quantisation,
    weights: &[f32],
    channels: usize,
) -> Result<Vec<i32>, ImportError> {
    let one = |channel: usize| {
        let weights = weights.get(channel).or(weights.first()).copied().unwrap_or(1.0);
        let unit = f64::from(input.scale) * f64::from(weights);
        if let (Data::Int32(values), Some(scaling)) = (&*bias.data, &bias.scaling) {
            let scale = scaling.scales.get(channel).or(scaling.scales.first()).copied().unwrap_or(1.0);
            if (f64::from(scale) / unit - 1.0).abs() <= BIAS_SCALE_TOLERANCE {
                return Ok(values[channel]);
            }
        }
        let real = bias.real(channel).ok_or_else(|| {
            let feature = format!("a bias of type {} without a scale", bias.data.name());
            node.here.unsupported(feature, "leave the bias in floating point, or dequantise it from INT32")
        })?;
        let rounded = (real / unit).round_ties_even();
        if rounded.abs() <= f64::from(i32::MAX) {
            return Ok(rounded as i32);
        }
        Err(node.here.quantisation(format!("a bias of {real} in units of {unit:e}, which 32 bits do not hold")))
    };
    (0..channels).map(one).collect()
}
