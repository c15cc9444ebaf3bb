//! From a network's file to a checked program, with every refusal explained.

use crate::choice::{executes, shortfall_of_weights};
use crate::failure::Failure;
use crate::machine::Machine;
use lpu_compiler::checker::{CheckReport, Violation, check};
use lpu_compiler::compile::compile;
use lpu_compiler::error::{CompileError, Resource};
use lpu_compiler::graph::{Graph, OperatorKind};
use lpu_compiler::import::{self, ImportError};
use lpu_isa::board::Board;
use lpu_isa::program::Program;
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

/// Compiles `graph` and lets the checker judge the result; `path` is the network's file, for messages.
///
/// # Errors
/// The network does not fit the machine.
pub fn compile_and_check(graph: &Graph, machine: &Machine, path: &Path) -> Result<Compiled, Failure> {
    program_of(graph, machine).map(judged).map_err(|error| refused(&error, graph, machine, path))
}

/// The program of `graph`: the one that the machine was chosen for, or a new one.
fn program_of(graph: &Graph, machine: &Machine) -> Result<Program, CompileError> {
    match &machine.chosen_for {
        Some(known) if known.0 == *graph => Ok(known.1.clone()),
        _ => compile(graph, &machine.configuration, &machine.name),
    }
}

/// The compiler refuses the network.
fn refused(error: &CompileError, graph: &Graph, machine: &Machine, path: &Path) -> Failure {
    let what = format!("the network cannot be compiled for {}", machine.name);
    let mut why = vec![error.to_string()];
    // The compiler says what is short up to a layer; people want to know of the whole.
    if matches!(error, CompileError::DoesNotFit { resource: Resource::WeightRam, .. }) {
        why.extend(shortfall_of_weights(graph, &machine.configuration));
    }
    why.extend(machine.refusals.iter().cloned());
    Failure::new(what, path.display(), why.join("\n"), help(graph, machine, error))
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
    match program_of(graph, machine) {
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

fn help(graph: &Graph, machine: &Machine, error: &CompileError) -> String {
    match error {
        CompileError::DoesNotFit { .. } | CompileError::TooLarge { .. } => {
            // A board's other machines are called `BOARD/MACHINE`.
            let own = |board: &Board| {
                let name = machine.board.as_ref().and_then(|machine| machine.name.split('/').next());
                name == Some(&board.name[..])
            };
            let boards = Board::all().unwrap_or_default();
            let fitting: Vec<String> = boards
                .into_iter()
                .filter(|board| {
                    let others = board.others().unwrap_or_default();
                    let fits = |board: &Board| executes(graph, &board.configuration);
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
            "run it with `--on golden`; the machine executes all operators of `docs/networks.md`, in the shapes that stand there"
                .into()
        }
        CompileError::Graph(_) | CompileError::Unsupported { .. } => {
            "express the network with the operators that `docs/networks.md` lists, with one input and one output; another machine of \
             `--board` or `--config` may have what this one lacks, and `--on golden` runs it without one"
                .into()
        }
    }
}
