//! The RTL under Verilator, driven through the same link, driver and host port that a board has.
//!
//! The way of a program into the model: [`lpu_firmware::Driver`] → frames → [`lpu_firmware::Device`] → [`port::HostPort`] →
//! the host pins of the emitted Verilog. Nothing reaches into the model's memories.

pub mod language;
pub mod link;
pub mod port;

use crate::cycle::WriteEvent;
use crate::language::LanguageError;
use crate::link::{Host, HostError};
use crate::verilated::{
    BuildError, Library, LoadError, ModelError, Observed, Port, Source, ToolError, Toolchain, TraceFormat, build,
};
use link::SimulatedLink;
use lpu_firmware::{Driver, DriverError, Patience};
use lpu_hdl::layer::DesignError;
use lpu_hdl::lpu::top::{CYCLE_BITS, TOP, design};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, bits_for};
use lpu_isa::host::{BUS_BITS, COMMAND_BITS};
use lpu_isa::program::Program;
use port::HostPort;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the RTL could not be run.
#[derive(Debug, Error)]
pub enum RtlError {
    /// The hardware description is wrong.
    #[error("the hardware description is wrong: {0}")]
    Design(#[from] DesignError),
    /// Verilator or the compiler is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The model could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The model could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model failed while it ran.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The host link failed.
    #[error(transparent)]
    Host(HostError<ModelError>),
    /// The input has another length than the program's input region.
    #[error("the input has {found} elements, the program's input has {expected}")]
    InputLength {
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// The sequence of a language model cannot go on.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// The program does not halt.
    #[error("the RTL has not halted after {0} cycles")]
    Endless(u64),
}

impl From<HostError<ModelError>> for RtlError {
    fn from(error: HostError<ModelError>) -> RtlError {
        match error {
            HostError::Driver(DriverError::Link(error)) => RtlError::Model(error),
            HostError::InputLength { expected, found } => RtlError::InputLength { expected, found },
            HostError::Endless(cycles) => RtlError::Endless(cycles),
            HostError::Language(error) => RtlError::Language(error),
            other => RtlError::Host(other),
        }
    }
}

/// How to build and run the model.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where built models are kept.
    pub cache: PathBuf,
    /// Wave file of the first inference, the transfers of its input and output included; the ending `.fst` chooses FST,
    /// anything else VCD. Loading the program is not in it: that would be most of the file.
    pub trace: Option<PathBuf>,
    /// Record every write to the vector memory?
    pub record: bool,
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The output tensor.
    pub output: Vec<i8>,
    /// Cycles that the machine itself counted.
    pub cycles: u64,
    /// Every write, where [`Options::record`] asked for it.
    pub writes: Vec<WriteEvent>,
}

/// What Verilator is given for a configuration.
///
/// # Errors
/// A mistake in the hardware description.
pub fn source(configuration: &Configuration, trace: Option<TraceFormat>) -> Result<Source, DesignError> {
    let design = design(configuration)?;
    let files = design
        .files()
        .into_iter()
        .filter(|(name, _)| name.starts_with("rtl/") || name.starts_with("behavioural/"))
        .map(|(name, text)| (name.rsplit('/').next().unwrap_or(&name).to_string(), text))
        .collect();
    let beat = configuration.dot * ELEMENT_BITS;
    let ports = vec![
        Port::input("reset", 1),
        Port::input("host_command", COMMAND_BITS),
        Port::input("host_data", BUS_BITS),
        Port::output("host_read_valid", 1),
        Port::output("host_read_data", beat),
        Port::output("done", 1),
        Port::output("cycles", CYCLE_BITS as u32),
    ];
    let mut observed = vec![Observed { path: format!("{TOP}.cycle_count"), width: CYCLE_BITS as u32 }];
    for slice in 0..configuration.vector_slices {
        let mut add =
            |name: &str, width| observed.push(Observed { path: format!("{TOP}.slice_{slice}.{name}"), width });
        add("write_strobe", 1);
        add("write_target", configuration.vector_address_bits());
        add("write_data", configuration.stream_elements * ELEMENT_BITS);
        if configuration.beats_per_word() > 1 {
            add("write_last", bits_for(configuration.beats_per_word()));
        }
    }
    Ok(Source { files, top: TOP.into(), clock: "clk".into(), ports, observed, trace, ..Source::default() })
}

/// A Verilated LPU with a program loaded.
pub struct Rtl<'a> {
    host: Host<'a, SimulatedLink>,
    /// Wave file of the first inference, until that has been run.
    trace: Option<PathBuf>,
}

impl<'a> Rtl<'a> {
    /// Builds the model of the program's configuration, or takes it from the cache.
    ///
    /// # Errors
    /// Tools missing, or Verilator refusing the text.
    pub fn library(configuration: &Configuration, options: &Options) -> Result<Library, RtlError> {
        let format = options.trace.as_deref().map(trace_format);
        let source = source(configuration, format)?;
        Ok(Library::load(&build(&source, &Toolchain::find()?, &options.cache)?)?)
    }

    /// Builds the model and loads `program`.
    ///
    /// # Errors
    /// As [`library`](Self::library), and a failing link.
    pub fn new(program: &'a Program, options: &Options) -> Result<Rtl<'a>, RtlError> {
        Rtl::with_library(program, &Rtl::library(&program.configuration, options)?, options)
    }

    /// Loads `program` into a new instance of `library`.
    ///
    /// # Errors
    /// A failing model or link.
    pub fn with_library(program: &'a Program, library: &Library, options: &Options) -> Result<Rtl<'a>, RtlError> {
        let port = HostPort::new(library.instance()?, &program.configuration, options.record)?;
        let mut host = Host::new(program, Driver::new(SimulatedLink::new(port), Patience::default()));
        host.load()?;
        Ok(Rtl { host, trace: options.trace.clone() })
    }

    /// Cycles that the host port has spent on transfers so far; no part of an inference.
    pub fn transfer_cycles(&mut self) -> u64 {
        self.port().transfer_cycles()
    }

    /// Clock cycles simulated so far, transfers included.
    pub fn simulated_cycles(&mut self) -> u64 {
        self.port().simulated_cycles()
    }

    /// Runs one inference.
    ///
    /// # Errors
    /// An input of the wrong length, a failing model or link, a program that does not end.
    pub fn run(&mut self, input: &[i8]) -> Result<Outcome, RtlError> {
        let trace = self.trace.take();
        if let Some(path) = &trace {
            self.port().open_trace(path)?;
        }
        self.host.write_input(input)?;
        let cycles = self.host.run()?;
        let writes = self.port().take_writes();
        let output = self.host.read_output()?;
        if trace.is_some() {
            self.port().close_trace()?;
        }
        Ok(Outcome { output, cycles, writes })
    }

    /// Puts the state that the network keeps back to what it was before the first inference.
    ///
    /// # Errors
    /// A failing link.
    pub fn reset(&mut self) -> Result<(), RtlError> {
        Ok(self.host.reset()?)
    }

    fn port(&mut self) -> &mut HostPort {
        self.host.link_mut().port()
    }
}

/// The wave format that a file name asks for.
pub fn trace_format(path: &Path) -> TraceFormat {
    if path.extension().is_some_and(|extension| extension == "fst") { TraceFormat::Fst } else { TraceFormat::Vcd }
}
