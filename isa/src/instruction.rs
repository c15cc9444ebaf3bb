//! The instruction set as data: units, operations and the fields of their instruction words.
//!
//! Every queue of the machine belongs to one [`Unit`]. An instruction word is `opcode`, `interval`, then the fields of the
//! unit, least significant first, as [`fields`] lists them; the RTL takes its bit positions from the same list.

pub use crate::encoding::{Field, Word, fields, word_bits};
pub use crate::unit::{Source, Unit};

use crate::configuration::{Configuration, bits_for};
use crate::sequence::{LEVELS, PAUSE_BITS, Sequence};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bits of the opcode.
pub const OPCODE_BITS: u32 = 2;
/// Most bits of the interval, the cycles to the next instruction of the queue, that a configuration may ask for.
pub const MOST_INTERVAL_BITS: u32 = 16;
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

/// What the requantiser works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequantiseFrom {
    /// The accumulators that leave the drain chains.
    Tiles,
    /// The elements of a stream, sign-extended.
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
    /// Adds to each accumulator of a word, or to each element of a stream, the bias in the scale table; scales, rounds and
    /// clamps the sum to an element.
    Requantise {
        /// What is requantised.
        from: RequantiseFrom,
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

    /// The crossbar ports that it listens to.
    pub fn sources(&self) -> Vec<Source> {
        match *self {
            Operation::Multiply { source, .. }
            | Operation::Write { source, .. }
            | Operation::Requantise { from: RequantiseFrom::Stream(source), .. } => vec![source],
            Operation::Vector { a, b, .. } => std::iter::once(a).chain(b).collect(),
            _ => vec![],
        }
    }

    /// Cycles from the first to the last step, both included; 0 where there are none.
    pub fn duration(&self) -> u64 {
        self.sequence().map_or(0, Sequence::duration)
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
    /// Cycles from this instruction's issue to the issue of the next, at least [`Configuration::minimum_interval`].
    pub interval: u32,
    /// What it does.
    pub operation: Operation,
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

impl Instruction {
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
        let shortest = i64::from(configuration.minimum_interval());
        range("interval", i64::from(self.interval), shortest, configuration.longest_interval().into())?;
        let Some(sequence) = self.operation.sequence() else { return Ok(()) };
        for level in 0..LEVELS {
            let exists = level < configuration.sequence_levels as usize;
            let most = if exists { configuration.longest_loop() } else { 1 };
            range(&format!("count{level}"), i64::from(sequence.count[level]), 1, most.into())?;
        }
        range("run_levels", i64::from(sequence.run_levels), 1, configuration.sequence_levels.into())?;
        range("gap", i64::from(sequence.gap), 0, configuration.longest_gap().into())?;
        range("pause", i64::from(sequence.pause), 0, (1 << PAUSE_BITS) - 1)?;
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
            Operation::Requantise { zero_point, minimum, maximum, .. } => {
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
            let limit = unit.address_limit(configuration);
            let (least, largest) = sequence.extent();
            range("address", least, 0, i64::from(limit) - 1)?;
            range("address", largest, 0, i64::from(limit) - 1)?;
        }
        // Cycles are counted in 32 bits within an instruction.
        let duration = self.operation.duration();
        range("duration", i64::try_from(duration).unwrap_or(i64::MAX), 1, i64::from(u32::MAX))
    }
}
