//! The boards that the project knows: an FPGA, its clock, and a machine that fits it.
//!
//! A board is a folder, `constraints/NAME/`, with `board.toml` and a [pin file](Family::pin_file); the files are part of the
//! program, so a binary alone knows them all. `docs/boards.md` tells how to add one.
//!
//! ```
//! use lpu_isa::board::Board;
//!
//! let board = Board::find("ulx3s-85f")?;
//! assert_eq!((board.multipliers_used(), board.clock_mhz), (154, 150.0));
//! let error = Board::find("ulx3s-85").unwrap_err().to_string();
//! assert!(error.contains("did you mean `ulx3s-85f`?"));
//! # Ok::<(), lpu_isa::board::BoardError>(())
//! ```

use crate::configuration::{Configuration, ConfigurationError};
use crate::resources::{Memories, multipliers, total_block_rams};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// The files of a board.
struct Files {
    name: &'static str,
    board: &'static str,
    pins: &'static str,
    /// Other machines for it: names and configurations.
    others: &'static [(&'static str, &'static str)],
}

/// The files in the folder of a board.
macro_rules! files {
    ($name:literal, $pins:literal $(, $other:literal)*) => {
        Files {
            name: $name,
            board: include_str!(concat!("../../constraints/", $name, "/board.toml")),
            pins: include_str!(concat!("../../constraints/", $name, "/", $pins)),
            others: &[$(($other, include_str!(concat!("../../constraints/", $name, "/", $other, ".toml")))),*],
        }
    };
}

/// Every board, smallest first.
const BOARDS: [Files; 5] = [
    files!("icebreaker", "pins.pcf"),
    files!("tangnano20k", "pins.cst"),
    files!("ulx3s-12f", "pins.lpf"),
    files!("colorlight-i9", "pins.lpf"),
    files!("ulx3s-85f", "pins.lpf", "int4", "language", "networks", "vision"),
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

impl Family {
    /// Name of the pin file in a board's folder: the place-and-route tool reads another format for each family.
    pub fn pin_file(self) -> &'static str {
        match self {
            Family::Ecp5 => "pins.lpf",
            Family::Ice40 => "pins.pcf",
            Family::Gowin => "pins.cst",
        }
    }
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
    /// Frequency that the LPU is meant to run at: what the PLL is set to and what place and route aims at.
    pub clock_mhz: f64,
    /// Look-up tables with four inputs of the FPGA.
    pub luts: u32,
    /// Block RAMs of the FPGA.
    pub block_rams: u32,
    /// Kilobits of one block RAM: 18 or 4.
    pub block_ram_kbit: u32,
    /// Hardware multipliers of the FPGA, 16×16 or larger.
    pub multipliers: u32,
    /// Name of the board in openFPGALoader (`openFPGALoader --list-boards`).
    pub loader: String,
    /// What nextpnr must be told about the FPGA: device, package, speed grade, in the words of its command line.
    pub nextpnr: Vec<String>,
    /// What the packer (ecppack, icepack, gowin_pack) must be told.
    pub pack: Vec<String>,
    /// The serial line to the host.
    pub link: Link,
    /// The machine.
    pub configuration: Configuration,
}

/// The serial line between a board and the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Pin at which the FPGA receives.
    pub rx: String,
    /// Pin at which the FPGA transmits.
    pub tx: String,
    /// Bits a second, at most [`MOST_BAUD`].
    pub baud: u32,
}

/// Memories of the host link's frame buffer.
const FRAME_BUFFER_PARTS: u32 = 4;

/// The fastest serial line, in bits a second: what the boards' USB bridges reach.
pub const MOST_BAUD: u32 = 3_000_000;

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
        BOARDS.iter().map(|files| files.name).collect()
    }

    /// All boards, smallest first.
    ///
    /// # Errors
    /// None: the files are part of the program, and a test reads them all.
    pub fn all() -> Result<Vec<Board>, BoardError> {
        BOARDS.iter().map(|files| Board::from_toml(files.name, files.board)).collect()
    }

    /// The board called `name`.
    ///
    /// # Errors
    /// [`BoardError::Unknown`] lists the known names and the closest of them.
    pub fn find(name: &str) -> Result<Board, BoardError> {
        match BOARDS.iter().find(|files| files.name == name) {
            Some(files) => Board::from_toml(files.name, files.board),
            None => Err(BoardError::Unknown {
                name: name.into(),
                known: Board::names().into_iter().map(String::from).collect(),
                closest: closest(name, &Board::names()).map(String::from),
            }),
        }
    }

    /// The same board with each of the other machines in its folder, `NAME/MACHINE`, in the order of their names.
    ///
    /// # Errors
    /// None: the files are part of the program, and a test reads them all.
    pub fn others(&self) -> Result<Vec<Board>, BoardError> {
        let files = BOARDS.iter().find(|files| files.name == self.name);
        let others = files.map_or(&[][..], |files| files.others).iter();
        let board = |&(machine, text): &(&str, &str)| {
            let name = format!("{}/{machine}", self.name);
            let wrong = |source| BoardError::Configuration { name: name.clone(), source };
            let configuration = Configuration::from_toml(text).map_err(wrong)?;
            Ok(Board { name: name.clone(), ..self.with(configuration) })
        };
        others.map(board).collect()
    }

    /// The board with another machine, and the clock of that.
    #[must_use]
    pub fn with(&self, configuration: Configuration) -> Board {
        let clock_mhz = configuration.clock_mhz.map_or(self.clock_mhz, f64::from);
        Board { configuration, clock_mhz, ..self.clone() }
    }

    /// The text of the pin file of the known board called `name`.
    pub fn known_pins(name: &str) -> Option<&'static str> {
        BOARDS.iter().find(|files| files.name == name).map(|files| files.pins)
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
        if !(1..=MOST_BAUD).contains(&board.link.baud) {
            let (name, value) = (name.into(), board.link.baud.to_string());
            return Err(BoardError::Range { name, field: "link.baud", value, allowed: "1 to 3000000" });
        }
        Ok(board.with(board.configuration.clone()))
    }

    /// Whether `text` is meant as a board's file rather than as a bare configuration: it has a table `configuration`.
    pub fn is_board(text: &str) -> bool {
        toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("configuration"))
    }

    /// This board's hardware multipliers that the configuration takes.
    ///
    /// On an ECP5 the generator places them, so this is the sum of [`crate::resources`]; on the smaller families synthesis makes
    /// each of the requantiser's products of four.
    pub fn multipliers_used(&self) -> u32 {
        match self.family {
            Family::Ecp5 => multipliers(&self.configuration),
            Family::Ice40 | Family::Gowin => {
                self.configuration.multipliers() + 4 * self.configuration.requantiser_lanes()
            }
        }
    }

    /// This board's block RAMs that the configuration's memories take: weights, vectors, queues and scale tables.
    ///
    /// An ECP5's blocks are placed by the generator, so this is the sum of [`crate::resources`]. The other families' blocks
    /// come in several shapes of the same size, and synthesis takes the one that needs fewest.
    pub fn block_rams_used(&self) -> u32 {
        let configuration = &self.configuration;
        if self.family == Family::Ecp5 {
            return total_block_rams(configuration);
        }
        // Widest form first: 16 bits of 256 words for 4 Kbit, 32 bits of 512 words for 18 Kbit (16 without parity).
        let (width, depth) = if self.block_ram_kbit == 4 { (16, 256) } else { (36, 512) };
        let blocks = |bits: u32, words: u32| {
            let shapes = (0..4).map(|halvings| (width >> halvings, depth << halvings));
            shapes.map(|(width, depth)| bits.div_ceil(width) * words.div_ceil(depth)).min().unwrap_or(0)
        };
        // An iCE40 has no RAM in its look-up tables; the host link's frame buffer stands there on the other families.
        let frame_buffer = if self.family == Family::Ice40 { FRAME_BUFFER_PARTS } else { 0 };
        let memories = Memories::all(configuration).into_iter();
        memories.map(|memory| memory.count * blocks(memory.width, memory.depth)).sum::<u32>() + frame_buffer
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

    #[test]
    fn every_board_has_the_multipliers_and_block_rams_of_its_machine() {
        for board in Board::all().unwrap() {
            let multipliers = board.multipliers_used();
            assert!(multipliers <= board.multipliers, "{}: {multipliers} multipliers", board.name);
            assert!(board.block_rams_used() <= board.block_rams, "{}: {}", board.name, board.block_rams_used());
        }
    }

    #[test]
    fn the_other_machines_of_a_board_fit_it_too() {
        let board = Board::find("ulx3s-85f").unwrap();
        let others = board.others().unwrap();
        assert_eq!(
            others.iter().map(|other| &other.name[..]).collect::<Vec<_>>(),
            ["ulx3s-85f/int4", "ulx3s-85f/language", "ulx3s-85f/networks", "ulx3s-85f/vision"]
        );
        for other in others {
            assert!(other.multipliers_used() <= other.multipliers, "{}", other.name);
            assert!(other.block_rams_used() <= other.block_rams, "{}: {}", other.name, other.block_rams_used());
        }
    }

    #[test]
    fn a_machine_with_a_clock_of_its_own_takes_that_instead_of_the_boards() {
        let board = Board::find("ulx3s-85f").unwrap();
        let slower = Configuration { clock_mhz: Some(96), ..board.configuration.clone() };
        assert_eq!(board.with(slower).clock_mhz, 96.0);
        assert_eq!(board.with(board.configuration.clone()).clock_mhz, 150.0);
        let text = BOARDS[4].board.replace("[configuration]", "[configuration]\nclock_mhz = 120");
        assert_eq!(Board::from_toml("mine", &text).unwrap().clock_mhz, 120.0);
        let text = BOARDS[4].board.replace("[configuration]", "[configuration]\nclock_mhz = 1200");
        let message = Board::from_toml("mine", &text).unwrap_err();
        assert!(format!("{message:?}").contains("clock_mhz"), "{message:?}");
    }

    #[test]
    fn the_default_board_has_the_default_configuration() {
        assert_eq!(Board::find(DEFAULT_BOARD).unwrap().configuration, Configuration::default());
    }

    #[test]
    fn every_board_has_the_pin_file_of_its_family_with_the_pins_of_its_link() {
        for board in Board::all().unwrap() {
            let pins = Board::known_pins(&board.name).unwrap();
            let word = match board.family {
                Family::Ecp5 => "LOCATE COMP",
                Family::Ice40 => "set_io",
                Family::Gowin => "IO_LOC",
            };
            assert!(pins.contains(word), "{}", board.name);
            for pin in [&board.link.rx, &board.link.tx] {
                assert!(pins.split(|c: char| !c.is_alphanumeric()).any(|part| part == pin), "{}: {pin}", board.name);
            }
        }
        assert_eq!(Board::known_pins("toaster"), None);
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
        let text = BOARDS[4].board;
        let message = |text: &str| Board::from_toml("mine", text).unwrap_err().to_string();
        assert!(message(&text.replace("tiles = 37", "tiles = 0")).contains("`tiles` is 0, but must be 1 to 64"));
        assert!(message(&text.replace("ecp5", "virtex")).contains("virtex"));
        let baud = message(&text.replace("baud = 3000000", "baud = 3000001"));
        assert_eq!(baud, "board `mine`: `link.baud` is 3000001, but must be 1 to 3000000");
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
