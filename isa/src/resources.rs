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
    /// Blocks of this shape that stand side by side for words of `width` bits.
    pub fn columns(self, width: u32) -> u32 {
        width.div_ceil(self.width)
    }
}

/// The rows of blocks that a memory of `depth` words of `width` bits is made of, deepest first: the fewest blocks that there can be, and of
/// those the fewest rows, because what stands side by side needs no multiplexer behind it. Each row holds the words behind those of the
/// rows before it, so it begins at a multiple of its own depth.
pub fn block_rows(width: u32, depth: u32) -> Vec<BlockShape> {
    let deepest_first: Vec<BlockShape> = BLOCK_SHAPES.iter().rev().copied().collect();
    rows_of(width, depth, &deepest_first)
}

/// The rows of `shapes`, deepest first, that hold `depth` words; none where `shapes` are none.
fn rows_of(width: u32, depth: u32, shapes: &[BlockShape]) -> Vec<BlockShape> {
    let Some((&deepest, shallower)) = shapes.split_first() else { return vec![] };
    let all = depth.div_ceil(deepest.depth).max(1);
    // As many of the deepest as are full, or one more: two of half the depth take as many blocks as one or more, so fewer never pay.
    let fewest = if shallower.is_empty() { all } else { all - 1 };
    let with = |count: u32| {
        let left = depth.saturating_sub(count * deepest.depth);
        let mut rows = vec![deepest; count as usize];
        rows.extend(if count == all { vec![] } else { rows_of(width, left, shallower) });
        rows
    };
    let candidates =
        (fewest..=all).rev().map(with).filter(|rows| rows.iter().map(|row| row.depth).sum::<u32>() >= depth);
    // Of equal ones the first, which has the most of the deepest.
    candidates.min_by_key(|rows| (blocks_of(width, rows), rows.len())).unwrap_or_default()
}

/// Blocks of `rows` whose words have `width` bits.
fn blocks_of(width: u32, rows: &[BlockShape]) -> u32 {
    rows.iter().map(|row| row.columns(width)).sum()
}

/// 18-Kbit block RAMs that a memory of `depth` words of `width` bits takes: the fewest that any shapes allow.
pub fn block_rams(width: u32, depth: u32) -> u32 {
    blocks_of(width, &block_rows(width, depth))
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
        if configuration.has_softmax() {
            all.push(tables(1, Memory::Exponentials));
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
    fn a_memory_takes_the_fewest_blocks_and_of_those_the_fewest_rows() {
        let (deep, middle, wide) = (BLOCK_SHAPES[2], BLOCK_SHAPES[1], BLOCK_SHAPES[0]);
        let cases = [
            // Weights of a tile, a queue, a scale table, a bank of vectors.
            ((32, 2048), vec![deep], 4),
            ((36, 400), vec![wide], 1),
            ((68, 512), vec![wide], 2),
            ((64, 1024), vec![middle], 4),
            // A last block that is nearly empty, in depth or in width.
            ((36, 513), vec![middle], 2),
            ((19, 600), vec![middle], 2),
            ((1, 1), vec![deep], 1),
            // What is left behind the deepest blocks stands in a wider one.
            ((32, 2560), vec![deep, wide], 5),
            ((32, 3584), vec![deep, middle, wide], 7),
            ((32, 4000), vec![deep, deep], 8),
        ];
        for ((width, depth), rows, blocks) in cases {
            assert_eq!(block_rows(width, depth), rows, "{width} × {depth}");
            assert_eq!(block_rams(width, depth), blocks, "{width} × {depth}");
        }
    }

    /// Of any counts of the three shapes, in a loop.
    #[test]
    fn no_counts_of_the_shapes_take_fewer_blocks_and_an_enormous_memory_is_counted_at_once() {
        for width in [1, 9, 10, 19, 32, 36, 37, 64, 83] {
            for depth in (1..9000).step_by(119) {
                let fewest =
                    (0..=5).flat_map(|deep| (0..=9).map(move |middle| [deep, middle])).map(|[deep, middle]| {
                        let left = u32::saturating_sub(depth, deep * 2048 + middle * 1024);
                        let columns = |index: usize| BLOCK_SHAPES[index].columns(width);
                        deep * columns(2) + middle * columns(1) + left.div_ceil(BLOCK_DEPTH) * columns(0)
                    });
                assert_eq!(Some(block_rams(width, depth)), fewest.min(), "{width} × {depth}");
            }
        }
        // As many words as an image of 1024 × 1024 × 3 takes: the last one stands in a row of the widest.
        assert_eq!(block_rams(64, 524_289), 256 * 8 + 2);
    }

    #[test]
    fn no_memory_takes_more_blocks_than_one_of_blocks_that_are_alike() {
        for width in [1, 8, 9, 10, 18, 32, 36, 37, 64, 72, 83] {
            for depth in (1..9000).step_by(37) {
                let rows = block_rows(width, depth);
                assert!(rows.iter().map(|row| row.depth).sum::<u32>() >= depth, "{width} × {depth}");
                assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row.depth)), "{width} × {depth}");
                let alike = BLOCK_SHAPES.map(|shape| shape.columns(width) * depth.div_ceil(shape.depth));
                assert!(alike.iter().all(|&blocks| block_rams(width, depth) <= blocks), "{width} × {depth}");
            }
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
