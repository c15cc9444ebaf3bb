//! The command `lpu` from outside: arguments, files, standard output, exit status.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod board;
mod build;
mod build_tools;
mod generate;
mod language;
mod language_shapes;
mod networks;
mod onnx;
mod output_files;
mod programs;
mod run;
mod senses;
mod sequences;
mod support;
mod trace;
