//! Language models as commands use them: read, quantised, executed, compared with floating point.

use crate::failure::Failure;
use crate::progress::Progress;
use crate::speaker::Speaker;
use clap::ValueEnum;
use lpu_compiler::import::llama::{LlamaError, read_model};
use lpu_compiler::llama::float::{FloatSession, arg_max};
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::LlamaModel;
use lpu_compiler::llama::quantise::quantise;
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::tokenizer::Tokenizer;
use lpu_sim::golden_llama::GoldenLlamaError;
use lpu_sim::golden_llama::sampling::Sampler;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Columns that share a scale where weights have four bits, unless another number is given.
pub const DEFAULT_GROUP: usize = 32;

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// Eight bits, a scale for each row
    #[default]
    Int8,
    /// Four bits, a scale for each group of columns
    Int4,
}

/// How a language model is read and quantised.
#[derive(Debug, clap::Args)]
pub struct ModelArguments {
    /// The tokenizer: tokenizer.json, or a file of llama2.c [default: tokenizer.json in the model's directory, tok*.bin beside
    /// the checkpoint]
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub weights: WeightArguments,
}

/// How the weights of a language model are stored.
#[derive(Debug, clap::Args)]
pub struct WeightArguments {
    /// Bits of a weight [default: int8]
    #[arg(long, value_enum)]
    pub weights: Option<Weights>,
    /// Columns of a row that share a scale, with `--weights int4` [default: 32]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..), requires = "weights")]
    pub group: Option<u16>,
}

impl WeightArguments {
    /// Whether any of them is given.
    pub fn is_empty(&self) -> bool {
        self.weights.is_none() && self.group.is_none()
    }

    /// The format of the weights.
    ///
    /// # Errors
    /// A group for weights that have none.
    pub fn format(&self) -> Result<WeightFormat, Failure> {
        match (self.weights.unwrap_or_default(), self.group) {
            (Weights::Int8, None) => Ok(WeightFormat::Int8),
            (Weights::Int8, Some(group)) => Err(Failure::new(
                "the options contradict each other",
                format!("--group {group}"),
                "weights of eight bits have one scale for each row",
                "add `--weights int4`, or leave out `--group`",
            )),
            (Weights::Int4, group) => Ok(WeightFormat::Int4 { group: group.map_or(DEFAULT_GROUP, usize::from) }),
        }
    }
}

impl ModelArguments {
    /// The tokenizer of the model at `path`.
    ///
    /// # Errors
    /// There is none, several could be meant, or it belongs to another model.
    pub fn tokenizer(&self, path: &Path, model: &LlamaModel) -> Result<Tokenizer, Failure> {
        let read = || match &self.tokenizer {
            Some(file) => Tokenizer::read(file, model),
            None => Tokenizer::read(&Tokenizer::beside(path, model)?, model),
        };
        read().map_err(|error| explain("the tokenizer cannot be used", path, &error))
    }
}

/// The model in the file or directory at `path`.
///
/// # Errors
/// It cannot be read, or is no language model that can be used.
pub fn read(path: &Path) -> Result<LlamaModel, Failure> {
    read_model(path).map_err(|error| explain("the language model cannot be used", path, &error))
}

/// The model in integers.
///
/// # Errors
/// Weights or sizes that integers do not hold.
pub fn quantised(model: &LlamaModel, format: WeightFormat, path: &Path) -> Result<QuantisedLlama, Failure> {
    let _progress = Progress::spinner("calibrating and quantising");
    quantise(model, format).map_err(|error| {
        let beyond = "the weights or sizes are beyond what 32-bit accumulators hold";
        let help = format!("{beyond}{}; check that the model is trained and whole", strange_tensors(model));
        Failure::new("the language model cannot be quantised", path.display(), error, help)
    })
}

/// Tensors whose weights a trained model has not, as the continuation of a sentence: the first three.
fn strange_tensors(model: &LlamaModel) -> String {
    let strange = model.tensors().filter_map(|(name, weights, _)| {
        let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        let exponent = largest.log2().abs();
        (largest == 0.0 || exponent > 16.0).then(|| match largest {
            0.0 => format!("`{name}` is all zeros"),
            largest => format!("the largest of `{name}` is {largest:e}"),
        })
    });
    strange.take(3).map(|tensor| format!("; {tensor}")).collect()
}

/// Tokens of `prompt`, which leave room for one more in the context.
///
/// # Errors
/// A character that the tokenizer cannot express, or a prompt longer than the context.
pub fn encode(tokenizer: &Tokenizer, prompt: &str, context: usize) -> Result<Vec<u32>, Failure> {
    let failed = |why: String, help: &str| Failure::new("the prompt cannot be used", "--prompt", why, help);
    let too_long = |count: String| {
        failed(
            format!("the prompt has {count} tokens, the context of this model {context}"),
            "shorten the prompt, or give a model with a longer context",
        )
    };
    // Much too long: told before the tokenizer works through it.
    let least = tokenizer.least_tokens(prompt);
    if least > context {
        return Err(too_long(format!("more than {least}")));
    }
    let tokens = tokenizer
        .encode(prompt)
        .map_err(|error| failed(error.to_string(), "leave the character out, or give the model's own tokenizer"))?;
    if tokens.len() > context { Err(too_long(tokens.len().to_string())) } else { Ok(tokens) }
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// As many tokens as asked for.
    Length,
    /// The model said so.
    End,
    /// The context is full.
    Context,
}

/// Adds up to `count` tokens to `tokens`, the prompt, which `speaker` has not taken yet and which has room for `context` of them;
/// `next` sees each as it comes. A token that ends a sequence is not added.
///
/// # Errors
/// What `next` or the speaker say.
pub fn generate(
    speaker: &mut dyn Speaker,
    graph: &QuantisedLlama,
    sampler: &mut Sampler,
    tokens: &mut Vec<u32>,
    (count, context): (usize, usize),
    mut next: impl FnMut(u32) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let taken = take_in(speaker, tokens)?;
    if sampler.is_greedy()
        && count > 0
        && !tokens.is_empty()
        && let Some(ending) = generate_alone(speaker, graph, (tokens, taken), (count, context), &mut next)?
    {
        return Ok(ending);
    }
    let mut answer = None;
    for &token in &tokens[taken..] {
        answer = Some(speaker.step(token)?);
    }
    for left in (0..count).rev() {
        let Some(last) = &answer else { return Ok(Ending::Length) };
        let token = sampler.next_token(graph, last);
        if graph.end.contains(&token) {
            return Ok(Ending::End);
        }
        tokens.push(token);
        next(token)?;
        if left == 0 {
            break;
        }
        if tokens.len() > context {
            return Ok(Ending::Context);
        }
        answer = Some(speaker.step(token)?);
    }
    Ok(Ending::Length)
}

/// Takes in as much of a prompt as goes several tokens at once, and says how many tokens that were. Of all but the last, nobody asks what
/// comes behind them.
fn take_in(speaker: &mut dyn Speaker, prompt: &[u32]) -> Result<usize, Failure> {
    let mut position = 0;
    loop {
        match speaker.take_in(&prompt[position..prompt.len().saturating_sub(1).max(position)])? {
            0 => return Ok(position),
            taken => position += taken,
        }
    }
}

/// The same where the speaker goes on by itself, behind the first `taken` tokens, which it has taken in; none where it does not.
fn generate_alone(
    speaker: &mut dyn Speaker,
    graph: &QuantisedLlama,
    (tokens, taken): (&mut Vec<u32>, usize),
    (count, context): (usize, usize),
    next: &mut dyn FnMut(u32) -> Result<(), Failure>,
) -> Result<Option<Ending>, Failure> {
    // The last token is not taken in.
    let wanted = tokens.len().saturating_add(count - 1);
    let runs = wanted.min(context);
    let prompt = tokens[taken..].to_vec();
    let mut ending = if runs < wanted { Ending::Context } else { Ending::Length };
    let alone = speaker.generate(&prompt, runs - taken, &mut |token| {
        if graph.end.contains(&token) {
            ending = Ending::End;
            return Ok(false);
        }
        tokens.push(token);
        next(token).map(|()| true)
    })?;
    Ok(alone.then_some(ending))
}

/// Where the floating-point model, asked for its most likely token, would have said another one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Divergence {
    /// Position in the sequence, the prompt included, from 0.
    pub position: usize,
    /// What the integers said there.
    pub token: u32,
    /// What floating point says.
    pub float_token: u32,
    /// How much larger its logit is there, in nats.
    pub float_margin: f64,
}

/// The first of `tokens` behind the first `prompt` ones that the floating-point model would not have chosen after the same
/// beginning. `ended`: the sequence ends here because an end token was chosen, so another one counts too.
pub fn first_divergence(model: &LlamaModel, tokens: &[u32], prompt: usize, ending: Ending) -> Option<Divergence> {
    let mut session = FloatSession::new(model);
    for (index, &token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).copied();
        if next.is_none() && ending != Ending::End {
            return None;
        }
        let logits = session.step(token);
        if index + 1 < prompt {
            continue;
        }
        let float_token = arg_max(&logits);
        let agrees = next.map_or_else(|| model.end.contains(&float_token), |next| next == float_token);
        if !agrees {
            let chosen = next.or_else(|| model.end.first().copied()).unwrap_or_default();
            let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f64::NEG_INFINITY);
            let float_margin = logit(float_token) - logit(chosen);
            return Some(Divergence { position: index + 1, token: chosen, float_token, float_margin });
        }
    }
    None
}

/// The golden model refuses.
pub fn failed(error: GoldenLlamaError) -> Failure {
    let help = match &error {
        GoldenLlamaError::Graph(_) => "report this as a bug of the quantiser, with the model",
        GoldenLlamaError::Token { .. } => "give tokens made with this model's tokenizer",
        GoldenLlamaError::ContextFull { .. } => "ask for fewer tokens",
    };
    Failure::new("the golden model cannot go on", "the language model", error, help)
}

fn explain(what: &str, path: &Path, error: &LlamaError) -> Failure {
    match error {
        LlamaError::Unreadable { path, source } => Failure::new(what, path.display(), source, error.help()),
        other => Failure::new(what, path.display(), other, other.help()),
    }
}
