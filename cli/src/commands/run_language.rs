//! `lpu run` for language models: a prompt in, text out as it is produced.

use crate::failure::{Failure, Verdict};
use crate::language::{Divergence, Ending, ModelArguments, encode, first_divergence, generate, quantised, read};
use crate::language_program::compile_to_run;
use crate::machine::{Machine, OptionalMachine};
use crate::output::{count, duration, pairs, percent, print, print_json, remark};
use crate::speaker::{self, CycleModel, Golden, Rtl, Speaker, TokenRun, Witnessed};
use crate::witnesses::Backend;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::occupation::{CyclesSpent, Occupation};
use lpu_compiler::tokenizer::Tokenizer;
use lpu_isa::program::Program;
use lpu_isa::timeline::entry_points;
use lpu_sim::golden_llama::sampling::Sampler;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// New tokens, unless another number is asked for.
const DEFAULT_TOKENS: usize = 64;
/// Characters of the bar that shows where the cycles went.
const BAR: u64 = 60;

/// What only language models have.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Language models")]
pub struct LanguageArguments {
    /// The text to continue; may be empty
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// How many tokens to add [default: 64]; fewer where the text or the context ends
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// 0: always the most likely token; 1: as likely as the model says; above: bolder [default: 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Where the random numbers start: the same seed gives the same text everywhere [default: 0]
    #[arg(long, value_name = "S", requires = "temperature")]
    seed: Option<u64>,
    /// Longest sequence, prompt included, that the machine makes room for [default: what prompt and tokens need]
    #[arg(long, value_name = "POSITIONS", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    #[command(flatten)]
    options: ModelArguments,
}

/// What `--json` prints. The names are a contract.
#[derive(Debug, Serialize)]
struct Report {
    /// Name of the model.
    model: String,
    /// What it ran on.
    backend: Backend,
    /// How many of the tokens are the prompt's, the begin token included.
    prompt_tokens: usize,
    /// All tokens, the prompt's in front.
    tokens: Vec<u32>,
    /// The text of all of them.
    text: String,
    /// Why it ended.
    ending: Ending,
    /// 0 for the most likely tokens.
    temperature: f64,
    /// Where the random numbers started.
    seed: u64,
    /// Cycles of the run that made each new token. None on golden, as all that follows up to the divergence.
    cycles_per_token: Option<Vec<u64>>,
    /// New tokens a second, at the clock. None without one.
    tokens_per_second: Option<f64>,
    /// What only a machine has.
    #[serde(flatten)]
    machine: Option<MachineReport>,
    /// The first token that the model in floating point would not have chosen as the most likely one. None where there is none, or
    /// where a temperature chose.
    first_divergence: Option<Divergence>,
    /// Wall-clock time of the whole command.
    wall_seconds: f64,
}

/// What a machine adds to the report.
#[derive(Debug, Serialize)]
struct MachineReport {
    /// Name of the board or configuration.
    board: String,
    /// Positions that the program has room for.
    context: usize,
    /// Clock of the board; none for a bare configuration.
    clock_mhz: Option<f64>,
    /// Cycles of all runs that took in the prompt; the last of them made the first new token.
    prompt_cycles: u64,
    /// Did every run take the cycles that the compiler promised?
    cycles_as_predicted: bool,
    /// Are all results of the classifier and all choices, token by token, the golden model's?
    outputs_equal_golden: bool,
    /// Multipliers of the machine.
    multipliers: u32,
    /// Useful multiplications of the new tokens ÷ (what the machine can do in a cycle × their cycles).
    mac_utilization: Option<f64>,
    /// Where the cycles of the new tokens went.
    cycles_spent: CyclesSpent,
}

impl LanguageArguments {
    /// Whether any of them is given.
    pub fn is_empty(&self) -> bool {
        let Self { prompt, tokens, temperature, seed, context, options } = self;
        let ModelArguments { tokenizer, weights } = options;
        prompt.is_none()
            && tokens.is_none()
            && temperature.is_none()
            && seed.is_none()
            && context.is_none()
            && tokenizer.is_none()
            && weights.is_empty()
    }
}

/// Runs the model at `path`.
///
/// # Errors
/// A backend that does not execute language models yet, a model or tokenizer that cannot be used or does not fit the machine, a prompt
/// longer than the context.
pub fn run(
    path: &Path,
    on: Backend,
    machine: &OptionalMachine,
    arguments: &LanguageArguments,
    json: bool,
) -> Result<Verdict, Failure> {
    let start = Instant::now();
    check_backend(path, on)?;
    let Some(prompt) = &arguments.prompt else {
        return Err(Failure::new(
            "the language model has nothing to continue",
            path.display(),
            "a language model takes a text, and none is given",
            "add `--prompt TEXT`; the text may be empty",
        ));
    };
    let machine = machine.resolve()?;
    let format = arguments.options.weights.format()?;
    let model = read(path)?;
    let tokenizer = arguments.options.tokenizer(path, &model)?;
    let mut tokens = encode(&tokenizer, prompt, model.shape.context)?;
    let prompt_tokens = tokens.len();
    let wanted = arguments.tokens.unwrap_or(DEFAULT_TOKENS);
    let context = context(arguments.context, model.shape.context, prompt_tokens, wanted)?;
    let graph = quantised(&model, format, path)?;
    let (temperature, seed) = (arguments.temperature.unwrap_or(0.0), arguments.seed.unwrap_or(0));
    let mut sampler = Sampler::new(&graph, temperature, seed).map_err(|error| {
        Failure::new("the temperature cannot be used", "--temperature", error, "give one in that range")
    })?;
    let program = match on {
        Backend::Golden => None,
        _ => Some(compile_to_run(&graph, &machine, context, path)?),
    };

    let mut stream = tokenizer.stream();
    let mut show = |token: u32| {
        let text = stream.next_token(token);
        if json || text.is_empty() { Ok(()) } else { print(&visible(&text)) }
    };
    tokens.iter().try_for_each(|&token| show(token))?;
    let mut witnessed = match &program {
        Some(program) => Some(Witnessed::new(open(program, on)?, &graph, program)?),
        None => None,
    };
    let mut golden = Golden::new(&graph)?;
    let speaker: &mut dyn Speaker = witnessed.as_mut().map_or(&mut golden, |witnessed| witnessed);
    // Where nobody asks for less, the model's own context ends the text.
    let room = if arguments.context.is_some() { context } else { model.shape.context };
    let ending = generate(speaker, &graph, &mut sampler, &mut tokens, (wanted, room), show)?;
    let rest = stream.finish();
    let first_divergence =
        if temperature == 0.0 { first_divergence(&model, &tokens, prompt_tokens, ending) } else { None };
    let new = tokens.len() - prompt_tokens;
    let measured = program.as_ref().zip(witnessed.as_ref());
    let measured = measured.map(|(program, witnessed)| {
        let cycles = cycles_per_token(witnessed.runs(), prompt_tokens, new);
        (machine_report(&graph, program, &machine, witnessed, prompt_tokens, new), cycles)
    });
    let (machine_report, cycles) = measured.unzip();
    let report = Report {
        model: model.name.clone(),
        backend: on,
        prompt_tokens,
        text: tokenizer.decode(&tokens),
        tokens,
        ending,
        temperature,
        seed,
        tokens_per_second: machine
            .clock_mhz()
            .zip(cycles.as_deref().and_then(mean))
            .map(|(clock, mean)| clock * 1e6 / mean),
        cycles_per_token: cycles,
        machine: machine_report,
        first_divergence,
        wall_seconds: start.elapsed().as_secs_f64(),
    };
    if json {
        print_json(&report)?;
    } else {
        print(&(visible(&rest) + "\n"))?;
        remark(&describe(&report, room, &tokenizer, &machine));
    }
    Ok(verdict(witnessed.as_ref(), &tokenizer))
}

/// The machine of the backend asked for, with `program` loaded.
fn open(program: &Program, on: Backend) -> Result<Box<dyn speaker::Machine + '_>, Failure> {
    Ok(match on {
        Backend::Rtl => Box::new(Rtl::new(program)?),
        _ => Box::new(CycleModel::new(program)?),
    })
}

/// What executes language models so far, and whoever asks for more is told so.
fn check_backend(path: &Path, on: Backend) -> Result<(), Failure> {
    if on != Backend::Board {
        return Ok(());
    }
    let why = "the driver of boards does not bring tables and registers to the machine yet";
    let help = "run it with `--on rtl`, the same hardware under Verilator, or with `--on model`";
    Err(Failure::new(format!("the language model {} cannot run there", path.display()), "--on board", why, help))
}

/// Positions to make room for: those asked for, or as many as the prompt and the new tokens take. The last token is not taken in again.
fn context(asked: Option<u32>, model: usize, prompt: usize, wanted: usize) -> Result<usize, Failure> {
    let Some(asked) = asked else {
        return Ok((prompt + wanted.max(1) - 1).clamp(1, model));
    };
    let refused = |why: String, help: &str| {
        Err(Failure::new("the context cannot be used", format!("--context {asked}"), why, help))
    };
    let positions = asked as usize;
    if positions > model {
        return refused(
            format!("the context of this model is {model} tokens"),
            "give a number up to that, or leave it out",
        );
    }
    if prompt > positions {
        return refused(
            format!("the prompt has {prompt} tokens"),
            "shorten the prompt, or make room for more positions",
        );
    }
    Ok(positions)
}

/// Cycles of the runs that made the new tokens: that of the last token of the prompt is the first.
fn cycles_per_token(runs: &[TokenRun], prompt: usize, new: usize) -> Vec<u64> {
    made(runs, prompt, new).iter().map(|run| run.cycles).collect()
}

fn made(runs: &[TokenRun], prompt: usize, new: usize) -> &[TokenRun] {
    let first = prompt.saturating_sub(1).min(runs.len());
    &runs[first..(first + new).min(runs.len())]
}

fn mean(cycles: &[u64]) -> Option<f64> {
    let sum: u64 = cycles.iter().sum();
    (sum > 0).then(|| sum as f64 / cycles.len() as f64)
}

fn machine_report(
    graph: &QuantisedLlama,
    program: &Program,
    machine: &Machine,
    witnessed: &Witnessed<'_>,
    prompt: usize,
    new: usize,
) -> MachineReport {
    let runs = witnessed.runs();
    let made = made(runs, prompt, new);
    let schedules = entry_points(program);
    let spent: Vec<CyclesSpent> = schedules.iter().map(|entry| Occupation::of(program, entry).cycles_spent()).collect();
    let mut cycles_spent = CyclesSpent::default();
    for run in made {
        cycles_spent += spent.get(run.schedule).copied().unwrap_or_default();
    }
    let cycles: u64 = made.iter().map(|run| run.cycles).sum();
    let positions = (prompt..).take(made.len());
    let macs: u64 = positions.map(|positions| graph.shape.multiply_accumulates(positions)).sum();
    let peak = f64::from(machine.configuration.macs_per_cycle());
    MachineReport {
        board: machine.name.clone(),
        context: program.language.as_ref().map_or(0, |language| language.context as usize),
        clock_mhz: machine.clock_mhz(),
        prompt_cycles: runs.iter().take(prompt).map(|run| run.cycles).sum(),
        cycles_as_predicted: runs.iter().all(|run| run.cycles == run.predicted),
        outputs_equal_golden: witnessed.difference().is_none(),
        multipliers: machine.configuration.multipliers(),
        mac_utilization: (cycles > 0).then(|| macs as f64 / (peak * cycles as f64)),
        cycles_spent,
    }
}

/// Says where the machine did not keep its promises.
fn verdict(witnessed: Option<&Witnessed<'_>>, tokenizer: &Tokenizer) -> Verdict {
    let Some(witnessed) = witnessed else { return Verdict::Success };
    let mut verdict = Verdict::Success;
    if let Some(speaker::Difference { position, element, value, golden }) = witnessed.difference() {
        let piece = tokenizer.decode(&[element as u32]);
        remark(&format!(
            "position {position}: the result for token {element} ({piece:?}) is {value}, golden {golden}: the machine is not the golden model"
        ));
        verdict = Verdict::Disagreement;
    }
    let wrong = witnessed.runs().iter().enumerate().find(|(_, run)| run.cycles != run.predicted);
    if let Some((position, TokenRun { cycles, predicted, .. })) = wrong {
        remark(&format!("position {position}: {cycles} cycles, not the {predicted} predicted"));
        verdict = Verdict::Disagreement;
    }
    verdict
}

/// Text for a terminal: what a model says must not move the cursor.
fn visible(text: &str) -> String {
    let show = |character: char| match character {
        '\n' | '\t' => character.to_string(),
        other if other.is_control() => other.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(show).collect()
}

fn describe(report: &Report, context: usize, tokenizer: &Tokenizer, machine: &Machine) -> String {
    let new = report.tokens.len() - report.prompt_tokens;
    let why = match report.ending {
        Ending::Length => String::new(),
        Ending::End => ", then the model ended the text".into(),
        Ending::Context => format!(", then the context of {context} tokens was full"),
    };
    let time = duration(report.wall_seconds);
    let on = match report.backend {
        Backend::Golden => "golden model",
        Backend::Model => "cycle model",
        Backend::Rtl => "RTL",
        Backend::Board => "board",
    };
    let mut text = format!(
        "\n{} tokens of prompt, {} new{why}; {on}, {time}",
        count(report.prompt_tokens as u64),
        count(new as u64)
    );
    if let Some(Divergence { position, token, float_token, float_margin }) = report.first_divergence {
        let piece = |token: u32| tokenizer.decode(&[token]);
        text.push_str(&format!(
            "\ntoken {position} is {:?}; floating point would have said {:?}, which it likes better by {float_margin:.4} nats",
            piece(token),
            piece(float_token)
        ));
    } else if report.temperature == 0.0 {
        text.push_str("\nfloating point would have said the same");
    }
    if let Some(measured) = &report.machine {
        text += "\n";
        text += &describe_machine(report, measured, machine);
    }
    text
}

fn describe_machine(report: &Report, measured: &MachineReport, machine: &Machine) -> String {
    let cycles = report.cycles_per_token.as_deref().unwrap_or_default();
    let mut lines = vec![
        ("machine", machine.describe()),
        ("context", format!("room for {} positions", count(measured.context as u64))),
    ];
    if let (Some(first), Some(last), Some(mean)) = (cycles.first(), cycles.last(), mean(cycles)) {
        let promised = if measured.cycles_as_predicted { "all as predicted" } else { "NOT all as predicted" };
        let text =
            format!("{} first, {} last, {} mean; {promised}", count(*first), count(*last), count(mean.round() as u64));
        lines.push(("cycles a token", text));
    }
    match (report.tokens_per_second, measured.clock_mhz) {
        (Some(speed), Some(clock)) => {
            lines.push(("speed", format!("{} tokens/s at {clock} MHz", count(speed.round() as u64))));
        }
        (_, None) => lines.push(("speed", "unknown: the configuration has no clock; a board has".into())),
        _ => {}
    }
    if let Some(utilisation) = measured.mac_utilization {
        lines.push(("utilisation", format!("{} of {} multipliers", percent(utilisation), measured.multipliers)));
    }
    if let Some([bar, legend]) = bar(&measured.cycles_spent) {
        lines.push(("where they went", bar));
        lines.push(("", legend));
    }
    let equal = if measured.outputs_equal_golden { "equal to golden" } else { "NOT equal to golden" };
    lines.push(("results", format!("{equal}, token by token")));
    pairs(&lines).trim_end().to_string()
}

/// The shares of a sum of cycles as a bar, and what its parts are.
fn bar(spent: &CyclesSpent) -> Option<[String; 2]> {
    let total = spent.total();
    let parts = [
        ('█', "matrix", spent.matrix),
        ('▓', "attention", spent.attention),
        ('▒', "vector", spent.vector),
        ('░', "waiting", spent.waiting),
    ];
    // The places of the borders are rounded, so that the whole is as long as it should be.
    let place = |cycles: u64| (cycles * BAR + total / 2).checked_div(total);
    let (mut bar, mut before) = (String::new(), 0);
    for (character, _, cycles) in parts {
        let width = place(before + cycles)? - place(before)?;
        bar.extend(std::iter::repeat_n(character, width as usize));
        before += cycles;
    }
    let legend =
        parts.map(|(character, name, cycles)| format!("{character} {name} {}", percent(cycles as f64 / total as f64)));
    Some([bar, legend.join("  ")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_always_as_long_as_it_should_be() {
        for (matrix, attention, vector, waiting) in
            [(1, 0, 0, 0), (1, 1, 1, 1), (7, 11, 13, 500), (0, 0, 0, 3), (59, 1, 0, 1)]
        {
            let [bar, legend] = bar(&CyclesSpent { matrix, attention, vector, waiting }).unwrap_or_default();
            assert_eq!(bar.chars().count() as u64, BAR, "{legend}");
        }
        assert_eq!(bar(&CyclesSpent::default()), None);
    }

    #[test]
    fn the_room_needed_is_that_of_all_tokens_but_the_last() {
        assert_eq!(context(None, 100, 5, 10).ok(), Some(14));
        assert_eq!(context(None, 10, 5, 10).ok(), Some(10));
        assert_eq!(context(None, 10, 5, 0).ok(), Some(5));
        assert_eq!(context(Some(7), 10, 5, 10).ok(), Some(7));
        assert!(context(Some(11), 10, 5, 1).is_err() && context(Some(4), 10, 5, 1).is_err());
    }
}
