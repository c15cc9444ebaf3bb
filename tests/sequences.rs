//! Programs that no compiler writes: sequences of every shape, as close behind each other as a queue allows.
//!
//! A compiler uses few of the sequences that an instruction can hold. Here all four levels, gaps and pauses occur in any
//! combination, on every way through the machine. The checker accepts each program, and the RTL's writes are those of the
//! cycle model, cycle by cycle.

#![allow(clippy::unwrap_used)]

use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Drain, Function, Instruction, Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency, SoftmaxLatency};
use lpu_isa::program::{FORMAT, Placed, Program, Queue, Region, Scale};
use lpu_isa::sequence::{LEVELS, Sequence};
use lpu_isa::vector::Arithmetic;
use lpu_sim::rtl::Rtl;
use lpu_tests::machines::simulated;
use lpu_tests::random::Random;
use lpu_tests::witnesses::{accept, library, model_run, rtl_options};
use std::collections::BTreeMap;

/// Words of weights in each tile, and entries of the scale table.
const LOADED: (u32, u32) = (40, 5);

/// Instructions with their issue cycles.
struct Timeline {
    configuration: Configuration,
    latency: Latency,
    random: Random,
    queues: BTreeMap<Unit, Vec<(u64, Operation)>>,
}

impl Timeline {
    fn new(configuration: Configuration, seed: u64) -> Timeline {
        let latency = Latency::of(&configuration);
        Timeline { configuration, latency, random: Random::new(seed), queues: BTreeMap::new() }
    }

    fn number(&mut self, lowest: u32, highest: u32) -> u32 {
        self.random.within(lowest as usize, highest as usize) as u32
    }

    /// A sequence without addresses. Steps, of a run and of two, are at least `pace` cycles apart.
    fn shape(&mut self, pace: u32) -> Sequence {
        let mut shape = Sequence::linear(0, 1);
        shape.count = [0; LEVELS].map(|_| if self.random.coin() { 1 } else { self.number(2, 5) });
        shape.run_levels = self.number(1, LEVELS as u32);
        shape.gap = (if self.random.coin() { 0 } else { self.number(1, 9) }).max(pace - 1);
        shape.pause = (if self.random.coin() { 0 } else { self.number(1, 3) }).max(pace - 1);
        shape
    }

    /// The same steps at addresses below `limit`.
    fn addressed(&mut self, shape: Sequence, limit: u32) -> Sequence {
        let mut sequence = Sequence { delta: [0; LEVELS].map(|_| self.number(0, 6) as i32 - 3), ..shape };
        let extent = |sequence: &Sequence| (sequence.base as i64 - sequence.extent().0, sequence.extent().1);
        sequence.base = 0;
        let (below, above) = extent(&sequence);
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

    /// Places operations whose first steps lie so many cycles behind the first one's, as early as their queues allow.
    fn place(&mut self, operations: &[(Unit, i64, Operation)]) {
        let shortest = u64::from(self.configuration.minimum_interval());
        let mut origin = 60;
        for (unit, offset, _) in operations {
            if let Some(&(issue, operation)) = self.queues.get(unit).and_then(|queue| queue.last()) {
                let more = match operation {
                    Operation::Requantise { .. } => self.configuration.requantise_interval - 1,
                    // Its last word must not be overtaken.
                    Operation::Softmax { .. } => self.latency.softmax.unwrap().word - self.latency.vector_unit,
                    _ => 0,
                };
                let busy = operation.duration() + u64::from(more);
                origin = origin.max((issue + busy.max(shortest)) as i64 - offset);
            }
        }
        origin += self.random.below(3) as i64;
        for &(unit, offset, operation) in operations {
            self.queues.entry(unit).or_default().push(((origin + offset) as u64, operation));
        }
    }

    fn write(&mut self, source: Source, sequence: Sequence, last_beats: u32) -> (Unit, Operation) {
        let slice = self.number(0, 1).min(self.configuration.vector_slices - 2) + 1;
        (Unit::Write(slice), Operation::Write { source, last_beats, sequence })
    }

    /// A sequence for softmax: three passes over the words of each of some rows. With it, the elements of a row.
    fn passes(&mut self, latency: SoftmaxLatency) -> (Sequence, u32) {
        let (words, rows) = (self.number(1, 4), self.number(1, 3));
        let pause =
            if words > 1 { self.number(latency.word_interval - 1, self.configuration.longest_pause()) } else { 0 };
        let gap = latency.gap + if self.random.coin() { 0 } else { self.number(1, 9) };
        let shape = Sequence { count: [words, 3 * rows, 1, 1], run_levels: 1, gap, pause, ..Sequence::linear(0, 1) };
        let lanes = self.configuration.stream_elements;
        (shape, self.number((words - 1) * lanes + 1, words * lanes))
    }

    /// Words of slice 0, which softmax takes three times, or other ones each time: its results go into another slice.
    fn softmax(&mut self, latency: SoftmaxLatency) {
        let (shape, length) = self.passes(latency);
        let [words, runs, ..] = shape.count;
        let beats = self.beats();
        let mut read = self.addressed(shape, beats);
        if self.random.coin() {
            read.delta[1] = -read.delta[0] * (words as i32 - 1);
        }
        let arrival = i64::from(self.latency.vector_read);
        let table = self.number(0, self.configuration.softmax_tables - 1);
        let operation = Operation::Softmax { source: Source::Slice(0), table, length, sequence: shape };
        let between = i64::from((words - 1) * (shape.pause + 1) + 1 + shape.gap);
        let gap = (3 * between) as u32 - ((words - 1) * (shape.pause + 1) + 1);
        let written = self.addressed(Sequence { count: [words, runs / 3, 1, 1], gap, ..shape }, beats);
        let last_beats = self.number(1, self.configuration.beats_per_word());
        let (unit, write) = self.write(Source::Vector, written, last_beats);
        let result = arrival + 2 * between + i64::from(latency.word);
        self.place(&[
            (Unit::Read(0), 0, Operation::Read { sequence: read }),
            (Unit::Vector, arrival, operation),
            (unit, result, write),
        ]);
    }

    /// Words of slice 0, through the requantiser, the vector unit or neither, into another slice.
    fn stream(&mut self) {
        if let Some(latency) = self.latency.softmax.filter(|_| self.random.below(3) == 0) {
            return self.softmax(latency);
        }
        let through = self.random.below(3);
        let shape = self.shape(if through == 0 { self.configuration.requantise_interval } else { 1 });
        let beats = self.beats();
        let read = (Unit::Read(0), 0, Operation::Read { sequence: self.addressed(shape, beats) });
        let arrival = i64::from(self.latency.vector_read);
        let (minimum, maximum) = (-100, 120);
        let (between, source, result) = match through {
            0 => {
                let sequence = self.addressed(shape, LOADED.1);
                let from = RequantiseFrom::Stream(Source::Slice(0));
                let tracking = Tracking::default();
                let operation = Operation::Requantise { from, zero_point: -3, minimum, maximum, tracking, sequence };
                let result = arrival + i64::from(self.latency.requantise);
                (Some((Unit::Requantiser, arrival, operation)), Source::Requantiser, result)
            }
            1 => {
                let (function, a, b, constant) = (Function::Subtract, Source::Slice(0), None, 9);
                let arithmetic = Arithmetic::default();
                let operation =
                    Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, sequence: shape };
                let result = arrival + i64::from(self.latency.vector(function, &arithmetic));
                (Some((Unit::Vector, arrival, operation)), Source::Vector, result)
            }
            _ => (None, Source::Slice(0), arrival),
        };
        let sequence = self.addressed(shape, beats);
        let last_beats = self.number(1, self.configuration.beats_per_word());
        let (unit, write) = self.write(source, sequence, last_beats);
        let operations: Vec<_> = [Some(read), between, Some((unit, result, write))].into_iter().flatten().collect();
        self.place(&operations);
    }

    /// Products of weights and words of slice 0, into another slice.
    fn product(&mut self) {
        let configuration = self.configuration.clone();
        let mut shape = self.shape(1);
        let (run, runs) = shape.count.split_at(shape.run_levels as usize);
        let (steps, runs) = (run.iter().product::<u32>(), runs.iter().product::<u32>());
        let run = (steps - 1) * (1 + shape.pause) + 1;
        let separate = configuration.separate_sums && self.random.coin();
        let sums = if separate { Drain::Separate } else { Drain::AllRows };
        shape.gap = shape.gap.max(configuration.drain_cycles(sums).saturating_sub(run));
        let period = run + shape.gap;
        let sequence = self.addressed(shape, LOADED.0);
        let operation = Operation::Multiply { source: Source::Slice(0), drain: sums, sequence };
        let mut operations: Vec<_> =
            (0..configuration.tile_groups()).map(|group| (Unit::TileGroup(group), 0, operation)).collect();
        let beats = self.beats();
        let read = self.addressed(shape, beats);
        let arrival = -i64::from(self.latency.vector_read);
        operations.push((Unit::Read(0), arrival, Operation::Read { sequence: read }));
        let (rows, pace) = (configuration.drain_rows(sums), configuration.requantise_interval);
        let drain = Sequence {
            count: [rows, runs, 1, 1],
            run_levels: 1,
            gap: period - ((rows - 1) * pace + 1),
            pause: pace - 1,
            ..Sequence::linear(0, 1)
        };
        let taken = i64::from(run) - 1 + i64::from(self.latency.step_to_drain);
        let sequence = self.addressed(drain, LOADED.1);
        let (zero_point, minimum, maximum) = (5, -128, 127);
        let from = RequantiseFrom::Tiles;
        let tracking = Tracking::default();
        let requantise = Operation::Requantise { from, zero_point, minimum, maximum, tracking, sequence };
        operations.push((Unit::Requantiser, taken, requantise));
        let incomplete = configuration.tiles - (configuration.tile_rows() - 1) * configuration.stream_elements;
        let width = if separate { configuration.stream_elements } else { incomplete };
        let sequence = self.addressed(drain, beats);
        let (unit, write) = self.write(Source::Requantiser, sequence, width.div_ceil(configuration.dot));
        operations.push((unit, taken + i64::from(self.latency.requantise), write));
        self.place(&operations);
    }

    /// The program: the input fills slice 0, and all queues halt together, when everything has landed.
    fn program(mut self) -> Program {
        let configuration = self.configuration.clone();
        let ends = self.queues.values().flatten().map(|(issue, operation)| issue + operation.duration());
        let idle = configuration.minimum_interval().max(ISSUE_TO_STEP + self.latency.write_to_read);
        let halt = ends.max().unwrap() + u64::from(idle);
        let queue = |unit: Unit| {
            let mut timed = self.queues.remove(&unit).unwrap_or_default();
            timed.insert(0, (0, Operation::Nop));
            timed.push((halt, Operation::Halt));
            let next = timed.iter().skip(1).map(|&(issue, _)| issue).chain([halt + 60]);
            let placed = timed.iter().zip(next).map(|(&(issue, operation), next)| Placed {
                instruction: Instruction { interval: (next - issue) as u32, operation },
                layer: None,
            });
            Queue { unit, instructions: placed.collect() }
        };
        let queues = Unit::all(&configuration).into_iter().map(queue).collect();
        let mut random = self.random;
        let beats = configuration.vector_beats();
        let region = |slice, beats| {
            let positions = (0..beats * configuration.dot).collect();
            Region { tensor: "x".into(), slice, base: 0, beats, positions }
        };
        let weights = (0..configuration.tiles)
            .map(|_| (0..LOADED.0 * configuration.dot).map(|_| random.byte()).collect())
            .collect();
        // Biases of every magnitude: those of a stream's elements, and those that make a sum wrap.
        let mut scale = || Scale {
            multiplier: Scale::LEAST_MULTIPLIER + (random.bits() >> 34) as i32,
            shift: -7,
            bias: random.bits() as i32 >> random.below(32),
        };
        let scales = (0..LOADED.1).map(|_| (0..configuration.stream_elements).map(|_| scale()).collect()).collect();
        let softmaxes = (0..configuration.softmax_tables)
            .map(|_| Softmax::new(f64::from(random.within(1, 900) as u32) / 1000.0, 1.0).unwrap())
            .collect();
        Program {
            format: FORMAT,
            model: "sequences".into(),
            board: "bench".into(),
            weights,
            scales,
            queues,
            input: region(0, beats),
            more_input: vec![],
            input_fill: 0,
            output: region(0, 1),
            layers: vec![],
            macs: 0,
            cycles: halt + 1,
            constants: vec![],
            softmaxes,
            finish: None,
            language: None,
            configuration,
        }
    }
}

/// Thirty programs of up to eight operations on the machine called `name`.
fn agrees_on(name: &str) {
    let (_, machine) = simulated().into_iter().find(|(other, _)| *other == name).unwrap();
    let Some(library) = library(&machine, name).unwrap() else { return };
    let mut written = 0;
    for seed in 0..30 {
        let mut timeline = Timeline::new(machine.clone(), seed);
        for _ in 0..timeline.random.within(1, 8) {
            if timeline.random.coin() { timeline.stream() } else { timeline.product() }
        }
        let program = timeline.program();
        accept(&program).unwrap_or_else(|error| panic!("{name}, program {seed}: {error}"));
        let mut random = Random::new(seed);
        let input: Vec<i8> = (0..program.input_length()).map(|_| random.byte()).collect();
        let expected = model_run(&program, &input).unwrap();
        let measured = Rtl::with_library(&program, &library, &rtl_options()).unwrap().run(&input).unwrap();
        assert_eq!((expected.cycles, measured.cycles), (program.cycles, program.cycles), "{name}, program {seed}");
        for (number, (expected, measured)) in expected.writes.iter().zip(&measured.writes).enumerate() {
            assert_eq!(expected, measured, "{name}, program {seed}, write {number}");
        }
        assert_eq!(expected.writes.len(), measured.writes.len(), "{name}, program {seed}");
        written += expected.writes.len();
    }
    assert!(written > 1000, "{name}: {written} writes");
}

#[test]
fn any_sequence_takes_its_cycles_with_a_row_of_results_each_cycle() {
    agrees_on("two rows, one bank");
}

#[test]
fn any_sequence_takes_its_cycles_with_a_row_of_results_each_other_cycle() {
    agrees_on("39 tiles in three rows");
}

#[test]
fn any_sequence_takes_its_cycles_with_a_row_of_results_each_fourth_cycle() {
    agrees_on("pairs of multipliers, shortest pipelines");
}

#[test]
fn any_sequence_takes_its_cycles_with_int4_weights() {
    agrees_on("int4 weights, an incomplete row");
}

#[test]
fn any_sequence_takes_its_cycles_with_the_longest_pipelines() {
    agrees_on("wide dots in one bank, longest pipelines");
}

#[test]
fn any_sequence_takes_its_cycles_with_words_of_two_elements() {
    agrees_on("pairs of int4 weights, one bank");
}

#[test]
fn any_sequence_takes_its_cycles_in_a_compact_machine() {
    agrees_on("compact, with a vector unit and several banks");
}
