//! `lpu boards`: the known boards.

use crate::failure::{Failure, Verdict};
use crate::output::{count, print, print_json, table};
use lpu_isa::board::Board;
use lpu_isa::resources::weight_bytes;

/// List the known boards and the machine for each
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print one JSON object, with every field of every board
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Boards {
    boards: Vec<Board>,
}

/// Prints the boards.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let boards = Board::all()
        .map_err(|error| Failure::new("the boards cannot be listed", "constraints/", error, "report this as a bug"))?;
    if arguments.json {
        return print_json(&Boards { boards }).map(|()| Verdict::Success);
    }
    let rows = boards.iter().map(|board| {
        vec![
            board.name.clone(),
            board.device.clone(),
            count(u64::from(board.luts)),
            format!("{}", board.clock_mhz),
            format!("{} × {}", board.configuration.tiles, board.configuration.dot),
            format!("{} of {}", board.multipliers_used(), board.multipliers),
            format!("{} of {}", board.block_rams_used(), board.block_rams),
            count(weight_bytes(&board.configuration) / 1024),
            board.description.clone(),
        ]
    });
    let header =
        ["board", "FPGA", ">LUTs", ">MHz", ">tiles", ">multipliers", ">block RAMs", ">weights, KiB", "what it is"];
    let note =
        "MHz is the target of the board's own machine; `lpu build --board NAME --estimate` tells what it takes.\n";
    print(&(table(&header, rows) + note)).map(|()| Verdict::Success)
}
