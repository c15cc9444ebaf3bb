//! Assembly text.

use crate::strategies::program;
use lpu_isa::assembly::{assemble, disassemble};
use lpu_isa::configuration::Configuration;
use lpu_isa::instruction::Unit;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_the_disassembler_writes_the_assembler_reads(program in program()) {
        let text = disassemble(&program);
        prop_assert_eq!(assemble(&text, &program.configuration).unwrap(), program.queues);
    }

    #[test]
    fn spacing_and_comments_mean_nothing(program in program()) {
        let text = disassemble(&program);
        let bare: Vec<String> = text
            .lines()
            .map(|line| line.split(';').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        prop_assert_eq!(assemble(&bare.join("\n"), &program.configuration).unwrap(), program.queues);
    }

    #[test]
    fn any_text_is_queues_or_an_error(program in program(), at in any::<prop::sample::Index>(), foreign in "\\PC{0,3}") {
        let mut text: Vec<char> = disassemble(&program).chars().collect();
        let at = at.index(text.len());
        text.splice(at..at + 1, foreign.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = assemble(&text, &program.configuration) {
            prop_assert!((1..=text.lines().count()).contains(&error.line));
        }
    }
}

/// The message for `line` as the only instruction of `read 0`, or as it stands if it begins with a unit.
fn message(text: &str) -> String {
    assemble(text, &Configuration { tiles: 4, vector_slices: 1, ..Configuration::default() }).unwrap_err().to_string()
}

#[test]
fn errors_name_the_line_what_is_wrong_and_what_is_allowed() {
    let cases = [
        (
            "reed 0",
            "line 1: `reed 0` is not a unit of this configuration, which has tile_group 0, read 0, write 0, requantiser, vector",
        ),
        (
            "read 1",
            "line 1: `read 1` is not a unit of this configuration, which has tile_group 0, read 0, write 0, requantiser, vector",
        ),
        (
            "read 0\n+9 halt\nread 0",
            "line 3: read 0 already has its instructions further up; allowed is one list for each unit",
        ),
        ("+9 halt", "line 1: the instruction belongs to no unit; allowed are instructions below a unit's name"),
        ("read 0\n0", "line 2: found the end of the line, but expected the interval, `+` and a number"),
        ("read 0\n0 12 halt", "line 2: found `12`, but expected the interval, `+` and a number"),
        (
            "read 0\n0 +12 nop\n11 +9 halt",
            "line 3: the issue cycle is 11, but must be 12, the sum of the intervals above (or left out)",
        ),
        ("read 0\n+9 wait", "line 2: `wait` is not an operation of read 0; allowed are read, nop, halt"),
        ("read 0\n+9 read base 1", "line 2: found `base`, but expected a field, `name=value`"),
        ("read 0\n+9 read base=1 base=1", "line 2: the field `base` stands twice; allowed is once"),
        ("read 0\n+9 read base=1 count=3 delta=1 gap=0", "line 2: `read` needs the field `run_levels`"),
        (
            "read 0\n+9 read base=1 count=3x1x1x1x1",
            "line 2: the field `count` is `3x1x1x1x1`, but must be 1 to 4 numbers with `x` between them",
        ),
        (
            "read 0\n+9 read base=1 count=3 delta=1 gap=0 run_levels=1 speed=3",
            "line 2: `read` has no field `speed`; allowed are count, base, delta, run_levels, gap, pause, layer",
        ),
        (
            "read 0\n+9 read base=1 count=3 delta=1 gap=0 run_levels=5",
            "line 2: read 0: field `run_levels` of `read` is 5, but must be 1 to 4",
        ),
        (
            "write 0\n+9 write source=slices",
            "line 2: the field `source` is `slices`, but must be slice0, slice1, ..., requantiser or vector",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(message(text), expected);
    }
}

#[test]
fn units_that_are_not_mentioned_halt_at_once() {
    let configuration = Configuration::default();
    let queues = assemble("", &configuration).unwrap();
    assert_eq!(queues.iter().map(|queue| queue.unit).collect::<Vec<_>>(), Unit::all(&configuration));
    assert!(queues.iter().all(|queue| queue.instructions.len() == 1));
}

#[test]
fn a_schedule_reads_like_this() {
    let configuration = Configuration { tiles: 4, vector_slices: 1, ..Configuration::default() };
    let text = "
tile_group 0
+6 nop
+150 multiply source=slice0 base=0 count=32x4 delta=1,1 run_levels=1 gap=0 layer=0
+6 halt
vector
+90 vector function=add source_a=slice0 source_b=constant constant=-3 minimum=-128 maximum=127 count=8 run_levels=1 gap=0
+90 vector function=pass source_a=requantiser source_b=slice0 constant=0 minimum=0 maximum=5 count=8x2 run_levels=1 gap=12 pause=1
+6 halt
";
    let queues = assemble(text, &configuration).unwrap();
    let region = lpu_isa::program::Region { tensor: "x".into(), slice: 0, base: 0, beats: 1, positions: vec![] };
    let program = lpu_isa::program::Program {
        format: lpu_isa::program::FORMAT,
        model: "ad01".into(),
        board: "bench".into(),
        configuration,
        weights: vec![],
        scales: vec![],
        queues,
        input: region.clone(),
        more_input: vec![],
        input_fill: 0,
        output: region.clone(),
        layers: vec![lpu_isa::program::Layer {
            name: "dense_1".into(),
            operator: "FULLY_CONNECTED".into(),
            macs: 0,
            tiles: 4,
            start: 0,
            end: 0,
            result: region,
            band: None,
        }],
        macs: 0,
        cycles: 156,
        constants: vec![],
        softmaxes: vec![],
        finish: None,
        language: None,
    };
    let text = disassemble(&program);
    let expected = "\
; ad01 for bench: 156 cycles

tile_group 0
;  cycle  interval  operation
       0  +6        nop
       6  +150      multiply  source=slice0  base=0  count=32x4x1x1  delta=1,1,0,0  run_levels=1  gap=0  layer=0  ; steps 7..134, layer dense_1
     156  +6        halt

read 0
;  cycle  interval  operation
       0  +5        halt

write 0
;  cycle  interval  operation
       0  +5        halt

requantiser
;  cycle  interval  operation
       0  +5        halt

vector
;  cycle  interval  operation
       0  +90       vector  function=add   source_a=slice0       source_b=constant  constant=-3  minimum=-128  maximum=127  count=8x1x1x1  run_levels=1  gap=0            ; steps 1..8
      90  +90       vector  function=pass  source_a=requantiser  source_b=slice0    constant=0   minimum=0     maximum=5    count=8x2x1x1  run_levels=1  gap=12  pause=1  ; steps 91..132
     180  +6        halt
";
    assert_eq!(text, expected);
}
