//! What is placed as a whole: a chain of units at fixed distances.
//!
//! * A [`ProductJob`]: readers, tiles, requantiser, vector unit or none, a writer or the store.
//! * A [`VectorJob`]: one or two readers, the vector unit, a writer or the store.

use lpu_isa::instruction::{Function, Operation, Source, Spread, Tracking};
use lpu_isa::sequence::Sequence;
use lpu_isa::vector::{Arithmetic, ScalarOperand};

/// Limits of an element.
pub const WHOLE: (i32, i32) = (i16::MIN as i32, i16::MAX as i32);

/// The pattern of a product's results: rows of one drain, drains of one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Rows that are taken of each drain.
    pub rows: u32,
    /// Drains.
    pub passes: u32,
    /// Cycles from row to row.
    pub pace: u32,
    /// Cycles from drain to drain.
    pub period: u32,
}

impl Rows {
    /// Addresses that change by `per_row` from row to row, and by `per_pass` from the first row of a drain to that of the next.
    pub fn sequence(&self, base: u32, per_row: i32, per_pass: i32) -> Sequence {
        let within = (self.rows - 1) * self.pace + 1;
        Sequence {
            base,
            count: [self.rows, self.passes, 1, 1],
            delta: [per_row, per_pass - (self.rows as i32 - 1) * per_row, 0, 0],
            run_levels: 1,
            gap: self.period.saturating_sub(within),
            pause: self.pace - 1,
            register: 0,
        }
    }
}

/// What the tiles read.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The tile groups that listen.
    pub groups: Vec<u32>,
    /// Slice of the vector.
    pub slice: u32,
    /// Its first beat.
    pub base: u32,
}

/// A product: passes over streams, its results on the way through the requantiser.
#[derive(Clone, Debug)]
pub struct ProductJob {
    /// What is multiplied.
    pub streams: Vec<Stream>,
    /// Beats of each pass.
    pub beats: u32,
    /// Passes.
    pub passes: u32,
    /// Weight address of the first pass, and from pass to pass.
    pub weights: (u32, u32),
    /// Registers that are added to weight addresses, and to entries of the scale table.
    pub registers: (u32, u32),
    /// For weights that are written at run time, the address of their store, and how many of the product's passes and of a pass'
    /// beats come before any position's of the bucket: what a store writes is read no earlier than in the pass over the keys and the
    /// beats of the values that the bucket's first position belongs to.
    pub stored: Option<Stored>,
    /// First row of the results that is taken, and how many.
    pub rows: (u32, u32),
    /// Entry of the scale table of the first row, from row to row, from pass to pass.
    pub scales: (u32, i32, i32),
    /// Masked, and the largest kept.
    pub tracking: Tracking,
    /// Where the results go.
    pub sink: Sink,
}

/// Weights that are written at run time.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Address of the store.
    pub address: u32,
    /// Passes that do not take what a token of the bucket stores.
    pub passes: u32,
    /// Beats of the first pass that does, likewise.
    pub beats: u32,
    /// Cycles by which what the product takes is stored earlier than the last that is stored at the address.
    pub earlier: u32,
}

/// Where a stream of results goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Into the vector memory.
    Memory(Target),
    /// Through the vector unit.
    Vector(Box<Operator>, Target),
}

/// A second operand in the vector memory: its addresses follow the rows of a product.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Slice.
    pub slice: u32,
    /// First beat.
    pub base: u32,
    /// Beats from pass to pass.
    pub per_pass: i32,
}

/// What the vector unit does.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Function.
    pub function: Function,
    /// Second operand beside a product's results.
    pub beside: Option<Beside>,
    /// Constant.
    pub constant: i32,
    /// Limits.
    pub limits: (i32, i32),
    /// All else.
    pub arithmetic: Arithmetic,
    /// Address of the first step, from row to row, from pass to pass.
    pub address: (u32, i32, i32),
    /// The scalars that it takes.
    pub scalars: Vec<u32>,
}

impl Operator {
    /// One that passes its operand on.
    pub fn new(function: Function) -> Operator {
        let (beside, arithmetic) = (None, Arithmetic::default());
        Operator { function, beside, constant: 0, limits: WHOLE, arithmetic, address: (0, 0, 0), scalars: vec![] }
    }

    /// Products with the scalar `scalar` and a right shift.
    pub fn scaled(scalar: u32, shift: i32) -> Operator {
        let arithmetic = Arithmetic { scalar: ScalarOperand::One, shift, ..Arithmetic::default() };
        Operator { arithmetic, address: (scalar, 0, 0), scalars: vec![scalar], ..Operator::new(Function::Multiply) }
    }

    /// Its operation.
    pub fn operation(&self, a: Source, b: Option<Source>, sequence: Sequence) -> Operation {
        let (minimum, maximum) = self.limits;
        let Operator { function, constant, arithmetic, .. } = *self;
        Operation::Vector { function, a, b, constant, minimum, maximum, arithmetic, sequence }
    }
}

/// Where words end.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// In the vector memory.
    Memory {
        /// Slice.
        slice: u32,
        /// First beat.
        base: u32,
        /// Beats from pass to pass.
        per_pass: i32,
        /// Beats of the last row that are stored.
        last_beats: u32,
        /// Slice and first beat of a second copy.
        copy: Option<(u32, u32)>,
    },
    /// In the weights.
    Weights {
        /// Address of the first pass, from row to row, from pass to pass.
        address: (u32, i32, i32),
        /// The register that is added.
        register: u32,
        /// Which tiles and bytes.
        spread: Spread,
        /// The register with the tile or the byte.
        place: u32,
    },
}

/// One more pass of the vector unit over vectors in memory: all sequences have the same steps.
#[derive(Clone, Debug)]
pub struct VectorJob {
    /// First operand.
    pub a: (u32, Sequence),
    /// Second operand, in another slice.
    pub b: Option<(u32, Sequence)>,
    /// What is done; its addresses are not used.
    pub operator: Operator,
    /// The vector unit's own sequence.
    pub sequence: Sequence,
    /// Where the results go.
    pub to: Destination,
}

/// Where the results of a [`VectorJob`] go.
#[derive(Clone, Copy, Debug)]
pub enum Destination {
    /// Only to a scalar or a register.
    Nowhere,
    /// Into the vector memory; `lag` steps later than the vector unit's first.
    Memory {
        /// Slice.
        slice: u32,
        /// Beats.
        sequence: Sequence,
        /// Beats of the last step of each level-0 loop.
        last_beats: u32,
        /// Cycles behind the vector unit's first step.
        lag: u32,
        /// Slice and first beat of a second copy.
        copy: Option<(u32, u32)>,
    },
    /// Into the weights, a beat each step.
    Weights {
        /// Addresses.
        sequence: Sequence,
        /// The register with the tile.
        place: u32,
    },
}

/// `count` beats from `base` on, one each step: each step is a level-0 loop of its own, so that one beat of it can be written.
pub fn beat_by_beat(base: u32, count: u32) -> Sequence {
    Sequence { count: [1, count, 1, 1], delta: [0, 1, 0, 0], run_levels: 2, ..Sequence::linear(base, 1) }
}
