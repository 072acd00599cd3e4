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
use crate::engine::primitive::lock;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ops::Range;
use std::task::{RawWakerVTable, Waker};
use std::time::Instant;

/// How many slots it keeps reserved from one turn to the next. A guess: more are needed by turns that are
/// long anyhow.
const KEPT: usize = 16;

/// The timers that were set in this turn, and are to be woken for by one G.
#[derive(Debug)]
pub(crate) struct Young {
    /// Where they go to.
    timers: &'static Timers,
    term: Term,
    entries: Vec<Entry>,
    /// Those that have no timer.
    free: Vec<u32>,
    /// No entry from here on has a timer.
    used: usize,
    /// How many have one.
    alive: usize,
    /// Whom they wake. Valid while any is alive.
    owner: Option<Owner>,
    /// The others keep more memory than is worth keeping.
    roomy: bool,
}

/// A reserved slot, and the timer that may be on its way there.
#[derive(Debug)]
struct Entry {
    /// That of the timer, or of the next one.
    key: Key,
    /// When it is due, if there is one. Not in nanoseconds yet: to count them takes a while.
    deadline: Option<Instant>,
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
    #[inline]
    fn new(key: Key, at: u32) -> Option<Infant> {
        Some(Infant {
            generation: NonZeroU64::new(key.generation)?,
            place: u64::from(at) << 32 | u64::from(key.slot),
        })
    }

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
            free: Vec::new(),
            used: 0,
            alive: 0,
            owner: None,
            roomy: false,
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
        self.alive == 0 && self.entries.len() <= KEPT
    }

    /// For how many there is memory.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.entries.capacity().max(self.free.capacity())
    }

    /// Sets a timer that will wake `owner`. `None`: it has to be inserted, as timers of another G are
    /// here, or the runtime is being shut down.
    ///
    /// # Safety
    /// `owner` is the waker of a G whose turn is going on, and this is settled before the turn ends.
    #[inline(always)] // It has one caller.
    pub(crate) unsafe fn set(&mut self, deadline: Instant, owner: &Waker) -> Option<Infant> {
        if self.alive == 0 {
            self.owner = Some(Owner {
                data: owner.data(),
                vtable: owner.vtable(),
            });
        } else if self.owner.is_none_or(|first| first.data != owner.data()) {
            return None;
        }
        if self.free.is_empty() {
            self.grow();
        }
        let at = self.free.pop()?;
        let entry = &mut self.entries[at as usize];
        entry.deadline = Some(deadline);
        self.used = self.used.max(at as usize + 1);
        self.alive += 1;
        Infant::new(entry.key, at)
    }

    /// Takes a timer out. Whether it was here.
    #[inline]
    pub(crate) fn cancel(&mut self, infant: Infant) -> bool {
        match self.entries.get_mut(infant.at() as usize) {
            // A key is that of one timer, so this has not settled.
            Some(entry) if entry.key == infant.key() => {
                entry.deadline = None;
                entry.key.generation += 1;
                self.free.push(infant.at());
                self.alive -= 1;
                true
            }
            _ => false,
        }
    }

    /// Reserves more slots, unless the runtime is being shut down.
    #[cold]
    fn grow(&mut self) {
        let before = self.entries.len();
        let after = before + before.max(KEPT);
        let mut inner = lock(&self.timers.inner);
        if !inner.is_open(self.term) {
            return;
        }
        self.entries.extend((before..after).map(|_| Entry {
            key: inner.heap.reserve(),
            deadline: None,
        }));
        self.roomy = inner.heap.is_roomy();
        drop(inner);
        self.free.extend(numbers(before..after));
    }

    /// Has them all arrive among the P's other timers.
    pub(crate) fn settle(&mut self) {
        let any = self.alive > 0;
        self.alive = 0;
        let Some(owner) = self.owner.take() else {
            return;
        };
        // SAFETY: it is only used if there is `any`; then the turn of the owner goes on, as the caller of
        // `set` promised. So the waker that it has is there, to which this is the same; and it is not
        // dropped.
        let owner = ManuallyDrop::new(unsafe { Waker::new(owner.data, owner.vtable) });
        let mut inner = lock(&self.timers.inner);
        if !inner.is_open(self.term) {
            drop(inner);
            self.forget();
            if any {
                // It will poll them, and learn why.
                owner.wake_by_ref();
            }
            return;
        }
        let Inner { heap, moved, .. } = &mut *inner;
        let crowd = self.entries.len() > KEPT;
        let used = if crowd { self.entries.len() } else { self.used };
        for (at, entry) in self.entries[..used].iter_mut().enumerate() {
            let Some(deadline) = entry.deadline.take() else {
                if at >= KEPT {
                    heap.release(entry.key);
                }
                continue;
            };
            // Unless somebody was faster who had it, see `heap`.
            if heap.look(entry.key) == Standing::Early {
                let elsewhere = moved.iter().rfind(|(key, _)| *key == entry.key);
                let deadline = elsewhere.map_or_else(|| nanos(deadline), |&(_, deadline)| deadline);
                // Cloned under the lock: that is a count, as it is a G's.
                heap.arrive(entry.key, deadline, Waker::clone(&owner));
            }
            if at < KEPT {
                entry.key = heap.reserve();
                self.free.push(at as u32);
            }
        }
        moved.clear();
        self.used = 0;
        self.roomy = heap.is_roomy();
        self.timers.publish(&inner);
        drop(inner);
        if crowd {
            self.entries.truncate(KEPT);
            self.entries.shrink_to(self.entries.capacity() / 2);
            self.free.clear();
            self.free.shrink_to(self.free.capacity() / 2);
            self.free.extend(numbers(0..KEPT));
        }
    }

    /// Gives reserved slots back if they keep the P's other timers from giving back memory; the P is about
    /// to be given up.
    pub(crate) fn leave(&mut self) {
        debug_assert!(self.is_settled());
        if !self.roomy || self.entries.is_empty() {
            return;
        }
        let mut inner = lock(&self.timers.inner);
        if inner.is_open(self.term) {
            for entry in &self.entries {
                inner.heap.release(entry.key);
            }
            inner.heap.shrink();
            self.roomy = inner.heap.is_roomy();
        }
        drop(inner);
        self.forget();
    }

    /// Drops all slots, which are the others' again or are no more, and the memory.
    fn forget(&mut self) {
        self.entries = Vec::new();
        self.free = Vec::new();
        self.used = 0;
    }
}

/// The last one first, as the last of a list is the first to be used.
fn numbers(range: Range<usize>) -> impl Iterator<Item = u32> {
    range.rev().filter_map(|at| u32::try_from(at).ok())
}

impl Timers {
    /// Has a timer that is early arrive as one that is due at `deadline`. Whether it is.
    #[must_use]
    pub(crate) fn move_early(&self, term: Term, key: Key, deadline: u64) -> bool {
        let mut inner = lock(&self.inner);
        let early = inner.is_open(term) && inner.heap.look(key) == Standing::Early;
        if early {
            inner.moved.push((key, deadline));
        }
        early
    }
}
