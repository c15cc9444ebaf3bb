//! Window and Fourier transform of one frame, in 16-bit integers.

use super::{WINDOW, bits};
use std::f64::consts::PI;

/// Length of the transform: the window and zeros.
const LENGTH: usize = 512;
/// The real transform is a complex one of half the length, whose even and odd samples are real and imaginary parts.
const HALF: usize = LENGTH / 2;
/// Bins of a spectrum, both ends included.
pub const BINS: usize = HALF + 1;
/// A window's coefficient of 1.
const WINDOW_BITS: u32 = 12;
/// The largest value of a sine.
const ONE: i32 = i16::MAX as i32;

/// A complex number of two 16-bit fractions.
#[derive(Clone, Copy, Default)]
struct Complex {
    re: i16,
    im: i16,
}

/// The product of two fractions, rounded.
fn rounded(product: i32) -> i16 {
    (product.wrapping_add(1 << 14) >> 15) as i16
}

impl Complex {
    /// `e^(i angle)`.
    fn turn(angle: f64) -> Complex {
        let part = |value: f64| (0.5 + f64::from(ONE) * value).floor() as i16;
        Complex { re: part(angle.cos()), im: part(angle.sin()) }
    }

    fn plus(self, other: Complex) -> Complex {
        Complex { re: self.re.wrapping_add(other.re), im: self.im.wrapping_add(other.im) }
    }

    fn minus(self, other: Complex) -> Complex {
        Complex { re: self.re.wrapping_sub(other.re), im: self.im.wrapping_sub(other.im) }
    }

    fn times(self, other: Complex) -> Complex {
        let [a, b, c, d] = [self.re, self.im, other.re, other.im].map(i32::from);
        Complex { re: rounded((a * c).wrapping_sub(b * d)), im: rounded((a * d).wrapping_add(b * c)) }
    }

    /// Divided by a small number, so that the sums that follow do not overflow.
    fn over(self, divisor: i32) -> Complex {
        let factor = ONE / divisor;
        Complex { re: rounded(i32::from(self.re) * factor), im: rounded(i32::from(self.im) * factor) }
    }

    /// Times `-i`.
    fn quarter_back(self) -> Complex {
        Complex { re: self.im, im: self.re.wrapping_neg() }
    }

    fn conjugate(self) -> Complex {
        Complex { im: self.im.wrapping_neg(), ..self }
    }
}

/// The constants of window and transform.
pub struct Spectrum {
    window: [i16; WINDOW],
    /// `e^(-2πi k / HALF)`
    turns: Vec<Complex>,
    /// `e^(-πi ((k + 1) / HALF + 1/2))`: from the complex transform's result to the real one's.
    unfolding: Vec<Complex>,
}

impl Spectrum {
    /// A Hann window over [`WINDOW`] samples, in the single precision that the networks' features were made with: in double
    /// precision two of its coefficients differ.
    pub fn new() -> Spectrum {
        let step = (2.0 * PI / WINDOW as f64) as f32;
        let coefficient = |index: usize| {
            let value = 0.5 - 0.5 * (step * (index as f32 + 0.5)).cos();
            (f64::from(value) * f64::from(1 << WINDOW_BITS) + 0.5).floor() as i16
        };
        let turn = |index: usize| Complex::turn(-2.0 * PI * index as f64 / HALF as f64);
        let unfold = |index: usize| Complex::turn(-PI * ((index + 1) as f64 / HALF as f64 + 0.5));
        Spectrum {
            window: std::array::from_fn(coefficient),
            turns: (0..HALF).map(turn).collect(),
            unfolding: (0..HALF / 2).map(unfold).collect(),
        }
    }

    /// The energy of each bin of the windowed samples, and by how many bits these were shifted to the left to fill 16 bits.
    pub fn energies(&self, samples: &[i16; WINDOW]) -> ([u32; BINS], u32) {
        let mut windowed = [0i16; LENGTH];
        for ((place, &sample), &coefficient) in windowed.iter_mut().zip(samples).zip(&self.window) {
            *place = ((i32::from(sample) * i32::from(coefficient)) >> WINDOW_BITS) as i16;
        }
        let largest = windowed.iter().map(|value| u32::from(value.unsigned_abs())).max().unwrap_or(0);
        // A sample of -2¹⁵ keeps its sixteenth bit.
        let shift = 15u32.saturating_sub(bits(largest));
        let pairs: Vec<Complex> =
            windowed.chunks_exact(2).map(|pair| Complex { re: pair[0] << shift, im: pair[1] << shift }).collect();
        let bins = self.unfold(&self.transform(&pairs, 0, 1));
        let square = |value: i16| i32::from(value).pow(2) as u32;
        (bins.map(|bin| square(bin.re) + square(bin.im)), shift)
    }

    /// The transform of every `stride`-th element from `first` on, by four: decimation in time.
    fn transform(&self, input: &[Complex], first: usize, stride: usize) -> Vec<Complex> {
        let length = input.len() / stride;
        if length == 1 {
            return vec![input[first]];
        }
        let quarter = length / 4;
        let parts: [Vec<Complex>; 4] =
            std::array::from_fn(|part| self.transform(input, first + part * stride, 4 * stride));
        let mut output = vec![Complex::default(); length];
        for index in 0..quarter {
            let turned = |part: usize| parts[part][index].over(4).times(self.turns[part * index * stride]);
            let (a, b, c, d) = (parts[0][index].over(4), turned(1), turned(2), turned(3));
            let (even, odd) = (a.plus(c), a.minus(c));
            let (sum, difference) = (b.plus(d), b.minus(d).quarter_back());
            output[index] = even.plus(sum);
            output[index + quarter] = odd.plus(difference);
            output[index + 2 * quarter] = even.minus(sum);
            output[index + 3 * quarter] = odd.minus(difference);
        }
        output
    }

    /// The bins of the real samples whose even and odd ones were transformed as real and imaginary parts.
    fn unfold(&self, folded: &[Complex]) -> [Complex; BINS] {
        let mut bins = [Complex::default(); BINS];
        let ends = folded[0].over(2);
        bins[0].re = ends.re.wrapping_add(ends.im);
        bins[HALF].re = ends.re.wrapping_sub(ends.im);
        for index in 1..=HALF / 2 {
            let (here, mirrored) = (folded[index].over(2), folded[HALF - index].conjugate().over(2));
            let (sum, turned) = (here.plus(mirrored), here.minus(mirrored).times(self.unfolding[index - 1]));
            let half = |a: i16, b: i32| ((i32::from(a) + b) >> 1) as i16;
            let (re, im) = (i32::from(turned.re), i32::from(turned.im));
            bins[index] = Complex { re: half(sum.re, re), im: half(sum.im, im) };
            bins[HALF - index] = Complex { re: half(sum.re, -re), im: ((im - i32::from(sum.im)) >> 1) as i16 };
        }
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_has_its_energy_in_its_bin_and_a_shift_for_its_loudness() {
        // Bin 32 of 512 at 16 kHz is 1 kHz: sixteen samples a period.
        for (loudness, shift) in [(16_000.0, 1), (1_000.0, 5)] {
            let tone = std::array::from_fn(|index| (loudness * (2.0 * PI * index as f64 / 16.0).sin()) as i16);
            let (energies, found) = Spectrum::new().energies(&tone);
            assert_eq!(found, shift);
            let loudest = (0..BINS).max_by_key(|&bin| energies[bin]);
            assert_eq!(loudest, Some(32));
            assert!(energies[64] < energies[32] / 1000);
        }
    }

    #[test]
    fn the_integers_follow_the_transform_in_floating_point() {
        let samples: [i16; WINDOW] = std::array::from_fn(|index| ((index * index * 37) % 20_011) as i16 - 10_000);
        let spectrum = Spectrum::new();
        let (energies, shift) = spectrum.energies(&samples);
        for bin in [1, 17, 100, 255] {
            let part = |function: fn(f64) -> f64| -> f64 {
                let term = |index: usize| {
                    let value = f64::from(samples[index]) * f64::from(spectrum.window[index]) / 4096.0;
                    value * function(2.0 * PI * (bin * index) as f64 / LENGTH as f64)
                };
                (0..WINDOW).map(term).sum::<f64>() * f64::from(1 << shift) / LENGTH as f64
            };
            let exact = part(f64::cos).powi(2) + part(f64::sin).powi(2);
            let error = f64::from(energies[bin]).sqrt() - exact.sqrt();
            assert!(error.abs() < 4.0, "bin {bin}: {} for {exact}", energies[bin]);
        }
    }
}
