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
pub mod timeline;

use crate::error::{CompileError, Resource};
use crate::llama::graph::QuantisedLlama;
use emitter::Emitter;
use geometry::Geometry;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Assignment, Instruction, Operation};
use lpu_isa::latency::{ExtensionLatency, Latency};
use lpu_isa::program::{Entry, FORMAT, Language, Layer, OtherSequence, Placed, Prefill, Program, Queue, Region};
use order::{MOST_TOKENS, Order, Part};
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

/// A run's tokens under construction, for positions below `positions`.
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
    /// The tokens.
    pub tokens: Tokens,
    /// The one of them that the jobs under construction are for.
    pub member: usize,
    /// How they take turns.
    pub order: Order,
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
    compile_tokens(graph, configuration, board, context, (1, MOST_TOKENS))
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
    compile_tokens(graph, configuration, board, context, (sequences, 1))
}

/// The same for one sequence or two; and for one with schedules that take in up to `most` tokens of a prompt at once, 4 or 2, as many
/// of each as there is room for.
///
/// # Errors
/// As [`compile_sequences`]. Prompts without a schedule of their own are no error.
pub fn compile_tokens(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    board: &str,
    context: Option<usize>,
    (sequences, most): (usize, u32),
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
    let mut schedules: BTreeMap<u32, (Vec<Queue>, u64)> = BTreeMap::new();
    let (mut step, mut order) = (1, None);
    let (mut queues, entries) = loop {
        let mut queues: Vec<Queue> = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for passes in (step..g.key_passes + step).step_by(step as usize).map(|passes| passes.min(g.key_passes)) {
            let positions = passes * g.full;
            let (bucket, cycles) = match schedules.entry(passes) {
                Slot::Occupied(known) => known.into_mut(),
                Slot::Vacant(vacant) => {
                    let tokens = Tokens::OfSequences(sequences);
                    vacant.insert(Token::new(graph, &plan, machine, tokens, positions).best(&mut order, usize::MAX)?)
                }
            };
            // All queues begin a schedule at the same instruction.
            let instruction = longest(&queues);
            append(&mut queues, bucket.clone(), instruction, configuration);
            let last = (positions as usize).min(context as usize);
            let macs = graph.shape.multiply_accumulates(last) * sequences as u64;
            let (instruction, positions) = (instruction as u32, positions.min(context));
            entries.push(Entry { instruction, positions, cycles: *cycles, macs });
        }
        let needed = longest(&queues);
        if needed <= configuration.queue_depth as usize {
            break (queues, entries);
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

impl<'a> Token<'a> {
    /// A run that takes in `tokens` at positions below `positions`.
    fn new(
        graph: &'a QuantisedLlama,
        plan: &'a Plan,
        (configuration, extension): (&Configuration, ExtensionLatency),
        tokens: Tokens,
        positions: u32,
    ) -> Token<'a> {
        let order = Order::first(plan.geometry.heads_of_stream(), tokens.count() as u32);
        Token { graph, plan, emitter: Emitter::new(configuration, extension), positions, tokens, member: 0, order }
    }

    /// The buffers of the token under way.
    fn buffers(&self) -> &'a Buffers {
        if self.tokens.is_prompt() { &self.plan.prompt[self.member] } else { &self.plan.buffers[self.member] }
    }

    /// The register of its slot.
    fn token(&self) -> u32 {
        match self.tokens {
            Tokens::OfSequences(_) => [register::TOKEN, register::OTHER_TOKEN][self.member],
            Tokens::OfPrompt(_) => register::TOKENS[self.member],
        }
    }

    /// Positions from the first token to it.
    fn distance(&self) -> u32 {
        if self.tokens.is_prompt() { self.member as u32 } else { 0 }
    }

    /// The register of its position.
    fn position(&self) -> u32 {
        register::POSITIONS[self.distance() as usize]
    }

    /// The register of its keys' tile.
    fn key_tile(&self) -> u32 {
        register::KEY_TILES[self.distance() as usize]
    }

    /// The number of its keys and values.
    fn cache_of(&self) -> usize {
        if self.tokens.is_prompt() { 0 } else { self.member }
    }

    /// The scalar of its norm's factor. Nobody takes those of a prompt's tokens from the first scores to the last sum, so that heads may
    /// have them then.
    fn norm(&self) -> u32 {
        let distance = self.distance();
        match self.tokens {
            Tokens::OfSequences(_) => self.member as u32 * self.plan.geometry.scalars() + NORM,
            Tokens::OfPrompt(_) if distance == 0 => NORM,
            Tokens::OfPrompt(_) => self.emitter.configuration.scalars() - distance,
        }
    }

    /// Heads of a stream that have scalars at once. More take turns.
    fn heads_at_once(&self) -> u32 {
        let g = &self.plan.geometry;
        match self.tokens {
            Tokens::OfSequences(sequences) => sequences as u32 * g.heads_of_stream(),
            Tokens::OfPrompt(_) => {
                ((self.emitter.configuration.scalars() - 1) / g.beats_per_word).clamp(1, g.heads_of_stream())
            }
        }
    }

    /// The scalar of one of its heads; see [`Geometry::scalar_of`].
    fn scalar_of(&self, block: u32, number: u32, stream: u32) -> u32 {
        let g = &self.plan.geometry;
        match self.tokens {
            Tokens::OfSequences(_) => self.norm() + g.scalar_of(block, number, stream),
            Tokens::OfPrompt(_) => {
                let head = self.distance() * g.heads_of_stream() + block * g.sharing + number;
                1 + head % self.heads_at_once() * g.beats_per_word + stream
            }
        }
    }

    /// Layer `number` of all tokens.
    fn layer(&mut self, number: usize) {
        self.emitter.layer = 1 + number as u32;
        let count = self.graph.layers.len();
        for (member, part) in self.order.parts(self.tokens, self.plan.geometry.heads_of_stream(), number + 1 == count) {
            self.member = member;
            match part {
                Part::Hidden => self.hidden(number),
                Part::Down => self.down(number),
                part => self.attention(number, part),
            }
        }
        if count > 1 {
            self.next_layer();
        }
    }

    /// The schedule of the order with the fewest cycles of those whose queues have no more instructions than there is `room` for: its
    /// queues, and its cycles. `order` is the one to take; where there is none yet, it is found. Where the first that is tried has too
    /// many instructions, it is that.
    ///
    /// # Errors
    /// As [`compile`].
    fn best(self, order: &mut Option<Order>, room: usize) -> Result<(Vec<Queue>, u64), CompileError> {
        let first = order.unwrap_or(Order { sums: self.order.sums.min(self.heads_at_once()), ..self.order });
        let mut best = Token { order: first, ..self.clone() }.schedule()?;
        if order.replace(first).is_some() || self.tokens.count() == 1 || longest(&best.0) > room {
            return Ok(best);
        }
        let heads = (0..).map(|power| 1 << power).take_while(|&sums| sums <= self.heads_at_once());
        let others = heads.map(|sums| Order { sums, ..first }).chain([Order { down: 1, ..first }]);
        for other in others.filter(|other| *other != first) {
            let attempt = Token { order: other, ..self.clone() }.schedule()?;
            if attempt.1 < best.1 && longest(&attempt.0) <= room {
                best = attempt;
                *order = Some(other);
            }
        }
        Ok(best)
    }

    /// The whole run: its queues, and its cycles.
    ///
    /// One layer's instructions serve all of them, where there are several: each layer comes the same number of cycles behind the one
    /// before, as early as a layer that follows another can.
    ///
    /// # Errors
    /// As [`compile`].
    fn schedule(mut self) -> Result<(Vec<Queue>, u64), CompileError> {
        let count = self.graph.layers.len();
        // The last layer of a prompt is another.
        let alike = if self.tokens.is_prompt() { count.saturating_sub(1) } else { count };
        self.embedding()?;
        let begin = self.clone();
        let mut starts = Vec::new();
        for number in 0..alike.min(3) {
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
                for number in 0..alike {
                    let from = start + number as i64 * period - origins[0];
                    token.emitter.want(origins.iter().map(|origin| origin + from));
                    token.layer(number);
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
                    token.emitter.repeat(1, alike as u32, period as u64);
                    break token;
                }
            };
        }
        if alike < count {
            self.layer(alike);
        }
        self.emitter.layer = 1 + count as u32;
        self.emitter.merge();
        if let Tokens::OfPrompt(tokens) = self.tokens {
            let same = Assignment::move_register(register::POSITION, register::POSITION);
            self.emitter.assign(Assignment { constant: tokens as i32, ..same }, 0);
            return Ok(self.emitter.finish());
        }
        for member in 0..self.tokens.count() {
            self.member = member;
            self.classifier();
        }
        Ok(self.emitter.finish())
    }
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
        if last <= prefill.last().map_or(0, |prefill| prefill.positions) {
            continue;
        }
        let positions = entry.positions.next_multiple_of(g.full);
        let run = Token::new(graph, plan, machine, Tokens::OfPrompt(tokens as usize), positions);
        let instruction = longest(queues);
        let room = (configuration.queue_depth as usize).saturating_sub(instruction);
        let (bucket, cycles) = run.best(&mut order, room)?;
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
