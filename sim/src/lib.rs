//! To be written.

pub mod cycle;
pub mod golden;
pub mod rtl;
pub mod verilated;
