//! Requantiser: accumulators to elements, one word each `requantise_interval` cycles.

use super::fields::Fields;
use super::largest::{largest, largest_cycles};
use super::masking::{MASK_CYCLES, beyond};
use super::queue::queue;
use super::requantiser_lane::{multiplier_bits, requantiser_lane};
use super::sequencer::{self, Shape};
use super::{
    LoadBus, RegisterBus, address_bits, bit, constant, copied, held_if, held_while_idle, picked, spare_registers,
};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, LOOKUP_ENTRIES};
use lpu_isa::host::{SCALE_SHIFT_BITS, scale_bits};
use lpu_isa::instruction::Unit;
use lpu_isa::latency::{Latency, block_ram, lookup};
use lpu_isa::stages::LaneStage;
use std::sync::Arc;

/// Bits of what chooses an entry of the scale table.
const LOOKUP_BITS: usize = LOOKUP_ENTRIES.ilog2() as usize;

/// The requantiser.
///
/// # Errors
/// None for a checked configuration.
pub fn requantiser(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::Requantiser;
    let latency = Latency::of(configuration);
    let elements = configuration.stream_elements as usize;
    let lanes = configuration.requantiser_lanes() as usize;
    let interval = configuration.requantise_interval as usize;
    let element = ELEMENT_BITS as usize;
    let word_type = Type::bits(elements * element);
    let drain_type = Type::signed(ACCUMULATOR_BITS as usize);
    let source_type = Type::bits(configuration.crossbar_sources() as usize);
    let table_type = Type::bits(configuration.scale_table_address_bits() as usize);
    let mut m = ModuleBuilder::new("requantiser");
    m.describe(
        "Adds a bias to each of a word of 32-bit accumulators, scales, rounds, shifts and clamps them to elements; bias, \
         multiplier and shift of each element come from the scale table. It takes the rows that leave the drain chains, or a \
         stream of elements. Where it has fewer lanes than a word has elements, each lane takes its elements one after the other.",
    );
    m.latency("step to the whole word of results", latency.requantise as usize);
    m.section("Control");
    let start = m.input("start", bit());
    let entry = m.input("entry", Type::bits(configuration.queue_address_bits() as usize));
    let halted = m.output("halted", bit());
    m.section("Streams");
    let drains: Vec<Signal> =
        (0..configuration.columns()).map(|column| m.input(&format!("drain_{column}"), drain_type)).collect();
    let source = m.output("source", source_type);
    let stream = m.input("stream", word_type);
    let result = m.output("result", word_type);
    let scalar = configuration.extensions.map(|_| {
        m.section("Largest");
        let write = m.output("largest_write", bit());
        let number = m.output("largest_number", Type::bits(address_bits(configuration.scalars())));
        (write, number, m.output("largest_value", Type::signed(element)))
    });
    // Where elements may choose their entries: the port of those that do, and the word on it.
    let index = configuration.lookup.then(|| (m.output("index_source", source_type), m.input("index", word_type)));
    let load = LoadBus::ports(&mut m, configuration, unit, "queue");
    let scale_load_enable = m.input("scale_load_enable", Type::bits(lanes));
    let scale_load_address = m.input("scale_load_address", table_type);
    let scale_load_entry = m.input("scale_load_entry", Type::bits(scale_bits(configuration) as usize));

    let registers = RegisterBus::of_unit(&mut m, configuration)?;
    m.section("Program");
    let queue = queue(unit, configuration)?;
    let queue = m.instance("queue", &queue, load.queue(&start, &entry, registers.as_ref()))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, &queue);
    let shape = Shape {
        address_bits: configuration.scale_address_bits(),
        end_of_level_0: false,
        run_edges: scalar.is_some(),
        instruction_edges: scalar.is_some(),
    };
    let sequencer = sequencer::place(&mut m, "sequencer", shape, &run, &fields)?;
    let pick = picked(&mut m, &fields, &run, "source", configuration);
    m.drive(&source, Expr::from(&pick));
    let crossing = latency.crossbar as usize;
    let step = sequencer.output("step");
    let address = sequencer.output("address");
    // The tables are read while the operands cross, so that their words can be registered once more beside the lanes: where
    // the crossbar is faster than a block RAM, the operands wait.
    let reading = block_ram(configuration) as usize;
    let beside = spare_registers(configuration);
    let waiting = match index {
        // What chooses the entry has crossed with the operand.
        Some(_) => lookup(configuration) as usize,
        None => reading.saturating_sub(crossing),
    };
    // Without the registers beside the lanes the words have to come a cycle later.
    let table_delay = crossing + waiting + 1 - beside - reading;
    // The address that an element has chosen is a register of each lane's.
    let row_delay = table_delay - usize::from(index.is_some());
    let arriving = m.delay("arriving", Expr::from(&step), crossing);
    // One bit for each part of a word: that part enters the lanes in this cycle.
    let parts: Vec<Expr> = std::iter::once(Expr::from(&arriving))
        .chain((1..interval).map(|part| Expr::from(&m.delay(&format!("arriving_{part}"), Expr::from(&arriving), part))))
        .collect();
    let any_part = parts.iter().skip(1).fold(parts[0].clone(), |any, part| any.or(part));
    let entering = m.wire("entering", any_part);
    let entered = m.delay("entered", Expr::from(&entering), waiting);
    let valid = m.delay("valid", Expr::from(&entered), 1);
    // A lane's table holds the entries of its elements side by side.
    let row = m.delay("table_row", Expr::from(&address), row_delay);
    let table_address = if interval == 1 {
        (Expr::from(&row), None)
    } else {
        let part_bits = interval.trailing_zeros() as usize;
        let first = m.delay("table_first", Expr::from(&step), row_delay);
        let part = m.register("table_part", Type::bits(part_bits));
        let zero = literal(0, Type::bits(part_bits));
        let one = literal(1, Type::bits(part_bits));
        let now = Expr::from(&m.wire("table_part_now", Expr::from(&first).choose(zero, Expr::from(&part))));
        m.next(&part, now.add(one));
        let kept = m.register("table_row_kept", row.ty());
        m.next_when(&kept, Expr::from(&first), Expr::from(&row));
        (Expr::from(&first).choose(Expr::from(&row), Expr::from(&kept)), Some(now))
    };
    let whole_address = |(row, part): (Expr, Option<Expr>)| match part {
        Some(part) => concat(&[row, part]),
        None => row,
    };
    // One for all lanes; where elements choose, each lane adds its own.
    let common_address = match index {
        Some(_) => None,
        None => Some(m.wire("table_address", whole_address(table_address.clone()))),
    };
    let mut follow = |name: &str, stage: usize| fields.follow(&mut m, &run, name, crossing + stage);
    let from_stream = follow("from_stream", 0);
    let looks_up = index.is_some().then(|| follow("lookup", 0));
    // Each lane has these in registers of its own, a cycle later.
    let before = |stage: LaneStage| waiting + stage.begin(configuration) as usize - spare_registers(configuration);
    let narrow = configuration.narrow_scales;
    let zero_point = (!narrow).then(|| follow("zero_point", before(LaneStage::Offset)));
    let minimum = follow("minimum", before(LaneStage::Compared));
    let maximum = follow("maximum", before(LaneStage::Compared));
    if narrow {
        m.unused(fields.bits("zero_point"));
    }

    let masked = scalar.as_ref().map(|_| {
        fields.leave_numbers(&mut m, &["mask"]);
        let each_run = fields.follow(&mut m, &run, "each_run", 0);
        sequencer.ignore("first");
        let restarts = each_run.and(Expr::from(&sequencer.output("last")));
        let masked = beyond(&mut m, configuration, &fields, &run, &sequencer, Some(restarts));
        let first = crossing + waiting + LaneStage::Compared.begin(configuration) as usize;
        let word = m.delay("masked", masked, first - MASK_CYCLES);
        let valid = m.delay("masked_valid", Expr::from(&step), first);
        // The later parts of a word come later.
        let parts = (0..interval).map(|part| {
            let lanes_of = Expr::from(&word).slice(part * lanes, lanes).and(Expr::from(&valid).repeat(lanes));
            Expr::from(&m.delay(&format!("masked_part_{part}"), lanes_of, part))
        });
        parts.reduce(|all, part| all.or(part)).unwrap_or_else(|| literal(0, Type::bits(lanes)))
    });

    m.section("Lanes");
    let (entry_bits, entries) = (scale_bits(configuration) as usize, configuration.scale_words() as usize);
    let table = primitives::block_ram_in(entry_bits, entries, block_ram(configuration));
    let lane_modules = [requantiser_lane(false, configuration)?, requantiser_lane(true, configuration)?];
    let mut results: Vec<Expr> = Vec::new();
    let (fraction_bits, shift_bits) = (multiplier_bits(configuration) - 1, SCALE_SHIFT_BITS as usize);
    let factor_bits = fraction_bits + shift_bits + 1;
    let load_enables = m.delay("scale_load_enable_q", Expr::from(&scale_load_enable), spare_registers(configuration));
    let load_address = m.delay("scale_load_address_q", Expr::from(&scale_load_address), spare_registers(configuration));
    let load_entry = m.delay("scale_load_entry_q", Expr::from(&scale_load_entry), spare_registers(configuration));
    if let Some((port, _)) = &index {
        let pick = picked(&mut m, &fields, &run, "index", configuration);
        m.drive(port, Expr::from(&pick));
    }
    for lane in 0..lanes {
        let lane_address = match (&common_address, &index, &looks_up) {
            (None, Some((_, word)), Some(looks_up)) => {
                let mut byte_of = |part: usize| {
                    let lowest = (part * lanes + lane) * element;
                    let byte = Expr::from(word).slice(lowest, LOOKUP_BITS);
                    m.unused(Expr::from(word).slice(lowest + LOOKUP_BITS, element - LOOKUP_BITS));
                    if part == 0 {
                        return byte;
                    }
                    // As the operands do.
                    Expr::from(&held_while_idle(&mut m, &format!("waiting_index_{part}_{lane}"), &parts[0], byte))
                };
                let last = byte_of(interval - 1);
                let byte = (0..interval - 1).rev().fold(last, |later, part| parts[part].choose(byte_of(part), later));
                let byte = looks_up.choose(byte, literal(0, Type::bits(LOOKUP_BITS)));
                let (row, part) = table_address.clone();
                let row = row.add(byte.extend(row.width()));
                m.delay(&format!("table_address_{lane}"), whole_address((row, part)), 1)
            }
            (Some(common), ..) => common.clone(),
            _ => continue,
        };
        let scale = m.instance(
            &format!("scale_table_{lane}"),
            &table,
            vec![
                ("write_enable", Expr::from(&load_enables).bit(lane)),
                ("write_address", Expr::from(&load_address)),
                ("write_data", Expr::from(&load_entry)),
                ("read_address", Expr::from(&lane_address)),
            ],
        )?;
        let scale = scale.output("read_data");
        let scale = Expr::from(&scale);
        let amount = scale.slice(fraction_bits, shift_bits);
        let left = scale.bit(fraction_bits + shift_bits);
        let no_shift = literal(0, Type::bits(shift_bits));
        // The highest bit of a multiplier is 1, except in 0, which a left shift by 31 marks. A narrow scale has no other.
        let zero = if narrow { left.clone() } else { left.and(amount.all()) };
        let highest = m.wire(&format!("highest_{lane}"), zero.not());
        let multiplier = concat(&[Expr::from(&highest), scale.slice(0, fraction_bits)]);
        let takes_over = (beside > 0).then(|| Expr::from(&entered));
        let mut beside = |name: &str, value: Expr| {
            Expr::from(&held_if(&mut m, &format!("{name}_{lane}"), takes_over.as_ref(), value))
        };
        let mut of_scale = Vec::new();
        if !narrow {
            let bias = scale.slice(factor_bits, ACCUMULATOR_BITS as usize).as_signed();
            of_scale.push(("bias", beside("bias", bias)));
            of_scale.push(("left_shift", beside("left_shift", left.choose(&amount, &no_shift))));
        }
        let right_shift = if narrow { amount } else { left.choose(&no_shift, &amount) };
        of_scale.push(("multiplier", beside("multiplier", multiplier)));
        of_scale.push(("right_shift", beside("right_shift", right_shift)));
        let mut operand_of = |part: usize| {
            let position = part * lanes + lane;
            let of_stream = Expr::from(&stream).slice(position * element, element).as_signed();
            let of_stream = of_stream.extend(ACCUMULATOR_BITS as usize);
            let of_stream = match &looks_up {
                Some(looks_up) => {
                    let upper = Expr::from(&stream).slice(position * element, element);
                    let shifted = concat(&[upper, literal(0, Type::bits(ACCUMULATOR_BITS as usize - element))]);
                    looks_up.choose(shifted.as_signed(), of_stream)
                }
                None => of_stream,
            };
            let operand = match drains.get(position) {
                Some(drain) => from_stream.choose(of_stream, Expr::from(drain)),
                None => from_stream.choose(of_stream, literal(0, drain_type)),
            };
            if part == 0 {
                return Expr::from(&m.wire(&format!("element_{position}"), operand));
            }
            // Later parts of a word wait until the lane is free; the next word comes after them.
            Expr::from(&held_while_idle(&mut m, &format!("waiting_{position}"), &parts[0], operand))
        };
        let last = operand_of(interval - 1);
        let operand = (0..interval - 1).rev().fold(last, |later, part| parts[part].choose(operand_of(part), later));
        let operand = held_while_idle(&mut m, &format!("operand_{lane}"), &Expr::from(&entering), operand);
        let operand = m.delay(&format!("operand_{lane}_q"), Expr::from(&operand), waiting);
        let mut own =
            |name: &str, value: &Expr| copied(&mut m, configuration, &format!("{name}_of_lane_{lane}"), value);
        let (minimum, maximum) = (own("minimum", &minimum)?, own("maximum", &maximum)?);
        let mut connections = vec![
            ("valid", Expr::from(&valid)),
            ("operand", operand.into()),
            ("minimum", minimum),
            ("maximum", maximum),
        ];
        if let Some(zero_point) = &zero_point {
            connections.push(("zero_point", own("zero_point", zero_point)?));
        }
        connections.extend(of_scale);
        connections.extend(masked.iter().map(|masked| ("masked", masked.bit(lane))));
        let module = &lane_modules[usize::from(lane < configuration.scale_multiplier_lanes as usize)];
        let instance = m.instance(&format!("lane_{lane}"), module, connections)?;
        results.push(Expr::from(&instance.output("result")).as_bits());
    }
    results.reverse();
    let result_part = concat(&results);
    // The parts of a word wait for its last one.
    let mut word = vec![result_part.clone()];
    let mut earlier = result_part;
    for wait in 1..interval {
        earlier = Expr::from(&m.delay(&format!("result_{wait}"), earlier, 1));
        word.push(earlier.clone());
    }
    let Some((write, number, value)) = scalar else {
        m.drive(&result, concat(&word));
        return m.finish();
    };
    m.section("Largest");
    let word = m.wire("result_word", concat(&word));
    m.drive(&result, Expr::from(&word));
    let later = |m: &mut ModuleBuilder, name: &str, port: &str, cycles: usize| {
        Expr::from(&m.delay(name, Expr::from(&sequencer.output(port)), cycles))
    };
    let done = latency.requantise as usize;
    let connections = vec![
        ("valid", later(&mut m, "word_valid", "step", done)),
        ("opens", later(&mut m, "opens", "opens", done)),
        ("word", Expr::from(&word)),
    ];
    let instance = m.instance("largest_element", &largest(configuration, false)?, connections)?;
    let known = done + largest_cycles(configuration);
    let closes = later(&mut m, "closes", "closes", known);
    // A scalar's number stands in its field as one more: 0 keeps nothing.
    let scalar = fields.bits("scalar");
    let keeps = fields.follow_value(&mut m, &run, "keeps", scalar.any(), known);
    let less = scalar.sub(constant(1, scalar.width() as u32)).slice(0, number.ty().width());
    let scalar = fields.follow_value(&mut m, &run, "scalar_number", less, known);
    m.drive(&write, closes.and(keeps));
    m.drive(&number, scalar);
    m.drive(&value, Expr::from(&instance.output("largest")));
    m.finish()
}
