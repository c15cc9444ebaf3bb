//! Where the elements of an image stand in the vector memory.
//!
//! An image has rows, columns and channels. Its channels are cut into *blocks*, as many as one row of tiles computes: a word, or
//! the beats that all channels need where there are fewer. The blocks of a row stand one behind the other, each with the row's
//! positions side by side:
//!
//! ```text
//! beat(row, column, block) = (((top + row) × blocks + block) × pitch + left + column) × block_beats
//! ```
//!
//! So a window's columns are neighbours, and so are its rows and blocks at a constant distance: two loops walk through all that a
//! position of a convolution reads, and two are left for the positions.
//!
//! Around an image stands as much padding as the windows that read it want, filled with its zero point before it is read. The
//! padding on the right of a row is that on the left of the next one.

use crate::graph::{Padding, Plane};
use lpu_isa::configuration::Configuration;
use std::ops::Range;

/// Places of an image's elements, in beats from its region's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    /// Channels.
    pub channels: u64,
    /// Channels of a block.
    pub block_channels: u64,
    /// Beats of a block's channels at one position.
    pub block_beats: u64,
    /// Elements of a beat.
    dot: u64,
    /// Rows of padding above.
    pub top: u64,
    /// Rows of padding below.
    pub bottom: u64,
    /// Positions of padding before each row.
    pub left: u64,
    /// Positions from one row to the next.
    pub pitch: u64,
    /// Positions behind the last row's last one, beyond its pitch.
    pub tail: u64,
    /// What the padding holds.
    pub fill: i32,
}

impl Layout {
    /// The layout of `size` positions of `channels` channels with at least `padding` of `fill` around it.
    #[must_use]
    pub fn new(size: Plane, channels: usize, (padding, fill): (Padding, i32), configuration: &Configuration) -> Layout {
        let dot = u64::from(configuration.dot);
        let block_channels = u64::from(configuration.columns());
        let channels = channels as u64;
        let (left, right) = (padding.left as u64, padding.right as u64);
        let columns = size.columns as u64;
        let pitch = columns.saturating_add(left.max(right));
        Layout {
            rows: size.rows as u64,
            columns,
            channels,
            block_channels,
            block_beats: channels.min(block_channels).div_ceil(dot).max(1),
            dot,
            top: padding.top as u64,
            bottom: padding.bottom as u64,
            left,
            pitch,
            tail: left.saturating_add(columns).saturating_add(right).saturating_sub(pitch),
            fill,
        }
    }

    /// Blocks of channels.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.channels.div_ceil(self.block_channels).max(1)
    }

    /// Beats from one row of a block to the next.
    #[must_use]
    pub fn block_pitch(&self) -> u64 {
        self.pitch.saturating_mul(self.block_beats)
    }

    /// Beats from one row of the image to the next.
    #[must_use]
    pub fn row_pitch(&self) -> u64 {
        self.block_pitch().saturating_mul(self.blocks())
    }

    /// All beats.
    #[must_use]
    pub fn beats(&self) -> u64 {
        let rows = self.top.saturating_add(self.rows).saturating_add(self.bottom);
        rows.saturating_mul(self.row_pitch()).saturating_add(self.tail.saturating_mul(self.block_beats))
    }

    /// The beat of a position's first channel of a block; rows and columns of the padding are negative, or beyond the last.
    #[must_use]
    pub fn beat(&self, row: i64, column: i64, block: u64) -> i64 {
        let row_beats = (self.top as i64 + row) * self.row_pitch() as i64 + (block * self.block_pitch()) as i64;
        row_beats + (self.left as i64 + column) * self.block_beats as i64
    }

    /// The position of each element, row-major, in elements from the first beat.
    #[must_use]
    pub fn positions(&self) -> Vec<u32> {
        let mut positions = Vec::new();
        for row in 0..self.rows as i64 {
            for column in 0..self.columns as i64 {
                positions.extend((0..self.channels).map(|channel| {
                    let (block, lane) = (channel / self.block_channels, channel % self.block_channels);
                    (self.beat(row, column, block) as u64 * self.dot + lane) as u32
                }));
            }
        }
        positions
    }

    /// Whether the padding around it is enough for what reads `padding` and wants `fill` there.
    #[must_use]
    pub fn covers(&self, (padding, fill): (Padding, i32)) -> bool {
        if padding == Padding::default() {
            return true;
        }
        let right = self.pitch + self.tail - self.left - self.columns;
        let (top, bottom, left) = (padding.top as u64, padding.bottom as u64, padding.left as u64);
        self.fill == fill
            && self.top >= top
            && self.bottom >= bottom
            && self.left >= left
            && right >= padding.right as u64
    }

    /// Rows `rows` of the image where they are; what was a row above or below them stands where padding would.
    #[must_use]
    pub fn view(&self, rows: &Range<u64>) -> Layout {
        let below = self.rows.saturating_sub(rows.end);
        Layout { rows: rows.end - rows.start, top: self.top + rows.start, bottom: self.bottom + below, ..*self }
    }

    /// Rows `rows` as an image of their own, with padding above and below only where the image ends.
    #[must_use]
    pub fn band(&self, rows: &Range<u64>) -> Layout {
        let top = if rows.start == 0 { self.top } else { 0 };
        let bottom = if rows.end == self.rows { self.bottom } else { 0 };
        Layout { rows: rows.end - rows.start, top, bottom, ..*self }
    }

    /// The same without anything above and below it.
    #[must_use]
    pub fn alone(&self) -> Layout {
        Layout { top: 0, bottom: 0, ..*self }
    }

    /// Rows, columns and channels.
    #[must_use]
    pub fn shape(&self) -> [u64; 3] {
        [self.rows, self.columns, self.channels]
    }
}

/// A tensor's shape as rows, columns and channels: the last axis, the one before it, and all others.
#[must_use]
pub fn image(shape: &[usize]) -> (Plane, usize) {
    let axis = |from_the_end: usize| shape.len().checked_sub(from_the_end).map_or(1, |axis| shape[axis]);
    let rows = shape.iter().rev().skip(2).fold(1, |rows: usize, &size| rows.saturating_mul(size));
    (Plane { rows, columns: axis(2) }, axis(1))
}

/// The padding that both readers need.
#[must_use]
pub fn larger(a: Padding, b: Padding) -> Padding {
    Padding {
        top: a.top.max(b.top),
        bottom: a.bottom.max(b.bottom),
        left: a.left.max(b.left),
        right: a.right.max(b.right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_element_has_a_place_of_its_own_inside_and_padding_stands_beside_the_image(
            rows in 1_usize..5, columns in 1_usize..6, channels in 1_usize..20,
            (top, bottom, left, right) in (0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3),
        ) {
            let configuration = Configuration::default();
            let padding = Padding { top, bottom, left, right };
            let layout = Layout::new(Plane { rows, columns }, channels, (padding, 7), &configuration);
            let mut taken = vec![false; layout.beats() as usize * 4];
            let positions = layout.positions();
            prop_assert_eq!(positions.len(), rows * columns * channels);
            for position in positions {
                prop_assert!(!std::mem::replace(&mut taken[position as usize], true));
            }
            prop_assert!(layout.covers((padding, 7)));
            for row in -(top as i64)..(rows + bottom) as i64 {
                for column in -(left as i64)..(columns + right) as i64 {
                    let inside = (0..rows as i64).contains(&row) && (0..columns as i64).contains(&column);
                    for block in 0..layout.blocks() {
                        let beat = layout.beat(row, column, block);
                        prop_assert!((0..layout.beats() as i64).contains(&beat));
                        prop_assert_eq!(taken[beat as usize * 4], inside);
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_axis_is_the_channels() {
        assert_eq!(image(&[1, 4, 5, 6]), (Plane { rows: 4, columns: 5 }, 6));
        assert_eq!(image(&[1, 6]), (Plane { rows: 1, columns: 1 }, 6));
        assert_eq!(image(&[]), (Plane { rows: 1, columns: 1 }, 1));
    }
}
