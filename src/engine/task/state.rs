//! The state word of a G: who may run it, whether it has ended, who awaits it, how many references
//! lead to its cell. Every change of the word is a function here.
//!
//! # The word
//!
//! | bits | name | set by | meaning |
//! |---|---|---|---|
//! | 0 | `OWNED` | birth, wake, abort | somebody has the right and the duty to run the G: it is in a queue, on its way to one, or running. Cleared by the runner when the future waits. |
//! | 1 | `AGAIN` | wake, abort | it was woken while `OWNED`. Never without `OWNED`. Cleared by the runner before a poll, which sees what the wakers did. |
//! | 2 | `COMPLETE` | the runner | the future is gone. Nobody runs the G any more, and nobody touches its home. Final. |
//! | 3 | `ABORT` | abort | its future is to be dropped at its next turn. Final. |
//! | 4 | `JOIN` | birth | the handle exists, and with `COMPLETE` the output is the handle's. Cleared by the handle, only before `COMPLETE`: from then on the output is the runner's to drop. |
//! | 5 | `WAKER` | the handle | the joiner's waker is in its slot, and the runner may take it. Cleared by whoever takes it: see `joiner.rs`. |
//! | 6 | `REPLACED` | the handle | the slot was, or is being, filled for a second time. Final. |
//! | 7.. | | | how many references there are |
//!
//! # References
//!
//! - One *life*: from birth until `COMPLETE`. It keeps a G that nobody can wake alive until the
//!   shutdown finds it on the registry. Queue entries, the registry, the runner, and the waker that
//!   the runner lends to the future live on it and take none of their own, since all of them are
//!   gone by `COMPLETE`.
//! - One for the handle, until it is dropped.
//! - One for each waker and each abort handle.
//!
//! Whoever gives up the last one frees the cell. Future and output are gone by then: the future
//! with the life reference, the output with the handle or by the runner.
//!
//! # Running without telling
//!
//! There is no bit for *running*: a G in a queue and a G that is being polled are both `OWNED`, and
//! a wake-up sets `AGAIN` on either. So to begin a poll takes no read-modify-write unless `AGAIN` is
//! there to be cleared. A wake-up that comes between the look and the poll leads to one poll more
//! than needed, never to one less.
//!
//! # What it costs
//!
//! Read-modify-writes on the word of the G in question, when nobody interferes:
//!
//! | path | RMWs | |
//! |---|---|---|
//! | birth | 0 | |
//! | turn begins | 0 | 1 if it was woken while it ran or waited in a queue |
//! | turn ends, future waits | 1 | 0 if it was woken meanwhile |
//! | waker cloned, dropped, woken (either way) | 1 | 0 to wake by reference what has ended |
//! | abort | 1 | 0 if it was aborted before, or has ended |
//! | handle polled: output there, or same waker as before | 0 | |
//! | handle polled first | 1 | 2 to replace a waker by another |
//! | handle dropped before the end | 1 | |
//! | handle dropped after the end | 0 | 1 if wakers are left |
//! | end: the joiner waits, or not yet | 1 | 2 if its waker was ever replaced |
//! | end: no handle | 0 | 1 if wakers are left |
//!
//! So to spawn and await costs two if the joiner comes first (it registers, the G ends), and one if
//! the G is faster; on the joiner's word its waker is cloned and woken, and its own turn ends.

use crate::engine::primitive::{AtomicUsize, Ordering};

const OWNED: usize = 1;
const AGAIN: usize = 1 << 1;
const COMPLETE: usize = 1 << 2;
const ABORT: usize = 1 << 3;
const JOIN: usize = 1 << 4;
const WAKER: usize = 1 << 5;
const REPLACED: usize = 1 << 6;
const REFERENCE: usize = 1 << 7;

/// The word as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(usize);

impl Snapshot {
    fn has(self, bit: usize) -> bool {
        self.0 & bit != 0
    }

    /// Whether the future is gone and the output, if there is a handle, is in place.
    #[inline]
    pub(crate) fn is_complete(self) -> bool {
        self.has(COMPLETE)
    }

    /// Whether an abort was asked for.
    #[cfg(any(stackful, loom))]
    #[inline]
    pub(crate) fn is_aborted(self) -> bool {
        self.has(ABORT)
    }

    /// Whether there is a handle.
    #[inline]
    pub(crate) fn is_joined(self) -> bool {
        self.has(JOIN)
    }

    /// Whether the joiner's waker is in its slot.
    #[inline]
    pub(crate) fn has_waker(self) -> bool {
        self.has(WAKER)
    }

    /// Whether the joiner's slot was filled more than once.
    #[inline]
    pub(crate) fn was_replaced(self) -> bool {
        self.has(REPLACED)
    }

    /// How many references lead to the cell.
    #[inline]
    pub(crate) fn references(self) -> usize {
        self.0 / REFERENCE
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("owned", &self.has(OWNED))
            .field("again", &self.has(AGAIN))
            .field("complete", &self.has(COMPLETE))
            .field("abort", &self.has(ABORT))
            .field("join", &self.has(JOIN))
            .field("waker", &self.has(WAKER))
            .field("replaced", &self.has(REPLACED))
            .field("references", &self.references())
            .finish()
    }
}

/// What the owner has to do with its turn.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Poll the future.
    Poll,
    /// Drop it.
    Abort,
}

/// What became of a G whose future waits.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It is whoever's who wakes it, and may be gone already: nothing of it may be touched.
    Idle,
    /// It was woken during its turn. It is still the caller's, who has to queue it.
    Woken,
}

/// What a wake-up leads to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The caller got the right to run the G, and has to queue it.
    Queue,
    /// Nothing: its owner will see to it, or it has ended.
    Nothing,
    /// It has ended, and the caller gave up the last reference: it has to free the cell.
    Last,
}

/// What giving up a reference leads to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// Others are left: nothing of the cell may be touched.
    Alive,
    /// It was the last: the caller has to free the cell.
    Last,
}

/// The state word of a G.
pub(crate) struct State(AtomicUsize);

impl State {
    /// That of a G which its maker may run or queue, and to which a handle leads.
    #[inline]
    pub(crate) fn new() -> State {
        State(AtomicUsize::new(OWNED | JOIN | (2 * REFERENCE)))
    }

    /// The word, for those who draw conclusions from it.
    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        // Ordering: Acquire, partner of the Release in `wait` and `wake` (the turn before, and what
        // was done for this one), in `complete` (the output), in `publish` (the waker), and in
        // `release` and `leave` (what those did who are gone).
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Begins a turn. For the owner.
    #[inline]
    pub(crate) fn begin(&self) -> Begun {
        let mut seen = self.load();
        if seen.has(AGAIN) {
            // A subtraction, because x86 has no AND that tells what was there before. Only the
            // owner clears the bit, so it is there.
            // Ordering: Acquire, partner of the Release in `wake`: this poll sees what those did
            // whose wake-up it answers. One that `load` did not see leads to another poll.
            seen = Snapshot(self.0.fetch_sub(AGAIN, Ordering::Acquire));
        }
        debug_assert!(seen.has(OWNED) && !seen.has(COMPLETE), "{seen:?}");
        if seen.has(ABORT) {
            Begun::Abort
        } else {
            Begun::Poll
        }
    }

    /// Ends a turn after which the future waits. For the owner.
    #[inline]
    pub(crate) fn wait(&self) -> Waiting {
        let mut seen = self.load();
        loop {
            if seen.has(AGAIN) {
                // The bit stays, for the next turn to clear together with what comes until then.
                return Waiting::Woken;
            }
            // Ordering: Release, partner of the Acquire in `begin`: the next turn comes after this
            // one. What wakes the G in between are read-modify-writes, which pass it on.
            let change = seen.0 & !OWNED;
            match self.exchange(seen, change, Ordering::Release) {
                Ok(()) => return Waiting::Idle,
                Err(now) => seen = now,
            }
        }
    }

    /// Wakes the G.
    #[inline]
    pub(crate) fn wake(&self) -> Woken {
        self.wake_with(0, 0)
    }

    /// Wakes the G and gives up a reference.
    #[inline]
    pub(crate) fn wake_and_release(&self) -> Woken {
        self.wake_with(0, REFERENCE)
    }

    /// Asks for an abort, and wakes the G if it was not asked before.
    #[inline]
    pub(crate) fn abort(&self) -> Woken {
        self.wake_with(ABORT, 0)
    }

    #[inline]
    fn wake_with(&self, mark: usize, released: usize) -> Woken {
        // Ordering: Relaxed, nothing but the next value is made of it.
        let mut seen = Snapshot(self.0.load(Ordering::Relaxed));
        loop {
            if seen.has(COMPLETE) {
                return match released {
                    0 => Woken::Nothing,
                    _ => match self.release() {
                        Released::Alive => Woken::Nothing,
                        Released::Last => Woken::Last,
                    },
                };
            }
            if mark != 0 && seen.has(mark) {
                return Woken::Nothing;
            }
            let owned = seen.has(OWNED);
            let bits = if owned { AGAIN | mark } else { OWNED | mark };
            // The life reference is there, so the one given up is not the last.
            //
            // Ordering: AcqRel, even if nothing changes. Release, partner of the Acquire in `begin`:
            // what the waker did comes before the poll that it asks for; and as in `release`.
            // Acquire, partner of the Release in `wait`: what is said of the G's status from now on
            // comes after what was said in the turn before.
            match self.exchange(seen, (seen.0 | bits) - released, Ordering::AcqRel) {
                Ok(()) if owned => return Woken::Nothing,
                Ok(()) => return Woken::Queue,
                Err(now) => seen = now,
            }
        }
    }

    /// Asks for an abort and wakes nobody: for the owner, who will begin a turn.
    #[cfg(not(loom))]
    pub(crate) fn ask_abort(&self) {
        // Ordering: Relaxed, the owner tells itself.
        self.0.fetch_or(ABORT, Ordering::Relaxed);
    }

    /// One reference more. The caller has one, or the life reference is there for the time of the
    /// call.
    #[inline]
    pub(crate) fn retain(&self) {
        // Ordering: Relaxed, as in `Arc`: who hands the reference on orders it.
        let before = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        if before > isize::MAX as usize {
            // Leaked wakers, a number of them that no memory can hold otherwise.
            std::process::abort();
        }
    }

    /// Gives up a reference.
    #[inline]
    pub(crate) fn release(&self) -> Released {
        // Ordering: Release, so that what we did with the cell comes before it is freed; Acquire,
        // so that what others did does if we free it.
        let before = Snapshot(self.0.fetch_sub(REFERENCE, Ordering::AcqRel));
        debug_assert!(before.references() > 0, "{before:?}");
        if before.references() == 1 {
            Released::Last
        } else {
            Released::Alive
        }
    }

    /// As `release`, for those who are likely to be the last: then a look is enough, since nobody
    /// can make a reference out of nothing.
    #[inline]
    pub(crate) fn release_as_last(&self) -> Released {
        // Ordering: the Acquire in `load` is the partner of all the others' Release; the word is
        // only changed by read-modify-writes, which pass on what those before them released.
        if self.load().references() == 1 {
            return Released::Last;
        }
        self.release()
    }

    // ---- The end. For the owner ----

    /// Ends the life of a G that has a handle, if the word is still as `seen`; else what it is now.
    /// With it goes the life reference, unless it is to be `kept` by the caller.
    #[inline]
    pub(super) fn complete(&self, seen: Snapshot, kept: bool) -> Result<(), Snapshot> {
        debug_assert!(seen.has(OWNED) && seen.has(JOIN) && !seen.has(COMPLETE));
        let released = if kept { 0 } else { REFERENCE };
        let to = (seen.0 & !(OWNED | AGAIN | WAKER) | COMPLETE) - released;
        // Ordering: Release, for the output, which the handle reads after `load`. Acquire, for the
        // waker in the slot if it is read after this.
        self.exchange(seen, to, Ordering::AcqRel)
    }

    /// Ends the life of a G without a handle, whose output is gone.
    #[inline]
    pub(crate) fn complete_detached(&self) -> Released {
        let mut seen = self.load();
        loop {
            debug_assert!(seen.has(OWNED) && !seen.has(JOIN) && !seen.has(COMPLETE));
            if seen.references() == 1 {
                // Nobody can see the word any more.
                return Released::Last;
            }
            let to = (seen.0 & !(OWNED | AGAIN) | COMPLETE) - REFERENCE;
            // Ordering: Release, as in `release`; we are not the last.
            match self.exchange(seen, to, Ordering::Release) {
                Ok(()) => return Released::Alive,
                Err(now) => seen = now,
            }
        }
    }

    // ---- The joiner's waker. For the handle, as long as the word is not complete ----

    /// Tells the runner that there is a waker in the slot. `false`: it has ended, and does not see
    /// the slot.
    #[inline]
    pub(super) fn publish(&self, mut seen: Snapshot) -> bool {
        while !seen.has(COMPLETE) {
            debug_assert!(seen.has(JOIN) && !seen.has(WAKER));
            // Ordering: Release, for the slot; partner: `load` by the runner.
            match self.exchange(seen, seen.0 | WAKER, Ordering::Release) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Takes the waker out of the runner's reach, for good. The word after it; `None`: the G has
    /// ended, and the runner took the waker.
    #[cold]
    pub(super) fn unpublish(&self, mut seen: Snapshot) -> Option<Snapshot> {
        while !seen.has(COMPLETE) {
            debug_assert!(seen.has(JOIN) && seen.has(WAKER));
            let to = seen.0 & !WAKER | REPLACED;
            // Ordering: Acquire, so that the slot is not written before the runner is kept from it.
            match self.exchange(seen, to, Ordering::Acquire) {
                Ok(()) => return Some(Snapshot(to)),
                Err(now) => seen = now,
            }
        }
        None
    }

    /// Strikes off the handle, with its waker and its reference, if the word is still as `seen`;
    /// else what it is now.
    #[inline]
    pub(super) fn leave(&self, seen: Snapshot) -> Result<(), Snapshot> {
        debug_assert!(seen.has(JOIN) && !seen.has(COMPLETE));
        let to = (seen.0 & !(JOIN | WAKER)) - REFERENCE;
        // Ordering: Release, as in `release`. The life reference is there, so this is not the last.
        self.exchange(seen, to, Ordering::Release)
    }

    /// Changes the word from `seen` to `to`; if that is not what it is, what it is instead.
    #[inline]
    fn exchange(&self, seen: Snapshot, to: usize, ordering: Ordering) -> Result<(), Snapshot> {
        // Ordering: Acquire on failure, as for `load`. Strong, because what follows a failure may
        // be more than a retry.
        self.0
            .compare_exchange(seen.0, to, ordering, Ordering::Acquire)
            .map(drop)
            .map_err(Snapshot)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.load().fmt(f)
    }
}
