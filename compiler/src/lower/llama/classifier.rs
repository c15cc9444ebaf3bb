//! The end of a token: the last norm's weights, the classifier, the slot of the largest result, the next position.

use super::job::{Operator, ProductJob};
use super::register;
use super::token::Token;
use lpu_isa::instruction::{Assignment, Function, Tracking};
use lpu_isa::vector::{Arithmetic, Reduction};

impl Token<'_> {
    /// The classifier. Its results stand behind each other, a pass in whole words; the register of the token becomes the slot of
    /// the largest.
    pub(super) fn classifier(&mut self) {
        let (graph, plan) = (self.graph, self.plan);
        let (buffers, placed, g) = (self.buffers(), &plan.classifier, &plan.geometry);
        let mut input = buffers.residual;
        if let (Some(weights), Some(buffer)) = (&graph.classifier.weights, plan.last_norm) {
            let words = placed.beats.div_ceil(g.beats_per_word);
            let limit = i32::from(graph.classifier.requantisation.input_limit);
            self.multiply([input, buffer, buffers.last], words, weights.right_shift as i32, limit);
            input = buffers.last;
        }
        let arithmetic = Arithmetic { reduction: Reduction::ArgMax, register: self.token(), ..Arithmetic::default() };
        let operator = Operator {
            arithmetic,
            address: (0, g.elements as i32, g.slot_pitch as i32),
            ..Operator::new(Function::Pass)
        };
        let target = super::job::Target::Memory {
            slice: buffers.logits.slice,
            base: buffers.logits.base,
            per_pass: (placed.rows * g.beats_per_word) as i32,
            last_beats: g.beats_per_word,
            copy: None,
        };
        // Columns without a tile in the last row have no logit: what they deliver must not be the largest.
        let tracking = Tracking { mask: register::LAST_TILE, maximum: None, each_run: true };
        let job = self.product_job(placed, input, operator, target);
        let begin = self.emitter.product(&ProductJob { tracking, ..job });
        if self.member + 1 < self.tokens.count() {
            return;
        }
        // Nothing looks at the position any more.
        let next = Assignment { constant: 1, ..Assignment::move_register(register::POSITION, register::POSITION) };
        self.emitter.assign(next, begin);
    }
}
