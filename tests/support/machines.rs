//! Machines to test on: small ones that differ in every way, and random ones.

use lpu_isa::board::Board;
use lpu_isa::configuration::{Configuration, Extensions, Pipeline};

use crate::random::Random;

/// The machine for language models of the board with an LFE5U-85F: `constraints/ulx3s-85f/language.toml`.
///
/// # Panics
/// The file is missing or wrong.
#[must_use]
pub fn language_machine_of_the_board() -> Configuration {
    let text = include_str!("../../constraints/ulx3s-85f/language.toml");
    Configuration::from_toml(text).expect("a configuration of the repository")
}

/// A machine with room for any small language model, and for schedules of stories260K without loops.
#[must_use]
pub fn with_room_for_language_models() -> Configuration {
    Configuration {
        weight_depth: 4096,
        vector_depth: 2048,
        scale_depth: 2048,
        queue_depth: 4096,
        requantise_interval: 1,
        scale_multiplier_lanes: 0,
        extensions: Some(Extensions { registers: 15, scalars: 64, tables: 16, tokens: 0 }),
        ..Configuration::default()
    }
}

/// A small machine that generates: two rows of tiles, sixteen positions a pass.
#[must_use]
pub fn generating() -> Configuration {
    Configuration {
        tiles: 16,
        weight_depth: 1024,
        vector_depth: 512,
        scale_depth: 512,
        queue_depth: 1024,
        queue_word_bits: 72,
        requantise_interval: 1,
        scale_multiplier_lanes: 0,
        narrow_scales: true,
        extensions: Some(Extensions { registers: 15, scalars: 64, tables: 16, tokens: 64 }),
        ..Configuration::default()
    }
}

/// Machines whose RTL is built and simulated, with names for messages. Together they have every dot width, one to three rows
/// of tiles, one bank and several, one slice and several, incomplete rows and groups, odd depths, each pipeline field at both
/// ends, each pace of the requantiser, its products in logic and in multipliers, instructions in one word of RAM and in many, and
/// both widths of weights, sums of tiles alone and of multipliers too, softmax with a table and with several.
#[must_use]
pub fn simulated() -> Vec<(&'static str, Configuration)> {
    let base = Configuration {
        stream_elements: 16,
        weight_depth: 701,
        vector_depth: 67,
        scale_depth: 205,
        scale_multiplier_lanes: 0,
        ..Configuration::default()
    };
    let pipeline = |crossbar, weight_read, multiply, drain, vector_read| Pipeline {
        crossbar,
        weight_read,
        multiply,
        drain,
        vector_read,
        compact: false,
    };
    vec![
        ("two rows, one bank", small()),
        (
            "a single tile",
            Configuration {
                tiles: 1,
                vector_slices: 1,
                weight_depth: 1801,
                queue_depth: 37,
                queue_word_bits: 180,
                requantise_interval: 4,
                ..base.clone()
            },
        ),
        (
            "39 tiles in three rows",
            Configuration {
                tiles: 39,
                separate_sums: true,
                softmax_tables: 3,
                pipeline: pipeline(3, 0, 2, 2, 1),
                queue_depth: 41,
                ..base.clone()
            },
        ),
        (
            "pairs of multipliers, shortest pipelines",
            Configuration {
                tiles: 3,
                dot: 2,
                stream_elements: 8,
                weight_depth: 1203,
                vector_slices: 2,
                queue_word_bits: 16,
                requantise_interval: 4,
                pipeline: pipeline(1, 0, 0, 1, 0),
                ..base.clone()
            },
        ),
        (
            "wide dots in one bank, longest pipelines",
            Configuration {
                tiles: 17,
                dot: 8,
                stream_elements: 8,
                separate_sums: true,
                softmax_tables: 1,
                vector_depth: 83,
                vector_slices: 2,
                requantise_interval: 1,
                pipeline: pipeline(4, 4, 4, 4, 4),
                ..base.clone()
            },
        ),
        (
            "wide dots in eight banks, crossbar slower than the weights",
            Configuration {
                tiles: 5,
                dot: 8,
                stream_elements: 64,
                vector_slices: 4,
                vector_depth: 33,
                pipeline: pipeline(4, 0, 1, 3, 2),
                ..base.clone()
            },
        ),
        (
            "pairs of int4 weights, one bank",
            Configuration {
                tiles: 5,
                dot: 2,
                stream_elements: 2,
                softmax_tables: 2,
                weight_depth: 1203,
                weight_bits: 4,
                queue_word_bits: 8,
                pipeline: pipeline(1, 0, 0, 1, 0),
                ..base.clone()
            },
        ),
        ("as on the iCEBreaker: compact, without vector unit", icebreaker()),
        (
            "compact, with a vector unit and several banks",
            Configuration {
                tiles: 11,
                vector_slices: 2,
                requantise_interval: 2,
                pipeline: Pipeline { compact: true, ..pipeline(2, 1, 0, 2, 1) },
                ..base.clone()
            },
        ),
        (
            "int4 weights, an incomplete row",
            Configuration {
                tiles: 21,
                weight_bits: 4,
                requantise_interval: 1,
                scale_multiplier_lanes: 3,
                pipeline: pipeline(2, 1, 3, 3, 0),
                ..base.clone()
            },
        ),
        (
            "int4 weights, wide dots",
            Configuration {
                tiles: 19,
                dot: 8,
                weight_bits: 4,
                vector_slices: 2,
                requantise_interval: 4,
                pipeline: pipeline(3, 4, 1, 1, 2),
                ..base
            },
        ),
    ]
}

/// Machines with extensions whose RTL is built and simulated, with names for messages: every width of words and beats, each pipeline
/// field at both ends, full and compact, one table and several.
#[must_use]
pub fn extended() -> Vec<(&'static str, Configuration)> {
    let extensions = |registers, scalars, tables| Some(Extensions { registers, scalars, tables, tokens: 0 });
    let pipeline = |crossbar, weight_read, multiply, drain, vector_read| Pipeline {
        crossbar,
        weight_read,
        multiply,
        drain,
        vector_read,
        compact: false,
    };
    let base = Configuration {
        tiles: 11,
        weight_depth: 701,
        vector_depth: 67,
        scale_depth: 67,
        queue_depth: 120,
        scale_multiplier_lanes: 0,
        extensions: extensions(15, 40, 3),
        ..Configuration::default()
    };
    vec![
        ("extensions in rows of eight", Configuration { separate_sums: true, ..base.clone() }),
        (
            "extensions, shortest pipelines",
            Configuration {
                tiles: 9,
                dot: 2,
                stream_elements: 4,
                weight_depth: 1203,
                queue_word_bits: 16,
                requantise_interval: 4,
                pipeline: pipeline(1, 0, 0, 1, 0),
                extensions: extensions(9, 33, 1),
                ..base.clone()
            },
        ),
        (
            "extensions, wide dots in one bank, longest pipelines",
            Configuration {
                tiles: 17,
                dot: 8,
                stream_elements: 8,
                requantise_interval: 1,
                queue_word_bits: 100,
                narrow_scales: true,
                pipeline: pipeline(4, 4, 4, 4, 4),
                ..base.clone()
            },
        ),
        (
            "extensions, crossbar slower than the weights",
            Configuration {
                tiles: 16,
                stream_elements: 16,
                requantise_interval: 1,
                weight_depth: 300,
                queue_word_bits: 256,
                scale_multiplier_lanes: 3,
                narrow_scales: true,
                pipeline: pipeline(4, 0, 1, 2, 1),
                ..base.clone()
            },
        ),
        (
            "extensions in a compact machine",
            Configuration {
                tiles: 19,
                stream_elements: 16,
                requantise_interval: 2,
                narrow_scales: true,
                pipeline: Pipeline { compact: true, ..pipeline(1, 1, 0, 2, 1) },
                ..base
            },
        ),
    ]
}

/// Machines whose requantiser looks up and whose vector unit has a softmax, small enough to be built quickly: full and compact pipelines, one part of a word and several, sums
/// of tiles alone and of multipliers too.
#[must_use]
pub fn looking_up() -> [(&'static str, Configuration); 3] {
    let small = Configuration {
        tiles: 8,
        weight_depth: 2048,
        vector_depth: 2048,
        scale_depth: 1024,
        queue_depth: 400,
        scale_multiplier_lanes: 0,
        lookup: true,
        softmax_tables: 2,
        ..Configuration::default()
    };
    let compact = Pipeline { compact: true, crossbar: 1, ..small.pipeline };
    [
        ("two parts", small.clone()),
        (
            "one part, fast crossbar",
            Configuration {
                requantise_interval: 1,
                separate_sums: true,
                pipeline: Pipeline { crossbar: 1, ..small.pipeline },
                ..small.clone()
            },
        ),
        (
            "compact, four parts",
            Configuration { requantise_interval: 4, separate_sums: true, pipeline: compact, ..small },
        ),
    ]
}

/// The machine of the smallest board, with memories deep enough for the tests' networks. Its registers, counters and instructions
/// are those of the board.
#[must_use]
pub fn icebreaker() -> Configuration {
    let board = Board::find("icebreaker").map(|board| board.configuration).unwrap_or_default();
    Configuration { weight_depth: 9203, vector_depth: 1001, scale_depth: 205, queue_depth: 37, count_bits: 12, ..board }
}

/// Six tiles of four multipliers in two rows, the second one incomplete; a word is one beat.
#[must_use]
pub fn small() -> Configuration {
    Configuration {
        tiles: 6,
        separate_sums: true,
        dot: 4,
        stream_elements: 4,
        weight_depth: 701,
        weight_bits: 8,
        vector_slices: 3,
        vector_depth: 67,
        scale_depth: 205,
        queue_depth: 33,
        queue_word_bits: 60,
        requantise_interval: 1,
        scale_multiplier_lanes: 4,
        pipeline: Pipeline::default(),
        ..Configuration::default()
    }
}

/// How the memories of a random machine are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depths {
    /// Large enough for five layers of a hundred channels, and not much larger.
    Generous,
    /// Anything that a configuration may have, small more often than large.
    Any,
}

/// A valid machine: 1 to 39 tiles, every dot width and stream width, depths of any parity, every pipeline, pace and width of
/// weights.
#[must_use]
pub fn random(random: &mut Random, depths: Depths) -> Configuration {
    let dot = 2 << random.below(3);
    let tiles = random.within(1, 39);
    let mut depth = |generous: usize, least: usize, most: usize| {
        let depth = match depths {
            Depths::Generous => random.within(generous, generous + generous / 4),
            // Evenly in the number of bits.
            Depths::Any => {
                let smaller = random.below(1 + (most / least).ilog2() as usize);
                random.within(least, most >> smaller)
            }
        };
        depth.min(most) as u32
    };
    // A layer of 100 channels makes 100 / tiles passes over at most 100 beats, now and then one more.
    let (weight_depth, vector_depth) = (depth(510 * 100_usize.div_ceil(tiles), 2, 1 << 16), depth(900, 2, 1 << 14));
    let (scale_depth, queue_depth) = (depth(600, 2, 1 << 12), depth(40, 4, 1 << 12));
    let mut count = |lowest, highest| random.within(lowest, highest) as u32;
    let stream_elements: u32 = dot << count(0, 3);
    let intervals: Vec<u32> =
        [1, 2, 4].into_iter().filter(|interval| stream_elements.is_multiple_of(*interval)).collect();
    let requantise_interval = intervals[count(0, intervals.len() - 1) as usize];
    let compact = count(0, 3) == 0;
    let most_lanes = if compact { 0 } else { (stream_elements / requantise_interval) as usize };
    Configuration {
        tiles: tiles as u32,
        dot,
        stream_elements,
        weight_depth,
        weight_bits: [8, 8, 4][count(0, 2) as usize],
        vector_slices: count(1, 5),
        vector_depth,
        scale_depth,
        queue_depth,
        queue_word_bits: [16, 36, 72, 100, 200][count(0, 4) as usize],
        requantise_interval,
        scale_multiplier_lanes: count(0, most_lanes),
        vector_unit: count(0, 3) > 0,
        count_bits: 12,
        sequence_levels: count(2, 4),
        interval_bits: count(8, 16),
        narrow_scales: false,
        pipeline: Pipeline {
            compact,
            crossbar: count(1, 4),
            weight_read: count(0, 4),
            multiply: count(0, 4),
            drain: count(1, 4),
            vector_read: count(0, 4),
        },
        lookup: false,
        separate_sums: false,
        softmax_tables: 0,
        clock_mhz: None,
        extensions: None,
    }
}
