//! Whether a machine fits its board, and the nearest one that does.

use super::estimate::Estimate;
use crate::failure::Failure;
use lpu_isa::board::Board;
use lpu_isa::configuration::Configuration;
use std::fmt::Write as _;

/// How much a halving of each size changes a machine, for the choice of the nearest: half the tiles is half the speed, a shorter
/// queue is hardly noticed.
const WEIGHTS: Weights = Weights {
    tiles: 1.0,
    weight_depth: 1.0,
    stream_elements: 1.3,
    vector_slices: 1.5,
    vector_depth: 0.7,
    queue_depth: 0.3,
    scale_depth: 0.3,
    requantise_interval: 0.8,
};

struct Weights {
    tiles: f64,
    weight_depth: f64,
    stream_elements: f64,
    vector_slices: f64,
    vector_depth: f64,
    queue_depth: f64,
    scale_depth: f64,
    requantise_interval: f64,
}

/// Checks that the configuration of `board` fits it. `place` says where the configuration came from.
///
/// # Errors
/// It does not fit; the message has the shortfall and the nearest configuration that fits.
pub fn check(board: &Board, place: &str) -> Result<Estimate, Failure> {
    let estimate = Estimate::of(board);
    let shortfalls = estimate.shortfalls(board);
    if shortfalls.is_empty() {
        return Ok(estimate);
    }
    let why: Vec<String> = shortfalls.iter().map(|shortfall| shortfall.describe()).collect();
    let help = match nearest(board) {
        Some(nearest) => format!("the nearest that fits has {}", changes(&board.configuration, &nearest)),
        None => "no smaller machine fits either; choose a board with a larger FPGA (`lpu boards`)".into(),
    };
    let what = format!("the machine does not fit {} ({})", board.name, board.device);
    Err(Failure::new(what, place, why.join("\n"), help))
}

/// The configuration that fits and differs least from that of `board`, if any fits.
pub fn nearest(board: &Board) -> Option<Configuration> {
    let wanted = &board.configuration;
    let mut best: Option<(f64, Configuration)> = None;
    let mut consider = |configuration: Configuration| {
        let distance = distance(wanted, &configuration);
        if best.as_ref().is_some_and(|(least, _)| *least <= distance) || configuration.check().is_err() {
            return;
        }
        let board = Board { configuration, ..board.clone() };
        if Estimate::of(&board).shortfalls(&board).is_empty() {
            best = Some((distance, board.configuration));
        }
    };
    for stream_elements in halvings(wanted.stream_elements, wanted.dot) {
        for requantise_interval in doublings(wanted.requantise_interval, 4) {
            for vector_slices in (1..=wanted.vector_slices).rev() {
                for vector_depth in halvings(wanted.vector_depth, 64) {
                    for shallower in 0..3 {
                        for weight_depth in depths(wanted.weight_depth) {
                            for tiles in (1..=wanted.tiles).rev() {
                                consider(Configuration {
                                    tiles,
                                    stream_elements,
                                    requantise_interval,
                                    vector_slices,
                                    vector_depth,
                                    weight_depth,
                                    queue_depth: (wanted.queue_depth >> shallower).max(4),
                                    scale_depth: (wanted.scale_depth >> shallower).max(2),
                                    ..wanted.clone()
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    best.map(|(_, configuration)| configuration)
}

/// How different two machines are: weighted halvings.
fn distance(from: &Configuration, to: &Configuration) -> f64 {
    let halvings = |from: u32, to: u32, weight: f64| (f64::from(from) / f64::from(to)).log2().abs() * weight;
    halvings(from.tiles, to.tiles, WEIGHTS.tiles)
        + halvings(from.weight_depth, to.weight_depth, WEIGHTS.weight_depth)
        + halvings(from.stream_elements, to.stream_elements, WEIGHTS.stream_elements)
        + halvings(from.vector_slices, to.vector_slices, WEIGHTS.vector_slices)
        + halvings(from.vector_depth, to.vector_depth, WEIGHTS.vector_depth)
        + halvings(from.queue_depth, to.queue_depth, WEIGHTS.queue_depth)
        + halvings(from.scale_depth, to.scale_depth, WEIGHTS.scale_depth)
        + halvings(from.requantise_interval, to.requantise_interval, WEIGHTS.requantise_interval)
}

/// `from`, half of it, and so on, not below `least`.
fn halvings(from: u32, least: u32) -> Vec<u32> {
    let mut values = vec![from];
    while let Some(&last) = values.last()
        && last.is_multiple_of(2)
        && last / 2 >= least
    {
        values.push(last / 2);
    }
    values
}

/// `from`, twice that, and so on, not above `most`.
fn doublings(from: u32, most: u32) -> Vec<u32> {
    std::iter::successors(Some(from), |value| Some(value * 2)).take_while(|value| *value <= most.max(from)).collect()
}

/// `from` and what fewer whole block RAMs hold: their words come in multiples of 256.
fn depths(from: u32) -> Vec<u32> {
    let below = (1..).map(|blocks| blocks * 256).take_while(|depth| *depth < from);
    let mut values: Vec<u32> = below.collect();
    values.push(from);
    values.reverse();
    values
}

/// What is different in `to`, as it stands in a configuration's file.
fn changes(from: &Configuration, to: &Configuration) -> String {
    let fields = [
        ("tiles", from.tiles, to.tiles),
        ("stream_elements", from.stream_elements, to.stream_elements),
        ("weight_depth", from.weight_depth, to.weight_depth),
        ("vector_slices", from.vector_slices, to.vector_slices),
        ("vector_depth", from.vector_depth, to.vector_depth),
        ("scale_depth", from.scale_depth, to.scale_depth),
        ("queue_depth", from.queue_depth, to.queue_depth),
        ("requantise_interval", from.requantise_interval, to.requantise_interval),
    ];
    let mut text = String::new();
    for (name, from, to) in fields.into_iter().filter(|(_, from, to)| from != to) {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{name} = {to} (not {from})");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn small_board(configuration: Configuration) -> Board {
        Board { configuration, ..Board::find("ulx3s-12f").unwrap() }
    }

    #[test]
    fn a_machine_that_fits_is_its_own_nearest() {
        let board = Board::find("ulx3s-85f").unwrap();
        assert_eq!(nearest(&board), Some(board.configuration.clone()));
        check(&board, "x").unwrap();
    }

    #[test]
    fn a_machine_that_does_not_fit_is_refused_with_one_that_does() {
        let own = Board::find("ulx3s-12f").unwrap().configuration;
        let board = small_board(Configuration { tiles: own.tiles * 5, ..own });
        let nearest = nearest(&board).unwrap();
        let fitting = small_board(nearest.clone());
        assert_eq!(Estimate::of(&fitting).shortfalls(&fitting), []);
        assert!(nearest.multipliers() <= fitting.multipliers);
        let refusal = format!("{:?}", check(&board, "mine.toml").unwrap_err());
        assert!(refusal.contains("the nearest that fits has tiles = "), "{refusal}");
        assert!(refusal.contains("multipliers needed, 28 there"), "{refusal}");
    }

    #[test]
    fn only_what_is_different_is_named() {
        let from = Configuration::default();
        let to = Configuration { tiles: 30, queue_depth: 32, ..from.clone() };
        assert_eq!(
            changes(&from, &to),
            format!("tiles = 30 (not {}), queue_depth = 32 (not {})", from.tiles, from.queue_depth)
        );
        assert_eq!(changes(&from, &from), "");
    }

    #[test]
    fn depths_are_whole_blocks_and_the_depth_itself() {
        assert_eq!(depths(700), [700, 512, 256]);
        assert_eq!(halvings(24, 4), [24, 12, 6]);
        assert_eq!(doublings(1, 4), [1, 2, 4]);
    }
}
