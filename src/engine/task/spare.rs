//! The memory of the cell that was freed last, for the next G of that size.
//!
//! Go keeps dead Gs for the next ones. Here one is enough: to spawn a G and await it, again and again, takes the
//! same memory each time, and a seventh less of the time if it need not go by way of the allocator (`spawn and
//! await one at a time` of `vs_tokio`). Where many end together, many were there, and most go by way of it anyway.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// Room for one piece of memory.
#[derive(Debug)]
pub(crate) struct Spare {
    memory: Cell<Option<NonNull<u8>>>,
    layout: Cell<Layout>,
}

impl Spare {
    /// With nothing in it.
    pub(crate) fn new() -> Spare {
        Spare {
            memory: Cell::new(None),
            layout: Cell::new(Layout::new::<()>()),
        }
    }

    /// Memory of that layout, whose size is not zero.
    #[inline]
    pub(crate) fn allocate(&self, layout: Layout) -> NonNull<u8> {
        if self.layout.get() == layout
            && let Some(memory) = self.memory.take()
        {
            return memory;
        }
        allocate(layout)
    }

    /// Takes memory that is no longer used.
    ///
    /// # Safety
    /// It is the global allocator's, with that layout, and nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn free(&self, memory: NonNull<u8>, layout: Layout) {
        if cfg!(runnext_asan) {
            // So that the sanitizer sees who uses it all the same.
            // SAFETY: as our caller promised.
            return unsafe { free(memory, layout) };
        }
        let (old, of) = (
            self.memory.replace(Some(memory)),
            self.layout.replace(layout),
        );
        if let Some(old) = old {
            // SAFETY: it was put here with that layout.
            unsafe { free(old, of) };
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            // SAFETY: it was put here with that layout.
            unsafe { free(memory, self.layout.get()) };
        }
    }
}

/// Memory of that layout, whose size is not zero.
#[inline]
pub(crate) fn allocate(layout: Layout) -> NonNull<u8> {
    debug_assert!(layout.size() > 0);
    // SAFETY: as all callers see to.
    let memory = unsafe { alloc(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Gives memory of `allocate` back.
///
/// # Safety
/// It has that layout, and nobody uses it any more.
#[inline]
pub(crate) unsafe fn free(memory: NonNull<u8>, layout: Layout) {
    // SAFETY: as our caller promised.
    unsafe { dealloc(memory.as_ptr(), layout) }
}

#[cfg(test)]
mod tests {
    use super::{Spare, allocate, free};
    use std::alloc::Layout;

    #[test]
    #[cfg(not(runnext_asan))]
    fn what_was_freed_last_is_used_again_for_the_same_layout() {
        let (small, large) = (Layout::new::<[u64; 12]>(), Layout::new::<[u64; 15]>());
        let spare = Spare::new();
        let first = allocate(small);
        // SAFETY: allocated with that layout.
        unsafe { spare.free(first, small) };
        let other = spare.allocate(large);
        assert_ne!(other, first);
        assert_eq!(spare.allocate(small), first);
        let second = spare.allocate(small);
        assert_ne!(second, first);
        // SAFETY: as above, each once; the spare frees what it is left with.
        unsafe {
            spare.free(first, small);
            spare.free(other, large);
            free(second, small);
        }
    }
}
