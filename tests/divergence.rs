//! Whatever is changed in a log of writes is found where it was changed.

#![allow(clippy::unwrap_used)]

use lpu_compiler::compile::compile;
use lpu_compiler::graph::Graph;
use lpu_isa::program::Program;
use lpu_sim::cycle::WriteEvent;
use lpu_sim::divergence::{Divergence, Kind, against_golden, explain};
use lpu_tests::machines::{self, Depths};
use lpu_tests::networks::{narrowed, random_graph, random_input};
use lpu_tests::random::Random;
use lpu_tests::tflite_writer::Limits;
use lpu_tests::witnesses::model_run;
use proptest::prelude::*;

/// A network, its program on some machine, an input, and the log of a run with at least one write.
fn run(seed: u64) -> Option<(Graph, Program, Vec<i8>, Vec<WriteEvent>)> {
    let mut random = Random::new(seed);
    let machine = machines::random(&mut random, Depths::Generous);
    let graph = narrowed(random_graph(seed, Limits { layers: 3, width: 40 }).unwrap(), machine.weight_bits);
    let program = compile(&graph, &machine, "random").unwrap();
    let input = random_input(&mut random, &graph);
    let writes = model_run(&program, &input).unwrap().writes;
    (!writes.is_empty()).then_some((graph, program, input, writes))
}

/// Both comparisons of a changed log.
fn found(case: &(Graph, Program, Vec<i8>, Vec<WriteEvent>), changed: &[WriteEvent]) -> [Option<Divergence>; 2] {
    let (graph, program, input, writes) = case;
    [explain(graph, program, input, writes, changed), against_golden(graph, program, input, changed).unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_logs_have_no_difference(seed: u64) {
        let Some(case) = run(seed) else { return Ok(()) };
        prop_assert_eq!(found(&case, &case.3), [None, None]);
    }

    #[test]
    fn a_changed_value_is_found_in_its_cycle_slice_lane_and_element(seed: u64, at: prop::sample::Index, lane: prop::sample::Index) {
        let Some(case) = run(seed) else { return Ok(()) };
        let mut changed = case.3.clone();
        let event = at.get(&case.3).clone();
        let lane = lane.index(event.elements.len());
        changed[at.index(case.3.len())].elements[lane] ^= 1;
        let [divergence, golden] = found(&case, &changed);
        let divergence = divergence.unwrap();
        let value = event.elements[lane];
        prop_assert_eq!((divergence.kind, divergence.cycle, divergence.lane), (Kind::Value, event.cycle, lane as u32));
        prop_assert_eq!((divergence.expected, divergence.got, divergence.differing), (Some(value), Some(value ^ 1), 1));
        let port = format!("vector slice {} write port, fed by ", event.slice);
        prop_assert!(divergence.unit.starts_with(&port), "{}", divergence.unit);
        // The element is one of a layer's result, or padding; golden knows the former only.
        let element = divergence.element.clone().unwrap();
        prop_assert_eq!(element.golden.map(i16::from), element.index.map(|_| value));
        prop_assert_eq!(golden, element.index.map(|_| divergence));
        if let Some(computed) = element.computed {
            let columns = case.1.configuration.stream_elements;
            prop_assert_eq!(computed.tile, computed.row * columns + computed.column);
            prop_assert_eq!(computed.column, lane as u32);
        }
    }

    #[test]
    fn a_late_word_is_found_with_both_cycles(seed: u64, at: prop::sample::Index, late in 1..9_u64) {
        let Some(case) = run(seed) else { return Ok(()) };
        let mut changed = case.3.clone();
        let number = at.index(changed.len());
        changed[number].cycle += late;
        let event = &case.3[number];
        let [divergence, golden] = found(&case, &changed);
        let divergence = divergence.unwrap();
        prop_assert_eq!((divergence.kind, divergence.cycle), (Kind::Cycle { got: event.cycle + late }, event.cycle));
        prop_assert_eq!(golden, None, "golden has no cycles");
    }

    #[test]
    fn a_lost_write_is_found(seed: u64, at: prop::sample::Index) {
        let Some(case) = run(seed) else { return Ok(()) };
        let mut changed = case.3.clone();
        let event = changed.remove(at.index(case.3.len()));
        let [divergence, golden] = found(&case, &changed);
        let divergence = divergence.unwrap();
        prop_assert_eq!((divergence.kind, divergence.cycle, divergence.got), (Kind::Missing, event.cycle, None));
        prop_assert_eq!(divergence.expected, Some(event.elements[0]));
        prop_assert!(golden.is_some());
    }

    #[test]
    fn an_additional_write_is_found(seed: u64, at: prop::sample::Index) {
        let Some(case) = run(seed) else { return Ok(()) };
        // Behind the last write of the port, one cycle later.
        let mut changed = case.3.clone();
        let last = case.3.iter().rfind(|event| event.slice == at.get(&case.3).slice).unwrap();
        let event = WriteEvent { cycle: last.cycle + 1, ..last.clone() };
        changed.push(event.clone());
        let [divergence, golden] = found(&case, &changed);
        let divergence = divergence.unwrap();
        prop_assert_eq!((divergence.kind, divergence.cycle, &divergence.instruction), (Kind::Surplus, event.cycle, &None));
        prop_assert_eq!(golden, Some(divergence));
    }

    #[test]
    fn a_write_to_another_address_is_found(seed: u64, at: prop::sample::Index) {
        let Some(case) = run(seed) else { return Ok(()) };
        let mut changed = case.3.clone();
        let number = at.index(changed.len());
        changed[number].address += 1;
        let event = &case.3[number];
        let kind = Kind::Address { got: event.address + 1 };
        for divergence in found(&case, &changed) {
            let divergence = divergence.unwrap();
            prop_assert_eq!((divergence.kind, divergence.cycle, divergence.address), (kind, event.cycle, event.address));
        }
    }
}
