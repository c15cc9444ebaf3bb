//! A memory in block RAM, of any width and depth.

use super::{Primitive, address_width, constant_pins, memory_ports, pins, range};
use crate::layer::{FamilyTexts, Module};
use lpu_isa::resources;
use std::fmt::Write as _;
use std::sync::Arc;

/// Width of a PDPW16KD word.
const BLOCK_WIDTH: usize = resources::BLOCK_WIDTH as usize;
/// Words of a PDPW16KD.
const BLOCK_DEPTH: usize = resources::BLOCK_DEPTH as usize;

/// How many 18-Kbit blocks `block_ram(width, depth)` takes on an ECP5: 36 × 512 each.
#[must_use]
pub const fn block_ram_blocks(width: usize, depth: usize) -> usize {
    width.div_ceil(BLOCK_WIDTH) * depth.div_ceil(BLOCK_DEPTH)
}

/// A memory of `depth` words of `width` bits (both at least 1): ports `clk`, `write_enable`, `write_address`,
/// `write_data`, `read_address` and `read_data`, read latency two cycles.
///
/// Addresses have as many bits as the last word needs, at least one. Reading beyond `depth` gives anything, writing
/// there may overwrite nothing or another word beyond it. What a read gives in the cycle of a write to the same word
/// depends on the family: do not rely on it.
///
/// On ECP5 it is a grid of PDPW16KD with their output registers in use. A memory of more than 512 words selects its
/// block after those registers, so the outputs carry a multiplexer: register them again.
#[must_use]
pub fn block_ram(width: usize, depth: usize) -> Arc<Module> {
    Primitive {
        name: format!("block_ram_{width}x{depth}"),
        description: format!(
            "Block RAM of {depth} words of {width} bits, one write port and one read port. What a read gives in the cycle \
             of a write to the same word is not defined."
        ),
        latencies: vec![("read_address to read_data".into(), 2)],
        ports: memory_ports(width, depth),
        behavioural: behavioural_body(width, depth),
        families: FamilyTexts::ecp5(ecp5_body(width, depth)),
        combinational: false,
    }
    .module()
}

fn behavioural_body(width: usize, depth: usize) -> String {
    format!(
        "
  reg {range}memory [0:{last}];
  reg {range}read_data_fetched;
  reg {range}read_data_registered;

  always @(posedge clk) begin
    if (write_enable) memory[write_address] <= write_data;
    read_data_fetched <= memory[read_address];
    read_data_registered <= read_data_fetched;
  end

  assign read_data = read_data_registered;
",
        range = range(width),
        last = depth.max(1) - 1,
    )
}

fn ecp5_body(width: usize, depth: usize) -> String {
    let columns = width.div_ceil(BLOCK_WIDTH);
    let rows = depth.div_ceil(BLOCK_DEPTH);
    let address = address_width(depth);
    let padded = columns * BLOCK_WIDTH;
    let mut body = String::from("\n  // Ports padded to whole blocks\n");
    for (name, port) in [("write_word", "write_address"), ("read_word", "read_address")] {
        let word = if address < 9 {
            format!("{{{}'d0, {port}}}", 9 - address)
        } else if address == 9 {
            port.to_string()
        } else {
            format!("{port}[8:0]")
        };
        let _ = writeln!(body, "  wire [8:0] {name} = {word};");
    }
    let data =
        if padded == width { "write_data".to_string() } else { format!("{{{}'d0, write_data}}", padded - width) };
    let _ = writeln!(body, "  wire [{}:0] write_padded = {data};", padded - 1);
    for row in 0..rows {
        let _ = writeln!(body, "  wire [{}:0] read_row_{row};", padded - 1);
    }
    if rows > 1 {
        body.push_str(&row_select(rows, address));
    }
    for row in 0..rows {
        let enable = if rows == 1 {
            "write_enable".to_string()
        } else {
            let bits = address - 9;
            let position = format!("write_address[{}:9]", address - 1);
            let _ = writeln!(body, "\n  wire write_row_{row} = write_enable & ({position} == {bits}'d{row});");
            format!("write_row_{row}")
        };
        for column in 0..columns {
            body.push_str(&block(row, column, &enable));
        }
    }
    let chosen = if rows == 1 { "read_row_0".to_string() } else { "read_row".to_string() };
    let part = if padded == width {
        String::new()
    } else if width == 1 {
        "[0]".to_string()
    } else {
        format!("[{}:0]", width - 1)
    };
    if rows > 1 {
        let bits = address - 9;
        let _ = writeln!(body, "\n  reg [{}:0] read_row;", padded - 1);
        let _ = writeln!(body, "  always @*\n    case (row_registered)");
        for row in 0..rows - 1 {
            let _ = writeln!(body, "      {bits}'d{row}: read_row = read_row_{row};");
        }
        let _ = writeln!(body, "      default: read_row = read_row_{};", rows - 1);
        body.push_str("    endcase\n");
    }
    let _ = writeln!(body, "\n  assign read_data = {chosen}{part};");
    if padded > width {
        let high = format!("{chosen}[{}:{width}]", padded - 1);
        let _ = writeln!(body, "  wire unused_padding = &{{1'b0, {high}}};");
    }
    body
}

/// The row of blocks a read goes to, delayed as long as the data.
fn row_select(rows: usize, address: usize) -> String {
    debug_assert!(rows > 1 && address > 9);
    let range = range(address - 9);
    format!(
        "
  // The row of blocks that was read, in step with the data
  reg {range}row_fetched;
  reg {range}row_registered;
  always @(posedge clk) begin
    row_fetched <= read_address[{high}:9];
    row_registered <= row_fetched;
  end
",
        high = address - 1,
    )
}

fn block(row: usize, column: usize, enable: &str) -> String {
    let lsb = column * BLOCK_WIDTH;
    let bus = |pin: &str, name: &str, lsb: usize, width: usize| {
        pins(pin, (0..width).map(|index| format!("{name}[{}]", lsb + index)))
    };
    // The lowest five address pins select within a word in narrower modes and are unused here.
    let read_pins = pins(
        "ADR",
        (0..14).map(|index| match index {
            0..5 => "1'b1".to_string(),
            _ => format!("read_word[{}]", index - 5),
        }),
    );
    format!(
        "
  PDPW16KD #(
    .DATA_WIDTH_W(36), .DATA_WIDTH_R(36), .REGMODE(\"OUTREG\"), .GSR(\"DISABLED\")
  ) block_{row}_{column} (
    .CLKW(clk), .CEW({enable}), {byte_enables}, {write_select},
    .CLKR(clk), .CER(1'b1), .OCER(1'b1), .RST(1'b0), {read_select},
    {write_address},
    {write_data},
    {read_pins},
    {read_data}
  );
",
        byte_enables = constant_pins(&["BE0", "BE1", "BE2", "BE3"], 1),
        write_select = constant_pins(&["CSW0", "CSW1", "CSW2"], 0),
        read_select = constant_pins(&["CSR0", "CSR1", "CSR2"], 0),
        write_address = bus("ADW", "write_word", 0, 9),
        write_data = bus("DI", "write_padded", lsb, BLOCK_WIDTH),
        read_data = bus("DO", &format!("read_row_{row}"), lsb, BLOCK_WIDTH),
    )
}
