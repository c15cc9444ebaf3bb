//! What stands around the LPU on a board: its clock, its reset and the serial line to the host.
//!
//! ```text
//! oscillator ─ PLL ─ clock, locked ─ reset
//! rx ─ uart_receiver ─ frame_receiver ─┐
//!                                     frame_engine ═ host port of the LPU
//! tx ─ uart_transmitter ─ frame_sender ┘
//! ```
//!
//! The frames are those of the crate `lpu-firmware`, whose `Device` is the reference of what is made here: for the same bytes
//! the same accesses to the machine and the same answer.
//!
//! | module | does |
//! | --- | --- |
//! | [`pll`] | dividers of the phase-locked loop |
//! | [`reset`] | reset at power-up |
//! | [`uart`] | the serial line |
//! | [`frame_receiver`], [`frame_sender`] | boundaries and byte stuffing |
//! | [`frame_buffer`](mod@frame_buffer) | the memory that holds a frame |
//! | [`crc`](mod@crc) | the check of a frame |
//! | [`sequence_number`](mod@sequence_number) | the number of the last request |
//! | [`frame_decision`](mod@frame_decision) | what becomes of a request |
//! | [`frame_engine`](mod@frame_engine) | requests to accesses of the machine, and replies |
//! | [`top`](mod@top) | all of it together |

pub mod crc;
pub mod frame_buffer;
pub mod frame_decision;
pub mod frame_engine;
pub mod frame_receiver;
pub mod frame_sender;
pub mod pll;
pub mod reset;
pub mod sequence_number;
pub mod top;
pub mod uart;

pub use pll::{Pll, PllError};
pub use top::{Parameters, PlanError, design};

use crate::layer::{Expr, Signal, Type, literal};

/// A single bit.
fn bit() -> Type {
    Type::bits(1)
}

/// An unsigned constant of `bits` bits.
fn constant(value: u64, bits: u32) -> Expr {
    literal(i128::from(value), Type::bits(bits as usize))
}

/// `signal + 1`, modulo its width.
fn increment(signal: &Signal) -> Expr {
    signal.add(literal(1, signal.ty()))
}

/// `signal - 1`, modulo its width.
fn decrement(signal: &Signal) -> Expr {
    signal.sub(literal(1, signal.ty()))
}
