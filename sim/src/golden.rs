//! The golden model: plain integer arithmetic over the network's graph.
//!
//! It has never heard of cycles, tiles or schedules. What the cycle model and the RTL answer is compared with what this
//! answers; what this answers is compared with other runtimes.

use lpu_compiler::graph::{Elementwise, FullyConnected, Graph, GraphError, Operator, OperatorKind};
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

/// The network's answer to `input`: as many elements as its output has, row-major.
///
/// `input` holds as many elements as the network's input has, row-major.
///
/// # Errors
/// The graph contradicts itself, has not one input and one output, or the input has the wrong length.
pub fn run(graph: &Graph, input: &[i8]) -> Result<Vec<i8>, GoldenError> {
    let mut tensors = run_all_tensors(graph, input)?;
    let output = graph.outputs.first().and_then(|output| tensors.get_mut(output.0)?.take());
    Ok(output.unwrap_or_default())
}

/// Every tensor's value for `input`, at the tensors' positions in the graph; `None` for a tensor that nothing writes.
///
/// # Errors
/// As for [`run`].
pub fn run_all_tensors(graph: &Graph, input: &[i8]) -> Result<Vec<Option<Vec<i8>>>, GoldenError> {
    graph.check().map_err(|source| GoldenError::Graph { graph: graph.name.clone(), source })?;
    let (&[entry], &[_]) = (graph.inputs.as_slice(), graph.outputs.as_slice()) else {
        let (inputs, outputs) = (graph.inputs.len(), graph.outputs.len());
        return Err(GoldenError::Interface { graph: graph.name.clone(), inputs, outputs });
    };
    let mut tensors: Vec<Option<Vec<i8>>> = vec![None; graph.tensors.len()];
    let wanted = &graph.tensors[entry.0];
    if wanted.elements() != input.len() {
        let shape = wanted.shape.clone();
        return Err(GoldenError::InputLength { graph: graph.name.clone(), shape, given: input.len() });
    }
    tensors[entry.0] = Some(input.to_vec());
    for operator in &graph.operators {
        // The check has seen to it that there is one of each, and that the input is written.
        if let (&[from], &[to]) = (operator.inputs.as_slice(), operator.outputs.as_slice()) {
            tensors[to.0] = tensors[from.0].as_deref().map(|input| execute(operator, input));
        }
    }
    Ok(tensors)
}

fn execute(operator: &Operator, input: &[i8]) -> Vec<i8> {
    match &operator.kind {
        OperatorKind::FullyConnected(layer) => fully_connected(layer, input),
        OperatorKind::Reshape => input.to_vec(),
        OperatorKind::Elementwise(function) => elementwise(function, input),
    }
}

fn fully_connected(layer: &FullyConnected, input: &[i8]) -> Vec<i8> {
    let rows = layer.weights.chunks_exact(layer.input_length.max(1));
    let row = |(channel, row): (usize, &[i8])| {
        let bias = layer.bias.as_ref().and_then(|bias| bias.get(channel)).copied().unwrap_or(0);
        let products = row
            .iter()
            .zip(input)
            .map(|(&weight, &element)| i32::from(weight) * (i32::from(element) - layer.input_zero_point));
        let accumulator = products.fold(0_i32, i32::wrapping_add).wrapping_add(bias);
        layer.requantise(channel).map_or(0, |requantise| narrow(requantise.apply(accumulator)))
    };
    rows.enumerate().map(row).collect()
}

fn elementwise(function: &Elementwise, input: &[i8]) -> Vec<i8> {
    let apply = |&element: &i8| function.requantise.apply(i32::from(element) - function.input_zero_point);
    input.iter().map(apply).map(narrow).collect()
}

/// The graph's check has seen to it that every clamp lies within int8.
fn narrow(value: i32) -> i8 {
    value as i8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use lpu_compiler::graph::{ChannelScale, ElementwiseFunction, Quantisation, Tensor, TensorId};
    use lpu_isa::arithmetic::{Requantise, Rounding};

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let quantisation = Quantisation { scale: 1.0, zero_point: 0 };
        Tensor { name: name.into(), shape: shape.into(), quantisation }
    }

    fn operator(name: &str, kind: OperatorKind, from: usize, to: usize) -> Operator {
        Operator { name: name.into(), kind, inputs: vec![TensorId(from)], outputs: vec![TensorId(to)] }
    }

    /// Three inputs, two outputs, then a clamp to at most 10.
    fn graph() -> Graph {
        let layer = FullyConnected {
            input_length: 3,
            output_length: 2,
            weights: vec![1, 2, 3, -1, 0, 4],
            bias: Some(vec![10, -20]),
            input_zero_point: 1,
            // Times one half, and times one eighth.
            scales: vec![
                ChannelScale { multiplier: 1 << 30, shift: 0 },
                ChannelScale { multiplier: 1 << 30, shift: -2 },
            ],
            output_zero_point: -5,
            minimum: -128,
            maximum: 127,
            rounding: Rounding::Double,
        };
        let (multiplier, shift) = Requantise::IDENTITY;
        let requantise =
            Requantise { multiplier, shift, zero_point: 0, minimum: -128, maximum: 10, rounding: Rounding::Double };
        let clamp = Elementwise { function: ElementwiseFunction::Relu6, input_zero_point: 0, requantise };
        Graph {
            name: "small".into(),
            tensors: vec![tensor("in", &[3]), tensor("hidden", &[1, 2]), tensor("out", &[2]), tensor("idle", &[1])],
            operators: vec![
                operator("dense", OperatorKind::FullyConnected(layer), 0, 1),
                operator("clamp", OperatorKind::Elementwise(clamp), 1, 2),
            ],
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(2)],
        }
    }

    #[test]
    fn a_layer_is_bias_plus_products_scaled_and_clamped() {
        // Over x - 1 = [4, 5, 6]: 10 + 4 + 10 + 18 = 42, half of it 21, minus 5: 16, clamped to 10.
        // -20 - 4 + 24 = 0, minus 5.
        let tensors = run_all_tensors(&graph(), &[5, 6, 7]).unwrap();
        assert_eq!(tensors[1], Some(vec![16, -5]));
        assert_eq!(tensors[2], Some(vec![10, -5]));
        assert_eq!(tensors[3], None);
        assert_eq!(run(&graph(), &[5, 6, 7]).unwrap(), [10, -5]);
    }

    #[test]
    fn an_input_of_another_length_is_refused() {
        let error = run(&graph(), &[1, 2]).unwrap_err();
        assert_eq!(error.to_string(), "an input of 2 elements for `small`, whose input has the shape [3]");
    }

    #[test]
    fn a_graph_that_contradicts_itself_is_refused() {
        let mut graph = graph();
        graph.operators.swap(0, 1);
        assert!(matches!(run(&graph, &[1, 2, 3]), Err(GoldenError::Graph { .. })));
    }

    #[test]
    fn two_outputs_are_refused() {
        let mut graph = graph();
        graph.outputs.push(TensorId(1));
        assert!(matches!(run(&graph, &[1, 2, 3]), Err(GoldenError::Interface { inputs: 1, outputs: 2, .. })));
    }
}
