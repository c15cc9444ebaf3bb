//! Sound networks of fully connected layers, built layer by layer or drawn.

use super::{Fused, Model, Operator, Tensor, code};
use crate::random::Random;

/// A fully connected layer to add to a [`Network`].
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// `[outputs][inputs]`, row-major.
    pub weights: Vec<i8>,
    /// One for each output.
    pub bias: Option<Vec<i32>>,
    /// One, or one for each output.
    pub scales: Vec<f32>,
    /// Number of outputs.
    pub outputs: usize,
    /// Clamp.
    pub fused: Fused,
    /// Of the output.
    pub output_scale: f32,
    /// Of the output.
    pub output_zero_point: i8,
}

/// A sound network under construction: one chain of layers.
#[derive(Debug, Clone)]
pub struct Network {
    model: Model,
    last: usize,
}

/// How large [`random_network`] may draw.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Layers, at least one.
    pub layers: usize,
    /// Elements of any tensor, at least one.
    pub width: usize,
}

impl Network {
    /// A network of one input.
    #[must_use]
    pub fn new(shape: &[usize], scale: f32, zero_point: i8) -> Self {
        let tensors = vec![Tensor::activation("input", shape, scale, zero_point)];
        let model = Model {
            version: 3,
            subgraphs: 1,
            tensors,
            operators: vec![],
            inputs: vec![0],
            outputs: vec![0],
            initial: None,
        };
        Self { model, last: 0 }
    }

    /// The tensor that the next layer reads.
    #[must_use]
    pub fn last(&self) -> &Tensor {
        &self.model.tensors[self.last]
    }

    /// Adds a fully connected layer. Its inputs are all elements of the last tensor.
    #[must_use]
    pub fn dense(mut self, dense: Dense) -> Self {
        let inputs = self.last().elements();
        let layer = self.model.operators.len();
        let input_scale = self.last().scales[0];
        let bias_scales = dense.scales.iter().map(|scale| input_scale * scale).collect();
        let weights = dense.weights.iter().map(|&weight| weight as u8).collect();
        let weights =
            Tensor::constant(&format!("dense_{layer}/w"), &[dense.outputs, inputs], code::INT8, dense.scales, weights);
        let weights = self.add(weights);
        let bias = dense.bias.map_or(-1, |bias| {
            let bias = bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
            let name = format!("dense_{layer}/b");
            self.add(Tensor::constant(&name, &[dense.outputs], code::INT32, bias_scales, bias))
        });
        let name = format!("dense_{layer}");
        let output = Tensor::activation(&name, &[1, dense.outputs], dense.output_scale, dense.output_zero_point);
        self.apply(code::FULLY_CONNECTED, &[weights, bias], dense.fused as i8, output)
    }

    /// Adds a reshape; `operand` says whether the shape is also given as a constant operand.
    #[must_use]
    pub fn reshape(mut self, shape: &[usize], operand: bool) -> Self {
        let layer = self.model.operators.len();
        let (scale, zero_point) = (self.last().scales[0], self.last().zero_points[0] as i8);
        let mut others = Vec::new();
        if operand {
            let data = shape.iter().flat_map(|&size| (size as i32).to_le_bytes()).collect();
            let name = format!("reshape_{layer}/shape");
            others.push(self.add(Tensor::constant(&name, &[shape.len()], code::INT32, vec![], data)));
        }
        let output = Tensor::activation(&format!("reshape_{layer}"), shape, scale, zero_point);
        self.apply(code::RESHAPE, &others, 0, output)
    }

    /// Adds an operator on each element on its own: `RELU`, `RELU6`, `RELU_N1_TO_1` or `QUANTIZE` by its code.
    #[must_use]
    pub fn elementwise(self, operator: i32, scale: f32, zero_point: i8) -> Self {
        let layer = self.model.operators.len();
        let shape: Vec<usize> = self.last().shape.iter().map(|&size| size as usize).collect();
        let output = Tensor::activation(&format!("elementwise_{layer}"), &shape, scale, zero_point);
        self.apply(operator, &[], 0, output)
    }

    /// Lets the next layer read the network's input again: a graph that is no chain.
    #[must_use]
    pub fn restart(mut self) -> Self {
        self.last = 0;
        self
    }

    /// The network so far, whose output is the last layer's.
    #[must_use]
    pub fn model(mut self) -> Model {
        self.model.outputs = vec![self.last as i32];
        self.model
    }

    fn add(&mut self, tensor: Tensor) -> i32 {
        self.model.tensors.push(tensor);
        self.model.tensors.len() as i32 - 1
    }

    fn apply(mut self, code: i32, others: &[i32], activation: i8, output: Tensor) -> Self {
        let inputs = [&[self.last as i32], others].concat();
        let output = self.add(output);
        self.model.operators.push(Operator { activation, ..Operator::plain(code, inputs, vec![output]) });
        self.last = output as usize;
        self
    }
}

/// A network drawn from `seed`: fully connected layers of every kind, with reshapes, clamps and changes of scale between
/// them, scaled so that most outputs do not saturate.
#[must_use]
pub fn random_network(seed: u64, limits: Limits) -> Model {
    let mut random = Random::new(seed);
    let width = random.within(1, limits.width);
    let mut network = Network::new(&[1, width], random.scale(0.05), random.byte());
    for layer in 0..random.within(1, limits.layers) {
        network = match random.below(8) {
            0 if layer > 0 => {
                let elements = network.last().elements();
                let shapes = [vec![1, 1, elements], vec![elements, 1], vec![elements]];
                network.reshape(&shapes[random.below(3)], random.coin())
            }
            1 => {
                let scale = network.last().scales[0];
                let operator = [code::RELU, code::QUANTIZE][random.below(2)];
                network.elementwise(operator, random.scale(scale), random.byte())
            }
            2 => {
                // tflite-micro leaves the scale alone here.
                let (scale, zero_point) = (network.last().scales[0], network.last().zero_points[0] as i8);
                network.elementwise(code::RELU6, scale, zero_point)
            }
            3 if layer > 0 => random_dense(network.restart(), &mut random, limits),
            _ => random_dense(network, &mut random, limits),
        };
    }
    network.model()
}

fn random_dense(network: Network, random: &mut Random, limits: Limits) -> Network {
    let inputs = network.last().elements();
    let outputs = random.within(1, limits.width);
    let weights = (0..inputs * outputs).map(|_| random.byte().max(-127)).collect();
    let scales: Vec<f32> = (0..if random.coin() { outputs } else { 1 }).map(|_| random.scale(0.01)).collect();
    let spread = 5000.0 * (inputs as f32).sqrt();
    let bias = random.coin().then(|| (0..outputs).map(|_| (random.unit() * spread) as i32).collect());
    let output_scale = random.scale(network.last().scales[0] * scales[0] * spread / 60.0);
    let fused = [Fused::None, Fused::Relu, Fused::Relu6, Fused::ReluN1To1][random.below(4)];
    let output_zero_point = random.byte();
    network.dense(Dense { weights, bias, scales, outputs, fused, output_scale, output_zero_point })
}
