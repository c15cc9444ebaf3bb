//! A language model's program on the RTL, token by token.

use super::{Options, Rtl, RtlError};
use crate::language::{LanguageError, Taken, Token, entry_of, slot_of, token_of};
use crate::verilated::Library;
use lpu_isa::program::{Language, Program};

/// A sequence in progress on a Verilated machine.
pub struct LanguageRtl<'a> {
    rtl: Rtl<'a>,
    language: &'a Language,
    position: u32,
}

impl<'a> LanguageRtl<'a> {
    /// Loads `program` into a new instance of `library`, at the beginning of a sequence.
    ///
    /// # Errors
    /// The program of another kind of network, a failing model or link.
    pub fn with_library(
        program: &'a Program,
        library: &Library,
        options: &Options,
    ) -> Result<LanguageRtl<'a>, RtlError> {
        let language = program.language.as_ref().ok_or_else(|| LanguageError::NoLanguage(program.model.clone()))?;
        Ok(LanguageRtl { rtl: Rtl::with_library(program, library, options)?, language, position: 0 })
    }

    /// Tokens so far.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// A new sequence. What is left of the old one is masked.
    ///
    /// # Errors
    /// A failing model or link.
    pub fn restart(&mut self) -> Result<(), RtlError> {
        self.position = 0;
        Ok(self.rtl.host.write_register(self.language.position, 0)?)
    }

    /// Takes in the next tokens of a prompt, as many of `tokens` as one run can, without an answer; `None` where the program has no
    /// schedule for that at this position, or for more tokens only.
    ///
    /// # Errors
    /// A token that there is not, a failing model or link.
    pub fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, RtlError> {
        let Some(prefill) = self.language.prefill_at(self.position, tokens.len()) else { return Ok(None) };
        for (&token, &register) in tokens.iter().zip(&prefill.tokens) {
            let slot = slot_of(self.language, token)?;
            self.rtl.host.write_register(register, slot)?;
        }
        let cycles = self.rtl.host.run_from(prefill.instruction, prefill.cycles)?;
        let writes = self.rtl.port().take_writes();
        self.position += prefill.tokens.len() as u32;
        Ok(Some(Taken { tokens: prefill.tokens.len(), cycles, predicted: prefill.cycles, writes }))
    }

    /// What may come after `token`, which stands at the next position. `None` takes the token that the machine has chosen. The units'
    /// steps are not counted.
    ///
    /// # Errors
    /// A token that there is not, no room, a failing model or link.
    pub fn step(&mut self, token: Option<u32>) -> Result<Token, RtlError> {
        let entry = entry_of(self.language, self.position)?;
        if let Some(token) = token {
            let slot = slot_of(self.language, token)?;
            self.rtl.host.write_register(self.language.token, slot)?;
        }
        let cycles = self.rtl.host.run_from(entry.instruction, entry.cycles)?;
        let writes = self.rtl.port().take_writes();
        self.position += 1;
        let slot = self.rtl.host.read_register(self.language.token)?;
        Ok(Token {
            next: token_of(self.language, slot)?,
            elements: self.rtl.host.read_elements()?,
            factor: None,
            cycles,
            predicted: entry.cycles,
            writes,
            busy: Vec::new(),
        })
    }
}
