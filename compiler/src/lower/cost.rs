//! What a layer takes that is alone in its network: the formulas of the lowerings, and the latencies around them.
//!
//! A formula counts *steps*: cycles in which the unit that works on the layer, tiles, requantiser or vector unit, presents an address, and
//! those between the first and the last of them. The rest is the way of the first word to the unit and of the last one back, the same
//! for all layers of a kind:
//!
//! ```text
//! cycles = vector_read + steps + behind + max(write_to_read, m - last)
//!
//! vector_read    from the first read, in cycle 1, to the unit's first step
//! behind         from the unit's last step to the write of the last word:
//!                    vector unit    vector_unit
//!                    requantiser    requantise
//!                    tiles          step_to_drain + requantise_interval × (rows of the last run - 1) + requantise
//! write_to_read  until that word can be read, by the host too
//! m - last       a queue takes m = minimum_interval cycles from its last instruction to the end, of which that of the write
//!                has taken `last` when it presents its last address
//! ```
//!
//! The names are those of [`Latency`]. A machine whose queues take longer than `vector_read` for an instruction begins `m` cycles later:
//! a queue that does not begin at once waits for an instruction to pass. Layers behind each other overlap as far as the later one does
//! not need the last words of the one before; what a whole network takes, the schedule says.
//!
//! `cargo test -p lpu-tests --test lowerings` compares these formulas with the compiler's prediction, the cycle model and the RTL.

use super::layout::Layout;
use super::search::{Prices, best};
use super::split::parts;
use super::window::{Axis, Product};
use lpu_isa::configuration::Configuration;
use lpu_isa::latency::Latency;
use lpu_isa::program::Scale;

/// The cycles of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// From the first to the last step of the unit that works on it, both counted.
    pub steps: u64,
    /// From that unit's last step to the write of the last word.
    pub behind: u64,
    /// From the first to the last write of the last instruction that writes.
    pub last: u64,
}

impl Cost {
    /// Cycles of a network of this layer alone.
    #[must_use]
    pub fn cycles(&self, configuration: &Configuration) -> u64 {
        let latency = Latency::of(configuration);
        let interval = u64::from(configuration.minimum_interval());
        let read = u64::from(latency.vector_read);
        let begin = if read < interval { interval } else { 0 };
        let end = u64::from(latency.write_to_read).max(interval.saturating_sub(self.last));
        begin + read + self.steps + self.behind + end
    }
}

/// A unit through which words pass one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streaming {
    Vector,
    Requantiser,
}

impl Streaming {
    /// Cycles for a word.
    pub(super) fn pace(self, configuration: &Configuration) -> u64 {
        match self {
            Streaming::Vector => 1,
            Streaming::Requantiser => configuration.requantise_interval.into(),
        }
    }

    /// Cycles from a step to the word on the unit's port.
    pub(super) fn latency(self, configuration: &Configuration) -> u64 {
        let latency = Latency::of(configuration);
        match self {
            Streaming::Vector => latency.vector_unit.into(),
            Streaming::Requantiser => latency.requantise.into(),
        }
    }

    /// Cycles from the read of a word to the first read of what the unit has made of it.
    pub(super) fn round_trip(self, configuration: &Configuration) -> u64 {
        let latency = Latency::of(configuration);
        u64::from(latency.vector_read) + self.latency(configuration) + u64::from(latency.write_to_read)
    }

    /// Cycles that a stream of `words` words keeps the unit from the next one.
    pub(super) fn busy(self, words: u64, configuration: &Configuration) -> u64 {
        (words * self.pace(configuration)).max(configuration.minimum_interval().into())
    }

    /// Cycles from the beginning of a stream of `words` words to that of one that passes them on through `next`: the first of them must be
    /// there, the last one too, and the read ports that both need free again.
    pub(super) fn passes_on_to(self, next: Streaming, words: u64, configuration: &Configuration) -> u64 {
        let between = words.saturating_sub(1);
        let (own, others) = (self.pace(configuration), next.pace(configuration));
        let there = self.round_trip(configuration) + between * own.saturating_sub(others);
        let read = (between * own + 1).max(configuration.minimum_interval().into());
        there.max(read)
    }

    /// The cost of words that pass through it, the first of them `waits` cycles behind the layer's first step.
    pub(super) fn cost(self, words: u64, waits: u64, configuration: &Configuration) -> Cost {
        let last = words.saturating_sub(1) * self.pace(configuration);
        Cost { steps: waits + last + 1, behind: self.latency(configuration), last }
    }
}

/// Words of an image of so many lines (rows of one block of channels) of so many beats.
#[must_use]
pub fn words(lines: u64, beats: u64, configuration: &Configuration) -> u64 {
    lines * beats.div_ceil(configuration.beats_per_word().into())
}

/// Products of the tiles, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Products {
    /// Beats of the first run.
    pub(super) first_beats: u64,
    /// From the first to the last step.
    pub(super) steps: u64,
    /// Beats of the last run, and rows of results.
    pub(super) last_beats: u64,
    pub(super) rows: u64,
    /// Cycles of the last run's drain.
    pub(super) drain: u64,
    /// Is the last run an instruction of its own?
    pub(super) single: bool,
}

impl Products {
    /// Those of `product` in its best split; `None` where no row of tiles is wide enough.
    pub(super) fn of(
        product: &Product<'_>,
        input: &Layout,
        output: &Layout,
        configuration: &Configuration,
    ) -> Option<Products> {
        let pieces = best(product, [input, output], configuration, Prices::NONE)?;
        let parts = parts(product, &pieces, [input, output], configuration)?;
        let (first, last) = (parts.first()?, parts.last()?);
        Some(Products {
            first_beats: first.beats,
            steps: last.last_step() + 1,
            last_beats: last.beats,
            rows: last.split.taken(),
            drain: configuration.drain_cycles(last.split.drain()).into(),
            single: last.runs() == 1,
        })
    }

    /// These, and `next` behind them: at once, but where its runs are so short that their results would come before all rows of the last
    /// one have left the tiles, or an instruction of one run so short that its queues are not ready for the next.
    pub(super) fn then(self, next: Products, configuration: &Configuration) -> Products {
        let mut start = self.steps + self.drain.saturating_sub(next.first_beats);
        if self.single {
            let shortest = u64::from(configuration.minimum_interval());
            let last = self.last_beats.min(next.first_beats);
            start = start.max((self.steps + shortest).saturating_sub(last));
        }
        Products { first_beats: self.first_beats, steps: start + next.steps, ..next }
    }

    /// What they cost.
    pub(super) fn cost(self, configuration: &Configuration) -> Cost {
        let latency = Latency::of(configuration);
        let drained = (self.rows - 1) * u64::from(configuration.requantise_interval);
        let behind = u64::from(latency.step_to_drain) + drained + u64::from(latency.requantise);
        // What has more than one run takes at least the least interval for each.
        let last = if self.single { drained } else { drained + u64::from(configuration.minimum_interval()) };
        Cost { steps: self.steps, behind, last }
    }
}

impl Product<'static> {
    /// One output; nobody asks for its weights and scales.
    pub(super) const UNWEIGHTED: Product<'static> = Product {
        rows: Axis { taps: 1, first: 0, stride: 1, dilation: 1, from: 0, outputs: 1 },
        columns: Axis { taps: 1, first: 0, stride: 1, dilation: 1, from: 0, outputs: 1 },
        reads: &|_| 0..1,
        weight: &|_, _, _| 0,
        alike: false,
        streams: false,
        columns_at: (0, 1),
        scale: &|_| Scale { multiplier: 0, shift: 0, bias: 0 },
        zero_point: 0,
        minimum: -128,
        maximum: 127,
    };
}
