//! Operators that make one element of many: pools and means.

use lpu_isa::arithmetic::Requantise;

use super::Window;

/// The largest or the average of the elements in a window, for each channel: `[batch, rows, columns, channels]` to the same
/// with other rows and columns, in the same scale. What lies outside the input does not count, not even in the average.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Which of the two.
    pub function: PoolFunction,
    /// What a position reads; its dilation is 1.
    pub window: Window,
    /// Lower end of the clamp, included: int8, narrowed by a fused activation.
    pub minimum: i32,
    /// Upper end of the clamp, included.
    pub maximum: i32,
}

/// What a [`Pool`] makes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolFunction {
    /// [`lpu_isa::arithmetic::mean::average`] of the elements as they are, with their zero point.
    Average,
    /// The largest element.
    Maximum,
}

/// `output = requantise(Σ input - count × input_zero_point)` over all elements that differ in `axes` alone; the other axes stay.
///
/// The division by the count is part of the scale, whose multiplier may therefore be as low as 2²⁹
/// ([`lpu_isa::arithmetic::mean::divide_scale`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mean {
    /// Axes of the input that go, ascending, none twice.
    pub axes: Vec<usize>,
    /// Elements that make one.
    pub count: usize,
    /// Subtracted from every input element.
    pub input_zero_point: i32,
    /// Scale (over the count), zero point and clamp of the output.
    pub requantise: Requantise,
}
