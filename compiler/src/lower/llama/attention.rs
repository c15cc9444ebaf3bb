//! The first half of a layer: projections, RoPE, cache, scores, softmax, weighted sum.
//!
//! The largest score of a head is kept behind the requantiser, so only the exponential waits for it. Queries, scores and
//! probabilities stand in different slices, so that the exponentials of a head pass while the scores of the next are made. The reciprocal of their sum is applied to the weighted sum on its way out.

use super::job::{
    Beside, Destination, Operator, ProductJob, Sink, Stored, Stream, Target, VectorJob, WHOLE, beat_by_beat,
};
use super::order::Part;
use super::plan::{Buffer, Placed};
use super::register;
use super::token::Token;
use crate::llama::graph::{CACHE_LIMIT, Norm, ROPE_FRACTION_BITS};
use lpu_isa::instruction::{Function, Spread, Tracking};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::{Arithmetic, Combine, Reduction, ScalarOperand};
use std::ops::Range;

/// Limits of keys and values in the weights.
const CACHED: (i32, i32) = (-(CACHE_LIMIT as i32), CACHE_LIMIT as i32);

impl Token<'_> {
    /// A part of the first half of layer `number`; keys come first, because theirs is the longest way to the scores. The vector unit is
    /// theirs as soon as they are there: all but the first pass of the queries gives way.
    pub(super) fn attention(&mut self, number: usize, part: Part) {
        let (graph, plan) = (self.graph, self.plan);
        let Some(placed) = &plan.layer else { return };
        let layer = &graph.layers[number].attention;
        let (shape, buffers, g) = (&graph.shape, self.buffers(), &plan.geometry);
        let half = usize::from(self.positions > plan.second_angles);
        let query = || Operator::scaled(self.norm(), layer.query.right_shift);
        match part {
            Part::Keys => {
                let to = self.target(&placed.key, buffers.key.0[half]);
                self.projection(&placed.key, Operator::scaled(self.norm(), layer.key.right_shift), to);
            }
            Part::FirstQueries => self.projection_part(&placed.query, 0, 1, query(), buffers.query.0[half]),
            Part::TurnedKeys => {
                self.rotate((buffers.key.0[half], buffers.key.1), 0..shape.kv_heads as u32, WHOLE);
                self.cache(buffers.key.1, placed.key_offsets, placed.keys[self.cache_of()], layer.key_shift);
            }
            Part::Queries => self.queries(&placed.query, &query(), i32::from(layer.query_limit)),
            Part::Values => {
                let value = Operator { limits: CACHED, ..Operator::scaled(self.norm(), layer.value.right_shift) };
                let address = (placed.values[self.cache_of()], 0, g.value_words as i32);
                let (register, place) = (register::VALUE_ADDRESS, self.position());
                let to = Target::Weights { address, register, spread: Spread::Columns, place };
                self.projection(&placed.value, value, to);
            }
            Part::Scores(heads) => {
                let (block, shared) = (heads / g.sharing, heads % g.sharing);
                for stream in 0..g.streams {
                    if let Some(head) = g.head_of(block, shared, stream, shape) {
                        let scalar = self.scalar_of(block, shared, stream);
                        self.scores(head, scalar);
                        self.probabilities(head, scalar);
                    }
                }
            }
            Part::Sum(heads) => {
                let limit = i32::from(layer.output.requantisation.input_limit);
                self.weighted_sum(number, heads / g.sharing, heads % g.sharing, limit);
            }
            Part::Output => {
                self.add_to_residual(&placed.output, buffers.attention, &graph.layers[number].feed_forward.norm);
            }
            Part::Gate(..) | Part::Up(..) | Part::Hidden | Part::Down => {}
        }
    }

    /// All passes but the first of the product that makes queries, `placed`, which are turned as they are complete.
    fn queries(&mut self, placed: &Placed, query: &Operator, limit: i32) {
        let (plan, shape, buffers) = (self.plan, &self.graph.shape, self.buffers());
        let g = &plan.geometry;
        let half = usize::from(self.positions > plan.second_angles);
        let mut turned = 0;
        for pass in 0..placed.passes {
            if pass > 0 {
                self.projection_part(placed, pass, 1, query.clone(), buffers.query.0[half]);
            }
            // The heads that are complete. Heads narrower than a word are turned in whole words.
            let complete = if pass + 1 < placed.passes {
                ((pass + 1) * placed.width / g.elements.max(g.head_pitch)) * g.elements.max(g.head_pitch)
            } else {
                shape.heads as u32 * g.head_pitch
            };
            let heads = turned..complete / g.head_pitch;
            if !heads.is_empty() {
                turned = heads.end;
                self.rotate((buffers.query.0[half], buffers.query.1), heads, (-limit, limit));
            }
        }
    }

    /// All tile groups on one vector.
    pub(super) fn everywhere(&self, buffer: Buffer) -> Vec<Stream> {
        let groups = (0..self.emitter.configuration.tile_groups()).collect();
        vec![Stream { groups, slice: buffer.slice, base: buffer.base }]
    }

    /// Where the results of `placed` stand without holes.
    pub(super) fn target(&self, placed: &Placed, buffer: Buffer) -> Target {
        let g = &self.plan.geometry;
        let (slice, base) = (buffer.slice, buffer.base);
        let (per_pass, last_beats) = (placed.pitch(g) as i32, placed.last_beats(g));
        Target::Memory { slice, base, per_pass, last_beats, copy: None }
    }

    /// Places a product of `input` with `placed`, through the vector unit. Returns the cycle of its first step.
    pub(super) fn product(&mut self, placed: &Placed, input: Buffer, operator: Operator, target: Target) -> u64 {
        self.emitter.product(&self.product_job(placed, input, operator, target))
    }

    /// A product of `input` with `placed`, through the vector unit.
    pub(super) fn product_job(&self, placed: &Placed, input: Buffer, operator: Operator, target: Target) -> ProductJob {
        ProductJob {
            streams: self.everywhere(input),
            beats: placed.beats,
            passes: placed.passes,
            weights: (placed.base, placed.beats),
            registers: placed.registers,
            stored: None,
            rows: (placed.first_row, placed.rows),
            scales: (placed.scales, 1, placed.rows as i32),
            tracking: Tracking::default(),
            sink: Sink::Vector(Box::new(operator), target),
        }
    }

    /// A product of the residual stream.
    pub(super) fn projection(&mut self, placed: &Placed, operator: Operator, target: Target) {
        self.product(placed, self.buffers().residual, operator, target);
    }

    /// The same for `count` passes from `first` on, whose results stand in `buffer` behind those of the passes before.
    pub(super) fn projection_part(
        &mut self,
        placed: &Placed,
        first: u32,
        count: u32,
        operator: Operator,
        buffer: Buffer,
    ) {
        let g = &self.plan.geometry;
        let base = buffer.base + first * placed.pitch(g);
        let part = placed.part(first, count, g);
        let to = self.target(&part, Buffer { base, ..buffer });
        self.projection(&part, operator, to);
    }

    /// An operator whose results are elements of the residual stream and make the factor of `norm`.
    pub(super) fn normed(&self, norm: &Norm) -> Operator {
        let limit = i32::from(self.graph.residual_limit);
        let mut addend_shift = 0;
        while norm.epsilon >> addend_shift > i32::from(i16::MAX) {
            addend_shift += 1;
        }
        let reduction = Reduction::ReciprocalRoot;
        let arithmetic =
            Arithmetic { reduction, square_shift: norm.square_shift, addend_shift, ..Arithmetic::default() };
        Operator {
            constant: norm.epsilon >> addend_shift,
            limits: (-limit, limit),
            arithmetic,
            address: (self.norm(), 0, 0),
            ..Operator::new(Function::Add)
        }
    }

    /// A product of `input`, added to the residual stream, which then has the norm `next`.
    pub(super) fn add_to_residual(&mut self, placed: &Placed, input: Buffer, next: &Norm) {
        let buffers = self.buffers();
        let per_pass = placed.pitch(&self.plan.geometry) as i32;
        let Buffer { slice, base } = buffers.beside();
        let operator = Operator { beside: Some(Beside { slice, base, per_pass }), ..self.normed(next) };
        let mut target = self.target(placed, buffers.residual);
        if let Target::Memory { copy, .. } = &mut target {
            *copy = buffers.copy.map(|Buffer { slice, base }| (slice, base));
        }
        self.product(placed, input, operator, target);
    }

    /// RoPE on `heads`, the first of which begins a word: the products with cosines and sines are two steps of a run.
    fn rotate(&mut self, (from, to): (Buffer, Buffer), heads: Range<u32>, limits: (i32, i32)) {
        let g = &self.plan.geometry;
        let angles = self.plan.angles[usize::from(self.positions > self.plan.second_angles)];
        let angles = Buffer { base: angles.base + self.distance() * g.angle_beats(), ..angles };
        let skipped = heads.start * g.head_pitch / g.dot;
        let [from, to] = [from, to].map(|Buffer { slice, base }| Buffer { slice, base: base + skipped });
        let heads = heads.end - heads.start;
        let (word, words) = (g.beats_per_word as i32, (heads * g.head_pitch).div_ceil(g.elements));
        let pattern = g.angle_words;
        let twice = |base: u32, within: i32, next: i32, again: i32| Sequence {
            base,
            count: [2, pattern, words / pattern, 1],
            delta: [within, next, again, 0],
            run_levels: 1,
            gap: 0,
            pause: 0,
            register: 0,
        };
        let back = -(2 * pattern as i32 - 1) * word;
        let factors = twice(angles.base, word, word, back).offset_by(register::ANGLE);
        let arithmetic =
            Arithmetic { combine: Combine::Rotation, shift: ROPE_FRACTION_BITS as i32, ..Arithmetic::default() };
        let beats = heads * g.head_pitch / g.dot;
        let last_beats = beats - (words - 1) * g.beats_per_word;
        let job = VectorJob {
            a: (from.slice, twice(from.base, 0, word, word)),
            b: Some((angles.slice, factors)),
            operator: Operator { limits, arithmetic, ..Operator::new(Function::Multiply) },
            sequence: twice(0, 0, 0, 0),
            to: Destination::Memory {
                slice: to.slice,
                sequence: Sequence { pause: 1, ..self.words(to.base, words) },
                last_beats,
                lag: 1,
                copy: None,
            },
        };
        self.emitter.vector(&job);
    }

    /// Keys less their middles, into the weights.
    fn cache(&mut self, keys: Buffer, offsets: Buffer, address: u32, shift: u32) {
        let beats = self.plan.geometry.key_words;
        let arithmetic = Arithmetic { shift: shift as i32, ..Arithmetic::default() };
        let job = VectorJob {
            a: (keys.slice, beat_by_beat(keys.base, beats)),
            b: Some((offsets.slice, beat_by_beat(offsets.base, beats).offset_by(register::OFFSETS))),
            operator: Operator { limits: CACHED, arithmetic, ..Operator::new(Function::Subtract) },
            sequence: Sequence { delta: [0; 4], ..beat_by_beat(0, beats) },
            to: Destination::Weights {
                sequence: beat_by_beat(address, beats).offset_by(register::KEY_ADDRESS),
                place: self.key_tile(),
            },
        };
        self.emitter.vector(&job);
    }

    /// Where the scores of `head` stand: one head behind the other, and again from the beginning.
    fn scores_of(&self, head: usize) -> Buffer {
        let (buffers, beats) = (self.buffers(), self.positions / self.plan.geometry.dot);
        let heads = (buffers.score_beats / beats).max(1);
        let Buffer { slice, base } = buffers.scores;
        let number = head as u32 + self.distance() * self.graph.shape.heads as u32;
        Buffer { slice, base: base + number % heads * beats }
    }

    /// The scores of `head` for all positions of the bucket; those that are still to come are the least number.
    fn scores(&mut self, head: usize, scalar: u32) {
        let (plan, g) = (self.plan, &self.plan.geometry);
        let Some(placed) = &plan.layer else { return };
        let words = g.head_pitch / g.dot;
        let (query, scores) = (self.buffers().query.1, self.scores_of(head));
        let query = Buffer { base: query.base + head as u32 * words, ..query };
        let kv_head = self.graph.shape.kv_head(head) as u32;
        let job = ProductJob {
            streams: self.everywhere(query),
            beats: words,
            passes: self.positions / g.full,
            weights: (placed.keys[self.cache_of()] + kv_head * words, g.key_words),
            registers: (register::WEIGHTS, register::SCALES),
            stored: Some(Stored {
                address: placed.keys[self.cache_of()],
                passes: self.first / g.full,
                beats: 0,
                // Keys are stored a beat a cycle, head by head.
                earlier: g.key_words - (kv_head + 1) * words,
            }),
            rows: (0, g.full_rows),
            scales: (placed.scores[head], 0, 0),
            tracking: Tracking { mask: self.position(), maximum: Some(scalar), each_run: false },
            sink: Sink::Memory(Target::Memory {
                slice: scores.slice,
                base: scores.base,
                per_pass: (g.full / g.dot) as i32,
                last_beats: g.beats_per_word,
                copy: None,
            }),
        };
        self.emitter.product(&job);
    }

    /// Exponentials of the scores of `head`, 0 for positions that are still to come, and the reciprocal of their sum.
    fn probabilities(&mut self, head: usize, scalar: u32) {
        let g = &self.plan.geometry;
        let exponential = &self.graph.exponential;
        let words = self.positions / g.elements;
        let scores = self.scores_of(head);
        let arithmetic = Arithmetic {
            scalar: ScalarOperand::One,
            shift: -(exponential.left_shift as i32),
            table: Some(0),
            reduction: Reduction::Reciprocal,
            mask: self.position(),
            ..Arithmetic::default()
        };
        let operator = Operator {
            // The largest score, shifted, stands just below the end of the table.
            constant: (1 << 15 >> exponential.left_shift) - 1,
            limits: (0, WHOLE.1),
            arithmetic,
            scalars: vec![scalar],
            ..Operator::new(Function::Subtract)
        };
        let last_beats = g.beats_per_word;
        let probabilities = self.buffers().probabilities[head];
        let sequence = self.words(probabilities.base, words);
        let job = VectorJob {
            a: (scores.slice, self.words(scores.base, words)),
            b: None,
            operator,
            sequence: Sequence { delta: [0; 4], ..Sequence::linear(scalar, words) },
            to: Destination::Memory { slice: probabilities.slice, sequence, last_beats, lag: 0, copy: None },
        };
        self.emitter.vector(&job);
    }

    /// Values weighted with the probabilities of the heads of `block` with number `shared`, one on each stream.
    fn weighted_sum(&mut self, layer: usize, block: u32, shared: u32, limit: i32) {
        let (plan, g) = (self.plan, &self.plan.geometry);
        let shape = &self.graph.shape;
        let Some(placed) = &plan.layer else { return };
        let heads: Vec<Option<usize>> = (0..g.streams).map(|stream| g.head_of(block, shared, stream, shape)).collect();
        let mut streams: Vec<Stream> = heads
            .iter()
            .zip(0..)
            .filter_map(|(head, group)| {
                let Buffer { slice, base } = self.buffers().probabilities[(*head)?];
                Some(Stream { groups: vec![group], slice, base })
            })
            .collect();
        // Groups without a head do what the first one does: what they make has no weight in the next product.
        let idle = streams.len() as u32..self.emitter.configuration.tile_groups();
        if let Some(first) = streams.first_mut() {
            first.groups.extend(idle);
        }
        let scalars: Vec<u32> = (0..g.streams).map(|stream| self.scalar_of(block, shared, stream)).collect();
        let arithmetic = Arithmetic {
            scalar: ScalarOperand::OfBeat,
            shift: self.graph.layers[layer].attention.weighted_shift,
            ..Arithmetic::default()
        };
        let first_row = block * g.value_rows;
        let mut row = first_row;
        while row < first_row + g.value_rows {
            let (pass, within) = (row / g.full_rows, row % g.full_rows);
            let rows = (g.full_rows - within).min(first_row + g.value_rows - row);
            let word = (block * g.sharing + shared) * g.value_rows + row - first_row;
            let operator = Operator {
                limits: (-limit, limit),
                arithmetic,
                address: (scalars[0], 0, 0),
                scalars: scalars.clone(),
                ..Operator::new(Function::Multiply)
            };
            let attention = self.buffers().attention;
            let target = Target::Memory {
                slice: attention.slice,
                base: attention.base + word * g.beats_per_word,
                per_pass: 0,
                last_beats: g.beats_per_word,
                copy: None,
            };
            let job = ProductJob {
                streams: streams.clone(),
                beats: (self.positions / g.dot).min(g.value_words),
                passes: 1,
                weights: (placed.values[self.cache_of()] + pass * g.value_words, 0),
                registers: (register::WEIGHTS, register::SCALES),
                stored: Some(Stored {
                    address: placed.values[self.cache_of()],
                    passes: 0,
                    beats: self.first / g.dot,
                    earlier: 0,
                }),
                rows: (within, rows),
                scales: (placed.weighted + row, 1, 0),
                tracking: Tracking::default(),
                sink: Sink::Vector(Box::new(operator), target),
            };
            self.emitter.product(&job);
            row += rows;
        }
    }
}
