//! Products of weights and elements, summed: fully connected layers and convolutions.

use super::{Value, narrow};
use lpu_compiler::graph::{Convolution, DepthwiseConvolution, FullyConnected, Tensor};

/// `Σ weight × (element - zero_point)`, with 32 bits that wrap.
fn products(weights: &[i8], elements: &[i8], zero_point: i32) -> i32 {
    let product = |(&weight, &element): (&i8, &i8)| i32::from(weight) * (i32::from(element) - zero_point);
    weights.iter().zip(elements).map(product).fold(0, i32::wrapping_add)
}

pub(super) fn fully_connected(layer: &FullyConnected, input: &[i8]) -> Vec<i8> {
    let rows = layer.weights.chunks_exact(layer.input_length.max(1));
    let row = |(channel, row): (usize, &[i8])| {
        let accumulation = &layer.accumulation;
        let accumulator = products(row, input, accumulation.input_zero_point).wrapping_add(accumulation.bias(channel));
        accumulation.requantise(channel).map_or(0, |requantise| narrow(requantise.apply(accumulator)))
    };
    rows.enumerate().map(row).collect()
}

pub(super) fn convolution(layer: &Convolution, input: Value<'_>, output: &Tensor) -> Vec<i8> {
    let (&[batch, rows, columns, channels], &[_, down, across, outputs]) = (&input.tensor.shape[..], &output.shape[..])
    else {
        return Vec::new();
    };
    let depth = channels / layer.groups.max(1);
    let outputs_of_group = outputs / layer.groups.max(1);
    let mut result = Vec::with_capacity(output.elements());
    for image in 0..batch {
        for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
            for channel in 0..outputs {
                let group = channel / outputs_of_group.max(1);
                let mut accumulator = layer.accumulation.bias(channel);
                for (tap_row, row) in layer.window.row_taps(y, rows) {
                    for (tap_column, column) in layer.window.column_taps(x, columns) {
                        let tap = (channel * layer.window.size.rows + tap_row) * layer.window.size.columns + tap_column;
                        let from = ((image * rows + row) * columns + column) * channels + group * depth;
                        let weights = &layer.weights[tap * depth..][..depth];
                        let elements = &input.elements[from..][..depth];
                        let sum = products(weights, elements, layer.accumulation.input_zero_point);
                        accumulator = accumulator.wrapping_add(sum);
                    }
                }
                let requantise = layer.accumulation.requantise(channel);
                result.push(requantise.map_or(0, |requantise| narrow(requantise.apply(accumulator))));
            }
        }
    }
    result
}

pub(super) fn depthwise(layer: &DepthwiseConvolution, input: Value<'_>, output: &Tensor) -> Vec<i8> {
    let (&[batch, rows, columns, channels], &[_, down, across, outputs]) = (&input.tensor.shape[..], &output.shape[..])
    else {
        return Vec::new();
    };
    let mut result = Vec::with_capacity(output.elements());
    for image in 0..batch {
        for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
            for channel in 0..outputs {
                let mut accumulator = layer.accumulation.bias(channel);
                for (tap_row, row) in layer.window.row_taps(y, rows) {
                    for (tap_column, column) in layer.window.column_taps(x, columns) {
                        let tap = tap_row * layer.window.size.columns + tap_column;
                        let weight = layer.weights[tap * outputs + channel];
                        let from = ((image * rows + row) * columns + column) * channels;
                        let element = i32::from(input.elements[from + channel / layer.multiplier.max(1)]);
                        let product = i32::from(weight) * (element - layer.accumulation.input_zero_point);
                        accumulator = accumulator.wrapping_add(product);
                    }
                }
                let requantise = layer.accumulation.requantise(channel);
                result.push(requantise.map_or(0, |requantise| narrow(requantise.apply(accumulator))));
            }
        }
    }
    result
}
