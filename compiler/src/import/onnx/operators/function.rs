//! `Softmax` and `Sigmoid`, whose results are probabilities in units of 1/256.

use lpu_isa::arithmetic::logistic::Logistic;
use lpu_isa::arithmetic::softmax::Softmax;

use super::super::destination::{Bounds, Destination, Fusion};
use super::super::layout::permuted;
use super::super::node::Node;
use super::super::value::{Activation, Value};
use super::super::{Form, ImportError, Importer, ORDER, QUANTISE};
use super::resolve_axis;
use crate::graph::{Element, ElementwiseFunction, OperatorKind, Quantisation};

/// The integers that the functions make.
const PROBABILITY: Quantisation = Quantisation { scale: 1.0 / 256.0, zero_point: -128 };

/// The first version of the operators in which a softmax runs along one axis, instead of all from one on.
const SOFTMAX_ALONG_ONE_AXIS: i64 = 13;

pub(super) fn softmax<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &["axis"])?;
    let here = &node.here;
    let input = node.real(importer, 0)?;
    let along_one = importer.opset >= SOFTMAX_ALONG_ONE_AXIS;
    let axis = resolve_axis(here, node.integer("axis", if along_one { -1 } else { 1 }), input.shape.len())?;
    let behind: usize = input.shape[axis + 1..].iter().product();
    let order = importer.order(&input).filter(|order| {
        let innermost = order.iter().rev().find(|&&axis| input.shape[axis] != 1);
        let is_innermost = input.shape[axis] == 1 || innermost.is_none_or(|&innermost| innermost == axis);
        is_innermost && (along_one || behind == 1)
    });
    let Some(order) = order else {
        return Err(here.unsupported(
            format!("a softmax along axis {axis} of shape {:?}, which does not stand innermost in memory", input.shape),
            ORDER,
        ));
    };
    let row = input.shape[axis];
    if row > Softmax::LONGEST_ROW {
        return Err(here.unsupported(
            format!("rows of {row} elements, of which more than {} may be equal", Softmax::LONGEST_ROW),
            "leave the softmax out of the network and compute it on the host; the largest element is the same before it",
        ));
    }
    let scale = importer.quantisation(&input).scale;
    let softmax = Softmax::new(f64::from(scale), 1.0).ok_or_else(|| {
        here.quantisation(format!("a scale of {scale:e}, which is too small for fixed-point arithmetic"))
    })?;
    // The graph's rows run along the last axis.
    let mut stored = permuted(&input.shape, &order);
    while stored.last() == Some(&1) && stored.len() > 1 && row != 1 {
        stored.pop();
    }
    if row == 1 && stored.last() != Some(&1) {
        stored.push(1);
    }
    probability(importer, node, &input, OperatorKind::Softmax(softmax), &stored)
}

pub(super) fn sigmoid<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &[])?;
    let input = node.real(importer, 0)?;
    let Quantisation { scale, zero_point } = importer.quantisation(&input);
    let Some(logistic) = Logistic::new(f64::from(scale), zero_point) else {
        let why = format!("a scale of {scale:e}, which fixed-point arithmetic does not reach");
        return Err(node.here.quantisation(why));
    };
    let stored = importer.tensor(input.tensor).shape.clone();
    probability(importer, node, &input, OperatorKind::Logistic(logistic), &stored)
}

/// The function, and a change of scale behind it where the file wants another than 1/256.
fn probability<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    input: &Activation,
    kind: OperatorKind,
    stored: &[usize],
) -> Result<(), ImportError> {
    let name = node.output()?;
    let Destination { quantisation, element, bounds, .. } = match importer.destination(node, name, Fusion::Clamps)? {
        Some(destination) => destination,
        // Probabilities that the network hands out are good as they are.
        None if importer.is_output(name) && !importer.consumers.contains_key(name) => {
            let (quantisation, element, bounds) = (PROBABILITY, Element::Int8, Bounds::NONE);
            Destination { quantisation, element, bounds, bias: None }
        }
        None => return Err(node.here.unsupported("the result is not quantised", QUANTISE)),
    };
    let same = (quantisation, bounds) == (PROBABILITY, Bounds::NONE);
    let tensor = importer.view(&node.here, input, stored)?;
    let between = format!("{name}/probability");
    let outside = (PROBABILITY, if same { element } else { Element::Int8 });
    let form = Form::like(input, stored);
    let mut result = importer.emit(node, if same { name } else { &between }, kind, vec![tensor], form, outside)?;
    if !same {
        let to = (quantisation, element);
        result = importer.rescaled(node, name, &result, to, bounds, ElementwiseFunction::Quantize)?;
    }
    importer.put(name, Value::Activation(result));
    Ok(())
}
