//! Random networks whose images are read by several operators: residual sums, products, concatenations.

use super::{Draft, taken};
use crate::random::Random;
use crate::tflite_writer::{Fused, Model, Options, Tensor, code};

/// The shape of a network of residual blocks.
#[derive(Debug, Clone)]
pub struct Residual {
    /// Rows and columns of the input.
    pub size: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the first convolution, which has 3 × 3 taps, and its stride.
    pub first: (usize, i32),
    /// Of each block: its stride, its channels and how many times more channels there are within it. More than one is an inverted
    /// residual of MobileNetV2, whose image is added where strides and channels leave it its shape; one is a block of ResNet: two
    /// convolutions, and a third one beside them where the shape changes.
    pub blocks: Vec<(i32, usize, usize)>,
    /// Outputs.
    pub classes: usize,
}

/// MobileNetV2's blocks with a width of `numerator / denominator`, at least 4 channels each.
#[must_use]
pub fn mobilenet_v2(size: usize, (numerator, denominator): (usize, usize)) -> Residual {
    let wide = |channels: usize| (channels * numerator / denominator).max(4);
    let groups = [(1, 16, 1, 1), (2, 24, 2, 6), (2, 32, 3, 6), (2, 64, 4, 6), (1, 96, 3, 6), (2, 160, 3, 6)];
    let group = |(stride, channels, count, times): (i32, usize, usize, usize)| {
        (0..count).map(move |number| (if number == 0 { stride } else { 1 }, wide(channels), times.max(2)))
    };
    let blocks = groups.into_iter().flat_map(group).collect();
    Residual { size, channels: 3, first: (wide(32), 2), blocks, classes: 2 }
}

/// A network of that shape whose weights, scales and zero points are random.
#[must_use]
pub fn residual(random: &mut Random, shape: &Residual) -> Model {
    let input = Tensor::activation("input", &[1, shape.size, shape.size, shape.channels], 0.02, random.byte());
    let mut draft = Draft::new(random, input, false);
    draft.convolution(3, shape.first.1, shape.first.0);
    for &(stride, channels, times) in &shape.blocks {
        let (before, depth) = (draft.last, draft.shape()[3]);
        let stays = stride == 1 && depth == channels;
        if times > 1 {
            draft.convolution(1, 1, depth * times);
            draft.depthwise(stride);
            draft.linear(1, 1, channels);
            if stays {
                draft.join(code::ADD, before, Fused::None);
            }
            continue;
        }
        draft.convolution(3, stride, channels);
        draft.linear(3, 1, channels);
        let mut beside = before;
        if !stays {
            let own = std::mem::replace(&mut draft.last, before);
            draft.linear(1, stride, channels);
            beside = std::mem::replace(&mut draft.last, own);
        }
        draft.join(code::ADD, beside, Fused::Relu);
    }
    draft.average();
    draft.classifier(shape.classes);
    Model { outputs: vec![draft.last], ..draft.model }
}

/// Two to five residual sums, products, concatenations and single operators one behind the other, of any size, on an image of 8 to
/// 24 rows.
#[must_use]
pub fn branching(random: &mut Random) -> Model {
    let shape = [1, random.within(8, 24), random.within(4, 16), random.within(1, 12)];
    let input = Tensor::activation("input", &shape, 0.02, random.byte());
    let parts = random.within(2, 5);
    let mut draft = Draft::new(random, input, false);
    for _ in 0..parts {
        let (before, depth) = (draft.last, draft.shape()[3]);
        match draft.random.below(5) {
            0 => {
                for _ in 0..draft.random.within(1, 2) {
                    let size = draft.random.within(1, 3);
                    draft.linear(size, 1, depth);
                }
                let code = if draft.random.below(3) == 0 { code::MUL } else { code::ADD };
                draft.join(code, before, Fused::None);
            }
            1 => {
                let times = draft.random.within(1, 3);
                draft.convolution(1, 1, depth * times);
                draft.depthwise(1);
                draft.linear(1, 1, depth);
                draft.join(code::ADD, before, Fused::None);
            }
            2 => {
                // A convolution and a pool of the same image side by side, in the image's scale.
                let (size, stride) = (draft.random.within(1, 3), draft.random.within(1, 2) as i32);
                let channels = [4, 8, 16, 5][draft.random.below(4)];
                draft.like = Some(before);
                draft.convolution(size, stride, channels);
                draft.like = None;
                let first = std::mem::replace(&mut draft.last, before);
                draft.pool(code::MAX_POOL_2D, size, stride, false);
                draft.concatenation(&[first, draft.last]);
            }
            _ => draft.any(),
        }
    }
    Model { outputs: vec![draft.last], ..draft.model }
}

impl Draft<'_> {
    /// A convolution without a clamp.
    fn linear(&mut self, size: usize, stride: i32, channels: usize) {
        self.fused = Fused::None;
        self.convolution(size, stride, channels);
        self.fused = Fused::Relu;
    }

    /// An operator of tensor `first` and the last one, which have the same shape.
    fn join(&mut self, code: i32, first: i32, fused: Fused) {
        // Of two scales far apart one operand would not count.
        let one = taken(&self.model.tensors[first as usize]).0;
        let last = &mut self.model.tensors[self.last as usize].scales[0];
        *last = last.clamp(one / 8.0, one * 8.0);
        let other = *last;
        let scale = if code == code::MUL { one * other * 60.0 } else { one.max(other) * 1.5 };
        let output = Tensor::activation("joined", &self.shape(), scale, self.random.byte());
        self.apply(code, vec![first, self.last], fused, Options::Plain, output);
    }

    /// Tensors of the same scale, rows and columns as one, their channels one behind the other.
    fn concatenation(&mut self, parts: &[i32]) {
        let tensors = parts.iter().map(|&part| &self.model.tensors[part as usize]);
        let channels = tensors.map(|tensor| tensor.shape[3] as usize).sum();
        let mut shape = self.shape();
        shape[3] = channels;
        let (scale, zero_point) = taken(&self.model.tensors[self.last as usize]);
        let output = Tensor::activation("together", &shape, scale, zero_point);
        self.apply(code::CONCATENATION, parts.to_vec(), Fused::None, Options::Concatenation { axis: 3 }, output);
    }
}
