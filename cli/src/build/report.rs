//! What place and route says about a design: nextpnr's `--report`.

use super::names::{in_words, without_primitives};
use lpu_isa::board::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use thiserror::Error;

/// Why a report cannot be used.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The text is not what nextpnr writes.
    #[error("the report is not as nextpnr writes it: {0}")]
    Format(#[from] serde_json::Error),
    /// No clock was analysed.
    #[error("the report names no clock")]
    NoClock,
}

/// What a design takes and how fast it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Parts of the FPGA that the design takes.
    pub used: Used,
    /// Frequency of the LPU's clock that nextpnr's timing analysis allows, in MHz.
    pub fmax_mhz: f64,
    /// The slowest path between two registers of that clock.
    pub critical_path: Option<CriticalPath>,
}

/// Parts of the FPGA that a design takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Sites of look-up tables; on an iCE40, logic cells, which hold a look-up table or a flip-flop or both.
    pub lut: u32,
    /// Flip-flops.
    pub ff: u32,
    /// Hardware multipliers.
    pub dsp: u32,
    /// Block RAMs.
    pub block_ram: u32,
}

/// A path from a register to a register.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CriticalPath {
    /// Where it begins, in the generator's words.
    pub from: String,
    /// Where it ends, in the generator's words.
    pub to: String,
    /// All of it, in nanoseconds.
    pub delay_ns: f64,
    /// The part spent in cells, from clock to set-up.
    pub logic_ns: f64,
    /// The part spent on wires.
    pub routing_ns: f64,
    /// Its steps: what it passes through, in the generator's words; steps in the same signal are one.
    pub through: Vec<Step>,
}

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The signal, in the generator's words.
    pub signal: String,
    /// Time in its cells, in nanoseconds.
    pub logic_ns: f64,
    /// Time on the wires that lead on from them, in nanoseconds.
    pub routing_ns: f64,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    critical_paths: Vec<RawPath>,
    fmax: BTreeMap<String, RawClock>,
    utilization: BTreeMap<String, RawCount>,
}

#[derive(Deserialize)]
struct RawClock {
    achieved: f64,
    constraint: f64,
}

#[derive(Deserialize)]
struct RawCount {
    used: u32,
}

#[derive(Deserialize)]
struct RawPath {
    from: String,
    to: String,
    path: Vec<RawSegment>,
}

#[derive(Deserialize)]
struct RawSegment {
    delay: f64,
    from: RawEnd,
    to: RawEnd,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct RawEnd {
    cell: String,
}

/// What nextpnr calls look-up tables, flip-flops, multipliers and block RAMs, and how many of them each stands for.
fn kinds(family: Family) -> [&'static [(&'static str, u32)]; 4] {
    match family {
        Family::Ecp5 => [&[("TRELLIS_COMB", 1)], &[("TRELLIS_FF", 1)], &[("MULT18X18D", 1)], &[("DP16KD", 1)]],
        // A logic cell holds both; flip-flops are not counted on their own.
        Family::Ice40 => [&[("ICESTORM_LC", 1)], &[], &[("ICESTORM_DSP", 1)], &[("ICESTORM_RAM", 1)]],
        // An adder takes a look-up table's site, and the four of a distributed RAM are among them; a wide multiplier is four of
        // 18 × 18.
        Family::Gowin => {
            [&[("LUT4", 1), ("ALU", 1)], &[("DFF", 1)], &[("MULT18X18", 1), ("MULT36X36", 4)], &[("BSRAM", 1)]]
        }
    }
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// A text that is not a report, or one without a clock.
    pub fn read(text: &str, family: Family) -> Result<Report, ReportError> {
        let raw: Raw = serde_json::from_str(text)?;
        let used = |kind: &str| raw.utilization.get(kind).map_or(0, |count| count.used);
        let count = |kinds: &[(&str, u32)]| kinds.iter().map(|(kind, each)| used(kind) * each).sum();
        let [lut, ff, dsp, block_ram] = kinds(family).map(count);
        // Beside the LPU's clock there may be the oscillator's; the PLL makes the faster one.
        let (clock, speed) = raw
            .fmax
            .iter()
            .max_by(|(_, a), (_, b)| a.constraint.total_cmp(&b.constraint).then(b.achieved.total_cmp(&a.achieved)))
            .ok_or(ReportError::NoClock)?;
        let edge = |end: &str| end.split_once(' ').is_some_and(|(_, name)| name == clock);
        let path = raw.critical_paths.iter().find(|path| edge(&path.from) && edge(&path.to));
        Ok(Report {
            used: Used { lut, ff, dsp, block_ram },
            fmax_mhz: speed.achieved,
            critical_path: path.and_then(CriticalPath::of),
        })
    }
}

impl CriticalPath {
    fn of(raw: &RawPath) -> Option<CriticalPath> {
        let (first, last) = (raw.path.first()?, raw.path.last()?);
        let mut through: Vec<Step> = Vec::new();
        for segment in &raw.path {
            let signal = in_words(without_primitives(&segment.from.cell));
            if through.last().is_none_or(|step| step.signal != signal) {
                through.push(Step { signal, logic_ns: 0.0, routing_ns: 0.0 });
            }
            if let Some(step) = through.last_mut() {
                match segment.kind.as_str() {
                    "routing" => step.routing_ns += segment.delay,
                    _ => step.logic_ns += segment.delay,
                }
            }
        }
        let sum = |part: fn(&Step) -> f64| rounded(through.iter().map(part).sum());
        let (logic_ns, routing_ns) = (sum(|step| step.logic_ns), sum(|step| step.routing_ns));
        let delay_ns = rounded(raw.path.iter().map(|segment| segment.delay).sum());
        for step in &mut through {
            *step = Step {
                logic_ns: rounded(step.logic_ns),
                routing_ns: rounded(step.routing_ns),
                signal: std::mem::take(&mut step.signal),
            };
        }
        let (from, to) = (in_words(&first.from.cell), in_words(&last.to.cell));
        Some(CriticalPath { from, to, delay_ns, logic_ns, routing_ns, through })
    }

    /// The path for people: a line with its ends and times, then a line for each step.
    pub fn describe(&self) -> String {
        let CriticalPath { from, to, delay_ns, logic_ns, routing_ns, through } = self;
        let mut text =
            format!("{delay_ns:.2} ns ({logic_ns:.2} logic, {routing_ns:.2} routing)\nfrom {from}\nto   {to}");
        for Step { signal, logic_ns, routing_ns } in through {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {:6.2}  {signal}", logic_ns + routing_ns);
        }
        text
    }
}

/// Picoseconds are nextpnr's resolution.
fn rounded(nanoseconds: f64) -> f64 {
    (nanoseconds * 1000.0).round() / 1000.0
}

/// The middle one of the frequencies; the mean of the two in the middle where their number is even.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        0 => Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0),
        _ => Some(upper),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use expect_test::expect;

    const ECP5: &str = r#"{
        "critical_paths": [
            {"from": "<async>", "to": "posedge clock", "path": []},
            {"from": "posedge clock", "to": "posedge clock", "path": [
                {"delay": 0.525, "from": {"cell": "lpu.vector_unit.queue.wait_TRELLIS_FF_Q_10", "port": "Q"},
                 "to": {"cell": "lpu.vector_unit.queue.wait_TRELLIS_FF_Q_10", "port": "Q"}, "type": "clk-to-q"},
                {"delay": 1.136, "from": {"cell": "lpu.vector_unit.queue.wait_TRELLIS_FF_Q_10", "port": "Q"},
                 "net": "n", "to": {"cell": "lpu.vector_unit.queue.running_LUT4_C", "port": "B"}, "type": "routing"},
                {"delay": 0.236, "from": {"cell": "lpu.vector_unit.queue.running_LUT4_C", "port": "B"},
                 "to": {"cell": "lpu.vector_unit.queue.running_LUT4_C", "port": "F"}, "type": "logic"},
                {"delay": 0.714, "from": {"cell": "lpu.vector_unit.queue.running_LUT4_C", "port": "F"},
                 "net": "m", "to": {"cell": "lpu.slice_1.write_address_TRELLIS_FF_Q", "port": "CE"}, "type": "routing"},
                {"delay": 0, "from": {"cell": "lpu.slice_1.write_address_TRELLIS_FF_Q", "port": "CE"},
                 "to": {"cell": "lpu.slice_1.write_address_TRELLIS_FF_Q", "port": "CE"}, "type": "setup"}]}],
        "fmax": {"oscillator": {"achieved": 400.0, "constraint": 25}, "clock": {"achieved": 112.07, "constraint": 150}},
        "utilization": {"TRELLIS_COMB": {"available": 83640, "used": 12942}, "TRELLIS_FF": {"available": 83640, "used": 7},
            "MULT18X18D": {"available": 156, "used": 16}, "DP16KD": {"available": 208, "used": 6}}}"#;

    #[test]
    fn the_faster_clock_is_the_machines_and_its_path_is_told_in_words() {
        let report = Report::read(ECP5, Family::Ecp5).unwrap();
        assert_eq!(report.fmax_mhz, 112.07);
        assert_eq!(report.used, Used { lut: 12942, ff: 7, dsp: 16, block_ram: 6 });
        let path = report.critical_path.unwrap();
        assert_eq!((path.delay_ns, path.logic_ns, path.routing_ns), (2.611, 0.761, 1.85));
        expect![[r#"
            2.61 ns (0.76 logic, 1.85 routing)
            from vector unit, queue, wait
            to   slice 1, write address
                1.66  vector unit, queue, wait
                0.95  vector unit, queue, running
                0.00  slice 1, write address"#]]
        .assert_eq(&path.describe());
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let message = |text: &str| Report::read(text, Family::Ecp5).unwrap_err().to_string();
        assert!(message("{}").contains("missing field `fmax`"));
        assert_eq!(message(r#"{"fmax": {}, "utilization": {}}"#), "the report names no clock");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[150.0, 140.0, 160.0]), Some(150.0));
        assert_eq!(median(&[150.0, 140.0]), Some(145.0));
        assert_eq!(median(&[]), None);
    }
}
