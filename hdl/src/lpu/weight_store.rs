//! The port that writes a stream into the weight RAMs: it shares their load bus with the host, which loads while nothing runs.

use super::fields::Fields;
use super::queue::queue;
use super::sequencer::{self, Shape};
use super::tile::weight_lead;
use super::{LoadBus, RegisterBus, bit, constant, picked, spare_registers};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat, literal};
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, REGISTER_BITS, WEIGHT_BITS, bits_for};
use lpu_isa::instruction::{Spread, Unit};
use lpu_isa::latency::Latency;
use std::sync::Arc;

/// Registers from the crossbar to the load bus, so that a word meets the rows of tiles when the latency table says.
fn to_bus(configuration: &Configuration) -> usize {
    // A row's RAM is written two cycles behind the bus, or one where the copy of the bus is left out, and as much later as it is further
    // down; a tile group's step reads it `weight_lead` cycles later.
    weight_lead(configuration) + 1 - spare_registers(configuration)
}

/// The port.
///
/// Outputs: `active`, a word is on the bus; `enables`, a bit for each tile; `bytes`, a bit for each byte of a word; `spread`, whether the elements go to columns;
/// `address`; `word_G`, the bytes for tile group `G`: those of the word, or one for each column of the group.
///
/// # Errors
/// None for a checked configuration.
pub fn weight_store(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::Weights;
    let latency = Latency::of(configuration);
    let (dot, elements) = (configuration.dot as usize, configuration.stream_elements as usize);
    let (element, weight) = (ELEMENT_BITS as usize, WEIGHT_BITS as usize);
    let tiles = configuration.tiles;
    let rows = configuration.tile_rows() as usize;
    let address_bits = configuration.weight_address_bits();
    let mut m = ModuleBuilder::new("weight_store");
    m.describe(
        "Writes the words of a stream into the weight RAMs: the first beat into one tile, or an element into each column of a row of \
         tiles, there to one byte of a word.",
    );
    m.latency("step to the load bus of the tile groups", latency.crossbar as usize + to_bus(configuration));
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(configuration.queue_address_bits() as usize));
    let halted = m.output("halted", bit());
    m.section("Stream");
    let source = m.output("source", Type::bits(configuration.crossbar_sources() as usize));
    let stream = m.input("stream", Type::bits(elements * element));
    m.section("Weights");
    let active = m.output("active", bit());
    let enables = m.output("enables", Type::bits(tiles as usize));
    let bytes = m.output("bytes", Type::bits(dot));
    let spread_port = m.output("spread", bit());
    let address = m.output("address", Type::bits(address_bits as usize));
    let words: Vec<_> = (0..configuration.tile_groups())
        .map(|group| m.output(&format!("word_{group}"), Type::bits(dot * weight)))
        .collect();
    let load = LoadBus::ports(&mut m, configuration, unit, "queue");
    let registers = RegisterBus::of_unit(&mut m, configuration)?;

    m.section("Program");
    let queue = m.instance("queue", &queue(unit, configuration)?, load.queue(&start, &entry, registers.as_ref()))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, &queue);
    fields.leave_numbers(&mut m, &[]);
    let shape = Shape { address_bits, end_of_level_0: false, run_edges: true, instruction_edges: false };
    let sequencer = sequencer::place(&mut m, "sequencer", shape, &run, &fields)?;
    let pick = picked(&mut m, &fields, &run, "source", configuration);
    m.drive(&source, Expr::from(&pick));

    m.section("Place");
    // One bit for each row: the number of the step in its run. Beyond the last row none is set.
    let step = Expr::from(&sequencer.output("step"));
    let first_row = literal(1, Type::bits(rows));
    let row_next = m.register("row_next", Type::bits(rows));
    let row =
        Expr::from(&m.wire("row", Expr::from(&sequencer.output("first")).choose(first_row, Expr::from(&row_next))));
    let moved = if rows == 1 { constant(0, 1) } else { concat(&[row.slice(0, rows - 1), constant(0, 1)]) };
    m.next_when(&row_next, step.clone(), moved);
    let on_the_way = latency.crossbar as usize + to_bus(configuration);
    let row = m.delay("row_arriving", row, on_the_way - 1);
    m.unused(Expr::from(&sequencer.output("last")));
    let valid = m.delay("valid", step, on_the_way - 1);
    let follow = on_the_way - 1;
    // A tile's number, or that of a byte: more bits than the larger of both say only that there is no such tile.
    let bits = bits_for(tiles.max(configuration.dot)) as usize;
    let place = fields.captured("place");
    let beyond = place.slice(bits, REGISTER_BITS as usize - bits).any();
    let beyond = fields.follow_value(&mut m, &run, "beyond_tiles", beyond, follow);
    let place = fields.follow_value(&mut m, &run, "place", place.slice(0, bits), follow);
    let spread = fields.follow(&mut m, &run, "spread", follow);
    let to_columns = spread.equals(constant(Spread::Columns as u64, 1));
    let active_q = m.delay("active_q", Expr::from(&valid), 1);
    m.drive(&active, Expr::from(&active_q));
    let enable: Vec<Expr> = (0..tiles)
        .rev()
        .map(|tile| {
            let here = place.equals(constant(u64::from(tile), bits as u32)).and(beyond.not());
            let in_row = Expr::from(&row).bit((tile / configuration.stream_elements) as usize);
            Expr::from(&valid).and(to_columns.choose(in_row, here))
        })
        .collect();
    let enable = m.delay("enables_q", concat(&enable), 1);
    m.drive(&enables, Expr::from(&enable));
    let byte_number = place.slice(0, dot.ilog2() as usize);
    let byte: Vec<Expr> = (0..dot)
        .rev()
        .map(|byte| {
            let named = byte_number.equals(constant(byte as u64, dot.ilog2()));
            to_columns.choose(named, constant(1, 1))
        })
        .collect();
    let byte = m.delay("bytes_q", concat(&byte), 1);
    m.drive(&bytes, Expr::from(&byte));
    let spread_q = m.delay("spread_q", to_columns, 1);
    m.drive(&spread_port, Expr::from(&spread_q));
    let address_q = m.delay("address_q", Expr::from(&sequencer.output("address")), on_the_way);
    m.drive(&address, Expr::from(&address_q));

    m.section("Words");
    let lower = |number: usize| match number < elements {
        true => Expr::from(&stream).slice(number * element, weight),
        false => literal(0, Type::bits(weight)),
    };
    for number in 0..elements {
        m.unused(Expr::from(&stream).slice(number * element + weight, element - weight));
    }
    // A field as old as the word that leaves the crossbar.
    let spread = fields.follow_value(&mut m, &run, "spread_of_word", fields.bits("spread"), latency.crossbar as usize);
    let to_columns = spread.equals(constant(Spread::Columns as u64, 1));
    for (group, port) in words.iter().enumerate() {
        let of_beat: Vec<Expr> = (0..dot).rev().map(lower).collect();
        let of_columns: Vec<Expr> = (0..dot).rev().map(|column| lower(group * dot + column)).collect();
        let word = to_columns.choose(concat(&of_columns), concat(&of_beat));
        let word = m.delay(&format!("word_{group}_q"), word, to_bus(configuration));
        m.drive(port, Expr::from(&word));
    }
    m.finish()
}
