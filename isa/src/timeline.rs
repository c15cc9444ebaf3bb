//! When a program's instructions issue: known before the run, for each of its entry points.
//!
//! A queue issues its instructions one after the other, each an interval behind the one before it, up to the one that halts; loops as
//! often as their ends say ([`Queue::issued`](crate::program::Queue::issued)). Whoever wants to know what a run does (the checker, a
//! trace) walks through the queues here and nowhere else.

use crate::instruction::Operation;
use crate::latency::ISSUE_TO_STEP;
use crate::program::{Placed, Program};

/// Where a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Number of the first instruction, the same in every queue.
    pub instruction: usize,
    /// The schedule is right for positions below this; none where a network knows no positions.
    pub positions: Option<u32>,
    /// The first position that it is chosen for: those before have shorter schedules.
    pub first: u32,
    /// Cycles that the program promises.
    pub cycles: u64,
    /// Its number among the schedules that take in several tokens of a prompt, if it is one of them.
    pub prefill: Option<usize>,
}

/// An instruction and the cycle of its issue.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// Its number in the queue.
    pub index: usize,
    /// The cycle, since the start of the run.
    pub cycle: u64,
    /// The instruction and its layer.
    pub placed: &'a Placed,
}

impl<'a> Issue<'a> {
    /// What it does.
    pub fn operation(&self) -> &'a Operation {
        &self.placed.instruction.operation
    }

    /// Cycle of its first step, if it takes any.
    pub fn first_step(&self) -> Option<u64> {
        self.operation().sequence().map(|_| self.cycle + u64::from(ISSUE_TO_STEP))
    }

    /// Cycle of its last step, if it takes any.
    pub fn last_step(&self) -> Option<u64> {
        self.first_step().map(|first| first.saturating_add(self.operation().duration().saturating_sub(1)))
    }
}

/// The entry points of `program`: those of a language model, those for prompts behind the others; or the one at instruction 0.
pub fn entry_points(program: &Program) -> Vec<EntryPoint> {
    match &program.language {
        None => {
            vec![EntryPoint { instruction: 0, positions: None, first: 0, cycles: program.cycles, prefill: None }]
        }
        Some(language) => {
            let firsts = std::iter::once(0).chain(language.entries.iter().map(|entry| entry.positions));
            let entries = language.entries.iter().zip(firsts).map(|(entry, first)| EntryPoint {
                instruction: entry.instruction as usize,
                positions: Some(entry.positions),
                first,
                cycles: entry.cycles,
                prefill: None,
            });
            let firsts = std::iter::once(0).chain(language.prefill.iter().map(|prefill| prefill.positions));
            let prefill =
                language.prefill.iter().zip(firsts).enumerate().map(|(number, (prefill, first))| EntryPoint {
                    instruction: prefill.instruction as usize,
                    positions: Some(prefill.positions),
                    first,
                    cycles: prefill.cycles,
                    prefill: Some(number),
                });
            entries.chain(prefill).collect()
        }
    }
}

/// What queue number `queue` issues in a run that begins at instruction `entry`, loops unrolled, up to the instruction that halts and
/// with it.
pub fn issues(program: &Program, queue: usize, entry: usize) -> Vec<Issue<'_>> {
    let Some(queue) = program.queues.get(queue) else { return vec![] };
    let issued = queue.issued(entry, &program.configuration).into_iter();
    issued.map(|(cycle, index)| Issue { index, cycle, placed: &queue.instructions[index] }).collect()
}
