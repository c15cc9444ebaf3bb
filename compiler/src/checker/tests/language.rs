//! A small token by hand, and what the checker says when one number in it is wrong: registers, scalars, weights that are stored and
//! fetched, schedules for several contexts.

use super::{machine, program, region, told};
use crate::checker::{CheckReport, Violation, check_by};
use expect_test::{Expect, expect};
use lpu_isa::configuration::{Configuration, Extensions};
use lpu_isa::fixed_point::table::Table;
use lpu_isa::latency::{ExtensionLatency, Latency};
use lpu_isa::program::{Constants, Entry, Language, Program, Scale};

fn extended() -> Configuration {
    Configuration {
        queue_depth: 64,
        queue_word_bits: 256,
        extensions: Some(Extensions { registers: 5, scalars: 4, tables: 2, tokens: 0 }),
        ..machine(8)
    }
}

/// A token's row is fetched, goes through the vector unit and is stored as weights, which are multiplied; the largest result becomes a
/// scalar, the place of the largest the next token. Register 1 holds the token, 2 the position.
const TOKEN: &str = "
registers
    +3   assign   destination=3 source=2 multiplier=1 addend=0 constant=0 shift=0 bits=2 ; at 0, from 3 on: the position modulo 4
    +3   assign   destination=4 source=1 multiplier=1 addend=0 constant=0 shift=0 bits=3 ; at 3, from 6 on: the token's tile
    +3   nop
    +3   assign   destination=2 source=2 multiplier=1 addend=0 constant=1 shift=0 bits=16 ; at 9: the next position
    +3   halt
tile_group 0
    +6   nop
    +42  fetch    tile=4 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0 ; step 7, on the port 16
    +10  multiply source=slice0 base=2 count=4 delta=1 run_levels=1 gap=0 layer=0 ; steps 49..52
    +3   halt
tile_group 1
    +6   nop
    +42  fetch    tile=4 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0
    +10  multiply source=slice0 base=2 count=4 delta=1 run_levels=1 gap=0 layer=0
    +3   halt
write 0
    +15  nop
    +3   write    source=weights last_beats=1 base=8 count=1 delta=0 run_levels=1 gap=0 ; step 16, read from 19
    +3   halt
read 0
    +18  nop
    +26  read     base=8 count=1 delta=0 run_levels=1 gap=0 ; step 19, on the port 23
    +6   read     base=0 count=4 delta=1 run_levels=1 gap=0 ; steps 45..48
    +3   read     base=0 count=1 delta=0 run_levels=1 gap=0 ; step 51, on the port 55
    +3   halt
vector
    +22  nop
    +32  vector   function=pass source_a=slice0 source_b=constant constant=0 minimum=-99 maximum=99 reduction=reciprocal base=0 count=1 run_levels=1 gap=0 ; step 23, on the port 45, scalar 0 from 55 on
    +35  vector   function=multiply source_a=slice0 source_b=constant constant=0 minimum=-99 maximum=99 scalar=one table=1 base=0 count=1 run_levels=1 gap=0 ; step 55, on the port 77
    +4   vector   function=subtract source_a=slice1 source_b=constant constant=0 minimum=-99 maximum=99 scalar=one base=1 count=1 run_levels=1 gap=0 ; step 90
    +27  vector   function=pass source_a=slice1 source_b=constant constant=0 minimum=-99 maximum=99 reduction=arg_max target=1 base=0 delta=4 count=2 run_levels=1 gap=0 ; steps 94..95, register 1 from 121 on
    +3   halt
weights
    +44  nop
    +3   store    source=vector spread=beat place=4 base=2 register=3 count=1 delta=0 run_levels=1 gap=0 ; step 45, multiplied from 49 on
    +3   halt
requantiser
    +62  nop
    +3   requantise source=tiles zero_point=0 minimum=-99 maximum=99 mask=3 largest=1 base=0 count=2 delta=0 run_levels=1 gap=0 ; steps 63..64, on the port 83, scalar 1 from 86 on
    +3   halt
write 1
    +76  nop
    +6   write    source=vector last_beats=2 base=2 count=1 delta=0 run_levels=1 gap=0 ; step 77
    +4   write    source=requantiser last_beats=2 base=4 count=2 delta=2 run_levels=1 gap=0 ; steps 83..84, read from 87 on
    +3   halt
read 1
    +85  nop
    +4   read     base=4 count=1 delta=0 run_levels=1 gap=0 ; step 86, on the port 90
    +4   read     base=4 count=2 delta=2 run_levels=1 gap=0 ; steps 90..91, on the port 94
    +3   halt
";

/// The program of `text` on one schedule, for positions below 4.
fn token(text: &str) -> Program {
    let right = program(extended(), text, region("output", 1, 4, 8), 121);
    let language = Language {
        constants: vec![Constants { name: "behind the row".into(), slice: 0, base: 9, elements: vec![0; 2] }],
        tables: vec![Table::of(|x| x), Table::of(|x| -x)],
        entries: vec![Entry { instruction: 0, positions: 4, cycles: 121, macs: 0 }],
        token: 1,
        position: 2,
        slots: (0..8).collect(),
        context: 4,
        others: vec![],
        prefill: vec![],
    };
    Program {
        weights: vec![vec![1; 14]; 8],
        scales: vec![vec![Scale { multiplier: 1 << 30, shift: 0, bias: 0 }; 4]],
        language: Some(language),
        ..right
    }
}

/// [`TOKEN`] with one part replaced.
fn changed(from: &str, to: &str) -> Program {
    assert!(TOKEN.contains(from), "{from}");
    token(&TOKEN.replacen(from, to, 1))
}

/// The latencies that the token was written for: those of the machine, but for the extensions, which are quicker here.
fn written_for() -> Latency {
    let extensions = ExtensionLatency {
        vector_plain: 22,
        vector_arithmetic: 22,
        vector_to_scalar: 32,
        requantise_to_scalar: 22,
        vector_to_register: 26,
        register: 3,
        store_to_weights: 4,
        fetch: 9,
    };
    Latency { vector_unit: 22, extensions: Some(extensions), ..Latency::of(&extended()) }
}

/// What the checker says by these latencies.
fn check(program: &Program) -> Result<CheckReport, Vec<Violation>> {
    check_by(program, &written_for())
}

/// The checker's messages by these latencies.
fn messages(program: &Program) -> String {
    told(check(program))
}

/// The checker's messages for `program` are `expected`.
fn rejected(program: &Program, expected: Expect) {
    expected.assert_eq(&messages(program));
}

#[test]
fn the_latencies_are_those_that_the_token_was_written_for() {
    let Latency { vector_read, step_to_drain, requantise, .. } = Latency::of(&extended());
    assert_eq!((vector_read, step_to_drain, requantise), (4, 11, 20));
}

#[test]
fn the_machine_s_own_latencies_reject_the_token() {
    let violations = crate::checker::check(&token(TOKEN)).unwrap_err();
    assert!(violations.iter().any(|violation| violation.to_string().contains("takes register 4 before")));
}

#[test]
fn a_right_token_is_accepted() {
    let program = token(TOKEN);
    let CheckReport { cycles, schedules, remarks, .. } =
        check(&program).unwrap_or_else(|_| panic!("{}", messages(&program)));
    assert_eq!((cycles, schedules.len(), schedules[0].positions), (121, 1, Some(4)));
    let remarks: String = remarks.iter().map(|remark| format!("{remark}\n")).collect();
    expect![[r#"
        words on vector that nobody listens to: 3
    "#]]
    .assert_eq(&remarks);
}

#[test]
fn a_register_is_written_before_it_is_taken() {
    rejected(
        &changed("place=4", "place=5"),
        expect![[r#"
        positions below 4, cycle 45: weights, instruction 1: takes register 5, which nobody has written in this run
    "#]],
    );
    rejected(
        &changed("source=1 multiplier", "source=5 multiplier"),
        expect![[r#"
        positions below 4, cycle 3: registers, instruction 1: takes register 5, which nobody has written in this run
    "#]],
    );
    rejected(
        &changed("mask=3", "mask=5"),
        expect![[r#"
        positions below 4, cycle 63: requantiser, instruction 1: takes register 5, which nobody has written in this run
    "#]],
    );
}

#[test]
fn a_register_has_landed_when_it_is_taken() {
    // The tile's number a cycle later.
    rejected(
        &changed("+3   assign   destination=3", "+4   assign   destination=3"),
        expect![[r#"
        positions below 4, cycle 7: tile_group 0, instruction 1 (layer dense): takes register 4 before its write of cycle 4 has landed at cycle 7
        positions below 4, cycle 7: tile_group 1, instruction 1 (layer dense): takes register 4 before its write of cycle 4 has landed at cycle 7
    "#]],
    );
}

#[test]
fn a_register_has_one_writer_at_a_time() {
    // While the arg-max is on its way to the token's register, another value lands there.
    let late = "+100 nop\n    +3   assign   destination=1 source=2 multiplier=1 addend=0 constant=1 shift=0 bits=16";
    rejected(
        &changed("+3   assign   destination=2 source=2 multiplier=1 addend=0 constant=1 shift=0 bits=16", late),
        expect![[r#"
            positions below 4, cycle 109: registers, instruction 4: two writers of register 1: this write lands at cycle 112, an earlier one at cycle 121
        "#]],
    );
    // And nothing is on its way when the run ends.
    rejected(
        &changed("+27  vector", "+26  vector"),
        expect![[r#"
        positions below 4, cycle 95: vector, instruction 4: the register lands at cycle 121, but the run ends at cycle 120
        the program promises 121 cycles for positions below 4, but its last queue halts after 120
    "#]],
    );
}

#[test]
fn every_address_that_a_register_can_make_exists() {
    // Positions 0 to 3 go to words 13 to 16 of 16.
    rejected(
        &changed("place=4 base=2 register=3", "place=4 base=13 register=3"),
        expect![[r#"
        positions below 4, cycle 45: weights, instruction 1: register 3 holds 0 to 3, which makes addresses 13 to 16, but there are 0 to 15
        positions below 4, cycle 45: weights, instruction 1: takes weight word 13 of tile 0, which has 7 words loaded
    "#]],
    );
    // Of tiles 0 to 15 there are eight.
    let mut program = changed("shift=0 bits=3", "shift=0 bits=4");
    if let Some(language) = &mut program.language {
        language.slots = (0..16).collect();
    }
    rejected(
        &program,
        expect![[r#"
        positions below 4, cycle 7: tile_group 0, instruction 1 (layer dense): fetches from tile 8, but there are 8
        positions below 4, cycle 45: weights, instruction 1: stores into tile 8, but there are 8
    "#]],
    );
}

#[test]
fn a_scalar_is_written_before_it_is_taken_and_has_landed() {
    rejected(
        &changed("scalar=one base=1", "scalar=one base=2"),
        expect![[r#"
        positions below 4, cycle 90: vector, instruction 3: takes scalar 2, which nobody has written in this run
    "#]],
    );
    rejected(
        &changed("scalar=one base=1", "scalar=one base=4"),
        expect![[r#"
        positions below 4, cycle 90: vector, instruction 3: uses scalar 4 of 4
    "#]],
    );
    // The first reduction makes the scalar that the requantiser's largest result should be: it lands later.
    let slow = TOKEN
        .replace(
            "read     base=0 count=1 delta=0 run_levels=1 gap=0 ; step 51",
            "read     base=0 count=1 delta=0 run_levels=1 gap=0 ; step 50",
        )
        .replace("+6   read", "+5   read")
        .replace("+3   read     base=0 count=1", "+4   read     base=0 count=1")
        .replace("+32  vector", "+31  vector")
        .replace("+35  vector", "+36  vector")
        .replace("+76  nop", "+75  nop")
        .replace("+6   write    source=vector", "+7   write    source=vector");
    rejected(
        &token(&slow),
        expect![[r#"
        positions below 4, cycle 54: vector, instruction 2: takes scalar 0 before its write of cycle 23 has landed at cycle 55
    "#]],
    );
}

#[test]
fn a_scalar_has_one_writer_at_a_time() {
    // The requantiser's largest result lands at 86, and the reduction of the step at 55 a cycle later.
    let both = TOKEN.replace("scalar=one table=1 base=0", "table=1 reduction=reciprocal base=1");
    rejected(
        &token(&both),
        expect![[r#"
        positions below 4, cycle 64: requantiser, instruction 1: two writers of scalar 1: this write lands at cycle 86, an earlier one at cycle 87
    "#]],
    );
}

#[test]
fn a_reduction_takes_only_what_means_something() {
    rejected(
        &Program {
            language: token(TOKEN).language.map(|language| Language { constants: vec![], ..language }),
            ..token(TOKEN)
        },
        expect![[r#"
            positions below 4, cycle 23: vector, instruction 1: reduces beat 1 (elements 2..3) of its operands, which was read from beat 9 of slice 0 at cycle 19, which nobody has written
        "#]],
    );
}

#[test]
fn tables_are_loaded() {
    rejected(
        &Program {
            language: token(TOKEN).language.map(|language| Language { tables: vec![Table::of(|x| x)], ..language }),
            ..token(TOKEN)
        },
        expect![[r#"
            positions below 4, cycle 55: vector, instruction 2: uses table 1; 1 are loaded
        "#]],
    );
}

#[test]
fn a_stored_word_has_landed_when_it_is_multiplied() {
    // The products a cycle earlier, and their results with them.
    let early = TOKEN
        .replace("+42  fetch", "+41  fetch")
        .replace("+10  multiply", "+11  multiply")
        .replace("+26  read", "+25  read")
        .replace("+6   read", "+7   read")
        .replace("+62  nop", "+61  nop")
        .replace("+6   write    source=vector", "+5   write    source=vector")
        .replace("+4   write", "+5   write");
    rejected(
        &token(&early),
        expect![[r#"
        positions below 4, cycle 48: tile_group 0, instruction 2 (layer dense): takes weight word 2 before the store of cycle 45 has landed at cycle 49
        positions below 4, cycle 48: tile_group 1, instruction 2 (layer dense): takes weight word 2 before the store of cycle 45 has landed at cycle 49
    "#]],
    );
}

#[test]
fn a_store_comes_before_those_who_use_it() {
    // The products long before the store: they see what an earlier token left.
    let early = TOKEN
        .replace("+42  fetch", "+32  fetch")
        .replace("+10  multiply", "+20  multiply")
        .replace("+26  read", "+16  read")
        .replace("+6   read", "+16  read")
        .replace("+62  nop", "+52  nop")
        .replace("+76  nop", "+72  nop")
        .replace(
            "+6   write    source=vector last_beats=2 base=2",
            "+4   write    source=requantiser last_beats=2 base=4",
        )
        .replace(
            "+4   write    source=requantiser last_beats=2 base=4 count=2 delta=2",
            "+9   write    source=vector last_beats=2 base=2 count=1 delta=0",
        );
    rejected(
        &token(&early),
        expect![[r#"
        positions below 4, cycle 45: weights, instruction 1: stores into weight word 2, but instruction 2 of tile group 0 has taken at cycle 39 what an earlier run left there
        positions below 4, cycle 95: vector, instruction 4: reduces beat 0 (elements 0..1) of its operands, which was read from beat 6 of slice 1 at cycle 91, which nobody has written
        cycle 121: the output `output` is not complete: beats of slice 1 not written: 2, the first is beat 6 with element 4
    "#]],
    );
}

#[test]
fn a_store_goes_to_words_and_tiles_that_are_there() {
    rejected(
        &changed("spread=beat place=4 base=2", "spread=beat place=4 base=5"),
        expect![[r#"
        positions below 4, cycle 45: weights, instruction 1: takes weight word 7 of tile 0, which has 7 words loaded
    "#]],
    );
    let rows = "spread=columns place=3 base=2 register=3 count=1";
    rejected(
        &changed("spread=beat place=4 base=2 register=3 count=1", rows),
        expect![
            "accepted: CheckReport { cycles: 121, units: [Activity { unit: TileGroup(0), instructions: 4, steps: 5, busy: 0.04132231404958678 }, Activity { unit: TileGroup(1), instructions: 4, steps: 5, busy: 0.04132231404958678 }, Activity { unit: Read(0), instructions: 5, steps: 6, busy: 0.049586776859504134 }, Activity { unit: Read(1), instructions: 4, steps: 3, busy: 0.024793388429752067 }, Activity { unit: Write(0), instructions: 3, steps: 1, busy: 0.008264462809917356 }, Activity { unit: Write(1), instructions: 4, steps: 3, busy: 0.024793388429752067 }, Activity { unit: Requantiser, instructions: 3, steps: 2, busy: 0.01652892561983471 }, Activity { unit: Vector, instructions: 6, steps: 5, busy: 0.04132231404958678 }, Activity { unit: Weights, instructions: 3, steps: 1, busy: 0.008264462809917356 }, Activity { unit: Registers, instructions: 5, steps: 0, busy: 0.0 }], remarks: [Unheard { source: Vector, words: 3 }], schedules: [ScheduleReport { positions: Some(4), cycles: 121, units: [Activity { unit: TileGroup(0), instructions: 4, steps: 5, busy: 0.04132231404958678 }, Activity { unit: TileGroup(1), instructions: 4, steps: 5, busy: 0.04132231404958678 }, Activity { unit: Read(0), instructions: 5, steps: 6, busy: 0.049586776859504134 }, Activity { unit: Read(1), instructions: 4, steps: 3, busy: 0.024793388429752067 }, Activity { unit: Write(0), instructions: 3, steps: 1, busy: 0.008264462809917356 }, Activity { unit: Write(1), instructions: 4, steps: 3, busy: 0.024793388429752067 }, Activity { unit: Requantiser, instructions: 3, steps: 2, busy: 0.01652892561983471 }, Activity { unit: Vector, instructions: 6, steps: 5, busy: 0.04132231404958678 }, Activity { unit: Weights, instructions: 3, steps: 1, busy: 0.008264462809917356 }, Activity { unit: Registers, instructions: 5, steps: 0, busy: 0.0 }], remarks: [Unheard { source: Vector, words: 3 }] }] }"
        ],
    );
    let three = "spread=columns place=3 base=2 register=3 count=3";
    rejected(
        &changed("spread=beat place=4 base=2 register=3 count=1", three),
        expect![[r#"
        positions below 4, cycle 46: weights, instruction 1: crossbar: listens to vector, a silent port at this cycle
        positions below 4, cycle 47: weights, instruction 1: stores into row of tiles 2, but there are 2
        positions below 4, cycle 49: tile_group 0, instruction 2 (layer dense): takes weight word 2 before the store of cycle 47 has landed at cycle 51
        positions below 4, cycle 49: tile_group 1, instruction 2 (layer dense): takes weight word 2 before the store of cycle 47 has landed at cycle 51
    "#]],
    );
}

#[test]
fn a_store_has_landed_when_the_run_ends() {
    let again = "+73  store    source=vector spread=beat place=4 base=2 register=3 count=1 delta=0 run_levels=1 gap=0\n    \
                 +3   store    source=vector spread=beat place=4 base=6 count=1 delta=0 run_levels=1 gap=0 ; step 118\n    \
                 +3   halt\nrequantiser";
    let text = TOKEN.replace("+3   store    source=vector spread=beat place=4 base=2 register=3 count=1 delta=0 run_levels=1 gap=0 ; step 45, multiplied from 49 on\n    +3   halt\nrequantiser", again);
    rejected(
        &token(&text),
        expect![[r#"
        positions below 4, cycle 118: weights, instruction 2: crossbar: listens to vector, a silent port at this cycle
        positions below 4, cycle 118: weights, instruction 2: the store lands at cycle 122, but the run ends at cycle 121
    "#]],
    );
}

#[test]
fn all_groups_fetch_the_same_word() {
    let one = TOKEN.replacen("+42  fetch    tile=4 base=0", "+42  fetch    tile=4 base=1", 1);
    rejected(
        &token(&one),
        expect![[r#"
        positions below 4, cycle 7: tile_group 0, instruction 1 (layer dense): fetches, but tile group 1 does not fetch the same at this cycle
    "#]],
    );
    let alone = TOKEN.replacen(
        "tile_group 1\n    +6   nop\n    +42  fetch    tile=4 base=0 count=1 delta=0 run_levels=1 gap=0 layer=0",
        "tile_group 1\n    +48  nop",
        1,
    );
    rejected(
        &token(&alone),
        expect![[r#"
        positions below 4, cycle 7: tile_group 0, instruction 1 (layer dense): fetches, but tile group 1 does not fetch the same at this cycle
    "#]],
    );
}

#[test]
fn a_fetched_word_fills_one_beat() {
    rejected(
        &changed("source=weights last_beats=1 base=8", "source=weights last_beats=2 base=8"),
        expect![[r#"
            positions below 4, cycle 23: vector, instruction 1: reduces beat 1 (elements 2..3) of its operands, which was fetched from the weights at cycle 7, where only beat 0 is a weight word
        "#]],
    );
}

#[test]
fn a_fetched_word_and_a_result_do_not_meet_on_a_chain() {
    // The result leaves the chain at 63 and 64; a word fetched at 59 passes at 64.
    let fetch = "+10  multiply source=slice0 base=2 count=4 delta=1 run_levels=1 gap=0 layer=0\n    \
                 +3   fetch    tile=4 base=0 count=1 delta=0 run_levels=1 gap=0\n    +3   halt";
    let with = |fetch: &str| {
        let text = TOKEN.replace(" ; steps 49..52", "");
        let multiply = "+10  multiply source=slice0 base=2 count=4 delta=1 run_levels=1 gap=0 layer=0\n    +3   halt";
        token(&text.replace(multiply, fetch))
    };
    rejected(
        &with(fetch),
        expect![[r#"
        positions below 4, cycle 59: tile_group 0, instruction 3: a fetched word and a result on one drain chain, at the cycle of the requantiser's step 64
        positions below 4, cycle 59: tile_group 1, instruction 3: a fetched word and a result on one drain chain, at the cycle of the requantiser's step 64
    "#]],
    );
    // One that passes at 62 does not meet it.
    assert!(check(&with(&fetch.replace("+10  multiply", "+8   multiply"))).is_ok());
}

#[test]
fn schedules_ascend_to_the_context_and_keep_their_promises() {
    let with = |change: fn(&mut Language)| {
        let mut program = token(TOKEN);
        if let Some(language) = &mut program.language {
            change(language);
        }
        program
    };
    rejected(
        &with(|language| language.context = 5),
        expect![[r#"
        its schedules are for positions below [4], which do not ascend to the context of 5
    "#]],
    );
    rejected(
        &with(|language| language.entries[0].cycles += 1),
        expect![[r#"
            it promises 121 cycles, its first schedule 122
            the program promises 122 cycles for positions below 4, but its last queue halts after 121
        "#]],
    );
    rejected(
        &with(|language| language.entries.push(Entry { positions: 3, ..language.entries[0].clone() })),
        expect![[r#"
            its schedules are for positions below [4, 3], which do not ascend to the context of 4
        "#]],
    );
}

#[test]
fn every_instruction_belongs_to_a_schedule() {
    let behind = TOKEN.replacen("+3   halt\ntile_group 0", "+3   halt\n    +3   nop\n    +3   halt\ntile_group 0", 1);
    rejected(
        &token(&behind),
        expect![[r#"
        cycle 15: registers, instruction 5: stands behind the `halt` of its queue
    "#]],
    );
    // Queues are filled up with `halt` to the next schedule's beginning.
    let filled = TOKEN.replacen("+3   halt\ntile_group 0", "+3   halt\n    +3   halt\ntile_group 0", 1);
    assert!(check(&token(&filled)).is_ok());
}

#[test]
fn a_beat_without_a_scalar_may_be_stored_but_not_used() {
    // Beat 1 is multiplied with scalar 1, which comes later.
    let text = TOKEN.replace("scalar=one table=1 base=0", "scalar=of_beat table=1 base=0");
    assert!(check(&token(&text)).is_ok(), "{}", messages(&token(&text)));
    rejected(
        &Program { output: region("output", 1, 2, 4), ..token(&text) },
        expect![[r#"
        the output `output` has element 2 at beat 3 of slice 1, which was computed at cycle 55 with scalar 1, which nobody has written in this run
    "#]],
    );
    rejected(
        &token(&text.replace("read     base=4 count=2 delta=2", "read     base=2 count=2 delta=2")),
        expect![[r#"
            positions below 4, cycle 94: vector, instruction 4: reduces beat 1 (elements 2..3) of its operands, which was computed at cycle 55 with scalar 1, which nobody has written in this run
        "#]],
    );
}

#[test]
fn what_means_nothing_may_be_multiplied_by_zero_only() {
    // Beats 4 to 7, which nobody has written, by the last word that is loaded.
    let text = TOKEN
        .replace("read     base=0 count=4 delta=1", "read     base=4 count=4 delta=1")
        .replace("multiply source=slice0 base=2 count=4 delta=1", "multiply source=slice0 base=6 count=4 delta=0");
    rejected(
        &token(&text),
        expect![[r#"
        positions below 4, cycle 49: tile_group 0, instruction 2 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 45, which nobody has written
        positions below 4, cycle 49: tile_group 1, instruction 2 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 45, which nobody has written
    "#]],
    );
    let mut zero = token(&text);
    zero.weights.iter_mut().for_each(|weights| weights[12..14].fill(0));
    assert!(check(&zero).is_ok(), "{}", messages(&zero));
    // Not if the run may store something there.
    let stored = text.replace("place=4 base=2 register=3", "place=4 base=3 register=3");
    rejected(
        &Program { queues: token(&stored).queues, ..zero },
        expect![[r#"
        positions below 4, cycle 49: tile_group 0, instruction 2 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 45, which nobody has written
        positions below 4, cycle 49: tile_group 1, instruction 2 (layer dense): multiplies beat 0 (elements 0..1) of the word on slice0, which was read from beat 4 of slice 0 at cycle 45, which nobody has written
    "#]],
    );
}

#[test]
fn no_word_of_the_vector_unit_overtakes_one_with_a_longer_way() {
    let longer = Latency { vector_unit: 80, ..written_for() };
    let violations = check_by(&token(TOKEN), &longer).unwrap_err();
    let overtakes = |violation: &Violation| matches!(violation, Violation::Overtakes { cycle: 112, before: 135, .. });
    assert!(violations.iter().any(overtakes), "{violations:?}");
}

#[test]
fn two_registers_do_not_land_in_one_cycle() {
    let program =
        changed("    +3   nop\n    +3   assign   destination=2", "    +112 nop\n    +3   assign   destination=2");
    let violations = check(&program).unwrap_err();
    let meet = |violation: &Violation| matches!(violation, Violation::OnePort { what: "registers", landed: 121, .. });
    assert!(violations.iter().any(meet), "{violations:?}");
}
