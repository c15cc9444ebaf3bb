//! `lpu run` with two prompts: two texts at once, each what its prompt gives alone.

use super::run_language::{Generation, on_what, open};
use crate::failure::{Failure, Verdict};
use crate::language::{Divergence, Ending, encode, first_divergence, quantised};
use crate::language_program::compile_to_run;
use crate::language_report::{cycles_spent, difference, results, speed, use_of_the_machine, visible};
use crate::link::{LinkReport, PortArguments};
use crate::machine::Machine;
use crate::output::{count, duration, pairs, print, print_json, remark};
use crate::progress::Progress;
use crate::sequences::{Run, Sequence, generate};
use crate::speaker::schedule_at;
use crate::witnesses::Backend;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::LlamaModel;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::lower::llama::{Runs, compile_runs};
use lpu_compiler::occupation::CyclesSpent;
use lpu_compiler::tokenizer::Tokenizer;
use lpu_isa::program::{Language, Program};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What `--json` prints. The names are a contract.
#[derive(Debug, Serialize)]
struct Report {
    /// Name of the model.
    model: String,
    /// What it ran on.
    backend: Backend,
    /// Each text, in the order of the prompts.
    sequences: Vec<SequenceReport>,
    /// 0 for the most likely tokens.
    temperature: f64,
    /// Where the random numbers of each sequence started.
    seed: u64,
    /// Cycles of each run that made a new token, of one sequence or of both. None on golden, as all that follows up to the link.
    cycles_per_token: Option<Vec<u64>>,
    /// New tokens of all sequences a second, at the clock. None without one.
    tokens_per_second: Option<f64>,
    /// What only a machine has.
    #[serde(flatten)]
    machine: Option<MachineReport>,
    /// What went over the link; only on a board.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkReport>,
    /// Wall-clock time of the whole command.
    wall_seconds: f64,
}

/// One of the texts.
#[derive(Debug, Serialize)]
struct SequenceReport {
    /// How many of the tokens are the prompt's, the begin token included.
    prompt_tokens: usize,
    /// All tokens, the prompt's in front.
    tokens: Vec<u32>,
    /// The text of all of them.
    text: String,
    /// Why it ended.
    ending: Ending,
    /// The first token that the model in floating point would not have chosen as the most likely one. None where there is none, or
    /// where a temperature chose.
    first_divergence: Option<Divergence>,
}

/// What only a machine has.
#[derive(Debug, Serialize)]
struct MachineReport {
    /// Name of the board or configuration.
    board: String,
    /// Positions of each sequence that the program has room for.
    context: usize,
    /// The machine's clock; none for a bare configuration without one.
    clock_mhz: Option<f64>,
    /// New tokens ÷ cycles, one sequence's = 1: its schedules for the same positions of the same machine make the same tokens one after the other.
    times_one_sequence: Option<f64>,
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

/// What the texts are made on.
pub struct Place<'a> {
    /// The model's file.
    pub path: &'a Path,
    /// The machine.
    pub machine: &'a Machine,
    /// The backend.
    pub on: Backend,
    /// The board's port.
    pub port: &'a PortArguments,
}

/// Continues `prompts` with `model`, all at once.
///
/// # Errors
/// A prompt longer than the context, two sequences that do not fit the machine, a board that does not answer.
pub fn run(
    model: &LlamaModel,
    format: WeightFormat,
    tokenizer: &Tokenizer,
    &Place { path, machine, on, port }: &Place<'_>,
    prompts: &[String],
    generation: &Generation,
    (json, start): (bool, Instant),
) -> Result<Verdict, Failure> {
    if prompts.len() > 2 {
        return Err(Failure::new(
            "there are too many prompts",
            "--prompt",
            format!("a run takes in a token of one sequence or of two, and there are {}", prompts.len()),
            "give one prompt or two",
        ));
    }
    let &Generation { wanted, temperature, seed, .. } = generation;
    let prompts = prompts.iter().map(|prompt| encode(tokenizer, prompt, model.shape.context));
    let prompts = prompts.collect::<Result<Vec<Vec<u32>>, Failure>>()?;
    let contexts = prompts.iter().map(|prompt| generation.context(model.shape.context, prompt.len()));
    let context = contexts.collect::<Result<Vec<usize>, Failure>>()?.into_iter().max().unwrap_or(1);
    let graph = &quantised(model, format, path)?;
    let sequences = prompts.into_iter().map(|prompt| Sequence::new(graph, prompt, generation.sampler(graph)?));
    let mut sequences = sequences.collect::<Result<Vec<Sequence<'_>>, Failure>>()?;
    let both = Runs { sequences: sequences.len(), prompt: 1, ..Runs::default() };
    let program = match on {
        Backend::Golden => None,
        _ => Some(compile_to_run(graph, machine, context, both, path)?),
    };
    // A simulated board takes a while to build: not for what is refused.
    let port = if on == Backend::Board { Some(port.open(machine)?) } else { None };
    let mut device = match &program {
        Some(program) => Some(open(program, on, machine, port)?),
        None => None,
    };
    let room = if generation.asked_context.is_some() { context } else { model.shape.context };
    let runs = {
        let _progress = Progress::spinner("two texts at once");
        generate(device.as_deref_mut(), graph, &mut sequences, (wanted, room))?
    };

    let made: Vec<Run> = runs.iter().copied().filter(|run| run.made > 0).collect();
    let equal = sequences.iter().all(|sequence| sequence.difference.is_none());
    let machine_report = program.as_ref().map(|program| {
        let one = compile_runs(
            graph,
            &machine.configuration,
            &machine.name,
            Some(context),
            Runs { prompt: 1, ..Runs::default() },
        );
        let one = one.ok().and_then(|program| program.language);
        MachineReport::of((graph, program, machine), (&runs, &made), one.as_ref(), equal)
    });
    let cycles: u64 = made.iter().map(|run| run.cycles).sum();
    let tokens: usize = made.iter().map(|run| run.made).sum();
    let clock = machine_report.as_ref().and_then(|report| report.clock_mhz);
    let report = Report {
        model: model.name.clone(),
        backend: on,
        sequences: sequences
            .iter()
            .map(|sequence| SequenceReport::of(sequence, model, tokenizer, temperature == 0.0))
            .collect(),
        temperature,
        seed,
        cycles_per_token: machine_report.as_ref().map(|_| made.iter().map(|run| run.cycles).collect()),
        tokens_per_second: clock.filter(|_| cycles > 0).map(|clock| clock * 1e6 * tokens as f64 / cycles as f64),
        machine: machine_report,
        link: device.as_mut().and_then(|device| device.link()),
        wall_seconds: start.elapsed().as_secs_f64(),
    };
    if json {
        print_json(&report)?;
    } else {
        for (number, sequence) in report.sequences.iter().enumerate() {
            print(&format!("{}{}\n", if number > 0 { "\n" } else { "" }, visible(&sequence.text)))?;
        }
        remark(&report.describe(machine));
    }
    let broken = broken_promises(&sequences, &runs, tokenizer);
    broken.iter().for_each(|promise| remark(promise));
    Ok(if broken.is_empty() { Verdict::Success } else { Verdict::Disagreement })
}

/// Where the machine did not keep its promises: the first wrong result of each sequence, the first wrong count of cycles.
fn broken_promises(sequences: &[Sequence<'_>], runs: &[Run], tokenizer: &Tokenizer) -> Vec<String> {
    let differences = (1..).zip(sequences).filter_map(|(number, sequence)| {
        let found = sequence.difference.as_ref()?;
        Some(format!("sequence {number}, {}", difference(found, tokenizer)))
    });
    let wrong = runs.iter().find(|run| run.cycles != run.predicted);
    let wrong = wrong.map(|Run { position, cycles, predicted, .. }| {
        format!("position {position} took {cycles} cycles, not the {predicted} predicted")
    });
    differences.chain(wrong).collect()
}

impl SequenceReport {
    /// `greedy`: each token was the most likely one, so what floating point would have chosen can be said.
    fn of(sequence: &Sequence<'_>, model: &LlamaModel, tokenizer: &Tokenizer, greedy: bool) -> SequenceReport {
        let ending = sequence.ending.unwrap_or(Ending::Length);
        let first = || first_divergence(model, &sequence.tokens, sequence.prompt, ending);
        SequenceReport {
            prompt_tokens: sequence.prompt,
            tokens: sequence.tokens.clone(),
            text: tokenizer.decode(&sequence.tokens),
            ending,
            first_divergence: if greedy { first() } else { None },
        }
    }
}

impl MachineReport {
    fn of(
        (graph, program, machine): (&QuantisedLlama, &Program, &Machine),
        (runs, made): (&[Run], &[Run]),
        one: Option<&Language>,
        outputs_equal_golden: bool,
    ) -> MachineReport {
        let schedules = made.iter().map(|run| schedule_at(program, run.position));
        let cycles: u64 = made.iter().map(|run| run.cycles).sum();
        let alone = |run: &Run| one?.entry_of(run.position as u32).map(|entry| entry.cycles * run.made as u64);
        let alone: Option<u64> = made.iter().map(alone).sum();
        let macs: u64 =
            made.iter().map(|run| graph.shape.multiply_accumulates(run.position + 1) * run.made as u64).sum();
        let peak = f64::from(machine.configuration.macs_per_cycle());
        MachineReport {
            board: machine.name.clone(),
            context: program.language.as_ref().map_or(0, |language| language.context as usize),
            clock_mhz: machine.clock_mhz(),
            times_one_sequence: alone.filter(|_| cycles > 0).map(|alone| alone as f64 / cycles as f64),
            cycles_as_predicted: runs.iter().all(|run| run.cycles == run.predicted),
            outputs_equal_golden,
            multipliers: machine.configuration.multipliers(),
            mac_utilization: (cycles > 0).then(|| macs as f64 / (peak * cycles as f64)),
            cycles_spent: cycles_spent(program, schedules),
        }
    }
}

impl Report {
    /// What people want to know behind the texts.
    fn describe(&self, machine: &Machine) -> String {
        let lengths = self.sequences.iter().map(|sequence| {
            let new = sequence.tokens.len() - sequence.prompt_tokens;
            let why = match sequence.ending {
                Ending::Length => "",
                Ending::End => ", then the model ended the text",
                Ending::Context => ", then the context was full",
            };
            format!("{} tokens of prompt, {} new{why}", count(sequence.prompt_tokens as u64), count(new as u64))
        });
        let lengths: Vec<String> = lengths.collect();
        let mut text = format!("\n{}; {}, {}", lengths.join("; "), on_what(self.backend), duration(self.wall_seconds));
        let Some(measured) = &self.machine else { return text };
        let mut lines = vec![
            ("machine", machine.describe()),
            ("context", format!("room for {} positions of each sequence", count(measured.context as u64))),
        ];
        let cycles = self.cycles_per_token.as_deref().unwrap_or_default();
        if let (Some(first), Some(last)) = (cycles.first(), cycles.last()) {
            let mean = cycles.iter().sum::<u64>() as f64 / cycles.len() as f64;
            let promised = if measured.cycles_as_predicted { "all as predicted" } else { "NOT all as predicted" };
            let [first, last, mean] = [*first, *last, mean.round() as u64].map(count);
            lines.push(("cycles a run", format!("{first} first, {last} last, {mean} mean; {promised}")));
        }
        lines.extend(speed(self.tokens_per_second, measured.clock_mhz, ", of all sequences"));
        if let Some(times) = measured.times_one_sequence {
            lines.push(("one sequence", format!("{times:.2} times the tokens that it makes at these positions")));
        }
        lines.extend(use_of_the_machine(measured.mac_utilization, measured.multipliers, &measured.cycles_spent));
        lines.push(("results", results(measured.outputs_equal_golden)));
        text += "\n";
        text += pairs(&lines).trim_end();
        if let Some(link) = &self.link {
            text.push_str(&format!("\nlink  {}", link.describe()));
        }
        text
    }
}
