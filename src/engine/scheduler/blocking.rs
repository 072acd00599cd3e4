//! Closures that block: `spawn_blocking` on threads of the pool, `block_in_place` on the thread
//! at hand.
//!
//! Who wakes whom follows the Ms: a closure is pushed, and if no thread *searches*, one is woken or
//! started as a searcher. A searcher that takes a closure and was the last one, and sees more,
//! sends the next searcher before it runs its own. So each closure gets a thread, even if all
//! others block for ever, and yet a burst of short ones wakes only as many threads as come up
//! while it lasts: submitters meet neither a lock nor, mostly, a system call.
//!
//! What a shutdown finds in the queue is cancelled, unless it is *owed*: somebody was told that it
//! is as good as done, as with a write that was taken over. Such closures are run by the threads of
//! the pool before these end. Where there is no such thread, and none to be had, whoever notices
//! runs them.

use super::Shared;
use super::schedule::Spawn;
use crate::engine::current::{self, Context, Role, Turn};
use crate::engine::machine::{Machine, Order};
use crate::engine::primitive::{AtomicU64, Ordering, fence};
use crate::engine::task::{G, Gp, Id, RawG, RawJoin, Schedule, create};
use crate::engine::util::CachePadded;
use crossbeam_deque::{Injector, Steal};
use std::io;

const SEARCHING: u64 = 1;
const RUNNING: u64 = 1 << 32;

/// Right to run one blocking closure.
struct Job {
    gp: RawG,
    /// Whether a shutdown runs it rather than cancel it.
    owed: bool,
}

// SAFETY: `spawn_blocking` takes closures that are Send.
unsafe impl Send for Job {}

/// What happens to closures that are owed, when the others are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// They are run here; they may block.
    Run,
    /// The threads of the pool run them, if there are any.
    Left,
}

/// The closures that wait, and the threads that see to them.
#[derive(Debug, Default)]
pub(super) struct Pool {
    queue: Injector<Job>,
    /// | bits | meaning |
    /// |---|---|
    /// | 0..32 | threads that search for a closure, or are on their way to |
    /// | 32..64 | threads that search or run one |
    counts: CachePadded<AtomicU64>,
}

impl Pool {
    /// How many closures wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many threads search or run closures.
    pub(super) fn running(&self) -> usize {
        (self.counts.load(Ordering::Relaxed) >> 32) as usize
    }

    fn pop(&self) -> Option<Job> {
        loop {
            match self.queue.steal() {
                Steal::Success(job) => return Some(job),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Counts one searcher more, if there is none and `max` allows another thread.
    fn claim(&self, max: usize) -> bool {
        let claimed = self
            .counts
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |counts| {
                let searching = counts & (RUNNING - 1);
                let running = counts >> 32;
                (searching == 0 && running < max as u64).then_some(counts + SEARCHING + RUNNING)
            });
        claimed.is_ok()
    }

    /// Counts a searcher off, and with `change` perhaps the thread; whether it was the last.
    fn stop_searching(&self, change: u64) -> bool {
        let before = self.counts.fetch_sub(change, Ordering::AcqRel);
        // Ordering: SeqCst, partner of the fence in `submit`: a submitter that relied on us pushed
        // before this, and we see the closure.
        fence(Ordering::SeqCst);
        before & (RUNNING - 1) == 1
    }
}

impl Schedule for Pool {
    type Turn = Turn;

    fn enter(gp: &G) -> Turn {
        current::enter_g(gp)
    }

    unsafe fn schedule(_: *const Pool, gp: RawG, _: bool) {
        // A closure runs to its end in one poll, and is queued by `spawn_blocking` itself; so only
        // a wake-up that comes while it is being dropped could lead here.
        // SAFETY: the right to run it is passed to us; dropping it is always allowed.
        drop(unsafe { Gp::from_raw(gp) });
    }

    unsafe fn retire(_: *const Pool, _: &G) {}
}

impl Shared {
    /// Makes a G of `f` and has a thread of the pool run it.
    ///
    /// # Errors
    /// If no thread runs closures and none can be started. The closure is dropped.
    #[inline(never)] // See `current.rs`.
    pub(crate) fn spawn_blocking<F, R>(&self, f: F, spawn: Spawn) -> io::Result<RawJoin<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (gp, join) = self.blocking_g(f, spawn);
        self.submit(Job { gp, owed: false })?;
        Ok(join)
    }

    /// As `spawn_blocking`, for a closure that must be run even if the runtime ends before its turn
    /// comes. Where no thread can be had it has been run when this returns.
    ///
    /// # Errors
    /// If the shutdown has begun. The closure is dropped.
    #[cfg(any(feature = "fs", feature = "io-std"))]
    #[inline(never)] // See `current.rs`.
    pub(crate) fn spawn_owed<F, R>(&self, f: F, spawn: Spawn) -> io::Result<RawJoin<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if self.stopping() {
            return Err(io::Error::other("the runtime has been shut down"));
        }
        let (gp, join) = self.blocking_g(f, spawn);
        // The error is that there is no thread, and then the closure was run here.
        let _started = self.submit(Job { gp, owed: true });
        Ok(join)
    }

    fn blocking_g<F, R>(&self, f: F, spawn: Spawn) -> (RawG, RawJoin<R>)
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let birth = spawn.birth(self.held_p().map_or_else(Id::next, |pp| {
            // SAFETY: we hold it.
            unsafe { pp.own() }.ids.next()
        }));
        let mut f = Some(f);
        let body = std::future::poll_fn(move |_| {
            let f = f.take().expect("a closure is polled once");
            std::task::Poll::Ready(f())
        });
        // SAFETY: the home of closures is only used while they are alive, and the shutdown runs or
        // cancels them all; the closure is Send and 'static.
        unsafe { create(body, birth, std::ptr::from_ref(&self.blocking)) }
    }

    fn submit(&self, job: Job) -> io::Result<()> {
        // As soon as the closure is in the queue it may be run, and with it the runtime may end.
        let _alive = match self.held_p() {
            Some(_) => None,
            None => self.me.upgrade(),
        };
        self.blocking.queue.push(job);
        // Ordering: SeqCst, partner of the fence in `stop_searching`.
        fence(Ordering::SeqCst);
        if self.stopping() {
            self.cancel_blocking(Owed::Left);
            return Ok(());
        }
        self.send_searcher()
    }

    /// Wakes or starts a thread that looks for closures, unless one does already or the limit is
    /// reached; then a thread that finishes its closure takes the next.
    fn send_searcher(&self) -> io::Result<()> {
        if !self.blocking.claim(self.config.max_blocking_threads) {
            return Ok(());
        }
        if let Some(machine) = self.threads.take_parked_pool() {
            machine.give(Order::Block);
            return Ok(());
        }
        let Err(error) = self.start_thread(Order::Block) else {
            return Ok(());
        };
        self.blocking.stop_searching(SEARCHING + RUNNING);
        if self.blocking.running() > 0 {
            // Those that run will come to it.
            return Ok(());
        }
        self.cancel_blocking(Owed::Run);
        Err(error)
    }

    /// Runs closures until there are none. The caller was counted as a searcher.
    pub(super) fn run_blocking(&self, m: &Machine) {
        loop {
            let Some(first) = self.search_blocking(m) else {
                self.blocking.stop_searching(SEARCHING + RUNNING);
                if self.stopping() {
                    self.cancel_blocking(Owed::Run);
                } else if !self.blocking.queue.is_empty()
                    && self.blocking.claim(self.config.max_blocking_threads)
                {
                    continue;
                }
                return;
            };
            if self.blocking.stop_searching(SEARCHING)
                && !self.blocking.queue.is_empty()
                && let Err(error) = self.send_searcher()
            {
                unreachable!("we are a running thread ourselves: {error}");
            }
            run(first);
            while !self.stopping()
                && let Some(job) = self.blocking.pop()
            {
                run(job);
            }
            self.blocking.counts.fetch_add(SEARCHING, Ordering::AcqRel);
        }
    }

    fn search_blocking(&self, m: &Machine) -> Option<Job> {
        let found = m.patience.spin(|| {
            if self.stopping() {
                return Some(None);
            }
            self.blocking.pop().map(Some)
        });
        found.flatten()
    }

    /// Cancels the closures that have not begun, and runs or leaves those that are owed.
    pub(super) fn cancel_blocking(&self, mut owed: Owed) {
        loop {
            let mut left = Vec::new();
            while let Some(job) = self.blocking.pop() {
                match (job.owed, owed) {
                    (false, _) => cancel(job),
                    (true, Owed::Run) => run(job),
                    (true, Owed::Left) => left.push(job),
                }
            }
            if left.is_empty() {
                return;
            }
            for job in left {
                self.blocking.queue.push(job);
            }
            // Ordering: SeqCst, partner of the fence in `stop_searching`: a thread that we see in
            // the count has yet to look at the queue for the last time.
            fence(Ordering::SeqCst);
            if self.blocking.running() > 0 {
                return;
            }
            owed = Owed::Run;
        }
    }

    /// Ends the M's time as a stray, with a P if one is idle. Whether it has one.
    pub(super) fn regain(&self, context: &Context) -> bool {
        if !context.is_stray() {
            return false;
        }
        let claimed = if self.stopping() {
            None
        } else {
            self.idle.claim()
        };
        if let Some(pp) = claimed {
            context.set_pp(Some(&self.procs[pp]));
        }
        self.end_stray(context);
        claimed.is_some()
    }
}

fn run(job: Job) {
    // SAFETY: our callers took the right to run it out of the queue.
    unsafe { Gp::from_raw(job.gp) }.run();
}

fn cancel(job: Job) {
    // SAFETY: our caller took the right to run it out of the queue.
    let gp = unsafe { Gp::from_raw(job.gp) };
    gp.metadata().ask_abort();
    gp.run();
}

/// Runs `f`, which may block, on this thread; if the thread holds a P, another M gets it.
///
/// # Panics
/// On a thread that runs a runtime without other threads.
#[track_caller]
pub(crate) fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    let multi = running().is_none_or(|(shared, _)| shared.config.multi);
    assert!(
        multi || super::refuse_blocking().is_none(),
        "`block_in_place` needs the multi-thread runtime, and this is a current-thread one: nobody \
         could run the other tasks meanwhile; use `spawn_blocking`"
    );
    give_way(f)
}

/// As `block_in_place`, on any runtime: on one without other threads, those that there are for
/// stackful Gs or in `block_on` get the P.
pub(crate) fn give_way<R>(f: impl FnOnce() -> R) -> R {
    if current::role() != Role::Running {
        return f();
    }
    let Some((shared, context)) = running() else {
        return as_blocking(f);
    };
    let Some(pp) = context.pp() else {
        return as_blocking(f);
    };
    shared.begin_stray(context);
    context.set_pp(None);
    shared.handoff(pp);
    let _regain = Regain { shared, context };
    as_blocking(f)
}

/// The runtime whose Gs this thread runs, and what it is to that.
#[inline(never)] // See `current.rs`.
fn running<'a>() -> Option<(&'a Shared, &'a Context)> {
    current::with_running(|context| {
        let context = context?;
        // SAFETY: the home of a context is its runtime, which lives while the function runs that
        // put it on the stack. That function is below us; so we may keep both beyond this closure.
        let shared = unsafe { &*context.home().cast::<Shared>() };
        // SAFETY: as above.
        Some((shared, unsafe { &*std::ptr::from_ref(context) }))
    })
}

struct Regain<'a> {
    shared: &'a Shared,
    context: &'a Context,
}

impl Drop for Regain<'_> {
    fn drop(&mut self) {
        if self.context.pp().is_some() {
            // A stackful G waited inside, and its M took a P to run others.
            return;
        }
        let claimed = if self.shared.stopping() {
            None
        } else {
            self.shared.idle.claim()
        };
        if let Some(pp) = claimed {
            self.context.set_pp(Some(&self.shared.procs[pp]));
            self.shared.end_stray(self.context);
        }
    }
}

fn as_blocking<R>(f: impl FnOnce() -> R) -> R {
    struct PutBack(Role);
    impl Drop for PutBack {
        fn drop(&mut self) {
            current::set_role(self.0);
        }
    }
    let _role = PutBack(current::set_role(Role::Blocking));
    f()
}
