//! `lpu compile`, `check`, `disasm`, `boards`, `doctor`.

use crate::support::{Scratch, digits};
use expect_test::expect;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn compile_reports_what_the_program_will_cost() {
    let scratch = Scratch::new();
    let called =
        scratch.lpu(&["compile", &digits("digits.tflite"), "--board", "ulx3s-12f", "--out", "p.json", "--json"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    let report = called.json();
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    expect![[r#"["board", "clock_mhz", "cycles_predicted", "layers", "mac_utilization", "macs", "memories", "model", "multipliers", "program", "remarks", "seconds_per_inference", "units"]"#]].assert_eq(&format!("{keys:?}"));
    assert_eq!((&report["macs"], &report["multipliers"]), (&4928.into(), &24.into()));
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers.iter().map(|layer| layer["macs"].as_u64().unwrap()).sum::<u64>(), 4928);
    assert_eq!(report["memories"][0]["available"], 2560);
    let cycles = report["cycles_predicted"].as_f64().unwrap();
    assert_eq!(report["seconds_per_inference"].as_f64().unwrap(), cycles / 125e6);
    for unit in report["units"].as_array().unwrap() {
        // The reader of the JSON may miss a number's last bit.
        let busy = unit["busy_cycles"].as_f64().unwrap() / cycles;
        assert!((unit["utilization"].as_f64().unwrap() - busy).abs() < 1e-12, "{unit}");
    }
}

#[test]
fn compile_for_people_shows_memories_units_and_layers() {
    let scratch = Scratch::new();
    let called = scratch.lpu(&["compile", &digits("digits.tflite"), "--board", "ulx3s-12f", "--out", "p.json"]);
    for part in
        ["predicted cycles", "weight RAM, fullest tile", "requantiser", "fully connected", "accepted by the checker"]
    {
        assert!(called.stdout.contains(part), "{part}: {}", called.stdout);
    }
}

#[test]
fn a_compiled_program_is_accepted_and_a_changed_one_is_not() {
    let scratch = Scratch::new();
    let program = scratch.program("p.json");
    let accepted = scratch.lpu(&["check", &program]);
    assert_eq!(accepted.status, 0, "{}", accepted.stdout);
    assert!(accepted.stdout.starts_with("digits for ulx3s-12f: the schedule is right"), "{}", accepted.stdout);

    // The hidden layer's first read, one cycle later.
    let mut image: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(scratch.path("p.json")).unwrap()).unwrap();
    let queues = image["queues"].as_array_mut().unwrap();
    let read = queues.iter_mut().find(|queue| queue["unit"] == serde_json::json!({ "Read": 1 })).unwrap();
    let interval = &mut read["instructions"][0]["instruction"]["interval"];
    *interval = (interval.as_u64().unwrap() + 1).into();
    scratch.write("late.json", image.to_string());
    let rejected = scratch.lpu(&["check", "late.json"]);
    assert_eq!(rejected.status, 1);
    assert!(rejected.stdout.starts_with("digits for ulx3s-12f: the schedule is wrong"), "{}", rejected.stdout);
    assert!(rejected.stdout.contains("cycle "), "{}", rejected.stdout);
    let json = scratch.lpu(&["check", "late.json", "--json"]);
    assert_eq!((json.status, &json.json()["accepted"]), (1, &false.into()));
    assert!(!json.json()["violations"].as_array().unwrap().is_empty());
}

#[test]
fn a_program_that_contradicts_itself_is_judged_and_not_executed() {
    let scratch = Scratch::new();
    scratch.program("p.json");
    let text = fs::read_to_string(scratch.path("p.json")).unwrap();
    let mut image: serde_json::Value = serde_json::from_str(&text).unwrap();
    image["queues"][0]["instructions"][0]["instruction"]["interval"] = 1_000_000.into();
    scratch.write("wide.json", image.to_string());
    assert_eq!(scratch.lpu(&["check", "wide.json"]).status, 1);
    assert!(scratch.lpu(&["disasm", "wide.json"]).refusal().contains("interval"));
}

#[test]
fn what_is_no_program_is_refused() {
    let scratch = Scratch::new();
    scratch.write("text", "hello");
    scratch.write("other", "{\"format\": 99}");
    expect![[r#"
        error: the program image cannot be used
          where: text
          why:   the program image cannot be read: expected value at line 1 column 1
          help:  compile the network again with this version; `lpu compile … --out PROGRAM` writes program images
    "#]]
    .assert_eq(scratch.lpu(&["check", "text"]).refusal());
    expect![[r#"
        error: the program image cannot be used
          where: other
          why:   the program image has format 99, this version reads format 2
          help:  compile the network again with this version; `lpu compile … --out PROGRAM` writes program images
    "#]]
    .assert_eq(scratch.lpu(&["check", "other"]).refusal());
    expect![[r#"
        error: the program image cannot be used
          where: none
          why:   No such file or directory (os error 2)
          help:  check the path; `lpu compile … --out PROGRAM` writes program images
    "#]]
    .assert_eq(scratch.lpu(&["check", "none"]).refusal());
    for name in ["text", "other", "none"] {
        assert!(scratch.lpu(&["disasm", name]).refusal().contains(&format!("where: {name}")));
    }
}

#[test]
fn disasm_names_every_unit_and_layer() {
    let scratch = Scratch::new();
    let program = scratch.program("p.json");
    let called = scratch.lpu(&["disasm", &program]);
    assert_eq!(called.status, 0);
    for part in ["digits for ulx3s-12f", "tile_group 0", "read 2", "write 0", "requantiser", "vector", "layer=2"] {
        assert!(called.stdout.contains(part), "{part}: {}", called.stdout);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let scratch = Scratch::new();
    scratch.program("p.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_lpu"))
        .args(["check", "p.json"])
        .current_dir(scratch.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert_eq!((child.wait().unwrap().code(), message.as_str()), (Some(0), ""));
}

#[test]
fn boards_lists_every_folder_of_constraints() {
    let scratch = Scratch::new();
    let boards = scratch.lpu(&["boards", "--json"]).json();
    let mut listed: Vec<&str> =
        boards["boards"].as_array().unwrap().iter().map(|board| board["name"].as_str().unwrap()).collect();
    listed.sort_unstable();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../constraints");
    assert_eq!(listed, crate::support::names(&folder));
    let table = scratch.lpu(&["boards"]).stdout;
    assert!(listed.iter().all(|name| table.contains(name)), "{table}");
}

#[test]
fn doctor_names_what_is_missing_and_the_command_that_installs_it() {
    let scratch = Scratch::new();
    let called = scratch.lpu_with(&["doctor"], &[("LPU_VERILATOR", "/nowhere")]);
    assert_eq!(called.status, 1);
    assert!(called.stdout.contains("not possible without Verilator"), "{}", called.stdout);
    assert!(called.stdout.contains("scripts/setup"), "{}", called.stdout);
    let called = scratch.lpu_with(&["doctor", "--json"], &[("CXX", "no-such-compiler")]);
    let report = called.json();
    assert_eq!((called.status, &report["ready_to_simulate"]), (1, &false.into()));
    let compiler = report["tools"].as_array().unwrap().iter().find(|tool| tool["tool"] == "g++").unwrap();
    assert_eq!((&compiler["found"], &compiler["required"]), (&false.into(), &true.into()));
}

#[test]
fn version_and_help_go_to_standard_output() {
    let scratch = Scratch::new();
    let version = scratch.lpu(&["--version"]);
    assert_eq!((version.status, version.stdout), (0, format!("lpu {}\n", env!("CARGO_PKG_VERSION"))));
    let help = scratch.lpu(&["run", "--help"]);
    assert!(help.status == 0 && help.stdout.contains("LPU_CACHE"), "{}", help.stdout);
}
