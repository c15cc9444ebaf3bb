//! What the names of the file stand for.

use std::rc::Rc;

use super::layout::{Layout, permuted};
use super::schema::{self, data_type};
use super::{FOLD, ImportError, RANK_LIMIT, Site};
use crate::graph::{Quantisation, TensorId};

/// A value of the file.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Something that the network computes.
    Activation(Activation),
    /// Something that is known.
    Constant(Constant),
}

/// A tensor of the graph under a name of the file.
#[derive(Debug, Clone)]
pub(super) struct Activation {
    pub(super) tensor: TensorId,
    /// As ONNX has it.
    pub(super) shape: Vec<usize>,
    /// Where the elements of that shape stand in the graph's tensor.
    pub(super) layout: Layout,
    /// Whether the name stands for the integers, between a `QuantizeLinear` and a `DequantizeLinear`, or the input's.
    pub(super) integer: bool,
}

/// A constant of the file.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) data: Rc<Data>,
    /// What the integers stand for, behind a `DequantizeLinear`.
    pub(super) scaling: Option<Rc<Scaling>>,
}

/// Elements, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Int8(Vec<i8>),
    Uint8(Vec<u8>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
}

/// Scales and zero points: one, or one for each element along `axis`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scaling {
    /// Positive and finite.
    pub(super) scales: Vec<f32>,
    /// As many; within the type's range.
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
}

impl Scaling {
    /// The one scale and zero point; `None` where there are several.
    pub(super) fn single(&self) -> Option<Quantisation> {
        match (self.scales.as_slice(), self.zero_points.as_slice()) {
            (&[scale], &[zero_point]) => Some(Quantisation { scale, zero_point }),
            _ => None,
        }
    }
}

impl Constant {
    /// The constant of the file.
    pub(super) fn of(here: &Site, tensor: &schema::Tensor) -> Result<Self, ImportError> {
        if tensor.data_location != 0 {
            return Err(here.unsupported(
                "the content stands in another file",
                "save the model as one file: onnx.save(model, path, save_as_external_data=False)",
            ));
        }
        let shape = shape(here, tensor.dims.iter().copied())?;
        let elements: usize = shape.iter().product();
        let raw = tensor.raw_data.as_slice();
        let small = |of: fn(i32) -> bool| {
            let outside = tensor.int32_data.iter().find(|&&value| !of(value));
            outside
                .map_or(Ok(()), |value| Err(here.damaged(format!("an element {value}, which its type does not hold"))))
        };
        let data = match tensor.data_type {
            data_type::FLOAT if raw.is_empty() => Data::Float(tensor.float_data.clone()),
            data_type::FLOAT => Data::Float(words(here, raw, f32::from_le_bytes)?),
            data_type::INT8 if raw.is_empty() => {
                small(|value| i8::try_from(value).is_ok())?;
                Data::Int8(tensor.int32_data.iter().map(|&value| value as i8).collect())
            }
            data_type::INT8 => Data::Int8(raw.iter().map(|&byte| byte as i8).collect()),
            data_type::UINT8 if raw.is_empty() => {
                small(|value| u8::try_from(value).is_ok())?;
                Data::Uint8(tensor.int32_data.iter().map(|&value| value as u8).collect())
            }
            data_type::UINT8 => Data::Uint8(raw.to_vec()),
            data_type::INT32 if raw.is_empty() => Data::Int32(tensor.int32_data.clone()),
            data_type::INT32 => Data::Int32(words(here, raw, i32::from_le_bytes)?),
            data_type::INT64 if raw.is_empty() => Data::Int64(tensor.int64_data.clone()),
            data_type::INT64 => Data::Int64(words(here, raw, i64::from_le_bytes)?),
            other => {
                return Err(here.unsupported(
                    format!("a constant of type {}; read are FLOAT, INT8, UINT8, INT32 and INT64", type_name(other)),
                    "quantise weights to int8 (weight_type=QuantType.QInt8) and leave out constants that nothing needs",
                ));
            }
        };
        if data.len() != elements {
            return Err(here.damaged(format!("{} elements for a shape of {elements}", data.len())));
        }
        Ok(Self { shape, data: Rc::new(data), scaling: None })
    }

    /// Bytes of its content.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() * self.data.width()
    }

    /// The elements as integers, of a constant that says how something is done.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        match &*self.data {
            Data::Int64(values) => Some(values.clone()),
            Data::Int32(values) => Some(values.iter().map(|&value| value.into()).collect()),
            _ => None,
        }
    }

    /// Element `index` as the real number that it stands for; `None` for integers without a scale.
    pub(super) fn real(&self, index: usize) -> Option<f64> {
        if let Data::Float(values) = &*self.data {
            return values.get(index).map(|&value| value.into());
        }
        let scaling = self.scaling.as_ref()?;
        let integer = self.data.integer(index)?;
        let channel = match scaling.scales.len() {
            1 => 0,
            channels => index / self.shape[scaling.axis + 1..].iter().product::<usize>() % channels,
        };
        let integer = integer - i64::from(scaling.zero_points[channel]);
        Some(integer as f64 * f64::from(scaling.scales[channel]))
    }

    /// The constant with its axes in the order `order`.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        let numbers = Layout::of(&self.shape, order).numbers();
        let scaling = self.scaling.as_ref().map(|scaling| {
            let axis = order.iter().position(|&from| from == scaling.axis).unwrap_or(0);
            Rc::new(Scaling { axis, ..(**scaling).clone() })
        });
        Self { shape: permuted(&self.shape, order), data: Rc::new(self.data.taken(&numbers)), scaling }
    }
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int8(values) => values.len(),
            Self::Uint8(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
        }
    }

    /// Bytes of an element.
    fn width(&self) -> usize {
        match self {
            Self::Int8(_) | Self::Uint8(_) => 1,
            Self::Float(_) | Self::Int32(_) => 4,
            Self::Int64(_) => 8,
        }
    }

    /// What messages call the type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Float(_) => "FLOAT",
            Self::Int8(_) => "INT8",
            Self::Uint8(_) => "UINT8",
            Self::Int32(_) => "INT32",
            Self::Int64(_) => "INT64",
        }
    }

    fn integer(&self, index: usize) -> Option<i64> {
        match self {
            Self::Float(_) => None,
            Self::Int8(values) => values.get(index).map(|&value| value.into()),
            Self::Uint8(values) => values.get(index).map(|&value| value.into()),
            Self::Int32(values) => values.get(index).map(|&value| value.into()),
            Self::Int64(values) => values.get(index).copied(),
        }
    }

    fn taken(&self, numbers: &[usize]) -> Self {
        fn taken<T: Copy>(values: &[T], numbers: &[usize]) -> Vec<T> {
            numbers.iter().map(|&number| values[number]).collect()
        }
        match self {
            Self::Float(values) => Self::Float(taken(values, numbers)),
            Self::Int8(values) => Self::Int8(taken(values, numbers)),
            Self::Uint8(values) => Self::Uint8(taken(values, numbers)),
            Self::Int32(values) => Self::Int32(taken(values, numbers)),
            Self::Int64(values) => Self::Int64(taken(values, numbers)),
        }
    }
}

/// The name of an element type.
pub(super) fn type_name(code: i32) -> String {
    let name = usize::try_from(code).ok().and_then(|code| data_type::NAMES.get(code));
    name.map_or_else(|| format!("number {code}"), |name| (*name).to_owned())
}

/// A shape without empty axes whose elements can be counted.
pub(super) fn shape(here: &Site, sizes: impl ExactSizeIterator<Item = i64>) -> Result<Vec<usize>, ImportError> {
    if sizes.len() > RANK_LIMIT {
        return Err(here.shape(format!("{} axes, more than {RANK_LIMIT}", sizes.len())));
    }
    // A constant may be empty: the axes of a reduction over none.
    let shape: Result<Vec<usize>, i64> = sizes.map(|size| usize::try_from(size).map_err(|_| size)).collect();
    let shape = shape.map_err(|size| here.shape(format!("an axis of size {size}")))?;
    match shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1))) {
        Some(_) => Ok(shape),
        None => Err(here.shape(format!("shape {shape:?} has more elements than can be counted"))),
    }
}

/// Numbers of `N` bytes each.
fn words<T, const N: usize>(here: &Site, bytes: &[u8], read: fn([u8; N]) -> T) -> Result<Vec<T>, ImportError> {
    let (words, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(here.damaged(format!("{} bytes of elements of {N} bytes", bytes.len())));
    }
    Ok(words.iter().map(|&word| read(word)).collect())
}

/// The refusal of a value that must be a constant.
pub(super) fn computed(here: &Site, role: &str) -> ImportError {
    here.unsupported(format!("{role} computed at run time"), FOLD)
}
