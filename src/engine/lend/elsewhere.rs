//! A closure that a stackful G has another thread run.

use super::Lender;
use super::slot::Slot;
use crate::engine::scheduler::stackful::Stacked;
use crate::engine::util::panics::caught;
use std::io;
use std::panic::resume_unwind;

/// A closure for another thread. If it is dropped without having been called, the G runs it itself.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

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
    let slot = Slot::new(f);
    // SAFETY: we wait until the borrower is done, and leave the slot alone before.
    let borrower = unsafe { slot.lend(lender.waker()) };
    let job: Box<dyn FnOnce() + Send + '_> = Box::new(move || borrower.run(|f| caught(f)));
    // SAFETY: only the lifetime changes. Whatever becomes of the job, it is called or dropped, which
    // says so, and we wait for that. If it is leaked, we wait for ever.
    let job = unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Job>(job) };
    // `start` does not unwind with the job alive: a job that is dropped is done.
    let started = caught(|| start(job));
    lender.hold_until(|| slot.is_done(), || ());
    let started = started.unwrap_or_else(|payload| resume_unwind(payload));
    match (slot.into_parts(), started) {
        ((_, Some(Ok(output))), _) => Ok(output),
        ((_, Some(Err(payload))), _) => resume_unwind(payload),
        ((Some(f), None), Err(error)) => Err((error, f)),
        ((Some(f), None), Ok(())) => Ok(f()),
        ((None, None), _) => unreachable!("a closure that was taken has a result"),
    }
}
