//! How a product over windows is cut into runs of the tiles.
//!
//! A product is cut into rectangles of outputs, *pieces*, each split in a way of its own; a piece is some *parts*: runs that are alike.
//! What a run computes and costs stands in [`window`](super::window).

use super::layout::Layout;
use super::window::{Axis, Product};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::Drain;
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
    /// Has each multiplier of a tile a sum of its own? A row of tiles then makes `dot` rows of results.
    pub(super) separate: bool,
    /// Turns that share words of weights: in each of them other rows of tiles hear the stream that their weights are for, and the
    /// results of all others are left on the drain.
    pub(super) turns: u64,
    /// Where rows or columns do not divide: does the last run compute some outputs again, with the weights of the others? Else the
    /// rest is a smaller run with weights of its own.
    pub(super) overlaps: bool,
}

/// A rectangle of the outputs, and how it is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) row: u64,
    pub(super) rows: u64,
    pub(super) column: u64,
    pub(super) columns: u64,
    pub(super) split: Split,
}

impl Piece {
    pub(super) fn shifted(self, rows: u64, columns: u64) -> Piece {
        Piece { row: self.row + rows, column: self.column + columns, ..self }
    }
}

impl Split {
    /// One block at one position.
    pub(super) const ONE: Split = Split { blocks: 1, rows: 1, columns: 1, separate: false, turns: 1, overlaps: false };

    /// What a run sums up in the tiles.
    pub(super) fn drain(&self) -> Drain {
        if self.separate { Drain::Separate } else { Drain::AllRows }
    }

    /// Rows of results that a row of tiles makes.
    pub(super) fn sums(&self, configuration: &Configuration) -> u64 {
        u64::from(if self.separate { configuration.dot } else { configuration.channels_per_tile() })
    }

    /// Rows of results that a run takes.
    pub(super) fn taken(&self) -> u64 {
        self.blocks * self.rows * self.columns
    }

    /// Rows of results that there are weights for: those of all turns.
    pub(super) fn held(&self) -> u64 {
        self.turns * self.taken()
    }
}

/// Runs that are alike: the same split, at a grid of output positions, in one or several passes over blocks of channels; one turn of
/// them, where several share words of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) split: Split,
    /// Which of the turns it is.
    pub(super) turn: u64,
    /// First block of output channels, and passes; each takes `split.blocks` blocks, [`block_step`](Self::block_step) further on than the
    /// one before.
    pub(super) block: u64,
    pub(super) passes: u64,
    /// Blocks of the input that the first pass reads, and how many further on the next one does, and the next turn.
    pub(super) reads: Range<u64>,
    pub(super) reads_step: u64,
    pub(super) reads_of_turn: u64,
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

    /// The first row of results that a run takes, in the order of the drain.
    pub(super) fn first_row(&self) -> u64 {
        self.turn * self.split.taken()
    }

    /// Blocks of output channels from one pass to the next: those of all turns.
    pub(super) fn block_step(&self) -> u64 {
        self.split.turns * self.split.blocks
    }

    /// First block of output channels of the first turn, and the first block of the input that it reads.
    pub(super) fn first_turn(&self) -> (u64, u64) {
        (self.block - self.turn * self.split.blocks, self.reads.start - self.turn * self.reads_of_turn)
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
fn usable_rows(layout: &Layout, split: &Split, configuration: &Configuration) -> u64 {
    let parts = split.sums(configuration);
    let wide = layout.block_channels.min(layout.channels);
    // Every beat that is written must come from somewhere, even where none of its channels means anything.
    let least = wide.max((layout.block_beats - 1) * u64::from(configuration.dot) + 1);
    let full = |row: u64| {
        let first = row / parts * u64::from(configuration.stream_elements);
        u64::from(configuration.tiles).saturating_sub(first) >= least
    };
    (0..u64::from(configuration.drain_rows(split.drain()))).take_while(|&row| full(row)).count() as u64
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
    let interval = configuration.minimum_interval();
    for piece in pieces {
        let passes = passes(product, &piece.split, layouts)?;
        parts_of(product, piece, &passes, layouts, (configuration, interval), (&mut parts, &mut at))?;
    }
    Some(parts)
}

/// Appends the parts of one piece, from cycle `at` on; `interval` is the least of an instruction, which is not to be computed for each.
pub(super) fn parts_of(
    product: &Product<'_>,
    piece: &Piece,
    passes: &[Passes],
    [input, output]: [&Layout; 2],
    (configuration, interval): (&Configuration, u32),
    (parts, at): (&mut Vec<Part>, &mut u64),
) -> Option<()> {
    let split = piece.split;
    if split.held() > usable_rows(output, &split, configuration) {
        return None;
    }
    // Taps in between would have to be read too.
    let dense = |axis: &Axis, outputs: u64| outputs == 1 || axis.dilation == 1 || axis.taps == 1;
    if !dense(&product.rows, split.rows) || !dense(&product.columns, split.columns) {
        return None;
    }
    let grid = |outputs: u64, size: u64| {
        let (whole, rest) = (outputs / size, outputs % size);
        let all = match split.overlaps && whole > 0 && rest > 0 {
            true => [(0, size, whole), (outputs - size, size, 1)],
            false => [(0, size, whole), (whole * size, rest, 1)],
        };
        all.into_iter().filter(|&(_, size, runs)| size > 0 && runs > 0).collect::<Vec<_>>()
    };
    let pace = u64::from(configuration.requantise_interval);
    let shortest = |split: &Split| u64::from(configuration.drain_cycles(split.drain()).max(interval));
    for Passes { first, number, turns, width, reads, step, of_turn } in passes {
        for &(row, rows, row_runs) in &grid(piece.rows, split.rows) {
            for &(column, columns, column_runs) in &grid(piece.columns, split.columns) {
                let positions = span(&product.rows, rows).checked_mul(span(&product.columns, columns))?;
                let beats = positions.checked_mul((reads.end - reads.start) * block_steps(product, input))?;
                let period = beats.max(shortest(&split));
                for turn in 0..*turns {
                    let further = turn * of_turn;
                    let mut part = Part {
                        split: Split { blocks: *width, rows, columns, turns: *turns, ..split },
                        turn,
                        block: first + turn * width,
                        passes: *number,
                        reads: reads.start + further..reads.end + further,
                        reads_step: *step,
                        reads_of_turn: *of_turn,
                        row: product.rows.from + piece.row + row,
                        column: product.columns.from + piece.column + column,
                        row_runs,
                        column_runs,
                        beats,
                        period,
                        start: *at,
                    };
                    if let Some(last) = parts.last() {
                        // A short product behind a long one must not drain into it, and the requantiser has to be done with rows far
                        // down before it takes one further up.
                        let later = (last.first_row() * pace).saturating_sub(part.first_row() * pace);
                        part.start = part
                            .start
                            .max((last.last_step() + shortest(&last.split) + 1 + later).saturating_sub(beats));
                    }
                    *at = part.start.checked_add(part.runs().checked_mul(period)?)?;
                    parts.push(part);
                }
            }
        }
    }
    Some(())
}

/// The passes of a split over all blocks of output channels: those that read as much at a constant distance are one part. A rest of blocks has
/// fewer turns, or fewer blocks in one turn. `None` where turns have nothing to take turns for.
pub(super) fn passes(product: &Product<'_>, split: &Split, [input, output]: [&Layout; 2]) -> Option<Vec<Passes>> {
    let reads = |first: u64, count: u64| {
        let channels = first * output.block_channels..((first + count) * output.block_channels).min(output.channels);
        let ranges = channels.map(|channel| (product.reads)(channel));
        let all = ranges.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or(0..1);
        all.start / input.block_channels..all.end.div_ceil(input.block_channels)
    };
    let blocks = output.blocks();
    let mut passes: Vec<Passes> = Vec::new();
    let mut block = 0;
    while block < blocks {
        let turns = split.turns.min((blocks - block) / split.blocks).max(1);
        let width = split.blocks.min(blocks - block);
        let own = Passes::one(block, turns, width, &reads)?;
        block += turns * width;
        if !passes.last_mut().is_some_and(|before| before.joins(&own)) {
            passes.push(own);
        }
    }
    Some(passes)
}

/// Passes over blocks of output channels that are alike but for the blocks.
#[derive(Debug)]
pub(super) struct Passes {
    /// The first block.
    first: u64,
    /// How many passes.
    number: u64,
    /// Turns of each, and blocks of a turn.
    turns: u64,
    width: u64,
    /// Blocks of the input that the first turn of the first pass reads, how many further on that of the next pass does, and the next
    /// turn.
    reads: Range<u64>,
    step: u64,
    of_turn: u64,
}

impl Passes {
    /// One pass; `None` where its turns do not read as much at a constant distance, or all the same: then there is nothing to take turns
    /// for.
    fn one(first: u64, turns: u64, width: u64, reads: &impl Fn(u64, u64) -> Range<u64>) -> Option<Passes> {
        let of = |turn: u64| reads(first + turn * width, width);
        let own = of(0);
        let of_turn = if turns > 1 { of(1).start.checked_sub(own.start).filter(|&distance| distance > 0)? } else { 0 };
        let alike = |turn: u64| of(turn) == (own.start + turn * of_turn..own.end + turn * of_turn);
        (1..turns).all(alike).then_some(Passes { first, number: 1, turns, width, reads: own, step: 0, of_turn })
    }

    /// Is `next`, which follows, one more of these? Then it is taken in.
    fn joins(&mut self, next: &Passes) -> bool {
        let alike = self.turns == next.turns
            && self.width == next.width
            && self.of_turn == next.of_turn
            && self.reads.end - self.reads.start == next.reads.end - next.reads.start
            && self.reads.start <= next.reads.start
            && (self.number == 1 || next.reads.start == self.reads.start + self.step * self.number);
        if alike {
            if self.number == 1 {
                self.step = next.reads.start - self.reads.start;
            }
            self.number += 1;
        }
        alike
    }
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
        && (product.alike || (a.first_turn().0, a.passes) == (b.first_turn().0, b.passes))
}

/// Cycles of the tiles.
pub(super) fn cycles(parts: &[Part]) -> u64 {
    parts.last().map_or(0, |last| last.start + last.runs() * last.period)
}
