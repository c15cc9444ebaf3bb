//! `lpu serve-sim`: a simulated board behind a pseudo-terminal.

use crate::cache;
use crate::failure::{Failure, Verdict};
use crate::link::{Terminal, build_board, clocks_per_bit_range};
use crate::machine::OptionalMachine;
use crate::output::print;
use crate::witnesses::rtl_failed;
use lpu_sim::board::line::Symbol;
use lpu_sim::board::{FASTEST, SimulatedBoard};
use lpu_sim::verilated::ModelError;
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Clock cycles that the board goes on after the last byte: runs come to their end, and the processor to rest.
const CYCLES_OF_SILENCE: u64 = 1 << 20;
/// Clock cycles between two looks at the terminal.
const CYCLES_A_LOOK: u32 = 4096;
/// How long one look takes while the board rests.
const REST: Duration = Duration::from_millis(500);

/// Simulate a board and serve it at a pseudo-terminal, until interrupted
///
/// The first line on standard output is the terminal's path: `lpu run … --on board --port PATH`, or any other program, talks to
/// the board there. Whoever opens it later finds the board as the one before has left it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = cache::HELP)]
pub struct Arguments {
    #[command(flatten)]
    machine: OptionalMachine,
    /// Clock cycles to a bit of the line
    #[arg(long, value_name = "N", default_value_t = FASTEST, value_parser = clocks_per_bit_range())]
    clocks_per_bit: u32,
    /// Print the first line as one JSON object: port, board, clocks_per_bit
    #[arg(long)]
    json: bool,
}

/// What `--json` prints, on one line. The names are a contract.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    /// Path of the pseudo-terminal.
    port: &'a str,
    /// Name of the board or configuration.
    board: &'a str,
    /// Clock cycles to a bit of the line.
    clocks_per_bit: u32,
}

/// Serves.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = arguments.machine.resolve()?;
    let library = build_board(&machine.configuration, arguments.clocks_per_bit)?;
    let mut board =
        SimulatedBoard::new(&library, arguments.clocks_per_bit).map_err(|error| rtl_failed(&error.into()))?;
    let terminal = Terminal::new().map_err(|error| {
        let help = "check that /dev/pts is mounted and that the system has pseudo-terminals left";
        Failure::new("no pseudo-terminal can be made", "/dev/ptmx", error, help)
    })?;
    let ready = Ready { port: terminal.path(), board: &machine.name, clocks_per_bit: arguments.clocks_per_bit };
    let line = if arguments.json { serde_json::to_string(&ready).unwrap_or_default() } else { ready.port.to_string() };
    print(&format!("{line}\n"))?;
    loop {
        serve(&mut board, &terminal)?;
    }
}

/// Waits for bytes, lets the board work on them, sends its answers, until it has been left alone for long enough.
fn serve(board: &mut SimulatedBoard, terminal: &Terminal) -> Result<(), Failure> {
    let terminal_failed = |error: io::Error| {
        Failure::new("the simulated board cannot be served", terminal.path(), error, "start `lpu serve-sim` again")
    };
    let model_failed = |error: ModelError| rtl_failed(&error.into());
    let mut buffer = [0; 512];
    let mut awake = 0;
    loop {
        let time = if awake > 0 { Duration::ZERO } else { REST };
        let count = terminal.receive(&mut buffer, time).map_err(terminal_failed)?;
        if count > 0 {
            let symbols: Vec<Symbol> = buffer[..count].iter().map(|&byte| byte.into()).collect();
            board.line().send(&symbols).map_err(model_failed)?;
            awake = CYCLES_OF_SILENCE;
        } else if awake > 0 {
            board.line().wait(CYCLES_A_LOOK).map_err(model_failed)?;
            awake = awake.saturating_sub(u64::from(CYCLES_A_LOOK));
        } else {
            terminal.release();
            return Ok(());
        }
        terminal.send(&board.line().take_received()).map_err(terminal_failed)?;
    }
}
