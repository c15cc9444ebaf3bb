//! `AVERAGE_POOL_2D`, `MAX_POOL_2D` and `MEAN`.

use lpu_isa::arithmetic::Activation;

use super::window::{Options, image, window};
use super::{Imported, Node, Tensors, resolve_axis};
use crate::graph::{OperatorKind, Pool, PoolFunction};

pub(super) fn average_pool(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    pool(node, tensors, PoolFunction::Average)
}

pub(super) fn max_pool(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    pool(node, tensors, PoolFunction::Maximum)
}

fn pool(node: &Node<'_>, tensors: &mut Tensors<'_>, function: PoolFunction) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 1)?;
    let options =
        here.sound(node.operator.pool_2d_options())?.ok_or_else(|| here.damaged("the operator has no options"))?;
    let activation = node.activation(here.sound(options.fused_activation_function())?)?;
    let (input, channels) = image(node, tensors.tensor(single.input))?;
    let size = (here.sound(options.filter_height())?, here.sound(options.filter_width())?);
    let (Ok(rows @ 1..), Ok(columns @ 1..)) = (usize::try_from(size.0), usize::try_from(size.1)) else {
        return Err(here.shape(format!("a window of {}×{}", size.0, size.1)));
    };
    let options = Options {
        padding: here.sound(options.padding())?,
        size: (rows, columns),
        stride: (here.sound(options.stride_h())?, here.sound(options.stride_w())?),
        dilation: (1, 1),
    };
    let (window, output) = window(node, &options, input)?;
    node.expect_shape(tensors.tensor(single.output), &[1, output.rows, output.columns, channels])?;
    let output = tensors.tensor(single.output).quantisation;
    node.same_scale(tensors.tensor(single.input).quantisation, output)?;
    let (minimum, maximum) = node.range(activation, output)?;
    node.one(OperatorKind::Pool(Pool { function, window, minimum, maximum }), &single)
}

pub(super) fn mean(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 2)?;
    let axes = node.integers(tensors, 1, "axes")?;
    let (input, output) = (tensors.tensor(single.input), tensors.tensor(single.output));
    let rank = input.shape.len();
    let mut axes = axes.into_iter().map(|axis| resolve_axis(here, axis, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let count: usize = axes.iter().map(|&axis| input.shape[axis]).product();
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| input.shape[axis]).collect();
    let squeezed = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    if squeezed(&kept) != squeezed(&output.shape) {
        return Err(here.shape(format!(
            "an output of shape {:?} for a mean over the axes {axes:?} of shape {:?}",
            output.shape, input.shape
        )));
    }
    let (input, output) = (input.quantisation, output.quantisation);
    let range = node.range(Activation::None, output)?;
    node.one(OperatorKind::Mean(here.mean(axes, count, input, output, range)?), &single)
}
