//! The slots of a netpoller: each at its place for as long as the netpoller is there.

use super::slot::Slot;
use crate::engine::primitive::{Mutex, lock};
use crate::engine::util::CachePadded;
use std::io;
use std::sync::OnceLock;

/// How many slots the first chunk has; each other one has twice as many as the one before.
const FIRST: usize = 32;
/// So many chunks hold all that a token can name.
const CHUNKS: usize = 26;

/// All slots, in chunks that stay where they are, so that a look-up takes no lock.
#[derive(Debug)]
pub(super) struct Table {
    chunks: [OnceLock<Box<[CachePadded<Slot>]>>; CHUNKS],
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    /// Those that were used before, last in, first out.
    used: Vec<u32>,
    /// How many were ever used.
    fresh: usize,
}

/// The chunk of slot `index`, and its place there.
fn place(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::default(),
        }
    }

    /// The slot `index`, which was taken at some time.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        let (chunk, at) = place(index as usize);
        let slot = self.chunks.get(chunk)?.get()?.get(at)?;
        Some(slot)
    }

    /// A slot that nobody has.
    ///
    /// # Errors
    /// If there are as many as a token can name.
    pub(super) fn take(&self) -> io::Result<(u32, &Slot)> {
        let index = {
            let mut free = lock(&self.free);
            match free.used.pop() {
                Some(index) => index,
                None => {
                    let fresh = free.fresh;
                    if place(fresh).0 >= CHUNKS {
                        return Err(io::Error::other("too many sockets are registered"));
                    }
                    free.fresh += 1;
                    fresh as u32
                }
            }
        };
        let (chunk, at) = place(index as usize);
        let slots = self.chunks[chunk].get_or_init(|| {
            let slots = (0..FIRST << chunk).map(|_| CachePadded::new(Slot::new()));
            slots.collect()
        });
        Ok((index, &slots[at]))
    }

    /// Nobody has the slot `index` any more.
    pub(super) fn give(&self, index: u32) {
        lock(&self.free).used.push(index);
    }

    /// Every slot that was ever used, and some that were not.
    pub(super) fn all(&self) -> impl Iterator<Item = &Slot> {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        chunks.flat_map(|chunk| chunk.iter().map(|slot| &**slot))
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNKS, FIRST, Table, place};

    #[test]
    fn places_follow_each_other_from_chunk_to_chunk() {
        let mut expected = (0, 0);
        for index in 0..FIRST * 15 {
            assert_eq!(place(index), expected, "slot {index}");
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(place(FIRST * ((1 << CHUNKS) - 1)).0, CHUNKS);
        assert!(u32::try_from(FIRST * ((1 << CHUNKS) - 1)).is_ok());
    }

    #[test]
    fn a_slot_is_used_again_and_stays_where_it_is() {
        let table = Table::new();
        let taken: Vec<_> = (0..100).map(|_| table.take().unwrap()).collect();
        for (i, (index, slot)) in taken.iter().enumerate() {
            assert_eq!(*index as usize, i);
            assert!(std::ptr::eq(table.get(*index).unwrap(), *slot));
        }
        table.give(70);
        assert_eq!(table.take().unwrap().0, 70);
        assert_eq!(table.take().unwrap().0, 100);
        assert!(table.get(1_000_000).is_none());
        assert!(table.all().count() >= 101);
    }
}
