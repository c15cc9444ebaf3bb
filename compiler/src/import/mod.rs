//! Networks of other tools, read and checked into a [`Graph`].
//!
//! Everything read here is hostile until shown otherwise: nothing panics, nothing allocates by a number that the file
//! merely claims, and whatever is refused is refused with a place, a reason and a way round ([`ImportError`]).

mod arithmetic;
mod error;
pub mod llama;
pub mod onnx;
mod range;
mod site;
pub mod tflite;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use error::{ImportError, Place};

use crate::graph::Graph;

/// Largest file that [`read_model`] loads, in bytes. Hundreds of times what any configuration holds on chip.
pub const MAXIMUM_FILE_BYTES: u64 = 512 << 20;

/// Reads the network in the file at `path`, whichever known format its content has. The graph is named after the file,
/// without folder and ending.
///
/// # Errors
/// The file cannot be read, is larger than [`MAXIMUM_FILE_BYTES`], or [`import`] refuses its content.
pub fn read_model(path: impl AsRef<Path>) -> Result<Graph, ImportError> {
    let path = path.as_ref();
    let unreadable = |source| ImportError::Unreadable { path: path.to_owned(), source };
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    // The length is not asked for beforehand: a device or a pipe has none.
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAXIMUM_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAXIMUM_FILE_BYTES {
        let (place, what, size) = (Place::of(&name), "the file".into(), bytes.len() as u64);
        return Err(ImportError::TooLarge { place, what, size, limit: MAXIMUM_FILE_BYTES });
    }
    import(&bytes, &name)
}

/// Reads the network in `bytes`, whichever known format they have; `name` is what messages and reports call it.
///
/// # Errors
/// No known format, or the reader of the format refuses the content.
pub fn import(bytes: &[u8], name: &str) -> Result<Graph, ImportError> {
    if tflite::is_tflite(bytes) {
        return tflite::import(bytes, name);
    }
    if onnx::is_onnx(bytes) {
        return onnx::import(bytes, name);
    }
    Err(ImportError::unknown_format(bytes, name))
}
