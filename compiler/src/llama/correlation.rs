//! How the inputs of a product move together, and what follows for the rounding of its weights.
//!
//! Rounding one weight makes an error; the weights behind it in the row, not rounded yet, can make up for the part of it that their
//! inputs share (Frantar and others, *GPTQ*, 2022; there for 4 bits, but it is as right for 8).

/// Inputs beyond which only their powers are kept: the rest would take longer than the forward pass.
const LARGEST: usize = 1024;

/// Share of the mean power that is added to every input's own: what calibration has not seen must not be relied upon.
const DAMPING: f64 = 0.01;

/// Mean products of the inputs of a product.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Correlation {
    size: usize,
    /// `[size][size]`, or only the diagonal where there are too many inputs.
    products: Vec<f64>,
    vectors: usize,
}

impl Correlation {
    /// Nothing seen of `size` inputs.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let kept = if size <= LARGEST { size * size } else { size };
        Self { size, products: vec![0.0; kept], vectors: 0 }
    }

    /// Sees `inputs`, each divided by `divisor`.
    pub fn see(&mut self, inputs: &[f64], divisor: f64) {
        self.vectors += 1;
        let scale = 1.0 / (divisor * divisor);
        if self.products.len() == self.size {
            self.products.iter_mut().zip(inputs).for_each(|(power, input)| *power += input * input * scale);
            return;
        }
        for (row, &input) in self.products.chunks_exact_mut(self.size.max(1)).zip(inputs) {
            let input = input * scale;
            row.iter_mut().zip(inputs).for_each(|(product, other)| *product += input * other);
        }
    }

    /// Mean square of each input; 1 where nothing was seen.
    #[must_use]
    pub fn powers(&self) -> Vec<f64> {
        if self.vectors == 0 {
            return vec![1.0; self.size];
        }
        let step = if self.products.len() == self.size { 1 } else { self.size + 1 };
        self.products.iter().step_by(step).map(|product| product / self.vectors as f64).collect()
    }

    /// For each input, what an error of its weight of 1 takes away from each later weight: `[size][size]`, zero but above the
    /// diagonal. `None` where inputs are too many, or none of them was ever anything but zero.
    ///
    /// With the mean products `H = R Rᵀ`, `R` upper triangular, and `U = R⁻¹`: `U[i][j] / U[i][i]`.
    #[must_use]
    pub fn feedback(&self) -> Option<Vec<f64>> {
        let size = self.size;
        let mean = self.powers().iter().sum::<f64>() / size.max(1) as f64;
        let possible = self.vectors > 0 && self.products.len() == size * size && mean > 0.0 && mean.is_finite();
        if !possible || (size == 1 && self.products.len() == 1) {
            return None;
        }
        let mut factor = vec![0.0; size * size];
        for column in (0..size).rev() {
            for row in (0..=column).rev() {
                let own = if row == column { DAMPING * mean } else { 0.0 };
                let product = self.products[row * size + column] / self.vectors as f64 + own;
                let known = (column + 1..size).map(|k| factor[row * size + k] * factor[column * size + k]);
                let rest = product - known.sum::<f64>();
                factor[row * size + column] = if row == column {
                    rest.max(f64::MIN_POSITIVE).sqrt()
                } else {
                    rest / factor[column * size + column]
                };
            }
        }
        let mut feedback = vec![0.0; size * size];
        for row in 0..size {
            // The row of the inverse, over its first element.
            let mut inverse = vec![0.0; size];
            inverse[row] = 1.0;
            for column in row + 1..size {
                let known = (row..column).map(|k| inverse[k] * factor[k * size + column]);
                inverse[column] = -known.sum::<f64>() / factor[column * size + column];
            }
            inverse[row] = 0.0;
            feedback[row * size..(row + 1) * size].copy_from_slice(&inverse);
        }
        feedback.iter().all(|value| value.is_finite()).then_some(feedback)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_two_inputs_share_is_made_up_for() {
        let mut correlation = Correlation::new(2);
        correlation.see(&[2.0, 2.0], 2.0);
        correlation.see(&[1.0, -1.0], 1.0);
        correlation.see(&[3.0, 3.0], 1.0);
        assert_eq!(correlation.powers(), [11.0 / 3.0, 11.0 / 3.0]);
        // Of an error of the first weight, the second takes the share E[xy] / E[y²], damped: with the opposite sign.
        let feedback = correlation.feedback().unwrap();
        let expected = -(9.0 / 3.0) / (11.0 / 3.0 * (1.0 + DAMPING));
        assert!((feedback[1] - expected).abs() < 1e-12, "{feedback:?}");
        assert_eq!((feedback[0], feedback[2], feedback[3]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn inputs_that_were_never_seen_say_nothing() {
        assert_eq!(Correlation::new(3).feedback(), None);
        assert_eq!(Correlation::new(3).powers(), [1.0; 3]);
        let mut zeros = Correlation::new(2);
        zeros.see(&[0.0, 0.0], 1.0);
        assert_eq!(zeros.feedback(), None);
        let mut many = Correlation::new(LARGEST + 1);
        many.see(&vec![2.0; LARGEST + 1], 1.0);
        assert_eq!((many.powers()[7], many.feedback()), (4.0, None));
    }
}
