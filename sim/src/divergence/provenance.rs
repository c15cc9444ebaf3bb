//! From a write back to the instructions, tiles and tensors behind it.

use super::{Computed, Divergence, Element, Executed, Kind};
use crate::cycle::WriteEvent;
use lpu_compiler::graph::{Graph, Operator, OperatorKind};
use lpu_isa::assembly::disassemble;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, RequantiseFrom, Source, Unit};
use lpu_isa::latency::{ISSUE_TO_STEP, Latency};
use lpu_isa::program::{Layer, Program, Queue, Region};
use lpu_isa::sequence::{Sequence, Step};

/// A step that a unit takes according to its queue.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Cycle of the step.
    cycle: u64,
    /// Number of the instruction in the queue.
    instruction: usize,
    /// Number of the step in the instruction.
    number: usize,
    step: Step,
}

/// A step of a write port.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteStep {
    /// Cycle in which the word stands at the port.
    pub cycle: u64,
    /// Beat address.
    pub address: u32,
    /// Elements stored.
    pub elements: usize,
    slice: u32,
    instruction: usize,
    number: usize,
}

/// What a program does at which cycle, and the golden model's value of each layer's result.
pub(super) struct Provenance<'a> {
    program: &'a Program,
    latency: Latency,
    /// Steps of each write port, in order.
    writes: Vec<Vec<WriteStep>>,
    /// For each layer, which element stands at each position of its result's region.
    elements: Vec<Vec<Option<usize>>>,
    /// Golden value of each layer's result.
    results: Option<Vec<Option<Vec<i8>>>>,
}

/// The golden value of each layer's result, at the layer's position in the program.
///
/// A program has its layers in the order of the graph's operators, under the same names; operators that move nothing have no
/// layer, and those that run band by band have one for each band.
pub(super) fn golden_results(graph: &Graph, program: &Program, tensors: &[Option<Vec<i8>>]) -> Vec<Option<Vec<i8>>> {
    let operators: Vec<_> = graph.operators.iter().filter(|operator| operator.kind != OperatorKind::Reshape).collect();
    let mut next = 0;
    let result = |layer: &Layer| {
        // Layers that run band by band come again and again.
        let named = |operator: &&Operator| operator.name == layer.name;
        let after = operators[next..].iter().position(named).map(|found| next + found);
        let found = after.or_else(|| operators.iter().position(named))?;
        next = found + 1;
        let tensor = tensors.get(operators[found].outputs.first()?.0)?.as_ref()?;
        let Some(band) = layer.band else { return Some(tensor.clone()) };
        Some(tensor.get(band.element as usize..)?.to_vec())
    };
    program.layers.iter().map(result).collect()
}

/// The steps of a queue in time order.
fn steps<'a>(queue: &'a Queue, configuration: &Configuration) -> impl Iterator<Item = Taken> + 'a {
    queue.issued(0, configuration).into_iter().flat_map(|(issue, instruction)| {
        let operation = queue.instructions[instruction].instruction.operation;
        let steps = operation.sequence().map(Sequence::steps).into_iter().flatten();
        steps.enumerate().map(move |(number, step)| {
            let cycle = issue + u64::from(ISSUE_TO_STEP) + u64::from(step.offset);
            Taken { cycle, instruction, number, step }
        })
    })
}

impl<'a> Provenance<'a> {
    pub(super) fn new(program: &'a Program, results: Option<Vec<Option<Vec<i8>>>>) -> Provenance<'a> {
        let latency = Latency::of(&program.configuration);
        let writes = (0..program.configuration.vector_slices)
            .map(|slice| program.queue(Unit::Write(slice)).map_or(vec![], |queue| write_steps(program, queue, slice)))
            .collect();
        let elements = program.layers.iter().map(|layer| elements_of(program, &layer.result)).collect();
        Provenance { program, latency, writes, elements, results }
    }

    /// The write that comes as number `number`, from 0, at the port of `slice`.
    pub(super) fn write(&self, slice: u32, number: usize) -> Option<&WriteStep> {
        self.writes.get(slice as usize)?.get(number)
    }

    /// The write at the port of `slice` in `cycle`.
    pub(super) fn write_at(&self, slice: u32, cycle: u64) -> Option<&WriteStep> {
        self.writes.get(slice as usize)?.iter().find(|step| step.cycle == cycle)
    }

    /// Assembles the report of a difference in `lane` of the word `event`, which `step` wrote or should have written.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn divergence(
        &self,
        kind: Kind,
        event: &WriteEvent,
        step: Option<&WriteStep>,
        lane: u32,
        expected: Option<i16>,
        got: Option<i16>,
        differing: usize,
    ) -> Divergence {
        let feed = step.map_or_else(|| "which no instruction drives here".into(), |step| self.feed(step));
        Divergence {
            kind,
            cycle: event.cycle,
            unit: format!("vector slice {} write port, {feed}", event.slice),
            instruction: step.map(|step| self.executed(Unit::Write(step.slice), step.instruction, step.number)),
            address: event.address,
            lane,
            element: step.and_then(|step| self.element(step, event.address, lane)),
            expected,
            got,
            differing,
        }
    }

    /// The layer whose result `lane` of the word that `step` writes at `address` belongs to, and which element of it that is;
    /// `None` where the layer's result does not reach.
    fn place(&self, step: &WriteStep, address: u32, lane: u32) -> Option<(usize, Option<usize>)> {
        let queue = self.program.queue(Unit::Write(step.slice))?;
        let layer = queue.instructions.get(step.instruction)?.layer? as usize;
        let region = &self.program.layers.get(layer)?.result;
        let dot = u64::from(self.program.configuration.dot);
        let position = (u64::from(address) * dot + u64::from(lane)).checked_sub(u64::from(region.base) * dot)?;
        if region.slice != step.slice {
            return None;
        }
        Some((layer, *self.elements.get(layer)?.get(position as usize)?))
    }

    /// The golden model's value for `lane` of the word that `step` writes at `address`; `None` where no element stands.
    pub(super) fn golden(&self, step: &WriteStep, address: u32, lane: u32) -> Option<i8> {
        let (layer, index) = self.place(step, address, lane)?;
        self.results.as_ref()?.get(layer)?.as_ref()?.get(index?).copied()
    }

    /// What stands in `lane` of the word that `step` writes at `address`; `None` where its layer's result does not reach.
    fn element(&self, step: &WriteStep, address: u32, lane: u32) -> Option<Element> {
        let (layer, index) = self.place(step, address, lane)?;
        let golden = self.golden(step, address, lane);
        let computed = self.computed(step, lane, layer as u32);
        let first = self.program.layers[layer].band.map_or(0, |band| band.element as usize);
        let index = index.map(|index| index + first);
        Some(Element { tensor: self.program.layers[layer].result.tensor.clone(), index, golden, computed })
    }

    /// The requantiser's instruction and step behind a write, if the write takes the requantiser's word.
    fn requantised(&self, step: &WriteStep) -> Option<(RequantiseFrom, u64)> {
        let Operation::Write { source: Source::Requantiser, .. } =
            self.operation(Unit::Write(step.slice), step.instruction)?
        else {
            return None;
        };
        let cycle = step.cycle.checked_sub(u64::from(self.latency.crossbar) + u64::from(self.latency.requantise))?;
        let queue = self.program.queue(Unit::Requantiser)?;
        let taken = steps(queue, &self.program.configuration).find(|taken| taken.cycle == cycle)?;
        match queue.instructions[taken.instruction].instruction.operation {
            Operation::Requantise { from, .. } => Some((from, cycle)),
            _ => None,
        }
    }

    /// The product whose result `step` writes in `lane`: the tile group's last step lies as far back as the latency table says.
    fn computed(&self, step: &WriteStep, lane: u32, layer: u32) -> Option<Computed> {
        let (RequantiseFrom::Tiles, requantised) = self.requantised(step)? else { return None };
        let configuration = &self.program.configuration;
        let group = Unit::TileGroup(lane / configuration.dot);
        let queue = self.program.queue(group)?;
        let delivered = requantised.checked_sub(u64::from(self.latency.step_to_drain))?;
        let pace = u64::from(configuration.requantise_interval);
        let mut pass = 0;
        for taken in steps(queue, configuration).filter(|taken| taken.step.last) {
            let operation = queue.instructions[taken.instruction].instruction.operation;
            let Operation::Multiply { drain, .. } = operation else { continue };
            let cycles = u64::from(configuration.drain_cycles(drain));
            if (taken.cycle..taken.cycle + cycles).contains(&delivered) {
                let delivered_row = ((delivered - taken.cycle) / pace) as u32;
                let row = delivered_row / configuration.results_per_tile(drain);
                let tile = row * configuration.stream_elements + lane;
                let instruction = self.executed(group, taken.instruction, taken.number);
                return (tile < configuration.tiles).then_some(Computed { tile, column: lane, row, pass, instruction });
            }
            if queue.instructions[taken.instruction].layer == Some(layer) {
                pass += 1;
            }
        }
        None
    }

    fn operation(&self, unit: Unit, instruction: usize) -> Option<&Operation> {
        Some(&self.program.queue(unit)?.instructions.get(instruction)?.instruction.operation)
    }

    /// What feeds a write port at a step, in words.
    fn feed(&self, step: &WriteStep) -> String {
        match self.operation(Unit::Write(step.slice), step.instruction) {
            Some(Operation::Write { source: Source::Requantiser, .. }) => match self.requantised(step) {
                Some((RequantiseFrom::Tiles, _)) => "fed by the requantiser from the tiles".into(),
                Some((RequantiseFrom::Stream(source), _)) => format!("fed by the requantiser from {source}"),
                Some((RequantiseFrom::Lookup { operand, index }, _)) => {
                    format!("fed by the requantiser from {operand}, looked up by {index}")
                }
                None => "fed by the requantiser, which has no word for it".into(),
            },
            Some(Operation::Write { source: Source::Vector, .. }) => "fed by the vector unit".into(),
            Some(Operation::Write { source: Source::Slice(slice), .. }) => format!("fed by vector slice {slice}"),
            _ => "fed by nothing".into(),
        }
    }

    fn executed(&self, unit: Unit, index: usize, step: usize) -> Executed {
        let placed = self.program.queue(unit).and_then(|queue| queue.instructions.get(index));
        let layer = placed.and_then(|placed| self.program.layers.get(placed.layer? as usize));
        let text = instruction_text(self.program, unit, index).unwrap_or_default();
        Executed { unit, index, step, text, layer: layer.map(|layer| layer.name.clone()) }
    }
}

/// Which element of a tensor stands at each position of its region.
fn elements_of(program: &Program, region: &Region) -> Vec<Option<usize>> {
    let mut elements = vec![None; region.beats as usize * program.configuration.dot as usize];
    for (element, &position) in region.positions.iter().enumerate() {
        if let Some(slot) = elements.get_mut(position as usize) {
            *slot = Some(element);
        }
    }
    elements
}

fn write_steps(program: &Program, queue: &Queue, slice: u32) -> Vec<WriteStep> {
    let configuration = &program.configuration;
    let crossbar = u64::from(Latency::of(configuration).crossbar);
    let taken = steps(queue, configuration).map(|Taken { cycle, instruction, number, step }| {
        let beats = match queue.instructions[instruction].instruction.operation {
            Operation::Write { last_beats, .. } if step.end_of_level_0 => last_beats,
            _ => configuration.beats_per_word(),
        };
        let elements = (beats * configuration.dot) as usize;
        WriteStep { cycle: cycle + crossbar, address: step.address as u32, elements, slice, instruction, number }
    });
    taken.collect()
}

/// Instruction `index` of `unit` as the disassembler writes it: operation and fields, without the comment.
fn instruction_text(program: &Program, unit: Unit, index: usize) -> Option<String> {
    let text = disassemble(program);
    let mut lines = text.lines().skip_while(|line| *line != unit.to_string());
    let line = lines.by_ref().skip(1).filter(|line| !line.starts_with(';')).nth(index)?;
    // Cycle and interval stand in front, the layer's number behind.
    let words = line.split(';').next()?.split_whitespace().skip(2).filter(|word| !word.starts_with("layer="));
    let words: Vec<&str> = words.collect();
    Some(words.join(" "))
}
