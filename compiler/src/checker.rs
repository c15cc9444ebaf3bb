//! The independent schedule checker: is a program's schedule right, whoever wrote it?
//!
//! It knows the instruction set, the configuration and the latencies that follow from it, and nothing of the compiler. It walks
//! through every step of every unit and keeps book of what stands where: which beats of the vector memory are written and
//! landed, which source port carries a word at which cycle and which beats of that word mean something, which tile group
//! delivers a row of results when. Values are not computed, so one check serves all inputs.
//!
//! A program passes if
//!
//! * every field is in range, and no unit is told to do two things at once;
//! * whatever listens to a source port finds a word there, at that very cycle;
//! * whatever is multiplied or stored has been written and has landed, and stands inside its memory;
//! * two results never meet on a drain chain, and the requantiser finds a row when it takes one;
//! * weights, scales and tables that are used have been loaded;
//! * run-time registers and scalars are written, and have landed, before they are taken, each by one writer at a time;
//! * weights that the run itself stores have landed when they are multiplied;
//! * nothing is pending when the last queue halts, the output is there, and the cycle count is the one promised.
//!
//! A language model's program has several schedules, of which the position chooses one: each is checked by itself, from what the host
//! has loaded and earlier tokens have left in the weights. What a register can hold is known as a function of token and position
//! (`registers`), so that every address that any run can present is looked at.
//!
//! ```
//! use lpu_compiler::checker::check;
//! use lpu_isa::{assembly::assemble, configuration::Configuration, program::{FORMAT, Program, Region}};
//!
//! let configuration = Configuration::default();
//! let tensor = Region { tensor: "x".into(), slice: 0, base: 0, beats: 4, positions: vec![0] };
//! let program = Program {
//!     format: FORMAT,
//!     model: "nothing".into(),
//!     board: "bench".into(),
//!     weights: vec![vec![]; configuration.tiles as usize],
//!     scales: vec![],
//!     queues: assemble("", &configuration)?,
//!     input: tensor.clone(),
//!     output: tensor,
//!     more_input: vec![],
//!     input_fill: 0,
//!     layers: vec![],
//!     macs: 0,
//!     cycles: 1,
//!     configuration,
//!     constants: vec![],
//!     softmaxes: vec![],
//!     finish: None,
//!     language: None,
//! };
//! let report = check(&program).map_err(|violations| violations[0].to_string())?;
//! assert_eq!(report.cycles, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cause;
mod dataflow;
mod extension;
pub(crate) mod registers;
mod scalars;
mod softmax;
mod state;
mod stores;
#[cfg(test)]
mod tests;
mod timeline;
mod violation;

pub use cause::Cause;
pub use violation::{Place, Violation};

use dataflow::Dataflow;
use lpu_isa::instruction::{Source, Unit};
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use lpu_isa::timeline::entry_points;
use std::fmt;
use timeline::Timeline;
use violation::Violations;

/// What an accepted program does, in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// Cycles of one run; with several schedules, of the last one, which is that of the longest context.
    pub cycles: u64,
    /// How busy each unit is in that run, in the order of the queues.
    pub units: Vec<Activity>,
    /// What is allowed in that run, but may be waste.
    pub remarks: Vec<Remark>,
    /// Every schedule, that of the shortest context first, those for prompts behind the others.
    pub schedules: Vec<ScheduleReport>,
}

/// What one of the schedules of an accepted program does.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleReport {
    /// It is right for positions below this; none where a network knows no positions.
    pub positions: Option<u32>,
    /// Cycles of one run.
    pub cycles: u64,
    /// How busy each unit is, in the order of the queues.
    pub units: Vec<Activity>,
    /// What is allowed, but may be waste.
    pub remarks: Vec<Remark>,
}

/// How busy a unit is.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// The unit.
    pub unit: Unit,
    /// Instructions that its queue issues, `nop` and `halt` included.
    pub instructions: usize,
    /// Steps that it takes.
    pub steps: u64,
    /// Steps ÷ cycles of the run.
    pub busy: f64,
}

/// Something that is allowed, but may be waste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Words that nobody listened to.
    Unheard {
        /// The port they were on.
        source: Source,
        /// How many.
        words: u64,
    },
    /// Rows of results that the requantiser did not take.
    Untaken {
        /// Tile group.
        group: u32,
        /// How many.
        rows: u64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Unheard { source, words } => write!(f, "words on {source} that nobody listens to: {words}"),
            Remark::Untaken { group, rows } => write!(f, "rows of tile group {group} that nobody takes: {rows}"),
        }
    }
}

/// Checks the schedule of `program`.
///
/// Takes time in proportion to the steps of all units, and memory in proportion to the vector memory.
///
/// # Errors
/// The violations in the order of their cycles; of each kind, the first of every instruction. Those behind the first may be
/// its consequences.
pub fn check(program: &Program) -> Result<CheckReport, Vec<Violation>> {
    check_by(program, &Latency::of(&program.configuration))
}

/// [`check`] by a latency table of one's own.
fn check_by(program: &Program, latency: &Latency) -> Result<CheckReport, Vec<Violation>> {
    let mut violations = Violations::default();
    if program.configuration.check().is_ok() {
        timeline::check_fields(program, &mut violations);
    }
    // Steps can only be walked through where every field is in range.
    if violations.is_empty()
        && let Err(error) = program.check()
    {
        violations.add(Violation::Image(error.to_string()));
    }
    if !violations.is_empty() {
        return Err(violations.sorted());
    }
    let entries = entry_points(program);
    check_entries(program, &mut violations);
    timeline::check_reached(program, &entries, &mut violations);
    let schedules: Vec<ScheduleReport> = entries
        .iter()
        .map(|entry| {
            let timeline = Timeline::of(program, entry, latency, &mut violations);
            Dataflow::new(program, &timeline, latency).run(&mut violations)
        })
        .collect();
    match schedules.iter().zip(&entries).rfind(|(_, entry)| entry.prefill.is_none()) {
        Some((last, _)) if violations.is_empty() => {
            let ScheduleReport { cycles, units, remarks, .. } = last.clone();
            Ok(CheckReport { cycles, units, remarks, schedules })
        }
        _ => Err(violations.sorted()),
    }
}

/// The schedules of a language model follow each other by positions, up to the context.
fn check_entries(program: &Program, violations: &mut Violations) {
    let Some(language) = &program.language else { return };
    let positions: Vec<u32> = language.entries.iter().map(|entry| entry.positions).collect();
    if !positions.is_sorted_by(|a, b| a < b) || positions.last() != Some(&language.context) {
        let what = format!(
            "its schedules are for positions below {positions:?}, which do not ascend to the context of {}",
            language.context
        );
        violations.add(Violation::Image(what));
    }
    if let Some(first) = language.entries.first().filter(|first| first.cycles != program.cycles) {
        let what = format!("it promises {} cycles, its first schedule {}", program.cycles, first.cycles);
        violations.add(Violation::Image(what));
    }
}
