//! Tile row: the tiles of one group that stand in one row, behind one set of operand and control registers.

use super::tile::{control_delay, drain_bits, offset_delay, tile};
use super::{bit, decrement, own_register};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, PACKED_ELEMENT_BITS, WEIGHT_BITS, bits_for};
use lpu_isa::image::PACKED_OFFSET;
use lpu_isa::instruction::Drain;
use lpu_isa::latency::Latency;
use std::sync::Arc;

/// A control bit that follows its operands through the tile: a shift register, its input and the delay it gives.
fn follow(m: &mut ModuleBuilder, name: &str, input: &Signal, cycles: usize) -> Expr {
    match cycles {
        0 => Expr::from(input),
        1 => Expr::from(&m.delay(&format!("{name}_follow"), Expr::from(input), 1)),
        _ => {
            let register = m.register(&format!("{name}_follow"), Type::bits(cycles));
            let kept = Expr::from(&register).slice(0, cycles - 1);
            m.next(&register, concat(&[kept, Expr::from(input)]));
            Expr::from(&register).bit(cycles - 1)
        }
    }
}

/// The sum of a beat's elements times [`PACKED_OFFSET`], [`offset_delay`] cycles behind its beat.
fn offset(m: &mut ModuleBuilder, configuration: &Configuration, activation: &Signal) -> Expr {
    let element = |lane: u32| {
        let element = Expr::from(activation).slice((lane * ELEMENT_BITS) as usize, PACKED_ELEMENT_BITS as usize);
        element.as_signed()
    };
    let mut terms: Vec<Expr> = (0..configuration.dot).map(element).collect();
    let mut cycles = offset_delay(configuration);
    while terms.len() > 1 {
        // A register behind each sum, as far as there is time.
        let registers = cycles.min(1);
        cycles -= registers;
        let sums = terms.chunks(2).map(|pair| pair[0].add_wide(&pair[1]));
        let name = format!("sum_of_{}", configuration.dot as usize * 2 / terms.len());
        let registered = sums.enumerate().map(|(index, sum)| m.delay(&format!("{name}_{index}"), sum, registers));
        terms = registered.map(|signal| Expr::from(&signal)).collect();
    }
    let sum = Expr::from(&m.delay("sum_of_beat", terms[0].clone(), cycles));
    let zeros = literal(0, Type::bits(PACKED_OFFSET.ilog2() as usize));
    concat(&[sum.as_bits(), zeros]).as_signed()
}

/// Which tiles' weights leave through the drain chains: the hop of the controls, and a bit for each column that comes with the tile's word
/// of weights.
fn fetch(m: &mut ModuleBuilder, configuration: &Configuration, columns: usize) -> Vec<Expr> {
    let latency = Latency::of(configuration);
    let row_bits = bits_for(configuration.tile_rows());
    m.section("Fetch");
    // How many rows further down the tile stands; its column.
    let row_in = m.input("fetch_row", Type::bits(row_bits as usize));
    let columns_in = m.input("fetch_columns", Type::bits(configuration.dot as usize));
    let row_hop = m.output("fetch_row_hop", row_in.ty());
    let columns_hop = m.output("fetch_columns_hop", columns_in.ty());
    let row = m.delay("fetch_row_q", Expr::from(&row_in), 1);
    let chosen = m.delay("fetch_columns_q", Expr::from(&columns_in), 1);
    m.drive(&row_hop, decrement(&row));
    m.drive(&columns_hop, Expr::from(&chosen));
    let here = Expr::from(&row).any().not();
    (0..columns)
        .map(|column| {
            let here = Expr::from(&chosen).bit(column).and(here.clone());
            Expr::from(&m.delay(&format!("fetch_{column}"), here, latency.weight_read as usize))
        })
        .collect()
}

/// Cycles by which a drain's token comes to a row later than to the row before.
pub fn token_pace(configuration: &Configuration, drain: Drain) -> usize {
    // Slower than the drain chain, which moves a row a cycle: each row's results leave the chain one interval of the
    // requantiser behind those of the row before.
    (1 + configuration.results_per_tile(drain) * configuration.requantise_interval) as usize
}

/// The tokens of a drain, which let the tiles' results leave, one for each result of a tile and an interval of the requantiser apart; and
/// the token's way on. Signals are called `NAME_…`, tokens `PART_…`.
fn tokens(m: &mut ModuleBuilder, configuration: &Configuration, drain: Drain, [name, part]: [&str; 2]) -> Expr {
    let token_in = m.input(&format!("{name}_token_in"), bit());
    let token_out = m.output(&format!("{name}_token_out"), bit());
    let interval = configuration.requantise_interval as usize;
    let results = configuration.results_per_tile(drain) as usize;
    let tokens: Vec<Expr> = (0..results)
        .rev()
        .map(|result| Expr::from(&m.delay(&format!("{part}_{result}"), Expr::from(&token_in), result * interval)))
        .collect();
    let tokens = m.wire(&format!("{name}_tokens"), concat(&tokens));
    let token = m.delay(&format!("{name}_token"), Expr::from(&token_in), token_pace(configuration, drain));
    m.drive(&token_out, Expr::from(&token));
    Expr::from(&tokens)
}

/// What makes a drain of separate sums, and lets the tiles multiply for them.
struct Separate {
    /// Tokens, one for each multiplier of a tile.
    tokens: Expr,
    /// Whether the beat is multiplied for them, in a register of each column's own.
    columns: Vec<Expr>,
}

impl Separate {
    fn of(m: &mut ModuleBuilder, configuration: &Configuration, columns: u32) -> Result<Separate, DesignError> {
        m.section("Separate sums");
        // Comes with the beat, one for all tiles.
        let separate_in = m.input("separate", bit());
        let separate_hop = m.output("separate_hop", bit());
        let separate = m.delay("separate_q", Expr::from(&separate_in), 1);
        m.drive(&separate_hop, Expr::from(&separate));
        let tokens = tokens(m, configuration, Drain::Separate, ["separate", "separate_token"]);
        let columns = (0..columns)
            .map(|column| own_register(m, &format!("own_separate_{column}"), &Expr::from(&separate_in)))
            .collect::<Result<_, _>>()?;
        Ok(Separate { tokens, columns })
    }

    /// The beat as the tile in `column` multiplies it: as it is, or the column's element for each multiplier.
    fn operands(
        &self,
        m: &mut ModuleBuilder,
        configuration: &Configuration,
        activation: &Signal,
        column: usize,
    ) -> Expr {
        let element = |lane: usize| {
            let bits = ELEMENT_BITS as usize;
            Expr::from(activation).slice(lane * bits, bits)
        };
        let own = |lane: usize| match lane == column {
            true => element(lane),
            false => self.columns[column].choose(element(column), element(lane)),
        };
        let operands: Vec<Expr> = (0..configuration.dot as usize).rev().map(own).collect();
        Expr::from(&m.wire(&format!("activation_of_{column}"), concat(&operands)))
    }
}

/// A row of `columns` tiles.
///
/// # Errors
/// None for a checked configuration.
pub fn tile_row(configuration: &Configuration, columns: u32) -> Result<Arc<Module>, DesignError> {
    let parts = configuration.channels_per_tile() as usize;
    let address_type = Type::bits(configuration.weight_address_bits() as usize);
    let operands_type = Type::bits((configuration.dot * ELEMENT_BITS) as usize);
    let drain_type = Type::signed(drain_bits(configuration));
    let word_type = Type::bits(configuration.weight_word_bits() as usize);
    let mut m = ModuleBuilder::new_variant("tile_row", &format!("{columns}"));
    m.describe(
        "The tiles of a group that stand side by side. Operands and controls are registered here once and hop on to the \
         next row; results of earlier rows pass through.",
    );
    m.latency("any hop input to its hop output", 1);
    m.latency("drain_token_in to drain_token_out", token_pace(configuration, Drain::AllRows));
    m.section("Operands");
    let address_in = m.input("weight_address", address_type);
    let activation_in = m.input("activation", operands_type);
    m.section("Control");
    let controls = ["accumulate", "clear", "capture"];
    let control_in: Vec<Signal> = controls.iter().map(|name| m.input(name, bit())).collect();
    m.section("Hop");
    let hop = |m: &mut ModuleBuilder, name: &str, input: &Signal| {
        let register = m.delay(&format!("{name}_q"), Expr::from(input), 1);
        let port = m.output(&format!("{name}_hop"), input.ty());
        m.drive(&port, Expr::from(&register));
        register
    };
    let address = hop(&mut m, "weight_address", &address_in);
    let activation = hop(&mut m, "activation", &activation_in);
    let control: Vec<Signal> = controls.iter().zip(&control_in).map(|(name, input)| hop(&mut m, name, input)).collect();
    let fetch = configuration.extensions.map(|_| fetch(&mut m, configuration, columns as usize));
    m.section("Drain");
    let tokens = tokens(&mut m, configuration, Drain::AllRows, ["drain", "drain_token_part"]);
    let separate = match configuration.separate_sums {
        true => Some(Separate::of(&mut m, configuration, columns)?),
        false => None,
    };
    m.section("Load");
    let load_enable = m.input("load_enable", Type::bits(columns as usize));
    let load_address = m.input("load_address", address_type);
    let load_word = m.input("load_word", word_type);
    // The load bus hops like the operands: no net of it spans the chip.
    let load_address = hop(&mut m, "load_address", &load_address);
    let load_word = hop(&mut m, "load_word", &load_word);
    let load_enable = m.delay("load_enable_q", Expr::from(&load_enable), 1);
    let spread = configuration.extensions.map(|_| {
        let bytes = m.input("load_bytes", Type::bits(configuration.dot as usize));
        let spread = m.input("load_spread", bit());
        (hop(&mut m, "load_bytes", &bytes), hop(&mut m, "load_spread", &spread))
    });

    // Each tile registers its controls once more.
    let delay = control_delay(configuration) - 1;
    let followed: Vec<Expr> =
        controls.iter().zip(&control).map(|(name, signal)| follow(&mut m, name, signal, delay)).collect();

    let offset = (parts > 1).then(|| offset(&mut m, configuration, &activation));

    let tile = tile(configuration)?;
    for column in 0..columns as usize {
        let drain_in = m.input(&format!("drain_in_{column}"), drain_type);
        let drain_out = m.output(&format!("drain_out_{column}"), drain_type);
        let operands = match &separate {
            Some(separate) => separate.operands(&mut m, configuration, &activation, column),
            None => Expr::from(&activation),
        };
        let mut connections: Vec<(&str, Expr)> = vec![
            ("weight_address", Expr::from(&address)),
            ("activation", operands),
            ("drain_in", Expr::from(&drain_in)),
            ("drain_tokens", tokens.clone()),
            ("load_enable", Expr::from(&load_enable).bit(column)),
            ("load_address", Expr::from(&load_address)),
        ];
        let word = Expr::from(&load_word);
        match &spread {
            None => connections.push(("load_word", word)),
            Some((bytes, spread)) => {
                // Of words that are spread each column has one byte, which any byte of its own word can become.
                let own = word.slice(column * WEIGHT_BITS as usize, WEIGHT_BITS as usize);
                let own = own.repeat(configuration.dot as usize);
                connections.push(("load_word", Expr::from(spread).choose(own, word)));
                connections.push(("load_bytes", Expr::from(bytes)));
            }
        }
        connections.extend(fetch.iter().map(|fetch| ("fetch", fetch[column].clone())));
        connections.extend(controls.into_iter().zip(followed.iter().cloned()));
        connections.extend(separate.iter().map(|separate| ("separate_tokens", separate.tokens.clone())));
        connections.extend(offset.iter().map(|offset| ("offset", offset.clone())));
        let instance = m.instance(&format!("tile_{column}"), &tile, connections)?;
        m.drive(&drain_out, Expr::from(&instance.output("drain_out")));
    }
    m.finish()
}
