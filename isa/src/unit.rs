//! The units that have an instruction queue, and the source ports of the crossbar.

use crate::configuration::{Configuration, REGISTER_BITS};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A unit with an instruction queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unit {
    /// The tiles of `dot` neighbouring columns.
    TileGroup(u32),
    /// Read port of a vector memory slice.
    Read(u32),
    /// Write port of a vector memory slice.
    Write(u32),
    /// The requantiser.
    Requantiser,
    /// The vector unit.
    Vector,
    /// The port that writes a stream into the weight RAMs.
    Weights,
    /// The run-time registers.
    Registers,
}

impl Unit {
    /// All units of a configuration, in the order of their queue numbers.
    pub fn all(configuration: &Configuration) -> Vec<Unit> {
        let mut units: Vec<Unit> = (0..configuration.tile_groups()).map(Unit::TileGroup).collect();
        units.extend((0..configuration.vector_slices).map(Unit::Read));
        units.extend((0..configuration.vector_slices).map(Unit::Write));
        units.push(Unit::Requantiser);
        if configuration.vector_unit {
            units.push(Unit::Vector);
        }
        if configuration.extensions.is_some() {
            units.extend([Unit::Weights, Unit::Registers]);
        }
        units
    }

    /// Bits of the addresses that the unit's sequencer counts; 0 where it only counts steps.
    pub fn address_bits(self, configuration: &Configuration) -> u32 {
        match self {
            Unit::TileGroup(_) => configuration.weight_address_bits(),
            Unit::Read(_) | Unit::Write(_) => configuration.vector_address_bits(),
            Unit::Requantiser => configuration.scale_address_bits(),
            // The addresses are those of scalars, or the positions that an arg-max finds.
            Unit::Vector if configuration.scalars() > 0 => REGISTER_BITS,
            Unit::Vector | Unit::Registers => 0,
            Unit::Weights => configuration.weight_address_bits(),
        }
    }

    /// Number of addresses that exist behind the unit's sequencer.
    pub fn address_limit(self, configuration: &Configuration) -> u32 {
        match self {
            Unit::TileGroup(_) => configuration.weight_depth,
            Unit::Read(_) | Unit::Write(_) => configuration.vector_beats(),
            Unit::Requantiser => configuration.scale_depth,
            Unit::Vector if configuration.scalars() > 0 => 1 << REGISTER_BITS,
            Unit::Vector | Unit::Registers => u32::MAX,
            Unit::Weights => configuration.weight_depth,
        }
    }

    /// Reads the form that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Unit> {
        let mut words = text.split_whitespace();
        let name = words.next()?;
        let index = words.next().map(|word| word.parse::<u32>().ok());
        if words.next().is_some() {
            return None;
        }
        match (name, index) {
            ("tile_group", Some(Some(n))) => Some(Unit::TileGroup(n)),
            ("read", Some(Some(n))) => Some(Unit::Read(n)),
            ("write", Some(Some(n))) => Some(Unit::Write(n)),
            ("requantiser", None) => Some(Unit::Requantiser),
            ("vector", None) => Some(Unit::Vector),
            ("weights", None) => Some(Unit::Weights),
            ("registers", None) => Some(Unit::Registers),
            _ => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::TileGroup(n) => write!(f, "tile_group {n}"),
            Unit::Read(n) => write!(f, "read {n}"),
            Unit::Write(n) => write!(f, "write {n}"),
            Unit::Requantiser => write!(f, "requantiser"),
            Unit::Vector => write!(f, "vector"),
            Unit::Weights => write!(f, "weights"),
            Unit::Registers => write!(f, "registers"),
        }
    }
}

/// A source port of the crossbar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// Read port of a vector memory slice.
    Slice(u32),
    /// Output of the requantiser.
    Requantiser,
    /// Output of the vector unit.
    Vector,
    /// Weights that are read as a stream: a beat a step.
    Weights,
}

impl Source {
    /// Port number in a configuration.
    #[inline]
    pub fn port(self, configuration: &Configuration) -> u32 {
        match self {
            Source::Slice(n) => n,
            Source::Requantiser => configuration.vector_slices,
            Source::Vector => configuration.vector_slices + 1,
            Source::Weights => configuration.vector_slices + 2,
        }
    }

    /// The source behind a port number, if the machine has it.
    pub fn from_port(port: u32, configuration: &Configuration) -> Option<Source> {
        match port.checked_sub(configuration.vector_slices) {
            None => Some(Source::Slice(port)),
            Some(0) => Some(Source::Requantiser),
            Some(1) if configuration.vector_unit => Some(Source::Vector),
            Some(2) if configuration.extensions.is_some() => Some(Source::Weights),
            Some(_) => None,
        }
    }

    /// Reads the form that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Source> {
        match text {
            "requantiser" => Some(Source::Requantiser),
            "vector" => Some(Source::Vector),
            "weights" => Some(Source::Weights),
            _ => text.strip_prefix("slice")?.parse().ok().map(Source::Slice),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Slice(n) => write!(f, "slice{n}"),
            Source::Requantiser => write!(f, "requantiser"),
            Source::Vector => write!(f, "vector"),
            Source::Weights => write!(f, "weights"),
        }
    }
}
