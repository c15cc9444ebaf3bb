//! Progress on standard error: only on a terminal, and only for what takes more than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// A bar or spinner; it disappears when it is dropped.
pub struct Progress {
    bar: ProgressBar,
    ended: Option<Sender<()>>,
    waiter: Option<JoinHandle<()>>,
}

impl Progress {
    /// For work of unknown length.
    pub fn spinner(message: impl Into<String>) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Progress::show_later(bar, "{spinner} {msg} ({elapsed})", message.into())
    }

    /// For `length` steps.
    pub fn bar(length: u64, message: impl Into<String>) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        Progress::show_later(bar, "{msg} [{bar:30}] {pos}/{len}, {eta} left", message.into())
    }

    /// One step more is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    fn show_later(bar: ProgressBar, template: &str, message: String) -> Progress {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(message);
        if !std::io::stderr().is_terminal() {
            return Progress { bar, ended: None, waiter: None };
        }
        let (ended, end) = channel();
        let shown = bar.clone();
        let waiter = std::thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        Progress { bar, ended: Some(ended), waiter: Some(waiter) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(waiter) = self.waiter.take() {
            // The thread only draws; if it failed, there is nothing to clean up.
            let _ = waiter.join();
        }
        self.bar.finish_and_clear();
    }
}
