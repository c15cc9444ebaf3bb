//! A network on one of the witnesses, one example after the other, with the golden model beside it.

use crate::failure::Failure;
use crate::machine::Machine;
use crate::network;
use crate::witnesses::{Backend, build_rtl, cycle_model_failed, golden_failed, rtl_failed, rtl_options};
use lpu_compiler::graph::{Graph, Tensor, TensorId};
use lpu_isa::program::Program;
use lpu_sim::cycle::CycleModel;
use lpu_sim::golden::Golden;
use lpu_sim::rtl::Rtl;
use std::path::Path;

/// A network, and its program where there is one.
pub struct Loaded {
    /// The network.
    pub graph: Graph,
    /// The program; none where only the golden model executes the network so far.
    pub program: Option<Program>,
}

/// One witness and the golden model.
pub struct Stepper<'a> {
    golden: Golden<'a>,
    witness: Witness<'a>,
    predicted: Option<u64>,
    examples: usize,
    disagreement: Option<String>,
}

enum Witness<'a> {
    Golden,
    Model(Box<CycleModel<'a>>),
    Rtl(Box<Rtl<'a>>),
}

impl Loaded {
    /// Reads the network at `path` and compiles it for the machine; for the golden model, only where that is possible.
    ///
    /// # Errors
    /// A file that is no network, or a network that the machine does not hold; a board, which `lpu run` drives.
    pub fn read(path: &Path, machine: &Machine, on: Backend) -> Result<Loaded, Failure> {
        let graph = network::read(path)?;
        let program = match on {
            Backend::Golden => network::compile_for_golden(&graph, machine, path)?,
            Backend::Model | Backend::Rtl => Some(network::compile_to_run(&graph, machine, path)?),
            Backend::Board => {
                let why = "this command drives no board";
                return Err(Failure::new(
                    "the backend cannot be used",
                    "--on board",
                    why,
                    "use `lpu run … --on board`",
                ));
            }
        };
        Ok(Loaded { graph, program })
    }

    /// The network's only input.
    ///
    /// # Errors
    /// It has several.
    pub fn input(&self, path: &Path) -> Result<&Tensor, Failure> {
        self.only(&self.graph.inputs, "input", path)
    }

    /// The network's only output.
    ///
    /// # Errors
    /// It has several.
    pub fn output(&self, path: &Path) -> Result<&Tensor, Failure> {
        self.only(&self.graph.outputs, "output", path)
    }

    fn only(&self, ids: &[TensorId], what: &str, path: &Path) -> Result<&Tensor, Failure> {
        match (ids, ids.first().and_then(|&id| self.graph.tensor(id))) {
            ([_], Some(tensor)) => Ok(tensor),
            _ => {
                let why = format!("it has {} {what}s, this command knows what to do with one", ids.len());
                Err(Failure::new(
                    "the network cannot be used",
                    path.display(),
                    why,
                    "use `lpu run MODEL --inputs X.npy`",
                ))
            }
        }
    }
}

/// The real value of an element.
pub fn real(tensor: &Tensor, element: i8) -> f32 {
    tensor.quantisation.scale * (i32::from(element) - tensor.quantisation.zero_point) as f32
}

/// The least and the largest real value that a tensor can hold.
pub fn range(tensor: &Tensor) -> (f32, f32) {
    (real(tensor, i8::MIN), real(tensor, i8::MAX))
}

impl<'a> Stepper<'a> {
    /// The network in its first state; builds the RTL if it is asked for.
    ///
    /// # Errors
    /// A graph that cannot be executed, or tools that are missing.
    pub fn new(loaded: &'a Loaded, on: Backend) -> Result<Stepper<'a>, Failure> {
        let witness = match (on, &loaded.program) {
            (Backend::Model, Some(program)) => Witness::Model(Box::new(CycleModel::new(program))),
            (Backend::Rtl, Some(program)) => {
                let options = rtl_options(None)?;
                let library = build_rtl(&program.configuration, &options)?;
                let rtl = Rtl::with_library(program, &library, &options).map_err(|error| rtl_failed(&error))?;
                Witness::Rtl(Box::new(rtl))
            }
            _ => Witness::Golden,
        };
        Ok(Stepper {
            golden: Golden::new(&loaded.graph).map_err(golden_failed)?,
            witness,
            predicted: loaded.program.as_ref().map(|program| program.cycles),
            examples: 0,
            disagreement: None,
        })
    }

    /// The witness's output for the next example.
    ///
    /// # Errors
    /// A run that does not end, or an input of another length.
    pub fn step(&mut self, input: &[i8]) -> Result<Vec<i8>, Failure> {
        let golden = self.golden.run(input).map_err(golden_failed)?;
        let (output, cycles) = match &mut self.witness {
            Witness::Golden => return Ok(golden),
            Witness::Model(model) => {
                let outcome = model.run(input).map_err(cycle_model_failed)?;
                (outcome.output, outcome.cycles)
            }
            Witness::Rtl(rtl) => {
                let outcome = rtl.run(input).map_err(|error| rtl_failed(&error))?;
                (outcome.output, outcome.cycles)
            }
        };
        if self.disagreement.is_none() && (output != golden || Some(cycles) != self.predicted) {
            let example = self.examples;
            self.disagreement = Some(match self.predicted {
                Some(predicted) if predicted != cycles => {
                    format!("example {example}: {cycles} cycles, not the {predicted} predicted")
                }
                _ => format!("example {example}: the output is not the golden model's"),
            });
        }
        self.examples += 1;
        Ok(output)
    }

    /// The first example whose output or cycles were not what they must be.
    pub fn disagreement(&self) -> Option<&str> {
        self.disagreement.as_deref()
    }
}
