//! What to say and what to do when a program could not be run on a board.

use super::port::{BoardLink, LinkError};
use super::serial::existing_ports;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::speaker::broken;
use lpu_firmware::{DriverError, ErrorCode};
use lpu_isa::board::Board;
use lpu_isa::identity::identity;
use lpu_sim::link::{HostError, Metered, Traffic};
use std::io::ErrorKind;

/// The failure for `error`, with what the link at `port` has carried until then.
pub fn explain(error: &HostError<LinkError>, port: &str, machine: &Machine, link: &mut Metered<BoardLink>) -> Failure {
    match error {
        HostError::Driver(DriverError::Link(LinkError::Model(_))) => simulation_failed(error),
        HostError::Driver(DriverError::Link(LinkError::Port(error))) => lost(port, error),
        HostError::Driver(DriverError::NoAnswer { sent }) => {
            no_answer(port, machine, *sent, link.traffic(), &link.last_received())
        }
        HostError::Driver(DriverError::Refused(ErrorCode::OutOfSequence)) => {
            let help = "make sure that no other program talks to the board, then try again";
            Failure::new("the board refuses the requests", port, "it has been given requests by somebody else", help)
        }
        HostError::Driver(_) => {
            let help =
                "flash the bitstream that this version of `lpu build` makes; if it is that one, report this as a bug";
            Failure::new("the board refuses the requests", port, error, help)
        }
        HostError::OtherMachine { expected, found } => other_machine(port, machine, *expected, *found),
        HostError::Stopped => {
            let help = "check the board's power supply; then try again, with `--on rtl` for comparison";
            Failure::new("the run failed", port, error, help).disagreement()
        }
        HostError::Endless(_) => {
            Failure::new("the run failed", port, error, "compare with `--on rtl` and `--on model`").disagreement()
        }
        HostError::Language(error) => broken(port, error),
        HostError::Instruction(_) | HostError::InputLength { .. } => {
            Failure::new("the run failed", port, error, "report this as a bug, with the network")
        }
    }
}

fn simulation_failed(error: &HostError<LinkError>) -> Failure {
    Failure::new("the run failed", "simulated board", error, "report this as a bug, with the configuration")
}

fn lost(port: &str, error: &std::io::Error) -> Failure {
    let (why, help) = match error.kind() {
        ErrorKind::TimedOut => (
            "it takes no more bytes".to_string(),
            "nobody reads at the other end: check the board's USB bridge, or the program that made the pseudo-terminal",
        ),
        ErrorKind::UnexpectedEof => (
            "it has gone".to_string(),
            "connect the board again, or start `lpu serve-sim` again, and look for the port's new name",
        ),
        _ => (format!("it has failed: {error}"), "connect the board again and look for the port's new name"),
    };
    Failure::new("the link to the board is lost", port, why, format!("{help}; {}", existing_ports()))
}

fn no_answer(port: &str, machine: &Machine, sent: u32, traffic: Traffic, last: &[u8]) -> Failure {
    let flash =
        machine.board.as_ref().map_or_else(String::new, |board| format!(" (`lpu flash --board {}`)", board.name));
    let what = "the board does not answer";
    if traffic.bytes_received == 0 {
        let why = format!("{sent} requests were sent, and not one byte came back");
        let help = format!(
            "check that the board has power and that its bitstream is flashed{flash}; that {port} is its port; that the \
             line of one side's transmitter is the other's receiver; that `--baud` is what the bitstream was built with"
        );
        return Failure::new(what, port, why, help);
    }
    let hexadecimal: Vec<String> = last.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    if traffic.frames > u64::from(sent) {
        let why = format!("the answers stopped after {} frames", traffic.frames - u64::from(sent));
        let help = "check cable and power supply, and that no other program uses the board; then try again";
        return Failure::new(what, port, why, help);
    }
    let why = format!(
        "{} bytes came back for {sent} requests, and no answer is among them; some are {}",
        traffic.bytes_received,
        hexadecimal.join(" ")
    );
    let help = format!(
        "this is what a wrong `--baud` looks like, or another device at {port}: give the baud rate that the bitstream was \
         built with, check the port, flash the bitstream{flash}"
    );
    Failure::new(what, port, why, help)
}

fn other_machine(port: &str, machine: &Machine, expected: u32, found: u32) -> Failure {
    let boards = Board::all().unwrap_or_default();
    let known = boards.iter().find(|board| identity(&board.configuration) == found);
    let (holds, help) = match known {
        Some(board) => (
            format!("the machine of `{0}`", board.name),
            format!("run with `--board {}`, or flash the bitstream of {}", board.name, machine.name),
        ),
        None => (
            "a machine that is none of this version's boards".into(),
            format!(
                "flash the bitstream of {}, or give the configuration that the board holds with `--config FILE`",
                machine.name
            ),
        ),
    };
    let why = format!("it holds {holds} ({found:08x}), the program is for {} ({expected:08x})", machine.name);
    Failure::new("the board holds another machine", port, why, help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn machine(name: &str) -> Machine {
        let board = Board::find(name).unwrap_or_else(|error| panic!("{error}"));
        let configuration = board.configuration.clone();
        Machine { name: name.into(), configuration, board: Some(board), refusals: vec![], chosen_for: None }
    }

    #[test]
    fn silence_garbage_and_a_line_that_breaks_down_are_told_apart() {
        let machine = machine("ulx3s-12f");
        let silent = Traffic { frames: 9, repeats: 8, bytes_sent: 126, bytes_received: 0 };
        let garbage = Traffic { bytes_received: 3, ..silent };
        let later = Traffic { frames: 109, bytes_received: 1400, ..silent };
        let texts = [
            no_answer("/dev/ttyUSB0", &machine, 9, silent, &[]),
            no_answer("/dev/ttyUSB0", &machine, 9, garbage, &[0x0d, 0x0a, 0x24]),
            no_answer("/dev/ttyUSB0", &machine, 9, later, &[0]),
        ]
        .map(|failure| failure.plain());
        expect![[r#"
            error: the board does not answer
              where: /dev/ttyUSB0
              why:   9 requests were sent, and not one byte came back
              help:  check that the board has power and that its bitstream is flashed (`lpu flash --board ulx3s-12f`); that /dev/ttyUSB0 is its port; that the line of one side's transmitter is the other's receiver; that `--baud` is what the bitstream was built with
            error: the board does not answer
              where: /dev/ttyUSB0
              why:   3 bytes came back for 9 requests, and no answer is among them; some are 0d 0a 24
              help:  this is what a wrong `--baud` looks like, or another device at /dev/ttyUSB0: give the baud rate that the bitstream was built with, check the port, flash the bitstream (`lpu flash --board ulx3s-12f`)
            error: the board does not answer
              where: /dev/ttyUSB0
              why:   the answers stopped after 100 frames
              help:  check cable and power supply, and that no other program uses the board; then try again
        "#]].assert_eq(&texts.concat());
    }

    #[test]
    fn a_bitstream_of_another_board_is_named() {
        let (small, large) = (machine("ulx3s-12f"), machine("ulx3s-85f"));
        let (found, expected) = (identity(&small.configuration), identity(&large.configuration));
        let text = other_machine("/dev/ttyUSB0", &large, expected, found).plain();
        assert!(text.contains("it holds the machine of `ulx3s-12f` ("), "{text}");
        assert!(text.contains("help:  run with `--board ulx3s-12f`, or flash the bitstream of ulx3s-85f"), "{text}");
        let text = other_machine("/dev/ttyUSB0", &large, expected, 1).plain();
        assert!(text.contains("none of this version's boards (00000001)"), "{text}");
    }

    #[test]
    fn a_lost_port_says_how_it_was_lost() {
        for (kind, part) in [
            (ErrorKind::TimedOut, "takes no more bytes"),
            (ErrorKind::UnexpectedEof, "it has gone"),
            (ErrorKind::BrokenPipe, "it has failed: broken pipe"),
        ] {
            let text = lost("/dev/ttyUSB0", &kind.into()).plain();
            assert!(text.contains(part) && text.contains("this computer has"), "{text}");
        }
    }
}
