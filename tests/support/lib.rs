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
//! | [`conformance`] | third-party networks and other runtimes' answers, where they are installed |
//! | [`machines`] | configurations to test on, fixed and random |
//! | [`networks`] | random graphs, with arithmetic at its limits |
//! | [`random`] | reproducible pseudo-random numbers |
//! | [`tflite_writer`] | TensorFlow Lite models, sound, random or broken on purpose |
//! | [`witnesses`] | running golden model, cycle model and RTL, and comparing them |

pub mod conformance;
pub mod machines;
pub mod networks;
pub mod random;
pub mod tflite_writer;
pub mod witnesses;
