//! Running the tools: output goes into one log, several compilers run at once.

use std::fmt::Write as _;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Lines of a failed tool's output that an error message repeats.
const TAIL_LINES: usize = 30;

/// A tool that did not succeed: its command line and the end of its output.
#[derive(Debug)]
pub(super) struct Failed {
    pub command: String,
    pub tail: String,
}

/// Runs `command`, appends its output to `log`.
pub(super) fn run(command: &mut Command, log: &Mutex<String>) -> Result<(), Failed> {
    let line = describe(command);
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            return Err(Failed { command: line, tail: start_failure(&error) });
        }
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _ = writeln!(log, "$ {line}\n{text}");
    if output.status.success() {
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    Err(Failed { command: line, tail: if tail.is_empty() { output.status.to_string() } else { tail } })
}

/// Runs all commands, as many at once as there are processors. The first failure stops those not yet started.
pub(super) fn run_all(commands: Vec<Command>, log: &Mutex<String>) -> Result<(), Failed> {
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(commands.len());
    let commands: Vec<Mutex<Command>> = commands.into_iter().map(Mutex::new).collect();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed)
                    && let Some(command) = commands.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let mut command = command.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if let Err(failed) = run(&mut command, log) {
                        stop.store(true, Ordering::Relaxed);
                        *failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(failed);
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(failed) => Err(failed),
        None => Ok(()),
    }
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let _ = if argument.contains(' ') { write!(line, " '{argument}'") } else { write!(line, " {argument}") };
    }
    line
}

fn start_failure(error: &io::Error) -> String {
    format!("it does not start: {error}")
}
