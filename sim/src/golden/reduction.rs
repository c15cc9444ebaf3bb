//! Operators that make one element of many: pools and means.

use super::{Value, narrow, positions, strides};
use lpu_compiler::graph::{Mean, Pool, PoolFunction, Tensor};
use lpu_isa::arithmetic::mean::average;

pub(super) fn pool(pool: &Pool, input: Value<'_>, output: &Tensor) -> Vec<i8> {
    let (&[batch, rows, columns, channels], &[_, down, across, _]) = (&input.tensor.shape[..], &output.shape[..])
    else {
        return Vec::new();
    };
    let mut result = Vec::with_capacity(output.elements());
    for image in 0..batch {
        for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
            for channel in 0..channels {
                let window = pool
                    .window
                    .row_taps(y, rows)
                    .flat_map(|(_, row)| pool.window.column_taps(x, columns).map(move |(_, column)| (row, column)));
                let elements = window.map(|(row, column)| {
                    i32::from(input.elements[((image * rows + row) * columns + column) * channels + channel])
                });
                let value = match pool.function {
                    PoolFunction::Maximum => elements.max().unwrap_or(i8::MIN.into()),
                    PoolFunction::Average => {
                        let (sum, count) =
                            elements.fold((0_i32, 0), |(sum, count), x| (sum.wrapping_add(x), count + 1));
                        average(sum, count)
                    }
                };
                result.push(narrow(value.max(pool.minimum).min(pool.maximum)));
            }
        }
    }
    result
}

pub(super) fn mean(mean: &Mean, input: Value<'_>) -> Vec<i8> {
    let shape = &input.tensor.shape;
    let steps: Vec<isize> = strides(shape).into_iter().map(|stride| stride as isize).collect();
    let part = |wanted: bool| {
        let of = |axis: &usize| mean.axes.contains(axis) == wanted;
        let axes: Vec<usize> = (0..shape.len()).filter(of).collect();
        let sizes: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let strides: Vec<isize> = axes.iter().map(|&axis| steps[axis]).collect();
        positions(0, &sizes, &strides)
    };
    let reduced = part(true);
    let zero = (mean.count as i32).wrapping_mul(mean.input_zero_point);
    let of = |first: usize| {
        let elements = reduced.iter().map(|offset| i32::from(input.elements[first + offset]));
        narrow(mean.requantise.apply(elements.fold(0, i32::wrapping_add).wrapping_sub(zero)))
    };
    part(false).into_iter().map(of).collect()
}
