//! Making a G, and running it.
//!
//! Nothing that the user's code does gets out of here: panics of the future, of its destructor, of
//! its output's destructor, of a panic's payload and of the joiner's waker end in
//! [`run`](super::Gp::run). The future is dropped as soon as it is done, while the G is the current one.

use super::cell::{Cell, free, header, output};
use super::join::RawJoin;
use super::joiner::Completed;
use super::state::{Begun, Released, Waiting};
use super::waker::schedule_as;
use super::{Birth, Fault, G, Schedule, Status};
use crate::engine::util::RawG;
use crate::engine::util::panics::{caught, discard, drop_quietly};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, RawWakerVTable, Waker};

/// From which size on a future is in a box of its own: moving it there costs less than to have one
/// cell of that size, and most of the memory is free again when the future has ended. A guess.
const BOXED: usize = 16 * 1024;

/// Makes a G of `future`: the right to run it, and the handle that waits for it.
///
/// It is not queued yet: the caller puts it on the registry and then into a queue.
///
/// # Safety
/// - `home` stays valid until the G is finished; `S`'s functions may be called with it by any
///   thread.
/// - Unless `F` is `Send`, the `RawG` is run, or dropped, only by the thread that calls this.
#[inline(always)] // So that the future is moved once, and `birth` not at all.
pub(crate) unsafe fn create<F, S>(
    future: F,
    birth: Birth,
    home: *const S,
) -> (RawG, RawJoin<F::Output>)
where
    F: Future + 'static,
    S: Schedule,
{
    let gp = if const { size_of::<F>() > BOXED } {
        let vtable = &Cell::<Pin<Box<F>>, S>::VTABLE;
        Cell::<Pin<Box<F>>, S>::allocate(birth, home, vtable, Box::pin(future))
    } else {
        Cell::<F, S>::allocate(birth, home, &Cell::<F, S>::VTABLE, future)
    };
    // SAFETY: the word of a new G counts a handle, which is this.
    (gp, unsafe { RawJoin::new(gp) })
}

/// Gives the G one turn.
///
/// # Safety
/// The caller owns `gp`, which `create` made of an `F` for an `S`, and gives the ownership up.
pub(super) unsafe fn run<F: Future, S: Schedule>(gp: RawG) {
    // SAFETY: a G that somebody owns has not ended and is alive.
    let g = unsafe { header(gp) };
    // SAFETY: as our caller promised.
    let future = unsafe { Cell::<F, S>::future(gp) };
    let turn = S::enter(g);
    let result = match g.state().begin() {
        Begun::Abort => {
            // SAFETY: the future is there until this; we own the G.
            let dropped = unsafe { finish::<F, S>(g, future) };
            Err(dropped.err().unwrap_or_else(Fault::cancelled))
        }
        Begun::Poll => {
            g.set_status(Status::Running);
            // SAFETY: it lives on the life reference, and is never dropped.
            let waker = unsafe { Waker::new(gp.as_ptr(), g.vtable().waker) };
            let waker = ManuallyDrop::new(waker);
            // SAFETY: the future is in its cell until it is dropped there, and the owner alone
            // touches it.
            let pinned = unsafe { Pin::new_unchecked(&mut *future) };
            let result = match caught(|| pinned.poll(&mut Context::from_waker(&waker))) {
                Ok(Poll::Pending) => {
                    g.set_status(Status::Waiting);
                    drop(turn);
                    match g.state().wait() {
                        Waiting::Idle => {}
                        // SAFETY: it is still ours.
                        Waiting::Woken => unsafe { schedule_as::<S>(gp, true) },
                    }
                    return;
                }
                Ok(Poll::Ready(output)) => Ok(output),
                Err(payload) => Err(Fault::panic(payload)),
            };
            // A panic in the destructor of a future that has an output: the output stands, as in
            // tokio. The panic itself was reported by the hook.
            // SAFETY: it was there a moment ago; we own the G.
            if let Err(panic) = unsafe { finish::<F, S>(g, future) } {
                drop_quietly(panic);
            }
            result
        }
    };
    drop(turn);
    // SAFETY: we own the G, whose future is gone.
    unsafe { end(gp, result) }
}

/// Drops the future, and does what is due when a G is dead. The panic of its destructor, if any.
///
/// # Safety
/// The caller owns `gp`, whose home is an `S` and whose `future` is there, and is gone after this.
#[inline]
unsafe fn finish<F, S: Schedule>(gp: &G, future: *mut F) -> Result<(), Fault> {
    let dropped = if std::mem::needs_drop::<F>() {
        // SAFETY: as our caller promised. What panics while it is dropped counts as dropped.
        caught(|| unsafe { future.drop_in_place() })
    } else {
        Ok(())
    };
    gp.set_status(Status::Dead);
    // SAFETY: `home` is the pointer given to `create::<_, S>`, valid as the G has not ended; once,
    // as the future was there.
    unsafe { S::retire(gp.home().cast(), gp) };
    dropped.map_err(Fault::panic)
}

/// Ends a G: its result goes to the handle, if there is one.
///
/// # Safety
/// The caller owns `gp`, whose future is gone, and whose output is a `T`.
#[inline]
pub(super) unsafe fn end<T>(gp: RawG, result: Result<T, Fault>) {
    // SAFETY: the life reference is there until one of the calls below gives it up, and `g` is not
    // used after it.
    let g = unsafe { header(gp) };
    if !g.state().load().is_joined() {
        // SAFETY: as our caller promised.
        return unsafe { end_detached(gp, result) };
    }
    // SAFETY: the stage is empty, and the owner's.
    unsafe { output::<T>(gp).write(result) };
    let own = g.vtable().waker;
    // SAFETY: the slot and the word belong together; we own the G, whose output is in place.
    match unsafe { g.joiner().complete(g.state()) } {
        Completed::Quiet => {}
        Completed::Wake(waker) => wake(waker, own),
        Completed::WakeAndRelease(waker) => {
            // SAFETY: the life reference was left to us, to give up like a waker's.
            unsafe { super::waker::release(gp.as_ptr()) };
            wake(waker, own);
        }
        // SAFETY: the output was put there above, and nobody but us will see it; the rest is as our
        // caller promised.
        Completed::Detached => unsafe { end_detached(gp, output::<T>(gp).read()) },
    }
}

/// Ends a G without a handle.
///
/// # Safety
/// As for `end`; and the handle is gone.
unsafe fn end_detached<T>(gp: RawG, result: Result<T, Fault>) {
    drop_quietly(result);
    // SAFETY: the life reference is there until this.
    if unsafe { header(gp) }.state().complete_detached() == Released::Last {
        // SAFETY: it was the last; future and output are gone.
        unsafe { free(gp) }
    }
}

/// Wakes a joiner, whose waker may be anyone's; those with the vtable `own` are wakers of Gs.
#[inline]
fn wake(waker: Waker, own: &'static RawWakerVTable) {
    if std::ptr::eq(waker.vtable(), own) {
        waker.wake();
    } else {
        wake_foreign(waker);
    }
}

/// Its wake may panic, and so may its destructor: one after the other, since a panic while another
/// one unwinds ends the process.
fn wake_foreign(waker: Waker) {
    if let Err(payload) = caught(|| waker.wake_by_ref()) {
        discard(payload);
    }
    drop_quietly(waker);
}
