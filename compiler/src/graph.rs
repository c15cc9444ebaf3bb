//! The network as a graph of integer operators.
//!
//! Tensors are what flows between operators: vectors of int8 with one scale and zero point. What is known before the run
//! (weights, biases, scales) is part of the operator that uses it. Operators stand in an order in which they can be
//! executed; a tensor may be read by any number of them.
//!
//! Every operator carries its arithmetic as integers, fixed at import. No floating-point number decides an output bit
//! after that; the scales of the tensors are kept for reports.

use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::program::Scale;
use thiserror::Error;

/// Position of a tensor in [`Graph::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// What messages and reports call it.
    pub name: String,
    /// Everything that flows, at the positions that a [`TensorId`] names.
    pub tensors: Vec<Tensor>,
    /// In an order of execution.
    pub operators: Vec<Operator>,
    /// Tensors given from outside, in the order of the network's interface.
    pub inputs: Vec<TensorId>,
    /// Tensors handed out, in the order of the network's interface.
    pub outputs: Vec<TensorId>,
}

/// An int8 tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name in the file it came from.
    pub name: String,
    /// Sizes of the axes, outermost first; all positive.
    pub shape: Vec<usize>,
    /// What its integers stand for.
    pub quantisation: Quantisation,
}

/// The real value of an element `q` is `scale × (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    /// Positive and finite.
    pub scale: f32,
    /// Within -128..=127.
    pub zero_point: i32,
}

/// One step of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// The layer's name, for messages and reports: the name of the tensor it writes.
    pub name: String,
    /// What it computes.
    pub kind: OperatorKind,
    /// The tensors it reads; one for each of today's kinds.
    pub inputs: Vec<TensorId>,
    /// The tensors it writes; one for each of today's kinds.
    pub outputs: Vec<TensorId>,
}

/// What an operator computes.
#[derive(Debug, Clone, PartialEq)]
pub enum OperatorKind {
    /// A matrix times the flattened input, requantised.
    FullyConnected(FullyConnected),
    /// The same elements in the same order under another shape. Nothing moves.
    Reshape,
    /// Each element on its own: the clamps and changes of scale.
    Elementwise(Elementwise),
}

/// `output[o] = requantise(o)(bias[o] + Σ_k weights[o][k] × (input[k] - input_zero_point))`.
///
/// The sum is one of 32 bits and wraps.
#[derive(Debug, Clone, PartialEq)]
pub struct FullyConnected {
    /// Length of the reduction axis: elements of the input.
    pub input_length: usize,
    /// Elements of the output.
    pub output_length: usize,
    /// `[output_length][input_length]`, row-major; symmetric (their zero point is 0).
    pub weights: Vec<i8>,
    /// One for each output, in units of the accumulator; `None` adds nothing.
    pub bias: Option<Vec<i32>>,
    /// Subtracted from every input element before the product.
    pub input_zero_point: i32,
    /// From the accumulator to the output, one for each output channel (all equal where the weights have one scale).
    pub scales: Vec<ChannelScale>,
    /// Added after the scaling.
    pub output_zero_point: i32,
    /// Lower end of the clamp, included: int8, narrowed by a fused activation.
    pub minimum: i32,
    /// Upper end of the clamp, included.
    pub maximum: i32,
    /// How the scaled accumulator is rounded.
    pub rounding: Rounding,
}

/// A real scale as `multiplier / 2^31 × 2^shift`; see [`lpu_isa::arithmetic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelScale {
    /// Fraction in units of 2⁻³¹; not negative.
    pub multiplier: i32,
    /// Left where positive, right where negative.
    pub shift: i32,
}

/// `output[i] = requantise(input[i] - input_zero_point)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elementwise {
    /// Which operator of the network this was; the arithmetic below is complete without it.
    pub function: ElementwiseFunction,
    /// Subtracted from every input element.
    pub input_zero_point: i32,
    /// Scale, zero point and clamp of the output.
    pub requantise: Requantise,
}

/// The operators that become an [`Elementwise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementwiseFunction {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
    /// The same value in another scale and zero point.
    Quantize,
}

/// Why a graph is not one that can be executed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// A [`TensorId`] beyond the tensors.
    #[error("{by} names tensor {tensor} of {tensors}")]
    UnknownTensor {
        /// The operator or interface that names it.
        by: String,
        /// The position named.
        tensor: usize,
        /// How many there are.
        tensors: usize,
    },
    /// A tensor is read (or handed out) before any operator has written it.
    #[error("{by} reads tensor `{tensor}` before it is written")]
    ReadBeforeWritten {
        /// The operator or interface that reads.
        by: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has two writers, or a network input is written.
    #[error("{by} writes tensor `{tensor}`, which has a value already")]
    WrittenTwice {
        /// The second writer.
        by: String,
        /// The tensor's name.
        tensor: String,
    },
    /// Sizes or ranges within an operator contradict each other or its tensors.
    #[error("{by}: {why}")]
    Inconsistent {
        /// The operator.
        by: String,
        /// Which sizes or ranges.
        why: String,
    },
}

impl Tensor {
    /// Number of elements: the product of the shape, 1 for an empty one.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |product, &size| product.saturating_mul(size))
    }
}

impl ChannelScale {
    /// The entry of the scale table that adds `bias` before it scales.
    #[must_use]
    pub fn with_bias(self, bias: i32) -> Scale {
        Scale { multiplier: self.multiplier, shift: self.shift, bias }
    }
}

impl FullyConnected {
    /// The requantiser of output channel `channel`; `None` beyond the last.
    #[must_use]
    pub fn requantise(&self, channel: usize) -> Option<Requantise> {
        let ChannelScale { multiplier, shift } = *self.scales.get(channel)?;
        Some(Requantise {
            multiplier,
            shift,
            zero_point: self.output_zero_point,
            minimum: self.minimum,
            maximum: self.maximum,
            rounding: self.rounding,
        })
    }
}

impl Operator {
    /// Products of weight and activation in one inference.
    #[must_use]
    pub fn multiply_accumulates(&self) -> u64 {
        match &self.kind {
            OperatorKind::FullyConnected(layer) => {
                (layer.input_length as u64).saturating_mul(layer.output_length as u64)
            }
            OperatorKind::Reshape | OperatorKind::Elementwise(_) => 0,
        }
    }
}

impl Graph {
    /// The tensor at `id`; `None` where there is none.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.tensors.get(id.0)
    }

    /// Products of weight and activation in one inference.
    #[must_use]
    pub fn multiply_accumulates(&self) -> u64 {
        self.operators.iter().map(Operator::multiply_accumulates).fold(0, u64::saturating_add)
    }

    /// Checks what every reader of a graph relies on.
    ///
    /// # Errors
    /// An unknown tensor, a read before the write, a second writer, sizes that contradict each other, or a zero point or
    /// clamp outside int8: the first one in the order of execution.
    pub fn check(&self) -> Result<(), GraphError> {
        let mut written = vec![false; self.tensors.len()];
        for &id in &self.inputs {
            self.write("the network's input", id, &mut written)?;
        }
        for operator in &self.operators {
            let by = format!("operator `{}`", operator.name);
            for &id in &operator.inputs {
                self.read(&by, id, &written)?;
            }
            self.check_sizes(operator, &by)?;
            check_ranges(operator, &by)?;
            for &id in &operator.outputs {
                self.write(&by, id, &mut written)?;
            }
        }
        self.outputs.iter().try_for_each(|&id| self.read("the network's output", id, &written))
    }

    fn known(&self, by: &str, id: TensorId) -> Result<&Tensor, GraphError> {
        let unknown = || GraphError::UnknownTensor { by: by.to_owned(), tensor: id.0, tensors: self.tensors.len() };
        self.tensor(id).ok_or_else(unknown)
    }

    fn read(&self, by: &str, id: TensorId, written: &[bool]) -> Result<(), GraphError> {
        let tensor = self.known(by, id)?;
        if written[id.0] {
            return Ok(());
        }
        Err(GraphError::ReadBeforeWritten { by: by.to_owned(), tensor: tensor.name.clone() })
    }

    fn write(&self, by: &str, id: TensorId, written: &mut [bool]) -> Result<(), GraphError> {
        let tensor = self.known(by, id)?;
        if std::mem::replace(&mut written[id.0], true) {
            return Err(GraphError::WrittenTwice { by: by.to_owned(), tensor: tensor.name.clone() });
        }
        Ok(())
    }

    fn check_sizes(&self, operator: &Operator, by: &str) -> Result<(), GraphError> {
        let wrong = |why: String| Err(GraphError::Inconsistent { by: by.to_owned(), why });
        let (&[input], &[output]) = (operator.inputs.as_slice(), operator.outputs.as_slice()) else {
            return wrong(format!(
                "has {} inputs and {} outputs instead of one and one",
                operator.inputs.len(),
                operator.outputs.len()
            ));
        };
        let read = self.known(by, input)?.elements();
        let wrote = self.known(by, output)?.elements();
        if read == 0 || wrote == 0 {
            return wrong(format!("reads {read} elements and writes {wrote}"));
        }
        match &operator.kind {
            OperatorKind::Reshape | OperatorKind::Elementwise(_) if read != wrote => {
                wrong(format!("reads {read} elements and writes {wrote}"))
            }
            OperatorKind::Reshape | OperatorKind::Elementwise(_) => Ok(()),
            OperatorKind::FullyConnected(layer) => {
                let (inputs, outputs) = (layer.input_length, layer.output_length);
                if (read, wrote) != (inputs, outputs) {
                    return wrong(format!("{outputs}×{inputs} weights between {read} and {wrote} elements"));
                }
                if inputs.checked_mul(outputs) != Some(layer.weights.len()) {
                    return wrong(format!("{} weights instead of {outputs}×{inputs}", layer.weights.len()));
                }
                if layer.scales.len() != outputs {
                    return wrong(format!("{} scales for {outputs} outputs", layer.scales.len()));
                }
                match &layer.bias {
                    Some(bias) if bias.len() != outputs => {
                        wrong(format!("{} biases for {outputs} outputs", bias.len()))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Zero points and clamps are those of int8, so that an input minus its zero point has 9 bits and an output 8. Multipliers are
/// normalised, as the importer makes them and scale tables hold them.
fn check_ranges(operator: &Operator, by: &str) -> Result<(), GraphError> {
    let wrong = |why: String| Err(GraphError::Inconsistent { by: by.to_owned(), why });
    let (input_zero_point, output_zero_point, minimum, maximum) = match &operator.kind {
        OperatorKind::Reshape => return Ok(()),
        OperatorKind::FullyConnected(layer) => {
            (layer.input_zero_point, layer.output_zero_point, layer.minimum, layer.maximum)
        }
        OperatorKind::Elementwise(Elementwise { input_zero_point, requantise, .. }) => {
            (*input_zero_point, requantise.zero_point, requantise.minimum, requantise.maximum)
        }
    };
    let int8 = |value: i32| i8::try_from(value).is_ok();
    if ![input_zero_point, output_zero_point, minimum, maximum].into_iter().all(int8) || minimum > maximum {
        return wrong(format!(
            "zero points {input_zero_point} and {output_zero_point} and the clamp {minimum}..={maximum} are not of int8"
        ));
    }
    let scales: Vec<ChannelScale> = match &operator.kind {
        OperatorKind::Reshape => vec![],
        OperatorKind::FullyConnected(layer) => layer.scales.clone(),
        OperatorKind::Elementwise(Elementwise { requantise, .. }) => {
            vec![ChannelScale { multiplier: requantise.multiplier, shift: requantise.shift }]
        }
    };
    match scales.iter().enumerate().find(|(_, scale)| !scale.with_bias(0).is_encodable()) {
        None => Ok(()),
        Some((channel, ChannelScale { multiplier, shift })) => wrong(format!(
            "scale {channel} is {multiplier} shifted by {shift}, but its multiplier must be 0 or {} to {}, \
             and its shift -31 to 30",
            Scale::LEAST_MULTIPLIER,
            i32::MAX
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let quantisation = Quantisation { scale: 1.0, zero_point: 0 };
        Tensor { name: name.into(), shape: shape.into(), quantisation }
    }

    fn reshape(name: &str, from: usize, to: usize) -> Operator {
        let (inputs, outputs) = (vec![TensorId(from)], vec![TensorId(to)]);
        Operator { name: name.into(), kind: OperatorKind::Reshape, inputs, outputs }
    }

    fn graph() -> Graph {
        Graph {
            name: "chain".into(),
            tensors: vec![tensor("a", &[2, 3]), tensor("b", &[6]), tensor("c", &[3, 2])],
            operators: vec![reshape("first", 0, 1), reshape("second", 1, 2)],
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(2)],
        }
    }

    #[test]
    fn operators_in_an_executable_order_pass() {
        assert_eq!(graph().check(), Ok(()));
    }

    #[test]
    fn a_tensor_read_before_it_is_written_is_named() {
        let mut graph = graph();
        graph.operators.swap(0, 1);
        let error = GraphError::ReadBeforeWritten { by: "operator `second`".into(), tensor: "b".into() };
        assert_eq!(graph.check(), Err(error));
    }

    #[test]
    fn a_second_writer_is_named() {
        let mut graph = graph();
        graph.operators.push(reshape("third", 1, 0));
        let error = GraphError::WrittenTwice { by: "operator `third`".into(), tensor: "a".into() };
        assert_eq!(graph.check(), Err(error));
    }

    #[test]
    fn a_tensor_that_does_not_exist_is_refused() {
        let mut graph = graph();
        graph.outputs = vec![TensorId(7)];
        assert!(matches!(graph.check(), Err(GraphError::UnknownTensor { tensor: 7, tensors: 3, .. })));
    }

    #[test]
    fn a_reshape_that_loses_elements_is_refused() {
        let mut graph = graph();
        graph.tensors[2].shape = vec![5];
        assert!(matches!(graph.check(), Err(GraphError::Inconsistent { by, .. }) if by == "operator `second`"));
    }

    #[test]
    fn a_layer_with_a_missing_weight_or_a_clamp_beyond_int8_is_refused() {
        let layer = FullyConnected {
            input_length: 6,
            output_length: 2,
            weights: vec![1; 12],
            bias: Some(vec![0; 2]),
            input_zero_point: 0,
            scales: vec![ChannelScale { multiplier: 1 << 30, shift: 0 }; 2],
            output_zero_point: 0,
            minimum: -128,
            maximum: 127,
            rounding: Rounding::Double,
        };
        let with = |change: fn(&mut FullyConnected)| {
            let mut layer = layer.clone();
            change(&mut layer);
            let mut graph = graph();
            graph.tensors[2].shape = vec![1, 2];
            graph.operators[1].kind = OperatorKind::FullyConnected(layer);
            graph.check()
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert!(with(|layer| layer.weights.truncate(11)).is_err());
        assert!(with(|layer| layer.scales.truncate(1)).is_err());
        assert!(with(|layer| layer.bias = Some(vec![0; 3])).is_err());
        assert!(with(|layer| layer.input_length = usize::MAX).is_err());
        assert!(with(|layer| layer.input_zero_point = 128).is_err());
        assert!(with(|layer| layer.maximum = 128).is_err());
        assert!(with(|layer| layer.minimum = 127 + layer.maximum).is_err());
        // What the importer makes is normalised; the scale table has no room for anything else.
        assert_eq!(with(|layer| layer.scales[1].multiplier = 0), Ok(()));
        assert_eq!(with(|layer| layer.scales[1] = ChannelScale { multiplier: i32::MAX, shift: -31 }), Ok(()));
        let error = with(|layer| layer.scales[1].multiplier = (1 << 30) - 1).unwrap_err().to_string();
        assert_eq!(
            error,
            "operator `second`: scale 1 is 1073741823 shifted by 0, but its multiplier must be 0 or 1073741824 to \
             2147483647, and its shift -31 to 30"
        );
        assert!(with(|layer| layer.scales[0].multiplier = -1).is_err());
        assert!(with(|layer| layer.scales[0].shift = 31).is_err());
    }

    #[test]
    fn an_elementwise_operator_has_a_normalised_scale() {
        let with = |multiplier, shift| {
            let (zero_point, minimum, maximum, rounding) = (0, -128, 127, Rounding::Double);
            let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding };
            let function = ElementwiseFunction::Quantize;
            let mut graph = graph();
            graph.operators[0].kind =
                OperatorKind::Elementwise(Elementwise { function, input_zero_point: 0, requantise });
            graph.check()
        };
        assert_eq!(with(Requantise::IDENTITY.0, Requantise::IDENTITY.1), Ok(()));
        assert_eq!(with(1 << 30, 30), Ok(()));
        assert!(matches!(with(1 << 29, 0), Err(GraphError::Inconsistent { .. })));
    }
}
