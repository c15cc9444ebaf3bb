//! The machine's end of the link.

use crate::codec::{Decoder, MAX_ENCODED, encode};
use crate::frame::{ErrorCode, Frame, MachineStatus, Reply, Request, Words};

/// What the link does to the LPU. Units and addresses are those of its host bus; what a unit ignores is its own affair.
pub trait Machine {
    /// Stores `words` at `address` and the addresses after it.
    fn write(&mut self, unit: u8, address: u32, words: &[u32]);
    /// Starts the program at an entry point and returns while it runs.
    fn start(&mut self, entry: u8);
    /// How it stands.
    fn status(&mut self) -> MachineStatus;
    /// Reads from `address` and the addresses after it into `words`.
    fn read(&mut self, unit: u8, address: u32, words: &mut [u32]);
}

/// Decodes requests, executes each once, answers.
pub struct Device<M> {
    machine: M,
    decoder: Decoder,
    last_sequence: u32,
    /// The reply to the request `last_sequence`, if there was one.
    kept: Option<Reply>,
    answer: [u8; MAX_ENCODED],
}

impl<M: Machine> Device<M> {
    /// A device whose last sequence number is 0, with no reply to repeat.
    pub const fn new(machine: M) -> Self {
        Self { machine, decoder: Decoder::new(), last_sequence: 0, kept: None, answer: [0; MAX_ENCODED] }
    }

    /// Takes one byte from the host. When it completes a request, gives the bytes to send back. Damaged frames get no answer:
    /// the host repeats what it hears nothing about.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        let frame = self.decoder.push(byte)?.ok()?;
        let reply = self.handle(&frame);
        let length = encode(&reply.to_frame(frame.sequence), &mut self.answer).ok()?;
        Some(&self.answer[..length])
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to be changed.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    fn handle(&mut self, frame: &Frame) -> Reply {
        let ahead = frame.sequence.wrapping_sub(self.last_sequence);
        let request = Request::from_frame(frame);
        let accepted = match (ahead, &request) {
            (1, _) => true,
            // Ahead of everything accepted so far: what was sent before it is stale from now on.
            (2..=0x7fff_ffff, Ok(Request::Status)) => true,
            (0, Ok(Request::Status)) if self.kept.is_none() => false,
            (0, _) => return self.kept.clone().unwrap_or(Reply::Error { code: ErrorCode::OutOfSequence }),
            (_, Ok(Request::Status)) => false,
            _ => return Reply::Error { code: ErrorCode::OutOfSequence },
        };
        if accepted {
            self.last_sequence = frame.sequence;
        }
        let reply = match request {
            Ok(request) => self.execute(&request),
            Err(code) => Reply::Error { code },
        };
        if accepted {
            self.kept = Some(reply.clone());
        }
        reply
    }

    fn execute(&mut self, request: &Request) -> Reply {
        match request {
            Request::Write { unit, address, words } => {
                self.machine.write(*unit, *address, words);
                Reply::Ack
            }
            Request::Run { entry } => {
                self.machine.start(*entry);
                Reply::Ack
            }
            Request::ReadVector { unit, address, count } => match Words::zeros(usize::from(*count)) {
                Some(mut words) => {
                    self.machine.read(*unit, *address, words.as_mut_slice());
                    Reply::Data { words }
                }
                None => Reply::Error { code: ErrorCode::BadPayload },
            },
            Request::Status => Reply::Status { machine: self.machine.status(), last_sequence: self.last_sequence },
        }
    }
}
