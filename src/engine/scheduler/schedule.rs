//! Making Gs and making them ready: the submitting side, S1 to S3.

use super::{FOREIGN, Shared};
use crate::engine::current::{self, Turn};
use crate::engine::primitive::{Arc, lock};
use crate::engine::processor::Processor;
use crate::engine::task::spare;
use crate::engine::task::{Birth, Extras, G, Gp, Id, RawG, RawJoin, Schedule, create};
use std::alloc::Layout;
use std::future::Future;
use std::panic::Location;
use std::ptr::NonNull;

/// What a spawn says about its G besides the future.
#[derive(Debug)]
pub(crate) struct Spawn {
    /// Where the user wrote it.
    pub(crate) gopc: &'static Location<'static>,
    /// Name and labels of its own.
    pub(crate) extras: Option<Extras>,
}

impl Spawn {
    /// A G without a name, spawned at `gopc`.
    #[inline]
    pub(crate) fn at(gopc: &'static Location<'static>) -> Spawn {
        Spawn { gopc, extras: None }
    }

    /// Everything that a G is born with, of which part comes from the G that runs here.
    #[inline]
    pub(crate) fn birth(self, id: Id) -> Birth {
        let (parent, inherited) =
            current::with_g(|gp| (gp.map(G::id), gp.and_then(G::extras).cloned()));
        Birth {
            id,
            gopc: self.gopc,
            parent,
            extras: match (self.extras, inherited) {
                (None, None) => None,
                (own, inherited) => inherit(own, inherited),
            },
        }
    }
}

/// Labels pass from the parent to the child, names do not.
#[cold]
fn inherit(own: Option<Extras>, parent: Option<Arc<Extras>>) -> Option<Arc<Extras>> {
    let Some(own) = own else {
        return parent.and_then(|parent| match (&parent.name, parent.labels.is_empty()) {
            (_, true) => None,
            (None, false) => Some(parent),
            (Some(_), false) => Some(Arc::new(Extras {
                name: None,
                labels: parent.labels.clone(),
            })),
        });
    };
    let mut labels = parent.map_or_else(Vec::new, |parent| parent.labels.clone());
    for (key, value) in own.labels {
        labels.retain(|(k, _)| *k != key);
        labels.push((key, value));
    }
    Some(Arc::new(Extras {
        name: own.name,
        labels,
    }))
}

impl Shared {
    /// Makes a G of `future` and queues it.
    ///
    /// After the shutdown the future is dropped at once and the G is born cancelled.
    #[inline(never)] // See `current.rs`.
    pub(crate) fn spawn<F>(&self, future: F, spawn: Spawn) -> RawJoin<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.held_p() {
            Some(pp) => self.spawn_on(pp, future, spawn),
            None => self.spawn_foreign(future, spawn),
        }
    }

    /// As `spawn`, for the holder of `pp`.
    #[inline(always)] // Into both of its callers, which are not inlined themselves.
    fn spawn_on<F>(&self, pp: &Processor, future: F, spawn: Spawn) -> RawJoin<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        pp.set_hatching(false);
        let birth = birth_on(pp, spawn);
        // SAFETY: the runtime outlives its Gs, see `shutdown.rs`; the future is Send and 'static.
        let (gp, join) = unsafe { create(future, birth, std::ptr::from_ref(self)) };
        self.queue_born(pp, gp, &join);
        join
    }

    /// Queues a new G, for the holder of `pp`.
    #[inline(always)] // As `spawn_on`.
    pub(super) fn queue_born<T>(&self, pp: &Processor, gp: RawG, join: &RawJoin<T>) {
        // SAFETY: we hold the P and so own its shard; the G is new.
        unsafe { pp.shard.add(gp, join.gp().place()) };
        self.push_local(pp, gp, false);
    }

    /// As `spawn`, on the runtime whose P this thread holds.
    ///
    /// # Errors
    /// The arguments, if it holds none.
    #[inline(never)] // See `current.rs`.
    pub(crate) fn spawn_here<F>(future: F, spawn: Spawn) -> Result<RawJoin<F::Output>, (F, Spawn)>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some((shared, pp)) = current::spawn_target() else {
            return Err((future, spawn));
        };
        // SAFETY: the home of a context is its runtime; a thread that holds a P of it keeps it alive, and
        // with it its Ps.
        let (shared, pp) = unsafe { (&*shared.cast::<Shared>(), pp.as_ref()) };
        Ok(shared.spawn_on(pp, future, spawn))
    }

    #[cold]
    fn spawn_foreign<F>(&self, future: F, spawn: Spawn) -> RawJoin<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let home = std::ptr::from_ref(self);
        // SAFETY: as in `spawn`.
        self.born_foreign(spawn, |birth| unsafe { create(future, birth, home) })
    }

    /// Queues what `make` makes, for a thread without a P.
    pub(super) fn born_foreign<T>(
        &self,
        spawn: Spawn,
        make: impl FnOnce(Birth) -> (RawG, RawJoin<T>),
    ) -> RawJoin<T> {
        let foreign = &self.foreign[current::thread_number() % FOREIGN];
        let (gp, join, closed) = {
            let desk = lock(&foreign.desk);
            let (gp, join) = make(spawn.birth(desk.ids.next()));
            if !desk.closed {
                // SAFETY: we hold the lock and so own the shard; the G is new.
                unsafe { foreign.shard.add(gp, join.gp().place()) };
            }
            (gp, join, desk.closed)
        };
        if closed {
            join.abort();
            // SAFETY: `create` gave us the right to run it.
            unsafe { Gp::from_raw(gp) }.run();
        } else {
            // Our caller has a handle of the runtime.
            self.inject(gp);
        }
        join
    }

    /// The P that this thread holds, if it is one of this runtime's.
    #[inline]
    pub(super) fn held_p(&self) -> Option<&Processor> {
        let pp = current::with_running(|context| match context {
            Some(context) if context.home() == self.home() => context.pp().map(std::ptr::from_ref),
            _ => None,
        });
        // SAFETY: the P is one of ours and lives as long as `self`.
        pp.map(|pp| unsafe { &*pp })
    }

    /// S1 to S3 for the holder of `pp`: `gp` runs next, or after the others if it `yielded`.
    #[inline]
    pub(super) fn push_local(&self, pp: &Processor, gp: RawG, yielded: bool) {
        pp.stats.local_schedules.add(1);
        // SAFETY: we hold the P.
        Shared::track(unsafe { pp.own() }, gp);
        let pushed = if yielded || self.demotes(pp) {
            Some(gp)
        } else {
            pp.runnext.replace(gp)
        };
        let Some(gp) = pushed else {
            // A lone runnext: the holder runs it next.
            return;
        };
        // SAFETY: we hold the P.
        unsafe { pp.ring.push(gp, &self.overflow_of(pp)) };
        // One of the Gs in ring and runnext is what the holder runs next; the others are to share.
        if self.idle.wants_wake() && (pp.ring.len() > 1 || !pp.runnext.is_empty()) {
            self.wakep();
        }
    }

    /// Whether the G that was just made ready goes to the end of the ring by the toss of a coin: only
    /// in builds with `--cfg runnext_randomize`, for tests that should not come to depend on the
    /// order in which Gs run. (Go's `randomizeScheduler`.)
    #[inline]
    fn demotes(&self, pp: &Processor) -> bool {
        // SAFETY: our caller holds the P.
        cfg!(runnext_randomize) && unsafe { pp.own() }.random.below(2) == 0
    }

    /// S1 to S3 for a thread without a P. The caller keeps the runtime alive: once the G is in the
    /// queue it may be run, and with it the runtime may end.
    pub(super) fn inject(&self, gp: RawG) {
        self.global.push(gp);
        if self.idle.wants_wake_fenced() {
            self.wakep();
        }
        if self.stopping() {
            self.stop.poke();
        }
    }
}

/// What a G is born with that the holder of `pp` spawns.
#[inline(always)] // So that it is not moved.
pub(super) fn birth_on(pp: &Processor, spawn: Spawn) -> Birth {
    // SAFETY: our caller holds it.
    spawn.birth(unsafe { pp.own() }.ids.next())
}

/// The P that this thread holds, of whatever runtime.
#[inline]
fn any_held_p<'a>() -> Option<&'a Processor> {
    let pp = current::with_running(|context| context?.pp().map(std::ptr::from_ref));
    // SAFETY: a thread that holds a P keeps its runtime alive, and both callers are done with it before
    // they return.
    pp.map(|pp| unsafe { &*pp })
}

impl Schedule for Shared {
    type Turn = Turn;

    #[inline]
    fn enter(gp: &G) -> Turn {
        current::enter_g(gp)
    }

    #[inline]
    unsafe fn schedule(home: *const Shared, gp: RawG, yielded: bool) {
        // SAFETY: as our caller promised. For a thread with a P of the runtime it stays valid
        // throughout; any other goes through `inject`, which takes a reference first.
        let shared = unsafe { &*home };
        match shared.held_p() {
            Some(pp) => shared.push_local(pp, gp, yielded),
            None => {
                let _alive = shared.me.upgrade();
                shared.inject(gp);
            }
        }
    }

    #[inline]
    fn allocate(layout: Layout) -> NonNull<u8> {
        match any_held_p() {
            // SAFETY: we hold it.
            Some(pp) => unsafe { pp.own() }.spare.allocate(layout),
            None => spare::allocate(layout),
        }
    }

    #[inline(never)] // See `current.rs`.
    unsafe fn free(memory: NonNull<u8>, layout: Layout) {
        match any_held_p() {
            // SAFETY: we hold it; the memory is the global allocator's, whichever P had it.
            Some(pp) => unsafe { pp.own().spare.free(memory, layout) },
            // SAFETY: as our caller promised.
            None => unsafe { spare::free(memory, layout) },
        }
    }

    #[inline]
    unsafe fn retire(home: *const Shared, gp: &G) {
        // SAFETY: as our caller promised; a G is finished by a thread that runs Gs of this runtime.
        let shared = unsafe { &*home };
        let place = gp.place();
        let Some(shard) = place.shard() else {
            return;
        };
        let held = shared.held_p();
        // Whoever holds a P keeps the draining from beginning.
        let registry = match held {
            Some(_) => None,
            None => Some(shared.stop.lock_registry()),
        };
        match shared.procs.get(shard) {
            Some(pp) => {
                let owner = held.is_some_and(|held| held.id() == pp.id());
                // SAFETY: it was added there when it was spawned; once, as our caller promised.
                unsafe { pp.shard.strike(place, owner) };
            }
            None => {
                let foreign = &shared.foreign[shard - shared.procs.len()];
                // SAFETY: as above.
                unsafe { foreign.shard.strike(place, false) };
            }
        }
        if let Some(registry) = registry {
            drop(registry);
            if shared.stopping() {
                shared.stop.poke();
            }
        }
    }
}
