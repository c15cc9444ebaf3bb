//! Tile: one column of weight RAM, `dot` multipliers, an accumulator and its shadow.

use super::bit;
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, WEIGHT_BITS};
use lpu_isa::latency::Latency;
use std::sync::Arc;

/// Cycles by which the tile's accumulator controls must follow the weight address: the operands' way to the accumulator.
/// One of them is the tile's own control register.
pub fn control_delay(configuration: &Configuration) -> usize {
    let latency = Latency::of(configuration);
    (latency.weight_read.max(latency.crossbar) + latency.multiply + latency.adder_tree) as usize
}

/// The sum of products wide enough for `dot` of them.
fn sum_bits(configuration: &Configuration) -> usize {
    (WEIGHT_BITS + ELEMENT_BITS + configuration.dot.trailing_zeros()) as usize
}

/// A tile.
///
/// # Errors
/// None for a checked configuration.
pub fn tile(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let latency = Latency::of(configuration);
    let dot = configuration.dot as usize;
    let (weight, element) = (WEIGHT_BITS as usize, ELEMENT_BITS as usize);
    let accumulator_type = Type::signed(ACCUMULATOR_BITS as usize);
    let word_bits = configuration.weight_word_bits() as usize;
    let mut m = ModuleBuilder::new("tile");
    m.describe(
        "Multiplies a word of weights by a beat of activations in each cycle and accumulates the sum of the products. The \
         finished sum moves to a shadow accumulator, from where it joins the drain chain of its column while the next \
         product runs.",
    );
    m.latency("weight_address to the accumulator", control_delay(configuration) + 1);
    m.latency("drain_in to drain_out", 1);
    m.latency("drain_token_in to drain_token_out", 2);
    m.section("Operands");
    let weight_address = m.input("weight_address", Type::bits(configuration.weight_address_bits() as usize));
    let activation = m.input("activation", Type::bits(dot * element));
    m.section("Control");
    let accumulate_in = m.input("accumulate", bit());
    let clear_in = m.input("clear", bit());
    let bias_in = m.input("bias", bit());
    let bias_high_in = (configuration.bias_words() > 1).then(|| m.input("bias_high", bit()));
    let capture_in = m.input("capture", bit());
    m.section("Drain");
    let drain_in = m.input("drain_in", accumulator_type);
    let drain_out = m.output("drain_out", accumulator_type);
    let token_in = m.input("drain_token", bit());
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(configuration.weight_address_bits() as usize));
    let load_word = m.input("load_word", Type::bits(word_bits));

    m.section("Weights");
    // The load bus crosses the chip: it is registered beside the RAM, where its timing no longer matters.
    let load_enable_q = m.delay("load_enable_q", Expr::from(&load_enable), 1);
    let load_address_q = m.delay("load_address_q", Expr::from(&load_address), 1);
    let load_word_q = m.delay("load_word_q", Expr::from(&load_word), 1);
    let ram = primitives::block_ram(word_bits, configuration.weight_depth as usize);
    let ram = m.instance(
        "weight_ram",
        &ram,
        vec![
            ("write_enable", load_enable_q.into()),
            ("write_address", load_address_q.into()),
            ("write_data", load_word_q.into()),
            ("read_address", weight_address.into()),
        ],
    )?;
    // The later of weight and activation sets the pace; the other one waits.
    let ram_word = ram.output("read_data");
    let waited = latency.crossbar.saturating_sub(latency.weight_read) as usize;
    let word = m.delay("weight_word", Expr::from(&ram_word), configuration.pipeline.weight_read as usize + waited);
    let waited = latency.weight_read.saturating_sub(latency.crossbar) as usize;
    let activation = m.delay("activation_q", Expr::from(&activation), waited);

    m.section("Products");
    let multiplier = primitives::multiplier(weight, element);
    let mut terms: Vec<Expr> = Vec::new();
    for lane in 0..dot {
        let instance = m.instance(
            &format!("multiplier_{lane}"),
            &multiplier,
            vec![
                ("a", Expr::from(&word).slice(lane * weight, weight).as_signed()),
                ("b", Expr::from(&activation).slice(lane * element, element).as_signed()),
            ],
        )?;
        let product = instance.output("p");
        let product =
            m.delay(&format!("product_{lane}"), Expr::from(&product), configuration.pipeline.multiply as usize);
        terms.push(Expr::from(&product));
    }

    m.section("Sum");
    let levels = latency.adder_tree as usize;
    for level in 0..levels - 1 {
        terms = terms
            .chunks(2)
            .enumerate()
            .map(|(index, pair)| {
                let sum = pair[0].add_wide(&pair[1]);
                let register = m.register(&format!("sum_{level}_{index}"), sum.ty());
                m.next(&register, sum);
                Expr::from(&register)
            })
            .collect();
    }
    let bias_word = m.delay(
        "bias_word",
        Expr::from(&word).slice(0, word_bits.min(ACCUMULATOR_BITS as usize)),
        latency.multiply as usize + levels - 1,
    );
    // Controls reach the accumulator one register after they enter the tile, so those of the addend come straight from
    // the ports.
    let bias_value = bias_value(&bias_word, bias_high_in.as_ref());
    let sum = terms[0].add_wide(&terms[1]);
    debug_assert_eq!(sum.width(), sum_bits(configuration));
    let addend = m.register("addend", accumulator_type);
    m.next(&addend, Expr::from(&bias_in).choose(bias_value, sum.extend(ACCUMULATOR_BITS as usize)));

    m.section("Accumulators");
    let accumulate = m.delay("accumulate_q", Expr::from(&accumulate_in), 1);
    let clear = m.delay("clear_q", Expr::from(&clear_in), 1);
    let capture = m.delay("capture_q", Expr::from(&capture_in), 2);
    let accumulator = m.register("accumulator", accumulator_type);
    let zero = literal(0, accumulator_type);
    let start = Expr::from(&clear).choose(zero, Expr::from(&accumulator));
    m.next_when(&accumulator, Expr::from(&accumulate), start.add(Expr::from(&addend)));
    let shadow = m.register("shadow", accumulator_type);
    m.next_when(&shadow, Expr::from(&capture), Expr::from(&accumulator));
    let drain = m.register("drain_q", accumulator_type);
    m.next(&drain, Expr::from(&token_in).choose(Expr::from(&shadow), Expr::from(&drain_in)));
    m.drive(&drain_out, Expr::from(&drain));
    m.finish()
}

/// The 32 bits that a bias step adds to the accumulator. Words narrower than 32 bits bring them in two steps, low half first.
fn bias_value(word: &Signal, high: Option<&Signal>) -> Expr {
    let bits = ACCUMULATOR_BITS as usize;
    let word = Expr::from(word);
    match high {
        None => word.as_signed(),
        Some(high) => {
            let zero = literal(0, Type::bits(bits - word.width()));
            Expr::from(high).choose(concat(&[word.clone(), zero.clone()]), concat(&[zero, word])).as_signed()
        }
    }
}
