//! The largest element of an instruction's words, and where it stands.

use super::{bit, held_while_idle};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, REGISTER_BITS};
use std::sync::Arc;

/// Cycles from a word to the largest element of all words up to this one: a tree over its elements, then the running value.
pub fn largest_cycles(configuration: &Configuration) -> usize {
    configuration.stream_elements.trailing_zeros() as usize + 1
}

/// An element of a word on its way through the tree, with the number of its lane.
struct Candidate {
    element: Expr,
    lane: Option<Expr>,
}

/// The tree and the running value; `with_position` says whether it gives out where the largest element stands.
///
/// # Errors
/// None for a checked configuration.
pub fn largest(configuration: &Configuration, with_position: bool) -> Result<Arc<Module>, DesignError> {
    let elements = configuration.stream_elements as usize;
    let element_bits = ELEMENT_BITS as usize;
    let element = Type::signed(element_bits);
    let levels = elements.trailing_zeros() as usize;
    let mut m = ModuleBuilder::new_variant("largest", if with_position { "with_position" } else { "alone" });
    m.describe("The largest element of all words since the one that opens, the first of equals, and where it stands.");
    m.latency("valid and word to largest", largest_cycles(configuration));
    m.section("Words");
    let valid = m.input("valid", bit());
    let opens = m.input("opens", bit());
    let word = m.input("word", Type::bits(elements * element_bits));
    let address = with_position.then(|| m.input("address", Type::bits(REGISTER_BITS as usize)));
    m.section("Result");
    let largest = m.output("largest", element);
    let position = with_position.then(|| m.output("position", Type::bits(REGISTER_BITS as usize)));

    let mut enables = vec![Expr::from(&valid)];
    for level in 1..=levels {
        let earlier = enables[level - 1].clone();
        enables.push(Expr::from(&m.delay(&format!("valid_{level}"), earlier, 1)));
    }
    let opens = m.delay("opens_at_end", Expr::from(&opens), levels);
    let address = address.map(|address| m.delay("address_at_end", Expr::from(&address), levels));
    m.section("Tree");
    let mut candidates: Vec<Candidate> = (0..elements)
        .map(|lane| Candidate {
            element: Expr::from(&word).slice(lane * element_bits, element_bits).as_signed(),
            lane: None,
        })
        .collect();
    for (level, enable) in enables.iter().enumerate().take(levels) {
        let mut next = Vec::new();
        for (index, pair) in candidates.chunks(2).enumerate() {
            let later = pair[1].element.greater_than(&pair[0].element);
            let later = Expr::from(&m.wire(&format!("later_{level}_{index}"), later));
            let larger = later.choose(&pair[1].element, &pair[0].element);
            let larger = held_while_idle(&mut m, &format!("larger_{level}_{index}"), enable, larger);
            let lane = with_position.then(|| {
                let lower = match (&pair[0].lane, &pair[1].lane) {
                    (Some(first), Some(second)) => vec![later.clone(), later.choose(second, first)],
                    _ => vec![later.clone()],
                };
                let name = format!("lane_{level}_{index}");
                Expr::from(&held_while_idle(&mut m, &name, enable, concat(&lower)))
            });
            next.push(Candidate { element: Expr::from(&larger), lane });
        }
        candidates = next;
    }
    m.section("Running value");
    let Candidate { element: of_word, lane } = &candidates[0];
    let running = m.register("running", element);
    let takes = Expr::from(&opens).or(of_word.greater_than(Expr::from(&running)));
    let takes = Expr::from(&m.wire("takes", enables[levels].and(takes)));
    m.next_when(&running, takes.clone(), of_word.clone());
    m.drive(&largest, Expr::from(&running));
    if let (Some(address), Some(lane), Some(port)) = (&address, lane, &position) {
        let stands = m.register("running_position", Type::bits(REGISTER_BITS as usize));
        let at = Expr::from(address).add(lane.extend(REGISTER_BITS as usize));
        m.next_when(&stands, takes, at);
        m.drive(port, Expr::from(&stands));
    }
    m.finish()
}
