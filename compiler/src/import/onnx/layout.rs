//! Where the elements of a tensor stand in memory, seen from ONNX's order.
//!
//! ONNX counts the elements of an image channel by channel; the graph has the channels innermost. So a value has ONNX's shape
//! and a [`Layout`]: which element, in ONNX's row-major order, stands first, second, and so on. A `Transpose` or a `Reshape` of
//! ONNX then moves nothing: it gives the elements other numbers or another shape. What an operator cannot read as it stands is refused.

/// Sizes of axes that are counted through one after the other, outermost first, and how far apart in ONNX's order the
/// neighbours along each are. Axes of one element are left out, neighbours that count on are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout(Vec<Factor>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Factor {
    stride: usize,
    size: usize,
}

/// `0..rank`: ONNX's own order of axes.
pub(super) fn identity(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

/// The axes of an image (batch, channels, and those of space) with the channels last.
pub(super) fn channels_last(rank: usize) -> Vec<usize> {
    match rank {
        3 | 4 => std::iter::once(0).chain(2..rank).chain([1]).collect(),
        _ => identity(rank),
    }
}

/// `values`, one for each axis, in the order of `order`.
pub(super) fn permuted<T: Clone>(values: &[T], order: &[usize]) -> Vec<T> {
    order.iter().map(|&axis| values[axis].clone()).collect()
}

/// Distances between neighbours along each axis of a tensor that stands row-major.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

impl Layout {
    /// The elements of a tensor of that shape with its axes in that order.
    pub(super) fn of(shape: &[usize], order: &[usize]) -> Self {
        let strides = strides(shape);
        Self::joined(order.iter().map(|&axis| Factor { stride: strides[axis], size: shape[axis] }))
    }

    fn joined(factors: impl Iterator<Item = Factor>) -> Self {
        let mut joined: Vec<Factor> = Vec::new();
        for factor in factors.filter(|factor| factor.size != 1) {
            match joined.last_mut() {
                Some(last) if last.stride == factor.stride * factor.size => {
                    *last = Factor { stride: factor.stride, size: last.size * factor.size };
                }
                _ => joined.push(factor),
            }
        }
        Self(joined)
    }

    /// The number in ONNX's order of the first element, of the second, and so on.
    pub(super) fn numbers(&self) -> Vec<usize> {
        let mut numbers = vec![0];
        for Factor { stride, size } in &self.0 {
            numbers = numbers.iter().flat_map(|&number| (0..*size).map(move |step| number + step * stride)).collect();
        }
        numbers
    }

    /// The order of the axes of `shape` in memory: ONNX's, if the elements stand so, else one that has the channels last, else
    /// any; `None` where an axis is cut.
    pub(super) fn order(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let usual = [identity(shape.len()), channels_last(shape.len())];
        if let Some(order) = usual.into_iter().find(|order| Self::of(shape, order) == *self) {
            return Some(order);
        }
        let small = (0..shape.len()).filter(|&axis| shape[axis] == 1);
        let order: Vec<usize> = small.chain(self.along(shape)?.into_iter().map(|(axis, _)| axis)).collect();
        (order.len() == shape.len() && Self::of(shape, &order) == *self).then_some(order)
    }

    /// The layout after a transposition of `shape`: ONNX's new axis `i` is the old axis `permutation[i]`.
    pub(super) fn transposed(&self, shape: &[usize], permutation: &[usize]) -> Option<Self> {
        let old = strides(shape);
        let new = strides(&permuted(shape, permutation));
        let factors = self.along(shape)?.into_iter().map(|(axis, factor)| {
            let place = permutation.iter().position(|&from| from == axis)?;
            Some(Factor { stride: factor.stride / old[axis] * new[place], size: factor.size })
        });
        Some(Self::joined(factors.collect::<Option<Vec<_>>>()?.into_iter()))
    }

    /// The factors cut where axes of `shape` begin, each with its axis; `None` where an axis begins within a step.
    fn along(&self, shape: &[usize]) -> Option<Vec<(usize, Factor)>> {
        let strides = strides(shape);
        let mut cut = Vec::new();
        for &Factor { stride, mut size } in &self.0 {
            // The outermost axis first; what is left goes on with those further in.
            for axis in 0..shape.len() {
                let begin = strides[axis];
                if shape[axis] == 1 || stride * size <= begin || stride >= begin * shape[axis] {
                    continue;
                }
                let inner = stride.max(begin);
                if inner % stride != 0 || (stride * size) % inner != 0 || inner % begin != 0 {
                    return None;
                }
                cut.push((axis, Factor { stride: inner, size: stride * size / inner }));
                size = inner / stride;
            }
            if size != 1 {
                return None;
            }
        }
        Some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [usize; 4] = [1, 3, 4, 5];

    #[test]
    fn a_transposition_there_and_back_is_none() {
        let nhwc = Layout::of(&IMAGE, &[0, 2, 3, 1]);
        assert_eq!(nhwc.order(&IMAGE), Some(vec![0, 2, 3, 1]));
        // Channels last in ONNX, too: the same memory in ONNX's order.
        let plain = nhwc.transposed(&IMAGE, &[0, 2, 3, 1]).expect("a transposition of an image");
        assert!(plain == Layout::of(&[60], &[0]) && plain != nhwc);
        assert_eq!(plain.transposed(&[1, 4, 5, 3], &[0, 3, 1, 2]), Some(nhwc));
    }

    #[test]
    fn numbers_say_where_onnx_counts_an_element() {
        let nhwc = Layout::of(&[1, 2, 1, 3], &[0, 2, 3, 1]);
        assert_eq!(nhwc.numbers(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(Layout::of(&[2, 3], &[0, 1]).numbers(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(Layout::of(&[1, 1], &[1, 0]).numbers(), [0]);
    }

    #[test]
    fn what_stands_alike_is_alike() {
        // One position: channels last or first is the same.
        assert_eq!(Layout::of(&[1, 7, 1, 1], &[0, 2, 3, 1]), Layout::of(&[7], &[0]));
        assert_ne!(Layout::of(&[1, 7, 2, 1], &[0, 2, 3, 1]), Layout::of(&[14], &[0]));
    }

    #[test]
    fn a_shape_that_cuts_what_stands_together_has_no_order() {
        let nhwc = Layout::of(&IMAGE, &[0, 2, 3, 1]);
        assert_eq!(nhwc.order(&[1, 60]), None);
        assert_eq!(nhwc.order(&[1, 3, 20]), Some(vec![0, 2, 1]));
        assert_eq!(nhwc.order(&[1, 6, 10]), None);
        assert_eq!(nhwc.order(&[3, 4, 5]), Some(vec![1, 2, 0]));
        assert_eq!(
            Layout::of(&[4, 6], &[1, 0]).transposed(&[4, 2, 3], &[1, 0, 2]),
            Some(Layout::of(&[2, 4, 3], &[0, 2, 1]))
        );
    }
}
