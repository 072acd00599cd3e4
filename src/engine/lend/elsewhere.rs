//! A closure that a stackful G has another thread run.

use super::Lender;
use crate::engine::primitive::{AtomicBool, Ordering, UnsafeCell};
use crate::engine::scheduler::stackful::Stacked;
use crate::engine::util::panics::{Payload, caught};
use std::io;
use std::panic::resume_unwind;
use std::ptr;
use std::task::Waker;

/// A closure for another thread. If it is dropped without having been called, the G runs it itself.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// What the G lends: it lies on its stack.
struct Slot<F, R> {
    f: UnsafeCell<Option<F>>,
    result: UnsafeCell<Option<Result<R, Payload>>>,
    /// The other thread is done with this.
    done: AtomicBool,
}

/// The other thread's side.
struct Borrower<F, R> {
    slot: *const Slot<F, R>,
    waker: Waker,
}

// SAFETY: the closure and its result are Send, see `run`, and the slot is the other thread's alone
// until it is done.
unsafe impl<F: Send, R: Send> Send for Borrower<F, R> {}

impl<F: FnOnce() -> R, R> Borrower<F, R> {
    fn run(self) {
        // SAFETY: the lender keeps the slot until we are done, and does not touch it before.
        unsafe {
            let slot = &*self.slot;
            if let Some(f) = (*slot.f.get()).take() {
                *slot.result.get() = Some(caught(f));
            }
        }
    }
}

impl<F, R> Drop for Borrower<F, R> {
    fn drop(&mut self) {
        // Ordering: Release, partner of the Acquire in `run`: the lender sees the result, and we do
        // not touch the slot after this.
        // SAFETY: we are not done yet.
        unsafe { &*self.slot }.done.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

/// Has `start` see to it that another thread runs `f`, and waits for that; runs it here if it drops
/// its job instead. A panic of `f` goes on here.
///
/// # Errors
/// Those of `start`, with the closure.
pub(crate) fn run<F, R>(
    stacked: Stacked,
    f: F,
    start: impl FnOnce(Job) -> io::Result<()>,
) -> Result<R, (io::Error, F)>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let lender = Lender::G(stacked);
    let slot = Slot {
        f: UnsafeCell::new(Some(f)),
        result: UnsafeCell::new(None),
        done: AtomicBool::new(false),
    };
    let borrower = Borrower {
        slot: ptr::from_ref(&slot),
        waker: lender.waker(),
    };
    let job: Box<dyn FnOnce() + Send + '_> = Box::new(move || borrower.run());
    // SAFETY: only the lifetime changes. Whatever becomes of the job, it is called or dropped, which
    // says so, and we wait for that. If it is leaked, we wait for ever.
    let job = unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Job>(job) };
    // `start` does not unwind with the job alive: a job that is dropped is done.
    let started = caught(|| start(job));
    lender.hold_until(|| slot.done.load(Ordering::Acquire), || ());
    let started = started.unwrap_or_else(|payload| resume_unwind(payload));
    match (slot.result.into_inner(), slot.f.into_inner(), started) {
        (Some(Ok(output)), ..) => Ok(output),
        (Some(Err(payload)), ..) => resume_unwind(payload),
        (None, Some(f), Err(error)) => Err((error, f)),
        (None, Some(f), Ok(())) => Ok(f()),
        (None, None, _) => unreachable!("a closure that was taken has a result"),
    }
}
