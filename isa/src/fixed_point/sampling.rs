//! Random numbers and the choice of one of many weights, in 32-bit integers.
//!
//! Host and machine can do the same: three shifts and three exclusive-ors for a random number, one product of the kind that the
//! requantiser makes for the threshold, and a running sum.

use serde::{Deserialize, Serialize};

use crate::arithmetic::saturating_rounding_doubling_high_mul;

/// Marsaglia's 32-bit xorshift generator (13, 17, 5): every state but 0 follows every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xorshift {
    state: u32,
}

impl Xorshift {
    /// The generator for `seed`. Seeds that differ little give states that do not (the finaliser of MurmurHash3, 64 bits).
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        let state = (mixed ^ (mixed >> 32)) as u32;
        Self { state: if state == 0 { 0x6c70_7531 } else { state } }
    }

    /// The next number, 1 to 2³² - 1.
    pub fn next_number(&mut self) -> u32 {
        let mut state = self.state;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        self.state = state;
        state
    }
}

/// The position at which the running sum of `weights` exceeds `random / 2³²` of their whole sum; `None` where all are 0.
///
/// Weights are not negative; negative ones count as 0. The whole sum must stay below 2³¹, as that of up to 65,538 weights does. A position is
/// chosen with a probability of its weight over the sum, to within 2⁻³¹ or so.
#[must_use]
pub fn choose(weights: &[i16], random: u32) -> Option<usize> {
    let weight = |&weight: &i16| i32::from(weight.max(0));
    let total = weights.iter().map(weight).fold(0_i32, i32::wrapping_add);
    // Rounded, so that the largest random numbers would reach the sum itself.
    let threshold = saturating_rounding_doubling_high_mul(total, (random >> 1) as i32).min(total.wrapping_sub(1));
    let mut running = 0_i32;
    weights.iter().position(|element| {
        running = running.wrapping_add(weight(element));
        running > threshold && total > 0
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        let mut random = Xorshift { state: 1 };
        // Marsaglia's triple, from the state 1.
        assert_eq!([random.next_number(), random.next_number()], [270_369, 67_634_689]);
        let numbers = |seed| {
            let mut random = Xorshift::new(seed);
            [random.next_number(), random.next_number()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn positions_are_chosen_as_often_as_their_weights_say() {
        let weights = [0, 1000, 3000, 0, -5, 6000];
        let mut random = Xorshift::new(1);
        let mut chosen = [0_u32; 6];
        for _ in 0..100_000 {
            chosen[choose(&weights, random.next_number()).unwrap()] += 1;
        }
        for (count, weight) in chosen.into_iter().zip(weights) {
            let expected = f64::from(weight.max(0)) * 10.0;
            assert!((f64::from(count) - expected).abs() <= 4.0 * expected.sqrt(), "{count} for {weight}");
        }
    }

    proptest! {
        #[test]
        fn only_a_positive_weight_is_chosen(weights in prop::collection::vec(any::<i16>(), 0..40), random: u32) {
            match choose(&weights, random) {
                Some(index) => prop_assert!(weights[index] > 0),
                None => prop_assert!(weights.iter().all(|&weight| weight <= 0)),
            }
        }

        #[test]
        fn no_seed_leads_to_the_state_from_which_nothing_follows(seed: u64) {
            prop_assert_ne!(Xorshift::new(seed).next_number(), 0);
        }
    }
}
