//! The slot for the G that was made ready last: it runs next, while what it needs is in the cache.
//!
//! A thief may empty the slot, but does so only when the owner has been busy with one G for a
//! while; nobody is woken for the sake of a lone runnext.
//!
//! Not taken: a lock biased towards the owner, with plain stores on its side and `membarrier` on
//! the thief's. It saves the owner two swaps for each G, and no time: where nobody contends, a swap
//! costs about what the flags of the lock do.

use super::RawG;
use crate::engine::primitive::{AtomicPtr, Ordering};
use std::ptr;

/// Room for one G.
#[derive(Debug, Default)]
pub(crate) struct Runnext {
    slot: AtomicPtr<()>,
}

impl Runnext {
    /// Puts `gp` in, and returns the one that was there.
    #[inline]
    pub(crate) fn replace(&self, gp: RawG) -> Option<RawG> {
        // Ordering: Release for the Acquire in `take`, by which a thief sees the G. Acquire,
        // because the one we get may have been put there by an earlier owner of the P.
        RawG::new(self.slot.swap(gp.as_ptr(), Ordering::AcqRel))
    }

    /// Takes what is there: for the owner and for thieves alike.
    #[inline]
    pub(crate) fn take(&self) -> Option<RawG> {
        if self.is_empty() {
            return None;
        }
        // Ordering: Acquire, partner of the Release in `replace`.
        RawG::new(self.slot.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Whether there is nothing to take.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Ordering: Relaxed, a look that decides nothing by itself.
        self.slot.load(Ordering::Relaxed).is_null()
    }
}
