//! The messages of ONNX's protocol buffers, as far as they are read: `onnx.proto` of ONNX, by field number.
//!
//! What is not listed here (documentation, names of dimensions, training) is skipped. The types are public so that tools and
//! tests can write models ([`Model::bytes`]).

/// Codes of `TensorProto.DataType`.
pub mod data_type {
    /// 32-bit floating point.
    pub const FLOAT: i32 = 1;
    /// Bytes from 0 to 255.
    pub const UINT8: i32 = 2;
    /// Bytes from -128 to 127.
    pub const INT8: i32 = 3;
    /// 32-bit integers.
    pub const INT32: i32 = 6;
    /// 64-bit integers.
    pub const INT64: i32 = 7;

    /// The names of the codes, by their numbers.
    pub(in super::super) const NAMES: [&str; 24] = [
        "UNDEFINED",
        "FLOAT",
        "UINT8",
        "INT8",
        "UINT16",
        "INT16",
        "INT32",
        "INT64",
        "STRING",
        "BOOL",
        "FLOAT16",
        "DOUBLE",
        "UINT32",
        "UINT64",
        "COMPLEX64",
        "COMPLEX128",
        "BFLOAT16",
        "FLOAT8E4M3FN",
        "FLOAT8E4M3FNUZ",
        "FLOAT8E5M2",
        "FLOAT8E5M2FNUZ",
        "UINT4",
        "INT4",
        "FLOAT4E2M1",
    ];
}

/// `ModelProto`: the file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Model {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// What wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// Versions of the sets of operators that the nodes are of.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

impl Model {
    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        prost::Message::encode_to_vec(self)
    }
}

/// `OperatorSetIdProto`: a version of a set of operators.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSet {
    /// The set; empty for ONNX's own.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `GraphProto`: the network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Graph {
    /// In an order of execution.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// What is given from outside; older files list the constants, too.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What is handed out.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// `NodeProto`: an operator.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// Names of values; empty for an optional one that is absent.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of values.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Its kind.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// What it is told besides.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// The set that its kind is of; empty for ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// `AttributeProto`: something that a node is told.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// One number.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// One integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// Text.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// A constant.
    #[prost(message, optional, boxed, tag = "5")]
    pub t: Option<Box<Tensor>>,
    /// Numbers.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Which of them it has: 1 `f`, 2 `i`, 3 `s`, 4 `t`, 6 `floats`, 7 `ints`.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

/// `TensorProto`: a constant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tensor {
    /// Sizes of the axes.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// Of [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Content of floating-point constants.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Content of constants of up to 32 bits.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Content of constants of 64 bits.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Content of any constant instead, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// 1 where the content stands in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// `ValueInfoProto`: a value at the interface.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Kind>,
}

/// `TypeProto`: a type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Kind {
    /// That of a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorKind>,
}

/// `TypeProto.Tensor`: the type of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorKind {
    /// Of [`data_type`].
    #[prost(int32, tag = "1")]
    pub element: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`: a shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Shape {
    /// Its axes.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`: the size of an axis.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    /// The size.
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    /// Its name instead, where it is open.
    #[prost(string, optional, tag = "2")]
    pub parameter: Option<String>,
}
