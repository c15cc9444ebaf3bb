//! What is to be simulated.

use super::build::BuildError;

/// Everything a Verilated model is made from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Verilog files: name (unique, no path) and text.
    pub files: Vec<(String, String)>,
    /// The top module.
    pub top: String,
    /// The top module's clock input, one bit. It is driven by the tick functions and is not among `ports`.
    pub clock: String,
    /// The top module's other ports, in the order of their indices.
    pub ports: Vec<Port>,
    /// Internal signals that can be logged each cycle.
    pub observed: Vec<Observed>,
    /// The wave format the model can write, or none. A model that can trace is slower even while it does not.
    pub trace: Option<TraceFormat>,
    /// Compile without optimisation: for a large model that runs for a moment only, where compiling would take most of the time.
    pub unoptimised: bool,
    /// C++ put behind the shim: functions `extern "C" uint64_t NAME(Simulation*, uint32_t* words, uint64_t count)`, reached
    /// through [`Model::call`](super::Model::call). `simulation->model` is the model.
    pub extra_cpp: String,
}

/// One port of the top module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the Verilog text.
    pub name: String,
    /// Bits, at least 1.
    pub width: u32,
    /// Seen from the module.
    pub direction: Direction,
}

impl Port {
    /// An input of `width` bits.
    pub fn input(name: impl Into<String>, width: u32) -> Self {
        Self { name: name.into(), width, direction: Direction::Input }
    }

    /// An output of `width` bits.
    pub fn output(name: impl Into<String>, width: u32) -> Self {
        Self { name: name.into(), width, direction: Direction::Output }
    }
}

/// Which way a port points, seen from the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Driven by the host.
    Input,
    /// Driven by the module.
    Output,
}

/// An internal signal (not a memory) that can be logged each cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Instance names from the top module down, then the signal: `lpu.slice_0.write_enable`.
    pub path: String,
    /// Bits, at least 1. Checked against the model when it is loaded.
    pub width: u32,
}

/// Wave file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TraceFormat {
    /// Value change dump: text, needs nothing.
    Vcd,
    /// Compressed; building it needs the headers and libraries of zlib and lz4.
    Fst,
}

/// 32-bit words that hold `width` bits.
pub(super) fn words(width: u32) -> usize {
    width.div_ceil(32) as usize
}

impl Source {
    /// Names end up in C++ and in file names, so they must be plain; Verilator also rewrites names with `__`.
    pub(super) fn validate(&self) -> Result<(), BuildError> {
        let bad = |what: String| Err(BuildError::Source { top: self.top.clone(), what });
        if self.files.is_empty() {
            return bad("it has no files".into());
        }
        for (index, (name, _)) in self.files.iter().enumerate() {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
            if !plain || name.is_empty() || name.starts_with(['.', '-']) {
                return bad(format!("file name `{name}` is not a plain name"));
            }
            if self.files[..index].iter().any(|(other, _)| other == name) {
                return bad(format!("file `{name}` is given twice"));
            }
        }
        let names = [&self.top, &self.clock].into_iter().chain(self.ports.iter().map(|port| &port.name));
        for name in names {
            if !is_identifier(name) {
                return bad(format!("`{name}` cannot name a module or port (letters, digits, single `_`)"));
            }
        }
        for (index, port) in self.ports.iter().enumerate() {
            if port.width == 0 {
                return bad(format!("port `{}` has no bits", port.name));
            }
            if port.name == self.clock || self.ports[..index].iter().any(|other| other.name == port.name) {
                return bad(format!("port `{}` is given twice", port.name));
            }
        }
        for observed in &self.observed {
            let mut parts = observed.path.split('.');
            let starts_at_top = parts.next() == Some(&self.top);
            if !starts_at_top || observed.path.split('.').count() < 2 || !parts.all(is_identifier) {
                return bad(format!("observed `{}` is not a path that starts at `{}`", observed.path, self.top));
            }
            if observed.width == 0 {
                return bad(format!("observed `{}` has no bits", observed.path));
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    let start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    start && !name.contains("__") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
