//! Whole runs of programs with the netlist beside the RTL: every output, every cycle, loading and reading back included.

#![allow(clippy::unwrap_used)]

use lpu_compiler::graph::Graph;
use lpu_compiler::import::read_model;
use lpu_hdl::lpu::top::{TOP, design};
use lpu_isa::configuration::Configuration;
use lpu_sim::golden;
use lpu_sim::rtl::{self, Rtl};
use lpu_sim::verilated::{Library, build};
use lpu_tests::machines::small;
use lpu_tests::netlist::{beside, netlist_name};
use lpu_tests::networks::{random_graph, random_input};
use lpu_tests::random::Random;
use lpu_tests::synthesis::Yosys;
use lpu_tests::tflite_writer::Limits;
use lpu_tests::witnesses::{cache, compile_and_check, toolchain};
use std::path::Path;

/// The model of `machine` with the netlist of its module `module` beside every instance; `None` where a tool is missing.
fn library(machine: &Configuration, module: &str) -> Option<Library> {
    let what = format!("running the netlist of `{module}`");
    let (yosys, toolchain) = (Yosys::find(&what)?, toolchain(&what)?);
    let design = design(machine).unwrap();
    let emitted = design.modules().iter().find(|emitted| emitted.name == module).unwrap();
    let netlist = yosys.netlist(&design, module, &netlist_name(module)).unwrap();
    // What runs is made of cells: no operator is left, and the memories and multipliers are the FPGA's own.
    assert!(
        netlist.count("MULT18X18D") > 0 && netlist.count("PDPW16KD") + netlist.count("DP16KD") > 0,
        "{:?}",
        netlist.cells
    );
    assert!(!netlist.text.contains("always"), "{module}: registers outside of cells");
    let source = beside(rtl::source(machine, None).unwrap(), emitted, &netlist.text).unwrap();
    Some(Library::load(&build(&source, &toolchain, &cache()).unwrap()).unwrap())
}

/// Runs the inputs: the answers of the golden model in the cycles predicted, and no cycle in which the netlist differs.
fn runs(graph: &Graph, machine: &Configuration, library: &Library, inputs: &[Vec<i8>]) {
    let program = compile_and_check(graph, machine).unwrap();
    let options = rtl::Options { cache: cache(), trace: None, record: false };
    let mut rtl = Rtl::with_library(&program, library, &options).unwrap();
    for input in inputs {
        let outcome = rtl.run(input).unwrap();
        assert_eq!(outcome.output, golden::run(graph, input).unwrap());
        assert_eq!(outcome.cycles, program.cycles);
    }
}

#[test]
fn the_netlist_of_a_small_machine_does_what_its_rtl_does() {
    // Two rows of tiles, the second one incomplete, and weight RAMs of several blocks in depth: as little as has everything.
    let machine = Configuration {
        weight_depth: 2100,
        scale_multiplier_lanes: 1,
        tiles: 3,
        dot: 2,
        stream_elements: 2,
        vector_slices: 2,
        ..small()
    };
    let Some(library) = library(&machine, TOP) else { return };
    let mut random = Random::new(3);
    for seed in 0..4 {
        let graph = random_graph(seed, Limits { layers: 3, width: 12 }).unwrap();
        let inputs: Vec<_> = (0..2).map(|_| random_input(&mut random, &graph)).collect();
        runs(&graph, &machine, &library, &inputs);
    }
}

#[test]
fn the_netlist_of_a_tile_does_what_its_rtl_does_in_every_tile_of_the_large_machine() {
    let machine = Configuration::default();
    let Some(library) = library(&machine, "tile") else { return };
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits");
    let graph = read_model(digits.join("digits.tflite")).unwrap();
    let inputs = lpu_tests::conformance::rows(&digits.join("inputs.npy")).unwrap();
    runs(&graph, &machine, &library, &inputs[..2]);
    let mut random = Random::new(5);
    // Bias at its limits, weights of -128, several passes.
    let graph = random_graph(0, Limits { layers: 3, width: 90 }).unwrap();
    runs(&graph, &machine, &library, &[random_input(&mut random, &graph)]);
}
