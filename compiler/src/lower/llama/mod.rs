//! Language models: a token's way through the machine as a static schedule.
//!
//! | module | holds |
//! | --- | --- |
//! | [`order`] | in which order tokens that are taken in at once take turns |
//! | [`geometry`] | how the model's sizes meet the machine's |
//! | [`plan`] | where weights, scales, constants and vectors stand |
//! | [`job`] | chains of units that are placed as a whole |
//! | [`emitter`] | jobs in time: what each waits for |
//! | [`timeline`] | the queues, and the first hole in them |
//! | `token` | a run's tokens under construction |
//! | `search` | the order with the fewest cycles |
//! | `merge` | one instruction for what several tokens do in turn |
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
//!
//! A schedule for *prompts* takes in several tokens of the sequence, which stand one behind the other. Only their keys and values are
//! wanted: of the last layer nothing else is computed, and there is no classifier.

pub mod attention;
pub mod classifier;
pub mod embedding;
pub mod emitter;
pub mod feed_forward;
pub mod fields;
pub mod geometry;
pub mod job;
mod merge;
pub mod order;
pub mod plan;
mod search;
pub mod timeline;
mod token;

use crate::error::{CompileError, Resource};
use crate::llama::graph::QuantisedLlama;
use geometry::Geometry;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Instruction, Operation};
use lpu_isa::latency::{ExtensionLatency, Latency};
use lpu_isa::program::{Entry, FORMAT, Language, Layer, OtherSequence, Placed, Prefill, Program, Queue, Region};
use order::MOST_TOKENS;
use plan::{Buffer, Buffers, Plan};
use token::Token;

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

    /// Slots of the tokens of a prompt: registers that the position needs later, or only the classifier.
    pub const TOKENS: [u32; 4] = [TOKEN, LAST_TILE, OFFSETS, ANGLE];
    /// Their positions: registers that the embedding needs no more then.
    pub const POSITIONS: [u32; 4] = [POSITION, TOKEN, LAST_TILE, ROW_TILE];
    /// The tiles of their keys, likewise.
    pub const KEY_TILES: [u32; 4] = [KEY_TILE, ROW_ADDRESS, FACTOR, TEMPORARY];
}

/// What the tokens are that a run takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// One of each of so many sequences, all at the same position.
    OfSequences(usize),
    /// So many of one sequence, one behind the other, from a position on that is a multiple of their number.
    OfPrompt(usize),
}

impl Tokens {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Tokens::OfSequences(count) | Tokens::OfPrompt(count) => count,
        }
    }

    /// Are they a part of a prompt?
    pub fn is_prompt(self) -> bool {
        matches!(self, Tokens::OfPrompt(_))
    }
}

/// What runs of a program are to take in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Sequences of which each run takes in a token, one or two, both at the same position: the jobs of the one are placed into the holes
    /// that those of the other leave. Each has keys, values, vectors and scalars of its own.
    pub sequences: usize,
    /// Most tokens of a prompt that a run may take in, 4, 2 or 1; of one sequence only. There are as many schedules for that as there is
    /// room for, which may be none.
    pub prompt: u32,
    /// Is an order looked for in which two sequences take the fewest cycles? Seconds, where it makes no difference to what fits.
    pub searched: bool,
}

impl Default for Runs {
    fn default() -> Runs {
        Runs { sequences: 1, prompt: MOST_TOKENS, searched: true }
    }
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
    compile_runs(graph, configuration, board, context, Runs::default())
}

/// The same for other runs.
///
/// # Errors
/// As [`compile`]; and a number of sequences that is neither one nor two.
pub fn compile_runs(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    board: &str,
    context: Option<usize>,
    Runs { sequences, prompt: most, searched }: Runs,
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
    let mut plan = Plan::new(graph, configuration, geometry.clone(), (sequences, 1))?;
    let Some(extension) = Latency::of(configuration).extensions else {
        return Err(unsupported("the machine has no `extensions`".into()));
    };
    let layers = layers(graph);
    let g = &geometry;
    let machine = (configuration, extension);
    // As many schedules as fit the queues: one for each pass over the keys, or for each second, fourth, ...
    let mut step = 1;
    let schedules = |step: u32, searched: bool| -> Result<(Vec<Queue>, Vec<Entry>), CompileError> {
        let (mut queues, mut entries, mut order): (Vec<Queue>, Vec<Entry>, _) = (Vec::new(), Vec::new(), None);
        for before in (0..g.key_passes).step_by(step as usize) {
            let [first, positions] = [before, (before + step).min(g.key_passes)].map(|passes| passes * g.full);
            let run = Token::new(graph, &plan, machine, Tokens::OfSequences(sequences), first..positions);
            let (bucket, cycles) = run.best(&mut order, usize::MAX, searched)?;
            // All queues begin a schedule at the same instruction.
            let instruction = longest(&queues);
            append(&mut queues, bucket, instruction, configuration);
            let last = (positions as usize).min(context as usize);
            let macs = graph.shape.multiply_accumulates(last) * sequences as u64;
            let (instruction, positions) = (instruction as u32, positions.min(context));
            entries.push(Entry { instruction, positions, cycles, macs });
        }
        Ok((queues, entries))
    };
    let (mut queues, entries) = loop {
        let found = schedules(step, false)?;
        let needed = longest(&found.0);
        if needed <= configuration.queue_depth as usize {
            // Orders that are searched for take a few instructions more.
            let other = if searched && sequences > 1 { Some(schedules(step, true)?) } else { None };
            break other.filter(|other| longest(&other.0) <= configuration.queue_depth as usize).unwrap_or(found);
        }
        let most = if plan.second_angles < context { plan.second_angles / g.full } else { g.key_passes };
        if step >= most {
            return Err(CompileError::DoesNotFit {
                model: graph.name.clone(),
                layer: "the fewest schedules for all lengths of the context".into(),
                resource: Resource::Queue,
                needed: needed as u64,
                available: u64::from(configuration.queue_depth),
                what: "instructions in one queue",
                shortfall: String::new(),
                block_rams: 0,
            });
        }
        step *= 2;
    };
    let mut prefill = Vec::new();
    for tokens in [4, 2].into_iter().filter(|&tokens| tokens <= most && sequences == 1) {
        // What one token has stands where it stood.
        let Ok(wider) = Plan::new(graph, configuration, geometry.clone(), (1, tokens as usize)) else { continue };
        prefill = prompts(graph, &wider, machine, tokens, &entries, &mut queues)?;
        if !prefill.is_empty() {
            plan = wider;
            break;
        }
    }
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
    let language = Language { constants, tables, entries, token, position, slots, context, others, prefill };
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
        softmaxes: vec![],
        finish: None,
        language: Some(language),
    })
}

/// Instructions of the longest queue.
fn longest(queues: &[Queue]) -> usize {
    queues.iter().map(|queue| queue.instructions.len()).max().unwrap_or(0)
}

/// Appends schedules that take in `tokens` tokens of a prompt: for the positions of each of `entries`, the first of them first, as far
/// as the queues have room.
fn prompts(
    graph: &QuantisedLlama,
    plan: &Plan,
    machine: (&Configuration, ExtensionLatency),
    tokens: u32,
    entries: &[Entry],
    queues: &mut Vec<Queue>,
) -> Result<Vec<Prefill>, CompileError> {
    let (g, configuration) = (&plan.geometry, machine.0);
    let (mut prefill, mut order): (Vec<Prefill>, _) = (Vec::new(), None);
    // Tokens share addresses, so that as many must stand in a word of values and in a pass over the keys.
    let suits = [g.dot, g.full].iter().all(|size| size.is_multiple_of(tokens)) && tokens <= configuration.scalars();
    for entry in entries.iter().filter(|_| suits && !graph.layers.is_empty()) {
        let last = entry.positions - entry.positions % tokens;
        let first = prefill.last().map_or(0, |prefill| prefill.positions);
        if last <= first {
            continue;
        }
        let positions = entry.positions.next_multiple_of(g.full);
        let run = Token::new(graph, plan, machine, Tokens::OfPrompt(tokens as usize), first..positions);
        let instruction = longest(queues);
        let room = (configuration.queue_depth as usize).saturating_sub(instruction);
        let (bucket, cycles) = run.best(&mut order, room, false)?;
        if longest(&bucket) > room {
            break;
        }
        append(queues, bucket, instruction, configuration);
        prefill.push(Prefill {
            instruction: instruction as u32,
            tokens: register::TOKENS[..tokens as usize].to_vec(),
            positions: last,
            cycles,
            macs: graph.shape.prompt_multiply_accumulates(last as usize) * u64::from(tokens),
        });
    }
    Ok(prefill)
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
