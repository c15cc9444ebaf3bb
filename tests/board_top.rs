//! The text of a board's top: Verilator has nothing to say about it, each family gets its own clock, and the parameters of the
//! boards can be made.
#![allow(clippy::unwrap_used)]

use lpu_hdl::board::top::Parameters;
use lpu_hdl::board::{PlanError, design};
use lpu_isa::board::Family;
use lpu_sim::board::source;
use lpu_sim::verilated::lint;
use lpu_tests::machines::simulated;
use lpu_tests::witnesses::toolchain;

const FAMILIES: [(Family, &str); 3] =
    [(Family::Ecp5, "EHXPLLL"), (Family::Ice40, "SB_PLL40_PAD"), (Family::Gowin, "rPLL")];

#[test]
fn verilator_has_nothing_to_say_about_a_board() {
    let Some(toolchain) = toolchain("linting the board's Verilog") else { return };
    for (name, machine) in simulated() {
        let source = source(&machine, 50).unwrap();
        if let Err(error) = lint(&source, &toolchain) {
            panic!("{name}: {error}");
        }
        assert!(source.files.iter().all(|(_, text)| !text.contains("lint_off")));
    }
}

#[test]
fn each_family_is_given_its_own_loop_and_each_module_once() {
    let (_, machine) = &simulated()[0];
    for (family, cell) in FAMILIES {
        let parameters = Parameters::plan(family, 27.0, 54.0, 1_000_000).unwrap();
        let design = design(machine, &parameters).unwrap();
        let files = design.files_for(family);
        let text = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, text)| text.as_str());
        let own = text(&format!("{family}/pll.v")).unwrap();
        assert!(own.contains(&format!("{cell} #(")), "{own}");
        let modules: Vec<&str> = files.iter().filter_map(|(file, _)| file.split('/').nth(1)).collect();
        let emitted: Vec<String> = design.modules().iter().map(|module| format!("{}.v", module.name)).collect();
        assert_eq!(modules, emitted);
        // What a family has no text for is inferred from the behavioural one.
        let multiplier = files.iter().find(|(file, _)| file.contains("multiplier_")).unwrap();
        let folder = if family == Family::Ecp5 { "ecp5/" } else { "behavioural/" };
        assert!(multiplier.0.starts_with(folder), "{}", multiplier.0);
    }
}

#[test]
fn the_speed_of_the_line_follows_from_the_clock_that_the_loop_makes() {
    let plan = |clock: f64, baud: u32| Parameters::plan(Family::Ecp5, 25.0, clock, baud);
    assert_eq!(plan(150.0, 3_000_000).unwrap().clocks_per_bit, 50);
    assert_eq!(plan(125.0, 3_000_000).unwrap().clocks_per_bit, 42);
    assert_eq!(plan(150.0, 115_200).unwrap().clocks_per_bit, 1302);
    // 11.67 clocks are not 12, and three are too few.
    for (clock, baud) in [(35.0, 3_000_000), (12.5, 4_000_000), (150.0, 1000), (150.0, 0)] {
        let error = plan(clock, baud).unwrap_err();
        assert!(matches!(error, PlanError::Baud { .. }), "{error}");
        assert!(error.to_string().contains(&format!("a line of {baud} baud")), "{error}");
    }
    let error = plan(1.0, 3_000_000).unwrap_err().to_string();
    assert_eq!(error, "the PLL of the ecp5 gives 10 to 400 MHz, not 1 MHz");
    for wrong in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
        assert!(plan(wrong, 3_000_000).is_err());
        assert!(Parameters::plan(Family::Gowin, wrong, 100.0, 3_000_000).is_err());
    }
}
