//! What limits each layer of a program, seen from the finished program.
//!
//! A layer that passes through requantiser or vector unit alone takes as long as those do. In a layer of the tiles, a product
//! takes as many cycles as it has steps, or, where those are fewer, as its results need to drain through the requantiser. Steps
//! are limited by the multipliers where a third of these or more has something to do in each; else by the memory, whose port
//! delivers a beat a cycle that most tiles have only zeros for (channel by channel, at most a quarter has).

use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::program::Program;
use serde::Serialize;

/// One multiplier of so many must have something to do for the multipliers to be the bound.
const SHARE: u64 = 3;

/// What limits a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Bound {
    /// The multipliers: more tiles would make it shorter.
    #[serde(rename = "matrix")]
    Matrix,
    /// The read port of a vector memory slice, which delivers a beat a cycle.
    #[serde(rename = "memory port")]
    MemoryPort,
    /// The requantiser or the vector unit.
    #[serde(rename = "vector")]
    Vector,
}

impl Bound {
    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bound::Matrix => "matrix",
            Bound::MemoryPort => "memory port",
            Bound::Vector => "vector",
        }
    }
}

/// How the tiles' and the other units' time for a layer is spent.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// Steps of the tiles in products that take as long as their steps.
    steps: u64,
    /// Cycles of the tiles in products that wait for their drain.
    drains: u64,
}

/// Bound of each layer and the cycles for which its tiles, or where it takes none the requantiser or the vector unit, work on it.
#[must_use]
pub fn bounds(program: &Program) -> Vec<(Bound, u64)> {
    let configuration = &program.configuration;
    let mut spent = vec![Spent::default(); program.layers.len()];
    let mut alone = vec![0u64; program.layers.len()];
    for queue in &program.queues {
        for placed in &queue.instructions {
            let Some(layer) = placed.layer.map(|layer| layer as usize).filter(|&layer| layer < spent.len()) else {
                continue;
            };
            match (queue.unit, &placed.instruction.operation) {
                (Unit::TileGroup(0), Operation::Multiply { sequence, drain, .. }) => {
                    let (runs, steps) = (u64::from(sequence.runs()), u64::from(sequence.run_steps()));
                    if sequence.gap > 0 && steps < u64::from(configuration.drain_cycles(*drain)) {
                        spent[layer].drains += runs * (steps + u64::from(sequence.gap));
                    } else {
                        spent[layer].steps += runs * steps;
                    }
                }
                (Unit::Requantiser | Unit::Vector, operation) => alone[layer] += operation.duration(),
                _ => (),
            }
        }
    }
    let bound = |(index, &Spent { steps, drains }): (usize, &Spent)| {
        if steps + drains == 0 {
            return (Bound::Vector, alone[index]);
        }
        let possible = u64::from(configuration.macs_per_cycle()).saturating_mul(steps + drains);
        let bound = match program.layers[index].macs.saturating_mul(SHARE) >= possible {
            _ if drains > steps => Bound::Vector,
            true => Bound::Matrix,
            false => Bound::MemoryPort,
        };
        (bound, steps + drains)
    };
    spent.iter().enumerate().map(bound).collect()
}
