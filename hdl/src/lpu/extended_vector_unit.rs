//! Vector unit of a machine with extensions: lanes that multiply and look up tables, scalars, reductions.

use super::extended_vector_lane::{FROM_ORIGIN, HALF_BITS, extended_vector_lane};
use super::fields::Fields;
use super::largest::{largest, largest_cycles};
use super::masking::{MASK_CYCLES, beyond};
use super::normalise::{EXPONENT_BITS, normalise};
use super::queue::queue;
use super::reduction::{half_of, reduction, sum_cycles};
use super::sequencer::{self, Shape};
use super::{
    FINE_SHIFT_BITS, LoadBus, RegisterBus, address_bits, bit, constant, copied, picked, saturate, spare_registers,
};
use crate::layer::{DesignError, Expr, Instance, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, REGISTER_BITS};
use lpu_isa::fixed_point::table::SEGMENT_BITS;
use lpu_isa::host::Memory;
use lpu_isa::instruction::{Function, Unit};
use lpu_isa::latency::{Latency, scalar_arrival};
use lpu_isa::stages::{NormaliseStage, TermStage, VectorStage};
use lpu_isa::vector::{Combine, Reduction, ScalarOperand};
use std::sync::Arc;

/// Largest shift to the left that makes a difference.
const MOST_LEFT: u64 = ELEMENT_BITS as u64 - 1;
/// Bits of a right shift.
const RIGHT_BITS: usize = 5;

/// What all parts of the unit refer to: the instruction under way and when its operands have arrived.
struct Program<'a> {
    configuration: &'a Configuration,
    fields: Fields,
    run: Signal,
    sequencer: Instance,
    /// Cycles from a step to its operands at the lanes.
    arrival: usize,
}

impl Program<'_> {
    /// The field `name`, `cycles` behind the operands' arrival.
    fn follow(&self, m: &mut ModuleBuilder, name: &str, cycles: usize) -> Expr {
        self.fields.follow(m, &self.run, name, self.arrival + cycles)
    }

    /// The same for what is worked out from fields when the instruction issues.
    fn follow_value(&self, m: &mut ModuleBuilder, name: &str, value: Expr, cycles: usize) -> Expr {
        self.fields.follow_value(m, &self.run, name, value, self.arrival + cycles)
    }

    /// Is the field `name` this code?
    fn is(&self, name: &str, code: u64) -> Expr {
        let field = self.fields.bits(name);
        field.equals(constant(code, field.width() as u32))
    }

    fn begin(&self, stage: VectorStage) -> usize {
        stage.begin(self.configuration) as usize
    }
}

/// What a beat has for all its lanes: its scalar, and the right shift that follows from it.
struct Beat {
    mantissa: Expr,
    origin: Expr,
    half_of_positive: Expr,
    half_of_negative: Expr,
    right_by_eights: Expr,
    right_rest: Expr,
}

/// A scalar on its way into the scalars' memories.
struct ScalarWrite {
    enable: Signal,
    number: Signal,
    value: Signal,
}

/// The vector unit. It writes run-time registers through `found_…`, and takes the requantiser's scalars through `largest_…`; of two scalars
/// in one cycle its own is kept, which no program may ask for.
///
/// # Errors
/// None for a checked configuration.
pub fn extended_vector_unit(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::Vector;
    let latency = Latency::of(configuration);
    let element = ELEMENT_BITS as usize;
    let lanes = configuration.stream_elements as usize;
    let word_type = Type::bits(lanes * element);
    let source_type = Type::bits(configuration.crossbar_sources() as usize);
    let [_, register_type, value_type] = RegisterBus::types(configuration);
    let scalar_type = Type::bits(address_bits(configuration.scalars()));
    let mut m = ModuleBuilder::new("extended_vector_unit");
    m.describe(
        "Lane-wise arithmetic on two streams, or on a stream and a constant or scalars: a function, a rounded shift, the sum over a run's \
         steps, a table, limits and a mask; and the reduction of an instruction's results to a scalar or to a run-time register.",
    );
    m.latency("step to result", latency.vector_unit as usize);
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
    m.section("Requantiser");
    let largest_write = m.input("largest_write", bit());
    let largest_number = m.input("largest_number", scalar_type);
    let largest_value = m.input("largest_value", Type::signed(element));
    m.section("Position");
    let found_write = m.output("found_write", bit());
    let found_number = m.output("found_number", register_type);
    let found_value = m.output("found_value", value_type);
    let load = LoadBus::ports(&mut m, configuration, unit, "queue");
    let table_load = |m: &mut ModuleBuilder, name: &str, memory: Memory| {
        let address = address_bits(memory.words(configuration));
        [("enable", 1), ("address", address), ("word", SEGMENT_BITS as usize)]
            .map(|(port, bits)| m.input(&format!("{name}_load_{port}"), Type::bits(bits)))
    };
    let tables_load = table_load(&mut m, "tables", Memory::Tables);
    let normalise_load = table_load(&mut m, "normalise", Memory::Normalise);
    let registers = RegisterBus::of_unit(&mut m, configuration)?;

    m.section("Program");
    let queue = m.instance("queue", &queue(unit, configuration)?, load.queue(&start, &entry, registers.as_ref()))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, &queue);
    fields.leave_numbers(&mut m, &["mask", "target"]);
    let shape = Shape { address_bits: REGISTER_BITS, end_of_level_0: false, run_edges: true, instruction_edges: true };
    let sequencer = sequencer::place(&mut m, "sequencer", shape, &run, &fields)?;
    m.unused(Expr::from(&sequencer.output("last")));
    let pick_a = picked(&mut m, &fields, &run, "source_a", configuration);
    let pick_b = picked(&mut m, &fields, &run, "source_b", configuration);
    m.drive(&source_a, Expr::from(&pick_a));
    m.drive(&source_b, Expr::from(&pick_b));
    let arrival = scalar_arrival(configuration) as usize;
    let program = Program { configuration, fields, run, sequencer, arrival };
    let waiting = arrival - latency.crossbar as usize;
    let a = m.delay("a_waiting", Expr::from(&a), waiting);
    let b = m.delay("b_waiting", Expr::from(&b), waiting);
    let valid = m.delay("valid", Expr::from(&program.sequencer.output("step")), arrival);

    m.section("Scalars");
    // Declared first: they come from what is done with them.
    let write = ScalarWrite {
        enable: m.register_with_reset("scalar_write", bit(), 0),
        number: m.register("scalar_number", scalar_type),
        value: m.register("scalar_value", Type::bits(element + EXPONENT_BITS as usize)),
    };
    let beats = beats(&mut m, &program, &write)?;

    m.section("Lanes");
    let results = lanes_of(&mut m, &program, &beats, &valid, [&a, &b], &tables_load)?;
    let word = m.wire("result_word", results);
    m.drive(&result, Expr::from(&word));

    m.section("Reduction");
    let all = VectorStage::cycles_of_all(configuration) as usize;
    let late = arrival + all;
    let ended = m.delay("word_valid", Expr::from(&valid), all);
    let opens = m.delay("opens", Expr::from(&program.sequencer.output("opens")), late);
    let closes = m.delay("closes", Expr::from(&program.sequencer.output("closes")), late);
    let address = m.delay("address", Expr::from(&program.sequencer.output("address")), late);
    let sum = sum_of(&mut m, &program, &ended, &opens, &word)?;
    let connections = vec![
        ("valid", Expr::from(&ended)),
        ("opens", Expr::from(&opens)),
        ("word", Expr::from(&word)),
        ("address", Expr::from(&address)),
    ];
    let largest = m.instance("largest_element", &largest(configuration, true)?, connections)?;
    let tree = largest_cycles(configuration);
    let closes = m.delay("closes_largest", Expr::from(&closes), tree);
    let is = |name: Reduction| program.is("reduction", name as u64);
    let finds = program.follow_value(&mut m, "finds", is(Reduction::ArgMax), all + tree);
    m.drive(&found_write, Expr::from(&closes).and(finds));
    let target = program.follow(&mut m, "target", all + tree);
    m.drive(&found_number, target);
    m.drive(&found_value, Expr::from(&largest.output("position")));

    m.section("Results");
    let lane = program.fields.captured("target").slice(0, lanes.ilog2() as usize);
    m.unused(
        program
            .fields
            .captured("target")
            .slice(lanes.ilog2() as usize, REGISTER_BITS as usize - lanes.ilog2() as usize),
    );
    let lane = program.follow_value(&mut m, "picked_lane", lane, all);
    let elements: Vec<Expr> = (0..lanes).map(|lane| Expr::from(&word).slice(lane * element, element)).collect();
    let picked = m.delay("picked", select(lane, &elements), tree);
    let picks = program.follow_value(&mut m, "picks", is(Reduction::Pick), all + tree);
    let direct = picks.choose(Expr::from(&picked), Expr::from(&largest.output("largest")).as_bits());
    let sums = sum_cycles(configuration);
    let last = sums + NormaliseStage::Scalar.begin(configuration) as usize;
    let direct = m.delay("direct", direct, last - tree);
    let root = program.follow_value(&mut m, "root", is(Reduction::ReciprocalRoot), all + sums);
    let [load_enable, load_address, load_word] = normalise_load;
    let connections = vec![
        ("sum", sum),
        ("root", root),
        ("load_enable", load_enable.into()),
        ("load_address", load_address.into()),
        ("load_word", load_word.into()),
    ];
    let factor = m.instance("normalise", &normalise(configuration)?, connections)?;
    let normalised = is(Reduction::Reciprocal).or(is(Reduction::ReciprocalRoot));
    let direct_kinds = is(Reduction::Maximum).or(is(Reduction::Pick));
    let normalised_now = program.follow_value(&mut m, "normalised", normalised.clone(), all + last);
    let makes = program.follow_value(&mut m, "makes_scalar", normalised.or(direct_kinds), all + last);
    let closes = m.delay("closes_scalar", Expr::from(&closes), last - tree);
    let number = m.delay("number", Expr::from(&address).slice(0, scalar_type.width()), last);
    let exponent_of_direct = constant(0, EXPONENT_BITS);
    let value = normalised_now.choose(
        concat(&[Expr::from(&factor.output("exponent")), Expr::from(&factor.output("mantissa"))]),
        concat(&[exponent_of_direct.clone(), Expr::from(&direct)]),
    );
    let own = Expr::from(&m.wire("own_scalar", Expr::from(&closes).and(makes)));
    m.next(&write.enable, own.or(&largest_write));
    m.next(&write.number, own.choose(Expr::from(&number), Expr::from(&largest_number)));
    let of_requantiser = concat(&[exponent_of_direct, Expr::from(&largest_value).as_bits()]);
    m.next(&write.value, own.choose(value, of_requantiser));
    m.finish()
}

/// Scalars and right shifts of all beats.
fn beats(m: &mut ModuleBuilder, program: &Program<'_>, write: &ScalarWrite) -> Result<Vec<Beat>, DesignError> {
    let configuration = program.configuration;
    let element = ELEMENT_BITS as usize;
    let spare = spare_registers(configuration);
    let number_bits = address_bits(configuration.scalars());
    let shift = program.fields.get("shift");
    let scaled = program.is("function", Function::Multiply as u64).and(program.is("scalar", 0).not());
    // With one beat a word there is one scalar a word.
    let of_beat = (configuration.beats_per_word() > 1).then(|| {
        let of_beat = program.is("scalar", ScalarOperand::OfBeat as u64);
        program.fields.follow_value(m, &program.run, "of_beat", of_beat, 0)
    });
    let constant_now = program.follow(m, "constant", 0);
    let shift_now = program.follow(m, "shift", 0);
    let candidates = program.begin(VectorStage::Candidates);
    let scaled = program.follow_value(m, "scaled", scaled, candidates);
    let plain = shift.bit(RIGHT_BITS).choose(constant(0, RIGHT_BITS as u32), shift.slice(0, RIGHT_BITS));
    let plain = program.follow_value(m, "right_of_plain", plain, candidates);
    let address = program.sequencer.output("address");
    let memory = primitives::distributed_ram(element + EXPONENT_BITS as usize, configuration.scalars() as usize);
    let operands = VectorStage::Operands.cycles(configuration) as usize;
    let differences = VectorStage::Candidates.cycles(configuration) as usize;
    let sum_bits = RIGHT_BITS + 3;
    let begin = |stage: VectorStage| program.begin(stage);
    (0..configuration.beats_per_word())
        .map(|beat| {
            let number = Expr::from(&address).slice(0, number_bits);
            let number = match &of_beat {
                Some(of_beat) if beat > 0 => {
                    let next = number.add(constant(u64::from(beat) % (1 << number_bits), number_bits as u32));
                    of_beat.choose(next, number)
                }
                _ => number,
            };
            let number = m.delay(&format!("number_of_beat_{beat}"), number, program.arrival - 1);
            let scalar = m.instance(
                &format!("scalars_{beat}"),
                &memory,
                vec![
                    ("write_enable", Expr::from(&write.enable)),
                    ("write_address", Expr::from(&write.number)),
                    ("write_data", Expr::from(&write.value)),
                    ("read_address", Expr::from(&number)),
                ],
            )?;
            let scalar = Expr::from(&scalar.output("read_data"));
            let mantissa = scalar.slice(0, element).as_signed();
            let origin = m.delay(&format!("origin_{beat}"), mantissa.sub_wide(&constant_now), operands);
            let origin = saturate(&Expr::from(&origin), element);
            let origin = Expr::from(&m.delay(&format!("origin_{beat}_saturated"), origin, differences));
            // The shift less the scalar's exponent, 0 to 31; where no scalar is multiplied with, the shift itself.
            let exponent = scalar.slice(element, EXPONENT_BITS as usize).extend(sum_bits).as_signed();
            let total = m.delay(&format!("total_{beat}"), shift_now.extend(sum_bits).add(exponent), operands);
            let total = Expr::from(&total);
            let above = total.slice(RIGHT_BITS, sum_bits - RIGHT_BITS - 1).any();
            let limited = above.choose(literal(31, Type::bits(RIGHT_BITS)), total.slice(0, RIGHT_BITS));
            let limited = total.bit(sum_bits - 1).choose(constant(0, RIGHT_BITS as u32), limited);
            let right = m.delay(&format!("right_{beat}"), scaled.choose(limited, plain.clone()), differences);
            let value = begin(VectorStage::Value);
            let later = |m: &mut ModuleBuilder, name: &str, part: Expr, stage: usize| {
                Expr::from(&m.delay(&format!("{name}_{beat}"), part, stage - value))
            };
            let right = Expr::from(&right);
            let at_half = later(m, "right_at_half", right.clone(), begin(VectorStage::WithHalf) - spare);
            let one = literal(1, Type::bits(ACCUMULATOR_BITS as usize));
            let zero = literal(0, Type::bits(ACCUMULATOR_BITS as usize));
            // For a shift by n, bit n - 1 alone, or all bits below it.
            let half = |m: &mut ModuleBuilder, name: &str, mask: Expr| {
                let mask = m.wire(&format!("{name}_mask_{beat}"), mask);
                m.unused(Expr::from(&mask).bit(0));
                Expr::from(&m.delay(&format!("{name}_{beat}"), Expr::from(&mask).slice(1, HALF_BITS), spare))
            };
            let half_of_positive = half(m, "half_of_positive", one.shift_left_by(&at_half));
            let half_of_negative = half(m, "half_of_negative", zero.not().shift_left_by(&at_half).not());
            let upper = right.slice(FINE_SHIFT_BITS, RIGHT_BITS - FINE_SHIFT_BITS);
            let right_by_eights = later(m, "right_by_eights", upper, begin(VectorStage::CoarseShift));
            let rest = right.slice(0, FINE_SHIFT_BITS);
            let right_rest = later(m, "right_rest", rest, begin(VectorStage::Shifted));
            Ok(Beat { mantissa, origin, half_of_positive, half_of_negative, right_by_eights, right_rest })
        })
        .collect()
}

/// The lanes; their results as one word.
fn lanes_of(
    m: &mut ModuleBuilder,
    program: &Program<'_>,
    beats: &[Beat],
    valid: &Signal,
    [a, b]: [&Signal; 2],
    tables_load: &[Signal; 3],
) -> Result<Expr, DesignError> {
    let configuration = program.configuration;
    let element = ELEMENT_BITS as usize;
    let begin = |stage: VectorStage| program.begin(stage);
    let copy = spare_registers(configuration);
    let multiply = program.is("function", Function::Multiply as u64);
    let no_scalar = program.is("scalar", ScalarOperand::None as u64);
    let from_origin = program.is("function", Function::Subtract as u64).and(no_scalar.not());
    let function = program.fields.bits("function");
    let code = from_origin.choose(constant(FROM_ORIGIN, function.width() as u32), function);
    let left = left_shift(program, &multiply.and(no_scalar.not()));
    let takes_scalar = program.follow_value(m, "takes_scalar", no_scalar.not(), 0);
    let use_constant = program.follow(m, "use_constant", 0);
    let constant_b = program.follow_value(m, "constant_b", program.fields.get("constant"), 0);
    let rotates = program.is("combine", Combine::Rotation as u64);
    let rotates = program.follow_value(m, "rotates", rotates, 0);
    let first = m.delay("first", Expr::from(&program.sequencer.output("first")), program.arrival);
    let swaps = Expr::from(&m.wire("swaps", rotates.and(Expr::from(&first).not())));
    let multiplies = program.follow_value(m, "multiplies", multiply, begin(VectorStage::Candidates));
    let function = program.follow_value(m, "function_code", code, begin(VectorStage::Value) - copy);
    let left_by_fours = program.follow_value(m, "left_by_fours", left.slice(2, 2), begin(VectorStage::Value));
    let left_rest = program.follow_value(m, "left_rest", left.slice(0, 2), begin(VectorStage::Saturated));
    let combined = begin(VectorStage::Combined);
    let each = program.is("combine", Combine::Each as u64);
    let sums = program.follow_value(m, "sums", each.not(), combined);
    let first = m.delay("first_combined", Expr::from(&first), combined);
    let combines = Expr::from(&m.wire("combines", sums.and(Expr::from(&first).not())));
    let table = program.fields.bits("table");
    let number = table.sub(constant(1, table.width() as u32)).slice(0, address_bits(configuration.tables()));
    let looks_up = program.follow_value(m, "looks_up", table.any(), begin(VectorStage::Interpolated));
    let table = program.follow_value(m, "table_of_lanes", number, begin(VectorStage::Segment));
    let compared = begin(VectorStage::Compared);
    let minimum = program.follow(m, "minimum", compared - copy);
    let maximum = program.follow(m, "maximum", compared - copy);
    let masked = beyond(m, configuration, &program.fields, &program.run, &program.sequencer);
    let masked = m.delay("masked", masked, program.arrival + compared - MASK_CYCLES);

    let module = extended_vector_lane(configuration)?;
    let mut results: Vec<Expr> = Vec::new();
    for lane in 0..configuration.stream_elements as usize {
        let beat = &beats[lane / configuration.dot as usize];
        let of = |word: &Signal, lane: usize| Expr::from(word).slice(lane * element, element).as_signed();
        let mut own = |name: &str, value: &Expr| copied(m, configuration, &format!("{name}_of_lane_{lane}"), value);
        let (function, minimum, maximum) =
            (own("function", &function)?, own("minimum", &minimum)?, own("maximum", &maximum)?);
        let second = takes_scalar.choose(&beat.mantissa, use_constant.choose(&constant_b, of(b, lane)));
        let [load_enable, load_address, load_word] = tables_load;
        let instance = m.instance(
            &format!("lane_{lane}"),
            &module,
            vec![
                ("valid", Expr::from(valid)),
                ("a", swaps.choose(of(a, lane ^ 1), of(a, lane))),
                ("b", second),
                ("origin", beat.origin.clone()),
                ("multiplies", multiplies.clone()),
                ("function_code", function),
                ("left_by_fours", left_by_fours.clone()),
                ("left_rest", left_rest.clone()),
                ("half_of_positive", beat.half_of_positive.clone()),
                ("half_of_negative", beat.half_of_negative.clone()),
                ("right_by_eights", beat.right_by_eights.clone()),
                ("right_rest", beat.right_rest.clone()),
                ("combines", combines.clone()),
                ("table_number", table.clone()),
                ("looks_up", looks_up.clone()),
                ("masked", Expr::from(&masked).bit(lane)),
                ("minimum", minimum),
                ("maximum", maximum),
                ("load_enable", load_enable.into()),
                ("load_address", load_address.into()),
                ("load_word", load_word.into()),
            ],
        )?;
        results.push(Expr::from(&instance.output("result")).as_bits());
    }
    results.reverse();
    Ok(concat(&results))
}

/// By how much an instruction shifts to the left, when it issues; not at all where it `scales` by a scalar. More than [`MOST_LEFT`] is
/// the same as that: an element saturates, or is 0.
fn left_shift(program: &Program<'_>, scales: &Expr) -> Expr {
    let shift = program.fields.get("shift");
    let amount = shift.negate().as_bits();
    let bits = 4;
    let far = amount.slice(bits, amount.width() - bits).any();
    let amount = far.choose(constant(MOST_LEFT, bits as u32), amount.slice(0, bits));
    shift.bit(RIGHT_BITS).and(scales.not()).choose(amount, constant(0, bits as u32))
}

/// The running sum of the words that the lanes make.
fn sum_of(
    m: &mut ModuleBuilder,
    program: &Program<'_>,
    ended: &Signal,
    opens: &Signal,
    word: &Signal,
) -> Result<Expr, DesignError> {
    let configuration = program.configuration;
    let all = VectorStage::cycles_of_all(configuration) as usize;
    let spare = spare_registers(configuration);
    let begin = |stage: TermStage| all + stage.begin(configuration) as usize;
    let shift = program.fields.bits("square_shift");
    let at_half = program.follow_value(m, "square_shift_at_half", shift.clone(), begin(TermStage::WithHalf) - spare);
    let half = half_of(m, &at_half);
    let half = m.delay("square_half", half, spare);
    let shift = program.follow_value(m, "square_shift", shift, begin(TermStage::CoarseShift));
    let root = program.is("reduction", Reduction::ReciprocalRoot as u64);
    let squares = program.follow_value(m, "squares", root.clone(), begin(TermStage::CoarseShift));
    // The addend in two cycles, the second of which leaves it out where there is none.
    let at_sum = sum_cycles(configuration) - 1;
    let first = at_sum - 2;
    let bits = ACCUMULATOR_BITS as usize;
    let far = program.fields.bits("addend_shift");
    let addend = program.follow_value(m, "addend", program.fields.get("constant"), all + first).extend(bits).as_bits();
    let by_fours = program.follow_value(m, "addend_by_fours", far.slice(2, 2), all + first);
    let rest = program.follow_value(m, "addend_rest", far.slice(0, 2), all + first + 1);
    let adds = program.follow_value(m, "adds", root, all + first + 1);
    let shifted = |value: &Expr, choice: Expr, unit: usize| {
        let choices: Vec<Expr> = (0..4).map(|k| value.shift_left(k * unit).truncate(bits)).collect();
        select(choice, &choices)
    };
    let addend = m.delay("addend_coarse", shifted(&addend, by_fours, 4), 1);
    let addend = shifted(&Expr::from(&addend), rest, 1);
    let addend = m.delay("addend_shifted", adds.choose(addend, constant(0, bits as u32)), 1);
    let opens = m.delay("opens_sum", Expr::from(opens), at_sum);
    let connections = vec![
        ("valid", Expr::from(ended)),
        ("word", Expr::from(word)),
        ("half", Expr::from(&half)),
        ("shift", shift),
        ("squares", squares),
        ("opens", Expr::from(&opens)),
        ("addend", Expr::from(&addend)),
    ];
    let instance = m.instance("reduction", &reduction(configuration)?, connections)?;
    Ok(Expr::from(&instance.output("sum")))
}
