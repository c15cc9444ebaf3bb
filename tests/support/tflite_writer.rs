//! Writes TensorFlow Lite models: the inverse of the importer, and broken on request.
//!
//! [`Model`] is the file as data, every field public, so that a test can change one thing and expect one refusal.
//! [`Network`] builds sound ones, layer by layer; [`random_network`] draws them. For networks of one operator each, see
//! [`crate::operators`].

mod file;
mod network;

pub use network::{Dense, Limits, Network, random_network};

/// Codes of the schema.
pub mod code {
    /// Operator.
    pub const ADD: i32 = 0;
    /// Operator.
    pub const AVERAGE_POOL_2D: i32 = 1;
    /// Operator.
    pub const CONCATENATION: i32 = 2;
    /// Operator.
    pub const CONV_2D: i32 = 3;
    /// Operator.
    pub const DEPTHWISE_CONV_2D: i32 = 4;
    /// Operator.
    pub const FULLY_CONNECTED: i32 = 9;
    /// Operator.
    pub const LOGISTIC: i32 = 14;
    /// Operator.
    pub const MAX_POOL_2D: i32 = 17;
    /// Operator.
    pub const MUL: i32 = 18;
    /// Operator.
    pub const RELU: i32 = 19;
    /// Operator.
    pub const RELU_N1_TO_1: i32 = 20;
    /// Operator.
    pub const RELU6: i32 = 21;
    /// Operator.
    pub const RESHAPE: i32 = 22;
    /// Operator.
    pub const SOFTMAX: i32 = 25;
    /// Operator.
    pub const TANH: i32 = 28;
    /// Operator.
    pub const CUSTOM: i32 = 32;
    /// Operator.
    pub const PAD: i32 = 34;
    /// Operator.
    pub const MEAN: i32 = 40;
    /// Operator.
    pub const STRIDED_SLICE: i32 = 45;
    /// Operator.
    pub const SPLIT: i32 = 49;
    /// Operator.
    pub const SPLIT_V: i32 = 102;
    /// Operator.
    pub const QUANTIZE: i32 = 114;
    /// Operator.
    pub const CALL_ONCE: i32 = 129;
    /// Operator.
    pub const VAR_HANDLE: i32 = 142;
    /// Operator.
    pub const READ_VARIABLE: i32 = 143;
    /// Operator.
    pub const ASSIGN_VARIABLE: i32 = 144;
    /// Element type.
    pub const FLOAT32: i8 = 0;
    /// Element type.
    pub const INT32: i8 = 2;
    /// Element type.
    pub const UINT8: i8 = 3;
    /// Element type.
    pub const INT16: i8 = 7;
    /// Element type.
    pub const INT8: i8 = 9;
    /// Element type: what a variable's handle is of.
    pub const RESOURCE: i8 = 13;
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
    /// A second subgraph, for `CALL_ONCE`: its tensors and operators.
    pub initial: Option<(Vec<Tensor>, Vec<Operator>)>,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Its code.
    pub code: i32,
    /// Positions of tensors; -1 for an optional one that is absent.
    pub inputs: Vec<i32>,
    /// Positions of tensors.
    pub outputs: Vec<i32>,
    /// The fused activation's code, of an operator that has one.
    pub activation: i8,
    /// The weights' format, of a `FULLY_CONNECTED`.
    pub weights_format: i8,
    /// What else the operator is told.
    pub options: Options,
}

/// What an operator is told besides its tensors. Pairs are rows, columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Options {
    /// Nothing, or what follows from its tensors.
    #[default]
    Plain,
    /// Of `CONV_2D` and `DEPTHWISE_CONV_2D`.
    Convolution {
        /// 0 for SAME, 1 for VALID.
        padding: i8,
        /// Rows, columns.
        stride: [i32; 2],
        /// Rows, columns.
        dilation: [i32; 2],
        /// Of `DEPTHWISE_CONV_2D`: outputs for each input channel.
        multiplier: i32,
    },
    /// Of the pools.
    Pool {
        /// 0 for SAME, 1 for VALID.
        padding: i8,
        /// Rows, columns.
        stride: [i32; 2],
        /// Rows, columns.
        size: [i32; 2],
    },
    /// Of `SOFTMAX`.
    Softmax {
        /// Factor of the input.
        beta: f32,
    },
    /// Of `CONCATENATION`.
    Concatenation {
        /// Negative ones count from behind.
        axis: i32,
    },
    /// Of `MEAN`.
    Mean {
        /// Whether the axes stay, with size 1.
        keep_axes: bool,
    },
    /// Of `STRIDED_SLICE`: begin, end, ellipsis, new axis and shrink axis.
    StridedSlice {
        /// A bit for each axis.
        masks: [i32; 5],
    },
    /// Of `CALL_ONCE`.
    CallOnce {
        /// Position of the subgraph.
        subgraph: i32,
    },
    /// Of `VAR_HANDLE`.
    VarHandle {
        /// The variable's name.
        name: String,
    },
}

impl Operator {
    /// An operator without a fused activation and options.
    #[must_use]
    pub fn plain(code: i32, inputs: Vec<i32>, outputs: Vec<i32>) -> Self {
        Self { code, inputs, outputs, activation: 0, weights_format: 0, options: Options::Plain }
    }
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

    /// A constant of int32 without a scale.
    #[must_use]
    pub fn integers(name: &str, values: &[i32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::constant(name, &[values.len()], code::INT32, vec![], data)
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
