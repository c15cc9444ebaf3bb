//! Widths and signs chosen at run time.

use std::fmt;

/// The type of a signal or expression: a width in bits and whether the top bit is a sign.
///
/// Two types are the same only if both width and sign agree; the layer converts nothing implicitly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type {
    width: usize,
    signed: bool,
}

impl Type {
    /// An unsigned vector of `width` bits.
    #[must_use]
    pub const fn bits(width: usize) -> Self {
        Type { width, signed: false }
    }

    /// A two's complement number of `width` bits.
    #[must_use]
    pub const fn signed(width: usize) -> Self {
        Type { width, signed: true }
    }

    /// Width in bits.
    #[must_use]
    pub const fn width(self) -> usize {
        self.width
    }

    /// Whether the top bit counts as a sign.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        self.signed
    }

    /// The same sign with another width.
    #[must_use]
    pub const fn with_width(self, width: usize) -> Self {
        Type { width, ..self }
    }

    /// The smallest and largest value of the type, as far as an `i128` can hold them.
    pub(crate) fn range(self) -> (i128, i128) {
        match (self.signed, self.width) {
            (_, 0) => (0, 0),
            (false, width @ 1..=126) => (0, (1 << width) - 1),
            (false, _) => (0, i128::MAX),
            (true, width @ 1..=127) => (-(1 << (width - 1)), (1 << (width - 1)) - 1),
            (true, _) => (i128::MIN, i128::MAX),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.signed { "signed" } else { "bits" };
        write!(f, "{kind}({})", self.width)
    }
}
