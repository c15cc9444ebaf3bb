//! `STRIDED_SLICE`, `SPLIT` and `SPLIT_V`: parts of a tensor. Each output of a split is a slice of its own.

use super::{ImportError, Imported, Node, Operator, Tensors, resolve_axis};
use crate::graph::{OperatorKind, Slice};
use crate::import::range::Range;
use crate::import::tflite::names::element;

pub(super) fn strided_slice(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 4)?;
    let options = here.sound(node.operator.strided_slice_options())?;
    let options = options.ok_or_else(|| here.damaged("the operator has no options"))?;
    let masks =
        (here.sound(options.ellipsis_mask())?, here.sound(options.new_axis_mask())?, here.sound(options.offset())?);
    if masks != (0, 0, 0) {
        return Err(here.unsupported(
            "a slice with an ellipsis, new axes, or an end relative to its begin",
            "write out the ranges of all axes, and add axes with RESHAPE",
        ));
    }
    let begin = node.integers(tensors, 1, "begin")?;
    let end = node.integers(tensors, 2, "end")?;
    let strides = node.integers(tensors, 3, "strides")?;
    let (begin_mask, end_mask) = (here.sound(options.begin_mask())?, here.sound(options.end_mask())?);
    let shrink_mask = here.sound(options.shrink_axis_mask())?;
    let (input, output) = (tensors.tensor(single.input), tensors.tensor(single.output));
    let rank = input.shape.len();
    if (begin.len(), end.len(), strides.len()) != (rank, rank, rank) {
        let why = format!("ranges for {}, {} and {} of {rank} axes", begin.len(), end.len(), strides.len());
        return Err(here.shape(why));
    }
    let mut slice = Slice { start: vec![], stride: vec![], size: vec![] };
    let mut shape = Vec::new();
    for axis in 0..rank {
        let has = |mask: i32| mask & (1 << axis) != 0;
        let range = Range {
            begin: (!has(begin_mask)).then_some(begin[axis].into()),
            end: (!has(end_mask)).then_some(end[axis].into()),
            stride: strides[axis].into(),
            one: has(shrink_mask),
        };
        let (start, size) = range.resolve(input.shape[axis] as i64).ok_or_else(|| {
            here.shape(format!(
                "a slice from {} to {} in steps of {} of axis {axis}, which has {} elements: nothing is left",
                begin[axis], end[axis], strides[axis], input.shape[axis]
            ))
        })?;
        slice.start.push(start);
        slice.stride.push(strides[axis] as isize);
        slice.size.push(size);
        if !range.one {
            shape.push(size);
        }
    }
    node.expect_shape(output, &shape)?;
    node.one(OperatorKind::Slice(slice), &single)
}

pub(super) fn split(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    parts(node, tensors, 1, 0, 2)
}

pub(super) fn split_v(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    parts(node, tensors, 0, 2, 3)
}

/// One slice for each output, one behind the other along the axis; as long as the outputs say, as in tflite-micro. `input`
/// and `axis` are positions among `most` inputs.
fn parts(node: &Node<'_>, tensors: &mut Tensors<'_>, input: usize, axis: usize, most: usize) -> Imported {
    let here = node.here;
    node.counts(most, node.outputs.len().max(1))?;
    let input = tensors.read(here, node.input(input)?, &[element::INT8], "input")?;
    let axis = node.integers(tensors, axis, "axis")?;
    let shape = tensors.tensor(input).shape.clone();
    let rank = shape.len();
    let &[axis] = axis.as_slice() else {
        return Err(here.shape(format!("{} axes to split along instead of one", axis.len())));
    };
    let axis = resolve_axis(here, axis, rank)?;
    let mut operators: Vec<Operator> = Vec::with_capacity(node.outputs.len());
    let mut next = 0;
    for &output in &node.outputs {
        let name = tensors.name(output);
        let output = tensors.write(here, output, &[element::INT8])?;
        let size = tensors.tensor(output).shape.get(axis).copied().unwrap_or(0);
        let mut wanted = shape.clone();
        wanted[axis] = size;
        node.expect_shape(tensors.tensor(output), &wanted)?;
        let mut start = vec![0; rank];
        start[axis] = next;
        next = usize::saturating_add(next, size);
        check_end(node, next, shape[axis])?;
        let slice = Slice { start, stride: vec![1; rank], size: wanted };
        operators.push(Operator { name, ..node.operator(OperatorKind::Slice(slice), vec![input], output) });
    }
    if next != shape[axis] {
        return Err(here.shape(format!("parts of {next} elements together, but axis {axis} has {}", shape[axis])));
    }
    Ok(operators)
}

fn check_end(node: &Node<'_>, end: usize, size: usize) -> Result<(), ImportError> {
    if end <= size { Ok(()) } else { Err(node.here.shape(format!("parts up to element {end} of {size}"))) }
}
