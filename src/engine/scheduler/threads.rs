//! The pool of threads, which run Gs or blocking closures as they are needed, and the list of the
//! parked ones.

use super::Shared;
use crate::engine::current::{self, Context, Entered, Role};
use crate::engine::machine::{Machine, Order, call_hook};
use crate::engine::primitive::{Arc, AtomicBool, Condvar, Mutex, Ordering, lock, thread};
use crate::engine::task::Gp;
use crate::engine::util::panics;
use std::io;
use std::time::{Duration, Instant};

type Hook = Option<Arc<dyn Fn() + Send + Sync>>;

/// The user's callbacks.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) name: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) start: Hook,
    pub(crate) stop: Hook,
    pub(crate) park: Hook,
    pub(crate) unpark: Hook,
}

impl Hooks {
    /// The name of the next thread. This is called where no panic may get through.
    fn thread_name(&self) -> String {
        match panics::caught(|| (self.name)()) {
            Ok(name) if !name.contains('\0') => name,
            Ok(_) => DEFAULT_NAME.to_owned(),
            Err(payload) => {
                panics::discard(payload);
                DEFAULT_NAME.to_owned()
            }
        }
    }
}

/// What threads are called that nobody named.
pub(crate) const DEFAULT_NAME: &str = "runnext-worker";

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Whether an M is on the list.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// It is, and may sleep for ever.
    Kept,
    /// It is, and should end if nothing comes up for a while.
    Surplus,
    /// It is not: the runtime is shutting down.
    Closed,
}

/// The threads of a runtime.
#[derive(Debug, Default)]
pub(super) struct Threads {
    parked: Mutex<Parked>,
    tally: Arc<Tally>,
    complained: AtomicBool,
}

/// The Ms that sleep or are about to, last in, first out: the one that slept for the shortest
/// time has the warmest cache.
#[derive(Debug, Default)]
struct Parked {
    /// Those with Gs of their own, which run no blocking closures and stay.
    hosts: Vec<Arc<Machine>>,
    pool: Vec<Arc<Machine>>,
    roots: Vec<Arc<Machine>>,
    closed: bool,
}

impl Threads {
    /// P1: puts `m` on the list.
    pub(super) fn list(&self, m: &Arc<Machine>, keep: usize) -> Listed {
        let mut parked = lock(&self.parked);
        if parked.closed {
            return Listed::Closed;
        }
        if m.is_root() {
            parked.roots.push(m.clone());
            return Listed::Kept;
        }
        if m.is_host() {
            parked.hosts.push(m.clone());
            return Listed::Kept;
        }
        parked.pool.push(m.clone());
        if parked.pool.len() > keep {
            Listed::Surplus
        } else {
            Listed::Kept
        }
    }

    /// Takes `m` off the list. `false`: somebody else did, and has an order for it.
    pub(super) fn unlist(&self, m: &Arc<Machine>) -> bool {
        let mut parked = lock(&self.parked);
        let list = if m.is_root() {
            &mut parked.roots
        } else if m.is_host() {
            &mut parked.hosts
        } else {
            &mut parked.pool
        };
        match list.iter().rposition(|other| Arc::ptr_eq(other, m)) {
            Some(i) => {
                list.remove(i);
                true
            }
            None => false,
        }
    }

    /// Takes an M for a P. Pool threads first, since a root that runs Gs cannot be polled
    /// meanwhile; but roots before a new thread is started. Unless tasks belong on the threads in
    /// `block_on`: `roots_first`. Then those that run blocking closures are left alone.
    pub(super) fn take_parked(&self, roots_first: bool) -> Option<Arc<Machine>> {
        let mut parked = lock(&self.parked);
        if roots_first {
            return parked.roots.pop().or_else(|| parked.hosts.pop());
        }
        let stays = parked.hosts.pop().or_else(|| parked.pool.pop());
        stays.or_else(|| parked.roots.pop())
    }

    /// Takes an M that stays, for Gs that only such an M may run.
    pub(super) fn take_parked_to_stay(&self) -> Option<Arc<Machine>> {
        let mut parked = lock(&self.parked);
        parked.hosts.pop().or_else(|| parked.pool.pop())
    }

    /// Takes an M for blocking closures.
    pub(super) fn take_parked_pool(&self) -> Option<Arc<Machine>> {
        lock(&self.parked).pool.pop()
    }

    /// Has an M on the list look around again. `false`: there is none.
    pub(super) fn rouse_one(&self, roots_first: bool) -> bool {
        let parked = lock(&self.parked);
        let stays = || parked.hosts.last().or(parked.pool.last());
        let m = if roots_first {
            parked.roots.last().or(parked.hosts.last())
        } else {
            stays().or(parked.roots.last())
        };
        if let Some(m) = m {
            m.unpark();
        }
        m.is_some()
    }

    /// Whether `take_parked` would take anybody.
    pub(super) fn any_parked(&self, roots_first: bool) -> bool {
        let parked = lock(&self.parked);
        let pool = !roots_first && !parked.pool.is_empty();
        pool || !parked.hosts.is_empty() || !parked.roots.is_empty()
    }

    /// How many pool threads are on the list.
    pub(super) fn parked_pool(&self) -> usize {
        let parked = lock(&self.parked);
        parked.pool.len() + parked.hosts.len()
    }

    /// Tells all parked Ms to end, and lets no others on the list.
    pub(super) fn close(&self) {
        let all = {
            let mut parked = lock(&self.parked);
            let parked = &mut *parked;
            parked.closed = true;
            let lists = [&mut parked.hosts, &mut parked.pool, &mut parked.roots];
            lists.map(std::mem::take)
        };
        for machine in all.into_iter().flatten() {
            machine.give(Order::Exit);
        }
    }

    /// Says, once, that tasks have fewer threads than they were promised. They go on on those that
    /// there are, and the next push tries again.
    #[cold]
    pub(super) fn complain(&self, error: &io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            eprintln!(
                "runnext: cannot start a worker thread: {error}. Tasks wait for the threads that \
                 there are. Raise the limit on threads or memory of this process, or lower \
                 `worker_threads` or `thread_stack_size` of the runtime"
            );
        }
    }

    /// The count of the threads.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

/// The threads that there are, kept outside of the runtime so that a thread counts itself off
/// only after it has let go of everything else.
#[derive(Debug, Default)]
pub(super) struct Tally {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    threads: usize,
    /// Those whose handle is still to come.
    starting: usize,
    handles: Vec<thread::JoinHandle<()>>,
    drained: bool,
}

impl Tally {
    /// Notes that the Gs have all ended.
    pub(super) fn drained(&self) {
        lock(&self.state).drained = true;
        self.changed.notify_all();
    }

    fn count(&self) {
        let mut state = lock(&self.state);
        state.threads += 1;
        state.starting += 1;
    }

    fn started(&self, handle: thread::JoinHandle<()>) {
        let mut state = lock(&self.state);
        state.starting -= 1;
        // Threads end and others are started for as long as the runtime lives.
        state.handles.retain(|handle| !handle.is_finished());
        state.handles.push(handle);
        drop(state);
        self.changed.notify_all();
    }

    fn not_started(&self) {
        lock(&self.state).starting -= 1;
        self.count_off();
    }

    fn count_off(&self) {
        lock(&self.state).threads -= 1;
        self.changed.notify_all();
    }

    /// Waits until all Gs and all threads but `spare` have ended; without a `timeout` also for the
    /// destructors of the threads' thread-locals. `false`: not within `timeout`.
    pub(super) fn wait(&self, spare: usize, timeout: Option<Duration>) -> bool {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut state = lock(&self.state);
        while state.threads > spare || state.starting > 0 || !state.drained {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            state = match left {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        if timeout.is_none() {
            join_all(handles);
        }
        true
    }
}

/// Joins threads that have nothing left to do but their thread-locals' destructors.
fn join_all(handles: Vec<thread::JoinHandle<()>>) {
    let here = thread::current().id();
    for handle in handles {
        // This may be one of them: in a blocking closure, or in such a destructor.
        if handle.thread().id() != here {
            // A panic in such a destructor ends the process; nothing else is left that could.
            let _ended = handle.join();
        }
    }
}

impl Shared {
    /// Starts a pool thread that begins with `order`.
    pub(super) fn start_thread(&self, order: Order) -> io::Result<()> {
        let mut builder = thread::Builder::new().name(self.config.hooks.thread_name());
        if let Some(size) = self.config.thread_stack_size {
            builder = builder.stack_size(size);
        }
        self.start(builder, move |shared| thread_main(shared, order))
    }

    /// Starts a thread that does `main`, and that the runtime's end waits for.
    pub(super) fn start(
        &self,
        builder: thread::Builder,
        main: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> io::Result<()> {
        let Some(shared) = self.me.upgrade() else {
            return Err(io::Error::other("the runtime is gone"));
        };
        let tally = self.threads.tally.clone();
        tally.count();
        let started = builder.spawn({
            let tally = tally.clone();
            move || {
                main(&shared);
                drop(shared);
                tally.count_off();
            }
        });
        match started {
            Ok(handle) => {
                tally.started(handle);
                Ok(())
            }
            Err(error) => {
                tally.not_started();
                Err(error)
            }
        }
    }
}

/// What a pool thread does: one order after the other.
fn thread_main(shared: &Arc<Shared>, first: Order) {
    let m = Machine::pool(shared.netpoll.clone());
    let context = Context::of_pool(shared.home(), &m);
    let _entered = Entered::new(&context, Role::Plain);
    let hooks = &shared.config.hooks;
    call_hook("on_thread_start", hooks.start.as_ref());
    let mut order = first;
    loop {
        let woken = match order {
            Order::Run { pp, spinning } => {
                context.set_pp(Some(&shared.procs[pp]));
                current::set_role(Role::Running);
                let spinning = shared.work(&m, &context, spinning);
                current::set_role(Role::Plain);
                shared.park(&m, &context, spinning)
            }
            Order::Bound => {
                current::set_role(Role::Running);
                let spinning = shared.work(&m, &context, false);
                current::set_role(Role::Plain);
                shared.park(&m, &context, spinning)
            }
            Order::Decay => {
                shared.decay(&m);
                shared.park(&m, &context, false)
            }
            Order::Block => {
                current::set_role(Role::Blocking);
                shared.run_blocking(&m);
                shared.resume_clock();
                current::set_role(Role::Plain);
                shared.park(&m, &context, false)
            }
            Order::Exit => break,
        };
        order = match woken {
            super::park::Woken::Ordered(order) => order,
            super::park::Woken::Root => unreachable!("a pool thread has no root future"),
        };
    }
    shared.stop_hosting(&m, &context);
    call_hook("on_thread_stop", hooks.stop.as_ref());
}

impl Shared {
    /// Runs Gs until there are no more, or none of this M's concern. Whether it spins still.
    fn work(&self, m: &Machine, context: &Context, mut spinning: bool) -> bool {
        use super::find::Left;
        loop {
            match self.run(m, context, spinning) {
                Left::Idle { spinning } => return spinning,
                Left::NoP => {
                    if !self.regain(context) && !self.run_without_p(m, context) {
                        return false;
                    }
                }
                Left::Stop => {
                    self.surrender(context);
                    return false;
                }
                Left::Root | Left::HandsOver => unreachable!("a pool thread has no root future"),
            }
            spinning = false;
        }
    }

    /// Runs the Gs that only `m` may run, for an M that has no P and finds none. Whether it has one
    /// now; else there is nothing left to run, or the runtime is shutting down.
    pub(super) fn run_without_p(&self, m: &Machine, context: &Context) -> bool {
        loop {
            if self.stopping() {
                return false;
            }
            // SAFETY: this is the M's thread.
            if !unsafe { m.bound.is_ready() } {
                return false;
            }
            if let Some(pp) = self.idle.claim() {
                context.set_pp(Some(&self.procs[pp]));
                return true;
            }
            // SAFETY: this is the M's thread.
            if let Some(gp) = unsafe { m.bound.next() } {
                current::refill_budget();
                context.set_without_p(true);
                // SAFETY: an entry of a queue is the right to run one G, and we took it out.
                unsafe { Gp::from_raw(gp) }.run();
                context.set_without_p(false);
                self.end_stray(context);
            }
        }
    }
}
