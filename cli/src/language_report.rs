//! What a language model's tokens took on a machine, for people and for `--json`.

use crate::machine::Machine;
use crate::output::{count, pairs, percent};
use crate::speaker::{Difference, Differing, TokenRun, Witnessed};
use lpu_compiler::llama::graph::QuantisedLlama;
use lpu_compiler::occupation::{CyclesSpent, Occupation};
use lpu_compiler::tokenizer::Tokenizer;
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::latency::between_runs;
use lpu_isa::program::Program;
use lpu_isa::timeline::entry_points;
use serde::Serialize;

/// Characters of the bar that shows where the cycles went.
const BAR: u64 = 60;

/// What only a machine has. The names are part of the contract of `lpu run --json`.
#[derive(Debug, Serialize)]
pub struct MachineReport {
    /// Name of the board or configuration.
    board: String,
    /// Positions that the program has room for.
    context: usize,
    /// The machine's clock; none for a bare configuration without one.
    clock_mhz: Option<f64>,
    /// Cycles of all runs that took in the prompt; the last of them made the first new token.
    prompt_cycles: u64,
    /// What of the prompt was taken in several tokens at once. None where nothing was.
    prefill: Option<PrefillReport>,
    /// Did every run take the cycles that the compiler promised?
    cycles_as_predicted: bool,
    /// Are all results of the classifier and all choices, token by token, the golden model's? Where the machine goes on by itself, it
    /// shows the results of the last run, and all choices.
    outputs_equal_golden: bool,
    /// Idle cycles between two tokens where the machine goes from one to the next by itself; none where the host is in between.
    cycles_between_tokens: Option<u32>,
    /// Multipliers of the machine.
    multipliers: u32,
    /// Useful multiplications of the new tokens ÷ (what the machine can do in a cycle × their cycles).
    mac_utilization: Option<f64>,
    /// Where the cycles of the new tokens went.
    cycles_spent: CyclesSpent,
}

/// The tokens of a prompt that were taken in several at once.
#[derive(Debug, Serialize)]
pub struct PrefillReport {
    /// How many.
    tokens: usize,
    /// Cycles of the runs that took them in.
    cycles: u64,
    /// Cycles for each of them.
    cycles_per_token: f64,
}

impl MachineReport {
    /// Of `program`, that of `graph`, on `machine`: a prompt of `prompt` tokens, then `new` of the model's.
    pub fn new(
        graph: &QuantisedLlama,
        program: &Program,
        machine: &Machine,
        witnessed: &Witnessed<'_>,
        (prompt, new): (usize, usize),
    ) -> MachineReport {
        let (runs, several) = (witnessed.runs(), witnessed.prompt_runs());
        let made = made(witnessed, (prompt, new));
        let prefill_cycles: u64 = several.iter().map(|run| run.cycles).sum();
        let prefilled = witnessed.prompt_tokens();
        let cycles: u64 = made.iter().map(|run| run.cycles).sum();
        let positions = (prompt..).take(made.len());
        let macs: u64 = positions.map(|positions| graph.shape.multiply_accumulates(positions)).sum();
        let peak = f64::from(machine.configuration.macs_per_cycle());
        MachineReport {
            board: machine.name.clone(),
            context: program.language.as_ref().map_or(0, |language| language.context as usize),
            clock_mhz: machine.clock_mhz(),
            prompt_cycles: prefill_cycles
                + runs.iter().take(prompt.saturating_sub(prefilled)).map(|run| run.cycles).sum::<u64>(),
            prefill: (prefilled > 0).then(|| PrefillReport {
                tokens: prefilled,
                cycles: prefill_cycles,
                cycles_per_token: prefill_cycles as f64 / prefilled as f64,
            }),
            cycles_as_predicted: runs.iter().chain(several).all(|run| run.cycles == run.predicted),
            outputs_equal_golden: witnessed.difference().is_none(),
            cycles_between_tokens: witnessed.generated().then(|| between_runs(&machine.configuration)),
            multipliers: machine.configuration.multipliers(),
            mac_utilization: (cycles > 0).then(|| macs as f64 / (peak * cycles as f64)),
            cycles_spent: cycles_spent(program, made.iter().map(|run| run.schedule)),
        }
    }

    /// New tokens a second at the clock, if there is one; `cycles` of each of them.
    pub fn tokens_per_second(&self, cycles: &[u64]) -> Option<f64> {
        let between = f64::from(self.cycles_between_tokens.unwrap_or(0));
        self.clock_mhz.zip(mean(cycles)).map(|(clock, mean)| clock * 1e6 / (mean + between))
    }

    /// The figures for people: names and values, `cycles` of each new token.
    pub fn lines(&self, cycles: &[u64], machine: &Machine) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("machine", machine.describe()),
            ("context", format!("room for {} positions", count(self.context as u64))),
        ];
        if let Some(PrefillReport { tokens, cycles_per_token, .. }) = self.prefill {
            let (tokens, mean) = (count(tokens as u64), count(cycles_per_token.round() as u64));
            lines.push(("prompt", format!("{tokens} of its tokens several at once, {mean} cycles each")));
        }
        if let (Some(first), Some(last), Some(mean)) = (cycles.first(), cycles.last(), mean(cycles)) {
            let promised = if self.cycles_as_predicted { "all as predicted" } else { "NOT all as predicted" };
            let mean = count(mean.round() as u64);
            let text = format!("{} first, {} last, {mean} mean; {promised}", count(*first), count(*last));
            lines.push(("cycles a token", text));
        }
        lines.extend(speed(self.tokens_per_second(cycles), self.clock_mhz, ""));
        if let Some(between) = self.cycles_between_tokens {
            lines.push(("between tokens", format!("{between} cycles, without the host")));
        }
        lines.extend(use_of_the_machine(self.mac_utilization, self.multipliers, &self.cycles_spent));
        lines.push(("results", results(self.outputs_equal_golden)));
        lines
    }

    /// [`lines`](Self::lines) below each other, without a line end behind the last.
    pub fn describe(&self, cycles: &[u64], machine: &Machine) -> String {
        pairs(&self.lines(cycles, machine)).trim_end().to_string()
    }
}

/// Where the cycles of runs went that executed these schedules of `program`.
pub fn cycles_spent(program: &Program, schedules: impl Iterator<Item = usize>) -> CyclesSpent {
    let entries = entry_points(program);
    let spent: Vec<CyclesSpent> = entries.iter().map(|entry| Occupation::of(program, entry).cycles_spent()).collect();
    let mut all = CyclesSpent::default();
    for schedule in schedules {
        all += spent.get(schedule).copied().unwrap_or_default();
    }
    all
}

/// The line that tells the speed, where there is one: tokens a second at the clock, and `whose`.
pub fn speed(tokens_per_second: Option<f64>, clock_mhz: Option<f64>, whose: &str) -> Option<(&'static str, String)> {
    let text = match (tokens_per_second, clock_mhz) {
        (Some(speed), Some(clock)) => format!("{} tokens/s at {clock} MHz{whose}", count(speed.round() as u64)),
        (_, None) => "unknown: the configuration has no clock; a board has".into(),
        (None, Some(_)) => return None,
    };
    Some(("speed", text))
}

/// The lines that tell how busy the multipliers were, and where the cycles went.
pub fn use_of_the_machine(
    utilisation: Option<f64>,
    multipliers: u32,
    spent: &CyclesSpent,
) -> Vec<(&'static str, String)> {
    let utilisation =
        utilisation.map(|share| ("utilisation", format!("{} of {multipliers} multipliers", percent(share))));
    let bar = bar(spent).map(|[bar, legend]| [("where they went", bar), ("", legend)]);
    utilisation.into_iter().chain(bar.into_iter().flatten()).collect()
}

/// Whether the results are golden's, in words.
pub fn results(equal_golden: bool) -> String {
    format!("{}equal to golden, token by token", if equal_golden { "" } else { "NOT " })
}

/// Cycles of the runs that made the `new` tokens behind a prompt of `prompt`: that of the prompt's last token is the first.
pub fn cycles_per_token(witnessed: &Witnessed<'_>, lengths: (usize, usize)) -> Vec<u64> {
    made(witnessed, lengths).iter().map(|run| run.cycles).collect()
}

fn made<'a>(witnessed: &'a Witnessed<'_>, (prompt, new): (usize, usize)) -> &'a [TokenRun] {
    let runs = witnessed.runs();
    let first = prompt.saturating_sub(1 + witnessed.prompt_tokens()).min(runs.len());
    &runs[first..(first + new).min(runs.len())]
}

fn mean(cycles: &[u64]) -> Option<f64> {
    let sum: u64 = cycles.iter().sum();
    (sum > 0).then(|| sum as f64 / cycles.len() as f64)
}

/// Where the machine did not keep its promises: the first wrong result, the first wrong count of cycles.
pub fn broken_promises(witnessed: &Witnessed<'_>, tokenizer: &Tokenizer) -> Vec<String> {
    let mut broken = Vec::new();
    broken.extend(witnessed.difference().map(|found| difference(&found, tokenizer)));
    let runs = witnessed.prompt_runs().iter().map(|run| ("several tokens of the prompt", run));
    let runs = runs.chain(witnessed.runs().iter().map(|run| ("a token", run)));
    if let Some((what, TokenRun { cycles, predicted, .. })) =
        runs.into_iter().find(|(_, run)| run.cycles != run.predicted)
    {
        broken.push(format!("{what} took {cycles} cycles, not the {predicted} predicted"));
    }
    broken
}

/// Where a machine first said something else than golden.
pub fn difference(&Difference { position, what }: &Difference, tokenizer: &Tokenizer) -> String {
    let named = |token: u32| format!("token {token} ({:?})", tokenizer.decode(&[token]));
    let what = match what {
        Differing::Result { token, value, golden } => {
            format!("the result for {} is {value}, golden {golden}", named(token))
        }
        Differing::Choice { token, golden } => {
            format!("the choice is {}, whose result golden has as {golden}, not the largest", named(token))
        }
        Differing::Factor { value, golden } => {
            let text = |factor: Factor| format!("{} × 2^{}", factor.mantissa, factor.exponent);
            format!("the factor of the last norm is {}, golden {}", text(value), text(golden))
        }
    };
    format!("position {position}: {what}: the machine is not the golden model")
}

/// Text for a terminal: what a model says must not move the cursor.
pub fn visible(text: &str) -> String {
    let show = |character: char| match character {
        '\n' | '\t' => character.to_string(),
        other if other.is_control() => other.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(show).collect()
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
}
