//! The machine's state: memories, words under way, sequencers.

use super::extension::{Captured, Extension, Stored, VectorStep};
use super::softmax::Passes;
use super::units::{Run, Sequencer, requantise_step, vector_step};
use super::{Options, WriteEvent};
use lpu_isa::configuration::Configuration;
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::image::nibbles;
use lpu_isa::instruction::{Drain, Operation, Source, Tracking, Unit};
use lpu_isa::latency::ISSUE_TO_STEP;
use lpu_isa::program::{Placed, Program, Region, Scale};
use std::collections::VecDeque;

/// Cycles that are executed at once at most.
const LONGEST_WINDOW: u64 = 64;

/// Place of a unit in the flow of data.
fn turn(unit: Unit) -> u32 {
    match unit {
        Unit::Read(_) => 0,
        Unit::TileGroup(_) => 1,
        Unit::Requantiser => 2,
        Unit::Vector => 3,
        Unit::Write(_) | Unit::Weights => 4,
        Unit::Registers => 5,
    }
}

/// Does a unit listen to a port whose unit has its turn later?
fn against_the_flow(program: &Program) -> bool {
    let fed_by = |source: Source| match source {
        Source::Slice(slice) => turn(Unit::Read(slice)),
        Source::Requantiser => turn(Unit::Requantiser),
        Source::Vector => turn(Unit::Vector),
        Source::Weights => turn(Unit::TileGroup(0)),
    };
    program.queues.iter().any(|queue| {
        queue.instructions.iter().any(|placed| {
            placed.instruction.operation.sources().into_iter().any(|source| fed_by(source) > turn(queue.unit))
        })
    })
}

/// A write that has been taken but has not landed yet.
#[derive(Debug)]
struct Landing {
    cycle: u64,
    address: usize,
    beats: usize,
    word: usize,
}

/// A tile: its place and its weights.
#[derive(Debug)]
struct Tile {
    column: usize,
    row: usize,
    /// The weights of each of its channels, `[address][dot]`.
    weights: Vec<Vec<i16>>,
}

impl Tile {
    fn new(program: &Program, tile: usize) -> Tile {
        let configuration = &program.configuration;
        let elements = configuration.stream_elements as usize;
        let mut ram = vec![0i8; (configuration.weight_depth * configuration.dot) as usize];
        for (slot, &weight) in ram.iter_mut().zip(&program.weights[tile]) {
            *slot = weight;
        }
        let weights = match configuration.channels_per_tile() {
            1 => vec![ram.iter().map(|&byte| i16::from(byte)).collect()],
            _ => vec![
                ram.iter().map(|&byte| i16::from(nibbles(byte).0)).collect(),
                ram.iter().map(|&byte| i16::from(nibbles(byte).1)).collect(),
            ],
        };
        Tile { column: tile % elements, row: tile / elements, weights }
    }

    /// Number of the tile on a machine with rows of `elements` tiles.
    fn number(&self, elements: usize) -> usize {
        self.row * elements + self.column
    }
}

/// Everything that changes while a program runs.
#[derive(Debug)]
pub struct State {
    configuration: Configuration,
    /// Elements of each slice.
    vectors: Vec<Vec<i16>>,
    /// The tiles of each group.
    tiles: Vec<Vec<Tile>>,
    scales: Vec<Vec<Scale>>,
    /// What each group has taken in since its run began.
    runs: Vec<Run>,
    /// Bits of an element that the tiles multiply.
    multiplied_bits: u32,
    /// Words on the crossbar's source ports, `[port][cycle modulo ring][element]`.
    ports: Vec<Vec<i16>>,
    /// Rows that leave the drain chains, `[cycle modulo ring][column]`.
    drains: Vec<i32>,
    ring: usize,
    /// Words of writes that have not landed, as a ring of whole words.
    landing_words: Vec<i16>,
    next_landing_word: usize,
    landings: Vec<VecDeque<Landing>>,
    /// Shortest latency between two units.
    shortest: u64,
    /// Queues in the order of their turns, and those through which a unit's result finds back to units that had their turn
    /// before, with the cycles that it takes.
    order: Vec<usize>,
    feedback: Vec<(usize, u64)>,
    extension: Option<Extension>,
    softmax: Option<Passes>,
    against_the_flow: bool,
    cycles: u64,
    sequencers: Vec<Sequencer>,
    units: Vec<Unit>,
    running: usize,
    writes: Vec<WriteEvent>,
}

impl State {
    /// The state after loading, memories zero where the program says nothing.
    pub fn load(program: &Program, options: &Options) -> State {
        let configuration = program.configuration.clone();
        let elements = configuration.stream_elements as usize;
        let dot = configuration.dot as usize;
        let latency = &options.latency;
        let of_softmax = latency.softmax.map_or(0, |softmax| softmax.word);
        let longest = latency.step_to_drain
            + configuration.longest_drain()
            + latency.requantise.max(latency.vector_unit).max(of_softmax);
        let mut shortest = vec![
            latency.vector_read,
            latency.requantise,
            latency.vector_unit,
            latency.step_to_drain,
            latency.write_to_read,
        ];
        if let Some(extensions) = &latency.extensions {
            let vector = extensions.vector_plain;
            shortest.extend([vector, extensions.register, extensions.store_to_weights, extensions.fetch]);
        }
        let shortest = u64::from(shortest.into_iter().min().unwrap_or(1).max(1));
        let window = shortest.max(LONGEST_WINDOW) as usize;
        let ring = (longest.max(latency.vector_read) as usize + window + 2).next_power_of_two();
        let units = Unit::all(&configuration);
        let mut order: Vec<usize> = (0..units.len()).collect();
        order.sort_by_key(|&index| turn(units[index]));
        let feedback = (0..units.len()).filter_map(|index| {
            let extensions = latency.extensions.as_ref();
            let cycles = match units[index] {
                Unit::Write(_) => Some(latency.write_to_read),
                Unit::Weights => extensions.map(|latency| latency.store_to_weights),
                Unit::Registers => extensions.map(|latency| latency.register),
                Unit::Vector => extensions.map(|extensions| {
                    let longest = extensions.vector_to_register.min(extensions.vector_to_scalar);
                    longest.saturating_sub(latency.vector_unit.saturating_sub(extensions.vector_plain))
                }),
                _ => None,
            };
            Some((index, u64::from(cycles?)))
        });
        let feedback = feedback.collect();
        let groups = configuration.tile_groups() as usize;
        let mut group_tiles = Vec::new();
        for group in 0..groups {
            let tiles: Vec<usize> =
                (0..configuration.tiles as usize).filter(|tile| (tile % elements) / dot == group).collect();
            group_tiles.push(tiles.iter().map(|&tile| Tile::new(program, tile)).collect());
        }
        let landing_slots = (latency.write_to_read as usize + window + 2) * configuration.vector_slices as usize;
        State {
            vectors: vec![
                vec![0; configuration.vector_depth as usize * elements];
                configuration.vector_slices as usize
            ],
            runs: vec![Run::default(); groups],
            multiplied_bits: configuration.multiplied_bits(),
            tiles: group_tiles,
            scales: program.scales.clone(),
            ports: vec![vec![0; ring * elements]; configuration.crossbar_sources() as usize],
            drains: vec![0; ring * elements],
            ring,
            landing_words: vec![0; landing_slots * elements],
            next_landing_word: 0,
            landings: (0..configuration.vector_slices).map(|_| VecDeque::new()).collect(),
            shortest,
            order,
            feedback,
            extension: Extension::new(program),
            softmax: configuration.has_softmax().then(|| Passes::new(program)),
            against_the_flow: against_the_flow(program),
            cycles: 0,
            sequencers: Vec::new(),
            units,
            running: 0,
            writes: Vec::new(),
            configuration,
        }
    }

    /// The host's write of a tensor: whole beats, zero where the tensor has no element.
    pub fn write_region(&mut self, region: &Region, values: &[i8], fill: i8) {
        let dot = self.configuration.dot as usize;
        let start = region.base as usize * dot;
        let memory = &mut self.vectors[region.slice as usize][start..start + region.beats as usize * dot];
        memory.fill(i16::from(fill));
        for (&position, &value) in region.positions.iter().zip(values) {
            memory[position as usize] = i16::from(value);
        }
    }

    /// The host's read of a tensor: the low byte of each element.
    pub fn read_region(&self, region: &Region) -> Vec<i8> {
        let start = region.base as usize * self.configuration.dot as usize;
        let memory = &self.vectors[region.slice as usize][start..];
        region.positions.iter().map(|&position| memory[position as usize] as i8).collect()
    }

    /// The host's write of elements, whole beats.
    pub fn write_elements(&mut self, slice: u32, base: u32, elements: &[i16]) {
        let start = base as usize * self.configuration.dot as usize;
        self.vectors[slice as usize][start..start + elements.len()].copy_from_slice(elements);
    }

    /// The host's read of whole elements.
    pub fn read_elements(&self, region: &Region) -> Vec<i16> {
        let start = region.base as usize * self.configuration.dot as usize;
        let memory = &self.vectors[region.slice as usize][start..];
        region.positions.iter().map(|&position| memory[position as usize]).collect()
    }

    /// The host's write of a register, while nothing runs.
    pub fn set_register(&mut self, number: u32, value: u16) {
        if let Some(extension) = &mut self.extension {
            extension.set_register(number, u64::MAX, value);
            extension.restart();
        }
    }

    /// A register, while nothing runs.
    pub fn register(&self, number: u32) -> u16 {
        self.extension.as_ref().map_or(0, |extension| extension.register(number, u64::MAX))
    }

    /// A scalar of the vector unit, while nothing runs.
    pub fn scalar(&self, number: u32) -> Option<Factor> {
        self.extension.as_ref().map(|extension| extension.scalar(i64::from(number), u64::MAX))
    }

    /// All queues begin at instruction `entry`.
    pub fn start(&mut self, program: &Program, entry: usize) {
        self.sequencers = vec![Sequencer::at(entry); program.queues.len()];
        if let Some(extension) = &mut self.extension {
            extension.restart();
        }
        self.running = program.queues.len();
        self.landings.iter_mut().for_each(VecDeque::clear);
        self.cycles = 0;
        self.writes.clear();
        for port in &mut self.ports {
            port.fill(0);
        }
        self.drains.fill(0);
    }

    /// Has every queue halted?
    pub fn all_halted(&self) -> bool {
        self.running == 0
    }

    /// Cycles in which each unit took a step.
    pub fn busy(&self) -> Vec<u64> {
        self.sequencers.iter().map(|sequencer| sequencer.busy).collect()
    }

    /// The recorded writes.
    pub fn take_writes(&mut self) -> Vec<WriteEvent> {
        let mut writes = std::mem::take(&mut self.writes);
        writes.sort_by_key(|write| (write.cycle, write.slice));
        writes
    }

    /// Executes the next cycles, as many as can be done unit by unit without one unit missing what another does.
    ///
    /// The units take their turns along the flow of data: readers, tiles, requantiser, vector unit, writers. What a unit
    /// reads from a port in the window then has been put there already, and the only way back is through the memory: so the
    /// window ends where the next write could land. A program that uses a port against this order gets windows no longer than
    /// the shortest latency.
    pub fn advance(&mut self, program: &Program, options: &Options) {
        let next = |sequencers: &mut dyn Iterator<Item = &Sequencer>| {
            sequencers.map(|sequencer| sequencer.next_event).min().unwrap_or(u64::MAX)
        };
        let start = next(&mut self.sequencers.iter());
        let mut end = start.saturating_add(self.shortest);
        if !self.against_the_flow {
            let back =
                self.feedback.iter().map(|&(index, cycles)| self.sequencers[index].next_event.saturating_add(cycles));
            let landing = back.min().unwrap_or(u64::MAX);
            end = end.max(landing.min(start.saturating_add(LONGEST_WINDOW)));
        }
        for turn in 0..self.order.len() {
            self.run_unit(program, options, self.order[turn], end);
        }
        for slice in 0..self.landings.len() {
            self.land(slice, end - 1);
        }
    }

    /// The cycle count: from the first issue to the last halt so far, both included.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Writes to `slice` whose time has come by `cycle` change the memory.
    pub fn land(&mut self, slice: usize, cycle: u64) {
        let dot = self.configuration.dot as usize;
        while self.landings[slice].front().is_some_and(|landing| landing.cycle <= cycle) {
            let Some(landing) = self.landings[slice].pop_front() else { return };
            let memory = &mut self.vectors[slice];
            let start = landing.address * dot;
            let end = (start + landing.beats * dot).min(memory.len());
            if start < end {
                memory[start..end].copy_from_slice(&self.landing_words[landing.word..landing.word + end - start]);
            }
        }
    }

    /// All writes that have been taken land.
    pub fn land_all(&mut self) {
        for slice in 0..self.landings.len() {
            self.land(slice, u64::MAX);
        }
        for group in 0..self.tiles.len() {
            self.land_stores(group, u64::MAX);
        }
    }

    /// Stores whose time has come by `cycle` change the weights of `group`.
    fn land_stores(&mut self, group: usize, cycle: u64) {
        let Some(extension) = &mut self.extension else { return };
        let (dot, elements) = (self.configuration.dot as usize, self.configuration.stream_elements as usize);
        let storing = &mut extension.storing[group];
        while let Some(store) = storing.pop_front_if(|store| store.cycle <= cycle) {
            let at = store.address * dot;
            for tile in &mut self.tiles[group] {
                let (column, row, number) = (tile.column, tile.row, tile.number(elements));
                let Some(ram) = tile.weights.first_mut().and_then(|ram| ram.get_mut(at..at + dot)) else { continue };
                match &store.bytes {
                    Stored::Word { tile, weights } if *tile == number => ram.copy_from_slice(weights),
                    Stored::Row { row: stored, byte, weights } if *stored == row => ram[*byte] = weights[column],
                    _ => {}
                }
            }
        }
    }

    /// All issues and steps of one unit before cycle `end`.
    fn run_unit(&mut self, program: &Program, options: &Options, index: usize, end: u64) {
        let queue = &program.queues[index].instructions;
        loop {
            let sequencer = &mut self.sequencers[index];
            let issue = if sequencer.halted { u64::MAX } else { sequencer.issue_cycle };
            // A step of the instruction under way comes before the issue of the next in the same cycle.
            match sequencer.step_cycle() {
                Some(step) if step <= issue => {
                    if step >= end {
                        break;
                    }
                    let operation = &queue[sequencer.instruction].instruction.operation;
                    self.take_step(operation, options, index, step);
                }
                _ if issue >= end => break,
                _ => self.issue(queue, options, index, issue),
            }
        }
        self.sequencers[index].update_next_event();
    }

    fn issue(&mut self, queue: &[Placed], options: &Options, index: usize, cycle: u64) {
        let sequencer = &mut self.sequencers[index];
        let Some(placed) = queue.get(sequencer.program_counter) else {
            sequencer.halted = true;
            self.running -= 1;
            return;
        };
        sequencer.issue_cycle = cycle + u64::from(placed.instruction.interval);
        match &placed.instruction.operation {
            // The steps under way go on.
            Operation::Nop => {}
            Operation::Repeat { back, times } => {
                sequencer.repeated += 1;
                if sequencer.repeated < *times {
                    sequencer.program_counter = sequencer.program_counter.saturating_sub(*back as usize);
                    return;
                }
                sequencer.repeated = 0;
                sequencer.issue_cycle = cycle + u64::from(self.configuration.minimum_interval());
            }
            Operation::Halt => {
                sequencer.halted = true;
                self.running -= 1;
                self.cycles = self.cycles.max(cycle + 1);
            }
            Operation::Assign(assignment) => {
                if let Some(extension) = &mut self.extension {
                    let of = |number| extension.register(number, cycle);
                    let value = assignment.value(of(assignment.source), of(assignment.addend));
                    let latency = options.latency.extensions.map_or(1, |latency| latency.register);
                    extension.set_register(assignment.destination, cycle + u64::from(latency), value);
                }
            }
            operation => {
                let (mut offset, mut captured) = (0, Captured::default());
                if let Some(extension) = &self.extension {
                    let of = |number| extension.register(number, cycle);
                    offset = of(operation.sequence().map_or(0, |sequence| sequence.register));
                    captured = match *operation {
                        Operation::Requantise { tracking: Tracking { mask, .. }, .. } => {
                            Captured { mask: (mask > 0).then(|| of(mask)), place: 0 }
                        }
                        Operation::Vector { arithmetic, .. } => Captured {
                            mask: (arithmetic.mask > 0).then(|| of(arithmetic.mask)),
                            place: of(arithmetic.register),
                        },
                        Operation::Fetch { tile: place, .. } | Operation::Store { place, .. } => {
                            Captured { mask: None, place: of(place) }
                        }
                        _ => Captured::default(),
                    };
                }
                sequencer.begin(operation, cycle + u64::from(ISSUE_TO_STEP), offset, captured);
            }
        }
        sequencer.program_counter += 1;
    }

    fn slot(&self, cycle: u64) -> usize {
        (cycle as usize & (self.ring - 1)) * self.configuration.stream_elements as usize
    }

    fn port(&self, source: Source) -> usize {
        source.port(&self.configuration) as usize
    }

    /// The results of `group` leave its drain chains, row 0 at `cycle`. Columns without a tile in the last row deliver zero.
    fn drain(&mut self, group: usize, drain: Drain, cycle: u64) {
        let dot = self.configuration.dot as usize;
        let rows = self.configuration.drain_rows(drain);
        let pace = u64::from(self.configuration.requantise_interval);
        for row in 0..u64::from(rows) {
            let at = self.slot(cycle + row * pace) + group * dot;
            self.drains[at..at + dot].fill(0);
        }
        for tile in &self.tiles[group] {
            let sums = self.configuration.results_per_tile(drain) as usize;
            for part in 0..sums {
                let row = tile.row * sums + part;
                if row >= rows as usize {
                    continue;
                }
                let at = self.slot(cycle + row as u64 * pace) + tile.column;
                self.drains[at] = match drain {
                    Drain::Separate => self.runs[group].separate_sum(&tile.weights[0], (dot, part), tile.column % dot),
                    Drain::AllRows | Drain::FullRows => self.runs[group].accumulator(&tile.weights[part], dot),
                };
            }
        }
    }

    fn take_step(&mut self, operation: &Operation, options: &Options, index: usize, cycle: u64) {
        let elements = self.configuration.stream_elements as usize;
        let Some(step) = self.sequencers[index].take() else { return };
        let Sequencer { captured, number, run_step, .. } = self.sequencers[index];
        let dot = self.configuration.dot as usize;
        let now = self.slot(cycle);
        let latency = &options.latency;
        match (self.units[index], operation) {
            (Unit::TileGroup(group), Operation::Multiply { source, drain, .. }) => {
                let group = group as usize;
                let port = self.port(*source);
                self.runs[group].step(&step, &self.ports[port][now..now + dot], self.multiplied_bits);
                if step.last {
                    self.land_stores(group, cycle);
                    self.drain(group, *drain, cycle + u64::from(latency.step_to_drain));
                }
            }
            (Unit::TileGroup(group), Operation::Fetch { .. }) => {
                let group = group as usize;
                self.land_stores(group, cycle);
                let cycles = latency.extensions.map_or(0, |latency| latency.fetch);
                let at = self.slot(cycle + u64::from(cycles));
                let port = self.port(Source::Weights);
                let chosen = self.tiles[group].iter().find(|tile| tile.number(elements) == usize::from(captured.place));
                let start = step.address as usize * dot;
                let word = chosen.and_then(|tile| tile.weights.first()).and_then(|ram| ram.get(start..start + dot));
                if let Some(word) = word {
                    self.ports[port][at..at + dot].copy_from_slice(word);
                    self.ports[port][at + dot..at + elements].fill(0);
                }
            }
            (Unit::Weights, Operation::Store { source, spread, .. }) => {
                let port = self.port(*source);
                let cycles = latency.extensions.map_or(0, |latency| latency.store_to_weights);
                if let Some(extension) = &mut self.extension {
                    let word = &self.ports[port][now..now + elements];
                    extension.store(word, *spread, captured, run_step, step.address, cycle + u64::from(cycles));
                }
            }
            (Unit::Read(slice), _) => {
                self.land(slice as usize, cycle);
                let memory = &self.vectors[slice as usize];
                let start = step.address as usize * dot;
                let at = self.slot(cycle + u64::from(latency.vector_read));
                let word = &mut self.ports[slice as usize][at..at + elements];
                let present = memory.len().saturating_sub(start).min(elements);
                word[..present].copy_from_slice(&memory[start..start + present]);
                word[present..].fill(0);
            }
            (Unit::Write(slice), Operation::Write { source, last_beats, .. }) => {
                let beats = if step.end_of_level_0 { *last_beats as usize } else { elements / dot };
                let port = self.port(*source);
                let word = self.next_landing_word;
                self.next_landing_word = (word + elements) % self.landing_words.len();
                self.landing_words[word..word + elements].copy_from_slice(&self.ports[port][now..now + elements]);
                self.landings[slice as usize].push_back(Landing {
                    cycle: cycle + u64::from(latency.write_to_read),
                    address: step.address as usize,
                    beats,
                    word,
                });
                if options.record {
                    self.writes.push(WriteEvent {
                        cycle: cycle + u64::from(latency.crossbar),
                        slice,
                        address: step.address as u32,
                        elements: self.landing_words[word..word + beats * dot].to_vec(),
                    });
                }
            }
            (Unit::Requantiser, operation @ Operation::Requantise { .. }) => {
                let at = self.slot(cycle + u64::from(latency.requantise));
                let output = self.configuration.vector_slices as usize;
                let drains = &self.drains[now..now + elements];
                requantise_step(
                    &mut self.ports,
                    output,
                    at,
                    now,
                    drains,
                    (&self.scales, step.address as usize),
                    operation,
                    options.rounding,
                    |source| source.port(&self.configuration) as usize,
                );
                if let (Some(extension), &Operation::Requantise { minimum, tracking, .. }) =
                    (&mut self.extension, operation)
                {
                    let ends = (number == 0, self.sequencers[index].finished());
                    let ready = latency.extensions.map_or(0, |latency| latency.requantise_to_scalar);
                    let results = &mut self.ports[output][at..at + elements];
                    let (mask, ready) = (captured.mask, cycle + u64::from(ready));
                    let number = if tracking.each_run { run_step } else { number };
                    extension.track(results, mask, minimum, ends, number, tracking.maximum, ready);
                }
            }
            (Unit::Vector, &Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, .. })
                if self.extension.is_some() =>
            {
                let at = self.slot(cycle + u64::from(latency.vector(function, &arithmetic)));
                let (first, second) = (self.port(a), b.map(|b| self.port(b)));
                let Some(extension) = &mut self.extension else { return };
                let limits = (minimum, maximum);
                let (a, b) = (&self.ports[first], second.map(|second| &self.ports[second][now..now + elements]));
                let (a, constant) = (&a[now..now + elements], constant as i16);
                let finished = self.sequencers[index].finished();
                let now = VectorStep {
                    cycle,
                    step,
                    number,
                    finished,
                    captured,
                    function,
                    a,
                    b,
                    constant,
                    limits,
                    arithmetic,
                };
                let to_scalar = latency.vector_to_scalar(function, &arithmetic);
                let to_register = latency.vector_to_register(function, &arithmetic);
                let results = extension.vector(&now, u64::from(to_scalar), u64::from(to_register));
                let output = self.configuration.vector_slices as usize + 1;
                self.ports[output][at..at + elements].copy_from_slice(&results);
            }
            (Unit::Vector, &Operation::Softmax { source, table, length, .. }) => {
                let port = self.port(source);
                let (Some(passes), Some(latency)) = (&mut self.softmax, latency.softmax) else { return };
                let word = &self.ports[port][now..now + elements];
                if let Some(results) = passes.take(word, &step, number == 0, (table, length)) {
                    let at = self.slot(cycle + u64::from(latency.word));
                    let output = self.port(Source::Vector);
                    self.ports[output][at..at + elements].copy_from_slice(&results);
                }
            }
            (Unit::Vector, operation @ Operation::Vector { .. }) => {
                let at = self.slot(cycle + u64::from(latency.vector_unit));
                let output = self.configuration.vector_slices as usize + 1;
                vector_step(&mut self.ports, output, at, now, elements, operation, |source| {
                    source.port(&self.configuration) as usize
                });
            }
            _ => {}
        }
    }
}
