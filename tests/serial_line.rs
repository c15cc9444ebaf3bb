//! The serial line in hardware, sample by sample: what a host's UART sends is received, at speeds that are somewhat off and with
//! spikes on the line, and what is sent has the right shape.
#![allow(clippy::unwrap_used)]

use lpu_hdl::board::uart::{uart_receiver, uart_transmitter};
use lpu_hdl::layer::{Design, Module};
use lpu_sim::verilated::{Library, Model, Port, Source, build};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{cache, toolchain};
use std::sync::Arc;

/// Clocks to a bit: the fewest, an odd number, and those of 3 Mbaud at 150 MHz.
const CLOCKS: [u32; 3] = [4, 9, 50];

/// A model of `module`, after its reset, with the line high.
fn model(module: Arc<Module>) -> Option<Model> {
    let toolchain = toolchain("the serial line")?;
    let design = Design::new(module).unwrap();
    let ports = design.modules().last().unwrap().ports.iter().filter(|port| port.name != "clk").map(|port| {
        let (name, width) = (port.name.as_str(), port.width as u32);
        if port.input { Port::input(name, width) } else { Port::output(name, width) }
    });
    let source = Source {
        files: vec![("serial_line.v".into(), design.single_text())],
        top: design.top_name().into(),
        clock: "clk".into(),
        ports: ports.collect(),
        ..Source::default()
    };
    let library = Library::load(&build(&source, &toolchain, &cache()).unwrap()).unwrap();
    let mut model = library.instance().unwrap();
    let reset = model.port("reset").unwrap();
    if let Ok(rx) = model.port("rx") {
        model.set(rx, 1);
    }
    model.set(reset, 1);
    model.tick(4).unwrap();
    model.set(reset, 0);
    model.tick(8).unwrap();
    Some(model)
}

/// The levels of a byte on the line, bit by bit.
fn bits(byte: u8) -> [bool; 10] {
    let word = 0x200 | u32::from(byte) << 1;
    std::array::from_fn(|bit| word >> bit & 1 != 0)
}

/// A line on which time passes in fractions of a clock.
#[derive(Default)]
struct Wave {
    samples: Vec<u32>,
    /// Where the next level begins, in clocks.
    end: f64,
}

impl Wave {
    fn level(&mut self, level: bool, clocks: f64) {
        self.end += clocks;
        while (self.samples.len() as f64) < self.end {
            self.samples.push(u32::from(level));
        }
    }

    fn byte(&mut self, byte: u8, clocks_per_bit: f64) {
        bits(byte).into_iter().for_each(|level| self.level(level, clocks_per_bit));
    }
}

/// The bytes that the receiver gives for a wave and a quiet line after it.
fn received(model: &mut Model, mut wave: Wave, clocks_per_bit: u32) -> Vec<u8> {
    wave.level(true, 3.0 * f64::from(clocks_per_bit) + 10.0);
    let port = |name: &str| model.port(name).unwrap();
    let (rx, outputs) = (port("rx"), [port("valid"), port("data")]);
    let rows = model.exchange(&[rx], &wave.samples, &outputs).unwrap();
    rows.chunks_exact(2).filter(|row| row[0] != 0).map(|row| row[1] as u8).collect()
}

fn random_bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.bits() as u8).collect()
}

#[test]
fn bytes_are_received_without_a_pause_and_at_speeds_that_are_two_percent_off() {
    let mut random = Random::new(1);
    for clocks_per_bit in CLOCKS {
        let Some(mut model) = model(uart_receiver(clocks_per_bit).unwrap()) else { return };
        for percent in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            // Fewer clocks to a bit leave no room for a line that is off.
            if clocks_per_bit < 8 && percent != 0.0 {
                continue;
            }
            for offset in [0.0, 0.25, 0.5, 0.75] {
                let bytes = random_bytes(&mut random, 30);
                let mut wave = Wave::default();
                wave.level(true, 5.0 + offset);
                let clocks = f64::from(clocks_per_bit) * (1.0 + percent / 100.0);
                bytes.iter().for_each(|&byte| wave.byte(byte, clocks));
                assert_eq!(received(&mut model, wave, clocks_per_bit), bytes, "{clocks_per_bit} clocks, {percent} %");
            }
        }
    }
}

#[test]
fn a_spike_of_one_clock_changes_no_byte() {
    let mut random = Random::new(2);
    let clocks_per_bit = 50;
    let Some(mut model) = model(uart_receiver(clocks_per_bit).unwrap()) else { return };
    for _ in 0..300 {
        let bytes = random_bytes(&mut random, 2);
        let mut wave = Wave::default();
        wave.level(true, 100.0);
        bytes.iter().for_each(|&byte| wave.byte(byte, f64::from(clocks_per_bit)));
        // Anywhere but at the edges of a bit, where one clock more or less is no spike.
        let bit = random.below(wave.samples.len() / 50);
        let at = 50 * bit + random.within(1, 48);
        wave.samples[at] ^= 1;
        assert_eq!(received(&mut model, wave, clocks_per_bit), bytes, "spike at {at}");
    }
}

#[test]
fn a_byte_without_a_stop_bit_is_dropped_and_the_next_one_received() {
    for clocks_per_bit in CLOCKS {
        let Some(mut model) = model(uart_receiver(clocks_per_bit).unwrap()) else { return };
        let clocks = f64::from(clocks_per_bit);
        for broken_bits in [10.0, 11.5, 100.0] {
            let mut wave = Wave::default();
            wave.byte(0x5a, clocks);
            wave.level(false, broken_bits * clocks);
            wave.level(true, 2.0 * clocks);
            wave.byte(0xa5, clocks);
            assert_eq!(received(&mut model, wave, clocks_per_bit), [0x5a, 0xa5], "{clocks_per_bit} clocks");
        }
    }
}

#[test]
fn a_start_bit_that_is_too_short_is_no_byte() {
    let Some(mut model) = model(uart_receiver(50).unwrap()) else { return };
    let mut wave = Wave::default();
    wave.level(true, 100.0);
    wave.level(false, 20.0);
    wave.level(true, 600.0);
    wave.byte(7, 50.0);
    assert_eq!(received(&mut model, wave, 50), [7]);
}

#[test]
fn bytes_are_sent_in_the_shape_of_the_line() {
    let mut random = Random::new(3);
    for clocks_per_bit in CLOCKS {
        let Some(mut model) = model(uart_transmitter(clocks_per_bit).unwrap()) else { return };
        let port = |name: &str| model.port(name).unwrap();
        let (valid, data, ready, tx) = (port("valid"), port("data"), port("ready"), port("tx"));
        assert_eq!((model.get(ready), model.get(tx)), (1, 1), "an idle line is high");
        for byte in [[0x00, 0xff, 0x55].to_vec(), random_bytes(&mut random, 5)].concat() {
            model.set(valid, 1);
            model.set(data, u64::from(byte));
            model.tick(1).unwrap();
            // What is offered while the transmitter is at work does not count.
            model.set(data, u64::from(!byte));
            let mut levels = Vec::new();
            for clock in 0..10 * clocks_per_bit {
                if clock + 1 == 10 * clocks_per_bit {
                    model.set(valid, 0);
                }
                assert_eq!(model.get(ready), 0);
                levels.push(model.get(tx) != 0);
                model.tick(1).unwrap();
            }
            assert_eq!((model.get(ready), model.get(tx)), (1, 1));
            let expected: Vec<bool> =
                bits(byte).into_iter().flat_map(|level| vec![level; clocks_per_bit as usize]).collect();
            assert_eq!(levels, expected, "{byte:#04x} at {clocks_per_bit} clocks");
        }
    }
}
