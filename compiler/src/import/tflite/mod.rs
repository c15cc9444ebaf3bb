//! Reads int8 networks of TensorFlow Lite.
//!
//! The first and only subgraph becomes a [`Graph`]; its arithmetic is that of tflite-micro, whose answers it reproduces
//! bit for bit. See [`SUPPORTED_OPERATORS`]. One input, one output, a batch of one, int8 from end to end; weights may be int4.
//!
//! | module | holds |
//! | --- | --- |
//! | `flatbuffer` | bounds-checked reading of any FlatBuffer |
//! | `schema`, `names` | the fields, codes and names of TensorFlow Lite's schema |
//! | `tensors` | shapes, types, quantisation and constants, checked |
//! | `operators` | one lowering for each operator |

mod flatbuffer;
mod names;
mod operators;
mod schema;
mod tensors;

use flatbuffer::{Damage, Table};
use names::operator;
use schema::{Model, OperatorCode, SubGraph};
use tensors::Tensors;

use super::{ImportError, Place};
use crate::graph::{self, Graph};

/// The operators that can be lowered, by their names in the format.
pub const SUPPORTED_OPERATORS: [&str; 6] = ["FULLY_CONNECTED", "RESHAPE", "RELU", "RELU6", "RELU_N1_TO_1", "QUANTIZE"];

/// Bytes of parameters (weights, biases, scales) that are read from one network.
const PARAMETER_LIMIT: u64 = 64 << 20;

/// Elements of all activation tensors together.
const ACTIVATION_LIMIT: u64 = 16 << 20;

/// The version of the schema; the only one there has been since 2017.
const SCHEMA_VERSION: u32 = 3;

/// Whether the bytes carry the format's identifier.
#[must_use]
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3".as_slice())
}

/// Reads the TensorFlow Lite model in `bytes`; `name` is what messages and reports call it.
///
/// # Errors
/// The bytes are no such model, are damaged, or hold a network that cannot be lowered. See [`ImportError`].
pub fn import(bytes: &[u8], name: &str) -> Result<Graph, ImportError> {
    if !is_tflite(bytes) {
        return Err(ImportError::unknown_format(bytes, name));
    }
    let here = Site::of(name);
    let model = Model(here.sound(Table::root(bytes))?);
    let version = here.sound(model.version())?;
    if version != SCHEMA_VERSION {
        return Err(here.unsupported(
            format!("version {version} of the schema instead of {SCHEMA_VERSION}"),
            "convert the network again with a current TensorFlow Lite converter",
        ));
    }
    let subgraphs = here.sound(model.subgraphs())?;
    let count = subgraphs.len();
    let subgraph = match here.sound(subgraphs.get(0))? {
        Some(subgraph) if count == 1 => SubGraph(subgraph),
        _ => {
            return Err(here.unsupported(
                format!("{count} subgraphs instead of one"),
                "export a network without control flow (IF, WHILE, CALL_ONCE), variables and extra signatures",
            ));
        }
    };
    Importer { here, model, subgraph }.run()
}

/// Where the import stands, for messages.
#[derive(Debug, Clone)]
struct Site(Box<Place>);

impl Site {
    fn of(name: &str) -> Self {
        Self(Place::of(name))
    }

    fn operator(&self, index: usize, kind: String, layer: String) -> Self {
        let mut site = self.clone();
        site.0.operator = Some((index, kind));
        site.0.layer = Some(layer);
        site
    }

    fn tensor(&self, name: &str) -> Self {
        let mut site = self.clone();
        site.0.tensor = Some(name.to_owned());
        site
    }

    fn sound<T>(&self, read: flatbuffer::Result<T>) -> Result<T, ImportError> {
        read.map_err(|Damage(why)| self.damaged(why))
    }

    fn damaged(&self, why: impl Into<String>) -> ImportError {
        ImportError::Damaged { place: self.0.clone(), why: why.into() }
    }

    fn shape(&self, why: impl Into<String>) -> ImportError {
        ImportError::Shape { place: self.0.clone(), why: why.into() }
    }

    fn quantisation(&self, why: impl Into<String>) -> ImportError {
        ImportError::Quantisation { place: self.0.clone(), why: why.into() }
    }

    fn unsupported(&self, feature: impl Into<String>, instead: &'static str) -> ImportError {
        ImportError::Unsupported { place: self.0.clone(), feature: feature.into(), instead }
    }
}

struct Importer<'a> {
    here: Site,
    model: Model<'a>,
    subgraph: SubGraph<'a>,
}

impl Importer<'_> {
    fn run(&self) -> Result<Graph, ImportError> {
        let here = &self.here;
        let mut tensors = Tensors::new(here.clone(), self.model, self.subgraph)?;
        let input = tensors.activation(here, self.interface("input", self.subgraph.inputs())?, "input")?;
        if tensors.is_constant(here, input)? {
            return Err(here.tensor(&tensors.name(input)).unsupported(
                "the network's input is a constant",
                "export the network with a placeholder as its input",
            ));
        }
        tensors.mark_written(here, input)?;

        let table = here.sound(self.subgraph.operators())?;
        if table.len() == 0 {
            return Err(here.unsupported("the network has no operators", "give a network that computes something"));
        }
        let mut operators = Vec::new();
        for index in 0..table.len() {
            let Some(operator) = here.sound(table.get(index))? else { break };
            operators.push(self.operator(index, schema::Operator(operator), &mut tensors)?);
        }

        let output = self.interface("output", self.subgraph.outputs())?;
        let output = tensors.read(here, output, "output")?;
        let graph = Graph {
            name: here.0.network.clone(),
            inputs: vec![tensors.id(here, input)?],
            outputs: vec![output],
            operators,
            tensors: tensors.into_tensors(),
        };
        graph.check().map_err(|error| here.damaged(error.to_string()))?;
        Ok(graph)
    }

    /// The one tensor of the network's interface on that side.
    fn interface(
        &self,
        side: &str,
        indices: flatbuffer::Result<Option<flatbuffer::Numbers<'_, i32>>>,
    ) -> Result<i32, ImportError> {
        let indices = self.here.sound(indices)?;
        let count = indices.map_or(0, |indices| indices.len());
        match indices.and_then(|indices| indices.iter().next()) {
            Some(index) if count == 1 => Ok(index),
            _ => Err(self.here.unsupported(
                format!("{count} {side}s instead of one"),
                "export a network of one input and one output: concatenate or split them on the host",
            )),
        }
    }

    fn operator(
        &self,
        index: usize,
        operator: schema::Operator<'_>,
        tensors: &mut Tensors<'_>,
    ) -> Result<graph::Operator, ImportError> {
        let plain = &self.here;
        let opcode = plain.sound(operator.opcode_index())?;
        let codes = plain.sound(self.model.operator_codes())?;
        let code = plain.sound(codes.get(opcode as usize))?.map(OperatorCode).ok_or_else(|| {
            plain.damaged(format!("operator {index} is of kind {opcode}, but only {} are listed", codes.len()))
        })?;
        let number = plain.sound(code.code())?;
        let kind = match plain.sound(code.custom_code())? {
            Some(custom) if number == operator::CUSTOM => format!("CUSTOM {custom}"),
            _ => names::operator_name(number),
        };
        let outputs = plain.sound(operator.outputs())?;
        let layer = outputs.and_then(|outputs| outputs.iter().next()).map(|output| tensors.name(output));
        let layer = layer.unwrap_or_else(|| format!("operator {index}"));
        let here = plain.operator(index, kind.clone(), layer.clone());
        operators::lower(&here, number, &kind, layer, operator, tensors)
    }
}
