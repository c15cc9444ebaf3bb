//! Steps that only a machine with extensions takes: weights stored and fetched, scalars made and taken.

use super::cause::Cause;
use super::dataflow::{Dataflow, Now};
use super::scalars::Unready;
use super::state::Flaws;
use super::violation::{Violation, Violations};
use lpu_isa::instruction::{Function, Operation, Source, Spread};
use lpu_isa::vector::{Arithmetic, Reduction, ScalarOperand};

impl<'a> Dataflow<'a> {
    /// A tile group takes weight words: they are loaded, and no store into them is on its way.
    pub(super) fn take_weights(&mut self, now: &Now<'_>, group: u32, violations: &mut Violations) {
        let (tile, loaded) = self.loaded[group as usize];
        for address in now.addresses() {
            let address = address as u32;
            if address >= loaded {
                violations.add(Violation::WeightMissing { at: self.place(now), tile, address, loaded });
            }
            if let Some((stored, landed)) = self.stores.take(group, address, now.cycle, now.stepping.index) {
                violations.add(Violation::WeightNotLanded { at: self.place(now), address, stored, landed });
            }
        }
    }

    /// The tile groups that fetch in this cycle put one weight word on the weights' port.
    pub(super) fn fetched(&mut self, violations: &mut Violations) {
        let fetching = std::mem::take(&mut self.fetching);
        let Some((_, first)) = fetching.first() else { return };
        let Some(latency) = self.latency.extensions.map(|latency| latency.fetch) else { return };
        let tiles = self.configuration.tiles;
        if let Some(&tile) = first.stepping.places.iter().find(|&&tile| u32::from(tile) >= tiles) {
            let (what, number) = ("fetches from tile", u32::from(tile));
            violations.add(Violation::TileBeyond { at: self.place(first), what, number, limit: tiles });
        }
        for group in 0..self.configuration.tile_groups() {
            let same = |(other, now): &&(u32, Now<'_>)| {
                let of = |now: &Now<'_>| match now.stepping.operation {
                    Operation::Fetch { tile, sequence } => Some((*tile, sequence.register, now.step.address)),
                    _ => None,
                };
                *other == group && of(now) == of(first)
            };
            if !fetching.iter().any(|fetch| same(&fetch)) {
                violations.add(Violation::FetchAlone { at: self.place(first), group });
            }
        }
        let results = u64::from(self.configuration.longest_drain());
        for (group, now) in &fetching {
            self.take_weights(now, *group, violations);
            // Behind the end of the chain come the way back and the choice of a column; the requantiser looks `crossbar` later.
            let passes = (now.cycle + u64::from(latency)).saturating_sub(u64::from(2 + self.latency.crossbar));
            if self.chains[*group as usize].fetch(passes, results) {
                violations.add(Violation::FetchMeetsResult { at: self.place(now), cycle: passes });
            }
        }
        let others = 1..self.configuration.beats_per_word();
        let flaws = others.map(|beat| (beat, Cause::NotFetched { cycle: first.cycle })).collect();
        self.drive(first, Source::Weights, latency, flaws);
    }

    /// A word goes into the weight RAMs.
    pub(super) fn store_weights(&mut self, now: &Now<'_>, spread: Spread, flaws: &Flaws, violations: &mut Violations) {
        let configuration = self.configuration;
        let (tiles, columns, dot) = (configuration.tiles, configuration.stream_elements, configuration.dot);
        // Groups reached, and beats of the word that are kept.
        let (groups, beats) = match spread {
            Spread::Beat => {
                if let Some(&tile) = now.stepping.places.iter().find(|&&tile| u32::from(tile) >= tiles) {
                    let (what, number) = ("stores into tile", u32::from(tile));
                    violations.add(Violation::TileBeyond { at: self.place(now), what, number, limit: tiles });
                }
                let mut groups: Vec<u32> =
                    now.stepping.places.iter().map(|&tile| u32::from(tile) % columns / dot).collect();
                groups.sort_unstable();
                groups.dedup();
                (groups, 1)
            }
            Spread::Columns => {
                let rows = configuration.tile_rows();
                if now.run_step >= rows {
                    let (what, number) = ("stores into row of tiles", now.run_step);
                    violations.add(Violation::TileBeyond { at: self.place(now), what, number, limit: rows });
                }
                ((0..configuration.tile_groups()).collect(), configuration.tile_groups())
            }
        };
        let port = match *now.stepping.operation {
            Operation::Store { source, .. } => source,
            _ => Source::Weights,
        };
        if let Some(&(beat, cause)) = flaws.iter().find(|&&(beat, _)| beat < beats) {
            let (first, last) = self.elements(beat);
            let (at, address) = (self.place(now), now.addresses().next().unwrap_or(0) as u32);
            violations.add(Violation::InvalidStore { at, port, beat, first, last, address, cause });
        }
        let landed = now.cycle + self.latency.extensions.map_or(0, |latency| u64::from(latency.store_to_weights));
        for address in now.addresses() {
            let address = address as u32;
            for &group in &groups {
                let (tile, loaded) = self.loaded.get(group as usize).copied().unwrap_or((0, 0));
                // A byte of a word that was never loaded would leave the others unknown.
                if address >= loaded {
                    violations.add(Violation::WeightMissing { at: self.place(now), tile, address, loaded });
                }
                if let Some((taken, instruction)) = self.stores.store(group, address, now.cycle, landed) {
                    let at = self.place(now);
                    violations.add(Violation::StoreBehindUse { at, address, group, instruction, taken });
                }
            }
        }
        if landed > self.end {
            let (at, end) = (self.place(now), self.end);
            violations.add(Violation::Pending { at, what: "the store", landed, end });
        }
    }

    /// What the vector unit takes beside its streams, and what it makes beside its word.
    pub(super) fn compute(
        &mut self,
        now: &Now<'_>,
        function: Function,
        arithmetic: &Arithmetic,
        flaws: &mut Flaws,
        violations: &mut Violations,
    ) {
        let tables = self.program.language.as_ref().map_or(0, |language| language.tables.len());
        if let Some(table) = arithmetic.table.filter(|&table| table as usize >= tables) {
            violations.add(Violation::TableMissing { at: self.place(now), table, loaded: tables });
        }
        let operands = match arithmetic.scalar {
            ScalarOperand::None => 0,
            ScalarOperand::One => 1,
            ScalarOperand::OfBeat => i64::from(self.configuration.beats_per_word()),
        };
        for number in now.addresses().flat_map(|address| address..address + operands) {
            match self.scalars.read(number, now.cycle) {
                // A beat for which there is no scalar may be one that nobody uses.
                Err(Unready::Unwritten) if arithmetic.scalar == ScalarOperand::OfBeat => {
                    let beat =
                        now.addresses().map(|address| number - address).find(|beat| (0..operands).contains(beat));
                    let cause = Cause::WithoutScalar { scalar: number, cycle: now.cycle };
                    flaws.push((beat.unwrap_or(0) as u32, cause));
                }
                Err(unready) => self.unready_scalar(now, number, unready, violations),
                Ok(()) => {}
            }
        }
        if arithmetic.reduction == Reduction::None {
            return;
        }
        if arithmetic.reduction != Reduction::Pick || now.finished {
            self.reduce(now, flaws, violations);
        }
        if arithmetic.reduction.makes_scalar() {
            let latency = self.latency.vector_to_scalar(function, arithmetic);
            let numbers: Vec<i64> = now.addresses().collect();
            self.make_scalar(now, &numbers, latency, violations);
        }
    }

    /// Every element of a reduced word counts.
    pub(super) fn reduce(&mut self, now: &Now<'_>, flaws: &Flaws, violations: &mut Violations) {
        if let Some(&(beat, cause)) = flaws.first() {
            let (first, last) = self.elements(beat);
            violations.add(Violation::InvalidReduction { at: self.place(now), beat, first, last, cause });
        }
    }

    /// The last step of a reduction writes a scalar, one of `numbers`.
    pub(super) fn make_scalar(&mut self, now: &Now<'_>, numbers: &[i64], latency: u32, violations: &mut Violations) {
        if !now.finished {
            return;
        }
        let landed = now.cycle + u64::from(latency);
        if self.scalars.meets(landed) {
            violations.add(Violation::OnePort { at: self.place(now), what: "scalars", landed });
        }
        for &number in numbers {
            match self.scalars.write(number, now.cycle, landed) {
                Ok(None) => {}
                Ok(Some(other)) => {
                    let at = self.place(now);
                    violations.add(Violation::TwoWriters { at, what: "scalar", number, landed, other });
                }
                Err(unready) => self.unready_scalar(now, number, unready, violations),
            }
        }
    }

    fn unready_scalar(&self, now: &Now<'_>, number: i64, unready: Unready, violations: &mut Violations) {
        let at = self.place(now);
        violations.add(match unready {
            Unready::Beyond => Violation::ScalarBeyond { at, number, scalars: self.configuration.scalars() },
            Unready::Unwritten => Violation::Unwritten { at, what: "scalar", number },
            Unready::NotLanded(written, landed) => Violation::Early { at, what: "scalar", number, written, landed },
        });
    }

    /// Are all weights that the step of `group` multiplies zero, whatever run it is? Then it does not matter what they are multiplied with.
    pub(super) fn all_zero(&self, now: &Now<'_>, group: u32) -> bool {
        let (dot, columns) = (self.configuration.dot as usize, self.configuration.stream_elements);
        let tiles =
            (0..).zip(&self.program.weights).filter(|(tile, _)| tile % columns / self.configuration.dot == group);
        let words = |weights: &[i8], address: i64| {
            let start = usize::try_from(address).ok().map(|address| address * dot);
            let word = start.and_then(|start| weights.get(start..start + dot));
            word.is_some_and(|word| word.iter().all(|&weight| weight == 0))
        };
        let loaded =
            |address: i64| usize::try_from(address).is_ok_and(|address| self.stored.get(address) == Some(&false));
        self.program.language.is_some()
            && now.addresses().all(loaded)
            && tiles.clone().all(|(_, weights)| now.addresses().all(|address| words(weights, address)))
    }

    /// Are all lanes of `group` beyond a mask that counts run by run, whatever run it is?
    pub(super) fn is_masked(&self, now: &Now<'_>, group: u32) -> bool {
        let index = now.run_step * self.configuration.stream_elements + self.elements(group).0;
        let largest = now.stepping.masks.iter().max();
        largest.is_some_and(|&largest| index > u32::from(largest))
    }

    /// Do all lanes of `group` have a multiplier in the entry of this step? Then a column without a tile, which delivers zero, makes
    /// a number of the program's choice.
    pub(super) fn has_scales(&self, now: &Now<'_>, group: u32) -> bool {
        let (first, last) = self.elements(group);
        let entry = usize::try_from(now.step.address).ok().and_then(|index| self.program.scales.get(index));
        let lanes = entry.and_then(|entry| entry.get(first as usize..=last as usize));
        lanes.is_some_and(|lanes| lanes.iter().all(|scale| scale.multiplier != 0))
    }
}
