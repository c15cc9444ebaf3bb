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

/// Block RAMs of the weight RAMs of all tiles.
pub fn weight_block_rams(configuration: &Configuration) -> u32 {
    configuration.tiles * block_rams(configuration.weight_word_bits(), configuration.weight_depth)
}

/// Block RAMs of all vector memory slices.
pub fn vector_block_rams(configuration: &Configuration) -> u32 {
    let bank = block_rams(configuration.dot * ELEMENT_BITS, configuration.vector_depth);
    configuration.vector_slices * configuration.beats_per_word() * bank
}

/// Block RAMs of all instruction queues.
pub fn queue_block_rams(configuration: &Configuration) -> u32 {
    let queues = Unit::all(configuration).len() as u32;
    queues * block_rams(configuration.queue_word_bits, configuration.queue_words())
}

/// Block RAMs of the requantiser's scale tables.
pub fn scale_block_rams(configuration: &Configuration) -> u32 {
    configuration.requantiser_lanes() * block_rams(SCALE_BITS, configuration.scale_words())
}

/// Block RAMs of the whole machine.
pub fn total_block_rams(configuration: &Configuration) -> u32 {
    weight_block_rams(configuration)
        + vector_block_rams(configuration)
        + queue_block_rams(configuration)
        + scale_block_rams(configuration)
}

/// Bytes of weights that the tiles hold.
pub fn weight_bytes(configuration: &Configuration) -> u64 {
    u64::from(configuration.tiles) * u64::from(configuration.weight_depth) * u64::from(configuration.dot)
}
