//! The network's input and output.
//!
//! Outside the machine are integers: where the file quantises its input at once and dequantises its output last, the tensors
//! between these two are the graph's. Images stand with their channels last.

use std::collections::HashSet;

use super::destination::{Fusion, INTERFACE};
use super::layout::{Layout, channels_last, identity, permuted};
use super::node::Node;
use super::operators::quantisation::{Parameters, parameters};
use super::schema::{Dimension, ValueInfo, data_type};
use super::value::{Activation, Value, shape, type_name};
use super::{ImportError, Importer, ORDER, QUANTISE};
use crate::graph::{Element, Quantisation, TensorId};

impl<'a> Importer<'a> {
    /// Whether `name` is the network's output.
    pub(super) fn is_output(&self, name: &str) -> bool {
        self.file.output.iter().any(|output| output.name == name)
    }

    /// Makes the network's input.
    pub(super) fn input(&mut self) -> Result<TensorId, ImportError> {
        // Old files list constants as inputs, too.
        let given: Vec<&ValueInfo> =
            self.file.input.iter().filter(|input| !self.makers.contains(input.name.as_str())).collect();
        let &[input] = given.as_slice() else { return Err(self.interfaces("input", given.len())) };
        let name = input.name.as_str();
        let here = self.here.tensor(name);
        let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let Some((kind, axes)) = kind.and_then(|kind| Some((kind, kind.shape.as_ref()?))) else {
            return Err(here.unsupported("the input has no shape", "export the network with a fixed input shape"));
        };
        let size = |(axis, dimension): (usize, &Dimension)| match (axis, dimension.value) {
            (_, Some(size)) => Ok(size),
            // An open batch is one of one.
            (0, None) if axes.dim.len() > 1 => Ok(1),
            _ => Err(here.unsupported(
                format!("an open size of axis {axis}"),
                "export the network with a fixed input shape (python -m onnxruntime.tools.make_dynamic_shape_fixed)",
            )),
        };
        let sizes = axes.dim.iter().enumerate().map(size).collect::<Result<Vec<i64>, _>>()?;
        let shape = shape(&here, sizes.into_iter())?;
        if shape.contains(&0) {
            return Err(here.shape(format!("an input of shape {shape:?}")));
        }
        let integer = kind.element != data_type::FLOAT;
        let (quantisation, element) = match kind.element {
            data_type::FLOAT => self.quantised_input(name)?,
            data_type::INT8 | data_type::UINT8 => self.dequantised_input(name, kind.element)?,
            other => {
                let feature = format!("an input of type {}; FLOAT, INT8 and UINT8 are read", type_name(other));
                return Err(here.unsupported(feature, QUANTISE));
            }
        };
        let order = if self.is_image(name) { channels_last(shape.len()) } else { identity(shape.len()) };
        let tensor = self.add(&here, name, permuted(&shape, &order), quantisation, element)?;
        let layout = Layout::of(&shape, &order);
        self.makers.insert(name);
        self.put(name, Value::Activation(Activation { tensor, shape, layout, integer }));
        Ok(tensor)
    }

    /// How the file quantises its floating-point input.
    fn quantised_input(&mut self, name: &'a str) -> Result<(Quantisation, Element), ImportError> {
        let readers = self.consumers.get(name).cloned().unwrap_or_default();
        let Some(&first) = readers.first() else {
            return Err(self
                .here
                .tensor(name)
                .unsupported("nothing reads the input", "give a network that computes something"));
        };
        let node = Node { index: INTERFACE, ..Node::of(&self.here, first, &self.file.node[first]) };
        let found = self.destination(&node, name, Fusion::None)?;
        let found = found.ok_or_else(|| {
            self.here.tensor(name).unsupported("the input is not quantised by a QuantizeLinear at once", QUANTISE)
        })?;
        Ok((found.quantisation, found.element))
    }

    /// How the file dequantises its integer input.
    fn dequantised_input(&self, name: &'a str, element: i32) -> Result<(Quantisation, Element), ImportError> {
        // Integers may move first.
        const MOVES: [&str; 10] =
            ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Pad", "Concat", "Split", "Slice"];
        let (mut names, mut seen, mut found) = (vec![name], HashSet::from([name]), None);
        while let (Some(name), None) = (names.pop(), found) {
            for &index in self.consumers.get(name).map_or(&[][..], Vec::as_slice) {
                let node = &self.file.node[index];
                if node.op_type == "DequantizeLinear" {
                    found = found.or(Some(index));
                } else if MOVES.contains(&node.op_type.as_str()) {
                    names.extend(node.output.iter().map(String::as_str).filter(|&output| seen.insert(output)));
                }
            }
        }
        let element = if element == data_type::UINT8 { Element::Uint8 } else { Element::Int8 };
        // No zero point is one of 0, which stands 128 lower where integers are uint8.
        let zero = if element == Element::Uint8 { -128 } else { 0 };
        // Integers that nothing dequantises stand for themselves.
        let Some(index) = found else { return Ok((Quantisation { scale: 1.0, zero_point: zero }, element)) };
        let node = Node::of(&self.here, index, &self.file.node[index]);
        let Parameters { scaling, .. } = parameters(self, &node)?;
        let single = scaling.single();
        let mut quantisation = single
            .ok_or_else(|| self.here.tensor(name).quantisation("several scales on an activation instead of one"))?;
        if node.name(2).is_none() {
            quantisation.zero_point = zero;
        }
        Ok((quantisation, element))
    }

    /// Whether an operator on images reads `name` behind operators that leave axes where they are.
    fn is_image(&self, name: &'a str) -> bool {
        let (mut names, mut seen) = (vec![name], HashSet::from([name]));
        while let Some(name) = names.pop() {
            for &index in self.consumers.get(name).map_or(&[][..], Vec::as_slice) {
                let node = &self.file.node[index];
                match node.op_type.as_str() {
                    "Conv" | "AveragePool" | "MaxPool" | "GlobalAveragePool" | "GlobalMaxPool" => return true,
                    "QuantizeLinear" | "DequantizeLinear" | "Relu" | "Clip" | "Sigmoid" | "Add" | "Mul" | "Pad"
                    | "Concat" | "Split" | "Slice" | "Identity" => {
                        names.extend(node.output.iter().map(String::as_str).filter(|&output| seen.insert(output)));
                    }
                    _ => (),
                }
            }
        }
        false
    }

    /// The network's output.
    pub(super) fn output(&mut self) -> Result<TensorId, ImportError> {
        let file = self.file;
        let [output] = file.output.as_slice() else { return Err(self.interfaces("output", file.output.len())) };
        let here = self.here.tensor(&output.name);
        let Some(value) = self.values.get(output.name.as_str()) else {
            return Err(here.damaged("the output is made by no operator"));
        };
        let Value::Activation(activation) = value.clone() else {
            return Err(here.unsupported("the output is a constant", "give a network that computes something"));
        };
        match self.order(&activation) {
            Some(order) if order == channels_last(order.len()) || order == identity(order.len()) => {
                self.view(&here, &activation, &permuted(&activation.shape, &order))
            }
            _ => Err(here.unsupported(
                format!(
                    "an output of shape {:?} whose elements would stand in another order than there",
                    activation.shape
                ),
                ORDER,
            )),
        }
    }

    fn interfaces(&self, side: &str, count: usize) -> ImportError {
        self.here.unsupported(
            format!("{count} {side}s instead of one"),
            "export a network of one input and one output: concatenate or split them on the host",
        )
    }
}
