//! From the scales and zero points of a file to the integers that the graph computes with: tflite-micro's, whatever the format.
//!
//! Both readers take their numbers from here, so that equal networks in two formats become equal graphs.

use lpu_isa::arithmetic::addition::{Addend, Addition};
use lpu_isa::arithmetic::mean::divide_scale;
use lpu_isa::arithmetic::{MAXIMUM_SHIFT, Requantise, Rounding, quantize_multiplier};

use super::ImportError;
use super::site::Site;
use crate::graph::{ChannelScale, Mean, Multiply, Quantisation};

/// Lower and upper end of a clamp, both included.
pub(super) type Range = (i32, i32);

/// The requantiser of that scale, zero point and clamp, rounding as tflite-micro does.
pub(super) fn requantise(scale: ChannelScale, zero_point: i32, (minimum, maximum): Range) -> Requantise {
    let ChannelScale { multiplier, shift } = scale;
    Requantise { multiplier, shift, zero_point, minimum, maximum, rounding: Rounding::Double }
}

impl Site {
    /// A scale as integers. `what` are the scales it is made of.
    pub(super) fn scale(&self, real: f64, what: &str) -> Result<ChannelScale, ImportError> {
        let (multiplier, shift) = quantize_multiplier(real);
        if real.is_finite() && shift <= MAXIMUM_SHIFT {
            return Ok(ChannelScale { multiplier, shift });
        }
        Err(self.quantisation(format!("the scales of {what} multiply to {real:e}, too large for 32-bit arithmetic")))
    }

    /// From the accumulator to the output, one scale for each of `channels` outputs; `weights` are as many scales, or one.
    ///
    /// `input × weights / output` in double precision. Sources of tflite-micro can be found that multiply the first two in
    /// single precision where the weights of a fully connected layer have one scale; the published package does not, and a few
    /// outputs in ten million tell the two apart.
    pub(super) fn channel_scales(
        &self,
        input: Quantisation,
        weights: &[f32],
        output: Quantisation,
        channels: usize,
    ) -> Result<Vec<ChannelScale>, ImportError> {
        let (input, output) = (f64::from(input.scale), f64::from(output.scale));
        let scale = |&weights: &f32| self.scale(input * f64::from(weights) / output, "input, weights and output");
        match weights {
            [one] => Ok(vec![scale(one)?; channels]),
            each => each.iter().map(scale).collect(),
        }
    }

    /// A change of scale and zero point.
    pub(super) fn rescale(
        &self,
        input: Quantisation,
        output: Quantisation,
        range: Range,
    ) -> Result<Requantise, ImportError> {
        let scale = self.scale(f64::from(input.scale) / f64::from(output.scale), "input and output")?;
        Ok(requantise(scale, output.zero_point, range))
    }

    /// The sum of two tensors.
    pub(super) fn addition(
        &self,
        first: Quantisation,
        second: Quantisation,
        output: Quantisation,
        range: Range,
    ) -> Result<Addition, ImportError> {
        let twice = 2.0 * f64::from(first.scale.max(second.scale));
        let addend = |of: Quantisation| {
            let ChannelScale { multiplier, shift } = self.scale(f64::from(of.scale) / twice, "the operands")?;
            Ok(Addend { zero_point: of.zero_point, multiplier, shift })
        };
        let real = twice / (f64::from(1 << Addition::LEFT_SHIFT) * f64::from(output.scale));
        let scale = self.scale(real, "the operands and the output")?;
        if scale.shift > 0 {
            return Err(self.quantisation(format!(
                "operands in units of {} and {} and sums in units of {}, which is too fine: sums are shifted by {} bits first",
                first.scale,
                second.scale,
                output.scale,
                Addition::LEFT_SHIFT
            )));
        }
        let output = requantise(scale, output.zero_point, range);
        Ok(Addition { first: addend(first)?, second: addend(second)?, output })
    }

    /// The product of two tensors.
    pub(super) fn product(
        &self,
        first: Quantisation,
        second: Quantisation,
        output: Quantisation,
        range: Range,
    ) -> Result<Multiply, ImportError> {
        let real = f64::from(first.scale) * f64::from(second.scale) / f64::from(output.scale);
        let scale = self.scale(real, "the operands and the output")?;
        Ok(Multiply {
            first_zero_point: first.zero_point,
            second_zero_point: second.zero_point,
            requantise: requantise(scale, output.zero_point, range),
        })
    }

    /// The mean over `axes`, of `count` elements each.
    pub(super) fn mean(
        &self,
        axes: Vec<usize>,
        count: usize,
        input: Quantisation,
        output: Quantisation,
        range: Range,
    ) -> Result<Mean, ImportError> {
        let ChannelScale { multiplier, shift } =
            self.scale(f64::from(input.scale) / f64::from(output.scale), "input and output")?;
        let (multiplier, shift) = divide_scale((multiplier, shift), count as u64);
        let requantise = requantise(ChannelScale { multiplier, shift }, output.zero_point, range);
        Ok(Mean { axes, count, input_zero_point: input.zero_point, requantise })
    }
}
