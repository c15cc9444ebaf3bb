//! The host's end of the link.

use core::fmt;

use crate::codec::{Decoder, MAX_ENCODED, encode};
use crate::frame::{ADDRESS_BITS, ErrorCode, MAX_WORDS, MachineStatus, Reply, Request, Words};

/// A stream of bytes to a device and back. It may lose, damage, repeat and delay what it carries.
pub trait Link {
    /// Why the stream cannot be used at all.
    type Error;

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The stream is broken.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Receives some bytes and returns how many. Zero means that none came within the time the link is willing to wait, which
    /// should exceed the time a device takes for an answer.
    ///
    /// # Errors
    /// The stream is broken.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;
}

/// When a driver gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often a request is sent again after the first time.
    pub retries: u32,
    /// After how many empty reads in a row it is sent again, at least 1.
    pub empty_reads: u32,
    /// After how many bytes without an answer among them it is sent again.
    pub bytes: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { retries: 16, empty_reads: 1, bytes: 16 * MAX_ENCODED }
    }
}

/// A request was not carried out, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverError<E> {
    /// The link itself failed.
    Link(E),
    /// No usable answer. The last request may or may not have been executed; the next one first makes it stale.
    NoAnswer {
        /// How often it was sent.
        sent: u32,
    },
    /// The device refused the request and executed nothing.
    Refused(ErrorCode),
    /// The device answered something that is no answer to this request.
    Unexpected,
    /// The words would reach beyond the last address.
    AddressOverflow {
        /// Of the first memory word.
        address: u32,
        /// How many memory words.
        count: usize,
    },
    /// The words are not whole memory words, or no request holds one.
    BrokenWord {
        /// Words of the bus in a memory word.
        chunks: u8,
        /// Words of the bus given.
        count: usize,
    },
    /// No runs at all, or runs beyond the last position that a request can name.
    Runs {
        /// Position of the first.
        first: u32,
        /// How many.
        runs: u32,
    },
}

impl<E: fmt::Display> fmt::Display for DriverError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(error) => write!(f, "the link to the device failed: {error}"),
            Self::NoAnswer { sent } => write!(f, "the device did not answer (sent {sent} times)"),
            Self::Refused(code) => write!(f, "the device refused the request: {code}"),
            Self::Unexpected => f.write_str("the device sent an answer of the wrong kind"),
            Self::AddressOverflow { address, count } => {
                write!(f, "{count} words from address {address} reach beyond the last address")
            }
            Self::Runs { first, runs } => {
                write!(
                    f,
                    "{runs} runs from position {first} on: it must be 1 at least, and the last position {} at most",
                    u16::MAX
                )
            }
            Self::BrokenWord { chunks, count } => {
                write!(f, "{count} words of the bus are not whole memory words of 1 to {MAX_WORDS} each, here {chunks}")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for DriverError<E> {}

/// How far ahead of the device's sequence number a driver begins: more than any earlier one can have under way.
const JUMP: u32 = 1 << 16;

/// How often the driver looks for a sequence number that the device accepts as a new beginning. The second is right unless
/// another driver is at work.
const SYNCHRONISATIONS: u32 = 4;

/// Loads, runs and reads an LPU over a [`Link`].
///
/// One request is under way at a time. What a method returns `Ok` for was executed exactly once.
pub struct Driver<L> {
    link: L,
    patience: Patience,
    decoder: Decoder,
    /// The last sequence number used.
    sequence: u32,
    /// Whether the device has accepted `sequence` as its last.
    synchronised: bool,
}

impl<L: Link> Driver<L> {
    /// A driver that will look for the device at its first request.
    pub const fn new(link: L, patience: Patience) -> Self {
        Self { link, patience, decoder: Decoder::new(), sequence: 0, synchronised: false }
    }

    /// Stores `words` at `address` and the addresses after it, `chunks` of them in each word of the unit's memory, the lowest
    /// bits first; as many whole memory words a request as fit.
    ///
    /// # Errors
    /// [`DriverError`]; the words of earlier requests are then stored already.
    pub fn load(&mut self, unit: u8, address: u32, chunks: u8, words: &[u32]) -> Result<(), DriverError<L::Error>> {
        let step = memory_words_a_request(address, chunks, words.len())?;
        for (part, address) in words.chunks(step * usize::from(chunks)).zip((address..).step_by(step)) {
            // A part is never too long.
            let Some(words) = Words::new(part) else { return Err(DriverError::Unexpected) };
            self.expect_ack(&Request::Write { unit, address, chunks, words })?;
        }
        Ok(())
    }

    /// Starts the program at an entry point. It has been started, not finished, when this returns.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn run(&mut self, entry: u32) -> Result<(), DriverError<L::Error>> {
        self.expect_ack(&Request::Run { entry })
    }

    /// Begins with `runs` runs from position `first` on, of which each takes in the token that the one before has chosen. They have been
    /// begun, not finished, when this returns.
    ///
    /// # Errors
    /// [`DriverError`]: [`Refused`](DriverError::Refused) with [`ErrorCode::UnknownCommand`] by a machine that cannot.
    pub fn generate(&mut self, first: u32, runs: u32) -> Result<(), DriverError<L::Error>> {
        let last = runs.checked_sub(1).and_then(|more| first.checked_add(more));
        let halves = (u16::try_from(first), u16::try_from(runs), last.map(u16::try_from));
        let (Ok(first), Ok(runs), Some(Ok(_))) = halves else { return Err(DriverError::Runs { first, runs }) };
        self.expect_ack(&Request::Generate { first, runs })
    }

    /// How the machine stands.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn status(&mut self) -> Result<MachineStatus, DriverError<L::Error>> {
        match self.request(&Request::Status)? {
            Reply::Status { machine, .. } => Ok(machine),
            _ => Err(DriverError::Unexpected),
        }
    }

    /// Reads from `address` and the addresses after it until `words` is full, `chunks` of them from each word of the unit's
    /// memory; as many whole memory words a request as fit.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn read_vector(
        &mut self,
        unit: u8,
        address: u32,
        chunks: u8,
        words: &mut [u32],
    ) -> Result<(), DriverError<L::Error>> {
        let step = memory_words_a_request(address, chunks, words.len())?;
        for (part, address) in words.chunks_mut(step * usize::from(chunks)).zip((address..).step_by(step)) {
            // MAX_WORDS fits the field.
            let request = Request::ReadVector { unit, address, count: part.len() as u8 };
            match self.request(&request)? {
                Reply::Data { words } if words.len() == part.len() => part.copy_from_slice(&words),
                _ => return Err(DriverError::Unexpected),
            }
        }
        Ok(())
    }

    /// The link.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Gives the link back.
    pub fn into_link(self) -> L {
        self.link
    }

    fn expect_ack(&mut self, request: &Request) -> Result<(), DriverError<L::Error>> {
        match self.request(request)? {
            Reply::Ack => Ok(()),
            _ => Err(DriverError::Unexpected),
        }
    }

    fn request(&mut self, request: &Request) -> Result<Reply, DriverError<L::Error>> {
        if !self.synchronised {
            self.synchronise()?;
        }
        self.sequence = self.sequence.wrapping_add(1);
        // Until an answer proves it, the device may not have got this far.
        self.synchronised = false;
        let reply = self.exchange(request)?;
        match reply {
            Reply::Error { code: ErrorCode::OutOfSequence } => Err(DriverError::Refused(ErrorCode::OutOfSequence)),
            Reply::Error { code } => {
                self.synchronised = true;
                Err(DriverError::Refused(code))
            }
            reply => {
                self.synchronised = true;
                Ok(reply)
            }
        }
    }

    /// Jumps ahead of everything this driver ever sent and, if the device is further still, of the device.
    fn synchronise(&mut self) -> Result<(), DriverError<L::Error>> {
        for _ in 0..SYNCHRONISATIONS {
            self.sequence = self.sequence.wrapping_add(JUMP);
            let Reply::Status { last_sequence, .. } = self.exchange(&Request::Status)? else { continue };
            if last_sequence == self.sequence {
                self.synchronised = true;
                return Ok(());
            }
            self.sequence = last_sequence;
        }
        Err(DriverError::Refused(ErrorCode::OutOfSequence))
    }

    /// Sends a request under the current sequence number until its reply comes.
    fn exchange(&mut self, request: &Request) -> Result<Reply, DriverError<L::Error>> {
        let mut wire = [0; MAX_ENCODED];
        let length = encode(&request.to_frame(self.sequence), &mut wire).map_err(|_| DriverError::Unexpected)?;
        for _ in 0..=self.patience.retries {
            self.link.write(&wire[..length]).map_err(DriverError::Link)?;
            if let Some(reply) = self.receive()? {
                return Ok(reply);
            }
        }
        Err(DriverError::NoAnswer { sent: self.patience.retries.saturating_add(1) })
    }

    /// The reply to the current sequence number; `None` when it is time to send again: silence, or something damaged that may
    /// have been the reply. Replies to earlier requests are passed over.
    fn receive(&mut self) -> Result<Option<Reply>, DriverError<L::Error>> {
        let (mut empty, mut bytes) = (0, 0);
        let mut buffer = [0; MAX_ENCODED];
        while empty < self.patience.empty_reads.max(1) && bytes < self.patience.bytes {
            let count = self.link.read(&mut buffer).map_err(DriverError::Link)?.min(buffer.len());
            empty = if count == 0 { empty + 1 } else { 0 };
            bytes += count;
            let mut found = None;
            let mut damaged = false;
            // All bytes go to the decoder, also those behind the answer: they may begin the next frame.
            for &byte in &buffer[..count] {
                match self.decoder.push(byte) {
                    Some(Ok(frame)) if frame.sequence == self.sequence && found.is_none() => {
                        found = Reply::from_frame(&frame).ok();
                    }
                    Some(Err(_)) => damaged = true,
                    _ => {}
                }
            }
            if found.is_some() || damaged {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// How many memory words of `chunks` bus words a request carries, at least one, if `count` bus words are whole memory words and
/// the last one's address exists.
fn memory_words_a_request<E>(address: u32, chunks: u8, count: usize) -> Result<usize, DriverError<E>> {
    let chunk_count = usize::from(chunks);
    let step = MAX_WORDS.checked_div(chunk_count).unwrap_or(0);
    if step == 0 || !count.is_multiple_of(chunk_count) {
        return Err(DriverError::BrokenWord { chunks, count });
    }
    let memory_words = count / chunk_count;
    let end = u32::try_from(memory_words).ok().and_then(|span| address.checked_add(span));
    match end {
        Some(end) if end <= 1 << ADDRESS_BITS => Ok(step),
        _ => Err(DriverError::AddressOverflow { address, count: memory_words }),
    }
}
