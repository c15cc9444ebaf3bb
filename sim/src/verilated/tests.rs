#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use super::{BuildError, Library, Model, ModelError, Observed, Port, Source, Toolchain, TraceFormat, build, lint};

/// A counter in a submodule, a memory with a write port, and a 100-bit register: every storage class of a port.
const DESIGN: &str = r#"
// One up-counter.
module counter(input wire clk, input wire enable, output reg [7:0] count);
    wire [7:0] following;
    reg [7:0] spare [0:3];
    initial count = 8'd0;
    assign following = count + 8'd1;
    always @(posedge clk) if (enable) count <= following;
    always @(posedge clk) spare[count[1:0]] <= following;
endmodule

module bench(
    input wire clk,
    input wire enable,
    output wire [7:0] count,
    input wire write,
    input wire [11:0] address,
    input wire [31:0] data,
    output wire [31:0] answer,
    input wire [99:0] wide,
    output reg [99:0] inverted,
    input wire [39:0] middle,
    output reg [39:0] middle_next,
    input wire [63:0] pair,
    output wire [63:0] pair_swapped
);
    reg [31:0] memory [0:4095];
    reg [11:0] read_address;
    counter counter_0 (.clk(clk), .enable(enable), .count(count));
    assign answer = memory[read_address];
    assign pair_swapped = {pair[31:0], pair[63:32]};
    always @(posedge clk) begin
        read_address <= address;
        if (write) memory[address] <= data;
        inverted <= ~wide;
        middle_next <= middle + 40'd1;
    end
endmodule
"#;

fn source() -> Source {
    Source {
        files: vec![("bench.v".into(), DESIGN.into())],
        top: "bench".into(),
        clock: "clk".into(),
        ports: vec![
            Port::input("enable", 1),
            Port::output("count", 8),
            Port::input("write", 1),
            Port::input("address", 12),
            Port::input("data", 32),
            Port::output("answer", 32),
            Port::input("wide", 100),
            Port::output("inverted", 100),
            Port::input("middle", 40),
            Port::output("middle_next", 40),
            Port::input("pair", 64),
            Port::output("pair_swapped", 64),
        ],
        observed: vec![
            Observed { path: "bench.counter_0.following".into(), width: 8 },
            Observed { path: "bench.inverted".into(), width: 100 },
        ],
        unoptimised: false,
        trace: None,
        extra_cpp: "LPU_EXPORT uint64_t add_up(Simulation* simulation, uint32_t* words, uint64_t count) {\n\
                    uint64_t sum = simulation->model->count; for (uint64_t i = 0; i < count; ++i) sum += words[i]; return sum; }\n"
            .into(),
    }
}

/// One cache for the tests that run at the same time, so that Verilator's runtime is compiled once; the last one removes it.
fn shared_cache() -> Arc<tempfile::TempDir> {
    static SHARED: Mutex<Weak<tempfile::TempDir>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let cache = Arc::new(tempfile::tempdir().unwrap());
        *shared = Arc::downgrade(&cache);
        cache
    })
}

fn toolchain() -> Toolchain {
    Toolchain::find().unwrap_or_else(|error| panic!("{error}"))
}

fn load(source: &Source, cache: &Path) -> Library {
    let path = build(source, &toolchain(), cache).unwrap_or_else(|error| panic!("{error}"));
    Library::load(&path).unwrap()
}

fn model(library: &Library) -> Model {
    library.instance().unwrap_or_else(|error| panic!("{error}"))
}

/// One build serves all checks of behaviour: building is the slow part.
#[test]
fn a_built_model_behaves_like_its_verilog() {
    let cache = shared_cache();
    let library = load(&source(), cache.path());
    ports_keep_their_values(&library);
    ticks_count_and_stop(&library);
    sequences_write_and_read_memory(&library);
    logs_hold_what_each_edge_acts_on(&library);
    instances_are_independent_and_move_between_threads(&library);
    misuse_is_an_error(&library);
    assert_eq!(model(&library).call("add_up", &mut [1, 2, 3]).unwrap(), 6);

    let again = build(&source(), &toolchain(), cache.path()).unwrap();
    let made = again.metadata().unwrap().modified().unwrap();
    assert_eq!(build(&source(), &toolchain(), cache.path()).unwrap(), again);
    assert_eq!(again.metadata().unwrap().modified().unwrap(), made, "it was built again");

    let mut other = source();
    other.files[0].1 = DESIGN.replace("+ 8'd1", "+ 8'd3");
    let changed = load(&other, cache.path());
    let mut model = model(&changed);
    let (enable, count) = (model.port("enable").unwrap(), model.port("count").unwrap());
    model.set(enable, 1);
    model.tick(4).unwrap();
    assert_eq!(model.get(count), 12, "a changed text must not find the old model");
}

fn ports_keep_their_values(library: &Library) {
    let mut model = model(library);
    let port = |name| model.port(name).unwrap();
    let (wide, inverted) = (port("wide"), port("inverted"));
    let (middle, middle_next) = (port("middle"), port("middle_next"));
    let (pair, swapped) = (port("pair"), port("pair_swapped"));
    model.set_words(wide, &[0x0123_4567, 0x89ab_cdef, 0xdead_beef, 0xffff_fff5]).unwrap();
    model.set(middle, 0xffff_ffff_ffff);
    model.set(pair, 0x1111_2222_3333_4444);
    model.eval().unwrap();
    assert_eq!(model.get(swapped), 0x3333_4444_1111_2222);
    assert_eq!(model.get_words(swapped), [0x1111_2222, 0x3333_4444]);
    model.tick(1).unwrap();
    assert_eq!(model.get_words(inverted), [!0x0123_4567, !0x89ab_cdef, !0xdead_beef, 0xa]);
    assert_eq!(model.get(inverted), 0x7654_3210_fedc_ba98);
    assert_eq!(model.get(middle_next), 0, "bits beyond the width are dropped, 40 bits wrap");
    model.set(wide, u64::MAX);
    model.tick(1).unwrap();
    assert_eq!(model.get_words(inverted), [0, 0, u32::MAX, 0xf]);
}

fn ticks_count_and_stop(library: &Library) {
    let mut model = model(library);
    let (enable, count) = (model.port("enable").unwrap(), model.port("count").unwrap());
    assert_eq!(model.run_until(count, 10).unwrap(), None);
    model.set(enable, 1);
    assert_eq!(model.run_until(count, 10).unwrap(), Some(1));
    model.tick(254).unwrap();
    assert_eq!(model.get(count), 255);
    model.tick(1).unwrap();
    assert_eq!(model.get(count), 0);
    assert_eq!(model.cycles(), 10 + 1 + 254 + 1);
}

fn sequences_write_and_read_memory(library: &Library) {
    let mut model = model(library);
    let port = |name| model.port(name).unwrap();
    let inputs = [port("write"), port("address"), port("data")];
    let answer = port("answer");
    let value = |address: u32| address.wrapping_mul(0x9e37_79b9);
    let writes: Vec<u32> = (0..4096).flat_map(|address| [1, address, value(address)]).collect();
    model.drive_sequence(&inputs, &writes).unwrap();
    assert_eq!(model.cycles(), 4096);
    let reads: Vec<u32> = (0..4096).flat_map(|address| [0, address, 0]).collect();
    let answers = model.exchange(&inputs, &reads, &[answer]).unwrap();
    assert!(answers.iter().zip(0u32..).all(|(&found, address)| found == value(address)));
}

fn logs_hold_what_each_edge_acts_on(library: &Library) {
    let mut model = model(library);
    let (enable, count) = (model.port("enable").unwrap(), model.port("count").unwrap());
    let row = model.log_row_words();
    assert_eq!(row, 1 + 4);
    model.set(enable, 1);
    let mut log = vec![0; row * 3];
    assert_eq!(model.tick_logged(&mut log).unwrap(), 3);
    assert_eq!([log[0], log[row], log[2 * row]], [1, 2, 3]);
    assert_eq!(log[2 * row + 1..][..4], [u32::MAX, u32::MAX, u32::MAX, 0xf], "the register holds ~0 by then");
    assert_eq!(model.get(count), 3);
    assert_eq!(model.run_until_logged(count, &mut log).unwrap(), (1, true));
    assert_eq!(log[0], 4);
}

fn instances_are_independent_and_move_between_threads(library: &Library) {
    let mut models = [model(library), model(library)];
    let (enable, count) = (models[0].port("enable").unwrap(), models[0].port("count").unwrap());
    models[0].set(enable, 1);
    let counts: Vec<u64> = thread::scope(|scope| {
        let run = |mut model: Model| {
            scope.spawn(move || {
                model.tick(100_007).unwrap();
                model.get(count)
            })
        };
        let threads = models.map(run);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(counts, [100_007 % 256, 0]);
}

fn misuse_is_an_error(library: &Library) {
    let mut model = model(library);
    let (wide, count) = (model.port("wide").unwrap(), model.port("count").unwrap());
    assert!(matches!(model.port("nothing"), Err(ModelError::NoPort { .. })));
    assert!(matches!(model.set_words(wide, &[0; 3]), Err(ModelError::Shape { .. })));
    assert!(matches!(model.drive_sequence(&[count], &[1]), Err(ModelError::Shape { .. })));
    assert!(matches!(model.drive_sequence(&[wide], &[1; 6]), Err(ModelError::Shape { .. })));
    assert!(matches!(model.drive_sequence(&[], &[1]), Err(ModelError::Shape { .. })));
    assert!(matches!(model.call("nothing", &mut []), Err(ModelError::NoFunction { .. })));
    let fault = model.open_trace(Path::new("x.vcd")).unwrap_err().to_string();
    assert!(fault.contains("built without tracing"), "{fault}");
}

#[test]
fn two_threads_that_build_the_same_model_get_the_same_library() {
    let cache = tempfile::tempdir().unwrap();
    let toolchain = toolchain();
    let source = Source { observed: Vec::new(), extra_cpp: String::new(), ..source() };
    let paths: Vec<_> = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| build(&source, &toolchain, cache.path()).unwrap()));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(paths[0], paths[1]);
    Library::load(&paths[0]).unwrap().instance().unwrap();
    let left = cache.path().read_dir().unwrap().flatten();
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("building-")).collect();
    assert!(left.is_empty(), "temporary directories are left: {left:?}");
}

#[test]
fn a_value_change_dump_holds_the_cycles_between_open_and_close() {
    let cache = shared_cache();
    let source = Source { trace: Some(TraceFormat::Vcd), ..source() };
    let library = load(&source, cache.path());
    assert!(library.can_trace());
    let mut model = model(&library);
    let enable = model.port("enable").unwrap();
    model.set(enable, 1);
    model.tick(7).unwrap();
    for name in ["first.vcd", "second.vcd"] {
        let file = cache.path().join(name);
        let start = model.cycles();
        model.open_trace(&file).unwrap();
        model.tick(3).unwrap();
        model.close_trace().unwrap();
        model.tick(1).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(" following [7:0] $end"), "{text}");
        let times: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix('#')?.parse().ok()).collect();
        let expected: Vec<u64> = (start..start + 3).flat_map(|cycle| [10 * cycle, 10 * cycle + 5]).collect();
        assert_eq!(times, expected);
    }
    let fault = model.open_trace(&cache.path().join("missing/x.vcd")).unwrap_err().to_string();
    assert!(fault.contains("cannot write"), "{fault}");
}

#[test]
fn compressed_traces_work_or_say_what_is_missing() {
    let cache = shared_cache();
    let source = Source { trace: Some(TraceFormat::Fst), ..source() };
    match build(&source, &toolchain(), cache.path()) {
        Err(error) => assert!(matches!(error, BuildError::FstUnavailable), "{error}"),
        Ok(path) => {
            let mut model = model(&Library::load(&path).unwrap());
            let file = cache.path().join("wave.fst");
            model.open_trace(&file).unwrap();
            model.tick(100).unwrap();
            drop(model);
            assert!(file.metadata().unwrap().len() > 100);
        }
    }
}

#[test]
fn refused_text_is_reported_with_the_tools_own_words_and_a_log() {
    let cache = shared_cache();
    let toolchain = toolchain();
    let with = |from: &str, to: &str| Source { files: vec![("bench.v".into(), DESIGN.replace(from, to))], ..source() };
    match build(&with("output reg [7:0] count);", "output reg [7:0] count;"), &toolchain, cache.path()) {
        Err(BuildError::Verilator { tail, log, .. }) => {
            assert!(tail.contains("syntax error") && tail.contains("bench.v"), "{tail}");
            assert!(std::fs::read_to_string(log).unwrap().contains("syntax error"));
        }
        other => panic!("{other:?}"),
    }
    let mut wrong = source();
    wrong.ports[3].width = 20;
    match build(&wrong, &toolchain, cache.path()) {
        Err(BuildError::Compiler { tail, .. }) => {
            assert!(tail.contains("declared width"), "{tail}")
        }
        other => panic!("{other:?}"),
    }
    let mut wrong = source();
    wrong.ports[1].name = "count; system(1)".into();
    assert!(matches!(build(&wrong, &toolchain, cache.path()), Err(BuildError::Source { .. })));
}

#[test]
fn observed_signals_that_do_not_exist_or_have_another_width_are_errors() {
    let cache = shared_cache();
    let with = |path: &str, width| Source { observed: vec![Observed { path: path.into(), width }], ..source() };
    let library = load(&with("bench.counter_0.following", 9), cache.path());
    let fault = library.instance().err().unwrap().to_string();
    assert!(fault.contains("has 8 bits, declared with 9"), "{fault}");
    let error = build(&with("bench.counter_1.following", 8), &toolchain(), cache.path()).unwrap_err().to_string();
    assert!(error.contains("no instance `counter_1`"), "{error}");
    // Verilator itself says that there is no such signal, or the load does.
    let fault = match build(&with("bench.counter_0.nothing", 8), &toolchain(), cache.path()) {
        Err(error) => error.to_string(),
        Ok(path) => Library::load(&path).unwrap().instance().err().unwrap().to_string(),
    };
    assert!(fault.contains("nothing"), "{fault}");
}

#[test]
fn lint_accepts_clean_text_and_names_a_warning() {
    let toolchain = toolchain();
    let clean = "module clean(input wire a, output wire b);\n    assign b = a;\nendmodule\n";
    let source = |text: &str| Source {
        files: vec![("clean.v".into(), text.into())],
        top: "clean".into(),
        clock: "a".into(),
        ports: vec![Port::output("b", 1)],
        ..Source::default()
    };
    lint(&source(clean), &toolchain).unwrap();
    let error = lint(&source(&clean.replace("= a", "= 2'd1")), &toolchain).unwrap_err().to_string();
    assert!(error.contains("WIDTHTRUNC"), "{error}");
}
