//! `lpu demo digits`: handwritten digits on all three witnesses.

use crate::digits::{self, Digits, SIDE};
use crate::failure::{Failure, Verdict};
use crate::machine::{Machine, OptionalMachine};
use crate::network;
use crate::output::{count, duration, pairs, percent, print, printable, rate, remark, table};
use crate::witnesses::{Run, account, build_rtl, rtl_options, run_golden, run_model, run_rtl};
use lpu_isa::program::Program;
use std::path::Path;
use std::time::Instant;

/// Images that are drawn.
const DRAWN: usize = 4;

/// Classify handwritten digits on the golden model, the cycle model and the RTL, and compare all three
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    machine: OptionalMachine,
    /// How many test images to classify, 1 to 32
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=32))]
    images: u8,
}

/// Runs the witnesses and prints what they say.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = arguments.machine.resolve()?;
    let Digits { graph, mut images, mut labels } = digits::load()?;
    images.truncate(arguments.images.into());
    labels.truncate(arguments.images.into());
    let program = network::compile_to_run(&graph, &machine, Path::new(digits::NAME))?;
    print(&introduction(&machine, &program, &images, &labels))?;

    let golden = run_golden(&graph, &images, None)?;
    let model = run_model(&program, &images, None)?;
    let options = rtl_options(None)?;
    let start = Instant::now();
    let library = build_rtl(&program.configuration, &options)?;
    let built = start.elapsed().as_secs_f64();
    let rtl = run_rtl(&program, &library, &options, &images, None)?;

    print(&predictions(&labels, &golden, &model, &rtl))?;
    print(&figures(&machine, &program, &model, &rtl, built))?;
    let wrong = (0..images.len()).find(|&index| !agrees(index, &program, &golden, &model, &rtl));
    match wrong {
        None => {
            let elements: usize = golden.iter().map(Vec::len).sum();
            let text = format!(
                "\nRTL = cycle model = golden\n  compared: {} output elements of {} images, and the cycles of each\n",
                count(elements as u64),
                images.len()
            );
            print(&text).map(|()| Verdict::Success)
        }
        Some(index) => {
            remark(&format!("\nthe witnesses disagree about image {index}; once more, alone:"));
            remark(&printable(&account(&graph, &program, &images[index], Some(&options))?));
            Ok(Verdict::Disagreement)
        }
    }
}

/// Do all witnesses give the same output for this image, in the cycles predicted?
fn agrees(index: usize, program: &Program, golden: &[Vec<i8>], model: &Run, rtl: &Run) -> bool {
    let same =
        |run: &Run| run.outputs.get(index) == golden.get(index) && run.cycles.get(index) == Some(&program.cycles);
    same(model) && same(rtl)
}

fn introduction(machine: &Machine, program: &Program, images: &[Vec<i8>], labels: &[u8]) -> String {
    let layers: Vec<String> = program.layers.iter().map(|layer| layer.result.positions.len().to_string()).collect();
    let network =
        format!("digits, {} → {}, {} multiplications", program.input_length(), layers.join(" → "), count(program.macs));
    let mut text = pairs(&[("network", network), ("machine", machine.describe())]);
    text.push('\n');
    let drawn = images.len().min(DRAWN);
    let titles: Vec<String> = (0..drawn)
        .map(|index| format!("{:<width$}", format!("image {index}: a {}", labels[index]), width = 2 * SIDE))
        .collect();
    text += &format!("  {}\n", titles.join("    ").trim_end());
    for row in 0..SIDE {
        let lines: Vec<String> =
            images[..drawn].iter().map(|image| draw(&image[row * SIDE..(row + 1) * SIDE])).collect();
        text += &format!("  {}\n", lines.join("    ").trim_end());
    }
    text.push('\n');
    text
}

/// One row of pixels, two characters each.
fn draw(row: &[i8]) -> String {
    const SHADES: [&str; 5] = ["  ", "··", "▒▒", "▓▓", "██"];
    row.iter().map(|&pixel| SHADES[(i32::from(pixel) + 128) as usize * SHADES.len() / 256]).collect()
}

fn predictions(labels: &[u8], golden: &[Vec<i8>], model: &Run, rtl: &Run) -> String {
    let rows = labels.iter().enumerate().map(|(index, &label)| {
        let answers = [&golden[index], &model.outputs[index], &rtl.outputs[index]].map(|logits| digits::answer(logits));
        let mark = if answers.iter().all(|&answer| answer == usize::from(label)) { "" } else { "wrong" };
        let mut row = vec![index.to_string(), label.to_string()];
        row.extend(answers.map(|answer| answer.to_string()));
        row.extend([mark.to_string(), count(model.cycles[index]), count(rtl.cycles[index])]);
        row
    });
    let header = [">image", ">digit", ">golden", ">cycle model", ">RTL", "", ">cycles, model", ">cycles, RTL"];
    table(&header, rows)
}

fn figures(machine: &Machine, program: &Program, model: &Run, rtl: &Run, built: f64) -> String {
    let multipliers = machine.configuration.multipliers();
    let useful = f64::from(machine.configuration.macs_per_cycle());
    let utilisation = program.macs as f64 / (useful * program.cycles.max(1) as f64);
    let spread = |run: &Run| {
        let (low, high) = (run.cycles.iter().min(), run.cycles.iter().max());
        match (low, high) {
            (Some(&low), Some(&high)) if low != high => format!("{} to {}", count(low), count(high)),
            (Some(&low), _) => count(low),
            _ => "none".into(),
        }
    };
    let each = rtl.transfer_cycles / rtl.cycles.len().max(1) as u64;
    let mut lines = vec![
        ("predicted cycles", count(program.cycles)),
        ("measured cycles", spread(rtl)),
        ("utilisation", format!("{} of {multipliers} multipliers", percent(utilisation))),
    ];
    if let Some(clock) = machine.clock_mhz() {
        let seconds = program.cycles as f64 / (clock * 1e6);
        lines.push(("an inference", format!("{} at {clock} MHz", duration(seconds))));
    }
    let transfer = format!("{} cycles to load, {} an image; not counted above", count(rtl.loading_cycles), count(each));
    lines.push(("host transfer", transfer));
    let speed = |run: &Run| rate(run.simulated_cycles as f64 / run.seconds.max(1e-9));
    lines.push(("simulation", format!("RTL {}, cycle model {}", speed(rtl), speed(model))));
    lines.push(("RTL ready in", format!("{} (built once, then taken from the cache)", duration(built))));
    format!("\n{}", pairs(&lines))
}
