//! The stages of a build, from the Verilog to the bitstream.

use super::estimate::{Estimate, UnitCost};
use super::floorplan;
use super::folder::{Folder, SUMMARY};
use super::netlist::Netlist;
use super::process::{self, Failed};
use super::recipe::{self, LOGS, NETLIST, PLACED, SCRIPT, VERILOG};
use super::report::Report;
use super::summary::{Outcome, Summary};
use super::tools::{Kind, Tool, find, versions};
use crate::failure::Failure;
use crate::output::{json, remark};
use crate::progress::Progress;
use lpu_hdl::board::{self, Parameters};
use lpu_hdl::layer::Design;
use lpu_isa::board::Board;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A seed's report and how long it took.
type Routed = Result<(Report, Duration), Failure>;

/// What is to be built.
#[derive(Debug)]
pub struct Job<'a> {
    /// The board, with the configuration to be built.
    pub board: &'a Board,
    /// The text of its pin file.
    pub pins: &'a str,
    /// What it was estimated to take.
    pub estimate: Estimate,
    /// Seeds for place and route; at least one.
    pub seeds: Vec<u32>,
    /// Seeds placed and routed at once.
    pub jobs: usize,
    /// Whether tools of other versions will do.
    pub any_tools: bool,
}

/// The design of a board.
///
/// # Errors
/// A clock that the board's PLL cannot make, or a serial line that cannot be made from the clock.
pub fn design(board: &Board) -> Result<Design, Failure> {
    let Board { family, oscillator_mhz, clock_mhz, link, .. } = board;
    let parameters = Parameters::plan(*family, *oscillator_mhz, *clock_mhz, link.baud).map_err(|error| {
        let help = "correct `clock_mhz` or `link.baud` in the board's file";
        Failure::new("the board cannot have its clock and its serial line", &board.name, error, help)
    })?;
    board::design(&board.configuration, &parameters).map_err(|error| {
        Failure::new("the board's top cannot be generated", &board.name, error, "report this as a bug")
    })
}

impl Job<'_> {
    /// Builds in the directory `out`.
    ///
    /// # Errors
    /// Bad input, a tool that is missing or of another version, or (with status 1) a tool that fails. A missed target
    /// frequency is no error: see [`Summary::met`].
    pub fn run(&self, out: &Path) -> Result<Summary<'_>, Failure> {
        let board = self.board;
        let design = design(board)?;
        let kinds = [Kind::Yosys, Kind::Nextpnr(board.family), Kind::Packer(board.family)];
        let tools = find(&kinds, self.any_tools)?;
        let [yosys, nextpnr, packer] = &tools[..] else {
            return Err(Failure::new("the tools cannot be found", "tools", "one is missing", "report this as a bug"));
        };
        let folder = Folder::prepare(out)?;
        let mut seconds = BTreeMap::new();

        let stage = Stage::begin("Verilog");
        let mut files = Vec::new();
        for (name, text) in design.files_for(board.family) {
            folder.write(&format!("{VERILOG}/{name}"), text)?;
            files.push(name);
        }
        folder.write(board.family.pin_file(), self.pins)?;
        folder.write(SCRIPT, recipe::synthesis(board.family, &files, design.top_name()))?;
        seconds.insert("verilog", stage.end(&format!("{} modules", design.modules().len())));

        let stage = Stage::begin("synthesis");
        synthesise(&folder, yosys)?;
        seconds.insert("synthesis", stage.end(&folder.shown(&log("synthesis"))));

        let stage = Stage::begin("placement");
        let (remark, lut_of_units) = self.pin(&folder, design.top_name())?;
        seconds.insert("placement", stage.end(&remark));

        let (reports, longest) = self.place_and_route(&folder, nextpnr)?;
        seconds.insert("place_and_route", tenths(longest));
        let Some(outcome) = Outcome::of(&reports, board) else {
            return Err(Failure::new("nothing was placed", "--seeds 0", "there is no seed", "ask for a seed or more"));
        };
        let best_seed = self.seeds[outcome.best];

        let stage = Stage::begin("bitstream");
        let bitstream = recipe::bitstream(board);
        let unfinished = format!("{}/{bitstream}", recipe::seed_directory(best_seed));
        run(&folder, packer, &recipe::pack(board, best_seed, &unfinished), "bitstream")?;
        folder.publish(&unfinished, &bitstream)?;
        seconds.insert("bitstream", stage.end(&folder.shown(&bitstream)));

        let bytes = std::fs::read(folder.path().join(&bitstream)).map_err(|error| {
            Failure::new("the bitstream cannot be read", folder.shown(&bitstream), error, "look at the directory")
        })?;
        let best = &reports[outcome.best];
        let summary = Summary {
            board: &board.name,
            device: &board.device,
            family: board.family,
            configuration: &board.configuration,
            used: best.used,
            lut_of_units,
            estimate: self.estimate.clone(),
            seeds: self.seeds.clone(),
            fmax_mhz: outcome.fmax_mhz,
            fmax_median_mhz: outcome.median_mhz,
            best_seed,
            target_mhz: board.clock_mhz,
            met: outcome.met,
            bitstream,
            bitstream_blake3: blake3::hash(&bytes).to_hex().to_string(),
            tools: versions(&[yosys, nextpnr, packer]),
            critical_path: best.critical_path.clone(),
            seconds,
        };
        folder.write(SUMMARY, json(&summary)?)?;
        Ok(summary)
    }

    /// Writes the netlist with the sites of the floorplan; says how many cells have one, and what each unit takes.
    fn pin(&self, folder: &Folder, top: &str) -> Result<(String, Vec<UnitCost>), Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            let help = format!(
                "look at {}; with `--any-tools`, Yosys may write another form",
                folder.shown(&log("synthesis"))
            );
            Failure::new("the netlist cannot be used", folder.shown(NETLIST), error, help).disagreement()
        };
        let mut netlist = Netlist::read(&folder.read(NETLIST)?, top).map_err(|error| unusable(&error))?;
        let sites = floorplan::place(self.board, netlist.cells());
        let units = UnitCost::measured(self.board.family, netlist.cells());
        netlist.pin(&sites).map_err(|error| unusable(&error))?;
        folder.write(PLACED, netlist.into_json().map_err(|error| unusable(&error))?)?;
        let remark = match sites.len() {
            0 => format!("nothing: the geometry of {} is not known", self.board.device),
            count => format!("{count} multipliers and block RAMs"),
        };
        Ok((remark, units))
    }

    /// Places and routes all seeds, several at once. The first failure keeps those not yet begun from beginning.
    fn place_and_route(&self, folder: &Folder, nextpnr: &Tool) -> Result<(Vec<Report>, Duration), Failure> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<(usize, Routed)>> = Mutex::new(Vec::new());
        let lock = || results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let spinner =
            Progress::spinner(format!("place and route, {} of seed {}", self.board.device, list(&self.seeds)));
        thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, self.seeds.len().max(1)) {
                scope.spawn(|| {
                    while lock().iter().all(|(_, result)| result.is_ok())
                        && let index = next.fetch_add(1, Ordering::Relaxed)
                        && let Some(seed) = self.seeds.get(index)
                    {
                        let result = self.place_and_route_seed(folder, nextpnr, *seed);
                        lock().push((index, result));
                    }
                });
            }
        });
        drop(spinner);
        let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.sort_by_key(|(index, _)| *index);
        let results = results.into_iter().map(|(_, result)| result).collect::<Result<Vec<_>, Failure>>()?;
        let longest = results.iter().map(|(_, duration)| *duration).max().unwrap_or_default();
        Ok((results.into_iter().map(|(report, _)| report).collect(), longest))
    }

    fn place_and_route_seed(&self, folder: &Folder, nextpnr: &Tool, seed: u32) -> Routed {
        folder.make_seed(seed)?;
        let name = format!("place_and_route-{seed}");
        let duration = run(folder, nextpnr, &recipe::place_and_route(self.board, seed), &name)?;
        let file = recipe::report(seed);
        let report = Report::read(&folder.read(&file)?, self.board.family).map_err(|error| {
            let help = format!("look at {}", folder.shown(&log(&name)));
            Failure::new("the report of place and route cannot be used", folder.shown(&file), error, help)
                .disagreement()
        })?;
        progress(&format!("seed {seed}"), duration, &format!("{:.1} MHz", report.fmax_mhz));
        Ok((report, duration))
    }
}

/// Runs the synthesis script that stands in the directory.
///
/// # Errors
/// With status 1, what Yosys complains about.
pub fn synthesise(folder: &Folder, yosys: &Tool) -> Result<Duration, Failure> {
    run(folder, yosys, &["-s".into(), SCRIPT.into()], "synthesis")
}

/// The log of a stage.
fn log(stage: &str) -> String {
    format!("{LOGS}/{stage}.log")
}

/// Runs a tool in the directory.
fn run(folder: &Folder, tool: &Tool, arguments: &[String], stage: &str) -> Result<Duration, Failure> {
    let log = log(stage);
    let mut command = tool.command();
    command.args(arguments).current_dir(folder.path());
    process::run(&mut command, &folder.path().join(&log)).map_err(|Failed { why, log: written }| {
        let help = match written {
            Some(_) => format!("the whole log is {}", folder.shown(&log)),
            None => "check the tool and the directory".into(),
        };
        let place = format!("{} {}", tool.name, arguments.join(" "));
        Failure::new(format!("{} failed", stage.replace('_', " ")), place, why, help).disagreement()
    })
}

/// A stage under way.
struct Stage {
    name: &'static str,
    started: Instant,
    spinner: Progress,
}

impl Stage {
    fn begin(name: &'static str) -> Stage {
        Stage { name, started: Instant::now(), spinner: Progress::spinner(name) }
    }

    /// Reports the end; returns the seconds it took.
    fn end(self, result: &str) -> f64 {
        drop(self.spinner);
        let duration = self.started.elapsed();
        progress(self.name, duration, result);
        tenths(duration)
    }
}

/// The progress line of a stage.
fn progress(stage: &str, duration: Duration, result: &str) {
    remark(&format!("{stage:10} {:7.1} s  {result}", duration.as_secs_f64()));
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

fn list(seeds: &[u32]) -> String {
    seeds.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
