//! From a recording to the features that wake-word networks listen to: the energies of 40 mel bands every 10 ms, with the steady noise
//! taken away, the loudness evened out, and the logarithm taken.
//!
//! The arithmetic is that of TensorFlow Lite Micro's front end (`tensorflow/lite/experimental/microfrontend`) with the settings of
//! microWakeWord, in integers throughout, so the features are those that the networks were trained on, bit for bit. It runs on the
//! host; the machine sees its results.
//!
//! ```text
//! samples --spectrum--> 257 bins --filter_bank--> 40 bands --noise--> --gain--> --logarithm--> 40 features
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `spectrum` | window and Fourier transform of 30 ms in 16-bit integers |
//! | `filter_bank` | triangles on the mel scale, and the root of the energy below each |
//! | `noise` | what stays the same for a second is noise |
//! | `gain` | loudness relative to the noise |
//! | `logarithm` | base e, in 1/64 |
//! | `recording` | samples from a WAV file, a pipe or a microphone |

mod filter_bank;
mod gain;
mod logarithm;
mod noise;
pub mod recording;
mod spectrum;

use filter_bank::FilterBank;
use gain::Gain;
use noise::Noise;
use spectrum::Spectrum;

/// Samples a second.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples that a frame looks at: 30 ms.
pub const WINDOW: usize = 480;
/// Samples from one frame to the next: 10 ms.
pub const STEP: usize = 160;
/// Features of a frame.
pub const BANDS: usize = 40;
/// What a feature of 1 stands for: the networks are trained with features of 0 to 26.
pub const FEATURE_SCALE: f32 = 10.0 / 256.0;
/// Bits that a band's energy has lost before its logarithm: ten of the transform's length, less its sign, less half of the weights' twelve.
const CORRECTION_BITS: u32 = 3;

/// The front end with what it remembers of the frames before.
pub struct FrontEnd {
    spectrum: Spectrum,
    bank: FilterBank,
    noise: Noise,
    gain: Gain,
}

impl FrontEnd {
    /// One that has heard nothing yet.
    pub fn new() -> FrontEnd {
        FrontEnd { spectrum: Spectrum::new(), bank: FilterBank::new(), noise: Noise::new(), gain: Gain::new() }
    }

    /// The features of the next frame. Each is 64 times a natural logarithm, 0 to about 670.
    pub fn frame(&mut self, samples: &[i16; WINDOW]) -> [u16; BANDS] {
        let (energies, shift) = self.spectrum.energies(samples);
        let mut bands = self.bank.bands(&energies, shift);
        self.noise.reduce(&mut bands);
        self.gain.apply(&mut bands, self.noise.estimates());
        bands.map(|band| logarithm::feature(band << CORRECTION_BITS))
    }

    /// The features of every whole frame of a recording.
    pub fn frames(&mut self, samples: &[i16]) -> Vec<[u16; BANDS]> {
        let frames = samples.windows(WINDOW).step_by(STEP);
        frames.filter_map(|frame| frame.try_into().ok()).map(|frame| self.frame(frame)).collect()
    }
}

/// Position of the highest bit that is set, counted from 1; 0 for 0.
fn bits(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::PI;

    /// A tone that begins after a third of a second of faint noise.
    fn recording() -> Vec<i16> {
        let mut random = 1u32;
        (0..16_000)
            .map(|index| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (random >> 24) as i32 - 128;
                let tone = if index > 5_333 { 8000.0 * (index as f32 * PI / 8.0).sin() } else { 0.0 };
                (noise + tone as i32) as i16
            })
            .collect()
    }

    #[test]
    fn a_tone_is_loudest_in_its_own_band() {
        let frames = FrontEnd::new().frames(&recording());
        assert_eq!(frames.len(), (16_000 - WINDOW) / STEP + 1);
        let loudest = |frame: &[u16; BANDS]| (0..BANDS).max_by_key(|&band| frame[band]);
        // 1 kHz is 1,000 mel, 12.6 spacings above the lower end at 185; band 12's middle is 13 above it.
        assert_eq!(loudest(&frames[36]), Some(12));
    }

    #[test]
    fn silence_has_features_of_zero() {
        let frames = FrontEnd::new().frames(&[0; 2000]);
        assert!(frames.iter().flatten().all(|&feature| feature == 0));
    }

    #[test]
    fn the_loudest_and_the_strangest_samples_are_frames_too() {
        for sample in [i16::MIN, i16::MAX] {
            let square: Vec<i16> = (0..4000).map(|index| if index / 50 % 2 == 0 { sample } else { !sample }).collect();
            assert_eq!(FrontEnd::new().frames(&square).len(), 23);
        }
    }

    #[test]
    fn less_than_a_window_is_no_frame() {
        assert_eq!(FrontEnd::new().frames(&[1; WINDOW - 1]).len(), 0);
    }
}
