//! The instructions that only a machine with extensions has, in programs that no compiler writes: the RTL's writes are those of the cycle
//! model, cycle by cycle.
//!
//! The two schedules of a program run one after the other: memories, registers and scalars keep what the first one has left.

#![allow(clippy::unwrap_used)]

use lpu_sim::language::LanguageModel;
use lpu_sim::rtl::language::LanguageRtl;
use lpu_sim::rtl::source;
use lpu_sim::verilated::lint;
use lpu_tests::extensions::{Job, program};
use lpu_tests::machines::extended;
use lpu_tests::witnesses::{library, recording, rtl_options, toolchain};

/// Thirty programs of jobs of these kinds on the machine called `name`.
fn agrees_with(name: &str, kinds: &[Job]) {
    let (_, machine) = extended().into_iter().find(|(other, _)| *other == name).unwrap();
    machine.check().unwrap();
    let Some(library) = library(&machine, name).unwrap() else { return };
    let mut written = 0;
    for seed in 0..30 {
        let program = program(&machine, seed, kinds, 12);
        program.check().unwrap();
        let mut model = LanguageModel::with_options(&program, recording(&machine)).unwrap();
        let mut rtl = LanguageRtl::with_library(&program, &library, &rtl_options()).unwrap();
        for run in 0..2 {
            let place = format!("{name}, program {seed}, run {run}");
            let (expected, measured) = (model.step(None).unwrap(), rtl.step(None).unwrap());
            for (number, (expected, measured)) in expected.writes.iter().zip(&measured.writes).enumerate() {
                assert_eq!(expected, measured, "{place}, write {number}");
            }
            assert_eq!(expected.writes.len(), measured.writes.len(), "{place}");
            assert_eq!((expected.cycles, measured.cycles), (expected.predicted, expected.predicted), "{place}");
            assert_eq!((expected.elements, expected.next), (measured.elements, measured.next), "{place}");
            written += expected.writes.len();
        }
    }
    assert!(written > 500, "{name}: {written} writes");
}

/// All kinds, from those that need little to all together.
fn agrees(name: &str) {
    agrees_with(name, &[Job::Assign, Job::Stream]);
    agrees_with(name, &[Job::Assign, Job::Stream, Job::Product]);
    agrees_with(name, &[Job::Assign, Job::Vector]);
    agrees_with(name, &[Job::Assign, Job::Store, Job::Product, Job::Fetch]);
    agrees_with(name, &[Job::Assign, Job::Requantise, Job::Vector]);
    agrees_with(name, &Job::ALL);
}

#[test]
fn extensions_agree_in_rows_of_eight() {
    agrees("extensions in rows of eight");
}

#[test]
fn extensions_agree_with_the_shortest_pipelines() {
    agrees("extensions, shortest pipelines");
}

#[test]
fn extensions_agree_with_wide_dots_and_the_longest_pipelines() {
    agrees("extensions, wide dots in one bank, longest pipelines");
}

#[test]
fn extensions_agree_with_a_crossbar_slower_than_the_weights() {
    agrees("extensions, crossbar slower than the weights");
}

#[test]
fn extensions_agree_in_a_compact_machine() {
    agrees("extensions in a compact machine");
}

#[test]
fn verilator_has_nothing_to_say_about_extensions() {
    let Some(toolchain) = toolchain("linting the emitted Verilog") else { return };
    for (name, machine) in extended() {
        if let Err(error) = lint(&source(&machine, None).unwrap(), &toolchain) {
            panic!("{name}: {error}");
        }
    }
}
