//! `SOFTMAX` and `LOGISTIC`, whose outputs are probabilities in units of 1/256.

use lpu_isa::arithmetic::logistic::Logistic;
use lpu_isa::arithmetic::softmax::Softmax;

use super::{Imported, Node, Tensors};
use crate::graph::OperatorKind;

pub(super) fn softmax(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let here = node.here;
    let single = node.single(tensors, 1)?;
    let (input, output) = (tensors.tensor(single.input), tensors.tensor(single.output));
    node.expect_shape(output, &input.shape)?;
    node.probability(output.quantisation)?;
    let row = input.shape.last().copied().unwrap_or(1);
    if row > Softmax::LONGEST_ROW {
        return Err(here.unsupported(
            format!("rows of {row} elements, of which more than {} may be equal", Softmax::LONGEST_ROW),
            "leave the softmax out of the network and compute it on the host; the largest element is the same before it",
        ));
    }
    let options = here.sound(node.operator.softmax_options())?;
    let beta = options.map_or(Ok(0.0), |options| here.sound(options.beta()))?;
    match Softmax::new(f64::from(input.quantisation.scale), f64::from(beta)) {
        Some(softmax) => node.one(OperatorKind::Softmax(softmax), &single),
        None => Err(here.quantisation(format!(
            "a scale of {:e} and a beta of {beta:e}, whose product is too small for fixed-point arithmetic",
            input.quantisation.scale
        ))),
    }
}

pub(super) fn logistic(node: &Node<'_>, tensors: &mut Tensors<'_>) -> Imported {
    let single = node.single(tensors, 1)?;
    node.same_elements(tensors, single.input, single.output)?;
    let input = tensors.tensor(single.input).quantisation;
    node.probability(tensors.tensor(single.output).quantisation)?;
    match Logistic::new(f64::from(input.scale), input.zero_point) {
        Some(logistic) => node.one(OperatorKind::Logistic(logistic), &single),
        None => Err(node
            .here
            .quantisation(format!("a scale of {:e}, which fixed-point arithmetic does not reach", input.scale))),
    }
}
