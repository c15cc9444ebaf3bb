//! A pseudo-terminal: a port that another program opens like a board's.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Both ends of a pseudo-terminal that passes all bytes on as they are.
pub struct Terminal {
    ours: OwnedFd,
    /// Kept open, so that the terminal outlives the programs that use it.
    theirs: OwnedFd,
    path: String,
}

impl Terminal {
    /// A new pseudo-terminal.
    ///
    /// # Errors
    /// The system has none left.
    pub fn new() -> io::Result<Terminal> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let path = ptsname(&ours, Vec::new())?;
        let theirs = open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&theirs)?;
        settings.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &settings)?;
        fcntl_setfl(&ours, OFlags::NONBLOCK)?;
        Ok(Terminal { ours, theirs, path: path.to_string_lossy().into_owned() })
    }

    /// The path that others open.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Waits at most `time` for bytes and takes those that are there; zero of them when the time is over.
    ///
    /// # Errors
    /// The terminal has failed.
    pub fn receive(&self, buffer: &mut [u8], time: Duration) -> io::Result<usize> {
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        let mut descriptors = [PollFd::new(&self.ours, PollFlags::IN)];
        match poll(&mut descriptors, Some(&time)) {
            Ok(0) | Err(Errno::INTR) => return Ok(0),
            other => other?,
        };
        match read(&self.ours, buffer) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            other => Ok(other?),
        }
    }

    /// Sends as much of `bytes` as somebody may still read. The rest is lost, as on a line where nobody listens.
    ///
    /// # Errors
    /// The terminal has failed.
    pub fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match write(&self.ours, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Lets others open the terminal again where one that had it for itself was ended by force. Those that are well hold a lock
    /// on the file besides, which this leaves alone.
    pub fn release(&self) {
        // A terminal that cannot do it was not locked.
        let _ = ioctl_tiocnxcl(&self.theirs);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::{Read, Write};

    #[test]
    fn every_byte_passes_unchanged_both_ways() {
        let terminal = Terminal::new().unwrap();
        let mut other = OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        other.write_all(&bytes).unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 300];
        while received.len() < 256 {
            let count = terminal.receive(&mut buffer, Duration::from_secs(5)).unwrap();
            assert!(count > 0, "silence after {received:?}");
            received.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(received, bytes);
        terminal.send(&bytes).unwrap();
        let mut back = [0; 256];
        other.read_exact(&mut back).unwrap();
        assert_eq!(back[..], bytes);
    }

    #[test]
    fn nobody_who_writes_or_reads_is_no_failure() {
        let terminal = Terminal::new().unwrap();
        assert_eq!(terminal.receive(&mut [0; 8], Duration::from_millis(1)).unwrap(), 0);
        drop(OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap());
        assert_eq!(terminal.receive(&mut [0; 8], Duration::from_millis(1)).unwrap(), 0);
        for _ in 0..1000 {
            terminal.send(&[7; 100]).unwrap();
        }
    }
}
