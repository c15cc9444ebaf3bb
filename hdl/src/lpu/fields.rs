//! Instruction words as the hardware sees them: named slices of the queue's output.

use super::queue::header_bits;
use crate::layer::{Expr, ModuleBuilder, Signal};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Field, Unit, fields};

/// The fields of one unit's instruction word.
pub struct Fields {
    word: Signal,
    fields: Vec<Field>,
    /// Whose least cycles between two instructions, and whose sequences.
    configuration: Configuration,
}

impl Fields {
    /// The fields of `word`, the `fields` output of the queue of `unit`.
    pub fn of(unit: Unit, configuration: &Configuration, word: Signal) -> Fields {
        Fields { word, fields: fields(unit, configuration), configuration: configuration.clone() }
    }

    /// The configuration that gives the fields their widths.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The field `name`, signed where the instruction set says so. An unknown name gives an empty slice, which the design
    /// check refuses.
    pub fn get(&self, name: &str) -> Expr {
        let (position, bits, signed) =
            self.fields.iter().find(|field| field.name == name).map_or((0, 0, false), |field| {
                (field.position - header_bits(&self.configuration), field.bits, field.signed)
            });
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
    ///
    /// Two instructions are never closer than a queue can issue them, so a value need not move each cycle: it waits in a register for
    /// as long as nothing can come to overwrite it, and `run`, which moves each cycle, tells the next register when to take it.
    pub fn follow(&self, m: &mut ModuleBuilder, run: &Signal, name: &str, cycles: usize) -> Expr {
        let value = self.get(name);
        let interval = self.configuration.minimum_interval() as usize;
        let mut register = m.register(&format!("{name}_held"), value.ty());
        m.next_when(&register, Expr::from(run), value);
        let mut arrived = run.clone();
        let mut passed = 0;
        while passed < cycles {
            let wait = interval.min(cycles - passed);
            passed += wait;
            arrived = m.delay(&format!("{name}_arrives_{passed}"), Expr::from(&arrived), wait);
            let next = m.register(&format!("{name}_at_{passed}"), register.ty());
            m.next_when(&next, Expr::from(&arrived), Expr::from(&register));
            register = next;
        }
        Expr::from(&register)
    }
}
