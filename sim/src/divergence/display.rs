//! A difference as text.

use super::{Divergence, Element, Executed, Kind};
use std::fmt;

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Value => f.write_str("wrong value"),
            Kind::Cycle { got } => write!(f, "right word at the wrong time, in cycle {got}"),
            Kind::Address { got } => write!(f, "write to the wrong place, beat address {got}"),
            Kind::Missing => f.write_str("missing write"),
            Kind::Surplus => f.write_str("surplus write"),
        }
    }
}

impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, instruction {}, step {}", self.unit, self.index, self.step)?;
        match &self.layer {
            Some(layer) => write!(f, " (layer `{layer}`)"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{index} of `{}`", self.tensor),
            None => write!(f, "padding of `{}`", self.tensor),
        }
    }
}

/// The first line says what, when and where; the following ones, indented, the rest.
impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cycle {}: {} at {}", self.cycle, self.kind, self.unit)?;
        let mut line = |name: &str, text: String| write!(f, "\n  {name:<12} {text}");
        let place = format!("beat address {}, lane {}", self.address, self.lane);
        match &self.element {
            Some(element) => line("element", format!("{element} ({place})"))?,
            None => line("element", format!("none of the layer's ({place})"))?,
        }
        let value = |value: Option<i16>| value.map_or("nothing".into(), |value| value.to_string());
        if !matches!(self.kind, Kind::Cycle { .. }) {
            line("expected", value(self.expected))?;
            let others = match (self.kind, self.differing) {
                (Kind::Value, 2..) => format!(" ({} elements of the word differ)", self.differing),
                _ => String::new(),
            };
            line("got", format!("{}{others}", value(self.got)))?;
        }
        if let Some(golden) = self.element.as_ref().and_then(|element| element.golden) {
            line("golden", golden.to_string())?;
        }
        if let Some(instruction) = &self.instruction {
            line("instruction", instruction.to_string())?;
            line("", instruction.text.clone())?;
        }
        if let Some(computed) = self.element.as_ref().and_then(|element| element.computed.as_ref()) {
            let super::Computed { tile, column, row, pass, instruction } = computed;
            line("computed by", format!("tile {tile} (column {column}, row {row}) in pass {pass}"))?;
            line("", instruction.to_string())?;
            line("", instruction.text.clone())?;
        }
        Ok(())
    }
}
