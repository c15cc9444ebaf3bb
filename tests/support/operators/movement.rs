//! Operators that move elements.

use super::draft::{Draft, Scale, any_shape};
use crate::random::Random;
use crate::tflite_writer::{Model, Operator, Options, Tensor, code};

fn scale(random: &mut Random) -> Scale {
    Scale::near(random, 0.05)
}

pub(super) fn reshape(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 6);
    let elements = shape.iter().product::<usize>();
    let shapes = [vec![elements], vec![1, elements], vec![elements, 1], shape.iter().rev().copied().collect()];
    let output = &shapes[random.below(4)];
    let scale = scale(random);
    let mut draft = Draft::new(&shape, scale);
    let mut inputs = vec![0];
    if random.coin() {
        let sizes: Vec<i32> = output.iter().map(|&size| size as i32).collect();
        inputs.push(draft.integers(&sizes));
    }
    let output = Tensor::activation("output", output, scale.0, scale.1);
    let output = draft.one(code::RESHAPE, &inputs, 0, Options::Plain, output);
    draft.model(output)
}

pub(super) fn pad(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 5);
    let amounts: Vec<[usize; 2]> = shape.iter().map(|_| [random.below(4), random.below(4)]).collect();
    let output: Vec<usize> = shape.iter().zip(&amounts).map(|(&size, [before, after])| size + before + after).collect();
    let scale = scale(random);
    let mut draft = Draft::new(&shape, scale);
    let pairs: Vec<i32> = amounts.iter().flatten().map(|&amount| amount as i32).collect();
    let constant = Tensor::integers("padding", &pairs);
    let amounts = draft.add(Tensor { shape: vec![shape.len() as i32, 2], ..constant });
    let output = Tensor::activation("output", &output, scale.0, scale.1);
    let output = draft.one(code::PAD, &[0, amounts], 0, Options::Plain, output);
    draft.model(output)
}

/// A concatenation of `parts`, and its output.
fn join(draft: &mut Draft, parts: &[i32], axis: i32, shape: &[usize], scale: Scale) -> i32 {
    let output = Tensor::activation("output", shape, scale.0, scale.1);
    draft.one(code::CONCATENATION, parts, 0, Options::Concatenation { axis }, output)
}

pub(super) fn concatenation(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 4);
    let (rank, axis) = (shape.len(), random.below(shape.len()));
    let scale = scale(random);
    let parts: Vec<(Vec<usize>, Scale)> = (0..random.within(2, 5))
        .map(|_| {
            let mut part = shape.clone();
            part[axis] = random.within(1, 4);
            (part, scale)
        })
        .collect();
    let mut output = shape;
    output[axis] = parts.iter().map(|(part, _)| part[axis]).sum();
    let elements = parts.iter().map(|(part, _)| part.iter().product::<usize>()).sum();
    let mut draft = Draft::new(&[1, elements], Scale(1.0, 0));
    let mut operands = draft.operands(&parts);
    if random.below(3) == 0 {
        operands.push(draft.constant(random, &parts[0].0, scale));
        output[axis] += parts[0].0[axis];
    }
    let axis = axis as i32 - if random.coin() { rank as i32 } else { 0 };
    let output = join(&mut draft, &operands, axis, &output, scale);
    draft.model(output)
}

/// Parts of equal size, put together in the opposite order.
pub(super) fn split(random: &mut Random) -> Model {
    let count = random.within(2, 5);
    let sizes = vec![random.within(1, 3); count];
    parts(random, &sizes, code::SPLIT)
}

/// Parts of any size, put together in the opposite order.
pub(super) fn split_v(random: &mut Random) -> Model {
    let count = random.within(2, 5);
    let sizes: Vec<usize> = (0..count).map(|_| random.within(1, 4)).collect();
    parts(random, &sizes, code::SPLIT_V)
}

fn parts(random: &mut Random, sizes: &[usize], operator: i32) -> Model {
    let mut shape = any_shape(random, 1, 4, 4);
    let (rank, axis) = (shape.len(), random.below(shape.len()));
    shape[axis] = sizes.iter().sum();
    let scale = scale(random);
    let mut draft = Draft::new(&shape, scale);
    let counted = axis as i32 - if random.coin() { rank as i32 } else { 0 };
    let counted = draft.integers(&[counted]);
    let inputs = if operator == code::SPLIT {
        vec![counted, 0]
    } else {
        let sizes: Vec<i32> = sizes.iter().map(|&size| size as i32).collect();
        vec![0, draft.integers(&sizes), counted]
    };
    let mut outputs: Vec<i32> = Vec::new();
    for &size in sizes {
        let mut part = shape.clone();
        part[axis] = size;
        outputs.push(draft.activation(&part, scale));
    }
    draft.apply(Operator::plain(operator, inputs, outputs.clone()));
    outputs.reverse();
    let output = join(&mut draft, &outputs, axis as i32, &shape, scale);
    draft.model(output)
}

pub(super) fn strided_slice(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 8);
    let rank = shape.len();
    let scale = scale(random);
    let (mut begin, mut end, mut strides, mut masks) = (vec![], vec![], vec![], [0; 5]);
    let mut output = Vec::new();
    // One axis stays, so that the output is no scalar.
    let stays = random.below(rank);
    for (axis, &size) in shape.iter().enumerate() {
        let bit = 1 << axis;
        if axis != stays && random.below(4) == 0 {
            // One element, which may be counted from behind; the end does not matter.
            let index = random.below(size) as i32;
            begin.push(if random.coin() { index - size as i32 } else { index });
            end.push(random.below(10) as i32);
            strides.push(1);
            masks[4] |= bit;
            continue;
        }
        let (first, last) = (random.below(size), random.below(size));
        let forwards = first <= last;
        let stride = random.within(1, 3);
        let mut count = first.abs_diff(last) / stride + 1;
        let (mut from, mut to) = (first as i32, if forwards { last as i32 + 1 } else { last as i32 - 1 });
        if random.below(3) == 0 {
            // From the end that the stride starts from.
            masks[0] |= bit;
            from = random.below(20) as i32 - 10;
            let start = if forwards { 0 } else { size - 1 };
            count = start.abs_diff(last) / stride + 1;
        } else if random.coin() {
            from -= size as i32;
        }
        // An end before the first element can only be said by the mask, or by a number far below.
        let masked = random.below(3) == 0;
        if masked || to < 0 {
            let start = if masks[0] & bit == 0 {
                first
            } else if forwards {
                0
            } else {
                size - 1
            };
            let last = if forwards { size - 1 } else { 0 };
            count = start.abs_diff(last) / stride + 1;
            if masked {
                masks[1] |= bit;
                to = random.below(20) as i32 - 10;
            } else {
                to = -100;
            }
        } else if (to as usize) < size && random.coin() {
            to -= size as i32;
        }
        begin.push(from);
        end.push(to);
        strides.push(if forwards { stride as i32 } else { -(stride as i32) });
        output.push(count);
    }
    let mut draft = Draft::new(&shape, scale);
    let inputs = [0, draft.integers(&begin), draft.integers(&end), draft.integers(&strides)];
    let output = Tensor::activation("output", &output, scale.0, scale.1);
    let output = draft.one(code::STRIDED_SLICE, &inputs, 0, Options::StridedSlice { masks }, output);
    draft.model(output)
}
