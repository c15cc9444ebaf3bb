//! Reads int8 networks of ONNX in the form of quantising and dequantising nodes ("QDQ").
//!
//! In such a file every operator computes in floating point between a `DequantizeLinear` in front of each operand and a
//! `QuantizeLinear` behind its result. Together they are one integer operator of the [`Graph`]: the scales and zero points of
//! these nodes become those of its tensors. Its arithmetic is tflite-micro's, so that the same network in TensorFlow Lite's
//! format becomes the same graph; how far that is from ONNX's floating point is measured (`docs/onnx.md`).
//!
//! ONNX counts images channel by channel, the graph has channels innermost; see the module `layout`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`schema`] | the messages of the file, read by the crate `prost` |
//! | `weight` | how much memory they would take, counted before |
//! | `layout` | where elements stand, seen from ONNX's order |
//! | `value` | what the names of the file stand for: activations and constants |
//! | `node` | an operator of the file: its attributes and operands |
//! | `destination` | the quantisation of a result, and what is fused into the operator that makes it |
//! | `interface` | the network's input and output |
//! | `operators` | from an operator of the file to those of the graph, one file for each family |

mod destination;
mod interface;
mod layout;
mod node;
mod operators;
pub mod schema;
mod value;
mod weight;

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::ImportError;
use super::site::Site;
use crate::graph::{Constant as GraphConstant, Element, Graph, Operator, OperatorKind, Quantisation, Tensor, TensorId};
use layout::{Layout, permuted};
use node::Node;
use value::{Activation, Constant, Value};

/// The operators that are read, by their names in the format.
pub const SUPPORTED_OPERATORS: [&str; 27] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "AveragePool",
    "GlobalAveragePool",
    "MaxPool",
    "GlobalMaxPool",
    "ReduceMean",
    "Softmax",
    "Sigmoid",
    "Relu",
    "Clip",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Transpose",
    "Pad",
    "Concat",
    "Split",
    "Slice",
    "Constant",
];

/// Bytes of parameters (weights, biases, scales) that are made of one network.
const PARAMETER_LIMIT: u64 = 64 << 20;

/// Elements of all activation tensors together.
const ACTIVATION_LIMIT: u64 = 16 << 20;

/// Axes of a tensor.
const RANK_LIMIT: usize = 6;

/// The first version of the operators with `QuantizeLinear`.
const LEAST_OPSET: i64 = 10;

/// What to do about a network that is not quantised in the way that is read here.
const QUANTISE: &str = "quantise every operator with QuantizeLinear and DequantizeLinear around it, for instance by \
                        onnxruntime.quantization.quantize_static(…, quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8, \
                        weight_type=QuantType.QInt8)";

/// What to do about constants that the network computes.
const FOLD: &str = "let a simplifier fold constants and fix shapes before quantising (onnxsim, or onnxruntime.quantization.preprocess)";

/// What to do about elements in an order that an operator cannot read.
const ORDER: &str = "let the exporter leave out the Transpose or Reshape in front of it: only those that undo each other, or \
                     stand in front of a Gemm or MatMul, cost nothing and are read";

/// Whether the bytes begin as an ONNX model does: with the version of the format, then another field of `ModelProto`.
///
/// The format has no identifier. Every known writer puts the fields in the order of their numbers, so that the version (1 to
/// some dozen) is the first.
#[must_use]
pub fn is_onnx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=0x3f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

/// Reads the ONNX model in `bytes`; `name` is what messages and reports call it.
///
/// # Errors
/// The bytes are no such model, are damaged, or hold a network that cannot be lowered. See [`ImportError`].
pub fn import(bytes: &[u8], name: &str) -> Result<Graph, ImportError> {
    let here = Site::of(name);
    weight::check(&here, bytes)?;
    let model = schema::Model::decode(bytes).map_err(|error| here.damaged(error.to_string()))?;
    let Some(graph) = &model.graph else {
        return Err(here.damaged("the model has no graph"));
    };
    let own = |set: &&schema::OperatorSet| matches!(set.domain.as_str(), "" | "ai.onnx");
    let opset = model.opset_import.iter().find(own).map_or(1, |set| set.version);
    if opset < LEAST_OPSET {
        return Err(here.unsupported(
            format!("version {opset} of ONNX's operators, older than {LEAST_OPSET}"),
            "export the network with opset 13 or newer",
        ));
    }
    Importer::new(here, graph, opset)?.run()
}

/// How a value stands in memory.
struct Form {
    /// ONNX's shape.
    shape: Vec<usize>,
    /// Where the elements of that shape stand.
    layout: Layout,
    /// The shape of the graph's tensor.
    stored: Vec<usize>,
}

impl Form {
    /// ONNX's shape with its axes in that order in memory.
    fn of(shape: Vec<usize>, order: &[usize]) -> Self {
        Self { layout: Layout::of(&shape, order), stored: permuted(&shape, order), shape }
    }

    /// As `of`.
    fn like(of: &Activation, stored: &[usize]) -> Self {
        Self { shape: of.shape.clone(), layout: of.layout.clone(), stored: stored.to_vec() }
    }
}

/// A network on its way into the graph.
struct Importer<'a> {
    here: Site,
    file: &'a schema::Graph,
    /// Version of ONNX's operators.
    opset: i64,
    /// Which nodes read a value, by its name.
    consumers: HashMap<&'a str, Vec<usize>>,
    /// Values that exist.
    values: HashMap<&'a str, Value>,
    /// Names of values that some node, constant or input makes.
    makers: HashSet<&'a str>,
    /// Nodes that are folded.
    done: HashSet<usize>,
    /// Nodes that are part of the operator in front of them.
    fused: HashSet<usize>,
    tensors: Vec<Tensor>,
    constants: Vec<GraphConstant>,
    operators: Vec<Operator>,
    parameter_bytes: u64,
    elements: u64,
}

impl<'a> Importer<'a> {
    /// Takes the constants over.
    fn new(here: Site, file: &'a schema::Graph, opset: i64) -> Result<Self, ImportError> {
        let mut importer = Self {
            here,
            file,
            opset,
            consumers: HashMap::new(),
            values: HashMap::new(),
            makers: HashSet::new(),
            done: HashSet::new(),
            fused: HashSet::new(),
            tensors: Vec::new(),
            constants: Vec::new(),
            operators: Vec::new(),
            parameter_bytes: 0,
            elements: 0,
        };
        for tensor in &file.initializer {
            let there = importer.here.tensor(&tensor.name);
            let constant = Constant::of(&there, tensor)?;
            importer.charge(&there, constant.bytes())?;
            if importer.values.insert(&tensor.name, Value::Constant(constant)).is_some() {
                return Err(there.damaged("two constants have this name"));
            }
            importer.makers.insert(&tensor.name);
        }
        for (index, node) in file.node.iter().enumerate() {
            for input in node.input.iter().filter(|input| !input.is_empty()) {
                let readers = importer.consumers.entry(input).or_default();
                if readers.last() != Some(&index) {
                    readers.push(index);
                }
            }
            for output in node.output.iter().filter(|output| !output.is_empty()) {
                if !importer.makers.insert(output) {
                    let there = Node::of(&importer.here, index, node).here.tensor(output);
                    return Err(there.damaged("the value is made twice"));
                }
            }
        }
        Ok(importer)
    }

    fn run(mut self) -> Result<Graph, ImportError> {
        let file = self.file;
        if file.node.is_empty() {
            return Err(self
                .here
                .unsupported("the network has no operators", "give a network that computes something"));
        }
        // What is made of constants alone is known before results are looked at: scales, and what is fused.
        for (index, node) in file.node.iter().enumerate() {
            let node = Node::of(&self.here, index, node);
            operators::fold(&mut self, &node)?;
        }
        let input = self.input()?;
        for (index, node) in file.node.iter().enumerate() {
            let node = Node::of(&self.here, index, node);
            if self.fused.contains(&index) {
                operators::pass(&mut self, &node)?;
            } else if !self.done.contains(&index) {
                operators::import(&mut self, &node)?;
            }
        }
        let output = self.output()?;
        if output == input {
            return Err(self.here.unsupported("the output is the input", "give a network that computes something"));
        }
        let Self { here, tensors, constants, operators, .. } = self;
        let (inputs, outputs, name) = (vec![input], vec![output], here.0.network.clone());
        let graph = Graph { name, inputs, outputs, operators, tensors, constants, states: Vec::new() };
        graph.check().map_err(|error| here.damaged(error.to_string()))?;
        Ok(graph)
    }

    /// Gives a name its value.
    fn put(&mut self, name: &'a str, value: Value) {
        // Names are made once: see `new`.
        self.values.insert(name, value);
    }

    fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    fn quantisation(&self, of: &Activation) -> Quantisation {
        self.tensor(of.tensor).quantisation
    }

    /// The order of an activation's axes in memory: the one that its tensor has, if that says one, else any in which its elements
    /// stand; `None` where there is none.
    fn order(&self, of: &Activation) -> Option<Vec<usize>> {
        let rank = of.shape.len();
        let stored = &self.tensor(of.tensor).shape;
        let as_stored =
            |order: &Vec<usize>| permuted(&of.shape, order) == *stored && Layout::of(&of.shape, order) == of.layout;
        let usual = [layout::identity(rank), layout::channels_last(rank)];
        usual.into_iter().find(as_stored).or_else(|| of.layout.order(&of.shape))
    }

    /// Adds a tensor of the graph; `shape` is its shape in memory.
    fn add(
        &mut self,
        here: &Site,
        name: &str,
        shape: Vec<usize>,
        quantisation: Quantisation,
        element: Element,
    ) -> Result<TensorId, ImportError> {
        let tensor = Tensor { name: name.to_owned(), shape, quantisation, element };
        self.elements = self.elements.saturating_add(tensor.elements() as u64);
        if self.elements > ACTIVATION_LIMIT {
            let (place, what) = (here.0.clone(), "the activations".into());
            return Err(ImportError::TooLarge { place, what, size: self.elements, limit: ACTIVATION_LIMIT });
        }
        self.tensors.push(tensor);
        Ok(TensorId(self.tensors.len() - 1))
    }

    /// Adds the tensor of that form that the operator `kind` makes of `inputs`.
    fn emit(
        &mut self,
        node: &Node<'a>,
        name: &str,
        kind: OperatorKind,
        inputs: Vec<TensorId>,
        form: Form,
        (quantisation, element): (Quantisation, Element),
    ) -> Result<Activation, ImportError> {
        let tensor = self.add(&node.here, name, form.stored, quantisation, element)?;
        self.operators.push(Operator { name: name.to_owned(), kind, inputs, outputs: vec![tensor] });
        Ok(Activation { tensor, layout: form.layout, shape: form.shape, integer: false })
    }

    /// The tensor with the same elements whose shape in memory is `shape`.
    fn view(&mut self, here: &Site, of: &Activation, shape: &[usize]) -> Result<TensorId, ImportError> {
        let tensor = self.tensor(of.tensor);
        if tensor.shape == shape {
            return Ok(of.tensor);
        }
        let (name, quantisation, element) = (format!("{}/reshaped", tensor.name), tensor.quantisation, tensor.element);
        let view = self.add(here, &name, shape.to_vec(), quantisation, element)?;
        let (inputs, outputs) = (vec![of.tensor], vec![view]);
        self.operators.push(Operator { name, kind: OperatorKind::Reshape, inputs, outputs });
        Ok(view)
    }

    /// Counts `bytes` of parameters, before they are allocated: many operators may share one constant of the file.
    fn charge(&mut self, here: &Site, bytes: usize) -> Result<(), ImportError> {
        self.parameter_bytes = self.parameter_bytes.saturating_add(bytes as u64);
        if self.parameter_bytes > PARAMETER_LIMIT {
            let (place, what) = (here.0.clone(), "the constants".into());
            return Err(ImportError::TooLarge { place, what, size: self.parameter_bytes, limit: PARAMETER_LIMIT });
        }
        Ok(())
    }
}
