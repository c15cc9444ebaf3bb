//! Passes over rows, and what follows them too soon.

use super::{machine, program, region, rejected};
use crate::checker::check;
use expect_test::expect;
use lpu_isa::arithmetic::softmax::Softmax;
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::{Operation, Unit};
use lpu_isa::latency::{Latency, SoftmaxLatency};
use lpu_isa::program::Program;
use lpu_isa::sequence::Sequence;

/// A row of six elements: two words, three passes, the results into slice 1.
const ROW: &str = "
read 0
    +3   nop
    +160 read        base=0 count=2x3 delta=2,-2 run_levels=1 gap=69 pause=3 ; steps 4, 8, 78, .., 156
    +3   halt
vector
    +7   nop
    +155 softmax     source=slice0 table=0 length=6 count=2x3 run_levels=1 gap=69 pause=3 ; steps 8, 12, 82, .., 160, words 177 and 181
    +3   halt
write 1
    +176 nop
    +7   write       source=vector last_beats=1 base=0 count=2 delta=2 run_levels=1 gap=0 pause=3 ; steps 177, 181, read from 184
    +3   halt
";

fn softened() -> Configuration {
    Configuration { softmax_tables: 1, ..machine(4) }
}

/// `ROW` with one part replaced.
fn changed(from: &str, to: &str) -> Program {
    assert!(ROW.contains(from), "{from}");
    let program = program(softened(), &ROW.replacen(from, to, 1), region("output", 1, 0, 6), 184);
    Program { softmaxes: vec![Softmax::new(0.1, 1.0).unwrap()], ..program }
}

/// `ROW` with another instruction of the vector unit behind its softmax, as early as the queue can issue it.
fn followed_by(instruction: &str) -> Program {
    let line = ROW.lines().find(|line| line.contains("softmax")).unwrap().trim_start();
    let halt = "\n    +3   halt";
    let sooner = line.replace("+155", "+154");
    changed(&format!("{line}{halt}"), &format!("{sooner}\n    {instruction}{halt}"))
}

#[test]
fn a_row_in_three_passes_is_accepted() {
    let latency = SoftmaxLatency { word_interval: 4, word: 21, gap: 69 };
    assert_eq!(Latency::of(&softened()).softmax, Some(latency));
    let report = check(&changed("halt", "halt")).unwrap();
    // The passes that deliver nothing leave nothing unheard.
    assert_eq!((report.cycles, report.remarks), (184, vec![]));
}

#[test]
fn results_come_in_the_third_pass_and_nowhere_else() {
    rejected(
        &changed("+176 nop", "+175 nop"),
        expect![[r#"
        cycle 176: write 1, instruction 1: crossbar: listens to vector, a silent port at this cycle
        the program promises 184 cycles, but its last queue halts after 183
    "#]],
    );
}

#[test]
fn a_pass_too_close_behind_another_or_a_row_of_another_length_is_refused() {
    let edited = |edit: fn(&mut u32, &mut Sequence)| {
        let mut program = changed("halt", "halt");
        let vector = program.queues.iter_mut().find(|queue| queue.unit == Unit::Vector).unwrap();
        match &mut vector.instructions[1].instruction.operation {
            Operation::Softmax { length, sequence, .. } => edit(length, sequence),
            other => panic!("{other:?}"),
        }
        program
    };
    rejected(
        &edited(|length, _| *length = 4),
        expect![[r#"
        cycle 7: vector, instruction 1: vector: field `steps of a run` of `softmax` is 2, but must be 1 to 1
    "#]],
    );
    rejected(
        &edited(|length, _| *length = 512),
        expect![[r#"
        cycle 7: vector, instruction 1: vector: field `length` of `softmax` is 512, but must be 1 to 511
    "#]],
    );
    rejected(
        &edited(|_, sequence| sequence.gap = 68),
        expect![[r#"
        cycle 7: vector, instruction 1: vector: field `gap` of `softmax` is 68, but must be 69 to 4095
    "#]],
    );
    rejected(
        &edited(|_, sequence| sequence.pause = 2),
        expect![[r#"
        cycle 7: vector, instruction 1: vector: field `pause` of `softmax` is 2, but must be 3 to 3
    "#]],
    );
    rejected(
        &edited(|_, sequence| sequence.count[1] = 2),
        expect![[r#"
        cycle 7: vector, instruction 1: vector: field `runs` of `softmax` is 2, but must be 3 to 3
    "#]],
    );
}

#[test]
fn every_element_of_a_row_counts_for_all_of_its_results() {
    rejected(
        &changed("base=0 count=2x3 delta=2,-2", "base=2 count=2x3 delta=2,-2"),
        expect![[r#"
        cycle 177: write 1, instruction 1: stores beat 0 (elements 0..1) of the word on vector at address 0, which was read from beat 4 of slice 0 at cycle 8, which nobody has written
    "#]],
    );
}

#[test]
fn a_table_that_is_not_loaded_is_noticed() {
    rejected(
        &Program { softmaxes: vec![], ..changed("halt", "halt") },
        expect![[r#"
        cycle 8: vector, instruction 1: uses table 0; 0 are loaded
    "#]],
    );
}

#[test]
fn nothing_overtakes_the_last_word_of_a_row() {
    rejected(
        &followed_by(
            "+4   vector      function=pass source_a=requantiser source_b=constant constant=0 minimum=0 maximum=0 count=1 run_levels=1 gap=0",
        ),
        expect![[r#"
        cycle 162: vector, instruction 2: crossbar: listens to requantiser, a silent port at this cycle
        cycle 162: vector, instruction 2: its word would leave at cycle 169, but one that entered earlier leaves at cycle 181
    "#]],
    );
}

#[test]
fn a_row_that_begins_while_the_last_word_of_another_is_at_work_is_refused() {
    rejected(
        &followed_by("+150 softmax     source=slice0 table=0 length=1 count=1x3 run_levels=1 gap=69"),
        expect![[r#"
        cycle 162: vector, instruction 2: crossbar: listens to slice0, a silent port at this cycle
        cycle 162: vector, instruction 2: takes a word while it is at work on that of cycle 160; a word takes 4 cycles
        the program promises 184 cycles, but its last queue halts after 312
    "#]],
    );
}
