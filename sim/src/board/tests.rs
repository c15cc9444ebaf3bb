#![allow(clippy::unwrap_used)]

use super::line::{CPP, Line, Symbol};
use crate::verilated::{Library, Port, Source, Toolchain, build};

/// A UART written for this test alone: what it receives it sends back, each byte plus one, as soon as its stop bit is
/// sampled. `BIT` clocks a bit; a byte whose stop bit is low is not answered.
const ECHO: &str = "
module echo #(parameter BIT = 8) (input wire clk, input wire rx, output wire tx, output reg [15:0] heard);
    reg rx_q = 1, rx_qq = 1;
    reg [15:0] rx_wait = 0, tx_wait = 0;
    reg [3:0] rx_bit = 0, tx_bit = 0;
    reg [7:0] shift = 0;
    reg [9:0] out = 10'h3ff;
    initial heard = 0;
    assign tx = out[0];
    always @(posedge clk) begin
        rx_q <= rx; rx_qq <= rx_q;
        if (tx_bit != 0) begin
            if (tx_wait != 0) tx_wait <= tx_wait - 1;
            else begin out <= {1'b1, out[9:1]}; tx_bit <= tx_bit - 1; tx_wait <= BIT - 1; end
        end
        if (rx_bit == 0) begin
            if (!rx_qq) begin rx_bit <= 1; rx_wait <= BIT / 2 - 1; end
        end else if (rx_wait != 0) rx_wait <= rx_wait - 1;
        else begin
            rx_wait <= BIT - 1;
            if (rx_bit == 1) rx_bit <= rx_qq ? 0 : 2;
            else if (rx_bit <= 9) begin shift <= {rx_qq, shift[7:1]}; rx_bit <= rx_bit + 1; end
            else begin
                rx_bit <= 0;
                if (rx_qq) begin heard <= heard + 1; out <= {1'b1, shift + 8'd1, 1'b0}; tx_bit <= 10; tx_wait <= BIT - 1; end
            end
        end
    end
endmodule";

/// The echo with `bit` clocks a bit, and a line with `line` clocks a bit at it; `None` where there is no Verilator.
fn echo(bit: u32, line: f64) -> Option<Line> {
    let tools = Toolchain::find().map_err(|error| eprintln!("skipped: the serial line: {error}")).ok()?;
    let source = Source {
        files: vec![("echo.v".into(), ECHO.replace("BIT = 8", &format!("BIT = {bit}")))],
        top: "echo".into(),
        clock: "clk".into(),
        ports: vec![Port::input("rx", 1), Port::output("tx", 1), Port::output("heard", 16)],
        extra_cpp: CPP.into(),
        ..Source::default()
    };
    // A test runs as TARGET/PROFILE/deps/NAME; built models are kept in TARGET, as those of the other crates' tests are.
    let test = std::env::current_exe().unwrap();
    let cache = test.ancestors().nth(3).unwrap().join("verilated");
    let library = Library::load(&build(&source, &tools, &cache).unwrap()).unwrap();
    Some(Line::new(library.instance().unwrap(), "rx", "tx", line).unwrap())
}

fn received(line: &mut Line, count: usize) -> Vec<u8> {
    let mut bytes = line.take_received();
    while bytes.len() < count {
        line.wait(2000).unwrap();
        let more = line.take_received();
        assert!(!more.is_empty(), "silence after {} bytes", bytes.len());
        bytes.extend(more);
    }
    bytes
}

#[test]
fn every_byte_goes_there_and_back_at_any_rate_without_a_pause() {
    // A receiver that is behind its sender by less than half a bit at the stop bit hears every byte.
    for (bit, clocks) in [(4, 4.0), (5, 5.0), (8, 8.0), (16, 16.4), (16, 15.7), (50, 49.0), (50, 51.0)] {
        let Some(mut line) = echo(bit, clocks) else { return };
        let bytes: Vec<u8> = (0..=255).collect();
        // The echo's answer to a faster sender would overtake itself, so its bytes are given time.
        let pause = u16::from(clocks < f64::from(bit));
        let symbols: Vec<Symbol> = bytes.iter().map(|&byte| Symbol { pause, ..byte.into() }).collect();
        line.send(&symbols).unwrap();
        let expected: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_add(1)).collect();
        assert_eq!(received(&mut line, 256), expected, "{bit} against {clocks} clocks");
        assert_eq!(line.broken(), 0);
    }
}

#[test]
fn a_broken_stop_bit_and_a_wrong_rate_lose_bytes_and_the_next_ones_arrive() {
    let Some(mut line) = echo(8, 8.0) else { return };
    line.send(&[Symbol { broken: true, ..0x55.into() }, Symbol { pause: 20, ..0x10.into() }]).unwrap();
    assert_eq!(received(&mut line, 1), [0x11]);
    line.set_clocks_a_bit(12.0).unwrap();
    line.send(&[Symbol::from(0xff), Symbol::from(0x00)]).unwrap();
    line.wait(1000).unwrap();
    line.take_received();
    line.set_clocks_a_bit(8.0).unwrap();
    line.send(&[Symbol { pause: 30, ..0x20.into() }]).unwrap();
    assert_eq!(received(&mut line, 1), [0x21]);
}

#[test]
fn silence_takes_the_clocks_asked_for_and_a_pause_the_bits_asked_for() {
    let Some(mut line) = echo(8, 8.0) else { return };
    let before = line.clocks();
    line.wait(12_345).unwrap();
    assert_eq!(line.clocks() - before, 12_345);
    let before = line.clocks();
    line.send(&[Symbol { pause: 60_000, ..7.into() }]).unwrap();
    assert_eq!(line.clocks() - before, 8 * (60_000 + 10));
}

#[test]
fn more_bytes_than_one_call_takes_are_neither_lost_nor_repeated() {
    let Some(mut line) = echo(8, 8.0) else { return };
    let symbols: Vec<Symbol> = (0..5000u32).map(|n| Symbol::from((n * 7) as u8)).collect();
    line.send(&symbols).unwrap();
    let expected: Vec<u8> = symbols.iter().map(|symbol| symbol.byte.wrapping_add(1)).collect();
    assert_eq!(received(&mut line, 5000), expected);
    let heard = line.model().port("heard").unwrap();
    assert_eq!(line.model().get(heard), 5000);
}
