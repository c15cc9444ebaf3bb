//! Sums over all elements of an instruction's words, of themselves or of their squares.

use super::{FINE_SHIFT_BITS, bit, by_eights, follow_valid, held_if, held_while_idle};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS};
use lpu_isa::latency::multiplier;
use lpu_isa::stages::TermStage;
use std::sync::Arc;

/// Cycles from a word to the running sum of all words up to this one.
pub fn sum_cycles(configuration: &Configuration) -> usize {
    (TermStage::cycles_of_all(configuration) + configuration.stream_elements.trailing_zeros()) as usize + 1
}

/// What one element adds.
fn term(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let element = Type::signed(ELEMENT_BITS as usize);
    let bits = ACCUMULATOR_BITS as usize;
    let cycles = TermStage::cycles_of_all(configuration) as usize;
    let begin = |stage: TermStage| stage.begin(configuration) as usize;
    let mut m = ModuleBuilder::new("reduction_term");
    m.describe(
        "What an element adds to a sum: itself, or its square, shifted and rounded to nearest with ties upwards.",
    );
    m.latency("valid and element to term", cycles);
    m.section("Element");
    let valid = m.input("valid", bit());
    let value = m.input("element", element);
    m.section("Control");
    let half = m.input("half", Type::bits(bits));
    let shift = m.input("shift", Type::bits(5));
    let squares = m.input("squares", bit());
    m.section("Result");
    let result = m.output("term", Type::bits(bits));
    let follow = follow_valid(&mut m, &valid, begin(TermStage::Term));
    let at = |stage: TermStage| {
        let begins = if begin(stage) == 0 { Expr::from(&valid) } else { follow.bit(begin(stage) - 1) };
        (stage.cycles(configuration) > 0).then_some(begins)
    };
    let product = primitives::multiplier_in(ELEMENT_BITS as usize, ELEMENT_BITS as usize, multiplier(configuration));
    let operands = vec![("a", Expr::from(&value)), ("b", Expr::from(&value))];
    let square = m.instance("square", &product, operands)?.output("p");
    let with_half = Expr::from(&square).as_bits().add(Expr::from(&half));
    let with_half = held_if(&mut m, "with_half", at(TermStage::WithHalf).as_ref(), with_half);
    let eights = m.wire("by_eights", Expr::from(&with_half).shift_right_by(by_eights(&Expr::from(&shift))));
    let coarse = held_if(&mut m, "coarse", at(TermStage::CoarseShift).as_ref(), Expr::from(&eights));
    // The controls come with the sum; the rest of the shift a cycle later.
    let later = TermStage::CoarseShift.cycles(configuration) as usize;
    let rest = m.delay("rest", Expr::from(&shift).slice(0, FINE_SHIFT_BITS), later);
    let squares = m.delay("squares_q", Expr::from(&squares), later);
    let shifted = Expr::from(&coarse).shift_right_by(Expr::from(&rest));
    let own = m.delay("element_at_term", Expr::from(&value), begin(TermStage::Term));
    let own = Expr::from(&own).extend(bits).as_bits();
    let chosen = Expr::from(&squares).choose(shifted, own);
    let term = held_if(&mut m, "term_q", at(TermStage::Term).as_ref(), chosen);
    m.drive(&result, Expr::from(&term));
    m.finish()
}

/// The sums of words.
///
/// Controls come later than the word that they belong to: `half` with `WithHalf`, `shift` and `squares` with `CoarseShift`, `opens` and
/// `addend` with the sum of the word.
///
/// # Errors
/// None for a checked configuration.
pub fn reduction(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let elements = configuration.stream_elements as usize;
    let element_bits = ELEMENT_BITS as usize;
    let sum_type = Type::bits(ACCUMULATOR_BITS as usize);
    let levels = elements.trailing_zeros() as usize;
    let terms = TermStage::cycles_of_all(configuration) as usize;
    let mut m = ModuleBuilder::new("reduction");
    m.describe(
        "The running sum of all elements of all words since the one that opens, or of their squares: a tree over the elements of a \
         word, then the sum. Sums wrap.",
    );
    m.latency("valid and word to sum", sum_cycles(configuration));
    m.section("Words");
    let valid = m.input("valid", bit());
    let word = m.input("word", Type::bits(elements * element_bits));
    m.section("Control");
    let half = m.input("half", sum_type);
    let shift = m.input("shift", Type::bits(5));
    let squares = m.input("squares", bit());
    let opens = m.input("opens", bit());
    let addend = m.input("addend", sum_type);
    m.section("Result");
    let sum_port = m.output("sum", sum_type);
    m.section("Terms");
    let module = term(configuration)?;
    let mut sums: Vec<Expr> = Vec::new();
    for lane in 0..elements {
        let connections = vec![
            ("valid", Expr::from(&valid)),
            ("element", Expr::from(&word).slice(lane * element_bits, element_bits).as_signed()),
            ("half", Expr::from(&half)),
            ("shift", Expr::from(&shift)),
            ("squares", Expr::from(&squares)),
        ];
        let instance = m.instance(&format!("term_{lane}"), &module, connections)?;
        sums.push(Expr::from(&instance.output("term")));
    }
    m.section("Tree");
    let mut arrived = m.delay("terms_valid", Expr::from(&valid), terms);
    for level in 0..levels {
        let enable = Expr::from(&arrived);
        let mut next = Vec::new();
        for (index, pair) in sums.chunks(2).enumerate() {
            let name = format!("sum_{level}_{index}");
            next.push(Expr::from(&held_while_idle(&mut m, &name, &enable, pair[0].add(&pair[1]))));
        }
        sums = next;
        arrived = m.delay(&format!("sum_{level}_valid"), enable, 1);
    }
    m.section("Running sum");
    let running: Signal = m.register("running", sum_type);
    let before = Expr::from(&opens).choose(Expr::from(&addend), Expr::from(&running));
    m.next_when(&running, Expr::from(&arrived), before.add(&sums[0]));
    m.drive(&sum_port, Expr::from(&running));
    m.finish()
}

/// Half of what a right shift by `shift` (5 bits) cuts off, in as many bits as an accumulator; 0 where it cuts nothing.
pub fn half_of(m: &mut ModuleBuilder, shift: &Expr) -> Expr {
    let bits = ACCUMULATOR_BITS as usize;
    let mask = m.wire("square_mask", literal(1, Type::bits(bits)).shift_left_by(shift));
    m.unused(Expr::from(&mask).bit(0));
    Expr::from(&mask).slice(1, bits - 1).extend(bits)
}
