//! How many children of a scope are not done with what they borrow.

use crate::engine::primitive::{AtomicUsize, Ordering};
use std::task::Waker;

/// The count, and who waits for it to be zero.
#[derive(Debug)]
pub(crate) struct Running {
    count: AtomicUsize,
    waker: Waker,
}

impl Running {
    /// None. `waker` is woken when there are none again.
    pub(crate) fn new(waker: Waker) -> Running {
        Running {
            count: AtomicUsize::new(0),
            waker,
        }
    }

    /// One more: by whoever waits, before it does, or by a child.
    pub(crate) fn begin(&self) {
        // Ordering: Relaxed, the count does not get to zero before the caller has counted itself off
        // or waits.
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// One less: the last thing that a child does. Nothing that was lent may be touched after this,
    /// and the caller keeps the count itself alive.
    pub(crate) fn end(&self) {
        // Ordering: Release, partner of the Acquire in `is_none`. All changes are read-modify-writes,
        // so whoever sees the last one sees what came before each.
        if self.count.fetch_sub(1, Ordering::Release) == 1 {
            self.waker.wake_by_ref();
        }
    }

    /// Whether all are done: what they did to what they borrowed comes before what the caller does.
    pub(crate) fn is_none(&self) -> bool {
        // Ordering: Acquire, partner of the Release in `end`.
        self.count.load(Ordering::Acquire) == 0
    }

    /// How many there are, from which nothing follows.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
