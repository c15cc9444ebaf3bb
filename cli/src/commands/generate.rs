//! `lpu generate`: the machine as Verilog, with constraints and a manifest, in a directory that appears complete or not at all.

use super::manifest::{GENERATOR, MANIFEST, Manifest};
use crate::destination::reason;
use crate::failure::{Failure, Verdict};
use crate::machine::{Machine, RequiredMachine};
use crate::output::{count, pairs, print};
use lpu_hdl::lpu::top::design;
use lpu_isa::board::{Board, Family};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const UNWRITABLE: &str = "the output directory cannot be written";

/// Write the machine as Verilog, with clock constraints and manifest.json
///
/// rtl/ holds the modules that every target shares. The primitives (multipliers, memories) exist twice: ecp5/ instantiates the
/// cells of a Lattice ECP5, behavioural/ is for simulation and for families without a text of their own.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    machine: RequiredMachine,
    /// The directory: new, empty, or the output of an earlier `lpu generate`, which is replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Generates the files and puts them in place.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = arguments.machine.resolve()?;
    let folder = Folder::prepare(&arguments.out)?;
    let design = design(&machine.configuration).map_err(|error| {
        Failure::new("the machine cannot be generated", &machine.name, error, "report this as a bug")
    })?;
    let mut files = design.files();
    files.extend(machine.board.as_ref().map(clock_constraint));
    files.sort();
    let manifest = Manifest::of(&machine, &files);
    let modules = design.modules().len();
    files.push((MANIFEST.into(), crate::output::json(&manifest)?));
    folder.publish(&files)?;
    let lines = [
        ("machine", machine.describe()),
        ("directory", arguments.out.display().to_string()),
        ("files", count(files.len() as u64)),
        ("modules", format!("{modules}, top {}", design.top_name())),
        ("weights", format!("{} bytes", count(manifest.resources.weight_bytes))),
        ("block RAMs", resources(&machine, &manifest)),
    ];
    print(&pairs(&lines)).map(|()| Verdict::Success)
}

fn resources(machine: &Machine, manifest: &Manifest<'_>) -> String {
    let used = manifest.resources.block_rams;
    match &machine.board {
        Some(board) => format!("{} of {}", count(u64::from(used)), count(u64::from(board.block_rams))),
        None => format!("{} of 18 Kbit", count(u64::from(used))),
    }
}

/// The clock of the board, in the form that its family's tools read. Pins belong to a board's own top module.
fn clock_constraint(board: &Board) -> (String, String) {
    let clock = board.clock_mhz;
    let comment = format!("# {}: the target clock of the LPU", board.name);
    match board.family {
        Family::Ecp5 => ("constraints/lpu.lpf".into(), format!("{comment}\nFREQUENCY PORT \"clk\" {clock} MHZ;\n")),
        Family::Ice40 => ("constraints/lpu.pcf".into(), format!("{comment}\nset_frequency clk {clock}\n")),
        Family::Gowin => {
            let period = 1000.0 / clock;
            let line = format!("create_clock -name clk -period {period:.3} [get_ports {{clk}}]");
            ("constraints/lpu.sdc".into(), format!("{comment}\n{line}\n"))
        }
    }
}

/// A directory to be: files are written beside its place and take it all at once.
struct Folder {
    given: PathBuf,
    place: PathBuf,
    work: TempDir,
}

impl Folder {
    /// Prepares to write the directory at `path`.
    ///
    /// # Errors
    /// The place is taken by something else, or cannot be written.
    fn prepare(path: &Path) -> Result<Folder, Failure> {
        let failed = |why: String, help: &str| Failure::new(UNWRITABLE, path.display(), why, help);
        let writable = "choose a place in a directory that exists and can be written, on a disk with room";
        let place = if path.exists() { path.canonicalize() } else { std::path::absolute(path) };
        let place = place.map_err(|error| failed(error.to_string(), writable))?;
        if place.exists() {
            if !place.is_dir() {
                return Err(failed("a file stands there".into(), "name a directory"));
            }
            if std::env::current_dir().is_ok_and(|current| current.starts_with(&place)) {
                let why = "it is the current directory or one above it, and would be replaced".into();
                return Err(failed(why, "run the command from elsewhere, or name a directory below this one"));
            }
            check_replaceable(&place).map_err(|why| {
                failed(why, "name another directory, or remove by hand what `lpu generate` did not write")
            })?;
        }
        let (Some(parent), Some(_)) = (place.parent(), place.file_name()) else {
            return Err(failed("it has no directory above it".into(), writable));
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".lpu-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new directory, the user's mask takes bits away.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let work = builder.tempdir_in(parent).map_err(|error| failed(reason(&error), writable))?;
        Ok(Folder { given: path.into(), place, work })
    }

    /// Writes `files`, relative names and texts, and puts them in place.
    ///
    /// # Errors
    /// A full disk, for example; the place is then as it was.
    fn publish(self, files: &[(String, String)]) -> Result<(), Failure> {
        let help = "choose a place in a directory that exists and can be written, on a disk with room";
        let failed = |error: std::io::Error| Failure::new(UNWRITABLE, self.given.display(), error, help);
        let complete = self.work.path().join("complete");
        for (name, text) in files {
            let file = complete.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&complete)).map_err(failed)?;
            fs::write(&file, text).map_err(failed)?;
        }
        let former = self.work.path().join("former");
        let replaced = self.place.exists();
        if replaced {
            fs::rename(&self.place, &former).map_err(failed)?;
        }
        let Err(error) = fs::rename(&complete, &self.place) else { return Ok(()) };
        if replaced && fs::rename(&former, &self.place).is_err() {
            // Nothing may be lost: the former content stays where it is, and the message says where.
            let kept = self.work.keep().join("former");
            let help = format!("the former content is now in {}", kept.display());
            return Err(Failure::new(UNWRITABLE, self.given.display(), error, help));
        }
        Err(failed(error))
    }
}

/// Is all that stands in `directory` an earlier output? If not, says what is in the way.
fn check_replaceable(directory: &Path) -> Result<(), String> {
    let found = files_below(directory, directory).map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Ok(());
    }
    let text = fs::read_to_string(directory.join(MANIFEST)).unwrap_or_default();
    let Some(mut known) = listed_files(&text) else {
        return Err(format!("it is not empty, and without a {MANIFEST} of `lpu generate`"));
    };
    known.insert(MANIFEST.into());
    match found.into_iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(format!("it holds `{name}`, which `lpu generate` did not write")),
    }
}

/// The files that a manifest lists, if it is one of ours.
fn listed_files(text: &str) -> Option<BTreeSet<String>> {
    let manifest: serde_json::Value = serde_json::from_str(text).ok()?;
    if manifest.get("generator")?.as_str()? != GENERATOR {
        return None;
    }
    let files = manifest.get("files")?.as_array()?;
    files.iter().map(|file| file.get("path")?.as_str().map(String::from)).collect()
}

/// Names, relative to `root`, of all that is no directory below `directory`.
fn files_below(root: &Path, directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(files_below(root, &entry.path())?);
        } else {
            let path = entry.path();
            names.push(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(names)
}
