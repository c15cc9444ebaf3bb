//! Random networks as graphs, with arithmetic at its limits.
//!
//! [`random_network`] draws networks as a training tool would make them;
//! [`extreme_graph`] draws any numbers that a graph may hold.

use lpu_compiler::graph::{
    Accumulation, ChannelScale, Element, Elementwise, ElementwiseFunction, FullyConnected, Graph, Operator,
    OperatorKind, Quantisation, Tensor, TensorId,
};
use lpu_compiler::import::{ImportError, import};
use lpu_isa::arithmetic::{MAXIMUM_SHIFT, MINIMUM_SHIFT, Requantise, Rounding};

use crate::random::Random;
use crate::tflite_writer::{Limits, random_network};

/// A network drawn from `seed`, of either kind.
///
/// # Errors
/// The importer refuses what the writer wrote.
pub fn random_graph(seed: u64, limits: Limits) -> Result<Graph, ImportError> {
    if seed.is_multiple_of(3) {
        return Ok(extreme_graph(seed, limits));
    }
    import(&random_network(seed, limits).bytes(), "random")
}

/// `graph` with each weight narrowed to the `bits` bits (4 or 8) that a machine multiplies: its highest ones.
#[must_use]
pub fn narrowed(mut graph: Graph, bits: u32) -> Graph {
    for operator in &mut graph.operators {
        if let OperatorKind::FullyConnected(layer) = &mut operator.kind {
            layer.weights.iter_mut().for_each(|weight| *weight >>= 8 - bits);
        }
    }
    graph
}

/// An input for `graph`: random, or all elements the same.
#[must_use]
pub fn random_input(random: &mut Random, graph: &Graph) -> Vec<i8> {
    let elements = graph.inputs.first().and_then(|&id| graph.tensor(id)).map_or(0, Tensor::elements);
    match random.below(6) {
        0 => vec![random.byte(); elements],
        1 => vec![[i8::MIN, i8::MAX][random.below(2)]; elements],
        _ => (0..elements).map(|_| random.byte()).collect(),
    }
}

/// A network of operators of every kind in any order, each reading any tensor before it, with biases up to overflow, scales of
/// every power of two, and any clamp. The output is the last operator's; others may go nowhere.
#[must_use]
pub fn extreme_graph(seed: u64, limits: Limits) -> Graph {
    let mut random = Random::new(seed);
    let mut tensors = vec![tensor("input", random.within(1, limits.width))];
    let mut operators = Vec::new();
    for number in 0..random.within(1, limits.layers) {
        let last = tensors.len() - 1;
        let from = if random.below(4) == 0 { random.below(tensors.len()) } else { last };
        let elements = tensors[from].elements();
        let (kind, outputs) = match random.below(6) {
            0 => (OperatorKind::Reshape, elements),
            1 => (OperatorKind::Elementwise(elementwise(&mut random)), elements),
            _ => {
                let outputs = random.within(1, limits.width);
                (OperatorKind::FullyConnected(fully_connected(&mut random, elements, outputs)), outputs)
            }
        };
        let name = format!("layer_{number}");
        tensors.push(tensor(&name, outputs));
        operators.push(Operator { name, kind, inputs: vec![TensorId(from)], outputs: vec![TensorId(last + 1)] });
    }
    let output = TensorId(tensors.len() - 1);
    Graph {
        name: format!("extreme_{seed}"),
        tensors,
        operators,
        inputs: vec![TensorId(0)],
        outputs: vec![output],
        ..Graph::default()
    }
}

/// A fully connected layer of one output for each input, whose output is half the input, rounded: weights 1 on the diagonal.
#[must_use]
pub fn halving(elements: usize) -> Graph {
    let layer = FullyConnected {
        input_length: elements,
        output_length: elements,
        weights: (0..elements * elements).map(|index| i8::from(index / elements == index % elements)).collect(),
        accumulation: Accumulation {
            bias: None,
            input_zero_point: 0,
            scales: vec![ChannelScale { multiplier: 1 << 30, shift: 0 }; elements],
            output_zero_point: 0,
            minimum: -128,
            maximum: 127,
            rounding: Rounding::Double,
        },
    };
    let operator = Operator {
        name: "halves".into(),
        kind: OperatorKind::FullyConnected(layer),
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
    };
    Graph {
        name: "halving".into(),
        tensors: vec![tensor("input", elements), tensor("halves", elements)],
        operators: vec![operator],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        ..Graph::default()
    }
}

fn tensor(name: &str, elements: usize) -> Tensor {
    let quantisation = Quantisation { scale: 1.0, zero_point: 0 };
    Tensor { name: name.into(), shape: vec![elements], quantisation, element: Element::Int8 }
}

/// Scales that let something through most of the time, and any scale sometimes.
fn scale(random: &mut Random, around: i32) -> ChannelScale {
    let multiplier = match random.below(8) {
        0 => [0, 1 << 30, i32::MAX][random.below(3)],
        1 => (1 << 30) + (random.bits() as i32 & 1),
        _ => (1 << 30) + (random.bits() >> 34) as i32,
    };
    let shift = match random.below(8) {
        0 => random.within(0, (MAXIMUM_SHIFT - MINIMUM_SHIFT) as usize) as i32 + MINIMUM_SHIFT,
        _ => around + random.below(4) as i32,
    };
    ChannelScale { multiplier, shift }
}

/// Zero point and clamp of an output.
fn range(random: &mut Random) -> (i32, i32, i32) {
    let (one, other) = (i32::from(random.byte()), i32::from(random.byte()));
    let zero_point = i32::from(random.byte());
    if random.coin() { (zero_point, -128, 127) } else { (zero_point, one.min(other), one.max(other)) }
}

fn elementwise(random: &mut Random) -> Elementwise {
    let (zero_point, minimum, maximum) = range(random);
    let (multiplier, shift) = match random.coin() {
        true => Requantise::IDENTITY,
        false => {
            let scale = scale(random, -1);
            (scale.multiplier, scale.shift)
        }
    };
    let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
    let input_zero_point = i32::from(random.byte());
    Elementwise { function: ElementwiseFunction::Quantize, input_zero_point, requantise }
}

fn fully_connected(random: &mut Random, inputs: usize, outputs: usize) -> FullyConnected {
    let largest = random.coin();
    let weights = (0..inputs * outputs).map(|_| if largest { i8::MIN } else { random.byte() }).collect();
    let bias = random.coin().then(|| {
        let shift = random.below(32);
        (0..outputs).map(|_| (random.bits() as i32) >> shift).collect()
    });
    let one = scale(random, -8);
    let each = random.coin();
    let scales = (0..outputs).map(|_| if each { scale(random, -8) } else { one }).collect();
    let (output_zero_point, minimum, maximum) = range(random);
    FullyConnected {
        input_length: inputs,
        output_length: outputs,
        weights,
        accumulation: Accumulation {
            bias,
            // With a zero point of zero and no bias, all channels of one scale share an entry of the scale table.
            input_zero_point: if random.below(3) == 0 { 0 } else { i32::from(random.byte()) },
            scales,
            output_zero_point,
            minimum,
            maximum,
            rounding: Rounding::Double,
        },
    }
}
