//! The header of a G: what is known of it besides its future.

use super::RawG;
use super::registry::Place;
use crate::engine::primitive::{Arc, AtomicPtr, AtomicU8, AtomicU64, Ordering};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::panic::Location;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// Identifies a G: unique among all Gs of all runtimes of the process, alive or dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(NonZeroU64);

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

/// The bit of `control` that says: abort.
const ABORT: usize = 1;

/// The header of a G, kept by async-task as the task's metadata.
pub(crate) struct G {
    id: Id,
    gopc: &'static Location<'static>,
    parent: Option<Id>,
    extras: Option<Arc<Extras>>,
    /// Who queues it: the address given to `create`, of the type that `create` was called for.
    home: *const (),
    /// The address of the async-task cell that this header is part of.
    cell: AtomicPtr<()>,
    /// | bits | meaning |
    /// |---|---|
    /// | 0 | abort asked for |
    /// | 1.. | address of the waker's vtable; its alignment leaves bit 0 free |
    control: AtomicPtr<()>,
    place: Place,
    status: AtomicU8,
}

// SAFETY: `home` is only handed back to the `Schedule` functions of the type it came from, which
// are callable from any thread; everything else in it is Send and Sync by itself.
unsafe impl Send for G {}
// SAFETY: as above.
unsafe impl Sync for G {}

impl G {
    /// A header that is not in its cell yet.
    pub(super) fn new(birth: Birth, home: *const ()) -> G {
        G {
            id: birth.id,
            gopc: birth.gopc,
            parent: birth.parent,
            extras: birth.extras,
            home,
            cell: AtomicPtr::default(),
            control: AtomicPtr::default(),
            place: Place::nowhere(),
            status: AtomicU8::new(Status::Idle as u8),
        }
    }

    /// Tells the header which cell it is in and what its wakers look like. Once, before the G is
    /// shared.
    #[inline]
    pub(super) fn settle(&self, cell: RawG, vtable: &'static RawWakerVTable) {
        // Ordering: Relaxed here and in the readers: the G reaches other threads through a queue
        // or a handle, whose release and acquire order these stores before everything there.
        self.cell.store(cell.as_ptr(), Ordering::Relaxed);
        let vtable = std::ptr::from_ref(vtable).cast_mut().cast();
        self.control.store(vtable, Ordering::Relaxed);
    }

    /// Keeps a reference to the cell, for as long as the future lives: without it a G that nobody
    /// can wake would be freed by async-task instead of waiting for the shutdown.
    ///
    /// # Safety
    /// As for [`waker`](G::waker).
    pub(super) unsafe fn keep(&self) {
        // SAFETY: as our caller promised.
        std::mem::forget(unsafe { self.waker() });
    }

    /// Gives up the reference taken by [`keep`](G::keep).
    ///
    /// # Safety
    /// Called once after `keep`, and another reference keeps the cell alive during the call.
    pub(super) unsafe fn release(&self) {
        // SAFETY: `keep` forgot exactly this waker.
        drop(unsafe { Waker::from_raw(self.raw_waker()) });
    }

    fn raw_waker(&self) -> RawWaker {
        let control = self.control.load(Ordering::Relaxed);
        let vtable: *mut RawWakerVTable = control.map_addr(|a| a & !ABORT).cast();
        // SAFETY: `settle` stored the address of a `&'static RawWakerVTable` before the G was
        // shared, and later writes touch bit 0 only.
        RawWaker::new(self.cell.load(Ordering::Relaxed), unsafe { &*vtable })
    }

    /// A waker of its own for this G.
    ///
    /// # Safety
    /// Something keeps the cell alive during the call: a handle, a waker, or being run.
    pub(super) unsafe fn waker(&self) -> Waker {
        // SAFETY: the pair is the one that async-task made its own waker of; as ManuallyDrop it is
        // a borrow, whose clone owns a reference.
        let borrowed = ManuallyDrop::new(unsafe { Waker::from_raw(self.raw_waker()) });
        Waker::clone(&borrowed)
    }

    /// Asks the G to end at its next poll, and makes sure that there is one.
    ///
    /// # Safety
    /// As for [`waker`](G::waker).
    pub(super) unsafe fn abort(&self) {
        // Ordering: Release, so that the poll which sees the bit sees what the aborter did before.
        // That a poll comes and sees it: wake_by_ref below is an exchange on the state word, and
        // the poll that it leads to begins with another.
        let before = self.control.fetch_or(ABORT, Ordering::Release);
        if before.addr() & ABORT == 0 {
            // SAFETY: as in `waker`.
            let waker = ManuallyDrop::new(unsafe { Waker::from_raw(self.raw_waker()) });
            waker.wake_by_ref();
        }
    }

    /// Sets the abort bit alone, for a G whose next poll is certain.
    pub(crate) fn ask_abort(&self) {
        // Ordering: Release, as in `abort`.
        self.control.fetch_or(ABORT, Ordering::Release);
    }

    /// Whether [`abort`](G::abort) was called.
    #[inline]
    pub(crate) fn abort_asked(&self) -> bool {
        // Ordering: Acquire, partner of the Release in `abort`.
        self.control.load(Ordering::Acquire).addr() & ABORT != 0
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

    /// Whether `waker` is one of its wakers.
    #[inline]
    pub(crate) fn is_its_waker(&self, waker: &Waker) -> bool {
        let vtable = self
            .control
            .load(Ordering::Relaxed)
            .map_addr(|a| a & !ABORT);
        self.cell.load(Ordering::Relaxed) == waker.data().cast_mut()
            && vtable.cast_const().cast() == std::ptr::from_ref(waker.vtable())
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
