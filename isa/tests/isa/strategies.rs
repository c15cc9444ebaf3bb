//! Random machines, instructions and programs, all of them valid.

use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::{Configuration, Extensions, LOOKUP_ENTRIES, Pipeline};
use lpu_isa::instruction::{
    Assignment, Drain, Function, Instruction, MOST_TIMES, Operation, RequantiseFrom, Source, Spread, Tracking, Unit,
};
use lpu_isa::latency::Latency;
use lpu_isa::program::{Band, FORMAT, InputPart, Layer, Placed, Program, Queue, Region, Scale};
use lpu_isa::sequence::{LEVELS, Sequence};
use lpu_isa::vector::{Arithmetic, Combine, LARGEST_SHIFT, LEAST_SHIFT, Reduction, ScalarOperand};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

pub fn pipeline() -> impl Strategy<Value = Pipeline> {
    (1..=4u32, 0..=4u32, 0..=4u32, 1..=4u32, 0..=4u32, any::<bool>()).prop_map(
        |(crossbar, weight_read, multiply, drain, vector_read, compact)| Pipeline {
            crossbar,
            weight_read,
            multiply,
            drain,
            vector_read,
            compact,
        },
    )
}

pub fn configuration() -> impl Strategy<Value = Configuration> {
    let shape = (1..=39u32, select(vec![2u32, 4, 8]), 0..=3u32, 1..=8u32, select(vec![4u32, 8]));
    let depths = (2..3000u32, 2..600u32, 2..100u32, 8..64u32);
    let queue_word_bits = select(vec![8u32, 16, 36, 72, 256]);
    let paces = (queue_word_bits, 0..=2u32);
    let counters = (4..=12u32, 2..=4u32, 8..=16u32, any::<bool>());
    let tokens = prop_oneof![Just(0u32), 2..=600u32];
    let extensions = proptest::option::of((1..=15u32, 2..=64u32, 1..=16u32, tokens));
    (shape, depths, paces, counters, pipeline(), extensions).prop_map(|fields| {
        let (shape, depths, paces, counters, pipeline, extensions) = fields;
        let (count_bits, sequence_levels, interval_bits, vector_unit) = counters;
        let (tiles, dot, doublings, vector_slices, weight_bits) = shape;
        let (queue_word_bits, halvings) = paces;
        let (weight_depth, vector_depth, scale_depth, queue_depth) = depths;
        let stream_elements = dot << doublings;
        let configuration = Configuration {
            tiles,
            dot,
            stream_elements,
            weight_depth,
            weight_bits,
            vector_slices,
            vector_depth,
            scale_depth,
            queue_depth,
            queue_word_bits,
            vector_unit,
            count_bits,
            sequence_levels,
            interval_bits,
            requantise_interval: 1 << halvings.min(stream_elements.trailing_zeros()),
            clock_mhz: None,
            scale_multiplier_lanes: u32::from(halvings > 0 && !pipeline.compact),
            lookup: scale_depth >= LOOKUP_ENTRIES && tiles.is_multiple_of(2),
            separate_sums: weight_bits == 8 && tiles >= stream_elements && tiles.is_multiple_of(3),
            softmax_tables: if vector_unit && extensions.is_none() && tiles >= stream_elements {
                halvings * 2
            } else {
                0
            },
            narrow_scales: false,
            pipeline,
            extensions: extensions
                .filter(|_| vector_unit && weight_bits == 8 && tiles >= stream_elements)
                .map(|(registers, scalars, tables, tokens)| Extensions { registers, scalars, tables, tokens }),
        };
        configuration.check().unwrap();
        configuration
    })
}

/// A sequence of a machine of `configuration`, whose addresses lie in `0..limit`. Where `noisy`, levels that never advance have deltas too.
fn sequence(limit: u32, noisy: bool, configuration: &Configuration) -> impl Strategy<Value = Sequence> + use<> {
    let (longest, most_levels) = (configuration.longest_loop(), configuration.sequence_levels);
    let gaps = configuration.longest_gap();
    let level = (prop_oneof![Just(1u32), 2..=4u32, 2..=40u32], -100..=100i64, any::<i16>());
    (vec(level, LEVELS), 1..=most_levels, 0..=gaps, 0..4u32, 0..=100i64).prop_map(move |fields| {
        let (levels, run_levels, gap, pause, base) = fields;
        let mut room = i64::from(limit - 1);
        let (mut count, mut delta) = ([1; LEVELS], [0; LEVELS]);
        let (mut lowest, mut travel) = (0, 0);
        for (level, (iterations, stride, noise)) in levels.into_iter().enumerate() {
            let iterations = if level < most_levels as usize { iterations.min(longest) } else { 1 };
            count[level] = iterations;
            let again = i64::from(iterations) - 1;
            if again == 0 {
                delta[level] = if noisy { i32::from(noise) } else { 0 };
                continue;
            }
            let stride = room / again * stride / 100;
            delta[level] = (stride - travel) as i32;
            travel += again * stride;
            lowest += (again * stride).min(0);
            room -= (again * stride).abs();
        }
        Sequence { base: (room * base / 100 - lowest) as u32, count, delta, run_levels, gap, pause, register: 0 }
    })
}

/// The same, with a run-time register added now and then.
fn moved(limit: u32, noisy: bool, configuration: &Configuration) -> impl Strategy<Value = Sequence> + use<> {
    let registers = 0..=configuration.registers();
    (sequence(limit, noisy, configuration), registers).prop_map(|(sequence, register)| sequence.offset_by(register))
}

fn arithmetic(configuration: &Configuration) -> BoxedStrategy<Arithmetic> {
    let (Some(extensions), registers) = (configuration.extensions, 0..=configuration.registers()) else {
        return Just(Arithmetic::default()).boxed();
    };
    let modes = (select(ScalarOperand::ALL.to_vec()), select(Combine::ALL.to_vec()), select(Reduction::ALL.to_vec()));
    let shifts = (LEAST_SHIFT..=LARGEST_SHIFT, 0..=31u32, 0..=15u32);
    (modes, shifts, proptest::option::of(0..extensions.tables), registers.clone(), registers)
        .prop_map(|((scalar, combine, reduction), (shift, square_shift, addend_shift), table, register, mask)| {
            let (scalar, combine, reduction) = (scalar.0, combine.0, reduction.0);
            Arithmetic { scalar, shift, table, combine, reduction, square_shift, addend_shift, register, mask }
        })
        .boxed()
}

fn tracking(configuration: &Configuration) -> BoxedStrategy<Tracking> {
    if configuration.scalars() == 0 {
        return Just(Tracking::default()).boxed();
    }
    (0..=configuration.registers(), proptest::option::of(0..configuration.scalars()), any::<bool>())
        .prop_map(|(mask, maximum, each_run)| Tracking { mask, maximum, each_run })
        .boxed()
}

fn assignment(registers: u32) -> impl Strategy<Value = Assignment> + use<> {
    let short = || any::<i16>().prop_map(i32::from);
    (1..=registers, 0..=registers, short(), 0..=registers, short(), 0..=31u32, 1..=16u32).prop_map(
        |(destination, source, multiplier, addend, constant, shift, bits)| Assignment {
            destination,
            source,
            multiplier,
            addend,
            constant,
            shift,
            bits,
        },
    )
}

fn source(configuration: &Configuration) -> impl Strategy<Value = Source> + use<> {
    let last = if configuration.vector_unit { Source::Vector } else { Source::Requantiser };
    prop_oneof![(0..configuration.vector_slices).prop_map(Source::Slice), Just(Source::Requantiser), Just(last)]
}

fn drain(configuration: &Configuration) -> impl Strategy<Value = Drain> + use<> {
    let full_rows = configuration.extensions.map(|_| Drain::FullRows);
    let separate = configuration.separate_sums.then_some(Drain::Separate);
    select([Some(Drain::AllRows), full_rows, separate].into_iter().flatten().collect::<Vec<_>>())
}

fn clamp() -> impl Strategy<Value = (i32, i32)> {
    (any::<i16>(), any::<i16>()).prop_map(|(a, b)| (i32::from(a.min(b)), i32::from(a.max(b))))
}

/// A valid instruction of `unit`. Where `noisy`, parts without effect are random too.
pub fn instruction(unit: Unit, configuration: &Configuration, noisy: bool) -> BoxedStrategy<Instruction> {
    let element = any::<i16>().prop_map(i32::from);
    let limit = unit.address_limit(configuration);
    let operation = match unit {
        Unit::TileGroup(_) if configuration.extensions.is_some() => {
            let sources =
                (proptest::option::of(1..=configuration.registers()), source(configuration), drain(configuration));
            (sources, moved(limit, noisy, configuration))
                .prop_map(|((tile, source, drain), sequence)| match tile {
                    Some(tile) => Operation::Fetch { tile, sequence },
                    None => Operation::Multiply { source, drain, sequence },
                })
                .boxed()
        }
        Unit::Weights => {
            let place = (select(Spread::ALL.to_vec()), 1..=configuration.registers());
            (source(configuration), place, moved(limit, noisy, configuration))
                .prop_map(|(source, ((spread, _), place), sequence)| Operation::Store {
                    source,
                    spread,
                    place,
                    sequence,
                })
                .boxed()
        }
        Unit::Registers => assignment(configuration.registers()).prop_map(Operation::Assign).boxed(),
        Unit::TileGroup(_) => (source(configuration), drain(configuration), sequence(limit, noisy, configuration))
            .prop_map(|(source, drain, sequence)| Operation::Multiply { source, drain, sequence })
            .boxed(),
        Unit::Read(_) => moved(limit, noisy, configuration).prop_map(|sequence| Operation::Read { sequence }).boxed(),
        Unit::Write(_) => {
            (source(configuration), 1..=configuration.beats_per_word(), moved(limit, noisy, configuration))
                .prop_map(|(source, last_beats, sequence)| Operation::Write { source, last_beats, sequence })
                .boxed()
        }
        Unit::Requantiser => {
            let lookup = configuration.lookup;
            let sources = (proptest::option::of(source(configuration)), proptest::option::of(source(configuration)));
            let from = sources.prop_map(move |sources| match sources {
                (Some(operand), Some(index)) if lookup => RequantiseFrom::Lookup { operand, index },
                (Some(source), _) => RequantiseFrom::Stream(source),
                (None, _) => RequantiseFrom::Tiles,
            });
            (from, element, clamp(), tracking(configuration), moved(limit, noisy, configuration))
                .prop_map(|(from, zero_point, (minimum, maximum), tracking, sequence)| Operation::Requantise {
                    from,
                    zero_point,
                    minimum,
                    maximum,
                    tracking,
                    sequence,
                })
                .boxed()
        }
        Unit::Vector => {
            let sources = (source(configuration), proptest::option::of(source(configuration)));
            let extended = configuration.extensions.is_some();
            let functions = if extended { Function::ALL.to_vec() } else { Function::PLAIN.to_vec() };
            let steps = if extended {
                moved(limit, noisy, configuration).boxed()
            } else {
                sequence(1000, noisy, configuration).boxed()
            };
            (select(functions), sources, element, (clamp(), arithmetic(configuration)), steps, any::<Index>())
                .prop_map(move |fields| {
                    let ((function, _), (a, b), constant, ((minimum, maximum), mut arithmetic), mut sequence, base) =
                        fields;
                    if !extended {
                        (sequence.base, sequence.delta) =
                            if noisy { (base.index(4) as u32, sequence.delta) } else { (0, [0; LEVELS]) };
                    }
                    if b.is_some() {
                        arithmetic.scalar = ScalarOperand::None;
                    }
                    Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, sequence }
                })
                .boxed()
        }
    };
    let operation = match softmax(configuration).filter(|_| unit == Unit::Vector) {
        Some(softmax) => prop_oneof![2 => operation, 1 => softmax].boxed(),
        None => operation,
    };
    let operation = prop_oneof![1 => Just(Operation::Nop), 6 => operation];
    (configuration.minimum_interval()..=configuration.longest_interval(), operation)
        .prop_map(|(interval, operation)| Instruction { interval, operation })
        .boxed()
}

/// A softmax of a machine that has one and counts as far as its gap.
fn softmax(configuration: &Configuration) -> Option<impl Strategy<Value = Operation> + use<>> {
    let lanes = configuration.stream_elements;
    let (latency, longest) = (Latency::of(configuration).softmax?, configuration.longest_loop());
    let gaps = latency.gap..=configuration.longest_gap();
    if gaps.is_empty() {
        return None;
    }
    let most_words = (Softmax::LONGEST_ROW as u32 / lanes).min(longest);
    let pauses = latency.word_interval - 1..=configuration.longest_pause();
    let shape = (1..=most_words, 1..=longest / 3, gaps, pauses, any::<Index>());
    let named = (source(configuration), 0..configuration.softmax_tables);
    Some((shape, named).prop_map(move |((words, rows, gap, pause, length), (source, table))| {
        let count = [words, 3 * rows, 1, 1];
        let length = (words - 1) * lanes + 1 + length.index(lanes as usize) as u32;
        let sequence = Sequence { count, delta: [0; LEVELS], run_levels: 1, gap, pause, ..Sequence::linear(0, 1) };
        Operation::Softmax { source, table, length, sequence }
    }))
}

/// A machine, one of its units, and a valid instruction of that unit.
pub fn placed_instruction(noisy: bool) -> impl Strategy<Value = (Configuration, Unit, Instruction)> {
    (configuration(), any::<Index>()).prop_flat_map(move |(configuration, index)| {
        let unit = *index.get(&Unit::all(&configuration));
        let repeat = (3..=configuration.longest_interval(), 1..configuration.queue_depth, 2..=MOST_TIMES);
        let shortest = configuration.minimum_interval();
        let repeat = repeat.prop_map(move |(interval, back, times)| Instruction {
            interval: interval.max(shortest),
            operation: Operation::Repeat { back, times },
        });
        let weight = u32::from(configuration.extensions.is_some());
        let any = prop_oneof![9 => instruction(unit, &configuration, noisy), weight => repeat];
        any.prop_map(move |instruction| (configuration.clone(), unit, instruction))
    })
}

fn queue(unit: Unit, configuration: &Configuration, layers: u32) -> impl Strategy<Value = Queue> + use<> {
    let placed = (instruction(unit, configuration, true), proptest::option::of(0..layers.max(1)));
    let halt = Instruction { interval: configuration.minimum_interval(), operation: Operation::Halt };
    let halt = Placed { instruction: halt, layer: None };
    vec(placed, 0..4).prop_map(move |placed| {
        let instructions = placed
            .into_iter()
            .map(|(instruction, layer)| Placed { instruction, layer: layer.filter(|&layer| layer < layers) });
        Queue { unit, instructions: instructions.chain([halt.clone()]).collect() }
    })
}

fn region(configuration: &Configuration) -> impl Strategy<Value = Region> + use<> {
    let elements = configuration.dot;
    let (slices, beats) = (configuration.vector_slices, configuration.vector_beats());
    (".{0,8}", 0..slices, 0..beats, vec(0..elements, 0..4)).prop_map(|(tensor, slice, base, positions)| Region {
        tensor,
        slice,
        base,
        beats: 1,
        positions,
    })
}

fn layer(configuration: &Configuration) -> impl Strategy<Value = Layer> + use<> {
    ("\\PC{0,8}[\n;= ]?\\PC{0,4}", ".{0,8}", any::<u32>(), region(configuration)).prop_map(
        |(name, operator, number, result)| Layer {
            name,
            operator,
            macs: u64::from(number),
            tiles: number % 40,
            start: u64::from(number % 1000),
            end: u64::from(number % 10_000),
            result,
            band: number.is_multiple_of(3).then_some(Band { row: number / 5, rows: number % 7, element: number % 100 }),
        },
    )
}

/// As many softmaxes as a machine has tables.
fn softmaxes(tables: u32, seed: u64) -> Vec<Softmax> {
    let scale = |table: u32| f64::from((seed % 900) as u32 + table + 1) / 1000.0;
    (0..tables).filter_map(|table| Softmax::new(scale(table), 1.0)).collect()
}

/// A scale that has a form in the scale table.
pub fn scale() -> impl Strategy<Value = Scale> {
    (prop_oneof![1 => Just(0), 8 => Scale::LEAST_MULTIPLIER..=i32::MAX], -31..=30, any::<i32>())
        .prop_map(|(multiplier, shift, bias)| Scale { multiplier, shift, bias })
}

/// A program that is valid word by word; as a schedule it is nonsense.
pub fn program() -> impl Strategy<Value = Program> {
    configuration().prop_flat_map(|configuration| {
        let c = &configuration;
        let dot = c.dot as usize;
        let words = 0..(c.weight_depth as usize).min(4);
        let weights = vec(words.prop_flat_map(move |words| vec(any::<i8>(), words * dot)), c.tiles as usize);
        let scales = vec(vec(scale(), c.stream_elements as usize), 0..3);
        let regions = (region(c), region(c));
        let names = (".{0,8}", ".{0,8}", any::<u64>(), any::<u64>());
        let layers = vec(layer(c), 0..3);
        (Just(configuration), weights, scales, regions, names, layers).prop_flat_map(
            |(configuration, weights, scales, (input, output), (model, board, macs, cycles), layers)| {
                let units = Unit::all(&configuration);
                let queues: Vec<_> =
                    units.iter().map(|&unit| queue(unit, &configuration, layers.len() as u32)).collect();
                queues.prop_map(move |queues| Program {
                    format: FORMAT,
                    model: model.clone(),
                    board: board.clone(),
                    configuration: configuration.clone(),
                    weights: weights.clone(),
                    scales: scales.clone(),
                    queues,
                    input: input.clone(),
                    more_input: vec![InputPart { element: 0, region: output.clone() }],
                    input_fill: -7,
                    output: output.clone(),
                    layers: layers.clone(),
                    macs,
                    cycles,
                    constants: vec![],
                    softmaxes: softmaxes(configuration.softmax_tables, cycles),
                    finish: None,
                    language: None,
                })
            },
        )
    })
}
