//! The slot for the waker of whoever awaits a G, between the handle and the runner.
//!
//! The handle fills the slot and then *publishes* it (`WAKER` in the state word). The runner, who
//! is about to complete the G, looks at the word:
//!
//! - No waker: it completes. The handle that tries to publish after this learns that it came too
//!   late, and takes its waker back.
//! - A waker that was never replaced: the runner **reads the slot first** and then completes the G
//!   and gives up its reference in the same exchange. If the exchange succeeds, the word was as the
//!   runner saw it, and the waker that it read is the one that was published, since the slot is
//!   filled a second time only after `REPLACED` was set, which is never cleared. The runner owns
//!   the waker now and touches the cell no more. If it fails, what was read means nothing; the
//!   handle may have been writing to the slot at the time, which is why the slot is made of
//!   atomics.
//! - A waker that replaced another: the word alone does not tell which one was read. The runner
//!   completes the G, keeps its reference, then reads the slot, and then gives the reference up.
//!
//! To put another waker in, the handle *unpublishes* first; if that fails the G has ended. To go
//! away, it strikes itself off with the waker in one exchange, having read the slot before, to
//! which it alone writes.

use super::state::{Snapshot, State};
use crate::engine::primitive::{AtomicPtr, Ordering};
use std::mem::ManuallyDrop;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

/// What the runner has to do after it has ended a G.
#[must_use]
pub(crate) enum Completed {
    /// Nothing. The cell may be gone.
    Quiet,
    /// Wake the joiner. The cell may be gone.
    Wake(Waker),
    /// Wake the joiner, and give up the life reference.
    WakeAndRelease(Waker),
    /// Nothing has ended yet, and the handle is gone: take the output back.
    Detached,
}

/// What an attempt to wait for a G leads to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It has ended: the output is there.
    Complete,
    /// The waker will be woken.
    Waiting,
}

/// What the handle that goes away has to do.
#[must_use]
pub(crate) enum Left {
    /// The G has ended: drop the output, unless it was taken, and give up the handle's reference.
    Complete,
    /// Drop the waker. The cell may be gone.
    Gone(Option<Waker>),
}

/// The slot. Its parts mean something together with the state word beside it alone.
pub(crate) struct Joiner {
    data: AtomicPtr<()>,
    vtable: AtomicPtr<()>,
}

/// A waker's parts, which may mean nothing yet.
struct Parts {
    data: *mut (),
    vtable: *mut (),
}

impl Parts {
    fn of(waker: &Waker) -> Parts {
        Parts {
            data: waker.data().cast_mut(),
            vtable: ptr::from_ref(waker.vtable()).cast_mut().cast(),
        }
    }

    /// The waker.
    ///
    /// # Safety
    /// These are the parts of one that was put into the slot, and the caller got it by the state
    /// word.
    #[inline]
    unsafe fn into_waker(self) -> Waker {
        // SAFETY: `Parts::of` made them of a waker that was forgotten, and our caller alone has
        // it now. The vtable is `'static`, as that of every waker.
        unsafe { Waker::new(self.data, &*self.vtable.cast::<RawWakerVTable>()) }
    }
}

impl Joiner {
    /// An empty slot.
    #[inline]
    pub(crate) fn new() -> Joiner {
        Joiner {
            data: AtomicPtr::new(ptr::null_mut()),
            vtable: AtomicPtr::new(ptr::null_mut()),
        }
    }

    // Ordering: Relaxed here and below, the state word orders what counts; see the top.
    #[inline]
    fn read(&self) -> Parts {
        Parts {
            data: self.data.load(Ordering::Relaxed),
            vtable: self.vtable.load(Ordering::Relaxed),
        }
    }

    fn write(&self, waker: Waker) {
        let parts = Parts::of(&ManuallyDrop::new(waker));
        self.data.store(parts.data, Ordering::Relaxed);
        self.vtable.store(parts.vtable, Ordering::Relaxed);
    }

    // ---- The runner ----

    /// Ends the G, whose future is gone and whose output is in place.
    ///
    /// # Safety
    /// `state` is the word beside the slot; the caller owns the G.
    #[inline]
    pub(crate) unsafe fn complete(&self, state: &State) -> Completed {
        let mut seen = state.load();
        loop {
            if !seen.is_joined() {
                return Completed::Detached;
            }
            if !seen.has_waker() {
                match state.complete(seen, false) {
                    Ok(()) => return Completed::Quiet,
                    Err(now) => seen = now,
                }
            } else if !seen.was_replaced() {
                let parts = self.read();
                match state.complete(seen, false) {
                    // SAFETY: the waker was published and never replaced, so it is the one that we
                    // read, and with the exchange it became ours.
                    Ok(()) => return Completed::Wake(unsafe { parts.into_waker() }),
                    Err(now) => seen = now,
                }
            } else {
                match state.complete(seen, true) {
                    Ok(()) => {
                        // SAFETY: it was published until the exchange, and the handle does not
                        // touch the slot of a G that has ended.
                        let waker = unsafe { self.read().into_waker() };
                        return Completed::WakeAndRelease(waker);
                    }
                    Err(now) => seen = now,
                }
            }
        }
    }

    // ---- The handle ----

    /// Sees to it that `waker` is woken when the G has ended.
    ///
    /// A panic of the waker's clone passes through, and leaves everything as it was. What is to be
    /// dropped is handed to `dispose`.
    ///
    /// # Safety
    /// `state` is the word beside the slot; the caller is the handle.
    #[inline]
    pub(crate) unsafe fn register(
        &self,
        state: &State,
        waker: &Waker,
        dispose: impl Fn(Waker),
    ) -> Joined {
        let seen = state.load();
        if seen.is_complete() {
            return Joined::Complete;
        }
        if seen.has_waker() {
            // Only the parts are compared: the runner may be using the waker up at this moment, and
            // then it wakes whom `waker` would.
            let (old, new) = (self.read(), Parts::of(waker));
            if old.data == new.data && old.vtable == new.vtable {
                return Joined::Waiting;
            }
            // SAFETY: as our caller promised.
            return unsafe { self.replace(state, seen, waker.clone(), dispose) };
        }
        // SAFETY: as our caller promised; there is no waker, so the slot is ours.
        unsafe { self.fill(state, seen, waker.clone(), dispose) }
    }

    /// Puts `waker` in the place of another that is published.
    ///
    /// # Safety
    /// As for `register`.
    #[cold]
    unsafe fn replace(
        &self,
        state: &State,
        seen: Snapshot,
        waker: Waker,
        dispose: impl Fn(Waker),
    ) -> Joined {
        let Some(seen) = state.unpublish(seen) else {
            dispose(waker);
            return Joined::Complete;
        };
        // SAFETY: it was published, we filled the slot, and with the change it is ours again.
        let old = unsafe { self.read().into_waker() };
        // SAFETY: as our caller promised; the slot is ours.
        let joined = unsafe { self.fill(state, seen, waker, &dispose) };
        dispose(old);
        joined
    }

    /// Fills the slot and publishes it.
    ///
    /// # Safety
    /// As for `register`; and no waker is published.
    #[inline]
    unsafe fn fill(
        &self,
        state: &State,
        seen: Snapshot,
        waker: Waker,
        dispose: impl Fn(Waker),
    ) -> Joined {
        self.write(waker);
        if state.publish(seen) {
            return Joined::Waiting;
        }
        // SAFETY: written above, and nobody else saw it.
        dispose(unsafe { self.read().into_waker() });
        Joined::Complete
    }

    /// The handle goes away.
    ///
    /// # Safety
    /// As for `register`; and this is the last that the handle does, unless the G has ended.
    #[inline]
    pub(crate) unsafe fn leave(&self, state: &State) -> Left {
        let mut seen = state.load();
        while !seen.is_complete() {
            let parts = seen.has_waker().then(|| self.read());
            match state.leave(seen) {
                // SAFETY: it was published, the handle alone fills the slot, and with the exchange
                // it is ours again.
                Ok(()) => return Left::Gone(parts.map(|parts| unsafe { parts.into_waker() })),
                Err(now) => seen = now,
            }
        }
        Left::Complete
    }
}

impl std::fmt::Debug for Joiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joiner").finish_non_exhaustive()
    }
}
