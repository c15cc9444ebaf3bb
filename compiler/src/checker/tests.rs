//! Small schedules written by hand, and what the checker says when one number in them is wrong.
#![allow(clippy::unwrap_used)]

mod language;
mod properties;
mod separate;
mod softmax;

use super::{CheckReport, Remark, Violation, check};
use expect_test::{Expect, expect};
use lpu_isa::assembly::assemble;
use lpu_isa::configuration::{Configuration, Pipeline};
use lpu_isa::instruction::{Source, Unit};
use lpu_isa::latency::Latency;
use lpu_isa::program::{FORMAT, Layer, Program, Region, Scale};

fn region(tensor: &str, slice: u32, base: u32, elements: u32) -> Region {
    Region { tensor: tensor.into(), slice, base, beats: elements.div_ceil(2), positions: (0..elements).collect() }
}

/// Two groups of two columns, words of two beats, `tiles / 4` rows.
fn machine(tiles: u32) -> Configuration {
    Configuration {
        tiles,
        dot: 2,
        stream_elements: 4,
        weight_depth: 16,
        weight_bits: 8,
        vector_slices: 2,
        vector_depth: 8,
        scale_depth: 4,
        queue_depth: 8,
        queue_word_bits: 64,
        requantise_interval: 1,
        scale_multiplier_lanes: 0,
        pipeline: Pipeline::default(),
        ..Configuration::default()
    }
}

/// A program with four words of weights in each tile, one scale, an input of eight elements at beat 0 of slice 0.
fn program(configuration: Configuration, text: &str, output: Region, cycles: u64) -> Program {
    Program {
        format: FORMAT,
        model: "by hand".into(),
        board: "bench".into(),
        weights: vec![vec![1; 8]; configuration.tiles as usize],
        scales: vec![vec![Scale::default(); 4]],
        queues: assemble(text, &configuration).unwrap_or_else(|error| panic!("{error}\n{text}")),
        input: region("input", 0, 0, 8),
        more_input: vec![],
        input_fill: 0,
        output: output.clone(),
        layers: vec![Layer {
            name: "dense".into(),
            operator: "FULLY_CONNECTED".into(),
            macs: 32,
            tiles: configuration.tiles,
            start: 1,
            end: 44,
            result: output,
            band: None,
        }],
        macs: 32,
        cycles,
        configuration,
        constants: vec![],
        softmaxes: vec![],
        finish: None,
        language: None,
    }
}

/// Four products of eight elements, then a maximum with a constant. With one row and the default pipeline, a read takes 4 cycles
/// to its port, a product 10 from its last step to the requantiser, which takes 20, the vector unit 7, and a write 3 until it
/// can be read.
const DENSE: &str = "
read 0
    +3   nop
    +10  read        base=0 count=4 delta=1 run_levels=1 gap=0 layer=0 ; steps 4..7, on the port 8..11
    +3   halt
tile_group 0
    +7   nop
    +10  multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0 layer=0 ; steps 8..11
    +3   halt
tile_group 1
    +7   nop
    +10  multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0 layer=0
    +3   halt
requantiser
    +20  nop
    +4   requantise  source=tiles zero_point=0 minimum=-128 maximum=127 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0 ; step 21, on the port 41
    +3   halt
write 1
    +40  nop
    +14  write       source=requantiser last_beats=2 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0 ; step 41, read from 44
    +3   write       source=vector last_beats=1 base=2 count=1 delta=0 run_levels=1 gap=0 ; step 55, landed at 58
    +3   halt
read 1
    +43  nop
    +4   read        base=0 count=1 delta=0 run_levels=1 gap=0 ; step 44, on the port 48
    +3   halt
vector
    +47  nop
    +4   vector      function=maximum source_a=slice1 source_b=constant constant=0 minimum=-128 maximum=127 count=1 run_levels=1 gap=0 ; step 48, on the port 55
    +3   halt
";

fn dense(text: &str) -> Program {
    program(machine(4), text, region("output", 1, 2, 2), 58)
}

/// `DENSE` with one part replaced.
fn changed(from: &str, to: &str) -> Program {
    assert!(DENSE.contains(from), "{from}");
    dense(&DENSE.replacen(from, to, 1))
}

fn messages(program: &Program) -> String {
    told(check(program))
}

/// A judgement as text.
fn told(judgement: Result<CheckReport, Vec<Violation>>) -> String {
    match judgement {
        Ok(report) => format!("accepted: {report:?}"),
        Err(violations) => violations.iter().map(|violation| format!("{violation}\n")).collect(),
    }
}

/// The checker's messages for `program` are `expected`.
fn rejected(program: &Program, expected: Expect) {
    expected.assert_eq(&messages(program));
}

#[test]
fn the_latencies_are_those_that_the_schedules_here_were_written_for() {
    let latency = Latency::of(&machine(4));
    let Latency { vector_read, step_to_drain, requantise, vector_unit, write_to_read, .. } = latency;
    assert_eq!((vector_read, step_to_drain, requantise, vector_unit, write_to_read), (4, 10, 20, 7, 3));
}

#[test]
fn a_right_schedule_is_accepted_and_measured() {
    let CheckReport { cycles, units, remarks, .. } = check(&dense(DENSE)).unwrap();
    assert_eq!(cycles, 58);
    let steps: Vec<_> = units.iter().map(|activity| (activity.unit, activity.instructions, activity.steps)).collect();
    assert_eq!(
        steps,
        [
            (Unit::TileGroup(0), 3, 4),
            (Unit::TileGroup(1), 3, 4),
            (Unit::Read(0), 3, 4),
            (Unit::Read(1), 3, 1),
            (Unit::Write(0), 1, 0),
            (Unit::Write(1), 4, 2),
            (Unit::Requantiser, 3, 1),
            (Unit::Vector, 3, 1),
        ]
    );
    assert_eq!(units[0].busy, 4.0 / 58.0);
    assert_eq!(remarks, []);
}

#[test]
fn words_and_rows_that_nobody_takes_are_remarks() {
    let report = check(&changed("base=0 count=4 delta=1", "base=0 count=7 delta=1")).unwrap();
    assert_eq!(report.remarks, [Remark::Unheard { source: Source::Slice(0), words: 3 }]);
    assert_eq!(report.remarks[0].to_string(), "words on slice0 that nobody listens to: 3");

    // Group 0 multiplies the same input twice; only its first result is taken.
    let twice = DENSE.replacen("base=0 count=4 delta=1", "base=0 count=4x2 delta=1,-3", 1);
    let twice = twice.replacen("+7   nop\n    +10  multiply", "+7   nop\n    +4   multiply", 1).replacen(
        "; steps 8..11\n",
        "\n    +10  multiply source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0\n",
        1,
    );
    let report = check(&dense(&twice)).unwrap();
    assert_eq!(report.remarks, [Remark::Untaken { group: 0, rows: 1 }]);
    assert_eq!(report.remarks[0].to_string(), "rows of tile group 0 that nobody takes: 1");
}

#[test]
fn a_listener_on_a_silent_port_is_a_crossbar_conflict() {
    rejected(
        &changed("+7   nop\n    +10  multiply", "+8   nop\n    +10  multiply"),
        expect![[r#"
            cycle 12: tile_group 0, instruction 1 (layer dense): crossbar: listens to slice0, a silent port at this cycle
            cycle 41: write 1, instruction 1 (layer dense): stores beat 0 (elements 0..1) of the word on requantiser at address 0, which was requantised at cycle 21, when tile group 0 delivers no result
        "#]],
    );
}

#[test]
fn a_row_that_no_group_delivers_cannot_be_taken() {
    rejected(
        &changed("+20  nop", "+21  nop"),
        expect![[r#"
            cycle 22: requantiser, instruction 1 (layer dense): takes a row of results when no tile group delivers one
            cycle 41: write 1, instruction 1 (layer dense): crossbar: listens to requantiser, a silent port at this cycle
        "#]],
    );
}

#[test]
fn a_read_before_its_write_has_landed_spoils_what_is_made_of_it() {
    let early = DENSE.replace("+43  nop", "+42  nop").replace("+47  nop", "+46  nop");
    let early = early.replace("+14  write", "+13  write").replace("+3   write", "+4   write");
    rejected(
        &dense(&early),
        expect![[r#"
            cycle 54: write 1, instruction 2: stores beat 0 (elements 0..1) of the word on vector at address 2, which was read from beat 0 of slice 1 at cycle 43, before its write of cycle 41 has landed at cycle 44
        "#]],
    );
}

#[test]
fn a_beat_that_nobody_wrote_cannot_be_multiplied() {
    rejected(
        &changed("base=0 count=4 delta=1", "base=1 count=4 delta=1"),
        expect![[r#"
            cycle 11: tile_group 0, instruction 1 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 7, which nobody has written
            cycle 11: tile_group 1, instruction 1 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 7, which nobody has written
        "#]],
    );
}

#[test]
fn a_group_that_delivers_nothing_leaves_a_hole_in_the_word() {
    rejected(
        &changed(
            "tile_group 1\n    +7   nop\n    +10  multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0 layer=0",
            "tile_group 1",
        ),
        expect![[r#"
            cycle 41: write 1, instruction 1 (layer dense): stores beat 1 (elements 2..3) of the word on requantiser at address 1, which was requantised at cycle 21, when tile group 1 delivers no result
        "#]],
    );
}

#[test]
fn a_word_beyond_the_end_of_a_slice_means_nothing_and_cannot_be_written() {
    let over = DENSE
        .replace("last_beats=2 base=0", "last_beats=2 base=14")
        .replace("+4   read        base=0", "+4   read        base=15");
    rejected(
        &dense(&over.replace("last_beats=1", "last_beats=2")),
        expect![[r#"
            cycle 55: write 1, instruction 2: stores beat 1 (elements 2..3) of the word on vector at address 3, which was read from beat 16 of slice 1 at cycle 44, beyond the end of the slice
        "#]],
    );
    rejected(
        &changed("last_beats=1 base=2", "last_beats=2 base=15"),
        expect![[r#"
            cycle 55: write 1, instruction 2: writes beat 16 of slice 1, which has beats 0..15
            cycle 58: the output `output` is not complete: beats of slice 1 not written: 1, the first is beat 2 with element 0
        "#]],
    );
}

#[test]
fn weights_and_scales_must_be_loaded() {
    rejected(
        &changed("slice0 base=0", "slice0 base=1"),
        expect![[r#"
            cycle 11: tile_group 0, instruction 1 (layer dense): takes weight word 4 of tile 0, which has 4 words loaded
        "#]],
    );
    rejected(
        &changed("maximum=127 base=0", "maximum=127 base=1"),
        expect![[r#"
            cycle 21: requantiser, instruction 1 (layer dense): uses entry 1 of the scale table, which has 1 entries loaded
        "#]],
    );
}

#[test]
fn a_unit_does_one_thing_at_a_time() {
    let second = "\n    +10  multiply    source=slice0 base=0 count=1 delta=1 run_levels=1 gap=0\n";
    let text = DENSE.replacen("+10  multiply", "+3   multiply", 1).replacen("; steps 8..11\n", second, 1);
    rejected(
        &dense(&text),
        expect![[r#"
            cycle 11: tile_group 0, instruction 2: two instructions on one port: the first step comes while instruction 1 takes steps up to cycle 11
        "#]],
    );
    // One cycle later the port is free, and what is wrong then is something else.
    let text = text.replacen("+3   multiply", "+4   multiply", 1);
    rejected(
        &dense(&text),
        expect![[r#"
            cycle 12: tile_group 0, instruction 2: crossbar: listens to slice0, a silent port at this cycle
        "#]],
    );
}

#[test]
fn streams_meet_at_the_requantiser_and_the_vector_unit() {
    let text = "
read 0
    +3  nop
    +20 read       base=0 count=1 delta=0 run_levels=1 gap=0 ; step 4, on the port 8
    +4  read       base=2 count=1 delta=0 run_levels=1 gap=0 ; step 24, on the port 28
    +3  halt
requantiser
    +7  nop
    +4  requantise source=slice0 zero_point=2 minimum=-128 maximum=127 base=0 count=1 delta=0 run_levels=1 gap=0 ; step 8, on the port 28
    +3  halt
vector
    +27 nop
    +4  vector     function=add source_a=requantiser source_b=slice0 constant=0 minimum=-128 maximum=127 count=1 run_levels=1 gap=0 ; step 28, on the port 35
    +3  halt
write 1
    +34 nop
    +3  write      source=vector last_beats=2 base=6 count=1 delta=0 run_levels=1 gap=0 ; step 35, landed at 38
    +3  halt
";
    let with = |text: &str| program(machine(4), text, region("output", 1, 6, 4), 38);
    assert_eq!(check(&with(text)).unwrap().remarks, []);
    rejected(
        &with(&text.replace("source_b=slice0", "source_b=slice1")),
        expect![[r#"
            cycle 28: vector, instruction 1: crossbar: listens to slice1, a silent port at this cycle
        "#]],
    );
    // Either operand spoils the sum.
    rejected(
        &with(&text.replace("read       base=0", "read       base=3")),
        expect![[r#"
            cycle 35: write 1, instruction 1: stores beat 1 (elements 2..3) of the word on vector at address 7, which was read from beat 4 of slice 0 at cycle 4, which nobody has written
        "#]],
    );
    rejected(
        &with(&text.replace("read       base=2", "read       base=3")),
        expect![[r#"
            cycle 35: write 1, instruction 1: stores beat 1 (elements 2..3) of the word on vector at address 7, which was read from beat 4 of slice 0 at cycle 24, which nobody has written
        "#]],
    );
}

#[test]
fn two_results_must_not_meet_on_a_drain_chain() {
    let text = "
read 0
    +10 read base=0 count=2 delta=1 run_levels=1 gap=0
    +3  halt
tile_group 1
    +4  nop
    +30 multiply source=slice0 base=0 count=1x2 delta=0,1 run_levels=1 gap=0 layer=0
    +3  halt
";
    rejected(
        &program(machine(8), text, region("input", 0, 0, 8), 35),
        expect![[r#"
        cycle 6: tile_group 1, instruction 1 (layer dense): two results on one drain chain: 1 cycles behind the result of instruction 1, which takes 2
    "#]],
    );
    let apart = text.replace("gap=0 layer", "gap=1 layer").replace("count=2", "count=3");
    let report = check(&program(machine(8), &apart, region("input", 0, 0, 8), 35)).unwrap();
    assert_eq!(
        report.remarks,
        [Remark::Unheard { source: Source::Slice(0), words: 1 }, Remark::Untaken { group: 1, rows: 4 }]
    );
}

#[test]
fn nothing_is_pending_when_a_queue_halts_and_nothing_follows() {
    rejected(
        &changed("+10  read", "+3   read"),
        expect![[r#"
            cycle 6: read 0, instruction 2: halts while instruction 1 takes steps up to cycle 7
        "#]],
    );
    // The last word is written twice, the second time in the cycle of the `halt`.
    let twice = DENSE
        .replace("count=1 delta=0 run_levels=1 gap=0 ; step 44", "count=1x2 delta=0,0 run_levels=1 gap=1 ; step 44")
        .replace("count=1 run_levels=1 gap=0 ; step 48", "count=1x2 run_levels=1 gap=1 ; step 48")
        .replace("count=1 delta=0 run_levels=1 gap=0 ; step 55", "count=1x2 delta=0,0 run_levels=1 gap=1 ; step 55");
    rejected(
        &dense(&twice),
        expect![[r#"
            cycle 57: write 1, instruction 2: the write lands at cycle 60, but the run ends at cycle 58
            cycle 58: the output `output` is not complete: beats of slice 1 not written: 1, the first is beat 2 with element 0
        "#]],
    );
    rejected(
        &changed("+3   halt\ntile_group 0", "+3   halt\n    +3   nop\n    +3   halt\ntile_group 0"),
        expect![[r#"
            cycle 16: read 0, instruction 3: stands behind the `halt` of its queue
        "#]],
    );
}

#[test]
fn the_promised_cycles_are_those_taken() {
    rejected(
        &Program { cycles: 59, ..dense(DENSE) },
        expect![[r#"
            the program promises 59 cycles, but its last queue halts after 58
        "#]],
    );
}

#[test]
fn the_output_is_complete_at_the_end() {
    rejected(
        &Program { output: region("output", 1, 2, 6), ..dense(DENSE) },
        expect![[r#"
            cycle 58: the output `output` is not complete: beats of slice 1 not written: 2, the first is beat 3 with element 2
        "#]],
    );
}

#[test]
fn fields_out_of_range_and_impossible_images_are_reported_before_anything_else() {
    let mut program = dense(DENSE);
    program.queues[2].instructions[0].instruction.interval = 2;
    program.queues[6].instructions[0].instruction.interval = 70_000;
    rejected(
        &program,
        expect![[r#"
            cycle 0: read 0, instruction 0: read 0: field `interval` of `nop` is 2, but must be 3 to 65535
            cycle 0: requantiser, instruction 0: requantiser: field `interval` of `nop` is 70000, but must be 3 to 65535
        "#]],
    );
    let mut program = dense(DENSE);
    program.queues.pop();
    rejected(
        &program,
        expect![[r#"
        the program image contradicts itself: the queues are not those of the configuration
    "#]],
    );
    rejected(
        &program_of(Configuration { dot: 3, ..machine(4) }),
        expect![[r#"
        configuration field `dot` is 3, but must be 2, 4 or 8
    "#]],
    );
}

/// `DENSE` on a machine that it was not made for.
fn program_of(configuration: Configuration) -> Program {
    Program { configuration, ..dense(DENSE) }
}

#[test]
fn a_machine_with_another_latency_rejects_the_schedule() {
    let pipeline = Pipeline::default();
    let others = [
        Pipeline { multiply: 1, ..pipeline },
        Pipeline { weight_read: 2, ..pipeline },
        Pipeline { drain: 2, ..pipeline },
        Pipeline { vector_read: 1, ..pipeline },
        Pipeline { crossbar: 1, ..pipeline },
    ];
    for pipeline in others {
        assert!(check(&program_of(Configuration { pipeline, ..machine(4) })).is_err(), "{pipeline:?}");
    }
}

/// The machine of [`DENSE`], with a requantiser that takes `interval` cycles for a word.
fn slower(interval: u32) -> Configuration {
    Configuration { requantise_interval: interval, ..machine(8) }
}

/// Two rows of results, `interval` cycles apart: `requantise` says when the requantiser takes them and `write` when its words
/// are stored.
fn two_rows(interval: u32, requantise: &str, write: &str) -> Program {
    let text = format!(
        "
read 0
    +3  nop
    +10 read        base=0 count=4 delta=1 run_levels=1 gap=0 ; steps 4..7, on the port 8..11
    +3  halt
tile_group 0
    +7  nop
    +10 multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0
    +3  halt
tile_group 1
    +7  nop
    +10 multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0 ; the first row at 22
    +3  halt
requantiser
    {requantise}
    +3  halt
write 1
    {write}
    +3  halt
"
    );
    program(slower(interval), &text, region("output", 1, 0, 8), 60)
}

/// The requantiser takes two rows of results; `when` are its wait and the rest of its instruction.
fn take(wait: u32, steps: &str) -> String {
    format!(
        "+{wait} nop\n    +8  requantise  source=tiles zero_point=0 minimum=-128 maximum=127 base=0 \
         delta=0,0 {steps}"
    )
}

/// The writer stores two words; `when` are its wait, the rest of its instruction, and the cycles up to its `halt`.
fn keep(wait: u32, steps: &str) -> String {
    format!("+{wait} nop\n    +{} write       source=requantiser last_beats=2 base=0 {steps}", 59 - wait)
}

#[test]
fn rows_of_results_are_taken_at_the_pace_of_the_requantiser() {
    let paced = |pause: u32| format!("count=2 run_levels=1 gap=0 pause={pause}");
    let stores = |pause: u32| format!("count=2 delta=2 run_levels=1 gap=0 pause={pause}");
    let first = |interval: u32| {
        let Latency { step_to_drain, requantise, .. } = Latency::of(&slower(interval));
        (11 + step_to_drain, 11 + step_to_drain + requantise)
    };
    for (interval, pause) in [(1, 0), (2, 1), (4, 3)] {
        let (drain, store) = first(interval);
        let program = two_rows(interval, &take(drain - 1, &paced(pause)), &keep(store - 1, &stores(pause)));
        assert_eq!(check(&program).map(|report| report.remarks), Ok(vec![]), "a row each {interval} cycles");
    }
    let (drain, store) = first(2);
    // The second row is taken a cycle early, and too soon behind the first.
    rejected(
        &two_rows(2, &take(drain - 1, &paced(0)), &keep(store - 1, &stores(0))),
        expect![[r#"
        cycle 23: requantiser, instruction 1: takes a word while it is at work on that of cycle 22; a word takes 2 cycles
        cycle 23: requantiser, instruction 1: takes a row of results when no tile group delivers one
    "#]],
    );
    // It is taken a cycle late.
    rejected(
        &two_rows(2, &take(drain - 1, &paced(2)), &keep(store - 1, &stores(2))),
        expect![[r#"
        cycle 25: requantiser, instruction 1: takes a row of results when no tile group delivers one
    "#]],
    );
    // Everything is a cycle late.
    rejected(
        &two_rows(2, &take(drain, &paced(1)), &keep(store, &stores(1))),
        expect![[r#"
        cycle 23: requantiser, instruction 1: takes a row of results when no tile group delivers one
    "#]],
    );
}

#[test]
fn the_requantiser_takes_a_word_of_a_stream_only_when_it_is_free() {
    let text = "
read 0
    +3  nop
    +9  read       base=0 count=2 delta=2 run_levels=1 gap=0 pause=1 ; steps 4, 6, on the port 8, 10
    +3  halt
requantiser
    +7  nop
    +9  requantise source=slice0 zero_point=2 minimum=-128 maximum=127 base=0 count=2 delta=0 run_levels=1 gap=0 pause=1 ; steps 8, 10, on the port 29, 31
    +3  halt
write 1
    +28 nop
    +6  write      source=requantiser last_beats=2 base=4 count=2 delta=2 run_levels=1 gap=0 pause=1 ; steps 29, 31, landed at 34
    +3  halt
";
    let with = |text: &str| program(slower(2), text, region("output", 1, 4, 8), 35);
    assert_eq!(check(&with(text)).map(|report| report.remarks), Ok(vec![]));
    // One word a cycle is too much, in one instruction or in two.
    rejected(
        &with(&text.replace("gap=0 pause=1", "gap=0")),
        expect![[r#"
        cycle 9: requantiser, instruction 1: takes a word while it is at work on that of cycle 8; a word takes 2 cycles
    "#]],
    );
    let four = "count=2x2 delta=2,-2 run_levels=1 gap=0 pause=1";
    let more = text.replace("count=2 delta=2 run_levels=1 gap=0 pause=1", four);
    let more =
        more.replace("count=2 delta=0 run_levels=1 gap=0 pause=1", "count=2x2 delta=0,0 run_levels=1 gap=0 pause=1");
    rejected(
        &with(&more),
        expect![[r#"
            cycle 11: requantiser, instruction 1: takes a word while it is at work on that of cycle 10; a word takes 2 cycles
            cycle 34: write 1, instruction 1: the write lands at cycle 37, but the run ends at cycle 35
            cycle 35: the output `output` is not complete: beats of slice 1 not written: 2, the first is beat 6 with element 4
        "#]],
    );
}

#[test]
fn a_row_of_results_has_no_holes_but_where_no_tile_stands() {
    // Seven tiles, four columns: group 1 has one tile in the second row of tiles. With int4 weights there are four rows of
    // results; with five tiles group 1 has none in the last two, and delivers zero in the third.
    let configuration = |tiles: u32, weight_bits: u32| Configuration { tiles, weight_bits, ..machine(8) };
    let with = |configuration: Configuration, rows: u32, last_beats: u32| {
        let Latency { step_to_drain, requantise, .. } = Latency::of(&configuration);
        let base = format!("base=0 count={rows} run_levels=1 gap=0");
        let text = format!(
            "
read 0
    +8  nop
    +10 read        base=0 count=4 delta=1 run_levels=1 gap=0 ; on the port 13..16
    +3  halt
tile_group 0
    +12 nop
    +20 multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0
    +3  halt
tile_group 1
    +12 nop
    +20 multiply    source=slice0 base=0 count=4 delta=1 run_levels=1 gap=0
    +3  halt
requantiser
    +{drain} nop
    +8  requantise  source=tiles zero_point=0 minimum=-128 maximum=127 delta=0 {base}
    +3  halt
write 1
    +{store} nop
    +12 write       source=requantiser last_beats={last_beats} delta=2 {base}
    +3  halt
",
            drain = 15 + step_to_drain,
            store = 15 + step_to_drain + requantise,
        );
        let beats = 2 * (rows - 1) + last_beats;
        let cycles = u64::from(15 + step_to_drain + requantise + 12 + 1);
        let weights = vec![vec![1; 16]; configuration.tiles as usize];
        Program { weights, ..program(configuration, &text, region("output", 1, 0, 2 * beats), cycles) }
    };
    for (tiles, weight_bits, rows, last_beats) in [(7, 8, 2, 2), (5, 8, 2, 1), (7, 4, 4, 2), (5, 4, 4, 1)] {
        let program = with(configuration(tiles, weight_bits), rows, last_beats);
        assert_eq!(check(&program).map(|report| report.remarks), Ok(vec![]), "{tiles} tiles, {weight_bits} bits");
    }
    // The hole at the end of the last row is nothing to store.
    rejected(
        &with(configuration(5, 8), 2, 2),
        expect![[r#"
            cycle 48: write 1, instruction 1: stores beat 1 (elements 2..3) of the word on requantiser at address 3, which was requantised at cycle 28, when tile group 1 delivers no result
        "#]],
    );
    rejected(
        &with(configuration(5, 4), 4, 2),
        expect![[r#"
            cycle 51: write 1, instruction 1: stores beat 1 (elements 2..3) of the word on requantiser at address 7, which was requantised at cycle 31, when tile group 1 delivers no result
        "#]],
    );
}
