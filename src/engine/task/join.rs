//! What is left of a G for others: the join handle and the abort handle, without their public face.

use super::cell::{free, header, output};
use super::joiner::{Joined, Left};
use super::state::{Released, Woken};
use super::{Fault, G, Id};
use crate::engine::util::RawG;
use crate::engine::util::panics::drop_quietly;
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// The right to the outcome of a G.
pub(crate) struct RawJoin<T> {
    gp: RawG,
    taken: bool,
    outcome: PhantomData<Result<T, Fault>>,
}

// SAFETY: the header that it leads to is Sync; the outcome it may take or drop on its thread.
unsafe impl<T: Send> Send for RawJoin<T> {}
// SAFETY: through a shared reference only the header is reached.
unsafe impl<T: Send> Sync for RawJoin<T> {}
// The outcome is never pinned.
impl<T> Unpin for RawJoin<T> {}

impl<T> RawJoin<T> {
    /// The handle of a new G.
    ///
    /// # Safety
    /// The state word of `gp` counts a handle that does not exist yet, and `T` is its output.
    #[inline]
    pub(super) unsafe fn new(gp: RawG) -> RawJoin<T> {
        RawJoin {
            gp,
            taken: false,
            outcome: PhantomData,
        }
    }

    /// The header.
    #[inline]
    pub(crate) fn gp(&self) -> &G {
        // SAFETY: our reference keeps the cell alive.
        unsafe { header(self.gp) }
    }

    /// The outcome, once there is one. A panic of the waker's clone passes through.
    ///
    /// # Panics
    /// When the outcome was taken before.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Fault>> {
        assert!(!self.taken, "`JoinHandle` polled after completion");
        let gp = self.gp();
        // SAFETY: slot and word belong together; we are the handle, and `&mut` keeps others out.
        let joined = unsafe { gp.joiner().register(gp.state(), cx.waker(), drop_quietly) };
        match joined {
            Joined::Waiting => Poll::Pending,
            Joined::Complete => {
                self.taken = true;
                // SAFETY: the word said that the output is there, and ours; we take it once.
                Poll::Ready(unsafe { output::<T>(self.gp).read() })
            }
        }
    }

    /// Whether the G has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.gp().state().load().is_complete()
    }

    /// Asks the G to end.
    pub(crate) fn abort(&self) {
        // SAFETY: our reference keeps the cell alive.
        unsafe { abort_cell(self.gp) }
    }

    /// A handle that can only abort.
    pub(crate) fn abort_ref(&self) -> AbortRef {
        self.gp().state().retain();
        AbortRef { gp: self.gp }
    }
}

impl<T> Drop for RawJoin<T> {
    #[inline]
    fn drop(&mut self) {
        let gp = self.gp();
        // SAFETY: slot and word belong together; we are the handle, and end with this.
        match unsafe { gp.joiner().leave(gp.state()) } {
            Left::Gone(None) => {}
            Left::Gone(Some(waker)) => drop_quietly(waker),
            Left::Complete => {
                if !self.taken {
                    // SAFETY: the word said that the output is there, and ours; it was not taken.
                    drop_quietly(unsafe { output::<T>(self.gp).read() });
                }
                if self.gp().state().release_as_last() == Released::Last {
                    // SAFETY: the last reference was ours; future and output are gone.
                    unsafe { free(self.gp) }
                }
            }
        }
    }
}

/// The right to abort a G, whatever its output.
pub(crate) struct AbortRef {
    gp: RawG,
}

// SAFETY: only the header is reached, which is Sync; and a cell may be freed by any thread.
unsafe impl Send for AbortRef {}
// SAFETY: as above.
unsafe impl Sync for AbortRef {}

impl AbortRef {
    /// Asks the G to end.
    pub(crate) fn abort(&self) {
        // SAFETY: our reference keeps the cell alive.
        unsafe { abort_cell(self.gp) }
    }

    /// Its id.
    pub(crate) fn id(&self) -> Id {
        self.gp().id()
    }

    /// Whether the G has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.gp().state().load().is_complete()
    }

    fn gp(&self) -> &G {
        // SAFETY: our reference keeps the cell alive.
        unsafe { header(self.gp) }
    }
}

impl Clone for AbortRef {
    fn clone(&self) -> AbortRef {
        self.gp().state().retain();
        AbortRef { gp: self.gp }
    }
}

impl Drop for AbortRef {
    fn drop(&mut self) {
        // SAFETY: our reference ends with us; it counts as a waker's.
        unsafe { super::waker::release(self.gp.as_ptr()) }
    }
}

/// Asks the G in `cell` to end.
///
/// # Safety
/// The cell is alive during the call.
pub(crate) unsafe fn abort_cell(cell: RawG) {
    // SAFETY: as our caller promised.
    let gp = unsafe { header(cell) };
    match gp.state().abort() {
        // SAFETY: the right to run it is ours.
        Woken::Queue => unsafe { (gp.vtable().schedule)(cell) },
        Woken::Nothing =>
        {
            #[cfg(stackful)]
            if gp.is_stackful() {
                super::held::ROLL.wake(|entry| entry.gp() == cell);
            }
        }
        Woken::Last => unreachable!("no reference was given up"),
    }
}
