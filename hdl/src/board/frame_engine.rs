//! Requests to accesses of the host port, and their replies.

use super::crc::crc;
use super::frame_buffer::{READ_CYCLES, frame_buffer};
use super::frame_decision::frame_decision;
use super::frame_receiver::frame_receiver;
use super::frame_sender::frame_sender;
use super::sequence_number::sequence_number;
use super::{bit, constant, decrement, increment};
use crate::layer::{DesignError, Expr, Module, ModuleBuilder, Signal, Type, concat, literal, select};
use crate::lpu::top::CYCLE_BITS;
use lpu_firmware::wire;
use lpu_isa::configuration::{Configuration, ELEMENT_BITS, bits_for};
use lpu_isa::host::{BUS_BITS, COMMAND_BITS, Command};
use lpu_isa::latency::Latency;
use std::sync::Arc;

/// Bytes of the check behind a frame's payload.
const CHECK: u64 = wire::CHECK as u64;
/// Bytes before a frame's payload.
const HEADER: u64 = wire::HEADER as u64;
const _: () = assert!(CYCLE_BITS == lpu_firmware::CYCLE_BITS as usize, "a status reply carries the whole count");
/// Bits of the flags in a status reply.
const FLAG_BITS: usize = 8;
/// Bytes of a status reply before the last sequence number: flags, cycles.
const SNAPSHOT_BYTES: u64 = (FLAG_BITS + CYCLE_BITS) as u64 / 8;
/// Cycles from a read command until its beat has surely come, beside the vector memory's own latency: the host port takes four,
/// the register for the beat one, and the rest is margin.
const READ_MARGIN: u32 = 8;

/// Phases of a byte, when a request is gone over and when a reply is built: what follows from its place is known, a beat may be on
/// its way, the byte has come from the buffer, the byte of a reply is chosen, it is being taken into the check, and that is done.
const PLACED: usize = 2;
const FETCH: usize = 3;
const COME: usize = 4;
const CHOSEN: usize = 5;
const CHECKING: usize = 6;
const CHECKED: usize = 7;
const PHASES: usize = 8;
const _: () = assert!(COME >= READ_CYCLES, "a byte is used when it has come");

/// The machine's end of the host link, between the bytes of the line and the host port of a machine of `configuration`.
///
/// A request is received into the buffer and checked. Then it is gone over twice, byte by byte: first only to decide about it,
/// then to take its number over and to execute it. The reply is put into the same buffer, its check computed on the way, and sent.
/// From the end of a request to the end of its reply the engine is deaf. Bytes on the line have to be 16 cycles apart or more.
///
/// Ports: `rx_byte`, `rx_valid`: the receiver; `tx_ready`, `tx_byte`, `tx_valid`: the transmitter; the others are the machine's.
///
/// # Errors
/// None for a checked configuration.
pub fn frame_engine(configuration: &Configuration, identity: u32) -> Result<Arc<Module>, DesignError> {
    let beat_bits = (configuration.dot * ELEMENT_BITS) as usize;
    let mut m = ModuleBuilder::new("frame_engine");
    m.describe(
        "Takes requests from the line, executes each once and answers. A request is gone over twice in its buffer: to decide, \
         and to execute. The reply takes its place.",
    );
    m.latency("word of a request to its host command", 2);
    m.section("Line");
    let rx_byte = m.input("rx_byte", Type::bits(8));
    let rx_valid = m.input("rx_valid", bit());
    let tx_ready = m.input("tx_ready", bit());
    let tx_byte = m.output("tx_byte", Type::bits(8));
    let tx_valid = m.output("tx_valid", bit());
    m.section("Machine");
    let host_command = m.output("host_command", Type::bits(COMMAND_BITS as usize));
    let host_data = m.output("host_data", Type::bits(BUS_BITS as usize));
    let read_valid = m.input("host_read_valid", bit());
    let read_data = m.input("host_read_data", Type::bits(beat_bits));
    let machine_done = m.input("done", bit());
    let machine_cycles = m.input("cycles", Type::bits(CYCLE_BITS));

    m.section("State");
    let listening = m.register_with_reset("listening", bit(), 1);
    let passing = m.register_with_reset("passing", bit(), 0);
    let deciding = m.register_with_reset("deciding", bit(), 0);
    let building = m.register_with_reset("building", bit(), 0);
    // Set in the second pass.
    let wet = m.register("wet", bit());
    // One bit for each phase.
    let phase = m.register("phase", Type::bits(PHASES));
    let position = m.register_with_reset("position", Type::bits(8), 0);
    let end = m.register("frame_end", Type::bits(8));

    m.section("Place in the frame");
    let at = |m: &mut ModuleBuilder, name: &str, condition: Expr| m.delay(name, condition, 1);
    let is = |number: u64| position.equals(constant(number, 8));
    let at_sequence = at(&mut m, "at_sequence", position.less_than(constant(4, 8)));
    let at_command = at(&mut m, "at_command", is(4));
    let at_length = at(&mut m, "at_length", is(5));
    let at_argument = at(&mut m, "at_argument", is(10));
    let in_payload = at(&mut m, "in_payload", position.greater_equal(constant(HEADER, 8)));
    let in_words = at(&mut m, "in_words", position.greater_than(constant(10, 8)));
    let at_end = at(&mut m, "at_end", position.equals(&end));
    let behind_check = at(&mut m, "behind_check", end.extend(9).add(constant(CHECK, 9)));
    let at_check_end = at(&mut m, "at_check_end", position.extend(9).equals(&behind_check));
    let end_is_real = at(&mut m, "end_is_real", end.greater_equal(constant(HEADER, 8)));

    m.section("Receive");
    let receiver_inputs =
        vec![("line_data", rx_byte.into()), ("line_valid", rx_valid.into()), ("deaf", listening.not())];
    let receiver = m.instance("receiver", &frame_receiver()?, receiver_inputs)?;
    let (received, received_valid) = (receiver.output("data"), receiver.output("data_valid"));
    let take = m.wire("take", Expr::from(&listening).and(&received_valid));
    let boundary = m.wire("boundary", Expr::from(&listening).and(receiver.output("boundary")));
    let overflow = m.register_with_reset("overflow", bit(), 0);
    let crc_matches = m.undriven_wire("crc_matches", bit());
    let sound = Expr::from(&receiver.output("whole")).and(overflow.not()).and(&crc_matches);
    let sound = m.wire("sound", sound.and(&at_check_end).and(&end_is_real));
    let begin = m.register_with_reset("begin_request", bit(), 0);
    m.next(&begin, Expr::from(&boundary).and(&sound));
    let drop = m.register_with_reset("drop_frame", bit(), 0);
    m.next(&drop, Expr::from(&boundary).and(sound.not()));
    m.next_cases(
        &overflow,
        &[(Expr::from(&boundary), constant(0, 1)), (Expr::from(&take).and(position.all()), constant(1, 1))],
    );

    m.section("Go over the request");
    let come = m.wire("come", phase.bit(COME));
    let over = m.wire("pass_over", Expr::from(&passing).and(&come).and(&at_end));
    // What is known of the place before the byte comes is put together before, too.
    let usable = at(&mut m, "usable", Expr::from(&passing).and(at_end.not()));
    let use_byte = m.wire("use_byte", Expr::from(&come).and(&usable));
    let dry_over = m.wire("dry_over", Expr::from(&over).and(wet.not()));
    let wet_over = m.wire("wet_over", Expr::from(&over).and(&wet));
    let decided = m.wire("decided", Expr::from(&deciding).and(&come));
    let byte = m.undriven_wire("buffer_byte", Type::bits(8));
    let begin_pass = m.wire("begin_pass", Expr::from(&begin).or(&decided));

    let command = m.register("command", Type::bits(8));
    m.next_when(&command, Expr::from(&use_byte).and(&at_command), &byte);
    let argument = m.register("argument", Type::bits(8));
    m.next_when(&argument, Expr::from(&use_byte).and(&at_argument), &byte);
    // Bytes of the sequence number, of the address or entry point, and of the words make words of four.
    let lane = m.register("lane", Type::bits(2));
    let in_word = at(&mut m, "in_word", Expr::from(&in_payload).and(at_argument.not()));
    let in_lane = at(&mut m, "in_lane", Expr::from(&in_payload).and(at_argument.not()).or(&at_sequence));
    let word_ends = at(&mut m, "word_ends", Expr::from(&in_payload).and(at_argument.not()).and(lane.all()));
    let chunk_ends = at(&mut m, "chunk_ends", Expr::from(&in_words).and(lane.all()));
    let word_byte = m.wire("word_byte", Expr::from(&use_byte).and(&in_word));
    let counted = Expr::from(&use_byte).and(&in_lane);
    m.next_cases(&lane, &[(Expr::from(&begin_pass), constant(0, 2)), (counted, increment(&lane))]);
    let word = m.register("word", Type::bits(BUS_BITS as usize));
    m.next_when(&word, &word_byte, concat(&[Expr::from(&byte), word.slice(8, BUS_BITS as usize - 8)]));
    let word_done = m.wire("word_done", Expr::from(&use_byte).and(&word_ends));
    let chunk_done = m.wire("chunk_done", Expr::from(&use_byte).and(&chunk_ends));
    let chunks_left = m.register("chunks_left", Type::bits(8));
    let last_chunk = m.delay("last_chunk", chunks_left.equals(constant(1, 8)), 1);
    let fewer = last_chunk.choose(&argument, decrement(&chunks_left));
    m.next_cases(
        &chunks_left,
        &[(Expr::from(&use_byte).and(&at_argument), Expr::from(&byte)), (Expr::from(&chunk_done), fewer)],
    );
    let inside_word = m.register("inside_word", bit());
    m.next_cases(
        &inside_word,
        &[(Expr::from(&begin_pass), constant(0, 1)), (Expr::from(&chunk_done), last_chunk.not())],
    );

    m.section("Decide");
    let sequence_begin = Expr::from(&begin_pass);
    let rotate = m.undriven_wire("rotate_last", bit());
    let renew = m.undriven_wire("renew_last", bit());
    let sequence_inputs = vec![
        ("restart", sequence_begin),
        ("step", Expr::from(&use_byte).and(&at_sequence).or(&rotate)),
        ("number", Expr::from(&byte)),
        ("renew", Expr::from(&renew)),
    ];
    let sequence = m.instance("sequence_number", &sequence_number()?, sequence_inputs)?;
    let decision_inputs = vec![
        ("command", Expr::from(&command)),
        ("frame_end", Expr::from(&end)),
        ("argument", Expr::from(&argument)),
        ("broken_word", Expr::from(&inside_word).or(lane.any())),
        ("same", sequence.output("same").into()),
        ("next", sequence.output("next").into()),
        ("ahead", sequence.output("ahead").into()),
        ("decided", Expr::from(&decided)),
    ];
    let decision = m.instance("decision", &frame_decision(configuration.generates())?, decision_inputs)?;
    m.drive(&renew, Expr::from(&wet).and(&passing).and(decision.output("accept")));
    let (is_data, is_status) = (decision.output("is_data"), decision.output("is_status"));

    m.section("Execute");
    let needs_beat = m.undriven_wire("needs_beat", bit());
    // The word stands for two cycles more: time to choose the command.
    let execute = m.delay("execute", Expr::from(&word_done).and(&wet).and(decision.output("perform")), 1);
    let of = |which: Command| constant(which as u64, COMMAND_BITS);
    let mut other = of(Command::Address);
    if configuration.generates() {
        other = decision.output("generate_runs").choose(of(Command::Generate), other);
    }
    let run_or_address = decision.output("run").choose(of(Command::Start), other);
    let store = last_chunk.choose(of(Command::Write), of(Command::Shift));
    let store = decision.output("write").choose(store, of(Command::Idle));
    let executed = m.delay("executed_command", in_words.choose(store, run_or_address), 1);
    let issued = execute.choose(executed, needs_beat.choose(of(Command::Read), of(Command::Idle)));
    let command_q = m.register_with_reset("host_command_q", Type::bits(COMMAND_BITS as usize), 0);
    m.next(&command_q, issued);
    m.drive(&host_command, &command_q);
    m.drive(&host_data, &word);

    m.section("Build the reply");
    let crc_busy = m.undriven_wire("crc_busy", bit());
    let crc_check = m.undriven_wire("crc_check", Type::bits(8));
    let in_build = |number: usize| Expr::from(&building).and(phase.bit(number));
    let built = m.wire("built", in_build(PLACED).and(&at_check_end));
    let next_byte = m.wire("next_byte", in_build(CHECKED));
    let in_check = m.register("in_check", bit());
    m.next_cases(
        &in_check,
        &[(Expr::from(&wet_over), constant(0, 1)), (in_build(PLACED).and(&at_end), constant(1, 1))],
    );
    let index = m.register("index", Type::bits(4));
    m.next_when(&index, &next_byte, in_payload.choose(increment(&index), constant(0, 4)));
    let snapshot = m.wire("take_snapshot", in_build(PLACED).and(&at_length).and(&is_status));
    let beat_index_bits = bits_for(beat_bits as u32 / 8) as usize;
    let first_of_beat = at(&mut m, "first_of_beat", index.slice(0, beat_index_bits).any().not());
    let in_data = Expr::from(&in_payload).and(at_end.not()).and(in_check.not()).and(&is_data);
    let in_data = at(&mut m, "in_data", in_data);
    m.drive(&needs_beat, in_build(PLACED).and(in_data).and(first_of_beat));
    let wait_cycles = Latency::of(configuration).vector_read + READ_MARGIN;
    let wait = m.register_with_reset("wait_cycles", Type::bits(bits_for(wait_cycles + 1) as usize), 0);
    m.next_cases(
        &wait,
        &[(Expr::from(&needs_beat), literal(i128::from(wait_cycles), wait.ty())), (wait.any(), decrement(&wait))],
    );
    let waiting = m.wire("waiting", wait.any());

    // A beat, or flags and cycles. A unit that gives no beat leaves zeros.
    let captured_bits = beat_bits.max(64);
    let flags = concat(&[constant(0, FLAG_BITS as u32 - 2), Expr::from(&machine_done), machine_done.not()]);
    let status = concat(&[Expr::from(&machine_cycles), flags]).extend(captured_bits);
    let gate = |condition: &Signal, value: Expr| condition.repeat(captured_bits).and(value);
    let loaded = gate(&snapshot, status).or(gate(&read_valid, Expr::from(&read_data).extend(captured_bits)));
    let captured = m.register("captured", Type::bits(captured_bits));
    m.next_when(&captured, Expr::from(&snapshot).or(&needs_beat).or(&read_valid), loaded);
    let captured_bytes: Vec<Expr> = (0..captured_bits / 8).map(|k| captured.slice(8 * k, 8)).collect();
    let captured_index = bits_for(captured_bytes.len() as u32) as usize;
    let data_index = index.slice(0, beat_index_bits).extend(captured_index);
    let status_index = index.slice(0, captured_index);
    let captured_byte = m.delay("captured_byte", select(is_data.choose(data_index, status_index), &captured_bytes), 1);
    // The identity's four bytes stand at places that end in 3, 0, 1, 2 (modulo 4): 11 to 14.
    let identity_bytes: Vec<Expr> =
        [1, 2, 3, 0].map(|k: u32| constant(u64::from(identity >> (8 * k) & 0xff), 8)).into();
    let identity_byte = select(index.slice(0, 2), &identity_bytes);
    let after_snapshot = at(&mut m, "after_snapshot", index.greater_equal(constant(SNAPSHOT_BYTES, 4)));
    let after_last = at(&mut m, "after_last", index.greater_equal(constant(SNAPSHOT_BYTES + 4, 4)));
    let at_last = m.wire("at_last", Expr::from(&is_status).and(&in_payload).and(&after_snapshot).and(after_last.not()));
    m.drive(&rotate, Expr::from(&next_byte).and(&at_last).and(in_check.not()));
    let tail = m.delay("tail", after_last.choose(identity_byte, sequence.output("low")), 1);
    let status_tail = Expr::from(&is_status).and(&after_snapshot);
    let code = concat(&[constant(0, 6), decision.output("error_code").into()]);
    let is_answer = m.wire("is_answer", Expr::from(&is_data).or(&is_status));
    let payload = is_answer.choose(status_tail.choose(&tail, &captured_byte), code);
    let reply_command = concat(&[constant(1, 1), constant(0, 4), decision.output("kind").into()]);
    let header = at_command.choose(reply_command, at_length.choose(&end, &byte));
    let chosen = m.delay("chosen", in_payload.choose(payload, header), 1);

    m.section("Check");
    let crc_clear = Expr::from(&drop).or(&over).or(&built);
    let offered = m.wire("offered", in_build(CHOSEN));
    let crc_inputs = vec![
        ("clear", crc_clear),
        ("load", Expr::from(&take).or(Expr::from(&offered).and(in_check.not()))),
        ("data", listening.choose(&received, &chosen)),
        ("emit", Expr::from(&offered).and(&in_check)),
    ];
    let crc = m.instance("crc_unit", &crc()?, crc_inputs)?;
    m.drive(&crc_busy, crc.output("busy"));
    m.drive(&crc_check, crc.output("check"));
    m.drive(&crc_matches, crc.output("is_match"));

    m.section("Send");
    let sender_inputs = vec![
        ("start", Expr::from(&built)),
        ("length", Expr::from(&position)),
        ("buffer_byte", Expr::from(&byte)),
        ("ready", Expr::from(&tx_ready)),
    ];
    let sender = m.instance("sender", &frame_sender()?, sender_inputs)?;
    let sent = sender.output("done");
    m.drive(&tx_byte, sender.output("data"));
    m.drive(&tx_valid, sender.output("data_valid"));

    m.section("Buffer");
    let sending = m.register_with_reset("sending", bit(), 0);
    let stored = listening.choose(&received, in_check.choose(&crc_check, &chosen));
    let buffer_inputs = vec![
        ("write_enable", Expr::from(&take).or(&next_byte)),
        ("write_address", Expr::from(&position)),
        ("write_data", stored),
        ("read_address", sending.choose(sender.output("buffer_address"), &position)),
    ];
    let buffer = m.instance("buffer", &frame_buffer()?, buffer_inputs)?;
    m.drive(&byte, buffer.output("read_data"));

    m.section("Flow");
    let (set, clear) = (constant(1, 1), constant(0, 1));
    let mut flow = |state: &Signal, enter: Expr, leave: &Signal| {
        m.next_cases(state, &[(enter, set.clone()), (Expr::from(leave), clear.clone())]);
    };
    flow(&listening, Expr::from(&sent), &begin);
    flow(&passing, Expr::from(&begin_pass), &over);
    flow(&deciding, Expr::from(&dry_over), &decided);
    flow(&building, Expr::from(&wet_over), &built);
    flow(&sending, Expr::from(&built), &sent);
    m.next_when(&wet, &begin_pass, &decided);
    let restart = m.wire("restart", Expr::from(&boundary).or(&over).or(&decided).or(&sent));
    let forward = m.wire("forward", Expr::from(&take).or(&use_byte).or(&next_byte));
    // A phase lasts a cycle, but a beat is waited for, and the check.
    let still = Expr::from(&waiting);
    let stay = Expr::from(&crc_busy);
    let follows = concat(&[
        phase.bit(CHECKING).and(stay.not()),
        phase.bit(CHOSEN).or(phase.bit(CHECKING).and(&stay)),
        phase.bit(COME),
        phase.bit(FETCH).and(still.not()),
        phase.bit(PLACED).or(phase.bit(FETCH).and(&still)),
        phase.slice(0, PLACED),
        constant(0, 1),
    ]);
    let first = literal(1, Type::bits(PHASES));
    m.next(&phase, Expr::from(&restart).or(&forward).choose(first, follows));
    m.next_cases(&position, &[(Expr::from(&restart), constant(0, 8)), (Expr::from(&forward), increment(&position))]);
    m.next_cases(
        &end,
        &[
            (Expr::from(&take).and(&at_length), Expr::from(&received)),
            (Expr::from(&wet_over), decision.output("reply_end").into()),
        ],
    );
    m.finish()
}
