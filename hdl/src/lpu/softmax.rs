//! Softmax of rows of int8 elements, in three passes, an element each cycle: tflite-micro's, bit for bit.
//!
//! The first pass finds the largest element, the second adds up the exponentials of the distances from it, which stand in a table, the
//! third multiplies each exponential by the sum's reciprocal. Between the second and the third that is found by Newton's method, with the
//! same multiplier. Every time is fixed: [`SoftmaxLatency`](lpu_isa::latency::SoftmaxLatency).

use super::{address_bits, bit, constant, increment, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::arithmetic::functions::RECIPROCAL_GUESS;
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use lpu_isa::encoding::SOFTMAX_LENGTH_BITS;
use lpu_isa::host::Memory;
use lpu_isa::latency::Latency;
use lpu_isa::stages::SoftmaxStage as Stage;
use std::sync::Arc;

/// Bits of an int8 element.
const BYTE: usize = 8;
/// Bits of the reciprocal's iteration: signed, and without the sign.
const WIDE: usize = 32;
const POSITIVE: usize = Softmax::EXPONENTIAL_BITS as usize;
/// Fraction bits of the iteration.
const FRACTION: u32 = 29;
/// Least right shift of an output: from Q0.31 to units of 1/256.
const LEAST_SHIFT: usize = 31 - BYTE;

/// An element's way through the passes, as far as it is known one cycle behind its register.
struct Element {
    /// It, and whether it is within the row, and the first of it.
    element: Expr,
    within: Expr,
    opens: Expr,
    /// In the pass that finds the largest; one of the first two; of an odd number.
    finds: Expr,
    early: Expr,
    odd: Expr,
    /// The pass adds up.
    sums: Expr,
    /// In the pass that delivers; from the register of the elements on.
    delivers: Expr,
    delivers_last: Expr,
    table: Expr,
}

/// Cycles between the ends of two stages.
fn between(from: Stage, to: Stage) -> usize {
    (to.end() - from.end()) as usize
}

/// The softmax of the vector unit.
///
/// # Errors
/// None for a checked configuration.
pub fn softmax(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let lanes = configuration.stream_elements as usize;
    let mut m = ModuleBuilder::new("softmax");
    m.describe(
        "Softmax of rows of int8 elements. In three passes over the words of a row it finds the largest element, adds up the exponentials, \
         and delivers the results; each word keeps it for as many cycles as it has elements.",
    );
    if let Some(latency) = Latency::of(configuration).softmax {
        m.latency("word to result", (latency.word - configuration.pipeline.crossbar) as usize);
        m.latency("last word of a pass to the first of the next", latency.gap as usize + 1);
    }
    m.section("Results");
    let result = m.output("result", Type::bits(lanes * ELEMENT_BITS as usize));
    let delivered = m.output("delivered", bit());
    let element = element(&mut m, configuration);

    m.section("Largest");
    let largest = largest(&mut m, &element);

    m.section("Exponential");
    let distance = Expr::from(&largest).sub(&element.element).as_bits();
    let distance = Expr::from(&m.delay("distance", distance, between(Stage::Counted, Stage::Distance)));
    let exponential = exponential(&mut m, configuration, &element.table, distance)?;
    let within = m.delay("counts_at_exponential", element.within.clone(), between(Stage::Counted, Stage::Exponential));
    let exponential = Expr::from(&m.wire("exponential", exponential.and(Expr::from(&within).repeat(POSITIVE))));

    m.section("Sum");
    let (integer, dropped) = (Softmax::LEAST_SUM.ilog2() as usize, POSITIVE - Softmax::LEAST_SUM.ilog2() as usize);
    let upper = exponential.slice(dropped, integer).extend(integer + 1);
    let summand = upper.add(exponential.bit(dropped - 1).extend(integer + 1));
    let summand = Expr::from(&m.delay("summand", summand, between(Stage::Exponential, Stage::Summand)));
    let until_summand = between(Stage::Counted, Stage::Summand);
    let adds = Expr::from(&m.delay("adds", element.within.and(&element.sums), until_summand));
    let opens = Expr::from(&m.delay("opens_at_sum", element.opens.clone(), until_summand));
    let sum_bits = Softmax::SUM_BITS as usize;
    let sum = m.register("sum", Type::bits(sum_bits));
    let summand = summand.extend(sum_bits);
    m.next_when(&sum, adds.clone(), opens.choose(&summand, Expr::from(&sum).add(&summand)));
    let summed = Expr::from(&m.delay("summed", adds, 1));
    // How far the highest bit of the sum stands above that of the least one, which counts as set if no other is.
    let most = sum_bits - 1 - integer;
    let exponent_bits = (most.ilog2() + 1) as usize;
    let mut leading = |name: &str, value: &dyn Fn(usize) -> usize| {
        let value = |above: usize| constant(value(above) as u64, exponent_bits as u32);
        let found =
            (1..=most).fold(value(0), |lower, above| Expr::from(&sum).bit(integer + above).choose(value(above), lower));
        let register = m.register(name, Type::bits(exponent_bits));
        m.next_when(&register, summed.clone(), found);
        Expr::from(&register)
    };
    let (exponent, left) = (leading("exponent", &|above| above), leading("left", &|above| most - above));
    let found = Expr::from(&m.delay("leading_found", summed, 1));
    let least = Expr::from(&sum).bit(integer).or(exponent.any().not());
    let whole = concat(&[Expr::from(&sum).slice(integer + 1, most), least, Expr::from(&sum).slice(0, integer)]);
    let normalised = concat(&[whole.shift_left_by(left), constant(0, (POSITIVE - sum_bits) as u32)]);
    let denominator = m.register("half_denominator", Type::bits(POSITIVE));
    m.next_when(&denominator, found.clone(), normalised);

    let high = products(&mut m, &found, &denominator, &exponential)?;

    m.section("Output");
    let rounds = BYTE + 2;
    // Found long before it is used.
    let half = Expr::from(&m.delay("half", literal(1, Type::bits(rounds)).shift_left_by(&exponent), 1));
    let with_half = high.slice(LEAST_SHIFT - 1, rounds).add(half);
    let with_half = Expr::from(&m.delay("with_half", with_half, between(Stage::High, Stage::WithHalf)));
    m.unused(with_half.bit(0));
    let shifted = with_half.slice(1, BYTE + 1).shift_right_by(&exponent);
    let shifted = Expr::from(&m.delay("shifted", shifted, between(Stage::WithHalf, Stage::Shifted)));
    // Less 128, and 127 at most.
    let byte = concat(&[shifted.bit(BYTE - 1).not(), shifted.slice(0, BYTE - 1)]);
    let byte = shifted.bit(BYTE).choose(constant(127, BYTE as u32), byte);
    let word = m.register("word_of_results", Type::bits(lanes * BYTE));
    let arrives = m.delay("delivers_at_word", element.delivers, between(Stage::Element, Stage::Shifted));
    m.next_when(&word, &arrives, concat(&[byte, Expr::from(&word).slice(BYTE, (lanes - 1) * BYTE)]));
    let all = m.delay("delivered_q", element.delivers_last, between(Stage::Element, Stage::Word));
    m.drive(&delivered, &all);
    let wide =
        |lane: usize| Expr::from(&word).slice(lane * BYTE, BYTE).as_signed().extend(ELEMENT_BITS as usize).as_bits();
    let elements: Vec<Expr> = (0..lanes).rev().map(wide).collect();
    m.drive(&result, concat(&elements));
    m.finish()
}

/// The largest element of the row. A comparison takes a cycle and its result the next, so that elements of even and of odd numbers have a
/// largest each, and the larger of the two follows. Until the next pass there is time.
fn largest(m: &mut ModuleBuilder, element: &Element) -> Signal {
    let mut behind = |name: &str, value: &Expr| Expr::from(&m.delay(name, value.clone(), 1));
    let compared = behind("element_compared", &element.element);
    let finds = behind("finds_compared", &element.finds);
    let early = behind("early_compared", &element.early);
    let odd = behind("odd_compared", &element.odd);
    // The first two begin; and of a row of one element there is no odd one.
    let mut of = |name: &str, number: Expr, begins: Expr| {
        let largest = m.register(&format!("largest_{name}"), Type::signed(BYTE));
        let larger = m.delay(&format!("larger_{name}"), element.element.greater_than(&largest), 1);
        let takes = finds.and(begins.or(number.and(&larger)));
        m.next_when(&largest, takes, compared.clone());
        Expr::from(&largest)
    };
    let even_ones = of("even", odd.not(), early.and(odd.not()));
    let odd_ones = of("odd", odd.clone(), early.clone());
    let larger = m.delay("odd_is_larger", odd_ones.greater_than(&even_ones), 1);
    m.delay("largest", Expr::from(&larger).choose(odd_ones, even_ones), 1)
}

/// The words' elements, one behind the other.
fn element(m: &mut ModuleBuilder, configuration: &Configuration) -> Element {
    let lanes = configuration.stream_elements as usize;
    m.section("Words");
    let valid = Expr::from(&m.input("valid", bit()));
    let word = Expr::from(&m.input("word", Type::bits(lanes * ELEMENT_BITS as usize)));
    m.section("Control");
    let first = Expr::from(&m.input("first", bit()));
    let sums = m.input("sums", bit());
    let delivers = m.input("delivers", bit());
    let length = m.input("length", Type::bits(SOFTMAX_LENGTH_BITS as usize));
    let table = m.input("table_number", Type::bits(address_bits(configuration.softmax_tables)));
    m.section("Elements");
    let mut own = |name: &str, signal: &Signal| {
        let register = m.register(&format!("{name}_q"), signal.ty());
        m.next_when(&register, valid.clone(), signal);
        Expr::from(&register)
    };
    let (sums, delivers, length, table) =
        (own("sums", &sums), own("delivers", &delivers), own("length", &length), own("table_number", &table));
    let active = m.register_with_reset("active", bit(), 0);
    let lane = m.register("lane", Type::bits(lanes.ilog2() as usize));
    let index = m.register("index", Type::bits(SOFTMAX_LENGTH_BITS as usize));
    let bytes = m.register("bytes", Type::bits(lanes * BYTE));
    let ends = Expr::from(&m.wire("ends", Expr::from(&lane).all()));
    let moves = Expr::from(&active).and(ends.not());
    m.next_cases(&active, &[(valid.clone(), constant(1, 1)), (ends.clone(), constant(0, 1))]);
    m.next_cases(&lane, &[(valid.clone(), literal(0, lane.ty())), (Expr::from(&active), increment(&lane))]);
    m.next_cases(&index, &[(valid.and(first), literal(0, index.ty())), (valid.or(moves), increment(&index))]);
    for lane in 0..lanes {
        m.unused(word.slice(lane * ELEMENT_BITS as usize + BYTE, ELEMENT_BITS as usize - BYTE));
    }
    let low: Vec<Expr> = (0..lanes).rev().map(|lane| word.slice(lane * ELEMENT_BITS as usize, BYTE)).collect();
    let moved = concat(&[constant(0, BYTE as u32), Expr::from(&bytes).slice(BYTE, (lanes - 1) * BYTE)]);
    m.next_cases(&bytes, &[(valid, concat(&low)), (Expr::from(&active), moved)]);
    let cycles = between(Stage::Element, Stage::Counted);
    let table = m.delay("table_at_distance", table, between(Stage::Element, Stage::Distance));
    let within = Expr::from(&active).and(Expr::from(&index).less_than(&length));
    let early = Expr::from(&index).slice(1, SOFTMAX_LENGTH_BITS as usize - 1).any().not();
    let early = Expr::from(&m.wire("early_now", early));
    let odd = Expr::from(&index).bit(0);
    let finds = within.and(sums.or(&delivers).not());
    let mut counted = |name: &str, value: Expr| Expr::from(&m.delay(name, value, cycles));
    let delivers = Expr::from(&active).and(&delivers);
    Element {
        element: counted("element", Expr::from(&bytes).slice(0, BYTE).as_signed()),
        within: counted("counts", within),
        finds: counted("finds", finds),
        opens: counted("opens", early.and(odd.not())),
        early: counted("early", early),
        odd: counted("odd", odd),
        sums: counted("sums_counted", sums),
        delivers_last: delivers.and(ends),
        delivers,
        table: Expr::from(&table),
    }
}

/// The exponential for a distance, as its table has it.
fn exponential(
    m: &mut ModuleBuilder,
    configuration: &Configuration,
    table: &Expr,
    distance: Expr,
) -> Result<Expr, DesignError> {
    let words = Memory::Exponentials.words(configuration);
    m.section("Load");
    let spare = spare_registers(configuration);
    let mut load = |name: &str, bits: usize| {
        let port = m.input(&format!("load_{name}"), Type::bits(bits));
        Expr::from(&m.delay(&format!("load_{name}_q"), Expr::from(&port), spare))
    };
    let mut connections = vec![
        ("write_enable", load("enable", 1)),
        ("write_address", load("address", address_bits(words))),
        ("write_data", load("word", POSITIVE)),
    ];
    let address = if configuration.softmax_tables > 1 {
        concat(&[table.clone(), distance])
    } else {
        m.unused(table.clone());
        distance
    };
    connections.push(("read_address", address));
    let cycles = between(Stage::Distance, Stage::Exponential) as u32;
    let memory = primitives::block_ram_in(POSITIVE, words as usize, cycles);
    Ok(Expr::from(&m.instance("exponentials", &memory, connections)?.output("read_data")))
}

/// The upper halves of the products: those of the reciprocal's iteration, which `begin` begins and which takes the multiplier for as long as
/// it lasts, and those of the exponentials with the reciprocal.
fn products(
    m: &mut ModuleBuilder,
    begin: &Expr,
    denominator: &Signal,
    exponential: &Expr,
) -> Result<Expr, DesignError> {
    m.section("Reciprocal");
    let (last_slot, last_turn) = (u64::from(Stage::TURN) - 1, u64::from(Stage::TURNS) - 1);
    let [slot_bits, turn_bits] = [last_slot, last_turn].map(|last| last.ilog2() + 1);
    let solving = m.register_with_reset("solving", bit(), 0);
    let slot = m.register("slot", Type::bits(slot_bits as usize));
    let turn = m.register("turn", Type::bits(turn_bits as usize));
    let begin = begin.clone();
    let ready = Expr::from(&m.wire("turn_ends", Expr::from(&slot).equals(constant(last_slot, slot_bits))));
    let done = ready.and(Expr::from(&turn).equals(constant(last_turn, turn_bits)));
    m.next_cases(&solving, &[(begin.clone(), constant(1, 1)), (done, constant(0, 1))]);
    let none = literal(0, slot.ty());
    m.next_cases(&slot, &[(begin.clone().or(&ready), none), (Expr::from(&solving), increment(&slot))]);
    m.next_cases(&turn, &[(begin, literal(0, turn.ty())), (ready.clone(), increment(&turn))]);
    let solving = Expr::from(&solving);
    let guesses = Expr::from(&turn).any().not();
    let guesses = Expr::from(&m.wire("guesses", guesses));
    let odd = Expr::from(&turn).bit(0);

    let wide = Type::signed(WIDE);
    let estimate = m.register("estimate", Type::bits(POSITIVE));
    let rest = m.register("rest", wide);
    let x = Expr::from(&estimate);
    // The estimate has two integer bits, the reciprocal none: 1 becomes the largest number below it.
    let scale = x
        .bit(POSITIVE - 1)
        .choose(constant(1, 1).repeat(POSITIVE), concat(&[x.slice(0, POSITIVE - 1), constant(0, 1)]));
    let positive = |value: &Expr| value.extend(WIDE).as_signed();
    let of_turn =
        guesses.choose(literal(RECIPROCAL_GUESS[1].into(), wide), odd.choose(positive(&x), Expr::from(&rest)));
    let a = solving.choose(of_turn, positive(exponential));
    let b = solving.choose(guesses.or(&odd).choose(denominator, &x), scale);
    let cycles = between(Stage::Exponential, Stage::Operands);
    let (a, b) = (m.delay("factor_a", a, cycles), m.delay("factor_b", b, cycles));
    let product = primitives::scale_multiplier(WIDE, POSITIVE, false);
    let product = m.instance("product", &product, vec![("a", Expr::from(&a)), ("b", Expr::from(&b))])?.output("p");
    // Doubled high half, to nearest with ties upwards.
    let product = Expr::from(&product);
    m.unused(product.slice(0, POSITIVE - 1));
    let half = product.bit(POSITIVE - 1).extend(WIDE);
    let high = product.slice(POSITIVE, WIDE).add(half).as_signed();
    let high = Expr::from(&m.delay("high", high, between(Stage::Product, Stage::High)));

    let takes = solving.and(ready);
    let one = literal(1 << FRACTION, wide);
    m.next_when(&rest, takes.and(&odd), one.sub(&high));
    // Two more integer bits in a product of two numbers of two.
    let step = guesses.choose(high.clone(), concat(&[high.slice(0, WIDE - 2), constant(0, 2)]).as_signed());
    let from = guesses.choose(literal(RECIPROCAL_GUESS[0].into(), Type::bits(POSITIVE)), x);
    m.next_when(&estimate, takes.and(odd.not()), from.add(step.as_bits().truncate(POSITIVE)));
    Ok(high.as_bits())
}

/// What [`softmax`] hears of the vector unit's instruction: strobes that have come as far as its operands.
pub(super) struct Control {
    /// A word arrives.
    pub(super) valid: Expr,
    /// It is the first of a pass.
    pub(super) first: Expr,
    /// The pass adds up.
    pub(super) sums: Expr,
    /// The pass delivers.
    pub(super) delivers: Expr,
}

impl Control {
    /// Follows the passes of an instruction: the runs of its sequence by threes.
    pub(super) fn of(
        m: &mut ModuleBuilder,
        step: &Expr,
        sequencer: &crate::layer::Instance,
        crossing: usize,
    ) -> Control {
        let edge = |name: &str| Expr::from(&sequencer.output(name));
        let (first, opens) = (edge("first"), edge("opens"));
        m.unused(edge("last"));
        m.unused(edge("closes"));
        let pass = m.register("pass", Type::bits(2));
        // 0, 1, 2, 0, …: the first bit follows where the second does not stand, the second where the first does.
        let (low, high) = (Expr::from(&pass).bit(0), Expr::from(&pass).bit(1));
        let next = concat(&[low.clone(), low.or(high).not()]);
        let now = opens.choose(constant(0, 2), first.choose(next, &pass));
        let now = Expr::from(&m.wire("pass_now", now));
        m.next_when(&pass, step.clone(), now.clone());
        let mut arrive = |name: &str, value: Expr| Expr::from(&m.delay(name, value, crossing));
        Control {
            valid: arrive("softmax_valid", step.clone()),
            first: arrive("softmax_first", first),
            sums: arrive("softmax_sums", now.bit(0)),
            delivers: arrive("softmax_delivers", now.bit(1)),
        }
    }
}
