//! Small schedules written by hand, and what the checker says when one number in them is wrong.
#![allow(clippy::unwrap_used)]

mod properties;

use super::{CheckReport, Remark, check};
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
        vector_slices: 2,
        vector_depth: 8,
        scale_depth: 4,
        queue_depth: 8,
        pipeline: Pipeline::default(),
    }
}

/// A program with six words of weights in each tile, one scale, an input of eight elements at beat 0 of slice 0.
fn program(configuration: Configuration, text: &str, output: Region, cycles: u64) -> Program {
    Program {
        format: FORMAT,
        model: "by hand".into(),
        board: "bench".into(),
        weights: vec![vec![1; 12]; configuration.tiles as usize],
        scales: vec![vec![Scale::default(); 4]],
        queues: assemble(text, &configuration).unwrap_or_else(|error| panic!("{error}\n{text}")),
        input: region("input", 0, 0, 8),
        output: output.clone(),
        layers: vec![Layer {
            name: "dense".into(),
            operator: "FULLY_CONNECTED".into(),
            macs: 32,
            tiles: configuration.tiles,
            start: 1,
            end: 35,
            result: output,
        }],
        macs: 32,
        cycles,
        configuration,
    }
}

/// Four products of eight elements with bias, then a maximum with a constant. With one row and the default pipeline, a read
/// takes 4 cycles to its port, a product 10 from its last step to the requantiser, which takes 14, the vector unit 5, and a
/// write 3 until it can be read.
const DENSE: &str = "
read 0
    +10  read        base=0 count=4 delta=1 run_levels=1 gap=0 layer=0 ; steps 1..4, on the port 5..8
    +2   halt
tile_group 0
    +2   nop
    +10  multiply    source=slice0 bias=yes base=0 count=4 delta=1 run_levels=1 gap=0 layer=0 ; bias 3..4, steps 5..8
    +2   halt
tile_group 1
    +2   nop
    +10  multiply    source=slice0 bias=yes base=0 count=4 delta=1 run_levels=1 gap=0 layer=0
    +2   halt
requantiser
    +17  nop
    +4   requantise  source=tiles input_zero_point=0 zero_point=0 minimum=-128 maximum=127 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0 ; step 18, on the port 32
    +2   halt
write 1
    +31  nop
    +12  write       source=requantiser last_beats=2 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0 ; step 32, read from 35
    +3   write       source=vector last_beats=1 base=2 count=1 delta=0 run_levels=1 gap=0 ; step 44, landed at 47
    +2   halt
read 1
    +34  nop
    +4   read        base=0 count=1 delta=0 run_levels=1 gap=0 ; step 35, on the port 39
    +2   halt
vector
    +38  nop
    +4   vector      function=maximum source_a=slice1 source_b=constant constant=0 minimum=-128 maximum=127 count=1 run_levels=1 gap=0 ; step 39, on the port 44
    +2   halt
";

fn dense(text: &str) -> Program {
    program(machine(4), text, region("output", 1, 2, 2), 47)
}

/// `DENSE` with one part replaced.
fn changed(from: &str, to: &str) -> Program {
    assert!(DENSE.contains(from), "{from}");
    dense(&DENSE.replacen(from, to, 1))
}

fn messages(program: &Program) -> String {
    match check(program) {
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
    assert_eq!((vector_read, step_to_drain, requantise, vector_unit, write_to_read), (4, 10, 14, 5, 3));
}

#[test]
fn a_right_schedule_is_accepted_and_measured() {
    let CheckReport { cycles, units, remarks } = check(&dense(DENSE)).unwrap();
    assert_eq!(cycles, 47);
    let steps: Vec<_> = units.iter().map(|activity| (activity.unit, activity.instructions, activity.steps)).collect();
    assert_eq!(
        steps,
        [
            (Unit::TileGroup(0), 3, 6),
            (Unit::TileGroup(1), 3, 6),
            (Unit::Read(0), 2, 4),
            (Unit::Read(1), 3, 1),
            (Unit::Write(0), 1, 0),
            (Unit::Write(1), 4, 2),
            (Unit::Requantiser, 3, 1),
            (Unit::Vector, 3, 1),
        ]
    );
    assert_eq!(units[0].busy, 6.0 / 47.0);
    assert_eq!(remarks, []);
}

#[test]
fn words_and_rows_that_nobody_takes_are_remarks() {
    let report = check(&changed("base=0 count=4 delta=1", "base=0 count=7 delta=1")).unwrap();
    assert_eq!(report.remarks, [Remark::Unheard { source: Source::Slice(0), words: 3 }]);
    assert_eq!(report.remarks[0].to_string(), "words on slice0 that nobody listens to: 3");

    // Group 0 multiplies the same input twice; only its first result is taken.
    let twice = DENSE.replacen("base=0 count=4 delta=1", "base=0 count=4x2 delta=1,-3", 1);
    let twice = twice.replacen("+2   nop\n    +10  multiply", "+2   nop\n    +6   multiply", 1).replacen(
        "; bias 3..4, steps 5..8\n",
        "\n    +10  multiply source=slice0 bias=no base=0 count=4 delta=1 run_levels=1 gap=0\n",
        1,
    );
    let report = check(&dense(&twice)).unwrap();
    assert_eq!(report.remarks, [Remark::Untaken { group: 0, rows: 1 }]);
    assert_eq!(report.remarks[0].to_string(), "rows of tile group 0 that nobody takes: 1");
}

#[test]
fn a_listener_on_a_silent_port_is_a_crossbar_conflict() {
    rejected(
        &changed("+2   nop\n    +10  multiply", "+3   nop\n    +10  multiply"),
        expect![[r#"
            cycle 9: tile_group 0, instruction 1 (layer dense): crossbar: listens to slice0, a silent port at this cycle
            cycle 32: write 1, instruction 1 (layer dense): stores beat 0 (elements 0..1) of the word on requantiser at address 0, which was requantised at cycle 18, when tile group 0 delivers no result
        "#]],
    );
}

#[test]
fn a_row_that_no_group_delivers_cannot_be_taken() {
    rejected(
        &changed("+17  nop", "+18  nop"),
        expect![[r#"
            cycle 19: requantiser, instruction 1 (layer dense): takes a row of results when no tile group delivers one
            cycle 32: write 1, instruction 1 (layer dense): crossbar: listens to requantiser, a silent port at this cycle
        "#]],
    );
}

#[test]
fn a_read_before_its_write_has_landed_spoils_what_is_made_of_it() {
    let early = DENSE.replace("+34  nop", "+33  nop").replace("+38  nop", "+37  nop");
    let early = early.replace("+12  write", "+11  write").replace("+3   write", "+4   write");
    rejected(
        &dense(&early),
        expect![[r#"
            cycle 43: write 1, instruction 2: stores beat 0 (elements 0..1) of the word on vector at address 2, which was read from beat 0 of slice 1 at cycle 34, before its write of cycle 32 has landed at cycle 35
        "#]],
    );
}

#[test]
fn a_beat_that_nobody_wrote_cannot_be_multiplied() {
    rejected(
        &changed("base=0 count=4 delta=1", "base=1 count=4 delta=1"),
        expect![[r#"
        cycle 8: tile_group 0, instruction 1 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 4, which nobody has written
        cycle 8: tile_group 1, instruction 1 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 4, which nobody has written
    "#]],
    );
}

#[test]
fn a_group_that_delivers_nothing_leaves_a_hole_in_the_word() {
    rejected(
        &changed(
            "tile_group 1\n    +2   nop\n    +10  multiply    source=slice0 bias=yes base=0 count=4 delta=1 run_levels=1 gap=0 layer=0",
            "tile_group 1",
        ),
        expect![[r#"
            cycle 32: write 1, instruction 1 (layer dense): stores beat 1 (elements 2..3) of the word on requantiser at address 1, which was requantised at cycle 18, when tile group 1 delivers no result
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
            cycle 44: write 1, instruction 2: stores beat 1 (elements 2..3) of the word on vector at address 3, which was read from beat 16 of slice 1 at cycle 35, beyond the end of the slice
        "#]],
    );
    rejected(
        &changed("last_beats=1 base=2", "last_beats=2 base=15"),
        expect![[r#"
            cycle 44: write 1, instruction 2: writes beat 16 of slice 1, which has beats 0..15
            cycle 47: the output `output` is not complete: beats of slice 1 not written: 1, the first is beat 2 with element 0
        "#]],
    );
}

#[test]
fn weights_and_scales_must_be_loaded() {
    rejected(
        &changed("bias=yes base=0", "bias=yes base=1"),
        expect![[r#"
        cycle 8: tile_group 0, instruction 1 (layer dense): takes weight word 6 of tile 0, which has 6 words loaded
    "#]],
    );
    rejected(
        &changed("maximum=127 base=0", "maximum=127 base=1"),
        expect![[r#"
        cycle 18: requantiser, instruction 1 (layer dense): uses entry 1 of the scale table, which has 1 entries loaded
    "#]],
    );
}

#[test]
fn a_unit_does_one_thing_at_a_time() {
    let second = "\n    +10  multiply    source=slice0 bias=no base=0 count=1 delta=1 run_levels=1 gap=0\n";
    let text = DENSE.replacen("+10  multiply", "+5   multiply", 1).replacen("; bias 3..4, steps 5..8\n", second, 1);
    rejected(
        &dense(&text),
        expect![[r#"
        cycle 8: tile_group 0, instruction 2: two instructions on one port: the first step comes while instruction 1 takes steps up to cycle 8
    "#]],
    );
    // One cycle later the port is free, and what is wrong then is something else.
    let text = text.replacen("+5   multiply", "+6   multiply", 1);
    rejected(
        &dense(&text),
        expect![[r#"
        cycle 9: tile_group 0, instruction 2: crossbar: listens to slice0, a silent port at this cycle
    "#]],
    );
}

#[test]
fn streams_meet_at_the_requantiser_and_the_vector_unit() {
    let text = "
read 0
    +14 read       base=0 count=1 delta=0 run_levels=1 gap=0 ; step 1, on the port 5
    +4  read       base=2 count=1 delta=0 run_levels=1 gap=0 ; step 15, on the port 19
    +2  halt
requantiser
    +4  nop
    +4  requantise source=slice0 input_zero_point=1 zero_point=2 minimum=-128 maximum=127 base=0 count=1 delta=0 run_levels=1 gap=0 ; step 5, on the port 19
    +2  halt
vector
    +18 nop
    +4  vector     function=add source_a=requantiser source_b=slice0 constant=0 minimum=-128 maximum=127 count=1 run_levels=1 gap=0 ; step 19, on the port 24
    +2  halt
write 1
    +23 nop
    +3  write      source=vector last_beats=2 base=6 count=1 delta=0 run_levels=1 gap=0 ; step 24, landed at 27
    +2  halt
";
    let with = |text: &str| program(machine(4), text, region("output", 1, 6, 4), 27);
    assert_eq!(check(&with(text)).unwrap().remarks, []);
    rejected(
        &with(&text.replace("source_b=slice0", "source_b=slice1")),
        expect![[r#"
            cycle 19: vector, instruction 1: crossbar: listens to slice1, a silent port at this cycle
        "#]],
    );
    // Either operand spoils the sum.
    rejected(
        &with(&text.replace("read       base=0", "read       base=3")),
        expect![[r#"
            cycle 24: write 1, instruction 1: stores beat 1 (elements 2..3) of the word on vector at address 7, which was read from beat 4 of slice 0 at cycle 1, which nobody has written
        "#]],
    );
    rejected(
        &with(&text.replace("read       base=2", "read       base=3")),
        expect![[r#"
            cycle 24: write 1, instruction 1: stores beat 1 (elements 2..3) of the word on vector at address 7, which was read from beat 4 of slice 0 at cycle 15, which nobody has written
        "#]],
    );
}

#[test]
fn two_results_must_not_meet_on_a_drain_chain() {
    let text = "
read 0
    +10 read base=0 count=2 delta=1 run_levels=1 gap=0
    +2  halt
tile_group 1
    +4  nop
    +30 multiply source=slice0 bias=no base=0 count=1x2 delta=0,1 run_levels=1 gap=0 layer=0
    +2  halt
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
        &changed("+10  read", "+2   read"),
        expect![[r#"
        cycle 2: read 0, instruction 1: halts while instruction 0 takes steps up to cycle 4
    "#]],
    );
    rejected(
        &Program { cycles: 46, ..changed("+3   write", "+2   write") },
        expect![[r#"
            cycle 44: write 1, instruction 2: the write lands at cycle 47, but the run ends at cycle 46
            cycle 46: the output `output` is not complete: beats of slice 1 not written: 1, the first is beat 2 with element 0
        "#]],
    );
    rejected(
        &changed("+2   halt\ntile_group 0", "+2   halt\n    +2   nop\n    +2   halt\ntile_group 0"),
        expect![[r#"
        cycle 12: read 0, instruction 2: stands behind the `halt` of its queue
    "#]],
    );
}

#[test]
fn the_promised_cycles_are_those_taken() {
    rejected(
        &Program { cycles: 48, ..dense(DENSE) },
        expect![[r#"
            the program promises 48 cycles, but its last queue halts after 47
        "#]],
    );
}

#[test]
fn the_output_is_complete_at_the_end() {
    rejected(
        &Program { output: region("output", 1, 2, 6), ..dense(DENSE) },
        expect![[r#"
            cycle 47: the output `output` is not complete: beats of slice 1 not written: 2, the first is beat 3 with element 2
        "#]],
    );
}

#[test]
fn fields_out_of_range_and_impossible_images_are_reported_before_anything_else() {
    let mut program = dense(DENSE);
    program.queues[2].instructions[0].instruction.interval = 1;
    program.queues[6].instructions[0].instruction.interval = 70_000;
    rejected(
        &program,
        expect![[r#"
        cycle 0: read 0, instruction 0 (layer dense): read 0: field `interval` of `read` is 1, but must be 2 to 65535
        cycle 0: requantiser, instruction 0: requantiser: field `interval` of `nop` is 70000, but must be 2 to 65535
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
