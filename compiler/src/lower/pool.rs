//! Pools and means.
//!
//! An average is a product over a window whose weights are all alike ([`window`]): a power of two, so that the first of the two
//! roundings comes far behind the last bit that matters. Where windows hang over the edge of the input, positions whose windows
//! hold the same taps are a product of their own, with a scale of their own. Whether the scale gives exactly the quotient that the
//! operator is defined by is tried for every sum there can be.
//!
//! A mean over axes into another scale is the same, but its roundings bend the line at 0 where they differ from those of one
//! scale: then it is two products, one for each side, and the vector unit adds them.
//!
//! A maximum passes through the vector unit tap by tap, over the positions whose window holds it.
//!
//! # Cost
//!
//! An average: that of [`window`] for each class of positions. A maximum: one cycle for each tap, position and block of channels,
//! one more of each position and block where no tap lies in all windows, and a round trip for each tap.

use super::layout::Layout;
use super::line;
use super::nest::{Nest, repeat};
use super::stream::{Stream, Through, rows_of};
use super::window::{self, Axis, Place, Product};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::{Mean, Padding, Plane, Pool, PoolFunction};
use crate::schedule::Stored;
use lpu_isa::arithmetic::mean::average;
use lpu_isa::arithmetic::{MINIMUM_SHIFT, Requantise, Rounding, quantize_multiplier};
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

/// The largest sum that is tried, in elements.
const MOST_TRIED: u64 = 1 << 16;

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
    let window = &pool.window;
    let rows = classes(
        window.size.rows as u64,
        window.padding.top as u64,
        window.stride.rows as u64,
        target.layout.rows,
        input_layout.rows,
    );
    let columns = classes(
        window.size.columns as u64,
        window.padding.left as u64,
        window.stride.columns as u64,
        target.layout.columns,
        input_layout.columns,
    );
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
            let axis = |class: &Class, padding: usize, stride: usize| Axis {
                taps: class.taps,
                first: class.tap as i64 - padding as i64,
                stride: stride as u64,
                dilation: 1,
                from: class.from,
                outputs: class.outputs,
            };
            let product = Product {
                rows: axis(row, pool.window.padding.top, pool.window.stride.rows),
                columns: axis(column, pool.window.padding.left, pool.window.stride.columns),
                reads: &|channel| channel..channel + 1,
                weight: &|_, _, _| weight,
                alike: true,
                streams: window::has_streams(input, &input_layout, &lowering.schedule.configuration),
                columns_at: (0, 1),
                scale: &|_| scale,
                zero_point: 0,
                minimum: pool.minimum,
                maximum: pool.maximum,
            };
            let mut place = Place {
                name: target.name,
                input,
                input_layout,
                result: &stored.region,
                layout: target.layout,
                twin: stored.twin,
                last_read,
                ready: &mut stored.ready,
            };
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

/// The image that a mean makes of one of `layout`, and which of its axes go: rows, columns, channels. `None` where axes that stay
/// and axes that go are both among those that are rows of an image.
#[must_use]
pub fn mean_axes(mean: &Mean, shape: &[usize]) -> Option<[bool; 3]> {
    let rank = shape.len();
    let goes = |from_the_end: usize| rank.checked_sub(from_the_end).is_some_and(|axis| mean.axes.contains(&axis));
    let mut rows = (0..rank.saturating_sub(2)).filter(|&axis| shape[axis] > 1).map(|axis| mean.axes.contains(&axis));
    let first = rows.next();
    rows.all(|goes| Some(goes) == first).then(|| [first.unwrap_or(false), goes(2), goes(1)])
}

/// Lowers `mean`, which reads the image `input` and takes the axes `goes` (rows, columns, channels) away.
///
/// # Errors
/// A memory that is too small, a layer beyond the counters, or a scale that no requantiser has.
pub fn lower_mean(
    lowering: &mut Lowering<'_>,
    mean: &Mean,
    goes: [bool; 3],
    (input, input_layout): (&Stored, Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    super::check_rounding(target.name, mean.requantise.rounding)?;
    let bits = lowering.schedule.configuration.weight_bits;
    if let Some(scale) = mean_scale(mean, Half::Both, bits) {
        return mean_product(lowering, goes, scale, (input, input_layout), target);
    }
    // One line has a bend where the mean is 0: a product for each side, clamped there, and their sum.
    let halves = [Half::Above, Half::Below].map(|half| mean_scale(mean, half, bits));
    let [Some(above), Some(below)] = halves else {
        let why = "no scale of the requantiser rounds its mean as the operator does".to_string();
        return Err(CompileError::Unsupported { layer: target.name.into(), why });
    };
    let configuration = lowering.schedule.configuration.clone();
    let size = Plane { rows: target.layout.rows as usize, columns: target.layout.columns as usize };
    let layout = Layout::new(size, target.layout.channels as usize, (Padding::default(), 0), &configuration);
    let aside = |slices: Vec<u32>| Target { layout, slices, preferred: usize::MAX, twin: false, into: None, ..*target };
    let image = (input, input_layout);
    let first = mean_product(lowering, goes, above, image, &aside(target.slices.clone()))?;
    let taken = first.result.region.slice;
    let slices = target.slices.iter().copied().filter(|&slice| slice != taken).collect();
    let second = mean_product(lowering, goes, below, image, &aside(slices))?;
    let (mut stored, former) = lowering.place_image(target)?;
    let word = configuration.beats_per_word();
    let reads = [&first.result, &second.result].map(|half| {
        let (nest, _) = rows_of(&layout, half, word);
        (half.region.slice, nest, &half.ready[..], half.region.base)
    });
    let (own, last_beats) = rows_of(&target.layout, &stored, word);
    let streamed = lowering.stream(&Stream {
        name: target.name,
        reads: reads.to_vec(),
        through: Through::Vector { function: Function::Add, constant: 0 },
        minimum: mean.requantise.minimum,
        maximum: mean.requantise.maximum,
        write: (stored.region.slice, own),
        also: None,
        last_beats,
        earliest: 0,
        last_read: former,
        number: Some(target.number),
    })?;
    stored.land(&streamed.landed);
    lowering.schedule.release(&first.result.region, streamed.last_read);
    lowering.schedule.release(&second.result.region, streamed.last_read);
    let last_read = first.last_read.max(second.last_read);
    Ok(Lowered { result: stored, tiles: first.tiles, start: first.start, last_read })
}

/// Which results a product makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// All.
    Both,
    /// Those of at least the output's zero point, which stands for all others.
    Above,
    /// Those of at most that, less it; 0 for all others.
    Below,
}

/// Weight, scale, and what is behind the scaling: how a product makes a mean.
#[derive(Clone, Copy, Debug)]
struct MeanScale {
    weight: i8,
    scale: Scale,
    zero_point: i32,
    minimum: i32,
    maximum: i32,
}

/// How a product with weights of `weight_bits` bits makes a half of a mean for every sum that there can be; `None` where none does.
///
/// The operator's multiplier may lack its highest bit: then another scale has to do, with weights that move the first rounding.
fn mean_scale(mean: &Mean, half: Half, weight_bits: u32) -> Option<MeanScale> {
    let own = mean.requantise;
    let count = i64::try_from(mean.count).ok().filter(|count| (1..=MOST_TRIED as i64).contains(count))?;
    let (zero_point, minimum, maximum) = match half {
        Half::Both => (own.zero_point, own.minimum, own.maximum),
        Half::Above => (own.zero_point, own.zero_point, own.maximum),
        Half::Below => (0, own.minimum - own.zero_point, 0),
    };
    let function = |sum: i64| {
        let result = own.apply((sum - count * i64::from(mean.input_zero_point)) as i32);
        match half {
            Half::Both => result,
            Half::Above => result.max(own.zero_point),
            Half::Below => result.min(own.zero_point) - own.zero_point,
        }
    };
    // The operator's own multiplier first. A bias moves the line by a part of an element, as many as the weight is: where none of those is
    // right with a power of two, one is with another weight.
    let exact = (0..weight_bits - 1).flat_map(|bits| {
        [0, 1].into_iter().filter_map(move |double| {
            let multiplier = i32::try_from(i64::from(own.multiplier) << double).ok()?;
            Some((1i8 << bits, multiplier, own.shift - double - bits as i32))
        })
    });
    let real = f64::from(own.multiplier) * f64::from(own.shift - 31).exp2();
    let others = (1..1i8 << (weight_bits - 2)).rev().map(|less| {
        let weight = ((1i16 << (weight_bits - 1)) - i16::from(less)) as i8;
        let (multiplier, shift) = quantize_multiplier(real / f64::from(weight));
        (weight, multiplier, shift)
    });
    exact.chain(others).find_map(|(weight, multiplier, shift)| {
        let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
        if shift < MINIMUM_SHIFT || !(Scale { multiplier, shift, bias: 0 }).is_encodable() {
            return None;
        }
        let bias = line::bias(&requantise, weight.into(), -128 * count..=127 * count, function)?;
        Some(MeanScale { weight, scale: Scale { multiplier, shift, bias }, zero_point, minimum, maximum })
    })
}

/// The product of a mean.
fn mean_product(
    lowering: &mut Lowering<'_>,
    goes: [bool; 3],
    MeanScale { weight, scale, zero_point, minimum, maximum }: MeanScale,
    (input, input_layout): (&Stored, Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let axis = |goes: bool, size: u64| Axis {
        taps: if goes { size } else { 1 },
        first: 0,
        stride: 1,
        dilation: 1,
        from: 0,
        outputs: if goes { 1 } else { size },
    };
    let channels = input_layout.channels;
    let product = Product {
        rows: axis(goes[0], input_layout.rows),
        columns: axis(goes[1], input_layout.columns),
        reads: &|channel| if goes[2] { 0..channels } else { channel..channel + 1 },
        weight: &|_, _, _| weight,
        alike: !goes[2],
        streams: !goes[2] && window::has_streams(input, &input_layout, &lowering.schedule.configuration),
        columns_at: (0, 1),
        scale: &|_| scale,
        zero_point,
        minimum,
        maximum,
    };
    let (mut stored, last_read) = lowering.place_image(target)?;
    let mut place = Place {
        name: target.name,
        input,
        input_layout,
        result: &stored.region,
        layout: target.layout,
        twin: stored.twin,
        last_read,
        ready: &mut stored.ready,
    };
    window::lower(lowering, &product, &mut place, target.number)
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
