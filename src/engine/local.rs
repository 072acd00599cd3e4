//! Gs that stay on one thread: the engine of a `LocalSet`.
//!
//! The set is a future of its own, polled by the thread that made it. Its Gs are in its own queues:
//! woken on that thread they go to a plain one, woken elsewhere through a locked one. All of them
//! are finished by the time the set is gone.

use crate::engine::current::{self, LocalScope, Turn};
use crate::engine::primitive::{Arc, AtomicBool, Condvar, Mutex, Ordering, UnsafeCell, lock};
use crate::engine::task::{Birth, G, Gp, RawG, RawJoin, Schedule, Shard, abort_cell, create};
use crate::engine::util::panics::{caught, discard, drop_quietly};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Weak;
use std::task::Waker;

/// How many Gs one poll of the set runs, so that the future beside it gets its turn.
const TICK: usize = 61;

/// Right to run one G of the set, on its way to the set's thread.
#[derive(Debug)]
struct Travelling(RawG);

// SAFETY: only the pointer crosses threads; the set's thread runs or drops what it leads to.
unsafe impl Send for Travelling {}

/// Whom to wake when a G of the set is ready. Mostly one task polls the set; each `run_until` in a
/// task of its own is another, and any of them may end first.
#[derive(Debug, Default)]
struct Pollers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Pollers {
    fn contains(&self, waker: &Waker) -> bool {
        let mut all = self.first.iter().chain(&self.others);
        all.any(|other| other.will_wake(waker))
    }

    fn add(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.others.push(waker);
        }
    }

    fn take(&mut self) -> Pollers {
        std::mem::take(self)
    }

    fn drop_quietly(self) {
        for waker in self.first.into_iter().chain(self.others) {
            drop_quietly(waker);
        }
    }

    /// Wakes all of them. They are whoever's wakers, and we may be in the middle of ending a G. By
    /// reference, since a destructor that panics while another panic unwinds ends the process.
    fn wake(self) {
        for waker in self.first.iter().chain(&self.others) {
            if let Err(payload) = caught(|| waker.wake_by_ref()) {
                discard(payload);
            }
        }
        self.drop_quietly();
    }
}

/// What a `LocalSet` and the wakers of its Gs share.
#[derive(Debug)]
pub(crate) struct Local {
    /// The thread that made the set; it alone touches `queue` and owns `shard`.
    thread: usize,
    queue: UnsafeCell<VecDeque<RawG>>,
    shard: Shard,
    remote: Mutex<Vec<Travelling>>,
    arrived: Condvar,
    /// Whether `remote` is worth a lock.
    has_remote: AtomicBool,
    /// The tasks that poll the set.
    wakers: Mutex<Pollers>,
    /// The set is gone, or going: it takes no more Gs.
    closed: AtomicBool,
    me: Weak<Local>,
}

// SAFETY: what is not made for sharing is touched by the set's thread alone, see `own_queue`.
unsafe impl Send for Local {}
// SAFETY: as above.
unsafe impl Sync for Local {}

impl Local {
    /// An empty set of this thread.
    pub(crate) fn new() -> Arc<Local> {
        Arc::new_cyclic(|me| Local {
            thread: current::thread_address(),
            queue: UnsafeCell::new(VecDeque::new()),
            shard: Shard::new(0),
            remote: Mutex::new(Vec::new()),
            arrived: Condvar::new(),
            has_remote: AtomicBool::new(false),
            wakers: Mutex::default(),
            closed: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    fn is_here(&self) -> bool {
        self.thread == current::thread_address()
    }

    /// Calls `f` with the queue of the set's thread, which is this one. `f` runs no user code.
    fn with_queue<R>(&self, f: impl FnOnce(&mut VecDeque<RawG>) -> R) -> R {
        assert!(self.is_here(), "a `LocalSet` was used on another thread");
        // SAFETY: only this thread gets here, and `f` does not come back to this function.
        f(unsafe { &mut *self.queue.get() })
    }

    /// Makes a G of `future`, and queues it; if the set is gone, the G is born cancelled.
    ///
    /// # Panics
    /// On another thread than the set's.
    pub(crate) fn spawn<F>(&self, future: F, birth: Birth) -> RawJoin<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        assert!(self.is_here(), "a `LocalSet` was used on another thread");
        // SAFETY: the set finishes its Gs before it is gone, on this thread, which alone runs them;
        // the future is 'static.
        let (gp, join) = unsafe { create(future, birth, std::ptr::from_ref(self)) };
        // Ordering: Relaxed, only this thread uses it.
        if self.closed.load(Ordering::Relaxed) {
            join.abort();
            // SAFETY: `create` gave us the right to run it, and this is its thread.
            unsafe { Gp::from_raw(gp) }.run();
            return join;
        }
        // SAFETY: this thread owns the shard; the G is new.
        unsafe { self.shard.add(gp, join.gp().place()) };
        self.with_queue(|queue| queue.push_back(gp));
        self.wake_poller();
        join
    }

    /// Notes whom to wake when a G of the set is ready.
    pub(crate) fn register(&self, waker: &Waker) {
        if lock(&self.wakers).contains(waker) {
            return;
        }
        // Cloned outside of the lock, since that is code of others.
        let waker = waker.clone();
        lock(&self.wakers).add(waker);
    }

    /// Runs some of the Gs that are ready; whether there may be more.
    #[must_use]
    pub(crate) fn tick(&self) -> bool {
        for _ in 0..TICK {
            let Some(gp) = self.next() else {
                return false;
            };
            let outer = current::budget();
            current::refill_budget();
            // SAFETY: a queue entry is the right to run one G; this is the set's thread.
            unsafe { Gp::from_raw(gp) }.run();
            current::set_budget(outer);
        }
        true
    }

    /// Whether no G of the set is alive.
    pub(crate) fn is_empty(&self) -> bool {
        self.shard.alive() == 0
    }

    /// Makes this the set to which `spawn_local` on this thread goes.
    pub(crate) fn enter(self: &Arc<Self>) -> LocalScope {
        LocalScope::new(self.clone())
    }

    /// The set to which `spawn_local` on this thread goes.
    pub(crate) fn current() -> Option<Arc<Local>> {
        current::local()?.downcast().ok()
    }

    /// Finishes all Gs.
    ///
    /// # Panics
    /// On another thread than the set's.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        loop {
            let mut alive = false;
            assert!(self.is_here(), "a `LocalSet` was dropped on another thread");
            // SAFETY: this thread alone adds and strikes off.
            unsafe {
                self.shard.for_each(|cell| {
                    alive = true;
                    // SAFETY: a G on the registry is alive.
                    abort_cell(cell);
                });
            }
            if !alive {
                let wakers = lock(&self.wakers).take();
                wakers.drop_quietly();
                return;
            }
            while let Some(gp) = self.next() {
                // SAFETY: as in `tick`.
                unsafe { Gp::from_raw(gp) }.run();
            }
            // What is left is being brought by a thread that wakes it.
            let mut remote = lock(&self.remote);
            while remote.is_empty() && !self.is_empty() {
                remote = self
                    .arrived
                    .wait(remote)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
            }
        }
    }

    fn next(&self) -> Option<RawG> {
        // Ordering: Acquire, partner of the Release in `schedule`. A set flag that is seen late
        // costs nothing: the poller is woken after it was set.
        if self.has_remote.load(Ordering::Acquire) {
            self.has_remote.store(false, Ordering::Relaxed);
            let arrived = std::mem::take(&mut *lock(&self.remote));
            self.with_queue(|queue| queue.extend(arrived.into_iter().map(|t| t.0)));
        }
        self.with_queue(VecDeque::pop_front)
    }

    fn wake_poller(&self) {
        // Taken: a poller that was woken once will poll, and register again.
        let pollers = lock(&self.wakers).take();
        pollers.wake();
    }
}

impl Schedule for Local {
    type Turn = Turn;

    fn enter(gp: &G) -> Turn {
        current::enter_g(gp)
    }

    unsafe fn schedule(home: *const Local, gp: RawG, _yielded: bool) {
        // SAFETY: as our caller promised.
        let local = unsafe { &*home };
        // As soon as the G is in a queue the set may finish it and be gone.
        let Some(local) = local.me.upgrade() else {
            unreachable!("a set outlives its Gs");
        };
        if local.is_here() {
            local.with_queue(|queue| queue.push_back(gp));
        } else {
            let mut remote = lock(&local.remote);
            remote.push(Travelling(gp));
            // Ordering: Release, for `next`; set under the lock, so that it is not cleared between
            // a push and this.
            local.has_remote.store(true, Ordering::Release);
            local.arrived.notify_one();
        }
        local.wake_poller();
    }

    unsafe fn retire(home: *const Local, gp: &G) {
        // SAFETY: as our caller promised.
        let local = unsafe { &*home };
        if gp.place().shard().is_some() {
            // SAFETY: added there when it was spawned; Gs of the set end on its thread.
            unsafe { local.shard.strike(gp.place(), true) };
        }
    }
}
