//! From a graph to a program: lowers the operators in order and assembles the image.

mod demands;
mod step;

use crate::error::CompileError;
use crate::graph::{Graph, OperatorKind, TensorId};
use crate::lower::Lowering;
use crate::schedule::{Schedule, Stored};
use demands::Demands;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::{FORMAT, Layer, Program, Region};
use step::{Step, slices_read_beside};

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
        fillers: vec![None; configuration.vector_slices as usize],
    };
    let mut vectors: Vec<Option<Stored>> = vec![None; graph.tensors.len()];
    let [input_id] = graph.inputs[..] else {
        return Err(unsupported(graph, "a network must have one input"));
    };
    let [output_id] = graph.outputs[..] else {
        return Err(unsupported(graph, "a network must have one output"));
    };
    let demands = Demands::of(graph);
    let (input, input_region) = place_input(&mut lowering, graph, input_id, &demands)?;
    vectors[input_id.0] = Some(input);

    // A reshape gives its input another name; the region lives until the last reader of any name is done.
    let mut remaining = uses(graph);
    let mut root: Vec<usize> = (0..graph.tensors.len()).collect();
    let mut last_read = vec![0u64; graph.tensors.len()];
    let mut layers: Vec<Layer> = Vec::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        let &[to] = &operator.outputs[..] else {
            let why = "an operator must have one output".to_string();
            return Err(CompileError::Unsupported { layer: operator.name.clone(), why });
        };
        let stored: Option<Vec<Stored>> = operator.inputs.iter().map(|from| vectors[from.0].clone()).collect();
        let Some(stored) = stored.filter(|stored| !stored.is_empty()) else {
            let why = "an input has no value".to_string();
            return Err(CompileError::Unsupported { layer: operator.name.clone(), why });
        };
        let owners: Vec<usize> = operator.inputs.iter().map(|from| root[from.0]).collect();
        let number = layers.len() as u32;
        if operator.kind == OperatorKind::Reshape {
            root[to.0] = owners[0];
            remaining[owners[0]] += remaining[to.0];
            vectors[to.0] = Some(stored[0].clone());
        } else {
            let beside = slices_read_beside(graph, index, to, &vectors);
            let step = Step { graph, operator, index, to, number, demands: &demands, beside };
            let lowered = step.lower(&mut lowering, &stored)?;
            for &owner in &owners {
                last_read[owner] = last_read[owner].max(lowered.last_read);
            }
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
        for owner in owners {
            remaining[owner] -= 1;
            if remaining[owner] == 0
                && let Some(done) = &vectors[owner]
            {
                lowering.schedule.release(&done.region, last_read[owner]);
            }
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
        input: input_region,
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
            OperatorKind::FullyConnected(_)
            | OperatorKind::Convolution(_)
            | OperatorKind::DepthwiseConvolution(_)
            | OperatorKind::Pool(_)
            | OperatorKind::Mean(_)
            | OperatorKind::Reshape
            | OperatorKind::Elementwise(_) => (),
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

/// The host writes the input before the run, from the first beat of slice 0: as the image that the first window reads, dense where
/// there is none. Returns it, and the region that the host writes: there may be a word more, with which padding is filled.
fn place_input(
    lowering: &mut Lowering<'_>,
    graph: &Graph,
    id: TensorId,
    demands: &Demands,
) -> Result<(Stored, Region), CompileError> {
    let tensor = graph.tensor(id).ok_or_else(|| unsupported(graph, "the input does not exist"))?;
    let configuration = lowering.schedule.configuration.clone();
    let layout = demands.of_input(id, &configuration);
    let elements = tensor.elements() as u32;
    let beats = match layout {
        Some(layout) => u32::try_from(layout.beats()).unwrap_or(u32::MAX),
        None => elements.div_ceil(configuration.dot),
    };
    let filler = if demands.padding() { configuration.beats_per_word() } else { 0 };
    let (slice, base, _) =
        lowering.schedule.allocate_in(&graph.name, &tensor.name, beats.saturating_add(filler), &[0])?;
    let positions = layout.map_or_else(|| (0..elements).collect(), |layout| layout.positions());
    let region = Region { tensor: tensor.name.clone(), slice, base, beats, positions };
    let whole = Region { beats: beats + filler, ..region.clone() };
    let mut stored = Stored { region, ready: vec![0; beats as usize], layout };
    if filler > 0 {
        lowering.fillers[slice as usize] = Some((base + beats, 0));
    }
    if let Some(layout) = layout {
        lowering.fill_padding(&tensor.name, &layout, &mut stored, layout.fill, 0)?;
    }
    Ok((stored, whole))
}

/// How often each tensor is read; the network's output is read once more, by the host, and so never released.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.tensors.len()];
    for id in graph.operators.iter().flat_map(|operator| &operator.inputs).chain(&graph.outputs) {
        uses[id.0] += 1;
    }
    uses
}
