//! `lpu run` with operators that not every machine executes, and with state.

use crate::support::{Called, Scratch, dense_network, digits, npy};
use lpu_tests::conformance;
use lpu_tests::convolutional::{Separable, separable};
use lpu_tests::operators::{OPERATORS, case};
use lpu_tests::random::Random;
use lpu_tests::tflite_writer::{Model, Operator, Tensor, code};
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

/// A softmax in front of another operator, and its number of input elements. The iCEBreaker has none.
fn inner_softmax() -> (Model, usize) {
    let (mut model, elements) = drawn("SOFTMAX");
    let before = model.outputs[0];
    let after = Tensor { name: "behind".into(), ..model.tensors[before as usize].clone() };
    model.tensors.push(after);
    let output = model.tensors.len() as i32 - 1;
    model.operators.push(Operator::plain(code::LOGISTIC, vec![before], vec![output]));
    model.outputs = vec![output];
    (model, elements)
}

#[test]
fn a_network_without_a_lowering_runs_on_golden_without_a_prediction() {
    let scratch = Scratch::new();
    let called = run(&scratch, &inner_softmax(), 2, &["--on", "golden", "--board", "icebreaker", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    for key in ["cycles_predicted", "cycles_measured", "mac_utilization", "seconds_per_inference"] {
        assert!(report[key].is_null(), "{key}");
    }
    assert_eq!((&report["inputs"], &report["outputs_equal_golden"]), (&2.into(), &true.into()));
    let called = run(&scratch, &inner_softmax(), 2, &["--on", "golden", "--board", "icebreaker"]);
    assert!(called.stdout.contains("the network cannot be compiled for this machine"), "{}", called.stdout);
}

#[test]
fn a_network_without_a_lowering_is_refused_by_every_other_backend_with_operator_and_layer() {
    let scratch = Scratch::new();
    let refusal = |more: &[&str]| {
        let arguments = [&["--board", "icebreaker", "--on"], more].concat();
        run(&scratch, &inner_softmax(), 1, &arguments).refusal().to_owned()
    };
    let product = refusal(&["model"]);
    let why = "a softmax where more than changes of scale follow it needs a vector unit that has one, with a table for each of other \
               scales; set `softmax_tables = 1` in its configuration, which has 0";
    assert!(product.contains("layer `") && product.contains(why) && product.contains("--on golden"), "{product}");
    assert_eq!(refusal(&["rtl"]), product);
    assert_eq!(refusal(&["board", "--port", "sim"]), product);
}

#[test]
fn a_board_has_a_machine_for_a_softmax_in_the_middle_of_a_network() {
    let scratch = Scratch::new();
    let called = run(&scratch, &inner_softmax(), 2, &["--on", "model", "--board", "ulx3s-85f", "--json"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    let report = called.json();
    assert_eq!((&report["board"], &report["outputs_equal_golden"]), (&"ulx3s-85f/networks".into(), &true.into()));
    assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
}

#[test]
fn a_network_that_the_boards_own_machine_cannot_execute_takes_another_one_of_its_folder_and_says_so() {
    let scratch = Scratch::new();
    let called = run(&scratch, &drawn("ADD"), 2, &["--on", "model", "--board", "ulx3s-85f", "--json"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    assert!(called.stderr.contains("taken instead is ulx3s-85f/networks"), "{}", called.stderr);
    let report = called.json();
    assert_eq!((&report["board"], &report["clock_mhz"]), (&"ulx3s-85f/networks".into(), &135.0.into()));
    assert_eq!(report["outputs_equal_golden"], true);
    // What the board's own machine executes, it executes.
    let called = run(&scratch, &drawn("RELU"), 1, &["--on", "model", "--board", "ulx3s-85f", "--json"]);
    assert_eq!((&called.json()["board"], called.stderr.as_str()), (&"ulx3s-85f".into(), ""));
}

#[test]
fn a_board_chooses_its_machine_for_an_onnx_network_and_for_images_beyond_its_own_memory() {
    let scratch = Scratch::new();
    let twin = lpu_tests::onnx_writer::twin(&drawn("ADD").0).unwrap();
    let network = scratch.write("net.onnx", twin.bytes());
    let compile =
        |network: &str| scratch.lpu(&["compile", network, "--board", "ulx3s-85f", "--out", "p.json", "--json"]);
    let called = compile(&network);
    assert_eq!((called.status, &called.json()["board"]), (0, &"ulx3s-85f/networks".into()), "{}", called.stderr);
    let why = "a sum needs a machine whose requantiser looks up scales); taken instead is ulx3s-85f/networks";
    assert!(called.stderr.contains(why) && called.stderr.lines().count() == 1, "{}", called.stderr);
    // An input that no slice of the board's own machine holds.
    let shape = Separable { size: 64, channels: 3, first: 8, blocks: vec![(2, 16)], classes: 2, pads: false };
    let network = scratch.write("net.tflite", separable(&mut Random::new(1), &shape).bytes());
    let called = compile(&network);
    // Which of the others, their clocks decide.
    let report = called.json();
    let other = report["board"].as_str().and_then(|board| board.strip_prefix("ulx3s-85f/")).map(str::to_owned);
    let taken = other.is_some_and(|other| called.stderr.contains(&format!("taken instead is ulx3s-85f/{other}")));
    assert!(called.status == 0 && taken, "{report}: {}", called.stderr);
}

#[test]
fn where_no_machine_of_a_board_takes_a_network_the_nearest_refuses_it_and_the_others_say_what_they_lack() {
    let scratch = Scratch::new();
    let network = scratch.write("net.tflite", dense_network(2048, 2048).bytes());
    for command in ["compile", "trace"] {
        let called = scratch.lpu(&[command, &network, "--board", "ulx3s-85f", "--out", "p"]);
        expect_test::expect![[r#"
            error: the network cannot be compiled for ulx3s-85f/int4
              where: net.tflite
              why:   `net` does not fit: layer `dense_0` needs 14336 words of weight RAM in each tile, the machine has 2048: 888 block RAMs short
                     all its 4,194,304 weights must be in the weight RAMs, which hold 606,208
                     ulx3s-85f: all its 4,194,304 weights must be in the weight RAMs, which hold 303,104
                     ulx3s-85f/language: its scales are narrow (`narrow_scales = true`): it is for language models
                     ulx3s-85f/networks: all its 4,194,304 weights must be in the weight RAMs, which hold 151,552
                     ulx3s-85f/vision: all its 4,194,304 weights must be in the weight RAMs, which hold 262,144
              help:  it fits none of the known boards; make the network smaller, or describe a larger machine with `--config FILE.toml`
        "#]]
        .assert_eq(called.refusal());
    }
    // A file of a configuration is that machine and no other.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/../constraints/ulx3s-85f/networks.toml");
    let refusal = scratch.lpu(&["compile", &network, "--config", other, "--out", "p"]).refusal().to_owned();
    assert!(refusal.contains("compiled for networks") && !refusal.contains("int4"), "{refusal}");
    assert_eq!(scratch.names(), ["net.tflite"]);
}

#[test]
fn the_report_of_a_compilation_says_what_bounds_each_layer() {
    let scratch = Scratch::new();
    let network = scratch.write("net.tflite", drawn("ADD").0.bytes());
    let arguments = ["compile", &network, "--board", "ulx3s-85f", "--out", "p.json"];
    let report = scratch.lpu(&[&arguments[..], &["--json"]].concat()).json();
    let last = report["layers"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["operator"], &last["bound"]), (&"add".into(), &"vector".into()));
    assert!(scratch.lpu(&arguments).stdout.contains("bound"));
    let report =
        scratch.lpu(&["compile", &digits("digits.tflite"), "--board", "ulx3s-85f", "--out", "p.json", "--json"]);
    assert_eq!(report.json()["layers"][0]["bound"], "matrix");
}

#[test]
fn the_networks_of_mlperf_tiny_stand_beside_what_has_been_published() {
    let scratch = Scratch::new();
    assert!(scratch.lpu_with(&["bench", "mlperf-tiny"], &[("LPU_CONFORMANCE_DIR", "")]).refusal().contains("--models"));
    assert!(scratch.lpu(&["bench", "mlperf-tiny", "--models", "nowhere"]).refusal().contains("nowhere"));
    let Some(file) = conformance::file("models/mlperf_tiny/kws_ref_model.tflite") else { return };
    let folder = file.parent().unwrap().to_str().unwrap();
    let report = scratch.lpu(&["bench", "mlperf-tiny", "--models", folder, "--json"]).json();
    let networks = report["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 3);
    for network in networks {
        // Those beside the board's own machine have clocks of their own.
        let clock = match network["board"].as_str() {
            Some("ulx3s-85f/networks") => 135.0,
            Some("ulx3s-85f/vision") => 130.0,
            _ => 150.0,
        };
        assert_eq!((&network["outputs_equal_golden"], &network["clock_mhz"]), (&true.into(), &clock.into()));
        assert_eq!(network["cycles_measured"], network["cycles_predicted"]);
    }
    let text = scratch.lpu(&["bench", "mlperf-tiny", "--models", folder]).stdout;
    assert!(text.contains("not alike") && text.contains("10,437"), "{text}");
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
