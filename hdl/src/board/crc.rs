//! CRC-32, a bit a cycle.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat, literal};
use std::sync::Arc;

/// The polynomial of ISO-HDLC, reflected.
const POLYNOMIAL: i128 = 0xedb8_8320;
/// What stands in the register after data and their check.
const RESIDUE: i128 = 0xdebb_20e3;

/// The check of a sequence of bytes (ISO-HDLC: the one of zip and Ethernet).
///
/// Ports: `clear` begins a sequence; `load` takes `data` in; `emit` puts the next byte of the check, the lowest first, on
/// `check`. Taking or putting a byte keeps the module `busy` for eight cycles from the next one on. `is_match`: the bytes taken end
/// in their own check.
///
/// # Errors
/// None.
pub fn crc() -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new("crc");
    m.describe(
        "CRC-32 of a sequence of bytes, a bit a cycle. The check leaves byte by byte through the register of the data.",
    );
    m.latency("load to the byte taken in", 9);
    m.latency("emit to check", 9);
    m.section("Bytes");
    let clear = m.input("clear", bit());
    let load = m.input("load", bit());
    let byte = m.input("data", Type::bits(8));
    let emit = m.input("emit", bit());
    m.section("Check");
    let busy = m.output("busy", bit());
    let check = m.output("check", Type::bits(8));
    let matches = m.output("is_match", bit());

    let value = m.register_with_reset("value", Type::bits(32), 0xffff_ffff);
    let data = m.register("taken", Type::bits(8));
    let left = m.register("bits_left", Type::bits(4));
    let emitting = m.register("emitting", bit());
    let step = m.register_with_reset("step", bit(), 0);
    let last = Expr::from(&step).and(left.equals(constant(1, 4)));
    m.next_cases(&step, &[(Expr::from(&load).or(&emit), constant(1, 1)), (last, constant(0, 1))]);
    m.next_when(&emitting, Expr::from(&load).or(&emit), &emit);
    m.next_cases(
        &left,
        &[(Expr::from(&load).or(&emit), constant(8, 4)), (Expr::from(&step), left.sub(constant(1, 4)))],
    );
    let feedback = m.wire("feedback", emitting.not().and(value.bit(0).xor(data.bit(0))));
    let shifted = concat(&[constant(0, 1), value.slice(1, 31)]);
    let added = feedback.repeat(32).and(literal(POLYNOMIAL, Type::bits(32)));
    let ones = literal(0xffff_ffff, Type::bits(32));
    m.next_cases(&value, &[(Expr::from(&clear), ones), (Expr::from(&step), shifted.xor(added))]);
    // The check is the complement of the register.
    let turned = concat(&[value.bit(0).not(), data.slice(1, 7)]);
    m.next_cases(&data, &[(Expr::from(&load), Expr::from(&byte)), (Expr::from(&step), turned)]);
    let matched = m.delay("matched", value.equals(literal(RESIDUE, Type::bits(32))), 1);
    m.drive(&busy, &step);
    m.drive(&check, &data);
    m.drive(&matches, &matched);
    m.finish()
}
