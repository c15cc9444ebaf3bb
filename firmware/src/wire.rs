//! The numbers on the wire, for both ends and for the hardware that is the device's end on a board.

/// Command of a write request.
pub const WRITE: u8 = 0x01;
/// Command of a run request.
pub const RUN: u8 = 0x02;
/// Command of a read request.
pub const READ_VECTOR: u8 = 0x03;
/// Command of a status request.
pub const STATUS: u8 = 0x04;
/// Command of a request to generate tokens. Only machines that can know it.
pub const GENERATE: u8 = 0x05;
/// The bit that tells a reply's command from a request's.
pub const REPLY: u8 = 0x80;
/// Command of an acknowledgement.
pub const ACK: u8 = REPLY | 1;
/// Command of a reply with words.
pub const DATA: u8 = REPLY | 2;
/// Command of a status reply.
pub const STATUS_REPLY: u8 = REPLY | 3;
/// Command of an error reply.
pub const ERROR: u8 = REPLY | 4;

/// Bytes before the payload: sequence, command, length.
pub const HEADER: usize = 6;
/// Bytes behind the payload.
pub const CHECK: usize = 4;
/// Bytes of the payload of a status reply: flags, cycles, last sequence, identity.
pub const STATUS_BYTES: usize = 1 + crate::CYCLE_BITS as usize / 8 + 4 + 4;
