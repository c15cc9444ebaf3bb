//! Operators on elements, and means.

use super::draft::{Draft, Scale, any_shape};
use crate::random::Random;
use crate::tflite_writer::{Model, Options, Tensor, code};

pub(super) fn add(random: &mut Random) -> Model {
    pairs(random, code::ADD, |first, second| first.max(second) * 1.5)
}

pub(super) fn multiply(random: &mut Random) -> Model {
    pairs(random, code::MUL, |first, second| first * second * 60.0)
}

/// Two operands, of which axes repeat, and the second of which may be a constant.
fn pairs(random: &mut Random, operator: i32, around: fn(f32, f32) -> f32) -> Model {
    let shape = any_shape(random, 1, 4, 5);
    let repeats = random.coin();
    let mut part = |shape: &[usize]| -> Vec<usize> {
        let drop = if repeats { random.below(shape.len()) } else { 0 };
        shape[drop..].iter().map(|&size| if repeats && random.coin() { 1 } else { size }).collect()
    };
    let (first, second) = (part(&shape), part(&shape));
    let joined = joined(&first, &second);
    let (a, b) = (Scale::near(random, 0.05), Scale::near(random, 0.05));
    let output = Scale::near(random, around(a.0, b.0));
    let length = |shape: &[usize]| shape.iter().product::<usize>();
    let inputs = if random.below(4) == 0 {
        let mut draft = Draft::new(&first, a);
        let constant = draft.constant(random, &second, b);
        (draft, vec![0, constant])
    } else {
        let mut draft = Draft::new(&[1, length(&first) + length(&second)], Scale(1.0, 0));
        let operands = draft.operands(&[(first, a), (second, b)]);
        (draft, operands)
    };
    let (mut draft, mut inputs) = inputs;
    if random.coin() {
        inputs.reverse();
    }
    let output = Tensor::activation("output", &joined, output.0, output.1);
    let output = draft.one(operator, &inputs, random.below(4) as i8, Options::Plain, output);
    draft.model(output)
}

/// The larger size of each axis, counted from behind.
fn joined(first: &[usize], second: &[usize]) -> Vec<usize> {
    let rank = first.len().max(second.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank).map(|axis| size(first, axis).max(size(second, axis))).collect()
}

pub(super) fn mean(random: &mut Random) -> Model {
    let shape = any_shape(random, 2, 4, 9);
    let rank = shape.len();
    let mut axes = vec![random.within(1, rank - 1)];
    if rank > 2 && random.coin() {
        axes.push(axes[0] % (rank - 1) + 1);
    }
    let keep_axes = random.coin();
    let kept = |axis: usize| !axes.contains(&axis);
    let sizes = (0..rank).filter(|&axis| keep_axes || kept(axis));
    let output: Vec<usize> = sizes.map(|axis| if kept(axis) { shape[axis] } else { 1 }).collect();
    let input = Scale::near(random, 0.05);
    let scale = match random.below(4) {
        0 => input,
        1 => Scale::near(random, input.0),
        _ => Scale::near(random, input.0 / 4.0),
    };
    let negative = random.coin();
    let axes: Vec<i32> = axes.iter().map(|&axis| axis as i32 - if negative { rank as i32 } else { 0 }).collect();
    let mut draft = Draft::new(&shape, input);
    let axes = draft.integers(&axes);
    let output = Tensor::activation("output", &output, scale.0, scale.1);
    let output = draft.one(code::MEAN, &[0, axes], 0, Options::Mean { keep_axes }, output);
    draft.model(output)
}

/// Scales of which some leave nothing of the function but its ends, and some nothing but its middle.
fn argument(random: &mut Random) -> Scale {
    let around = match random.below(6) {
        0 => 2.0,
        1 => 0.002,
        _ => 0.08,
    };
    Scale::near(random, around)
}

const PROBABILITY: Scale = Scale(1.0 / 256.0, -128);

pub(super) fn softmax(random: &mut Random) -> Model {
    let mut shape = any_shape(random, 1, 4, 4);
    let last = shape.len() - 1;
    let longest = if random.below(8) == 0 { 511 } else { 40 };
    shape[last] = random.within(1, longest);
    let mut draft = Draft::new(&shape, argument(random));
    let beta = if random.coin() { 1.0 } else { random.scale(1.0) };
    let output = Tensor::activation("output", &shape, PROBABILITY.0, PROBABILITY.1);
    let output = draft.one(code::SOFTMAX, &[0], 0, Options::Softmax { beta }, output);
    draft.model(output)
}

pub(super) fn logistic(random: &mut Random) -> Model {
    // All elements there are, in each network.
    let input = argument(random);
    each(code::LOGISTIC, &[1, 256], input, PROBABILITY)
}

pub(super) fn relu(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 8);
    let input = Scale::near(random, 0.05);
    each(code::RELU, &shape, input, Scale::near(random, input.0))
}

pub(super) fn relu6(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 8);
    let input = Scale::near(random, 0.05);
    each(code::RELU6, &shape, input, input)
}

fn each(operator: i32, shape: &[usize], input: Scale, output: Scale) -> Model {
    let mut draft = Draft::new(shape, input);
    let output = Tensor::activation("output", shape, output.0, output.1);
    let output = draft.one(operator, &[0], 0, Options::Plain, output);
    draft.model(output)
}

/// From int8 to int8 or uint8, or from uint8 to int8; sometimes with nothing but a change of 128.
pub(super) fn quantize(random: &mut Random) -> Model {
    let shape = any_shape(random, 1, 4, 8);
    let input = Scale::near(random, 0.05);
    let output = if random.below(3) == 0 { input } else { Scale::near(random, input.0) };
    let mut model = each(code::QUANTIZE, &shape, input, output);
    let unsigned = random.below(3);
    if unsigned < 2 {
        let tensor = &mut model.tensors[unsigned];
        tensor.element = code::UINT8;
        tensor.zero_points[0] += 128;
    }
    model
}
