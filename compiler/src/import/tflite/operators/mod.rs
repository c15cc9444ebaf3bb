//! From an operator of the file to operators of the graph: checked sizes, and the integers that tflite-micro would compute with.
//!
//! | file | operators |
//! | --- | --- |
//! | `fully_connected` | `FULLY_CONNECTED` |
//! | `convolution` | `CONV_2D`, `DEPTHWISE_CONV_2D` |
//! | `accumulation` | what those have in common: bias, scales, fused activation |
//! | `window` | strides, dilation and padding of convolutions and pools |
//! | `reduction` | `AVERAGE_POOL_2D`, `MAX_POOL_2D`, `MEAN` |
//! | `elementwise` | `RELU`, `RELU6`, `RELU_N1_TO_1`, `QUANTIZE`, `ADD`, `MUL` |
//! | `function` | `SOFTMAX`, `LOGISTIC` |
//! | `movement` | `RESHAPE`, `PAD`, `CONCATENATION` |
//! | `slice` | `STRIDED_SLICE`, `SPLIT`, `SPLIT_V` |

mod accumulation;
mod convolution;
mod elementwise;
mod fully_connected;
mod function;
mod movement;
mod reduction;
mod slice;
mod window;

use lpu_isa::arithmetic::{Activation, activation_range};

use super::names::{ACTIVATIONS, element, operator};
use super::schema;
use super::tensors::Tensors;
use super::{ImportError, SUPPORTED_OPERATORS, Site};
use crate::graph::{Operator, OperatorKind, Quantisation, Tensor, TensorId};

/// What stands for an optional input that is absent.
const ABSENT: i32 = -1;

/// What an operator becomes.
type Imported = Result<Vec<Operator>, ImportError>;

/// Takes the operator of code `number`, called `kind`, into the graph.
pub(super) fn import(
    here: &Site,
    number: i32,
    kind: &str,
    layer: String,
    operator: schema::Operator<'_>,
    tensors: &mut Tensors<'_>,
) -> Imported {
    let import = match number {
        operator::FULLY_CONNECTED => fully_connected::fully_connected,
        operator::CONV_2D => convolution::convolution,
        operator::DEPTHWISE_CONV_2D => convolution::depthwise,
        operator::AVERAGE_POOL_2D => reduction::average_pool,
        operator::MAX_POOL_2D => reduction::max_pool,
        operator::MEAN => reduction::mean,
        operator::ADD => elementwise::add,
        operator::MUL => elementwise::multiply,
        operator::RELU => elementwise::relu,
        operator::RELU6 => elementwise::relu6,
        operator::RELU_N1_TO_1 => elementwise::relu_n1_to_1,
        operator::QUANTIZE => elementwise::quantize,
        operator::SOFTMAX => function::softmax,
        operator::LOGISTIC => function::logistic,
        operator::RESHAPE => movement::reshape,
        operator::PAD => movement::pad,
        operator::CONCATENATION => movement::concatenation,
        operator::STRIDED_SLICE => slice::strided_slice,
        operator::SPLIT => slice::split,
        operator::SPLIT_V => slice::split_v,
        _ => {
            let (place, operator) = (here.0.clone(), kind.to_owned());
            return Err(ImportError::UnsupportedOperator { place, operator, supported: &SUPPORTED_OPERATORS });
        }
    };
    import(&Node::of(here, layer, operator)?, tensors)
}

/// An operator of the file on its way into the graph.
pub(super) struct Node<'a> {
    pub(super) here: &'a Site,
    layer: String,
    operator: schema::Operator<'a>,
    /// Positions of tensors in the file.
    pub(super) inputs: Vec<i32>,
    /// Positions of tensors in the file.
    pub(super) outputs: Vec<i32>,
}

/// The operand and the result of an operator that has one each (besides constants), as tensors of the graph.
struct Single {
    input: TensorId,
    output: TensorId,
}

impl<'a> Node<'a> {
    pub(super) fn of(here: &'a Site, layer: String, operator: schema::Operator<'a>) -> Result<Self, ImportError> {
        let list =
            |list: Option<super::flatbuffer::Numbers<'a, i32>>| list.into_iter().flat_map(|list| list.iter()).collect();
        let (inputs, outputs) = (list(here.sound(operator.inputs())?), list(here.sound(operator.outputs())?));
        Ok(Self { here, layer, operator, inputs, outputs })
    }

    /// Refuses other numbers of inputs and outputs.
    pub(super) fn counts(&self, most: usize, outputs: usize) -> Result<(), ImportError> {
        let (read, wrote) = (self.inputs.len(), self.outputs.len());
        if read > most || wrote != outputs {
            let outputs = if outputs == 1 { "one".to_owned() } else { outputs.to_string() };
            let why = format!("{read} inputs and {wrote} outputs instead of at most {most} and {outputs}");
            return Err(self.here.damaged(why));
        }
        Ok(())
    }

    /// The position in the file of input `number`.
    fn input(&self, number: usize) -> Result<i32, ImportError> {
        let missing = || match number {
            0 => self.here.damaged("the operator has no input"),
            _ => self.here.damaged(format!("the operator has no input {number}")),
        };
        self.inputs.get(number).copied().ok_or_else(missing)
    }

    /// The input that is first, and the output, of an operator with at most `most` inputs.
    fn single(&self, tensors: &mut Tensors<'_>, most: usize) -> Result<Single, ImportError> {
        self.counts(most, 1)?;
        let input = self.input(0)?;
        Ok(Single {
            input: tensors.read(self.here, input, &[element::INT8], "input")?,
            output: tensors.write(self.here, self.outputs[0], &[element::INT8])?,
        })
    }

    /// The operator, named after the layer.
    pub(super) fn operator(&self, kind: OperatorKind, inputs: Vec<TensorId>, output: TensorId) -> Operator {
        Operator { name: self.layer.clone(), kind, inputs, outputs: vec![output] }
    }

    fn one(&self, kind: OperatorKind, single: &Single) -> Imported {
        Ok(vec![self.operator(kind, vec![single.input], single.output)])
    }

    /// Refuses an operator that reads another number of elements than it writes.
    pub(super) fn same_elements(
        &self,
        tensors: &Tensors<'_>,
        input: TensorId,
        output: TensorId,
    ) -> Result<(), ImportError> {
        let (input, output) = (tensors.tensor(input), tensors.tensor(output));
        if input.elements() == output.elements() {
            return Ok(());
        }
        Err(self.here.shape(format!(
            "reads shape {:?} and writes shape {:?}, which have different numbers of elements",
            input.shape, output.shape
        )))
    }

    /// Refuses an output whose shape is not `wanted`.
    fn expect_shape(&self, output: &Tensor, wanted: &[usize]) -> Result<(), ImportError> {
        if output.shape == wanted {
            return Ok(());
        }
        Err(self.here.shape(format!("an output of shape {:?} instead of {wanted:?}", output.shape)))
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

    /// The fused activation of code `code`.
    fn activation(&self, code: i8) -> Result<Activation, ImportError> {
        match code {
            0 => Ok(Activation::None),
            1 => Ok(Activation::Relu),
            2 => Ok(Activation::ReluN1To1),
            3 => Ok(Activation::Relu6),
            _ => {
                let name = usize::try_from(code).ok().and_then(|code| ACTIVATIONS.get(code)).copied();
                Err(self.here.unsupported(
                    format!("a fused activation {}", name.map_or_else(|| format!("number {code}"), str::to_owned)),
                    "use NONE, RELU, RELU6 or RELU_N1_TO_1",
                ))
            }
        }
    }

    /// Refuses an output in another scale than the input's, beyond what the reference tolerates.
    fn same_scale(&self, input: Quantisation, output: Quantisation) -> Result<(), ImportError> {
        const TOLERANCE: f64 = 1e-6;
        let difference = (f64::from(input.scale) - f64::from(output.scale)).abs();
        if difference <= TOLERANCE && input.zero_point == output.zero_point {
            return Ok(());
        }
        Err(self.here.quantisation(format!(
            "scale {} and zero point {} at the input, {} and {} at the output, but the operator does not rescale",
            input.scale, input.zero_point, output.scale, output.zero_point
        )))
    }

    /// Refuses an output that has not the scale 1/256 and the zero point -128 of a probability.
    fn probability(&self, output: Quantisation) -> Result<(), ImportError> {
        if output.scale == 1.0 / 256.0 && output.zero_point == -128 {
            return Ok(());
        }
        Err(self.here.quantisation(format!(
            "an output of scale {} and zero point {} instead of 1/256 and -128",
            output.scale, output.zero_point
        )))
    }

    /// The integers of the constant that is input `number`.
    fn integers(&self, tensors: &mut Tensors<'_>, number: usize, role: &'static str) -> Result<Vec<i32>, ImportError> {
        let index = self.input(number)?;
        if !tensors.is_constant(self.here, index)? {
            return Err(self.here.tensor(&tensors.name(index)).unsupported(
                format!("{role} computed at run time"),
                "export the network with fixed shapes and a batch of one",
            ));
        }
        Ok(tensors.constant::<i32>(self.here, index, element::INT32, role)?.values)
    }
}

/// `axis` of `rank`, counted from behind where negative.
fn resolve_axis(here: &Site, axis: i32, rank: usize) -> Result<usize, ImportError> {
    let resolved = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    match usize::try_from(resolved) {
        Ok(resolved) if resolved < rank => Ok(resolved),
        _ => Err(here.shape(format!("axis {axis} of a tensor of {rank} axes"))),
    }
}
