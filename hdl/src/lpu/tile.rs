//! Tile: one column of weight RAM, `dot` multipliers, an accumulator and its shadow.
//!
//! With weights of 4 bits each multiplier takes two of them (see [`lpu_isa::image`]), and the tile has two accumulators.

use super::bit;
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{
    ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, PACKED_BITS, PACKED_ELEMENT_BITS, WEIGHT_BITS,
};
use lpu_isa::latency::Latency;
use std::sync::Arc;

/// Cycles by which the tile's accumulator controls must follow the weight address: the operands' way to the accumulator.
/// One of them is the tile's own control register.
pub fn control_delay(configuration: &Configuration) -> usize {
    let latency = Latency::of(configuration);
    (latency.weight_read.max(latency.crossbar) + latency.multiply + latency.adder_tree) as usize
}

/// Bits of one of the two products of a packed multiplier: an int4 weight times an element of 9 bits.
const PACKED_PRODUCT_BITS: usize = (4 + PACKED_ELEMENT_BITS) as usize;

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
    m.section("Operands");
    let weight_address = m.input("weight_address", Type::bits(configuration.weight_address_bits() as usize));
    let activation = m.input("activation", Type::bits(dot * element));
    m.section("Control");
    let accumulate_in = m.input("accumulate", bit());
    let clear_in = m.input("clear", bit());
    let bias_in = m.input("bias", bit());
    let bias_high_in = (configuration.words_per_bias() > 1).then(|| m.input("bias_high", bit()));
    let parts = configuration.channels_per_tile() as usize;
    let bias_part_in = (parts > 1).then(|| m.input("bias_part", bit()));
    let capture_in = m.input("capture", bit());
    m.section("Drain");
    let drain_in = m.input("drain_in", accumulator_type);
    let drain_out = m.output("drain_out", accumulator_type);
    let tokens = m.input("drain_tokens", Type::bits(parts));
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(configuration.weight_address_bits() as usize));
    let load_word = m.input("load_word", Type::bits(word_bits));

    m.section("Weights");
    let ram = primitives::block_ram(word_bits, configuration.weight_depth as usize);
    let ram = m.instance(
        "weight_ram",
        &ram,
        vec![
            ("write_enable", load_enable.into()),
            ("write_address", load_address.into()),
            ("write_data", load_word.into()),
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
    let word = Expr::from(&word);
    let more = configuration.pipeline.multiply as usize;
    // For each channel of the tile, the products of its weights.
    let mut terms: Vec<Vec<Expr>> = vec![Vec::new(); parts];
    for lane in 0..dot {
        let x = Expr::from(&activation).slice(lane * element, element);
        let name = format!("multiplier_{lane}");
        if parts == 1 {
            let a = word.slice(lane * weight, weight).as_signed();
            let multiplier = primitives::multiplier(weight, element);
            let instance = m.instance(&name, &multiplier, vec![("a", a), ("b", x.as_signed())])?;
            let product = m.delay(&format!("product_{lane}"), Expr::from(&instance.output("p")), more);
            terms[0].push(Expr::from(&product));
        } else {
            let a = packed_operand(&word.slice(lane * PACKED_BITS as usize, PACKED_BITS as usize));
            m.unused(x.slice(PACKED_ELEMENT_BITS as usize, element - PACKED_ELEMENT_BITS as usize));
            let x = x.slice(0, PACKED_ELEMENT_BITS as usize).as_signed();
            let multiplier = primitives::multiplier(a.width(), PACKED_ELEMENT_BITS as usize);
            let instance = m.instance(&name, &multiplier, vec![("a", a), ("b", x)])?;
            let products = m.delay(&format!("products_{lane}"), Expr::from(&instance.output("p")), more);
            let products = Expr::from(&products);
            m.unused(products.slice(2 * PACKED_PRODUCT_BITS, products.width() - 2 * PACKED_PRODUCT_BITS));
            let low = products.slice(0, PACKED_PRODUCT_BITS);
            let borrowed = products.bit(PACKED_PRODUCT_BITS - 1).extend(PACKED_PRODUCT_BITS);
            let high = products.slice(PACKED_PRODUCT_BITS, PACKED_PRODUCT_BITS).add(borrowed);
            for (part, product) in [low, high].into_iter().enumerate() {
                let register = m.delay(&format!("product_{lane}_{part}"), product.as_signed(), 1);
                terms[part].push(Expr::from(&register));
            }
        }
    }

    m.section("Sum");
    let levels = latency.adder_tree as usize;
    let bias_word = bias_bytes(&word, dot, parts);
    let bias_word = bias_word.slice(0, bias_word.width().min(ACCUMULATOR_BITS as usize));
    let bias_word = m.delay("bias_word", bias_word, latency.multiply as usize + levels - 1);
    // Controls reach the accumulator one register after they enter the tile, so those of the addend come straight from
    // the ports.
    let bias_value = bias_value(&bias_word, bias_high_in.as_ref());
    let suffix = |part: usize| if parts == 1 { String::new() } else { format!("_{part}") };
    let mut addends: Vec<Signal> = Vec::new();
    for (part, mut terms) in terms.into_iter().enumerate() {
        for level in 0..levels - 1 {
            terms = terms
                .chunks(2)
                .enumerate()
                .map(|(index, pair)| {
                    let sum = pair[0].add_wide(&pair[1]);
                    let register = m.register(&format!("sum_{level}_{index}{}", suffix(part)), sum.ty());
                    m.next(&register, sum);
                    Expr::from(&register)
                })
                .collect();
        }
        let sum = terms[0].add_wide(&terms[1]).extend(ACCUMULATOR_BITS as usize);
        // A start value belongs to one channel; the others add nothing meanwhile.
        let own = match &bias_part_in {
            None => bias_value.clone(),
            Some(number) => {
                let zero = literal(0, accumulator_type);
                let (first, second) = if part == 0 { (zero, bias_value.clone()) } else { (bias_value.clone(), zero) };
                Expr::from(number).choose(first, second)
            }
        };
        let addend = m.register(&format!("addend{}", suffix(part)), accumulator_type);
        m.next(&addend, Expr::from(&bias_in).choose(own, sum));
        addends.push(addend);
    }

    m.section("Accumulators");
    let accumulate = m.delay("accumulate_q", Expr::from(&accumulate_in), 1);
    let clear = m.delay("clear_q", Expr::from(&clear_in), 1);
    let capture = m.delay("capture_q", Expr::from(&capture_in), 2);
    let mut leaving = Expr::from(&drain_in);
    for (part, addend) in addends.iter().enumerate().rev() {
        let accumulator = m.register(&format!("accumulator{}", suffix(part)), accumulator_type);
        let zero = literal(0, accumulator_type);
        let start = Expr::from(&clear).choose(zero, Expr::from(&accumulator));
        m.next_when(&accumulator, Expr::from(&accumulate), start.add(Expr::from(addend)));
        let shadow = m.register(&format!("shadow{}", suffix(part)), accumulator_type);
        m.next_when(&shadow, Expr::from(&capture), Expr::from(&accumulator));
        leaving = Expr::from(&tokens).bit(part).choose(Expr::from(&shadow), leaving);
    }
    let drain = m.register("drain_q", accumulator_type);
    m.next(&drain, leaving);
    m.drive(&drain_out, Expr::from(&drain));
    m.finish()
}

/// The multiplier's operand for two int4 weights: `{upper weight less borrow, sign of the lower one, lower one}`.
fn packed_operand(field: &Expr) -> Expr {
    let low = field.slice(0, 4);
    let sign = low.slice(3, 1).as_signed().extend(PACKED_PRODUCT_BITS - 4).as_bits();
    concat(&[field.slice(4, PACKED_BITS as usize - 4), sign, low]).as_signed()
}

/// The bytes of a weight word.
fn bias_bytes(word: &Expr, dot: usize, parts: usize) -> Expr {
    if parts == 1 {
        return word.clone();
    }
    let bytes: Vec<Expr> = (0..dot)
        .rev()
        .map(|lane| {
            let field = word.slice(lane * PACKED_BITS as usize, PACKED_BITS as usize);
            // The upper nibble has lent 1 where the lower one is negative.
            let high = field.slice(4, 4).add(field.slice(3, 1).extend(4));
            concat(&[high, field.slice(0, 4)])
        })
        .collect();
    concat(&bytes)
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
