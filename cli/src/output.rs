//! Standard output, tables, and numbers as people read them.

use crate::failure::Failure;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// A line below the header, and nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Writes `text` to standard output. A reader that has gone away (`lpu disasm … | head`) is no failure.
///
/// # Errors
/// Standard output cannot be written, such as a full disk.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            "the result cannot be printed",
            "standard output",
            error,
            "check the file or the pipe that standard output leads to",
        )),
        _ => Ok(()),
    }
}

/// Prints `value` as one JSON object.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&json(value)?)
}

/// `value` as JSON for people and machines, with a line end.
///
/// # Errors
/// None in practice: every value printed here has a JSON form.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    let text =
        text.map_err(|error| Failure::new("the result has no JSON form", "--json", error, "report this as a bug"))?;
    Ok(text + "\n")
}

/// Writes a remark to standard error.
pub fn remark(text: &str) {
    // There is no one left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A table with a header; columns whose header begins with `>` are aligned to the right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    // On a terminal that is too narrow, cells wrap; elsewhere they never do.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|name| name.trim_start_matches('>')));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (index, name) in header.iter().enumerate() {
        if let (true, Some(column)) = (name.starts_with('>'), table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// Pairs of a name and a value, the values below each other.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("{name:width$}  {}\n", printable(value))).collect()
}

/// `text` with control characters other than line ends made visible.
pub fn printable(text: &str) -> String {
    let show = |character: char| match character {
        '\n' => "\n".to_string(),
        other if other.is_control() => other.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(show).collect()
}

/// `1234567` as `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.1234` as `12.3 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A time in the unit that suits it.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} µs", s * 1e6),
    }
}

/// A rate of cycles in the unit that suits it.
pub fn rate(cycles_per_second: f64) -> String {
    match cycles_per_second {
        r if r >= 1e6 => format!("{:.2} M cycles/s", r / 1e6),
        r => format!("{:.1} k cycles/s", r / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn times_and_rates_find_their_unit() {
        assert_eq!([duration(2.5), duration(0.0025), duration(1.9e-5)], ["2.50 s", "2.50 ms", "19.00 µs"]);
        assert_eq!([rate(2.5e6), rate(2500.0)], ["2.50 M cycles/s", "2.5 k cycles/s"]);
    }

    #[test]
    fn a_table_aligns_numbers_to_the_right_and_shows_control_characters() {
        let text = table(&["name", ">size"], [vec!["a\u{7}".into(), "1".into()], vec!["b".into(), "100".into()]]);
        assert!(text.contains(r"a\u{7}"), "{text}");
        assert!(text.lines().any(|line| line.trim_end().ends_with("   1")), "{text}");
    }
}
