//! The one source of randomness: a seeded generator for each P.
//!
//! Steal order is the only thing chosen at random, and `Builder::seed` makes it repeatable. The
//! generator is xorshift64*: eight bytes of state, three shifts and a multiplication, good enough
//! to spread thieves over victims, which is all that is asked of it.

use std::cell::Cell;

/// A small fast generator, owned by one thread at a time.
#[derive(Debug)]
pub(crate) struct Random {
    state: Cell<u64>,
}

impl Random {
    /// A generator whose whole sequence follows from `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        // splitmix64, so that the neighbouring seeds of neighbouring Ps do not correlate.
        let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Random {
            state: Cell::new((z ^ (z >> 31)) | 1),
        }
    }

    /// A number below `bound`, which must not be zero.
    #[inline]
    pub(crate) fn below(&self, bound: u32) -> u32 {
        let mut x = self.state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.state.set(x);
        let high = (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32;
        ((u64::from(high) * u64::from(bound)) >> 32) as u32
    }
}

/// A seed that differs from run to run.
#[cfg(not(loom))]
pub(crate) fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Random;

    #[test]
    fn same_seed_same_sequence_and_every_residue_appears() {
        let (a, b) = (Random::new(7), Random::new(7));
        let mut seen = [0u32; 5];
        for _ in 0..1_000 {
            let x = a.below(5);
            assert_eq!(x, b.below(5));
            seen[x as usize] += 1;
        }
        assert!(seen.iter().all(|&n| n > 120), "skewed: {seen:?}");
        let c = Random::new(8);
        assert!((0..64).any(|_| c.below(1 << 30) != a.below(1 << 30)));
    }
}
