//! The row of block RAMs in which the memories of vectors and instructions stand.

use super::geometry::{APART, BLOCK_RAMS};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::host::scale_bits;
use lpu_isa::instruction::Unit;
use lpu_isa::resources::block_rams;

/// A memory of vectors, instructions or scales, as it stands in the row of block RAMs.
pub struct Memory {
    /// The parts of its cells' names, without numbers of blocks.
    pub parts: Vec<String>,
    pub width: u32,
    pub depth: u32,
    /// Sites for each of its blocks.
    pub apart: u32,
}

impl Memory {
    /// Sites that it takes.
    pub fn sites(&self) -> u32 {
        self.apart * block_rams(self.width, self.depth)
    }
}

/// The memories of vectors and instructions in the order in which they stand: each unit's queues beside its memory, and
/// the units beside what they feed. With a number of clusters, the requantiser's tables that those do not hold when they stand apart.
pub fn row_of_memories(configuration: &Configuration, clusters_of_tables: Option<usize>) -> Vec<Memory> {
    let queue = |place: &str, name: &str, unit: Unit| Memory {
        parts: vec![place.into(), name.into(), "program_memory".into()],
        width: configuration.queue_word_bits_of(unit),
        depth: configuration.queue_words(),
        apart: 1,
    };
    let tile_group = |group: u32| queue(&format!("tile_group_{group}"), "queue", Unit::TileGroup(group));
    let groups = configuration.tile_groups();
    let mut memories: Vec<Memory> = (0..groups / 2).map(tile_group).collect();
    for slice in 0..configuration.vector_slices {
        let place = format!("slice_{slice}");
        memories.push(queue(&place, "read_queue", Unit::Read(slice)));
        memories.push(queue(&place, "write_queue", Unit::Write(slice)));
        memories.extend((0..configuration.beats_per_word()).map(|bank| Memory {
            parts: vec![place.clone(), format!("bank_{bank}")],
            width: configuration.dot * ELEMENT_BITS,
            depth: configuration.vector_depth,
            apart: 1,
        }));
        if slice == 0 {
            memories.push(queue("requantiser", "queue", Unit::Requantiser));
            memories
                .extend(clusters_of_tables.into_iter().flat_map(|clusters| tables_outside(configuration, clusters)));
        }
    }
    memories.push(queue("vector_unit", "queue", Unit::Vector));
    if configuration.extensions.is_some() {
        memories.push(queue("registers", "queue", Unit::Registers));
        memories.push(queue("weight_store", "queue", Unit::Weights));
    }
    memories.extend((groups / 2..groups).map(tile_group));
    memories
}

/// The requantiser's tables of which `clusters`, with every other site free, do not hold all blocks.
fn tables_outside(configuration: &Configuration, clusters: usize) -> impl Iterator<Item = Memory> {
    let (width, depth) = (scale_bits(configuration), configuration.scale_words());
    let inside = (BLOCK_RAMS * clusters) as u32 / (APART * block_rams(width, depth));
    (inside..configuration.requantiser_lanes()).map(move |lane| Memory {
        parts: vec!["requantiser".into(), format!("scale_table_{lane}")],
        width,
        depth,
        apart: APART,
    })
}
