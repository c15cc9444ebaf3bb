//! Every operator, with random shapes and parameters, answers as tflite-micro does.
//!
//! tflite-micro comes from the Python package index (`scripts/setup --reference`). Where it is not installed the comparison
//! says that it is skipped; the answers in `tests/vectors/operators.txt`, which it once gave, are compared everywhere.
//! `LPU_UPDATE_VECTORS=1` writes that file again.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use lpu_compiler::graph::{Element, Operator, OperatorKind};
use lpu_compiler::import::import;
use lpu_isa::configuration::Configuration;
use lpu_sim::golden::Golden;
use lpu_tests::operators::{Case, OPERATORS, case};
use lpu_tests::reference::{self, Question};
use lpu_tests::witnesses::{compile_and_check, model_agrees, steps_agree};

/// Networks of each operator.
const NETWORKS: u64 = 240;

/// Networks of each operator that tflite-micro must have answered.
const LEAST_ANSWERED: usize = 200;

/// Networks of each operator whose answers are kept in the repository.
const KEPT: u64 = 3;

/// A byte as the graph has it, and back.
fn turn(element: Element, byte: u8) -> u8 {
    if element == Element::Uint8 { byte ^ 0x80 } else { byte }
}

/// The golden model's outputs, as bytes, one behind the other.
fn golden(case: &Case) -> Result<Vec<u8>, String> {
    let graph = import(&case.model.bytes(), "case").map_err(|error| error.to_string())?;
    let mut golden = Golden::new(&graph).map_err(|error| error.to_string())?;
    let [input, output] = [&graph.inputs, &graph.outputs].map(|ids| graph.tensors[ids[0].0].element);
    let mut answers = Vec::new();
    for bytes in &case.inputs {
        let elements: Vec<i8> = bytes.iter().map(|&byte| turn(input, byte) as i8).collect();
        let answer = golden.run(&elements).map_err(|error| error.to_string())?;
        answers.extend(answer.into_iter().map(|element| turn(output, element as u8)));
    }
    Ok(answers)
}

/// What differs first, in words.
fn difference(case: &Case, expected: &[u8], seed: u64) -> Option<String> {
    let got = match golden(case) {
        Ok(got) => got,
        Err(error) => return Some(format!("seed {seed}: refused: {error}")),
    };
    if got == expected {
        return None;
    }
    let different = got.iter().zip(expected).filter(|(got, expected)| got != expected).count();
    let first = got.iter().zip(expected).position(|(got, expected)| got != expected).unwrap_or(0);
    Some(format!(
        "seed {seed}: {different} of {} bytes differ, {} given; the first is {first}: {:?}, tflite-micro {:?}\n{:?}",
        expected.len(),
        got.len(),
        got.get(first),
        expected.get(first),
        case.model.operators
    ))
}

/// tflite-micro's outputs of each case, `None` for a network that it refuses; `None` with a message where it is not installed.
fn answers(cases: &[Case]) -> Option<Vec<Option<Vec<u8>>>> {
    let questions = cases.iter().map(|case| Question { model: case.model.bytes(), inputs: &case.inputs });
    reference::answers("answer_with_tflm.py", "tflite", &questions.collect::<Vec<_>>())
}

#[test]
fn every_operator_answers_as_tflite_micro() {
    let of = |operator: usize| (0..NETWORKS).map(move |seed| case(operator, seed));
    let cases: Vec<Case> = (0..OPERATORS.len()).flat_map(of).collect();
    let Some(answers) = answers(&cases) else { return };
    let mut failures = String::new();
    let count = NETWORKS as usize;
    for ((name, _), (cases, answers)) in OPERATORS.iter().zip(cases.chunks(count).zip(answers.chunks(count))) {
        let answered = answers.iter().flatten().count();
        let seen = cases.iter().zip(answers).zip(0..);
        let different: Vec<String> =
            seen.filter_map(|((case, answer), seed)| difference(case, answer.as_ref()?, seed)).collect();
        println!("{name}: {answered} networks answered, {} differ", different.len());
        if let Some(first) = different.first() {
            writeln!(failures, "{name}: {} of {answered} differ; {first}", different.len()).unwrap();
        }
        if answered < LEAST_ANSWERED {
            writeln!(failures, "{name}: tflite-micro answers {answered} of {NETWORKS} networks").unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_operator_answers_as_tflite_micro_once_did() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/operators.txt");
    if std::env::var_os("LPU_UPDATE_VECTORS").is_some() {
        let mut text = String::new();
        for (operator, (name, _)) in OPERATORS.iter().enumerate() {
            let cases: Vec<Case> = (0..KEPT).map(|seed| case(operator, seed)).collect();
            let answers = answers(&cases).expect("tflite-micro is needed to renew its answers");
            for (seed, answer) in (0..).zip(answers) {
                let hex: String = answer.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "{name} {seed} {hex}").unwrap();
            }
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let mut compared = 0;
    for line in text.lines() {
        let [name, seed, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let operator = OPERATORS.iter().position(|(operator, _)| *operator == name).unwrap();
        let seed = seed.parse().unwrap();
        let digits = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
        let expected: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
        assert_eq!(difference(&case(operator, seed), &expected, seed), None, "{name}");
        compared += 1;
    }
    assert_eq!(compared, OPERATORS.len() * KEPT as usize);
}

/// The operators that have a lowering.
const LOWERED: [&str; 20] = [
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "ADD",
    "MUL",
    "MEAN",
    "SOFTMAX",
    "LOGISTIC",
    "RELU",
    "RELU6",
    "QUANTIZE",
    "RESHAPE",
    "PAD",
    "CONCATENATION",
    "SPLIT",
    "SPLIT_V",
    "STRIDED_SLICE",
    "ASSIGN_VARIABLE",
];

/// A machine with room for any of the random networks.
fn roomy() -> Configuration {
    Configuration {
        weight_depth: 1 << 15,
        vector_depth: 1 << 13,
        scale_depth: 1 << 12,
        queue_depth: 1 << 12,
        lookup: true,
        ..Configuration::default()
    }
}

/// Compiles a case, has it checked, and runs its inputs on the cycle model: outputs of the golden model, cycles predicted. `None`
/// for a network that the importer refuses.
fn on_the_cycle_model(case: &Case) -> Option<Result<(), String>> {
    let graph = import(&case.model.bytes(), "case").ok()?;
    let element = graph.tensors[graph.inputs[0].0].element;
    let bytes = |input: &Vec<u8>| input.iter().map(|&byte| turn(element, byte) as i8).collect();
    let inputs: Vec<Vec<i8>> = case.inputs.iter().map(bytes).collect();
    // What reads channel by channel may take sums of multipliers, and a softmax is the machine's or the host's.
    let by_channel =
        |operator: &Operator| matches!(operator.kind, OperatorKind::DepthwiseConvolution(_) | OperatorKind::Pool(_));
    let mut machines = vec![roomy()];
    if graph.operators.iter().any(by_channel) {
        machines.push(Configuration { separate_sums: true, ..roomy() });
    }
    if graph.operators.iter().any(|operator| matches!(operator.kind, OperatorKind::Softmax(_))) {
        machines.push(Configuration { softmax_tables: 1, ..roomy() });
    }
    let run = |machine: &Configuration| {
        let program = compile_and_check(&graph, machine)?;
        if graph.states.is_empty() {
            model_agrees(&graph, &program, &inputs)
        } else {
            steps_agree(&graph, &program, &inputs)
        }
    };
    Some(machines.iter().try_for_each(|machine| run(machine).map_err(|error| error.to_string())))
}

#[test]
fn every_lowered_operator_answers_on_the_cycle_model_as_on_the_golden_model() {
    let mut failures = String::new();
    for name in LOWERED {
        let operator = OPERATORS.iter().position(|(operator, _)| *operator == name).unwrap();
        let cases = (0..NETWORKS).filter_map(|seed| Some((seed, on_the_cycle_model(&case(operator, seed))?)));
        let answers: Vec<(u64, Result<(), String>)> = cases.collect();
        println!("{name}: {} networks on the cycle model", answers.len());
        if answers.len() < LEAST_ANSWERED {
            writeln!(failures, "{name}: only {} networks", answers.len()).unwrap();
        }
        let wrong = answers.iter().filter(|(_, answer)| answer.is_err()).count();
        if let Some((seed, Err(error))) = answers.iter().find(|(_, answer)| answer.is_err()) {
            writeln!(failures, "{name}: {wrong} of {} are wrong; seed {seed}: {error}", answers.len()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Why softmax has a unit of its own (decision 9): what passes between units has 16 bits, and its sum needs more.
#[test]
fn a_softmax_whose_sum_has_sixteen_bits_is_another_function() {
    use lpu_isa::arithmetic::softmax::Softmax;
    let softmax = Softmax::new(0.1, 1.0).unwrap();
    let mut random = lpu_tests::random::Random::new(7);
    let rows = 100_000;
    for bits in [8, 12, 16, 20, 24] {
        let mut different = 0;
        for _ in 0..rows {
            let row: Vec<i32> = (0..10).map(|_| i32::from(random.byte())).collect();
            let largest = row.iter().copied().max().unwrap();
            let exponentials: Vec<i32> =
                row.iter().filter_map(|element| softmax.exponential(element - largest)).collect();
            let sum: i32 = exponentials.iter().map(|&value| Softmax::summand(value)).sum();
            let shift = (32 - sum.leading_zeros()).saturating_sub(bits);
            let rounded = (sum + (1 << shift >> 1)) >> shift << shift;
            let output = |sum: i32| exponentials.iter().map(move |&value| Softmax::output(value, sum));
            different += usize::from(output(sum).ne(output(rounded)));
        }
        println!("a sum of {bits} bits: {different} of {rows} rows of ten elements come out different");
        assert!(different > 0 || bits > 16);
    }
}
