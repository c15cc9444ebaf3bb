//! Schedules computed from the latency table, on many machines.

use super::{DENSE, check, dense, machine, messages, program, region};
use lpu_isa::assembly::{assemble, disassemble};
use lpu_isa::configuration::{Configuration, Pipeline};
use lpu_isa::latency::Latency;
use lpu_isa::program::Program;
use proptest::prelude::*;

/// The schedule of [`DENSE`] for any pipeline, any pace and any number of tiles up to 8, from the latency table.
fn dense_for(configuration: Configuration) -> Program {
    let Latency { vector_read, step_to_drain, requantise, vector_unit, write_to_read, .. } =
        Latency::of(&configuration);
    let (rows, pace) = (configuration.rows(), configuration.requantise_interval);
    let last_beats = (configuration.tiles - 1) % 4 / 2 + 1;
    let data = 3 + vector_read + 1;
    let drain = data + 3 + step_to_drain;
    let store = drain + requantise;
    let reload = store + write_to_read;
    let combine = reload + vector_read;
    let result = combine + vector_unit;
    let end = result + (rows - 1) * pace + write_to_read;
    let words = format!("count={rows} run_levels=1 gap=0 pause={}", pace - 1);
    let group = |group| {
        let multiply = "+40 multiply source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0";
        format!("tile_group {group}\n +{} nop\n {multiply}\n +3 halt\n", data - 1)
    };
    let (rounding, clamp) = ("zero_point=0", "minimum=-128 maximum=127");
    let text = format!(
        "read 0\n +3 nop\n +10 read base=0 count=4 delta=1 run_levels=1 gap=0\n +3 halt\n{}{}\
         requantiser\n +{} nop\n +9 requantise source=tiles {rounding} {clamp} base=0 delta=0 {words}\n +3 halt\n\
         write 1\n +{} nop\n +{} write source=requantiser last_beats={last_beats} base=0 delta=2 {words}\n\
         +{} write source=vector last_beats={last_beats} base=4 delta=2 {words}\n +3 halt\n\
         read 1\n +{} nop\n +9 read base=0 delta=2 {words}\n +3 halt\n\
         vector\n +{} nop\n +9 vector function=pass source_a=slice1 source_b=constant constant=0 {clamp} {words}\n +3 halt\n",
        group(0),
        group(1),
        drain - 1,
        store - 1,
        result - store,
        ((rows - 1) * pace + write_to_read).max(3),
        reload - 1,
        combine - 1,
    );
    // The queues of the tile groups may halt later than the writes have landed.
    let output = region("output", 1, 4, 2 * (2 * (rows - 1) + last_beats));
    let cycles = end.max(result + 3).max(data - 1 + 40 + 1).max(reload + 9).max(combine + 9);
    program(configuration, &text, output, u64::from(cycles))
}

fn any_machine() -> impl Strategy<Value = Configuration> {
    let pipeline = (1..=4u32, 0..=4u32, 0..=4u32, 1..=4u32, 0..=4u32, any::<bool>()).prop_map(
        |(crossbar, weight_read, multiply, drain, vector_read, compact)| Pipeline {
            crossbar,
            weight_read,
            multiply,
            drain,
            vector_read,
            compact,
        },
    );
    (3..=8u32, 0..=2u32, pipeline).prop_map(|(tiles, halvings, pipeline)| Configuration {
        pipeline,
        requantise_interval: 1 << halvings,
        ..machine(tiles)
    })
}

proptest! {
    #[test]
    fn a_schedule_made_from_the_latency_table_is_accepted(configuration in any_machine()) {
        let program = dense_for(configuration);
        let outcome = check(&program);
        prop_assert!(outcome.is_ok(), "{}\n{}", messages(&program), disassemble(&program));
        prop_assert_eq!(outcome.unwrap().remarks, []);
    }

    #[test]
    fn a_unit_that_is_a_cycle_early_or_late_is_noticed(configuration in any_machine(), late in any::<bool>()) {
        let right = dense_for(configuration);
        for (queue, waits) in right.queues.iter().enumerate().filter(|(_, queue)| queue.instructions.len() > 2) {
            let mut wrong = right.clone();
            let interval = &mut wrong.queues[queue].instructions[0].instruction.interval;
            *interval = if late { *interval + 1 } else { *interval - 1 };
            if *interval >= right.configuration.minimum_interval() {
                // The cycle count may change with it: that alone must not be what is noticed.
                let violations = check(&wrong).unwrap_err();
                prop_assert!(violations.iter().any(|violation| violation.at().is_some()), "{}", waits.unit);
            }
        }
    }

    #[test]
    fn a_number_replaced_at_random_never_brings_the_checker_down(at in any::<prop::sample::Index>(), number in 0..70_000u32) {
        let starts: Vec<usize> = DENSE
            .match_indices(|character: char| character.is_ascii_digit())
            .map(|(position, _)| position)
            .filter(|&position| !DENSE[..position].ends_with(|before: char| before.is_ascii_digit()))
            .collect();
        let start = starts[at.index(starts.len())];
        let rest = DENSE[start..].trim_start_matches(|character: char| character.is_ascii_digit());
        for number in [number, number % 40] {
            if let Ok(queues) = assemble(&format!("{}{number}{rest}", &DENSE[..start]), &machine(4)) {
                let program = Program { queues, ..dense(DENSE) };
                if let Err(violations) = check(&program) {
                    prop_assert!(!violations.is_empty() && violations.iter().all(|v| !v.to_string().is_empty()));
                }
            }
        }
    }
}
