//! The configuration of one LPU: every count, width and depth from which the rest of the project derives.

mod check;

pub use check::ConfigurationError;

use crate::encoding::{register_fields, word_bits};
use crate::instruction::{Drain, MOST_INTERVAL_BITS, OPCODE_BITS};
use crate::latency::SHORTEST_INTERVAL;
use crate::sequence::{LEVELS, MOST_COUNT_BITS, PAUSE_BITS};
use crate::unit::Unit;
use serde::{Deserialize, Serialize};

/// Most tables of exponentials that a machine may have.
pub const MOST_SOFTMAX_TABLES: u32 = 8;

/// Bits of a byte of weights: one int8 weight, or two int4 weights.
pub const WEIGHT_BITS: u32 = 8;
/// Bits of an element that a machine with int4 weights multiplies; the higher ones are ignored.
pub const PACKED_ELEMENT_BITS: u32 = 9;
/// Bits of one element on a stream and in the vector memory.
pub const ELEMENT_BITS: u32 = 16;
/// Bits of an accumulator. Sums wrap, as they do in the 32-bit reference kernels.
pub const ACCUMULATOR_BITS: u32 = 32;
/// Multiplier cells that the product of a requantiser lane takes. Its 32 and 31 bits are three products of 18 bits by Karatsuba's
/// method, which saves the fourth: (a₁ + a₀)(b₁ + b₀) - a₁b₁ - a₀b₀ is the sum of both mixed ones.
pub const CELLS_PER_SCALE_MULTIPLIER: u32 = 3;

/// Entries of the scale table that a look-up chooses from: one for each int8 element, in the order of their bytes.
pub const LOOKUP_ENTRIES: u32 = 256;

/// One machine. All depths count words of the memory they belong to.
///
/// Shapes that follow: a *word* of the vector memory and of every stream is `stream_elements` elements; a *beat* is `dot`
/// consecutive elements, the part of a word that a tile multiplies in one cycle. Tile `t` stands in column
/// `t % stream_elements` and row `t / stream_elements`; a *tile group* is `dot` neighbouring columns, which share one
/// instruction queue and one crossbar port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Number of tiles, 1 to 64.
    pub tiles: u32,
    /// Multipliers of a tile, the length of its dot product: 2, 4 or 8.
    pub dot: u32,
    /// Elements of a stream word: `dot` times a power of two.
    pub stream_elements: u32,
    /// Words of weight RAM in each tile; a word is `dot` bytes.
    pub weight_depth: u32,
    /// Bits of a weight: 8, or 4. With 4, each multiplier takes two weights at once, so a tile computes two channels, and the
    /// elements that are multiplied are limited to 9 bits.
    #[serde(default = "default_weight_bits")]
    pub weight_bits: u32,
    /// Number of vector memory slices, each with one read and one write port.
    pub vector_slices: u32,
    /// Words of one vector memory slice.
    pub vector_depth: u32,
    /// Entries of the requantiser's scale table; an entry is one multiplier, shift and bias for each element of a word.
    pub scale_depth: u32,
    /// Are the scales narrow? Then an entry of the scale table has a multiplier of [`NARROW_MULTIPLIER_BITS`] and a right shift, but
    /// neither a left shift nor a bias, and the requantiser adds no zero point: a quarter of the scale table, and a shorter lane.
    /// The scales of language models are narrow; only machines with [`Extensions`] can have them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub narrow_scales: bool,
    /// Is there a vector unit? Without it the crossbar has a source and two destinations less, and the requantiser does what
    /// changes an element's zero point and limits alone. Operators on two streams need it.
    #[serde(default = "default_vector_unit")]
    pub vector_unit: bool,
    /// Instructions that one queue holds.
    pub queue_depth: u32,
    /// Bits of one word of a queue's block RAM, at most. An instruction is read in as many words as it needs, one a cycle, so fewer
    /// bits mean fewer block RAMs and a longer least interval between two instructions; see [`Configuration::queue_word_bits_of`].
    #[serde(default = "default_queue_word_bits")]
    pub queue_word_bits: u32,
    /// Bits of a loop count and of the gap in a sequence, 4 to 12. Each queue holds the counts of the next instruction, those of
    /// the present one and what is left of them, so a bit less saves three flip-flops a level; longer loops are refused.
    #[serde(default = "default_count_bits")]
    pub count_bits: u32,
    /// Nested loops of a sequence, 2 to 4. Each takes the registers of its count and its delta, and an adder. A fully connected
    /// layer needs two, a convolution four.
    #[serde(default = "default_sequence_levels")]
    pub sequence_levels: u32,
    /// Bits of the interval to the next instruction, 8 to 16: the width of each queue's counter. A longer wait takes an instruction
    /// that does nothing.
    #[serde(default = "default_interval_bits")]
    pub interval_bits: u32,
    /// Cycles that the requantiser takes for a word: 1, 2 or 4. It has `stream_elements` divided by this many lanes.
    #[serde(default = "default_requantise_interval")]
    pub requantise_interval: u32,
    /// Lanes of the requantiser whose products take multiplier cells of the FPGA, [`CELLS_PER_SCALE_MULTIPLIER`] each, on a family
    /// where there is the choice (ECP5); those of the other lanes are made of logic, 1,110 look-up tables each.
    #[serde(default)]
    pub scale_multiplier_lanes: u32,
    /// Can the requantiser look up the scale of each element by an element of a second stream? Its elements are then functions of
    /// one int8 element, or of two ([`RequantiseFrom::Lookup`](crate::instruction::RequantiseFrom::Lookup)): residual additions and
    /// logistic functions need that. Costs a destination of the crossbar and three registers of latency in the requantiser.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lookup: bool,
    /// Can each multiplier have a sum of its own ([`Drain::Separate`])? Depthwise convolutions then compute `dot` times as many positions
    /// at once. Costs an accumulator, its shadow and a multiplexer for each multiplier. Needs weights of 8 bits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub separate_sums: bool,
    /// Tables of exponentials of the vector unit's softmax, one for each softmax of another scale that a network has; 0 where the vector
    /// unit has no softmax ([`Operation::Softmax`](crate::instruction::Operation::Softmax)). Costs a block RAM for two of them, and a
    /// multiplier of 32 bits in logic. Machines with extensions have a softmax of another kind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub softmax_tables: u32,
    /// Clock in MHz that the machine is meant for where it is not the one of its board: what its longest path allows. 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<u32>,
    /// Registers added between units.
    #[serde(default)]
    pub pipeline: Pipeline,
    /// What language models need. Without it the machine is as it was before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
}

/// What a machine has for language models: run-time registers, weights that are written and read as streams, a vector unit that
/// multiplies, looks up tables and reduces.
///
/// Needs a vector unit, at least a whole row of tiles, weights of 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extensions {
    /// Run-time registers of [`REGISTER_BITS`], 1 to 15, numbered from 1: their values may be added to base addresses.
    pub registers: u32,
    /// Scalars of the vector unit, results of reductions, 2 to 64.
    pub scalars: u32,
    /// Function tables of the vector unit, 1 to 16.
    pub tables: u32,
    /// Words of the memory of tokens, one for each position of a sequence and one for the token behind the last: with them the machine
    /// generates tokens without the host in between, see [`Command::Generate`](crate::host::Command::Generate). 2 to
    /// [`MOST_TOKENS`], or 0: the host starts each run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens: u32,
}

/// Most words of the memory of tokens.
pub const MOST_TOKENS: u32 = 4096;

/// Bits of the multiplier of a narrow scale, its highest bit, always 1, included.
pub const NARROW_MULTIPLIER_BITS: u32 = 13;

/// Bits of a run-time register.
pub const REGISTER_BITS: u32 = 16;

/// Pipeline registers that a configuration may add where wires are long. Every one is a cycle of latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pipeline {
    /// Registers from a crossbar source port to a destination port, 1 to 4.
    pub crossbar: u32,
    /// Registers added behind the weight RAM's own two, 0 to 4.
    pub weight_read: u32,
    /// Registers added behind the multiplier's own three, 0 to 4.
    pub multiply: u32,
    /// Registers from the end of the drain chains to the requantiser, 1 to 4.
    pub drain: u32,
    /// Registers added in the read path of the vector memory, 0 to 4: the first between a word's address and the choice of each
    /// bank's own, all others behind the word.
    pub vector_read: u32,
    /// Leaves out every register whose only use is a faster clock: most of a requantiser lane, those of the multipliers, of the
    /// block RAMs' outputs and of the buses that load the memories. For a slow clock on an FPGA where a flip-flop takes the place
    /// of a look-up table.
    pub compact: bool,
}

/// Is it left out of the text?
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Is it left out of the text?
fn is_false(value: &bool) -> bool {
    !value
}

fn default_vector_unit() -> bool {
    true
}

fn default_count_bits() -> u32 {
    MOST_COUNT_BITS
}

fn default_sequence_levels() -> u32 {
    LEVELS as u32
}

fn default_interval_bits() -> u32 {
    MOST_INTERVAL_BITS
}

fn default_weight_bits() -> u32 {
    WEIGHT_BITS
}

fn default_queue_word_bits() -> u32 {
    36
}

fn default_requantise_interval() -> u32 {
    1
}

impl Default for Pipeline {
    fn default() -> Self {
        Pipeline { crossbar: 2, weight_read: 1, multiply: 0, drain: 1, vector_read: 0, compact: false }
    }
}

impl Pipeline {
    /// How many of [`Pipeline::vector_read`] stand in front of the banks.
    pub fn read_address_registers(&self) -> u32 {
        self.vector_read.min(1)
    }
}

impl Default for Configuration {
    /// A machine for an LFE5U-85F: 37 tiles of four multipliers and two requantiser lanes of three take 154 of its 156 multipliers;
    /// 303,104 bytes of weights.
    fn default() -> Self {
        Configuration {
            tiles: 37,
            dot: 4,
            stream_elements: 8,
            weight_depth: 2048,
            weight_bits: WEIGHT_BITS,
            vector_slices: 3,
            vector_depth: 1024,
            scale_depth: 256,
            narrow_scales: false,
            vector_unit: true,
            queue_depth: 80,
            queue_word_bits: 36,
            count_bits: MOST_COUNT_BITS,
            sequence_levels: LEVELS as u32,
            interval_bits: MOST_INTERVAL_BITS,
            requantise_interval: 2,
            scale_multiplier_lanes: 2,
            lookup: false,
            separate_sums: false,
            softmax_tables: 0,
            clock_mhz: None,
            pipeline: Pipeline { crossbar: 3, weight_read: 1, multiply: 0, drain: 3, vector_read: 2, compact: false },
            extensions: None,
        }
    }
}

impl Configuration {
    /// Are the scales of any multiplier, shift and bias?
    pub fn wide_scales(&self) -> bool {
        !self.narrow_scales
    }

    /// Are the multipliers short and the shifts to the right?
    pub fn narrow_scales(&self) -> bool {
        self.narrow_scales
    }

    /// Multiplier cells that the product of a requantiser lane takes, where it takes any.
    pub fn cells_per_scale_multiplier(&self) -> u32 {
        // A narrow multiplier is one factor of 18 bits, the accumulator two.
        if self.narrow_scales { 2 } else { CELLS_PER_SCALE_MULTIPLIER }
    }

    /// Has the vector unit a softmax?
    pub fn has_softmax(&self) -> bool {
        self.softmax_tables > 0
    }

    /// Bits of the pause of a sequence: a softmax takes an element each cycle, and its words come as far apart.
    pub fn pause_bits(&self) -> u32 {
        if self.has_softmax() { PAUSE_BITS.max(bits_for(self.stream_elements)) } else { PAUSE_BITS }
    }

    /// Longest pause of a sequence, in cycles.
    pub fn longest_pause(&self) -> u32 {
        (1 << self.pause_bits()) - 1
    }

    /// Run-time registers; 0 where there are none.
    pub fn registers(&self) -> u32 {
        self.extensions.map_or(0, |extensions| extensions.registers)
    }

    /// Scalars of the vector unit; 0 where it neither multiplies nor reduces.
    pub fn scalars(&self) -> u32 {
        self.extensions.map_or(0, |extensions| extensions.scalars)
    }

    /// Does the vector unit multiply, look up and reduce?
    pub fn vector_multiplies(&self) -> bool {
        self.scalars() > 0
    }

    /// Function tables of the vector unit.
    pub fn tables(&self) -> u32 {
        self.extensions.map_or(0, |extensions| extensions.tables)
    }

    /// Words of the memory of tokens; 0 where the machine does not generate without the host.
    pub fn tokens(&self) -> u32 {
        self.extensions.map_or(0, |extensions| extensions.tokens)
    }

    /// Does the machine generate tokens without the host in between?
    pub fn generates(&self) -> bool {
        self.tokens() > 0
    }

    /// Positions that share an entry point in the memory of entry points: a power of two, since it is chosen by the upper bits of the
    /// position. Schedules change where full rows of tiles do, which is at a multiple of this.
    pub fn positions_per_entry(&self) -> u32 {
        1 << (self.tiles / self.stream_elements * self.stream_elements)
            .trailing_zeros()
            .min(MOST_TOKENS.trailing_zeros())
    }

    /// Multipliers of all tiles.
    pub fn multipliers(&self) -> u32 {
        self.tiles * self.dot
    }

    /// Output channels that a tile computes at once: two int4 weights share a multiplier.
    pub fn channels_per_tile(&self) -> u32 {
        WEIGHT_BITS / self.weight_bits
    }

    /// Output channels that all tiles compute at once.
    pub fn channels(&self) -> u32 {
        self.tiles * self.channels_per_tile()
    }

    /// Bits of an element that the tiles multiply; the higher ones are ignored.
    pub fn multiplied_bits(&self) -> u32 {
        if self.channels_per_tile() > 1 { PACKED_ELEMENT_BITS } else { ELEMENT_BITS }
    }

    /// Multiplications with a weight that the machine can do in a cycle.
    pub fn macs_per_cycle(&self) -> u32 {
        self.multipliers() * self.channels_per_tile()
    }

    /// Where channel `channel` of one product of all tiles stands in the rows that the drain delivers, in elements. The rows
    /// of a tile row come one after the other, first those of all lower weights of its tiles.
    pub fn channel_position(&self, channel: u32) -> u32 {
        let (tile, part) = self.channel_place(channel);
        let (row, column) = (tile / self.stream_elements, tile % self.stream_elements);
        (row * self.channels_per_tile() + part) * self.stream_elements + column
    }

    /// The tile that computes channel `channel` of a product, and which of the tile's channels it is.
    pub fn channel_place(&self, channel: u32) -> (u32, u32) {
        let row_channels = self.stream_elements * self.channels_per_tile();
        let (row, within) = (channel / row_channels, channel % row_channels);
        let first = row * self.stream_elements;
        let width = self.tiles.saturating_sub(first).clamp(1, self.stream_elements);
        (first + within % width, within / width)
    }

    /// The channel of a product that `tile` computes as its channel number `part`: the inverse of
    /// [`channel_place`](Self::channel_place).
    pub fn channel_of(&self, tile: u32, part: u32) -> u32 {
        let first = tile / self.stream_elements * self.stream_elements;
        let width = (self.tiles - first).min(self.stream_elements);
        first * self.channels_per_tile() + part * width + (tile - first)
    }

    /// Beats of one word: `stream_elements / dot`, a power of two.
    pub fn beats_per_word(&self) -> u32 {
        self.stream_elements / self.dot
    }

    /// Beats of one vector memory slice; its addresses are `0..vector_beats()`.
    pub fn vector_beats(&self) -> u32 {
        self.vector_depth * self.beats_per_word()
    }

    /// Rows of tiles. The last one may be incomplete.
    pub fn tile_rows(&self) -> u32 {
        self.tiles.div_ceil(self.stream_elements)
    }

    /// Rows of results that one drain delivers: one word for each channel of each row of tiles.
    pub fn rows(&self) -> u32 {
        self.tile_rows() * self.channels_per_tile()
    }

    /// Results of a tile that the drain of a product delivers, one behind the other: a row of tiles makes as many rows of results.
    pub fn results_per_tile(&self, drain: Drain) -> u32 {
        match drain {
            Drain::AllRows | Drain::FullRows => self.channels_per_tile(),
            Drain::Separate => self.dot,
        }
    }

    /// Rows of results that the drain of a product delivers.
    pub fn drain_rows(&self, drain: Drain) -> u32 {
        let full = self.tiles / self.stream_elements;
        let rows = if drain == Drain::AllRows { self.tile_rows() } else { full };
        rows * self.results_per_tile(drain)
    }

    /// Columns that hold at least one tile.
    pub fn columns(&self) -> u32 {
        self.tiles.min(self.stream_elements)
    }

    /// Tile groups that hold at least one tile; each has an instruction queue.
    pub fn tile_groups(&self) -> u32 {
        self.columns().div_ceil(self.dot)
    }

    /// Tiles that column `column` holds.
    pub fn rows_of_column(&self, column: u32) -> u32 {
        (self.tiles + self.stream_elements - 1 - column) / self.stream_elements
    }

    /// Bits of a word of weight RAM.
    pub fn weight_word_bits(&self) -> u32 {
        self.dot * WEIGHT_BITS
    }

    /// Bits of an address into the weight RAM of a tile.
    pub fn weight_address_bits(&self) -> u32 {
        bits_for(self.weight_depth)
    }

    /// Bits of a beat address into a vector memory slice.
    pub fn vector_address_bits(&self) -> u32 {
        bits_for(self.vector_depth) + self.beats_per_word().trailing_zeros()
    }

    /// Bits of an index into the scale table.
    pub fn scale_address_bits(&self) -> u32 {
        bits_for(self.scale_depth)
    }

    /// Words of one lane's scale table: each lane serves `requantise_interval` elements of a word.
    pub fn scale_words(&self) -> u32 {
        self.scale_depth * self.requantise_interval
    }

    /// Bits of an address into one lane's scale table.
    pub fn scale_table_address_bits(&self) -> u32 {
        bits_for(self.scale_depth) + self.requantise_interval.trailing_zeros()
    }

    /// Words of a queue's RAM that hold one instruction: as many as the longest instruction of any unit needs.
    pub fn queue_words_per_instruction(&self) -> u32 {
        let longest = Unit::all(self).into_iter().map(|unit| word_bits(unit, self)).max();
        longest.unwrap_or(1).div_ceil(self.queue_word_bits)
    }

    /// Bits of one word of the RAM in the queue of `unit`: in a machine with extensions no more than its own instructions need in as many
    /// words as the longest of any unit. But what the queue itself needs has to come in time: the numbers of registers, and how far a
    /// loop goes back.
    pub fn queue_word_bits_of(&self, unit: Unit) -> u32 {
        if self.extensions.is_none() {
            return self.queue_word_bits;
        }
        let words = self.queue_words_per_instruction();
        let numbers = register_fields(unit, self).len() as u32 * bits_for(self.registers() + 1);
        let queue_s_own = OPCODE_BITS + self.interval_bits + numbers.max(bits_for(self.queue_depth));
        // Words before the last two: these come while the registers are looked up and the next instruction is asked for.
        let in_time = words.saturating_sub(2).max(1);
        word_bits(unit, self).div_ceil(words).max(queue_s_own.div_ceil(in_time))
    }

    /// Words of a queue's RAM.
    pub fn queue_words(&self) -> u32 {
        self.queue_depth * self.queue_words_per_instruction()
    }

    /// Bits of the address of a word in a queue's RAM.
    pub fn queue_address_bits(&self) -> u32 {
        bits_for(self.queue_words())
    }

    /// Least interval between two instructions of a queue, in cycles: the next one is read from the queue's RAM meanwhile.
    pub fn minimum_interval(&self) -> u32 {
        self.queue_words_per_instruction().max(SHORTEST_INTERVAL)
    }

    /// Lanes of the requantiser.
    pub fn requantiser_lanes(&self) -> u32 {
        self.stream_elements / self.requantise_interval
    }

    /// Cycles from the drain of a product to the next, at least: the requantiser takes a row of results each
    /// `requantise_interval` cycles.
    pub fn drain_cycles(&self, drain: Drain) -> u32 {
        self.drain_rows(drain) * self.requantise_interval
    }

    /// The longest drain that a product may have, in cycles.
    pub fn longest_drain(&self) -> u32 {
        let separate = if self.separate_sums { self.drain_cycles(Drain::Separate) } else { 0 };
        self.drain_cycles(Drain::AllRows).max(separate)
    }

    /// Source ports of the crossbar: the slices' read ports, the requantiser, the vector unit if there is one, and the weights that
    /// are read as a stream.
    pub fn crossbar_sources(&self) -> u32 {
        self.vector_slices + 1 + u32::from(self.vector_unit) + u32::from(self.extensions.is_some())
    }

    /// Largest count of a loop.
    pub fn longest_loop(&self) -> u32 {
        1 << self.count_bits
    }

    /// Most idle cycles between two runs of a sequence.
    pub fn longest_gap(&self) -> u32 {
        (1 << self.count_bits) - 1
    }

    /// Longest interval of an instruction.
    pub fn longest_interval(&self) -> u32 {
        (1 << self.interval_bits) - 1
    }
}

/// Bits that count `0..values`, at least one.
pub fn bits_for(values: u32) -> u32 {
    (u32::BITS - values.saturating_sub(1).leading_zeros()).max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_stands_in_exactly_one_column_and_row() {
        for tiles in 1..=39 {
            let configuration = Configuration { tiles, ..Configuration::default() };
            let total: u32 = (0..configuration.stream_elements).map(|c| configuration.rows_of_column(c)).sum();
            assert_eq!(total, tiles);
            assert_eq!(configuration.tile_rows(), configuration.rows_of_column(0));
        }
    }

    #[test]
    fn every_channel_of_a_product_has_one_place_and_one_position() {
        for (tiles, weight_bits) in (1..=39).flat_map(|tiles| [(tiles, 4), (tiles, 8)]) {
            let configuration = Configuration { tiles, weight_bits, ..Configuration::default() };
            let mut last = None;
            for channel in 0..configuration.channels() {
                let (tile, part) = configuration.channel_place(channel);
                assert!(tile < tiles && part < configuration.channels_per_tile());
                assert_eq!(configuration.channel_of(tile, part), channel);
                let position = configuration.channel_position(channel);
                assert!(last.is_none_or(|last| last < position), "channel {channel} of {tiles} tiles");
                last = Some(position);
            }
            assert!(last.unwrap() < configuration.rows() * configuration.stream_elements);
        }
    }
}
