//! Lowerings: one file for each family of operators.
//!
//! A lowering decides where the result stands, which weights go to which tile, and which instructions run when. It reads the
//! graph and the vectors before it; it never looks ahead further than the one number it is given.

pub mod elementwise;
pub mod fully_connected;
pub mod llama;
#[cfg(test)]
mod tests;

use crate::error::{CompileError, Resource};
use crate::schedule::{Schedule, Stored};
use lpu_isa::program::Scale;

/// What all lowerings add to.
pub struct Lowering<'a> {
    /// Name of the network, for messages.
    pub model: &'a str,
    /// The schedule.
    pub schedule: Schedule,
    /// Words of each tile's weight RAM so far; all tiles have the same length.
    pub weights: Vec<Vec<i8>>,
    /// The scale table so far.
    pub scales: Vec<Vec<Scale>>,
}

/// What a lowering has placed.
pub struct Lowered {
    /// The result.
    pub result: Stored,
    /// Tiles that work on it.
    pub tiles: u32,
    /// First cycle in which a unit takes a step for it.
    pub start: u64,
    /// Last cycle in which it reads its input.
    pub last_read: u64,
}

impl Lowering<'_> {
    /// Index of the first of consecutive scale table entries; equal entries that are there already are used again.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`] where the table overflows.
    pub fn add_scales(&mut self, layer: &str, entries: Vec<Vec<Scale>>) -> Result<u32, CompileError> {
        let found = self.scales.windows(entries.len().max(1)).position(|window| window == entries.as_slice());
        if let Some(index) = found {
            return Ok(index as u32);
        }
        let index = self.scales.len() as u32;
        self.scales.extend(entries);
        let available = self.schedule.configuration.scale_depth;
        if self.scales.len() > available as usize {
            return Err(CompileError::DoesNotFit {
                model: self.model.into(),
                layer: layer.into(),
                resource: Resource::ScaleTable,
                needed: self.scales.len() as u64,
                available: u64::from(available),
                what: "entries of the scale table",
                shortfall: String::new(),
                block_rams: 0,
            });
        }
        Ok(index)
    }
}
