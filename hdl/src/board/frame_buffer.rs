//! The memory that holds a frame.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, select};
use crate::primitives;
use std::sync::Arc;

/// Bytes: a frame has at most 255.
pub const BYTES: usize = 256;
/// Cycles from an address to its byte, the cycle of the address not counted.
pub const READ_CYCLES: usize = 3;

/// Parts that are read side by side: the multiplexer behind a look-up table RAM grows with its depth, and would be the longest path
/// of the link.
const PARTS: usize = 4;

/// A buffer for a frame in distributed RAM: block RAM is for weights. Ports: `write_enable`, `write_address`, `write_data`,
/// `read_address`, `read_data`. A byte can be read two cycles after it was written.
///
/// # Errors
/// None.
pub fn frame_buffer() -> Result<Arc<Module>, DesignError> {
    let part_bytes = BYTES / PARTS;
    let part_bits = part_bytes.ilog2() as usize;
    let number_bits = PARTS.ilog2() as usize;
    let address = Type::bits(part_bits + number_bits);
    let mut m = ModuleBuilder::new("frame_buffer");
    m.describe("Holds a frame. Its parts are read side by side, and one is chosen a cycle later.");
    m.latency("read_address to read_data", READ_CYCLES);
    m.section("Write");
    let write_enable = m.input("write_enable", bit());
    let write_address = m.input("write_address", address);
    let write_data = m.input("write_data", Type::bits(8));
    m.section("Read");
    let read_address = m.input("read_address", address);
    let read_data = m.output("read_data", Type::bits(8));

    let memory = primitives::distributed_ram(8, part_bytes);
    let write_address_q = m.delay("write_address_q", write_address.slice(0, part_bits), 1);
    let write_data_q = m.delay("write_data_q", &write_data, 1);
    let read_address_q = m.delay("read_address_q", &read_address, 1);
    let chosen = m.delay("chosen", read_address_q.slice(part_bits, number_bits), 1);
    let mut bytes: Vec<Expr> = Vec::new();
    for part in 0..PARTS {
        let here = write_address.slice(part_bits, number_bits).equals(constant(part as u64, number_bits as u32));
        let enable = m.delay(&format!("write_{part}"), Expr::from(&write_enable).and(here), 1);
        let inputs = vec![
            ("write_enable", enable.into()),
            ("write_address", Expr::from(&write_address_q)),
            ("write_data", Expr::from(&write_data_q)),
            ("read_address", read_address_q.slice(0, part_bits)),
        ];
        let memory = m.instance(&format!("part_{part}"), &memory, inputs)?;
        bytes.push(memory.output("read_data").into());
    }
    let byte = m.delay("read_data_q", select(&chosen, &bytes), 1);
    m.drive(&read_data, &byte);
    m.finish()
}
