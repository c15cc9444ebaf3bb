//! Two texts of one module under the same random inputs.

use lpu_hdl::layer::{EmittedModule, EmittedPort};
use lpu_sim::verilated::{Library, Port, Source, build};
use lpu_tests::netlist::{ecp5_cells, tolerant};
use lpu_tests::random::Random;
use lpu_tests::witnesses::{cache, toolchain};
use std::error::Error;
use std::fmt::Write as _;

/// A module and another text of it under another name.
pub struct Pair<'a> {
    /// The module, with its ports.
    pub module: &'a EmittedModule,
    /// Name of the other text.
    pub other: String,
}

/// Runs all pairs for `cycles` cycles and says for each whether an output ever differed; `None` without Verilator. `texts` are the
/// files of all modules.
///
/// # Errors
/// The bench cannot be built or run.
pub fn differing(
    pairs: &[Pair<'_>],
    texts: Vec<(String, String)>,
    cycles: usize,
    what: &str,
) -> Result<Option<Vec<bool>>, Box<dyn Error>> {
    let Some(toolchain) = toolchain(what) else { return Ok(None) };
    let bits = pairs.iter().map(|pair| random_bits(pair.module)).max().unwrap_or(1).max(65);
    let mut text =
        format!("module bench (input clk, input [{}:0] random, output [{}:0] differs);\n", bits - 1, pairs.len());
    let mut modules = String::new();
    for (number, pair) in pairs.iter().enumerate() {
        let high = random_bits(pair.module) - 1;
        let _ = writeln!(text, "  pair_{number} pair_{number} (clk, random[{high}:0], differs[{number}]);");
        modules += &comparison(number, pair)?;
    }
    // One bit more than there are pairs: a vector in any case.
    let _ = writeln!(text, "  assign differs[{}] = 1'b0;\nendmodule\n{modules}", pairs.len());
    let mut files = vec![("bench.v".to_string(), tolerant(&text))];
    files.extend(texts);
    files.extend(ecp5_cells());
    let source = Source {
        files,
        top: "bench".into(),
        clock: "clk".into(),
        ports: vec![Port::input("random", bits as u32), Port::output("differs", pairs.len() as u32 + 1)],
        unoptimised: true,
        ..Source::default()
    };
    let library = Library::load(&build(&source, &toolchain, &cache())?)?;
    let mut model = library.instance()?;
    let (input, output) = (model.port("random")?, model.port("differs")?);
    let words = bits.div_ceil(32);
    let mut random = Random::new(bits as u64);
    let rows: Vec<u32> = (0..cycles * words)
        .map(|_| match random.below(16) {
            // The ends of every range come often.
            0 => 0,
            1 => u32::MAX,
            2 => 0x8080_8080,
            3 => 0x7f7f_7f7f,
            _ => (random.bits() >> 32) as u32,
        })
        .collect();
    model.drive_sequence(&[input], &rows)?;
    let differs = model.get_words(output);
    Ok(Some((0..pairs.len()).map(|number| differs[number / 32] >> (number % 32) & 1 == 1).collect()))
}

fn inputs(module: &EmittedModule) -> impl Iterator<Item = &EmittedPort> {
    module.ports.iter().filter(|port| port.input && port.name != "clk")
}

/// Random bits that the inputs of `module` take; addresses take more than they have, see [`comparison`].
fn random_bits(module: &EmittedModule) -> usize {
    inputs(module).map(|port| port.width + 16).sum()
}

/// Words of a memory, from its name (`block_ram_36x512`, `block_ram_36x512_unregistered`).
fn depth(module: &EmittedModule) -> Result<usize, Box<dyn Error>> {
    let (_, depth) = module.name.rsplit_once('x').ok_or("a memory without a shape in its name")?;
    let (depth, _) = depth.split_once('_').unwrap_or((depth, ""));
    Ok(depth.parse()?)
}

/// A module that keeps in mind whether the two texts ever differed. Where what a primitive does is not defined, it is not asked:
/// a memory is not read or written beyond its last word and no word is read while it is written, and a one-hot input has one bit
/// set or none.
fn comparison(number: usize, pair: &Pair<'_>) -> Result<String, Box<dyn Error>> {
    let module = pair.module;
    let is_memory = inputs(module).any(|port| port.name == "write_enable");
    let mut text = format!(
        "module pair_{number} (input clk, input [{}:0] random, output reg differs);\n",
        random_bits(module) - 1
    );
    let clocked = module.ports.iter().any(|port| port.name == "clk");
    let mut connections: Vec<String> = clocked.then(|| ".clk(clk)".to_string()).into_iter().collect();
    let mut from = 0;
    for EmittedPort { name, width, signed, .. } in inputs(module) {
        let value = match name.as_str() {
            "read_address" | "write_address" if is_memory => {
                format!("random[{from} +: {}] % {}'d{}", width + 16, width + 16, depth(module)?)
            }
            "write_enable" if is_memory => format!("random[{from}] & (read_address != write_address)"),
            "pick" => format!("{width}'d1 << (random[{from} +: 16] % 16'd{})", width + 1),
            _ => format!("random[{from} +: {width}]"),
        };
        let signed = if *signed { " signed" } else { "" };
        // The enable comes before the addresses that it depends on: declarations first.
        let _ = writeln!(text, "  wire{signed} [{}:0] {name};", width - 1);
        connections.push(format!(".{name}({name})"));
        from += width + 16;
        text += &format!("  assign {name} = {value};\n");
    }
    let mut unequal = vec!["1'b0".to_string()];
    let (mut one, mut two) = (connections.clone(), connections);
    for EmittedPort { name, width, .. } in module.ports.iter().filter(|port| !port.input) {
        let _ = writeln!(text, "  wire [{0}:0] {name}_one, {name}_two;", width - 1);
        one.push(format!(".{name}({name}_one)"));
        two.push(format!(".{name}({name}_two)"));
        unequal.push(format!("{name}_one != {name}_two"));
    }
    let _ = writeln!(text, "  {} one ({});", module.name, one.join(", "));
    let _ = writeln!(text, "  {} two ({});", pair.other, two.join(", "));
    let _ = writeln!(text, "  initial differs = 1'b0;");
    let _ = writeln!(text, "  always @(posedge clk) if ({}) differs <= 1'b1;\nendmodule", unequal.join(" || "));
    Ok(text)
}
