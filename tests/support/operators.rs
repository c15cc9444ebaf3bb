//! Random networks of one operator each, for a comparison with another runtime.
//!
//! An operator of several operands gets them from one input: a `SPLIT_V` and reshapes to any shape and scale, which move bytes
//! and nothing else. Scales are drawn so that most outputs do not saturate.

mod convolution;
mod draft;
mod elements;
mod movement;
mod state;

use crate::random::Random;
use crate::tflite_writer::Model;

/// Draws a random network around one operator.
pub type Draw = fn(&mut Random) -> Model;

/// What the operators are, and how a network of each is drawn.
pub const OPERATORS: [(&str, Draw); 20] = [
    ("CONV_2D", convolution::convolution),
    ("DEPTHWISE_CONV_2D", convolution::depthwise),
    ("FULLY_CONNECTED", convolution::fully_connected),
    ("AVERAGE_POOL_2D", convolution::average_pool),
    ("MAX_POOL_2D", convolution::max_pool),
    ("ADD", elements::add),
    ("MUL", elements::multiply),
    ("MEAN", elements::mean),
    ("SOFTMAX", elements::softmax),
    ("LOGISTIC", elements::logistic),
    ("RELU", elements::relu),
    ("RELU6", elements::relu6),
    ("QUANTIZE", elements::quantize),
    ("RESHAPE", movement::reshape),
    ("PAD", movement::pad),
    ("CONCATENATION", movement::concatenation),
    ("SPLIT", movement::split),
    ("SPLIT_V", movement::split_v),
    ("STRIDED_SLICE", movement::strided_slice),
    ("ASSIGN_VARIABLE", state::stream),
];

/// A network and what it is asked, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The network.
    pub model: Model,
    /// Inputs as the bytes of their elements.
    pub inputs: Vec<Vec<u8>>,
}

/// Case `seed` of the operator at position `operator` in [`OPERATORS`].
#[must_use]
pub fn case(operator: usize, seed: u64) -> Case {
    let mut random = Random::new(seed.wrapping_mul(64).wrapping_add(operator as u64));
    let (_, draw) = OPERATORS[operator % OPERATORS.len()];
    let model = draw(&mut random);
    let elements = model.inputs.first().map_or(0, |&input| model.tensors[input as usize].elements());
    let input = |number: usize| match number {
        0 => vec![[0x80, 0x7f, 0, 0xff][random.below(4)]; elements],
        _ => (0..elements).map(|_| random.byte() as u8).collect(),
    };
    let inputs = (0..4).map(input).collect();
    Case { model, inputs }
}
