//! Cycles between the points of the machine, computed once from the configuration.
//!
//! A *step* is one cycle in which a unit's sequencer presents an address. An instruction issued at cycle `t` has its first
//! step at `t + `[`ISSUE_TO_STEP`]. A consumer's step at cycle `s` takes what its source port drives at cycle `s`: the unit
//! delays its own controls by the crossbar's registers, so a schedule never has to mention them.
//!
//! ```
//! use lpu_isa::{configuration::Configuration, latency::Latency};
//! let latency = Latency::of(&Configuration::default());
//! // The last step of a product, to the step at which its result can be read again from the vector memory.
//! assert_eq!(latency.step_to_drain + latency.requantise + latency.write_to_read, 42);
//! ```

use crate::configuration::Configuration;
use crate::instruction::Function;
use crate::stages::{LaneStage, NormaliseStage, TermStage, VectorStage};
use crate::vector::{Arithmetic, Path};

/// Cycles from the issue of an instruction to its first step.
pub const ISSUE_TO_STEP: u32 = 1;
/// Cycles that a queue needs from one issue to the next, even where an instruction is one word of its RAM. Where it is more,
/// [`Configuration::minimum_interval`] is longer.
pub const SHORTEST_INTERVAL: u32 = 3;

/// Cycles from the one in which a run-time register's new value stands at a unit's own copy of the registers, to the first issue that
/// takes it: the copy's two, and one in which nothing is looked up.
pub const REGISTER_LOOKUP: u32 = 3;

/// Cycles from a step of the vector unit until its operands have arrived: they cross, and a machine that has scalars looks one up
/// meanwhile, which takes a cycle, and another one for its number where registers are not saved.
pub fn scalar_arrival(configuration: &Configuration) -> u32 {
    let lookup = match configuration.extensions {
        None => 0,
        Some(_) if configuration.pipeline.compact => 1,
        Some(_) => 2,
    };
    configuration.pipeline.crossbar.max(lookup)
}

/// Cycles from the pulse that starts all queues to the issue of their first instructions, cycle 0 of the run: a register beside the queue,
/// the program counter, the words of an instruction through the block RAM, and the register that puts them together.
pub fn start_to_issue(configuration: &Configuration) -> u32 {
    // The opcode of an instruction is decoded one cycle behind its first word, so a single word takes as long as two. Registers are looked
    // up as long as between any two instructions.
    let least = if configuration.extensions.is_some() { SHORTEST_INTERVAL } else { 2 };
    let words = configuration.queue_words_per_instruction().max(least);
    u32::from(!configuration.pipeline.compact) + 1 + words + block_ram(configuration)
}

/// Idle cycles between two runs of a generation: from the cycle behind the last halt of the one to the cycle before the first issue of
/// the other. One value, whatever the runs do: the queues' flags, their conjunction, the start pulse, and what that takes.
///
/// ```
/// use lpu_isa::configuration::{Configuration, Extensions};
/// use lpu_isa::latency::between_runs;
/// let extensions = Some(Extensions { registers: 14, scalars: 9, tables: 2, tokens: 256 });
/// assert_eq!(between_runs(&Configuration { queue_word_bits: 72, extensions, ..Configuration::default() }), 10);
/// ```
pub fn between_runs(configuration: &Configuration) -> u32 {
    2 + start_to_issue(configuration)
}

/// Cycles of the multiplier primitive: input, pipeline and output register; in a compact machine the output register alone.
pub fn multiplier(configuration: &Configuration) -> u32 {
    if configuration.pipeline.compact { 1 } else { 3 }
}

/// Cycles of the block RAM primitive: the RAM itself and its output register, which a compact machine does without.
pub fn block_ram(configuration: &Configuration) -> u32 {
    if configuration.pipeline.compact { 1 } else { 2 }
}

/// Cycles for which the operands of a requantiser that looks up scales wait behind the crossbar: the address and the block RAM, less
/// the register that the operands have anyway; the register beside the lanes, which a compact machine does without.
pub fn lookup(configuration: &Configuration) -> u32 {
    block_ram(configuration) + u32::from(!configuration.pipeline.compact)
}

/// The latency table of one configuration. All values are cycles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Crossbar source port to destination port.
    pub crossbar: u32,
    /// Step of a vector memory read to the word on the slice's source port.
    pub vector_read: u32,
    /// Weight address at the tile's input register to the weight word at the multiplier.
    pub weight_read: u32,
    /// Operands at the multiplier to the product.
    pub multiply: u32,
    /// Products to their sum: the adder tree.
    pub adder_tree: u32,
    /// Step of a tile group with the last operands of a product to the shadow accumulator of row 0: input register, the later
    /// of weight and activation, product, sum, accumulator, shadow.
    pub step_to_shadow: u32,
    /// Step of a tile group with the last operands of a product, to the cycle for whose step the requantiser takes row 0 of
    /// the result. Row `r` follows `r` times the configuration's `requantise_interval` later.
    pub step_to_drain: u32,
    /// Step of the requantiser to the word on its source port.
    pub requantise: u32,
    /// Step of the vector unit to the word on its source port; in a machine with extensions the longest, see [`Latency::vector`].
    pub vector_unit: u32,
    /// Step of a vector memory write to the first read step that may take the word.
    pub write_to_read: u32,
    /// What only a machine with softmax has.
    pub softmax: Option<SoftmaxLatency>,
    /// What only a machine with [`Extensions`](crate::configuration::Extensions) has.
    pub extensions: Option<ExtensionLatency>,
}

/// The latencies of the vector unit's softmax. All values are cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftmaxLatency {
    /// From a word to the next, at least: an element each cycle.
    pub word_interval: u32,
    /// Step of the pass that delivers results, to the word on the vector unit's source port.
    pub word: u32,
    /// Idle cycles between two passes, at least: what the sum's reciprocal takes.
    pub gap: u32,
}

impl SoftmaxLatency {
    fn of(configuration: &Configuration) -> SoftmaxLatency {
        use crate::stages::SoftmaxStage as Stage;
        let (word_interval, crossbar) = (configuration.stream_elements, configuration.pipeline.crossbar);
        // From the step of a pass's last word: its last element is in the sum, which then is normalised, and the reciprocal found. The first
        // exponential of the next pass meets it at the multiplier.
        let solved = word_interval - 1 + Stage::Normalised.end() + Stage::RECIPROCAL;
        SoftmaxLatency {
            word_interval,
            word: crossbar + word_interval - 1 + Stage::Word.end(),
            gap: solved - Stage::Exponential.end() - 1,
        }
    }
}

/// The latencies of a machine's extensions. All values are cycles.
///
/// Registers change through one bus, scalars through one port: no two registers may change in one cycle, nor two scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionLatency {
    /// Step of the vector unit to the word on its source port, where the instruction's way is [`Path::Plain`].
    pub vector_plain: u32,
    /// The same where it is [`Path::Arithmetic`].
    pub vector_arithmetic: u32,
    /// Last step of an instruction of the vector unit that is reduced, to the first step of the vector unit that may take the scalar,
    /// where the instruction goes through a table; see [`Latency::vector_to_scalar`].
    pub vector_to_scalar: u32,
    /// Last step of an instruction of the requantiser whose largest result is kept, to the first step of the vector unit that may
    /// take the scalar.
    pub requantise_to_scalar: u32,
    /// Last step of an arg-max, to the first issue that may take the register, where the instruction goes through a table; see
    /// [`Latency::vector_to_register`].
    pub vector_to_register: u32,
    /// Issue of an assignment to a register, to the first issue that may take it.
    pub register: u32,
    /// Step that stores a word in the weight RAMs, to the first step of a tile group that may take it as weights.
    pub store_to_weights: u32,
    /// Step of a tile group that fetches weights, to the beat on the weights' port.
    pub fetch: u32,
}

impl ExtensionLatency {
    fn of(configuration: &Configuration, requantise: u32, vector_unit: u32, weight_read: u32) -> ExtensionLatency {
        let pipeline = &configuration.pipeline;
        let spare = u32::from(!pipeline.compact);
        // Levels of a tree over the lanes; the running value follows.
        let tree = configuration.stream_elements.trailing_zeros();
        // A scalar is read a cycle before the operands have arrived, at the earliest in the cycle after it is written.
        let arrival = scalar_arrival(configuration);
        let reduced = TermStage::cycles_of_all(configuration) + tree + 1 + NormaliseStage::cycles_of_all(configuration);
        // The registers' bus, its copy beside each unit.
        let bus = 1 + spare;
        ExtensionLatency {
            vector_plain: arrival + VectorStage::cycles_of_path(Path::Plain, configuration),
            vector_arithmetic: arrival + VectorStage::cycles_of_path(Path::Arithmetic, configuration),
            vector_to_scalar: vector_unit + reduced + 2 - arrival,
            // The tree, the running value, the scalar itself.
            requantise_to_scalar: requantise + tree + 2 + 2 - arrival,
            vector_to_register: vector_unit + tree + 1 + bus + REGISTER_LOOKUP,
            // The product, the sum, the shift in one cycle or two.
            register: multiplier(configuration) + 2 + spare + bus + REGISTER_LOOKUP,
            // The row's register and the RAM's own; weights are read as much later as a row is further down.
            store_to_weights: pipeline.crossbar + 2,
            // Like a result that leaves row 0 at once; then the choice of a column.
            fetch: pipeline.crossbar.saturating_sub(weight_read)
                + 1
                + weight_read
                + configuration.tile_rows()
                + pipeline.drain
                + 2,
        }
    }
}

impl Latency {
    /// Step of the vector unit to the word on its source port, for an instruction with this function and arithmetic.
    pub fn vector(&self, function: Function, arithmetic: &Arithmetic) -> u32 {
        match (&self.extensions, arithmetic.path(function)) {
            (Some(extensions), Path::Plain) => extensions.vector_plain,
            (Some(extensions), Path::Arithmetic) => extensions.vector_arithmetic,
            _ => self.vector_unit,
        }
    }

    /// Last step of a reduced instruction of the vector unit, to the first step of the vector unit that may take the scalar; 0 in
    /// a machine without scalars.
    pub fn vector_to_scalar(&self, function: Function, arithmetic: &Arithmetic) -> u32 {
        let earlier = self.vector_unit - self.vector(function, arithmetic);
        self.extensions.map_or(0, |extensions| extensions.vector_to_scalar.saturating_sub(earlier))
    }

    /// Last step of an arg-max, to the first issue that may take the register; 0 in a machine without registers.
    pub fn vector_to_register(&self, function: Function, arithmetic: &Arithmetic) -> u32 {
        let earlier = self.vector_unit - self.vector(function, arithmetic);
        self.extensions.map_or(0, |extensions| extensions.vector_to_register.saturating_sub(earlier))
    }

    /// The latency table of `configuration`.
    pub fn of(configuration: &Configuration) -> Latency {
        let pipeline = &configuration.pipeline;
        let crossbar = pipeline.crossbar;
        let ram = block_ram(configuration);
        let weight_read = ram + pipeline.weight_read;
        // Two products of one multiplier take a register to be told apart.
        let multiply = multiplier(configuration) + pipeline.multiply + configuration.channels_per_tile() - 1;
        let adder_tree = configuration.dot.trailing_zeros();
        let step_to_shadow = 1 + weight_read.max(crossbar) + multiply + adder_tree + 1 + 1;
        // One chain register in each row, then the way back; the requantiser looks at it `crossbar` cycles after its step.
        let step_to_drain = step_to_shadow + configuration.tile_rows() + pipeline.drain - crossbar;
        // The scale table's block RAM is read while the operands cross; where an element may choose the entry, it has to cross
        // first, and the operands wait. The last elements of a word enter the lanes later than the first.
        let table = if configuration.lookup { crossbar + lookup(configuration) } else { crossbar.max(ram) };
        let requantise = table + LaneStage::cycles_of_all(configuration) + configuration.requantise_interval - 1;
        let vector_unit = scalar_arrival(configuration) + VectorStage::cycles_of_all(configuration);
        Latency {
            crossbar,
            // A compact machine does without the register behind the rotation.
            vector_read: 1 + ram + pipeline.vector_read + u32::from(!pipeline.compact),
            weight_read,
            multiply,
            adder_tree,
            step_to_shadow,
            step_to_drain,
            requantise,
            vector_unit,
            write_to_read: crossbar + 1,
            softmax: configuration.has_softmax().then(|| SoftmaxLatency::of(configuration)),
            extensions: configuration
                .extensions
                .map(|_| ExtensionLatency::of(configuration, requantise, vector_unit, weight_read)),
        }
    }
}
