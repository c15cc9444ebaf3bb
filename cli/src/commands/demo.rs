//! `lpu demo`: what ships with the project, on all three witnesses.

mod digits;
mod story;

use crate::cache;
use crate::failure::{Failure, Verdict};

/// Let the machine tell a story: a small language model in simulated hardware, compared with the golden model and the cycle model
#[derive(Debug, clap::Args)]
#[command(after_long_help = cache::HELP, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    story: story::StoryArguments,
}

/// What else there is to show.
#[derive(Debug, clap::Subcommand)]
enum Other {
    Digits(digits::Arguments),
}

/// Runs the witnesses and prints what they say.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    match &arguments.other {
        None => story::run(&arguments.story),
        Some(Other::Digits(arguments)) => digits::run(arguments),
    }
}
