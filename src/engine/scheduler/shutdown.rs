//! The end: every G is finished, whatever state it is in, and every thread ends.
//!
//! 1. `begin_shutdown` sets the flag, sends the parked Ms home and takes the idle Ps for good.
//! 2. Each M that holds a P sees the flag before its next turn, and *surrenders* the P.
//! 3. Whoever surrenders the last one *drains*: nobody can spawn on a P any more, and the queues are
//!    its own. It closes the shards of the threads without a P, aborts what is on the registry and
//!    runs everything that is queued, until nothing is left but stackful Gs that have begun. A G
//!    that some thread is just waking is on the registry but in no queue; the thread brings it and
//!    says so.
//! 4. Meanwhile turns may go on that began before, of Ms that gave their P away in the middle (*strays*),
//!    or that run Gs of their own without one. They may be waiting for what the draining ends, or for
//!    something on a stack: so it waits for none, and when there are no other Gs left than as many as
//!    there are strays, the stacks have their turn. It only keeps those Ms from striking Gs off the
//!    registry while it looks at that: they do so under a lock.
//! 5. Then the stacks are *unwound*, by the Ms that keep them, each when it has come to rest; those that
//!    may move by a thread of their own, as none of the Ms may be free for it. They come last
//!    since a destructor on a stack may wait, for a future's task or for another stack's: the
//!    tasks have ended by now or are about to, and the other stacks do so beside it. Whoever is the
//!    last to finish its part waits for what is left, and says that all is done.
//!
//! Only after this may the runtime be freed, which is why Gs need no reference to it.

use super::Shared;
use super::blocking::Owed;
use crate::engine::current::{self, Context, Entered, Role};
use crate::engine::machine::Machine;
use crate::engine::primitive::{
    Arc, AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, fence, lock, thread,
};
use crate::engine::processor::Processor;
use crate::engine::queue::RawG;
use crate::engine::task::{Gp, abort_cell};
use std::time::Duration;

/// Whether `gp`, which is alive, is a stackful G that has begun. For the draining thread.
fn on_a_stack(gp: RawG) -> bool {
    #[cfg(stackful)]
    // SAFETY: as said above; a G begins only where there is a P, so what is looked at was written
    // before the last P was surrendered.
    return unsafe { crate::engine::task::coroutine::has_begun(gp) };
    #[cfg(not(stackful))]
    {
        let _ = gp;
        false
    }
}

/// Whether `gp`, which is alive, stackful and has begun, belongs to one M. For the draining thread.
fn is_bound(gp: RawG) -> bool {
    #[cfg(stackful)]
    // SAFETY: as above.
    return !unsafe { crate::engine::task::coroutine::Head::of(gp) }
        .machine()
        .is_null();
    #[cfg(not(stackful))]
    {
        let _ = gp;
        false
    }
}

/// How far the shutdown is.
#[derive(Debug)]
pub(super) struct Stop {
    flag: AtomicBool,
    /// Ps that are not surrendered.
    outstanding: AtomicUsize,
    /// Strays: Ms in the middle of a turn that gave their P away.
    strays: AtomicUsize,
    /// The draining was left by a thread that was in the middle of a turn, and could start no other.
    left_over: AtomicBool,
    /// The draining thread, until stacks may be unwound, and Ms that have not unwound theirs.
    unwinders: AtomicUsize,
    /// Stacks may be unwound.
    unwinding: AtomicBool,
    /// Held by the draining thread while it looks at the registry, and by those without a P who
    /// strike a G off it.
    registry: Mutex<()>,
    /// How often something happened that the draining thread may wait for.
    events: Mutex<u64>,
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
            strays: AtomicUsize::new(0),
            left_over: AtomicBool::new(false),
            unwinders: AtomicUsize::new(1),
            unwinding: AtomicBool::new(false),
            registry: Mutex::new(()),
            events: Mutex::new(0),
            changed: Condvar::new(),
            hosts: Mutex::default(),
        }
    }

    /// Tells the draining thread, and those that are not done yet, that a G has ended or is in the global
    /// queue.
    #[cold]
    pub(super) fn poke(&self) {
        *lock(&self.events) += 1;
        self.changed.notify_all();
        self.wake_hosts();
    }

    /// Keeps the draining thread from looking at the registry.
    pub(super) fn lock_registry(&self) -> MutexGuard<'_, ()> {
        lock(&self.registry)
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

    /// Whether stacks may be unwound.
    #[cfg(stackful)]
    pub(super) fn is_unwinding(&self) -> bool {
        // Ordering: Acquire, as in `unwind_bound`. In `held` the fence of the roll comes before this, and in
        // `drain` the store before that of `abort_held`: a G on the roll sees this, or is seen there.
        self.stop.unwinding.load(Ordering::Acquire)
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
        self.cancel_blocking(Owed::Left);
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
        // Ordering: Relaxed, the M's P is still counted, so nobody unwinds.
        self.stop.unwinders.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the Gs that only `m` may run, which is about to end itself.
    pub(super) fn stop_hosting(&self, m: &Arc<Machine>, context: &Context) {
        let role = current::set_role(Role::Running);
        // SAFETY: this is the M's thread.
        if unsafe { m.bound.release() } {
            debug_assert!(context.pp().is_none());
            // SAFETY: as above.
            if !unsafe { m.bound.is_free() } {
                self.unwind_bound(m);
            }
            self.one_unwinder_less();
        }
        #[cfg(stackful)]
        // SAFETY: this is the M's thread.
        unsafe {
            m.bound.forget_alternate_stack();
        }
        current::set_role(role);
    }

    /// Unwinds the Gs that only `m` may run, when it is time.
    fn unwind_bound(&self, m: &Arc<Machine>) {
        debug_assert!(self.stopping());
        self.stop.join(m);
        // Ordering: Acquire, partner of the Release in `drain`.
        while !self.stop.unwinding.load(Ordering::Acquire) {
            m.park();
        }
        // SAFETY: this is the M's thread; a G that it keeps is alive.
        unsafe { m.bound.for_each(|gp| abort_cell(gp)) };
        self.end_bound(m);
        self.stop.leave(m);
    }

    /// Runs the Gs of `m`, and those that any M may run, until `m` has none. They wait for each other.
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
            // Ordering: SeqCst, partner of the fences in `push_remote` and `inject`.
            fence(Ordering::SeqCst);
            // SAFETY: this is the M's thread.
            if self.global.is_empty() && !unsafe { m.bound.is_ready() } {
                m.park();
            }
            m.bound.wake_up();
        }
    }

    /// Counts off the draining thread or an M that has unwound its Gs. The last one sees to those that
    /// may move.
    fn one_unwinder_less(&self) {
        // Ordering: AcqRel: the last one sees what the others did.
        if self.stop.unwinders.fetch_sub(1, Ordering::AcqRel) != 1 {
            // `unwind_movable` may wait to be the last.
            self.stop.poke();
            return;
        }
        loop {
            let seen = self.events();
            self.run_global();
            if self.alive() == 0 {
                break;
            }
            self.await_event(seen);
        }
        // Not before: destructors may wait for them. Roots that do have to know.
        self.close_timers();
        self.shut_netpoll();
        self.threads.tally().drained();
    }

    /// Unwinds the Gs that may move, beside the Ms that unwind their own and may wait for these; and
    /// is the last.
    fn unwind_movable(&self) {
        let context = Context::new(self.home());
        let _entered = Entered::new(&context, Role::Running);
        loop {
            let seen = self.events();
            self.run_global();
            // Ordering: Acquire, partner of the AcqRel in `one_unwinder_less`.
            if self.stop.unwinders.load(Ordering::Acquire) == 1 && self.alive() == 0 {
                break;
            }
            self.await_event(seen);
        }
        self.one_unwinder_less();
    }

    /// Runs, towards their end, the Gs of the global queue.
    fn run_global(&self) {
        while let Some(gp) = self.take_global_only() {
            // SAFETY: we took the right to run it out of a queue.
            drop(unsafe { Gp::from_raw(gp) });
        }
    }

    fn take_global_only(&self) -> Option<RawG> {
        self.global
            .take(1, 0, |_| unreachable!("no room was offered"))
    }

    fn one_less(&self, who: Who) {
        // Ordering: AcqRel: whoever gets to zero sees all that the others did with their Ps.
        if self.stop.outstanding.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // In the middle of a turn, as when a task drops its runtime, it would wait for that turn.
        let polls = self.is_polling_here();
        if (who == Who::Outsider || polls)
            && let Some(shared) = self.me.upgrade()
            && thread::Builder::new()
                .name("runnext-drain".into())
                .spawn(move || shared.drain())
                .is_ok()
        {
            return;
        }
        if polls {
            // Ordering: Relaxed, this thread will take it up.
            self.stop.left_over.store(true, Ordering::Relaxed);
        } else {
            self.drain();
        }
    }

    /// Notes that the M in `context` is about to give its P away in the middle of a poll.
    pub(super) fn begin_stray(&self, context: &Context) {
        debug_assert!(!context.is_stray());
        context.set_stray(true);
        // Ordering: Relaxed: whoever drains has every P from those who had it after this.
        self.stop.strays.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the M in `context`, which gave its P away in the middle of a poll, has one again, or
    /// that the poll has ended.
    pub(super) fn end_stray(&self, context: &Context) {
        if context.is_stray() {
            context.set_stray(false);
            // Ordering: Relaxed: who sees it too late lets stacks end beside a task that may be about to.
            self.stop.strays.fetch_sub(1, Ordering::Relaxed);
        }
        // Ordering: Relaxed, only a thread that could not drain in the middle of its turn sets it.
        if self.stop.left_over.load(Ordering::Relaxed)
            && !self.is_polling_here()
            && self.stop.left_over.swap(false, Ordering::Relaxed)
        {
            self.drain();
        }
    }

    /// Finishes all Gs that have no stack, other than those of strays, and lets the stacks be unwound.
    /// Called once, when nobody holds a P.
    fn drain(&self) {
        let context = Context::new(self.home());
        let _entered = Entered::new(&context, Role::Running);
        for foreign in &self.foreign {
            lock(&foreign.desk).closed = true;
        }
        // Woken before this, and to go on when stacks are unwound.
        let mut later = Vec::new();
        loop {
            let seen = self.events();
            let left = self.for_each_left(|gp| !on_a_stack(gp));
            if left == 0 {
                break;
            }
            let mut ran = false;
            while let Some(gp) = self.take_any() {
                if on_a_stack(gp) {
                    later.push(gp);
                } else {
                    // SAFETY: we took the right to run it out of a queue.
                    unsafe { Gp::from_raw(gp) }.run();
                    ran = true;
                }
            }
            if !ran {
                // Those that are left are being woken, or run.
                if left <= self.stop.strays.load(Ordering::Relaxed) {
                    break;
                }
                self.await_event(seen);
            }
        }
        let movable = self.for_each_left(|gp| on_a_stack(gp) && !is_bound(gp)) > 0;
        later.into_iter().for_each(|gp| self.global.push(gp));
        // Ordering: Release, partner of the Acquire in `unwind_bound`.
        self.stop.unwinding.store(true, Ordering::Release);
        self.stop.wake_hosts();
        #[cfg(stackful)]
        self.abort_held();
        if movable {
            // This thread may have stacks of its own to unwind, or not be one to wait.
            let builder = thread::Builder::new().name("runnext-unwind".into());
            if self
                .start(builder, |shared| shared.unwind_movable())
                .is_ok()
            {
                return;
            }
        }
        self.one_unwinder_less();
    }

    /// Aborts the living Gs that `matches` holds for. How many there are.
    fn for_each_left(&self, matches: impl Fn(RawG) -> bool) -> usize {
        let mut count = 0;
        let _registry = self.stop.lock_registry();
        for shard in self.shards() {
            // SAFETY: nobody owns a P's shard any more, and the others are closed, so nothing is added;
            // Gs are struck off under the lock.
            unsafe {
                shard.for_each(|cell| {
                    if matches(cell) {
                        count += 1;
                        // SAFETY: a G on the registry is alive.
                        abort_cell(cell);
                    }
                });
            }
        }
        count
    }

    /// How often something happened that `await_event` waits for.
    fn events(&self) -> u64 {
        *lock(&self.stop.events)
    }

    /// Waits until more has happened than `seen`: a G was queued globally, or has ended.
    fn await_event(&self, seen: u64) {
        let mut events = lock(&self.stop.events);
        while *events == seen {
            events = self
                .stop
                .changed
                .wait(events)
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
