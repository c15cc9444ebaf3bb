//! `Pad`, `Concat`, `Split` and `Slice`: elements move. Each keeps the scale of what it reads.

use std::rc::Rc;

use super::super::destination::{Bounds, Destination, Fusion};
use super::super::layout::{Layout, channels_last, identity, permuted};
use super::super::node::Node;
use super::super::value::{Activation, Constant, Data, Scaling, Value};
use super::super::{Form, ImportError, Importer, ORDER, QUANTISE};
use super::{resolve_axes, resolve_axis};
use crate::graph::{Concatenation, Element, ElementwiseFunction, OperatorKind, Pad, Quantisation, Slice};
use crate::import::range::Range;

/// The order of an operand's axes in memory.
fn order<'a>(importer: &Importer<'a>, node: &Node<'a>, of: &Activation) -> Result<Vec<usize>, ImportError> {
    importer.order(of).ok_or_else(|| node.here.unsupported("elements whose axes do not stand apart in memory", ORDER))
}

pub(super) fn pad<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(4, &["mode", "pads", "value"])?;
    let here = &node.here;
    let mode = node.text("mode", "constant");
    if mode != b"constant" {
        return Err(here.unsupported(
            format!("padding of mode \"{}\"", mode.escape_ascii()),
            "pad with a constant: reflections and repeated edges are not lowered",
        ));
    }
    let input = node.activation(importer, 0)?;
    let rank = input.shape.len();
    let axes = match node.listed(importer, "axes", 3)? {
        Some(axes) => axes.iter().map(|&axis| resolve_axis(here, axis, rank)).collect::<Result<_, _>>()?,
        None => identity(rank),
    };
    let pads = node.listed(importer, "pads", 1)?.unwrap_or_default();
    let sizes: Option<Vec<usize>> =
        pads.iter().map(|&size| u32::try_from(size).ok().map(|size| size as usize)).collect();
    let Some(sizes) = sizes.filter(|sizes| sizes.len() == 2 * axes.len()) else {
        return Err(here.unsupported(
            format!("padding of {pads:?} for shape {:?}: two numbers from 0 are needed for each axis", input.shape),
            "cut with Slice instead of padding below zero",
        ));
    };
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (place, &axis) in axes.iter().enumerate() {
        (before[axis], after[axis]) = (sizes[place], sizes[axes.len() + place]);
    }
    let outside = importer.outside(&input);
    let value = filling(importer, node, outside, input.integer)?;
    let order = order(importer, node, &input)?;
    let pad = Pad { before: permuted(&before, &order), after: permuted(&after, &order), value };
    let shape: Vec<usize> =
        (0..rank).map(|axis| input.shape[axis].saturating_add(before[axis] + after[axis])).collect();
    if shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size)).is_none() {
        return Err(here.shape(format!("padding of {pads:?}, which makes more than can be counted")));
    }
    let tensor = importer.view(here, &input, &permuted(&input.shape, &order))?;
    let name = node.output()?;
    let result = importer.emit(node, name, OperatorKind::Pad(pad), vec![tensor], Form::of(shape, &order), outside)?;
    importer.put(name, Value::Activation(Activation { integer: input.integer, ..result }));
    Ok(())
}

/// What a `Pad` puts around a tensor, as int8: a real number in the tensor's scale, or an integer as it is.
fn filling<'a>(
    importer: &Importer<'a>,
    node: &Node<'a>,
    (quantisation, element): (Quantisation, Element),
    integer: bool,
) -> Result<i8, ImportError> {
    let constant = node.constant(importer, 2, "padding")?;
    let one = |value: Option<f64>| {
        value.ok_or_else(|| node.here.damaged("padding with what is not one number of the tensor's type"))
    };
    if integer {
        let lower = if element == Element::Uint8 { 128 } else { 0 };
        let value = match constant.as_ref().map(|constant| (&*constant.data, constant.data.len())) {
            None => Some(0.0),
            Some((Data::Int8(values), 1)) if lower == 0 => Some(values[0].into()),
            Some((Data::Uint8(values), 1)) if lower == 128 => Some(values[0].into()),
            _ => None,
        };
        return Ok((one(value)? - f64::from(lower)) as i8);
    }
    let real = match constant {
        None => Some(node.number("value", 0.0).into()),
        Some(constant) => constant.real(0).filter(|_| constant.data.len() == 1),
    };
    let value = (one(real)? / f64::from(quantisation.scale)).round_ties_even() + f64::from(quantisation.zero_point);
    // The cast makes 0 of what is no number.
    Ok(value.clamp(-128.0, 127.0) as i8)
}

pub(super) fn concatenation<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(usize::MAX, &["axis"])?;
    let here = &node.here;
    let mut operands = Vec::new();
    for number in 0..node.file.input.len() {
        operands.push(match node.name(number).and_then(|name| importer.values.get(name)) {
            Some(Value::Constant(constant)) => Value::Constant(constant.clone()),
            _ => Value::Activation(node.activation(importer, number)?),
        });
    }
    let activations = || {
        operands.iter().filter_map(|operand| match operand {
            Value::Activation(activation) => Some(activation),
            Value::Constant(_) => None,
        })
    };
    let Some(first) = activations().next() else {
        return Err(here.unsupported("an operator on constants", super::super::FOLD));
    };
    let (rank, mut joined) = (first.shape.len(), first.shape.clone());
    let axis = resolve_axis(here, node.attribute("axis").map_or(0, |axis| axis.i.unwrap_or(0)), rank)?;
    joined[axis] = 0;
    for operand in &operands {
        let shape = match operand {
            Value::Activation(activation) => &activation.shape,
            Value::Constant(constant) => &constant.shape,
        };
        if shape.len() != rank
            || shape.contains(&0)
            || (0..rank).any(|other| other != axis && shape[other] != first.shape[other])
        {
            let why = format!("shapes {:?} and {shape:?}, which differ beside axis {axis}", first.shape);
            return Err(here.shape(why));
        }
        joined[axis] = joined[axis].saturating_add(shape[axis]);
    }
    let own: Vec<Vec<usize>> = activations().filter_map(|activation| importer.order(activation)).collect();
    let stands = |order: &Vec<usize>| activations().all(|of| Layout::of(&of.shape, order) == of.layout);
    let order = own.into_iter().chain([channels_last(rank), identity(rank)]).find(stands);
    let order = order.ok_or_else(|| here.unsupported("parts whose elements stand in different orders", ORDER))?;
    let name = node.output()?;
    let (integer, first) = (first.integer, importer.outside(first));
    if activations().any(|of| of.integer != integer) {
        return Err(here.damaged("parts of which some are integers and others are not"));
    }
    let found = if integer { None } else { importer.destination(node, name, Fusion::None)? };
    let to = match found {
        // Integers stay what they are.
        None if integer => first,
        Some(Destination { quantisation, element, .. }) => (quantisation, element),
        None if activations().all(|of| importer.quantisation(of) == first.0) => first,
        None => return Err(here.unsupported("parts of different scales whose whole is not quantised", QUANTISE)),
    };
    let mut tensors = Vec::new();
    for (number, operand) in operands.iter().enumerate() {
        let part = match operand {
            Value::Activation(activation) => activation.clone(),
            Value::Constant(constant) => {
                let bare = || Scaling { scales: vec![first.0.scale], zero_points: vec![first.0.zero_point], axis: 0 };
                let constant = &match (&constant.scaling, integer) {
                    (None, true) => Constant { scaling: Some(Rc::new(bare())), ..constant.clone() },
                    _ => constant.clone(),
                };
                let tensor = importer.constant_operand(node, number, constant, &order)?;
                let (shape, layout) = (constant.shape.clone(), Layout::of(&constant.shape, &order));
                Activation { tensor, shape, layout, integer: false }
            }
        };
        // Each part comes in the whole's scale.
        let part = if integer || importer.quantisation(&part) == to.0 {
            part
        } else {
            let between = format!("{name}/part_{number}");
            importer.rescaled(node, &between, &part, to, Bounds::NONE, ElementwiseFunction::Quantize)?
        };
        tensors.push(importer.view(here, &part, &permuted(&part.shape, &order))?);
    }
    let place = order.iter().position(|&stored| stored == axis).unwrap_or(axis);
    let kind = OperatorKind::Concatenation(Concatenation { axis: place });
    let result = importer.emit(node, name, kind, tensors, Form::of(joined, &order), to)?;
    importer.put(name, Value::Activation(Activation { integer, ..result }));
    Ok(())
}

/// The part of `input` that begins at `start`, in steps of `stride`, of shape `size`, all along ONNX's axes.
fn part<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    input: &Activation,
    name: &'a str,
    [start, size]: [Vec<usize>; 2],
    stride: Vec<isize>,
) -> Result<(), ImportError> {
    let order = order(importer, node, input)?;
    let tensor = importer.view(&node.here, input, &permuted(&input.shape, &order))?;
    let slice =
        Slice { start: permuted(&start, &order), stride: permuted(&stride, &order), size: permuted(&size, &order) };
    let (outside, form) = (importer.outside(input), Form::of(size, &order));
    let result = importer.emit(node, name, OperatorKind::Slice(slice), vec![tensor], form, outside)?;
    importer.put(name, Value::Activation(Activation { integer: input.integer, ..result }));
    Ok(())
}

pub(super) fn split<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(2, &["axis", "num_outputs", "split"])?;
    let here = &node.here;
    let input = node.activation(importer, 0)?;
    let rank = input.shape.len();
    let axis = resolve_axis(here, node.integer("axis", 0), rank)?;
    let (whole, parts) = (input.shape[axis], node.file.output.len());
    let sizes = match node.listed(importer, "split", 1)? {
        Some(sizes) => sizes.into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect(),
        // The last one may be smaller.
        None => {
            let each = whole.div_ceil(parts.max(1));
            (0..parts).map(|part| whole.saturating_sub(part * each).min(each)).collect::<Vec<_>>()
        }
    };
    let total = sizes.iter().try_fold(0_usize, |total, &size| total.checked_add(size));
    if sizes.len() != parts || total != Some(whole) || sizes.contains(&0) {
        return Err(
            here.shape(format!("parts of {sizes:?} in {parts} outputs of axis {axis}, which has {whole} elements"))
        );
    }
    let mut begin = 0;
    for (name, part_size) in node.file.output.iter().zip(sizes) {
        let (mut start, mut size) = (vec![0; rank], input.shape.clone());
        (start[axis], size[axis]) = (begin, part_size);
        begin += part_size;
        if !name.is_empty() {
            part(importer, node, &input, name, [start, size], vec![1; rank])?;
        }
    }
    Ok(())
}

pub(super) fn slice<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(5, &["starts", "ends", "axes", "steps"])?;
    let here = &node.here;
    let input = node.activation(importer, 0)?;
    let rank = input.shape.len();
    let needed = |name: &str, number: usize| {
        node.listed(importer, name, number)?.ok_or_else(|| here.damaged(format!("the operator has no {name}")))
    };
    let (starts, ends) = (needed("starts", 1)?, needed("ends", 2)?);
    let axes = match node.listed(importer, "axes", 3)? {
        Some(axes) => {
            resolve_axes(here, &axes, rank)?;
            axes.iter().map(|&axis| resolve_axis(here, axis, rank)).collect::<Result<Vec<_>, _>>()?
        }
        None => (0..starts.len().min(rank)).collect(),
    };
    let steps = node.listed(importer, "steps", 4)?.unwrap_or_else(|| vec![1; axes.len()]);
    if (starts.len(), ends.len(), steps.len()) != (axes.len(), axes.len(), axes.len()) {
        let why = format!(
            "ranges of {} starts, {} ends and {} steps for {} axes",
            starts.len(),
            ends.len(),
            steps.len(),
            axes.len()
        );
        return Err(here.shape(why));
    }
    let (mut start, mut size, mut stride) = (vec![0; rank], input.shape.clone(), vec![1; rank]);
    for (place, &axis) in axes.iter().enumerate() {
        let range = Range { begin: Some(starts[place]), end: Some(ends[place]), stride: steps[place], one: false };
        let found = range
            .resolve(input.shape[axis] as i64)
            .and_then(|found| Some((found, isize::try_from(steps[place]).ok()?)));
        let Some(((begin, count), step)) = found else {
            return Err(here.shape(format!(
                "a slice from {} to {} in steps of {} of axis {axis}, which has {} elements: nothing is left",
                starts[place], ends[place], steps[place], input.shape[axis]
            )));
        };
        // How far it is to the next one is nothing to one alone, and may be beyond counting.
        let step = if count == 1 && i32::try_from(step).is_err() { 1 } else { step };
        (start[axis], size[axis], stride[axis]) = (begin, count, step);
    }
    part(importer, node, &input, node.output()?, [start, size], stride)
}
