//! Operators that move elements: concatenations, slices, padding; images that are to stand otherwise; state.
//!
//! Which element goes where is a list. A beat of the result all of whose elements stand in one beat of a source, in the same lanes,
//! passes through the vector unit; neighbours go together, and rows of neighbours at constant distances are one instruction. A
//! beat without any source is filled. All other beats are *gathered* by the tiles: with a single weight of 1 a tile picks one element
//! of those that stream past it, and a scale of 1 leaves it as it is. Where a beat has elements of several sources, the
//! tiles gather each source's with zeros in between, and the vector unit adds them.
//!
//! # Cost
//!
//! A cycle for each word that is copied or filled. For the words that are gathered, as many at a time as there are rows of tiles:
//! `max(s, drain)`, where `s` is the number of beats from the first to the last that they come from; for each source beyond the first of
//! a beat, a copy of the beat more.

use super::nest::{Nest, repeat};
use super::stream::{Stream, Through};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::schedule::{Draft, Stored};
use lpu_isa::arithmetic::Requantise;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Function, Operation, RequantiseFrom, Source, Tracking, Unit};
use lpu_isa::program::{Region, Scale};
use lpu_isa::sequence::Sequence;

/// Where an element of a result comes from: which source, and which of its elements; `None` for a constant.
pub type From = Option<(usize, usize)>;

/// What one lane of a beat gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Nothing that anybody reads.
    Any,
    /// The constant.
    Constant,
    /// An element of a source, by its position in the source's region.
    Of(usize, u32),
}

/// What a beat gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    /// It has been written, or is nobody's.
    Leave,
    Fill,
    /// A source's beat.
    Copy(usize, u32),
    Gather,
}

/// Consecutive beats, several times at constant distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    to: u32,
    from: u32,
    beats: u32,
    count: u32,
    to_step: u32,
    from_step: i64,
}

/// Groups pairs of beats (to, from), ascending in the first, into rows.
fn rows(pairs: &[(u32, u32)]) -> Vec<Rows> {
    let mut runs: Vec<(u32, u32, u32)> = Vec::new();
    for &(to, from) in pairs {
        match runs.last_mut() {
            Some((first_to, first_from, beats)) if (*first_to + *beats, *first_from + *beats) == (to, from) => {
                *beats += 1
            }
            _ => runs.push((to, from, 1)),
        }
    }
    let mut result: Vec<Rows> = Vec::new();
    for (to, from, beats) in runs {
        if let Some(last) = result.last_mut().filter(|last| last.beats == beats) {
            let steps = (
                to - last.to - (last.count - 1) * last.to_step,
                i64::from(from) - i64::from(last.from) - i64::from(last.count - 1) * last.from_step,
            );
            if last.count == 1 || steps == (last.to_step, last.from_step) {
                (last.to_step, last.from_step) = steps;
                last.count += 1;
                continue;
            }
        }
        result.push(Rows { to, from, beats, count: 1, to_step: 0, from_step: 0 });
    }
    result
}

impl Lowering<'_> {
    /// Makes an image of elements of `sources`: element `i` of `froms[i]`, or of `value`.
    ///
    /// # Errors
    /// A memory that is too small, or a machine too small to gather.
    pub fn move_elements(
        &mut self,
        sources: &[&Stored],
        froms: &[From],
        value: i32,
        target: &Target<'_>,
    ) -> Result<Lowered, CompileError> {
        let (mut stored, last_read) = self.place_image(target)?;
        self.move_into(sources, froms, value, target.name, (&mut stored, last_read), Some(target.number))
    }

    /// Moves elements of `sources` to where the elements of `stored` stand.
    ///
    /// # Errors
    /// As [`move_elements`](Self::move_elements).
    pub fn move_into(
        &mut self,
        sources: &[&Stored],
        froms: &[From],
        value: i32,
        name: &str,
        (stored, last_read): (&mut Stored, u64),
        number: Option<u32>,
    ) -> Result<Lowered, CompileError> {
        let configuration = self.schedule.configuration.clone();
        let dot = configuration.dot;
        let mut lanes = vec![Lane::Any; (stored.region.beats * dot) as usize];
        for (&position, from) in stored.region.positions.iter().zip(froms) {
            lanes[position as usize] = match from {
                None => Lane::Constant,
                Some((source, element)) => {
                    let position = sources.get(*source).and_then(|source| source.region.positions.get(*element));
                    position.map_or(Lane::Constant, |&position| Lane::Of(*source, position))
                }
            };
        }
        let beats: Vec<Beat> = lanes
            .chunks(dot as usize)
            .zip(&stored.ready)
            .map(|(lanes, &ready)| classify(lanes, ready > 0, dot))
            .collect();
        let mut whole: Option<Lowered> = None;
        let mut note = |start: u64, last_read: u64, stored: &Stored| {
            let part = Lowered { result: stored.clone(), tiles: 0, start, last_read };
            whole = Some(part.behind(whole.take()));
        };
        let word = configuration.beats_per_word();
        let base = stored.region.base;
        let addresses = |first: u32, step: i64, rows: &Rows| Nest {
            base: i64::from(first),
            inner: vec![repeat(rows.beats.div_ceil(word).into(), word.into())],
            outer: vec![repeat(rows.count.into(), step)],
            fixed_first: true,
        };
        let numbered = (0u32..).zip(&beats);
        let fills: Vec<(u32, u32)> =
            numbered.clone().filter(|(_, beat)| **beat == Beat::Fill).map(|(beat, _)| (beat, beat)).collect();
        for rows in rows(&fills) {
            let nest = addresses(base + rows.to, rows.to_step.into(), &rows);
            let last_beats = rows.beats - (rows.beats.div_ceil(word) - 1) * word;
            let filled = self.fill(name, (stored.region.slice, None), nest, last_beats, value, last_read)?;
            stored.land(&filled.landed);
            note(filled.start, filled.last_read, stored);
        }
        for (index, source) in sources.iter().enumerate() {
            let copies: Vec<(u32, u32)> = numbered
                .clone()
                .filter_map(|(beat, kind)| match *kind {
                    Beat::Copy(of, from) if of == index => Some((beat, from)),
                    _ => None,
                })
                .collect();
            for rows in rows(&copies) {
                let read = addresses(source.region.base + rows.from, rows.from_step, &rows);
                let streamed = self.stream(&Stream {
                    name,
                    reads: vec![(source.region.slice, read, &source.ready[..], source.region.base)],
                    through: self.through_clamp(),
                    minimum: i8::MIN.into(),
                    maximum: i8::MAX.into(),
                    write: (stored.region.slice, addresses(base + rows.to, rows.to_step.into(), &rows)),
                    also: None,
                    last_beats: rows.beats - (rows.beats.div_ceil(word) - 1) * word,
                    earliest: 0,
                    last_read,
                    number,
                })?;
                stored.land(&streamed.landed);
                note(streamed.start, streamed.last_read, stored);
            }
        }
        let gathered: Vec<u32> = numbered.filter(|(_, beat)| **beat == Beat::Gather).map(|(beat, _)| beat).collect();
        if !gathered.is_empty() {
            let lowered = self.gather(sources, &lanes, &gathered, value, name, (stored, last_read), number)?;
            note(lowered.start, lowered.last_read, stored);
            if let Some(whole) = &mut whole {
                whole.tiles = lowered.tiles;
            }
        }
        match whole {
            Some(whole) => Ok(Lowered { result: stored.clone(), ..whole }),
            None => Ok(Lowered { result: stored.clone(), tiles: 0, start: last_read, last_read: 0 }),
        }
    }

    /// Gathers the beats `wanted` of a result with the tiles.
    #[allow(clippy::too_many_arguments)]
    fn gather(
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
                full_rows: false,
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
        self.schedule.note_drain(origin + u64::from(beats) - 1);
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

fn classify(lanes: &[Lane], written: bool, dot: u32) -> Beat {
    let mut of = lanes.iter().zip(0u32..).filter(|(lane, _)| **lane != Lane::Any);
    let mut found = None;
    let mut constants = 0;
    for (lane, place) in of.by_ref() {
        match *lane {
            Lane::Of(source, position)
                if position % dot == place && found.is_none_or(|at| at == (source, position / dot)) =>
            {
                found = Some((source, position / dot));
            }
            Lane::Constant => constants += 1,
            _ => return Beat::Gather,
        }
    }
    match found {
        Some(_) if constants > 0 => Beat::Gather,
        Some((source, beat)) => Beat::Copy(source, beat),
        None if constants > 0 || !written => Beat::Fill,
        None => Beat::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_go_together_and_rows_of_them_at_constant_distances() {
        let pairs: Vec<(u32, u32)> = vec![(0, 10), (1, 11), (4, 20), (5, 21), (8, 30), (9, 31), (12, 5)];
        assert_eq!(
            rows(&pairs),
            [
                Rows { to: 0, from: 10, beats: 2, count: 3, to_step: 4, from_step: 10 },
                Rows { to: 12, from: 5, beats: 1, count: 1, to_step: 0, from_step: 0 }
            ]
        );
    }

    #[test]
    fn a_beat_is_copied_only_from_the_same_lanes_of_one_beat() {
        let of = |position| Lane::Of(0, position);
        assert_eq!(classify(&[of(8), of(9), Lane::Any, Lane::Any], false, 4), Beat::Copy(0, 2));
        assert_eq!(classify(&[of(9), of(10), Lane::Any, Lane::Any], false, 4), Beat::Gather);
        assert_eq!(classify(&[of(8), Lane::Constant, Lane::Any, Lane::Any], false, 4), Beat::Gather);
        assert_eq!(classify(&[Lane::Any; 4], false, 4), Beat::Fill);
        assert_eq!(classify(&[Lane::Any; 4], true, 4), Beat::Leave);
    }
}
