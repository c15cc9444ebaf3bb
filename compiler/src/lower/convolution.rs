//! Convolutions, plain, grouped and depthwise: products over windows, see [`window`].
//!
//! # Cost
//!
//! That of [`window`]; [`cost`], [`cost_depthwise`] and [`Dense::cost`] evaluate it. A plain convolution reads all blocks of the input
//! for each position. A depthwise one reads, for each block of channels, the blocks that they come from, and each tile multiplies one
//! element of a beat: it is bound by what the vector memory delivers, a beat a cycle, and pays by reading each beat once for all
//! positions of a run.

use super::cost::{Cost, Products};
use super::layout::Layout;
use super::window::{self, Place, Product};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::{Accumulation, Convolution, DepthwiseConvolution, Padding, Plane, Window};
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
    with_product(layer, output, |product| window::plan(product, input, output, configuration))
}

/// The cycles of `layer` alone, between two such images.
#[must_use]
pub fn cost(layer: &Convolution, input: &Layout, output: &Layout, configuration: &Configuration) -> Option<Cost> {
    let products = with_product(layer, output, |product| Products::of(product, input, output, configuration));
    products.map(|products| products.cost(configuration))
}

/// The cycles of the depthwise `layer` alone, between two such images of which the input has no copy.
#[must_use]
pub fn cost_depthwise(
    layer: &DepthwiseConvolution,
    input: &Layout,
    output: &Layout,
    configuration: &Configuration,
) -> Option<Cost> {
    let multiplier = layer.multiplier.max(1) as u64;
    let [rows, columns] = window::axes(&layer.window, plane(output));
    let product = Product {
        rows,
        columns,
        reads: &|channel| channel / multiplier..channel / multiplier + 1,
        ..Product::UNWEIGHTED
    };
    Products::of(&product, input, output, configuration).map(|products| products.cost(configuration))
}

/// What `answer` says about the product of `layer`.
fn with_product<T>(layer: &Convolution, output: &Layout, answer: impl FnOnce(&Product<'_>) -> T) -> T {
    let outputs_of_group = (layer.output_channels / layer.groups.max(1)).max(1) as u64;
    let depth = (layer.input_channels / layer.groups.max(1)) as u64;
    let [rows, columns] = window::axes(&layer.window, plane(output));
    let product = Product {
        rows,
        columns,
        reads: &|channel| channel / outputs_of_group * depth..(channel / outputs_of_group + 1) * depth,
        ..Product::UNWEIGHTED
    };
    answer(&product)
}

/// How an image of few channels stands where neighbouring columns share a beat: the elements of a row one behind the other.
///
/// A window then begins somewhere within a beat. Outputs whose windows begin alike are a *phase*: a product over whole beats, with
/// zeros for the elements of a beat that their windows do not hold.
#[derive(Clone, Copy, Debug)]
pub struct Dense {
    /// The beats, as an image: as many columns as beats in a row, whose channels are all elements of a beat.
    pub layout: Layout,
    /// Columns and channels of the image, and elements of a beat.
    columns: u64,
    channels: u64,
    dot: u64,
    /// Columns of padding in front of the first.
    before: u64,
}

/// Outputs whose windows begin at the same place of a beat.
struct Phase {
    axis: window::Axis,
    /// Elements of the first beat in front of the window.
    offset: u64,
    /// The first output's column, and how far the next one is.
    columns_at: (u64, u64),
}

/// The least number of times that `step` elements are whole beats of `dot`, a power of two.
fn turns_to_a_beat(step: u64, dot: u64) -> u64 {
    dot >> step.trailing_zeros().min(dot.trailing_zeros())
}

impl Dense {
    /// The places for the input of `layer`, of size `size`, with which it takes the fewest cycles, of those that lie within `room` beats if
    /// any do; `None` where a column fills a beat, or the layer looks at groups of channels or at every other column.
    #[must_use]
    pub fn best(
        layer: &Convolution,
        size: Plane,
        output: &Layout,
        room: Option<u32>,
        configuration: &Configuration,
    ) -> Option<Dense> {
        let (dot, channels) = (u64::from(configuration.dot), layer.input_channels as u64);
        let Window { padding, dilation, size: taps, .. } = layer.window;
        let contiguous = taps.columns == 1 || dilation.columns == 1;
        if channels == 0
            || channels >= dot
            || layer.groups != 1
            || !contiguous
            || u64::from(configuration.columns()) < dot
        {
            return None;
        }
        let dense = |shift: u64| {
            let before = padding.left as u64 + shift;
            let beats = ((before + size.columns as u64 + padding.right as u64) * channels).div_ceil(dot);
            let rows = Padding { left: 0, right: 0, ..padding };
            let plane = Plane { rows: size.rows, columns: beats as usize };
            let fill = layer.accumulation.input_zero_point;
            let layout = Layout::new(plane, dot as usize, (rows, fill), configuration);
            Dense { layout, columns: size.columns as u64, channels, dot, before }
        };
        let all = (0..turns_to_a_beat(channels, dot)).map(dense);
        let costs = all.filter_map(|dense| Some((dense.cycles(layer, output, configuration)?, dense)));
        let too_large = |dense: &Dense| room.is_some_and(|room| dense.layout.beats() > u64::from(room));
        costs.min_by_key(|(cycles, dense)| (too_large(dense), *cycles)).map(|(_, dense)| dense)
    }

    /// The same columns in rows that stand otherwise: a view of some of them.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Dense {
        Dense { layout, ..self }
    }

    /// The position of each element, row-major, in elements from the first beat.
    #[must_use]
    pub fn positions(&self) -> Vec<u32> {
        let elements = self.columns * self.channels;
        let place = |row: u64, element: u64| {
            self.layout.beat(row as i64, 0, 0) as u64 * self.dot + self.before * self.channels + element
        };
        (0..self.layout.rows).flat_map(|row| (0..elements).map(move |element| place(row, element) as u32)).collect()
    }

    fn phases(&self, window: &Window, outputs: u64) -> Vec<Phase> {
        let step = window.stride.columns as u64 * self.channels;
        let elements = window.size.columns as u64 * self.channels;
        let phases = turns_to_a_beat(step, self.dot);
        let phase = |phase: u64| {
            let start = phase * step + (self.before - window.padding.left as u64) * self.channels;
            let offset = start % self.dot;
            let axis = window::Axis {
                taps: (offset + elements).div_ceil(self.dot),
                first: (start / self.dot) as i64,
                stride: phases * step / self.dot,
                dilation: 1,
                from: 0,
                outputs: (outputs - phase).div_ceil(phases),
            };
            Phase { axis, offset, columns_at: (phase, phases) }
        };
        (0..phases.min(outputs)).map(phase).collect()
    }

    /// The cycles that the tiles take for `layer`, all phases together, but for what two of them overlap: at most.
    #[must_use]
    pub fn cycles(&self, layer: &Convolution, output: &Layout, configuration: &Configuration) -> Option<u64> {
        let cycles = |product: &Product<'_>| window::plan(product, &self.layout, output, configuration);
        self.each(layer, output, cycles).into_iter().sum()
    }

    /// Does `layer` take fewer cycles so than from the image as it is, between two such images?
    #[must_use]
    pub fn pays(&self, layer: &Convolution, plain: &Layout, output: &Layout, configuration: &Configuration) -> bool {
        let own = self.cycles(layer, output, configuration);
        own.zip(cycles(layer, plain, output, configuration)).is_some_and(|(own, plain)| own < plain)
    }

    /// The cycles of `layer` alone.
    #[must_use]
    pub fn cost(&self, layer: &Convolution, output: &Layout, configuration: &Configuration) -> Option<Cost> {
        let products = |product: &Product<'_>| Products::of(product, &self.layout, output, configuration);
        let phases: Option<Vec<Products>> = self.each(layer, output, products).into_iter().collect();
        let together = phases?.into_iter().reduce(|before, next| before.then(next, configuration));
        together.map(|products| products.cost(configuration))
    }

    /// What `answer` says about the product of each phase.
    fn each<T>(&self, layer: &Convolution, output: &Layout, answer: impl Fn(&Product<'_>) -> T) -> Vec<T> {
        let [rows, _] = window::axes(&layer.window, plane(output));
        let phases = self.phases(&layer.window, output.columns).into_iter();
        let product = |phase: Phase| {
            let reads = |_: u64| 0..self.layout.channels;
            answer(&Product {
                rows,
                columns: phase.axis,
                columns_at: phase.columns_at,
                reads: &reads,
                ..Product::UNWEIGHTED
            })
        };
        phases.map(product).collect()
    }
}

/// Lowers `layer`, which reads an image in which neighbouring columns share a beat.
///
/// # Errors
/// A memory that is too small, or a layer beyond the counters.
pub fn lower_dense(
    lowering: &mut Lowering<'_>,
    layer: &Convolution,
    input: &Stored,
    dense: &Dense,
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    super::check_rounding(target.name, layer.accumulation.rounding)?;
    let (height, width, depth) =
        (layer.window.size.rows as u64, layer.window.size.columns as u64, layer.input_channels as u64);
    let taps = (height * width * depth) as usize;
    let sums: Vec<i32> = layer
        .weights
        .chunks_exact(taps.max(1))
        .map(|weights| weights.iter().fold(0i32, |sum, &weight| sum.wrapping_add(i32::from(weight))))
        .collect();
    let scales = folded(&layer.accumulation, &sums);
    let [rows, _] = window::axes(&layer.window, plane(&target.layout));
    let (mut stored, last_read) = lowering.place_image(target)?;
    let mut whole: Option<Lowered> = None;
    for phase in dense.phases(&layer.window, target.layout.columns) {
        let product = Product {
            rows,
            columns: phase.axis,
            reads: &|_| 0..dense.layout.channels,
            weight: &|channel, (row, beat), element| {
                let within = (beat * dense.dot + element).checked_sub(phase.offset);
                let index = within
                    .filter(|&within| within < width * depth)
                    .map(|within| (channel * height + row) * width * depth + within);
                index.and_then(|index| layer.weights.get(index as usize)).copied().unwrap_or(0)
            },
            alike: false,
            streams: false,
            columns_at: phase.columns_at,
            scale: &|channel| scales.get(channel as usize).copied().unwrap_or_default(),
            zero_point: layer.accumulation.output_zero_point,
            minimum: layer.accumulation.minimum,
            maximum: layer.accumulation.maximum,
        };
        let mut place = Place::of(target, (input, dense.layout), &mut stored, last_read);
        let lowered = window::lower(lowering, &product, &mut place, target.number)?;
        whole = Some(lowered.behind(whole));
    }
    whole.ok_or_else(|| CompileError::Unsupported { layer: target.name.into(), why: "an image without columns".into() })
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
        columns_at: (0, 1),
        scale: &|channel| scales.get(channel as usize).copied().unwrap_or_default(),
        zero_point: accumulation.output_zero_point,
        minimum: accumulation.minimum,
        maximum: accumulation.maximum,
    };
    let (mut stored, last_read) = lowering.place_image(target)?;
    let mut place = Place::of(target, (input, input_layout), &mut stored, last_read);
    window::lower(lowering, &product, &mut place, target.number)
}
