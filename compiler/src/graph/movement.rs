//! Operators that move elements and compute nothing. Input and output have the same scale, or the integers are taken over as
//! if they had.

/// The input with elements around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pad {
    /// Elements before the first, for each axis.
    pub before: Vec<usize>,
    /// Elements behind the last, for each axis.
    pub after: Vec<usize>,
    /// What they are.
    pub value: i8,
}

/// The inputs one behind the other along an axis; their other axes are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concatenation {
    /// The axis.
    pub axis: usize,
}

/// Every `stride`-th element of a part of the input, in the input's order of axes. The output may have fewer axes: those of
/// size 1 may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The first element, for each axis of the input.
    pub start: Vec<usize>,
    /// From one element to the next, for each axis of the input; negative ones go backwards.
    pub stride: Vec<isize>,
    /// How many elements, for each axis of the input; positive.
    pub size: Vec<usize>,
}

impl Pad {
    /// The shape that an input of shape `shape` gets; `None` where the number of axes is another, or sizes overflow.
    #[must_use]
    pub fn output_shape(&self, shape: &[usize]) -> Option<Vec<usize>> {
        if (self.before.len(), self.after.len()) != (shape.len(), shape.len()) {
            return None;
        }
        let padded =
            |((&size, &before), &after): ((&usize, &usize), &usize)| size.checked_add(before)?.checked_add(after);
        shape.iter().zip(&self.before).zip(&self.after).map(padded).collect()
    }
}

impl Slice {
    /// Whether every element lies within an input of shape `shape`.
    #[must_use]
    pub fn is_within(&self, shape: &[usize]) -> bool {
        let rank = shape.len();
        if (self.start.len(), self.stride.len(), self.size.len()) != (rank, rank, rank) {
            return false;
        }
        (0..rank).all(|axis| {
            let last = || {
                let steps = isize::try_from(self.size[axis].checked_sub(1)?).ok()?;
                self.start[axis].checked_add_signed(steps.checked_mul(self.stride[axis])?)
            };
            self.start[axis] < shape[axis] && last().is_some_and(|last| last < shape[axis])
        })
    }
}
