//! The softmax of the vector unit: the passes over a row.

use lpu_isa::arithmetic::softmax::{Row, Softmax};
use lpu_isa::program::Program;
use lpu_isa::sequence::Step;

/// A row under way, and the tables.
#[derive(Debug)]
pub struct Passes {
    /// Exponentials, one table behind the other; 0 where the program brings none.
    exponentials: Vec<i32>,
    row: Row,
    /// 0 finds the largest element, 1 adds up, 2 delivers.
    pass: u32,
    /// The row's elements in the words before.
    before: usize,
}

impl Passes {
    /// Before the first run.
    #[must_use]
    pub fn new(program: &Program) -> Passes {
        let mut exponentials: Vec<i32> = program.softmaxes.iter().flat_map(Softmax::exponentials).collect();
        exponentials.resize(program.configuration.softmax_tables as usize * Softmax::EXPONENTIALS, 0);
        Passes { exponentials, row: Row::default(), pass: 0, before: 0 }
    }

    /// Takes a word; `opens` says that it is the first of its instruction. The results, in the pass that delivers.
    pub fn take(&mut self, word: &[i16], step: &Step, opens: bool, (table, length): (u32, u32)) -> Option<Vec<i16>> {
        if opens {
            self.pass = 0;
        }
        if step.first {
            self.before = 0;
        }
        let within = (length as usize).saturating_sub(self.before).min(word.len());
        let table = table as usize * Softmax::EXPONENTIALS;
        let mut results = Vec::new();
        for (lane, &element) in word.iter().enumerate() {
            let (first, element) = (self.before + lane == 0, element as i8);
            let exponential = match self.exponentials.get(table + self.row.distance(element)) {
                Some(&exponential) if lane < within => exponential,
                _ => 0,
            };
            match self.pass {
                0 if lane < within => self.row.compare(first, element),
                1 if lane < within => self.row.add(first, exponential),
                2 => results.push(self.row.output(exponential).into()),
                _ => {}
            }
        }
        self.before += word.len();
        let delivers = self.pass == 2;
        if step.last {
            self.pass = (self.pass + 1) % 3;
        }
        delivers.then_some(results)
    }
}
