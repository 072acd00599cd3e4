//! The free stacks of one P.

use super::slab::Slot;

/// How many stacks a cache holds.
pub(super) const CACHE: usize = 64;
/// How many move between a cache and its pool at a time.
pub(super) const HALF: usize = CACHE / 2;

/// At most 64 free stacks of the usual size, last in, first out. It belongs to a P.
///
/// It is emptied by [`Pool::drain`](super::Pool::drain); stacks in a cache that is dropped are
/// leaked.
#[derive(Debug)]
pub(crate) struct Cache {
    /// The first `len` are there.
    slots: [Option<Slot>; CACHE],
    len: usize,
    /// How many it may hold: none until its pool has reserved address space for them.
    limit: usize,
    /// Which pool it belongs to; 0 while `limit` is.
    pool: usize,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            slots: [const { None }; CACHE],
            len: 0,
            limit: 0,
            pool: 0,
        }
    }
}

impl Cache {
    /// How many stacks are in it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it belongs to a pool, so that it may hold stacks.
    pub(super) fn is_open(&self) -> bool {
        self.limit != 0
    }

    /// Which pool it belongs to; 0 for none.
    #[inline]
    pub(super) fn pool(&self) -> usize {
        self.pool
    }

    /// Lets it hold stacks of a pool, which has reserved address space for them.
    pub(super) fn open(&mut self, pool: usize) {
        self.limit = CACHE;
        self.pool = pool;
    }

    /// Takes back `open`.
    pub(super) fn close(&mut self) {
        debug_assert_eq!(self.len, 0);
        self.limit = 0;
        self.pool = 0;
    }

    /// The one that was pushed last.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Slot> {
        let last = self.len.checked_sub(1)?;
        let slot = self.slots[last].take();
        self.len = last;
        slot
    }

    /// Keeps `slot`, or gives it back when there is no room.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot) -> Result<(), Slot> {
        if self.len >= self.limit {
            return Err(slot);
        }
        self.slots[self.len] = Some(slot);
        self.len += 1;
        Ok(())
    }

    /// Takes out up to `count` of those that were pushed first, in that order.
    pub(super) fn shift(&mut self, count: usize) -> impl Iterator<Item = Slot> {
        let count = count.min(self.len);
        // The first ones go to the end, and are taken from there.
        self.slots[..self.len].rotate_left(count);
        self.len -= count;
        self.slots[self.len..self.len + count]
            .iter_mut()
            .filter_map(Option::take)
    }
}
