//! The second half of a layer: SiLU of the gate, times what stands beside it, and back to the residual stream.

use super::job::Operator;
use super::plan::{Buffer, Strides};
use super::register;
use super::token::Token;
use lpu_isa::instruction::Assignment;

impl Token<'_> {
    /// `count` passes of the gate of layer `number`, from pass `first` on.
    pub(super) fn gate(&mut self, number: usize, (first, count): (u32, u32)) {
        let layer = &self.graph.layers[number].feed_forward;
        let Some(placed) = &self.plan.layer else { return };
        let mut gate = Operator::scaled(self.norm(), layer.gate.right_shift);
        gate.arithmetic.table = Some(placed.silu);
        self.projection_part(&placed.gate, first, count, gate, self.buffers().gate);
    }

    /// The same of what is multiplied with it.
    pub(super) fn up(&mut self, number: usize, (first, count): (u32, u32)) {
        let layer = &self.graph.layers[number].feed_forward;
        let Some(placed) = &self.plan.layer else { return };
        let up = Operator::scaled(self.norm(), layer.up.right_shift);
        self.projection_part(&placed.up, first, count, up, self.buffers().up);
    }

    /// The hidden vector of layer `number`: what does not come of the last pass beside that, the first of it even before the vector unit
    /// has the last pass.
    pub(super) fn hidden(&mut self, number: usize) {
        let (graph, plan) = (self.graph, self.plan);
        let (layer, buffers) = (&graph.layers[number].feed_forward, self.buffers());
        let Some(placed) = &plan.layer else { return };
        let g = &plan.geometry;
        let before = placed.up.passes.saturating_sub(1);
        let words = placed.down.beats.div_ceil(g.beats_per_word);
        let limit = i32::from(layer.down.requantisation.input_limit);
        let of_passes = |passes: u32| passes * placed.up.pitch(g) / g.beats_per_word;
        let between = placed.up.beats.saturating_sub(placed.up.rows);
        let early = of_passes(before.saturating_sub(1)).min(between);
        let ends = [early, of_passes(before), words];
        let mut first = 0;
        for end in ends.into_iter().filter(|&end| end <= words) {
            if end > first {
                let part = |Buffer { slice, base }| Buffer { slice, base: base + first * g.beats_per_word };
                let parts = [buffers.gate, buffers.up, buffers.hidden].map(part);
                self.multiply(parts, end - first, layer.hidden_shift as i32, limit);
                first = end;
            }
        }
    }

    /// The feed-forward network's result of layer `number`, added to the residual stream.
    pub(super) fn down(&mut self, number: usize) {
        let graph = self.graph;
        let Some(placed) = &self.plan.layer else { return };
        let next = graph.layers.get(number + 1).map_or(&graph.classifier.norm, |layer| &layer.attention.norm);
        self.add_to_residual(&placed.down, self.buffers().hidden, next);
    }

    /// What the registers add for the next layer.
    pub(super) fn next_layer(&mut self) {
        let Strides { weights, scales, constants } = self.plan.strides;
        let steps = [
            (register::KEY_ADDRESS, weights),
            (register::VALUE_ADDRESS, weights),
            (register::OFFSETS, constants),
            (register::WEIGHTS, weights),
            (register::SCALES, scales),
        ];
        for (number, stride) in steps {
            let same = Assignment::move_register(number, number);
            self.emitter.assign(Assignment { constant: stride as i32, ..same }, 0);
        }
    }
}
