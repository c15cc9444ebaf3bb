//! What takes a language model's tokens and says what may come next: one for each backend.
//!
//! A new backend is one more implementation of [`Speaker`] and one more arm in the command that opens it.

use crate::failure::Failure;
use crate::language::failed;
use crate::link::LinkReport;
use crate::witnesses::{build_rtl, rtl_failed, rtl_options};
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::program::Program;
use lpu_sim::cycle::CycleError;
use lpu_sim::golden_llama::{Answer, GoldenLlama};
use lpu_sim::language::{GeneratedRun, LanguageError, LanguageModel, Taken, Token};
use lpu_sim::rtl::language::LanguageRtl;
use lpu_sim::rtl::{Options, RtlError};
use lpu_sim::verilated::Library;

/// Takes tokens one after the other.
pub trait Speaker {
    /// What may come after `token`, which stands at the next position.
    ///
    /// # Errors
    /// The token cannot be taken, or the run does not end.
    fn step(&mut self, token: u32) -> Result<Answer, Failure>;

    /// Takes in the next tokens of a prompt, as many of `tokens` as go at once, without an answer, and says how many; none where they
    /// are to be taken one by one.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    fn take_in(&mut self, _tokens: &[u32]) -> Result<usize, Failure> {
        Ok(0)
    }

    /// Takes in `tokens`, and then what it chooses itself, the most likely token each time, in `runs` steps altogether; `next` sees each
    /// choice behind `tokens` as it comes, and says whether it wants more. False, and nothing has been taken in, from one that does not
    /// go on by itself.
    ///
    /// # Errors
    /// What `next` says; tokens that cannot be taken.
    fn generate(
        &mut self,
        _tokens: &[u32],
        _runs: usize,
        _next: &mut dyn FnMut(u32) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        Ok(false)
    }
}

/// The golden model: integers over the graph, no cycles.
pub struct Golden<'a>(GoldenLlama<'a>);

impl<'a> Golden<'a> {
    /// At the beginning of a sequence.
    ///
    /// # Errors
    /// A graph that cannot be executed.
    pub fn new(graph: &'a QuantisedLlama) -> Result<Golden<'a>, Failure> {
        GoldenLlama::new(graph).map(Golden).map_err(failed)
    }
}

impl Speaker for Golden<'_> {
    fn step(&mut self, token: u32) -> Result<Answer, Failure> {
        self.0.step(token).map_err(failed)
    }
}

/// One run of a machine: a token taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRun {
    /// Cycles that the machine counted.
    pub cycles: u64,
    /// Cycles that the compiler promised.
    pub predicted: u64,
    /// The schedule that was run: its number among those of the program.
    pub schedule: usize,
}

/// Where the machine first said something else than the golden model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Position of the token taken in.
    pub position: usize,
    /// What differs.
    pub what: Differing,
}

/// What of a run differs from the golden model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differing {
    /// The result of a token.
    Result {
        /// The token that it belongs to.
        token: u32,
        /// The machine's.
        value: i16,
        /// Golden's.
        golden: i16,
    },
    /// The choice, of equal results or where the machine shows nothing else.
    Choice {
        /// The machine's.
        token: u32,
        /// The result that golden has for it.
        golden: i16,
    },
    /// The factor of the last norm, which all results have in common.
    Factor {
        /// The machine's.
        value: Factor,
        /// Golden's.
        golden: Factor,
    },
}

/// A machine that takes tokens in, whatever it is made of.
pub trait Machine {
    /// Takes in a token of each sequence: that of `tokens`, or the one that the machine has chosen itself. What comes of it, in the
    /// program's order.
    ///
    /// # Errors
    /// A token cannot be taken, or the run does not end.
    fn run_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, Failure>;

    /// The same for a program with one sequence.
    ///
    /// # Errors
    /// As [`run_all`](Self::run_all).
    fn run(&mut self, token: Option<u32>) -> Result<Token, Failure> {
        self.run_all(&[token])?.into_iter().next().ok_or_else(|| {
            Failure::new("the run failed", "the program", "it has no sequence", "report this as a bug, with the model")
        })
    }

    /// Takes in the next tokens of a prompt, as many of `tokens` as one run can; none where there is no schedule for that.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, Failure>;

    /// Begins to take in `tokens`, and then what it chooses itself, in `runs` runs altogether.
    ///
    /// # Errors
    /// A machine that does not generate, tokens that cannot be taken.
    fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), Failure>;

    /// The next runs of what has been begun, as soon as there are any; none when all have been told.
    ///
    /// # Errors
    /// Runs that do not end.
    fn more(&mut self) -> Result<Vec<GeneratedRun>, Failure>;

    /// The classifier's results of the last run.
    ///
    /// # Errors
    /// A failing link.
    fn elements(&mut self) -> Result<Vec<i16>, Failure>;

    /// What went over the link, where there is one.
    fn link(&mut self) -> Option<LinkReport> {
        None
    }

    /// Nobody wants to know more of what has been begun. Where the machine stays behind for others, this waits for its end.
    ///
    /// # Errors
    /// Runs that do not end.
    fn leave(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The cycle model.
pub struct CycleModel<'a>(LanguageModel<'a>);

impl<'a> CycleModel<'a> {
    /// With `program` loaded, at the beginning of a sequence.
    ///
    /// # Errors
    /// The program of another kind of network.
    pub fn new(program: &'a Program) -> Result<CycleModel<'a>, Failure> {
        LanguageModel::new(program).map(CycleModel).map_err(|error| broken("cycle model", &error))
    }
}

impl Machine for CycleModel<'_> {
    fn run_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, Failure> {
        self.0.step_all(tokens).map_err(|error| broken("cycle model", &error))
    }

    fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), Failure> {
        self.0.generate(tokens, runs).map_err(|error| broken("cycle model", &error))
    }

    fn more(&mut self) -> Result<Vec<GeneratedRun>, Failure> {
        let run = self.0.more().map_err(|error| broken("cycle model", &error))?;
        Ok(run.map(|(run, _)| run).into_iter().collect())
    }

    fn elements(&mut self) -> Result<Vec<i16>, Failure> {
        Ok(self.0.elements())
    }

    fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, Failure> {
        self.0.take_in(tokens).map_err(|error| broken("cycle model", &error))
    }
}

/// The emitted Verilog under Verilator.
pub struct Rtl<'a>(LanguageRtl<'a>);

impl<'a> Rtl<'a> {
    /// With `program` loaded, at the beginning of a sequence; builds the RTL, or takes it from the cache.
    ///
    /// # Errors
    /// Tools that are missing, the program of another kind of network.
    pub fn new(program: &'a Program) -> Result<Rtl<'a>, Failure> {
        let options = rtl_options(None)?;
        let library = build_rtl(&program.configuration, &options)?;
        Rtl::with_library(program, &library, &options)
    }

    /// The same, with the RTL that [`build_rtl`] has built.
    ///
    /// # Errors
    /// The program of another kind of network.
    pub fn with_library(program: &'a Program, library: &Library, options: &Options) -> Result<Rtl<'a>, Failure> {
        LanguageRtl::with_library(program, library, options).map(Rtl).map_err(|error| rtl_failed(&error))
    }
}

impl Machine for Rtl<'_> {
    fn run_all(&mut self, tokens: &[Option<u32>]) -> Result<Vec<Token>, Failure> {
        self.0.step_all(tokens).map_err(|error| rtl_broken(&error))
    }

    fn generate(&mut self, tokens: &[u32], runs: u32) -> Result<(), Failure> {
        self.0.generate(tokens, runs).map_err(|error| rtl_broken(&error))
    }

    fn more(&mut self) -> Result<Vec<GeneratedRun>, Failure> {
        self.0.more().map_err(|error| rtl_broken(&error))
    }

    fn elements(&mut self) -> Result<Vec<i16>, Failure> {
        self.0.elements().map_err(|error| rtl_broken(&error))
    }

    fn take_in(&mut self, tokens: &[u32]) -> Result<Option<Taken>, Failure> {
        self.0.take_in(tokens).map_err(|error| rtl_broken(&error))
    }
}

fn rtl_broken(error: &RtlError) -> Failure {
    match error {
        RtlError::Language(error) => broken("RTL", error),
        error => rtl_failed(error),
    }
}

/// A machine with the golden model beside it, which must say the same at every token.
pub struct Witnessed<'a> {
    machine: Box<dyn Machine + 'a>,
    golden: Golden<'a>,
    program: &'a Program,
    /// The machine's own choice of the next token, which stands in its register already.
    chosen: Option<u32>,
    runs: Vec<TokenRun>,
    /// Runs that took in several tokens of the prompt, and how many of them they took in.
    prompt_runs: Vec<TokenRun>,
    prompt_tokens: usize,
    difference: Option<Difference>,
    generated: bool,
    /// Is the host wanted between tokens, so that it sees the results of each?
    token_by_token: bool,
    /// Results of the classifier that have been compared.
    results: u64,
}

impl<'a> Witnessed<'a> {
    /// `machine`, which has `program` loaded, that of `graph`.
    ///
    /// # Errors
    /// A graph that cannot be executed.
    pub fn new(
        machine: Box<dyn Machine + 'a>,
        graph: &'a QuantisedLlama,
        program: &'a Program,
    ) -> Result<Witnessed<'a>, Failure> {
        let golden = Golden::new(graph)?;
        Ok(Witnessed {
            machine,
            golden,
            program,
            chosen: None,
            runs: Vec::new(),
            prompt_runs: Vec::new(),
            prompt_tokens: 0,
            difference: None,
            generated: false,
            token_by_token: false,
            results: 0,
        })
    }

    /// The same, with the host between tokens also where the machine could do without: only so are all results compared.
    #[must_use]
    pub fn token_by_token(self) -> Self {
        Witnessed { token_by_token: true, ..self }
    }

    /// Every run so far that took in one token.
    pub fn runs(&self) -> &[TokenRun] {
        &self.runs
    }

    /// Every run so far that took in several tokens of the prompt; their schedules are counted by themselves.
    pub fn prompt_runs(&self) -> &[TokenRun] {
        &self.prompt_runs
    }

    /// The tokens that [`prompt_runs`](Self::prompt_runs) took in.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// The first difference, if there is one.
    pub fn difference(&self) -> Option<Difference> {
        self.difference
    }

    /// Has the machine gone from token to token by itself?
    pub fn generated(&self) -> bool {
        self.generated
    }

    /// Results of the classifier that have been compared with golden's.
    pub fn results(&self) -> u64 {
        self.results
    }

    /// What went over the link, where there is one.
    pub fn link(&mut self) -> Option<LinkReport> {
        self.machine.link()
    }

    /// Tokens that the machine has taken in.
    fn position(&self) -> usize {
        self.prompt_tokens + self.runs.len()
    }

    fn note(&mut self, cycles: u64, predicted: u64) {
        let schedule = schedule_at(self.program, self.position());
        self.runs.push(TokenRun { cycles, predicted, schedule });
    }

    /// Compares what the run at `position` has come to with what golden says: its choice, and its results and their factor where they are
    /// known.
    fn compare(
        &mut self,
        position: usize,
        expected: &Answer,
        next: Option<u32>,
        (elements, factor): (Option<&[i16]>, Option<Factor>),
    ) {
        self.results += elements.map_or(0, |elements| elements.len() as u64);
        if self.difference.is_none() {
            let what = differing(expected, next, elements, factor);
            self.difference = what.map(|what| Difference { position, what });
        }
    }
}

/// The number of the schedule of `program` that takes in a token at `position`.
pub fn schedule_at(program: &Program, position: usize) -> usize {
    let entries = program.language.iter().flat_map(|language| &language.entries);
    entries.take_while(|entry| position as u64 >= u64::from(entry.positions)).count()
}

/// What of a machine's run differs first from golden's answer: results, where they are known, then the choice, then the factor.
pub fn differing(
    expected: &Answer,
    next: Option<u32>,
    elements: Option<&[i16]>,
    factor: Option<Factor>,
) -> Option<Differing> {
    let golden = |token: u32| expected.elements.get(token as usize).copied().unwrap_or(0);
    let results = (0..).zip(elements.into_iter().flatten());
    let wrong = results.map(|(token, &value)| (token, value)).find(|&(token, value)| value != golden(token));
    if let Some((token, value)) = wrong {
        return Some(Differing::Result { token, value, golden: golden(token) });
    }
    if let Some(token) = next.filter(|&next| next != expected.most_likely()) {
        return Some(Differing::Choice { token, golden: golden(token) });
    }
    let golden = expected.factor;
    factor.filter(|&value| value != golden).map(|value| Differing::Factor { value, golden })
}

impl Speaker for Witnessed<'_> {
    fn step(&mut self, token: u32) -> Result<Answer, Failure> {
        let position = self.position();
        let expected = self.golden.step(token)?;
        // Where the machine's own choice is the token, nothing comes from the host.
        let got = self.machine.run(Some(token).filter(|_| self.chosen != Some(token)))?;
        self.note(got.cycles, got.predicted);
        self.compare(position, &expected, Some(got.next), (Some(&got.elements), got.factor));
        // What a machine does not show of the factor cannot differ from the golden model's.
        let factor = got.factor.unwrap_or(expected.factor);
        let answer = Answer { elements: got.elements, factor, right_shift: expected.right_shift };
        self.chosen = Some(got.next);
        Ok(answer)
    }

    fn generate(
        &mut self,
        tokens: &[u32],
        runs: usize,
        next: &mut dyn FnMut(u32) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        if self.token_by_token || self.program.check_generation().is_err() {
            return Ok(false);
        }
        self.machine.generate(tokens, runs as u32)?;
        self.generated = true;
        let mut given = tokens.iter().copied();
        let mut last = None;
        loop {
            let runs = self.machine.more()?;
            if runs.is_empty() {
                break;
            }
            for run in runs {
                let Some(token) = given.next().or(self.chosen) else { return Ok(true) };
                let position = self.position();
                let expected = self.golden.step(token)?;
                self.note(run.cycles, run.predicted);
                self.compare(position, &expected, run.next, (None, None));
                last = Some((position, expected));
                self.chosen = run.next;
                if let Some(token) = run.next
                    && !next(token)?
                {
                    self.machine.leave()?;
                    return Ok(true);
                }
            }
        }
        // Nobody has overwritten the results of the last run.
        let elements = self.machine.elements()?;
        if let Some((position, expected)) = last {
            self.compare(position, &expected, None, (Some(&elements), None));
        }
        Ok(true)
    }

    fn take_in(&mut self, tokens: &[u32]) -> Result<usize, Failure> {
        let position = self.position() as u32;
        let Some(taken) = self.machine.take_in(tokens)? else { return Ok(0) };
        // What the machine has made of them shows in the answers that follow.
        for &token in &tokens[..taken.tokens] {
            self.golden.step(token)?;
        }
        let schedules = self.program.language.iter().flat_map(|language| &language.prefill);
        let schedule = schedules.take_while(|prefill| position >= prefill.positions).count();
        self.prompt_runs.push(TokenRun { cycles: taken.cycles, predicted: taken.predicted, schedule });
        self.prompt_tokens += taken.tokens;
        Ok(taken.tokens)
    }
}

/// A machine refuses. A run that does not end is a disagreement.
pub fn broken(place: &str, error: &LanguageError) -> Failure {
    let help = match error {
        LanguageError::ContextFull(_) | LanguageError::Generation(_) => "ask for fewer tokens",
        LanguageError::Token { .. } => "give tokens made with this model's tokenizer",
        LanguageError::NoLanguage(_) | LanguageError::Slot(_) | LanguageError::Cycle(_) => {
            "report this as a bug, with the model and the configuration"
        }
    };
    let failure = Failure::new("the run failed", place, error, help);
    match error {
        LanguageError::Cycle(CycleError::Endless(_)) | LanguageError::Slot(_) => failure.disagreement(),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_for_what_it_is() {
        let golden = Factor { mantissa: 20_000, exponent: -3 };
        let expected = Answer { elements: vec![5, 9, -2], factor: golden, right_shift: 4 };
        let all = |elements: &[i16], next, factor| differing(&expected, Some(next), Some(elements), Some(factor));
        assert_eq!(all(&[5, 9, -2], 1, golden), None);
        let wrong = Differing::Result { token: 2, value: 7, golden: -2 };
        assert_eq!(all(&[5, 9, 7], 0, golden), Some(wrong));
        assert_eq!(all(&[5, 9, -2], 0, golden), Some(Differing::Choice { token: 0, golden: 5 }));
        let value = Factor { exponent: -2, ..golden };
        assert_eq!(all(&[5, 9, -2], 1, value), Some(Differing::Factor { value, golden }));
        // A machine that goes from token to token by itself shows its choice alone.
        assert_eq!(differing(&expected, Some(1), None, None), None);
        assert_eq!(differing(&expected, Some(2), None, None), Some(Differing::Choice { token: 2, golden: -2 }));
    }
}
