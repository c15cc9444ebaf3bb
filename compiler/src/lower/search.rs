//! The search for the way to cut a product over windows that takes the fewest cycles: of all splits, and of all ways to cut what they
//! leave over.
//!
//! What counts beside cycles are [`Prices`]: where words of weights or instructions of a queue are short, they are worth cycles.

use super::layout::Layout;
use super::split::{Part, Passes, Piece, Split, cycles, parts_of, passes, words};
use super::window::{Axis, Product, run_reads};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::Drain;
use std::collections::HashMap;
use std::ops::Range;

/// What a way to cut a rectangle costs: cycles, with those that words of weights and further pieces count for; words.
type Cost = (u64, u64);

/// How a rectangle is cut, and at what cost; none where it cannot be.
type Cut = Option<(Cost, Vec<Piece>)>;

/// Cycles that a further piece or turn must save, since it takes an instruction of each queue.
const PIECE: u64 = 12;

/// What counts beside cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prices {
    /// Cycles that a word of weights in each tile counts for.
    pub(super) thrift: u64,
    /// Cycles that an instruction of a read port counts for, where instructions are scarce; else 0.
    pub(super) instruction: u64,
    /// May multipliers have sums of their own, where the machine has them?
    pub(super) separate: bool,
}

impl Prices {
    /// Cycles alone count.
    pub(super) const NONE: Prices = Prices { thrift: 0, instruction: 0, separate: true };

    /// Cycles that the parts of a piece, in so many turns, count for.
    fn of(self, parts: &[Part], turns: u64, reads: impl Fn(&Part) -> u64) -> u64 {
        match self.instruction {
            0 => (parts.len() - parts.len() / turns as usize) as u64 * PIECE,
            instruction => parts.iter().map(reads).sum::<u64>().saturating_mul(instruction),
        }
    }

    /// Cycles that a further piece counts for by itself.
    fn piece(self) -> u64 {
        if self.instruction == 0 { PIECE } else { 0 }
    }
}

/// Instructions of a read port that a part takes: a sequence has so many levels of loops, and what lies outside is unrolled.
fn reads(part: &Part, product: &Product<'_>, input: &Layout, levels: u32) -> u64 {
    let inner = run_reads(part, product, input).into_iter().filter(|&(count, _)| count > 1).count();
    let unrolled = |outer: [u64; 3]| -> u64 {
        outer.into_iter().filter(|&count| count > 1).skip((levels as usize).saturating_sub(inner)).product()
    };
    let Part { column_runs, row_runs, passes, .. } = *part;
    unrolled([column_runs, row_runs, passes]).min(unrolled([column_runs, passes, row_runs]))
}

/// How deep rests are cut again: the rest of a rectangle, and the rest of that.
const DEPTH: u32 = 2;

/// The search for the pieces of fewest cycles.
struct Search<'a> {
    product: &'a Product<'a>,
    layouts: [&'a Layout; 2],
    configuration: &'a Configuration,
    /// Least interval of an instruction.
    interval: u32,
    prices: Prices,
    /// Can multipliers have sums of their own?
    separable: bool,
    /// The passes of a number of blocks and turns.
    passes: HashMap<(u64, u64), Option<Vec<Passes>>>,
    /// Rows, columns and depth of rectangles that have been looked at.
    known: HashMap<(u64, u64, u32), Cut>,
}

impl Search<'_> {
    /// All splits of so many rows and columns. What a sum of each tile holds needs none of each multiplier.
    fn splits(&self, rows: u64, columns: u64) -> Vec<Split> {
        let mut splits = Vec::new();
        let of_tiles = u64::from(self.configuration.drain_rows(Drain::FullRows));
        for separate in [false, true].into_iter().filter(|separate| !separate || self.separable) {
            let one = Split { separate, ..Split::ONE };
            let most = u64::from(self.configuration.drain_rows(one.drain()));
            for blocks in 1..=most.min(self.layouts[1].blocks()) {
                for down in 1..=(most / blocks).min(rows) {
                    for across in 1..=(most / blocks / down).min(columns) {
                        let split = Split { blocks, rows: down, columns: across, ..one };
                        splits.extend(self.turns(split).filter(|split| !separate || split.held() > of_tiles));
                    }
                }
            }
        }
        splits
    }

    /// The splits whose runs compute so much: by the turns that they share words of weights in. These save words alone, so they are
    /// looked at where words cost something.
    fn turns(&self, split: Split) -> impl Iterator<Item = Split> + use<> {
        let rows = u64::from(self.configuration.drain_rows(split.drain())) / split.taken();
        let most = rows.min(self.layouts[1].blocks() / split.blocks);
        let most = if self.prices.thrift > 0 && !self.product.alike { most.max(1) } else { 1 };
        (1..=most).map(move |turns| Split { turns, ..split })
    }

    /// The cost of one piece.
    fn cost(&mut self, piece: &Piece) -> Option<Cost> {
        let split = &piece.split;
        let known = self.passes.entry((split.blocks, split.turns));
        let passes = known.or_insert_with(|| passes(self.product, split, self.layouts)).as_ref()?;
        let (mut parts, mut at) = (Vec::new(), 0);
        parts_of(
            self.product,
            piece,
            passes,
            self.layouts,
            (self.configuration, self.interval),
            (&mut parts, &mut at),
        )?;
        let words = words(self.product, &parts, self.layouts[0]);
        let levels = self.configuration.sequence_levels;
        let reads = |part: &Part| reads(part, self.product, self.layouts[0], levels);
        let more = self.prices.of(&parts, piece.split.turns, reads);
        Some((cycles(&parts).saturating_add(words.saturating_mul(self.prices.thrift)).saturating_add(more), words))
    }

    /// The best way to cut a rectangle of so many rows and columns.
    fn best(&mut self, rows: u64, columns: u64, depth: u32) -> Cut {
        if let Some(known) = self.known.get(&(rows, columns, depth)) {
            return known.clone();
        }
        let mut best: Cut = None;
        let whole = Piece { row: 0, rows, column: 0, columns, split: Split::ONE };
        for split in self.splits(rows, columns) {
            let divides = rows.is_multiple_of(split.rows) && columns.is_multiple_of(split.columns);
            for overlaps in [false, true].into_iter().filter(|overlaps| !(divides && *overlaps)) {
                let piece = Piece { split: Split { overlaps, ..split }, ..whole };
                if let Some(cost) = self.cost(&piece).filter(|cost| is_less(cost, &best)) {
                    best = Some((cost, vec![piece]));
                }
            }
            if let Some(better) = self.with_rests((rows, columns), split, depth, &best) {
                best = Some(better);
            }
        }
        self.known.insert((rows, columns, depth), best.clone());
        best
    }

    /// As many whole runs as a rectangle holds; the rest below and that beside each cut as is best for it, and the corner with either.
    /// `None` where that is no better than `least`.
    fn with_rests(&mut self, (rows, columns): (u64, u64), split: Split, depth: u32, least: &Cut) -> Cut {
        let (below, beside) = (rows % split.rows, columns % split.columns);
        if depth == 0 || (below, beside) == (0, 0) {
            return None;
        }
        let (inner_rows, inner_columns) = (rows - below, columns - beside);
        let main = Piece { row: 0, rows: inner_rows, column: 0, columns: inner_columns, split };
        let own = self.cost(&main).filter(|own| is_less(own, least))?;
        let mut best: Cut = None;
        for (below_columns, beside_rows) in [(columns, inner_rows), (inner_columns, rows)] {
            let rests = [(below, below_columns, inner_rows, 0), (beside_rows, beside, 0, inner_columns)];
            let (mut cost, mut pieces) = (own, vec![main]);
            let mut possible = true;
            for (rows, columns, down, right) in rests {
                if rows == 0 || columns == 0 {
                    continue;
                }
                match self.best(rows, columns, depth - 1) {
                    Some((more, others)) => {
                        cost = (cost.0.saturating_add(more.0).saturating_add(self.prices.piece()), cost.1 + more.1);
                        pieces.extend(others.into_iter().map(|piece| piece.shifted(down, right)));
                    }
                    None => possible = false,
                }
            }
            if possible && is_less(&cost, least) && is_less(&cost, &best) {
                best = Some((cost, pieces));
            }
        }
        best
    }
}

/// Is that less than what has been found so far?
fn is_less(cost: &Cost, least: &Cut) -> bool {
    least.as_ref().is_none_or(|(least, _)| cost < least)
}

/// All that the pieces of a product on one machine depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    axes: [Axis; 2],
    reads: Vec<Range<u64>>,
    alike: bool,
    streams: bool,
    layouts: [Layout; 2],
    prices: Prices,
}

impl Question {
    pub(super) fn of(product: &Product<'_>, [input, output]: [&Layout; 2], prices: Prices) -> Question {
        let axes = [product.rows, product.columns];
        let reads = (0..output.channels).map(product.reads).collect();
        let Product { alike, streams, .. } = *product;
        Question { axes, reads, alike, streams, layouts: [*input, *output], prices }
    }
}

/// The pieces of fewest cycles, with what else counts as some of them; of equal ones those of fewest weights. `None` where no row of tiles is wide enough.
pub(super) fn best(
    product: &Product<'_>,
    layouts: [&Layout; 2],
    configuration: &Configuration,
    prices: Prices,
) -> Option<Vec<Piece>> {
    let (rows, columns) = (product.rows.outputs, product.columns.outputs);
    let separable = prices.separate && configuration.separate_sums && reads_its_own(product, layouts);
    let mut search = Search {
        product,
        layouts,
        configuration,
        interval: configuration.minimum_interval(),
        prices,
        separable,
        passes: HashMap::new(),
        known: HashMap::new(),
    };
    search.best(rows, columns, DEPTH).map(|(_, pieces)| pieces)
}

/// Does each output channel read the input channel of its own number, which stands at the place that it gets itself?
fn reads_its_own(product: &Product<'_>, [input, output]: [&Layout; 2]) -> bool {
    (input.channels, input.block_channels) == (output.channels, output.block_channels)
        && (0..output.channels).all(|channel| (product.reads)(channel) == (channel..channel + 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::graph::{Padding, Plane};
    use crate::lower::split::parts;
    use lpu_isa::program::Scale;

    fn reads_own_channel(channel: u64) -> Range<u64> {
        channel..channel + 1
    }

    fn reads_all(_: u64) -> Range<u64> {
        0..128
    }

    fn weight(_: u64, _: (u64, u64), _: u64) -> i8 {
        1
    }

    fn scale(_: u64) -> Scale {
        Scale::default()
    }

    /// Cycles, words of weights and rows of tiles that take turns: a convolution with 3 × 3 taps, 6 × 6 outputs and 128 channels.
    fn best_with(
        reads: &dyn Fn(u64) -> Range<u64>,
        streams: bool,
        thrift: u64,
        configuration: &Configuration,
    ) -> (u64, u64, u64) {
        let axis = Axis { taps: 3, first: -1, stride: 1, dilation: 1, from: 0, outputs: 6 };
        let product = Product {
            rows: axis,
            columns: axis,
            reads,
            weight: &weight,
            alike: false,
            streams,
            columns_at: (0, 1),
            scale: &scale,
            zero_point: 0,
            minimum: -128,
            maximum: 127,
        };
        let one = Padding { top: 1, bottom: 1, left: 1, right: 1 };
        let size = Plane { rows: 6, columns: 6 };
        let layouts = [one, Padding::default()].map(|padding| Layout::new(size, 128, (padding, 0), configuration));
        let layouts = [&layouts[0], &layouts[1]];
        let prices = Prices { thrift, ..Prices::NONE };
        let pieces = best(&product, layouts, configuration, prices).unwrap();
        let parts = parts(&product, &pieces, layouts, configuration).unwrap();
        let turns = parts.iter().map(|part| part.split.turns).max().unwrap();
        (cycles(&parts), words(&product, &parts, layouts[0]), turns)
    }

    /// The dearer a word, the more rows of tiles share it in turns: 16 blocks of 9 taps in four rows of tiles take 9 words for four blocks.
    #[test]
    fn depthwise_convolutions_take_turns_where_words_of_weights_are_dear() {
        let machine = Configuration { tiles: 32, ..Configuration::default() };
        let prices = [0, 1, 8, 1 << 20];
        let found = prices.map(|thrift| best_with(&reads_own_channel, true, thrift, &machine));
        for (price, (cycles, words, turns)) in prices.iter().zip(&found) {
            println!("a word costs {price:7}: {cycles} cycles, {words} words, {turns} turns");
        }
        assert_eq!(found[0].2, 1);
        assert_eq!(found[3].1, 16 / 4 * 9);
        assert_eq!(found[3].2, 4);
        // Each run is its 9 steps; the requantiser waits for the drain where turn 0 follows turn 3.
        assert_eq!(found[3].0, 36 * 16 * 9);
        for pair in found.windows(2) {
            assert!(pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1, "{found:?}");
        }
        // Both beats of a block in one stream: twice the words and steps.
        let alone = best_with(&reads_own_channel, false, 1 << 20, &machine);
        assert_eq!(alone, (36 * 16 * 18, 16 / 4 * 18, 4));
        // Without turns a word is of use to one row of tiles.
        let one_row = Configuration { tiles: 8, ..machine };
        assert_eq!(best_with(&reads_own_channel, true, 1 << 20, &one_row).1, 16 * 9);
    }

    /// Four rows of tiles with a sum of each multiplier hold 16 positions: a run of 3 × 5 of the 6 × 6 reads 5 × 7 beats for 15 of them.
    #[test]
    fn depthwise_convolutions_read_each_beat_once_for_sixteen_positions_with_separate_sums() {
        let machine = Configuration { tiles: 32, ..Configuration::default() };
        let separate = Configuration { separate_sums: true, ..machine.clone() };
        let [alone, all] = [&machine, &separate].map(|machine| best_with(&reads_own_channel, true, 0, machine));
        // 3 × 3 runs of 2 × 2 positions in 4 × 4 beats. With 16 rows of results: two runs of 3 × 3 and 3 × 3 beside each other make 5 × 8.
        assert_eq!(alone.0, 16 * 9 * 16);
        assert!(all.0 < alone.0 * 2 / 3 && all.0 >= 16 * 36 * 2, "{all:?}");
        // What reads all channels has no use for them.
        let [alone, all] = [&machine, &separate].map(|machine| best_with(&reads_all, false, 0, machine));
        assert_eq!(alone, all);
    }

    #[test]
    fn what_reads_all_channels_takes_no_turns() {
        let machine = Configuration { tiles: 32, ..Configuration::default() };
        let (_, words, turns) = best_with(&reads_all, false, 1 << 20, &machine);
        assert_eq!((words, turns), (16 / 4 * 9 * 32, 1));
    }
}
