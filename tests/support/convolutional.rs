//! Random networks as those for small cameras are built: a convolution, depthwise-separable blocks, an average, a classifier.

mod branches;

pub use branches::{Residual, branching, mobilenet_v2, residual};

use crate::random::Random;
use crate::tflite_writer::{Fused, Model, Operator, Options, Tensor, code};

/// The shape of such a network.
#[derive(Debug, Clone)]
pub struct Separable {
    /// Rows and columns of the input.
    pub size: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the first convolution, which has 3 × 3 taps and stride 2.
    pub first: usize,
    /// Of each block: the stride of its depthwise convolution, of 3 × 3 taps, and the channels of its pointwise one.
    pub blocks: Vec<(i32, usize)>,
    /// Outputs.
    pub classes: usize,
    /// Is the padding of windows of stride 2 an operator of its own, one row below and one column on the right, as Keras writes it?
    pub pads: bool,
}

/// MobileNet's blocks (strides and channels) with a width of `numerator / denominator`, at least 4 channels each.
#[must_use]
pub fn mobilenet(size: usize, (numerator, denominator): (usize, usize)) -> Separable {
    let wide = |channels: usize| (channels * numerator / denominator).max(4);
    let blocks = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)];
    let blocks = blocks.into_iter().chain([(1, 512); 5]).chain([(2, 1024), (1, 1024)]);
    let blocks = blocks.map(|(stride, channels)| (stride, wide(channels))).collect();
    Separable { size, channels: 3, first: wide(32), blocks, classes: 2, pads: false }
}

/// A network under construction.
struct Draft<'a> {
    random: &'a mut Random,
    model: Model,
    last: i32,
    pads: bool,
    /// The clamp of the convolutions that come.
    fused: Fused,
    /// A tensor whose scale their results take.
    like: Option<i32>,
}

/// A network of that shape whose weights, scales and zero points are random, so that most outputs do not saturate.
#[must_use]
pub fn separable(random: &mut Random, shape: &Separable) -> Model {
    let input = Tensor::activation("input", &[1, shape.size, shape.size, shape.channels], 0.02, random.byte());
    let mut draft = Draft::new(random, input, shape.pads);
    draft.convolution(3, 2, shape.first);
    for &(stride, channels) in &shape.blocks {
        draft.depthwise(stride);
        draft.convolution(1, 1, channels);
    }
    draft.average();
    draft.classifier(shape.classes);
    Model { outputs: vec![draft.last], ..draft.model }
}

/// A chain of two to six convolutions, depthwise convolutions, pools and clamps, of any size, stride and padding, on an image of 8 to
/// 24 rows.
#[must_use]
pub fn chain(random: &mut Random) -> Model {
    let shape = [1, random.within(8, 24), random.within(4, 16), random.within(1, 12)];
    let input = Tensor::activation("input", &shape, 0.02, random.byte());
    let operators = random.within(2, 6);
    let mut draft = Draft::new(random, input, false);
    for _ in 0..operators {
        draft.any();
    }
    Model { outputs: vec![draft.last], ..draft.model }
}

/// A tensor's scale and zero point.
fn taken(tensor: &Tensor) -> (f32, i8) {
    (tensor.scales[0], tensor.zero_points[0] as i8)
}

/// Positions of a window along an axis.
fn positions(size: usize, taps: usize, stride: usize, valid: bool) -> usize {
    if valid { (size - taps) / stride + 1 } else { size.div_ceil(stride) }
}

impl<'a> Draft<'a> {
    /// A network of nothing but its input.
    fn new(random: &'a mut Random, input: Tensor, pads: bool) -> Draft<'a> {
        let model = Model {
            version: 3,
            subgraphs: 1,
            tensors: vec![input],
            operators: vec![],
            inputs: vec![0],
            outputs: vec![],
            initial: None,
        };
        Draft { random, model, last: 0, pads, fused: Fused::Relu, like: None }
    }

    /// A convolution, a pool or a clamp, of any size, stride and padding.
    fn any(&mut self) {
        let before = self.shape();
        let valid = before[1] > 4 && before[2] > 4 && self.random.below(3) == 0;
        let (size, stride) = (self.random.within(1, 3), self.random.within(1, 2) as i32);
        match self.random.below(6) {
            0 => self.pool(code::MAX_POOL_2D, size, stride, valid),
            1 => self.pool(code::AVERAGE_POOL_2D, size, stride, valid),
            2 => self.clamp(),
            3 => {
                let length = size * size;
                self.window(code::DEPTHWISE_CONV_2D, &[1, size, size, before[3]], 3, (stride, 1), length, valid);
            }
            _ => {
                let channels = self.random.within(1, 24);
                let length = size * size * before[3];
                self.window(code::CONV_2D, &[channels, size, size, before[3]], 0, (stride, 0), length, valid);
            }
        }
    }

    fn add(&mut self, tensor: Tensor) -> i32 {
        let number = self.model.tensors.len();
        self.model.tensors.push(Tensor { name: format!("{}_{number}", tensor.name), ..tensor });
        number as i32
    }

    fn shape(&self) -> Vec<usize> {
        self.model.tensors[self.last as usize].shape.iter().map(|&size| size as usize).collect()
    }

    /// Adds weights and a bias for sums of `length` products; the operands, and the scale of the result.
    fn parameters(&mut self, shape: &[usize], axis: i32, channels: usize, length: usize) -> (Vec<i32>, f32) {
        let input = self.model.tensors[self.last as usize].scales[0];
        let scales: Vec<f32> = (0..channels).map(|_| self.random.scale(0.01)).collect();
        let spread = 5000.0 * (length as f32).sqrt();
        let count = shape.iter().product::<usize>();
        let weights = (0..count).map(|_| self.random.byte().max(-127) as u8).collect();
        let bias = (0..channels).flat_map(|_| ((self.random.unit() * spread) as i32).to_le_bytes()).collect();
        let bias_scales = scales.iter().map(|scale| input * scale).collect();
        let output = input * 0.01 * spread / 60.0;
        let weights = Tensor::constant("weights", shape, code::INT8, scales, weights);
        let weights = self.add(Tensor { axis, ..weights });
        let bias = self.add(Tensor::constant("bias", &[channels], code::INT32, bias_scales, bias));
        (vec![self.last, weights, bias], output)
    }

    fn apply(&mut self, code: i32, inputs: Vec<i32>, fused: Fused, options: Options, output: Tensor) {
        let output = self.add(output);
        let operator = Operator { activation: fused as i8, options, ..Operator::plain(code, inputs, vec![output]) };
        self.model.operators.push(operator);
        self.last = output;
    }

    fn window(
        &mut self,
        code: i32,
        weights: &[usize],
        axis: i32,
        (stride, multiplier): (i32, i32),
        length: usize,
        valid: bool,
    ) {
        let pads = self.pads && stride == 2;
        if pads {
            self.pad();
        }
        let valid = valid || pads;
        let before = self.shape();
        let channels = weights[axis as usize];
        let (inputs, scale) = self.parameters(weights, axis, channels, length);
        let taps = weights[1];
        let along = |size: usize| positions(size, taps, stride as usize, valid);
        let shape = [1, along(before[1]), along(before[2]), channels];
        let own = (scale, self.random.byte() / 4 - 96);
        let (scale, zero_point) = self.like.map_or(own, |like| taken(&self.model.tensors[like as usize]));
        let output = Tensor::activation("image", &shape, scale, zero_point);
        let options =
            Options::Convolution { padding: i8::from(valid), stride: [stride; 2], dilation: [1; 2], multiplier };
        self.apply(code, inputs, self.fused, options, output);
    }

    /// Adds a row below and a column on the right.
    fn pad(&mut self) {
        let before = self.shape();
        let amounts = Tensor::integers("padding", &[0, 0, 0, 1, 0, 1, 0, 0]);
        let amounts = self.add(Tensor { shape: vec![4, 2], ..amounts });
        let (scale, zero_point) = taken(&self.model.tensors[self.last as usize]);
        let output = Tensor::activation("padded", &[1, before[1] + 1, before[2] + 1, before[3]], scale, zero_point);
        self.apply(code::PAD, vec![self.last, amounts], Fused::None, Options::Plain, output);
    }

    fn convolution(&mut self, size: usize, stride: i32, channels: usize) {
        let depth = self.shape()[3];
        self.window(code::CONV_2D, &[channels, size, size, depth], 0, (stride, 0), size * size * depth, false);
    }

    fn depthwise(&mut self, stride: i32) {
        let channels = self.shape()[3];
        self.window(code::DEPTHWISE_CONV_2D, &[1, 3, 3, channels], 3, (stride, 1), 9, false);
    }

    /// A pool over `size` rows and columns.
    fn pool(&mut self, code: i32, size: usize, stride: i32, valid: bool) {
        let before = self.shape();
        let along = |rows: usize| positions(rows, size, stride as usize, valid);
        let (scale, zero_point) = taken(&self.model.tensors[self.last as usize]);
        let shape = [1, along(before[1]), along(before[2]), before[3]];
        let output = Tensor::activation("pool", &shape, scale, zero_point);
        let options = Options::Pool { padding: i8::from(valid), stride: [stride; 2], size: [size as i32; 2] };
        self.apply(code, vec![self.last], Fused::None, options, output);
    }

    /// A `RELU` into another scale.
    fn clamp(&mut self) {
        let shape = self.shape();
        let scale = self.model.tensors[self.last as usize].scales[0] * 0.7;
        let output = Tensor::activation("clamp", &shape, scale, self.random.byte());
        self.apply(code::RELU, vec![self.last], Fused::None, Options::Plain, output);
    }

    /// An average over all rows and columns.
    fn average(&mut self) {
        let before = self.shape();
        let (scale, zero_point) = taken(&self.model.tensors[self.last as usize]);
        let output = Tensor::activation("average", &[1, 1, 1, before[3]], scale, zero_point);
        let size = [before[1] as i32, before[2] as i32];
        let options = Options::Pool { padding: 1, stride: [1; 2], size };
        self.apply(code::AVERAGE_POOL_2D, vec![self.last], Fused::None, options, output);
    }

    fn classifier(&mut self, classes: usize) {
        let channels = self.shape()[3];
        let output = Tensor::activation("flat", &[1, channels], self.model.tensors[self.last as usize].scales[0], 0);
        let zero_points = self.model.tensors[self.last as usize].zero_points.clone();
        self.apply(code::RESHAPE, vec![self.last], Fused::None, Options::Plain, Tensor { zero_points, ..output });
        let (inputs, scale) = self.parameters(&[classes, channels], 0, classes, channels);
        let output = Tensor::activation("classes", &[1, classes], scale, 0);
        self.apply(code::FULLY_CONNECTED, inputs, Fused::None, Options::Plain, output);
    }
}
