//! Tile: one column of weight RAM, `dot` multipliers, an accumulator and its shadow.
//!
//! With separate sums each multiplier has an accumulator and a shadow too.
//!
//! With weights of 4 bits each multiplier takes two of them (see [`lpu_isa::image`]), and the tile has two accumulators.

use super::{bit, own_register};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, PACKED_ELEMENT_BITS, WEIGHT_BITS};
use lpu_isa::image::PACKED_OFFSET;
use lpu_isa::latency::{self, Latency, block_ram};
use std::sync::Arc;

/// Cycles by which the tile's accumulator controls must follow the weight address: the operands' way to the accumulator.
/// One of them is the tile's own control register.
pub fn control_delay(configuration: &Configuration) -> usize {
    let latency = Latency::of(configuration);
    (latency.weight_read + latency.multiply + latency.adder_tree) as usize
}

/// Cycles by which a row's weights are read behind its operand register, and those by which the group's step waits before it.
pub fn weight_lead(configuration: &Configuration) -> usize {
    let latency = Latency::of(configuration);
    (latency.crossbar.saturating_sub(latency.weight_read) + configuration.pipeline.weight_read) as usize
}

/// Bits of the drain chains: accumulators, and words of weights on their way out where they are wider.
pub fn drain_bits(configuration: &Configuration) -> usize {
    let word = if configuration.extensions.is_some() { configuration.weight_word_bits() } else { 0 };
    ACCUMULATOR_BITS.max(word) as usize
}

/// Bits of one of the two products of a packed multiplier: an int4 weight times an element of 9 bits.
const PACKED_PRODUCT_BITS: usize = (4 + PACKED_ELEMENT_BITS) as usize;

/// Type of what a beat's lower products are too large by, where the tile has two channels: see [`lpu_isa::image`].
fn offset_type(configuration: &Configuration) -> Option<Type> {
    let bits = PACKED_ELEMENT_BITS + configuration.dot.ilog2() + PACKED_OFFSET.ilog2();
    (configuration.channels_per_tile() > 1).then(|| Type::signed(bits as usize))
}

/// Cycles by which the offset follows its activation into the tile: it meets the products behind the multiplier.
pub fn offset_delay(configuration: &Configuration) -> usize {
    // One of them is the tile's own register.
    latency::multiplier(configuration) as usize + configuration.pipeline.multiply as usize - 1
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
    let drain_type = Type::signed(drain_bits(configuration));
    let word_bits = configuration.weight_word_bits() as usize;
    let parts = configuration.channels_per_tile() as usize;
    let mut m = ModuleBuilder::new("tile");
    m.describe(
        "Multiplies a word of weights by a beat of activations in each cycle and accumulates the sum of the products. The \
         finished sum moves to a shadow accumulator, from where it joins the drain chain of its column while the next \
         product runs.",
    );
    m.latency("weight_address to the accumulator", control_delay(configuration) + 1);
    m.latency("activation to the accumulator", control_delay(configuration) + 1 - latency.weight_read as usize);
    m.latency("drain_in to drain_out", 1);
    m.section("Operands");
    let weight_address = m.input("weight_address", Type::bits(configuration.weight_address_bits() as usize));
    let activation = m.input("activation", Type::bits(dot * element));
    let offset = offset_type(configuration).map(|ty| m.input("offset", ty));
    m.section("Control");
    let accumulate_in = m.input("accumulate", bit());
    let clear_in = m.input("clear", bit());
    let capture_in = m.input("capture", bit());
    m.section("Drain");
    let drain_in = m.input("drain_in", drain_type);
    let drain_out = m.output("drain_out", drain_type);
    let tokens = m.input("drain_tokens", Type::bits(parts));
    let separate_tokens = configuration.separate_sums.then(|| m.input("separate_tokens", Type::bits(dot)));
    // Comes with the word of weights.
    let fetch = configuration.extensions.map(|_| m.input("fetch", bit()));
    m.section("Load");
    let load_enable = m.input("load_enable", bit());
    let load_address = m.input("load_address", Type::bits(configuration.weight_address_bits() as usize));
    let load_word = m.input("load_word", Type::bits(word_bits));
    let load_bytes = configuration.extensions.map(|_| m.input("load_bytes", Type::bits(dot)));

    m.section("Weights");
    // Registers beside the RAM: the first stays with the tile, so that no wire of the address leads to a row of them.
    let address = match configuration.pipeline.weight_read {
        0 => Expr::from(&weight_address),
        cycles => {
            let waiting = m.delay("weight_address_wait", Expr::from(&weight_address), cycles as usize - 1);
            own_register(&mut m, "own_weight_address", &Expr::from(&waiting))?
        }
    };
    let (depth, cycles) = (configuration.weight_depth as usize, block_ram(configuration));
    let mut connections: Vec<(&str, Expr)> = vec![
        ("write_enable", load_enable.into()),
        ("write_address", load_address.into()),
        ("write_data", load_word.into()),
        ("read_address", address),
    ];
    let ram = match load_bytes {
        None => primitives::block_ram_in(word_bits, depth, cycles),
        Some(bytes) => {
            connections.push(("write_bytes", bytes.into()));
            primitives::block_ram_of_bytes(dot, depth, cycles)
        }
    };
    let ram = m.instance("weight_ram", &ram, connections)?;
    let word = ram.output("read_data");

    m.section("Products");
    let word = Expr::from(&word);
    let more = configuration.pipeline.multiply as usize;
    let cycles = latency::multiplier(configuration);
    // For each channel of the tile, the products of its weights.
    let mut terms: Vec<Vec<Expr>> = vec![Vec::new(); parts];
    for lane in 0..dot {
        let x = Expr::from(&activation).slice(lane * element, element);
        let weights = word.slice(lane * weight, weight);
        let name = format!("multiplier_{lane}");
        let Some(offset) = &offset else {
            let multiplier = primitives::multiplier_in(weight, element, cycles);
            let instance = m.instance(&name, &multiplier, vec![("a", weights.as_signed()), ("b", x.as_signed())])?;
            let product = m.delay(&format!("product_{lane}"), Expr::from(&instance.output("p")), more);
            terms[0].push(Expr::from(&product));
            continue;
        };
        let a = packed_operand(&weights);
        m.unused(x.slice(PACKED_ELEMENT_BITS as usize, element - PACKED_ELEMENT_BITS as usize));
        let x = x.slice(0, PACKED_ELEMENT_BITS as usize).as_signed();
        let multiplier = primitives::multiplier_in(a.width(), PACKED_ELEMENT_BITS as usize, cycles);
        let instance = m.instance(&name, &multiplier, vec![("a", a), ("b", x)])?;
        let products = m.delay(&format!("products_{lane}"), Expr::from(&instance.output("p")), more);
        let products = Expr::from(&products);
        let wide = offset.ty().width();
        let low = products.slice(0, PACKED_PRODUCT_BITS).as_signed().extend(wide);
        let borrowed = products.bit(PACKED_PRODUCT_BITS - 1).extend(PACKED_PRODUCT_BITS);
        let high = products.slice(PACKED_PRODUCT_BITS, PACKED_PRODUCT_BITS).add(borrowed);
        let low = Expr::from(&m.wire(&format!("lower_{lane}"), low));
        // The offset of all lanes is subtracted from the first.
        let low = if lane == 0 {
            low.sub_wide(own_register(&mut m, "own_offset", &Expr::from(offset))?)
        } else {
            low.extend(wide + 1)
        };
        for (part, product) in [low, high.as_signed()].into_iter().enumerate() {
            let register = m.delay(&format!("product_{lane}_{part}"), product, 1);
            terms[part].push(Expr::from(&register));
        }
    }

    m.section("Sum");
    let suffix = |part: usize| if parts == 1 { String::new() } else { format!("_{part}") };
    // Those of one multiplier each wait for the sums of all.
    let waiting: Vec<Expr> = match &separate_tokens {
        Some(_) => (0..)
            .zip(&terms[0])
            .map(|(lane, product)| {
                let waited = m.delay(&format!("separate_{lane}"), product.clone(), latency.adder_tree as usize);
                Expr::from(&waited).extend(ACCUMULATOR_BITS as usize)
            })
            .collect(),
        None => Vec::new(),
    };
    let sums: Vec<Expr> = terms
        .into_iter()
        .enumerate()
        .map(|(part, mut terms)| {
            for level in 0..latency.adder_tree {
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
            terms[0].extend(ACCUMULATOR_BITS as usize)
        })
        .collect();

    m.section("Accumulators");
    let accumulate = own_register(&mut m, "own_accumulate", &Expr::from(&accumulate_in))?;
    // The register holds the complement, so that the accumulator's adder masks with it as it stands.
    let keep = own_register(&mut m, "own_keep", &Expr::from(&clear_in).not())?;
    let capture = m.delay("capture_q", Expr::from(&capture_in), 1);
    let capture = own_register(&mut m, "own_capture", &Expr::from(&capture))?;
    let accumulator_module = primitives::accumulator(ACCUMULATOR_BITS as usize);
    let mut leaving = Expr::from(&drain_in);
    // A sum, with its accumulator and shadow, and the bit that lets it leave.
    let mut sum_up = |name: String, sum: Expr, token: Expr| -> Result<(), DesignError> {
        let accumulator = m.instance(
            &format!("accumulator{name}"),
            &accumulator_module,
            vec![("enable", accumulate.clone()), ("keep", keep.clone()), ("addend", sum)],
        )?;
        let shadow = m.register(&format!("shadow{name}"), accumulator_type);
        m.next_when(&shadow, capture.clone(), Expr::from(&accumulator.output("total")));
        leaving = token.choose(Expr::from(&shadow).extend(drain_type.width()), leaving.clone());
        Ok(())
    };
    if let Some(tokens) = &separate_tokens {
        for (lane, product) in waiting.into_iter().enumerate().rev() {
            sum_up(format!("_of_{lane}"), product, Expr::from(tokens).bit(lane))?;
        }
    }
    for (part, sum) in sums.into_iter().enumerate().rev() {
        sum_up(suffix(part), sum, Expr::from(&tokens).bit(part))?;
    }
    if let Some(fetch) = fetch {
        // A product of the group that leaves at the same time would be lost: no program has one.
        let weights = word.extend(drain_type.width()).as_signed();
        leaving = Expr::from(&fetch).choose(weights, leaving);
    }
    let drain = m.register("drain_q", drain_type);
    m.next(&drain, leaving);
    m.drive(&drain_out, Expr::from(&drain));
    m.finish()
}

/// The multiplier's operand for two int4 weights: `{upper weight, zeros, lower weight + offset}`.
fn packed_operand(field: &Expr) -> Expr {
    let zeros = literal(0, Type::bits(PACKED_PRODUCT_BITS - 4));
    concat(&[field.slice(4, WEIGHT_BITS as usize - 4), zeros, field.slice(0, 4)]).as_signed()
}
