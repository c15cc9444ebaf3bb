//! The C++ between a Verilated model and [`Library`](super::Library), and the file that makes observed signals readable.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::build::BuildError;
use super::source::{Direction, Source, TraceFormat, words};

/// The shim's fixed part; the generated part defines what it uses: ports, observed signals, trace class.
const FIXED: &str = include_str!("shim.cpp");

/// Raised with every change of the functions that the library exports.
pub(super) const INTERFACE: u32 = 1;

/// The C++ text of the shim for `source`.
pub(super) fn cpp(source: &Source) -> String {
    let mut text = String::from("#include \"Vmodel.h\"\n#include \"verilated.h\"\n");
    match source.trace {
        None => text.push_str("#define LPU_TRACE 0\n"),
        Some(TraceFormat::Vcd) => {
            text.push_str("#include \"verilated_vcd_c.h\"\n#define LPU_TRACE 1\nusing TraceFile = VerilatedVcdC;\n");
        }
        Some(TraceFormat::Fst) => {
            text.push_str("#include \"verilated_fst_c.h\"\n#define LPU_TRACE 1\nusing TraceFile = VerilatedFstC;\n");
        }
    }
    let observed_words: usize = source.observed.iter().map(|observed| words(observed.width)).sum();
    let _ = writeln!(text, "#define LPU_INTERFACE {INTERFACE}");
    let _ = writeln!(text, "#define LPU_CLOCK {}", source.clock);
    let _ = writeln!(text, "#define LPU_PORTS {}", source.ports.len());
    let _ = writeln!(text, "#define LPU_OBSERVED {}", source.observed.len());
    let _ = writeln!(text, "#define LPU_OBSERVED_WORDS {observed_words}");
    text.push_str("struct Description { const char* name; uint32_t width; uint32_t direction; };\n");
    // One spare row each: C++ has no empty arrays.
    text.push_str("static const Description port_table[LPU_PORTS + 1] = {\n");
    for port in &source.ports {
        let direction = u32::from(port.direction == Direction::Output);
        let _ = writeln!(text, "    {{\"{}\", {}, {direction}}},", port.name, port.width);
    }
    text.push_str("    {nullptr, 0, 0}};\nstatic const Description observed_table[LPU_OBSERVED + 1] = {\n");
    for observed in &source.observed {
        let _ = writeln!(text, "    {{\"{}\", {}, 1}},", observed.path, observed.width);
    }
    text.push_str("    {nullptr, 0, 0}};\n");
    text.push_str("#define LPU_PORT_SLOTS(model) {\\\n");
    for port in &source.ports {
        // The compiler refuses a port whose storage does not have the size its declared width asks for.
        let _ = writeln!(text, "    slot<{}>((model).{}),\\", port.width, port.name);
    }
    text.push_str("    Slot{}}\n");
    text.push_str(FIXED);
    text.push_str(&source.extra_cpp);
    text
}

/// Verilator's control file: the observed signals, by module, readable from outside.
pub(super) fn control_file(source: &Source) -> Result<String, BuildError> {
    let mut text = String::from("`verilator_config\n");
    if source.observed.is_empty() {
        return Ok(text);
    }
    let modules = instances(source);
    let mut lines = Vec::new();
    for observed in &source.observed {
        let parts: Vec<&str> = observed.path.split('.').collect();
        let (signal, path) = (parts[parts.len() - 1], &parts[1..parts.len() - 1]);
        let mut module = source.top.as_str();
        for instance in path {
            module = modules.get(module).and_then(|inside| inside.get(instance)).ok_or_else(|| {
                let what = format!("observed `{}`: module `{module}` has no instance `{instance}`", observed.path);
                BuildError::Source { top: source.top.clone(), what }
            })?;
        }
        lines.push(format!("public_flat_rd -module \"{module}\" -var \"{signal}\"\n"));
    }
    lines.sort();
    lines.dedup();
    text.extend(lines);
    Ok(text)
}

/// For each module the modules of its instances, by instance name.
fn instances(source: &Source) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let tokens: Vec<Vec<&str>> = source.files.iter().map(|(_, text)| tokens(text)).collect();
    let names = tokens.iter().flat_map(|tokens| tokens.windows(2)).filter(|pair| pair[0] == "module");
    let mut found: BTreeMap<&str, BTreeMap<&str, &str>> = names.map(|pair| (pair[1], BTreeMap::new())).collect();
    for tokens in &tokens {
        let mut module = "";
        for (index, &token) in tokens.iter().enumerate() {
            if token == "module" {
                module = tokens.get(index + 1).copied().unwrap_or_default();
            } else if found.contains_key(token)
                && tokens[index - 1] != "module"
                && let Some(instance) = instance_name(&tokens[index + 1..])
                && let Some(inside) = found.get_mut(module)
            {
                inside.insert(instance, token);
            }
        }
    }
    found
}

/// What follows a module's name where it is instantiated: optional `#( … )`, the instance's name, `(`.
fn instance_name<'a>(mut rest: &[&'a str]) -> Option<&'a str> {
    if rest.first() == Some(&"#") {
        let mut depth = 0usize;
        let close = rest.iter().position(|&token| {
            depth = match token {
                "(" => depth + 1,
                ")" => depth.saturating_sub(1),
                _ => depth,
            };
            token == ")" && depth == 0
        })?;
        rest = &rest[close + 1..];
    }
    match rest {
        [name, "(", ..] if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => Some(name),
        _ => None,
    }
}

/// Names and punctuation of a Verilog text; comments, strings, attributes and compiler directives' backquotes left out.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip_to = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let length = if rest.starts_with("//") {
            skip_to("\n", 2)
        } else if rest.starts_with("/*") {
            skip_to("*/", 2)
        } else if rest.starts_with("(*") && !rest.starts_with("(*)") {
            skip_to("*)", 2)
        } else if first == '"' {
            skip_to("\"", 1)
        } else if word(first) {
            let length = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
            found.push(&rest[..length]);
            length
        } else {
            let length = first.len_utf8();
            if !first.is_whitespace() {
                found.push(&rest[..length]);
            }
            length
        };
        rest = &rest[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{control_file, instances};
    use crate::verilated::{Observed, Source};

    const TEXT: &str = "
        module leaf(input wire a); // leaf wrong (
        endmodule
        (* keep *) module middle #(parameter W = 1) (input wire a);
            /* leaf commented ( */
            wire leaf_select;
            leaf first (.a(a));
            leaf #(.W((1 + 2) * 3)) second (.a(a));
        endmodule
        module top(input wire a);
            always @(*) begin end
            middle only (.a(a));
        endmodule";

    fn source(paths: &[&str]) -> Source {
        Source {
            files: vec![("top.v".into(), TEXT.into())],
            top: "top".into(),
            clock: "a".into(),
            observed: paths.iter().map(|&path| Observed { path: path.into(), width: 1 }).collect(),
            ..Source::default()
        }
    }

    #[test]
    fn instances_are_found_past_comments_and_parameters() {
        let source = source(&[]);
        let found = instances(&source);
        assert_eq!(found["middle"].iter().collect::<Vec<_>>(), [(&"first", &"leaf"), (&"second", &"leaf")]);
        assert_eq!(found["top"].iter().collect::<Vec<_>>(), [(&"only", &"middle")]);
        assert!(found["leaf"].is_empty());
    }

    #[test]
    fn control_file_names_each_module_once_and_refuses_unknown_instances() {
        let text = control_file(&source(&["top.only.first.a", "top.only.second.a"])).unwrap_or_default();
        assert_eq!(text, "`verilator_config\npublic_flat_rd -module \"leaf\" -var \"a\"\n");
        let error = control_file(&source(&["top.other.a"])).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("module `top` has no instance `other`"), "{error}");
    }
}
