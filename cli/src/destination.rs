//! Output files that appear complete or not at all.

use crate::failure::Failure;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

const HELP: &str = "choose a path in a directory that exists and can be written, on a disk with room";

/// A file to be: a temporary file beside its place, which takes the place when it is complete and is removed when it is not.
///
/// Making one is the test whether the place can be written at all, so it comes before the work. What already stands at the
/// place and is no regular file (a device, a pipe) is written directly.
pub struct Destination {
    what: &'static str,
    /// The path as it was given, for messages.
    given: PathBuf,
    target: Target,
}

enum Target {
    Replaced { temporary: NamedTempFile, place: PathBuf },
    Direct(File),
}

impl Destination {
    /// Prepares to write the file at `path`; `what` says, for messages, what cannot be done otherwise.
    ///
    /// # Errors
    /// No such directory, no permission, a directory or a write-protected file at that place.
    pub fn create(path: &Path, what: &'static str) -> Result<Destination, Failure> {
        let failed = |why: String| Failure::new(what, path.display(), why, HELP);
        // A symbolic link is followed: its target is replaced, not the link.
        let place = if path.exists() { path.canonicalize() } else { Ok(path.to_path_buf()) };
        let place = place.map_err(|error| failed(error.to_string()))?;
        if let Ok(existing) = fs::metadata(&place) {
            if existing.is_dir() {
                return Err(failed("it is a directory".into()));
            }
            if !existing.is_file() {
                let file = File::options().write(true).open(&place).map_err(|error| failed(error.to_string()))?;
                return Ok(Destination { what, given: path.into(), target: Target::Direct(file) });
            }
            if existing.permissions().readonly() {
                return Err(failed("the file that stands there is write-protected".into()));
            }
        }
        if place.file_name().is_none() || path.to_string_lossy().ends_with('/') {
            return Err(failed("it does not name a file".into()));
        }
        let directory = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let suffix = place.extension().map_or(String::new(), |ending| format!(".{}", ending.to_string_lossy()));
        let mut builder = Builder::new();
        builder.prefix(".lpu-").suffix(&suffix);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new file, the user's mask takes bits away.
            builder.permissions(Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(directory).map_err(|error| failed(reason(&error)))?;
        Ok(Destination { what, given: path.into(), target: Target::Replaced { temporary, place } })
    }

    /// Where a tool that writes the file itself must write it, before [`publish`](Self::publish).
    pub fn working_path(&self) -> &Path {
        match &self.target {
            Target::Replaced { temporary, .. } => temporary.path(),
            Target::Direct(_) => &self.given,
        }
    }

    /// Writes `bytes` and publishes the file.
    ///
    /// # Errors
    /// A full disk, for example; the place is then as it was.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let result = match &mut self.target {
            Target::Replaced { temporary, .. } => temporary.write_all(bytes).and_then(|()| temporary.flush()),
            Target::Direct(file) => file.write_all(bytes).and_then(|()| file.flush()),
        };
        match result {
            Ok(()) => self.publish(),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Puts the complete file in its place.
    ///
    /// # Errors
    /// The system refuses; the place is then as it was.
    pub fn publish(self) -> Result<(), Failure> {
        match self.target {
            Target::Direct(_) => Ok(()),
            Target::Replaced { temporary, place } => match temporary.persist(&place) {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::new(self.what, self.given.display(), error.error, HELP)),
            },
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::new(self.what, self.given.display(), error, HELP)
    }
}

/// What the system said about a temporary file, without that file's name, which means nothing to anybody.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().map_or_else(String::new, String::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_not_completed_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        drop(Destination::create(&path, "no").unwrap());
        assert!(names(directory.path()).is_empty());
        Destination::create(&path, "no").unwrap().write(b"one").unwrap();
        drop(Destination::create(&path, "no").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(directory.path()), ["x.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_one_and_a_device_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Destination::create(&link, "no").unwrap().write(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        Destination::create(Path::new("/dev/null"), "no").unwrap().write(b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
