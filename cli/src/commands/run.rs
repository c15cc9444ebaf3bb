//! `lpu run`: inputs through one of the witnesses, compared with the golden model and with the prediction.

use crate::commands::run_language::{self, LanguageArguments};
use crate::destination::Destination;
use crate::failure::{Failure, Verdict};
use crate::link::{LinkReport, PortArguments, run_board};
use crate::machine::{Machine, OptionalMachine};
use crate::output::{count, duration, pairs, percent, print, print_json, printable, rate, remark};
use crate::witnesses::{Backend, Run, account, build_rtl, rtl_options, run_golden, run_model, run_rtl};
use crate::{cache, choice, network, npy};
use lpu_compiler::graph::{Graph, TensorId};
use lpu_compiler::import::llama::is_language_model;
use lpu_isa::program::Program;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Run a network and compare every output with the golden model, every cycle count with the prediction
///
/// A language model takes `--prompt` instead of `--inputs`, and continues it.
///
/// Exit status 1 where an output or a cycle count differs; the report then names the first difference.
#[derive(Debug, clap::Args)]
#[command(after_long_help = cache::HELP)]
pub struct Arguments {
    /// The network: a TensorFlow Lite or ONNX model, quantised to int8; or a language model: a checkpoint of llama2.c (.bin), or a directory
    /// with config.json, model.safetensors and tokenizer.json
    model: PathBuf,
    /// The examples: a .npy array of int8, one example a row
    #[arg(long, value_name = "X.npy")]
    inputs: Option<PathBuf>,
    /// Where the outputs go: a .npy array of int8, one example a row
    #[arg(long, value_name = "Y.npy")]
    outputs: Option<PathBuf>,
    /// What to run it on
    #[arg(long, value_enum)]
    on: Backend,
    /// Put what the network keeps from one example to the next back to its first value before every N-th example: clips of N
    /// steps, one behind the other. Without it, all examples are steps of one clip
    #[arg(long, value_name = "N")]
    reset_every: Option<NonZeroUsize>,
    #[command(flatten)]
    machine: OptionalMachine,
    #[command(flatten)]
    port: PortArguments,
    /// Write every signal of the first inference to a wave file, .fst or .vcd (with `--on rtl`)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    language: LanguageArguments,
}

/// What `--json` prints. The names are a contract.
#[derive(Debug, Serialize)]
struct Report {
    /// Name of the network.
    model: String,
    /// Name of the board or configuration.
    board: String,
    /// What the inputs ran on.
    backend: Backend,
    /// Number of inputs.
    inputs: usize,
    /// Cycles of one inference that the compiler promises. None where only the golden model executes the network so far.
    cycles_predicted: Option<u64>,
    /// Cycles of one inference: of every one if they agree, else of the first that breaks the promise. None on golden.
    cycles_measured: Option<u64>,
    /// Multiply-accumulates of one inference that the network asks for.
    macs: u64,
    /// Multipliers of the machine.
    multipliers: u32,
    /// Useful multiplications ÷ (what the machine can do in a cycle × cycles). None without cycles.
    mac_utilization: Option<f64>,
    /// The machine's clock; none for a bare configuration without one.
    clock_mhz: Option<f64>,
    /// Cycles ÷ clock.
    seconds_per_inference: Option<f64>,
    /// Are all outputs, element by element, the golden model's?
    outputs_equal_golden: bool,
    /// Wall-clock time of the whole command so far.
    wall_seconds: f64,
    /// Clock cycles simulated, transfers included, ÷ the time it took. None on golden and on a real board.
    simulated_cycles_per_second: Option<f64>,
    /// Cycles on the host port or the simulated line, for program, inputs and outputs of all inferences. None but on the RTL
    /// and on a simulated board.
    host_transfer_cycles: Option<u64>,
    /// What went over the link; only on a board.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkReport>,
}

/// Runs the inputs.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let start = Instant::now();
    let model = &arguments.model;
    if is_language_model(model) || (model.is_dir() && !arguments.language.is_empty()) {
        check_no_inputs(arguments)?;
        let (machine, port) = (&arguments.machine, &arguments.port);
        return run_language::run(model, arguments.on, machine, port, &arguments.language, arguments.json);
    }
    let inputs = check_no_prompt(arguments)?;
    let machine = choice::settle(arguments.machine.resolve()?, &arguments.model);
    check_trace(arguments)?;
    match arguments.on {
        Backend::Board => arguments.port.check(&machine)?,
        _ => check_no_port(&arguments.port)?,
    }
    let graph = network::read(&arguments.model)?;
    let program = match arguments.on {
        Backend::Golden => network::compile_for_golden(&graph, &machine, &arguments.model)?,
        _ => Some(network::compile_to_run(&graph, &machine, &arguments.model)?),
    };
    let interface = |ids: &[TensorId]| {
        let tensor = ids.first().and_then(|&id| graph.tensor(id));
        tensor.map_or_else(Default::default, |tensor| (tensor.shape.clone(), tensor.element))
    };
    let (shape, element) = interface(&graph.inputs);
    let inputs = npy::read_inputs(inputs, &shape, element)?;
    let destination =
        |path: &Option<PathBuf>, what| path.as_deref().map(|path| Destination::create(path, what)).transpose();
    let outputs_file = destination(&arguments.outputs, "the outputs cannot be written")?;
    let trace_file = destination(&arguments.trace, "the wave file cannot be written")?;
    // A simulated board takes a while to build: not for a network, inputs or outputs that are refused.
    let port = match arguments.on {
        Backend::Board => Some(arguments.port.open(&machine)?),
        _ => None,
    };

    let golden = run_golden(&graph, &inputs, arguments.reset_every)?;
    let mut options = None;
    let run = match (arguments.on, port, &program) {
        (_, Some(port), Some(program)) => {
            options = if port.is_simulated() { Some(rtl_options(None)?) } else { None };
            Some(run_board(program, &machine, port, &inputs, arguments.reset_every)?)
        }
        (Backend::Golden | Backend::Board, ..) | (_, _, None) => None,
        (Backend::Model, None, Some(program)) => Some(run_model(program, &inputs, arguments.reset_every)?),
        (Backend::Rtl, None, Some(program)) => {
            let chosen = rtl_options(trace_file.as_ref().map(Destination::working_path))?;
            let library = build_rtl(&program.configuration, &chosen)?;
            let run = run_rtl(program, &library, &chosen, &inputs, arguments.reset_every)?;
            options = Some(chosen);
            Some(run)
        }
    };
    if let Some(file) = trace_file {
        file.publish()?;
    }
    if let Some(file) = outputs_file {
        let outputs = run.as_ref().map_or(&golden, |run| &run.outputs);
        let (shape, element) = interface(&graph.outputs);
        npy::write_outputs(file, outputs, &shape, element)?;
    }

    let executed = program.as_ref().zip(run.as_ref());
    let differences = executed.map_or_else(Vec::new, |(program, run)| differences(run, &golden, program.cycles));
    let report = report(&graph, program.as_ref(), &machine, arguments.on, run.as_ref(), &golden, start);
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&describe(&report, &machine, run.as_ref()))?;
    }
    let (Some(first), Some(program)) = (differences.first(), &program) else { return Ok(Verdict::Success) };
    for difference in &differences {
        remark(&difference.to_string());
    }
    remark(&format!("\ninput {} once more, alone:", first.input));
    remark(&printable(&account(&graph, program, &inputs[first.input], options.as_ref())?));
    Ok(Verdict::Disagreement)
}

/// A language model has neither examples nor signals.
fn check_no_inputs(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { inputs, outputs, trace, reset_every, .. } = arguments;
    if inputs.is_none() && outputs.is_none() && trace.is_none() && reset_every.is_none() {
        return if arguments.on == Backend::Board { Ok(()) } else { check_no_port(&arguments.port) };
    }
    Err(Failure::new(
        "the options contradict each other",
        "--inputs, --outputs, --reset-every, --trace",
        "a language model takes a text and gives a text",
        "give `--prompt TEXT` instead",
    ))
}

/// The examples of a network that is no language model.
fn check_no_prompt(arguments: &Arguments) -> Result<&Path, Failure> {
    let refused = |what, why, help: &str| Err(Failure::new(what, arguments.model.display(), why, help));
    if !arguments.language.is_empty() {
        return refused(
            "the options contradict each other",
            "this network is no language model: it takes examples, not text",
            "give `--inputs X.npy`, and leave out the options of language models (`lpu run --help` lists them)",
        );
    }
    match &arguments.inputs {
        Some(inputs) => Ok(inputs),
        None => refused(
            "the network has nothing to run on",
            "a network takes examples, and none are given",
            "add `--inputs X.npy`: a .npy array of int8, one example a row",
        ),
    }
}

fn check_no_port(port: &PortArguments) -> Result<(), Failure> {
    if port.is_empty() {
        return Ok(());
    }
    let why = "only a board has a port";
    Err(Failure::new("the options contradict each other", "--port, --baud", why, "add `--on board`, or leave them out"))
}

fn check_trace(arguments: &Arguments) -> Result<(), Failure> {
    let Some(path) = &arguments.trace else { return Ok(()) };
    let refused = |why: &str, help: &str| Err(Failure::new("no wave file can be written", path.display(), why, help));
    if arguments.on != Backend::Rtl {
        return refused("only the RTL has signals to trace", "add `--on rtl`, or leave out `--trace`");
    }
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("fst" | "vcd") => Ok(()),
        _ => refused(
            "the ending of the name chooses the format, and this one is unknown",
            "name it FILE.fst or FILE.vcd",
        ),
    }
}

/// How one input went wrong.
#[derive(Debug, PartialEq)]
struct Difference {
    input: usize,
    /// Elements of the output that differ, and the first of them: index, value, golden value.
    elements: usize,
    first: Option<(usize, i8, i8)>,
    /// Cycles, where they are not those predicted.
    cycles: Option<(u64, u64)>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "input {}:", self.input)?;
        if let Some((measured, predicted)) = self.cycles {
            write!(f, " {measured} cycles, not the {predicted} predicted;")?;
        }
        match self.first {
            Some((index, value, golden)) => {
                write!(f, " {} output elements differ, the first is {index}: {value}, golden {golden}", self.elements)
            }
            None => write!(f, " the output is that of the golden model"),
        }
    }
}

/// Every input whose output or cycle count is not what it must be.
fn differences(run: &Run, golden: &[Vec<i8>], predicted: u64) -> Vec<Difference> {
    let compare = |input: usize| {
        let (output, golden, cycles) = (&run.outputs[input], &golden[input], run.cycles[input]);
        let mut different = output.iter().zip(golden).enumerate().filter(|(_, (got, golden))| got != golden);
        let first = different.next().map(|(index, (&got, &golden))| (index, got, golden));
        Difference {
            input,
            elements: usize::from(first.is_some()) + different.count(),
            first,
            cycles: (cycles != predicted).then_some((cycles, predicted)),
        }
    };
    let inputs = 0..golden.len();
    inputs.map(compare).filter(|difference| difference.first.is_some() || difference.cycles.is_some()).collect()
}

fn report(
    graph: &Graph,
    program: Option<&Program>,
    machine: &Machine,
    backend: Backend,
    run: Option<&Run>,
    golden: &[Vec<i8>],
    start: Instant,
) -> Report {
    let cycles_predicted = program.map(|program| program.cycles);
    let cycles_measured = run.and_then(|run| {
        let broken = run.cycles.iter().find(|&&cycles| Some(cycles) != cycles_predicted);
        broken.or(run.cycles.first()).copied()
    });
    let cycles = cycles_measured.or(cycles_predicted).map(|cycles| cycles.max(1) as f64);
    let macs = graph.multiply_accumulates();
    let peak = f64::from(machine.configuration.macs_per_cycle());
    let multipliers = machine.configuration.multipliers();
    let link = run.and_then(|run| run.link.clone());
    let simulated_line = link.as_ref().is_some_and(|link| link.clocks_per_bit.is_some());
    Report {
        model: graph.name.clone(),
        board: machine.name.clone(),
        backend,
        inputs: golden.len(),
        cycles_predicted,
        cycles_measured,
        macs,
        multipliers,
        mac_utilization: cycles.map(|cycles| macs as f64 / (peak * cycles)),
        clock_mhz: machine.clock_mhz(),
        seconds_per_inference: machine.clock_mhz().zip(cycles).map(|(clock, cycles)| cycles / (clock * 1e6)),
        outputs_equal_golden: run.is_none_or(|run| run.outputs == golden),
        wall_seconds: start.elapsed().as_secs_f64(),
        simulated_cycles_per_second: run
            .filter(|run| run.simulated_cycles > 0)
            .map(|run| run.simulated_cycles as f64 / run.seconds.max(1e-9)),
        host_transfer_cycles: (backend == Backend::Rtl || simulated_line)
            .then(|| run.map_or(0, |run| run.loading_cycles + run.transfer_cycles)),
        link,
    }
}

fn describe(report: &Report, machine: &Machine, run: Option<&Run>) -> String {
    let on = match report.backend {
        Backend::Golden => "golden model",
        Backend::Model => "cycle model",
        Backend::Rtl => "RTL",
        Backend::Board => "board",
    };
    let inputs = report.inputs;
    let mut lines = vec![
        ("network", report.model.clone()),
        ("machine", machine.describe()),
        ("run on", format!("{on}, {} input{}", count(inputs as u64), if inputs == 1 { "" } else { "s" })),
    ];
    match report.cycles_predicted {
        Some(cycles) => lines.push(("predicted cycles", count(cycles))),
        None => lines.push(("predicted cycles", "none: the network cannot be compiled for this machine".into())),
    }
    if let (Some(measured), Some(run)) = (report.cycles_measured, run) {
        let as_predicted = run.cycles.iter().filter(|&&cycles| Some(cycles) == report.cycles_predicted).count();
        let note =
            if as_predicted == inputs { String::new() } else { format!(" ({as_predicted} of {inputs} as predicted)") };
        lines.push(("measured cycles", format!("{}{note}", count(measured))));
    }
    lines.push(("multiplications", count(report.macs)));
    if let Some(utilisation) = report.mac_utilization {
        lines.push(("utilisation", format!("{} of {} multipliers", percent(utilisation), report.multipliers)));
    }
    if let (Some(seconds), Some(clock)) = (report.seconds_per_inference, report.clock_mhz) {
        lines.push(("an inference", format!("{} at {clock} MHz", duration(seconds))));
    }
    if let (Some(_), Some(run)) = (report.host_transfer_cycles, run) {
        let each = run.transfer_cycles / inputs.max(1) as u64;
        let text = format!("{} cycles to load, {} an inference", count(run.loading_cycles), count(each));
        lines.push(("host transfer", text));
    }
    if let Some(link) = &report.link {
        lines.push(("link", link.describe()));
    }
    if let Some(run) = run {
        let equal = if report.outputs_equal_golden { "equal to golden" } else { "NOT equal to golden" };
        lines.push(("outputs", format!("{equal}, {} compared", count(run.outputs.len() as u64))));
    }
    if let Some(speed) = report.simulated_cycles_per_second {
        lines.push(("simulation", rate(speed)));
    }
    lines.push(("time", duration(report.wall_seconds)));
    pairs(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn run_of(outputs: Vec<Vec<i8>>, cycles: Vec<u64>) -> Run {
        Run { outputs, cycles, ..Run::default() }
    }

    #[test]
    fn a_wrong_output_and_a_wrong_cycle_count_are_both_found_on_every_input() {
        let golden = vec![vec![1, 2, 3]; 4];
        let outputs = vec![vec![1, 2, 3], vec![1, 9, 9], vec![1, 2, 3], vec![0, 2, 3]];
        let found = differences(&run_of(outputs, vec![10, 10, 11, 12]), &golden, 10);
        let text: String = found.iter().map(|difference| format!("{difference}\n")).collect();
        expect![[r"
            input 1: 2 output elements differ, the first is 1: 9, golden 2
            input 2: 11 cycles, not the 10 predicted; the output is that of the golden model
            input 3: 12 cycles, not the 10 predicted; 1 output elements differ, the first is 0: 0, golden 1
        "]]
        .assert_eq(&text);
    }

    #[test]
    fn equal_runs_have_no_difference() {
        let golden = vec![vec![1, 2], vec![3, 4]];
        assert_eq!(differences(&run_of(golden.clone(), vec![10, 10]), &golden, 10), []);
    }
}
