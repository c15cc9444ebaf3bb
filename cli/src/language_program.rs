//! A language model compiled for a machine; what is said where it does not fit.

use crate::failure::Failure;
use crate::language::{WeightArguments, quantised, read};
use crate::machine::Machine;
use crate::network::{self, Compiled, judged, rejected};
use crate::output::{count, remark};
use crate::progress::Progress;
use lpu_compiler::error::{CompileError, Resource};
use lpu_compiler::import::llama::is_language_model;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::lower::llama::{Runs, compile_runs};
use lpu_isa::board::Board;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use std::path::Path;

/// How a language model becomes a program.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Language models")]
pub struct ProgramArguments {
    /// Positions that the program has room for [default: the model's context, or as many of it as fit the machine]
    #[arg(long, value_name = "POSITIONS", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Sequences of which each run takes in a token, 1 or 2; `--context` counts the positions of each [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    sequences: Option<u8>,
    #[command(flatten)]
    weights: WeightArguments,
}

impl ProgramArguments {
    /// Compiles the network or language model at `path` and lets the checker judge the result.
    ///
    /// # Errors
    /// It cannot be read, or does not fit; options of language models for a network of another kind.
    pub fn compile(&self, path: &Path, machine: &Machine) -> Result<Compiled, Failure> {
        if !is_language_model(path) {
            if self.context.is_some() || self.sequences.is_some() || !self.weights.is_empty() {
                return Err(Failure::new(
                    "the options contradict each other",
                    path.display(),
                    "this network is no language model: it has no context, and its weights are quantised already",
                    "leave out `--context`, `--sequences`, `--weights` and `--group`",
                ));
            }
            return network::compile_and_check(&network::read(path)?, machine, path);
        }
        let format = self.weights.format()?;
        let model = read(path)?;
        let longest = model.shape.context;
        let context = self.context.map_or(longest, |context| context as usize);
        if context > longest {
            return Err(Failure::new(
                "the context cannot be used",
                format!("--context {context}"),
                format!("the context of this model is {longest} tokens"),
                "give a number up to that, or leave it out",
            ));
        }
        let graph = quantised(&model, format, path)?;
        let runs = Runs { sequences: self.sequences.map_or(1, usize::from), ..Runs::default() };
        let whole = compile_and_check(&graph, machine, context, runs, path);
        let (Err(_), None) = (&whole, self.context) else { return whole };
        // Nobody has asked for the whole context: as much of it as there is room for.
        let Some(fewer) = largest_context(&graph, machine, context, runs) else { return whole };
        remark(&fewer_positions(&graph, machine, context, fewer, runs));
        compile_and_check(&graph, machine, fewer, runs, path)
    }
}

/// Compiles `graph` with room for `context` positions and lets the checker judge the result; `path` is the model's file.
///
/// # Errors
/// The model does not fit, or the machine cannot execute it: with the numbers, and what would help.
pub fn compile_and_check(
    graph: &QuantisedLlama,
    machine: &Machine,
    context: usize,
    runs: Runs,
    path: &Path,
) -> Result<Compiled, Failure> {
    let _progress = Progress::spinner("compiling and checking");
    compile_runs(graph, &machine.configuration, &machine.name, Some(context), runs)
        .map(judged)
        .map_err(|error| refused(&error, graph, machine, context, runs, path))
}

/// Like [`compile_and_check`], for commands that go on to execute the program.
///
/// # Errors
/// The same; or the checker rejects the compiler's schedule, which is a disagreement.
pub fn compile_to_run(
    graph: &QuantisedLlama,
    machine: &Machine,
    context: usize,
    runs: Runs,
    path: &Path,
) -> Result<Program, Failure> {
    let Compiled { program, judgement } = compile_and_check(graph, machine, context, runs, path)?;
    match judgement {
        Ok(_) => Ok(program),
        Err(violations) => Err(rejected(&violations, path).disagreement()),
    }
}

fn refused(
    error: &CompileError,
    graph: &QuantisedLlama,
    machine: &Machine,
    context: usize,
    runs: Runs,
    path: &Path,
) -> Failure {
    let what = format!("the language model cannot be compiled for {}", machine.name);
    match error {
        CompileError::DoesNotFit { .. } => {
            let shortfalls = shortfalls(graph, machine, context, runs);
            let why = if shortfalls.is_empty() {
                error.to_string()
            } else {
                let positions = if context == 1 { "one position".into() } else { format!("{context} positions") };
                let each = if runs.sequences > 1 { " for each of two sequences" } else { "" };
                format!("`{}` with {positions} of context{each} does not fit:\n{}", graph.name, shortfalls.join("\n"))
            };
            Failure::new(what, path.display(), why, would_help(graph, machine, context, runs))
        }
        _ => Failure::new(what, path.display(), error, other_machine(graph, machine, context, runs)),
    }
}

/// Whether it fits: in which order two sequences take the fewest cycles makes no difference to that.
fn fitted(
    graph: &QuantisedLlama,
    configuration: &Configuration,
    name: &str,
    context: usize,
    runs: Runs,
) -> Result<Program, CompileError> {
    compile_runs(graph, configuration, name, Some(context), Runs { searched: false, ..runs })
}

/// The machine with memories as deep as a configuration can have them.
fn deepest(own: &Configuration) -> Configuration {
    Configuration {
        weight_depth: 1 << 16,
        vector_depth: 1 << 14,
        scale_depth: 1 << 12,
        queue_depth: 1 << 12,
        ..own.clone()
    }
}

/// What each memory that is too small would need. The compiler stops at the first one, so each is tried with all others as deep
/// as they can be.
fn shortfalls(graph: &QuantisedLlama, machine: &Machine, context: usize, runs: Runs) -> Vec<String> {
    let own = &machine.configuration;
    let of = |resource| match resource {
        Resource::WeightRam => Configuration { weight_depth: own.weight_depth, ..deepest(own) },
        Resource::VectorMemory => Configuration { vector_depth: own.vector_depth, ..deepest(own) },
        Resource::ScaleTable => Configuration { scale_depth: own.scale_depth, ..deepest(own) },
        Resource::Queue => Configuration { queue_depth: own.queue_depth, ..deepest(own) },
    };
    let short = |resource| match fitted(graph, &of(resource), &machine.name, context, runs) {
        Err(CompileError::DoesNotFit { resource: short, needed, available, what, shortfall, .. })
            if short == resource =>
        {
            let missing = count(needed.saturating_sub(available));
            let (needed, available) = (count(needed), count(available));
            Some(format!("it needs {needed} {what}, the machine has {available}: {missing} too few{shortfall}"))
        }
        _ => None,
    };
    [Resource::WeightRam, Resource::VectorMemory, Resource::ScaleTable, Resource::Queue]
        .into_iter()
        .filter_map(short)
        .collect()
}

/// The largest context that fits, if any does: all smaller ones do too.
fn largest_context(graph: &QuantisedLlama, machine: &Machine, below: usize, runs: Runs) -> Option<usize> {
    let fits = |context| fitted(graph, &machine.configuration, &machine.name, context, runs).is_ok();
    if below < 2 || !fits(1) {
        return None;
    }
    let (mut fitting, mut beyond) = (1, below);
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) { fitting = middle } else { beyond = middle }
    }
    Some(fitting)
}

fn would_help(graph: &QuantisedLlama, machine: &Machine, context: usize, runs: Runs) -> String {
    let fewer = match largest_context(graph, machine, context, runs) {
        Some(1) => "this machine holds one position of it; ".into(),
        Some(positions) => format!("this machine holds {positions} positions of it (`--context {positions}`); "),
        None => "no number of positions fits this machine; ".into(),
    };
    fewer
        + &other_machine(graph, machine, context, runs)
        + "; int4 weights and several chips would help too, but are not there yet"
}

/// That the program has room for `fitting` positions instead of `context`, and what the others would need.
fn fewer_positions(graph: &QuantisedLlama, machine: &Machine, context: usize, fitting: usize, runs: Runs) -> String {
    let shortfalls = shortfalls(graph, machine, context, runs);
    let why = if shortfalls.is_empty() { String::new() } else { format!(": {}", shortfalls.join("; ")) };
    let (fitting, context) = (count(fitting as u64), count(context as u64));
    let each = if runs.sequences > 1 { ", for each of two sequences" } else { "" };
    format!("note: room for {fitting} of the {context} positions of `{}`{each}{why}", graph.name)
}

/// Which boards can hold it, with their own machine or another one that is described for them.
fn other_machine(graph: &QuantisedLlama, machine: &Machine, context: usize, runs: Runs) -> String {
    let own = |board: &Board| machine.board.as_ref().is_some_and(|machine| machine.name == board.name);
    let boards = Board::all().unwrap_or_default();
    let fitting: Vec<String> = boards
        .into_iter()
        .filter(|board| {
            let others = board.others().unwrap_or_default();
            let fits = |board: &Board| fitted(graph, &board.configuration, &board.name, context, runs).is_ok();
            !own(board) && (fits(board) || others.iter().any(fits))
        })
        .map(|board| board.name)
        .collect();
    let described = "describe a larger machine, with a section `extensions`, with `--config FILE.toml`";
    match fitting.as_slice() {
        [] => format!("none of the other known boards holds it; {described}"),
        boards => format!("it fits {}; or {described}", boards.join(", ")),
    }
}
