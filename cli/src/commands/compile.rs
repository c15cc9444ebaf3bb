//! `lpu compile`: the program image, and what it will cost, before anything runs.

use crate::choice;
use crate::destination::Destination;
use crate::failure::{Failure, Verdict};
use crate::language_program::ProgramArguments;
use crate::machine::{Machine, RequiredMachine};
use crate::network;
use crate::output::{count, duration, pairs, percent, print, print_json, table};
use lpu_compiler::bound::{Bound, bounds};
use lpu_compiler::checker::CheckReport;
use lpu_isa::instruction::{Operation, Unit as Queue};
use lpu_isa::program::Program;
use serde::Serialize;
use std::path::PathBuf;

/// Compile a network to a program image: predicted cycles, memory use, utilisation of each unit
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The network: a TensorFlow Lite or ONNX model, quantised to int8; or a language model: a checkpoint of llama2.c (.bin), or a directory
    /// with config.json and model.safetensors
    model: PathBuf,
    #[command(flatten)]
    machine: RequiredMachine,
    /// Where the program image goes
    #[arg(long, value_name = "PROGRAM")]
    out: PathBuf,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: ProgramArguments,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    model: String,
    board: String,
    program: PathBuf,
    cycles_predicted: u64,
    macs: u64,
    multipliers: u32,
    mac_utilization: f64,
    clock_mhz: Option<f64>,
    seconds_per_inference: Option<f64>,
    memories: Vec<Memory>,
    units: Vec<Unit>,
    layers: Vec<Layer>,
    /// Sequences of a language model of which each run takes in a token, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequences: Option<usize>,
    /// The schedules of a language model, that of the shortest context first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<Schedule>,
    remarks: Vec<String>,
}

/// One of a language model's schedules.
#[derive(Serialize)]
struct Schedule {
    positions_below: u32,
    cycles_predicted: u64,
    macs: u64,
    mac_utilization: f64,
}

/// How full a memory is.
#[derive(Serialize)]
struct Memory {
    memory: String,
    used: u64,
    available: u64,
    what: &'static str,
}

/// How busy a unit is.
#[derive(Serialize)]
struct Unit {
    unit: String,
    instructions: usize,
    busy_cycles: u64,
    utilization: f64,
}

/// One layer's share.
#[derive(Serialize)]
struct Layer {
    layer: String,
    operator: String,
    /// The first row of its result and how many, where it runs band by band: then each band has an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<[u32; 2]>,
    tiles: u32,
    macs: u64,
    /// First cycle in which a unit works on it, and first in which all of its result can be read.
    start: u64,
    end: u64,
    /// Cycles that the tiles spend on it, or, where it takes none, requantiser and vector unit.
    work_cycles: u64,
    /// What would have to be faster.
    bound: Bound,
    mac_utilization: f64,
}

/// Compiles, checks, writes the image and reports.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = choice::settle(arguments.machine.resolve()?, &arguments.model);
    let compiled = arguments.options.compile(&arguments.model, &machine)?;
    let checked = match compiled.judgement {
        Ok(checked) => checked,
        Err(violations) => return Err(network::rejected(&violations, &arguments.model).disagreement()),
    };
    let program = compiled.program;
    let destination = Destination::create(&arguments.out, "the program image cannot be written")?;
    let image = program.to_json().map_err(|error| {
        Failure::new("the program image cannot be written", &program.model, error, "report this as a bug")
    })?;
    destination.write(image.as_bytes())?;
    let report = report(&program, &machine, &checked, arguments.out.clone());
    if arguments.json {
        print_json(&report)?
    } else {
        print(&describe(&report, &machine))?
    }
    Ok(Verdict::Success)
}

fn report(program: &Program, machine: &Machine, checked: &CheckReport, out: PathBuf) -> Report {
    let multipliers = machine.configuration.multipliers();
    // A language model is judged by its longest context.
    let (cycles_predicted, macs) = program
        .language
        .as_ref()
        .and_then(|language| language.entries.last())
        .map_or((program.cycles, program.macs), |entry| (entry.cycles, entry.macs));
    let cycles = cycles_predicted.max(1) as f64;
    let peak = f64::from(machine.configuration.macs_per_cycle());
    let schedules = program.language.iter().flat_map(|language| &language.entries).map(|entry| Schedule {
        positions_below: entry.positions,
        cycles_predicted: entry.cycles,
        macs: entry.macs,
        mac_utilization: entry.macs as f64 / (peak * entry.cycles.max(1) as f64),
    });
    // The parts of a token are not timed one by one: they overlap, and each schedule has times of its own.
    let timed = program.layers.iter().filter(|_| program.language.is_none());
    let layers = timed.zip(bounds(program)).map(|(layer, (bound, work_cycles))| {
        let lasted = layer.end.saturating_sub(layer.start).max(1);
        Layer {
            layer: layer.name.clone(),
            operator: layer.operator.clone(),
            rows: layer.band.map(|band| [band.row, band.rows]),
            tiles: layer.tiles,
            macs: layer.macs,
            start: layer.start,
            end: layer.end,
            work_cycles,
            bound,
            mac_utilization: layer.macs as f64 / (peak * lasted as f64),
        }
    });
    let units = checked.units.iter().map(|activity| Unit {
        unit: activity.unit.to_string(),
        instructions: activity.instructions,
        busy_cycles: activity.steps,
        utilization: activity.busy,
    });
    Report {
        model: program.model.clone(),
        board: machine.name.clone(),
        program: out,
        cycles_predicted,
        macs,
        multipliers,
        mac_utilization: macs as f64 / (peak * cycles),
        clock_mhz: machine.clock_mhz(),
        seconds_per_inference: machine.clock_mhz().map(|clock| cycles / (clock * 1e6)),
        memories: memories(program),
        units: units.collect(),
        layers: layers.collect(),
        sequences: program.language.as_ref().map(|language| 1 + language.others.len()).filter(|&count| count > 1),
        schedules: schedules.collect(),
        remarks: checked.remarks.iter().map(ToString::to_string).chain(of_the_host(program)).collect(),
    }
}

/// What the machine leaves to the host, which no line of the table has.
fn of_the_host(program: &Program) -> Option<String> {
    let changes = match program.finish.as_ref()?.rescales.len() {
        0 => String::new(),
        1 => " and the change of scale behind it".into(),
        more => format!(" and the {more} changes of scale behind it"),
    };
    Some(format!("the host computes the softmax at the end{changes} from the output that it reads"))
}

/// Use of every memory that a program fills.
fn memories(program: &Program) -> Vec<Memory> {
    let configuration = &program.configuration;
    let words = program.weights.iter().map(Vec::len).max().unwrap_or(0) / configuration.dot.max(1) as usize;
    let mut memories = vec![Memory {
        memory: "weight RAM, fullest tile".into(),
        used: words as u64,
        available: u64::from(configuration.weight_depth),
        what: "words",
    }];
    let inputs = || program.input_parts().map(|(_, region)| region);
    let regions = || program.layers.iter().map(|layer| &layer.result).chain(inputs()).chain([&program.output]);
    for slice in 0..configuration.vector_slices {
        let regions = regions().filter(|region| region.slice == slice).map(|region| region.base + region.beats);
        let highest = regions.chain(language_beats(program, slice)).max();
        memories.push(Memory {
            memory: format!("vector memory, slice {slice}, highest beat"),
            used: u64::from(highest.unwrap_or(0)),
            available: u64::from(configuration.vector_beats()),
            what: "beats",
        });
    }
    let longest = program.queues.iter().map(|queue| queue.instructions.len()).max().unwrap_or(0);
    memories.push(Memory {
        memory: "scale table".into(),
        used: program.scales.len() as u64,
        available: u64::from(configuration.scale_depth),
        what: "entries",
    });
    memories.push(Memory {
        memory: "fullest instruction queue".into(),
        used: longest as u64,
        available: u64::from(configuration.queue_depth),
        what: "instructions",
    });
    memories
}

/// The beats behind those that a language model's constants take in a slice, and behind those that it writes there.
fn language_beats(program: &Program, slice: u32) -> impl Iterator<Item = u32> + '_ {
    let dot = program.configuration.dot.max(1);
    let constants = program.language.iter().flat_map(|language| &language.constants);
    let constants = constants
        .filter(move |constants| constants.slice == slice)
        .map(move |constants| constants.base + constants.elements.len() as u32 / dot);
    let writes = program.queues.iter().filter(move |queue| queue.unit == Queue::Write(slice));
    let writes = writes.flat_map(|queue| &queue.instructions).filter_map(|placed| match placed.instruction.operation {
        Operation::Write { sequence, last_beats, .. } => {
            u32::try_from(sequence.extent().1).ok().map(|last| last + last_beats)
        }
        _ => None,
    });
    constants.chain(writes.filter(|_| program.language.is_some()))
}

fn describe(report: &Report, machine: &Machine) -> String {
    let mut lines = vec![
        ("network", report.model.clone()),
        ("machine", machine.describe()),
        ("program", report.program.display().to_string()),
        ("predicted cycles", count(report.cycles_predicted)),
    ];
    if let (Some(seconds), Some(clock)) = (report.seconds_per_inference, report.clock_mhz) {
        let what = match (report.schedules.is_empty(), report.sequences) {
            (true, _) => "an inference",
            (false, None) => "a token",
            (false, Some(_)) => "a token of each",
        };
        lines.push((what, format!("{} at {clock} MHz", duration(seconds))));
    }
    lines.push(("multiplications", count(report.macs)));
    let utilisation = percent(report.mac_utilization);
    lines.push(("utilisation", format!("{utilisation} of {} multipliers", report.multipliers)));
    lines.push(("schedule", "accepted by the checker".into()));
    let memories = report.memories.iter().map(|memory| {
        let share = memory.used as f64 / memory.available.max(1) as f64;
        let Memory { memory, used, available, what } = memory;
        vec![memory.clone(), count(*used), count(*available), (*what).into(), percent(share)]
    });
    let units = report.units.iter().map(|unit| {
        let Unit { unit, instructions, busy_cycles, utilization } = unit;
        vec![unit.clone(), count(*instructions as u64), count(*busy_cycles), percent(*utilization)]
    });
    let layers = report.layers.iter().map(|layer| {
        let Layer { layer, operator, rows, tiles, macs, start, end, work_cycles, bound, mac_utilization } = layer;
        let rows = rows.map_or(String::new(), |[first, rows]| format!(", rows {first} to {}", first + rows.max(1) - 1));
        let cycles = end.saturating_sub(*start);
        let numbers = [u64::from(*tiles), *macs, *start, *end, cycles, *work_cycles].map(count);
        let mut row = vec![format!("{layer}{rows}"), operator.clone()];
        row.extend(numbers);
        row.extend([bound.name().to_string(), percent(*mac_utilization)]);
        row
    });
    let layer_header =
        ["layer", "operator", ">tiles", ">MACs", ">start", ">end", ">cycles", ">at work", "bound", ">utilisation"];
    let mut text = pairs(&lines);
    text += &format!("\n{}", table(&["memory", ">used", ">available", "of", ">full"], memories));
    text += &format!("\n{}", table(&["unit", ">instructions", ">busy cycles", ">utilisation"], units));
    if report.schedules.is_empty() {
        text += &format!("\n{}", table(&layer_header, layers));
    } else {
        let schedules = report.schedules.iter().map(|schedule| {
            let Schedule { positions_below, cycles_predicted, macs, mac_utilization } = schedule;
            vec![count(u64::from(*positions_below)), count(*cycles_predicted), count(*macs), percent(*mac_utilization)]
        });
        text += &format!("\n{}", table(&[">positions below", ">cycles", ">MACs", ">utilisation"], schedules));
    }
    for remark in &report.remarks {
        text += &format!("remark: {remark}\n");
    }
    text
}
