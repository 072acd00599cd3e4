//! Giving memory back to the system, in the background.
//!
//! The global list is a tide: what stays under water for a whole [`PERIOD`] was not needed then.
//! Half of it is given back after each period, so that a burst costs its memory for some seconds
//! and a wave that comes back within a period finds what it left.

use super::{Pool, Shared};
use crate::engine::primitive::{Ordering, lock};
use crate::engine::stack::advise::Range;
use crate::engine::stack::size::Shape;
use crate::engine::stack::slab::Slot;
use crate::engine::sys::Instant;
use std::time::Duration;

/// How long memory has to lie unused. A guess: long for a processor, short for a person.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);
/// The rest between two calls that have much to do, in which others get at the locks. A guess.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// What `decay` knows of the global list.
#[derive(Debug, Default)]
pub(super) struct Tide {
    /// The fewest touched stacks that were on the list since the period began.
    low: usize,
    /// How many are to be released before the next period counts.
    due: usize,
    /// When the period ends. `None` while nobody calls `decay`.
    end: Option<Instant>,
    /// Whether a call is at work outside the lock.
    busy: bool,
}

impl Tide {
    /// The list became shorter.
    pub(super) fn ebbs_to(&mut self, len: usize) {
        self.low = self.low.min(len);
        self.due = self.due.min(len);
    }
}

impl Pool {
    /// Gives back some of the memory of free stacks that have not been used for a while, and says
    /// when to be called again; `None` if not before [`wants_decay`](Pool::wants_decay).
    ///
    /// For a thread in the background: it makes system calls, for a bounded number of stacks.
    pub(crate) fn decay(&self, now: Instant) -> Option<Duration> {
        let mut shared = lock(&self.shared);
        if shared.tide.busy {
            return Some(PAUSE);
        }
        let end = match shared.tide.end {
            Some(end) => end,
            None => {
                // Ordering: Relaxed, as it is written under the lock.
                self.wanted.store(false, Ordering::Relaxed);
                shared.new_period(now)
            }
        };
        let mut end = end;
        let mut kept = Vec::new();
        if shared.tide.due == 0 && now >= end {
            shared.tide.due = shared.tide.low.div_ceil(2);
            kept = shared.sized.ebb();
            end = shared.new_period(now);
        }
        let count = shared.tide.due.min(self.chunk());
        if count > 0 || !kept.is_empty() {
            let mut batch: Vec<Slot> = shared.touched.drain(..count).collect();
            shared.tide.due -= count;
            let left = shared.touched.len();
            shared.tide.ebbs_to(left);
            shared.tide.busy = true;
            drop(shared);
            self.release(&mut batch);
            drop(kept);
            shared = lock(&self.shared);
            shared.released.append(&mut batch);
            shared.tide.busy = false;
        }
        if shared.tide.due > 0 {
            Some(PAUSE)
        } else if shared.touched.is_empty() && shared.sized.kept() == 0 {
            shared.tide.end = None;
            None
        } else {
            Some(end.saturating_duration_since(now))
        }
    }

    /// Says that a call of `decay` is wanted, if nobody calls it at the moment.
    pub(super) fn call_for_decay(&self, shared: &Shared) {
        if shared.tide.end.is_none() {
            // Ordering: Relaxed, as it is written under the lock.
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    /// How many stacks are released in one call of `decay`, at most: 40 µs of work, and no more
    /// than 16 MiB of address space that is missing meanwhile.
    pub(in crate::engine::stack) fn chunk(&self) -> usize {
        ((16 << 20) / self.shape.stride()).clamp(1, 256)
    }

    /// Gives back the memory of these stacks.
    pub(super) fn release(&self, slots: &mut [Slot]) {
        slots.sort_unstable();
        let ranges: Vec<Range> = slots
            .chunk_by(|low, high| low.end() == high.base(self.shape))
            .map(|run| span(run, self.shape))
            .collect();
        // SAFETY: the stacks are free and in our hands; nobody relies on what is in them. The
        // guards between them stay guards, whichever way they were made.
        let (_, result) = unsafe { self.adviser.advise(&ranges, libc::MADV_DONTNEED) };
        // Locked memory is not given back. Its stacks are as good as released ones.
        drop(result);
    }
}

/// The memory of neighbours, from the lowest stack to the end of the highest.
fn span(run: &[Slot], shape: Shape) -> Range {
    let guards = (run.len() - 1) * shape.guard;
    Range::new(run[0].limit(shape.size), run.len() * shape.size + guards)
}

impl Shared {
    /// Begins a period of `decay`: when it ends.
    fn new_period(&mut self, now: Instant) -> Instant {
        let end = now + PERIOD;
        self.tide.low = self.touched.len() - self.tide.due;
        self.tide.end = Some(end);
        self.sized.new_period();
        end
    }
}
