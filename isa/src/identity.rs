//! What a machine is, in one number that a board can hold: a program for another machine is refused, not run.
//!
//! The number is a CRC-32 over everything that a program image depends on: the configuration, the latencies, the width of the
//! words of every memory that the host writes, the fields of every unit's instructions. Two machines for which one image
//! would mean two things differ in it, short of a coincidence of 1 in 2³².
//!
//! ```
//! use lpu_isa::configuration::Configuration;
//! use lpu_isa::identity::identity;
//!
//! let large = Configuration::default();
//! let small = Configuration { tiles: 7, ..large.clone() };
//! assert_ne!(identity(&large), identity(&small));
//! ```

use crate::configuration::Configuration;
use crate::encoding::fields;
use crate::host::Memory;
use crate::latency::Latency;
use crate::unit::Unit;
use std::fmt::Write;

/// The polynomial of zip and Ethernet, reflected: the one of the host link's frames.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The identity of the machine with this configuration. Never 0, which stands for "unknown".
pub fn identity(configuration: &Configuration) -> u32 {
    crc32(description(configuration).as_bytes()).max(1)
}

/// All that a program image depends on, as text.
fn description(configuration: &Configuration) -> String {
    // The derived form names every field, also those that later versions add. Writing to a string cannot fail.
    let mut text = format!("{configuration:?}\n{:?}\n", Latency::of(configuration));
    // A machine without extensions, or without a memory of tokens, or without softmax, is the machine that it was before there were any.
    for absent in [", extensions: None", ", tokens: 0", ", softmax_tables: 0", ", softmax: None"] {
        text = text.replace(absent, "");
    }
    for unit in Unit::all(configuration) {
        let _ = write!(text, "{unit:?}:");
        for field in fields(unit, configuration) {
            let _ = write!(text, " {}@{}+{}", field.name, field.position, field.bits);
        }
        text.push('\n');
    }
    for memory in Memory::all(configuration) {
        let _ = writeln!(text, "{:02x}: {}", memory.number(), memory.bits(configuration));
    }
    text
}

/// CRC-32 (ISO-HDLC), bit by bit: it is taken once a program.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |check: u32, &byte: &u8| {
        (0..8).fold(
            check ^ u32::from(byte),
            |check, _| {
                if check & 1 == 0 { check >> 1 } else { check >> 1 ^ POLYNOMIAL }
            },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::configuration::Pipeline;
    use std::collections::BTreeSet;

    #[test]
    fn the_check_is_the_one_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_board_and_every_changed_field_has_an_identity_of_its_own() {
        let own = Configuration::default();
        let mut machines: Vec<Configuration> =
            Board::all().unwrap().into_iter().map(|board| board.configuration).collect();
        machines.push(Configuration { weight_depth: own.weight_depth + 1, ..own.clone() });
        machines.push(Configuration { queue_depth: own.queue_depth + 1, ..own.clone() });
        let pipeline = Pipeline { multiply: own.pipeline.multiply + 1, ..own.pipeline };
        machines.push(Configuration { pipeline, ..own.clone() });
        let texts: BTreeSet<String> = machines.iter().map(|machine| format!("{machine:?}")).collect();
        let identities: BTreeSet<u32> = machines.iter().map(identity).collect();
        assert_eq!(identities.len(), texts.len());
        assert!(!identities.contains(&0));
    }

    #[test]
    fn the_same_configuration_read_again_has_the_same_identity() {
        let own = Configuration::default();
        let read = Configuration::from_toml(&toml::to_string(&own).unwrap()).unwrap();
        assert_eq!(identity(&read), identity(&own));
    }
}
