//! Instructions in time: where every operand is ready, as early as queues and latencies allow.
//!
//! Each *job* is a chain of units at fixed distances: readers, tiles, requantiser, vector unit, writer. It is placed as a whole, at
//! the first cycle at which all its units are free and all that it takes has landed. What it overwrites has been read by then,
//! because every reader of a buffer's old content is something that the new content depends on.

use crate::schedule::{Draft, Schedule};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Function, Operation, RequantiseFrom, Source, Spread, Tracking, Unit};
use lpu_isa::latency::{ExtensionLatency, ISSUE_TO_STEP, Latency};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::{Arithmetic, Reduction, ScalarOperand};

/// Limits of an element.
pub const WHOLE: (i32, i32) = (i16::MIN as i32, i16::MAX as i32);

/// The pattern of a product's results: rows of one drain, drains of one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Rows that are taken of each drain.
    pub rows: u32,
    /// Drains.
    pub passes: u32,
    /// Cycles from row to row.
    pub pace: u32,
    /// Cycles from drain to drain.
    pub period: u32,
}

impl Rows {
    /// Addresses that change by `per_row` from row to row, and by `per_pass` from the first row of a drain to that of the next.
    pub fn sequence(&self, base: u32, per_row: i32, per_pass: i32) -> Sequence {
        let within = (self.rows - 1) * self.pace + 1;
        Sequence {
            base,
            count: [self.rows, self.passes, 1, 1],
            delta: [per_row, per_pass - (self.rows as i32 - 1) * per_row, 0, 0],
            run_levels: 1,
            gap: self.period.saturating_sub(within),
            pause: self.pace - 1,
            register: 0,
        }
    }
}

/// What the tiles read.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The tile groups that listen.
    pub groups: Vec<u32>,
    /// Slice of the vector.
    pub slice: u32,
    /// Its first beat.
    pub base: u32,
}

/// A product: passes over streams, its results on the way through the requantiser.
#[derive(Clone, Debug)]
pub struct ProductJob {
    /// What is multiplied.
    pub streams: Vec<Stream>,
    /// Beats of each pass.
    pub beats: u32,
    /// Passes.
    pub passes: u32,
    /// Weight address of the first pass, and from pass to pass.
    pub weights: (u32, u32),
    /// Are the weights written at run time?
    pub stored: bool,
    /// First row of the results that is taken, and how many.
    pub rows: (u32, u32),
    /// Entry of the scale table of the first row, from row to row, from pass to pass.
    pub scales: (u32, i32, i32),
    /// Masked, and the largest kept.
    pub tracking: Tracking,
    /// Where the results go.
    pub sink: Sink,
}

/// Where a stream of results goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Into the vector memory.
    Memory(Target),
    /// Through the vector unit.
    Vector(Box<Operator>, Target),
}

/// A second operand in the vector memory: its addresses follow the rows of a product.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Slice.
    pub slice: u32,
    /// First beat.
    pub base: u32,
    /// Beats from pass to pass.
    pub per_pass: i32,
}

/// What the vector unit does.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Function.
    pub function: Function,
    /// Second operand beside a product's results.
    pub beside: Option<Beside>,
    /// Constant.
    pub constant: i32,
    /// Limits.
    pub limits: (i32, i32),
    /// All else.
    pub arithmetic: Arithmetic,
    /// Address of the first step, from row to row, from pass to pass.
    pub address: (u32, i32, i32),
    /// The scalars that it takes.
    pub scalars: Vec<u32>,
}

impl Operator {
    /// One that passes its operand on.
    pub fn new(function: Function) -> Operator {
        let (beside, arithmetic) = (None, Arithmetic::default());
        Operator { function, beside, constant: 0, limits: WHOLE, arithmetic, address: (0, 0, 0), scalars: vec![] }
    }

    /// Products with the scalar `scalar` and a right shift.
    pub fn scaled(scalar: u32, shift: i32) -> Operator {
        let arithmetic = Arithmetic { scalar: ScalarOperand::One, shift, ..Arithmetic::default() };
        Operator { arithmetic, address: (scalar, 0, 0), scalars: vec![scalar], ..Operator::new(Function::Multiply) }
    }

    fn operation(&self, a: Source, b: Option<Source>, sequence: Sequence) -> Operation {
        let (minimum, maximum) = self.limits;
        let Operator { function, constant, arithmetic, .. } = *self;
        Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, sequence }
    }
}

/// Where words end.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// In the vector memory.
    Memory {
        /// Slice.
        slice: u32,
        /// First beat.
        base: u32,
        /// Beats from pass to pass.
        per_pass: i32,
        /// Beats of the last row that are stored.
        last_beats: u32,
    },
    /// In the weights.
    Weights {
        /// Address of the first pass, from row to row, from pass to pass.
        address: (u32, i32, i32),
        /// The register that is added.
        register: u32,
        /// Which tiles and bytes.
        spread: Spread,
        /// The register with the tile or the byte.
        place: u32,
    },
}

/// One more pass of the vector unit over vectors in memory: all sequences have the same steps.
#[derive(Clone, Debug)]
pub struct VectorJob {
    /// First operand.
    pub a: (u32, Sequence),
    /// Second operand, in another slice.
    pub b: Option<(u32, Sequence)>,
    /// What is done; its addresses are not used.
    pub operator: Operator,
    /// The vector unit's own sequence.
    pub sequence: Sequence,
    /// Where the results go.
    pub to: Destination,
}

/// Where the results of a [`VectorJob`] go.
#[derive(Clone, Copy, Debug)]
pub enum Destination {
    /// Only to a scalar or a register.
    Nowhere,
    /// Into the vector memory; `lag` steps later than the vector unit's first.
    Memory {
        /// Slice.
        slice: u32,
        /// Beats.
        sequence: Sequence,
        /// Beats of the last step of each level-0 loop.
        last_beats: u32,
        /// Cycles behind the vector unit's first step.
        lag: u32,
    },
    /// Into the weights, a beat each step.
    Weights {
        /// Addresses.
        sequence: Sequence,
        /// The register with the tile.
        place: u32,
    },
}

/// The schedule of one token under construction.
pub struct Emitter {
    /// The machine.
    pub configuration: Configuration,
    /// Its latencies.
    pub latency: Latency,
    /// Those of its extensions.
    pub extension: ExtensionLatency,
    schedule: Schedule,
    /// First cycle in which a read step may take a beat, for each slice.
    ready: Vec<Vec<u64>>,
    /// First cycle in which a step of the vector unit may take a scalar.
    scalars: Vec<u64>,
    /// First cycle in which an issue may take a register.
    registers: Vec<u64>,
    /// First cycle in which a step may multiply what has been stored.
    stored: u64,
    /// Label of the instructions.
    pub layer: u32,
}

impl Emitter {
    /// An empty schedule; everything in memory is ready.
    pub fn new(configuration: &Configuration, extension: ExtensionLatency) -> Emitter {
        let beats = configuration.vector_beats() as usize;
        Emitter {
            configuration: configuration.clone(),
            latency: Latency::of(configuration),
            extension,
            schedule: Schedule::new(configuration),
            ready: vec![vec![0; beats]; configuration.vector_slices as usize],
            scalars: vec![0; configuration.scalars() as usize],
            registers: vec![0; configuration.registers() as usize + 1],
            stored: 0,
            layer: 0,
        }
    }

    /// The finished schedule.
    pub fn finish(self) -> Schedule {
        self.schedule
    }

    /// Least origin at which a read with its first step `offset` later finds `beats` beats of each step ready.
    fn reads(&self, slice: u32, sequence: &Sequence, offset: i64, beats: u32) -> i64 {
        // Behind a register stand constants.
        if sequence.register > 0 {
            return 0;
        }
        let ready = &self.ready[slice as usize];
        let of = |address: i64| (address..address + i64::from(beats)).filter_map(|beat| ready.get(beat as usize));
        let least = sequence.steps().map(|step| {
            let ready = of(step.address).copied().max().unwrap_or(0) as i64;
            ready - i64::from(step.offset) - offset
        });
        least.max().unwrap_or(0)
    }

    /// Notes what a write with its first step at `first` makes ready.
    fn writes(&mut self, slice: u32, sequence: &Sequence, last_beats: u32, first: u64) {
        let whole = self.configuration.beats_per_word();
        let landing = u64::from(self.latency.write_to_read);
        for step in sequence.steps() {
            let beats = if step.end_of_level_0 { last_beats } else { whole };
            for beat in step.address..step.address + i64::from(beats) {
                if let Some(ready) = self.ready[slice as usize].get_mut(beat as usize) {
                    *ready = first + u64::from(step.offset) + landing;
                }
            }
        }
        self.schedule.note_end(first + sequence.duration() - 1 + landing);
    }

    /// Places `drafts` at `origin` or later, where their registers are there too.
    fn place(&mut self, origin: i64, drafts: &[Draft]) -> u64 {
        let mut origin = origin;
        for draft in drafts {
            origin = origin.max(i64::from(ISSUE_TO_STEP) - draft.offset);
            for register in registers_of(&draft.operation) {
                let ready = self.registers.get(register as usize).copied().unwrap_or(0) as i64;
                origin = origin.max(ready + i64::from(ISSUE_TO_STEP) - draft.offset);
            }
        }
        let origin = self.schedule.earliest(origin.max(0) as u64, drafts);
        self.schedule.place(origin, drafts, Some(self.layer));
        origin
    }

    fn scalars_ready(&self, scalars: &[u32], offset: i64) -> i64 {
        scalars.iter().map(|&scalar| self.scalars[scalar as usize] as i64 - offset).max().unwrap_or(0)
    }

    /// Notes what a vector operation with its first step at `first` makes.
    fn reduces(&mut self, operator: &Operator, sequence: &Sequence, first: u64) {
        let last = first + sequence.duration() - 1;
        let reduction = operator.arithmetic.reduction;
        if reduction.makes_scalar()
            && let Some(step) = sequence.steps().last()
            && let Some(scalar) = self.scalars.get_mut(step.address as usize)
        {
            *scalar = last + u64::from(self.extension.vector_to_scalar);
            self.schedule.note_end(*scalar);
        }
        if reduction == Reduction::ArgMax {
            let ready = last + u64::from(self.extension.vector_to_register);
            self.registers[operator.arithmetic.register as usize] = ready;
            self.schedule.note_end(ready);
        }
    }

    /// Changes a register.
    pub fn assign(&mut self, assignment: lpu_isa::instruction::Assignment, not_before: u64) {
        let draft = Draft { unit: Unit::Registers, offset: 0, operation: Operation::Assign(assignment) };
        let step = self.place(not_before as i64, &[draft]);
        let ready = step - u64::from(ISSUE_TO_STEP) + u64::from(self.extension.register);
        self.registers[assignment.destination as usize] = ready;
        self.schedule.note_end(ready);
    }

    /// Reads `words` weight words of the tile in register `tile` into beats of the vector memory.
    pub fn fetch(&mut self, tile: u32, weights: Sequence, slice: u32, base: u32) {
        let words = weights.run_steps();
        let groups = 0..self.configuration.tile_groups();
        let operation = Operation::Fetch { tile, sequence: weights };
        let mut drafts: Vec<Draft> =
            groups.map(|group| Draft { unit: Unit::TileGroup(group), offset: 0, operation }).collect();
        let sequence = beat_by_beat(base, words);
        let offset = i64::from(self.extension.fetch);
        let write = Operation::Write { source: Source::Weights, last_beats: 1, sequence };
        drafts.push(Draft { unit: Unit::Write(slice), offset, operation: write });
        let origin = self.place(0, &drafts);
        self.writes(slice, &sequence, 1, (origin as i64 + offset) as u64);
    }

    /// Places a product. Returns the cycle of the tiles' first step.
    pub fn product(&mut self, job: &ProductJob) -> u64 {
        let latency = self.latency.clone();
        let pace = self.configuration.requantise_interval;
        let period = job.beats.max(self.configuration.drain_cycles());
        let gap = period - job.beats;
        let rows = Rows { rows: job.rows.1, passes: job.passes, pace, period };
        let mut drafts = Vec::new();
        let mut origin = if job.stored { self.stored as i64 } else { 0 };
        let weights = Sequence::repeated(job.weights.0, job.beats, job.passes, job.weights.1 as i32, gap);
        let arrival = -i64::from(latency.vector_read);
        for Stream { groups, slice, base } in &job.streams {
            let source = Source::Slice(*slice);
            let multiply = Operation::Multiply { source, full_rows: false, sequence: weights };
            let tiles =
                groups.iter().map(|&group| Draft { unit: Unit::TileGroup(group), offset: 0, operation: multiply });
            drafts.extend(tiles);
            let sequence = Sequence::repeated(*base, job.beats, job.passes, 0, gap);
            origin = origin.max(self.reads(*slice, &sequence, arrival, 1));
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
            sequence: rows.sequence(entry, per_row, per_pass),
        };
        drafts.push(Draft { unit: Unit::Requantiser, offset: taken, operation: requantise });
        let (source, target, result, operator) = match &job.sink {
            Sink::Memory(target) => (Source::Requantiser, target, taken + i64::from(latency.requantise), None),
            Sink::Vector(operator, target) => {
                let at = taken + i64::from(latency.requantise);
                let (base, per_row, per_pass) = operator.address;
                let sequence = rows.sequence(base, per_row, per_pass);
                let b = operator.beside.map(|beside| Source::Slice(beside.slice));
                if let Some(Beside { slice, base, per_pass }) = operator.beside {
                    let sequence = rows.sequence(base, self.configuration.beats_per_word() as i32, per_pass);
                    let offset = at - i64::from(latency.vector_read);
                    origin = origin.max(self.reads(slice, &sequence, offset, self.configuration.beats_per_word()));
                    drafts.push(Draft { unit: Unit::Read(slice), offset, operation: Operation::Read { sequence } });
                }
                origin = origin.max(self.scalars_ready(&operator.scalars, at));
                let operation = operator.operation(Source::Requantiser, b, sequence);
                drafts.push(Draft { unit: Unit::Vector, offset: at, operation });
                let result = at + i64::from(latency.vector_unit);
                (Source::Vector, target, result, Some((operator, sequence, at)))
            }
        };
        let (end_unit, end_operation) = match *target {
            Target::Memory { slice, base, per_pass, last_beats } => {
                let sequence = rows.sequence(base, self.configuration.beats_per_word() as i32, per_pass);
                (Unit::Write(slice), Operation::Write { source, last_beats, sequence })
            }
            Target::Weights { address: (base, per_row, per_pass), register, spread, place } => {
                let sequence = rows.sequence(base, per_row, per_pass).offset_by(register);
                (Unit::Weights, Operation::Store { source, spread, place, sequence })
            }
        };
        drafts.push(Draft { unit: end_unit, offset: result, operation: end_operation });
        origin = origin.max(self.schedule.drain_free_from() as i64 - last_step);
        let origin = self.place(origin, &drafts);
        let later = u64::from(job.passes - 1) * u64::from(period);
        self.schedule.note_drain(origin + later + last_step as u64);
        let at = |offset: i64| (origin as i64 + offset) as u64;
        if let Some(scalar) = job.tracking.maximum {
            let last = at(taken) + later + u64::from((rows.rows - 1) * pace);
            self.scalars[scalar as usize] = last + u64::from(self.extension.requantise_to_scalar);
        }
        if let Some((operator, sequence, offset)) = operator {
            self.reduces(operator, &sequence, at(offset));
        }
        self.ends(&end_unit, &end_operation, at(result));
        origin
    }

    /// Notes what the last unit of a chain, with its first step at `first`, makes ready.
    fn ends(&mut self, unit: &Unit, operation: &Operation, first: u64) {
        match (*unit, *operation) {
            (Unit::Write(slice), Operation::Write { last_beats, sequence, .. }) => {
                self.writes(slice, &sequence, last_beats, first);
            }
            (_, Operation::Store { sequence, .. }) => {
                let landed = first + sequence.duration() - 1 + u64::from(self.extension.store_to_weights);
                self.stored = self.stored.max(landed);
                self.schedule.note_end(landed);
            }
            _ => {}
        }
    }

    /// Places a pass of the vector unit. Returns the cycle of its first step.
    pub fn vector(&mut self, job: &VectorJob) -> u64 {
        let whole = self.configuration.beats_per_word();
        let arrival = i64::from(self.latency.vector_read);
        let mut origin = 0;
        let mut drafts = Vec::new();
        for (slice, sequence) in std::iter::once(&job.a).chain(&job.b) {
            origin = origin.max(self.reads(*slice, sequence, 0, whole));
            let operation = Operation::Read { sequence: *sequence };
            drafts.push(Draft { unit: Unit::Read(*slice), offset: 0, operation });
        }
        origin = origin.max(self.scalars_ready(&job.operator.scalars, arrival));
        let b = job.b.map(|(slice, _)| Source::Slice(slice));
        let operation = job.operator.operation(Source::Slice(job.a.0), b, job.sequence);
        drafts.push(Draft { unit: Unit::Vector, offset: arrival, operation });
        let result = arrival + i64::from(self.latency.vector_unit);
        let source = Source::Vector;
        let end = match job.to {
            Destination::Nowhere => None,
            Destination::Memory { slice, sequence, last_beats, lag } => {
                let operation = Operation::Write { source, last_beats, sequence };
                Some((Unit::Write(slice), operation, result + i64::from(lag)))
            }
            Destination::Weights { sequence, place } => {
                let operation = Operation::Store { source, spread: Spread::Beat, place, sequence };
                Some((Unit::Weights, operation, result))
            }
        };
        drafts.extend(end.map(|(unit, operation, offset)| Draft { unit, offset, operation }));
        let origin = self.place(origin, &drafts);
        let at = |offset: i64| (origin as i64 + offset) as u64;
        self.reduces(&job.operator, &job.sequence, at(arrival));
        if let Some((unit, operation, offset)) = end {
            self.ends(&unit, &operation, at(offset));
        }
        at(arrival)
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

/// `count` beats from `base` on, one each step: each step is a level-0 loop of its own, so that one beat of it can be written.
pub fn beat_by_beat(base: u32, count: u32) -> Sequence {
    Sequence { count: [1, count, 1, 1], delta: [0, 1, 0, 0], run_levels: 2, ..Sequence::linear(base, 1) }
}
