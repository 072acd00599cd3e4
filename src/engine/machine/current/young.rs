//! Young timers: they are those of the P that this thread holds, until the turn of the G ends that set
//! them, or the P is given up.

use super::THREAD;
use crate::engine::processor::Processor;
use crate::engine::timer::{Infant, Term, Timers};
use std::ptr;
use std::task::Waker;
use std::time::Instant;

/// Sets a timer that will wake `waker`, if that is one of the G that runs here, and `timers` are those of
/// the P that this thread holds, and the budget is not used up. `None`: it has to be inserted, or to wait.
#[inline(never)]
pub(crate) fn set_young(
    timers: &'static Timers,
    term: Term,
    deadline: Instant,
    waker: &Waker,
) -> Option<Infant> {
    let (gp, context, before) = THREAD.with(|t| {
        // Without budget it is as if no G ran here.
        let gp = match t.budget.get() {
            Some(0) => ptr::null(),
            _ => t.curg.get(),
        };
        (gp, t.running.get(), t.young.get())
    });
    // SAFETY: as in `with_g`.
    let g = unsafe { gp.as_ref() }?;
    if !g.is_woken_by(waker) {
        return None;
    }
    // SAFETY: as in `with_running`.
    let pp = unsafe { context.as_ref() }?.pp()?;
    if !before.is_null() && !ptr::eq(before, pp) {
        settle_young();
        return None;
    }
    // SAFETY: we hold it.
    let mut young = unsafe { pp.own() }.young.borrow_mut();
    if !young.go_to(timers, term) {
        return None;
    }
    // SAFETY: it is the current G, so its turn goes on. It ends by dropping a `Turn`, which settles
    // whatever the thread has noted as young.
    let infant = unsafe { young.set(deadline, waker) }?;
    note(pp);
    Some(infant)
}

/// Takes a timer out, if it is young and of the P that this thread holds. Whether it is.
#[inline(never)]
pub(crate) fn cancel_young(timers: &'static Timers, term: Term, infant: Infant) -> bool {
    let Some(pp) = unsettled(THREAD.with(|t| t.young.get())) else {
        return false;
    };
    // SAFETY: we hold it.
    let mut young = unsafe { pp.own() }.young.borrow_mut();
    young.go_to(timers, term) && young.cancel(infant)
}

/// Has the young timers of the P that this thread holds arrive among the others, if there are any.
#[inline(never)]
pub(crate) fn settle_young() {
    if let Some(pp) = unsettled(THREAD.with(|t| t.young.replace(ptr::null()))) {
        // SAFETY: we hold it.
        unsafe { pp.own() }.young.borrow_mut().settle();
    }
}

#[inline]
fn note(pp: *const Processor) {
    THREAD.with(|t| t.young.set(pp));
}

/// The P that this thread noted as one with young timers.
#[inline]
fn unsettled<'a>(pp: *const Processor) -> Option<&'a Processor> {
    // SAFETY: it is held by this thread, which settles them before it gives it up, and so notes that it
    // has none any more. A P lives while somebody holds it. Our callers are done with it at once.
    unsafe { pp.as_ref() }
}
