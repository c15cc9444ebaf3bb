//! Yosys, where it is installed, and what it makes of a design.

use lpu_hdl::layer::Design;
use lpu_hdl::synthesis::{Hierarchy, commands};
use lpu_isa::board::Family;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A yosys that can be called.
pub struct Yosys {
    command: PathBuf,
}

/// What synthesis made of a design.
#[derive(Debug)]
pub struct Netlist {
    /// The netlist as Verilog: one flat module of the family's cells.
    pub text: String,
    /// How many cells there are of each kind.
    pub cells: BTreeMap<String, u32>,
}

impl Netlist {
    /// How many cells of `kind` there are.
    #[must_use]
    pub fn count(&self, kind: &str) -> u32 {
        self.cells.get(kind).copied().unwrap_or(0)
    }
}

impl Yosys {
    /// The command that `LPU_YOSYS` names, or the one that `scripts/setup --synthesis` has made, or a message that says what is
    /// skipped without them.
    #[must_use]
    pub fn find(what: &str) -> Option<Yosys> {
        let command = std::env::var_os("LPU_YOSYS").filter(|command| !command.is_empty()).map(PathBuf::from);
        let found = command.or_else(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let mut installed = std::fs::read_dir(root.join(".tools/installed")).ok()?.flatten();
            let there = installed.any(|entry| entry.file_name().to_string_lossy().starts_with("pyosys"));
            there.then(|| root.join("scripts/yosys"))
        });
        if found.is_none() {
            eprintln!("skipped: {what} needs yosys; run scripts/setup --synthesis or name it with LPU_YOSYS");
        }
        found.map(|command| Yosys { command })
    }

    /// Runs `script`, a command a line.
    ///
    /// # Errors
    /// Yosys cannot be started, or what it said when it refused.
    pub fn run(&self, script: &str) -> Result<(), Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("script.ys");
        std::fs::write(&file, script)?;
        let output = Command::new(&self.command).arg("-q").arg("-s").arg(&file).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("yosys refuses:\n{script}{}", String::from_utf8_lossy(&said)).into())
    }

    /// Synthesises the module `top` of `design` for ECP5, as for a bitstream, and calls the result `name`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn netlist(&self, design: &Design, top: &str, name: &str) -> Result<Netlist, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let (verilog, cells) = (directory.path().join("netlist.v"), directory.path().join("cells.json"));
        // Yosys keeps the names of wires and cells; numbers in their place halve the text.
        self.run(&format!(
            "{}{}tee -q -o {} stat -json\nrename -hide w:* c:*\nrename {top} {name}\nwrite_verilog -noattr {}\n",
            read(design, Family::Ecp5, directory.path())?,
            commands(Family::Ecp5, top, Hierarchy::Flat),
            cells.display(),
            verilog.display()
        ))?;
        Ok(Netlist { text: std::fs::read_to_string(verilog)?, cells: counted(&cells)? })
    }

    /// How many cells of each kind `design` takes, counted over its hierarchy: each module is synthesised once, however often it
    /// occurs, so that the largest machine takes a minute.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn cells(&self, design: &Design, family: Family) -> Result<BTreeMap<String, u32>, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let cells = directory.path().join("cells.json");
        let top = design.top_name();
        self.run(&format!(
            "{}{}tee -q -o {} stat -json -top {top}\n",
            read(design, family, directory.path())?,
            commands(family, top, Hierarchy::Kept),
            cells.display()
        ))?;
        counted(&cells)
    }

    /// How many operations of each of `kinds` (`$mul`, `$mem_v2`) `design` leaves to synthesis for ECP5, beside the cells that it
    /// names.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn operations(&self, design: &Design, kinds: &[&str]) -> Result<Vec<u32>, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let cells = directory.path().join("cells.json");
        let top = design.top_name();
        self.run(&format!(
            "read_verilog -lib +/ecp5/cells_sim.v +/ecp5/cells_bb.v\n{}hierarchy -top {top}\nproc\nopt\nmemory -nomap\n\
             tee -q -o {} stat -json -top {top}\n",
            read(design, Family::Ecp5, directory.path())?,
            cells.display()
        ))?;
        let cells = counted(&cells)?;
        Ok(kinds.iter().map(|kind| cells.get(*kind).copied().unwrap_or(0)).collect())
    }
}

/// Writes what is synthesised for `family` into `directory`; the command that reads it.
fn read(design: &Design, family: Family, directory: &Path) -> Result<String, Box<dyn Error>> {
    let mut command = "read_verilog".to_string();
    for (file, text) in design.files_for(family) {
        let path = directory.join(file.rsplit('/').next().unwrap_or(&file));
        std::fs::write(&path, text)?;
        command += &format!(" {}", path.display());
    }
    Ok(command + "\n")
}

/// The cells of a statistics file, over the whole hierarchy.
fn counted(file: &Path) -> Result<BTreeMap<String, u32>, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)?;
    // Above it may stand what the command said.
    let start = text.find('{').ok_or("yosys wrote no statistics")?;
    let statistics: serde_json::Value = serde_json::from_str(&text[start..])?;
    let kinds = statistics["design"]["num_cells_by_type"].as_object().ok_or("yosys counted no cells")?;
    let number = |count: &serde_json::Value| count.as_u64().and_then(|count| u32::try_from(count).ok());
    let counts = kinds.iter().map(|(kind, count)| Some((kind.clone(), number(count)?)));
    counts.collect::<Option<_>>().ok_or_else(|| "yosys counts in something other than numbers".into())
}
