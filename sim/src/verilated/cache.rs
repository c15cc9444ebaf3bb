//! The cache directory: one entry a model, made under a temporary name and published in one step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::build::BuildError;

/// Held until dropped; freed by the system if the process dies.
pub(super) fn lock(path: &Path) -> Result<File, BuildError> {
    let file = io("open", path, File::options().create(true).truncate(false).write(true).open(path))?;
    io("lock", path, file.lock())?;
    Ok(file)
}

pub(super) fn temporary(cache: &Path) -> Result<tempfile::TempDir, BuildError> {
    io("create a directory in", cache, tempfile::Builder::new().prefix("building-").tempdir_in(cache))
}

/// Makes a finished directory visible under its name in one step. One that is already there is as good.
pub(super) fn publish(work: tempfile::TempDir, to: &Path) -> Result<(), BuildError> {
    let from = work.path().to_path_buf();
    match fs::rename(&from, to) {
        Ok(()) => {
            // Nothing is left under the temporary name to remove.
            let _ = work.keep();
            Ok(())
        }
        Err(_) if to.is_dir() => Ok(()),
        Err(error) => Err(BuildError::Io { what: "publish", path: to.to_path_buf(), error }),
    }
}

pub(super) fn files_with_extension(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, BuildError> {
    let entries = io("list", directory, directory.read_dir())?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    Ok(files)
}

pub(super) fn io<T>(what: &'static str, path: &Path, result: io::Result<T>) -> Result<T, BuildError> {
    result.map_err(|error| BuildError::Io { what, path: path.to_path_buf(), error })
}
