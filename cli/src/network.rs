//! From a network's file to a checked program, with every refusal explained.

use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::{printable, remark};
use lpu_compiler::checker::{CheckReport, Violation, check};
use lpu_compiler::compile::compile;
use lpu_compiler::error::{CompileError, Resource};
use lpu_compiler::graph::{Graph, Operator, OperatorKind};
use lpu_compiler::import::{self, ImportError};
use lpu_isa::board::Board;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_isa::resources::weight_bytes;
use std::path::Path;

/// A network compiled for a machine, and what the checker says about the schedule.
pub struct Compiled {
    /// The program.
    pub program: Program,
    /// The checker's judgement.
    pub judgement: Result<CheckReport, Vec<Violation>>,
}

/// Reads the network in the file at `path`.
///
/// # Errors
/// The file cannot be read, or is no network that can be compiled.
pub fn read(path: &Path) -> Result<Graph, Failure> {
    if import::llama::is_language_model(path) && path.exists() {
        return Err(Failure::new(
            "the network cannot be used",
            path.display(),
            "this is a language model, and a network that takes examples is needed here",
            "use `lpu run MODEL --prompt TEXT`, `lpu compile`, `lpu trace` or `lpu eval`",
        ));
    }
    import::read_model(path).map_err(|error| {
        let help = match &error {
            ImportError::UnknownFormat { found, .. } if found.contains("\"{") => {
                format!("{}; if this is a compiled program, give the network that it was compiled from", error.help())
            }
            _ => error.help(),
        };
        let why = match &error {
            ImportError::Unreadable { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        Failure::new("the network cannot be used", path.display(), why, help)
    })
}

/// The machine for the network in the file at `path`: a board's own, if it executes the network and has room for whole images; else that
/// of all machines in the board's folder with the fewest cycles, which is then said. For a language model the board's first machine with
/// `extensions`, without which none executes one. A machine of `--config` stays what it is.
pub fn settle(machine: Machine, path: &Path) -> Machine {
    let others = machine.others();
    if others.is_empty() {
        return machine;
    }
    let instead = |other: Machine, why: &str| {
        let (name, path) = (&other.name, path.display());
        let text = format!("{path}: the board's own machine {why}; taken instead is {name}, constraints/{name}.toml");
        remark(&printable(&text));
        other
    };
    if import::llama::is_language_model(path) {
        let extended = |machine: &Machine| machine.configuration.extensions.is_some();
        let other = if extended(&machine) { None } else { others.into_iter().find(extended) };
        return other.map_or(machine, |other| instead(other, "has no `extensions`, which language models need"));
    }
    // What is wrong with the network is said where it is needed.
    let Ok(graph) = import::read_model(path) else { return machine };
    let compiled = |machine: &Machine| {
        let possible = weights(&graph) <= most_weights(&machine.configuration);
        possible.then(|| compile(&graph, &machine.configuration, &machine.name).ok()).flatten()
    };
    let own = compiled(&machine);
    if own.as_ref().is_some_and(|program| program.layers.iter().all(|layer| layer.band.is_none())) {
        return machine;
    }
    let cycles = own.map(|program| program.cycles);
    let others = others.into_iter().filter_map(|other| Some((compiled(&other)?.cycles, other)));
    match others.min_by_key(|&(cycles, _)| cycles).filter(|(other, _)| cycles.is_none_or(|own| *other < own)) {
        Some((_, other)) => {
            instead(other, if cycles.is_some() { "takes more cycles for it" } else { "cannot execute it" })
        }
        None => machine,
    }
}

/// Compiles `graph` and lets the checker judge the result; `path` is the network's file, for messages.
///
/// # Errors
/// The network does not fit the machine.
pub fn compile_and_check(graph: &Graph, machine: &Machine, path: &Path) -> Result<Compiled, Failure> {
    let program = compile(graph, &machine.configuration, &machine.name);
    program.map(judged).map_err(|error| refused(&error, graph, machine, path))
}

/// The compiler refuses the network.
fn refused(error: &CompileError, graph: &Graph, machine: &Machine, path: &Path) -> Failure {
    let what = format!("the network cannot be compiled for {}", machine.name);
    let why = match (error, total_shortfall(graph, machine)) {
        // The compiler says what is short up to this layer; the whole is what people want to know.
        (CompileError::DoesNotFit { model, layer, resource, needed, available, what, .. }, Some(total)) => {
            let place = if *resource == Resource::VectorMemory { " free in one slice" } else { "" };
            format!(
                "`{model}` does not fit: layer `{layer}` needs {needed} {what}, the machine has {available}{place}\n{total}"
            )
        }
        _ => error.to_string(),
    };
    Failure::new(what, path.display(), why, help(graph, machine, error))
}

/// The checker's judgement beside the program.
pub fn judged(program: Program) -> Compiled {
    let judgement = check(&program);
    Compiled { program, judgement }
}

/// Like [`compile_and_check`], for commands that go on to execute the program.
///
/// # Errors
/// The network does not fit, or the checker rejects the compiler's schedule.
pub fn compile_to_run(graph: &Graph, machine: &Machine, path: &Path) -> Result<Program, Failure> {
    accepted(compile_and_check(graph, machine, path)?, path)
}

/// The program, if the checker has accepted it.
fn accepted(Compiled { program, judgement }: Compiled, path: &Path) -> Result<Program, Failure> {
    match judgement {
        Ok(_) => Ok(program),
        Err(violations) => Err(rejected(&violations, path).disagreement()),
    }
}

/// Like [`compile_to_run`], for the golden model, which needs no program: `None` where the network has something that cannot be
/// compiled yet, or operators on images that this machine is too small for.
///
/// # Errors
/// The network does not fit, or the checker rejects the compiler's schedule.
pub fn compile_for_golden(graph: &Graph, machine: &Machine, path: &Path) -> Result<Option<Program>, Failure> {
    match compile(graph, &machine.configuration, &machine.name) {
        Err(CompileError::NotLowered { .. }) => Ok(None),
        Err(_) if graph.operators.iter().any(|operator| !is_plain(&operator.kind)) => Ok(None),
        Err(error) => Err(refused(&error, graph, machine, path)),
        Ok(program) => accepted(judged(program), path).map(Some),
    }
}

/// Operators on vectors, which every machine is made for.
fn is_plain(kind: &OperatorKind) -> bool {
    matches!(kind, OperatorKind::FullyConnected(_) | OperatorKind::Elementwise(_) | OperatorKind::Reshape)
}

/// The compiler's schedule has been rejected.
pub fn rejected(violations: &[Violation], path: &Path) -> Failure {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let help =
        "this is a bug of the compiler or of the checker: please report it with the network and the configuration";
    Failure::new("the checker rejects the schedule", path.display(), lines.join("\n"), help)
}

/// What the whole network would take, where the compiler's own message tells of the first layer that does not fit: the same
/// machine with memories as deep as a configuration can have them shows how deep they must be.
fn total_shortfall(graph: &Graph, machine: &Machine) -> Option<String> {
    let own = &machine.configuration;
    let deepest = Configuration {
        weight_depth: 1 << 16,
        vector_depth: 1 << 14,
        scale_depth: 1 << 12,
        queue_depth: 1 << 12,
        ..own.clone()
    };
    let program = compile(graph, &deepest, &machine.name).ok()?;
    let weights = program.weights.iter().map(Vec::len).max().unwrap_or(0) as u32 / own.dot;
    let inputs = program.input_parts().map(|(_, region)| region);
    let regions = program.layers.iter().map(|layer| &layer.result).chain(inputs).chain([&program.output]);
    let beats = regions.map(|region| region.base + region.beats).max().unwrap_or(0);
    let needed = Configuration {
        weight_depth: own.weight_depth.max(weights),
        vector_depth: own.vector_depth.max(beats.div_ceil(own.beats_per_word())),
        ..own.clone()
    };
    let (needed, available) = (machine.block_rams(&needed), machine.block_rams(own));
    (needed > available).then(|| {
        format!(
            "the whole network takes {needed} block RAMs, this machine has {available}: {} short",
            needed - available
        )
    })
}

/// Weights of a network.
fn weights(graph: &Graph) -> u64 {
    let of = |operator: &Operator| match &operator.kind {
        OperatorKind::FullyConnected(layer) => layer.weights.len() as u64,
        OperatorKind::Convolution(layer) => layer.weights.len() as u64,
        OperatorKind::DepthwiseConvolution(layer) => layer.weights.len() as u64,
        _ => 0,
    };
    graph.operators.iter().map(of).sum()
}

/// Weights that a machine holds at most.
fn most_weights(configuration: &Configuration) -> u64 {
    weight_bytes(configuration) * u64::from(configuration.channels_per_tile())
}

fn help(graph: &Graph, machine: &Machine, error: &CompileError) -> String {
    match error {
        CompileError::DoesNotFit { .. } | CompileError::TooLarge { .. } => {
            let own = |board: &Board| machine.board.as_ref().is_some_and(|machine| machine.name == board.name);
            let boards = Board::all().unwrap_or_default();
            let fitting: Vec<String> = boards
                .into_iter()
                .filter(|board| {
                    let others = board.others().unwrap_or_default();
                    let fits = |board: &Board| {
                        weights(graph) <= most_weights(&board.configuration)
                            && compile(graph, &board.configuration, &board.name).is_ok()
                    };
                    !own(board) && (fits(board) || others.iter().any(fits))
                })
                .map(|board| board.name)
                .collect();
            match fitting.as_slice() {
                [] => "it fits none of the known boards; make the network smaller, or describe a larger machine with \
                       `--config FILE.toml`"
                    .into(),
                boards => {
                    format!("it fits {}; or describe a larger machine with `--config FILE.toml`", boards.join(", "))
                }
            }
        }
        CompileError::NotLowered { .. } => {
            "run it with `--on golden`; the machine executes all other operators of `docs/networks.md`, and SOFTMAX where it is the \
             last one"
                .into()
        }
        CompileError::Graph(_) | CompileError::Unsupported { .. } => {
            "express the network with the operators that `docs/architecture.md` lists, with one input and one output"
                .into()
        }
    }
}
