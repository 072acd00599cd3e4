//! The header of a G: what is known of it besides its future.

use super::cell::Vtable;
use super::joiner::Joiner;
use super::registry::Place;
use super::state::State;
use crate::engine::primitive::{Arc, AtomicU8, AtomicU64, Ordering};
use std::cell::Cell;
use std::num::NonZeroU64;
use std::panic::Location;
use std::task::Waker;

/// Identifies a G: unique among all Gs of all runtimes of the process, alive or dead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(NonZeroU64);

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How many ids a P fetches at a time (Go's `_GoidCacheBatch`).
const BATCH: u64 = 16;

/// The next id that nobody has.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Id {
    /// A fresh id for a thread without a P.
    pub(crate) fn next() -> Id {
        Id::fetch(1)
    }

    /// The number itself.
    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }

    fn fetch(count: u64) -> Id {
        // Ordering: Relaxed, only uniqueness counts, which the read-modify-write gives.
        let first = NEXT.fetch_add(count, Ordering::Relaxed);
        Id(NonZeroU64::new(first).expect("2^64 ids have been handed out"))
    }
}

/// Ids fetched in advance, so that spawns of different Ps do not meet on one counter.
#[derive(Debug, Default)]
pub(crate) struct IdBatch {
    next: Cell<u64>,
    left: Cell<u64>,
}

impl IdBatch {
    /// A fresh id.
    #[inline]
    pub(crate) fn next(&self) -> Id {
        if self.left.get() == 0 {
            self.next.set(Id::fetch(BATCH).get());
            self.left.set(BATCH);
        }
        let id = self.next.get();
        self.next.set(id + 1);
        self.left.set(self.left.get() - 1);
        Id(NonZeroU64::new(id).expect("ids start at one"))
    }
}

/// What a G is doing, for people: dumps and metrics. Written by whoever owns the G at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// Created, not queued yet.
    Idle,
    /// In a queue.
    Runnable,
    /// Being polled.
    Running,
    /// Not ready: its waker will tell.
    Waiting,
    /// Its future is gone.
    Dead,
}

impl Status {
    const ALL: [Status; 5] = [
        Status::Idle,
        Status::Runnable,
        Status::Running,
        Status::Waiting,
        Status::Dead,
    ];
}

/// What only few Gs have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    /// The name given by `task::Builder`.
    pub(crate) name: Option<Box<str>>,
    /// Labels, its own and those inherited from the parent.
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
}

/// What a G is born with.
pub(crate) struct Birth {
    pub(crate) id: Id,
    pub(crate) gopc: &'static Location<'static>,
    pub(crate) parent: Option<Id>,
    pub(crate) extras: Option<Arc<Extras>>,
}

/// The header of a G, which its cell begins with.
pub(crate) struct G {
    state: State,
    vtable: &'static Vtable,
    joiner: Joiner,
    /// Who queues it: the address given to `create`, of the type that `create` was called for.
    home: *const (),
    place: Place,
    status: AtomicU8,
    id: Id,
    gopc: &'static Location<'static>,
    parent: Option<Id>,
    extras: Option<Arc<Extras>>,
}

// SAFETY: `home` is only handed back to the `Schedule` functions of the type it came from, which
// are callable from any thread; everything else in it is Send and Sync by itself, the waker in
// `joiner` too.
unsafe impl Send for G {}
// SAFETY: as above.
unsafe impl Sync for G {}

impl G {
    /// Makes a header where it belongs, at the beginning of its cell.
    ///
    /// Part by part: put together elsewhere and then moved, it would be read in other pieces than it was
    /// just written in, for which a processor has to wait.
    ///
    /// # Safety
    /// `at` is valid for writes, and what is there needs no drop.
    #[inline(always)] // As above: `birth` in registers.
    pub(super) unsafe fn write(at: *mut G, birth: Birth, home: *const (), vtable: &'static Vtable) {
        // SAFETY: as our caller promised; these are all fields.
        unsafe {
            (&raw mut (*at).state).write(State::new());
            (&raw mut (*at).vtable).write(vtable);
            (&raw mut (*at).joiner).write(Joiner::new());
            (&raw mut (*at).home).write(home);
            (&raw mut (*at).place).write(Place::nowhere());
            (&raw mut (*at).status).write(AtomicU8::new(Status::Idle as u8));
            (&raw mut (*at).id).write(birth.id);
            (&raw mut (*at).gopc).write(birth.gopc);
            (&raw mut (*at).parent).write(birth.parent);
            (&raw mut (*at).extras).write(birth.extras);
        }
    }

    #[inline]
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    #[inline]
    pub(super) fn joiner(&self) -> &Joiner {
        &self.joiner
    }

    #[inline]
    pub(super) fn vtable(&self) -> &'static Vtable {
        self.vtable
    }

    /// Whether that is a waker of this G.
    #[inline]
    pub(crate) fn is_woken_by(&self, waker: &Waker) -> bool {
        std::ptr::eq(waker.data(), std::ptr::from_ref(self).cast())
            && std::ptr::eq(waker.vtable(), self.vtable.waker)
    }

    /// Whether it has a stack of its own.
    #[cfg(stackful)]
    #[inline]
    pub(crate) fn is_stackful(&self) -> bool {
        self.vtable.stackful
    }

    /// Where it was spawned.
    #[cfg(stackful)]
    pub(crate) fn gopc(&self) -> &'static Location<'static> {
        self.gopc
    }

    /// Whether an abort was asked for.
    #[cfg(stackful)]
    pub(crate) fn is_aborted(&self) -> bool {
        self.state.load().is_aborted()
    }

    /// Asks it to end, in the middle of its turn: so there is nothing to be queued.
    #[cfg(stackful)]
    pub(crate) fn abort_in_turn(&self) {
        let woken = self.state.abort();
        debug_assert_eq!(woken, super::state::Woken::Nothing);
    }

    /// Sets the abort bit alone, for a G whose next turn the caller is about to give it.
    pub(crate) fn ask_abort(&self) {
        self.state.ask_abort();
    }

    /// Its id.
    #[inline]
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Name and labels, if it has any.
    #[inline]
    pub(crate) fn extras(&self) -> Option<&Arc<Extras>> {
        self.extras.as_ref()
    }

    /// Who queues it.
    #[inline]
    pub(crate) fn home(&self) -> *const () {
        self.home
    }

    /// Its place in the list of living Gs.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// What it is doing, as far as it was told.
    pub(crate) fn status(&self) -> Status {
        Status::ALL[usize::from(self.status.load(Ordering::Relaxed))]
    }

    /// Tells what it is doing.
    #[inline]
    pub(crate) fn set_status(&self, status: Status) {
        // Ordering: Relaxed, see `Status`.
        self.status.store(status as u8, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for G {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let extras = self.extras.as_deref();
        f.debug_struct("G")
            .field("id", &self.id.get())
            .field("status", &self.status())
            .field("gopc", &format_args!("{}", self.gopc))
            .field("parent", &self.parent.map(Id::get))
            .field("name", &extras.and_then(|e| e.name.as_deref()))
            .finish_non_exhaustive()
    }
}
