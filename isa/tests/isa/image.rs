//! Program images as JSON.

use crate::strategies::program;
use lpu_isa::assembly::disassemble;
use lpu_isa::program::{Program, ProgramError};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// All numbers of a JSON value.
fn numbers<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    match value {
        Value::Number(_) => found.push(value),
        Value::Array(items) => items.iter_mut().for_each(|item| numbers(item, found)),
        Value::Object(items) => items.values_mut().for_each(|item| numbers(item, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_programs_survive_their_json_form(program in program()) {
        let text = program.to_json().unwrap();
        prop_assert_eq!(Program::from_json(&text).unwrap(), program);
    }

    #[test]
    fn a_truncated_image_is_an_error(program in program(), at in any::<Index>()) {
        let text = program.to_json().unwrap();
        let cut: String = text.chars().take(at.index(text.chars().count())).collect();
        prop_assert!(matches!(Program::from_json(&cut), Err(ProgramError::Syntax(_))));
    }

    #[test]
    fn an_image_with_absurd_numbers_is_an_error_or_harmless(
        program in program(),
        changes in prop::collection::vec(
            (any::<Index>(), select(vec![0i64, -1, 1, 7, 4096, 65_536, i64::from(u32::MAX), i64::from(i32::MIN), i64::MAX])),
            1..4,
        ),
    ) {
        let mut value: Value = serde_json::from_str(&program.to_json().unwrap()).unwrap();
        let mut found = Vec::new();
        numbers(&mut value, &mut found);
        for (at, number) in changes {
            let at = at.index(found.len());
            *found[at] = number.into();
        }
        if let Ok(program) = Program::from_json(&value.to_string()) {
            prop_assert!(program.check().is_ok());
            disassemble(&program);
        }
        // What deserialises without being checked must not bring the disassembler down either.
        if let Ok(program) = serde_json::from_value::<Program>(value) {
            disassemble(&program);
        }
    }

    #[test]
    fn an_image_with_a_foreign_byte_is_an_error_or_harmless(program in program(), at in any::<Index>(), byte in 32..127u8) {
        let mut bytes = program.to_json().unwrap().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(program) = Program::from_json(&String::from_utf8_lossy(&bytes)) {
            prop_assert!(program.check().is_ok());
        }
    }
}

#[test]
fn an_image_of_another_format_is_refused_by_its_number() {
    let error = Program::from_json("{\"format\": 7}").unwrap_err();
    assert!(matches!(error, ProgramError::Format { found: 7 }), "{error}");
}
