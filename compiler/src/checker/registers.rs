//! What the run-time registers hold when, as far as it is known before a run.
//!
//! The host sets the token's slot and the position; everything else is computed from them. A value is therefore kept as what it
//! depends on: the addresses that follow from it are exactly those that some run will use.

use lpu_isa::instruction::{Assignment, Operation};
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use lpu_isa::timeline::{EntryPoint, Issue};
use lpu_isa::vector::Reduction;
use std::collections::BTreeSet;

/// What a register may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The same in every run.
    Constant(u16),
    /// One value for each position that the schedule is for.
    OfPosition(Vec<u16>),
    /// One value for each token.
    OfToken(Vec<u16>),
    /// Any value from the first to the second.
    Within(u16, u16),
}

impl Value {
    /// Its values in ascending order, each once.
    pub fn distinct(&self) -> Vec<u16> {
        match self {
            Value::Constant(value) => vec![*value],
            Value::Within(low, high) => (*low..=*high).collect(),
            Value::OfPosition(values) | Value::OfToken(values) => {
                let mut values = values.clone();
                values.sort_unstable();
                values.dedup();
                values
            }
        }
    }

    /// The least and the largest.
    pub fn bounds(&self) -> (u16, u16) {
        match self {
            Value::Constant(value) => (*value, *value),
            Value::Within(low, high) => (*low, *high),
            Value::OfPosition(values) | Value::OfToken(values) => {
                (values.iter().copied().min().unwrap_or(0), values.iter().copied().max().unwrap_or(0))
            }
        }
    }

    /// What `assignment` makes of its two operands.
    pub fn assigned(assignment: &Assignment, source: &Value, addend: &Value) -> Value {
        use Value::{Constant, OfPosition, OfToken};
        let each = |source: &[u16], addend: &[u16]| {
            let pairs = source.iter().zip(addend);
            pairs.map(|(&source, &addend)| assignment.value(source, addend)).collect::<Vec<u16>>()
        };
        let repeated = |value: u16, like: &[u16]| vec![value; like.len()];
        match (source, addend) {
            (&Constant(source), &Constant(addend)) => Constant(assignment.value(source, addend)),
            (OfPosition(source), OfPosition(addend)) => OfPosition(each(source, addend)),
            (OfPosition(source), &Constant(addend)) => OfPosition(each(source, &repeated(addend, source))),
            (&Constant(source), OfPosition(addend)) => OfPosition(each(&repeated(source, addend), addend)),
            (OfToken(source), OfToken(addend)) => OfToken(each(source, addend)),
            (OfToken(source), &Constant(addend)) => OfToken(each(source, &repeated(addend, source))),
            (&Constant(source), OfToken(addend)) => OfToken(each(&repeated(source, addend), addend)),
            _ => Value::within(assignment, source.bounds(), addend.bounds()),
        }
    }

    /// The same for operands that are only known by their bounds. All values where the sum could wrap.
    fn within(assignment: &Assignment, source: (u16, u16), addend: (u16, u16)) -> Value {
        let largest = ((1u32 << assignment.bits.min(16)) - 1) as u16;
        let product = |source: u16| i64::from(assignment.multiplier) * i64::from(source);
        let (least, most) = (product(source.0).min(product(source.1)), product(source.0).max(product(source.1)));
        let constant = i64::from(assignment.constant);
        let low = (least + i64::from(addend.0) + constant) >> assignment.shift.min(31);
        let high = (most + i64::from(addend.1) + constant) >> assignment.shift.min(31);
        if low < 0 || high > i64::from(largest) {
            return Value::Within(0, largest);
        }
        Value::Within(low as u16, high as u16)
    }
}

/// Why a register has no value when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Neither the host nor an instruction of the run has written it.
    Unwritten,
    /// It was written at `written`, and only those that issue from `landed` on may take it.
    NotLanded {
        /// Cycle of the writer.
        written: u64,
        /// First cycle of an issue that takes the value.
        landed: u64,
    },
}

/// A register's value over time.
#[derive(Clone, Debug)]
struct Change {
    written: u64,
    landed: u64,
    value: Value,
}

/// A rule that one instruction breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Number of the queue.
    pub queue: usize,
    /// Number of the instruction in it.
    pub instruction: usize,
    /// Cycle of its issue, or of the step that writes.
    pub cycle: u64,
    /// The register.
    pub register: u32,
    /// What is wrong.
    pub kind: FlawKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// An operand is not there.
    Unready(Unready),
    /// Something written earlier lands in the same cycle or later.
    TwoWriters {
        /// Cycle in which this write lands.
        landed: u64,
        /// Cycle in which the other one lands.
        other: u64,
    },
    /// Another register lands in the same cycle.
    OnePort {
        /// The cycle.
        landed: u64,
    },
    /// It lands behind the end of the run.
    Pending {
        /// Cycle in which it lands.
        landed: u64,
    },
}

/// The registers during one run.
pub struct Registers {
    histories: Vec<Vec<Change>>,
}

/// An instruction that writes a register.
struct Writer<'a> {
    queue: usize,
    issue: Issue<'a>,
    written: u64,
}

impl Registers {
    /// The registers during the run that issues `issues`, a list for each queue, from `entry` on, and the rules that their writers break. The run ends at cycle `end`.
    pub fn of(
        program: &Program,
        issues: &[Vec<Issue<'_>>],
        entry: &EntryPoint,
        end: u64,
        latency: &Latency,
    ) -> (Registers, Vec<Flaw>) {
        let configuration = &program.configuration;
        let mut registers = Registers { histories: vec![Vec::new(); configuration.registers() as usize + 1] };
        let mut flaws = Vec::new();
        let Some(extensions) = latency.extensions else { return (registers, flaws) };
        if let Some(language) = &program.language {
            let slots: Vec<u16> = language.slots.iter().map(|&slot| slot as u16).collect();
            let prefill = entry.prefill.and_then(|number| language.prefill.get(number));
            let one = || std::iter::once(language.token).chain(language.others.iter().map(|other| other.token));
            let tokens = prefill.map_or_else(|| one().collect(), |prefill| prefill.tokens.clone());
            for &token in &tokens {
                registers.preset(token, Value::OfToken(slots.clone()));
            }
            // Several tokens of a sequence begin at a multiple of their number.
            let step = prefill.map_or(1, |_| tokens.len().max(1));
            let last = entry.positions.unwrap_or(1).clamp(1, 1 << 16) - 1;
            let first = entry.first.next_multiple_of(step as u32).min(last);
            registers
                .preset(language.position, Value::OfPosition((first as u16..=last as u16).step_by(step).collect()));
        }
        let mut writers = Vec::new();
        for (queue, issues) in issues.iter().enumerate() {
            for &issue in issues {
                let written = match issue.operation() {
                    Operation::Assign(_) => Some(issue.cycle),
                    Operation::Vector { arithmetic, .. } if arithmetic.reduction == Reduction::ArgMax => {
                        issue.last_step()
                    }
                    _ => None,
                };
                writers.extend(written.map(|written| Writer { queue, issue, written }));
            }
        }
        writers.sort_by_key(|writer| writer.written);
        let mut landings = BTreeSet::new();
        for Writer { queue, issue, written } in writers {
            let (register, value, landed) = match *issue.operation() {
                Operation::Assign(assignment) => {
                    let operands = [assignment.source, assignment.addend]
                        .map(|register| registers.read(register, issue.cycle).map_err(|unready| (register, unready)));
                    for (register, unready) in operands.iter().filter_map(|operand| operand.as_ref().err()) {
                        let kind = FlawKind::Unready(*unready);
                        flaws.push(Flaw { queue, instruction: issue.index, cycle: written, register: *register, kind });
                    }
                    let any = Value::Within(0, u16::MAX);
                    let [source, addend] = operands.map(|operand| operand.unwrap_or_else(|_| any.clone()));
                    let value = Value::assigned(&assignment, &source, &addend);
                    (assignment.destination, value, written + u64::from(extensions.register))
                }
                Operation::Vector { function, arithmetic, sequence, .. } => {
                    let (low, high) = sequence.extent();
                    let high = high + i64::from(configuration.stream_elements) - 1;
                    let element = |value: i64| value.clamp(0, i64::from(u16::MAX)) as u16;
                    let value = Value::Within(element(low), element(high));
                    (arithmetic.register, value, written + u64::from(latency.vector_to_register(function, &arithmetic)))
                }
                _ => continue,
            };
            let mut flaw = |kind| flaws.push(Flaw { queue, instruction: issue.index, cycle: written, register, kind });
            let Some(history) = registers.histories.get_mut(register as usize).filter(|_| register > 0) else {
                continue;
            };
            if let Some(other) =
                history.last().map(|change| change.landed).filter(|&other| other > 0 && other >= landed)
            {
                flaw(FlawKind::TwoWriters { landed, other });
            }
            if !landings.insert(landed) {
                flaw(FlawKind::OnePort { landed });
            }
            if landed > end {
                flaw(FlawKind::Pending { landed });
            }
            history.push(Change { written, landed, value });
        }
        (registers, flaws)
    }

    /// The host's write before the run.
    fn preset(&mut self, register: u32, value: Value) {
        if let Some(history) = self.histories.get_mut(register as usize) {
            history.push(Change { written: 0, landed: 0, value });
        }
    }

    /// The value for an instruction that issues at `cycle`. Register 0 holds 0.
    pub fn read(&self, register: u32, cycle: u64) -> Result<Value, Unready> {
        if register == 0 {
            return Ok(Value::Constant(0));
        }
        let history = self.histories.get(register as usize).map_or(&[][..], |history| history);
        // A writer takes effect for those that issue later than itself.
        let earlier = history.iter().rev().find(|change| change.written < cycle || change.landed == 0);
        match earlier {
            None => Err(Unready::Unwritten),
            Some(change) if change.landed > cycle => {
                Err(Unready::NotLanded { written: change.written, landed: change.landed })
            }
            Some(change) => Ok(change.value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assignment() -> impl Strategy<Value = Assignment> {
        (-40..40i32, -40..40i32, 0..8u32, 1..=16u32).prop_map(|(multiplier, constant, shift, bits)| Assignment {
            destination: 1,
            source: 2,
            multiplier,
            addend: 3,
            constant,
            shift,
            bits,
        })
    }

    proptest! {
        #[test]
        fn no_value_that_a_run_can_have_is_left_out(assignment in assignment(), positions in 1..40u16, token in 0..50u16) {
            let position = Value::OfPosition((0..positions).collect());
            let tokens = Value::OfToken((0..=token).collect());
            let mixed = Value::assigned(&assignment, &position, &tokens);
            let same = Value::assigned(&assignment, &position, &position);
            for p in 0..positions {
                for t in 0..=token {
                    let value = assignment.value(p, t);
                    let (low, high) = mixed.bounds();
                    prop_assert!((low..=high).contains(&value), "{value} beyond {low} to {high}");
                }
                prop_assert!(same.distinct().contains(&assignment.value(p, p)));
            }
            prop_assert!(same.distinct().iter().all(|value| (0..positions).any(|p| assignment.value(p, p) == *value)));
        }
    }

    #[test]
    fn what_depends_on_the_position_alone_is_known_exactly() {
        // The remainder of a division, in two steps.
        let position = Value::OfPosition((0..64).collect());
        let base = Assignment { destination: 3, source: 2, multiplier: 1, addend: 0, constant: 0, shift: 5, bits: 16 };
        let quotient = Value::assigned(&base, &position, &Value::Constant(0));
        let rest = Assignment { multiplier: -32, shift: 0, ..base };
        let remainder = Value::assigned(&rest, &quotient, &position);
        assert_eq!((quotient.distinct(), remainder.distinct()), (vec![0, 1], (0..32).collect()));
    }
}
