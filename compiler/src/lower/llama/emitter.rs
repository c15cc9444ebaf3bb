//! Instructions in time: where every operand is ready, as early as queues and latencies allow.
//!
//! Each *job* is a chain of units at fixed distances: readers, tiles, requantiser, vector unit, writer. It is placed as a whole, at
//! the first cycle at which all its units are free, all that it takes has landed, and all that it overwrites has been taken by the
//! jobs that were placed before it. So jobs are placed in an order in which they could be done one after the other, and the order
//! decides who is served first.

use super::job::{
    Beside, Destination, Operator, ProductJob, Rows, Sink, Stored, Stream, Target, VectorJob, WHOLE, beat_by_beat,
};
use super::timeline::{Drains, Passages, Timeline};
use crate::schedule::Draft;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Assignment, Drain, Operation, RequantiseFrom, Source, Spread, Unit};
use lpu_isa::latency::{ExtensionLatency, ISSUE_TO_STEP, Latency};
use lpu_isa::program::Queue;
use lpu_isa::sequence::{Sequence, Step};
use lpu_isa::vector::Reduction;
use std::collections::{BTreeMap, VecDeque};

/// First cycle in which something may be taken, and the last in which it is.
#[derive(Clone, Copy, Debug)]
struct Life {
    ready: i64,
    taken: i64,
}

impl Life {
    const ALWAYS: Life = Life { ready: 0, taken: -1 };

    /// It is taken in `cycle`.
    fn take(&mut self, cycle: i64) {
        self.taken = self.taken.max(cycle);
    }
}

/// A scalar that a job makes.
#[derive(Clone, Copy, Debug)]
struct Made {
    scalar: u32,
    /// When it is ready, from the job's origin.
    offset: i64,
    /// Cycles of that behind the last step of what makes it.
    cycles: i64,
}

/// The schedule of one token under construction.
#[derive(Clone)]
pub struct Emitter {
    /// The machine.
    pub configuration: Configuration,
    /// Its latencies.
    pub latency: Latency,
    /// Those of its extensions.
    pub extension: ExtensionLatency,
    timeline: Timeline,
    /// Beats of each slice, in steps that read.
    beats: Vec<Vec<Life>>,
    /// Scalars, in steps of the vector unit.
    scalars: Vec<Life>,
    /// Registers, in issues.
    registers: Vec<Life>,
    /// First cycle in which a step may multiply what has been stored, by the address of the store.
    stored: BTreeMap<u32, i64>,
    /// Label of the instructions.
    pub layer: u32,
    /// Origins of all jobs so far.
    origins: Vec<i64>,
    /// Origins that the next jobs are to have.
    wanted: VecDeque<i64>,
    /// By how much the jobs came later than wanted, at most.
    late: i64,
}

impl Emitter {
    /// An empty schedule; everything in memory is ready.
    pub fn new(configuration: &Configuration, extension: ExtensionLatency) -> Emitter {
        let beats = configuration.vector_beats() as usize;
        Emitter {
            configuration: configuration.clone(),
            latency: Latency::of(configuration),
            extension,
            timeline: Timeline::new(configuration),
            beats: vec![vec![Life::ALWAYS; beats]; configuration.vector_slices as usize],
            scalars: vec![Life::ALWAYS; configuration.scalars() as usize],
            registers: vec![Life::ALWAYS; configuration.registers() as usize + 1],
            stored: BTreeMap::new(),
            layer: 0,
            origins: Vec::new(),
            wanted: VecDeque::new(),
            late: 0,
        }
    }

    /// Jobs placed so far.
    pub fn jobs(&self) -> usize {
        self.origins.len()
    }

    /// Origins of the jobs from number `first` on.
    pub fn origins_from(&self, first: usize) -> &[i64] {
        &self.origins[first..]
    }

    /// The next jobs are to have these origins.
    pub fn want(&mut self, origins: impl Iterator<Item = i64>) {
        self.wanted = origins.collect();
        self.late = 0;
    }

    /// By how much the jobs placed since [`want`](Self::want) came later than wanted, at most.
    pub fn late(&self) -> i64 {
        self.late
    }

    /// Makes a loop of the instructions of `times` layers, of which the first has the label `layer` and each comes `period` behind
    /// the one before, if they are alike.
    pub fn repeat(&mut self, layer: u32, times: u32, period: u64) -> bool {
        self.timeline.repeat(layer, times, period)
    }

    /// Instructions that do the same behind each other are to become one.
    pub fn merge(&mut self) {
        self.timeline.merge();
    }

    /// The finished schedule: the queues, and the cycles that they take.
    pub fn finish(self) -> (Vec<Queue>, u64) {
        self.timeline.finish()
    }

    /// The beats that the steps of `operation` in `slice` touch: offset of the step, beat.
    fn touched(&self, operation: &Operation, beats: u32) -> Vec<(i64, usize)> {
        let last = match *operation {
            Operation::Write { last_beats, .. } => last_beats,
            _ => beats,
        };
        let Some(sequence) = operation.sequence() else { return vec![] };
        let of_step = |step: Step| {
            let count = if step.end_of_level_0 { last } else { beats };
            (step.address..step.address + i64::from(count)).map(move |beat| (i64::from(step.offset), beat as usize))
        };
        sequence.steps().flat_map(of_step).collect()
    }

    /// Places `drafts` at `origin` or later: where what they read of the vector memory and of the registers is there, and what they
    /// overwrite has been taken. Readers take `beats` beats of each word, 0 for all.
    fn place(&mut self, origin: i64, drafts: &[Draft], passages: Passages, beats: u32) -> i64 {
        let landing = i64::from(self.latency.write_to_read);
        let issue = i64::from(ISSUE_TO_STEP);
        let whole = self.configuration.beats_per_word();
        let mut origin = origin;
        let mut accesses = Vec::new();
        for draft in drafts {
            for register in registers_of(&draft.operation) {
                let life = self.registers.get(register as usize).copied().unwrap_or(Life::ALWAYS);
                origin = origin.max(life.ready + issue - draft.offset);
            }
            let (slice, reads) = match draft.unit {
                Unit::Read(slice) => (slice as usize, true),
                Unit::Write(slice) => (slice as usize, false),
                _ => continue,
            };
            // Behind a register stand constants.
            if draft.operation.sequence().is_some_and(|sequence| sequence.register > 0) {
                continue;
            }
            let wide = if reads && beats > 0 { beats } else { whole };
            let touched = self.touched(&draft.operation, wide);
            for &(offset, beat) in &touched {
                let Some(life) = self.beats[slice].get(beat) else { continue };
                let at = draft.offset + offset;
                origin = origin.max(match reads {
                    true => life.ready - at,
                    // From its write step on nobody may read the beat, though it lands later.
                    false => (life.taken + 1 - at).max(life.ready + 1 - at - landing),
                });
            }
            accesses.push((slice, reads, draft.offset, touched));
        }
        let wanted = self.wanted.pop_front();
        let origin = origin.max(wanted.unwrap_or(0));
        let placed = self.timeline.place(origin, drafts, passages, self.layer) as i64;
        self.origins.push(placed);
        self.late = self.late.max(wanted.map_or(0, |wanted| placed - wanted));
        for draft in drafts {
            for register in registers_of(&draft.operation) {
                if let Some(life) = self.registers.get_mut(register as usize) {
                    life.take(placed + draft.offset - issue);
                }
            }
        }
        for (slice, reads, offset, touched) in accesses {
            for (step, beat) in touched {
                let Some(life) = self.beats[slice].get_mut(beat) else { continue };
                let cycle = placed + offset + step;
                if reads {
                    life.take(cycle);
                } else {
                    life.ready = cycle + landing;
                    self.timeline.note_end(life.ready as u64);
                }
            }
        }
        placed
    }

    /// Least origin at which the vector unit's steps, the first of them `offset` later, find `scalars` ready.
    fn scalars_ready(&self, scalars: &[u32], offset: i64) -> i64 {
        scalars.iter().map(|&scalar| self.scalars[scalar as usize].ready - offset).max().unwrap_or(0)
    }

    /// The scalar that a vector operation with its first step `first` cycles behind the origin makes.
    fn reduced(&self, operator: &Operator, sequence: &Sequence, first: i64) -> Option<Made> {
        let Operator { function, arithmetic, .. } = operator;
        let step = sequence.steps().last().filter(|_| arithmetic.reduction.makes_scalar())?;
        let cycles = i64::from(self.latency.vector_to_scalar(*function, arithmetic));
        Some(Made { scalar: step.address as u32, offset: first + i64::from(step.offset) + cycles, cycles })
    }

    /// Cycles from a vector operation's first step to the first issue that may take the register with its largest result, if that is
    /// looked for.
    fn found(&self, operator: &Operator, sequence: &Sequence) -> Option<i64> {
        let Operator { function, arithmetic, .. } = operator;
        let cycles = i64::from(self.latency.vector_to_register(*function, arithmetic));
        (arithmetic.reduction == Reduction::ArgMax).then_some(sequence.duration() as i64 - 1 + cycles)
    }

    /// Least origin at which a scalar that is ready `offset` later, made by a step `cycles` before that, replaces none that is still to
    /// be taken.
    fn scalar_free(&self, made: Option<Made>) -> i64 {
        made.map_or(0, |Made { scalar, offset, cycles }| {
            let Life { ready, taken } = self.scalars[scalar as usize];
            (ready + 1 - offset).max(taken + 1 + cycles - offset)
        })
    }

    fn scalar_made(&mut self, made: Option<Made>, origin: i64) {
        if let Some(Made { scalar, offset, .. }) = made {
            self.scalars[scalar as usize].ready = origin + offset;
            self.timeline.note_end((origin + offset) as u64);
        }
    }

    /// Notes what a vector operation with its first step at `first` takes, and what it makes beside a scalar.
    fn vector_placed(&mut self, operator: &Operator, sequence: &Sequence, first: i64) {
        let last = first + sequence.duration() as i64 - 1;
        for &scalar in &operator.scalars {
            self.scalars[scalar as usize].take(last);
        }
        if let Some(cycles) = self.found(operator, sequence) {
            let ready = first + cycles;
            self.registers[operator.arithmetic.register as usize].ready = ready;
            self.timeline.note_end(ready as u64);
        }
    }

    /// Changes a register.
    pub fn assign(&mut self, assignment: Assignment, not_before: u64) {
        let draft = Draft { unit: Unit::Registers, offset: 0, operation: Operation::Assign(assignment) };
        // From issue to the first issue that may take it; origins are steps.
        let ready = i64::from(self.extension.register) - i64::from(ISSUE_TO_STEP);
        // Nobody takes the old value while the new one is on its way.
        let Life { ready: before, taken } = self.registers[assignment.destination as usize];
        let free = (before + 1 - ready).max(taken + 1 + i64::from(ISSUE_TO_STEP));
        let passages = Passages { register: Some(ready), ..Passages::default() };
        let step = self.place(free.max(not_before as i64), &[draft], passages, 0);
        self.registers[assignment.destination as usize].ready = step + ready;
        self.timeline.note_end((step + ready) as u64);
    }

    /// Reads `words` weight words of the tile in register `tile` into beats of the vector memory.
    pub fn fetch(&mut self, tile: u32, weights: Sequence, slice: u32, base: u32) {
        let words = weights.run_steps();
        let groups = 0..self.configuration.tile_groups();
        let operation = Operation::Fetch { tile, sequence: weights };
        let mut drafts: Vec<Draft> =
            groups.map(|group| Draft { unit: Unit::TileGroup(group), offset: 0, operation }).collect();
        let offset = i64::from(self.extension.fetch);
        let sequence = beat_by_beat(base, words);
        let write = Operation::Write { source: Source::Weights, last_beats: 1, sequence };
        drafts.push(Draft { unit: Unit::Write(slice), offset, operation: write });
        self.place(0, &drafts, Passages::default(), 0);
    }

    /// Places a product. Returns the cycle of the tiles' first step.
    pub fn product(&mut self, job: &ProductJob) -> u64 {
        let latency = self.latency.clone();
        let pace = self.configuration.requantise_interval;
        let whole = self.configuration.beats_per_word() as i32;
        let in_full_rows = job.rows.0 + job.rows.1 <= self.configuration.drain_rows(Drain::FullRows);
        let drain = if in_full_rows { Drain::FullRows } else { Drain::AllRows };
        let period = job.beats.max(self.configuration.drain_cycles(drain));
        let gap = period - job.beats;
        let rows = Rows { rows: job.rows.1, passes: job.passes, pace, period };
        let mut drafts = Vec::new();
        let mut origin = job.stored.map_or(0, |Stored { address, passes, beats, earlier }| {
            let ready = self.stored.get(&address).copied().unwrap_or(0);
            ready - i64::from(passes * period + beats + earlier)
        });
        let weights = Sequence::repeated(job.weights.0, job.beats, job.passes, job.weights.1 as i32, gap);
        let weights = weights.offset_by(job.registers.0);
        let arrival = -i64::from(latency.vector_read);
        for Stream { groups, slice, base } in &job.streams {
            let source = Source::Slice(*slice);
            let multiply = Operation::Multiply { source, drain, sequence: weights };
            let tiles =
                groups.iter().map(|&group| Draft { unit: Unit::TileGroup(group), offset: 0, operation: multiply });
            drafts.extend(tiles);
            let sequence = Sequence::repeated(*base, job.beats, job.passes, 0, gap);
            drafts.push(Draft { unit: Unit::Read(*slice), offset: arrival, operation: Operation::Read { sequence } });
        }
        let last_step = i64::from(job.beats) - 1;
        let taken = last_step + i64::from(latency.step_to_drain) + i64::from(job.rows.0 * pace);
        let (entry, per_row, per_pass) = job.scales;
        let requantise = Operation::Requantise {
            from: RequantiseFrom::Tiles,
            zero_point: 0,
            minimum: WHOLE.0,
            maximum: WHOLE.1,
            tracking: job.tracking,
            sequence: rows.sequence(entry, per_row, per_pass).offset_by(job.registers.1),
        };
        drafts.push(Draft { unit: Unit::Requantiser, offset: taken, operation: requantise });
        let mut made = job.tracking.maximum.map(|scalar| {
            let last = requantise.duration() as i64 - 1;
            let cycles = i64::from(self.extension.requantise_to_scalar);
            Made { scalar, offset: taken + last + cycles, cycles }
        });
        let mut beside = None;
        let (source, target, result, operator) = match &job.sink {
            Sink::Memory(target) => (Source::Requantiser, target, taken + i64::from(latency.requantise), None),
            Sink::Vector(operator, target) => {
                let at = taken + i64::from(latency.requantise);
                let (base, per_row, per_pass) = operator.address;
                let sequence = rows.sequence(base, per_row, per_pass);
                let b = operator.beside.map(|beside| Source::Slice(beside.slice));
                beside = operator.beside.map(|Beside { slice, base, per_pass }| {
                    let sequence = rows.sequence(base, whole, per_pass);
                    let offset = at - i64::from(latency.vector_read);
                    Draft { unit: Unit::Read(slice), offset, operation: Operation::Read { sequence } }
                });
                origin = origin.max(self.scalars_ready(&operator.scalars, at));
                let operation = operator.operation(Source::Requantiser, b, sequence);
                drafts.push(Draft { unit: Unit::Vector, offset: at, operation });
                made = made.or(self.reduced(operator, &sequence, at));
                let result = at + i64::from(latency.vector(operator.function, &operator.arithmetic));
                (Source::Vector, target, result, Some((operator, sequence, at)))
            }
        };
        origin = origin.max(self.scalar_free(made));
        let mut landed = None;
        match *target {
            Target::Memory { slice, base, per_pass, last_beats, copy } => {
                for (slice, base) in std::iter::once((slice, base)).chain(copy) {
                    let sequence = rows.sequence(base, whole, per_pass);
                    let operation = Operation::Write { source, last_beats, sequence };
                    drafts.push(Draft { unit: Unit::Write(slice), offset: result, operation });
                }
            }
            Target::Weights { address: (base, per_row, per_pass), register, spread, place } => {
                let sequence = rows.sequence(base, per_row, per_pass).offset_by(register);
                let operation = Operation::Store { source, spread, place, sequence };
                drafts.push(Draft { unit: Unit::Weights, offset: result, operation });
                landed = Some((base, result + sequence.duration() as i64 - 1));
            }
        }
        // Of the streams the tiles take a beat, of what stands beside the results the vector unit takes words.
        let later = i64::from((job.passes - 1) * period);
        let drains =
            Drains { offset: last_step, cycles: later as u64 + u64::from(self.configuration.drain_cycles(drain)) };
        let register =
            operator.and_then(|(operator, sequence, at)| self.found(operator, &sequence).map(|cycles| at + cycles));
        let scalar = made.map(|made| made.offset);
        let origin = self.place_streams(origin, drafts, beside, Passages { drains: Some(drains), scalar, register });
        self.scalar_made(made, origin);
        if let Some((operator, sequence, offset)) = operator {
            self.vector_placed(operator, &sequence, origin + offset);
        }
        self.has_stored(landed, origin);
        origin as u64
    }

    /// Places a product, whose drafts read beats, with what is read beside its results, in words.
    fn place_streams(&mut self, origin: i64, mut drafts: Vec<Draft>, beside: Option<Draft>, passages: Passages) -> i64 {
        let mut origin = origin;
        let whole = self.configuration.beats_per_word();
        let mut words = vec![];
        if let (Some(draft), Some(Unit::Read(slice))) = (beside, beside.map(|draft| draft.unit)) {
            words = self.touched(&draft.operation, whole);
            for &(offset, beat) in &words {
                let ready = self.beats[slice as usize].get(beat).map_or(0, |life| life.ready);
                origin = origin.max(ready - draft.offset - offset);
            }
            drafts.push(draft);
        }
        let placed = self.place(origin, &drafts, passages, 1);
        if let (Some(draft), Some(Unit::Read(slice))) = (beside, beside.map(|draft| draft.unit)) {
            for (offset, beat) in words {
                if let Some(life) = self.beats[slice as usize].get_mut(beat) {
                    life.take(placed + draft.offset + offset);
                }
            }
        }
        placed
    }

    /// Notes the store at `landed`: its address, and its last step from the origin.
    fn has_stored(&mut self, landed: Option<(u32, i64)>, origin: i64) {
        if let Some((address, last)) = landed {
            let ready = origin + last + i64::from(self.extension.store_to_weights);
            // Several tokens of a sequence store at the same address, each in a tile or a byte of its own.
            let known = self.stored.entry(address).or_insert(ready);
            *known = ready.max(*known);
            self.timeline.note_end(ready as u64);
        }
    }

    /// Places a pass of the vector unit. Returns the cycle of its first step.
    pub fn vector(&mut self, job: &VectorJob) -> u64 {
        let arrival = i64::from(self.latency.vector_read);
        let operator = &job.operator;
        let mut drafts = Vec::new();
        for (slice, sequence) in std::iter::once(&job.a).chain(&job.b) {
            let operation = Operation::Read { sequence: *sequence };
            drafts.push(Draft { unit: Unit::Read(*slice), offset: 0, operation });
        }
        let made = self.reduced(operator, &job.sequence, arrival);
        let origin = self.scalars_ready(&operator.scalars, arrival).max(self.scalar_free(made));
        let b = job.b.map(|(slice, _)| Source::Slice(slice));
        let operation = operator.operation(Source::Slice(job.a.0), b, job.sequence);
        drafts.push(Draft { unit: Unit::Vector, offset: arrival, operation });
        let result = arrival + i64::from(self.latency.vector(operator.function, &operator.arithmetic));
        let source = Source::Vector;
        let mut landed = None;
        match job.to {
            Destination::Nowhere => {}
            Destination::Memory { slice, sequence, last_beats, lag, copy } => {
                for (slice, base) in std::iter::once((slice, sequence.base)).chain(copy) {
                    let operation = Operation::Write { source, last_beats, sequence: Sequence { base, ..sequence } };
                    drafts.push(Draft { unit: Unit::Write(slice), offset: result + i64::from(lag), operation });
                }
            }
            Destination::Weights { sequence, place } => {
                let operation = Operation::Store { source, spread: Spread::Beat, place, sequence };
                drafts.push(Draft { unit: Unit::Weights, offset: result, operation });
                landed = Some((sequence.base, result + sequence.duration() as i64 - 1));
            }
        }
        let passages = Passages {
            drains: None,
            scalar: made.map(|made| made.offset),
            register: self.found(operator, &job.sequence).map(|cycles| arrival + cycles),
        };
        let origin = self.place(origin, &drafts, passages, 0);
        self.scalar_made(made, origin);
        self.vector_placed(operator, &job.sequence, origin + arrival);
        self.has_stored(landed, origin);
        (origin + arrival) as u64
    }
}

/// The registers that an operation takes when it issues.
fn registers_of(operation: &Operation) -> Vec<u32> {
    let of_sequence = operation.sequence().map(|sequence| sequence.register);
    let own = match *operation {
        Operation::Requantise { tracking, .. } => vec![tracking.mask],
        Operation::Vector { arithmetic, .. } if arithmetic.reduction == Reduction::Pick => {
            vec![arithmetic.mask, arithmetic.register]
        }
        Operation::Vector { arithmetic, .. } => vec![arithmetic.mask],
        Operation::Fetch { tile, .. } => vec![tile],
        Operation::Store { place, .. } => vec![place],
        Operation::Assign(assignment) => vec![assignment.source, assignment.addend],
        _ => vec![],
    };
    of_sequence.into_iter().chain(own).filter(|&register| register > 0).collect()
}
