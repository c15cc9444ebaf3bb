//! The queues of a schedule under construction. Jobs are placed one after the other, each in the first holes that are long enough:
//! what is placed first is served first, but nobody waits for a unit that is free.

use super::merge::merged;
use crate::schedule::{Draft, push};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use lpu_isa::program::{Placed, Queue};
use std::collections::{BTreeMap, BTreeSet};

/// An instruction with its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    /// Its cycle.
    pub(super) issue: u64,
    /// What it does.
    pub(super) operation: Operation,
    /// Its label.
    pub(super) layer: Option<u32>,
}

/// Drains under way: from the last step of a product's first pass, to the first cycle in which another product's last step may come.
#[derive(Clone, Copy, Debug)]
pub struct Drains {
    /// First cycle, from the job's origin.
    pub offset: i64,
    /// Cycles.
    pub cycles: u64,
}

/// What of a job passes where only one thing can pass at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passages {
    /// Its drains.
    pub drains: Option<Drains>,
    /// When a scalar lands, from the job's origin.
    pub scalar: Option<i64>,
    /// When a register does.
    pub register: Option<i64>,
}

impl Passages {
    /// Port and offset of what lands.
    fn landings(&self) -> impl Iterator<Item = (usize, i64)> {
        [self.scalar, self.register].into_iter().enumerate().filter_map(|(port, offset)| Some((port, offset?)))
    }
}

/// Instructions in the order of their times.
#[derive(Clone, Debug)]
pub struct Timeline {
    configuration: Configuration,
    latency: Latency,
    /// Least cycles from one instruction of a queue to the next. Asked for at each hole, so found once.
    shortest: u64,
    queues: BTreeMap<Unit, Vec<Timed>>,
    /// Drains, in order: from, to.
    drains: Vec<(u64, u64)>,
    /// Cycles in which scalars and registers land: each have one port.
    landings: [BTreeSet<i64>; 2],
    end: u64,
    repeated: Option<Repeated>,
    merges: bool,
}

/// A loop over layers.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    /// Label of the first.
    layer: u32,
    /// How many.
    times: u32,
    /// Cycles from one to the next.
    period: u64,
}

impl Timeline {
    /// An empty one.
    pub fn new(configuration: &Configuration) -> Timeline {
        Timeline {
            configuration: configuration.clone(),
            latency: Latency::of(configuration),
            shortest: u64::from(configuration.minimum_interval()),
            queues: BTreeMap::new(),
            drains: Vec::new(),
            landings: Default::default(),
            end: 0,
            repeated: None,
            merges: false,
        }
    }

    /// Notes that the program must not end before `cycle`.
    pub fn note_end(&mut self, cycle: u64) {
        self.end = self.end.max(cycle);
    }

    /// Cycles from the issue of `before` to the first in which `next` may be issued by the same queue.
    fn distance(&self, before: &Operation, next: &Operation) -> u64 {
        let busy = match before {
            // The requantiser is at work on a word for longer than its step.
            Operation::Requantise { .. } => before.duration() + u64::from(self.configuration.requantise_interval) - 1,
            _ => before.duration(),
        };
        // No result overtakes another.
        let way = |operation: &Operation| match operation {
            Operation::Vector { function, arithmetic, .. } => Some(self.latency.vector(*function, arithmetic)),
            _ => None,
        };
        let later = way(next).zip(way(before)).map_or(0, |(next, before)| u64::from(before.saturating_sub(next)));
        (busy + later).max(self.shortest)
    }

    /// The first cycle from `issue` on in which `unit` may issue `operation`, and its place in the queue; where it comes last, behind
    /// all others.
    fn hole(&self, unit: Unit, issue: u64, operation: &Operation, last: bool) -> (u64, usize) {
        // The wait in front of a queue's first instruction is an instruction itself, with the least interval.
        let mut issue = if issue > 0 { issue.max(self.shortest) } else { 0 };
        let Some(queue) = self.queues.get(&unit) else { return (issue, 0) };
        // Right behind a loop comes whatever is issued then, or an instruction that waits.
        let end = self.loop_end(queue).unwrap_or(0);
        let behind_loop = |issue: u64| if issue <= end { end } else { issue.max(end + self.shortest) };
        issue = behind_loop(issue);
        let mut place = if last { queue.len() } else { queue.partition_point(|timed| timed.issue <= issue) };
        loop {
            if let Some(before) = place.checked_sub(1).map(|before| &queue[before]) {
                issue = behind_loop(issue.max(before.issue + self.distance(&before.operation, operation)));
            }
            match queue.get(place) {
                Some(next) if issue + self.distance(operation, &next.operation) > next.issue => place += 1,
                _ => return (issue, place),
            }
        }
    }

    /// The smallest origin, at least `origin`, at which every draft finds its unit free.
    fn earliest(&self, origin: u64, drafts: &[Draft], passages: Passages) -> u64 {
        let mut origin = origin as i64;
        loop {
            let mut next = origin;
            for draft in drafts {
                let issue = origin + draft.offset - i64::from(ISSUE_TO_STEP);
                let (free, _) = self.hole(draft.unit, issue.max(0) as u64, &draft.operation, false);
                next = next.max(origin + free as i64 - issue);
            }
            if let Some(Drains { offset, cycles }) = passages.drains {
                let (from, to) = (next + offset, next + offset + cycles as i64);
                // None meets another, so their ends are in order too.
                let before = self.drains.partition_point(|&(_, end)| end as i64 <= from);
                let met = self.drains[before..].iter().take_while(|&&(first, _)| (first as i64) < to);
                next = next.max(met.last().map_or(next, |&(_, end)| end as i64 - offset));
            }
            while passages.landings().any(|(port, offset)| self.landings[port].contains(&(next + offset))) {
                next += 1;
            }
            if next == origin {
                return origin as u64;
            }
            origin = next;
        }
    }

    /// Places the drafts at `origin` or later and returns where.
    pub fn place(&mut self, origin: i64, drafts: &[Draft], passages: Passages, layer: u32) -> u64 {
        // Nothing is issued before cycle 0.
        let first = drafts.iter().map(|draft| i64::from(ISSUE_TO_STEP) - draft.offset).max().unwrap_or(0);
        let origin = self.earliest(origin.max(first).max(0) as u64, drafts, passages);
        for draft in drafts {
            let issue = (origin as i64 + draft.offset - i64::from(ISSUE_TO_STEP)) as u64;
            let (_, place) = self.hole(draft.unit, issue, &draft.operation, false);
            let timed = Timed { issue, operation: draft.operation, layer: Some(layer) };
            self.queues.entry(draft.unit).or_default().insert(place, timed);
        }
        for (port, offset) in passages.landings() {
            self.landings[port].insert(origin as i64 + offset);
        }
        if let Some(Drains { offset, cycles }) = passages.drains {
            let from = (origin as i64 + offset) as u64;
            let place = self.drains.partition_point(|&(first, _)| first < from);
            self.drains.insert(place, (from, from + cycles));
        }
        origin
    }

    /// Cycle in which the instruction behind the loop is issued, if there is one in the queue.
    fn loop_end(&self, queue: &[Timed]) -> Option<u64> {
        let Repeated { times, period, .. } = self.repeated?;
        Some(self.loop_issue(queue)? + u64::from(times - 1) * period + self.shortest)
    }

    /// Cycle in which the loop's end is issued for the first time: as soon as possible, unless an instruction cannot wait so long.
    fn loop_issue(&self, queue: &[Timed]) -> Option<u64> {
        let Repeated { layer, period, .. } = self.repeated?;
        let mut body = queue.iter().filter(|timed| timed.layer == Some(layer)).map(|timed| timed.issue);
        let first = body.next()?;
        let waiting = (first + period).saturating_sub(u64::from(self.configuration.longest_interval()));
        Some((body.next_back().unwrap_or(first) + self.shortest).max(waiting))
    }

    /// Makes a loop of the instructions of `times` layers, of which the first has the label `layer` and each comes `period` behind
    /// the one before. Not if they differ, or if a queue has no time for the loop's end.
    pub fn repeat(&mut self, layer: u32, times: u32, period: u64) -> bool {
        let shortest = self.shortest;
        let alike = self.queues.values().all(|queue| {
            let of = |number: u32| queue.iter().filter(move |timed| timed.layer == Some(layer + number));
            let same = |number: u32| {
                let pairs = of(0).zip(of(number));
                let later = u64::from(number) * period;
                of(0).count() == of(number).count()
                    && pairs
                        .into_iter()
                        .all(|(first, other)| other.issue == first.issue + later && other.operation == first.operation)
            };
            let room = match (of(0).next(), of(0).next_back()) {
                (Some(first), Some(last)) => last.issue + 2 * shortest <= first.issue + period,
                _ => true,
            };
            // Nothing else stands between them.
            let labels = queue.iter().map(|timed| timed.layer.unwrap_or(0));
            room && labels.is_sorted() && (1..times).all(same)
        });
        self.repeated = alike.then_some(Repeated { layer, times, period });
        alike
    }

    /// Instructions that do the same behind each other are to become one.
    pub fn merge(&mut self) {
        self.merges = true;
    }

    /// The instructions of the queue of `unit`, with loops; the last halts at `halt`.
    fn instructions(&self, unit: Unit, queue: &[Timed], halt: u64) -> Vec<Placed> {
        let configuration = &self.configuration;
        let shortest = self.shortest;
        let halt = Timed { issue: halt, operation: Operation::Halt, layer: None };
        let repeated = self.repeated.filter(|_| self.loop_end(queue).is_some());
        // The other times of the loop's body are not written down.
        let again = |timed: &Timed| {
            repeated.is_some_and(|Repeated { layer, times, .. }| {
                timed.layer.is_some_and(|other| (layer + 1..layer + times).contains(&other))
            })
        };
        let mut written: Vec<Timed> = queue.iter().filter(|timed| !again(timed)).chain([&halt]).copied().collect();
        if self.merges {
            written = merged(&written, unit, configuration);
        }
        let mut instructions = Vec::new();
        if written[0].issue > 0 {
            push(&mut instructions, Operation::Nop, None, written[0].issue, configuration);
        }
        let mut body = None;
        for (index, timed) in written.iter().enumerate() {
            let next = written.get(index + 1).map_or(timed.issue + shortest, |next| next.issue);
            let in_body = |timed: &Timed| repeated.is_some_and(|repeated| timed.layer == Some(repeated.layer));
            if in_body(timed) && body.is_none() {
                body = Some((instructions.len(), timed.issue));
            }
            let ends = in_body(timed) && !written.get(index + 1).is_some_and(in_body);
            let (Some((first, start)), Some(Repeated { times, period, .. }), true) = (body, repeated, ends) else {
                push(&mut instructions, timed.operation, timed.layer, next - timed.issue, configuration);
                continue;
            };
            let end = self.loop_issue(queue).unwrap_or(timed.issue + shortest);
            push(&mut instructions, timed.operation, timed.layer, end - timed.issue, configuration);
            let repeat = Operation::Repeat { back: (instructions.len() - first) as u32, times };
            push(&mut instructions, repeat, timed.layer, start + period - end, configuration);
            let after = end + u64::from(times - 1) * period + shortest;
            if next > after {
                push(&mut instructions, Operation::Nop, None, next - after, configuration);
            }
        }
        instructions
    }

    /// The queues, each of which ends in `halt`, and the cycles that they take.
    pub fn finish(self) -> (Vec<Queue>, u64) {
        let units = Unit::all(&self.configuration);
        let none = Vec::new();
        let queue = |unit: &Unit| self.queues.get(unit).unwrap_or(&none);
        let free = |unit: &Unit| self.hole(*unit, 0, &Operation::Halt, true).0;
        let mut halts: Vec<u64> = units.iter().map(free).collect();
        // The last queue to halt does so in the last cycle before everything has landed.
        let latest = halts.iter().copied().max().unwrap_or(0);
        let wanted = self.end.saturating_sub(1).max(latest);
        if let Some(last) = (0..units.len()).max_by_key(|&index| halts[index])
            && latest < wanted
        {
            halts[last] = self.hole(units[last], wanted, &Operation::Halt, true).0;
        }
        let cycles = halts.iter().copied().max().unwrap_or(0) + 1;
        let queues = units.iter().zip(halts);
        let queues = queues
            .map(|(&unit, halt)| Queue { unit, instructions: self.instructions(unit, queue(&unit), halt) })
            .collect();
        (queues, cycles)
    }
}
