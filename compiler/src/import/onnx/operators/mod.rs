//! From an operator of the file to operators of the graph.
//!
//! | file | operators |
//! | --- | --- |
//! | `quantisation` | `QuantizeLinear`, `DequantizeLinear` |
//! | `accumulation` | what `convolution` and `linear` have in common: weights, bias, scales |
//! | `convolution` | `Conv` |
//! | `linear` | `Gemm`, `MatMul` |
//! | `window` | strides, dilation and padding of convolutions and pools |
//! | `reduction` | `AveragePool`, `MaxPool`, `GlobalAveragePool`, `GlobalMaxPool`, `ReduceMean` |
//! | `elementwise` | `Add`, `Mul`, `Relu`, `Clip` |
//! | `function` | `Softmax`, `Sigmoid` |
//! | `shape` | `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Identity`, `Transpose` |
//! | `movement` | `Pad`, `Concat`, `Split`, `Slice` |

mod accumulation;
mod convolution;
mod elementwise;
mod function;
mod linear;
mod movement;
pub(super) mod quantisation;
mod reduction;
mod shape;
mod window;

use super::node::Node;
use super::value::{Constant, Value};
use super::{ImportError, Importer, SUPPORTED_OPERATORS, Site};

/// Takes `node` into the graph.
pub(super) fn import<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    if !matches!(node.file.domain.as_str(), "" | "ai.onnx") {
        return Err(unsupported(node));
    }
    let import = match node.file.op_type.as_str() {
        "QuantizeLinear" => quantisation::quantize,
        "DequantizeLinear" => quantisation::dequantize,
        "Conv" => convolution::convolution,
        "Gemm" => linear::gemm,
        "MatMul" => linear::matmul,
        "Add" => elementwise::add,
        "Mul" => elementwise::multiply,
        "Relu" | "Clip" => elementwise::clamp,
        "AveragePool" => reduction::average_pool,
        "MaxPool" => reduction::max_pool,
        "GlobalAveragePool" => reduction::global_average_pool,
        "GlobalMaxPool" => reduction::global_max_pool,
        "ReduceMean" => reduction::mean,
        "Softmax" => function::softmax,
        "Sigmoid" => function::sigmoid,
        "Reshape" => shape::reshape,
        "Flatten" => shape::flatten,
        "Squeeze" => shape::squeeze,
        "Unsqueeze" => shape::unsqueeze,
        "Identity" => shape::identity,
        "Transpose" => shape::transpose,
        "Pad" => movement::pad,
        "Concat" => movement::concatenation,
        "Split" => movement::split,
        "Slice" => movement::slice,
        _ => return Err(unsupported(node)),
    };
    import(importer, node)
}

/// Passes over a node that is part of the operator in front of it.
pub(super) fn pass<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let is_constant = |name: &str| matches!(importer.values.get(name), Some(Value::Constant(_)));
    let number = usize::from(node.name(0).is_some_and(is_constant));
    let from = node.real(importer, number)?;
    importer.put(node.output()?, Value::Activation(from));
    Ok(())
}

fn unsupported(node: &Node<'_>) -> ImportError {
    let operator = node.here.0.operator.as_ref().map(|(_, kind)| kind.escape_debug().to_string()).unwrap_or_default();
    ImportError::UnsupportedOperator { place: node.here.0.clone(), operator, supported: &SUPPORTED_OPERATORS }
}

/// Computes a node whose operands are constants, if that is simple.
pub(super) fn fold<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let kind = node.file.op_type.as_str();
    let simple = ["Constant", "QuantizeLinear", "DequantizeLinear", "Reshape", "Transpose", "Identity"];
    let known =
        |name: &String| name.is_empty() || matches!(importer.values.get(name.as_str()), Some(Value::Constant(_)));
    if !simple.contains(&kind)
        || !matches!(node.file.domain.as_str(), "" | "ai.onnx")
        || !node.file.input.iter().all(known)
    {
        return Ok(());
    }
    let output = node.output()?;
    let constant = match kind {
        "Constant" => constant(node)?,
        "QuantizeLinear" => quantisation::quantize_constant(importer, node)?,
        "DequantizeLinear" => quantisation::dequantize_constant(importer, node)?,
        "Reshape" => shape::reshape_constant(importer, node)?,
        "Transpose" => shape::transpose_constant(importer, node)?,
        _ => operand(importer, node)?,
    };
    importer.charge(&node.here, constant.bytes())?;
    importer.put(output, Value::Constant(constant));
    importer.done.insert(node.index);
    Ok(())
}

/// The constant that is the first input.
fn operand<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Constant, ImportError> {
    node.constant(importer, 0, "operand")?.ok_or_else(|| node.here.damaged("the operator has no input"))
}

fn constant(node: &Node<'_>) -> Result<Constant, ImportError> {
    node.only(0, &["value", "value_float", "value_floats", "value_int", "value_ints"])?;
    let [attribute] = node.file.attribute.as_slice() else {
        return Err(node.here.damaged(format!("{} values instead of one", node.file.attribute.len())));
    };
    let mut tensor = super::schema::Tensor::default();
    match attribute.name.as_str() {
        "value" => match &attribute.t {
            Some(value) => return Constant::of(&node.here, value),
            None => return Err(node.here.damaged("a value that is no tensor")),
        },
        "value_float" | "value_floats" => {
            tensor.data_type = super::schema::data_type::FLOAT;
            tensor.float_data = attribute.f.into_iter().chain(attribute.floats.iter().copied()).collect();
        }
        _ => {
            tensor.data_type = super::schema::data_type::INT64;
            tensor.int64_data = attribute.i.into_iter().chain(attribute.ints.iter().copied()).collect();
        }
    }
    if attribute.name.ends_with('s') {
        tensor.dims = vec![(tensor.float_data.len() + tensor.int64_data.len()) as i64];
    }
    Constant::of(&node.here, &tensor)
}

/// `axis` of `rank`, counted from behind where negative.
fn resolve_axis(here: &Site, axis: i64, rank: usize) -> Result<usize, ImportError> {
    let resolved = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match resolved.and_then(|axis| usize::try_from(axis).ok()) {
        Some(resolved) if resolved < rank => Ok(resolved),
        _ => Err(here.shape(format!("axis {axis} of a tensor of {rank} axes"))),
    }
}

/// Axes, ascending, none twice.
fn resolve_axes(here: &Site, axes: &[i64], rank: usize) -> Result<Vec<usize>, ImportError> {
    let mut resolved = axes.iter().map(|&axis| resolve_axis(here, axis, rank)).collect::<Result<Vec<_>, _>>()?;
    resolved.sort_unstable();
    resolved.dedup();
    if resolved.len() == axes.len() {
        return Ok(resolved);
    }
    Err(here.shape(format!("axes {axes:?}, of which two are one")))
}
