//! G: one task, and the cell that it lives in.
//!
//! One allocation (`async-task`'s) holds everything: the state word with the reference count, the
//! join waker, our header [`G`] as metadata, and the future or its output. For a future of a few
//! bytes that makes 120 bytes.
//!
//! Who may touch what: whoever holds the `Runnable` of a G owns the future and may run or drop
//! it. The header is shared and made of immutable fields and atomics. What async-task's state
//! word says about who owns the G is the truth; our [`Status`] only tells it to people.

mod body;
mod error;
mod header;
mod join;
mod registry;
mod vtables;

pub(crate) use body::create;
pub(crate) use error::Fault;
pub(crate) use header::{Birth, Extras, G, Id, IdBatch, Status};
pub(crate) use join::{AbortRef, RawJoin, abort_cell};
pub(crate) use registry::Shard;
pub(crate) use vtables::Vtables;

pub(crate) use crate::engine::util::RawG;

/// A G that is ready: the right and the duty to run it once.
pub(crate) type Gp = async_task::Runnable<G>;

/// What the layer above does for a G. Implemented by each kind of home that Gs can have.
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

    /// Strikes `gp`, whose future is gone, off the list of living Gs.
    ///
    /// # Safety
    /// As for `schedule`; and once for each G.
    unsafe fn retire(home: *const Self, gp: &G);
}
