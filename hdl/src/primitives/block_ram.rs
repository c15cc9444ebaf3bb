//! A memory in block RAM, of any width and depth.

use super::{Primitive, address_width, constant_pins, memory_ports, pins, range};
use crate::layer::{FamilyTexts, Module, Type};
use lpu_isa::resources::{BlockShape, block_rows};
use std::fmt::Write as _;
use std::sync::Arc;

/// Address pins of a port.
const ADDRESS_PINS: usize = 14;
/// Data pins of a port.
const DATA_PINS: usize = 18;
/// Bits of a byte of [`block_ram_of_bytes`].
const BYTE: usize = 8;
/// Bits of a block that one enable writes.
const NINTH: usize = 9;

/// A memory of `depth` words of `width` bits (both at least 1): ports `clk`, `write_enable`, `write_address`,
/// `write_data`, `read_address` and `read_data`, read latency two cycles.
///
/// Addresses have as many bits as the last word needs, at least one. Reading beyond `depth` gives anything, writing
/// there may overwrite nothing or another word beyond it. What a read gives in the cycle of a write to the same word
/// depends on the family: do not rely on it.
///
/// On ECP5 it is rows of PDPW16KD or DP16KD with their output registers in use, in the forms that [`block_rows`] chooses. A
/// memory deeper than a block selects its row of blocks after those registers, so the outputs carry a multiplexer: register
/// them again.
#[must_use]
pub fn block_ram(width: usize, depth: usize) -> Arc<Module> {
    block_ram_in(width, depth, 2)
}

/// The same with a read latency of `cycles`: 2, or 1, which leaves the output registers out.
#[must_use]
pub fn block_ram_in(width: usize, depth: usize, cycles: u32) -> Arc<Module> {
    let registered = cycles > 1;
    let suffix = if registered { "" } else { "_unregistered" };
    Primitive {
        name: format!("block_ram_{width}x{depth}{suffix}"),
        description: format!(
            "Block RAM of {depth} words of {width} bits, one write port and one read port. What a read gives in the cycle \
             of a write to the same word is not defined."
        ),
        latencies: vec![("read_address to read_data".into(), 1 + usize::from(registered))],
        ports: memory_ports(width, depth),
        behavioural: behavioural_body(width, depth, registered, "    if (write_enable) memory[write_address] <= write_data;\n"),
        families: FamilyTexts::ecp5(ecp5_body(width, depth, registered, false)),
        combinational: false,
    }
    .module()
}

/// The same with words of `bytes` bytes, each of which is written only where its bit of the port `write_bytes` is set too.
///
/// It takes the blocks of the plain memory of that width: a byte stands in nine bits of a block.
#[must_use]
pub fn block_ram_of_bytes(bytes: usize, depth: usize, cycles: u32) -> Arc<Module> {
    let (registered, width) = (cycles > 1, BYTE * bytes);
    let suffix = if registered { "" } else { "_unregistered" };
    let mut ports = memory_ports(width, depth);
    let position = ports.iter().position(|(name, ..)| name == "write_address").unwrap_or(0);
    ports.insert(position, ("write_bytes".into(), Type::bits(bytes), true));
    let writes: String = (0..bytes)
        .map(|byte| {
            let range = format!("[{}:{}]", BYTE * byte + BYTE - 1, BYTE * byte);
            let enable = if bytes == 1 { "write_bytes".to_string() } else { format!("write_bytes[{byte}]") };
            format!("    if (write_enable & {enable}) memory[write_address]{range} <= write_data{range};\n")
        })
        .collect();
    Primitive {
        name: format!("block_ram_{bytes}_bytes_x{depth}{suffix}"),
        description: format!(
            "Block RAM of {depth} words of {bytes} bytes, one write port that writes any of them and one read port. What a read gives \
             in the cycle of a write to the same word is not defined."
        ),
        latencies: vec![("read_address to read_data".into(), 1 + usize::from(registered))],
        ports,
        behavioural: behavioural_body(width, depth, registered, &writes),
        families: FamilyTexts::ecp5(ecp5_body(width, depth, registered, true)),
        combinational: false,
    }
    .module()
}

fn behavioural_body(width: usize, depth: usize, registered: bool, writes: &str) -> String {
    let (declaration, step, result) = if registered {
        let declaration = format!("\n  reg {}read_data_registered;", range(width));
        (declaration, "\n    read_data_registered <= read_data_fetched;", "read_data_registered")
    } else {
        (String::new(), "", "read_data_fetched")
    };
    format!(
        "
  reg {range}memory [0:{last}];
  reg {range}read_data_fetched;{declaration}

  always @(posedge clk) begin
{writes}    read_data_fetched <= memory[read_address];{step}
  end

  assign read_data = {result};
",
        range = range(width),
        last = depth.max(1) - 1,
    )
}

/// A row of blocks of one form, side by side.
struct Row {
    shape: BlockShape,
    /// Address of its first word: a multiple of its depth.
    first: usize,
    columns: usize,
}

impl Row {
    /// The rows of a memory, in the order of their words.
    fn all(width: usize, depth: usize) -> Vec<Row> {
        let mut first = 0;
        let rows = block_rows(width as u32, depth as u32).into_iter().map(|shape| {
            let row = Row { shape, first, columns: shape.columns(width as u32) as usize };
            first += shape.depth as usize;
            row
        });
        rows.collect()
    }

    /// Bits of an address inside.
    fn inside(&self) -> usize {
        address_width(self.shape.depth as usize)
    }

    /// Bits of its words.
    fn width(&self) -> usize {
        self.columns * self.shape.width as usize
    }
}

/// `by_bytes`: each byte has an enable, and stands in nine bits of a block.
fn ecp5_body(width: usize, depth: usize, registered: bool, by_bytes: bool) -> String {
    let rows = Row::all(width, depth);
    let address = address_width(depth);
    let inside = rows.iter().map(Row::inside).max().unwrap_or_default();
    let padded = rows.iter().map(Row::width).max().unwrap_or_default();
    let mut body = String::from("\n  // Ports padded to whole blocks\n");
    for (name, port) in [("write_word", "write_address"), ("read_word", "read_address")] {
        let word = if address < inside {
            format!("{{{}'d0, {port}}}", inside - address)
        } else if address == inside {
            port.to_string()
        } else {
            format!("{port}[{}:0]", inside - 1)
        };
        let _ = writeln!(body, "  wire [{}:0] {name} = {word};", inside - 1);
    }
    let data = if by_bytes {
        let bytes = (0..padded / NINTH).rev().map(|byte| match byte < width / BYTE {
            true => format!("1'd0, write_data[{}:{}]", BYTE * byte + BYTE - 1, BYTE * byte),
            false => format!("{NINTH}'d0"),
        });
        format!("{{{}}}", bytes.collect::<Vec<_>>().join(", "))
    } else if padded == width {
        "write_data".to_string()
    } else {
        format!("{{{}'d0, write_data}}", padded - width)
    };
    let _ = writeln!(body, "  wire [{}:0] write_padded = {data};", padded - 1);
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(body, "  wire [{}:0] read_row_{number};", row.width() - 1);
    }
    // The bits of an address that choose among rows begin here.
    let lowest = rows.iter().map(Row::inside).min().unwrap_or_default();
    if rows.len() > 1 {
        body.push_str(&row_select(lowest, address, registered));
    }
    for (number, row) in rows.iter().enumerate() {
        let enable = if rows.len() == 1 {
            "write_enable".to_string()
        } else {
            let inside = row.inside();
            let (bits, value) = (address - inside, row.first >> inside);
            let position = format!("write_address[{}:{inside}]", address - 1);
            let _ = writeln!(body, "\n  wire write_row_{number} = write_enable & ({position} == {bits}'d{value});");
            format!("write_row_{number}")
        };
        for column in 0..row.columns {
            let bytes = row.shape.width as usize / NINTH;
            let byte_enable = |byte: usize| match (by_bytes, column * bytes + byte) {
                (true, byte) if width == BYTE && byte == 0 => "write_bytes".to_string(),
                (true, byte) if byte < width / BYTE => format!("write_bytes[{byte}]"),
                _ => "1'b1".to_string(),
            };
            body.push_str(&block(row.shape, number, column, &enable, registered, &byte_enable));
        }
    }
    let chosen = if rows.len() == 1 { "read_row_0".to_string() } else { "read_row".to_string() };
    let part = if padded == width {
        String::new()
    } else if width == 1 {
        "[0]".to_string()
    } else {
        format!("[{}:0]", width - 1)
    };
    if rows.len() > 1 {
        let _ = writeln!(body, "\n  reg [{}:0] read_row;", padded - 1);
        let _ = writeln!(body, "  always @*\n    case ({})", if registered { "row_registered" } else { "row_fetched" });
        for (number, row) in rows.iter().enumerate() {
            let numbers = row.first >> lowest..(row.first + row.shape.depth as usize) >> lowest;
            let label = match number + 1 == rows.len() {
                true => "default".to_string(),
                false => numbers.map(|number| format!("{}'d{number}", address - lowest)).collect::<Vec<_>>().join(", "),
            };
            let word = match padded - row.width() {
                0 => format!("read_row_{number}"),
                missing => format!("{{{missing}'d0, read_row_{number}}}"),
            };
            let _ = writeln!(body, "      {label}: read_row = {word};");
        }
        body.push_str("    endcase\n");
    }
    if by_bytes {
        let bytes =
            (0..width / BYTE).rev().map(|byte| format!("{chosen}[{}:{}]", NINTH * byte + BYTE - 1, NINTH * byte));
        let _ = writeln!(body, "\n  assign read_data = {{{}}};", bytes.collect::<Vec<_>>().join(", "));
        let unused = (0..padded / NINTH).rev().map(|byte| match byte < width / BYTE {
            true => format!("{chosen}[{}]", NINTH * byte + BYTE),
            false => format!("{chosen}[{}:{}]", NINTH * byte + BYTE, NINTH * byte),
        });
        let unused: Vec<String> = unused.collect();
        let _ = writeln!(body, "  wire unused_padding = &{{1'b0, {}}};", unused.join(", "));
        return body;
    }
    let _ = writeln!(body, "\n  assign read_data = {chosen}{part};");
    if padded > width {
        let high = format!("{chosen}[{}:{width}]", padded - 1);
        let _ = writeln!(body, "  wire unused_padding = &{{1'b0, {high}}};");
    }
    body
}

/// The row of blocks a read goes to, delayed as long as the data. `inside` bits of the address choose within a block.
fn row_select(inside: usize, address: usize, registered: bool) -> String {
    let (declaration, step) = if registered {
        (format!("\n  reg {}row_registered;", range(address - inside)), "\n    row_registered <= row_fetched;")
    } else {
        (String::new(), "")
    };
    let range = range(address - inside);
    format!(
        "
  // The row of blocks that was read, in step with the data
  reg {range}row_fetched;{declaration}
  always @(posedge clk) begin
    row_fetched <= read_address[{high}:{inside}];{step}
  end
",
        high = address - 1,
    )
}

/// The pins `PIN0`, `PIN1`, … of `width` bits of the signal `name` from bit `lowest` on.
fn bus(pin: &str, name: &str, lowest: usize, width: usize) -> String {
    pins(pin, (0..width).map(|index| format!("{name}[{}]", lowest + index)))
}

/// An address port of 14 pins, of which the lowest ones choose within a word in narrower forms and are `idle` here.
fn address_pins(pin: &str, word: &str, shape: BlockShape, idle: &str) -> String {
    address_pins_with(pin, word, shape, |_| idle.to_string())
}

/// The same; each of the lowest ones has a wire of its own. With words of 18 bits the lowest two of a write are its byte enables.
fn address_pins_with(pin: &str, word: &str, shape: BlockShape, idle: impl Fn(usize) -> String) -> String {
    let unused = ADDRESS_PINS - address_width(shape.depth as usize);
    let wire = |index: usize| match index.checked_sub(unused) {
        None => idle(index),
        Some(bit) => format!("{word}[{bit}]"),
    };
    pins(pin, (0..ADDRESS_PINS).map(wire))
}

fn block(
    shape: BlockShape,
    row: usize,
    column: usize,
    enable: &str,
    registered: bool,
    byte_enable: &dyn Fn(usize) -> String,
) -> String {
    let form = if shape.width == 36 { wide_block } else { narrow_block };
    form(shape, row, column, enable, if registered { "OUTREG" } else { "NOREG" }, byte_enable)
}

/// A block of 512 words of 36 bits: only this form needs both ports' data pins for one word.
fn wide_block(
    shape: BlockShape,
    row: usize,
    column: usize,
    enable: &str,
    mode: &str,
    byte_enable: &dyn Fn(usize) -> String,
) -> String {
    let width = shape.width as usize;
    let lowest = column * width;
    format!(
        "
  PDPW16KD #(
    .DATA_WIDTH_W(36), .DATA_WIDTH_R(36), .REGMODE(\"{mode}\"), .GSR(\"DISABLED\")
  ) block_{row}_{column} (
    .CLKW(clk), .CEW({enable}), {byte_enables}, {write_select},
    .CLKR(clk), .CER(1'b1), .OCER(1'b1), .RST(1'b0), {read_select},
    {write_address},
    {write_data},
    {read_address},
    {read_data}
  );
",
        byte_enables = pins("BE", (0..4).map(byte_enable)),
        write_select = constant_pins(&["CSW0", "CSW1", "CSW2"], 0),
        read_select = constant_pins(&["CSR0", "CSR1", "CSR2"], 0),
        write_address = bus("ADW", "write_word", 0, 9),
        write_data = bus("DI", "write_padded", lowest, width),
        read_address = address_pins("ADR", "read_word", shape, "1'b1"),
        read_data = bus("DO", &format!("read_row_{row}"), lowest, width),
    )
}

/// A block of words of 9 or 18 bits: port A writes, port B reads.
fn narrow_block(
    shape: BlockShape,
    row: usize,
    column: usize,
    enable: &str,
    mode: &str,
    byte_enable: &dyn Fn(usize) -> String,
) -> String {
    // A word of nine bits has its byte's enable among the write enables.
    let enable = match byte_enable(0) {
        own if shape.width as usize == NINTH && own != "1'b1" => format!("{enable} & {own}"),
        _ => enable.to_string(),
    };
    let halves = if shape.width as usize == 2 * NINTH { 2 } else { 0 };
    let write_address = address_pins_with("ADA", "write_word", shape, |pin| match pin < halves {
        true => byte_enable(pin),
        false => "1'b1".to_string(),
    });
    let width = shape.width as usize;
    let lowest = column * width;
    let idle: Vec<String> = (0..DATA_PINS).map(|index| format!("DIB{index}")).collect();
    let idle: Vec<&str> = idle.iter().map(String::as_str).collect();
    let idle: Vec<String> = idle.chunks(6).map(|names| constant_pins(names, 0)).collect();
    format!(
        "
  DP16KD #(
    .DATA_WIDTH_A({width}), .DATA_WIDTH_B({width}), .REGMODE_A(\"NOREG\"), .REGMODE_B(\"{mode}\"), .GSR(\"DISABLED\")
  ) block_{row}_{column} (
    .CLKA(clk), .CEA(1'b1), .OCEA(1'b1), .WEA({enable}), .RSTA(1'b0), {write_select},
    .CLKB(clk), .CEB(1'b1), .OCEB(1'b1), .WEB(1'b0), .RSTB(1'b0), {read_select},
    {write_address},
    {write_data},
    {read_address},
    {idle},
    {read_data}
  );
",
        write_select = constant_pins(&["CSA0", "CSA1", "CSA2"], 0),
        read_select = constant_pins(&["CSB0", "CSB1", "CSB2"], 0),
        write_data = bus("DIA", "write_padded", lowest, width),
        read_address = address_pins("ADB", "read_word", shape, "1'b1"),
        idle = idle.join(",\n    "),
        read_data = bus("DOB", &format!("read_row_{row}"), lowest, width),
    )
}
