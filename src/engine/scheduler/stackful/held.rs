//! Waits in which a stackful G blocks its thread: an abort ends these as well.

use super::super::Shared;
use super::here::{stacked, unwind};
use crate::engine::task::held::{Entered, ROLL};
use crate::engine::task::{G, RawG};
use std::ptr::NonNull;
use std::task::Waker;

/// The stackful G that runs here, which is about to block its thread.
#[derive(Debug)]
pub(crate) struct Held {
    gp: NonNull<G>,
    _entered: Entered<'static>,
}

/// Has an abort of the G that runs here wake `waker`, from now until the value is dropped.
///
/// `None`: no stackful G runs here, or it cannot unwind: then its wait takes as long as it takes.
pub(crate) fn held(waker: &Waker) -> Option<Held> {
    let gp = stacked()?.gp();
    if !can_unwind() {
        return None;
    }
    let held = Held {
        gp,
        _entered: ROLL.enter(gp.cast(), waker.clone()),
    };
    // SAFETY: it runs, so it is alive, and so is its home, which is a runtime as it is stackful.
    let (gp, shared) = unsafe {
        let gp = gp.as_ref();
        (gp, &*gp.home().cast::<Shared>())
    };
    if shared.is_unwinding() {
        // Who aborts all that are on the roll may have come before this one was.
        gp.abort_in_turn();
    }
    Some(held)
}

/// Unwinds the G that runs here, if it is stackful, was aborted, and can.
pub(crate) fn unwind_if_aborted() {
    let Some(gp) = stacked() else {
        return;
    };
    // SAFETY: it runs here.
    let aborted = unsafe { gp.gp().as_ref() }.is_aborted();
    if aborted && can_unwind() {
        unwind();
    }
}

/// Whether a G that runs here could unwind.
fn can_unwind() -> bool {
    // seam: what std's panics do is not modelled.
    !std::thread::panicking() && cfg!(panic = "unwind")
}

impl Held {
    /// Whether it was aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        // SAFETY: it is in the middle of its turn.
        unsafe { self.gp.as_ref() }.is_aborted()
    }
}

impl Shared {
    /// Aborts the Gs of this runtime that block their threads.
    pub(in crate::engine::scheduler) fn abort_held(&self) {
        ROLL.wake(|entry| {
            let gp: RawG = entry.gp();
            // SAFETY: a G on the roll is alive.
            let gp = unsafe { gp.cast::<G>().as_ref() };
            let concerned = gp.home() == self.home();
            if concerned {
                gp.abort_in_turn();
            }
            concerned
        });
    }
}
