//! Vector unit: lane-wise arithmetic on one or two streams. That of a machine with extensions is
//! [`extended_vector_unit`](super::extended_vector_unit).

use super::fields::Fields;
use super::queue::queue;
use super::sequencer::{self, Shape};
use super::softmax::{Control, softmax};
use super::{LoadBus, address_bits, bit, copied, follow_valid, held_if, picked, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, select};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::host::Memory;
use lpu_isa::instruction::{Function, Unit};
use lpu_isa::latency::Latency;
use lpu_isa::stages::VectorStage;
use std::sync::Arc;

/// One lane of the vector unit.
fn vector_lane(function_bits: usize, configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let element = Type::signed(ELEMENT_BITS as usize);
    let wide = ELEMENT_BITS as usize + 1;
    let mut m = ModuleBuilder::new("vector_lane");
    m.describe("One lane of the vector unit: a function of two elements, clamped to minimum..maximum.");
    let cycles = VectorStage::cycles_of_all(configuration) as usize;
    m.latency("valid and operands to result", cycles);
    m.section("Operands");
    let a = m.input("a", element);
    let b = m.input("b", element);
    m.section("Control");
    let valid = m.input("valid", bit());
    let function = m.input("function_code", Type::bits(function_bits));
    let minimum = m.input("minimum", element);
    let maximum = m.input("maximum", element);
    m.section("Result");
    let result = m.output("result", element);
    let follow = follow_valid(&mut m, &valid, cycles - 1);
    // When the registers of a stage take a value over, if it has any.
    let at = |stage: VectorStage| {
        let begin = stage.begin(configuration) as usize;
        let begins = if begin == 0 { Expr::from(&valid) } else { follow.bit(begin - 1) };
        (stage.cycles(configuration) > 0).then_some(begins)
    };
    let (operands, candidates) = (at(VectorStage::Operands), at(VectorStage::Candidates));
    let operand = |m: &mut ModuleBuilder, name: &str, operand: &Signal| {
        Expr::from(&held_if(m, name, operands.as_ref(), Expr::from(operand)))
    };
    let a = operand(&mut m, "a_q", &a);
    let b = operand(&mut m, "b_q", &b);
    m.section("Candidates");
    let mut candidate = |name: &str, value: Expr| Expr::from(&held_if(&mut m, name, candidates.as_ref(), value));
    let sum = candidate("sum", a.add_wide(&b));
    let difference = candidate("difference", a.sub_wide(&b));
    let b_is_larger = candidate("b_is_larger", b.greater_than(&a));
    let a = candidate("a_qq", a).extend(wide);
    let b = candidate("b_qq", b).extend(wide);
    m.section("Choice");
    let value = |function: Function| match function {
        // Only an extended vector unit multiplies.
        Function::Pass | Function::Multiply => a.clone(),
        Function::Add => sum.clone(),
        Function::Subtract => difference.clone(),
        Function::Maximum => b_is_larger.choose(&b, &a),
        Function::Minimum => b_is_larger.choose(&a, &b),
    };
    let values: Vec<Expr> = Function::PLAIN.iter().map(|&(function, _)| value(function)).collect();
    let value = held_if(&mut m, "value", at(VectorStage::Value).as_ref(), select(Expr::from(&function), &values));
    let enables = [at(VectorStage::Compared), at(VectorStage::Clamped)];
    let clamped = super::clamp(&mut m, enables, &Expr::from(&value), [&minimum, &maximum], None);
    m.drive(&result, Expr::from(&clamped));
    m.finish()
}

/// The vector unit.
///
/// # Errors
/// None for a checked configuration.
pub fn vector_unit(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::Vector;
    let latency = Latency::of(configuration);
    let element = ELEMENT_BITS as usize;
    let word_type = Type::bits(configuration.stream_elements as usize * element);
    let source_type = Type::bits(configuration.crossbar_sources() as usize);
    let mut m = ModuleBuilder::new("vector_unit");
    m.describe("Lane-wise arithmetic on two streams, or on a stream and a constant.");
    m.latency("step to result", latency.vector_unit as usize);
    if let Some(softmax) = latency.softmax {
        m.latency("step to result of a softmax", softmax.word as usize);
    }
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(configuration.queue_address_bits() as usize));
    let halted = m.output("halted", bit());
    m.section("Streams");
    let source_a = m.output("source_a", source_type);
    let source_b = m.output("source_b", source_type);
    let a = m.input("a", word_type);
    let b = m.input("b", word_type);
    let result = m.output("result", word_type);
    let load = LoadBus::ports(&mut m, configuration, unit, "queue");
    let has_softmax = configuration.has_softmax();
    let exponentials: Vec<(&str, Expr)> = if has_softmax {
        let memory = Memory::Exponentials;
        let ports = [
            ("load_enable", 1),
            ("load_address", address_bits(memory.words(configuration))),
            ("load_word", memory.bits(configuration) as usize),
        ];
        ports.map(|(name, bits)| (name, m.input(&format!("exponentials_{name}"), Type::bits(bits)).into())).into()
    } else {
        Vec::new()
    };

    m.section("Program");
    let queue = m.instance("queue", &queue(unit, configuration)?, load.queue(&start, &entry, None))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, &queue);
    let shape =
        Shape { address_bits: 0, end_of_level_0: false, run_edges: has_softmax, instruction_edges: has_softmax };
    let sequencer = sequencer::place(&mut m, "sequencer", shape, &run, &fields)?;
    let pick_a = picked(&mut m, &fields, &run, "source_a", configuration);
    let pick_b = picked(&mut m, &fields, &run, "source_b", configuration);
    m.drive(&source_a, Expr::from(&pick_a));
    m.drive(&source_b, Expr::from(&pick_b));
    let crossing = latency.crossbar as usize;
    let step = Expr::from(&sequencer.output("step"));
    let of_softmax = has_softmax.then(|| fields.follow(&mut m, &run, "softmax", 0));
    let plain = of_softmax.as_ref().map_or(step.clone(), |of_softmax| step.and(of_softmax.not()));
    let valid = m.delay("valid", plain, crossing);
    let mut follow = |name: &str, stage: usize| fields.follow(&mut m, &run, name, crossing + stage);
    let use_constant = follow("use_constant", 0);
    let constant = follow("constant", 0);
    let begin = |stage: VectorStage| stage.begin(configuration) as usize;
    let copy = spare_registers(configuration);
    let function = follow("function", begin(VectorStage::Value) - copy);
    let minimum = follow("minimum", begin(VectorStage::Compared) - copy);
    let maximum = follow("maximum", begin(VectorStage::Compared) - copy);
    m.section("Lanes");
    let lane_module = vector_lane(function.width(), configuration)?;
    let mut results: Vec<Expr> = Vec::new();
    for lane in 0..configuration.stream_elements as usize {
        let of = |word: &Signal| Expr::from(word).slice(lane * element, element).as_signed();
        let mut own =
            |name: &str, value: &Expr| copied(&mut m, configuration, &format!("{name}_of_lane_{lane}"), value);
        let (function, minimum, maximum) =
            (own("function", &function)?, own("minimum", &minimum)?, own("maximum", &maximum)?);
        let instance = m.instance(
            &format!("lane_{lane}"),
            &lane_module,
            vec![
                ("valid", Expr::from(&valid)),
                ("a", of(&a)),
                ("b", use_constant.choose(&constant, of(&b))),
                ("function_code", function),
                ("minimum", minimum),
                ("maximum", maximum),
            ],
        )?;
        results.push(Expr::from(&instance.output("result")).as_bits());
    }
    results.reverse();
    let mut word = concat(&results);
    if let Some(of_softmax) = of_softmax {
        m.section("Softmax");
        let control = Control::of(&mut m, &step.and(of_softmax), &sequencer, crossing);
        let mut connections = exponentials;
        for (port, name) in [("length", "length"), ("table_number", "table")] {
            connections.push((port, fields.follow(&mut m, &run, name, crossing)));
        }
        connections.extend([
            ("valid", control.valid),
            ("first", control.first),
            ("sums", control.sums),
            ("delivers", control.delivers),
            ("word", Expr::from(&a)),
        ]);
        let instance = m.instance("softmax", &softmax(configuration)?, connections)?;
        word = Expr::from(&instance.output("delivered")).choose(instance.output("result"), word);
    }
    m.drive(&result, word);
    m.finish()
}
