//! Softmax of rows of int8 elements, in the vector unit.
//!
//! A row's words are read three times: for its largest element, for the sum of the exponentials, for the results
//! ([`Operation::Softmax`]). Each softmax of other scales has a table of its own.
//!
//! # Cost
//!
//! ```text
//! steps = rows × 3 × (pass + gap) - gap        pass = (words of a row - 1) × stream_elements + 1
//! ```
//!
//! with the gap of [`SoftmaxLatency`], in which the sum's reciprocal is found. [`cost`] adds the latencies.

use super::cost::Cost;
use super::nest::{Loop, Nest, Piece, repeat};
use super::stream::readable_from;
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::schedule::{Draft, Stored};
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, Source, Unit};
use lpu_isa::latency::SoftmaxLatency;
use lpu_isa::program::Region;

/// Passes over a row.
const PASSES: u64 = 3;

/// Where the words of rows stand: beats of the first word, the words of a row, the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    base: i64,
    words: Loop,
    rows: Vec<Loop>,
}

impl Rows {
    /// The rows of `length` elements that stand in a region; `None` where an element does not stand in the lane of its number, or rows and
    /// words not at constant distances.
    #[must_use]
    pub fn of(region: &Region, length: usize, configuration: &Configuration) -> Option<Rows> {
        let (dot, lanes) = (i64::from(configuration.dot), configuration.stream_elements as usize);
        let position = |element: usize| region.positions.get(element).map(|&position| i64::from(position));
        let distance = if length > lanes { position(lanes)? - position(0)? } else { 0 };
        let starts: Vec<i64> = region.positions.iter().step_by(length).map(|&start| i64::from(start)).collect();
        for (row, &start) in region.positions.chunks(length).zip(&starts) {
            let expected = |element: usize| start + (element / lanes) as i64 * distance + (element % lanes) as i64;
            let stands = (0..).zip(row).all(|(element, &position)| i64::from(position) == expected(element));
            if !stands || row.len() != length || start % dot != 0 {
                return None;
            }
        }
        let first = *starts.first()?;
        let stride = |step: usize| starts.get(step).map_or(0, |start| start - first);
        let inner = (1..starts.len()).find(|&row| starts[row] - starts[row - 1] != stride(1)).unwrap_or(starts.len());
        let rows =
            vec![repeat(inner as u64, stride(1) / dot), repeat((starts.len() / inner) as u64, stride(inner) / dot)];
        let regular = (0..).zip(&starts).all(|(row, &start)| {
            start == first + (row % inner) as i64 * stride(1) + (row / inner) as i64 * stride(inner)
        });
        let words = repeat(length.div_ceil(lanes) as u64, distance / dot);
        (regular && starts.len().is_multiple_of(inner) && distance % dot == 0).then(|| Rows {
            base: i64::from(region.base) + first / dot,
            words,
            rows,
        })
    }

    /// Its words `passes` times, row by row.
    fn nest(&self, passes: u64) -> Nest {
        let outer = std::iter::once(repeat(passes, 0)).chain(self.rows.iter().copied()).collect();
        Nest { base: self.base, inner: vec![self.words], outer, fixed_first: true }
    }

    /// Row by row: each iteration of the outermost loop that there is.
    fn parts(&self) -> Option<impl Iterator<Item = Rows> + '_> {
        let position = self.rows.iter().rposition(|level| level.count > 1)?;
        let level = self.rows[position];
        Some((0..level.count as i64).map(move |index| {
            let mut part = self.clone();
            part.base += index * level.stride;
            part.rows[position].count = 1;
            part
        }))
    }
}

/// Cycles of the steps of one pass over a row of `words` words.
fn pass(words: u64, latency: &SoftmaxLatency) -> u64 {
    (words - 1) * u64::from(latency.word_interval) + 1
}

/// The cycles of a softmax alone, of so many rows of `length` elements, where one instruction of a queue holds them all; `None` in a machine
/// without one.
#[must_use]
pub fn cost(rows: u64, length: u64, configuration: &Configuration) -> Option<Cost> {
    let latency = lpu_isa::latency::Latency::of(configuration).softmax?;
    let pass = pass(length.div_ceil(configuration.stream_elements.into()), &latency);
    let row = PASSES * (pass + u64::from(latency.gap));
    let steps = rows * row - u64::from(latency.gap);
    Some(Cost { steps, behind: latency.word.into(), last: (rows - 1) * row + pass - 1 })
}

/// Lowers the softmax of the rows of `length` elements that stand at `input`.
///
/// # Errors
/// A machine without softmax or with too few tables, a memory that is too small, a loop or a gap beyond the counters.
pub fn lower(
    lowering: &mut Lowering<'_>,
    softmax: &Softmax,
    length: usize,
    (input, rows): (&Stored, &Rows),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let configuration = lowering.schedule.configuration.clone();
    let table = table(lowering, softmax, target.name)?;
    let (mut stored, last_read) = lowering.place_image(target)?;
    let Some(results) = Rows::of(&stored.region, length, &configuration) else {
        return Err(unsupported(target.name, "the rows of its result do not stand at constant distances"));
    };
    let work = Work { softmax: (table, length as u32), input, last_read, target };
    let (start, read) = work.lower(lowering, rows, &results, &mut stored)?;
    Ok(Lowered { result: stored, tiles: 0, start, last_read: read })
}

fn unsupported(layer: &str, why: &str) -> CompileError {
    CompileError::Unsupported { layer: layer.into(), why: why.into() }
}

/// The number of the table of exponentials.
fn table(lowering: &mut Lowering<'_>, softmax: &Softmax, layer: &str) -> Result<u32, CompileError> {
    let known = lowering.softmaxes.iter().position(|other| other == softmax);
    let table = known.unwrap_or(lowering.softmaxes.len());
    let tables = lowering.schedule.configuration.softmax_tables;
    if table >= tables as usize {
        return Err(unsupported(
            layer,
            &format!("it is softmax number {} of other scales, the machine has {tables} tables", table + 1),
        ));
    }
    if known.is_none() {
        lowering.softmaxes.push(*softmax);
    }
    Ok(table as u32)
}

/// A softmax that is being placed.
struct Work<'a> {
    /// Table and length of a row.
    softmax: (u32, u32),
    input: &'a Stored,
    /// Last cycle in which what is overwritten is read.
    last_read: u64,
    target: &'a Target<'a>,
}

impl Work<'_> {
    /// Places the rows, in as many instructions as they need; the cycles of the first step and of the last read.
    fn lower(
        &self,
        lowering: &mut Lowering<'_>,
        from: &Rows,
        to: &Rows,
        stored: &mut Stored,
    ) -> Result<(u64, u64), CompileError> {
        let configuration = lowering.schedule.configuration.clone();
        let latency = lowering.schedule.latency.clone();
        let Some(softmax) = latency.softmax else {
            return Err(unsupported(
                self.target.name,
                "the machine has no softmax; set `softmax_tables = 1` in its configuration",
            ));
        };
        let pass = pass(from.words.count, &softmax);
        let between = pass + u64::from(softmax.gap);
        // From the last word of a row to the first of the next.
        let apart = PASSES * between - pass;
        let pause = softmax.word_interval - 1;
        let pieces = |nest: &Nest, gap: u64| nest.pieces(self.target.name, &configuration, gap as u32, pause);
        let read = pieces(&from.nest(PASSES), softmax.gap.into())?;
        let unit = pieces(&Nest { base: 0, ..from.nest(PASSES).still() }, softmax.gap.into())?;
        let write = pieces(&to.nest(1), apart)?;
        let fits = |gap: u64| gap <= u64::from(configuration.longest_gap());
        let ([read], [unit], [write]) = (&read[..], &unit[..], &write[..]) else {
            return self.lower_parts(lowering, from, to, stored);
        };
        if !fits(apart) && write.runs > 1 {
            return self.lower_parts(lowering, from, to, stored);
        }
        if !fits(softmax.gap.into()) {
            let (what, value) = ("the gap between two passes of a softmax", softmax.gap.into());
            let limit = configuration.longest_gap().into();
            return Err(CompileError::TooLarge { layer: self.target.name.into(), what, value, limit });
        }
        let gap = if write.runs > 1 { apart as u32 } else { 0 };
        let write = Piece { sequence: lpu_isa::sequence::Sequence { gap, ..write.sequence }, ..*write };
        let (table, length) = self.softmax;
        let first = i64::from(latency.vector_read);
        let delivered = first + 2 * between as i64 + i64::from(softmax.word);
        // All beats of the block, as other operators write it.
        let last_beats = length.min(configuration.stream_elements).div_ceil(configuration.dot);
        let source = Source::Slice(self.input.region.slice);
        let drafts = [
            Draft {
                unit: Unit::Read(self.input.region.slice),
                offset: 0,
                operation: Operation::Read { sequence: read.sequence },
            },
            Draft {
                unit: Unit::Vector,
                offset: first,
                operation: Operation::Softmax { source, table, length, sequence: unit.sequence },
            },
            Draft {
                unit: Unit::Write(stored.region.slice),
                offset: delivered,
                operation: Operation::Write { source: Source::Vector, last_beats, sequence: write.sequence },
            },
        ];
        let ready = (&self.input.ready[..], self.input.region.base);
        let readable = readable_from(&read.sequence, ready, configuration.beats_per_word());
        let origin = readable.max(1).max((self.last_read + 1).saturating_sub(delivered as u64));
        let origin = lowering.schedule.earliest(origin, &drafts);
        lowering.schedule.place(origin, &drafts, Some(self.target.number));
        let landed = lowering.landed(&write.sequence, last_beats, origin + delivered as u64);
        stored.land(&landed);
        Ok((origin, origin + read.sequence.duration() - 1))
    }

    /// The same, each iteration of the outermost loop over rows by itself.
    fn lower_parts(
        &self,
        lowering: &mut Lowering<'_>,
        from: &Rows,
        to: &Rows,
        stored: &mut Stored,
    ) -> Result<(u64, u64), CompileError> {
        let (Some(froms), Some(tos)) = (from.parts(), to.parts()) else {
            return Err(unsupported(self.target.name, "the loops of a row do not fit a sequencer"));
        };
        let mut whole: Option<(u64, u64)> = None;
        for (from, to) in froms.zip(tos) {
            let (start, read) = self.lower(lowering, &from, &to, stored)?;
            whole = Some((whole.map_or(start, |(start, _)| start), read));
        }
        whole.ok_or_else(|| unsupported(self.target.name, "it has no rows"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::graph::{Padding, Plane};
    use crate::lower::layout::Layout;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_rows_of_an_image_are_loops_over_its_positions(
            rows in 1_usize..5, columns in 1_usize..6, length in 1_usize..40, left in 0_usize..3
        ) {
            let configuration = Configuration::default();
            let padding = Padding { left, ..Padding::default() };
            let layout = Layout::new(Plane { rows, columns }, length, (padding, 0), &configuration);
            let positions = layout.positions();
            let region = Region { tensor: "x".into(), slice: 0, base: 7, beats: layout.beats() as u32, positions };
            let found = Rows::of(&region, length, &configuration).unwrap();
            let nest = Nest { inner: [vec![found.words], found.rows.clone()].concat(), ..Nest::default() };
            let words = region.positions.chunks(length).flat_map(|row| row.iter().step_by(8));
            let expected: Vec<i64> = words.map(|&position| 7 + i64::from(position) / 4).collect();
            let got: Vec<i64> = nest.run_offsets().iter().map(|offset| found.base + offset).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn elements_in_other_lanes_are_no_row() {
        let region = |positions: Vec<u32>| Region { tensor: "x".into(), slice: 0, base: 0, beats: 9, positions };
        let configuration = Configuration::default();
        assert!(Rows::of(&region(vec![0, 1, 2]), 3, &configuration).is_some());
        assert!(Rows::of(&region(vec![1, 2, 3]), 3, &configuration).is_none());
        assert!(Rows::of(&region(vec![0, 2, 1]), 3, &configuration).is_none());
        assert!(Rows::of(&region(vec![0, 1, 8, 9, 12, 13]), 2, &configuration).is_none());
    }
}
