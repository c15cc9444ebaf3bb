//! Language models: a token's way through the machine as a static schedule.
//!
//! | module | holds |
//! | --- | --- |
//! | [`geometry`] | how the model's sizes meet the machine's |
//! | [`plan`] | where weights, scales, constants and vectors stand |
//! | [`job`] | chains of units that are placed as a whole |
//! | [`emitter`] | jobs in time: what each waits for |
//! | [`timeline`] | the queues, and the first hole in them |
//! | [`embedding`] | registers of the token and the position, the token's row |
//! | [`attention`] | projections, RoPE and cache, scores and softmax, weighted sum |
//! | [`feed_forward`] | the other half of a layer |
//! | [`classifier`] | the last norm, the choice of the next token |
//! | [`fields`] | whether instructions can count as far as the sizes ask for |
//!
//! There is one schedule for each number of passes over the keys: the positions of a whole number of passes are a *bucket*. All
//! schedules stand in the same queues, each from an entry point on; which of them runs depends on the position alone and is chosen
//! before it starts. A run takes in one token: the token's slot and the position stand in registers, and the run leaves the slot
//! of the most likely next token and the next position there.

pub mod attention;
pub mod classifier;
pub mod embedding;
pub mod emitter;
pub mod feed_forward;
mod fields;
pub mod geometry;
pub mod job;
pub mod plan;
pub mod timeline;

use crate::error::{CompileError, Resource};
use crate::llama::graph::QuantisedLlama;
use emitter::Emitter;
use geometry::Geometry;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Instruction, Operation};
use lpu_isa::latency::Latency;
use lpu_isa::program::{Entry, FORMAT, Language, Layer, OtherSequence, Placed, Program, Queue, Region};
use plan::{Buffer, Buffers, Plan};
use std::collections::btree_map::{BTreeMap, Entry as Slot};

/// The scalar of the norm's factor.
pub const NORM: u32 = 0;

/// Numbers of the run-time registers.
pub mod register {
    /// Slot of the token.
    pub const TOKEN: u32 = 1;
    /// Position of the token.
    pub const POSITION: u32 = 2;
    /// Tile of the position's keys.
    pub const KEY_TILE: u32 = 3;
    /// Weight address of the position's keys, from the layer's first.
    pub const KEY_ADDRESS: u32 = 4;
    /// Weight address of the position's values, from the layer's first.
    pub const VALUE_ADDRESS: u32 = 5;
    /// Beats to the position's angles.
    pub const ANGLE: u32 = 6;
    /// Tile of the token's row.
    pub const ROW_TILE: u32 = 7;
    /// Weight address of the token's row, from the first.
    pub const ROW_ADDRESS: u32 = 8;
    /// Beats to the word with the token's factor.
    pub const FACTOR: u32 = 9;
    /// Passing results.
    pub const TEMPORARY: u32 = 10;
    /// The number of the last tile.
    pub const LAST_TILE: u32 = 11;
    /// Weight words from the first layer's to those of the layer under way.
    pub const WEIGHTS: u32 = 12;
    /// The same for entries of the scale table.
    pub const SCALES: u32 = 13;
    /// The same for beats of the middles of keys.
    pub const OFFSETS: u32 = 14;
    /// How many there are.
    pub const COUNT: u32 = 14;
    /// Slot of the second sequence's token, where there are two.
    pub const OTHER_TOKEN: u32 = 15;

    /// What the second sequence has for itself in place of register `number` of the first: its layers come half a layer later. Of the
    /// registers that only the embedding uses, and its token's.
    pub fn other(number: u32) -> u32 {
        match number {
            KEY_ADDRESS => ROW_TILE,
            VALUE_ADDRESS => ROW_ADDRESS,
            OFFSETS => FACTOR,
            WEIGHTS => TEMPORARY,
            SCALES => OTHER_TOKEN,
            shared => shared,
        }
    }
}

/// One token under construction, for positions below `positions`.
#[derive(Clone)]
pub struct Token<'a> {
    /// The model.
    pub graph: &'a QuantisedLlama,
    /// Where everything stands.
    pub plan: &'a Plan,
    /// The schedule.
    pub emitter: Emitter,
    /// Positions of the bucket: a whole number of passes over the keys.
    pub positions: u32,
    /// The sequence whose token the jobs under construction are for.
    pub sequence: usize,
    /// In which order the jobs of two sequences are placed, one of [`ORDERS`].
    pub order: usize,
}

/// Orders in which the halves of layers of two sequences can be placed.
pub const ORDERS: usize = 4;

/// Compiles `graph` for `configuration`, which `board` names, with room for `context` positions (at most the model's).
///
/// # Errors
/// [`CompileError`]: the model does not fit, or the machine cannot execute it.
pub fn compile(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    board: &str,
    context: Option<usize>,
) -> Result<Program, CompileError> {
    compile_sequences(graph, configuration, board, context, 1)
}

/// The same for one sequence or two, of which each run takes in a token, both at the same position: the jobs of the one are placed into
/// the holes that those of the other leave. Each has keys, values, vectors and scalars of its own.
///
/// # Errors
/// As [`compile`]; and a number of sequences that is neither one nor two.
pub fn compile_sequences(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    board: &str,
    context: Option<usize>,
    sequences: usize,
) -> Result<Program, CompileError> {
    let unsupported = |why: String| CompileError::Unsupported { layer: graph.name.clone(), why };
    let context = context.unwrap_or(graph.shape.context).min(graph.shape.context) as u32;
    let geometry = Geometry::new(graph, configuration, context.max(1))?;
    if !(1..=2).contains(&sequences) {
        return Err(unsupported(format!("a run takes in a token of one sequence or of two, not of {sequences}")));
    }
    let registers = if sequences > 1 { register::OTHER_TOKEN } else { register::COUNT };
    for (what, needed, available) in [
        ("run-time registers", registers, configuration.registers()),
        ("scalars", sequences as u32 * geometry.scalars(), configuration.scalars()),
    ] {
        if needed > available {
            return Err(unsupported(format!("it needs {needed} {what}, the machine has {available}")));
        }
    }
    let plan = Plan::new(graph, configuration, geometry, sequences)?;
    let Some(extension) = Latency::of(configuration).extensions else {
        return Err(unsupported("the machine has no `extensions`".into()));
    };
    let layers = layers(graph);
    let g = &plan.geometry;
    let new = |positions| Token {
        graph,
        plan: &plan,
        emitter: Emitter::new(configuration, extension),
        positions,
        sequence: 0,
        order: 0,
    };
    // Which order of two sequences leaves the fewest cycles is tried out.
    let schedule = |positions| -> Result<(Vec<Queue>, u64), CompileError> {
        let mut best = new(positions).schedule()?;
        for order in 1..if sequences > 1 { ORDERS } else { 1 } {
            let other = Token { order, ..new(positions) }.schedule()?;
            if other.1 < best.1 {
                best = other;
            }
        }
        Ok(best)
    };
    // As many schedules as fit the queues: one for each pass over the keys, or for each second, fourth, ...
    let mut schedules: BTreeMap<u32, (Vec<Queue>, u64)> = BTreeMap::new();
    let mut step = 1;
    let (queues, entries) = loop {
        let mut queues: Vec<Queue> = Vec::new();
        let mut entries = Vec::new();
        for passes in (step..g.key_passes + step).step_by(step as usize).map(|passes| passes.min(g.key_passes)) {
            let positions = passes * g.full;
            let (bucket, cycles) = match schedules.entry(passes) {
                Slot::Occupied(known) => known.into_mut(),
                Slot::Vacant(vacant) => vacant.insert(schedule(positions)?),
            };
            // All queues begin a schedule at the same instruction.
            let instruction = queues.iter().map(|queue| queue.instructions.len()).max().unwrap_or(0);
            append(&mut queues, bucket.clone(), instruction, configuration);
            let last = (positions as usize).min(context as usize);
            let macs = graph.shape.multiply_accumulates(last) * sequences as u64;
            let (instruction, positions) = (instruction as u32, positions.min(context));
            entries.push(Entry { instruction, positions, cycles: *cycles, macs });
        }
        let longest = queues.iter().map(|queue| queue.instructions.len()).max().unwrap_or(0);
        if longest <= configuration.queue_depth as usize {
            break (queues, entries);
        }
        let most = if plan.second_angles < context { plan.second_angles / g.full } else { g.key_passes };
        if step >= most {
            return Err(CompileError::DoesNotFit {
                model: graph.name.clone(),
                layer: "the fewest schedules for all lengths of the context".into(),
                resource: Resource::Queue,
                needed: longest as u64,
                available: u64::from(configuration.queue_depth),
                what: "instructions in one queue",
                shortfall: String::new(),
                block_rams: 0,
            });
        }
        step *= 2;
    };
    fields::check(&queues, &graph.name, configuration)?;
    let slots = (0..graph.shape.vocabulary as u32).map(|token| g.slot(token)).collect();
    let beats = plan.classifier.passes * plan.classifier.rows * g.beats_per_word;
    let places: Vec<u32> = (0..graph.shape.vocabulary as u32)
        .map(|token| token / g.tiles * plan.classifier.rows * g.elements + token % g.tiles)
        .collect();
    let output = |buffers: &Buffers| {
        let Buffer { slice, base } = buffers.logits;
        Region { tensor: "logits".into(), slice, base, beats, positions: places.clone() }
    };
    let others = plan.buffers.iter().skip(1).map(|buffers| OtherSequence {
        token: register::OTHER_TOKEN,
        norm: g.scalars() + NORM,
        output: output(buffers),
    });
    let others = others.collect();
    let output = output(&plan.buffers[0]);
    let input = Region { tensor: "token".into(), slice: 0, base: 0, beats: 0, positions: vec![] };
    let (macs, cycles) = entries.first().map_or((0, 0), |entry| (entry.macs, entry.cycles));
    let Plan { weights, scales, constants, tables, .. } = plan;
    let (token, position) = (register::TOKEN, register::POSITION);
    let language = Language { constants, tables, entries, token, position, slots, context, others };
    Ok(Program {
        format: FORMAT,
        model: graph.name.clone(),
        board: board.into(),
        configuration: configuration.clone(),
        weights,
        scales,
        queues,
        input,
        more_input: vec![],
        input_fill: 0,
        output,
        layers,
        macs,
        cycles,
        constants: vec![],
        finish: None,
        language: Some(language),
    })
}

impl<'a> Token<'a> {
    /// The buffers of the sequence under way.
    fn buffers(&self) -> &'a Buffers {
        &self.plan.buffers[self.sequence]
    }

    /// The register of its token's slot.
    fn token(&self) -> u32 {
        if self.sequence == 0 { register::TOKEN } else { register::OTHER_TOKEN }
    }

    /// The scalar of its norm's factor.
    fn norm(&self) -> u32 {
        self.sequence as u32 * self.plan.geometry.scalars() + NORM
    }

    /// The scalar of one of its heads; see [`Geometry::scalar_of`].
    fn scalar_of(&self, block: u32, number: u32, stream: u32) -> u32 {
        self.norm() + self.plan.geometry.scalar_of(block, number, stream)
    }

    /// The register that is `number` of the first sequence, of the one under way.
    fn register(&self, number: u32) -> u32 {
        if self.sequence == 0 { number } else { register::other(number) }
    }

    /// Layer `number`. A second sequence follows half a layer behind: of it, the second half of the layer before and the first half of
    /// this one. Behind the last layer, only what is left of the second sequence.
    fn layer(&mut self, number: usize) {
        self.emitter.layer = 1 + number as u32;
        let exists = number < self.graph.layers.len();
        if self.plan.buffers.len() == 1 {
            if exists {
                self.half(0, number, false);
                self.half(0, number, true);
            }
            return;
        }
        let before = number.checked_sub(1);
        let here = exists.then_some(number);
        let (first, second) = ((0, here, false), (0, here, true));
        let (other_first, other_second) = ((1, here, false), (1, before, true));
        let halves = match self.order {
            0 => [first, other_second, second, other_first],
            1 => [other_second, first, second, other_first],
            2 => [other_second, first, other_first, second],
            _ => [first, other_second, other_first, second],
        };
        for (sequence, number, second) in halves {
            if let Some(number) = number {
                self.half(sequence, number, second);
            }
        }
    }

    /// A half of layer `number` of a sequence.
    fn half(&mut self, sequence: usize, number: usize, second: bool) {
        self.sequence = sequence;
        if !second {
            return self.attention(number);
        }
        self.feed_forward(number);
        if self.graph.layers.len() > 1 {
            self.next_layer();
        }
    }

    /// The whole token: its queues, and its cycles.
    ///
    /// One layer's instructions serve all of them, where there are several: each layer comes the same number of cycles behind the one
    /// before, as early as a layer that follows another can.
    ///
    /// # Errors
    /// As [`compile`].
    fn schedule(mut self) -> Result<(Vec<Queue>, u64), CompileError> {
        let count = self.graph.layers.len();
        self.embedding()?;
        // What of two sequences comes before the layers that are alike.
        let first = self.plan.buffers.len() - 1;
        for number in 0..first {
            self.layer(number);
        }
        let begin = self.clone();
        let mut starts = Vec::new();
        for number in first..count.min(first + 3) {
            starts.push(self.emitter.jobs());
            self.layer(number);
        }
        if let [.., before, last] = starts[..] {
            // Jobs of a layer that follows another, from its first one's origin.
            let origins = self.emitter.origins_from(last).to_vec();
            let origin_of = |job: usize| self.emitter.origins_from(job)[0];
            let mut start = origin_of(starts[0]);
            let mut period = origin_of(last) - origin_of(before);
            self = loop {
                let mut token = begin.clone();
                let mut late = 0;
                for number in 0..count - first {
                    let from = start + number as i64 * period - origins[0];
                    token.emitter.want(origins.iter().map(|origin| origin + from));
                    token.layer(first + number);
                    late = token.emitter.late();
                    if late > 0 {
                        // The first layer has to wait for what comes before, the others for each other.
                        match number as i64 {
                            0 => start += late,
                            number => period += (late + number - 1) / number,
                        }
                        break;
                    }
                }
                if late == 0 {
                    token.emitter.repeat(1 + first as u32, (count - first) as u32, period as u64);
                    break token;
                }
            };
        }
        self.layer(count);
        for sequence in 0..self.plan.buffers.len() {
            self.sequence = sequence;
            self.classifier();
        }
        Ok(self.emitter.finish())
    }
}

/// Appends a schedule to the queues, from instruction `first` on.
fn append(queues: &mut Vec<Queue>, bucket: Vec<Queue>, first: usize, configuration: &Configuration) {
    if queues.is_empty() {
        *queues = bucket;
        return;
    }
    let halt = Instruction { interval: configuration.minimum_interval(), operation: Operation::Halt };
    for (queue, more) in queues.iter_mut().zip(bucket) {
        queue.instructions.resize(first, Placed { instruction: halt, layer: None });
        queue.instructions.extend(more.instructions);
    }
}

/// Names for the parts of a token.
fn layers(graph: &QuantisedLlama) -> Vec<Layer> {
    let layer = |name: String, operator: &str| Layer {
        result: Region { tensor: name.clone(), slice: 0, base: 0, beats: 1, positions: vec![] },
        name,
        operator: operator.into(),
        macs: 0,
        tiles: 0,
        start: 0,
        end: 0,
        band: None,
    };
    let middle = (0..graph.layers.len()).map(|number| layer(format!("layer {number}"), "transformer layer"));
    std::iter::once(layer("embedding".into(), "embedding"))
        .chain(middle)
        .chain([layer("classifier".into(), "classifier")])
        .collect()
}
