//! What stays the same for a second is noise, and is taken away.

use super::BANDS;

/// Bits of a fraction.
const FRACTION_BITS: u32 = 14;
/// More bits that an estimate has than a band, to move slowly.
pub const SMOOTHING_BITS: u32 = 10;
/// How fast the estimate of even and of odd bands follows.
const SMOOTHING: [u64; 2] = [fraction(0.025), fraction(0.06)];
/// What is left of a band at least.
const LEFT_AT_LEAST: u64 = fraction(0.05);

const fn fraction(value: f32) -> u64 {
    (value * (1 << FRACTION_BITS) as f32) as u64
}

/// The noise that has been heard so far.
pub struct Noise {
    estimates: [u32; BANDS],
}

impl Noise {
    /// None yet.
    pub fn new() -> Noise {
        Noise { estimates: [0; BANDS] }
    }

    /// The noise of each band, with [`SMOOTHING_BITS`] more bits than a band.
    pub fn estimates(&self) -> &[u32; BANDS] {
        &self.estimates
    }

    /// Takes note of the bands, and the noise away from them.
    pub fn reduce(&mut self, bands: &mut [u32; BANDS]) {
        for (index, (band, estimate)) in bands.iter_mut().zip(&mut self.estimates).enumerate() {
            let smoothing = SMOOTHING[index % 2];
            let scaled = *band << SMOOTHING_BITS;
            let mixed = u64::from(scaled) * smoothing + u64::from(*estimate) * ((1 << FRACTION_BITS) - smoothing);
            *estimate = (mixed >> FRACTION_BITS) as u32;
            let left = (scaled - scaled.min(*estimate)) >> SMOOTHING_BITS;
            let least = (u64::from(*band) * LEFT_AT_LEAST) >> FRACTION_BITS;
            *band = left.max(least as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_fades_and_what_is_new_stays() {
        let mut noise = Noise::new();
        let mut bands = [1000; BANDS];
        for _ in 0..500 {
            bands = [1000; BANDS];
            noise.reduce(&mut bands);
        }
        assert!(bands.iter().all(|&band| band <= 51), "{bands:?}");
        bands = [5000; BANDS];
        noise.reduce(&mut bands);
        assert!(bands.iter().all(|&band| band > 3700), "{bands:?}");
    }
}
