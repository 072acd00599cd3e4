//! The timers of one P as plain data: a heap of deadlines, and a slot for each timer's waker.
//!
//! The heap does not know where in it a timer is: keeping that up to date would cost a write to a
//! cold slot for every entry that a sift moves. So a timer that is cancelled leaves its entry behind,
//! dead, and the dead are swept out when they have become many. A slot is free when its entry is
//! gone: so one bit for each slot tells the dead, and a sweep through a hundred thousand stays within
//! the nearest cache. Most
//! timers never fire, and most of these are cancelled soon after they were made: then the entry is
//! the last one of the array, and goes at once. Or they are cancelled in the order in which they were
//! made, as timeouts of the same length are; then the dead one is the root, and to take it out would
//! cost a sift from top to bottom each time. So a root may be dead, and whoever is about to sleep by
//! it has it [pruned](Heap::prune) first.
//!
//! A slot may also be [reserved](Heap::reserve), for a timer that arrives later under a key that it
//! has already. Whoever asks for it before that learns that it is [early](Standing::Early). Most never
//! arrive: so a slot is a number at first, and has memory when something arrives in it, or in a later one.
//!
//! Invariants:
//! - A slot has one entry, or is free, or is reserved. An entry is alive if the bit of its slot is set;
//!   then the slot has its waker, and its key is that of the slot's generation. It is dead otherwise;
//!   then the slot has no waker.
//! - A slot's generation is that of the last key under which a timer was in it, and not below that of
//!   any key that was given before the slot was made: it only grows, also if the slot goes and comes again.
//!   For those without memory it is `floor`.
//! - A reserved slot is given to no other, and does not go, unless whoever reserved it gives it back or its
//!   early key is cancelled.
//! - `dead` counts the dead entries.

use std::task::Waker;

/// Later than every deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// Children of a node: with four, the heap is half as deep as with two, and the children of a node
/// lie within two cache lines.
const ARITY: usize = 4;

/// As many dead entries are never worth a sweep.
const FEW: usize = 64;

/// What an empty heap may keep allocated for good, in entries.
const KEPT: usize = 1024;

/// A timer that was inserted, or is yet to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(super) generation: u64,
    pub(super) slot: u32,
}

/// How things stand with the timer of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is yet to arrive.
    Early,
    /// It is there.
    Pending,
    /// It has fired, or was cancelled.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: u64,
    /// Of two with the same deadline the one that arrived first fires first.
    seq: u64,
    slot: u32,
}

impl Entry {
    #[inline]
    fn is_before(&self, other: &Entry) -> bool {
        (self.deadline, self.seq) < (other.deadline, other.seq)
    }
}

/// What a timer is found by.
#[derive(Debug)]
struct Slot {
    generation: u64,
    waker: Option<Waker>,
}

/// The timers of one P.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
    dead: usize,
    /// The last number that was given, to an entry, a key or a [generation](Heap::generation).
    seq: u64,
    /// How many slots there are: as many as there were entries and reserved ones at once since there last
    /// were none.
    made: u32,
    /// The first of them, up to the last in which something has arrived.
    slots: Vec<Slot>,
    /// The generation of the others.
    floor: u64,
    /// A bit for each slot that has memory.
    alive: Vec<u64>,
    /// The free slots, of which the last one freed is the first to be used again.
    free: Vec<u32>,
}

impl Heap {
    /// When the next timer is due, or [`NEVER`]; earlier, if that was due before and is gone.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        self.entries.first().map_or(NEVER, |root| root.deadline)
    }

    /// How many timers there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.dead
    }

    /// For how many timers it has memory.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        let slots = self.slots.capacity().max(self.free.capacity());
        self.entries.capacity().max(slots)
    }

    /// Adds a timer.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, waker: Waker) -> Key {
        let slot = self.reserve();
        let generation = self.seq + 1;
        let key = Key { generation, slot };
        self.arrive(key, deadline, waker);
        key
    }

    /// Reserves a slot.
    #[inline]
    pub(crate) fn reserve(&mut self) -> u32 {
        match self.free.pop() {
            Some(slot) => slot,
            None => self.reserve_row(1),
        }
    }

    /// Reserves slots that were used before: as many as there are, and at most `most`.
    pub(crate) fn reserve_used(&mut self, most: usize) -> Vec<u32> {
        let rest = self.free.len().saturating_sub(most);
        self.free.drain(rest..).collect()
    }

    /// Reserves as many slots that never were, of which each but the first follows another. The first.
    #[inline]
    pub(crate) fn reserve_row(&mut self, count: u32) -> u32 {
        let first = self.made;
        self.made = first
            .checked_add(count)
            .expect("memory ends long before the numbers do");
        first
    }

    /// Gives those back that [`reserve_row`](Heap::reserve_row) gave, and nobody has used, so that there are as
    /// few slots as before. `false`: there are others after them, or they have memory.
    ///
    /// Afterwards no key that was given before leads to a slot without memory: whoever has reserved others has
    /// to give new ones.
    #[must_use]
    pub(crate) fn release_row(&mut self, first: u32, count: u32) -> bool {
        let last = first + count == self.made && self.slots.len() <= first as usize;
        if last {
            self.made = first;
            // Their keys lead nowhere, whoever gets those numbers.
            self.floor = self.seq;
        }
        last
    }

    /// Gives a slot memory.
    #[inline]
    fn make(&mut self, slot: u32) {
        if slot as usize >= self.slots.len() {
            self.make_up_to(slot);
        }
    }

    #[cold]
    fn make_up_to(&mut self, slot: u32) {
        debug_assert!(slot < self.made);
        let generation = self.floor;
        self.slots.resize_with(slot as usize + 1, || Slot {
            generation,
            waker: None,
        });
        self.alive.resize(self.slots.len().div_ceil(64), 0);
    }

    /// A generation for the keys of timers that will be in slots which have been reserved.
    #[inline]
    pub(crate) fn generation(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Gives back a slot that was reserved.
    pub(crate) fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Adds a timer with a key that is early.
    #[inline]
    pub(crate) fn arrive(&mut self, key: Key, deadline: u64, waker: Waker) {
        debug_assert_eq!(self.look(key), Standing::Early);
        let Key { generation, slot } = key;
        self.make(slot);
        self.slots[slot as usize] = Slot {
            generation,
            waker: Some(waker),
        };
        self.alive[slot as usize / 64] |= 1 << (slot % 64);
        self.seq += 1;
        self.entries.push(Entry {
            deadline,
            seq: self.seq,
            slot,
        });
        self.sift_up(self.entries.len() - 1);
    }

    /// How things stand with a timer.
    #[inline]
    pub(super) fn look(&self, key: Key) -> Standing {
        match self.slots.get(key.slot as usize) {
            Some(slot) if slot.generation == key.generation && slot.waker.is_some() => {
                Standing::Pending
            }
            Some(slot) if slot.generation < key.generation => Standing::Early,
            None if self.floor < key.generation => Standing::Early,
            _ => Standing::Gone,
        }
    }

    /// Takes a timer out, or keeps it from arriving. Its waker, for the caller to drop; `None` if it
    /// has none yet, or no more.
    #[inline]
    pub(crate) fn cancel(&mut self, key: Key) -> Option<Waker> {
        match self.look(key) {
            Standing::Pending => {}
            Standing::Early => {
                self.make(key.slot);
                self.slots[key.slot as usize].generation = key.generation;
                self.release(key.slot);
                return None;
            }
            Standing::Gone => return None,
        }
        let waker = self.vacate(key.slot);
        self.dead += 1;
        if self
            .entries
            .last()
            .is_some_and(|last| last.slot == key.slot)
        {
            while let Some(last) = self.entries.last()
                && self.dead > 0
                && self.is_dead(last)
            {
                self.free.push(last.slot);
                self.entries.pop();
                self.dead -= 1;
            }
        } else if self.dead == self.entries.len() {
            self.free
                .extend(self.entries.drain(..).map(|entry| entry.slot));
            self.dead = 0;
        } else if self.dead > FEW.max(self.entries.len() / 2) {
            // Measured with 200,000 timers: a quarter instead of half takes a third more time.
            self.sweep();
        }
        self.shrink();
        waker
    }

    /// The waker of a timer that is there.
    #[inline]
    pub(crate) fn waker(&mut self, key: Key) -> Option<&mut Waker> {
        match self.look(key) {
            Standing::Pending => self.slots[key.slot as usize].waker.as_mut(),
            _ => None,
        }
    }

    /// Takes out the timers that are due, the earliest first, until `into` has `most` wakers.
    pub(crate) fn expire(&mut self, now: u64, most: usize, into: &mut Vec<Waker>) {
        self.prune();
        while into.len() < most
            && let Some(&root) = self.entries.first()
            && root.deadline <= now
        {
            into.extend(self.vacate(root.slot));
            self.pop_root();
            self.prune();
        }
        self.shrink();
    }

    /// Takes dead roots out, so that the earliest timer is one that there is.
    pub(crate) fn prune(&mut self) {
        while self.dead > 0 && self.entries.first().is_some_and(|root| self.is_dead(root)) {
            self.dead -= 1;
            self.pop_root();
        }
    }

    /// Takes all timers out, and all reserved slots back.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        let slots = std::mem::take(&mut self.slots);
        *self = Heap {
            seq: self.seq,
            floor: self.seq,
            ..Heap::default()
        };
        slots.into_iter().filter_map(|slot| slot.waker).collect()
    }

    #[inline]
    fn is_dead(&self, entry: &Entry) -> bool {
        self.alive[entry.slot as usize / 64] & (1 << (entry.slot % 64)) == 0
    }

    /// Takes the waker of a timer. Its entry is dead, or goes.
    #[inline]
    fn vacate(&mut self, slot: u32) -> Option<Waker> {
        self.alive[slot as usize / 64] &= !(1 << (slot % 64));
        self.slots[slot as usize].waker.take()
    }

    /// Takes the root out, whose slot is vacant.
    fn pop_root(&mut self) {
        let root = self.entries.swap_remove(0);
        self.free.push(root.slot);
        self.sift_down(0);
    }

    /// Takes all dead entries out.
    fn sweep(&mut self) {
        let Heap {
            entries,
            alive,
            free,
            ..
        } = self;
        entries.retain(|entry| {
            let lives = alive[entry.slot as usize / 64] & (1 << (entry.slot % 64)) != 0;
            if !lives {
                free.push(entry.slot);
            }
            lives
        });
        self.dead = 0;
        for parent in (0..self.entries.len().div_ceil(ARITY)).rev() {
            self.sift_down(parent);
        }
    }

    /// Whether more memory is kept than is worth keeping for good.
    #[inline]
    pub(crate) fn is_roomy(&self) -> bool {
        self.room() > KEPT
    }

    /// Gives memory back, if there are no timers.
    #[inline]
    pub(crate) fn shrink(&mut self) {
        if self.is_roomy() && self.free.len() == self.made as usize {
            self.settle();
        }
    }

    /// Gives memory back that a crowd of timers needed which is gone: half of it each time that there
    /// are none, unless a crowd was there again in the meantime. To have it all anew from the operating
    /// system for the next crowd takes a quarter of the time of setting its timers.
    #[cold]
    fn settle(&mut self) {
        let crowd = self.slots.len();
        let kept = KEPT.max(crowd).max(self.room() / 2);
        // Keys that lead nowhere are those of timers that have fired.
        self.floor = self.seq;
        self.made = 0;
        self.slots.clear();
        self.alive.clear();
        self.free.clear();
        self.entries.shrink_to(kept);
        self.slots.shrink_to(kept);
        self.alive.shrink_to(kept.div_ceil(64));
        self.free.shrink_to(kept);
    }

    #[inline]
    fn sift_up(&mut self, mut at: usize) {
        let entry = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !entry.is_before(&self.entries[parent]) {
                break;
            }
            self.entries[at] = self.entries[parent];
            at = parent;
        }
        self.entries[at] = entry;
    }

    fn sift_down(&mut self, mut at: usize) {
        let Some(&entry) = self.entries.get(at) else {
            return;
        };
        loop {
            let first = at * ARITY + 1;
            let last = (first + ARITY).min(self.entries.len());
            let Some(least) = (first..last).reduce(|least, other| {
                if self.entries[other].is_before(&self.entries[least]) {
                    other
                } else {
                    least
                }
            }) else {
                break;
            };
            if !self.entries[least].is_before(&entry) {
                break;
            }
            self.entries[at] = self.entries[least];
            at = least;
        }
        self.entries[at] = entry;
    }
}
