//! Weights as small integers.

use super::graph::Matrix;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// Eight bits, -127 to 127, a unit for each row.
    Int8,
    /// Four bits, -7 to 7, a unit for each `group` columns of a row.
    Int4 {
        /// Columns that share a unit.
        group: usize,
    },
}

impl WeightFormat {
    /// Bits of a weight.
    #[must_use]
    pub fn bits(self) -> usize {
        match self {
            Self::Int8 => 8,
            Self::Int4 { .. } => 4,
        }
    }

    /// Largest magnitude of a weight.
    fn largest(self) -> f64 {
        match self {
            Self::Int8 => 127.0,
            Self::Int4 { .. } => 7.0,
        }
    }

    /// Columns of `columns` that share a unit.
    fn group(self, columns: usize) -> usize {
        match self {
            Self::Int8 => columns,
            Self::Int4 { group } => group.clamp(1, columns),
        }
    }
}

/// Units that are tried for a group of int4 weights, from the one that holds the largest weight downwards.
const TRIED_UNITS: u32 = 40;
/// Each smaller than the one before by this share of the first.
const UNIT_STEP: f64 = 0.015;

/// The matrix of `columns` columns whose weights, row-major, are `weights`. `power` is the mean square of each input.
///
/// With eight bits the unit of a row is its largest magnitude ÷ 127. With four, units are tried that cut the largest weights off:
/// the one with the least error, weighted with the power of the inputs, is taken. A group of zeros has the unit 0.
#[must_use]
pub fn round(weights: &[f64], columns: usize, power: &[f64], format: WeightFormat) -> Matrix {
    let (group, most) = (format.group(columns), format.largest());
    let integer = |weight: f64, unit: f64| if unit > 0.0 { (weight / unit).round().clamp(-most, most) } else { 0.0 };
    let mut matrix = Matrix { rows: weights.len() / columns, columns, group, weights: vec![], units: vec![] };
    for row in weights.chunks_exact(columns) {
        for (weights, power) in row.chunks(group).zip(power.chunks(group)) {
            let largest = weights.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
            let error = |unit: f64| -> f64 {
                let square = |weight: f64| (integer(weight, unit) * unit - weight).powi(2);
                weights.iter().zip(power).map(|(&weight, power)| square(weight) * power).sum()
            };
            let whole = largest / most;
            let unit = match format {
                WeightFormat::Int8 => whole,
                WeightFormat::Int4 { .. } => {
                    let units = (0..TRIED_UNITS).map(|step| whole * (1.0 - UNIT_STEP * f64::from(step)));
                    units.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(whole)
                }
            };
            matrix.weights.extend(weights.iter().map(|&weight| integer(weight, unit) as i8));
            matrix.units.push(unit);
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_of_zeros_has_no_unit_and_no_weight() {
        let matrix = round(&[0.0, 0.0, 1.0, -2.0], 2, &[1.0, 1.0], WeightFormat::Int8);
        assert_eq!(matrix.weights, [0, 0, 64, -127]);
        assert_eq!(matrix.units, [0.0, 2.0 / 127.0]);
        assert_eq!(round(&[0.0; 4], 2, &[1.0, 1.0], WeightFormat::Int4 { group: 1 }).weights, [0; 4]);
    }

    proptest! {
        #[test]
        fn a_rounded_weight_is_off_by_half_a_unit(weights in prop::collection::vec(-9.0_f64..9.0, 12)) {
            let matrix = round(&weights, 4, &[1.0; 4], WeightFormat::Int8);
            for (row, unit) in matrix.rows().zip(&matrix.units).enumerate().map(|(row, (weights, unit))| ((row, weights), unit)) {
                for (column, &weight) in row.1.iter().enumerate() {
                    prop_assert!((f64::from(weight) * unit - weights[4 * row.0 + column]).abs() <= 0.500_001 * unit);
                }
            }
        }

        #[test]
        fn a_group_of_four_bits_has_no_more_error_than_with_the_unit_of_its_largest(
            weights in prop::collection::vec(-9.0_f64..9.0, 10), power in prop::collection::vec(0.0_f64..3.0, 10)
        ) {
            let matrix = round(&weights, 10, &power, WeightFormat::Int4 { group: 4 });
            prop_assert_eq!((matrix.groups(), matrix.units.len()), (3, 3));
            for group in 0..3 {
                let range = 4 * group..(4 * group + 4).min(10);
                let largest = weights[range.clone()].iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
                let error = |unit: f64| -> f64 {
                    let square = |at: usize| {
                        ((weights[at] / unit).round().clamp(-7.0, 7.0) * unit - weights[at]).powi(2) * power[at]
                    };
                    range.clone().map(square).sum()
                };
                prop_assert!(error(matrix.units[group]) <= error(largest / 7.0));
                prop_assert!(matrix.weights[range.clone()].iter().all(|weight| weight.abs() <= 7));
            }
        }
    }
}
