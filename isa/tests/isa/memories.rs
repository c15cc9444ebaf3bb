//! What the host writes into the memories.

use crate::strategies::{configuration, program, scale};
use bitvec::prelude::*;
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::Extensions;
use lpu_isa::configuration::{Configuration, WEIGHT_BITS};
use lpu_isa::fixed_point::normalise::Normalise;
use lpu_isa::fixed_point::table::{SEGMENTS, Table};
use lpu_isa::host::{
    BUS_BITS, Memory, SCALE_BITS, SCALE_FACTOR_BITS, SCALE_FRACTION_BITS, SCALE_SHIFT_BITS, scale_bits,
};
use lpu_isa::image::{Image, PACKED_OFFSET, images};
use lpu_isa::instruction::{Instruction, Word, word_bits};
use lpu_isa::program::Scale;
use proptest::prelude::*;

/// What the requantiser makes of an entry of the scale table: multiplier, left shift, right shift, bias.
fn decode(entry: u128) -> (i32, u32, u32, i32) {
    let fraction = (entry & ((1 << SCALE_FRACTION_BITS) - 1)) as i32;
    let amount = (entry >> SCALE_FRACTION_BITS & ((1 << SCALE_SHIFT_BITS) - 1)) as u32;
    let left = entry >> (SCALE_FACTOR_BITS - 1) & 1 == 1;
    let bias = (entry >> SCALE_FACTOR_BITS) as u32 as i32;
    let highest = i32::from(!(left && amount == 31));
    let multiplier = highest << SCALE_FRACTION_BITS | fraction;
    if left { (multiplier, amount, 0, bias) } else { (multiplier, 0, amount, bias) }
}

/// The words of a memory, each as its bits.
fn words(image: &Image, configuration: &Configuration) -> Vec<Word> {
    let chunks = image.memory.chunks(configuration) as usize;
    assert!(image.chunks.len().is_multiple_of(chunks));
    let bits = image.memory.bits(configuration) as usize;
    let word = |chunks: &[u32]| {
        let mut word = Word::from_slice(chunks);
        // Nothing stands above the word in its last chunk.
        assert!(word[bits..].not_any() && word.len() < bits + BUS_BITS as usize);
        word.truncate(bits);
        word
    };
    image.chunks.chunks(chunks).map(word).collect()
}

proptest! {
    #[test]
    fn a_scale_comes_back_from_the_table(scale in scale()) {
        prop_assert!(scale.is_encodable());
        prop_assert_eq!(scale.encode() >> SCALE_BITS, 0);
        let (multiplier, left, right, bias) = decode(scale.encode());
        prop_assert_eq!((multiplier, bias), (scale.multiplier, scale.bias));
        // A product with zero is zero, whatever it is shifted by.
        if multiplier != 0 {
            prop_assert_eq!(left as i32 - right as i32, scale.shift);
            prop_assert!(left == 0 || right == 0);
        }
    }

    #[test]
    fn every_other_scale_is_refused(multiplier: i32, shift in -40..40i32, bias: i32) {
        let normalised = multiplier == 0 || multiplier >= 1 << 30;
        prop_assert_eq!(Scale { multiplier, shift, bias }.is_encodable(), normalised && (-31..=30).contains(&shift));
    }

    #[test]
    fn every_memory_holds_what_the_program_says(program in program()) {
        let configuration = &program.configuration;
        let images = images(&program).unwrap();
        let written: Vec<Memory> = images.iter().map(|image| image.memory).collect();
        for memory in Memory::all(configuration) {
            let brought = !matches!(memory, Memory::Vector(_) | Memory::Tokens);
            prop_assert_eq!(written.contains(&memory), brought, "{:?}", memory);
        }
        let others = configuration.vector_slices as usize + usize::from(configuration.generates());
        prop_assert_eq!(written.len(), Memory::all(configuration).len() - others);
        for image in &images {
            let words = words(image, configuration);
            match image.memory {
                Memory::Queue(number) => {
                    let queue = &program.queues[number as usize];
                    let each = configuration.queue_words_per_instruction() as usize;
                    prop_assert_eq!(words.len(), queue.instructions.len() * each);
                    for (placed, words) in queue.instructions.iter().zip(words.chunks(each)) {
                        let mut bits: Word = words.iter().flat_map(|word| word.iter().by_vals()).collect();
                        prop_assert!(bits[word_bits(queue.unit, configuration) as usize..].not_any());
                        bits.truncate(word_bits(queue.unit, configuration) as usize);
                        let instruction = Instruction::decode(queue.unit, configuration, &bits).unwrap();
                        prop_assert_eq!(instruction, placed.instruction.canonical(queue.unit, configuration));
                    }
                }
                Memory::Scale(lane) => {
                    let interval = configuration.requantise_interval as usize;
                    prop_assert_eq!(words.len(), program.scales.len() * interval);
                    for (address, word) in words.iter().enumerate() {
                        let (entry, part) = (address / interval, address % interval);
                        let element = part * configuration.requantiser_lanes() as usize + lane as usize;
                        prop_assert_eq!(word.load_le::<u128>(), program.scales[entry][element].encode());
                    }
                }
                Memory::Weights(tile) => {
                    let weights = &program.weights[tile as usize];
                    prop_assert_eq!(words.len(), weights.len() / configuration.dot as usize);
                    for (word, bytes) in words.iter().zip(weights.chunks(configuration.dot as usize)) {
                        let bits = word.len() / bytes.len();
                        for (field, &byte) in word.chunks(bits).zip(bytes) {
                            let field = field.load_le::<u16>();
                            // The lower of two int4 weights is stored with an offset, which is the sign bit of a nibble.
                            let offset = if configuration.weight_bits == 4 { PACKED_OFFSET as u16 } else { 0 };
                            let value = field ^ offset;
                            prop_assert_eq!(value as u8 as i8, byte);
                        }
                        prop_assert_eq!(bits, WEIGHT_BITS as usize);
                    }
                }
                Memory::Registers => {
                    prop_assert_eq!(words.len(), configuration.registers() as usize + 1);
                    prop_assert!(words.iter().all(|word| word.not_any()));
                }
                Memory::Tables => prop_assert!(words.is_empty(), "these programs bring no tables"),
                Memory::Normalise => {
                    let normalise = Normalise::new();
                    let ends = normalise.tables().map(Table::values);
                    let segments = ends.iter().flat_map(|values| values.windows(2));
                    prop_assert_eq!(words.len(), 2 * SEGMENTS);
                    for (word, ends) in words.iter().zip(segments) {
                        let (begin, difference) = (word[..16].load_le::<u16>() as i16, word[16..].load_le::<u32>());
                        let difference = (difference << 15) as i32 >> 15;
                        prop_assert_eq!((begin, i32::from(begin) + difference), (ends[0], i32::from(ends[1])));
                    }
                }
                Memory::Entries => {
                    prop_assert!(words.len() <= configuration.tokens() as usize);
                    prop_assert!(words.iter().all(|word| word.not_any()), "these programs have one schedule");
                }
                Memory::Exponentials => {
                    let expected = program.softmaxes.iter().flat_map(Softmax::exponentials);
                    let found = words.iter().map(|word| word.load_le::<u32>() as i32);
                    prop_assert!(found.eq(expected));
                }
                Memory::Tokens => prop_assert!(false, "programs bring no tokens"),
                Memory::Vector(_) => prop_assert!(false, "programs bring no vectors"),
            }
        }
    }

    #[test]
    fn memories_have_numbers_and_addresses_of_their_own(configuration in configuration()) {
        let mut numbers: Vec<u32> = Memory::all(&configuration).into_iter().map(Memory::number).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), count);
        let bits = Memory::address_bits(&configuration);
        let most = configuration.queue_words().max(configuration.weight_depth).max(configuration.scale_words());
        prop_assert!(1u64 << bits >= u64::from(most));
    }
}

#[test]
fn the_parts_of_a_scale_stand_at_the_bits_that_the_memory_map_names() {
    let entry = |multiplier, shift, bias| Scale { multiplier, shift, bias }.encode();
    let one_half = 1 << 30;
    assert_eq!(entry(one_half, 0, 0), 0);
    assert_eq!(entry(one_half + 1, 0, 0), 1);
    assert_eq!(entry(i32::MAX, 0, 0), (1 << 30) - 1);
    assert_eq!(entry(one_half, -1, 0), 1 << 30);
    assert_eq!(entry(one_half, 3, 0), 3 << 30 | 1 << 35);
    assert_eq!(entry(0, 0, 0), 31 << 30 | 1 << 35);
    assert_eq!(entry(one_half, 0, 1), 1 << 36);
    assert_eq!(entry(one_half, 0, i32::MIN), 1 << 67);
    assert_eq!(entry(one_half, 0, -1), 0xffff_ffff << 36);
    // A narrow entry is cut out of a wide one.
    let extensions = Some(Extensions { registers: 1, scalars: 2, tables: 1, tokens: 0 });
    let narrow = Configuration { narrow_scales: true, extensions, ..Configuration::default() };
    let entry = |multiplier, shift| {
        let scale = Scale { multiplier, shift, bias: 0 };
        assert!(scale.is_encodable_in(&narrow));
        scale.encode_in(&narrow)
    };
    assert_eq!((scale_bits(&narrow), entry(one_half, 0)), (18, 0));
    assert_eq!(entry(one_half + (1 << 18), -3), 1 | 3 << 12);
    assert_eq!(entry(i32::MAX ^ ((1 << 18) - 1), 0), (1 << 12) - 1);
    assert_eq!(entry(0, 0), 31 << 12 | 1 << 17);
    for wide in [(one_half + 1, 0, 0), (one_half, 1, 0), (one_half, 0, 1)] {
        let (multiplier, shift, bias) = wide;
        assert!(!Scale { multiplier, shift, bias }.is_encodable_in(&narrow), "{wide:?}");
    }
    let narrowed = |multiplier, shift| Scale { multiplier, shift, bias: 0 }.narrowed();
    assert_eq!(narrowed(i32::MAX, -1), Some(Scale { multiplier: one_half, shift: 0, bias: 0 }));
    assert_eq!((narrowed(i32::MAX, 0), narrowed(one_half, 1)), (None, None));
    // A word of the table is three chunks on the bus.
    assert_eq!((SCALE_BITS, Memory::Scale(0).chunks(&Configuration::default())), (68, 3));
}
