//! The cell of a G, rebuilt of loom's parts: async-task's state word after its `state.rs`, `raw.rs`,
//! `task.rs` and `header.rs`, and around it what `engine/task/` adds.

use super::super::model::Seen;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

// async-task's bits.
const SCHEDULED: usize = 1 << 0;
const RUNNING: usize = 1 << 1;
const COMPLETED: usize = 1 << 2;
const CLOSED: usize = 1 << 3;
const TASK: usize = 1 << 4;
const AWAITER: usize = 1 << 5;
const REGISTERING: usize = 1 << 6;
const NOTIFYING: usize = 1 << 7;
const REFERENCE: usize = 1 << 8;

/// Our bit of the control word.
const ABORT: usize = 1;

/// What the user's future does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Future {
    /// It is ready at its first poll.
    Ready,
    /// It is ready once [`Cell::bring_event`] has been called, if ever.
    Waits,
}

/// How an abort goes wrong, for canaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// The G is woken, and only then told that it is to end.
    WakesFirst,
    /// Waking a G that is scheduled already leaves its state word alone. async-task writes it, for
    /// the sake of what the waker did before.
    WakesWithoutPublishing,
}

/// What a G leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Output,
    Cancelled,
}

pub(super) struct Cell {
    flaw: Flaw,
    state: AtomicUsize,
    control: AtomicUsize,
    awaiter: UnsafeCell<Option<usize>>,
    /// The body: `None` once it is dropped; and whether it keeps a reference to its cell.
    body: UnsafeCell<Option<Future>>,
    kept: UnsafeCell<bool>,
    output: UnsafeCell<Option<Outcome>>,
    /// Whether the memory was given back.
    freed: UnsafeCell<bool>,
    /// The run queue.
    queued: AtomicBool,
    /// The wakers that the joiner comes with.
    woken: [AtomicBool; 2],
    event: AtomicBool,
    /// What the aborter did before it aborted.
    word: UnsafeCell<bool>,
    pub(super) polls: Seen,
    /// How often the output or its absence was given to the joiner, and how often dropped.
    pub(super) joined: Seen,
    pub(super) dropped: Seen,
}

impl Cell {
    /// A G that is queued for its first poll, and has its join handle.
    pub(super) fn fresh(future: Future) -> Cell {
        Cell {
            flaw: Flaw::None,
            state: AtomicUsize::new(SCHEDULED | TASK | REFERENCE),
            control: AtomicUsize::new(0),
            awaiter: UnsafeCell::new(None),
            body: UnsafeCell::new(Some(future)),
            kept: UnsafeCell::new(false),
            output: UnsafeCell::new(None),
            freed: UnsafeCell::new(false),
            queued: AtomicBool::new(true),
            woken: [AtomicBool::new(false), AtomicBool::new(false)],
            event: AtomicBool::new(false),
            word: UnsafeCell::new(false),
            polls: Seen::new(),
            joined: Seen::new(),
            dropped: Seen::new(),
        }
    }

    pub(super) fn with(self, flaw: Flaw) -> Cell {
        Cell { flaw, ..self }
    }

    /// The state word, of a cell that must not have been freed.
    fn state(&self) -> &AtomicUsize {
        // SAFETY: the pointer is valid, and loom fails the model if the cell is being freed.
        self.freed
            .with(|freed| assert!(!unsafe { *freed }, "freed"));
        &self.state
    }

    /// Replaces the contents of one of the plain cells.
    fn put<T>(cell: &UnsafeCell<T>, value: T) -> T {
        // SAFETY: the pointer is valid, and loom fails the model unless the access is ours alone.
        cell.with_mut(|old| unsafe { std::mem::replace(&mut *old, value) })
    }

    /// The contents of one of the plain cells.
    fn get<T: Copy>(cell: &UnsafeCell<T>) -> T {
        // SAFETY: as in `put`.
        cell.with(|value| unsafe { *value })
    }

    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.state()
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    // ---- `engine/task/` ----

    /// `G::abort`, for whoever keeps the cell alive.
    pub(super) fn abort(&self) {
        if self.flaw == Flaw::WakesFirst {
            self.wake_by_ref();
        }
        let before = self.control.fetch_or(ABORT, Ordering::Release);
        if before & ABORT == 0 && self.flaw != Flaw::WakesFirst {
            self.wake_by_ref();
        }
    }

    /// As `abort`, after something that the poll which sees the abort has to see as well.
    pub(super) fn tell_and_abort(&self) {
        Cell::put(&self.word, true);
        self.abort();
    }

    /// `Body::poll`.
    fn poll_body(&self) -> Poll<Outcome> {
        self.polls.note();
        if self.control.load(Ordering::Acquire) & ABORT != 0 {
            self.finish();
            return Poll::Ready(Outcome::Cancelled);
        }
        let ready = match Cell::get(&self.body).expect("polled after it ended") {
            Future::Ready => true,
            Future::Waits => self.event.load(Ordering::Acquire),
        };
        if ready {
            self.finish();
            return Poll::Ready(Outcome::Output);
        }
        if !Cell::put(&self.kept, true) {
            self.clone_waker();
        }
        Poll::Pending
    }

    /// `finish`: the future is dropped, and the reference that the body keeps as well.
    fn finish(&self) {
        let future = Cell::put(&self.body, None);
        assert!(future.is_some(), "the future is dropped twice");
        if Cell::get(&self.kept) {
            self.drop_waker();
        }
    }

    /// Whether the aborter's deed can be seen, by the poll that ended the G.
    pub(super) fn word(&self) -> bool {
        Cell::get(&self.word)
    }

    /// `Schedule::schedule`.
    fn schedule(&self) {
        let before = self.queued.swap(true, Ordering::Release);
        assert!(!before, "the G is in the queue twice");
    }

    pub(super) fn is_woken(&self, waker: usize) -> bool {
        self.woken[waker].load(Ordering::Acquire)
    }

    /// An M: takes the G out of the queue and runs it, for as long as it is there.
    pub(super) fn run_all(&self) {
        while self.queued.load(Ordering::Relaxed) {
            assert!(self.queued.swap(false, Ordering::Acquire));
            self.run();
        }
    }

    /// What the future waits for happens, and the caller's waker is used up.
    pub(super) fn bring_event(&self) {
        self.event.store(true, Ordering::Release);
        self.wake_by_ref();
        self.drop_waker();
    }

    // ---- `raw.rs` ----

    pub(super) fn clone_waker(&self) {
        self.state().fetch_add(REFERENCE, Ordering::Relaxed);
    }

    fn wake_by_ref(&self) {
        let mut state = self.state().load(Ordering::Acquire);
        while state & (COMPLETED | CLOSED) == 0 {
            let idle = state & (SCHEDULED | RUNNING) == 0;
            let new = match state & SCHEDULED != 0 {
                true if self.flaw == Flaw::WakesWithoutPublishing => return,
                true => state,
                false if idle => (state | SCHEDULED) + REFERENCE,
                false => state | SCHEDULED,
            };
            match self.exchange(state, new) {
                Ok(_) if idle => return self.schedule(),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    pub(super) fn drop_waker(&self) {
        let new = self.state().fetch_sub(REFERENCE, Ordering::AcqRel) - REFERENCE;
        if new & !(REFERENCE - 1) == 0 && new & TASK == 0 {
            // Otherwise the last waker of a G is dropped that nobody can wake any more, and
            // async-task closes it; `G::keep` is there so that this does not happen.
            assert!(new & (COMPLETED | CLOSED) != 0, "the G is forgotten");
            self.destroy();
        }
    }

    fn drop_ref(&self) {
        let new = self.state().fetch_sub(REFERENCE, Ordering::AcqRel) - REFERENCE;
        if new & !(REFERENCE - 1) == 0 && new & TASK == 0 {
            self.destroy();
        }
    }

    fn destroy(&self) {
        assert!(Cell::get(&self.body).is_none(), "freed with its future");
        assert!(Cell::get(&self.output).is_none(), "freed with its output");
        assert!(!Cell::put(&self.freed, true), "freed twice");
    }

    fn run(&self) {
        let mut state = self.state().load(Ordering::Acquire);
        loop {
            assert!(state & CLOSED == 0, "nothing closes a G that is not done");
            match self.exchange(state, (state & !SCHEDULED) | RUNNING) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        state = (state & !SCHEDULED) | RUNNING;
        match self.poll_body() {
            Poll::Ready(outcome) => {
                Cell::put(&self.output, Some(outcome));
                let done = |state: usize| {
                    let closed = if state & TASK == 0 { CLOSED } else { 0 };
                    (state & !RUNNING & !SCHEDULED) | COMPLETED | closed
                };
                while let Err(now) = self.exchange(state, done(state)) {
                    state = now;
                }
                if state & TASK == 0 {
                    self.drop_output();
                }
                let awaiter = self.take_awaiter_if(state);
                self.drop_ref();
                self.wake_joiner(awaiter);
            }
            Poll::Pending => {
                while let Err(now) = self.exchange(state, state & !RUNNING) {
                    state = now;
                }
                if state & SCHEDULED != 0 {
                    self.schedule();
                } else {
                    self.drop_ref();
                }
            }
        }
    }

    fn drop_output(&self) {
        assert!(Cell::put(&self.output, None).is_some(), "no output to drop");
        self.dropped.note();
    }

    // ---- `header.rs` ----

    fn wake_joiner(&self, waker: Option<usize>) {
        if let Some(waker) = waker {
            self.woken[waker].store(true, Ordering::Release);
        }
    }

    fn take_awaiter_if(&self, state: usize) -> Option<usize> {
        (state & AWAITER != 0)
            .then(|| self.take_awaiter())
            .flatten()
    }

    fn take_awaiter(&self) -> Option<usize> {
        let state = self.state().fetch_or(NOTIFYING, Ordering::AcqRel);
        if state & (NOTIFYING | REGISTERING) != 0 {
            return None;
        }
        let waker = Cell::put(&self.awaiter, None);
        self.state()
            .fetch_and(!NOTIFYING & !AWAITER, Ordering::Release);
        waker
    }

    fn register(&self, waker: usize) {
        let mut state = self.state().fetch_or(0, Ordering::Acquire);
        loop {
            if state & NOTIFYING != 0 {
                return self.wake_joiner(Some(waker));
            }
            match self.exchange(state, state | REGISTERING) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        state |= REGISTERING;
        Cell::put(&self.awaiter, Some(waker));
        let mut notified = None;
        loop {
            if state & NOTIFYING != 0 {
                notified = Cell::put(&self.awaiter, None).or(notified);
            }
            let cleared = state & !NOTIFYING & !REGISTERING & !AWAITER;
            let awaiter = if notified.is_none() { AWAITER } else { 0 };
            match self.exchange(state, cleared | awaiter) {
                Ok(_) => return self.wake_joiner(notified),
                Err(now) => state = now,
            }
        }
    }

    // ---- `task.rs` ----

    /// Polls the join handle, with waker number `waker`.
    pub(super) fn poll_join(&self, waker: usize) -> Poll<Outcome> {
        let mut state = self.state().load(Ordering::Acquire);
        loop {
            assert!(state & CLOSED == 0, "joined twice");
            if state & COMPLETED == 0 {
                self.register(waker);
                state = self.state().load(Ordering::Acquire);
                if state & COMPLETED == 0 {
                    return Poll::Pending;
                }
            }
            match self.exchange(state, state | CLOSED) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        let other = self.take_awaiter_if(state).filter(|&w| w != waker);
        self.wake_joiner(other);
        self.joined.note();
        Poll::Ready(Cell::put(&self.output, None).expect("a G that has ended has an outcome"))
    }

    /// Drops the join handle.
    pub(super) fn detach(&self) {
        let mut state = match self.exchange(SCHEDULED | TASK | REFERENCE, SCHEDULED | REFERENCE) {
            Ok(_) => return,
            Err(state) => state,
        };
        loop {
            if state & COMPLETED != 0 && state & CLOSED == 0 {
                match self.exchange(state, state | CLOSED) {
                    Ok(_) => {
                        self.drop_output();
                        state |= CLOSED;
                    }
                    Err(now) => state = now,
                }
                continue;
            }
            let last = state & !(REFERENCE - 1) == 0;
            assert!(!last || state & CLOSED != 0, "the G is forgotten");
            match self.exchange(state, state & !TASK) {
                Ok(_) if last => return self.destroy(),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    // ---- The end of a model, when all threads and handles are gone ----

    /// Runs the G if it was woken, and fails if it has not ended since, or left anything behind.
    pub(super) fn settle(&self) {
        self.run_all();
        assert!(Cell::get(&self.body).is_none(), "the G waits for ever");
        assert_eq!(self.joined.count() + self.dropped.count(), 1, "outcomes");
        assert!(Cell::get(&self.freed), "the cell is leaked");
    }
}
