//! Sums of products over windows: what convolutions, depthwise convolutions, average pools and means have in common.
//!
//! A run of the tiles makes the results of `positions` neighbouring output positions and `blocks` blocks of channels, a row of
//! tiles each: the vector memory streams every beat that any of them reads, once, and a tile whose own window does not hold a beat
//! has zeros for weights there. That one mechanism splits a layer by output channel (rows of tiles with different blocks) and by
//! position (rows with the same block), across rows and columns of the image.
//!
//! # Turns
//!
//! Where blocks of output channels read blocks of their own (depthwise and grouped convolutions), `t` runs can share their words of
//! weights: the rows of tiles of turn 0 have the weights of `g` blocks, those of turn 1 the ones of the next `g`, and so on. All rows
//! multiply in every run, but in one of turn *u* the stream is what the rows of turn *u* have weights for, and the requantiser takes
//! their results alone off the drain. A layer then takes a `t`th of the words of weights that its runs take one by one. Its runs are no
//! shorter, and only `g y x` rows of tiles are of use in each.
//!
//! # Separate sums
//!
//! Where the machine has separate sums and each output channel reads the input channel of its own number, each multiplier of a tile may make
//! a result of its own: `g y x` is then at most `dot` times the whole rows of tiles, `drain` counts as many rows of results, and all `dot`
//! weights of a word are of use. The compiler searches for a program with such products and for one without, and takes the one of fewer
//! cycles.
//!
//! # Cost
//!
//! With a window of `h × w` taps at strides `sy` and `sx`, `y × x` positions and `g` blocks in a run, which read `b` blocks of the
//! input of `q` beats each, a run takes
//!
//! ```text
//! period = max(q b ((y - 1) sy + h) ((x - 1) sx + w), drain)          drain: the cycles of all rows of results
//! ```
//!
//! cycles and a layer `period × runs`; where `y`, `x` or `g` do not divide, the rest is a part of its own with its own period.
//! `search::best` looks through all `g`, `y` and `x` with `g y x` rows of tiles at most, with and without runs that overlap, cuts the rests
//! below and beside again by the same search, and takes the fewest cycles; of equal ones the fewest words of weights. Where the
//! weights of a whole network do not fit so, words of weights are given a price, and the search looks through the turns too, `t g y x`
//! rows of tiles at most. [`plan`] is exact: what it says is what the tiles take from the first step of the layer to the first that the
//! next layer may take. Alone in a network, a layer takes `beats` instead of `period` for its last run, and what [`cost`](super::cost) adds.

use super::layout::Layout;
use super::nest::{Nest, repeat};
use super::search::{Prices, Question, best};
use super::split::{Part, Split, block_steps, cycles, parts, same_weights, span};
use super::{Lowered, Lowering, Target};
use crate::error::{CompileError, Resource};
use crate::graph::Plane;
use crate::schedule::{Draft, Stored};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::program::{Region, Scale};
use lpu_isa::sequence::Sequence;
use std::ops::Range;

/// The taps of a window along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// Taps.
    pub taps: u64,
    /// The input row or column that tap 0 of output 0 reads; negative in the padding.
    pub first: i64,
    /// From one output to the next.
    pub stride: u64,
    /// From one tap to the next.
    pub dilation: u64,
    /// The outputs that are computed.
    pub from: u64,
    /// How many of them.
    pub outputs: u64,
}

/// A product over windows, for a rectangle of the output.
pub struct Product<'a> {
    /// Along the rows.
    pub rows: Axis,
    /// Along the columns.
    pub columns: Axis,
    /// The input channels that an output channel reads.
    pub reads: &'a dyn Fn(u64) -> Range<u64>,
    /// The weight of an output channel at a tap (row, column) for an input channel that it reads.
    pub weight: &'a dyn Fn(u64, (u64, u64), u64) -> i8,
    /// Are the weights the same for all output channels, each of which reads the input channel of its own number? Then all passes take
    /// the same words.
    pub alike: bool,
    /// Does each group of tiles hear a stream of its own? Each output channel then reads the input channel of its own number, a block
    /// has as many beats as there are groups, and the input has a copy in another slice.
    pub streams: bool,
    /// The column of the result where output 0 of the columns goes, and how far on each further one does.
    pub columns_at: (u64, u64),
    /// Scale and bias of an output channel.
    pub scale: &'a dyn Fn(u64) -> Scale,
    /// Added behind the scaling.
    pub zero_point: i32,
    /// Least result.
    pub minimum: i32,
    /// Largest result.
    pub maximum: i32,
}

/// Can `product` give each group of tiles a stream of its own, if each output channel reads the input channel of its own number?
#[must_use]
pub fn has_streams(input: &Stored, layout: &Layout, configuration: &Configuration) -> bool {
    let groups = u64::from(configuration.tile_groups());
    input.twin.is_some() && groups == 2 && layout.block_beats == groups && layout.channels >= layout.block_channels
}

/// The cycles that the tiles take for `product` in its best split: the formula above.
#[must_use]
pub fn plan(product: &Product<'_>, input: &Layout, output: &Layout, configuration: &Configuration) -> Option<u64> {
    let pieces = best(product, [input, output], configuration, Prices::NONE)?;
    parts(product, &pieces, [input, output], configuration).map(|parts| cycles(&parts))
}

/// Where a product reads and writes.
pub struct Place<'a> {
    /// The layer.
    pub name: &'a str,
    /// What it reads.
    pub input: &'a Stored,
    /// How that stands.
    pub input_layout: Layout,
    /// Where its result goes.
    pub result: &'a Region,
    /// How it stands there.
    pub layout: Layout,
    /// Slice and first beat of its copy, if there is one.
    pub twin: Option<(u32, u32)>,
    /// Last cycle in which former content of the result's place is read.
    pub last_read: u64,
    /// For each beat of the result, the first cycle in which it may be read: renewed.
    pub ready: &'a mut [u64],
}

impl<'a> Place<'a> {
    /// From an input and its layout to the image `stored`, which has been placed for `target` where former content is read until
    /// `last_read`.
    pub fn of(
        target: &Target<'a>,
        (input, input_layout): (&'a Stored, Layout),
        stored: &'a mut Stored,
        last_read: u64,
    ) -> Place<'a> {
        Place {
            name: target.name,
            input,
            input_layout,
            result: &stored.region,
            layout: target.layout,
            twin: stored.twin,
            last_read,
            ready: &mut stored.ready,
        }
    }
}

/// Places `product` behind everything placed so far.
///
/// # Errors
/// A memory that is too small, or a layer beyond the counters.
pub fn lower(
    lowering: &mut Lowering<'_>,
    product: &Product<'_>,
    place: &mut Place<'_>,
    number: u32,
) -> Result<Lowered, CompileError> {
    let configuration = lowering.schedule.configuration.clone();
    let latency = lowering.schedule.latency.clone();
    let name = place.name;
    let (input, output) = (place.input_layout, place.layout);
    let prices = Prices {
        thrift: lowering.thrift,
        instruction: lowering.schedule.instruction_price,
        separate: lowering.separate,
    };
    let question = Question::of(product, [&input, &output], prices);
    let answer = || best(product, [&input, &output], &configuration, prices);
    let pieces = lowering.tables.splits.get(&question, answer);
    let parts = pieces.and_then(|pieces| parts(product, &pieces, [&input, &output], &configuration));
    let Some(parts) = parts else {
        let why = "no row of tiles is as wide as a block of its channels".to_string();
        return Err(CompileError::Unsupported { layer: name.into(), why });
    };
    let pace = configuration.requantise_interval;
    let word = u64::from(configuration.beats_per_word());
    let requantise_after = |part: &Part| part.beats as i64 - 1 + i64::from(latency.step_to_drain);
    let read_offset = -i64::from(latency.vector_read);
    let groups = output.block_beats as u32;
    let mut drafts = Vec::new();
    // What is read at which step, and written, counted from the layer's first step.
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let mut placed: Vec<(&Part, u32)> = Vec::new();
    for part in &parts {
        let rows = part.split.taken();
        let gap = |steps: u64| {
            u32::try_from(part.period - steps).ok().filter(|&gap| gap <= configuration.longest_gap()).ok_or_else(|| {
                let (what, value) = ("the input of one product, in beats,", part.period);
                CompileError::TooLarge { layer: name.into(), what, value, limit: configuration.longest_gap().into() }
            })
        };
        let (run_gap, row_gap) = (gap(part.beats)?, gap((rows - 1) * u64::from(pace) + 1)?);
        let nests = |order: Order| nests(part, product, [&input, &output], place, (word, order));
        let (rows_first, passes_first) = (nests(Order::Row), nests(Order::Pass));
        let reads_of = |nests: &Nests| nests.reads.pieces(name, &configuration, run_gap, 0);
        // The order that takes the fewest reads, of which there are most, where turns multiply instructions or they are scarce.
        let scarce = part.split.turns > 1 || lowering.schedule.is_sparing();
        let fewer = scarce && reads_of(&passes_first)?.len() < reads_of(&rows_first)?.len();
        let nests = if fewer { passes_first } else { rows_first };
        let known = placed.iter().find(|(before, _)| same_weights(product, before, part)).map(|&(_, base)| base);
        let weights = match known {
            Some(base) => base,
            None => add_weights(lowering, name, part, product, [&input, &output])?,
        };
        placed.push((part, weights));
        let (scales, uniform) = scale_entries(part, product, &output, &configuration);
        let scales = lowering.add_scales(name, scales)?;
        let scale_nest = if uniform { nests.scales.still() } else { nests.scales };
        let start = part.start as i64;
        let offset = |piece: &super::nest::Piece| (piece.runs_before * part.period) as i64;
        let twin = place.input.twin.filter(|_| product.streams);
        let source_of = |group: u32| match twin {
            Some((slice, _)) if group > 0 => Source::Slice(slice),
            _ => Source::Slice(place.input.region.slice),
        };
        let multiply = Nest { base: i64::from(weights), ..nests.weights };
        for piece in multiply.pieces(name, &configuration, run_gap, 0)? {
            for group in 0..groups {
                drafts.push(Draft {
                    unit: Unit::TileGroup(group),
                    offset: start + offset(&piece),
                    operation: Operation::Multiply {
                        source: source_of(group),
                        drain: part.split.drain(),
                        sequence: piece.sequence,
                    },
                });
            }
        }
        for piece in nests.reads.pieces(name, &configuration, run_gap, 0)? {
            let first = start + offset(&piece) + read_offset;
            reads.extend(piece.sequence.steps().map(|step| (first + i64::from(step.offset), step.address)));
            drafts.push(Draft {
                unit: Unit::Read(place.input.region.slice),
                offset: first,
                operation: Operation::Read { sequence: piece.sequence },
            });
            if let Some((slice, base)) = twin {
                // The second beat of each block, from the copy.
                let sequence =
                    Sequence { base: piece.sequence.base - place.input.region.base + base + 1, ..piece.sequence };
                reads.extend(sequence.steps().map(|step| {
                    let address = step.address + i64::from(place.input.region.base) - i64::from(base);
                    (first + i64::from(step.offset), address)
                }));
                let operation = Operation::Read { sequence };
                drafts.push(Draft { unit: Unit::Read(slice), offset: first, operation });
            }
        }
        let requantise = start + requantise_after(part) + (part.first_row() * u64::from(pace)) as i64;
        let own = if uniform { 0 } else { part.block - part.first_turn().0 };
        let scale_nest = Nest { base: i64::from(scales) + own as i64, ..scale_nest };
        for piece in scale_nest.pieces(name, &configuration, row_gap, pace - 1)? {
            drafts.push(Draft {
                unit: Unit::Requantiser,
                offset: requantise + offset(&piece),
                operation: Operation::Requantise {
                    from: RequantiseFrom::Tiles,
                    zero_point: product.zero_point,
                    minimum: product.minimum,
                    maximum: product.maximum,
                    tracking: Tracking::default(),
                    sequence: piece.sequence,
                },
            });
        }
        for piece in nests.writes.pieces(name, &configuration, row_gap, pace - 1)? {
            let first = requantise + i64::from(latency.requantise) + offset(&piece);
            writes.extend(piece.sequence.steps().map(|step| (first + i64::from(step.offset), step.address)));
            let base = piece.sequence.base - place.result.base;
            for (slice, region) in std::iter::once((place.result.slice, place.result.base)).chain(place.twin) {
                drafts.push(Draft {
                    unit: Unit::Write(slice),
                    offset: first,
                    operation: Operation::Write {
                        source: Source::Requantiser,
                        last_beats: output.block_beats.min(word) as u32,
                        sequence: Sequence { base: region + base, ..piece.sequence },
                    },
                });
            }
        }
    }
    let mut origin = i64::max(1, 1 - read_offset);
    for &(step, address) in &reads {
        let beat = address - i64::from(place.input.region.base);
        let ready = usize::try_from(beat).ok().and_then(|beat| place.input.ready.get(beat)).copied().unwrap_or(0);
        origin = origin.max(ready as i64 - step);
    }
    let first_write = writes.iter().map(|&(step, _)| step).min().unwrap_or(0);
    origin = origin.max(place.last_read as i64 + 1 - first_write);
    if let Some(first) = parts.first() {
        origin = origin.max(lowering.schedule.drain_free_from() as i64 - (first.beats as i64 - 1));
    }
    let origin = lowering.schedule.earliest(origin as u64, &drafts);
    lowering.schedule.place(origin, &drafts, Some(number));
    if let Some(last) = parts.last() {
        lowering.schedule.note_drain(origin + last.last_step(), last.split.drain());
    }
    for (step, address) in writes {
        let landed = (origin as i64 + step) as u64 + u64::from(latency.write_to_read);
        let first = (address - i64::from(place.result.base)) as usize;
        for beat in &mut place.ready[first..first + output.block_beats.min(word) as usize] {
            *beat = landed;
        }
        lowering.schedule.note_end(landed);
    }
    let last_read = reads.iter().map(|&(step, _)| step).max().unwrap_or(0);
    let rows = parts.iter().map(|part| part.split.taken().div_ceil(part.split.sums(&configuration))).max().unwrap_or(0);
    let wide = output.block_channels.min(output.channels);
    let tiles = (rows * wide).min(configuration.tiles.into()) as u32;
    let result =
        Stored { region: place.result.clone(), ready: place.ready.to_vec(), layout: Some(output), twin: place.twin };
    Ok(Lowered {
        result,
        tiles,
        start: (origin as i64 + read_offset).max(0) as u64,
        last_read: (origin as i64 + last_read) as u64,
    })
}

/// What is in the middle of the loops over a part's runs: columns are the innermost.
#[derive(Clone, Copy)]
enum Order {
    /// Rows, then passes.
    Row,
    /// Passes, then rows. Where blocks and rows of the input stand at one distance they are one loop.
    Pass,
}

/// The loops of all units of a part.
struct Nests {
    reads: Nest,
    weights: Nest,
    scales: Nest,
    writes: Nest,
}

/// The loops of a run's reads: block beats, columns, blocks, rows.
pub(super) fn run_reads(part: &Part, product: &Product<'_>, input: &Layout) -> [(u64, i64); 4] {
    let step = |axis: &Axis, outputs: u64| if outputs == 1 { axis.dilation.max(1) } else { 1 };
    let across = step(&product.columns, part.split.columns) * input.block_beats;
    let down = step(&product.rows, part.split.rows) * input.row_pitch();
    [
        (block_steps(product, input), 1),
        (span(&product.columns, part.split.columns), across as i64),
        (part.reads.end - part.reads.start, input.block_pitch() as i64),
        (span(&product.rows, part.split.rows), down as i64),
    ]
}

fn nests(
    part: &Part,
    product: &Product<'_>,
    [input, output]: [&Layout; 2],
    place: &Place<'_>,
    (word, order): (u64, Order),
) -> Nests {
    let Part { split, .. } = part;
    let grid = |across: i64, down: i64, pass: i64| {
        let (across, down, pass) =
            (repeat(part.column_runs, across), repeat(part.row_runs, down), repeat(part.passes, pass));
        match order {
            Order::Row => vec![across, down, pass],
            Order::Pass => vec![across, pass, down],
        }
    };
    let inner = run_reads(part, product, input).map(|(count, stride)| repeat(count, stride)).to_vec();
    let column = product.columns.first + (part.column * product.columns.stride) as i64;
    let row = product.rows.first + (part.row * product.rows.stride) as i64;
    let reads = Nest {
        base: i64::from(place.input.region.base) + input.beat(row, column, part.reads.start),
        inner,
        outer: grid(
            (split.columns * product.columns.stride * input.block_beats) as i64,
            (split.rows * product.rows.stride * input.row_pitch()) as i64,
            (part.reads_step * input.block_pitch()) as i64,
        ),
        fixed_first: false,
    };
    // All passes take the same words where they are alike, and so do all taps.
    let steps = part.weight_steps(product, input) as i64;
    let pass = if part.weight_passes(product) == 1 { 0 } else { steps };
    let weights = if part.taps_alike(product) {
        let [(halves, _), (across, _), (blocks, _), (down, _)] = run_reads(part, product, input);
        vec![repeat(halves, 1), repeat(across, 0), repeat(blocks, halves as i64), repeat(down, 0)]
    } else {
        vec![repeat(part.beats, 1)]
    };
    let weights = Nest { base: 0, inner: weights, outer: grid(0, 0, pass), fixed_first: false };
    let scales = Nest {
        base: 0,
        inner: vec![repeat(split.blocks, 1), repeat(split.columns, 0), repeat(split.rows, 0)],
        outer: grid(0, 0, part.block_step() as i64),
        fixed_first: false,
    };
    let (first_column, column_step) = product.columns_at;
    let position = (output.block_beats * column_step) as i64;
    let (block, line) = (output.block_pitch() as i64, output.row_pitch() as i64);
    let first_column = (first_column + part.column * column_step) as i64;
    let narrow = output.block_beats < word;
    // Narrow words are cut at the end of each innermost loop: it is one word.
    let mut inner = if narrow { vec![repeat(1, 0)] } else { vec![] };
    inner.extend([repeat(split.blocks, block), repeat(split.columns, position), repeat(split.rows, line)]);
    let writes = Nest {
        base: i64::from(place.result.base) + output.beat(part.row as i64, first_column, part.block),
        inner,
        outer: grid(split.columns as i64 * position, split.rows as i64 * line, part.block_step() as i64 * block),
        fixed_first: narrow,
    };
    Nests { reads, weights, scales, writes }
}

/// Puts the part's words into the weight RAMs and returns their first address.
fn add_weights(
    lowering: &mut Lowering<'_>,
    name: &str,
    part: &Part,
    product: &Product<'_>,
    [input, output]: [&Layout; 2],
) -> Result<u32, CompileError> {
    let configuration = &lowering.schedule.configuration;
    let dot = u64::from(configuration.dot);
    let words = part.words(product, input);
    if words > u64::from(configuration.weight_depth) {
        let base = lowering.weights.first().map_or(0, Vec::len) as u64 / dot;
        return Err(weights_do_not_fit(lowering, name, base.saturating_add(words)));
    }
    let [(halves, _), (across, _), (blocks, _), (down, _)] = run_reads(part, product, input);
    let (across, down) = if part.taps_alike(product) { (1, 1) } else { (across, down) };
    let elements = u64::from(configuration.stream_elements);
    // Results of a tile: of one multiplier each, or of a channel each.
    let parts = part.split.sums(configuration);
    let bits = configuration.weight_bits;
    let (least, largest) = (-(1i32 << (bits - 1)), (1i32 << (bits - 1)) - 1);
    let Split { blocks: own_blocks, columns, .. } = part.split;
    let (first_block, first_read) = part.first_turn();
    // The tap that the step's row or column is for an output of the run.
    let tap = |axis: &Axis, outputs: u64, index: u64, offset: u64| {
        let at = if outputs == 1 { Some(offset) } else { offset.checked_sub(index * axis.stride) };
        at.filter(|&tap| tap < axis.taps)
    };
    let mut wrong = None;
    let mut block = vec![Vec::with_capacity((words * dot) as usize); configuration.tiles as usize];
    for (tile, ram) in block.iter_mut().enumerate() {
        let (tile_row, lane) = (tile as u64 / elements, tile as u64 % elements);
        for pass in 0..part.weight_passes(product) {
            // What the tile computes: a channel and the position in the run, for each of its parts, in a turn of theirs, in which the
            // stream begins with a block.
            let results: Vec<Option<(u64, u64, u64, u64)>> = (0..parts)
                .map(|piece| {
                    let row = tile_row * parts + piece;
                    let (turn, row) = (row / part.split.taken(), row % part.split.taken());
                    let block = first_block + pass * part.block_step() + turn * own_blocks + row % own_blocks;
                    let (x, y) = (row / own_blocks % columns, row / own_blocks / columns);
                    let channel = block * output.block_channels + lane;
                    let computes = turn < part.split.turns && lane < output.block_channels && channel < output.channels;
                    computes.then_some((channel, x, y, first_read + pass * part.reads_step + turn * part.reads_of_turn))
                })
                .collect();
            let ranges: Vec<Range<u64>> =
                results.iter().map(|result| result.map_or(0..0, |(channel, ..)| (product.reads)(channel))).collect();
            for (dy, block, dx, half) in (0..down).flat_map(|dy| {
                (0..blocks).flat_map(move |block| {
                    (0..across).flat_map(move |dx| (0..halves).map(move |half| (dy, block, dx, half)))
                })
            }) {
                for multiplier in 0..dot {
                    // With streams of their own, the groups hear different beats of a block.
                    let half = if product.streams { lane / dot } else { half };
                    let element = if part.split.separate { lane % dot } else { multiplier };
                    let lane = half * dot + element;
                    let weight = |piece: usize| {
                        let (channel, x, y, first) = results[piece]?;
                        let from = (first + block) * input.block_channels + lane;
                        let inside =
                            lane < input.block_channels && from < input.channels && ranges[piece].contains(&from);
                        let row = tap(&product.rows, part.split.rows, y, dy)?;
                        let column = tap(&product.columns, columns, x, dx)?;
                        inside.then(|| (product.weight)(channel, (row, column), from))
                    };
                    let mut value = |piece: usize| {
                        let weight = weight(piece).unwrap_or(0);
                        if !(least..=largest).contains(&i32::from(weight)) {
                            wrong = Some(weight);
                        }
                        weight
                    };
                    ram.push(match parts {
                        _ if part.split.separate => value(multiplier as usize),
                        1 => value(0),
                        _ => value(0) & 0xf | value(1) << 4,
                    });
                }
            }
        }
    }
    match wrong {
        Some(weight) => Err(super::weight_too_wide(name, weight, bits)),
        None => lowering.place_weights(name, block),
    }
}

pub(super) fn weights_do_not_fit(lowering: &Lowering<'_>, name: &str, needed: u64) -> CompileError {
    let configuration = &lowering.schedule.configuration;
    let mut larger = configuration.clone();
    larger.weight_depth = u32::try_from(needed).unwrap_or(u32::MAX);
    let block_rams = u64::from(lpu_isa::resources::weight_block_rams(&larger))
        - u64::from(lpu_isa::resources::weight_block_rams(configuration));
    CompileError::DoesNotFit {
        model: lowering.model.into(),
        layer: name.into(),
        resource: Resource::WeightRam,
        needed,
        available: u64::from(configuration.weight_depth),
        what: "words of weight RAM in each tile",
        shortfall: format!(": {block_rams} block RAMs short"),
        block_rams,
    }
}

/// The entries of the scale table, one for each block of each pass; a single one, and true, where all channels are alike.
fn scale_entries(
    part: &Part,
    product: &Product<'_>,
    output: &Layout,
    configuration: &Configuration,
) -> (Vec<Vec<Scale>>, bool) {
    let lanes = u64::from(configuration.stream_elements);
    let (first_block, _) = part.first_turn();
    let blocks = first_block..first_block + part.passes * part.block_step();
    let channels = blocks.start * output.block_channels..(blocks.end * output.block_channels).min(output.channels);
    let first = (product.scale)(channels.start);
    if channels.clone().all(|channel| (product.scale)(channel) == first) {
        return (vec![vec![first; lanes as usize]], true);
    }
    let entry = |block: u64| {
        let lane = |lane: u64| {
            let channel = block * output.block_channels + lane;
            if lane < output.block_channels && channel < output.channels {
                (product.scale)(channel)
            } else {
                Scale::default()
            }
        };
        (0..lanes).map(lane).collect()
    };
    (blocks.map(entry).collect(), false)
}

/// Rows and columns of all outputs of a window.
#[must_use]
pub fn axes(window: &crate::graph::Window, output: Plane) -> [Axis; 2] {
    let axis = |taps: usize, padding: usize, stride: usize, dilation: usize, outputs: usize| Axis {
        taps: taps as u64,
        first: -(padding as i64),
        stride: stride as u64,
        dilation: if taps == 1 { 1 } else { dilation as u64 },
        from: 0,
        outputs: outputs as u64,
    };
    let crate::graph::Window { size, stride, dilation, padding } = *window;
    [
        axis(size.rows, padding.top, stride.rows, dilation.rows, output.rows),
        axis(size.columns, padding.left, stride.columns, dilation.columns, output.columns),
    ]
}
