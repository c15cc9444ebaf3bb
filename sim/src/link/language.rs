//! A language model's program on the machine at the other end of a link, token by token or many at once.

use super::generation::Progress;
use super::{Host, HostError};
use crate::language::{GeneratedRun, LanguageError, Taken, Token, entry_of, slot_of, token_of};
use lpu_firmware::Link;
use lpu_isa::generation::PredictedRun;
use lpu_isa::host::STAMP_BITS;
use lpu_isa::latency::between_runs;
use lpu_isa::program::{Language, Region};
use std::fmt::{Debug, Display};

/// A sequence in progress on a machine behind a link.
pub struct LanguageHost<'a, L> {
    host: Host<'a, L>,
    language: &'a Language,
    position: u32,
    /// The position for which the memory of tokens holds the machine's choice, if any.
    remembered: Option<u32>,
    generation: Option<Generation>,
}

/// A generation under way.
struct Generation {
    first: u32,
    /// First position whose token is the machine's.
    given: u32,
    predicted: Vec<PredictedRun>,
    /// Runs that have been reported, the cycle count at the end of the last of them.
    reported: usize,
    end: u64,
}

impl<'a, L: Link<Error: Debug + Display + 'static>> LanguageHost<'a, L> {
    /// On the machine of `host`, which has its program loaded, at the beginning of a sequence.
    ///
    /// # Errors
    /// The program of another kind of network.
    pub fn new(host: Host<'a, L>) -> Result<LanguageHost<'a, L>, LanguageError> {
        let program = host.program();
        let language = program.language.as_ref().ok_or_else(|| LanguageError::NoLanguage(program.model.clone()))?;
        Ok(LanguageHost { host, language, position: 0, remembered: None, generation: None })
    }

    /// Tokens so far.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// The host's end of the link.
    pub fn host_mut(&mut self) -> &mut Host<'a, L> {
        &mut self.host
    }

    /// A new sequence. What is left of the old one is masked.
    ///
    /// # Errors
    /// A failing link.
    pub fn restart(&mut self) -> Result<(), HostError<L::Error>> {
        self.go_back(0)
    }

    /// Forgets the tokens from `position` on, if there are so many: the next one stands there. What is left of them is masked.
    ///
    /// # Errors
    /// A failing link.
    pub fn go_back(&mut self, position: u32) -> Result<(), HostError<L::Error>> {
        self.position = self.position.min(position);
        self.generation = None;
        // No context is as long as a register's largest number.
        self.host.write_register(self.language.position, self.position as u16)
    }

    /// Takes in the next tokens of a prompt, as many of `tokens` as one run can, without an answer; `None` where the program has no
    /// schedule for that at this position, or for more tokens only. Writes are not recorded.
    ///
    /// # Errors
    /// A token that there is not, a failing link.
    pub fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, HostError<L::Error>> {
        let Some(prefill) = self.language.prefill_at(self.position, tokens.len()) else { return Ok(None) };
        for (&token, &register) in tokens.iter().zip(&prefill.tokens) {
            let slot = slot_of(self.language, token)?;
            self.host.write_register(register, slot)?;
        }
        let cycles = self.host.run_from(prefill.instruction, prefill.cycles)?;
        self.position += prefill.tokens.len() as u32;
        self.remembered = None;
        Ok(Some(Taken { tokens: prefill.tokens.len(), cycles, predicted: prefill.cycles, writes: Vec::new() }))
    }

    /// What may come after `token`, which stands at the next position. `None` takes the token that the machine has chosen. The units'
    /// steps are not counted, and writes not recorded.
    ///
    /// # Errors
    /// A token that there is not, no room, a failing link.
    pub fn step(&mut self, token: Option<u32>) -> Result<Token, HostError<L::Error>> {
        let (cycles, predicted) = self.run(&[token])?;
        self.answer(self.language.token, &self.host.program().output, cycles, predicted)
    }

    /// The same for all sequences of which a run takes in a token, in the program's order; a sequence without a token of its own in
    /// `tokens` goes on as if it were `None`. Cycles are those of the run, the same for all.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, HostError<L::Error>> {
        let (cycles, predicted) = self.run(tokens)?;
        let first = (self.language.token, &self.host.program().output);
        let others = self.language.others.iter().map(|other| (other.token, &other.output));
        std::iter::once(first)
            .chain(others)
            .map(|(register, output)| self.answer(register, output, cycles, predicted))
            .collect()
    }

    /// Runs once with the tokens that the host has: cycles, and those predicted.
    fn run(&mut self, tokens: &[Option<u32>]) -> Result<(u64, u64), HostError<L::Error>> {
        let entry = entry_of(self.language, self.position)?;
        let others = self.language.others.iter().map(|other| other.token);
        for (token, register) in tokens.iter().zip(std::iter::once(self.language.token).chain(others)) {
            if let Some(token) = *token {
                let slot = slot_of(self.language, token)?;
                self.host.write_register(register, slot)?;
            }
        }
        let cycles = self.host.run_from(entry.instruction, entry.cycles)?;
        self.position += 1;
        self.remembered = None;
        Ok((cycles, entry.cycles))
    }

    /// What a run has left for the sequence whose token stands in `register` and whose results in `output`.
    fn answer(
        &mut self,
        register: u32,
        output: &Region,
        cycles: u64,
        predicted: u64,
    ) -> Result<Token, HostError<L::Error>> {
        let slot = self.host.read_register(register)?;
        Ok(Token {
            next: token_of(self.language, slot)?,
            elements: self.host.read_elements_of(output)?,
            factor: None,
            cycles,
            predicted,
            writes: Vec::new(),
            busy: Vec::new(),
        })
    }

    /// The classifier's results of the last run, one for each token.
    ///
    /// # Errors
    /// A failing link.
    pub fn elements(&mut self) -> Result<Vec<i16>, HostError<L::Error>> {
        self.host.read_elements()
    }

    /// Begins with `runs` runs, of which the first ones take in `tokens` and the others what the machine chooses. Without any, the first
    /// takes in the machine's last choice. [`more`](Self::more) tells what comes of it.
    ///
    /// # Errors
    /// A machine or program that cannot, no run, no room, a token that there is not, a failing link. Nothing has begun then.
    pub fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), HostError<L::Error>> {
        let first = self.position;
        let predicted = self.host.program().generation(first, runs)?;
        let slots = tokens.iter().map(|&token| slot_of(self.language, token));
        let mut slots = slots.collect::<Result<Vec<u16>, LanguageError>>()?;
        // Those behind the last run are nobody's.
        slots.truncate(runs as usize);
        if slots.is_empty() && self.remembered != Some(first) {
            slots.push(self.host.read_register(self.language.token)?);
        }
        if !slots.is_empty() {
            self.host.write_tokens(first, &slots)?;
        }
        self.host.write_register(self.language.position, first as u16)?;
        self.host.begin_generation(first, runs)?;
        self.position += runs;
        self.remembered = Some(self.position);
        let given = first + slots.len() as u32;
        self.generation = Some(Generation { first, given, predicted, reported: 0, end: 0 });
        Ok(())
    }

    /// The next runs of the generation, as soon as there are any; none when all have been told. While it goes on, the cycle count tells how
    /// many tokens there are.
    ///
    /// # Errors
    /// Runs that do not end, a choice that is no token, a failing link.
    pub fn more(&mut self) -> Result<Vec<GeneratedRun>, HostError<L::Error>> {
        let Some(Generation { first, given, predicted, reported, end }) = &mut self.generation else {
            return Ok(vec![]);
        };
        let Some(&PredictedRun { end: whole, .. }) = predicted.last() else { return Ok(vec![]) };
        let idle = u64::from(between_runs(&self.host.program().configuration));
        loop {
            if *reported == predicted.len() {
                return Ok(vec![]);
            }
            let Progress { cycles, done } = self.host.progress(whole)?;
            // The token is written while the machine goes over to the next run.
            let there = predicted.partition_point(|run| run.end + idle <= cycles);
            let there = if done { predicted.len() } else { there.min(predicted.len() - 1) };
            if there <= *reported {
                continue;
            }
            let position = *first + *reported as u32;
            let words = self.host.read_tokens(position + 1, (there - *reported) as u32)?;
            let mut runs = Vec::new();
            for (number, &word) in (*reported..).zip(&words) {
                let predicted = predicted[number];
                let position = *first + number as u32;
                let before = if number == 0 { 0 } else { *end + idle };
                *end = match (done, number + 1 == there) {
                    (true, true) => cycles,
                    _ => stamped(before + predicted.cycles, word),
                };
                let next = if position + 1 < *given { None } else { Some(token_of(self.language, word as u16)?) };
                let cycles = end.saturating_sub(before);
                runs.push(GeneratedRun { position, next, cycles, predicted: predicted.cycles });
            }
            *reported = there;
            return Ok(runs);
        }
    }
}

/// The cycle count of which `word` holds the lowest bits: the one nearest to that which is expected.
fn stamped(expected: u64, word: u32) -> u64 {
    let difference = ((word >> (u32::BITS - STAMP_BITS)) as u16).wrapping_sub(expected as u16) as i16;
    expected.saturating_add_signed(i64::from(difference))
}
