//! Windows that slide over the rows and columns of a tensor `[batch, rows, columns, channels]`.

/// A number for the rows and one for the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plane {
    /// For the rows (the height).
    pub rows: usize,
    /// For the columns (the width).
    pub columns: usize,
}

/// How many rows and columns are read beside the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above the first.
    pub top: usize,
    /// Rows below the last.
    pub bottom: usize,
    /// Columns before the first.
    pub left: usize,
    /// Columns behind the last.
    pub right: usize,
}

/// A window: which elements an output position reads.
///
/// The output at row `y` reads the rows `y × stride + t × dilation - padding.top` for the taps `t` in `0..size`, columns
/// alike; what lies outside the tensor counts as the input's zero point in a convolution, and not at all in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Taps.
    pub size: Plane,
    /// Input rows and columns from one output position to the next.
    pub stride: Plane,
    /// Input rows and columns from one tap to the next.
    pub dilation: Plane,
    /// Rows and columns that are read beside the tensor: exactly those, so that the last window ends within them.
    pub padding: Padding,
}

impl Plane {
    /// One of each.
    pub const ONE: Self = Self { rows: 1, columns: 1 };

    /// Rows times columns.
    #[must_use]
    pub fn product(self) -> usize {
        self.rows.saturating_mul(self.columns)
    }
}

impl Window {
    /// The window of one element.
    pub const POINT: Self = Self {
        size: Plane::ONE,
        stride: Plane::ONE,
        dilation: Plane::ONE,
        padding: Padding { top: 0, bottom: 0, left: 0, right: 0 },
    };

    /// Rows and columns from the first tap to the last, both included; `None` beyond what can be counted, or without taps.
    #[must_use]
    pub fn extent(&self) -> Option<Plane> {
        let extent = |size: usize, dilation: usize| size.checked_sub(1)?.checked_mul(dilation)?.checked_add(1);
        Some(Plane {
            rows: extent(self.size.rows, self.dilation.rows)?,
            columns: extent(self.size.columns, self.dilation.columns)?,
        })
    }

    /// Output rows and columns over `input`; `None` where the window is larger than the padded input, or a stride is 0.
    #[must_use]
    pub fn output(&self, input: Plane) -> Option<Plane> {
        let extent = self.extent()?;
        let positions = |input: usize, before: usize, after: usize, extent: usize, stride: usize| {
            let padded = input.checked_add(before)?.checked_add(after)?;
            padded.checked_sub(extent)?.checked_div(stride)?.checked_add(1)
        };
        let Padding { top, bottom, left, right } = self.padding;
        Some(Plane {
            rows: positions(input.rows, top, bottom, extent.rows, self.stride.rows)?,
            columns: positions(input.columns, left, right, extent.columns, self.stride.columns)?,
        })
    }

    /// The taps along the rows that lie within an input of `rows` rows, with the row that each reads, for output row `y`.
    pub fn row_taps(&self, y: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> + Clone + use<> {
        taps(y * self.stride.rows, self.size.rows, self.dilation.rows, self.padding.top, rows)
    }

    /// The taps along the columns that lie within an input of `columns` columns, with the column that each reads, for output
    /// column `x`.
    pub fn column_taps(&self, x: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> + Clone + use<> {
        taps(x * self.stride.columns, self.size.columns, self.dilation.columns, self.padding.left, columns)
    }
}

/// The taps whose positions `origin + tap × dilation - before` lie in `0..input`, counted, not tried: a file may claim billions.
fn taps(
    origin: usize,
    size: usize,
    dilation: usize,
    before: usize,
    input: usize,
) -> impl Iterator<Item = (usize, usize)> + Clone {
    let from = |edge: usize| edge.saturating_sub(origin).div_ceil(dilation.max(1)).min(size);
    let taps = from(before)..from(before.saturating_add(input));
    taps.map(move |tap| (tap, origin + tap * dilation - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_outside_the_tensor_are_left_out() {
        let window = Window {
            size: Plane { rows: 3, columns: 2 },
            stride: Plane { rows: 2, columns: 1 },
            dilation: Plane { rows: 2, columns: 1 },
            padding: Padding { top: 1, bottom: 2, left: 0, right: 1 },
        };
        assert_eq!(window.extent(), Some(Plane { rows: 5, columns: 2 }));
        assert_eq!(window.output(Plane { rows: 4, columns: 3 }), Some(Plane { rows: 2, columns: 3 }));
        assert_eq!(window.row_taps(0, 4).collect::<Vec<_>>(), [(1, 1), (2, 3)]);
        assert_eq!(window.row_taps(1, 4).collect::<Vec<_>>(), [(0, 1), (1, 3)]);
        assert_eq!(window.column_taps(2, 3).collect::<Vec<_>>(), [(0, 2)]);
    }

    #[test]
    fn a_window_of_billions_of_taps_is_counted() {
        let window = Window {
            size: Plane { rows: usize::MAX / 8, columns: 1 },
            padding: Padding { top: usize::MAX / 16, bottom: usize::MAX / 16, ..Padding::default() },
            ..Window::POINT
        };
        assert_eq!(window.row_taps(0, 2).count(), 2);
    }

    #[test]
    fn a_window_beyond_its_input_has_no_output() {
        let large = Window { size: Plane { rows: 4, columns: 1 }, ..Window::POINT };
        assert_eq!(large.output(Plane { rows: 3, columns: 3 }), None);
        assert_eq!(Window { stride: Plane { rows: 0, columns: 1 }, ..Window::POINT }.output(Plane::ONE), None);
        let huge = Plane { rows: usize::MAX, columns: usize::MAX };
        assert_eq!(Window { size: huge, dilation: huge, ..Window::POINT }.output(Plane::ONE), None);
    }
}
