//! `lpu run --on board` and `lpu serve-sim`.

use crate::support::{Called, Scratch, digits};
use expect_test::expect;
use lpu_tests::witnesses;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A machine that Verilator builds quickly.
const SMALL: &str = "tiles = 6\ndot = 4\nstream_elements = 4\nweight_depth = 1024\nvector_slices = 3\nvector_depth = 64\n\
                     scale_depth = 32\nqueue_depth = 32\n";

fn run_digits(scratch: &Scratch, more: &[&str]) -> Called {
    let (network, inputs) = (digits("digits.tflite"), digits("inputs.npy"));
    scratch.lpu(&[&["run", &network, "--inputs", &inputs, "--on", "board"], more].concat())
}

fn toolchain() -> bool {
    witnesses::toolchain("the board from the command line").is_some()
}

/// A simulated board that is served, and ended when it goes out of scope.
struct Served {
    process: Child,
    first_line: String,
}

impl Served {
    fn new(scratch: &Scratch, more: &[&str]) -> Served {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lpu"))
            .args([&["serve-sim", "--config", "small.toml"], more].concat())
            .current_dir(scratch.path(""))
            .env("LPU_CACHE", witnesses::cache())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first_line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first_line).unwrap();
        Served { process, first_line: first_line.trim_end().into() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_simulated_board_gives_the_bits_of_golden_and_counts_its_link() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let called = run_digits(&scratch, &["--port", "sim", "--config", "small.toml", "--outputs", "y.npy", "--json"]);
    assert_eq!((called.status, called.stderr.as_str()), (0, ""));
    let report = called.json();
    assert_eq!(report["backend"], "board");
    assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
    assert_eq!(report["outputs_equal_golden"], true);
    assert!(report["simulated_cycles_per_second"].as_f64().unwrap() > 0.0);
    let link = &report["link"];
    let keys: Vec<&String> = link.as_object().unwrap().keys().collect();
    expect![[r#"["baud", "bytes_received", "bytes_sent", "clocks_per_bit", "frames", "load_seconds", "loaded_bytes", "port", "repeats"]"#]]
        .assert_eq(&format!("{keys:?}"));
    assert_eq!((&link["port"], &link["repeats"], &link["clocks_per_bit"]), (&"sim".into(), &0.into(), &4.into()));
    // Every bit of the line took its time, both ways.
    let bits = 10 * (link["bytes_sent"].as_u64().unwrap() + link["bytes_received"].as_u64().unwrap());
    assert!(report["host_transfer_cycles"].as_u64().unwrap() >= 4 * bits);
    assert_eq!(fs::read(scratch.path("y.npy")).unwrap().len(), fs::read(digits("expected.npy")).unwrap().len());
}

#[test]
fn a_slower_line_takes_the_same_frames_and_more_cycles() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let report = |clocks: &str| {
        let called =
            run_digits(&scratch, &["--port", "sim", "--clocks-per-bit", clocks, "--config", "small.toml", "--json"]);
        assert_eq!(called.status, 0, "{}", called.stderr);
        called.json()
    };
    let (fast, slow) = (report("4"), report("11"));
    assert_eq!(fast["link"]["bytes_sent"], slow["link"]["bytes_sent"]);
    let ratio = slow["host_transfer_cycles"].as_f64().unwrap() / fast["host_transfer_cycles"].as_f64().unwrap();
    // Between the ratio of the bits' lengths, 2.75, and what the cycles beside the line make of it.
    assert!((2.1..2.75).contains(&ratio), "{ratio}");
}

#[test]
fn a_served_board_is_a_port_that_one_program_after_the_other_uses() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let served = Served::new(&scratch, &[]);
    let port = served.first_line.clone();
    assert!(port.starts_with('/'), "{port}");
    for _ in 0..2 {
        let called = run_digits(&scratch, &["--port", &port, "--config", "small.toml", "--json"]);
        assert_eq!((called.status, called.stderr.as_str()), (0, ""));
        let report = called.json();
        assert_eq!(report["cycles_measured"], report["cycles_predicted"]);
        assert_eq!(report["outputs_equal_golden"], true);
        assert_eq!(report["link"]["port"], *port);
        assert!(report["link"]["frames"].as_u64().unwrap() > 64);
        assert!(report["simulated_cycles_per_second"].is_null() && report["host_transfer_cycles"].is_null());
    }
    let other = run_digits(&scratch, &["--port", &port, "--board", "ulx3s-12f"]);
    let refusal = other.refusal();
    assert!(refusal.contains("the board holds another machine") && refusal.contains("ulx3s-12f"), "{refusal}");
    // Who has the port has it alone.
    let taken = File::options().read(true).write(true).open(&port).unwrap();
    taken.lock().unwrap();
    let busy = run_digits(&scratch, &["--port", &port, "--config", "small.toml"]);
    assert!(busy.refusal().contains("another program has the port open"), "{}", busy.stderr);
    drop(taken);
    drop(served);
    let gone = run_digits(&scratch, &["--port", &port, "--config", "small.toml"]);
    assert!(gone.refusal().contains("the board cannot be reached"), "{}", gone.stderr);
}

#[test]
fn a_served_board_introduces_itself_as_json_on_one_line() {
    if !toolchain() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let served = Served::new(&scratch, &["--json", "--clocks-per-bit", "5"]);
    let ready: serde_json::Value = serde_json::from_str(&served.first_line).unwrap();
    assert_eq!((&ready["board"], &ready["clocks_per_bit"]), (&"small".into(), &5.into()));
    assert!(ready["port"].as_str().unwrap().starts_with('/'));
}

#[test]
fn an_absent_port_is_named_with_what_to_do() {
    let refusal = run_digits(&Scratch::new(), &["--port", "/dev/ttyNOWHERE9"]).refusal().to_string();
    for part in ["the board cannot be reached", "where: /dev/ttyNOWHERE9", "there is no such port", "this computer has"]
    {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn a_file_is_no_port() {
    let scratch = Scratch::new();
    scratch.write("port", "");
    let called = run_digits(&scratch, &["--port", "port"]);
    assert!(called.refusal().contains("it is no serial port"), "{}", called.stderr);
    assert_eq!(fs::read(scratch.path("port")).unwrap(), b"");
}

#[test]
fn no_port_a_port_without_a_board_and_a_speed_that_cannot_be_are_refused() {
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    assert!(run_digits(&scratch, &[]).refusal().contains("no port is named"));
    let called = scratch.lpu(&[
        "run",
        &digits("digits.tflite"),
        "--inputs",
        &digits("inputs.npy"),
        "--on",
        "model",
        "--port",
        "sim",
    ]);
    assert!(called.refusal().contains("only a board has a port"), "{}", called.stderr);
    let refusal = |more: &[&str]| run_digits(&scratch, more).refusal().to_string();
    let fast = refusal(&["--port", "sim", "--board", "icebreaker", "--baud", "12000000"]);
    assert!(fast.contains("a bit would take 2 cycles"), "{fast}");
    let bare = refusal(&["--port", "sim", "--config", "small.toml", "--baud", "1000000"]);
    assert!(bare.contains("a bare configuration has no clock"), "{bare}");
    let real = refusal(&["--port", "/dev/null", "--clocks-per-bit", "4"]);
    assert!(real.contains("part of its bitstream"), "{real}");
}

/// Whatever answers, or nothing: both ends of a pseudo-terminal of our own, held by a small script.
#[test]
fn a_silent_port_and_one_that_talks_nonsense_are_told_apart() {
    const SCRIPT: &str = "
import os, sys, termios, tty
ours, theirs = os.openpty()
tty.setraw(theirs)
print(os.ttyname(theirs), flush=True)
while True:
    os.read(ours, 4096)
    if sys.argv[1] == 'nonsense':
        os.write(ours, b'login: \\0 what?')
";
    for (behaviour, parts) in [
        ("silence", ["not one byte came back", "lpu flash --board ulx3s-85f"]),
        ("nonsense", ["no answer is among them; some are", "--baud"]),
    ] {
        let scratch = Scratch::new();
        let process = Command::new("python3").args(["-c", SCRIPT, behaviour]).stdout(Stdio::piped()).spawn();
        let Ok(mut process) = process else { return eprintln!("skipped: no python3") };
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let called = run_digits(&scratch, &["--port", port.trim()]);
        process.kill().unwrap();
        process.wait().unwrap();
        let refusal = called.refusal();
        for part in ["the board does not answer"].iter().chain(&parts) {
            assert!(refusal.contains(part), "{behaviour}: {refusal}");
        }
    }
}
