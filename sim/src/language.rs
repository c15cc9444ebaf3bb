//! A language model's program on the cycle model, token by token.

use crate::cycle::{CycleError, CycleModel, Options, Run, WriteEvent};
use lpu_compiler::lower::llama::NORM;
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::instruction::Unit;
use lpu_isa::program::{Entry, Language, Program};
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LanguageError {
    /// The program is that of another kind of network.
    #[error("the program of `{0}` is not that of a language model")]
    NoLanguage(String),
    /// A token that there is not.
    #[error("token {token} of a vocabulary of {vocabulary}")]
    Token {
        /// The token.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// All positions that there is room for are taken.
    #[error("the program has room for {0} positions, and all are taken")]
    ContextFull(u32),
    /// The machine's choice is no token.
    #[error("the machine chose slot {0}, which is that of no token")]
    Slot(u16),
    /// The cycle model gives up.
    #[error(transparent)]
    Cycle(#[from] CycleError),
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The most likely next token, as the machine chose it.
    pub next: u32,
    /// The classifier's results, one for each token.
    pub elements: Vec<i16>,
    /// The factor of the last norm, which makes logits of them. None on RTL: the host reads no scalars.
    pub factor: Option<Factor>,
    /// Cycles of the run.
    pub cycles: u64,
    /// Cycles that the schedule was to take.
    pub predicted: u64,
    /// Every write to the vector memory, where the options ask for it.
    pub writes: Vec<WriteEvent>,
    /// Steps of each unit.
    pub busy: Vec<(Unit, u64)>,
}

/// A sequence in progress on a machine.
#[derive(Debug)]
pub struct LanguageModel<'a> {
    model: CycleModel<'a>,
    program: &'a Program,
    language: &'a Language,
    position: u32,
}

impl<'a> LanguageModel<'a> {
    /// Loads `program`, at the beginning of a sequence.
    ///
    /// # Errors
    /// The program of another kind of network.
    pub fn new(program: &'a Program) -> Result<LanguageModel<'a>, LanguageError> {
        Self::of(program, CycleModel::new(program))
    }

    /// Like [`new`](Self::new), with deviations.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(program: &'a Program, options: Options) -> Result<LanguageModel<'a>, LanguageError> {
        Self::of(program, CycleModel::with_options(program, options))
    }

    fn of(program: &'a Program, model: CycleModel<'a>) -> Result<LanguageModel<'a>, LanguageError> {
        let language = program.language.as_ref().ok_or_else(|| LanguageError::NoLanguage(program.model.clone()))?;
        Ok(LanguageModel { model, program, language, position: 0 })
    }

    /// Tokens so far.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// A new sequence. What is left of the old one is masked.
    pub fn restart(&mut self) {
        self.position = 0;
        self.model.set_register(self.language.position, 0);
    }

    /// What may come after `token`, which stands at the next position. `None` takes the token that the machine has chosen: nothing
    /// is written to its registers.
    ///
    /// # Errors
    /// A token that there is not, or no room.
    pub fn step(&mut self, token: Option<u32>) -> Result<Token, LanguageError> {
        let entry = entry_of(self.language, self.position)?;
        if let Some(token) = token {
            self.model.set_register(self.language.token, slot_of(self.language, token)?);
        }
        let Run { cycles, writes, busy } = self.model.run_from(entry.instruction as usize)?;
        self.position += 1;
        Ok(Token {
            next: token_of(self.language, self.model.register(self.language.token))?,
            elements: self.model.read_elements(&self.program.output),
            factor: Some(self.model.scalar(NORM).unwrap_or(Factor { mantissa: 0, exponent: 0 })),
            cycles,
            predicted: entry.cycles,
            writes,
            busy,
        })
    }
}

/// The schedule for `position`: chosen before the run, by the position alone.
pub(crate) fn entry_of(language: &Language, position: u32) -> Result<&Entry, LanguageError> {
    let entry = language.entries.iter().find(|entry| position < entry.positions);
    entry.ok_or(LanguageError::ContextFull(language.context))
}

/// What the token's register holds for `token`.
pub(crate) fn slot_of(language: &Language, token: u32) -> Result<u16, LanguageError> {
    let slot = language.slots.get(token as usize);
    slot.map(|&slot| slot as u16).ok_or(LanguageError::Token { token, vocabulary: language.slots.len() })
}

/// The token whose register's content this is.
pub(crate) fn token_of(language: &Language, slot: u16) -> Result<u32, LanguageError> {
    let token = language.slots.iter().position(|&other| other == u32::from(slot));
    token.map(|token| token as u32).ok_or(LanguageError::Slot(slot))
}
