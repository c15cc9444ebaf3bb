//! One operator: which lowering, how its operands and its result stand.

use super::demands::Demands;
use super::tiling::{Tiling, is_maximum};
use crate::error::CompileError;
use crate::graph::{Convolution, Graph, Operator, OperatorKind, Padding, Plane, TensorId};
use crate::lower::convolution::Dense;
use crate::lower::layout::{Layout, image};
use crate::lower::movement::From;
use crate::lower::{
    Lowered, Lowering, Target, convolution, elementwise, fully_connected, lookup, mean, pool, product, softmax,
};
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
    pub(super) tiling: &'a Tiling,
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
        let (size, channels) = self.result();
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
                let input = self.operand(lowering, 0, input, self.operator.kind.padding(), None)?;
                let target = self.target(&input.stored, size, channels, &configuration);
                let lowered = convolution::lower(lowering, layer, &input.stored, input.layout, &target)?;
                Ok(done(lowering, lowered, [input]))
            }
            OperatorKind::DepthwiseConvolution(layer) => {
                let input = self.operand(lowering, 0, input, self.operator.kind.padding(), None)?;
                let target = self.target(&input.stored, size, channels, &configuration);
                let lowered = convolution::lower_depthwise(lowering, layer, &input.stored, input.layout, &target)?;
                Ok(done(lowering, lowered, [input]))
            }
            OperatorKind::Pool(pool) => {
                let input = self.operand(lowering, 0, input, none, None)?;
                let target = self.target(&input.stored, size, channels, &configuration);
                let lowered = pool::lower(lowering, pool, &input.stored, input.layout, &target)?;
                Ok(done(lowering, lowered, [input]))
            }
            OperatorKind::Mean(layer) => {
                let Some(goes) = mean::axes(layer, self.shape(0)) else {
                    return Err(self.not_lowered("a mean over some of more than three axes"));
                };
                let input = self.operand(lowering, 0, input, none, None)?;
                let left = |goes: bool, size: u64| if goes { 1 } else { size as usize };
                let [rows, columns, channels] = input.layout.shape();
                let size = Plane { rows: left(goes[0], rows), columns: left(goes[1], columns) };
                let target = self.target(&input.stored, size, left(goes[2], channels), &configuration);
                let lowered = mean::lower(lowering, layer, goes, (&input.stored, input.layout), &target)?;
                Ok(done(lowering, lowered, [input]))
            }
            OperatorKind::Add(addition) => {
                let [first, second] = inputs else { return Err(self.not_lowered("a sum of one operand")) };
                let [first, second] = self.pair(lowering, [first, second])?;
                let target = self.target(&first.stored, size, channels, &configuration);
                let operands = [(&first.stored, &first.layout), (&second.stored, &second.layout)];
                let lowered = lookup::lower_sum(lowering, addition, operands, &target)?;
                Ok(done(lowering, lowered, [first, second]))
            }
            OperatorKind::Multiply(multiply) => {
                let [first, second] = inputs else { return Err(self.not_lowered("a product of one operand")) };
                let [first, second] = self.pair(lowering, [first, second])?;
                let target = self.target(&first.stored, size, channels, &configuration);
                let operands = [(&first.stored, &first.layout), (&second.stored, &second.layout)];
                let lowered = product::lower(lowering, multiply, operands, &target)?;
                Ok(done(lowering, lowered, [first, second]))
            }
            OperatorKind::Logistic(logistic) => {
                let input = self.operand(lowering, 0, input, none, None)?;
                let target = self.target(&input.stored, size, channels, &configuration);
                let lowered = lookup::lower_logistic(lowering, logistic, (&input.stored, &input.layout), &target)?;
                Ok(done(lowering, lowered, [input]))
            }
            OperatorKind::Softmax(layer) => {
                // A row as the tiles leave it stands well; what does not is copied.
                let length = self.shape(0).last().copied().unwrap_or(1).max(1);
                if let Some(rows) = softmax::Rows::of(&input.region, length, &configuration) {
                    let target = self.target(input, size, channels, &configuration);
                    return softmax::lower(lowering, layer, length, (input, &rows), &target);
                }
                let input = self.operand(lowering, 0, input, none, None)?;
                let target = self.target(&input.stored, size, channels, &configuration);
                let Some(rows) = softmax::Rows::of(&input.stored.region, length, &configuration) else {
                    return Err(self.not_lowered("a softmax whose rows do not stand at constant distances"));
                };
                let lowered = softmax::lower(lowering, layer, length, (&input.stored, &rows), &target)?;
                Ok(done(lowering, lowered, [input]))
            }
            OperatorKind::Slice(_) | OperatorKind::Concatenation(_) | OperatorKind::Pad(_) => {
                let target = self.target(input, size, channels, &configuration);
                let (froms, value) = self.moved();
                let sources: Vec<&Stored> = inputs.iter().collect();
                lowering.move_elements(&sources, &froms, value, &target)
            }
            other => Err(self.not_lowered(&format!("the operator `{}`", other.name()))),
        }
    }

    /// Lowers a convolution of an input in which neighbouring columns share a beat.
    pub(super) fn lower_dense(
        &self,
        lowering: &mut Lowering<'_>,
        layer: &Convolution,
        input: &Stored,
        dense: &Dense,
    ) -> Result<Lowered, CompileError> {
        let configuration = lowering.schedule.configuration.clone();
        let (size, channels) = self.result();
        let target = self.target(input, size, channels, &configuration);
        convolution::lower_dense(lowering, layer, input, dense, &target)
    }

    /// Lowers the operator for a band, for which it is `kind`: from the images `operands`, of the layouts beside them, into that of
    /// `target`.
    pub(super) fn lower_band(
        &self,
        lowering: &mut Lowering<'_>,
        kind: &OperatorKind,
        operands: &[(&Stored, Layout)],
        target: &Target<'_>,
    ) -> Result<Lowered, CompileError> {
        let Some(&(input, layout)) = operands.first() else {
            return Err(self.not_lowered("an operator without operands"));
        };
        match kind {
            OperatorKind::Convolution(layer) => convolution::lower(lowering, layer, input, layout, target),
            OperatorKind::DepthwiseConvolution(layer) => {
                convolution::lower_depthwise(lowering, layer, input, layout, target)
            }
            OperatorKind::Pool(pool) => {
                let taken = target.into.as_ref().map(|(result, _)| result.region.slice);
                if !is_maximum(kind) || taken != Some(input.region.slice) {
                    return pool::lower(lowering, pool, input, layout, target);
                }
                // A maximum reads its result beside its input.
                let (copy, last_read) = self.copied_rows(lowering, &operands[0], input.region.slice)?;
                let lowered = pool::lower(lowering, pool, &copy.0, copy.1, target)?;
                lowering.schedule.release(&copy.0.region, lowered.last_read);
                Ok(Lowered { last_read: lowered.last_read.max(last_read), ..lowered })
            }
            OperatorKind::Elementwise(operator) => elementwise::lower_image(lowering, operator, input, &layout, target),
            OperatorKind::Logistic(logistic) => lookup::lower_logistic(lowering, logistic, (input, &layout), target),
            OperatorKind::Add(addition) => self.lower_beside(lowering, operands, |lowering, images| {
                lookup::lower_sum(lowering, addition, images, target)
            }),
            OperatorKind::Multiply(multiply) => self.lower_beside(lowering, operands, |lowering, images| {
                product::lower(lowering, multiply, images, target)
            }),
            OperatorKind::Concatenation(concatenation) => {
                let sources: Vec<Stored> = operands.iter().map(|(stored, layout)| stored.rows(layout).0).collect();
                let shape = |layout: &Layout| layout.shape().map(|size| size as usize);
                let shapes: Vec<[usize; 3]> = operands.iter().map(|(_, layout)| shape(layout)).collect();
                let shapes: Vec<&[usize]> = shapes.iter().map(|shape| &shape[..]).collect();
                // Of rows, columns and channels.
                let axis = (concatenation.axis + 3).saturating_sub(self.shape(0).len());
                let froms = concatenated(&shapes, axis, &shape(&target.layout));
                let (mut result, former) = lowering.place_image(target)?;
                let (mut rows, _) = result.rows(&target.layout);
                let sources: Vec<&Stored> = sources.iter().collect();
                let to = (&mut rows, former);
                let lowered = lowering.move_into(&sources, &froms, 0, target.name, to, Some(target.number))?;
                result.note_rows(&rows);
                Ok(Lowered { result, ..lowered })
            }
            other => Err(self.not_lowered(&format!("the operator `{}` band by band", other.name()))),
        }
    }

    /// What `lower` does with two images for a band that are read at the same time: one of them is copied where both stand in the same
    /// slice, which has one read port.
    fn lower_beside(
        &self,
        lowering: &mut Lowering<'_>,
        operands: &[(&Stored, Layout)],
        lower: impl FnOnce(&mut Lowering<'_>, [(&Stored, &Layout); 2]) -> Result<Lowered, CompileError>,
    ) -> Result<Lowered, CompileError> {
        let [first, second] = operands else { return Err(self.not_lowered("an operator of one operand")) };
        let taken = first.0.region.slice;
        if second.0.region.slice != taken {
            return lower(lowering, [(first.0, &first.1), (second.0, &second.1)]);
        }
        let (copy, last_read) = self.copied_rows(lowering, second, taken)?;
        let lowered = lower(lowering, [(first.0, &first.1), (&copy.0, &copy.1)])?;
        lowering.schedule.release(&copy.0.region, lowered.last_read);
        Ok(Lowered { last_read: lowered.last_read.max(last_read), ..lowered })
    }

    /// A copy of the rows of an image that a band reads, in another slice than `taken`, and the last cycle in which the original is read
    /// for it.
    fn copied_rows(
        &self,
        lowering: &mut Lowering<'_>,
        (stored, layout): &(&Stored, Layout),
        taken: u32,
    ) -> Result<((Stored, Layout), u64), CompileError> {
        let slices: Vec<u32> =
            (0..lowering.schedule.configuration.vector_slices).filter(|&slice| slice != taken).collect();
        let (rows, layout) = stored.rows(layout);
        let (copy, last_read) = lowering.copy(&self.operator.name, &layout, &rows, &slices)?;
        Ok(((copy, layout), last_read))
    }

    /// Where each element of the result of an operator that moves elements comes from, and the constant.
    fn moved(&self) -> (Vec<From>, i32) {
        let output = self.graph.tensor(self.to).map_or(&[][..], |tensor| &tensor.shape);
        let elements = output.iter().product::<usize>();
        match &self.operator.kind {
            OperatorKind::Slice(slice) => {
                let steps = strides(self.shape(0));
                let start = slice.start.iter().zip(&steps).map(|(start, step)| start * step).sum();
                let steps: Vec<isize> =
                    slice.stride.iter().zip(&steps).map(|(stride, &step)| stride * step as isize).collect();
                (positions(start, &slice.size, &steps).into_iter().map(|element| Some((0, element))).collect(), 0)
            }
            OperatorKind::Pad(pad) => {
                let steps = strides(output);
                let start = pad.before.iter().zip(&steps).map(|(before, step)| before * step).sum();
                let steps: Vec<isize> = steps.into_iter().map(|step| step as isize).collect();
                let mut froms = vec![None; elements];
                for (element, position) in positions(start, self.shape(0), &steps).into_iter().enumerate() {
                    froms[position] = Some((0, element));
                }
                (froms, pad.value.into())
            }
            OperatorKind::Concatenation(concatenation) => {
                let shapes: Vec<&[usize]> = (0..self.operator.inputs.len()).map(|number| self.shape(number)).collect();
                (concatenated(&shapes, concatenation.axis, output), 0)
            }
            _ => (vec![], 0),
        }
    }

    /// Does the result come from the tiles, so that a copy costs nothing but room?
    fn makes_products(&self) -> bool {
        matches!(self.operator.kind, OperatorKind::Convolution(_) | OperatorKind::DepthwiseConvolution(_))
    }

    /// The shape of an operand.
    fn shape(&self, number: usize) -> &[usize] {
        let tensor = self.operator.inputs.get(number).and_then(|&id| self.graph.tensor(id));
        tensor.map_or(&[], |tensor| &tensor.shape)
    }

    fn not_lowered(&self, operator: &str) -> CompileError {
        CompileError::NotLowered { layer: self.operator.name.clone(), operator: operator.into() }
    }

    /// The result's size and channels, as its shape says.
    fn result(&self) -> (Plane, usize) {
        self.graph.tensor(self.to).map_or((Plane::ONE, 1), |tensor| image(&tensor.shape))
    }

    /// Where a result that is an image goes.
    pub(super) fn target(
        &self,
        input: &Stored,
        size: Plane,
        channels: usize,
        configuration: &Configuration,
    ) -> Target<'_> {
        let slices = configuration.vector_slices;
        let order = (1..=slices).map(|k| (input.region.slice + k) % slices);
        let (avoided, mut order): (Vec<u32>, Vec<u32>) = order.partition(|slice| self.beside.contains(slice));
        let preferred = order.len();
        order.extend(avoided);
        Target {
            name: &self.operator.name,
            tensor: self.graph.tensor(self.to).map_or("", |tensor| &tensor.name),
            layout: self.demands.layout(self.to, size, channels, configuration),
            slices: order,
            preferred,
            twin: self.demands.wants_twin(self.to) && self.tiling.allows_twin(self.to) && self.makes_products(),
            number: self.number,
            into: None,
        }
    }

    /// An operand as an image with the padding that the operator wants, of its own shape, or of `shape` with its axes of size 1
    /// repeated: it itself where it stands so, else a copy.
    pub(super) fn operand(
        &self,
        lowering: &mut Lowering<'_>,
        number: usize,
        stored: &Stored,
        wanted: (Padding, i32),
        shape: Option<&[usize]>,
    ) -> Result<Operand, CompileError> {
        let own = self.shape(number);
        let shape = shape.unwrap_or(own);
        let (size, channels) = image(shape);
        let alike = |layout: &Layout| {
            let wanted_shape = [size.rows as u64, size.columns as u64, channels as u64];
            layout.shape() == wanted_shape && layout.covers(wanted)
        };
        let same = own.iter().product::<usize>() == shape.iter().product::<usize>();
        if let Some(layout) = stored.layout.filter(alike).filter(|_| same) {
            return Ok(Operand { stored: stored.clone(), layout, copied: None });
        }
        let configuration = lowering.schedule.configuration.clone();
        let layout = Layout::new(size, channels, wanted, &configuration);
        let target = Target { layout, twin: false, ..self.target(stored, size, channels, &configuration) };
        let froms: Vec<From> = if same {
            (0..own.iter().product()).map(|element| Some((0, element))).collect()
        } else {
            let missing = shape.len().saturating_sub(own.len());
            let padded: Vec<usize> = std::iter::repeat_n(1, missing).chain(own.iter().copied()).collect();
            let repeated = |(&size, stride): (&usize, usize)| if size == 1 { 0 } else { stride as isize };
            let steps: Vec<isize> = padded.iter().zip(strides(&padded)).map(repeated).collect();
            positions(0, shape, &steps).into_iter().map(|element| Some((0, element))).collect()
        };
        let (mut copy, former) = lowering.place_image(&target)?;
        let moved = lowering.move_into(&[stored], &froms, 0, target.name, (&mut copy, former), None)?;
        Ok(Operand { stored: copy, layout, copied: Some(moved.last_read) })
    }

    /// Two operands of the result's shape, in slices that can be read at once.
    fn pair(&self, lowering: &mut Lowering<'_>, [first, second]: [&Stored; 2]) -> Result<[Operand; 2], CompileError> {
        let none = (Padding::default(), 0);
        let shape = self.graph.tensor(self.to).map_or(&[][..], |tensor| &tensor.shape);
        let first = self.operand(lowering, 0, first, none, Some(shape))?;
        let second = self.operand(lowering, 1, second, none, Some(shape))?;
        let second = self.apart(lowering, second, &first)?;
        Ok([first, second])
    }

    /// `operand` in another slice than `other`: it itself, or a copy of it.
    fn apart(&self, lowering: &mut Lowering<'_>, operand: Operand, other: &Operand) -> Result<Operand, CompileError> {
        let taken = other.stored.region.slice;
        if operand.stored.region.slice != taken {
            return Ok(operand);
        }
        let slices: Vec<u32> =
            (0..lowering.schedule.configuration.vector_slices).filter(|&slice| slice != taken).collect();
        let (stored, last_read) = lowering.copy(&self.operator.name, &operand.layout, &operand.stored, &slices)?;
        if operand.copied.is_some() {
            lowering.schedule.release(&operand.stored.region, last_read);
        }
        let copied = Some(last_read.max(operand.copied.unwrap_or(0)));
        Ok(Operand { stored, copied, ..operand })
    }
}

/// An operand as its operator wants it.
pub(super) struct Operand {
    pub(super) stored: Stored,
    pub(super) layout: Layout,
    /// Where it is a copy for this operator alone: the last cycle in which the original was read for it.
    pub(super) copied: Option<u64>,
}

/// Gives back the copies that an operator has read.
fn done<const N: usize>(lowering: &mut Lowering<'_>, mut lowered: Lowered, operands: [Operand; N]) -> Lowered {
    let last_read = lowered.last_read;
    for operand in operands {
        if let Some(original) = operand.copied {
            lowering.schedule.release(&operand.stored.region, last_read);
            lowered.last_read = lowered.last_read.max(original);
        }
    }
    lowered
}

/// The distance between neighbours along each axis of a row-major tensor.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The positions of all elements of a tensor of shape `shape`, in row-major order, where a step along an axis is `strides`.
fn positions(start: usize, shape: &[usize], strides: &[isize]) -> Vec<usize> {
    let mut positions = vec![start];
    for (&size, &stride) in shape.iter().zip(strides) {
        let along = |&first: &usize| (0..size as isize).map(move |index| first.wrapping_add_signed(index * stride));
        positions = positions.iter().flat_map(along).collect();
    }
    positions
}

/// Where each element of a concatenation of tensors of `shapes` along `axis` comes from.
fn concatenated(shapes: &[&[usize]], axis: usize, output: &[usize]) -> Vec<From> {
    let steps = strides(output);
    let along: Vec<isize> = steps.iter().map(|&step| step as isize).collect();
    let mut froms = vec![None; output.iter().product()];
    let mut before = 0;
    for (number, shape) in shapes.iter().enumerate() {
        for (element, position) in positions(before * steps[axis], shape, &along).into_iter().enumerate() {
            froms[position] = Some((number, element));
        }
        before += shape[axis];
    }
    froms
}

/// Does the operator read two images at the same time?
pub(super) fn reads_two(kind: &OperatorKind) -> bool {
    matches!(kind, OperatorKind::Add(_) | OperatorKind::Multiply(_))
}

/// The slices of what is there already and will be read beside tensor `to`.
pub(super) fn slices_read_beside(graph: &Graph, index: usize, to: TensorId, vectors: &[Option<Stored>]) -> Vec<u32> {
    let later = graph.operators[index + 1..].iter();
    let pairs = later.filter(|operator| reads_two(&operator.kind));
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
