//! Why a beat means nothing, in words.

use thiserror::Error;

/// Why a beat means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Cause {
    /// It was read from a beat that nobody had written.
    #[error("read from beat {beat} of slice {slice} at cycle {read}, which nobody has written")]
    NeverWritten {
        /// Vector memory slice.
        slice: u32,
        /// Beat address.
        beat: u32,
        /// Cycle of the read step.
        read: u64,
    },
    /// It was read while a write to the same beat was on its way.
    #[error(
        "read from beat {beat} of slice {slice} at cycle {read}, before its write of cycle {write} has landed at cycle {landed}"
    )]
    NotLanded {
        /// Vector memory slice.
        slice: u32,
        /// Beat address.
        beat: u32,
        /// Cycle of the read step.
        read: u64,
        /// Cycle of the write step.
        write: u64,
        /// First cycle whose read step takes the word.
        landed: u64,
    },
    /// It was read from behind the last beat of a slice.
    #[error("read from beat {beat} of slice {slice} at cycle {read}, beyond the end of the slice")]
    BeyondSlice {
        /// Vector memory slice.
        slice: u32,
        /// Beat address.
        beat: u32,
        /// Cycle of the read step.
        read: u64,
    },
    /// The requantiser took it from a tile group that delivered nothing.
    #[error("requantised at cycle {cycle}, when tile group {group} delivers no result")]
    NotDelivered {
        /// Tile group, or the number it would have if the machine had more tiles.
        group: u32,
        /// Cycle of the requantiser's step.
        cycle: u64,
    },
    /// The vector unit multiplied it with a scalar that this run has not made.
    #[error("computed at cycle {cycle} with scalar {scalar}, which nobody has written in this run")]
    WithoutScalar {
        /// The scalar.
        scalar: i64,
        /// Cycle of the vector unit's step.
        cycle: u64,
    },
    /// Weights that are read as a stream fill one beat of their word.
    #[error("fetched from the weights at cycle {cycle}, where only beat 0 is a weight word")]
    NotFetched {
        /// Cycle of the tile groups' step.
        cycle: u64,
    },
}
