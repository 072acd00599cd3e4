//! P: the right to run Gs, with the queues that go with it.
//!
//! At most one thread holds a P. What only the holder touches is in [`Processor::own`]; thieves
//! see the rest. A P changes hands through [`Idle`](crate::engine::scheduler) or through an order
//! to a machine, both of which release and acquire.

use crate::engine::primitive::{AtomicBool, Ordering};
use crate::engine::queue::{Ring, Runnext, Snapshot};
use crate::engine::sys::{self, Instant};
use crate::engine::task::spare::Spare;
use crate::engine::task::{Id, IdBatch, RawG, Shard};
use crate::engine::timer::Young;
use crate::engine::util::CachePadded;
use crate::engine::util::counter::Counter;
use crate::engine::util::histogram::Histogram;
use crate::engine::util::random::Random;
use std::cell::{Cell, RefCell};
use std::task::Waker;

/// One processor.
#[derive(Debug)]
pub(crate) struct Processor {
    id: usize,
    /// The G that was made ready last.
    pub(crate) runnext: CachePadded<Runnext>,
    /// The local run queue.
    pub(crate) ring: Ring,
    /// The living Gs that were spawned here.
    pub(crate) shard: CachePadded<Shard>,
    own: CachePadded<Own>,
    /// What it spawned last was a stackful G, so its ring may hold some that have not begun.
    hatching: AtomicBool,
    /// What it did so far.
    pub(crate) stats: CachePadded<Stats>,
}

/// What only the holder of the P touches.
#[derive(Debug)]
pub(crate) struct Own {
    /// Ids for the next spawns.
    pub(crate) ids: IdBatch,
    /// What is due only now and then.
    pub(crate) rota: Rota,
    /// What is filled and emptied each time that they are.
    pub(crate) wakers: RefCell<Vec<Waker>>,
    /// The timers that were set in this turn.
    pub(crate) young: RefCell<Young>,
    /// How many Gs came from runnext in this round.
    pub(crate) inherited: Cell<u32>,
    /// Another P, as it was when this one last ran dry.
    pub(crate) watched: Cell<Option<Watched>>,
    /// Pushes until the next G is tracked.
    pub(crate) untracked: Cell<u32>,
    /// The G that is tracked, and since when it is ready.
    pub(crate) tracked: Cell<Option<Tracked>>,
    /// Memory for the next G.
    pub(crate) spare: Spare,
    /// How many Gs it had made ready when it last stole: so many still if it runs nothing else.
    pub(crate) stole_at: Cell<u64>,
    /// Where thieves start.
    pub(crate) random: Random,
    /// Stacks for the next Gs that begin here.
    #[cfg(stackful)]
    pub(crate) stacks: RefCell<crate::engine::stack::Cache>,
    /// When the holder last found work after having had none.
    pub(crate) busy_since: Cell<Option<Instant>>,
}

/// Counts the turns until something is due that is so every so many turns: one countdown to whatever comes
/// first, so that most turns pay for one number.
#[derive(Debug, Default)]
pub(crate) struct Rota {
    /// Turns until something is due.
    left: Cell<u32>,
    /// What `left` began with.
    span: Cell<u32>,
    /// Turns since each was due, when `left` was set.
    since: [Cell<u32>; DUTIES],
}

/// How many things are due now and then: see [`Rota::due`].
pub(crate) const DUTIES: usize = 3;

impl Rota {
    /// Counts a turn. Whether something is due in it, which [`Rota::due`] then tells.
    #[inline]
    pub(crate) fn passes(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.wrapping_sub(1));
        left <= 1
    }

    /// Which of the things are due in this turn, each every so many turns of its interval.
    pub(crate) fn due(&self, intervals: [u32; DUTIES]) -> [bool; DUTIES] {
        // The first turn of all comes here before anything was counted.
        let gone = self.span.get().max(1);
        let mut due = [false; DUTIES];
        let mut span = u32::MAX;
        for ((since, interval), due) in self.since.iter().zip(intervals).zip(&mut due) {
            let turns = since.get() + gone;
            *due = turns >= interval;
            since.set(if *due { 0 } else { turns });
            span = span.min(interval - since.get());
        }
        self.span.set(span);
        self.left.set(span);
        due
    }
}

/// What can be seen of a P: the same twice means that its holder did nothing but run one G, if that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) id: usize,
    ring: Snapshot,
    polls: u64,
}

/// A G on its way from being made ready to running, for the histogram of scheduling latencies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracked {
    /// Where it is; by the time that it runs another G may be there.
    pub(crate) gp: RawG,
    /// Which one it is.
    pub(crate) id: Id,
    /// When it was made ready.
    pub(crate) since: Instant,
}

// SAFETY: as for Sync; the pointer of a tracked G is only compared, and those of young timers are used by
// the holder who set them, before it gives the P up.
unsafe impl Send for Processor {}
// SAFETY: `own` is handed out only to the holder of the P, see `Processor::own`; every other field
// is made for sharing.
unsafe impl Sync for Processor {}

impl Processor {
    /// The P with number `id`, idle and empty.
    pub(crate) fn new(id: usize, seed: u64, young: Young) -> Processor {
        let number = u16::try_from(id).expect("the builder limits the number of Ps");
        Processor {
            id,
            runnext: CachePadded::default(),
            ring: Ring::new(),
            shard: CachePadded::new(Shard::new(number)),
            own: CachePadded::new(Own {
                ids: IdBatch::default(),
                rota: Rota::default(),
                wakers: RefCell::default(),
                young: RefCell::new(young),
                inherited: Cell::new(0),
                watched: Cell::new(None),
                untracked: Cell::new(0),
                tracked: Cell::new(None),
                spare: Spare::new(),
                stole_at: Cell::new(u64::MAX),
                random: Random::new(seed.wrapping_add(id as u64)),
                #[cfg(stackful)]
                stacks: RefCell::default(),
                busy_since: Cell::new(None),
            }),
            hatching: AtomicBool::new(false),
            stats: CachePadded::default(),
        }
    }

    /// Notes whether what the holder spawns is a stackful G.
    #[inline]
    pub(crate) fn set_hatching(&self, hatching: bool) {
        // Ordering: Relaxed, a hint for thieves; not written anew, so that theirs stays in the cache.
        if self.hatching.load(Ordering::Relaxed) != hatching {
            self.hatching.store(hatching, Ordering::Relaxed);
        }
    }

    /// Whether its ring may hold stackful Gs that have not begun.
    pub(crate) fn is_hatching(&self) -> bool {
        self.hatching.load(Ordering::Relaxed)
    }

    /// Its number.
    #[inline]
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    /// What belongs to the holder.
    ///
    /// # Safety
    /// The calling thread holds this P for as long as it uses what it gets.
    #[inline]
    pub(crate) unsafe fn own(&self) -> &Own {
        &self.own
    }

    /// Notes that the holder begins to run Gs with it.
    ///
    /// # Safety
    /// The calling thread holds this P.
    pub(crate) unsafe fn note_taken(&self) {
        if self.own.busy_since.get().is_none() {
            self.own.busy_since.set(Some(sys::now()));
        }
    }

    /// Adds up the time since then, and has it keep no more than it should; the holder is about to give
    /// it up.
    ///
    /// # Safety
    /// The calling thread holds this P.
    pub(crate) unsafe fn note_given_up(&self) {
        if let Some(since) = self.own.busy_since.take() {
            let busy = sys::now().saturating_duration_since(since);
            let nanos = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
            self.stats.busy_nanos.add(nanos);
        }
        self.own.young.borrow_mut().leave();
    }

    /// What can be seen of it now.
    pub(crate) fn watch(&self) -> Watched {
        Watched {
            id: self.id,
            ring: self.ring.snapshot(),
            polls: self.stats.polls.get(),
        }
    }

    /// Whether nothing is queued, as far as anyone but the holder can tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.runnext.is_empty()
    }
}

/// Counters that the holder of the P writes and anyone reads.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Polls begun. A thief that sees it stand still knows that the P has been with one G.
    pub(crate) polls: Counter,
    pub(crate) local_schedules: Counter,
    pub(crate) overflows: Counter,
    pub(crate) steals: Counter,
    pub(crate) steal_operations: Counter,
    pub(crate) parks: Counter,
    pub(crate) noops: Counter,
    pub(crate) busy_nanos: Counter,
    /// How long some of the Gs were ready before they ran.
    pub(crate) latency: Histogram,
}
