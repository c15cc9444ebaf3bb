//! The whole board top under Verilator, reached over its serial line alone: clock, reset, UART, frames and LPU as a bitstream
//! holds them. The way of a request: [`lpu_firmware::Driver`] → bytes → bits on `rx`, clock by clock → the emitted Verilog.
//!
//! The clock is the oscillator's (the PLL of a simulated board passes it on), and a bit of the line takes as many clocks as
//! the model was built for: [`FASTEST`] where only the time it takes to simulate counts, the board's own number where the
//! real line is to be measured.
//!
//! | file | concept |
//! | --- | --- |
//! | [`line`](mod@line) | the host's end of the line, bit by bit |

pub mod line;
#[cfg(test)]
mod tests;

use crate::rtl::RtlError;
use crate::verilated::{Library, ModelError, Observed, Port, Source, Toolchain, build};
use line::{CPP, Line, Symbol};
use lpu_firmware::Link;
use lpu_hdl::board::top::{FEWEST_CLOCKS_PER_BIT, Parameters, TOP};
use lpu_hdl::layer::DesignError;
use lpu_isa::configuration::Configuration;
use std::path::Path;

/// Clocks to a bit of the fastest line that a board can be built with.
pub const FASTEST: u32 = FEWEST_CLOCKS_PER_BIT;
/// Bits of a byte on the line, with start and stop.
pub const BITS_A_BYTE: u32 = 10;

/// Clocks that a new model is given until its reset has passed.
const CLOCKS_OF_RESET: u32 = 256;
/// Clocks in which a device surely begins to answer.
const CLOCKS_TO_ANSWER: u32 = 8192;

/// What Verilator is given for a board with this machine, `clocks_per_bit` clocks to a bit of its line.
///
/// # Errors
/// A mistake in the hardware description.
pub fn source(configuration: &Configuration, clocks_per_bit: u32) -> Result<Source, DesignError> {
    let design = lpu_hdl::board::design(configuration, &Parameters::simulated(clocks_per_bit))?;
    let files = design
        .files()
        .into_iter()
        .filter(|(name, _)| name.starts_with("rtl/") || name.starts_with("behavioural/"))
        .map(|(name, text)| (name.rsplit('/').next().unwrap_or(&name).to_string(), text))
        .collect();
    Ok(Source {
        files,
        top: TOP.into(),
        clock: "oscillator".into(),
        ports: vec![Port::input("rx", 1), Port::output("tx", 1), Port::output("led", 1)],
        // The line counts the cycles in which it is set: the runs that were started.
        observed: vec![Observed { path: format!("{TOP}.lpu.host_port_start"), width: 1 }],
        extra_cpp: CPP.into(),
        ..Source::default()
    })
}

/// Builds the model of a board, or takes it from the cache.
///
/// # Errors
/// Tools missing, or Verilator refusing the text.
pub fn library(configuration: &Configuration, clocks_per_bit: u32, cache: &Path) -> Result<Library, RtlError> {
    let source = source(configuration, clocks_per_bit)?;
    Ok(Library::load(&build(&source, &Toolchain::find()?, cache)?)?)
}

/// A simulated board. Time passes while bytes are sent and while an answer is awaited, and not otherwise.
pub struct SimulatedBoard {
    line: Line,
    clocks_per_bit: u32,
    received: Vec<u8>,
}

impl SimulatedBoard {
    /// A new instance of a [`library`] built for `clocks_per_bit`, after its reset.
    ///
    /// # Errors
    /// A failing model.
    pub fn new(library: &Library, clocks_per_bit: u32) -> Result<SimulatedBoard, ModelError> {
        let mut line = Line::new(library.instance()?, "rx", "tx", f64::from(clocks_per_bit))?;
        line.wait(CLOCKS_OF_RESET)?;
        Ok(SimulatedBoard { line, clocks_per_bit, received: Vec::new() })
    }

    /// The host's end of the line.
    pub fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// Clocks simulated so far.
    pub fn clocks(&self) -> u64 {
        self.line.clocks()
    }

    /// Runs started so far.
    pub fn starts(&self) -> u32 {
        self.line.starts()
    }

    /// Bytes that have come and have not been taken, up to the end of an answer; none if none begins in the time that an answer
    /// to a complete request takes to begin.
    ///
    /// # Errors
    /// A failing model.
    pub fn receive(&mut self) -> Result<Vec<u8>, ModelError> {
        let mut bytes = self.line.take_received();
        let mut patience = CLOCKS_TO_ANSWER + 2 * BITS_A_BYTE * self.clocks_per_bit;
        // A frame ends with a zero; the one in front of it stands alone.
        while bytes.len() < 2 || bytes.last() != Some(&0) {
            self.line.wait(patience)?;
            let more = self.line.take_received();
            if more.is_empty() {
                break;
            }
            bytes.extend(more);
            patience = 2 * BITS_A_BYTE * self.clocks_per_bit;
        }
        Ok(bytes)
    }
}

impl Link for SimulatedBoard {
    type Error = ModelError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        let symbols: Vec<Symbol> = bytes.iter().map(|&byte| byte.into()).collect();
        self.line.send(&symbols)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ModelError> {
        if self.received.is_empty() {
            self.received = self.receive()?;
        }
        let count = buffer.len().min(self.received.len());
        for (slot, byte) in buffer.iter_mut().zip(self.received.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}
