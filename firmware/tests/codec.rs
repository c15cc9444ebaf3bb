//! The frame format: identity, error detection, resynchronisation, known answers.
#![allow(clippy::unwrap_used)]

use lpu_firmware::{
    ADDRESS_BITS, CYCLE_BITS, Decoder, ErrorCode, Frame, FrameError, MAX_ENCODED, MAX_PAYLOAD, MAX_WORDS,
    MachineStatus, Reply, Request, Words, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn wire(frame: &Frame) -> Vec<u8> {
    let mut buffer = [0; MAX_ENCODED];
    let length = encode(frame, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn decode(bytes: &[u8]) -> Vec<Result<Frame, FrameError>> {
    let mut decoder = Decoder::new();
    bytes.iter().filter_map(|&byte| decoder.push(byte)).collect()
}

/// Payloads rich in zeros and in long runs without: both ends of the byte stuffing.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(0xff), any::<u8>(), 1u8..=255];
    prop_oneof![vec(byte, 0..=MAX_PAYLOAD), vec(1u8..=255, 200..=MAX_PAYLOAD)]
}

fn frame() -> impl Strategy<Value = Frame> {
    (any::<u32>(), any::<u8>(), payload())
        .prop_map(|(sequence, command, payload)| Frame::new(sequence, command, &payload).unwrap())
}

fn words() -> impl Strategy<Value = Words> {
    vec(any::<u32>(), 0..=MAX_WORDS).prop_map(|words| Words::new(&words).unwrap())
}

/// Whole memory words of any width.
fn write() -> impl Strategy<Value = Request> {
    let memory_words = (1..=MAX_WORDS).prop_flat_map(|chunks| {
        let words = (0..=MAX_WORDS / chunks).prop_flat_map(move |count| vec(any::<u32>(), count * chunks));
        (Just(chunks as u8), words)
    });
    (any::<u8>(), 0..1u32 << ADDRESS_BITS, memory_words).prop_map(|(unit, address, (chunks, words))| {
        let words = Words::new(&words).unwrap();
        Request::Write { unit, address, chunks, words }
    })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        write(),
        any::<u32>().prop_map(|entry| Request::Run { entry }),
        (any::<u8>(), 0..1u32 << ADDRESS_BITS, 0..=MAX_WORDS as u8)
            .prop_map(|(unit, address, count)| { Request::ReadVector { unit, address, count } }),
        Just(Request::Status),
        any::<[u16; 2]>().prop_map(|[first, runs]| Request::Generate { first, runs }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let machine = (any::<bool>(), any::<bool>(), 0..1u64 << CYCLE_BITS, any::<u32>());
    prop_oneof![
        Just(Reply::Ack),
        words().prop_map(|words| Reply::Data { words }),
        (machine, any::<u32>()).prop_map(|((running, done, cycles, identity), last_sequence)| Reply::Status {
            machine: MachineStatus { running, done, cycles, identity },
            last_sequence
        }),
        any::<u8>().prop_map(|code| Reply::Error { code: ErrorCode::from_byte(code) }),
    ]
}

proptest! {
    #[test]
    fn a_decoded_frame_is_the_encoded_one(frame in frame()) {
        let wire = wire(&frame);
        prop_assert!(wire[1..wire.len() - 1].iter().all(|&byte| byte != 0), "a zero inside a frame");
        prop_assert_eq!(decode(&wire), [Ok(frame)]);
    }

    #[test]
    fn requests_and_replies_survive_the_frame(sequence in any::<u32>(), request in request(), reply in reply()) {
        let frame = request.to_frame(sequence);
        prop_assert_eq!(frame.sequence, sequence);
        prop_assert_eq!(Request::from_frame(&frame), Ok(request));
        prop_assert_eq!(Reply::from_frame(&reply.to_frame(sequence)), Ok(reply));
    }

    /// Every bit of the frame, one after the other. The frame must not come out, nor any other.
    #[test]
    fn any_flipped_bit_is_detected(frame in frame()) {
        let wire = wire(&frame);
        // The zeros around the frame are not part of it: hitting one merges the frame with what stands next to it.
        for bit in 8..8 * (wire.len() - 1) {
            let mut damaged = wire.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(&damaged);
            prop_assert!(!decoded.is_empty() && decoded.iter().all(Result::is_err), "bit {bit}: {decoded:?}");
        }
    }

    #[test]
    fn garbage_between_frames_costs_no_frame(frames in vec((vec(any::<u8>(), 0..600), frame()), 1..8)) {
        let mut stream = Vec::new();
        for (garbage, frame) in &frames {
            stream.extend_from_slice(garbage);
            stream.extend(wire(frame));
        }
        let decoded: Vec<Frame> = decode(&stream).into_iter().filter_map(Result::ok).collect();
        let sent: Vec<Frame> = frames.into_iter().map(|(_, frame)| frame).collect();
        prop_assert_eq!(decoded, sent);
    }

    #[test]
    fn a_lost_byte_costs_one_frame(first in frame(), second in frame(), at in any::<prop::sample::Index>()) {
        let mut stream = wire(&first);
        stream.remove(at.index(stream.len() - 2) + 1);
        stream.extend(wire(&second));
        let decoded: Vec<Frame> = decode(&stream).into_iter().filter_map(Result::ok).collect();
        prop_assert_eq!(decoded, [second]);
    }

    #[test]
    fn random_bytes_never_panic_nor_decode(bytes in vec(any::<u8>(), 0..2000)) {
        prop_assert!(decode(&bytes).iter().all(Result::is_err));
    }

    #[test]
    fn frames_of_any_form_are_understood_or_refused(frame in frame()) {
        if let Ok(request) = Request::from_frame(&frame) {
            prop_assert_eq!(request.to_frame(frame.sequence), frame.clone());
        }
        if let Ok(reply) = Reply::from_frame(&frame) {
            prop_assert_eq!(reply.to_frame(frame.sequence), frame);
        }
    }

    #[test]
    fn a_short_buffer_is_refused(frame in frame(), missing in 1..20usize) {
        let needed = wire(&frame).len();
        let mut buffer = vec![0; needed.saturating_sub(missing)];
        prop_assert!(encode(&frame, &mut buffer).is_err());
        prop_assert_eq!(encode(&frame, &mut vec![0; needed]), Ok(needed));
    }
}

#[test]
fn known_frames_have_the_known_bytes() {
    let text = include_str!("vectors.txt");
    let mut lines = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [sequence, command, payload, bytes] = fields[..] else { panic!("{line}") };
        let command = u8::from_str_radix(command, 16).unwrap();
        let frame = Frame::new(sequence.parse().unwrap(), command, &unhex(payload)).unwrap();
        assert_eq!(wire(&frame), unhex(bytes), "{line}");
        assert_eq!(decode(&unhex(bytes)), [Ok(frame)], "{line}");
        lines += 1;
    }
    assert!(lines >= 10);
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let frame = Frame::new(0x0101_0101, 0x11, &[0x22; 20]).unwrap();
    let wire = wire(&frame);
    let damage = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = wire.clone();
        change(&mut bytes);
        decode(&bytes)
    };
    assert_eq!(damage(&|bytes| bytes[10] ^= 1), [Err(FrameError::Check)]);
    assert_eq!(damage(&|bytes| _ = bytes.remove(10)), [Err(FrameError::Stuffing)]);
    assert_eq!(damage(&|bytes| bytes.splice(2..2, [7; 300]).for_each(drop)), [Err(FrameError::TooLong)]);
    assert_eq!(decode(&[0, 3, 1, 1, 0]), [Err(FrameError::Length)]);
    assert_eq!(decode(&[0, 0, 0]), []);
    assert!(Frame::new(0, 0, &[0; MAX_PAYLOAD + 1]).is_err());
    assert!(Words::new(&[0; MAX_WORDS + 1]).is_none());
}
