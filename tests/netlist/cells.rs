//! The models of the ECP5's cells against the behavioural twins of the primitives that are made of them.

#![allow(clippy::unwrap_used)]

use crate::bench::{Pair, differing};
use lpu_hdl::layer::EmittedModule;
use lpu_hdl::lpu::top::design;
use lpu_isa::board::{Board, Family};
use lpu_isa::configuration::Configuration;
use lpu_tests::machines::{simulated, small};
use lpu_tests::netlist::tolerant;
use lpu_tests::synthesis::Yosys;
use std::collections::BTreeMap;

/// Every primitive with a text for ECP5 of every machine that is built for ECP5 or simulated, each shape once.
fn primitives() -> BTreeMap<String, EmittedModule> {
    let boards = Board::all().unwrap().into_iter().filter(|board| board.family == Family::Ecp5);
    let machines = boards.map(|board| board.configuration).chain(simulated().into_iter().map(|(_, machine)| machine));
    let mut primitives = BTreeMap::new();
    for machine in machines {
        for module in design(&machine).unwrap().modules() {
            if module.text.synthesised(Family::Ecp5) != module.text.simulated() {
                primitives.insert(module.name.clone(), module.clone());
            }
        }
    }
    primitives
}

/// `text` with its module under another name.
fn renamed(text: &str, name: &str, other: &str) -> String {
    let openings = [format!("module {name} ("), format!("module {name}(")];
    let opening = openings.iter().find(|opening| text.contains(*opening)).unwrap();
    text.replace(opening, &format!("module {other} ("))
}

#[test]
fn every_primitive_that_is_emitted_does_what_its_twin_does() {
    let primitives = primitives();
    for kind in ["multiplier_", "block_ram_", "cell_multiplier_", "logic_multiplier_", "accumulator_", "register_copy_"]
    {
        assert!(primitives.keys().any(|name| name.starts_with(kind)), "no {kind}");
    }
    let mut pairs = Vec::new();
    let mut files = Vec::new();
    for (name, module) in &primitives {
        let other = format!("{name}_ecp5");
        let family = module.text.synthesised(Family::Ecp5);
        files.push((format!("{name}.v"), tolerant(module.text.simulated())));
        files.push((format!("{other}.v"), tolerant(&renamed(family, name, &other))));
        pairs.push(Pair { module, other });
    }
    let Some(differing) = differing(&pairs, files, 20_000, "comparing primitives with their twins").unwrap() else {
        return;
    };
    let differing: Vec<&str> = pairs
        .iter()
        .zip(&differing)
        .filter(|(_, differs)| **differs)
        .map(|(pair, _)| pair.module.name.as_str())
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
}

/// The comparison is worth nothing if it does not notice a wrong cell.
#[test]
fn a_changed_cell_of_a_tile_is_noticed() {
    let Some(yosys) = Yosys::find("changing cells of a tile") else { return };
    // All addresses are words of the RAM, so that nothing undefined is read.
    let machine = Configuration { weight_depth: 1024, ..small() };
    let design = design(&machine).unwrap();
    let tile = design.modules().iter().find(|module| module.name == "tile").unwrap();
    let netlist = yosys.netlist(&design, "tile", "tile_netlist").unwrap().text;
    let changes = [
        ("", ""),
        (".REGMODE_B(\"OUTREG\")", ".REGMODE_B(\"NOREG\")"),
        (".REG_PIPELINE_CLK(\"CLK0\")", ".REG_PIPELINE_CLK(\"NONE\")"),
        // What makes the activations signed: a look-up table that holds one.
        (".INIT(16'hffff)", ".INIT(16'h0000)"),
        (".INJECT1_0(\"NO\")", ".INJECT1_0(\"YES\")"),
        (".CEMUX(\"CE\")", ".CEMUX(\"INV\")"),
    ];
    let mut files: Vec<(String, String)> = design
        .modules()
        .iter()
        .map(|module| (format!("{}.v", module.name), module.text.simulated().to_string()))
        .collect();
    let mut pairs = Vec::new();
    for (number, (from, to)) in changes.into_iter().enumerate() {
        let other = format!("tile_netlist_{number}");
        let text = renamed(&netlist, "tile_netlist", &other);
        assert!(text.contains(from), "{from}: {text}");
        files.push((format!("{other}.v"), tolerant(&text.replacen(from, to, 1))));
        pairs.push(Pair { module: tile, other });
    }
    let Some(differing) = differing(&pairs, files, 5_000, "changing cells of a tile").unwrap() else { return };
    assert_eq!(differing, [false, true, true, true, true, true]);
}
