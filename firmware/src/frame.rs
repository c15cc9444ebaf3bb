//! Frames and what they mean: requests and replies.

use core::fmt;
use core::ops::Deref;

use crate::wire::{ACK, DATA, ERROR, GENERATE, READ_VECTOR, RUN, STATUS, STATUS_REPLY, WRITE};

/// Most words that one write request or data reply carries: divisible by 1 to 6, so that whole memory words fill a request, and
/// few enough that a frame's position fits a byte.
pub const MAX_WORDS: usize = 60;

/// Most bytes of payload: a write request's address, chunks and words.
pub const MAX_PAYLOAD: usize = 4 + 1 + 4 * MAX_WORDS;

/// Bits of the address inside a unit.
pub const ADDRESS_BITS: u32 = 24;

/// Bits of a run's cycles in a status reply: what the machine counts, 22 days at 150 MHz.
pub const CYCLE_BITS: u32 = 48;

const CYCLE_BYTES: usize = CYCLE_BITS as usize / 8;

const FLAG_RUNNING: u8 = 1;
const FLAG_DONE: u8 = 2;

/// One frame, decoded but not interpreted.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Pairs a reply with its request.
    pub sequence: u32,
    /// What the frame is; [`Request::from_frame`] and [`Reply::from_frame`] know the meanings.
    pub command: u8,
    /// Zero beyond `length`, so that equality is that of the payloads.
    payload: [u8; MAX_PAYLOAD],
    length: usize,
}

/// A payload of more than [`MAX_PAYLOAD`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadTooLong;

impl fmt::Display for PayloadTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame's payload has at most {MAX_PAYLOAD} bytes")
    }
}

impl core::error::Error for PayloadTooLong {}

impl Frame {
    /// A frame with this payload.
    ///
    /// # Errors
    /// [`PayloadTooLong`] for more than [`MAX_PAYLOAD`] bytes.
    pub fn new(sequence: u32, command: u8, payload: &[u8]) -> Result<Self, PayloadTooLong> {
        let mut frame = Self::empty(sequence, command);
        frame.payload.get_mut(..payload.len()).ok_or(PayloadTooLong)?.copy_from_slice(payload);
        frame.length = payload.len();
        Ok(frame)
    }

    /// The payload's bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload[..self.length]
    }

    fn empty(sequence: u32, command: u8) -> Self {
        Self { sequence, command, payload: [0; MAX_PAYLOAD], length: 0 }
    }

    /// Appends to the payload; the callers below stay within [`MAX_PAYLOAD`] by construction.
    fn put(&mut self, bytes: &[u8]) {
        self.payload[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn put_words(&mut self, words: &Words) {
        for word in words.iter() {
            self.put(&word.to_le_bytes());
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Frame {{ sequence: {}, command: {:#04x}, payload: {:02x?} }}",
            self.sequence,
            self.command,
            self.payload()
        )
    }
}

/// Up to [`MAX_WORDS`] words of the host bus.
#[derive(Clone, PartialEq, Eq)]
pub struct Words {
    /// Zero beyond `length`, so that equality is that of the words.
    words: [u32; MAX_WORDS],
    length: usize,
}

impl Words {
    /// A copy of `words`, or `None` if there are more than [`MAX_WORDS`].
    pub fn new(words: &[u32]) -> Option<Self> {
        let mut copy = Self::zeros(words.len())?;
        copy.as_mut_slice().copy_from_slice(words);
        Some(copy)
    }

    /// `count` zero words, or `None` if that is more than [`MAX_WORDS`].
    pub fn zeros(count: usize) -> Option<Self> {
        (count <= MAX_WORDS).then_some(Self { words: [0; MAX_WORDS], length: count })
    }

    /// The words, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u32] {
        &mut self.words[..self.length]
    }

    /// From little-endian bytes; `None` unless they are whole words and not too many.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<4>();
        let mut words = Self::zeros(chunks.len())?;
        for (word, chunk) in words.as_mut_slice().iter_mut().zip(chunks) {
            *word = u32::from_le_bytes(*chunk);
        }
        rest.is_empty().then_some(words)
    }
}

impl Deref for Words {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.words[..self.length]
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// What a host asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no allocator to box the words with")]
pub enum Request {
    /// Store words at consecutive addresses.
    Write {
        /// Destination unit on the host bus.
        unit: u8,
        /// Of the first memory word, counted in words of the unit's memory; [`ADDRESS_BITS`] of it travel.
        address: u32,
        /// Words of the bus that make one word of the unit's memory, at least 1.
        chunks: u8,
        /// What to store: whole memory words, of each the lowest bits first.
        words: Words,
    },
    /// Start the program at an entry point.
    Run {
        /// Index of the entry point.
        entry: u32,
    },
    /// Read words from consecutive addresses.
    ReadVector {
        /// Source unit on the host bus.
        unit: u8,
        /// Of the first memory word, counted in words of the unit's memory; [`ADDRESS_BITS`] of it travel.
        address: u32,
        /// Words of the bus to read, at most [`MAX_WORDS`].
        count: u8,
    },
    /// How the machine and the link stand.
    Status,
    /// Make a number of runs one after the other, of which each takes in the token that the one before has chosen.
    Generate {
        /// Position of the first run.
        first: u16,
        /// How many.
        runs: u16,
    },
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no allocator to box the words with")]
pub enum Reply {
    /// Done.
    Ack,
    /// The words asked for.
    Data {
        /// As many as the request's count.
        words: Words,
    },
    /// How the machine and the link stand.
    Status {
        /// The machine.
        machine: MachineStatus,
        /// The sequence number of the last request that was accepted.
        last_sequence: u32,
    },
    /// Refused; nothing was executed.
    Error {
        /// Why.
        code: ErrorCode,
    },
}

/// How the machine stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachineStatus {
    /// A program is running.
    pub running: bool,
    /// The last started program has come to its end.
    pub done: bool,
    /// Clock cycles of the run: so far while it is running, in all when it is done. [`CYCLE_BITS`] of it travel.
    pub cycles: u64,
    /// A number that tells machines for different programs apart; 0 is unknown.
    pub identity: u32,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The device does not know the command.
    UnknownCommand,
    /// The payload does not have the command's form.
    BadPayload,
    /// Neither the next request nor the last one again.
    OutOfSequence,
    /// A code this version does not know.
    Other(u8),
}

impl ErrorCode {
    /// The byte on the wire.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::UnknownCommand => 1,
            Self::BadPayload => 2,
            Self::OutOfSequence => 3,
            Self::Other(code) => code,
        }
    }

    /// The code of a byte on the wire.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::UnknownCommand,
            2 => Self::BadPayload,
            3 => Self::OutOfSequence,
            code => Self::Other(code),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand => f.write_str("the device does not know the command"),
            Self::BadPayload => f.write_str("the payload does not have the command's form"),
            Self::OutOfSequence => f.write_str("the sequence number is not the next one"),
            Self::Other(code) => write!(f, "error code {code}"),
        }
    }
}

/// Unit and address as the machine's host bus takes them: the unit above the address.
fn bus_address(unit: u8, address: u32) -> [u8; 4] {
    let [a0, a1, a2, _] = address.to_le_bytes();
    [a0, a1, a2, unit]
}

fn address(a0: u8, a1: u8, a2: u8) -> u32 {
    u32::from_le_bytes([a0, a1, a2, 0])
}

impl Request {
    /// The request as a frame. A read of more than [`MAX_WORDS`] words makes a frame that the device refuses.
    pub fn to_frame(&self, sequence: u32) -> Frame {
        match self {
            Self::Write { unit, address, chunks, words } => {
                let mut frame = Frame::empty(sequence, WRITE);
                frame.put(&bus_address(*unit, *address));
                frame.put(&[*chunks]);
                frame.put_words(words);
                frame
            }
            Self::Run { entry } => {
                let mut frame = Frame::empty(sequence, RUN);
                frame.put(&entry.to_le_bytes());
                frame
            }
            Self::ReadVector { unit, address, count } => {
                let mut frame = Frame::empty(sequence, READ_VECTOR);
                frame.put(&bus_address(*unit, *address));
                frame.put(&[*count]);
                frame
            }
            Self::Status => Frame::empty(sequence, STATUS),
            Self::Generate { first, runs } => {
                let mut frame = Frame::empty(sequence, GENERATE);
                frame.put(&first.to_le_bytes());
                frame.put(&runs.to_le_bytes());
                frame
            }
        }
    }

    /// What a frame asks for.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownCommand`] or [`ErrorCode::BadPayload`].
    pub fn from_frame(frame: &Frame) -> Result<Self, ErrorCode> {
        match (frame.command, frame.payload()) {
            (WRITE, [a0, a1, a2, unit, chunks, words @ ..]) => {
                let words = Words::from_bytes(words).ok_or(ErrorCode::BadPayload)?;
                // Zero chunks divide nothing.
                if words.len().checked_rem(usize::from(*chunks)) != Some(0) {
                    return Err(ErrorCode::BadPayload);
                }
                Ok(Self::Write { unit: *unit, address: address(*a0, *a1, *a2), chunks: *chunks, words })
            }
            (RUN, [e0, e1, e2, e3]) => Ok(Self::Run { entry: u32::from_le_bytes([*e0, *e1, *e2, *e3]) }),
            (READ_VECTOR, [a0, a1, a2, unit, count]) if usize::from(*count) <= MAX_WORDS => {
                Ok(Self::ReadVector { unit: *unit, address: address(*a0, *a1, *a2), count: *count })
            }
            (STATUS, []) => Ok(Self::Status),
            (GENERATE, [f0, f1, r0, r1]) => {
                Ok(Self::Generate { first: u16::from_le_bytes([*f0, *f1]), runs: u16::from_le_bytes([*r0, *r1]) })
            }
            (WRITE | RUN | READ_VECTOR | STATUS | GENERATE, _) => Err(ErrorCode::BadPayload),
            _ => Err(ErrorCode::UnknownCommand),
        }
    }
}

impl Reply {
    /// The reply as a frame; `sequence` is that of the request.
    pub fn to_frame(&self, sequence: u32) -> Frame {
        match self {
            Self::Ack => Frame::empty(sequence, ACK),
            Self::Data { words } => {
                let mut frame = Frame::empty(sequence, DATA);
                frame.put_words(words);
                frame
            }
            Self::Status { machine, last_sequence } => {
                let mut frame = Frame::empty(sequence, STATUS_REPLY);
                let running = if machine.running { FLAG_RUNNING } else { 0 };
                let done = if machine.done { FLAG_DONE } else { 0 };
                frame.put(&[running | done]);
                frame.put(&machine.cycles.to_le_bytes()[..CYCLE_BYTES]);
                frame.put(&last_sequence.to_le_bytes());
                frame.put(&machine.identity.to_le_bytes());
                frame
            }
            Self::Error { code } => {
                let mut frame = Frame::empty(sequence, ERROR);
                frame.put(&[code.to_byte()]);
                frame
            }
        }
    }

    /// What a frame answers.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownCommand`] or [`ErrorCode::BadPayload`].
    pub fn from_frame(frame: &Frame) -> Result<Self, ErrorCode> {
        match (frame.command, frame.payload()) {
            (ACK, []) => Ok(Self::Ack),
            (DATA, words) => Ok(Self::Data { words: Words::from_bytes(words).ok_or(ErrorCode::BadPayload)? }),
            (STATUS_REPLY, [flags, rest @ ..]) if *flags & !(FLAG_RUNNING | FLAG_DONE) == 0 => {
                let (cycles, rest) = rest.split_first_chunk::<CYCLE_BYTES>().ok_or(ErrorCode::BadPayload)?;
                let (last, rest) = rest.split_first_chunk::<4>().ok_or(ErrorCode::BadPayload)?;
                let identity: &[u8; 4] = rest.try_into().map_err(|_| ErrorCode::BadPayload)?;
                let mut all = [0; 8];
                all[..CYCLE_BYTES].copy_from_slice(cycles);
                let machine = MachineStatus {
                    running: flags & FLAG_RUNNING != 0,
                    done: flags & FLAG_DONE != 0,
                    cycles: u64::from_le_bytes(all),
                    identity: u32::from_le_bytes(*identity),
                };
                Ok(Self::Status { machine, last_sequence: u32::from_le_bytes(*last) })
            }
            (ERROR, [code]) => Ok(Self::Error { code: ErrorCode::from_byte(*code) }),
            (ACK | STATUS_REPLY | ERROR, _) => Err(ErrorCode::BadPayload),
            _ => Err(ErrorCode::UnknownCommand),
        }
    }
}
