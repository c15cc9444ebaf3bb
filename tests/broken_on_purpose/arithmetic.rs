//! Wrong weights, scales and rounding.

use super::{compiled, input, rtl_run, shows};
use expect_test::expect;
use lpu_compiler::graph::Graph;
use lpu_isa::arithmetic::Rounding;
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::program::Program;
use lpu_sim::cycle::{self, CycleModel, WriteEvent};
use lpu_sim::divergence::{Kind, against_golden, explain};
use lpu_tests::machines::small;
use lpu_tests::networks::halving;
use lpu_tests::witnesses::{compile_and_check, model_run, recording};

/// The program with one bit of one weight changed.
fn flipped(program: &Program, tile: usize, weight: usize, bit: u32) -> Program {
    let mut broken = program.clone();
    broken.weights[tile][weight] ^= 1 << bit;
    broken
}

#[test]
fn a_flipped_weight_bit_is_traced_to_its_tile() {
    let (graph, program) = compiled();
    let input = input(1);
    let good = model_run(&program, &input).unwrap();
    let (mut seen, mut weights) = (0, 0);
    for tile in 0..program.weights.len() {
        for weight in 0..program.weights[tile].len() {
            weights += 1;
            let broken = model_run(&flipped(&program, tile, weight, 6), &input).unwrap();
            let Some(divergence) = explain(&graph, &program, &input, &good.writes, &broken.writes) else {
                // Behind a zero, or in padding, or rounded away.
                continue;
            };
            seen += 1;
            let element = divergence.element.as_ref().unwrap();
            let computed = element.computed.as_ref().unwrap();
            assert_eq!((divergence.kind, computed.tile as usize, divergence.differing), (Kind::Value, tile, 1));
            // The weight lies in the words that this very instruction passes over.
            let Operation::Multiply { sequence, .. } =
                operation(&program, computed.instruction.unit, computed.instruction.index)
            else {
                panic!("{computed:?}");
            };
            let (first, last) = sequence.extent();
            assert!((first..=last).contains(&(weight as i64 / i64::from(program.configuration.dot))));
            if element.index.is_some() {
                // Weights of a channel that does not exist change padding, of which golden knows nothing.
                let golden = against_golden(&graph, &program, &input, &broken.writes).unwrap().unwrap();
                assert_eq!(golden, divergence);
                assert_eq!(element.golden.map(i16::from), divergence.expected);
            }
        }
    }
    assert!(2 * seen > weights, "{seen} of {weights}");
}

fn operation(program: &Program, unit: Unit, index: usize) -> Operation {
    program.queue(unit).unwrap().instructions[index].instruction.operation
}

#[test]
fn a_flipped_weight_bit_in_the_rtl_is_reported() {
    let (graph, program) = compiled();
    let input = input(1);
    let good = model_run(&program, &input).unwrap();
    // Tile 5 stands alone in its column of the second row.
    let Some(broken) = rtl_run(&flipped(&program, 5, 6, 6), &input) else { return };
    let divergence = explain(&graph, &program, &input, &good.writes, &broken.writes).unwrap();
    shows(
        &expect![[r#"
            cycle 42: wrong value at vector slice 1 write port, fed by the requantiser from the tiles
              element      5 of `dense_0` (beat address 1, lane 1)
              expected     -47
              got          -18
              golden       -47
              instruction  write 1, instruction 1, step 1 (layer `dense_0`)
                           write source=requantiser last_beats=1 base=0 count=2x1x1x1 delta=1,1,0,0 run_levels=1 gap=1
              computed by  tile 5 (column 1, row 1) in pass 0
                           tile_group 0, instruction 1, step 2 (layer `dense_0`)
                           multiply source=slice0 base=0 count=3x2x1x1 delta=1,1,0,0 run_levels=1 gap=0
        "#]],
        &divergence,
    );
    assert_ne!(broken.output, good.output);
}

/// The first of the inputs 0, 1, … for which the model that rounds once writes something else.
fn rounded_once(program: &Program) -> (Vec<i8>, Vec<WriteEvent>) {
    let once = |input: &[i8]| {
        let options = cycle::Options { rounding: Rounding::Single, ..recording(&program.configuration) };
        CycleModel::with_options(program, options).run(input).unwrap().writes
    };
    let mut inputs = (0..500).map(input);
    inputs
        .find_map(|input| {
            let writes = once(&input);
            (writes != model_run(program, &input).unwrap().writes).then_some((input, writes))
        })
        .unwrap()
}

#[test]
fn a_swapped_rounding_mode_is_reported_against_golden() {
    let (graph, program) = compiled();
    let (input, writes) = rounded_once(&program);
    shows(
        &expect![[r#"
            cycle 125: wrong value at vector slice 0 write port, fed by the requantiser from the tiles
              element      0 of `dense_2` (beat address 0, lane 0)
              expected     6
              got          7
              golden       6
              instruction  write 0, instruction 1, step 0 (layer `dense_2`)
                           write source=requantiser last_beats=1 base=0 count=2x1x1x1 delta=1,1,0,0 run_levels=1 gap=1
              computed by  tile 0 (column 0, row 0) in pass 0
                           tile_group 0, instruction 3, step 1 (layer `dense_2`)
                           multiply source=slice2 base=12 count=2x1x1x1 delta=1,1,0,0 run_levels=1 gap=1
        "#]],
        &against_golden(&graph, &program, &input, &writes).unwrap().unwrap(),
    );
}

#[test]
fn a_swapped_rounding_mode_is_reported_against_the_rtl() {
    let (graph, program) = compiled();
    let (input, writes) = rounded_once(&program);
    let Some(right) = rtl_run(&program, &input) else { return };
    let divergence = explain(&graph, &program, &input, &right.writes, &writes).unwrap();
    let by_golden = against_golden(&graph, &program, &input, &writes).unwrap().unwrap();
    assert_eq!(divergence, by_golden);
}

/// A scale of one half for each of eight channels, with the multiplier of channel 5 one too large: exact halves below zero now
/// round down.
fn halving_plus_one() -> (Graph, Program, Program, Vec<i8>) {
    let graph = halving(8);
    let program = compile_and_check(&graph, &small()).unwrap();
    // Four tiles make two passes: lane 1 scales the channels 1 and 5, and only channel 5 has an odd number to halve.
    let mut broken = program.clone();
    broken.scales[0][1].multiplier += 1;
    (graph, program, broken, vec![0, 2, 4, 6, 8, -7, 10, 12])
}

#[test]
fn a_scale_off_by_one_is_reported() {
    let (graph, program, broken, input) = halving_plus_one();
    let writes = model_run(&broken, &input).unwrap().writes;
    shows(
        &expect![[r#"
            cycle 43: wrong value at vector slice 1 write port, fed by the requantiser from the tiles
              element      5 of `halves` (beat address 1, lane 1)
              expected     -3
              got          -4
              golden       -3
              instruction  write 1, instruction 1, step 1 (layer `halves`)
                           write source=requantiser last_beats=1 base=0 count=1x2x1x1 delta=1,1,0,0 run_levels=1 gap=2
              computed by  tile 1 (column 1, row 0) in pass 1
                           tile_group 0, instruction 1, step 3 (layer `halves`)
                           multiply source=slice0 base=0 count=2x2x1x1 delta=1,1,0,0 run_levels=1 gap=1
        "#]],
        &against_golden(&graph, &program, &input, &writes).unwrap().unwrap(),
    );
}

#[test]
fn a_scale_off_by_one_in_the_rtl_is_reported() {
    let (graph, program, broken, input) = halving_plus_one();
    let Some(outcome) = rtl_run(&broken, &input) else { return };
    let divergence = against_golden(&graph, &program, &input, &outcome.writes).unwrap().unwrap();
    let good = model_run(&program, &input).unwrap();
    assert_eq!(explain(&graph, &program, &input, &good.writes, &outcome.writes), Some(divergence.clone()));
    assert_eq!(divergence.element.unwrap().index, Some(5));
}
