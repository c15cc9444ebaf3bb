//! The one error type: what went wrong, where, why, and what to do about it.

use crate::output::printable;
use miette::Diagnostic;
use std::fmt;
use std::io::{IsTerminal, Write};

/// Exit status where a run was made and something disagreed.
pub const DISAGREEMENT: u8 = 1;
/// Exit status where the input or the usage was wrong.
pub const UNUSABLE: u8 = 2;

/// How a command ended that did what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Success,
    /// Something disagreed, and has been reported.
    Disagreement,
}

impl Verdict {
    /// [`Verdict::Success`] if `agrees`.
    pub fn of(agrees: bool) -> Verdict {
        if agrees { Verdict::Success } else { Verdict::Disagreement }
    }

    /// The exit status.
    pub fn status(self) -> u8 {
        match self {
            Verdict::Success => 0,
            Verdict::Disagreement => DISAGREEMENT,
        }
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    what: String,
    detail: Detail,
    help: String,
    status: u8,
}

/// Where and why.
#[derive(Debug)]
struct Detail {
    place: String,
    why: String,
}

impl Failure {
    /// A failure of input or usage: `what` was not possible, at `place` (a file, an option), because of `why`; `help` says
    /// what to do. Control characters, which names from files may hold, are made visible.
    pub fn new(
        what: impl fmt::Display,
        place: impl fmt::Display,
        why: impl fmt::Display,
        help: impl Into<String>,
    ) -> Self {
        let clean = |text: &dyn fmt::Display| printable(text.to_string().trim_end());
        let detail = Detail { place: clean(&place), why: clean(&why) };
        Failure { what: clean(&what), detail, help: printable(&help.into()), status: UNUSABLE }
    }

    /// The same, where a run was made and did not go as it must.
    pub fn disagreement(self) -> Self {
        Failure { status: DISAGREEMENT, ..self }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// Writes the report to standard error: drawn for people on a terminal, plain and unwrapped elsewhere.
    pub fn print(self) {
        let mut stderr = std::io::stderr();
        let text = if stderr.is_terminal() { format!("{:?}", miette::Report::new(self)) } else { self.plain() };
        // There is no one left to tell where standard error is closed.
        let _ = writeln!(stderr, "{}", text.trim_end());
    }

    /// The report as plain lines.
    pub fn plain(&self) -> String {
        let indent = |text: &str| text.replace('\n', "\n         ");
        format!(
            "error: {}\n  where: {}\n  why:   {}\n  help:  {}\n",
            self.what,
            indent(&self.detail.place),
            indent(&self.detail.why),
            indent(&self.help)
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.detail)
    }
}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl std::error::Error for Detail {}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_plain_report_has_four_parts_and_no_control_characters() {
        let failure = Failure::new("it broke", "a\u{1b}[31m.npy", "line one\nline two\n", "mend it");
        expect![[r"
            error: it broke
              where: a\u{1b}[31m.npy
              why:   line one
                     line two
              help:  mend it
        "]]
        .assert_eq(&failure.plain());
        assert_eq!(failure.status(), 2);
        assert_eq!(failure.disagreement().status(), 1);
    }
}
