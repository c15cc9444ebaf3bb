//! `lpu bench mlperf-tiny`: the networks of MLPerf Tiny on this machine, beside what others have published for them.

use crate::choice;
use crate::failure::{Failure, Verdict};
use crate::machine::Machine;
use crate::network;
use crate::output::{count, percent, print, print_json, table};
use lpu_sim::cycle::CycleModel;
use lpu_sim::golden;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What the command is called where a network's path could stand.
pub const NAME: &str = "mlperf-tiny";

/// A benchmark's network, and what has been published for it.
struct Benchmark {
    name: &'static str,
    file: &'static str,
    published: &'static [Published],
}

/// A published figure.
#[derive(Clone, Copy, Debug, Serialize)]
struct Published {
    system: &'static str,
    /// Of the benchmark; none where the source does not say.
    version: Option<&'static str>,
    division: Division,
    inferences_per_second: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Division {
    /// The reference network, the same as here.
    Closed,
    /// A network of the submitter's own, smaller or of fewer bits.
    Open,
}

const fn closed(system: &'static str, version: Option<&'static str>, inferences_per_second: u32) -> Published {
    Published { system, version, division: Division::Closed, inferences_per_second }
}

const fn open(system: &'static str, version: Option<&'static str>, inferences_per_second: u32) -> Published {
    Published { system, version, division: Division::Open, inferences_per_second }
}

/// The figures are those of MLPerf Tiny's published result files.
const BENCHMARKS: [Benchmark; 3] = [
    Benchmark {
        name: "anomaly detection",
        file: "ad01_int8.tflite",
        published: &[
            closed("Qualcomm Snapdragon", Some("v1.3"), 14_625),
            closed("SpacemiT K1", None, 3_163),
            closed("STM32U5", None, 312),
            open("hls4ml AD08, Pynq-Z2", None, 53_365),
        ],
    },
    Benchmark {
        name: "image classification",
        file: "resnet8_cifar10_int8.tflite",
        published: &[
            closed("Qualcomm Snapdragon", Some("v1.3"), 10_437),
            closed("SpacemiT K1", None, 1_023),
            closed("STM32U5", None, 9),
            open("FINN W1A1, Pynq-Z2", Some("v0.7"), 661),
            open("hls4ml RN07, Pynq-Z2", None, 37),
        ],
    },
    Benchmark {
        name: "keyword spotting",
        file: "kws_ref_model.tflite",
        published: &[
            closed("Qualcomm Snapdragon", Some("v1.3"), 15_396),
            closed("SpacemiT K1", None, 1_735),
            closed("STM32U5", None, 34),
            open("FINN W3A3, Pynq-Z2", None, 57_268),
        ],
    },
];

/// What is the same here and there.
const ALIKE: [&str; 2] = [
    "the closed division's reference networks, int8, every output bit-exact with tflite-micro (`cargo test -p lpu-tests`)",
    "one inference at a time, input to output",
];

/// What is not.
const NOT_ALIKE: [&str; 5] = [
    "theirs: boards measured by their submitters; ours: cycles of the cycle model, which are those of the RTL, at the machine's clock. \
     Nobody has measured a board",
    "all three machines reach their clocks after place and route (docs/benchmarks.md, docs/decisions/0009)",
    "the open division's networks are others: smaller, or of fewer bits",
    "our weights stay on the chip from one inference to the next; where theirs are, the result files do not say",
    "bringing the input to the machine over its serial line is not counted; theirs reads it from memory",
];

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    networks: Vec<Row>,
    alike: [&'static str; 2],
    not_alike: [&'static str; 5],
}

#[derive(Serialize)]
struct Row {
    benchmark: &'static str,
    model: PathBuf,
    board: String,
    multipliers: u32,
    cycles_predicted: u64,
    cycles_measured: u64,
    outputs_equal_golden: bool,
    mac_utilization: f64,
    /// The machine's clock; none for a bare configuration without one.
    clock_mhz: Option<f64>,
    inferences_per_second: Option<f64>,
    published: &'static [Published],
}

/// Compiles, runs and prints the networks in `models`.
pub fn run(
    models: Option<&Path>,
    machine: impl Fn() -> Result<Machine, Failure>,
    json: bool,
) -> Result<Verdict, Failure> {
    let folder = folder(models)?;
    let mut networks = Vec::new();
    for benchmark in &BENCHMARKS {
        networks.push(row(benchmark, folder.join(benchmark.file), machine()?)?);
    }
    let agrees = networks.iter().all(|row| row.outputs_equal_golden && row.cycles_measured == row.cycles_predicted);
    let report = Report { networks, alike: ALIKE, not_alike: NOT_ALIKE };
    if json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Verdict::of(agrees))
}

/// `--models`, or where the conformance files are installed.
fn folder(models: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(models) = models {
        return Ok(models.into());
    }
    let installed = std::env::var_os("LPU_CONFORMANCE_DIR").filter(|folder| !folder.is_empty());
    installed.map(|folder| PathBuf::from(folder).join("models/mlperf_tiny")).ok_or_else(|| {
        let files = BENCHMARKS.map(|benchmark| benchmark.file).join(", ");
        Failure::new(
            "the networks cannot be found",
            "--models",
            "it is not given, and LPU_CONFORMANCE_DIR is not set",
            format!("give a folder with {files} (https://github.com/mlcommons/tiny)"),
        )
    })
}

fn row(benchmark: &'static Benchmark, model: PathBuf, machine: Machine) -> Result<Row, Failure> {
    let graph = network::read(&model)?;
    let machine = choice::settle(machine, &model);
    let program = network::compile_to_run(&graph, &machine, &model)?;
    // Any input takes as many cycles; this one has every value.
    let input: Vec<i8> = (0..program.input_length()).map(|index| (index * 31 + index / 256) as u8 as i8).collect();
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new("the network cannot be executed", model.display(), why, "report this as a bug")
    };
    let outcome = CycleModel::new(&program).run(&input).map_err(|error| failed(&error))?;
    let expected = golden::run(&graph, &input).map_err(|error| failed(&error))?;
    let clock_mhz = machine.clock_mhz();
    let peak = f64::from(machine.configuration.macs_per_cycle()) * outcome.cycles.max(1) as f64;
    Ok(Row {
        benchmark: benchmark.name,
        board: machine.name.clone(),
        multipliers: machine.configuration.multipliers(),
        cycles_predicted: program.cycles,
        cycles_measured: outcome.cycles,
        outputs_equal_golden: outcome.output == expected,
        mac_utilization: program.macs as f64 / peak,
        clock_mhz,
        inferences_per_second: clock_mhz.map(|clock| clock * 1e6 / outcome.cycles.max(1) as f64),
        published: benchmark.published,
        model,
    })
}

fn describe(report: &Report) -> String {
    let published = |row: &Row, division: Division| {
        let figures = row.published.iter().filter(|figure| figure.division == division);
        let figure = |figure: &Published| {
            let version = figure.version.map_or(String::new(), |version| format!(" ({version})"));
            format!("{}{version} {}", figure.system, count(figure.inferences_per_second.into()))
        };
        figures.map(figure).collect::<Vec<_>>().join("; ")
    };
    let rows = report.networks.iter().map(|row| {
        let rate = row.inferences_per_second.map_or("–".into(), |rate| count(rate as u64));
        vec![
            row.benchmark.to_string(),
            row.board.clone(),
            count(row.cycles_measured),
            percent(row.mac_utilization),
            row.clock_mhz.map_or("–".into(), |clock| clock.to_string()),
            rate,
            published(row, Division::Closed),
            published(row, Division::Open),
        ]
    });
    let header = [
        "network",
        "machine",
        ">cycles",
        ">utilisation",
        ">MHz",
        ">inferences/s",
        "published, the same network",
        "published, other networks",
    ];
    let lines = |title: &str, points: &[&str]| {
        let points: String = points.iter().map(|point| format!("  - {point}\n")).collect();
        format!("{title}\n{points}")
    };
    let mut text = table(&header, rows);
    text += &format!("\n{}", lines("alike", &report.alike));
    text += &lines("not alike", &report.not_alike);
    for row in &report.networks {
        if !row.outputs_equal_golden || row.cycles_measured != row.cycles_predicted {
            text += &format!("{}: outputs or cycles are not those predicted\n", row.benchmark);
        }
    }
    text
}
