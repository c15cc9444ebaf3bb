//! All witnesses run for one input.

use super::{Divergence, against_golden, explain};
use crate::cycle::{self, CycleError, CycleModel};
use crate::golden::{self, GoldenError};
use crate::rtl::{self, Rtl, RtlError};
use lpu_compiler::graph::Graph;
use lpu_isa::arithmetic::Rounding;
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use std::fmt;
use thiserror::Error;

/// A witness could not be heard.
#[derive(Debug, Error)]
pub enum InvestigationError {
    /// The golden model.
    #[error("golden model: {0}")]
    Golden(#[from] GoldenError),
    /// The cycle model.
    #[error("cycle model: {0}")]
    Cycle(#[from] CycleError),
    /// The RTL.
    #[error("RTL: {0}")]
    Rtl(#[from] RtlError),
}

/// What the witnesses said for one input, and where they part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Cycles that the program promises.
    pub predicted: u64,
    /// The golden model's output.
    pub golden: Vec<i8>,
    /// What the cycle model did.
    pub model: cycle::Outcome,
    /// What the RTL did, if it was asked.
    pub rtl: Option<rtl::Outcome>,
    /// First difference of the cycle model from the golden model.
    pub model_against_golden: Option<Divergence>,
    /// First difference of the RTL from the cycle model.
    pub rtl_against_model: Option<Divergence>,
}

/// Runs `input` (as many elements as the network's input has) through the golden model, the cycle model and, with options for
/// it, the RTL, each from memories that are all zero, and compares outputs, cycles and every write.
///
/// # Errors
/// A witness that cannot run at all. A difference is no error, but part of the report.
pub fn investigate(
    graph: &Graph,
    program: &Program,
    input: &[i8],
    rtl: Option<&rtl::Options>,
) -> Result<Report, InvestigationError> {
    let golden = golden::run(graph, input)?;
    let latency = Latency::of(&program.configuration);
    let options = cycle::Options { latency, rounding: Rounding::Double, record: true };
    let model = CycleModel::with_options(program, options).run(input)?;
    let model_against_golden = against_golden(graph, program, input, &model.writes)?;
    let rtl = match rtl {
        None => None,
        Some(options) => {
            let options = rtl::Options { record: true, ..options.clone() };
            let mut rtl = Rtl::new(program, &options)?;
            Some(rtl.run(input)?)
        }
    };
    let rtl_against_model = rtl.as_ref().and_then(|rtl| explain(graph, program, input, &model.writes, &rtl.writes));
    Ok(Report { predicted: program.cycles, golden, model, rtl, model_against_golden, rtl_against_model })
}

impl Report {
    /// Do all witnesses that were asked agree in outputs, cycles and writes, and did it take the cycles predicted?
    #[must_use]
    pub fn agrees(&self) -> bool {
        let rtl = self.rtl.as_ref();
        self.model_against_golden.is_none()
            && self.rtl_against_model.is_none()
            && self.model.output == self.golden
            && self.model.cycles == self.predicted
            && rtl.is_none_or(|rtl| rtl.output == self.golden && rtl.cycles == self.predicted)
    }
}

/// A line for each witness, then the first difference of each pair.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "predicted    {} cycles", self.predicted)?;
        let mut witness = |name: &str, cycles: u64, output: &[i8]| {
            let time = match cycles {
                cycles if cycles == self.predicted => "as predicted".to_string(),
                cycles => format!("{:+} against the prediction", i128::from(cycles) - i128::from(self.predicted)),
            };
            let mut different = output.iter().zip(&self.golden).enumerate().filter(|(_, (got, golden))| got != golden);
            let output = match different.next() {
                _ if output.len() != self.golden.len() => "output of another length than golden".to_string(),
                None => "output equal to golden".to_string(),
                Some((index, (got, golden))) => {
                    let others = different.count();
                    format!("output differs from golden: element {index} is {got}, not {golden}, and {others} others")
                }
            };
            writeln!(f, "{name:<12} {cycles} cycles, {time}; {output}")
        };
        witness("cycle model", self.model.cycles, &self.model.output)?;
        if let Some(rtl) = &self.rtl {
            witness("RTL", rtl.cycles, &rtl.output)?;
        }
        let pairs = [
            ("cycle model against golden", &self.model_against_golden),
            ("RTL against cycle model", &self.rtl_against_model),
        ];
        for (pair, divergence) in pairs {
            if let Some(divergence) = divergence {
                writeln!(f, "first difference, {pair}:\n{divergence}")?;
            }
        }
        let rtl_reads_otherwise = self.rtl.as_ref().is_some_and(|rtl| rtl.output != self.model.output);
        if rtl_reads_otherwise && self.rtl_against_model.is_none() {
            writeln!(f, "RTL and cycle model made the same writes: the output was changed while it was read back")?;
        }
        Ok(())
    }
}
