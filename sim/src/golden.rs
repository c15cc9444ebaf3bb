//! The golden model: plain integer arithmetic over the network's graph.
//!
//! It has never heard of cycles, tiles or schedules. What the cycle model and the RTL answer is compared with what this
//! answers; what this answers is compared with other runtimes.
//!
//! [`Golden`] executes a graph call by call and keeps its state between them; [`run`] is one call from the initial state.
//! Operators are executed by one file for each family, with the arithmetic of [`lpu_isa::arithmetic`].

mod convolution;
mod elementwise;
mod movement;
mod reduction;
#[cfg(test)]
mod tests;

use lpu_compiler::graph::{Graph, GraphError, Operator, OperatorKind, Tensor, TensorId};
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GoldenError {
    /// The graph contradicts itself.
    #[error("the graph of `{graph}` cannot be executed: {source}")]
    Graph {
        /// Its name.
        graph: String,
        /// What is wrong.
        source: GraphError,
    },
    /// The graph has not exactly one input and one output.
    #[error("`{graph}` has {inputs} inputs and {outputs} outputs instead of one and one")]
    Interface {
        /// Its name.
        graph: String,
        /// How many it has.
        inputs: usize,
        /// How many it has.
        outputs: usize,
    },
    /// The input has another number of elements than the network's.
    #[error("an input of {given} elements for `{graph}`, whose input has the shape {shape:?}")]
    InputLength {
        /// The network's name.
        graph: String,
        /// The shape it wants.
        shape: Vec<usize>,
        /// Elements given.
        given: usize,
    },
}

/// A graph under execution: what it keeps from one inference to the next.
#[derive(Debug, Clone)]
pub struct Golden<'a> {
    graph: &'a Graph,
    input: TensorId,
    output: TensorId,
    /// The value of each state, at the states' positions in the graph.
    states: Vec<Vec<i8>>,
}

impl<'a> Golden<'a> {
    /// The graph before its first inference.
    ///
    /// # Errors
    /// The graph contradicts itself, or has not one input and one output.
    pub fn new(graph: &'a Graph) -> Result<Self, GoldenError> {
        graph.check().map_err(|source| GoldenError::Graph { graph: graph.name.clone(), source })?;
        let (&[input], &[output]) = (graph.inputs.as_slice(), graph.outputs.as_slice()) else {
            let (inputs, outputs) = (graph.inputs.len(), graph.outputs.len());
            return Err(GoldenError::Interface { graph: graph.name.clone(), inputs, outputs });
        };
        let states = graph.states.iter().map(|state| state.initial.clone()).collect();
        Ok(Self { graph, input, output, states })
    }

    /// Puts every state back to its value before the first inference.
    pub fn reset(&mut self) {
        for (value, state) in self.states.iter_mut().zip(&self.graph.states) {
            value.clone_from(&state.initial);
        }
    }

    /// The answer to `input`, one inference: as many elements as the network's output has, row-major.
    ///
    /// `input` holds as many elements as the network's input has, row-major, as int8 ([`lpu_compiler::graph::Element`]).
    ///
    /// # Errors
    /// The input has the wrong length.
    pub fn run(&mut self, input: &[i8]) -> Result<Vec<i8>, GoldenError> {
        let mut tensors = self.run_all_tensors(input)?;
        Ok(tensors.get_mut(self.output.0).and_then(Option::take).unwrap_or_default())
    }

    /// Every tensor's value in the inference of `input`, at the tensors' positions in the graph; `None` for a tensor that
    /// nothing writes.
    ///
    /// # Errors
    /// As for [`Golden::run`].
    pub fn run_all_tensors(&mut self, input: &[i8]) -> Result<Vec<Option<Vec<i8>>>, GoldenError> {
        let graph = self.graph;
        let wanted = &graph.tensors[self.input.0];
        if wanted.elements() != input.len() {
            let shape = wanted.shape.clone();
            return Err(GoldenError::InputLength { graph: graph.name.clone(), shape, given: input.len() });
        }
        let mut tensors: Vec<Option<Vec<i8>>> = vec![None; graph.tensors.len()];
        tensors[self.input.0] = Some(input.to_vec());
        for constant in &graph.constants {
            tensors[constant.tensor.0] = Some(constant.values.clone());
        }
        for (state, value) in graph.states.iter().zip(&self.states) {
            tensors[state.tensor.0] = Some(value.clone());
        }
        for operator in &graph.operators {
            // The check has seen to it that there is one output, and that all inputs are written.
            let read =
                |&id: &TensorId| Some(Value { tensor: &graph.tensors[id.0], elements: tensors[id.0].as_deref()? });
            let inputs: Option<Vec<Value<'_>>> = operator.inputs.iter().map(read).collect();
            if let (Some(inputs), &[to]) = (inputs, operator.outputs.as_slice()) {
                tensors[to.0] = execute(operator, &inputs, &graph.tensors[to.0]);
            }
        }
        for (state, value) in graph.states.iter().zip(&mut self.states) {
            if let Some(next) = &tensors[state.next.0] {
                value.clone_from(next);
            }
        }
        Ok(tensors)
    }
}

/// The network's answer to `input` in its initial state: as many elements as its output has, row-major.
///
/// `input` holds as many elements as the network's input has, row-major.
///
/// # Errors
/// The graph contradicts itself, has not one input and one output, or the input has the wrong length.
pub fn run(graph: &Graph, input: &[i8]) -> Result<Vec<i8>, GoldenError> {
    Golden::new(graph)?.run(input)
}

/// Every tensor's value for `input` in the initial state, at the tensors' positions in the graph; `None` for a tensor that
/// nothing writes.
///
/// # Errors
/// As for [`run`].
pub fn run_all_tensors(graph: &Graph, input: &[i8]) -> Result<Vec<Option<Vec<i8>>>, GoldenError> {
    Golden::new(graph)?.run_all_tensors(input)
}

/// A tensor with its elements.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    tensor: &'a Tensor,
    elements: &'a [i8],
}

/// What the operator writes; `None` for one without inputs, which no graph that passed its check has.
fn execute(operator: &Operator, inputs: &[Value<'_>], output: &Tensor) -> Option<Vec<i8>> {
    let &first = inputs.first()?;
    let elements = first.elements;
    Some(match &operator.kind {
        OperatorKind::FullyConnected(layer) => convolution::fully_connected(layer, elements),
        OperatorKind::Convolution(layer) => convolution::convolution(layer, first, output),
        OperatorKind::DepthwiseConvolution(layer) => convolution::depthwise(layer, first, output),
        OperatorKind::Pool(pool) => reduction::pool(pool, first, output),
        OperatorKind::Mean(mean) => reduction::mean(mean, first),
        OperatorKind::Elementwise(function) => elementwise::elementwise(function, elements),
        OperatorKind::Add(addition) => {
            elementwise::pairs(inputs, output, |first, second| addition.apply(first, second))
        }
        OperatorKind::Multiply(product) => elementwise::pairs(inputs, output, |first, second| {
            let (first, second) = (first - product.first_zero_point, second - product.second_zero_point);
            product.requantise.apply(first.wrapping_mul(second))
        }),
        OperatorKind::Softmax(softmax) => {
            let row = first.tensor.shape.last().copied().unwrap_or(1).max(1);
            elements.chunks(row).flat_map(|row| softmax.apply(row)).collect()
        }
        OperatorKind::Logistic(logistic) => {
            elements.iter().map(|&element| narrow(logistic.apply(element.into()))).collect()
        }
        OperatorKind::Reshape => elements.to_vec(),
        OperatorKind::Pad(pad) => movement::pad(pad, first, output),
        OperatorKind::Concatenation(concatenation) => movement::concatenate(*concatenation, inputs),
        OperatorKind::Slice(slice) => movement::slice(slice, first),
    })
}

/// The graph's check has seen to it that every clamp lies within int8.
fn narrow(value: i32) -> i8 {
    value as i8
}

/// The distance between neighbours along each axis of a row-major tensor of shape `shape`.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The positions of all elements of a tensor of shape `shape`, in row-major order, in memory where a step along an axis is
/// `strides` and the first element is at `start`.
fn positions(start: usize, shape: &[usize], strides: &[isize]) -> Vec<usize> {
    let mut positions = vec![start];
    for (&size, &stride) in shape.iter().zip(strides) {
        let along = |&first: &usize| (0..size as isize).map(move |index| first.wrapping_add_signed(index * stride));
        positions = positions.iter().flat_map(along).collect();
    }
    positions
}
