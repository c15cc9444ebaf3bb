//! One lowering for each operator: checked sizes, and the integers that tflite-micro would compute with.

use lpu_isa::arithmetic::{Activation, MAXIMUM_SHIFT, Requantise, Rounding, activation_range, quantize_multiplier};

use super::names::{ACTIVATIONS, element, operator};
use super::schema;
use super::tensors::{Constant, Tensors};
use super::{ImportError, Site};
use crate::graph::{
    ChannelScale, Elementwise, ElementwiseFunction, FullyConnected, Operator, OperatorKind, Quantisation, TensorId,
};

/// How much the bias's scale may differ from the accumulator's, over the output's scale: tflite-micro's limit.
const BIAS_SCALE_TOLERANCE: f64 = 0.02;

/// What stands for an optional input that is absent.
const ABSENT: i32 = -1;

/// Lowers the operator of code `number`, called `kind`.
pub(super) fn lower(
    here: &Site,
    number: i32,
    kind: &str,
    layer: String,
    operator: schema::Operator<'_>,
    tensors: &mut Tensors<'_>,
) -> Result<Operator, ImportError> {
    let lower = match number {
        operator::FULLY_CONNECTED => fully_connected,
        operator::RESHAPE => reshape,
        operator::RELU => relu,
        operator::RELU6 => relu6,
        operator::RELU_N1_TO_1 => relu_n1_to_1,
        operator::QUANTIZE => quantize,
        _ => {
            return Err(ImportError::UnsupportedOperator { place: here.0.clone(), operator: kind.to_owned() });
        }
    };
    let operands = Operands::of(here, operator, if number == operator::FULLY_CONNECTED { 3 } else { 2 })?;
    let input = tensors.read(here, operands.input, "input")?;
    let output = tensors.write(here, operands.output)?;
    let kind = lower(&Lowering { here, operator, operands, input, output }, tensors)?;
    Ok(Operator { name: layer, kind, inputs: vec![input], outputs: vec![output] })
}

/// The tensors of an operator, by their positions in the file.
struct Operands {
    input: i32,
    /// What follows the input: weights and bias, or a shape.
    others: Vec<i32>,
    output: i32,
}

impl Operands {
    fn of(here: &Site, operator: schema::Operator<'_>, most: usize) -> Result<Self, ImportError> {
        let inputs = here.sound(operator.inputs())?;
        let outputs = here.sound(operator.outputs())?;
        let (read, wrote) = (inputs.map_or(0, |list| list.len()), outputs.map_or(0, |list| list.len()));
        if read > most || wrote != 1 {
            return Err(here.damaged(format!("{read} inputs and {wrote} outputs instead of at most {most} and one")));
        }
        let mut inputs = inputs.into_iter().flat_map(|list| list.iter());
        let output = outputs.and_then(|list| list.iter().next());
        match (inputs.next(), output) {
            (Some(input), Some(output)) => Ok(Self { input, others: inputs.collect(), output }),
            _ => Err(here.damaged("the operator has no input")),
        }
    }
}

/// What every lowering is given.
struct Lowering<'a> {
    here: &'a Site,
    operator: schema::Operator<'a>,
    operands: Operands,
    input: TensorId,
    output: TensorId,
}

impl Lowering<'_> {
    /// Refuses an operator that reads another number of elements than it writes.
    fn same_elements(&self, tensors: &Tensors<'_>) -> Result<(), ImportError> {
        let (input, output) = (tensors.tensor(self.input), tensors.tensor(self.output));
        if input.elements() == output.elements() {
            return Ok(());
        }
        Err(self.here.shape(format!(
            "reads shape {:?} and writes shape {:?}, which have different numbers of elements",
            input.shape, output.shape
        )))
    }

    fn scale(&self, real: f64) -> Result<ChannelScale, ImportError> {
        let (multiplier, shift) = quantize_multiplier(real);
        if real.is_finite() && shift <= MAXIMUM_SHIFT {
            return Ok(ChannelScale { multiplier, shift });
        }
        Err(self.here.quantisation(format!(
            "the scales of input, weights and output multiply to {real:e}, too large for 32-bit arithmetic"
        )))
    }

    fn elementwise(
        &self,
        function: ElementwiseFunction,
        input_zero_point: i32,
        scale: ChannelScale,
        zero_point: i32,
        (minimum, maximum): (i32, i32),
    ) -> OperatorKind {
        let ChannelScale { multiplier, shift } = scale;
        let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
        OperatorKind::Elementwise(Elementwise { function, input_zero_point, requantise })
    }

    /// A change of scale with a clamp in the output's scale.
    fn rescale(
        &self,
        tensors: &Tensors<'_>,
        function: ElementwiseFunction,
        activation: Activation,
    ) -> Result<OperatorKind, ImportError> {
        self.same_elements(tensors)?;
        let input = tensors.tensor(self.input).quantisation;
        let output = tensors.tensor(self.output).quantisation;
        let scale = self.scale(f64::from(input.scale) / f64::from(output.scale))?;
        let range = self.range(activation, output)?;
        Ok(self.elementwise(function, input.zero_point, scale, output.zero_point, range))
    }

    /// The clamp of `activation` in the scale of `of`.
    fn range(&self, activation: Activation, of: Quantisation) -> Result<(i32, i32), ImportError> {
        let bound = match activation {
            Activation::None | Activation::Relu => 0.0,
            Activation::Relu6 => 6.0,
            Activation::ReluN1To1 => 1.0,
        };
        // The reference is undefined beyond 32 bits, and refuses where it notices.
        if bound / of.scale < 2.0_f32.powi(31) - 256.0 {
            return Ok(activation_range(activation, of.scale, of.zero_point));
        }
        Err(self.here.quantisation(format!("a scale of {:e}, in which {bound} does not fit in 32 bits", of.scale)))
    }
}

fn reshape(lowering: &Lowering<'_>, tensors: &mut Tensors<'_>) -> Result<OperatorKind, ImportError> {
    // The shape of the output tensor is what counts, as in tflite-micro; the operand repeats it.
    let shape = lowering.operands.others.first().copied().unwrap_or(ABSENT);
    if shape != ABSENT && !tensors.is_constant(lowering.here, shape)? {
        return Err(lowering.here.unsupported(
            "the new shape is computed at run time",
            "export the network with fixed shapes and a batch of one",
        ));
    }
    lowering.same_elements(tensors)?;
    Ok(OperatorKind::Reshape)
}

fn relu(lowering: &Lowering<'_>, tensors: &mut Tensors<'_>) -> Result<OperatorKind, ImportError> {
    lowering.rescale(tensors, ElementwiseFunction::Relu, Activation::Relu)
}

fn relu_n1_to_1(lowering: &Lowering<'_>, tensors: &mut Tensors<'_>) -> Result<OperatorKind, ImportError> {
    lowering.rescale(tensors, ElementwiseFunction::ReluN1To1, Activation::ReluN1To1)
}

fn quantize(lowering: &Lowering<'_>, tensors: &mut Tensors<'_>) -> Result<OperatorKind, ImportError> {
    lowering.rescale(tensors, ElementwiseFunction::Quantize, Activation::None)
}

/// tflite-micro clamps the integers in the *input's* scale and never looks at the output's.
fn relu6(lowering: &Lowering<'_>, tensors: &mut Tensors<'_>) -> Result<OperatorKind, ImportError> {
    lowering.same_elements(tensors)?;
    let input = tensors.tensor(lowering.input).quantisation;
    let (multiplier, shift) = Requantise::IDENTITY;
    let range = lowering.range(Activation::Relu6, input)?;
    let (identity, zero_point) = (ChannelScale { multiplier, shift }, input.zero_point);
    Ok(lowering.elementwise(ElementwiseFunction::Relu6, zero_point, identity, zero_point, range))
}

fn fully_connected(lowering: &Lowering<'_>, tensors: &mut Tensors<'_>) -> Result<OperatorKind, ImportError> {
    let here = lowering.here;
    let activation = fused_activation(here, lowering.operator)?;
    let &weights = lowering.operands.others.first().ok_or_else(|| here.damaged("the operator has no weights"))?;
    let weights = tensors.weights(here, weights)?;
    let &[output_length, input_length] = weights.shape.as_slice() else {
        return Err(here
            .tensor(&weights.name)
            .shape(format!("weights of shape {:?} instead of outputs×inputs", weights.shape)));
    };
    check_batch(lowering, tensors, input_length, output_length)?;
    let bias = match lowering.operands.others.get(1) {
        None | Some(&ABSENT) => None,
        Some(&index) => Some(tensors.constant::<i32>(here, index, element::INT32, "bias")?),
    };
    let wrong = |bias: &&Constant<i32>| bias.values.len() != output_length;
    if let Some(bias) = bias.as_ref().filter(wrong) {
        let why = format!("{} biases for {output_length} outputs", bias.values.len());
        return Err(here.tensor(&bias.name).shape(why));
    }

    tensors.charge(here, output_length.saturating_mul(size_of::<ChannelScale>()))?;
    let input = tensors.tensor(lowering.input).quantisation;
    let output = tensors.tensor(lowering.output).quantisation;
    let scales = channel_scales(lowering, &weights, bias.as_ref(), output_length, input, output)?;
    let (minimum, maximum) = lowering.range(activation, output)?;
    Ok(OperatorKind::FullyConnected(FullyConnected {
        input_length,
        output_length,
        weights: weights.values,
        bias: bias.map(|bias| bias.values),
        input_zero_point: input.zero_point,
        scales,
        output_zero_point: output.zero_point,
        minimum,
        maximum,
        rounding: Rounding::Double,
    }))
}

fn fused_activation(here: &Site, operator: schema::Operator<'_>) -> Result<Activation, ImportError> {
    let Some(options) = here.sound(operator.fully_connected_options())? else { return Ok(Activation::None) };
    if here.sound(options.weights_format())? != 0 {
        return Err(here.unsupported(
            "weights in the shuffled order of one CPU kernel",
            "export the network with weights in the default format",
        ));
    }
    let code = here.sound(options.fused_activation_function())?;
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        _ => {
            let name = usize::try_from(code).ok().and_then(|code| ACTIVATIONS.get(code)).copied();
            Err(here.unsupported(
                format!("a fused activation {}", name.map_or_else(|| format!("number {code}"), str::to_owned)),
                "use NONE, RELU, RELU6 or RELU_N1_TO_1",
            ))
        }
    }
}

/// Refuses anything but one vector in and one vector out.
fn check_batch(
    lowering: &Lowering<'_>,
    tensors: &Tensors<'_>,
    input_length: usize,
    output_length: usize,
) -> Result<(), ImportError> {
    let here = lowering.here;
    let (input, output) = (tensors.tensor(lowering.input), tensors.tensor(lowering.output));
    if input.elements() % input_length != 0 {
        return Err(here.shape(format!(
            "an input of shape {:?} does not divide into vectors of the {input_length} that the weights take",
            input.shape
        )));
    }
    let batch = input.elements() / input_length;
    if batch != 1 {
        return Err(here.unsupported(
            format!("a batch of {batch} (an input of shape {:?} for weights of {input_length})", input.shape),
            "export the network with a batch of one, and run it once for each example",
        ));
    }
    if output.elements() != output_length || output.shape.last() != Some(&output_length) {
        return Err(here.shape(format!("an output of shape {:?} for weights of {output_length} rows", output.shape)));
    }
    Ok(())
}

/// From the accumulator to the output, one scale for each output channel.
///
/// `input × weights / output` in double precision. Sources of tflite-micro can be found that multiply the first two in
/// single precision where the weights have one scale; the published package does not, and a few outputs in ten million
/// tell the two apart.
fn channel_scales(
    lowering: &Lowering<'_>,
    weights: &Constant<i8>,
    bias: Option<&Constant<i32>>,
    channels: usize,
    input: Quantisation,
    output: Quantisation,
) -> Result<Vec<ChannelScale>, ImportError> {
    let there = lowering.here.tensor(&weights.name);
    let Some(scales) = &weights.scales else {
        return Err(there.quantisation("no scale and zero point"));
    };
    if let Some(zero_point) = scales.zero_points.iter().find(|&&zero_point| zero_point != 0) {
        return Err(there.quantisation(format!("a zero point of {zero_point}, but weights are symmetric (0)")));
    }
    let (input, output) = (f64::from(input.scale), f64::from(output.scale));
    if let &[scale] = scales.scales.as_slice() {
        let accumulator = input * f64::from(scale);
        check_bias_scale(lowering.here, bias, accumulator, output)?;
        return Ok(vec![lowering.scale(accumulator / output)?; channels]);
    }
    if scales.scales.len() != channels || scales.axis != 0 {
        return Err(there.quantisation(format!(
            "{} scales along axis {} instead of one, or {channels} along axis 0",
            scales.scales.len(),
            scales.axis
        )));
    }
    scales.scales.iter().map(|&scale| lowering.scale(input * f64::from(scale) / output)).collect()
}

/// The bias is added to the accumulator as it is, so that it has to be in the accumulator's scale.
fn check_bias_scale(
    here: &Site,
    bias: Option<&Constant<i32>>,
    accumulator: f64,
    output: f64,
) -> Result<(), ImportError> {
    let Some((bias, scales)) = bias.and_then(|bias| Some((bias, bias.scales.as_ref()?))) else { return Ok(()) };
    let Some(&scale) = scales.scales.first() else { return Ok(()) };
    if (accumulator - f64::from(scale)).abs() / output <= BIAS_SCALE_TOLERANCE {
        return Ok(());
    }
    Err(here.tensor(&bias.name).quantisation(format!(
        "a bias in units of {scale:e}, but input and weights multiply to units of {accumulator:e}"
    )))
}
