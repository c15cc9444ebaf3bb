//! What keeps each unit busy in which cycle of a run, seen from the finished program.
//!
//! Nothing here comes from the lowering: a *span* is an instruction of a queue from its first step to its last, and what kind of work
//! it is follows from what it does. A product is *attention* where it multiplies weights that the program itself stores (keys and
//! values), and a *matrix* product where it does not.

use crate::checker::registers::Registers;
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use lpu_isa::program::Program;
use lpu_isa::timeline::{EntryPoint, Issue, issues};
use serde::Serialize;

/// What an instruction works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Products with weights that were loaded.
    Matrix,
    /// Products with weights that the program stores: keys and values.
    Attention,
    /// The requantiser or the vector unit on its own.
    Vector,
    /// Reads, writes, registers: what brings operands and takes results away.
    Movement,
}

/// An instruction at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Number of the unit's queue.
    pub queue: usize,
    /// Number of the instruction in the queue.
    pub instruction: usize,
    /// Index into the program's layers.
    pub layer: Option<u32>,
    /// What it works on.
    pub work: Work,
    /// Cycle of its first step; of its issue, where it takes none.
    pub first: u64,
    /// Cycle of its last step.
    pub last: u64,
}

/// Cycles in which a unit does nothing between two instructions, before its first or behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of the unit's queue.
    pub queue: usize,
    /// First idle cycle.
    pub first: u64,
    /// Last idle cycle.
    pub last: u64,
    /// Instruction before it.
    pub before: Option<usize>,
    /// Instruction behind it.
    pub behind: Option<usize>,
}

/// Where the cycles of a run go. Each counts once, for the first of these that applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CyclesSpent {
    /// A tile group is at work on a product with loaded weights, the cycles included in which it waits for its drain.
    pub matrix: u64,
    /// A tile group is at work on a product with stored weights, keys or values.
    pub attention: u64,
    /// No product, but the requantiser or the vector unit is at work.
    pub vector: u64,
    /// Neither: a result is on its way from one unit to the next.
    pub waiting: u64,
}

impl CyclesSpent {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.matrix + self.attention + self.vector + self.waiting
    }
}

impl std::ops::AddAssign for CyclesSpent {
    fn add_assign(&mut self, other: CyclesSpent) {
        self.matrix += other.matrix;
        self.attention += other.attention;
        self.vector += other.vector;
        self.waiting += other.waiting;
    }
}

/// The units of a program during one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupation {
    /// Cycles of the run.
    pub cycles: u64,
    /// All instructions that do something, queue by queue, in time order.
    pub spans: Vec<Span>,
}

impl Occupation {
    /// The occupation of a run of `program` from `entry` on. The program must have passed the checker.
    pub fn of(program: &Program, entry: &EntryPoint) -> Occupation {
        let all: Vec<Vec<Issue<'_>>> =
            (0..program.queues.len()).map(|queue| issues(program, queue, entry.instruction)).collect();
        let cycles = all.iter().filter_map(|queue| queue.last()).map(|halt| halt.cycle + 1).max().unwrap_or(0);
        let (registers, _) = Registers::of(program, &all, entry, cycles, &Latency::of(&program.configuration));
        let stored = stored_words(program, &all, &registers);
        let mut spans = Vec::new();
        for (queue, issues) in all.iter().enumerate() {
            for issue in issues {
                let operation = issue.operation();
                if matches!(operation, Operation::Nop | Operation::Halt | Operation::Repeat { .. }) {
                    continue;
                }
                let work = match operation {
                    Operation::Multiply { .. } => {
                        let attention = addresses(issue, &registers)
                            .any(|address| usize::try_from(address).is_ok_and(|at| stored.get(at) == Some(&true)));
                        if attention { Work::Attention } else { Work::Matrix }
                    }
                    Operation::Requantise { .. } | Operation::Vector { .. } | Operation::Softmax { .. } => Work::Vector,
                    _ => Work::Movement,
                };
                let (first, last) = issue.first_step().zip(issue.last_step()).unwrap_or((issue.cycle, issue.cycle));
                let (instruction, layer) = (issue.index, issue.placed.layer);
                spans.push(Span { queue, instruction, layer, work, first, last });
            }
        }
        Occupation { cycles, spans }
    }

    /// Where the cycles go.
    pub fn cycles_spent(&self) -> CyclesSpent {
        // The rank of the most important work in each cycle.
        let mut ranks = vec![0u8; usize::try_from(self.cycles).unwrap_or(0)];
        for span in &self.spans {
            let rank = match span.work {
                Work::Matrix => 3,
                Work::Attention => 2,
                Work::Vector => 1,
                Work::Movement => continue,
            };
            let end = (span.last + 1).min(self.cycles) as usize;
            for cycle in ranks.get_mut(span.first as usize..end).unwrap_or_default() {
                *cycle = rank.max(*cycle);
            }
        }
        let count = |rank| ranks.iter().filter(|&&other| other == rank).count() as u64;
        CyclesSpent { matrix: count(3), attention: count(2), vector: count(1), waiting: count(0) }
    }

    /// The idle gaps of queue number `queue`, in time order.
    pub fn gaps(&self, queue: usize) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let (mut next, mut before) = (0, None);
        for span in self.spans.iter().filter(|span| span.queue == queue) {
            if span.first > next {
                gaps.push(Gap { queue, first: next, last: span.first - 1, before, behind: Some(span.instruction) });
            }
            next = next.max(span.last + 1);
            before = Some(span.instruction);
        }
        if next < self.cycles {
            gaps.push(Gap { queue, first: next, last: self.cycles - 1, before, behind: None });
        }
        gaps
    }
}

/// For each weight address, whether an instruction of the run may store something there.
fn stored_words(program: &Program, all: &[Vec<Issue<'_>>], registers: &Registers) -> Vec<bool> {
    let mut stored = vec![false; program.configuration.weight_depth as usize];
    let of_port = program.queues.iter().zip(all).filter(|(queue, _)| queue.unit == Unit::Weights);
    for issue in of_port.flat_map(|(_, issues)| issues) {
        for address in addresses(issue, registers) {
            if let Some(word) = usize::try_from(address).ok().and_then(|address| stored.get_mut(address)) {
                *word = true;
            }
        }
    }
    stored
}

/// Every address that an instruction may present.
fn addresses<'a>(issue: &Issue<'a>, registers: &Registers) -> impl Iterator<Item = i64> + 'a {
    let sequence = issue.operation().sequence();
    let register = sequence.map_or(0, |sequence| sequence.register);
    let issued = issue.first_step().map_or(issue.cycle, |first| first - u64::from(ISSUE_TO_STEP));
    let offsets = registers.read(register, issued).map_or_else(|_| vec![0], |value| value.distinct());
    let steps = sequence.into_iter().flat_map(|sequence| sequence.steps());
    steps.flat_map(move |step| offsets.clone().into_iter().map(move |offset| step.address + i64::from(offset)))
}
