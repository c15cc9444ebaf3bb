//! Where the multipliers and block RAMs stand: the generator knows the FPGA's geometry and says it, instead of letting place
//! and route guess.
//!
//! A tile is four multipliers and up to four block RAMs. In an ECP5 these stand in a *cluster*: four multipliers side by side,
//! the block RAMs a few rows below. The tiles of a group pass operands and results from row to row, so the rows of a group go
//! to clusters that touch: blocks of four clusters along a serpentine through the chip. Every other group walks it backwards, so
//! that the first rows of two groups, where operands enter and results leave, are neighbours. Where the requantiser has multipliers
//! of its own, they and its tables stand between those rows. Vector memory and queues stand in a row of block RAMs below.

use super::netlist::Cell;
use lpu_isa::board::Board;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::host::scale_bits;
use lpu_isa::instruction::Unit;
use lpu_isa::resources::{block_rams, block_rows};
use std::collections::{HashMap, HashSet};

/// Clusters side by side that hold a row of a tile group.
const BLOCK: usize = 4;
/// Multipliers of a cluster.
const MULTIPLIERS: usize = 4;
/// Block RAMs of a cluster: as many as multipliers.
const BLOCK_RAMS: usize = MULTIPLIERS;
/// Place of a cluster's multipliers: columns right of its first, and number of the site.
const MULTIPLIER_SITES: [(u32, u32); MULTIPLIERS] = [(0, 0), (1, 1), (4, 4), (5, 5)];
/// Place of a cluster's block RAMs: columns right of its first.
const BLOCK_RAM_COLUMNS: [u32; BLOCK_RAMS] = [0, 2, 4, 6];
/// Sites for each block RAM of the requantiser's tables, where there is room: all 36 bits of both ports are wired, and side by side
/// such blocks want more wires than their columns have.
const APART: u32 = 2;

/// Where the clusters of an FPGA stand.
struct Geometry {
    /// First column of each cluster of a row.
    columns: Vec<u32>,
    /// Row of the multipliers, row of the block RAMs beside them; from the top.
    rows: Vec<(u32, u32)>,
    /// The (column, row) of each cluster that is the requantiser's, where it takes multipliers.
    requantiser: Vec<(usize, usize)>,
    /// The (column, row) of the tiles' clusters in the order of the serpentine, where the requantiser takes multipliers.
    around_requantiser: Vec<(usize, usize)>,
    /// Row of block RAMs without multipliers beside them, and the cluster at which the vector memory's begin there.
    vectors: (u32, usize),
}

/// The geometry of a device, where it is known: read off placements of nextpnr that fill all multipliers and block RAMs. Two
/// columns of something else stand in the middle of each chip.
fn geometry(device: &str) -> Option<Geometry> {
    let columns = |count: u32, left_of_middle: u32| {
        (0..count).map(|group| 4 + 9 * group + if group >= left_of_middle { 2 } else { 0 }).collect()
    };
    let side_by_side = |columns: std::ops::Range<usize>, row: usize| columns.map(move |column| (column, row));
    match device {
        // The fourth row of block RAMs is the lowest of all, so vector memory and queues stand there, the requantiser above them,
        // and the serpentine begins and ends far from both.
        "LFE5U-85F" => Some(Geometry {
            columns: columns(13, 7),
            rows: vec![(10, 22), (34, 46), (58, 70)],
            requantiser: vec![(4, 2), (5, 2)],
            around_requantiser: side_by_side(4..8, 1)
                .chain(side_by_side(4..8, 0))
                .chain(side_by_side(0..4, 0))
                .chain(side_by_side(0..4, 1))
                .chain(side_by_side(0..4, 2))
                // The second group begins here.
                .chain(side_by_side(6..10, 2))
                .chain([(10, 2), (11, 2), (12, 2), (12, 1)])
                .chain(side_by_side(8..12, 1))
                .chain(side_by_side(8..12, 0))
                // The last one; for a row that needs more, place and route finds others.
                .chain([(12, 0)])
                .collect(),
            vectors: (82, 1),
        }),
        // Here the row of block RAMs without multipliers is the highest, and the requantiser stands below it.
        "LFE5U-45F" => Some(Geometry {
            columns: columns(9, 4),
            rows: vec![(22, 34), (46, 58)],
            requantiser: vec![(4, 0), (5, 0)],
            around_requantiser: side_by_side(0..4, 1)
                .chain(side_by_side(0..4, 0))
                // The second group begins here.
                .chain(side_by_side(6..9, 0))
                .chain([(8, 1)])
                .chain(side_by_side(4..8, 1))
                .collect(),
            vectors: (10, 1),
        }),
        // The same chip under two names.
        "LFE5U-12F" | "LFE5U-25F" => Some(Geometry {
            columns: columns(7, 3),
            rows: vec![(13, 25)],
            requantiser: vec![(6, 0)],
            around_requantiser: side_by_side(0..6, 0).collect(),
            vectors: (37, 2),
        }),
        _ => None,
    }
}

/// First column of a cluster, row of its multipliers and row of its block RAMs.
type Cluster = (u32, u32, u32);

/// The clusters of an FPGA, dealt out.
struct Clusters {
    /// For the tiles, in the order in which the serpentine passes them.
    tiles: Vec<Cluster>,
    /// For the requantiser, where it has multipliers.
    requantiser: Vec<Cluster>,
    /// Block RAMs only: for vector memory and queues.
    vectors: Vec<Cluster>,
    /// Whether every other block RAM stays free between the requantiser's tables; those that its clusters do not hold then
    /// stand in the row of vectors.
    tables_apart: bool,
}

/// A place inside the machine that has a site: of its kind the number `index` in the cluster `cluster`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    cluster: Cluster,
    primitive: Primitive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Primitive {
    Multiplier(usize),
    BlockRam(usize),
}

/// The sites of cells, by their names. What is not mentioned, place and route places as it likes; for an FPGA whose geometry
/// is not known, that is everything.
pub fn place(board: &Board, cells: &[Cell]) -> HashMap<String, String> {
    let Some(geometry) = geometry(&board.device) else { return HashMap::new() };
    let clusters = Clusters::of(&geometry, &board.configuration);
    let mut taken = HashSet::new();
    let mut sites = HashMap::new();
    for cell in cells.iter().filter(|cell| ["MULT18X18D", "PDPW16KD", "DP16KD"].contains(&cell.kind.as_str())) {
        let name = Name(&cell.name);
        let place = clusters.of_tile(&name, &board.configuration);
        let place = place.or_else(|| clusters.of_requantiser(&name, &board.configuration));
        let place = place.or_else(|| clusters.of_vectors(&name, &board.configuration));
        if let Some(site) = place.and_then(Place::site).filter(|site| taken.insert(site.clone())) {
            sites.insert(cell.name.clone(), site);
        }
    }
    sites
}

impl Place {
    /// The site; none where the cluster has no more of the kind.
    fn site(self) -> Option<String> {
        let (x, multiplier_row, block_ram_row) = self.cluster;
        match self.primitive {
            Primitive::Multiplier(index) => {
                let (right, number) = MULTIPLIER_SITES.get(index)?;
                Some(format!("X{}/Y{multiplier_row}/MULT18_{number}", x + right))
            }
            Primitive::BlockRam(index) => {
                let right = BLOCK_RAM_COLUMNS.get(index)?;
                Some(format!("X{}/Y{block_ram_row}/EBR{index}", x + right))
            }
        }
    }
}

impl Clusters {
    fn of(geometry: &Geometry, configuration: &Configuration) -> Clusters {
        let cluster = |(column, row): (usize, usize)| {
            let (multipliers, block_rams) = geometry.rows[row];
            (geometry.columns[column], multipliers, block_rams)
        };
        let (row, first) = geometry.vectors;
        let vectors: Vec<Cluster> = geometry.columns[first..].iter().map(|&x| (x, row, row)).collect();
        if configuration.scale_multiplier_lanes > 0 {
            let requantiser: Vec<Cluster> = geometry.requantiser.iter().copied().map(cluster).collect();
            let tiles = geometry.around_requantiser.iter().copied().map(cluster).collect();
            let sites: u32 = row_of_memories(configuration, Some(requantiser.len())).iter().map(Memory::sites).sum();
            let tables_apart = sites as usize <= BLOCK_RAMS * vectors.len();
            return Clusters { tiles, requantiser, vectors, tables_apart };
        }
        let columns: Vec<usize> = (0..geometry.columns.len()).collect();
        let mut tiles = Vec::new();
        for (number, block) in columns.chunks(BLOCK).enumerate() {
            let mut rows: Vec<usize> = (0..geometry.rows.len()).collect();
            if number % 2 == 0 {
                rows.reverse();
            }
            tiles.extend(rows.into_iter().flat_map(|row| block.iter().map(move |&column| (column, row))).map(cluster));
        }
        Clusters { tiles, requantiser: Vec::new(), vectors, tables_apart: false }
    }

    /// Reads `….tile_group_1.row_0.tile_2.multiplier_3.…` and `….weight_ram.block_3_0`.
    fn of_tile(&self, name: &Name<'_>, configuration: &Configuration) -> Option<Place> {
        let (group, row, column) = (name.number("tile_group_")?, name.number("row_")?, name.number("tile_")?);
        let primitive = match name.number("multiplier_") {
            Some(index) => Primitive::Multiplier(index as usize),
            None => {
                let bits = configuration.weight_word_bits();
                Primitive::BlockRam(name.block(bits, configuration.weight_depth)? as usize)
            }
        };
        let columns = |group: u32| {
            let first = group * configuration.dot;
            first..configuration.columns().min(first + configuration.dot)
        };
        let tiles_of_row = |group: u32, row: u32| {
            columns(group).filter(|&column| row < configuration.rows_of_column(column)).count() as u32
        };
        let rows = || 0..configuration.tile_rows();
        let before: u32 = (0..group).flat_map(|group| rows().map(move |row| tiles_of_row(group, row))).sum();
        // Groups with even numbers walk the serpentine backwards.
        let nearer: u32 = rows()
            .filter(|&other| if group % 2 == 0 { other > row } else { other < row })
            .map(|row| tiles_of_row(group, row))
            .sum();
        let cluster = *self.tiles.get((before + nearer + column) as usize)?;
        Some(Place { cluster, primitive })
    }

    /// Reads `….slice_1.bank_0.block_0_2` and `….slice_1.read_queue.program_memory.block_0_0`.
    fn of_vectors(&self, name: &Name<'_>, configuration: &Configuration) -> Option<Place> {
        let mut before = 0;
        for memory in row_of_memories(configuration, self.tables_apart.then_some(self.requantiser.len())) {
            if memory.parts.iter().all(|part| name.has(part)) {
                let index = (before + memory.apart * name.block(memory.width, memory.depth)?) as usize;
                let cluster = *self.vectors.get(index / BLOCK_RAMS)?;
                return Some(Place { cluster, primitive: Primitive::BlockRam(index % BLOCK_RAMS) });
            }
            before += memory.sites();
        }
        None
    }

    /// Reads `….requantiser.lane_2.scale.both_cell` and `….requantiser.scale_table_3.block_0_1`. Each lane's multipliers have a
    /// cluster to themselves, because all of their pins are wired; the tables fill the block RAMs.
    fn of_requantiser(&self, name: &Name<'_>, configuration: &Configuration) -> Option<Place> {
        let (cluster, primitive) = match (name.number("lane_"), name.number("scale_table_")) {
            (Some(lane), _) => {
                let product = PRODUCTS.iter().position(|product| name.has(product))?;
                (lane as usize, Primitive::Multiplier(product))
            }
            (None, Some(lane)) => {
                let (width, depth) = (scale_bits(configuration), configuration.scale_words());
                let index = (lane * block_rams(width, depth) + name.block(width, depth)?) as usize;
                let site = if self.tables_apart { APART as usize * index } else { index };
                (site / BLOCK_RAMS, Primitive::BlockRam(site % BLOCK_RAMS))
            }
            (None, None) => return None,
        };
        Some(Place { cluster: *self.requantiser.get(cluster)?, primitive })
    }
}

/// A memory of vectors, instructions or scales, as it stands in the row of block RAMs.
struct Memory {
    /// The parts of its cells' names, without numbers of blocks.
    parts: Vec<String>,
    width: u32,
    depth: u32,
    /// Sites for each of its blocks.
    apart: u32,
}

impl Memory {
    /// Sites that it takes.
    fn sites(&self) -> u32 {
        self.apart * block_rams(self.width, self.depth)
    }
}

/// The memories of vectors and instructions in the order in which they stand: each unit's queues beside its memory, and
/// the units beside what they feed. With a number of clusters, the requantiser's tables that those do not hold when they stand apart.
fn row_of_memories(configuration: &Configuration, clusters_of_tables: Option<usize>) -> Vec<Memory> {
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

/// The three products of a lane's multiplier.
const PRODUCTS: [&str; 3] = ["upper_cell", "lower_cell", "both_cell"];

/// A cell's name in the netlist: instances, joined by dots.
struct Name<'a>(&'a str);

impl Name<'_> {
    fn has(&self, part: &str) -> bool {
        self.0.split('.').any(|other| other == part)
    }

    /// The number behind `prefix` in the part that has nothing else.
    fn number(&self, prefix: &str) -> Option<u32> {
        self.0.split('.').find_map(|part| part.strip_prefix(prefix)?.parse().ok())
    }

    /// The number of this block of a memory of `depth` words of `width` bits, from `block_ROW_COLUMN`.
    fn block(&self, width: u32, depth: u32) -> Option<u32> {
        let block = self.0.split('.').find_map(|part| part.strip_prefix("block_"))?;
        let (row, column) = block.split_once('_')?;
        let before = block_rows(width, depth).into_iter().take(row.parse().ok()?).map(|shape| shape.columns(width));
        Some(before.sum::<u32>() + column.parse::<u32>().ok()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cells(names: &[(&str, &str)]) -> Vec<Cell> {
        names.iter().map(|(name, kind)| Cell { name: name.to_string(), kind: kind.to_string() }).collect()
    }

    #[test]
    fn the_first_rows_of_two_groups_stand_side_by_side_and_the_others_along_a_serpentine() {
        let board = Board::find("ulx3s-85f").unwrap();
        let Configuration { tiles, stream_elements, dot, scale_multiplier_lanes, .. } = board.configuration;
        assert_eq!((tiles, stream_elements, dot, scale_multiplier_lanes), (37, 8, 4, 2));
        let names = [
            // The five rows of group 0 begin at the bottom left, the four of group 1 at the bottom right of the requantiser.
            ("lpu.tile_group_0.row_0.tile_0.multiplier_2.mult18x18d", "MULT18X18D", Some("X8/Y58/MULT18_4")),
            ("lpu.tile_group_0.row_1.tile_0.multiplier_2.mult18x18d", "MULT18X18D", Some("X8/Y34/MULT18_4")),
            ("lpu.tile_group_0.row_4.tile_1.weight_ram.block_0_3", "DP16KD", Some("X55/Y46/EBR3")),
            ("lpu.tile_group_1.row_0.tile_2.multiplier_3.mult18x18d", "MULT18X18D", Some("X83/Y58/MULT18_5")),
            ("lpu.tile_group_1.row_1.tile_3.multiplier_0.mult18x18d", "MULT18X18D", Some("X114/Y34/MULT18_0")),
            ("lpu.tile_group_1.row_4.tile_0.multiplier_1.mult18x18d", "MULT18X18D", Some("X115/Y10/MULT18_1")),
            ("lpu.requantiser.lane_0.scale.upper_cell", "MULT18X18D", Some("X40/Y58/MULT18_0")),
            ("lpu.requantiser.lane_1.scale.lower_cell", "MULT18X18D", Some("X50/Y58/MULT18_1")),
            // Every other site of the requantiser's clusters, then of the row below, has a block of a table.
            ("lpu.requantiser.scale_table_0.block_0_1", "PDPW16KD", Some("X44/Y70/EBR2")),
            ("lpu.requantiser.scale_table_1.block_0_0", "PDPW16KD", Some("X49/Y70/EBR0")),
            ("lpu.requantiser.scale_table_3.block_0_1", "PDPW16KD", Some("X53/Y82/EBR2")),
            // Vectors and instructions stand below, side by side.
            ("lpu.tile_group_0.queue.program_memory.block_0_0", "PDPW16KD", Some("X13/Y82/EBR0")),
            ("lpu.slice_0.read_queue.program_memory.block_0_0", "PDPW16KD", Some("X15/Y82/EBR1")),
            ("lpu.slice_0.bank_1.block_0_0", "DP16KD", Some("X28/Y82/EBR3")),
            ("lpu.requantiser.queue.program_memory.block_0_0", "PDPW16KD", Some("X37/Y82/EBR3")),
            ("lpu.slice_2.bank_1.block_0_3", "DP16KD", Some("X102/Y82/EBR3")),
            ("lpu.tile_group_1.queue.program_memory.block_0_0", "PDPW16KD", Some("X107/Y82/EBR1")),
            // What has no place by construction.
            ("lpu.tile_group_0.row_0.tile_1.weight_ram.block_1_0", "DP16KD", None),
            ("lpu.link.buffer.block_0_0", "DP16KD", None),
            ("lpu.tile_group_0.row_0.tile_0.multiplier_2.helper", "LUT4", None),
        ];
        let kinds: Vec<(&str, &str)> = names.iter().map(|&(name, kind, _)| (name, kind)).collect();
        let sites = place(&board, &cells(&kinds));
        for (name, _, site) in names {
            assert_eq!(sites.get(name).map(String::as_str), site, "{name}");
        }
    }

    #[test]
    fn tiles_that_take_all_multipliers_take_the_middle_too() {
        let mut board = Board::find("ulx3s-85f").unwrap();
        board.configuration = Configuration { tiles: 39, scale_multiplier_lanes: 0, ..board.configuration };
        let names: Vec<String> = (0..2)
            .flat_map(|group| (0..5).map(move |row| (group, row)))
            .flat_map(|(group, row)| (0..4).map(move |tile| (group, row, tile)))
            .map(|(group, row, tile)| format!("lpu.tile_group_{group}.row_{row}.tile_{tile}.multiplier_0.mult18x18d"))
            .collect();
        let kinds: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "MULT18X18D")).collect();
        let sites: HashSet<String> = place(&board, &cells(&kinds)).into_values().collect();
        assert_eq!(sites.len(), 39);
    }

    #[test]
    fn every_tile_of_the_smaller_chips_has_a_cluster_of_its_own() {
        for (name, tiles) in [("ulx3s-12f", 6), ("colorlight-i9", 16)] {
            let board = Board::find(name).unwrap();
            let configuration = &board.configuration;
            assert_eq!(configuration.tiles, tiles, "{name}");
            let names: Vec<String> = (0..configuration.tile_groups())
                .flat_map(|group| (0..configuration.tile_rows()).map(move |row| (group, row)))
                .flat_map(|(group, row)| {
                    let first = group * configuration.dot;
                    let columns = first..configuration.columns().min(first + configuration.dot);
                    let tiles = columns.filter(|&column| row < configuration.rows_of_column(column)).count();
                    (0..tiles).map(move |tile| (group, row, tile))
                })
                .flat_map(|(group, row, tile)| {
                    let cell = move |number| {
                        format!("lpu.tile_group_{group}.row_{row}.tile_{tile}.multiplier_{number}.mult18x18d")
                    };
                    (0..4).map(cell)
                })
                .chain((0..configuration.scale_multiplier_lanes).flat_map(|lane| {
                    PRODUCTS.iter().map(move |product| format!("lpu.requantiser.lane_{lane}.scale.{product}"))
                }))
                .collect();
            assert!(names.len() as u32 > 4 * tiles, "{name}: the requantiser has multipliers");
            let kinds: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "MULT18X18D")).collect();
            let sites: HashSet<String> = place(&board, &cells(&kinds)).into_values().collect();
            assert_eq!(sites.len(), names.len(), "{name}");
        }
    }

    #[test]
    fn a_language_machine_leaves_the_cells_of_its_vector_unit_to_place_and_route() {
        let mut board = Board::find("ulx3s-85f").unwrap();
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../constraints/ulx3s-85f/language.toml"));
        board.configuration = Configuration::from_toml(&text.unwrap()).unwrap();
        let names = [
            ("lpu.tile_group_1.row_3.tile_3.multiplier_3.mult18x18d", "MULT18X18D", true),
            ("lpu.tile_group_0.row_0.tile_0.weight_ram.block_0_3", "DP16KD", true),
            // A tile of five blocks has one beside its cluster.
            ("lpu.tile_group_0.row_0.tile_0.weight_ram.block_1_0", "PDPW16KD", false),
            ("lpu.registers.queue.program_memory.block_0_0", "DP16KD", true),
            ("lpu.weight_store.queue.program_memory.block_0_0", "DP16KD", true),
            ("lpu.vector_unit.queue.program_memory.block_0_1", "PDPW16KD", true),
            ("lpu.tile_group_1.queue.program_memory.block_0_0", "DP16KD", true),
            ("lpu.vector_unit.lane_7.value_product.mult18x18d", "MULT18X18D", false),
            ("lpu.vector_unit.lane_7.slope.mult18x18d", "MULT18X18D", false),
            ("lpu.vector_unit.reduction.term_7.square.mult18x18d", "MULT18X18D", false),
            ("lpu.vector_unit.lane_7.function_table.block_0_0", "PDPW16KD", false),
            ("lpu.vector_unit.normalise.factor_table.block_0_0", "PDPW16KD", false),
            ("lpu.requantiser.scale_table_7.block_0_0", "DP16KD", false),
        ];
        let kinds: Vec<(&str, &str)> = names.iter().map(|&(name, kind, _)| (name, kind)).collect();
        let sites = place(&board, &cells(&kinds));
        for (name, _, placed) in names {
            assert_eq!(sites.contains_key(name), placed, "{name}");
        }
        assert_eq!(sites.values().collect::<HashSet<_>>().len(), sites.len());
    }

    #[test]
    fn no_site_is_given_twice() {
        let board = Board::find("ulx3s-85f").unwrap();
        let name = "a.tile_group_0.row_0.tile_0.multiplier_0.x";
        let sites = place(&board, &cells(&[(name, "MULT18X18D"), (&format!("{name}_copy"), "MULT18X18D")]));
        assert_eq!(sites.into_values().collect::<Vec<_>>(), ["X4/Y58/MULT18_0"]);
    }

    #[test]
    fn an_unknown_geometry_leaves_everything_to_place_and_route() {
        let board = Board::find("icebreaker").unwrap();
        let name = "lpu.tile_group_0.row_0.tile_0.multiplier_0.mult18x18d";
        assert!(place(&board, &cells(&[(name, "MULT18X18D")])).is_empty());
    }
}
