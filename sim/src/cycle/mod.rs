//! The cycle model: executes a program unit by unit, cycle by cycle.
//!
//! It knows the instruction set, the latency table and the integer arithmetic, and nothing of networks. For every program that
//! the checker accepts, each word it writes to the vector memory is the word the RTL writes, in the same cycle. (A unit that
//! listens to a silent port, which the checker rejects, hears what the wire last held in the RTL and an old word or zero here.)
//!
//! A unit's pipeline is not stepped register by register. A step's result is computed when the step is taken and appears where
//! and when the latency table says; the tests that compare every write of the RTL hold this short cut to account.

mod extension;
mod generation;
mod softmax;
mod state;
mod units;

use generation::Generation;
use lpu_isa::arithmetic::Rounding;
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::instruction::Unit;
use lpu_isa::latency::Latency;
use lpu_isa::program::{Program, Region};
use state::State;
use thiserror::Error;

/// A run that does not end within this many cycles is given up.
pub const CYCLE_LIMIT: u64 = 1 << 40;

/// A word that reached the write port of a vector memory slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteEvent {
    /// Cycle in which the word stands at the port.
    pub cycle: u64,
    /// Slice.
    pub slice: u32,
    /// Beat address of its first beat.
    pub address: u32,
    /// The elements that are stored, in whole beats.
    pub elements: Vec<i16>,
}

/// What differs from the machine on purpose: tests break the model with it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The latency table to obey.
    pub latency: Latency,
    /// How the requantiser rounds.
    pub rounding: Rounding,
    /// Record every write?
    pub record: bool,
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The output tensor.
    pub output: Vec<i8>,
    /// Cycles from the first issue to the last halt, both included.
    pub cycles: u64,
    /// Every write, where [`Options::record`] asked for it.
    pub writes: Vec<WriteEvent>,
    /// Cycles in which each unit took a step, in the order of the program's queues.
    pub busy: Vec<(Unit, u64)>,
}

/// Why a program cannot be executed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CycleError {
    /// The input has another length than the program's input region.
    #[error("the input has {found} elements, the program's input has {expected}")]
    InputLength {
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// The program does not halt.
    #[error("the program has not halted after {0} cycles")]
    Endless(u64),
}

/// A machine with a program loaded. Memories keep their content from run to run, as they do in hardware.
#[derive(Debug)]
pub struct CycleModel<'a> {
    program: &'a Program,
    state: State,
    options: Options,
    generation: Generation,
}

/// What is measured while a schedule runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Cycles until every queue has halted.
    pub cycles: u64,
    /// The writes to the vector memory, where they are recorded.
    pub writes: Vec<WriteEvent>,
    /// Steps of each unit.
    pub busy: Vec<(Unit, u64)>,
}

impl<'a> CycleModel<'a> {
    /// Loads `program`, which must have passed [`Program::check`], into a machine whose memories are all zero.
    pub fn new(program: &'a Program) -> CycleModel<'a> {
        let latency = Latency::of(&program.configuration);
        CycleModel::with_options(program, Options { latency, rounding: Rounding::Double, record: false })
    }

    /// Like [`new`](Self::new), with deviations.
    pub fn with_options(program: &'a Program, options: Options) -> CycleModel<'a> {
        let mut state = State::load(program, &options);
        let language = program.language.iter().flat_map(|language| &language.constants);
        for constants in program.constants.iter().chain(language) {
            state.write_elements(constants.slice, constants.base, &constants.elements);
        }
        CycleModel { program, state, options, generation: Generation::new(program) }
    }

    /// Puts the state that the network keeps back to what it was before the first run.
    pub fn reset(&mut self) {
        for constants in &self.program.constants {
            self.state.write_elements(constants.slice, constants.base, &constants.elements);
        }
    }

    /// Runs one inference.
    ///
    /// # Errors
    /// An input of the wrong length, or a program that does not end.
    pub fn run(&mut self, input: &[i8]) -> Result<Outcome, CycleError> {
        let expected = self.program.input_length();
        if input.len() != expected {
            return Err(CycleError::InputLength { expected, found: input.len() });
        }
        for (elements, region) in self.program.input_parts() {
            self.state.write_region(region, &input[elements], self.program.input_fill);
        }
        let output = &self.program.output;
        let Run { cycles, writes, busy } = self.run_from(0)?;
        let output = self.program.finished(self.state.read_region(output));
        Ok(Outcome { output, cycles, writes, busy })
    }

    /// Runs the schedule that begins at instruction `entry` of every queue, on memories and registers as they are.
    ///
    /// # Errors
    /// A schedule that does not end.
    pub fn run_from(&mut self, entry: usize) -> Result<Run, CycleError> {
        self.state.start(self.program, entry);
        while !self.state.all_halted() {
            self.state.advance(self.program, &self.options);
            if self.state.cycles() >= CYCLE_LIMIT {
                return Err(CycleError::Endless(self.state.cycles()));
            }
        }
        self.state.land_all();
        let busy = self.program.queues.iter().zip(self.state.busy()).map(|(queue, busy)| (queue.unit, busy)).collect();
        Ok(Run { cycles: self.state.cycles(), writes: self.state.take_writes(), busy })
    }

    /// Writes a run-time register, as the host does between runs.
    pub fn set_register(&mut self, number: u32, value: u16) {
        self.state.set_register(number, value);
    }

    /// Reads a run-time register between runs; 0 where there is none.
    pub fn register(&self, number: u32) -> u16 {
        self.state.register(number)
    }

    /// Reads a scalar of the vector unit between runs; none where the machine has no scalars.
    pub fn scalar(&self, number: u32) -> Option<Factor> {
        self.state.scalar(number)
    }

    /// Reads a vector between runs, whole elements.
    pub fn read_elements(&self, region: &Region) -> Vec<i16> {
        self.state.read_elements(region)
    }
}
