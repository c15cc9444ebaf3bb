//! Lowerings: one file for each family of operators.
//!
//! A lowering decides where the result stands, which weights go to which tile, and which instructions run when. It reads the
//! graph and the vectors before it; it never looks ahead further than the few numbers it is given.
//!
//! | file | holds |
//! | --- | --- |
//! | `layout` | where the elements of an image stand, and its padding |
//! | `nest` | loops over addresses, and the sequences that they become |
//! | `window` | sums of products over windows: the tiles |
//! | `split`, `search` | the runs of the tiles that such a layer is cut into, and the search for the best way |
//! | `stream` | words that pass through the vector unit or the requantiser |
//! | `line` | which bias makes a rising function of a sum |
//! | `tables` | tables for look-ups, each computed once |
//! | `cost` | what a layer takes that is alone in its network |
//! | `fully_connected`, `convolution`, `pool`, `mean`, `elementwise`, `lookup`, `product`, `softmax`, `movement`, `gather` | a family of operators each |

pub mod convolution;
pub mod cost;
pub mod elementwise;
pub mod fully_connected;
pub mod gather;
pub mod layout;
mod line;
pub mod llama;
pub mod lookup;
pub mod mean;
pub mod movement;
pub mod nest;
pub mod pool;
pub mod product;
mod search;
pub mod softmax;
mod split;
pub mod stream;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod window;

use crate::error::{CompileError, Resource};
use crate::schedule::{Schedule, Stored};
use layout::Layout;
use lpu_isa::arithmetic::Rounding;
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::instruction::Unit;
use lpu_isa::program::{Constants, Region, Scale};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use tables::Tables;

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
    /// In each slice a word that has been written, whatever it holds, and when it may be read.
    pub fillers: Vec<Option<(u32, u64)>>,
    /// What the host writes into the vector memory before the first run.
    pub constants: Vec<Constants>,
    /// The softmaxes whose tables the vector unit is to have.
    pub softmaxes: Vec<Softmax>,
    /// Cycles that a word of weights in each tile may cost.
    pub thrift: u64,
    /// May multipliers have sums of their own, where the machine has them?
    pub separate: bool,
    /// Blocks of weights by a digest of theirs: first word, and words.
    pub blocks: HashMap<u64, Vec<(usize, usize)>>,
    /// Tables for look-ups that have been computed.
    pub tables: &'a Tables,
}

/// What a lowering is told about the result that it makes.
pub struct Target<'a> {
    /// Name of the layer.
    pub name: &'a str,
    /// Name of the tensor.
    pub tensor: &'a str,
    /// How it is to stand.
    pub layout: Layout,
    /// Slices in the order in which they are tried.
    pub slices: Vec<u32>,
    /// How many of them are as good as the first: something will be read beside the result in the others.
    pub preferred: usize,
    /// Is there to be a copy in another slice, if there is room?
    pub twin: bool,
    /// The layer's number.
    pub number: u32,
    /// The place, where it is there already, of which `layout` is a view: with the last cycle in which former content is read.
    pub into: Option<(Stored, u64)>,
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

impl Lowered {
    /// What has been placed for the same result together, `self` last.
    #[must_use]
    pub fn behind(self, before: Option<Lowered>) -> Lowered {
        let Some(before) = before else { return self };
        Lowered {
            result: self.result,
            tiles: self.tiles.max(before.tiles),
            start: self.start.min(before.start),
            last_read: self.last_read.max(before.last_read),
        }
    }
}

/// A weight that the machine's multipliers cannot take.
fn weight_too_wide(layer: &str, weight: i8, bits: u32) -> CompileError {
    let (least, largest) = (-(1i32 << (bits - 1)), (1i32 << (bits - 1)) - 1);
    let why = format!(
        "it has a weight of {weight}, and the machine multiplies weights of {bits} bits, {least} to {largest}; \
         use a machine with `weight_bits = 8` or a network quantised to int{bits}"
    );
    CompileError::Unsupported { layer: layer.into(), why }
}

/// Refuses what the requantiser does not do.
fn check_rounding(layer: &str, rounding: Rounding) -> Result<(), CompileError> {
    match rounding {
        Rounding::Double => Ok(()),
        Rounding::Single => {
            Err(CompileError::Unsupported { layer: layer.into(), why: "the requantiser rounds twice".into() })
        }
    }
}

impl Lowering<'_> {
    /// Finds room for an image and fills its padding, unless it has its place already. Returns it, with nothing in it yet, and the
    /// last cycle in which former content of its place is read.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`] where no slice has room.
    pub fn place_image(&mut self, target: &Target<'_>) -> Result<(Stored, u64), CompileError> {
        if let Some((stored, last_read)) = &target.into {
            return Ok((stored.clone(), *last_read));
        }
        let layout = target.layout;
        let beats = u32::try_from(layout.beats()).unwrap_or(u32::MAX);
        let mut slices = target.slices.clone();
        if self.schedule.is_sparing()
            && let Some(preferred) = slices.get_mut(..target.preferred)
        {
            preferred.sort_by_key(|&slice| self.schedule.instructions(Unit::Read(slice)));
        }
        let (slice, base, mut last_read) =
            self.schedule.allocate_early(self.model, target.name, beats, &slices, target.preferred)?;
        let mut twin = None;
        if target.twin {
            let others: Vec<u32> = slices.iter().copied().filter(|&other| other != slice).collect();
            let place = self.schedule.allocate_early(self.model, target.name, beats, &others, others.len());
            if let Ok((slice, base, former)) = place {
                twin = Some((slice, base));
                last_read = last_read.max(former);
            }
        }
        let region = Region { tensor: target.tensor.into(), slice, base, beats, positions: layout.positions() };
        let mut stored = Stored { region, ready: vec![0; beats as usize], layout: Some(layout), twin };
        self.fill_padding(target.name, &layout, &mut stored, layout.fill, last_read)?;
        Ok((stored, last_read))
    }

    /// First address of a block of weights, the same number of words for each tile; a block that is there already is used again,
    /// as the bands of a layer do.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`] where the weight RAMs overflow.
    fn place_weights(&mut self, layer: &str, block: Vec<Vec<i8>>) -> Result<u32, CompileError> {
        let dot = self.schedule.configuration.dot as usize;
        let length = block.first().map_or(0, Vec::len);
        let mut hasher = DefaultHasher::new();
        block.hash(&mut hasher);
        let alike = self.blocks.entry(hasher.finish()).or_default();
        let there = |&&(first, words): &&(usize, usize)| {
            words == length
                && self
                    .weights
                    .iter()
                    .zip(&block)
                    .all(|(ram, own)| ram.get(first..first + words) == Some(own.as_slice()))
        };
        if let Some(&(first, _)) = alike.iter().find(there) {
            return Ok((first / dot) as u32);
        }
        let first = self.weights.first().map_or(0, Vec::len);
        alike.push((first, length));
        let needed = (first + length) / dot;
        if needed > self.schedule.configuration.weight_depth as usize {
            return Err(window::weights_do_not_fit(self, layer, needed as u64));
        }
        for (ram, own) in self.weights.iter_mut().zip(block) {
            ram.extend(own);
        }
        Ok((first / dot) as u32)
    }

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
