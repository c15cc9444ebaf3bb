//! From a graph to a program: lowers the operators in order and assembles the image.

mod bands;
mod demands;
mod host;
mod inputs;
mod padding;
mod step;
mod tiling;

use crate::error::{CompileError, Resource};
use crate::graph::{Graph, Operator, OperatorKind, TensorId};
use crate::lower::Lowering;
use crate::lower::convolution::Dense;
use crate::lower::lookup;
use crate::lower::tables::Tables;
use crate::schedule::{Schedule, Spread, Stored};
use bands::Part;
use demands::Demands;
use inputs::{keep_states, place_constant};
use lpu_isa::configuration::Configuration;
use lpu_isa::program::{FORMAT, Layer, Program};
use std::collections::{HashMap, HashSet};
use step::{Step, slices_read_beside};
use tiling::{Place, Tiling};

/// Compiles `graph` for the machine `configuration`, which `board` names.
///
/// # Errors
/// [`CompileError`]: the network does not fit, or is beyond what the instructions can count.
pub fn compile(graph: &Graph, configuration: &Configuration, board: &str) -> Result<Program, CompileError> {
    graph.check()?;
    if configuration.narrow_scales {
        let why = "this machine's scales are narrow (`narrow_scales = true`): without zero points and with multipliers of 13 bits they are for \
                   language models, whose quantiser chooses scales that fit";
        return Err(unsupported(graph, why));
    }
    check_lowered(graph, configuration)?;
    let folded = padding::folded(graph);
    let graph = folded.as_ref().unwrap_or(graph);
    let tables = Tables::default();
    // Nothing else reads the channel of its own number.
    let by_channel = |operator: &Operator| {
        use OperatorKind::{DepthwiseConvolution, Mean, Pool};
        matches!(operator.kind, DepthwiseConvolution(_) | Pool(_) | Mean(_))
    };
    let separate = configuration.separate_sums && graph.operators.iter().any(by_channel);
    let task = Task { graph, configuration, board, separate, tables: &tables };
    let found = search(task);
    if !separate {
        return found;
    }
    // Sums of multipliers take fewer cycles, and more words and instructions, which may be what there is not enough of.
    match (found, search(Task { separate: false, ..task })) {
        (Ok(found), Ok(other)) => Ok(if other.cycles < found.cycles { other } else { found }),
        (Err(_), Ok(other)) => Ok(other),
        (found, _) => found,
    }
}

/// Searches for a program of few cycles that fits.
fn search(task: Task<'_>) -> Result<Program, CompileError> {
    let Task { graph, board, .. } = task;
    // Fewest cycles first. Where the weights do not fit, they are given a price until they do; where vectors do not, copies are left
    // out and operators run band by band until they do.
    let mut prices = PRICES.into_iter();
    let (mut price, mut too_low) = (0, 0);
    let mut waiting: Vec<Tiling> = Vec::new();
    let mut again = Some(Tiling::default());
    let mut found: HashSet<Tiling> = HashSet::new();
    let mut lowered = 0;
    let mut least: Option<(f64, CompileError)> = None;
    while let Some(tiling) = again.take().or_else(|| next_way(&mut waiting, found.len())) {
        let all = vec![price; graph.operators.len()];
        let mut work = Work::new(task, all, tiling);
        let error = match work.compile(board) {
            Ok(program) => {
                let found = elsewhere(program, work.tiling, task, price);
                return Ok(if price == 0 { found.0 } else { refined(found, task, (price, too_low)) });
            }
            Err(error) => error,
        };
        lowered += work.layers.len() + 1;
        if let CompileError::DoesNotFit { resource: Resource::Queue, .. } = &error {
            again = work.tiling.with_fewer_instructions();
            if again.is_some() {
                continue;
            }
        }
        match &error {
            CompileError::DoesNotFit { resource: Resource::WeightRam, .. } => match prices.next() {
                Some(higher) => {
                    (too_low, price) = (price, higher);
                    again = Some(work.tiling);
                }
                None => return Err(error),
            },
            CompileError::DoesNotFit { resource, needed, available, .. } => {
                if *resource == Resource::VectorMemory {
                    let ways = work.tiling.relieved(graph, work.at, &work.twins());
                    waiting.extend(ways.into_iter().filter(|way| found.insert(way.clone())).rev());
                }
                // Of all ways that fail, the one that nearly does not.
                let times = *needed as f64 / (*available).max(1) as f64;
                if least.as_ref().is_none_or(|(least, _)| times < *least) {
                    least = Some((times, error));
                }
                if lowered > MOST_LOWERED {
                    break;
                }
            }
            _ => return Err(error),
        }
    }
    let nothing = CompileError::Unsupported { layer: graph.name.clone(), why: "nothing was tried".into() };
    Err(least.map_or(nothing, |(_, error)| error))
}

/// What a word of weights in each tile is worth, in cycles, until all fit.
const PRICES: [u64; 9] = [1, 2, 4, 8, 32, 128, 512, 2048, 1 << 20];

/// Layers, each band of an operator counted, that are lowered at most in search of room: about a second.
const MOST_LOWERED: usize = 1500;

/// Until so many ways are found, the last one found is tried, which is more of the one before; then always the one that computes the least.
const MOST_IN_DEPTH: usize = 10;

/// The way that is tried next of those `waiting`: the last one found, or, where going on has led nowhere, one of least work, the last of
/// these. `found` counts those tried too.
fn next_way(waiting: &mut Vec<Tiling>, found: usize) -> Option<Tiling> {
    if found <= MOST_IN_DEPTH {
        return waiting.pop();
    }
    let least = (0..waiting.len()).rev().min_by_key(|&index| waiting[index].work())?;
    Some(waiting.remove(least))
}

/// Operators whose weights are tried at the lower price, at most, and layers that are lowered for it.
const MOST_REFINED: usize = 16;
const MOST_LOWERED_AGAIN: usize = 1500;

/// What is to be compiled.
#[derive(Clone, Copy)]
struct Task<'a> {
    graph: &'a Graph,
    configuration: &'a Configuration,
    /// The machine's name.
    board: &'a str,
    /// May multipliers have sums of their own, where the machine has them?
    separate: bool,
    tables: &'a Tables,
}

/// `program`, or the one with images elsewhere that takes the fewest cycles.
fn elsewhere(program: Program, tiling: Tiling, task: Task<'_>, price: u64) -> (Program, Tiling) {
    let mut best = (program, tiling.clone());
    for spread in [Spread::Early, Spread::Emptiest].into_iter().filter(|&spread| spread != tiling.spread) {
        let other = tiling.placed(spread);
        let prices = vec![price; task.graph.operators.len()];
        match Work::new(task, prices, other.clone()).compile(task.board) {
            Ok(found) if found.cycles < best.0.cycles => best = (found, other),
            _ => (),
        }
    }
    best
}

/// At price `high` for words of weights everything fits, at `low` it does not: lets one operator after the other have the lower one,
/// while there is room.
fn refined((program, tiling): (Program, Tiling), task: Task<'_>, (high, low): (u64, u64)) -> Program {
    let mut best = program;
    let mut prices = vec![high; task.graph.operators.len()];
    let has_choice = |operator: &Operator| {
        matches!(operator.kind, OperatorKind::Convolution(_) | OperatorKind::DepthwiseConvolution(_))
    };
    let operators = task.graph.operators.iter().enumerate().filter(|(_, operator)| has_choice(operator));
    let count = MOST_REFINED.min(MOST_LOWERED_AGAIN / best.layers.len().max(1));
    for (index, _) in operators.take(count) {
        prices[index] = low;
        match Work::new(task, prices.clone(), tiling.clone()).compile(task.board) {
            Ok(program) if program.cycles < best.cycles => best = program,
            _ => prices[index] = high,
        }
    }
    best
}

/// A compilation under way.
struct Work<'a> {
    graph: &'a Graph,
    demands: Demands,
    tiling: Tiling,
    lowering: Lowering<'a>,
    /// Where each tensor stands.
    vectors: Vec<Option<Stored>>,
    /// The parts of the input, where no slice holds it as a whole.
    parts: Vec<Part>,
    /// How the input stands where neighbouring columns share a beat, for the one operator that reads it.
    dense: Option<(usize, Dense)>,
    /// What the host writes beside the input's elements.
    input_fill: i8,
    /// Reads of each tensor still to come, those of all its names together.
    remaining: Vec<usize>,
    /// The tensor that each is another name of.
    root: Vec<usize>,
    /// The last cycle in which each tensor is read, so far.
    last_read: Vec<u64>,
    layers: Vec<Layer>,
    /// For each operator, whether the host executes it.
    hosted: Vec<bool>,
    /// Cycles that a word of weights in each tile may cost each operator.
    prices: Vec<u64>,
    /// What is being placed.
    at: Place,
}

impl<'a> Work<'a> {
    /// With a price for words of weights for each operator.
    fn new(task: Task<'a>, prices: Vec<u64>, tiling: Tiling) -> Work<'a> {
        let Task { graph, configuration, separate, tables, .. } = task;
        let mut schedule = Schedule::new(configuration);
        schedule.spread = tiling.spread;
        schedule.instruction_price = tiling.instruction_price();
        let lowering = Lowering {
            model: &graph.name,
            schedule,
            weights: vec![Vec::new(); configuration.tiles as usize],
            scales: Vec::new(),
            fillers: vec![None; configuration.vector_slices as usize],
            constants: Vec::new(),
            softmaxes: Vec::new(),
            thrift: 0,
            separate,
            blocks: HashMap::new(),
            tables,
        };
        Work {
            graph,
            demands: Demands::of(graph),
            tiling,
            lowering,
            vectors: vec![None; graph.tensors.len()],
            parts: Vec::new(),
            dense: None,
            input_fill: 0,
            remaining: uses(graph),
            root: (0..graph.tensors.len()).collect(),
            last_read: vec![0; graph.tensors.len()],
            layers: Vec::new(),
            hosted: host::executed(graph, configuration),
            prices,
            at: Place::Input,
        }
    }

    /// The tensors that have a copy in another slice at present.
    fn twins(&self) -> Vec<usize> {
        let has = |id: &usize| self.vectors[*id].as_ref().is_some_and(|stored| stored.twin.is_some());
        (0..self.vectors.len()).filter(|id| self.remaining[self.root[*id]] > 0 && has(id)).collect()
    }

    fn compile(&mut self, board: &str) -> Result<Program, CompileError> {
        let graph = self.graph;
        let [input_id] = graph.inputs[..] else {
            return Err(unsupported(graph, "a network must have one input"));
        };
        let [output_id] = graph.outputs[..] else {
            return Err(unsupported(graph, "a network must have one output"));
        };
        let (input, more_input) = self.place_input(input_id)?;
        for constant in &graph.constants {
            let stored = place_constant(&mut self.lowering, graph, constant.tensor, &constant.values, &self.demands)?;
            self.vectors[constant.tensor.0] = Some(stored);
        }
        for state in &graph.states {
            let stored = place_constant(&mut self.lowering, graph, state.tensor, &state.initial, &self.demands)?;
            self.vectors[state.tensor.0] = Some(stored);
        }
        let mut next = 0;
        while next < graph.operators.len() {
            self.lowering.thrift = self.prices[next];
            if let Some(segment) = self.tiling.from(next).cloned() {
                self.lower_segment(&segment)?;
                next = segment.last + 1;
            } else {
                self.lower_operator(next)?;
                next += 1;
            }
        }
        keep_states(&mut self.lowering, graph, &self.vectors, &self.root, &self.last_read)?;
        let Some(output) = self.vectors[output_id.0].clone() else {
            return Err(unsupported(graph, "the output has no value"));
        };
        let names: Vec<String> = self.layers.iter().map(|layer| layer.name.clone()).collect();
        let configuration = self.lowering.schedule.configuration.clone();
        let (queues, cycles) = self.lowering.schedule.finish(&graph.name, &names)?;
        Ok(Program {
            format: FORMAT,
            model: graph.name.clone(),
            board: board.into(),
            finish: host::finish(graph, output_id, &configuration),
            configuration,
            weights: std::mem::take(&mut self.lowering.weights),
            scales: std::mem::take(&mut self.lowering.scales),
            queues,
            input,
            more_input,
            input_fill: self.input_fill,
            output: output.region,
            layers: std::mem::take(&mut self.layers),
            macs: graph.multiply_accumulates(),
            cycles,
            constants: std::mem::take(&mut self.lowering.constants),
            softmaxes: std::mem::take(&mut self.lowering.softmaxes),
            language: None,
        })
    }

    /// Lowers operator number `index`, whole.
    fn lower_operator(&mut self, index: usize) -> Result<(), CompileError> {
        let graph = self.graph;
        let operator = &graph.operators[index];
        self.at = Place::Operator(index);
        let &[to] = &operator.outputs[..] else {
            let why = "an operator must have one output".to_string();
            return Err(CompileError::Unsupported { layer: operator.name.clone(), why });
        };
        let stored: Option<Vec<Stored>> = operator.inputs.iter().map(|from| self.vectors[from.0].clone()).collect();
        let Some(stored) = stored.filter(|stored| !stored.is_empty()) else {
            let why = "an input has no value".to_string();
            return Err(CompileError::Unsupported { layer: operator.name.clone(), why });
        };
        // A reshape gives its input another name; the region lives until the last reader of any name is done. So does, for the machine,
        // what the host executes on what it has read.
        if operator.kind == OperatorKind::Reshape || self.hosted[index] {
            let owner = self.root[operator.inputs[0].0];
            self.root[to.0] = owner;
            self.remaining[owner] += self.remaining[to.0];
            self.vectors[to.0] = Some(stored[0].clone());
            self.has_read(&operator.inputs, 0);
            return Ok(());
        }
        let beside = slices_read_beside(graph, index, to, &self.vectors);
        let number = self.layers.len() as u32;
        let step = Step { graph, operator, index, to, number, demands: &self.demands, tiling: &self.tiling, beside };
        let dense = self.dense.as_ref().filter(|(reader, _)| *reader == index);
        let lowered = match (dense, &operator.kind) {
            (Some((_, dense)), OperatorKind::Convolution(layer)) => {
                step.lower_dense(&mut self.lowering, layer, &stored[0], dense)?
            }
            _ => step.lower(&mut self.lowering, &stored)?,
        };
        self.layers.push(Layer {
            name: operator.name.clone(),
            operator: operator.kind.name().into(),
            macs: operator.multiply_accumulates(graph),
            tiles: lowered.tiles,
            start: lowered.start,
            end: lowered.result.ready.iter().copied().max().unwrap_or(0),
            result: lowered.result.region.clone(),
            band: None,
        });
        self.vectors[to.0] = Some(lowered.result);
        self.has_read(&operator.inputs, lowered.last_read);
        Ok(())
    }

    /// Notes that an operator has read `inputs`, the last time in cycle `last_read`, and gives back what nothing will read again.
    fn has_read(&mut self, inputs: &[TensorId], last_read: u64) {
        let owners: Vec<usize> = inputs.iter().map(|from| self.root[from.0]).collect();
        for &owner in &owners {
            self.last_read[owner] = self.last_read[owner].max(last_read);
        }
        for owner in owners {
            self.remaining[owner] -= 1;
            if self.remaining[owner] == 0
                && let Some(done) = &self.vectors[owner]
            {
                self.lowering.schedule.release_all(done, self.last_read[owner]);
            }
        }
    }
}

fn unsupported(graph: &Graph, why: &str) -> CompileError {
    CompileError::Unsupported { layer: graph.name.clone(), why: why.into() }
}

/// Refuses what has no lowering, or none for this machine, before anything is placed: the first such operator.
fn check_lowered(graph: &Graph, configuration: &Configuration) -> Result<(), CompileError> {
    host::check(graph, configuration)?;
    for operator in &graph.operators {
        let looked_up = match &operator.kind {
            OperatorKind::Add(_) => Some("a sum"),
            OperatorKind::Multiply(_) => Some("a product"),
            OperatorKind::Logistic(_) => Some("a logistic function"),
            _ => None,
        };
        if let Some(what) = looked_up.filter(|_| !configuration.lookup) {
            return Err(lookup::refused(&operator.name, what));
        }
    }
    Ok(())
}

/// How often each tensor is read; the network's output is read once more, by the host, and so never released, and neither is what
/// is kept or constant.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.tensors.len()];
    let states = graph.states.iter().flat_map(|state| [&state.tensor, &state.next]);
    let constants = graph.constants.iter().map(|constant| &constant.tensor);
    let last = graph.outputs.iter().chain(states).chain(constants);
    for id in graph.operators.iter().flat_map(|operator| &operator.inputs).chain(last) {
        uses[id.0] += 1;
    }
    uses
}
