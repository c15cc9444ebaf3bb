//! The whole LPU.

use super::crossbar::{crossbar, destinations, sources};
use super::extended_vector_unit::extended_vector_unit;
use super::generation::generation;
use super::host_port::{enable_name, host_port, start_command};
use super::queue::start_register;
use super::registers::registers;
use super::requantiser::requantiser;
use super::tile_group::{tile_group, tiles_of_group};
use super::vector_slice::vector_slice;
use super::vector_unit::vector_unit;
use super::weight_store::weight_store;
use super::{RegisterBus, address_bits, bit, copied};
use crate::layer::{Design, DesignError, Expr, Instance, Module, ModuleBuilder, Signal, Type, concat, literal};
use lpu_isa::configuration::{ACCUMULATOR_BITS, Configuration, ELEMENT_BITS, REGISTER_BITS, WEIGHT_BITS};
use lpu_isa::host::{BUS_BITS, COMMAND_BITS, Memory, STAMP_BITS};
use lpu_isa::instruction::Unit;
use lpu_isa::latency::start_to_issue;
use std::sync::Arc;

/// Name of the top module.
pub const TOP: &str = "lpu";
/// Bits of the cycle counter.
pub const CYCLE_BITS: usize = 48;

/// The design of a configuration, ready to be written.
///
/// # Errors
/// A mistake in the description of the hardware; none is known for a checked configuration.
pub fn design(configuration: &Configuration) -> Result<Design, DesignError> {
    Design::new(top(configuration)?)
}

/// Collects what the host port needs to reach a memory, and hands out the load connections of units.
struct Loader<'a> {
    configuration: &'a Configuration,
    host: &'a Instance,
    address: Expr,
    word: Expr,
}

impl Loader<'_> {
    fn enable(&self, memory: Memory) -> Expr {
        Expr::from(&self.host.output(&enable_name(memory)))
    }

    fn address(&self, depth: u32) -> Expr {
        self.address.slice(0, address_bits(depth))
    }

    /// A word of `memory`: the staging register holds it in its upper chunks.
    fn word(&self, memory: Memory) -> Expr {
        let chunks = memory.chunks(self.configuration) * BUS_BITS;
        let lowest = self.word.width() - chunks as usize;
        self.word.slice(lowest, memory.bits(self.configuration) as usize)
    }

    /// Connections of the queue of `unit` to ports called `{name}_load_…`.
    fn queue(&self, unit: Unit, name: &str) -> Vec<(String, Expr)> {
        let place = Unit::all(self.configuration).iter().position(|&other| other == unit);
        let memory = Memory::Queue(place.unwrap_or(0) as u32);
        vec![
            (format!("{name}_load_enable"), self.enable(memory)),
            (format!("{name}_load_address"), self.address(self.configuration.queue_words())),
            (format!("{name}_load_word"), self.word(memory)),
        ]
    }
}

/// Places a unit; the names of its connections are made at run time.
fn place(
    m: &mut ModuleBuilder,
    name: &str,
    module: &Arc<Module>,
    connections: Vec<(String, Expr)>,
) -> Result<Instance, DesignError> {
    m.instance(name, module, connections.iter().map(|(name, expr)| (name.as_str(), expr.clone())).collect())
}

/// What every unit hears: start pulse, entry point, a reset of its own, and what changes the run-time registers. One reset for all would be
/// the longest wire of the chip.
struct Control<'a> {
    configuration: &'a Configuration,
    start: Expr,
    entry: Expr,
    reset: Expr,
    /// The bus of the registers, if there are any.
    registers: Vec<Signal>,
}

impl Control<'_> {
    /// The connections of the unit `name` but for the registers.
    fn without_registers(&self, m: &mut ModuleBuilder, name: &str) -> Result<Vec<(String, Expr)>, DesignError> {
        let reset = copied(m, self.configuration, &format!("{name}_reset"), &self.reset)?;
        Ok(vec![
            ("start".to_string(), self.start.clone()),
            ("entry".to_string(), self.entry.clone()),
            ("reset".to_string(), reset),
        ])
    }

    /// The connections of the unit `name`.
    fn of(&self, m: &mut ModuleBuilder, name: &str) -> Result<Vec<(String, Expr)>, DesignError> {
        let mut connections = self.without_registers(m, name)?;
        connections.extend(RegisterBus::NAMES.map(String::from).into_iter().zip(self.registers.iter().map(Expr::from)));
        Ok(connections)
    }
}

/// What a machine that generates tokens puts between the host port and all queues.
struct Generation {
    start: Signal,
    entry: Signal,
    token_write: Signal,
    token_value: Signal,
    /// What the host reads of the memory of tokens.
    beat: Signal,
}

/// The top module.
///
/// # Errors
/// None for a checked configuration.
pub fn top(configuration: &Configuration) -> Result<Arc<Module>, DesignError> {
    let beat_type = Type::bits((configuration.dot * ELEMENT_BITS) as usize);
    let word_bits_of_stream = (configuration.stream_elements * ELEMENT_BITS) as usize;
    let mut m = ModuleBuilder::new(TOP);
    m.describe(&format!(
        "A statically scheduled array of {} tiles of {} multipliers. Every unit follows its own instruction queue; all \
         queues start together and nothing on the compute path waits for anything.",
        configuration.tiles, configuration.dot
    ));
    let start_to_issue = start_to_issue(configuration);
    // Where the host is not alone in starting runs, it takes a cycle longer.
    let start_cycles = start_command(configuration) + usize::from(configuration.generates());
    m.latency("start command to cycle 0 of the run", start_cycles + start_to_issue as usize);
    m.section("Host");
    let command = m.input("host_command", Type::bits(COMMAND_BITS as usize));
    let data = m.input("host_data", Type::bits(BUS_BITS as usize));
    let read_valid = m.output("host_read_valid", bit());
    let read_data = m.output("host_read_data", beat_type);
    m.section("Status");
    let done = m.output("done", bit());
    let cycles = m.output("cycles", Type::bits(CYCLE_BITS));

    m.section("Crossbar");
    // Crossbar ports are declared first: units and crossbar feed each other.
    let source_names = sources(configuration);
    let source_wires: Vec<_> = source_names
        .iter()
        .map(|name| m.undriven_wire(&format!("from_{name}"), Type::bits(word_bits_of_stream)))
        .collect();
    let pick_wires: Vec<_> = destinations(configuration)
        .iter()
        .map(|destination| {
            let bits = configuration.crossbar_sources() as usize;
            m.undriven_wire(&format!("pick_{}", destination.name), Type::bits(bits))
        })
        .collect();
    let mut connections: Vec<(String, Expr)> = Vec::new();
    for (name, wire) in source_names.iter().zip(&source_wires) {
        connections.push((format!("from_{name}"), Expr::from(wire)));
    }
    for (destination, wire) in destinations(configuration).iter().zip(&pick_wires) {
        connections.push((format!("pick_{}", destination.name), Expr::from(wire)));
    }
    let crossbar = place(&mut m, "crossbar", &crossbar(configuration)?, connections)?;
    let to = |name: &str| Expr::from(&crossbar.output(&format!("to_{name}")));
    let pick = |name: &str| {
        destinations(configuration).iter().position(|d| d.name == name).map(|index| pick_wires[index].clone())
    };
    let from = |name: &str| source_names.iter().position(|n| n == name).map(|index| source_wires[index].clone());

    m.section("Loading");
    let beats: Vec<_> = (0..configuration.vector_slices)
        .map(|slice| m.undriven_wire(&format!("vector_{slice}_beat"), beat_type))
        .collect();
    let mut connections: Vec<(String, Expr)> =
        vec![("command".into(), Expr::from(&command)), ("data".into(), Expr::from(&data))];
    for (slice, beat) in beats.iter().enumerate() {
        connections.push((format!("vector_{slice}_beat"), Expr::from(beat)));
    }
    let registers_beat = configuration.extensions.map(|_| m.undriven_wire("registers_beat", beat_type));
    connections.extend(registers_beat.iter().map(|beat| ("registers_beat".to_string(), Expr::from(beat))));
    let tokens_beat = configuration.generates().then(|| m.undriven_wire("tokens_beat", beat_type));
    connections.extend(tokens_beat.iter().map(|beat| ("tokens_beat".to_string(), Expr::from(beat))));
    let host = place(&mut m, "host_port", &host_port(configuration)?, connections)?;
    m.drive(&read_valid, Expr::from(&host.output("read_valid")));
    m.drive(&read_data, Expr::from(&host.output("read_data")));
    let (host_start, host_entry) = (host.output("start"), host.output("entry"));
    let wires = tokens_beat.map(|beat| {
        let mut wire = |name: &str, ty: Type| m.undriven_wire(name, ty);
        let token = Type::bits(REGISTER_BITS as usize);
        Generation {
            start: wire("start", bit()),
            entry: wire("entry", host_entry.ty()),
            token_write: wire("token_write", bit()),
            token_value: wire("token_value", token),
            beat,
        }
    });
    let start = wires.as_ref().map_or(host_start.clone(), |wires| wires.start.clone());
    let entry = wires.as_ref().map_or(host_entry.clone(), |wires| wires.entry.clone());
    let loader = Loader {
        configuration,
        host: &host,
        address: Expr::from(&host.output("load_address")),
        word: Expr::from(&host.output("load_word")),
    };
    let reset = Expr::from(&m.reset());
    let reset = copied(&mut m, configuration, "machine_reset", &reset)?;
    let mut bus: Vec<Signal> = Vec::new();
    if configuration.extensions.is_some() {
        let types = RegisterBus::types(configuration);
        bus.extend([0, 1, 2].map(|k| m.undriven_wire(RegisterBus::NAMES[k], types[k])));
    }
    let control =
        Control { configuration, start: Expr::from(&start), entry: Expr::from(&entry), reset, registers: bus };
    let mut halted: Vec<Expr> = Vec::new();
    let store = match configuration.extensions {
        None => None,
        Some(_) => {
            m.section("Weights");
            let mut connections = control.of(&mut m, "weight_store")?;
            connections.push(("stream".into(), to("weights")));
            connections.extend(loader.queue(Unit::Weights, "queue"));
            let instance = place(&mut m, "weight_store", &weight_store(configuration)?, connections)?;
            if let Some(pick) = pick("weights") {
                m.drive(&pick, Expr::from(&instance.output("source")));
            }
            halted.push(Expr::from(&instance.output("halted")));
            Some(instance)
        }
    };
    m.section("Tiles");
    let mut drains: Vec<(String, Expr)> = Vec::new();
    for group in 0..configuration.tile_groups() {
        let name = format!("tile_group_{group}");
        let tiles: Vec<u32> = tiles_of_group(configuration, group).into_iter().flatten().collect();
        let enables: Vec<Expr> = tiles.iter().rev().map(|&tile| loader.enable(Memory::Weights(tile))).collect();
        let mut connections = control.of(&mut m, &name)?;
        connections.push(("activation".into(), to(&name)));
        connections.extend(loader.queue(Unit::TileGroup(group), "queue"));
        let (enables, address) = (concat(&enables), loader.address(configuration.weight_depth));
        let word = loader.word(Memory::Weights(0));
        if let Some(store) = &store {
            // The host loads while nothing runs.
            let storing = Expr::from(&store.output("active"));
            let stores = Expr::from(&store.output("enables"));
            let stores: Vec<Expr> = tiles.iter().rev().map(|&tile| stores.bit(tile as usize)).collect();
            let bytes = Type::bits(configuration.dot as usize);
            let all = Expr::from(&store.output("bytes")).or(storing.not().repeat(bytes.width()));
            let spread = storing.and(store.output("spread"));
            let word = storing.choose(store.output(&format!("word_{group}")), word);
            connections.push(("weight_load_enable".into(), enables.or(concat(&stores))));
            connections.push(("weight_load_address".into(), storing.choose(store.output("address"), address)));
            connections.push(("weight_load_word".into(), word));
            connections.push(("weight_load_bytes".into(), all));
            connections.push(("weight_load_spread".into(), spread));
        } else {
            connections.push(("weight_load_enable".into(), enables));
            connections.push(("weight_load_address".into(), address));
            connections.push(("weight_load_word".into(), word));
        }
        let instance = place(&mut m, &name, &tile_group(configuration, group)?, connections)?;
        if let Some(pick) = pick(&name) {
            m.drive(&pick, Expr::from(&instance.output("source")));
        }
        halted.push(Expr::from(&instance.output("halted")));
        let first = group * configuration.dot;
        let last = configuration.columns().min(first + configuration.dot);
        for column in first..last {
            let drain = instance.output(&format!("drain_{}", column - first));
            let returned =
                m.delay(&format!("drain_{column}"), Expr::from(&drain), configuration.pipeline.drain as usize);
            drains.push((format!("drain_{column}"), Expr::from(&returned)));
        }
    }
    if let Some(wire) = from("weights") {
        let words: Vec<Expr> = drains.iter().map(|(_, drain)| drain.clone()).collect();
        let word = fetched(&mut m, configuration, &words);
        m.drive(&wire, word);
        for (_, drain) in &mut drains {
            *drain = drain.truncate(ACCUMULATOR_BITS as usize);
        }
    }
    m.section("Vectors");
    let slice_module = vector_slice(configuration)?;
    for slice in 0..configuration.vector_slices {
        let memory = Memory::Vector(slice);
        let name = format!("slice_{slice}");
        let mut connections = control.of(&mut m, &name)?;
        connections.push(("write_data".into(), to(&format!("write_{slice}"))));
        connections.extend(loader.queue(Unit::Read(slice), "read_queue"));
        connections.extend(loader.queue(Unit::Write(slice), "write_queue"));
        connections.push(("host_read".into(), Expr::from(&host.output(&format!("vector_{slice}_read")))));
        connections.push(("host_write".into(), loader.enable(memory)));
        let address = loader.address.slice(0, configuration.vector_address_bits() as usize);
        connections.push(("host_address".into(), address));
        connections.push(("host_beat".into(), loader.word(memory)));
        let instance = place(&mut m, &name, &slice_module, connections)?;
        let word = Expr::from(&instance.output("read_data"));
        m.drive(&beats[slice as usize], word.slice(0, beat_type.width()));
        if let Some(wire) = from(&name) {
            m.drive(&wire, word);
        }
        if let Some(pick) = pick(&format!("write_{slice}")) {
            m.drive(&pick, Expr::from(&instance.output("write_source")));
        }
        halted.push(Expr::from(&instance.output("read_halted")));
        halted.push(Expr::from(&instance.output("write_halted")));
    }
    m.section("Requantiser");
    let mut connections = control.of(&mut m, "requantiser")?;
    connections.extend(drains);
    connections.push(("stream".into(), to("requantiser")));
    if configuration.lookup {
        connections.push(("index".into(), to("requantiser_index")));
    }
    connections.extend(loader.queue(Unit::Requantiser, "queue"));
    let lanes: Vec<Expr> =
        (0..configuration.requantiser_lanes()).rev().map(|lane| loader.enable(Memory::Scale(lane))).collect();
    connections.push(("scale_load_enable".into(), concat(&lanes)));
    connections.push((
        "scale_load_address".into(),
        loader.address.slice(0, configuration.scale_table_address_bits() as usize),
    ));
    connections.push(("scale_load_entry".into(), loader.word(Memory::Scale(0))));
    let instance = place(&mut m, "requantiser", &requantiser(configuration)?, connections)?;
    if let (Some(wire), Some(pick)) = (from("requantiser"), pick("requantiser")) {
        m.drive(&wire, Expr::from(&instance.output("result")));
        m.drive(&pick, Expr::from(&instance.output("source")));
    }
    if let Some(pick) = pick("requantiser_index") {
        m.drive(&pick, Expr::from(&instance.output("index_source")));
    }
    halted.push(Expr::from(&instance.output("halted")));

    if configuration.vector_unit {
        m.section("Arithmetic");
        let mut connections = control.of(&mut m, "vector_unit")?;
        connections.push(("a".into(), to("vector_a")));
        connections.push(("b".into(), to("vector_b")));
        connections.extend(loader.queue(Unit::Vector, "queue"));
        let module = if configuration.extensions.is_some() {
            for (name, memory) in [("tables", Memory::Tables), ("normalise", Memory::Normalise)] {
                connections.push((format!("{name}_load_enable"), loader.enable(memory)));
                connections.push((format!("{name}_load_address"), loader.address(memory.words(configuration))));
                connections.push((format!("{name}_load_word"), loader.word(memory)));
            }
            for name in ["largest_write", "largest_number", "largest_value"] {
                connections.push((name.to_string(), Expr::from(&instance.output(name))));
            }
            extended_vector_unit(configuration)?
        } else {
            if configuration.has_softmax() {
                let memory = Memory::Exponentials;
                connections.push(("exponentials_load_enable".into(), loader.enable(memory)));
                connections.push(("exponentials_load_address".into(), loader.address(memory.words(configuration))));
                connections.push(("exponentials_load_word".into(), loader.word(memory)));
            }
            vector_unit(configuration)?
        };
        let instance = place(&mut m, "vector_unit", &module, connections)?;
        if let (Some(wire), Some(a), Some(b)) = (from("vector"), pick("vector_a"), pick("vector_b")) {
            m.drive(&wire, Expr::from(&instance.output("result")));
            m.drive(&a, Expr::from(&instance.output("source_a")));
            m.drive(&b, Expr::from(&instance.output("source_b")));
        }
        halted.push(Expr::from(&instance.output("halted")));
        if let Some(beat) = &registers_beat {
            m.section("Registers");
            let mut connections = control.without_registers(&mut m, "registers")?;
            connections.extend(loader.queue(Unit::Registers, "queue"));
            for name in ["found_write", "found_number", "found_value"] {
                connections.push((name.to_string(), Expr::from(&instance.output(name))));
            }
            let memory = Memory::Registers;
            connections.push(("host_write".into(), loader.enable(memory)));
            connections.push(("host_address".into(), loader.address(memory.words(configuration))));
            connections.push(("host_value".into(), loader.word(memory)));
            if let Some(wires) = &wires {
                connections.push(("token_write".into(), Expr::from(&wires.token_write)));
                connections.push(("token_value".into(), Expr::from(&wires.token_value)));
            }
            let instance = place(&mut m, "registers", &registers(configuration)?, connections)?;
            for (wire, name) in control.registers.iter().zip(RegisterBus::NAMES) {
                m.drive(wire, Expr::from(&instance.output(name)));
            }
            m.drive(beat, Expr::from(&instance.output("host_beat")));
            halted.push(Expr::from(&instance.output("halted")));
        }
    }

    m.section("Status");
    // The flags come from all over the chip. That the count stops a cycle late is made up for where it begins: it is one less
    // than the cycle of the run while it counts, and the run's length when it stands still.
    let all_halted = m.delay("all_halted", concat(&halted).all(), 1);
    let count = m.register("cycle_count", Type::bits(CYCLE_BITS));
    // It stands still until the queues have left their last halt behind: two cycles, and those of their start registers.
    let before = (1i128 << CYCLE_BITS) - i128::from(start_to_issue - 1 - start_register(configuration) as u32);
    let mut begin = Expr::from(&start);
    let mut counts = Expr::from(&all_halted).not();
    let mut is_done = Expr::from(&all_halted);
    if let Some(wires) = &wires {
        let mut connections: Vec<(String, Expr)> = vec![
            ("host_start".into(), Expr::from(&host_start)),
            ("host_entry".into(), Expr::from(&host_entry)),
            ("all_halted".into(), Expr::from(&all_halted)),
            ("cycles".into(), Expr::from(&count).slice(0, STAMP_BITS as usize)),
            ("reset".into(), copied(&mut m, configuration, "generation_reset", &control.reset)?),
        ];
        connections
            .extend(["generate_runs", "first", "runs"].map(|name| (name.into(), Expr::from(&host.output(name)))));
        connections
            .extend(RegisterBus::NAMES.map(String::from).into_iter().zip(control.registers.iter().map(Expr::from)));
        for (name, memory) in [("tokens", Memory::Tokens), ("entries", Memory::Entries)] {
            connections.push((format!("{name}_load_enable"), loader.enable(memory)));
            connections.push((format!("{name}_load_address"), loader.address(memory.words(configuration))));
            connections.push((format!("{name}_load_word"), loader.word(memory)));
        }
        connections.push(("tokens_read".into(), Expr::from(&host.output("tokens_read"))));
        let instance = place(&mut m, "generation", &generation(configuration)?, connections)?;
        for (wire, name) in [
            (&wires.start, "start"),
            (&wires.entry, "entry"),
            (&wires.token_write, "token_write"),
            (&wires.token_value, "token_value"),
            (&wires.beat, "host_beat"),
        ] {
            m.drive(wire, Expr::from(&instance.output(name)));
        }
        begin = Expr::from(&instance.output("first_start"));
        counts = Expr::from(&instance.output("counting"));
        is_done = is_done.and(Expr::from(&instance.output("generating")).not());
    }
    m.next_cases(&count, &[(begin, literal(before, Type::bits(CYCLE_BITS))), (counts, super::increment(&count))]);
    m.drive(&done, is_done);
    m.drive(&cycles, Expr::from(&count));
    m.finish()
}

/// The port of the weights that are read as a stream: one column's word, all others' being 0, a beat of elements.
fn fetched(m: &mut ModuleBuilder, configuration: &Configuration, columns: &[Expr]) -> Expr {
    let (element, weight) = (ELEMENT_BITS as usize, WEIGHT_BITS as usize);
    let bits = configuration.weight_word_bits() as usize;
    let words = columns.iter().map(|column| column.slice(0, bits));
    let any = words.reduce(|any, word| any.or(word)).unwrap_or_else(|| literal(0, Type::bits(bits)));
    let word = Expr::from(&m.delay("fetched", any, 2));
    let beat: Vec<Expr> = (0..configuration.dot as usize)
        .rev()
        .map(|number| word.slice(number * weight, weight).as_signed().extend(element).as_bits())
        .collect();
    let beat = concat(&beat);
    beat.extend(configuration.stream_elements as usize * element)
}
