//! Measures the coefficients of the estimate: synthesises small machines that differ in one size each, counts the cells of each
//! unit, and fits the formula of [`super::costs`] to the counts.
//!
//! ```text
//! lpu build --board ulx3s-12f --calibrate --out DIR
//! ```
//!
//! prints the coefficients of the board's family for `cli/src/build/coefficients.rs`. It takes some minutes, and is needed when
//! the units' hardware has changed.

use super::costs::{UNITS, Unit, sites};
use super::folder::Folder;
use super::job;
use super::netlist::{Cell, Netlist};
use super::recipe::{self, NETLIST, SCRIPT, VERILOG};
use super::tools::{Kind, find};
use crate::failure::Failure;
use crate::output::remark;
use lpu_isa::board::{Board, Family};
use lpu_isa::configuration::Configuration;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Keeps sizes that never differ among the measured machines from making the equations unsolvable: so little that it does not
/// show in the others.
const RIDGE: f64 = 1e-6;

/// The machines that are measured: small ones that differ in one or two sizes, and the board's own.
fn machines(own: &Configuration) -> Vec<Configuration> {
    let base = Configuration {
        tiles: 4,
        dot: 4,
        stream_elements: 4,
        weight_depth: 512,
        vector_slices: 1,
        vector_depth: 256,
        scale_depth: 64,
        queue_depth: 32,
        requantise_interval: 1,
        scale_multiplier_lanes: 0,
        vector_unit: true,
        ..own.clone()
    };
    let with = |change: fn(&mut Configuration)| {
        let mut configuration = base.clone();
        change(&mut configuration);
        configuration
    };
    vec![
        base.clone(),
        with(|c| (c.dot, c.stream_elements, c.tiles) = (2, 4, 6)),
        with(|c| (c.tiles, c.weight_depth) = (10, 1536)),
        with(|c| (c.stream_elements, c.tiles, c.vector_slices) = (8, 12, 2)),
        with(|c| (c.stream_elements, c.requantise_interval, c.vector_depth) = (8, 2, 512)),
        with(|c| (c.stream_elements, c.requantise_interval, c.weight_depth) = (16, 4, 1024)),
        with(|c| (c.dot, c.stream_elements, c.vector_slices) = (8, 8, 2)),
        with(|c| (c.count_bits, c.weight_depth) = (6, 2048)),
        with(|c| (c.scale_multiplier_lanes, c.vector_slices) = (if c.pipeline.compact { 0 } else { 3 }, 3)),
        with(|c| (c.weight_bits, c.tiles) = (4, 8)),
        own.clone(),
    ]
}

/// Synthesises the machines in directories below `out` and returns the coefficients as they stand in the source.
///
/// # Errors
/// Those of a build, up to the netlist.
pub fn run(board: &Board, out: &Path, any_tools: bool) -> Result<String, Failure> {
    let yosys = find(&[Kind::Yosys], any_tools)?.remove(0);
    let mut measured: Vec<(Configuration, BTreeMap<Unit, f64>)> = Vec::new();
    for (index, configuration) in machines(&board.configuration).into_iter().enumerate() {
        let board = Board { configuration, ..board.clone() };
        let folder = Folder::prepare(&out.join(format!("machine-{index}")))?;
        let design = job::design(&board)?;
        let mut files = Vec::new();
        for (name, text) in design.files_for(board.family) {
            folder.write(&format!("{VERILOG}/{name}"), text)?;
            files.push(name);
        }
        folder.write(SCRIPT, recipe::synthesis(board.family, &files, design.top_name()))?;
        job::synthesise(&folder, &yosys)?;
        let netlist = Netlist::read(&folder.read(NETLIST)?, design.top_name())
            .map_err(|error| Failure::new("the netlist cannot be used", folder.shown(NETLIST), error, "look at it"))?;
        let sites = of_units(board.family, netlist.cells());
        remark(&format!("machine {index}: {:.0} sites", sites.values().sum::<f64>()));
        measured.push((board.configuration, sites));
    }
    Ok(coefficients(board.family, &measured))
}

/// Sites of look-up tables that each unit takes.
pub fn of_units(family: Family, cells: &[Cell]) -> BTreeMap<Unit, f64> {
    let mut units: BTreeMap<Unit, f64> = UNITS.into_iter().map(|unit| (unit, 0.0)).collect();
    for cell in cells {
        *units.entry(Unit::of_cell(&cell.name)).or_default() += sites(family, &cell.kind);
    }
    units
}

/// The fitted coefficients, a line for each unit, with the largest error of each.
fn coefficients(family: Family, measured: &[(Configuration, BTreeMap<Unit, f64>)]) -> String {
    let mut text = format!("{family}\n");
    for unit in UNITS {
        let rows: Vec<Vec<f64>> = measured.iter().map(|(configuration, _)| unit.sizes(configuration)).collect();
        let values: Vec<f64> = measured.iter().map(|(_, units)| units.get(&unit).copied().unwrap_or(0.0)).collect();
        let fitted = fit(&rows, &values);
        let error = rows.iter().zip(&values).map(|(row, value)| {
            let estimate: f64 = row.iter().zip(&fitted).map(|(size, cost)| size * cost).sum();
            (estimate - value).abs()
        });
        let error = error.fold(0.0, f64::max);
        let list: Vec<String> = fitted.iter().map(|cost| format!("{cost:.3}")).collect();
        let all: Vec<String> = values.iter().map(|value| format!("{value:.0}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:14} &[{}], // largest error {error:.0} sites; measured {}",
            unit.name(),
            list.join(", "),
            all.join(", ")
        );
    }
    text
}

/// The coefficients with the least sum of squared errors, relative to the values: the normal equations, by elimination.
fn fit(rows: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    let count = rows.first().map_or(0, Vec::len);
    // Sizes are brought to a common scale, so that the ridge weighs on all alike.
    let scale: Vec<f64> = (0..count).map(|k| rows.iter().map(|row| row[k].abs()).fold(1e-9, f64::max)).collect();
    let mut equations = vec![vec![0.0; count + 1]; count];
    for (row, value) in rows.iter().zip(values) {
        let weight = 1.0 / value.max(1.0).powi(2);
        for i in 0..count {
            for j in 0..count {
                equations[i][j] += weight * row[i] / scale[i] * row[j] / scale[j];
            }
            equations[i][count] += weight * row[i] / scale[i] * value;
        }
    }
    let trace: f64 = (0..count).map(|i| equations[i][i]).sum();
    for (i, equation) in equations.iter_mut().enumerate() {
        equation[i] += RIDGE * trace;
    }
    let solved = eliminate(equations);
    solved.iter().zip(&scale).map(|(value, scale)| value / scale).collect()
}

/// Solves a system with a symmetric positive matrix; the last column holds the right-hand sides.
fn eliminate(mut equations: Vec<Vec<f64>>) -> Vec<f64> {
    let count = equations.len();
    for pivot in 0..count {
        let best = (pivot..count).max_by(|a, b| equations[*a][pivot].abs().total_cmp(&equations[*b][pivot].abs()));
        equations.swap(pivot, best.unwrap_or(pivot));
        let pivot_row = equations[pivot].clone();
        if pivot_row[pivot].abs() < f64::MIN_POSITIVE {
            continue;
        }
        for (index, row) in equations.iter_mut().enumerate() {
            if index != pivot {
                let factor = row[pivot] / pivot_row[pivot];
                for (value, subtracted) in row.iter_mut().zip(&pivot_row).skip(pivot) {
                    *value -= factor * subtracted;
                }
            }
        }
    }
    (0..count)
        .map(|i| if equations[i][i].abs() < f64::MIN_POSITIVE { 0.0 } else { equations[i][count] / equations[i][i] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_that_made_the_values_are_found_again() {
        let rows = vec![vec![1.0, 4.0, 100.0], vec![1.0, 8.0, 50.0], vec![1.0, 8.0, 400.0], vec![1.0, 2.0, 10.0]];
        let value = |row: &Vec<f64>| 300.0 * row[0] + 20.0 * row[1] + 1.5 * row[2];
        let values: Vec<f64> = rows.iter().map(value).collect();
        for (found, expected) in fit(&rows, &values).iter().zip([300.0, 20.0, 1.5]) {
            assert!((found / expected - 1.0).abs() < 0.01, "{found} for {expected}");
        }
    }

    #[test]
    fn sizes_that_are_the_same_in_all_machines_do_not_break_the_fit() {
        let rows = vec![vec![1.0, 1.0], vec![1.0, 1.0]];
        let fitted = fit(&rows, &[100.0, 100.0]);
        assert!((fitted.iter().sum::<f64>() - 100.0).abs() < 0.1, "{fitted:?}");
        assert_eq!(fit(&[vec![1.0, 0.0]], &[10.0])[1], 0.0);
    }

    #[test]
    fn cells_are_summed_by_unit() {
        let cell = |name: &str, kind: &str| Cell { name: name.into(), kind: kind.into() };
        let cells = [cell("lpu.crossbar.a", "LUT4"), cell("lpu.crossbar.b", "CCU2C"), cell("uart", "TRELLIS_FF")];
        let units = of_units(Family::Ecp5, &cells);
        assert_eq!((units[&Unit::Crossbar], units[&Unit::Link]), (3.28, 0.0));
    }
}
