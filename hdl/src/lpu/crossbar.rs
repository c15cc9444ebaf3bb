//! Crossbar: every destination port picks one source port in each cycle.

use super::own_register;
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS};
use std::sync::Arc;

/// Bits of a destination that are chosen by one set of wires: a wire to all of a word spans too much of the chip.
const PART: usize = 32;

/// Sources that the first of two stages of a choice takes together: an AND and an OR for two fill one look-up table of four inputs.
const PAIR: usize = 2;

/// A destination port of the crossbar.
pub struct Destination {
    /// Name of the port.
    pub name: String,
    /// Elements that it takes, from element 0 of the word.
    pub elements: u32,
}

/// The destinations of a configuration: tile groups, write ports, requantiser, both operands of the vector unit if there is one, the
/// port that stores into the weights if there is one.
pub fn destinations(configuration: &Configuration) -> Vec<Destination> {
    let word = configuration.stream_elements;
    let one = |name: String, elements: u32| Destination { name, elements };
    let mut ports: Vec<Destination> =
        (0..configuration.tile_groups()).map(|g| one(format!("tile_group_{g}"), configuration.dot)).collect();
    ports.extend((0..configuration.vector_slices).map(|s| one(format!("write_{s}"), word)));
    ports.push(one("requantiser".into(), word));
    if configuration.lookup {
        ports.push(one("requantiser_index".into(), word));
    }
    if configuration.vector_unit {
        ports.extend(["vector_a", "vector_b"].map(|name| one(name.to_string(), word)));
    }
    if configuration.extensions.is_some() {
        ports.push(one("weights".into(), word));
    }
    ports
}

/// Names of the source ports in the order of their numbers.
pub fn sources(configuration: &Configuration) -> Vec<String> {
    let mut names: Vec<String> = (0..configuration.vector_slices).map(|slice| format!("slice_{slice}")).collect();
    names.push("requantiser".into());
    if configuration.vector_unit {
        names.push("vector".into());
    }
    if configuration.extensions.is_some() {
        names.push("weights".into());
    }
    names
}

/// The crossbar.
///
/// # Errors
/// None for a checked configuration.
pub fn crossbar(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let count = configuration.crossbar_sources() as usize;
    let word_type = Type::bits((configuration.stream_elements * ELEMENT_BITS) as usize);
    let registers = configuration.pipeline.crossbar as usize;
    let mut m = ModuleBuilder::new("crossbar");
    m.describe(
        "Each destination picks one source in each cycle; any number of destinations may pick the same one. Nothing is \
         arbitrated and nothing waits.",
    );
    m.latency("any source to any destination", registers);
    m.section("Sources");
    // Where there are several registers, one stands in front of the choice: sources come from all over the machine, and what they
    // have been brought to is then chosen from on short ways.
    let before = usize::from(registers > 1);
    // Where two stand behind it, the choice is cut in two by the first of them: ten inputs of a bit then stand in look-up tables that
    // need not be neighbours, and place and route finds wires to them.
    let in_pairs = registers > before + 1;
    let inputs: Vec<Signal> = sources(configuration)
        .iter()
        .map(|name| {
            let input = m.input(&format!("from_{name}"), word_type);
            m.delay(&format!("from_{name}_q"), Expr::from(&input), before)
        })
        .collect();
    m.section("Destinations");
    for destination in destinations(configuration) {
        let name = &destination.name;
        let bits = (destination.elements * ELEMENT_BITS) as usize;
        let pick = m.input(&format!("pick_{name}"), Type::bits(count));
        let port = m.output(&format!("to_{name}"), Type::bits(bits));
        let mut chosen: Vec<Expr> = Vec::new();
        for lowest in (0..bits).step_by(PART) {
            let part = PART.min(bits - lowest);
            let pick = match before {
                0 => Expr::from(&pick),
                _ => own_register(&mut m, &format!("pick_{name}_{lowest}"), &Expr::from(&pick))?,
            };
            let words: Vec<Expr> = inputs.iter().map(|input| Expr::from(input).slice(lowest, part)).collect();
            chosen.push(if in_pairs {
                choose_in_pairs(&mut m, &format!("{name}_{lowest}"), &pick, &words)?
            } else {
                choose(&mut m, &format!("{name}_{lowest}"), pick, &words)?
            });
        }
        chosen.reverse();
        let value = m.delay(&format!("{name}_q"), concat(&chosen), registers - before - usize::from(in_pairs));
        m.drive(&port, Expr::from(&value));
    }
    m.finish()
}

/// The word of `words` whose bit of `pick` is set, in the same cycle.
fn choose(m: &mut ModuleBuilder, name: &str, pick: Expr, words: &[Expr]) -> Result<Expr, DesignError> {
    let names: Vec<String> = (0..words.len()).map(|source| format!("from_{source}")).collect();
    let mut connections: Vec<(&str, Expr)> = vec![("pick", pick)];
    connections.extend(names.iter().map(String::as_str).zip(words.iter().cloned()));
    let choice = primitives::multiplexer(words.first().map_or(0, Expr::width), words.len());
    Ok(Expr::from(&m.instance(name, &choice, connections)?.output("chosen")))
}

/// The same a cycle later, with a register behind the choice in each pair of words.
fn choose_in_pairs(m: &mut ModuleBuilder, name: &str, pick: &Expr, words: &[Expr]) -> Result<Expr, DesignError> {
    let mut choices = Vec::new();
    for (pair, words) in words.chunks(PAIR).enumerate() {
        let name = format!("{name}_pair_{pair}");
        let choice = choose(m, &name, pick.slice(PAIR * pair, words.len()), words)?;
        choices.push(Expr::from(&m.delay(&format!("{name}_q"), choice, 1)));
    }
    let none = literal(0, Type::bits(words.first().map_or(0, Expr::width)));
    Ok(choices.into_iter().reduce(|any, choice| any.or(choice)).unwrap_or(none))
}
