//! The end of a token: the last norm's weights, the classifier, the slot of the largest result, the next position.

use super::emitter::{Destination, Operator, VectorJob};
use super::{Token, register};
use lpu_isa::instruction::{Assignment, Function};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::{Arithmetic, Reduction};

impl Token<'_> {
    /// The classifier. Its results stand behind each other, a pass in whole words; the register of the token becomes the slot of
    /// the largest.
    pub(super) fn classifier(&mut self) {
        let (graph, plan) = (self.graph, self.plan);
        let (buffers, placed, g) = (&plan.buffers, &plan.classifier, &plan.geometry);
        let mut input = buffers.residual;
        if let (Some(weights), Some(buffer)) = (&graph.classifier.weights, plan.last_norm) {
            let words = placed.beats.div_ceil(g.beats_per_word);
            let limit = i32::from(graph.classifier.requantisation.input_limit);
            let arithmetic = Arithmetic { shift: weights.right_shift as i32, ..Arithmetic::default() };
            let job = VectorJob {
                a: (input.slice, self.words(input.base, words)),
                b: Some((buffer.slice, self.words(buffer.base, words))),
                operator: Operator { limits: (-limit, limit), arithmetic, ..Operator::new(Function::Multiply) },
                sequence: Sequence { delta: [0; 4], ..Sequence::linear(0, words) },
                to: Destination::Memory {
                    slice: buffers.last.slice,
                    sequence: self.words(buffers.last.base, words),
                    last_beats: g.beats_per_word,
                    lag: 0,
                },
            };
            self.emitter.vector(&job);
            input = buffers.last;
        }
        let arithmetic =
            Arithmetic { reduction: Reduction::ArgMax, register: register::TOKEN, ..Arithmetic::default() };
        let operator = Operator {
            arithmetic,
            address: (0, g.elements as i32, g.slot_pitch as i32),
            ..Operator::new(Function::Pass)
        };
        let target = super::emitter::Target::Memory {
            slice: buffers.logits.slice,
            base: buffers.logits.base,
            per_pass: (placed.rows * g.beats_per_word) as i32,
            last_beats: g.beats_per_word,
        };
        let begin = self.product(placed, input, operator, target);
        // Nothing looks at the position any more.
        let next = Assignment {
            destination: register::POSITION,
            source: register::POSITION,
            multiplier: 1,
            addend: 0,
            constant: 1,
            shift: 0,
            bits: 16,
        };
        self.emitter.assign(next, begin);
    }
}
