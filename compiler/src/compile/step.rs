//! One operator: which lowering, how its operands and its result stand.

use super::demands::Demands;
use crate::error::CompileError;
use crate::graph::{Graph, Operator, OperatorKind, Padding, Plane, TensorId};
use crate::lower::layout::{Layout, image};
use crate::lower::{Lowered, Lowering, Target, convolution, elementwise, fully_connected, pool};
use crate::schedule::Stored;
use lpu_isa::configuration::Configuration;

/// An operator and its place in the network.
pub(super) struct Step<'a> {
    pub(super) graph: &'a Graph,
    pub(super) operator: &'a Operator,
    pub(super) index: usize,
    /// What it writes.
    pub(super) to: TensorId,
    /// Its layer's number.
    pub(super) number: u32,
    pub(super) demands: &'a Demands,
    /// Slices in which its result should not stand: something reads it beside a tensor there.
    pub(super) beside: Vec<u32>,
}

impl Step<'_> {
    pub(super) fn lower(&self, lowering: &mut Lowering<'_>, inputs: &[Stored]) -> Result<Lowered, CompileError> {
        let configuration = lowering.schedule.configuration.clone();
        let name = &self.operator.name;
        let tensor = self.graph.tensor(self.to).map_or("", |tensor| &tensor.name);
        let input = &inputs[0];
        let none = (Padding::default(), 0);
        match &self.operator.kind {
            OperatorKind::FullyConnected(layer) => {
                let next_passes = passes_over(self.graph, self.index, self.to, &configuration);
                fully_connected::lower(lowering, name, tensor, layer, input, next_passes, self.number)
            }
            OperatorKind::Elementwise(operator) => match input.layout {
                None => elementwise::lower(lowering, name, tensor, operator, input, self.number),
                Some(layout) => {
                    let [rows, columns, channels] = layout.shape().map(|size| size as usize);
                    let target = self.target(input, Plane { rows, columns }, channels, &configuration);
                    elementwise::lower_image(lowering, operator, input, &layout, &target)
                }
            },
            OperatorKind::Convolution(layer) => {
                let wanted = (layer.window.padding, layer.accumulation.input_zero_point);
                let (input, layout) = self.image(lowering, input, wanted)?;
                let (size, channels) = self.result();
                let target = self.target(&input, size, channels, &configuration);
                convolution::lower(lowering, layer, &input, layout, &target)
            }
            OperatorKind::DepthwiseConvolution(layer) => {
                let wanted = (layer.window.padding, layer.accumulation.input_zero_point);
                let (input, layout) = self.image(lowering, input, wanted)?;
                let (size, channels) = self.result();
                let target = self.target(&input, size, channels, &configuration);
                convolution::lower_depthwise(lowering, layer, &input, layout, &target)
            }
            OperatorKind::Pool(pool) => {
                let (input, layout) = self.image(lowering, input, none)?;
                let (size, channels) = self.result();
                let target = self.target(&input, size, channels, &configuration);
                pool::lower(lowering, pool, &input, layout, &target)
            }
            OperatorKind::Mean(mean) => {
                let (input, layout) = self.image(lowering, input, none)?;
                let shape = self.operator.inputs.first().and_then(|&id| self.graph.tensor(id));
                let Some(goes) = pool::mean_axes(mean, shape.map_or(&[], |tensor| &tensor.shape)) else {
                    return Err(self.not_lowered("a mean over some of more than three axes"));
                };
                let left = |goes: bool, size: u64| if goes { 1 } else { size as usize };
                let [rows, columns, channels] = layout.shape();
                let size = Plane { rows: left(goes[0], rows), columns: left(goes[1], columns) };
                let target = self.target(&input, size, left(goes[2], channels), &configuration);
                pool::lower_mean(lowering, mean, goes, (&input, layout), &target)
            }
            other => Err(self.not_lowered(&format!("the operator `{}`", other.name()))),
        }
    }

    fn not_lowered(&self, operator: &str) -> CompileError {
        CompileError::NotLowered { layer: self.operator.name.clone(), operator: operator.into() }
    }

    /// The result's size and channels, as its shape says.
    fn result(&self) -> (Plane, usize) {
        self.graph.tensor(self.to).map_or((Plane::ONE, 1), |tensor| image(&tensor.shape))
    }

    /// Where a result that is an image goes.
    fn target(&self, input: &Stored, size: Plane, channels: usize, configuration: &Configuration) -> Target<'_> {
        let slices = configuration.vector_slices;
        let order = (1..=slices).map(|k| (input.region.slice + k) % slices);
        let (avoided, mut order): (Vec<u32>, Vec<u32>) = order.partition(|slice| self.beside.contains(slice));
        order.extend(avoided);
        Target {
            name: &self.operator.name,
            tensor: self.graph.tensor(self.to).map_or("", |tensor| &tensor.name),
            layout: self.demands.layout(self.to, size, channels, configuration),
            slices: order,
            number: self.number,
        }
    }

    /// The first operand as the image that the operator sees, with the padding that it wants.
    fn image(
        &self,
        _: &mut Lowering<'_>,
        input: &Stored,
        wanted: (Padding, i32),
    ) -> Result<(Stored, Layout), CompileError> {
        let shape = self.operator.inputs.first().and_then(|&id| self.graph.tensor(id));
        let (size, channels) = shape.map_or((Plane::ONE, 1), |tensor| image(&tensor.shape));
        let alike = |layout: &Layout| {
            layout.shape() == [size.rows as u64, size.columns as u64, channels as u64] && layout.covers(wanted)
        };
        match input.layout.filter(alike) {
            Some(layout) => Ok((input.clone(), layout)),
            None => Err(self.not_lowered("an operand that stands as another image")),
        }
    }
}

/// The slices of what is there already and will be read beside tensor `to`.
pub(super) fn slices_read_beside(graph: &Graph, index: usize, to: TensorId, vectors: &[Option<Stored>]) -> Vec<u32> {
    let later = graph.operators[index + 1..].iter();
    let pairs = later.filter(|operator| matches!(operator.kind, OperatorKind::Add(_) | OperatorKind::Multiply(_)));
    pairs
        .filter(|operator| operator.inputs.contains(&to))
        .flat_map(|operator| &operator.inputs)
        .filter(|&&other| other != to)
        .filter_map(|other| vectors[other.0].as_ref().map(|stored| stored.region.slice))
        .collect()
}

/// Passes that the fully connected layers behind `tensor` will make over it if they use all tiles.
fn passes_over(graph: &Graph, index: usize, tensor: TensorId, configuration: &Configuration) -> u64 {
    let mut names = vec![tensor];
    let mut passes = 0;
    for operator in &graph.operators[index + 1..] {
        if operator.inputs.iter().any(|id| names.contains(id)) {
            match &operator.kind {
                OperatorKind::FullyConnected(layer) => {
                    passes += (layer.output_length as u64).div_ceil(u64::from(configuration.channels()));
                }
                OperatorKind::Reshape | OperatorKind::Elementwise(_) => names.extend(&operator.outputs),
                _ => (),
            }
        }
    }
    passes
}
