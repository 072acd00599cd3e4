//! Stackful Gs that wait and cannot leave their stacks meanwhile, so that their threads are blocked: how
//! an abort gets through to them.
//!
//! An abort makes a G ready, and it is told at its next turn. A G that blocks its thread is in the middle of
//! one, so there is nothing to make ready. Such a G is on a roll, with what wakes its thread:
//!
//! - H1. It puts itself on the roll. H2. SeqCst fence. H3. It looks whether it was aborted, and sleeps if
//!   not; and whenever it is woken, it looks again.
//! - A1. Whoever aborts a G marks its word. A2. SeqCst fence. A3. It looks at the roll, and wakes whom it
//!   finds there.
//!
//! Of the two fences one comes first. If it is A2, H3 sees the mark. If it is H2, A3 sees the roll.
//!
//! The roll is one for the process: whoever aborts a G may outlive its runtime. It is empty but for moments,
//! and looked at only when a stackful G is aborted in the middle of a turn.

use crate::engine::primitive::{AtomicUsize, Mutex, Ordering, fence, lock};
use crate::engine::util::RawG;
use std::task::Waker;

/// Gs that block their threads.
#[derive(Debug)]
pub(crate) struct Roll {
    /// How many entries there are.
    count: AtomicUsize,
    entries: Mutex<Vec<Entry>>,
}

/// A G that waits.
#[derive(Debug)]
pub(crate) struct Entry {
    gp: RawG,
    /// Wakes its thread.
    waker: Waker,
}

// SAFETY: a `RawG` leads to a header, which is Sync; the waker is Send by itself.
unsafe impl Send for Entry {}

impl Entry {
    /// The G, which is alive as long as the roll is locked: it strikes itself off before its turn ends.
    pub(crate) fn gp(&self) -> RawG {
        self.gp
    }
}

/// The roll of this process.
#[cfg(not(loom))]
pub(crate) static ROLL: Roll = Roll {
    count: AtomicUsize::new(0),
    entries: Mutex::new(Vec::new()),
};

impl Roll {
    /// With nobody on it.
    #[cfg(loom)]
    pub(crate) fn new() -> Roll {
        Roll {
            count: AtomicUsize::new(0),
            entries: Mutex::new(Vec::new()),
        }
    }

    /// H1 and H2, for a G in the middle of its turn: until the guard is dropped, an abort wakes `waker`.
    pub(crate) fn enter(&self, gp: RawG, waker: Waker) -> Entered<'_> {
        let entry = Entry { gp, waker };
        lock(&self.entries).push(entry);
        // Ordering: Relaxed, the fence orders it; whoever sees the count takes the lock.
        self.count.fetch_add(1, Ordering::Relaxed);
        // Ordering: SeqCst, partner of the one in `wake`.
        fence(Ordering::SeqCst);
        Entered { roll: self, gp }
    }

    /// A2 and A3, after A1: wakes the threads of those Gs that `concerns` is true of. It is called with the
    /// roll locked.
    pub(crate) fn wake(&self, mut concerns: impl FnMut(&Entry) -> bool) {
        // Ordering: SeqCst, partner of the one in `enter`.
        fence(Ordering::SeqCst);
        // Ordering: Relaxed, as above.
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let wakers: Vec<Waker> = {
            let entries = lock(&self.entries);
            let concerned = entries.iter().filter(|entry| concerns(entry));
            concerned.map(|entry| entry.waker.clone()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Keeps a G on the roll.
#[derive(Debug)]
#[must_use = "the G is on the roll for as long as this is there"]
pub(crate) struct Entered<'a> {
    roll: &'a Roll,
    gp: RawG,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let entry = {
            let mut entries = lock(&self.roll.entries);
            // The last: what it polls while it waits may wait in turn, and is done before it.
            let place = entries.iter().rposition(|entry| entry.gp == self.gp);
            entries.remove(place.expect("it is on the roll while it waits"))
        };
        // Ordering: Relaxed, at worst somebody looks at the roll for nothing.
        self.roll.count.fetch_sub(1, Ordering::Relaxed);
        drop(entry);
    }
}
