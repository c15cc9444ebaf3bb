//! Pools.
//!
//! An average is a product over a window whose weights are all alike ([`window`]): a power of two, so that the first of the two
//! roundings comes far behind the last bit that matters. Where windows hang over the edge of the input, positions whose windows
//! hold the same taps are a product of their own, with a scale of their own. Whether the scale gives exactly the quotient that the
//! operator is defined by is tried for every sum there can be.
//!
//! A maximum passes through the vector unit tap by tap, over the positions whose window holds it.
//!
//! # Cost
//!
//! An average: that of [`window`] for each class of positions, one behind the other ([`cost_of_average`]).
//!
//! A maximum: `words` cycles for each tap, one for each position and block of channels. A tap needs the results of the one before, so it begins
//! `max(words, round trip)` behind it ([`cost_of_maximum`]); the round trip is a cycle longer where a block is less than a word, because the
//! position behind it is read with it. Where windows hang over the edge, taps have fewer words, in another order, and one
//! may wait longer for the one before; where no tap lies in all windows, the results begin as the least value there is, a word a cycle.

use super::cost::{Cost, Products, Streaming};
use super::layout::Layout;
use super::nest::{Nest, repeat};
use super::stream::{Stream, Through};
use super::window::{self, Axis, Place, Product};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::{Pool, PoolFunction, Window};
use crate::schedule::Stored;
use lpu_isa::arithmetic::mean::average;
use lpu_isa::arithmetic::{Requantise, Rounding, quantize_multiplier};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::Function;
use lpu_isa::program::Scale;

/// Outputs along an axis whose windows hold the same taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    /// First tap that lies within the input, and how many.
    tap: u64,
    taps: u64,
    /// First output, and how many.
    from: u64,
    outputs: u64,
}

/// The classes of an axis of `outputs` outputs over an input of `size`.
fn classes(taps: u64, padding: u64, stride: u64, outputs: u64, size: u64) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for output in 0..outputs {
        let origin = output * stride;
        let first = padding.saturating_sub(origin).min(taps);
        let last = (size + padding).saturating_sub(origin).min(taps);
        match classes.last_mut() {
            Some(class) if (class.tap, class.taps) == (first, last.saturating_sub(first)) => class.outputs += 1,
            _ => classes.push(Class { tap: first, taps: last.saturating_sub(first), from: output, outputs: 1 }),
        }
    }
    classes
}

/// The classes of a pool's rows and columns.
fn classes_of(pool: &Pool, input: &Layout, output: &Layout) -> [Vec<Class>; 2] {
    let Window { size, padding, stride, .. } = pool.window;
    let rows = [size.rows, padding.top, stride.rows].map(|number| number as u64);
    let columns = [size.columns, padding.left, stride.columns].map(|number| number as u64);
    let of = |[taps, padding, stride]: [u64; 3], outputs: u64, size: u64| classes(taps, padding, stride, outputs, size);
    [of(rows, output.rows, input.rows), of(columns, output.columns, input.columns)]
}

/// What the outputs of a class of rows and one of columns read.
fn axes_of(pool: &Pool, [row, column]: [&Class; 2]) -> [Axis; 2] {
    let axis = |class: &Class, padding: usize, stride: usize| Axis {
        taps: class.taps,
        first: class.tap as i64 - padding as i64,
        stride: stride as u64,
        dilation: 1,
        from: class.from,
        outputs: class.outputs,
    };
    let Window { padding, stride, .. } = pool.window;
    [axis(row, padding.top, stride.rows), axis(column, padding.left, stride.columns)]
}

/// The product of an average over those axes, whose weight and scale nobody asks for.
fn average_of([rows, columns]: [Axis; 2]) -> Product<'static> {
    Product { rows, columns, reads: &|channel| channel..channel + 1, alike: true, ..Product::UNWEIGHTED }
}

/// The cycles of an average `pool` alone, between two such images of which the input has no copy.
#[must_use]
pub fn cost_of_average(pool: &Pool, input: &Layout, output: &Layout, configuration: &Configuration) -> Option<Cost> {
    let [rows, columns] = classes_of(pool, input, output);
    let pairs = rows.iter().flat_map(|row| columns.iter().map(move |column| [row, column]));
    let products = pairs.map(|classes| {
        let product = average_of(axes_of(pool, classes));
        Products::of(&product, input, output, configuration)
    });
    let products: Option<Vec<Products>> = products.collect();
    let together = products?.into_iter().reduce(|before, next| before.then(next, configuration));
    together.map(|products| products.cost(configuration))
}

/// The cycles of a maximum alone, of so many taps that lie in all windows, of which `output` comes.
#[must_use]
pub fn cost_of_maximum(taps: u64, output: &Layout, configuration: &Configuration) -> Cost {
    let words = output.rows * output.columns * output.blocks();
    let vector = Streaming::Vector;
    let narrow = words > 1 && output.block_beats < configuration.beats_per_word().into();
    let behind = vector.round_trip(configuration) + u64::from(narrow);
    let each = vector.passes_on_to(vector, words, configuration).max(behind);
    vector.cost(words, taps.saturating_sub(1) * each, configuration)
}

/// The largest sum that is tried, in elements.
pub(super) const MOST_TRIED: u64 = 1 << 16;

/// Weight and scale with which the product over `count` elements gives `expected` for every sum.
fn exact_scale(
    name: &str,
    count: u64,
    zero_point: i32,
    candidates: impl Iterator<Item = (i8, Scale)>,
    limits: (i32, i32),
    expected: impl Fn(i32) -> i32,
) -> Result<(i8, Scale), CompileError> {
    let refuse = |why: &str| Err(CompileError::Unsupported { layer: name.into(), why: why.into() });
    if count == 0 || count > MOST_TRIED {
        return refuse("a mean of no elements, or of more than 65,536, cannot be computed");
    }
    let sums = -128 * count as i32..=127 * count as i32;
    for (weight, scale) in candidates {
        let (minimum, maximum) = limits;
        let Scale { multiplier, shift, bias } = scale;
        let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
        let apply = |sum: i32| requantise.apply(sum.wrapping_mul(weight.into()).wrapping_add(bias));
        if scale.is_encodable() && sums.clone().all(|sum| apply(sum) == expected(sum)) {
            return Ok((weight, scale));
        }
    }
    refuse("no scale of the requantiser rounds its mean as the operator does")
}

/// Lowers `pool`, which reads the image `input`.
///
/// # Errors
/// A memory that is too small, or a layer beyond the counters.
pub fn lower(
    lowering: &mut Lowering<'_>,
    pool: &Pool,
    input: &Stored,
    input_layout: Layout,
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let [rows, columns] = classes_of(pool, &input_layout, &target.layout);
    match pool.function {
        PoolFunction::Average => lower_average(lowering, pool, [&rows, &columns], (input, input_layout), target),
        PoolFunction::Maximum => lower_maximum(lowering, pool, (input, input_layout), target),
    }
}

fn lower_average(
    lowering: &mut Lowering<'_>,
    pool: &Pool,
    [rows, columns]: [&[Class]; 2],
    (input, input_layout): (&Stored, Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let (mut stored, last_read) = lowering.place_image(target)?;
    let unit = 1i8 << (lowering.schedule.configuration.weight_bits - 2);
    let mut whole: Option<Lowered> = None;
    for row in rows {
        for column in columns {
            let count = row.taps * column.taps;
            let (multiplier, shift) = quantize_multiplier(1.0 / (count.max(1) as f64 * f64::from(unit)));
            let scale = Scale { multiplier, shift, bias: 0 };
            let limits = (pool.minimum, pool.maximum);
            let quotient = |sum: i32| average(sum, count as i32).max(pool.minimum).min(pool.maximum);
            let candidates = std::iter::once((unit, scale));
            let (weight, scale) = exact_scale(target.name, count, 0, candidates, limits, quotient)?;
            let product = Product {
                weight: &|_, _, _| weight,
                streams: window::has_streams(input, &input_layout, &lowering.schedule.configuration),
                scale: &|_| scale,
                minimum: pool.minimum,
                maximum: pool.maximum,
                ..average_of(axes_of(pool, [row, column]))
            };
            let mut place = Place::of(target, (input, input_layout), &mut stored, last_read);
            let lowered = window::lower(lowering, &product, &mut place, target.number)?;
            whole = Some(lowered.behind(whole));
        }
    }
    whole.ok_or_else(|| CompileError::Unsupported { layer: target.name.into(), why: "a pool without outputs".into() })
}

/// A tap's row and column, and the output rows and columns whose windows hold it: the first and how many.
type Tap = ((usize, usize), (u64, u64), (u64, u64));

fn lower_maximum(
    lowering: &mut Lowering<'_>,
    pool: &Pool,
    (input, input_layout): (&Stored, Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    if !lowering.schedule.configuration.vector_unit {
        let why = "a maximum needs a machine with a vector unit".to_string();
        return Err(CompileError::Unsupported { layer: target.name.into(), why });
    }
    let layout = target.layout;
    // It is read beside the input: a slice has one read port.
    let apart = |slice: &u32| *slice != input.region.slice;
    let slices = target.slices.iter().copied().filter(apart).collect();
    let preferred = target.slices.iter().take(target.preferred).filter(|slice| apart(slice)).count();
    let target = Target { slices, preferred, twin: false, into: target.into.clone(), ..*target };
    let (mut stored, last_read) = lowering.place_image(&target)?;
    let window = &pool.window;
    // The outputs whose windows hold a tap.
    let outputs = |tap: usize, padding: usize, stride: usize, size: u64, outputs: u64| {
        let holds =
            |output: u64| (output * stride as u64 + tap as u64).checked_sub(padding as u64).is_some_and(|at| at < size);
        let from = (0..outputs).position(holds).unwrap_or(0) as u64;
        let count = (0..outputs).filter(|&output| holds(output)).count() as u64;
        (from, count)
    };
    let mut taps = Vec::new();
    for row in 0..window.size.rows {
        for column in 0..window.size.columns {
            let down = outputs(row, window.padding.top, window.stride.rows, input_layout.rows, layout.rows);
            let across =
                outputs(column, window.padding.left, window.stride.columns, input_layout.columns, layout.columns);
            if down.1 > 0 && across.1 > 0 {
                taps.push(((row, column), down, across));
            }
        }
    }
    // A tap that all windows hold can come first, and needs nothing to be compared with.
    let all = |&(_, down, across): &Tap| down.1 == layout.rows && across.1 == layout.columns;
    let mut fresh = taps.iter().position(all).map(|first| taps.swap(0, first)).is_some();
    if !fresh {
        lowering.fill_image(target.name, &layout, &mut stored, pool.minimum, last_read)?;
    }
    let word = u64::from(lowering.schedule.configuration.beats_per_word());
    let mut whole: Option<Lowered> = None;
    let count = taps.len();
    for (index, ((row, column), down, across)) in taps.into_iter().enumerate() {
        let beats = layout.block_beats;
        let nest = |layout: &Layout, region: &Stored, row: i64, column: i64, stride: [usize; 2]| {
            let mut loops = vec![
                repeat(across.1, (stride[1] as u64 * beats) as i64),
                repeat(layout.blocks(), layout.block_pitch() as i64),
                repeat(down.1, (stride[0] as u64 * layout.row_pitch()) as i64),
            ];
            let narrow = beats < word;
            if narrow {
                loops.insert(0, repeat(1, 0));
            }
            let outer = loops.split_off(1);
            let base = i64::from(region.region.base) + layout.beat(row, column, 0);
            Nest { base, inner: loops, outer, fixed_first: narrow }
        };
        let own = nest(&layout, &stored, down.0 as i64, across.0 as i64, [1, 1]);
        let (stride, padding) = (window.stride, window.padding);
        let at = |output: u64, tap: usize, stride: usize, padding: usize| {
            (output as usize * stride + tap) as i64 - padding as i64
        };
        let read = nest(
            &input_layout,
            input,
            at(down.0, row, stride.rows, padding.top),
            at(across.0, column, stride.columns, padding.left),
            [stride.rows, stride.columns],
        );
        let mut reads = vec![(input.region.slice, read, &input.ready[..], input.region.base)];
        let function = if std::mem::take(&mut fresh) {
            Function::Pass
        } else {
            reads.push((stored.region.slice, own.clone(), &stored.ready[..], stored.region.base));
            Function::Maximum
        };
        let streamed = lowering.stream(&Stream {
            name: target.name,
            reads,
            through: Through::Vector { function, constant: 0 },
            minimum: pool.minimum,
            maximum: pool.maximum,
            write: (stored.region.slice, own),
            also: None,
            last_beats: beats.min(word) as u32,
            earliest: 0,
            last_read,
            // What comes before the last tap is not yet a result.
            number: Some(target.number).filter(|_| index + 1 == count),
        })?;
        stored.land(&streamed.landed);
        let lowered =
            Lowered { result: stored.clone(), tiles: 0, start: streamed.start, last_read: streamed.last_read };
        whole = Some(lowered.behind(whole));
    }
    whole.ok_or_else(|| CompileError::Unsupported { layer: target.name.into(), why: "a pool without taps".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_with_the_same_taps_are_a_class() {
        // Three taps with one column of padding on each side of four.
        assert_eq!(
            classes(3, 1, 1, 4, 4),
            [
                Class { tap: 1, taps: 2, from: 0, outputs: 1 },
                Class { tap: 0, taps: 3, from: 1, outputs: 2 },
                Class { tap: 0, taps: 2, from: 3, outputs: 1 }
            ]
        );
    }

    #[test]
    fn averages_of_any_number_of_elements_have_an_exact_scale() {
        for count in (1..200).chain([255, 256, 257, 1000, 4096]) {
            let (multiplier, shift) = quantize_multiplier(1.0 / (f64::from(count) * 64.0));
            let candidates = std::iter::once((64, Scale { multiplier, shift, bias: 0 }));
            let found = exact_scale("pool", count as u64, 0, candidates, (-128, 127), |sum| average(sum, count));
            assert!(found.is_ok(), "{count}");
        }
    }
}
