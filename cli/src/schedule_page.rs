//! A schedule as a page: every unit a row, every cycle a column. One file, without anything from outside.

use crate::failure::Failure;
use crate::machine::Machine;
use lpu_compiler::occupation::{CyclesSpent, Gap, Occupation, Span, Work};
use lpu_isa::assembly::operation_text;
use lpu_isa::program::Program;
use lpu_isa::sequence::Sequence;
use lpu_isa::timeline::{EntryPoint, entry_points};
use serde::Serialize;
use std::collections::HashMap;

const PAGE: &str = include_str!("schedule_page/page.html");
const STYLE: &str = include_str!("schedule_page/page.css");
const SCRIPT: &str = include_str!("schedule_page/page.js");

/// Gaps that are listed, the longest ones of each unit.
const GAPS_OF_A_UNIT: usize = 40;

/// What the page shows; the script reads it.
#[derive(Debug, Serialize)]
pub struct Page {
    model: String,
    board: String,
    clock_mhz: Option<f64>,
    multipliers: u32,
    /// Names of the units, in the order of the rows.
    units: Vec<String>,
    layers: Vec<LayerName>,
    schedules: Vec<Schedule>,
    /// The schedule that is shown first.
    first: usize,
    /// Texts of the instructions, each once.
    texts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LayerName {
    name: String,
    operator: String,
}

/// One of the program's schedules.
#[derive(Debug, Serialize)]
struct Schedule {
    name: String,
    cycles: u64,
    macs: u64,
    utilisation: f64,
    cycles_spent: CyclesSpent,
    /// `[unit, instruction, layer or -1, work, first cycle, last cycle, text, steps of a run, runs, pause, gap]`
    spans: Vec<[i64; 11]>,
    /// `[unit, first cycle, last cycle, instruction before or -1, instruction behind or -1]`, the longest first.
    gaps: Vec<[i64; 5]>,
    /// Gaps that are not listed.
    gaps_left_out: usize,
}

impl Page {
    /// The page of `program` for `machine`. The program must have passed the checker. `position` chooses the schedule shown first;
    /// without it that is the last one of those for a token, which is right for every position.
    pub fn new(program: &Program, machine: &Machine, position: Option<u32>) -> Page {
        let mut texts = Texts::default();
        let entries = entry_points(program);
        let chosen = position.and_then(|position| {
            entries.iter().position(|entry| entry.positions.is_none_or(|positions| position < positions))
        });
        let schedules = entries.iter().enumerate().map(|(number, entry)| schedule(program, number, entry, &mut texts));
        let schedules: Vec<Schedule> = schedules.collect();
        let layer = |layer: &lpu_isa::program::Layer| LayerName {
            name: layer.name.clone(),
            operator: if layer.operator == layer.name { String::new() } else { layer.operator.clone() },
        };
        Page {
            model: program.model.clone(),
            board: machine.name.clone(),
            clock_mhz: machine.clock_mhz(),
            multipliers: machine.configuration.multipliers(),
            units: program.queues.iter().map(|queue| queue.unit.to_string()).collect(),
            layers: program.layers.iter().map(layer).collect(),
            first: chosen.unwrap_or(entries.iter().filter(|entry| entry.prefill.is_none()).count().saturating_sub(1)),
            schedules,
            texts: texts.all,
        }
    }

    /// Cycles of the schedule that is shown first.
    pub fn cycles(&self) -> u64 {
        self.schedules.get(self.first).map_or(0, |schedule| schedule.cycles)
    }

    /// How many schedules it shows.
    pub fn schedules(&self) -> usize {
        self.schedules.len()
    }

    /// The file.
    ///
    /// # Errors
    /// None in practice: all of it has a JSON form.
    pub fn html(&self) -> Result<String, Failure> {
        let data = serde_json::to_string(self)
            .map_err(|error| Failure::new("the page cannot be written", "its data", error, "report this as a bug"))?;
        // A name with `</script>` in it would end the data.
        let data = data.replace('<', "\\u003c");
        Ok(PAGE.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", SCRIPT, 1).replacen("/*DATA*/", &data, 1))
    }
}

/// Texts by number.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    numbers: HashMap<String, i64>,
}

impl Texts {
    fn number(&mut self, text: String) -> i64 {
        let next = self.all.len() as i64;
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.all.push(text.clone());
            next
        })
    }
}

fn schedule(program: &Program, number: usize, entry: &EntryPoint, texts: &mut Texts) -> Schedule {
    let occupation = Occupation::of(program, entry);
    let macs = match (&program.language, entry.prefill) {
        (Some(language), None) => language.entries.get(number).map_or(0, |entry| entry.macs),
        (Some(language), Some(number)) => language.prefill.get(number).map_or(0, |prefill| prefill.macs),
        (None, _) => program.macs,
    };
    let several = program.language.as_ref().is_some_and(|language| !language.others.is_empty());
    let what = match entry.prefill {
        Some(_) => "several tokens of a prompt",
        None if several => "a token of each sequence",
        None => "a token",
    };
    let peak = f64::from(program.configuration.macs_per_cycle()) * occupation.cycles.max(1) as f64;
    let spans = occupation.spans.iter().map(|span| span_numbers(program, span, texts)).collect();
    let (gaps, gaps_left_out) = gaps(program, &occupation);
    Schedule {
        name: entry
            .positions
            .map_or("one inference".into(), |positions| format!("{what}, positions below {positions}")),
        cycles: occupation.cycles,
        macs,
        utilisation: macs as f64 / peak,
        cycles_spent: occupation.cycles_spent(),
        spans,
        gaps,
        gaps_left_out,
    }
}

fn span_numbers(program: &Program, span: &Span, texts: &mut Texts) -> [i64; 11] {
    let operation = &program.queues[span.queue].instructions[span.instruction].instruction.operation;
    let work = match span.work {
        Work::Matrix => 0,
        Work::Attention => 1,
        Work::Vector => 2,
        Work::Movement => 3,
    };
    let (steps, runs, pause, gap) = operation.sequence().map_or((1, 1, 0, 0), |sequence: &Sequence| {
        (sequence.run_steps(), sequence.runs(), sequence.pause, sequence.gap)
    });
    [
        span.queue as i64,
        span.instruction as i64,
        span.layer.map_or(-1, i64::from),
        work,
        span.first as i64,
        span.last as i64,
        texts.number(operation_text(operation)),
        steps.into(),
        runs.into(),
        pause.into(),
        gap.into(),
    ]
}

/// The longest gaps, and how many are left out.
fn gaps(program: &Program, occupation: &Occupation) -> (Vec<[i64; 5]>, usize) {
    let length = |gap: &Gap| gap.last - gap.first + 1;
    let (mut listed, mut left_out) = (Vec::new(), 0);
    for queue in 0..program.queues.len() {
        let mut gaps = occupation.gaps(queue);
        gaps.sort_by_key(|gap| std::cmp::Reverse(length(gap)));
        left_out += gaps.len().saturating_sub(GAPS_OF_A_UNIT);
        gaps.truncate(GAPS_OF_A_UNIT);
        listed.extend(gaps);
    }
    listed.sort_by_key(|gap| (std::cmp::Reverse(length(gap)), gap.queue, gap.first));
    let number = |instruction: Option<usize>| instruction.map_or(-1, |instruction| instruction as i64);
    let numbers = listed
        .iter()
        .map(|gap| [gap.queue as i64, gap.first as i64, gap.last as i64, number(gap.before), number(gap.behind)]);
    (numbers.collect(), left_out)
}
