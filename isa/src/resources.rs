//! What a configuration costs on an FPGA, counted before any tool runs.

use crate::configuration::{Configuration, ELEMENT_BITS};
use crate::host::Memory;
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

/// Hardware multipliers of the whole machine on an FPGA whose blocks the generator places: those of the tiles, those of the
/// requantiser's lanes where it takes any, and those of extensions.
pub fn multipliers(configuration: &Configuration) -> u32 {
    // A lane's product, its slope in a table, its square; the slope of the reciprocals' table, the product of an assignment.
    let extensions = configuration.extensions.map_or(0, |_| 3 * configuration.stream_elements + 2);
    let scales = configuration.scale_multiplier_lanes * configuration.cells_per_scale_multiplier();
    configuration.multipliers() + scales + extensions
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

    /// All memories of a machine: weights, vectors, instruction queues, the requantiser's scale tables; the vector unit's tables, one in
    /// each lane, and those of reciprocals, and the memory of tokens, where there are any.
    pub fn all(configuration: &Configuration) -> Vec<Memories> {
        let lanes = configuration.requantiser_lanes();
        let tables = |count: u32, memory: Memory| Memories {
            count,
            width: memory.bits(configuration),
            depth: memory.words(configuration),
        };
        let mut all =
            vec![Memories::weights(configuration), Memories::vectors(configuration), tables(lanes, Memory::Scale(0))];
        // Each as wide as its own instructions, where they are not all alike.
        let mut widths: Vec<u32> =
            Unit::all(configuration).into_iter().map(|unit| configuration.queue_word_bits_of(unit)).collect();
        widths.sort_unstable();
        let alike = widths.chunk_by(|a, b| a == b);
        all.extend(alike.map(|widths| Memories {
            count: widths.len() as u32,
            width: widths[0],
            depth: configuration.queue_words(),
        }));
        if configuration.extensions.is_some() {
            all.extend([tables(configuration.stream_elements, Memory::Tables), tables(1, Memory::Normalise)]);
        }
        if configuration.generates() {
            all.push(tables(1, Memory::Tokens));
        }
        all
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
