//! Where built models are kept.

use crate::failure::Failure;
use std::env;
use std::path::PathBuf;

/// What the help of commands says about it.
pub const HELP: &str = "\
Environment:
  LPU_CACHE      directory of built simulation models; without it $XDG_CACHE_HOME/lpu, else ~/.cache/lpu.
                 An entry belongs to the exact Verilog text and tools; the directory may be deleted at any time
  LPU_VERILATOR  path of Verilator's binary; without it .tools/ (made by scripts/setup), else PATH
  CXX            the C++ compiler, g++ without it
  NO_COLOR       no colours, whatever the value";

/// The directory of built models. Relative paths in `XDG_CACHE_HOME` are ignored, as its specification asks.
///
/// # Errors
/// No variable that says where it is.
pub fn directory() -> Result<PathBuf, Failure> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("LPU_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("lpu")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/lpu")))
        .ok_or_else(|| {
            let why = "none of LPU_CACHE, XDG_CACHE_HOME and HOME is set";
            let help = "set LPU_CACHE to a directory that can be written";
            Failure::new("there is no place for built models", "the environment", why, help)
        })
}
