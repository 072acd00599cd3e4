//! Timers in their first turn: of a P, but not among its others yet.
//!
//! Most timers never fire, and many are gone before the turn is over in which they were set: a timeout
//! around what turned out to be ready the second time, the loser of a `select!`. A timer that a G sets with
//! the waker of its own turn cannot matter before that turn is over: to wake a G that runs only means
//! that it has another turn. So until then it is here, in the hands of the P's holder alone: no lock is
//! taken for it, and its waker is not counted. Where the turn ends, those that are left
//! [arrive](Young::settle) among the others, all at once.
//!
//! Each has a key from the beginning, of a slot that was reserved: a few are kept from turn to turn, and a turn
//! that sets more reserves them in rows, each as long as all before it. So the number of a timer tells its key, and
//! all that is written down is when it is due. So whoever comes upon one from
//! elsewhere, since the G gave it away in the midst of its turn, goes to the P's other timers with that
//! key as ever, and finds that it is early.

use super::heap::{Heap, Standing};
use super::moment::nanos;
use super::{Inner, Key, Term, Timers};
use crate::engine::primitive::{lock, try_lock};
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ops::Range;
use std::task::{RawWakerVTable, Waker};
use std::time::Instant;

/// How many slots it keeps reserved from one turn to the next. A guess: more are needed by turns that are
/// long anyhow.
const KEPT: usize = 16;

/// For how many there may be memory for good.
const ROOMY: usize = 1024;

/// The timers that were set in this turn, and are to be woken for by one G.
#[derive(Debug)]
pub(crate) struct Young {
    /// Where they go to.
    timers: &'static Timers,
    term: Term,
    /// When each is due; not in nanoseconds yet, as to count them takes a while. `None`: it was cancelled, and
    /// that was noted.
    entries: Vec<Option<Instant>>,
    /// Those of the entries whose timers were cancelled.
    cancelled: Vec<u32>,
    /// The slots of the first.
    kept: [u32; KEPT],
    /// How many slots it has: none; or as many as it keeps, twice for each row.
    reserved: usize,
    /// The generation of their keys, in this turn. Timers with earlier ones have arrived, or were cancelled.
    first: u64,
    /// The slots of the others.
    rows: Vec<Row>,
    /// Whom they wake. Valid while there is any.
    owner: Option<Owner>,
    /// As many slots were reserved at once since memory was last given back.
    crowd: usize,
}

/// Slots that were reserved in this turn: as many as there were before.
#[derive(Debug)]
struct Row {
    /// Those that others had before.
    used: Vec<u32>,
    /// The first of the others, which follow each other.
    first: u32,
    /// That of their keys.
    generation: u64,
}

impl Row {
    /// Its slot of that number.
    #[inline]
    fn slot(&self, number: usize) -> u32 {
        match number.checked_sub(self.used.len()) {
            Some(number) => self.first + number as u32,
            None => self.used[number],
        }
    }
}

/// The numbers of the entries that have the slots of a row.
#[inline]
fn numbers(row: usize) -> Range<usize> {
    KEPT << row..KEPT << (row + 1)
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
    pub(super) generation: NonZeroU64,
    /// The slot and, above it, the number of its entry, which is less than `u32::MAX`.
    pub(super) place: u64,
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
            cancelled: Vec::new(),
            kept: [0; KEPT],
            reserved: 0,
            first: u64::MAX,
            rows: Vec::new(),
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
        self.entries.is_empty() && self.rows.is_empty()
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
        if self.entries.is_empty() {
            self.owner = Some(Owner {
                data: owner.data(),
                vtable: owner.vtable(),
            });
        } else if self.owner.is_none_or(|first| first.data != owner.data()) {
            return None;
        }
        if !self.cancelled.is_empty() || self.entries.len() >= self.reserved {
            return self.set_elsewhere(deadline);
        }
        self.entries.push(Some(deadline));
        Some(self.infant(self.entries.len() - 1))
    }

    /// Where one was cancelled, or in a slot yet to be reserved.
    #[inline(never)]
    fn set_elsewhere(&mut self, deadline: Instant) -> Option<Infant> {
        if let Some(at) = self.cancelled.pop() {
            self.entries[at as usize] = Some(deadline);
            return Some(self.infant(at as usize));
        }
        self.grow();
        (self.entries.len() < self.reserved).then(|| {
            self.entries.push(Some(deadline));
            self.infant(self.entries.len() - 1)
        })
    }

    /// What a timer of that number is known by.
    #[inline(always)] // The first of them in a few instructions.
    fn key(&self, at: usize) -> Key {
        if at < KEPT {
            return Key {
                generation: self.first,
                slot: self.kept[at],
            };
        }
        let number = (at / KEPT).ilog2() as usize;
        let row = &self.rows[number];
        Key {
            generation: row.generation,
            slot: row.slot(at - numbers(number).start),
        }
    }

    #[inline]
    fn infant(&self, at: usize) -> Infant {
        let Key { generation, slot } = self.key(at);
        Infant {
            generation: NonZeroU64::new(generation).expect("a heap counts from one"),
            place: (at as u64) << 32 | u64::from(slot),
        }
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
        debug_assert!(at < self.entries.len());
        if at + 1 == self.entries.len() && self.cancelled.is_empty() {
            self.entries.truncate(at);
        } else {
            self.cancel_before(infant.at());
        }
        true
    }

    #[inline(never)]
    fn cancel_before(&mut self, at: u32) {
        self.cancelled.push(at);
        if self.cancelled.len() == self.entries.len() {
            self.cancelled.clear();
            self.entries.clear();
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
        if self.reserved == 0 {
            self.keep(heap);
        } else {
            let count = self.reserved;
            let used = heap.reserve_used(count);
            let others = u32::try_from(count - used.len()).expect("memory ends long before");
            self.rows.push(Row {
                used,
                first: heap.reserve_row(others),
                // Later than whatever was in those slots.
                generation: heap.generation(),
            });
            self.reserved += count;
            self.crowd = self.crowd.max(self.reserved);
        }
    }

    /// Has as many slots as it keeps from turn to turn, for keys that were never given.
    #[inline]
    fn keep(&mut self, heap: &mut Heap) {
        if self.reserved == 0 {
            self.kept.fill_with(|| heap.reserve());
        }
        self.reserved = KEPT;
        self.first = heap.generation();
    }

    /// Has them all arrive among the P's other timers.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.is_settled() {
            return;
        }
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
            let any = !self.entries.is_empty();
            self.clear();
            if any {
                // It will poll them, and learn why.
                owner.wake_by_ref();
            }
            return;
        }
        let Inner { heap, moved, .. } = &mut *inner;
        for at in 0..self.entries.len() {
            let Some(deadline) = self.entries[at] else {
                continue;
            };
            let key = self.key(at);
            // Unless somebody was faster who had it, see `heap`.
            if heap.look(key) == Standing::Early {
                let deadline = moved
                    .get(&key)
                    .map_or_else(|| nanos(deadline), |&deadline| deadline);
                // Cloned under the lock: that is a count, as it is a G's.
                heap.arrive(key, deadline, Waker::clone(&owner));
            }
            // As of now that slot is a timer's.
            if at < KEPT {
                self.kept[at] = heap.reserve();
            }
        }
        while let Some(row) = self.rows.pop() {
            let entries = &self.entries;
            give_back(heap, &row, numbers(self.rows.len()), |at| {
                entries.get(at).is_some_and(Option::is_some)
            });
        }
        self.entries.clear();
        if !moved.is_empty() {
            moved.clear();
        }
        self.keep(heap);
        self.timers.publish(&inner);
    }

    #[cold]
    fn mark_cancelled(&mut self) {
        for at in self.cancelled.drain(..) {
            self.entries[at as usize] = None;
        }
    }

    /// Gives reserved slots back if they keep the P's other timers from giving back memory; the P is about
    /// to be given up.
    pub(crate) fn leave(&mut self) {
        debug_assert!(self.is_settled());
        if self.reserved == 0 {
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
            for &slot in &self.kept {
                heap.release(slot);
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
        self.reserved = 0;
        self.rows.clear();
        self.first = u64::MAX;
        let kept = ROOMY
            .max(std::mem::take(&mut self.crowd))
            .max(self.room() / 2);
        self.entries.shrink_to(kept);
        self.cancelled.shrink_to(kept);
    }
}

/// Gives the slots of a row back, of the entries with these numbers, apart from those that are `taken`.
#[cold]
fn give_back(heap: &mut Heap, row: &Row, numbers: Range<usize>, taken: impl Fn(usize) -> bool) {
    let mut left = numbers.clone();
    let mut others = numbers.start + row.used.len()..numbers.end;
    let count = others.len() as u32;
    if !others.any(&taken) && heap.release_row(row.first, count) {
        left.end = numbers.start + row.used.len();
    }
    for at in left {
        if !taken(at) {
            heap.release(row.slot(at - numbers.start));
        }
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
