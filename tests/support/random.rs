//! Reproducible pseudo-random numbers for test data: the splitmix64 sequence of a seed.

/// A sequence of pseudo-random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `0..limit`, for a limit far below 2⁶⁴; 0 where `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit.max(1) as u64) as usize
    }

    /// `lowest..=highest`.
    pub fn within(&mut self, lowest: usize, highest: usize) -> usize {
        lowest + self.below(highest.saturating_sub(lowest) + 1)
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.bits() & 1 == 1
    }

    /// Any int8.
    pub fn byte(&mut self) -> i8 {
        self.bits() as i8
    }

    /// `-1.0..1.0`.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    /// A quarter of `around` to four times as much.
    pub fn scale(&mut self, around: f32) -> f32 {
        around * (2.0 * self.unit()).exp2()
    }
}
