//! Where the multipliers and block RAMs stand: the generator knows the FPGA's geometry and says it, instead of letting place
//! and route guess.
//!
//! A tile is four multipliers and up to four block RAMs. In an ECP5 these stand in a *cluster*: four multipliers side by side,
//! the block RAMs a few rows below. The tiles of a group pass operands and results from row to row, so the rows of a group go
//! to clusters that touch: blocks of four clusters along a serpentine through the chip. Every other group walks it backwards, so
//! that the first rows of two groups, where operands enter and results leave, are neighbours. Where the requantiser has multipliers
//! of its own, they and its tables stand between those rows. Vector memory and queues stand in a row of block RAMs below.

mod geometry;
mod memories;

use super::netlist::Cell;
use geometry::{APART, BLOCK_RAM_COLUMNS, BLOCK_RAMS, Cluster, Clusters, MULTIPLIER_SITES, MULTIPLIERS, geometry};
use lpu_isa::board::Board;
use lpu_isa::configuration::Configuration;
use lpu_isa::host::{Memory, scale_bits};
use lpu_isa::resources::{block_rams, block_rows};
use memories::row_of_memories;
use std::collections::{HashMap, HashSet};

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
        let place = place.or_else(|| clusters.of_vector_unit(&name, &board.configuration));
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
    /// Reads `….tile_group_1.row_0.tile_2.multiplier_3.…` and `….weight_ram.block_3_0`.
    fn of_tile(&self, name: &Name<'_>, configuration: &Configuration) -> Option<Place> {
        let (group, row, column) = (name.number("tile_group_")?, name.number("row_")?, name.number("tile_")?);
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
        let tile = self.tiles.get((before + nearer + column) as usize)?;
        match name.number("multiplier_") {
            Some(index) => Some(Place { cluster: tile.cluster, primitive: Primitive::Multiplier(index as usize) }),
            None => {
                let block = name.block(configuration.weight_word_bits(), configuration.weight_depth)?;
                let &(cluster, index) = tile.block_rams.get(block as usize)?;
                Some(Place { cluster, primitive: Primitive::BlockRam(index) })
            }
        }
    }

    /// Reads `….slice_1.bank_0.block_0_2` and `….slice_1.read_queue.program_memory.block_0_0`.
    fn of_vectors(&self, name: &Name<'_>, configuration: &Configuration) -> Option<Place> {
        let mut before = 0;
        for memory in row_of_memories(configuration, self.tables_apart.then_some(self.requantiser.len())) {
            if memory.parts.iter().all(|part| name.has(part)) {
                let index = (before + memory.apart * name.block(memory.width, memory.depth)?) as usize;
                let &(cluster, index) = self.vectors.get(index)?;
                return Some(Place { cluster, primitive: Primitive::BlockRam(index) });
            }
            before += memory.sites();
        }
        None
    }

    /// Reads `….vector_unit.lane_2.slope.mult18x18d`, `….vector_unit.lane_2.function_table.block_0_0`, and what is like them: what a machine
    /// with extensions multiplies and looks up outside its tiles, the requantiser's scales included.
    fn of_vector_unit(&self, name: &Name<'_>, configuration: &Configuration) -> Option<Place> {
        let lanes = configuration.stream_elements;
        let lane = name.number("lane_").or_else(|| name.number("term_"));
        if let Some(product) = VECTOR_PRODUCTS.iter().position(|product| name.has(product)) {
            let index = match lane {
                Some(lane) => (VECTOR_PRODUCTS.len() as u32 * lane) as usize + product,
                None => (VECTOR_PRODUCTS.len() as u32 * lanes) as usize,
            };
            return self.multiplier_of_vector_unit(index);
        }
        if name.has("registers") && name.has("source_product") {
            return self.multiplier_of_vector_unit((VECTOR_PRODUCTS.len() as u32 * lanes) as usize + 1);
        }
        let of_memory = |memory: Memory| block_rams(memory.bits(configuration), memory.words(configuration));
        let (before, memory) = match (lane, name.number("scale_table_")) {
            (Some(lane), _) if name.has("function_table") => (lane * of_memory(Memory::Tables), Memory::Tables),
            (None, None) if name.has("factor_table") => (lanes * of_memory(Memory::Tables), Memory::Normalise),
            (None, Some(lane)) => {
                let tables = lanes * of_memory(Memory::Tables) + of_memory(Memory::Normalise);
                (tables + lane * of_memory(Memory::Scale(0)), Memory::Scale(lane))
            }
            _ => return None,
        };
        let block = name.block(memory.bits(configuration), memory.words(configuration))?;
        let &(cluster, index) = self.tables.get((before + block) as usize)?;
        Some(Place { cluster, primitive: Primitive::BlockRam(index) })
    }

    fn multiplier_of_vector_unit(&self, index: usize) -> Option<Place> {
        let cluster = *self.vector_unit.get(index / MULTIPLIERS)?;
        Some(Place { cluster, primitive: Primitive::Multiplier(index % MULTIPLIERS) })
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
                if let Some(outside) = site.checked_sub(BLOCK_RAMS * self.requantiser.len()) {
                    let &(cluster, index) = self.more_tables.get(outside)?;
                    return Some(Place { cluster, primitive: Primitive::BlockRam(index) });
                }
                (site / BLOCK_RAMS, Primitive::BlockRam(site % BLOCK_RAMS))
            }
            (None, None) => return None,
        };
        Some(Place { cluster: *self.requantiser.get(cluster)?, primitive })
    }
}

/// The three products of a lane's multiplier.
const PRODUCTS: [&str; 3] = ["upper_cell", "lower_cell", "both_cell"];

/// The products of a lane of the vector unit in a machine with extensions.
const VECTOR_PRODUCTS: [&str; 3] = ["value_product", "slope", "square"];

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
    fn what_the_row_of_vectors_does_not_hold_stands_where_tiles_leave_room_the_tables_nearest_to_the_requantiser() {
        let of = |board: &str| {
            let board = Board::find(board).unwrap();
            (Clusters::of(&geometry(&board.device).unwrap(), &board.configuration), board.configuration)
        };
        // The boards' own machines have room below.
        for board in ["ulx3s-85f", "ulx3s-12f", "colorlight-i9"] {
            assert!(of(board).0.tables_apart, "{board}");
        }
        let mut board = Board::find("ulx3s-85f").unwrap();
        let machine = include_str!("../../../../constraints/ulx3s-85f/networks.toml");
        board.configuration = Configuration::from_toml(machine).unwrap();
        let geometry = geometry(&board.device).unwrap();
        let clusters = Clusters::of(&geometry, &board.configuration);
        assert!(!clusters.tables_apart);
        // Each site once, and for every memory that has a place in the plan.
        let of_tiles = clusters.tiles.iter().take(37).flat_map(|tile| tile.block_rams[..2].iter().copied());
        let of_requantiser =
            clusters.requantiser.iter().flat_map(|&cluster| (0..BLOCK_RAMS).map(move |index| (cluster, index)));
        let all: Vec<(Cluster, usize)> = of_tiles
            .chain(of_requantiser)
            .chain(clusters.more_tables.iter().copied())
            .chain(clusters.vectors.iter().copied())
            .collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(clusters.more_tables.len(), 24);
        let needed: u32 = row_of_memories(&board.configuration, None).iter().map(memories::Memory::sites).sum();
        assert!(needed as usize <= clusters.vectors.len(), "{needed} of {}", clusters.vectors.len());
        // The first table stands in the requantiser's clusters, the second begins beside them.
        let names = [
            ("lpu.requantiser.scale_table_0.block_0_7", "X55/Y70/EBR3"),
            ("lpu.requantiser.scale_table_1.block_0_0", "X35/Y70/EBR2"),
            ("lpu.slice_0.read_queue.program_memory.block_0_0", "X8/Y22/EBR2"),
        ];
        let cells: Vec<(&str, &str)> = names.iter().map(|(name, _)| (*name, "PDPW16KD")).collect();
        let sites = place(&board, &super::tests::cells(&cells));
        for (name, site) in names {
            assert_eq!(sites.get(name).map(String::as_str), Some(site), "{name}");
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

    /// The large board with its machine for language models.
    fn language_board() -> Board {
        let others = Board::find("ulx3s-85f").unwrap().others().unwrap();
        others.into_iter().find(|board| board.name == "ulx3s-85f/language").unwrap()
    }

    #[test]
    fn the_vector_unit_of_a_language_machine_stands_above_the_vectors_and_tiles_share_the_clusters_below() {
        let board = language_board();
        let names = [
            ("lpu.tile_group_1.row_3.tile_3.multiplier_3.mult18x18d", "MULT18X18D", true),
            ("lpu.tile_group_0.row_0.tile_0.weight_ram.block_0_3", "DP16KD", true),
            // A tile of five blocks has one in the cluster below.
            ("lpu.tile_group_0.row_0.tile_0.weight_ram.block_1_0", "PDPW16KD", true),
            ("lpu.registers.queue.program_memory.block_0_0", "DP16KD", true),
            ("lpu.weight_store.queue.program_memory.block_0_0", "DP16KD", true),
            ("lpu.vector_unit.queue.program_memory.block_0_1", "PDPW16KD", true),
            ("lpu.tile_group_1.queue.program_memory.block_0_0", "DP16KD", true),
            // The vector unit's products and tables, and the scales, stand above the vectors.
            ("lpu.vector_unit.lane_7.value_product.mult18x18d", "MULT18X18D", true),
            ("lpu.vector_unit.lane_7.slope.mult18x18d", "MULT18X18D", true),
            ("lpu.vector_unit.reduction.term_7.square.mult18x18d", "MULT18X18D", true),
            ("lpu.vector_unit.normalise.slope.mult18x18d", "MULT18X18D", true),
            ("lpu.registers.source_product.mult18x18d", "MULT18X18D", true),
            ("lpu.vector_unit.lane_7.function_table.block_0_0", "PDPW16KD", true),
            ("lpu.vector_unit.normalise.factor_table.block_0_0", "PDPW16KD", true),
            ("lpu.requantiser.scale_table_7.block_0_0", "DP16KD", true),
        ];
        let kinds: Vec<(&str, &str)> = names.iter().map(|&(name, kind, _)| (name, kind)).collect();
        let sites = place(&board, &cells(&kinds));
        for (name, _, placed) in names {
            assert_eq!(sites.contains_key(name), placed, "{name}");
        }
        assert_eq!(sites.values().collect::<HashSet<_>>().len(), sites.len());
    }

    #[test]
    fn every_tile_of_a_language_machine_has_a_cluster_and_five_block_rams_no_further_than_the_next_row() {
        let board = language_board();
        let mut names = Vec::new();
        for tile in 0..32 {
            let tile = format!("lpu.tile_group_{}.row_{}.tile_{}", tile / 16, tile / 4 % 4, tile % 4);
            names.extend((0..4).map(|number| (format!("{tile}.multiplier_{number}.mult18x18d"), "MULT18X18D")));
            names.extend((0..4).map(|number| (format!("{tile}.weight_ram.block_0_{number}"), "DP16KD")));
            names.push((format!("{tile}.weight_ram.block_1_0"), "PDPW16KD"));
        }
        let kinds: Vec<(&str, &str)> = names.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let sites = place(&board, &cells(&kinds));
        assert_eq!(sites.values().collect::<HashSet<_>>().len(), names.len());
        let row =
            |name: &str| sites[name].split_once("/Y").unwrap().1.split_once('/').unwrap().0.parse::<u32>().unwrap();
        for (name, _) in names.iter().filter(|(name, _)| name.contains("weight_ram")) {
            let multiplier = format!("{}.multiplier_0.mult18x18d", name.split_once(".weight_ram").unwrap().0);
            // The block RAMs beside a cluster are 12 rows from its multipliers, those of the next row 24 more.
            assert!((12..=36).contains(&(row(name) - row(&multiplier))), "{name}: {}", sites[name]);
        }
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
