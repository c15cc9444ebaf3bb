//! What stands where in the machine: words on ports, beats in slices, rows in drain chains. No values, only whether they mean
//! something.

use super::cause::Cause;
use lpu_isa::instruction::Drain;
use std::collections::VecDeque;

/// The beats of a word that mean nothing, ascending, each with the reason. A flawless word has none.
pub(super) type Flaws = Vec<(u32, Cause)>;

/// A source port of the crossbar: the words on their way to it, and the one that is there.
#[derive(Default)]
pub(super) struct Port {
    words: VecDeque<Driven>,
    /// Words that have passed without a listener.
    unheard: u64,
}

struct Driven {
    cycle: u64,
    flaws: Flaws,
    heard: bool,
}

impl Port {
    /// Puts a word on the port at `cycle`. `now` is the current cycle.
    pub(super) fn drive(&mut self, now: u64, cycle: u64, flaws: Flaws) {
        self.retire(now);
        let place = self.words.partition_point(|word| word.cycle < cycle);
        self.words.insert(place, Driven { cycle, flaws, heard: false });
    }

    /// When the last of the words on their way comes, if any is.
    pub(super) fn last(&self) -> Option<u64> {
        self.words.back().map(|word| word.cycle)
    }

    /// The word on the port at `cycle`, the current one.
    pub(super) fn listen(&mut self, cycle: u64) -> Option<&Flaws> {
        self.retire(cycle);
        let word = self.words.front_mut().filter(|word| word.cycle == cycle)?;
        word.heard = true;
        Some(&word.flaws)
    }

    fn retire(&mut self, now: u64) {
        while let Some(word) = self.words.pop_front_if(|word| word.cycle < now) {
            self.unheard += u64::from(!word.heard);
        }
    }

    /// Words that nobody listened to, now that the run is over.
    pub(super) fn unheard(&mut self) -> u64 {
        self.retire(u64::MAX);
        self.unheard
    }
}

/// A vector memory slice.
pub(super) struct Slice {
    number: u32,
    /// For each beat, the first cycle whose read step takes what was written last.
    landed: Vec<u64>,
    /// Why what was written last means nothing.
    causes: Vec<Option<Cause>>,
    write_to_read: u64,
}

/// Landing cycle of a beat that nobody has written.
const NEVER: u64 = u64::MAX;

impl Slice {
    pub(super) fn new(number: u32, beats: u32, write_to_read: u32) -> Slice {
        let (landed, causes) = (vec![NEVER; beats as usize], vec![None; beats as usize]);
        Slice { number, landed, causes, write_to_read: u64::from(write_to_read) }
    }

    /// The host writes before the run.
    pub(super) fn preset(&mut self, base: u32, beats: u32) {
        self.landed[base as usize..(base + beats) as usize].fill(0);
    }

    /// A write step at `cycle`, which certainly or only perhaps goes to `beat`, of something that perhaps means nothing. False where
    /// the slice has no such beat.
    pub(super) fn write(&mut self, cycle: u64, beat: u32, certain: bool, cause: Option<Cause>) -> bool {
        let (landed, beat) = (cycle + self.write_to_read, beat as usize);
        let (Some(last), Some(why)) = (self.landed.get_mut(beat), self.causes.get_mut(beat)) else { return false };
        if certain || *last != NEVER {
            *last = landed;
            *why = cause.or(why.filter(|_| !certain));
        }
        true
    }

    /// Why what was written last at `beat` means nothing.
    pub(super) fn cause(&self, beat: u32) -> Option<Cause> {
        self.causes.get(beat as usize).copied().flatten()
    }

    /// A read step at `cycle` of the word of `beats` beats at `base`. All write steps of the same cycle come first.
    pub(super) fn read(&self, cycle: u64, base: u32, beats: u32) -> Flaws {
        let slice = self.number;
        (0..beats)
            .filter_map(|offset| {
                let beat = base + offset;
                let cause = match self.landed.get(beat as usize) {
                    None => Cause::BeyondSlice { slice, beat, read: cycle },
                    Some(&NEVER) => Cause::NeverWritten { slice, beat, read: cycle },
                    Some(&landed) if cycle < landed => {
                        Cause::NotLanded { slice, beat, read: cycle, write: landed - self.write_to_read, landed }
                    }
                    Some(_) => self.cause(beat)?,
                };
                Some((offset, cause))
            })
            .collect()
    }

    /// Beats of `base..base + beats` that have not landed at `cycle`.
    pub(super) fn missing(&self, cycle: u64, base: u32, beats: u32) -> Vec<u32> {
        (base..base + beats).filter(|&beat| self.landed[beat as usize] > cycle).collect()
    }
}

/// The drain chains of a tile group.
#[derive(Default)]
pub(super) struct Chain {
    results: VecDeque<Draining>,
    /// Rows that hold tiles of the group; the chain takes the cycles of all rows.
    rows: u32,
    /// Cycles from one row to the next.
    pace: u32,
    /// The last product that has entered.
    last: Option<Entered>,
    /// When fetched words pass the end of the chain, in the requantiser's steps.
    fetches: VecDeque<u64>,
    untaken: u64,
}

/// A product whose results go down a chain.
#[derive(Clone, Copy)]
pub(super) struct Entered {
    /// Its last step.
    pub(super) cycle: u64,
    /// Number of its instruction.
    pub(super) instruction: usize,
    /// Cycles for which the chain is taken.
    pub(super) cycles: u32,
}

/// A result that leaves a chain.
struct Draining {
    /// Cycle for whose step the requantiser takes row 0.
    start: u64,
    /// Rows that hold tiles of the group and are drained.
    rows: u32,
    drain: Drain,
    taken: u32,
}

impl Chain {
    pub(super) fn new(rows: u32, pace: u32) -> Chain {
        Chain { rows, pace, ..Chain::default() }
    }

    /// A product whose row 0 comes out at `start`, followed by others up to `rows` in all. Returns the product before.
    pub(super) fn enter(&mut self, product: Entered, start: u64, rows: u32, drain: Drain) -> Option<Entered> {
        self.retire(product.cycle);
        // Whole rows of tiles hold tiles of every group.
        let rows = if drain == Drain::Separate { rows } else { rows.min(self.rows) };
        self.results.push_back(Draining { start, rows, drain, taken: 0 });
        self.last.replace(product)
    }

    /// A fetched word that passes the end of the chain at `cycle`; results leave it for `cycles` cycles. Does it meet one?
    pub(super) fn fetch(&mut self, cycle: u64, cycles: u64) -> bool {
        self.fetches.push_back(cycle);
        self.results.iter().any(|result| (result.start..result.start + cycles).contains(&cycle))
    }

    /// When a result that leaves the chain from `start` on, for `cycles` cycles, meets a fetched word.
    pub(super) fn meets_fetch(&mut self, start: u64, cycles: u64) -> Option<u64> {
        while self.fetches.pop_front_if(|&mut cycle| cycle < start).is_some() {}
        self.fetches.front().copied().filter(|&cycle| cycle < start + cycles)
    }

    /// The row that the chain delivers at `cycle`, the current one, if any, and of what drain. It is taken.
    pub(super) fn take(&mut self, cycle: u64) -> Option<(u32, Drain)> {
        self.retire(cycle);
        let pace = u64::from(self.pace);
        let result = self.results.front_mut()?;
        let since = cycle.checked_sub(result.start)?;
        let row = (since / pace) as u32;
        if !since.is_multiple_of(pace) || row >= result.rows {
            return None;
        }
        result.taken += 1;
        Some((row, result.drain))
    }

    fn retire(&mut self, now: u64) {
        let pace = u64::from(self.pace);
        let is_over = |result: &mut Draining| result.start.saturating_add(u64::from(result.rows) * pace) <= now;
        while let Some(result) = self.results.pop_front_if(is_over) {
            self.untaken += u64::from(result.rows - result.taken);
        }
    }

    /// Rows that nobody took, now that the run is over.
    pub(super) fn untaken(&mut self) -> u64 {
        self.retire(u64::MAX);
        self.untaken
    }
}
