//! The machine's end of the link.

use crate::codec::{Decoder, MAX_ENCODED, encode};
use crate::frame::{ErrorCode, Frame, MachineStatus, Reply, Request, Words};
use crate::wire::GENERATE;

/// What the link does to the LPU. Units and addresses are those of its host bus; what a unit ignores is its own affair.
pub trait Machine {
    /// Stores `words` at `address` and the addresses after it, `chunks` of them in each word of the unit's memory; they are
    /// whole memory words.
    fn write(&mut self, unit: u8, address: u32, chunks: u8, words: &[u32]);
    /// Starts the program at an entry point and returns while it runs.
    fn start(&mut self, entry: u32);
    /// Does the machine generate tokens by itself? One that does not does not know the request.
    fn generates(&self) -> bool {
        false
    }
    /// Begins with `runs` runs from position `first` on and returns while they are made.
    fn generate(&mut self, _first: u16, _runs: u16) {}
    /// How it stands.
    fn status(&mut self) -> MachineStatus;
    /// Reads from `address` and the addresses after it into `words`, which are zero before. The last memory word may be read
    /// in part.
    fn read(&mut self, unit: u8, address: u32, words: &mut [u32]);
}

/// Decodes requests, executes each once, answers.
pub struct Device<M> {
    machine: M,
    decoder: Decoder,
    last_sequence: u32,
    /// Whether `last_sequence` is that of a request.
    begun: bool,
    answer: [u8; MAX_ENCODED],
}

impl<M: Machine> Device<M> {
    /// A device whose last sequence number is 0, which no request has had yet.
    pub const fn new(machine: M) -> Self {
        Self { machine, decoder: Decoder::new(), last_sequence: 0, begun: false, answer: [0; MAX_ENCODED] }
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
        let request = match Request::from_frame(frame) {
            Ok(Request::Generate { .. }) if !self.machine.generates() => Err(ErrorCode::UnknownCommand),
            Err(_) if frame.command == GENERATE && !self.machine.generates() => Err(ErrorCode::UnknownCommand),
            request => request,
        };
        let next = ahead == 1;
        let repeated = ahead == 0 && self.begun;
        let status = matches!(request, Ok(Request::Status));
        // A status request ahead of everything accepted so far makes what was sent before it stale.
        if next || status && ahead < 1 << 31 {
            self.last_sequence = frame.sequence;
            self.begun = true;
        }
        if !(next || repeated || status) {
            return Reply::Error { code: ErrorCode::OutOfSequence };
        }
        match request {
            Ok(request) => self.answer(&request, next),
            Err(code) => Reply::Error { code },
        }
    }

    /// The reply to a request, which changes the machine only if `execute` is set.
    fn answer(&mut self, request: &Request, execute: bool) -> Reply {
        match request {
            Request::Write { unit, address, chunks, words } => {
                if execute {
                    self.machine.write(*unit, *address, *chunks, words);
                }
                Reply::Ack
            }
            Request::Run { entry } => {
                if execute {
                    self.machine.start(*entry);
                }
                Reply::Ack
            }
            Request::Generate { first, runs } => {
                if execute {
                    self.machine.generate(*first, *runs);
                }
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
