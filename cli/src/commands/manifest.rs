//! `manifest.json`: what a generated directory holds and how to talk to it, for programs that did not generate it.

use crate::machine::Machine;
use lpu_hdl::lpu::top::TOP;
use lpu_isa::board::{Board, Family};
use lpu_isa::configuration::Configuration;
use lpu_isa::host::{ADDRESS_BITS, BUS_BITS, Command, Memory};
use lpu_isa::instruction::{Unit, fields, word_bits};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use lpu_isa::resources::weight_bytes;
use serde::Serialize;

/// Name of the file.
pub const MANIFEST: &str = "manifest.json";
/// What marks a manifest as ours.
pub const GENERATOR: &str = "lpu generate";

/// The whole manifest. It holds neither time nor machine: the same input gives the same bytes.
#[derive(Serialize)]
pub struct Manifest<'a> {
    generator: &'static str,
    version: &'static str,
    name: &'a str,
    top: &'static str,
    board: Option<Place<'a>>,
    configuration: &'a Configuration,
    pub resources: Resources,
    latency: Latencies,
    host: Host,
    memories: Vec<MappedMemory>,
    instructions: Vec<Queue>,
    files: Vec<File>,
}

/// The FPGA that the machine is for.
#[derive(Serialize)]
struct Place<'a> {
    family: Family,
    device: &'a str,
    package: &'a str,
    speed_grade: &'a str,
    oscillator_mhz: f64,
    clock_mhz: f64,
}

/// What the machine takes, counted before synthesis.
#[derive(Serialize)]
pub struct Resources {
    /// Of the board's kind: the tiles' and the requantiser's.
    pub multipliers: u32,
    pub weight_bytes: u64,
    /// Of the board's kind; 18 Kbit without a board.
    pub block_rams: u32,
    requantiser_lanes: u32,
}

/// Cycles; see `lpu_isa::latency`.
#[derive(Serialize)]
struct Latencies {
    issue_to_step: u32,
    minimum_interval: u32,
    crossbar: u32,
    vector_read: u32,
    weight_read: u32,
    multiply: u32,
    adder_tree: u32,
    step_to_shadow: u32,
    step_to_drain: u32,
    requantise: u32,
    vector_unit: u32,
    write_to_read: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    softmax_word: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    softmax_word_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    softmax_gap: Option<u32>,
}

/// The host port; see `lpu_isa::host`.
#[derive(Serialize)]
struct Host {
    bus_bits: u32,
    address_bits: u32,
    commands: Vec<NamedCommand>,
}

#[derive(Serialize)]
struct NamedCommand {
    name: &'static str,
    code: u32,
}

/// A memory that the host writes.
#[derive(Serialize)]
struct MappedMemory {
    memory: String,
    number: u32,
    words: u32,
    bits: u32,
    chunks: u32,
}

/// The instruction word of one queue.
#[derive(Serialize)]
struct Queue {
    unit: String,
    bits: u32,
    fields: Vec<Field>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    position: u32,
    bits: u32,
    signed: bool,
}

#[derive(Serialize)]
struct File {
    path: String,
    bytes: usize,
    blake3: String,
}

impl<'a> Manifest<'a> {
    /// The manifest of `machine` with `files`, relative names and texts.
    pub fn of(machine: &'a Machine, files: &[(String, String)]) -> Manifest<'a> {
        let configuration = &machine.configuration;
        let units = Unit::all(configuration);
        let file = |(path, text): &(String, String)| File {
            path: path.clone(),
            bytes: text.len(),
            blake3: blake3::hash(text.as_bytes()).to_hex().to_string(),
        };
        Manifest {
            generator: GENERATOR,
            version: env!("CARGO_PKG_VERSION"),
            name: &machine.name,
            top: TOP,
            board: machine.board.as_ref().map(Place::of),
            configuration,
            resources: resources(machine),
            latency: latencies(configuration),
            host: host(&machine.configuration),
            memories: Memory::all(configuration).into_iter().map(|memory| map(memory, configuration, &units)).collect(),
            instructions: units.iter().map(|&unit| queue(unit, configuration)).collect(),
            files: files.iter().map(file).collect(),
        }
    }
}

impl<'a> Place<'a> {
    fn of(board: &'a Board) -> Place<'a> {
        let Board { family, device, package, speed_grade, oscillator_mhz, clock_mhz, .. } = board;
        let (family, oscillator_mhz, clock_mhz) = (*family, *oscillator_mhz, *clock_mhz);
        Place { family, device, package, speed_grade, oscillator_mhz, clock_mhz }
    }
}

fn resources(machine: &Machine) -> Resources {
    let configuration = &machine.configuration;
    Resources {
        multipliers: machine.multipliers(),
        weight_bytes: weight_bytes(configuration),
        block_rams: machine.block_rams(configuration),
        requantiser_lanes: configuration.requantiser_lanes(),
    }
}

fn latencies(configuration: &Configuration) -> Latencies {
    let latency = Latency::of(configuration);
    Latencies {
        issue_to_step: ISSUE_TO_STEP,
        minimum_interval: configuration.minimum_interval(),
        crossbar: latency.crossbar,
        vector_read: latency.vector_read,
        weight_read: latency.weight_read,
        multiply: latency.multiply,
        adder_tree: latency.adder_tree,
        step_to_shadow: latency.step_to_shadow,
        step_to_drain: latency.step_to_drain,
        requantise: latency.requantise,
        vector_unit: latency.vector_unit,
        write_to_read: latency.write_to_read,
        softmax_word: latency.softmax.map(|softmax| softmax.word),
        softmax_word_interval: latency.softmax.map(|softmax| softmax.word_interval),
        softmax_gap: latency.softmax.map(|softmax| softmax.gap),
    }
}

fn host(configuration: &Configuration) -> Host {
    let mut commands = vec![
        ("idle", Command::Idle),
        ("address", Command::Address),
        ("shift", Command::Shift),
        ("write", Command::Write),
        ("start", Command::Start),
        ("read", Command::Read),
    ];
    commands.extend(configuration.generates().then_some(("generate", Command::Generate)));
    let commands = commands.into_iter().map(|(name, command)| NamedCommand { name, code: command as u32 });
    Host { bus_bits: BUS_BITS, address_bits: ADDRESS_BITS, commands: commands.collect() }
}

fn map(memory: Memory, configuration: &Configuration, units: &[Unit]) -> MappedMemory {
    let name = match memory {
        Memory::Weights(tile) => format!("weights of tile {tile}"),
        Memory::Queue(queue) => {
            let unit = units.get(queue as usize).map_or_else(String::new, ToString::to_string);
            format!("queue of {unit}")
        }
        Memory::Vector(slice) => format!("vector memory slice {slice}"),
        Memory::Scale(lane) => format!("scales of lane {lane}"),
        Memory::Registers => "run-time registers".to_string(),
        Memory::Tables => "tables of the vector unit".to_string(),
        Memory::Normalise => "tables of reciprocals".to_string(),
        Memory::Tokens => "tokens".to_string(),
        Memory::Entries => "entry points".to_string(),
        Memory::Exponentials => "exponentials of softmax".to_string(),
    };
    let words = memory.words(configuration);
    let (bits, chunks) = (memory.bits(configuration), memory.chunks(configuration));
    MappedMemory { memory: name, number: memory.number(), words, bits, chunks }
}

fn queue(unit: Unit, configuration: &Configuration) -> Queue {
    let fields = fields(unit, configuration).into_iter().map(|field| Field {
        name: field.name,
        position: field.position,
        bits: field.bits,
        signed: field.signed,
    });
    Queue { unit: unit.to_string(), bits: word_bits(unit, configuration), fields: fields.collect() }
}
