//! `lpu eval`: how much a language model loses by becoming integers.

use crate::failure::{Failure, Verdict};
use crate::language::{
    Divergence, ModelArguments, Weights, encode, failed, first_divergence, generate, quantised, read,
};
use crate::output::{count, duration, pairs, print, print_json};
use crate::progress::Progress;
use crate::speaker::Golden;
use crate::token_file;
use lpu_compiler::import::llama::is_language_model;
use lpu_compiler::llama::float::{FloatSession, negative_log_likelihood};
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::llama::model::LlamaModel;
use lpu_sim::golden_llama::GoldenLlama;
use lpu_sim::golden_llama::sampling::Sampler;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Tokens of a prompt's continuation that are compared.
const COMPARED: usize = 256;

/// Compare a language model in integers with the same model in floating point: perplexity on given tokens, and where the most
/// likely continuations part
///
/// The integers are those of the golden model, and so of the machine. Perplexity is exp of the mean over all tokens but the first
/// of each sequence of -ln p(token | tokens before it).
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The model: a checkpoint of llama2.c (.bin), or a directory with config.json and model.safetensors
    model: PathBuf,
    /// The text as tokens: a .npy array of integers, one sequence a row, each with its begin token
    #[arg(long, value_name = "X.npy")]
    tokens_file: PathBuf,
    #[command(flatten)]
    options: ModelArguments,
    /// Continue this text with both, 256 tokens at most; may be given several times [default: only the begin token]
    #[arg(long, value_name = "TEXT")]
    prompt: Vec<String>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. The names are a contract.
#[derive(Debug, Serialize)]
struct Report {
    /// Name of the model.
    model: String,
    /// Format of the weights.
    weights: Weights,
    /// Columns that share a scale; none where a row does.
    group: Option<usize>,
    /// Bytes of all weights on the machine, scales apart.
    weight_bytes: usize,
    /// Sequences.
    sequences: usize,
    /// Tokens whose probability was looked at.
    tokens: usize,
    /// Of the integers.
    perplexity: f64,
    /// Of floating point.
    float_perplexity: f64,
    /// The first over the second.
    ratio: f64,
    /// Mean of -ln p, of the integers.
    mean_negative_log_likelihood: f64,
    /// Mean of -ln p, of floating point.
    float_mean_negative_log_likelihood: f64,
    /// Most likely continuations.
    greedy: Vec<Continuation>,
    /// Wall-clock time of the whole command.
    wall_seconds: f64,
}

/// A most likely continuation, by integers and by floating point.
#[derive(Debug, Serialize)]
struct Continuation {
    prompt: String,
    /// Tokens of prompt and continuation.
    tokens: usize,
    /// The first token that floating point would not have chosen; none where there is none.
    first_divergence: Option<Divergence>,
}

/// Evaluates.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let start = Instant::now();
    let path = &arguments.model;
    if path.is_file() && !is_language_model(path) {
        return Err(Failure::new(
            "the language model cannot be used",
            path.display(),
            "this is no language model in a known format",
            "give a llama2.c checkpoint or a directory with config.json; `lpu run` runs networks of other kinds",
        ));
    }
    let format = arguments.options.weights.format()?;
    let model = read(path)?;
    let shape = &model.shape;
    let sequences = token_file::read(&arguments.tokens_file, shape.vocabulary, shape.context)?;
    let mut prompts = vec![(String::new(), vec![model.begin])];
    if !arguments.prompt.is_empty() {
        let tokenizer = arguments.options.tokenizer(path, &model)?;
        let encode = |prompt: &String| Ok((prompt.clone(), encode(&tokenizer, prompt, shape.context)?));
        prompts = arguments.prompt.iter().map(encode).collect::<Result<_, Failure>>()?;
    } else if arguments.options.tokenizer.is_some() {
        // Asked for by name, so it is looked at.
        arguments.options.tokenizer(path, &model)?;
    }
    let graph = quantised(&model, format, path)?;
    let (integers, float) = likelihoods(&graph, &model, &sequences)?;
    let greedy = prompts.into_iter().map(|(prompt, tokens)| continuation(&graph, &model, prompt, tokens));
    let report = Report {
        model: model.name.clone(),
        weights: arguments.options.weights.weights.unwrap_or_default(),
        group: (graph.embedding.group < graph.embedding.columns).then_some(graph.embedding.group),
        weight_bytes: graph.weight_bytes(format.bits()),
        sequences: sequences.len(),
        tokens: sequences.iter().map(|sequence| sequence.len() - 1).sum(),
        perplexity: integers.exp(),
        float_perplexity: float.exp(),
        ratio: (integers - float).exp(),
        mean_negative_log_likelihood: integers,
        float_mean_negative_log_likelihood: float,
        greedy: greedy.collect::<Result<_, _>>()?,
        wall_seconds: start.elapsed().as_secs_f64(),
    };
    if arguments.json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Verdict::Success)
}

/// Mean -ln p of every token but the first of each sequence: of the integers, of floating point.
fn likelihoods(graph: &QuantisedLlama, model: &LlamaModel, sequences: &[Vec<u32>]) -> Result<(f64, f64), Failure> {
    let progress = Progress::bar(sequences.len() as u64, "sequences");
    let mut golden = GoldenLlama::new(graph).map_err(failed)?;
    let (mut integers, mut float, mut tokens) = (0.0, 0.0, 0_usize);
    for sequence in sequences {
        golden.restart();
        let mut session = FloatSession::new(model);
        for pair in sequence.windows(2) {
            let logits = golden.step(pair[0]).map_err(failed)?.logits();
            let logits: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) * graph.classifier.unit).collect();
            integers += negative_log_likelihood(&logits, pair[1]);
            float += negative_log_likelihood(&session.step(pair[0]), pair[1]);
            tokens += 1;
        }
        progress.step();
    }
    Ok((integers / tokens.max(1) as f64, float / tokens.max(1) as f64))
}

fn continuation(
    graph: &QuantisedLlama,
    model: &LlamaModel,
    prompt: String,
    mut tokens: Vec<u32>,
) -> Result<Continuation, Failure> {
    let length = tokens.len();
    let mut sampler = Sampler::new(graph, 0.0, 0)
        .map_err(|error| Failure::new("the golden model cannot go on", "the sampler", error, "report this as a bug"))?;
    let count = COMPARED.min(graph.shape.context + 1 - length.min(graph.shape.context));
    let mut golden = Golden::new(graph)?;
    let room = (count, graph.shape.context);
    let ending = generate(&mut golden, graph, &mut sampler, &mut tokens, room, |_| Ok(()))?;
    let first_divergence = first_divergence(model, &tokens, length, ending);
    Ok(Continuation { prompt, tokens: tokens.len(), first_divergence })
}

fn describe(report: &Report) -> String {
    let group = report.group.map_or(String::new(), |group| format!(", a scale for {group} columns"));
    let weights = match report.weights {
        Weights::Int8 => "int8",
        Weights::Int4 => "int4",
    };
    let text = format!("{} tokens in {} sequences", count(report.tokens as u64), count(report.sequences as u64));
    let mut lines = vec![
        ("model", report.model.clone()),
        ("weights", format!("{weights}{group}, {} bytes", count(report.weight_bytes as u64))),
        ("text", text),
        ("perplexity", format!("{:.5}", report.perplexity)),
        ("in floating point", format!("{:.5}", report.float_perplexity)),
        ("ratio", format!("{:.5}", report.ratio)),
    ];
    for greedy in &report.greedy {
        let text = match &greedy.first_divergence {
            None => format!("{:?}: all {} tokens are those of floating point", greedy.prompt, greedy.tokens),
            Some(Divergence { position, token, float_token, float_margin }) => format!(
                "{:?}: token {position} is {token} instead of {float_token}, which floating point likes better by \
                 {float_margin:.4} nats",
                greedy.prompt
            ),
        };
        lines.push(("most likely", text));
    }
    lines.push(("time", duration(report.wall_seconds)));
    pairs(&lines)
}
