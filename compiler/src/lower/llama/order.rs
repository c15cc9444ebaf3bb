//! In which order the parts of a layer are placed, where a run takes in several tokens.
//!
//! Each part of a token waits for what the part before it has made: drains, scales, a pass of the vector unit. So the tokens take turns,
//! part by part, and what one waits for is hidden behind the products of the others. A part is placed in the first hole that is long
//! enough; the order decides who is served first. Which order leaves the fewest cycles is tried out: tokens in turn, at several
//! distances; and for sequences, which share no buffers, from the best of these on whatever [`Order::another`] comes to.

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
    /// Passes of the gate: the first, how many.
    Gate(u32, u32),
    /// Passes of what is multiplied with it.
    Up(u32, u32),
    /// The hidden vector, their product.
    Hidden,
    /// The feed-forward network's result, added to the residual stream.
    Down,
}

impl Part {
    /// Which parts of a token come behind all parts with a smaller number.
    fn stage(self) -> u32 {
        match self {
            Part::Keys | Part::FirstQueries | Part::TurnedKeys | Part::Queries | Part::Values => 0,
            Part::Scores(_) | Part::Sum(_) => 1,
            Part::Output => 2,
            Part::Gate(..) | Part::Up(..) => 3,
            Part::Hidden => 4,
            Part::Down => 5,
        }
    }

    /// Does a token's part `next` take what this one makes, or overwrite what it takes?
    fn comes_before(self, next: Part) -> bool {
        match (self, next) {
            // Values are wanted later than keys and queries.
            (Part::Values, Part::Scores(_)) | (Part::Scores(_), Part::Values) => false,
            (Part::Keys, Part::TurnedKeys) | (Part::FirstQueries, Part::Queries) => true,
            (Part::Scores(scores), Part::Sum(sum)) => scores == sum,
            (Part::Scores(one), Part::Scores(other)) | (Part::Sum(one), Part::Sum(other)) => one < other,
            _ => self.stage() < next.stage(),
        }
    }
}

/// How many parts there are of those of which there are several.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Numbers of heads.
    pub heads: u32,
    /// Passes of the gate, and of what is multiplied with it.
    pub passes: u32,
}

/// How far apart parts are that make and take the same, where tokens take turns.
#[derive(Clone, Copy, Debug)]
pub struct Lags {
    /// Weighted sums come so many heads behind the scores.
    pub sums: u32,
    /// The last product of a layer comes so many tokens behind the hidden vector.
    pub down: u32,
}

/// The parts of a layer in the order in which they are placed: token, part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order(Vec<(usize, Part)>);

impl Order {
    /// Tokens take turns, part by part.
    pub fn in_turn(tokens: Tokens, sizes: Sizes, lags: Lags) -> Order {
        let count = tokens.count();
        let each = |parts: &[Part]| -> Vec<(usize, Part)> {
            parts.iter().flat_map(|&part| (0..count).map(move |token| (token, part))).collect()
        };
        let mut parts = each(&[Part::Keys, Part::FirstQueries, Part::TurnedKeys, Part::Queries, Part::Values]);
        let all: Vec<(usize, u32)> =
            (0..count).flat_map(|token| (0..sizes.heads).map(move |head| (token, head))).collect();
        let lag = (lags.sums as usize).clamp(1, all.len());
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
        let lag = (lags.down as usize).clamp(1, count);
        for step in 0..count + lag {
            if step < count {
                // What comes of the last pass is waited for: what comes before it is multiplied in the meantime.
                let before = sizes.passes.saturating_sub(1);
                let hidden =
                    [Part::Gate(0, sizes.passes), Part::Up(0, before), Part::Up(before, sizes.passes - before)];
                parts.extend(hidden.map(|part| (step, part)));
                parts.push((step, Part::Hidden));
            }
            if let Some(token) = step.checked_sub(lag).filter(|&token| token < count) {
                parts.push((token, Part::Down));
            }
        }
        parts.retain(|(_, part)| !matches!(part, Part::Gate(_, 0) | Part::Up(_, 0)));
        Order(parts)
    }

    /// The same with each pass by itself.
    pub fn pass_by_pass(&self) -> Order {
        let split = |&(token, part): &(usize, Part)| -> Vec<(usize, Part)> {
            match part {
                Part::Gate(first, count) => (first..first + count).map(|pass| (token, Part::Gate(pass, 1))).collect(),
                Part::Up(first, count) => (first..first + count).map(|pass| (token, Part::Up(pass, 1))).collect(),
                _ => vec![(token, part)],
            }
        };
        Order(self.0.iter().flat_map(split).collect())
    }

    /// The parts of a layer. The last layer of a prompt is left when its keys and values are there.
    pub fn parts(&self, tokens: Tokens, is_last: bool) -> impl Iterator<Item = (usize, Part)> {
        let only_cache = is_last && tokens.is_prompt();
        let wanted = move |&&(_, part): &&(usize, Part)| {
            !only_cache || matches!(part, Part::Keys | Part::TurnedKeys | Part::Values)
        };
        self.0.iter().filter(wanted).copied()
    }

    /// An order in which one part has another place, anywhere between the parts of its token that have to come before it and behind it.
    /// `random` draws a number below another. For tokens that share nothing.
    pub fn another(&self, random: &mut impl FnMut(usize) -> usize) -> Order {
        let mut parts = self.0.clone();
        if parts.is_empty() {
            return Order(parts);
        }
        let from = random(parts.len());
        let (token, part) = parts.remove(from);
        let bound = |&(other, before): &(usize, Part)| other == token && before.comes_before(part);
        let first = parts[..from].iter().rposition(bound).map_or(0, |index| index + 1);
        let bound = |&(other, next): &(usize, Part)| other == token && part.comes_before(next);
        let last = parts[from..].iter().position(bound).map_or(parts.len(), |index| from + index);
        parts.insert(first + random(last + 1 - first), (token, part));
        Order(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZES: Sizes = Sizes { heads: 4, passes: 5 };

    proptest! {
        #[test]
        fn any_other_order_has_the_same_parts_in_an_order_that_can_be_executed(seed: u64, count in 1_usize..3) {
            let lags = Lags { sums: 3, down: 1 };
            let first = Order::in_turn(Tokens::OfSequences(count), SIZES, lags).pass_by_pass();
            let mut state = seed;
            let mut random = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below
            };
            let mut order = first.clone();
            for _ in 0..50 {
                order = order.another(&mut random);
            }
            for token in 0..count {
                let of = |order: &Order| -> Vec<Part> {
                    order.0.iter().filter(|(other, _)| *other == token).map(|&(_, part)| part).collect()
                };
                let (before, after) = (of(&first), of(&order));
                prop_assert_eq!(before.len(), after.len());
                prop_assert!(before.iter().all(|part| after.contains(part)));
                for (index, part) in after.iter().enumerate() {
                    prop_assert!(after[..index].iter().all(|earlier| !part.comes_before(*earlier)), "{:?}", after);
                }
            }
        }
    }

    #[test]
    fn the_parts_that_make_a_layer_come_before_those_that_take_what_they_make() {
        for (count, sums, down) in [(1, 4, 1), (2, 1, 1), (2, 8, 2)] {
            let Order(parts) = Order::in_turn(Tokens::OfSequences(count), SIZES, Lags { sums, down }).pass_by_pass();
            assert_eq!(parts.len(), count * (5 + 2 * 4 + 1 + 2 * 5 + 2));
            for (index, (token, part)) in parts.iter().enumerate() {
                let before = parts[..index].iter().filter(|(other, _)| other == token);
                assert!(before.into_iter().all(|(_, earlier)| !part.comes_before(*earlier)), "{part:?}");
            }
        }
    }
}
