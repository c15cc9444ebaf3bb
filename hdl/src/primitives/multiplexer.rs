//! The wide multiplexer of the crossbar.

use super::Primitive;
use crate::layer::{FamilyTexts, Module, Type};
use std::fmt::Write as _;
use std::sync::Arc;

/// A multiplexer of `sources` words of `width` bits: `chosen` is `from_K` where bit K of `pick` is set, zero where none is, in the
/// same cycle. At most one bit may be set.
///
/// A one-hot choice is an AND and an OR: three LUT4 a bit for five sources, where a choice by number takes nine.
#[must_use]
pub fn multiplexer(width: usize, sources: usize) -> Arc<Module> {
    let mut ports = vec![("pick".to_string(), Type::bits(sources), true)];
    ports.extend((0..sources).map(|source| (format!("from_{source}"), Type::bits(width), true)));
    ports.push(("chosen".into(), Type::bits(width), false));
    let picked = |source: usize| if sources == 1 { "pick".to_string() } else { format!("pick[{source}]") };
    let mut cases = String::new();
    for source in 0..sources {
        let _ = writeln!(cases, "      {}: chosen_word = from_{source};", picked(source));
    }
    let terms: Vec<String> =
        (0..sources).map(|source| format!("({{{width}{{{}}}}} & from_{source})", picked(source))).collect();
    Primitive {
        name: format!("multiplexer_{width}x{sources}"),
        description: format!(
            "One of {sources} words of {width} bits, chosen by the one bit that is set in pick; zero where none is set."
        ),
        latencies: vec![("any input to chosen".into(), 0)],
        ports,
        behavioural: format!(
            "
  reg [{}:0] chosen_word;

  always @* begin
    case (1'b1)
{cases}      default: chosen_word = {width}'d0;
    endcase
  end

  assign chosen = chosen_word;
",
            width - 1
        ),
        families: FamilyTexts::ecp5(format!("\n  assign chosen = {};\n", terms.join("\n    | "))),
        combinational: true,
    }
    .module()
}
