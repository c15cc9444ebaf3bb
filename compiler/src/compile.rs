//! From a graph to a program: lowers the operators in order and assembles the image.

use crate::error::CompileError;
use crate::graph::{Graph, OperatorKind, TensorId};
use crate::lower::{Lowering, elementwise, fully_connected};
use crate::schedule::{Schedule, Stored};
use lpu_isa::configuration::Configuration;
use lpu_isa::program::{FORMAT, Layer, Program, Region};

/// Compiles `graph` for the machine `configuration`, which `board` names.
///
/// # Errors
/// [`CompileError`]: the network does not fit, or is beyond what the instructions can count.
pub fn compile(graph: &Graph, configuration: &Configuration, board: &str) -> Result<Program, CompileError> {
    graph.check()?;
    check_lowered(graph)?;
    let mut lowering = Lowering {
        model: &graph.name,
        schedule: Schedule::new(configuration),
        weights: vec![Vec::new(); configuration.tiles as usize],
        scales: Vec::new(),
    };
    let mut vectors: Vec<Option<Stored>> = vec![None; graph.tensors.len()];
    let [input_id] = graph.inputs[..] else {
        return Err(unsupported(graph, "a network must have one input"));
    };
    let [output_id] = graph.outputs[..] else {
        return Err(unsupported(graph, "a network must have one output"));
    };
    let input = place_input(&mut lowering, graph, input_id)?;
    vectors[input_id.0] = Some(input.clone());

    // A reshape gives its input another name; the region lives until the last reader of any name is done.
    let mut remaining = uses(graph);
    let mut root: Vec<usize> = (0..graph.tensors.len()).collect();
    let mut last_read = vec![0u64; graph.tensors.len()];
    let mut layers: Vec<Layer> = Vec::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        let (&[from], &[to]) = (&operator.inputs[..], &operator.outputs[..]) else {
            let why = "an operator must have one input and one output".to_string();
            return Err(CompileError::Unsupported { layer: operator.name.clone(), why });
        };
        let Some(stored) = vectors[from.0].clone() else {
            let why = "the input has no value".to_string();
            return Err(CompileError::Unsupported { layer: operator.name.clone(), why });
        };
        let owner = root[from.0];
        let tensor = graph.tensor(to).map_or("", |tensor| &tensor.name);
        let number = layers.len() as u32;
        let lowered = match &operator.kind {
            OperatorKind::Reshape => {
                root[to.0] = owner;
                remaining[owner] += remaining[to.0];
                vectors[to.0] = Some(stored);
                None
            }
            OperatorKind::FullyConnected(layer) => {
                let next_passes = passes_over(graph, index, to, configuration);
                let name = &operator.name;
                Some(fully_connected::lower(&mut lowering, name, tensor, layer, &stored, next_passes, number)?)
            }
            OperatorKind::Elementwise(elementwise) => {
                Some(elementwise::lower(&mut lowering, &operator.name, tensor, elementwise, &stored, number)?)
            }
            other => {
                let operator_name = format!("the operator `{}`", other.name());
                return Err(CompileError::NotLowered { layer: operator.name.clone(), operator: operator_name });
            }
        };
        if let Some(lowered) = lowered {
            last_read[owner] = last_read[owner].max(lowered.last_read);
            layers.push(Layer {
                name: operator.name.clone(),
                operator: operator.kind.name().into(),
                macs: operator.multiply_accumulates(graph),
                tiles: lowered.tiles,
                start: lowered.start,
                end: lowered.result.ready.iter().copied().max().unwrap_or(0),
                result: lowered.result.region.clone(),
            });
            vectors[to.0] = Some(lowered.result);
        }
        remaining[owner] -= 1;
        if remaining[owner] == 0
            && let Some(done) = &vectors[owner]
        {
            lowering.schedule.release(&done.region, last_read[owner]);
        }
    }
    let Some(output) = vectors[output_id.0].clone() else {
        return Err(unsupported(graph, "the output has no value"));
    };
    let names: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
    let (queues, cycles) = lowering.schedule.finish(&graph.name, &names)?;
    Ok(Program {
        format: FORMAT,
        model: graph.name.clone(),
        board: board.into(),
        configuration: configuration.clone(),
        weights: lowering.weights,
        scales: lowering.scales,
        queues,
        input: input.region,
        output: output.region,
        layers,
        macs: graph.multiply_accumulates(),
        cycles,
        language: None,
    })
}

fn unsupported(graph: &Graph, why: &str) -> CompileError {
    CompileError::Unsupported { layer: graph.name.clone(), why: why.into() }
}

/// Refuses what has no lowering before anything is placed: the first such operator, else the first state or constant.
fn check_lowered(graph: &Graph) -> Result<(), CompileError> {
    let not_lowered =
        |layer: &str, operator: &str| Err(CompileError::NotLowered { layer: layer.into(), operator: operator.into() });
    for operator in &graph.operators {
        match &operator.kind {
            OperatorKind::FullyConnected(_) | OperatorKind::Reshape | OperatorKind::Elementwise(_) => (),
            other => return not_lowered(&operator.name, &format!("the operator `{}`", other.name())),
        }
    }
    if let Some(state) = graph.states.first() {
        return not_lowered(&state.name, "state that is kept from one inference to the next");
    }
    match graph.constants.first().and_then(|constant| graph.tensor(constant.tensor)) {
        Some(tensor) => not_lowered(&tensor.name, "a constant operand"),
        None => Ok(()),
    }
}

/// The host writes the input before the run, dense, from the first beat of slice 0.
fn place_input(lowering: &mut Lowering<'_>, graph: &Graph, id: TensorId) -> Result<Stored, CompileError> {
    let tensor = graph.tensor(id).ok_or_else(|| unsupported(graph, "the input does not exist"))?;
    let elements = tensor.elements() as u32;
    let beats = elements.div_ceil(lowering.schedule.configuration.dot);
    let (slice, base, _) = lowering.schedule.allocate(&graph.name, &tensor.name, beats, 0)?;
    let region = Region { tensor: tensor.name.clone(), slice, base, beats, positions: (0..elements).collect() };
    Ok(Stored { region, ready: vec![0; beats as usize] })
}

/// How often each tensor is read; the network's output is read once more, by the host, and so never released.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.tensors.len()];
    for id in graph.operators.iter().flat_map(|operator| &operator.inputs).chain(&graph.outputs) {
        uses[id.0] += 1;
    }
    uses
}

/// Passes that the fully connected layers behind `tensor` will make over it if they use all tiles.
fn passes_over(graph: &Graph, index: usize, tensor: TensorId, configuration: &Configuration) -> u64 {
    let mut names = vec![tensor];
    let mut passes = 0;
    for operator in &graph.operators[index + 1..] {
        if operator.inputs.iter().any(|id| names.contains(id)) {
            match &operator.kind {
                OperatorKind::FullyConnected(layer) => {
                    passes += (layer.output_length as u64).div_ceil(u64::from(configuration.channels()));
                }
                OperatorKind::Reshape | OperatorKind::Elementwise(_) => names.extend(&operator.outputs),
                _ => (),
            }
        }
    }
    passes
}
