//! A language model's program on the cycle model, token by token.

use crate::cycle::{CycleError, CycleModel, Options, Run, WriteEvent};
use lpu_compiler::lower::llama::NORM;
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::generation::GenerationError;
use lpu_isa::instruction::Unit;
use lpu_isa::program::{Entry, Language, Program, Region};
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
    /// The machine cannot generate these tokens by itself.
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

/// One run of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratedRun {
    /// Position of the token that it took in.
    pub position: u32,
    /// The most likely next token, as the machine chose it; none where the host has given the next one, and so nobody keeps the choice.
    pub next: Option<u32>,
    /// Cycles of the run, as the machine counted them.
    pub cycles: u64,
    /// Cycles that the schedule was to take.
    pub predicted: u64,
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

/// What a run came to that took in tokens of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many.
    pub tokens: usize,
    /// Cycles of the run.
    pub cycles: u64,
    /// Cycles that the schedule was to take.
    pub predicted: u64,
    /// Every write to the vector memory, where the options ask for it.
    pub writes: Vec<WriteEvent>,
}

/// A sequence in progress on a machine.
#[derive(Debug)]
pub struct LanguageModel<'a> {
    model: CycleModel<'a>,
    program: &'a Program,
    language: &'a Language,
    position: u32,
    /// The position for which the memory of tokens holds the machine's choice, if any.
    remembered: Option<u32>,
    /// Position of the next run of a generation to be told, first position whose token is the machine's.
    generation: (u32, u32),
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
        Ok(LanguageModel { model, program, language, position: 0, remembered: None, generation: (0, 0) })
    }

    /// Tokens so far.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// A new sequence. What is left of the old one is masked.
    pub fn restart(&mut self) {
        self.go_back(0);
    }

    /// Forgets the tokens from `position` on, if there are so many: the next one stands there. What is left of them is masked.
    pub fn go_back(&mut self, position: u32) {
        self.position = self.position.min(position);
        // No context is as long as a register's largest number.
        self.model.set_register(self.language.position, self.position as u16);
    }

    /// What may come after `token`, which stands at the next position. `None` takes the token that the machine has chosen: nothing
    /// is written to its registers.
    ///
    /// # Errors
    /// A token that there is not, or no room.
    pub fn step(&mut self, token: Option<u32>) -> Result<Token, LanguageError> {
        let all = self.step_all(&[token])?;
        all.into_iter().next().ok_or_else(|| LanguageError::NoLanguage(self.program.model.clone()))
    }

    /// Takes in the next tokens of a prompt, as many of `tokens` as one run can, without an answer; `None` where the program has no
    /// schedule for that at this position, or for more tokens only.
    ///
    /// # Errors
    /// A token that there is not.
    pub fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, LanguageError> {
        let Some(prefill) = self.language.prefill_at(self.position, tokens.len()) else { return Ok(None) };
        for (&token, &register) in tokens.iter().zip(&prefill.tokens) {
            self.model.set_register(register, slot_of(self.language, token)?);
        }
        let Run { cycles, writes, .. } = self.model.run_from(prefill.instruction as usize)?;
        self.position += prefill.tokens.len() as u32;
        self.remembered = None;
        Ok(Some(Taken { tokens: prefill.tokens.len(), cycles, predicted: prefill.cycles, writes }))
    }

    /// The same as [`step`](Self::step) for all sequences of which a run takes in a token, in the program's order. A sequence without a token of its own in
    /// `tokens` goes on as if it were `None`. Cycles, writes and steps are those of the run, the same for all.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, LanguageError> {
        let entry = entry_of(self.language, self.position)?;
        let others = &self.language.others;
        let registers = || std::iter::once(self.language.token).chain(others.iter().map(|other| other.token));
        for (token, register) in tokens.iter().zip(registers()) {
            if let Some(token) = *token {
                self.model.set_register(register, slot_of(self.language, token)?);
            }
        }
        let Run { cycles, writes, busy } = self.model.run_from(entry.instruction as usize)?;
        self.position += 1;
        self.remembered = None;
        let first = (NORM, &self.program.output);
        let outputs = std::iter::once(first).chain(others.iter().map(|other| (other.norm, &other.output)));
        let token = |(register, (norm, output)): (u32, (u32, &Region))| -> Result<Token, LanguageError> {
            Ok(Token {
                next: token_of(self.language, self.model.register(register))?,
                elements: self.model.read_elements(output),
                factor: Some(self.model.scalar(norm).unwrap_or(Factor { mantissa: 0, exponent: 0 })),
                cycles,
                predicted: entry.cycles,
                writes: writes.clone(),
                busy: busy.clone(),
            })
        };
        registers().zip(outputs).map(token).collect()
    }

    /// Begins with `runs` runs, of which the first ones take in `tokens` and the others what the machine chooses. Without any, the first
    /// takes in the machine's last choice. [`more`](Self::more) makes them.
    ///
    /// # Errors
    /// A machine or program that cannot, no run, no room, a token that there is not. Nothing has begun then.
    pub fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), LanguageError> {
        let first = self.position;
        self.program.generation(first, runs)?;
        let slots = tokens.iter().map(|&token| slot_of(self.language, token));
        let mut slots = slots.collect::<Result<Vec<u16>, LanguageError>>()?;
        // Those behind the last run are nobody's.
        slots.truncate(runs as usize);
        if slots.is_empty() && self.remembered != Some(first) {
            slots.push(self.model.register(self.language.token));
        }
        self.model.write_tokens(first, &slots);
        self.model.set_register(self.language.position, first as u16);
        self.model.generate(first, runs)?;
        self.position += runs;
        self.remembered = Some(self.position);
        self.generation = (first, first + slots.len() as u32);
        Ok(())
    }

    /// The next run of the generation, with its writes where the options ask for them, whose cycles are counted from the generation's
    /// beginning; none when all have been made.
    ///
    /// # Errors
    /// A run that does not end, a choice that is no token.
    pub fn more(&mut self) -> Result<Option<(GeneratedRun, Vec<WriteEvent>)>, LanguageError> {
        let Some((Run { cycles, mut writes, .. }, end)) = self.model.next_run()? else { return Ok(None) };
        writes.iter_mut().for_each(|write| write.cycle += end - cycles);
        let (position, given) = self.generation;
        self.generation.0 += 1;
        let predicted = entry_of(self.language, position)?.cycles;
        let word = self.model.token_word(position + 1);
        let next = if position + 1 < given { None } else { Some(token_of(self.language, word as u16)?) };
        Ok(Some((GeneratedRun { position, next, cycles, predicted }, writes)))
    }

    /// The classifier's results of the last run, one for each token.
    pub fn elements(&self) -> Vec<i16> {
        self.model.read_elements(&self.program.output)
    }
}

/// The schedule for `position`: chosen before the run, by the position alone.
pub(crate) fn entry_of(language: &Language, position: u32) -> Result<&Entry, LanguageError> {
    language.entry_of(position).ok_or(LanguageError::ContextFull(language.context))
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
