//! Tokens that the machine at the other end of a link generates by itself.

use super::{Host, HostError};
use lpu_firmware::Link;
use lpu_isa::host::Memory;
use std::fmt::{Debug, Display};

/// How far a generation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The cycle count, from the first run on.
    pub cycles: u64,
    /// Have all runs ended?
    pub done: bool,
}

impl<L: Link<Error: Debug + Display + 'static>> Host<'_, L> {
    /// Writes tokens from position `first` on. They are the last ones that come from the host, until it writes others: those behind them
    /// are the machine's.
    ///
    /// # Errors
    /// A failing link.
    pub fn write_tokens(&mut self, first: u32, tokens: &[u16]) -> Result<(), HostError<L::Error>> {
        let words: Vec<u32> = tokens.iter().map(|&token| u32::from(token)).collect();
        self.write(Memory::Tokens, first, &words)
    }

    /// Reads `count` words of the memory of tokens from position `first` on, also while a generation goes on: tokens, and above each the
    /// lowest bits of the cycle count when it was chosen.
    ///
    /// # Errors
    /// A failing link.
    pub fn read_tokens(&mut self, first: u32, count: u32) -> Result<Vec<u32>, HostError<L::Error>> {
        let chunks = Memory::Vector(0).chunks(&self.program().configuration) as usize;
        let words = self.read_beats(Memory::Tokens, first, count)?;
        Ok(words.into_iter().step_by(chunks.max(1)).collect())
    }

    /// Begins with `runs` runs from position `first` on, and does not wait for them.
    ///
    /// # Errors
    /// A machine or program that cannot, a number of runs that there is no room for, a failing link.
    pub fn begin_generation(&mut self, first: u32, runs: u32) -> Result<(), HostError<L::Error>> {
        self.program().generation(first, runs)?;
        self.stopped = 0;
        Ok(self.driver.generate(first, runs)?)
    }

    /// How far the generation has come that is predicted to take `predicted` cycles.
    ///
    /// # Errors
    /// Runs that do not end, as [`run_from`](Self::run_from); a machine that does not run, a failing link.
    pub fn progress(&mut self, predicted: u64) -> Result<Progress, HostError<L::Error>> {
        let cycles = self.look(predicted)?;
        let done = cycles.is_ok();
        let (Ok(cycles) | Err(cycles)) = cycles;
        Ok(Progress { cycles, done })
    }
}
