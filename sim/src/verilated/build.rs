//! From a [`Source`] to a shared library in the cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::cache::{files_with_extension, io, lock, publish, temporary};
use super::command::{Failed, run, run_all};
use super::shim;
use super::source::{Source, TraceFormat};
use super::toolchain::Toolchain;

/// A model could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source contradicts itself or the Verilog text.
    #[error("cannot simulate `{top}`: {what}")]
    Source {
        /// The top module.
        top: String,
        /// What is wrong.
        what: String,
    },
    /// A file operation failed.
    #[error("cannot {what} `{path}`: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// Verilator refused the Verilog text.
    #[error("Verilator does not accept `{top}`:\n{tail}\n(whole log: {log})")]
    Verilator {
        /// The top module.
        top: String,
        /// The end of what it said.
        tail: String,
        /// The kept log file.
        log: PathBuf,
    },
    /// The C++ compiler failed.
    #[error("the model of `{top}` does not compile:\n{tail}\nwhen running: {command}\n(whole log: {log})")]
    Compiler {
        /// The top module.
        top: String,
        /// The command that failed.
        command: String,
        /// The end of what it said.
        tail: String,
        /// The kept log file.
        log: PathBuf,
    },
    /// FST traces need two libraries that are not there.
    #[error(
        "FST traces need the headers of zlib and lz4: install them (`apt install zlib1g-dev liblz4-dev`, \
         `dnf install zlib-devel lz4-devel`, `brew install zlib lz4`) or write a .vcd trace"
    )]
    FstUnavailable,
}

/// What Verilator is told for every model. Two-state start values and no assertions: the models are clocked logic that is
/// checked elsewhere; here speed counts.
const VERILATE_FLAGS: &[&str] = &[
    "--cc",
    "--prefix",
    "Vmodel",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-assert",
    "--no-timing",
    "--timescale",
    "1ns/1ns",
    "--output-split",
    "20000",
    "--threads",
    "1",
];

/// For the files that run every cycle, the shim and Verilator's runtime. For a large machine `-O2` takes twice the time to compile (26 s of
/// processor time instead of 13 for the ULX3S's) and simulates a fifth to a quarter faster, which pays from some five million cycles on. `-O3` and
/// `-march=native` were not faster than that.
const FAST_FLAGS: &[&str] = &["-O1"];

/// For the files that run once.
const SLOW_FLAGS: &[&str] = &["-O0"];

/// For every file. Hidden symbols keep two loaded models apart.
const COMMON_FLAGS: &[&str] = &[
    "-std=gnu++17",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-w",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FATAL",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
];

/// Builds `source` and returns the shared library's path inside `cache`. What is already there is not built again: the key is
/// the hash of the Verilog text, the shim, the flags and the tools' versions. Any number of threads and processes may build
/// into one cache at once; those that want the same model wait for the first.
///
/// # Errors
/// See [`BuildError`]. A failed build leaves its log (`NAME.log`) in the cache and nothing else.
pub fn build(source: &Source, toolchain: &Toolchain, cache: &Path) -> Result<PathBuf, BuildError> {
    source.validate()?;
    let pieces = Pieces { shim: shim::cpp(source), control: shim::control_file(source)? };
    let key = pieces.key(source, toolchain);
    let name = format!("{}-{key}", source.top);
    let library = cache.join(&name).join("libmodel.so");
    if library.is_file() {
        return Ok(library);
    }
    io("create", cache, fs::create_dir_all(cache))?;
    // A relative cache path would change its meaning for tools that run in another directory.
    let cache = &io("resolve", cache, cache.canonicalize())?;
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    let library = cache.join(&name).join("libmodel.so");
    if library.is_file() {
        return Ok(library);
    }
    if source.trace == Some(TraceFormat::Fst) && !fst_available(toolchain) {
        return Err(BuildError::FstUnavailable);
    }
    let runtime = runtime(source, toolchain, cache)?;
    let work = temporary(cache)?;
    let log = Mutex::new(String::new());
    let result = pieces.write(source, work.path()).and_then(|()| {
        verilate(source, toolchain, work.path(), &log)?;
        compile(source, toolchain, work.path(), &runtime, &log)
    });
    let log_file = cache.join(format!("{name}.log"));
    let text = log.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    io("write", &log_file, fs::write(&log_file, text))?;
    result.map_err(|error| error.with_log(log_file))?;
    remove_intermediates(work.path())?;
    publish(work, &cache.join(&name))?;
    Ok(library)
}

/// Runs Verilator's `-Wall` lint over the text, with every warning an error.
///
/// # Errors
/// [`BuildError::Verilator`] with the warnings, or a file operation's failure.
pub fn lint(source: &Source, toolchain: &Toolchain) -> Result<(), BuildError> {
    source.validate()?;
    let work = io("create", &std::env::temp_dir(), tempfile::tempdir())?;
    let log = Mutex::new(String::new());
    for (name, text) in &source.files {
        let path = work.path().join(name);
        io("write", &path, fs::write(&path, text))?;
    }
    let mut command = verilator(source, toolchain, work.path());
    command.args(["--lint-only", "-Wall", "--no-timing", "--top-module", &source.top]);
    command.args(source.files.iter().map(|(name, _)| name));
    let failed = |failed: Failed| BuildError::Verilator {
        top: source.top.clone(),
        tail: failed.tail,
        log: PathBuf::from("not kept"),
    };
    run(&mut command, &log).map_err(failed)
}

/// What is generated for a source beside its Verilog text.
struct Pieces {
    shim: String,
    control: String,
}

impl Pieces {
    fn key(&self, source: &Source, toolchain: &Toolchain) -> String {
        let mut hasher = blake3::Hasher::new();
        // Lengths in front, so that no two lists of texts look alike.
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for text in [&self.shim, &self.control, &source.top, &toolchain.version_text, &toolchain.compiler_version] {
            add(text);
        }
        for flag in VERILATE_FLAGS.iter().chain(model_flags(source)).chain(SLOW_FLAGS).chain(COMMON_FLAGS) {
            add(flag);
        }
        for (name, text) in &source.files {
            add(name);
            add(text);
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }

    fn write(&self, source: &Source, work: &Path) -> Result<(), BuildError> {
        let verilog = source.files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        for (name, text) in verilog.chain([("shim.cpp", self.shim.as_str()), ("control.vlt", &self.control)]) {
            let path = work.join(name);
            io("write", &path, fs::write(&path, text))?;
        }
        Ok(())
    }
}

fn verilator(source: &Source, toolchain: &Toolchain, work: &Path) -> Command {
    let mut command = Command::new(&toolchain.verilator);
    command.env("VERILATOR_ROOT", &toolchain.root).current_dir(work);
    match source.trace {
        None => {}
        Some(TraceFormat::Vcd) => drop(command.arg("--trace-vcd")),
        Some(TraceFormat::Fst) => drop(command.arg("--trace-fst")),
    }
    command
}

fn verilate(source: &Source, toolchain: &Toolchain, work: &Path, log: &Mutex<String>) -> Result<(), BuildError> {
    let mut command = verilator(source, toolchain, work);
    command.args(VERILATE_FLAGS).args(["--Mdir", "generated", "--top-module", &source.top, "control.vlt"]);
    command.args(source.files.iter().map(|(name, _)| name));
    run(&mut command, log).map_err(|failed| BuildError::Verilator {
        top: source.top.clone(),
        tail: failed.tail,
        log: PathBuf::new(),
    })
}

/// Compiles the generated files and the shim and links them with the runtime's objects into `work/libmodel.so`.
fn compile(
    source: &Source,
    toolchain: &Toolchain,
    work: &Path,
    runtime: &Path,
    log: &Mutex<String>,
) -> Result<(), BuildError> {
    let generated = work.join("generated");
    let mut files = files_with_extension(&generated, "cpp")?;
    files.push(work.join("shim.cpp"));
    // The longest first: the processors then finish together.
    files.sort_by_key(|file| std::cmp::Reverse((!is_slow(file), fs::metadata(file).map_or(0, |data| data.len()))));
    let mut commands = Vec::new();
    let mut objects = files_with_extension(runtime, "o")?;
    for file in &files {
        let object = file.with_extension("o");
        let mut command = compiler(toolchain, source.trace);
        command.args(if is_slow(file) { SLOW_FLAGS } else { model_flags(source) });
        command.arg("-I").arg(&generated).arg("-c").arg(file).arg("-o").arg(&object);
        commands.push(command);
        objects.push(object);
    }
    let failed = |failed: Failed| BuildError::Compiler {
        top: source.top.clone(),
        command: failed.command,
        tail: failed.tail,
        log: PathBuf::new(),
    };
    run_all(commands, log).map_err(failed)?;
    let mut link = compiler(toolchain, source.trace);
    link.arg("-shared").args(&objects).arg("-o").arg(work.join("libmodel.so"));
    if source.trace == Some(TraceFormat::Fst) {
        link.args(["-llz4", "-lz"]);
    }
    run(&mut link, log).map_err(failed)
}

/// For the files of the model that run every cycle.
fn model_flags(source: &Source) -> &'static [&'static str] {
    if source.unoptimised { SLOW_FLAGS } else { FAST_FLAGS }
}

/// Files that hold constructors and trace declarations: they run once and are compiled without optimisation.
fn is_slow(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().contains("__Slow"))
}

fn compiler(toolchain: &Toolchain, trace: Option<TraceFormat>) -> Command {
    let mut command = Command::new(&toolchain.compiler[0]);
    command.args(&toolchain.compiler[1..]).args(COMMON_FLAGS);
    if !toolchain.compiler_version.contains("clang") {
        // Without it the loader shares some of the runtime's statics between libraries, hidden or not.
        command.arg("-fno-gnu-unique");
    }
    let on = |wanted| u8::from(trace == Some(wanted));
    command.arg(format!("-DVM_TRACE={}", u8::from(trace.is_some())));
    command.arg(format!("-DVM_TRACE_VCD={}", on(TraceFormat::Vcd)));
    command.arg(format!("-DVM_TRACE_FST={}", on(TraceFormat::Fst)));
    command.arg("-I").arg(toolchain.include()).arg("-I").arg(toolchain.include().join("vltstd"));
    command
}

/// Verilator's own runtime as object files, one directory for each trace format, shared by all models.
fn runtime(source: &Source, toolchain: &Toolchain, cache: &Path) -> Result<PathBuf, BuildError> {
    let trace = source.trace;
    let mut files = vec!["verilated.cpp", "verilated_threads.cpp", "verilated_dpi.cpp"];
    files.extend(match trace {
        None => None,
        Some(TraceFormat::Vcd) => Some("verilated_vcd_c.cpp"),
        Some(TraceFormat::Fst) => Some("verilated_fst_c.cpp"),
    });
    let mut hasher = blake3::Hasher::new();
    for text in files.iter().chain(FAST_FLAGS).chain(COMMON_FLAGS) {
        hasher.update(text.as_bytes()).update(b"\n");
    }
    hasher.update(toolchain.version_text.as_bytes()).update(toolchain.compiler_version.as_bytes());
    let name = format!("runtime-{}", &hasher.finalize().to_hex()[..16]);
    let directory = cache.join(&name);
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    if directory.is_dir() {
        return Ok(directory);
    }
    let work = temporary(cache)?;
    let commands = files.iter().map(|file| {
        let mut command = compiler(toolchain, trace);
        command.args(FAST_FLAGS).arg("-c").arg(toolchain.include().join(file));
        command.arg("-o").arg(work.path().join(file).with_extension("o"));
        command
    });
    let log = Mutex::new(String::new());
    let result = run_all(commands.collect(), &log);
    let log_file = cache.join(format!("{name}.log"));
    let text = log.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    io("write", &log_file, fs::write(&log_file, text))?;
    result.map_err(|failed| BuildError::Compiler {
        top: source.top.clone(),
        command: failed.command,
        tail: failed.tail,
        log: log_file,
    })?;
    publish(work, &directory)?;
    Ok(directory)
}

/// Whether the compiler finds what Verilator's FST writer includes and links.
fn fst_available(toolchain: &Toolchain) -> bool {
    let Ok(work) = tempfile::tempdir() else {
        return false;
    };
    let file = work.path().join("probe.cpp");
    let text =
        "#include <lz4.h>\n#include <zlib.h>\nint main() { return LZ4_versionNumber() + (int)zlibCompileFlags(); }\n";
    let log = Mutex::new(String::new());
    let mut command = Command::new(&toolchain.compiler[0]);
    command.args(&toolchain.compiler[1..]).arg(&file).arg("-o").arg(work.path().join("probe")).args(["-llz4", "-lz"]);
    fs::write(&file, text).is_ok() && run(&mut command, &log).is_ok()
}

/// The Verilog text, the shim and the library stay for whoever wants to look; the rest is ten times their size.
fn remove_intermediates(work: &Path) -> Result<(), BuildError> {
    let generated = work.join("generated");
    io("remove", &generated, fs::remove_dir_all(&generated))?;
    for file in files_with_extension(work, "o")? {
        io("remove", &file, fs::remove_file(&file))?;
    }
    Ok(())
}

impl BuildError {
    fn with_log(mut self, file: PathBuf) -> Self {
        if let Self::Verilator { log, .. } | Self::Compiler { log, .. } = &mut self {
            *log = file;
        }
        self
    }
}
