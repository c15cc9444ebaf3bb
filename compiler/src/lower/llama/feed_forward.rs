//! The second half of a layer: SiLU of the gate, times what stands beside it, and back to the residual stream.

use super::emitter::{Destination, Operator, VectorJob};
use super::{NORM, Token};
use lpu_isa::instruction::Function;
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::Arithmetic;

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
        let arithmetic = Arithmetic { shift: layer.hidden_shift as i32, ..Arithmetic::default() };
        let job = VectorJob {
            a: (buffers.gate.slice, self.words(buffers.gate.base, words)),
            b: Some((buffers.up.slice, self.words(buffers.up.base, words))),
            operator: Operator { limits: (-limit, limit), arithmetic, ..Operator::new(Function::Multiply) },
            sequence: Sequence { delta: [0; 4], ..Sequence::linear(0, words) },
            to: Destination::Memory {
                slice: buffers.hidden.slice,
                sequence: self.words(buffers.hidden.base, words),
                last_beats: g.beats_per_word,
                lag: 0,
            },
        };
        self.emitter.vector(&job);
        let next = graph.layers.get(number + 1).map_or(&graph.classifier.norm, |layer| &layer.attention.norm);
        self.add_to_residual(&placed.down, buffers.hidden, next);
    }
}
