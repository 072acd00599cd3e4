//! What a wait means where it is called, and how a stackful G leaves its stack for one.

use crate::engine::context::stack_pointer;
use crate::engine::current::{self, Role};
use crate::engine::task::G;
use crate::engine::task::coroutine::{self, Head, Said, Unwind};
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Poll, Waker};

/// What a wait means where it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Here {
    /// In a stackful G, which can leave its stack.
    Stackful(Stacked),
    /// In a stackful G which must not leave its stack now, or on a thread that runs no tasks.
    Blocking,
    /// Where a thread is polling: it must not be blocked.
    Stackless,
}

/// The stackful G that is running here: not to be kept across anything that is not its own code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stacked(NonNull<G>);

/// Has the G that runs here let the others run, if it can leave its stack as it is. Whether it did;
/// if not, [`here`] tells what would have to be done.
#[inline]
pub(crate) fn yield_at_once() -> bool {
    match here_at_once() {
        Some(stacked) => {
            // SAFETY: it is the current G, on its stack, with nothing to put aside.
            let order = unsafe { coroutine::pause(stacked.0.as_ref(), Said::Yields) };
            if order == coroutine::Order::Unwind {
                unwind();
            }
            true
        }
        None => false,
    }
}

/// What a wait would mean here.
#[inline]
pub(crate) fn here() -> Here {
    match here_at_once() {
        Some(stacked) => Here::Stackful(stacked),
        None => here_in_full(),
    }
}

/// The G that runs here, if it can leave its stack as it is.
#[inline]
fn here_at_once() -> Option<Stacked> {
    // SAFETY: the current G is alive while it runs.
    let gp = unsafe { current::unencumbered().as_ref() }?;
    // seam: what std's panics do is not modelled.
    (gp.is_stackful() && !std::thread::panicking()).then(|| Stacked(NonNull::from(gp)))
}

fn here_in_full() -> Here {
    let (gp, role, kept) = current::whereabouts();
    // SAFETY: the current G is alive while it runs.
    if let Some(gp) = gp.filter(|gp| unsafe { gp.as_ref() }.is_stackful()) {
        // The count of panics is the thread's: another G on it would take ours for its own.
        // seam: what std's panics do is not modelled.
        if std::thread::panicking() || kept {
            return Here::Blocking;
        }
        // SAFETY: it is stackful.
        let head = unsafe { Head::of(gp.cast()) };
        // What is put aside belongs to the thread that it would leave.
        if head.is_migratable() && head.machine().is_null() && current::has_aside() {
            return Here::Blocking;
        }
        return Here::Stackful(Stacked(gp));
    }
    match role {
        Role::Running | Role::Waking => Here::Stackless,
        Role::Plain | Role::Blocking => Here::Blocking,
    }
}

/// The stackful G that runs here, whether or not it may leave its stack now.
pub(crate) fn stacked() -> Option<Stacked> {
    let (gp, ..) = current::whereabouts();
    // SAFETY: the current G is alive while it runs.
    gp.filter(|gp| unsafe { gp.as_ref() }.is_stackful())
        .map(Stacked)
}

impl Stacked {
    /// The G.
    pub(super) fn gp(self) -> NonNull<G> {
        self.0
    }

    /// Waits for `future`.
    #[inline]
    pub(crate) fn wait<F: Future>(self, mut future: Pin<&mut F>) -> F::Output {
        loop {
            // SAFETY: it is the current G.
            let poll = unsafe {
                coroutine::with_waker(self.0.as_ref(), |waker| {
                    future
                        .as_mut()
                        .poll(&mut std::task::Context::from_waker(waker))
                })
            };
            if let Poll::Ready(output) = poll {
                return output;
            }
            self.pause(Said::Waits);
        }
    }

    /// Lets the others run.
    pub(crate) fn yield_now(self) {
        self.pause(Said::Yields);
    }

    /// Waits until `done`, whatever happens to the G meanwhile; `aborted` is called if it is told to
    /// unwind. Whoever makes it `done` wakes the G.
    pub(crate) fn hold_until(self, done: impl Fn() -> bool, mut aborted: impl FnMut()) {
        while !done() {
            if self.leave(Said::Holds) == coroutine::Order::Unwind {
                aborted();
            }
        }
    }

    /// A waker of the G.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: it is the current G.
        unsafe { coroutine::with_waker(self.0.as_ref(), Waker::clone) }
    }

    /// How many bytes of its stack are free below the caller.
    #[inline]
    pub(crate) fn remaining(self) -> Option<usize> {
        // SAFETY: the current G is stackful, and alive.
        let limit = unsafe { Head::of(self.0.cast()) }.limit()?;
        stack_pointer().checked_sub(limit)
    }

    /// Leaves the stack until the next turn, and unwinds if the G was aborted.
    #[inline]
    fn pause(self, said: Said) {
        if self.leave(said) == coroutine::Order::Unwind {
            unwind();
        }
    }

    #[inline]
    fn leave(self, said: Said) -> coroutine::Order {
        if current::has_aside() {
            return self.leave_with_aside(said);
        }
        // SAFETY: it is the current G; this is its stack, or we were not told the truth by `here`;
        // and there is nothing to put aside.
        unsafe { coroutine::pause(self.0.as_ref(), said) }
    }

    #[cold]
    fn leave_with_aside(self, said: Said) -> coroutine::Order {
        // SAFETY: as in `leave`.
        let gp = unsafe { self.0.as_ref() };
        // SAFETY: it is stackful.
        let moves = unsafe { Head::of(self.0.cast()) }.is_migratable();
        let aside = current::put_aside();
        // SAFETY: as above.
        let order = unsafe { coroutine::pause(gp, said) };
        // A G that may move has nothing to put aside, see `here`: but for what guards left that were
        // leaked since. It belongs to the other thread, and nobody misses it here.
        if !moves {
            current::take_up(aside);
        }
        order
    }
}

/// Unwinds the stack of a G that was aborted. Nothing is printed.
#[cold]
pub(crate) fn unwind() -> ! {
    std::panic::resume_unwind(Box::new(Unwind))
}
