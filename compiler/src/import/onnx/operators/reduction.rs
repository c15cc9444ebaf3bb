//! Pools and means.

use super::super::destination::{Destination, Fusion};
use super::super::layout::permuted;
use super::super::node::Node;
use super::super::value::{Activation, Value};
use super::super::{Form, ImportError, Importer, ORDER};
use super::resolve_axes;
use super::window::{Windows, image, plane, windows};
use crate::graph::{ElementwiseFunction, OperatorKind, Pad, Padding, Plane, Pool, PoolFunction, Window};

pub(super) fn average_pool<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"])?;
    pool(importer, node, PoolFunction::Average)
}

pub(super) fn max_pool<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"])?;
    pool(importer, node, PoolFunction::Maximum)
}

fn pool<'a>(importer: &mut Importer<'a>, node: &Node<'a>, function: PoolFunction) -> Result<(), ImportError> {
    let here = &node.here;
    let input = node.real(importer, 0)?;
    let mut image = image(importer, node, &input)?;
    let kernel = node.integers("kernel_shape").unwrap_or_default();
    let size = plane(kernel, image.rank - 2).ok_or_else(|| here.shape(format!("windows of {kernel:?}")))?;
    let Windows { mut window, output, beyond } = windows(node, &image, size)?;
    if window.dilation != Plane::ONE {
        return Err(here.unsupported("a pool with dilation", "pool without dilation: a convolution can have one"));
    }
    let Padding { top, bottom, left, right } = window.padding;
    if function == PoolFunction::Average
        && node.integer("count_include_pad", 0) != 0
        && window.padding != Padding::default()
    {
        if beyond {
            return Err(here.unsupported(
                "an average with padding and with windows beyond it (count_include_pad and ceil_mode)",
                "leave out one of the two",
            ));
        }
        // What counts is put there: zeros.
        let (quantisation, element) = importer.outside(&input);
        let pad = Pad {
            before: vec![0, top, left, 0],
            after: vec![0, bottom, right, 0],
            value: quantisation.zero_point as i8,
        };
        let too_large = || here.shape("padding that makes more than can be counted");
        let stored =
            pad.output_shape(&[1, image.size.rows, image.size.columns, image.channels]).ok_or_else(too_large)?;
        image.size = Plane { rows: stored[1], columns: stored[2] };
        window.padding = Padding::default();
        let form = image.form(image.channels, image.size);
        let name = format!("{}/padded", node.output()?);
        let inputs = vec![image.tensor];
        image.tensor =
            importer.emit(node, &name, OperatorKind::Pad(pad), inputs, form, (quantisation, element))?.tensor;
    }
    let form = image.form(image.channels, output);
    finish(importer, node, &input, function, (window, image.tensor), form)
}

pub(super) fn global_max_pool<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &[])?;
    let input = node.real(importer, 0)?;
    let image = image(importer, node, &input)?;
    let window = Window { size: image.size, ..Window::POINT };
    let form = image.form(image.channels, Plane::ONE);
    finish(importer, node, &input, PoolFunction::Maximum, (window, image.tensor), form)
}

/// The pool, in the input's scale, and a change of scale behind it where the file wants another.
fn finish<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    input: &Activation,
    function: PoolFunction,
    (window, tensor): (Window, crate::graph::TensorId),
    form: Form,
) -> Result<(), ImportError> {
    let name = node.output()?;
    // A maximum is one of the input's numbers, so that nothing needs to quantise it.
    let destination = match function {
        PoolFunction::Maximum => importer.destination(node, name, Fusion::Clamps)?,
        PoolFunction::Average => Some(importer.quantised(node, Fusion::Clamps)?),
    };
    let outside = importer.outside(input);
    let same = destination.as_ref().is_none_or(|to| to.quantisation == outside.0);
    let bounds = destination.as_ref().filter(|_| same).map(|to| to.bounds);
    let (minimum, maximum) = bounds.map_or(Ok((-128, 127)), |bounds| bounds.range(&node.here, outside.0))?;
    let kind = OperatorKind::Pool(Pool { function, window, minimum, maximum });
    let unscaled = format!("{name}/unscaled");
    let result = importer.emit(node, if same { name } else { &unscaled }, kind, vec![tensor], form, outside)?;
    let result = match destination {
        Some(Destination { quantisation, element, bounds, .. }) if !same => {
            importer.rescaled(node, name, &result, (quantisation, element), bounds, ElementwiseFunction::Quantize)?
        }
        _ => result,
    };
    importer.put(name, Value::Activation(result));
    Ok(())
}

pub(super) fn global_average_pool<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &[])?;
    let input = node.real(importer, 0)?;
    let axes = (2..input.shape.len().max(2)).collect();
    average(importer, node, &input, axes, true)
}

pub(super) fn mean<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(2, &["axes", "keepdims", "noop_with_empty_axes"])?;
    let input = node.real(importer, 0)?;
    let axes = node.listed(importer, "axes", 1)?.unwrap_or_default();
    let mut axes = resolve_axes(&node.here, &axes, input.shape.len())?;
    if axes.is_empty() && node.integer("noop_with_empty_axes", 0) == 0 {
        axes = (0..input.shape.len()).collect();
    }
    average(importer, node, &input, axes, node.integer("keepdims", 1) != 0)
}

/// The mean over `axes`, which stay with size 1 if `keep`.
fn average<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    input: &Activation,
    axes: Vec<usize>,
    keep: bool,
) -> Result<(), ImportError> {
    let here = &node.here;
    let order = importer.order(input);
    let order = order.ok_or_else(|| here.unsupported("a mean over axes that do not stand apart in memory", ORDER))?;
    let Destination { quantisation, element, bounds, .. } = importer.quantised(node, Fusion::Clamps)?;
    let tensor = importer.view(here, input, &permuted(&input.shape, &order))?;
    let count: usize = axes.iter().map(|&axis| input.shape[axis]).product();
    let stored_axes = (0..order.len()).filter(|&place| axes.contains(&order[place])).collect();
    let (from, range) = (importer.quantisation(input), bounds.range(here, quantisation)?);
    let kind = OperatorKind::Mean(here.mean(stored_axes, count, from, quantisation, range)?);
    let size = |axis: usize| if axes.contains(&axis) { 1 } else { input.shape[axis] };
    let kept: Vec<usize> = (0..order.len()).map(size).collect();
    let mut form = Form::of(kept, &order);
    if !keep {
        let stays = |axis: &usize| !axes.contains(axis);
        form.stored = order.iter().copied().filter(stays).map(|axis| input.shape[axis]).collect();
        form.shape = (0..order.len()).filter(stays).map(|axis| input.shape[axis]).collect();
    }
    let name = node.output()?;
    let result = importer.emit(node, name, kind, vec![tensor], form, (quantisation, element))?;
    importer.put(name, Value::Activation(result));
    Ok(())
}
