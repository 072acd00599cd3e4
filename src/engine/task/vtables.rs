//! What the wakers of a kind of future look like, known before the first one is made.
//!
//! async-task's waker has a vtable for each type of future, which only a waker tells. To make one
//! and drop it again costs every spawn two atomic operations, of some twenty in its whole life. So
//! a P remembers the vtables of the futures that it spawned last.

use std::any::TypeId;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::task::RawWakerVTable;

/// How many types of futures are remembered. A power of two.
const ENTRIES: usize = 16;

type Entry = Option<(TypeId, &'static RawWakerVTable)>;

/// The vtables of some types of futures, by the type; one place for each of a few types, and the
/// last one wins it. Used by one thread at a time.
#[derive(Debug, Default)]
pub(crate) struct Vtables {
    entries: [Cell<Entry>; ENTRIES],
}

impl Vtables {
    /// The vtable of the wakers of a G whose future is of type `future`, if it is known.
    #[inline]
    pub(crate) fn get(&self, future: TypeId) -> Option<&'static RawWakerVTable> {
        match self.entries[place(future)].get() {
            Some((of, vtable)) if of == future => Some(vtable),
            _ => None,
        }
    }

    /// Remembers it.
    #[cold]
    pub(crate) fn put(&self, future: TypeId, vtable: &'static RawWakerVTable) {
        self.entries[place(future)].set(Some((future, vtable)));
    }
}

/// A `TypeId` is a hash already, of which this takes some bits.
#[inline]
fn place(future: TypeId) -> usize {
    struct Bits(u64);
    impl Hasher for Bits {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u64::from(byte);
            }
        }
        #[inline]
        fn write_u64(&mut self, bits: u64) {
            self.0 ^= bits;
        }
    }
    let mut bits = Bits(0);
    future.hash(&mut bits);
    bits.finish() as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::Vtables;
    use std::any::TypeId;
    use std::task::Waker;

    #[test]
    fn what_was_put_is_found_under_its_type_alone() {
        let vtables = Vtables::default();
        let vtable = Waker::noop().vtable();
        assert!(vtables.get(TypeId::of::<u8>()).is_none());
        vtables.put(TypeId::of::<u8>(), vtable);
        assert!(vtables.get(TypeId::of::<u8>()).is_some());
        assert!(vtables.get(TypeId::of::<u16>()).is_none());
    }
}
