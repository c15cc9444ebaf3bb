//! Running the witnesses and comparing what they say.

use lpu_compiler::checker;
use lpu_compiler::compile::compile;
use lpu_compiler::graph::Graph;
use lpu_isa::arithmetic::Rounding;
use lpu_isa::configuration::Configuration;
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use lpu_sim::cycle::{self, CycleModel};
use lpu_sim::divergence::{against_golden, explain};
use lpu_sim::golden;
use lpu_sim::rtl::{self, Rtl};
use lpu_sim::verilated::{Library, Toolchain};
use std::error::Error;
use std::path::PathBuf;

/// Where all tests keep Verilated models, so that each is built once: `LPU_CACHE`, or `verilated/` in the folder of the build.
#[must_use]
pub fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("LPU_CACHE").filter(|cache| !cache.is_empty()) {
        return cache.into();
    }
    // A test runs as TARGET/PROFILE/deps/NAME.
    let target = std::env::current_exe().ok().and_then(|path| path.ancestors().nth(3).map(PathBuf::from));
    target.unwrap_or_else(std::env::temp_dir).join("verilated")
}

/// The tools, or a message that says what is skipped without them.
#[must_use]
pub fn toolchain(what: &str) -> Option<Toolchain> {
    Toolchain::find().map_err(|error| eprintln!("skipped: {what}: {error}")).ok()
}

/// How the tests run the RTL: every write recorded, no waves.
#[must_use]
pub fn rtl_options() -> rtl::Options {
    rtl::Options { cache: cache(), trace: None, record: true }
}

/// The Verilated model of `configuration`; `None`, with a message, where there is no Verilator.
///
/// # Errors
/// The model cannot be built.
pub fn library(configuration: &Configuration, what: &str) -> Result<Option<Library>, Box<dyn Error>> {
    let Some(_) = toolchain(what) else { return Ok(None) };
    Ok(Some(Rtl::library(configuration, &rtl_options())?))
}

/// The cycle model's options, with every write recorded.
#[must_use]
pub fn recording(configuration: &Configuration) -> cycle::Options {
    cycle::Options { latency: Latency::of(configuration), rounding: Rounding::Double, record: true }
}

/// The first run of `program` on a fresh cycle model, with every write.
///
/// # Errors
/// As [`CycleModel::run`].
pub fn model_run(program: &Program, input: &[i8]) -> Result<cycle::Outcome, cycle::CycleError> {
    CycleModel::with_options(program, recording(&program.configuration)).run(input)
}

/// Compiles, and has the checker accept the result.
///
/// # Errors
/// The compiler's, the image's or the checker's first complaint.
pub fn compile_and_check(graph: &Graph, configuration: &Configuration) -> Result<Program, Box<dyn Error>> {
    let program = compile(graph, configuration, "test")?;
    accept(&program)?;
    Ok(program)
}

/// Has the checker accept `program` with the cycles that it promises, and reads its image back as it was.
///
/// # Errors
/// What is wrong with it.
pub fn accept(program: &Program) -> Result<(), Box<dyn Error>> {
    let report = checker::check(program).map_err(|violations| violations[0].to_string())?;
    if report.cycles != program.cycles {
        return Err(format!("the checker counts {} cycles, the program says {}", report.cycles, program.cycles).into());
    }
    if Program::from_json(&program.to_json()?)? != *program {
        return Err("the image changes when it is written and read".into());
    }
    Ok(())
}

/// Has the checker accept a language model's `program`, all of its schedules.
///
/// # Panics
/// With everything that is wrong with it.
pub fn accept_schedules(program: &Program) {
    if let Err(violations) = checker::check(program) {
        panic!("{}", violations.iter().map(|violation| format!("{violation}\n")).collect::<String>());
    }
}

/// Runs the inputs one after the other on one cycle model: every element of every layer and the output as the golden model has
/// them, every run in the cycles predicted.
///
/// # Errors
/// The first disagreement, in words.
pub fn model_agrees<'a>(
    graph: &Graph,
    program: &Program,
    inputs: impl IntoIterator<Item = &'a Vec<i8>>,
) -> Result<(), Box<dyn Error>> {
    let mut model = CycleModel::with_options(program, recording(&program.configuration));
    for (number, input) in inputs.into_iter().enumerate() {
        let outcome = model.run(input)?;
        if let Some(divergence) = against_golden(graph, program, input, &outcome.writes)? {
            return Err(format!("cycle model against golden, input {number}: {divergence}").into());
        }
        judge("cycle model", number, (&outcome.output, outcome.cycles), (&golden::run(graph, input)?, program.cycles))?;
    }
    Ok(())
}

/// Runs the inputs one after the other on one cycle model, as the steps of one stream: outputs as the golden model has them with the
/// state that the steps before have left, every step in the cycles predicted.
///
/// # Errors
/// The first disagreement, in words.
pub fn steps_agree<'a>(
    graph: &Graph,
    program: &Program,
    inputs: impl IntoIterator<Item = &'a Vec<i8>>,
) -> Result<(), Box<dyn Error>> {
    let mut model = CycleModel::new(program);
    let mut golden = golden::Golden::new(graph)?;
    for (number, input) in inputs.into_iter().enumerate() {
        let outcome = model.run(input)?;
        let expected = golden.run(input)?;
        judge("cycle model", number, (&outcome.output, outcome.cycles), (&expected, program.cycles))?;
    }
    Ok(())
}

/// Runs the inputs one after the other on one Verilated model, as the steps of one stream: outputs as the golden model has them with
/// the state that the steps before have left, every step in the cycles predicted, and the very writes of the cycle model.
///
/// # Errors
/// The first disagreement, in words.
pub fn rtl_steps_agree<'a>(
    graph: &Graph,
    program: &Program,
    library: &Library,
    inputs: impl IntoIterator<Item = &'a Vec<i8>>,
) -> Result<(), Box<dyn Error>> {
    let mut golden = golden::Golden::new(graph)?;
    rtl_agrees_with(graph, program, library, inputs, |input| Ok(golden.run(input)?))
}

/// Runs the inputs one after the other on one Verilated model: outputs as the golden model has them, every run in the cycles
/// predicted, and the very writes of the cycle model.
///
/// # Errors
/// The first disagreement, in words.
pub fn rtl_agrees<'a>(
    graph: &Graph,
    program: &Program,
    library: &Library,
    inputs: impl IntoIterator<Item = &'a Vec<i8>>,
) -> Result<(), Box<dyn Error>> {
    rtl_agrees_with(graph, program, library, inputs, |input| Ok(golden::run(graph, input)?))
}

/// The same against the outputs that `golden` gives for one input after the other.
fn rtl_agrees_with<'a>(
    graph: &Graph,
    program: &Program,
    library: &Library,
    inputs: impl IntoIterator<Item = &'a Vec<i8>>,
    mut golden: impl FnMut(&[i8]) -> Result<Vec<i8>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut model = CycleModel::with_options(program, recording(&program.configuration));
    let mut rtl = Rtl::with_library(program, library, &rtl_options())?;
    for (number, input) in inputs.into_iter().enumerate() {
        let (reference, measured) = (model.run(input)?, rtl.run(input)?);
        if let Some(divergence) = explain(graph, program, input, &reference.writes, &measured.writes) {
            return Err(format!("RTL against cycle model, input {number}: {divergence}").into());
        }
        judge("RTL", number, (&measured.output, measured.cycles), (&golden(input)?, program.cycles))?;
    }
    Ok(())
}

fn judge(
    witness: &str,
    number: usize,
    (output, cycles): (&[i8], u64),
    (golden, predicted): (&[i8], u64),
) -> Result<(), Box<dyn Error>> {
    if output != golden {
        return Err(format!("{witness}, input {number}: {output:?} instead of {golden:?}").into());
    }
    if cycles != predicted {
        return Err(format!("{witness}, input {number}: {cycles} cycles instead of {predicted}").into());
    }
    Ok(())
}
