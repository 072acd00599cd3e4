//! Young timers: they are those of the P that this thread holds, until the turn of the G ends that set
//! them, or the P is given up.

use super::THREAD;
use crate::engine::processor::Processor;
use crate::engine::timer::{Infant, Term, Timers};
use std::ptr;
use std::task::Waker;
use std::time::Instant;

/// Sets a timer that will wake `waker`, if that is one of the G that runs here, and `timers` are those of
/// the P that this thread holds. `None`: it has to be inserted.
#[inline(never)]
pub(crate) fn set_young(
    timers: &'static Timers,
    term: Term,
    deadline: Instant,
    waker: &Waker,
) -> Option<Infant> {
    THREAD.with(|t| {
        // SAFETY: as in `with_g`.
        let g = unsafe { t.curg.get().as_ref() }?;
        if !g.is_woken_by(waker) {
            return None;
        }
        // SAFETY: as in `with_running`.
        let pp = unsafe { t.running.get().as_ref() }?.pp()?;
        let before = t.young.get();
        if !before.is_null() && !ptr::eq(before, pp) {
            settle_young();
        }
        // SAFETY: we hold it.
        let mut young = unsafe { pp.own() }.young.borrow_mut();
        if !young.go_to(timers, term) {
            return None;
        }
        // SAFETY: it is the current G, so its turn goes on. It ends by dropping a `Turn`, which settles
        // whatever the thread has noted as young.
        let infant = unsafe { young.set(deadline, waker) }?;
        t.young.set(pp);
        Some(infant)
    })
}

/// Takes a timer out, if it is young and of the P that this thread holds. Whether it is.
#[inline(never)]
pub(crate) fn cancel_young(timers: &'static Timers, term: Term, infant: Infant) -> bool {
    THREAD.with(|t| {
        let Some(pp) = unsettled(t.young.get()) else {
            return false;
        };
        // SAFETY: we hold it.
        let mut young = unsafe { pp.own() }.young.borrow_mut();
        let was_here = young.go_to(timers, term) && young.cancel(infant);
        if young.is_settled() {
            t.young.set(ptr::null());
        }
        was_here
    })
}

/// Has the young timers of the P that this thread holds arrive among the others, if there are any.
#[inline(never)]
pub(crate) fn settle_young() {
    THREAD.with(|t| {
        if let Some(pp) = unsettled(t.young.replace(ptr::null())) {
            // SAFETY: we hold it.
            unsafe { pp.own() }.young.borrow_mut().settle();
        }
    });
}

/// The P that this thread noted as one with young timers.
#[inline]
fn unsettled<'a>(pp: *const Processor) -> Option<&'a Processor> {
    // SAFETY: it is held by this thread, which settles them before it gives it up, and so notes that it
    // has none any more. A P lives while somebody holds it. Our callers are done with it at once.
    unsafe { pp.as_ref() }
}
