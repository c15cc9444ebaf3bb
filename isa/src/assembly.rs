//! Programs as text: a schedule that people can read, and its way back.
//!
//! [`disassemble`] and [`assemble`] are inverses: the queues of a valid program come back as they were. The text goes unit by
//! unit. A line is an instruction: its issue cycle, its interval behind a `+`, the operation and the operation's fields;
//! behind a `;` stands what only people need. The last columns are the layer's number and, in the comment, the cycles of the
//! first and last step and the layer's name.
//!
//! ```
//! use lpu_isa::{assembly::assemble, configuration::Configuration, instruction::Unit};
//!
//! let text = "
//!     read 0
//!     ;  cycle  interval  operation
//!            0  +120      read  base=12 count=32x4 delta=1,-31 run_levels=1 gap=1
//!          120  +6        halt
//! ";
//! let queues = assemble(text, &Configuration::default())?;
//! let read = queues.iter().find(|queue| queue.unit == Unit::Read(0)).map(|queue| queue.instructions.len());
//! assert_eq!(read, Some(2));
//! # Ok::<(), lpu_isa::assembly::AssemblyError>(())
//! ```
//!
//! Written by hand, three things may be left out: the issue cycle (where it stands, it must be the sum of the intervals), outer
//! levels of `count` and `delta`, and units that do nothing, which get a lone `halt`.

use crate::configuration::Configuration;
use crate::instruction::{
    Assignment, Drain, Function, Instruction, InstructionError, Operation, RequantiseFrom, Source, Spread, Tracking,
    Unit,
};
use crate::latency::ISSUE_TO_STEP;
use crate::program::{Placed, Program, Queue};
use crate::sequence::{LEVELS, Sequence};
use crate::vector::{Arithmetic, Combine, Reduction, ScalarOperand};
use std::fmt::{Display, Write as _};
use thiserror::Error;

/// Why a line of assembly text is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct AssemblyError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line of assembly text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The line does not name a unit of the configuration.
    #[error("`{found}` is not a unit of this configuration, which has {allowed}")]
    UnknownUnit {
        /// What stands there.
        found: String,
        /// The units that exist.
        allowed: String,
    },
    /// A unit's instructions stand in two places.
    #[error("{unit} already has its instructions further up; allowed is one list for each unit")]
    RepeatedUnit {
        /// The unit.
        unit: Unit,
    },
    /// An instruction in front of the first unit.
    #[error("the instruction belongs to no unit; allowed are instructions below a unit's name")]
    NoUnit,
    /// A part of the line is missing or of the wrong form.
    #[error("found {found}, but expected {expected}")]
    Syntax {
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// The operation is not one of the unit's.
    #[error("`{found}` is not an operation of {unit}; allowed are {allowed}")]
    UnknownOperation {
        /// What stands there.
        found: String,
        /// The unit.
        unit: Unit,
        /// Its operations.
        allowed: String,
    },
    /// The operation does not have this field.
    #[error("`{operation}` has no field `{field}`; allowed are {allowed}")]
    UnknownField {
        /// The field.
        field: String,
        /// The operation.
        operation: &'static str,
        /// The operation's fields.
        allowed: String,
    },
    /// A field stands twice in one instruction.
    #[error("the field `{field}` stands twice; allowed is once")]
    RepeatedField {
        /// The field.
        field: String,
    },
    /// The operation needs this field.
    #[error("`{operation}` needs the field `{field}`")]
    MissingField {
        /// The field.
        field: &'static str,
        /// The operation.
        operation: &'static str,
    },
    /// The field's value cannot be read.
    #[error("the field `{field}` is `{found}`, but must be {allowed}")]
    Value {
        /// The field.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What would be accepted.
        allowed: String,
    },
    /// The issue cycle contradicts the intervals above.
    #[error("the issue cycle is {found}, but must be {expected}, the sum of the intervals above (or left out)")]
    Cycle {
        /// What stands there.
        found: u64,
        /// The sum of the intervals.
        expected: u64,
    },
    /// The instruction does not fit the configuration.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
}

/// The queues of `program` as text; see the [module](self) for its form.
pub fn disassemble(program: &Program) -> String {
    let mut text = String::new();
    let Program { model, board, cycles, .. } = program;
    let _ = writeln!(text, "; {} for {}: {cycles} cycles", printable(model), printable(board));
    for queue in &program.queues {
        let rows: Vec<Row> = rows(queue, program);
        let columns = rows.iter().map(|row| row.columns.len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| rows.iter().filter_map(|row| row.columns.get(column)).map(String::len).max().unwrap_or(0))
            .collect();
        let _ = writeln!(text, "\n{}\n;  cycle  interval  operation", queue.unit);
        for row in rows {
            let mut line = format!("{:>8}  {:<8}  ", row.cycle, format!("+{}", row.interval));
            for (column, width) in widths.iter().enumerate() {
                let _ = write!(line, "{:width$}  ", row.columns.get(column).map_or("", |text| text));
            }
            if !row.comment.is_empty() {
                let _ = write!(line, "; {}", row.comment);
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

/// One line of a queue, before its columns are aligned.
struct Row {
    cycle: u64,
    interval: u32,
    /// Operation, fields, layer.
    columns: Vec<String>,
    comment: String,
}

fn rows(queue: &Queue, program: &Program) -> Vec<Row> {
    let sequences = || queue.instructions.iter().filter_map(|placed| placed.instruction.operation.sequence());
    let addressed = |s: &Sequence| s.base != 0 || s.delta != [0; LEVELS] || s.register != 0;
    let addresses = queue.unit != Unit::Vector || sequences().any(addressed);
    let layers = queue.instructions.iter().any(|placed| placed.layer.is_some());
    let mut columns: Vec<Vec<String>> = Vec::new();
    for Placed { instruction: Instruction { operation, .. }, .. } in &queue.instructions {
        let mut row = vec![operation.name().to_string()];
        row.extend(fields(operation, addresses));
        columns.push(row);
    }
    let width = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut cycle = 0u64;
    let mut rows = Vec::new();
    for (placed, mut columns) in queue.instructions.iter().zip(columns) {
        let Instruction { interval, operation } = placed.instruction;
        if layers {
            columns.resize(width, String::new());
            columns.push(placed.layer.map_or(String::new(), |layer| format!("layer={layer}")));
        }
        let duration = operation.duration();
        let first = cycle.saturating_add(u64::from(ISSUE_TO_STEP));
        let last = first.saturating_add(duration).saturating_sub(1);
        let steps = (duration > 0).then(|| format!("steps {first}..{last}"));
        let layer = placed.layer.and_then(|layer| program.layers.get(layer as usize));
        let layer = layer.map(|layer| format!("layer {}", printable(&layer.name)));
        let comment = steps.into_iter().chain(layer).collect::<Vec<_>>().join(", ");
        rows.push(Row { cycle, interval, columns, comment });
        cycle = cycle.saturating_add(u64::from(interval));
    }
    rows
}

/// One operation as it stands in a program's text: its name and its fields.
pub fn operation_text(operation: &Operation) -> String {
    let mut parts = vec![operation.name().to_string()];
    parts.extend(fields(operation, true));
    parts.join(" ")
}

/// A name without characters that would end its line.
fn printable(name: &str) -> String {
    name.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn fields(operation: &Operation, addresses: bool) -> Vec<String> {
    fn field(name: &str, value: impl Display) -> String {
        format!("{name}={value}")
    }
    let mut fields = match operation {
        Operation::Nop | Operation::Halt | Operation::Read { .. } => vec![],
        Operation::Repeat { back, times } => vec![field("back", back), field("times", times)],
        Operation::Multiply { source, drain, .. } => {
            let mut fields = vec![field("source", source)];
            fields.extend(match drain {
                Drain::AllRows => None,
                Drain::FullRows => Some(field("full_rows", 1)),
                Drain::Separate => Some(field("separate", 1)),
            });
            fields
        }
        Operation::Write { source, last_beats, .. } => vec![field("source", source), field("last_beats", last_beats)],
        Operation::Requantise { from, zero_point, minimum, maximum, tracking, .. } => {
            let mut fields = vec![
                match from {
                    RequantiseFrom::Tiles => field("source", "tiles"),
                    RequantiseFrom::Stream(source) => field("source", source),
                    RequantiseFrom::Lookup { operand, .. } => field("source", operand),
                },
                field("zero_point", zero_point),
                field("minimum", minimum),
                field("maximum", maximum),
            ];
            if let RequantiseFrom::Lookup { index, .. } = from {
                fields.push(field("index", index));
            }
            fields.extend((tracking.mask > 0).then(|| field("mask", tracking.mask)));
            fields.extend(tracking.maximum.map(|scalar| field("largest", scalar)));
            fields.extend(tracking.each_run.then(|| field("each_run", 1)));
            fields
        }
        Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, .. } => {
            let mut fields = vec![
                field("function", function.name()),
                field("source_a", a),
                b.map_or(field("source_b", "constant"), |b| field("source_b", b)),
                field("constant", constant),
                field("minimum", minimum),
                field("maximum", maximum),
            ];
            let plain = Arithmetic::default();
            let names = [
                (arithmetic.scalar != plain.scalar, "scalar", name_of(&ScalarOperand::ALL, arithmetic.scalar)),
                (arithmetic.combine != plain.combine, "combine", name_of(&Combine::ALL, arithmetic.combine)),
                (arithmetic.reduction != plain.reduction, "reduction", name_of(&Reduction::ALL, arithmetic.reduction)),
            ];
            fields
                .extend(names.iter().filter(|(other, ..)| *other).map(|(_, field_name, name)| field(field_name, name)));
            let numbers = [
                ("shift", i64::from(arithmetic.shift)),
                ("square_shift", i64::from(arithmetic.square_shift)),
                ("addend_shift", i64::from(arithmetic.addend_shift)),
                ("target", i64::from(arithmetic.register)),
                ("mask", i64::from(arithmetic.mask)),
            ];
            fields.extend(numbers.iter().filter(|(_, value)| *value != 0).map(|(name, value)| field(name, value)));
            fields.extend(arithmetic.table.map(|table| field("table", table)));
            fields
        }
        Operation::Softmax { source, table, length, .. } => {
            vec![field("source", source), field("table", table), field("length", length)]
        }
        Operation::Fetch { tile, .. } => vec![field("tile", tile)],
        Operation::Store { source, spread, place, .. } => {
            vec![field("source", source), field("spread", name_of(&Spread::ALL, *spread)), field("place", place)]
        }
        Operation::Assign(assignment) => vec![
            field("destination", assignment.destination),
            field("source", assignment.source),
            field("multiplier", assignment.multiplier),
            field("addend", assignment.addend),
            field("constant", assignment.constant),
            field("shift", assignment.shift),
            field("bits", assignment.bits),
        ],
    };
    if let Some(Sequence { base, count, delta, run_levels, gap, pause, register }) = operation.sequence() {
        if addresses {
            fields.push(field("base", base));
        }
        fields.push(field("count", count.map(|count| count.to_string()).join("x")));
        if addresses {
            fields.push(field("delta", delta.map(|delta| delta.to_string()).join(",")));
        }
        fields.extend([field("run_levels", run_levels), field("gap", gap)]);
        let rare = [("pause", pause), ("register", register)];
        fields.extend(rare.into_iter().filter(|(_, value)| **value > 0).map(|(name, value)| field(name, value)));
    }
    fields
}

/// Reads queues from text: one for each unit of `configuration`, in the order of [`Unit::all`].
///
/// # Errors
/// The first line that is not of the form or does not fit `configuration`.
pub fn assemble(text: &str, configuration: &Configuration) -> Result<Vec<Queue>, AssemblyError> {
    let units = Unit::all(configuration);
    let mut queues: Vec<Option<Vec<Placed>>> = vec![None; units.len()];
    let mut current = None;
    let mut cycle = 0u64;
    for (number, line) in text.lines().enumerate() {
        let line = line.split(';').next().unwrap_or_default().trim();
        let failure = |problem| AssemblyError { line: number + 1, problem };
        if line.is_empty() {
            continue;
        }
        if !line.starts_with(|first: char| first.is_ascii_digit() || first == '+') {
            let unit = Unit::parse(line).and_then(|unit| units.iter().position(|&other| other == unit));
            let Some(position) = unit else {
                let allowed = units.iter().map(Unit::to_string).collect::<Vec<_>>().join(", ");
                return Err(failure(Problem::UnknownUnit { found: line.into(), allowed }));
            };
            if queues[position].is_some() {
                return Err(failure(Problem::RepeatedUnit { unit: units[position] }));
            }
            queues[position] = Some(Vec::new());
            current = Some(position);
            cycle = 0;
            continue;
        }
        let Some((position, queue)) = current.and_then(|position| Some((position, queues[position].as_mut()?))) else {
            return Err(failure(Problem::NoUnit));
        };
        let placed = instruction(line, cycle, units[position], configuration).map_err(failure)?;
        placed.instruction.check(units[position], configuration).map_err(|error| failure(error.into()))?;
        cycle = cycle.saturating_add(u64::from(placed.instruction.interval));
        queue.push(placed);
    }
    let halt = Instruction { interval: configuration.minimum_interval(), operation: Operation::Halt };
    let lone_halt = || vec![Placed { instruction: halt, layer: None }];
    let filled = units.into_iter().zip(queues);
    Ok(filled.map(|(unit, queue)| Queue { unit, instructions: queue.unwrap_or_else(lone_halt) }).collect())
}

/// Reads one instruction of `unit`, issued at `cycle`.
fn instruction(line: &str, cycle: u64, unit: Unit, configuration: &Configuration) -> Result<Placed, Problem> {
    let extended = configuration.extensions.is_some();
    let mut words = line.split_whitespace().peekable();
    let syntax = |found: Option<&&str>, expected| Problem::Syntax {
        found: found.map_or("the end of the line".into(), |word| format!("`{word}`")),
        expected,
    };
    if let Some(word) = words.next_if(|word| !word.starts_with('+')) {
        let found = word.parse().map_err(|_| syntax(Some(&word), "the issue cycle, a number"))?;
        if found != cycle {
            return Err(Problem::Cycle { found, expected: cycle });
        }
    }
    let word = words.next();
    let interval = word.and_then(|word| word.strip_prefix('+')).and_then(|digits| digits.parse().ok());
    let interval = interval.ok_or_else(|| syntax(word.as_ref(), "the interval, `+` and a number"))?;
    let found = words.next().ok_or_else(|| syntax(None, "an operation"))?;
    let own: &[&str] = match unit {
        Unit::TileGroup(_) if extended => &["multiply", "fetch"],
        Unit::TileGroup(_) => &["multiply"],
        Unit::Read(_) => &["read"],
        Unit::Write(_) => &["write"],
        Unit::Requantiser => &["requantise"],
        Unit::Vector if configuration.has_softmax() => &["vector", "softmax"],
        Unit::Vector => &["vector"],
        Unit::Weights => &["store"],
        Unit::Registers => &["assign"],
    };
    let every: &[&str] = if extended { &["nop", "halt", "repeat"] } else { &["nop", "halt"] };
    let operation = own.iter().chain(every).copied().find(|&name| name == found);
    let Some(operation) = operation else {
        let allowed = format!("{}, {}", own.join(", "), every.join(", "));
        return Err(Problem::UnknownOperation { found: found.into(), unit, allowed });
    };
    let mut fields =
        Fields { operation, extended, separate: configuration.separate_sums, given: Vec::new(), known: Vec::new() };
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| syntax(Some(&word), "a field, `name=value`"))?;
        if fields.given.iter().any(|&(other, _)| other == name) {
            return Err(Problem::RepeatedField { field: name.into() });
        }
        fields.given.push((name, value));
    }
    let operation = fields.operation()?;
    let layer = fields.optional("layer", "a number", |value| value.parse().ok())?;
    fields.finish()?;
    Ok(Placed { instruction: Instruction { interval, operation }, layer })
}

/// The fields of one instruction, taken one by one.
struct Fields<'a> {
    operation: &'static str,
    /// Has the machine extensions? Others do not know their fields.
    extended: bool,
    /// Has it separate sums?
    separate: bool,
    /// Those not yet taken.
    given: Vec<(&'a str, &'a str)>,
    /// Those asked for.
    known: Vec<&'static str>,
}

impl Fields<'_> {
    fn optional<T>(
        &mut self,
        field: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.known.push(field);
        let Some(position) = self.given.iter().position(|&(name, _)| name == field) else { return Ok(None) };
        let (_, found) = self.given.remove(position);
        let wrong = || Problem::Value { field, found: found.into(), allowed: allowed.into() };
        read(found).map(Some).ok_or_else(wrong)
    }

    fn required<T>(
        &mut self,
        field: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Problem> {
        let missing = Problem::MissingField { field, operation: self.operation };
        self.optional(field, allowed, read)?.ok_or(missing)
    }

    fn number<T: std::str::FromStr>(&mut self, field: &'static str) -> Result<T, Problem> {
        self.required(field, "a number", |value| value.parse().ok())
    }

    fn number_or_zero(&mut self, field: &'static str) -> Result<u32, Problem> {
        Ok(self.optional(field, "a number", |value| value.parse().ok())?.unwrap_or(0))
    }

    /// One of a list, by its name.
    fn named<T: Copy>(&mut self, field: &'static str, all: &[(T, &str)]) -> Result<Option<T>, Problem> {
        let names: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
        let find = |value: &str| all.iter().find(|(_, name)| *name == value).map(|(thing, _)| *thing);
        self.optional(field, &names.join(", "), find)
    }

    fn source(&mut self, field: &'static str) -> Result<Source, Problem> {
        self.required(field, SOURCES, Source::parse)
    }

    fn sequence(&mut self) -> Result<Sequence, Problem> {
        // The vector unit counts steps only.
        let optional = matches!(self.operation, "vector" | "softmax");
        let count = self.required("count", "1 to 4 numbers with `x` between them", |value| levels(value, 'x', 1))?;
        let number = |value: &str| value.parse().ok();
        let base = self.optional("base", "a number", number)?;
        let delta = self.optional("delta", "1 to 4 numbers with `,` between them", |value| levels(value, ',', 0))?;
        let missing = |field| Problem::MissingField { field, operation: self.operation };
        let base = base.or(optional.then_some(0)).ok_or_else(|| missing("base"))?;
        let delta = delta.or(optional.then_some([0; LEVELS])).ok_or_else(|| missing("delta"))?;
        let (run_levels, gap) = (self.number("run_levels")?, self.number("gap")?);
        let pause = self.optional("pause", "a number", |value| value.parse().ok())?.unwrap_or(0);
        let register = if self.extended { self.number_or_zero("register")? } else { 0 };
        Ok(Sequence { base, count, delta, run_levels, gap, pause, register })
    }

    fn drain(&mut self) -> Result<Drain, Problem> {
        let full_rows = self.extended && self.number_or_zero("full_rows")? != 0;
        let separate = self.separate && self.number_or_zero("separate")? != 0;
        let both =
            || Problem::Value { field: "separate", found: "1".into(), allowed: "0 where `full_rows` is 1".into() };
        Drain::from_flags([full_rows, separate]).ok_or_else(both)
    }

    fn tracking(&mut self) -> Result<Tracking, Problem> {
        let mask = self.number_or_zero("mask")?;
        let maximum = self.optional("largest", "a number", |value| value.parse().ok())?;
        let each_run = self.number_or_zero("each_run")? != 0;
        Ok(Tracking { mask, maximum, each_run })
    }

    fn arithmetic(&mut self) -> Result<Arithmetic, Problem> {
        Ok(Arithmetic {
            scalar: self.named("scalar", &ScalarOperand::ALL)?.unwrap_or_default(),
            combine: self.named("combine", &Combine::ALL)?.unwrap_or_default(),
            reduction: self.named("reduction", &Reduction::ALL)?.unwrap_or_default(),
            shift: self.optional("shift", "a number", |value| value.parse().ok())?.unwrap_or(0),
            square_shift: self.number_or_zero("square_shift")?,
            addend_shift: self.number_or_zero("addend_shift")?,
            register: self.number_or_zero("target")?,
            mask: self.number_or_zero("mask")?,
            table: self.optional("table", "a number", |value| value.parse().ok())?,
        })
    }

    fn operation(&mut self) -> Result<Operation, Problem> {
        Ok(match self.operation {
            "multiply" => {
                Operation::Multiply { source: self.source("source")?, drain: self.drain()?, sequence: self.sequence()? }
            }
            "read" => Operation::Read { sequence: self.sequence()? },
            "write" => Operation::Write {
                source: self.source("source")?,
                last_beats: self.number("last_beats")?,
                sequence: self.sequence()?,
            },
            "requantise" => Operation::Requantise {
                from: {
                    let from = self.required("source", &format!("tiles, {SOURCES}"), |value| match value {
                        "tiles" => Some(RequantiseFrom::Tiles),
                        _ => Source::parse(value).map(RequantiseFrom::Stream),
                    })?;
                    match (from, self.optional("index", SOURCES, Source::parse)?) {
                        (RequantiseFrom::Stream(operand), Some(index)) => RequantiseFrom::Lookup { operand, index },
                        _ => from,
                    }
                },
                zero_point: self.number("zero_point")?,
                minimum: self.number("minimum")?,
                maximum: self.number("maximum")?,
                tracking: if self.extended { self.tracking()? } else { Tracking::default() },
                sequence: self.sequence()?,
            },
            "vector" => Operation::Vector {
                function: {
                    let known = if self.extended { &Function::ALL[..] } else { &Function::PLAIN };
                    let named = |value: &str| known.iter().find(|(_, name)| *name == value).map(|(f, _)| *f);
                    let names: Vec<&str> = known.iter().map(|(_, name)| *name).collect();
                    self.required("function", &names.join(", "), named)?
                },
                a: self.source("source_a")?,
                b: self.required("source_b", &format!("constant, {SOURCES}"), |value| match value {
                    "constant" => Some(None),
                    _ => Source::parse(value).map(Some),
                })?,
                constant: self.number("constant")?,
                minimum: self.number("minimum")?,
                maximum: self.number("maximum")?,
                arithmetic: if self.extended { self.arithmetic()? } else { Arithmetic::default() },
                sequence: self.sequence()?,
            },
            "softmax" => Operation::Softmax {
                source: self.source("source")?,
                table: self.number("table")?,
                length: self.number("length")?,
                sequence: self.sequence()?,
            },
            "fetch" => Operation::Fetch { tile: self.number("tile")?, sequence: self.sequence()? },
            "store" => Operation::Store {
                source: self.source("source")?,
                spread: {
                    let missing = Problem::MissingField { field: "spread", operation: self.operation };
                    self.named("spread", &Spread::ALL)?.ok_or(missing)?
                },
                place: self.number("place")?,
                sequence: self.sequence()?,
            },
            "assign" => Operation::Assign(Assignment {
                destination: self.number("destination")?,
                source: self.number("source")?,
                multiplier: self.number("multiplier")?,
                addend: self.number("addend")?,
                constant: self.number("constant")?,
                shift: self.number("shift")?,
                bits: self.number("bits")?,
            }),
            "halt" => Operation::Halt,
            "repeat" => Operation::Repeat { back: self.number("back")?, times: self.number("times")? },
            _ => Operation::Nop,
        })
    }

    fn finish(self) -> Result<(), Problem> {
        let allowed = self.known.join(", ");
        match self.given.first() {
            Some(&(field, _)) => Err(Problem::UnknownField { field: field.into(), operation: self.operation, allowed }),
            None => Ok(()),
        }
    }
}

/// What a list calls one of its members.
fn name_of<T: Copy + PartialEq>(all: &[(T, &'static str)], value: T) -> &'static str {
    all.iter().find(|(other, _)| *other == value).map_or("?", |(_, name)| name)
}

/// What a source may be called.
const SOURCES: &str = "slice0, slice1, ..., requantiser or vector";

/// The numbers of up to four levels; levels left out are `rest`.
fn levels<T: std::str::FromStr + Copy>(text: &str, separator: char, rest: T) -> Option<[T; LEVELS]> {
    let mut levels = [rest; LEVELS];
    for (position, number) in text.split(separator).enumerate() {
        *levels.get_mut(position)? = number.parse().ok()?;
    }
    Some(levels)
}
