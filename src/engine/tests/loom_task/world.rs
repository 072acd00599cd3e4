//! A cell made of the real [`State`] and [`Joiner`], and around them what `cell.rs`, `waker.rs`,
//! `body.rs` and `join.rs` do, in the same order. What they do with memory is done with loom's
//! cells: the future, the output, and the memory of the cell itself, which everyone who looks at it
//! reads and `free` writes.

use super::super::model::Seen;
use crate::engine::task::joiner::{Completed, Joined, Joiner, Left};
use crate::engine::task::state::{Begun, Released, State, Waiting, Woken};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

/// What the user's future does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Future {
    /// It is ready at its first poll.
    Ready,
    /// It is ready once [`World::tell`] was called so many times.
    Waits(usize),
}

/// What goes wrong, for canaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// The runner gives the G up before its poll.
    WaitsFirst,
    /// The runner frees the cell of a G without handle, whoever else there is.
    FreesAtTheEnd,
    /// The handle reads the output without looking whether the G has ended.
    TakesBlindly,
}

/// What a G leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Output,
    Cancelled,
}

/// A joiner, as its waker knows it.
struct Tally(Seen);

impl Wake for Tally {
    fn wake(self: Arc<Self>) {
        self.0.note();
    }
}

pub(super) struct World {
    flaw: Flaw,
    state: State,
    joiner: Joiner,
    future: UnsafeCell<Option<Future>>,
    output: UnsafeCell<Option<Outcome>>,
    /// Whether the handle took the output; the handle's own.
    taken: UnsafeCell<bool>,
    freed: UnsafeCell<bool>,
    told: AtomicUsize,
    /// How many queue entries of the G there are: never two. Like runnext, a slot.
    queue: AtomicUsize,
    joiners: [Arc<Tally>; 2],
    pub(super) polls: Seen,
    /// Outputs that were dropped, not taken.
    pub(super) dropped: Seen,
}

impl World {
    /// A G in a queue.
    pub(super) fn new(future: Future, flaw: Flaw) -> World {
        World {
            flaw,
            state: State::new(),
            joiner: Joiner::new(),
            future: UnsafeCell::new(Some(future)),
            output: UnsafeCell::new(None),
            taken: UnsafeCell::new(false),
            freed: UnsafeCell::new(false),
            told: AtomicUsize::new(0),
            queue: AtomicUsize::new(1),
            joiners: std::array::from_fn(|_| Arc::new(Tally(Seen::new()))),
            polls: Seen::new(),
            dropped: Seen::new(),
        }
    }

    /// With so many wakers of the G.
    pub(super) fn with_wakers(self, count: usize) -> World {
        (0..count).for_each(|_| self.clone_waker());
        self
    }

    /// Fails if the cell is freed, and loom does if this is not ordered before `free`.
    fn touch(&self) {
        // SAFETY: loom fails the model if it is being written.
        self.freed
            .with(|freed| assert!(!unsafe { *freed }, "use after free"));
    }

    /// As `free` in `cell.rs`.
    fn free(&self) {
        // SAFETY: loom fails the models unless the accesses are ours alone, here and below.
        self.freed.with_mut(|freed| unsafe {
            assert!(!*freed, "freed twice");
            *freed = true;
        });
        // SAFETY: as above.
        self.future
            .with(|f| assert!(unsafe { &*f }.is_none(), "the future is leaked"));
        // SAFETY: as above.
        self.output
            .with(|o| assert!(unsafe { &*o }.is_none(), "the output is leaked"));
    }

    // ---- As `waker.rs` ----

    pub(super) fn clone_waker(&self) {
        self.touch();
        self.state.retain();
    }

    pub(super) fn drop_waker(&self) {
        self.touch();
        if self.state.release() == Released::Last {
            self.free();
        }
    }

    pub(super) fn wake_by_ref(&self) {
        self.touch();
        if self.state.wake() == Woken::Queue {
            self.schedule();
        }
    }

    pub(super) fn wake(&self) {
        self.touch();
        match self.state.wake_and_release() {
            Woken::Queue => self.schedule(),
            Woken::Nothing => {}
            Woken::Last => self.free(),
        }
    }

    /// What the future waits for. Orders nothing: that is up to the wake-up after it.
    pub(super) fn tell(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn abort(&self) {
        self.touch();
        match self.state.abort() {
            Woken::Queue => self.schedule(),
            Woken::Nothing => {}
            Woken::Last => unreachable!(),
        }
    }

    fn schedule(&self) {
        self.touch();
        let before = self.queue.swap(1, Ordering::AcqRel);
        assert_eq!(before, 0, "a G is in two queues");
    }

    // ---- As `body.rs` ----

    /// Gives the G its turns until it is in no queue.
    pub(super) fn run_all(&self) {
        while self.queue.swap(0, Ordering::Acquire) == 1 {
            self.run();
        }
    }

    fn run(&self) {
        self.touch();
        let outcome = match self.state.begin() {
            Begun::Abort => Outcome::Cancelled,
            Begun::Poll => {
                if self.flaw == Flaw::WaitsFirst {
                    let _ = self.state.wait();
                }
                if self.poll().is_pending() {
                    match self.state.wait() {
                        Waiting::Idle => {}
                        Waiting::Woken => self.schedule(),
                    }
                    return;
                }
                Outcome::Output
            }
        };
        // SAFETY: see `free`.
        self.future.with_mut(|future| unsafe { *future = None });
        self.end(outcome);
    }

    fn poll(&self) -> Poll<()> {
        self.polls.note();
        self.future.with_mut(|future| {
            // SAFETY: see `free`.
            match unsafe { *future } {
                Some(Future::Ready) => Poll::Ready(()),
                Some(Future::Waits(goal)) if self.told.load(Ordering::Relaxed) >= goal => {
                    Poll::Ready(())
                }
                Some(Future::Waits(_)) => Poll::Pending,
                None => panic!("polled after its end"),
            }
        })
    }

    fn end(&self, outcome: Outcome) {
        if !self.state.load().is_joined() {
            return self.end_detached();
        }
        // SAFETY: see `free`.
        self.output.with_mut(|out| unsafe { *out = Some(outcome) });
        // SAFETY: slot and word belong together; we own the G.
        match unsafe { self.joiner.complete(&self.state) } {
            Completed::Quiet => {}
            Completed::Wake(waker) => waker.wake(),
            Completed::WakeAndRelease(waker) => {
                self.drop_waker();
                waker.wake();
            }
            Completed::Detached => {
                // SAFETY: see `free`.
                self.output.with_mut(|out| unsafe { *out = None });
                self.end_detached();
            }
        }
    }

    fn end_detached(&self) {
        self.touch();
        self.dropped.note();
        if self.state.complete_detached() == Released::Last || self.flaw == Flaw::FreesAtTheEnd {
            self.free();
        }
    }

    // ---- As `join.rs` ----

    /// Polls the handle with the waker of a joiner.
    pub(super) fn poll_join(&self, joiner: usize) -> Poll<Outcome> {
        self.touch();
        let waker = Waker::from(self.joiners[joiner].clone());
        // SAFETY: slot and word belong together; one thread is the handle.
        let joined = unsafe { self.joiner.register(&self.state, &waker, drop) };
        if joined == Joined::Waiting && self.flaw != Flaw::TakesBlindly {
            return Poll::Pending;
        }
        // SAFETY: see `free`.
        self.taken.with_mut(|taken| unsafe { *taken = true });
        // SAFETY: see `free`.
        let outcome = self.output.with_mut(|out| unsafe { (*out).take() });
        Poll::Ready(outcome.expect("the output is there"))
    }

    pub(super) fn drop_join(&self) {
        self.touch();
        // SAFETY: slot and word belong together; one thread is the handle.
        match unsafe { self.joiner.leave(&self.state) } {
            Left::Gone(waker) => drop(waker),
            Left::Complete => {
                if !self.is_taken() {
                    // SAFETY: see `free`.
                    let outcome = self.output.with_mut(|out| unsafe { (*out).take() });
                    outcome.expect("the output is there");
                    self.dropped.note();
                }
                self.touch();
                if self.state.release_as_last() == Released::Last {
                    self.free();
                }
            }
        }
    }

    // ---- The end of a model, when all threads have ended ----

    /// How often a joiner was woken.
    pub(super) fn woken(&self, joiner: usize) -> usize {
        self.joiners[joiner].0.count()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.touch();
        self.state.load().is_complete()
    }

    /// Whether the handle took the output.
    pub(super) fn is_taken(&self) -> bool {
        // SAFETY: see `free`.
        self.taken.with(|taken| unsafe { *taken })
    }

    /// Fails unless the cell is freed, with no joiner's waker left, and the output went one way.
    pub(super) fn expect_freed(&self) {
        // SAFETY: see `free`.
        self.freed
            .with(|freed| assert!(unsafe { *freed }, "the cell is leaked"));
        for joiner in &self.joiners {
            assert_eq!(Arc::strong_count(joiner), 1, "a joiner's waker is leaked");
        }
        let outputs = self.dropped.count() + usize::from(self.is_taken());
        assert_eq!(outputs, 1, "an output is dropped or taken, once");
    }
}
