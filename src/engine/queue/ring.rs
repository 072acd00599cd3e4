//! The local run queue of a P: a ring that its owner fills and everybody empties.
//!
//! What it owes: each G that was pushed is taken exactly once, by `pop`, by a thief, or as part of
//! the half that overflows; Gs are taken in the order in which they were pushed.
//!
//! ```text
//!          head                     tail
//!            v                        v
//!   | ? | ? | G | G | G | G | G | G | ? | ? |      counted without bound, masked on use
//!             taken from here         pushed here
//! ```
//!
//! `tail` is written by the owner alone. `head` moves by compare-exchange, by whoever takes; that
//! one operation decides who got the Gs between the old and the new head. A taker reads the slots
//! *before* it wins the head: what it read may be overwritten meanwhile, but only after somebody
//! moved the head, and then its own exchange fails and the values are thrown away. The slots are
//! atomics so that this reading is defined.
//!
//! Why half the ring moves on overflow and not one G: the next pushes are then plain stores again,
//! and the price of the global queue is paid once in 128 pushes.

use super::RawG;
use crate::engine::primitive::{AtomicPtr, AtomicU32, Ordering};
use crate::engine::util::CachePadded;

/// How many Gs a ring holds.
#[cfg(not(loom))]
pub(crate) const CAPACITY: usize = 256;
#[cfg(loom)]
pub(crate) const CAPACITY: usize = 4;

const MASK: u32 = (CAPACITY - 1) as u32;
const HALF: usize = CAPACITY / 2;

/// Where Gs go for which a ring has no room.
pub(crate) trait Overflow {
    /// Takes over all of `batch`, oldest first.
    fn overflow(&self, batch: &[RawG]);
}

/// A bounded queue with one producer and many consumers.
pub(crate) struct Ring {
    head: CachePadded<AtomicU32>,
    tail: CachePadded<AtomicU32>,
    slots: Box<[AtomicPtr<()>; CAPACITY]>,
}

/// How far a ring had been filled and emptied at some moment: equal ones mean that nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(loom, allow(dead_code))]
pub(crate) struct Snapshot {
    head: u32,
    tail: u32,
}

#[cfg_attr(loom, allow(dead_code))]
impl Snapshot {
    /// How many Gs there were, about.
    pub(crate) fn len(self) -> usize {
        // A head read before a tail that has gone round since would give too much.
        (self.tail.wrapping_sub(self.head) as usize).min(CAPACITY)
    }

    /// Whether there were none.
    pub(crate) fn is_empty(self) -> bool {
        self.head == self.tail
    }
}

impl Ring {
    /// An empty ring.
    pub(crate) fn new() -> Ring {
        Ring {
            head: CachePadded::new(AtomicU32::new(0)),
            tail: CachePadded::new(AtomicU32::new(0)),
            slots: Box::new(std::array::from_fn(|_| AtomicPtr::default())),
        }
    }

    /// What can be seen of it now.
    #[inline]
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            head: self.head.load(Ordering::Relaxed),
            tail: self.tail.load(Ordering::Relaxed),
        }
    }

    /// How many Gs it holds: exact for the owner while nobody steals, else an estimate.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Ordering: Relaxed is enough for an estimate. Whoever must not miss a push puts a SeqCst
        // fence before this (`Idle`'s protocol).
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        // A head read before a tail that has gone round since would give too much.
        (tail.wrapping_sub(head) as usize).min(CAPACITY)
    }

    /// Whether there is nothing to take, as far as `len` can tell.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) == self.tail.load(Ordering::Relaxed)
    }

    /// Appends `gp`; if the ring is full, half of it and `gp` go to `overflow` in one batch.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn push(&self, gp: RawG, overflow: &impl Overflow) {
        loop {
            // Ordering: Acquire pairs with the Release of a taker's exchange: the taker has read
            // the slots that it freed before we write to them again.
            let head = self.head.load(Ordering::Acquire);
            // Ordering: Relaxed, only we write it.
            let tail = self.tail.load(Ordering::Relaxed);
            if (tail.wrapping_sub(head) as usize) < CAPACITY {
                self.slot(tail).store(gp.as_ptr(), Ordering::Relaxed);
                // Ordering: Release, for the Acquire load of the tail in `steal_into`: a thief that
                // sees the new tail sees the slot, and the G behind it.
                self.tail.store(tail.wrapping_add(1), Ordering::Release);
                return;
            }
            // SAFETY: as our caller promised.
            if unsafe { self.push_slow(gp, head, tail, overflow) } {
                return;
            }
            // Thieves took some meanwhile, so there is room now.
        }
    }

    /// Moves half of the ring, and then `gp`, to `overflow`. `false` if a thief was faster.
    ///
    /// # Safety
    /// The caller is the owner; `head` and `tail` were read by it from this full ring.
    #[cold]
    #[inline(never)]
    unsafe fn push_slow(&self, gp: RawG, head: u32, tail: u32, overflow: &impl Overflow) -> bool {
        debug_assert_eq!(tail.wrapping_sub(head) as usize, CAPACITY);
        let mut batch = [gp; HALF + 1];
        self.read(head, &mut batch[..HALF]);
        // Ordering: Release, as in every exchange of the head: our reads of the slots come before
        // the owner (ourselves) reuses them. Relaxed on failure: we only learn that we lost.
        if self
            .head
            .compare_exchange(
                head,
                head.wrapping_add(HALF as u32),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_err()
        {
            return false;
        }
        overflow.overflow(&batch);
        true
    }

    /// Takes the oldest G.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Option<RawG> {
        // Ordering: Relaxed throughout: we wrote the tail and the slots ourselves, and of the head
        // only its value matters, which the exchange checks.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == self.tail.load(Ordering::Relaxed) {
                return None;
            }
            let gp = self.slot(head).load(Ordering::Relaxed);
            // Ordering: Release on success keeps the release sequence that a later push relies on
            // when it acquires the head: without it, a push after *our* pop would not be ordered
            // after the reads of a thief that moved the head before us. (Read-modify-writes
            // continue a release sequence by themselves; said so that nobody has to look it up.)
            match self.head.compare_exchange_weak(
                head,
                head.wrapping_add(1),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return RawG::new(gp),
                Err(now) => head = now,
            }
        }
    }

    /// Moves half of this ring, rounded up, but no more than `most`, to `thief`, and returns the newest
    /// of the moved ones to be run at once. `None` if there was nothing to take.
    ///
    /// # Safety
    /// The caller is the owner of `thief`, which is another ring than this one.
    pub(crate) unsafe fn steal_into(&self, thief: &Ring, most: usize) -> Option<RawG> {
        // Ordering: Relaxed for our own tail; Acquire for our head as in `push`.
        let to = thief.tail.load(Ordering::Relaxed);
        let room = CAPACITY - to.wrapping_sub(thief.head.load(Ordering::Acquire)) as usize;
        // Ordering: Acquire, so that the tail is read after it: a tail older than the head would
        // make the difference wrap.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // Ordering: Acquire, partner of the Release in `push`: the slots up to it are written.
            let tail = self.tail.load(Ordering::Acquire);
            let len = tail.wrapping_sub(head) as usize;
            if len > CAPACITY {
                // The head that we hold is from an earlier round than the tail.
                head = self.head.load(Ordering::Acquire);
                continue;
            }
            // The newest of them is returned, so one more than there is room for will do.
            let count = (len - len / 2).min(room + 1).min(most);
            if count == 0 {
                return None;
            }
            for i in 0..count as u32 - 1 {
                let gp = self.slot(head.wrapping_add(i)).load(Ordering::Relaxed);
                thief.slot(to.wrapping_add(i)).store(gp, Ordering::Relaxed);
            }
            let last = head.wrapping_add(count as u32 - 1);
            let newest = self.slot(last).load(Ordering::Relaxed);
            // Ordering: Release, partner of the Acquire in the victim's `push`: we have read the
            // slots. Acquire on failure, as for the first load.
            match self.head.compare_exchange(
                head,
                last.wrapping_add(1),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    // Ordering: Release, as in `push`: publishes what we copied to our own thieves.
                    thief
                        .tail
                        .store(to.wrapping_add(count as u32 - 1), Ordering::Release);
                    return RawG::new(newest);
                }
                Err(now) => head = now,
            }
        }
    }

    /// How many more Gs fit, for the owner.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn room(&self) -> usize {
        CAPACITY - self.len()
    }

    fn read(&self, from: u32, into: &mut [RawG]) {
        for (i, out) in into.iter_mut().enumerate() {
            let gp = self
                .slot(from.wrapping_add(i as u32))
                .load(Ordering::Relaxed);
            // Only slots between head and tail are read, and `push` stored a `RawG` in each.
            *out = RawG::new(gp).expect("a slot between head and tail holds a G");
        }
    }

    #[inline]
    fn slot(&self, index: u32) -> &AtomicPtr<()> {
        &self.slots[(index & MASK) as usize]
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("len", &self.len()).finish()
    }
}
