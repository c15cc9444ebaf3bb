//! Operators with windows, and fully connected layers.

use super::draft::{Draft, Scale};
use crate::random::Random;
use crate::tflite_writer::{Dense, Fused, Model, Network, Options, Tensor, code};

/// One axis of a window: what it reads and how many positions it has.
struct Axis {
    input: usize,
    size: usize,
    stride: usize,
    dilation: usize,
    output: usize,
}

/// An axis with at most `size` taps; 0 in `padding` stands for SAME, 1 for VALID.
fn axis(random: &mut Random, padding: i8, size: usize, dilations: usize) -> Axis {
    let (size, stride) = (random.within(1, size), random.within(1, 3));
    let dilation = if random.coin() { 1 } else { random.within(1, dilations) };
    let extent = (size - 1) * dilation + 1;
    let input = random.within(1, 9).max(if padding == 1 { extent } else { 1 });
    let output = if padding == 1 { (input - extent) / stride + 1 } else { input.div_ceil(stride) };
    Axis { input, size, stride, dilation, output }
}

/// Weights, their scales, bias and the output's scale, for sums of `length` products.
struct Layer {
    weights: Vec<u8>,
    scales: Vec<f32>,
    bias: Vec<i32>,
    output: Scale,
}

fn layer(random: &mut Random, input: f32, length: usize, weights: usize, channels: usize) -> Layer {
    let scales: Vec<f32> = (0..if random.coin() { channels } else { 1 }).map(|_| random.scale(0.01)).collect();
    let spread = 5000.0 * (length as f32).sqrt();
    // Mostly outputs that fill int8; now and then all saturated, or a scale above one, which shifts left.
    let around = match random.below(10) {
        0 => [0.3, 1e-3, 1e-5][random.below(3)],
        _ => spread / 60.0,
    };
    Layer {
        weights: (0..weights).map(|_| random.byte().max(-127) as u8).collect(),
        bias: (0..channels).map(|_| (random.unit() * spread) as i32).collect(),
        output: Scale::near(random, input * scales[0] * around),
        scales,
    }
}

/// Adds weights along `axis` and a bias, and hands their tensors back.
fn parameters(draft: &mut Draft, input: f32, layer: &Layer, shape: &[usize], axis: i32) -> Vec<i32> {
    let weights = Tensor::constant("weights", shape, code::INT8, layer.scales.clone(), layer.weights.clone());
    let weights = draft.add(Tensor { axis, ..weights });
    let data = layer.bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
    let scales = layer.scales.iter().map(|scale| input * scale).collect();
    let bias = draft.add(Tensor::constant("bias", &[layer.bias.len()], code::INT32, scales, data));
    vec![weights, bias]
}

pub(super) fn convolution(random: &mut Random) -> Model {
    let padding = random.below(2) as i8;
    let (rows, columns) = (axis(random, padding, 4, 3), axis(random, padding, 4, 3));
    let groups = if random.below(4) == 0 { random.within(2, 3) } else { 1 };
    let (depth, outputs) = (random.within(1, 8), groups * random.within(1, 6));
    let input = Scale::near(random, 0.05);
    let length = rows.size * columns.size * depth;
    let layer = layer(random, input.0, length, length * outputs, outputs);
    let mut draft = Draft::new(&[1, rows.input, columns.input, groups * depth], input);
    let mut inputs = vec![0];
    inputs.extend(parameters(&mut draft, input.0, &layer, &[outputs, rows.size, columns.size, depth], 0));
    if random.below(4) == 0 {
        inputs.pop();
    }
    let output =
        Tensor::activation("output", &[1, rows.output, columns.output, outputs], layer.output.0, layer.output.1);
    let options = windows(padding, &rows, &columns, 0);
    let output = draft.one(code::CONV_2D, &inputs, random.below(4) as i8, options, output);
    draft.model(output)
}

pub(super) fn depthwise(random: &mut Random) -> Model {
    let padding = random.below(2) as i8;
    let (rows, columns) = (axis(random, padding, 4, 3), axis(random, padding, 4, 3));
    let (channels, multiplier) = (random.within(1, 7), random.within(1, 3));
    let input = Scale::near(random, 0.05);
    let outputs = channels * multiplier;
    let length = rows.size * columns.size;
    let layer = layer(random, input.0, length, length * outputs, outputs);
    let mut draft = Draft::new(&[1, rows.input, columns.input, channels], input);
    let mut inputs = vec![0];
    inputs.extend(parameters(&mut draft, input.0, &layer, &[1, rows.size, columns.size, outputs], 3));
    let output =
        Tensor::activation("output", &[1, rows.output, columns.output, outputs], layer.output.0, layer.output.1);
    let options = windows(padding, &rows, &columns, multiplier as i32);
    let output = draft.one(code::DEPTHWISE_CONV_2D, &inputs, random.below(4) as i8, options, output);
    draft.model(output)
}

fn windows(padding: i8, rows: &Axis, columns: &Axis, multiplier: i32) -> Options {
    let pair = |of: fn(&Axis) -> usize| [of(rows) as i32, of(columns) as i32];
    Options::Convolution { padding, stride: pair(|axis| axis.stride), dilation: pair(|axis| axis.dilation), multiplier }
}

pub(super) fn fully_connected(random: &mut Random) -> Model {
    let (inputs, outputs) = (random.within(1, 64), random.within(1, 64));
    let input = Scale::near(random, 0.05);
    let layer = layer(random, input.0, inputs, inputs * outputs, outputs);
    let dense = Dense {
        weights: layer.weights.iter().map(|&weight| weight as i8).collect(),
        bias: random.coin().then_some(layer.bias),
        scales: layer.scales,
        outputs,
        fused: [Fused::None, Fused::Relu, Fused::Relu6, Fused::ReluN1To1][random.below(4)],
        output_scale: layer.output.0,
        output_zero_point: layer.output.1,
    };
    Network::new(&[1, inputs], input.0, input.1).dense(dense).model()
}

pub(super) fn average_pool(random: &mut Random) -> Model {
    pool(random, code::AVERAGE_POOL_2D)
}

pub(super) fn max_pool(random: &mut Random) -> Model {
    pool(random, code::MAX_POOL_2D)
}

fn pool(random: &mut Random, operator: i32) -> Model {
    let padding = random.below(2) as i8;
    let (rows, columns) = (axis(random, padding, 5, 1), axis(random, padding, 5, 1));
    let channels = random.within(1, 9);
    let scale = Scale::near(random, 0.05);
    let mut draft = Draft::new(&[1, rows.input, columns.input, channels], scale);
    let output = Tensor::activation("output", &[1, rows.output, columns.output, channels], scale.0, scale.1);
    let options = Options::Pool {
        padding,
        stride: [rows.stride as i32, columns.stride as i32],
        size: [rows.size as i32, columns.size as i32],
    };
    let output = draft.one(operator, &[0], random.below(4) as i8, options, output);
    draft.model(output)
}
