//! The program image: what the compiler writes, the checker judges, the loader loads and the models execute.
//!
//! An image is self-contained: it carries the configuration it was made for, the content of every memory that must be loaded
//! before a run, one list of instructions for each queue, and where input and output stand. On disk it is JSON, compact and
//! diffable; the weights are hexadecimal strings.

mod finish;

use crate::arithmetic::softmax::Softmax;
use crate::configuration::{Configuration, ConfigurationError};
use crate::fixed_point::table::Table;
use crate::instruction::{Instruction, InstructionError, Operation, Unit};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thiserror::Error;

pub use finish::Finish;

/// Version of the image's form.
pub const FORMAT: u32 = 2;

/// A value of the scale table: what the requantiser makes of one element. It adds the bias to the operand, modulo 2³², and
/// multiplies and shifts the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Fixed-point multiplier, 31 fraction bits: 0, or 2³⁰ and more.
    pub multiplier: i32,
    /// Power of two; positive shifts left. -31 to 30.
    pub shift: i32,
    /// Added to the accumulator of a product, or to an element of a stream, before the scaling. For a product it is the
    /// layer's bias with the input's zero point folded in, for a stream the zero point, negated.
    pub bias: i32,
}

/// Where a vector of the network stands in the vector memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Name of the tensor.
    pub tensor: String,
    /// Vector memory slice.
    pub slice: u32,
    /// First beat.
    pub base: u32,
    /// Beats that it covers.
    pub beats: u32,
    /// Position, in elements from the first beat, of each element of the tensor.
    pub positions: Vec<u32>,
}

/// Is it 0, which an image leaves out?
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &i8) -> bool {
    *value == 0
}

/// One instruction and the layer that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The instruction.
    pub instruction: Instruction,
    /// Index into [`Program::layers`], if it serves one.
    pub layer: Option<u32>,
}

/// One queue's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The unit.
    pub unit: Unit,
    /// Its instructions; the last one halts.
    pub instructions: Vec<Placed>,
}

impl Queue {
    /// Does the instruction at `index` end no loop, or one of instructions that neither halt nor repeat?
    fn is_loop(&self, index: usize) -> bool {
        let Operation::Repeat { back, .. } = self.instructions[index].instruction.operation else { return true };
        let ends = |placed: &Placed| matches!(placed.instruction.operation, Operation::Halt | Operation::Repeat { .. });
        index.checked_sub(back as usize).is_some_and(|first| !self.instructions[first..index].iter().any(ends))
    }

    /// The instructions that a run issues from instruction `entry` on, with their cycles, loops unrolled, up to the first that halts:
    /// cycle, number of the instruction.
    pub fn issued(&self, entry: usize, configuration: &Configuration) -> Vec<(u64, usize)> {
        let (mut index, mut cycle, mut executed) = (entry, 0, 1);
        let mut issued = Vec::new();
        while let Some(placed) = self.instructions.get(index) {
            issued.push((cycle, index));
            cycle += u64::from(placed.instruction.interval);
            match placed.instruction.operation {
                Operation::Halt => break,
                Operation::Repeat { back, times } if executed < times => {
                    index = index.saturating_sub(back as usize);
                    executed += 1;
                }
                Operation::Repeat { .. } => {
                    cycle -= u64::from(placed.instruction.interval);
                    cycle += u64::from(configuration.minimum_interval());
                    (index, executed) = (index + 1, 1);
                }
                _ => index += 1,
            }
        }
        issued
    }
}

/// What the compiler decided for one layer: the link between the network's names and the machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Name of the layer.
    pub name: String,
    /// Operator.
    pub operator: String,
    /// Useful multiplications.
    pub macs: u64,
    /// Tiles that work on it.
    pub tiles: u32,
    /// First cycle in which a unit works on it.
    pub start: u64,
    /// First cycle in which its whole result can be read.
    pub end: u64,
    /// Where its result stands.
    pub result: Region,
    /// Which rows of the result it makes, where a layer runs band by band: then each band is an entry of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
}

/// Some rows of a layer's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// The first row.
    pub row: u32,
    /// Rows.
    pub rows: u32,
    /// The element of the tensor that stands first in the layer's [`result`](Layer::result): others follow in their order.
    pub element: u32,
}

/// A part of an input that no slice holds as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPart {
    /// The element that stands first in the region: others follow in their order.
    pub element: u32,
    /// Where they stand.
    pub region: Region,
}

/// A complete program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the network.
    pub model: String,
    /// Name of the board or configuration it was made for.
    pub board: String,
    /// The machine it was made for.
    pub configuration: Configuration,
    /// Content of each tile's weight RAM from address 0, `dot` weights a word.
    #[serde(with = "hexadecimal")]
    pub weights: Vec<Vec<i8>>,
    /// Entries of the scale table; each has `stream_elements` lanes.
    pub scales: Vec<Vec<Scale>>,
    /// One program for each queue, in the order of [`Unit::all`].
    pub queues: Vec<Queue>,
    /// Where the host writes the input; its first part, where no slice holds it as a whole.
    pub input: Region,
    /// The other parts. They overlap: the host writes an element to every place that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_input: Vec<InputPart>,
    /// What the host writes where its regions have no element: padding.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_fill: i8,
    /// Where the host reads the output.
    pub output: Region,
    /// The layers in the order of execution.
    pub layers: Vec<Layer>,
    /// Useful multiplications of one inference.
    pub macs: u64,
    /// Predicted cycles of one inference; of the first entry point, where there are several.
    pub cycles: u64,
    /// Elements that the host writes into the vector memory before the first run: constant operands, and the state with which a
    /// network begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<Constants>,
    /// The softmaxes whose exponentials stand in the vector unit's tables, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub softmaxes: Vec<Softmax>,
    /// What the host makes of the output that it has read, where no unit of the machine does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// What only a program for a machine with [`Extensions`](crate::configuration::Extensions) has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

/// What a language model's program has beyond others: contents of more memories, registers, and a schedule for each of several
/// lengths of the context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// Elements that the host writes into the vector memory before the first run.
    pub constants: Vec<Constants>,
    /// The vector unit's tables, by number.
    pub tables: Vec<Table>,
    /// The schedules, that of the shortest context first.
    pub entries: Vec<Entry>,
    /// The registers that the host sets, from register 1 on: the token's slot, then the position.
    pub token: u32,
    /// Register of the position of the token that a run takes in; the run moves it on.
    pub position: u32,
    /// The slot of each token: what its register holds.
    pub slots: Vec<u32>,
    /// Positions that there is room for.
    pub context: u32,
    /// Further sequences of which each run takes in a token, at the same position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherSequence>,
    /// Schedules that take in several tokens of a prompt at once, that of the shortest context first; all of as many tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefill: Vec<Prefill>,
}

impl Language {
    /// The schedule that takes in several tokens of a prompt at once from `position` on, if there is one; `left` tokens are left whose
    /// answers nobody asks for.
    #[must_use]
    pub fn prefill_at(&self, position: u32, left: usize) -> Option<&Prefill> {
        let serves = |prefill: &&Prefill| {
            let count = prefill.tokens.len() as u32;
            count > 0 && position.is_multiple_of(count) && position + count <= prefill.positions
        };
        self.prefill.iter().find(serves).filter(|prefill| prefill.tokens.len() <= left)
    }
}

/// A schedule that takes in several tokens of a sequence, which stand one behind the other. It stores their keys and values and moves
/// the position on; it makes no choice of a next token, and no output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefill {
    /// Number of its first instruction, the same in every queue.
    pub instruction: u32,
    /// The registers of the tokens' slots, which the host sets. The position of the first token is a multiple of how many they are.
    pub tokens: Vec<u32>,
    /// All their positions are below this, and not below that of the schedule before it.
    pub positions: u32,
    /// Predicted cycles.
    pub cycles: u64,
    /// Useful multiplications at the last of its positions.
    pub macs: u64,
}

/// A sequence beside the first: what it has for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSequence {
    /// Register of its token's slot.
    pub token: u32,
    /// Scalar of the last norm's factor.
    pub norm: u32,
    /// Where the host reads its classifier's results.
    pub output: Region,
}

/// Elements in the vector memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constants {
    /// What they are.
    pub name: String,
    /// Vector memory slice.
    pub slice: u32,
    /// First beat.
    pub base: u32,
    /// The elements, whole beats.
    pub elements: Vec<i16>,
}

/// A schedule for all positions below a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of its first instruction, the same in every queue.
    pub instruction: u32,
    /// The positions for which it is right are below this, and not below that of the schedule before it.
    pub positions: u32,
    /// Predicted cycles.
    pub cycles: u64,
    /// Useful multiplications at the last of its positions.
    pub macs: u64,
}

/// Why an image cannot be used.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// Not JSON, or fields missing or of the wrong type.
    #[error("the program image cannot be read: {0}")]
    Syntax(String),
    /// Another version of the form.
    #[error("the program image has format {found}, this version reads format {FORMAT}")]
    Format {
        /// The version found.
        found: u32,
    },
    /// The configuration inside is not valid.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// An instruction does not fit the configuration.
    #[error("instruction {index}: {source}")]
    Instruction {
        /// Number of the instruction in its queue.
        index: usize,
        /// What is wrong with it.
        source: InstructionError,
    },
    /// The parts of the image contradict each other or the configuration.
    #[error("the program image contradicts itself: {0}")]
    Inconsistent(String),
}

impl Program {
    /// Reads and checks an image.
    ///
    /// # Errors
    /// Anything that would make a loader or model meet an impossible value is an error here.
    pub fn from_json(text: &str) -> Result<Program, ProgramError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let syntax = |error: serde_json::Error| ProgramError::Syntax(error.to_string());
        let version: Version = serde_json::from_str(text).map_err(syntax)?;
        if version.format != FORMAT {
            return Err(ProgramError::Format { found: version.format });
        }
        let program: Program = serde_json::from_str(text).map_err(syntax)?;
        program.check()?;
        Ok(program)
    }

    /// The image as text.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub fn to_json(&self) -> Result<String, ProgramError> {
        serde_json::to_string(self).map_err(|error| ProgramError::Syntax(error.to_string()))
    }

    /// Checks the image against its configuration: sizes, ranges, one queue for each unit. Whether the *schedule* is right is
    /// the checker's business.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), ProgramError> {
        let configuration = &self.configuration;
        configuration.check()?;
        let inconsistent = |what: String| Err(ProgramError::Inconsistent(what));
        let units = Unit::all(configuration);
        if self.queues.iter().map(|queue| queue.unit).ne(units.iter().copied()) {
            return inconsistent("the queues are not those of the configuration".into());
        }
        if self.weights.len() != configuration.tiles as usize {
            return inconsistent(format!("weights for {} tiles, not {}", self.weights.len(), configuration.tiles));
        }
        for (tile, weights) in self.weights.iter().enumerate() {
            let words = weights.len().div_ceil(configuration.dot as usize);
            if words > configuration.weight_depth as usize || !weights.len().is_multiple_of(configuration.dot as usize)
            {
                return inconsistent(format!("tile {tile} has {} weights", weights.len()));
            }
        }
        if self.scales.len() > configuration.scale_depth as usize {
            return inconsistent(format!(
                "{} scales, but the table holds {}",
                self.scales.len(),
                configuration.scale_depth
            ));
        }
        for scale in self.scales.iter().flatten() {
            if !scale.is_encodable_in(configuration) {
                return inconsistent(format!("scale {scale:?} is out of range"));
            }
        }
        if self.scales.iter().any(|entry| entry.len() != configuration.stream_elements as usize) {
            return inconsistent("a scale entry does not have one value for each lane".into());
        }
        if self.softmaxes.len() > configuration.softmax_tables as usize {
            return inconsistent(format!(
                "{} tables of exponentials, but the machine has {}",
                self.softmaxes.len(),
                configuration.softmax_tables
            ));
        }
        self.check_constants(&self.constants)?;
        if let Some(finish) = &self.finish {
            finish.check(self.output.positions.len()).map_err(ProgramError::Inconsistent)?;
        }
        self.check_language()?;
        let layer_results = self.layers.iter().map(|layer| &layer.result);
        let others = self.language.iter().flat_map(|language| &language.others).map(|other| &other.output);
        let parts = self.more_input.iter().map(|part| &part.region);
        for region in [&self.input, &self.output].into_iter().chain(parts).chain(layer_results).chain(others) {
            let end = u64::from(region.base) + u64::from(region.beats);
            let elements = u64::from(region.beats) * u64::from(configuration.dot);
            if region.slice >= configuration.vector_slices
                || end > u64::from(configuration.vector_beats())
                || region.positions.iter().any(|&position| u64::from(position) >= elements)
            {
                return inconsistent(format!("tensor `{}` lies outside the vector memory", region.tensor));
            }
        }
        for queue in &self.queues {
            if queue.instructions.len() > configuration.queue_depth as usize {
                return inconsistent(format!(
                    "{} instructions in the queue of {}, which holds {}",
                    queue.instructions.len(),
                    queue.unit,
                    configuration.queue_depth
                ));
            }
            if queue.instructions.last().map(|placed| placed.instruction.operation) != Some(Operation::Halt) {
                return inconsistent(format!("the queue of {} does not end in `halt`", queue.unit));
            }
            for (index, placed) in queue.instructions.iter().enumerate() {
                if placed.layer.is_some_and(|layer| layer as usize >= self.layers.len()) {
                    return inconsistent(format!("instruction {index} of {} names an unknown layer", queue.unit));
                }
                placed
                    .instruction
                    .check(queue.unit, configuration)
                    .map_err(|source| ProgramError::Instruction { index, source })?;
                if !queue.is_loop(index) {
                    return inconsistent(format!(
                        "instruction {index} of {} ends a loop that begins before the queue or contains a `repeat` or a `halt`",
                        queue.unit
                    ));
                }
            }
        }
        Ok(())
    }

    /// Elements of the input.
    #[must_use]
    pub fn input_length(&self) -> usize {
        self.input_parts().map(|(elements, _)| elements.end).max().unwrap_or(0)
    }

    /// The places where the host writes the input, with the elements that stand there.
    pub fn input_parts(&self) -> impl Iterator<Item = (Range<usize>, &Region)> {
        let more = self.more_input.iter().map(|part| (part.element as usize, &part.region));
        std::iter::once((0, &self.input))
            .chain(more)
            .map(|(first, region)| (first..first + region.positions.len(), region))
    }

    /// The output as the network's answer, once the machine has made it.
    #[must_use]
    pub fn finished(&self, output: Vec<i8>) -> Vec<i8> {
        match &self.finish {
            Some(finish) => finish.apply(&output),
            None => output,
        }
    }

    /// Elements that the host writes.
    fn check_constants(&self, constants: &[Constants]) -> Result<(), ProgramError> {
        let configuration = &self.configuration;
        for Constants { name, slice, base, elements } in constants {
            let beats = elements.len() as u64 / u64::from(configuration.dot);
            let end = u64::from(*base) + beats;
            if *slice >= configuration.vector_slices
                || end > u64::from(configuration.vector_beats())
                || !elements.len().is_multiple_of(configuration.dot as usize)
            {
                let what = format!("the constants `{name}` lie outside the vector memory");
                return Err(ProgramError::Inconsistent(what));
            }
        }
        Ok(())
    }

    /// What only a language model's program has.
    fn check_language(&self) -> Result<(), ProgramError> {
        let inconsistent = |what: String| Err(ProgramError::Inconsistent(what));
        let configuration = &self.configuration;
        let Some(language) = &self.language else { return Ok(()) };
        self.check_constants(&language.constants)?;
        if language.tables.len() > configuration.tables() as usize {
            return inconsistent(format!(
                "{} tables, but the machine has {}",
                language.tables.len(),
                configuration.tables()
            ));
        }
        let register = |number: u32| (1..=configuration.registers()).contains(&number);
        let mut tokens = std::iter::once(language.token).chain(language.others.iter().map(|other| other.token));
        if !tokens.all(register) || !register(language.position) {
            return inconsistent("token or position stand in no register".into());
        }
        if language.others.iter().any(|other| other.norm >= configuration.scalars()) {
            return inconsistent("the factor of a sequence's last norm stands in no scalar".into());
        }
        let tokens = language.prefill.first().map_or(0, |prefill| prefill.tokens.len());
        for Prefill { tokens: registers, positions, .. } in &language.prefill {
            let alike = registers.len() == tokens && positions.is_multiple_of(tokens.max(1) as u32);
            if tokens == 0 || !alike || !registers.iter().all(|&number| register(number)) {
                return inconsistent(
                    "a schedule for prompts has no tokens, or not as many as another, or in no register".into(),
                );
            }
        }
        let prefill = language.prefill.iter().map(|prefill| prefill.instruction);
        for instruction in language.entries.iter().map(|entry| entry.instruction).chain(prefill) {
            let reached = |queue: &Queue| queue.instructions.len() > instruction as usize;
            if !self.queues.iter().all(reached) {
                return inconsistent(format!("an entry point at instruction {instruction}, where a queue has none"));
            }
        }
        Ok(())
    }

    /// The queue of `unit`, if the program has one.
    pub fn queue(&self, unit: Unit) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.unit == unit)
    }
}

/// Weights as hexadecimal strings, two digits a weight.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::SerializeSeq};
    use std::fmt::Write as _;

    pub fn serialize<S: Serializer>(tiles: &[Vec<i8>], serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(tiles.len()))?;
        for tile in tiles {
            let mut text = String::with_capacity(2 * tile.len());
            for &weight in tile {
                let _ = write!(text, "{:02x}", weight as u8);
            }
            sequence.serialize_element(&text)?;
        }
        sequence.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<i8>>, D::Error> {
        let tiles = Vec::<String>::deserialize(deserializer)?;
        let digit = |byte: u8| (byte as char).to_digit(16);
        tiles
            .iter()
            .map(|text| {
                if text.len() % 2 != 0 {
                    return Err(D::Error::custom("odd number of hexadecimal digits in the weights"));
                }
                text.as_bytes()
                    .chunks_exact(2)
                    .map(|pair| match (digit(pair[0]), digit(pair[1])) {
                        (Some(high), Some(low)) => Ok((high * 16 + low) as u8 as i8),
                        _ => Err(D::Error::custom("a weight is not hexadecimal")),
                    })
                    .collect()
            })
            .collect()
    }
}
