//! How far the graph's integers are from ONNX's floating point, measured with onnxruntime.
//!
//! onnxruntime comes from the Python package index (`scripts/setup --reference`). Where it is not installed the comparison says that it
//! is skipped; answers that it once gave stand in `tests/vectors/onnx.txt` and are compared everywhere. `LPU_UPDATE_VECTORS=1` writes
//! that file again.

use std::fmt::Write;
use std::path::Path;

use lpu_compiler::graph::{Element, OperatorKind};
use lpu_compiler::import::import;
use lpu_sim::golden::Golden;
use lpu_tests::onnx_writer::twin;
use lpu_tests::operators::{Case, OPERATORS, case};
use lpu_tests::reference::{self, Question};

/// Networks of each operator.
const NETWORKS: u64 = 240;

/// Networks of each operator whose answers are kept.
const KEPT: u64 = 2;

/// Steps of the output that an operator's integers may be away from ONNX's floating point (`docs/onnx.md`).
fn bound(operator: &str) -> usize {
    if operator == "LOGISTIC" { 2 } else { 1 }
}

/// Whether a sum could leave 32 bits while it is scaled, which wraps: its scale shifts it to the left.
fn may_wrap(model: &[u8]) -> bool {
    let graph = import(model, "net").unwrap();
    graph.operators.iter().any(|operator| {
        let accumulation = match &operator.kind {
            OperatorKind::FullyConnected(layer) => &layer.accumulation,
            OperatorKind::Convolution(layer) => &layer.accumulation,
            OperatorKind::DepthwiseConvolution(layer) => &layer.accumulation,
            _ => return false,
        };
        accumulation.scales.iter().any(|scale| scale.shift > 0)
    })
}

/// A network of one operator in ONNX, and what it is asked.
struct Asked {
    seed: u64,
    case: Case,
    model: Vec<u8>,
}

/// The first `count` networks of an operator that ONNX has.
fn asked(operator: usize, count: u64) -> Vec<Asked> {
    let of = |seed| {
        let case = case(operator, seed);
        let model = twin(&case.model)?.bytes();
        import(&model, "net").ok().filter(|_| !may_wrap(&model)).map(|_| Asked { seed, case, model })
    };
    (0..count).filter_map(of).collect()
}

fn answers(asked: &[Asked]) -> Option<Vec<Option<Vec<u8>>>> {
    let questions = asked.iter().map(|asked| Question { model: asked.model.clone(), inputs: &asked.case.inputs });
    reference::answers("answer_with_onnxruntime.py", "onnx", &questions.collect::<Vec<_>>())
}

/// How many outputs are so many steps away, by the number of steps.
fn distances(asked: &Asked, answer: &[u8]) -> Vec<u64> {
    let graph = import(&asked.model, "net").unwrap();
    let mut golden = Golden::new(&graph).unwrap();
    let [input, output] = [&graph.inputs, &graph.outputs].map(|ids| graph.tensors[ids[0].0].element);
    let turn = |element: Element, byte: u8| if element == Element::Uint8 { byte ^ 0x80 } else { byte };
    let mut found = Vec::new();
    for bytes in &asked.case.inputs {
        let elements: Vec<i8> = bytes.iter().map(|&byte| turn(input, byte) as i8).collect();
        found.extend(golden.run(&elements).unwrap());
    }
    assert_eq!(found.len(), answer.len());
    let mut counts = Vec::new();
    for (found, &wanted) in found.into_iter().zip(answer) {
        let distance = (i32::from(found) - i32::from(turn(output, wanted) as i8)).unsigned_abs() as usize;
        counts.resize(counts.len().max(distance + 1), 0);
        counts[distance] += 1;
    }
    counts
}

#[test]
fn integers_are_within_a_step_of_floating_point() {
    let mut failures = String::new();
    println!("{:20}{:>10}{:>12}{:>12}{:>10}", "operator", "networks", "outputs", "differ", "furthest");
    for (operator, (name, _)) in OPERATORS.iter().enumerate() {
        let asked = asked(operator, NETWORKS);
        let Some(answers) = answers(&asked) else { return };
        let (mut networks, mut sum) = (0, Vec::<u64>::new());
        for (asked, answer) in asked.iter().zip(answers) {
            let Some(answer) = answer else { continue };
            networks += 1;
            let counts = distances(asked, &answer);
            if counts.len() > bound(name) + 1 {
                writeln!(failures, "{name} {}: {counts:?}", asked.seed).unwrap();
            }
            sum.resize(sum.len().max(counts.len()), 0);
            counts.iter().zip(&mut sum).for_each(|(count, sum)| *sum += count);
        }
        let (outputs, same) = (sum.iter().sum::<u64>(), sum.first().copied().unwrap_or(0));
        println!("{name:20}{networks:10}{outputs:12}{:12}{:10}", outputs - same, sum.len().saturating_sub(1));
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn integers_are_within_a_step_of_the_floating_point_kept() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/onnx.txt");
    if std::env::var_os("LPU_UPDATE_VECTORS").is_some() {
        let mut text = String::new();
        for (operator, (name, _)) in OPERATORS.iter().enumerate() {
            let asked = asked(operator, 12);
            let answers = answers(&asked).expect("onnxruntime is needed to renew its answers");
            let known = asked.iter().zip(answers).filter_map(|(asked, answer)| Some((asked.seed, answer?)));
            for (seed, answer) in known.take(KEPT as usize) {
                let hex: String = answer.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "{name} {seed} {hex}").unwrap();
            }
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        let [name, seed, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let operator = OPERATORS.iter().position(|(operator, _)| *operator == name).unwrap();
        let seed: u64 = seed.parse().unwrap();
        let asked = asked(operator, seed + 1).pop().unwrap();
        let digits = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
        let answer: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
        assert!(distances(&asked, &answer).len() <= bound(name) + 1, "{name} {seed}");
    }
    assert!(text.lines().count() >= 30);
}
