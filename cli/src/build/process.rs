//! Running a tool: its output goes to a log file, the end of which an error repeats.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Lines of a failed tool's output that an error repeats.
const TAIL_LINES: usize = 12;

/// A tool that did not succeed.
#[derive(Debug)]
pub struct Failed {
    /// How it ended, or the end of what it said.
    pub why: String,
    /// Its log, if there is one.
    pub log: Option<PathBuf>,
}

/// Runs `command` to its end, with both of its outputs in the file `log`, whose first line is the command. Returns how long it
/// took.
pub fn run(command: &mut Command, log: &Path) -> Result<Duration, Failed> {
    let started = Instant::now();
    let unwritable =
        |error: io::Error| Failed { why: format!("{} cannot be written: {error}", log.display()), log: None };
    let mut file = File::create(log).map_err(unwritable)?;
    writeln!(file, "$ {}", describe(command)).map_err(unwritable)?;
    let errors = file.try_clone().map_err(unwritable)?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status();
    let status = status.map_err(|error| Failed { why: format!("it does not start: {error}"), log: None })?;
    if status.success() {
        return Ok(started.elapsed());
    }
    let said = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Err(Failed { why: ending(status, &said), log: Some(log.into()) })
}

/// Runs `command` and returns all that it says.
pub fn answer(command: &mut Command) -> Result<String, Failed> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failed { why: format!("it does not start: {error}"), log: None })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(said),
        false => Err(Failed { why: ending(output.status, &said), log: None }),
    }
}

/// The command as one would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).map(quoted).collect();
    words.join(" ")
}

fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// How a tool ended, with its errors if it named any, else with the end of what it said.
fn ending(status: ExitStatus, said: &str) -> String {
    // The first line of a log is the command.
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("$ ")).collect();
    let is_error = |line: &&str| line.trim_start().to_lowercase().starts_with("error");
    let errors: Vec<&str> = lines.iter().copied().filter(is_error).collect();
    let tail = match errors.is_empty() {
        true => &lines[lines.len().saturating_sub(TAIL_LINES)..],
        false => &errors[..errors.len().min(TAIL_LINES)],
    };
    let status = match status.code() {
        Some(code) => format!("it ended with status {code}"),
        None => format!("it was stopped ({status})"),
    };
    if tail.is_empty() { status } else { format!("{status}\n{}", tail.join("\n")) }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_log_holds_the_command_and_both_outputs() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        run(&mut shell("echo one; echo two >&2"), &log).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "$ sh -c 'echo one; echo two >&2'\none\ntwo\n");
    }

    #[test]
    fn a_failure_repeats_the_errors_or_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let failed = run(&mut shell("echo fine; echo 'ERROR: no room'; echo more; exit 3"), &log).unwrap_err();
        assert_eq!((failed.why.as_str(), failed.log), ("it ended with status 3\nERROR: no room", Some(log.clone())));
        assert_eq!(run(&mut shell("echo last; exit 1"), &log).unwrap_err().why, "it ended with status 1\nlast");
        let missing = run(&mut Command::new("/no/such/tool"), &log).unwrap_err();
        assert!(missing.why.starts_with("it does not start: "), "{}", missing.why);
    }
}
