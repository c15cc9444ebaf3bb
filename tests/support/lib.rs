//! Shared helpers of the tests.
//!
//! ```
//! use lpu_tests::tflite_writer::{Limits, random_network};
//!
//! let model = random_network(7, Limits { layers: 3, width: 16 });
//! let graph = lpu_compiler::import::import(&model.bytes(), "random")?;
//! assert_eq!(graph.operators.len(), model.operators.len());
//! # Ok::<(), lpu_compiler::import::ImportError>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`c_program`] | a compiled network as C, for a host without an operating system |
//! | [`conformance`] | third-party networks and other runtimes' answers, where they are installed |
//! | [`convolutional`] | random networks of depthwise-separable blocks, of any size |
//! | [`extensions`] | random programs of the instructions that only a machine with extensions has |
//! | [`link`] | work for a host link, with known results |
//! | [`llama`] | language models, random, in every format that is read |
//! | [`machines`] | configurations to test on, fixed and random |
//! | [`netlist`] | a module and its netlist side by side in one simulation |
//! | [`networks`] | random graphs, with arithmetic at its limits |
//! | [`onnx_writer`] | the same networks as ONNX models, and networks of images in both formats |
//! | [`operators`] | random networks of one operator each, for a comparison with another runtime |
//! | [`random`] | reproducible pseudo-random numbers |
//! | [`reference`](mod@reference) | other runtimes, asked through Python |
//! | [`synthesis`] | yosys, and what it makes of a design |
//! | [`tflite_writer`] | TensorFlow Lite models, sound, random or broken on purpose |
//! | [`witnesses`] | running golden model, cycle model and RTL, and comparing them |

pub mod c_program;
pub mod conformance;
pub mod convolutional;
pub mod extensions;
pub mod link;
pub mod llama;
pub mod machines;
pub mod netlist;
pub mod networks;
pub mod onnx_writer;
pub mod operators;
pub mod random;
pub mod reference;
pub mod synthesis;
pub mod tflite_writer;
pub mod witnesses;
