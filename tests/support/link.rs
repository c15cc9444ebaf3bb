//! Work for a host link whose results are known: whatever the link does on the way, every word read back must be the one that
//! was written, and every run must have been started once.

use crate::random::Random;
use lpu_firmware::{Driver, Link, MAX_WORDS, Machine, MachineStatus};
use lpu_isa::configuration::Configuration;
use lpu_isa::encoding::word_bits;
use lpu_isa::host::{BUS_BITS, Memory};
use lpu_isa::identity::identity;
use lpu_isa::instruction::{Instruction, Operation};
use lpu_isa::unit::Unit;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;

/// What has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Requests that the driver reported as carried out.
    pub requests: u64,
    /// Runs started.
    pub starts: u64,
    /// Words read back and compared.
    pub compared: u64,
}

/// A very small machine.
#[must_use]
pub fn tiny() -> Configuration {
    Configuration {
        tiles: 1,
        dot: 4,
        stream_elements: 4,
        weight_depth: 16,
        vector_slices: 1,
        vector_depth: 256,
        scale_depth: 4,
        queue_depth: 4,
        ..Configuration::default()
    }
}

/// Loads a program that only halts into every queue.
///
/// # Errors
/// The link gives up.
pub fn load_halts<L: Link<Error: Debug>>(
    driver: &mut Driver<L>,
    configuration: &Configuration,
) -> Result<(), Box<dyn Error>> {
    let halt = Instruction { interval: configuration.minimum_interval(), operation: Operation::Halt };
    for (number, unit) in Unit::all(configuration).into_iter().enumerate() {
        let mut bits = halt.encode(unit, configuration)?;
        assert!(bits.len() as u32 == word_bits(unit, configuration), "{unit:?}");
        let word_bits = configuration.queue_word_bits_of(unit);
        bits.resize((word_bits * configuration.queue_words_per_instruction()) as usize, false);
        let memory = Memory::Queue(number as u32);
        let words: Vec<u32> = bits
            .chunks(word_bits as usize)
            .flat_map(|word| {
                word.chunks(BUS_BITS as usize).map(|chunk| {
                    chunk.iter().by_vals().enumerate().fold(0, |value, (place, bit)| value | u32::from(bit) << place)
                })
            })
            .collect();
        let loaded = driver.load(memory.number() as u8, 0, memory.chunks(configuration) as u8, &words);
        loaded.map_err(|error| format!("halts: {error:?}"))?;
    }
    Ok(())
}

/// Random writes, reads, runs and questions, until `requests` of them have been carried out.
///
/// # Errors
/// The link gives up, or the first word, cycle count or answer that is not what it must be.
pub fn work<L: Link<Error: Debug>>(
    driver: &mut Driver<L>,
    configuration: &Configuration,
    requests: u64,
    random: &mut Random,
) -> Result<Done, Box<dyn Error>> {
    let beats = configuration.vector_depth * configuration.beats_per_word();
    let chunks = Memory::Vector(0).chunks(configuration) as usize;
    let most = MAX_WORDS / chunks;
    let mut done = Done::default();
    let mut written: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    while done.requests < requests {
        let slice = random.below(configuration.vector_slices as usize) as u32;
        let unit = Memory::Vector(slice).number() as u8;
        let count = random.within(1, most.min(beats as usize));
        let address = random.below(beats as usize - count + 1) as u32;
        let number = done.requests;
        match random.below(10) {
            0..=4 => {
                let words: Vec<u32> = (0..count * chunks).map(|_| random.bits() as u32).collect();
                driver
                    .load(unit, address, chunks as u8, &words)
                    .map_err(|error| format!("write {number}: {error:?}"))?;
                written
                    .extend((address..).zip(words.chunks(chunks)).map(|(beat, word)| ((slice, beat), word.to_vec())));
            }
            5..=7 => {
                let mut words = vec![0; count * chunks];
                let read = driver.read_vector(unit, address, chunks as u8, &mut words);
                read.map_err(|error| format!("read {number}: {error:?}"))?;
                for (beat, word) in (address..).zip(words.chunks(chunks)) {
                    let Some(expected) = written.get(&(slice, beat)) else { continue };
                    done.compared += chunks as u64;
                    if word != expected {
                        return Err(format!(
                            "request {number}: slice {slice} beat {beat}: {word:x?}, not {expected:x?}"
                        )
                        .into());
                    }
                }
            }
            8 => {
                driver.run(0).map_err(|error| format!("run {number}: {error:?}"))?;
                done.starts += 1;
            }
            _ => {
                let status = driver.status().map_err(|error| format!("status {number}: {error:?}"))?;
                // Also a machine that nobody has started says that it is done.
                if status.identity != identity(configuration) || status.running || !status.done {
                    return Err(format!("request {number}: {status:?} after {} starts", done.starts).into());
                }
            }
        }
        done.requests += 1;
    }
    Ok(done)
}

/// A machine that is memory alone, and counts its starts.
#[derive(Default)]
pub struct Memories {
    identity: u32,
    chunks: usize,
    words: BTreeMap<(u8, u32), Vec<u32>>,
    /// Runs started.
    pub starts: u64,
}

impl Memories {
    /// The memories of a machine.
    #[must_use]
    pub fn new(configuration: &Configuration) -> Memories {
        let chunks = Memory::Vector(0).chunks(configuration) as usize;
        Memories { identity: identity(configuration), chunks, ..Memories::default() }
    }
}

impl Machine for Memories {
    fn write(&mut self, unit: u8, address: u32, chunks: u8, words: &[u32]) {
        for (address, word) in (address..).zip(words.chunks(usize::from(chunks))) {
            self.words.insert((unit, address), word.to_vec());
        }
    }

    fn start(&mut self, _: u32) {
        self.starts += 1;
    }

    fn status(&mut self) -> MachineStatus {
        MachineStatus { running: false, done: true, cycles: 2, identity: self.identity }
    }

    fn read(&mut self, unit: u8, address: u32, words: &mut [u32]) {
        for (address, word) in (address..).zip(words.chunks_mut(self.chunks)) {
            if let Some(stored) = self.words.get(&(unit, address)) {
                word.copy_from_slice(&stored[..word.len()]);
            }
        }
    }
}
