//! The walk through all steps of all units, in time order.

use super::state::{Chain, Flaws, Port, Slice};
use super::timeline::{Stepping, Timeline};
use super::violation::{Cause, Place, Violation, Violations};
use super::{Activity, CheckReport, Remark};
use lpu_isa::configuration::{Configuration, LOOKUP_ENTRIES};
use lpu_isa::instruction::{Operation, RequantiseFrom, Source, Unit};
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use lpu_isa::sequence::{Step, Steps};

/// The machine during the walk.
pub(super) struct Dataflow<'a> {
    program: &'a Program,
    configuration: &'a Configuration,
    latency: Latency,
    /// One for each queue.
    cursors: Vec<Cursor<'a>>,
    /// Cycles of the run.
    end: u64,
    /// Source ports of the crossbar.
    ports: Vec<Port>,
    slices: Vec<Slice>,
    /// One for each tile group.
    chains: Vec<Chain>,
    /// For each tile group, the tile with the fewest weight words, and how many.
    loaded: Vec<(u32, u32)>,
    /// The requantiser's last step.
    requantised: Option<u64>,
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
}

impl<'a> Cursor<'a> {
    fn new(unit: Unit, queue: &'a [Stepping<'a>]) -> Cursor<'a> {
        let mut cursor = Cursor { unit, waiting: queue.iter(), current: None, next: None, steps: 0 };
        cursor.advance();
        cursor
    }

    fn advance(&mut self) {
        loop {
            if let Some((stepping, steps)) = &mut self.current {
                let next = steps.next().map(|step| (stepping.start + u64::from(step.offset), step));
                self.next = next.filter(|&(cycle, _)| cycle < stepping.cutoff);
                if self.next.is_some() {
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
struct Now<'a> {
    cycle: u64,
    queue: usize,
    stepping: &'a Stepping<'a>,
    step: Step,
}

impl<'a> Dataflow<'a> {
    /// The machine before the first cycle, with the input in place.
    pub(super) fn new(program: &'a Program, timeline: &'a Timeline<'a>) -> Dataflow<'a> {
        let configuration = &program.configuration;
        let latency = Latency::of(configuration);
        let queues = program.queues.iter().zip(&timeline.queues);
        let mut slices: Vec<Slice> = (0..configuration.vector_slices)
            .map(|slice| Slice::new(slice, configuration.vector_beats(), latency.write_to_read))
            .collect();
        let input = &program.input;
        slices[input.slice as usize].preset(input.base, input.beats);
        for constants in &program.constants {
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
            latency,
        }
    }

    /// Takes all steps.
    pub(super) fn run(mut self, violations: &mut Violations) -> CheckReport {
        // Writes come first within a cycle: a read step of the same cycle comes before they have landed.
        let mut order: Vec<usize> = (0..self.cursors.len()).collect();
        order.sort_by_key(|&queue| !matches!(self.cursors[queue].unit, Unit::Write(_)));
        while let Some(cycle) = self.cursors.iter().filter_map(|cursor| cursor.next.map(|(cycle, _)| cycle)).min() {
            for &queue in &order {
                let cursor = &mut self.cursors[queue];
                let (Some((_, step)), Some((stepping, _))) =
                    (cursor.next.filter(|next| next.0 == cycle), &cursor.current)
                else {
                    continue;
                };
                let now = Now { cycle, queue, stepping, step };
                cursor.steps += 1;
                cursor.advance();
                self.take(&now, violations);
            }
        }
        self.check_output(violations);
        self.report()
    }

    fn place(&self, now: &Now<'_>) -> Place {
        Place::of(self.program, now.queue, now.stepping.index, now.cycle)
    }

    fn take(&mut self, now: &Now<'_>, violations: &mut Violations) {
        let unit = self.cursors[now.queue].unit;
        match (unit, *now.stepping.operation) {
            (Unit::Read(slice), Operation::Read { .. }) => {
                let flaws = self.slices[slice as usize].read(
                    now.cycle,
                    now.step.address as u32,
                    self.configuration.beats_per_word(),
                );
                self.drive(now, Source::Slice(slice), self.latency.vector_read, flaws);
            }
            (Unit::Write(slice), Operation::Write { source, last_beats, .. }) => {
                let whole = self.configuration.beats_per_word();
                let beats = if now.step.end_of_level_0 { last_beats } else { whole };
                self.store(now, slice, source, beats, violations);
            }
            (Unit::TileGroup(group), Operation::Multiply { source, .. }) => {
                self.multiply(now, group, source, violations);
            }
            (Unit::Requantiser, Operation::Requantise { from, .. }) => {
                let interval = self.configuration.requantise_interval;
                if let Some(previous) = self.requantised.replace(now.cycle)
                    && now.cycle - previous < u64::from(interval)
                {
                    violations.add(Violation::RequantiserBusy { at: self.place(now), previous, interval });
                }
                let index = now.step.address as u32;
                let loaded = self.program.scales.len() as u32;
                // Any byte may come.
                let index = match from {
                    RequantiseFrom::Lookup { .. } => index.saturating_add(LOOKUP_ENTRIES - 1),
                    _ => index,
                };
                if index >= loaded {
                    violations.add(Violation::ScaleMissing { at: self.place(now), index, loaded });
                }
                let flaws = match from {
                    RequantiseFrom::Tiles => self.drain(now, violations),
                    RequantiseFrom::Stream(source) => self.listen(now, source, violations),
                    RequantiseFrom::Lookup { operand, index } => {
                        let flaws = self.listen(now, operand, violations);
                        together(flaws, self.listen(now, index, violations))
                    }
                };
                self.drive(now, Source::Requantiser, self.latency.requantise, flaws);
            }
            (Unit::Vector, Operation::Vector { a, b, .. }) => {
                let mut flaws = self.listen(now, a, violations);
                if let Some(b) = b {
                    flaws = together(flaws, self.listen(now, b, violations));
                }
                self.drive(now, Source::Vector, self.latency.vector_unit, flaws);
            }
            // Field checks have refused everything else.
            _ => {}
        }
    }

    fn drive(&mut self, now: &Now<'_>, source: Source, latency: u32, flaws: Flaws) {
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
    fn elements(&self, beat: u32) -> (u32, u32) {
        let dot = self.configuration.dot;
        (beat * dot, beat * dot + dot - 1)
    }

    fn multiply(&mut self, now: &Now<'_>, group: u32, source: Source, violations: &mut Violations) {
        let address = now.step.address as u32;
        let (tile, loaded) = self.loaded[group as usize];
        if address >= loaded {
            violations.add(Violation::WeightMissing { at: self.place(now), tile, address, loaded });
        }
        if let Some(&(0, cause)) = self.listen(now, source, violations).first() {
            let (first, last) = self.elements(0);
            let at = self.place(now);
            violations.add(Violation::InvalidOperand { at, port: source, beat: 0, first, last, cause });
        }
        if now.step.last {
            let start = now.cycle + u64::from(self.latency.step_to_drain);
            let cycles = self.configuration.drain_cycles();
            if let Some((last, previous)) = self.chains[group as usize].enter(now.cycle, start, now.stepping.index) {
                let distance = now.cycle - last;
                if distance < u64::from(cycles) {
                    violations.add(Violation::DrainConflict { at: self.place(now), previous, distance, cycles });
                }
            }
        }
    }

    /// The row of results that the requantiser takes.
    fn drain(&mut self, now: &Now<'_>, violations: &mut Violations) -> Flaws {
        let delivered: Vec<Option<u32>> = self.chains.iter_mut().map(|chain| chain.take(now.cycle)).collect();
        let Some(row) = delivered.iter().flatten().copied().min() else {
            violations.add(Violation::SilentDrain { at: self.place(now) });
            return Flaws::new();
        };
        // Where a row of tiles is incomplete, its columns without a tile deliver zero. That is a hole in the last row of a
        // result, which a write can leave out, but not in the rows before it, which are written whole.
        let last = row + 1 == self.configuration.rows();
        let zero = |group: u32| !last && rows_of_group(self.configuration, group) <= row;
        (0..self.configuration.beats_per_word())
            .filter(|&group| delivered.get(group as usize).copied().flatten().is_none() && !zero(group))
            .map(|group| (group, Cause::NotDelivered { group, cycle: now.cycle }))
            .collect()
    }

    fn store(&mut self, now: &Now<'_>, slice: u32, source: Source, beats: u32, violations: &mut Violations) {
        let flaws = self.listen(now, source, violations);
        let base = now.step.address as u32;
        if let Some(&(beat, cause)) = flaws.first().filter(|&&(beat, _)| beat < beats) {
            let (first, last) = self.elements(beat);
            let address = base + beat;
            let at = self.place(now);
            violations.add(Violation::InvalidStore { at, port: source, beat, first, last, address, cause });
        }
        for beat in base..base + beats {
            if !self.slices[slice as usize].write(now.cycle, beat) {
                let last = self.configuration.vector_beats() - 1;
                violations.add(Violation::WriteBeyondSlice { at: self.place(now), slice, beat, last });
            }
        }
        let landed = now.cycle + u64::from(self.latency.write_to_read);
        if landed > self.end {
            violations.add(Violation::WritePending { at: self.place(now), landed, end: self.end });
        }
    }

    fn check_output(&self, violations: &mut Violations) {
        let output = &self.program.output;
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

    fn report(mut self) -> CheckReport {
        let cycles = self.end;
        let units = self.cursors.iter().zip(&self.program.queues).map(|(cursor, queue)| Activity {
            unit: cursor.unit,
            instructions: queue.instructions.len(),
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
        CheckReport { cycles, units, remarks }
    }
}

/// The flaws of what is made of two words.
fn together(mut flaws: Flaws, others: Flaws) -> Flaws {
    flaws.extend(others);
    flaws.sort_by_key(|&(beat, _)| beat);
    flaws.dedup_by_key(|&mut (beat, _)| beat);
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
