//! A network under construction: any tensors and operators.

use crate::random::Random;
use crate::tflite_writer::{Model, Operator, Options, Tensor, code};

/// A scale and a zero point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale(pub(super) f32, pub(super) i8);

/// A network whose first tensor is its input.
pub(super) struct Draft {
    model: Model,
}

impl Scale {
    /// A quarter of `around` to four times as much, with any zero point.
    pub(super) fn near(random: &mut Random, around: f32) -> Self {
        Self(random.scale(around), random.byte())
    }
}

impl Draft {
    /// A network with an input; the tensor is number 0.
    pub(super) fn new(shape: &[usize], scale: Scale) -> Self {
        let tensors = vec![Tensor::activation("input", shape, scale.0, scale.1)];
        let (operators, inputs, outputs) = (vec![], vec![0], vec![]);
        Self { model: Model { version: 3, subgraphs: 1, tensors, operators, inputs, outputs, initial: None } }
    }

    pub(super) fn add(&mut self, tensor: Tensor) -> i32 {
        let number = self.model.tensors.len();
        let name = format!("{}_{number}", tensor.name);
        self.model.tensors.push(Tensor { name, ..tensor });
        number as i32
    }

    /// Adds a tensor that the network computes.
    pub(super) fn activation(&mut self, shape: &[usize], scale: Scale) -> i32 {
        self.add(Tensor::activation("activation", shape, scale.0, scale.1))
    }

    /// Adds a constant of int32.
    pub(super) fn integers(&mut self, values: &[i32]) -> i32 {
        self.add(Tensor::integers("integers", values))
    }

    /// Adds a constant of int8 with one scale.
    pub(super) fn constant(&mut self, random: &mut Random, shape: &[usize], scale: Scale) -> i32 {
        let elements = shape.iter().product::<usize>();
        let data = (0..elements).map(|_| random.byte() as u8).collect();
        let constant = Tensor::constant("constant", shape, code::INT8, vec![scale.0], data);
        self.add(Tensor { zero_points: vec![scale.1.into()], ..constant })
    }

    pub(super) fn apply(&mut self, operator: Operator) {
        self.model.operators.push(operator);
    }

    /// Adds an operator of one output, which it hands back.
    pub(super) fn one(&mut self, code: i32, inputs: &[i32], activation: i8, options: Options, output: Tensor) -> i32 {
        let output = self.add(output);
        let plain = Operator::plain(code, inputs.to_vec(), vec![output]);
        self.apply(Operator { activation, options, ..plain });
        output
    }

    /// Tensors of any shape and scale with the bytes of the input, which is one vector of as many elements.
    pub(super) fn operands(&mut self, operands: &[(Vec<usize>, Scale)]) -> Vec<i32> {
        let lengths: Vec<usize> = operands.iter().map(|(shape, _)| shape.iter().product()).collect();
        let sizes: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let (sizes, axis) = (self.integers(&sizes), self.integers(&[1]));
        let parts: Vec<i32> = lengths.iter().map(|&length| self.activation(&[1, length], Scale(1.0, 0))).collect();
        self.apply(Operator::plain(code::SPLIT_V, vec![0, sizes, axis], parts.clone()));
        let reshape = |(&part, (shape, scale)): (&i32, &(Vec<usize>, Scale))| {
            let output = Tensor::activation("operand", shape, scale.0, scale.1);
            self.one(code::RESHAPE, &[part], 0, Options::Plain, output)
        };
        parts.iter().zip(operands).map(reshape).collect()
    }

    /// Gives the network a second subgraph.
    pub(super) fn initial(&mut self, tensors: Vec<Tensor>, operators: Vec<Operator>) {
        self.model.initial = Some((tensors, operators));
    }

    /// The network, with that output.
    pub(super) fn model(mut self, output: i32) -> Model {
        self.model.outputs = vec![output];
        self.model
    }
}

/// `lowest` to `highest` axes of 1 to `size` elements each, the first of them 1 where there are two.
pub(super) fn any_shape(random: &mut Random, lowest: usize, highest: usize, size: usize) -> Vec<usize> {
    let rank = random.within(lowest, highest);
    (0..rank).map(|axis| if axis == 0 && rank > 1 { 1 } else { random.within(1, size) }).collect()
}
