//! What is built for: a board with its pin file and the machine it is to hold.

use super::pins;
use crate::failure::Failure;
use crate::machine;
use lpu_isa::board::Board;
use std::path::Path;

/// A board with its pin file.
#[derive(Debug)]
pub struct Target {
    /// The board, with the configuration asked for.
    pub board: Board,
    /// The text of its pin file.
    pub pins: String,
    /// Where the pin file stands, for messages.
    pub pin_file: String,
    /// Where the configuration came from, for messages.
    pub configured_by: String,
}

impl Target {
    /// A known board, with another configuration if a file is given; without a name, the board that the file describes.
    ///
    /// # Errors
    /// An unknown board, a file that cannot be used, a board without a pin file.
    pub fn resolve(name: Option<&str>, config: Option<&Path>) -> Result<Target, Failure> {
        match (name, config) {
            (None, Some(path)) => own_board(path),
            _ => known_board(name, config),
        }
    }

    /// Checks that each port of the board's top has a pin of its own.
    ///
    /// # Errors
    /// The first mistake, with file and line.
    pub fn check_pins(&self) -> Result<(), Failure> {
        let pins = pins::parse(self.board.family, &self.pins);
        pins::check(&pins, &self.board.link).map_err(|error| {
            let place = match error.line() {
                Some(line) => format!("{}, line {line}", self.pin_file),
                None => self.pin_file.clone(),
            };
            let help = format!("give each of {} a pin of its own", pins::PORTS.join(", "));
            Failure::new("the pin file cannot be used", place, error, help)
        })
    }
}

fn known_board(name: Option<&str>, config: Option<&Path>) -> Result<Target, Failure> {
    let machine = machine::resolve(name, None)?;
    let (Some(mut board), Some(pins)) = (machine.board, Board::known_pins(&machine.name)) else {
        let why = "it has no pin file";
        return Err(Failure::new("the board cannot be used", &machine.name, why, "report this as a bug"));
    };
    let folder = format!("constraints/{}", machine.name);
    let mut configured_by = format!("{folder}/board.toml");
    if let Some(path) = config {
        board = board.with(machine::resolve(None, Some(path))?.configuration);
        configured_by = path.display().to_string();
    }
    let pin_file = format!("{folder}/{}", board.family.pin_file());
    Ok(Target { board, pins: pins.into(), pin_file, configured_by })
}

/// A board of the user's own: its file, and the pin file beside it.
fn own_board(path: &Path) -> Result<Target, Failure> {
    let Some(mut board) = machine::resolve(None, Some(path))?.board else {
        let why = "it is a configuration and says nothing about an FPGA or its pins";
        let help = "add `--board NAME`, or describe a board as docs/boards.md does";
        return Err(Failure::new("there is no board to build for", path.display(), why, help));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A board stands in a folder of its name.
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    if path.file_name().is_some_and(|name| name == "board.toml")
        && let Some(name) = absolute.file_name()
    {
        board.name = name.to_string_lossy().into_owned();
    }
    let pins = folder.join(board.family.pin_file());
    let text = std::fs::read_to_string(&pins).map_err(|error| {
        let help = format!("put the pin file beside {}; docs/boards.md shows one", path.display());
        Failure::new("the board has no pin file that can be read", pins.display(), error, help)
    })?;
    let (pin_file, configured_by) = (pins.display().to_string(), path.display().to_string());
    Ok(Target { board, pins: text, pin_file, configured_by })
}
