//! What one lane of an extended vector unit computes, and its reductions.
//!
//! A configuration with [`Extensions`](crate::configuration::Extensions) has a vector unit that multiplies, shifts, looks up
//! tables and reduces. One instruction goes through all of it in this order:
//!
//! ```text
//! value  = function(a, b)               b: a stream, the constant, or a scalar
//! value  = value >> shift               rounded, saturated; a scalar's exponent is subtracted from the shift
//! value  = value + value of the step before   where the steps of a run are combined
//! value  = table(value)                 where a table is named
//! result = clamp(value), or the minimum where the element lies beyond the mask
//! scalar = reduction over all results of the instruction
//! ```
//!
//! All element arithmetic is that of [`fixed_point`](crate::fixed_point).

use crate::arithmetic::rounding_divide_by_pot;
use crate::fixed_point::normalise::{Factor, Normalise};
use crate::fixed_point::{add, saturate};
use crate::instruction::Function;
use serde::{Deserialize, Serialize};

/// Least shift of an instruction: so far to the left.
pub const LEAST_SHIFT: i32 = -32;
/// Largest shift of an instruction: so far to the right.
pub const LARGEST_SHIFT: i32 = 31;

/// Whether the second operand is a scalar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalarOperand {
    /// No: it is the stream or the constant.
    #[default]
    None = 0,
    /// The scalar at the step's address.
    One = 1,
    /// Each beat of the word has its own: beat `b` the scalar at the step's address plus `b`.
    OfBeat = 2,
}

/// Where an instruction's values leave the pipeline of the vector unit's lanes for their limits: those that need no more of it do
/// not go through the rest. The way follows from the instruction, so its latency does too.
///
/// Results of two instructions must not meet, and none may overtake another: behind an instruction with a longer way, the next
/// begins so much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Behind the saturated value of the function: neither product nor shift, scalar, combination or table.
    Plain,
    /// Behind the combination of steps: no table.
    Arithmetic,
    /// Through all of it.
    Table,
}

/// How the steps of a run go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Combine {
    /// Each step has a result of its own.
    #[default]
    Each = 0,
    /// Each step's result is the sum of the run's values so far, saturated at each addition.
    Sum = 1,
    /// The same, and in all steps of a run but the first, neighbours of the first operand change places: elements `2i` and
    /// `2i + 1`. With cosines in the first step and sines in the second that turns pairs.
    Rotation = 2,
}

/// What an instruction's results are reduced to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reduction {
    /// Nothing.
    #[default]
    None = 0,
    /// The largest, as a scalar of exponent 0.
    Maximum = 1,
    /// `1 / Σ`, see [`Normalise::reciprocal`].
    Reciprocal = 2,
    /// `1 / √(addend + Σ round(x² / 2^square_shift))`, see [`Normalise::reciprocal_root`].
    ReciprocalRoot = 3,
    /// Where the largest stands, the first of equals: the address of its step plus its lane, into a run-time register.
    ArgMax = 4,
    /// The element of the last step at the lane that a run-time register names (modulo the lanes), as a scalar of exponent 0.
    Pick = 5,
}

impl ScalarOperand {
    /// All with their names in assembly text.
    pub const ALL: [(ScalarOperand, &'static str); 3] =
        [(ScalarOperand::None, "none"), (ScalarOperand::One, "one"), (ScalarOperand::OfBeat, "of_beat")];
}

impl Combine {
    /// All with their names in assembly text.
    pub const ALL: [(Combine, &'static str); 3] =
        [(Combine::Each, "each"), (Combine::Sum, "sum"), (Combine::Rotation, "rotation")];
}

impl Reduction {
    /// All with their names in assembly text.
    pub const ALL: [(Reduction, &'static str); 6] = [
        (Reduction::None, "none"),
        (Reduction::Maximum, "maximum"),
        (Reduction::Reciprocal, "reciprocal"),
        (Reduction::ReciprocalRoot, "reciprocal_root"),
        (Reduction::ArgMax, "arg_max"),
        (Reduction::Pick, "pick"),
    ];

    /// Does the result go to the scalars?
    #[must_use]
    pub fn makes_scalar(self) -> bool {
        !matches!(self, Reduction::None | Reduction::ArgMax)
    }
}

/// What an instruction of an extended vector unit asks for beyond function, operands and limits. The default asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arithmetic {
    /// Is the second operand a scalar?
    pub scalar: ScalarOperand,
    /// Right shift of the function's value, [`LEAST_SHIFT`] to [`LARGEST_SHIFT`]; negative shifts left.
    pub shift: i32,
    /// The table that the value goes through.
    pub table: Option<u32>,
    /// How the steps of a run go together.
    pub combine: Combine,
    /// What the instruction's results are reduced to; the address of its last step is that of the scalar.
    pub reduction: Reduction,
    /// Right shift of the squares of a [`Reduction::ReciprocalRoot`], 0 to 31.
    pub square_shift: u32,
    /// The addend of a [`Reduction::ReciprocalRoot`] is the constant times two to this, 0 to 15.
    pub addend_shift: u32,
    /// The run-time register that [`Reduction::ArgMax`] writes or whose value [`Reduction::Pick`] takes for the lane.
    pub register: u32,
    /// The run-time register with the index of the last element that counts; 0 for all. The elements of the instruction's steps
    /// have indices from 0 on; those beyond become the minimum. Read when the instruction issues.
    pub mask: u32,
}

impl Arithmetic {
    /// How far an instruction with `function` goes through the lanes' pipeline.
    #[must_use]
    pub fn path(&self, function: Function) -> Path {
        let shifts = self.shift != 0 || self.scalar != ScalarOperand::None || function == Function::Multiply;
        match self.table {
            Some(_) => Path::Table,
            None if shifts || self.combine != Combine::Each => Path::Arithmetic,
            None => Path::Plain,
        }
    }
}

/// The second operand of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// Its value.
    pub value: i16,
    /// The exponent, if it is a scalar.
    pub exponent: Option<i32>,
}

/// A lane's value before runs are combined: function, shift, saturation.
///
/// A [`Function::Subtract`] from a scalar subtracts the scalar less `constant`; everything else leaves `constant` alone. Where a
/// scalar is multiplied with, the whole shift is the instruction's less the scalar's exponent, and never to the left
/// ([`Factor::scale`]).
#[must_use]
#[inline]
pub fn lane(function: Function, a: i16, second: Second, constant: i16, shift: i32) -> i16 {
    let b = second.value;
    match (function, second.exponent) {
        (Function::Multiply, Some(exponent)) => Factor { mantissa: b, exponent }.scale(a, shift),
        (Function::Multiply, None) => shifted(i32::from(a) * i32::from(b), shift),
        (Function::Subtract, Some(_)) => {
            let origin = b.saturating_sub(constant);
            shifted(i32::from(a.saturating_sub(origin)), shift)
        }
        _ => shifted(i32::from(saturate(function.apply(i32::from(a), i32::from(b)))), shift),
    }
}

/// `value / 2^shift`, rounded and saturated; negative shifts multiply.
#[must_use]
#[inline]
pub fn shifted(value: i32, shift: i32) -> i16 {
    if shift >= 0 {
        return saturate(rounding_divide_by_pot(value, shift.min(31) as u32));
    }
    let moved = i64::from(value) << (-shift).min(31);
    moved.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// `value` added to what the steps of the run before it came to.
#[must_use]
#[inline]
pub fn combined(combine: Combine, first: bool, before: i16, value: i16) -> i16 {
    match combine {
        Combine::Each => value,
        Combine::Sum | Combine::Rotation if first => value,
        Combine::Sum | Combine::Rotation => add(before, value),
    }
}

/// A reduction under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reducing {
    sum: i32,
    largest: i16,
    position: i64,
    any: bool,
}

impl Reducing {
    /// Before the first element; `addend` is what a sum begins with.
    #[must_use]
    pub fn new(addend: i32) -> Self {
        Self { sum: addend, largest: i16::MIN, position: 0, any: false }
    }

    /// One more element, at `position`.
    #[inline]
    pub fn take(&mut self, reduction: Reduction, square_shift: u32, position: i64, element: i16) {
        match reduction {
            Reduction::None | Reduction::Pick => {}
            Reduction::Maximum | Reduction::ArgMax => {
                if !self.any || element > self.largest {
                    (self.largest, self.position, self.any) = (element, position, true);
                }
            }
            Reduction::Reciprocal => self.sum = self.sum.wrapping_add(i32::from(element)),
            Reduction::ReciprocalRoot => {
                let square = i32::from(element) * i32::from(element);
                self.sum = self.sum.wrapping_add(rounding_divide_by_pot(square, square_shift));
            }
        }
    }

    /// The scalar that it comes to; none for a reduction that makes none from a sum or a maximum.
    #[must_use]
    pub fn scalar(&self, reduction: Reduction, normalise: &Normalise) -> Option<Factor> {
        match reduction {
            Reduction::Maximum => Some(Factor { mantissa: self.largest, exponent: 0 }),
            Reduction::Reciprocal => Some(normalise.reciprocal(self.sum)),
            Reduction::ReciprocalRoot => Some(normalise.reciprocal_root(self.sum)),
            Reduction::None | Reduction::ArgMax | Reduction::Pick => None,
        }
    }

    /// Where the largest element stands.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed_point::{arg_max, multiply, subtract, sum_of_squares};
    use proptest::prelude::*;

    const PLAIN: Option<i32> = None;

    proptest! {
        #[test]
        fn a_lane_does_what_the_functions_of_elements_do(a: i16, b: i16, constant: i16, shift in 0_i32..=31) {
            let second = Second { value: b, exponent: PLAIN };
            prop_assert_eq!(lane(Function::Multiply, a, second, 0, shift), multiply(a, b, shift as u32));
            prop_assert_eq!(lane(Function::Add, a, second, 0, 0), add(a, b));
            let moved = multiply(subtract(a, b), 1, shift as u32);
            prop_assert_eq!(lane(Function::Subtract, a, second, constant, shift), moved);
        }

        #[test]
        fn a_left_shift_behind_a_difference_is_a_product_with_a_power_of_two(a: i16, b: i16, constant: i16, left in 0_u32..15) {
            let second = Second { value: b, exponent: Some(0) };
            let expected = multiply(subtract(a, subtract(b, constant)), 1 << left, 0);
            prop_assert_eq!(lane(Function::Subtract, a, second, constant, -(left as i32)), expected);
        }

        #[test]
        fn a_scalar_scales_as_the_factor_it_is(a: i16, mantissa in 1_i16.., exponent in -46_i32..0, shift in -30_i32..=31) {
            let second = Second { value: mantissa, exponent: Some(exponent) };
            let expected = Factor { mantissa, exponent }.scale(a, shift);
            prop_assert_eq!(lane(Function::Multiply, a, second, 0, shift), expected);
        }

        #[test]
        fn reductions_are_those_of_whole_vectors(elements in prop::collection::vec(any::<i16>(), 1..50)) {
            let all = |reduction, addend| {
                let mut reducing = Reducing::new(addend);
                elements.iter().zip(0..).for_each(|(&x, place)| reducing.take(reduction, 6, place, x));
                reducing
            };
            let normalise = Normalise::new();
            prop_assert_eq!(Some(all(Reduction::ArgMax, 0).position() as usize), arg_max(&elements));
            let largest = all(Reduction::Maximum, 0).scalar(Reduction::Maximum, &normalise).map(|scalar| scalar.mantissa);
            prop_assert_eq!(largest, elements.iter().copied().max());
            let root = all(Reduction::ReciprocalRoot, 9).scalar(Reduction::ReciprocalRoot, &normalise);
            prop_assert_eq!(root, Some(normalise.reciprocal_root(sum_of_squares(&elements, 6).wrapping_add(9))));
        }
    }
}
