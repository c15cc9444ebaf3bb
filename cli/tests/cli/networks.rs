//! `lpu run` with operators that only the golden model executes so far, and with state.

use crate::support::{Called, Scratch, npy};
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::tflite_writer::Model;
use std::fs;

/// The first drawn network of that operator, and its number of input elements.
fn drawn(operator: &str) -> (Model, usize) {
    let operator = OPERATORS.iter().position(|(name, _)| *name == operator).unwrap();
    let model = case(operator, 1).model;
    let elements = model.tensors[0].elements();
    (model, elements)
}

/// `lpu run` with `rows` rows of inputs, whose first elements are 1, 2, 3, …
fn run(scratch: &Scratch, (model, elements): &(Model, usize), rows: usize, more: &[&str]) -> Called {
    let network = scratch.write("net.tflite", model.bytes());
    let inputs: Vec<i8> = (0..rows * elements).map(|index| (index / elements) as i8 + 1).collect();
    let inputs = scratch.write("x.npy", npy(&format!("({rows}, {elements})"), &inputs));
    scratch.lpu(&[&["run", &network, "--inputs", &inputs, "--outputs", "y.npy"], more].concat())
}

#[test]
fn a_network_without_a_lowering_runs_on_golden_without_a_prediction() {
    let scratch = Scratch::new();
    let called = run(&scratch, &drawn("MUL"), 2, &["--on", "golden", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    for key in ["cycles_predicted", "cycles_measured", "mac_utilization", "seconds_per_inference"] {
        assert!(report[key].is_null(), "{key}");
    }
    assert_eq!((&report["inputs"], &report["outputs_equal_golden"]), (&2.into(), &true.into()));
    let called = run(&scratch, &drawn("MUL"), 2, &["--on", "golden"]);
    assert!(called.stdout.contains("the network cannot be compiled for this machine"), "{}", called.stdout);
}

#[test]
fn a_network_without_a_lowering_is_refused_by_every_other_backend_with_operator_and_layer() {
    let scratch = Scratch::new();
    let refusal = |operator: &str, more: &[&str]| {
        run(&scratch, &drawn(operator), 1, &[&["--on"], more].concat()).refusal().to_owned()
    };
    let product = refusal("MUL", &["model"]);
    let why = "the operator `multiply` cannot be compiled for the machine yet";
    assert!(product.contains("layer `") && product.contains(why) && product.contains("--on golden"), "{product}");
    assert_eq!(refusal("MUL", &["rtl"]), product);
    assert_eq!(refusal("MUL", &["board", "--port", "sim"]), product);
}

#[test]
fn state_carries_on_from_row_to_row_and_begins_again_where_it_is_reset() {
    let scratch = Scratch::new();
    let network = drawn("ASSIGN_VARIABLE");
    let outputs_on = |backend: &str, more: &[&str]| {
        let called = run(&scratch, &network, 4, &[&["--on", backend, "--json"], more].concat());
        assert_eq!(called.status, 0, "{}", called.stderr);
        let bytes = fs::read(scratch.path("y.npy")).unwrap();
        let array = npyz::NpyFile::new(&bytes[..]).unwrap();
        let row = array.shape()[1..].iter().product::<u64>() as usize;
        let elements: Vec<i8> = array.into_vec().unwrap();
        elements.chunks(row).map(<[i8]>::to_vec).collect::<Vec<_>>()
    };
    let outputs = |more: &[&str]| {
        let golden = outputs_on("golden", more);
        assert_eq!(outputs_on("model", more), golden);
        golden
    };
    let (carried, reset) = (outputs(&[]), outputs(&["--reset-every", "2"]));
    assert_eq!(carried[..2], reset[..2]);
    assert_ne!(carried[2], reset[2]);
    // The third input differs from the first, and the state behind the reset does not.
    let first = |row: &[i8]| row.iter().zip(&carried[0]).filter(|(one, other)| one == other).count();
    assert!(first(&reset[2]) > 0 && first(&reset[2]) < reset[2].len());
    assert!(run(&scratch, &network, 4, &["--on", "golden", "--reset-every", "0"]).status == 2);
}
