//! What the host writes into a machine's memories before a run: a program as words of the host bus.
//!
//! # Two int4 weights in one multiplier
//!
//! A byte holds the weights `w0` (low nibble) and `w1`. The multiplier's operand is `w1 × 2^13 + (w0 + 8)`, so its product with an
//! element `x` of 9 bits is `w1 x × 2^13 + (w0 + 8) x`; both products fit 13 bits, and a negative lower one borrows 1 from the
//! upper one, which bit 12 gives back. `w0 + 8` is not negative, so zeros and no copies of a sign stand between the two. The weight
//! RAM holds them as `{w1 : 4 bits, w0 + 8 : 4 bits}` ([`packed`]); the tile subtracts `8 Σ x` from the sum of a beat's lower products,
//! and all tiles of a row share `Σ x`.

use crate::arithmetic::softmax::Softmax;
use crate::configuration::{ELEMENT_BITS, WEIGHT_BITS};
use crate::fixed_point::normalise::Normalise;
use crate::fixed_point::table::{SEGMENT_BITS, Table};
use crate::host::{BUS_BITS, Memory, scale_bits};
use crate::instruction::InstructionError;
use crate::program::{Program, Region};
use bitvec::prelude::*;

/// What makes the lower of two int4 weights positive.
pub const PACKED_OFFSET: i8 = 8;

/// The contents of one memory from its word 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The memory.
    pub memory: Memory,
    /// Words of the host bus: each word of the memory in [`Memory::chunks`] of them, least significant first.
    pub chunks: Vec<u32>,
}

/// The contents of all memories that `program` loads: weights, scales, instructions, and what only a machine with extensions has.
///
/// # Errors
/// An instruction without an encoding.
pub fn images(program: &Program) -> Result<Vec<Image>, InstructionError> {
    let configuration = &program.configuration;
    let mut images = Vec::new();
    for (tile, weights) in program.weights.iter().enumerate() {
        let bytes = weights.iter().map(|&weight| weight as u8);
        let packs = configuration.channels_per_tile() > 1;
        let stored = bytes.map(|byte| u128::from(if packs { packed(byte) } else { byte }));
        let chunks = pack(stored, WEIGHT_BITS, configuration.dot);
        images.push(Image { memory: Memory::Weights(tile as u32), chunks });
    }
    let lanes = configuration.requantiser_lanes() as usize;
    for lane in 0..lanes {
        let entries = program.scales.iter().flat_map(|entry| entry.iter().skip(lane).step_by(lanes));
        let chunks = pack(entries.map(|scale| scale.encode_in(configuration)), scale_bits(configuration), 1);
        images.push(Image { memory: Memory::Scale(lane as u32), chunks });
    }
    let words = configuration.queue_words_per_instruction();
    for (number, queue) in program.queues.iter().enumerate() {
        let word_bits = configuration.queue_word_bits_of(queue.unit);
        let mut chunks = Vec::new();
        for placed in &queue.instructions {
            let mut bits = placed.instruction.encode(queue.unit, configuration)?;
            bits.resize((word_bits * words) as usize, false);
            for word in bits.chunks(word_bits as usize) {
                chunks.extend(word.chunks(BUS_BITS as usize).map(|chunk| chunk.load_le::<u32>()));
            }
        }
        images.push(Image { memory: Memory::Queue(number as u32), chunks });
    }
    if configuration.has_softmax() {
        let exponentials = program.softmaxes.iter().flat_map(Softmax::exponentials);
        let chunks = pack(exponentials.map(|value| u128::from(value.unsigned_abs())), Softmax::EXPONENTIAL_BITS, 1);
        images.push(Image { memory: Memory::Exponentials, chunks });
    }
    if configuration.extensions.is_some() {
        images.extend(extensions(program));
    }
    Ok(images)
}

/// What a machine with extensions has beyond others: registers, all 0; tables; entry points; constants in the vector memory, and zeros before and
/// between them.
fn extensions(program: &Program) -> Vec<Image> {
    let configuration = &program.configuration;
    let language = program.language.as_ref();
    let segments = |tables: &[&Table]| -> Vec<u32> {
        let segments = tables.iter().flat_map(|table| table.segments()).map(u128::from);
        pack(segments, SEGMENT_BITS, 1)
    };
    let own: Vec<&Table> = language.iter().flat_map(|language| &language.tables).collect();
    let registers = vec![0; Memory::Registers.words(configuration) as usize];
    let mut images = vec![
        Image { memory: Memory::Registers, chunks: registers },
        Image { memory: Memory::Tables, chunks: segments(&own) },
        Image { memory: Memory::Normalise, chunks: segments(&Normalise::new().tables()) },
    ];
    if configuration.generates() {
        let words = configuration.queue_words_per_instruction();
        let entries = program.entry_points().into_iter().map(|instruction| u128::from(instruction * words));
        images.push(Image { memory: Memory::Entries, chunks: pack(entries, Memory::Entries.bits(configuration), 1) });
    }
    for slice in 0..configuration.vector_slices {
        let mut elements: Vec<i16> = Vec::new();
        let constants = language.iter().flat_map(|language| &language.constants);
        for constants in constants.filter(|constants| constants.slice == slice) {
            let start = (constants.base * configuration.dot) as usize;
            let end = start + constants.elements.len();
            elements.resize(elements.len().max(end), 0);
            elements[start..end].copy_from_slice(&constants.elements);
        }
        let chunks = pack(elements.iter().map(|&element| u128::from(element as u16)), ELEMENT_BITS, configuration.dot);
        if !chunks.is_empty() {
            images.push(Image { memory: Memory::Vector(slice), chunks });
        }
    }
    images
}

/// Two int4 weights, the low and the high nibble of `byte`, as the weight RAM holds them: [`PACKED_OFFSET`] more than the lower one
/// stands below the upper one. Modulo 16, adding the offset inverts the nibble's sign bit.
pub fn packed(byte: u8) -> u8 {
    byte ^ PACKED_OFFSET as u8
}

/// The two int4 weights of a byte, low nibble first.
pub fn nibbles(byte: i8) -> (i8, i8) {
    ((byte << 4) >> 4, byte >> 4)
}

/// The beats of a tensor as the vector memory holds it, `fill` where it has no element, in words of the host bus.
pub fn tensor(region: &Region, values: &[i8], fill: i8, dot: u32) -> Vec<u32> {
    let mut elements = vec![i16::from(fill); (region.beats * dot) as usize];
    for (&position, &value) in region.positions.iter().zip(values) {
        elements[position as usize] = i16::from(value);
    }
    pack(elements.iter().map(|&element| u128::from(element as u16)), ELEMENT_BITS, dot)
}

/// Packs values of `bits` bits, `per_word` of them (together at most 128 bits) to a word of the memory, each word beginning a
/// new word of the bus.
fn pack(values: impl Iterator<Item = u128>, bits: u32, per_word: u32) -> Vec<u32> {
    let mut chunks = Vec::new();
    let mut word: u128 = 0;
    let mut filled = 0;
    for value in values {
        word |= (value & ((1 << bits) - 1)) << (bits * filled);
        filled += 1;
        if filled == per_word {
            for chunk in 0..(bits * per_word).div_ceil(BUS_BITS) {
                chunks.push((word >> (chunk * BUS_BITS)) as u32);
            }
            (word, filled) = (0, 0);
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_int4_weights_and_any_element_of_9_bits_give_both_products() {
        for byte in i8::MIN..=i8::MAX {
            let (low, high) = nibbles(byte);
            let word = i64::from(packed(byte as u8));
            // The tile's wiring: the upper weight, nine zeros, the lower weight's sum with the offset.
            let operand = ((word >> 4) << 13 | word & 0xf) << 47 >> 47;
            assert_eq!(operand, (i64::from(high) << 13) + i64::from(low + PACKED_OFFSET));
            for element in -256..=255i64 {
                let product = operand * element;
                let lower = (product << 51 >> 51) - i64::from(PACKED_OFFSET) * element;
                let upper = ((product >> 13) + (product >> 12 & 1)) << 51 >> 51;
                assert_eq!((lower, upper), (i64::from(low) * element, i64::from(high) * element));
            }
        }
    }
}
