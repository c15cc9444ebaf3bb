//! The schedule under construction: which instruction issues at which cycle, and when each beat of a vector is ready.

use crate::error::{CompileError, Resource};
use crate::lower::layout::Layout;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Drain, Instruction, Operation, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use lpu_isa::program::{Placed, Queue, Region};
use std::collections::BTreeMap;

/// A vector in the vector memory.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where it stands.
    pub region: Region,
    /// For each beat, the first cycle in which a read step may take it.
    pub ready: Vec<u64>,
    /// How it stands there, if as an image; else as the region's positions say.
    pub layout: Option<Layout>,
    /// Slice and first beat of a second copy, of the same form and ready at the same cycles, if there is one: two streams at once.
    pub twin: Option<(u32, u32)>,
}

impl Stored {
    /// Notes when the beats at some addresses can be read.
    pub fn land(&mut self, landed: &[(u32, u64)]) {
        for &(address, cycle) in landed {
            let beat = address.checked_sub(self.region.base).and_then(|beat| self.ready.get_mut(beat as usize));
            if let Some(ready) = beat {
                *ready = cycle;
            }
        }
    }

    /// The rows of `view`, which is a view of this image, as an image of their own with no padding above and below.
    #[must_use]
    pub fn rows(&self, view: &Layout) -> (Stored, Layout) {
        let layout = view.alone();
        let (first, beats) = ((view.top * view.row_pitch()) as usize, layout.beats() as usize);
        let region = Region {
            tensor: self.region.tensor.clone(),
            slice: self.region.slice,
            base: self.region.base + first as u32,
            beats: beats as u32,
            positions: layout.positions(),
        };
        let ready = self.ready.get(first..first + beats).map_or_else(Vec::new, <[u64]>::to_vec);
        (Stored { region, ready, layout: Some(layout), twin: None }, layout)
    }

    /// Notes when rows of it, which [`rows`](Self::rows) has given, can be read.
    pub fn note_rows(&mut self, rows: &Stored) {
        let first = (rows.region.base - self.region.base) as usize;
        if let Some(ready) = self.ready.get_mut(first..first + rows.ready.len()) {
            ready.copy_from_slice(&rows.ready);
        }
    }
}

/// An instruction that is to be placed: its first step lies `offset` cycles behind a common origin.
#[derive(Clone, Copy, Debug)]
pub struct Draft {
    /// The unit.
    pub unit: Unit,
    /// Cycles from the origin to the first step; may be negative.
    pub offset: i64,
    /// What it does.
    pub operation: Operation,
}

#[derive(Clone, Copy, Debug)]
struct Timed {
    issue: u64,
    operation: Operation,
    layer: Option<u32>,
}

/// Instructions with their issue cycles, and the occupation of the vector memory over time.
#[derive(Debug)]
pub struct Schedule {
    /// The machine.
    pub configuration: Configuration,
    /// Its latencies.
    pub latency: Latency,
    queues: BTreeMap<Unit, Vec<Timed>>,
    /// For each beat of each slice: is it in use?
    used: Vec<Vec<bool>>,
    /// For each beat of each slice: the last cycle in which a former owner is read.
    last_read: Vec<Vec<u64>>,
    /// Cycle in which the last write of a drain left the tiles; the next result must keep clear of it.
    last_drain: Option<(u64, Drain)>,
    end: u64,
    /// Where images go.
    pub spread: Spread,
    /// What an instruction is worth, in cycles, where instructions are scarce; else 0. Products are then cut with that in mind, images go
    /// where the queue of the read port is shorter, and loops are nested and paddings filled with fewer instructions, whatever it costs in
    /// cycles.
    pub instruction_price: u64,
}

/// Where an image goes of the places that have room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Spread {
    /// Where nothing has been read for longest, in the slice that is wanted first.
    #[default]
    Early,
    /// The same in the emptiest slice.
    Emptiest,
    /// To the lowest addresses, which leaves the most room.
    Close,
}

impl Schedule {
    /// An empty schedule.
    pub fn new(configuration: &Configuration) -> Schedule {
        let beats = configuration.vector_beats() as usize;
        let slices = configuration.vector_slices as usize;
        Schedule {
            configuration: configuration.clone(),
            latency: Latency::of(configuration),
            queues: BTreeMap::new(),
            used: vec![vec![false; beats]; slices],
            last_read: vec![vec![0; beats]; slices],
            last_drain: None,
            end: 0,
            spread: Spread::Close,
            instruction_price: 0,
        }
    }

    /// The first cycle in which the next instruction of `unit` may issue.
    pub fn free_from(&self, unit: Unit) -> u64 {
        self.queues.get(&unit).and_then(|queue| queue.last()).map_or(0, |last| {
            // The requantiser is at work on a word for longer than its step.
            let more = match last.operation {
                Operation::Requantise { .. } => self.configuration.requantise_interval - 1,
                // Nothing may overtake its last word.
                Operation::Softmax { .. } => {
                    self.latency.softmax.map_or(0, |softmax| softmax.word - self.latency.vector_unit)
                }
                _ => 0,
            };
            let busy = last.operation.duration() + u64::from(more);
            last.issue + busy.max(self.minimum_interval())
        })
    }

    /// Instructions placed in the queue of `unit` so far.
    pub fn instructions(&self, unit: Unit) -> usize {
        self.queues.get(&unit).map_or(0, Vec::len)
    }

    fn minimum_interval(&self) -> u64 {
        u64::from(self.configuration.minimum_interval())
    }

    /// The smallest origin, at least `origin`, at which every draft finds its unit free.
    pub fn earliest(&self, origin: u64, drafts: &[Draft]) -> u64 {
        let mut origin = origin as i64;
        loop {
            let mut next = origin;
            for draft in drafts {
                let issue = origin + draft.offset - i64::from(ISSUE_TO_STEP);
                let mut lowest = self.free_from(draft.unit) as i64;
                // The wait in front of a queue's first instruction is an instruction itself, with the least interval.
                if lowest == 0 && issue > 0 {
                    lowest = self.minimum_interval() as i64;
                }
                next = next.max(origin + (lowest - issue).max(0));
            }
            if next == origin {
                return origin as u64;
            }
            origin = next;
        }
    }

    /// Places the drafts at `origin`, which [`earliest`](Self::earliest) has found.
    pub fn place(&mut self, origin: u64, drafts: &[Draft], layer: Option<u32>) {
        for draft in drafts {
            let issue = (origin as i64 + draft.offset - i64::from(ISSUE_TO_STEP)) as u64;
            self.queues.entry(draft.unit).or_default().push(Timed { issue, operation: draft.operation, layer });
        }
    }

    /// Are instructions scarce?
    pub fn is_sparing(&self) -> bool {
        self.instruction_price > 0
    }

    /// The first cycle for the last step of a product such that its drain follows the drain before it.
    pub fn drain_free_from(&self) -> u64 {
        self.last_drain.map_or(0, |(last, drain)| last + u64::from(self.configuration.drain_cycles(drain)))
    }

    /// Notes the last step of the last product placed, and what of it drains.
    pub fn note_drain(&mut self, last_step: u64, drain: Drain) {
        self.last_drain = Some((last_step, drain));
    }

    /// Notes that the program must not end before `cycle`.
    pub fn note_end(&mut self, cycle: u64) {
        self.end = self.end.max(cycle);
    }

    /// Finds room for `beats` beats in one slice, starting the search at slice `first`. Returns slice, base and the last
    /// cycle in which former content is still read.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`] with the shortfall.
    pub fn allocate(
        &mut self,
        model: &str,
        layer: &str,
        beats: u32,
        first: u32,
    ) -> Result<(u32, u32, u64), CompileError> {
        let slices = self.configuration.vector_slices;
        let order: Vec<u32> = (0..slices).map(|k| (first + k) % slices).collect();
        self.allocate_in(model, layer, beats, &order)
    }

    /// Finds room for `beats` beats in one of the slices `order`, the first of them that has it. Returns slice, base and the
    /// last cycle in which former content is still read.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`] with the shortfall.
    pub fn allocate_in(
        &mut self,
        model: &str,
        layer: &str,
        beats: u32,
        order: &[u32],
    ) -> Result<(u32, u32, u64), CompileError> {
        let mut longest_free = 0;
        for &slice in order {
            let used = &mut self.used[slice as usize];
            let mut start = 0;
            for beat in 0..used.len() {
                if used[beat] {
                    start = beat + 1;
                } else if beat + 1 - start == beats as usize {
                    used[start..=beat].fill(true);
                    let last = self.last_read[slice as usize][start..=beat].iter().max().copied().unwrap_or(0);
                    return Ok((slice, start as u32, last));
                }
                longest_free = longest_free.max(beat as u64 + 1 - start as u64);
            }
        }
        let configuration = &self.configuration;
        let missing_beats = u64::from(beats) - longest_free.min(u64::from(beats));
        let mut larger = configuration.clone();
        larger.vector_depth += missing_beats.div_ceil(u64::from(configuration.beats_per_word())) as u32;
        let block_rams = u64::from(lpu_isa::resources::vector_block_rams(&larger))
            - u64::from(lpu_isa::resources::vector_block_rams(configuration));
        Err(CompileError::DoesNotFit {
            model: model.into(),
            layer: layer.into(),
            resource: Resource::VectorMemory,
            needed: u64::from(beats),
            available: longest_free,
            what: "consecutive beats of vector memory",
            shortfall: format!(" free in one slice: {block_rams} block RAMs short"),
            block_rams,
        })
    }

    /// Like [`allocate_in`](Self::allocate_in), for what is written before its slices' last contents have been read: takes the place that
    /// [`spread`](Self::spread) says. Slices behind the first `preferred` ones are taken only where those have no room.
    ///
    /// # Errors
    /// As there.
    pub fn allocate_early(
        &mut self,
        model: &str,
        layer: &str,
        beats: u32,
        order: &[u32],
        preferred: usize,
    ) -> Result<(u32, u32, u64), CompileError> {
        let places = order.iter().enumerate().filter_map(|(number, &slice)| {
            let (start, last) = self.earliest_place(slice, beats as usize)?;
            let taken = self.used[slice as usize].iter().filter(|&&used| used).count();
            let cost = match self.spread {
                Spread::Emptiest => (usize::from(number >= preferred), last, taken),
                _ => (number, 0, 0),
            };
            Some(((cost, last), slice, start))
        });
        let best = places.min_by_key(|&((cost, _), ..)| cost);
        match best.filter(|_| self.spread != Spread::Close && beats > 0) {
            Some(((_, last), slice, start)) => {
                self.used[slice as usize][start..start + beats as usize].fill(true);
                Ok((slice, start as u32, last))
            }
            None => self.allocate_in(model, layer, beats, order),
        }
    }

    /// The place of `beats` free beats of a slice whose former content is read last the earliest, the lowest of equals.
    fn earliest_place(&self, slice: u32, beats: usize) -> Option<(usize, u64)> {
        let (used, last_read) = (&self.used[slice as usize], &self.last_read[slice as usize]);
        let mut best: Option<(usize, u64)> = None;
        let mut start = 0;
        while start + beats <= used.len() {
            if let Some(taken) = used[start..start + beats].iter().rposition(|&used| used) {
                start += taken + 1;
                continue;
            }
            let last = last_read[start..start + beats].iter().max().copied().unwrap_or(0);
            if best.is_none_or(|(_, least)| last < least) {
                best = Some((start, last));
            }
            // Nothing changes before the next border between two former contents.
            let here = last_read[start];
            start += last_read[start..].iter().position(|&other| other != here).unwrap_or(used.len());
        }
        best
    }

    /// Gives a vector back with its copy, if it has one; `last_read` is the last cycle in which a read step takes from it.
    pub fn release_all(&mut self, stored: &Stored, last_read: u64) {
        self.release(&stored.region, last_read);
        if let Some((slice, base)) = stored.twin {
            self.release(&Region { slice, base, ..stored.region.clone() }, last_read);
        }
    }

    /// Gives a region back; `last_read` is the last cycle in which a read step takes from it.
    pub fn release(&mut self, region: &Region, last_read: u64) {
        let range = region.base as usize..(region.base + region.beats) as usize;
        self.used[region.slice as usize][range.clone()].fill(false);
        for cycle in &mut self.last_read[region.slice as usize][range] {
            *cycle = (*cycle).max(last_read);
        }
    }

    /// Turns the schedule into queues that end in `halt`, and the cycle count of the program.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`] where a queue overflows.
    pub fn finish(&self, model: &str, layer_names: &[String]) -> Result<(Vec<Queue>, u64), CompileError> {
        let configuration = &self.configuration;
        let units = Unit::all(configuration);
        let mut halts: Vec<u64> = units.iter().map(|&unit| self.free_from(unit)).collect();
        // The last queue to halt does so in the last cycle before everything has landed.
        let latest = halts.iter().copied().max().unwrap_or(0);
        let wanted = self.end.saturating_sub(1).max(latest);
        if latest < wanted {
            let last = (0..units.len()).max_by_key(|&index| halts[index]).unwrap_or(0);
            halts[last] = wanted;
            // Something must stand in front of a later `halt`, and takes the least interval.
            if halts[last] < self.minimum_interval() && self.queues.get(&units[last]).is_none_or(Vec::is_empty) {
                halts[last] = self.minimum_interval();
            }
        }
        let cycles = halts.iter().copied().max().unwrap_or(0) + 1;
        let shortest = self.minimum_interval();
        let mut queues = Vec::new();
        for (unit, halt) in units.into_iter().zip(halts) {
            let mut timed = self.queues.get(&unit).cloned().unwrap_or_default();
            timed.push(Timed { issue: halt, operation: Operation::Halt, layer: None });
            let mut instructions = Vec::new();
            if timed[0].issue > 0 {
                push(&mut instructions, Operation::Nop, None, timed[0].issue, configuration);
            }
            for (index, entry) in timed.iter().enumerate() {
                let next = timed.get(index + 1).map_or(entry.issue + shortest, |next| next.issue);
                push(&mut instructions, entry.operation, entry.layer, next - entry.issue, configuration);
            }
            if instructions.len() > configuration.queue_depth as usize {
                let overflow = &instructions[configuration.queue_depth as usize];
                let layer = overflow.layer.and_then(|layer| layer_names.get(layer as usize)).cloned();
                return Err(CompileError::DoesNotFit {
                    model: model.into(),
                    layer: layer.unwrap_or_else(|| "end of the program".into()),
                    resource: Resource::Queue,
                    needed: instructions.len() as u64,
                    available: u64::from(configuration.queue_depth),
                    what: "instructions in one queue",
                    shortfall: String::new(),
                    block_rams: 0,
                });
            }
            queues.push(Queue { unit, instructions });
        }
        Ok((queues, cycles))
    }
}

/// Appends an instruction; intervals that do not fit the field continue in instructions that do nothing.
pub(crate) fn push(
    instructions: &mut Vec<Placed>,
    operation: Operation,
    layer: Option<u32>,
    interval: u64,
    configuration: &Configuration,
) {
    let (shortest, longest) =
        (u64::from(configuration.minimum_interval()), u64::from(configuration.longest_interval()));
    let mut operation = operation;
    let mut left = interval;
    loop {
        // What remains for the following instruction must not be shorter than the least interval.
        let part = if left > longest { longest - shortest } else { left };
        let instruction = Instruction { interval: part as u32, operation };
        instructions.push(Placed { instruction, layer });
        left -= part;
        if left == 0 {
            return;
        }
        operation = Operation::Nop;
    }
}
