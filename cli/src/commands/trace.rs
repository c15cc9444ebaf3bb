//! `lpu trace`: the schedule as a page to look at.

use crate::destination::Destination;
use crate::failure::{Failure, Verdict};
use crate::language_program::ProgramArguments;
use crate::machine::OptionalMachine;
use crate::network::{self, rejected};
use crate::output::{count, print, printable};
use crate::schedule_page::Page;
use std::path::PathBuf;

/// Write a page that shows the schedule: every unit a row, every cycle of an inference or a token a column
///
/// The page is one file that needs no server and no network: open it in a browser. It zooms and moves, tells what each unit does
/// in each cycle, is coloured by layer, and lists the idle gaps. Nothing is run for it: all of it is known when the network has been
/// compiled.
///
/// A language model has a schedule for each length of the context; the page holds all of them. An address like
/// FILE.html#schedule=0&from=100&to=200&unit=3&cycle=150 opens one of them at a place.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The network: a TensorFlow Lite or ONNX model, quantised to int8; or a language model: a checkpoint of llama2.c (.bin), or a directory
    /// with config.json and model.safetensors
    model: PathBuf,
    #[command(flatten)]
    machine: OptionalMachine,
    /// Where the page goes
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
    /// Show the schedule of the token at this position first [default: that of the longest context]
    #[arg(long, value_name = "N", help_heading = "Language models")]
    position: Option<u32>,
    #[command(flatten)]
    options: ProgramArguments,
}

/// Compiles, checks, writes the page.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = network::settle(arguments.machine.resolve()?, &arguments.model);
    let compiled = arguments.options.compile(&arguments.model, &machine)?;
    if let Err(violations) = &compiled.judgement {
        return Err(rejected(violations, &arguments.model).disagreement());
    }
    let program = &compiled.program;
    check_position(arguments, program.language.as_ref().map(|language| language.context))?;
    let page = Page::new(program, &machine, arguments.position);
    let html = page.html()?;
    Destination::create(&arguments.out, "the page cannot be written")?.write(html.as_bytes())?;
    let schedules = match page.schedules() {
        1 => String::new(),
        schedules => format!(", and {} other schedules", schedules - 1),
    };
    let text = format!("{}: {} cycles{schedules}\n", arguments.out.display(), count(page.cycles()));
    print(&printable(&text)).map(|()| Verdict::Success)
}

fn check_position(arguments: &Arguments, context: Option<u32>) -> Result<(), Failure> {
    let Some(position) = arguments.position else { return Ok(()) };
    let why = match context {
        Some(context) if position < context => return Ok(()),
        Some(context) => format!("the program has room for positions 0 to {}", context - 1),
        None => "this network is no language model: it has no positions".into(),
    };
    let help = "give a position in that range, or leave it out";
    Err(Failure::new("the position cannot be shown", format!("--position {position}"), why, help))
}
