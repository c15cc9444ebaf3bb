//! The quantisation of a result, and what is fused into the operator that makes it.
//!
//! An operator of ONNX computes a real number; which integers it becomes says the `QuantizeLinear` that reads it, at once or
//! behind a constant that is added, clamps, and shapes. These are looked for here, before the operator is taken over.

use lpu_isa::arithmetic::clamp_range;

use super::node::Node;
use super::operators::quantisation::{Parameters, parameters};
use super::value::{Constant, Value};
use super::{ImportError, Importer, QUANTISE, Site};
use crate::graph::{Element, Quantisation};
use crate::import::arithmetic::Range;

/// The position of the network's input among the nodes: before all of them.
pub(super) const INTERFACE: usize = usize::MAX;

/// What may be fused into an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fusion {
    /// Nothing.
    None,
    /// Clamps.
    Clamps,
    /// A constant that is added to each of `channels` channels, whose axis is followed by `behind` others, and then clamps.
    Bias { channels: usize, behind: usize },
}

/// How a result is quantised.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) quantisation: Quantisation,
    pub(super) element: Element,
    /// The clamps before that, as real numbers.
    pub(super) bounds: Bounds,
    /// What is added before that.
    pub(super) bias: Option<Constant>,
}

/// The smallest and the largest real number that is left; infinite where nothing is clamped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds(pub(super) f32, pub(super) f32);

impl Bounds {
    pub(super) const NONE: Self = Self(f32::NEG_INFINITY, f32::INFINITY);

    /// This clamp, and behind it `other`.
    fn then(self, other: Self) -> Self {
        Self(self.0.clamp(other.0, other.1), self.1.clamp(other.0, other.1))
    }

    /// The clamp in the integers of `of`.
    pub(super) fn range(self, here: &Site, of: Quantisation) -> Result<Range, ImportError> {
        let fits = |bound: f32| bound.is_infinite() || (bound / of.scale).abs() < 2.0_f32.powi(31) - 256.0;
        if fits(self.0) && fits(self.1) {
            return Ok(clamp_range(self.0, self.1, of.scale, of.zero_point));
        }
        Err(here.quantisation(format!(
            "a scale of {:e}, in which clamps of {} and {} do not fit",
            of.scale, self.0, self.1
        )))
    }
}

/// The clamp that `node` is; `None` for another operator.
pub(super) fn clamp<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Option<Bounds>, ImportError> {
    match node.file.op_type.as_str() {
        "Relu" => {
            node.only(1, &[])?;
            Ok(Some(Bounds(0.0, f32::INFINITY)))
        }
        "Clip" => {
            node.only(3, &["min", "max"])?;
            let bound = |number: usize, name: &str, none: f32| match node.constant(importer, number, "bounds")? {
                None => Ok(node.number(name, none)),
                Some(constant) => {
                    let real = constant.real(0).filter(|_| constant.data.len() == 1);
                    real.map(|real| real as f32).ok_or_else(|| node.here.damaged("a bound that is not one real number"))
                }
            };
            let Bounds(lowest, highest) = Bounds(bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
            // NaN compares as nothing.
            if lowest <= highest {
                return Ok(Some(Bounds(lowest, highest)));
            }
            Err(node
                .here
                .unsupported(format!("a clamp from {lowest} to {highest}"), "clamp from a smaller to a larger number"))
        }
        _ => Ok(None),
    }
}

impl<'a> Importer<'a> {
    /// How the value `name`, which `node` makes, is quantised; `None` where it is not. What is fused is
    /// passed over later: it hands on what it reads.
    pub(super) fn destination(
        &mut self,
        node: &Node<'a>,
        name: &'a str,
        fusion: Fusion,
    ) -> Result<Option<Destination>, ImportError> {
        let mut fused = Vec::new();
        let found = self.search(node, name, fusion, &mut fused)?;
        if found.is_some() {
            self.fused.extend(fused);
        }
        Ok(found)
    }

    /// As [`Importer::destination`], for an operator whose result must be quantised.
    pub(super) fn quantised(&mut self, node: &Node<'a>, fusion: Fusion) -> Result<Destination, ImportError> {
        let found = self.destination(node, node.output()?, fusion)?;
        found.ok_or_else(|| {
            node.here.unsupported(
                "the result is not quantised: what reads it is not (only) a QuantizeLinear of one scale, or a clamp in front of it",
                QUANTISE,
            )
        })
    }

    fn search(
        &self,
        node: &Node<'a>,
        name: &'a str,
        fusion: Fusion,
        fused: &mut Vec<usize>,
    ) -> Result<Option<Destination>, ImportError> {
        let (mut name, mut bounds, mut bias) = (name, Bounds::NONE, None);
        let mut fusion = fusion;
        // Shapes on the way leave numbers as they are; only clamps are fused behind them.
        loop {
            let readers = self.consumers.get(name).map_or(&[][..], Vec::as_slice);
            let reader = |index: usize| Node::of(&self.here, index, &self.file.node[index]);
            let all_quantise = readers.iter().all(|&index| self.file.node[index].op_type == "QuantizeLinear");
            if all_quantise && !readers.is_empty() {
                let mut found: Option<Parameters> = None;
                for &index in readers {
                    let reader = reader(index);
                    if reader.name(0) != Some(name) {
                        return Ok(None);
                    }
                    let parameters = parameters(self, &reader)?;
                    if found.as_ref().is_some_and(|found| *found != parameters) {
                        return Ok(None);
                    }
                    found = Some(parameters);
                }
                let Some(Parameters { scaling, element }) = found else { return Ok(None) };
                let Some(quantisation) = scaling.single() else { return Ok(None) };
                return Ok(Some(Destination { quantisation, element, bounds, bias }));
            }
            let &[index] = readers else { return Ok(None) };
            if self.is_output(name) || (index <= node.index && node.index != INTERFACE) {
                return Ok(None);
            }
            let reader = reader(index);
            let [output] = reader.file.output.as_slice() else { return Ok(None) };
            match reader.file.op_type.as_str() {
                "Relu" | "Clip" if fusion != Fusion::None => {
                    let Some(clamp) = clamp(self, &reader)? else { return Ok(None) };
                    bounds = bounds.then(clamp);
                    fusion = Fusion::Clamps;
                    fused.push(index);
                }
                "Add" if bias.is_none() => {
                    let Fusion::Bias { channels, behind } = fusion else { return Ok(None) };
                    let other = usize::from(reader.name(0) == Some(name));
                    let constant = reader.name(other).and_then(|other| self.values.get(other));
                    let Some(Value::Constant(constant)) = constant else { return Ok(None) };
                    if !along(&constant.shape, channels, behind) {
                        return Ok(None);
                    }
                    bias = Some(constant.clone());
                    fusion = Fusion::Clamps;
                    fused.push(index);
                }
                "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Identity"
                    if reader.name(0) == Some(name) =>
                {
                    if fusion != Fusion::None {
                        fusion = Fusion::Clamps;
                    }
                }
                _ => return Ok(None),
            }
            name = output;
        }
    }
}

/// Whether a constant of that shape has one element for each channel, or one for all.
fn along(shape: &[usize], channels: usize, behind: usize) -> bool {
    let elements: usize = shape.iter().product();
    match shape.len().checked_sub(behind + 1) {
        Some(axis) => elements == channels && shape[axis] == channels,
        None => elements == 1 && channels == 1,
    }
}
