//! A segment of operators, band by band.

use super::Work;
use super::step::{Operand, Step, slices_read_beside};
use super::tiling::{Place, Segment, banded, is_maximum, needed};
use crate::error::CompileError;
use crate::graph::{OperatorKind, Padding, TensorId};
use crate::lower::convolution;
use crate::lower::layout::{Layout, image};
use crate::lower::{Lowered, Target};
use crate::schedule::Stored;
use lpu_isa::program::{Band, Layer};
use std::ops::Range;

/// A part of the network's input, which no slice holds as a whole.
pub(super) struct Part {
    /// Its rows.
    pub(super) rows: Range<u64>,
    /// Where it stands, as an image of its own.
    pub(super) stored: Stored,
    pub(super) layout: Layout,
}

impl Work<'_> {
    /// Lowers all operators of `segment`.
    pub(super) fn lower_segment(&mut self, segment: &Segment) -> Result<(), CompileError> {
        let configuration = self.lowering.schedule.configuration.clone();
        let graph = self.graph;
        let operators = &graph.operators[segment.first..=segment.last];
        let wrong = |why: &str| CompileError::Unsupported { layer: operators[0].name.clone(), why: why.into() };
        let bands = segment.rows(graph).ok_or_else(|| wrong("a band of its rows is empty"))?;
        let ends = (operators[0].inputs.first(), operators.last().and_then(|operator| operator.outputs.first()));
        let (Some(&from), Some(&to)) = ends else { return Err(wrong("an operator must have an input and an output")) };

        // What the segment reads: parts, or a whole image with the padding that its first operator wants.
        let parts = std::mem::take(&mut self.parts);
        let step = |index: usize, to: TensorId, number: usize, beside: Vec<u32>| Step {
            graph,
            operator: &graph.operators[index],
            index,
            to,
            number: number as u32,
            demands: &self.demands,
            tiling: &self.tiling,
            beside,
        };
        self.at = Place::Band(segment.first);
        let dense = self.dense.filter(|(reader, _)| *reader == segment.first);
        let whole = if let (Some((_, dense)), Some(stored)) = (dense, &self.vectors[from.0]) {
            Some(Operand { stored: stored.clone(), layout: dense.layout, copied: None })
        } else if parts.is_empty() {
            let Some(stored) = self.vectors[from.0].clone() else { return Err(wrong("an input has no value")) };
            let wanted = match &operators[0].kind {
                OperatorKind::Convolution(layer) => (layer.window.padding, layer.accumulation.input_zero_point),
                OperatorKind::DepthwiseConvolution(layer) => {
                    (layer.window.padding, layer.accumulation.input_zero_point)
                }
                _ => (Padding::default(), 0),
            };
            let step = step(segment.first, to, self.layers.len(), vec![]);
            Some(step.operand(&mut self.lowering, 0, &stored, wanted, None)?)
        } else {
            None
        };

        self.at = Place::Whole(segment.last);
        let (size, channels) = graph.tensor(to).map_or_else(|| image(&[]), |tensor| image(&tensor.shape));
        let full = self.demands.layout(to, size, channels, &configuration);
        let near = whole.as_ref().map_or_else(|| parts[0].stored.clone(), |whole| whole.stored.clone());
        let beside = slices_read_beside(graph, segment.last, to, &self.vectors);
        let last_step = step(segment.last, to, 0, beside);
        let target = last_step.target(&near, size, channels, &configuration);
        let target = Target { layout: full, ..target };
        let (mut result, former) = self.lowering.place_image(&target)?;

        let mut last_read = 0;
        let mut done = vec![0u64; operators.len()];
        for (number, rows) in bands.iter().enumerate() {
            let (mut input, mut layout) = match (&whole, parts.get(number)) {
                (Some(whole), _) => (whole.stored.clone(), whole.layout.view(&rows[0])),
                (None, Some(part)) => {
                    let own = rows[0].start - part.rows.start..rows[0].end - part.rows.start;
                    (part.stored.clone(), part.layout.view(&own))
                }
                (None, None) => return Err(wrong("a part of its input is missing")),
            };
            for (position, operator) in operators.iter().enumerate() {
                let index = segment.first + position;
                self.at = Place::Band(index);
                let Some(&made) = operator.outputs.first() else {
                    return Err(wrong("an operator must have one output"));
                };
                let (size, channels) = graph.tensor(made).map_or_else(|| image(&[]), |tensor| image(&tensor.shape));
                let size_before =
                    graph.tensor(operator.inputs[0]).map_or(1, |tensor| image(&tensor.shape).0.rows as u64);
                let output_rows = &rows[position + 1];
                let needed = needed(&operator.kind, size_before, output_rows)
                    .ok_or_else(|| wrong("a band of its rows is empty"))?;
                let kind = banded(&operator.kind, &needed);
                let is_last = position + 1 == operators.len();
                let step = step(index, made, self.layers.len(), vec![]);
                let mut target = step.target(&input, size, channels, &configuration);
                if is_last {
                    target = Target { layout: full.view(output_rows), into: Some((result.clone(), former)), ..target };
                } else {
                    target.layout = target.layout.band(output_rows);
                    // A maximum reads its result, which stands already, beside its input.
                    if segment.first + position + 1 == segment.last && is_maximum(&operators[position + 1].kind) {
                        target.slices.retain(|&slice| slice != result.region.slice);
                        target.preferred = target.slices.len();
                    }
                }
                let own = target.layout;
                let lowered = match (dense.filter(|_| position == 0), &kind) {
                    (Some((_, dense)), OperatorKind::Convolution(layer)) => {
                        let dense = dense.with_layout(layout);
                        convolution::lower_dense(&mut self.lowering, layer, &input, &dense, &target)?
                    }
                    _ => step.lower_band(&mut self.lowering, &kind, (&input, layout), &target)?,
                };
                if position == 0 {
                    last_read = lowered.last_read.max(last_read);
                    if whole.is_none() {
                        self.lowering.schedule.release_all(&input, lowered.last_read);
                    }
                } else {
                    self.lowering.schedule.release_all(&input, lowered.last_read);
                }
                let fresh = output_rows.end.saturating_sub(output_rows.start.max(done[position]));
                done[position] = done[position].max(output_rows.end);
                let macs = operator.multiply_accumulates(graph);
                let element = if is_last { 0 } else { output_rows.start * own.columns * own.channels };
                self.layers.push(Layer {
                    name: operator.name.clone(),
                    operator: operator.kind.name().into(),
                    macs: (u128::from(macs) * u128::from(fresh) / (size.rows as u128).max(1)) as u64,
                    tiles: lowered.tiles,
                    start: lowered.start,
                    end: end_of(&lowered, &own, output_rows, is_last),
                    result: lowered.result.region.clone(),
                    band: Some(Band {
                        row: output_rows.start as u32,
                        rows: (output_rows.end - output_rows.start) as u32,
                        element: element as u32,
                    }),
                });
                if is_last {
                    result = Stored { layout: Some(full), ..lowered.result };
                } else {
                    (input, layout) = (lowered.result, own);
                }
            }
        }
        if let Some(Operand { stored, copied: Some(original), .. }) = whole {
            self.lowering.schedule.release(&stored.region, last_read);
            last_read = last_read.max(original);
        }
        self.vectors[to.0] = Some(result);
        if parts.is_empty() {
            self.has_read(&[from], last_read);
        } else {
            // The parts have been given back one by one.
            self.vectors[from.0] = None;
        }
        Ok(())
    }
}

/// The first cycle in which all of a band's rows can be read.
fn end_of(lowered: &Lowered, own: &Layout, rows: &Range<u64>, is_view: bool) -> u64 {
    let ready = &lowered.result.ready;
    // A view's rows stand where they stand in the whole.
    let first = own.beat(0, 0, 0).max(0) as usize;
    let end = (first + ((rows.end - rows.start) * own.row_pitch()) as usize).min(ready.len());
    let all = if is_view { ready.get(first..end).unwrap_or(ready) } else { ready };
    all.iter().copied().max().unwrap_or(0)
}
