//! The end: every G is finished, whatever state it is in, and every thread ends.
//!
//! 1. `begin_shutdown` sets the flag, sends the parked Ms home and takes the idle Ps for good.
//! 2. Each M that holds a P sees the flag before its next turn, and *surrenders* the P. An M that
//!    gave its P away in the middle of a poll counts as well until the poll ends.
//! 3. Whoever brings the count of these to zero has the runtime's Gs for itself: nobody runs any,
//!    nobody can spawn any on a P. It *drains*: closes the shards of the threads without a P,
//!    aborts what is on the registry and runs everything that is queued, until the registry is
//!    empty. A G that some thread is just waking is on the registry but in no queue; the thread
//!    brings it and says so.
//!
//! Only after this may the runtime be freed, which is why Gs need no reference to it.

use super::Shared;
use crate::engine::current::{self, Context, Entered, Role};
use crate::engine::primitive::{
    AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, fence, lock, thread,
};
use crate::engine::queue::RawG;
use crate::engine::task::{Gp, abort_cell};
use std::time::Duration;

/// How far the shutdown is.
#[derive(Debug)]
pub(super) struct Stop {
    flag: AtomicBool,
    /// Ps that are not surrendered, and Ms in a poll without a P.
    outstanding: AtomicUsize,
    injected: Mutex<()>,
    changed: Condvar,
}

/// Who brings the count to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A thread of the runtime, or one that shuts it down.
    Insider,
    /// A thread that woke a G, perhaps with locks of the user held: it must not run user code.
    Outsider,
}

impl Stop {
    pub(super) fn new(procs: usize) -> Stop {
        Stop {
            flag: AtomicBool::new(false),
            outstanding: AtomicUsize::new(procs),
            injected: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Tells the draining thread that the global queue is not empty.
    #[cold]
    pub(super) fn poke(&self) {
        drop(lock(&self.injected));
        self.changed.notify_all();
    }
}

impl Shared {
    /// Whether the shutdown has begun.
    #[inline]
    pub(crate) fn stopping(&self) -> bool {
        // Ordering: Acquire, partner of the store in `begin_shutdown`. Where a decision to sleep
        // hangs on it, a SeqCst fence comes between the announcement and this.
        self.stop.flag.load(Ordering::Acquire)
    }

    /// Begins the shutdown. Futures that nobody runs at the moment are dropped on this thread.
    pub(crate) fn begin_shutdown(&self) {
        if self.stop.flag.swap(true, Ordering::AcqRel) {
            return;
        }
        // Ordering: SeqCst, partner of the fence in `Idle::release`: an M that gives up its P sees
        // the flag, or we see the P idle.
        fence(Ordering::SeqCst);
        self.threads.close();
        self.cancel_blocking();
        self.surrender_idle();
    }

    /// Waits until all Gs and all threads have ended. `false`: not within `timeout`.
    pub(crate) fn wait_for_shutdown(&self, timeout: Option<Duration>) -> bool {
        // A blocking closure that drops the runtime runs on one of the threads.
        let spare = usize::from(current::is_pool_thread_of(self.home()));
        self.threads.tally().wait(spare, timeout)
    }

    /// Gives up the P in `context` for good.
    pub(super) fn surrender(&self, context: &Context) {
        if let Some(pp) = context.pp() {
            // SAFETY: a thread holds the P in its context.
            unsafe { pp.note_given_up() };
            context.set_pp(None);
            self.one_less(Who::Insider);
        }
    }

    /// Takes the idle Ps for good.
    pub(super) fn surrender_idle(&self) {
        self.surrender_all_idle(Who::Insider);
    }

    /// As `surrender_idle`, by a thread that happens to see that it is due.
    pub(super) fn surrender_idle_elsewhere(&self) {
        self.surrender_all_idle(Who::Outsider);
    }

    fn surrender_all_idle(&self, who: Who) {
        while self.idle.claim().is_some() {
            self.one_less(who);
        }
    }

    /// Counts an M that gives its P away in the middle of a poll.
    pub(super) fn begin_stray(&self, context: &Context) {
        // Ordering: Relaxed, the M's P is still counted, so the count is not zero.
        self.stop.outstanding.fetch_add(1, Ordering::Relaxed);
        context.set_stray(true);
    }

    /// Counts it off, if it is one: it has a P again, or its poll has ended.
    pub(super) fn end_stray(&self, context: &Context) {
        if context.is_stray() {
            context.set_stray(false);
            self.one_less(Who::Insider);
        }
    }

    fn one_less(&self, who: Who) {
        // Ordering: AcqRel: whoever gets to zero sees all that the others did with their Ps.
        if self.stop.outstanding.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if who == Who::Outsider
            && let Some(shared) = self.me.upgrade()
            && thread::Builder::new()
                .name("runnext-drain".into())
                .spawn(move || shared.drain())
                .is_ok()
        {
            return;
        }
        self.drain();
    }

    /// Finishes all Gs. Called once, when nobody holds a P or runs a G.
    fn drain(&self) {
        let context = Context::new(self.home());
        let _entered = Entered::new(&context, Role::Running);
        for foreign in &self.foreign {
            lock(&foreign.desk).closed = true;
        }
        loop {
            let mut alive = false;
            for shard in self.shards() {
                // SAFETY: nobody owns a P's shard any more, and the others are closed; Gs are
                // struck off by whoever runs them, which is only us.
                unsafe {
                    shard.for_each(|cell| {
                        alive = true;
                        // SAFETY: a G on the registry is alive.
                        abort_cell(cell);
                    });
                }
            }
            if !alive {
                break;
            }
            while let Some(gp) = self.take_any() {
                // SAFETY: we took the right to run it out of a queue.
                unsafe { Gp::from_raw(gp) }.run();
            }
            self.await_injection();
        }
        self.threads.tally().drained();
    }

    /// Waits for the threads that are waking a G; returns at once if no G is left.
    fn await_injection(&self) {
        if self.alive() == 0 {
            return;
        }
        let mut guard = lock(&self.stop.injected);
        while self.global.is_empty() {
            guard = self
                .stop
                .changed
                .wait(guard)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// A G out of any queue.
    fn take_any(&self) -> Option<RawG> {
        let queued = self.procs.iter().find_map(|pp| {
            // SAFETY: all Ps were surrendered to us.
            pp.runnext.take().or_else(|| unsafe { pp.ring.pop() })
        });
        queued.or_else(|| {
            self.global
                .take(1, 0, |_| unreachable!("no room was offered"))
        })
    }
}
