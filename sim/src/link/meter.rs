//! Counting what goes over a link.

use lpu_firmware::Link;
use std::collections::VecDeque;

/// Received bytes that are kept for an account of what answers.
const KEPT: usize = 32;

/// What a link has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames sent, those sent again included.
    pub frames: u64,
    /// Of them, frames sent again because no answer or a damaged one came.
    pub repeats: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// A link that counts. The driver below it sends one frame a call.
pub struct Metered<L> {
    inner: L,
    traffic: Traffic,
    last: Vec<u8>,
    received: VecDeque<u8>,
}

impl<L> Metered<L> {
    /// Counts what goes over `inner` from now on.
    pub fn new(inner: L) -> Metered<L> {
        Metered { inner, traffic: Traffic::default(), last: Vec::new(), received: VecDeque::new() }
    }

    /// What it has carried.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The last bytes received, at most 32.
    pub fn last_received(&self) -> Vec<u8> {
        self.received.iter().copied().collect()
    }

    /// The link that carries.
    pub fn inner(&mut self) -> &mut L {
        &mut self.inner
    }
}

impl<L: Link> Link for Metered<L> {
    type Error = L::Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), L::Error> {
        self.traffic.frames += 1;
        self.traffic.bytes_sent += bytes.len() as u64;
        // A frame holds its sequence number, so equal bytes are the same request again.
        if self.last == bytes {
            self.traffic.repeats += 1;
        } else {
            self.last.clear();
            self.last.extend_from_slice(bytes);
        }
        self.inner.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, L::Error> {
        let count = self.inner.read(buffer)?;
        self.traffic.bytes_received += count as u64;
        self.received.extend(&buffer[..count.min(buffer.len())]);
        let surplus = self.received.len().saturating_sub(KEPT);
        self.received.drain(..surplus);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    struct Answer;

    impl Link for Answer {
        type Error = Infallible;
        fn write(&mut self, _: &[u8]) -> Result<(), Infallible> {
            Ok(())
        }
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            buffer.fill(7);
            Ok(buffer.len())
        }
    }

    #[test]
    fn frames_repeats_and_bytes_are_counted_and_the_last_bytes_kept() -> Result<(), Infallible> {
        let mut link = Metered::new(Answer);
        for frame in [&[1, 2][..], &[1, 2], &[1, 3], &[1, 2]] {
            link.write(frame)?;
        }
        link.read(&mut [0; 40])?;
        assert_eq!(link.traffic(), Traffic { frames: 4, repeats: 1, bytes_sent: 8, bytes_received: 40 });
        assert_eq!(link.last_received(), [7; KEPT]);
        Ok(())
    }
}
