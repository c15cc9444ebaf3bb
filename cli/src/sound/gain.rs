//! Loudness relative to the noise: each band is divided by a power of its noise, which evens out how near a voice is
//! (per-channel energy normalisation, <https://research.google/pubs/pub45911>).

use super::noise::SMOOTHING_BITS;
use super::{BANDS, CORRECTION_BITS, bits};

/// How much the noise divides: 1 would remove all difference in loudness.
const STRENGTH: f32 = 0.95;
/// Added to the noise, so that silence is not made loud.
const OFFSET: f32 = 80.0;
/// Bits of a gain's fraction.
const GAIN_BITS: u32 = 21;
/// Bits of the fraction of a loudness before it is compressed, and after.
const LOUDNESS_BITS: u32 = 12;
const OUTPUT_BITS: u32 = 6;
/// Bits of a noise estimate.
const NOISE_BITS: u32 = 32;

/// A parabola through three points of an interval that begins at a power of two.
#[derive(Clone, Copy)]
struct Parabola {
    begin: i16,
    slope: i16,
    bend: i16,
}

/// The gain as a function of the noise.
pub struct Gain {
    /// Of noise 0 and 1.
    smallest: [i16; 2],
    /// From `2^(n+1)` to its double at index `n`.
    intervals: Vec<Parabola>,
}

/// The gain at a noise estimate.
fn exact(noise: u32) -> i16 {
    let noise = noise as f32 / (1u32 << (SMOOTHING_BITS - CORRECTION_BITS)) as f32;
    let power = f64::from(noise + OFFSET).powf(f64::from(-STRENGTH)) as f32;
    let gain = (1u32 << GAIN_BITS) as f32 * power;
    // Saturates, as the conversion does.
    (gain + 0.5) as i16
}

impl Gain {
    /// The table of the gain.
    pub fn new() -> Gain {
        let interval = |bits: u32| {
            let begin = 1u32 << (bits - 1);
            let end = if bits == NOISE_BITS { u32::MAX } else { 2 * begin };
            let [begin, middle, end] = [begin, begin + begin / 2, end].map(|noise| i32::from(exact(noise)));
            let slope = 4 * (middle - begin) - (end - begin);
            Parabola { begin: begin as i16, slope: slope as i16, bend: (end - begin - slope) as i16 }
        };
        Gain { smallest: [exact(0), exact(1)], intervals: (2..=NOISE_BITS).map(interval).collect() }
    }

    /// The gain at a noise estimate, by the table.
    fn at(&self, noise: u32) -> i16 {
        if let Some(&gain) = self.smallest.get(noise as usize) {
            return gain;
        }
        let width = bits(noise);
        let Parabola { begin, slope, bend } = self.intervals[width as usize - 2];
        // The ten bits behind the highest.
        let fraction = if width < 11 { noise << (11 - width) } else { noise >> (width - 11) };
        let fraction = (fraction & 0x3ff) as i32;
        let rise = ((i32::from(bend) * fraction) >> 5) + (i32::from(slope) << 5);
        let rise = rise.wrapping_mul(fraction).wrapping_add(1 << 14) >> 15;
        (rise + i32::from(begin)) as i16
    }

    /// Turns each band into its loudness relative to its noise.
    pub fn apply(&self, bands: &mut [u32; BANDS], noise: &[u32; BANDS]) {
        for (band, &noise) in bands.iter_mut().zip(noise) {
            let gain = self.at(noise) as u16;
            let shift = GAIN_BITS - CORRECTION_BITS - LOUDNESS_BITS;
            *band = compressed(((u64::from(*band) * u64::from(gain)) >> shift) as u32);
        }
    }
}

/// `x² / 4` below 2, `x - 1` from there on.
fn compressed(loudness: u32) -> u32 {
    if loudness < 2 << LOUDNESS_BITS {
        (loudness * loudness) >> (2 + 2 * LOUDNESS_BITS - OUTPUT_BITS)
    } else {
        (loudness >> (LOUDNESS_BITS - OUTPUT_BITS)) - (1 << OUTPUT_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_function() {
        let gain = Gain::new();
        for noise in (0..31).flat_map(|bits| [1u32 << bits, (1 << bits) + (1 << bits) / 3]).chain([0]) {
            let (table, exact) = (i32::from(gain.at(noise)), i32::from(exact(noise)));
            assert!((table - exact).abs() <= 1 + exact / 50, "noise {noise}: {table}, exactly {exact}");
        }
    }

    #[test]
    fn the_two_branches_of_the_compression_meet() {
        assert_eq!(compressed((2 << LOUDNESS_BITS) - 1), (1 << OUTPUT_BITS) - 1);
        assert_eq!(compressed(2 << LOUDNESS_BITS), 1 << OUTPUT_BITS);
    }
}
