//! Pin files: which port of the board's top stands on which pin of the package.
//!
//! Each family's place and route reads a format of its own; only the lines that name a pin are read here, to find the mistakes
//! that the tools let pass or report badly. The file itself goes to the tool as it is.

use lpu_isa::board::{Family, Link};
use thiserror::Error;

/// The ports of the board's top: each stands on one pin.
pub const PORTS: [&str; 4] = ["oscillator", "rx", "tx", "led"];

/// A port with its pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The port.
    pub port: String,
    /// The pin, as the package's drawing calls it.
    pub site: String,
    /// The line of the file, the first is 1.
    pub line: usize,
}

/// What is wrong with a pin file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PinError {
    /// Two ports on one pin.
    #[error("`{second}` stands on pin {site}, which line {first_line} has given to `{first}`")]
    UsedTwice {
        /// The pin.
        site: String,
        /// The port that had it first.
        first: String,
        /// That port's line.
        first_line: usize,
        /// The port that asks for it as well.
        second: String,
        /// Its line.
        line: usize,
    },
    /// Two pins for one port.
    #[error("`{port}` has two pins: {first_site} in line {first_line} and {site}")]
    PortTwice {
        /// The port.
        port: String,
        /// Its first pin.
        first_site: String,
        /// The line of the first.
        first_line: usize,
        /// Its second pin.
        site: String,
        /// The line of the second.
        line: usize,
    },
    /// A port that the top does not have.
    #[error("the board's top has no port `{port}`; it has {}", PORTS.join(", "))]
    NoSuchPort {
        /// The port.
        port: String,
        /// Its line.
        line: usize,
    },
    /// A port without a pin.
    #[error("port `{port}` has no pin")]
    Missing {
        /// The port.
        port: &'static str,
    },
    /// The board's file says another pin.
    #[error("`{port}` stands on pin {site}, but `[link]` in board.toml says {link}")]
    LinkDiffers {
        /// The port, `rx` or `tx`.
        port: &'static str,
        /// Its pin.
        site: String,
        /// What the board's file says.
        link: String,
        /// Its line.
        line: usize,
    },
}

impl PinError {
    /// The line of the pin file, where the mistake has one.
    pub fn line(&self) -> Option<usize> {
        match self {
            PinError::UsedTwice { line, .. }
            | PinError::PortTwice { line, .. }
            | PinError::NoSuchPort { line, .. }
            | PinError::LinkDiffers { line, .. } => Some(*line),
            PinError::Missing { .. } => None,
        }
    }
}

/// The pins that a pin file gives.
pub fn parse(family: Family, text: &str) -> Vec<Pin> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines
        .filter_map(|(line, text)| {
            let (port, site) = match family {
                Family::Ecp5 => lpf(text),
                Family::Ice40 => pcf(text),
                Family::Gowin => cst(text),
            }?;
            Some(Pin { port, site, line })
        })
        .collect()
}

/// Checks that every port of the top has a pin of its own, and that the link's pins are those of the board's file.
///
/// # Errors
/// The first mistake.
pub fn check(pins: &[Pin], link: &Link) -> Result<(), PinError> {
    for (index, pin) in pins.iter().enumerate() {
        let Pin { port, site, line } = pin.clone();
        if !PORTS.contains(&port.as_str()) {
            return Err(PinError::NoSuchPort { port, line });
        }
        for earlier in &pins[..index] {
            if earlier.port == port {
                let (first_site, first_line) = (earlier.site.clone(), earlier.line);
                return Err(PinError::PortTwice { port, first_site, first_line, site, line });
            }
            if earlier.site.eq_ignore_ascii_case(&site) {
                let (first, first_line) = (earlier.port.clone(), earlier.line);
                return Err(PinError::UsedTwice { site, first, first_line, second: port, line });
            }
        }
    }
    let find = |port: &str| pins.iter().find(|pin| pin.port == port);
    for port in PORTS {
        find(port).ok_or(PinError::Missing { port })?;
    }
    for (port, expected) in [("rx", &link.rx), ("tx", &link.tx)] {
        if let Some(pin) = find(port).filter(|pin| !pin.site.eq_ignore_ascii_case(expected)) {
            let (site, line) = (pin.site.clone(), pin.line);
            return Err(PinError::LinkDiffers { port, site, link: expected.clone(), line });
        }
    }
    Ok(())
}

/// `LOCATE COMP "rx" SITE "M1";`
fn lpf(line: &str) -> Option<(String, String)> {
    let words = words(line, "#");
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [locate, comp, port, site, pin, ..]
            if locate.eq_ignore_ascii_case("locate")
                && comp.eq_ignore_ascii_case("comp")
                && site.eq_ignore_ascii_case("site") =>
        {
            Some((port.to_string(), pin.to_string()))
        }
        _ => None,
    }
}

/// `set_io -pullup yes rx 6`
fn pcf(line: &str) -> Option<(String, String)> {
    let words = words(line, "#");
    let mut words = words.iter().map(String::as_str);
    if words.next()? != "set_io" {
        return None;
    }
    let mut rest = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "-pullup" | "-pullup_resistor" => {
                words.next();
            }
            option if option.starts_with('-') => {}
            other => rest.push(other.to_string()),
        }
    }
    match rest.as_slice() {
        [port, pin, ..] => Some((port.clone(), pin.clone())),
        _ => None,
    }
}

/// `IO_LOC "rx" 70;`
fn cst(line: &str) -> Option<(String, String)> {
    let words = words(line, "//");
    match words.as_slice() {
        [command, port, pin, ..] if command.eq_ignore_ascii_case("io_loc") => Some((port.clone(), pin.clone())),
        _ => None,
    }
}

/// The words of a line up to its comment, without quotes and semicolons.
fn words(line: &str, comment: &str) -> Vec<String> {
    let code = line.split(comment).next().unwrap_or_default();
    let words = code.split(|character: char| character.is_whitespace() || character == ';');
    words.map(|word| word.trim_matches('"').to_string()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use lpu_isa::board::Board;

    const LPF: &str = "# pins\nLOCATE COMP \"oscillator\" SITE \"G2\";\nIOBUF PORT \"rx\" PULLMODE=UP;\n\
        LOCATE COMP \"rx\" SITE \"M1\" ;# in\nlocate comp \"tx\" site \"L4\";\nLOCATE COMP \"led\" SITE \"B2\";\n";

    fn link() -> Link {
        Link { rx: "M1".into(), tx: "L4".into(), baud: 115_200 }
    }

    fn mistake(text: &str) -> (Option<usize>, String) {
        let error = check(&parse(Family::Ecp5, text), &link()).unwrap_err();
        (error.line(), error.to_string())
    }

    #[test]
    fn the_pin_files_of_all_boards_are_right() {
        for board in Board::all().unwrap() {
            let pins = parse(board.family, Board::known_pins(&board.name).unwrap());
            assert_eq!(check(&pins, &board.link), Ok(()), "{}", board.name);
        }
    }

    #[test]
    fn each_format_names_port_pin_and_line() {
        let found = |family, text: &str| -> Vec<(String, String, usize)> {
            parse(family, text).into_iter().map(|pin| (pin.port, pin.site, pin.line)).collect()
        };
        assert_eq!(found(Family::Ecp5, LPF)[1], ("rx".into(), "M1".into(), 4));
        assert_eq!(found(Family::Ecp5, LPF).len(), 4);
        assert_eq!(found(Family::Ice40, "\nset_io -nowarn -pullup yes rx 6\n"), [("rx".into(), "6".into(), 2)]);
        assert_eq!(
            found(Family::Gowin, "IO_PORT \"rx\" X=1;\nIO_LOC \"rx\" 70; // in"),
            [("rx".into(), "70".into(), 2)]
        );
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        assert_eq!(
            mistake(&LPF.replace("L4", "m1")),
            (Some(5), "`tx` stands on pin m1, which line 4 has given to `rx`".into())
        );
        assert_eq!(mistake(&LPF.replace("\"led\"", "\"rx\"")).1, "`rx` has two pins: M1 in line 4 and B2");
        assert_eq!(
            mistake(&LPF.replace("led", "lamp")),
            (Some(6), "the board's top has no port `lamp`; it has oscillator, rx, tx, led".into())
        );
        let without: String =
            LPF.lines().filter(|line| !line.contains("led")).map(|line| format!("{line}\n")).collect();
        assert_eq!(mistake(&without), (None, "port `led` has no pin".into()));
        assert_eq!(
            mistake(&LPF.replace("M1", "M2")),
            (Some(4), "`rx` stands on pin M2, but `[link]` in board.toml says M1".into())
        );
    }
}
