//! Two sequences at once: a run of the machine takes in a token of each, both at the same position, and golden says what each must come
//! to. Each text is the one that its prompt gives alone.

use crate::failure::Failure;
use crate::language::Ending;
use crate::speaker::{Difference, Golden, Machine, Speaker, differing};
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_sim::golden_llama::Answer;
use lpu_sim::golden_llama::sampling::Sampler;
use lpu_sim::language::Token;

/// A sequence under way.
pub struct Sequence<'a> {
    /// All tokens, the prompt's in front.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt's.
    pub prompt: usize,
    /// Why it ended; none while it goes on.
    pub ending: Option<Ending>,
    /// Where the machine first said something else than golden.
    pub difference: Option<Difference>,
    golden: Golden<'a>,
    sampler: Sampler,
    /// The machine's choice of the next token, which stands in its register already.
    chosen: Option<u32>,
}

/// One run of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Position of the tokens that it took in.
    pub position: usize,
    /// Sequences of which it made a new token.
    pub made: usize,
    /// Cycles that the machine counted, and those that the compiler promised.
    pub cycles: u64,
    /// See `cycles`.
    pub predicted: u64,
}

impl<'a> Sequence<'a> {
    /// The one that begins with `prompt`.
    ///
    /// # Errors
    /// A graph that cannot be executed.
    pub fn new(graph: &'a QuantisedLlama, prompt: Vec<u32>, sampler: Sampler) -> Result<Sequence<'a>, Failure> {
        let golden = Golden::new(graph)?;
        let length = prompt.len();
        // Nobody can continue nothing.
        let ending = (length == 0).then_some(Ending::Length);
        Ok(Sequence { tokens: prompt, prompt: length, ending, difference: None, golden, sampler, chosen: None })
    }

    /// New tokens so far.
    pub fn new_tokens(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    /// What the host gives the machine at `position`: nothing where the machine has the token already, or nobody looks any more.
    fn given(&self, position: usize) -> Option<u32> {
        let token = self.tokens.get(position).copied().filter(|_| self.ending.is_none());
        token.filter(|&token| self.chosen != Some(token))
    }

    /// Takes in the token at `position`, on golden and, where there is one, as the machine's run says; up to `wanted` new ones, in `room`
    /// positions. Whether a new token came of it: the end of a text is none.
    fn step(
        &mut self,
        graph: &QuantisedLlama,
        position: usize,
        got: Option<&Token>,
        (wanted, room): (usize, usize),
    ) -> Result<bool, Failure> {
        let Some(&token) = self.tokens.get(position).filter(|_| self.ending.is_none()) else { return Ok(false) };
        let expected = self.golden.step(token)?;
        let mut answer = expected.clone();
        if let Some(got) = got {
            let what = differing(&expected, Some(got.next), Some(&got.elements), got.factor);
            self.difference = self.difference.or(what.map(|what| Difference { position, what }));
            // What a machine does not show of the factor cannot differ from the golden model's.
            let factor = got.factor.unwrap_or(expected.factor);
            answer = Answer { elements: got.elements.clone(), factor, ..expected };
            self.chosen = Some(got.next);
        }
        if position + 1 < self.tokens.len() {
            return Ok(false);
        }
        if wanted == 0 {
            self.ending = Some(Ending::Length);
            return Ok(false);
        }
        let next = self.sampler.next_token(graph, &answer);
        if graph.end.contains(&next) {
            self.ending = Some(Ending::End);
            return Ok(false);
        }
        self.tokens.push(next);
        if self.new_tokens() >= wanted {
            self.ending = Some(Ending::Length);
        } else if self.tokens.len() > room {
            self.ending = Some(Ending::Context);
        }
        Ok(true)
    }
}

/// Continues all `sequences`, each by up to `wanted` tokens in `room` positions, on `machine` or, where there is none, on golden alone. The
/// machine's runs.
///
/// # Errors
/// Tokens that cannot be taken, runs that do not end.
pub fn generate(
    mut machine: Option<&mut (dyn Machine + '_)>,
    graph: &QuantisedLlama,
    sequences: &mut [Sequence<'_>],
    (wanted, room): (usize, usize),
) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for position in 0.. {
        if sequences.iter().all(|sequence| sequence.ending.is_some()) {
            break;
        }
        let tokens: Vec<Option<u32>> = sequences.iter().map(|sequence| sequence.given(position)).collect();
        let got = machine.as_mut().map(|machine| machine.run_all(&tokens)).transpose()?;
        let mut made = 0;
        for (number, sequence) in sequences.iter_mut().enumerate() {
            let got = got.as_ref().and_then(|got| got.get(number));
            made += usize::from(sequence.step(graph, position, got, (wanted, room))?);
        }
        if let Some(Token { cycles, predicted, .. }) = got.iter().flatten().next() {
            runs.push(Run { position, made, cycles: *cycles, predicted: *predicted });
        }
    }
    Ok(runs)
}
