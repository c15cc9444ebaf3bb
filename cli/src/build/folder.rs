//! The directory of a build.
//!
//! A build takes minutes, and its logs matter most when it fails, so the directory fills while the tools work. What says "done"
//! comes last: `build.json` and the bitstream are removed at the start and appear, each in one step, at the end. A file
//! `.lpu-build` marks a directory as one of ours; a directory that holds anything and is not marked is refused.

use super::recipe::{LOGS, VERILOG, seed_directory};
use crate::failure::Failure;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file that marks a build's directory; held locked by the build at work in it.
const MARK: &str = ".lpu-build";
/// What the build found out.
pub const SUMMARY: &str = "build.json";

const UNWRITABLE: &str = "the output directory cannot be written";
const WRITABLE: &str = "choose a place that can be written, on a disk with room";

/// A directory that is being built in.
#[derive(Debug)]
pub struct Folder {
    given: PathBuf,
    path: PathBuf,
    /// Locked while the build runs; the system frees it if the process dies.
    _lock: File,
}

impl Folder {
    /// Takes the directory at `path`, makes it if it is missing, and removes what an earlier build has left.
    ///
    /// # Errors
    /// Something that no build has written stands there, another build is at work in it, or it cannot be written.
    pub fn prepare(path: &Path) -> Result<Folder, Failure> {
        let failed = |why: String, help: &str| Failure::new(UNWRITABLE, path.display(), why, help);
        let system = |error: io::Error| failed(error.to_string(), WRITABLE);
        if path.exists() && !path.is_dir() {
            return Err(failed("a file stands there".into(), "name a directory"));
        }
        fs::create_dir_all(path).map_err(system)?;
        let absolute = path.canonicalize().map_err(system)?;
        let mark = absolute.join(MARK);
        if !mark.is_file()
            && let Some(entry) = fs::read_dir(&absolute).map_err(system)?.flatten().next()
        {
            let why = format!("it holds `{}`, and is no directory of `lpu build`", entry.file_name().to_string_lossy());
            return Err(failed(why, "name another directory, or empty this one by hand"));
        }
        let lock = File::options().create(true).truncate(false).write(true).open(&mark).map_err(system)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "another `lpu build` is at work in it";
                return Err(failed(why.into(), "wait for it, or name another directory with `--out`"));
            }
            Err(TryLockError::Error(error)) => return Err(system(error)),
        }
        let folder = Folder { given: path.into(), path: absolute, _lock: lock };
        folder.clear().map_err(system)?;
        for name in [LOGS, VERILOG] {
            fs::create_dir_all(folder.path.join(name)).map_err(system)?;
        }
        Ok(folder)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it, as the user would write it.
    pub fn shown(&self, name: &str) -> String {
        self.given.join(name).display().to_string()
    }

    /// Makes the directory of a seed.
    ///
    /// # Errors
    /// The disk is full, for example.
    pub fn make_seed(&self, seed: u32) -> Result<(), Failure> {
        fs::create_dir_all(self.path.join(seed_directory(seed))).map_err(|error| self.failed(&error))
    }

    /// Writes a file, in one step and with the directories it needs.
    ///
    /// # Errors
    /// The disk is full, for example; there is then no such file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
        let place = self.path.join(name);
        let temporary = place.with_extension("part");
        let write = || {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&temporary, bytes)?;
            fs::rename(&temporary, &place)
        };
        write().map_err(|error| {
            // If even this fails there is nothing to be done about it.
            let _ = fs::remove_file(&temporary);
            self.failed(&error)
        })
    }

    /// Puts a file that a tool has written under another name in its place.
    ///
    /// # Errors
    /// There is no such file.
    pub fn publish(&self, from: &str, to: &str) -> Result<(), Failure> {
        fs::rename(self.path.join(from), self.path.join(to)).map_err(|error| self.failed(&error))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// There is none, or it is not text.
    pub fn read(&self, name: &str) -> Result<String, Failure> {
        fs::read_to_string(self.path.join(name)).map_err(|error| {
            let help = format!("the logs in {} may say more", self.shown(LOGS));
            Failure::new("a tool did not write what it should", self.shown(name), error, help).disagreement()
        })
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::new(UNWRITABLE, self.given.display(), error, WRITABLE)
    }

    /// Removes everything but the mark; first of all what says that a build is complete.
    fn clear(&self) -> io::Result<()> {
        let summary = self.path.join(SUMMARY);
        if summary.exists() {
            fs::remove_file(summary)?;
        }
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() == MARK {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_of_ours_is_emptied() {
        let scratch = tempfile::tempdir().unwrap();
        let ours = scratch.path().join("ours");
        let folder = Folder::prepare(&ours).unwrap();
        folder.write("build.json", "{}").unwrap();
        folder.write("verilog/rtl/a.v", "module").unwrap();
        let busy = format!("{:?}", Folder::prepare(&ours).unwrap_err());
        assert!(busy.contains("another `lpu build` is at work"), "{busy}");
        drop(folder);
        let folder = Folder::prepare(&ours).unwrap();
        assert!(!ours.join("build.json").exists() && !ours.join("verilog/rtl").exists());
        assert!(folder.read("build.json").is_err());

        let foreign = scratch.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.txt"), "years").unwrap();
        let refused = format!("{:?}", Folder::prepare(&foreign).unwrap_err());
        assert!(refused.contains("it holds `thesis.txt`"), "{refused}");
        assert_eq!(fs::read(foreign.join("thesis.txt")).unwrap(), b"years");
        let file = format!("{:?}", Folder::prepare(&foreign.join("thesis.txt")).unwrap_err());
        assert!(file.contains("a file stands there"), "{file}");
    }

    #[test]
    fn a_file_that_cannot_be_completed_leaves_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(&scratch.path().join("b")).unwrap();
        fs::create_dir_all(folder.path().join("taken/below")).unwrap();
        assert!(folder.write("taken", "text").is_err());
        assert!(!folder.path().join("taken.part").exists());
    }
}
