//! Modules with one body for each FPGA family and a behavioural twin, under the same name and with the same ports.
//!
//! Synthesis packs no registers into the ECP5's multipliers and never uses the output register of its block RAM, which
//! halves the clock. So every multiplier and block RAM of a design goes through these modules, whose ECP5 text
//! instantiates the cells themselves; the behavioural text is what is simulated, and serves families without a text.

mod accumulator;
mod block_ram;
mod distributed_ram;
mod multiplexer;
mod multiplier;
mod pll;
mod register_copy;
mod scale_multiplier;

pub use accumulator::accumulator;
pub use block_ram::{block_ram, block_ram_in, block_ram_of_bytes};
pub use distributed_ram::distributed_ram;
pub use multiplexer::multiplexer;
pub use multiplier::{multiplier, multiplier_in};
pub use pll::pll;
pub use register_copy::register_copy;
pub use scale_multiplier::{compact_scale_multiplier, scale_multiplier};

use crate::layer::{Body, FamilyTexts, Module, Net, NetKind, Type, fresh_id, header};
use lpu_isa::board::Family;
use std::fmt::Write as _;
use std::sync::Arc;

/// A primitive: its ports, and what stands between the port list and `endmodule` in each text.
#[derive(Debug, Clone)]
pub struct Primitive {
    /// Name of the module.
    pub name: String,
    /// What it does, for the comment over it.
    pub description: String,
    /// Latency of each path in cycles, for the comment over it.
    pub latencies: Vec<(String, usize)>,
    /// Name, type and direction (true: input), in order. A one-bit input `clk` is connected implicitly.
    pub ports: Vec<(String, Type, bool)>,
    /// The body for simulation.
    pub behavioural: String,
    /// The bodies for the families that have one of their own.
    pub families: FamilyTexts,
    /// Whether the outputs depend on the inputs within the same cycle.
    pub combinational: bool,
}

impl Primitive {
    /// The primitive as a module that can be instantiated.
    #[must_use]
    pub fn module(&self) -> Arc<Module> {
        let owner: (usize, Arc<str>) = (fresh_id(), Arc::from(self.name.as_str()));
        let ports: Vec<Arc<Net>> = self
            .ports
            .iter()
            .map(|(name, ty, input)| {
                Arc::new(Net {
                    name: name.clone(),
                    ty: *ty,
                    kind: if *input { NetKind::Input } else { NetKind::Output },
                    id: fresh_id(),
                    owner: owner.clone(),
                })
            })
            .collect();
        let names = |wanted: bool| {
            self.ports.iter().filter(move |(_, _, input)| *input == wanted).map(|(name, ..)| name.clone())
        };
        let paths = if self.combinational {
            names(false).map(|output| (output, names(true).collect())).collect()
        } else {
            Vec::new()
        };
        Arc::new(Module {
            base_name: self.name.clone(),
            ports,
            nets: Vec::new(),
            children: Vec::new(),
            latencies: self.latencies.clone(),
            body: Body::Primitive {
                behavioural: self.text(&self.behavioural, "Behavioural text, for simulation."),
                families: self
                    .families
                    .map(|family, body| self.text(body, &format!("Text for {}.", vendor_name(family)))),
            },
            paths,
        })
    }

    fn text(&self, body: &str, kind: &str) -> String {
        let notes = [kind.to_string()];
        let mut out = header(&self.name, &self.description, &self.latencies, &notes);
        let _ = writeln!(out, "module ${{module:{}}} (", self.name);
        for (index, (name, ty, input)) in self.ports.iter().enumerate() {
            let direction = if *input { "input  wire" } else { "output wire" };
            let range = match (ty.is_signed(), ty.width()) {
                (false, 1) => String::new(),
                (true, width) => format!(" signed [{}:0]", width - 1),
                (false, width) => format!(" [{}:0]", width - 1),
            };
            let comma = if index + 1 == self.ports.len() { "" } else { "," };
            let _ = writeln!(out, "  {direction}{range} {name}{comma}");
        }
        let _ = write!(out, ");\n{body}endmodule\n");
        out
    }
}

/// The family as its vendor calls it.
fn vendor_name(family: Family) -> &'static str {
    match family {
        Family::Ecp5 => "Lattice ECP5",
        Family::Ice40 => "Lattice iCE40",
        Family::Gowin => "Gowin",
    }
}

/// Bits of an address below `depth`: at least one.
pub(crate) fn address_width(depth: usize) -> usize {
    (usize::BITS - depth.saturating_sub(1).leading_zeros()).max(1) as usize
}

/// `.A0(a[0]), .A1(a[1]), …`: a cell's numbered pins, wired to `wires` and wrapped to lines.
fn pins(pin: &str, wires: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = wires.enumerate().map(|(index, wire)| format!(".{pin}{index}({wire})")).collect();
    let lines: Vec<String> = all.chunks(6).map(|line| line.join(", ")).collect();
    lines.join(",\n    ")
}

/// The same constant on pins of these names.
fn constant_pins(names: &[&str], value: u8) -> String {
    let pins: Vec<String> = names.iter().map(|name| format!(".{name}(1'b{value})")).collect();
    pins.join(", ")
}

/// The memory's write and read ports, as block RAM and distributed RAM have them.
fn memory_ports(width: usize, depth: usize) -> Vec<(String, Type, bool)> {
    let address = Type::bits(address_width(depth));
    [
        ("clk", Type::bits(1), true),
        ("write_enable", Type::bits(1), true),
        ("write_address", address, true),
        ("write_data", Type::bits(width), true),
        ("read_address", address, true),
        ("read_data", Type::bits(width), false),
    ]
    .map(|(name, ty, input)| (name.to_string(), ty, input))
    .into()
}

/// `[7:0] ` for eight bits, nothing for one.
fn range(width: usize) -> String {
    if width == 1 { String::new() } else { format!("[{}:0] ", width - 1) }
}
