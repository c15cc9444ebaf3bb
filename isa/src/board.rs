//! The boards that the project knows: an FPGA, its clock, and a machine that fits it.
//!
//! A board is a TOML file, `constraints/NAME/board.toml`; the files are part of the program, so a binary alone knows them all.
//!
//! ```
//! use lpu_isa::board::Board;
//!
//! let board = Board::find("ulx3s-85f")?;
//! assert_eq!((board.configuration.multipliers(), board.clock_mhz), (144, 150.0));
//! let error = Board::find("ulx3s-85").unwrap_err().to_string();
//! assert!(error.contains("did you mean `ulx3s-85f`?"));
//! # Ok::<(), lpu_isa::board::BoardError>(())
//! ```

use crate::configuration::{Configuration, ConfigurationError, ELEMENT_BITS};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Name and text of every board's file, smallest board first.
const FILES: [(&str, &str); 5] = [
    ("icebreaker", include_str!("../../constraints/icebreaker/board.toml")),
    ("tangnano20k", include_str!("../../constraints/tangnano20k/board.toml")),
    ("ulx3s-12f", include_str!("../../constraints/ulx3s-12f/board.toml")),
    ("colorlight-i9", include_str!("../../constraints/colorlight-i9/board.toml")),
    ("ulx3s-85f", include_str!("../../constraints/ulx3s-85f/board.toml")),
];

/// Name of the board that is used where none is asked for.
pub const DEFAULT_BOARD: &str = "ulx3s-85f";

/// A family of FPGAs that share their primitives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Lattice ECP5.
    Ecp5,
    /// Lattice iCE40.
    Ice40,
    /// Gowin.
    Gowin,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Ecp5 => "ecp5",
            Family::Ice40 => "ice40",
            Family::Gowin => "gowin",
        })
    }
}

/// A board and the machine for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name: that of the folder below `constraints/`.
    #[serde(default)]
    pub name: String,
    /// What it is, in a few words.
    pub description: String,
    /// The FPGA's family.
    pub family: Family,
    /// The FPGA's part number.
    pub device: String,
    /// The FPGA's package.
    pub package: String,
    /// The FPGA's speed grade, as its vendor writes it.
    pub speed_grade: String,
    /// Frequency of the board's oscillator.
    pub oscillator_mhz: f64,
    /// Frequency that the LPU is meant to run at.
    pub clock_mhz: f64,
    /// Block RAMs of the FPGA.
    pub block_rams: u32,
    /// Kilobits of one block RAM: 18 or 4.
    pub block_ram_kbit: u32,
    /// Hardware multipliers of the FPGA, 16×16 or larger.
    pub multipliers: u32,
    /// The machine.
    pub configuration: Configuration,
}

/// Why there is no board.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BoardError {
    /// No board has this name.
    #[error("there is no board `{name}`{}; known are {}", closest.as_ref().map_or(String::new(), |closest| format!(" (did you mean `{closest}`?)")), known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
        /// The known name that it probably was meant to be.
        closest: Option<String>,
    },
    /// The text is not TOML, or a field is missing, unknown or of the wrong type.
    #[error("board `{name}` cannot be read: {reason}")]
    Syntax {
        /// The board.
        name: String,
        /// Line, column and what is wrong.
        reason: String,
    },
    /// The configuration of the board is not valid.
    #[error("board `{name}`: {source}")]
    Configuration {
        /// The board.
        name: String,
        /// What is wrong.
        source: ConfigurationError,
    },
    /// A number of the board is not usable.
    #[error("board `{name}`: `{field}` is {value}, but must be {allowed}")]
    Range {
        /// The board.
        name: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        allowed: &'static str,
    },
}

impl Board {
    /// The names of all boards, smallest board first.
    pub fn names() -> Vec<&'static str> {
        FILES.iter().map(|(name, _)| *name).collect()
    }

    /// All boards, smallest first.
    ///
    /// # Errors
    /// None: the files are part of the program, and a test reads them all.
    pub fn all() -> Result<Vec<Board>, BoardError> {
        FILES.iter().map(|(name, text)| Board::from_toml(name, text)).collect()
    }

    /// The board called `name`.
    ///
    /// # Errors
    /// [`BoardError::Unknown`] lists the known names and the closest of them.
    pub fn find(name: &str) -> Result<Board, BoardError> {
        match FILES.iter().find(|(known, _)| *known == name) {
            Some((name, text)) => Board::from_toml(name, text),
            None => Err(BoardError::Unknown {
                name: name.into(),
                known: Board::names().into_iter().map(String::from).collect(),
                closest: closest(name, &Board::names()).map(String::from),
            }),
        }
    }

    /// Reads a board from the text of its file.
    ///
    /// # Errors
    /// Any but [`BoardError::Unknown`].
    pub fn from_toml(name: &str, text: &str) -> Result<Board, BoardError> {
        let syntax = |error: toml::de::Error| BoardError::Syntax { name: name.into(), reason: error.to_string() };
        let board = Board { name: name.into(), ..toml::from_str(text).map_err(syntax)? };
        board.configuration.check().map_err(|source| BoardError::Configuration { name: name.into(), source })?;
        for (field, value) in [("oscillator_mhz", board.oscillator_mhz), ("clock_mhz", board.clock_mhz)] {
            if !(value.is_finite() && value > 0.0) {
                let (name, value) = (name.into(), value.to_string());
                return Err(BoardError::Range { name, field, value, allowed: "a positive number" });
            }
        }
        if ![4, 18].contains(&board.block_ram_kbit) {
            let (name, value) = (name.into(), board.block_ram_kbit.to_string());
            return Err(BoardError::Range { name, field: "block_ram_kbit", value, allowed: "4 or 18" });
        }
        Ok(board)
    }

    /// Whether `text` is meant as a board's file rather than as a bare configuration: it has a table `configuration`.
    pub fn is_board(text: &str) -> bool {
        toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("configuration"))
    }

    /// This board's block RAMs that the configuration's weight RAMs and vector memories take.
    ///
    /// For blocks of 18 Kbit this is the sum of [`crate::resources`]; blocks of 4 Kbit have 256 words of 16 bits.
    pub fn block_rams_used(&self) -> u32 {
        let Configuration { tiles, weight_depth, vector_slices, vector_depth, dot, .. } = self.configuration;
        let (width, depth) = if self.block_ram_kbit == 4 { (16, 256) } else { (36, 512) };
        let blocks = |bits: u32, words: u32| bits.div_ceil(width) * words.div_ceil(depth);
        let weights = tiles * blocks(self.configuration.weight_word_bits(), weight_depth);
        let banks = vector_slices * self.configuration.beats_per_word();
        weights + banks * blocks(dot * ELEMENT_BITS, vector_depth)
    }
}

/// The candidate with the fewest edits to `name`, if they are few enough to be a slip.
fn closest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    // A name far longer than any candidate is no slip, and not worth a table.
    if name.chars().count() > 64 {
        return None;
    }
    let distances = candidates.iter().map(|candidate| (edits(&name, candidate), *candidate));
    let (distance, candidate) = distances.min()?;
    (distance * 2 <= candidate.len()).then_some(candidate)
}

/// Insertions, deletions and replacements of a character from `a` to `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::resources::{vector_block_rams, weight_block_rams};

    #[test]
    fn every_board_has_the_multipliers_and_block_rams_of_its_machine() {
        for board in Board::all().unwrap() {
            let multipliers = board.configuration.multipliers();
            assert!(multipliers <= board.multipliers, "{}: {multipliers} multipliers", board.name);
            assert!(board.block_rams_used() <= board.block_rams, "{}: {}", board.name, board.block_rams_used());
        }
    }

    #[test]
    fn blocks_of_18_kbit_are_counted_as_the_resources_module_counts_them() {
        for board in Board::all().unwrap().into_iter().filter(|board| board.block_ram_kbit == 18) {
            let counted = weight_block_rams(&board.configuration) + vector_block_rams(&board.configuration);
            assert_eq!(board.block_rams_used(), counted, "{}", board.name);
        }
    }

    #[test]
    fn the_default_board_has_the_default_configuration() {
        assert_eq!(Board::find(DEFAULT_BOARD).unwrap().configuration, Configuration::default());
    }

    #[test]
    fn a_slip_is_corrected_and_nonsense_is_not() {
        let message = |name: &str| Board::find(name).unwrap_err().to_string();
        let known = "known are icebreaker, tangnano20k, ulx3s-12f, colorlight-i9, ulx3s-85f";
        assert_eq!(message("ULX3S_85F"), format!("there is no board `ULX3S_85F` (did you mean `ulx3s-85f`?); {known}"));
        assert_eq!(message("toaster"), format!("there is no board `toaster`; {known}"));
        assert_eq!(message(""), format!("there is no board ``; {known}"));
    }

    #[test]
    fn a_board_file_with_a_mistake_is_refused_with_its_field() {
        let text = FILES[4].1;
        let message = |text: &str| Board::from_toml("mine", text).unwrap_err().to_string();
        assert!(message(&text.replace("tiles = 36", "tiles = 0")).contains("`tiles` is 0, but must be 1 to 64"));
        assert!(message(&text.replace("ecp5", "virtex")).contains("virtex"));
        let message = message(&text.replace("clock_mhz = 150.0", "clock_mhz = 0.0"));
        assert_eq!(message, "board `mine`: `clock_mhz` is 0, but must be a positive number");
    }

    #[test]
    fn the_distance_is_that_of_the_textbook() {
        for (a, b, distance) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("abc", "", 3)] {
            assert_eq!(edits(a, b), distance, "{a} {b}");
        }
    }
}
