//! Tokens that a machine generates without the host in between: what it is asked for, and when each of them is there.
//!
//! Nothing of it depends on data: which schedules run follows from the position alone, and between two runs lie always as many cycles
//! ([`between_runs`]). So the cycle count tells how many tokens there are.

use crate::host::{Memory, TOKEN_REGISTER};
use crate::latency::between_runs;
use crate::program::{Entry, Language, Program};
use thiserror::Error;

/// Why a machine cannot generate tokens by itself, or not these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GenerationError {
    /// The machine has no memory of tokens.
    #[error("the machine has no memory of tokens: its configuration says `extensions.tokens = 0`")]
    NoTokens,
    /// The program is no language model's.
    #[error("the program is not that of a language model")]
    NoLanguage,
    /// Each run takes in tokens of several sequences.
    #[error("a run of the program takes in tokens of {0} sequences; a machine generates one by itself")]
    Sequences(usize),
    /// The program keeps its token elsewhere.
    #[error(
        "the program keeps the token in register {0}; a machine that generates by itself, in register {TOKEN_REGISTER}"
    )]
    Register(u32),
    /// A schedule changes between the positions that share an entry point.
    #[error("a schedule ends at position {position}; the machine chooses schedules for {granule} positions each")]
    Boundary {
        /// First position beyond the schedule.
        position: u32,
        /// Positions that share an entry point.
        granule: u32,
    },
    /// The memory of tokens is too small for the context.
    #[error("a context of {context} positions takes {} words of the memory of tokens, the machine has {tokens}", context + 1)]
    Memory {
        /// Positions of the program.
        context: u32,
        /// Words of the memory.
        tokens: u32,
    },
    /// No run at all.
    #[error("0 runs are to be made; a generation has at least one")]
    NoRuns,
    /// Not so many positions are left.
    #[error("{runs} runs from position {first} on reach beyond the context of {context} positions")]
    Context {
        /// Position of the first run.
        first: u32,
        /// How many.
        runs: u32,
        /// Positions of the program.
        context: u32,
    },
}

impl Language {
    /// The schedule of the run at `position`, if there is room for it.
    #[must_use]
    pub fn entry_of(&self, position: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| position < entry.positions)
    }
}

impl Program {
    /// The number of the first instruction of the schedule for each word of [`Memory::Entries`]; none where the machine has no such
    /// memory. Words beyond the context hold the last schedule.
    #[must_use]
    pub fn entry_points(&self) -> Vec<u32> {
        let granule = self.configuration.positions_per_entry();
        let Some(language) = &self.language else { return vec![] };
        let positions = (0..Memory::Entries.words(&self.configuration)).map(|word| word * granule);
        let entry = |position| language.entry_of(position).or(language.entries.last());
        positions.map(|position| entry(position).map_or(0, |entry| entry.instruction)).collect()
    }

    /// Can the program's machine generate tokens of it by itself?
    ///
    /// # Errors
    /// Why not.
    pub fn check_generation(&self) -> Result<&Language, GenerationError> {
        let tokens = self.configuration.tokens();
        if tokens == 0 {
            return Err(GenerationError::NoTokens);
        }
        let language = self.language.as_ref().ok_or(GenerationError::NoLanguage)?;
        if !language.others.is_empty() {
            return Err(GenerationError::Sequences(1 + language.others.len()));
        }
        if language.token != TOKEN_REGISTER {
            return Err(GenerationError::Register(language.token));
        }
        let granule = self.configuration.positions_per_entry();
        let inner = language.entries.iter().rev().skip(1).find(|entry| !entry.positions.is_multiple_of(granule));
        if let Some(&Entry { positions: position, .. }) = inner {
            return Err(GenerationError::Boundary { position, granule });
        }
        let context = language.context;
        if context >= tokens { Err(GenerationError::Memory { context, tokens }) } else { Ok(language) }
    }

    /// The runs of a generation from position `first` on: for each its predicted cycles, and the cycle count when it has ended, which
    /// begins with the first and goes on between them.
    ///
    /// # Errors
    /// A machine that cannot, no run, or more runs than the context has room for.
    pub fn generation(&self, first: u32, runs: u32) -> Result<Vec<PredictedRun>, GenerationError> {
        let language = self.check_generation()?;
        let context = language.context;
        if runs == 0 {
            return Err(GenerationError::NoRuns);
        }
        let idle = u64::from(between_runs(&self.configuration));
        let mut end = 0;
        let run = |number: u32| {
            let entry = first.checked_add(number).and_then(|position| language.entry_of(position));
            let cycles = entry.ok_or(GenerationError::Context { first, runs, context })?.cycles;
            end += cycles + if number > 0 { idle } else { 0 };
            Ok(PredictedRun { cycles, end })
        };
        (0..runs).map(run).collect()
    }
}

/// A run of a generation, before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictedRun {
    /// Cycles of the run.
    pub cycles: u64,
    /// The cycle count when it has ended.
    pub end: u64,
}
