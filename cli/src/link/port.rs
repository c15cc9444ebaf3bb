//! Which port: that of a board, or a simulated board.

use super::serial::{SerialLink, existing_ports};
use crate::cache;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::witnesses::rtl_failed;
use clap::Args;
use lpu_firmware::Link;
use lpu_hdl::board::top::{FEWEST_CLOCKS_PER_BIT, MOST_CLOCKS_PER_BIT};
use lpu_isa::board::MOST_BAUD;
use lpu_isa::configuration::Configuration;
use lpu_sim::board::{FASTEST, SimulatedBoard, library};
use lpu_sim::verilated::{Library, ModelError};
use std::fmt;

/// The name that stands for a simulated board.
const SIMULATED: &str = "sim";

/// Where the board is.
#[derive(Debug, Args)]
pub struct PortArguments {
    /// The board's serial port, such as /dev/ttyUSB0, or `sim`: the board top simulated down to its serial line
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// Speed of the serial line in bits a second [default: the board's own; for `sim` the fastest that can be simulated]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(300..=12_000_000), conflicts_with = "clocks_per_bit")]
    pub baud: Option<u32>,
    /// Clock cycles to a bit of the simulated line [default: 4]
    #[arg(long, value_name = "N", value_parser = clocks_per_bit_range())]
    pub clocks_per_bit: Option<u32>,
}

/// What `--clocks-per-bit` may be.
pub fn clocks_per_bit_range() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(FEWEST_CLOCKS_PER_BIT)..=i64::from(MOST_CLOCKS_PER_BIT))
}

/// A port that is open: nobody else can use it.
pub struct Opened {
    /// Its name, as given.
    pub name: String,
    /// Bits a second, where they are known.
    pub baud: Option<u32>,
    /// Clock cycles to a bit, where it is simulated.
    pub clocks_per_bit: Option<u32>,
    pub(super) link: BoardLink,
}

/// Bytes to a board and back.
pub enum BoardLink {
    /// A port of this computer.
    Serial(SerialLink),
    /// A model in this process.
    Simulated(Box<SimulatedBoard>),
}

/// Why bytes cannot be carried at all.
#[derive(Debug)]
pub enum LinkError {
    /// The port.
    Port(std::io::Error),
    /// The model.
    Model(ModelError),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Port(error) => error.fmt(f),
            LinkError::Model(error) => error.fmt(f),
        }
    }
}

impl Link for BoardLink {
    type Error = LinkError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        match self {
            BoardLink::Serial(port) => port.write(bytes).map_err(LinkError::Port),
            BoardLink::Simulated(board) => board.write(bytes).map_err(LinkError::Model),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        match self {
            BoardLink::Serial(port) => port.read(buffer).map_err(LinkError::Port),
            BoardLink::Simulated(board) => board.read(buffer).map_err(LinkError::Model),
        }
    }
}

impl PortArguments {
    /// Whether none of them is given.
    pub fn is_empty(&self) -> bool {
        self.port.is_none() && self.baud.is_none() && self.clocks_per_bit.is_none()
    }

    /// What can be said about the arguments before a port is opened or a board built.
    ///
    /// # Errors
    /// No port named; a speed that the line cannot have.
    pub fn check(&self, machine: &Machine) -> Result<(), Failure> {
        let Some(name) = &self.port else {
            let help = format!("give `--port PORT`, {}; `--port sim` simulates the board", existing_ports());
            return Err(Failure::new("no board can be reached", "--port", "no port is named", help));
        };
        if name == SIMULATED {
            return self.simulated_clocks_per_bit(machine).map(|_| ());
        }
        if self.clocks_per_bit.is_some() {
            let help = "give `--baud N` for a board, or `--port sim`";
            let why = "the clock cycles to a bit of a real board are part of its bitstream";
            return Err(Failure::new("the line's speed cannot be set", "--clocks-per-bit", why, help));
        }
        Ok(())
    }

    /// Opens the port of a board with `machine`, or builds and resets a simulated one.
    ///
    /// # Errors
    /// Those of [`check`](Self::check); a port that is absent, busy, forbidden or no serial port; a model that cannot be built.
    pub fn open(&self, machine: &Machine) -> Result<Opened, Failure> {
        self.check(machine)?;
        let name = self.port.clone().unwrap_or_default();
        if name == SIMULATED {
            return self.simulate(name, machine);
        }
        let baud = self.baud.or(machine.board.as_ref().map(|board| board.link.baud)).unwrap_or(MOST_BAUD);
        let link = BoardLink::Serial(SerialLink::open(&name, baud)?);
        Ok(Opened { name, baud: Some(baud), clocks_per_bit: None, link })
    }

    fn simulated_clocks_per_bit(&self, machine: &Machine) -> Result<u32, Failure> {
        match (self.baud, machine.clock_mhz()) {
            (None, _) => Ok(self.clocks_per_bit.unwrap_or(FASTEST)),
            (Some(baud), Some(mhz)) => checked_clocks_per_bit(baud, mhz * 1e6),
            (Some(_), None) => {
                let why = "a bare configuration has no clock that would tell how many cycles a bit takes";
                let help = "give `--clocks-per-bit N`, or a board with `--board NAME`";
                Err(Failure::new("the line's speed cannot be set", "--baud", why, help))
            }
        }
    }

    fn simulate(&self, name: String, machine: &Machine) -> Result<Opened, Failure> {
        let clocks_per_bit = self.simulated_clocks_per_bit(machine)?;
        let library = build_board(&machine.configuration, clocks_per_bit)?;
        let board = SimulatedBoard::new(&library, clocks_per_bit).map_err(|error| rtl_failed(&error.into()))?;
        let baud = machine.clock_mhz().map(|mhz| (mhz * 1e6 / f64::from(clocks_per_bit)).round() as u32);
        let link = BoardLink::Simulated(Box::new(board));
        Ok(Opened { name, baud, clocks_per_bit: Some(clocks_per_bit), link })
    }
}

impl Opened {
    /// Is there a model behind it?
    pub fn is_simulated(&self) -> bool {
        self.clocks_per_bit.is_some()
    }
}

/// Clock cycles to a bit of a line of `baud`, if they are as many as a board can be built with.
fn checked_clocks_per_bit(baud: u32, clock: f64) -> Result<u32, Failure> {
    let clocks = (clock / f64::from(baud)).round();
    if (f64::from(FEWEST_CLOCKS_PER_BIT)..=f64::from(MOST_CLOCKS_PER_BIT)).contains(&clocks) {
        return Ok(clocks as u32);
    }
    let why = format!("a bit would take {clocks} cycles of the {} MHz clock", clock / 1e6);
    let help = format!(
        "choose {} to {} bits a second",
        (clock / f64::from(MOST_CLOCKS_PER_BIT)).ceil(),
        (clock / f64::from(FEWEST_CLOCKS_PER_BIT)).floor()
    );
    Err(Failure::new("the line's speed cannot be simulated", format!("--baud {baud}"), why, help))
}

/// Builds the Verilated board of a configuration, or takes it from the cache.
///
/// # Errors
/// Tools missing or failing, a cache that cannot be written.
pub fn build_board(configuration: &Configuration, clocks_per_bit: u32) -> Result<Library, Failure> {
    let cache = cache::directory()?;
    let _progress = Progress::spinner("building the board with Verilator; once for each configuration");
    library(configuration, clocks_per_bit, &cache).map_err(|error| rtl_failed(&error))
}
