//! The global queue: unbounded, lock-free, fed by overflow and by threads without a P.
//!
//! Half a ring travels as one entry, a boxed batch, so that an overflow costs one push and a
//! taker gets a ring's worth of work with one pop. Linking the Gs through their headers instead
//! would save the box (about 60 ns for 129 Gs) and cost every G eight bytes and every batch a walk
//! over 129 cold headers.

use super::{Overflow, RawG};
use crate::engine::primitive::{AtomicUsize, Ordering};
use crate::engine::util::CachePadded;
use crossbeam_deque::{Injector, Steal};

/// The most that one visit takes.
const MOST: usize = 128;

#[derive(Debug)]
enum Entry {
    One(RawG),
    Batch(Vec<RawG>),
}

// SAFETY: an entry owns Gs that are ready to run, and a `Runnable` of a `Send` future may be run
// by any thread. (Gs bound to a thread never enter the global queue.)
unsafe impl Send for Entry {}

/// An unbounded queue of Gs.
#[derive(Debug)]
pub(crate) struct Global {
    entries: Injector<Entry>,
    len: CachePadded<AtomicUsize>,
}

impl Global {
    /// An empty queue.
    pub(crate) fn new() -> Global {
        Global {
            entries: Injector::new(),
            len: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// Whether there is nothing to take. After a SeqCst fence it does not miss a push that was
    /// followed by one.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many Gs wait here; an estimate while others come and go.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Appends one G.
    pub(crate) fn push(&self, gp: RawG) {
        // Ordering: Relaxed, the count is for metrics and for sharing out. Counted before the push,
        // so that the taker's subtraction never comes first.
        self.len.fetch_add(1, Ordering::Relaxed);
        self.entries.push(Entry::One(gp));
    }

    /// Takes one G to be run, and hands up to `room` more to `more`: a P's fair share, at most
    /// 128 in all.
    pub(crate) fn take(
        &self,
        procs: usize,
        room: usize,
        mut more: impl FnMut(RawG),
    ) -> Option<RawG> {
        let most = room.saturating_add(1).min(MOST);
        let (first, mut taken) = match self.pop()? {
            Entry::One(gp) => (gp, 1),
            Entry::Batch(batch) => self.unpack(batch, most, &mut more),
        };
        // Single entries come from threads without a P: share them out between the Ps.
        let share = (self.len() / procs + 1).min(most);
        while taken < share {
            match self.pop() {
                None => break,
                Some(Entry::One(gp)) => {
                    more(gp);
                    taken += 1;
                }
                Some(Entry::Batch(batch)) => {
                    let (gp, count) = self.unpack(batch, share - taken, &mut more);
                    more(gp);
                    taken += count;
                }
            }
        }
        self.len.fetch_sub(taken, Ordering::Relaxed);
        Some(first)
    }

    /// The oldest of `batch`, after up to `most - 1` more went to `more`; the rest goes back to
    /// the end of the queue. Each visit takes at least one, so nothing waits for ever.
    fn unpack(
        &self,
        mut batch: Vec<RawG>,
        most: usize,
        more: &mut impl FnMut(RawG),
    ) -> (RawG, usize) {
        let count = batch.len().min(most.max(1));
        let rest = batch.split_off(count);
        if !rest.is_empty() {
            self.entries.push(Entry::Batch(rest));
        }
        let mut gps = batch.into_iter();
        let first = gps.next().expect("a batch holds at least one G");
        gps.for_each(more);
        (first, count)
    }

    fn pop(&self) -> Option<Entry> {
        loop {
            match self.entries.steal() {
                Steal::Success(entry) => return Some(entry),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

impl Overflow for Global {
    fn overflow(&self, batch: &[RawG]) {
        self.len.fetch_add(batch.len(), Ordering::Relaxed);
        self.entries.push(Entry::Batch(batch.to_vec()));
    }
}
