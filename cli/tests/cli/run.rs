//! `lpu run`, `demo` and `bench`.

use crate::support::{Called, Scratch, dense_network, digits, language_board, npy};
use expect_test::expect;
use lpu_tests::{conformance, witnesses};
use std::fs;
use std::path::Path;

/// A machine that Verilator builds quickly.
const SMALL: &str = "tiles = 6\ndot = 4\nstream_elements = 4\nweight_depth = 1024\nvector_slices = 3\nvector_depth = 64\n\
                     scale_depth = 32\nqueue_depth = 32\n";

fn run_digits(scratch: &Scratch, more: &[&str]) -> Called {
    let (network, inputs) = (digits("digits.tflite"), digits("inputs.npy"));
    scratch.lpu(&[&["run", &network, "--inputs", &inputs], more].concat())
}

/// Shape and elements of an int8 array.
fn array(path: &Path) -> (Vec<u64>, Vec<i8>) {
    let bytes = fs::read(path).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    (array.shape().to_vec(), array.into_vec().unwrap())
}

fn toolchain() -> bool {
    witnesses::toolchain("the RTL from the command line").is_some()
}

#[test]
fn json_has_the_keys_of_the_contract_and_stands_alone() {
    let scratch = Scratch::new();
    let called = run_digits(&scratch, &["--on", "model", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    let keys: Vec<&str> =
        called.stdout.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    expect![[r#"["model", "board", "backend", "inputs", "cycles_predicted", "cycles_measured", "macs", "multipliers", "mac_utilization", "clock_mhz", "seconds_per_inference", "outputs_equal_golden", "wall_seconds", "simulated_cycles_per_second", "host_transfer_cycles"]"#]]
    .assert_eq(&format!("{keys:?}"));
    assert_eq!(report["model"], "digits");
    assert_eq!(report["board"], "ulx3s-85f");
    assert_eq!(report["backend"], "model");
    assert_eq!(report["inputs"], 32);
    assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
    assert_eq!((&report["macs"], &report["multipliers"]), (&4928.into(), &148.into()));
    let cycles = report["cycles_predicted"].as_f64().unwrap();
    assert!((report["mac_utilization"].as_f64().unwrap() - 4928.0 / (148.0 * cycles)).abs() < 1e-12);
    assert_eq!(report["clock_mhz"], 150.0);
    assert!((report["seconds_per_inference"].as_f64().unwrap() * 150e6 / cycles - 1.0).abs() < 1e-12);
    assert_eq!(report["outputs_equal_golden"], true);
    assert!(report["simulated_cycles_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["host_transfer_cycles"].is_null());
}

#[test]
fn golden_measures_no_cycles() {
    let scratch = Scratch::new();
    let report = run_digits(&scratch, &["--on", "golden", "--json"]).json();
    for key in ["cycles_measured", "simulated_cycles_per_second", "host_transfer_cycles"] {
        assert!(report[key].is_null(), "{key}");
    }
    assert!(report["cycles_predicted"].as_u64().unwrap() > 0);
    assert_eq!(report["outputs_equal_golden"], true);
}

#[test]
fn outputs_are_those_of_tflite_micro_one_example_a_row() {
    for backend in ["golden", "model"] {
        let scratch = Scratch::new();
        assert_eq!(run_digits(&scratch, &["--on", backend, "--outputs", "y.npy"]).status, 0);
        let written = array(&scratch.path("y.npy"));
        let expected = array(digits("expected.npy").as_ref());
        assert_eq!(written, expected);
        assert_eq!(scratch.names(), ["y.npy"]);
    }
}

#[test]
fn a_bare_configuration_has_no_clock() {
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let report = run_digits(&scratch, &["--on", "model", "--config", "small.toml", "--json"]).json();
    assert_eq!(report["board"], "small");
    assert!(report["clock_mhz"].is_null() && report["seconds_per_inference"].is_null());
}

#[test]
fn people_get_the_same_as_a_short_table() {
    let scratch = Scratch::new();
    let called = run_digits(&scratch, &["--on", "model"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    for line in ["run on            cycle model, 32 inputs", "outputs           equal to golden, 32 compared"] {
        assert!(called.stdout.contains(line), "{}", called.stdout);
    }
}

#[test]
fn a_network_of_another_shape_runs_on_a_single_example() {
    let scratch = Scratch::new();
    scratch.write("net.tflite", dense_network(5, 3).bytes());
    scratch.write("x.npy", npy("(5,)", &[1, 2, 3, 4, 5]));
    let called =
        scratch.lpu(&["run", "net.tflite", "--inputs", "x.npy", "--on", "model", "--outputs", "y.npy", "--json"]);
    assert_eq!((called.status, &called.json()["inputs"]), (0, &1.into()), "{}", called.stderr);
    let outputs = array(&scratch.path("y.npy"));
    // 15 × 0.05 × 0.01 ÷ 0.1 rounds to 0.
    assert_eq!(outputs, (vec![1, 3], vec![0, 0, 0]));
}

#[test]
fn the_rtl_gives_the_bits_of_golden_in_the_predicted_cycles() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let called = run_digits(
        &scratch,
        &["--on", "rtl", "--config", "small.toml", "--outputs", "y.npy", "--trace", "t.vcd", "--json"],
    );
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
    assert_eq!(report["outputs_equal_golden"], true);
    assert!(report["host_transfer_cycles"].as_u64().unwrap() > 0);
    assert_eq!(scratch.names(), ["small.toml", "t.vcd", "y.npy"]);
    assert!(fs::read_to_string(scratch.path("t.vcd")).unwrap().contains("$enddefinitions"));
    let outputs = array(&scratch.path("y.npy"));
    let expected = array(digits("expected.npy").as_ref());
    assert_eq!(outputs, expected);
}

/// A Verilator that forgets the requantiser's first rounding.
#[cfg(unix)]
#[test]
fn hardware_that_rounds_wrongly_ends_with_status_1_and_the_first_difference() {
    use std::os::unix::fs::PermissionsExt;
    let Some(tools) = witnesses::toolchain("broken RTL from the command line") else { return };
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let script = format!(
        "#!/bin/sh\nfor file in requantiser_lane*.v; do [ ! -f \"$file\" ] || sed -i.bak \"s/ + 33'd1//\" \"$file\"; done\n\
         VERILATOR_ROOT='{}' exec '{}' \"$@\"\n",
        tools.root.display(),
        tools.verilator.display()
    );
    scratch.write("verilator", script);
    fs::set_permissions(scratch.path("verilator"), fs::Permissions::from_mode(0o755)).unwrap();
    let (verilator, cache) = (scratch.path("verilator"), scratch.path("cache"));
    let (network, inputs) = (digits("digits.tflite"), digits("inputs.npy"));
    let called = scratch.lpu_with(
        &["run", &network, "--inputs", &inputs, "--on", "rtl", "--config", "small.toml", "--json"],
        &[("LPU_VERILATOR", &verilator.to_string_lossy()), ("LPU_CACHE", &cache.to_string_lossy())],
    );
    assert_eq!(called.status, 1, "{}", called.stderr);
    let report = called.json();
    assert_eq!(report["outputs_equal_golden"], false);
    assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
    for part in
        ["output elements differ", "first difference, RTL against cycle model:", "wrong value at", "expected", "got"]
    {
        assert!(called.stderr.contains(part), "{part}: {}", called.stderr);
    }
}

#[test]
fn the_demo_of_digits_says_that_all_three_are_equal_after_comparing_them() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let called = scratch.lpu(&["demo", "digits", "--config", "small.toml", "--images", "3"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let end = "\nRTL = cycle model = golden\n  compared: 30 output elements of 3 images, and the cycles of each\n";
    assert!(called.stdout.ends_with(end), "{}", called.stdout);
}

#[test]
fn the_demo_tells_a_story_and_says_that_all_three_are_equal_after_comparing_them() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    // The machine that the tests of language models build anyway.
    scratch.write("board.toml", language_board(4096));
    let called = scratch.lpu(&["demo", "--config", "board.toml", "--prompt", "Lily had a", "--tokens", "6"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    assert!(called.stdout.contains("\n\nLily had a "), "{}", called.stdout);
    for part in ["parameters", "all as predicted", "\nRTL = cycle model = golden\n", "results of the classifier"] {
        assert!(called.stdout.contains(part), "{part}: {}", called.stdout);
    }
}

#[test]
fn the_demo_refuses_what_no_story_can_begin_with() {
    let scratch = Scratch::new();
    let long = "there was a dog. ".repeat(99);
    let called = scratch.lpu(&["demo", "--prompt", &long]);
    assert!(called.refusal().contains("the context of this model 256"), "{}", called.stderr);
    let plain = SMALL.replace("weight_depth = 1024", "weight_depth = 4096");
    scratch.write("plain.toml", plain);
    let called = scratch.lpu(&["demo", "--config", "plain.toml"]);
    assert!(called.refusal().contains("has no `extensions`"), "{}", called.stderr);
}

#[test]
fn the_anomaly_detector_agrees_with_tflite_micro_within_its_cycles() {
    let (Some(network), Some(inputs), Some(outputs)) = (
        conformance::file("models/mlperf_tiny/ad01_int8.tflite"),
        conformance::file("reference/mlperf_ad/inputs.npy"),
        conformance::file("reference/mlperf_ad/outputs.npy"),
    ) else {
        return;
    };
    for backend in ["golden", "model"] {
        let scratch = Scratch::new();
        let (network, inputs) = (network.to_string_lossy(), inputs.to_string_lossy());
        let called =
            scratch.lpu(&["run", &network, "--inputs", &inputs, "--on", backend, "--outputs", "y.npy", "--json"]);
        assert_eq!(called.status, 0, "{}", called.stderr);
        assert!(called.json()["cycles_predicted"].as_u64().unwrap() <= 2800);
        assert_eq!(conformance::rows(&scratch.path("y.npy")).unwrap(), conformance::rows(&outputs).unwrap());
    }
}
