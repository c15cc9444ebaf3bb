//! Random programs of the instructions that only a machine with extensions has, as close behind each other as queues allow.
//!
//! A program has two schedules, one behind the other in each queue: entries for the first position and the second. Nothing but the order of
//! places and the rules of [`program`] keeps instructions apart, so that the last value before a change is read as well as the first one
//! behind it.

use crate::random::Random;
use lpu_isa::configuration::Configuration;
use lpu_isa::fixed_point::table::Table;
use lpu_isa::instruction::{
    Assignment, Drain, Function, Instruction, Operation, RequantiseFrom, Source, Spread, Tracking, Unit,
};
use lpu_isa::latency::{ExtensionLatency, ISSUE_TO_STEP, Latency};
use lpu_isa::program::{Constants, Entry, FORMAT, Language, Placed, Program, Queue, Region, Scale};
use lpu_isa::sequence::{LEVELS, Sequence};
use lpu_isa::vector::{Arithmetic, Combine, Reduction, ScalarOperand};
use std::collections::{BTreeMap, BTreeSet};

/// Words of weights in each tile, and entries of the scale table.
const LOADED: (u32, u32) = (60, 25);
/// Registers that are added to bases hold less than this, in so many bits.
const SMALL: (u32, u32) = (16, 4);

/// What registers are for, so that no address leaves its memory.
mod register {
    /// Small numbers.
    pub const SMALL: std::ops::RangeInclusive<u32> = 1..=4;
    /// Any number.
    pub const ANY: std::ops::RangeInclusive<u32> = 5..=6;
    /// What an arg-max finds.
    pub const FOUND: u32 = 7;
    /// The number of a tile.
    pub const TILE: u32 = 8;
    /// Always 0: no token comes out of these programs.
    pub const TOKEN: u32 = 9;
}

/// What programs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Changes a register.
    Assign,
    /// Words from one slice to another.
    Stream,
    /// Words through the vector unit.
    Vector,
    /// Words through the requantiser.
    Requantise,
    /// Products of weights and words, through the requantiser.
    Product,
    /// Words into the weights.
    Store,
    /// Weights into a slice.
    Fetch,
}

impl Job {
    /// All of them.
    pub const ALL: [Job; 7] =
        [Job::Assign, Job::Stream, Job::Vector, Job::Requantise, Job::Product, Job::Store, Job::Fetch];
}

/// Instructions with their issue cycles.
struct Timeline {
    configuration: Configuration,
    latency: Latency,
    extension: ExtensionLatency,
    random: Random,
    queues: BTreeMap<Unit, Vec<(u64, Operation)>>,
    /// When registers and scalars change: no two of either in one cycle.
    landings: [BTreeSet<i64>; 2],
    /// First cycles after the last step of a product, of a fetch, of a store.
    ends: [i64; 3],
    /// First cycle in which anything may issue.
    begin: i64,
    /// The loop, if there is one.
    repeated: Option<Repeated>,
}

/// Instructions of all queues that are executed several times, in each queue a loop of the same length. Nothing of one time is under way
/// when the next begins.
struct Repeated {
    /// For each unit, which of its instructions are in the loop.
    instructions: BTreeMap<Unit, std::ops::Range<usize>>,
    /// Cycles from one time to the next.
    period: u64,
    /// How often the loop is executed.
    times: u32,
    /// First cycle behind it.
    end: u64,
}

impl Timeline {
    fn new(configuration: Configuration, seed: u64) -> Timeline {
        let latency = Latency::of(&configuration);
        // Only machines with extensions are asked for.
        let extension = latency.extensions.unwrap_or_else(|| unreachable!("{configuration:?}"));
        let landings = [BTreeSet::new(), BTreeSet::new()];
        let random = Random::new(seed);
        let queues = BTreeMap::new();
        let (begin, repeated) = (60, None);
        Timeline { configuration, latency, extension, random, queues, landings, ends: [0; 3], begin, repeated }
    }

    fn number(&mut self, lowest: u32, highest: u32) -> u32 {
        self.random.within(lowest as usize, highest as usize) as u32
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.below(all.len())]
    }

    /// A number of few bits or many.
    fn element(&mut self) -> i32 {
        let shift = self.random.below(16);
        i32::from(self.random.bits() as i16 >> shift)
    }

    /// A register out of all, 0 now and then.
    fn any_register(&mut self) -> u32 {
        if self.random.coin() { 0 } else { self.number(1, register::TILE) }
    }

    fn small_register(&mut self) -> u32 {
        if self.random.coin() { 0 } else { self.number(*register::SMALL.start(), *register::SMALL.end()) }
    }

    /// A sequence without addresses. Steps are at least `pace` cycles apart.
    fn shape(&mut self, pace: u32) -> Sequence {
        let mut shape = Sequence::linear(0, 1);
        shape.count = [0; LEVELS].map(|_| if self.random.below(3) > 0 { 1 } else { self.number(2, 4) });
        shape.run_levels = self.number(1, LEVELS as u32);
        shape.gap = (if self.random.coin() { 0 } else { self.number(1, 9) }).max(pace - 1);
        shape.pause = (if self.random.coin() { 0 } else { self.number(1, 3) }).max(pace - 1);
        shape
    }

    /// The same steps at addresses below `limit`, whatever a small register holds.
    fn addressed(&mut self, shape: Sequence, limit: u32) -> Sequence {
        let limit = limit - SMALL.0;
        let register = self.small_register();
        let mut sequence = Sequence { delta: [0; LEVELS].map(|_| self.number(0, 6) as i32 - 3), register, ..shape };
        sequence.base = 0;
        let (below, above) = (-sequence.extent().0, sequence.extent().1);
        let room = i64::from(limit) - 1 - above - below;
        if room < 0 {
            sequence.delta = [0; LEVELS];
            return sequence;
        }
        sequence.base = below as u32 + self.number(0, room as u32);
        sequence
    }

    fn beats(&self) -> u32 {
        self.configuration.vector_beats() - self.configuration.beats_per_word() + 1
    }

    /// What an operation that issues at `issue` changes at which cycle: a register or a scalar.
    fn landing(&self, issue: i64, operation: &Operation) -> Option<(usize, i64)> {
        let last = issue + operation.duration() as i64;
        match operation {
            Operation::Assign(_) => Some((0, issue + i64::from(self.extension.register))),
            Operation::Requantise { tracking: Tracking { maximum: Some(_), .. }, .. } => {
                Some((1, last + i64::from(self.extension.requantise_to_scalar)))
            }
            Operation::Vector { function, arithmetic, .. } if arithmetic.reduction == Reduction::ArgMax => {
                Some((0, last + i64::from(self.latency.vector_to_register(*function, arithmetic))))
            }
            Operation::Vector { function, arithmetic, .. } if arithmetic.reduction.makes_scalar() => {
                Some((1, last + i64::from(self.latency.vector_to_scalar(*function, arithmetic))))
            }
            _ => None,
        }
    }

    /// Cycles that a word takes through the vector unit; 0 for operations of other units.
    fn way(&self, operation: &Operation) -> u32 {
        match operation {
            Operation::Vector { function, arithmetic, .. } => self.latency.vector(*function, arithmetic),
            _ => 0,
        }
    }

    /// Earliest issue of an operation that reads or writes weights.
    fn weights_free(&self, operation: &Operation) -> i64 {
        let step = i64::from(ISSUE_TO_STEP);
        let stored = self.ends[2] - 1 + i64::from(self.extension.store_to_weights) - step;
        match operation {
            Operation::Multiply { .. } => stored,
            // No result is on its way down the chains.
            Operation::Fetch { .. } => {
                let drained = self.latency.step_to_drain + self.configuration.longest_drain();
                stored.max(self.ends[0] + i64::from(drained))
            }
            // A product's weights stay what they are until its last step.
            Operation::Store { .. } => {
                self.ends[0].max(self.ends[1]) - i64::from(self.extension.store_to_weights) - step
            }
            _ => 0,
        }
    }

    /// Places operations whose first steps lie so many cycles behind the first one's, as early as their queues allow.
    fn place(&mut self, operations: &[(Unit, i64, Operation)]) {
        let shortest = u64::from(self.configuration.minimum_interval());
        let mut origin = self.begin;
        for (unit, offset, operation) in operations {
            origin = origin.max(self.weights_free(operation) - offset);
            if let Some(&(issue, before)) = self.queues.get(unit).and_then(|queue| queue.last()) {
                let more = if *unit == Unit::Requantiser { self.configuration.requantise_interval - 1 } else { 0 };
                // No word overtakes one with a longer way.
                let more = more + self.way(&before).saturating_sub(self.way(operation));
                let busy = before.duration() + u64::from(more);
                origin = origin.max((issue + busy.max(shortest)) as i64 - offset);
            }
        }
        origin += self.random.below(3) as i64;
        loop {
            let mut landings =
                operations.iter().filter_map(|(_, offset, operation)| self.landing(origin + offset, operation));
            if landings.all(|(kind, cycle)| !self.landings[kind].contains(&cycle)) {
                break;
            }
            origin += 1;
        }
        for &(unit, offset, operation) in operations {
            let issue = origin + offset;
            if let Some((kind, cycle)) = self.landing(issue, &operation) {
                self.landings[kind].insert(cycle);
            }
            let end = issue + i64::from(ISSUE_TO_STEP) + operation.duration() as i64;
            let kind = match operation {
                Operation::Multiply { .. } => Some(0),
                Operation::Fetch { .. } => Some(1),
                Operation::Store { .. } => Some(2),
                _ => None,
            };
            if let Some(kind) = kind {
                self.ends[kind] = self.ends[kind].max(end);
            }
            self.queues.entry(unit).or_default().push((issue as u64, operation));
        }
    }

    /// First cycle in which everything that has issued has landed.
    fn landed(&self) -> u64 {
        let ends = self.queues.values().flatten().map(|(issue, operation)| issue + operation.duration());
        let idle = self.extension.vector_to_scalar.max(self.extension.vector_to_register) + 10;
        ends.max().unwrap_or(60) + u64::from(idle)
    }

    /// Places jobs of these `kinds` that are executed several times.
    fn repeat(&mut self, kinds: &[Job], jobs: usize) {
        let begin = self.landed();
        self.begin = begin as i64 + i64::from(self.latency.vector_read);
        let lengths = |queues: &BTreeMap<Unit, Vec<(u64, Operation)>>, unit| queues.get(&unit).map_or(0, Vec::len);
        let units = Unit::all(&self.configuration);
        let before: Vec<usize> = units.iter().map(|&unit| lengths(&self.queues, unit)).collect();
        for _ in 0..jobs {
            let kind = self.one_of(kinds);
            self.job(kind);
        }
        let instructions = units.into_iter().zip(before);
        let instructions = instructions.map(|(unit, before)| (unit, before..lengths(&self.queues, unit)));
        let instructions = instructions.filter(|(_, loops)| !loops.is_empty()).collect();
        let room = u64::from(self.number(0, 20) + 2 * self.configuration.minimum_interval());
        let (period, times) = (self.landed() + room - begin, self.number(2, 5));
        let end = begin + (u64::from(times) + 1) * period;
        self.begin = end as i64 + i64::from(self.latency.vector_read);
        self.repeated = Some(Repeated { instructions, period, times, end });
    }

    /// The instructions of `unit` with their intervals, the last of which lasts to `end`.
    fn with_intervals(&mut self, unit: Unit, timed: &[(u64, Operation)], end: u64) -> Vec<Instruction> {
        let shortest = self.configuration.minimum_interval();
        let repeated = self.repeated.as_ref();
        let repeated = repeated.and_then(|all| Some((all.instructions.get(&unit)?.clone(), all.period, all.times)));
        let mut instructions = Vec::new();
        for (index, &(issue, operation)) in timed.iter().enumerate() {
            // One is in front of those that were placed.
            let last = repeated.clone().filter(|(loops, ..)| loops.end == index);
            let next = timed.get(index + 1).map_or(end, |(next, _)| *next);
            let Some((loops, period, times)) = last else {
                instructions.push(Instruction { interval: (next - issue) as u32, operation });
                continue;
            };
            let first = timed[loops.start + 1].0;
            let span = (first + period - issue) as u32;
            // The loop ends as soon as it may, as late, or between.
            let way = self.random.below(3);
            let after = [shortest, span - shortest, self.number(shortest, span - shortest)][way];
            instructions.push(Instruction { interval: after, operation });
            let back = Operation::Repeat { back: loops.len() as u32, times };
            instructions.push(Instruction { interval: span - after, operation: back });
            let behind = issue + u64::from(after) + u64::from(times - 1) * period + u64::from(shortest);
            instructions.push(Instruction { interval: (next - behind) as u32, operation: Operation::Nop });
        }
        instructions
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Assign => self.assign(),
            Job::Stream => self.stream(),
            Job::Vector => self.vector(),
            Job::Requantise => self.requantise(),
            Job::Product => self.product(),
            Job::Store => self.store(),
            Job::Fetch => self.fetch(),
        }
    }

    fn assign(&mut self) {
        let small = self.random.coin();
        let destination = if small {
            self.number(*register::SMALL.start(), *register::SMALL.end())
        } else {
            self.number(*register::ANY.start(), *register::ANY.end())
        };
        let bits = self.number(1, if small { SMALL.1 } else { 16 });
        let multiplier = self.element();
        let constant = self.element();
        let shift = self.number(0, 31);
        let (source, addend) = (self.any_register(), self.any_register());
        let mut assignment = Assignment { destination, source, multiplier, addend, constant, shift, bits };
        if self.random.below(4) == 0 {
            let tile = self.random.below(self.configuration.tiles as usize) as i32;
            assignment = Assignment { destination: register::TILE, source: 0, constant: tile, addend: 0, ..assignment };
            (assignment.shift, assignment.bits) = (0, 16);
        }
        self.place(&[(Unit::Registers, 0, Operation::Assign(assignment))]);
    }

    fn read(&mut self, slice: u32, shape: Sequence) -> (Unit, i64, Operation) {
        let beats = self.beats();
        (
            Unit::Read(slice),
            -i64::from(self.latency.vector_read),
            Operation::Read { sequence: self.addressed(shape, beats) },
        )
    }

    fn write(&mut self, source: Source, after: u32, shape: Sequence) -> (Unit, i64, Operation) {
        let beats = self.beats();
        let sequence = self.addressed(shape, beats);
        let last_beats = self.number(1, self.configuration.beats_per_word());
        (Unit::Write(2), i64::from(after), Operation::Write { source, last_beats, sequence })
    }

    fn stream(&mut self) {
        let shape = self.shape(1);
        let operations = [self.read(0, shape), self.write(Source::Slice(0), 0, shape)];
        self.place(&operations);
    }

    fn arithmetic(&mut self, streams: bool) -> Arithmetic {
        let names: Vec<_> = ScalarOperand::ALL.iter().map(|(scalar, _)| *scalar).collect();
        let scalar = if streams { ScalarOperand::None } else { self.one_of(&names) };
        let shifts = if self.random.coin() { (-3, 12) } else { (-32, 31) };
        let combine = Combine::ALL.map(|(combine, _)| combine);
        let reduction = Reduction::ALL.map(|(reduction, _)| reduction);
        let reduction = self.one_of(&reduction);
        Arithmetic {
            scalar,
            shift: self.number(0, (shifts.1 - shifts.0) as u32) as i32 + shifts.0,
            table: if self.random.coin() {
                None
            } else {
                Some(self.random.below(self.configuration.tables() as usize) as u32)
            },
            combine: self.one_of(&combine),
            reduction,
            square_shift: self.number(0, 31),
            addend_shift: self.number(0, 15),
            register: if reduction == Reduction::ArgMax { register::FOUND } else { self.any_register() },
            mask: self.any_register(),
        }
    }

    fn limits(&mut self) -> (i32, i32) {
        if self.random.coin() {
            return (i16::MIN.into(), i16::MAX.into());
        }
        let (a, b) = (self.element(), self.element());
        (a.min(b), a.max(b))
    }

    fn vector(&mut self) {
        let shape = self.shape(1);
        let streams = self.random.coin();
        let functions = Function::ALL.map(|(function, _)| function);
        let arithmetic = self.arithmetic(streams);
        let (minimum, maximum) = self.limits();
        let scalars = self.configuration.scalars() - self.configuration.beats_per_word() + 1;
        let sequence = self.addressed(shape, scalars);
        let b = streams.then_some(Source::Slice(1));
        let (function, constant) = (self.one_of(&functions), self.element());
        let a = Source::Slice(0);
        let operation = Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, sequence };
        let mut operations = vec![self.read(0, shape), (Unit::Vector, 0, operation)];
        if streams {
            operations.push(self.read(1, shape));
        }
        operations.push(self.write(Source::Vector, self.latency.vector(function, &arithmetic), shape));
        self.place(&operations);
    }

    /// The zero point, where there is any.
    fn zero_point(&self, zero_point: i32) -> i32 {
        if self.configuration.narrow_scales { 0 } else { zero_point }
    }

    fn requantise(&mut self) {
        let shape = self.shape(self.configuration.requantise_interval);
        let sequence = self.addressed(shape, LOADED.1);
        let (minimum, maximum) = self.limits();
        let maximum_to = if self.random.coin() {
            None
        } else {
            Some(self.random.below(self.configuration.scalars() as usize) as u32)
        };
        let each_run = self.random.coin();
        let tracking = Tracking { mask: self.any_register(), maximum: maximum_to, each_run };
        let from = RequantiseFrom::Stream(Source::Slice(0));
        let operation =
            Operation::Requantise { from, zero_point: self.zero_point(-3), minimum, maximum, tracking, sequence };
        let operations = [
            self.read(0, shape),
            (Unit::Requantiser, 0, operation),
            self.write(Source::Requantiser, self.latency.requantise, shape),
        ];
        self.place(&operations);
    }

    fn product(&mut self) {
        let configuration = self.configuration.clone();
        let mut shape = self.shape(1);
        let (run, runs) = shape.count.split_at(shape.run_levels as usize);
        let (steps, runs) = (run.iter().product::<u32>(), runs.iter().product::<u32>());
        let run = (steps - 1) * (1 + shape.pause) + 1;
        let sums = match self.random.coin() {
            true => Drain::FullRows,
            false if configuration.separate_sums && self.random.coin() => Drain::Separate,
            false => Drain::AllRows,
        };
        let (rows, pace) = (configuration.drain_rows(sums), configuration.requantise_interval);
        shape.gap = shape.gap.max((rows * pace).saturating_sub(run));
        let period = run + shape.gap;
        let sequence = self.addressed(shape, LOADED.0);
        let operation = Operation::Multiply { source: Source::Slice(0), drain: sums, sequence };
        let mut operations: Vec<_> =
            (0..configuration.tile_groups()).map(|group| (Unit::TileGroup(group), 0, operation)).collect();
        operations.push(self.read(0, shape));
        let drain = Sequence {
            count: [rows, runs, 1, 1],
            run_levels: 1,
            gap: period - ((rows - 1) * pace + 1),
            pause: pace - 1,
            ..Sequence::linear(0, 1)
        };
        let taken = run - 1 + self.latency.step_to_drain;
        let sequence = self.addressed(drain, LOADED.1);
        let tracking = Tracking { mask: self.any_register(), maximum: None, each_run: self.random.coin() };
        let from = RequantiseFrom::Tiles;
        let (minimum, maximum) = self.limits();
        let operation =
            Operation::Requantise { from, zero_point: self.zero_point(5), minimum, maximum, tracking, sequence };
        operations.push((Unit::Requantiser, taken.into(), operation));
        operations.push(self.write(Source::Requantiser, taken + self.latency.requantise, drain));
        self.place(&operations);
    }

    fn store(&mut self) {
        let shape = self.shape(1);
        let sequence = self.addressed(shape, LOADED.0);
        let spread = self.one_of(&[Spread::Beat, Spread::Columns]);
        let place = self.number(1, register::TILE);
        let operation = Operation::Store { source: Source::Slice(0), spread, place, sequence };
        let operations = [self.read(0, shape), (Unit::Weights, 0, operation)];
        self.place(&operations);
    }

    fn fetch(&mut self) {
        let shape = self.shape(1);
        let sequence = self.addressed(shape, LOADED.0);
        let operation = Operation::Fetch { tile: register::TILE, sequence };
        let mut operations: Vec<_> =
            (0..self.configuration.tile_groups()).map(|group| (Unit::TileGroup(group), 0, operation)).collect();
        operations.push(self.write(Source::Weights, self.extension.fetch, shape));
        self.place(&operations);
    }

    /// The schedule, one list of instructions for each unit, all equally long; and its cycles.
    fn schedule(&mut self) -> (Vec<Vec<Placed>>, u64) {
        let halt = self.landed().max(self.repeated.as_ref().map_or(0, |repeated| repeated.end));
        let units = Unit::all(&self.configuration);
        let mut lists = Vec::new();
        for unit in units {
            let mut timed = self.queues.remove(&unit).unwrap_or_default();
            timed.insert(0, (0, Operation::Nop));
            timed.push((halt, Operation::Halt));
            let instructions = self.with_intervals(unit, &timed, halt + 60).into_iter();
            lists.push(instructions.map(|instruction| Placed { instruction, layer: None }).collect::<Vec<_>>());
        }
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        lists.iter_mut().for_each(|list| list.resize(longest, list[list.len() - 1].clone()));
        (lists, halt + 1)
    }
}

/// A program of two schedules of `jobs` jobs each, of these kinds, for a machine with extensions. No two registers and no two scalars change
/// in one cycle, and no product finds its weights changed under way: else anything is allowed.
#[must_use]
pub fn program(configuration: &Configuration, seed: u64, kinds: &[Job], jobs: usize) -> Program {
    let mut queues: Vec<Vec<Placed>> = vec![Vec::new(); Unit::all(configuration).len()];
    let mut entries = Vec::new();
    let mut random = Random::new(seed);
    for positions in 1..=2 {
        let mut timeline = Timeline::new(configuration.clone(), random.bits());
        if positions == 1 {
            // The tile's register holds a tile from the beginning.
            timeline.job(Job::Assign);
        }
        let repeated = if timeline.random.coin() { jobs / 3 } else { 0 };
        for job in 0..jobs - repeated {
            let kind = timeline.one_of(kinds);
            timeline.job(kind);
            if job == repeated && repeated > 0 {
                timeline.repeat(kinds, repeated);
            }
        }
        let (lists, cycles) = timeline.schedule();
        entries.push(Entry { instruction: queues[0].len() as u32, positions, cycles, macs: 0 });
        queues.iter_mut().zip(lists).for_each(|(queue, list)| queue.extend(list));
    }
    let element = |random: &mut Random| {
        let shift = random.below(14);
        random.bits() as i16 >> shift
    };
    let beats = configuration.vector_beats();
    let constants = (0..2).map(|slice| {
        let elements = (0..beats * configuration.dot).map(|_| element(&mut random)).collect();
        Constants { name: format!("slice {slice}"), slice, base: 0, elements }
    });
    let constants = constants.collect();
    let tables = (0..configuration.tables())
        .map(|number| match number % 3 {
            0 => Table::exponential(1.0 / 4096.0, 32000),
            1 => Table::silu(0.001, 0.002),
            _ => Table::of(|x| (x * 0.01).sin() * 32767.0),
        })
        .collect();
    let region = |beats| {
        let positions = (0..beats * configuration.dot).collect();
        Region { tensor: "x".into(), slice: 2, base: 0, beats, positions }
    };
    let weights =
        (0..configuration.tiles).map(|_| (0..LOADED.0 * configuration.dot).map(|_| random.byte()).collect()).collect();
    let mut scale = || Scale {
        multiplier: Scale::LEAST_MULTIPLIER + (random.bits() >> 34) as i32,
        shift: -7,
        bias: random.bits() as i32 >> (16 + random.below(16)),
    };
    let mut scale = || {
        let wide = scale();
        // One without a bias; now and then a multiplier of 0.
        let narrow = Scale { bias: 0, ..wide }.narrowed().filter(|scale| scale.multiplier >> 20 & 7 != 0);
        if configuration.narrow_scales { narrow.unwrap_or(Scale { multiplier: 0, shift: 0, bias: 0 }) } else { wide }
    };
    let scales = (0..LOADED.1).map(|_| (0..configuration.stream_elements).map(|_| scale()).collect()).collect();
    let units = Unit::all(configuration).into_iter();
    Program {
        constants: vec![],
        softmaxes: vec![],
        finish: None,
        format: FORMAT,
        model: "extensions".into(),
        board: "bench".into(),
        weights,
        scales,
        queues: units.zip(queues).map(|(unit, instructions)| Queue { unit, instructions }).collect(),
        input: region(1),
        more_input: vec![],
        input_fill: 0,
        output: region(2),
        layers: vec![],
        macs: 0,
        cycles: entries[0].cycles,
        language: Some(Language {
            constants,
            tables,
            entries,
            token: register::TOKEN,
            position: register::TOKEN,
            slots: vec![0],
            context: 2,
            others: vec![],
            prefill: vec![],
        }),
        configuration: configuration.clone(),
    }
}
