//! From a graph to a program: lowers the operators in order and assembles the image.

mod demands;
mod step;

use crate::error::{CompileError, Resource};
use crate::graph::{Graph, Operator, OperatorKind, TensorId};
use crate::lower::Lowering;
use crate::lower::layout::image;
use crate::schedule::{Schedule, Stored};
use demands::Demands;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::{Constants, FORMAT, Finish, Layer, Program, Region};
use step::{Step, slices_read_beside};

/// Compiles `graph` for the machine `configuration`, which `board` names.
///
/// # Errors
/// [`CompileError`]: the network does not fit, or is beyond what the instructions can count.
pub fn compile(graph: &Graph, configuration: &Configuration, board: &str) -> Result<Program, CompileError> {
    graph.check()?;
    check_lowered(graph)?;
    // Fewest cycles first; where the weights do not fit, they are given a price until they do.
    let mut result = compile_at(graph, configuration, board, 0);
    for thrift in PRICES {
        match result {
            Err(CompileError::DoesNotFit { resource: Resource::WeightRam, .. }) => {
                result = compile_at(graph, configuration, board, thrift);
            }
            _ => break,
        }
    }
    result
}

/// What a word of weights in each tile is worth, in cycles, until all fit.
const PRICES: [u64; 6] = [1, 2, 4, 8, 32, 1 << 20];

/// Compiles with a price for words of weights.
fn compile_at(graph: &Graph, configuration: &Configuration, board: &str, thrift: u64) -> Result<Program, CompileError> {
    let mut lowering = Lowering {
        model: &graph.name,
        schedule: Schedule::new(configuration),
        weights: vec![Vec::new(); configuration.tiles as usize],
        scales: Vec::new(),
        fillers: vec![None; configuration.vector_slices as usize],
        constants: Vec::new(),
        thrift,
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
    for constant in &graph.constants {
        let stored = place_constant(&mut lowering, graph, constant.tensor, &constant.values, &demands)?;
        vectors[constant.tensor.0] = Some(stored);
    }
    for state in &graph.states {
        let stored = place_constant(&mut lowering, graph, state.tensor, &state.initial, &demands)?;
        vectors[state.tensor.0] = Some(stored);
    }

    // A reshape gives its input another name; the region lives until the last reader of any name is done.
    let mut remaining = uses(graph);
    let mut root: Vec<usize> = (0..graph.tensors.len()).collect();
    let mut last_read = vec![0u64; graph.tensors.len()];
    let mut layers: Vec<Layer> = Vec::new();
    let mut finish = None;
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
        if let OperatorKind::Softmax(softmax) = &operator.kind {
            // It is the last operator: the host's.
            let row = graph.tensor(to).and_then(|tensor| tensor.shape.last().copied()).unwrap_or(1) as u32;
            finish = Some(Finish { softmax: *softmax, row });
        }
        if matches!(operator.kind, OperatorKind::Reshape | OperatorKind::Softmax(_)) {
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
                lowering.schedule.release_all(done, last_read[owner]);
            }
        }
    }
    keep_states(&mut lowering, graph, &vectors, &root, &last_read)?;
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
        constants: lowering.constants,
        finish,
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
    // The host takes over behind the last operator that the machine executes.
    let last = graph.operators.iter().rposition(|operator| operator.kind != OperatorKind::Reshape);
    for (index, operator) in graph.operators.iter().enumerate() {
        match &operator.kind {
            OperatorKind::Softmax(_) if Some(index) == last && graph.states.is_empty() => (),
            OperatorKind::Softmax(_) => {
                return not_lowered(&operator.name, "the operator `softmax`, where it is not the last one,");
            }
            OperatorKind::FullyConnected(_)
            | OperatorKind::Convolution(_)
            | OperatorKind::DepthwiseConvolution(_)
            | OperatorKind::Pool(_)
            | OperatorKind::Mean(_)
            | OperatorKind::Add(_)
            | OperatorKind::Logistic(_)
            | OperatorKind::Slice(_)
            | OperatorKind::Concatenation(_)
            | OperatorKind::Pad(_)
            | OperatorKind::Reshape
            | OperatorKind::Elementwise(_) => (),
            other => return not_lowered(&operator.name, &format!("the operator `{}`", other.name())),
        }
    }
    Ok(())
}

/// A tensor that the host writes before the first run, and that stays where it is.
fn place_constant(
    lowering: &mut Lowering<'_>,
    graph: &Graph,
    id: TensorId,
    values: &[i8],
    demands: &Demands,
) -> Result<Stored, CompileError> {
    let tensor = graph.tensor(id).ok_or_else(|| unsupported(graph, "a constant does not exist"))?;
    let configuration = lowering.schedule.configuration.clone();
    let (size, channels) = image(&tensor.shape);
    let layout = demands.layout(id, size, channels, &configuration);
    let beats = u32::try_from(layout.beats()).unwrap_or(u32::MAX);
    // Behind the first slice, where the input is.
    let (slice, base, _) = lowering.schedule.allocate(&graph.name, &tensor.name, beats, 1)?;
    let region = Region { tensor: tensor.name.clone(), slice, base, beats, positions: layout.positions() };
    let mut elements = vec![layout.fill as i16; (beats * configuration.dot) as usize];
    for (&position, &value) in region.positions.iter().zip(values) {
        elements[position as usize] = i16::from(value);
    }
    lowering.constants.push(Constants { name: tensor.name.clone(), slice, base, elements });
    Ok(Stored { region, ready: vec![0; beats as usize], layout: Some(layout), twin: None })
}

/// Brings the next value of each state to its place, once the present one has been read.
fn keep_states(
    lowering: &mut Lowering<'_>,
    graph: &Graph,
    vectors: &[Option<Stored>],
    root: &[usize],
    last_read: &[u64],
) -> Result<(), CompileError> {
    let kept = |id: usize| graph.states.iter().any(|state| state.tensor.0 == id);
    for state in &graph.states {
        let (Some(from), Some(to)) = (&vectors[state.next.0], &vectors[state.tensor.0]) else {
            return Err(unsupported(graph, "the next value of a state is missing"));
        };
        let source = root[state.next.0];
        if source == state.tensor.0 {
            continue;
        }
        if kept(source) {
            let operator = "state that takes the value of another one".to_string();
            return Err(CompileError::NotLowered { layer: state.name.clone(), operator });
        }
        let froms: Vec<_> = (0..to.region.positions.len()).map(|element| Some((0, element))).collect();
        let mut to = to.clone();
        // What is not an element of it has been written by the host.
        to.ready.fill(1);
        lowering.move_into(&[from], &froms, 0, &state.name, (&mut to, last_read[state.tensor.0]), None)?;
    }
    Ok(())
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
    // Operators on vectors alone have nothing to fill.
    let plain = |operator: &Operator| {
        use OperatorKind::{Elementwise, FullyConnected, Reshape, Softmax};
        matches!(operator.kind, FullyConnected(_) | Elementwise(_) | Reshape | Softmax(_))
    };
    let filler = if graph.operators.iter().all(plain) { 0 } else { configuration.beats_per_word() };
    let (slice, base, _) =
        lowering.schedule.allocate_in(&graph.name, &tensor.name, beats.saturating_add(filler), &[0])?;
    let positions = layout.map_or_else(|| (0..elements).collect(), |layout| layout.positions());
    let region = Region { tensor: tensor.name.clone(), slice, base, beats, positions };
    let whole = Region { beats: beats + filler, ..region.clone() };
    let mut stored = Stored { region, ready: vec![0; beats as usize], layout, twin: None };
    if filler > 0 {
        lowering.fillers[slice as usize] = Some((base + beats, 0));
    }
    if let Some(layout) = layout {
        lowering.fill_padding(&tensor.name, &layout, &mut stored, layout.fill, 0)?;
    }
    Ok((stored, whole))
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
