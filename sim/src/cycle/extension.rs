//! What a machine with extensions has beyond others: run-time registers, scalars, stores into weights under way.

use lpu_isa::fixed_point::normalise::{Factor, Normalise};
use lpu_isa::fixed_point::table::Table;
use lpu_isa::instruction::{Function, Spread};
use lpu_isa::program::Program;
use lpu_isa::sequence::Step;
use lpu_isa::vector::{Arithmetic, Combine, Reducing, Reduction, ScalarOperand, Second, combined, lane};
use std::collections::VecDeque;

/// A value that changes at known cycles. Units of one window take their turns one after the other, so the past is kept too.
#[derive(Clone, Debug)]
struct History<T> {
    changes: Vec<(u64, T)>,
}

impl<T: Copy> History<T> {
    fn new(value: T) -> Self {
        Self { changes: vec![(0, value)] }
    }

    /// The value at `cycle`.
    fn at(&self, cycle: u64) -> T {
        let change = self.changes.iter().rev().find(|(since, _)| *since <= cycle);
        change.unwrap_or(&self.changes[0]).1
    }

    fn change(&mut self, since: u64, value: T) {
        self.changes.push((since, value));
        self.changes.sort_by_key(|(since, _)| *since);
    }

    /// A new run begins with the last value.
    fn restart(&mut self) {
        let last = self.changes[self.changes.len() - 1].1;
        self.changes = vec![(0, last)];
    }
}

/// A store that has been taken but has not landed yet.
#[derive(Clone, Debug)]
pub struct Storing {
    /// First cycle whose multiply step takes it.
    pub cycle: u64,
    /// Weight address.
    pub address: usize,
    /// What it writes.
    pub bytes: Stored,
}

/// What a store writes.
#[derive(Clone, Debug)]
pub enum Stored {
    /// A word of one tile.
    Word {
        /// The tile.
        tile: usize,
        /// Its weights.
        weights: Vec<i16>,
    },
    /// A byte in each tile of a row.
    Row {
        /// Row of tiles.
        row: usize,
        /// Which byte of the word.
        byte: usize,
        /// One for each column.
        weights: Vec<i16>,
    },
}

/// State of the extensions.
#[derive(Clone, Debug)]
pub struct Extension {
    dot: usize,
    registers: Vec<History<u16>>,
    scalars: Vec<History<Factor>>,
    tables: Vec<Table>,
    normalise: Normalise,
    /// Stores that each tile group has not seen yet.
    pub storing: Vec<VecDeque<Storing>>,
    /// What the vector unit's lanes keep from step to step of a run.
    kept: Vec<i16>,
    reducing: Reducing,
    /// The requantiser's largest result of the instruction.
    largest: Reducing,
}

/// What an instruction has taken from the registers when it issued.
#[derive(Clone, Copy, Debug, Default)]
pub struct Captured {
    /// Index of the last element that counts.
    pub mask: Option<u16>,
    /// Number of a tile, a byte or a lane.
    pub place: u16,
}

/// One step of an extended vector unit.
pub struct VectorStep<'a> {
    /// Its cycle.
    pub cycle: u64,
    /// Place in the sequence.
    pub step: Step,
    /// Number of the step in its instruction, and whether it is the last.
    pub number: u32,
    /// Is it the last of the instruction?
    pub finished: bool,
    /// From the registers.
    pub captured: Captured,
    /// The function.
    pub function: Function,
    /// First operand.
    pub a: &'a [i16],
    /// Second operand, if it is a stream.
    pub b: Option<&'a [i16]>,
    /// The constant.
    pub constant: i16,
    /// Limits.
    pub limits: (i32, i32),
    /// The rest.
    pub arithmetic: Arithmetic,
}

impl Extension {
    /// The state after loading; registers and scalars are 0.
    pub fn new(program: &Program) -> Option<Extension> {
        let configuration = &program.configuration;
        let extensions = configuration.extensions?;
        let zero = Factor { mantissa: 0, exponent: 0 };
        Some(Extension {
            dot: configuration.dot as usize,
            registers: vec![History::new(0); extensions.registers as usize + 1],
            scalars: vec![History::new(zero); extensions.scalars as usize],
            tables: program.language.as_ref().map_or(vec![], |language| language.tables.clone()),
            normalise: Normalise::new(),
            storing: vec![VecDeque::new(); configuration.tile_groups() as usize],
            kept: vec![0; configuration.stream_elements as usize],
            reducing: Reducing::new(0),
            largest: Reducing::new(0),
        })
    }

    /// A new run begins.
    pub fn restart(&mut self) {
        self.registers.iter_mut().for_each(History::restart);
        self.scalars.iter_mut().for_each(History::restart);
    }

    /// The register at `cycle`; 0 for register 0 and those that there are not.
    pub fn register(&self, number: u32, cycle: u64) -> u16 {
        if number == 0 { 0 } else { self.registers.get(number as usize).map_or(0, |register| register.at(cycle)) }
    }

    /// Changes a register from `cycle` on.
    pub fn set_register(&mut self, number: u32, cycle: u64, value: u16) {
        if number > 0
            && let Some(register) = self.registers.get_mut(number as usize)
        {
            register.change(cycle, value);
        }
    }

    /// The scalar at `cycle`; 0 where there is none.
    pub fn scalar(&self, number: i64, cycle: u64) -> Factor {
        let scalar = usize::try_from(number).ok().and_then(|number| self.scalars.get(number));
        scalar.map_or(Factor { mantissa: 0, exponent: 0 }, |scalar| scalar.at(cycle))
    }

    fn set_scalar(&mut self, number: i64, cycle: u64, value: Factor) {
        if let Some(scalar) = usize::try_from(number).ok().and_then(|number| self.scalars.get_mut(number)) {
            scalar.change(cycle, value);
        }
    }

    /// Takes a store to all tile groups.
    pub fn store(&mut self, word: &[i16], spread: Spread, captured: Captured, row: u32, address: i64, cycle: u64) {
        // The weight RAM keeps the lower byte.
        let byte = |&element: &i16| i16::from(element as i8);
        let bytes = match spread {
            Spread::Beat => {
                Stored::Word { tile: usize::from(captured.place), weights: word[..self.dot].iter().map(byte).collect() }
            }
            Spread::Columns => Stored::Row {
                row: row as usize,
                byte: usize::from(captured.place) % self.dot,
                weights: word.iter().map(byte).collect(),
            },
        };
        let storing = Storing { cycle, address: address as usize, bytes };
        self.storing.iter_mut().for_each(|group| group.push_back(storing.clone()));
    }

    /// The word of one step of the vector unit, and the scalar or register that it changes with so many cycles' latency.
    pub fn vector(&mut self, now: &VectorStep<'_>, to_scalar: u64, to_register: u64) -> Vec<i16> {
        let VectorStep { step, arithmetic, .. } = now;
        let lanes = now.a.len();
        let mut results = Vec::with_capacity(lanes);
        let swaps = arithmetic.combine == Combine::Rotation && !step.first;
        let scalars: Vec<Factor> = match arithmetic.scalar {
            ScalarOperand::None => vec![],
            ScalarOperand::One => vec![self.scalar(step.address, now.cycle)],
            ScalarOperand::OfBeat => {
                (0..lanes / self.dot).map(|beat| self.scalar(step.address + beat as i64, now.cycle)).collect()
            }
        };
        let table = arithmetic.table.and_then(|table| self.tables.get(table as usize));
        for number in 0..lanes {
            let a = now.a[if swaps { number ^ 1 } else { number }];
            let second = match (now.b, scalars.len()) {
                (Some(b), _) => Second { value: b[number], exponent: None },
                (None, 0) => Second { value: now.constant, exponent: None },
                (None, count) => {
                    let scalar = scalars[number / self.dot % count];
                    Second { value: scalar.mantissa, exponent: Some(scalar.exponent) }
                }
            };
            let value = lane(now.function, a, second, now.constant, arithmetic.shift);
            let value = combined(arithmetic.combine, step.first, self.kept[number], value);
            self.kept[number] = value;
            let value = table.map_or(value, |table| table.apply(value));
            let clamped = i32::from(value).min(now.limits.1).max(now.limits.0) as i16;
            let index = now.number as usize * lanes + number;
            results.push(masked(clamped, index, now.captured.mask, now.limits.0));
        }
        if now.number == 0 {
            let addend = i32::from(now.constant) << arithmetic.addend_shift.min(15);
            self.reducing = Reducing::new(if arithmetic.reduction == Reduction::ReciprocalRoot { addend } else { 0 });
        }
        for (&result, position) in results.iter().zip(step.address..) {
            self.reducing.take(arithmetic.reduction, arithmetic.square_shift, position, result);
        }
        if now.finished {
            let scalar = match arithmetic.reduction {
                Reduction::Pick => {
                    Some(Factor { mantissa: results[usize::from(now.captured.place) % lanes], exponent: 0 })
                }
                reduction => self.reducing.scalar(reduction, &self.normalise),
            };
            if let Some(scalar) = scalar {
                self.set_scalar(step.address, now.cycle + to_scalar, scalar);
            }
            if arithmetic.reduction == Reduction::ArgMax {
                let position = self.reducing.position() as u16;
                self.set_register(arithmetic.register, now.cycle + to_register, position);
            }
        }
        results
    }

    /// The requantiser's results of one step, masked; `first` and `last` are of the instruction.
    #[allow(clippy::too_many_arguments)]
    pub fn track(
        &mut self,
        results: &mut [i16],
        mask: Option<u16>,
        minimum: i32,
        (first, last): (bool, bool),
        number: u32,
        scalar: Option<u32>,
        cycle: u64,
    ) {
        let lanes = results.len();
        if first {
            self.largest = Reducing::new(0);
        }
        for (lane, result) in results.iter_mut().enumerate() {
            *result = masked(*result, number as usize * lanes + lane, mask, minimum);
            self.largest.take(Reduction::Maximum, 0, 0, *result);
        }
        if let (true, Some(scalar)) = (last, scalar)
            && let Some(largest) = self.largest.scalar(Reduction::Maximum, &self.normalise)
        {
            self.set_scalar(i64::from(scalar), cycle, largest);
        }
    }
}

fn masked(result: i16, index: usize, mask: Option<u16>, minimum: i32) -> i16 {
    if mask.is_some_and(|last| index > usize::from(last)) { minimum as i16 } else { result }
}
