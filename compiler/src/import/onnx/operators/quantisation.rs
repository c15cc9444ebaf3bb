//! `QuantizeLinear` and `DequantizeLinear`: between integers and what they stand for. On the graph's side uint8 is int8, 128 lower.

use std::rc::Rc;

use super::super::destination::Bounds;
use super::super::node::Node;
use super::super::schema::data_type;
use super::super::value::{Activation, Constant, Data, Scaling, Value};
use super::super::{Form, ImportError, Importer};
use super::{operand, resolve_axis};
use crate::graph::{Element, ElementwiseFunction, OperatorKind};

/// Scales of one tensor, at most.
const SCALE_LIMIT: usize = 1 << 16;

/// What a `QuantizeLinear` or `DequantizeLinear` says about the integers. Zero points are those of int8.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Parameters {
    pub(in super::super) scaling: Scaling,
    pub(in super::super) element: Element,
}

/// Scales and zero points of `node`, which quantises or dequantises int8 or uint8.
pub(in super::super) fn parameters<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Parameters, ImportError> {
    let (scaling, zero_points) = stored(importer, node)?;
    let here = &node.here;
    let (element, zero_points) = match zero_points.as_deref() {
        Some(Data::Int8(values)) => (Element::Int8, values.iter().map(|&value| value.into()).collect()),
        Some(Data::Uint8(values)) => (Element::Uint8, values.iter().map(|&value| i32::from(value) - 128).collect()),
        // Without a zero point the type is that of the input, and that of the output is UINT8 unless the node says other.
        None => match (node.file.op_type.as_str(), node.integer("output_dtype", 0) as i32) {
            ("QuantizeLinear", data_type::INT8) => (Element::Int8, vec![0; scaling.scales.len()]),
            ("QuantizeLinear", 0 | data_type::UINT8) => (Element::Uint8, vec![-128; scaling.scales.len()]),
            ("QuantizeLinear", _) => return Err(width(node)),
            // An input of the network, or what another node has quantised: see `dequantize`.
            _ => (Element::Int8, scaling.zero_points.clone()),
        },
        Some(_) => return Err(width(node)),
    };
    if zero_points.len() != scaling.scales.len() {
        return Err(here.quantisation(format!(
            "{} scales, but {} zero points",
            scaling.scales.len(),
            zero_points.len()
        )));
    }
    Ok(Parameters { scaling: Scaling { zero_points, ..scaling }, element })
}

fn width(node: &Node<'_>) -> ImportError {
    node.here.unsupported(
        "integers other than INT8 and UINT8",
        "quantise activations and weights to eight bits (activation_type and weight_type QuantType.QInt8)",
    )
}

/// Scales (with zero points of 0), and the zero points as they are stored. The axis is not resolved yet: it is that of a
/// constant only.
fn stored<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<(Scaling, Option<Rc<Data>>), ImportError> {
    node.only(3, &["axis", "saturate", "block_size", "output_dtype", "precision"])?;
    let here = &node.here;
    if node.integer("block_size", 0) != 0 {
        return Err(here.unsupported(
            "quantisation in blocks",
            "quantise with one scale for each tensor, or for each output channel of the weights",
        ));
    }
    let scales = node.constant(importer, 1, "scale")?.ok_or_else(|| here.damaged("the operator has no scale"))?;
    let Data::Float(scales) = &*scales.data else {
        return Err(here.unsupported(
            format!("scales of type {} instead of FLOAT", scales.data.name()),
            "quantise a network of 32-bit floating point",
        ));
    };
    if scales.is_empty() || scales.len() > SCALE_LIMIT {
        return Err(here.quantisation(format!("{} scales instead of 1 to {SCALE_LIMIT}", scales.len())));
    }
    if let Some(scale) = scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
        return Err(here.quantisation(format!("a scale of {scale}, which is not a positive number")));
    }
    let zero_points = node.constant(importer, 2, "zero point")?.map(|constant| constant.data);
    Ok((Scaling { zero_points: vec![0; scales.len()], scales: scales.clone(), axis: 0 }, zero_points))
}

/// The axis of the scales of `constant`, which must be as many as it has elements along it.
fn along<'a>(node: &Node<'a>, scaling: Scaling, constant: &Constant) -> Result<Scaling, ImportError> {
    if scaling.scales.len() == 1 {
        return Ok(scaling);
    }
    let axis = resolve_axis(&node.here, node.integer("axis", 1), constant.shape.len())?;
    if constant.shape[axis] == scaling.scales.len() {
        return Ok(Scaling { axis, ..scaling });
    }
    Err(node.here.quantisation(format!(
        "{} scales along axis {axis} of a constant of shape {:?}",
        scaling.scales.len(),
        constant.shape
    )))
}

pub(super) fn quantize<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let from = node.real(importer, 0)?;
    let Parameters { scaling, element } = parameters(importer, node)?;
    let Some(to) = scaling.single() else {
        return Err(node.here.quantisation("several scales on an activation instead of one"));
    };
    let name = node.output()?;
    let quantised = importer.rescaled(node, name, &from, (to, element), Bounds::NONE, ElementwiseFunction::Quantize)?;
    importer.put(name, Value::Activation(Activation { integer: true, ..quantised }));
    Ok(())
}

pub(super) fn dequantize<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let from = node.activation(importer, 0)?;
    if !from.integer {
        return Err(node.here.damaged("the operator dequantises what is no integer"));
    }
    let Parameters { scaling, .. } = parameters(importer, node)?;
    let Some(mut wanted) = scaling.single() else {
        return Err(node.here.quantisation("several scales on an activation instead of one"));
    };
    let (found, element) = importer.outside(&from);
    if node.name(2).is_none() && element == Element::Uint8 {
        // No zero point is one of 0, which stands 128 lower.
        wanted.zero_point = -128;
    }
    let mut real = Activation { integer: false, ..from };
    if wanted != found {
        // The same integers stand for something else from here on.
        let name = node.output()?;
        let form = Form::like(&real, &importer.tensor(real.tensor).shape);
        real = importer.emit(node, name, OperatorKind::Reshape, vec![real.tensor], form, (wanted, element))?;
    }
    importer.put(node.output()?, Value::Activation(real));
    Ok(())
}

/// The integers of a constant of real numbers: rounded to nearest, halves to even, as ONNX says.
pub(super) fn quantize_constant<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Constant, ImportError> {
    let constant = operand(importer, node)?;
    let Parameters { scaling, element } = parameters(importer, node)?;
    let scaling = along(node, scaling, &constant)?;
    let Data::Float(values) = &*constant.data else {
        return Err(node.here.damaged(format!("the operator quantises a constant of type {}", constant.data.name())));
    };
    let inner: usize = constant.shape.iter().skip(scaling.axis + 1).product();
    let integer = |(index, &value): (usize, &f32)| {
        let channel = if scaling.scales.len() == 1 { 0 } else { index / inner % scaling.scales.len() };
        // The cast saturates, and makes 0 of what is no number.
        let rounded = (value / scaling.scales[channel]).round_ties_even() as i32;
        rounded.saturating_add(scaling.zero_points[channel]).clamp(-128, 127) as i8
    };
    let values = values.iter().enumerate().map(integer);
    let data = match element {
        Element::Int8 => Data::Int8(values.collect()),
        Element::Uint8 => Data::Uint8(values.map(|value| value as u8 ^ 0x80).collect()),
    };
    Ok(Constant { shape: constant.shape, data: Rc::new(data), scaling: None })
}

/// A constant of integers with what they stand for; uint8 becomes int8.
pub(super) fn dequantize_constant<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Constant, ImportError> {
    let constant = operand(importer, node)?;
    let (scaling, zero_points) = stored(importer, node)?;
    let (data, zero_points): (_, Vec<i32>) = match (&*constant.data, zero_points.as_deref()) {
        (Data::Int8(_), Some(Data::Int8(zeros))) => (constant.data, zeros.iter().map(|&zero| zero.into()).collect()),
        (Data::Int8(_) | Data::Int32(_), None) => (constant.data, scaling.zero_points.clone()),
        (Data::Uint8(values), zeros @ (None | Some(Data::Uint8(_)))) => {
            let lower = Data::Int8(values.iter().map(|&value| (value ^ 0x80) as i8).collect());
            let zeros = match zeros {
                Some(Data::Uint8(zeros)) => zeros.iter().map(|&zero| i32::from(zero) - 128).collect(),
                _ => vec![-128; scaling.scales.len()],
            };
            (Rc::new(lower), zeros)
        }
        (Data::Int32(_), Some(Data::Int32(zeros))) if zeros.iter().all(|&zero| zero == 0) => {
            (constant.data, zeros.clone())
        }
        (data, zeros) => {
            let zeros = zeros.map_or("none", Data::name);
            return Err(node
                .here
                .quantisation(format!("a constant of type {} with a zero point of type {zeros}", data.name())));
        }
    };
    if zero_points.len() != scaling.scales.len() {
        let why = format!("{} scales, but {} zero points", scaling.scales.len(), zero_points.len());
        return Err(node.here.quantisation(why));
    }
    let constant = Constant { data, ..constant };
    let scaling = along(node, Scaling { zero_points, ..scaling }, &constant)?;
    Ok(Constant { scaling: Some(Rc::new(scaling)), ..constant })
}
