//! `lpu run` for language models: a prompt in, text out as it is produced. With two prompts, see [`run_sequences`].

use super::run_sequences;
use crate::choice::settle;
use crate::failure::{Failure, Verdict};
use crate::language::{Divergence, Ending, ModelArguments, encode, first_divergence, generate, quantised, read};
use crate::language_program::compile_to_run;
use crate::language_report::{MachineReport, broken_promises, cycles_per_token, visible};
use crate::link::{Board, LinkReport, Opened, PortArguments};
use crate::machine::{Machine, OptionalMachine};
use crate::output::{count, duration, print, print_json, remark};
use crate::speaker::{self, CycleModel, Golden, Rtl, Speaker, Witnessed};
use crate::witnesses::Backend;
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::lower::llama::Runs;
use lpu_compiler::tokenizer::Tokenizer;
use lpu_isa::program::Program;
use lpu_sim::golden_llama::sampling::Sampler;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// New tokens, unless another number is asked for.
const DEFAULT_TOKENS: usize = 64;

/// What only language models have.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Language models")]
pub struct LanguageArguments {
    /// The text to continue; may be empty. Given twice, both are continued at once: a run of the machine takes in a token of each
    #[arg(long, value_name = "TEXT")]
    prompt: Vec<String>,
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
    /// What went over the link; only on a board.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkReport>,
    /// The first token that the model in floating point would not have chosen as the most likely one. None where there is none, or
    /// where a temperature chose.
    first_divergence: Option<Divergence>,
    /// Wall-clock time of the whole command.
    wall_seconds: f64,
}

impl LanguageArguments {
    /// Whether any of them is given.
    pub fn is_empty(&self) -> bool {
        let Self { prompt, tokens, temperature, seed, context, options } = self;
        let ModelArguments { tokenizer, weights } = options;
        prompt.is_empty()
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
/// A model or tokenizer that cannot be used or does not fit the machine, a prompt longer than the context, a board that does not answer.
pub fn run(
    path: &Path,
    on: Backend,
    machine: &OptionalMachine,
    port: &PortArguments,
    arguments: &LanguageArguments,
    json: bool,
) -> Result<Verdict, Failure> {
    let start = Instant::now();
    let Some(prompt) = arguments.prompt.first() else {
        return Err(Failure::new(
            "the language model has nothing to continue",
            path.display(),
            "a language model takes a text, and none is given",
            "add `--prompt TEXT`; the text may be empty",
        ));
    };
    let machine = machine.resolve()?;
    // The golden model has no machine.
    let machine = if on == Backend::Golden { machine } else { settle(machine, path) };
    if on == Backend::Board {
        port.check(&machine)?;
    }
    let format = arguments.options.weights.format()?;
    let model = read(path)?;
    let tokenizer = arguments.options.tokenizer(path, &model)?;
    let generation = Generation {
        wanted: arguments.tokens.unwrap_or(DEFAULT_TOKENS),
        asked_context: arguments.context,
        temperature: arguments.temperature.unwrap_or(0.0),
        seed: arguments.seed.unwrap_or(0),
    };
    if arguments.prompt.len() > 1 {
        let place = run_sequences::Place { path, machine: &machine, on, port };
        return run_sequences::run(&model, format, &tokenizer, &place, &arguments.prompt, &generation, (json, start));
    }
    let Generation { wanted, temperature, seed, .. } = generation;
    let mut tokens = encode(&tokenizer, prompt, model.shape.context)?;
    let prompt_tokens = tokens.len();
    let context = generation.context(model.shape.context, prompt_tokens)?;
    let graph = quantised(&model, format, path)?;
    let mut sampler = generation.sampler(&graph)?;
    let program = match on {
        Backend::Golden => None,
        _ => Some(compile_to_run(&graph, &machine, context, Runs::default(), path)?),
    };
    // A simulated board takes a while to build: not for what is refused.
    let port = if on == Backend::Board { Some(port.open(&machine)?) } else { None };

    let mut stream = tokenizer.stream();
    let mut show = |token: u32| {
        let text = stream.next_token(token);
        if json || text.is_empty() { Ok(()) } else { print(&visible(&text)) }
    };
    tokens.iter().try_for_each(|&token| show(token))?;
    let mut witnessed = match &program {
        Some(program) => Some(Witnessed::new(open(program, on, &machine, port)?, &graph, program)?),
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
        let lengths = (prompt_tokens, new);
        let report = MachineReport::new(&graph, program, &machine, witnessed, lengths);
        (report, cycles_per_token(witnessed, lengths))
    });
    let tokens_per_second = measured.as_ref().and_then(|(report, cycles)| report.tokens_per_second(cycles));
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
        tokens_per_second,
        cycles_per_token: cycles,
        machine: machine_report,
        link: witnessed.as_mut().and_then(Witnessed::link),
        first_divergence,
        wall_seconds: start.elapsed().as_secs_f64(),
    };
    if json {
        print_json(&report)?;
    } else {
        print(&(visible(&rest) + "\n"))?;
        remark(&describe(&report, room, &tokenizer, &machine));
    }
    let broken = witnessed.map_or_else(Vec::new, |witnessed| broken_promises(&witnessed, &tokenizer));
    broken.iter().for_each(|promise| remark(promise));
    Ok(if broken.is_empty() { Verdict::Success } else { Verdict::Disagreement })
}

/// How texts are continued.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// New tokens of each.
    pub wanted: usize,
    /// Positions to make room for, where somebody says so.
    pub asked_context: Option<u32>,
    /// 0 for the most likely tokens.
    pub temperature: f64,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Generation {
    /// What chooses tokens.
    ///
    /// # Errors
    /// A temperature that is none.
    pub fn sampler(&self, graph: &QuantisedLlama) -> Result<Sampler, Failure> {
        Sampler::new(graph, self.temperature, self.seed).map_err(|error| {
            Failure::new("the temperature cannot be used", "--temperature", error, "give one in that range")
        })
    }

    /// Positions to make room for: those asked for, or as many as a prompt of `prompt` tokens and the new ones take. The last token is not
    /// taken in again. `model` is the model's context.
    ///
    /// # Errors
    /// More than the model has, or fewer than the prompt needs.
    pub fn context(&self, model: usize, prompt: usize) -> Result<usize, Failure> {
        let Some(asked) = self.asked_context else {
            return Ok(prompt.saturating_add(self.wanted.max(1) - 1).clamp(1, model));
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
}

/// The machine of the backend asked for, with `program` loaded.
///
/// # Errors
/// Tools that are missing, a board that does not answer.
pub fn open<'a>(
    program: &'a Program,
    on: Backend,
    machine: &'a Machine,
    port: Option<Opened>,
) -> Result<Box<dyn speaker::Machine + 'a>, Failure> {
    Ok(match (on, port) {
        (_, Some(port)) => Box::new(Board::new(program, machine, port)?),
        (Backend::Rtl, _) => Box::new(Rtl::new(program)?),
        _ => Box::new(CycleModel::new(program)?),
    })
}

/// What it ran on, in words.
pub fn on_what(backend: Backend) -> &'static str {
    match backend {
        Backend::Golden => "golden model",
        Backend::Model => "cycle model",
        Backend::Rtl => "RTL",
        Backend::Board => "board",
    }
}

fn describe(report: &Report, context: usize, tokenizer: &Tokenizer, machine: &Machine) -> String {
    let new = report.tokens.len() - report.prompt_tokens;
    let why = match report.ending {
        Ending::Length => String::new(),
        Ending::End => ", then the model ended the text".into(),
        Ending::Context => format!(", then the context of {context} tokens was full"),
    };
    let time = duration(report.wall_seconds);
    let on = on_what(report.backend);
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
        text += &measured.describe(report.cycles_per_token.as_deref().unwrap_or_default(), machine);
    }
    if let Some(link) = &report.link {
        text.push_str(&format!("\nlink  {}", link.describe()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_needed_is_that_of_all_tokens_but_the_last() {
        let context = |asked_context, model, prompt, wanted| {
            Generation { wanted, asked_context, temperature: 0.0, seed: 0 }.context(model, prompt)
        };
        assert_eq!(context(None, 100, 5, 10).ok(), Some(14));
        assert_eq!(context(None, 10, 5, 10).ok(), Some(10));
        assert_eq!(context(None, 10, 5, 0).ok(), Some(5));
        assert_eq!(context(None, 10, 5, usize::MAX).ok(), Some(10));
        assert_eq!(context(Some(7), 10, 5, 10).ok(), Some(7));
        assert!(context(Some(11), 10, 5, 1).is_err() && context(Some(4), 10, 5, 1).is_err());
    }
}
