//! Any network on any machine: golden = cycle model = RTL, predicted = measured, and the checker accepts.
//!
//! `LPU_PROPERTY_CASES` raises the number of cases (1,000 without it); `PROPTEST_RNG_SEED` and `proptest`'s other variables work
//! as everywhere.

#![allow(clippy::unwrap_used)]

use lpu_compiler::compile::compile;
use lpu_compiler::error::{CompileError, Resource};
use lpu_compiler::graph::Graph;
use lpu_compiler::import::import;
use lpu_isa::configuration::{Configuration, Pipeline};
use lpu_tests::machines::{self, Depths};
use lpu_tests::networks::{extreme_graph, narrowed, random_graph, random_input};
use lpu_tests::random::Random;
use lpu_tests::tflite_writer::{Dense, Fused, Limits, Network, code};
use lpu_tests::witnesses::{accept, library, model_agrees, rtl_agrees};
use proptest::prelude::*;
use std::cell::Cell;

fn cases() -> ProptestConfig {
    let cases = std::env::var("LPU_PROPERTY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1000);
    // Seeds do not shrink to anything simpler, and failing ones become tests below.
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

fn limits() -> impl Strategy<Value = Limits> {
    // Widths around powers of two and of one are where beats and words begin and end.
    let width = prop_oneof![1..=100_usize, 1..=9_usize, prop::sample::select(vec![15, 16, 17, 31, 33, 64, 65])];
    (1..=5_usize, width).prop_map(|(layers, width)| Limits { layers, width })
}

/// Compiles, checks and runs; `Ok(false)` where the network does not fit.
fn holds(graph: &Graph, machine: &Configuration, seed: u64) -> Result<bool, TestCaseError> {
    let fail = |error: Box<dyn std::error::Error>| TestCaseError::fail(format!("{error}\n{machine:?}\n{graph:?}"));
    machine.check().map_err(|error| fail(error.into()))?;
    let program = match compile(graph, machine, "random") {
        Ok(program) => program,
        Err(error @ CompileError::DoesNotFit { .. }) => {
            really_exceeds(graph, machine, &error).map_err(|why| fail(format!("{error}: {why}").into()))?;
            return Ok(false);
        }
        Err(error) => return Err(fail(error.into())),
    };
    accept(&program).map_err(fail)?;
    let mut random = Random::new(seed);
    let inputs: Vec<_> = (0..3).map(|_| random_input(&mut random, graph)).collect();
    model_agrees(graph, &program, &inputs).map_err(fail)?;
    Ok(true)
}

/// A refusal is right if the machine has what it says, one word less than it asks for is refused as well, and just what it asks
/// for brings the compiler further: to no refusal, to another memory, or to a larger number.
fn really_exceeds(graph: &Graph, machine: &Configuration, error: &CompileError) -> Result<(), String> {
    let CompileError::DoesNotFit { resource, needed, available, .. } = error else { return Ok(()) };
    if needed <= available {
        return Err("it would fit".into());
    }
    // What a machine with so many words of the memory is told to need of it.
    let needed_with = |words: u64| {
        let mut machine = machine.clone();
        let (depth, largest) = match resource {
            Resource::WeightRam => (&mut machine.weight_depth, 1 << 16),
            Resource::ScaleTable => (&mut machine.scale_depth, 1 << 12),
            Resource::Queue => (&mut machine.queue_depth, 1 << 12),
            // Where free beats lie depends on more than their number.
            Resource::VectorMemory => return None,
        };
        *depth = words as u32;
        match compile(graph, &machine, "random") {
            _ if words > largest => None,
            Err(CompileError::DoesNotFit { resource: other, needed, .. }) if other == *resource => Some(Some(needed)),
            _ => Some(None),
        }
    };
    match (needed_with(needed - 1), needed_with(*needed)) {
        (Some(None), _) => Err("one word less is no problem".into()),
        (_, Some(Some(again))) if again <= *needed => Err("what it asks for is not enough".into()),
        _ => Ok(()),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_network_on_any_machine_gives_the_golden_answer_in_the_cycles_predicted(
        machine: u64, network: u64, limits in limits()
    ) {
        let machine = machines::random(&mut Random::new(machine), Depths::Generous);
        let graph = narrowed(random_graph(network, limits).unwrap(), machine.weight_bits);
        let fits = holds(&graph, &machine, network)?;
        prop_assert!(fits, "no memory of this machine is small: {machine:?}\n{graph:?}");
    }

    #[test]
    fn a_network_is_refused_only_where_a_memory_is_too_small(machine: u64, network: u64, limits in limits()) {
        let machine = machines::random(&mut Random::new(machine), Depths::Any);
        let graph = narrowed(random_graph(network, limits).unwrap(), machine.weight_bits);
        holds(&graph, &machine, network)?;
    }
}

#[test]
fn both_answers_occur_on_small_machines() {
    let (fitting, refused) = (Cell::new(0), Cell::new(0));
    for seed in 0..60 {
        let machine = machines::random(&mut Random::new(seed), Depths::Any);
        let graph = narrowed(random_graph(seed, Limits { layers: 3, width: 40 }).unwrap(), machine.weight_bits);
        let count = if holds(&graph, &machine, seed).unwrap() { &fitting } else { &refused };
        count.set(count.get() + 1);
    }
    assert!(fitting.get() >= 10 && refused.get() >= 10, "{} fit, {} do not", fitting.get(), refused.get());
}

/// A network that is no chain: the last layer reads the input while a clamp still reads the first layer's result, in whose
/// place the last result goes.
fn overtaking(last: impl FnOnce(Network) -> Network) -> Graph {
    let dense = |outputs: usize| Dense {
        weights: vec![3; 6 * outputs],
        bias: None,
        scales: vec![0.01],
        outputs,
        fused: Fused::None,
        output_scale: 0.1,
        output_zero_point: 1,
    };
    let network = Network::new(&[1, 6], 0.1, 2).dense(dense(12)).elementwise(code::RELU6, 0.1, 1).restart();
    import(&last(network).model().bytes(), "overtaking").unwrap()
}

#[test]
fn a_result_does_not_overwrite_a_vector_in_the_cycle_of_its_last_read() {
    let wide = Dense {
        weights: vec![-2; 6 * 16],
        bias: Some(vec![5; 16]),
        scales: vec![0.01],
        outputs: 16,
        fused: Fused::None,
        output_scale: 0.1,
        output_zero_point: 3,
    };
    let graphs =
        [overtaking(|network| network.dense(wide)), overtaking(|network| network.elementwise(code::QUANTIZE, 0.07, 5))];
    let machine = Configuration { tiles: 32, dot: 8, stream_elements: 32, ..Configuration::default() };
    for (vector_read, crossbar) in (0..=4).flat_map(|vector_read| (1..=4).map(move |crossbar| (vector_read, crossbar)))
    {
        let pipeline = Pipeline { vector_read, crossbar, ..Pipeline::default() };
        for graph in &graphs {
            assert!(holds(graph, &Configuration { pipeline, ..machine.clone() }, 1).unwrap());
        }
    }
}

/// Networks that fit the small machines of the RTL tests, and inputs for each.
fn rtl_agrees_on(name: &str) {
    let (_, machine) = machines::simulated().into_iter().find(|(other, _)| *other == name).unwrap();
    let Some(library) = library(&machine, name).unwrap() else { return };
    let mut run = 0;
    for seed in 0..60 {
        let limits = Limits { layers: 4, width: [48, 9, 33][seed as usize / 3 % 3] };
        let graph = narrowed(random_graph(seed, limits).unwrap(), machine.weight_bits);
        let Ok(program) = compile(&graph, &machine, name) else { continue };
        let mut random = Random::new(seed);
        let inputs: Vec<_> = (0..3).map(|_| random_input(&mut random, &graph)).collect();
        accept(&program).unwrap();
        if let Err(error) = rtl_agrees(&graph, &program, &library, &inputs) {
            panic!("{name}, network {seed}: {error}");
        }
        run += 1;
    }
    assert!(run >= 30, "{name}: {run} of 60 networks fit");
}

#[test]
fn the_rtl_agrees_with_two_rows_and_one_bank() {
    rtl_agrees_on("two rows, one bank");
}

#[test]
fn the_rtl_agrees_with_a_single_tile() {
    rtl_agrees_on("a single tile");
}

#[test]
fn the_rtl_agrees_with_39_tiles_in_three_rows() {
    rtl_agrees_on("39 tiles in three rows");
}

#[test]
fn the_rtl_agrees_with_pairs_of_multipliers_and_the_shortest_pipelines() {
    rtl_agrees_on("pairs of multipliers, shortest pipelines");
}

#[test]
fn the_rtl_agrees_with_wide_dots_in_one_bank_and_the_longest_pipelines() {
    rtl_agrees_on("wide dots in one bank, longest pipelines");
}

#[test]
fn the_rtl_agrees_with_wide_dots_in_eight_banks_and_a_crossbar_slower_than_the_weights() {
    rtl_agrees_on("wide dots in eight banks, crossbar slower than the weights");
}

#[test]
fn the_rtl_agrees_with_the_compact_machine_of_the_icebreaker() {
    rtl_agrees_on("as on the iCEBreaker: compact, without vector unit");
}

#[test]
fn the_rtl_agrees_with_a_compact_machine_of_several_banks() {
    rtl_agrees_on("compact, with a vector unit and several banks");
}

#[test]
fn the_rtl_agrees_with_pairs_of_int4_weights_in_one_bank() {
    rtl_agrees_on("pairs of int4 weights, one bank");
}

#[test]
fn the_rtl_agrees_with_int4_weights_and_an_incomplete_row() {
    rtl_agrees_on("int4 weights, an incomplete row");
}

#[test]
fn the_rtl_agrees_with_int4_weights_and_wide_dots() {
    rtl_agrees_on("int4 weights, wide dots");
}

#[test]
fn the_extreme_networks_are_extreme() {
    // Saturated, wrapped and zero results must all occur, or the properties above would not see a wrong limit.
    let (mut clamped, mut inside) = (0, 0);
    for seed in 0..200 {
        let graph = extreme_graph(seed, Limits { layers: 3, width: 30 });
        let input = random_input(&mut Random::new(seed), &graph);
        let output = lpu_sim::golden::run(&graph, &input).unwrap();
        let varied = output.iter().any(|&element| element != output[0]);
        *(if varied { &mut inside } else { &mut clamped }) += 1;
    }
    assert!(clamped >= 20 && inside >= 60, "{clamped} constant, {inside} varied");
}
