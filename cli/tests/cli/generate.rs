//! `lpu generate`.

use crate::support::{Scratch, names};
use expect_test::expect;
use serde_json::Value;
use std::fs;

const GENERATE: [&str; 5] = ["generate", "--board", "ulx3s-12f", "--out", "g"];

fn manifest(scratch: &Scratch) -> Value {
    serde_json::from_str(&fs::read_to_string(scratch.path("g/manifest.json")).unwrap()).unwrap()
}

#[test]
fn the_manifest_lists_every_file_with_its_hash() {
    let scratch = Scratch::new();
    assert_eq!(scratch.lpu(&GENERATE).status, 0);
    assert_eq!(names(&scratch.path("g")), ["behavioural", "constraints", "ecp5", "manifest.json", "rtl"]);
    let manifest = manifest(&scratch);
    let mut listed = 0;
    for file in manifest["files"].as_array().unwrap() {
        let text = fs::read(scratch.path("g").join(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(file["blake3"].as_str().unwrap(), blake3::hash(&text).to_hex().to_string());
        listed += 1;
    }
    let below = |name: &str| names(&scratch.path("g").join(name)).len();
    assert_eq!(listed, ["rtl", "behavioural", "ecp5", "constraints"].map(below).iter().sum::<usize>());
    assert_eq!(manifest["resources"]["multipliers"], 27);
    assert_eq!(manifest["resources"]["block_rams"], 49);
    assert_eq!(manifest["configuration"]["tiles"], 6);
    assert_eq!(manifest["latency"]["crossbar"], 2);
    assert_eq!(manifest["memories"][0]["words"], 2560);
    assert_eq!(manifest["instructions"][0]["fields"][0]["name"], "opcode");
    let clock = fs::read_to_string(scratch.path("g/constraints/lpu.lpf")).unwrap();
    assert!(clock.contains("FREQUENCY PORT \"clk\" 125 MHZ;"), "{clock}");
}

#[test]
fn the_same_input_gives_the_same_bytes_and_replaces_an_earlier_output() {
    let scratch = Scratch::new();
    scratch.lpu(&GENERATE);
    let first = fs::read(scratch.path("g/manifest.json")).unwrap();
    let again = scratch.lpu(&GENERATE);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(fs::read(scratch.path("g/manifest.json")).unwrap(), first);
    // Another machine leaves no file of the first behind.
    scratch.lpu(&["generate", "--board", "icebreaker", "--out", "g"]);
    assert_eq!(names(&scratch.path("g/constraints")), ["lpu.pcf"]);
    assert_eq!(scratch.names(), ["g"]);
}

#[test]
fn an_empty_directory_is_filled() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("g")).unwrap();
    assert_eq!(scratch.lpu(&GENERATE).status, 0);
    assert_eq!(manifest(&scratch)["name"], "ulx3s-12f");
}

#[test]
fn what_generate_did_not_write_is_never_removed() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("g")).unwrap();
    scratch.write("g/thesis.txt", "years");
    expect![[r#"
        error: the output directory cannot be written
          where: g
          why:   it is not empty, and without a manifest.json of `lpu generate`
          help:  name another directory, or remove by hand what `lpu generate` did not write
    "#]]
    .assert_eq(scratch.lpu(&GENERATE).refusal());
    fs::remove_file(scratch.path("g/thesis.txt")).unwrap();
    scratch.lpu(&GENERATE);
    scratch.write("g/rtl/thesis.txt", "years");
    expect![[r#"
        error: the output directory cannot be written
          where: g
          why:   it holds `rtl/thesis.txt`, which `lpu generate` did not write
          help:  name another directory, or remove by hand what `lpu generate` did not write
    "#]]
    .assert_eq(scratch.lpu(&GENERATE).refusal());
    assert_eq!(fs::read(scratch.path("g/rtl/thesis.txt")).unwrap(), b"years");
    scratch.write("file", "text");
    expect![[r#"
        error: the output directory cannot be written
          where: file
          why:   a file stands there
          help:  name a directory
    "#]]
    .assert_eq(scratch.lpu(&["generate", "--board", "ulx3s-12f", "--out", "file"]).refusal());
    expect![[r#"
        error: the output directory cannot be written
          where: .
          why:   it is the current directory or one above it, and would be replaced
          help:  run the command from elsewhere, or name a directory below this one
    "#]]
    .assert_eq(scratch.lpu(&["generate", "--board", "ulx3s-12f", "--out", "."]).refusal());
    assert_eq!(scratch.names(), ["file", "g"]);
}

#[test]
fn a_board_file_of_ones_own_brings_its_clock_and_a_bare_configuration_none() {
    let scratch = Scratch::new();
    let board = include_str!("../../../constraints/tangnano20k/board.toml");
    scratch.write("mine.toml", board.replace("clock_mhz = 100.0", "clock_mhz = 80.0"));
    scratch.lpu(&["generate", "--config", "mine.toml", "--out", "g"]);
    assert_eq!(
        (&manifest(&scratch)["name"], &manifest(&scratch)["board"]["clock_mhz"]),
        (&"mine".into(), &80.0.into())
    );
    let (_, bare) = board.split_once("[configuration]").unwrap();
    scratch.write("bare.toml", bare.replace("[configuration.", "["));
    let called = scratch.lpu(&["generate", "--config", "bare.toml", "--out", "g"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    assert_eq!(manifest(&scratch)["board"], Value::Null);
    assert_eq!(names(&scratch.path("g")), ["behavioural", "ecp5", "manifest.json", "rtl"]);
}
