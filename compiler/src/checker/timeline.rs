//! When every queue does what: issue cycles, and the rules that need nothing else.

use super::registers::{FlawKind, Registers, Unready};
use super::violation::{Place, Violation, Violations};
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use lpu_isa::program::Program;
use lpu_isa::timeline::{EntryPoint, Issue, issues};

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

/// Reports instructions that no entry point leads to. A `halt` that fills a queue up to the next entry point is none.
pub(super) fn check_reached(program: &Program, entries: &[EntryPoint], violations: &mut Violations) {
    for (position, queue) in program.queues.iter().enumerate() {
        let mut reached = vec![false; queue.instructions.len()];
        let mut end = 0;
        for entry in entries {
            for issue in issues(program, position, entry.instruction) {
                reached[issue.index] = true;
                end = issue.cycle + u64::from(issue.placed.instruction.interval);
            }
        }
        let unreached = queue.instructions.iter().zip(&reached).position(|(placed, &reached)| {
            let filling = program.language.is_some() && placed.instruction.operation == Operation::Halt;
            !reached && !filling
        });
        if let Some(index) = unreached {
            violations.add(Violation::BehindHalt { at: Place::of(program, position, index, end) });
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
    /// What the register of its sequence may add to the base address.
    pub(super) offsets: Vec<u16>,
    /// What the register that names a tile, a byte or a lane may hold.
    pub(super) places: Vec<u16>,
    /// What the register of a mask may hold; nothing where there is no mask.
    pub(super) masks: Vec<u16>,
}

/// The instructions that take steps, for each queue in time order.
pub(super) struct Timeline<'a> {
    pub(super) queues: Vec<Vec<Stepping<'a>>>,
    /// Instructions that each queue issues.
    pub(super) issued: Vec<usize>,
    /// Cycles of the run: the cycle behind the last queue's `halt`.
    pub(super) end: u64,
    /// The positions for which the schedule is right are below this.
    pub(super) positions: Option<u32>,
    /// It takes in several tokens of a prompt, and nobody asks for an output.
    pub(super) of_prompt: bool,
}

impl<'a> Timeline<'a> {
    /// The timeline of a run from `entry` on, of a program whose fields are all in range.
    pub(super) fn of(
        program: &'a Program,
        entry: &EntryPoint,
        latency: &Latency,
        violations: &mut Violations,
    ) -> Timeline<'a> {
        let all: Vec<Vec<Issue<'a>>> =
            (0..program.queues.len()).map(|queue| issues(program, queue, entry.instruction)).collect();
        let positions = entry.positions;
        let end = all.iter().filter_map(|queue| queue.last()).map(|halt| halt.cycle + 1).max().unwrap_or(0);
        let (registers, flaws) = Registers::of(program, &all, entry, end, latency);
        for flaw in flaws {
            let at = Place::of(program, flaw.queue, flaw.instruction, flaw.cycle).for_positions(positions);
            violations.add(match flaw.kind {
                FlawKind::Unready(unready) => unready_register(at, flaw.register, unready),
                FlawKind::TwoWriters { landed, other } => {
                    Violation::TwoWriters { at, what: "register", number: flaw.register.into(), landed, other }
                }
                FlawKind::OnePort { landed } => Violation::OnePort { at, what: "registers", landed },
                FlawKind::Pending { landed } => Violation::Pending { at, what: "the register", landed, end },
            });
        }
        let mut queues = Vec::new();
        for (position, issues) in all.iter().enumerate() {
            let mut queue = Self::queue(program, position, issues, positions, violations);
            for stepping in &mut queue {
                let at = || Place::of(program, position, stepping.index, stepping.start).for_positions(positions);
                let mut of = |register: u32| {
                    let value = registers.read(register, stepping.start - u64::from(ISSUE_TO_STEP));
                    value.map(|value| value.distinct()).unwrap_or_else(|unready| {
                        violations.add(unready_register(at(), register, unready));
                        vec![0]
                    })
                };
                stepping.offsets = of(stepping.operation.sequence().map_or(0, |sequence| sequence.register));
                stepping.places = match *stepping.operation {
                    Operation::Fetch { tile: place, .. } | Operation::Store { place, .. } => of(place),
                    _ => vec![0],
                };
                stepping.masks = match *stepping.operation {
                    Operation::Requantise { tracking, .. } if tracking.mask > 0 => of(tracking.mask),
                    _ => vec![],
                };
                // Other masks and lanes change values only; but they must be there.
                for register in stepping.operation.registers_read() {
                    of(register);
                }
                let unit = program.queues[position].unit;
                check_addresses(program, unit, stepping, at, violations);
                stepping.cutoff = stepping.cutoff.min(end);
            }
            queues.push(queue);
        }
        if entry.cycles != end {
            violations.add(Violation::CycleCount { promised: entry.cycles, actual: end, positions });
        }
        Timeline {
            queues,
            issued: all.iter().map(Vec::len).collect(),
            end,
            positions,
            of_prompt: entry.prefill.is_some(),
        }
    }

    /// The instructions of one queue that take steps.
    fn queue(
        program: &'a Program,
        position: usize,
        issues: &[Issue<'a>],
        positions: Option<u32>,
        violations: &mut Violations,
    ) -> Vec<Stepping<'a>> {
        let mut steppings: Vec<Stepping<'a>> = Vec::new();
        // Number and last step of the instruction that took steps before.
        let mut previous: Option<(usize, u64)> = None;
        for issue in issues {
            let at = |cycle| Place::of(program, position, issue.index, cycle).for_positions(positions);
            let operation = issue.operation();
            if *operation == Operation::Halt {
                if let Some((previous, until)) = previous.filter(|&(_, until)| until > issue.cycle) {
                    violations.add(Violation::HaltWhileStepping { at: at(issue.cycle), previous, until });
                }
            } else if let (Some(start), Some(last)) = (issue.first_step(), issue.last_step()) {
                if let Some((previous, until)) = previous.filter(|&(_, until)| until >= start) {
                    violations.add(Violation::StillStepping { at: at(start), previous, until });
                }
                if let Some(last) = steppings.last_mut() {
                    last.cutoff = start;
                }
                let (offsets, places, masks) = (vec![0], vec![0], vec![]);
                steppings.push(Stepping {
                    index: issue.index,
                    operation,
                    start,
                    cutoff: u64::MAX,
                    offsets,
                    places,
                    masks,
                });
                previous = Some((issue.index, last));
            }
        }
        steppings
    }
}

/// Every address that a sequence with a register can present must exist; those without have been looked at with the fields.
fn check_addresses(
    program: &Program,
    unit: Unit,
    stepping: &Stepping<'_>,
    at: impl Fn() -> Place,
    violations: &mut Violations,
) {
    let Some(sequence) = stepping.operation.sequence().filter(|sequence| sequence.register > 0) else { return };
    let (low, high) = sequence.extent();
    let (least, most) =
        (stepping.offsets.iter().min().copied().unwrap_or(0), stepping.offsets.iter().max().copied().unwrap_or(0));
    let (low, high) = (low + i64::from(least), high + i64::from(most));
    let limit = unit.address_limit(&program.configuration);
    if low < 0 || high >= i64::from(limit) {
        let register = sequence.register;
        violations.add(Violation::AddressRange { at: at(), register, least, most, low, high, limit });
    }
}

fn unready_register(at: Place, register: u32, unready: Unready) -> Violation {
    match unready {
        Unready::Unwritten => Violation::Unwritten { at, what: "register", number: register.into() },
        Unready::NotLanded { written, landed } => {
            Violation::Early { at, what: "register", number: register.into(), written, landed }
        }
    }
}
