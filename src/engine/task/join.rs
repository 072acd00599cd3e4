//! What is left of a G for others: the join handle and the abort handle, without their public face.

use super::body::Outcome;
use super::{Fault, G, Gp, Id, RawG};
use crate::engine::util::wakers::guarded;
use async_task::FallibleTask;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

/// The right to the outcome of a G.
pub(crate) struct RawJoin<T> {
    /// `None` only while being dropped.
    task: Option<FallibleTask<Outcome<T>, G>>,
    gp: NonNull<G>,
    taken: bool,
}

// SAFETY: the pointer leads to the header of the cell that `task` keeps alive, which is Send and
// Sync; `FallibleTask` is Send where the output is.
unsafe impl<T: Send> Send for RawJoin<T> {}
// SAFETY: as above; through a shared reference only the header is reached.
unsafe impl<T: Send> Sync for RawJoin<T> {}

impl<T> RawJoin<T> {
    /// Wraps the handle that `create` gave, together with the G that it gave.
    ///
    /// # Safety
    /// `gp` is the header of the cell that `task` belongs to.
    pub(crate) unsafe fn new(task: FallibleTask<Outcome<T>, G>, gp: &G) -> RawJoin<T> {
        RawJoin {
            task: Some(task),
            gp: NonNull::from(gp),
            taken: false,
        }
    }

    /// The header.
    pub(crate) fn gp(&self) -> &G {
        // SAFETY: `task` keeps the cell alive.
        unsafe { self.gp.as_ref() }
    }

    /// The outcome, once there is one; `own` tells whether the waker in `cx` is one of the
    /// runtime's, which do not panic.
    ///
    /// # Panics
    /// When the outcome was taken before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, own: bool) -> Poll<Result<T, Fault>> {
        assert!(!self.taken, "`JoinHandle` polled after completion");
        let task = self.task.as_mut().expect("only dropping takes the task");
        let polled = if own || task.is_finished() {
            Pin::new(task).poll(cx)
        } else {
            let waker = guarded(cx.waker());
            Pin::new(task).poll(&mut Context::from_waker(&waker))
        };
        polled.map(|outcome| {
            self.taken = true;
            // No outcome: the cell was closed without being run, which only the end of its home
            // does.
            outcome.map_or_else(|| Err(Fault::cancelled()), Outcome::into_result)
        })
    }

    /// Whether the G has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.as_ref().is_some_and(FallibleTask::is_finished)
    }

    /// Asks the G to end.
    pub(crate) fn abort(&self) {
        // SAFETY: `task` keeps the cell alive.
        unsafe { self.gp().abort() }
    }

    /// A handle that can only abort.
    pub(crate) fn abort_ref(&self) -> AbortRef {
        AbortRef {
            // SAFETY: `task` keeps the cell alive.
            waker: unsafe { self.gp().waker() },
        }
    }
}

impl<T> Drop for RawJoin<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

/// The right to abort a G, whatever its output: one of its wakers, which leads to the cell.
#[derive(Clone)]
pub(crate) struct AbortRef {
    waker: Waker,
}

impl AbortRef {
    /// Asks the G to end.
    pub(crate) fn abort(&self) {
        // SAFETY: our waker keeps the cell alive.
        self.with(|gp| unsafe { gp.abort() });
    }

    /// Its id.
    pub(crate) fn id(&self) -> Id {
        self.with(G::id)
    }

    /// Whether its future is gone.
    pub(crate) fn is_finished(&self) -> bool {
        self.with(|gp| gp.status() == super::Status::Dead)
    }

    fn with<R>(&self, f: impl FnOnce(&G) -> R) -> R {
        let cell = NonNull::new(self.waker.data().cast_mut()).expect("a waker of a G has its cell");
        // SAFETY: the data of a waker of a G is the pointer of its cell, which is what a
        // `Runnable` is made of. This one is only looked through and never dropped, so it takes no
        // reference and no right; `waker` keeps the cell alive.
        let gp = ManuallyDrop::new(unsafe { Gp::from_raw(cell) });
        f(gp.metadata())
    }
}

/// Asks the G in `cell` to end.
///
/// # Safety
/// The cell is alive during the call.
pub(crate) unsafe fn abort_cell(cell: RawG) {
    // SAFETY: as in `AbortRef::with`, with our caller keeping the cell alive.
    let gp = ManuallyDrop::new(unsafe { Gp::from_raw(cell) });
    // SAFETY: as our caller promised.
    unsafe { gp.metadata().abort() }
}
