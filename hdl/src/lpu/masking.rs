//! Which elements of an instruction lie beyond the index that a run-time register holds.

use super::fields::Fields;
use super::{constant, held_while_idle};
use crate::layer::{Expr, Instance, ModuleBuilder, Signal, Type, concat};
use lpu_isa::configuration::{Configuration, REGISTER_BITS};

/// Cycles from a step to the bits of its word.
pub const MASK_CYCLES: usize = 2;

/// One bit for each element of a word, [`MASK_CYCLES`] behind its step: set where the element's index in the instruction is above the
/// register in the field `mask`. None is set where the field names no register. Indices begin again at 0 with the word after one that
/// comes with `restarts`.
pub fn beyond(
    m: &mut ModuleBuilder,
    configuration: &Configuration,
    fields: &Fields,
    run: &Signal,
    sequencer: &Instance,
    restarts: Option<Expr>,
) -> Expr {
    let elements = configuration.stream_elements;
    let within = elements.trailing_zeros() as usize;
    let number_bits = REGISTER_BITS as usize - within;
    // Words of the instruction before this one. The upper bit stays once it is set: all further words are beyond any register.
    let number = m.register("word_number", Type::bits(number_bits + 1));
    let counts = Expr::from(&sequencer.output("step")).and(Expr::from(&number).bit(number_bits).not());
    let zero = constant(0, number_bits as u32 + 1);
    let begins = restarts.map_or_else(|| Expr::from(run), |restarts| Expr::from(run).or(restarts));
    m.next_cases(&number, &[(begins, zero), (counts, super::increment(&number))]);
    let masks = held_while_idle(m, "masks", &Expr::from(run), fields.bits("mask").any());
    let last = held_while_idle(m, "last_index", &Expr::from(run), fields.captured("mask"));
    let last_word = Expr::from(&last).slice(within, number_bits).extend(number_bits + 1);
    let masks = Expr::from(&masks);
    let behind = m.delay("word_beyond", masks.and(Expr::from(&number).greater_than(last_word.clone())), 1);
    let inside = m.delay("word_at_end", masks.and(Expr::from(&number).equals(last_word)), 1);
    let last_lane = m.delay("last_lane", Expr::from(&last).slice(0, within), 1);
    let bits: Vec<Expr> = (0..elements)
        .rev()
        .map(|lane| {
            let above = Expr::from(&last_lane).less_than(constant(u64::from(lane), within as u32));
            Expr::from(&behind).or(Expr::from(&inside).and(above))
        })
        .collect();
    Expr::from(&m.delay("masked_elements", concat(&bits), 1))
}
