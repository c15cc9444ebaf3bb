//! Instructions of a queue that do the same at addresses that ascend by the same number, the same number of cycles behind each other,
//! become one with one more loop around its sequence: tokens that take turns at the same product need one entry in the queue.

use super::timeline::Timed;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Instruction, Operation, RequantiseFrom, Unit};
use lpu_isa::sequence::{LEVELS, Sequence, Step};
use lpu_isa::vector::Reduction;

/// The instructions of the queue of `unit`, in time order, with those merged that can be. Every step stays what it is, in its cycle.
pub(super) fn merged(queue: &[Timed], unit: Unit, configuration: &Configuration) -> Vec<Timed> {
    let mut merged = Vec::new();
    let mut rest = queue;
    while let Some(&first) = rest.first() {
        let most = progression(rest);
        let one = (2..=most).rev().find_map(|count| Some((count, around(rest, count, unit, configuration)?)));
        let (count, operation) = one.unwrap_or((1, first.operation));
        merged.push(Timed { operation, ..first });
        rest = &rest[count..];
    }
    merged
}

/// The operation with another sequence.
fn with(operation: Operation, sequence: Sequence) -> Operation {
    match operation {
        Operation::Multiply { source, drain, .. } => Operation::Multiply { source, drain, sequence },
        Operation::Store { source, spread, place, .. } => Operation::Store { source, spread, place, sequence },
        Operation::Read { .. } => Operation::Read { sequence },
        Operation::Write { source, last_beats, .. } => Operation::Write { source, last_beats, sequence },
        Operation::Requantise { from, zero_point, minimum, maximum, tracking, .. } => {
            Operation::Requantise { from, zero_point, minimum, maximum, tracking, sequence }
        }
        Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, .. } => {
            Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, sequence }
        }
        other => other,
    }
}

/// The sequence of an instruction each of whose steps knows nothing of the others but what a run is, within a layer: there no register
/// changes between two that take it.
fn sequence_of(timed: &Timed) -> Option<Sequence> {
    let alone = match timed.operation {
        Operation::Multiply { .. } | Operation::Store { .. } | Operation::Read { .. } | Operation::Write { .. } => true,
        Operation::Requantise { from: RequantiseFrom::Tiles, tracking, .. } => {
            tracking.maximum.is_none() && tracking.mask == 0
        }
        Operation::Vector { arithmetic, .. } => arithmetic.reduction == Reduction::None && arithmetic.mask == 0,
        _ => false,
    };
    timed.operation.sequence().filter(|_| alone && timed.layer.is_some_and(|layer| layer > 0)).copied()
}

/// The same steps without levels that never advance between those that do, and the first level behind all of them.
fn squeezed(sequence: &Sequence) -> (Sequence, usize) {
    let mut narrow = Sequence { run_levels: 1, ..*sequence };
    let mut level = 1;
    for other in (1..LEVELS).filter(|&other| sequence.count[other] > 1) {
        (narrow.count[level], narrow.delta[level]) = (sequence.count[other], sequence.delta[other]);
        narrow.run_levels += u32::from((other as u32) < sequence.run_levels);
        level += 1;
    }
    narrow.count[level..].fill(1);
    narrow.delta[level..].fill(0);
    (narrow, level)
}

/// How many instructions from the first on follow each other like the first two.
fn progression(queue: &[Timed]) -> usize {
    let like = |before: &Timed, next: &Timed| -> Option<(u64, i64)> {
        let (from, to) = (sequence_of(before)?, sequence_of(next)?);
        let at = |timed: &Timed| {
            with(timed.operation, Sequence { base: 0, ..timed.operation.sequence().copied().unwrap_or(from) })
        };
        let same = before.layer == next.layer && at(before) == at(next);
        same.then_some((next.issue - before.issue, i64::from(to.base) - i64::from(from.base)))
    };
    let [first, second, ..] = queue else { return 1 };
    let Some(step) = like(first, second) else { return 1 };
    1 + queue.windows(2).take_while(|pair| like(&pair[0], &pair[1]) == Some(step)).count()
}

/// One operation that does what the first `count` instructions do, if there is one.
fn around(queue: &[Timed], count: usize, unit: Unit, configuration: &Configuration) -> Option<Operation> {
    let sequence = sequence_of(&queue[0])?;
    let next = sequence_of(&queue[1])?;
    let distance = queue[1].issue - queue[0].issue;
    let (narrow, level) = squeezed(&sequence);
    let gap = u32::try_from(distance.checked_sub(sequence.duration())?).ok()?;
    if level >= LEVELS || (sequence.runs() > 1 && gap != sequence.gap) {
        return None;
    }
    let last = sequence.steps().last()?.address;
    let mut wider = Sequence { gap, ..narrow };
    wider.count[level] = count as u32;
    wider.delta[level] = i32::try_from(i64::from(next.base) - last).ok()?;
    let moved = |number: usize| {
        let base = i64::from(next.base) - i64::from(sequence.base);
        sequence.steps().map(move |step| Step {
            offset: step.offset + (number as u64 * distance) as u32,
            address: step.address + number as i64 * base,
            ..step
        })
    };
    let operation = with(queue[0].operation, wider);
    let instruction = Instruction { interval: configuration.minimum_interval(), operation };
    let fits = instruction.check(unit, configuration).is_ok() && instruction.encode(unit, configuration).is_ok();
    (fits && wider.steps().eq((0..count).flat_map(moved))).then_some(operation)
}
