//! Elements that are gathered by the tiles, where they do not stand in the lanes in which they are wanted.
//!
//! With a single weight of 1 a tile picks one element of those that stream past it, and a scale of 1 leaves it as it is. Where a beat has
//! elements of several sources, the tiles gather each source's with zeros in between, and the vector unit adds them.
//!
//! # Cost
//!
//! As many words at a time as there are rows of tiles: `max(s, drain)`, where `s` is the number of beats from the first to the last that
//! they come from; for each source beyond the first of a beat, a copy of the beat more. [`cost`] evaluates it for one source.

use super::cost::{Cost, Products};
use super::movement::{Lane, rows};
use super::nest::{Nest, repeat};
use super::stream::{Stream, Through};
use super::{Lowered, Lowering};
use crate::error::CompileError;
use crate::schedule::{Draft, Stored};
use lpu_isa::arithmetic::Requantise;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Drain, Function, Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::program::{Region, Scale};
use lpu_isa::sequence::Sequence;

/// The cycles of gathering alone: for each turn of the tiles how many beats stream past them, and how many words come out.
#[must_use]
pub fn cost(turns: &[(u64, u64)], configuration: &Configuration) -> Option<Cost> {
    let turn = |&(beats, words): &(u64, u64)| Products {
        first_beats: beats,
        steps: beats,
        last_beats: beats,
        rows: words,
        drain: configuration.drain_cycles(Drain::AllRows).into(),
        single: true,
    };
    let together = turns.iter().map(turn).reduce(|before, next| before.then(next, configuration));
    together.map(|products| products.cost(configuration))
}

impl Lowering<'_> {
    /// Gathers the beats `wanted` of a result with the tiles.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn gather(
        &mut self,
        sources: &[&Stored],
        lanes: &[Lane],
        wanted: &[u32],
        value: i32,
        name: &str,
        (stored, last_read): (&mut Stored, u64),
        number: Option<u32>,
    ) -> Result<Lowered, CompileError> {
        let configuration = self.schedule.configuration.clone();
        let dot = configuration.dot;
        // Beats of a word that a row of tiles makes, and the rows that do.
        let wide = configuration.beats_per_word().min(configuration.columns() / dot);
        let full = |row: &u32| {
            let first = row / configuration.channels_per_tile() * configuration.stream_elements;
            configuration.tiles.saturating_sub(first) >= wide * dot
        };
        let most_rows = (0..configuration.rows()).take_while(full).count() as u32;
        if wide == 0 {
            let why = "the machine has too few tiles to move elements out of their beats".to_string();
            return Err(CompileError::Unsupported { layer: name.into(), why });
        }
        let of = |beat: u32| &lanes[(beat * dot) as usize..((beat + 1) * dot) as usize];
        // The sources of a beat, ascending; the first one's elements go straight to their place, with the constants.
        let sources_of = |beat: u32| -> Vec<usize> {
            let mut found: Vec<usize> = of(beat)
                .iter()
                .filter_map(|lane| match lane {
                    Lane::Of(source, _) => Some(*source),
                    _ => None,
                })
                .collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        let most = wanted.iter().map(|&beat| sources_of(beat).len()).max().unwrap_or(0);
        // Each beat's elements of the sources after the first wait elsewhere until they are added.
        let mut whole: Option<Lowered> = None;
        for turn in 0..most {
            let beats: Vec<(u32, usize)> =
                wanted.iter().filter_map(|&beat| Some((beat, *sources_of(beat).get(turn)?))).collect();
            let mut beside = None;
            if turn > 0 {
                let slices: Vec<u32> =
                    (0..configuration.vector_slices).filter(|&slice| slice != stored.region.slice).collect();
                let (slice, base, former) =
                    self.schedule.allocate_in(self.model, name, stored.region.beats, &slices)?;
                let region = Region { slice, base, ..stored.region.clone() };
                beside =
                    Some((Stored { region, ready: vec![0; stored.ready.len()], layout: None, twin: None }, former));
            }
            let mut rest = &beats[..];
            while let Some(&(first, source)) = rest.first() {
                // Beats that follow each other, of one source, whole rows of them.
                let alike =
                    rest.iter().zip(first..).take_while(|(have, want)| **have == (*want, source)).count() as u32;
                let whole_words = (alike / wide).min(most_rows);
                let (words, last) = if whole_words > 0 { (whole_words, wide) } else { (1, alike) };
                let count = (words - 1) * wide + last;
                let (to, former) = match &mut beside {
                    Some((beside, former)) => (beside, *former),
                    None => (&mut *stored, last_read),
                };
                let group = Group { first, words, wide, last, value: if turn == 0 { value } else { 0 } };
                let number = number.filter(|_| most == 1);
                let lowered = self.gather_group(sources[source], source, &of, group, name, (to, former), number)?;
                whole = Some(lowered.behind(whole));
                rest = &rest[count as usize..];
            }
            if let Some((beside, _)) = beside {
                let pairs: Vec<(u32, u32)> = beats.iter().map(|&(beat, _)| (beat, beat)).collect();
                let word = configuration.beats_per_word();
                let mut latest = 0;
                for rows in rows(&pairs) {
                    let addresses = |base: u32| Nest {
                        base: i64::from(base + rows.to),
                        inner: vec![repeat(rows.beats.div_ceil(word).into(), word.into())],
                        outer: vec![repeat(rows.count.into(), rows.to_step.into())],
                        fixed_first: true,
                    };
                    let read =
                        |stored: &Stored| (stored.region.slice, addresses(stored.region.base), stored.region.base);
                    let [own, other] = [read(stored), read(&beside)];
                    let streamed = self.stream(&Stream {
                        name,
                        reads: vec![
                            (own.0, own.1, &stored.ready[..], own.2),
                            (other.0, other.1, &beside.ready[..], other.2),
                        ],
                        through: Through::Vector { function: Function::Add, constant: 0 },
                        minimum: i8::MIN.into(),
                        maximum: i8::MAX.into(),
                        write: (stored.region.slice, addresses(stored.region.base)),
                        also: None,
                        last_beats: rows.beats - (rows.beats.div_ceil(word) - 1) * word,
                        earliest: 0,
                        last_read,
                        number: None,
                    })?;
                    stored.land(&streamed.landed);
                    latest = latest.max(streamed.last_read);
                }
                self.schedule.release(&beside.region, latest);
            }
        }
        whole.ok_or_else(|| CompileError::Unsupported { layer: name.into(), why: "nothing to move".into() })
    }

    /// One product that gathers some words from one source.
    #[allow(clippy::too_many_arguments)]
    fn gather_group<'l>(
        &mut self,
        from: &Stored,
        source: usize,
        of: &impl Fn(u32) -> &'l [Lane],
        group: Group,
        name: &str,
        (stored, last_read): (&mut Stored, u64),
        number: Option<u32>,
    ) -> Result<Lowered, CompileError> {
        let configuration = self.schedule.configuration.clone();
        let latency = self.schedule.latency.clone();
        let dot = configuration.dot;
        let count = (group.words - 1) * group.wide + group.last;
        let positions = || {
            (group.first..group.first + count).flat_map(of).filter_map(|lane| match lane {
                Lane::Of(found, position) if *found == source => Some(*position),
                _ => None,
            })
        };
        let (low, high) = (positions().min().unwrap_or(0) / dot, positions().max().unwrap_or(0) / dot);
        let beats = high - low + 1;
        let limit = u64::from(configuration.longest_loop());
        if u64::from(beats) > limit {
            let (what, value) = ("the distance of elements that become neighbours, in beats,", beats.into());
            return Err(CompileError::TooLarge { layer: name.into(), what, value, limit });
        }
        let weights = self.add_unit_weights(name, &configuration, beats, |row, column, beat| {
            let to = group.first + row * group.wide + column / dot;
            let inside = row < group.words && column / dot < group.wide && to < group.first + count;
            let lane = if inside { of(to)[(column % dot) as usize] } else { Lane::Any };
            match lane {
                Lane::Of(found, position) if found == source && position / dot == low + beat => Some(position % dot),
                _ => None,
            }
        })?;
        let (multiplier, shift) = Requantise::IDENTITY;
        let entry = |row: u32| {
            let lane = |column: u32| {
                let to = group.first + row * group.wide + column / dot;
                let inside = column / dot < group.wide && to < group.first + count;
                let constant = inside && of(to)[(column % dot) as usize] == Lane::Constant;
                Scale { multiplier, shift, bias: if constant { group.value } else { 0 } }
            };
            (0..configuration.stream_elements).map(lane).collect::<Vec<Scale>>()
        };
        let entries: Vec<Vec<Scale>> = (0..group.words).map(entry).collect();
        let uniform = entries.windows(2).all(|pair| pair[0] == pair[1]);
        let entries = if uniform { entries[..1].to_vec() } else { entries };
        let scales = self.add_scales(name, entries)?;
        let pace = configuration.requantise_interval;
        let word = configuration.beats_per_word();
        let read_offset = -i64::from(latency.vector_read);
        let requantise = i64::from(beats) - 1 + i64::from(latency.step_to_drain);
        let write = requantise + i64::from(latency.requantise);
        let mut drafts = vec![Draft {
            unit: Unit::Read(from.region.slice),
            offset: read_offset,
            operation: Operation::Read { sequence: Sequence::linear(from.region.base + low, beats) },
        }];
        for tiles in 0..group.wide {
            let operation = Operation::Multiply {
                source: Source::Slice(from.region.slice),
                drain: Drain::AllRows,
                sequence: Sequence::linear(weights, beats),
            };
            drafts.push(Draft { unit: Unit::TileGroup(tiles), offset: 0, operation });
        }
        let steps = Sequence::linear(scales, group.words).paced(pace);
        drafts.push(Draft {
            unit: Unit::Requantiser,
            offset: requantise,
            operation: Operation::Requantise {
                from: RequantiseFrom::Tiles,
                zero_point: 0,
                minimum: i8::MIN.into(),
                maximum: i8::MAX.into(),
                tracking: Tracking::default(),
                sequence: if uniform { Sequence { delta: [0; 4], ..steps } } else { steps },
            },
        });
        let nest = Nest {
            base: i64::from(stored.region.base + group.first),
            // Words that are not whole are cut at the end of the innermost loop.
            inner: vec![repeat(if group.wide == word { group.words.into() } else { 1 }, word.into())],
            outer: vec![repeat(if group.wide == word { 1 } else { group.words.into() }, group.wide.into())],
            fixed_first: true,
        };
        let pieces = nest.pieces(name, &configuration, pace - 1, pace - 1)?;
        let sequence = pieces[0].sequence;
        drafts.push(Draft {
            unit: Unit::Write(stored.region.slice),
            offset: write,
            operation: Operation::Write { source: Source::Requantiser, last_beats: group.last, sequence },
        });
        let mut origin = 1 - read_offset;
        for beat in low..=high {
            let ready = from.ready.get(beat as usize).copied().unwrap_or(0);
            origin = origin.max(ready as i64 - read_offset - i64::from(beat - low));
        }
        origin = origin.max(last_read as i64 + 1 - write);
        origin = origin.max(self.schedule.drain_free_from() as i64 - (i64::from(beats) - 1));
        let origin = self.schedule.earliest(origin as u64, &drafts);
        self.schedule.place(origin, &drafts, number);
        self.schedule.note_drain(origin + u64::from(beats) - 1, Drain::AllRows);
        let mut landed = Vec::new();
        for step in sequence.steps() {
            let cycle = (origin as i64 + write) as u64 + u64::from(step.offset) + u64::from(latency.write_to_read);
            let beats = if step.end_of_level_0 { group.last } else { word };
            landed.extend((0..beats).map(|beat| (step.address as u32 + beat, cycle)));
            self.schedule.note_end(cycle);
        }
        stored.land(&landed);
        let rows = group.words.div_ceil(configuration.channels_per_tile());
        Ok(Lowered {
            result: stored.clone(),
            tiles: (rows * group.wide * dot).min(configuration.tiles),
            start: (origin as i64 + read_offset) as u64,
            last_read: (origin as i64 + read_offset) as u64 + u64::from(beats) - 1,
        })
    }

    /// Places `beats` words of weights: a 1 where `picks` names an element of the beat for a row of results and a column.
    fn add_unit_weights(
        &mut self,
        name: &str,
        configuration: &Configuration,
        beats: u32,
        picks: impl Fn(u32, u32, u32) -> Option<u32>,
    ) -> Result<u32, CompileError> {
        let needed = u64::from(beats);
        if needed > u64::from(configuration.weight_depth) {
            return Err(super::window::weights_do_not_fit(self, name, needed));
        }
        let parts = configuration.channels_per_tile();
        let of_tile = |tile: u32| {
            let (row, column) = (tile / configuration.stream_elements, tile % configuration.stream_elements);
            let mut block = vec![0i8; (beats * configuration.dot) as usize];
            for (beat, bytes) in (0..beats).zip(block.chunks_mut(configuration.dot as usize)) {
                for part in 0..parts {
                    if let Some(element) = picks(row * parts + part, column, beat) {
                        bytes[element as usize] |= if part == 0 { 1 } else { 1 << 4 };
                    }
                }
            }
            block
        };
        self.place_weights(name, (0..configuration.tiles).map(of_tile).collect())
    }
}

/// Words that one product gathers.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// First beat of the result.
    first: u32,
    /// Words, beats of each, and of the last.
    words: u32,
    wide: u32,
    last: u32,
    /// The constant.
    value: i32,
}
