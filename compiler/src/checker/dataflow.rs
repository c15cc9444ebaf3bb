//! The walk through all steps of all units, in time order.

use super::cause::Cause;
use super::scalars::Scalars;
use super::softmax::Passes;
use super::state::{Chain, Entered, Flaws, Port, Slice};
use super::stores::Stores;
use super::timeline::{Stepping, Timeline};
use super::violation::{Place, Violation, Violations};
use super::{Activity, Remark, ScheduleReport};
use lpu_isa::configuration::{Configuration, LOOKUP_ENTRIES};
use lpu_isa::instruction::{Drain, Operation, RequantiseFrom, Source, Unit};
use lpu_isa::latency::Latency;
use lpu_isa::program::{Program, Region};
use lpu_isa::sequence::{Step, Steps};

/// The machine during the walk.
pub(super) struct Dataflow<'a> {
    pub(super) program: &'a Program,
    pub(super) configuration: &'a Configuration,
    pub(super) latency: Latency,
    timeline: &'a Timeline<'a>,
    /// One for each queue.
    cursors: Vec<Cursor<'a>>,
    /// Cycles of the run.
    pub(super) end: u64,
    /// Source ports of the crossbar.
    ports: Vec<Port>,
    slices: Vec<Slice>,
    /// One for each tile group.
    pub(super) chains: Vec<Chain>,
    /// For each tile group, the tile with the fewest weight words, and how many.
    pub(super) loaded: Vec<(u32, u32)>,
    /// The requantiser's last step.
    requantised: Option<u64>,
    /// The row that the softmax is at work on.
    pub(super) passes: Passes,
    /// Weights that the run itself writes.
    pub(super) stores: Stores,
    /// For each weight address, whether a store of the run may go there.
    pub(super) stored: Vec<bool>,
    /// The vector unit's scalars.
    pub(super) scalars: Scalars,
    /// The tile groups that fetch weights in the present cycle.
    pub(super) fetching: Vec<(u32, Now<'a>)>,
}

/// Where a queue stands.
struct Cursor<'a> {
    unit: Unit,
    /// Those not yet begun, the next one first.
    waiting: std::slice::Iter<'a, Stepping<'a>>,
    current: Option<(&'a Stepping<'a>, Steps)>,
    /// The next step and its cycle.
    next: Option<(u64, Step)>,
    /// Steps taken.
    steps: u64,
    /// Number of the next step in its run.
    run_step: u32,
}

impl<'a> Cursor<'a> {
    fn new(unit: Unit, queue: &'a [Stepping<'a>]) -> Cursor<'a> {
        let mut cursor = Cursor { unit, waiting: queue.iter(), current: None, next: None, steps: 0, run_step: 0 };
        cursor.advance();
        cursor
    }

    fn advance(&mut self) {
        loop {
            if let Some((stepping, steps)) = &mut self.current {
                let next = steps.next().map(|step| (stepping.start + u64::from(step.offset), step));
                self.next = next.filter(|&(cycle, _)| cycle < stepping.cutoff);
                if let Some((_, step)) = self.next {
                    self.run_step = if step.first { 0 } else { self.run_step + 1 };
                    return;
                }
            }
            self.next = None;
            let Some(stepping) = self.waiting.next() else { return };
            self.current = stepping.operation.sequence().map(|sequence| (stepping, sequence.steps()));
        }
    }
}

/// One step of one unit.
pub(super) struct Now<'a> {
    pub(super) cycle: u64,
    pub(super) queue: usize,
    pub(super) stepping: &'a Stepping<'a>,
    pub(super) step: Step,
    /// Number of the step in its run.
    pub(super) run_step: u32,
    /// Is it the last of its instruction?
    pub(super) finished: bool,
}

impl Now<'_> {
    /// The addresses that the step may present: one for each value of the sequence's register.
    pub(super) fn addresses(&self) -> impl Iterator<Item = i64> {
        self.stepping.offsets.iter().map(|&offset| self.step.address + i64::from(offset))
    }
}

impl<'a> Dataflow<'a> {
    /// The machine before the first cycle, with the input in place.
    pub(super) fn new(program: &'a Program, timeline: &'a Timeline<'a>, latency: &Latency) -> Dataflow<'a> {
        let configuration = &program.configuration;
        let latency = latency.clone();
        let queues = program.queues.iter().zip(&timeline.queues);
        let mut slices: Vec<Slice> = (0..configuration.vector_slices)
            .map(|slice| Slice::new(slice, configuration.vector_beats(), latency.write_to_read))
            .collect();
        for (_, part) in program.input_parts() {
            slices[part.slice as usize].preset(part.base, part.beats);
        }
        let language = program.language.iter().flat_map(|language| &language.constants);
        for constants in program.constants.iter().chain(language) {
            let beats = constants.elements.len() as u32 / configuration.dot;
            slices[constants.slice as usize].preset(constants.base, beats);
        }
        let groups = 0..configuration.tile_groups();
        Dataflow {
            program,
            configuration,
            cursors: queues.map(|(queue, steps)| Cursor::new(queue.unit, steps)).collect(),
            end: timeline.end,
            ports: (0..configuration.crossbar_sources()).map(|_| Port::default()).collect(),
            slices,
            chains: groups
                .clone()
                .map(|group| Chain::new(rows_of_group(configuration, group), configuration.requantise_interval))
                .collect(),
            loaded: groups.map(|group| least_loaded(program, group)).collect(),
            requantised: None,
            passes: Passes::default(),
            stores: Stores::new(configuration.tile_groups(), configuration.weight_depth),
            stored: stored_words(configuration, timeline),
            scalars: Scalars::new(configuration.scalars()),
            fetching: Vec::new(),
            timeline,
            latency,
        }
    }

    /// Takes all steps.
    pub(super) fn run(mut self, violations: &mut Violations) -> ScheduleReport {
        // Writes come first within a cycle: a read step of the same cycle comes before they have landed.
        let mut order: Vec<usize> = (0..self.cursors.len()).collect();
        order.sort_by_key(|&queue| !matches!(self.cursors[queue].unit, Unit::Write(_) | Unit::Weights));
        while let Some(cycle) = self.cursors.iter().filter_map(|cursor| cursor.next.map(|(cycle, _)| cycle)).min() {
            for &queue in &order {
                let cursor = &mut self.cursors[queue];
                let (Some((_, step)), Some((stepping, _))) =
                    (cursor.next.filter(|next| next.0 == cycle), &cursor.current)
                else {
                    continue;
                };
                let finished = cycle + 1 == stepping.start + stepping.operation.duration();
                let now = Now { cycle, queue, stepping, step, run_step: cursor.run_step, finished };
                cursor.steps += 1;
                cursor.advance();
                self.take(now, violations);
            }
            self.fetched(violations);
        }
        let others = self.program.language.iter().flat_map(|language| &language.others);
        let outputs = std::iter::once(&self.program.output).chain(others.map(|other| &other.output));
        // Nobody asks what comes behind the middle of a prompt.
        for output in outputs.filter(|_| !self.timeline.of_prompt) {
            self.check_output(output, violations);
        }
        self.report()
    }

    pub(super) fn place(&self, now: &Now<'_>) -> Place {
        let place = Place::of(self.program, now.queue, now.stepping.index, now.cycle);
        place.for_positions(self.timeline.positions)
    }

    fn take(&mut self, now: Now<'a>, violations: &mut Violations) {
        let unit = self.cursors[now.queue].unit;
        if let (Unit::TileGroup(group), Operation::Fetch { .. }) = (unit, now.stepping.operation) {
            self.fetching.push((group, now));
            return;
        }
        let now = &now;
        match (unit, *now.stepping.operation) {
            (Unit::Read(slice), Operation::Read { .. }) => {
                let (slice_read, beats) = (&self.slices[slice as usize], self.configuration.beats_per_word());
                let mut flaws: Flaws =
                    now.addresses().flat_map(|address| slice_read.read(now.cycle, address as u32, beats)).collect();
                merge(&mut flaws);
                self.drive(now, Source::Slice(slice), self.latency.vector_read, flaws);
            }
            (Unit::Write(slice), Operation::Write { source, last_beats, .. }) => {
                let whole = self.configuration.beats_per_word();
                let beats = if now.step.end_of_level_0 { last_beats } else { whole };
                self.store(now, slice, source, beats, violations);
            }
            (Unit::TileGroup(group), Operation::Multiply { source, drain, .. }) => {
                self.multiply(now, group, source, drain, violations);
            }
            (Unit::Weights, Operation::Store { source, spread, .. }) => {
                let flaws = self.listen(now, source, violations);
                self.store_weights(now, spread, &flaws, violations);
            }
            (Unit::Requantiser, Operation::Requantise { from, tracking, .. }) => {
                let interval = self.configuration.requantise_interval;
                if let Some(previous) = self.requantised.replace(now.cycle)
                    && now.cycle - previous < u64::from(interval)
                {
                    violations.add(Violation::StillAtWork { at: self.place(now), previous, interval });
                }
                let loaded = self.program.scales.len() as u32;
                // Any byte may come.
                let last = match from {
                    RequantiseFrom::Lookup { .. } => i64::from(LOOKUP_ENTRIES - 1),
                    _ => 0,
                };
                if let Some(index) = now.addresses().map(|index| index + last).find(|&index| index >= i64::from(loaded))
                {
                    let index = index as u32;
                    violations.add(Violation::ScaleMissing { at: self.place(now), index, loaded });
                }
                let flaws = match from {
                    RequantiseFrom::Tiles => self.drain(now, tracking.each_run, violations),
                    RequantiseFrom::Stream(source) => self.listen(now, source, violations),
                    RequantiseFrom::Lookup { operand, index } => {
                        let flaws = self.listen(now, operand, violations);
                        together(flaws, self.listen(now, index, violations))
                    }
                };
                if let Some(scalar) = tracking.maximum {
                    self.reduce(now, &flaws, violations);
                    let latency = self.latency.extensions.map_or(0, |latency| latency.requantise_to_scalar);
                    self.make_scalar(now, &[i64::from(scalar)], latency, violations);
                }
                self.drive(now, Source::Requantiser, self.latency.requantise, flaws);
            }
            (Unit::Vector, Operation::Vector { function, a, b, arithmetic, .. }) => {
                let mut flaws = self.listen(now, a, violations);
                if let Some(b) = b {
                    flaws = together(flaws, self.listen(now, b, violations));
                }
                self.compute(now, function, &arithmetic, &mut flaws, violations);
                merge(&mut flaws);
                self.drive_in_order(now, self.latency.vector(function, &arithmetic), flaws, violations);
            }
            (Unit::Vector, Operation::Softmax { source, table, length, .. }) => {
                let flaws = self.listen(now, source, violations);
                self.soften(now, (table, length), flaws, violations);
            }
            // Field checks have refused everything else.
            _ => {}
        }
    }

    /// A word of the vector unit, which must not come before one of an instruction with a longer way.
    pub(super) fn drive_in_order(&mut self, now: &Now<'_>, latency: u32, flaws: Flaws, violations: &mut Violations) {
        let (cycle, port) = (now.cycle + u64::from(latency), Source::Vector.port(self.configuration));
        if let Some(before) = self.ports[port as usize].last().filter(|&before| before >= cycle) {
            violations.add(Violation::Overtakes { at: self.place(now), cycle, before });
        }
        self.drive(now, Source::Vector, latency, flaws);
    }

    pub(super) fn drive(&mut self, now: &Now<'_>, source: Source, latency: u32, flaws: Flaws) {
        let port = source.port(self.configuration) as usize;
        self.ports[port].drive(now.cycle, now.cycle + u64::from(latency), flaws);
    }

    /// The word on `source`. A silent port is reported and then counts as a flawless word: one mistake, one message.
    fn listen(&mut self, now: &Now<'_>, source: Source, violations: &mut Violations) -> Flaws {
        let port = source.port(self.configuration) as usize;
        if let Some(flaws) = self.ports[port].listen(now.cycle) {
            return flaws.clone();
        }
        violations.add(Violation::SilentPort { at: self.place(now), port: source });
        Flaws::new()
    }

    /// First and last element of a beat, counted in its word.
    pub(super) fn elements(&self, beat: u32) -> (u32, u32) {
        let dot = self.configuration.dot;
        (beat * dot, beat * dot + dot - 1)
    }

    /// A step of `group`, whose product drains when it is finished.
    fn multiply(&mut self, now: &Now<'_>, group: u32, source: Source, drain: Drain, violations: &mut Violations) {
        self.take_weights(now, group, violations);
        let flaws = self.listen(now, source, violations);
        if let Some(&(0, cause)) = flaws.first().filter(|_| !self.all_zero(now, group)) {
            let (first, last) = self.elements(0);
            let at = self.place(now);
            violations.add(Violation::InvalidOperand { at, port: source, beat: 0, first, last, cause });
        }
        if now.step.last {
            let start = now.cycle + u64::from(self.latency.step_to_drain);
            let cycles = self.configuration.drain_cycles(drain);
            let product = Entered { cycle: now.cycle, instruction: now.stepping.index, cycles };
            let chain = &mut self.chains[group as usize];
            let fetched = chain.meets_fetch(start, u64::from(cycles));
            let before = chain.enter(product, start, self.configuration.drain_rows(drain), drain);
            if let Some(cycle) = fetched {
                violations.add(Violation::FetchMeetsResult { at: self.place(now), cycle });
            }
            if let Some(Entered { cycle: last, instruction: previous, cycles }) = before {
                let distance = now.cycle - last;
                if distance < u64::from(cycles) {
                    violations.add(Violation::DrainConflict { at: self.place(now), previous, distance, cycles });
                }
            }
        }
    }

    /// The row of results that the requantiser takes; a mask counts elements run by run, or not.
    fn drain(&mut self, now: &Now<'_>, each_run: bool, violations: &mut Violations) -> Flaws {
        let delivered: Vec<Option<(u32, Drain)>> = self.chains.iter_mut().map(|chain| chain.take(now.cycle)).collect();
        let Some((row, drain)) = delivered.iter().flatten().copied().min_by_key(|&(row, _)| row) else {
            violations.add(Violation::SilentDrain { at: self.place(now) });
            return Flaws::new();
        };
        // Where a row of tiles is incomplete, its columns without a tile deliver zero. That is a hole in the last row of a
        // result, which a write can leave out, but not in the rows before it, which are written whole.
        // A language model may mask those columns, or give them a scale and a bias, so that they deliver a number of its choice.
        let last = row + 1 == self.configuration.rows();
        let zero = |group: u32| {
            let chosen = || self.has_scales(now, group) || each_run && self.is_masked(now, group);
            drain != Drain::Separate && rows_of_group(self.configuration, group) <= row && (!last || chosen())
        };
        // All groups have to deliver sums of the same kind.
        let missing = |group: u32| {
            let own = delivered.get(group as usize).copied().flatten();
            own.is_none_or(|(_, other)| (other == Drain::Separate) != (drain == Drain::Separate))
        };
        (0..self.configuration.beats_per_word())
            .filter(|&group| missing(group) && !zero(group))
            .map(|group| (group, Cause::NotDelivered { group, cycle: now.cycle }))
            .collect()
    }

    fn store(&mut self, now: &Now<'_>, slice: u32, source: Source, beats: u32, violations: &mut Violations) {
        let flaws = self.listen(now, source, violations);
        let bases: Vec<u32> = now.addresses().map(|address| address as u32).collect();
        let base = bases.first().copied().unwrap_or(0);
        // What a language model stores without a meaning is followed to where it is used.
        let follows = self.program.language.is_some();
        if let Some(&(beat, cause)) = flaws.first().filter(|&&(beat, _)| beat < beats && !follows) {
            let (first, last) = self.elements(beat);
            let address = base + beat;
            let at = self.place(now);
            violations.add(Violation::InvalidStore { at, port: source, beat, first, last, address, cause });
        }
        let certain = bases.len() == 1;
        for (offset, beat) in
            bases.iter().flat_map(|&base| (0..beats).map(move |beat| (beat, base.saturating_add(beat))))
        {
            let cause = flaws.iter().find(|&&(beat, _)| beat == offset && follows).map(|&(_, cause)| cause);
            if !self.slices[slice as usize].write(now.cycle, beat, certain, cause) {
                let last = self.configuration.vector_beats() - 1;
                violations.add(Violation::WriteBeyondSlice { at: self.place(now), slice, beat, last });
            }
        }
        let landed = now.cycle + u64::from(self.latency.write_to_read);
        if landed > self.end {
            violations.add(Violation::WritePending { at: self.place(now), landed, end: self.end });
        }
    }

    fn check_output(&self, output: &Region, violations: &mut Violations) {
        let beat_of = |position: u32| output.base + position / self.configuration.dot;
        let invalid = output.positions.iter().enumerate().find_map(|(element, &position)| {
            let beat = beat_of(position);
            self.slices[output.slice as usize].cause(beat).map(|cause| (element, beat, cause))
        });
        if let Some((element, beat, cause)) = invalid {
            let (tensor, slice) = (output.tensor.clone(), output.slice);
            violations.add(Violation::OutputInvalid { tensor, slice, beat, element, cause });
        }
        let missing = self.slices[output.slice as usize].missing(self.end, output.base, output.beats);
        if let Some(&beat) = missing.first() {
            let dot = self.configuration.dot;
            let element = output.positions.iter().position(|&position| output.base + position / dot == beat);
            violations.add(Violation::OutputMissing {
                end: self.end,
                tensor: output.tensor.clone(),
                slice: output.slice,
                beat,
                element,
                missing: missing.len(),
            });
        }
    }

    fn report(mut self) -> ScheduleReport {
        let cycles = self.end;
        let units = self.cursors.iter().zip(&self.timeline.issued).map(|(cursor, &instructions)| Activity {
            unit: cursor.unit,
            instructions,
            steps: cursor.steps,
            busy: cursor.steps as f64 / cycles as f64,
        });
        let units = units.collect();
        let mut remarks = Vec::new();
        for (port, state) in self.ports.iter_mut().enumerate() {
            let words = state.unheard();
            if let Some(source) = Source::from_port(port as u32, self.configuration).filter(|_| words > 0) {
                remarks.push(Remark::Unheard { source, words });
            }
        }
        for (group, chain) in self.chains.iter_mut().enumerate() {
            let rows = chain.untaken();
            if rows > 0 {
                remarks.push(Remark::Untaken { group: group as u32, rows });
            }
        }
        ScheduleReport { positions: self.timeline.positions, cycles, units, remarks }
    }
}

/// For each weight address, whether a store of the run may go there.
fn stored_words(configuration: &Configuration, timeline: &Timeline<'_>) -> Vec<bool> {
    let mut stored = vec![false; configuration.weight_depth as usize];
    for stepping in timeline.queues.iter().flatten() {
        let Operation::Store { sequence, .. } = stepping.operation else { continue };
        for step in sequence.steps() {
            for &offset in &stepping.offsets {
                let word = usize::try_from(step.address + i64::from(offset)).ok();
                if let Some(word) = word.and_then(|word| stored.get_mut(word)) {
                    *word = true;
                }
            }
        }
    }
    stored
}

/// Keeps the first flaw of each beat, in the order of the beats.
fn merge(flaws: &mut Flaws) {
    flaws.sort_by_key(|&(beat, _)| beat);
    flaws.dedup_by_key(|&mut (beat, _)| beat);
}

/// The flaws of what is made of two words.
fn together(mut flaws: Flaws, others: Flaws) -> Flaws {
    flaws.extend(others);
    merge(&mut flaws);
    flaws
}

/// Rows of results in which the group has at least one tile.
fn rows_of_group(configuration: &Configuration, group: u32) -> u32 {
    configuration.rows_of_column(group * configuration.dot) * configuration.channels_per_tile()
}

/// The tile of a group with the fewest words of weights, and how many.
fn least_loaded(program: &Program, group: u32) -> (u32, u32) {
    let configuration = &program.configuration;
    let (dot, width) = (configuration.dot, configuration.stream_elements);
    (0..configuration.tiles)
        .filter(|tile| tile % width / dot == group)
        .map(|tile| (tile, program.weights[tile as usize].len() as u32 / dot))
        .min_by_key(|&(_, words)| words)
        .unwrap_or((0, 0))
}
