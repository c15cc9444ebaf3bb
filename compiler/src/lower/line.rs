//! Rising functions of integers that the requantiser makes of a line: which bias does it?
//!
//! The requantiser scales `step × x + bias`, rounds twice and clamps. Whether that is a given function of `x`, and with which bias,
//! is a question about the function's steps alone: before each of them the sum must not yet reach what gives the next value, behind
//! it it must.

use lpu_isa::arithmetic::Requantise;
use std::ops::RangeInclusive;

/// No bias is larger, and none less than this negated: sums stay within 32 bits.
const LARGEST_BIAS: i64 = 1 << 30;

/// Which results of a function a product makes, where the roundings bend the function at 0 and no line makes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// All.
    Both,
    /// Those of at least the output's zero point, which stands for all others.
    Above,
    /// Those of at most that, less it; 0 for all others.
    Below,
}

impl Side {
    /// Zero point, least and largest of these results, where `whole` makes all.
    pub(super) fn limits(self, whole: &Requantise) -> (i32, i32, i32) {
        let Requantise { zero_point, minimum, maximum, .. } = *whole;
        match self {
            Side::Both => (zero_point, minimum, maximum),
            Side::Above => (zero_point, zero_point, maximum),
            Side::Below => (0, minimum - zero_point, 0),
        }
    }

    /// What stands for `result` of `whole`.
    pub(super) fn of(self, result: i32, whole: &Requantise) -> i32 {
        match self {
            Side::Both => result,
            Side::Above => result.max(whole.zero_point),
            Side::Below => result.min(whole.zero_point) - whole.zero_point,
        }
    }
}

/// The least integer of `range` for which `reached`, which holds for all behind the first, does; the one behind the range where it
/// never does.
fn first(range: RangeInclusive<i64>, reached: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (*range.start(), *range.end() + 1);
    while low < high {
        let middle = (low + high).div_euclid(2);
        if reached(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// A bias with which `requantise` makes `function(x)` of `step × x + bias` for every `x` of `range`, the middle one of all;
/// `None` where there is none. The function rises, or else there is none.
pub(super) fn bias(
    requantise: &Requantise,
    step: i64,
    range: RangeInclusive<i64>,
    function: impl Fn(i64) -> i32,
) -> Option<i32> {
    let Requantise { minimum, maximum, .. } = *requantise;
    let (mut low, mut high) = (-LARGEST_BIAS, LARGEST_BIAS);
    let (least, largest) = (function(*range.start()), function(*range.end()));
    if least < minimum || largest > maximum {
        return None;
    }
    for value in least..=largest + 1 {
        // The least sum that gives at least the value.
        let edge = match value {
            value if value <= minimum => continue,
            value if value > maximum => continue,
            value => first(i64::from(i32::MIN)..=i64::from(i32::MAX), |sum| requantise.apply(sum as i32) >= value),
        };
        let reaches = first(range.clone(), |x| function(x) >= value);
        if reaches <= *range.end() {
            low = low.max(edge - step * reaches);
        }
        if reaches > *range.start() {
            high = high.min(edge - 1 - step * (reaches - 1));
        }
    }
    let bias = i32::try_from(low + (high - low) / 2).ok().filter(|_| low <= high)?;
    let made = |x: i64| i32::try_from(step * x + i64::from(bias)).ok().map(|sum| requantise.apply(sum));
    range.into_iter().all(|x| made(x) == Some(function(x))).then_some(bias)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use lpu_isa::arithmetic::{Rounding, quantize_multiplier};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_of_the_same_arithmetic_has_its_bias(
            real in 1e-4_f64..0.9, bias_of_it in -10_000_i32..10_000, zero_point: i8
        ) {
            let (multiplier, shift) = quantize_multiplier(real);
            let zero_point = zero_point.into();
            let requantise =
                Requantise { multiplier, shift, zero_point, minimum: -128, maximum: 127, rounding: Rounding::Double };
            let function = |x: i64| requantise.apply(3 * x as i32 + bias_of_it);
            let found = bias(&requantise, 3, -3000..=3000, function).unwrap();
            for x in -3000..=3000_i64 {
                prop_assert_eq!(requantise.apply(3 * x as i32 + found), function(x));
            }
        }
    }

    #[test]
    fn a_bend_has_none() {
        let (multiplier, shift) = quantize_multiplier(0.5);
        let requantise =
            Requantise { multiplier, shift, zero_point: 0, minimum: -128, maximum: 127, rounding: Rounding::Double };
        assert_eq!(bias(&requantise, 1, -100..=100, |x| if x < 0 { 0 } else { (x / 2) as i32 }), None);
    }
}
