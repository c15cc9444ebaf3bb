//! A run's tokens under construction: which registers, buffers and scalars are whose, and the schedule of all layers.

use super::emitter::Emitter;
use super::order::{Lags, Order, Part, Sizes};
use super::plan::{Buffers, Plan};
use super::{NORM, Tokens, register};
use crate::error::CompileError;
use crate::llama::graph::QuantisedLlama;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::Assignment;
use lpu_isa::latency::ExtensionLatency;
use lpu_isa::program::Queue;
use std::ops::Range;

/// A run's tokens under construction, for positions from `first` on and below `positions`.
#[derive(Clone)]
pub(super) struct Token<'a> {
    /// The model.
    pub(super) graph: &'a QuantisedLlama,
    /// Where everything stands.
    pub(super) plan: &'a Plan,
    /// The schedule.
    pub(super) emitter: Emitter,
    /// The first position of the bucket. What a run stores is for this position or a later one.
    pub(super) first: u32,
    /// The position behind its last: a whole number of passes over the keys.
    pub(super) positions: u32,
    /// The tokens.
    pub(super) tokens: Tokens,
    /// The one of them that the jobs under construction are for.
    pub(super) member: usize,
    /// How they take turns.
    pub(super) order: Order,
}

impl<'a> Token<'a> {
    /// A run that takes in `tokens` at `positions`.
    pub(super) fn new(
        graph: &'a QuantisedLlama,
        plan: &'a Plan,
        (configuration, extension): (&Configuration, ExtensionLatency),
        tokens: Tokens,
        positions: Range<u32>,
    ) -> Token<'a> {
        let sizes = Token::sizes(plan);
        let order = Order::in_turn(tokens, sizes, Lags { sums: sizes.heads, down: tokens.count() as u32 });
        let (first, positions) = (positions.start, positions.end);
        let emitter = Emitter::new(configuration, extension);
        Token { graph, plan, emitter, first, positions, tokens, member: 0, order }
    }

    /// Of how many parts a layer consists.
    pub(super) fn sizes(plan: &Plan) -> Sizes {
        let passes = plan.layer.as_ref().map_or(0, |layer| layer.up.passes);
        Sizes { heads: plan.geometry.heads_of_stream(), passes }
    }

    /// The buffers of the token under way.
    pub(super) fn buffers(&self) -> &'a Buffers {
        if self.tokens.is_prompt() { &self.plan.prompt[self.member] } else { &self.plan.buffers[self.member] }
    }

    /// The register of its slot.
    pub(super) fn token(&self) -> u32 {
        match self.tokens {
            Tokens::OfSequences(_) => [register::TOKEN, register::OTHER_TOKEN][self.member],
            Tokens::OfPrompt(_) => register::TOKENS[self.member],
        }
    }

    /// Positions from the first token to it.
    pub(super) fn distance(&self) -> u32 {
        if self.tokens.is_prompt() { self.member as u32 } else { 0 }
    }

    /// The register of its position.
    pub(super) fn position(&self) -> u32 {
        register::POSITIONS[self.distance() as usize]
    }

    /// The register of its keys' tile.
    pub(super) fn key_tile(&self) -> u32 {
        register::KEY_TILES[self.distance() as usize]
    }

    /// The number of its keys and values.
    pub(super) fn cache_of(&self) -> usize {
        if self.tokens.is_prompt() { 0 } else { self.member }
    }

    /// The scalar of its norm's factor. Nobody takes those of a prompt's tokens from the first scores to the last sum, so that heads may
    /// have them then.
    pub(super) fn norm(&self) -> u32 {
        let distance = self.distance();
        match self.tokens {
            Tokens::OfSequences(_) => self.member as u32 * self.plan.geometry.scalars() + NORM,
            Tokens::OfPrompt(_) if distance == 0 => NORM,
            Tokens::OfPrompt(_) => self.emitter.configuration.scalars() - distance,
        }
    }

    /// Heads of a stream that have scalars at once. More take turns.
    pub(super) fn heads_at_once(&self) -> u32 {
        let g = &self.plan.geometry;
        match self.tokens {
            Tokens::OfSequences(sequences) => sequences as u32 * g.heads_of_stream(),
            Tokens::OfPrompt(_) => {
                ((self.emitter.configuration.scalars() - 1) / g.beats_per_word).clamp(1, g.heads_of_stream())
            }
        }
    }

    /// The scalar of one of its heads; see [`Geometry::scalar_of`].
    pub(super) fn scalar_of(&self, block: u32, number: u32, stream: u32) -> u32 {
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
    pub(super) fn layer(&mut self, number: usize) {
        self.emitter.layer = 1 + number as u32;
        let count = self.graph.layers.len();
        let parts: Vec<(usize, Part)> = self.order.parts(self.tokens, number + 1 == count).collect();
        for (member, part) in parts {
            self.member = member;
            match part {
                Part::Gate(first, count) => self.gate(number, (first, count)),
                Part::Up(first, count) => self.up(number, (first, count)),
                Part::Hidden => self.hidden(number),
                Part::Down => self.down(number),
                part => self.attention(number, part),
            }
        }
        if count > 1 {
            self.next_layer();
        }
    }

    /// The whole run: its queues, and its cycles.
    ///
    /// One layer's instructions serve all of them, where there are several: each layer comes the same number of cycles behind the one
    /// before, as early as a layer that follows another can.
    ///
    /// # Errors
    /// As [`compile`].
    pub(super) fn schedule(mut self) -> Result<(Vec<Queue>, u64), CompileError> {
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
