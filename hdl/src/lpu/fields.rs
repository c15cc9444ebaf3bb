//! Instruction words as the hardware sees them: named slices of the queue's output.

use super::queue::HEADER_BITS;
use crate::layer::{Expr, ModuleBuilder, Signal};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Field, Unit, fields};

/// The fields of one unit's instruction word.
pub struct Fields {
    word: Signal,
    fields: Vec<Field>,
}

impl Fields {
    /// The fields of `word`, the `fields` output of the queue of `unit`.
    pub fn of(unit: Unit, configuration: &Configuration, word: Signal) -> Fields {
        Fields { word, fields: fields(unit, configuration) }
    }

    /// The field `name`, signed where the instruction set says so. An unknown name gives an empty slice, which the design
    /// check refuses.
    pub fn get(&self, name: &str) -> Expr {
        let (position, bits, signed) = self
            .fields
            .iter()
            .find(|field| field.name == name)
            .map_or((0, 0, false), |field| (field.position - HEADER_BITS, field.bits, field.signed));
        let slice = Expr::from(&self.word).slice(position as usize, bits as usize);
        if signed { slice.as_signed() } else { slice }
    }

    /// The field `name` as plain bits.
    pub fn bits(&self, name: &str) -> Expr {
        self.get(name).as_bits()
    }

    /// The field `name` of the instruction under way, `cycles` after the step that it belongs to. It is held from the issue
    /// (`run`) to the next and follows the operands through the pipeline, so that the next instruction may begin while the
    /// last words of this one are still under way.
    pub fn follow(&self, m: &mut ModuleBuilder, run: &Signal, name: &str, cycles: usize) -> Expr {
        let value = self.get(name);
        let register = m.register(&format!("{name}_held"), value.ty());
        m.next_when(&register, Expr::from(run), value);
        Expr::from(&m.delay(&format!("{name}_at_{cycles}"), Expr::from(&register), cycles))
    }
}
