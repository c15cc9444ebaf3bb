//! A program and its inputs on the board behind a port.

use super::explain::explain;
use super::port::{BoardLink, LinkError, Opened};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::{count, duration};
use crate::progress::Progress;
use crate::witnesses::{Run, resets};
use lpu_firmware::{Driver, Patience};
use lpu_isa::image::images;
use lpu_isa::program::Program;
use lpu_sim::link::{Host, HostError, Metered, Traffic};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::time::Instant;

/// Patience with a board: a read waits 250 ms, so a request is sent again after a second, and a board that says nothing is given
/// up after nine.
const BOARD: Patience = Patience { retries: 8, empty_reads: 4, bytes: 4096 };
/// Patience with a simulated board, where a read waits for longer than any answer takes.
const SIMULATED: Patience = Patience { retries: 16, empty_reads: 1, bytes: 4096 };

/// What went over the link. The names are a contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkReport {
    /// The port, or `sim`.
    pub port: String,
    /// Bits a second; none where neither a port nor a clock says it.
    pub baud: Option<u32>,
    /// Clock cycles to a bit of a simulated line.
    pub clocks_per_bit: Option<u32>,
    /// Frames sent, for everything, those sent again included.
    pub frames: u64,
    /// Of them, those sent again.
    pub repeats: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes of weights, scales and instructions that were loaded.
    pub loaded_bytes: u64,
    /// Time it took to load them: of the clock for a simulated board (none without one), of the wall for a real one.
    pub load_seconds: Option<f64>,
}

impl LinkReport {
    /// The report in one line.
    pub fn describe(&self) -> String {
        let line = match (self.baud, self.clocks_per_bit) {
            (_, Some(clocks)) => format!("simulated line, {clocks} cycles a bit"),
            (Some(baud), None) => format!("{} at {} baud", self.port, count(u64::from(baud))),
            (None, None) => self.port.clone(),
        };
        let loading = self.load_seconds.map_or(String::new(), |seconds| {
            let rate = self.loaded_bytes as f64 / 1000.0 / seconds.max(1e-9);
            format!(", {} bytes loaded in {} ({rate:.0} KB/s)", count(self.loaded_bytes), duration(seconds))
        });
        format!("{line}, {} frames, {} sent again{loading}", count(self.frames), count(self.repeats))
    }
}

/// Loads `program` over the port, runs `inputs`. State is carried from one to the next, and put back before every `reset_every`-th.
///
/// # Errors
/// No answer, a wrong one, another machine, a port that is lost; a program that does not end, which is a disagreement.
pub fn run_board(
    program: &Program,
    machine: &Machine,
    port: Opened,
    inputs: &[Vec<i8>],
    reset_every: Option<NonZeroUsize>,
) -> Result<Run, Failure> {
    let (mut host, loaded) = load(program, machine, port)?;
    let failed = |error: &HostError<LinkError>, host: &mut Host<'_, Metered<BoardLink>>| {
        explain(error, &loaded.name, machine, host.link_mut())
    };
    let loading_cycles = loaded.cycles;
    let mut run = Run { loading_cycles, ..Run::default() };
    let progress = Progress::bar(inputs.len() as u64, "board");
    let start = Instant::now();
    for (number, input) in inputs.iter().enumerate() {
        if resets(number, reset_every)
            && let Err(error) = host.reset()
        {
            return Err(failed(&error, &mut host));
        }
        let (output, cycles) = match host.infer(input) {
            Ok(result) => result,
            Err(error) => return Err(failed(&error, &mut host)),
        };
        run.outputs.push(output);
        run.cycles.push(cycles);
        progress.step();
    }
    run.seconds = start.elapsed().as_secs_f64();
    run.simulated_cycles = clocks(&mut host) - loading_cycles;
    run.transfer_cycles = run.simulated_cycles.saturating_sub(run.cycles.iter().sum());
    run.link = Some(loaded.report(host.link_mut().traffic()));
    Ok(run)
}

/// How a program came over a port.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The port.
    pub name: String,
    baud: Option<u32>,
    clocks_per_bit: Option<u32>,
    /// Bytes of weights, scales and instructions.
    bytes: u64,
    /// Clock cycles simulated until then; none on a real board.
    cycles: u64,
    seconds: Option<f64>,
}

impl Loaded {
    /// Is the board simulated, and nobody else's?
    pub fn is_simulated(&self) -> bool {
        self.clocks_per_bit.is_some()
    }

    /// The report on the link that has carried `traffic` until now.
    pub fn report(&self, traffic: Traffic) -> LinkReport {
        LinkReport {
            baud: self.baud,
            clocks_per_bit: self.clocks_per_bit,
            frames: traffic.frames,
            repeats: traffic.repeats,
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            loaded_bytes: self.bytes,
            load_seconds: self.seconds,
            port: self.name.clone(),
        }
    }
}

/// Loads `program` over the port.
///
/// # Errors
/// No answer, a wrong one, another machine, a port that is lost.
pub fn load<'a>(
    program: &'a Program,
    machine: &Machine,
    port: Opened,
) -> Result<(Host<'a, Metered<BoardLink>>, Loaded), Failure> {
    let Opened { name, baud, clocks_per_bit, link } = port;
    let patience = if clocks_per_bit.is_some() { SIMULATED } else { BOARD };
    let start = Instant::now();
    let mut host = Host::new(program, Driver::new(Metered::new(link), patience));
    let loading = Progress::spinner(format!("loading the program over {name}"));
    if let Err(error) = host.load() {
        return Err(explain(&error, &name, machine, host.link_mut()));
    }
    drop(loading);
    let cycles = clocks(&mut host);
    let clock = machine.clock_mhz().map(|mhz| mhz * 1e6);
    let seconds = match clocks_per_bit {
        Some(_) => clock.map(|clock| cycles as f64 / clock),
        None => Some(start.elapsed().as_secs_f64()),
    };
    let words: usize = images(program).map_or(0, |images| images.iter().map(|image| image.chunks.len()).sum());
    Ok((host, Loaded { name, baud, clocks_per_bit, bytes: 4 * words as u64, cycles, seconds }))
}

/// Clock cycles simulated so far; none on a real board.
fn clocks(host: &mut Host<'_, Metered<BoardLink>>) -> u64 {
    match host.link_mut().inner() {
        BoardLink::Simulated(board) => board.clocks(),
        BoardLink::Serial(_) => 0,
    }
}
