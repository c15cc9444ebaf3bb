//! Products of two tensors' elements, by look-up.
//!
//! For each element `a` of one operand the product is a straight line in the other one, `b`: what a look-up makes (see
//! [`lookup`](super::lookup)), if the line rises. Two things bend it:
//!
//! * The two roundings of the operator round halves away from zero, and the line has a little step where the product changes its
//!   sign. Then there are two tables, for what is above the output's zero point and for what is below it, each clamped there, and
//!   the vector unit adds their results.
//! * Below its zero point `a` turns the line round. Where `a` can be there, the look-up's operand is not `b`, but
//!   `-|(b - zero point) ± 512| `: with `s = ±512` by the side of `a`, which the requantiser makes with a steep scale, the vector unit
//!   takes the smaller one of `s - b` and `b - s`. That is the distance of `b` from its zero point, turned where `a` is below its
//!   own, less 512: 10 bits.
//!
//! The operand that is never below its zero point (a gate, what a ReLU has left) is the one that chooses, if there is one.
//!
//! # Cost
//!
//! `requantise_interval` cycles for each word of the image and [`LOOKUP_ENTRIES`] entries of the scale table for each of one or two
//! tables; one cycle a word to add two; where `a` can be on both sides `requantise_interval + 3` cycles a word more. A round trip for
//! each of these passes but the second of the differences and the second table, which follow the first at once; long images take as many
//! cycles as the pass reads instead, because the next one needs the same read ports. A pass through the vector unit that needs what the
//! requantiser makes ends with it, whatever its own pace. [`cost`] says it exactly.

use super::cost::{Cost, Streaming};
use super::layout::Layout;
use super::line::{self, Side};
use super::lookup::{OPERAND_SHIFT, refused};
use super::stream::{Stream, Streamed, Through, rows_of};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::graph::{Multiply, Padding, Plane};
use crate::schedule::Stored;
use lpu_isa::arithmetic::{Requantise, Rounding, quantize_multiplier};
use lpu_isa::configuration::{Configuration, LOOKUP_ENTRIES};
use lpu_isa::instruction::Function;
use lpu_isa::program::Scale;
use std::ops::RangeInclusive;

/// How far the two sides of an operand are moved apart: further than any difference of two elements.
const APART: i32 = 512;

/// The line of each element that chooses.
#[derive(Clone, Copy, Debug)]
struct Lines<'a> {
    requantise: &'a Requantise,
    /// Zero point of the operand that chooses.
    chooser: i32,
    /// The look-up's operand that stands for a difference of 0, and all that there can be.
    origin: i32,
    range: (i32, i32),
}

impl Lines<'_> {
    /// Entries in the order of the bytes of the element that chooses; `None` where a line is none.
    fn table(&self, side: Side) -> Option<Vec<Scale>> {
        let (zero_point, minimum, maximum) = side.limits(self.requantise);
        let own = self.requantise;
        let real = f64::from(own.multiplier) * f64::from(own.shift - 31).exp2();
        let range: RangeInclusive<i64> = self.range.0.into()..=self.range.1.into();
        let entry = |byte: u32| {
            let factor = (i32::from(byte as u8 as i8) - self.chooser).abs();
            let function = |operand: i64| side.of(own.apply(factor * (operand as i32 - self.origin)), own);
            let slope = f64::from(factor) * real / f64::from(1 << OPERAND_SHIFT);
            let (multiplier, shift) = quantize_multiplier(slope);
            // To the left, the sum could leave its 32 bits.
            if shift > 0 {
                return None;
            }
            let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
            let bias = line::bias(&requantise, 1 << OPERAND_SHIFT, range.clone(), function)?;
            Some(Scale { multiplier, shift, bias })
        };
        (0..LOOKUP_ENTRIES).map(entry).collect()
    }

    /// One table for all results, or one for each side; `None` where there are none.
    fn tables(&self) -> Option<Vec<(Side, Vec<Scale>)>> {
        let of = |side| self.table(side).map(|table| (side, table));
        of(Side::Both).map(|one| vec![one]).or_else(|| Some(vec![of(Side::Above)?, of(Side::Below)?]))
    }
}

/// How a product's factors are looked up.
struct Plan<'a> {
    /// The operand that chooses: the one that is never below its zero point, if there is one.
    chooser: usize,
    /// Can it lie below its zero point?
    turns: bool,
    lines: Lines<'a>,
    tables: Vec<(Side, Vec<Scale>)>,
}

impl Plan<'_> {
    /// The plan of `multiply`; `None` where no tables give its products exactly.
    fn of(multiply: &Multiply) -> Option<Plan<'_>> {
        Plan::with(multiply, |lines| lines.tables())
    }

    /// The plan of `multiply` with what `tables` makes of its lines.
    fn with<'m>(
        multiply: &'m Multiply,
        tables: impl FnOnce(&Lines<'_>) -> Option<Vec<(Side, Vec<Scale>)>>,
    ) -> Option<Plan<'m>> {
        let zero_points = [multiply.first_zero_point, multiply.second_zero_point];
        let chooser = usize::from(zero_points[0] != -128 && zero_points[1] == -128);
        let turns = zero_points[chooser] != -128;
        let (origin, range) = match turns {
            true => (-APART, (-APART - 255, -APART + 255)),
            false => (zero_points[1 - chooser], (-128, 127)),
        };
        let lines = Lines { requantise: &multiply.requantise, chooser: zero_points[chooser], origin, range };
        let tables = tables(&lines)?;
        Some(Plan { chooser, turns, lines, tables })
    }
}

/// The cycles of `multiply` alone, on so many words, where no operand has to be copied and the lines of the image are whole words: else
/// a pass that reads the end of a line waits for the beginning of the next. `None` where no tables give its products exactly.
#[must_use]
pub fn cost(multiply: &Multiply, words: u64, configuration: &Configuration) -> Option<Cost> {
    let Plan { turns, tables, .. } = Plan::of(multiply)?;
    let (vector, requantiser) = (Streaming::Vector, Streaming::Requantiser);
    let passes_on = |from: Streaming, to: Streaming| from.passes_on_to(to, words, configuration);
    let mut at = 0;
    if turns {
        // The sides, two differences, the smaller of them.
        at += passes_on(requantiser, vector) + vector.busy(words, configuration);
        at += passes_on(vector, vector) + passes_on(vector, requantiser);
    }
    if tables.len() == 1 {
        return Some(requantiser.cost(words, at, configuration));
    }
    at += requantiser.busy(words, configuration) + passes_on(requantiser, vector);
    Some(vector.cost(words, at, configuration))
}

/// An image that one pass reads or writes.
type Image<'a> = (&'a Stored, &'a Layout);

/// The passes of one product.
struct Passes<'p, 'l, 't> {
    lowering: &'p mut Lowering<'l>,
    target: &'p Target<'t>,
    /// How images in between stand.
    plain: Layout,
    start: Option<u64>,
    last_read: u64,
}

impl Passes<'_, '_, '_> {
    /// Reads one or two images and writes another, of layout `layout`: the result where `number` is the layer's.
    fn pass(
        &mut self,
        reads: &[Image<'_>],
        through: Through,
        (minimum, maximum): (i32, i32),
        (to, layout, former): (&mut Stored, &Layout, u64),
        number: Option<u32>,
    ) -> Result<(), CompileError> {
        let word = self.lowering.schedule.configuration.beats_per_word();
        let (write, last_beats) = rows_of(layout, to, word);
        let reads = reads.iter().map(|&(stored, layout)| {
            let (nest, _) = rows_of(layout, stored, word);
            (stored.region.slice, nest, &stored.ready[..], stored.region.base)
        });
        let Streamed { start, last_read, landed } = self.lowering.stream(&Stream {
            name: self.target.name,
            reads: reads.collect(),
            through,
            minimum,
            maximum,
            write: (to.region.slice, write),
            also: None,
            last_beats,
            earliest: 0,
            last_read: former,
            number,
        })?;
        to.land(&landed);
        self.start.get_or_insert(start);
        self.last_read = self.last_read.max(last_read);
        Ok(())
    }

    /// The same into an image of its own, which does not stand in slice `beside`.
    fn between(
        &mut self,
        reads: &[Image<'_>],
        through: Through,
        limits: (i32, i32),
        beside: Option<u32>,
    ) -> Result<Stored, CompileError> {
        let slices = (0..self.lowering.schedule.configuration.vector_slices).filter(|&slice| Some(slice) != beside);
        let place = Target {
            layout: self.plain,
            slices: slices.collect(),
            preferred: usize::MAX,
            twin: false,
            into: None,
            ..*self.target
        };
        let (mut stored, former) = self.lowering.place_image(&place)?;
        let plain = self.plain;
        // The result may come to stand where this one does.
        self.pass(reads, through, limits, (&mut stored, &plain, former), None)?;
        Ok(stored)
    }

    /// Gives an image in between back.
    fn release(&mut self, stored: &Stored) {
        self.lowering.schedule.release(&stored.region, self.last_read);
    }

    fn lookup(&mut self, entries: Vec<Scale>, zero_point: i32) -> Result<Through, CompileError> {
        let lanes = self.lowering.schedule.configuration.stream_elements as usize;
        let entries = entries.into_iter().map(|scale| vec![scale; lanes]).collect();
        let base = self.lowering.add_scales(self.target.name, entries)?;
        Ok(Through::Lookup { base, zero_point })
    }
}

/// Lowers the products of two images of the same layout but for their padding, in different slices.
///
/// # Errors
/// A machine without look-ups or vector unit, a memory that is too small, lines that no table makes.
pub fn lower(
    lowering: &mut Lowering<'_>,
    multiply: &Multiply,
    operands: [Image<'_>; 2],
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    super::check_rounding(target.name, multiply.requantise.rounding)?;
    let configuration = lowering.schedule.configuration.clone();
    if !configuration.lookup || !configuration.vector_unit {
        return Err(refused(target.name, "a product"));
    }
    let known = |lines: &Lines<'_>| lowering.tables.products.get(multiply, || lines.tables());
    let Some(Plan { chooser, turns, lines, tables }) = Plan::with(multiply, known) else {
        let why = "no table of scales gives its products exactly".to_string();
        return Err(CompileError::Unsupported { layer: target.name.into(), why });
    };
    let (index, other) = (operands[chooser], operands[1 - chooser]);
    let zero_points = [multiply.first_zero_point, multiply.second_zero_point];
    let zero_point = zero_points[1 - chooser];

    let size = Plane { rows: target.layout.rows as usize, columns: target.layout.columns as usize };
    let plain = Layout::new(size, target.layout.channels as usize, (Padding::default(), 0), &configuration);
    let mut passes = Passes { lowering, target, plain, start: None, last_read: 0 };
    let full = (i16::MIN.into(), i16::MAX.into());
    let vector = |function| Through::Vector { function, constant: 0 };
    let turned = if turns {
        let steep = Scale { multiplier: 1 << 30, shift: 11, bias: -zero_points[chooser] };
        let through = Through::Requantiser { scale: steep, zero_point: zero_point + APART };
        let limits = (zero_point - APART, zero_point + APART);
        let side = passes.between(&[index], through, limits, Some(other.0.region.slice))?;
        let down = passes.between(&[(&side, &plain), other], vector(Function::Subtract), full, None)?;
        let beside = Some(down.region.slice);
        let up = passes.between(&[other, (&side, &plain)], vector(Function::Subtract), full, beside)?;
        passes.release(&side);
        let beside = Some(index.0.region.slice);
        let turned = passes.between(&[(&down, &plain), (&up, &plain)], vector(Function::Minimum), full, beside)?;
        passes.release(&down);
        passes.release(&up);
        Some(turned)
    } else {
        None
    };
    let operand = turned.as_ref().map_or(other, |turned| (turned, &plain));
    let result = match <[_; 2]>::try_from(tables) {
        Ok([(above, first), (below, second)]) => {
            let mut halves = Vec::new();
            for (side, table) in [(above, first), (below, second)] {
                let (zero_point, minimum, maximum) = side.limits(lines.requantise);
                let through = passes.lookup(table, zero_point)?;
                let beside = halves.first().map(|half: &Stored| half.region.slice);
                halves.push(passes.between(&[operand, index], through, (minimum, maximum), beside)?);
            }
            let (mut result, former) = passes.lowering.place_image(target)?;
            let limits = (multiply.requantise.minimum, multiply.requantise.maximum);
            let both = [(&halves[0], &plain), (&halves[1], &plain)];
            let to = (&mut result, &target.layout, former);
            passes.pass(&both, vector(Function::Add), limits, to, Some(target.number))?;
            halves.iter().for_each(|half| passes.release(half));
            result
        }
        Err(one) => {
            let (mut result, former) = passes.lowering.place_image(target)?;
            for (side, table) in one {
                let (zero_point, minimum, maximum) = side.limits(lines.requantise);
                let through = passes.lookup(table, zero_point)?;
                let to = (&mut result, &target.layout, former);
                passes.pass(&[operand, index], through, (minimum, maximum), to, Some(target.number))?;
            }
            result
        }
    };
    if let Some(turned) = &turned {
        passes.release(turned);
    }
    Ok(Lowered { result, tiles: 0, start: passes.start.unwrap_or(0), last_read: passes.last_read })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_product_of_two_elements_is_that_of_one_table_or_of_two_together(
            real in 1e-4_f64..0.2, zero_points: [i8; 3], limits in prop::sample::select(vec![(-128, 127), (0, 127)])
        ) {
            let (multiplier, shift) = quantize_multiplier(real);
            let [a_zero, b_zero, zero_point] = zero_points.map(i32::from);
            let (minimum, maximum) = (limits.0.max(if limits.0 == 0 { zero_point } else { -128 }), limits.1);
            let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
            let range = (-APART - 255, -APART + 255);
            let lines = Lines { requantise: &requantise, chooser: a_zero, origin: -APART, range };
            let tables = match lines.table(Side::Both) {
                Some(table) => vec![(Side::Both, table)],
                None => [Side::Above, Side::Below].map(|side| (side, lines.table(side).unwrap())).to_vec(),
            };
            for a in -128..128_i32 {
                for b in -128..128_i32 {
                    let s = b_zero + if a >= a_zero { APART } else { -APART };
                    let operand = (s - b).min(b - s);
                    let part = |(side, table): &(Side, Vec<Scale>)| {
                        let (zero_point, minimum, maximum) = side.limits(lines.requantise);
                        let Scale { multiplier, shift, bias } = table[usize::from(a as u8)];
                        Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double }
                            .apply((operand << OPERAND_SHIFT) + bias)
                    };
                    let sum: i32 = tables.iter().map(part).sum();
                    prop_assert_eq!(sum, requantise.apply((a - a_zero) * (b - b_zero)), "{} {}", a, b);
                }
            }
        }
    }
}
