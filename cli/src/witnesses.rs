//! The three witnesses as commands use them: inputs in, outputs and cycles out, with progress and messages.

use crate::cache;
use crate::failure::Failure;
use crate::link::LinkReport;
use crate::progress::Progress;
use clap::ValueEnum;
use lpu_compiler::graph::Graph;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_sim::cycle::{CycleError, CycleModel};
use lpu_sim::divergence::{InvestigationError, investigate};
use lpu_sim::golden::{Golden, GoldenError};
use lpu_sim::rtl::{Options, Rtl, RtlError};
use lpu_sim::verilated::Library;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What an inference is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Integer arithmetic over the network's graph; knows no cycles
    Golden,
    /// The cycle model: executes the compiled program
    Model,
    /// The emitted Verilog under Verilator
    Rtl,
    /// A board at a serial port, or a simulated one
    Board,
}

/// What running all inputs has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The output of each input.
    pub outputs: Vec<Vec<i8>>,
    /// The cycles of each input, as the machine counted them.
    pub cycles: Vec<u64>,
    /// All clock cycles simulated while the inputs ran, transfers included; none on a board.
    pub simulated_cycles: u64,
    /// Wall-clock time in which they were simulated.
    pub seconds: f64,
    /// Cycles spent on loading the program.
    pub loading_cycles: u64,
    /// Cycles spent on bringing inputs and fetching outputs.
    pub transfer_cycles: u64,
    /// What went over the link to a board.
    pub link: Option<LinkReport>,
}

/// The golden model's outputs. State is carried from one input to the next, and put back before every `reset_every`-th.
///
/// # Errors
/// A graph that cannot be executed.
pub fn run_golden(
    graph: &Graph,
    inputs: &[Vec<i8>],
    reset_every: Option<NonZeroUsize>,
) -> Result<Vec<Vec<i8>>, Failure> {
    let progress = Progress::bar(inputs.len() as u64, "golden model");
    let mut golden = Golden::new(graph).map_err(golden_failed)?;
    let mut outputs = Vec::with_capacity(inputs.len());
    for (number, input) in inputs.iter().enumerate() {
        if reset_every.is_some_and(|every| number % every == 0) {
            golden.reset();
        }
        outputs.push(golden.run(input).map_err(golden_failed)?);
        progress.step();
    }
    Ok(outputs)
}

/// Is the network's state put back before input `number`?
#[must_use]
pub fn resets(number: usize, reset_every: Option<NonZeroUsize>) -> bool {
    number > 0 && reset_every.is_some_and(|every| number % every == 0)
}

/// Runs `program` on the cycle model. State is carried from one input to the next, and put back before every `reset_every`-th.
///
/// # Errors
/// A program that does not end; that is a disagreement.
pub fn run_model(program: &Program, inputs: &[Vec<i8>], reset_every: Option<NonZeroUsize>) -> Result<Run, Failure> {
    let mut model = CycleModel::new(program);
    let progress = Progress::bar(inputs.len() as u64, "cycle model");
    let mut run = Run::default();
    let start = Instant::now();
    for (number, input) in inputs.iter().enumerate() {
        if resets(number, reset_every) {
            model.reset();
        }
        let outcome = model.run(input).map_err(cycle_model_failed)?;
        run.simulated_cycles += outcome.cycles;
        run.cycles.push(outcome.cycles);
        run.outputs.push(outcome.output);
        progress.step();
    }
    run.seconds = start.elapsed().as_secs_f64();
    Ok(run)
}

/// How the RTL is built and run: with a wave file at `trace`, if there is one.
///
/// # Errors
/// No place for built models.
pub fn rtl_options(trace: Option<&Path>) -> Result<Options, Failure> {
    Ok(Options { cache: cache::directory()?, trace: trace.map(PathBuf::from), record: false })
}

/// Builds the Verilated model of a configuration, or takes it from the cache.
///
/// # Errors
/// Tools missing or failing, a cache that cannot be written.
pub fn build_rtl(configuration: &Configuration, options: &Options) -> Result<Library, Failure> {
    let _progress = Progress::spinner("building the RTL with Verilator; once for each configuration");
    Rtl::library(configuration, options).map_err(|error| rtl_failed(&error))
}

/// Runs `program` on the RTL that [`build_rtl`] has built.
///
/// # Errors
/// A failing model or link; a program that does not end, which is a disagreement.
pub fn run_rtl(
    program: &Program,
    library: &Library,
    options: &Options,
    inputs: &[Vec<i8>],
    reset_every: Option<NonZeroUsize>,
) -> Result<Run, Failure> {
    let mut rtl = Rtl::with_library(program, library, options).map_err(|error| rtl_failed(&error))?;
    let progress = Progress::bar(inputs.len() as u64, "RTL");
    let mut run = Run { loading_cycles: rtl.transfer_cycles(), ..Run::default() };
    let simulated = rtl.simulated_cycles();
    let start = Instant::now();
    for (number, input) in inputs.iter().enumerate() {
        if resets(number, reset_every) {
            rtl.reset().map_err(|error| rtl_failed(&error))?;
        }
        let outcome = rtl.run(input).map_err(|error| rtl_failed(&error))?;
        run.cycles.push(outcome.cycles);
        run.outputs.push(outcome.output);
        progress.step();
    }
    run.seconds = start.elapsed().as_secs_f64();
    run.simulated_cycles = rtl.simulated_cycles() - simulated;
    run.transfer_cycles = rtl.transfer_cycles() - run.loading_cycles;
    Ok(run)
}

/// Runs `input` once more, alone and with every write recorded, and says where the witnesses part.
///
/// # Errors
/// As the runs themselves.
pub fn account(graph: &Graph, program: &Program, input: &[i8], rtl: Option<&Options>) -> Result<String, Failure> {
    // The wave file belongs to the run that disagreed.
    let rtl = rtl.map(|options| Options { trace: None, ..options.clone() });
    let report = investigate(graph, program, input, rtl.as_ref()).map_err(|error| match error {
        InvestigationError::Rtl(error) => rtl_failed(&error),
        other => failed("second run", &other, "report this as a bug, with the network"),
    })?;
    let mut text = report.to_string();
    if report.agrees() {
        text += "alone, from empty memories, this input agrees: the difference comes from the inputs before it\n";
    }
    Ok(text)
}

/// Why the golden model could not execute a network, and what to do.
pub fn golden_failed(error: GoldenError) -> Failure {
    failed("golden model", &error, "report this as a bug, with the network")
}

/// Why the cycle model could not execute a program, and what to do.
pub fn cycle_model_failed(error: CycleError) -> Failure {
    let failure = failed("cycle model", &error, "run `lpu check` on the compiled program");
    if matches!(error, CycleError::Endless(_)) { failure.disagreement() } else { failure }
}

fn failed(place: &str, error: &dyn std::fmt::Display, help: &str) -> Failure {
    Failure::new("the run failed", place, error, help)
}

/// Why the RTL could not be run, and what to do.
pub fn rtl_failed(error: &RtlError) -> Failure {
    match error {
        RtlError::Tool(_) => {
            let help = "run `lpu doctor`: it names what is missing and the command that installs it";
            Failure::new("the RTL cannot be simulated", "tools", error, help)
        }
        RtlError::Build(_) | RtlError::Load(_) => {
            let help = "run `lpu doctor`; LPU_CACHE chooses another directory for built models";
            Failure::new("the RTL cannot be simulated", "build of the model", error, help)
        }
        RtlError::Endless(_) => {
            failed("RTL", error, "compare with `--on model`; `--trace FILE.vcd` shows every signal").disagreement()
        }
        RtlError::Design(_) => failed("RTL", error, "report this as a bug, with the configuration"),
        RtlError::Language(_) => {
            failed("RTL", error, "choose tokens of the vocabulary, no more than there is room for")
        }
        RtlError::Model(_) | RtlError::Host(_) | RtlError::InputLength { .. } => {
            failed("RTL", error, "check the wave file's disk, if there is a trace; else report this as a bug")
        }
    }
}
