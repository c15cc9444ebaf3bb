//! `lpu check`: the independent schedule checker.

use super::{read_text, unreadable};
use crate::failure::{Failure, Verdict};
use crate::output::{count, pairs, percent, print, print_json, printable, table};
use lpu_compiler::checker::{CheckReport, Violation, check};
use lpu_isa::program::{Program, ProgramError};
use serde::Serialize;
use std::path::PathBuf;

/// Violations that are printed in full; those behind the first are often its consequences.
const SHOWN: usize = 20;

/// Check the schedule of a compiled program: every access, every cycle, every field
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A program image that `lpu compile` wrote
    program: PathBuf,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Judgement<'a> {
    model: &'a str,
    board: &'a str,
    accepted: bool,
    cycles: Option<u64>,
    violations: Vec<String>,
    remarks: Vec<String>,
}

/// Prints the checker's report. A rejected program is a disagreement.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let program = read(&arguments.program)?;
    let judgement = check(&program);
    let verdict = Verdict::of(judgement.is_ok());
    if arguments.json {
        let text = |items: &[Violation]| items.iter().map(ToString::to_string).collect();
        return print_json(&Judgement {
            model: &program.model,
            board: &program.board,
            accepted: judgement.is_ok(),
            cycles: judgement.as_ref().ok().map(|report| report.cycles),
            violations: judgement.as_ref().err().map_or_else(Vec::new, |violations| text(violations)),
            remarks: judgement.iter().flat_map(|report| &report.remarks).map(ToString::to_string).collect(),
        })
        .map(|()| verdict);
    }
    match judgement {
        Ok(report) => print(&accepted(&program, &report)).map(|()| verdict),
        Err(violations) => print(&rejected(&program, &violations)).map(|()| verdict),
    }
}

/// Reads an image. One that is readable but contradicts itself goes to the checker, which says so.
fn read(path: &std::path::Path) -> Result<Program, Failure> {
    let text = read_text(path)?;
    match Program::from_json(&text) {
        Err(ProgramError::Instruction { .. } | ProgramError::Inconsistent(_)) => {
            serde_json::from_str(&text).map_err(|error| unreadable(path, error, "compile the network again"))
        }
        other => other.map_err(|error| unreadable(path, error, "compile the network again with this version")),
    }
}

fn title(program: &Program) -> String {
    printable(&format!("{} for {}", program.model, program.board))
}

fn accepted(program: &Program, report: &CheckReport) -> String {
    let mut text = format!("{}: the schedule is right\n\n", title(program));
    let instructions: usize = report.units.iter().map(|unit| unit.instructions).sum();
    text += &pairs(&[("cycles", count(report.cycles)), ("instructions", count(instructions as u64))]);
    let rows = report.units.iter().map(|activity| {
        vec![
            activity.unit.to_string(),
            count(activity.instructions as u64),
            count(activity.steps),
            percent(activity.busy),
        ]
    });
    text += &format!("\n{}", table(&["unit", ">instructions", ">steps", ">busy"], rows));
    if program.language.is_some() {
        let rows = report
            .schedules
            .iter()
            .map(|schedule| vec![count(u64::from(schedule.positions.unwrap_or(0))), count(schedule.cycles)]);
        text += &format!("\n{}", table(&[">positions below", ">cycles"], rows));
    }
    for remark in &report.remarks {
        text += &format!("remark: {remark}\n");
    }
    text
}

fn rejected(program: &Program, violations: &[Violation]) -> String {
    let mut text = format!("{}: the schedule is wrong\n\n", title(program));
    for violation in violations.iter().take(SHOWN) {
        text += &format!("{}\n", printable(&violation.to_string()));
    }
    if violations.len() > SHOWN {
        text += &format!("and {} more\n", count((violations.len() - SHOWN) as u64));
    }
    text
}
