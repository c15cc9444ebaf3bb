//! What a machine will take of an FPGA, before any tool runs.
//!
//! Multipliers and block RAMs are counted, not estimated: the generator places each of them. Look-up tables follow a formula
//! ([`super::costs`]) that is right within 15 % for the boards of this project.

use super::calibrate;
use super::costs::UNITS;
use super::netlist::Cell;
use crate::output::{count, percent, table};
use lpu_isa::board::{Board, Family};
use serde::Serialize;

/// An estimate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Sites of look-up tables: by formula.
    pub lut: u32,
    /// Hardware multipliers: exact.
    pub dsp: u32,
    /// Block RAMs: exact.
    pub block_ram: u32,
    /// Look-up tables by unit.
    pub lut_of_units: Vec<UnitCost>,
}

/// The look-up tables of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitCost {
    /// The unit.
    pub unit: &'static str,
    /// Sites of look-up tables, of all instances together.
    pub lut: u32,
}

/// A part of the FPGA of which a machine takes more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The part.
    pub part: &'static str,
    /// What the machine takes.
    pub needed: u32,
    /// What the FPGA has.
    pub available: u32,
}

impl UnitCost {
    /// What the units of a netlist take.
    pub fn measured(family: Family, cells: &[Cell]) -> Vec<UnitCost> {
        let units = calibrate::of_units(family, cells);
        units.into_iter().map(|(unit, lut)| UnitCost { unit: unit.name(), lut: lut.round() as u32 }).collect()
    }
}

impl Estimate {
    /// The estimate for the configuration of a board.
    pub fn of(board: &Board) -> Estimate {
        let lut_of_units: Vec<UnitCost> = UNITS
            .into_iter()
            .map(|unit| {
                let sizes = unit.sizes(&board.configuration);
                let cost: f64 = sizes.iter().zip(unit.coefficients(board.family)).map(|(size, cost)| size * cost).sum();
                let cost = cost + unit.optional_sites(&board.configuration);
                UnitCost { unit: unit.name(), lut: cost.max(0.0).round() as u32 }
            })
            .collect();
        Estimate {
            lut: lut_of_units.iter().map(|unit| unit.lut).sum(),
            dsp: board.multipliers_used(),
            block_ram: board.block_rams_used(),
            lut_of_units,
        }
    }

    /// Parts of which there is not enough.
    pub fn shortfalls(&self, board: &Board) -> Vec<Shortfall> {
        self.parts(board).into_iter().filter(|part| part.needed > part.available).collect()
    }

    /// The estimate as a table.
    pub fn describe(&self, board: &Board) -> String {
        let rows = self.parts(board).into_iter().map(|Shortfall { part, needed, available }| {
            let share = f64::from(needed) / f64::from(available.max(1));
            vec![part.into(), count(u64::from(needed)), count(u64::from(available)), percent(share)]
        });
        let units = self.lut_of_units.iter().map(|unit| {
            let share = f64::from(unit.lut) / f64::from(self.lut.max(1));
            vec![unit.unit.into(), count(u64::from(unit.lut)), percent(share)]
        });
        let parts = table(&["part", ">needed", &format!(">of {}", board.device), ">share"], rows);
        let units = table(&["unit", ">LUT sites", ">share"], units);
        format!(
            "{parts}\n{units}Multipliers and block RAMs are counted; LUT sites follow a formula that is right within 15 %.\n"
        )
    }

    fn parts(&self, board: &Board) -> [Shortfall; 3] {
        let part = |part, needed, available| Shortfall { part, needed, available };
        [
            part("LUT sites", self.lut, board.luts),
            part("multipliers", self.dsp, board.multipliers),
            part("block RAMs", self.block_ram, board.block_rams),
        ]
    }
}

impl Shortfall {
    /// The shortfall in words.
    pub fn describe(&self) -> String {
        let Shortfall { part, needed, available } = *self;
        let number = |value: u32| count(u64::from(value));
        let about = if part == "LUT sites" { "about " } else { "" };
        format!(
            "{about}{} {part} needed, {} there: {} short",
            number(needed),
            number(available),
            number(needed - available)
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::build::target::Target;
    use lpu_isa::configuration::Configuration;
    use std::path::Path;

    #[test]
    fn every_board_has_room_for_its_own_machine() {
        for board in Board::all().unwrap() {
            let estimate = Estimate::of(&board);
            let parts: Vec<&str> = estimate.shortfalls(&board).iter().map(|shortfall| shortfall.part).collect();
            assert!(parts.is_empty(), "{}: {parts:?}", board.name);
            assert_eq!(estimate.lut, estimate.lut_of_units.iter().map(|unit| unit.lut).sum::<u32>());
        }
    }

    /// LUT sites of the machines in `constraints/` as nextpnr counts them: `lut` in the `build.json` of `lpu build`.
    const MEASURED: [(&str, Option<&str>, u32); 6] = [
        ("icebreaker", None, 4_446),
        ("ulx3s-12f", None, 12_123),
        ("colorlight-i9", None, 19_519),
        ("tangnano20k", None, 14_056),
        ("ulx3s-85f", None, 23_150),
        ("ulx3s-85f", Some("int4"), 30_310),
    ];

    #[test]
    fn the_estimate_is_within_15_percent_of_what_was_measured() {
        for (name, machine, measured) in MEASURED {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../constraints").join(name);
            let file = machine.map(|machine| folder.join(machine).with_extension("toml"));
            let target = Target::resolve(Some(name), file.as_deref()).unwrap();
            let estimate = Estimate::of(&target.board).lut;
            let error = f64::from(estimate) / f64::from(measured) - 1.0;
            assert!(error.abs() < 0.15, "{name} {machine:?}: {estimate} estimated, {measured} measured");
        }
    }

    #[test]
    fn what_is_missing_is_told_part_by_part() {
        let board = Board::find("ulx3s-12f").unwrap();
        let configuration = Configuration { tiles: 40, weight_depth: 2048, ..board.configuration.clone() };
        let board = Board { configuration, ..board };
        let shortfalls = Estimate::of(&board).shortfalls(&board);
        let told: Vec<String> = shortfalls.iter().map(Shortfall::describe).collect();
        assert!(told.contains(&"163 multipliers needed, 28 there: 135 short".to_string()), "{told:?}");
        assert!(told.iter().any(|text| text.contains("block RAMs needed, 56 there")), "{told:?}");
    }
}
