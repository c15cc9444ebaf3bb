//! A network of images in both formats: TensorFlow Lite's with the channels last, ONNX's with the channels first.

use lpu_compiler::import::onnx::schema::{Model, data_type};

use super::{Content, Writer, integer, integers};
use crate::random::Random;
use crate::tflite_writer::{self, Operator, Options, Tensor, code};

/// The same network twice.
#[derive(Debug, Clone)]
pub struct Pair {
    /// With floating-point input and output, as exporters write.
    pub onnx: Model,
    /// With int8 ones.
    pub tflite: tflite_writer::Model,
}

/// Rows and columns of the input.
const SIZE: usize = 8;

/// A convolution with a clamp, a depthwise one of stride 2, a residual sum, a pool (or, in every other network, none), a fully connected
/// layer that reads the image flattened (or the mean over its positions), and a softmax.
#[must_use]
pub fn image_network(seed: u64) -> Pair {
    let mut random = Random::new(seed);
    let (channels, features, classes) = (random.within(1, 3), random.within(2, 9), random.within(2, 10));
    let mut both = Both::new(&mut random, channels);
    let wide = both.convolution("wide", 0, [SIZE, channels, features], 3, 1, true);
    let half = both.convolution("half", wide, [SIZE, features, features], 3, 2, false);
    let deep = both.convolution("deep", half, [SIZE / 2, features, features], 1, 1, true);
    let sum = both.add(half, deep, &[1, SIZE / 2, SIZE / 2, features]);
    let (row, length) = if seed.is_multiple_of(2) {
        (both.mean(sum, features), features)
    } else {
        let pool = both.max_pool(sum, features);
        (pool, SIZE / 4 * (SIZE / 4) * features)
    };
    let logits = both.fully_connected(row, features, length, classes);
    both.softmax(logits, classes)
}

struct Both<'a> {
    random: &'a mut Random,
    writer: Writer,
    tflite: tflite_writer::Model,
    channels: usize,
}

impl<'a> Both<'a> {
    fn new(random: &'a mut Random, channels: usize) -> Self {
        let tensors = vec![];
        let tflite = tflite_writer::Model {
            version: 3,
            subgraphs: 1,
            tensors,
            operators: vec![],
            inputs: vec![0],
            outputs: vec![],
            initial: None,
        };
        let mut both = Self { random, writer: Writer::default(), tflite, channels };
        both.activation("image", &[1, SIZE, SIZE, channels], 0.03);
        // ONNX's input is floating point, and quantised at once.
        both.quantise("image/given", 0);
        both
    }

    /// A tensor of both networks, of scale a half of `around` to twice as much.
    fn activation(&mut self, name: &str, shape: &[usize], around: f32) -> i32 {
        let scale = around * (0.5 + 1.5 * self.random.unit().abs());
        let zero = self.random.byte();
        self.writer.quantisation(name, scale, &Content::Int8(vec![zero]));
        self.tflite.tensors.push(Tensor::activation(name, shape, scale, zero));
        self.tflite.tensors.len() as i32 - 1
    }

    fn tensor(&self, number: i32) -> &Tensor {
        &self.tflite.tensors[number as usize]
    }

    /// ONNX's nodes behind a result: quantised, and dequantised for whatever reads it.
    fn quantise(&mut self, real: &str, number: i32) {
        let name = self.tensor(number).name.clone();
        let (scale, zero) = (format!("{name}/scale"), format!("{name}/zero"));
        let quantised = self.writer.node("QuantizeLinear", &[real, &scale, &zero], &format!("{name}/q"), vec![]);
        self.writer.node("DequantizeLinear", &[&quantised, &scale, &zero], &name, vec![]);
    }

    /// Weights for both: ONNX's of shape `shape`, and where each of TensorFlow Lite's elements stands among them. A scale for each of
    /// `outputs`, and a bias.
    fn parameters(
        &mut self,
        name: &str,
        input: i32,
        (shape, tflite): (&[usize], &[usize]),
        numbers: &[usize],
        (outputs, axis): (usize, i32),
    ) -> [i32; 2] {
        let count = numbers.len();
        let weights: Vec<i8> = (0..count).map(|_| self.random.byte().max(-127)).collect();
        let scales: Vec<f32> = (0..outputs).map(|_| self.random.scale(0.01)).collect();
        let bias: Vec<i32> = (0..outputs).map(|_| (self.random.unit() * 9000.0) as i32).collect();
        let input = self.tensor(input).scales[0];
        let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * input).collect();
        let mut constant = |part: &str, shape: &[usize], content: Content, scales: &[f32], zeros: Content| {
            let name = format!("{name}/{part}");
            let stored = self.writer.constant(&format!("{name}/q"), shape, &content);
            let scale = self.writer.constant(&format!("{name}/scale"), &[outputs], &Content::Float(scales.to_vec()));
            let zero = self.writer.constant(&format!("{name}/zero"), &[outputs], &zeros);
            self.writer.node("DequantizeLinear", &[&stored, &scale, &zero], &name, vec![integer("axis", 0)]);
        };
        constant("w", shape, Content::Int8(weights.clone()), &scales, Content::Int8(vec![0; outputs]));
        constant("b", &[outputs], Content::Int32(bias.clone()), &bias_scales, Content::Int32(vec![0; outputs]));
        let turned = numbers.iter().map(|&number| weights[number] as u8).collect();
        let weights = Tensor::constant(&format!("{name}/w"), tflite, code::INT8, scales, turned);
        self.tflite.tensors.push(Tensor { axis, ..weights });
        let data = bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
        let bias = Tensor::constant(&format!("{name}/b"), &[outputs], code::INT32, bias_scales, data);
        self.tflite.tensors.push(bias);
        let last = self.tflite.tensors.len() as i32;
        [last - 2, last - 1]
    }

    /// A convolution of `taps` × `taps`; depthwise where it has a stride. Clamped by a `Relu`, or by a `Clip` from 0 to 6.
    fn convolution(
        &mut self,
        name: &str,
        input: i32,
        [size, channels, outputs]: [usize; 3],
        taps: usize,
        stride: usize,
        relu: bool,
    ) -> i32 {
        let depthwise = stride != 1;
        let depth = if depthwise { 1 } else { channels };
        let shape = [outputs, depth, taps, taps];
        let place = |output: usize, channel: usize, tap: usize| (output * depth + channel) * taps * taps + tap;
        let taps_count = taps * taps;
        let (numbers, tflite, axis): (Vec<usize>, _, _) = if depthwise {
            let numbers = (0..taps_count).flat_map(|tap| (0..outputs).map(move |output| place(output, 0, tap)));
            (numbers.collect(), [1, taps, taps, outputs], 3)
        } else {
            let of = |output: usize| {
                (0..taps_count).flat_map(move |tap| (0..depth).map(move |channel| place(output, channel, tap)))
            };
            ((0..outputs).flat_map(of).collect(), [outputs, taps, taps, depth], 0)
        };
        let parameters = self.parameters(name, input, (&shape, &tflite), &numbers, (outputs, axis));
        let around = self.tensor(input).scales[0] * 0.01 * 90.0 * (taps as f32) * (depth as f32).sqrt() / 2.0;
        let result = size.div_ceil(stride);
        let output = self.activation(name, &[1, result, result, outputs], around);
        // SAME, in numbers: what is odd goes behind.
        let total = ((result - 1) * stride + taps).saturating_sub(size);
        let (before, after) = (total / 2, total - total / 2);
        let attributes = vec![
            integers("kernel_shape", &[taps, taps]),
            integers("strides", &[stride, stride]),
            integers("pads", &[before, before, after, after]),
            integer("group", if depthwise { channels as i64 } else { 1 }),
        ];
        let from = self.tensor(input).name.clone();
        let operands = [from.as_str(), &format!("{name}/w"), &format!("{name}/b")];
        let sum = self.writer.node("Conv", &operands, &format!("{name}/sum"), attributes);
        let clamped = if relu {
            self.writer.node("Relu", &[&sum], &format!("{name}/relu"), vec![])
        } else {
            let least = self.writer.constant(&format!("{name}/least"), &[], &Content::Float(vec![0.0]));
            let most = self.writer.constant(&format!("{name}/most"), &[], &Content::Float(vec![6.0]));
            self.writer.node("Clip", &[&sum, &least, &most], &format!("{name}/clip"), vec![])
        };
        self.quantise(&clamped, output);
        let code = if depthwise { code::DEPTHWISE_CONV_2D } else { code::CONV_2D };
        let (stride, dilation, multiplier) = ([stride as i32; 2], [1, 1], (outputs / channels) as i32);
        let options = Options::Convolution { padding: 0, stride, dilation, multiplier };
        self.apply(code, vec![input, parameters[0], parameters[1]], output, if relu { 1 } else { 3 }, options);
        output
    }

    fn apply(&mut self, code: i32, inputs: Vec<i32>, output: i32, activation: i8, options: Options) {
        let plain = Operator::plain(code, inputs, vec![output]);
        self.tflite.operators.push(Operator { activation, options, ..plain });
    }

    fn add(&mut self, first: i32, second: i32, shape: &[usize]) -> i32 {
        let around = self.tensor(first).scales[0].max(self.tensor(second).scales[0]);
        let output = self.activation("sum", shape, around);
        let [a, b] = [first, second].map(|number| self.tensor(number).name.clone());
        let sum = self.writer.node("Add", &[&a, &b], "sum/real", vec![]);
        self.quantise(&sum, output);
        self.apply(code::ADD, vec![first, second], output, 0, Options::Plain);
        output
    }

    fn max_pool(&mut self, input: i32, channels: usize) -> i32 {
        let from = self.tensor(input).clone();
        let output = self.tflite.tensors.len() as i32;
        let shape = [1, SIZE / 4, SIZE / 4, channels];
        self.tflite.tensors.push(Tensor::activation("pool", &shape, from.scales[0], from.zero_points[0] as i8));
        self.writer.quantisation("pool", from.scales[0], &Content::Int8(vec![from.zero_points[0] as i8]));
        let attributes = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
        let largest = self.writer.node("MaxPool", &[&from.name], "pool/real", attributes);
        self.quantise(&largest, output);
        let options = Options::Pool { padding: 1, stride: [2, 2], size: [2, 2] };
        self.apply(code::MAX_POOL_2D, vec![input], output, 0, options);
        output
    }

    fn mean(&mut self, input: i32, channels: usize) -> i32 {
        let around = self.tensor(input).scales[0] / 2.0;
        let output = self.activation("mean", &[1, channels], around);
        self.tflite.tensors.push(Tensor::integers("axes", &[1, 2]));
        let axes = self.tflite.tensors.len() as i32 - 1;
        let from = self.tensor(input).name.clone();
        let mean = self.writer.node("GlobalAveragePool", &[&from], "mean/real", vec![]);
        self.quantise(&mean, output);
        self.apply(code::MEAN, vec![input, axes], output, 0, Options::Mean { keep_axes: false });
        output
    }

    /// ONNX flattens channel by channel, so that its weights stand in that order.
    fn fully_connected(&mut self, input: i32, channels: usize, length: usize, outputs: usize) -> i32 {
        let positions = length / channels;
        let of = |output: usize| {
            (0..positions).flat_map(move |position| {
                (0..channels).map(move |channel| output * length + channel * positions + position)
            })
        };
        let numbers: Vec<usize> = (0..outputs).flat_map(of).collect();
        let shape = [outputs, length];
        let parameters = self.parameters("logits", input, (&shape, &shape), &numbers, (outputs, 0));
        let around = self.tensor(input).scales[0] * 0.01 * 60.0 * (length as f32).sqrt();
        let output = self.activation("logits", &[1, outputs], around);
        let from = self.tensor(input).name.clone();
        let row = self.writer.node("Flatten", &[&from], "row", vec![]);
        let attributes = vec![integer("transB", 1)];
        let sum = self.writer.node("Gemm", &[&row, "logits/w", "logits/b"], "logits/sum", attributes);
        self.quantise(&sum, output);
        self.apply(code::FULLY_CONNECTED, vec![input, parameters[0], parameters[1]], output, 0, Options::Plain);
        output
    }

    fn softmax(mut self, input: i32, classes: usize) -> Pair {
        self.tflite.tensors.push(Tensor::activation("classes", &[1, classes], 1.0 / 256.0, -128));
        let output = self.tflite.tensors.len() as i32 - 1;
        let from = self.tensor(input).name.clone();
        let classes_name = self.writer.node("Softmax", &[&from], "classes", vec![integer("axis", -1)]);
        self.apply(code::SOFTMAX, vec![input], output, 0, Options::Softmax { beta: 1.0 });
        self.tflite.outputs = vec![output];
        let input = ("image/given", data_type::FLOAT, &[1, self.channels, SIZE, SIZE][..]);
        let onnx = self.writer.model(input, (&classes_name, data_type::FLOAT, &[1, classes]));
        Pair { onnx, tflite: self.tflite }
    }
}
