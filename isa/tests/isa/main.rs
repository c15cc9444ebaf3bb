//! What the instruction set promises: words, images and assembly text come back as they went, and nothing malformed gets in.
#![allow(clippy::unwrap_used)]

mod assembly;
mod image;
mod memories;
mod strategies;
mod words;
