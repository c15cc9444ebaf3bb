//! Language models of the Llama architecture, from files of other tools.
//!
//! | module | reads |
//! | --- | --- |
//! | [`llama2c`] | `.bin`, the legacy layout of llama2.c |
//! | [`safetensors`] | a directory with `config.json` and `model.safetensors`, as the transformers library writes it |
//!
//! As everywhere in [`import`](super): nothing panics, nothing is allocated by a claim, and a refusal has a place, a reason and
//! a way round ([`LlamaError`]).

mod config;
mod error;
pub mod llama2c;
pub mod safetensors;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use error::LlamaError;

use super::MAXIMUM_FILE_BYTES;
use crate::llama::model::LlamaModel;

/// Whether `path` names a language model rather than a network of another kind: a directory with a `config.json`, a file whose
/// name ends in `.bin` or `.safetensors`, or one as long as its beginning, read as a header of llama2.c, says. What cannot be read
/// is none.
#[must_use]
pub fn is_language_model(path: &Path) -> bool {
    if path.is_dir() {
        return path.join("config.json").is_file();
    }
    if path.extension().is_some_and(|ending| ending == "bin" || ending == "safetensors") {
        return true;
    }
    // A pipe can be read only once, and not here.
    path.is_file() && read(path).is_ok_and(|bytes| !super::tflite::is_tflite(&bytes) && llama2c::is_llama2c(&bytes))
}

/// Reads the model at `path`: a checkpoint of llama2.c, a directory, or the `model.safetensors` in one.
///
/// # Errors
/// A file is missing, is larger than [`MAXIMUM_FILE_BYTES`] or is refused by the reader of its format.
pub fn read_model(path: &Path) -> Result<LlamaModel, LlamaError> {
    let stem = |path: &Path| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    if path.is_dir() {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        return read_directory(path, &name);
    }
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        let directory = path.parent().unwrap_or(Path::new("."));
        return read_directory(directory, &stem(directory));
    }
    llama2c::import(&read(path)?, &stem(path))
}

fn read_directory(directory: &Path, name: &str) -> Result<LlamaModel, LlamaError> {
    let (config, weights) = (directory.join("config.json"), directory.join("model.safetensors"));
    let file = || directory.display().to_string();
    if !config.is_file() {
        return Err(LlamaError::UnknownFormat { file: file(), why: "there is no config.json in it".into() });
    }
    if !weights.is_file() && directory.join("model.safetensors.index.json").is_file() {
        return Err(LlamaError::Unsupported {
            file: file(),
            feature: "weights in several files (model.safetensors.index.json)".into(),
            instead: "save the model again in one file: save_pretrained(…, max_shard_size=\"10GB\")",
        });
    }
    let config = read(&config)?;
    safetensors::import(&config, &read(&weights)?, name)
}

/// The content of a file. The length is not asked for beforehand: a device or a pipe has none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LlamaError> {
    let unreadable = |source| LlamaError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAXIMUM_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAXIMUM_FILE_BYTES {
        return Err(LlamaError::TooLarge { file: path.display().to_string(), limit: MAXIMUM_FILE_BYTES });
    }
    Ok(bytes)
}

/// Whether every weight is a finite number.
fn check_weights(model: &LlamaModel, file: &str) -> Result<(), LlamaError> {
    for (tensor, weights, _) in model.tensors() {
        if let Some((index, &value)) = weights.iter().enumerate().find(|(_, weight)| !weight.is_finite()) {
            return Err(LlamaError::NotFinite { file: file.into(), tensor, index, value });
        }
    }
    Ok(())
}
