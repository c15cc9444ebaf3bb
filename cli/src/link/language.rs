//! A language model on the board behind a port.

use super::explain::explain;
use super::port::{BoardLink, LinkError, Opened};
use super::run::{LinkReport, Loaded, load};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::speaker;
use lpu_isa::program::Program;
use lpu_sim::language::{GeneratedRun, Taken, Token};
use lpu_sim::link::{HostError, LanguageHost, Metered};

/// The machine of a board, real or simulated, with a language model's program loaded.
pub struct Board<'a> {
    host: LanguageHost<'a, Metered<BoardLink>>,
    machine: &'a Machine,
    loaded: Loaded,
}

impl<'a> Board<'a> {
    /// Loads `program` over the port, at the beginning of a sequence.
    ///
    /// # Errors
    /// No answer, a wrong one, another machine, a port that is lost; the program of another kind of network.
    pub fn new(program: &'a Program, machine: &'a Machine, port: Opened) -> Result<Board<'a>, Failure> {
        let (host, loaded) = load(program, machine, port)?;
        let host = LanguageHost::new(host).map_err(|error| speaker::broken(&loaded.name, &error))?;
        Ok(Board { host, machine, loaded })
    }

    fn kept<T>(&mut self, result: Result<T, HostError<LinkError>>) -> Result<T, Failure> {
        result.map_err(|error| explain(&error, &self.loaded.name, self.machine, self.host.host_mut().link_mut()))
    }
}

impl speaker::Machine for Board<'_> {
    fn run_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, Failure> {
        let tokens = self.host.step_all(tokens);
        self.kept(tokens)
    }

    fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, Failure> {
        let taken = self.host.take_in(tokens);
        self.kept(taken)
    }

    fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), Failure> {
        let begun = self.host.generate(tokens, runs);
        self.kept(begun)
    }

    fn more(&mut self) -> Result<Vec<GeneratedRun>, Failure> {
        let runs = self.host.more();
        self.kept(runs)
    }

    fn elements(&mut self) -> Result<Vec<i16>, Failure> {
        let elements = self.host.elements();
        self.kept(elements)
    }

    fn link(&mut self) -> Option<LinkReport> {
        Some(self.loaded.report(self.host.host_mut().link_mut().traffic()))
    }

    fn leave(&mut self) -> Result<(), Failure> {
        while !self.loaded.is_simulated() && !self.more()?.is_empty() {}
        Ok(())
    }
}
