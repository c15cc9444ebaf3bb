//! The configuration of one LPU: every count, width and depth from which the rest of the project derives.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bits of one weight.
pub const WEIGHT_BITS: u32 = 8;
/// Bits of one element on a stream and in the vector memory.
pub const ELEMENT_BITS: u32 = 16;
/// Bits of an accumulator. Sums wrap, as they do in the 32-bit reference kernels.
pub const ACCUMULATOR_BITS: u32 = 32;

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
    /// Words of weight RAM in each tile; a word is `dot` weights.
    pub weight_depth: u32,
    /// Number of vector memory slices, each with one read and one write port.
    pub vector_slices: u32,
    /// Words of one vector memory slice.
    pub vector_depth: u32,
    /// Entries of the requantiser's scale table; an entry is one multiplier and shift for each lane.
    pub scale_depth: u32,
    /// Instructions that one queue holds.
    pub queue_depth: u32,
    /// Registers added between units.
    #[serde(default)]
    pub pipeline: Pipeline,
}

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
    /// Registers added in the read path of the vector memory, 0 to 4.
    pub vector_read: u32,
}

impl Default for Pipeline {
    fn default() -> Self {
        Pipeline { crossbar: 2, weight_read: 1, multiply: 0, drain: 1, vector_read: 0 }
    }
}

impl Default for Configuration {
    /// A machine for an LFE5U-85F: 36 tiles of four multipliers, 360 KB of weights.
    fn default() -> Self {
        Configuration {
            tiles: 36,
            dot: 4,
            stream_elements: 16,
            weight_depth: 2560,
            vector_slices: 3,
            vector_depth: 512,
            scale_depth: 64,
            queue_depth: 64,
            pipeline: Pipeline::default(),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigurationError {
    /// The text is not TOML, or a field is missing, unknown or of the wrong type.
    #[error("the configuration cannot be read: {0}")]
    Syntax(String),
    /// A field is outside its range.
    #[error("configuration field `{field}` is {value}, but must be {allowed}")]
    Range {
        /// Name of the field as it stands in the file.
        field: &'static str,
        /// Its value.
        value: u32,
        /// What would be accepted.
        allowed: String,
    },
}

impl Configuration {
    /// Reads a configuration from TOML and checks it.
    ///
    /// # Errors
    /// [`ConfigurationError::Syntax`] names line and column; [`ConfigurationError::Range`] names the field.
    pub fn from_toml(text: &str) -> Result<Self, ConfigurationError> {
        let configuration: Configuration =
            toml::from_str(text).map_err(|error| ConfigurationError::Syntax(error.to_string()))?;
        configuration.check()?;
        Ok(configuration)
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        let range = |field, value: u32, low: u32, high: u32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigurationError::Range { field, value, allowed: format!("{low} to {high}") })
            }
        };
        range("tiles", self.tiles, 1, 64)?;
        if ![2, 4, 8].contains(&self.dot) {
            return Err(ConfigurationError::Range { field: "dot", value: self.dot, allowed: "2, 4 or 8".into() });
        }
        range("stream_elements", self.stream_elements, self.dot, 64)?;
        if !self.stream_elements.is_multiple_of(self.dot) || !(self.stream_elements / self.dot).is_power_of_two() {
            return Err(ConfigurationError::Range {
                field: "stream_elements",
                value: self.stream_elements,
                allowed: format!("`dot` ({}) times a power of two", self.dot),
            });
        }
        range("weight_depth", self.weight_depth, 2, 1 << 16)?;
        range("vector_slices", self.vector_slices, 1, 8)?;
        range("vector_depth", self.vector_depth, 2, 1 << 14)?;
        range("scale_depth", self.scale_depth, 2, 1 << 12)?;
        range("queue_depth", self.queue_depth, 4, 1 << 12)?;
        range("pipeline.crossbar", self.pipeline.crossbar, 1, 4)?;
        range("pipeline.weight_read", self.pipeline.weight_read, 0, 4)?;
        range("pipeline.multiply", self.pipeline.multiply, 0, 4)?;
        range("pipeline.drain", self.pipeline.drain, 1, 4)?;
        range("pipeline.vector_read", self.pipeline.vector_read, 0, 4)
    }

    /// Multipliers of all tiles.
    pub fn multipliers(&self) -> u32 {
        self.tiles * self.dot
    }

    /// Beats of one word: `stream_elements / dot`, a power of two.
    pub fn beats_per_word(&self) -> u32 {
        self.stream_elements / self.dot
    }

    /// Beats of one vector memory slice; its addresses are `0..vector_beats()`.
    pub fn vector_beats(&self) -> u32 {
        self.vector_depth * self.beats_per_word()
    }

    /// Rows of tiles, the words that one drain delivers. The last row may be incomplete.
    pub fn rows(&self) -> u32 {
        self.tiles.div_ceil(self.stream_elements)
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

    /// Words of weight RAM that hold the 32-bit start value (bias) of an accumulator.
    pub fn bias_words(&self) -> u32 {
        ACCUMULATOR_BITS.div_ceil(self.weight_word_bits())
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

    /// Bits of an instruction address.
    pub fn queue_address_bits(&self) -> u32 {
        bits_for(self.queue_depth)
    }

    /// Source ports of the crossbar: the slices' read ports, the requantiser, the vector unit.
    pub fn crossbar_sources(&self) -> u32 {
        self.vector_slices + 2
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
            assert_eq!(configuration.rows(), configuration.rows_of_column(0));
        }
    }

    #[test]
    fn a_configuration_survives_its_toml_form() {
        let configuration = Configuration::default();
        let text = toml::to_string(&configuration).unwrap();
        assert_eq!(Configuration::from_toml(&text).unwrap(), configuration);
    }

    #[test]
    fn a_field_out_of_range_is_named() {
        let text = toml::to_string(&Configuration { dot: 3, ..Configuration::default() }).unwrap();
        let message = Configuration::from_toml(&text).unwrap_err().to_string();
        assert_eq!(message, "configuration field `dot` is 3, but must be 2, 4 or 8");
        let message = Configuration::from_toml("tiles = 4\nspeed = 3\n").unwrap_err().to_string();
        assert!(message.contains("speed"), "{message}");
    }
}
