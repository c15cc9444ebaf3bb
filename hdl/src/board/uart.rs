//! The serial line: eight data bits, no parity, one stop bit, least significant bit first.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal};
use lpu_isa::configuration::bits_for;
use std::sync::Arc;

/// Bits of a byte on the line: start, data, stop.
const FRAME_BITS: u64 = 10;

/// A receiver. Ports: `rx`, the line; `data` and `valid`, high for a cycle when a byte has come.
///
/// Each bit is the majority of three samples in its middle. A byte whose stop bit is low is dropped, and nothing begins before the
/// line has been high again. `clocks_per_bit` is at least 4.
///
/// # Errors
/// None for a number of clocks that the board's parameters allow.
pub fn uart_receiver(clocks_per_bit: u32) -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new_variant("uart_receiver", &clocks_per_bit.to_string());
    m.describe(&format!(
        "Receives bytes from a serial line of {clocks_per_bit} clock cycles a bit. Each bit is the majority of three samples \
         around its middle."
    ));
    m.latency("middle of the stop bit to valid", 5);
    m.section("Line");
    let rx = m.input("rx", bit());
    m.section("Bytes");
    let byte = m.output("data", Type::bits(8));
    let valid = m.output("valid", bit());

    // Two registers let a level settle that changes with no regard to the clock.
    let settled = m.delay("settled", Expr::from(&rx), 2);
    let samples = m.register("samples", Type::bits(3));
    m.next(&samples, concat(&[samples.slice(0, 2), Expr::from(&settled)]));
    let two = |a: usize, b: usize| samples.bit(a).and(samples.bit(b));
    let level = m.wire("level", two(0, 1).or(two(1, 2)).or(two(0, 2)));

    let busy = m.register_with_reset("busy", bit(), 0);
    let armed = m.register_with_reset("armed", bit(), 0);
    let clocks = m.register("clocks_left", Type::bits(bits_for(clocks_per_bit) as usize));
    let bits = m.register("bits_left", Type::bits(4));
    let shift = m.register("shift", Type::bits(8));
    let begin = m.wire("begin_byte", busy.not().and(&armed).and(level.not()));
    let sample = m.wire("sample", Expr::from(&busy).and(clocks.any().not()));
    let is_start = m.wire("is_start", bits.equals(constant(FRAME_BITS - 1, 4)));
    let is_stop = m.wire("is_stop", bits.any().not());
    let false_start = Expr::from(&is_start).and(&level);
    m.next_cases(
        &busy,
        &[
            (Expr::from(&begin), constant(1, 1)),
            (Expr::from(&sample).and(Expr::from(&is_stop).or(false_start)), constant(0, 1)),
        ],
    );
    m.next(&armed, busy.not().and(Expr::from(&armed).or(&level)));
    let reload = |count: u32| literal(i128::from(count.saturating_sub(1)), clocks.ty());
    let counted = sample.choose(reload(clocks_per_bit), clocks.sub(literal(1, clocks.ty())));
    m.next(&clocks, begin.choose(reload(clocks_per_bit / 2), counted));
    m.next_cases(
        &bits,
        &[(Expr::from(&begin), constant(FRAME_BITS - 1, 4)), (Expr::from(&sample), bits.sub(constant(1, 4)))],
    );
    // The start bit goes through and out again; the stop bit must not push the first data bit out.
    m.next_when(&shift, Expr::from(&sample).and(is_stop.not()), concat(&[Expr::from(&level), shift.slice(1, 7)]));
    let arrived = m.register_with_reset("arrived", bit(), 0);
    m.next(&arrived, Expr::from(&sample).and(&is_stop).and(&level));
    m.drive(&byte, &shift);
    m.drive(&valid, &arrived);
    m.finish()
}

/// A transmitter. Ports: `data` and `valid`, which counts while `ready` is high; `ready`; `tx`, the line.
///
/// # Errors
/// None for a number of clocks that the board's parameters allow.
pub fn uart_transmitter(clocks_per_bit: u32) -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new_variant("uart_transmitter", &clocks_per_bit.to_string());
    m.describe(&format!("Sends bytes on a serial line of {clocks_per_bit} clock cycles a bit."));
    m.latency("valid to the start bit", 1);
    m.section("Bytes");
    let byte = m.input("data", Type::bits(8));
    let valid = m.input("valid", bit());
    let ready = m.output("ready", bit());
    m.section("Line");
    let tx = m.output("tx", bit());

    let busy = m.register_with_reset("busy", bit(), 0);
    let clocks = m.register("clocks_left", Type::bits(bits_for(clocks_per_bit) as usize));
    let bits = m.register("bits_left", Type::bits(4));
    // The bit on the line and those after it; an idle line is high.
    let shift = m.register_with_reset("shift", Type::bits(9), (1 << 9) - 1);
    let begin = m.wire("begin_byte", Expr::from(&valid).and(busy.not()));
    let step = m.wire("step", Expr::from(&busy).and(clocks.any().not()));
    let is_last = Expr::from(&step).and(bits.any().not());
    m.next_cases(&busy, &[(Expr::from(&begin), constant(1, 1)), (is_last, constant(0, 1))]);
    let count = |signal: &Signal| signal.sub(literal(1, signal.ty()));
    let reload = Expr::from(&begin).or(&step);
    let full = literal(i128::from(clocks_per_bit.saturating_sub(1)), clocks.ty());
    m.next(&clocks, reload.choose(full, count(&clocks)));
    m.next_cases(&bits, &[(Expr::from(&begin), constant(FRAME_BITS - 1, 4)), (Expr::from(&step), count(&bits))]);
    let loaded = concat(&[Expr::from(&byte), constant(0, 1)]);
    m.next_cases(
        &shift,
        &[(Expr::from(&begin), loaded), (Expr::from(&step), concat(&[constant(1, 1), shift.slice(1, 8)]))],
    );
    m.drive(&ready, busy.not());
    m.drive(&tx, shift.bit(0));
    m.finish()
}
