//! Bringing a program to a machine, an input to it, and its results back.

use crate::language::LanguageError;
use lpu_firmware::{Driver, DriverError, Link};
use lpu_isa::configuration::Configuration;
use lpu_isa::generation::GenerationError;
use lpu_isa::host::Memory;
use lpu_isa::identity::identity;
use lpu_isa::image::{Image, images, tensor};
use lpu_isa::instruction::InstructionError;
use lpu_isa::program::{Constants, Program, Region};
use std::fmt::{Debug, Display};
use thiserror::Error;

/// Answers in a row that say "neither running nor done" until it is believed: the first may be as old as the start.
const PATIENCE_FOR_A_START: u32 = 3;

/// Why a program could not be run on the machine behind the link.
#[derive(Debug, Error)]
pub enum HostError<E: Debug + Display + 'static> {
    /// The link failed, or the device refused a request.
    #[error(transparent)]
    Driver(#[from] DriverError<E>),
    /// An instruction of the program has no encoding.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
    /// The machine is not the one that the program was compiled for.
    #[error("the machine behind the link is {found:08x}, the program was compiled for {expected:08x}")]
    OtherMachine {
        /// Identity of the program's configuration.
        expected: u32,
        /// Identity that the machine has sent.
        found: u32,
    },
    /// The input has another length than the program's input region.
    #[error("the input has {found} elements, the program's input has {expected}")]
    InputLength {
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// The machine was started and says that it neither runs nor has come to an end.
    #[error("the machine was started, but is neither running nor done: it has been reset, or its clock stands")]
    Stopped,
    /// The program does not halt.
    #[error("the machine has not halted after {0} cycles")]
    Endless(u64),
    /// The sequence of a language model cannot go on.
    #[error(transparent)]
    Language(#[from] LanguageError),
}

impl<E: Debug + Display + 'static> From<GenerationError> for HostError<E> {
    fn from(error: GenerationError) -> HostError<E> {
        HostError::Language(error.into())
    }
}

/// A program on the machine at the other end of a link.
pub struct Host<'a, L> {
    program: &'a Program,
    pub(super) driver: Driver<L>,
    /// Answers in a row that say "neither running nor done".
    pub(super) stopped: u32,
}

impl<'a, L: Link<Error: Debug + Display + 'static>> Host<'a, L> {
    /// `program` on the machine that `driver` talks to. Nothing is sent yet.
    pub fn new(program: &'a Program, driver: Driver<L>) -> Host<'a, L> {
        Host { program, driver, stopped: 0 }
    }

    /// Makes sure that the machine is the program's, then loads weights, scales and instructions.
    ///
    /// # Errors
    /// Another machine, a failing link.
    pub fn load(&mut self) -> Result<(), HostError<L::Error>> {
        let (expected, found) = (identity(&self.program.configuration), self.driver.status()?.identity);
        if found != expected {
            return Err(HostError::OtherMachine { expected, found });
        }
        for Image { memory, chunks } in images(self.program)? {
            self.write(memory, 0, &chunks)?;
        }
        self.reset()
    }

    /// Puts the state that the network keeps back to what it was before the first run: writes all constants.
    ///
    /// # Errors
    /// A failing link.
    pub fn reset(&mut self) -> Result<(), HostError<L::Error>> {
        for Constants { slice, base, elements, .. } in &self.program.constants {
            let pairs = elements.chunks(2);
            let half = |pair: &[i16], index: usize| u32::from(pair.get(index).copied().unwrap_or(0) as u16);
            let chunks: Vec<u32> = pairs.map(|pair| half(pair, 0) | half(pair, 1) << 16).collect();
            self.write(Memory::Vector(*slice), *base, &chunks)?;
        }
        Ok(())
    }

    /// Brings `input` to the machine, runs the program, fetches the output; the output, and the machine's own cycle count.
    ///
    /// # Errors
    /// As [`write_input`](Self::write_input), [`run`](Self::run) and [`read_output`](Self::read_output).
    pub fn infer(&mut self, input: &[i8]) -> Result<(Vec<i8>, u64), HostError<L::Error>> {
        self.write_input(input)?;
        let cycles = self.run()?;
        Ok((self.read_output()?, cycles))
    }

    /// The program.
    pub fn program(&self) -> &'a Program {
        self.program
    }

    /// The link.
    pub fn link_mut(&mut self) -> &mut L {
        self.driver.link_mut()
    }

    /// Brings an input to the machine: whole beats, zero where the region has no element.
    ///
    /// # Errors
    /// An input of the wrong length, a failing link.
    pub fn write_input(&mut self, input: &[i8]) -> Result<(), HostError<L::Error>> {
        let program = self.program;
        let expected = program.input_length();
        if input.len() != expected {
            return Err(HostError::InputLength { expected, found: input.len() });
        }
        for (elements, region) in program.input_parts() {
            let chunks = tensor(region, &input[elements], program.input_fill, program.configuration.dot);
            self.write(Memory::Vector(region.slice), region.base, &chunks)?;
        }
        Ok(())
    }

    /// Starts the program and waits for its end. The machine's own cycle count.
    ///
    /// # Errors
    /// A program that does not end in four times the cycles predicted (and a few thousand), a machine that does not run, a
    /// failing link.
    pub fn run(&mut self) -> Result<u64, HostError<L::Error>> {
        self.run_from(0, self.program.cycles)
    }

    /// The same for the schedule that begins at instruction `instruction` of every queue and is to take `predicted` cycles.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_from(&mut self, instruction: u32, predicted: u64) -> Result<u64, HostError<L::Error>> {
        self.driver.run(instruction * self.program.configuration.queue_words_per_instruction())?;
        self.stopped = 0;
        loop {
            if let Ok(cycles) = self.look(predicted)? {
                return Ok(cycles);
            }
        }
    }

    /// The cycles of what was started and is to take `predicted` of them: in all if it has ended, else as an error how many so far.
    pub(super) fn look(&mut self, predicted: u64) -> Result<Result<u64, u64>, HostError<L::Error>> {
        let limit = predicted.saturating_mul(4).saturating_add(10_000);
        let status = self.driver.status()?;
        if status.done {
            return Ok(Ok(status.cycles));
        }
        self.stopped = if status.running { 0 } else { self.stopped + 1 };
        if self.stopped == PATIENCE_FOR_A_START {
            return Err(HostError::Stopped);
        }
        if status.cycles > limit {
            return Err(HostError::Endless(limit));
        }
        Ok(Err(status.cycles))
    }

    /// Fetches the output.
    ///
    /// # Errors
    /// A failing link.
    pub fn read_output(&mut self) -> Result<Vec<i8>, HostError<L::Error>> {
        let output = self.read_elements()?.into_iter().map(|element| element as i8).collect();
        Ok(self.program.finished(output))
    }

    /// Fetches the output, whole elements.
    ///
    /// # Errors
    /// A failing link.
    pub fn read_elements(&mut self) -> Result<Vec<i16>, HostError<L::Error>> {
        self.read_elements_of(&self.program.output)
    }

    /// The elements of `region`, in its order of positions.
    ///
    /// # Errors
    /// A failing link.
    pub fn read_elements_of(&mut self, region: &Region) -> Result<Vec<i16>, HostError<L::Error>> {
        let Region { slice, base, beats, positions, .. } = region;
        let words = self.read_beats(Memory::Vector(*slice), *base, *beats)?;
        let configuration = &self.program.configuration;
        Ok(positions.iter().map(|&position| element(&words, configuration, position)).collect())
    }

    /// Reads a run-time register, between two runs.
    ///
    /// # Errors
    /// A failing link.
    pub fn read_register(&mut self, number: u32) -> Result<u16, HostError<L::Error>> {
        let words = self.read_beats(Memory::Registers, number, 1)?;
        Ok(words.first().map_or(0, |&word| word as u16))
    }

    /// Writes a run-time register, between two runs.
    ///
    /// # Errors
    /// A failing link.
    pub fn write_register(&mut self, number: u32, value: u16) -> Result<(), HostError<L::Error>> {
        self.write(Memory::Registers, number, &[u32::from(value)])
    }

    /// Reads `count` beats of what the host can read; a register comes as a beat too.
    pub(super) fn read_beats(
        &mut self,
        memory: Memory,
        first: u32,
        count: u32,
    ) -> Result<Vec<u32>, HostError<L::Error>> {
        let chunks = Memory::Vector(0).chunks(&self.program.configuration);
        let mut words = vec![0u32; (count * chunks) as usize];
        self.driver.read_vector(memory.number() as u8, first, chunks as u8, &mut words)?;
        Ok(words)
    }

    /// Writes words of `memory` from word `first` on; `chunks` holds each word's chunks.
    pub(super) fn write(&mut self, memory: Memory, first: u32, chunks: &[u32]) -> Result<(), HostError<L::Error>> {
        let each = memory.chunks(&self.program.configuration);
        Ok(self.driver.load(memory.number() as u8, first, each as u8, chunks)?)
    }
}

/// The element at `position` of beats that stand in `words` one after the other.
fn element(words: &[u32], configuration: &Configuration, position: u32) -> i16 {
    let (dot, each) = (configuration.dot as usize, Memory::Vector(0).chunks(configuration) as usize);
    let (beat, lane) = (position as usize / dot, position as usize % dot);
    (words[beat * each + lane / 2] >> (16 * (lane % 2))) as i16
}
