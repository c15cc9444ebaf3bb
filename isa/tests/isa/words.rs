//! Instruction words.

use crate::strategies::{configuration, placed_instruction};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Instruction, InstructionError, Operation, Unit, Word, fields, word_bits};
use lpu_isa::sequence::{LEVELS, Sequence};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Steps compared in the tests; a random sequence may have millions.
const STEPS: usize = 2000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_instructions_encode_and_decode_to_themselves((configuration, unit, instruction) in placed_instruction(false)) {
        let word = instruction.encode(unit, &configuration).unwrap();
        prop_assert_eq!(word.len(), word_bits(unit, &configuration) as usize);
        prop_assert_eq!(Instruction::decode(unit, &configuration, &word).unwrap(), instruction);
    }

    #[test]
    fn what_encoding_drops_has_no_effect((configuration, unit, instruction) in placed_instruction(true)) {
        let word = instruction.encode(unit, &configuration).unwrap();
        let decoded = Instruction::decode(unit, &configuration, &word).unwrap();
        prop_assert_eq!(decoded, instruction.canonical(unit, &configuration));
        prop_assert_eq!(decoded.encode(unit, &configuration).unwrap(), word);
        prop_assert_eq!(decoded.operation.name(), instruction.operation.name());
        if let (Some(before), Some(after)) = (instruction.operation.sequence(), decoded.operation.sequence()) {
            if unit == Unit::Vector {
                prop_assert_eq!(before.duration(), after.duration());
            } else {
                prop_assert!(before.steps().take(STEPS).eq(after.steps().take(STEPS)));
            }
        }
    }

    #[test]
    fn any_bits_decode_to_an_instruction_or_an_error(
        configuration in configuration(),
        index in any::<Index>(),
        bits in vec(any::<u32>(), 12),
        surplus in 0..3usize,
    ) {
        let unit = *index.get(&Unit::all(&configuration));
        let width = word_bits(unit, &configuration) as usize;
        let mut word = Word::from_vec(bits);
        prop_assert!(width < word.len());
        word.truncate(width + surplus - 1);
        match Instruction::decode(unit, &configuration, &word) {
            Ok(instruction) => {
                prop_assert_eq!(surplus, 1);
                if let Ok(word) = instruction.encode(unit, &configuration) {
                    prop_assert_eq!(Instruction::decode(unit, &configuration, &word).unwrap(), instruction);
                }
            }
            Err(error) => prop_assert!(matches!(error, InstructionError::Undecodable { .. }), "{}", error),
        }
    }

    #[test]
    fn an_extent_is_the_least_and_largest_address_of_all_steps(
        base in 0..50u32,
        count in prop::array::uniform4(1..5u32),
        delta in prop::array::uniform4(-20..20i32),
        run_levels in 1..=LEVELS as u32,
        (gap, pause) in (0..4u32, 0..4u32),
    ) {
        let sequence = Sequence { base, count, delta, run_levels, gap, pause, register: 0 };
        let addresses = || sequence.steps().map(|step| step.address);
        prop_assert_eq!(sequence.extent(), (addresses().min().unwrap(), addresses().max().unwrap()));
        let duration = sequence.steps().last().unwrap().offset + 1;
        prop_assert_eq!(sequence.duration(), u64::from(duration));
    }
}

#[test]
fn fields_follow_each_other_without_a_hole() {
    let configuration = Configuration::default();
    for unit in Unit::all(&configuration) {
        let mut position = 0;
        for field in fields(unit, &configuration) {
            assert_eq!(field.position, position, "{unit}: {}", field.name);
            position += field.bits;
        }
        assert_eq!(position, word_bits(unit, &configuration));
    }
}

#[test]
fn a_jump_over_more_than_half_the_memory_survives() {
    let configuration = Configuration::default();
    let far = configuration.vector_beats() as i32 - 1;
    for (base, delta) in [(0, far), (far as u32, -far)] {
        let sequence = Sequence {
            base,
            count: [2, 1, 1, 1],
            delta: [delta, 0, 0, 0],
            run_levels: 1,
            gap: 0,
            pause: 0,
            register: 0,
        };
        let read = Instruction { interval: 20, operation: Operation::Read { sequence } };
        let word = read.encode(Unit::Read(0), &configuration).unwrap();
        assert_eq!(Instruction::decode(Unit::Read(0), &configuration, &word).unwrap(), read);
    }
}

#[test]
fn a_field_out_of_range_is_named_with_its_unit_and_limits() {
    let configuration = Configuration::default();
    let read = |sequence| Instruction { interval: 20, operation: Operation::Read { sequence } };
    let message = |instruction: Instruction| instruction.encode(Unit::Read(1), &configuration).unwrap_err().to_string();
    assert_eq!(
        message(read(Sequence::linear(2000, 50))),
        "read 1: field `address` of `read` is 2049, but must be 0 to 2047"
    );
    assert_eq!(
        message(Instruction { interval: 1, operation: Operation::Nop }),
        "read 1: field `interval` of `nop` is 1, but must be 5 to 65535"
    );
    // 2^48 steps are refused at once, not after a walk along them.
    let endless = Sequence { base: 0, count: [4096; 4], delta: [0; 4], run_levels: 4, gap: 0, pause: 0, register: 0 };
    assert!(message(read(endless)).starts_with("read 1: field `duration` of `read`"));
}
