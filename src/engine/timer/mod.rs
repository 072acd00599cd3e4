//! Timers: what is due when, and whose waker that concerns.
//!
//! Each P has its own, under a lock that is not contended in the normal case: a timer is made,
//! polled and dropped by tasks that run on that P. Any thread may do so from elsewhere, and any M
//! may take out the timers of another P that are due. What is *earliest* is kept beside the lock,
//! for everyone to read.
//!
//! This layer wakes nobody. [`Timers::expire`] returns the wakers of the timers that are due, and
//! whoever called it wakes them, after the lock is released: no waker is cloned, woken or dropped
//! under the lock, since all three may run the user's code. Only that of a G is cloned there, where the
//! G's young timers arrive: that runs ours.
//!
//! Before a timer is here it may be [`young`].
//!
//! They are used by one runtime after the other, for a *term* each: then whoever still has a timer of a
//! runtime that is gone need not keep them alive, and finds them closed, whoever has them now.
//!
//! **A timer fires or is cancelled, never both.** Both free the timer's slot under the lock, and
//! take the waker out of it; a [`Key`] whose slot was freed says so ever after, whoever has the slot
//! then. So a timer may be cancelled and polled from any thread at any time.

#[cfg(not(loom))]
pub(crate) mod clock;
mod heap;
pub(crate) mod moment;
mod stage;
mod young;

pub(crate) use heap::{Key, NEVER};
pub(crate) use stage::{Packed, Stage};
pub(crate) use young::{Infant, Young};

use crate::engine::primitive::{AtomicU64, Mutex, MutexGuard, Ordering, lock, try_lock};
use crate::engine::util::CachePadded;
use heap::{Heap, Standing};
use std::collections::BTreeMap;
use std::task::Waker;

/// The most timers that are taken out at once: so long may others have to wait for the lock. Measured with
/// `20,000 sleeps of 1 to 20 ms` of `vs_tokio`: with sixteen times as many the lock is held for longer than
/// others spin for it, and a third of all context switches is for its sake.
pub(crate) const BATCH: usize = 4;

/// What inserting a timer led to.
#[must_use]
#[derive(Debug)]
pub(crate) enum Inserted {
    /// Nothing that concerns anybody else.
    Later(Key),
    /// It is due before `earliest`: whoever waits for these timers waits too long, and must be told, unless
    /// it is the caller.
    Earliest(Key),
    /// It was refused, and here is its waker: the runtime is being shut down.
    Closed(Waker),
}

/// What a timer has come to.
#[must_use]
#[derive(Debug)]
pub(crate) enum State {
    /// It will wake the waker.
    Pending,
    /// It has another waker than that.
    Stranger,
    /// It has fired.
    Fired,
    /// It never will: the runtime is being shut down.
    Closed,
}

/// The timers of one P.
#[derive(Debug)]
pub(crate) struct Timers {
    /// When the next one is due, or [`NEVER`]. Written under the lock.
    earliest: CachePadded<AtomicU64>,
    inner: CachePadded<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    heap: Heap,
    /// Timers that are early, and for when they were set anew.
    moved: BTreeMap<Key, u64>,
    term: Term,
    closed: bool,
}

/// For how many runtimes there were timers before those of this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Term(u32);

impl Inner {
    /// Whether there are timers of that term at present.
    #[inline]
    fn is_open(&self, term: Term) -> bool {
        !self.closed && self.term == term
    }
}

impl Timers {
    /// With no timers.
    pub(crate) fn new() -> Timers {
        Timers {
            earliest: CachePadded::new(AtomicU64::new(NEVER)),
            inner: CachePadded::new(Mutex::new(Inner {
                heap: Heap::default(),
                moved: BTreeMap::new(),
                term: Term::default(),
                closed: false,
            })),
        }
    }

    /// When the next one is due, or [`NEVER`]; earlier, if one was due before and is gone.
    ///
    /// It may change at any time. Whoever goes to sleep by it announces that first, with a SeqCst
    /// fence between the two.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        // Ordering: Relaxed, a hint; `expire` looks again under the lock, and where a decision to
        // sleep hangs on it fences come before it and after the insertion.
        self.earliest.load(Ordering::Relaxed)
    }

    /// As `earliest`, of those that there are; unless somebody has them in use at the moment: then it is left to
    /// those, or to the next time, rather than have a thread that is about to sleep wait for it.
    pub(crate) fn prune(&self) -> u64 {
        let Some(mut inner) = try_lock(&self.inner) else {
            return self.earliest();
        };
        inner.heap.prune();
        self.publish(&inner);
        inner.heap.earliest()
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.inner).heap.len()
    }

    /// For how many it has memory.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        lock(&self.inner).heap.room()
    }

    /// How many were set anew before they arrived.
    #[cfg(test)]
    pub(crate) fn moved(&self) -> usize {
        lock(&self.inner).moved.len()
    }

    /// Notes what is earliest, after a change.
    #[inline]
    fn publish(&self, inner: &MutexGuard<'_, Inner>) {
        let earliest = inner.heap.earliest();
        // Ordering: Relaxed, see `earliest`; we hold the lock, so nobody else writes it.
        if self.earliest.load(Ordering::Relaxed) != earliest {
            self.earliest.store(earliest, Ordering::Relaxed);
        }
    }

    /// Begins the next term, without timers. Those of the last one are closed.
    pub(crate) fn reopen(&self) -> Term {
        let mut inner = lock(&self.inner);
        debug_assert!(inner.closed);
        inner.closed = false;
        inner.term.0 = inner.term.0.wrapping_add(1);
        inner.term
    }

    /// Adds a timer that is due at `deadline`.
    #[inline]
    pub(crate) fn insert(&self, term: Term, deadline: u64, waker: Waker) -> Inserted {
        let mut inner = lock(&self.inner);
        if !inner.is_open(term) {
            return Inserted::Closed(waker);
        }
        let before = inner.heap.earliest();
        let key = inner.heap.insert(deadline, waker);
        self.publish(&inner);
        if deadline < before {
            Inserted::Earliest(key)
        } else {
            Inserted::Later(key)
        }
    }

    /// Takes a timer out. Its waker, for the caller to drop or to use again; `None` if it has fired, or
    /// was early.
    #[inline]
    #[must_use = "the waker is dropped where the lock is not held"]
    pub(crate) fn cancel(&self, term: Term, key: Key) -> Option<Waker> {
        let mut inner = lock(&self.inner);
        if !inner.is_open(term) {
            return None;
        }
        let waker = inner.heap.cancel(key);
        self.publish(&inner);
        waker
    }

    /// Whether a timer has fired, or was cancelled.
    pub(crate) fn is_fired(&self, term: Term, key: Key) -> bool {
        let inner = lock(&self.inner);
        inner.is_open(term) && inner.heap.look(key) == Standing::Gone
    }

    /// What a timer has come to, for somebody who waits for it with `waker`.
    #[inline]
    pub(crate) fn poll(&self, term: Term, key: Key, waker: &Waker) -> State {
        let mut inner = lock(&self.inner);
        if !inner.is_open(term) {
            return State::Closed;
        }
        match inner.heap.look(key) {
            Standing::Early => State::Stranger,
            Standing::Gone => State::Fired,
            Standing::Pending => match inner.heap.waker(key) {
                Some(own) if own.will_wake(waker) => State::Pending,
                _ => State::Stranger,
            },
        }
    }

    /// Gives a timer that is due at `deadline` another waker, and returns the old one, if it had any, for
    /// the caller to drop; or `waker` itself, if the timer has fired in the meantime.
    ///
    /// # Errors
    /// If it has, or if the runtime is being shut down.
    pub(crate) fn replace(
        &self,
        term: Term,
        key: Key,
        deadline: u64,
        waker: Waker,
    ) -> Result<Option<Waker>, (State, Waker)> {
        let mut inner = lock(&self.inner);
        if !inner.is_open(term) {
            return Err((State::Closed, waker));
        }
        if let Some(own) = inner.heap.waker(key) {
            return Ok(Some(std::mem::replace(own, waker)));
        }
        if inner.heap.look(key) == Standing::Early {
            inner.heap.arrive(key, deadline, waker);
            self.publish(&inner);
            return Ok(None);
        }
        Err((State::Fired, waker))
    }

    /// Takes out the timers that are due at `now`, the earliest first, until `into` has
    /// [`BATCH`] wakers. Whether there are more.
    pub(crate) fn expire(&self, now: u64, into: &mut Vec<Waker>) -> bool {
        into.reserve(BATCH.saturating_sub(into.len()));
        let mut inner = lock(&self.inner);
        inner.heap.expire(now, BATCH, into);
        self.publish(&inner);
        inner.heap.earliest() <= now
    }

    /// Takes all timers out, and refuses those that come later.
    #[must_use = "whoever waits for them has to be woken"]
    pub(crate) fn close(&self) -> Vec<Waker> {
        let mut inner = lock(&self.inner);
        inner.closed = true;
        let wakers = inner.heap.clear();
        inner.moved.clear();
        self.publish(&inner);
        wakers
    }
}
