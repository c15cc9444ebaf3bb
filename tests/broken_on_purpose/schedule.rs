//! Schedules with conflicts, and a wrong prediction.

use super::{compiled, complaints, input, shows};
use expect_test::expect;
use lpu_compiler::checker::{self, Violation};
use lpu_isa::instruction::{Operation, Source, Unit};
use lpu_isa::program::{Placed, Program};
use lpu_sim::divergence::{against_golden, investigate};
use lpu_tests::witnesses::{library, model_run, rtl_options};

/// Queue `unit` of the program, to be changed.
fn queue(program: &mut Program, unit: Unit) -> &mut Vec<Placed> {
    &mut program.queues.iter_mut().find(|queue| queue.unit == unit).unwrap().instructions
}

#[test]
fn a_write_port_that_listens_to_the_wrong_source_is_a_crossbar_conflict() {
    let (graph, mut program) = compiled();
    let write =
        queue(&mut program, Unit::Write(1)).iter_mut().find_map(|placed| match &mut placed.instruction.operation {
            Operation::Write { source, .. } => Some(source),
            _ => None,
        });
    *write.unwrap() = Source::Vector;
    let violations = checker::check(&program).unwrap_err();
    assert!(matches!(violations[0], Violation::SilentPort { .. }));
    expect![[r#"
        cycle 39: write 1, instruction 1 (layer dense_0): crossbar: listens to vector, a silent port at this cycle
    "#]]
    .assert_eq(&complaints(&program));
    // And it is no false alarm.
    let input = input(1);
    let broken = model_run(&program, &input).unwrap();
    let divergence = against_golden(&graph, &program, &input, &broken.writes).unwrap().unwrap();
    shows(
        &expect![[r#"
            cycle 41: wrong value at vector slice 1 write port, fed by the vector unit
              element      0 of `dense_0` (beat address 0, lane 0)
              expected     -63
              got          0 (4 elements of the word differ)
              golden       -63
              instruction  write 1, instruction 1, step 0 (layer `dense_0`)
                           write source=vector last_beats=1 base=0 count=2x1x1x1 delta=1,1,0,0 run_levels=1 gap=1
        "#]],
        &divergence,
    );
}

#[test]
fn a_port_that_listens_a_cycle_late_is_a_crossbar_conflict() {
    let (_, mut program) = compiled();
    // The second layer's results go to slice 2; the wait in front of their write grows by one.
    queue(&mut program, Unit::Write(2))[0].instruction.interval += 1;
    assert!(checker::check(&program).is_err());
    expect![[r#"
        cycle 82: write 2, instruction 1 (layer dense_1): crossbar: listens to requantiser, a silent port at this cycle
        cycle 91: tile_group 0, instruction 3 (layer dense_2): multiplies beat 0 (elements 0..3) of the word on slice2, which was read from beat 1 of slice 2 at cycle 87, before its write of cycle 85 has landed at cycle 88
    "#]].assert_eq(&complaints(&program));
}

#[test]
fn two_instructions_on_one_port_are_a_conflict() {
    let (_, mut program) = compiled();
    let shortest = program.configuration.minimum_interval();
    // The tiles are told to begin with the second layer while they are busy with the first.
    let instructions = queue(&mut program, Unit::TileGroup(0));
    let first = instructions.iter().position(|placed| placed.instruction.operation.sequence().is_some()).unwrap();
    instructions[first].instruction.interval = shortest;
    let violations = checker::check(&program).unwrap_err();
    assert!(violations.iter().any(|violation| matches!(violation, Violation::StillStepping { .. })));
    expect![[r#"
        cycle 8: tile_group 0, instruction 2 (layer dense_1): two instructions on one port: the first step comes while instruction 1 takes steps up to cycle 10
        cycle 8: tile_group 0, instruction 2 (layer dense_1): crossbar: listens to slice1, a silent port at this cycle
        cycle 51: tile_group 0, instruction 3 (layer dense_2): crossbar: listens to slice2, a silent port at this cycle
        cycle 61: requantiser, instruction 3 (layer dense_1): takes a row of results when no tile group delivers one
        cycle 103: requantiser, instruction 4 (layer dense_2): takes a row of results when no tile group delivers one
    "#]].assert_eq(&complaints(&program));
}

#[test]
fn a_wrong_prediction_is_reported() {
    let (graph, mut program) = compiled();
    program.cycles += 1;
    let violations = checker::check(&program).unwrap_err();
    assert!(matches!(violations[..], [Violation::CycleCount { .. }]));
    let options = library(&program.configuration, "a wrong prediction on the RTL").unwrap().map(|_| rtl_options());
    let report = investigate(&graph, &program, &input(1), options.as_ref()).unwrap();
    assert!(!report.agrees());
    let text = report.to_string();
    let model: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    expect![[r#"
        the program promises 128 cycles, but its last queue halts after 127
        predicted    128 cycles
        cycle model  127 cycles, -1 against the prediction; output equal to golden
    "#]]
    .assert_eq(&format!("{}{model}", complaints(&program)));
    let rtl = text.lines().nth(2).map(|line| line.replace("RTL        ", "cycle model"));
    assert!(options.is_none() || rtl.as_deref() == text.lines().nth(1), "{text}");
    program.cycles -= 1;
    assert!(investigate(&graph, &program, &input(1), options.as_ref()).unwrap().agrees());
}

#[test]
fn an_unbroken_machine_is_not_reported() {
    let (graph, program) = compiled();
    let options = library(&program.configuration, "an unbroken RTL").unwrap().map(|_| rtl_options());
    for seed in 0..8 {
        let report = investigate(&graph, &program, &input(seed), options.as_ref()).unwrap();
        assert!(report.agrees(), "{report}");
    }
}
