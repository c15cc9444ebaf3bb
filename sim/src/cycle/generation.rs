//! Runs one after the other, as a machine makes them that generates tokens by itself.

use super::{CycleError, CycleModel, Run};
use lpu_isa::generation::GenerationError;
use lpu_isa::host::{STAMP_BITS, TOKEN_REGISTER};
use lpu_isa::latency::between_runs;
use lpu_isa::program::Program;

/// The memory of tokens, and what the machine knows of a generation.
#[derive(Debug)]
pub struct Generation {
    /// A token for each position, and above it the lowest bits of the cycle count when it was chosen.
    words: Vec<u32>,
    /// The last word that the host has written.
    last_written: u32,
    /// First instruction of the schedule for so many positions each.
    entries: Vec<u32>,
    granule: u32,
    /// Position of the next run, how many are left, and the cycle count so far.
    next: u32,
    left: u32,
    cycles: u64,
}

impl Generation {
    /// That of a machine with `program` loaded; a machine that does not generate has an empty memory.
    pub fn new(program: &Program) -> Generation {
        let configuration = &program.configuration;
        Generation {
            words: vec![0; configuration.tokens() as usize],
            last_written: 0,
            entries: program.entry_points(),
            granule: configuration.positions_per_entry(),
            next: 0,
            left: 0,
            cycles: 0,
        }
    }
}

impl CycleModel<'_> {
    /// Writes tokens from position `first` on, as the host does between runs; those beyond the memory are dropped.
    pub fn write_tokens(&mut self, first: u32, tokens: &[u16]) {
        for (position, &token) in (first..).zip(tokens) {
            if let Some(word) = self.generation.words.get_mut(position as usize) {
                *word = u32::from(token);
                self.generation.last_written = position;
            }
        }
    }

    /// The word of the memory of tokens at `position`, a token and a count; 0 where there is none.
    pub fn token_word(&self, position: u32) -> u32 {
        self.generation.words.get(position as usize).copied().unwrap_or(0)
    }

    /// Begins with `runs` runs from position `first` on; [`next_run`](Self::next_run) makes one after the other.
    ///
    /// # Errors
    /// A program that cannot generate, no run, no room.
    pub fn generate(&mut self, first: u32, runs: u32) -> Result<(), GenerationError> {
        self.program.generation(first, runs)?;
        let token = self.token_word(first) as u16;
        self.set_register(TOKEN_REGISTER, token);
        let generation = &mut self.generation;
        (generation.next, generation.left, generation.cycles) = (first, runs, 0);
        Ok(())
    }

    /// Makes the next run of a generation: what is measured of it, and the cycle count at its end. None where no run is left.
    ///
    /// # Errors
    /// A schedule that does not end.
    pub fn next_run(&mut self) -> Result<Option<(Run, u64)>, CycleError> {
        let Generation { next, left, granule, .. } = self.generation;
        if left == 0 {
            return Ok(None);
        }
        let entry = self.generation.entries.get((next / granule) as usize).copied().unwrap_or(0);
        let run = self.run_from(entry as usize)?;
        let chosen = self.register(TOKEN_REGISTER);
        let generation = &mut self.generation;
        let end = generation.cycles + run.cycles;
        // The first issue of the next run comes so much later.
        generation.cycles = end + u64::from(between_runs(&self.program.configuration));
        (generation.next, generation.left) = (next + 1, left - 1);
        let given = next < generation.last_written;
        let mut brought = None;
        if let Some(word) = generation.words.get_mut(next as usize + 1) {
            let token = if given { *word as u16 } else { chosen };
            let stamp = end as u32 & ((1 << STAMP_BITS) - 1);
            *word = u32::from(token) | stamp << u16::BITS;
            brought = (given && left > 1).then_some(token);
        }
        if let Some(token) = brought {
            self.set_register(TOKEN_REGISTER, token);
        }
        Ok(Some((run, end)))
    }
}
