//! Writes TensorFlow Lite models: the inverse of the importer, and broken on request.
//!
//! [`Model`] is the file as data, every field public, so that a test can change one thing and expect one refusal.
//! [`Network`] builds sound ones, layer by layer; [`random_network`] draws them.

use flatbuffers::{FlatBufferBuilder, Push, TableFinishedWIPOffset, UnionWIPOffset, WIPOffset};

use crate::random::Random;

/// Codes of the schema.
pub mod code {
    /// Operator.
    pub const CONV_2D: i32 = 3;
    /// Operator.
    pub const FULLY_CONNECTED: i32 = 9;
    /// Operator.
    pub const RELU: i32 = 19;
    /// Operator.
    pub const RELU_N1_TO_1: i32 = 20;
    /// Operator.
    pub const RELU6: i32 = 21;
    /// Operator.
    pub const RESHAPE: i32 = 22;
    /// Operator.
    pub const CUSTOM: i32 = 32;
    /// Operator.
    pub const QUANTIZE: i32 = 114;
    /// Element type.
    pub const FLOAT32: i8 = 0;
    /// Element type.
    pub const INT32: i8 = 2;
    /// Element type.
    pub const INT16: i8 = 7;
    /// Element type.
    pub const INT8: i8 = 9;
    /// Element type.
    pub const INT4: i8 = 17;
}

/// A file. [`Model::bytes`] writes it, whatever it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Of the schema; 3.
    pub version: u32,
    /// How many times the one subgraph is written.
    pub subgraphs: usize,
    /// Of the subgraph.
    pub tensors: Vec<Tensor>,
    /// In order of execution.
    pub operators: Vec<Operator>,
    /// Positions of tensors.
    pub inputs: Vec<i32>,
    /// Positions of tensors.
    pub outputs: Vec<i32>,
}

/// A tensor of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<i32>,
    /// Its element type's code.
    pub element: i8,
    /// None: no quantisation is written.
    pub scales: Vec<f32>,
    /// As many as scales, in a sound file.
    pub zero_points: Vec<i64>,
    /// The axis of several scales.
    pub axis: i32,
    /// Content, little-endian; none for what the network computes.
    pub data: Option<Vec<u8>>,
    /// Whether it claims to be sparse.
    pub sparse: bool,
    /// Whether it keeps its value between inferences.
    pub variable: bool,
    /// Whether its content claims to stand outside the FlatBuffer.
    pub outside: bool,
}

/// An operator of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its code.
    pub code: i32,
    /// Positions of tensors; -1 for an optional one that is absent.
    pub inputs: Vec<i32>,
    /// Positions of tensors.
    pub outputs: Vec<i32>,
    /// The fused activation's code, of a `FULLY_CONNECTED`.
    pub activation: i8,
    /// The weights' format, of a `FULLY_CONNECTED`.
    pub weights_format: i8,
}

/// Fused activations of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Fused {
    /// No clamp but int8's.
    None = 0,
    /// From 0.
    Relu = 1,
    /// From -1 to 1.
    ReluN1To1 = 2,
    /// From 0 to 6.
    Relu6 = 3,
}

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

impl Tensor {
    /// An int8 tensor of one scale that the network computes.
    #[must_use]
    pub fn activation(name: &str, shape: &[usize], scale: f32, zero_point: i8) -> Self {
        Self {
            name: name.into(),
            shape: shape.iter().map(|&size| size as i32).collect(),
            element: code::INT8,
            scales: vec![scale],
            zero_points: vec![zero_point.into()],
            axis: 0,
            data: None,
            sparse: false,
            variable: false,
            outside: false,
        }
    }

    /// A constant with symmetric scales along the outermost axis.
    #[must_use]
    pub fn constant(name: &str, shape: &[usize], element: i8, scales: Vec<f32>, data: Vec<u8>) -> Self {
        let zero_points = vec![0; scales.len()];
        Self { element, scales, zero_points, data: Some(data), ..Self::activation(name, shape, 1.0, 0) }
    }

    /// The same constant in elements of four bits, two to a byte, the lower half first: the lower halves of its int8 elements.
    #[must_use]
    pub fn in_int4(self) -> Self {
        let pair = |pair: &[u8]| pair[0] & 0xf | pair.get(1).map_or(0, |second| second << 4);
        let data = self.data.map(|data| data.chunks(2).map(pair).collect());
        Self { element: code::INT4, data, ..self }
    }

    /// Number of elements, of a sound shape.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().map(|&size| size as usize).product()
    }
}

impl Network {
    /// A network of one input.
    #[must_use]
    pub fn new(shape: &[usize], scale: f32, zero_point: i8) -> Self {
        let tensors = vec![Tensor::activation("input", shape, scale, zero_point)];
        let model = Model { version: 3, subgraphs: 1, tensors, operators: vec![], inputs: vec![0], outputs: vec![0] };
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
        self.model.operators.push(Operator { code, inputs, outputs: vec![output], activation, weights_format: 0 });
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

type Written = WIPOffset<TableFinishedWIPOffset>;

/// One field of a table: its number in the schema and how it is pushed.
fn push<T: Push>(builder: &mut FlatBufferBuilder<'_>, field: u16, value: T) {
    builder.push_slot_always(4 + 2 * field, value);
}

impl Model {
    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let mut buffers = vec![write_buffer(&mut builder, &[], false)];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let buffer = tensor.data.as_ref().map_or(0, |data| {
                buffers.push(write_buffer(&mut builder, data, tensor.outside));
                buffers.len() as u32 - 1
            });
            tensors.push(write_tensor(&mut builder, tensor, buffer));
        }
        let mut codes: Vec<i32> = self.operators.iter().map(|operator| operator.code).collect();
        codes.sort_unstable();
        codes.dedup();
        let operators: Vec<Written> = self
            .operators
            .iter()
            .map(|operator| {
                let index = codes.binary_search(&operator.code).unwrap_or_default();
                write_operator(&mut builder, operator, index as u32)
            })
            .collect();
        let codes: Vec<Written> = codes.into_iter().map(|code| write_code(&mut builder, code)).collect();

        let tensors = builder.create_vector(&tensors);
        let inputs = builder.create_vector(&self.inputs);
        let outputs = builder.create_vector(&self.outputs);
        let operators = builder.create_vector(&operators);
        let name = builder.create_string("main");
        let start = builder.start_table();
        push(&mut builder, 0, tensors);
        push(&mut builder, 1, inputs);
        push(&mut builder, 2, outputs);
        push(&mut builder, 3, operators);
        push(&mut builder, 4, name);
        let subgraph = builder.end_table(start);

        let subgraphs = builder.create_vector(&vec![subgraph; self.subgraphs]);
        let buffers = builder.create_vector(&buffers);
        let codes = builder.create_vector(&codes);
        let description = builder.create_string("written by a test");
        let start = builder.start_table();
        push(&mut builder, 0, self.version);
        push(&mut builder, 1, codes);
        push(&mut builder, 2, subgraphs);
        push(&mut builder, 3, description);
        push(&mut builder, 4, buffers);
        let model = builder.end_table(start);
        builder.finish(model, Some("TFL3"));
        builder.finished_data().to_vec()
    }
}

fn write_buffer(builder: &mut FlatBufferBuilder<'_>, data: &[u8], outside: bool) -> Written {
    let vector = (!data.is_empty()).then(|| builder.create_vector(data));
    let start = builder.start_table();
    if outside {
        push(builder, 1, 4096_u64);
        push(builder, 2, data.len() as u64);
    } else if let Some(vector) = vector {
        push(builder, 0, vector);
    }
    builder.end_table(start)
}

fn write_tensor(builder: &mut FlatBufferBuilder<'_>, tensor: &Tensor, buffer: u32) -> Written {
    let name = builder.create_string(&tensor.name);
    let shape = builder.create_vector(&tensor.shape);
    let quantisation = (!tensor.scales.is_empty()).then(|| {
        let scales = builder.create_vector(&tensor.scales);
        let zero_points = builder.create_vector(&tensor.zero_points);
        let start = builder.start_table();
        push(builder, 2, scales);
        push(builder, 3, zero_points);
        push(builder, 6, tensor.axis);
        builder.end_table(start)
    });
    let sparsity = tensor.sparse.then(|| {
        let start = builder.start_table();
        builder.end_table(start)
    });
    let start = builder.start_table();
    push(builder, 0, shape);
    push(builder, 1, tensor.element);
    push(builder, 2, buffer);
    push(builder, 3, name);
    if let Some(quantisation) = quantisation {
        push(builder, 4, quantisation);
    }
    push(builder, 5, u8::from(tensor.variable));
    if let Some(sparsity) = sparsity {
        push(builder, 6, sparsity);
    }
    builder.end_table(start)
}

fn write_operator(builder: &mut FlatBufferBuilder<'_>, operator: &Operator, index: u32) -> Written {
    let inputs = builder.create_vector(&operator.inputs);
    let outputs = builder.create_vector(&operator.outputs);
    // The options' code in the union, and their fields.
    let union = match operator.code {
        code::FULLY_CONNECTED => 8_u8,
        code::RESHAPE => 17,
        _ => 0,
    };
    let options = (union != 0).then(|| {
        let start = builder.start_table();
        if operator.code == code::FULLY_CONNECTED {
            push(builder, 0, operator.activation);
            push(builder, 1, operator.weights_format);
        }
        WIPOffset::<UnionWIPOffset>::new(builder.end_table(start).value())
    });
    let start = builder.start_table();
    push(builder, 0, index);
    push(builder, 1, inputs);
    push(builder, 2, outputs);
    if let Some(options) = options {
        push(builder, 3, union);
        push(builder, 4, options);
    }
    builder.end_table(start)
}

fn write_code(builder: &mut FlatBufferBuilder<'_>, code: i32) -> Written {
    let custom = (code == code::CUSTOM).then(|| builder.create_string("TheirOwn"));
    let start = builder.start_table();
    push(builder, 0, code.min(127) as i8);
    if let Some(custom) = custom {
        push(builder, 1, custom);
    }
    push(builder, 2, 1_i32);
    push(builder, 3, code);
    builder.end_table(start)
}
