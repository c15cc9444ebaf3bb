//! From frames to bytes and back: check, byte stuffing, streaming decoder.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};

use crate::frame::{Frame, MAX_PAYLOAD};
use crate::wire::{CHECK, HEADER};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const MAX_BODY: usize = HEADER + MAX_PAYLOAD + CHECK;
const _: () = assert!(MAX_BODY <= u8::MAX as usize, "a position in a frame fits a byte");

/// A stuffed block carries at most this many bytes.
const MAX_BLOCK: usize = 254;
const MAX_STUFFED: usize = MAX_BODY + MAX_BODY / MAX_BLOCK + 1;

/// Most bytes of a frame on the wire, with the zero in front and the one behind.
pub const MAX_ENCODED: usize = MAX_STUFFED + 2;

/// The slice for an encoded frame is shorter than the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is shorter than the encoded frame ({MAX_ENCODED} bytes are always enough)")
    }
}

impl core::error::Error for BufferTooSmall {}

/// What was received between two boundaries is not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// More bytes than any frame has.
    TooLong,
    /// The byte stuffing leads beyond the end.
    Stuffing,
    /// Fewer bytes than a frame without payload has, or not as many as its length field says.
    Length,
    /// The CRC-32 does not match.
    Check,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "more bytes than a frame can have",
            Self::Stuffing => "the byte stuffing is damaged",
            Self::Length => "the length does not match",
            Self::Check => "the CRC-32 does not match",
        })
    }
}

impl core::error::Error for FrameError {}

/// Writes a frame as it goes over the wire and returns the number of bytes, at most [`MAX_ENCODED`].
///
/// # Errors
/// [`BufferTooSmall`]; the buffer's content is then undefined.
pub fn encode(frame: &Frame, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let mut body = [0; MAX_BODY];
    let payload = frame.payload();
    let end = HEADER + payload.len();
    body[..4].copy_from_slice(&frame.sequence.to_le_bytes());
    body[4] = frame.command;
    // MAX_BODY fits a byte.
    body[5] = end as u8;
    body[HEADER..end].copy_from_slice(payload);
    let check = CRC.checksum(&body[..end]);
    body[end..end + CHECK].copy_from_slice(&check.to_le_bytes());

    let mut writer = Writer { buffer, at: 0 };
    writer.put(0)?;
    stuff(&body[..end + CHECK], &mut writer)?;
    writer.put(0)?;
    Ok(writer.at)
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, byte: u8) -> Result<(), BufferTooSmall> {
        *self.buffer.get_mut(self.at).ok_or(BufferTooSmall)? = byte;
        self.at += 1;
        Ok(())
    }
}

/// Each block is its length plus one, then its bytes; between blocks stands a zero unless the block is full.
fn stuff(body: &[u8], writer: &mut Writer<'_>) -> Result<(), BufferTooSmall> {
    let mut rest = body;
    loop {
        let block = rest.iter().take(MAX_BLOCK).take_while(|&&byte| byte != 0).count();
        writer.put(block as u8 + 1)?;
        for &byte in &rest[..block] {
            writer.put(byte)?;
        }
        rest = &rest[block..];
        match (rest.first(), block == MAX_BLOCK) {
            (None, _) => return Ok(()),
            (Some(_), true) => {}
            (Some(_), false) => rest = &rest[1..],
        }
    }
}

/// Undoes [`stuff`] in place and returns the body's length.
fn unstuff(bytes: &mut [u8]) -> Result<usize, FrameError> {
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        let block = usize::from(bytes[from]).checked_sub(1).ok_or(FrameError::Stuffing)?;
        from += 1;
        if from + block > bytes.len() {
            return Err(FrameError::Stuffing);
        }
        bytes.copy_within(from..from + block, to);
        from += block;
        to += block;
        if block < MAX_BLOCK && from < bytes.len() {
            bytes[to] = 0;
            to += 1;
        }
    }
    Ok(to)
}

/// Finds frames in a stream of bytes.
///
/// It starts in step with a stream that starts, and is in step with any other after the first zero byte.
#[derive(Debug, Clone)]
pub struct Decoder {
    buffer: [u8; MAX_STUFFED],
    /// Bytes since the last boundary, counted on when they no longer fit.
    received: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub const fn new() -> Self {
        Self { buffer: [0; MAX_STUFFED], received: 0 }
    }

    /// Takes one byte. A zero that ends something gives the frame, or what is wrong with it; everything else gives nothing.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame, FrameError>> {
        if byte != 0 {
            if let Some(slot) = self.buffer.get_mut(self.received) {
                *slot = byte;
            }
            self.received = self.received.saturating_add(1);
            return None;
        }
        let received = core::mem::take(&mut self.received);
        match received {
            0 => None,
            1..=MAX_STUFFED => Some(parse(&mut self.buffer[..received])),
            _ => Some(Err(FrameError::TooLong)),
        }
    }
}

fn parse(bytes: &mut [u8]) -> Result<Frame, FrameError> {
    let length = unstuff(bytes)?;
    let body = &bytes[..length];
    let (content, check) = body.split_last_chunk::<CHECK>().ok_or(FrameError::Length)?;
    let (header, payload) = content.split_first_chunk::<HEADER>().ok_or(FrameError::Length)?;
    let [s0, s1, s2, s3, command, length] = *header;
    if usize::from(length) != content.len() {
        return Err(FrameError::Length);
    }
    if CRC.checksum(content) != u32::from_le_bytes(*check) {
        return Err(FrameError::Check);
    }
    Frame::new(u32::from_le_bytes([s0, s1, s2, s3]), command, payload).map_err(|_| FrameError::Length)
}
