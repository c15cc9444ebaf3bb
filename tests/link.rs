//! The host link under faults: ten thousand requests through the device in Rust, and ten thousand down the serial line of the
//! simulated board. No word is wrong, no run is started twice, nothing is lost.
#![allow(clippy::unwrap_used)]

use lpu_compiler::import::read_model;
use lpu_firmware::{Device, Driver, Link, MAX_ENCODED, Patience};
use lpu_isa::configuration::Configuration;
use lpu_sim::board::line::Symbol;
use lpu_sim::board::{FASTEST, SimulatedBoard, library};
use lpu_sim::golden;
use lpu_sim::link::{Faults, Faulty, Host, HostError, Injected, Metered};
use lpu_sim::verilated::ModelError;
use lpu_tests::link::{Done, Memories, load_halts, tiny, work};
use lpu_tests::machines::small;
use lpu_tests::random::Random;
use lpu_tests::witnesses::{cache, toolchain};
use std::collections::VecDeque;
use std::convert::Infallible;

const PATIENT: Patience = Patience { retries: 100, empty_reads: 1, bytes: 16 * MAX_ENCODED };

/// A line without faults to a device in the same process.
struct InMemory {
    device: Device<Memories>,
    answers: VecDeque<u8>,
}

impl Link for InMemory {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for &byte in bytes {
            if let Some(answer) = self.device.push(byte) {
                self.answers.extend(answer);
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let count = buffer.len().min(self.answers.len());
        for (slot, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

/// Every kind of fault has happened at least `least` times.
fn assert_rough(injected: Injected, least: u64) {
    let Injected { flipped, dropped, added, truncated, repeated, held, paused } = injected;
    let counts = [flipped, dropped, added, truncated, repeated, held, paused];
    assert!(counts.iter().all(|&count| count >= least), "the link was not rough: {injected:?}");
}

/// The board of `configuration`; `None`, with a message, where there is no Verilator.
fn board(configuration: &Configuration, what: &str) -> Option<SimulatedBoard> {
    toolchain(what)?;
    let library = library(configuration, FASTEST, &cache()).unwrap();
    Some(SimulatedBoard::new(&library, FASTEST).unwrap())
}

#[test]
fn ten_thousand_requests_through_the_device_survive_every_fault() {
    let configuration = tiny();
    let device = Device::new(Memories::new(&configuration));
    let link = Metered::new(Faulty::new(InMemory { device, answers: VecDeque::new() }, Faults::ROUGH, 1));
    let mut driver = Driver::new(link, PATIENT);
    let done = work(&mut driver, &configuration, 10_000, &mut Random::new(2)).unwrap();
    let link = driver.link_mut();
    assert!(link.traffic().repeats > 1000, "{:?}", link.traffic());
    assert_rough(link.inner().injected(), 100);
    assert_eq!(link.inner().inner().device.machine().starts, done.starts);
    assert!(done.compared > 10_000, "{done:?}");
}

#[test]
fn ten_thousand_requests_down_the_serial_line_of_the_board_survive_every_fault() {
    let configuration = tiny();
    let Some(board) = board(&configuration, "10,000 requests through the board") else { return };
    let mut driver = Driver::new(Metered::new(Faulty::new(board, Faults::default(), 3)), PATIENT);
    load_halts(&mut driver, &configuration).unwrap();
    driver.link_mut().inner().set_faults(Faults::ROUGH);
    let done = work(&mut driver, &configuration, 10_000, &mut Random::new(4)).unwrap();
    let link = driver.link_mut();
    assert!(link.traffic().repeats > 1000, "{:?}", link.traffic());
    assert_rough(link.inner().injected(), 100);
    assert_eq!(u64::from(link.inner().inner().starts()), done.starts, "every run once");
    assert!(done.compared > 10_000, "{done:?}");
}

/// The line itself is bad: silence between the bytes of a frame, stop bits that are low, a rate that is off.
struct BadLine {
    board: SimulatedBoard,
    random: Random,
    broken: u64,
}

impl Link for BadLine {
    type Error = ModelError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        // Within what four samples a bit can follow over a byte.
        self.board.line().set_clocks_a_bit(f64::from(FASTEST) * (1.0 + 0.01 * f64::from(self.random.unit())))?;
        let symbol = |&byte: &u8| {
            let broken = self.random.below(1000) == 0;
            self.broken += u64::from(broken);
            let pause = if self.random.below(100) == 0 { self.random.within(1, 500) as u16 } else { 0 };
            Symbol { byte, broken, pause: if broken { 20 } else { pause } }
        };
        let symbols: Vec<Symbol> = bytes.iter().map(symbol).collect();
        self.board.line().send(&symbols)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ModelError> {
        self.board.read(buffer)
    }
}

#[test]
fn pauses_inside_frames_and_broken_bytes_and_a_drifting_rate_change_no_result() {
    let configuration = tiny();
    let Some(board) = board(&configuration, "the board at a bad line") else { return };
    let link = BadLine { board, random: Random::new(5), broken: 0 };
    let mut driver = Driver::new(Metered::new(link), PATIENT);
    load_halts(&mut driver, &configuration).unwrap();
    let done = work(&mut driver, &configuration, 1000, &mut Random::new(6)).unwrap();
    let link = driver.link_mut();
    assert!(link.inner().broken > 50 && link.traffic().repeats > 20, "{:?}", link.traffic());
    assert_eq!(u64::from(link.inner().board.starts()), done.starts);
}

#[test]
fn an_honest_line_repeats_nothing() {
    let configuration = tiny();
    let Some(board) = board(&configuration, "the board at an honest line") else { return };
    let mut driver = Driver::new(Metered::new(board), Patience::default());
    load_halts(&mut driver, &configuration).unwrap();
    let Done { starts, .. } = work(&mut driver, &configuration, 300, &mut Random::new(7)).unwrap();
    assert_eq!(driver.link_mut().traffic().repeats, 0);
    assert_eq!(u64::from(driver.link_mut().inner().starts()), starts);
}

#[test]
fn a_network_runs_over_a_rough_line_with_the_bits_and_cycles_promised() {
    let configuration = small();
    let Some(board) = board(&configuration, "a network over a rough line") else { return };
    let graph = read_model(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits/digits.tflite")).unwrap();
    let program = lpu_compiler::compile::compile(&graph, &configuration, "test").unwrap();
    let link = Metered::new(Faulty::new(board, Faults::ROUGH, 8));
    let mut host = Host::new(&program, Driver::new(link, PATIENT));
    host.load().unwrap();
    let mut random = Random::new(9);
    let runs = 20;
    for _ in 0..runs {
        let input: Vec<i8> = (0..64).map(|_| random.byte()).collect();
        let (output, cycles) = host.infer(&input).unwrap();
        assert_eq!((output, cycles), (golden::run(&graph, &input).unwrap(), program.cycles));
    }
    let link = host.link_mut();
    assert!(link.traffic().repeats > 10, "{:?}", link.traffic());
    assert_eq!(link.inner().inner().starts(), runs);
}

#[test]
fn a_program_for_another_machine_is_refused_before_anything_is_written() {
    let configuration = tiny();
    let graph = read_model(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits/digits.tflite")).unwrap();
    let program = lpu_compiler::compile::compile(&graph, &Configuration::default(), "test").unwrap();
    let device = Device::new(Memories::new(&configuration));
    let link = Metered::new(InMemory { device, answers: VecDeque::new() });
    let mut host = Host::new(&program, Driver::new(link, Patience::default()));
    let error = host.load().unwrap_err();
    assert!(matches!(error, HostError::OtherMachine { expected, found } if expected != found), "{error}");
    assert_eq!(host.link_mut().traffic().frames, 2, "one to synchronise, one to ask");
}
