//! What one step of each unit computes, and the sequencer that orders the steps.

use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::instruction::{Operation, RequantiseFrom, Source};
use lpu_isa::program::Scale;
use lpu_isa::sequence::{Step, Steps};

/// A queue with its sequencer.
#[derive(Clone, Debug, Default)]
pub struct Sequencer {
    /// Next instruction.
    pub program_counter: usize,
    /// Cycle of its issue.
    pub issue_cycle: u64,
    /// Has the queue halted?
    pub halted: bool,
    /// Cycle of the next issue or step; `u64::MAX` where none is left.
    pub next_event: u64,
    /// Steps taken so far.
    pub busy: u64,
    current: Option<(Operation, Steps, u64, Step)>,
    prefix: u32,
}

impl Sequencer {
    /// Starts `operation`; its first step comes at `first_step`.
    pub fn begin(&mut self, operation: Operation, prefix: u32, first_step: u64) {
        self.prefix = prefix;
        self.current = operation.sequence().and_then(|sequence| {
            let mut steps = sequence.steps_with_prefix(prefix);
            steps.next().map(|step| (operation, steps, first_step, step))
        });
    }

    /// Cycle of the next step.
    pub fn step_cycle(&self) -> Option<u64> {
        self.current.as_ref().map(|(_, _, start, step)| start + u64::from(step.offset))
    }

    /// Takes the next step.
    pub fn take(&mut self) -> Option<(Operation, Step)> {
        let (operation, steps, _, step) = self.current.as_mut()?;
        let taken = (*operation, *step);
        self.busy += 1;
        match steps.next() {
            Some(next) => *step = next,
            None => self.current = None,
        }
        Some(taken)
    }

    /// Steps of bias in front of each run.
    pub fn prefix(&self) -> u32 {
        self.prefix
    }

    /// Recomputes [`next_event`](Self::next_event).
    pub fn update_next_event(&mut self) {
        let issue = if self.halted { u64::MAX } else { self.issue_cycle };
        self.next_event = self.step_cycle().unwrap_or(u64::MAX).min(issue);
    }
}

/// One step of a tile group: `words` holds the weights of its tiles, `dot` each.
pub fn multiply_step(accumulators: &mut [i32], words: &[i16], activation: &[i16], step: &Step, sequencer: &Sequencer) {
    if step.first {
        accumulators.fill(0);
    }
    let dot = activation.len();
    if step.prefix {
        // The first prefix step of a run brings the low part of the bias.
        let part = if step.first { 0 } else { 1 };
        let bytes = dot.min(4);
        debug_assert!(sequencer.prefix() as usize * bytes >= 4);
        for (accumulator, word) in accumulators.iter_mut().zip(words.chunks_exact(dot)) {
            let value = word[..bytes].iter().rev().fold(0u32, |value, &byte| value << 8 | u32::from(byte as u8));
            *accumulator = accumulator.wrapping_add((value << (8 * bytes as u32 * part % 32)) as i32);
        }
        return;
    }
    match *activation {
        [a, b, c, d] => {
            for (accumulator, word) in accumulators.iter_mut().zip(words.chunks_exact(4)) {
                let sum = i32::from(word[0]) * i32::from(a)
                    + i32::from(word[1]) * i32::from(b)
                    + i32::from(word[2]) * i32::from(c)
                    + i32::from(word[3]) * i32::from(d);
                *accumulator = accumulator.wrapping_add(sum);
            }
        }
        _ => {
            for (accumulator, word) in accumulators.iter_mut().zip(words.chunks_exact(dot)) {
                let sum: i32 = word.iter().zip(activation).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
                *accumulator = accumulator.wrapping_add(sum);
            }
        }
    }
}

/// One step of the requantiser: a word to port `output` at element offset `at`; streams are looked at at offset `now`.
#[allow(clippy::too_many_arguments)]
pub fn requantise_step(
    ports: &mut [Vec<i16>],
    output: usize,
    at: usize,
    now: usize,
    drains: &[i32],
    scale: &[Scale],
    operation: &Operation,
    rounding: Rounding,
    port_of: impl Fn(Source) -> usize,
) {
    let Operation::Requantise { from, input_zero_point, zero_point, minimum, maximum, .. } = *operation else { return };
    for lane in 0..drains.len() {
        let operand = match from {
            RequantiseFrom::Tiles => drains[lane],
            RequantiseFrom::Stream(source) => i32::from(ports[port_of(source)][now + lane]) - input_zero_point,
        };
        let Scale { multiplier, shift } = scale.get(lane).copied().unwrap_or_default();
        let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding };
        ports[output][at + lane] = requantise.apply(operand) as i16;
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
