//! What a slice takes of an axis, as Python counts.

/// What is taken of one axis.
pub(super) struct Range {
    /// The first element, from behind where negative; `None` for the end that the stride starts from.
    pub(super) begin: Option<i64>,
    /// The element behind the last, from behind where negative; `None` for the end that the stride goes to.
    pub(super) end: Option<i64>,
    /// From one element to the next; negative ones go backwards.
    pub(super) stride: i64,
    /// One element alone, whatever `end` is.
    pub(super) one: bool,
}

impl Range {
    /// The first element and how many there are; `None` where there is none.
    pub(super) fn resolve(&self, size: i64) -> Option<(usize, usize)> {
        let forwards = self.stride > 0;
        let (lowest, highest) = if forwards { (0, size) } else { (-1, size - 1) };
        let within = |index: i64| (if index < 0 { index + size } else { index }).clamp(lowest, highest);
        let start = self.begin.map_or(if forwards { 0 } else { size - 1 }, within);
        let end = match self.end {
            _ if self.one => start + 1,
            Some(end) => within(end),
            None => {
                if forwards {
                    size
                } else {
                    -1
                }
            }
        };
        let distance = if forwards { end - start } else { start - end };
        let count = match self.one {
            true => i64::from((0..size).contains(&start)),
            false => distance.max(0).unsigned_abs().div_ceil(self.stride.unsigned_abs().max(1)) as i64,
        };
        if count <= 0 || self.stride == 0 {
            return None;
        }
        Some((usize::try_from(start).ok()?, usize::try_from(count).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(begin: Option<i64>, end: Option<i64>, stride: i64, size: i64) -> Option<(usize, usize)> {
        Range { begin, end, stride, one: false }.resolve(size)
    }

    #[test]
    fn ranges_resolve_as_python_slices() {
        assert_eq!(resolve(None, None, 1, 5), Some((0, 5)));
        assert_eq!(resolve(Some(-2), None, 1, 5), Some((3, 2)));
        assert_eq!(resolve(Some(1), Some(-1), 2, 6), Some((1, 2)));
        assert_eq!(resolve(None, None, -2, 5), Some((4, 3)));
        assert_eq!(resolve(Some(100), Some(-100), -1, 3), Some((2, 3)));
        assert_eq!(resolve(Some(3), Some(3), 1, 5), None);
        assert_eq!(resolve(Some(0), Some(5), 0, 5), None);
        assert_eq!(Range { begin: Some(-1), end: Some(0), stride: 1, one: true }.resolve(5), Some((4, 1)));
        assert_eq!(Range { begin: Some(5), end: Some(0), stride: 1, one: true }.resolve(5), None);
    }
}
