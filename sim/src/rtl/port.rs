//! The host port of the Verilated model, as the device end of the link sees it.

use crate::cycle::WriteEvent;
use crate::verilated::{Model, ModelError, PortIndex};
use lpu_firmware::{Machine, MachineStatus};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::host::{ADDRESS_BITS, Command, Generation, Memory};
use lpu_isa::identity::identity;
use lpu_isa::latency::Latency;
use std::path::Path;

/// Cycles that a run is given between two looks at its status: two tokens or so, which come one after the other then.
const CYCLES_A_LOOK: u64 = 1 << 13;
/// The same where writes are recorded: a generation to its end, because a host that reads meanwhile would let cycles pass unrecorded.
const RECORDED_CYCLES_A_LOOK: u64 = 1 << 24;
/// Cycles from a start command until the machine is surely running.
const CYCLES_TO_START: u64 = 20;
/// Cycles from a read command to its data, beside the vector memory's own latency.
const CYCLES_TO_DATA: u64 = 8;

/// Host pins, and what has been seen of the run.
pub struct HostPort {
    model: Model,
    configuration: Configuration,
    command: PortIndex,
    data: PortIndex,
    read_valid: PortIndex,
    read_data: PortIndex,
    done: PortIndex,
    cycles: PortIndex,
    record: bool,
    writes: Vec<WriteEvent>,
    transfer_cycles: u64,
    fault: Option<ModelError>,
}

impl HostPort {
    /// Takes over a fresh model and resets it.
    ///
    /// # Errors
    /// A model without the host pins.
    pub fn new(mut model: Model, configuration: &Configuration, record: bool) -> Result<HostPort, ModelError> {
        let reset = model.port("reset")?;
        model.set(reset, 1);
        model.tick(4)?;
        model.set(reset, 0);
        model.tick(4)?;
        Ok(HostPort {
            command: model.port("host_command")?,
            data: model.port("host_data")?,
            read_valid: model.port("host_read_valid")?,
            read_data: model.port("host_read_data")?,
            done: model.port("done")?,
            cycles: model.port("cycles")?,
            configuration: configuration.clone(),
            record,
            writes: Vec::new(),
            transfer_cycles: 0,
            fault: None,
            model,
        })
    }

    /// The first failure of the model, if there was one.
    pub fn fault(&mut self) -> Option<ModelError> {
        self.fault.take()
    }

    /// Cycles spent on transfers.
    pub fn transfer_cycles(&self) -> u64 {
        self.transfer_cycles
    }

    /// Clock cycles since the model was made.
    pub fn simulated_cycles(&self) -> u64 {
        self.model.cycles()
    }

    /// The writes recorded since the last start.
    pub fn take_writes(&mut self) -> Vec<WriteEvent> {
        std::mem::take(&mut self.writes)
    }

    /// Begins a wave file.
    ///
    /// # Errors
    /// A model that was built without tracing, or a file that cannot be made.
    pub fn open_trace(&mut self, path: &Path) -> Result<(), ModelError> {
        self.model.open_trace(path)
    }

    /// Ends the wave file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn close_trace(&mut self) -> Result<(), ModelError> {
        self.model.close_trace()
    }

    fn keep<T: Default>(&mut self, result: Result<T, ModelError>) -> T {
        result.unwrap_or_else(|error| {
            self.fault.get_or_insert(error);
            T::default()
        })
    }

    /// One command a cycle.
    fn commands(&mut self, rows: &[u32], outputs: &[PortIndex]) -> Vec<u32> {
        self.transfer_cycles += rows.len() as u64 / 2;
        let answer = self.model.exchange(&[self.command, self.data], rows, outputs);
        self.keep(answer)
    }

    /// A cycle in which nothing is written yet.
    fn pass(&mut self) {
        let result = if self.record {
            let mut row = vec![0; self.model.log_row_words()];
            self.model.tick_logged(&mut row).map(drop)
        } else {
            self.model.tick(1)
        };
        self.keep(result);
    }

    fn memory(&self, unit: u8) -> Option<Memory> {
        Memory::all(&self.configuration).into_iter().find(|memory| memory.number() == u32::from(unit))
    }

    /// Runs until the machine is done or `cycles` have passed.
    fn advance(&mut self, cycles: u64) {
        if !self.record {
            let result = self.model.run_until(self.done, cycles);
            self.keep(result);
            return;
        }
        let stride = self.model.log_row_words();
        let mut log = vec![0; stride * cycles.min(4096) as usize];
        let mut left = cycles;
        while left > 0 {
            let rows = left.min(4096);
            let result = self.model.run_until_logged(self.done, &mut log[..stride * rows as usize]);
            let (made, reached) = self.keep(result);
            for row in log[..stride * made as usize].chunks_exact(stride) {
                self.note_writes(row);
            }
            left = left.saturating_sub(made.max(1));
            if reached || self.fault.is_some() {
                return;
            }
        }
    }

    /// Reads one row of observed signals: the cycle count, which is one less than the cycle, then for each slice strobe, address, word and last beat.
    fn note_writes(&mut self, row: &[u32]) {
        let configuration = &self.configuration;
        let cycle = (u64::from(row[0]) | u64::from(row[1]) << 32) + 1;
        let word = (configuration.stream_elements * ELEMENT_BITS).div_ceil(32) as usize;
        let partial = configuration.beats_per_word() > 1;
        let stride = 2 + word + usize::from(partial);
        for (slice, signals) in row[2..].chunks_exact(stride).enumerate() {
            if signals[0] == 0 {
                continue;
            }
            let beats = if partial { signals[2 + word] + 1 } else { 1 };
            let elements = (0..beats * configuration.dot)
                .map(|element| (signals[2 + element as usize / 2] >> (16 * (element % 2))) as u16 as i16)
                .collect();
            self.writes.push(WriteEvent { cycle, slice: slice as u32, address: signals[1], elements });
        }
    }
}

impl Machine for HostPort {
    fn write(&mut self, unit: u8, address: u32, chunks: u8, words: &[u32]) {
        let mut rows = Vec::with_capacity(2 * words.len() + 4);
        rows.extend([Command::Address as u32, bus_address(unit, address)]);
        for word in words.chunks_exact(usize::from(chunks).max(1)) {
            for (index, &chunk) in word.iter().enumerate() {
                let command = if index + 1 == word.len() { Command::Write } else { Command::Shift };
                rows.extend([command as u32, chunk]);
            }
        }
        rows.extend([Command::Idle as u32, 0]);
        self.commands(&rows, &[]);
    }

    fn start(&mut self, entry: u32) {
        self.writes.clear();
        self.commands(&[Command::Start as u32, entry, Command::Idle as u32, 0], &[]);
        let done = self.done;
        // The first cycles pass without a look at `done`, which still stands from the run before.
        let mut left = CYCLES_TO_START;
        while left > 0 && (left == CYCLES_TO_START || self.model.get(done) != 0) {
            self.pass();
            left -= 1;
        }
    }

    fn generates(&self) -> bool {
        self.configuration.generates()
    }

    fn generate(&mut self, first: u16, runs: u16) {
        self.writes.clear();
        let asked = Generation { first, runs }.bus_word();
        self.commands(&[Command::Generate as u32, asked, Command::Idle as u32, 0], &[]);
        // The count still stands from the run before.
        (0..CYCLES_TO_START).for_each(|_| self.pass());
    }

    fn status(&mut self) -> MachineStatus {
        if self.model.get(self.done) == 0 {
            self.advance(if self.record { RECORDED_CYCLES_A_LOOK } else { CYCLES_A_LOOK });
        }
        let done = self.model.get(self.done) != 0;
        let identity = identity(&self.configuration);
        MachineStatus { running: !done, done, cycles: self.model.get(self.cycles), identity }
    }

    fn read(&mut self, unit: u8, address: u32, words: &mut [u32]) {
        // A register or a token comes as a beat too.
        let Some(memory @ (Memory::Vector(_) | Memory::Registers | Memory::Tokens)) = self.memory(unit) else { return };
        let chunks = Memory::Vector(0).chunks(&self.configuration) as usize;
        let beats = words.len().div_ceil(chunks);
        let mut rows = vec![Command::Address as u32, memory.bus_address(address)];
        for _ in 0..beats {
            rows.extend([Command::Read as u32, 0]);
        }
        let wait = CYCLES_TO_DATA + u64::from(Latency::of(&self.configuration).vector_read);
        for _ in 0..wait {
            rows.extend([Command::Idle as u32, 0]);
        }
        let outputs = [self.read_valid, self.read_data];
        let answer = self.commands(&rows, &outputs);
        let mut arrived = Vec::with_capacity(beats * chunks);
        for row in answer.chunks_exact(1 + chunks).filter(|row| row[0] != 0) {
            arrived.extend_from_slice(&row[1..]);
        }
        for (word, value) in words.iter_mut().zip(arrived) {
            *word = value;
        }
    }
}

/// The bus word that addresses a memory by its number, whether or not the machine has it.
fn bus_address(unit: u8, address: u32) -> u32 {
    u32::from(unit) << ADDRESS_BITS | address & ((1 << ADDRESS_BITS) - 1)
}
