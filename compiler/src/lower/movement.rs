//! Operators that move elements: concatenations, slices, padding; images that are to stand otherwise; state.
//!
//! Which element goes where is a list. A beat of the result all of whose elements stand in one beat of a source, in the same lanes,
//! passes through the vector unit; neighbours go together, and rows of neighbours at constant distances are one instruction. A
//! beat without any source is filled. All other beats are *gathered* by the tiles ([`gather`](super::gather)).
//!
//! # Cost
//!
//! A cycle for each word that is copied or filled, but no less than a queue takes for an instruction for each row of neighbours, or rows of
//! them at constant distances ([`cost`]). What is gathered is a cost of its own.

use super::cost::{Cost, Streaming};
use super::nest::{Nest, repeat};
use super::stream::Stream;
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::schedule::Stored;
use lpu_isa::configuration::Configuration;

/// Where an element of a result comes from: which source, and which of its elements; `None` for a constant.
pub type From = Option<(usize, usize)>;

/// What one lane of a beat gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
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
pub(super) struct Rows {
    pub(super) to: u32,
    from: u32,
    pub(super) beats: u32,
    pub(super) count: u32,
    pub(super) to_step: u32,
    from_step: i64,
}

/// Groups pairs of beats (to, from), ascending in the first, into rows.
pub(super) fn rows(pairs: &[(u32, u32)]) -> Vec<Rows> {
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

/// The cycles of copies alone, each of so many words, one behind the other.
#[must_use]
pub fn cost(words: &[u64], configuration: &Configuration) -> Option<Cost> {
    let unit = if configuration.vector_unit { Streaming::Vector } else { Streaming::Requantiser };
    let (&last, before) = words.split_last()?;
    let waits = before.iter().map(|&words| unit.busy(words, configuration)).sum();
    Some(unit.cost(last, waits, configuration))
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
