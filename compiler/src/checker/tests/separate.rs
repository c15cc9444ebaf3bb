//! Sums of multipliers and of tiles on the same drain chains.

use super::{DENSE, machine, program, region, rejected};
use crate::checker::{Remark, check};
use expect_test::expect;
use lpu_isa::configuration::Configuration;
use lpu_isa::program::Program;

/// `DENSE` with separate sums in some of its groups, and as many rows of results taken.
fn separate(groups: &[u32], rows: u32) -> Program {
    let mut text = DENSE.to_string();
    for group in groups {
        let name = format!("tile_group {group}\n    +7   nop\n    +10  multiply    source=slice0");
        assert!(text.contains(&name), "{name}");
        text = text.replace(&name, &format!("{name} separate=1"));
    }
    // All with the same scales, and each word behind the one before.
    for (taken, distance) in [("maximum=127", 0), ("last_beats=2", 4)] {
        let from = format!("{taken} base=0 count=1 delta=0");
        assert_eq!(text.matches(&from).count(), 1, "{from}");
        text = text.replace(&from, &format!("{taken} base=0 count={rows} delta={distance}"));
    }
    program(Configuration { separate_sums: true, ..machine(4) }, &text, region("output", 1, 2, 2), 58)
}

#[test]
fn a_row_of_tiles_delivers_a_row_of_results_for_each_multiplier() {
    let remarks = [1, 2].map(|rows| check(&separate(&[0, 1], rows)).unwrap().remarks);
    let untaken = [0, 1].map(|group| Remark::Untaken { group, rows: 1 });
    assert_eq!(remarks, [untaken.to_vec(), vec![]]);
    rejected(
        &separate(&[0, 1], 3),
        expect![[r#"
        cycle 23: requantiser, instruction 1 (layer dense): takes a row of results when no tile group delivers one
    "#]],
    );
}

#[test]
fn all_groups_deliver_sums_of_the_same_kind() {
    rejected(
        &separate(&[0], 1),
        expect![[r#"
        cycle 41: write 1, instruction 1 (layer dense): stores beat 1 (elements 2..3) of the word on requantiser at address 1, which was requantised at cycle 21, when tile group 1 delivers no result
    "#]],
    );
    rejected(
        &separate(&[1], 1),
        expect![[r#"
        cycle 41: write 1, instruction 1 (layer dense): stores beat 1 (elements 2..3) of the word on requantiser at address 1, which was requantised at cycle 21, when tile group 1 delivers no result
    "#]],
    );
}
