//! From logits to the next token: the most likely one, or one drawn with a temperature, in integers only.
//!
//! The exponential of a logit is that of a score: the same table, entered with `(logit - largest logit)` requantised from the
//! logits' unit, divided by the temperature, to the table's. A running sum of the table's values is compared with a threshold from
//! a 32-bit random number. The same seed gives the same text everywhere.

use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_isa::arithmetic::{Requantise, Rounding, quantize_multiplier};
use lpu_isa::fixed_point::sampling::{Xorshift, choose};
use thiserror::Error;

use super::Answer;

/// Why a temperature cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
#[error(
    "a temperature of {temperature}; for this model it is 0 (always the most likely token) or {least:.5} to {most:.0}"
)]
pub struct TemperatureError {
    /// The temperature.
    pub temperature: f64,
    /// The least that is not 0.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// Chooses tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampler {
    /// From a logit less the largest to the exponential's argument; none for the temperature 0.
    argument: Option<Requantise>,
    random: Xorshift,
}

/// The largest difference of two logits has 17 bits with its sign, so 14 are left for a left shift.
const LARGEST_SHIFT: i32 = 14;
/// A temperature beyond this makes all tokens alike.
const MOST: f64 = 1000.0;

impl Sampler {
    /// For `graph`, at `temperature`, from `seed`. A temperature of 0 takes the most likely token, always.
    ///
    /// # Errors
    /// A temperature that is negative, no number, or so small or large that 32 bits do not hold the scale.
    pub fn new(graph: &QuantisedLlama, temperature: f64, seed: u64) -> Result<Self, TemperatureError> {
        let random = Xorshift::new(seed);
        if temperature == 0.0 {
            return Ok(Self { argument: None, random });
        }
        let units = graph.classifier.unit / graph.exponential.unit;
        let (multiplier, shift) = quantize_multiplier(units / temperature);
        if !(0.0..=MOST).contains(&temperature) || shift > LARGEST_SHIFT {
            let least = units / f64::from(LARGEST_SHIFT).exp2();
            return Err(TemperatureError { temperature, least, most: MOST });
        }
        let argument = Requantise {
            multiplier,
            shift,
            zero_point: i32::from(i16::MAX),
            minimum: i32::from(i16::MIN),
            maximum: i32::from(i16::MAX),
            rounding: Rounding::Double,
        };
        Ok(Self { argument: Some(argument), random })
    }

    /// Is it always the most likely token?
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.argument.is_none()
    }

    /// The next token.
    pub fn next_token(&mut self, graph: &QuantisedLlama, answer: &Answer) -> u32 {
        let Some(argument) = self.argument else { return answer.most_likely() };
        let logits = answer.logits();
        let largest = logits.iter().copied().max().unwrap_or(0);
        let table = &graph.exponential.table;
        let weight = |&logit: &i16| table.apply(argument.apply(i32::from(logit) - i32::from(largest)) as i16);
        let weights: Vec<i16> = logits.iter().map(weight).collect();
        // One weight at least is positive: that of the largest logit.
        choose(&weights, self.random.next_number()).unwrap_or(0) as u32
    }
}
