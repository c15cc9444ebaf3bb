//! What becomes of a request: which form it has, whether it is executed, what is answered.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type};
use lpu_firmware::{ErrorCode, MAX_WORDS, wire};
use std::sync::Arc;

/// Cycles after which the decision follows its inputs.
pub const DECISION: usize = 3;

/// Bytes of an address or an entry point.
const ADDRESS: u64 = 4;
/// Bits of the number of a kind of reply: its command without the bit that every reply's has.
const KIND_BITS: u32 = 3;
/// Bits of the code of an error.
const CODE_BITS: u32 = 2;

/// The kind of the reply with this command.
fn kind(command: u8) -> Expr {
    constant((command & !wire::REPLY).into(), KIND_BITS)
}

/// The code of an error.
fn code(error: ErrorCode) -> Expr {
    constant(error.to_byte().into(), CODE_BITS)
}

/// The end of a frame with a payload of `bytes`, without its check.
fn end_of(bytes: u64) -> Expr {
    constant(wire::HEADER as u64 + bytes, 8)
}

/// Decides about a request whose fields stand still. `decided` takes the decision over: it holds until the next.
///
/// Where the machine `generates`, there is one more request.
///
/// # Errors
/// None.
pub fn frame_decision(generates: bool) -> Result<Arc<Module>, DesignError> {
    let mut m = ModuleBuilder::new("frame_decision");
    m.describe(
        "Decides what becomes of a request. A request with the next number is accepted and executed, one with the last number \
         answered, and a status request answered in any case and accepted if it is not behind.",
    );
    m.latency("request to decision", DECISION);
    m.section("Request");
    let command = m.input("command", Type::bits(8));
    let end = m.input("frame_end", Type::bits(8));
    let argument = m.input("argument", Type::bits(8));
    let broken_word = m.input("broken_word", bit());
    m.section("Sequence number");
    let same = m.input("same", bit());
    let next = m.input("next", bit());
    let ahead = m.input("ahead", bit());
    m.section("Decision");
    let decided = m.input("decided", bit());
    let write_port = m.output("write", bit());
    let run_port = m.output("run", bit());
    let generate_port = generates.then(|| m.output("generate_runs", bit()));
    let accept_port = m.output("accept", bit());
    let perform_port = m.output("perform", bit());
    m.section("Reply");
    let kind_port = m.output("kind", Type::bits(KIND_BITS as usize));
    let data_port = m.output("is_data", bit());
    let status_port = m.output("is_status", bit());
    let code_port = m.output("error_code", Type::bits(CODE_BITS as usize));
    let reply_end_port = m.output("reply_end", Type::bits(8));

    // The command, and whether the payload has its form.
    let mut is = |name: &str, which: u8| m.delay(name, command.equals(constant(which.into(), 8)), 1);
    let (write, run) = (is("is_write", wire::WRITE), is("is_run", wire::RUN));
    let (read, status) = (is("is_read", wire::READ_VECTOR), is("is_status_request", wire::STATUS));
    let generate = generates.then(|| is("is_generate", wire::GENERATE));
    let ends = |payload: u64| end.equals(end_of(payload));
    let holds_chunks = end.greater_equal(end_of(ADDRESS + 1));
    let write_form = m.delay("write_form", holds_chunks.and(argument.any()).and(broken_word.not()), 1);
    let run_form = m.delay("run_form", ends(ADDRESS), 1);
    let read_form = m.delay("read_form", ends(ADDRESS + 1).and(argument.less_equal(constant(MAX_WORDS as u64, 8))), 1);
    let status_form = m.delay("status_form", ends(0), 1);

    let good_write = Expr::from(&write).and(&write_form);
    // What to generate has the form of an entry point.
    let either = generate.iter().fold(Expr::from(&run), |run, generate| run.or(generate));
    let good_run = either.and(&run_form);
    let good_read = m.delay("good_read", Expr::from(&read).and(&read_form), 1);
    let good_status = m.delay("good_status", Expr::from(&status).and(&status_form), 1);
    let good_change = m.delay("good_change", good_write.or(good_run), 1);
    let known = Expr::from(&write).or(&run).or(&read).or(&status);
    let known = m.delay("known", generate.iter().fold(known, |known, generate| known.or(generate)), 1);

    // The number that the device begins with is that of no request.
    let begun = m.register_with_reset("begun", bit(), 0);
    let accept = m.wire("accept_now", Expr::from(&next).or(Expr::from(&good_status).and(&ahead)));
    m.next_when(&begun, &decided, Expr::from(&begun).or(&accept));
    let timely = m.delay("timely", Expr::from(&next).or(Expr::from(&same).and(&begun)), 1);
    let answer_data = m.wire("answer_data", Expr::from(&timely).and(&good_read));
    let answer_ack = m.wire("answer_ack", Expr::from(&timely).and(&good_change));

    let kind = good_status.choose(
        kind(wire::STATUS_REPLY),
        answer_data.choose(kind(wire::DATA), answer_ack.choose(kind(wire::ACK), kind(wire::ERROR))),
    );
    let code = timely.not().choose(
        code(ErrorCode::OutOfSequence),
        known.choose(code(ErrorCode::BadPayload), code(ErrorCode::UnknownCommand)),
    );
    // Four times the words, behind the header.
    let words = argument.slice(0, 6).shift_left(2);
    let data_end = m.delay("data_end", words.add(end_of(0)), 1);
    let reply_end = good_status.choose(
        end_of(wire::STATUS_BYTES as u64),
        answer_data.choose(&data_end, answer_ack.choose(end_of(0), end_of(1))),
    );

    let mut hold = |name: &str, value: Expr| {
        let register = m.register(name, value.ty());
        m.next_when(&register, &decided, value);
        register
    };
    let perform = Expr::from(&answer_data).or(Expr::from(&good_change).and(&next));
    for (port, value) in [
        (&accept_port, hold("accept_q", Expr::from(&accept))),
        (&perform_port, hold("perform_q", perform)),
        (&kind_port, hold("kind_q", kind)),
        (&data_port, hold("is_data_q", Expr::from(&answer_data))),
        (&status_port, hold("is_status_q", Expr::from(&good_status))),
        (&code_port, hold("error_code_q", code)),
        (&reply_end_port, hold("reply_end_q", reply_end)),
    ] {
        m.drive(port, &value);
    }
    m.drive(&write_port, &write);
    m.drive(&run_port, &run);
    if let (Some(port), Some(generate)) = (&generate_port, &generate) {
        m.drive(port, generate);
    }
    m.finish()
}
