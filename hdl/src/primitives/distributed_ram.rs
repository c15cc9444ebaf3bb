//! A small memory in the look-up tables.

use super::{Primitive, memory_ports, range};
use crate::layer::{FamilyTexts, Module};
use std::sync::Arc;

/// A memory of `depth` words of `width` bits, one write and one read port, read latency one cycle.
///
/// Ports as those of [`block_ram`](super::block_ram()). A read in the cycle of a write to the same word gives the old
/// word. Meant for shallow queues and tables: 16 words of 4 bits take one slice of an ECP5.
#[must_use]
pub fn distributed_ram(width: usize, depth: usize) -> Arc<Module> {
    let body = format!(
        "
  (* ram_style = \"distributed\" *)
  reg {range}memory [0:{last}];
  reg {range}read_data_registered;

  always @(posedge clk) begin
    if (write_enable) memory[write_address] <= write_data;
    read_data_registered <= memory[read_address];
  end

  assign read_data = read_data_registered;
",
        range = range(width),
        last = depth.max(1) - 1,
    );
    Primitive {
        name: format!("distributed_ram_{width}x{depth}"),
        description: format!(
            "Memory of {depth} words of {width} bits in look-up tables, one write port and one read port. A read in the \
             cycle of a write to the same word gives the old word."
        ),
        latencies: vec![("read_address to read_data".into(), 1)],
        ports: memory_ports(width, depth),
        behavioural: body.clone(),
        families: FamilyTexts::ecp5(body),
        combinational: false,
    }
    .module()
}
