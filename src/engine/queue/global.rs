//! The global queue: unbounded, lock-free, fed by overflow and by threads without a P.
//!
//! Half a ring travels as one entry, a boxed batch, so that an overflow costs one push and a
//! taker gets a ring's worth of work with one pop. Linking the Gs through their headers instead
//! would save the box (about 60 ns for 129 Gs) and cost every G eight bytes and every batch a walk
//! over 129 cold headers.

use super::{Overflow, RawG};
use crate::engine::primitive::{AtomicU64, Mutex, Ordering};
use crate::engine::util::CachePadded;
use crossbeam_deque::{Injector, Steal};
use std::sync::TryLockError;

/// The most that one visit takes.
const MOST: usize = 128;

#[derive(Debug)]
enum Entry {
    One(RawG),
    /// Newest first, so that the oldest is taken off the end; never empty.
    Batch(Vec<RawG>),
}

// SAFETY: an entry owns Gs that are ready to run, and a `Runnable` of a `Send` future may be run
// by any thread. (Gs bound to a thread never enter the global queue.)
unsafe impl Send for Entry {}

/// An unbounded queue of Gs.
#[derive(Debug)]
pub(crate) struct Global {
    entries: Injector<Entry>,
    /// The rest of the batch that the last visitor took from: it comes before all entries. Newest
    /// first, as in `Entry::Batch`.
    front: Mutex<Vec<RawG>>,
    /// Counted up before a push and down after a take, so that no Gs means empty.
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0..32 | Gs in the queue |
    /// | 32..64 | Gs that were ever pushed one by one, without overflow into the low bits |
    counts: CachePadded<AtomicU64>,
}

/// One G that is pushed alone.
const PUSHED: u64 = 1 << 32;

// SAFETY: as for `Entry`, of which `front` is a part.
unsafe impl Send for Global {}
// SAFETY: as above; `front` is under a lock.
unsafe impl Sync for Global {}

impl Global {
    /// An empty queue.
    pub(crate) fn new() -> Global {
        Global {
            entries: Injector::new(),
            front: Mutex::new(Vec::new()),
            counts: CachePadded::default(),
        }
    }

    /// Whether there is nothing to take. After a SeqCst fence it does not miss a push that was
    /// followed by one.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many Gs wait here; an estimate while others come and go.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Ordering: Relaxed; whoever must not miss a push puts a fence before this, and what is
        // taken is synchronised by the queue itself.
        self.counts.load(Ordering::Relaxed) as u32 as usize
    }

    /// How many Gs were pushed one by one, modulo 2^32.
    pub(crate) fn pushed(&self) -> u64 {
        self.counts.load(Ordering::Relaxed) >> 32
    }

    /// Appends one G.
    pub(crate) fn push(&self, gp: RawG) {
        self.counts.fetch_add(PUSHED + 1, Ordering::Relaxed);
        self.entries.push(Entry::One(gp));
    }

    /// Takes the oldest G to be run, and hands up to `room` more to `more`, in order: a P's fair
    /// share, at most 128 in all. `None` also if another thread is just taking.
    pub(crate) fn take(
        &self,
        procs: usize,
        room: usize,
        mut more: impl FnMut(RawG),
    ) -> Option<RawG> {
        // Held for the time that it takes to move some pointers. Nobody waits for it: a visitor
        // that finds it taken has others to visit.
        let mut front = match self.front.try_lock() {
            Ok(front) => front,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let first = self.pop(&mut front)?;
        let share = (self.len() / procs + 1)
            .min(room.saturating_add(1))
            .min(MOST);
        let mut taken = 1;
        while taken < share
            && let Some(gp) = self.pop(&mut front)
        {
            more(gp);
            taken += 1;
        }
        self.counts.fetch_sub(taken as u64, Ordering::Relaxed);
        Some(first)
    }

    fn pop(&self, front: &mut Vec<RawG>) -> Option<RawG> {
        if let Some(gp) = front.pop() {
            return Some(gp);
        }
        loop {
            match self.entries.steal() {
                Steal::Success(Entry::One(gp)) => return Some(gp),
                Steal::Success(Entry::Batch(batch)) => {
                    *front = batch;
                    return front.pop();
                }
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

impl Overflow for Global {
    fn overflow(&self, batch: &[RawG]) {
        self.counts.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.entries
            .push(Entry::Batch(batch.iter().rev().copied().collect()));
    }
}
