//! What a build found out: `build.json`, and what `--json` prints.

use super::estimate::{Estimate, UnitCost};
use super::report::{CriticalPath, Report, Used, median};
use lpu_isa::board::{Board, Family};
use lpu_isa::configuration::Configuration;
use serde::Serialize;
use std::collections::BTreeMap;

/// A build.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    /// The board.
    pub board: &'a str,
    /// The FPGA.
    pub device: &'a str,
    /// The FPGA's family.
    pub family: Family,
    /// The machine.
    pub configuration: &'a Configuration,
    /// Parts that the design of the best seed takes.
    #[serde(flatten)]
    pub used: Used,
    /// Sites of look-up tables of each unit, counted in the netlist; place and route adds some for the ends of carry chains.
    pub lut_of_units: Vec<UnitCost>,
    /// What was estimated before.
    pub estimate: Estimate,
    /// The seeds, in the order of `fmax_mhz`.
    pub seeds: Vec<u32>,
    /// Frequency that each seed reached.
    pub fmax_mhz: Vec<f64>,
    /// Their median.
    pub fmax_median_mhz: f64,
    /// The seed whose design is the bitstream: the fastest, and the first of several.
    pub best_seed: u32,
    /// The board's clock.
    pub target_mhz: f64,
    /// Whether the median reaches it.
    pub met: bool,
    /// The bitstream, relative to the directory.
    pub bitstream: String,
    /// Its BLAKE3 hash.
    pub bitstream_blake3: String,
    /// Versions of the tools.
    pub tools: BTreeMap<&'static str, String>,
    /// The slowest path of the best seed, where there is one between two registers.
    pub critical_path: Option<CriticalPath>,
    /// Seconds that each stage took; place and route is that of the slowest seed.
    pub seconds: BTreeMap<&'static str, f64>,
}

/// The figures of a build's seeds.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// Place of the best seed among the reports.
    pub best: usize,
    /// Frequency of each.
    pub fmax_mhz: Vec<f64>,
    /// Their median.
    pub median_mhz: f64,
    /// Whether the median reaches the board's clock.
    pub met: bool,
}

impl Outcome {
    /// The figures of these reports, one a seed; `None` where there is none.
    pub fn of(reports: &[Report], board: &Board) -> Option<Outcome> {
        let rounded = |mhz: f64| (mhz * 100.0).round() / 100.0;
        let fmax_mhz: Vec<f64> = reports.iter().map(|report| rounded(report.fmax_mhz)).collect();
        let median_mhz = rounded(median(&fmax_mhz)?);
        let first_best = |best: usize, index: usize| if fmax_mhz[index] > fmax_mhz[best] { index } else { best };
        let best = (0..fmax_mhz.len()).reduce(first_best)?;
        Some(Outcome { best, met: median_mhz >= board.clock_mhz, fmax_mhz, median_mhz })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reports(frequencies: &[f64]) -> Vec<Report> {
        let report = |&fmax_mhz: &f64| Report { used: Used::default(), fmax_mhz, critical_path: None };
        frequencies.iter().map(report).collect()
    }

    #[test]
    fn the_first_of_the_fastest_seeds_is_the_best_and_the_median_decides() {
        let board = Board::find("ulx3s-85f").unwrap();
        assert_eq!(board.clock_mhz, 150.0);
        let outcome = Outcome::of(&reports(&[149.0, 160.001, 160.0]), &board).unwrap();
        assert_eq!((outcome.best, outcome.median_mhz, outcome.met), (1, 160.0, true));
        let outcome = Outcome::of(&reports(&[149.0, 160.0, 149.999]), &board).unwrap();
        assert_eq!((outcome.best, outcome.median_mhz, outcome.met), (1, 150.0, true));
        assert!(!Outcome::of(&reports(&[149.0, 160.0, 149.5]), &board).unwrap().met);
        assert_eq!(Outcome::of(&[], &board), None);
    }
}
