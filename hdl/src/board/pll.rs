//! The dividers with which a family's phase-locked loop makes the LPU's clock from the board's oscillator.
//!
//! The frequency chosen is the highest one reachable that is not above the one asked for: what has met its timing at the asked
//! frequency meets it at the chosen one. Of the dividers that reach it, those with the highest frequency at the phase detector
//! are taken (least jitter), then those with the oscillator of the loop nearest the middle of its range.

use lpu_isa::board::Family;
use std::fmt;
use thiserror::Error;

/// Frequencies that a loop is made for, in hertz, both ends allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The lowest.
    pub from: u64,
    /// The highest.
    pub to: u64,
}

impl Range {
    const fn new(from: u64, to: u64) -> Self {
        Range { from, to }
    }

    /// Whether `numerator / denominator` lies within.
    const fn holds(self, numerator: u64, denominator: u64) -> bool {
        numerator >= self.from * denominator && numerator <= self.to * denominator
    }

    const fn middle(self) -> u64 {
        self.from.midpoint(self.to)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} MHz", megahertz(self.from), megahertz(self.to))
    }
}

/// What a family's loop can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The reference input.
    pub input: Range,
    /// The output.
    pub output: Range,
    /// The phase detector.
    pub detector: Range,
    /// The oscillator of the loop.
    pub loop_oscillator: Range,
}

const MHZ: u64 = 1_000_000;

/// The limits of a family. ECP5: data sheet FPGA-DS-02012, the phase detector from 3.125 MHz as `ecppll` has it. iCE40: data
/// sheet FPGA-DS-02008, which is also what `icepll` keeps to. Gowin: DS226, speed grade C8/I7.
pub const fn limits(family: Family) -> Limits {
    match family {
        Family::Ecp5 => Limits {
            input: Range::new(8 * MHZ, 400 * MHZ),
            output: Range::new(10 * MHZ, 400 * MHZ),
            detector: Range::new(3_125_000, 400 * MHZ),
            loop_oscillator: Range::new(400 * MHZ, 800 * MHZ),
        },
        Family::Ice40 => Limits {
            input: Range::new(10 * MHZ, 133 * MHZ),
            output: Range::new(16 * MHZ, 275 * MHZ),
            detector: Range::new(10 * MHZ, 133 * MHZ),
            loop_oscillator: Range::new(533 * MHZ, 1066 * MHZ),
        },
        Family::Gowin => Limits {
            input: Range::new(3 * MHZ, 500 * MHZ),
            output: Range::new(3_906_250, 625 * MHZ),
            detector: Range::new(3 * MHZ, 500 * MHZ),
            loop_oscillator: Range::new(500 * MHZ, 1250 * MHZ),
        },
    }
}

/// A loop with its dividers: `oscillator / reference` goes to the phase detector, the output is `feedback` times that, and the
/// loop's own oscillator runs `post` times as fast as the output.
///
/// An iCE40's feedback is taken from the loop's oscillator, not from the output; there `feedback` is the divider of the
/// oscillator, and the output is `feedback / post` times the detector's frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pll {
    /// Whose loop.
    pub family: Family,
    /// Frequency of the reference, in hertz.
    pub oscillator_hz: u64,
    /// Divider of the reference.
    pub reference: u64,
    /// Divider in the feedback.
    pub feedback: u64,
    /// Divider behind the loop's oscillator.
    pub post: u64,
}

/// Why there is no loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PllError {
    /// The oscillator is too slow or too fast.
    #[error("the PLL of the {family} takes {range}, the oscillator has {} MHz", megahertz(*oscillator_hz))]
    Oscillator {
        /// Whose loop.
        family: Family,
        /// Frequency of the oscillator, in hertz.
        oscillator_hz: u64,
        /// What it takes.
        range: Range,
    },
    /// The clock asked for is outside what the loop gives.
    #[error("the PLL of the {family} gives {range}, not {} MHz", megahertz(*clock_hz))]
    Clock {
        /// Whose loop.
        family: Family,
        /// Frequency asked for, in hertz.
        clock_hz: u64,
        /// What it gives.
        range: Range,
    },
    /// No dividers reach the clock or anything below it.
    #[error(
        "the PLL of the {family} cannot make {} MHz or less from {} MHz; the lowest is a higher frequency",
        megahertz(*clock_hz),
        megahertz(*oscillator_hz)
    )]
    Unreachable {
        /// Whose loop.
        family: Family,
        /// Frequency of the oscillator, in hertz.
        oscillator_hz: u64,
        /// Frequency asked for, in hertz.
        clock_hz: u64,
    },
}

/// Hertz as megahertz, for people.
fn megahertz(hertz: u64) -> f64 {
    hertz as f64 / 1e6
}

impl Pll {
    /// The loop that makes `clock_hz` or, where that cannot be reached, the next lower frequency that can.
    ///
    /// # Errors
    /// A frequency outside the family's [`limits`], or nothing reachable at or below `clock_hz`.
    pub fn new(family: Family, oscillator_hz: u64, clock_hz: u64) -> Result<Pll, PllError> {
        let Limits { input, output, .. } = limits(family);
        if !input.holds(oscillator_hz, 1) {
            return Err(PllError::Oscillator { family, oscillator_hz, range: input });
        }
        if !output.holds(clock_hz, 1) {
            return Err(PllError::Clock { family, clock_hz, range: output });
        }
        let mut best: Option<Pll> = None;
        for pll in candidates(family, oscillator_hz) {
            let (numerator, denominator) = pll.output();
            if numerator <= clock_hz * denominator && pll.is_within_limits() && best.is_none_or(|best| pll.beats(&best))
            {
                best = Some(pll);
            }
        }
        best.ok_or(PllError::Unreachable { family, oscillator_hz, clock_hz })
    }

    /// Frequency of the output in hertz, as a fraction.
    fn output(&self) -> (u64, u64) {
        match self.family {
            Family::Ice40 => (self.oscillator_hz * self.feedback, self.reference * self.post),
            Family::Ecp5 | Family::Gowin => (self.oscillator_hz * self.feedback, self.reference),
        }
    }

    /// Frequency of the loop's oscillator in hertz, as a fraction.
    fn loop_oscillator(&self) -> (u64, u64) {
        let (numerator, denominator) = self.output();
        (numerator * self.post, denominator)
    }

    /// Frequency of the output, in megahertz.
    #[must_use]
    pub fn clock_mhz(&self) -> f64 {
        let (numerator, denominator) = self.output();
        numerator as f64 / denominator as f64 / 1e6
    }

    /// Frequency of the output in hertz, rounded to the nearest.
    #[must_use]
    pub fn clock_hz(&self) -> u64 {
        let (numerator, denominator) = self.output();
        (numerator + denominator / 2) / denominator
    }

    /// Frequency of the loop's oscillator, in megahertz.
    #[must_use]
    pub fn loop_oscillator_mhz(&self) -> f64 {
        let (numerator, denominator) = self.loop_oscillator();
        numerator as f64 / denominator as f64 / 1e6
    }

    /// Frequency at the phase detector, in megahertz.
    #[must_use]
    pub fn detector_mhz(&self) -> f64 {
        self.oscillator_hz as f64 / self.reference as f64 / 1e6
    }

    fn is_within_limits(&self) -> bool {
        let limits = limits(self.family);
        let (output, oscillator) = (self.output(), self.loop_oscillator());
        limits.detector.holds(self.oscillator_hz, self.reference)
            && limits.output.holds(output.0, output.1)
            && limits.loop_oscillator.holds(oscillator.0, oscillator.1)
    }

    /// Whether it is to be preferred to `other`, which has the same reference.
    fn beats(&self, other: &Pll) -> bool {
        let (mine, theirs) = (self.output(), other.output());
        let (mine, theirs) = (u128::from(mine.0) * u128::from(theirs.1), u128::from(theirs.0) * u128::from(mine.1));
        let distance = |pll: &Pll| {
            let (numerator, denominator) = pll.loop_oscillator();
            (numerator / denominator).abs_diff(limits(self.family).loop_oscillator.middle())
        };
        let rank = |pll: &Pll| (pll.reference, distance(pll));
        mine > theirs || (mine == theirs && rank(self) < rank(other))
    }

    /// iCE40: the setting of the loop filter for the frequency at the phase detector.
    #[must_use]
    pub fn filter_range(&self) -> u32 {
        const ENDS: [u64; 5] = [17, 26, 44, 66, 101];
        1 + ENDS.iter().filter(|&&end| self.oscillator_hz >= end * MHZ * self.reference).count() as u32
    }
}

/// All dividers that the family's loop has.
fn candidates(family: Family, oscillator_hz: u64) -> impl Iterator<Item = Pll> {
    /// The dividers that a GW2A has behind its oscillator.
    const GOWIN: [u64; 11] = [2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128];
    let (references, feedbacks, posts): (u64, u64, Vec<u64>) = match family {
        Family::Ecp5 => (128, 80, (1..=128).collect()),
        Family::Ice40 => (16, 128, (1..=6).map(|power| 1 << power).collect()),
        Family::Gowin => (64, 64, GOWIN.into()),
    };
    (1..=references).flat_map(move |reference| {
        let posts = posts.clone();
        (1..=feedbacks).flat_map(move |feedback| {
            let pll = move |post| Pll { family, oscillator_hz, reference, feedback, post };
            posts.clone().into_iter().map(pll)
        })
    })
}
