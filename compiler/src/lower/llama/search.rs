//! The order with the fewest cycles: of those in which tokens take turns, and of those that are searched for.

use super::longest;
use super::order::{Lags, Order};
use super::token::Token;
use crate::error::CompileError;
use lpu_isa::program::Queue;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

/// Searches for an order of the parts of several sequences, for each schedule; the best is taken. They run beside each other, and each
/// gives the same whenever it runs.
const SEARCHES: u64 = 6;

/// Orders that each of them tries, 0.7 ms each for two sequences of stories260K.
const ATTEMPTS: usize = 1_000;

/// By how many cycles a step of a search may be worse, at first. Of 5, 14 and 30 cycles the least gave the fewest.
const HEAT: f64 = 5.0;

impl<'a> Token<'a> {
    /// The schedule of the order with the fewest cycles of those whose queues have no more instructions than there is `room` for: its
    /// queues, and its cycles. `order` is the one to begin with; where there is none yet, tokens take turns. Where the first that is
    /// tried has too many instructions, it is that. `searched`: not only orders in which tokens take turns.
    ///
    /// # Errors
    /// As [`compile`](super::compile).
    pub(super) fn best(
        self,
        order: &mut Option<Order>,
        room: usize,
        searched: bool,
    ) -> Result<(Vec<Queue>, u64), CompileError> {
        let (sizes, count) = (Token::sizes(self.plan), self.tokens.count() as u32);
        let at_once = self.heads_at_once();
        let in_turn = |sums: u32, down: u32| Order::in_turn(self.tokens, sizes, Lags { sums, down });
        let known = order.is_some();
        let mut found = order.take().unwrap_or_else(|| in_turn(sizes.heads.min(at_once), count));
        let mut best = self.with(&found).schedule()?;
        let first = found.clone();
        if count > 1 && longest(&best.0) <= room {
            let mut consider = |orders: Vec<Order>, found: &mut Order| -> Result<(), CompileError> {
                for other in orders {
                    let attempt = self.with(&other).schedule()?;
                    if attempt.1 < best.1 && longest(&attempt.0) <= room {
                        (best, *found) = (attempt, other);
                    }
                }
                Ok(())
            };
            if !known {
                let heads = (0..).map(|power| 1 << power).take_while(|&sums| sums <= at_once);
                let lags = heads.map(|sums| (sums, count)).chain([(sizes.heads.min(at_once), 1)]);
                consider(lags.map(|(sums, down)| in_turn(sums, down)).collect(), &mut found)?;
            }
            // Sequences share no buffers, so their parts may come in any order.
            if searched && !self.tokens.is_prompt() {
                consider(self.searched(&[first, found.clone()])?, &mut found)?;
            }
        }
        *order = Some(found);
        Ok(best)
    }

    /// The same run in another order.
    fn with(&self, order: &Order) -> Token<'a> {
        Token { order: order.clone(), ..self.clone() }
    }

    /// What the searches find that begin with one of `first`, in turn.
    fn searched(&self, first: &[Order]) -> Result<Vec<Order>, CompileError> {
        let mut begin = self.clone();
        begin.embedding()?;
        let begin = &begin;
        Ok(thread::scope(|scope| {
            let searches = first.iter().cycle().zip(1..=SEARCHES).map(|(first, seed)| {
                let first = first.pass_by_pass();
                let other = first.clone();
                let search = move || begin.annealed(&other, seed);
                // Where the system has no thread left, one after the other.
                thread::Builder::new().spawn_scoped(scope, search).map_err(|_| begin.annealed(&first, seed))
            });
            let searches: Vec<_> = searches.collect();
            let result = |search: Result<ScopedJoinHandle<'_, Order>, Order>| match search {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(order) => order,
            };
            searches.into_iter().map(result).collect()
        }))
    }

    /// An order with fewer cycles than `first`, if one is found by simulated annealing: each step moves a part, and may take longer with a
    /// probability that falls with what it takes, and with time. What comes before the layers has been placed.
    fn annealed(&self, first: &Order, seed: u64) -> Order {
        // A linear congruential generator (Knuth, The Art of Computer Programming, 3.3.4): the same schedule each time.
        let mut state = seed;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut now = (self.with(first).cycles_of_layers(), first.clone());
        let mut best = now.clone();
        for attempt in 0..ATTEMPTS {
            let other = now.1.another(&mut random);
            let cycles = self.with(&other).cycles_of_layers();
            let heat = HEAT * (1.0 - attempt as f64 / ATTEMPTS as f64);
            let drawn = (1 + random(10_000)) as f64 / 10_000.0;
            if cycles as f64 <= now.0 as f64 - heat * drawn.ln() {
                now = (cycles, other);
            }
            if now.0 < best.0 {
                best = now.clone();
            }
        }
        best.1
    }

    /// The last origin of all layers, where each is placed as early as can be: of the first few, and as if the others came the same
    /// distance behind each other.
    fn cycles_of_layers(mut self) -> i64 {
        let layers = self.graph.layers.len();
        let mut starts = vec![];
        for number in 0..layers.min(3) {
            starts.push(self.emitter.jobs());
            self.layer(number);
        }
        let origin = |job: usize| self.emitter.origins_from(job).first().copied().unwrap_or(0);
        let period = match starts[..] {
            [.., before, last] => origin(last) - origin(before),
            _ => 0,
        };
        let last = self.emitter.origins_from(0).iter().copied().max().unwrap_or(0);
        last + (layers - starts.len()) as i64 * period
    }
}
