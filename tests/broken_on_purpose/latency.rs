//! A latency table that is off by one.

use super::{clamped, compiled, input, rtl_run, shows};
use expect_test::expect;
use lpu_compiler::checker::{self, Cause, Violation};
use lpu_compiler::compile::compile;
use lpu_compiler::import::import;
use lpu_isa::configuration::{Configuration, Extensions, Pipeline};
use lpu_isa::latency::{ExtensionLatency, Latency};
use lpu_isa::program::Program;
use lpu_sim::cycle::{self, CycleModel};
use lpu_sim::divergence::{against_golden, explain};
use lpu_sim::language::LanguageModel;
use lpu_tests::extensions::{self, Job};
use lpu_tests::machines::{extended, looking_up, small};
use lpu_tests::witnesses::{model_run, recording};

/// The cycle model's first run with another latency table.
fn run_with(program: &Program, input: &[i8], latency: Latency) -> cycle::Outcome {
    CycleModel::with_options(program, cycle::Options { latency, ..recording(&program.configuration) })
        .run(input)
        .unwrap()
}

/// A field of the latency table that the cycle model obeys.
type Field = (&'static str, fn(&mut Latency) -> &mut u32);

/// All of them. The other fields are parts of `step_to_drain`; the pipeline's fields change them, further down.
fn obeyed() -> Vec<Field> {
    // A new field must find its place here.
    let Latency {
        crossbar: _,
        vector_read: _,
        weight_read: _,
        multiply: _,
        adder_tree: _,
        step_to_shadow: _,
        step_to_drain: _,
        requantise: _,
        vector_unit: _,
        write_to_read: _,
        // Further down.
        softmax: _,
        extensions: _,
    } = Latency::of(&small());
    vec![
        ("crossbar", |latency| &mut latency.crossbar),
        ("vector_read", |latency| &mut latency.vector_read),
        ("step_to_drain", |latency| &mut latency.step_to_drain),
        ("requantise", |latency| &mut latency.requantise),
        ("vector_unit", |latency| &mut latency.vector_unit),
        ("write_to_read", |latency| &mut latency.write_to_read),
    ]
}

#[test]
fn every_latency_that_is_one_longer_changes_the_writes() {
    let (graph, program, input) = clamped();
    let good = model_run(&program, &input).unwrap();
    for (name, field) in obeyed() {
        let mut latency = Latency::of(&program.configuration);
        *field(&mut latency) += 1;
        let broken = run_with(&program, &input, latency);
        let divergence = explain(&graph, &program, &input, &good.writes, &broken.writes);
        assert!(divergence.is_some_and(|divergence| divergence.element.is_some()), "{name}");
    }
}

#[test]
fn every_latency_that_is_one_shorter_changes_the_writes() {
    let (graph, program, input) = clamped();
    let good = model_run(&program, &input).unwrap();
    // A word that can be read earlier than the schedule reads it changes nothing: that takes the schedule further down.
    for (name, field) in obeyed().into_iter().filter(|(name, _)| *name != "write_to_read") {
        let mut latency = Latency::of(&program.configuration);
        *field(&mut latency) -= 1;
        let broken = run_with(&program, &input, latency);
        assert!(explain(&graph, &program, &input, &good.writes, &broken.writes).is_some(), "{name}");
    }
}

/// What softmax delivers comes in one cycle; its other latencies are least distances, which `sequences` keeps to the cycle on the RTL.
#[test]
fn a_softmax_that_delivers_a_cycle_early_or_late_changes_the_writes() {
    use lpu_tests::operators::{OPERATORS, case};
    let softmax = OPERATORS.iter().position(|(name, _)| *name == "SOFTMAX").unwrap();
    let graph = import(&case(softmax, 0).model.bytes(), "softmax").unwrap();
    let program = compile(&graph, &looking_up()[0].1, "test").unwrap();
    let input: Vec<i8> = (0..program.input_length()).map(|element| element as i8).collect();
    let good = model_run(&program, &input).unwrap();
    for change in [1, -1] {
        let mut latency = Latency::of(&program.configuration);
        let word = &mut latency.softmax.as_mut().unwrap().word;
        *word = word.checked_add_signed(change).unwrap();
        assert_ne!(run_with(&program, &input, latency).writes, good.writes, "{change}");
    }
}

/// A field of the latencies of extensions, and the jobs whose programs obey it most often.
type ExtensionField = (&'static str, fn(&mut ExtensionLatency) -> &mut u32, &'static [Job]);

fn extension_fields() -> Vec<ExtensionField> {
    // A new field must find its place here.
    let ExtensionLatency {
        vector_plain: _,
        vector_arithmetic: _,
        vector_to_scalar: _,
        requantise_to_scalar: _,
        vector_to_register: _,
        register: _,
        store_to_weights: _,
        fetch: _,
    } = Latency::of(&extended()[0].1).extensions.unwrap();
    vec![
        ("vector_plain", |latency| &mut latency.vector_plain, &[Job::Vector]),
        ("vector_arithmetic", |latency| &mut latency.vector_arithmetic, &[Job::Vector]),
        ("vector_to_scalar", |latency| &mut latency.vector_to_scalar, &[Job::Vector]),
        ("requantise_to_scalar", |latency| &mut latency.requantise_to_scalar, &[Job::Requantise, Job::Vector]),
        ("vector_to_register", |latency| &mut latency.vector_to_register, &[Job::Requantise, Job::Vector]),
        ("register", |latency| &mut latency.register, &[Job::Assign, Job::Stream]),
        ("store_to_weights", |latency| &mut latency.store_to_weights, &[Job::Store, Job::Fetch]),
        ("fetch", |latency| &mut latency.fetch, &[Job::Store, Job::Fetch]),
    ]
}

/// Random programs find every latency of extensions that is one longer or one shorter: a program reads what changes in the last cycle
/// before the change, another one in the first behind it.
#[test]
fn every_latency_of_extensions_that_is_off_by_one_changes_the_writes() {
    // Few scalars, so that what one instruction makes another one takes.
    let extensions = Some(Extensions { registers: 15, scalars: 18, tables: 1, tokens: 0 });
    let machine = &Configuration { extensions, queue_depth: 256, ..extended()[0].1.clone() };
    let writes = |program: &Program, latency: Latency| {
        let options = cycle::Options { latency, ..recording(machine) };
        let mut model = LanguageModel::with_options(program, options).unwrap();
        let runs = [model.step(None), model.step(None)];
        runs.map(|run| run.unwrap().writes)
    };
    for (name, field, jobs) in extension_fields() {
        let [mut longer, mut shorter] = [false; 2];
        for program in (0..3_000).map(|seed| extensions::program(machine, seed, jobs, 60)) {
            program.check().unwrap();
            let right = writes(&program, Latency::of(machine));
            let changes = |change: i32| {
                let mut latency = Latency::of(machine);
                let value = latency.extensions.as_mut().map(field).unwrap();
                *value = value.checked_add_signed(change).unwrap();
                writes(&program, latency) != right
            };
            longer = longer || changes(1);
            shorter = shorter || changes(-1);
            if longer && shorter {
                break;
            }
        }
        assert!(longer && shorter, "{name}: one longer is noticed: {longer}, one shorter: {shorter}");
    }
}

#[test]
fn every_pipeline_register_too_many_changes_the_writes() {
    let (graph, program, input) = clamped();
    let good = model_run(&program, &input).unwrap();
    let Pipeline { crossbar, weight_read, multiply, drain, vector_read, compact } = small().pipeline;
    let longer = [
        Pipeline { crossbar: crossbar + 1, ..small().pipeline },
        Pipeline { weight_read: weight_read + 1, ..small().pipeline },
        Pipeline { multiply: multiply + 1, ..small().pipeline },
        Pipeline { drain: drain + 1, ..small().pipeline },
        Pipeline { vector_read: vector_read + 1, ..small().pipeline },
        Pipeline { compact: !compact, ..small().pipeline },
    ];
    for pipeline in longer {
        let broken = run_with(&program, &input, Latency::of(&Configuration { pipeline, ..small() }));
        assert!(explain(&graph, &program, &input, &good.writes, &broken.writes).is_some(), "{pipeline:?}");
    }
}

#[test]
fn a_latency_off_by_one_against_the_rtl_is_reported() {
    let (graph, program) = compiled();
    let input = input(1);
    let Some(right) = rtl_run(&program, &input) else { return };
    let report = |change: fn(&mut Latency)| {
        let mut latency = Latency::of(&program.configuration);
        change(&mut latency);
        explain(&graph, &program, &input, &right.writes, &run_with(&program, &input, latency).writes).unwrap()
    };
    shows(
        &expect![[r#"
            cycle 41: wrong value at vector slice 1 write port, fed by the requantiser from the tiles
              element      0 of `dense_0` (beat address 0, lane 0)
              expected     -63
              got          0 (4 elements of the word differ)
              golden       -63
              instruction  write 1, instruction 1, step 0 (layer `dense_0`)
                           write source=requantiser last_beats=1 base=0 count=2x1x1x1 delta=1,1,0,0 run_levels=1 gap=1
              computed by  tile 0 (column 0, row 0) in pass 0
                           tile_group 0, instruction 1, step 2 (layer `dense_0`)
                           multiply source=slice0 base=0 count=3x2x1x1 delta=1,1,0,0 run_levels=1 gap=0
        "#]],
        &report(|latency| latency.requantise += 1),
    );
    shows(
        &expect![[r#"
            cycle 83: wrong value at vector slice 2 write port, fed by the requantiser from the tiles
              element      0 of `dense_1` (beat address 0, lane 0)
              expected     60
              got          -37 (4 elements of the word differ)
              golden       60
              instruction  write 2, instruction 1, step 0 (layer `dense_1`)
                           write source=requantiser last_beats=1 base=0 count=1x2x1x1 delta=1,1,0,0 run_levels=1 gap=2
              computed by  tile 0 (column 0, row 0) in pass 0
                           tile_group 0, instruction 2, step 2 (layer `dense_1`)
                           multiply source=slice1 base=6 count=3x2x1x1 delta=1,1,0,0 run_levels=1 gap=0
        "#]],
        &report(|latency| latency.write_to_read += 1),
    );
    shows(
        &expect![[r#"
            cycle 41: right word at the wrong time, in cycle 40 at vector slice 1 write port, fed by the requantiser from the tiles
              element      0 of `dense_0` (beat address 0, lane 0)
              golden       -63
              instruction  write 1, instruction 1, step 0 (layer `dense_0`)
                           write source=requantiser last_beats=1 base=0 count=2x1x1x1 delta=1,1,0,0 run_levels=1 gap=1
              computed by  tile 0 (column 0, row 0) in pass 0
                           tile_group 0, instruction 1, step 2 (layer `dense_0`)
                           multiply source=slice0 base=0 count=3x2x1x1 delta=1,1,0,0 run_levels=1 gap=0
        "#]],
        &report(|latency| latency.crossbar -= 1),
    );
}

/// The program with everything behind the first layer one cycle earlier: the second layer reads a word that has not landed.
fn one_cycle_early(program: &Program) -> Program {
    let mut early = program.clone();
    for queue in &mut early.queues {
        let instructions = &mut queue.instructions;
        if let Some(second) = instructions.iter().position(|placed| placed.layer.is_some_and(|layer| layer > 0)) {
            instructions[second - 1].instruction.interval -= 1;
        }
    }
    early.cycles -= 1;
    early
}

#[test]
fn a_write_that_lands_a_cycle_early_is_noticed_by_a_read_that_comes_a_cycle_early() {
    let (graph, program) = compiled();
    let (early, input) = (one_cycle_early(&program), input(1));
    let violations = checker::check(&early).unwrap_err();
    assert!(violations.iter().any(|violation| {
        matches!(violation, Violation::InvalidOperand { cause: Cause::NotLanded { read, landed, .. }, .. } if read + 1 == *landed)
    }));
    let right = model_run(&early, &input).unwrap();
    let mut latency = Latency::of(&early.configuration);
    latency.write_to_read -= 1;
    let broken = run_with(&early, &input, latency);
    // The wrong table makes up for the wrong schedule; the right one does not, and neither does the RTL.
    assert_eq!(against_golden(&graph, &early, &input, &broken.writes).unwrap(), None);
    let divergence = explain(&graph, &early, &input, &right.writes, &broken.writes).unwrap();
    assert_eq!(divergence.element.unwrap().golden.map(i16::from), divergence.got);
    let Some(rtl) = rtl_run(&early, &input) else { return };
    assert_eq!(explain(&graph, &early, &input, &right.writes, &rtl.writes), None);
}
