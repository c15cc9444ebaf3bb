//! Yosys, where it is installed, and what it makes of a design.

use lpu_hdl::layer::Design;
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

    /// Runs `script`, commands separated by semicolons.
    ///
    /// # Errors
    /// Yosys cannot be started, or what it said when it refused.
    pub fn run(&self, script: &str) -> Result<(), Box<dyn Error>> {
        let output = Command::new(&self.command).args(["-q", "-p", script]).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("yosys refuses `{script}`: {}", String::from_utf8_lossy(&said)).into())
    }

    /// Synthesises the module `top` of `design` for ECP5 and calls the result `name`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn netlist(&self, design: &Design, top: &str, name: &str) -> Result<Netlist, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let (verilog, cells) = (directory.path().join("netlist.v"), directory.path().join("cells.json"));
        // Yosys keeps the names of wires and cells; numbers in their place halve the text. The scopes that it notes down are no
        // hardware.
        self.run(&format!(
            "{}; {}; check -assert; delete t:$scopeinfo; tee -q -o {} stat -json; rename -hide w:* c:*; rename {top} {name}; \
             write_verilog -noattr {}",
            read(design, Family::Ecp5, directory.path())?,
            synthesis(Family::Ecp5, top),
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
            "{}; {} -noflatten; check -assert; tee -q -o {} stat -json -top {top}",
            read(design, family, directory.path())?,
            synthesis(family, top),
            cells.display()
        ))?;
        counted(&cells)
    }

    /// How many operations of each of `kinds` (`$mul`, `$mem_v2`) `design` leaves to synthesis, beside the cells that it names.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn operations(&self, design: &Design, family: Family, kinds: &[&str]) -> Result<Vec<u32>, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let cells = directory.path().join("cells.json");
        let top = design.top_name();
        let library = match family {
            Family::Ecp5 => "read_verilog -lib +/ecp5/cells_sim.v +/ecp5/cells_bb.v",
            Family::Ice40 => "read_verilog -lib +/ice40/cells_sim.v",
            Family::Gowin => "read_verilog -lib +/gowin/cells_sim.v; read_verilog -lib +/gowin/cells_xtra_gw2a.v",
        };
        self.run(&format!(
            "{library}; {}; hierarchy -top {top}; proc; opt; memory -nomap; tee -q -o {} stat -json -top {top}",
            read(design, family, directory.path())?,
            cells.display()
        ))?;
        let cells = counted(&cells)?;
        Ok(kinds.iter().map(|kind| cells.get(*kind).copied().unwrap_or(0)).collect())
    }
}

/// The synthesis command of `family`. What multiplies outside the tiles is made of logic: the tiles need the multipliers.
fn synthesis(family: Family, top: &str) -> String {
    match family {
        Family::Ecp5 => format!("synth_ecp5 -nodsp -top {top}"),
        Family::Ice40 => format!("synth_ice40 -dsp -top {top}"),
        Family::Gowin => format!("synth_gowin -top {top}"),
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
    Ok(command)
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
