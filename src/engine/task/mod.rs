//! G: one task, and the cell that it lives in.
//!
//! One allocation holds everything: the header [`G`] with the state word, and the future or its
//! output. For a future of a few bytes that makes 96 bytes.
//!
//! | file | what |
//! |---|---|
//! | `state.rs` | the state word: ownership, end, references; what each path costs |
//! | `joiner.rs` | how the joiner's waker gets from the handle to the runner |
//! | `cell.rs`, `spare.rs` | the memory |
//! | `waker.rs` | wakers |
//! | `body.rs` | birth, a turn, the end |
//! | `coroutine.rs` | the same for a closure on a stack of its own |
//! | `held.rs` | such closures that wait and cannot leave their stacks |
//! | `join.rs` | the handles |
//! | `header.rs`, `registry.rs` | what is known of a G, and the list of all |
//!
//! Who may touch what: whoever has the [`Gp`] of a G *owns* it, and may run or drop its future. The
//! header is shared and made of immutable fields and atomics. What the state word says about who
//! owns the G is the truth; our [`Status`] only tells it to people.
//!
//! # Designs that were not taken
//!
//! - *`async-task`*, with the header as its metadata: some twenty read-modify-writes to spawn a G
//!   and await it, because its word has a lock for the awaiter, a reference for each queue entry,
//!   and a bit for *running*. Its waker's vtable is a secret until the first waker was made.
//! - *A lock bit for the joiner's waker* (async-task), or *shared reading of it until the handle is
//!   gone* (tokio): the end of a G takes two exchanges then, one to end it and one to give up the
//!   runner's reference, as the waker is used in between. See `joiner.rs` for how it takes one.

// The models run what the others stand on: the state word, the joiner's slot
// and the registry.
#[cfg(not(loom))]
mod body;
#[cfg(not(loom))]
mod cell;
#[cfg(stackful)]
pub(crate) mod coroutine;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod header;
#[cfg(any(stackful, loom))]
pub(crate) mod held;
#[cfg(not(loom))]
mod join;
pub(crate) mod joiner;
pub(crate) mod registry;
#[cfg(not(loom))]
pub(crate) mod spare;
pub(crate) mod state;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(not(loom))]
mod waker;

#[cfg(not(loom))]
pub(crate) use {
    body::create,
    error::Fault,
    header::{Birth, Extras, G, Id, IdBatch, Status},
    join::{AbortRef, RawJoin, abort_cell},
    registry::Shard,
};

pub(crate) use crate::engine::util::RawG;

#[cfg(not(loom))]
use std::{alloc::Layout, ptr::NonNull};

/// A G that is ready: the right and the duty to run it once.
///
/// If it is dropped, the future is dropped at once.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Gp(RawG);

#[cfg(not(loom))]
impl Gp {
    /// The right that a queue entry is.
    ///
    /// # Safety
    /// `gp` came out of a queue, or from `create`, or was passed to `Schedule::schedule`, and it is
    /// used for this once. Unless its future is `Send`, this is its thread.
    #[inline]
    pub(crate) unsafe fn from_raw(gp: RawG) -> Gp {
        Gp(gp)
    }

    /// Polls the future; or drops it, if that was asked for. Panics of the user end here.
    #[inline]
    pub(crate) fn run(self) {
        let gp = std::mem::ManuallyDrop::new(self).0;
        // SAFETY: we own the G, which is alive, and give the ownership up.
        unsafe { (cell::header(gp).vtable().run)(gp) }
    }

    /// The header.
    #[inline]
    pub(crate) fn metadata(&self) -> &G {
        // SAFETY: a G that somebody owns is alive.
        unsafe { cell::header(self.0) }
    }
}

#[cfg(not(loom))]
impl Drop for Gp {
    fn drop(&mut self) {
        self.metadata().ask_abort();
        Gp(self.0).run();
    }
}

/// What the layer above does for a G. Implemented by each kind of home that Gs can have.
#[cfg(not(loom))]
pub(crate) trait Schedule: 'static {
    /// What is held while a G's future is polled or dropped; puts back what was there before.
    type Turn;

    /// Makes `gp` the current G of this thread.
    fn enter(gp: &G) -> Self::Turn;

    /// Queues `gp`, which has just become ready. `yielded`: it was running when it was woken.
    ///
    /// # Safety
    /// `home` is the pointer that the G was created with; it is valid, since a G that is not
    /// finished keeps its home from being freed.
    unsafe fn schedule(home: *const Self, gp: RawG, yielded: bool);

    /// Memory of that layout, whose size is not zero, for a cell.
    #[inline]
    fn allocate(layout: Layout) -> NonNull<u8> {
        spare::allocate(layout)
    }

    /// Gives memory of a cell back, on any thread, also when the home is gone.
    ///
    /// # Safety
    /// It is `allocate`'s, with that layout, and nobody uses it any more.
    unsafe fn free(memory: NonNull<u8>, layout: Layout) {
        // SAFETY: as our caller promised.
        unsafe { spare::free(memory, layout) }
    }

    /// Strikes `gp`, whose future is gone, off the list of living Gs.
    ///
    /// # Safety
    /// As for `schedule`; and once for each G.
    unsafe fn retire(home: *const Self, gp: &G);
}
