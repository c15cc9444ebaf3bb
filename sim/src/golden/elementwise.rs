//! Operators on elements: of one tensor, and of two.

use super::{Value, narrow, positions, strides};
use lpu_compiler::graph::{Elementwise, Tensor};

pub(super) fn elementwise(function: &Elementwise, input: &[i8]) -> Vec<i8> {
    let rescale = function.rescale();
    input.iter().map(|&element| rescale.apply(element)).collect()
}

/// `function` of each pair of elements; axes of size one repeat.
pub(super) fn pairs(inputs: &[Value<'_>], output: &Tensor, function: impl Fn(i32, i32) -> i32) -> Vec<i8> {
    let &[first, second] = inputs else { return Vec::new() };
    let elements = |value: Value<'_>| {
        let missing = output.shape.len().saturating_sub(value.tensor.shape.len());
        let shape: Vec<usize> = std::iter::repeat_n(1, missing).chain(value.tensor.shape.iter().copied()).collect();
        let repeated = |(&size, stride): (&usize, usize)| if size == 1 { 0 } else { stride as isize };
        let steps: Vec<isize> = shape.iter().zip(strides(&shape)).map(repeated).collect();
        let read = |position: usize| i32::from(value.elements[position]);
        positions(0, &output.shape, &steps).into_iter().map(read).collect::<Vec<i32>>()
    };
    elements(first).into_iter().zip(elements(second)).map(|(first, second)| narrow(function(first, second))).collect()
}
