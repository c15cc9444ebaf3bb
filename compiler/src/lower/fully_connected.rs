//! Fully connected layers.
//!
//! `u` channels are computed side by side, one by each tile, or two where the weights are of 4 bits; a layer of `n` channels
//! takes `ceil(n / u)` passes over its input. Channel `i` is computed in pass `i / u` as channel `i % u` of the pass. A pass
//! reads one weight word for each beat of the input, while the vector memory streams the input past all tiles.
//!
//! # Cost
//!
//! With `k` beats of input, and `drain` cycles until all rows of the tiles have left their results to the requantiser: a pass begins
//! `period = max(k, drain)` cycles behind the one before it (and not before its queues are ready), and the layer takes
//!
//! ```text
//! passes × period            cycles of the tiles, of which the last period - k may belong to the next layer already
//! (passes - 1) × period + k  steps, where it is alone ([`cost`])
//! ```
//!
//! The round trip behind the last pass (see [`lpu_isa::latency`]) overlaps with the next layer as far as that layer's first pass does
//! not need the last results.
//!
//! The bias of a channel stands beside its scale, and the requantiser adds it to the sum of products: one entry of the scale
//! table for each row of results of each pass, or a single one where all channels have the same. The zero point of the input is
//! folded into the bias: `Σ w (x - z) = Σ w x - z Σ w`, modulo 2³² on both sides.

use super::cost::{Cost, Products};
use super::{Lowered, Lowering};
use crate::error::{CompileError, Resource};
use crate::graph::FullyConnected;
use crate::schedule::{Draft, Stored};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Drain, Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::program::{Region, Scale};
use lpu_isa::sequence::Sequence;

/// How a layer is spread over the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Channels of a full pass.
    channels: u32,
    /// Passes over the input.
    passes: u32,
    /// Channels of the last pass.
    last_channels: u32,
    /// Beats that a full pass writes.
    beats: u32,
    /// Words that a full pass writes.
    rows: u32,
}

impl Shape {
    fn new(channels: u32, side_by_side: u32, configuration: &Configuration) -> Shape {
        let passes = channels.div_ceil(side_by_side);
        Shape {
            channels: side_by_side,
            passes,
            last_channels: channels - (passes - 1) * side_by_side,
            beats: beats(side_by_side, configuration),
            rows: rows(side_by_side, configuration),
        }
    }

    /// Beats of the whole result.
    fn result_beats(&self, configuration: &Configuration) -> u32 {
        (self.passes - 1) * self.beats + beats(self.last_channels, configuration)
    }

    /// The shape of least cost: cycles of this layer, and the cycles that the beats of its result cost the next one, which
    /// makes `next_passes` passes over them.
    fn best(channels: u32, period: u64, next_passes: u64, configuration: &Configuration) -> Shape {
        let cost = |shape: &Shape| {
            u64::from(shape.passes) * period + next_passes * u64::from(shape.result_beats(configuration))
        };
        let candidates = (1..=configuration.channels()).map(|count| Shape::new(channels, count, configuration));
        // Of equal costs, the fewest tiles.
        candidates.min_by_key(cost).unwrap_or_else(|| Shape::new(channels, 1, configuration))
    }
}

/// Beats that the first `channels` channels of a product take in the rows that drain.
fn beats(channels: u32, configuration: &Configuration) -> u32 {
    configuration.channel_position(channels - 1) / configuration.dot + 1
}

/// Rows that the first `channels` channels of a product take.
fn rows(channels: u32, configuration: &Configuration) -> u32 {
    configuration.channel_position(channels - 1) / configuration.stream_elements + 1
}

/// Cycles from one pass to the next, for so many beats of input.
fn period(input_beats: u32, configuration: &Configuration) -> u32 {
    input_beats.max(configuration.drain_cycles(Drain::AllRows)).max(configuration.minimum_interval())
}

/// The cycles of a layer of `channels` outputs alone, for so many beats of input.
#[must_use]
pub fn cost(channels: u32, input_beats: u32, configuration: &Configuration) -> Cost {
    let period = u64::from(period(input_beats, configuration));
    let shape = Shape::best(channels, period, 0, configuration);
    let (beats, passes) = (u64::from(input_beats), u64::from(shape.passes));
    // Of the last instruction that writes.
    let (own_passes, own_channels) = parts(&shape, configuration)
        .last()
        .map_or((shape.passes, channels), |&(_, passes, channels)| (passes, channels));
    Products {
        first_beats: beats,
        steps: (passes - 1) * period + beats,
        last_beats: beats,
        rows: rows(own_channels, configuration).into(),
        drain: configuration.drain_cycles(Drain::AllRows).into(),
        single: own_passes == 1,
    }
    .cost(configuration)
}

/// Lowers `layer`, which reads `input`. `next_passes` estimates how often the next layer will pass over the result.
///
/// # Errors
/// A memory that is too small, or a layer beyond the counters.
pub fn lower(
    lowering: &mut Lowering<'_>,
    name: &str,
    tensor: &str,
    layer: &FullyConnected,
    input: &Stored,
    next_passes: u64,
    number: u32,
) -> Result<Lowered, CompileError> {
    let configuration = lowering.schedule.configuration.clone();
    let latency = lowering.schedule.latency.clone();
    super::check_rounding(name, layer.accumulation.rounding)?;
    let bits = configuration.weight_bits;
    let range = -(1i32 << (bits - 1))..1 << (bits - 1);
    if let Some(&weight) = layer.weights.iter().find(|&&weight| !range.contains(&i32::from(weight))) {
        return Err(super::weight_too_wide(name, weight, bits));
    }
    let input_beats = input.region.beats;
    let pace = configuration.requantise_interval;
    let period = period(input_beats, &configuration);
    let limit = |what, value: u32, limit: u32| {
        if value > limit {
            let (value, limit) = (u64::from(value), u64::from(limit));
            return Err(CompileError::TooLarge { layer: name.into(), what, value, limit });
        }
        Ok(())
    };
    limit("the input, in beats,", period, configuration.longest_gap())?;
    let channels = layer.output_length as u32;
    let shape = Shape::best(channels, u64::from(period), next_passes, &configuration);
    limit("the number of passes", shape.passes, configuration.longest_loop())?;

    let base = add_weights(lowering, name, layer, input, &shape)?;
    let scales = scale_entries(layer, &shape, &configuration);
    let per_row = scales.len() > 1;
    let scale_base = lowering.add_scales(name, scales)?;

    let result_beats = shape.result_beats(&configuration);
    let next_slice = (input.region.slice + 1) % configuration.vector_slices;
    let (slice, result_base, last_read) = lowering.schedule.allocate(lowering.model, name, result_beats, next_slice)?;

    // All offsets count from the first step of the tiles.
    let gap = period - input_beats;
    let mut drafts = Vec::new();
    let weights = Sequence::repeated(base, input_beats, shape.passes, input_beats as i32, gap);
    let source = Source::Slice(input.region.slice);
    for group in 0..configuration.tile_groups().min(shape.beats) {
        drafts.push(Draft {
            unit: Unit::TileGroup(group),
            offset: 0,
            operation: Operation::Multiply { source, drain: Drain::AllRows, sequence: weights },
        });
    }
    let read_offset = -i64::from(latency.vector_read);
    drafts.push(Draft {
        unit: Unit::Read(input.region.slice),
        offset: read_offset,
        operation: Operation::Read {
            sequence: Sequence::repeated(input.region.base, input_beats, shape.passes, 0, gap),
        },
    });
    let last_step = i64::from(input_beats) - 1;
    let requantise_offset = last_step + i64::from(latency.step_to_drain);
    let write_offset = requantise_offset + i64::from(latency.requantise);
    for (first_pass, passes, channels) in parts(&shape, &configuration) {
        let rows = rows(channels, &configuration);
        let beats = beats(channels, &configuration);
        let later = i64::from(first_pass) * i64::from(period);
        let gap = period - ((rows - 1) * pace + 1);
        let scales = if per_row {
            let stride = shape.rows as i32;
            Sequence::repeated(scale_base + first_pass * shape.rows, rows, passes, stride, gap)
        } else {
            Sequence { delta: [0; 4], ..Sequence::repeated(scale_base, rows, passes, 0, gap) }
        };
        let scales = scales.paced(pace);
        drafts.push(Draft {
            unit: Unit::Requantiser,
            offset: requantise_offset + later,
            operation: Operation::Requantise {
                from: RequantiseFrom::Tiles,
                zero_point: layer.accumulation.output_zero_point,
                minimum: layer.accumulation.minimum,
                maximum: layer.accumulation.maximum,
                tracking: Tracking::default(),
                sequence: scales,
            },
        });
        let word = configuration.beats_per_word();
        let back = shape.beats as i32 - (rows as i32 - 1) * word as i32;
        drafts.push(Draft {
            unit: Unit::Write(slice),
            offset: write_offset + later,
            operation: Operation::Write {
                source: Source::Requantiser,
                last_beats: beats - (rows - 1) * word,
                sequence: Sequence {
                    base: result_base + first_pass * shape.beats,
                    count: [rows, passes, 1, 1],
                    delta: [word as i32, back, 0, 0],
                    run_levels: 1,
                    gap,
                    pause: pace - 1,
                    register: 0,
                },
            },
        });
    }

    // The first pass meets every beat at its earliest; later passes come later.
    let mut origin = i64::max(0, 1 - read_offset);
    for (beat, &ready) in input.ready.iter().enumerate() {
        origin = origin.max(ready as i64 - read_offset - beat as i64);
    }
    // The result may overwrite what has been read; a word must not be read and written in the same cycle.
    origin = origin.max(last_read as i64 + 1 - write_offset);
    origin = origin.max(lowering.schedule.drain_free_from() as i64 - last_step);
    let origin = lowering.schedule.earliest(origin as u64, &drafts);
    lowering.schedule.place(origin, &drafts, Some(number));
    let last_pass = u64::from(shape.passes - 1) * u64::from(period);
    lowering.schedule.note_drain(origin + last_pass + last_step as u64, Drain::AllRows);

    let mut ready = vec![0; result_beats as usize];
    for (beat, cycle) in ready.iter_mut().enumerate() {
        let (pass, row) = (beat as u32 / shape.beats, beat as u32 % shape.beats / configuration.beats_per_word());
        let step = origin as i64 + write_offset + i64::from(pass) * i64::from(period) + i64::from(row * pace);
        *cycle = step as u64 + u64::from(latency.write_to_read);
    }
    let end = ready.iter().copied().max().unwrap_or(0);
    lowering.schedule.note_end(end);
    let positions = (0..channels)
        .map(|channel| {
            let (pass, channel) = (channel / shape.channels, channel % shape.channels);
            pass * shape.beats * configuration.dot + configuration.channel_position(channel)
        })
        .collect();
    let region = Region { tensor: tensor.into(), slice, base: result_base, beats: result_beats, positions };
    Ok(Lowered {
        result: Stored { region, ready, layout: None, twin: None },
        tiles: tiles_at_work(shape.channels.min(channels), &configuration),
        start: (origin as i64 + read_offset) as u64,
        last_read: (origin as i64 + read_offset) as u64 + last_pass + u64::from(input_beats) - 1,
    })
}

/// Tiles that compute the first `channels` channels of a product.
fn tiles_at_work(channels: u32, configuration: &Configuration) -> u32 {
    (0..channels).map(|channel| configuration.channel_place(channel).0 + 1).max().unwrap_or(0)
}

/// First pass, number of passes and channels of each: the full passes, and the last one where it is not full.
fn parts(shape: &Shape, configuration: &Configuration) -> Vec<(u32, u32, u32)> {
    let same = beats(shape.last_channels, configuration) == shape.beats;
    if same {
        return vec![(0, shape.passes, shape.channels)];
    }
    let mut parts = vec![(shape.passes - 1, 1, shape.last_channels)];
    if shape.passes > 1 {
        parts.insert(0, (0, shape.passes - 1, shape.channels));
    }
    parts
}

/// What the requantiser adds to the sums of products: the biases, the input's zero point folded in.
fn folded_biases(layer: &FullyConnected) -> Vec<i32> {
    layer
        .weights
        .chunks_exact(layer.input_length.max(1))
        .enumerate()
        .map(|(channel, weights)| {
            let sum = weights.iter().fold(0i32, |sum, &weight| sum.wrapping_add(i32::from(weight)));
            let bias = layer.accumulation.bias(channel);
            bias.wrapping_sub(sum.wrapping_mul(layer.accumulation.input_zero_point))
        })
        .collect()
}

/// Appends the layer's words to the weight RAMs and returns their first address.
fn add_weights(
    lowering: &mut Lowering<'_>,
    name: &str,
    layer: &FullyConnected,
    input: &Stored,
    shape: &Shape,
) -> Result<u32, CompileError> {
    let configuration = &lowering.schedule.configuration;
    let dot = configuration.dot as usize;
    let base = lowering.weights.first().map_or(0, Vec::len) / dot;
    let words = shape.passes as usize * input.region.beats as usize;
    let needed = (base + words) as u64;
    if needed > u64::from(configuration.weight_depth) {
        let mut larger = configuration.clone();
        larger.weight_depth = u32::try_from(needed).unwrap_or(u32::MAX);
        let block_rams = u64::from(lpu_isa::resources::weight_block_rams(&larger))
            - u64::from(lpu_isa::resources::weight_block_rams(configuration));
        return Err(CompileError::DoesNotFit {
            model: lowering.model.into(),
            layer: name.into(),
            resource: Resource::WeightRam,
            needed,
            available: u64::from(configuration.weight_depth),
            what: "words of weight RAM in each tile",
            shortfall: format!(": {block_rams} block RAMs short"),
            block_rams,
        });
    }
    // Which input element stands at each position; positions in between hold nothing.
    let mut element_at = vec![None; input.region.beats as usize * dot];
    for (element, &position) in input.region.positions.iter().enumerate() {
        element_at[position as usize] = Some(element);
    }
    let parts = configuration.channels_per_tile();
    for (tile, ram) in lowering.weights.iter_mut().enumerate() {
        for pass in 0..shape.passes as usize {
            // What the tile computes in this pass: nothing, or a channel of the layer for each of its own.
            let channels: Vec<Option<usize>> = (0..parts)
                .map(|part| configuration.channel_of(tile as u32, part))
                .map(|channel| (channel < shape.channels).then_some(pass * shape.channels as usize + channel as usize))
                .map(|channel| channel.filter(|&channel| channel < layer.output_length))
                .collect();
            let weight = |channel: Option<usize>, element: Option<usize>| match (channel, element) {
                (Some(channel), Some(element)) => layer.weights[channel * layer.input_length + element],
                _ => 0,
            };
            ram.extend(element_at.iter().map(|&element| match channels[..] {
                [low, high] => weight(low, element) & 0xf | weight(high, element) << 4,
                _ => weight(channels[0], element),
            }));
        }
    }
    Ok(base as u32)
}

/// The entries of the scale table: one where all channels share scale and bias, else one for each word of the result.
fn scale_entries(layer: &FullyConnected, shape: &Shape, configuration: &Configuration) -> Vec<Vec<Scale>> {
    let lanes = configuration.stream_elements as usize;
    let scales: Vec<Scale> =
        layer.accumulation.scales.iter().zip(folded_biases(layer)).map(|(scale, bias)| scale.with_bias(bias)).collect();
    let scale = |channel: usize| scales.get(channel).copied().unwrap_or_default();
    if scales.windows(2).all(|pair| pair[0] == pair[1]) {
        return vec![vec![scale(0); lanes]];
    }
    (0..shape.passes as usize)
        .flat_map(|pass| {
            let mut entries = vec![vec![Scale::default(); lanes]; shape.rows as usize];
            for channel in 0..shape.channels {
                let position = configuration.channel_position(channel) as usize;
                let channel = pass * shape.channels as usize + channel as usize;
                entries[position / lanes][position % lanes] = scale(channel);
            }
            entries
        })
        .collect()
}
