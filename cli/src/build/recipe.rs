//! What each family's tools are told.
//!
//! The tools run in the output directory and are given relative paths only: results then do not depend on where the directory
//! is, and the tools in WebAssembly, which see another `/tmp` than everybody else, find their files.

use lpu_hdl::synthesis::{Hierarchy, commands};
use lpu_isa::board::{Board, Family};
use std::fmt::Write as _;

/// The netlist as synthesis leaves it.
pub const NETLIST: &str = "netlist.json";
/// The netlist with the sites of the multipliers and block RAMs.
pub const PLACED: &str = "placed.json";
/// Yosys' script.
pub const SCRIPT: &str = "synthesis.ys";
/// Directory of the Verilog.
pub const VERILOG: &str = "verilog";
/// Directory of the logs.
pub const LOGS: &str = "logs";

/// Yosys' commands: `files` are the Verilog files, `top` the module to be made.
pub fn synthesis(family: Family, files: &[String], top: &str) -> String {
    let mut script = String::new();
    for file in files {
        // Writing to a string does not fail.
        let _ = writeln!(script, "read_verilog {VERILOG}/{file}");
    }
    script += &commands(family, top, Hierarchy::Flat);
    let _ = writeln!(script, "stat\nwrite_json {NETLIST}");
    script
}

/// The directory of a seed's results.
pub fn seed_directory(seed: u32) -> String {
    format!("seed-{seed}")
}

/// nextpnr's report of a seed.
pub fn report(seed: u32) -> String {
    format!("{}/report.json", seed_directory(seed))
}

/// The routed design of a seed.
fn routed(family: Family, seed: u32) -> String {
    let name = match family {
        Family::Ecp5 => "routed.config",
        Family::Ice40 => "routed.asc",
        Family::Gowin => "routed.json",
    };
    format!("{}/{name}", seed_directory(seed))
}

/// nextpnr's arguments for a seed.
pub fn place_and_route(board: &Board, seed: u32) -> Vec<String> {
    let Board { family, clock_mhz, .. } = board;
    let pins = family.pin_file();
    let mut arguments = board.nextpnr.clone();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| word.to_string()));
    add(&["--json", PLACED, "--freq", &clock_mhz.to_string(), "--seed", &seed.to_string()]);
    // A missed target is reported by the caller, with the path; the bitstream is wanted all the same.
    add(&["--timing-allow-fail", "--report", &report(seed)]);
    let routed = routed(*family, seed);
    match family {
        Family::Ecp5 => add(&["--lpf", pins, "--textcfg", &routed]),
        Family::Ice40 => add(&["--pcf", pins, "--asc", &routed]),
        // The other router, nextpnr's default, works on the arcs of a full device one after the other and comes to no end.
        Family::Gowin => add(&["--vopt", &format!("cst={pins}"), "--router", "router2", "--write", &routed]),
    }
    arguments
}

/// The packer's arguments for a seed.
pub fn pack(board: &Board, seed: u32, bitstream: &str) -> Vec<String> {
    let routed = routed(board.family, seed);
    let words: Vec<&str> = match board.family {
        Family::Ecp5 | Family::Ice40 => vec![&routed, bitstream],
        Family::Gowin => vec!["-o", bitstream, &routed],
    };
    board.pack.iter().cloned().chain(words.into_iter().map(String::from)).collect()
}

/// Name of the bitstream of a board.
pub fn bitstream(board: &Board) -> String {
    let ending = match board.family {
        Family::Ecp5 => "bit",
        Family::Ice40 => "bin",
        Family::Gowin => "fs",
    };
    format!("{}.{ending}", board.name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn each_family_has_its_commands() {
        let mut text = String::new();
        for name in ["ulx3s-12f", "icebreaker", "tangnano20k"] {
            let board = Board::find(name).unwrap();
            let bitstream = bitstream(&board);
            let script = synthesis(board.family, &["rtl/a.v".into()], "board");
            writeln!(text, "{}", script.replace('\n', "; ")).unwrap();
            writeln!(text, "nextpnr {}", place_and_route(&board, 2).join(" ")).unwrap();
            writeln!(text, "pack {}", pack(&board, 2, &bitstream).join(" ")).unwrap();
        }
        expect![[r#"
            read_verilog verilog/rtl/a.v; synth_ecp5 -nodsp -top board; delete t:$scopeinfo; check -assert; stat; write_json netlist.json; 
            nextpnr --12k --package CABGA381 --speed 6 --json placed.json --freq 125 --seed 2 --timing-allow-fail --report seed-2/report.json --lpf pins.lpf --textcfg seed-2/routed.config
            pack --compress seed-2/routed.config ulx3s-12f.bit
            read_verilog verilog/rtl/a.v; setattr -set ram_style "block" distributed_ram_*/m:*; hierarchy -top board; proc; flatten; opt; wreduce t:$mul; techmap -map +/mul2dsp.v -map +/ice40/dsp_map.v -D DSP_A_MAXWIDTH=16 -D DSP_B_MAXWIDTH=16 -D DSP_A_MINWIDTH=2 -D DSP_B_MINWIDTH=2 -D DSP_Y_MINWIDTH=11 -D DSP_NAME=$__MUL16X16 t:$mul; synth_ice40 -top board; delete t:$scopeinfo; check -assert; stat; write_json netlist.json; 
            nextpnr --up5k --package sg48 --json placed.json --freq 18 --seed 2 --timing-allow-fail --report seed-2/report.json --pcf pins.pcf --asc seed-2/routed.asc
            pack seed-2/routed.asc icebreaker.bin
            read_verilog verilog/rtl/a.v; synth_gowin -nowidelut -top board; delete t:$scopeinfo; check -assert; stat; write_json netlist.json; 
            nextpnr --device GW2AR-LV18QN88C8/I7 --vopt family=GW2A-18C --json placed.json --freq 100 --seed 2 --timing-allow-fail --report seed-2/report.json --vopt cst=pins.cst --router router2 --write seed-2/routed.json
            pack -d GW2A-18C -o tangnano20k.fs seed-2/routed.json
        "#]]
        .assert_eq(&text);
    }
}
