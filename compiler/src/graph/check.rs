//! What every reader of a graph relies on.

use lpu_isa::arithmetic::addition::{Addend, Addition};
use lpu_isa::arithmetic::logistic::Logistic;
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::arithmetic::{MAXIMUM_SHIFT, MINIMUM_SHIFT, Requantise};
use lpu_isa::program::Scale;

use super::{
    Accumulation, ChannelScale, Concatenation, Convolution, DepthwiseConvolution, Elementwise, FullyConnected, Graph,
    GraphError, Mean, Multiply, Operator, OperatorKind, Pad, Plane, Pool, Slice, Tensor, TensorId, Window, broadcast,
};

/// A reason for a refusal, as text without the place.
type Checked = Result<(), String>;

impl Graph {
    /// Checks what every reader of a graph relies on.
    ///
    /// # Errors
    /// An unknown tensor, a read before the write, a second writer, sizes that contradict each other, or a zero point, clamp
    /// or scale out of range: the first one in the order of execution.
    pub fn check(&self) -> Result<(), GraphError> {
        let mut written = vec![false; self.tensors.len()];
        for &id in &self.inputs {
            self.write("the network's input", id, &mut written)?;
        }
        for constant in &self.constants {
            self.write("a constant", constant.tensor, &mut written)?;
            self.check_values("the constant", constant.tensor, &constant.values)?;
        }
        for state in &self.states {
            let by = format!("the state `{}`", state.name);
            self.write(&by, state.tensor, &mut written)?;
            self.check_values(&by, state.tensor, &state.initial)?;
        }
        for operator in &self.operators {
            let by = format!("operator `{}`", operator.name);
            for &id in &operator.inputs {
                self.read(&by, id, &written)?;
            }
            let inputs = operator.inputs.iter().map(|&id| self.known(&by, id)).collect::<Result<Vec<_>, _>>()?;
            let outputs = operator.outputs.iter().map(|&id| self.known(&by, id)).collect::<Result<Vec<_>, _>>()?;
            let wrong = |why: String| GraphError::Inconsistent { by: by.clone(), why };
            check_operator(operator, &inputs, &outputs).map_err(wrong)?;
            for &id in &operator.outputs {
                self.write(&by, id, &mut written)?;
            }
        }
        for state in &self.states {
            let by = format!("the state `{}`", state.name);
            self.read(&by, state.next, &written)?;
            let (now, next) = (self.known(&by, state.tensor)?, self.known(&by, state.next)?);
            if now.elements() != next.elements() {
                let why = format!("has {} elements and is assigned {}", now.elements(), next.elements());
                return Err(GraphError::Inconsistent { by, why });
            }
        }
        self.outputs.iter().try_for_each(|&id| self.read("the network's output", id, &written))
    }

    fn known(&self, by: &str, id: TensorId) -> Result<&Tensor, GraphError> {
        let unknown = || GraphError::UnknownTensor { by: by.to_owned(), tensor: id.0, tensors: self.tensors.len() };
        self.tensor(id).ok_or_else(unknown)
    }

    fn read(&self, by: &str, id: TensorId, written: &[bool]) -> Result<(), GraphError> {
        let tensor = self.known(by, id)?;
        if written[id.0] {
            return Ok(());
        }
        Err(GraphError::ReadBeforeWritten { by: by.to_owned(), tensor: tensor.name.clone() })
    }

    fn write(&self, by: &str, id: TensorId, written: &mut [bool]) -> Result<(), GraphError> {
        let tensor = self.known(by, id)?;
        if std::mem::replace(&mut written[id.0], true) {
            return Err(GraphError::WrittenTwice { by: by.to_owned(), tensor: tensor.name.clone() });
        }
        Ok(())
    }

    fn check_values(&self, by: &str, id: TensorId, values: &[i8]) -> Result<(), GraphError> {
        let elements = self.known(by, id)?.elements();
        if values.len() == elements {
            return Ok(());
        }
        let why = format!("{} values for {elements} elements", values.len());
        Err(GraphError::Inconsistent { by: by.to_owned(), why })
    }
}

fn check_operator(operator: &Operator, inputs: &[&Tensor], outputs: &[&Tensor]) -> Checked {
    let two = matches!(operator.kind, OperatorKind::Add(_) | OperatorKind::Multiply(_));
    let wanted = match &operator.kind {
        OperatorKind::Concatenation(_) => inputs.len().max(1),
        _ if two => 2,
        _ => 1,
    };
    let (&[output], true) = (outputs, inputs.len() == wanted) else {
        return Err(format!(
            "has {} inputs and {} outputs instead of {} and one",
            inputs.len(),
            outputs.len(),
            if two { "two" } else { "one" }
        ));
    };
    let (read, wrote) = (inputs.iter().map(|tensor| tensor.elements()).min().unwrap_or(0), output.elements());
    if read == 0 || wrote == 0 {
        return Err(format!("reads {read} elements and writes {wrote}"));
    }
    let input = inputs[0];
    match &operator.kind {
        OperatorKind::Reshape => same_elements(input, output),
        OperatorKind::Elementwise(Elementwise { input_zero_point, requantise, .. }) => {
            same_elements(input, output)?;
            check_output(&[*input_zero_point], requantise)?;
            check_scales(&[scale_of(requantise)])
        }
        OperatorKind::FullyConnected(layer) => check_fully_connected(layer, read, wrote),
        OperatorKind::Convolution(layer) => check_convolution(layer, input, output),
        OperatorKind::DepthwiseConvolution(layer) => check_depthwise_convolution(layer, input, output),
        OperatorKind::Pool(pool) => check_pool(pool, input, output),
        OperatorKind::Mean(mean) => check_mean(mean, input, output),
        OperatorKind::Add(Addition { first, second, output: requantise }) => {
            check_broadcast(input, inputs[1], output)?;
            check_output(&[first.zero_point, second.zero_point], requantise)?;
            let of = |addend: &Addend| ChannelScale { multiplier: addend.multiplier, shift: addend.shift };
            check_scales(&[of(first), of(second), scale_of(requantise)])
        }
        OperatorKind::Multiply(Multiply { first_zero_point, second_zero_point, requantise }) => {
            check_broadcast(input, inputs[1], output)?;
            check_output(&[*first_zero_point, *second_zero_point], requantise)?;
            check_scales(&[scale_of(requantise)])
        }
        OperatorKind::Softmax(Softmax { multiplier, shift, minimum_difference }) => {
            same_elements(input, output)?;
            let row = input.shape.last().copied().unwrap_or(1);
            if row > Softmax::LONGEST_ROW {
                return Err(format!("a row of {row} elements, more than {}", Softmax::LONGEST_ROW));
            }
            check_function(*multiplier, *shift, *minimum_difference <= 0)
        }
        OperatorKind::Logistic(Logistic { zero_point, multiplier, shift, radius }) => {
            same_elements(input, output)?;
            check_function(*multiplier, *shift, *radius >= 0 && i8::try_from(*zero_point).is_ok())
        }
        OperatorKind::Pad(pad) => check_pad(pad, input, output),
        OperatorKind::Concatenation(concatenation) => check_concatenation(*concatenation, inputs, output),
        OperatorKind::Slice(slice) => check_slice(slice, input, wrote),
    }
}

fn same_elements(input: &Tensor, output: &Tensor) -> Checked {
    let (read, wrote) = (input.elements(), output.elements());
    if read == wrote { Ok(()) } else { Err(format!("reads {read} elements and writes {wrote}")) }
}

/// Zero points and clamps are those of int8, so that an input minus its zero point has 9 bits and an output 8.
fn check_range(input_zero_points: &[i32], output_zero_point: i32, minimum: i32, maximum: i32) -> Checked {
    let int8 = |value: &i32| i8::try_from(*value).is_ok();
    if input_zero_points.iter().all(int8)
        && [output_zero_point, minimum, maximum].iter().all(int8)
        && minimum <= maximum
    {
        return Ok(());
    }
    let zero_points: Vec<String> = input_zero_points.iter().map(ToString::to_string).collect();
    Err(format!(
        "zero points {} and {output_zero_point} and the clamp {minimum}..={maximum} are not of int8",
        zero_points.join(", ")
    ))
}

fn check_output(input_zero_points: &[i32], requantise: &Requantise) -> Checked {
    check_range(input_zero_points, requantise.zero_point, requantise.minimum, requantise.maximum)
}

fn scale_of(requantise: &Requantise) -> ChannelScale {
    ChannelScale { multiplier: requantise.multiplier, shift: requantise.shift }
}

/// Multipliers are normalised, as the importer makes them and scale tables hold them.
fn check_scales(scales: &[ChannelScale]) -> Checked {
    match scales.iter().enumerate().find(|(_, scale)| !scale.with_bias(0).is_encodable()) {
        None => Ok(()),
        Some((channel, ChannelScale { multiplier, shift })) => Err(format!(
            "scale {channel} is {multiplier} shifted by {shift}, but its multiplier must be 0 or {} to {}, \
             and its shift {MINIMUM_SHIFT} to {MAXIMUM_SHIFT}",
            Scale::LEAST_MULTIPLIER,
            i32::MAX
        )),
    }
}

/// The scale of a function's argument, and whatever else is in range.
fn check_function(multiplier: i32, shift: i32, rest: bool) -> Checked {
    if rest && multiplier >= Scale::LEAST_MULTIPLIER && (0..=31).contains(&shift) {
        return Ok(());
    }
    Err(format!("a scale of {multiplier} shifted by {shift}, or the limits of the function, are out of range"))
}

fn check_bias(bias: Option<&Vec<i32>>, outputs: usize) -> Checked {
    match bias {
        Some(bias) if bias.len() != outputs => Err(format!("{} biases for {outputs} outputs", bias.len())),
        _ => Ok(()),
    }
}

fn check_fully_connected(layer: &FullyConnected, read: usize, wrote: usize) -> Checked {
    let (inputs, outputs) = (layer.input_length, layer.output_length);
    if (read, wrote) != (inputs, outputs) {
        return Err(format!("{outputs}×{inputs} weights between {read} and {wrote} elements"));
    }
    if inputs.checked_mul(outputs) != Some(layer.weights.len()) {
        return Err(format!("{} weights instead of {outputs}×{inputs}", layer.weights.len()));
    }
    check_accumulation(&layer.accumulation, outputs)
}

fn check_accumulation(accumulation: &Accumulation, outputs: usize) -> Checked {
    let Accumulation { bias, input_zero_point, scales, output_zero_point, minimum, maximum, rounding: _ } =
        accumulation;
    if scales.len() != outputs {
        return Err(format!("{} scales for {outputs} output channels", scales.len()));
    }
    check_bias(bias.as_ref(), outputs)?;
    check_range(&[*input_zero_point], *output_zero_point, *minimum, *maximum)?;
    check_scales(scales)
}

/// A window over `[batch, rows, columns, channels]` makes `[batch, rows, columns, other channels]`.
fn check_window(window: &Window, input: &Tensor, output: &Tensor, channels: (usize, usize)) -> Checked {
    let (&[batch, rows, columns, from], &[batches, down, across, to]) = (&input.shape[..], &output.shape[..]) else {
        return Err(format!("shapes {:?} and {:?} instead of two of four axes", input.shape, output.shape));
    };
    if batch != batches || (from, to) != channels {
        return Err(format!(
            "shapes {:?} and {:?} for {} and {} channels",
            input.shape, output.shape, channels.0, channels.1
        ));
    }
    let positions = window.output(Plane { rows, columns });
    // Beyond that, positions could not be counted.
    let small = window.padding.top.max(window.padding.left) < usize::MAX / 4;
    if positions == Some(Plane { rows: down, columns: across }) && small {
        return Ok(());
    }
    Err(format!("the window {window:?} does not make shape {:?} of {:?}", output.shape, input.shape))
}

fn check_convolution(layer: &Convolution, input: &Tensor, output: &Tensor) -> Checked {
    let Convolution { window, input_channels, output_channels, groups, weights, accumulation } = layer;
    check_window(window, input, output, (*input_channels, *output_channels))?;
    if *groups == 0 || input_channels % groups != 0 || output_channels % groups != 0 {
        return Err(format!("{groups} groups of {input_channels} and {output_channels} channels"));
    }
    if layer.reduction_length().checked_mul(*output_channels) != Some(weights.len()) {
        return Err(format!("{} weights instead of {output_channels}×{}", weights.len(), layer.reduction_length()));
    }
    check_accumulation(accumulation, *output_channels)
}

fn check_depthwise_convolution(layer: &DepthwiseConvolution, input: &Tensor, output: &Tensor) -> Checked {
    let DepthwiseConvolution { window, input_channels, multiplier: _, weights, accumulation } = layer;
    let outputs = layer.output_channels();
    check_window(window, input, output, (*input_channels, outputs))?;
    if window.size.product().checked_mul(outputs) != Some(weights.len()) {
        return Err(format!("{} weights instead of {}×{outputs}", weights.len(), window.size.product()));
    }
    check_accumulation(accumulation, outputs)
}

fn check_pool(pool: &Pool, input: &Tensor, output: &Tensor) -> Checked {
    let channels = input.shape.last().copied().unwrap_or(0);
    check_window(&pool.window, input, output, (channels, channels))?;
    let Window { size, dilation, padding, .. } = pool.window;
    // An average of nothing would have no value.
    let full = padding.top.max(padding.bottom) < size.rows && padding.left.max(padding.right) < size.columns;
    if dilation != Plane::ONE || !full {
        return Err(format!("the window {:?} is spread, or lies beside the input", pool.window));
    }
    check_range(&[], 0, pool.minimum, pool.maximum)
}

fn check_mean(mean: &Mean, input: &Tensor, output: &Tensor) -> Checked {
    let Mean { axes, count, input_zero_point, requantise } = mean;
    let ascending = axes.windows(2).all(|pair| pair[0] < pair[1]);
    let sizes: Option<Vec<usize>> = axes.iter().map(|&axis| input.shape.get(axis).copied()).collect();
    let product = sizes.map(|sizes| sizes.iter().product::<usize>());
    if !ascending || product != Some(*count) || input.elements() / count != output.elements() {
        return Err(format!("a mean of {count} over the axes {axes:?} from {:?} to {:?}", input.shape, output.shape));
    }
    check_output(&[*input_zero_point], requantise)?;
    if requantise.multiplier < 0 || !(MINIMUM_SHIFT..=MAXIMUM_SHIFT).contains(&requantise.shift) {
        return Err(format!("a scale of {} shifted by {}", requantise.multiplier, requantise.shift));
    }
    Ok(())
}

fn check_broadcast(first: &Tensor, second: &Tensor, output: &Tensor) -> Checked {
    let joined = broadcast(&first.shape, &second.shape);
    if joined.as_deref() == Some(&output.shape) {
        return Ok(());
    }
    Err(format!("shapes {:?} and {:?} do not make {:?}", first.shape, second.shape, output.shape))
}

fn check_pad(pad: &Pad, input: &Tensor, output: &Tensor) -> Checked {
    if pad.output_shape(&input.shape).as_deref() == Some(&output.shape) {
        return Ok(());
    }
    let (before, after) = (&pad.before, &pad.after);
    Err(format!("{before:?} before and {after:?} behind {:?} do not make {:?}", input.shape, output.shape))
}

fn check_concatenation(concatenation: Concatenation, inputs: &[&Tensor], output: &Tensor) -> Checked {
    let axis = concatenation.axis;
    let mut joined = output.shape.clone();
    if let Some(size) = joined.get_mut(axis) {
        *size = inputs.iter().filter_map(|input| input.shape.get(axis)).sum();
    }
    let fits = |input: &&Tensor| {
        let same = |(other, (&size, &all)): (usize, (&usize, &usize))| other == axis || size == all;
        input.shape.len() == output.shape.len() && input.shape.iter().zip(&output.shape).enumerate().all(same)
    };
    if axis < output.shape.len() && joined == output.shape && inputs.iter().all(fits) {
        return Ok(());
    }
    let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape.as_slice()).collect();
    Err(format!("shapes {shapes:?} do not make {:?} along axis {axis}", output.shape))
}

fn check_slice(slice: &Slice, input: &Tensor, wrote: usize) -> Checked {
    let elements = slice.size.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
    if slice.is_within(&input.shape) && elements == wrote {
        return Ok(());
    }
    Err(format!("{slice:?} does not make {wrote} elements of shape {:?}", input.shape))
}
