//! Reading a configuration, and what its fields must be.

use super::{Configuration, LOOKUP_ENTRIES, MOST_SOFTMAX_TABLES, MOST_TOKENS, WEIGHT_BITS};
use crate::instruction::MOST_INTERVAL_BITS;
use crate::sequence::{LEVELS, MOST_COUNT_BITS};
use thiserror::Error;

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
        if ![4, WEIGHT_BITS].contains(&self.weight_bits) {
            let (value, allowed) = (self.weight_bits, "4 or 8".into());
            return Err(ConfigurationError::Range { field: "weight_bits", value, allowed });
        }
        // Two weights of one multiplier have two sums already; and a drain without a whole row of tiles would be empty.
        if self.separate_sums && (self.weight_bits != WEIGHT_BITS || self.tiles < self.stream_elements) {
            let allowed = format!(
                "false (0), or the machine has weights of {WEIGHT_BITS} bits and a whole row of tiles: `stream_elements` ({})",
                self.stream_elements
            );
            return Err(ConfigurationError::Range { field: "separate_sums", value: 1, allowed });
        }
        range("vector_slices", self.vector_slices, 1, 8)?;
        // Rows of results stand in whole words.
        let softens = self.vector_unit && self.extensions.is_none() && self.tiles >= self.stream_elements;
        if self.softmax_tables > if softens { MOST_SOFTMAX_TABLES } else { 0 } {
            let allowed = format!(
                "0, or up to {MOST_SOFTMAX_TABLES} in a machine with a vector unit, a whole row of tiles (`stream_elements`, {}) and \
                 without `extensions`",
                self.stream_elements
            );
            return Err(ConfigurationError::Range { field: "softmax_tables", value: self.softmax_tables, allowed });
        }
        range("clock_mhz", self.clock_mhz.unwrap_or(1), 1, 1000)?;
        range("vector_depth", self.vector_depth, 2, 1 << 14)?;
        range("scale_depth", self.scale_depth, if self.lookup { LOOKUP_ENTRIES } else { 2 }, 1 << 12)?;
        range("queue_depth", self.queue_depth, 4, 1 << 12)?;
        range("queue_word_bits", self.queue_word_bits, 8, 256)?;
        range("count_bits", self.count_bits, 4, MOST_COUNT_BITS)?;
        range("sequence_levels", self.sequence_levels, 2, LEVELS as u32)?;
        range("interval_bits", self.interval_bits, 8, MOST_INTERVAL_BITS)?;
        let lanes = |interval: &u32| self.stream_elements.is_multiple_of(*interval);
        if !Some(self.requantise_interval).filter(|interval| [1, 2, 4].contains(interval)).as_ref().is_some_and(lanes) {
            return Err(ConfigurationError::Range {
                field: "requantise_interval",
                value: self.requantise_interval,
                allowed: format!("1, 2 or 4, and a divisor of `stream_elements` ({})", self.stream_elements),
            });
        }
        // A compact machine leaves to synthesis how the product is made.
        let most = if self.pipeline.compact { 0 } else { self.requantiser_lanes() };
        range("scale_multiplier_lanes", self.scale_multiplier_lanes, 0, most)?;
        range("pipeline.crossbar", self.pipeline.crossbar, 1, 4)?;
        range("pipeline.weight_read", self.pipeline.weight_read, 0, 4)?;
        range("pipeline.multiply", self.pipeline.multiply, 0, 4)?;
        range("pipeline.drain", self.pipeline.drain, 1, 4)?;
        range("pipeline.vector_read", self.pipeline.vector_read, 0, 4)?;
        // What looks scales up needs biases.
        let narrow = u32::from(self.extensions.is_some() && !self.lookup);
        range("narrow_scales", u32::from(self.narrow_scales), 0, narrow)?;
        let Some(extensions) = self.extensions else { return Ok(()) };
        range("extensions.registers", extensions.registers, 1, 15)?;
        range("extensions.scalars", extensions.scalars, 2, 64)?;
        range("extensions.tables", extensions.tables, 1, 16)?;
        if extensions.tokens > 0 {
            range("extensions.tokens", extensions.tokens, 2, MOST_TOKENS)?;
        }
        // What streams into weights and out of them is a whole row of bytes.
        range("tiles", self.tiles, self.stream_elements, 64)?;
        range("weight_bits", self.weight_bits, WEIGHT_BITS, WEIGHT_BITS)?;
        range("vector_unit", u32::from(self.vector_unit), 1, 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::instruction::Drain;

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

    #[test]
    fn softmax_needs_a_vector_unit_and_a_whole_row_of_tiles() {
        let softens = Configuration { softmax_tables: 8, ..Configuration::default() };
        assert_eq!(softens.check(), Ok(()));
        assert_eq!((softens.longest_pause(), Configuration::default().longest_pause()), (7, 3));
        for wrong in [
            Configuration { tiles: 7, ..softens.clone() },
            Configuration { vector_unit: false, ..softens.clone() },
            Configuration { softmax_tables: 9, ..softens.clone() },
        ] {
            let message = wrong.check().unwrap_err().to_string();
            assert!(message.contains("configuration field `softmax_tables` is"), "{message}");
            assert!(message.contains("a whole row of tiles (`stream_elements`, 8)"), "{message}");
        }
    }

    #[test]
    fn separate_sums_need_a_whole_row_of_tiles_with_wide_weights() {
        let separate = Configuration { separate_sums: true, ..Configuration::default() };
        assert_eq!(separate.check(), Ok(()));
        assert_eq!(separate.drain_rows(Drain::Separate), 16);
        for wrong in
            [Configuration { tiles: 7, ..separate.clone() }, Configuration { weight_bits: 4, ..separate.clone() }]
        {
            assert_eq!(
                wrong.check().unwrap_err().to_string(),
                "configuration field `separate_sums` is 1, but must be false (0), or the machine has weights of 8 bits and a whole row \
                 of tiles: `stream_elements` (8)"
            );
        }
    }
}
