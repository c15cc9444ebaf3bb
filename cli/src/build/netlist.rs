//! The netlist that Yosys writes as JSON: which cells it has, and attributes for some of them.
//!
//! A large machine's netlist has a hundred megabytes. Only what is looked at is parsed; everything else is kept as the text it
//! was, in the order in which it stood, so that an edit changes nothing but what it says.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;
use std::fmt;
use thiserror::Error;

/// A cell of the netlist: an instance of one of the FPGA's primitives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The path of the instance in the generator's names, joined by dots; what Yosys made itself has a name with `$`.
    pub name: String,
    /// The primitive.
    pub kind: String,
}

/// Why a netlist cannot be used.
#[derive(Debug, Error)]
pub enum NetlistError {
    /// The text is not what Yosys writes.
    #[error("the netlist is not as Yosys writes it: {0}")]
    Format(#[from] serde_json::Error),
    /// There is no module of this name.
    #[error("the netlist has no module `{0}`")]
    NoTop(String),
}

/// A netlist with one module, the flattened top.
#[derive(Debug)]
pub struct Netlist {
    file: Object,
    modules: Object,
    top: Object,
    top_name: String,
    cells: Object,
    heads: Vec<Cell>,
}

/// What is read of a cell.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
}

impl Netlist {
    /// Reads the netlist with the top module `top_name`.
    ///
    /// # Errors
    /// [`NetlistError::Format`] where the text is no netlist, [`NetlistError::NoTop`] where it is one of something else.
    pub fn read(text: &str, top_name: &str) -> Result<Netlist, NetlistError> {
        let file: Object = serde_json::from_str(text)?;
        let modules: Object = file.parsed("modules")?;
        if modules.get(top_name).is_none() {
            return Err(NetlistError::NoTop(top_name.into()));
        }
        let top: Object = modules.parsed(top_name)?;
        let cells: Object = top.parsed("cells")?;
        let head = |(name, text): &(String, Box<RawValue>)| -> Result<Cell, serde_json::Error> {
            let Head { kind } = serde_json::from_str(text.get())?;
            Ok(Cell { name: name.clone(), kind })
        };
        let heads = cells.0.iter().map(head).collect::<Result<_, _>>()?;
        Ok(Netlist { file, modules, top, top_name: top_name.into(), cells, heads })
    }

    /// All cells, in the order of the file.
    pub fn cells(&self) -> &[Cell] {
        &self.heads
    }

    /// Sets the attribute `BEL` of cells, which tells nextpnr where to put them: cell name to site.
    ///
    /// # Errors
    /// A cell that is not as Yosys writes it.
    pub fn pin(&mut self, sites: &HashMap<String, String>) -> Result<(), NetlistError> {
        for (name, text) in &mut self.cells.0 {
            let Some(site) = sites.get(name) else { continue };
            let mut cell: Object = serde_json::from_str(text.get())?;
            let mut attributes: Object = match cell.get("attributes") {
                Some(_) => cell.parsed("attributes")?,
                None => Object(Vec::new()),
            };
            attributes.set("BEL", to_raw_value(site)?);
            cell.set("attributes", to_raw_value(&attributes)?);
            *text = to_raw_value(&cell)?;
        }
        Ok(())
    }

    /// The netlist as JSON.
    ///
    /// # Errors
    /// None: all parts came from JSON.
    pub fn into_json(mut self) -> Result<String, NetlistError> {
        self.top.set("cells", to_raw_value(&self.cells)?);
        self.modules.set(&self.top_name, to_raw_value(&self.top)?);
        self.file.set("modules", to_raw_value(&self.modules)?);
        Ok(serde_json::to_string(&self.file)? + "\n")
    }
}

/// A JSON object whose values stay text, in their order.
#[derive(Debug)]
struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// The value of `key` as an object.
    fn parsed(&self, key: &str) -> Result<Object, serde_json::Error> {
        // A key that is missing is as wrong as a value of another type, and reads as one.
        serde_json::from_str(self.get(key).map_or("null", RawValue::get))
    }

    fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.into(), value)),
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use expect_test::expect;

    const TEXT: &str = r#"{"creator": "Yosys", "modules": {"board": {"attributes": {"top": "1"}, "ports": {},
        "cells": {"z.multiplier": {"hide_name": 0, "type": "MULT18X18D", "attributes": {"src": "a.v:1"},
        "connections": {"A0": [ 2 ]}}, "a$1": {"type": "LUT4"}}, "netnames": {"n": [1e3]}}}}"#;

    #[test]
    fn an_edit_changes_nothing_but_the_attribute() {
        let mut netlist = Netlist::read(TEXT, "board").unwrap();
        let names: Vec<_> = netlist.cells().iter().map(|cell| (cell.name.as_str(), cell.kind.as_str())).collect();
        assert_eq!(names, [("z.multiplier", "MULT18X18D"), ("a$1", "LUT4")]);
        let sites = HashMap::from([("z.multiplier".to_string(), "X4/Y10/MULT18_0".to_string())]);
        netlist.pin(&sites).unwrap();
        expect![[r#"
            {"creator":"Yosys","modules":{"board":{"attributes":{"top": "1"},"ports":{},"cells":{"z.multiplier":{"hide_name":0,"type":"MULT18X18D","attributes":{"src":"a.v:1","BEL":"X4/Y10/MULT18_0"},"connections":{"A0": [ 2 ]}},"a$1":{"type": "LUT4"}},"netnames":{"n": [1e3]}}}}
        "#]]
        .assert_eq(&netlist.into_json().unwrap());
    }

    #[test]
    fn a_cell_without_attributes_gets_them_and_an_old_site_is_replaced() {
        let mut netlist = Netlist::read(TEXT, "board").unwrap();
        netlist.pin(&HashMap::from([("a$1".to_string(), "X1".to_string())])).unwrap();
        netlist.pin(&HashMap::from([("a$1".to_string(), "X2".to_string())])).unwrap();
        let text = netlist.into_json().unwrap();
        assert!(text.contains(r#""a$1":{"type":"LUT4","attributes":{"BEL":"X2"}}"#), "{text}");
    }

    #[test]
    fn what_is_no_netlist_is_refused() {
        let message = |text: &str, top: &str| Netlist::read(text, top).unwrap_err().to_string();
        assert_eq!(message(TEXT, "lpu"), "the netlist has no module `lpu`");
        assert!(message("{}", "lpu").starts_with("the netlist is not as Yosys writes it: invalid type: null"));
        assert!(message("no", "lpu").starts_with("the netlist is not as Yosys writes it: expected"));
    }
}
