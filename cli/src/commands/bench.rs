//! `lpu bench`: how fast compiler and simulators are on this machine; with `mlperf-tiny`, how fast the machine is.

use crate::cache;
use crate::choice;
use crate::commands::mlperf_tiny;
use crate::digits;
use crate::failure::{Failure, Verdict};
use crate::machine::OptionalMachine;
use crate::network;
use crate::output::{count, duration, pairs, print, print_json, rate};
use crate::witnesses::{build_rtl, rtl_options, run_model, run_rtl};
use lpu_compiler::compile::compile;
use lpu_compiler::graph::Graph;
use lpu_isa::program::Program;
use lpu_sim::rtl::{Options, Rtl};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Each simulator is given at least this long, in seconds.
const LONG_ENOUGH: f64 = 2.0;
/// Compilations, of which the median is taken.
const COMPILATIONS: usize = 5;

/// Measure the simulators' and the compiler's speed on this machine; or compare with what others have published
#[derive(Debug, clap::Args)]
#[command(after_long_help = cache::HELP)]
pub struct Arguments {
    /// The network; without it, the digits network inside this program. `mlperf-tiny`: instead of measuring simulators, a table of that
    /// benchmark's networks, cycles and inferences a second beside published figures
    model: Option<PathBuf>,
    /// Where the networks of `mlperf-tiny` are [default: models/mlperf_tiny in LPU_CONFORMANCE_DIR]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    #[command(flatten)]
    machine: OptionalMachine,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    processor: String,
    cores: usize,
    optimised: bool,
    model: String,
    board: String,
    multipliers: u32,
    cycles_per_inference: u64,
    rtl_cycles_per_second: f64,
    model_cycles_per_second: f64,
    model_over_rtl: f64,
    compile_seconds: f64,
    first_build_seconds: Option<f64>,
    second_run_to_first_cycle_seconds: f64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    if arguments.model.as_deref() == Some(Path::new(mlperf_tiny::NAME)) {
        return mlperf_tiny::run(arguments.models.as_deref(), || arguments.machine.resolve(), arguments.json);
    }
    if arguments.models.is_some() {
        let help = "give `lpu bench mlperf-tiny --models DIR`, or leave it out";
        return Err(Failure::new("the options contradict each other", "--models", "it is for `mlperf-tiny`", help));
    }
    let machine = arguments.machine.resolve()?;
    let path = arguments.model.clone().unwrap_or_else(|| digits::NAME.into());
    let read = || match &arguments.model {
        Some(path) => network::read(path),
        None => digits::load().map(|digits| digits.graph),
    };
    let graph = read()?;
    let machine = choice::settle(machine, &path);
    let program = network::compile_to_run(&graph, &machine, &path)?;
    let options = rtl_options(None)?;
    let (library, build_seconds) = timed(|| build_rtl(&program.configuration, &options));
    let rtl_rate = rtl_rate(&program, &library?, &options)?;
    let model_rate = model_rate(&program)?;
    // All that a second run does before its first cycle, the library's unloading behind us.
    let (second, second_seconds) = timed(|| {
        let program = network::compile_to_run(&read()?, &machine, &path)?;
        let library = build_rtl(&program.configuration, &options)?;
        Rtl::with_library(&program, &library, &options)
            .map(drop)
            .map_err(|error| Failure::new("the RTL cannot be simulated", "second run", error, "run `lpu doctor`"))
    });
    second?;
    let report = Report {
        processor: processor(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        optimised: !cfg!(debug_assertions),
        model: graph.name.clone(),
        board: machine.name.clone(),
        multipliers: machine.configuration.multipliers(),
        cycles_per_inference: program.cycles,
        rtl_cycles_per_second: rtl_rate,
        model_cycles_per_second: model_rate,
        model_over_rtl: model_rate / rtl_rate,
        compile_seconds: compile_seconds(&graph, &program),
        // A model from the cache comes faster than any compiler could make it.
        first_build_seconds: (build_seconds > 2.0).then_some(build_seconds),
        second_run_to_first_cycle_seconds: second_seconds,
    };
    if arguments.json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Verdict::Success)
}

fn describe(report: &Report) -> String {
    let profile = if report.optimised { "" } else { " (this program is a debug build)" };
    let build = report.first_build_seconds.map_or("in the cache already".into(), duration);
    pairs(&[
        ("processor", format!("{}, {} cores{profile}", report.processor, report.cores)),
        ("network", format!("{}, {} cycles an inference", report.model, count(report.cycles_per_inference))),
        ("machine", format!("{}, {} multipliers", report.board, report.multipliers)),
        ("RTL under Verilator", rate(report.rtl_cycles_per_second)),
        (
            "cycle model",
            format!("{}, {:.1} times the RTL", rate(report.model_cycles_per_second), report.model_over_rtl),
        ),
        ("compilation", duration(report.compile_seconds)),
        ("building the RTL", build),
        ("second run to first cycle", duration(report.second_run_to_first_cycle_seconds)),
    ])
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Inputs that differ from each other, `number` of them.
fn inputs(program: &Program, number: usize) -> Vec<Vec<i8>> {
    let element = |input: usize, index: usize| (index * 31 + input * 17 + index * index * 7) as u8 as i8;
    let length = program.input_length();
    (0..number).map(|input| (0..length).map(|index| element(input, index)).collect()).collect()
}

/// Repeats `run`, which says how many cycles it simulated in how many seconds, until it has been long enough.
fn measure(mut run: impl FnMut(usize) -> Result<(u64, f64), Failure>) -> Result<f64, Failure> {
    let mut number = 8;
    loop {
        let (cycles, seconds) = run(number)?;
        if seconds >= LONG_ENOUGH {
            return Ok(cycles as f64 / seconds);
        }
        // Straight to the goal, but not more than ten times further than what has been seen.
        let factor = (1.2 * LONG_ENOUGH / seconds.max(1e-6)).clamp(2.0, 10.0);
        number = (number as f64 * factor) as usize;
    }
}

fn rtl_rate(program: &Program, library: &lpu_sim::verilated::Library, options: &Options) -> Result<f64, Failure> {
    measure(|number| {
        let run = run_rtl(program, library, options, &inputs(program, number), None)?;
        Ok((run.simulated_cycles, run.seconds))
    })
}

fn model_rate(program: &Program) -> Result<f64, Failure> {
    measure(|number| {
        let run = run_model(program, &inputs(program, number), None)?;
        Ok((run.simulated_cycles, run.seconds))
    })
}

/// Median time of a compilation, the checker not included.
fn compile_seconds(graph: &Graph, program: &Program) -> f64 {
    let once = |_| timed(|| compile(graph, &program.configuration, &program.board)).1;
    let mut times: Vec<f64> = (0..COMPILATIONS).map(once).collect();
    times.sort_by(f64::total_cmp);
    times[COMPILATIONS / 2]
}

/// The processor's name where the system tells it, else its architecture.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.into(), |(_, name)| name.trim().to_string())
}
