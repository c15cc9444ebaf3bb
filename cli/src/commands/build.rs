//! `lpu build`: a bitstream for a board.

use crate::build::calibrate;
use crate::build::estimate::Estimate;
use crate::build::fit;
use crate::build::job::Job;
use crate::build::summary::Summary;
use crate::build::target::Target;
use crate::failure::{Failure, Verdict};
use crate::output::{count, pairs, print, print_json, remark};
use clap::builder::RangedU64ValueParser;
use lpu_isa::board::Board;
use lpu_isa::configuration::Configuration;
use serde::Serialize;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Build a bitstream for a board: Verilog, synthesis, placement, place and route, packing
///
/// The pinned tools are installed into .tools/ of the checkout at first use. The directory holds the Verilog, the netlist, a log
/// for each stage, the bitstream of the fastest seed and build.json, which is written last. Exit status 1 where the target
/// frequency is missed (all files are there then) or a tool fails.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A known board; `lpu boards` lists them
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    board: Option<String>,
    /// Another configuration for that board; or, without `--board`, a board's file with its pin file beside it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How often to place and route, each time from another start
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: NonZeroU32,
    /// Seeds placed and routed at once; each takes a processor and up to 2 GB
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    jobs: usize,
    /// The directory: new, empty, or that of an earlier build, which is emptied [default: build/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    /// Print what the machine will take of the FPGA, and run no tool
    #[arg(long)]
    estimate: bool,
    /// Use the tools even if they are of other versions than the pinned ones
    #[arg(long)]
    any_tools: bool,
    /// Measure the coefficients of the estimate for the board's family (minutes)
    #[arg(long, hide = true, conflicts_with = "estimate")]
    calibrate: bool,
}

#[derive(Serialize)]
struct Estimated<'a> {
    board: &'a str,
    device: &'a str,
    configuration: &'a Configuration,
    #[serde(flatten)]
    estimate: &'a Estimate,
}

/// Builds, or estimates.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let target = Target::resolve(arguments.board.as_deref(), arguments.config.as_deref())?;
    let board = &target.board;
    let out = || arguments.out.clone().unwrap_or_else(|| Path::new("build").join(&board.name));
    if arguments.calibrate {
        return print(&calibrate::run(board, &out(), arguments.any_tools)?).map(|()| Verdict::Success);
    }
    target.check_pins()?;
    let estimate = fit::check(board, &target.configured_by)?;
    if arguments.estimate {
        let Board { name, device, configuration, .. } = board;
        match arguments.json {
            true => print_json(&Estimated { board: name, device, configuration, estimate: &estimate })?,
            false => print(&estimate.describe(board))?,
        }
        return Ok(Verdict::Success);
    }
    let out = out();
    let seeds = (1..=arguments.seeds.get()).collect();
    let job = Job { board, pins: &target.pins, estimate, seeds, jobs: arguments.jobs, any_tools: arguments.any_tools };
    let summary = job.run(&out)?;
    match arguments.json {
        true => print_json(&summary)?,
        false => print(&describe(&summary, board, &out))?,
    }
    if !summary.met {
        remark(&missed(&summary, board));
    }
    Ok(Verdict::of(summary.met))
}

/// The results for people.
fn describe(summary: &Summary<'_>, board: &Board, out: &Path) -> String {
    let part = |used: u32, available: u32, estimate: u32| {
        let number = |value: u32| count(u64::from(value));
        format!("{} of {} (estimated {})", number(used), number(available), number(estimate))
    };
    let list: Vec<String> = summary.fmax_mhz.iter().map(|mhz| format!("{mhz:.1}")).collect();
    let estimate = &summary.estimate;
    let mut lines = vec![
        ("board", format!("{} ({})", board.name, board.device)),
        ("LUT sites", part(summary.used.lut, board.luts, estimate.lut)),
        ("multipliers", part(summary.used.dsp, board.multipliers, estimate.dsp)),
        ("block RAMs", part(summary.used.block_ram, board.block_rams, estimate.block_ram)),
    ];
    if summary.used.ff > 0 {
        lines.push(("flip-flops", count(u64::from(summary.used.ff))));
    }
    let verdict = if summary.met { "met" } else { "MISSED" };
    lines.push(("fmax", format!("{} MHz, median {:.1}", list.join(", "), summary.fmax_median_mhz)));
    lines.push(("target", format!("{} MHz, {verdict}", board.clock_mhz)));
    if let Some(path) = &summary.critical_path {
        lines.push(("critical path", format!("{:.2} ns from {} to {}", path.delay_ns, path.from, path.to)));
    }
    lines.push(("bitstream", out.join(&summary.bitstream).display().to_string()));
    pairs(&lines)
}

/// What to know where the target was missed.
fn missed(summary: &Summary<'_>, board: &Board) -> String {
    let path = summary.critical_path.as_ref().map_or("no path between registers".to_string(), |path| path.describe());
    format!(
        "target missed: the median of {} seed(s) reaches {:.1} MHz of {}; the bitstream is that of seed {}\n\
         critical path: {path}\n\
         more seeds may reach more; so may registers in the configuration's `pipeline`, or a lower `clock_mhz` of the board",
        summary.seeds.len(),
        summary.fmax_median_mhz,
        board.clock_mhz,
        summary.best_seed
    )
}
