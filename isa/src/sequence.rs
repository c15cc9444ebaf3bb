//! Nested strided counters: which address a unit presents at which cycle.
//!
//! A [`Sequence`] is four nested loops, level 0 innermost. Each level has a count and the change of the address when that
//! level advances (counted from the last address of the loops inside it, so the hardware adds one number). The innermost
//! `run_levels` loops form a *run*: the steps of one product of a tile, the words of one drain, one vector. Behind every run
//! but the last the unit idles for `gap` cycles, and between two steps of a run for `pause` cycles: the pace of a unit that
//! needs more than a cycle for a word, and of those that feed and follow it.

use crate::configuration::{Configuration, bits_for};
use serde::{Deserialize, Serialize};

/// Depth of the nesting.
pub const LEVELS: usize = 4;
/// Most bits of a loop count and of the gap that a configuration may ask for; a count's field holds `count - 1`.
pub const MOST_COUNT_BITS: u32 = 12;
/// Bits of the pause; more in a machine with softmax, see [`Configuration::pause_bits`].
pub const PAUSE_BITS: u32 = 2;

/// Four nested strided loops with an idle gap between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// First address.
    pub base: u32,
    /// Iterations of each level, 1 to [`Configuration::longest_loop`].
    pub count: [u32; LEVELS],
    /// Change of the address when a level advances; added modulo the unit's address width.
    pub delta: [i32; LEVELS],
    /// Levels that make one run, 1 to 4.
    pub run_levels: u32,
    /// Idle cycles between two runs.
    pub gap: u32,
    /// Idle cycles between two steps of a run, 0 to [`Configuration::longest_pause`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pause: u32,
    /// The run-time register whose value is added to `base` when the instruction issues; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub register: u32,
}

/// Is there nothing to write down?
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// One step of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Cycles since the first step.
    pub offset: u32,
    /// Address presented, before it is reduced to the unit's address width.
    pub address: i64,
    /// First step of a run.
    pub first: bool,
    /// Last step of a run.
    pub last: bool,
    /// Last step of a level-0 loop.
    pub end_of_level_0: bool,
}

impl Sequence {
    /// `count` consecutive addresses from `base`, one run.
    pub fn linear(base: u32, count: u32) -> Sequence {
        Sequence { base, count: [count, 1, 1, 1], delta: [1, 0, 0, 0], run_levels: 1, gap: 0, pause: 0, register: 0 }
    }

    /// `runs` runs of `count` consecutive addresses. Run `r` begins at `base + r × stride`; `gap` idle cycles between runs.
    pub fn repeated(base: u32, count: u32, runs: u32, stride: i32, gap: u32) -> Sequence {
        let back = stride - (count as i32 - 1);
        Sequence { base, count: [count, runs, 1, 1], delta: [1, back, 0, 0], run_levels: 1, gap, pause: 0, register: 0 }
    }

    /// The same addresses, a step each `interval` cycles of a run instead of each cycle.
    pub fn paced(self, interval: u32) -> Sequence {
        Sequence { pause: interval.saturating_sub(1), ..self }
    }

    /// The same with the value of the run-time register `register` added to the base.
    pub fn offset_by(self, register: u32) -> Sequence {
        Sequence { register, ..self }
    }

    /// Steps of one run; [`u32::MAX`] where there are more.
    pub fn run_steps(&self) -> u32 {
        let (run, _) = self.split();
        run.iter().fold(1, |product: u32, &count| product.saturating_mul(count))
    }

    /// Number of runs; [`u32::MAX`] where there are more.
    pub fn runs(&self) -> u32 {
        let (_, outer) = self.split();
        outer.iter().fold(1, |product: u32, &count| product.saturating_mul(count))
    }

    /// The counts of the levels inside a run and of those outside.
    fn split(&self) -> (&[u32], &[u32]) {
        self.count.split_at((self.run_levels as usize).min(LEVELS))
    }

    /// Cycles from the first to the last step, both included; [`u64::MAX`] where there are more.
    pub fn duration(&self) -> u64 {
        let (run, outer) = self.split();
        let (steps, runs) = (product(run), product(outer));
        let run = steps.saturating_add(steps.saturating_sub(1).saturating_mul(u64::from(self.pause)));
        runs.saturating_mul(run).saturating_add(runs.saturating_sub(1).saturating_mul(u64::from(self.gap)))
    }

    /// Least and largest address of all steps.
    ///
    /// Takes the same few additions for every sequence, however many steps it has.
    pub fn extent(&self) -> (i64, i64) {
        let mut range = Extent { low: 0, high: 0, travel: 0 };
        for (&count, &delta) in self.count.iter().zip(&self.delta) {
            range.repeat(count, delta);
        }
        let address = |offset: i128| {
            let address = offset.saturating_add(i128::from(self.base));
            address.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
        };
        (address(range.low), address(range.high))
    }

    /// The same sequence as a counter of `address_bits` bits walks it: an instruction word holds each delta modulo the
    /// address width only, and of all numbers that look alike there, this takes the one that keeps the address inside
    /// `0..1 << address_bits` when its level advances for the first time. Deltas of levels that never advance become 0.
    pub fn unwrapped(&self, address_bits: u32) -> Sequence {
        let mut sequence = *self;
        let width = 1i128 << address_bits;
        let mut range = Extent { low: 0, high: 0, travel: 0 };
        for level in 0..LEVELS {
            let from = range.travel.saturating_add(i128::from(self.base));
            let to = from.saturating_add(i128::from(self.delta[level])).rem_euclid(width);
            sequence.delta[level] = match i32::try_from(to.saturating_sub(from)) {
                _ if self.count[level] <= 1 => 0,
                Ok(delta) if (0..width).contains(&from) => delta,
                _ => self.delta[level],
            };
            range.repeat(self.count[level], sequence.delta[level]);
        }
        sequence
    }

    /// The steps in time order.
    pub fn steps(&self) -> Steps {
        Steps {
            sequence: *self,
            index: [0; LEVELS],
            address: i64::from(self.base),
            offset: 0,
            fresh: true,
            done: false,
        }
    }
}

/// The product, or the largest number.
fn product(counts: &[u32]) -> u64 {
    counts.iter().fold(1, |product: u64, &count| product.saturating_mul(u64::from(count)))
}

/// Where the inner loops of a sequence go, seen from their first address.
struct Extent {
    low: i128,
    high: i128,
    /// From the first to the last address.
    travel: i128,
}

impl Extent {
    /// Wraps one more loop around.
    fn repeat(&mut self, count: u32, delta: i32) {
        let again = i128::from(count.saturating_sub(1));
        let total = again.saturating_mul(self.travel.saturating_add(i128::from(delta)));
        self.low = self.low.saturating_add(total.min(0));
        self.high = self.high.saturating_add(total.max(0));
        self.travel = self.travel.saturating_add(total);
    }
}

/// Iterator over the steps of a [`Sequence`].
#[derive(Clone, Debug)]
pub struct Steps {
    sequence: Sequence,
    index: [u32; LEVELS],
    address: i64,
    offset: u32,
    fresh: bool,
    done: bool,
}

impl Iterator for Steps {
    type Item = Step;

    #[inline]
    fn next(&mut self) -> Option<Step> {
        if self.done {
            return None;
        }
        let sequence = &self.sequence;
        if self.index[0] + 1 < sequence.count[0] {
            // Most steps are of this kind: the innermost level advances and nothing else happens.
            let step = Step {
                offset: self.offset,
                address: self.address,
                first: self.fresh,
                last: false,
                end_of_level_0: false,
            };
            self.index[0] += 1;
            self.address += i64::from(sequence.delta[0]);
            self.offset += 1 + sequence.pause;
            self.fresh = false;
            return Some(step);
        }
        let ends: [bool; LEVELS] = std::array::from_fn(|level| self.index[level] + 1 == sequence.count[level]);
        let last = ends[..sequence.run_levels as usize].iter().all(|&end| end);
        let step =
            Step { offset: self.offset, address: self.address, first: self.fresh, last, end_of_level_0: ends[0] };
        self.fresh = last;
        self.offset += 1;
        match ends.iter().position(|&end| !end) {
            None => self.done = true,
            Some(level) => {
                self.index[..level].fill(0);
                self.index[level] += 1;
                self.address += i64::from(sequence.delta[level]);
                if last {
                    self.offset += sequence.gap;
                } else {
                    self.offset += sequence.pause;
                }
            }
        }
        Some(step)
    }
}

/// Widths of the fields of a sequence in a unit whose addresses have `address_bits` bits, but for that of the register: see
/// [`register_fields`](crate::encoding::register_fields).
pub fn field_bits(address_bits: u32, configuration: &Configuration) -> Vec<(String, u32)> {
    let mut fields = Vec::new();
    if address_bits > 0 {
        fields.push(("base".to_string(), address_bits));
    }
    for level in 0..configuration.sequence_levels {
        fields.push((format!("count{level}"), configuration.count_bits));
        if address_bits > 0 {
            fields.push((format!("delta{level}"), address_bits));
        }
    }
    fields.push(("run_levels".to_string(), bits_for(configuration.sequence_levels)));
    fields.push(("gap".to_string(), configuration.count_bits));
    fields.push(("pause".to_string(), configuration.pause_bits()));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_vector_is_visited_in_order_with_gaps() {
        let sequence = Sequence::repeated(10, 3, 2, 0, 2);
        let seen: Vec<_> = sequence.steps().map(|s| (s.offset, s.address, s.first, s.last)).collect();
        assert_eq!(
            seen,
            [
                (0, 10, true, false),
                (1, 11, false, false),
                (2, 12, false, true),
                (5, 10, true, false),
                (6, 11, false, false),
                (7, 12, false, true)
            ]
        );
        assert_eq!(sequence.duration(), 8);
    }

    #[test]
    fn a_paced_vector_pauses_between_the_steps_of_a_run_and_keeps_the_gap_between_runs() {
        let sequence = Sequence::repeated(10, 2, 2, 0, 3).paced(2);
        let seen: Vec<_> = sequence.steps().map(|s| s.offset).collect();
        assert_eq!(seen, [0, 2, 6, 8]);
        assert_eq!(sequence.duration(), 9);
    }

    #[test]
    fn three_levels_walk_a_window() {
        let sequence = Sequence {
            base: 0,
            count: [2, 2, 2, 1],
            delta: [1, 9, -9, 0],
            run_levels: 2,
            gap: 0,
            pause: 0,
            register: 0,
        };
        let seen: Vec<_> = sequence.steps().map(|s| s.address).collect();
        assert_eq!(seen, [0, 1, 10, 11, 2, 3, 12, 13]);
    }
}
