//! The three witnesses of an inference, and what tells them apart.
//!
//! * The [golden model](golden) is integer arithmetic over the network's graph. It knows no machine.
//! * The [cycle model](cycle) executes a program unit by unit, cycle by cycle. It knows no network.
//! * The [RTL](rtl) is the emitted Verilog under [Verilator](verilated), reached over the host link alone.
//!
//! All three answer with the same bits; the last two also take the same cycles and write the same words to the vector memory
//! at the same time. Where they do not, [`divergence`] names the first difference: cycle, unit, instruction, element.
//!
//! # Smallest useful example
//!
//! ```
//! use lpu_compiler::{compile::compile, import::read_model};
//! use lpu_isa::configuration::Configuration;
//! use lpu_sim::{cycle::CycleModel, divergence, golden};
//!
//! let graph = read_model(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits/digits.tflite"))?;
//! let program = compile(&graph, &Configuration::default(), "example")?;
//! let image = vec![-128; 64];
//! let outcome = CycleModel::new(&program).run(&image)?;
//! assert_eq!(outcome.output, golden::run(&graph, &image)?);
//! assert_eq!(outcome.cycles, program.cycles);
//! // The same, with an account of the first difference where there is one; `None` leaves the RTL out.
//! assert!(divergence::investigate(&graph, &program, &image, None)?.agrees());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | holds |
//! | --- | --- |
//! | [`golden`] | the network's answer, and every tensor on the way to it |
//! | [`golden_llama`] | the same for language models, token by token |
//! | [`cycle`] | the machine's answer, its cycles, every write, how busy each unit was |
//! | [`language`] | language models on the cycle model, token by token |
//! | [`rtl`] | the same from the emitted Verilog, through driver, frames and host port |
//! | [`board`] | the same from the whole board top, through its serial line |
//! | [`link`] | the host's side of all links: loading, running, counting, faults |
//! | [`verilated`] | building, caching, loading and driving any Verilog design |
//! | [`divergence`] | where two runs part |

pub mod board;
pub mod cycle;
pub mod divergence;
pub mod golden;
pub mod golden_llama;
pub mod language;
pub mod link;
pub mod rtl;
pub mod verilated;
