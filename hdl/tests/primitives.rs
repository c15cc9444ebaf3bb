//! The primitives: their texts lint, hold their latency, and map to the ECP5 cells they are meant for.

#![allow(clippy::unwrap_used)]

mod support;

use lpu_hdl::layer::{Design, Module};
use lpu_hdl::primitives;
use lpu_isa::resources::{block_rams, block_rows};
use std::process::Command;
use std::sync::Arc;
use support::{Verilator, transcript, yosys};

/// Shapes of memories: odd ones, exact ones, one bit, one word, several blocks wide and deep.
const SHAPES: [(usize, usize); 11] = [
    (1, 1),
    (7, 3),
    (32, 512),
    (36, 512),
    (37, 513),
    (36, 2048),
    (64, 300),
    (1, 1025),
    (144, 700),
    (64, 1024),
    (37, 2560),
];

/// Memories whose bytes are written one by one, as bytes of a word and words: of each width of block.
const SHAPES_OF_BYTES: [(usize, usize); 6] = [(4, 2048), (4, 2560), (4, 300), (8, 1024), (2, 1025), (2, 700)];

fn design(module: Arc<Module>) -> Design {
    Design::new(module).unwrap()
}

#[test]
fn behavioural_twins_lint_without_a_warning() {
    let Some(verilator) = Verilator::find_or_skip("linting the primitives") else {
        return;
    };
    let mut modules = vec![
        primitives::multiplier(18, 18),
        primitives::multiplier(8, 16),
        primitives::scale_multiplier(32, 31, true),
        primitives::scale_multiplier(32, 31, false),
        primitives::scale_multiplier(32, 13, true),
        primitives::scale_multiplier(32, 13, false),
        primitives::multiplier_in(8, 16, 1),
        primitives::compact_scale_multiplier(32, 31),
        primitives::accumulator(32),
    ];
    for (width, depth) in SHAPES {
        modules.push(primitives::block_ram(width, depth));
        modules.push(primitives::block_ram_in(width, depth, 1));
        modules.push(primitives::distributed_ram(width, depth));
    }
    for (bytes, depth) in SHAPES_OF_BYTES {
        modules.push(primitives::block_ram_of_bytes(bytes, depth, 2));
        modules.push(primitives::block_ram_of_bytes(bytes, depth, 1));
    }
    for module in modules {
        let design = design(module);
        let directory = tempfile::tempdir().unwrap();
        design.write_to(directory.path()).unwrap();
        let file = format!("behavioural/{}.v", design.top_name());
        let output = verilator.run(directory.path(), &["--lint-only", "-Wall", &file]);
        assert!(output.status.success(), "{}", transcript(&output));
    }
}

#[test]
fn a_memory_is_as_many_blocks_as_were_counted() {
    let plain = SHAPES.map(|(width, depth)| (primitives::block_ram(width, depth), width, depth));
    let of_bytes =
        SHAPES_OF_BYTES.map(|(bytes, depth)| (primitives::block_ram_of_bytes(bytes, depth, 2), 8 * bytes, depth));
    for (module, width, depth) in plain.into_iter().chain(of_bytes) {
        let design = design(module);
        let text = design.single_ecp5_text();
        let blocks = text.matches(" PDPW16KD #(").count() + text.matches(" DP16KD #(").count();
        assert_eq!(blocks as u32, block_rams(width as u32, depth as u32), "{width} x {depth}");
    }
}

/// How many cells of a kind the last statistics of a transcript count.
fn cells(transcript: &str, kind: &str) -> usize {
    let statistics = transcript.rsplit("Number of cells").next().unwrap_or(transcript);
    let statistics = match statistics.len() == transcript.len() {
        true => transcript.rsplit("=== ").next().unwrap_or(transcript),
        false => statistics,
    };
    statistics
        .lines()
        .filter(|line| line.split_whitespace().any(|word| word == kind))
        .filter_map(|line| line.split_whitespace().find_map(|word| word.parse().ok()))
        .next()
        .unwrap_or(0)
}

#[test]
fn yosys_maps_primitives_to_the_cells_they_name() {
    let mut checks = vec![(primitives::multiplier(18, 18), "MULT18X18D", 1)];
    for (width, depth) in [(36, 512), (37, 513), (64, 300), (1, 1025)] {
        let blocks = block_rams(width as u32, depth as u32) as usize;
        let kind = if block_rows(width as u32, depth as u32)[0].width == 36 { "PDPW16KD" } else { "DP16KD" };
        checks.push((primitives::block_ram(width, depth), kind, blocks));
    }
    checks.push((primitives::distributed_ram(8, 16), "TRELLIS_DPR16X4", 2));
    for (module, kind, expected) in checks {
        let design = design(module);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("design.v");
        std::fs::write(&file, design.single_ecp5_text()).unwrap();
        let script =
            format!("read_verilog {}; synth_ecp5 -top {}; check -assert; stat", file.display(), design.top_name());
        let Some(output) = yosys("mapping to ECP5", &script) else {
            return;
        };
        assert_eq!(cells(&output, kind), expected, "{}: {output}", design.top_name());
    }
}

/// Cycles the benches run for: the deepest memory is filled in the first part.
const CYCLES: usize = 4000;

/// A bench that drives both texts of a primitive with the same random inputs and compares them at each cycle. A memory
/// is filled first, and no word is read while it is being written: what that gives is not defined.
fn bench(design: &Design, memory_depth: Option<usize>) -> String {
    let top = design.modules().last().unwrap();
    let mut declarations = String::new();
    let (mut shared, mut drive) = (String::new(), String::new());
    for port in top.ports.iter().filter(|port| port.input) {
        let (name, high) = (&port.name, port.width - 1);
        shared += &format!(".{name}({name}), ");
        if name != "clk" {
            declarations += &format!("  reg [{high}:0] {name} = 0;\n");
            let words: Vec<&str> = (0..port.width.div_ceil(32)).map(|_| "$urandom").collect();
            drive += &format!("      wide = {{{}}};\n      {name} = wide[{high}:0];\n", words.join(", "));
        }
    }
    let output = top.ports.iter().find(|port| !port.input).unwrap();
    let high = output.width - 1;
    if let Some(depth) = memory_depth {
        if top.ports.iter().any(|port| port.name == "write_bytes") {
            drive += &format!("      if (cycle < {depth}) write_bytes = ~0;\n");
        }
        drive += &format!(
            "      if (cycle < {depth}) begin write_enable = 1; write_address = cycle[{last}:0]; end
      if (cycle < {depth} || read_address >= {depth}) read_address = 0;
      if (write_address >= {depth}) write_enable = 0;
      if (write_enable && write_address == read_address) write_enable = cycle < {depth};\n",
            last = top.ports.iter().find(|port| port.name == "read_address").unwrap().width - 1,
        );
    }
    let start = memory_depth.unwrap_or(0) + 8;
    format!(
        "module bench_{name} (input clk);
{declarations}  wire [{high}:0] expected, got;
  {name} behavioural ({shared}.{out}(expected));
  {name}_ecp5 family ({shared}.{out}(got));
  integer cycle = 0;
  reg [1023:0] wide;
  always @(negedge clk) begin
    if (cycle > {start} && expected !== got) begin
      $display(\"{name}: %h instead of %h in cycle %0d\", got, expected, cycle);
      $finish;
    end
    if (cycle == {CYCLES} - 1) $display(\"{name}: equal\");
{drive}    cycle = cycle + 1;
  end
endmodule
",
        name = top.name,
        out = output.name,
    )
}

/// Toggles the clock of the benches.
fn main_function() -> String {
    format!(
        "
#include \"Vbench.h\"
#include \"verilated.h\"
int main() {{
  VerilatedContext context;
  context.threads(1);
  Vbench bench{{&context}};
  for (int edge = 0; edge < 2 * {CYCLES} + 2 && !context.gotFinish(); ++edge) {{
    bench.clk = !bench.clk;
    bench.eval();
  }}
}}
"
    )
}

#[test]
fn ecp5_texts_do_what_their_behavioural_twins_do() {
    let Some(verilator) = Verilator::find_or_skip("comparing the texts of the primitives") else {
        return;
    };
    let mut checks = vec![
        (design(primitives::multiplier(18, 18)), None),
        (design(primitives::multiplier(8, 16)), None),
        (design(primitives::scale_multiplier(32, 31, true)), None),
        (design(primitives::scale_multiplier(33, 32, true)), None),
        (design(primitives::scale_multiplier(18, 18, true)), None),
        (design(primitives::scale_multiplier(32, 31, false)), None),
        (design(primitives::scale_multiplier(18, 18, false)), None),
        (design(primitives::scale_multiplier(32, 13, true)), None),
        (design(primitives::scale_multiplier(33, 16, true)), None),
        (design(primitives::scale_multiplier(32, 13, false)), None),
        (design(primitives::scale_multiplier(32, 10, false)), None),
        (design(primitives::multiplier_in(8, 16, 1)), None),
        (design(primitives::compact_scale_multiplier(32, 31)), None),
        (design(primitives::accumulator(32)), None),
        (design(primitives::register_copy(1)), None),
        (design(primitives::register_copy(16)), None),
    ];
    // Narrow and wide blocks, one and several of them in each direction.
    for (width, depth) in [(37, 1025), (7, 3), (33, 2048), (10, 2100), (64, 1024), (40, 400)] {
        for cycles in [1, 2] {
            checks.push((design(primitives::block_ram_in(width, depth, cycles)), Some(depth)));
        }
    }
    for (bytes, depth) in SHAPES_OF_BYTES {
        for cycles in [1, 2] {
            checks.push((design(primitives::block_ram_of_bytes(bytes, depth, cycles)), Some(depth)));
        }
    }
    // One build for all of them: most of its time goes into the simulator's own library.
    let mut text = support::cells::models();
    let mut instances = String::new();
    for (design, depth) in &checks {
        let name = design.top_name();
        let family = design.single_ecp5_text().replace(&format!("module {name} "), &format!("module {name}_ecp5 "));
        text += &[design.single_text(), family, bench(design, *depth)].concat();
        instances += &format!("  bench_{name} of_{name} (clk);\n");
    }
    text += &format!("module bench (input clk);\n{instances}endmodule\n");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bench.v"), text).unwrap();
    std::fs::write(directory.path().join("main.cpp"), main_function()).unwrap();
    let tools = ["-MAKEFLAGS", support::MAKE_FLAGS];
    let what = ["--cc", "--exe", "--build", "-Wno-fatal", "--top-module", "bench", "bench.v", "main.cpp"];
    let built = verilator.run(directory.path(), &[&what[..], &tools[..]].concat());
    assert!(built.status.success(), "{}", transcript(&built));
    let output = Command::new(directory.path().join("obj_dir/Vbench")).output().unwrap();
    let text = transcript(&output);
    for (design, _) in &checks {
        assert!(text.contains(&format!("{}: equal", design.top_name())), "{text}");
    }
}
