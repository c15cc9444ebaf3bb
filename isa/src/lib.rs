//! The one truth of the LPU.
//!
//! Everything the other crates must agree on is written down here and nowhere else: the [`configuration`]
//! of a machine, the [latencies](latency) that follow from it, the [instruction set](instruction) as data, the
//! [order in which a unit visits addresses](sequence), the [program image](program), the [assembly text](assembly) and the
//! [integer arithmetic](arithmetic). The RTL, the cycle model, the compiler, the schedule checker and the host driver derive
//! from it.
//!
//! # Smallest useful example
//!
//! ```
//! use lpu_isa::configuration::Configuration;
//! use lpu_isa::instruction::{Instruction, Operation, Unit};
//! use lpu_isa::sequence::Sequence;
//!
//! let configuration = Configuration::default();
//! let read = Instruction { interval: 40, operation: Operation::Read { sequence: Sequence::linear(8, 32) } };
//! let word = read.encode(Unit::Read(0), &configuration)?;
//! assert_eq!(Instruction::decode(Unit::Read(0), &configuration, &word)?, read);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | holds |
//! | --- | --- |
//! | [`board`] | the boards that are known, and the machine for each |
//! | [`configuration`] | tiles, widths, depths, pipeline registers; reading and checking a TOML file |
//! | [`latency`] | cycles between any two points of the machine, computed from the configuration |
//! | [`sequence`] | nested strided counters: which address at which cycle |
//! | [`host`] | the memory map of the host port |
//! | [`identity`](mod@identity) | a number by which a program knows its machine |
//! | [`image`] | a program as what the host writes into the memories |
//! | [`unit`](mod@unit) | units with a queue, sources of the crossbar |
//! | [`instruction`] | operations and their ranges |
//! | [`encoding`] | fields of the instruction words; encode and decode |
//! | [`assembly`] | programs as text, both ways |
//! | [`program`] | the image a compiler writes and a loader reads |
//! | [`generation`] | tokens that a machine generates without the host in between |
//! | [`timeline`] | when the instructions of a program issue |
//! | [`arithmetic`] | requantising, rounding; sums, means, softmax and logistic of int8 elements |
//! | [`fixed_point`] | elements of language models: products, tables, reciprocals, sampling |
//! | [`vector`] | a lane of the extended vector unit, and its reductions |
//! | [`resources`] | block RAMs, counted before any tool runs |

pub mod arithmetic;
pub mod assembly;
pub mod board;
pub mod configuration;
pub mod encoding;
pub mod fixed_point;
pub mod generation;
pub mod host;
pub mod identity;
pub mod image;
pub mod instruction;
pub mod latency;
pub mod program;
pub mod resources;
pub mod sequence;
pub mod stages;
pub mod timeline;
pub mod unit;
pub mod vector;
