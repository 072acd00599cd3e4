//! The slabs of the whole process, in a table that a signal handler can read.
//!
//! An entry is never freed, only used again, so a reader may walk the table at any time. One that
//! changes while it is read is a slab that no running stack lies in, hence not the one that is
//! looked for; the reader only has to notice that it changed.

use super::size::Shape;
use crate::engine::primitive::{AtomicPtr, AtomicUsize, Mutex, Ordering, fence, lock};
use std::ptr;

/// Where a slab lies.
#[derive(Debug)]
pub(super) struct Region {
    /// 0 while the entry stands for nothing. Written last, and set to 0 first.
    base: AtomicUsize,
    len: AtomicUsize,
    guard: AtomicUsize,
    size: AtomicUsize,
    /// The entry made before this one; never changes.
    next: *const Region,
}

// SAFETY: `next` is never changed, and points to an entry, which lives for ever.
unsafe impl Sync for Region {}
// SAFETY: as above.
unsafe impl Send for Region {}

/// The entry made last.
static LAST: AtomicPtr<Region> = AtomicPtr::new(ptr::null_mut());
/// Entries that stand for nothing. The lock is held by whoever changes the table.
static VACANT: Mutex<Vec<&'static Region>> = Mutex::new(Vec::new());

/// A stack, as the table knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Where its slot ends.
    pub(super) end: usize,
    /// How its slot is divided.
    pub(super) shape: Shape,
}

/// Puts a slab into the table.
pub(super) fn add(base: usize, len: usize, shape: Shape) -> &'static Region {
    let mut vacant = lock(&VACANT);
    if let Some(region) = vacant.pop() {
        // Ordering: Release, so that who sees the values below also sees that `base` was 0;
        // partner of the fence in `find`.
        fence(Ordering::Release);
        region.len.store(len, Ordering::Relaxed);
        region.guard.store(shape.guard, Ordering::Relaxed);
        region.size.store(shape.size, Ordering::Relaxed);
        // Ordering: Release, for the Acquire of `find`: who sees the base sees the rest.
        region.base.store(base, Ordering::Release);
        return region;
    }
    let region = Box::leak(Box::new(Region {
        base: AtomicUsize::new(base),
        len: AtomicUsize::new(len),
        guard: AtomicUsize::new(shape.guard),
        size: AtomicUsize::new(shape.size),
        next: LAST.load(Ordering::Relaxed),
    }));
    // Ordering: Release, for the Acquire of `find`. Only holders of the lock write it.
    LAST.store(region, Ordering::Release);
    region
}

/// Takes a slab out of the table.
pub(super) fn remove(region: &'static Region) {
    let mut vacant = lock(&VACANT);
    region.base.store(0, Ordering::Relaxed);
    vacant.push(region);
}

/// Which stack `address` belongs to, as part of it or of its guard. May be called by a signal
/// handler.
pub(super) fn find(address: usize) -> Option<Found> {
    let mut next = LAST.load(Ordering::Acquire).cast_const();
    // SAFETY: entries live for ever, and null ends the list.
    while let Some(region) = unsafe { next.as_ref() } {
        if let Some(found) = region.find(address) {
            return Some(found);
        }
        next = region.next;
    }
    None
}

impl Region {
    fn find(&self, address: usize) -> Option<Found> {
        // Ordering: Acquire, for the Release in `add`.
        let base = self.base.load(Ordering::Acquire);
        let len = self.len.load(Ordering::Relaxed);
        let shape = Shape {
            guard: self.guard.load(Ordering::Relaxed),
            size: self.size.load(Ordering::Relaxed),
        };
        // Ordering: Acquire, for the fence in `add`: if a value above is a later slab's, the base
        // read now is that slab's, or 0.
        fence(Ordering::Acquire);
        if base == 0 || self.base.load(Ordering::Relaxed) != base {
            return None;
        }
        let offset = address.checked_sub(base).filter(|&offset| offset < len)?;
        Some(Found {
            end: base + (offset / shape.stride() + 1) * shape.stride(),
            shape,
        })
    }
}
