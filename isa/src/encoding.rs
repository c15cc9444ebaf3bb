//! Instruction words: the fields of each unit, encoding and decoding.
//!
//! [`fields`] is the one list of bit positions; the RTL takes its own from it.

use crate::arithmetic::softmax::Softmax;
use crate::configuration::{Configuration, ELEMENT_BITS, REGISTER_BITS, bits_for};
use crate::instruction::{
    Assignment, Drain, Function, Instruction, InstructionError, Operation, RequantiseFrom, Spread, Tracking,
    last_beats_bits,
};
use crate::instruction::{FUNCTION_BITS, MOST_TIMES, OPCODE_BITS, OPCODE_HALT, OPCODE_NOP, OPCODE_REPEAT, OPCODE_RUN};
use crate::sequence::{LEVELS, Sequence, field_bits};
use crate::unit::{Source, Unit};
use crate::vector::{Arithmetic, Combine, Reduction, ScalarOperand};
use bitvec::prelude::*;

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

/// Bits of the vector unit's shift, of both signs.
const SHIFT_BITS: u32 = 6;

/// Bits of the length of a softmax's rows.
pub const SOFTMAX_LENGTH_BITS: u32 = (Softmax::LONGEST_ROW as u32).ilog2() + 1;

/// What has the code `code`: its place in the list.
fn by_code<T: Copy>(all: &[(T, &str)], code: i64) -> Option<T> {
    all.get(usize::try_from(code).ok()?).map(|&(value, _)| value)
}

/// The fields with which an instruction of `unit` names run-time registers. Their values are those of the cycle in which it issues. They
/// stand in front, behind the interval: the registers are looked up while the rest of the instruction is still fetched.
pub fn register_fields(unit: Unit, configuration: &Configuration) -> &'static [&'static str] {
    match unit {
        _ if configuration.registers() == 0 => &[],
        Unit::TileGroup(_) => &["register", "tile"],
        Unit::Read(_) | Unit::Write(_) => &["register"],
        Unit::Requantiser => &["register", "mask"],
        Unit::Vector => &["register", "mask", "target"],
        Unit::Weights => &["register", "place"],
        Unit::Registers => &["assigned", "addend"],
    }
}

/// The fields of a unit's instruction word, least significant first.
pub fn fields(unit: Unit, configuration: &Configuration) -> Vec<Field> {
    let mut specification: Vec<(String, u32, bool)> =
        vec![("opcode".into(), OPCODE_BITS, false), ("interval".into(), configuration.interval_bits, false)];
    let source_bits = bits_for(configuration.crossbar_sources());
    let element = ELEMENT_BITS;
    let extended = configuration.extensions.is_some();
    let register_bits = bits_for(configuration.registers() + 1);
    let own: &[(&str, u32, bool)] = match unit {
        Unit::TileGroup(_) if extended => {
            &[("source", source_bits, false), ("fetch", 1, false), ("full_rows", 1, false)]
        }
        Unit::Weights => &[("source", source_bits, false), ("spread", 1, false)],
        Unit::Registers => &[
            ("destination", register_bits, false),
            ("multiplier", element, true),
            ("constant", element, true),
            ("shift", SHIFT_BITS - 1, false),
            ("bits", bits_for(REGISTER_BITS), false),
        ],
        Unit::TileGroup(_) => &[("source", source_bits, false)],
        Unit::Read(_) => &[],
        Unit::Write(_) => &[("source", source_bits, false), ("last_beats", last_beats_bits(configuration), false)],
        Unit::Requantiser => &[
            ("from_stream", 1, false),
            ("source", source_bits, false),
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
    let named = register_fields(unit, configuration);
    specification.extend(named.iter().map(|name| (name.to_string(), register_bits, false)));
    specification.extend(own.iter().map(|&(name, bits, signed)| (name.to_string(), bits, signed)));
    let more: &[(&str, u32, bool)] = match unit {
        Unit::Requantiser if extended => {
            &[("scalar", bits_for(configuration.scalars() + 1), false), ("each_run", 1, false)]
        }
        Unit::Vector if extended => &[
            ("scalar", 2, false),
            ("shift", SHIFT_BITS, true),
            ("table", bits_for(configuration.tables() + 1), false),
            ("combine", 2, false),
            ("reduction", 3, false),
            ("square_shift", SHIFT_BITS - 1, false),
            ("addend_shift", 4, false),
        ],
        _ => &[],
    };
    specification.extend(more.iter().map(|&(name, bits, signed)| (name.to_string(), bits, signed)));
    if unit == Unit::Requantiser && configuration.lookup {
        specification.extend([("lookup".to_string(), 1, false), ("index".to_string(), source_bits, false)]);
    }
    if matches!(unit, Unit::TileGroup(_)) && configuration.separate_sums {
        specification.push(("separate".to_string(), 1, false));
    }
    if unit == Unit::Vector && configuration.has_softmax() {
        let fields =
            [("softmax", 1), ("table", bits_for(configuration.softmax_tables)), ("length", SOFTMAX_LENGTH_BITS)];
        specification.extend(fields.map(|(name, bits)| (name.to_string(), bits, false)));
    }
    let address_bits = unit.address_bits(configuration);
    if unit == Unit::Registers {
        return placed(specification);
    }
    specification.extend(
        field_bits(address_bits, configuration)
            .into_iter()
            .map(|(name, bits)| (name.clone(), bits, name.starts_with("delta"))),
    );
    placed(specification)
}

/// The fields of an instruction that ends a loop, the same in every queue: they stand where other instructions have those of their
/// unit, right behind the interval.
pub fn repeat_fields(configuration: &Configuration) -> Vec<Field> {
    let field = |name: &str, bits| (name.to_string(), bits, false);
    placed(vec![
        field("opcode", OPCODE_BITS),
        field("interval", configuration.interval_bits),
        field("back", bits_for(configuration.queue_depth)),
        field("times", bits_for(MOST_TIMES)),
    ])
}

/// Fields one behind the other.
fn placed(specification: Vec<(String, u32, bool)>) -> Vec<Field> {
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
                    Operation::Repeat { .. } => OPCODE_REPEAT,
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
                ("pause", _) => return i64::from(sequence.pause),
                ("register", _) => return i64::from(sequence.register),
                (_, Some(level)) if name.starts_with("count") => return i64::from(sequence.count[level]) - 1,
                (_, Some(level)) => {
                    // A level that never advances has no change: one encoding for one meaning.
                    return if sequence.count[level] > 1 { i64::from(sequence.delta[level]) } else { 0 };
                }
                _ => {}
            }
        }
        match self.operation {
            Operation::Multiply { source, drain, .. } => match name {
                "source" => port(source),
                "full_rows" => drain.flags()[0].into(),
                "separate" => drain.flags()[1].into(),
                _ => 0,
            },
            Operation::Fetch { tile, .. } => match name {
                "fetch" => 1,
                "tile" => i64::from(tile),
                _ => 0,
            },
            Operation::Store { source, spread, place, .. } => match name {
                "source" => port(source),
                "spread" => spread as i64,
                _ => i64::from(place),
            },
            Operation::Assign(assignment) => match name {
                "destination" => i64::from(assignment.destination),
                "assigned" => i64::from(assignment.source),
                "multiplier" => i64::from(assignment.multiplier),
                "addend" => i64::from(assignment.addend),
                "constant" => i64::from(assignment.constant),
                "shift" => i64::from(assignment.shift),
                _ => i64::from(assignment.bits) - 1,
            },
            Operation::Write { source, last_beats, .. } => match name {
                "source" => port(source),
                _ => i64::from(last_beats) - 1,
            },
            Operation::Requantise { from, zero_point, minimum, maximum, tracking, .. } => match (name, from) {
                ("mask", _) => i64::from(tracking.mask),
                ("scalar", _) => tracking.maximum.map_or(0, |scalar| i64::from(scalar) + 1),
                ("each_run", _) => i64::from(tracking.each_run),
                ("from_stream", _) => i64::from(from != RequantiseFrom::Tiles),
                ("source", RequantiseFrom::Stream(source) | RequantiseFrom::Lookup { operand: source, .. }) => {
                    port(source)
                }
                ("source" | "lookup" | "index", RequantiseFrom::Tiles) => 0,
                ("lookup", _) => i64::from(matches!(from, RequantiseFrom::Lookup { .. })),
                ("index", RequantiseFrom::Lookup { index, .. }) => port(index),
                ("index", _) => 0,
                ("zero_point", _) => i64::from(zero_point),
                ("minimum", _) => i64::from(minimum),
                _ => i64::from(maximum),
            },
            Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, .. } => match name {
                "scalar" => arithmetic.scalar as i64,
                "shift" => i64::from(arithmetic.shift),
                "table" => arithmetic.table.map_or(0, |table| i64::from(table) + 1),
                "combine" => arithmetic.combine as i64,
                "reduction" => arithmetic.reduction as i64,
                "square_shift" => i64::from(arithmetic.square_shift),
                "addend_shift" => i64::from(arithmetic.addend_shift),
                "target" => i64::from(arithmetic.register),
                "mask" => i64::from(arithmetic.mask),
                "function" => function as i64,
                "source_a" => port(a),
                "source_b" => b.map_or(0, port),
                "use_constant" => i64::from(b.is_none()),
                "constant" => i64::from(constant),
                "minimum" => i64::from(minimum),
                "maximum" => i64::from(maximum),
                _ => 0,
            },
            Operation::Softmax { source, table, length, .. } => match name {
                "softmax" => 1,
                "source_a" => port(source),
                "table" => i64::from(table),
                "length" => i64::from(length),
                _ => 0,
            },
            Operation::Repeat { back, times } => match name {
                "back" => i64::from(back),
                "times" => i64::from(times) - 1,
                _ => 0,
            },
            Operation::Nop | Operation::Halt | Operation::Read { .. } => 0,
        }
    }

    /// The instruction as it comes back from its word: [`decode`](Self::decode) of [`encode`](Self::encode). Only what has no
    /// effect changes: the delta of a level with count 1 is 0, and a unit without addresses has neither base nor deltas.
    pub fn canonical(&self, unit: Unit, configuration: &Configuration) -> Instruction {
        let mut instruction = *self;
        if let Operation::Multiply { sequence, .. }
        | Operation::Fetch { sequence, .. }
        | Operation::Store { sequence, .. }
        | Operation::Read { sequence }
        | Operation::Write { sequence, .. }
        | Operation::Requantise { sequence, .. }
        | Operation::Softmax { sequence, .. }
        | Operation::Vector { sequence, .. } = &mut instruction.operation
        {
            *sequence = match unit.address_bits(configuration) {
                0 => Sequence { base: 0, delta: [0; LEVELS], ..*sequence },
                bits => sequence.unwrapped(bits),
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
        let of_repeat = matches!(self.operation, Operation::Repeat { .. });
        let specification = if of_repeat { repeat_fields(configuration) } else { fields(unit, configuration) };
        for field in specification {
            let value = self.value(&field.name, configuration) as u64;
            word.extend_from_bitslice(&value.view_bits::<Lsb0>()[..field.bits as usize]);
        }
        word.resize(word_bits(unit, configuration) as usize, false);
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
        let of_repeat = repeat_fields(configuration);
        let value = |name: &str| -> i64 {
            let repeats = || of_repeat.iter().find(|field| field.name == name);
            fields.iter().find(|field| field.name == name).or_else(repeats).map_or(0, |field| {
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
            // A level that the machine does not have reads as 0: it never advances.
            count: std::array::from_fn(|level| value(&format!("count{level}")) as u32 + 1),
            delta: std::array::from_fn(|level| value(&format!("delta{level}")) as i32),
            run_levels: value("run_levels") as u32 + 1,
            gap: value("gap") as u32,
            pause: value("pause") as u32,
            register: value("register") as u32,
        };
        let element = |name: &str| value(name) as i32;
        let operation = match (value("opcode") as u64, unit) {
            (OPCODE_NOP, _) => Operation::Nop,
            (OPCODE_HALT, _) => Operation::Halt,
            (OPCODE_REPEAT, _) if configuration.extensions.is_some() => {
                Operation::Repeat { back: value("back") as u32, times: value("times") as u32 + 1 }
            }
            (OPCODE_RUN, Unit::TileGroup(_)) if value("fetch") == 1 => {
                Operation::Fetch { tile: value("tile") as u32, sequence }
            }
            (OPCODE_RUN, Unit::TileGroup(_)) => {
                let drain = Drain::from_flags(["full_rows", "separate"].map(|flag| value(flag) == 1))
                    .ok_or_else(|| undecodable("both `full_rows` and `separate` are set".into()))?;
                Operation::Multiply { source: source("source")?, drain, sequence }
            }
            (OPCODE_RUN, Unit::Weights) => Operation::Store {
                source: source("source")?,
                spread: if value("spread") == 0 { Spread::Beat } else { Spread::Columns },
                place: value("place") as u32,
                sequence,
            },
            (OPCODE_RUN, Unit::Registers) => Operation::Assign(Assignment {
                destination: value("destination") as u32,
                source: value("assigned") as u32,
                multiplier: element("multiplier"),
                addend: value("addend") as u32,
                constant: element("constant"),
                shift: value("shift") as u32,
                bits: value("bits") as u32 + 1,
            }),
            (OPCODE_RUN, Unit::Read(_)) => Operation::Read { sequence },
            (OPCODE_RUN, Unit::Write(_)) => {
                Operation::Write { source: source("source")?, last_beats: value("last_beats") as u32 + 1, sequence }
            }
            (OPCODE_RUN, Unit::Requantiser) => Operation::Requantise {
                from: if value("lookup") == 1 {
                    RequantiseFrom::Lookup { operand: source("source")?, index: source("index")? }
                } else if value("from_stream") == 1 {
                    RequantiseFrom::Stream(source("source")?)
                } else {
                    RequantiseFrom::Tiles
                },
                zero_point: element("zero_point"),
                minimum: element("minimum"),
                maximum: element("maximum"),
                tracking: Tracking {
                    mask: value("mask") as u32,
                    maximum: (value("scalar") as u32).checked_sub(1),
                    each_run: value("each_run") == 1,
                },
                sequence,
            },
            (OPCODE_RUN, Unit::Vector) if value("softmax") == 1 => Operation::Softmax {
                source: source("source_a")?,
                table: value("table") as u32,
                length: value("length") as u32,
                sequence,
            },
            (OPCODE_RUN, Unit::Vector) => {
                let code = value("function");
                let known = if configuration.vector_multiplies() { &Function::ALL[..] } else { &Function::PLAIN };
                let function = known
                    .iter()
                    .find(|(function, _)| *function as i64 == code)
                    .ok_or_else(|| undecodable(format!("function {code} does not exist")))?
                    .0;
                let b = if value("use_constant") == 1 { None } else { Some(source("source_b")?) };
                let unknown = |field: &str| undecodable(format!("`{field}` is {}, which means nothing", value(field)));
                let arithmetic = Arithmetic {
                    scalar: by_code(&ScalarOperand::ALL, value("scalar")).ok_or_else(|| unknown("scalar"))?,
                    shift: value("shift") as i32,
                    table: (value("table") as u32).checked_sub(1),
                    combine: by_code(&Combine::ALL, value("combine")).ok_or_else(|| unknown("combine"))?,
                    reduction: by_code(&Reduction::ALL, value("reduction")).ok_or_else(|| unknown("reduction"))?,
                    square_shift: value("square_shift") as u32,
                    addend_shift: value("addend_shift") as u32,
                    register: value("target") as u32,
                    mask: value("mask") as u32,
                };
                Operation::Vector {
                    function,
                    a: source("source_a")?,
                    b,
                    constant: element("constant"),
                    minimum: element("minimum"),
                    maximum: element("maximum"),
                    arithmetic,
                    sequence,
                }
            }
            (opcode, _) => return Err(undecodable(format!("opcode {opcode} does not exist"))),
        };
        // Deltas stand in the word modulo the address width.
        Ok(Instruction { interval, operation }.canonical(unit, configuration))
    }
}
