//! A language model's program on the RTL, token by token or many at once.

use super::link::SimulatedLink;
use super::{Options, Rtl, RtlError};
use crate::cycle::WriteEvent;
use crate::language::{GeneratedRun, Taken, Token};
use crate::link::LanguageHost;
use crate::verilated::Library;
use lpu_isa::program::Program;

/// A sequence in progress on a Verilated machine.
pub struct LanguageRtl<'a> {
    host: LanguageHost<'a, SimulatedLink>,
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
        let rtl = Rtl::with_library(program, library, options)?;
        Ok(LanguageRtl { host: LanguageHost::new(rtl.host)? })
    }

    /// Tokens so far.
    pub fn position(&self) -> u32 {
        self.host.position()
    }

    /// A new sequence. What is left of the old one is masked.
    ///
    /// # Errors
    /// A failing model or link.
    pub fn restart(&mut self) -> Result<(), RtlError> {
        self.go_back(0)
    }

    /// Forgets the tokens from `position` on, if there are so many: the next one stands there. What is left of them is masked.
    ///
    /// # Errors
    /// A failing model or link.
    pub fn go_back(&mut self, position: u32) -> Result<(), RtlError> {
        Ok(self.host.go_back(position)?)
    }

    /// Takes in the next tokens of a prompt, as many of `tokens` as one run can, without an answer; `None` where the program has no
    /// schedule for that at this position, or for more tokens only.
    ///
    /// # Errors
    /// A token that there is not, a failing model or link.
    pub fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, RtlError> {
        let Some(taken) = self.host.take_in(tokens)? else { return Ok(None) };
        Ok(Some(Taken { writes: self.take_writes(), ..taken }))
    }

    /// What may come after `token`, which stands at the next position. `None` takes the token that the machine has chosen. The units'
    /// steps are not counted.
    ///
    /// # Errors
    /// A token that there is not, no room, a failing model or link.
    pub fn step(&mut self, token: Option<u32>) -> Result<Token, RtlError> {
        let token = self.host.step(token)?;
        Ok(Token { writes: self.take_writes(), ..token })
    }

    /// The same for all sequences of which a run takes in a token; see [`LanguageHost::step_all`]. Each token has the writes of the whole run.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, RtlError> {
        let all = self.host.step_all(tokens)?;
        let writes = self.take_writes();
        Ok(all.into_iter().map(|token| Token { writes: writes.clone(), ..token }).collect())
    }

    /// Begins with `runs` runs, of which the first ones take in `tokens`; see [`LanguageHost::generate`].
    ///
    /// # Errors
    /// As there.
    pub fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), RtlError> {
        Ok(self.host.generate(tokens, runs)?)
    }

    /// The next runs of the generation; see [`LanguageHost::more`].
    ///
    /// # Errors
    /// As there.
    pub fn more(&mut self) -> Result<Vec<GeneratedRun>, RtlError> {
        Ok(self.host.more()?)
    }

    /// The classifier's results of the last run.
    ///
    /// # Errors
    /// A failing model or link.
    pub fn elements(&mut self) -> Result<Vec<i16>, RtlError> {
        Ok(self.host.elements()?)
    }

    /// The writes since the last start, where the options asked for them. Those of cycles in which the host reads while a generation goes
    /// on are not among them.
    pub fn take_writes(&mut self) -> Vec<WriteEvent> {
        self.host.host_mut().link_mut().port().take_writes()
    }
}
