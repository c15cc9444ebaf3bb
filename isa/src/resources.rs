//! What a configuration costs on an FPGA, counted before any tool runs.

use crate::configuration::{Configuration, ELEMENT_BITS};
use crate::encoding::word_bits;
use crate::fixed_point::table::{SEGMENT_BITS, SEGMENTS};
use crate::host::scale_bits;
use crate::unit::Unit;

/// Data bits of an 18-Kbit block RAM in its widest form.
pub const BLOCK_WIDTH: u32 = 36;
/// Words of an 18-Kbit block RAM in its widest form.
pub const BLOCK_DEPTH: u32 = 512;

/// A form in which an 18-Kbit block RAM can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// Bits of a word.
    pub width: u32,
    /// Words.
    pub depth: u32,
}

/// The forms of an 18-Kbit block RAM that memories are built of, widest first.
pub const BLOCK_SHAPES: [BlockShape; 3] = [
    BlockShape { width: BLOCK_WIDTH, depth: BLOCK_DEPTH },
    BlockShape { width: BLOCK_WIDTH / 2, depth: 2 * BLOCK_DEPTH },
    BlockShape { width: BLOCK_WIDTH / 4, depth: 4 * BLOCK_DEPTH },
];

impl BlockShape {
    /// Blocks of this shape that a memory of `depth` words of `width` bits takes.
    pub fn blocks(self, width: u32, depth: u32) -> u32 {
        width.div_ceil(self.width) * depth.div_ceil(self.depth)
    }
}

/// The shape of block of which a memory of `depth` words of `width` bits takes the fewest; of equal counts the deepest, because
/// blocks side by side need no multiplexer behind them.
pub fn block_shape(width: u32, depth: u32) -> BlockShape {
    let [mut best, narrower @ ..] = BLOCK_SHAPES;
    for shape in narrower {
        if shape.blocks(width, depth) <= best.blocks(width, depth) {
            best = shape;
        }
    }
    best
}

/// 18-Kbit block RAMs that a memory of `depth` words of `width` bits takes: the fewest that any shape allows.
pub fn block_rams(width: u32, depth: u32) -> u32 {
    block_shape(width, depth).blocks(width, depth)
}

/// Hardware multipliers of the whole machine on an FPGA whose blocks the generator places: those of the tiles, and those of the
/// requantiser's lanes where it takes any.
pub fn multipliers(configuration: &Configuration) -> u32 {
    configuration.multipliers() + configuration.scale_multiplier_lanes * configuration.cells_per_scale_multiplier()
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

    /// The instruction queues.
    fn queues(configuration: &Configuration) -> Memories {
        let count = Unit::all(configuration).len() as u32;
        Memories { count, width: configuration.queue_word_bits, depth: configuration.queue_words() }
    }

    /// The requantiser's scale tables.
    fn scales(configuration: &Configuration) -> Memories {
        let (count, depth) = (configuration.requantiser_lanes(), configuration.scale_words());
        Memories { count, width: scale_bits(configuration), depth }
    }

    /// The function tables of the vector unit's lanes: a segment of each function is a word.
    fn tables(configuration: &Configuration) -> Memories {
        let count = if configuration.vector_multiplies() { configuration.stream_elements } else { 0 };
        Memories { count, width: SEGMENT_BITS, depth: configuration.tables() * SEGMENTS as u32 }
    }

    /// All memories of a machine that are made of block RAMs: weights, vectors, instruction queues, the requantiser's scale tables,
    /// the vector unit's function tables.
    pub fn all(configuration: &Configuration) -> Vec<Memories> {
        let distributed = configuration.distributed;
        let mut memories = vec![Memories::weights(configuration), Memories::vectors(configuration)];
        memories.extend((!distributed.queues).then(|| Memories::queues(configuration)));
        memories.extend((!distributed.scales).then(|| Memories::scales(configuration)));
        memories.push(Memories::tables(configuration));
        memories.retain(|memories| memories.count > 0);
        memories
    }

    /// The instruction queues, if they are made of look-up tables: where a word holds an instruction, each queue's are as wide as its
    /// own.
    pub fn distributed_queues(configuration: &Configuration) -> Vec<Memories> {
        if !configuration.distributed.queues {
            return vec![];
        }
        let queue = Memories { count: 1, ..Memories::queues(configuration) };
        let width = |unit| {
            if configuration.queue_words_per_instruction() == 1 { word_bits(unit, configuration) } else { queue.width }
        };
        let units = Unit::all(configuration).into_iter();
        units.map(|unit| Memories { width: width(unit), ..queue }).collect()
    }

    /// The scale tables, if they are made of look-up tables.
    pub fn distributed_scales(configuration: &Configuration) -> Option<Memories> {
        configuration.distributed.scales.then(|| Memories::scales(configuration))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_takes_the_shape_of_fewest_blocks_and_of_equal_ones_the_deepest() {
        let cases = [
            // Weights of a tile, a queue, a scale table, a bank of vectors.
            ((32, 2048), (9, 2048), 4),
            ((36, 400), (36, 512), 1),
            ((68, 512), (36, 512), 2),
            ((64, 1024), (18, 1024), 4),
            // A last block that is nearly empty, in depth or in width.
            ((36, 513), (18, 1024), 2),
            ((32, 2560), (36, 512), 5),
            ((19, 600), (18, 1024), 2),
            ((1, 1), (9, 2048), 1),
        ];
        for ((width, depth), (block_width, block_depth), blocks) in cases {
            let shape = BlockShape { width: block_width, depth: block_depth };
            assert_eq!(block_shape(width, depth), shape, "{width} × {depth}");
            assert_eq!(block_rams(width, depth), blocks, "{width} × {depth}");
        }
    }

    #[test]
    fn the_default_machine_takes_nearly_all_multipliers_of_its_fpga() {
        let own = Configuration::default();
        assert_eq!(multipliers(&own), 154);
        assert_eq!(multipliers(&Configuration { scale_multiplier_lanes: 0, ..own.clone() }), 148);
        assert_eq!(total_block_rams(&own), 37 * 4 + 24 + 10 + 4 * 2);
    }
}
