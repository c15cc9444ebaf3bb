//! What synthesis takes for each board's machine, counted in cells: no multiplier in look-up tables, no block RAM in registers.
//!
//! The expected counts are those of `lpu_isa`, from which the estimate before a build is made: exact, not at most.

#![allow(clippy::unwrap_used)]

use lpu_hdl::board::Parameters;
use lpu_hdl::lpu::top::{TOP, design};
use lpu_isa::board::{Board, Family};
use lpu_isa::configuration::{Configuration, Pipeline};
use lpu_isa::resources::{multipliers as multipliers_of, total_block_rams};
use lpu_tests::synthesis::Yosys;
use std::collections::BTreeMap;

/// Kinds of cells, and how many hardware multipliers or block RAMs one of each is.
type Kinds = &'static [(&'static str, u32)];

/// The multiplier cells of a family, and the block RAM cells.
fn kinds(family: Family) -> (Kinds, Kinds) {
    match family {
        Family::Ecp5 => (&[("MULT18X18D", 1), ("MULT9X9D", 1), ("ALU54B", 2)], &[("PDPW16KD", 1), ("DP16KD", 1)]),
        Family::Ice40 => (&[("SB_MAC16", 1)], &[("SB_RAM40_4K", 1)]),
        Family::Gowin => (
            &[("MULT9X9", 1), ("MULT18X18", 1), ("MULT36X36", 4), ("MULTALU18X18", 2), ("MULTADDALU18X18", 2)],
            &[("SP", 1), ("SPX9", 1), ("SDPB", 1), ("SDPX9B", 1), ("DPB", 1), ("DPX9B", 1)],
        ),
    }
}

/// The cells of `cells` that are of `kinds`, and how many multipliers or block RAMs they are together.
fn those(cells: &BTreeMap<String, u32>, kinds: Kinds) -> (Vec<&'static str>, u32) {
    let there = kinds.iter().filter_map(|(kind, each)| Some((*kind, each * cells.get(*kind)?)));
    let (names, counts): (Vec<_>, Vec<u32>) = there.unzip();
    (names, counts.iter().sum())
}

/// Synthesises what a board's bitstream holds and compares its multipliers and block RAMs with what was counted before.
fn counted(name: &str) {
    let Some(yosys) = Yosys::find("counting the cells of a board") else { return };
    let board = Board::find(name).unwrap();
    let parameters = Parameters::plan(board.family, board.oscillator_mhz, board.clock_mhz, board.link.baud).unwrap();
    let design = lpu_hdl::board::design(&board.configuration, &parameters).unwrap();
    let cells = yosys.cells(&design, board.family).unwrap();
    let (multipliers, block_rams) = kinds(board.family);
    let (kinds, multipliers) = those(&cells, multipliers);
    assert_eq!(multipliers, board.multipliers_used(), "{name}: multipliers ({kinds:?})");
    let (kinds, block_rams) = those(&cells, block_rams);
    assert_eq!(block_rams, board.block_rams_used(), "{name}: block RAMs ({kinds:?})");
}

#[test]
fn the_multipliers_and_block_rams_of_the_icebreaker_are_those_counted_before() {
    counted("icebreaker");
}

#[test]
fn the_multipliers_and_block_rams_of_the_tang_nano_20k_are_those_counted_before() {
    counted("tangnano20k");
}

#[test]
fn the_multipliers_and_block_rams_of_the_small_ulx3s_are_those_counted_before() {
    counted("ulx3s-12f");
}

#[test]
fn the_multipliers_and_block_rams_of_the_colorlight_i9_are_those_counted_before() {
    counted("colorlight-i9");
}

#[test]
fn the_multipliers_and_block_rams_of_the_large_ulx3s_are_those_counted_before() {
    counted("ulx3s-85f");
}

/// As the boards, but flat, as a bitstream is made, and with what no board has: rows of tiles, two banks, weight RAMs of several
/// blocks in depth.
#[test]
fn a_flat_netlist_has_exactly_the_multipliers_and_block_rams_counted_before() {
    let Some(yosys) = Yosys::find("counting the cells of a flat netlist") else { return };
    let machine = Configuration {
        tiles: 5,
        dot: 2,
        stream_elements: 4,
        weight_depth: 2049,
        weight_bits: 8,
        vector_slices: 2,
        vector_depth: 31,
        scale_depth: 5,
        queue_depth: 6,
        queue_word_bits: 70,
        requantise_interval: 2,
        scale_multiplier_lanes: 0,
        pipeline: Pipeline::default(),
        ..Configuration::default()
    };
    let netlist = yosys.netlist(&design(&machine).unwrap(), TOP, "flat").unwrap();
    let (multiplier_kinds, block_ram_kinds) = kinds(Family::Ecp5);
    let multipliers = those(&netlist.cells, multiplier_kinds);
    assert_eq!(multipliers, (vec!["MULT18X18D"], multipliers_of(&machine)));
    assert_eq!(those(&netlist.cells, block_ram_kinds), (vec!["PDPW16KD", "DP16KD"], total_block_rams(&machine)));
}

#[test]
fn every_board_is_counted() {
    let counted = include_str!("primitive_counts.rs");
    for name in Board::names() {
        assert!(counted.contains(&format!("counted(\"{name}\");")), "{name}");
    }
}

/// On ECP5 every multiplier and memory is named by the text. A product or a memory that is written out would be made of
/// look-up tables and registers, and no count of cells would show it.
#[test]
fn nothing_is_left_to_inference_on_ecp5() {
    let Some(yosys) = Yosys::find("looking for products and memories") else { return };
    for board in Board::all().unwrap().into_iter().filter(|board| board.family == Family::Ecp5) {
        let design = design(&board.configuration).unwrap();
        let operations = yosys.operations(&design, &["$mul", "$macc_v2", "$mem_v2"]).unwrap();
        assert_eq!(operations, [0, 0, 0], "{}: products, sums of products, memories", board.name);
    }
}
