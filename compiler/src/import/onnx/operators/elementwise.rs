//! `Add` and `Mul` of two tensors, and clamps and changes of scale of one.

use super::super::destination::{self, Bounds, Destination, Fusion};
use super::super::layout::{Layout, channels_last, identity, permuted};
use super::super::node::Node;
use super::super::value::{Activation, Constant, Data, Value};
use super::super::{Form, ImportError, Importer, ORDER, QUANTISE};
use crate::graph::{
    Constant as GraphConstant, Element, Elementwise, ElementwiseFunction, OperatorKind, Quantisation, TensorId,
    broadcast,
};

impl<'a> Importer<'a> {
    /// Scale and zero point of an activation, and how it looks from outside.
    pub(super) fn outside(&self, of: &Activation) -> (Quantisation, Element) {
        let tensor = self.tensor(of.tensor);
        (tensor.quantisation, tensor.element)
    }

    /// `from` in another scale, clamped; itself where that changes nothing.
    pub(super) fn rescaled(
        &mut self,
        node: &Node<'a>,
        name: &str,
        from: &Activation,
        (to, element): (Quantisation, Element),
        bounds: Bounds,
        function: ElementwiseFunction,
    ) -> Result<Activation, ImportError> {
        let (input, outside) = self.outside(from);
        if (input, outside, bounds) == (to, element, Bounds::NONE) {
            return Ok(from.clone());
        }
        let requantise = node.here.rescale(input, to, bounds.range(&node.here, to)?)?;
        let kind = OperatorKind::Elementwise(Elementwise { function, input_zero_point: input.zero_point, requantise });
        let form = Form::like(from, &self.tensor(from.tensor).shape);
        self.emit(node, name, kind, vec![from.tensor], form, (to, element))
    }

    /// A constant of the graph: `values` of that shape in memory.
    fn operand(
        &mut self,
        node: &Node<'a>,
        name: &str,
        shape: Vec<usize>,
        values: Vec<i8>,
        quantisation: Quantisation,
    ) -> Result<TensorId, ImportError> {
        self.charge(&node.here, values.len())?;
        let tensor = self.add(&node.here, name, shape, quantisation, Element::Int8)?;
        self.constants.push(GraphConstant { tensor, values });
        Ok(tensor)
    }

    /// A constant operand, whose axes (in front of them as many of size 1 as are missing) stand in the order `order`.
    pub(super) fn constant_operand(
        &mut self,
        node: &Node<'a>,
        number: usize,
        constant: &Constant,
        order: &[usize],
    ) -> Result<TensorId, ImportError> {
        let name = node.name(number).unwrap_or_default();
        let there = node.here.tensor(name);
        let quantisation = constant.scaling.as_ref().and_then(|scaling| scaling.single());
        let (Some(quantisation), Data::Int8(_)) = (quantisation, &*constant.data) else {
            let feature = format!("a constant operand of type {} without one scale", constant.data.name());
            return Err(there.unsupported(feature, QUANTISE));
        };
        let shape = aligned(&constant.shape, order.len());
        let turned = Constant { shape, scaling: None, ..constant.clone() }.transposed(order);
        let Data::Int8(values) = &*turned.data else { return Err(there.damaged("a constant that is no INT8")) };
        let values = values.clone();
        // Operators may share the constant, each in its own order.
        let name = format!("{name}/{}", node.index);
        self.operand(node, &name, turned.shape, values, quantisation)
    }
}

/// `shape` with axes of one element in front, `rank` together.
fn aligned(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut aligned = vec![1; rank.saturating_sub(shape.len())];
    aligned.extend_from_slice(shape);
    aligned
}

pub(super) fn clamp<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let from = node.real(importer, 0)?;
    let name = node.output()?;
    let bounds = destination::clamp(importer, node)?.unwrap_or(Bounds::NONE);
    let function = match (bounds.0, bounds.1) {
        (0.0, 6.0) => ElementwiseFunction::Relu6,
        (-1.0, 1.0) => ElementwiseFunction::ReluN1To1,
        (0.0, f32::INFINITY) => ElementwiseFunction::Relu,
        _ => ElementwiseFunction::Quantize,
    };
    // Clamped numbers are some of the input's, so that nothing needs to quantise them.
    let to = match importer.destination(node, name, Fusion::None)? {
        Some(Destination { quantisation, element, .. }) => (quantisation, element),
        None => importer.outside(&from),
    };
    let clamped = importer.rescaled(node, name, &from, to, bounds, function)?;
    importer.put(name, Value::Activation(clamped));
    Ok(())
}

pub(super) fn add<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    pair(importer, node, |here, [first, second], output, range| {
        Ok(OperatorKind::Add(here.addition(first, second, output, range)?))
    })
}

pub(super) fn multiply<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    pair(importer, node, |here, [first, second], output, range| {
        Ok(OperatorKind::Multiply(here.product(first, second, output, range)?))
    })
}

/// Makes the operator of the operands' quantisations, the result's, and its clamp.
type Make = fn(
    &super::super::Site,
    [Quantisation; 2],
    Quantisation,
    crate::import::arithmetic::Range,
) -> Result<OperatorKind, ImportError>;

/// An operator on the elements of two tensors, one of which may be a constant.
fn pair<'a>(importer: &mut Importer<'a>, node: &Node<'a>, make: Make) -> Result<(), ImportError> {
    node.only(2, &[])?;
    let here = &node.here;
    let operand = |number: usize| match node.name(number).and_then(|name| importer.values.get(name)) {
        Some(Value::Constant(constant)) => Ok(Value::Constant(constant.clone())),
        _ => node.real(importer, number).map(Value::Activation),
    };
    let operands = [operand(0)?, operand(1)?];
    let shapes = operands.each_ref().map(|operand| match operand {
        Value::Activation(activation) => &activation.shape,
        Value::Constant(constant) => &constant.shape,
    });
    let [first, second] = shapes;
    if operands.iter().all(|operand| matches!(operand, Value::Constant(_))) {
        return Err(here.unsupported("an operator on constants", super::super::FOLD));
    }
    let empty = first.contains(&0) || second.contains(&0);
    let Some(shape) = broadcast(first, second).filter(|_| !empty) else {
        let why = format!("shapes {first:?} and {second:?}, of which neither repeats to the other");
        return Err(here.shape(why));
    };
    let rank = shape.len();
    let activations = || {
        operands.iter().filter_map(|operand| match operand {
            Value::Activation(activation) => Some(activation),
            Value::Constant(_) => None,
        })
    };
    // An order in which all of them stand.
    let whole = activations().filter(|activation| activation.shape.len() == rank);
    let own: Vec<Vec<usize>> = whole.filter_map(|activation| importer.order(activation)).collect();
    // Where several would do, ONNX's, unless a tensor is an image.
    let image = activations().any(|activation| {
        let (shape, stored) = (aligned(&activation.shape, rank), &importer.tensor(activation.tensor).shape);
        *stored != shape && *stored == permuted(&shape, &channels_last(rank))
    });
    let usual = if image { [channels_last(rank), identity(rank)] } else { [identity(rank), channels_last(rank)] };
    let mut orders = own.into_iter().chain(usual);
    let stands = |order: &Vec<usize>| {
        activations().all(|activation| Layout::of(&aligned(&activation.shape, rank), order) == activation.layout)
    };
    let order = orders.find(stands);
    let order =
        order.ok_or_else(|| here.unsupported("two operands whose elements stand in different orders", ORDER))?;
    let destination = importer.quantised(node, Fusion::Clamps)?;
    let mut tensors = Vec::with_capacity(2);
    for (number, operand) in operands.iter().enumerate() {
        tensors.push(match operand {
            Value::Activation(activation) => {
                let stored = permuted(&aligned(&activation.shape, rank), &order);
                importer.view(here, activation, &stored)?
            }
            Value::Constant(constant) => importer.constant_operand(node, number, constant, &order)?,
        });
    }
    let quantisations = [tensors[0], tensors[1]].map(|tensor| importer.tensor(tensor).quantisation);
    let range = destination.bounds.range(here, destination.quantisation)?;
    let kind = make(here, quantisations, destination.quantisation, range)?;
    let name = node.output()?;
    let outside = (destination.quantisation, destination.element);
    let result = importer.emit(node, name, kind, tensors, Form::of(shape, &order), outside)?;
    importer.put(name, Value::Activation(result));
    Ok(())
}
