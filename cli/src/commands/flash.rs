//! `lpu flash`: a bitstream to a board.

use crate::build::process::{self, Failed};
use crate::build::recipe;
use crate::build::target::Target;
use crate::build::tools::{Kind, find};
use crate::failure::{Failure, Verdict};
use crate::output::{print, remark};
use lpu_isa::board::Board;
use std::path::{Path, PathBuf};

/// Send a bitstream to a board with openFPGALoader
///
/// The FPGA runs it at once and forgets it without power; `--flash` writes it to the board's flash memory instead.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A known board; `lpu boards` lists them
    #[arg(long, value_name = "NAME", required_unless_present = "config", conflicts_with = "config")]
    board: Option<String>,
    /// A board's file, with its pin file beside it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The bitstream [default: that of `lpu build`, in build/NAME]
    #[arg(long, value_name = "FILE")]
    bitstream: Option<PathBuf>,
    /// Write to the flash memory of the board, so that the bitstream survives without power
    #[arg(long)]
    flash: bool,
    /// Print the command and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Use openFPGALoader even if it is of another version than the pinned one
    #[arg(long)]
    any_tools: bool,
}

/// What openFPGALoader says, and what is to be done about it. The first that fits.
const COMPLAINTS: [(&str, &str, &str); 5] = [
    (
        "was not enabled at compile time",
        "this openFPGALoader has no driver for the board's programmer",
        "install one that has (`sudo apt-get install openfpgaloader`), set LPU_OPENFPGALOADER to it and add `--any-tools`",
    ),
    (
        "device not found",
        "no board is attached",
        "plug the board in, and check that the cable carries data and that `lsusb` shows the board",
    ),
    (
        "usb_open() failed",
        "the board is attached, but may not be used by this user",
        "install openFPGALoader's udev rules (its documentation, \"Install\"), plug the board in again, or run as root",
    ),
    (
        "no device found",
        "no board is attached",
        "plug the board in, and check that the cable carries data and that `lsusb` shows the board",
    ),
    (
        "cannot find board",
        "openFPGALoader does not know the board",
        "correct `loader` in the board's file; `openFPGALoader --list-boards` lists the names",
    ),
];

/// Sends the bitstream, or says how.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let board = Target::resolve(arguments.board.as_deref(), arguments.config.as_deref())?.board;
    let default = Path::new("build").join(&board.name).join(recipe::bitstream(&board));
    let bitstream = arguments.bitstream.clone().unwrap_or(default);
    let options = options(&board, &bitstream, arguments.flash);
    if arguments.dry_run {
        return print(&format!("openFPGALoader {}\n", options.join(" "))).map(|()| Verdict::Success);
    }
    if !bitstream.is_file() {
        let help = format!("run `lpu build --board {}`, or name another with `--bitstream FILE`", board.name);
        return Err(Failure::new("there is no bitstream", bitstream.display(), "there is no such file", help));
    }
    let loader = find(&[Kind::Loader], arguments.any_tools)?;
    let mut command = loader[0].command();
    command.args(&options);
    match process::answer(&mut command) {
        Ok(said) => {
            remark(said.trim_end());
            print(&format!("{} runs {}\n", board.name, bitstream.display())).map(|()| Verdict::Success)
        }
        Err(Failed { why, .. }) => {
            let place = format!("openFPGALoader {}", options.join(" "));
            Err(explain(&board, &place, &why))
        }
    }
}

/// openFPGALoader's options.
fn options(board: &Board, bitstream: &Path, flash: bool) -> Vec<String> {
    let mut options = vec!["-b".to_string(), board.loader.clone()];
    if flash {
        options.push("-f".into());
    }
    options.push(bitstream.display().to_string());
    options
}

/// The failure with what it means.
fn explain(board: &Board, place: &str, said: &str) -> Failure {
    let what = format!("{} was not programmed", board.name);
    let known = COMPLAINTS.iter().find(|(complaint, ..)| said.to_lowercase().contains(&complaint.to_lowercase()));
    match known {
        Some((_, meaning, help)) => Failure::new(what, place, format!("{meaning}; {said}"), *help).disagreement(),
        None => {
            let help = "openFPGALoader's documentation has a chapter on troubleshooting";
            Failure::new(what, place, said, help).disagreement()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_says_is_explained() {
        let board = Board::find("ulx3s-85f").unwrap();
        for (said, meaning) in [
            ("it ended with status 1\nunable to open ftdi device: -3 (device not found)", "no board is attached"),
            ("unable to open ftdi device: -4 (usb_open() failed)", "may not be used by this user"),
            ("Jtag: support for cmsisdap was not enabled at compile time", "has no driver for the board's programmer"),
            ("something else", "something else"),
        ] {
            let failure = explain(&board, "openFPGALoader", said);
            assert!(format!("{failure:?}").contains(meaning), "{failure:?}");
            assert_eq!(failure.status(), 1);
        }
    }
}
