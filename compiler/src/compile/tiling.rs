//! Which operators run band by band of rows, because what lies between them is larger than the vector memory has room for.
//!
//! A *segment* is a range of operators of whose tensors only the last one's result is read outside. It makes that in bands of rows:
//! for each band, all its operators one after the other, on the rows that the band needs. So the tensors inside exist a band at a
//! time; what the segment reads and what it makes stand as a whole (but the network's input may stand in parts, one for each band).
//! Rows that two bands need are computed twice, with the same weights. Where several operators read a tensor, as both sides of a
//! residual sum do, a band of it has the rows that any of them needs.
//!
//! Segments are found by trial: where something finds no room, [`Tiling::relieved`] names the ways to make some, the cheapest
//! first.

use crate::graph::{Graph, Operator, OperatorKind, Padding, PoolFunction, TensorId, Window};
use crate::lower::layout::image;
use crate::schedule::Spread;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Operators that run band by band.
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
    /// Which of [`INSTRUCTION_PRICES`] an instruction has.
    sparing: usize,
}

/// What an instruction is worth, in cycles, until all fit.
const INSTRUCTION_PRICES: [u64; 6] = [0, 12, 50, 200, 800, 3200];

/// The most bands: beyond that, almost all rows are computed twice.
const MOST_BANDS: u64 = 64;

impl Tiling {
    /// The segment that operator number `index` is in.
    pub(super) fn around(&self, index: usize) -> Option<&Segment> {
        self.segments.iter().find(|segment| (segment.first..=segment.last).contains(&index))
    }

    /// The segment whose first operator is number `index`.
    pub(super) fn from(&self, index: usize) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.first == index)
    }

    /// The same with images elsewhere.
    pub(super) fn placed(&self, spread: Spread) -> Tiling {
        Tiling { spread, ..self.clone() }
    }

    /// What an instruction is worth, in cycles; 0 where there are enough.
    pub(super) fn instruction_price(&self) -> u64 {
        INSTRUCTION_PRICES[self.sparing]
    }

    /// The same with fewer instructions, if there is a way.
    pub(super) fn with_fewer_instructions(&self) -> Option<Tiling> {
        let sparing = self.sparing + 1;
        (sparing < INSTRUCTION_PRICES.len()).then(|| Tiling { sparing, ..self.clone() })
    }

    /// How much runs in bands: operators times bands.
    pub(super) fn work(&self) -> u64 {
        let of = |segment: &Segment| (segment.last + 1 - segment.first) as u64 * segment.bands;
        self.segments.iter().map(of).sum()
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
        let of = |index: usize| self.around(index);
        match place {
            Place::Input => {
                let reads = |operator: &Operator| operator.inputs.iter().any(|id| graph.inputs.contains(id));
                let readers = (graph.operators.iter().position(reads), graph.operators.iter().rposition(reads));
                if let (Some(first), Some(last)) = readers {
                    match of(first).filter(|segment| segment.last >= last) {
                        None => ways.push(self.with(graph, first, last, 2)),
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

    /// The same with operators `first` to `last` in one segment, and with those that read what these make; `None` where they are none that
    /// can run band by band.
    fn with(&self, graph: &Graph, first: usize, last: usize, bands: u64) -> Option<Tiling> {
        let mut segment = Segment { first, last, bands };
        let mut way = self.clone();
        loop {
            way.segments.retain(|other| {
                let apart = other.last < segment.first || other.first > segment.last;
                if !apart {
                    segment.first = segment.first.min(other.first);
                    segment.last = segment.last.max(other.last);
                    segment.bands = segment.bands.max(other.bands);
                }
                apart
            });
            let last = segment.last_reader(graph)?;
            if last == segment.last {
                break;
            }
            segment.last = last;
        }
        let operators = graph.operators.get(segment.first..=segment.last)?;
        let rows = rows_of(graph, *operators.last()?.outputs.first()?);
        let possible =
            segment.bands <= rows.min(MOST_BANDS) && operators.iter().all(|operator| runs_in_bands(graph, operator));
        let possible = possible && segment.rows(graph).is_some();
        way.segments.insert(segment);
        possible.then_some(way)
    }
}

/// The rows that a band makes and reads.
pub(super) struct Rows {
    /// Of the result of each operator of the segment.
    pub(super) made: Vec<Range<u64>>,
    /// Of the tensors that the segment reads and does not make.
    pub(super) read: BTreeMap<TensorId, Range<u64>>,
}

impl Segment {
    /// The last operator that reads what the segment makes but for its result; `None` where something is not read, or by others than
    /// operators.
    fn last_reader(&self, graph: &Graph) -> Option<usize> {
        let kept = |made: TensorId| {
            graph.outputs.contains(&made) || graph.states.iter().any(|state| state.tensor == made || state.next == made)
        };
        let mut last = self.last;
        for operator in graph.operators.get(self.first..self.last)? {
            let &[made] = &operator.outputs[..] else { return None };
            let reader = graph.operators.iter().rposition(|reader| reader.inputs.contains(&made));
            last = last.max(reader.filter(|_| !kept(made))?);
        }
        Some(last)
    }

    /// For each band, the rows of what the segment reads, and of the result of each of its operators.
    pub(super) fn rows(&self, graph: &Graph) -> Option<Vec<Rows>> {
        let operators = graph.operators.get(self.first..=self.last)?;
        let to = *operators.last()?.outputs.first()?;
        let all = rows_of(graph, to);
        let each = all.div_ceil(self.bands);
        let band = |number: u64| {
            let mut wanted = BTreeMap::from([(to, number * each..((number + 1) * each).min(all))]);
            let mut made = Vec::with_capacity(operators.len());
            for operator in operators.iter().rev() {
                let output = wanted.remove(operator.outputs.first()?)?;
                for &input in &operator.inputs {
                    let Range { start, end } = needed(&operator.kind, rows_of(graph, input), &output)?.rows;
                    let both = |known: &mut Range<u64>| *known = known.start.min(start)..known.end.max(end);
                    wanted.entry(input).and_modify(both).or_insert(start..end);
                }
                made.push(output);
            }
            made.reverse();
            Some(Rows { made, read: wanted })
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

/// Does an operator make rows of its result of rows of its inputs?
fn runs_in_bands(graph: &Graph, operator: &Operator) -> bool {
    let shape = |id: &TensorId| graph.tensor(*id).map(|tensor| &tensor.shape[..]);
    match &operator.kind {
        // No axis of an operand is repeated, and none is another one of the result.
        OperatorKind::Elementwise(_) | OperatorKind::Logistic(_) | OperatorKind::Add(_) | OperatorKind::Multiply(_) => {
            operator.outputs.iter().all(|to| operator.inputs.iter().all(|from| shape(from) == shape(to)))
        }
        // Columns or channels come together: the last two axes.
        OperatorKind::Concatenation(concatenation) => {
            operator.inputs.first().and_then(shape).is_some_and(|shape| concatenation.axis + 2 >= shape.len())
        }
        kind => window(kind).is_some(),
    }
}

/// The rows of a tensor as an image.
pub(super) fn rows_of(graph: &Graph, id: TensorId) -> u64 {
    graph.tensor(id).map_or(1, |tensor| image(&tensor.shape).0.rows as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::graph::{Concatenation, Element, Plane, Pool, Quantisation, Tensor};

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

    /// Of an image of 8 rows: a pool over three rows, another one of its result, both results in one image.
    fn residual() -> Graph {
        let tensor = |name: &str, channels: usize| Tensor {
            name: name.into(),
            shape: vec![1, 8, 4, channels],
            quantisation: Quantisation { scale: 0.1, zero_point: 0 },
            element: Element::Int8,
        };
        let operator = |name: &str, kind, inputs: &[usize], output| Operator {
            name: name.into(),
            kind,
            inputs: inputs.iter().map(|&id| TensorId(id)).collect(),
            outputs: vec![TensorId(output)],
        };
        let both = OperatorKind::Concatenation(Concatenation { axis: 3 });
        Graph {
            name: "net".into(),
            tensors: vec![tensor("x", 2), tensor("a", 2), tensor("b", 2), tensor("y", 4)],
            operators: vec![
                operator("a", pool(3, 1, 1, 1), &[0], 1),
                operator("b", pool(3, 1, 1, 1), &[1], 2),
                operator("y", both, &[1, 2], 3),
            ],
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(3)],
            constants: vec![],
            states: vec![],
        }
    }

    #[test]
    fn a_segment_takes_in_all_that_reads_what_it_makes_and_a_band_the_rows_that_any_of_it_needs() {
        let graph = residual();
        // The first pool's result is read by the last operator too.
        let tiling = Tiling::default().with(&graph, 0, 1, 2).unwrap();
        let segment = tiling.from(0).unwrap();
        assert_eq!((segment.first, segment.last), (0, 2));
        let rows = segment.rows(&graph).unwrap();
        assert_eq!((&rows[0].made[..], &rows[1].made[..]), (&[0..5, 0..4, 0..4][..], &[3..8, 4..8, 4..8][..]));
        assert_eq!((&rows[0].read[&TensorId(0)], &rows[1].read[&TensorId(0)]), (&(0..6), &(2..8)));
        // Where it stands whole, the operators behind it are a segment of their own.
        let tiling = Tiling::default().with(&graph, 1, 2, 2).unwrap();
        assert_eq!(tiling.from(1).map(|segment| segment.last), Some(2));
        // What is kept must stand whole.
        let kept = Graph { outputs: vec![TensorId(1)], ..graph };
        assert_eq!(Tiling::default().with(&kept, 0, 1, 2), None);
    }
}
