//! `lpu doctor`: what the machine brings and what is missing.

use crate::build::tools::{self, Kind};
use crate::cache;
use crate::failure::{Failure, Verdict};
use crate::output::{pairs, print, print_json, table};
use lpu_isa::board::Family;
use lpu_sim::verilated::Toolchain;
use serde::Serialize;
use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Show which tools are there, and for each missing one the command that installs it
///
/// Exit status 1 where something is missing that `lpu run --on rtl` needs.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// A tool and its state.
#[derive(Debug, Serialize)]
struct Tool {
    tool: &'static str,
    /// What it is needed for.
    needed_to: &'static str,
    found: bool,
    /// Does `lpu run --on rtl` fail without it?
    required: bool,
    /// Version and place, or what is wrong.
    state: String,
    /// The command that installs it.
    install: String,
}

#[derive(Serialize)]
struct Report {
    ready_to_simulate: bool,
    model_cache: Option<PathBuf>,
    tools: Vec<Tool>,
}

/// Looks for every tool.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let tools = tools();
    let ready = tools.iter().all(|tool| tool.found || !tool.required);
    let report = Report { ready_to_simulate: ready, model_cache: cache::directory().ok(), tools };
    if arguments.json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Verdict::of(ready))
}

fn describe(report: &Report) -> String {
    let rows = report.tools.iter().map(|tool| {
        let mark = match (tool.found, tool.required) {
            (true, _) => "found",
            (false, true) => "MISSING",
            (false, false) => "missing",
        };
        let install = if tool.found { String::new() } else { tool.install.clone() };
        vec![tool.tool.into(), tool.needed_to.into(), mark.into(), tool.state.clone(), install]
    });
    let mut text = table(&["tool", "needed to", "", "version", "install with"], rows);
    let missing: Vec<&Tool> = report.tools.iter().filter(|tool| tool.required && !tool.found).collect();
    let cache = report.model_cache.as_ref();
    let cache = cache.map_or("nowhere: set LPU_CACHE".to_string(), |path| path.display().to_string());
    let verdict = match missing.as_slice() {
        [] => "all that simulation needs is there".to_string(),
        missing => {
            let names: Vec<&str> = missing.iter().map(|tool| tool.tool).collect();
            format!("not possible without {}", names.join(" and "))
        }
    };
    text += &pairs(&[("simulation", verdict), ("built models", cache)]);
    text
}

fn tools() -> Vec<Tool> {
    let by_version = |tool, needed_to, command: &str, packages: [&str; 3]| {
        let state = version(command, &["--version"]);
        let state_text = state.clone().unwrap_or_else(|| format!("`{command}` does not run"));
        Tool { tool, needed_to, found: state.is_some(), required: false, state: state_text, install: install(packages) }
    };
    let rust = "curl https://sh.rustup.rs -sSf | sh";
    let rust =
        |tool, command| Tool { install: rust.into(), ..by_version(tool, "build this program", command, [""; 3]) };
    let python = ["python3 python3-venv", "python3", "python"];
    let cxx = env::var("CXX").ok().filter(|cxx| !cxx.trim().is_empty()).unwrap_or_else(|| "g++".into());
    let compiler = by_version("g++", "simulate the RTL", &cxx, ["g++", "gcc-c++", "gcc"]);
    let wrapper = "run Verilator by hand";
    let mut tools = vec![
        rust("cargo", "cargo"),
        rust("rustc", "rustc"),
        by_version("python3", "install Verilator (scripts/setup)", "python3", python),
        Tool { required: true, ..compiler },
        by_version("make", wrapper, "make", ["make", "make", "make"]),
        by_version("perl", wrapper, "perl", ["perl", "perl", "perl"]),
        verilator(),
        library("zlib headers", "zlib.h", &cxx, ["zlib1g-dev", "zlib-devel", "zlib"]),
        library("lz4 headers", "lz4.h", &cxx, ["liblz4-dev", "lz4-devel", "lz4"]),
    ];
    tools.extend(synthesis());
    tools
}

fn verilator() -> Tool {
    let (found, state) = match Toolchain::find() {
        Ok(tools) => {
            let mut state = format!("{} at {}", tools.version_text, tools.verilator.display());
            if let Some(warning) = tools.warning() {
                state += &format!("; {warning}");
            }
            (true, state)
        }
        Err(error) => (false, error.to_string()),
    };
    Tool {
        tool: "Verilator",
        needed_to: "simulate the RTL",
        found,
        required: true,
        state,
        install: "scripts/setup".into(),
    }
}

/// What makes bitstreams: each tool as `lpu build` and `lpu flash` find it. Those that are missing it installs itself.
fn synthesis() -> Vec<Tool> {
    let families = [Family::Ecp5, Family::Ice40, Family::Gowin];
    let nextpnr = families.map(|family| (Kind::Nextpnr(family), format!("scripts/setup --build {family}")));
    let mut wanted = vec![(Kind::Yosys, "scripts/setup --synthesis".to_string())];
    wanted.extend(nextpnr);
    wanted.push((Kind::Loader, "scripts/setup --flash".into()));
    wanted.into_iter().map(|(kind, install)| bitstream_tool(kind, install)).collect()
}

fn bitstream_tool(kind: Kind, install: String) -> Tool {
    let place = tools::locate(kind);
    let found = place.as_ref().is_some_and(|path| path.is_file());
    let state = match place {
        Some(path) if found => path.display().to_string(),
        Some(path) => format!("no file at {}", path.display()),
        None => "not in .tools/; `lpu build` and `lpu flash` install what they need".into(),
    };
    let needed_to = if kind == Kind::Loader { "send a bitstream to a board" } else { "build a bitstream" };
    Tool { tool: kind.name(), needed_to, found, required: false, state, install }
}

/// Asks the compiler whether it finds a header.
fn library(tool: &'static str, header: &str, compiler: &str, packages: [&str; 3]) -> Tool {
    let found = preprocess(compiler, &format!("#include <{header}>\n")).unwrap_or(false);
    let state = if found { format!("<{header}> found") } else { format!("<{header}> not found") };
    Tool { tool, needed_to: "write .fst traces", found, required: false, state, install: install(packages) }
}

/// Does the compiler's preprocessor accept `text`?
fn preprocess(compiler: &str, text: &str) -> std::io::Result<bool> {
    let mut words = compiler.split_whitespace();
    let mut child = Command::new(words.next().unwrap_or("g++"))
        .args(words)
        .args(["-E", "-x", "c++", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    Ok(child.wait()?.success())
}

/// The first line of what `command` (with leading arguments) says about its version, if it runs. Perl's is the second.
fn version(command: &str, arguments: &[&str]) -> Option<String> {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next()?).args(words).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_string())
}

/// The command for this machine's package manager, or for all three: packages of Debian, Fedora and Homebrew.
fn install([debian, fedora, homebrew]: [&str; 3]) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let has = |command: &str| env::split_paths(&path).any(|directory| directory.join(OsStr::new(command)).is_file());
    if has("apt-get") {
        format!("sudo apt-get install {debian}")
    } else if has("dnf") {
        format!("sudo dnf install {fedora}")
    } else if has("brew") {
        format!("brew install {homebrew}")
    } else {
        format!("apt-get install {debian} | dnf install {fedora} | brew install {homebrew}")
    }
}
