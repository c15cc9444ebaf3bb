//! The driver without an operating system: `firmware/riscv` on a RISC-V core, against the codec's vectors and a simulated LPU.

#![allow(clippy::unwrap_used)]

mod core;

use crate::core::{Core, Stop};
use lpu_compiler::graph::Graph;
use lpu_compiler::import::read_model;
use lpu_firmware::{Device, Machine, MachineStatus};
use lpu_isa::configuration::Configuration;
use lpu_sim::golden;
use lpu_sim::rtl::port::HostPort;
use lpu_tests::c_program::c_program;
use lpu_tests::conformance::rows;
use lpu_tests::random::Random;
use lpu_tests::witnesses::{compile_and_check, library};
use std::collections::VecDeque;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Instructions that any of the runs takes at most.
const PATIENCE: u64 = 400_000_000;

/// The compiler for RISC-V, or a message that says what is skipped without it.
fn compiler(what: &str) -> Option<String> {
    let name = std::env::var("LPU_RISCV_GCC").unwrap_or_else(|_| "riscv64-unknown-elf-gcc".into());
    let works =
        Command::new(&name).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !works {
        eprintln!(
            "skipped: {what} needs a compiler for RISC-V: install riscv64-unknown-elf-gcc (Debian: gcc-riscv64-unknown-elf) \
             or name it with LPU_RISCV_GCC"
        );
    }
    works.then_some(name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Calls the folder's own makefile for `target`.
fn make(target: &str, out: &Path, variables: &[String]) {
    let mut command = Command::new("make");
    command.arg("-C").arg(root().join("firmware/riscv")).arg(target).arg(format!("OUT={}", out.display()));
    let output = command.args(variables).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The codec's vectors: for each what arrives on the wire and what `check_codec.c` says about it.
fn vectors() -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = std::fs::read_to_string(root().join("firmware/tests/vectors.txt")).unwrap();
    let mut vectors = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [sequence, command, payload, wire] = fields[..] else { panic!("{line}") };
        let (payload, wire) = (unhex(payload), unhex(wire));
        let sequence: u32 = sequence.parse().unwrap();
        let mut expected = vec![b'F'];
        expected.extend(sequence.to_le_bytes());
        expected.extend([u8::from_str_radix(command, 16).unwrap(), payload.len() as u8]);
        expected.extend(&payload);
        expected.extend((wire.len() as u16).to_le_bytes());
        expected.extend(&wire);
        vectors.push((wire, expected));
    }
    assert!(vectors.len() >= 10);
    vectors
}

fn unhex(text: &str) -> Vec<u8> {
    let text = if text == "-" { "" } else { text };
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// All vectors, then all with a bit flipped, which are no frames, then the first again.
fn wire_and_answers() -> (Vec<u8>, Vec<u8>) {
    let vectors = vectors();
    let (mut wire, mut answers) = (Vec::new(), Vec::new());
    for (bytes, expected) in &vectors {
        wire.extend(bytes);
        answers.extend(expected);
    }
    for (number, (bytes, _)) in vectors.iter().enumerate() {
        // Not a zero, and none that becomes one: the frame stays one piece.
        let inside = 3..bytes.len() - 1;
        let place = inside.clone().cycle().skip(number % inside.len()).find(|&place| bytes[place] != 0x10).unwrap();
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        wire.extend(damaged);
        answers.push(b'D');
    }
    wire.extend(&vectors[0].0);
    answers.extend(&vectors[0].1);
    (wire, answers)
}

#[test]
fn the_codec_in_c_passes_the_vectors_on_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    make("native", directory.path(), &[]);
    let (wire, answers) = wire_and_answers();
    let program = directory.path().join("check_codec");
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&wire).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == answers, "{:02x?}\ninstead of\n{answers:02x?}", output.stdout);
}

#[test]
fn the_codec_in_c_passes_the_vectors_on_risc_v() {
    let Some(gcc) = compiler("the codec on RISC-V") else { return };
    let directory = tempfile::tempdir().unwrap();
    make("codec", directory.path(), &[format!("RISCV={gcc}")]);
    let mut core = Core::new(&std::fs::read(directory.path().join("check_codec.bin")).unwrap());
    let (wire, answers) = wire_and_answers();
    core.line.arriving.extend(wire);
    let mut said = Vec::new();
    for _ in 0..PATIENCE {
        assert_eq!(core.step(), None);
        said.extend(core.line.sent.drain(..));
        if said.len() >= answers.len() {
            break;
        }
    }
    assert!(said == answers, "{said:02x?}\ninstead of\n{answers:02x?}");
}

/// Compiles the example around `program` and runs it against `device` until it shows a number.
fn run<M: Machine>(
    gcc: &str,
    program: &str,
    device: &mut Device<M>,
    mut mischief: impl FnMut(u8) -> Option<u8>,
) -> Stop {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("program.c");
    std::fs::write(&file, program).unwrap();
    make("example", directory.path(), &[format!("RISCV={gcc}"), format!("PROGRAM={}", file.display())]);
    let mut core = Core::new(&std::fs::read(directory.path().join("example.bin")).unwrap());
    for _ in 0..PATIENCE {
        if let Some(stop) = core.step() {
            return stop;
        }
        while let Some(byte) = core.line.sent.pop_front() {
            let answer = mischief(byte).and_then(|byte| device.push(byte));
            core.line.arriving.extend(answer.into_iter().flatten().filter_map(|&byte| mischief(byte)));
        }
    }
    panic!("no end after {PATIENCE} instructions");
}

/// Digits, on the default machine.
fn digits() -> (Graph, Vec<Vec<i8>>, Configuration) {
    let folder = root().join("models/digits");
    let graph = read_model(folder.join("digits.tflite")).unwrap();
    (graph, rows(&folder.join("inputs.npy")).unwrap(), Configuration::default())
}

#[test]
fn a_network_runs_on_the_rtl_from_a_risc_v_core() {
    let Some(gcc) = compiler("the driver on RISC-V") else { return };
    let (graph, inputs, machine) = digits();
    let Some(library) = library(&machine, "the driver on RISC-V").unwrap() else { return };
    let program = compile_and_check(&graph, &machine).unwrap();
    let mut answers = Vec::new();
    for input in &inputs[..3] {
        let mut device = Device::new(HostPort::new(library.instance().unwrap(), &machine, false).unwrap());
        let stop = run(&gcc, &c_program(&program, input).unwrap(), &mut device, Some);
        let logits = golden::run(&graph, input).unwrap();
        let largest = logits.iter().max().unwrap();
        let digit = logits.iter().position(|logit| logit == largest).unwrap();
        assert_eq!(stop, Stop::Shown(digit as u32));
        answers.push(digit);
    }
    answers.dedup();
    assert!(answers.len() > 1, "all images are the same digit");
}

/// A machine that writes down what it is told.
#[derive(Default)]
struct Journal {
    told: VecDeque<(u8, u32, Vec<u32>)>,
    starts: u32,
}

impl Machine for Journal {
    fn write(&mut self, unit: u8, address: u32, _chunks: u8, words: &[u32]) {
        self.told.push_back((unit, address, words.to_vec()));
    }

    fn start(&mut self, _entry: u32) {
        self.starts += 1;
    }

    fn status(&mut self) -> MachineStatus {
        MachineStatus { done: self.starts > 0, ..MachineStatus::default() }
    }

    fn read(&mut self, _unit: u8, _address: u32, _words: &mut [u32]) {}
}

#[test]
fn a_bad_line_costs_the_risc_v_driver_time_and_nothing_else() {
    let Some(gcc) = compiler("the driver on RISC-V") else { return };
    let (graph, inputs, machine) = digits();
    let program = c_program(&compile_and_check(&graph, &machine).unwrap(), &inputs[0]).unwrap();
    let told = |chance: usize| {
        let mut device = Device::new(Journal::default());
        let mut random = Random::new(11);
        let mut harmed = 0;
        let stop = run(&gcc, &program, &mut device, |byte| match random.below(1000) {
            number if number < chance => {
                harmed += 1;
                random.coin().then(|| byte ^ 1 << random.below(8))
            }
            _ => Some(byte),
        });
        // All outputs are zero: the first is the largest.
        assert_eq!((stop, device.machine().starts), (Stop::Shown(0), 1));
        assert_eq!(harmed > 0, chance > 0);
        std::mem::take(&mut device.machine_mut().told)
    };
    let expected = told(0);
    assert!(expected.len() > 10);
    assert_eq!(told(1), expected);
}

#[test]
fn a_dead_line_is_reported() {
    let Some(gcc) = compiler("the driver on RISC-V") else { return };
    let (graph, inputs, machine) = digits();
    let program = c_program(&compile_and_check(&graph, &machine).unwrap(), &inputs[0]).unwrap();
    let stop = run(&gcc, &program, &mut Device::new(Journal::default()), |_| None);
    // BOARD_FAILED and LPU_NO_ANSWER.
    assert_eq!(stop, Stop::Shown(0x80 | 1));
}
