//! Vector unit of a machine with extensions: lanes that multiply and look up tables, scalars, reductions.

use super::extended_vector_lane::{FROM_ORIGIN, HALF_BITS, extended_vector_lane};
use super::fields::Fields;
use super::largest::{largest, largest_cycles};
use super::leaving::Leaving;
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
pub(super) struct Program<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) fields: Fields,
    pub(super) run: Signal,
    pub(super) sequencer: Instance,
    /// Cycles from a step to its operands at the lanes.
    pub(super) arrival: usize,
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
    pub(super) fn is(&self, name: &str, code: u64) -> Expr {
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
    m.latency("step to result, through a table", latency.vector_unit as usize);
    if let Some(extensions) = latency.extensions {
        m.latency("step to result, with arithmetic but without a table", extensions.vector_arithmetic as usize);
        m.latency("step to result, otherwise", extensions.vector_plain as usize);
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

    let field = |name: &'static str| (name, program.fields.bits(name));
    let lane_bits = lanes.ilog2() as usize;
    let picked_lane = program.fields.captured("target");
    m.unused(picked_lane.slice(lane_bits, REGISTER_BITS as usize - lane_bits));
    let mut values = vec![field("minimum"), field("maximum"), field("constant"), field("reduction"), field("target")];
    values.extend([field("square_shift"), field("addend_shift"), ("lane", picked_lane.slice(0, lane_bits))]);
    let leaving = Leaving::of(&mut m, &program, values);

    m.section("Lanes");
    let results = lanes_of(&mut m, &program, &beats, &valid, [&a, &b], &leaving, &tables_load)?;
    let word = m.wire("result_word", results);
    m.drive(&result, Expr::from(&word));

    m.section("Reduction");
    let ended = leaving.behind_result(&mut m, "word_valid", leaving.word.clone(), 0);
    let opens = leaving.behind_result(&mut m, "opens", leaving.opens.clone(), 0);
    let closes = leaving.behind_result(&mut m, "closes", leaving.closes.clone(), 0);
    let address = leaving.behind_result(&mut m, "address", leaving.address.clone(), 0);
    let reduces = |m: &mut ModuleBuilder, name: &str, kinds: &[Reduction], cycles: usize| {
        let code = leaving.field("reduction");
        let kinds = kinds.iter().map(|&kind| code.equals(constant(kind as u64, code.width() as u32)));
        let any = kinds.reduce(|any, kind| any.or(kind)).unwrap_or_else(|| constant(0, 1));
        leaving.behind_result(m, name, any, cycles)
    };
    let sum = sum_of(&mut m, configuration, &leaving, &ended, &opens, &word)?;
    let connections = vec![
        ("valid", ended.clone()),
        ("opens", opens.clone()),
        ("word", Expr::from(&word)),
        ("address", address.clone()),
    ];
    let largest = m.instance("largest_element", &largest(configuration, true)?, connections)?;
    let tree = largest_cycles(configuration);
    let closes = m.delay("closes_largest", closes, tree);
    let finds = reduces(&mut m, "finds", &[Reduction::ArgMax], tree);
    m.drive(&found_write, Expr::from(&closes).and(finds));
    let target = leaving.behind_result(&mut m, "target_at_end", leaving.field("target"), tree);
    m.drive(&found_number, target);
    m.drive(&found_value, Expr::from(&largest.output("position")));

    m.section("Results");
    let lane = leaving.behind_result(&mut m, "picked_lane", leaving.field("lane"), 0);
    let elements: Vec<Expr> = (0..lanes).map(|lane| Expr::from(&word).slice(lane * element, element)).collect();
    let picked = m.delay("picked", select(lane, &elements), tree);
    let picks = reduces(&mut m, "picks", &[Reduction::Pick], tree);
    let direct = picks.choose(Expr::from(&picked), Expr::from(&largest.output("largest")).as_bits());
    let sums = sum_cycles(configuration);
    let last = sums + NormaliseStage::Scalar.begin(configuration) as usize;
    let direct = m.delay("direct", direct, last - tree);
    let root = reduces(&mut m, "root", &[Reduction::ReciprocalRoot], sums);
    let [load_enable, load_address, load_word] = normalise_load;
    let connections = vec![
        ("sum", sum),
        ("root", root),
        ("load_enable", load_enable.into()),
        ("load_address", load_address.into()),
        ("load_word", load_word.into()),
    ];
    let factor = m.instance("normalise", &normalise(configuration)?, connections)?;
    let normalised = [Reduction::Reciprocal, Reduction::ReciprocalRoot];
    let normalised_now = reduces(&mut m, "normalised", &normalised, last);
    let scalars = [Reduction::Reciprocal, Reduction::ReciprocalRoot, Reduction::Maximum, Reduction::Pick];
    let makes = reduces(&mut m, "makes_scalar", &scalars, last);
    let closes = m.delay("closes_scalar", Expr::from(&closes), last - tree);
    let number = m.delay("number", address.slice(0, scalar_type.width()), last);
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
            let right_by_eights = later(m, "right_by_eights", upper, begin(VectorStage::CoarseShift) - spare);
            let rest = right.slice(0, FINE_SHIFT_BITS);
            let right_rest = later(m, "right_rest", rest, begin(VectorStage::Shifted) - spare);
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
    leaving: &Leaving,
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
    let multiplies = program.follow_value(m, "multiplies", multiply, begin(VectorStage::Candidates) - copy);
    let function = program.follow_value(m, "function_code", code, begin(VectorStage::Value) - copy);
    let left_by_fours = program.follow_value(m, "left_by_fours", left.slice(2, 2), begin(VectorStage::Value) - copy);
    let left_rest = program.follow_value(m, "left_rest", left.slice(0, 2), begin(VectorStage::Saturated) - copy);
    let combined = begin(VectorStage::Combined) - copy;
    let each = program.is("combine", Combine::Each as u64);
    let sums = program.follow_value(m, "sums", each.not(), combined);
    let first = m.delay("first_combined", Expr::from(&first), combined);
    let combines = Expr::from(&m.wire("combines", sums.and(Expr::from(&first).not())));
    let table = program.fields.bits("table");
    let number = table.sub(constant(1, table.width() as u32)).slice(0, address_bits(configuration.tables()));
    let table = program.follow_value(m, "table_of_lanes", number, begin(VectorStage::Segment) - copy);
    // Registers beside the lanes hold what leaves; the mask is one bit for each.
    let (minimum, maximum) = (leaving.field("minimum").as_signed(), leaving.field("maximum").as_signed());
    let masked = m.delay("masked", leaving.masked.clone(), copy);

    let module = extended_vector_lane(configuration)?;
    let mut results: Vec<Expr> = Vec::new();
    for lane in 0..configuration.stream_elements as usize {
        let beat = &beats[lane / configuration.dot as usize];
        let of = |word: &Signal, lane: usize| Expr::from(word).slice(lane * element, element).as_signed();
        let mut own = |name: &str, value: &Expr| copied(m, configuration, &format!("{name}_of_lane_{lane}"), value);
        let (function, minimum, maximum) =
            (own("function", &function)?, own("minimum", &minimum)?, own("maximum", &maximum)?);
        let leaves = own("leaves", &leaving.word)?;
        // What all lanes do alike: one register for all of them, and logic behind it that they share, would stand far from most.
        let [left_by_fours, left_rest, right_by_eights, right_rest] = [
            own("left_by_fours", &left_by_fours)?,
            own("left_rest", &left_rest)?,
            own("right_by_eights", &beat.right_by_eights)?,
            own("right_rest", &beat.right_rest)?,
        ];
        let [multiplies, combines, table] =
            [own("multiplies", &multiplies)?, own("combines", &combines)?, own("table_number", &table)?];
        let (plain, arithmetic) = (own("plain", &leaving.plain)?, own("arithmetic", &leaving.arithmetic)?);
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
                ("multiplies", multiplies),
                ("function_code", function),
                ("left_by_fours", left_by_fours),
                ("left_rest", left_rest),
                ("half_of_positive", beat.half_of_positive.clone()),
                ("half_of_negative", beat.half_of_negative.clone()),
                ("right_by_eights", right_by_eights),
                ("right_rest", right_rest),
                ("combines", combines),
                ("table_number", table),
                ("leaves", leaves),
                ("plain", plain),
                ("arithmetic", arithmetic),
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
    configuration: &Configuration,
    leaving: &Leaving,
    ended: &Expr,
    opens: &Expr,
    word: &Signal,
) -> Result<Expr, DesignError> {
    let spare = spare_registers(configuration);
    let begin = |stage: TermStage| stage.begin(configuration) as usize;
    let mut behind = |name: &str, value: Expr, cycles: usize| leaving.behind_result(m, name, value, cycles);
    let reduction_code = leaving.field("reduction");
    let root = reduction_code.equals(constant(Reduction::ReciprocalRoot as u64, reduction_code.width() as u32));
    let at_half = begin(TermStage::WithHalf) - spare;
    let shift_at_half = behind("square_shift_at_half", leaving.field("square_shift"), at_half);
    let at_shift = begin(TermStage::CoarseShift);
    let squares = behind("squares", root.clone(), at_shift);
    // The addend in two cycles, the second of which leaves it out where there is none.
    let at_sum = sum_cycles(configuration) - 1;
    let first = at_sum - 2;
    let bits = ACCUMULATOR_BITS as usize;
    let addend = behind("addend", leaving.field("constant"), first).as_signed().extend(bits).as_bits();
    let far = behind("addend_shift_at_addend", leaving.field("addend_shift"), first);
    let adds = behind("adds", root, first + 1);
    let half = half_of(m, &shift_at_half);
    let half = m.delay("square_half", half, spare);
    let shift = Expr::from(&m.delay("square_shift", shift_at_half, at_shift - at_half));
    let rest = Expr::from(&m.delay("addend_rest", far.slice(0, 2), 1));
    let by_fours = far.slice(2, 2);
    let shifted = |value: &Expr, choice: Expr, unit: usize| {
        let choices: Vec<Expr> = (0..4).map(|k| value.shift_left(k * unit).truncate(bits)).collect();
        select(choice, &choices)
    };
    let addend = m.delay("addend_coarse", shifted(&addend, by_fours, 4), 1);
    let addend = shifted(&Expr::from(&addend), rest, 1);
    let addend = m.delay("addend_shifted", adds.choose(addend, constant(0, bits as u32)), 1);
    let opens = m.delay("opens_sum", opens.clone(), at_sum);
    let connections = vec![
        ("valid", ended.clone()),
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
