//! What a configuration costs on an FPGA, counted before any tool runs.

use crate::configuration::{Configuration, ELEMENT_BITS};
use crate::host::SCALE_BITS;
use crate::unit::Unit;

/// Data bits of an 18-Kbit block RAM in its widest form.
pub const BLOCK_WIDTH: u32 = 36;
/// Words of an 18-Kbit block RAM in its widest form.
pub const BLOCK_DEPTH: u32 = 512;

/// 18-Kbit block RAMs that a memory of `depth` words of `width` bits takes.
pub fn block_rams(width: u32, depth: u32) -> u32 {
    width.div_ceil(BLOCK_WIDTH) * depth.div_ceil(BLOCK_DEPTH)
}

/// Memories in block RAM that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memories {
    /// How many there are.
    pub count: u32,
    /// Bits of a word.
    pub width: u32,
    /// Words of each.
    pub depth: u32,
}

impl Memories {
    /// The weight RAMs of all tiles.
    fn weights(configuration: &Configuration) -> Memories {
        let Configuration { tiles, weight_depth, .. } = *configuration;
        Memories { count: tiles, width: configuration.weight_word_bits(), depth: weight_depth }
    }

    /// The banks of all vector memory slices.
    fn vectors(configuration: &Configuration) -> Memories {
        let count = configuration.vector_slices * configuration.beats_per_word();
        Memories { count, width: configuration.dot * ELEMENT_BITS, depth: configuration.vector_depth }
    }

    /// All memories of a machine: weights, vectors, instruction queues, the requantiser's scale tables.
    pub fn all(configuration: &Configuration) -> [Memories; 4] {
        let queues = Unit::all(configuration).len() as u32;
        let lanes = configuration.requantiser_lanes();
        [
            Memories::weights(configuration),
            Memories::vectors(configuration),
            Memories { count: queues, width: configuration.queue_word_bits, depth: configuration.queue_words() },
            Memories { count: lanes, width: SCALE_BITS, depth: configuration.scale_words() },
        ]
    }

    fn block_rams(self) -> u32 {
        self.count * block_rams(self.width, self.depth)
    }
}

/// Block RAMs of the weight RAMs of all tiles.
pub fn weight_block_rams(configuration: &Configuration) -> u32 {
    Memories::weights(configuration).block_rams()
}

/// Block RAMs of all vector memory slices.
pub fn vector_block_rams(configuration: &Configuration) -> u32 {
    Memories::vectors(configuration).block_rams()
}

/// Block RAMs of the whole machine.
pub fn total_block_rams(configuration: &Configuration) -> u32 {
    Memories::all(configuration).into_iter().map(Memories::block_rams).sum()
}

/// Bytes of weights that the tiles hold.
pub fn weight_bytes(configuration: &Configuration) -> u64 {
    u64::from(configuration.tiles) * u64::from(configuration.weight_depth) * u64::from(configuration.dot)
}
