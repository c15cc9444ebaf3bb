//! The host's side of the link to a machine, whatever carries the bytes: a model in this process, a simulated board at its
//! serial line, a board at a port.
//!
//! | file | concept |
//! | --- | --- |
//! | `host.rs` | a program on a machine: load it, run inferences |
//! | `meter.rs` | a link that counts what it carries |
//! | `faults.rs` | a link that damages what it carries |

mod faults;
mod host;
mod meter;

pub use faults::{Faults, Faulty, Injected};
pub use host::{Host, HostError};
pub use meter::{Metered, Traffic};
