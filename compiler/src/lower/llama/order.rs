//! In which order the parts of a layer are placed, where a run takes in several tokens.
//!
//! Each part of a token waits for what the part before it has made: drains, scales, a pass of the vector unit. So the tokens take turns,
//! part by part, and what one waits for is hidden behind the products of the others. A part is placed in the first hole that is long
//! enough; the order decides who is served first. Which order leaves the fewest cycles is tried out.

use super::Tokens;

/// Most tokens that a run takes in: there are registers for so many.
pub const MOST_TOKENS: u32 = 4;

/// A part of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The product that makes keys.
    Keys,
    /// The first pass of the product that makes queries.
    FirstQueries,
    /// Keys are turned and stored.
    TurnedKeys,
    /// The other passes, and queries are turned.
    Queries,
    /// Values are made and stored.
    Values,
    /// Scores and probabilities of the heads with this number of each block and stream.
    Scores(u32),
    /// Their weighted sums of values.
    Sum(u32),
    /// Attention's result, added to the residual stream.
    Output,
    /// The hidden vector.
    Hidden,
    /// The feed-forward network's result, added to the residual stream.
    Down,
}

/// How far apart parts are that make and take the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Weighted sums come so many heads behind the scores.
    pub sums: u32,
    /// The last product of a layer comes so many tokens behind the hidden vector.
    pub down: u32,
}

impl Order {
    /// That of one token, or the first one to try.
    pub fn first(heads: u32, tokens: u32) -> Order {
        Order { sums: heads, down: tokens }
    }

    /// The parts of a layer with `heads` numbers of heads: token, part. The last layer of a prompt is left when its keys and values
    /// are there.
    pub fn parts(self, tokens: Tokens, heads: u32, is_last: bool) -> Vec<(usize, Part)> {
        let count = tokens.count();
        let each = |parts: &[Part]| -> Vec<(usize, Part)> {
            parts.iter().flat_map(|&part| (0..count).map(move |token| (token, part))).collect()
        };
        if is_last && tokens.is_prompt() {
            return each(&[Part::Keys, Part::TurnedKeys, Part::Values]);
        }
        let mut parts = each(&[Part::Keys, Part::FirstQueries, Part::TurnedKeys, Part::Queries, Part::Values]);
        let all: Vec<(usize, u32)> = (0..count).flat_map(|token| (0..heads).map(move |head| (token, head))).collect();
        let lag = (self.sums as usize).clamp(1, all.len());
        for step in 0..all.len() + lag {
            // What a weighted sum has taken may be made anew.
            if let Some(&(token, head)) = step.checked_sub(lag).and_then(|step| all.get(step)) {
                parts.push((token, Part::Sum(head)));
            }
            if let Some(&(token, head)) = all.get(step) {
                parts.push((token, Part::Scores(head)));
            }
        }
        parts.extend(each(&[Part::Output]));
        let lag = (self.down as usize).clamp(1, count);
        for step in 0..count + lag {
            if step < count {
                parts.push((step, Part::Hidden));
            }
            if let Some(token) = step.checked_sub(lag).filter(|&token| token < count) {
                parts.push((token, Part::Down));
            }
        }
        parts
    }
}
