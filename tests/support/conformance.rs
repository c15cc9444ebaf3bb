//! Third-party networks and other runtimes' answers, which are not part of the repository.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The file `relative` in the folder that `LPU_CONFORMANCE_DIR` names, `../shared` beside the repository without it.
///
/// Where there is no such file, says so on standard error and gives `None`: the caller returns, and the test counts as
/// skipped, not as passed.
#[must_use]
pub fn file(relative: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LPU_CONFORMANCE_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = folder.join(relative);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("skipped: no {}; set LPU_CONFORMANCE_DIR to the folder that has {relative}", path.display());
    None
}

/// The rows of an int8 `.npy` file: the first axis counts examples, all others are flattened.
///
/// # Errors
/// No such file, not NumPy's format, another element type, or Fortran order.
pub fn rows(path: &Path) -> Result<Vec<Vec<i8>>, Box<dyn Error>> {
    let array = npyz::NpyFile::new(BufReader::new(File::open(path)?))?;
    if array.order() != npyz::Order::C {
        return Err("an array in Fortran order".into());
    }
    let examples = array.shape().first().copied().unwrap_or(1) as usize;
    let elements: Vec<i8> = array.into_vec()?;
    let row = (elements.len() / examples.max(1)).max(1);
    Ok(elements.chunks_exact(row).map(<[i8]>::to_vec).collect())
}
