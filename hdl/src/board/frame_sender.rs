//! A frame in the buffer to bytes on the line: boundaries and byte stuffing.

use super::frame_buffer::READ_CYCLES;
use super::{bit, constant, increment};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type, concat};
use std::sync::Arc;

/// Stuffs and sends the first `length` bytes of the buffer, fewer than 255, between two zeros.
///
/// Ports: `start`, a pulse; `length`, steady while it works; `buffer_address`, `buffer_byte`: the buffer, [`READ_CYCLES`]
/// to read; `ready`, `data`, `data_valid`: the transmitter; `done`, a pulse when the last byte is with the transmitter.
///
/// # Errors
/// None.
pub fn frame_sender() -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new("frame_sender");
    m.describe(
        "Sends a frame from the buffer with its byte stuffing (COBS), between two zeros. Each block is looked through for its \
         end first, then sent: its length plus one, then its bytes. A frame is shorter than the longest block.",
    );
    m.latency("start to the first byte at the earliest", READ_CYCLES + 3);
    m.section("Frame");
    let start = m.input("start", bit());
    let length = m.input("length", Type::bits(8));
    let done = m.output("done", bit());
    m.section("Buffer");
    let buffer_address = m.output("buffer_address", Type::bits(8));
    let buffer_byte = m.input("buffer_byte", Type::bits(8));
    m.section("Transmitter");
    let ready = m.input("ready", bit());
    let byte = m.output("data", Type::bits(8));
    let valid = m.output("data_valid", bit());

    m.section("State");
    let start = m.delay("start_q", &start, 1);
    let mut state = |name: &str| m.register_with_reset(name, bit(), 0);
    let (opening, scanning, coding) = (state("opening"), state("scanning"), state("coding"));
    let (copying, closing) = (state("copying"), state("closing"));
    // Everything happens some cycles after the last thing at the earliest: the byte is there by then and has been looked at, and the
    // transmitter has had time to say that it is no longer ready.
    let since = m.register("since_last", Type::bits(READ_CYCLES + 1));
    let address = m.register("address", Type::bits(8));
    let block = m.register("block", Type::bits(8));
    let run = m.register("run_length", Type::bits(8));
    let at_end = m.delay("at_end", address.equals(&length), 1);
    let settled = since.bit(READ_CYCLES);
    let sendable = m.wire("sendable", Expr::from(&settled).and(&ready));

    let opened = m.wire("opened", Expr::from(&opening).and(&sendable));
    let scanned = m.wire("scanned", Expr::from(&scanning).and(&settled));
    let block_ends = m.delay("block_ends", Expr::from(&at_end).or(buffer_byte.any().not()), 1);
    let found = m.wire("found", Expr::from(&scanned).and(&block_ends));
    let coded = m.wire("coded", Expr::from(&coding).and(&sendable));
    let is_copied = m.delay("is_copied", run.equals(constant(1, 8)), 1);
    let copied = m.wire("copied", Expr::from(&copying).and(&sendable).and(is_copied.not()));
    let ended = m.wire("ended", Expr::from(&copying).and(&settled).and(&is_copied));
    let next_block = m.wire("next_block", Expr::from(&ended).and(at_end.not()));
    let closed = m.wire("closed", Expr::from(&closing).and(&sendable));

    let zero = || constant(0, 1);
    let one = || constant(1, 1);
    m.next_cases(&opening, &[(Expr::from(&start), one()), (Expr::from(&opened), zero())]);
    let scan = Expr::from(&opened).or(&next_block);
    m.next_cases(&scanning, &[(scan.clone(), one()), (Expr::from(&found), zero())]);
    m.next_cases(&coding, &[(Expr::from(&found), one()), (Expr::from(&coded), zero())]);
    m.next_cases(&copying, &[(Expr::from(&coded), one()), (Expr::from(&ended), zero())]);
    m.next_cases(&closing, &[(Expr::from(&ended).and(&at_end), one()), (Expr::from(&closed), zero())]);
    let moved = Expr::from(&start).or(&opened).or(&scanned).or(&coded).or(&copied).or(&ended);
    let later = concat(&[since.slice(0, READ_CYCLES), constant(1, 1)]);
    m.next(&since, moved.choose(constant(0, READ_CYCLES as u32 + 1), later));
    m.next_cases(
        &address,
        &[
            (Expr::from(&start), constant(0, 8)),
            (Expr::from(&coded), Expr::from(&block)),
            // The zero behind a block is not sent: the next block's code stands for it.
            (Expr::from(&scanned).and(block_ends.not()).or(&copied).or(&next_block), increment(&address)),
        ],
    );
    m.next_cases(&block, &[(Expr::from(&start), constant(0, 8)), (Expr::from(&next_block), increment(&address))]);
    m.next_cases(
        &run,
        &[
            (scan, constant(1, 8)),
            (Expr::from(&scanned).and(block_ends.not()), increment(&run)),
            (Expr::from(&copied), run.sub(constant(1, 8))),
        ],
    );
    let valid_q = m.register_with_reset("valid_q", bit(), 0);
    m.next(&valid_q, Expr::from(&opened).or(&coded).or(&copied).or(&closed));
    let byte_q = m.register("byte_q", Type::bits(8));
    let sent = Expr::from(&coding).repeat(8).and(&run).or(Expr::from(&copying).repeat(8).and(&buffer_byte));
    m.next(&byte_q, sent);
    m.drive(&buffer_address, &address);
    m.drive(&byte, &byte_q);
    m.drive(&valid, &valid_q);
    let done_q = m.register_with_reset("done_q", bit(), 0);
    m.next(&done_q, &closed);
    m.drive(&done, &done_q);
    m.finish()
}
