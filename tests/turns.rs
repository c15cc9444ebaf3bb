//! Depthwise convolutions whose runs share words of weights in turns, and what that makes room for: the network of visual wake words on
//! the ULX3S. Bit-exact with the golden model, in the cycles predicted.
//!
//! `cargo test -p lpu-tests --test turns -- --nocapture` prints cycles and words of weights.

#![allow(clippy::unwrap_used)]

use lpu_compiler::compile::compile;
use lpu_compiler::error::{CompileError, Resource};
use lpu_compiler::graph::{Graph, OperatorKind};
use lpu_compiler::import::import;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Drain, Operation, Unit};
use lpu_isa::program::{Placed, Program};
use lpu_tests::convolutional::{Separable, mobilenet, separable};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{accept, compile_and_check, library, model_agrees, rtl_steps_agree};
use std::collections::HashSet;

/// The machine of the ULX3S for networks of many weights.
fn vision_machine() -> Configuration {
    Configuration::from_toml(include_str!("../constraints/ulx3s-85f/vision.toml")).unwrap()
}

fn print(program: &Program) {
    println!(
        "{} cycles; {} words of weights, {} scales, {} instructions",
        program.cycles,
        program.weights[0].len() / 4,
        program.scales.len(),
        fullest(program)
    );
}

fn random_inputs(random: &mut Random, program: &Program) -> Vec<Vec<i8>> {
    (0..2).map(|_| (0..program.input_length()).map(|_| random.byte()).collect()).collect()
}

/// With and without padding operators.
#[test]
fn the_board_holds_a_mobilenet_of_a_quarter_of_the_width() {
    for pads in [false, true] {
        let mut random = Random::new(3);
        let shape = Separable { pads, ..mobilenet(96, (1, 4)) };
        let graph = import(&separable(&mut random, &shape).bytes(), "words").unwrap();
        let start = std::time::Instant::now();
        let program = compile_and_check(&graph, &vision_machine()).unwrap();
        println!("compiled and checked in {:?}", start.elapsed());
        for layer in &program.layers {
            println!("{:>8} .. {:>8}  {:22} {:2} tiles", layer.start, layer.end, layer.operator, layer.tiles);
        }
        print(&program);
        let inputs = random_inputs(&mut random, &program);
        model_agrees(&graph, &program, &inputs).unwrap();
    }
}

/// Instructions of the fullest queue.
fn fullest(program: &Program) -> u32 {
    program.queues.iter().map(|queue| queue.instructions.len() as u32).max().unwrap()
}

/// Random networks whose fullest queue holds one instruction less than they take.
#[test]
fn networks_with_too_many_instructions_get_by_with_fewer() {
    let mut fewer = 0;
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let blocks = (0..4).map(|_| (random.within(1, 2) as i32, random.within(5, 90))).collect();
        let (size, first) = (random.within(16, 32), random.within(5, 40));
        let shape = Separable { size, channels: 3, first, blocks, classes: 2, pads: random.below(2) == 0 };
        let graph = import(&separable(&mut random, &shape).bytes(), "scarce").unwrap();
        let roomy = Configuration {
            weight_depth: 1 << 13,
            vector_depth: 1 << 12,
            vector_slices: random.within(2, 3) as u32,
            queue_depth: 1 << 10,
            scale_depth: 1 << 10,
            ..Configuration::default()
        };
        let needed = fullest(&compile_and_check(&graph, &roomy).unwrap());
        let tight = Configuration { queue_depth: needed - 1, ..roomy };
        let program = match compile(&graph, &tight, "test") {
            Ok(program) => program,
            Err(CompileError::DoesNotFit { resource: Resource::Queue, .. }) => continue,
            Err(error) => panic!("network {seed}: {error}"),
        };
        assert!(fullest(&program) < needed);
        fewer += 1;
        accept(&program).unwrap();
        let inputs = random_inputs(&mut random, &program);
        model_agrees(&graph, &program, &inputs).unwrap();
    }
    println!("{fewer} of 24 networks");
    assert!(fewer >= 16, "only {fewer} of 24 networks");
}

/// The same network with weights of four bits.
fn with_small_weights(mut graph: Graph) -> Graph {
    for operator in &mut graph.operators {
        let weights = match &mut operator.kind {
            OperatorKind::Convolution(layer) => &mut layer.weights,
            OperatorKind::DepthwiseConvolution(layer) => &mut layer.weights,
            OperatorKind::FullyConnected(layer) => &mut layer.weights,
            _ => continue,
        };
        weights.iter_mut().for_each(|weight| *weight >>= 4);
    }
    graph
}

/// Whether runs of a depthwise convolution that no bands repeat share words of weights.
fn takes_turns(program: &Program) -> bool {
    let queue = program.queues.iter().find(|queue| queue.unit == Unit::TileGroup(0)).unwrap();
    let mut seen = HashSet::new();
    queue.instructions.iter().any(|placed| {
        let layer = placed.layer.map(|layer| &program.layers[layer as usize]);
        let depthwise = layer.is_some_and(|layer| layer.operator == "depthwise convolution" && layer.band.is_none());
        match placed.instruction.operation {
            Operation::Multiply { sequence, .. } if depthwise => !seen.insert((placed.layer, sequence.base)),
            _ => false,
        }
    })
}

/// Random networks of depthwise and pointwise convolutions, with room for ever fewer words of weights.
#[test]
fn depthwise_convolutions_that_take_turns_are_exact() {
    let (mut fewer, mut refused) = (0, 0);
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let block = |random: &mut Random| (random.within(1, 2) as i32, random.within(5, 40));
        let blocks = (0..2).map(|_| block(&mut random)).collect();
        let (size, first) = (random.within(6, 20), random.within(5, 70));
        let shape = Separable { size, channels: 3, first, blocks, classes: 2, pads: random.below(2) == 0 };
        let graph = import(&separable(&mut random, &shape).bytes(), "turns").unwrap();
        let weight_bits = if random.below(4) == 0 { 4 } else { 8 };
        let graph = if weight_bits == 4 { with_small_weights(graph) } else { graph };
        let roomy = Configuration {
            tiles: random.within(16, 37) as u32,
            weight_bits,
            separate_sums: weight_bits == 8 && seed % 2 == 0,
            weight_depth: 1 << 13,
            vector_depth: 1 << 12,
            queue_depth: 1 << 10,
            scale_depth: 1 << 10,
            ..Configuration::default()
        };
        let words = compile_and_check(&graph, &roomy).unwrap().weights[0].len() as u32 / 4;
        for eighths in [6, 4, 3] {
            let tight = Configuration { weight_depth: (words * eighths / 8).max(2), ..roomy.clone() };
            let program = match compile(&graph, &tight, "test") {
                Ok(program) => program,
                Err(CompileError::DoesNotFit { .. }) => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("network {seed}: {error}"),
            };
            fewer += 1;
            let inputs = random_inputs(&mut random, &program);
            accept(&program)
                .and_then(|()| model_agrees(&graph, &program, &inputs))
                .unwrap_or_else(|error| panic!("network {seed}, {eighths} eighths of {words} words: {error}"));
        }
    }
    println!("{fewer} with fewer words of weights, {refused} do not fit");
    assert!(fewer >= 36, "{fewer} {refused}");
}

/// A machine that is built quickly: so many tiles, words of weights in each, and instructions in a queue.
fn small_machine(tiles: u32, weight_depth: u32, queue_depth: u32) -> Configuration {
    Configuration {
        tiles,
        weight_depth,
        vector_depth: 2048,
        scale_depth: 64,
        queue_depth,
        scale_multiplier_lanes: 0,
        ..Configuration::default()
    }
}

#[test]
fn turns_agree_on_the_rtl() {
    let machine = small_machine(24, 96, 100);
    let mut random = Random::new(7);
    let shape = Separable { size: 12, channels: 3, first: 40, blocks: vec![(1, 16), (2, 8)], classes: 3, pads: false };
    let graph = import(&separable(&mut random, &shape).bytes(), "turns").unwrap();
    let roomy = compile_and_check(&graph, &Configuration { weight_depth: 1 << 12, ..machine.clone() }).unwrap();
    let program = compile_and_check(&graph, &machine).unwrap();
    print(&roomy);
    print(&program);
    assert!(program.weights[0].len() < roomy.weights[0].len());
    assert!(takes_turns(&program) && !takes_turns(&roomy));
    let Some(library) = library(&machine, "turns on the RTL").unwrap() else { return };
    let inputs = random_inputs(&mut random, &program);
    rtl_steps_agree(&graph, &program, &library, &inputs).unwrap();
}

/// How many instructions of the tiles have sums of multipliers.
fn separate_products(program: &Program) -> usize {
    let queue = program.queues.iter().find(|queue| queue.unit == Unit::TileGroup(0)).unwrap();
    let separate =
        |placed: &&Placed| matches!(placed.instruction.operation, Operation::Multiply { drain: Drain::Separate, .. });
    queue.instructions.iter().filter(separate).count()
}

/// Depthwise convolutions between pointwise ones, on a machine with an incomplete row of tiles: sums of multipliers and of tiles leave
/// the same drain chains one behind the other.
#[test]
fn separate_sums_agree_on_the_rtl() {
    let machine = small_machine(19, 512, 200);
    let mut random = Random::new(11);
    let shape = Separable { size: 13, channels: 3, first: 20, blocks: vec![(1, 12), (2, 8)], classes: 3, pads: false };
    let graph = import(&separable(&mut random, &shape).bytes(), "separate").unwrap();
    let separate = Configuration { separate_sums: true, ..machine.clone() };
    let [alone, program] = [&machine, &separate].map(|machine| compile_and_check(&graph, machine).unwrap());
    println!("{} cycles with sums of tiles, {} with sums of multipliers too", alone.cycles, program.cycles);
    assert!(program.cycles < alone.cycles);
    assert_eq!(separate_products(&alone), 0);
    assert!(separate_products(&program) > 0);
    let Some(library) = library(&separate, "separate sums on the RTL").unwrap() else { return };
    let inputs = random_inputs(&mut random, &program);
    rtl_steps_agree(&graph, &program, &library, &inputs).unwrap();
}

/// An input of three channels whose rows stand one element behind the other: four columns in three beats.
#[test]
fn an_input_too_large_for_a_beat_a_position_stands_dense() {
    let (mut dense, mut refused) = (0, 0);
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let channels = random.within(1, 3);
        let blocks = (0..2).map(|_| (random.within(1, 2) as i32, random.within(5, 24))).collect();
        let shape = Separable {
            size: random.within(12, 30),
            channels,
            first: random.within(3, 12),
            blocks,
            classes: 2,
            pads: random.below(2) == 0,
        };
        let graph = import(&separable(&mut random, &shape).bytes(), "dense").unwrap();
        // Between the beats of a row's elements and one for each position.
        let beats = (shape.size * (shape.size + 1)) as u32;
        let words = (beats * (channels as u32 + 4) / 8 / 2).max(40);
        let machine = Configuration {
            tiles: 16,
            weight_depth: 1 << 12,
            vector_slices: random.within(2, 3) as u32,
            vector_depth: words,
            queue_depth: 1 << 10,
            scale_depth: 1 << 10,
            ..Configuration::default()
        };
        let program = match compile(&graph, &machine, "test") {
            Ok(program) => program,
            Err(CompileError::DoesNotFit { .. }) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("network {seed}: {error}"),
        };
        dense += usize::from(program.input.beats < beats && program.more_input.is_empty());
        let inputs = random_inputs(&mut random, &program);
        accept(&program)
            .and_then(|()| model_agrees(&graph, &program, &inputs))
            .unwrap_or_else(|error| panic!("network {seed}: {error}"));
    }
    println!("{dense} inputs stand dense, {refused} networks do not fit");
    assert!(dense >= 8, "{dense} {refused}");
}
