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
//! | 5–6 | length | bytes of payload, 0 to [`MAX_PAYLOAD`] |
//! | 7… | payload | |
//! | last 4 | check | CRC-32 (ISO-HDLC, the one of zip and Ethernet) of everything before it |
//!
//! On the wire a frame is COBS-encoded (consistent overhead byte stuffing: no byte of it is zero, two bytes longer at most)
//! and stands between two zero bytes. A zero therefore always is a boundary: after garbage, a lost byte or a lost boundary, the
//! receiver is in step again at the next zero and loses at most the frame that was hit. A flipped bit in the data is always
//! found by the check; one that damages the framing is found by length and check, short of a coincidence of 1 in 2³².
//!
//! | request | command | payload | reply |
//! | --- | --- | --- | --- |
//! | write | `01` | unit (1), address (4), 0 to [`MAX_WORDS`] words (4 each) | ack |
//! | run | `02` | entry point (1) | ack, at once: the run goes on |
//! | read vector | `03` | unit (1), address (4), count (1, at most [`MAX_WORDS`]) | data |
//! | status | `04` | – | status |
//!
//! | reply | command | payload |
//! | --- | --- | --- |
//! | ack | `81` | – |
//! | data | `82` | words (4 each) |
//! | status | `83` | flags (1; bit 0 running, bit 1 done), cycles of the run (8), last accepted sequence (4) |
//! | error | `84` | code (1, see [`ErrorCode`]) |
//!
//! A *word* is one word of the machine's host bus. An address counts bus words of its unit.
//!
//! # Exactly once
//! The host has one request under way. It repeats it, with the same sequence number, until the reply comes or its patience
//! ends. The device keeps the last accepted sequence number and the reply to it:
//!
//! | the request's sequence number is | the device |
//! | --- | --- |
//! | last + 1 | executes, keeps the reply, sends it |
//! | last | sends the kept reply, executes nothing |
//! | anything else, a status request | answers; if the number is ahead of last (by less than 2³¹), it becomes the last |
//! | anything else | answers [`ErrorCode::OutOfSequence`], executes nothing |
//!
//! So a repeated, delayed or reordered request is executed once or not at all. A status request that jumps ahead makes
//! everything sent before it stale: that is how a host starts, and how it goes on after it gave up on a request.
//!
//! | file | concept |
//! | --- | --- |
//! | `frame.rs` | frames, requests, replies |
//! | `codec.rs` | check, byte stuffing, streaming decoder |
//! | `driver.rs` | the host's end |
//! | `device.rs` | the machine's end |

#![no_std]
#![forbid(unsafe_code)]

mod codec;
mod device;
mod driver;
mod frame;

pub use codec::{BufferTooSmall, Decoder, FrameError, MAX_ENCODED, encode};
pub use device::{Device, Machine};
pub use driver::{Driver, DriverError, Link, Patience};
pub use frame::{ErrorCode, Frame, MAX_PAYLOAD, MAX_WORDS, MachineStatus, PayloadTooLong, Reply, Request, Words};
