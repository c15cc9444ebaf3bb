//! What the units of a machine cost in look-up tables: the formula's terms and their measured coefficients.
//!
//! A unit's cost is a sum of terms, each a size that the configuration gives times a coefficient that `lpu build --calibrate`
//! has measured. The terms are those in which the generator describes the unit, so the formula holds between and around the
//! machines that were measured.

use lpu_hdl::lpu::crossbar::destinations;
use lpu_isa::board::Family;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::host::Memory;
use lpu_isa::instruction::{self, word_bits};
use lpu_isa::resources::block_rows;

/// A unit of the machine, as its cost is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Accumulators, adder trees, weight RAMs of the tiles.
    Tiles,
    /// Registers that pass operands and controls from row to row.
    TileRows,
    /// Queue and sequencer of the tile groups.
    TileGroups,
    /// Vector memory with its queues and sequencers.
    Slices,
    /// The requantiser with its queue and scale tables.
    Requantiser,
    /// The vector unit with its queue.
    Vector,
    /// The crossbar.
    Crossbar,
    /// The host port, the cycle counter, and the drains' way back.
    HostPort,
    /// Serial line, frames, reset: what surrounds the machine.
    Link,
}

/// What a machine for language models takes beyond the formula's terms, in sites of an ECP5's look-up tables. Measured on
/// `constraints/ulx3s-85f/language.toml` alone (32 tiles, 8 lanes): the cells of each module of `netlist.json`, which `lpu build --board
/// ulx3s-85f --config constraints/ulx3s-85f/language.toml --out DIR` writes, weighed by [`sites`], less what the formula says of the unit.
mod language {
    /// A tile: each of its weights' bytes comes from its own place in a word, or all from one.
    pub const TILE: f64 = 34.0;
    /// A tile group: what it fetches, loops and registers of its queue, bases.
    pub const TILE_GROUP: f64 = 217.0;
    /// A slice: the same for two queues.
    pub const SLICE: f64 = 172.0;
    /// A lane of the vector unit, beyond a plain one: shifters, roundings, the sum with the step before, the place in a segment, the
    /// shifted square. Products are in cells.
    pub const VECTOR_LANE: f64 = 830.0;
    /// What the vector unit has once: the trees of sum and maximum, two normalising shifters, scalars, what leaves at three places.
    pub const VECTOR_ONCE: f64 = 2160.0;
    /// What a requantiser lane saves whose product with a narrow multiplier is in logic: 18 of 31 rows.
    pub const NARROW_PRODUCT: f64 = 640.0;
    /// What a requantiser lane saves without left shift, bias and zero point.
    pub const NARROW_LANE: f64 = 240.0;
    /// The requantiser's mask and largest element.
    pub const TRACKING: f64 = 600.0;
    /// Run-time registers, and the stream into the weights: with the host port.
    pub const REGISTERS_AND_STORES: f64 = 1050.0;
}

/// What a sum of its own takes for each multiplier, in sites of an ECP5's look-up tables: an accumulator, a way into the drain, a
/// choice of its element. The cells of a row of four tiles of `constraints/ulx3s-85f/vision.toml`, weighed by [`sites`], less those of
/// the same row without: 1,544 for 16 multipliers.
const SEPARATE_SUM: f64 = 96.5;

/// What the vector unit's softmax takes, in sites of an ECP5's look-up tables: the cells under `vector_unit.softmax` in the netlist of
/// `constraints/ulx3s-85f/networks.toml`, weighed by [`sites`]; 1,265 of them are the multiplier.
const SOFTMAX: f64 = 2038.0;

/// All units, in the order of the report.
pub const UNITS: [Unit; 9] = [
    Unit::Tiles,
    Unit::TileRows,
    Unit::TileGroups,
    Unit::Slices,
    Unit::Requantiser,
    Unit::Vector,
    Unit::Crossbar,
    Unit::HostPort,
    Unit::Link,
];

impl Unit {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Tiles => "tiles",
            Unit::TileRows => "tile rows",
            Unit::TileGroups => "tile groups",
            Unit::Slices => "vector memory",
            Unit::Requantiser => "requantiser",
            Unit::Vector => "vector unit",
            Unit::Crossbar => "crossbar",
            Unit::HostPort => "host port",
            Unit::Link => "host link",
        }
    }

    /// The unit that a cell of the netlist belongs to, by its name. Names start at the board's top.
    pub fn of_cell(name: &str) -> Unit {
        let Some(inside) = name.strip_prefix("lpu.") else { return Unit::Link };
        let mut parts = inside.split('.');
        let first = parts.next().unwrap_or_default();
        let has = |prefix: &str| inside.split('.').any(|part| part.starts_with(prefix));
        match first {
            "requantiser" => Unit::Requantiser,
            "vector_unit" => Unit::Vector,
            "crossbar" => Unit::Crossbar,
            _ if first.starts_with("slice_") => Unit::Slices,
            _ if first.starts_with("tile_group_") && has("tile_") && inside.matches(".tile_").count() > 0 => {
                Unit::Tiles
            }
            _ if first.starts_with("tile_group_") && has("row_") => Unit::TileRows,
            _ if first.starts_with("tile_group_") => Unit::TileGroups,
            _ => Unit::HostPort,
        }
    }

    /// The sizes that its cost is a sum of.
    pub fn sizes(self, configuration: &Configuration) -> Vec<f64> {
        let c = configuration;
        let (tiles, groups, rows) =
            (f64::from(c.tiles), f64::from(c.tile_groups()), f64::from(c.tile_groups() * c.rows()));
        let (slices, banks) = (f64::from(c.vector_slices), f64::from(c.beats_per_word()));
        let word = f64::from(c.stream_elements * ELEMENT_BITS);
        let beat = f64::from(c.dot * ELEMENT_BITS);
        let instruction_bits = |unit| f64::from(word_bits(unit, c));
        match self {
            Unit::Tiles => {
                // Weight RAMs deeper than their blocks are several of them, whose outputs are chosen from.
                let deeper = block_rows(c.weight_word_bits(), c.weight_depth).len().saturating_sub(1) as f64;
                let multipliers = tiles * f64::from(c.dot);
                // A second weight in each multiplier means a second sum and a second accumulator.
                let more_channels = f64::from(c.channels_per_tile() - 1);
                let deeper = tiles * deeper * f64::from(c.weight_word_bits());
                vec![tiles, multipliers, deeper, multipliers * more_channels]
            }
            Unit::TileRows => vec![rows, rows * beat],
            // A queue and its sequencer grow with the bits of an instruction.
            Unit::TileGroups => vec![groups, groups * instruction_bits(instruction::Unit::TileGroup(0))],
            Unit::Slices => vec![
                slices,
                slices * (instruction_bits(instruction::Unit::Read(0)) + instruction_bits(instruction::Unit::Write(0))),
                slices * word,
                // A word is rotated on its way in and out.
                slices * word * banks.log2(),
            ],
            Unit::Requantiser => {
                let in_cells = f64::from(c.scale_multiplier_lanes);
                let in_logic = f64::from(c.requantiser_lanes()) - in_cells;
                vec![instruction_bits(instruction::Unit::Requantiser), in_logic, in_cells, f64::from(c.stream_elements)]
            }
            Unit::Vector if !c.vector_unit => vec![0.0, 0.0],
            Unit::Vector => vec![1.0, f64::from(c.stream_elements)],
            Unit::Crossbar => {
                let bits: u32 = destinations(c).iter().map(|destination| destination.elements * ELEMENT_BITS).sum();
                vec![f64::from(bits), f64::from(bits * c.crossbar_sources())]
            }
            Unit::HostPort => vec![1.0, Memory::all(c).len() as f64, f64::from(Memory::staging_bits(c)), slices * beat],
            Unit::Link => vec![1.0, beat],
        }
    }

    /// Sites of look-up tables beyond the sum of [`sizes`](Self::sizes): what only some machines have.
    pub fn optional_sites(self, configuration: &Configuration) -> f64 {
        let option = match self {
            Unit::Tiles if configuration.separate_sums => f64::from(configuration.multipliers()) * SEPARATE_SUM,
            Unit::Vector if configuration.has_softmax() => SOFTMAX,
            _ => 0.0,
        };
        option + self.language_sites(configuration)
    }

    /// What machines for language models have.
    fn language_sites(self, configuration: &Configuration) -> f64 {
        let Some(_) = configuration.extensions else { return 0.0 };
        match self {
            Unit::TileRows => f64::from(configuration.tiles) * language::TILE,
            Unit::TileGroups => f64::from(configuration.tile_groups()) * language::TILE_GROUP,
            Unit::Slices => f64::from(configuration.vector_slices) * language::SLICE,
            Unit::Vector => f64::from(configuration.stream_elements) * language::VECTOR_LANE + language::VECTOR_ONCE,
            Unit::Requantiser => {
                let lanes = f64::from(configuration.requantiser_lanes());
                let in_logic = lanes - f64::from(configuration.scale_multiplier_lanes);
                let narrow = lanes * language::NARROW_LANE + in_logic * language::NARROW_PRODUCT;
                language::TRACKING - if configuration.narrow_scales { narrow } else { 0.0 }
            }
            Unit::HostPort => language::REGISTERS_AND_STORES,
            Unit::Tiles | Unit::Crossbar | Unit::Link => 0.0,
        }
    }

    /// The coefficients of [`sizes`](Self::sizes), in sites of look-up tables.
    pub fn coefficients(self, family: Family) -> &'static [f64] {
        let [ecp5, ice40, gowin] = super::coefficients::COEFFICIENTS[self as usize];
        match family {
            Family::Ecp5 => ecp5,
            Family::Ice40 => ice40,
            Family::Gowin => gowin,
        }
    }
}

/// Sites of look-up tables that place and route uses for a primitive, on average.
pub fn sites(family: Family, kind: &str) -> f64 {
    match (family, kind) {
        (Family::Ecp5, "LUT4") => 1.0,
        // Two look-up tables with a carry chain; each chain begins and ends with a site of its own.
        (Family::Ecp5, "CCU2C") => 2.28,
        (Family::Ecp5, "TRELLIS_DPR16X4") => 6.0,
        (Family::Ice40, "SB_LUT4") => 1.0,
        // Two of five flip-flops share a cell with the look-up table in front of them; a few carries have a cell of their own.
        (Family::Ice40, kind) if kind.starts_with("SB_DFF") => 0.63,
        (Family::Gowin, "LUT1" | "LUT2" | "LUT3" | "LUT4") => 1.0,
        // As with the ECP5, each carry chain begins and ends with a site of its own.
        (Family::Gowin, "ALU") => 1.11,
        // A flip-flop takes what a look-up table gives: more than half of them need one that only passes a bit on.
        (Family::Gowin, kind) if kind.starts_with("DFF") => 0.58,
        (Family::Gowin, kind) if kind.starts_with("RAM16SDP") => 4.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_has_a_coefficient_for_each_size_and_family() {
        let configuration = Configuration::default();
        for (place, unit) in UNITS.into_iter().enumerate() {
            assert_eq!(unit as usize, place);
            for family in [Family::Ecp5, Family::Ice40, Family::Gowin] {
                assert_eq!(unit.sizes(&configuration).len(), unit.coefficients(family).len(), "{unit:?} {family}");
            }
        }
    }

    #[test]
    fn cells_are_counted_for_the_unit_they_stand_in() {
        for (name, unit) in [
            ("lpu.tile_group_0.row_1.tile_2.accumulator_TRELLIS_FF_Q", Unit::Tiles),
            ("lpu.tile_group_0.row_1.activation_q_TRELLIS_FF_Q_3", Unit::TileRows),
            ("lpu.tile_group_0.queue.running_LUT4_C", Unit::TileGroups),
            ("lpu.slice_2.bank_0.block_0_0", Unit::Slices),
            ("lpu.requantiser.lane_3.scaled_CCU2C_S0", Unit::Requantiser),
            ("lpu.vector_unit.lane_3.value_LUT4_Z", Unit::Vector),
            ("lpu.crossbar.write_0_q_TRELLIS_FF_Q", Unit::Crossbar),
            ("lpu.host_port.staging_TRELLIS_FF_Q", Unit::HostPort),
            ("lpu.cycle_count_TRELLIS_FF_Q", Unit::HostPort),
            ("uart_receiver.count_LUT4_Z", Unit::Link),
        ] {
            assert_eq!(Unit::of_cell(name), unit, "{name}");
        }
    }
}
