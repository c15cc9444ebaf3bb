//! `lpu build` and `lpu flash` without the tools that they drive: arguments, pin files, estimates, tools of other versions.

use crate::support::Scratch;
use expect_test::expect;
use std::fs;

/// A board of one's own in the folder `mine`, with these changes to its files.
fn own_board(scratch: &Scratch, board: impl Fn(String) -> String, pins: impl Fn(String) -> String) {
    fs::create_dir(scratch.path("mine")).unwrap();
    let text = include_str!("../../../constraints/ulx3s-12f/board.toml").to_string();
    scratch.write("mine/board.toml", board(text));
    scratch.write("mine/pins.lpf", pins(include_str!("../../../constraints/ulx3s-12f/pins.lpf").to_string()));
}

const OWN: [&str; 3] = ["build", "--config", "mine/board.toml"];

#[test]
fn an_unknown_board() {
    let scratch = Scratch::new();
    let called = scratch.lpu(&["build", "--board", "ulx3s-85g"]);
    assert!(called.refusal().contains("did you mean `ulx3s-85f`?"), "{}", called.stderr);
    assert!(scratch.lpu(&["flash", "--board", "toaster"]).refusal().contains("there is no board `toaster`"));
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn a_board_or_a_configuration_must_be_named() {
    let called = Scratch::new().lpu(&["build", "--json"]);
    assert_eq!(called.status, 2);
    assert!(called.stderr.contains("--board"), "{}", called.stderr);
    let called = Scratch::new().lpu(&["build", "--board", "ulx3s-12f", "--seeds", "0"]);
    assert_eq!(called.status, 2, "{}", called.stderr);
}

#[test]
fn a_pin_that_is_used_twice() {
    let scratch = Scratch::new();
    own_board(&scratch, |board| board, |pins| pins.replace("SITE \"B2\"", "SITE \"L4\""));
    expect![[r#"
        error: the pin file cannot be used
          where: mine/pins.lpf, line 17
          why:   `led` stands on pin L4, which line 14 has given to `tx`
          help:  give each of oscillator, rx, tx, led a pin of its own
    "#]]
    .assert_eq(scratch.lpu(&OWN).refusal());
    assert_eq!(scratch.names(), ["mine"]);
}

#[test]
fn a_port_without_a_pin_and_a_missing_pin_file() {
    let scratch = Scratch::new();
    own_board(&scratch, |board| board, |pins| pins.replace("LOCATE COMP \"led\"", "# LOCATE COMP \"led\""));
    expect![[r#"
        error: the pin file cannot be used
          where: mine/pins.lpf
          why:   port `led` has no pin
          help:  give each of oscillator, rx, tx, led a pin of its own
    "#]]
    .assert_eq(scratch.lpu(&OWN).refusal());
    fs::remove_file(scratch.path("mine/pins.lpf")).unwrap();
    expect![[r#"
        error: the board has no pin file that can be read
          where: mine/pins.lpf
          why:   No such file or directory (os error 2)
          help:  put the pin file beside mine/board.toml; docs/boards.md shows one
    "#]]
    .assert_eq(scratch.lpu(&OWN).refusal());
}

/// The machine of `ulx3s-12f` without its board.
fn bare_configuration() -> String {
    let (_, bare) = include_str!("../../../constraints/ulx3s-12f/board.toml").split_once("[configuration]").unwrap();
    bare.replace("[configuration.", "[")
}

#[test]
fn a_configuration_is_no_board() {
    let scratch = Scratch::new();
    let bare = bare_configuration();
    scratch.write("bare.toml", bare);
    expect![[r#"
        error: there is no board to build for
          where: bare.toml
          why:   it is a configuration and says nothing about an FPGA or its pins
          help:  add `--board NAME`, or describe a board as docs/boards.md does
    "#]]
    .assert_eq(scratch.lpu(&["build", "--config", "bare.toml"]).refusal());
}

#[test]
fn the_estimate_runs_no_tool_and_counts_what_is_exact() {
    let scratch = Scratch::new();
    let missing = [("LPU_YOSYS", "/no/such/yosys")];
    let called = scratch.lpu_with(&["build", "--board", "ulx3s-12f", "--estimate", "--json"], &missing);
    assert_eq!(called.status, 0, "{}", called.stderr);
    let estimate = called.json();
    let configuration = &estimate["configuration"];
    let count = |field: &str| configuration[field].as_u64().unwrap();
    assert_eq!(estimate["dsp"], 4 * count("tiles") + 3 * count("scale_multiplier_lanes"));
    assert!(estimate["lut"].as_u64().unwrap() > 1000 && estimate["block_ram"].as_u64().unwrap() > 10, "{estimate}");
    let called = scratch.lpu(&["build", "--board", "ulx3s-12f", "--estimate"]);
    assert!(called.stdout.contains("requantiser") && called.stdout.contains("block RAMs"), "{}", called.stdout);
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn a_machine_that_does_not_fit_is_refused_with_one_that_does() {
    let scratch = Scratch::new();
    let bare = bare_configuration();
    let tiles = bare.lines().find(|line| line.starts_with("tiles")).unwrap();
    scratch.write("large.toml", bare.replace(tiles, "tiles = 40"));
    let called = scratch.lpu(&["build", "--board", "ulx3s-12f", "--config", "large.toml"]);
    let refusal = called.refusal();
    assert!(refusal.contains("where: large.toml"), "{refusal}");
    assert!(refusal.contains("163 multipliers needed, 28 there: 135 short"), "{refusal}");
    assert!(refusal.contains("the nearest that fits has tiles = "), "{refusal}");
    // What is proposed is accepted.
    let proposed = refusal.split("tiles = ").nth(1).unwrap().split(' ').next().unwrap();
    let depth = |line: &str| -> Option<String> {
        let value = refusal.split(&format!("{line} = ")).nth(1)?.split(' ').next()?;
        Some(format!("{line} = {value}"))
    };
    let mut text = bare.replace(tiles, &format!("tiles = {proposed}"));
    for field in ["weight_depth", "vector_depth", "scale_depth", "queue_depth", "vector_slices", "stream_elements"] {
        if let (Some(new), Some(old)) = (depth(field), text.lines().find(|line| line.starts_with(field))) {
            text = text.replace(&old.to_string(), &new);
        }
    }
    scratch.write("smaller.toml", text);
    let called = scratch.lpu(&["build", "--board", "ulx3s-12f", "--config", "smaller.toml", "--estimate"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
}

#[test]
fn a_missing_tool_and_one_of_another_version() {
    let scratch = Scratch::new();
    let build = ["build", "--board", "ulx3s-12f", "--out", "out"];
    let others = [("LPU_NEXTPNR_ECP5", "/no/such/nextpnr"), ("LPU_ECPPACK", "/no/such/ecppack")];
    let called = scratch.lpu_with(&build, &[&[("LPU_YOSYS", "/no/such/yosys")], &others[..]].concat());
    expect![[r#"
        error: yosys cannot be found
          where: LPU_YOSYS=/no/such/yosys
          why:   there is no such file
          help:  unset LPU_YOSYS, or correct it
    "#]]
    .assert_eq(called.refusal());
    let yosys = script(&scratch, "yosys", "echo 'Yosys 0.23 (git sha1 abc)'");
    let called = scratch.lpu_with(&build, &[&[("LPU_YOSYS", yosys.as_str())], &others[..]].concat());
    expect![[r#"
        error: yosys is of another version
          where: LPU_YOSYS=DIR/yosys
          why:   it is version 0.23, and the pinned version is 0.70
          help:  unset LPU_YOSYS to use the pinned one, or allow any with `--any-tools`
    "#]]
    .assert_eq(called.refusal());
    let called = scratch
        .lpu_with(&[&build[..], &["--any-tools"]].concat(), &[&[("LPU_YOSYS", yosys.as_str())], &others[..]].concat());
    assert!(called.refusal().contains("nextpnr-ecp5 cannot be found"), "{}", called.stderr);
    assert_eq!(scratch.names(), ["yosys"]);
}

/// An executable that does this, for a tool.
fn script(scratch: &Scratch, name: &str, body: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    scratch.write(name, format!("#!/bin/sh\n{body}\n"));
    fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    scratch.path(name).display().to_string()
}

/// Stands for all three tools: a report of 100 MHz, a bitstream that says which seed made it.
const PRETENDER: &str = r#"
case "$*" in
  -V) echo 'Yosys 0.70' ;;
  --version) echo 'Version nextpnr-0.11.1 ecppack Version 1.4-82-g3afe7b5' ;;
  -s*) echo '{"creator": "x", "modules": {"board": {"cells": {"lpu.crossbar.a_LUT4_Z": {"type": "LUT4"}}}}}' >netlist.json ;;
  *--report*)
    seed=$(echo "$*" | sed 's/.*--seed \([0-9]*\).*/\1/')
    end='"port": "Q"}'
    cell="{\"cell\": \"lpu.slice_$seed.address_TRELLIS_FF_Q\", $end"
    step="{\"delay\": 4.5, \"from\": $cell, \"to\": $cell, \"type\": \"logic\"}"
    path="{\"from\": \"posedge c\", \"to\": \"posedge c\", \"path\": [$step]}"
    fmax="{\"c\": {\"achieved\": 10$seed, \"constraint\": 125}}"
    echo "{\"critical_paths\": [$path], \"fmax\": $fmax, \"utilization\": {\"TRELLIS_COMB\": {\"used\": 1, \"available\": 2}}}" \
      >seed-$seed/report.json
    echo "seed $seed" >seed-$seed/routed.config ;;
  *) for last; do :; done; cp "$(dirname "$last")/routed.config" "$last" ;;
esac"#;

#[test]
fn a_missed_target_has_status_1_its_path_and_all_files() {
    let scratch = Scratch::new();
    let tool = script(&scratch, "tool", PRETENDER);
    let tools = [("LPU_YOSYS", tool.as_str()), ("LPU_NEXTPNR_ECP5", &tool), ("LPU_ECPPACK", &tool)];
    let build = ["build", "--board", "ulx3s-12f", "--out", "out", "--seeds", "3", "--jobs", "2", "--json"];
    let called = scratch.lpu_with(&build, &tools);
    assert_eq!(called.status, 1, "{}", called.stderr);
    assert!(called.stderr.contains("critical path: 4.50 ns"), "{}", called.stderr);
    assert!(called.stderr.contains("from slice 3, address"), "{}", called.stderr);
    let summary = called.json();
    assert_eq!(summary["fmax_mhz"], serde_json::json!([101.0, 102.0, 103.0]));
    assert_eq!((&summary["fmax_median_mhz"], &summary["target_mhz"]), (&102.0.into(), &125.0.into()));
    assert_eq!((&summary["met"], &summary["best_seed"]), (&false.into(), &3.into()));
    assert_eq!(summary["tools"]["nextpnr-ecp5"], "0.11.1");
    assert_eq!(summary["critical_path"]["delay_ns"], 4.5);
    for key in ["lut", "ff", "dsp", "block_ram"] {
        assert!(summary[key].is_u64(), "{key}");
    }
    let written = fs::read_to_string(scratch.path("out/build.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), summary);
    assert_eq!(summary["bitstream"], "ulx3s-12f.bit");
    assert_eq!(fs::read_to_string(scratch.path("out/ulx3s-12f.bit")).unwrap(), "seed 3\n");
    let log = fs::read_to_string(scratch.path("out/logs/place_and_route-2.log")).unwrap();
    assert!(log.starts_with("$ ") && log.contains("--seed 2"), "{log}");
}

#[test]
fn a_tool_that_fails_leaves_its_log_and_nothing_that_looks_complete() {
    let scratch = Scratch::new();
    let good = script(&scratch, "tool", PRETENDER);
    let bad = script(
        &scratch,
        "bad",
        "case \"$*\" in --version) echo 'Version nextpnr-0.11.1' ;; *) echo 'ERROR: no room'; exit 255 ;; esac",
    );
    let build = ["build", "--board", "ulx3s-12f", "--out", "out"];
    let with = |nextpnr: &str| {
        scratch.lpu_with(&build, &[("LPU_YOSYS", good.as_str()), ("LPU_NEXTPNR_ECP5", nextpnr), ("LPU_ECPPACK", &good)])
    };
    assert_eq!(with(&good).status, 1);
    assert!(scratch.path("out/build.json").exists());
    let called = with(&bad);
    assert_eq!(called.status, 1);
    assert!(
        called.stderr.contains("place and route-1 failed") || called.stderr.contains("ERROR: no room"),
        "{}",
        called.stderr
    );
    assert!(called.stderr.contains("out/logs/place_and_route-1.log"), "{}", called.stderr);
    assert!(!scratch.path("out/build.json").exists() && !scratch.path("out/ulx3s-12f.bit").exists());
    assert!(fs::read_to_string(scratch.path("out/logs/place_and_route-1.log")).unwrap().contains("no room"));
}

#[test]
fn the_command_of_a_flash_is_shown_and_a_missing_bitstream_explained() {
    let scratch = Scratch::new();
    let called = scratch.lpu(&["flash", "--board", "tangnano20k", "--bitstream", "x.fs", "--dry-run"]);
    assert_eq!((called.status, called.stdout.as_str()), (0, "openFPGALoader -b tangnano20k x.fs\n"));
    let called = scratch.lpu(&["flash", "--board", "icebreaker", "--dry-run"]);
    assert_eq!(called.stdout, "openFPGALoader -b ice40_generic build/icebreaker/icebreaker.bin\n");
    expect![[r#"
        error: there is no bitstream
          where: build/ulx3s-85f/ulx3s-85f.bit
          why:   there is no such file
          help:  run `lpu build --board ulx3s-85f`, or name another with `--bitstream FILE`
    "#]]
    .assert_eq(scratch.lpu(&["flash", "--board", "ulx3s-85f"]).refusal());
}

#[test]
fn no_board_is_said_as_such() {
    let scratch = Scratch::new();
    scratch.write("x.bit", "bits");
    let says = "case \"$*\" in -V) echo 'openFPGALoader v1.1.1' ;; *) echo 'unable to open ftdi device: -3 (device not found)' >&2; exit 1 ;; esac";
    let loader = script(&scratch, "loader", says);
    let called = scratch
        .lpu_with(&["flash", "--board", "ulx3s-85f", "--bitstream", "x.bit"], &[("LPU_OPENFPGALOADER", &loader)]);
    assert_eq!(called.status, 1);
    expect![[r#"
        error: ulx3s-85f was not programmed
          where: openFPGALoader -b ulx3s x.bit
          why:   no board is attached; it ended with status 1
                 unable to open ftdi device: -3 (device not found)
          help:  plug the board in, and check that the cable carries data and that `lsusb` shows the board
    "#]]
    .assert_eq(&called.stderr);
}
