//! Operators that move elements and compute nothing.

use super::{Value, positions, strides};
use lpu_compiler::graph::{Concatenation, Pad, Slice, Tensor};

pub(super) fn pad(pad: &Pad, input: Value<'_>, output: &Tensor) -> Vec<i8> {
    let mut result = vec![pad.value; output.elements()];
    let steps = strides(&output.shape);
    let start = pad.before.iter().zip(&steps).map(|(before, step)| before * step).sum();
    let steps: Vec<isize> = steps.into_iter().map(|step| step as isize).collect();
    for (position, &element) in positions(start, &input.tensor.shape, &steps).into_iter().zip(input.elements) {
        result[position] = element;
    }
    result
}

pub(super) fn concatenate(concatenation: Concatenation, inputs: &[Value<'_>]) -> Vec<i8> {
    // All that one input contributes before the next one has its turn: the axis and those within it.
    let run = |value: &Value<'_>| value.tensor.shape[concatenation.axis..].iter().product::<usize>().max(1);
    let turns = inputs.first().map_or(0, |value| value.elements.len() / run(value));
    let turn = |turn: usize| {
        inputs.iter().flat_map(move |value| value.elements.chunks(run(value)).nth(turn).unwrap_or_default())
    };
    (0..turns).flat_map(turn).copied().collect()
}

pub(super) fn slice(slice: &Slice, input: Value<'_>) -> Vec<i8> {
    let steps = strides(&input.tensor.shape);
    let start = slice.start.iter().zip(&steps).map(|(start, step)| start * step).sum();
    let steps: Vec<isize> = slice.stride.iter().zip(&steps).map(|(stride, &step)| stride * step as isize).collect();
    positions(start, &slice.size, &steps).into_iter().map(|position| input.elements[position]).collect()
}
