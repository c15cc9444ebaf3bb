//! A link that damages what it carries, the same way for the same seed.

use lpu_firmware::Link;
use std::collections::VecDeque;

/// How much goes wrong. Chances are per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A byte has one bit flipped.
    pub flip: u32,
    /// A byte is lost.
    pub drop: u32,
    /// A byte arrives twice.
    pub double: u32,
    /// A byte of noise stands in front of a byte.
    pub noise: u32,
    /// A frame on its way to the device ends early.
    pub truncate: u32,
    /// A frame on its way to the device arrives twice.
    pub repeat: u32,
    /// A frame on its way to the device is held back and arrives behind a later one.
    pub hold: u32,
    /// Nothing comes from the device in the time the host waits; what it sends comes later.
    pub pause: u32,
}

impl Faults {
    /// A line on which about every third exchange of full frames is disturbed, in every way there is.
    pub const ROUGH: Faults = Faults {
        flip: 500,
        drop: 250,
        double: 250,
        noise: 250,
        truncate: 20_000,
        repeat: 20_000,
        hold: 20_000,
        pause: 20_000,
    };
}

/// What has gone wrong so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Bytes with a flipped bit.
    pub flipped: u64,
    /// Bytes lost, those cut off from frames included.
    pub dropped: u64,
    /// Bytes that arrived twice, and bytes of noise.
    pub added: u64,
    /// Frames that ended early.
    pub truncated: u64,
    /// Frames that arrived twice.
    pub repeated: u64,
    /// Frames that arrived behind a later one.
    pub held: u64,
    /// Times that nothing came although something was there.
    pub paused: u64,
}

/// A link over which things go wrong.
pub struct Faulty<L> {
    inner: L,
    faults: Faults,
    random: Random,
    injected: Injected,
    /// Frames on their way to the device that come out later.
    held: Vec<Vec<u8>>,
    /// Bytes that have come from the device, on their way to the host.
    coming: VecDeque<u8>,
}

impl<L> Faulty<L> {
    /// Carries bytes over `inner` and damages them.
    pub fn new(inner: L, faults: Faults, seed: u64) -> Faulty<L> {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Faulty { inner, faults, random, injected: Injected::default(), held: Vec::new(), coming: VecDeque::new() }
    }

    /// What has gone wrong so far.
    pub fn injected(&self) -> Injected {
        self.injected
    }

    /// The link that carries.
    pub fn inner(&mut self) -> &mut L {
        &mut self.inner
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// `bytes` as they come out at the other end.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (faults, random, injected) = (self.faults, &mut self.random, &mut self.injected);
        let mut out = Vec::with_capacity(bytes.len() + 4);
        for &byte in bytes {
            if random.chance(faults.noise) {
                out.push(random.below(256) as u8);
                injected.added += 1;
            }
            if random.chance(faults.drop) {
                injected.dropped += 1;
                continue;
            }
            let flipped = random.chance(faults.flip);
            injected.flipped += u64::from(flipped);
            out.push(if flipped { byte ^ 1 << random.below(8) } else { byte });
            if random.chance(faults.double) {
                out.push(byte);
                injected.added += 1;
            }
        }
        out
    }
}

impl<L: Link> Link for Faulty<L> {
    type Error = L::Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), L::Error> {
        let mut length = bytes.len();
        if self.random.chance(self.faults.truncate) {
            length = self.random.below(length.max(1) as u64) as usize;
            self.injected.truncated += 1;
            self.injected.dropped += (bytes.len() - length) as u64;
        }
        if self.random.chance(self.faults.hold) {
            self.injected.held += 1;
            self.held.push(bytes[..length].to_vec());
            return Ok(());
        }
        let copies = 1 + usize::from(self.random.chance(self.faults.repeat));
        self.injected.repeated += copies as u64 - 1;
        for _ in 0..copies {
            let arriving = self.damage(&bytes[..length]);
            self.inner.write(&arriving)?;
        }
        for late in std::mem::take(&mut self.held) {
            let arriving = self.damage(&late);
            self.inner.write(&arriving)?;
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, L::Error> {
        if self.coming.is_empty() {
            let count = self.inner.read(buffer)?;
            let arriving = self.damage(&buffer[..count]);
            self.coming.extend(arriving);
        }
        if !self.coming.is_empty() && self.random.chance(self.faults.pause) {
            self.injected.paused += 1;
            return Ok(0);
        }
        let count = buffer.len().min(self.coming.len());
        for (slot, byte) in buffer.iter_mut().zip(self.coming.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.below(1_000_000) < u64::from(per_million)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Sends back what it receives.
    #[derive(Default)]
    struct Loop(Vec<u8>);

    impl Link for Loop {
        type Error = Infallible;
        fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            let count = buffer.len().min(self.0.len());
            for (slot, byte) in buffer.iter_mut().zip(self.0.drain(..count)) {
                *slot = byte;
            }
            Ok(count)
        }
    }

    fn carried(faults: Faults, seed: u64) -> (Vec<u8>, Injected) {
        let mut link = Faulty::new(Loop::default(), faults, seed);
        let mut received = Vec::new();
        for frame in 0..100u8 {
            let Ok(()) = link.write(&[frame; 100]);
            let mut buffer = [0; 300];
            let Ok(count) = link.read(&mut buffer);
            received.extend_from_slice(&buffer[..count]);
        }
        (received, link.injected())
    }

    #[test]
    fn without_faults_everything_arrives_as_it_was_sent() {
        let expected: Vec<u8> = (0..100).flat_map(|frame| [frame; 100]).collect();
        assert_eq!(carried(Faults::default(), 1), (expected, Injected::default()));
    }

    #[test]
    fn a_seed_gives_the_same_faults_again_and_another_seed_others() {
        assert_eq!(carried(Faults::ROUGH, 5), carried(Faults::ROUGH, 5));
        assert_ne!(carried(Faults::ROUGH, 5).0, carried(Faults::ROUGH, 6).0);
    }

    #[test]
    fn each_kind_of_fault_happens_about_as_often_as_asked_and_alone() {
        let tenth = 100_000;
        let count = |faults| carried(faults, 3).1;
        // Of 10,000 bytes there and what is left of them back.
        let bytes = 1750..2050;
        let frames = 3..20;
        let none = Injected::default();
        let seen = count(Faults { drop: tenth, ..Faults::default() });
        assert!(bytes.contains(&seen.dropped) && seen == Injected { dropped: seen.dropped, ..none }, "{seen:?}");
        let seen = count(Faults { truncate: tenth, ..Faults::default() });
        assert!(frames.contains(&seen.truncated) && seen.dropped > seen.truncated, "{seen:?}");
        let seen = count(Faults { hold: tenth, ..Faults::default() });
        assert!(frames.contains(&seen.held) && seen == Injected { held: seen.held, ..none }, "{seen:?}");
        let seen = count(Faults { repeat: tenth, ..Faults::default() });
        assert!(frames.contains(&seen.repeated) && seen == Injected { repeated: seen.repeated, ..none }, "{seen:?}");
        let seen = count(Faults { pause: tenth, ..Faults::default() });
        assert!(frames.contains(&seen.paused) && seen == Injected { paused: seen.paused, ..none }, "{seen:?}");
    }
}
