//! The board's top module.

use super::bit;
use super::frame_engine::frame_engine;
use super::pll::{Pll, PllError};
use super::reset::power_on_reset;
use super::uart::{uart_receiver, uart_transmitter};
use crate::layer::{Design, DesignError, Expr, Module, ModuleBuilder, Type};
use crate::{lpu, primitives};
use lpu_isa::board::Family;
use lpu_isa::configuration::Configuration;
use lpu_isa::host::{BUS_BITS, COMMAND_BITS};
use lpu_isa::identity::identity;
use std::sync::Arc;
use thiserror::Error;

/// Name of the top module.
pub const TOP: &str = "board";

/// Fewest clock cycles to a bit of the line that the receiver can work with.
pub const FEWEST_CLOCKS_PER_BIT: u32 = 4;
/// Most clock cycles to a bit of the line: what the counters hold.
pub const MOST_CLOCKS_PER_BIT: u32 = 1 << 16;

/// By how much the line's speed may miss the one asked for, in percent: half of what a receiver tolerates.
const TOLERANCE_PERCENT: f64 = 2.0;

/// What a board brings beside the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// The loop that makes the clock.
    pub pll: Pll,
    /// Cycles of that clock to a bit of the serial line.
    pub clocks_per_bit: u32,
}

/// Why a board cannot have its clock or its line.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanError {
    /// The clock cannot be made.
    #[error(transparent)]
    Pll(#[from] PllError),
    /// The line is too fast or too slow for the clock, or falls between two numbers of clock cycles.
    #[error(
        "a line of {baud} baud cannot be made from a clock of {clock_mhz} MHz: it takes {FEWEST_CLOCKS_PER_BIT} to \
         {MOST_CLOCKS_PER_BIT} cycles a bit, within {TOLERANCE_PERCENT} %"
    )]
    Baud {
        /// Bits a second asked for.
        baud: u32,
        /// The clock.
        clock_mhz: f64,
    },
}

impl Parameters {
    /// The parameters of a board: frequencies in megahertz, the line's speed in bits a second. The clock is the nearest one that
    /// the family's PLL reaches without exceeding `clock_mhz`, see [`Pll::clock_mhz`].
    ///
    /// # Errors
    /// A clock that the PLL cannot make, or a line that cannot be made from it.
    pub fn plan(family: Family, oscillator_mhz: f64, clock_mhz: f64, baud: u32) -> Result<Parameters, PlanError> {
        let hertz = |mhz: f64| (mhz * 1e6).round() as u64;
        let pll = Pll::new(family, hertz(oscillator_mhz), hertz(clock_mhz))?;
        let clock_mhz = pll.clock_mhz();
        let exact = clock_mhz * 1e6 / f64::from(baud);
        let rounded = exact.round();
        let allowed = f64::from(FEWEST_CLOCKS_PER_BIT)..=f64::from(MOST_CLOCKS_PER_BIT);
        if !allowed.contains(&rounded) || (rounded / exact - 1.0).abs() * 100.0 > TOLERANCE_PERCENT {
            return Err(PlanError::Baud { baud, clock_mhz });
        }
        Ok(Parameters { pll, clocks_per_bit: rounded as u32 })
    }

    /// Parameters for simulation, where the clock is the oscillator: any PLL, and a line of so many cycles a bit, within
    /// [`FEWEST_CLOCKS_PER_BIT`] and [`MOST_CLOCKS_PER_BIT`].
    #[must_use]
    pub fn simulated(clocks_per_bit: u32) -> Parameters {
        let pll = Pll { family: Family::Ecp5, oscillator_hz: 25_000_000, reference: 1, feedback: 6, post: 4 };
        let clocks_per_bit = clocks_per_bit.clamp(FEWEST_CLOCKS_PER_BIT, MOST_CLOCKS_PER_BIT);
        Parameters { pll, clocks_per_bit }
    }
}

/// The design of a board: the LPU of `configuration` with its clock and its host link, ready to be written.
///
/// Ports: `oscillator`, the clock pin; `rx`, the line from the host; `tx`, the line to the host; `led`, high while the machine
/// is idle and low while it runs (on boards whose lamp is on at low, it is on while the machine runs).
///
/// # Errors
/// A mistake in the description of the hardware; none is known for a checked configuration.
pub fn design(configuration: &Configuration, parameters: &Parameters) -> Result<Design, DesignError> {
    Design::new(top(configuration, parameters)?)
}

/// The top module.
///
/// # Errors
/// None for a checked configuration.
pub fn top(configuration: &Configuration, parameters: &Parameters) -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new(TOP);
    m.describe("An LPU with its clock, its reset and the serial line to the host: what a bitstream holds.");
    m.section("Board");
    let oscillator = m.input("oscillator", bit());
    let rx = m.input("rx", bit());
    let tx = m.output("tx", bit());
    let led = m.output("led", bit());
    m.section("Clock");
    let pll = m.instance("pll", &primitives::pll(&parameters.pll), vec![("oscillator", oscillator.into())])?;
    let clock = pll.output("clock");
    let locked = pll.output("locked");
    let reset =
        m.instance("power_on_reset", &power_on_reset()?, vec![("clk", (&clock).into()), ("locked", locked.into())])?;
    let reset = reset.output("active");
    let clocked = |mut inputs: Vec<(&'static str, Expr)>| {
        inputs.extend([("clk", Expr::from(&clock)), ("reset", Expr::from(&reset))]);
        inputs
    };
    m.section("Line");
    let receiver = uart_receiver(parameters.clocks_per_bit)?;
    let receiver = m.instance("receiver", &receiver, clocked(vec![("rx", rx.into())]))?;
    let tx_byte = m.undriven_wire("tx_byte", Type::bits(8));
    let tx_valid = m.undriven_wire("tx_valid", bit());
    let transmitter = uart_transmitter(parameters.clocks_per_bit)?;
    let bytes = vec![("data", Expr::from(&tx_byte)), ("valid", Expr::from(&tx_valid))];
    let transmitter = m.instance("transmitter", &transmitter, clocked(bytes))?;
    m.drive(&tx, transmitter.output("tx"));
    m.section("Machine");
    let command = m.undriven_wire("host_command", Type::bits(COMMAND_BITS as usize));
    let data = m.undriven_wire("host_data", Type::bits(BUS_BITS as usize));
    let inputs = clocked(vec![("host_command", Expr::from(&command)), ("host_data", Expr::from(&data))]);
    let machine = m.instance("lpu", &lpu::top::top(configuration)?, inputs)?;
    m.drive(&led, machine.output("done"));
    m.section("Link");
    let inputs = clocked(vec![
        ("rx_byte", receiver.output("data").into()),
        ("rx_valid", receiver.output("valid").into()),
        ("tx_ready", transmitter.output("ready").into()),
        ("host_read_valid", machine.output("host_read_valid").into()),
        ("host_read_data", machine.output("host_read_data").into()),
        ("done", machine.output("done").into()),
        ("cycles", machine.output("cycles").into()),
    ]);
    let engine = m.instance("link", &frame_engine(configuration, identity(configuration))?, inputs)?;
    for (target, port) in
        [(&tx_byte, "tx_byte"), (&tx_valid, "tx_valid"), (&command, "host_command"), (&data, "host_data")]
    {
        m.drive(target, engine.output(port));
    }
    m.finish()
}
