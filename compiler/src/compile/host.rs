//! The host's part of a network: a softmax at its end, and what follows it element by element.
//!
//! Where the vector unit has no softmax, or too few tables, the host has the golden model's function and reads the output anyway, so it
//! does what is left: the softmax, and changes of scale and shape behind it, such as the scale that a quantiser has chosen for the
//! network's output. For the machine all of them are names of the softmax's input.

use crate::error::CompileError;
use crate::graph::{Graph, Operator, OperatorKind, TensorId};
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Finish;

/// Are there tables for all softmaxes, one for those of the same scales?
fn on_the_machine(graph: &Graph, configuration: &Configuration) -> bool {
    tables(graph) <= configuration.softmax_tables as usize
}

/// Tables that the softmaxes need.
fn tables(graph: &Graph) -> usize {
    let mut different: Vec<&Softmax> = Vec::new();
    for operator in &graph.operators {
        if let OperatorKind::Softmax(softmax) = &operator.kind
            && !different.contains(&softmax)
        {
            different.push(softmax);
        }
    }
    different.len()
}

/// For each operator, whether the host executes it: softmaxes for which the machine has no tables, and all that needs a result of theirs.
pub(super) fn executed(graph: &Graph, configuration: &Configuration) -> Vec<bool> {
    if on_the_machine(graph, configuration) {
        return vec![false; graph.operators.len()];
    }
    let needed = needed(graph);
    graph.operators.iter().zip(needed).map(|(operator, needed)| is_softmax(operator) || needed.is_some()).collect()
}

fn is_softmax(operator: &Operator) -> bool {
    matches!(operator.kind, OperatorKind::Softmax(_))
}

/// For each operator, a softmax whose result it needs: its place among the operators.
fn needed(graph: &Graph) -> Vec<Option<usize>> {
    let mut behind: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let mut needed = Vec::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        let found = operator.inputs.iter().find_map(|id| behind[id.0]);
        for id in &operator.outputs {
            behind[id.0] = found.or(is_softmax(operator).then_some(index));
        }
        needed.push(found);
    }
    needed
}

/// Refuses a softmax whose result the machine would need, in this step or, as a state, in the next.
pub(super) fn check(graph: &Graph, configuration: &Configuration) -> Result<(), CompileError> {
    if on_the_machine(graph, configuration) {
        return Ok(());
    }
    let needed_tables = tables(graph);
    let not_lowered = |layer: &str, what: &str| {
        let why = format!(
            "a softmax where {what} needs a vector unit that has one, with a table for each of other scales; set `softmax_tables = \
             {needed_tables}` in its configuration, which has {}",
            configuration.softmax_tables
        );
        Err(CompileError::Unsupported { layer: layer.into(), why })
    };
    for (index, (operator, needed)) in graph.operators.iter().zip(needed(graph)).enumerate() {
        let follows = matches!(operator.kind, OperatorKind::Elementwise(_) | OperatorKind::Reshape);
        let softmax = &graph.operators[needed.unwrap_or(index)].name;
        if needed.is_some() && !follows {
            return not_lowered(softmax, "more than changes of scale follow it");
        }
        if !is_softmax(operator) && needed.is_none() {
            continue;
        }
        let kept = |id: &TensorId| graph.states.iter().any(|state| state.next == *id);
        if operator.outputs.iter().any(kept) {
            return not_lowered(softmax, "a state takes its result");
        }
        // When the host reads, the place of a state holds its next value.
        let state = |id: &TensorId| graph.states.iter().any(|state| state.tensor == named(graph, *id));
        if is_softmax(operator) && operator.inputs.iter().any(state) {
            return not_lowered(softmax, "it is that of a state");
        }
    }
    Ok(())
}

/// The tensor of which `id` is another name.
fn named(graph: &Graph, id: TensorId) -> TensorId {
    // Backwards: whatever is read has been made before.
    graph.operators.iter().rev().filter(|operator| operator.kind == OperatorKind::Reshape).fold(id, |id, reshape| {
        match reshape.inputs[..] {
            [from] if reshape.outputs.contains(&id) => from,
            _ => id,
        }
    })
}

/// What the host makes of the output; `None` where the machine has made it whole.
pub(super) fn finish(graph: &Graph, output: TensorId, configuration: &Configuration) -> Option<Finish> {
    if on_the_machine(graph, configuration) {
        return None;
    }
    let (mut at, mut rescales) = (output, Vec::new());
    loop {
        let operator = graph.operators.iter().find(|operator| operator.outputs.contains(&at))?;
        match &operator.kind {
            OperatorKind::Softmax(softmax) => {
                let row = graph.tensor(at)?.shape.last().copied().unwrap_or(1) as u32;
                rescales.reverse();
                return Some(Finish { softmax: *softmax, row, rescales });
            }
            OperatorKind::Elementwise(function) => rescales.push(function.rescale()),
            OperatorKind::Reshape => (),
            _ => return None,
        }
        at = *operator.inputs.first()?;
    }
}
