//! An operator of the file: its attributes and operands.

use super::value::{Activation, Constant, Value, computed};
use super::{ImportError, Importer, QUANTISE, Site, schema};

/// An operator of the file on its way into the graph.
pub(super) struct Node<'a> {
    pub(super) here: Site,
    pub(super) index: usize,
    pub(super) file: &'a schema::Node,
}

impl<'a> Node<'a> {
    pub(super) fn of(here: &Site, index: usize, file: &'a schema::Node) -> Self {
        let layer = file.output.first().filter(|output| !output.is_empty()).unwrap_or(&file.name);
        let kind = match file.domain.as_str() {
            "" | "ai.onnx" => file.op_type.clone(),
            domain => format!("{domain}.{}", file.op_type),
        };
        Self { here: here.operator(index, kind, layer.clone()), index, file }
    }

    /// The name of input `number`; `None` where it is absent.
    pub(super) fn name(&self, number: usize) -> Option<&'a str> {
        self.file.input.get(number).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of the one output.
    pub(super) fn output(&self) -> Result<&'a str, ImportError> {
        match self.file.output.as_slice() {
            [first, rest @ ..] if !first.is_empty() && rest.iter().all(String::is_empty) => Ok(first),
            outputs => Err(self.here.unsupported(
                format!("{} outputs instead of one", outputs.len()),
                "leave out the outputs beside the first: indices and masks are not computed",
            )),
        }
    }

    /// Refuses attributes that would change what the operator does and are not known here, and a number of inputs above `most`.
    pub(super) fn only(&self, most: usize, attributes: &[&str]) -> Result<(), ImportError> {
        if self.file.input.len() > most {
            return Err(self.here.damaged(format!("{} inputs instead of at most {most}", self.file.input.len())));
        }
        match self.file.attribute.iter().find(|attribute| !attributes.contains(&attribute.name.as_str())) {
            Some(attribute) => Err(self.here.unsupported(
                format!("the attribute `{}`", attribute.name.escape_debug()),
                "export the network without it, with opset 13 or newer of ONNX's own operators",
            )),
            None => Ok(()),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'a schema::Attribute> {
        self.file.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn integer(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i.unwrap_or(0))
    }

    pub(super) fn number(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f.unwrap_or(0.0))
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> &'a [u8] {
        self.attribute(name).map_or(default.as_bytes(), |attribute| attribute.s.as_deref().unwrap_or_default())
    }

    /// A list; `None` where there is none.
    pub(super) fn integers(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// The constant that is input `number`; `None` where it is absent.
    pub(super) fn constant(
        &self,
        importer: &Importer<'a>,
        number: usize,
        role: &str,
    ) -> Result<Option<Constant>, ImportError> {
        let Some(name) = self.name(number) else { return Ok(None) };
        match importer.values.get(name) {
            Some(Value::Constant(constant)) => Ok(Some(constant.clone())),
            Some(Value::Activation(_)) => Err(computed(&self.here.tensor(name), role)),
            None if importer.makers.contains(name) => Err(computed(&self.here.tensor(name), role)),
            None => Err(self.missing(importer, name)),
        }
    }

    /// Integers that say how something is done: those of the attribute `name`, or of input `number`.
    pub(super) fn listed(
        &self,
        importer: &Importer<'a>,
        name: &str,
        number: usize,
    ) -> Result<Option<Vec<i64>>, ImportError> {
        if let Some(values) = self.integers(name) {
            return Ok(Some(values.to_vec()));
        }
        let Some(constant) = self.constant(importer, number, name)? else { return Ok(None) };
        let wrong = || self.here.damaged(format!("{name} of type {}, which are no integers", constant.data.name()));
        constant.integers().map(Some).ok_or_else(wrong)
    }

    /// The activation that is input `number`.
    pub(super) fn activation(&self, importer: &Importer<'a>, number: usize) -> Result<Activation, ImportError> {
        let Some(name) = self.name(number) else {
            return Err(self.here.damaged(format!("the operator has no input {number}")));
        };
        match importer.values.get(name) {
            Some(Value::Activation(activation)) => Ok(activation.clone()),
            Some(Value::Constant(_)) => Err(self.here.tensor(name).unsupported(
                "the input is a constant",
                "let a simplifier fold constants, so that every operator computes from the network's input",
            )),
            None => Err(self.missing(importer, name)),
        }
    }

    /// The activation that is input `number`, as what a `DequantizeLinear` makes of it.
    pub(super) fn real(&self, importer: &Importer<'a>, number: usize) -> Result<Activation, ImportError> {
        let activation = self.activation(importer, number)?;
        if activation.integer {
            let name = self.name(number).unwrap_or_default();
            return Err(self.here.tensor(name).unsupported("arithmetic on integers without a scale", QUANTISE));
        }
        Ok(activation)
    }

    /// The refusal of a name that has no value.
    pub(super) fn missing(&self, importer: &Importer<'a>, name: &str) -> ImportError {
        let there = self.here.tensor(name);
        if importer.makers.contains(name) {
            return there.damaged(
                "the value is read before any operator has made it: the operators stand in no order of execution",
            );
        }
        there.damaged("the value is read, but nothing makes it, and no constant has this name")
    }
}
