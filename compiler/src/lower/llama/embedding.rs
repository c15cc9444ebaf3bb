//! The beginning of a token: its registers, and its row of the embedding as the residual stream.

use super::job::{Destination, Operator, VectorJob};
use super::plan::Buffer;
use super::register;
use super::token::Token;
use crate::error::CompileError;
use lpu_isa::instruction::{Assignment, Function};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::{Arithmetic, Reduction};

/// `(multiplier, shift)` such that `(x × multiplier) >> shift` is `x / divisor` for all `x` below `limit`.
fn reciprocal(divisor: u32, limit: u32) -> Option<(i32, u32)> {
    (0..31).rev().find_map(|shift| {
        let multiplier = (1_u64 << shift).div_ceil(u64::from(divisor));
        let exact = |x: u32| (u64::from(x) * multiplier) >> shift == u64::from(x / divisor);
        let fits = multiplier <= i16::MAX as u64 && u64::from(limit) * multiplier <= u64::from(u32::MAX);
        (fits && (0..limit).all(exact)).then_some((multiplier as i32, shift))
    })
}

impl Token<'_> {
    /// `destination = ((source × multiplier + addend) >> shift) mod 2^bits`.
    fn assign(&mut self, destination: u32, source: u32, multiplier: i32, addend: u32, shift: u32, bits: u32) {
        let moved = Assignment::move_register(destination, source);
        let assignment = Assignment { multiplier, addend, shift, bits, ..moved };
        self.emitter.assign(assignment, 0);
    }

    /// The registers, then the tokens' rows.
    ///
    /// # Errors
    /// A machine whose full rows have a number of tiles that the registers cannot divide by.
    pub(super) fn embedding(&mut self) -> Result<(), CompileError> {
        let is_prompt = self.tokens.is_prompt();
        for member in 0..self.tokens.count() {
            self.member = member;
            // The token first: its row is waited for.
            self.registers_of_token();
            if member == 0 && !is_prompt {
                self.registers_of_position()?;
            }
            self.row();
        }
        if is_prompt {
            // Tokens stand in registers that belong to the position from here on.
            self.registers_of_position()?;
            for member in 1..self.tokens.count() {
                self.member = member;
                for (to, from) in [(self.position(), register::POSITION), (self.key_tile(), register::KEY_TILE)] {
                    let moved = Assignment::move_register(to, from);
                    self.emitter.assign(Assignment { constant: member as i32, ..moved }, 0);
                }
            }
        }
        Ok(())
    }

    fn registers_of_token(&mut self) {
        let (g, token) = (self.plan.geometry.clone(), self.token());
        let pitch_bits = g.slot_pitch.trailing_zeros();
        self.assign(register::ROW_TILE, token, 1, 0, 0, pitch_bits);
        self.assign(register::TEMPORARY, token, 1, 0, pitch_bits, 16);
        self.assign(register::ROW_ADDRESS, register::TEMPORARY, self.plan.embedding.beats as i32, 0, 0, 16);
        self.assign(register::TEMPORARY, token, 1, 0, g.elements.trailing_zeros(), 16);
        self.assign(register::FACTOR, register::TEMPORARY, g.beats_per_word as i32, 0, 0, 16);
    }

    fn registers_of_position(&mut self) -> Result<(), CompileError> {
        let g = self.plan.geometry.clone();
        let whole = |value: u32| value as i32;
        let Some((multiplier, shift)) = reciprocal(g.full, g.context.max(g.key_passes * g.full)) else {
            let why = format!("positions cannot be divided by the {} tiles of its full rows", g.full);
            return Err(CompileError::Unsupported { layer: "keys".into(), why });
        };
        self.assign(register::ANGLE, register::POSITION, whole(g.angle_beats()), 0, 0, 16);
        self.assign(register::TEMPORARY, register::POSITION, multiplier, 0, shift, 16);
        self.assign(register::KEY_ADDRESS, register::TEMPORARY, whole(g.key_words), 0, 0, 16);
        self.assign(register::KEY_TILE, register::TEMPORARY, -whole(g.full), register::POSITION, 0, 16);
        self.assign(register::VALUE_ADDRESS, register::POSITION, 1, 0, g.dot.trailing_zeros(), 16);

        // Only the classifier asks for the last tile.
        if !self.tokens.is_prompt() {
            let constant = whole(g.tiles) - 1;
            let last = Assignment { constant, ..Assignment::move_register(register::LAST_TILE, 0) };
            self.emitter.assign(last, 0);
        }
        for distance in [register::WEIGHTS, register::SCALES, register::OFFSETS] {
            self.emitter.assign(Assignment::move_register(distance, 0), 0);
        }
        Ok(())
    }

    /// The token's row of the embedding, as the residual stream.
    fn row(&mut self) {
        let (g, plan) = (self.plan.geometry.clone(), self.plan);
        let row = self.buffers().row;
        let weights = Sequence::linear(plan.embedding.base, plan.embedding.beats).offset_by(register::ROW_ADDRESS);
        self.emitter.fetch(register::ROW_TILE, weights, row.slice, row.base);
        let factor = Sequence::linear(plan.factors.base, 1).offset_by(register::FACTOR);
        let pick = Arithmetic { reduction: Reduction::Pick, register: self.token(), ..Arithmetic::default() };
        self.emitter.vector(&VectorJob {
            a: (plan.factors.slice, factor),
            b: None,
            operator: Operator { arithmetic: pick, ..Operator::new(Function::Pass) },
            sequence: Sequence::linear(self.norm(), 1),
            to: Destination::Nowhere,
        });
        let norm = match self.graph.layers.first() {
            Some(layer) => &layer.attention.norm,
            None => &self.graph.classifier.norm,
        };
        let words = plan.embedding.beats.div_ceil(g.beats_per_word);
        let mut operator = self.normed(norm);
        let scaled = Operator::scaled(self.norm(), self.graph.embedding_shift as i32);
        operator.function = Function::Multiply;
        operator.arithmetic =
            Arithmetic { scalar: scaled.arithmetic.scalar, shift: scaled.arithmetic.shift, ..operator.arithmetic };
        operator.scalars = scaled.scalars;
        let residual = self.buffers().residual;
        let stride = |base: u32| self.words(base, words);
        self.emitter.vector(&VectorJob {
            a: (row.slice, stride(row.base)),
            b: None,
            operator,
            sequence: Sequence { delta: [0; 4], ..Sequence::linear(self.norm(), words) },
            to: Destination::Memory {
                slice: residual.slice,
                sequence: stride(residual.base),
                last_beats: g.beats_per_word,
                lag: 0,
                copy: self.buffers().copy.map(|Buffer { slice, base }| (slice, base)),
            },
        });
    }

    /// The products of the elements of two vectors of `words` words into a third, shifted to the right by `shift`, within `±limit`.
    pub(super) fn multiply(&mut self, [a, b, to]: [Buffer; 3], words: u32, shift: i32, limit: i32) {
        let arithmetic = Arithmetic { shift, ..Arithmetic::default() };
        self.emitter.vector(&VectorJob {
            a: (a.slice, self.words(a.base, words)),
            b: Some((b.slice, self.words(b.base, words))),
            operator: Operator { limits: (-limit, limit), arithmetic, ..Operator::new(Function::Multiply) },
            sequence: Sequence { delta: [0; 4], ..Sequence::linear(0, words) },
            to: Destination::Memory {
                slice: to.slice,
                sequence: self.words(to.base, words),
                last_beats: self.plan.geometry.beats_per_word,
                lag: 0,
                copy: None,
            },
        });
    }

    /// `count` consecutive words from beat `base` on.
    pub(super) fn words(&self, base: u32, count: u32) -> Sequence {
        let word = self.plan.geometry.beats_per_word as i32;
        Sequence { delta: [word, 0, 0, 0], ..Sequence::linear(base, count) }
    }
}

#[cfg(test)]
mod tests {
    use super::reciprocal;

    #[test]
    fn positions_are_divided_by_any_number_of_tiles() {
        for divisor in 1..=64 {
            assert!(reciprocal(divisor, 2048).is_some(), "{divisor}");
        }
    }
}
