//! `lpu demo`: a story from the RTL, then from the cycle model, both compared with the golden model.

use crate::failure::{Failure, Verdict};
use crate::language::{Ending, encode, generate, quantised};
use crate::language_program::compile_to_run;
use crate::language_report::{MachineReport, broken_promises, cycles_per_token, visible};
use crate::machine::{self, Machine};
use crate::output::{count, duration, pairs, print, rate, remark};
use crate::speaker::{CycleModel, Rtl, TokenRun, Witnessed};
use crate::story::{self, PROMPT, Story};
use crate::witnesses::{build_rtl, rtl_options};
use lpu_compiler::llama::model::{LlamaModel, Shape};
use lpu_compiler::llama::weights::WeightFormat;
use lpu_compiler::lower::llama::Runs;
use lpu_isa::program::Program;
use lpu_sim::golden_llama::sampling::Sampler;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Characters of a line of the story.
const LINE: usize = 78;

/// What the story is told of and on.
#[derive(Debug, clap::Args)]
pub struct StoryArguments {
    /// How the story begins
    #[arg(long, value_name = "TEXT", default_value = PROMPT)]
    prompt: String,
    /// How many tokens to add; fewer where the story ends
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    tokens: u16,
    /// 0: always the most likely token, chosen by the machine; 1: as likely as the model says, drawn by the host
    #[arg(long, value_name = "T", default_value_t = 0.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Where the random numbers start
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Another machine than the one that the model was made for: a TOML file with a section `extensions`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Tells the story.
pub fn run(arguments: &StoryArguments) -> Result<Verdict, Failure> {
    let Story { model, tokenizer } = story::load()?;
    let machine = match &arguments.config {
        None => story::machine()?,
        file => machine::resolve(None, file.as_deref())?,
    };
    let prompt = encode(&tokenizer, &arguments.prompt, model.shape.context)?;
    let wanted = usize::from(arguments.tokens);
    // The last token is not taken in again.
    let context = (prompt.len() + wanted - 1).min(model.shape.context);
    let path = Path::new(story::NAME);
    let graph = quantised(&model, WeightFormat::Int8, path)?;
    let sampler = || {
        Sampler::new(&graph, arguments.temperature, arguments.seed).map_err(|error| {
            Failure::new("the temperature cannot be used", "--temperature", error, "give one in that range")
        })
    };
    let mut drawn = sampler()?;
    let program = compile_to_run(&graph, &machine, context, Runs::default(), path)?;
    print(&introduction(&model, &machine, &program, context))?;

    let start = Instant::now();
    let options = rtl_options(None)?;
    let library = build_rtl(&program.configuration, &options)?;
    let built = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let rtl = Rtl::with_library(&program, &library, &options)?;
    let mut rtl = Witnessed::new(Box::new(rtl), &graph, &program)?.token_by_token();
    let (mut tokens, mut text, mut lines) = (prompt.clone(), tokenizer.stream(), Lines::default());
    let mut show = |token: u32| print(&lines.add(&visible(&text.next_token(token))));
    prompt.iter().try_for_each(|&token| show(token))?;
    let room = (wanted, model.shape.context);
    let ending = generate(&mut rtl, &graph, &mut drawn, &mut tokens, room, show)?;
    let rest = lines.add(&visible(&text.finish()));
    print(&(rest + &lines.finish(ending) + "\n\n"))?;
    let told = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let mut model = Witnessed::new(Box::new(CycleModel::new(&program)?), &graph, &program)?.token_by_token();
    let mut same = prompt.clone();
    generate(&mut model, &graph, &mut sampler()?, &mut same, room, |_| Ok(()))?;
    let modelled = start.elapsed().as_secs_f64();

    let lengths = (prompt.len(), tokens.len() - prompt.len());
    let report = MachineReport::new(&graph, &program, &machine, &rtl, lengths);
    let mut figures = report.lines(&cycles_per_token(&rtl, lengths), &machine);
    // Machine and context stand above the story, results below; a speed needs a clock.
    figures.retain(|(name, _)| match *name {
        "machine" | "context" | "results" => false,
        "speed" => machine.clock_mhz().is_some(),
        _ => true,
    });
    figures.push(("told in", told_in(lengths.1, (rtl.runs(), told), (model.runs(), modelled))));
    figures.push(("RTL ready in", format!("{} (built once, then taken from the cache)", duration(built))));
    print(&pairs(&figures))?;

    let mut broken = broken_promises(&rtl, &tokenizer);
    broken.extend(broken_promises(&model, &tokenizer).iter().map(|promise| format!("cycle model, {promise}")));
    if (&tokens, rtl.runs()) != (&same, model.runs()) {
        broken.push("RTL and cycle model do not tell the same story in the same cycles".into());
    }
    if broken.is_empty() {
        let results = count(rtl.results());
        let runs = count(rtl.runs().len() as u64);
        return print(&format!(
            "\nRTL = cycle model = golden\n  compared: {results} results of the classifier and {runs} choices, and the cycles of each\n"
        ))
        .map(|()| Verdict::Success);
    }
    broken.iter().for_each(|promise| remark(promise));
    Ok(Verdict::Disagreement)
}

fn introduction(model: &LlamaModel, machine: &Machine, program: &Program, context: usize) -> String {
    let Shape { dim, layers, heads, kv_heads, vocabulary, .. } = model.shape;
    let parameters = model.tensors().map(|(_, weights, _)| weights.len()).sum::<usize>() as u64;
    let instructions: usize = program.queues.iter().map(|queue| queue.instructions.len()).sum();
    let mut text = pairs(&[
        (
            "model",
            format!(
                "{}, {} parameters: {layers} layers of {dim}, {heads} heads on {kv_heads}, {vocabulary} tokens",
                model.name,
                count(parameters)
            ),
        ),
        ("machine", machine.describe()),
        (
            "program",
            format!(
                "{} instructions in {} queues, room for {context} tokens",
                count(instructions as u64),
                program.queues.len()
            ),
        ),
    ]);
    text.push('\n');
    text
}

fn told_in(new: usize, rtl: (&[TokenRun], f64), model: (&[TokenRun], f64)) -> String {
    let speed = |(runs, seconds): (&[TokenRun], f64)| {
        rate(runs.iter().map(|run| run.cycles).sum::<u64>() as f64 / seconds.max(1e-9))
    };
    let (tokens, seconds) = (count(new as u64), duration(rtl.1));
    format!("{seconds} for {tokens} tokens: RTL {}, cycle model {}", speed(rtl), speed(model))
}

/// Text that arrives in pieces, in lines of whole words.
#[derive(Debug, Default)]
struct Lines {
    /// Characters of the line so far.
    column: usize,
    /// The word that has begun, without the space before it.
    word: String,
    /// Whether a space stands before it.
    spaced: bool,
}

impl Lines {
    /// What can be shown now.
    fn add(&mut self, text: &str) -> String {
        let mut out = String::new();
        for character in text.chars() {
            match character {
                ' ' => {
                    out += &self.end_word();
                    self.spaced = true;
                }
                '\n' => {
                    out += &self.end_word();
                    out.push('\n');
                    (self.column, self.spaced) = (0, false);
                }
                other => self.word.push(other),
            }
        }
        out
    }

    fn end_word(&mut self) -> String {
        if self.word.is_empty() {
            return String::new();
        }
        let length = self.word.chars().count();
        let space = usize::from(self.spaced && self.column > 0);
        let front = if self.column + space + length > LINE && self.column > 0 {
            self.column = length;
            "\n"
        } else {
            self.column += space + length;
            if space == 1 { " " } else { "" }
        };
        self.spaced = false;
        front.to_string() + &std::mem::take(&mut self.word)
    }

    /// The last word, and dots where more would have come.
    fn finish(&mut self, ending: Ending) -> String {
        if ending != Ending::End {
            self.word.push('…');
        }
        self.end_word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_come_in_pieces_stay_whole_and_lines_short() {
        let mut lines = Lines::default();
        let text = "One day, a girl named Lily went to the park to play with her ball and saw a big dog.\n She ran.";
        let pieces: Vec<String> = text.chars().map(String::from).collect();
        let mut shown: String = pieces.iter().map(|piece| lines.add(piece)).collect();
        shown += &lines.finish(Ending::Length);
        assert_eq!(
            shown,
            "One day, a girl named Lily went to the park to play with her ball and saw a\nbig dog.\nShe ran.…"
        );
        assert_eq!(Lines::default().finish(Ending::End), "");
    }
}
