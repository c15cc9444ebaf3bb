//! Which machine: `--board` and `--config`.

use crate::failure::Failure;
use crate::output::count;
use clap::Args;
use lpu_compiler::graph::Graph;
use lpu_isa::board::{Board, BoardError, DEFAULT_BOARD};
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;
use lpu_isa::resources::{multipliers, vector_block_rams, weight_block_rams};
use std::path::{Path, PathBuf};

/// A machine that must be named.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RequiredMachine {
    /// A known board; `lpu boards` lists them
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// A TOML file: a bare configuration, or a board like those in constraints/
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A machine that may be left out: the default board then.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub struct OptionalMachine {
    /// A known board; `lpu boards` lists them [default: ulx3s-85f]
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// A TOML file: a bare configuration, or a board like those in constraints/
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A configuration with its name and, where it comes from a board, the clock.
#[derive(Debug)]
pub struct Machine {
    /// Name of the board or of the configuration's file, without its ending.
    pub name: String,
    /// The configuration.
    pub configuration: Configuration,
    /// The board, where there is one.
    pub board: Option<Board>,
    /// Why the other machines of its board do not take the network that it has been tried for, a line each, where none does.
    pub refusals: Vec<String>,
    /// The network that it has been chosen for, and its program.
    pub chosen_for: Option<Box<(Graph, Program)>>,
}

impl RequiredMachine {
    /// The machine asked for.
    ///
    /// # Errors
    /// An unknown board, or a file that cannot be read or is no configuration.
    pub fn resolve(&self) -> Result<Machine, Failure> {
        resolve(self.board.as_deref(), self.config.as_deref())
    }
}

impl OptionalMachine {
    /// The machine asked for, or that of the default board.
    ///
    /// # Errors
    /// An unknown board, or a file that cannot be read or is no configuration.
    pub fn resolve(&self) -> Result<Machine, Failure> {
        resolve(self.board.as_deref(), self.config.as_deref())
    }
}

impl Machine {
    /// The target clock, where it is known.
    pub fn clock_mhz(&self) -> Option<f64> {
        let own = self.configuration.clock_mhz.map(f64::from);
        self.board.as_ref().map(|board| board.clock_mhz).or(own)
    }

    /// The other machines in the folder of its board, where it is that board's own.
    pub fn others(&self) -> Vec<Machine> {
        let Some(board) = &self.board else { return vec![] };
        let own = Board::find(&board.name).is_ok_and(|known| known.configuration == self.configuration);
        let others = if own { board.others().unwrap_or_default() } else { vec![] };
        others.into_iter().map(Machine::of_board).collect()
    }

    /// The machine in one line.
    pub fn describe(&self) -> String {
        let Configuration { tiles, .. } = self.configuration;
        let multipliers = count(u64::from(self.configuration.multipliers()));
        let clock = self.clock_mhz().map_or(String::new(), |clock| format!(", {clock} MHz"));
        format!("{} ({tiles} tiles, {multipliers} multipliers{clock})", self.name)
    }

    /// Hardware multipliers that the machine takes: of the board's kind, else of 18 bits.
    pub fn multipliers(&self) -> u32 {
        self.board.as_ref().map_or_else(|| multipliers(&self.configuration), Board::multipliers_used)
    }

    /// Block RAMs that the weights and vectors of `configuration` would take: of the board's kind, else of 18 Kbit.
    pub fn block_rams(&self, configuration: &Configuration) -> u32 {
        match &self.board {
            Some(board) => Board { configuration: configuration.clone(), ..board.clone() }.block_rams_used(),
            None => weight_block_rams(configuration) + vector_block_rams(configuration),
        }
    }

    fn of_board(board: Board) -> Machine {
        let (name, configuration) = (board.name.clone(), board.configuration.clone());
        Machine { name, configuration, board: Some(board), refusals: vec![], chosen_for: None }
    }
}

/// The machine of a board's name or of a file; the file where both are given, the default board where none is.
///
/// # Errors
/// An unknown board, or a file that cannot be read or is no configuration.
pub fn resolve(board: Option<&str>, config: Option<&Path>) -> Result<Machine, Failure> {
    match config {
        Some(path) => read(path),
        None => {
            let name = board.unwrap_or(DEFAULT_BOARD);
            Board::find(name).map(Machine::of_board).map_err(|error| unknown(name, &error))
        }
    }
}

fn unknown(name: &str, error: &BoardError) -> Failure {
    let help = match error {
        BoardError::Unknown { closest: Some(closest), .. } => {
            format!("use `--board {closest}`, or describe a machine of your own with `--config FILE.toml`")
        }
        _ => "take a board from `lpu boards`, or describe a machine of your own with `--config FILE.toml`".into(),
    };
    Failure::new("the board cannot be used", format!("--board {name}"), error, help)
}

fn read(path: &Path) -> Result<Machine, Failure> {
    let what = "the configuration cannot be used";
    let failed = |why: &dyn std::fmt::Display, help: &str| Failure::new(what, path.display(), why, help);
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed(&error, "check the path, and that it names a readable TOML file"))?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let help = "take the `[configuration]` of a board in constraints/ as the pattern; docs/architecture.md explains the fields";
    if Board::is_board(&text) {
        return Board::from_toml(&name, &text).map(Machine::of_board).map_err(|error| failed(&error, help));
    }
    let configuration = Configuration::from_toml(&text).map_err(|error| failed(&error, help))?;
    Ok(Machine { name, configuration, board: None, refusals: vec![], chosen_for: None })
}
