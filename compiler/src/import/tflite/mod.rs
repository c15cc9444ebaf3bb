//! Reads int8 networks of TensorFlow Lite.
//!
//! The first subgraph becomes a [`Graph`]; its arithmetic is that of tflite-micro, whose answers it reproduces bit for bit. See
//! [`SUPPORTED_OPERATORS`]. Another subgraph may only be one that gives variables their first values. One input, one output, a
//! batch of one, int8 from end to end; weights may be int4, input and output uint8 where `QUANTIZE` stands between.
//!
//! | module | holds |
//! | --- | --- |
//! | `flatbuffer` | bounds-checked reading of any FlatBuffer |
//! | `schema`, `names` | the fields, codes and names of TensorFlow Lite's schema |
//! | `tensors` | shapes, types, quantisation and constants, checked |
//! | `operators` | from an operator of the file to those of the graph, one file for each family |
//! | `state` | variables: what is kept from one inference to the next |

mod flatbuffer;
mod names;
mod operators;
mod schema;
mod state;
mod tensors;

use flatbuffer::{Damage, Table};
use names::{element, operator};
use operators::Node;
use schema::{Model, OperatorCode, SubGraph};
use state::Variables;
use tensors::Tensors;

use super::ImportError;
use super::site::Site;
use crate::graph::{self, Graph};

/// The operators that are read, by their names in the format.
pub const SUPPORTED_OPERATORS: [&str; 24] = [
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "ADD",
    "MUL",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MEAN",
    "SOFTMAX",
    "LOGISTIC",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "QUANTIZE",
    "RESHAPE",
    "PAD",
    "CONCATENATION",
    "SPLIT",
    "SPLIT_V",
    "STRIDED_SLICE",
    "CALL_ONCE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
];

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
    let subgraph = here.sound(here.sound(model.subgraphs())?.get(0))?.map(SubGraph);
    let subgraph = subgraph.ok_or_else(|| here.unsupported("no subgraph", "give a network that computes something"))?;
    Importer { here, model, subgraph }.run()
}

impl Site {
    fn sound<T>(&self, read: flatbuffer::Result<T>) -> Result<T, ImportError> {
        read.map_err(|Damage(why)| self.damaged(why))
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
        let input = self.interface("input", self.subgraph.inputs())?;
        let input = tensors.activation(here, input, &[element::INT8, element::UINT8], "input")?;
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
        let mut variables = Variables::default();
        for index in 0..table.len() {
            let Some(operator) = here.sound(table.get(index))? else { break };
            operators.extend(self.operator(index, schema::Operator(operator), &mut tensors, &mut variables)?);
        }
        self.check_subgraphs(&variables)?;

        let output = self.interface("output", self.subgraph.outputs())?;
        let output = tensors.read(here, output, &[element::INT8, element::UINT8], "output")?;
        let input = tensors.id(here, input)?;
        let (tensors, constants) = tensors.into_parts();
        let graph = Graph {
            name: here.0.network.clone(),
            inputs: vec![input],
            outputs: vec![output],
            operators,
            tensors,
            constants,
            states: variables.into_states(),
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
        variables: &mut Variables,
    ) -> Result<Vec<graph::Operator>, ImportError> {
        let (number, kind) = self.kind(index, operator)?;
        let outputs = self.here.sound(operator.outputs())?;
        let layer = outputs.and_then(|outputs| outputs.iter().next()).map(|output| tensors.name(output));
        let layer = layer.unwrap_or_else(|| format!("operator {index}"));
        let here = self.here.operator(index, kind.clone(), layer.clone());
        let node = || Node::of(&here, layer.clone(), operator);
        match number {
            operator::CALL_ONCE => {
                let options = here.sound(operator.call_once_options())?;
                let subgraph = options.map_or(Ok(0), |options| here.sound(options.init_subgraph_index()))?;
                self.initialise(&here, subgraph, tensors, variables).map(|()| Vec::new())
            }
            operator::VAR_HANDLE => variables.handle(&node()?, operator).map(|()| Vec::new()),
            operator::READ_VARIABLE => variables.read(&node()?, tensors).map(|operator| vec![operator]),
            operator::ASSIGN_VARIABLE => variables.assign(&node()?, tensors).map(|()| Vec::new()),
            _ => operators::import(&here, number, &kind, layer, operator, tensors),
        }
    }

    /// Code and name of an operator.
    fn kind(&self, index: usize, operator: schema::Operator<'_>) -> Result<(i32, String), ImportError> {
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
        Ok((number, kind))
    }

    /// Runs the subgraph that `CALL_ONCE` names: assignments of constants to variables, and nothing else.
    fn initialise(
        &self,
        here: &Site,
        subgraph: i32,
        tensors: &mut Tensors<'_>,
        variables: &mut Variables,
    ) -> Result<(), ImportError> {
        let subgraphs = here.sound(self.model.subgraphs())?;
        let table = match usize::try_from(subgraph) {
            Ok(index @ 1..) => here.sound(subgraphs.get(index))?.map(|table| (index, SubGraph(table))),
            _ => None,
        };
        let Some((index, table)) = table else {
            return Err(here.damaged(format!("subgraph {subgraph} is named, but there are {}", subgraphs.len())));
        };
        if !variables.begin_initialisation(here, index)? {
            return Ok(());
        }
        let mut constants = Tensors::new(here.clone(), self.model, table)?;
        let operators = here.sound(table.operators())?;
        for index in 0..operators.len() {
            let Some(operator) = here.sound(operators.get(index))?.map(schema::Operator) else { break };
            let (number, kind) = self.kind(index, operator)?;
            let node = Node::of(here, String::new(), operator)?;
            match number {
                operator::VAR_HANDLE => variables.initial_handle(&node, operator)?,
                operator::ASSIGN_VARIABLE => variables.initial_assignment(&node, &mut constants, tensors)?,
                _ => {
                    return Err(here.unsupported(
                        format!("{kind} in the subgraph that initialises variables"),
                        "give variables constants as their first values",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Refuses subgraphs that take part in nothing.
    fn check_subgraphs(&self, variables: &Variables) -> Result<(), ImportError> {
        let count = self.here.sound(self.model.subgraphs())?.len();
        let used = 1 + variables.initialisations();
        if count == used {
            return Ok(());
        }
        Err(self.here.unsupported(
            format!("{count} subgraphs, of which the network and its CALL_ONCE operators are {used}"),
            "export a network without control flow (IF, WHILE) and extra signatures",
        ))
    }
}
