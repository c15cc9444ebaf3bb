//! Convolutions, plain, grouped and depthwise: products over windows, see [`window`].
//!
//! # Cost
//!
//! That of [`window`]. A plain convolution reads all blocks of the input for each position. A depthwise one reads, for each block
//! of channels, the blocks that they come from, and each tile multiplies one element of a beat: it is bound by what the vector
//! memory delivers, a beat a cycle, and pays by reading each beat once for all positions of a run.

use super::layout::Layout;
use super::window::{self, Place, Product};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::{Accumulation, Convolution, DepthwiseConvolution, Plane};
use crate::schedule::Stored;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Scale;

/// Lowers `layer`, which reads the image `input`.
///
/// # Errors
/// A memory that is too small, or a layer beyond the counters.
pub fn lower(
    lowering: &mut Lowering<'_>,
    layer: &Convolution,
    input: &Stored,
    input_layout: Layout,
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let outputs_of_group = (layer.output_channels / layer.groups.max(1)).max(1) as u64;
    let depth = (layer.input_channels / layer.groups.max(1)) as u64;
    let (height, width) = (layer.window.size.rows as u64, layer.window.size.columns as u64);
    let reads = |channel: u64| {
        let first = channel / outputs_of_group * depth;
        first..first + depth
    };
    let weight = |channel: u64, (row, column): (u64, u64), from: u64| {
        let index = ((channel * height + row) * width + column) * depth + (from - channel / outputs_of_group * depth);
        layer.weights.get(index as usize).copied().unwrap_or(0)
    };
    let taps = (height * width * depth) as usize;
    let sum = |channel: u64| {
        let weights = layer.weights.chunks_exact(taps.max(1)).nth(channel as usize).unwrap_or(&[]);
        weights.iter().fold(0i32, |sum, &weight| sum.wrapping_add(i32::from(weight)))
    };
    let sums: Vec<i32> = (0..layer.output_channels as u64).map(sum).collect();
    let scales = folded(&layer.accumulation, &sums);
    let axes = window::axes(&layer.window, plane(&target.layout));
    products(lowering, (&layer.accumulation, &scales), axes, (&reads, &weight), (input, input_layout, false), target)
}

/// The cycles that the tiles take for `layer` between two such images: the formula of [`window`]. `None` where no row of tiles is
/// wide enough.
#[must_use]
pub fn cycles(layer: &Convolution, input: &Layout, output: &Layout, configuration: &Configuration) -> Option<u64> {
    let outputs_of_group = (layer.output_channels / layer.groups.max(1)).max(1) as u64;
    let depth = (layer.input_channels / layer.groups.max(1)) as u64;
    let [rows, columns] = window::axes(&layer.window, plane(output));
    let product = Product {
        rows,
        columns,
        reads: &|channel| channel / outputs_of_group * depth..(channel / outputs_of_group + 1) * depth,
        weight: &|_, _, _| 0,
        alike: false,
        streams: false,
        scale: &|_| Scale::default(),
        zero_point: layer.accumulation.output_zero_point,
        minimum: layer.accumulation.minimum,
        maximum: layer.accumulation.maximum,
    };
    window::plan(&product, input, output, configuration)
}

/// Lowers the depthwise `layer`, which reads the image `input`.
///
/// # Errors
/// A memory that is too small, or a layer beyond the counters.
pub fn lower_depthwise(
    lowering: &mut Lowering<'_>,
    layer: &DepthwiseConvolution,
    input: &Stored,
    input_layout: Layout,
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let multiplier = layer.multiplier.max(1) as u64;
    let streams = multiplier == 1 && window::has_streams(input, &input_layout, &lowering.schedule.configuration);
    let outputs = layer.output_channels() as u64;
    let width = layer.window.size.columns as u64;
    let reads = |channel: u64| channel / multiplier..channel / multiplier + 1;
    let weight = |channel: u64, (row, column): (u64, u64), _: u64| {
        layer.weights.get(((row * width + column) * outputs + channel) as usize).copied().unwrap_or(0)
    };
    let mut sums = vec![0i32; outputs as usize];
    for weights in layer.weights.chunks_exact(outputs.max(1) as usize) {
        sums.iter_mut().zip(weights).for_each(|(sum, &weight)| *sum = sum.wrapping_add(i32::from(weight)));
    }
    let scales = folded(&layer.accumulation, &sums);
    let axes = window::axes(&layer.window, plane(&target.layout));
    products(lowering, (&layer.accumulation, &scales), axes, (&reads, &weight), (input, input_layout, streams), target)
}

/// The output's rows and columns.
fn plane(layout: &Layout) -> Plane {
    Plane { rows: layout.rows as usize, columns: layout.columns as usize }
}

/// Scale and bias of each channel, the input's zero point folded in: `Σ w (x - z) = Σ w x - z Σ w`, modulo 2³² on both sides.
fn folded(accumulation: &Accumulation, sums: &[i32]) -> Vec<Scale> {
    let zero = accumulation.input_zero_point;
    let bias = |channel: usize, sum: i32| accumulation.bias(channel).wrapping_sub(sum.wrapping_mul(zero));
    let scales = accumulation.scales.iter().zip(sums).enumerate();
    scales.map(|(channel, (scale, &sum))| scale.with_bias(bias(channel, sum))).collect()
}

/// The two questions that a product answers about an output channel.
type Weights<'a> = (&'a dyn Fn(u64) -> std::ops::Range<u64>, &'a dyn Fn(u64, (u64, u64), u64) -> i8);

fn products(
    lowering: &mut Lowering<'_>,
    (accumulation, scales): (&Accumulation, &[Scale]),
    [rows, columns]: [window::Axis; 2],
    (reads, weight): Weights<'_>,
    (input, input_layout, streams): (&Stored, Layout, bool),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    super::check_rounding(target.name, accumulation.rounding)?;
    let product = Product {
        rows,
        columns,
        reads,
        weight,
        alike: false,
        streams,
        scale: &|channel| scales.get(channel as usize).copied().unwrap_or_default(),
        zero_point: accumulation.output_zero_point,
        minimum: accumulation.minimum,
        maximum: accumulation.maximum,
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
