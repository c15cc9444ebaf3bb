//! Which machine of a board takes a network.
//!
//! A board's folder has several configurations, each a machine that fits the FPGA. They are tried in this order:
//!
//! 1. the board's own, which is taken if it executes the network with whole images;
//! 2. the others of the folder, in the order of their names. Of all that execute the network the one that takes the least time is
//!    taken, its cycles at its own clock, the board's own machine included; of equals the first.
//!
//! Where none executes it, the one that lacks least is what the refusal is about, and what each of the others lacks is told with it. A
//! machine of `--config` stays what it is.

use crate::machine::Machine;
use crate::output::{count, printable, remark};
use lpu_compiler::compile::compile;
use lpu_compiler::error::CompileError;
use lpu_compiler::graph::{Graph, Operator, OperatorKind};
use lpu_compiler::import;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_isa::resources::weight_bytes;
use std::fmt;
use std::path::Path;

/// Why a machine does not take a network.
#[derive(Debug)]
enum Lack {
    /// The network has more weights than all weight RAMs hold.
    Weights { network: u64, machine: u64 },
    /// The machine's scales are narrow.
    Narrow,
    /// The network has a weight that the multipliers do not take.
    Width { weight: i8, bits: u32 },
    /// The compiler refuses it.
    Refused(CompileError),
}

impl Lack {
    /// How far the machine is from taking the network: first the kind, what a larger memory would mend before what it would not, then
    /// how many times too small something is.
    fn distance(&self) -> (u8, f64) {
        let times = |needed: u64, available: u64| needed as f64 / available.max(1) as f64;
        match self {
            Lack::Weights { network, machine } => (0, times(*network, *machine)),
            Lack::Refused(CompileError::DoesNotFit { needed, available, .. }) => (0, times(*needed, *available)),
            Lack::Refused(CompileError::TooLarge { value, limit, .. }) => (1, times(*value, *limit)),
            Lack::Refused(CompileError::NotLowered { .. }) => (2, 0.0),
            Lack::Narrow
            | Lack::Width { .. }
            | Lack::Refused(CompileError::Unsupported { .. } | CompileError::Graph(_)) => (3, 0.0),
        }
    }
}

impl fmt::Display for Lack {
    /// In a few words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Weights { network, machine } => f.write_str(&too_many_weights(*network, *machine)),
            Lack::Narrow => f.write_str("its scales are narrow (`narrow_scales = true`): it is for language models"),
            Lack::Width { weight, bits } => {
                write!(f, "it multiplies weights of {bits} bits, and the network has one of {weight}")
            }
            Lack::Refused(CompileError::DoesNotFit { layer, needed, available, what, .. }) => {
                write!(f, "layer `{layer}` needs {needed} {what}, it has {available}")
            }
            // What to do about it, behind the first semicolon or colon, is another machine's.
            Lack::Refused(CompileError::Unsupported { layer, why }) => {
                let end = why.find("; ").into_iter().chain(why.find(": ")).min().unwrap_or(why.len());
                write!(f, "layer `{layer}`: {}", &why[..end])
            }
            Lack::Refused(error) => error.fmt(f),
        }
    }
}

/// The machine for the network in the file at `path`, as the head of this module says; which one is taken instead of a board's own, and
/// why, goes to standard error. For a language model it is the board's first machine with `extensions`, without which none executes one.
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
    let own = compiled(&graph, &machine);
    let why = match &own {
        Ok(program) if program.layers.iter().all(|layer| layer.band.is_none()) => {
            return chosen(vec![(machine, own)], 0, graph);
        }
        Ok(program) => format!("takes {} cycles for it, band by band of its images", count(program.cycles)),
        Err(lack) => format!("cannot execute it ({lack})"),
    };
    let mut tried = vec![(machine, own)];
    for other in others {
        let program = compiled(&graph, &other);
        tried.push((other, program));
    }
    let time = |(machine, program): &(Machine, Result<Program, Lack>)| {
        program.as_ref().ok().map(|program| program.cycles as f64 / machine.clock_mhz().unwrap_or(1.0))
    };
    let fastest = tried.iter().enumerate().filter_map(|(number, tried)| Some((time(tried)?, number)));
    match fastest.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, number)| number) {
        Some(0) => chosen(tried, 0, graph),
        Some(number) => instead(chosen(tried, number, graph), &why),
        None => nearest(tried),
    }
}

/// The machine `number` of those tried for the network, with its program: compiling it takes seconds for large images.
fn chosen(mut tried: Vec<(Machine, Result<Program, Lack>)>, number: usize, graph: Graph) -> Machine {
    let (machine, program) = tried.swap_remove(number);
    Machine { chosen_for: program.ok().map(|program| Box::new((graph, program))), ..machine }
}

/// Of machines that do not take a network, the one that lacks least, the first of equals; it knows what the others lack.
fn nearest(tried: Vec<(Machine, Result<Program, Lack>)>) -> Machine {
    let mut tried: Vec<(Machine, Lack)> =
        tried.into_iter().filter_map(|(machine, result)| Some((machine, result.err()?))).collect();
    let (mut least, mut number) = (tried[0].1.distance(), 0);
    for (other, (_, lack)) in tried.iter().enumerate().skip(1) {
        let distance = lack.distance();
        if distance.0 < least.0 || (distance.0 == least.0 && distance.1 < least.1) {
            (least, number) = (distance, other);
        }
    }
    let (machine, lack) = tried.remove(number);
    // What no machine executes is not for want of the right machine.
    let refusals = match lack {
        Lack::Refused(CompileError::NotLowered { .. } | CompileError::Graph(_)) => vec![],
        _ => tried.iter().map(|(other, lack)| format!("{}: {lack}", other.name)).collect(),
    };
    Machine { refusals, ..machine }
}

/// Compiles where that has a chance: it takes long for a network that is far too large.
fn compiled(graph: &Graph, machine: &Machine) -> Result<Program, Lack> {
    let configuration = &machine.configuration;
    if configuration.narrow_scales {
        return Err(Lack::Narrow);
    }
    let bits = configuration.weight_bits;
    let too_wide = |weight: &i8| *weight >> (bits - 1) != *weight >> 7;
    if let Some(&weight) = graph.operators.iter().flat_map(weights).find(|weight| too_wide(weight)) {
        return Err(Lack::Width { weight, bits });
    }
    let (network, most) = (weights_of(graph), most_weights(configuration));
    if network > most {
        return Err(Lack::Weights { network, machine: most });
    }
    compile(graph, configuration, &machine.name).map_err(Lack::Refused)
}

/// Whether a machine of `configuration` executes the network.
pub fn executes(graph: &Graph, configuration: &Configuration) -> bool {
    weights_of(graph) <= most_weights(configuration) && compile(graph, configuration, "").is_ok()
}

/// That the weights alone are too many for a machine of `configuration`, if they are.
pub fn shortfall_of_weights(graph: &Graph, configuration: &Configuration) -> Option<String> {
    let (network, machine) = (weights_of(graph), most_weights(configuration));
    (network > machine).then(|| too_many_weights(network, machine))
}

fn too_many_weights(network: u64, machine: u64) -> String {
    format!("all its {} weights must be in the weight RAMs, which hold {}", count(network), count(machine))
}

/// An operator's weights.
fn weights(operator: &Operator) -> &[i8] {
    match &operator.kind {
        OperatorKind::FullyConnected(layer) => &layer.weights,
        OperatorKind::Convolution(layer) => &layer.weights,
        OperatorKind::DepthwiseConvolution(layer) => &layer.weights,
        _ => &[],
    }
}

/// Weights of a network.
fn weights_of(graph: &Graph) -> u64 {
    graph.operators.iter().map(|operator| weights(operator).len() as u64).sum()
}

/// Weights that a machine holds at most.
fn most_weights(configuration: &Configuration) -> u64 {
    weight_bytes(configuration) * u64::from(configuration.channels_per_tile())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::machine::resolve;
    use lpu_compiler::error::Resource;

    fn short(needed: u64, available: u64) -> Lack {
        Lack::Refused(CompileError::DoesNotFit {
            model: "net".into(),
            layer: "wide".into(),
            resource: Resource::VectorMemory,
            needed,
            available,
            what: "beats",
            shortfall: String::new(),
            block_rams: 1,
        })
    }

    fn unsupported(why: &str) -> Lack {
        Lack::Refused(CompileError::Unsupported { layer: "sum".into(), why: why.into() })
    }

    fn refused_by(lacks: Vec<Lack>) -> Machine {
        let names = ["one", "two", "three"].map(str::to_string).into_iter();
        let machine = |name| Machine { name, ..resolve(None, None).unwrap() };
        nearest(names.zip(lacks).map(|(name, lack)| (machine(name), Err(lack))).collect())
    }

    #[test]
    fn the_machine_that_lacks_least_is_what_a_refusal_is_about() {
        let sum = || unsupported("a sum needs look-ups; set `lookup = true`");
        let weights = Lack::Weights { network: 3_000_000, machine: 1_000_000 };
        let machine = refused_by(vec![sum(), weights, short(200, 100)]);
        assert_eq!(machine.name, "three");
        let expected = [
            "one: layer `sum`: a sum needs look-ups",
            "two: all its 3,000,000 weights must be in the weight RAMs, which hold 1,000,000",
        ];
        assert_eq!(machine.refusals, expected);
        assert_eq!(refused_by(vec![short(120, 100), short(110, 100), sum()]).name, "two");
        // Of equals the first, which is the board's own.
        assert_eq!(refused_by(vec![sum(), sum()]).name, "one");
    }

    #[test]
    fn what_no_machine_executes_is_not_blamed_on_the_others() {
        let softmax = || Lack::Refused(CompileError::NotLowered { layer: "p".into(), operator: "softmax".into() });
        let machine = refused_by(vec![unsupported("a sum needs look-ups"), softmax(), softmax()]);
        assert_eq!((&machine.name[..], machine.refusals.len()), ("two", 0));
    }
}
