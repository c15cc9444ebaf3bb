//! Where the multipliers and weight RAMs stand: the generator knows the FPGA's geometry and says it, instead of letting place
//! and route guess.
//!
//! A tile is four multipliers and up to four block RAMs. In an ECP5 these stand in a *cluster*: four multipliers side by side,
//! the block RAMs a few rows below. The tiles of a group pass operands and results from row to row, so the rows of a group go
//! to clusters that touch: blocks of four clusters along a serpentine that runs from the bottom of the chip, where the vector
//! memory and everything else stands, to the top and back.

use super::netlist::Cell;
use lpu_isa::board::Board;
use lpu_isa::configuration::Configuration;
use std::collections::{HashMap, HashSet};

/// Clusters side by side that hold a row of a tile group.
const BLOCK: usize = 4;
/// Multipliers of a cluster.
const MULTIPLIERS: usize = 4;
/// Block RAMs of a cluster.
const BLOCK_RAMS: usize = 4;
/// Place of a cluster's multipliers: columns right of its first, and number of the site.
const MULTIPLIER_SITES: [(u32, u32); MULTIPLIERS] = [(0, 0), (1, 1), (4, 4), (5, 5)];
/// Place of a cluster's block RAMs: columns right of its first.
const BLOCK_RAM_COLUMNS: [u32; BLOCK_RAMS] = [0, 2, 4, 6];

/// Where the clusters of an FPGA stand.
struct Geometry {
    /// First column of each cluster of a row.
    columns: Vec<u32>,
    /// Row of the multipliers, row of the block RAMs beside them.
    rows: Vec<(u32, u32)>,
}

/// The geometry of a device, where it is known.
fn geometry(device: &str) -> Option<Geometry> {
    match device {
        "LFE5U-85F" => Some(Geometry {
            // Two columns of something else stand in the middle of the chip.
            columns: (0..13).map(|group| 4 + 9 * group + if group >= 7 { 2 } else { 0 }).collect(),
            rows: vec![(10, 22), (34, 46), (58, 70)],
        }),
        _ => None,
    }
}

/// A primitive of a tile, found by its name.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Its tile's place in the order of groups, rows and columns.
    turn: u32,
    primitive: Primitive,
}

#[derive(Debug, PartialEq, Eq)]
enum Primitive {
    /// The multiplier of this element of the dot product.
    Multiplier(usize),
    /// This block of the weight RAM's depth.
    BlockRam(usize),
}

/// The sites of cells, by their names. What is not mentioned, place and route places as it likes; for an FPGA whose geometry
/// is not known, that is everything.
pub fn place(board: &Board, cells: &[Cell]) -> HashMap<String, String> {
    let Some(geometry) = geometry(&board.device) else { return HashMap::new() };
    let clusters = serpentine(&geometry);
    let mut taken = HashSet::new();
    let mut sites = HashMap::new();
    for cell in cells.iter().filter(|cell| ["MULT18X18D", "PDPW16KD", "DP16KD"].contains(&cell.kind.as_str())) {
        let site = find(&cell.name, &board.configuration).and_then(|place| site(&clusters, &place));
        if let Some(site) = site.filter(|site| taken.insert(site.clone())) {
            sites.insert(cell.name.clone(), site);
        }
    }
    sites
}

/// The site of a primitive; none where the chip or the cluster has no more.
fn site(clusters: &[(u32, u32, u32)], place: &Place) -> Option<String> {
    let &(x, multiplier_row, block_ram_row) = clusters.get(place.turn as usize)?;
    match place.primitive {
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

/// First column, row of the multipliers and row of the block RAMs of each cluster, in the order in which tiles take them.
fn serpentine(geometry: &Geometry) -> Vec<(u32, u32, u32)> {
    let mut clusters = Vec::new();
    for (number, block) in geometry.columns.chunks(BLOCK).enumerate() {
        let mut rows = geometry.rows.clone();
        if number % 2 == 0 {
            rows.reverse();
        }
        for (multipliers, block_rams) in rows {
            clusters.extend(block.iter().map(|&x| (x, multipliers, block_rams)));
        }
    }
    clusters
}

/// Reads `….tile_group_1.row_0.tile_2.multiplier_3.…` and `….weight_ram.block_3_0`.
fn find(name: &str, configuration: &Configuration) -> Option<Place> {
    let number =
        |prefix: &str| -> Option<u32> { name.split('.').find_map(|part| part.strip_prefix(prefix)?.parse().ok()) };
    let (group, row, column) = (number("tile_group_")?, number("row_")?, number("tile_")?);
    let columns = |group: u32| group * configuration.dot..configuration.columns().min((group + 1) * configuration.dot);
    let tiles_of = |group: u32| columns(group).map(|column| configuration.rows_of_column(column)).sum::<u32>();
    let turn = (0..group).map(tiles_of).sum::<u32>() + row * columns(group).len() as u32 + column;
    let primitive = match number("multiplier_") {
        Some(index) => Primitive::Multiplier(index as usize),
        None => {
            let block = name.split('.').find_map(|part| part.strip_prefix("block_"))?;
            let (depth, _) = block.split_once('_')?;
            Primitive::BlockRam(depth.parse().ok()?)
        }
    };
    Some(Place { turn, primitive })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cells(names: &[(&str, &str)]) -> Vec<Cell> {
        names.iter().map(|(name, kind)| Cell { name: name.to_string(), kind: kind.to_string() }).collect()
    }

    #[test]
    fn tiles_go_to_clusters_in_a_serpentine() {
        let board = Board::find("ulx3s-85f").unwrap();
        assert_eq!((board.configuration.stream_elements, board.configuration.dot), (8, 4));
        let names = [
            ("lpu.tile_group_0.row_0.tile_0.multiplier_2.mult18x18d", "MULT18X18D"),
            ("lpu.tile_group_0.row_0.tile_1.weight_ram.block_3_0", "PDPW16KD"),
            ("lpu.tile_group_0.row_3.tile_1.multiplier_0.mult18x18d", "MULT18X18D"),
            ("lpu.tile_group_1.row_4.tile_2.multiplier_3.mult18x18d", "MULT18X18D"),
            ("lpu.tile_group_0.row_0.tile_1.weight_ram.block_4_0", "PDPW16KD"),
            ("lpu.slice_0.bank_1.block_0_0", "PDPW16KD"),
            ("lpu.tile_group_0.row_0.tile_0.multiplier_2.helper", "LUT4"),
        ];
        let sites = place(&board, &cells(&names));
        assert_eq!(sites.len(), 4);
        // Group 0 begins at the bottom left, its fourth row at the top of the next block; group 1 ends at the bottom of the last column.
        assert_eq!(sites[names[0].0], "X8/Y58/MULT18_4");
        assert_eq!(sites[names[1].0], "X19/Y70/EBR3");
        assert_eq!(sites[names[2].0], "X49/Y10/MULT18_0");
        assert_eq!(sites[names[3].0], "X119/Y58/MULT18_5");
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
        let board = Board::find("ulx3s-12f").unwrap();
        let name = "lpu.tile_group_0.row_0.tile_0.multiplier_0.mult18x18d";
        assert!(place(&board, &cells(&[(name, "MULT18X18D")])).is_empty());
    }
}
