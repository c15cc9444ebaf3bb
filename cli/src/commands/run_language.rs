//! `lpu run` for language models: a prompt in, text out as it is produced.

use crate::failure::{Failure, Verdict};
use crate::language::{Divergence, Ending, ModelArguments, encode, first_divergence, generate, quantised, read};
use crate::output::{count, duration, print, print_json, remark};
use crate::witnesses::Backend;
use lpu_compiler::tokenizer::Tokenizer;
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
    /// Cycles of one token on the machine. None on golden.
    cycles_per_token: Option<u64>,
    /// Tokens a second on the machine. None on golden.
    tokens_per_second: Option<f64>,
    /// The first token that the model in floating point would not have chosen as the most likely one. None where there is none, or
    /// where a temperature chose.
    first_divergence: Option<Divergence>,
    /// Wall-clock time of the whole command.
    wall_seconds: f64,
}

impl LanguageArguments {
    /// Whether any of them is given.
    pub fn is_empty(&self) -> bool {
        let Self { prompt, tokens, temperature, seed, options } = self;
        let ModelArguments { tokenizer, weights, group } = options;
        prompt.is_none()
            && tokens.is_none()
            && temperature.is_none()
            && seed.is_none()
            && tokenizer.is_none()
            && weights.is_none()
            && group.is_none()
    }
}

/// Runs the model at `path`.
///
/// # Errors
/// Anything but golden, a model or tokenizer that cannot be used, a prompt longer than the context.
pub fn run(path: &Path, on: Backend, arguments: &LanguageArguments, json: bool) -> Result<Verdict, Failure> {
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
    let format = arguments.options.format()?;
    let model = read(path)?;
    let tokenizer = arguments.options.tokenizer(path, &model)?;
    let mut tokens = encode(&tokenizer, prompt, model.shape.context)?;
    let prompt_tokens = tokens.len();
    let graph = quantised(&model, format, path)?;
    let (temperature, seed) = (arguments.temperature.unwrap_or(0.0), arguments.seed.unwrap_or(0));
    let mut sampler = Sampler::new(&graph, temperature, seed).map_err(|error| {
        Failure::new("the temperature cannot be used", "--temperature", error, "give one in that range")
    })?;

    let mut stream = tokenizer.stream();
    let mut show = |token: u32| {
        let text = stream.next_token(token);
        if json || text.is_empty() { Ok(()) } else { print(&visible(&text)) }
    };
    tokens.iter().try_for_each(|&token| show(token))?;
    let wanted = arguments.tokens.unwrap_or(DEFAULT_TOKENS);
    let ending = generate(&graph, &mut sampler, &mut tokens, wanted, show)?;
    let rest = stream.finish();
    let first_divergence =
        if temperature == 0.0 { first_divergence(&model, &tokens, prompt_tokens, ending) } else { None };
    let report = Report {
        model: model.name.clone(),
        backend: on,
        prompt_tokens,
        text: tokenizer.decode(&tokens),
        tokens,
        ending,
        temperature,
        seed,
        cycles_per_token: None,
        tokens_per_second: None,
        first_divergence,
        wall_seconds: start.elapsed().as_secs_f64(),
    };
    if json {
        print_json(&report)?;
    } else {
        print(&(visible(&rest) + "\n"))?;
        remark(&describe(&report, graph.shape.context, &tokenizer));
    }
    Ok(Verdict::Success)
}

/// Only golden executes language models so far, and whoever asks for more is told so.
fn check_backend(path: &Path, on: Backend) -> Result<(), Failure> {
    let place = match on {
        Backend::Golden => return Ok(()),
        Backend::Model => "--on model",
        Backend::Rtl => "--on rtl",
        Backend::Board => "--on board",
    };
    let why = "language models are not compiled into schedules yet: there is no program for the machine, so no cycle could be counted";
    let help = "run it with `--on golden`: the integer arithmetic that the machine will have to reproduce";
    let what = format!("the language model {} cannot run there", path.display());
    Err(Failure::new(what, place, why, help))
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

fn describe(report: &Report, context: usize, tokenizer: &Tokenizer) -> String {
    let new = report.tokens.len() - report.prompt_tokens;
    let why = match report.ending {
        Ending::Length => String::new(),
        Ending::End => ", then the model ended the text".into(),
        Ending::Context => format!(", then the context of {context} tokens was full"),
    };
    let time = duration(report.wall_seconds);
    let mut text = format!(
        "\n{} tokens of prompt, {} new{why}; golden model, {time}",
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
    text
}
