//! The link to a board: which port, what goes over it, and what to say when it does not work.
//!
//! | file | concept |
//! | --- | --- |
//! | `port.rs` | `--port`, `--baud`, `--clocks-per-bit` |
//! | `serial.rs` | a serial port as a link |
//! | `language.rs` | a language model on the board |
//! | `run.rs` | a program and its inputs on the board |
//! | `explain.rs` | what to do about a link that fails |
//! | `terminal.rs` | a pseudo-terminal as the port of a simulated board |

mod explain;
mod language;
mod port;
mod run;
mod serial;
#[cfg(unix)]
mod terminal;

pub use language::Board;
pub use port::{Opened, PortArguments, build_board, clocks_per_bit_range};
pub use run::{LinkReport, run_board};
#[cfg(unix)]
pub use terminal::Terminal;
