//! The memory of a G: one allocation, with the header in front and room for the future or the
//! output after it.
//!
//! ```text
//!  RawG ──► ┌────────────────────────── G ──────────────────────────┐┌───── Stage ─────┐
//!           │ state │ vtable │ joiner's waker │ home, id, gopc, ...  ││ future | output │
//!           └───────────────────────────── 88 ─────────────────────────┘└─ at least 8 ────┘
//! ```
//!
//! A cell of a small future takes 96 bytes, for which glibc has a fast bin. It is aligned as its
//! parts ask for and no more: an alignment to cache lines would take the allocator's slow path.
//!
//! What is in the stage follows from the state word: the future until the runner drops it, which
//! it does before `COMPLETE`; after that the output, if there was a handle at that time, until the
//! handle takes or drops it.

use super::{Birth, Fault, G, Schedule};
use crate::engine::util::RawG;
use std::alloc::Layout;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::NonNull;
use std::task::RawWakerVTable;

/// What is to be known of a G's types where they are not.
pub(super) struct Vtable {
    /// Runs it once. For the owner.
    pub(super) run: unsafe fn(RawG),
    /// Hands it to its home to be queued. For the owner.
    pub(super) schedule: unsafe fn(RawG),
    /// What its wakers look like.
    pub(super) waker: &'static RawWakerVTable,
    /// Whether its stage begins with a `Head`.
    #[cfg_attr(not(stackful), allow(dead_code))] // Nobody asks.
    pub(super) stackful: bool,
    layout: Layout,
    /// Gives its memory back.
    free: unsafe fn(NonNull<u8>, Layout),
    /// Where the stage begins.
    stage: usize,
}

/// What a G has besides its header.
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Result<F::Output, Fault>>,
}

/// A G with everything that belongs to it.
#[repr(C)]
pub(super) struct Cell<F: Future, S> {
    gp: G,
    stage: Stage<F>,
    home: PhantomData<fn() -> S>,
}

impl<F: Future, S: Schedule> Cell<F, S> {
    /// What its header says of its types.
    pub(super) const VTABLE: Vtable = Self::vtable(super::body::run::<F, S>, false);

    /// As `VTABLE`, with another way to run it.
    pub(super) const fn vtable(run: unsafe fn(RawG), stackful: bool) -> Vtable {
        Vtable {
            run,
            schedule: super::waker::schedule::<S>,
            waker: &super::waker::Of::<S>::VTABLE,
            stackful,
            layout: Layout::new::<Self>(),
            free: S::free,
            stage: offset_of!(Self, stage),
        }
    }

    /// Puts a G with that `vtable`, of this type, into memory of its own. Whoever gives up its last
    /// reference frees it.
    #[inline(always)] // So that the future is moved once.
    pub(super) fn allocate(
        birth: Birth,
        home: *const S,
        vtable: &'static Vtable,
        future: F,
    ) -> RawG {
        // The size is not zero, as there is a header.
        let memory = S::allocate(Layout::new::<Self>());
        let cell = memory.cast::<Self>().as_ptr();
        // SAFETY: it is fresh memory with the layout of a cell.
        unsafe {
            G::write(&raw mut (*cell).gp, birth, home.cast(), vtable);
            (&raw mut (*cell).stage.future).write(ManuallyDrop::new(future));
        }
        memory.cast()
    }

    /// Where the future is.
    ///
    /// # Safety
    /// `gp` is alive, and was made by `allocate` of this type.
    #[inline]
    pub(super) unsafe fn future(gp: RawG) -> *mut F {
        let cell = gp.cast::<Self>().as_ptr();
        // SAFETY: as our caller promised; `ManuallyDrop` is transparent.
        unsafe { (&raw mut (*cell).stage.future).cast() }
    }
}

/// The header of a G.
///
/// # Safety
/// The cell is alive for as long as the caller uses the reference.
#[inline]
pub(super) unsafe fn header<'a>(gp: RawG) -> &'a G {
    // SAFETY: a `RawG` leads to a cell, whose header comes first; the rest is our caller's promise.
    unsafe { gp.cast::<G>().as_ref() }
}

/// Where the stage begins.
///
/// # Safety
/// The cell is alive.
#[inline]
pub(super) unsafe fn stage<T>(gp: RawG) -> NonNull<T> {
    // SAFETY: as our caller promised; the stage is a part of the cell.
    unsafe { gp.byte_add(header(gp).vtable().stage).cast() }
}

/// Where the output is.
///
/// # Safety
/// The cell is alive, and `T` is the output of its future.
#[inline]
pub(super) unsafe fn output<T>(gp: RawG) -> *mut Result<T, Fault> {
    // SAFETY: as our caller promised; the stage is a union, whose parts begin where it does.
    unsafe { stage(gp) }.as_ptr()
}

/// Frees a cell.
///
/// # Safety
/// The caller gave up the last reference, and neither future nor output is there.
pub(super) unsafe fn free(gp: RawG) {
    // SAFETY: the cell is alive until the end of this.
    let vtable = unsafe { header(gp) }.vtable();
    // SAFETY: nobody else can reach the cell any more; it was allocated with this layout, by the home
    // whose function this is.
    unsafe {
        gp.cast::<G>().drop_in_place();
        (vtable.free)(gp.cast(), vtable.layout);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, G};
    use crate::engine::scheduler::Shared;

    fn size_of_cell_of<F: Future>(_: F) -> usize {
        size_of::<Cell<F, Shared>>()
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_small_g_takes_little_memory() {
        assert_eq!(size_of::<G>(), 88);
        assert_eq!(size_of_cell_of(async {}), 96);
        assert_eq!(size_of_cell_of(async { [0u64; 3] }), 120);
    }
}
