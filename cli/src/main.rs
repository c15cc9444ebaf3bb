//! The command `lpu`: generate the machine, compile a network for it, run both, and look inside.
//!
//! ```text
//! lpu compile digits.tflite --board ulx3s-85f --out digits.json
//! lpu run digits.tflite --inputs x.npy --on rtl --json
//! ```
//!
//! Standard output carries results and nothing else; with `--json`, one object. Messages and progress go to standard error.
//! The exit status is 0 for success, 1 where a run was made and something disagreed, 2 where the input or the usage was wrong.
//!
//! | module | does |
//! | --- | --- |
//! | [`commands`] | one file for each command: its arguments, what it does, what it prints |
//! | [`build`] | from a machine to a bitstream |
//! | [`machine`] | `--board` and `--config` |
//! | [`network`] | reads a network and compiles it; says which boards it would fit |
//! | [`witnesses`] | runs inputs on the golden model, the cycle model, the RTL |
//! | [`language`] | language models: read, quantised, compared with floating point |
//! | [`language_program`] | language models compiled for a machine; what is said where one does not fit |
//! | [`language_report`] | what its tokens took on a machine |
//! | [`schedule_page`] | a schedule as a page |
//! | [`speaker`] | what takes a language model's tokens: golden model, machine |
//! | [`stepper`] | a network on one witness, example after example |
//! | [`sound`] | from a recording to the features of wake-word networks |
//! | [`chart`] | bars and curves made of characters |
//! | [`link`] | the port of a board, what goes over it, what its failures mean |
//! | [`npy`] | reads inputs and writes outputs |
//! | [`token_file`] | reads sequences of tokens |
//! | [`destination`] | output files that appear complete or not at all |
//! | [`digits`], [`story`] | the network and the language model inside the program |
//! | [`cache`] | where built models are kept |
//! | [`failure`] | the one error type: what, where, why, what to do |
//! | [`output`] | standard output, tables, numbers |
//! | [`progress`] | bars and spinners for what takes more than a second |

mod build;
mod cache;
mod chart;
mod choice;
mod commands;
mod destination;
mod digits;
mod failure;
mod language;
mod language_program;
mod language_report;
mod link;
mod machine;
mod network;
mod npy;
mod output;
mod progress;
mod schedule_page;
mod sequences;
mod sound;
mod speaker;
mod stepper;
mod story;
mod token_file;
mod witnesses;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run(commands::Arguments::parse()) {
        Ok(verdict) => ExitCode::from(verdict.status()),
        Err(failure) => {
            let status = failure.status();
            failure.print();
            ExitCode::from(status)
        }
    }
}
