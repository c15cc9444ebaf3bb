//! `lpu disasm`: the schedule as text.

use super::{read_text, unreadable};
use crate::failure::{Failure, Verdict};
use crate::output::print;
use lpu_isa::assembly::disassemble;
use lpu_isa::program::Program;
use std::path::PathBuf;

/// Print a compiled program as a readable schedule, unit by unit, with cycles
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A program image that `lpu compile` wrote
    program: PathBuf,
}

/// Prints the schedule.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let path = &arguments.program;
    let program = Program::from_json(&read_text(path)?).map_err(|error| {
        unreadable(path, error, "run `lpu check` on it for every contradiction, or compile the network again")
    })?;
    print(&disassemble(&program)).map(|()| Verdict::Success)
}
