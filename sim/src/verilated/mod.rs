//! A Verilated model as a Rust value: build it once, load it, drive it.
//!
//! * [`Source`] says what to simulate: Verilog text, its top module, the top's ports, the internal signals to observe.
//! * [`Toolchain::find`] locates Verilator and the C++ compiler.
//! * [`build`] turns a source into a shared library. The library is kept in a cache directory under the hash of everything
//!   that went into it, so that building the same thing again costs a few milliseconds.
//! * [`Library`] loads it, [`Library::instance`] makes a [`Model`]: an independent copy of the hardware with its own time.
//!
//! ```no_run
//! use lpu_sim::verilated::{Library, Port, Source, Toolchain, build};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let counter = "module counter(input wire clk, input wire enable, output reg [7:0] count);
//!     initial count = 8'd0;
//!     always @(posedge clk) if (enable) count <= count + 8'd1;
//! endmodule";
//! let source = Source {
//!     files: vec![("counter.v".into(), counter.into())],
//!     top: "counter".into(),
//!     clock: "clk".into(),
//!     ports: vec![Port::input("enable", 1), Port::output("count", 8)],
//!     ..Source::default()
//! };
//! let library = Library::load(&build(&source, &Toolchain::find()?, ".cache/verilated".as_ref())?)?;
//! let mut model = library.instance()?;
//! let (enable, count) = (model.port("enable")?, model.port("count")?);
//! model.set(enable, 1);
//! model.tick(5)?;
//! assert_eq!(model.get(count), 5);
//! # Ok(()) }
//! ```
//!
//! # Time
//! One *tick* is one clock cycle: clock low, evaluate; clock high, evaluate. Inputs are set before a tick and are what its
//! rising edge sees; outputs read after it are those of the state the edge left behind. Observed signals are logged
//! between the two halves: row `t` of a log holds the settled values that rising edge `t` acts on. In a trace file the edge
//! of cycle `t` stands at `10 t + 5` ns.
//!
//! | file | concept |
//! | --- | --- |
//! | `source.rs` | what to build |
//! | `toolchain.rs` | the tools and their versions |
//! | `shim.rs` | the C++ around the model and the Verilator control file |
//! | `build.rs` | verilate, compile, link |
//! | `cache.rs` | publish a finished entry, wait for a running one |
//! | `command.rs` | run tools, keep their output |
//! | `library.rs` | the loaded library and its description of itself |
//! | `model.rs` | one running instance |

mod build;
mod cache;
mod command;
mod library;
mod model;
mod shim;
mod source;
#[cfg(test)]
mod tests;
mod toolchain;

pub use build::{BuildError, build, lint};
pub use library::{Library, LoadError};
pub use model::{Model, ModelError, PortIndex};
pub use source::{Direction, Observed, Port, Source, TraceFormat};
pub use toolchain::{PINNED_VERSION, ToolError, Toolchain, Version};
