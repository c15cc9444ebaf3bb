//! From a network to a static schedule.
//!
//! A network is read from outside, becomes a small graph of integer operators, and from there on everything is decided
//! before the machine runs. Whatever is wrong with the network is said here, with the place and a way round.
//!
//! # Smallest useful example
//!
//! ```
//! use lpu_compiler::import;
//!
//! let error = import::import(b"not a network", "notes.txt").unwrap_err();
//! assert!(error.to_string().starts_with("notes.txt: not a network"));
//! println!("{error}\nhelp: {}", error.help());
//! ```
//!
//! # Modules
//!
//! | module | holds |
//! | --- | --- |
//! | [`graph`] | the network as integer operators: what every later step and the golden model read |
//! | [`import`] | files of other tools, read and checked into a graph |
//! | [`llama`] | language models: floating point, quantisation, the quantised graph |
//! | [`tokenizer`] | text to tokens and back |
//! | [`compile`](mod@compile) | a graph and a machine to a program image |
//! | [`lower`] | one lowering for each family of operators |
//! | [`schedule`] | which instruction issues when; who owns which part of the vector memory |
//! | [`checker`] | judges a program; knows the instruction set and nothing of the compiler |
//! | [`bound`] | what limits each layer of a program |
//! | [`occupation`] | what keeps which unit busy in which cycle, seen from the program |
//! | [`error`] | why a network cannot be compiled |

pub mod bound;
pub mod checker;
pub mod compile;
pub mod error;
pub mod graph;
pub mod import;
pub mod llama;
pub mod lower;
pub mod occupation;
pub mod schedule;
pub mod tokenizer;
