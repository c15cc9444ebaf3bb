//! The host's end of a serial line, beside the pins of a Verilated model; the loop over the clocks is C++ in the model.

use crate::verilated::{Model, ModelError};

/// The C++ that a model must be built with: [`Source::extra_cpp`](crate::verilated::Source::extra_cpp).
pub const CPP: &str = include_str!("line.cpp");

/// Times of the line are counted in this part of a clock.
const ONE: f64 = 65536.0;
/// Room for received bytes in one call.
const CAPACITY: usize = 1024;
/// Bytes sent in one call.
const MOST_SENT: usize = 1024;
/// Fewest clocks a bit: the sender and the receiver need to tell its middle from its ends.
pub const LEAST_CLOCKS_A_BIT: f64 = 2.0;

/// Indices of the words that the loop shares; `line.cpp` says what each is.
const BIT_TIME: usize = 0;
const LIMIT: usize = 1;
const UNTIL_RECEIVED: usize = 2;
const SEND_COUNT: usize = 3;
const SENT: usize = 4;
const ROOM: usize = 5;
const RECEIVED: usize = 6;
const CLOCKS: usize = 7;
const STARTS: usize = 8;
const BROKEN: usize = 9;
const RX_PORT: usize = 15;
const TX_PORT: usize = 16;
const AREA: usize = 17;

/// One byte to be sent, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The byte.
    pub byte: u8,
    /// Is its stop bit low, as after a disturbance or at the wrong rate?
    pub broken: bool,
    /// Bits of silence before it.
    pub pause: u16,
}

impl From<u8> for Symbol {
    fn from(byte: u8) -> Symbol {
        Symbol { byte, broken: false, pause: 0 }
    }
}

impl Symbol {
    fn word(self) -> u32 {
        u32::from(self.byte) | u32::from(self.broken) << 8 | u32::from(self.pause) << 16
    }
}

/// The host's end: eight data bits, no parity, one stop bit.
pub struct Line {
    model: Model,
    words: Vec<u32>,
    received: Vec<u8>,
}

impl Line {
    /// A line at the pins `rx` (into the model) and `tx` (out of it), `clocks` of the model a bit. It is idle.
    ///
    /// # Errors
    /// A model without these pins or without [`CPP`]; fewer than [`LEAST_CLOCKS_A_BIT`] clocks a bit.
    pub fn new(mut model: Model, rx: &str, tx: &str, clocks: f64) -> Result<Line, ModelError> {
        let mut words = vec![0; AREA];
        words[RX_PORT] = model.port(rx)?.number();
        words[TX_PORT] = model.port(tx)?.number();
        // High is idle; the model must not begin with a start bit.
        let pin = model.port(rx)?;
        model.set(pin, 1);
        let mut line = Line { model, words, received: Vec::new() };
        line.set_clocks_a_bit(clocks)?;
        Ok(line)
    }

    /// Changes the length of the host's bits, to what need not be the model's own.
    ///
    /// # Errors
    /// Fewer than [`LEAST_CLOCKS_A_BIT`] clocks, or more than 16,384.
    pub fn set_clocks_a_bit(&mut self, clocks: f64) -> Result<(), ModelError> {
        if !(LEAST_CLOCKS_A_BIT..=16384.0).contains(&clocks) {
            let what = format!("a bit of {clocks} clocks; it must be {LEAST_CLOCKS_A_BIT} to 16384");
            return Err(ModelError::Shape { what });
        }
        self.words[BIT_TIME] = (clocks * ONE) as u32;
        Ok(())
    }

    /// The model, to be looked at between transfers.
    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    /// Clocks since the model was made.
    pub fn clocks(&self) -> u64 {
        self.model.cycles()
    }

    /// Clocks so far in which the first observed signal was not zero: for a board, the runs started.
    pub fn starts(&self) -> u32 {
        self.words[STARTS]
    }

    /// Bytes received so far whose stop bit was low. They are dropped.
    pub fn broken(&self) -> u32 {
        self.words[BROKEN]
    }

    /// Sends, and keeps what comes back meanwhile.
    ///
    /// # Errors
    /// A failing model.
    pub fn send(&mut self, symbols: &[Symbol]) -> Result<(), ModelError> {
        for part in symbols.chunks(MOST_SENT) {
            let mut left: Vec<u32> = part.iter().map(|symbol| symbol.word()).collect();
            // A call ends early where it has no more room for what comes back.
            while !left.is_empty() {
                let sent = self.run(&mut left, u32::MAX, false)?;
                left.drain(..sent);
            }
        }
        Ok(())
    }

    /// Lets `clocks` pass, or fewer if something is received before.
    ///
    /// # Errors
    /// A failing model.
    pub fn wait(&mut self, clocks: u32) -> Result<(), ModelError> {
        self.run(&mut Vec::new(), clocks, true).map(drop)
    }

    /// What has been received since the last call.
    pub fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// One call of the loop. Returns how many of `send` have been sent to the end.
    fn run(&mut self, send: &mut [u32], limit: u32, until_received: bool) -> Result<usize, ModelError> {
        let words = &mut self.words;
        words.truncate(AREA);
        words.extend_from_slice(send);
        words.resize(AREA + send.len() + CAPACITY, 0);
        words[LIMIT] = limit;
        words[UNTIL_RECEIVED] = u32::from(until_received);
        words[SEND_COUNT] = send.len() as u32;
        words[ROOM] = CAPACITY as u32;
        for index in [SENT, RECEIVED, CLOCKS] {
            words[index] = 0;
        }
        let status = self.model.call("lpu_line", words)?;
        let sent = words[SENT] as usize;
        if status != 0 {
            let text: Vec<u8> = words[AREA..].iter().flat_map(|word| word.to_le_bytes()).take(sent).collect();
            return Err(ModelError::Fault { reason: String::from_utf8_lossy(&text).into_owned() });
        }
        // A pause that was under way has been counted down in the area.
        send.copy_from_slice(&words[AREA..AREA + send.len()]);
        let area = AREA + send.len();
        self.received.extend(words[area..area + words[RECEIVED] as usize].iter().map(|&word| word as u8));
        Ok(sent)
    }
}
