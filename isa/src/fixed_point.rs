//! Fixed-point arithmetic of language models, written once.
//!
//! What [`arithmetic`](crate::arithmetic) is for accumulators, this is for elements: the golden model, the compiler and (later)
//! the cycle model call these functions, and the RTL equals them bit for bit. An element is an `i16`, a product or a sum an
//! `i32`; nothing here needs a divider or a wider register.
//!
//! | module | holds |
//! | --- | --- |
//! | this one | add, subtract, multiply with a rounding right shift, saturation, squares |
//! | [`table`] | functions of one element: 256 segments, linear interpolation |
//! | [`normalise`] | reciprocal and reciprocal square root of a 32-bit sum, as a mantissa and a shift |
//! | [`sampling`] | random numbers and the choice of one of many weights |
//!
//! # Q formats
//! `Qm.n` is an integer in units of 2⁻ⁿ. Elements in the unit of a tensor (a *scale*, chosen by the compiler) have no Q format
//! here; where a function fixes one, its documentation says so.
//!
//! # Rounding
//! Every right shift rounds to nearest with halves away from zero:
//! [`rounding_divide_by_pot`], which the requantiser has already. A result is off by half a unit at most, unless it saturates.
//!
//! ```
//! use lpu_isa::fixed_point::{add, multiply};
//!
//! // 1.5 × 0.25 in Q2.14 and Q1.15 give Q2.14 with a shift by 15.
//! assert_eq!(multiply(24576, 8192, 15), 6144);
//! assert_eq!(add(32000, 1000), i16::MAX);
//! ```

pub mod normalise;
pub mod sampling;
pub mod table;

use crate::arithmetic::rounding_divide_by_pot;

/// The element nearest to `value`.
#[must_use]
#[inline]
pub fn saturate(value: i32) -> i16 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// `a + b`, saturated.
#[must_use]
#[inline]
pub fn add(a: i16, b: i16) -> i16 {
    a.saturating_add(b)
}

/// `a - b`, saturated.
#[must_use]
#[inline]
pub fn subtract(a: i16, b: i16) -> i16 {
    a.saturating_sub(b)
}

/// `a × b / 2^right_shift`, rounded (halves away from zero) and saturated. The product has 31 bits; shifts above 31 count as
/// 31.
#[must_use]
#[inline]
pub fn multiply(a: i16, b: i16, right_shift: u32) -> i16 {
    saturate(rounding_divide_by_pot(i32::from(a) * i32::from(b), right_shift))
}

/// `Σ round(x² / 2^right_shift)`: what a root mean square is made of.
///
/// The caller chooses the shift so that the sum stays below 2³¹ ([`square_shift`]); beyond that it wraps, as a register does.
#[must_use]
pub fn sum_of_squares(elements: &[i16], right_shift: u32) -> i32 {
    let square = |&element: &i16| rounding_divide_by_pot(i32::from(element) * i32::from(element), right_shift);
    elements.iter().map(square).fold(0, i32::wrapping_add)
}

/// The least right shift with which `count` squares of elements within `-limit..=limit` add up to at most `most`; 31 where
/// even that is too little.
#[must_use]
pub fn square_shift(count: usize, limit: i16, most: i32) -> u32 {
    let square = i32::from(limit) * i32::from(limit);
    let sum = |shift: u32| (rounding_divide_by_pot(square, shift) as u128) * count as u128;
    (0..31).find(|&shift| sum(shift) <= most.max(0) as u128).unwrap_or(31)
}

/// Position of the largest element; the first of equals. `None` for no element.
#[must_use]
pub fn arg_max(elements: &[i16]) -> Option<usize> {
    let mut best: Option<(usize, i16)> = None;
    for (index, &element) in elements.iter().enumerate() {
        if best.is_none_or(|(_, largest)| element > largest) {
            best = Some((index, element));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_product_is_the_exact_one_within_half_a_unit_or_saturated(a: i16, b: i16, shift in 0_u32..=31) {
            let exact = f64::from(a) * f64::from(b) / f64::from(shift).exp2();
            let got = f64::from(multiply(a, b, shift));
            let nearest = exact.clamp(f64::from(i16::MIN), f64::from(i16::MAX));
            prop_assert!((got - nearest).abs() <= 0.5, "{got} for {exact}");
        }

        #[test]
        fn a_sum_of_squares_is_within_half_a_unit_for_each_term(
            elements in prop::collection::vec(any::<i16>(), 0..80), limit in 1_i16..
        ) {
            let shift = square_shift(elements.len(), i16::MAX, i32::MAX);
            let clamped: Vec<i16> = elements.iter().map(|&x| x.clamp(-limit, limit)).collect();
            let exact: f64 = clamped.iter().map(|&x| f64::from(x).powi(2)).sum();
            let unit = f64::from(shift).exp2();
            let got = f64::from(sum_of_squares(&clamped, shift)) * unit;
            prop_assert!((got - exact).abs() <= 0.5 * unit * elements.len() as f64);
            prop_assert!(f64::from(sum_of_squares(&clamped, shift)) <= f64::from(i32::MAX));
        }

        #[test]
        fn the_square_shift_is_the_least_that_fits(count in 1_usize..100_000, limit in 1_i16.., most in 1_i32..) {
            let shift = square_shift(count, limit, most);
            let sum = |shift| u128::from(
                rounding_divide_by_pot(i32::from(limit) * i32::from(limit), shift).unsigned_abs()) * count as u128;
            prop_assert!(shift == 31 || sum(shift) <= most as u128);
            prop_assert!(shift == 0 || sum(shift - 1) > most as u128);
        }

        #[test]
        fn the_first_of_equals_wins(elements in prop::collection::vec(-3_i16..3, 1..20)) {
            let index = arg_max(&elements).unwrap_or(usize::MAX);
            let largest = elements.iter().copied().max();
            prop_assert_eq!(elements.iter().position(|&element| Some(element) == largest), Some(index));
        }
    }

    #[test]
    fn nothing_has_no_largest_element() {
        assert_eq!(arg_max(&[]), None);
    }
}
