//! Everything that looks random comes from a seed.

use redrill::ids::Digest;

/// Numbers that only the seed decides (SplitMix64).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of a seed for one purpose: another purpose, other numbers.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let digest = Digest::of(format!("{seed}/{purpose}").as_bytes());
        Self(digest.as_bytes()[..8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`; 0 for 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `percent` of all cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several. The list must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }
}
