//! What a G lends to the thread that runs a closure for it: the place of the closure and its result.
//!
//! 1. The G makes the slot, on its stack, and a [`Borrower`] of it, which another thread gets.
//! 2. The borrower takes the closure out, runs it and puts the result in; or does nothing at all.
//! 3. It says that it is done. This store is its last access to the slot.
//! 4. It wakes the G, by a waker of its own.
//! 5. The G, which was waiting, sees that the borrower is done, maybe before 4. The slot is its own
//!    again, and its memory may be something else at once.

use crate::engine::primitive::{AtomicBool, Ordering, Watched};
use std::ptr;
use std::task::Waker;

/// The lender's side.
#[derive(Debug)]
pub(crate) struct Slot<F, R> {
    f: Watched<Option<F>>,
    result: Watched<Option<R>>,
    /// The borrower is done with this.
    done: AtomicBool,
}

/// The other thread's side.
pub(crate) struct Borrower<F, R> {
    slot: *const Slot<F, R>,
    waker: Waker,
}

// SAFETY: the closure and its result are Send, and the slot is the borrower's alone until it is done.
unsafe impl<F: Send, R: Send> Send for Borrower<F, R> {}

impl<F, R> Slot<F, R> {
    /// With `f` in it.
    pub(crate) fn new(f: F) -> Slot<F, R> {
        Slot {
            f: Watched::new(Some(f)),
            result: Watched::new(None),
            done: AtomicBool::new(false),
        }
    }

    /// Lends it to whoever has the borrower, which wakes `waker` when it is done.
    ///
    /// # Safety
    /// Called once; and until `is_done` the slot stays where it is, and what `F` and `R` borrow is
    /// alive and left alone.
    pub(crate) unsafe fn lend(&self, waker: Waker) -> Borrower<F, R> {
        Borrower {
            slot: ptr::from_ref(self),
            waker,
        }
    }

    /// Whether the borrower is done.
    pub(crate) fn is_done(&self) -> bool {
        // Ordering: Acquire, partner of the Release in `Borrower::drop`: the lender sees the result,
        // and the borrower's accesses have come before what it does to the slot now.
        self.done.load(Ordering::Acquire)
    }

    /// The closure, if it was not run, and the result, if it was.
    pub(crate) fn into_parts(self) -> (Option<F>, Option<R>) {
        // An access to the whole of the slot, for the models to see.
        let _done = self.done.into_inner();
        (self.f.into_inner(), self.result.into_inner())
    }
}

impl<F, R> Borrower<F, R> {
    /// Has `call` run the closure, and leaves the result.
    pub(crate) fn run(self, call: impl FnOnce(F) -> R) {
        // SAFETY: the lender keeps the slot until we are done, and does not touch it before.
        let slot = unsafe { &*self.slot };
        // SAFETY: as above.
        if let Some(f) = slot.f.with_mut(|f| unsafe { (*f).take() }) {
            let result = call(f);
            // SAFETY: as above.
            slot.result
                .with_mut(|place| unsafe { *place = Some(result) });
        }
    }
}

impl<F, R> Drop for Borrower<F, R> {
    fn drop(&mut self) {
        // Ordering: Release, partner of the Acquire in `is_done`. We do not touch the slot after
        // this.
        // SAFETY: we are not done yet.
        unsafe { &*self.slot }.done.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

impl<F, R> std::fmt::Debug for Borrower<F, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Borrower").finish_non_exhaustive()
    }
}
