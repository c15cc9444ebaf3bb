//! Padding that the windows behind it do themselves.
//!
//! A convolution counts what lies outside its input as the input's zero point. Where a `PAD` puts that around the rows and columns of a
//! tensor and convolutions alone read the result, it is left out, and their windows reach further.

use crate::graph::{Graph, Operator, OperatorKind, Pad, Padding, Window};

/// `graph` without such operators; `None` where it has none.
pub(super) fn folded(graph: &Graph) -> Option<Graph> {
    let mut folded: Option<Graph> = None;
    let mut index = 0;
    loop {
        let current = folded.as_ref().unwrap_or(graph);
        let Some(operator) = current.operators.get(index) else { return folded };
        match fold(current, operator) {
            Some(without) => folded = Some(without),
            None => index += 1,
        }
    }
}

/// The graph without `operator`, if its padding can be left to those that read it.
fn fold(graph: &Graph, operator: &Operator) -> Option<Graph> {
    let OperatorKind::Pad(pad) = &operator.kind else { return None };
    let (&[from], &[to]) = (&operator.inputs[..], &operator.outputs[..]) else { return None };
    let more = around(pad)?;
    let kept = graph.outputs.iter().chain(graph.states.iter().flat_map(|state| [&state.tensor, &state.next]));
    let mut readers = graph.operators.iter().filter(|reader| reader.inputs.contains(&to)).peekable();
    readers.peek()?;
    let all = readers.all(|reader| {
        let mut kind = reader.kind.clone();
        window(&mut kind).is_some_and(|(_, zero_point)| zero_point == i32::from(pad.value))
    });
    if !all || kept.into_iter().any(|&id| id == to) {
        return None;
    }
    let mut graph = graph.clone();
    graph.operators.retain(|other| other.outputs != [to]);
    for reader in graph.operators.iter_mut().filter(|reader| reader.inputs.contains(&to)) {
        reader.inputs = vec![from];
        let (window, _) = window(&mut reader.kind)?;
        window.padding = together(window.padding, more);
    }
    Some(graph)
}

/// The rows and columns that a `PAD` of `[batch, rows, columns, channels]` adds; `None` where it adds to other axes.
fn around(pad: &Pad) -> Option<Padding> {
    let (&[0, top, left, 0], &[0, bottom, right, 0]) = (&pad.before[..], &pad.after[..]) else { return None };
    Some(Padding { top, bottom, left, right })
}

fn together(a: Padding, b: Padding) -> Padding {
    Padding { top: a.top + b.top, bottom: a.bottom + b.bottom, left: a.left + b.left, right: a.right + b.right }
}

/// A convolution's window, and the zero point of its input.
fn window(kind: &mut OperatorKind) -> Option<(&mut Window, i32)> {
    match kind {
        OperatorKind::Convolution(layer) => Some((&mut layer.window, layer.accumulation.input_zero_point)),
        OperatorKind::DepthwiseConvolution(layer) => Some((&mut layer.window, layer.accumulation.input_zero_point)),
        _ => None,
    }
}
