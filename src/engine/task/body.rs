//! The body of a G: the user's future, wrapped so that nothing it does gets out.
//!
//! The wrapper makes it the current G while its code runs, turns panics and aborts into a
//! [`Fault`], drops the future as soon as it is done, and strikes the G off the registry. No
//! panic of the future, of its destructor, of its output's destructor or of a panic's payload
//! reaches async-task, which would end the process.

use super::join::RawJoin;
use super::{Birth, Fault, G, Gp, RawG, Schedule, Status, Vtables};
use crate::engine::util::panics::{caught, drop_quietly};
use async_task::{ScheduleInfo, WithInfo};
use pin_project::{pin_project, pinned_drop};
use std::any::TypeId;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// What a finished G leaves for its join handle.
///
/// It may be dropped by whoever comes last, in places that must not panic.
pub(crate) struct Outcome<T>(ManuallyDrop<Result<T, Fault>>);

impl<T> Outcome<T> {
    fn new(result: Result<T, Fault>) -> Outcome<T> {
        Outcome(ManuallyDrop::new(result))
    }

    /// The result itself.
    pub(crate) fn into_result(self) -> Result<T, Fault> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        // SAFETY: `into_result` does not let `drop` run, so the value is still there.
        drop_quietly(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// The future of a G, as async-task sees it.
#[pin_project(PinnedDrop)]
struct Body<F, S: Schedule> {
    /// The header in the same cell.
    gp: NonNull<G>,
    /// `None` once the G is dead.
    #[pin]
    future: Option<F>,
    /// Whether the G holds a reference to its cell: from the first time that it waits.
    kept: bool,
    home: PhantomData<fn() -> S>,
}

// SAFETY: the pointer leads to the header of the cell that holds this body, which is Sync; so the
// body may be sent wherever the future may.
unsafe impl<F: Send, S: Schedule> Send for Body<F, S> {}

/// Drops the future, and does what is due when a G is dead. The panic of its destructor, if any.
///
/// # Safety
/// `future` is the future, still there, of the body in the cell of `gp`, whose home is an `S`, and
/// `kept` is what that body says; the cell is being run or dropped by the caller.
unsafe fn finish<F, S: Schedule>(
    gp: &G,
    mut future: Pin<&mut Option<F>>,
    kept: bool,
) -> Result<(), Fault> {
    debug_assert!(future.is_some());
    // An assignment puts the new value in place even if the old one panics while it is dropped.
    let dropped = caught(|| future.set(None));
    gp.set_status(Status::Dead);
    // SAFETY: `home` is the pointer given to `create::<_, S>`, valid as the future was there until
    // now; once, for the same reason.
    unsafe { S::retire(gp.home().cast(), gp) };
    if kept {
        // SAFETY: once, as above; the cell is alive, as our caller holds a reference to run it.
        unsafe { gp.release() };
    }
    dropped.map_err(Fault::panic)
}

impl<F: Future, S: Schedule> Future for Body<F, S> {
    type Output = Outcome<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // SAFETY: the header lives as long as the cell, and so at least as long as the body.
        let gp = unsafe { this.gp.as_ref() };
        let _turn = S::enter(gp);
        if gp.abort_asked() {
            // SAFETY: async-task does not poll after Ready, so the future is there; we run it.
            let finished = unsafe { finish::<F, S>(gp, this.future, *this.kept) };
            let fault = finished.err().unwrap_or_else(Fault::cancelled);
            return Poll::Ready(Outcome::new(Err(fault)));
        }
        gp.set_status(Status::Running);
        let future = this.future.as_mut().as_pin_mut();
        let future = future.expect("async-task does not poll after Ready");
        let result = match caught(|| future.poll(cx)) {
            Ok(Poll::Pending) => {
                gp.set_status(Status::Waiting);
                if !std::mem::replace(this.kept, true) {
                    // SAFETY: the cell is alive: it is being run.
                    unsafe { gp.keep() };
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(Fault::panic(payload)),
        };
        // A panic in the destructor of a future that has an output: the output stands, as in
        // tokio. The panic itself was reported by the hook.
        // SAFETY: it was there a moment ago; we run it.
        if let Err(panic) = unsafe { finish::<F, S>(gp, this.future, *this.kept) } {
            drop_quietly(panic);
        }
        Poll::Ready(Outcome::new(result))
    }
}

#[pinned_drop]
impl<F, S: Schedule> PinnedDrop for Body<F, S> {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        if this.future.is_some() {
            // SAFETY: the header lives as long as the cell, and so at least as long as the body.
            let gp = unsafe { this.gp.as_ref() };
            let _turn = S::enter(gp);
            // SAFETY: it is there; async-task is dropping it.
            if let Err(panic) = unsafe { finish::<F, S>(gp, this.future, *this.kept) } {
                drop_quietly(panic);
            }
        }
    }
}

/// What async-task calls when a G has become ready. No captures, so it takes no room in the cell.
fn schedule<S: Schedule>(gp: Gp, info: ScheduleInfo) {
    let header = gp.metadata();
    header.set_status(Status::Runnable);
    let home = header.home().cast::<S>();
    // SAFETY: `home` is the pointer given to `create::<_, S>`; a G that is scheduled is not
    // finished.
    unsafe { S::schedule(home, gp.into_raw(), info.woken_while_running) }
}

/// Makes a G of `future`: the right to run it, and the handle that waits for it.
///
/// It is not queued yet: the caller puts it on the registry and then into a queue.
///
/// # Safety
/// - `home` stays valid until the G is finished; `S`'s functions may be called with it by any
///   thread.
/// - Unless `F` is `Send`, the `RawG` is run, or dropped, only by the thread that calls this.
#[inline]
pub(crate) unsafe fn create<F, S>(
    future: F,
    birth: Birth,
    home: *const S,
    vtables: Option<&Vtables>,
) -> (RawG, RawJoin<F::Output>)
where
    F: Future + 'static,
    S: Schedule,
{
    let header = G::new(birth, home.cast());
    let body = |gp: &G| Body::<F, S> {
        gp: NonNull::from(gp),
        future: Some(future),
        kept: false,
        home: PhantomData,
    };
    let builder = async_task::Builder::new()
        .metadata(header)
        .propagate_panic(false);
    // SAFETY: the schedule function is Send, Sync and 'static, being a function; the rest is what
    // our caller promised.
    let (gp, task) = unsafe { builder.spawn_unchecked(body, WithInfo(schedule::<S>)) };
    let vtable = match vtables.and_then(|known| known.get(TypeId::of::<(F, S)>())) {
        Some(vtable) => vtable,
        None => {
            let vtable = gp.waker().vtable();
            if let Some(known) = vtables {
                known.put(TypeId::of::<(F, S)>(), vtable);
            }
            vtable
        }
    };
    let header = NonNull::from(gp.metadata());
    let gp = gp.into_raw();
    // SAFETY: the cell is alive, and not shared yet.
    let header = unsafe { header.as_ref() };
    header.settle(gp, vtable);
    // SAFETY: the header is that of the task's cell.
    let join = unsafe { RawJoin::new(task.fallible(), header) };
    (gp, join)
}
