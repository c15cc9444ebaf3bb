//! Words that pass through the vector unit or the requantiser on their way from one place of the vector memory to another.
//!
//! # Cost
//!
//! A cycle for each word, through the requantiser `requantise_interval`; behind that a round trip: read, unit, write to read.

use super::Lowering;
use super::layout::Layout;
use super::nest::{Nest, repeat};
use crate::error::CompileError;
use crate::schedule::{Draft, Stored};
use lpu_isa::arithmetic::Requantise;
use lpu_isa::instruction::{Function, Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::program::{Region, Scale};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::Arithmetic;

/// What the words pass through.
#[derive(Clone, Copy, Debug)]
pub enum Through {
    /// The vector unit.
    Vector {
        /// Of the first stream, and the second one or the constant.
        function: Function,
        /// Second operand where there is one stream.
        constant: i32,
    },
    /// The requantiser: `(element + bias) × scale`, rounded twice.
    Requantiser {
        /// Multiplier, shift, bias.
        scale: Scale,
        /// Added then.
        zero_point: i32,
    },
    /// The requantiser, which takes the scale of the first stream's elements from the entry that the last one's choose.
    Lookup {
        /// First entry.
        base: u32,
        /// Added after scaling.
        zero_point: i32,
    },
}

/// Words on their way.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    /// The layer, for messages.
    pub name: &'a str,
    /// One or two streams: slice, addresses, and for each beat from the given one when it may be read.
    pub reads: Vec<(u32, Nest, &'a [u64], u32)>,
    /// What they pass through.
    pub through: Through,
    /// Least result.
    pub minimum: i32,
    /// Largest result.
    pub maximum: i32,
    /// Where the results go: slice and addresses.
    pub write: (u32, Nest),
    /// Another slice where they go too, and how far behind those addresses.
    pub also: Option<(u32, i64)>,
    /// Beats of the last word of each innermost loop.
    pub last_beats: u32,
    /// No step before this cycle.
    pub earliest: u64,
    /// Last cycle in which what is overwritten is read.
    pub last_read: u64,
    /// The layer's number, where the results are a layer's.
    pub number: Option<u32>,
}

/// What a stream has come to.
pub struct Streamed {
    /// Cycle of the first step.
    pub start: u64,
    /// Cycle of the last read.
    pub last_read: u64,
    /// Beats written and when they may be read.
    pub landed: Vec<(u32, u64)>,
}

impl Lowering<'_> {
    /// Places a stream behind everything placed so far; in several where its loops are more than a sequencer has levels.
    ///
    /// # Errors
    /// A memory that is too small, or a loop beyond the counters.
    pub fn stream(&mut self, stream: &Stream<'_>) -> Result<Streamed, CompileError> {
        let configuration = self.schedule.configuration.clone();
        let latency = self.schedule.latency.clone();
        let (unit, port, cycles, pace) = match stream.through {
            Through::Vector { function, .. } => {
                (Unit::Vector, Source::Vector, latency.vector(function, &Arithmetic::default()), 1)
            }
            Through::Requantiser { .. } | Through::Lookup { .. } => {
                (Unit::Requantiser, Source::Requantiser, latency.requantise, configuration.requantise_interval)
            }
        };
        let gap = pace - 1;
        let pieces = |nest: &Nest| nest.pieces(stream.name, &configuration, gap, gap);
        let written = pieces(&stream.write.1)?;
        let read: Vec<_> = stream.reads.iter().map(|(_, nest, ..)| pieces(nest)).collect::<Result<_, _>>()?;
        // Unit and steps count alike: by the loops of the first stream, without addresses.
        let still = |nest: &Nest| Nest { base: 0, ..nest.clone().still() };
        let counted = pieces(&still(&stream.write.1))?;
        if written.len() > 1 || counted.len() > 1 || read.iter().any(|pieces| pieces.len() > 1) {
            return self.stream_in_parts(stream);
        }
        let sources: Vec<Source> = stream.reads.iter().map(|&(slice, ..)| Source::Slice(slice)).collect();
        let operation = match stream.through {
            Through::Vector { function, constant } => Operation::Vector {
                function,
                a: sources[0],
                b: sources.get(1).copied(),
                constant,
                minimum: stream.minimum,
                maximum: stream.maximum,
                arithmetic: Arithmetic::default(),
                sequence: counted[0].sequence,
            },
            Through::Lookup { base, zero_point } => Operation::Requantise {
                from: RequantiseFrom::Lookup { operand: sources[0], index: sources[sources.len() - 1] },
                zero_point,
                minimum: stream.minimum,
                maximum: stream.maximum,
                tracking: Tracking::default(),
                sequence: Sequence { base, ..counted[0].sequence },
            },
            Through::Requantiser { scale, zero_point } => {
                let lanes = configuration.stream_elements as usize;
                let index = self.add_scales(stream.name, vec![vec![scale; lanes]])?;
                let mut sequence = counted[0].sequence;
                sequence.base = index;
                Operation::Requantise {
                    from: RequantiseFrom::Stream(sources[0]),
                    zero_point,
                    minimum: stream.minimum,
                    maximum: stream.maximum,
                    tracking: Tracking::default(),
                    sequence,
                }
            }
        };
        // All offsets count from the first step of the reads.
        let unit_offset = i64::from(latency.vector_read);
        let write_offset = unit_offset + i64::from(cycles);
        let mut drafts = vec![Draft { unit, offset: unit_offset, operation }];
        let mut origin = stream.earliest.max(1);
        let word = configuration.beats_per_word();
        for ((slice, _, ready, base), pieces) in stream.reads.iter().zip(&read) {
            let sequence = pieces[0].sequence;
            drafts.push(Draft { unit: Unit::Read(*slice), offset: 0, operation: Operation::Read { sequence } });
            origin = origin.max(readable_from(&sequence, (*ready, *base), word));
        }
        let sequence = written[0].sequence;
        let last_beats = stream.last_beats;
        let operation = Operation::Write { source: port, last_beats, sequence };
        drafts.push(Draft { unit: Unit::Write(stream.write.0), offset: write_offset, operation });
        if let Some((slice, behind)) = stream.also {
            let base = u32::try_from(i64::from(sequence.base) + behind).map_err(|_| {
                let why = "a copy lies outside the vector memory".to_string();
                CompileError::Unsupported { layer: stream.name.into(), why }
            })?;
            let operation = Operation::Write { source: port, last_beats, sequence: Sequence { base, ..sequence } };
            drafts.push(Draft { unit: Unit::Write(slice), offset: write_offset, operation });
        }
        // As in a fully connected layer: what has been read may be overwritten from the next cycle on.
        origin = origin.max((stream.last_read + 1).saturating_sub(write_offset as u64));
        let origin = self.schedule.earliest(origin, &drafts);
        self.schedule.place(origin, &drafts, stream.number);
        let landed = self.landed(&sequence, last_beats, origin + write_offset as u64);
        let last_read = origin + read[0][0].sequence.duration() - 1;
        Ok(Streamed { start: origin, last_read, landed })
    }

    /// The beats that a write port stores whose first step is in cycle `start`, and when each can be read; the program does not end before.
    pub(super) fn landed(&mut self, sequence: &Sequence, last_beats: u32, start: u64) -> Vec<(u32, u64)> {
        let word = self.schedule.configuration.beats_per_word();
        let write_to_read = u64::from(self.schedule.latency.write_to_read);
        let mut landed = Vec::new();
        for step in sequence.steps() {
            let beats = if step.end_of_level_0 { last_beats } else { word };
            let cycle = start + u64::from(step.offset) + write_to_read;
            landed.extend((0..beats).map(|beat| (step.address as u32 + beat, cycle)));
            self.schedule.note_end(cycle);
        }
        landed
    }

    /// Each iteration of the outermost loop as a stream of its own.
    fn stream_in_parts(&mut self, stream: &Stream<'_>) -> Result<Streamed, CompileError> {
        let outermost = |nest: &Nest| nest.outer.iter().rposition(|level| level.count > 1);
        let Some(position) = outermost(&stream.write.1) else {
            let why = "the loops of a stream do not fit a sequencer".to_string();
            return Err(CompileError::Unsupported { layer: stream.name.into(), why });
        };
        let count = stream.write.1.outer[position].count;
        let iteration = |nest: &Nest, index: u64| {
            let mut nest = nest.clone();
            nest.base += nest.outer[position].stride * index as i64;
            nest.outer[position].count = 1;
            nest
        };
        let mut whole: Option<Streamed> = None;
        for index in 0..count {
            let reads =
                stream.reads.iter().map(|(slice, nest, ready, base)| (*slice, iteration(nest, index), *ready, *base));
            let write = (stream.write.0, iteration(&stream.write.1, index));
            let part = self.stream(&Stream { reads: reads.collect(), write, ..stream.clone() })?;
            whole = Some(match whole {
                None => part,
                Some(mut whole) => {
                    whole.last_read = part.last_read;
                    whole.landed.extend(part.landed);
                    whole
                }
            });
        }
        whole.ok_or_else(|| CompileError::Unsupported {
            layer: stream.name.into(),
            why: "a stream without words".into(),
        })
    }

    /// The beats of `addresses` become `value`, and so do those of a copy: whatever the unit reads, its limits make that of it.
    pub(super) fn fill(
        &mut self,
        name: &str,
        (slice, also): (u32, Option<(u32, i64)>),
        addresses: Nest,
        last_beats: u32,
        value: i32,
        last_read: u64,
    ) -> Result<Streamed, CompileError> {
        let (from, base, ready) = self.filler(name)?;
        let through = self.through_clamp();
        let reads = vec![(from, Nest { base: i64::from(base), ..addresses.clone().still() }, &[][..], base)];
        let write = (slice, addresses);
        self.stream(&Stream {
            name,
            reads,
            through,
            minimum: value,
            maximum: value,
            write,
            also,
            last_beats,
            earliest: ready,
            last_read,
            number: None,
        })
    }

    /// What changes an element by its clamp alone.
    #[must_use]
    pub fn through_clamp(&self) -> Through {
        if self.schedule.configuration.vector_unit {
            return Through::Vector { function: Function::Pass, constant: 0 };
        }
        let (multiplier, shift) = Requantise::IDENTITY;
        Through::Requantiser { scale: Scale { multiplier, shift, bias: 0 }, zero_point: 0 }
    }

    /// A word that has been written, whatever it holds, in the slice whose read port is free first: its slice, its first beat, and when
    /// it may be read.
    fn filler(&mut self, name: &str) -> Result<(u32, u32, u64), CompileError> {
        let Some((from, ready)) = self.fillers[0] else {
            let why = "there is no word to fill padding with".to_string();
            return Err(CompileError::Unsupported { layer: name.into(), why });
        };
        // The first time, one in each slice that has room.
        if self.fillers.iter().skip(1).all(Option::is_none) {
            for other in 1..self.fillers.len() as u32 {
                self.place_filler(name, other, (from, ready));
            }
        }
        let free = |&slice: &u32| {
            let unit = Unit::Read(slice);
            let instructions = if self.schedule.is_sparing() { self.schedule.instructions(unit) } else { 0 };
            (instructions, self.schedule.free_from(unit))
        };
        let slices = (0..self.fillers.len() as u32).filter(|&slice| self.fillers[slice as usize].is_some());
        let best = slices.min_by_key(free).unwrap_or(0);
        let (base, ready) = self.fillers[best as usize].unwrap_or((from, ready));
        Ok((best, base, ready))
    }

    /// Puts a word to fill with into `slice`, from the one in slice 0, if there is room.
    fn place_filler(&mut self, name: &str, slice: u32, (from, ready): (u32, u64)) {
        let word = self.schedule.configuration.beats_per_word();
        let Ok((slice, base, last_read)) = self.schedule.allocate_in(self.model, name, word, &[slice]) else { return };
        let one = |base: u32| Nest { base: i64::from(base), inner: vec![repeat(1, 0)], ..Nest::default() };
        let streamed = self.stream(&Stream {
            name,
            reads: vec![(0, one(from), &[][..], from)],
            through: self.through_clamp(),
            minimum: 0,
            maximum: 0,
            write: (slice, one(base)),
            also: None,
            last_beats: word,
            earliest: ready,
            last_read,
            number: None,
        });
        let Ok(streamed) = streamed else { return };
        let ready = streamed.landed.iter().map(|&(_, cycle)| cycle).max().unwrap_or(0);
        self.fillers[slice as usize] = Some((base, ready));
    }

    /// Fills the padding of an image with `value`.
    ///
    /// # Errors
    /// A loop beyond the counters.
    pub fn fill_padding(
        &mut self,
        name: &str,
        layout: &Layout,
        stored: &mut Stored,
        value: i32,
        last_read: u64,
    ) -> Result<(), CompileError> {
        let word = u64::from(self.schedule.configuration.beats_per_word());
        let (slice, base) = (stored.region.slice, i64::from(stored.region.base));
        let also = stored.twin.map(|(slice, copy)| (slice, i64::from(copy) - base));
        let (first, last) =
            (layout.beat(0, 0, 0), layout.beat(layout.rows as i64 - 1, layout.columns as i64, layout.blocks() - 1));
        let between = layout.block_pitch() - layout.columns * layout.block_beats;
        let lines = layout.rows * layout.blocks();
        // In front of the first row, between two rows, behind the last: first beat, beats, how often, at which distance.
        let mut ranges = [
            (0, first as u64, 1, 0),
            (layout.beat(0, layout.columns as i64, 0), between, lines - 1, layout.block_pitch() as i64),
            (last, layout.beats() - last as u64, 1, 0),
        ];
        // Where there are as many behind as in front, both at once.
        if self.schedule.is_sparing() && ranges[0].1 == ranges[2].1 {
            (ranges[0].2, ranges[0].3, ranges[2].2) = (2, last, 0);
        }
        for (start, beats, times, distance) in ranges {
            if beats == 0 || times == 0 {
                continue;
            }
            let words = beats.div_ceil(word);
            let nest = Nest {
                base: base + start,
                inner: vec![repeat(words, word as i64)],
                outer: vec![repeat(times, distance)],
                fixed_first: true,
            };
            let last_beats = (beats - (words - 1) * word) as u32;
            let filled = self.fill(name, (slice, also), nest, last_beats, value, last_read)?;
            stored.land(&filled.landed);
        }
        Ok(())
    }

    /// A copy of an image in another slice, without its padding, so that both can be read at once.
    ///
    /// # Errors
    /// A memory that is too small, or a loop beyond the counters.
    pub fn copy(
        &mut self,
        name: &str,
        layout: &Layout,
        stored: &Stored,
        slices: &[u32],
    ) -> Result<(Stored, u64), CompileError> {
        let word = self.schedule.configuration.beats_per_word();
        let (slice, base, last_read) = self.schedule.allocate_in(self.model, name, stored.region.beats, slices)?;
        let region = Region { slice, base, ..stored.region.clone() };
        let mut copy = Stored { region, ready: vec![0; stored.ready.len()], layout: stored.layout, twin: None };
        let (read, _) = rows_of(layout, stored, word);
        let (write, last_beats) = rows_of(layout, &copy, word);
        let streamed = self.stream(&Stream {
            name,
            reads: vec![(stored.region.slice, read, &stored.ready[..], stored.region.base)],
            through: self.through_clamp(),
            minimum: i8::MIN.into(),
            maximum: i8::MAX.into(),
            write: (slice, write),
            also: None,
            last_beats,
            earliest: 0,
            last_read,
            number: None,
        })?;
        copy.land(&streamed.landed);
        Ok((copy, streamed.last_read))
    }

    /// Fills an image, without its padding, with `value`.
    ///
    /// # Errors
    /// A loop beyond the counters.
    pub fn fill_image(
        &mut self,
        name: &str,
        layout: &Layout,
        stored: &mut Stored,
        value: i32,
        last_read: u64,
    ) -> Result<(), CompileError> {
        let (nest, last_beats) = rows_of(layout, stored, self.schedule.configuration.beats_per_word());
        let filled = self.fill(name, (stored.region.slice, None), nest, last_beats, value, last_read)?;
        stored.land(&filled.landed);
        Ok(())
    }
}

/// The first cycle in which a read port may take the first step of `sequence`, where the beats from the given one on can be read at `ready`;
/// a word is `word` beats.
#[must_use]
pub(super) fn readable_from(sequence: &Sequence, (ready, base): (&[u64], u32), word: u32) -> u64 {
    let from = sequence.steps().map(|step| {
        let first = (step.address - i64::from(base)).max(0) as usize;
        let beats = ready.get(first..(first + word as usize).min(ready.len())).unwrap_or(&[]);
        beats.iter().copied().max().unwrap_or(0).saturating_sub(step.offset.into())
    });
    from.max().unwrap_or(0)
}

/// All words of an image, row by row, and the beats of each row's last one.
#[must_use]
pub fn rows_of(layout: &Layout, stored: &Stored, word: u32) -> (Nest, u32) {
    let word = u64::from(word);
    let beats = layout.columns * layout.block_beats;
    let words = beats.div_ceil(word);
    let nest = Nest {
        base: i64::from(stored.region.base) + layout.beat(0, 0, 0),
        inner: vec![repeat(words, word as i64)],
        outer: vec![repeat(layout.rows * layout.blocks(), layout.block_pitch() as i64)],
        fixed_first: true,
    };
    (nest, (beats - (words - 1) * word) as u32)
}
