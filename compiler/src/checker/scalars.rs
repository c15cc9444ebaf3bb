//! The vector unit's scalars: which of them this run has written, and when they have landed.

use std::collections::BTreeSet;

/// The scalars during one run. What an earlier run has left there counts for nothing.
pub(super) struct Scalars {
    writes: Vec<Option<Write>>,
    /// Cycles in which one lands: they have one port.
    landings: BTreeSet<u64>,
}

#[derive(Clone, Copy)]
struct Write {
    cycle: u64,
    landed: u64,
}

/// Why a scalar cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unready {
    /// The machine has no scalar of that number.
    Beyond,
    /// Nothing in this run has written it.
    Unwritten,
    /// Written at the first cycle, to be taken from the second on.
    NotLanded(u64, u64),
}

impl Scalars {
    pub(super) fn new(count: u32) -> Scalars {
        Scalars { writes: vec![None; count as usize], landings: BTreeSet::new() }
    }

    /// A step of the vector unit at `cycle` takes scalar `number`.
    pub(super) fn read(&self, number: i64, cycle: u64) -> Result<(), Unready> {
        let write = usize::try_from(number).ok().and_then(|number| self.writes.get(number)).ok_or(Unready::Beyond)?;
        match write {
            None => Err(Unready::Unwritten),
            Some(write) if write.landed > cycle => Err(Unready::NotLanded(write.cycle, write.landed)),
            Some(_) => Ok(()),
        }
    }

    /// A scalar lands at `cycle`. Does another one?
    pub(super) fn meets(&mut self, cycle: u64) -> bool {
        !self.landings.insert(cycle)
    }

    /// The last step of a reduction at `cycle`, whose result lands at `landed`. Returns the landing of an earlier write that would
    /// come in the same cycle or later.
    ///
    /// # Errors
    /// There is no scalar of that number.
    pub(super) fn write(&mut self, number: i64, cycle: u64, landed: u64) -> Result<Option<u64>, Unready> {
        let write =
            usize::try_from(number).ok().and_then(|number| self.writes.get_mut(number)).ok_or(Unready::Beyond)?;
        let before = write.replace(Write { cycle, landed });
        Ok(before.map(|before| before.landed).filter(|&before| before >= landed))
    }
}
