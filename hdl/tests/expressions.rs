//! Random expressions over all operators, widths and signs mean in the emitted Verilog what they mean here.
//!
//! Each case is a batch of random modules, built with Verilator's `-Wall` (any warning fails) and run on random inputs.
//! The reference is the small evaluator below; it knows nothing of the layer.

#![allow(clippy::unwrap_used)]

mod support;

use lpu_hdl::layer::{Design, Expr, Module, ModuleBuilder, Type, concat, literal, select};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::{Verilator, transcript};

/// A number with a type: the reference's idea of a value. `bits` has nothing above the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Value {
    bits: u128,
    ty: Type,
}

fn mask(width: usize) -> u128 {
    u128::MAX >> (128 - width)
}

impl Value {
    fn new(bits: u128, ty: Type) -> Self {
        Value { bits: bits & mask(ty.width()), ty }
    }

    /// The number, sign included, modulo 2^128.
    fn number(self) -> u128 {
        let width = self.ty.width();
        if self.ty.is_signed() && self.bits >> (width - 1) == 1 { self.bits | !mask(width) } else { self.bits }
    }

    fn below(self, other: Value) -> bool {
        if self.ty.is_signed() {
            self.number().cast_signed() < other.number().cast_signed()
        } else {
            self.bits < other.bits
        }
    }

    fn shifted_down(self, count: u128) -> Value {
        let count = u32::try_from(count.min(127)).unwrap();
        let number = if self.ty.is_signed() {
            (self.number().cast_signed() >> count).cast_unsigned()
        } else {
            self.bits >> count
        };
        Value::new(number, self.ty)
    }
}

/// One step of a random program: an operator and where its operands come from.
#[derive(Debug, Clone, Copy)]
struct Step {
    operator: u8,
    a: u8,
    b: u8,
    c: u8,
    parameter: u64,
}

#[derive(Debug, Clone)]
struct Program {
    inputs: Vec<Type>,
    steps: Vec<Step>,
    stimuli: Vec<Vec<u64>>,
}

fn input_type() -> impl Strategy<Value = Type> {
    let width = prop_oneof![Just(1_usize), Just(2), 1..=16_usize, 1..=64_usize];
    (width, any::<bool>()).prop_map(|(width, signed)| if signed { Type::signed(width) } else { Type::bits(width) })
}

/// Numbers with an eye to the ends of ranges.
fn stimulus() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), 0..4_u64, (0..64_u32).prop_map(|bit| 1 << bit)]
}

fn program() -> impl Strategy<Value = Program> {
    let step = (0..OPERATORS, any::<u8>(), any::<u8>(), any::<u8>(), stimulus())
        .prop_map(|(operator, a, b, c, parameter)| Step { operator, a, b, c, parameter });
    let inputs = prop::collection::vec(input_type(), 2..5);
    let stimuli = prop::collection::vec(prop::collection::vec(stimulus(), 4), 16);
    (inputs, prop::collection::vec(step, 1..20), stimuli).prop_map(|(inputs, steps, stimuli)| Program {
        inputs,
        steps,
        stimuli,
    })
}

const OPERATORS: u8 = 36;

/// A value in both worlds: as the layer describes it, and as the reference computes it for each stimulus.
#[derive(Clone)]
struct Both {
    expr: Expr,
    values: Vec<Value>,
    used: bool,
}

impl Both {
    fn ty(&self) -> Type {
        self.values[0].ty
    }

    fn map(&self, expr: Expr, f: impl Fn(Value) -> Value) -> Both {
        Both { expr, values: self.values.iter().map(|value| f(*value)).collect(), used: false }
    }

    fn zip(&self, other: &Both, expr: Expr, f: impl Fn(Value, Value) -> Value) -> Both {
        let pairs = self.values.iter().zip(&other.values);
        Both { expr, values: pairs.map(|(a, b)| f(*a, *b)).collect(), used: false }
    }

    fn resized(&self, width: usize) -> Both {
        let ty = self.ty().with_width(width);
        let expr = if width > self.ty().width() { self.expr.extend(width) } else { self.expr.truncate(width) };
        self.map(expr, |value| Value::new(value.number(), ty))
    }

    fn with_sign(&self, signed: bool) -> Both {
        let width = self.ty().width();
        if signed {
            self.map(self.expr.as_signed(), |value| Value::new(value.bits, Type::signed(width)))
        } else {
            self.map(self.expr.as_bits(), |value| Value::new(value.bits, Type::bits(width)))
        }
    }

    fn as_type(&self, ty: Type) -> Both {
        self.with_sign(ty.is_signed()).resized(ty.width())
    }

    fn condition(&self) -> Both {
        self.map(self.expr.any(), |value| bit(value.bits != 0))
    }
}

fn bit(value: bool) -> Value {
    Value::new(u128::from(value), Type::bits(1))
}

/// Bits of the widest first operand.
const WIDEST_OPERAND: usize = 88;

/// Applies one operator in both worlds.
fn apply(step: Step, pool: &[Both], builder: &mut ModuleBuilder, index: usize) -> Both {
    let pick = |position: u8| &pool[usize::from(position) % pool.len()];
    // The reference counts in 128 bits: an operand leaves room for 40 more, the widest that an operator puts beside it.
    let a = &pick(step.a).resized(pick(step.a).ty().width().min(WIDEST_OPERAND));
    let ty = a.ty();
    let width = ty.width();
    let b = pick(step.b).as_type(ty);
    let c = pick(step.c);
    let number = usize::try_from(step.parameter % 1000).unwrap();
    let wrapped = |f: fn(u128, u128) -> u128| move |x: Value, y: Value| Value::new(f(x.number(), y.number()), x.ty);
    let wide = |f: fn(u128, u128) -> u128| {
        move |x: Value, y: Value| Value::new(f(x.number(), y.number()), x.ty.with_width(x.ty.width() + 1))
    };
    let (ea, eb) = (&a.expr, &b.expr);
    match step.operator {
        0 => a.zip(&b, ea.add(eb), wrapped(u128::wrapping_add)),
        1 => a.zip(&b, ea - eb, wrapped(u128::wrapping_sub)),
        2 => a.zip(&b, ea.add_wide(eb), wide(u128::wrapping_add)),
        3 => a.zip(&b, ea.sub_wide(eb), wide(u128::wrapping_sub)),
        4 | 5 => {
            let (a, c) = (a.resized(width.min(60)), c.with_sign(ty.is_signed()));
            let c = c.resized(c.ty().width().min(60));
            a.zip(&c, a.expr.mul(&c.expr), |x, y| {
                let ty = x.ty.with_width(x.ty.width() + y.ty.width());
                Value::new(x.number().wrapping_mul(y.number()), ty)
            })
        }
        6 => a.zip(&b, ea & eb, wrapped(|x, y| x & y)),
        7 => a.zip(&b, ea.or(eb), wrapped(|x, y| x | y)),
        8 => a.zip(&b, ea ^ eb, wrapped(|x, y| x ^ y)),
        9 => a.map(!ea, |x| Value::new(!x.bits, x.ty)),
        10 => a.map(ea.negate(), |x| Value::new(x.number().wrapping_neg(), x.ty)),
        11 => a.zip(&b, ea.equals(eb), |x, y| bit(x == y)),
        12 => a.zip(&b, ea.not_equals(eb), |x, y| bit(x != y)),
        13 => a.zip(&b, ea.less_than(eb), |x, y| bit(x.below(y))),
        14 => a.zip(&b, ea.less_equal(eb), |x, y| bit(!y.below(x))),
        15 => a.zip(&b, ea.greater_than(eb), |x, y| bit(y.below(x))),
        16 => a.zip(&b, ea.greater_equal(eb), |x, y| bit(!x.below(y))),
        17 => {
            let count = number % 9;
            a.map(ea.shift_left(count), |x| Value::new(x.bits << count, x.ty.with_width(x.ty.width() + count)))
        }
        18 => {
            let count = number % width;
            a.map(ea.shift_right(count), |x| x.shifted_down(count as u128))
        }
        19 | 20 => {
            let count = c.with_sign(false).resized(c.ty().width().min(1 + number % 8));
            if step.operator == 19 {
                a.zip(&count, ea.shift_left_by(&count.expr), |x, y| {
                    Value::new(if y.bits > 127 { 0 } else { x.bits << y.bits }, x.ty)
                })
            } else {
                a.zip(&count, ea.shift_right_by(&count.expr), |x, y| {
                    if y.bits > 127 && !x.ty.is_signed() { Value::new(0, x.ty) } else { x.shifted_down(y.bits) }
                })
            }
        }
        21 | 22 => {
            let lsb = number % width;
            let count = 1 + number / 7 % (width - lsb);
            a.map(ea.slice(lsb, count), |x| Value::new(x.bits >> lsb, Type::bits(count)))
        }
        23 => {
            let position = number % width;
            a.map(ea.bit(position), |x| Value::new(x.bits >> position, Type::bits(1)))
        }
        24 => a.resized(width + number % 20),
        25 => a.resized(1 + number % width),
        26 => a.with_sign(!ty.is_signed()),
        27 | 28 => {
            let condition = c.condition();
            let chosen = a.zip(&b, condition.expr.choose(ea, eb), |x, _| x);
            let values = condition.values.iter().zip(a.values.iter().zip(&b.values));
            Both { values: values.map(|(c, (x, y))| if c.bits == 1 { *x } else { *y }).collect(), ..chosen }
        }
        29 => a.map(ea.any(), |x| bit(x.bits != 0)),
        30 => a.map(ea.all(), |x| bit(x.bits == mask(x.ty.width()))),
        31 => {
            let count = 1 + number % (96 / width).clamp(1, 5);
            a.map(ea.repeat(count), |x| {
                let copies = (0..count).map(|copy| x.bits << (copy * x.ty.width()));
                Value::new(copies.fold(0, |all, copy| all | copy), Type::bits(count * x.ty.width()))
            })
        }
        32 => {
            let c = c.resized(c.ty().width().min(40));
            a.zip(&c, concat(&[ea.clone(), c.expr.clone()]), |x, y| {
                let low = y.ty.width();
                Value::new(x.bits << low | y.bits, Type::bits(x.ty.width() + low))
            })
        }
        33 => selection(a, &b, c, number),
        34 => {
            let constant = Value::new(u128::from(step.parameter), ty);
            a.map(literal(constant.number().cast_signed(), ty), |_| constant)
        }
        _ => {
            let named = builder.wire(&format!("step_{index}"), ea);
            builder.unused(&named);
            a.map(named.into(), |x| x)
        }
    }
}

/// `select` over choices made of `a` and `b`, with an index that may lie beyond the list.
fn selection(a: &Both, b: &Both, c: &Both, number: usize) -> Both {
    let index = c.with_sign(false);
    let addressable = 1 << index.ty().width().min(3);
    let count = 1 + number % addressable;
    let choices: Vec<Both> = (0..count)
        .map(|position| match position % 3 {
            0 => a.clone(),
            1 => b.clone(),
            _ => a.map(a.expr.not(), |x| Value::new(!x.bits, x.ty)),
        })
        .collect();
    let exprs: Vec<Expr> = choices.iter().map(|choice| choice.expr.clone()).collect();
    let values = index.values.iter().enumerate().map(|(stimulus, index)| {
        let position = usize::try_from(index.bits).unwrap_or(usize::MAX).min(count - 1);
        choices[position].values[stimulus]
    });
    Both { expr: select(&index.expr, &exprs), values: values.collect(), used: false }
}

/// The program as a module, with what each output must be for each stimulus. Outputs have at most 64 bits.
fn describe(program: &Program, name: &str) -> (Arc<Module>, Vec<Vec<u64>>) {
    let mut builder = ModuleBuilder::new(name);
    let mut pool: Vec<Both> = Vec::new();
    for (index, ty) in program.inputs.iter().enumerate() {
        let input = builder.input(&format!("in_{index}"), *ty);
        builder.unused(&input);
        let values = program.stimuli.iter().map(|s| Value::new(s[index].into(), *ty));
        pool.push(Both { expr: input.into(), values: values.collect(), used: false });
    }
    for (index, step) in program.steps.iter().enumerate() {
        for operand in [step.a, step.b, step.c] {
            let position = usize::from(operand) % pool.len();
            pool[position].used = true;
        }
        let mut result = apply(*step, &pool, &mut builder, index);
        assert_eq!(result.expr.ty(), result.ty(), "type after {step:?}");
        if result.ty().width() > 100 {
            result = result.resized(64);
        }
        pool.push(result);
    }
    // Only values that nothing else uses leave the module: all others stay inside larger expressions.
    let mut expected = Vec::new();
    for result in pool.iter().skip(program.inputs.len()).filter(|value| !value.used) {
        let width = result.ty().width();
        for lsb in (0..width).step_by(64) {
            let part = Type::bits(64.min(width - lsb));
            let port = builder.output(&format!("out_{}", expected.len()), part);
            if width <= 64 {
                let expr = if result.ty().is_signed() { result.expr.as_bits() } else { result.expr.clone() };
                builder.drive(&port, expr);
            } else {
                builder.drive(&port, result.expr.slice(lsb, part.width()));
            }
            expected.push(result.values.iter().map(|value| (value.bits >> lsb & mask(part.width())) as u64).collect());
        }
    }
    (builder.finish().unwrap(), expected)
}

/// A main that sets the inputs of each line and prints the outputs.
fn harness(top: &Module) -> String {
    let mut text = String::from(
        "#include \"Vtop.h\"\n#include \"verilated.h\"\n#include <cstdio>\nint main() {\n  VerilatedContext context;\n  \
         context.threads(1);\n  Vtop top{&context};\n  unsigned long long value;\n  for (;;) {\n",
    );
    for port in top.inputs() {
        let _ = writeln!(text, "    if (std::scanf(\"%llx\", &value) != 1) break;\n    top.{} = value;", port.name());
    }
    text.push_str("    top.eval();\n");
    for port in top.outputs() {
        let _ = writeln!(text, "    std::printf(\"%llx \", (unsigned long long)top.{});", port.name());
    }
    text.push_str("    std::printf(\"\\n\");\n  }\n  top.final();\n}\n");
    text
}

/// All programs below one top, so that one build runs them all.
fn check(verilator: &Verilator, programs: &[Program]) -> Result<(), TestCaseError> {
    let mut top = ModuleBuilder::new("top");
    let mut expected = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        let (module, values) = describe(program, "sample");
        let mut connections = Vec::new();
        for port in module.inputs() {
            let name = format!("p{index}_{}", port.name());
            let input = top.input(&name, Type::bits(port.ty().width()));
            let expr = if port.ty().is_signed() { input.as_signed() } else { input.into() };
            connections.push((port.name(), expr));
        }
        let instance = top.instance(&format!("sample_{index}"), &module, connections).unwrap();
        for port in module.outputs() {
            let output = top.output(&format!("p{index}_{}", port.name()), port.ty());
            top.drive(&output, instance.output(port.name()));
        }
        expected.extend(values);
    }
    let top = top.finish().unwrap();
    let design = Design::new(Arc::clone(&top)).unwrap();

    let directory = tempfile::tempdir().unwrap();
    design.write_to(directory.path()).unwrap();
    std::fs::write(directory.path().join("main.cpp"), harness(&top)).unwrap();
    let built = verilator.run(
        directory.path(),
        &[
            "--cc",
            "--exe",
            "--build",
            "-Wall",
            // Random operands make comparisons that are constant after all (x - x <= y): not the layer's doing.
            "-Wno-UNSIGNED",
            "-Wno-CMPCONST",
            "--top-module",
            "top",
            "-y",
            "rtl",
            "rtl/top.v",
            "main.cpp",
            "-MAKEFLAGS",
            support::MAKE_FLAGS,
        ],
    );
    let keep = |why: &str| -> String {
        let kept = std::env::temp_dir().join("lpu-hdl-expressions");
        let _ = std::fs::remove_dir_all(&kept);
        design.write_to(&kept).unwrap();
        format!("{why}\n(the emitted files are in {})", kept.display())
    };
    prop_assert!(built.status.success(), "{}", keep(&transcript(&built)));

    let lines: String = (0..programs[0].stimuli.len())
        .map(|stimulus| {
            let mut line = String::new();
            for program in programs {
                for (index, ty) in program.inputs.iter().enumerate() {
                    let value = program.stimuli[stimulus][index] & (u64::MAX >> (64 - ty.width()));
                    let _ = write!(line, "{value:x} ");
                }
            }
            line + "\n"
        })
        .collect();
    let answers = simulate(directory.path(), &lines);
    let outputs: Vec<&str> = top.outputs().map(|port| port.name()).collect();
    for (stimulus, line) in answers.lines().enumerate() {
        for ((got, name), want) in line.split_whitespace().zip(&outputs).zip(&expected) {
            let got = u64::from_str_radix(got, 16).unwrap();
            let want = want[stimulus];
            prop_assert!(
                got == want,
                "{}",
                keep(&format!("{name} is {got:x} instead of {want:x} for stimulus {stimulus}"))
            );
        }
        prop_assert_eq!(line.split_whitespace().count(), outputs.len());
    }
    prop_assert_eq!(answers.lines().count(), programs[0].stimuli.len());
    Ok(())
}

fn simulate(directory: &Path, lines: &str) -> String {
    use std::io::Write as _;
    let mut child =
        Command::new(directory.join("obj_dir/Vtop")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn random_expressions_mean_the_same_in_verilog() {
    let Some(verilator) = Verilator::find_or_skip("the comparison of expressions with Verilog") else {
        return;
    };
    let setting = |name: &str, usual: u32| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let batch = setting("LPU_EXPRESSION_BATCH", 60) as usize;
    let config = Config {
        cases: setting("LPU_EXPRESSION_CASES", 2),
        max_shrink_iters: 10,
        failure_persistence: None,
        ..Config::default()
    };
    // Every case costs a C++ build, so a case is a whole batch of programs; shrinking drops programs first.
    let batches = prop::collection::vec(program(), 1..=batch);
    // The usual run is the same every time; asking for a number of cases asks for new ones.
    let mut runner = match std::env::var_os("LPU_EXPRESSION_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    runner.run(&batches, |programs| check(&verilator, &programs)).unwrap();
}
