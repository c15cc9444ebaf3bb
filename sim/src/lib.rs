//! To be written.

pub mod cycle;
pub mod verilated;
