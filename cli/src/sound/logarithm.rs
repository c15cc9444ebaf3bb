//! The natural logarithm in 1/64, by a table of the base-two one.

use super::bits;
use std::f64::consts::{LN_2, LOG2_E};
use std::sync::LazyLock;

/// Bits of a fraction.
const FRACTION_BITS: u32 = 16;
/// Half a unit of a fraction's last place.
const HALF: u64 = 1 << (FRACTION_BITS - 1);
/// The table's intervals, as a power of two.
const INTERVAL_BITS: u32 = 7;
/// A feature's fraction.
const SCALE_BITS: u32 = 6;

/// `log2(1 + x) - x` at the ends of the intervals of `x` from 0 to 1.
static TABLE: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let intervals = 1u32 << INTERVAL_BITS;
    let value = |index: u32| {
        let x = f64::from(index) / f64::from(intervals);
        (f64::from(1 << FRACTION_BITS) * (x.ln_1p() * LOG2_E - x)).round() as i64
    };
    (0..=intervals).map(value).collect()
});

/// 64 times the natural logarithm of a loudness, 0 where that would be negative or there is none.
pub fn feature(loudness: u32) -> u16 {
    if loudness < 2 {
        return 0;
    }
    let whole = bits(loudness) - 1;
    let rest = u64::from(loudness) - (1 << whole);
    let fraction = (rest << FRACTION_BITS) >> whole;
    let table: &[i64] = &TABLE;
    let interval = (fraction >> (FRACTION_BITS - INTERVAL_BITS)) as usize;
    let within = fraction as i64 - ((interval as i64) << (FRACTION_BITS - INTERVAL_BITS));
    let between = ((table[interval + 1] - table[interval]) * within) >> FRACTION_BITS;
    let base_two = (u64::from(whole) << FRACTION_BITS) + (fraction as i64 + table[interval] + between) as u64;
    let factor = (LN_2 * f64::from(1 << FRACTION_BITS)).round() as u64;
    let natural = (factor * base_two + HALF) >> FRACTION_BITS;
    (((natural << SCALE_BITS) + HALF) >> FRACTION_BITS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm() {
        for loudness in (0..32).flat_map(|bits| [1u32 << bits, (1 << bits) + (1 << bits) / 3]) {
            let exact = 64.0 * f64::from(loudness).ln();
            assert!((f64::from(feature(loudness)) - exact).abs() < 0.6, "{loudness}: {exact}");
        }
        assert_eq!([feature(0), feature(1)], [0, 0]);
    }
}
