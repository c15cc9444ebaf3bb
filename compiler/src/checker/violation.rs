//! What can be wrong with a schedule, in words.

use super::cause::Cause;
use lpu_isa::instruction::{InstructionError, Source, Unit};
use lpu_isa::program::Program;
use std::collections::HashSet;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use thiserror::Error;

/// Where and when something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Cycle since the start of the run.
    pub cycle: u64,
    /// The unit.
    pub unit: Unit,
    /// Number of the instruction in the unit's queue, from 0.
    pub instruction: usize,
    /// Name of the layer that the instruction serves.
    pub layer: Option<String>,
    /// Where a program has several schedules: the one that is right for positions below this.
    pub positions: Option<u32>,
}

impl Place {
    /// The place of instruction `instruction` in queue `queue` of `program`, at `cycle`.
    pub(super) fn of(program: &Program, queue: usize, instruction: usize, cycle: u64) -> Place {
        let queue = &program.queues[queue];
        let layer = queue.instructions[instruction].layer;
        let layer = layer.and_then(|layer| program.layers.get(layer as usize)).map(|layer| layer.name.clone());
        Place { cycle, unit: queue.unit, instruction, layer, positions: None }
    }

    /// The same in the schedule for positions below `positions`.
    pub(super) fn for_positions(self, positions: Option<u32>) -> Place {
        Place { positions, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(positions) = self.positions {
            write!(f, "positions below {positions}, ")?;
        }
        write!(f, "cycle {}: {}, instruction {}", self.cycle, self.unit, self.instruction)?;
        match &self.layer {
            Some(layer) => write!(f, " (layer {layer})"),
            None => Ok(()),
        }
    }
}

/// A rule that a schedule breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// The image cannot be a program of its configuration.
    #[error("{0}")]
    Image(String),
    /// An instruction does not fit its unit.
    #[error("{at}: {error}")]
    Field {
        /// The instruction, at its issue.
        at: Place,
        /// What is wrong with it.
        error: InstructionError,
    },
    /// An instruction behind the one that ended the queue.
    #[error("{at}: stands behind the `halt` of its queue")]
    BehindHalt {
        /// The instruction, at its issue.
        at: Place,
    },
    /// A unit starts an instruction while it still takes the steps of another.
    #[error(
        "{at}: two instructions on one port: the first step comes while instruction {previous} takes steps up to cycle {until}"
    )]
    StillStepping {
        /// The later instruction, at its first step.
        at: Place,
        /// Number of the earlier instruction.
        previous: usize,
        /// Cycle of its last step.
        until: u64,
    },
    /// A queue halts while its unit still takes steps.
    #[error("{at}: halts while instruction {previous} takes steps up to cycle {until}")]
    HaltWhileStepping {
        /// The `halt`, at its issue.
        at: Place,
        /// Number of the earlier instruction.
        previous: usize,
        /// Cycle of its last step.
        until: u64,
    },
    /// A unit listens to a source port that carries nothing.
    #[error("{at}: crossbar: listens to {port}, a silent port at this cycle")]
    SilentPort {
        /// The listener, at its step.
        at: Place,
        /// The port.
        port: Source,
    },
    /// A word leaves the vector unit in the cycle of one that entered it earlier, or before it.
    #[error("{at}: its word would leave at cycle {cycle}, but one that entered earlier leaves at cycle {before}")]
    Overtakes {
        /// The vector unit, at its step.
        at: Place,
        /// Cycle of its word.
        cycle: u64,
        /// Cycle of the earlier step's word, which has a longer way.
        before: u64,
    },
    /// A product takes a beat that means nothing.
    #[error("{at}: multiplies beat {beat} (elements {first}..{last}) of the word on {port}, which was {cause}")]
    InvalidOperand {
        /// The tile group, at its step.
        at: Place,
        /// The port that the word is on.
        port: Source,
        /// Beat of the word.
        beat: u32,
        /// First element of the beat, counted in the word.
        first: u32,
        /// Its last element.
        last: u32,
        /// Why the beat means nothing.
        cause: Cause,
    },
    /// A write stores a beat that means nothing.
    #[error(
        "{at}: stores beat {beat} (elements {first}..{last}) of the word on {port} at address {address}, which was {cause}"
    )]
    InvalidStore {
        /// The write port, at its step.
        at: Place,
        /// The port that the word is on.
        port: Source,
        /// Beat of the word.
        beat: u32,
        /// First element of the beat, counted in the word.
        first: u32,
        /// Its last element.
        last: u32,
        /// Beat address that it goes to.
        address: u32,
        /// Why the beat means nothing.
        cause: Cause,
    },
    /// A product takes a weight that is not loaded.
    #[error("{at}: takes weight word {address} of tile {tile}, which has {loaded} words loaded")]
    WeightMissing {
        /// The tile group, at its step.
        at: Place,
        /// The tile of the group with the fewest weights.
        tile: u32,
        /// Address of the word.
        address: u32,
        /// Words loaded.
        loaded: u32,
    },
    /// A result enters a drain chain before the last one has left it.
    #[error(
        "{at}: two results on one drain chain: {distance} cycles behind the result of instruction {previous}, which takes {cycles}"
    )]
    DrainConflict {
        /// The tile group, at the last step of the later product.
        at: Place,
        /// Number of the instruction with the earlier product.
        previous: usize,
        /// Cycles between the last steps of both.
        distance: u64,
        /// Cycles that a result takes: those of all rows of tiles.
        cycles: u32,
    },
    /// The requantiser takes a row when no tile group delivers one.
    #[error("{at}: takes a row of results when no tile group delivers one")]
    SilentDrain {
        /// The requantiser, at its step.
        at: Place,
    },
    /// The requantiser, or the vector unit's softmax, takes a word while it is at work on another.
    #[error("{at}: takes a word while it is at work on that of cycle {previous}; a word takes {interval} cycles")]
    StillAtWork {
        /// The unit, at its step.
        at: Place,
        /// Cycle of its step before.
        previous: u64,
        /// Cycles that it takes for a word.
        interval: u32,
    },
    /// The requantiser uses a scale that is not loaded.
    #[error("{at}: uses entry {index} of the scale table, which has {loaded} entries loaded")]
    ScaleMissing {
        /// The requantiser, at its step.
        at: Place,
        /// Index into the table.
        index: u32,
        /// Entries loaded.
        loaded: u32,
    },
    /// A write goes beyond the end of its slice.
    #[error("{at}: writes beat {beat} of slice {slice}, which has beats 0..{last}")]
    WriteBeyondSlice {
        /// The write port, at its step.
        at: Place,
        /// Vector memory slice.
        slice: u32,
        /// Beat address.
        beat: u32,
        /// Last beat address that exists.
        last: u32,
    },
    /// A write is still on its way when the run ends.
    #[error("{at}: the write lands at cycle {landed}, but the run ends at cycle {end}")]
    WritePending {
        /// The write port, at its step.
        at: Place,
        /// Cycle in which the write has landed.
        landed: u64,
        /// Cycles of the run.
        end: u64,
    },
    /// The program promises another cycle count than its queues take.
    #[error(
        "the program promises {promised} cycles{}, but its last queue halts after {actual}",
        positions.map_or(String::new(), |positions| format!(" for positions below {positions}"))
    )]
    CycleCount {
        /// What the program says.
        promised: u64,
        /// What its queues take.
        actual: u64,
        /// The schedule, where there are several.
        positions: Option<u32>,
    },
    /// An address that a register moves can lie outside its memory.
    #[error(
        "{at}: register {register} holds {least} to {most}, which makes addresses {low} to {high}, but there are 0 to {}",
        limit - 1
    )]
    AddressRange {
        /// The instruction, at its first step.
        at: Place,
        /// The register.
        register: u32,
        /// Its least value.
        least: u16,
        /// Its largest value.
        most: u16,
        /// Least address.
        low: i64,
        /// Largest address.
        high: i64,
        /// Addresses that there are.
        limit: u32,
    },
    /// A register or scalar is taken that nobody has written in this run.
    #[error("{at}: takes {what} {number}, which nobody has written in this run")]
    Unwritten {
        /// Who takes it.
        at: Place,
        /// "register" or "scalar".
        what: &'static str,
        /// Its number.
        number: i64,
    },
    /// A register or scalar is taken while it is on its way.
    #[error("{at}: takes {what} {number} before its write of cycle {written} has landed at cycle {landed}")]
    Early {
        /// Who takes it.
        at: Place,
        /// "register" or "scalar".
        what: &'static str,
        /// Its number.
        number: i64,
        /// Cycle of the writer.
        written: u64,
        /// First cycle that may take it.
        landed: u64,
    },
    /// Two writers of one register or scalar, of which the later one does not land later.
    #[error(
        "{at}: two writers of {what} {number}: this write lands at cycle {landed}, an earlier one at cycle {other}"
    )]
    TwoWriters {
        /// The later writer.
        at: Place,
        /// "register" or "scalar".
        what: &'static str,
        /// Its number.
        number: i64,
        /// Cycle in which the later write lands.
        landed: u64,
        /// Cycle in which the earlier write lands.
        other: u64,
    },
    /// Two registers, or two scalars, change in one cycle.
    #[error("{at}: two {what} would land at cycle {landed}, and there is one port for them")]
    OnePort {
        /// The later writer.
        at: Place,
        /// "registers" or "scalars".
        what: &'static str,
        /// The cycle.
        landed: u64,
    },
    /// A scalar that the machine does not have.
    #[error("{at}: uses scalar {number} of {scalars}")]
    ScalarBeyond {
        /// The unit, at its step.
        at: Place,
        /// The scalar's number.
        number: i64,
        /// Scalars that there are.
        scalars: u32,
    },
    /// The vector unit uses a table that is not loaded.
    #[error("{at}: uses table {table}; {loaded} are loaded")]
    TableMissing {
        /// The vector unit, at its step.
        at: Place,
        /// Number of the table.
        table: u32,
        /// Tables loaded.
        loaded: usize,
    },
    /// A reduction takes in a beat that means nothing.
    #[error("{at}: reduces beat {beat} (elements {first}..{last}) of its operands, which was {cause}")]
    InvalidReduction {
        /// The unit, at its step.
        at: Place,
        /// Beat of the word.
        beat: u32,
        /// First element of the beat, counted in the word.
        first: u32,
        /// Its last element.
        last: u32,
        /// Why the beat means nothing.
        cause: Cause,
    },
    /// A weight word is taken while a store into it is on its way.
    #[error("{at}: takes weight word {address} before the store of cycle {stored} has landed at cycle {landed}")]
    WeightNotLanded {
        /// The tile group, at its step.
        at: Place,
        /// Address of the word.
        address: u32,
        /// Cycle of the store's step.
        stored: u64,
        /// First cycle whose step takes the word.
        landed: u64,
    },
    /// A store comes behind those that were to use it.
    #[error(
        "{at}: stores into weight word {address}, but instruction {instruction} of tile group {group} has taken at cycle \
         {taken} what an earlier run left there"
    )]
    StoreBehindUse {
        /// The store, at its step.
        at: Place,
        /// Address of the word.
        address: u32,
        /// The tile group that was too early.
        group: u32,
        /// Number of its instruction.
        instruction: usize,
        /// Cycle of its step.
        taken: u64,
    },
    /// A store or fetch names a tile that there is not.
    #[error("{at}: {what} {number}, but there are {limit}")]
    TileBeyond {
        /// The unit, at its step.
        at: Place,
        /// What is named.
        what: &'static str,
        /// The largest number that can occur.
        number: u32,
        /// How many there are.
        limit: u32,
    },
    /// Not all tile groups fetch the same words at the same time.
    #[error("{at}: fetches, but tile group {group} does not fetch the same at this cycle")]
    FetchAlone {
        /// A tile group that fetches, at its step.
        at: Place,
        /// One that does not.
        group: u32,
    },
    /// A fetched word and a result meet on a drain chain.
    #[error("{at}: a fetched word and a result on one drain chain, at the cycle of the requantiser's step {cycle}")]
    FetchMeetsResult {
        /// The tile group, at its step.
        at: Place,
        /// When they meet, in the requantiser's steps.
        cycle: u64,
    },
    /// A store or a register is still on its way when the run ends.
    #[error("{at}: {what} lands at cycle {landed}, but the run ends at cycle {end}")]
    Pending {
        /// Who writes.
        at: Place,
        /// What is on its way.
        what: &'static str,
        /// Cycle in which it has landed.
        landed: u64,
        /// Cycles of the run.
        end: u64,
    },
    /// An element of the output means nothing.
    #[error("the output `{tensor}` has element {element} at beat {beat} of slice {slice}, which was {cause}")]
    OutputInvalid {
        /// Name of the tensor.
        tensor: String,
        /// Vector memory slice.
        slice: u32,
        /// Beat.
        beat: u32,
        /// The element.
        element: usize,
        /// Why it means nothing.
        cause: Cause,
    },
    /// The output is not complete when the run ends.
    #[error(
        "cycle {end}: the output `{tensor}` is not complete: beats of slice {slice} not written: {missing}, the first is \
         beat {beat}{}", element.map_or(String::new(), |element| format!(" with element {element}"))
    )]
    OutputMissing {
        /// Cycles of the run.
        end: u64,
        /// Name of the tensor.
        tensor: String,
        /// Vector memory slice.
        slice: u32,
        /// First beat that is missing.
        beat: u32,
        /// First element of the tensor that it would hold, if any.
        element: Option<usize>,
        /// Beats that are missing.
        missing: usize,
    },
}

impl Violation {
    /// Where and when it happens, if it belongs to one instruction.
    pub fn at(&self) -> Option<&Place> {
        match self {
            Violation::Field { at, .. }
            | Violation::BehindHalt { at }
            | Violation::StillStepping { at, .. }
            | Violation::HaltWhileStepping { at, .. }
            | Violation::SilentPort { at, .. }
            | Violation::InvalidOperand { at, .. }
            | Violation::InvalidStore { at, .. }
            | Violation::WeightMissing { at, .. }
            | Violation::DrainConflict { at, .. }
            | Violation::Overtakes { at, .. }
            | Violation::SilentDrain { at }
            | Violation::StillAtWork { at, .. }
            | Violation::ScaleMissing { at, .. }
            | Violation::WriteBeyondSlice { at, .. }
            | Violation::WritePending { at, .. }
            | Violation::AddressRange { at, .. }
            | Violation::Unwritten { at, .. }
            | Violation::Early { at, .. }
            | Violation::TwoWriters { at, .. }
            | Violation::OnePort { at, .. }
            | Violation::ScalarBeyond { at, .. }
            | Violation::TableMissing { at, .. }
            | Violation::InvalidReduction { at, .. }
            | Violation::WeightNotLanded { at, .. }
            | Violation::StoreBehindUse { at, .. }
            | Violation::TileBeyond { at, .. }
            | Violation::FetchAlone { at, .. }
            | Violation::FetchMeetsResult { at, .. }
            | Violation::Pending { at, .. } => Some(at),
            Violation::Image(_)
            | Violation::CycleCount { .. }
            | Violation::OutputInvalid { .. }
            | Violation::OutputMissing { .. } => None,
        }
    }
}

/// The violations found so far: of each kind, the first of every instruction, so that there are never many.
#[derive(Default)]
pub(super) struct Violations {
    found: Vec<Violation>,
    known: HashSet<(Option<Instructed>, Discriminant<Violation>)>,
}

/// One instruction: its unit, and its number in the queue.
type Instructed = (Unit, usize);

impl Violations {
    pub(super) fn add(&mut self, violation: Violation) {
        let instruction = violation.at().map(|at| (at.unit, at.instruction));
        if self.known.insert((instruction, discriminant(&violation))) {
            self.found.push(violation);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Schedule by schedule, in the order of their cycles; those of a whole schedule or program last.
    pub(super) fn sorted(mut self) -> Vec<Violation> {
        self.found.sort_by_key(|violation| {
            violation.at().map_or((u32::MAX, u64::MAX), |at| (at.positions.unwrap_or(0), at.cycle))
        });
        self.found
    }
}
