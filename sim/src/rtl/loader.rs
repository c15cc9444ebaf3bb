//! Bringing a program to a machine and its results back, over the host link.

use super::port::HostPort;
use crate::verilated::ModelError;
use lpu_firmware::{Device, Driver, DriverError, Link};
use lpu_isa::configuration::Configuration;
use lpu_isa::host::Memory;
use lpu_isa::instruction::InstructionError;
use lpu_isa::program::{Program, Region};
use std::collections::VecDeque;
use thiserror::Error;

/// Words of the host bus in one request: a multiple of every memory's chunks would be ideal, whole words are enough.
const WORDS_A_REQUEST: usize = lpu_firmware::MAX_WORDS;

/// Why the link failed.
#[derive(Debug, Error)]
pub enum LoaderError {
    /// The driver gave up.
    #[error("the host link failed: {0}")]
    Link(String),
    /// The simulated machine failed behind the link.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An instruction of the program has no encoding.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
}

/// A byte stream that ends at a simulated device in the same process. It loses nothing.
pub struct SimulatedLink {
    device: Device<HostPort>,
    answers: VecDeque<u8>,
}

impl SimulatedLink {
    /// A link to `port`.
    pub fn new(port: HostPort) -> SimulatedLink {
        SimulatedLink { device: Device::new(port), answers: VecDeque::new() }
    }

    /// The port at its far end.
    pub fn port(&mut self) -> &mut HostPort {
        self.device.machine_mut()
    }
}

impl Link for SimulatedLink {
    type Error = ModelError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        for &byte in bytes {
            if let Some(answer) = self.device.push(byte) {
                self.answers.extend(answer);
            }
        }
        self.port().fault().map_or(Ok(()), Err)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ModelError> {
        let count = buffer.len().min(self.answers.len());
        for (slot, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

impl From<DriverError<ModelError>> for LoaderError {
    fn from(error: DriverError<ModelError>) -> Self {
        match error {
            DriverError::Link(error) => LoaderError::Model(error),
            other => LoaderError::Link(format!("{other:?}")),
        }
    }
}

type SimulatedDriver = Driver<SimulatedLink>;

/// Writes words of `memory` from word `first` on; `chunks` holds each word's chunks.
fn write(
    driver: &mut SimulatedDriver,
    configuration: &Configuration,
    memory: Memory,
    first: u32,
    chunks: &[u32],
) -> Result<(), LoaderError> {
    let each = memory.chunks(configuration) as usize;
    let whole = WORDS_A_REQUEST / each * each;
    let mut address = first * each as u32;
    for part in chunks.chunks(whole) {
        driver.load(memory.number() as u8, address, part)?;
        address += part.len() as u32;
    }
    Ok(())
}

/// Packs elements of `bits` bits into bus words, each memory word beginning a new one.
fn pack(values: impl Iterator<Item = u64>, bits: usize, per_word: usize) -> Vec<u32> {
    let mut chunks = Vec::new();
    let mut word: u128 = 0;
    let mut filled = 0;
    for value in values {
        word |= u128::from(value & ((1 << bits) - 1)) << (bits * filled);
        filled += 1;
        if filled == per_word {
            let mut left = (bits * per_word).div_ceil(32);
            while left > 0 {
                chunks.push(word as u32);
                word >>= 32;
                left -= 1;
            }
            word = 0;
            filled = 0;
        }
    }
    chunks
}

/// Loads weights, scales and instructions.
///
/// # Errors
/// A failing link.
pub fn load(driver: &mut SimulatedDriver, program: &Program) -> Result<(), LoaderError> {
    let configuration = &program.configuration;
    let dot = configuration.dot as usize;
    for (tile, weights) in program.weights.iter().enumerate() {
        let chunks = pack(weights.iter().map(|&weight| weight as u8 as u64), 8, dot);
        write(driver, configuration, Memory::Weights(tile as u32), 0, &chunks)?;
    }
    for lane in 0..configuration.stream_elements {
        let memory = Memory::Scale(lane);
        let entries = program.scales.iter().filter_map(|entry| entry.get(lane as usize));
        let chunks: Vec<u32> = entries
            .flat_map(|scale| {
                let word = scale.encode();
                [word as u32, (word >> 32) as u32]
            })
            .collect();
        write(driver, configuration, memory, 0, &chunks)?;
    }
    for (index, queue) in program.queues.iter().enumerate() {
        let mut chunks = Vec::new();
        for placed in &queue.instructions {
            let mut word = placed.instruction.encode(queue.unit, configuration)?;
            word.resize(word.len().div_ceil(32) * 32, false);
            chunks.extend_from_slice(word.as_raw_slice());
        }
        write(driver, configuration, Memory::Queue(index as u32), 0, &chunks)?;
    }
    Ok(())
}

/// Writes a tensor: whole beats, zero where it has no element.
///
/// # Errors
/// A failing link.
pub fn write_region(
    driver: &mut SimulatedDriver,
    configuration: &Configuration,
    region: &Region,
    values: &[i8],
) -> Result<(), LoaderError> {
    let mut elements = vec![0i16; (region.beats * configuration.dot) as usize];
    for (&position, &value) in region.positions.iter().zip(values) {
        elements[position as usize] = i16::from(value);
    }
    let chunks = pack(elements.iter().map(|&element| element as u16 as u64), 16, configuration.dot as usize);
    write(driver, configuration, Memory::Vector(region.slice), region.base, &chunks)
}

/// Reads a tensor back: the low byte of each element.
///
/// # Errors
/// A failing link.
pub fn read_region(
    driver: &mut SimulatedDriver,
    configuration: &Configuration,
    region: &Region,
) -> Result<Vec<i8>, LoaderError> {
    let memory = Memory::Vector(region.slice);
    let each = memory.chunks(configuration) as usize;
    let mut chunks = vec![0u32; region.beats as usize * each];
    let mut address = region.base * each as u32;
    for part in chunks.chunks_mut(WORDS_A_REQUEST / each * each) {
        driver.read_vector(memory.number() as u8, address, part)?;
        address += part.len() as u32;
    }
    let dot = configuration.dot as usize;
    let element = |position: u32| {
        let (beat, lane) = (position as usize / dot, position as usize % dot);
        (chunks[beat * each + lane / 2] >> (16 * (lane % 2))) as i8
    };
    Ok(region.positions.iter().map(|&position| element(position)).collect())
}

/// Starts the program and waits for its end. The machine's own cycle count, or `None` after `limit` cycles.
///
/// # Errors
/// A failing link.
pub fn run(driver: &mut SimulatedDriver, limit: u64) -> Result<Option<u64>, LoaderError> {
    driver.run(0)?;
    loop {
        let status = driver.status()?;
        if status.done {
            return Ok(Some(status.cycles));
        }
        if status.cycles > limit {
            return Ok(None);
        }
    }
}
