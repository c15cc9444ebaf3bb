//! Weights as small integers.

use super::correlation::Correlation;
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

/// The matrix of `columns` columns whose weights, row-major, are `weights`; `inputs` is how its inputs move together.
///
/// With eight bits the unit of a row is its largest magnitude ÷ 127. With four, units are tried that cut the largest weights off:
/// the one with the least error, weighted with the power of the inputs, is taken; and what rounding one weight does wrong, the
/// weights behind it in the row make up for as far as they can. A group of zeros has the unit 0.
#[must_use]
pub fn round(weights: &[f64], columns: usize, inputs: &Correlation, format: WeightFormat) -> Matrix {
    let (group, most) = (format.group(columns), format.largest());
    let powers = inputs.powers();
    // Eight bits need no help, and without it depend on no text.
    let feedback = if format == WeightFormat::Int8 { None } else { inputs.feedback() };
    let mut matrix = Matrix { rows: weights.len() / columns, columns, group, weights: vec![], units: vec![] };
    for row in weights.chunks_exact(columns) {
        let mut row = row.to_vec();
        let mut unit = 0.0;
        for column in 0..columns {
            if column.is_multiple_of(group) {
                let members = column..(column + group).min(columns);
                unit = unit_of(&row[members.clone()], &powers[members], format);
                matrix.units.push(unit);
            }
            let integer = integer(row[column], unit, most);
            matrix.weights.push(integer as i8);
            let error = row[column] - integer * unit;
            // A row of zeros stays one: its unit and its errors are zero.
            if let (Some(feedback), true) = (&feedback, error != 0.0) {
                let shares = &feedback[column * columns..(column + 1) * columns];
                row[column + 1..]
                    .iter_mut()
                    .zip(&shares[column + 1..])
                    .for_each(|(weight, share)| *weight -= error * share);
            }
        }
    }
    matrix
}

fn integer(weight: f64, unit: f64, most: f64) -> f64 {
    if unit > 0.0 { (weight / unit).round().clamp(-most, most) } else { 0.0 }
}

/// The unit of a group of weights.
fn unit_of(weights: &[f64], powers: &[f64], format: WeightFormat) -> f64 {
    let most = format.largest();
    let whole = weights.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs())) / most;
    let error = |unit: f64| -> f64 {
        let square = |weight: f64| (integer(weight, unit, most) * unit - weight).powi(2);
        weights.iter().zip(powers).map(|(&weight, power)| square(weight) * power).sum()
    };
    match format {
        WeightFormat::Int8 => whole,
        WeightFormat::Int4 { .. } => {
            let units = (0..TRIED_UNITS).map(|step| whole * (1.0 - UNIT_STEP * f64::from(step)));
            units.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lpu_isa::fixed_point::sampling::Xorshift;
    use proptest::prelude::*;

    /// Inputs of these powers, independent of each other.
    fn independent(powers: &[f64]) -> Correlation {
        let mut correlation = Correlation::new(powers.len());
        for (index, power) in powers.iter().enumerate() {
            let mut vector = vec![0.0; powers.len()];
            vector[index] = power.sqrt();
            correlation.see(&vector, 1.0);
        }
        correlation
    }

    #[test]
    fn a_row_of_zeros_has_no_unit_and_no_weight() {
        let mut alike = Correlation::new(2);
        alike.see(&[1.0, 1.0], 1.0);
        for inputs in [independent(&[1.0, 1.0]), alike] {
            let matrix = round(&[0.0, 0.0, 1.0, -2.0], 2, &inputs, WeightFormat::Int8);
            assert_eq!(matrix.weights, [0, 0, 64, -127]);
            assert_eq!(matrix.units, [0.0, 2.0 / 127.0]);
            assert_eq!(round(&[0.0; 4], 2, &inputs, WeightFormat::Int4 { group: 1 }).weights, [0; 4]);
        }
    }

    #[test]
    fn the_error_of_one_weight_is_made_up_for_by_the_next() {
        // Two inputs are always the same: only the sum of their weights counts. 0.6 + 0.6 of the unit 1 is 1, not 2.
        let mut alike = Correlation::new(3);
        alike.see(&[1.0, 1.0, 0.0], 1.0);
        alike.see(&[0.0, 0.0, 20_f64.sqrt()], 1.0);
        let apart = independent(&[1.0, 1.0, 20.0]);
        let weights =
            |inputs: &Correlation| round(&[0.6, 0.6, 7.0], 3, inputs, WeightFormat::Int4 { group: 3 }).weights;
        assert_eq!((weights(&alike), weights(&apart)), (vec![1, 0, 7], vec![1, 1, 7]));
    }

    /// Squared errors of products of a random matrix rounded for `inputs`, whose vectors these are.
    fn error(weights: &[f64], vectors: &[Vec<f64>], inputs: &Correlation) -> f64 {
        let matrix = round(weights, 12, inputs, WeightFormat::Int4 { group: 12 });
        let rounded = matrix
            .rows()
            .zip(&matrix.units)
            .map(|(row, unit)| -> Vec<f64> { row.iter().map(|&weight| f64::from(weight) * unit).collect() });
        let off = |(rounded, exact): (Vec<f64>, &[f64])| -> f64 {
            let of_vector = |vector: &Vec<f64>| {
                let terms = vector.iter().zip(&rounded).zip(exact);
                terms.map(|((input, rounded), exact)| input * (rounded - exact)).sum::<f64>().powi(2)
            };
            vectors.iter().map(of_vector).sum()
        };
        rounded.zip(weights.chunks_exact(12)).map(off).sum()
    }

    #[test]
    fn making_up_for_errors_brings_products_much_nearer() {
        // Inputs that share most of what they are.
        let mut random = Xorshift::new(1);
        let mut number = || f64::from(random.next_number()) / 2_147_483_648.0 - 1.0;
        let (mut with, mut without) = (0.0, 0.0);
        for _ in 0..30 {
            let vector =
                |common: f64, number: &mut dyn FnMut() -> f64| (0..12).map(|_| common + 0.5 * number()).collect();
            let vectors: Vec<Vec<f64>> = (0..200).map(|_| vector(2.0 * number(), &mut number)).collect();
            let mut inputs = Correlation::new(12);
            vectors.iter().for_each(|vector| inputs.see(vector, 1.0));
            let weights: Vec<f64> = (0..8 * 12).map(|_| number()).collect();
            with += error(&weights, &vectors, &inputs);
            without += error(&weights, &vectors, &independent(&inputs.powers()));
        }
        assert!(2.0 * with < without, "{with}, {without} without");
    }

    proptest! {
        #[test]
        fn a_rounded_weight_is_off_by_half_a_unit(weights in prop::collection::vec(-9.0_f64..9.0, 12)) {
            let matrix = round(&weights, 4, &independent(&[1.0; 4]), WeightFormat::Int8);
            for (index, (&integer, &weight)) in matrix.weights.iter().zip(&weights).enumerate() {
                let unit = matrix.units[index / 4];
                prop_assert!((f64::from(integer) * unit - weight).abs() <= 0.500_001 * unit);
            }
        }

        #[test]
        fn int4_weights_stay_within_four_bits(
            weights in prop::collection::vec(-9.0_f64..9.0, 10), powers in prop::collection::vec(0.0_f64..3.0, 10)
        ) {
            let matrix = round(&weights, 10, &independent(&powers), WeightFormat::Int4 { group: 4 });
            prop_assert_eq!((matrix.groups(), matrix.units.len()), (3, 3));
            prop_assert!(matrix.weights.iter().all(|weight| weight.abs() <= 7));
        }
    }
}
