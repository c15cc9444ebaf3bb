//! Writes ONNX models with quantising and dequantising nodes, as exporters do.
//!
//! [`Writer`] builds a file node by node. [`twin`] says in ONNX what a TensorFlow Lite model says; [`image_network`] draws a
//! network of images in both formats, with ONNX's own order of axes.

mod image;
mod twin;

use lpu_compiler::import::onnx::schema::{
    Attribute, Dimension, Graph, Kind, Model, Node, OperatorSet, Shape, Tensor, TensorKind, ValueInfo, data_type,
};

pub use image::{Pair, image_network};
pub use twin::twin;

/// Version of the operators that are written.
const OPSET: i64 = 21;

/// The elements of a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Floating point.
    Float(Vec<f32>),
    /// Bytes.
    Int8(Vec<i8>),
    /// Bytes from 0.
    Uint8(Vec<u8>),
    /// 32 bits.
    Int32(Vec<i32>),
    /// 64 bits.
    Int64(Vec<i64>),
}

/// A file under construction.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    graph: Graph,
}

/// A list of integers as an attribute.
#[must_use]
pub fn integers(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { name: name.into(), ints, kind: 7, ..Attribute::default() }
}

/// An integer as an attribute.
#[must_use]
pub fn integer(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), kind: 2, ..Attribute::default() }
}

/// Text as an attribute.
#[must_use]
pub fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.into(), s: Some(value.into()), kind: 3, ..Attribute::default() }
}

/// A constant.
#[must_use]
pub fn tensor(name: &str, shape: &[usize], content: &Content) -> Tensor {
    let (data_type, raw_data) = match content {
        Content::Float(values) => (data_type::FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Content::Int8(values) => (data_type::INT8, values.iter().map(|&value| value as u8).collect()),
        Content::Uint8(values) => (data_type::UINT8, values.clone()),
        Content::Int32(values) => (data_type::INT32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Content::Int64(values) => (data_type::INT64, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    };
    let dims = shape.iter().map(|&size| size as i64).collect();
    Tensor { name: name.into(), dims, data_type, raw_data, ..Tensor::default() }
}

impl Writer {
    /// Adds a constant, and hands its name back.
    pub fn constant(&mut self, name: &str, shape: &[usize], content: &Content) -> String {
        self.graph.initializer.push(tensor(name, shape, content));
        name.into()
    }

    /// Adds an operator of one output, whose name it hands back.
    pub fn node(&mut self, kind: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) -> String {
        self.nodes(kind, inputs, &[output.to_owned()], attribute);
        output.into()
    }

    /// Adds an operator.
    pub fn nodes(&mut self, kind: &str, inputs: &[&str], outputs: &[String], attribute: Vec<Attribute>) {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: outputs.to_vec(),
            op_type: kind.into(),
            attribute,
            ..Node::default()
        });
    }

    /// Adds the constants that a quantising and a dequantising node of `name` need, and hands their names back.
    pub fn quantisation(&mut self, name: &str, scale: f32, zero_point: &Content) -> [String; 2] {
        let scale = self.constant(&format!("{name}/scale"), &[], &Content::Float(vec![scale]));
        [scale, self.constant(&format!("{name}/zero"), &[], zero_point)]
    }

    /// The file, with that input and output: names, element types and shapes.
    #[must_use]
    pub fn model(self, input: (&str, i32, &[usize]), output: (&str, i32, &[usize])) -> Model {
        let info = |(name, element, shape): (&str, i32, &[usize])| {
            let dimension = |&size: &usize| Dimension { value: Some(size as i64), parameter: None };
            let shape = Some(Shape { dim: shape.iter().map(dimension).collect() });
            ValueInfo { name: name.into(), kind: Some(Kind { tensor: Some(TensorKind { element, shape }) }) }
        };
        let graph =
            Graph { name: "network".into(), input: vec![info(input)], output: vec![info(output)], ..self.graph };
        let opset_import = vec![OperatorSet { domain: String::new(), version: OPSET }];
        Model { ir_version: 10, producer_name: "lpu-tests".into(), graph: Some(graph), opset_import }
    }
}
