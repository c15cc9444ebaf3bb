//! The second half of a layer: SiLU of the gate, times what stands beside it, and back to the residual stream.

use super::job::Operator;
use super::plan::{Buffer, Strides};
use super::{Token, register};
use lpu_isa::instruction::Assignment;

impl Token<'_> {
    /// The hidden vector of layer `number`.
    pub(super) fn hidden(&mut self, number: usize) {
        let (graph, plan) = (self.graph, self.plan);
        let (layer, buffers) = (&graph.layers[number].feed_forward, self.buffers());
        let Some(placed) = &plan.layer else { return };
        let g = &plan.geometry;
        let mut gate = Operator::scaled(self.norm(), layer.gate.right_shift);
        gate.arithmetic.table = Some(placed.silu);
        self.projection_part(&placed.gate, 0, placed.gate.passes, gate, buffers.gate);
        // What comes of the last pass is waited for: what comes before it is multiplied in the meantime, the first of it even before
        // the vector unit has the last pass.
        let up = Operator::scaled(self.norm(), layer.up.right_shift);
        let before = placed.up.passes - 1;
        if before > 0 {
            self.projection_part(&placed.up, 0, before, up.clone(), buffers.up);
        }
        self.projection_part(&placed.up, before, 1, up, buffers.up);

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
