//! How a product over windows is cut into runs of the tiles: the search for the fewest cycles.
//!
//! A product is cut into rectangles of outputs, *pieces*, each split in a way of its own; a piece is some *parts*: runs that are alike.
//! What a run computes and costs stands in [`window`](super::window).

use super::layout::Layout;
use super::window::{Axis, Product};
use lpu_isa::configuration::Configuration;
use std::collections::HashMap;
use std::ops::Range;

/// What a run of the tiles computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// Blocks of channels.
    pub(super) blocks: u64,
    /// Output rows.
    pub(super) rows: u64,
    /// Output columns.
    pub(super) columns: u64,
    /// Where rows or columns do not divide: does the last run compute some outputs again, with the weights of the others? Else the
    /// rest is a smaller run with weights of its own.
    pub(super) overlaps: bool,
}

/// A rectangle of the outputs, and how it is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    row: u64,
    rows: u64,
    column: u64,
    columns: u64,
    split: Split,
}

impl Piece {
    fn shifted(self, rows: u64, columns: u64) -> Piece {
        Piece { row: self.row + rows, column: self.column + columns, ..self }
    }
}

/// Runs that are alike: the same split, at a grid of output positions, in one or several passes over blocks of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) split: Split,
    /// First block of output channels, and passes; each takes the next `split.blocks` blocks.
    pub(super) block: u64,
    pub(super) passes: u64,
    /// Blocks of the input that the first pass reads, and how many further on the next one does.
    pub(super) reads: Range<u64>,
    pub(super) reads_step: u64,
    /// First output row and column, and runs along both.
    pub(super) row: u64,
    pub(super) column: u64,
    pub(super) row_runs: u64,
    pub(super) column_runs: u64,
    /// Beats of a run.
    pub(super) beats: u64,
    /// Cycles from one run to the next.
    pub(super) period: u64,
    /// Cycles from the layer's first step to its own.
    pub(super) start: u64,
}

impl Part {
    pub(super) fn runs(&self) -> u64 {
        self.passes * self.row_runs * self.column_runs
    }

    /// The last step of its last product, counted from the layer's first step.
    pub(super) fn last_step(&self) -> u64 {
        self.start + (self.runs() - 1) * self.period + self.beats - 1
    }

    /// Passes whose weights differ.
    pub(super) fn weight_passes(&self, product: &Product<'_>) -> u64 {
        if product.alike { 1 } else { self.passes }
    }

    /// Words of a pass: those of the steps, or, where all taps of a window are alike and a run has one position, those of one tap.
    pub(super) fn weight_steps(&self, product: &Product<'_>, input: &Layout) -> u64 {
        match self.taps_alike(product) {
            true => (self.reads.end - self.reads.start) * block_steps(product, input),
            false => self.beats,
        }
    }

    pub(super) fn taps_alike(&self, product: &Product<'_>) -> bool {
        product.alike && self.split.rows == 1 && self.split.columns == 1
    }

    /// Words of weights in each tile.
    pub(super) fn words(&self, product: &Product<'_>, input: &Layout) -> u64 {
        self.weight_passes(product) * self.weight_steps(product, input)
    }
}

/// Steps that a block of one position takes.
pub(super) fn block_steps(product: &Product<'_>, input: &Layout) -> u64 {
    if product.streams { 1 } else { input.block_beats }
}

/// Input rows or columns that `outputs` neighbouring outputs read.
pub(super) fn span(axis: &Axis, outputs: u64) -> u64 {
    if outputs == 1 { axis.taps } else { (outputs - 1) * axis.stride + axis.taps }
}

/// Rows of results that are as wide as a block, in the order of the drain.
fn usable_rows(layout: &Layout, configuration: &Configuration) -> u64 {
    let parts = u64::from(configuration.channels_per_tile());
    let wide = layout.block_channels.min(layout.channels);
    // Every beat that is written must come from somewhere, even where none of its channels means anything.
    let least = wide.max((layout.block_beats - 1) * u64::from(configuration.dot) + 1);
    let full = |row: u64| {
        let first = row / parts * u64::from(configuration.stream_elements);
        u64::from(configuration.tiles).saturating_sub(first) >= least
    };
    (0..u64::from(configuration.rows())).take_while(|&row| full(row)).count() as u64
}

/// The parts of a product that is cut into `pieces`; `None` where the rows of tiles do not suffice.
pub(super) fn parts(
    product: &Product<'_>,
    pieces: &[Piece],
    layouts: [&Layout; 2],
    configuration: &Configuration,
) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    for piece in pieces {
        parts_of(product, piece, layouts, configuration, (&mut parts, &mut at))?;
    }
    Some(parts)
}

/// Appends the parts of one piece, from cycle `at` on.
fn parts_of(
    product: &Product<'_>,
    piece: &Piece,
    [input, output]: [&Layout; 2],
    configuration: &Configuration,
    (parts, at): (&mut Vec<Part>, &mut u64),
) -> Option<()> {
    let split = piece.split;
    let channels = output.channels;
    let rows_of_tiles = usable_rows(output, configuration);
    if split.blocks * split.rows * split.columns > rows_of_tiles {
        return None;
    }
    // Taps in between would have to be read too.
    let dense = |axis: &Axis, outputs: u64| outputs == 1 || axis.dilation == 1 || axis.taps == 1;
    if !dense(&product.rows, split.rows) || !dense(&product.columns, split.columns) {
        return None;
    }
    let blocks = output.blocks();
    let reads = |first: u64, count: u64| {
        let channels = first * output.block_channels..((first + count) * output.block_channels).min(channels);
        let ranges = channels.map(|channel| (product.reads)(channel));
        let all = ranges.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or(0..1);
        all.start / input.block_channels..all.end.div_ceil(input.block_channels)
    };
    // Passes that read as much at a constant distance are one part.
    let mut passes: Vec<(u64, u64, u64, Range<u64>, u64)> = Vec::new();
    let mut block = 0;
    while block < blocks {
        let count = split.blocks.min(blocks - block);
        let range = reads(block, count);
        match passes.last_mut() {
            Some((_, number, width, begin, step))
                if *width == count
                    && range.end - range.start == begin.end - begin.start
                    && range.start >= begin.start
                    && (*number == 1 || range.start == begin.start + *step * *number) =>
            {
                if *number == 1 {
                    *step = range.start - begin.start;
                }
                *number += 1;
            }
            _ => passes.push((block, 1, count, range, 0)),
        }
        block += count;
    }
    let grid = |outputs: u64, size: u64| {
        let (whole, rest) = (outputs / size, outputs % size);
        let all = match split.overlaps && whole > 0 && rest > 0 {
            true => [(0, size, whole), (outputs - size, size, 1)],
            false => [(0, size, whole), (whole * size, rest, 1)],
        };
        all.into_iter().filter(|&(_, size, runs)| size > 0 && runs > 0).collect::<Vec<_>>()
    };
    let drain = u64::from(configuration.drain_cycles());
    let shortest = drain.max(configuration.minimum_interval().into());
    for &(block, passes, blocks, ref reads, reads_step) in &passes {
        for &(row, rows, row_runs) in &grid(piece.rows, split.rows) {
            for &(column, columns, column_runs) in &grid(piece.columns, split.columns) {
                let positions = span(&product.rows, rows).checked_mul(span(&product.columns, columns))?;
                let beats = positions.checked_mul((reads.end - reads.start) * block_steps(product, input))?;
                let period = beats.max(shortest);
                // A short product behind a long one must not drain into it.
                let start = parts
                    .last()
                    .map_or(*at, |last: &Part| (*at).max((last.last_step() + shortest + 1).saturating_sub(beats)));
                let part = Part {
                    split: Split { blocks, rows, columns, ..split },
                    block,
                    passes,
                    reads: reads.clone(),
                    reads_step,
                    row: product.rows.from + piece.row + row,
                    column: product.columns.from + piece.column + column,
                    row_runs,
                    column_runs,
                    beats,
                    period,
                    start,
                };
                *at = start.checked_add(part.runs().checked_mul(period)?)?;
                parts.push(part);
            }
        }
    }
    Some(())
}

/// What a way to cut a rectangle costs: cycles, with those that words of weights and further pieces count for; words.
type Cost = (u64, u64);

/// How a rectangle is cut, and at what cost; none where it cannot be.
type Cut = Option<(Cost, Vec<Piece>)>;

/// Cycles that a further piece must save: it takes an instruction of each queue.
const PIECE: u64 = 12;

/// How deep rests are cut again: the rest of a rectangle, and the rest of that.
const DEPTH: u32 = 2;

/// The search for the pieces of fewest cycles.
struct Search<'a> {
    product: &'a Product<'a>,
    layouts: [&'a Layout; 2],
    configuration: &'a Configuration,
    /// Cycles that a word of weights in each tile counts for.
    thrift: u64,
    /// Rows, columns and depth of rectangles that have been looked at.
    known: HashMap<(u64, u64, u32), Cut>,
}

impl Search<'_> {
    /// The cost of one piece.
    fn cost(&self, piece: &Piece) -> Option<Cost> {
        let parts = parts(self.product, std::slice::from_ref(piece), self.layouts, self.configuration)?;
        let words = words(self.product, &parts, self.layouts[0]);
        Some((cycles(&parts).saturating_add(words.saturating_mul(self.thrift)), words))
    }

    /// The best way to cut a rectangle of so many rows and columns.
    fn best(&mut self, rows: u64, columns: u64, depth: u32) -> Cut {
        if let Some(known) = self.known.get(&(rows, columns, depth)) {
            return known.clone();
        }
        let most = u64::from(self.configuration.rows());
        let mut best: Cut = None;
        let mut offer = |cost: Cost, pieces: Vec<Piece>| {
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, pieces));
            }
        };
        let whole = Piece { row: 0, rows, column: 0, columns, split: Split::ONE };
        for blocks in 1..=most.min(self.layouts[1].blocks()) {
            for down in 1..=most.min(rows) {
                for across in 1..=most.min(columns) {
                    if blocks * down * across > most {
                        break;
                    }
                    let split = Split { blocks, rows: down, columns: across, overlaps: false };
                    for overlaps in [false, true] {
                        let piece = Piece { split: Split { overlaps, ..split }, ..whole };
                        if let Some(cost) = self.cost(&piece) {
                            offer(cost, vec![piece]);
                        }
                    }
                    let (below, beside) = (rows % down, columns % across);
                    if depth == 0 || (below, beside) == (0, 0) {
                        continue;
                    }
                    // The rest below and that beside, each cut as is best for it; the corner belongs to either.
                    let (inner_rows, inner_columns) = (rows - below, columns - beside);
                    let main = Piece { rows: inner_rows, columns: inner_columns, split, ..whole };
                    let Some(own) = self.cost(&main) else { continue };
                    for (below_columns, beside_rows) in [(columns, inner_rows), (inner_columns, rows)] {
                        let rests = [
                            (below, below_columns, inner_rows, 0),
                            (beside_rows, if beside == 0 { 0 } else { beside }, 0, inner_columns),
                        ];
                        let (mut cost, mut pieces) = (own, vec![main]);
                        let mut possible = true;
                        for (rows, columns, down, right) in rests {
                            if rows == 0 || columns == 0 {
                                continue;
                            }
                            match self.best(rows, columns, depth - 1) {
                                Some((more, others)) => {
                                    cost = (cost.0.saturating_add(more.0).saturating_add(PIECE), cost.1 + more.1);
                                    pieces.extend(others.into_iter().map(|piece| piece.shifted(down, right)));
                                }
                                None => possible = false,
                            }
                        }
                        if possible {
                            offer(cost, pieces);
                        }
                    }
                }
            }
        }
        self.known.insert((rows, columns, depth), best.clone());
        best
    }
}

impl Split {
    /// One block at one position.
    const ONE: Split = Split { blocks: 1, rows: 1, columns: 1, overlaps: false };
}

/// The pieces of fewest cycles, where a word of weights in each tile counts as `thrift` of them; of equal ones those of fewest
/// weights. `None` where no row of tiles is wide enough.
pub(super) fn best(
    product: &Product<'_>,
    layouts: [&Layout; 2],
    configuration: &Configuration,
    thrift: u64,
) -> Option<Vec<Piece>> {
    let (rows, columns) = (product.rows.outputs, product.columns.outputs);
    let mut search = Search { product, layouts, configuration, thrift, known: HashMap::new() };
    search.best(rows, columns, DEPTH).map(|(_, pieces)| pieces)
}

/// Words of weights that the parts take in each tile.
pub(super) fn words(product: &Product<'_>, parts: &[Part], input: &Layout) -> u64 {
    let first = |index: &usize| !parts[..*index].iter().any(|before| same_weights(product, before, &parts[*index]));
    (0..parts.len()).filter(first).map(|index| parts[index].words(product, input)).sum()
}

/// Do two parts of a product take the same weights?
pub(super) fn same_weights(product: &Product<'_>, a: &Part, b: &Part) -> bool {
    a.split == b.split
        && a.reads.end - a.reads.start == b.reads.end - b.reads.start
        && (product.alike || (a.block, a.passes) == (b.block, b.passes))
}

/// Cycles of the tiles.
pub(super) fn cycles(parts: &[Part]) -> u64 {
    parts.last().map_or(0, |last| last.start + last.runs() * last.period)
}
