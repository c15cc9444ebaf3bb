//! Where two runs part: the first difference, traced back to cycle, unit, instruction and element.
//!
//! Everything that a program computes passes through a write port of the vector memory. [`explain`] compares two logs of those
//! ports write by write; [`against_golden`] compares one log with the values of the golden model. The [`Divergence`] that comes
//! back says in the machine's terms where it happened and in the network's terms what it was.
//!
//! [`investigate`] makes the runs itself, with recording switched on.
//!
//! | file | concept |
//! | --- | --- |
//! | `divergence.rs` | the comparisons, and what a difference is |
//! | `provenance.rs` | from a write back to the instructions, tiles and tensors behind it |
//! | `display.rs` | a difference as text |
//! | `investigation.rs` | all witnesses run for one input |

mod display;
mod investigation;
mod provenance;

pub use investigation::{InvestigationError, Report, investigate};

use crate::cycle::WriteEvent;
use crate::golden::{self, GoldenError};
use lpu_compiler::graph::Graph;
use lpu_isa::instruction::Unit;
use lpu_isa::program::Program;
use provenance::{Provenance, golden_results};

/// How two runs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Another value at the same time in the same place.
    Value,
    /// The same words in the same place at another time.
    Cycle {
        /// The cycle in which it came.
        got: u64,
    },
    /// A write to another address, or of another number of beats, at the same time.
    Address {
        /// Beat address of the write that came.
        got: u32,
    },
    /// A write that never came.
    Missing,
    /// A write that nobody expected.
    Surplus,
}

/// An instruction in a queue of the program, and the step of it that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The unit whose queue it stands in.
    pub unit: Unit,
    /// Its number in the queue, from 0.
    pub index: usize,
    /// Number of its step, from 0.
    pub step: usize,
    /// The instruction as the disassembler writes it.
    pub text: String,
    /// Name of the layer that it serves.
    pub layer: Option<String>,
}

/// Where a result of the tiles was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The tile.
    pub tile: u32,
    /// Its column, the lane of its results.
    pub column: u32,
    /// Its row, the word of a drain that holds its result.
    pub row: u32,
    /// Number of the product among those of the layer, from 0: the pass over the input.
    pub pass: u64,
    /// The instruction, at the last step of the product.
    pub instruction: Executed,
}

/// An element of a tensor, as it stands in a word that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Name of the tensor.
    pub tensor: String,
    /// Which element, in row-major order: the output channel of a fully connected layer. `None` for the padding between
    /// elements, which no tensor owns.
    pub index: Option<usize>,
    /// The value that the golden model gives it, if its model could be asked.
    pub golden: Option<i8>,
    /// Where it was computed, if tiles did.
    pub computed: Option<Computed>,
}

/// The first difference between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// How they differ.
    pub kind: Kind,
    /// The cycle in which the expected write stands at the port; for a surplus one, its own.
    pub cycle: u64,
    /// The port and what feeds it.
    pub unit: String,
    /// The write instruction; `None` for a surplus write that belongs to none.
    pub instruction: Option<Executed>,
    /// Beat address of the write.
    pub address: u32,
    /// The first element of the word that differs, counted from the word's first.
    pub lane: u32,
    /// What stands in that lane, as far as a layer's result covers it.
    pub element: Option<Element>,
    /// The value expected in that lane.
    pub expected: Option<i16>,
    /// The value found there.
    pub got: Option<i16>,
    /// How many elements of the word differ, this one included.
    pub differing: usize,
}

/// Compares two logs of the same program and input, and explains the first difference. `None`: the logs are equal.
///
/// `reference` is the log to trust, usually the cycle model's, and `measured` the one to judge, usually the RTL's. `graph` and
/// `input` serve only to say what the golden model has in the element that differs.
#[must_use]
pub fn explain(
    graph: &Graph,
    program: &Program,
    input: &[i8],
    reference: &[WriteEvent],
    measured: &[WriteEvent],
) -> Option<Divergence> {
    let golden = golden::run_all_tensors(graph, input).ok();
    let provenance = Provenance::new(program, golden.map(|tensors| golden_results(graph, program, &tensors)));
    let slices = 0..program.configuration.vector_slices;
    let differences = slices.filter_map(|slice| first_of_slice(&provenance, slice, reference, measured));
    // Each port's writes come in order, so that the earliest of the ports' first differences is the first of all.
    differences.min_by_key(|divergence| divergence.cycle)
}

/// The first difference at one write port.
fn first_of_slice(
    provenance: &Provenance<'_>,
    slice: u32,
    reference: &[WriteEvent],
    measured: &[WriteEvent],
) -> Option<Divergence> {
    let at_port = |log| move || of_slice(log, slice);
    let (mut expected, mut got) = (at_port(reference)(), at_port(measured)());
    for number in 0.. {
        let (kind, event, lane, found) = match (expected.next(), got.next()) {
            (None, None) => return None,
            (Some(expected), None) => (Kind::Missing, expected, 0, None),
            (None, Some(got)) => (Kind::Surplus, got, 0, Some(got)),
            (Some(expected), Some(got)) if expected == got => continue,
            (Some(expected), Some(got)) => {
                let same_place = expected.address == got.address && expected.elements.len() == got.elements.len();
                if expected.cycle != got.cycle {
                    if same_place && expected.elements == got.elements {
                        (Kind::Cycle { got: got.cycle }, expected, 0, Some(got))
                    } else if expected.cycle < got.cycle {
                        (Kind::Missing, expected, 0, None)
                    } else {
                        (Kind::Surplus, got, 0, Some(got))
                    }
                } else if same_place {
                    (Kind::Value, expected, first_difference(&expected.elements, &got.elements), Some(got))
                } else {
                    (Kind::Address { got: got.address }, expected, 0, Some(got))
                }
            }
        };
        let value = |event: &WriteEvent| event.elements.get(lane).copied();
        let differing = match kind {
            Kind::Value => found.map_or(0, |found| {
                event.elements.iter().zip(&found.elements).filter(|(expected, got)| expected != got).count()
            }),
            Kind::Cycle { .. } => 0,
            Kind::Address { .. } | Kind::Missing | Kind::Surplus => event.elements.len(),
        };
        let step = match kind {
            Kind::Surplus => provenance.write_at(slice, event.cycle),
            _ => provenance.write(slice, number),
        };
        let expected_value = if kind == Kind::Surplus { None } else { value(event) };
        return Some(provenance.divergence(
            kind,
            event,
            step,
            lane as u32,
            expected_value,
            found.and_then(value),
            differing,
        ));
    }
    None
}

/// Compares a log with the golden model, and explains the first element that was written with another value than the tensor it
/// belongs to has there, or, where all of them are right, the first write that is missing. `None`: every layer's result was
/// written as the golden model has it. Times are not compared: the golden model has none.
///
/// # Errors
/// The golden model cannot execute `graph` for `input`.
pub fn against_golden(
    graph: &Graph,
    program: &Program,
    input: &[i8],
    measured: &[WriteEvent],
) -> Result<Option<Divergence>, GoldenError> {
    let tensors = golden::run_all_tensors(graph, input)?;
    let provenance = Provenance::new(program, Some(golden_results(graph, program, &tensors)));
    let mut next = vec![0; program.configuration.vector_slices as usize];
    for event in measured {
        let Some(number) = next.get_mut(event.slice as usize) else { continue };
        let Some(step) = provenance.write(event.slice, *number) else {
            let value = event.elements.first().copied();
            return Ok(Some(provenance.divergence(Kind::Surplus, event, None, 0, None, value, event.elements.len())));
        };
        *number += 1;
        if (step.address, step.elements) != (event.address, event.elements.len()) {
            let planned = WriteEvent { address: step.address, ..event.clone() };
            let kind = Kind::Address { got: event.address };
            let value = event.elements.first().copied();
            let elements = event.elements.len();
            return Ok(Some(provenance.divergence(kind, &planned, Some(step), 0, None, value, elements)));
        }
        let wanted: Vec<i16> = (0..event.elements.len())
            .map(|lane| {
                // What no tensor owns may hold anything.
                provenance.golden(step, event.address, lane as u32).map_or(event.elements[lane], i16::from)
            })
            .collect();
        if wanted != event.elements {
            let lane = first_difference(&wanted, &event.elements);
            let differing = wanted.iter().zip(&event.elements).filter(|(wanted, got)| wanted != got).count();
            let (expected, got) = (Some(wanted[lane]), Some(event.elements[lane]));
            let divergence =
                provenance.divergence(Kind::Value, event, Some(step), lane as u32, expected, got, differing);
            return Ok(Some(divergence));
        }
    }
    let absent = next.iter().enumerate().filter_map(|(slice, &number)| {
        let step = provenance.write(slice as u32, number)?;
        let elements = vec![0; step.elements];
        let event = WriteEvent { cycle: step.cycle, slice: slice as u32, address: step.address, elements };
        let expected = provenance.golden(step, step.address, 0).map(i16::from);
        Some(provenance.divergence(Kind::Missing, &event, Some(step), 0, expected, None, step.elements))
    });
    Ok(absent.min_by_key(|divergence| divergence.cycle))
}

/// The writes of one port, in their order.
fn of_slice(log: &[WriteEvent], slice: u32) -> impl Iterator<Item = &WriteEvent> {
    log.iter().filter(move |event| event.slice == slice)
}

/// The first lane in which two words of the same length differ.
fn first_difference(expected: &[i16], got: &[i16]) -> usize {
    expected.iter().zip(got).position(|(expected, got)| expected != got).unwrap_or(0)
}
