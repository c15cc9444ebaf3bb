//! What becomes of a request: which form it has, whether it is executed, what is answered.

use super::{bit, constant};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Type};
use std::sync::Arc;

/// Cycles after which the decision follows its inputs.
pub const DECISION: usize = 3;

/// Commands of requests, as `lpu-firmware` numbers them.
const WRITE: u64 = 1;
const RUN: u64 = 2;
const READ: u64 = 3;
const STATUS: u64 = 4;

/// Kinds of replies: the command of a reply is 80 (hexadecimal) and the kind.
const ACK: u64 = 1;
const DATA: u64 = 2;
const STATUS_REPLY: u64 = 3;
const ERROR: u64 = 4;

/// Codes of errors.
const UNKNOWN_COMMAND: u64 = 1;
const BAD_PAYLOAD: u64 = 2;
const OUT_OF_SEQUENCE: u64 = 3;

/// Bytes before the payload: sequence, command, length.
pub const HEADER: u64 = 6;
/// Bytes of an address or an entry point.
const ADDRESS: u64 = 4;
/// Most words of the bus in a request or a reply.
const MOST_WORDS: u64 = 60;
/// Bytes of a status reply's payload: flags, cycles, last sequence, identity.
const STATUS_BYTES: u64 = 15;

/// Decides about a request whose fields stand still. `decided` takes the decision over: it holds until the next.
///
/// # Errors
/// None.
pub fn frame_decision() -> Result<Arc<Module>, DesignError> {
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
    let accept_port = m.output("accept", bit());
    let perform_port = m.output("perform", bit());
    m.section("Reply");
    let kind_port = m.output("kind", Type::bits(3));
    let data_port = m.output("is_data", bit());
    let status_port = m.output("is_status", bit());
    let code_port = m.output("error_code", Type::bits(2));
    let reply_end_port = m.output("reply_end", Type::bits(8));

    // The command, and whether the payload has its form.
    let mut is = |name: &str, which: u64| m.delay(name, command.equals(constant(which, 8)), 1);
    let (write, run) = (is("is_write", WRITE), is("is_run", RUN));
    let (read, status) = (is("is_read", READ), is("is_status_request", STATUS));
    let ends = |payload: u64| end.equals(constant(HEADER + payload, 8));
    let holds_chunks = end.greater_equal(constant(HEADER + ADDRESS + 1, 8));
    let write_form = m.delay("write_form", holds_chunks.and(argument.any()).and(broken_word.not()), 1);
    let run_form = m.delay("run_form", ends(ADDRESS), 1);
    let read_form = m.delay("read_form", ends(ADDRESS + 1).and(argument.less_equal(constant(MOST_WORDS, 8))), 1);
    let status_form = m.delay("status_form", ends(0), 1);

    let good_write = Expr::from(&write).and(&write_form);
    let good_run = Expr::from(&run).and(&run_form);
    let good_read = m.delay("good_read", Expr::from(&read).and(&read_form), 1);
    let good_status = m.delay("good_status", Expr::from(&status).and(&status_form), 1);
    let good_change = m.delay("good_change", good_write.or(good_run), 1);
    let known = m.delay("known", Expr::from(&write).or(&run).or(&read).or(&status), 1);

    // The number that the device begins with is that of no request.
    let begun = m.register_with_reset("begun", bit(), 0);
    let accept = m.wire("accept_now", Expr::from(&next).or(Expr::from(&good_status).and(&ahead)));
    m.next_when(&begun, &decided, Expr::from(&begun).or(&accept));
    let timely = m.delay("timely", Expr::from(&next).or(Expr::from(&same).and(&begun)), 1);
    let answer_data = m.wire("answer_data", Expr::from(&timely).and(&good_read));
    let answer_ack = m.wire("answer_ack", Expr::from(&timely).and(&good_change));

    let kind = good_status.choose(
        constant(STATUS_REPLY, 3),
        answer_data.choose(constant(DATA, 3), answer_ack.choose(constant(ACK, 3), constant(ERROR, 3))),
    );
    let code = timely
        .not()
        .choose(constant(OUT_OF_SEQUENCE, 2), known.choose(constant(BAD_PAYLOAD, 2), constant(UNKNOWN_COMMAND, 2)));
    // Four times the words, behind the header.
    let words = argument.slice(0, 6).shift_left(2);
    let data_end = m.delay("data_end", words.add(constant(HEADER, 8)), 1);
    let end_of = |payload: u64| constant(HEADER + payload, 8);
    let reply_end = good_status
        .choose(end_of(STATUS_BYTES), answer_data.choose(&data_end, answer_ack.choose(end_of(0), end_of(1))));

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
    m.finish()
}
