//! The emitted Verilog as a product: someone reads it, Verilator lints it.

#![allow(clippy::unwrap_used)]

use lpu_hdl::layer::Design;
use lpu_hdl::lpu::top::design;
use lpu_isa::configuration::Configuration;
use lpu_isa::latency::Latency;
use lpu_sim::rtl;
use lpu_sim::verilated::lint;
use lpu_tests::machines::simulated;
use lpu_tests::witnesses::toolchain;
use std::collections::{BTreeMap, HashSet};

/// The default machine and four that differ from it and from each other in every way.
fn machines() -> Vec<(&'static str, Configuration)> {
    let wanted = [
        "39 tiles in three rows",
        "pairs of multipliers, shortest pipelines",
        "wide dots in eight banks, crossbar slower than the weights",
        "int4 weights, an incomplete row",
    ];
    let others = simulated().into_iter().filter(|(name, _)| wanted.contains(name));
    let machines: Vec<_> = std::iter::once(("the default machine", Configuration::default())).chain(others).collect();
    assert_eq!(machines.len(), 5);
    machines
}

fn designs() -> Vec<(&'static str, Configuration, Design)> {
    let design = |(name, machine): (_, Configuration)| (name, machine.clone(), design(&machine).unwrap());
    machines().into_iter().map(design).collect()
}

/// Text that is no comment and no string.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn verilator_has_nothing_to_say() {
    let Some(toolchain) = toolchain("linting the emitted Verilog") else { return };
    for (name, machine) in machines() {
        if let Err(error) = lint(&rtl::source(&machine, None).unwrap(), &toolchain) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn a_lint_warning_does_not_pass() {
    let Some(toolchain) = toolchain("linting a faulty Verilog text") else { return };
    let mut source = rtl::source(&Configuration { tiles: 1, ..Configuration::default() }, None).unwrap();
    let tile = source.files.iter_mut().find(|(name, _)| name == "tile.v").unwrap();
    tile.1 = tile.1.replace("endmodule", "  wire [3:0] too_narrow = 5'd1;\nendmodule");
    let error = lint(&source, &toolchain).unwrap_err().to_string();
    assert!(error.contains("too_narrow") && error.contains("WIDTH"), "{error}");
}

#[test]
fn no_warning_is_waived() {
    for (name, _, design) in designs() {
        for (file, text) in design.files() {
            for waiver in ["lint_off", "lint_on", "translate_off", "synthesis off"] {
                assert!(!text.contains(waiver), "{name}, {file}: {waiver}");
            }
        }
    }
}

#[test]
fn names_are_plain() {
    for (name, _, design) in designs() {
        for (file, text) in design.files() {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            let stem = file.split_once('/').unwrap().1.strip_suffix(".v").unwrap();
            assert!(stem.bytes().all(plain), "{name}: {file}");
            assert!(text.is_ascii(), "{name}, {file}");
            // Neither in names nor as calls of the simulator: what is simulated is what is synthesised.
            assert!(!code(&text).contains('$'), "{name}, {file}");
            assert!(!code(&text).contains('\\'), "{name}, {file}: an escaped name");
            assert!(text.lines().all(|line| line.trim_end() == line), "{name}, {file}: blanks at a line's end");
            assert!(text.lines().all(|line| line.len() <= 160), "{name}, {file}: a line beyond 160 columns");
        }
        for (path, _) in design.hierarchy() {
            assert!(path.bytes().all(|byte| byte == b'.' || byte == b'_' || byte.is_ascii_alphanumeric()), "{path}");
        }
    }
}

#[test]
fn each_module_has_a_file_and_each_distinct_shape_one_module() {
    for (name, _, design) in designs() {
        let mut seen = HashSet::new();
        let mut bodies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (file, text) in design.files() {
            let (folder, file) = file.split_once('/').unwrap();
            let module = file.strip_suffix(".v").unwrap();
            let family = ["ecp5", "ice40", "gowin"].contains(&folder).then(|| folder.to_string());
            assert!(family.is_some() || ["rtl", "behavioural"].contains(&folder), "{folder}");
            let code = code(&text);
            let declared: Vec<&str> = code.lines().filter_map(|line| line.strip_prefix("module ")).collect();
            assert_eq!(declared, [format!("{module} (")], "{name}, {folder}/{file}");
            assert_eq!(code.matches("endmodule").count(), 1, "{name}, {folder}/{file}");
            let body = text.split_once(&format!("module {module} (")).unwrap().1;
            bodies.entry(module.to_string()).or_default().push(format!("{folder}: {body}"));
            assert!(seen.insert((family, module.to_string())), "{name}: {module} twice");
        }
        // Under another name, no module has the same ports and the same bodies. One of them may be the same: block RAMs of different
        // depths may be the same cells of a family, and a product in multiplier cells behaves like one in logic.
        let mut distinct = HashSet::new();
        for (module, bodies) in bodies {
            assert!(distinct.insert(bodies), "{name}: {module} has a twin");
        }
        let emitted: HashSet<&str> = design.modules().iter().map(|module| module.name.as_str()).collect();
        let files: HashSet<&str> = seen.iter().map(|(_, module)| module.as_str()).collect();
        assert_eq!(emitted, files);
    }
}

/// The comment over the module, as one line of words.
fn header(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with("//"));
    lines.map(|line| line.trim_start_matches('/').trim()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_header_says_what_the_module_does_and_how_long_it_takes() {
    for (name, _, design) in designs() {
        for (file, text) in design.files() {
            let module = file.split_once('/').unwrap().1.strip_suffix(".v").unwrap();
            let header = header(&text);
            let description = header.strip_prefix(module).unwrap_or_else(|| panic!("{name}, {file}: {header}"));
            let sentence = description.split("Latency:").next().unwrap().trim();
            assert!(sentence.ends_with('.') && sentence.len() >= 40, "{name}, {file}: `{sentence}`");
            // The top has no one way from input to output.
            assert!(module == design.top_name() || header.contains("Latency:"), "{name}, {file}: {header}");
        }
    }
}

#[test]
fn latencies_in_headers_are_those_of_the_latency_table() {
    for (name, machine, design) in designs() {
        let latency = Latency::of(&machine);
        let expected = [
            ("crossbar", "any source to any destination", latency.crossbar),
            ("vector_slice", "read step to read_data", latency.vector_read),
            ("requantiser", "step to the whole word of results", latency.requantise),
            ("vector_unit", "step to result", latency.vector_unit),
        ];
        let absent = if machine.vector_unit { "" } else { "vector_unit" };
        for (module, path, cycles) in expected.into_iter().filter(|(module, ..)| *module != absent) {
            let emitted = design.modules().iter().find(|emitted| emitted.name == module).unwrap();
            let line = format!("{path}: {cycles} cycle");
            assert!(header(emitted.text.simulated()).contains(&line), "{name}, {module}: not `{line}`");
        }
        let groups = design.modules().iter().filter(|module| module.name.starts_with("tile_group"));
        for group in groups {
            let cycles = latency.step_to_shadow + machine.tile_rows();
            let line = format!("step to the first row of its results on the drain ports: {cycles} cycles");
            assert!(header(group.text.simulated()).contains(&line), "{name}, {}: not `{line}`", group.name);
        }
    }
}

#[test]
fn the_same_machine_gives_the_same_text() {
    for (name, machine, first) in designs() {
        let again = design(&machine).unwrap();
        assert!(first.files() == again.files(), "{name}");
        assert!(first.hierarchy() == again.hierarchy(), "{name}");
    }
}

#[test]
fn the_machine_has_the_units_of_its_configuration() {
    for (name, machine, design) in designs() {
        let count = |prefix: &str| {
            let modules = design.modules().iter().filter(|module| module.name.starts_with(prefix));
            modules.map(|module| module.instances).sum::<usize>() as u32
        };
        assert_eq!(count("multiplier_"), machine.multipliers(), "{name}");
        assert_eq!(count("requantiser_lane"), machine.requantiser_lanes(), "{name}");
        assert_eq!(count("vector_slice"), machine.vector_slices, "{name}");
        assert_eq!(count("tile_group_"), machine.tile_groups(), "{name}");
        assert_eq!(count("instruction_queue"), lpu_isa::instruction::Unit::all(&machine).len() as u32, "{name}");
    }
}
