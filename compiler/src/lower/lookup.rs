//! Functions of int8 elements by look-up: sums of two elements in two scales, logistic functions.
//!
//! The requantiser takes the scale and the bias of each element from the entry that another element chooses (see
//! [`RequantiseFrom::Lookup`](lpu_isa::instruction::RequantiseFrom::Lookup)): of `a` and `b` it makes
//!
//! ```text
//! clamp(round(round((b × 2¹⁶ + bias[a]) × multiplier[a] / 2³¹) / 2^right[a]) + zero point)
//! ```
//!
//! A sum of two scaled elements is such a function up to its roundings: a straight line in `b` whose height `a` chooses. For each
//! `a` the 256 results that the operator is defined by leave an interval of biases, and the compiler takes the middle of it: the
//! table is right for all 65,536 pairs by construction, or there is none, and the network is refused.
//!
//! # Cost
//!
//! `requantise_interval` cycles for each word of the image, and [`LOOKUP_ENTRIES`] entries of the scale table for each sum or function.
//! [`cost`] adds the latencies of one round trip.

use super::cost::{Cost, Streaming};
use super::layout::Layout;
use super::stream::{Stream, Through, rows_of};
use super::{Lowered, Lowering, Target};
use crate::error::CompileError;
use crate::schedule::Stored;
use lpu_isa::arithmetic::addition::Addition;
use lpu_isa::arithmetic::logistic::Logistic;
use lpu_isa::arithmetic::{Requantise, Rounding, quantize_multiplier};
use lpu_isa::configuration::{Configuration, LOOKUP_ENTRIES};
use lpu_isa::program::Scale;

/// Bits by which the second element is shifted to the left.
pub(super) const OPERAND_SHIFT: u32 = 16;

/// Limits of a function, and what is added before the clamp.
#[derive(Clone, Copy, Debug)]
struct Range {
    zero_point: i32,
    minimum: i32,
    maximum: i32,
}

/// The table with which a look-up by `a` makes `function(a, b)` of `b`, entries in the order of the bytes of `a`; `slope` is how far
/// the function rises from one `b` to the next, about. `None` where there is none.
fn table(slope: f64, range: Range, function: impl Fn(i32, i32) -> i32) -> Option<Vec<Scale>> {
    let Range { zero_point, minimum, maximum } = range;
    let (multiplier, shift) = quantize_multiplier(slope / f64::from(1 << OPERAND_SHIFT));
    // To the left, the sum could leave its 32 bits.
    if shift > 0 || multiplier == 0 {
        return None;
    }
    let requantise = Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double };
    // The least sum that gives at least a value, for each value; the function rises with the sum.
    let least = |value: i32| {
        let (mut low, mut high) = (i64::from(i32::MIN), i64::from(i32::MAX) + 1);
        while low < high {
            let middle = (low + high).div_euclid(2);
            if requantise.apply(middle as i32) >= value { high = middle } else { low = middle + 1 }
        }
        low
    };
    let edges: Vec<i64> =
        (minimum..=maximum + 1).map(|value| if value > maximum { i64::MAX } else { least(value) }).collect();
    let entry = |byte: u32| {
        let a = i32::from(byte as u8 as i8);
        let (mut low, mut high) = (-(1i64 << 30), 1i64 << 30);
        for b in -128..128 {
            let value = usize::try_from(function(a, b) - minimum).ok().filter(|&value| value + 1 < edges.len())?;
            let operand = i64::from(b) << OPERAND_SHIFT;
            if value > 0 {
                low = low.max(edges[value] - operand);
            }
            high = high.min(edges[value + 1].saturating_sub(1).saturating_sub(operand));
        }
        let bias = i32::try_from(low + (high - low) / 2).ok().filter(|_| low <= high)?;
        Some(Scale { multiplier, shift, bias })
    };
    (0..LOOKUP_ENTRIES).map(entry).collect()
}

/// The table of a sum that looks up by its first operand, or, where the flag says so, by its second.
fn table_of_sum(addition: &Addition) -> Option<(Vec<Scale>, bool)> {
    let Requantise { multiplier, shift, zero_point, minimum, maximum, .. } = addition.output;
    let real = |multiplier: i32, shift: i32| f64::from(multiplier) * f64::from(shift - 31).exp2();
    let range = Range { zero_point, minimum, maximum };
    let output = f64::from(1 << Addition::LEFT_SHIFT) * real(multiplier, shift);
    let slope = |multiplier: i32, shift: i32| real(multiplier, shift) * output;
    let by_first = slope(addition.second.multiplier, addition.second.shift);
    let by_second = slope(addition.first.multiplier, addition.first.shift);
    let first = || table(by_first, range, |a, b| addition.apply(a, b)).map(|table| (table, false));
    let second = || table(by_second, range, |a, b| addition.apply(b, a)).map(|table| (table, true));
    // The flatter line leaves its biases more room.
    if by_first <= by_second { first().or_else(second) } else { second().or_else(first) }
}

/// The table of any function of one element, which is both operands of the look-up.
fn table_of_function(function: impl Fn(i32) -> i32) -> Vec<Scale> {
    let entry = |byte: u32| {
        let a = i32::from(byte as u8 as i8);
        // The sum is the result times 2¹⁶, and that scales back exactly.
        let bias = (function(a) - a) << OPERAND_SHIFT;
        Scale { multiplier: 1 << 30, shift: 1 - OPERAND_SHIFT as i32, bias }
    };
    (0..LOOKUP_ENTRIES).map(entry).collect()
}

/// The cycles of a sum or function alone, of so many words.
#[must_use]
pub fn cost(words: u64, configuration: &Configuration) -> Cost {
    Streaming::Requantiser.cost(words, 0, configuration)
}

pub(crate) fn refused(layer: &str, operator: &str) -> CompileError {
    let why = format!(
        "{operator} needs a machine whose requantiser looks up scales; set `lookup = true` in its configuration"
    );
    CompileError::Unsupported { layer: layer.into(), why }
}

/// Lowers the sum of two images of the same layout but for their padding.
///
/// # Errors
/// A machine without look-ups, a memory that is too small, a sum that no table makes.
pub fn lower_sum(
    lowering: &mut Lowering<'_>,
    addition: &Addition,
    [first, second]: [(&Stored, &Layout); 2],
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    super::check_rounding(target.name, addition.output.rounding)?;
    if !lowering.schedule.configuration.lookup {
        return Err(refused(target.name, "a sum"));
    }
    let Some((entries, turned)) = lowering.tables.sums.get(addition, || table_of_sum(addition)) else {
        let why = "no table of scales gives its sums exactly".to_string();
        return Err(CompileError::Unsupported { layer: target.name.into(), why });
    };
    let Requantise { zero_point, minimum, maximum, .. } = addition.output;
    let operands = if turned { [first, second] } else { [second, first] };
    lower(lowering, entries, &operands, (zero_point, minimum, maximum), target)
}

/// Lowers the logistic function of an image.
///
/// # Errors
/// A machine without look-ups, or a memory that is too small.
pub fn lower_logistic(
    lowering: &mut Lowering<'_>,
    logistic: &Logistic,
    input: (&Stored, &Layout),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    if !lowering.schedule.configuration.lookup {
        return Err(refused(target.name, "a logistic function"));
    }
    lower(lowering, table_of_function(|element| logistic.apply(element)), &[input], (0, -128, 127), target)
}

/// A look-up: the first image is the operand, the last one chooses.
fn lower(
    lowering: &mut Lowering<'_>,
    entries: Vec<Scale>,
    images: &[(&Stored, &Layout)],
    (zero_point, minimum, maximum): (i32, i32, i32),
    target: &Target<'_>,
) -> Result<Lowered, CompileError> {
    let lanes = lowering.schedule.configuration.stream_elements as usize;
    let entries = entries.into_iter().map(|scale| vec![scale; lanes]).collect();
    let base = lowering.add_scales(target.name, entries)?;
    let (mut stored, last_read) = lowering.place_image(target)?;
    let word = lowering.schedule.configuration.beats_per_word();
    let (own, last_beats) = rows_of(&target.layout, &stored, word);
    let reads = images.iter().map(|&(stored, layout)| {
        let (nest, _) = rows_of(layout, stored, word);
        (stored.region.slice, nest, &stored.ready[..], stored.region.base)
    });
    let streamed = lowering.stream(&Stream {
        name: target.name,
        reads: reads.collect(),
        through: Through::Lookup { base, zero_point },
        minimum,
        maximum,
        write: (stored.region.slice, own),
        also: None,
        last_beats,
        earliest: 0,
        last_read,
        number: Some(target.number),
    })?;
    stored.land(&streamed.landed);
    Ok(Lowered { result: stored, tiles: 0, start: streamed.start, last_read: streamed.last_read })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use lpu_isa::arithmetic::addition::Addend;
    use proptest::prelude::*;

    fn looked_up(scale: Scale, operand: i32, range: Range) -> i32 {
        let Scale { multiplier, shift, bias } = scale;
        let Range { zero_point, minimum, maximum } = range;
        Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double }
            .apply((operand << OPERAND_SHIFT).wrapping_add(bias))
    }

    /// The sum of two elements as the importer makes it.
    fn addition(scales: [f64; 3], zero_points: [i8; 3]) -> Addition {
        let twice = 2.0 * scales[0].max(scales[1]);
        let addend = |index: usize| {
            let (multiplier, shift) = quantize_multiplier(scales[index] / twice);
            Addend { zero_point: zero_points[index].into(), multiplier, shift }
        };
        let (multiplier, shift) = quantize_multiplier(twice / f64::from(1 << Addition::LEFT_SHIFT) / scales[2]);
        let zero_point = zero_points[2].into();
        let output =
            Requantise { multiplier, shift, zero_point, minimum: -128, maximum: 127, rounding: Rounding::Double };
        Addition { first: addend(0), second: addend(1), output }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_sum_has_a_table_that_is_right_for_every_pair(
            scales in prop::array::uniform3(0.01_f64..0.3), zero_points: [i8; 3]
        ) {
            let addition = addition(scales, zero_points);
            let (table, turned) = table_of_sum(&addition).unwrap();
            let range = Range { zero_point: zero_points[2].into(), minimum: -128, maximum: 127 };
            for a in -128..128_i32 {
                for b in -128..128 {
                    let expected = if turned { addition.apply(b, a) } else { addition.apply(a, b) };
                    prop_assert_eq!(looked_up(table[usize::from(a as u8)], b, range), expected);
                }
            }
        }

        #[test]
        fn a_function_of_one_element_is_looked_up_exactly(results in prop::collection::vec(any::<i8>(), 256)) {
            let function = |a: i32| i32::from(results[(a + 128) as usize]);
            let table = table_of_function(function);
            for a in -128..128_i32 {
                let range = Range { zero_point: 0, minimum: -128, maximum: 127 };
                prop_assert_eq!(looked_up(table[usize::from(a as u8)], a, range), function(a));
            }
        }
    }

    #[test]
    fn equal_scales_have_a_table() {
        for scale in [0.05, 0.1, 0.2] {
            assert!(table_of_sum(&addition([0.1, 0.1, scale], [3, -4, 5])).is_some(), "{scale}");
        }
    }
}
