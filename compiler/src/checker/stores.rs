//! Weights that are written while a program runs.

/// What this run has done with the weight words of each tile group.
pub(super) struct Stores {
    groups: Vec<Vec<Word>>,
}

#[derive(Clone, Copy, Default)]
struct Word {
    /// Step of the last store, and the first cycle whose step takes it.
    stored: Option<(u64, u64)>,
    /// Last step that took the word while this run had not stored into it, and the number of its instruction.
    taken: Option<(u64, usize)>,
}

impl Stores {
    pub(super) fn new(groups: u32, words: u32) -> Stores {
        Stores { groups: vec![vec![Word::default(); words as usize]; groups as usize] }
    }

    /// `group` takes a word at `cycle`. Returns step and landing of a store that is on its way there.
    pub(super) fn take(&mut self, group: u32, address: u32, cycle: u64, instruction: usize) -> Option<(u64, u64)> {
        let word = self.groups.get_mut(group as usize)?.get_mut(address as usize)?;
        match word.stored {
            None => {
                word.taken = Some((cycle, instruction));
                None
            }
            stored => stored.filter(|&(_, landed)| cycle < landed),
        }
    }

    /// A store into a word of `group` at `cycle`. Returns when, and by which instruction, the word was taken before this run
    /// stored anything there.
    pub(super) fn store(&mut self, group: u32, address: u32, cycle: u64, landed: u64) -> Option<(u64, usize)> {
        let word = self.groups.get_mut(group as usize)?.get_mut(address as usize)?;
        word.stored = Some((cycle, landed));
        word.taken.take()
    }
}
