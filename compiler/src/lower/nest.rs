//! Nested loops over addresses, as many as an operator has, cut into the sequences that a machine counts.
//!
//! An operator says which addresses its units present as a [`Nest`]: loops of a run (the steps of one product, the words of one
//! drain), and loops over runs. Neighbouring loops that together count evenly become one level. Where more levels are left than a
//! sequencer has, the outermost loop becomes instructions of its own.

use crate::error::CompileError;
use lpu_isa::configuration::Configuration;
use lpu_isa::sequence::{LEVELS, Sequence};

/// A loop: so many iterations, and the distance of the addresses of two that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Iterations, at least one.
    pub count: u64,
    /// Beats, words or entries from one iteration to the next.
    pub stride: i64,
}

/// Loops around an address, innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Nest {
    /// The first address.
    pub base: i64,
    /// Those of a run.
    pub inner: Vec<Loop>,
    /// Those over runs.
    pub outer: Vec<Loop>,
    /// Is the innermost loop a level of its own, even with one iteration? A write cuts the last word of each.
    pub fixed_first: bool,
}

/// A sequence of a nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Runs of the nest before it.
    pub runs_before: u64,
    /// Runs of it.
    pub runs: u64,
    /// The steps.
    pub sequence: Sequence,
}

/// A loop.
#[must_use]
pub fn repeat(count: u64, stride: i64) -> Loop {
    Loop { count, stride }
}

impl Nest {
    /// The same loops at one address.
    #[must_use]
    pub fn still(self) -> Nest {
        let still = |loops: Vec<Loop>| loops.into_iter().map(|level| repeat(level.count, 0)).collect();
        Nest { inner: still(self.inner), outer: still(self.outer), ..self }
    }

    /// Steps of a run.
    #[must_use]
    pub fn run_steps(&self) -> u64 {
        self.inner.iter().fold(1, |product, level| product.saturating_mul(level.count))
    }

    /// Runs.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.outer.iter().fold(1, |product, level| product.saturating_mul(level.count))
    }

    /// The addresses of one run's steps, in order, relative to the base.
    #[must_use]
    pub fn run_offsets(&self) -> Vec<i64> {
        self.inner.iter().fold(vec![0], |offsets, level| {
            (0..level.count as i64)
                .flat_map(|index| offsets.iter().map(move |offset| offset + index * level.stride))
                .collect()
        })
    }

    /// The sequences, in the order of the runs, with `gap` idle cycles between runs and `pause` between the steps of one.
    ///
    /// # Errors
    /// A loop beyond the counters, or a run of more loops than a sequencer has levels.
    pub fn pieces(
        &self,
        layer: &str,
        configuration: &Configuration,
        gap: u32,
        pause: u32,
    ) -> Result<Vec<Piece>, CompileError> {
        let longest = u64::from(configuration.longest_loop());
        let inner = merged(&self.inner, longest, self.fixed_first);
        let outer = merged(&self.outer, longest, false);
        for level in inner.iter().chain(&outer) {
            if level.count > longest {
                let (what, value, limit) = ("a loop of its sequences", level.count, longest);
                return Err(CompileError::TooLarge { layer: layer.into(), what, value, limit });
            }
        }
        let levels = (configuration.sequence_levels as usize).min(LEVELS);
        let run_levels = inner.len().max(1);
        if run_levels > levels {
            let (value, limit) = (run_levels as u64, levels as u64);
            return Err(CompileError::TooLarge { layer: layer.into(), what: "the loops of one product", value, limit });
        }
        // As many outer loops as there are levels left; those further out are unrolled.
        let kept = outer.len().min(levels - run_levels);
        let (kept, unrolled) = outer.split_at(kept);
        let runs: u64 = kept.iter().map(|level| level.count).product();
        let mut all = inner;
        if all.is_empty() {
            all.push(repeat(1, 0));
        }
        all.extend(kept);
        let mut count = [1u32; LEVELS];
        let mut delta = [0i32; LEVELS];
        let mut travel = 0i64;
        for (level, own) in all.iter().enumerate() {
            count[level] = own.count as u32;
            if own.count > 1 {
                delta[level] = narrow(layer, own.stride - travel)?;
            }
            travel += (own.count as i64 - 1) * own.stride;
        }
        let starts = unrolled.iter().fold(vec![0i64], |starts, level| {
            (0..level.count as i64)
                .flat_map(|index| starts.iter().map(move |start| start + index * level.stride))
                .collect()
        });
        let piece = |(index, start): (u64, i64)| {
            let base = u32::try_from(self.base + start).map_err(|_| beyond(layer))?;
            let run_levels = run_levels as u32;
            let sequence = Sequence { base, count, delta, run_levels, gap, pause, register: 0 };
            Ok(Piece { runs_before: index * runs, runs, sequence })
        };
        (0..).zip(starts).map(piece).collect()
    }
}

fn beyond(layer: &str) -> CompileError {
    CompileError::Unsupported { layer: layer.into(), why: "an address lies outside the vector memory".into() }
}

fn narrow(layer: &str, value: i64) -> Result<i32, CompileError> {
    i32::try_from(value).map_err(|_| beyond(layer))
}

/// The same loops with as few levels as possible.
fn merged(loops: &[Loop], longest: u64, fixed_first: bool) -> Vec<Loop> {
    let mut result: Vec<Loop> = Vec::new();
    for (position, &level) in loops.iter().enumerate() {
        let fixed = fixed_first && position == 0;
        if level.count == 1 && !fixed {
            continue;
        }
        let only_fixed = fixed_first && result.len() == 1;
        match result.last_mut() {
            Some(last)
                if !fixed
                    && !only_fixed
                    && level.stride == last.stride.saturating_mul(last.count as i64)
                    && last.count.saturating_mul(level.count) <= longest =>
            {
                last.count *= level.count;
            }
            _ => result.push(level),
        }
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn loops(most: usize) -> impl Strategy<Value = Vec<Loop>> {
        prop::collection::vec((1_u64..5, 0_i64..20).prop_map(|(count, stride)| repeat(count, stride)), 0..most)
    }

    proptest! {
        #[test]
        fn the_pieces_present_the_addresses_of_the_loops_in_their_order(
            inner in loops(3), outer in loops(5), base in 0_i64..100, levels in 2_u32..=4, fixed_first: bool
        ) {
            let nest = Nest { base, inner, outer, fixed_first };
            let configuration = Configuration { sequence_levels: levels, ..Configuration::default() };
            let Ok(pieces) = nest.pieces("layer", &configuration, 3, 1) else { return Ok(()) };
            let run = nest.run_offsets();
            let starts = Nest { inner: nest.outer.clone(), ..nest.clone() }.run_offsets();
            let expected: Vec<i64> =
                starts.iter().flat_map(|start| run.iter().map(move |offset| base + start + offset)).collect();
            let got: Vec<i64> = pieces.iter().flat_map(|piece| piece.sequence.steps()).map(|step| step.address).collect();
            prop_assert_eq!(got, expected);
            let mut before = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.runs_before, before);
                prop_assert_eq!(u64::from(piece.sequence.runs()), piece.runs);
                prop_assert_eq!(u64::from(piece.sequence.run_steps()), nest.run_steps());
                before += piece.runs;
            }
        }
    }

    #[test]
    fn rows_of_neighbours_are_one_level() {
        let nest = Nest { inner: vec![repeat(2, 1), repeat(3, 2), repeat(4, 6)], ..Nest::default() };
        let pieces = nest.pieces("layer", &Configuration::default(), 0, 0).unwrap();
        assert_eq!(pieces[0].sequence.count, [24, 1, 1, 1]);
    }

    #[test]
    fn a_loop_beyond_the_counters_is_refused() {
        let nest = Nest { inner: vec![repeat(4097, 1)], ..Nest::default() };
        let error = nest.pieces("layer", &Configuration::default(), 0, 0).unwrap_err();
        assert_eq!(error.to_string(), "layer `layer`: a loop of its sequences is 4097, one instruction counts to 4096");
    }
}
