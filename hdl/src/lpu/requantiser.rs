//! Requantiser: accumulators to elements, one word a cycle.

use super::fields::Fields;
use super::queue::queue;
use super::requantiser_lane::requantiser_lane;
use super::sequencer::{self, Shape};
use super::{LoadBus, bit, held_while_idle, picked};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use crate::primitives;
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS};
use lpu_isa::host::{SCALE_BITS, SCALE_MULTIPLIER_BITS, SCALE_SHIFT_BITS};
use lpu_isa::instruction::{Unit, word_bits};
use lpu_isa::latency::{Latency, REQUANTISER_STAGES, SOFT_MULTIPLIER};
use std::sync::Arc;

/// The requantiser.
///
/// # Errors
/// None for a checked configuration.
pub fn requantiser(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let unit = Unit::Requantiser;
    let latency = Latency::of(configuration);
    let lanes = configuration.stream_elements as usize;
    let element = ELEMENT_BITS as usize;
    let word_type = Type::bits(lanes * element);
    let drain_type = Type::signed(ACCUMULATOR_BITS as usize);
    let source_type = Type::bits(configuration.crossbar_sources() as usize);
    let table_type = Type::bits(configuration.scale_address_bits() as usize);
    let bits = word_bits(unit, configuration);
    let mut m = ModuleBuilder::new("requantiser");
    m.describe(
        "Scales, rounds, shifts and clamps a word of 32-bit accumulators to elements, with a multiplier and a shift for \
         each lane from the scale table. It takes the rows that leave the drain chains, or a stream of elements less a \
         zero point.",
    );
    m.latency("step to result", latency.requantise as usize);
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
    let load = LoadBus::ports(&mut m, bits, configuration.queue_address_bits(), "queue");
    let scale_load_enable = m.input("scale_load_enable", Type::bits(lanes));
    let scale_load_address = m.input("scale_load_address", table_type);
    let scale_load_entry = m.input("scale_load_entry", Type::bits(SCALE_BITS as usize));

    m.section("Program");
    let queue = queue(bits, configuration.queue_depth)?;
    let queue = m.instance("queue", &queue, load.queue(&start, &entry))?;
    m.drive(&halted, Expr::from(&queue.output("halted")));
    let run = queue.output("run");
    let fields = Fields::of(unit, configuration, queue.output("fields"));
    let shape =
        Shape { address_bits: configuration.scale_address_bits(), prefix: 0, end_of_level_0: false, run_edges: false };
    let sequencer = sequencer::place(&mut m, "sequencer", shape, &run, &fields)?;
    let pick = picked(&mut m, &fields, &run, "source", configuration);
    m.drive(&source, Expr::from(&pick));
    let crossing = latency.crossbar as usize;
    let arriving = m.delay("arriving", Expr::from(&sequencer.output("step")), crossing);
    let valid = m.delay("valid", Expr::from(&arriving), 1);
    let table_address = m.delay("table_address", Expr::from(&sequencer.output("address")), crossing);
    let mut follow = |name: &str, stage: usize| fields.follow(&mut m, &run, name, crossing + stage);
    let from_stream = follow("from_stream", 0);
    let input_zero_point = follow("input_zero_point", 0);
    let stages = REQUANTISER_STAGES as usize;
    let zero_point = follow("zero_point", stages - 2);
    let minimum = follow("minimum", stages - 1);
    let maximum = follow("maximum", stages - 1);

    m.section("Lanes");
    let table = primitives::distributed_ram(SCALE_BITS as usize, configuration.scale_depth as usize);
    let lane_module = requantiser_lane()?;
    let mut results: Vec<Expr> = Vec::new();
    let (multiplier_bits, shift_bits) = (SCALE_MULTIPLIER_BITS as usize, SCALE_SHIFT_BITS as usize);
    for lane in 0..lanes {
        let scale = m.instance(
            &format!("scale_table_{lane}"),
            &table,
            vec![
                ("write_enable", Expr::from(&scale_load_enable).bit(lane)),
                ("write_address", Expr::from(&scale_load_address)),
                ("write_data", Expr::from(&scale_load_entry)),
                ("read_address", Expr::from(&table_address)),
            ],
        )?;
        let scale = scale.output("read_data");
        let scale = Expr::from(&scale);
        let of_stream = Expr::from(&stream).slice(lane * element, element).as_signed();
        let of_stream = of_stream.sub_wide(&input_zero_point).extend(ACCUMULATOR_BITS as usize);
        let operand = match drains.get(lane) {
            Some(drain) => from_stream.choose(of_stream, Expr::from(drain)),
            None => from_stream.choose(of_stream, literal(0, drain_type)),
        };
        // Operand and scale meet in the lane: the table's own register matches the operand's.
        let operand = held_while_idle(&mut m, &format!("operand_{lane}"), &Expr::from(&arriving), operand);
        let instance = m.instance(
            &format!("lane_{lane}"),
            &lane_module,
            vec![
                ("valid", Expr::from(&valid)),
                ("operand", operand.into()),
                ("multiplier", scale.slice(0, multiplier_bits)),
                ("left_shift", scale.slice(multiplier_bits, shift_bits)),
                ("right_shift", scale.slice(multiplier_bits + shift_bits, shift_bits)),
                ("zero_point", zero_point.clone()),
                ("minimum", minimum.clone()),
                ("maximum", maximum.clone()),
            ],
        )?;
        results.push(Expr::from(&instance.output("result")).as_bits());
    }
    debug_assert_eq!(stages, 7 + SOFT_MULTIPLIER as usize);
    results.reverse();
    m.drive(&result, concat(&results));
    m.finish()
}
