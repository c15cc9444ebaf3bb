//! The queues of a schedule under construction. Jobs are placed one after the other, each in the first holes that are long enough:
//! what is placed first is served first, but nobody waits for a unit that is free.

use crate::schedule::{Draft, Schedule};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use std::collections::BTreeMap;

/// An instruction with its time.
#[derive(Clone, Copy, Debug)]
struct Timed {
    issue: u64,
    operation: Operation,
    layer: Option<u32>,
}

/// Drains under way: from the last step of a product's first pass, to the first cycle in which another product's last step may come.
#[derive(Clone, Copy, Debug)]
pub struct Drains {
    /// First cycle, from the job's origin.
    pub offset: i64,
    /// Cycles.
    pub cycles: u64,
}

/// Instructions in the order of their times.
#[derive(Debug)]
pub struct Timeline {
    configuration: Configuration,
    latency: Latency,
    queues: BTreeMap<Unit, Vec<Timed>>,
    /// Drains, in order: from, to.
    drains: Vec<(u64, u64)>,
    end: u64,
}

impl Timeline {
    /// An empty one.
    pub fn new(configuration: &Configuration) -> Timeline {
        Timeline {
            configuration: configuration.clone(),
            latency: Latency::of(configuration),
            queues: BTreeMap::new(),
            drains: Vec::new(),
            end: 0,
        }
    }

    /// Notes that the program must not end before `cycle`.
    pub fn note_end(&mut self, cycle: u64) {
        self.end = self.end.max(cycle);
    }

    fn minimum_interval(&self) -> u64 {
        u64::from(self.configuration.minimum_interval())
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
            Operation::Vector { function, arithmetic, .. } => u64::from(self.latency.vector(*function, arithmetic)),
            _ => 0,
        };
        let later = way(before).saturating_sub(way(next));
        (busy + later).max(self.minimum_interval())
    }

    /// The first cycle from `issue` on in which `unit` may issue `operation`, and its place in the queue.
    fn hole(&self, unit: Unit, issue: u64, operation: &Operation) -> (u64, usize) {
        // The wait in front of a queue's first instruction is an instruction itself, with the least interval.
        let mut issue = if issue > 0 { issue.max(self.minimum_interval()) } else { 0 };
        let Some(queue) = self.queues.get(&unit) else { return (issue, 0) };
        let mut place = queue.partition_point(|timed| timed.issue <= issue);
        loop {
            if let Some(before) = place.checked_sub(1).map(|before| &queue[before]) {
                issue = issue.max(before.issue + self.distance(&before.operation, operation));
            }
            match queue.get(place) {
                Some(next) if issue + self.distance(operation, &next.operation) > next.issue => place += 1,
                _ => return (issue, place),
            }
        }
    }

    /// The smallest origin, at least `origin`, at which every draft finds its unit free.
    fn earliest(&self, origin: u64, drafts: &[Draft], drains: Option<Drains>) -> u64 {
        let mut origin = origin as i64;
        loop {
            let mut next = origin;
            for draft in drafts {
                let issue = origin + draft.offset - i64::from(ISSUE_TO_STEP);
                let (free, _) = self.hole(draft.unit, issue.max(0) as u64, &draft.operation);
                next = next.max(origin + free as i64 - issue);
            }
            if let Some(Drains { offset, cycles }) = drains {
                let (from, to) = (next + offset, next + offset + cycles as i64);
                let met = self.drains.iter().filter(|&&(first, end)| (first as i64) < to && from < end as i64);
                next = next.max(met.map(|&(_, end)| end as i64 - offset).max().unwrap_or(next));
            }
            if next == origin {
                return origin as u64;
            }
            origin = next;
        }
    }

    /// Places the drafts at `origin` or later and returns where.
    pub fn place(&mut self, origin: i64, drafts: &[Draft], drains: Option<Drains>, layer: u32) -> u64 {
        // Nothing is issued before cycle 0.
        let first = drafts.iter().map(|draft| i64::from(ISSUE_TO_STEP) - draft.offset).max().unwrap_or(0);
        let origin = self.earliest(origin.max(first).max(0) as u64, drafts, drains);
        for draft in drafts {
            let issue = (origin as i64 + draft.offset - i64::from(ISSUE_TO_STEP)) as u64;
            let (_, place) = self.hole(draft.unit, issue, &draft.operation);
            let timed = Timed { issue, operation: draft.operation, layer: Some(layer) };
            self.queues.entry(draft.unit).or_default().insert(place, timed);
        }
        if let Some(Drains { offset, cycles }) = drains {
            let from = (origin as i64 + offset) as u64;
            let place = self.drains.partition_point(|&(first, _)| first < from);
            self.drains.insert(place, (from, from + cycles));
        }
        origin
    }

    /// The schedule.
    pub fn finish(self) -> Schedule {
        let mut schedule = Schedule::new(&self.configuration);
        for (unit, queue) in self.queues {
            for Timed { issue, operation, layer } in queue {
                let draft = Draft { unit, offset: 0, operation };
                schedule.place(issue + u64::from(ISSUE_TO_STEP), &[draft], layer);
            }
        }
        schedule.note_end(self.end);
        schedule
    }
}
