//! Bars and curves made of characters.

/// Eighths of a character, from the left and from below.
const ACROSS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const UP: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Rows of a curve.
const ROWS: usize = 4;

/// A bar for a share of 0 to 1, `width` characters where it is full.
pub fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * 8.0 * width as f64).round() as usize;
    let rest = (!eighths.is_multiple_of(8)).then(|| ACROSS[eighths % 8]);
    std::iter::repeat_n('█', eighths / 8).chain(rest).collect()
}

/// A curve of values of 0 to 1 over `seconds`, at most `width` characters wide; where several values share a column, the largest
/// shows.
pub fn curve(values: &[f64], seconds: f64, width: usize) -> String {
    let columns = values.len().min(width);
    if columns == 0 {
        return String::new();
    }
    let column = |index: usize| {
        let (begin, end) = (index * values.len() / columns, (index + 1) * values.len() / columns);
        let largest = values[begin..end].iter().copied().fold(0.0, f64::max);
        (largest.clamp(0.0, 1.0) * (8 * ROWS) as f64).round() as usize
    };
    let heights: Vec<usize> = (0..columns).map(column).collect();
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let label = match row {
            0 => "0",
            row if row == ROWS - 1 => "1",
            _ => " ",
        };
        let line: String = heights.iter().map(|height| UP[height.saturating_sub(8 * row).min(8)]).collect();
        text += &format!("{label} ┤{}\n", line.trim_end());
    }
    let end = format!("{seconds:.1} s");
    text + &format!("  └{}\n   0{end:>width$}\n", "─".repeat(columns), width = columns.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!([bar(0.0, 8), bar(0.5, 8), bar(1.0, 8), bar(0.51, 8)], ["", "████", "████████", "████▏"]);
        assert_eq!([bar(-1.0, 2), bar(7.0, 2), bar(f64::NAN, 2)], ["", "██", ""]);
    }

    #[test]
    fn a_curve_shows_the_largest_value_of_each_column() {
        let mut values = vec![0.0; 40];
        values[20] = 1.0;
        values[30] = 0.5;
        expect![[r#"
            1 ┤          █
              ┤          █
              ┤          █    █
            0 ┤          █    █
              └────────────────────
               0              1.2 s
        "#]]
        .assert_eq(&curve(&values, 1.2, 20));
        assert_eq!(curve(&[], 1.0, 20), "");
    }
}
