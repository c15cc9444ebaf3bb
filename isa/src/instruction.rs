//! The instruction set as data: units, operations and the fields of their instruction words.
//!
//! Every queue of the machine belongs to one [`Unit`]. An instruction word is `opcode`, `interval`, then the fields of the
//! unit, least significant first, as [`fields`] lists them; the RTL takes its bit positions from the same list.

pub use crate::encoding::{Field, Word, fields, register_fields, word_bits};
pub use crate::unit::{Source, Unit};

use crate::arithmetic::softmax::Softmax;
use crate::configuration::{Configuration, bits_for};
use crate::latency::Latency;
use crate::sequence::{LEVELS, Sequence};
use crate::vector::{Arithmetic, LARGEST_SHIFT, LEAST_SHIFT, Reduction, ScalarOperand};
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
/// Opcode that ends a loop of instructions, in a machine with extensions.
pub const OPCODE_REPEAT: u64 = 3;
/// Most times that a loop of instructions is executed.
pub const MOST_TIMES: u32 = 256;
/// Bits of the vector unit's function field.
pub const FUNCTION_BITS: u32 = 3;
/// Bits of the count of beats that the last word of a level-0 loop writes, less one.
pub fn last_beats_bits(configuration: &Configuration) -> u32 {
    bits_for(configuration.beats_per_word())
}

/// What the runs of a multiplication sum up in the tiles, and which of the sums drain: [`Configuration::drain_rows`] words of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drain {
    /// A sum of each tile, or of each of its channels, from all rows of tiles.
    #[default]
    AllRows,
    /// The same without an incomplete last row, whose cycles the drain of the next product may have. Only a machine with extensions can
    /// leave a row out.
    FullRows,
    /// A sum of each multiplier. All multipliers of a tile take one element of the beat, that of the tile's column: number `column mod
    /// dot`. A row of tiles delivers `dot` words, first the sums of the weights that come first in their words; an incomplete row
    /// delivers none. Only a machine with [`Configuration::separate_sums`] has it.
    Separate,
}

impl Drain {
    /// Its two bits in an instruction: not of all rows, sums of multipliers.
    #[must_use]
    pub fn flags(self) -> [bool; 2] {
        [self == Drain::FullRows, self == Drain::Separate]
    }

    /// The drain of two such bits; none where both are set.
    #[must_use]
    pub fn from_flags(flags: [bool; 2]) -> Option<Drain> {
        [Drain::AllRows, Drain::FullRows, Drain::Separate].into_iter().find(|drain| drain.flags() == flags)
    }
}

/// What the requantiser works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequantiseFrom {
    /// The accumulators that leave the drain chains.
    Tiles,
    /// The elements of a stream, sign-extended.
    Stream(Source),
    /// The elements of a stream times 2¹⁶, each with the scale and bias of an entry of its own: the one behind the sequence's by as
    /// many as the lower byte of the element of another stream says, 0 to 255. So the result is any function of the other
    /// element that is then a straight line in this one.
    Lookup {
        /// What is scaled.
        operand: Source,
        /// What chooses the entry.
        index: Source,
    },
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
    /// `a × b`; only an extended vector unit multiplies.
    Multiply = 5,
}

impl Function {
    /// The functions that every vector unit has, with their names in assembly text.
    pub const PLAIN: [(Function, &'static str); 5] = [
        (Function::Pass, "pass"),
        (Function::Add, "add"),
        (Function::Subtract, "subtract"),
        (Function::Maximum, "maximum"),
        (Function::Minimum, "minimum"),
    ];
    /// All functions with their names in assembly text.
    pub const ALL: [(Function, &'static str); 6] = [
        (Function::Pass, "pass"),
        (Function::Add, "add"),
        (Function::Subtract, "subtract"),
        (Function::Maximum, "maximum"),
        (Function::Minimum, "minimum"),
        (Function::Multiply, "multiply"),
    ];

    /// Name in assembly text.
    pub fn name(self) -> &'static str {
        Function::ALL.iter().find(|(function, _)| *function == self).map_or("?", |(_, name)| name)
    }

    /// The function of one lane on intermediate values of 17 bits, 32 for a product, before shift and clamp.
    pub fn apply(self, a: i32, b: i32) -> i32 {
        match self {
            Function::Pass => a,
            Function::Add => a + b,
            Function::Subtract => a - b,
            Function::Maximum => a.max(b),
            Function::Minimum => a.min(b),
            Function::Multiply => a.wrapping_mul(b),
        }
    }
}

/// What the requantiser does for softmax, beside requantising. Only a machine with extensions has it; the default asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// The run-time register with the index of the last element of the instruction that counts; 0 for all. The elements of its
    /// steps have indices from 0 on; those beyond become the minimum. Read when the instruction issues.
    pub mask: u32,
    /// The scalar that becomes the instruction's largest result.
    pub maximum: Option<u32>,
    /// Do the indices of the mask begin at 0 in each run?
    #[serde(default, skip_serializing_if = "is_default")]
    pub each_run: bool,
}

/// How a stored word is spread over the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spread {
    /// The first beat becomes a weight word of the tile whose number the register holds; elements lose their upper byte.
    Beat = 0,
    /// Each element goes to its column, in the row of tiles that is the number of the step in its run, and there to the byte
    /// that the register names, modulo the bytes of a word.
    Columns = 1,
}

impl Spread {
    /// Both with their names in assembly text.
    pub const ALL: [(Spread, &'static str); 2] = [(Spread::Beat, "beat"), (Spread::Columns, "columns")];
}

/// `((multiplier × register[source] + register[addend] + constant) >> shift) mod 2^bits`, modulo 2³² before the shift.
/// Register 0 is always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The register that is written.
    pub destination: u32,
    /// The register that is multiplied.
    pub source: u32,
    /// -2¹⁵ to 2¹⁵ - 1.
    pub multiplier: i32,
    /// The register that is added.
    pub addend: u32,
    /// Added too: -2¹⁵ to 2¹⁵ - 1.
    pub constant: i32,
    /// To the right, 0 to 31.
    pub shift: u32,
    /// Bits that are kept, 1 to 16.
    pub bits: u32,
}

impl Assignment {
    /// `register[destination] = register[source]`.
    #[must_use]
    pub fn move_register(destination: u32, source: u32) -> Assignment {
        Assignment { destination, source, multiplier: 1, addend: 0, constant: 0, shift: 0, bits: 16 }
    }

    /// The value assigned, where the registers read hold `source` and `addend`.
    #[must_use]
    pub fn value(&self, source: u16, addend: u16) -> u16 {
        let product = (self.multiplier as u32).wrapping_mul(u32::from(source));
        let sum = product.wrapping_add(u32::from(addend)).wrapping_add(self.constant as u32);
        ((sum >> self.shift.min(31)) & ((1 << self.bits.min(16)) - 1)) as u16
    }
}

/// Is there nothing to write down?
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
        /// What its runs sum up, and which of it drains.
        #[serde(default, skip_serializing_if = "is_default")]
        drain: Drain,
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
        /// What it does beside requantising.
        #[serde(default, skip_serializing_if = "is_default")]
        tracking: Tracking,
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
        /// What only an extended vector unit does.
        #[serde(default, skip_serializing_if = "is_default")]
        arithmetic: Arithmetic,
        /// Steps. An extended vector unit takes and makes scalars at their addresses, others have none.
        sequence: Sequence,
    },
    /// Softmax of rows of int8 elements, see [`Softmax`]. A run passes over the words of a row; three runs make a row: they find its largest
    /// element, sum up the exponentials, and deliver a word of results for each word. The reader presents the row three times. Elements
    /// beyond the row's length count as nothing; their results are the least element, -128. A word keeps the unit for as many cycles as
    /// it has elements. Only a machine with [`Configuration::softmax_tables`] has it.
    Softmax {
        /// The rows.
        source: Source,
        /// Which table of exponentials.
        table: u32,
        /// Elements of a row, 1 to [`Softmax::LONGEST_ROW`].
        length: u32,
        /// Steps: a word each.
        sequence: Sequence,
    },
    /// Reads weights as a stream: at each step, the weight word at the sequence's address of one tile becomes a beat. All tile
    /// groups fetch at the same time, and none of them has a result that drains.
    Fetch {
        /// The run-time register with the number of the tile, read when the instruction issues.
        tile: u32,
        /// Weight addresses.
        sequence: Sequence,
    },
    /// Writes a stream into the weight RAMs, a word each step.
    Store {
        /// Where the word comes from.
        source: Source,
        /// Which tiles and bytes it reaches.
        spread: Spread,
        /// The run-time register with the number of the tile or of the byte, read when the instruction issues.
        place: u32,
        /// Weight addresses.
        sequence: Sequence,
    },
    /// Changes a run-time register.
    Assign(Assignment),
    /// Ends a loop: the `back` instructions before it, and it, are executed `times` times in all. At the end of its interval the
    /// queue issues the first of them; after the last time, the instruction behind it, already at the end of the least interval
    /// ([`Configuration::minimum_interval`]). How often is written in the instruction: no value of the run changes it. Loops do not
    /// contain each other, so a queue needs one counter, 0 when a run starts. Takes no step; the steps under way go on. Only a
    /// machine with extensions has it.
    Repeat {
        /// Instructions between the loop's first, included, and this one.
        back: u32,
        /// 2 to [`MOST_TIMES`].
        times: u32,
    },
}

impl Operation {
    /// The sequence of an operation that has one.
    pub fn sequence(&self) -> Option<&Sequence> {
        match self {
            Operation::Nop | Operation::Halt | Operation::Assign(_) | Operation::Repeat { .. } => None,
            Operation::Multiply { sequence, .. }
            | Operation::Fetch { sequence, .. }
            | Operation::Store { sequence, .. }
            | Operation::Read { sequence }
            | Operation::Write { sequence, .. }
            | Operation::Requantise { sequence, .. }
            | Operation::Softmax { sequence, .. }
            | Operation::Vector { sequence, .. } => Some(sequence),
        }
    }

    /// The crossbar ports that it listens to.
    pub fn sources(&self) -> Vec<Source> {
        match *self {
            Operation::Multiply { source, .. }
            | Operation::Write { source, .. }
            | Operation::Store { source, .. }
            | Operation::Softmax { source, .. }
            | Operation::Requantise { from: RequantiseFrom::Stream(source), .. } => vec![source],
            Operation::Requantise { from: RequantiseFrom::Lookup { operand, index }, .. } => vec![operand, index],
            Operation::Vector { a, b, .. } => std::iter::once(a).chain(b).collect(),
            _ => vec![],
        }
    }

    /// The run-time registers whose values it takes when it issues.
    pub fn registers_read(&self) -> Vec<u32> {
        let of_sequence = self.sequence().map(|sequence| sequence.register);
        let own = match *self {
            Operation::Requantise { tracking, .. } => [tracking.mask, 0],
            Operation::Vector { arithmetic, .. } if arithmetic.reduction == Reduction::Pick => {
                [arithmetic.mask, arithmetic.register]
            }
            Operation::Vector { arithmetic, .. } => [arithmetic.mask, 0],
            Operation::Fetch { tile, .. } => [tile, 0],
            Operation::Store { place, .. } => [place, 0],
            Operation::Assign(assignment) => [assignment.source, assignment.addend],
            _ => [0, 0],
        };
        of_sequence.into_iter().chain(own).filter(|&register| register > 0).collect()
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
            Operation::Repeat { .. } => "repeat",
            Operation::Multiply { .. } => "multiply",
            Operation::Read { .. } => "read",
            Operation::Write { .. } => "write",
            Operation::Requantise { .. } => "requantise",
            Operation::Vector { .. } => "vector",
            Operation::Softmax { .. } => "softmax",
            Operation::Fetch { .. } => "fetch",
            Operation::Store { .. } => "store",
            Operation::Assign(_) => "assign",
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
            (_, Operation::Nop | Operation::Halt | Operation::Repeat { .. })
                | (Unit::TileGroup(_), Operation::Multiply { .. } | Operation::Fetch { .. })
                | (Unit::Weights, Operation::Store { .. })
                | (Unit::Registers, Operation::Assign(_))
                | (Unit::Read(_), Operation::Read { .. })
                | (Unit::Write(_), Operation::Write { .. })
                | (Unit::Requantiser, Operation::Requantise { .. })
                | (Unit::Vector, Operation::Vector { .. } | Operation::Softmax { .. })
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
        self.check_extension(unit, configuration, &range)?;
        let Some(sequence) = self.operation.sequence() else { return Ok(()) };
        for level in 0..LEVELS {
            let exists = level < configuration.sequence_levels as usize;
            let most = if exists { configuration.longest_loop() } else { 1 };
            range(&format!("count{level}"), i64::from(sequence.count[level]), 1, most.into())?;
        }
        range("run_levels", i64::from(sequence.run_levels), 1, configuration.sequence_levels.into())?;
        range("gap", i64::from(sequence.gap), 0, configuration.longest_gap().into())?;
        range("pause", i64::from(sequence.pause), 0, configuration.longest_pause().into())?;
        let sources: Vec<(&str, Source)> = match self.operation {
            Operation::Multiply { source, .. }
            | Operation::Write { source, .. }
            | Operation::Softmax { source, .. }
            | Operation::Store { source, .. } => vec![("source", source)],
            Operation::Requantise { from: RequantiseFrom::Stream(source), .. } => vec![("source", source)],
            Operation::Requantise { from: RequantiseFrom::Lookup { operand, index }, .. } => {
                vec![("source", operand), ("index", index)]
            }
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
                if configuration.narrow_scales {
                    range("zero_point", i64::from(zero_point), 0, 0)?;
                }
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
            Operation::Softmax { table, length, .. } => {
                range("table", table.into(), 0, i64::from(configuration.softmax_tables) - 1)?;
                range("length", length.into(), 1, Softmax::LONGEST_ROW as i64)?;
                let words = i64::from(length.div_ceil(configuration.stream_elements));
                range("steps of a run", sequence.run_steps().into(), words, words)?;
                let runs = i64::from(sequence.runs());
                range("runs", runs, 3, runs.max(3) / 3 * 3)?;
                let latency = Latency::of(configuration).softmax.unwrap_or_default();
                range("gap", sequence.gap.into(), latency.gap.into(), configuration.longest_gap().into())?;
                if words > 1 {
                    let least = i64::from(latency.word_interval) - 1;
                    range("pause", sequence.pause.into(), least, configuration.longest_pause().into())?;
                }
            }
            _ => {}
        }
        if unit.address_bits(configuration) > 0 && sequence.register == 0 {
            let limit = unit.address_limit(configuration);
            let (least, largest) = sequence.extent();
            range("address", least, 0, i64::from(limit) - 1)?;
            range("address", largest, 0, i64::from(limit) - 1)?;
        }
        // Cycles are counted in 32 bits within an instruction.
        let duration = self.operation.duration();
        range("duration", i64::try_from(duration).unwrap_or(i64::MAX), 1, i64::from(u32::MAX))
    }

    /// The fields that only extensions have.
    fn check_extension(
        &self,
        unit: Unit,
        configuration: &Configuration,
        range: &impl Fn(&str, i64, i64, i64) -> Result<(), InstructionError>,
    ) -> Result<(), InstructionError> {
        let registers = i64::from(configuration.registers());
        let register = |field: &str, number: u32, least: i64| range(field, i64::from(number), least, registers);
        if let Some(sequence) = self.operation.sequence() {
            let most = if unit.address_bits(configuration) > 0 { registers } else { 0 };
            range("register", i64::from(sequence.register), 0, most)?;
        }
        match self.operation {
            Operation::Repeat { back, times } => {
                let exists = configuration.extensions.is_some();
                range("back", back.into(), 1, if exists { i64::from(configuration.queue_depth) - 1 } else { 0 })?;
                range("times", times.into(), 2, MOST_TIMES.into())
            }
            Operation::Multiply { drain, .. } => {
                let extended = i64::from(configuration.extensions.is_some());
                let [full_rows, separate] = drain.flags();
                range("full_rows", full_rows.into(), 0, extended)?;
                range("separate", separate.into(), 0, configuration.separate_sums.into())
            }
            Operation::Requantise { from, tracking, .. } => {
                let looks_up = matches!(from, RequantiseFrom::Lookup { .. });
                range("lookup", i64::from(looks_up), 0, i64::from(configuration.lookup))?;
                register("mask", tracking.mask, 0)?;
                range("each_run", i64::from(tracking.each_run), 0, i64::from(configuration.extensions.is_some()))?;
                let scalar = tracking.maximum.map_or(0, |scalar| i64::from(scalar) + 1);
                range("scalar", scalar, 0, i64::from(configuration.scalars()))
            }
            Operation::Vector { function, b, arithmetic, .. } => {
                if !configuration.vector_multiplies() {
                    range("function", function as i64, 0, Function::PLAIN.len() as i64 - 1)?;
                    let plain = arithmetic == Arithmetic::default();
                    return range("arithmetic", i64::from(!plain), 0, 0);
                }
                let shift = i64::from(arithmetic.shift);
                range("shift", shift, i64::from(LEAST_SHIFT), i64::from(LARGEST_SHIFT))?;
                let table = arithmetic.table.map_or(0, |table| i64::from(table) + 1);
                range("table", table, 0, i64::from(configuration.tables()))?;
                range("square_shift", i64::from(arithmetic.square_shift), 0, 31)?;
                range("addend_shift", i64::from(arithmetic.addend_shift), 0, 15)?;
                register("register", arithmetic.register, 0)?;
                register("mask", arithmetic.mask, 0)?;
                // A stream is no scalar.
                let both = b.is_some() && arithmetic.scalar != ScalarOperand::None;
                range("scalar", i64::from(both), 0, 0)
            }
            Operation::Softmax { .. } => range("softmax", 1, 0, configuration.has_softmax().into()),
            Operation::Fetch { tile, .. } => register("tile", tile, 1),
            Operation::Store { place, .. } => register("place", place, 1),
            Operation::Assign(assignment) => {
                register("destination", assignment.destination, 1)?;
                register("source", assignment.source, 0)?;
                register("addend", assignment.addend, 0)?;
                let short = |field, value: i32| range(field, i64::from(value), i16::MIN.into(), i16::MAX.into());
                short("multiplier", assignment.multiplier)?;
                short("constant", assignment.constant)?;
                range("shift", i64::from(assignment.shift), 0, 31)?;
                range("bits", i64::from(assignment.bits), 1, 16)
            }
            _ => Ok(()),
        }
    }
}
