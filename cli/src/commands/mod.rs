//! The commands: one file each.

mod bench;
mod boards;
mod build;
mod check;
mod classify;
mod compile;
mod demo;
mod disasm;
mod doctor;
mod eval;
mod flash;
mod generate;
mod listen;
mod manifest;
mod mlperf_tiny;
mod run;
mod run_language;
mod run_sequences;
#[cfg(unix)]
mod serve_sim;
mod trace;

use crate::cache;
use crate::failure::{Failure, Verdict};
use clap::{Parser, Subcommand};
use std::path::Path;

/// A Language Processing Unit: generates it as Verilog, compiles int8 networks to it, predicts every cycle, and shows that
/// the simulated hardware keeps the promise.
///
/// Exit status: 0 success; 1 a run was made and something disagreed; 2 the input or the usage was wrong.
#[derive(Debug, Parser)]
#[command(name = "lpu", version, arg_required_else_help = true, after_long_help = cache::HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(generate::Arguments),
    Compile(compile::Arguments),
    Run(run::Arguments),
    Eval(eval::Arguments),
    Listen(listen::Arguments),
    Classify(classify::Arguments),
    #[cfg(unix)]
    ServeSim(serve_sim::Arguments),
    Check(check::Arguments),
    Disasm(disasm::Arguments),
    Trace(trace::Arguments),
    Build(build::Arguments),
    Flash(flash::Arguments),
    Boards(boards::Arguments),
    Doctor(doctor::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
}

/// Does what the arguments say.
///
/// # Errors
/// What the command's own documentation says.
pub fn run(arguments: Arguments) -> Result<Verdict, Failure> {
    match arguments.command {
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Classify(arguments) => classify::run(&arguments),
        #[cfg(unix)]
        Command::ServeSim(arguments) => serve_sim::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Disasm(arguments) => disasm::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Flash(arguments) => flash::run(&arguments),
        Command::Boards(arguments) => boards::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

/// The text of the program image at `path`.
fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error, "check the path"))
}

/// The program image cannot be used.
fn unreadable(path: &Path, why: impl std::fmt::Display, help: &str) -> Failure {
    let help = format!("{help}; `lpu compile … --out PROGRAM` writes program images");
    Failure::new("the program image cannot be used", path.display(), why, help)
}
