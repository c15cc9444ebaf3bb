//! Where words leave the vector unit's lanes for their limits: at one of three places, as their instruction's way says; and what belongs
//! to them from there on, which has to come from as many places.

use super::extended_vector_unit::Program;
use super::masking::{MASK_CYCLES, beyond};
use super::{held_while_idle, spare_registers};
use crate::layer::{Expr, ModuleBuilder, Signal, concat};
use lpu_isa::configuration::{Configuration, REGISTER_BITS};
use lpu_isa::instruction::Function;
use lpu_isa::stages::VectorStage;
use lpu_isa::vector::{Combine, Path, ScalarOperand};

/// All ways, the shortest first.
const PATHS: [Path; 3] = [Path::Plain, Path::Arithmetic, Path::Table];

/// Cycles from the operands' arrival to the comparison with the limits.
pub fn begin(path: Path, configuration: &Configuration) -> usize {
    let limits = [VectorStage::Compared, VectorStage::Clamped].map(|stage| stage.cycles(configuration));
    (VectorStage::cycles_of_path(path, configuration) - limits.iter().sum::<u32>()) as usize
}

/// Words that leave the lanes, in the order in which they have entered them, at most one in a cycle. Everything here comes
/// [`spare_registers`] before the comparison of the word with its limits, so that a register beside its user may hold it.
///
/// Two instructions may be one cycle apart here, when the first one's way is longer: what stands in fields for as long as a queue's interval
/// is on its way up to here moves each cycle from here on.
pub(super) struct Leaving {
    /// Does a word leave, and is its way [`Path::Plain`], is it [`Path::Arithmetic`]?
    pub(super) word: Expr,
    pub(super) plain: Expr,
    pub(super) arithmetic: Expr,
    /// Is it the first of its instruction, is it the last?
    pub(super) opens: Expr,
    pub(super) closes: Expr,
    /// The address of its step.
    pub(super) address: Expr,
    /// One bit for each of its elements beyond the mask.
    pub(super) masked: Expr,
    /// Fields of its instruction.
    fields: Signal,
    places: Vec<(&'static str, usize, usize)>,
    /// Cycles from here to the result.
    to_result: usize,
}

impl Leaving {
    /// What leaves, and `values` of the instruction that it belongs to, each valid when the instruction issues.
    pub(super) fn of(m: &mut ModuleBuilder, program: &Program<'_>, values: Vec<(&'static str, Expr)>) -> Leaving {
        let Program { configuration, run, sequencer, arrival, .. } = program;
        let configuration: &Configuration = configuration;
        let spare = spare_registers(configuration);
        let cycles = PATHS.map(|path| arrival + begin(path, configuration) - spare);
        let ways = ways(program);

        m.section("Instructions that leave");
        let mut places = Vec::new();
        let mut lowest = 0;
        for (name, value) in &values {
            places.push((*name, lowest, value.width()));
            lowest += value.width();
        }
        let whole = concat(&values.iter().rev().map(|(_, value)| value.as_bits()).collect::<Vec<_>>());
        // A field waits for as long as a queue's interval; it is taken out where it waits when its instruction leaves.
        let interval = configuration.minimum_interval() as usize;
        let waits = cycles.map(|cycles| (cycles - 1) / interval * interval);
        let waiting = program.fields.follow_to(m, run, "leaving_fields", whole, &waits);
        let leaves: Vec<Expr> = (0..PATHS.len())
            .map(|way| {
                let issues = Expr::from(run).and(&ways[way]);
                Expr::from(&m.delay(&format!("instruction_leaves_{way}"), issues, cycles[way]))
            })
            .collect();
        let any = leaves[0].or(&leaves[1]).or(&leaves[2]);
        let chosen = leaves[0].choose(&waiting[0], leaves[1].choose(&waiting[1], &waiting[2]));
        let fields = held_while_idle(m, "fields_of_leaving", &any, chosen);

        m.section("Words that leave");
        let steps: Vec<Expr> = (0..PATHS.len())
            .map(|way| {
                let held = program.fields.follow_value(m, run, &format!("way_{way}"), ways[way].clone(), 0);
                let step = Expr::from(&sequencer.output("step")).and(held);
                Expr::from(&m.delay(&format!("word_leaves_{way}"), step, cycles[way]))
            })
            .collect();
        let masked = beyond(m, configuration, &program.fields, run, sequencer, None);
        let of_step = ["address", "closes", "opens"].map(|port| Expr::from(&sequencer.output(port)));
        let of_step = m.delay("step_at_mask", concat(&of_step), MASK_CYCLES);
        let mut following = concat(&[masked, Expr::from(&of_step)]);
        let mut passed = MASK_CYCLES;
        let mut come = Vec::new();
        for (way, cycles) in cycles.into_iter().enumerate() {
            following = Expr::from(&m.delay(&format!("step_at_{way}"), following, cycles - passed));
            passed = cycles;
            come.push(following.clone());
        }
        let chosen = m.wire("leaving_step", steps[0].choose(&come[0], steps[1].choose(&come[1], &come[2])));
        let word = Expr::from(&m.wire("word_leaves", steps[0].or(&steps[1]).or(&steps[2])));
        let part = |lowest: usize, bits: usize| Expr::from(&chosen).slice(lowest, bits);
        let address_bits = REGISTER_BITS as usize;
        Leaving {
            opens: part(0, 1),
            closes: word.and(part(1, 1)),
            address: part(2, address_bits),
            masked: part(2 + address_bits, configuration.stream_elements as usize),
            plain: steps[0].clone(),
            arithmetic: steps[1].clone(),
            word,
            fields,
            places,
            to_result: spare
                + (VectorStage::Compared.cycles(configuration) + VectorStage::Clamped.cycles(configuration)) as usize,
        }
    }

    /// The value `name` of the instruction under way. An unknown name gives an empty slice, which the design check refuses.
    pub(super) fn field(&self, name: &str) -> Expr {
        let place = self.places.iter().find(|(other, ..)| *other == name);
        let (lowest, bits) = place.map_or((0, 0), |&(_, lowest, bits)| (lowest, bits));
        Expr::from(&self.fields).slice(lowest, bits)
    }

    /// What comes here, `cycles` behind the result.
    pub(super) fn behind_result(&self, m: &mut ModuleBuilder, name: &str, value: Expr, cycles: usize) -> Expr {
        Expr::from(&m.delay(name, value, self.to_result + cycles))
    }
}

/// Whether the instruction that issues goes each of the [`PATHS`]: [`lpu_isa::vector::Arithmetic::path`].
fn ways(program: &Program<'_>) -> [Expr; 3] {
    let table = program.fields.bits("table").any();
    let shifts = program.fields.bits("shift").any();
    let scalar = program.is("scalar", ScalarOperand::None as u64).not();
    let multiplies = program.is("function", Function::Multiply as u64);
    let combines = program.is("combine", Combine::Each as u64).not();
    let arithmetic = shifts.or(scalar).or(multiplies).or(combines);
    [table.or(&arithmetic).not(), table.not().and(arithmetic), table]
}
