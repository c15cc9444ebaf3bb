//! Instruction words as the hardware sees them: named slices of the queue's output.

use super::constant;
use super::queue::header_bits;
use crate::layer::{Expr, Instance, ModuleBuilder, Signal};
use lpu_isa::configuration::{Configuration, REGISTER_BITS};
use lpu_isa::instruction::{Field, Unit, fields, register_fields};

/// The fields of one unit's instruction word.
pub struct Fields {
    word: Signal,
    /// The values of the registers that the instruction names, by the names of the fields.
    captured: Vec<(&'static str, Signal)>,
    fields: Vec<Field>,
    /// Whose least cycles between two instructions, and whose sequences.
    configuration: Configuration,
}

impl Fields {
    /// The fields of what `queue`, the queue of `unit`, issues.
    pub fn of(unit: Unit, configuration: &Configuration, queue: &Instance) -> Fields {
        let names = register_fields(unit, configuration).iter().enumerate();
        let captured = names.map(|(index, name)| (*name, queue.output(&format!("captured_{index}")))).collect();
        let word = queue.output("fields");
        Fields { word, captured, fields: fields(unit, configuration), configuration: configuration.clone() }
    }

    /// The value of the register that the field `name` names, valid in the cycle of the issue; 0 where the unit has no such field.
    pub fn captured(&self, name: &str) -> Expr {
        let captured = self.captured.iter().find(|(other, _)| *other == name);
        captured.map_or_else(|| constant(0, REGISTER_BITS), |(_, signal)| Expr::from(signal))
    }

    /// Numbers of registers are the queue's business: nothing else reads them, but for those in `read`.
    pub fn leave_numbers(&self, m: &mut ModuleBuilder, read: &[&str]) {
        for (name, _) in self.captured.iter().filter(|(name, _)| !read.contains(name)) {
            m.unused(self.bits(name));
        }
    }

    /// What is added to the base of a sequence whose addresses have `bits` bits; `None` in a machine without registers.
    pub fn offset(&self, m: &mut ModuleBuilder, bits: usize) -> Option<Expr> {
        let (_, register) = self.captured.iter().find(|(name, _)| *name == "register")?;
        let register = Expr::from(register);
        let width = register.width();
        if bits < width {
            m.unused(register.slice(bits, width - bits));
        }
        Some(if bits > width { register.extend(bits) } else { register.truncate(bits) })
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
        self.follow_value(m, run, name, self.get(name), cycles)
    }

    /// The same for any value that is valid in the cycle of the issue, under the name `name`.
    pub fn follow_value(&self, m: &mut ModuleBuilder, run: &Signal, name: &str, value: Expr, cycles: usize) -> Expr {
        self.follow_to(m, run, name, value, &[cycles])[0].clone()
    }

    /// The same, at several numbers of cycles behind the step, the least first.
    pub fn follow_to(
        &self,
        m: &mut ModuleBuilder,
        run: &Signal,
        name: &str,
        value: Expr,
        cycles: &[usize],
    ) -> Vec<Expr> {
        let interval = self.configuration.minimum_interval() as usize;
        let mut register = m.register(&format!("{name}_held"), value.ty());
        m.next_when(&register, Expr::from(run), value);
        let mut arrived = run.clone();
        let mut passed = 0;
        let mut places = Vec::new();
        for &cycles in cycles {
            while passed < cycles {
                let wait = interval.min(cycles - passed);
                passed += wait;
                arrived = m.delay(&format!("{name}_arrives_{passed}"), Expr::from(&arrived), wait);
                let next = m.register(&format!("{name}_at_{passed}"), register.ty());
                m.next_when(&next, Expr::from(&arrived), Expr::from(&register));
                register = next;
            }
            places.push(Expr::from(&register));
        }
        places
    }
}
