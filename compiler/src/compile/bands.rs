//! A segment of operators, band by band.

use super::Work;
use super::step::{Operand, Step, reads_two, slices_read_beside};
use super::tiling::{Place, Segment, banded, is_maximum, needed, rows_of};
use crate::error::CompileError;
use crate::graph::{OperatorKind, TensorId};
use crate::lower::convolution;
use crate::lower::layout::{Layout, image};
use crate::lower::{Lowered, Target};
use crate::schedule::Stored;
use lpu_isa::program::{Band, Layer};
use std::collections::BTreeMap;
use std::ops::Range;

/// A part of the network's input, which no slice holds as a whole.
pub(super) struct Part {
    /// Its rows.
    pub(super) rows: Range<u64>,
    /// Where it stands, as an image of its own.
    pub(super) stored: Stored,
    pub(super) layout: Layout,
}

/// What a segment reads that stands as a whole.
struct Whole {
    operand: Operand,
    /// The last cycle in which it is read, so far.
    last_read: u64,
}

/// What an operator of a segment reads that stands for a band alone: a tensor inside the segment, or a part of the input.
struct Inner {
    stored: Stored,
    layout: Layout,
    /// Its rows.
    rows: Range<u64>,
    /// Operands that it still is.
    left: usize,
    /// The last cycle in which it is read, so far.
    last_read: u64,
}

impl Work<'_> {
    /// Lowers all operators of `segment`.
    pub(super) fn lower_segment(&mut self, segment: &Segment) -> Result<(), CompileError> {
        let configuration = self.lowering.schedule.configuration.clone();
        let graph = self.graph;
        let operators = &graph.operators[segment.first..=segment.last];
        let wrong = |why: &str| CompileError::Unsupported { layer: operators[0].name.clone(), why: why.into() };
        let bands = segment.rows(graph).ok_or_else(|| wrong("a band of its rows is empty"))?;
        let Some(&to) = operators.last().and_then(|operator| operator.outputs.first()) else {
            return Err(wrong("an operator must have an output"));
        };
        let uses =
            |id: TensorId| operators.iter().flat_map(|operator| &operator.inputs).filter(|&&from| from == id).count();
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

        // What the segment reads: parts of the input, and whole images with the padding that their readers want.
        let in_parts = graph.inputs.first().copied().filter(|&id| !self.parts.is_empty() && uses(id) > 0);
        let parts = if in_parts.is_some() { std::mem::take(&mut self.parts) } else { vec![] };
        self.at = Place::Band(segment.first);
        let dense = self.dense;
        let mut wholes: BTreeMap<(usize, usize), Whole> = BTreeMap::new();
        for (position, operator) in operators.iter().enumerate() {
            for (number, &from) in operator.inputs.iter().enumerate() {
                let inside = operators[..position].iter().any(|before| before.outputs.contains(&from));
                if inside || in_parts == Some(from) {
                    continue;
                }
                let Some(stored) = self.vectors[from.0].clone() else { return Err(wrong("an input has no value")) };
                let wanted = operator.kind.padding();
                let operand = match dense.filter(|(reader, _)| *reader == segment.first + position) {
                    Some((_, dense)) => Operand { stored, layout: dense.layout, copied: None },
                    None => {
                        let step = step(segment.first + position, to, self.layers.len(), vec![]);
                        step.operand(&mut self.lowering, number, &stored, wanted, None)?
                    }
                };
                wholes.insert((position, number), Whole { operand, last_read: 0 });
            }
        }

        self.at = Place::Whole(segment.last);
        let (size, channels) = graph.tensor(to).map_or_else(|| image(&[]), |tensor| image(&tensor.shape));
        let full = self.demands.layout(to, size, channels, &configuration);
        let near = wholes.values().next().map(|whole| &whole.operand.stored).or(parts.first().map(|part| &part.stored));
        let Some(near) = near else { return Err(wrong("it reads nothing")) };
        let beside = slices_read_beside(graph, segment.last, to, &self.vectors);
        let last_step = step(segment.last, to, 0, beside);
        let target = Target { layout: full, ..last_step.target(near, size, channels, &configuration) };
        let (mut result, former) = self.lowering.place_image(&target)?;
        // A maximum reads its result, which stands already, beside its input.
        let maximum = operators.last().filter(|operator| is_maximum(&operator.kind));

        let mut done = vec![0u64; operators.len()];
        for (number, rows) in bands.iter().enumerate() {
            let mut inner: BTreeMap<TensorId, Inner> = BTreeMap::new();
            if let Some(id) = in_parts {
                let Some(Part { rows, stored, layout }) = parts.get(number) else {
                    return Err(wrong("a part of its input is missing"));
                };
                let (stored, rows) = (stored.clone(), rows.clone());
                inner.insert(id, Inner { stored, layout: *layout, rows, left: uses(id), last_read: 0 });
            }
            for (position, operator) in operators.iter().enumerate() {
                let index = segment.first + position;
                self.at = Place::Band(index);
                self.lowering.thrift = self.prices[index];
                let Some(&made) = operator.outputs.first() else {
                    return Err(wrong("an operator must have one output"));
                };
                let output_rows = &rows.made[position];
                let mut kind = None;
                let mut operands: Vec<(&Stored, Layout)> = Vec::with_capacity(operator.inputs.len());
                for (number, from) in operator.inputs.iter().enumerate() {
                    let needed = needed(&operator.kind, rows_of(graph, *from), output_rows)
                        .ok_or_else(|| wrong("a band of its rows is empty"))?;
                    operands.push(match (wholes.get(&(position, number)), inner.get(from)) {
                        (Some(Whole { operand, .. }), _) => (&operand.stored, operand.layout.view(&needed.rows)),
                        (None, Some(Inner { stored, layout, rows, .. })) => {
                            let own = needed.rows.start - rows.start..needed.rows.end - rows.start;
                            (stored, layout.view(&own))
                        }
                        (None, None) => return Err(wrong("an input has no value")),
                    });
                    kind.get_or_insert_with(|| banded(&operator.kind, &needed));
                }
                let (Some(kind), Some((near, _))) = (kind, operands.first()) else {
                    return Err(wrong("an operator must have an input"));
                };
                let (size, channels) = graph.tensor(made).map_or_else(|| image(&[]), |tensor| image(&tensor.shape));
                let is_last = position + 1 == operators.len();
                // Where what it will be read beside stands already.
                let others = operators.iter().enumerate().skip(position + 1);
                let others = others.filter(|(_, later)| reads_two(&later.kind) && later.inputs.contains(&made));
                let others =
                    others.flat_map(|(at, later)| later.inputs.iter().enumerate().map(move |other| (at, other)));
                let beside = others.filter(|&(_, (_, &other))| other != made).filter_map(|(at, (number, other))| {
                    let whole = wholes.get(&(at, number)).map(|whole| &whole.operand.stored);
                    whole.or(inner.get(other).map(|inner| &inner.stored)).map(|stored| stored.region.slice)
                });
                let step = step(index, made, self.layers.len(), beside.collect());
                let mut target = step.target(near, size, channels, &configuration);
                if is_last {
                    target = Target { layout: full.view(output_rows), into: Some((result.clone(), former)), ..target };
                } else {
                    target.layout = target.layout.band(output_rows);
                    if maximum.is_some_and(|maximum| maximum.inputs.contains(&made)) {
                        target.slices.retain(|&slice| slice != result.region.slice);
                        target.preferred = target.slices.len();
                    }
                }
                let own = target.layout;
                let lowered = match (dense.filter(|(reader, _)| *reader == index), &kind, operands.first()) {
                    (Some((_, dense)), OperatorKind::Convolution(layer), Some(&(input, layout))) => {
                        let dense = dense.with_layout(layout);
                        convolution::lower_dense(&mut self.lowering, layer, input, &dense, &target)?
                    }
                    _ => step.lower_band(&mut self.lowering, &kind, &operands, &target)?,
                };
                for (number, from) in operator.inputs.iter().enumerate() {
                    if let Some(whole) = wholes.get_mut(&(position, number)) {
                        whole.last_read = whole.last_read.max(lowered.last_read);
                    } else if let Some(inner) = inner.get_mut(from) {
                        inner.last_read = inner.last_read.max(lowered.last_read);
                        inner.left = inner.left.saturating_sub(1);
                        if inner.left == 0 {
                            self.lowering.schedule.release_all(&inner.stored, inner.last_read);
                        }
                    }
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
                    let (stored, rows) = (lowered.result, output_rows.clone());
                    inner.insert(made, Inner { stored, layout: own, rows, left: uses(made), last_read: 0 });
                }
            }
        }
        for ((position, number), Whole { operand, mut last_read }) in wholes {
            if let Some(original) = operand.copied {
                self.lowering.schedule.release(&operand.stored.region, last_read);
                last_read = last_read.max(original);
            }
            self.has_read(&operators[position].inputs[number..=number], last_read);
        }
        self.vectors[to.0] = Some(result);
        if let Some(id) = in_parts {
            // The parts have been given back one by one.
            self.vectors[id.0] = None;
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
