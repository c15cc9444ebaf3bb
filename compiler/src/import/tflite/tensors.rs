//! Tensors of the file: shapes, types, quantisation and constants, each checked when an operator asks for it.

use super::flatbuffer::{Numbers, Scalar, Tables};
use super::names::{element, type_name};
use super::schema::{self, Buffer, Model, QuantizationParameters, SubGraph};
use super::{ACTIVATION_LIMIT, ImportError, PARAMETER_LIMIT, Site};
use crate::graph::{Constant as GraphConstant, Element, Quantisation, Tensor, TensorId};

/// Axes of a tensor. The format knows no limit; networks stay below six.
const RANK_LIMIT: usize = 8;

/// The tensors of the file and those of the graph so far.
pub(super) struct Tensors<'a> {
    file: Tables<'a>,
    buffers: Tables<'a>,
    /// The graph's tensor for a position in the file, once an operator or the interface has asked for it.
    imported: Vec<Option<TensorId>>,
    written: Vec<bool>,
    tensors: Vec<Tensor>,
    constants: Vec<GraphConstant>,
    parameter_bytes: u64,
    elements: u64,
    network: Site,
}

/// A constant tensor of the file.
pub(super) struct Constant<T> {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<T>,
    /// `None` where the file gives no scale.
    pub(super) scales: Option<Scales>,
}

/// A constant tensor as it lies in the file.
struct Stored<'a> {
    here: Site,
    name: String,
    shape: Vec<usize>,
    /// Number of elements.
    elements: usize,
    /// Code of their type.
    element: i8,
    content: &'a [u8],
    scales: Option<Scales>,
}

impl<'a> Stored<'a> {
    /// The content, which must have as many bytes as `bytes` says for the number of elements.
    fn content(&self, bytes: impl Fn(usize) -> Option<usize>) -> Result<&'a [u8], ImportError> {
        let needed = bytes(self.elements);
        if needed == Some(self.content.len()) {
            return Ok(self.content);
        }
        let (shape, needed, found) = (&self.shape, needed.unwrap_or(usize::MAX), self.content.len());
        let why = format!("shape {shape:?} needs {needed} bytes of content, but there are {found}");
        Err(self.here.damaged(why))
    }

    fn with<T>(self, values: Vec<T>) -> Constant<T> {
        Constant { name: self.name, shape: self.shape, values, scales: self.scales }
    }
}

/// Scales and zero points as the file gives them: as many of one as of the other, at least one.
pub(super) struct Scales {
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    /// The axis that several scales run along.
    pub(super) axis: i32,
}

impl<'a> Tensors<'a> {
    pub(super) fn new(network: Site, model: Model<'a>, subgraph: SubGraph<'a>) -> Result<Self, ImportError> {
        let file = network.sound(subgraph.tensors())?;
        let buffers = network.sound(model.buffers())?;
        Ok(Self {
            imported: vec![None; file.len()],
            written: Vec::new(),
            tensors: Vec::new(),
            constants: Vec::new(),
            parameter_bytes: 0,
            elements: 0,
            file,
            buffers,
            network,
        })
    }

    /// All tensors of the graph, and those of them that are constants.
    pub(super) fn into_parts(self) -> (Vec<Tensor>, Vec<GraphConstant>) {
        (self.tensors, self.constants)
    }

    /// A name for messages, whatever the file says.
    pub(super) fn name(&self, index: i32) -> String {
        let table = usize::try_from(index).ok().and_then(|index| self.file.get(index).ok().flatten());
        let name = table.and_then(|table| schema::Tensor(table).name().ok().flatten());
        name.unwrap_or_else(|| format!("tensor {index}"))
    }

    /// The graph's tensor for the activation at `index`, of one of the types with codes `elements`, which is written already.
    pub(super) fn read(
        &mut self,
        here: &Site,
        index: i32,
        elements: &[i8],
        role: &'static str,
    ) -> Result<TensorId, ImportError> {
        self.activation(here, index, elements, role)?;
        let id = self.id(here, index)?;
        if self.written[id.0] {
            return Ok(id);
        }
        let there = here.tensor(&self.name(index));
        if self.is_constant(here, index)? {
            return Err(there.unsupported(
                format!("the {role} is a constant"),
                "let the converter fold constants, so that every operator computes from the network's input",
            ));
        }
        Err(there.damaged(format!("the {role} is read before any operator has written it")))
    }

    /// The graph's tensor for the int8 operand at `index`: an activation, or a constant of the file.
    pub(super) fn operand(&mut self, here: &Site, index: i32) -> Result<TensorId, ImportError> {
        if !self.is_constant(here, index)? {
            return self.read(here, index, &[element::INT8], "operand");
        }
        if let Ok(id) = self.id(here, index) {
            return Ok(id);
        }
        let values = self.constant::<i8>(here, index, element::INT8, "operand")?.values;
        self.activation(here, index, &[element::INT8], "operand")?;
        self.mark_written(here, index)?;
        let tensor = self.id(here, index)?;
        self.constants.push(GraphConstant { tensor, values });
        Ok(tensor)
    }

    /// The graph's tensor for the activation at `index`, of one of the types with codes `elements`, which nobody has written
    /// yet.
    pub(super) fn write(&mut self, here: &Site, index: i32, elements: &[i8]) -> Result<TensorId, ImportError> {
        self.activation(here, index, elements, "output")?;
        self.mark_written(here, index)?;
        self.id(here, index)
    }

    pub(super) fn mark_written(&mut self, here: &Site, index: i32) -> Result<(), ImportError> {
        let id = self.id(here, index)?;
        if std::mem::replace(&mut self.written[id.0], true) {
            return Err(here
                .tensor(&self.name(index))
                .damaged("two operators write this tensor, or one writes the input"));
        }
        Ok(())
    }

    pub(super) fn id(&self, here: &Site, index: i32) -> Result<TensorId, ImportError> {
        let id = usize::try_from(index).ok().and_then(|index| *self.imported.get(index)?);
        id.ok_or_else(|| here.damaged(format!("tensor {index} takes part in nothing")))
    }

    pub(super) fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    pub(super) fn is_constant(&self, here: &Site, index: i32) -> Result<bool, ImportError> {
        let table = self.table(here, index)?;
        Ok(self.content(here, table)?.is_some_and(|content| content.len() > 0))
    }

    /// Takes the activation at `index`, of one of the types with codes `elements`, into the graph, the first time it is asked
    /// for. Hands the index back.
    pub(super) fn activation(
        &mut self,
        here: &Site,
        index: i32,
        elements: &[i8],
        role: &'static str,
    ) -> Result<i32, ImportError> {
        let table = self.table(here, index)?;
        let name = self.name(index);
        let there = here.tensor(&name);
        let element = require_type(&there, table, elements, role)?;
        if self.id(here, index).is_ok() {
            return Ok(index);
        }
        if there.sound(table.is_variable())? != 0 {
            return Err(there.unsupported(
                "the tensor keeps its value from one inference to the next",
                "make the state an input and an output of the network, and keep it on the host",
            ));
        }
        let (shape, _) = shape(&there, table)?;
        let element = if element == element::UINT8 { Element::Uint8 } else { Element::Int8 };
        let quantisation = activation_quantisation(&there, table, element)?;
        let id = self.add(&there, Tensor { name, shape, quantisation, element })?;
        if let Some(slot) = usize::try_from(index).ok().and_then(|index| self.imported.get_mut(index)) {
            *slot = Some(id);
        }
        Ok(index)
    }

    /// Adds a tensor that nothing has written yet.
    fn add(&mut self, here: &Site, tensor: Tensor) -> Result<TensorId, ImportError> {
        self.elements = self.elements.saturating_add(tensor.elements() as u64);
        if self.elements > ACTIVATION_LIMIT {
            let what = "the activations".into();
            let (place, size, limit) = (here.0.clone(), self.elements, ACTIVATION_LIMIT);
            return Err(ImportError::TooLarge { place, what, size, limit });
        }
        self.tensors.push(tensor);
        self.written.push(false);
        Ok(TensorId(self.tensors.len() - 1))
    }

    /// Adds a tensor that is none of the file's and has a value before the first operator: the state called `name`, in the
    /// shape and scale of `like`.
    pub(super) fn add_state(&mut self, here: &Site, name: &str, like: TensorId) -> Result<TensorId, ImportError> {
        let tensor = Tensor { name: name.to_owned(), ..self.tensor(like).clone() };
        let id = self.add(here, tensor)?;
        self.written[id.0] = true;
        Ok(id)
    }

    /// The constant at `index`, whose elements must be of the type with code `element`.
    pub(super) fn constant<T: Scalar>(
        &mut self,
        here: &Site,
        index: i32,
        element: i8,
        role: &'static str,
    ) -> Result<Constant<T>, ImportError> {
        let stored = self.stored(here, index, &[element], role)?;
        let content = stored.content(|elements| elements.checked_mul(T::SIZE))?;
        self.charge(&stored.here, content.len())?;
        let values = content.chunks_exact(T::SIZE).filter_map(T::read).collect();
        Ok(stored.with(values))
    }

    /// The weights at `index`, of int8 or int4. Of int4, a byte holds two, the lower four bits first.
    pub(super) fn weights(&mut self, here: &Site, index: i32) -> Result<Constant<i8>, ImportError> {
        let stored = self.stored(here, index, &[element::INT8, element::INT4], "weights")?;
        let narrow = stored.element == element::INT4;
        let content = stored.content(|elements| Some(if narrow { elements.div_ceil(2) } else { elements }))?;
        self.charge(&stored.here, stored.elements)?;
        let values = if narrow {
            let halves = content.iter().flat_map(|&byte| [(byte << 4) as i8 >> 4, byte as i8 >> 4]);
            halves.take(stored.elements).collect()
        } else {
            content.iter().map(|&byte| byte as i8).collect()
        };
        Ok(stored.with(values))
    }

    /// The constant at `index`, whose elements must be of one of the types with codes `elements`.
    fn stored(&self, here: &Site, index: i32, elements: &[i8], role: &'static str) -> Result<Stored<'a>, ImportError> {
        let table = self.table(here, index)?;
        let name = self.name(index);
        let here = here.tensor(&name);
        let element = require_type(&here, table, elements, role)?;
        if here.sound(table.sparsity())?.is_some() {
            return Err(here.unsupported(
                format!("sparse {role}"),
                "export without sparse encoding (DENSIFY the weights; zeros are allowed)",
            ));
        }
        let (shape, elements) = shape(&here, table)?;
        let content = self.content(&here, table)?.filter(|content| content.len() > 0).ok_or_else(|| {
            here.unsupported(
                format!("{role} that are no constants of the file"),
                "export a network whose weights and biases are constants",
            )
        })?;
        let scales = scales(&here, table)?;
        Ok(Stored { here, name, shape, elements, element, content: content.bytes(), scales })
    }

    /// Counts `bytes` of parameters, before they are allocated: many operators may share one constant of the file.
    pub(super) fn charge(&mut self, here: &Site, bytes: usize) -> Result<(), ImportError> {
        self.parameter_bytes = self.parameter_bytes.saturating_add(bytes as u64);
        if self.parameter_bytes > PARAMETER_LIMIT {
            let what = "the weights".into();
            let (place, size, limit) = (here.0.clone(), self.parameter_bytes, PARAMETER_LIMIT);
            return Err(ImportError::TooLarge { place, what, size, limit });
        }
        Ok(())
    }

    fn table(&self, here: &Site, index: i32) -> Result<schema::Tensor<'a>, ImportError> {
        let table = match usize::try_from(index) {
            Ok(index) => here.sound(self.file.get(index))?,
            Err(_) => None,
        };
        let missing = || here.damaged(format!("tensor {index} is named, but there are {}", self.file.len()));
        table.map(schema::Tensor).ok_or_else(missing)
    }

    /// The buffer behind a tensor; `None` where it has none.
    fn content(&self, here: &Site, table: schema::Tensor<'a>) -> Result<Option<Numbers<'a, u8>>, ImportError> {
        let outside = |what: &str| {
            here.unsupported(
                format!("the tensor's content stands {what}"),
                "export the network as one file with its weights inside (below 2 GB)",
            )
        };
        if here.sound(table.external_buffer())? != 0 {
            return Err(outside("in another file"));
        }
        let index = here.sound(table.buffer())?;
        let missing = || self.network.damaged(format!("buffer {index} is named, but there are {}", self.buffers.len()));
        let buffer = Buffer(here.sound(self.buffers.get(index as usize))?.ok_or_else(missing)?);
        // 0 and 1 are what writers put there when the content is inside.
        if here.sound(buffer.offset())? > 1 || here.sound(buffer.size())? > 1 {
            return Err(outside("behind the FlatBuffer"));
        }
        here.sound(buffer.data())
    }
}

/// The code of a tensor's element type, which must be one of `wanted`.
fn require_type(here: &Site, table: schema::Tensor<'_>, wanted: &[i8], role: &'static str) -> Result<i8, ImportError> {
    let found = here.sound(table.element())?;
    if wanted.contains(&found) {
        return Ok(found);
    }
    let wanted = match wanted {
        [element::INT32] => "INT32",
        [element::INT8] => "INT8",
        [element::INT8, element::UINT8] => "INT8 or UINT8",
        _ => "INT8 or INT4",
    };
    Err(ImportError::UnsupportedType { place: here.0.clone(), role, found: type_name(found), wanted })
}

/// The shape and the number of elements.
fn shape(here: &Site, table: schema::Tensor<'_>) -> Result<(Vec<usize>, usize), ImportError> {
    let Some(sizes) = here.sound(table.shape())? else { return Ok((Vec::new(), 1)) };
    if sizes.len() > RANK_LIMIT {
        return Err(here.shape(format!("{} axes, more than {RANK_LIMIT}", sizes.len())));
    }
    let mut shape = Vec::with_capacity(sizes.len());
    for size in sizes.iter() {
        match usize::try_from(size) {
            Ok(size) if size > 0 => shape.push(size),
            _ => return Err(here.shape(format!("an axis of size {size}"))),
        }
    }
    let elements = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    match elements {
        Some(elements) => Ok((shape, elements)),
        None => Err(here.shape(format!("shape {shape:?} has more elements than can be counted"))),
    }
}

fn scales(here: &Site, table: schema::Tensor<'_>) -> Result<Option<Scales>, ImportError> {
    let Some(parameters) = here.sound(table.quantization())?.map(QuantizationParameters) else { return Ok(None) };
    if here.sound(parameters.details_type())? != 0 {
        return Err(here.unsupported(
            "quantisation of a special kind (custom, block-wise or over several axes)",
            "quantise with one scale for each tensor, or for each output channel of the weights",
        ));
    }
    let (Some(scales), Some(zero_points)) = (here.sound(parameters.scale())?, here.sound(parameters.zero_point())?)
    else {
        return Ok(None);
    };
    if scales.len() == 0 {
        return Ok(None);
    }
    if scales.len() != zero_points.len() {
        return Err(here.quantisation(format!("{} scales, but {} zero points", scales.len(), zero_points.len())));
    }
    if let Some(scale) = scales.iter().find(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(here.quantisation(format!("a scale of {scale}, which is not a positive number")));
    }
    let axis = here.sound(parameters.quantized_dimension())?;
    Ok(Some(Scales { scales: scales.iter().collect(), zero_points: zero_points.iter().collect(), axis }))
}

fn activation_quantisation(
    here: &Site,
    table: schema::Tensor<'_>,
    element: Element,
) -> Result<Quantisation, ImportError> {
    let Some(Scales { scales, zero_points, .. }) = scales(here, table)? else {
        return Err(here.quantisation("no scale and zero point"));
    };
    let (&[scale], &[zero_point]) = (scales.as_slice(), zero_points.as_slice()) else {
        return Err(here.quantisation(format!("{} scales on an activation instead of one", scales.len())));
    };
    // The graph has uint8 as int8, 128 lower.
    let (lower, name) = match element {
        Element::Int8 => (0, "int8"),
        Element::Uint8 => (128, "uint8"),
    };
    match zero_point.checked_sub(lower).map(i8::try_from) {
        Some(Ok(zero_point)) => Ok(Quantisation { scale, zero_point: zero_point.into() }),
        _ => Err(here.quantisation(format!("a zero point of {zero_point}, outside {name}"))),
    }
}
