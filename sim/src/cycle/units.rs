//! What one step of each unit computes, and the sequencer that orders the steps.

use super::extension::Captured;
use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::instruction::{Operation, RequantiseFrom, Source};
use lpu_isa::program::Scale;
use lpu_isa::sequence::{Sequence, Step, Steps};

/// A queue with its sequencer.
#[derive(Clone, Debug, Default)]
pub struct Sequencer {
    /// Next instruction.
    pub program_counter: usize,
    /// The instruction whose steps are being taken.
    pub instruction: usize,
    /// Cycle of its issue.
    pub issue_cycle: u64,
    /// Times that the loop under way has been executed.
    pub repeated: u32,
    /// Has the queue halted?
    pub halted: bool,
    /// Cycle of the next issue or step; `u64::MAX` where none is left.
    pub next_event: u64,
    /// Steps taken so far.
    pub busy: u64,
    /// What the instruction under way has taken from the registers.
    pub captured: Captured,
    /// Steps of the instruction before the one taken last, and those of its run.
    pub number: u32,
    pub run_step: u32,
    current: Option<Current>,
}

/// The instruction whose steps are being taken.
#[derive(Clone, Debug)]
struct Current {
    steps: Steps,
    start: u64,
    next: Step,
}

impl Sequencer {
    /// A queue that begins at instruction `entry`.
    pub fn at(entry: usize) -> Sequencer {
        Sequencer { program_counter: entry, ..Sequencer::default() }
    }

    /// Starts `operation`, the instruction at the program counter; its first step comes at `first_step`. `offset` is added to the
    /// base address.
    pub fn begin(&mut self, operation: &Operation, first_step: u64, offset: u16, captured: Captured) {
        self.instruction = self.program_counter;
        self.captured = captured;
        (self.number, self.run_step) = (u32::MAX, u32::MAX);
        self.current = operation.sequence().and_then(|sequence| {
            let mut steps = Sequence { base: sequence.base + u32::from(offset), ..*sequence }.steps();
            steps.next().map(|next| Current { steps, start: first_step, next })
        });
    }

    /// Cycle of the next step.
    pub fn step_cycle(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.start + u64::from(current.next.offset))
    }

    /// Takes the next step.
    pub fn take(&mut self) -> Option<Step> {
        let current = self.current.as_mut()?;
        let taken = current.next;
        self.busy += 1;
        self.number = self.number.wrapping_add(1);
        self.run_step = if taken.first { 0 } else { self.run_step.wrapping_add(1) };
        match current.steps.next() {
            Some(next) => current.next = next,
            None => self.current = None,
        }
        Some(taken)
    }

    /// Was the step taken last the last of its instruction?
    pub fn finished(&self) -> bool {
        self.current.is_none()
    }

    /// Recomputes [`next_event`](Self::next_event).
    pub fn update_next_event(&mut self) {
        let issue = if self.halted { u64::MAX } else { self.issue_cycle };
        self.next_event = self.step_cycle().unwrap_or(u64::MAX).min(issue);
    }
}

/// What a tile group has taken in since its run began.
///
/// The products are not summed step by step but at the end of the run, tile by tile: the weights do not change in between,
/// and a sum of 32 bits that wraps does not depend on the order.
#[derive(Clone, Debug, Default)]
pub struct Run {
    activations: Vec<i16>,
    addresses: Vec<usize>,
}

impl Run {
    /// One step with the beat `activation`, of whose elements the lowest `bits` are multiplied.
    pub fn step(&mut self, step: &Step, activation: &[i16], bits: u32) {
        if step.first {
            self.activations.clear();
            self.addresses.clear();
        }
        self.addresses.push(step.address as usize);
        let cut = i16::BITS - bits;
        self.activations.extend(activation.iter().map(|&element| element << cut >> cut));
    }

    /// The accumulator of one of a tile's channels: its weights are `weights`, `dot` a word.
    pub fn accumulator(&self, weights: &[i16], dot: usize) -> i32 {
        let (Some(&first), Some(&last)) = (self.addresses.first(), self.addresses.last()) else { return 0 };
        if self.addresses.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
            return dot_product(&weights[first * dot..(last + 1) * dot], &self.activations);
        }
        let beats = self.addresses.iter().zip(self.activations.chunks_exact(dot));
        beats.fold(0i32, |sum, (&address, beat)| {
            sum.wrapping_add(dot_product(&weights[address * dot..(address + 1) * dot], beat))
        })
    }

    /// The sum of the multiplier of weight `part`, where all multipliers of a tile take element `element` of the beats.
    pub fn separate_sum(&self, weights: &[i16], (dot, part): (usize, usize), element: usize) -> i32 {
        let beats = self.addresses.iter().zip(self.activations.chunks_exact(dot));
        beats.fold(0i32, |sum, (&address, beat)| {
            sum.wrapping_add(i32::from(weights[address * dot + part]) * i32::from(beat[element]))
        })
    }
}

/// The sum of products, modulo 2³².
fn dot_product(weights: &[i16], activations: &[i16]) -> i32 {
    weights.iter().zip(activations).fold(0, |sum, (&w, &x)| sum.wrapping_add(i32::from(w) * i32::from(x)))
}

/// One step of the requantiser: a word to port `output` at element offset `at`; streams are looked at at offset `now`.
#[allow(clippy::too_many_arguments)]
pub fn requantise_step(
    ports: &mut [Vec<i16>],
    output: usize,
    at: usize,
    now: usize,
    drains: &[i32],
    (scales, address): (&[Vec<Scale>], usize),
    operation: &Operation,
    rounding: Rounding,
    port_of: impl Fn(Source) -> usize,
) {
    let Operation::Requantise { from, zero_point, minimum, maximum, .. } = *operation else { return };
    for lane in 0..drains.len() {
        let element = |source: Source| ports[port_of(source)][now + lane];
        let (operand, entry) = match from {
            RequantiseFrom::Tiles => (drains[lane], 0),
            RequantiseFrom::Stream(source) => (i32::from(element(source)), 0),
            RequantiseFrom::Lookup { operand, index } => {
                (i32::from(element(operand)) << 16, usize::from(element(index) as u8))
            }
        };
        let scale = scales.get(address + entry).and_then(|scale| scale.get(lane));
        let Scale { multiplier, shift, bias } = scale.copied().unwrap_or_default();
        let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding };
        ports[output][at + lane] = requantise.apply(operand.wrapping_add(bias)) as i16;
    }
}

/// One step of the vector unit.
pub fn vector_step(
    ports: &mut [Vec<i16>],
    output: usize,
    at: usize,
    now: usize,
    elements: usize,
    operation: &Operation,
    port_of: impl Fn(Source) -> usize,
) {
    let Operation::Vector { function, a, b, constant, minimum, maximum, .. } = *operation else { return };
    for lane in 0..elements {
        let first = i32::from(ports[port_of(a)][now + lane]);
        let second = b.map_or(constant, |source| i32::from(ports[port_of(source)][now + lane]));
        ports[output][at + lane] = function.apply(first, second).min(maximum).max(minimum) as i16;
    }
}
