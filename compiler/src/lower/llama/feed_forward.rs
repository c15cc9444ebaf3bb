//! The second half of a layer: SiLU of the gate, times what stands beside it, and back to the residual stream.

use super::emitter::Operator;
use super::{NORM, Token};

impl Token<'_> {
    /// The feed-forward network of layer `number`, added to the residual stream.
    pub(super) fn feed_forward(&mut self, number: usize) {
        let (graph, plan) = (self.graph, self.plan);
        let (layer, placed, buffers) = (&graph.layers[number].feed_forward, &plan.layers[number], &plan.buffers);
        let g = &plan.geometry;
        let mut gate = Operator::scaled(NORM, layer.gate.right_shift);
        gate.arithmetic.table = Some(placed.silu);
        let to = self.target(&placed.gate, buffers.gate);
        self.projection(&placed.gate, gate, to);
        let to = self.target(&placed.up, buffers.up);
        self.projection(&placed.up, Operator::scaled(NORM, layer.up.right_shift), to);

        let words = placed.down.beats.div_ceil(g.beats_per_word);
        let limit = i32::from(layer.down.requantisation.input_limit);
        self.multiply([buffers.gate, buffers.up, buffers.hidden], words, layer.hidden_shift as i32, limit);
        let next = graph.layers.get(number + 1).map_or(&graph.classifier.norm, |layer| &layer.attention.norm);
        self.add_to_residual(&placed.down, buffers.hidden, next);
    }
}
