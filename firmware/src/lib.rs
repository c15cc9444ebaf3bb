//! The host link of an LPU: how a host loads programs and weights, starts a run and reads results over any byte stream, and the
//! state machines of both ends. No operating system, no allocation.
//!
//! The simulated host port and a UART on a board speak the same frames: [`Driver`] runs on the host over a [`Link`],
//! [`Device`] runs beside the LPU and turns requests into calls of a [`Machine`].
//!
//! ```
//! use lpu_firmware::{Decoder, Frame, MAX_ENCODED, Request, encode};
//!
//! let request = Request::Run { entry: 2 };
//! let mut wire = [0; MAX_ENCODED];
//! let length = encode(&request.to_frame(7), &mut wire).unwrap();
//!
//! let mut decoder = Decoder::new();
//! let mut received = wire[..length].iter().filter_map(|&byte| decoder.push(byte));
//! let frame: Frame = received.next().unwrap().unwrap();
//! assert_eq!(frame.sequence, 7);
//! assert_eq!(Request::from_frame(&frame), Ok(request));
//! ```
//!
//! # The frame
//! All numbers are little-endian.
//!
//! | bytes | field | meaning |
//! | --- | --- | --- |
//! | 0–3 | sequence | chosen by the host; a reply carries that of its request |
//! | 4 | command | see below |
//! | 5 | length | bytes of the frame before the check: 6 and the payload's, which is at most [`MAX_PAYLOAD`] |
//! | 6… | payload | |
//! | last 4 | check | CRC-32 (ISO-HDLC, the one of zip and Ethernet) of everything before it |
//!
//! On the wire a frame is COBS-encoded (consistent overhead byte stuffing: no byte of it is zero, two bytes longer at most)
//! and stands between two zero bytes. A zero therefore always is a boundary: after garbage, a lost byte or a lost boundary, the
//! receiver is in step again at the next zero and loses at most the frame that was hit. A flipped bit in the data is always
//! found by the check; one that damages the framing is found by length and check, short of a coincidence of 1 in 2³².
//!
//! | request | command | payload | reply |
//! | --- | --- | --- | --- |
//! | write | `01` | address (3), unit (1), chunks (1), words (4 each) | ack |
//! | run | `02` | entry point (4) | ack, at once: the run goes on |
//! | read vector | `03` | address (3), unit (1), count (1, at most [`MAX_WORDS`]) | data |
//! | status | `04` | – | status |
//! | generate | `05` | first position (2), number of runs (2) | ack, at once: the runs go on; only machines that can know the request |
//!
//! | reply | command | payload |
//! | --- | --- | --- |
//! | ack | `81` | – |
//! | data | `82` | words (4 each) |
//! | status | `83` | flags (1; bit 0 running, bit 1 done), cycles of the run (6), last accepted sequence (4), identity (4) |
//! | error | `84` | code (1, see [`ErrorCode`]) |
//!
//! A *word* is one word of the machine's host bus, 32 bits. A unit's memory may be wider: `chunks` (at least 1) words of the bus
//! make one word of it, the lowest bits first, and a write carries whole memory words, 0 to [`MAX_WORDS`] words of the bus. An
//! address counts words of the unit's memory. *Identity* is a number by which a program knows whether the machine is the one
//! that it was made for.
//!
//! # Exactly once
//! The host has one request under way. It repeats it, with the same sequence number, until the reply comes or its patience
//! ends. The device keeps the last accepted sequence number:
//!
//! | the request's sequence number is | the device |
//! | --- | --- |
//! | last + 1 | accepts: the number becomes the last, whatever the request; executes, answers |
//! | last | answers; does not execute a write, a run or a generation again. Reads and status change nothing: it makes them anew |
//! | anything else, a status request | answers; if the number is ahead of last (by less than 2³¹), it becomes the last |
//! | anything else | answers [`ErrorCode::OutOfSequence`], executes nothing |
//!
//! A device that has accepted nothing yet has the last number 0, and no request is its repetition.
//!
//! So a repeated, delayed or reordered request is executed once or not at all. A status request that jumps ahead makes
//! everything sent before it stale: that is how a host starts, and how it goes on after it gave up on a request.
//!
//! A device may be deaf from the end of a request to the end of its answer, as the one in the FPGA is. What the host sends in
//! that time is lost and sent again.
//!
//! | file | concept |
//! | --- | --- |
//! | `frame.rs` | frames, requests, replies |
//! | `wire.rs` | the numbers on the wire |
//! | `codec.rs` | check, byte stuffing, streaming decoder |
//! | `driver.rs` | the host's end |
//! | `device.rs` | the machine's end |

#![no_std]
#![forbid(unsafe_code)]

mod codec;
mod device;
mod driver;
mod frame;
pub mod wire;

pub use codec::{BufferTooSmall, Decoder, FrameError, MAX_ENCODED, encode};
pub use device::{Device, Machine};
pub use driver::{Driver, DriverError, Link, Patience};
pub use frame::{
    ADDRESS_BITS, CYCLE_BITS, ErrorCode, Frame, MAX_PAYLOAD, MAX_WORDS, MachineStatus, PayloadTooLong, Reply, Request,
    Words,
};
