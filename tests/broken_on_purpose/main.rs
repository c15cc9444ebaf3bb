//! What is broken on purpose turns red, and the report names cycle, unit and element.
//!
//! The texts in these tests are what a person gets to read. They follow the schedule: a better one changes cycles and steps, and
//! `UPDATE_EXPECT=1 cargo test -p lpu-tests --test broken_on_purpose` writes the new ones.
//!
//! | file | broken |
//! | --- | --- |
//! | `arithmetic.rs` | weights, scales, rounding |
//! | `latency.rs` | the cycle model's latency table |
//! | `schedule.rs` | the program's schedule and what it promises |

#![allow(clippy::unwrap_used)]

mod arithmetic;
mod latency;
mod schedule;

use expect_test::Expect;
use lpu_compiler::checker;
use lpu_compiler::graph::Graph;
use lpu_compiler::import::import;
use lpu_isa::program::Program;
use lpu_sim::divergence::Divergence;
use lpu_sim::rtl::{self, Rtl};
use lpu_tests::machines::small;
use lpu_tests::random::Random;
use lpu_tests::tflite_writer::{Dense, Fused, Network, code};
use lpu_tests::witnesses::{compile_and_check, library, rtl_options};

/// Three fully connected layers, 12 → 10 → 7 → 5, per tensor, with biases.
fn graph() -> Graph {
    let mut random = Random::new(12);
    let mut network = Network::new(&[1, 12], 0.05, -3);
    for (inputs, outputs) in [(12, 10), (10, 7), (7, 5)] {
        let output_scale = network.last().scales[0] * 2.0;
        network = network.dense(Dense {
            weights: (0..inputs * outputs).map(|_| random.byte().max(-127)).collect(),
            bias: Some((0..outputs).map(|_| i32::from(random.byte()) * 40).collect()),
            scales: vec![0.01],
            outputs,
            fused: Fused::None,
            output_scale,
            output_zero_point: random.byte() / 8,
        });
    }
    import(&network.model().bytes(), "three_layers").unwrap()
}

fn input(seed: u64) -> Vec<i8> {
    let mut random = Random::new(seed);
    (0..12).map(|_| random.byte()).collect()
}

fn compiled() -> (Graph, Program) {
    let graph = graph();
    let program = compile_and_check(&graph, &small()).unwrap();
    (graph, program)
}

/// As [`compiled`], with a clamp in the middle, so that the vector unit has work.
fn clamped() -> (Graph, Program, Vec<i8>) {
    let mut random = Random::new(3);
    let mut dense = |inputs: usize, outputs: usize| Dense {
        weights: (0..inputs * outputs).map(|_| random.byte().max(-127)).collect(),
        bias: None,
        scales: vec![0.01],
        outputs,
        fused: Fused::None,
        output_scale: 0.1,
        output_zero_point: 4,
    };
    let network = Network::new(&[1, 12], 0.05, -3).dense(dense(12, 10));
    let network = network.elementwise(code::RELU6, 0.1, 4).dense(dense(10, 7));
    let graph = import(&network.model().bytes(), "clamped").unwrap();
    let program = compile_and_check(&graph, &small()).unwrap();
    (graph, program, input(1))
}

fn rtl_run(program: &Program, input: &[i8]) -> Option<rtl::Outcome> {
    let library = library(&program.configuration, "a machine broken on purpose").unwrap()?;
    Some(Rtl::with_library(program, &library, &rtl_options()).unwrap().run(input).unwrap())
}

fn shows(expected: &Expect, divergence: &Divergence) {
    expected.assert_eq(&format!("{divergence}\n"));
}

/// The checker's complaints, one a line.
fn complaints(program: &Program) -> String {
    let violations = checker::check(program).unwrap_err();
    violations.iter().map(|violation| format!("{violation}\n")).collect()
}
