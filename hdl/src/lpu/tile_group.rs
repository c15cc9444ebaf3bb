//! Tile group: `dot` columns of tiles under one instruction queue.

use super::fields::Fields;
use super::queue::queue;
use super::sequencer::{self, Shape};
use super::tile::drain_bits;
use super::tile_row::{tile_row, token_pace};
use super::{LoadBus, RegisterBus, bit, constant, copied, held_while_idle, picked, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, REGISTER_BITS, bits_for};
use lpu_isa::instruction::{Drain, Unit};
use lpu_isa::latency::Latency;
use std::sync::Arc;

/// Tiles of group `group`, row by row, as their numbers in the machine.
pub fn tiles_of_group(configuration: &Configuration, group: u32) -> Vec<Vec<u32>> {
    let first = group * configuration.dot;
    (0..configuration.tile_rows())
        .map(|row| {
            (first..first + configuration.dot)
                .filter(|&column| row < configuration.rows_of_column(column))
                .map(|column| row * configuration.stream_elements + column)
                .collect::<Vec<u32>>()
        })
        .filter(|tiles| !tiles.is_empty())
        .collect()
}

/// The tile group `group`.
///
/// # Errors
/// None for a checked configuration.
pub fn tile_group(configuration: &Configuration, group: u32) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::TileGroup(group);
    let latency = Latency::of(configuration);
    let rows = tiles_of_group(configuration, group);
    let columns = rows.first().map_or(0, Vec::len);
    let tiles: usize = rows.iter().map(Vec::len).sum();
    let drain_type = Type::signed(drain_bits(configuration));
    let mut m = ModuleBuilder::new_variant("tile_group", &format!("{tiles}"));
    m.describe(
        "Neighbouring columns of tiles that share an instruction queue and a stream of activations. In a drain, one row of \
         results leaves the drain chains each time that the requantiser is free for a word.",
    );
    m.latency(
        "step to the first row of its results on the drain ports",
        (latency.step_to_shadow + configuration.tile_rows()) as usize,
    );
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(configuration.queue_address_bits() as usize));
    let halted = m.output("halted", bit());
    m.section("Stream");
    let source = m.output("source", Type::bits(configuration.crossbar_sources() as usize));
    let activation = m.input("activation", Type::bits((configuration.dot * ELEMENT_BITS) as usize));
    m.section("Drain");
    let drain_out: Vec<Signal> = (0..columns).map(|c| m.output(&format!("drain_{c}"), drain_type)).collect();
    let load = LoadBus::ports(&mut m, configuration, unit, "queue");
    let weight_load_enable = m.input("weight_load_enable", Type::bits(tiles));
    let weight_load_address = m.input("weight_load_address", Type::bits(configuration.weight_address_bits() as usize));
    let weight_load_word = m.input("weight_load_word", Type::bits(configuration.weight_word_bits() as usize));
    let stored = configuration.extensions.map(|_| {
        let bytes = m.input("weight_load_bytes", Type::bits(configuration.dot as usize));
        (bytes, m.input("weight_load_spread", bit()))
    });
    let registers = RegisterBus::of_unit(&mut m, configuration)?;

    m.section("Program");
    let queue = queue(unit, configuration)?;
    let queue = m.instance("queue", &queue, load.queue(&start, &entry, registers.as_ref()))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, &queue);
    let shape = Shape {
        address_bits: configuration.weight_address_bits(),
        end_of_level_0: false,
        run_edges: true,
        instruction_edges: false,
    };
    let sequencer = sequencer::place(&mut m, "sequencer", shape, &run, &fields)?;
    let source_q = picked(&mut m, &fields, &run, "source", configuration);
    m.drive(&source, Expr::from(&source_q));

    let step = sequencer.output("step");
    let mut last = sequencer.output("last");
    let mut fetch = None;
    // Are sums of multipliers asked for, with a step and with its beat?
    let separate = configuration.separate_sums.then(|| {
        let beat = latency.crossbar.max(latency.weight_read) as usize;
        let places = fields.follow_to(&mut m, &run, "separate", fields.get("separate"), &[0, beat]);
        (places[0].clone(), places[1].clone())
    });
    let summed = |drains: Expr| match &separate {
        Some((of_step, _)) => of_step.not().and(drains),
        None => drains,
    };
    // The token of the last row of tiles, if that is incomplete: products may leave it out.
    let mut incomplete = None;
    if configuration.extensions.is_some() {
        fields.leave_numbers(&mut m, &[]);
        let fetching = fields.follow(&mut m, &run, "fetch", 0);
        fetch = Some(fetch_place(&mut m, configuration, group, &fields, &run, &fetching.and(&step))?);
        // What is fetched has no result.
        last = m.wire("last_of_product", fetching.not().and(&last));
        let whole = configuration.tiles / configuration.stream_elements;
        if whole as usize + 1 == rows.len() {
            let full_rows = fields.follow(&mut m, &run, "full_rows", 0);
            let delay = latency.step_to_shadow as usize + whole as usize * token_pace(configuration, Drain::AllRows);
            let drains = summed(full_rows.not().and(&last));
            incomplete = Some(Expr::from(&m.delay("drain_token_of_incomplete_row", drains, delay)));
        } else {
            m.unused(fields.bits("full_rows"));
        }
    }
    let token = m.delay("drain_token", summed(Expr::from(&last)), latency.step_to_shadow as usize);
    // A weight meets its activation at the multiplier: the address leads by the read of the weight RAM. It is made to here, once
    // for all tiles of the group: either the address and its controls wait for the activation to cross, or the other way round.
    let (crossing, reading) = (latency.crossbar as usize, latency.weight_read as usize);
    let wait = |m: &mut ModuleBuilder, name: &str, value: Expr| {
        Expr::from(&m.delay(&format!("{name}_wait"), value, crossing.saturating_sub(reading)))
    };
    let activation = Expr::from(&m.delay("activation_wait", Expr::from(&activation), reading.saturating_sub(crossing)));
    let mut control: Vec<(&str, Expr)> = vec![
        ("weight_address", wait(&mut m, "weight_address", Expr::from(&sequencer.output("address")))),
        ("activation", activation),
        ("accumulate", wait(&mut m, "accumulate", Expr::from(&step))),
        ("clear", wait(&mut m, "clear", Expr::from(&sequencer.output("first")))),
        ("capture", wait(&mut m, "capture", Expr::from(&last))),
    ];
    control.push(("drain_token_in", Expr::from(&token)));
    if let Some((of_step, of_beat)) = &separate {
        // Sums of multipliers leave by tokens of their own.
        let token = m.delay("separate_token", of_step.and(&last), latency.step_to_shadow as usize);
        control.extend([("separate", of_beat.clone()), ("separate_token_in", Expr::from(&token))]);
    }
    if let Some([row, columns]) = fetch {
        control.extend([
            ("fetch_row", wait(&mut m, "fetch_row", row)),
            ("fetch_columns", wait(&mut m, "fetch_columns", columns)),
        ]);
    }
    // A group's own: what hops from row to row would be one chain of registers for all groups otherwise.
    let address = copied(&mut m, configuration, "own_load_address", &Expr::from(&weight_load_address))?;
    let word = copied(&mut m, configuration, "own_load_word", &Expr::from(&weight_load_word))?;
    control.extend([("load_address", address), ("load_word", word)]);
    if let Some((bytes, spread)) = stored {
        let bytes = copied(&mut m, configuration, "own_load_bytes", &Expr::from(&bytes))?;
        let spread = copied(&mut m, configuration, "own_load_spread", &Expr::from(&spread))?;
        control.extend([("load_bytes", bytes), ("load_spread", spread)]);
    }

    m.section("Tiles");
    let mut drains: Vec<Expr> = vec![literal(0, drain_type); columns];
    let whole = (configuration.tiles / configuration.stream_elements) as usize;
    let mut enable_position = 0;
    for (row, tiles) in rows.iter().enumerate() {
        let module = tile_row(configuration, tiles.len() as u32)?;
        let mut connections = control.clone();
        // A row's enables wait for the load bus, which takes a cycle to each row.
        let enables = Expr::from(&weight_load_enable).slice(enable_position, tiles.len());
        let enables = m.delay(&format!("load_enable_{row}"), enables, spare_registers(configuration) + row);
        connections.push(("load_enable", Expr::from(&enables)));
        enable_position += tiles.len();
        let names: Vec<String> = (0..tiles.len()).map(|column| format!("drain_in_{column}")).collect();
        connections.extend(names.iter().map(String::as_str).zip(drains.iter().cloned()));
        let instance = m.instance(&format!("row_{row}"), &module, connections)?;
        let is_last = row + 1 == rows.len();
        for (name, value) in &mut control {
            let (port, own) = match *name {
                "drain_token_in" => {
                    ("drain_token_out".to_string(), incomplete.clone().filter(|_| row + 2 == rows.len()))
                }
                // An incomplete row of tiles has none.
                "separate_token_in" => {
                    let none = (row + 1 == whole).then(|| literal(0, bit()));
                    ("separate_token_out".to_string(), none)
                }
                name => (format!("{name}_hop"), None),
            };
            if is_last || own.is_some() {
                instance.ignore(&port);
            }
            match own {
                Some(own) => *value = own,
                None if is_last => {}
                None => *value = Expr::from(&instance.output(&port)),
            }
        }
        for (column, drain) in drains.iter_mut().enumerate().take(tiles.len()) {
            *drain = Expr::from(&instance.output(&format!("drain_out_{column}")));
        }
    }
    for (column, drain) in drains.into_iter().enumerate() {
        // A column with fewer tiles than the machine has rows must not be early.
        let own = rows.iter().filter(|tiles| column < tiles.len()).count();
        let missing = configuration.tile_rows() as usize - own;
        let aligned = m.delay(&format!("drain_{column}_aligned"), drain, missing);
        m.drive(&drain_out[column], Expr::from(&aligned));
    }
    m.finish()
}

/// Where the tile stands whose weights a step fetches: its row, and its column as one bit of the group's, none in a step that fetches
/// nothing of this group.
fn fetch_place(
    m: &mut ModuleBuilder,
    configuration: &Configuration,
    group: u32,
    fields: &Fields,
    run: &Signal,
    fetches: &Expr,
) -> Result<[Expr; 2], DesignError> {
    let tile = fields.captured("tile");
    let column_bits = configuration.stream_elements.trailing_zeros() as usize;
    let row_bits = bits_for(configuration.tile_rows()) as usize;
    let used = column_bits + row_bits;
    if used < REGISTER_BITS as usize {
        m.unused(tile.slice(used, REGISTER_BITS as usize - used));
    }
    let row = held_while_idle(m, "fetched_row", &Expr::from(run), tile.slice(column_bits, row_bits));
    let column = tile.slice(0, column_bits);
    let first = group * configuration.dot;
    let columns: Vec<Expr> = (first..first + configuration.dot)
        .rev()
        .map(|number| column.equals(constant(u64::from(number), column_bits as u32)))
        .collect();
    let columns = held_while_idle(m, "fetched_columns", &Expr::from(run), concat(&columns));
    let columns = fetches.repeat(configuration.dot as usize).and(&columns);
    Ok([Expr::from(&row), Expr::from(&m.wire("fetch_columns_now", columns))])
}
