//! The memory map that the host port writes and reads.
//!
//! The host port takes one [`Command`] a cycle. A memory wider than the 32-bit host bus is written in several chunks, least
//! significant first: [`Command::Shift`] brings a chunk, [`Command::Write`] brings the last one, stores the word and moves on
//! to the next address. An address is a [`Memory`] number in the upper 8 bits and a word address in the lower 24.

use crate::arithmetic::softmax::Softmax;
use crate::configuration::{
    ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, NARROW_MULTIPLIER_BITS, REGISTER_BITS, bits_for,
};
use crate::fixed_point::table::{SEGMENT_BITS, SEGMENTS};
use crate::instruction::Unit;
use crate::program::Scale;

/// Bits of the host bus.
pub const BUS_BITS: u32 = 32;
/// Bits of the word address inside a memory.
pub const ADDRESS_BITS: u32 = 24;
/// Bits of the memory number.
pub const MEMORY_BITS: u32 = BUS_BITS - ADDRESS_BITS;
/// Bits of a multiplier; it is never negative.
pub const SCALE_MULTIPLIER_BITS: u32 = 31;
/// Bits of a multiplier in the scale table: without its highest bit, which is 1 in all multipliers but 0.
pub const SCALE_FRACTION_BITS: u32 = SCALE_MULTIPLIER_BITS - 1;
/// Bits of the amount of a shift in the scale table.
pub const SCALE_SHIFT_BITS: u32 = 5;
/// Bits of the factor in an entry of one lane's scale table, least significant first: multiplier without its highest bit, amount
/// of the shift, direction of the shift (1: left). A left shift by 31 marks the multiplier 0.
pub const SCALE_FACTOR_BITS: u32 = SCALE_FRACTION_BITS + SCALE_SHIFT_BITS + 1;
/// Bits of an entry of one lane's scale table: the factor, above it the bias.
pub const SCALE_BITS: u32 = SCALE_FACTOR_BITS + ACCUMULATOR_BITS;

/// Bits of an entry of one lane's scale table in `configuration`. A narrow entry is the factor alone, with the uppermost
/// [`NARROW_MULTIPLIER_BITS`] of the multiplier, the highest not stored; its direction is only ever set to mark the multiplier 0.
pub fn scale_bits(configuration: &Configuration) -> u32 {
    if configuration.narrow_scales { NARROW_MULTIPLIER_BITS - 1 + SCALE_SHIFT_BITS + 1 } else { SCALE_BITS }
}

/// What the host port does in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing.
    Idle = 0,
    /// Sets the address.
    Address = 1,
    /// Brings a chunk that is not the last of its word.
    Shift = 2,
    /// Brings the last chunk, writes the word, moves to the next address.
    Write = 3,
    /// Starts the queues at the entry point on the bus.
    Start = 4,
    /// Reads a beat of the vector memory, moves to the next address.
    Read = 5,
    /// Generates tokens: a number of runs one after the other, the bus word of [`Generation`]. Only machines with a memory of tokens.
    ///
    /// The run at position `k` takes in the token in word `k` of [`Memory::Tokens`]: for the first one, and where the host has written
    /// the word, it is brought to register [`TOKEN_REGISTER`]; otherwise it is the choice that the run before has left there. The
    /// schedule is the one whose entry point stands in [`Memory::Entries`] for `k`. When all queues have halted, what the register
    /// holds is written to word `k + 1`, unless the host has written that one; above it, the lowest [`STAMP_BITS`] bits of the cycle
    /// count, which goes on from run to run. The words that the host has written are those up to the one that it wrote last.
    ///
    /// The machine is done when the last run is. Until 16 cycles behind the command, nothing may be read of the memory of tokens.
    Generate = 6,
}

/// Bits of a command.
pub const COMMAND_BITS: u32 = 3;

/// The register that a generation brings tokens to, and takes the machine's choice from.
pub const TOKEN_REGISTER: u32 = 1;
/// Bits of the cycle count beside a token.
pub const STAMP_BITS: u32 = 16;
/// Bits of the number of runs, and of the first position, in the bus word of [`Command::Generate`].
pub const RUNS_BITS: u32 = 16;

/// What [`Command::Generate`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Position of the first run.
    pub first: u16,
    /// How many runs; the machine ignores a command for none.
    pub runs: u16,
}

impl Generation {
    /// The word on the bus: the position in the lower half.
    pub fn bus_word(self) -> u32 {
        u32::from(self.first) | u32::from(self.runs) << RUNS_BITS
    }
}

/// A memory that the host reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Weight RAM of a tile; a word is `dot` weights.
    Weights(u32),
    /// Instructions of a queue, by its place in [`Unit::all`]: the words of its RAM, each instruction's lowest bits first.
    Queue(u32),
    /// A vector memory slice; a word of the host is one beat.
    Vector(u32),
    /// One lane's scale table. Lane `l` of `n` has the entries of elements `l`, `l + n`, … of each word, one after the other.
    Scale(u32),
    /// The run-time registers, from register 0 on, which holds nothing. The host reads them too: a register is the lowest element of
    /// a beat.
    Registers,
    /// The vector unit's tables one after the other, a segment a word: see [`Table::segments`](crate::fixed_point::table::Table::segments).
    Tables,
    /// The tables of the reciprocal and of the reciprocal root, of the same form.
    Normalise,
    /// A token for each position, and above it [`STAMP_BITS`] of the cycle count at the end of the run that chose it; see
    /// [`Command::Generate`]. The host reads it too: a word is the lowest [`BUS_BITS`] of a beat.
    Tokens,
    /// The exponentials of the vector unit's softmax, [`Softmax::EXPONENTIALS`] a table, by the distance from the row's largest element.
    Exponentials,
    /// The address of the first instruction's first RAM word for each [`Configuration::positions_per_entry`] positions.
    Entries,
}

impl Memory {
    /// Number of the memory on the bus.
    pub fn number(self) -> u32 {
        match self {
            Memory::Weights(tile) => tile,
            Memory::Queue(queue) => 0x40 + queue,
            Memory::Vector(slice) => 0x80 + slice,
            Memory::Registers => 0x90,
            Memory::Tables => 0x91,
            Memory::Normalise => 0x92,
            Memory::Tokens => 0x93,
            Memory::Entries => 0x94,
            Memory::Exponentials => 0x95,
            Memory::Scale(lane) => 0xc0 + lane,
        }
    }

    /// Words of this memory.
    pub fn words(self, configuration: &Configuration) -> u32 {
        match self {
            Memory::Weights(_) => configuration.weight_depth,
            Memory::Queue(_) => configuration.queue_words(),
            Memory::Vector(_) => configuration.vector_beats(),
            Memory::Scale(_) => configuration.scale_words(),
            Memory::Registers => configuration.registers() + 1,
            Memory::Tables => configuration.tables() * SEGMENTS as u32,
            Memory::Normalise => 2 * SEGMENTS as u32,
            Memory::Tokens => configuration.tokens(),
            Memory::Exponentials => configuration.softmax_tables * Softmax::EXPONENTIALS as u32,
            Memory::Entries => configuration.tokens().div_ceil(configuration.positions_per_entry()),
        }
    }

    /// The bus word that addresses word `address` of this memory.
    pub fn bus_address(self, address: u32) -> u32 {
        self.number() << ADDRESS_BITS | address
    }

    /// Bits of a word of this memory.
    pub fn bits(self, configuration: &Configuration) -> u32 {
        match self {
            Memory::Weights(_) => configuration.weight_word_bits(),
            Memory::Queue(queue) => {
                let unit = Unit::all(configuration).get(queue as usize).copied();
                unit.map_or(configuration.queue_word_bits, |unit| configuration.queue_word_bits_of(unit))
            }
            Memory::Vector(_) => configuration.dot * ELEMENT_BITS,
            Memory::Scale(_) => scale_bits(configuration),
            Memory::Registers => REGISTER_BITS,
            Memory::Tables | Memory::Normalise => SEGMENT_BITS,
            Memory::Tokens => REGISTER_BITS + STAMP_BITS,
            Memory::Entries => configuration.queue_address_bits(),
            Memory::Exponentials => Softmax::EXPONENTIAL_BITS,
        }
    }

    /// Chunks of the host bus in a word of this memory.
    pub fn chunks(self, configuration: &Configuration) -> u32 {
        self.bits(configuration).div_ceil(BUS_BITS)
    }

    /// All memories that the host writes.
    pub fn all(configuration: &Configuration) -> Vec<Memory> {
        let queues = Unit::all(configuration).len() as u32;
        let mut memories: Vec<Memory> = (0..configuration.tiles).map(Memory::Weights).collect();
        memories.extend((0..queues).map(Memory::Queue));
        memories.extend((0..configuration.vector_slices).map(Memory::Vector));
        memories.extend((0..configuration.requantiser_lanes()).map(Memory::Scale));
        if configuration.extensions.is_some() {
            memories.extend([Memory::Registers, Memory::Tables, Memory::Normalise]);
        }
        if configuration.generates() {
            memories.extend([Memory::Tokens, Memory::Entries]);
        }
        if configuration.has_softmax() {
            memories.push(Memory::Exponentials);
        }
        memories
    }

    /// Bits of the widest word address of all memories.
    pub fn address_bits(configuration: &Configuration) -> u32 {
        configuration
            .weight_address_bits()
            .max(configuration.queue_address_bits())
            .max(configuration.vector_address_bits())
            .max(configuration.scale_table_address_bits())
            .max(
                configuration
                    .extensions
                    .map_or(0, |_| bits_for(Memory::Tables.words(configuration).max(2 * SEGMENTS as u32))),
            )
            .max(bits_for(configuration.tokens()))
            .max(bits_for(Memory::Exponentials.words(configuration)))
    }

    /// Bits of the host port's staging register: the widest word, in whole chunks.
    pub fn staging_bits(configuration: &Configuration) -> u32 {
        let widest = Memory::all(configuration).into_iter().map(|memory| memory.chunks(configuration)).max();
        widest.unwrap_or(1) * BUS_BITS
    }
}

impl Scale {
    /// Least multiplier but 0.
    pub const LEAST_MULTIPLIER: i32 = 1 << SCALE_FRACTION_BITS;
    /// Amount of a left shift that marks the multiplier 0.
    const ZERO: u128 = (1 << SCALE_SHIFT_BITS) - 1;

    /// Has it a form in the scale table: a multiplier of 0 or at least 2³⁰, a shift of -31 to 30?
    pub fn is_encodable(self) -> bool {
        (self.multiplier == 0 || self.multiplier >= Self::LEAST_MULTIPLIER) && (-31..=30).contains(&self.shift)
    }

    /// Bits of a multiplier that a narrow scale does not have.
    const NOT_NARROW: u32 = SCALE_MULTIPLIER_BITS - NARROW_MULTIPLIER_BITS;

    /// Has it a form in the scale table of `configuration`?
    pub fn is_encodable_in(self, configuration: &Configuration) -> bool {
        let narrow = self.multiplier.trailing_zeros() >= Self::NOT_NARROW && self.shift <= 0 && self.bias == 0;
        self.is_encodable() && (narrow || configuration.wide_scales())
    }

    /// The nearest narrow scale to this one's multiplier and shift, if its shift is to the right.
    #[must_use]
    pub fn narrowed(self) -> Option<Scale> {
        let unit = 1_i64 << Self::NOT_NARROW;
        let rounded = (i64::from(self.multiplier) + unit / 2) / unit * unit;
        let (multiplier, shift) =
            if rounded > i64::from(i32::MAX) { (rounded / 2, self.shift + 1) } else { (rounded, self.shift) };
        (shift <= 0 && self.bias == 0).then_some(Scale { multiplier: multiplier as i32, shift, bias: 0 })
    }

    /// The entry as the scale table of `configuration` stores it, in the lowest [`scale_bits`].
    pub fn encode_in(self, configuration: &Configuration) -> u128 {
        if configuration.wide_scales() {
            return self.encode();
        }
        let (fraction, factor) = (SCALE_FRACTION_BITS, self.encode());
        let shift = factor >> fraction & ((1 << (SCALE_SHIFT_BITS + 1)) - 1);
        (factor & ((1 << fraction) - 1)) >> Self::NOT_NARROW | shift << (NARROW_MULTIPLIER_BITS - 1)
    }

    /// The entry as the scale table stores it, in the lowest [`SCALE_BITS`] bits.
    pub fn encode(self) -> u128 {
        let left = 1 << SCALE_SHIFT_BITS;
        let shift = match self.multiplier {
            0 => left | Self::ZERO,
            _ if self.shift > 0 => left | u128::from(self.shift.unsigned_abs()),
            _ => u128::from(self.shift.unsigned_abs()),
        };
        let fraction = u128::from(self.multiplier.unsigned_abs()) & ((1 << SCALE_FRACTION_BITS) - 1);
        let bias = u128::from(self.bias as u32);
        fraction | shift << SCALE_FRACTION_BITS | bias << SCALE_FACTOR_BITS
    }
}
