//! Language models: a token's way through the machine as a static schedule.
//!
//! | module | holds |
//! | --- | --- |
//! | [`geometry`] | how the model's sizes meet the machine's |
//! | [`plan`] | where weights, scales, constants and vectors stand |
//! | [`emitter`] | instructions in time |
//! | [`embedding`] | registers of the token and the position, the token's row |
//! | [`attention`] | projections, RoPE and cache, scores and softmax, weighted sum |
//! | [`feed_forward`] | the other half of a layer |
//! | [`classifier`] | the last norm, the choice of the next token |
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
pub mod geometry;
pub mod plan;

use crate::error::{CompileError, Resource};
use crate::llama::graph::QuantisedLlama;
use emitter::Emitter;
use geometry::Geometry;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Instruction, Operation};
use lpu_isa::latency::Latency;
use lpu_isa::program::{Entry, FORMAT, Language, Layer, Placed, Program, Queue, Region};
use plan::Plan;

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
    /// How many there are.
    pub const COUNT: u32 = 10;
}

/// One token under construction, for positions below `positions`.
pub struct Token<'a> {
    /// The model.
    pub graph: &'a QuantisedLlama,
    /// Where everything stands.
    pub plan: &'a Plan,
    /// The schedule.
    pub emitter: Emitter,
    /// Positions of the bucket: a whole number of passes over the keys.
    pub positions: u32,
}

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
    let unsupported = |why: String| CompileError::Unsupported { layer: graph.name.clone(), why };
    let context = context.unwrap_or(graph.shape.context).min(graph.shape.context) as u32;
    let geometry = Geometry::new(graph, configuration, context.max(1))?;
    for (what, needed, available) in [
        ("run-time registers", register::COUNT, configuration.registers()),
        ("scalars", geometry.scalars(), configuration.scalars()),
    ] {
        if needed > available {
            return Err(unsupported(format!("it needs {needed} {what}, the machine has {available}")));
        }
    }
    let plan = Plan::new(graph, configuration, geometry)?;
    let Some(extension) = Latency::of(configuration).extensions else {
        return Err(unsupported("the machine has no `extensions`".into()));
    };
    let layers = layers(graph);
    let names: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
    let mut queues: Vec<Queue> = Vec::new();
    let mut entries = Vec::new();
    let g = &plan.geometry;
    for passes in 1..=g.key_passes {
        let positions = passes * g.full;
        let mut token = Token { graph, plan: &plan, emitter: Emitter::new(configuration, extension), positions };
        token.embedding()?;
        for number in 0..graph.layers.len() {
            token.emitter.layer = 1 + number as u32;
            token.attention(number);
            token.feed_forward(number);
        }
        token.emitter.layer = 1 + graph.layers.len() as u32;
        token.classifier();
        let (bucket, cycles) = token.emitter.finish().finish(&graph.name, &names)?;
        // All queues begin a schedule at the same instruction.
        let instruction = queues.iter().map(|queue| queue.instructions.len()).max().unwrap_or(0);
        append(&mut queues, bucket, instruction, configuration);
        let last = (positions as usize).min(context as usize);
        let macs = graph.shape.multiply_accumulates(last);
        entries.push(Entry { instruction: instruction as u32, positions: positions.min(context), cycles, macs });
    }
    if let Some(queue) = queues.iter().find(|queue| queue.instructions.len() > configuration.queue_depth as usize) {
        return Err(CompileError::DoesNotFit {
            model: graph.name.clone(),
            layer: "the schedules of all lengths of the context".into(),
            resource: Resource::Queue,
            needed: queue.instructions.len() as u64,
            available: u64::from(configuration.queue_depth),
            what: "instructions in one queue",
            shortfall: String::new(),
            block_rams: 0,
        });
    }
    let slots = (0..graph.shape.vocabulary as u32).map(|token| g.slot(token)).collect();
    let logits = plan.buffers.logits;
    let beats = plan.classifier.passes * plan.classifier.rows * g.beats_per_word;
    let places = (0..graph.shape.vocabulary as u32)
        .map(|token| token / g.tiles * plan.classifier.rows * g.elements + token % g.tiles);
    let output =
        Region { tensor: "logits".into(), slice: logits.slice, base: logits.base, beats, positions: places.collect() };
    let input = Region { tensor: "token".into(), slice: 0, base: 0, beats: 0, positions: vec![] };
    let (macs, cycles) = entries.first().map_or((0, 0), |entry| (entry.macs, entry.cycles));
    let Plan { weights, scales, constants, tables, .. } = plan;
    let language =
        Language { constants, tables, entries, token: register::TOKEN, position: register::POSITION, slots, context };
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
