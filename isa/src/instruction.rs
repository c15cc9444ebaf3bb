//! The instruction set as data: units, operations and the fields of their instruction words.
//!
//! Every queue of the machine belongs to one [`Unit`]. An instruction word is `opcode`, `interval`, then the fields of the
//! unit, least significant first, as [`fields`] lists them; the RTL takes its bit positions from the same list.

use crate::configuration::{Configuration, ELEMENT_BITS, bits_for};
use crate::latency::MINIMUM_INTERVAL;
use crate::sequence::{COUNT_BITS, GAP_BITS, LEVELS, Sequence, field_bits};
use bitvec::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Bits of the opcode.
pub const OPCODE_BITS: u32 = 2;
/// Bits of the interval: cycles to the next instruction of the queue.
pub const INTERVAL_BITS: u32 = 16;
/// Opcode of an instruction that only lets its interval pass.
pub const OPCODE_NOP: u64 = 0;
/// Opcode that ends the queue's program.
pub const OPCODE_HALT: u64 = 1;
/// Opcode that starts the unit's sequencer.
pub const OPCODE_RUN: u64 = 2;
/// Bits of the vector unit's function field.
pub const FUNCTION_BITS: u32 = 3;
/// Bits of the count of beats that the last word of a level-0 loop writes, less one.
pub fn last_beats_bits(configuration: &Configuration) -> u32 {
    bits_for(configuration.beats_per_word())
}

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
}

impl Unit {
    /// All units of a configuration, in the order of their queue numbers.
    pub fn all(configuration: &Configuration) -> Vec<Unit> {
        let mut units: Vec<Unit> = (0..configuration.tile_groups()).map(Unit::TileGroup).collect();
        units.extend((0..configuration.vector_slices).map(Unit::Read));
        units.extend((0..configuration.vector_slices).map(Unit::Write));
        units.extend([Unit::Requantiser, Unit::Vector]);
        units
    }

    /// Bits of the addresses that the unit's sequencer counts; 0 where it only counts steps.
    pub fn address_bits(self, configuration: &Configuration) -> u32 {
        match self {
            Unit::TileGroup(_) => configuration.weight_address_bits(),
            Unit::Read(_) | Unit::Write(_) => configuration.vector_address_bits(),
            Unit::Requantiser => configuration.scale_address_bits(),
            Unit::Vector => 0,
        }
    }

    /// Number of addresses that exist behind the unit's sequencer.
    pub fn address_limit(self, configuration: &Configuration) -> u32 {
        match self {
            Unit::TileGroup(_) => configuration.weight_depth,
            Unit::Read(_) | Unit::Write(_) => configuration.vector_beats(),
            Unit::Requantiser => configuration.scale_depth,
            Unit::Vector => u32::MAX,
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
}

impl Source {
    /// Port number in a configuration.
    #[inline]
    pub fn port(self, configuration: &Configuration) -> u32 {
        match self {
            Source::Slice(n) => n,
            Source::Requantiser => configuration.vector_slices,
            Source::Vector => configuration.vector_slices + 1,
        }
    }

    /// The source behind a port number, if the machine has it.
    pub fn from_port(port: u32, configuration: &Configuration) -> Option<Source> {
        match port.checked_sub(configuration.vector_slices) {
            None => Some(Source::Slice(port)),
            Some(0) => Some(Source::Requantiser),
            Some(1) => Some(Source::Vector),
            Some(_) => None,
        }
    }

    /// Reads the form that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Source> {
        match text {
            "requantiser" => Some(Source::Requantiser),
            "vector" => Some(Source::Vector),
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
        }
    }
}

/// What the requantiser works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequantiseFrom {
    /// The accumulators that leave the drain chains.
    Tiles,
    /// A stream, less the instruction's input zero point.
    Stream(Source),
}

/// What the vector unit computes for each lane, before the clamp to `minimum..=maximum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// `a`
    Pass = 0,
    /// `a + b`
    Add = 1,
    /// `a - b`
    Subtract = 2,
    /// The larger of `a` and `b`.
    Maximum = 3,
    /// The smaller of `a` and `b`.
    Minimum = 4,
}

impl Function {
    /// All functions with their names in assembly text.
    pub const ALL: [(Function, &'static str); 5] = [
        (Function::Pass, "pass"),
        (Function::Add, "add"),
        (Function::Subtract, "subtract"),
        (Function::Maximum, "maximum"),
        (Function::Minimum, "minimum"),
    ];

    /// Name in assembly text.
    pub fn name(self) -> &'static str {
        Function::ALL.iter().find(|(function, _)| *function == self).map_or("?", |(_, name)| name)
    }

    /// The function of one lane on 17-bit intermediate values, before the clamp.
    pub fn apply(self, a: i32, b: i32) -> i32 {
        match self {
            Function::Pass => a,
            Function::Add => a + b,
            Function::Subtract => a - b,
            Function::Maximum => a.max(b),
            Function::Minimum => a.min(b),
        }
    }
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Only lets the interval pass.
    Nop,
    /// Ends the queue's program. The run is over when every queue has halted.
    Halt,
    /// Dot products of the group's tiles. Each step multiplies the weight word at the sequence's address by the first beat
    /// of the stream; each run is one product, whose result drains by itself.
    Multiply {
        /// Where the activations come from.
        source: Source,
        /// Start each accumulator from the bias in front of the run's weights, instead of from zero.
        bias: bool,
        /// Weight addresses.
        sequence: Sequence,
    },
    /// Reads a word at the sequence's beat address: beats `a .. a + beats_per_word`.
    Read {
        /// Beat addresses.
        sequence: Sequence,
    },
    /// Writes a word at the sequence's beat address.
    Write {
        /// Where the word comes from.
        source: Source,
        /// Beats written at the last step of each level-0 loop, 1 to `beats_per_word`; all other steps write the whole word.
        last_beats: u32,
        /// Beat addresses.
        sequence: Sequence,
    },
    /// Scales, rounds and clamps a word of accumulators to elements.
    Requantise {
        /// What is requantised.
        from: RequantiseFrom,
        /// Subtracted from the elements of a stream; accumulators are taken as they are.
        input_zero_point: i32,
        /// Added after rounding.
        zero_point: i32,
        /// Least result.
        minimum: i32,
        /// Largest result.
        maximum: i32,
        /// Indices into the scale table.
        sequence: Sequence,
    },
    /// Combines two streams, or a stream and a constant, lane by lane.
    Vector {
        /// What is computed.
        function: Function,
        /// First operand.
        a: Source,
        /// Second operand; `None` takes the constant.
        b: Option<Source>,
        /// Constant second operand.
        constant: i32,
        /// Least result.
        minimum: i32,
        /// Largest result.
        maximum: i32,
        /// Steps; addresses are not used.
        sequence: Sequence,
    },
}

impl Operation {
    /// The sequence of an operation that has one.
    pub fn sequence(&self) -> Option<&Sequence> {
        match self {
            Operation::Nop | Operation::Halt => None,
            Operation::Multiply { sequence, .. }
            | Operation::Read { sequence }
            | Operation::Write { sequence, .. }
            | Operation::Requantise { sequence, .. }
            | Operation::Vector { sequence, .. } => Some(sequence),
        }
    }

    /// Steps in front of each run.
    pub fn prefix(&self, configuration: &Configuration) -> u32 {
        match self {
            Operation::Multiply { bias: true, .. } => configuration.bias_words(),
            _ => 0,
        }
    }

    /// Cycles from the first to the last step, both included; 0 where there are none.
    pub fn duration(&self, configuration: &Configuration) -> u64 {
        self.sequence().map_or(0, |sequence| sequence.duration(self.prefix(configuration)))
    }

    /// Name in assembly text.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Nop => "nop",
            Operation::Halt => "halt",
            Operation::Multiply { .. } => "multiply",
            Operation::Read { .. } => "read",
            Operation::Write { .. } => "write",
            Operation::Requantise { .. } => "requantise",
            Operation::Vector { .. } => "vector",
        }
    }
}

/// One instruction of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// Cycles from this instruction's issue to the issue of the next, at least [`MINIMUM_INTERVAL`].
    pub interval: u32,
    /// What it does.
    pub operation: Operation,
}

/// One field of an instruction word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, as assembly text and RTL use it.
    pub name: String,
    /// Position of its least significant bit.
    pub position: u32,
    /// Width in bits.
    pub bits: u32,
    /// Two's complement?
    pub signed: bool,
}

/// Why an instruction cannot be encoded, or a word not decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InstructionError {
    /// The operation belongs to another unit.
    #[error("`{operation}` is not an operation of {unit}")]
    WrongUnit {
        /// The unit of the queue.
        unit: Unit,
        /// Name of the operation.
        operation: &'static str,
    },
    /// A value does not fit its field.
    #[error("{unit}: field `{field}` of `{operation}` is {value}, but must be {allowed}")]
    Range {
        /// The unit of the queue.
        unit: Unit,
        /// Name of the operation.
        operation: &'static str,
        /// Name of the field.
        field: String,
        /// Its value.
        value: i64,
        /// What would be accepted.
        allowed: String,
    },
    /// A word that no instruction encodes to.
    #[error("{unit}: the word does not decode: {reason}")]
    Undecodable {
        /// The unit of the queue.
        unit: Unit,
        /// Which bits are wrong.
        reason: String,
    },
}

/// The fields of a unit's instruction word, least significant first.
pub fn fields(unit: Unit, configuration: &Configuration) -> Vec<Field> {
    let mut specification: Vec<(String, u32, bool)> =
        vec![("opcode".into(), OPCODE_BITS, false), ("interval".into(), INTERVAL_BITS, false)];
    let source_bits = bits_for(configuration.crossbar_sources());
    let element = ELEMENT_BITS;
    let own: &[(&str, u32, bool)] = match unit {
        Unit::TileGroup(_) => &[("source", source_bits, false), ("bias", 1, false)],
        Unit::Read(_) => &[],
        Unit::Write(_) => &[("source", source_bits, false), ("last_beats", last_beats_bits(configuration), false)],
        Unit::Requantiser => &[
            ("from_stream", 1, false),
            ("source", source_bits, false),
            ("input_zero_point", element, true),
            ("zero_point", element, true),
            ("minimum", element, true),
            ("maximum", element, true),
        ],
        Unit::Vector => &[
            ("function", FUNCTION_BITS, false),
            ("source_a", source_bits, false),
            ("source_b", source_bits, false),
            ("use_constant", 1, false),
            ("constant", element, true),
            ("minimum", element, true),
            ("maximum", element, true),
        ],
    };
    specification.extend(own.iter().map(|&(name, bits, signed)| (name.to_string(), bits, signed)));
    let address_bits = unit.address_bits(configuration);
    specification.extend(
        field_bits(address_bits).into_iter().map(|(name, bits)| (name.clone(), bits, name.starts_with("delta"))),
    );
    let mut position = 0;
    specification
        .into_iter()
        .map(|(name, bits, signed)| {
            let field = Field { name, position, bits, signed };
            position += bits;
            field
        })
        .collect()
}

/// Bits of a unit's instruction word.
pub fn word_bits(unit: Unit, configuration: &Configuration) -> u32 {
    fields(unit, configuration).iter().map(|field| field.bits).sum()
}

/// An encoded instruction word.
pub type Word = BitVec<u32, Lsb0>;

impl Instruction {
    /// Values of the fields by name. Fields that the operation does not have are 0.
    fn value(&self, name: &str, configuration: &Configuration) -> i64 {
        let port = |source: Source| i64::from(source.port(configuration));
        match name {
            "opcode" => {
                return match self.operation {
                    Operation::Nop => OPCODE_NOP,
                    Operation::Halt => OPCODE_HALT,
                    _ => OPCODE_RUN,
                } as i64;
            }
            "interval" => return i64::from(self.interval),
            _ => {}
        }
        if let Some(sequence) = self.operation.sequence() {
            let level = name.strip_prefix("count").or(name.strip_prefix("delta")).and_then(|l| l.parse::<usize>().ok());
            match (name, level) {
                ("base", _) => return i64::from(sequence.base),
                ("run_levels", _) => return i64::from(sequence.run_levels) - 1,
                ("gap", _) => return i64::from(sequence.gap),
                (_, Some(level)) if name.starts_with("count") => return i64::from(sequence.count[level]) - 1,
                (_, Some(level)) => {
                    // A level that never advances has no change: one encoding for one meaning.
                    return if sequence.count[level] > 1 { i64::from(sequence.delta[level]) } else { 0 };
                }
                _ => {}
            }
        }
        match self.operation {
            Operation::Multiply { source, bias, .. } => match name {
                "source" => port(source),
                _ => i64::from(bias),
            },
            Operation::Write { source, last_beats, .. } => match name {
                "source" => port(source),
                _ => i64::from(last_beats) - 1,
            },
            Operation::Requantise { from, input_zero_point, zero_point, minimum, maximum, .. } => match (name, from) {
                ("from_stream", _) => i64::from(from != RequantiseFrom::Tiles),
                ("source", RequantiseFrom::Stream(source)) => port(source),
                ("source", RequantiseFrom::Tiles) => 0,
                ("input_zero_point", _) => i64::from(input_zero_point),
                ("zero_point", _) => i64::from(zero_point),
                ("minimum", _) => i64::from(minimum),
                _ => i64::from(maximum),
            },
            Operation::Vector { function, a, b, constant, minimum, maximum, .. } => match name {
                "function" => function as i64,
                "source_a" => port(a),
                "source_b" => b.map_or(0, port),
                "use_constant" => i64::from(b.is_none()),
                "constant" => i64::from(constant),
                "minimum" => i64::from(minimum),
                _ => i64::from(maximum),
            },
            Operation::Nop | Operation::Halt | Operation::Read { .. } => 0,
        }
    }

    /// Checks that the operation belongs to `unit` and every field is in range, the sources and addresses of the
    /// configuration included.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self, unit: Unit, configuration: &Configuration) -> Result<(), InstructionError> {
        let operation = self.operation.name();
        let belongs = matches!(
            (unit, &self.operation),
            (_, Operation::Nop | Operation::Halt)
                | (Unit::TileGroup(_), Operation::Multiply { .. })
                | (Unit::Read(_), Operation::Read { .. })
                | (Unit::Write(_), Operation::Write { .. })
                | (Unit::Requantiser, Operation::Requantise { .. })
                | (Unit::Vector, Operation::Vector { .. })
        );
        if !belongs {
            return Err(InstructionError::WrongUnit { unit, operation });
        }
        let range = |field: &str, value: i64, low: i64, high: i64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                let allowed = format!("{low} to {high}");
                Err(InstructionError::Range { unit, operation, field: field.to_string(), value, allowed })
            }
        };
        range("interval", i64::from(self.interval), i64::from(MINIMUM_INTERVAL), (1 << INTERVAL_BITS) - 1)?;
        let Some(sequence) = self.operation.sequence() else { return Ok(()) };
        for level in 0..LEVELS {
            range(&format!("count{level}"), i64::from(sequence.count[level]), 1, 1 << COUNT_BITS)?;
        }
        range("run_levels", i64::from(sequence.run_levels), 1, LEVELS as i64)?;
        range("gap", i64::from(sequence.gap), 0, (1 << GAP_BITS) - 1)?;
        let sources: Vec<(&str, Source)> = match self.operation {
            Operation::Multiply { source, .. } | Operation::Write { source, .. } => vec![("source", source)],
            Operation::Requantise { from: RequantiseFrom::Stream(source), .. } => vec![("source", source)],
            Operation::Vector { a, b, .. } => {
                std::iter::once(("source_a", a)).chain(b.map(|b| ("source_b", b))).collect()
            }
            _ => vec![],
        };
        for (field, source) in sources {
            range(field, i64::from(source.port(configuration)), 0, i64::from(configuration.crossbar_sources()) - 1)?;
            if let Source::Slice(slice) = source {
                range(field, i64::from(slice), 0, i64::from(configuration.vector_slices) - 1)?;
            }
        }
        let element = |field, value: i32| range(field, i64::from(value), i64::from(i16::MIN), i64::from(i16::MAX));
        match self.operation {
            Operation::Write { last_beats, .. } => {
                range("last_beats", i64::from(last_beats), 1, i64::from(configuration.beats_per_word()))?;
            }
            Operation::Requantise { input_zero_point, zero_point, minimum, maximum, .. } => {
                element("input_zero_point", input_zero_point)?;
                element("zero_point", zero_point)?;
                element("minimum", minimum)?;
                element("maximum", maximum)?;
                range("maximum", i64::from(maximum), i64::from(minimum), i64::from(i16::MAX))?;
            }
            Operation::Vector { constant, minimum, maximum, .. } => {
                element("constant", constant)?;
                element("minimum", minimum)?;
                element("maximum", maximum)?;
                range("maximum", i64::from(maximum), i64::from(minimum), i64::from(i16::MAX))?;
            }
            _ => {}
        }
        if unit.address_bits(configuration) > 0 {
            let prefix = self.operation.prefix(configuration);
            let limit = unit.address_limit(configuration);
            let (least, largest) = sequence.extent(prefix);
            range("address", least, 0, i64::from(limit) - 1)?;
            range("address", largest, 0, i64::from(limit) - 1)?;
        }
        // Cycles are counted in 32 bits within an instruction.
        let duration = self.operation.duration(configuration);
        range("duration", i64::try_from(duration).unwrap_or(i64::MAX), 1, i64::from(u32::MAX))
    }

    /// The instruction as it comes back from its word: [`decode`](Self::decode) of [`encode`](Self::encode). Only what has no
    /// effect changes: the delta of a level with count 1 is 0, and a unit without addresses has neither base nor deltas.
    pub fn canonical(&self, unit: Unit, configuration: &Configuration) -> Instruction {
        let mut instruction = *self;
        let prefix = self.operation.prefix(configuration);
        if let Operation::Multiply { sequence, .. }
        | Operation::Read { sequence }
        | Operation::Write { sequence, .. }
        | Operation::Requantise { sequence, .. }
        | Operation::Vector { sequence, .. } = &mut instruction.operation
        {
            *sequence = match unit.address_bits(configuration) {
                0 => Sequence { base: 0, delta: [0; LEVELS], ..*sequence },
                bits => sequence.unwrapped(bits, prefix),
            };
        }
        instruction
    }

    /// Encodes the instruction for the queue of `unit`. Deltas stand in the word modulo the width of the unit's addresses,
    /// and as 0 at a level with count 1, which never advances.
    ///
    /// # Errors
    /// See [`check`](Self::check).
    pub fn encode(&self, unit: Unit, configuration: &Configuration) -> Result<Word, InstructionError> {
        self.check(unit, configuration)?;
        let mut word = Word::new();
        for field in fields(unit, configuration) {
            let value = self.value(&field.name, configuration) as u64;
            word.extend_from_bitslice(&value.view_bits::<Lsb0>()[..field.bits as usize]);
        }
        Ok(word)
    }

    /// Decodes a word of the queue of `unit`.
    ///
    /// # Errors
    /// [`InstructionError::Undecodable`] for a wrong length, an unknown opcode, function or source.
    pub fn decode(unit: Unit, configuration: &Configuration, word: &Word) -> Result<Instruction, InstructionError> {
        let undecodable = |reason: String| InstructionError::Undecodable { unit, reason };
        let fields = fields(unit, configuration);
        let width: u32 = fields.iter().map(|field| field.bits).sum();
        if word.len() != width as usize {
            return Err(undecodable(format!("{} bits instead of {width}", word.len())));
        }
        let value = |name: &str| -> i64 {
            fields.iter().find(|field| field.name == name).map_or(0, |field| {
                let slice = &word[field.position as usize..(field.position + field.bits) as usize];
                let raw: u64 = slice.iter().rev().fold(0, |value, bit| value << 1 | u64::from(*bit));
                let shift = 64 - field.bits;
                if field.signed { ((raw << shift) as i64) >> shift } else { raw as i64 }
            })
        };
        let source = |name: &str| {
            Source::from_port(value(name) as u32, configuration)
                .ok_or_else(|| undecodable(format!("`{name}` is {}, which is no port of the crossbar", value(name))))
        };
        let interval = value("interval") as u32;
        let sequence = Sequence {
            base: value("base") as u32,
            count: std::array::from_fn(|level| value(&format!("count{level}")) as u32 + 1),
            delta: std::array::from_fn(|level| value(&format!("delta{level}")) as i32),
            run_levels: value("run_levels") as u32 + 1,
            gap: value("gap") as u32,
        };
        let element = |name: &str| value(name) as i32;
        let operation = match (value("opcode") as u64, unit) {
            (OPCODE_NOP, _) => Operation::Nop,
            (OPCODE_HALT, _) => Operation::Halt,
            (OPCODE_RUN, Unit::TileGroup(_)) => {
                Operation::Multiply { source: source("source")?, bias: value("bias") == 1, sequence }
            }
            (OPCODE_RUN, Unit::Read(_)) => Operation::Read { sequence },
            (OPCODE_RUN, Unit::Write(_)) => {
                Operation::Write { source: source("source")?, last_beats: value("last_beats") as u32 + 1, sequence }
            }
            (OPCODE_RUN, Unit::Requantiser) => Operation::Requantise {
                from: if value("from_stream") == 1 {
                    RequantiseFrom::Stream(source("source")?)
                } else {
                    RequantiseFrom::Tiles
                },
                input_zero_point: element("input_zero_point"),
                zero_point: element("zero_point"),
                minimum: element("minimum"),
                maximum: element("maximum"),
                sequence,
            },
            (OPCODE_RUN, Unit::Vector) => {
                let code = value("function");
                let function = Function::ALL
                    .iter()
                    .find(|(function, _)| *function as i64 == code)
                    .ok_or_else(|| undecodable(format!("function {code} does not exist")))?
                    .0;
                let b = if value("use_constant") == 1 { None } else { Some(source("source_b")?) };
                Operation::Vector {
                    function,
                    a: source("source_a")?,
                    b,
                    constant: element("constant"),
                    minimum: element("minimum"),
                    maximum: element("maximum"),
                    sequence,
                }
            }
            (opcode, _) => return Err(undecodable(format!("opcode {opcode} does not exist"))),
        };
        // Deltas stand in the word modulo the address width.
        Ok(Instruction { interval, operation }.canonical(unit, configuration))
    }
}
