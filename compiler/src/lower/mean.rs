//! Means over axes.
//!
//! A mean is a product over a window whose weights are all alike ([`window`]), with a scale that the operator is given and not a quotient.
//! Its roundings bend the line at 0 where they differ from those of one scale: then it is two products, one for each side, and the vector
//! unit adds them.
//!
//! # Cost
//!
//! That of [`window`] for one product or for two; where there are two, a cycle for each word of the result and a round trip more. [`cost`]
//! evaluates it.

use super::cost::{Cost, Products, Streaming, words};
use super::layout::Layout;
use super::line::{self, Side};
use super::pool::MOST_TRIED;
use super::stream::{Stream, Through, rows_of};
use super::window::{self, Axis, Place, Product};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::{Mean, Padding, Plane};
use crate::schedule::Stored;
use lpu_isa::arithmetic::{MINIMUM_SHIFT, Requantise, Rounding, quantize_multiplier};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::Function;
use lpu_isa::program::Scale;

/// The image that a mean makes of one of `layout`, and which of its axes go: rows, columns, channels. `None` where axes that stay
/// and axes that go are both among those that are rows of an image.
#[must_use]
pub fn axes(mean: &Mean, shape: &[usize]) -> Option<[bool; 3]> {
    let rank = shape.len();
    let goes = |from_the_end: usize| rank.checked_sub(from_the_end).is_some_and(|axis| mean.axes.contains(&axis));
    let mut rows = (0..rank.saturating_sub(2)).filter(|&axis| shape[axis] > 1).map(|axis| mean.axes.contains(&axis));
    let first = rows.next();
    rows.all(|goes| Some(goes) == first).then(|| [first.unwrap_or(false), goes(2), goes(1)])
}

/// The cycles of `mean` alone, which takes the axes `goes` (rows, columns, channels) away; `None` where no scale of the requantiser
/// rounds as it does, or its halves can come out in another order than they are added in: at several positions, but for those of one row and
/// one block of channels.
#[must_use]
pub fn cost(
    mean: &Mean,
    goes: [bool; 3],
    input: &Layout,
    output: &Layout,
    configuration: &Configuration,
) -> Option<Cost> {
    let product = product_of(goes, input);
    let all = 0..input.channels;
    let reads = |_: u64| all.clone();
    let product = if goes[2] { Product { reads: &reads, ..product } } else { product };
    let one = Products::of(&product, input, output, configuration)?;
    let bits = configuration.weight_bits;
    if weighting(mean, Side::Both, bits).is_some() {
        return Some(one.cost(configuration));
    }
    [Side::Above, Side::Below].into_iter().all(|half| weighting(mean, half, bits).is_some()).then_some(())?;
    let in_order = (output.rows, output.blocks()) == (1, 1) || output.rows * output.columns == 1;
    let both = one.then(one, configuration).cost(configuration);
    // The last sum needs the last result.
    let last = rows_of_words(output, configuration) - 1;
    in_order.then_some(Cost { behind: both.behind + Streaming::Vector.round_trip(configuration), last, ..both })
}

/// Words of an image without padding.
fn rows_of_words(layout: &Layout, configuration: &Configuration) -> u64 {
    words(layout.rows * layout.blocks(), layout.columns * layout.block_beats, configuration)
}

/// The product of a mean that takes those axes away, of channels each for itself, whose weight and scale nobody asks for.
fn product_of(goes: [bool; 3], input: &Layout) -> Product<'static> {
    let axis = |goes: bool, size: u64| Axis {
        taps: if goes { size } else { 1 },
        first: 0,
        stride: 1,
        dilation: 1,
        from: 0,
        outputs: if goes { 1 } else { size },
    };
    Product {
        rows: axis(goes[0], input.rows),
        columns: axis(goes[1], input.columns),
        reads: &|channel| channel..channel + 1,
        alike: !goes[2],
        ..Product::UNWEIGHTED
    }
}

/// Lowers `mean`, which reads the image `input` and takes the axes `goes` (rows, columns, channels) away.
///
/// # Errors
/// A memory that is too small, a layer beyond the counters, or a scale that no requantiser has.
pub fn lower(
    lowering: &mut Lowering<'_>,
    mean: &Mean,
    goes: [bool; 3],
    (input, input_layout): (&Stored, Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    super::check_rounding(target.name, mean.requantise.rounding)?;
    let bits = lowering.schedule.configuration.weight_bits;
    if let Some(scale) = weighting(mean, Side::Both, bits) {
        return lower_product(lowering, goes, scale, (input, input_layout), target);
    }
    // One line has a bend where the mean is 0: a product for each side, clamped there, and their sum.
    let halves = [Side::Above, Side::Below].map(|half| weighting(mean, half, bits));
    let [Some(above), Some(below)] = halves else {
        let why = "no scale of the requantiser rounds its mean as the operator does".to_string();
        return Err(CompileError::Unsupported { layer: target.name.into(), why });
    };
    let configuration = lowering.schedule.configuration.clone();
    let size = Plane { rows: target.layout.rows as usize, columns: target.layout.columns as usize };
    let layout = Layout::new(size, target.layout.channels as usize, (Padding::default(), 0), &configuration);
    let aside = |slices: Vec<u32>| Target { layout, slices, preferred: usize::MAX, twin: false, into: None, ..*target };
    let image = (input, input_layout);
    let first = lower_product(lowering, goes, above, image, &aside(target.slices.clone()))?;
    let taken = first.result.region.slice;
    let slices = target.slices.iter().copied().filter(|&slice| slice != taken).collect();
    let second = lower_product(lowering, goes, below, image, &aside(slices))?;
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

/// Weight, scale, and what is behind the scaling: how a product makes a mean.
#[derive(Clone, Copy, Debug)]
struct Weighting {
    weight: i8,
    scale: Scale,
    zero_point: i32,
    minimum: i32,
    maximum: i32,
}

/// How a product with weights of `weight_bits` bits makes a side of a mean for every sum that there can be; `None` where none does.
///
/// The operator's multiplier may lack its highest bit: then another scale has to do, with weights that move the first rounding.
fn weighting(mean: &Mean, side: Side, weight_bits: u32) -> Option<Weighting> {
    let own = mean.requantise;
    let count = i64::try_from(mean.count).ok().filter(|count| (1..=MOST_TRIED as i64).contains(count))?;
    let (zero_point, minimum, maximum) = side.limits(&own);
    let function = |sum: i64| side.of(own.apply((sum - count * i64::from(mean.input_zero_point)) as i32), &own);
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
        Some(Weighting { weight, scale: Scale { multiplier, shift, bias }, zero_point, minimum, maximum })
    })
}

/// The product of a mean.
fn lower_product(
    lowering: &mut Lowering<'_>,
    goes: [bool; 3],
    Weighting { weight, scale, zero_point, minimum, maximum }: Weighting,
    (input, input_layout): (&Stored, Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let channels = input_layout.channels;
    let product = Product {
        reads: &|channel| if goes[2] { 0..channels } else { channel..channel + 1 },
        weight: &|_, _, _| weight,
        streams: !goes[2] && window::has_streams(input, &input_layout, &lowering.schedule.configuration),
        scale: &|_| scale,
        zero_point,
        minimum,
        maximum,
        ..product_of(goes, &input_layout)
    };
    let (mut stored, last_read) = lowering.place_image(target)?;
    let mut place = Place::of(target, (input, input_layout), &mut stored, last_read);
    window::lower(lowering, &product, &mut place, target.number)
}
