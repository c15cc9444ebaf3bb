//! When every queue does what: issue cycles, and the rules that need nothing else.

use super::violation::{Place, Violation, Violations};
use lpu_isa::instruction::Operation;
use lpu_isa::latency::ISSUE_TO_STEP;
use lpu_isa::program::Program;

/// Reports every instruction that does not fit its unit.
pub(super) fn check_fields(program: &Program, violations: &mut Violations) {
    for (position, queue) in program.queues.iter().enumerate() {
        let mut issue = 0u64;
        for (index, placed) in queue.instructions.iter().enumerate() {
            if let Err(error) = placed.instruction.check(queue.unit, &program.configuration) {
                violations.add(Violation::Field { at: Place::of(program, position, index, issue), error });
            }
            issue += u64::from(placed.instruction.interval);
        }
    }
}

/// One instruction that takes steps.
pub(super) struct Stepping<'a> {
    /// Number of the instruction in its queue.
    pub(super) index: usize,
    pub(super) operation: &'a Operation,
    /// Cycle of the first step.
    pub(super) start: u64,
    /// First cycle whose step does not belong to it any more: the next instruction has taken over, or the run is over.
    pub(super) cutoff: u64,
}

/// The instructions that take steps, for each queue in time order.
pub(super) struct Timeline<'a> {
    pub(super) queues: Vec<Vec<Stepping<'a>>>,
    /// Cycles of the run: the cycle behind the last queue's `halt`.
    pub(super) end: u64,
}

impl<'a> Timeline<'a> {
    /// The timeline of a program whose fields are all in range.
    pub(super) fn of(program: &'a Program, violations: &mut Violations) -> Timeline<'a> {
        let mut end = 0;
        let mut queues = Vec::new();
        for position in 0..program.queues.len() {
            let (queue, halt) = Self::queue(program, position, violations);
            queues.push(queue);
            end = end.max(halt + 1);
        }
        for stepping in queues.iter_mut().flatten() {
            stepping.cutoff = stepping.cutoff.min(end);
        }
        if program.cycles != end {
            violations.add(Violation::CycleCount { promised: program.cycles, actual: end });
        }
        Timeline { queues, end }
    }

    /// The instructions of one queue that take steps, and the issue cycle of its `halt`.
    fn queue(program: &'a Program, position: usize, violations: &mut Violations) -> (Vec<Stepping<'a>>, u64) {
        let queue = &program.queues[position];
        let mut steppings: Vec<Stepping<'a>> = Vec::new();
        // Number and last step of the instruction that took steps before.
        let mut previous: Option<(usize, u64)> = None;
        let mut issue = 0;
        let mut halt = None;
        for (index, placed) in queue.instructions.iter().enumerate() {
            let operation = &placed.instruction.operation;
            let at = |cycle| Place::of(program, position, index, cycle);
            let start = issue + u64::from(ISSUE_TO_STEP);
            if halt.is_some() {
                violations.add(Violation::BehindHalt { at: at(issue) });
                break;
            }
            if *operation == Operation::Halt {
                halt = Some(issue);
                if let Some((previous, until)) = previous.filter(|&(_, until)| until > issue) {
                    violations.add(Violation::HaltWhileStepping { at: at(issue), previous, until });
                }
            } else if operation.sequence().is_some() {
                if let Some((previous, until)) = previous.filter(|&(_, until)| until >= start) {
                    violations.add(Violation::StillStepping { at: at(start), previous, until });
                }
                if let Some(last) = steppings.last_mut() {
                    last.cutoff = start;
                }
                steppings.push(Stepping { index, operation, start, cutoff: u64::MAX });
                previous = Some((index, start + operation.duration() - 1));
            }
            issue += u64::from(placed.instruction.interval);
        }
        (steppings, halt.unwrap_or(issue))
    }
}
