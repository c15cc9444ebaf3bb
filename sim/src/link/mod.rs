//! The host's side of the link to a machine, whatever carries the bytes: a model in this process, a simulated board at its
//! serial line, a board at a port.
//!
//! | file | concept |
//! | --- | --- |
//! | `host.rs` | a program on a machine: load it, run inferences |
//! | `generation.rs` | the tokens of a generation |
//! | `language.rs` | a language model on a machine, token by token or many at once |
//! | `meter.rs` | a link that counts what it carries |
//! | `faults.rs` | a link that damages what it carries |

mod faults;
mod generation;
mod host;
mod language;
mod meter;

pub use faults::{Faults, Faulty, Injected};
pub use generation::Progress;
pub use host::{Host, HostError};
pub use language::LanguageHost;
pub use meter::{Metered, Traffic};
