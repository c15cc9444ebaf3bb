//! Other runtimes, asked through Python.
//!
//! They come from the Python package index (`scripts/setup --reference`). Where one is not installed, a message says what is
//! skipped.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit status of the scripts where a package is missing.
const MISSING: i32 = 3;

/// A network, and what it is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The network's file.
    pub model: Vec<u8>,
    /// Inputs, one after the other, as bytes.
    pub inputs: &'a [Vec<u8>],
}

/// The Python that has the runtimes: `LPU_REFERENCE_PYTHON`, or the one that `scripts/setup --reference` made.
fn python() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/python");
    std::env::var_os("LPU_REFERENCE_PYTHON").map_or_else(own, PathBuf::from)
}

/// Runs `tests/scripts/SCRIPT` on a folder; false, with a message, where a package is missing.
///
/// # Panics
/// The script fails.
#[must_use]
pub fn run(script: &str, folder: &Path) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
    let called = Command::new(python()).arg(script).arg(folder).output();
    match called {
        Ok(output) if output.status.success() => true,
        Ok(output) if output.status.code() == Some(MISSING) => {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Ok(output) => panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipped: {}: {error}; run scripts/setup --reference", python().display());
            false
        }
    }
}

/// The answers to each question, outputs one behind the other, `None` for a network that the runtime refuses. `script` reads files
/// with that ending. `None` with a message where the runtime is not installed.
///
/// # Panics
/// The script fails.
#[must_use]
pub fn answers(script: &str, ending: &str, questions: &[Question<'_>]) -> Option<Vec<Option<Vec<u8>>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize, ending: &str| folder.path().join(format!("{number:05}.{ending}"));
    for (number, question) in questions.iter().enumerate() {
        std::fs::write(path(number, ending), &question.model).unwrap();
        std::fs::write(path(number, "inputs"), question.inputs.concat()).unwrap();
    }
    run(script, folder.path()).then(|| {
        let answer = |number: usize| {
            let refused = path(number, "refused").exists();
            (!refused).then(|| std::fs::read(path(number, "outputs")).unwrap())
        };
        (0..questions.len()).map(answer).collect()
    })
}
