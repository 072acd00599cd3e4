//! Timers in their first turn: of a P, but not among its others yet.
//!
//! Most timers never fire, and many are gone before the turn is over in which they were set: a timeout
//! around what turned out to be ready the second time, the loser of a `select!`. A timer that a G sets with
//! the waker of its own turn cannot matter before that turn is over: to wake a G that runs only means
//! that it has another turn. So until then it is here, in the hands of the P's holder alone: no lock is
//! taken for it, and its waker is not counted. Where the turn ends, those that are left
//! [arrive](Young::settle) among the others, all at once.
//!
//! Each has a key from the beginning, of a slot that was reserved. So whoever comes upon one from
//! elsewhere, since the G gave it away in the midst of its turn, goes to the P's other timers with that
//! key as ever, and finds that it is early.

use super::heap::Standing;
use super::moment::nanos;
use super::{Inner, Key, Term, Timers};
use crate::engine::primitive::{lock, try_lock};
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::task::{RawWakerVTable, Waker};
use std::time::Instant;

/// How many slots it keeps reserved from one turn to the next. A guess: more are needed by turns that are
/// long anyhow.
const KEPT: usize = 16;

/// For how many there may be memory for good.
const ROOMY: usize = 1024;

/// The generation of no key.
const NONE: u64 = 0;

/// No slot.
const GONE: u32 = u32::MAX;

/// The timers that were set in this turn, and are to be woken for by one G.
#[derive(Debug)]
pub(crate) struct Young {
    /// Where they go to.
    timers: &'static Timers,
    term: Term,
    entries: Vec<Entry>,
    /// The entries from here on had no timer in this turn.
    used: usize,
    /// Those of the entries before that which have none any more.
    cancelled: Vec<u32>,
    /// That of the keys which are given at present.
    generation: u64,
    /// That of the first key that was given in this turn: timers with earlier ones have arrived, or were
    /// cancelled.
    first: u64,
    /// Whom they wake. Valid while there is any.
    owner: Option<Owner>,
    /// As many slots were reserved at once since memory was last given back.
    crowd: usize,
}

/// A reserved slot, and the timer that may be on its way there.
#[derive(Debug)]
struct Entry {
    slot: u32,
    /// That of the timer's key, or [`NONE`].
    generation: u64,
    /// Not in nanoseconds yet: to count them takes a while.
    deadline: Instant,
}

impl Entry {
    /// That of its timer.
    #[inline]
    fn key(&self) -> Option<Key> {
        (self.generation != NONE).then_some(Key {
            generation: self.generation,
            slot: self.slot,
        })
    }
}

/// The waker of a G in its turn, not counted.
#[derive(Clone, Copy, Debug)]
struct Owner {
    data: *const (),
    vtable: &'static RawWakerVTable,
}

/// A timer that is young: its key, and where it is. Packed, so that it is returned in two registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Infant {
    generation: NonZeroU64,
    /// The slot and, above it, the number of its entry.
    place: u64,
}

impl Infant {
    /// What it is known by elsewhere.
    #[inline]
    pub(crate) fn key(self) -> Key {
        Key {
            generation: self.generation.get(),
            slot: self.place as u32,
        }
    }

    /// The number of its entry: of those that are due at the same time, the lower arrives first.
    #[inline]
    pub(crate) fn at(self) -> u32 {
        (self.place >> 32) as u32
    }
}

impl Young {
    /// For the holder of the P whose timers are `timers`, in its term.
    pub(crate) fn new(timers: &'static Timers, term: Term) -> Young {
        Young {
            timers,
            term,
            entries: Vec::new(),
            used: 0,
            cancelled: Vec::new(),
            generation: 0,
            first: 0,
            owner: None,
            crowd: 0,
        }
    }

    /// Whether they go there.
    #[inline]
    pub(crate) fn go_to(&self, timers: &Timers, term: Term) -> bool {
        std::ptr::eq(self.timers, timers) && self.term == term
    }

    /// Whether there is nothing to [settle](Young::settle).
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.used == 0 && self.entries.len() <= KEPT
    }

    /// For how many there is memory.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.entries.capacity().max(self.cancelled.capacity())
    }

    /// Sets a timer that will wake `owner`. `None`: it has to be inserted, as timers of another G are
    /// here, or the runtime is being shut down.
    ///
    /// # Safety
    /// `owner` is the waker of a G whose turn is going on, and this is settled before the turn ends.
    #[inline(always)] // It has one caller.
    pub(crate) unsafe fn set(&mut self, deadline: Instant, owner: &Waker) -> Option<Infant> {
        if self.used == 0 {
            self.owner = Some(Owner {
                data: owner.data(),
                vtable: owner.vtable(),
            });
        } else if self.owner.is_none_or(|first| first.data != owner.data()) {
            return None;
        }
        if !self.cancelled.is_empty() || self.used == self.entries.len() {
            return self.set_elsewhere(deadline);
        }
        self.used += 1;
        self.set_at(self.used as u32 - 1, deadline)
    }

    /// Where one was cancelled, or in a slot yet to be reserved.
    #[inline(never)]
    fn set_elsewhere(&mut self, deadline: Instant) -> Option<Infant> {
        let at = match self.cancelled.pop() {
            Some(at) => at,
            None => {
                self.grow();
                if self.used == self.entries.len() {
                    return None;
                }
                self.used += 1;
                self.used as u32 - 1
            }
        };
        self.set_at(at, deadline)
    }

    #[inline]
    fn set_at(&mut self, at: u32, deadline: Instant) -> Option<Infant> {
        let entry = &mut self.entries[at as usize];
        entry.generation = self.generation;
        entry.deadline = deadline;
        Some(Infant {
            generation: NonZeroU64::new(self.generation)?,
            place: u64::from(at) << 32 | u64::from(entry.slot),
        })
    }

    /// Takes a timer out that was set here, if nobody has gone by its key or taken it out before. Whether it
    /// was here still.
    #[inline]
    pub(crate) fn cancel(&mut self, infant: Infant) -> bool {
        if infant.generation.get() < self.first {
            return false;
        }
        // The entry is not looked at: with many it would not be in the cache. Its key may be given once
        // more, as nobody has it now.
        let at = infant.at() as usize;
        debug_assert!(at < self.used);
        if at + 1 == self.used && self.cancelled.is_empty() {
            self.used = at;
        } else {
            self.cancel_before(infant.at());
        }
        true
    }

    #[inline(never)]
    fn cancel_before(&mut self, at: u32) {
        self.cancelled.push(at);
        if self.cancelled.len() == self.used {
            self.cancelled.clear();
            self.used = 0;
        }
    }

    /// Reserves more slots, unless the runtime is being shut down.
    #[cold]
    fn grow(&mut self) {
        let mut inner = lock(&self.timers.inner);
        if !inner.is_open(self.term) {
            return;
        }
        let heap = &mut inner.heap;
        let more = self.entries.len().max(KEPT);
        let deadline = Instant::now();
        self.entries.extend((0..more).map(|_| Entry {
            slot: heap.reserve(),
            generation: NONE,
            deadline,
        }));
        self.crowd = self.crowd.max(self.entries.len());
        // Later than whatever was in those slots.
        self.generation = heap.generation();
        if self.used == 0 {
            self.first = self.generation;
        }
    }

    /// Has them all arrive among the P's other timers.
    #[inline]
    pub(crate) fn settle(&mut self) {
        let used = std::mem::take(&mut self.used);
        if !self.cancelled.is_empty() {
            self.mark_cancelled();
        }
        let Some(owner) = self.owner else {
            return;
        };
        // SAFETY: it is only used while there are any; then the turn of the owner goes on, as the caller of
        // `set` promised. So the waker that it has is there, to which this is the same; and it is not
        // dropped.
        let owner = ManuallyDrop::new(unsafe { Waker::new(owner.data, owner.vtable) });
        let mut inner = lock(&self.timers.inner);
        if !inner.is_open(self.term) {
            drop(inner);
            self.clear();
            if used > 0 {
                // It will poll them, and learn why.
                owner.wake_by_ref();
            }
            return;
        }
        let Inner { heap, moved, .. } = &mut *inner;
        for (at, entry) in self.entries[..used].iter_mut().enumerate() {
            let Some(key) = entry.key() else {
                continue;
            };
            // Unless somebody was faster who had it, see `heap`.
            if heap.look(key) == Standing::Early {
                let deadline = moved
                    .get(&key)
                    .map_or_else(|| nanos(entry.deadline), |&deadline| deadline);
                // Cloned under the lock: that is a count, as it is a G's.
                heap.arrive(key, deadline, Waker::clone(&owner));
            }
            // As of now that slot is a timer's.
            entry.generation = NONE;
            if at < KEPT {
                entry.slot = heap.reserve();
            } else {
                entry.slot = GONE;
            }
        }
        if self.entries.len() > KEPT {
            for entry in self.entries.drain(KEPT..) {
                if entry.slot != GONE {
                    heap.release(entry.slot);
                }
            }
        }
        if !moved.is_empty() {
            moved.clear();
        }
        self.generation = heap.generation();
        self.first = self.generation;
        self.timers.publish(&inner);
    }

    #[cold]
    fn mark_cancelled(&mut self) {
        for at in self.cancelled.drain(..) {
            self.entries[at as usize].generation = NONE;
        }
    }

    /// Gives reserved slots back if they keep the P's other timers from giving back memory; the P is about
    /// to be given up.
    pub(crate) fn leave(&mut self) {
        debug_assert!(self.is_settled());
        if self.entries.is_empty() {
            return;
        }
        // Who is about to sleep does not wait for the lock: then it is left to the next time.
        let Some(mut inner) = try_lock(&self.timers.inner) else {
            return;
        };
        if inner.is_open(self.term) {
            let heap = &mut inner.heap;
            if !heap.is_roomy() && self.room() <= ROOMY {
                return;
            }
            for entry in &self.entries {
                heap.release(entry.slot);
            }
            heap.shrink();
        }
        drop(inner);
        self.clear();
    }

    /// Drops all slots, which are the others' again or are no more, and half of the memory that was not needed
    /// since this was last done.
    fn clear(&mut self) {
        self.entries.clear();
        self.cancelled.clear();
        self.used = 0;
        self.first = u64::MAX;
        let kept = ROOMY
            .max(std::mem::take(&mut self.crowd))
            .max(self.room() / 2);
        self.entries.shrink_to(kept);
        self.cancelled.shrink_to(kept);
    }
}

impl Timers {
    /// Has a timer that is early arrive as one that is due at `deadline`. Whether it is.
    #[must_use]
    pub(crate) fn move_early(&self, term: Term, key: Key, deadline: u64) -> bool {
        let mut inner = lock(&self.inner);
        let early = inner.is_open(term) && inner.heap.look(key) == Standing::Early;
        if early {
            inner.moved.insert(key, deadline);
        }
        early
    }
}
