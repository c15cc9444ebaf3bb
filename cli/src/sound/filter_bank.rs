//! Triangles on the mel scale, and the root of the energy below each.

use super::spectrum::BINS;
use super::{BANDS, SAMPLE_RATE, bits};

/// Frequencies outside of these count for no band, in hertz.
const LOWEST: f32 = 125.0;
const HIGHEST: f32 = 7500.0;
/// A weight of 1.
const WEIGHT_BITS: u32 = 12;

/// The bins between the middles of two neighbouring bands. Each belongs partly to the band that ends here, partly to the next.
struct Slope {
    first: usize,
    /// How much of each bin belongs to the band that ends, and how much to the one that begins.
    weights: Vec<[u64; 2]>,
}

/// The bands.
pub struct FilterBank {
    /// One before each band, and one behind the last.
    slopes: Vec<Slope>,
}

/// Hertz on the mel scale.
fn mel(hertz: f32) -> f32 {
    (1127.0 * (f64::from(hertz) / 700.0).ln_1p()) as f32
}

impl FilterBank {
    /// [`BANDS`] bands whose middles are equally far apart on the mel scale.
    pub fn new() -> FilterBank {
        let hertz_per_bin = 0.5 * SAMPLE_RATE as f32 / (BINS as f32 - 1.0);
        let lowest = mel(LOWEST);
        let spacing = (mel(HIGHEST) - lowest) / (BANDS + 1) as f32;
        let middle = |index: usize| lowest + spacing * (index + 1) as f32;
        let at = |bin: usize| mel(bin as f32 * hertz_per_bin);
        let weight = |share: f64| (share * f64::from(1 << WEIGHT_BITS) + 0.5).floor() as u64;
        let mut first = (1.5 + LOWEST / hertz_per_bin) as usize;
        let slope = |index: usize| {
            let begin = if index == 0 { lowest } else { middle(index - 1) };
            let share = |bin: usize| f64::from((middle(index) - at(bin)) / (middle(index) - begin));
            let bins = (first..).take_while(|&bin| at(bin) <= middle(index));
            let weights: Vec<[u64; 2]> = bins.map(|bin| [weight(share(bin)), weight(1.0 - share(bin))]).collect();
            let slope = Slope { first, weights };
            first += slope.weights.len();
            slope
        };
        FilterBank { slopes: (0..=BANDS).map(slope).collect() }
    }

    /// The root of the energy of each band, with `shift` bits taken away again.
    pub fn bands(&self, energies: &[u32; BINS], shift: u32) -> [u32; BANDS] {
        let sum = |slope: &Slope, side: usize| -> u64 {
            let energies = &energies[slope.first..];
            slope.weights.iter().zip(energies).map(|(weights, &energy)| weights[side] * u64::from(energy)).sum()
        };
        std::array::from_fn(|band| root(sum(&self.slopes[band], 1) + sum(&self.slopes[band + 1], 0)) >> shift)
    }
}

/// The square root, rounded to the nearest, but never to more bits than the half of those of the argument's word.
fn root(value: u64) -> u32 {
    let root = value.isqrt();
    let largest = if bits((value >> 32) as u32) == 0 { u64::from(u16::MAX) } else { u64::from(u32::MAX) };
    let up = value - root * root > root && root != largest;
    (root + u64::from(up)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bin_is_shared_by_two_bands_and_none_is_left_out() {
        let bank = FilterBank::new();
        assert_eq!(bank.slopes.len(), BANDS + 1);
        let mut next = bank.slopes[0].first;
        // 125 Hz is bin 4; 7,500 Hz is bin 240.
        assert_eq!(next, 5);
        for slope in &bank.slopes {
            assert_eq!(slope.first, next);
            next += slope.weights.len();
            for [ends, begins] in &slope.weights {
                assert!((4095..=4097).contains(&(ends + begins)));
            }
        }
        assert_eq!(next, 241);
    }

    #[test]
    fn roots_are_rounded() {
        for (value, expected) in [(0, 0), (1, 1), (2, 1), (3, 2), (6, 2), (7, 3), (1 << 40, 1 << 20)] {
            assert_eq!(root(value), expected, "{value}");
        }
        assert_eq!(root(u64::from(u32::MAX)), 0xffff);
    }
}
