//! Statistics.

use crate::engine::primitive::{AtomicU64, Ordering};

/// A number that one thread at a time adds to, and anyone reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it: a plain load and store, since nobody else writes.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // Ordering: Relaxed, it is a statistic; what hands its owner's role on orders the writers.
        self.0
            .store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    /// What it has come to.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
