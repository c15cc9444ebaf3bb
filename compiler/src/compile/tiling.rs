//! Which operators run band by band of rows, because what lies between them is larger than the vector memory has room for.
//!
//! A *segment* is a chain of operators, each the only reader of the one before. It makes its result in bands of rows: for each
//! band, all its operators one after the other, on the rows that the band needs. So the tensors inside the chain exist a band at a
//! time; what the chain reads and what it makes stand as a whole (but the network's input may stand in parts, one for each band).
//! Rows that two bands need are computed twice, with the same weights.
//!
//! Segments are found by trial: where something finds no room, [`Tiling::relieved`] names the ways to make some, the cheapest
//! first.

use crate::graph::{Graph, Operator, OperatorKind, Padding, PoolFunction, TensorId, Window};
use crate::lower::layout::image;
use crate::schedule::Spread;
use std::collections::BTreeSet;
use std::ops::Range;

/// A chain of operators that run band by band.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Segment {
    /// The first operator's place in the graph.
    pub(super) first: usize,
    /// The last one's.
    pub(super) last: usize,
    /// Bands of the last one's result.
    pub(super) bands: u64,
}

/// What found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The network's input, a constant or a state.
    Input,
    /// What an operator needs, by its place in the graph.
    Operator(usize),
    /// The whole result of a segment, whose last operator this is.
    Whole(usize),
    /// What an operator of a segment needs for a band.
    Band(usize),
}

/// How a network is cut so that it finds room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tiling {
    /// The segments; none overlap.
    segments: BTreeSet<Segment>,
    /// Where images go.
    pub(super) spread: Spread,
    /// Tensors that get no copy in another slice, though it would save time.
    single: BTreeSet<usize>,
}

/// The most bands: beyond that, almost all rows are computed twice.
const MOST_BANDS: u64 = 64;

impl Tiling {
    /// The segment whose first operator is number `index`.
    pub(super) fn from(&self, index: usize) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.first == index)
    }

    /// The same with images elsewhere.
    pub(super) fn placed(&self, spread: Spread) -> Tiling {
        Tiling { spread, ..self.clone() }
    }

    /// Are there no segments?
    pub(super) fn is_whole(&self) -> bool {
        self.segments.is_empty()
    }

    /// May tensor `id` have a copy?
    pub(super) fn allows_twin(&self, id: TensorId) -> bool {
        !self.single.contains(&id.0)
    }

    /// The ways to make room where `place` found none while the tensors `twins` had copies.
    pub(super) fn relieved(&self, graph: &Graph, place: Place, twins: &[usize]) -> Vec<Tiling> {
        if self.spread != Spread::Close {
            return vec![self.placed(Spread::Close)];
        }
        let mut ways = Vec::new();
        if twins.iter().any(|id| !self.single.contains(id)) {
            let mut way = self.clone();
            way.single.extend(twins);
            ways.push(Some(way));
        }
        let of = |index: usize| self.segments.iter().find(|segment| (segment.first..=segment.last).contains(&index));
        match place {
            Place::Input => {
                let reads = |operator: &Operator| operator.inputs.iter().any(|id| graph.inputs.contains(id));
                if let Some(reader) = graph.operators.iter().position(reads) {
                    match of(reader) {
                        None => ways.push(self.with(graph, reader, reader, 2)),
                        Some(segment) => {
                            ways.push(self.with(graph, segment.first, segment.last, segment.bands * 2));
                            ways.push(self.with(graph, segment.first, segment.last + 1, segment.bands));
                        }
                    }
                }
            }
            Place::Operator(index) => {
                ways.push(self.with(graph, index, index + 1, 2));
                ways.push(index.checked_sub(1).and_then(|before| self.with(graph, before, index, 2)));
            }
            Place::Whole(index) => {
                if let Some(Segment { first, last, bands }) = of(index).cloned() {
                    ways.push(self.with(graph, first, last + 1, bands));
                    ways.push(first.checked_sub(1).and_then(|before| self.with(graph, before, last, bands)));
                }
            }
            Place::Band(index) => {
                if let Some(Segment { first, last, bands }) = of(index).cloned() {
                    ways.push(self.with(graph, first, last, bands * 2));
                    ways.push(first.checked_sub(1).and_then(|before| self.with(graph, before, last, bands)));
                    ways.push(self.with(graph, first, last + 1, bands));
                }
            }
        }
        ways.into_iter().flatten().collect()
    }

    /// The same with operators `first` to `last` in one segment; `None` where they are no chain of operators that can be.
    fn with(&self, graph: &Graph, first: usize, last: usize, bands: u64) -> Option<Tiling> {
        let mut segment = Segment { first, last, bands };
        let mut way = self.clone();
        way.segments.retain(|other| {
            let apart = other.last < first || other.first > last;
            if !apart {
                segment.first = segment.first.min(other.first);
                segment.last = segment.last.max(other.last);
                segment.bands = segment.bands.max(other.bands);
            }
            apart
        });
        let Segment { first, last, bands } = segment;
        let operators = graph.operators.get(first..=last)?;
        let mut used = vec![0; graph.tensors.len()];
        let kept = graph.outputs.iter().chain(graph.states.iter().flat_map(|state| [&state.tensor, &state.next]));
        for id in graph.operators.iter().flat_map(|operator| &operator.inputs).chain(kept) {
            used[id.0] += 1;
        }
        let chained = operators.windows(2).all(|pair| match (&pair[0].outputs[..], &pair[1].inputs[..]) {
            (&[made], &[read]) => made == read && used[made.0] == 1,
            _ => false,
        });
        let rows = rows_of(graph, *operators.last()?.outputs.first()?);
        let possible = chained && bands <= rows.min(MOST_BANDS) && operators.iter().all(runs_in_bands);
        way.segments.insert(segment.clone());
        (possible && segment.rows(graph).is_some()).then_some(way)
    }
}

impl Segment {
    /// For each band, the rows of what the segment reads, and of the result of each of its operators.
    pub(super) fn rows(&self, graph: &Graph) -> Option<Vec<Vec<Range<u64>>>> {
        let operators = graph.operators.get(self.first..=self.last)?;
        let all = rows_of(graph, *operators.last()?.outputs.first()?);
        let each = all.div_ceil(self.bands);
        let band = |number: u64| {
            let mut rows = Vec::with_capacity(operators.len() + 1);
            rows.push(number * each..((number + 1) * each).min(all));
            for operator in operators.iter().rev() {
                let input = rows_of(graph, *operator.inputs.first()?);
                let needed = needed(&operator.kind, input, rows.last()?)?.rows;
                rows.push(needed);
            }
            rows.reverse();
            Some(rows)
        };
        (0..all.div_ceil(each)).map(band).collect()
    }
}

/// What some rows of an operator's result need.
pub(super) struct Needed {
    /// Rows of the input.
    pub(super) rows: Range<u64>,
    /// Rows of padding above and below them.
    pub(super) above: usize,
    pub(super) below: usize,
}

/// The rows of an input of `size` rows that an operator of `kind` reads for rows `output` of its result.
pub(super) fn needed(kind: &OperatorKind, size: u64, output: &Range<u64>) -> Option<Needed> {
    let Some(window) = window(kind) else { return Some(Needed { rows: output.clone(), above: 0, below: 0 }) };
    let stride = window.stride.rows as i64;
    let first = output.start as i64 * stride - window.padding.top as i64;
    let extent = window.extent()?.rows as i64;
    let end = (output.end as i64 - 1) * stride - window.padding.top as i64 + extent;
    let size = size as i64;
    let rows = first.clamp(0, size)..end.clamp(0, size);
    let (above, below) = ((-first).max(0) as usize, (end - size).max(0) as usize);
    (rows.start < rows.end).then_some(Needed { rows: rows.start as u64..rows.end as u64, above, below })
}

/// `kind` for a band, whose input has so many rows of padding above and below.
pub(super) fn banded(kind: &OperatorKind, needed: &Needed) -> OperatorKind {
    let mut kind = kind.clone();
    let window = match &mut kind {
        OperatorKind::Convolution(layer) => &mut layer.window,
        OperatorKind::DepthwiseConvolution(layer) => &mut layer.window,
        OperatorKind::Pool(pool) => &mut pool.window,
        _ => return kind,
    };
    window.padding = Padding { top: needed.above, bottom: needed.below, ..window.padding };
    kind
}

/// Is it a maximum, which reads its result beside its input?
pub(super) fn is_maximum(kind: &OperatorKind) -> bool {
    matches!(kind, OperatorKind::Pool(pool) if pool.function == PoolFunction::Maximum)
}

fn window(kind: &OperatorKind) -> Option<&Window> {
    match kind {
        OperatorKind::Convolution(layer) => Some(&layer.window),
        OperatorKind::DepthwiseConvolution(layer) => Some(&layer.window),
        OperatorKind::Pool(pool) => Some(&pool.window),
        _ => None,
    }
}

fn runs_in_bands(operator: &Operator) -> bool {
    window(&operator.kind).is_some() || matches!(operator.kind, OperatorKind::Elementwise(_))
}

/// The rows of a tensor as an image.
fn rows_of(graph: &Graph, id: TensorId) -> u64 {
    graph.tensor(id).map_or(1, |tensor| image(&tensor.shape).0.rows as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::graph::{Plane, Pool};

    fn pool(size: usize, stride: usize, top: usize, bottom: usize) -> OperatorKind {
        let plane = |rows| Plane { rows, columns: 1 };
        let padding = Padding { top, bottom, left: 0, right: 0 };
        let window = Window { size: plane(size), stride: plane(stride), dilation: Plane::ONE, padding };
        OperatorKind::Pool(Pool { function: PoolFunction::Average, window, minimum: -128, maximum: 127 })
    }

    #[test]
    fn a_band_needs_the_rows_of_its_windows_and_padding_only_at_the_ends() {
        let kind = pool(3, 1, 1, 1);
        for (output, rows, above, below) in
            [(0..4, 0..5, 1, 0), (4..8, 3..9, 0, 0), (8..10, 7..10, 0, 1), (0..10, 0..10, 1, 1)]
        {
            let needed = needed(&kind, 10, &output).unwrap();
            assert_eq!((needed.rows, needed.above, needed.below), (rows, above, below), "{output:?}");
        }
        let needed = needed(&pool(3, 2, 0, 1), 10, &(3..5)).unwrap();
        assert_eq!((needed.rows, needed.above, needed.below), (6..10, 0, 1));
    }
}
