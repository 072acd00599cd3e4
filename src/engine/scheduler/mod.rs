//! The verbs: everything that touches two of G, M, P and the queues.
//!
//! # Finding work, and being found
//!
//! An M needs a P to run Gs. An M with a P and nothing to run *spins*: it looks at the global
//! queue and at the other Ps' rings for a few microseconds. Then it gives its P up and parks. A
//! thread that makes a G ready puts it into a queue and sees to it that somebody will take it from
//! there. The whole difficulty is the moment when one side goes to sleep while the other decides
//! that nobody needs to be woken.
//!
//! **Submitting** (`schedule.rs`):
//! - S1. Put the G into a queue.
//! - S2. SeqCst fence.
//! - S3. If some P is idle and no M spins: take that P and wake an M with it. The M starts as a
//!   spinning one, so that submitters that come now need not wake another.
//!
//! **Parking** (`park.rs`), the mirror image:
//! - P1. Go on the list of parked Ms, so that whoever claims the P next finds a thread for it.
//! - P2. Give up the P and, if spinning, stop: one change of the counts. SeqCst fence.
//! - P3. Look at all queues once more. If there is work: come off the list, take an idle P and
//!   spin again; or obey, if somebody took us off the list first.
//! - P4. Sleep until ordered.
//!
//! Of the two fences one comes first. If it is the submitter's, P3 sees the G. If it is the
//! parker's, S3 sees the idle P and no spinner (or another spinner, for whom the same argument
//! holds), and wakes an M. A **spinner that finds work** takes the third part: it stops spinning,
//! fences, and if it was the last one, looks at all queues for those who relied on it and wakes a
//! successor if it sees anything. In Go it wakes one blindly, which then mostly finds nothing.
//!
//! **Watching** (`io.rs`) is how the list of parked Ms and the sockets go together. Once a socket is
//! registered, somebody has to see its events. This is an M that *watches*: it parks like any other,
//! but sleeps in the netpoller rather than in its parker, where `unpark` finds it (V4). Or it is
//! every M that holds a P: before it parks it will try to watch, and until then it asks for events
//! now and then. What must not happen is that there are idle Ps and nobody of either kind.
//! - V1. A parking M, at P4, after the fence of P2: if a socket is registered, take the seat in the
//!   netpoller, say that it is watched, and sleep there.
//! - V2. Whoever registers a socket without holding a P: fence, then V3.
//! - V3. Whoever stops watching without taking a P, or gives up a P without parking, after having
//!   done so: fence; if a socket is registered, nobody watches, some P is idle and no M spins, wake
//!   an M with that P. It will find nothing, park, and come to V1.
//! - V4. The watching M first takes the seat, then marks its parker, then sleeps. `unpark` swaps the
//!   mark for a token and, since it found the mark, wakes the netpoller as well. If the token was
//!   there before the mark, the M does not sleep. If it comes after the mark, the netpoller's waker
//!   is written to after the mark too, and the sleep that follows ends; nobody else can have taken
//!   that event, for the seat is the M's.
//!
//! The fence of a parking M and that of V2 or V3 come one after the other. If the parker's is first,
//! V3 sees its P idle. If it is second, the parker sees the socket and the empty seat. If it finds
//! the seat taken by an M with a P that asks without waiting, that M is the second kind.
//!
//! A push to the submitter's *own* ring leaves S2 out: the owner is awake, so the G cannot be
//! lost, and the owner checks S3 again before its next turn. What is risked is that one G waits
//! for one poll beside an M that parked in the same nanoseconds; what is saved is a fence on every
//! spawn. And nobody is woken for a lone runnext: the owner will run it next, and a thief would
//! only carry it away from its cache. What a batch of events makes ready is one push in this sense: S3
//! comes once, after all of it, and each M that is woken wakes the next while there is more.
//!
//! # Designs that were not taken
//!
//! - *Root future outside the workers* (tokio): every spawn and every wake from `main` crosses
//!   threads. Here the thread in `block_on` takes a P and works.
//! - *Handing the P's queue over when its M blocks without telling*: the G may be pushing to the
//!   ring at that moment. Thieves are the way to get at a stuck P's Gs.
//! - *Events before thieves* (Go): with sockets that are ready all the time nobody ever came to look at
//!   other Ps, and what a stuck one had in its ring waited for as long. It does not take a G that is
//!   stuck: where clients compete for the processors, a thread may lose its own in the midst of a batch.
//!   Now an M that runs dry first helps such a P (`steal_from_stuck`); the 99th percentile of a web
//!   server under load, `benches/http.sh`, fell by a third.
//! - *Giving way* (`sched_yield`) before asking for events, once a millisecond, to the clients that may
//!   wait for this processor: that percentile fell to a half of tokio's, at 5 % fewer requests. But the
//!   system takes it for a wish to be last: beside a thread that never yields one was left with a third of
//!   the processor instead of a half.
//! - *A reference to the runtime in every G*: an increment of one shared counter for each spawn,
//!   which is what keeps spawning from scaling. A G has a plain pointer; the runtime outlives its
//!   Gs because its shutdown ends them, and a foreign thread that wakes a G holds a reference
//!   while it does.

mod blocking;
mod decay;
mod find;
mod io;
mod pace;
mod park;
mod root;
mod schedule;
mod shutdown;
#[cfg(stackful)]
pub(crate) mod stackful;
#[cfg_attr(not(feature = "time"), allow(dead_code))] // Nobody sets a timer then.
mod station;
mod steal;
mod threads;
#[cfg_attr(not(feature = "time"), allow(dead_code))] // Nobody sets a timer then.
pub(crate) mod time;
#[cfg_attr(not(feature = "time"), allow(dead_code))] // Nobody sets a timer then.
pub(crate) mod timer;
mod track;
#[cfg_attr(not(any(stackful, feature = "net")), allow(dead_code))]
pub(crate) mod wait;
mod wake;

pub(crate) use crate::engine::current::EnteredBox as Entered;
pub(crate) use crate::engine::processor::Stats;
pub(crate) use crate::engine::sys::available_cpus as default_procs;
pub(crate) use crate::engine::util::random::entropy;
pub(crate) use blocking::block_in_place;
#[cfg(stackful)]
pub(crate) use blocking::give_way;
pub(crate) use schedule::Spawn;
pub(crate) use threads::{DEFAULT_NAME, Hooks};

use crate::engine::current::{self, Role};
use crate::engine::idle::Idle;
use crate::engine::netpoll::{Batches, Netpoll};
use crate::engine::primitive::{Arc, AtomicU64, Mutex, Ordering};
use crate::engine::processor::Processor;
use crate::engine::queue::Global;
use crate::engine::task::{IdBatch, Shard};
use crate::engine::util::CachePadded;
use std::sync::Weak;
use std::time::Duration;

/// How a runtime was built.
#[derive(Debug)]
pub(crate) struct Config {
    /// How many Ps.
    pub(crate) procs: usize,
    /// Whether threads may be started to run Gs; without, only threads in `block_on` do.
    pub(crate) multi: bool,
    /// Every how many turns the global queue is looked at first.
    pub(crate) global_queue_interval: u32,
    /// Every how many turns due timers and events of sockets are looked for.
    pub(crate) event_interval: u32,
    /// How many events of sockets are seen to at once.
    pub(crate) batches: Batches,
    /// Whether the clock begins stopped.
    #[cfg(feature = "test-util")]
    pub(crate) start_paused: bool,
    /// The most threads that run blocking closures at once.
    pub(crate) max_blocking_threads: usize,
    /// How long a thread beyond the number of Ps waits for something to do.
    pub(crate) keep_alive: Duration,
    /// The stacks of stackful Gs.
    #[cfg(stackful)]
    pub(crate) stacks: stackful::Stacks,
    /// The size of the threads' stacks, if not the default.
    pub(crate) thread_stack_size: Option<usize>,
    /// What all random decisions follow from.
    pub(crate) seed: u64,
    /// The user's callbacks.
    pub(crate) hooks: Hooks,
}

/// One runtime, as its threads, its handles and its Gs see it.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    idle: Idle,
    procs: Box<[CachePadded<Processor>]>,
    global: Global,
    foreign: Box<[CachePadded<Foreign>]>,
    threads: threads::Threads,
    blocking: blocking::Pool,
    time: time::Time,
    stop: shutdown::Stop,
    netpoll: Arc<Netpoll>,
    #[cfg(stackful)]
    stacks: crate::engine::stack::Pool,
    #[cfg(stackful)]
    decaying: crate::engine::primitive::AtomicBool,

    id: u64,
    me: Weak<Shared>,
}

/// The id of the next runtime.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// This thread runs tasks, and must not be blocked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocked;

/// Whether blocking this thread would stop tasks.
pub(crate) fn refuse_blocking() -> Option<Blocked> {
    matches!(current::role(), Role::Running | Role::Waking).then_some(Blocked)
}

impl Shared {
    /// Whether this thread would wait for itself if it waited for the runtime's end: it is in a
    /// poll of one of its Gs, or in a `block_on`, in which `block_in_place` was called.
    pub(crate) fn is_polling_here(&self) -> bool {
        current::is_within_poll_of(self.home())
    }
}

/// How many shards the threads without a P share.
const FOREIGN: usize = 8;

/// The living Gs that were spawned by threads without a P.
#[derive(Debug)]
struct Foreign {
    /// Whoever holds the lock owns the shard.
    desk: Mutex<Desk>,
    shard: Shard,
}

/// What a spawn by a thread without a P needs.
#[derive(Debug, Default)]
struct Desk {
    /// No more Gs are accepted.
    closed: bool,
    ids: IdBatch,
}

impl Shared {
    /// A runtime whose Ps are idle and which has no threads yet.
    pub(crate) fn new(config: Config) -> Arc<Shared> {
        let procs = config.procs;
        Arc::new_cyclic(|me| {
            let time = time::Time::new(&config, me);
            Shared {
                idle: Idle::new(procs),
                procs: (0..procs)
                    .map(|id| CachePadded::new(Processor::new(id, config.seed, time.young(id))))
                    .collect(),
                global: Global::new(),
                foreign: (0..FOREIGN)
                    .map(|k| {
                        let number = u16::try_from(procs + k).expect("the builder limits the Ps");
                        CachePadded::new(Foreign {
                            desk: Mutex::default(),
                            shard: Shard::new(number),
                        })
                    })
                    .collect(),
                threads: threads::Threads::default(),
                blocking: blocking::Pool::default(),
                time,
                stop: shutdown::Stop::new(procs),
                netpoll: Arc::new(Netpoll::new(config.batches)),
                #[cfg(stackful)]
                stacks: crate::engine::stack::Pool::new(config.stacks.size, config.stacks.max),
                #[cfg(stackful)]
                decaying: crate::engine::primitive::AtomicBool::new(false),

                config,
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                me: me.clone(),
            }
        })
    }

    /// The runtime that this thread belongs to or has entered.
    #[inline(never)] // See `current.rs`.
    pub(crate) fn current() -> Option<Arc<Shared>> {
        current::with(|context| {
            // SAFETY: the home of a context is the runtime that it was made for, which whoever keeps
            // the context on the stack keeps alive.
            let shared = unsafe { &*context?.home().cast::<Shared>() };
            shared.me.upgrade()
        })
    }

    /// Makes this the runtime of this thread.
    pub(crate) fn enter(self: &Arc<Shared>) -> Entered {
        Entered::new(self.clone())
    }

    /// Tells it from other runtimes.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// How it was built.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Its Ps, for metrics.
    pub(crate) fn procs(&self) -> &[CachePadded<Processor>] {
        &self.procs
    }

    /// How many Gs are alive.
    pub(crate) fn alive(&self) -> u64 {
        self.shards().map(Shard::alive).sum()
    }

    /// How many Gs were ever spawned.
    pub(crate) fn spawned(&self) -> u64 {
        self.shards().map(Shard::added).sum()
    }

    /// How many Gs wait in the global queue.
    pub(crate) fn global_len(&self) -> usize {
        self.global.len()
    }

    /// How many Gs were made ready by threads without a P, modulo 2^32.
    pub(crate) fn remote_schedules(&self) -> u64 {
        self.global.pushed()
    }

    /// The threads and the queue of the blocking pool: started, idle, closures waiting.
    pub(crate) fn blocking_stats(&self) -> (usize, usize, usize) {
        (
            self.blocking.running() + self.threads.parked_pool(),
            self.threads.parked_pool(),
            self.blocking.queued(),
        )
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        let own = self.procs.iter().map(|pp| &*pp.shard);
        own.chain(self.foreign.iter().map(|f| &f.shard))
    }

    /// The pointer by which Gs know it.
    fn home(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

    /// Whether a thief would find something. The runnext of a P that somebody holds does not count:
    /// its holder sees to it.
    fn work_visible(&self) -> bool {
        let ready = |pp: &Processor| {
            !pp.ring.is_empty() || (!pp.runnext.is_empty() && self.idle.is_idle(pp.id()))
        };
        !self.global.is_empty() || self.procs.iter().any(|pp| ready(pp))
    }
}
