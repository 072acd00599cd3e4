//! The end: every G is finished, whatever state it is in, and every thread ends.
//!
//! 1. `begin_shutdown` sets the flag, sends the parked Ms home and takes the idle Ps for good.
//! 2. Each M that holds a P sees the flag before its next turn, and *surrenders* the P. An M that
//!    gave its P away in the middle of a poll counts as well until the poll ends.
//! 3. An M that keeps Gs of its own, stackful ones that have begun, unwinds them before it ends, and
//!    counts until then.
//! 4. Whoever brings the count of these to zero has the runtime's Gs for itself: nobody runs any,
//!    nobody can spawn any on a P. It *drains*: closes the shards of the threads without a P,
//!    aborts what is on the registry and runs everything that is queued, until the registry is
//!    empty. A G that some thread is just waking is on the registry but in no queue; the thread
//!    brings it and says so.
//!
//! Only after this may the runtime be freed, which is why Gs need no reference to it.

use super::Shared;
use crate::engine::current::{self, Context, Entered, Role};
use crate::engine::machine::Machine;
use crate::engine::primitive::{
    Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, fence, lock, thread,
};
use crate::engine::processor::Processor;
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
    /// Ms that are busy with something else, and want to know.
    hosts: Mutex<Vec<Arc<Machine>>>,
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
            hosts: Mutex::default(),
        }
    }

    /// Tells the draining thread, and those that are not done yet, that the global queue is not
    /// empty.
    #[cold]
    pub(super) fn poke(&self) {
        drop(lock(&self.injected));
        self.changed.notify_all();
        self.wake_hosts();
    }

    fn wake_hosts(&self) {
        for machine in &*lock(&self.hosts) {
            machine.unpark();
        }
    }

    /// Has `m` woken when the shutdown begins and when something comes to the global queue after
    /// that, until `leave`.
    pub(super) fn join(&self, m: &Arc<Machine>) {
        lock(&self.hosts).push(m.clone());
    }

    /// Ends that.
    pub(super) fn leave(&self, m: &Arc<Machine>) {
        lock(&self.hosts).retain(|other| !Arc::ptr_eq(other, m));
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
        self.stop.wake_hosts();
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
            self.flush(pp);
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
        while let Some(pp) = self.idle.claim() {
            self.flush(&self.procs[pp]);
            self.one_less(who);
        }
    }

    /// Moves what is queued on a P that is being surrendered to where Ms that are not done yet find
    /// it.
    fn flush(&self, pp: &Processor) {
        // SAFETY: our callers hold it.
        let next = || pp.runnext.take().or_else(|| unsafe { pp.ring.pop() });
        let mut any = false;
        while let Some(gp) = next() {
            self.global.push(gp);
            any = true;
        }
        if any {
            // Ordering: SeqCst, partner of the fence in `stop_hosting`.
            fence(Ordering::SeqCst);
            self.stop.poke();
        }
    }

    /// Counts an M that begins to keep Gs of its own.
    #[cfg(stackful)]
    pub(super) fn begin_hosting(&self) {
        // Ordering: Relaxed, the M's P is still counted, so the count is not zero.
        self.stop.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the Gs that only `m` may run, which is about to end itself, and counts it off.
    ///
    /// They may wait for each other and for Gs that have not begun: those are taken from the global
    /// queue, where every surrendered P leaves them, and dropped.
    pub(super) fn stop_hosting(&self, m: &Arc<Machine>, context: &Context) {
        let role = current::set_role(Role::Running);
        // SAFETY: this is the M's thread.
        if !unsafe { m.bound.is_free() } {
            debug_assert!(self.stopping() && context.pp().is_none());
            self.stop.join(m);
            // SAFETY: as above; a G that it keeps is alive.
            unsafe { m.bound.for_each(|gp| abort_cell(gp)) };
            self.end_bound(m);
            self.stop.leave(m);
        }
        current::set_role(role);
        #[cfg(stackful)]
        // SAFETY: this is the M's thread.
        unsafe {
            m.bound.forget_alternate_stack();
        }
        // SAFETY: this is the M's thread.
        if unsafe { m.bound.release() } {
            self.one_less(Who::Insider);
        }
    }

    fn end_bound(&self, m: &Machine) {
        loop {
            // SAFETY: this is the M's thread.
            while let Some(gp) = unsafe { m.bound.next() } {
                current::refill_budget();
                // SAFETY: an entry of a queue is the right to run one G.
                unsafe { Gp::from_raw(gp) }.run();
            }
            // SAFETY: this is the M's thread.
            if unsafe { m.bound.is_free() } {
                return;
            }
            if let Some(gp) = self.take_global_only() {
                // SAFETY: we took the right to run it out of a queue.
                drop(unsafe { Gp::from_raw(gp) });
                continue;
            }
            // SAFETY: this is the M's thread.
            unsafe { m.bound.fall_asleep() };
            // Ordering: SeqCst, partner of the fences in `push_remote`, `inject` and `flush`.
            fence(Ordering::SeqCst);
            // SAFETY: this is the M's thread.
            if self.global.is_empty() && !unsafe { m.bound.is_ready() } {
                m.park();
            }
            m.bound.wake_up();
        }
    }

    fn take_global_only(&self) -> Option<RawG> {
        self.global
            .take(1, 0, |_| unreachable!("no room was offered"))
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
        queued.or_else(|| self.take_global_only())
    }
}
