//! The stacks of a runtime.
//!
//! # Why a promise is kept
//!
//! With `C` usual slots reserved, `P` promised, `U` of those taken, `K` in caches and `D` about to
//! be released by [`decay`](Pool::decay), a `take` finds a slot on a free list or uncarved if
//! `C - U - K - D` is at least the `P - U` that may still be taken, hence if `P + K + D <= C`. Each
//! open cache holds at most [`CACHE`] and `D` is at most
//! [`chunk`](Pool::chunk), so it is enough that `P`
//! stays within the *room*: `C` less these two. `promise` and the opening of a cache see to it that
//! it does, and reserve more address space first where it would not:
//!
//! | who promises | who opens a cache, under the lock |
//! |---|---|
//! | 1. raises `P` | 1. lowers the room |
//! | 2. reads the room: too small? takes the lock and maps | 2. reads `P`: too large? maps |
//!
//! Both steps of both are sequentially consistent, so at least one of two sees the other.

pub(super) mod decay;
mod sized;

use super::advise::Adviser;
use super::cache::{CACHE, Cache, HALF};
use super::guard::Guards;
use super::size::Shape;
use super::slab::{Slab, Slot};
use super::{Kind, Stack};
use crate::engine::primitive::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, lock};
use crate::engine::util::CachePadded;
use decay::Tide;
use sized::SizedStacks;
use std::collections::VecDeque;
use std::{io, mem, ptr};

/// Bytes of a slab, unless a stack needs more or less can be had. Larger ones would save little,
/// and a stack that is leaked keeps its whole slab.
const SLAB: usize = 64 << 20;

/// The stacks of a runtime: of one usual size, and some of other sizes.
#[derive(Debug)]
pub(crate) struct Pool {
    shape: Shape,
    /// How many stacks may be promised, of all sizes.
    max: u32,
    /// Distinguishes the pools of a process.
    id: usize,
    pub(super) guards: Guards,
    adviser: Adviser,
    /// How many usual stacks may be promised without mapping more. Written under the lock.
    room: AtomicUsize,
    /// Whether somebody should call `decay`.
    wanted: AtomicBool,
    /// A [`Tally`].
    tally: CachePadded<AtomicU64>,
    shared: CachePadded<Mutex<Shared>>,
}

/// What is under the lock of a pool.
#[derive(Debug, Default)]
struct Shared {
    /// All slabs for usual stacks, in the order in which they were mapped.
    slabs: Vec<Slab>,
    /// The first of them that may have uncarved slots.
    carving: usize,
    /// All slots of `slabs`.
    capacity: usize,
    /// How many caches may hold stacks.
    caches: usize,
    /// Whether the kernel would not map more the last time.
    refused: bool,
    /// Free stacks whose memory was touched; the last came last.
    touched: VecDeque<Slot>,
    /// Free stacks whose memory was given back.
    released: Vec<Slot>,
    /// Carved slots that the kernel would not guard.
    bare: Vec<Slot>,
    tide: Tide,
    sized: SizedStacks,
}

/// A snapshot of what is promised.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | usual stacks promised, taken or not |
/// | 32..64 | stacks of slabs of their own, promised and taken |
#[derive(Debug, Clone, Copy)]
struct Tally(u64);

impl Tally {
    const USUAL: u64 = 1;
    const SIZED: u64 = 1 << 32;

    fn usual(self) -> usize {
        self.0 as u32 as usize
    }

    fn sized(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Both kinds with `n` more, if the cap allows that.
    fn with(self, unit: u64, n: usize, max: u32) -> Option<Tally> {
        let left = (max as usize).saturating_sub(self.usual() + self.sized());
        // Neither half can overflow, as their sum is at most `max`.
        (n <= left).then(|| Tally(self.0 + unit * n as u64))
    }
}

/// What a pool holds at some moment.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes of address space reserved, for stacks of all sizes.
    pub(crate) mapped: usize,
    /// Usual stacks promised, taken or not.
    pub(crate) promised: usize,
    /// Stacks of other sizes taken.
    pub(crate) sized: usize,
    /// Usual stacks that were ever used, in whatever state they are now.
    pub(crate) carved: usize,
    /// Usual stacks on the global list whose memory was touched.
    pub(crate) free_touched: usize,
    /// Usual stacks on the global list whose memory was given back.
    pub(crate) free_released: usize,
    /// Stacks of other sizes kept for the next who wants one.
    pub(crate) free_sized: usize,
}

impl Pool {
    /// A pool whose usual stacks have `size` bytes, which is normalised, with a cap of `max` stacks
    /// of all sizes. It maps nothing yet.
    pub(crate) fn new(size: usize, max: usize) -> Pool {
        Pool::with_guards(size, max, false)
    }

    /// As [`new`](Pool::new), with guards by `mprotect` if `mprotect` says so.
    pub(crate) fn with_guards(size: usize, max: usize, mprotect: bool) -> Pool {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        Pool {
            shape: Shape::new(size),
            max: u32::try_from(max).unwrap_or(u32::MAX),
            // Ordering: Relaxed, as only that they differ matters.
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            guards: Guards::new(mprotect),
            adviser: Adviser::new(),
            room: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
            tally: CachePadded::default(),
            shared: CachePadded::default(),
        }
    }

    /// Bytes of a usual stack.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.shape.size
    }

    /// Promises `n` usual stacks: whoever has a promise may take one at any time, give it back, and
    /// take one again.
    ///
    /// # Errors
    /// When the cap would be passed, or no address space is left. Nothing is promised then.
    #[inline]
    pub(crate) fn promise(&self, n: usize) -> io::Result<()> {
        let usual = self.count(Tally::USUAL, n)?.usual();
        // Ordering: SeqCst, see the top of the file.
        if usual <= self.room.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.reserve().inspect_err(|_| self.unpromise(n))
    }

    /// Takes back `n` promises, whose stacks were given back first if they were taken.
    #[inline]
    pub(crate) fn unpromise(&self, n: usize) {
        self.uncount(Tally::USUAL, n);
    }

    /// A usual stack, which was promised: the youngest of the cache, else one of up to 32 that the
    /// cache gets back from the global list, else a fresh one.
    ///
    /// # Errors
    /// When the kernel refuses the guard of a fresh one.
    #[inline]
    pub(crate) fn take(&self, cache: Option<&mut Cache>) -> io::Result<Stack> {
        let slot = match cache {
            Some(cache) => {
                debug_assert!(cache.pool() == self.id || !cache.is_open());
                match cache.pop() {
                    Some(slot) => slot,
                    None => self.refill(Some(cache))?,
                }
            }
            None => self.refill(None)?,
        };
        Ok(Stack::new(slot, self.shape.size, Kind::Promised))
    }

    /// Takes a stack of this pool back, of whatever size. A promise stays with the caller.
    #[inline]
    pub(crate) fn give(&self, cache: Option<&mut Cache>, stack: Stack) {
        stack.set_owner(ptr::null());
        if stack.kind() != Kind::Promised {
            return self.give_sized(stack);
        }
        debug_assert_eq!(stack.size(), self.shape.size);
        match cache {
            Some(cache) => {
                debug_assert!(cache.pool() == self.id || !cache.is_open());
                if let Err(slot) = cache.push(stack.slot) {
                    self.overflow(cache, slot);
                }
            }
            None => self.give_global(stack.slot),
        }
    }

    /// Empties the cache of a P that ends or pauses.
    pub(crate) fn drain(&self, cache: &mut Cache) {
        if !cache.is_open() {
            return;
        }
        assert_eq!(cache.pool(), self.id, "the cache belongs to another pool");
        let mut shared = lock(&self.shared);
        self.flush(&mut shared, cache, CACHE);
        cache.close();
        shared.caches -= 1;
        self.set_room(&shared);
    }

    /// What there is at the moment.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Counts {
        let shared = lock(&self.shared);
        let tally = self.tally();
        Counts {
            mapped: shared.slabs.iter().map(Slab::len).sum::<usize>() + shared.sized.mapped(),
            promised: tally.usual(),
            sized: tally.sized(),
            carved: shared.slabs.iter().map(Slab::carved).sum(),
            free_touched: shared.touched.len(),
            free_released: shared.released.len(),
            free_sized: shared.sized.kept(),
        }
    }

    /// Whether there is something to do for [`decay`](Pool::decay), and it is not known to be called
    /// anyway. Whoever gave a stack back and sees this arranges for a call.
    #[inline]
    pub(crate) fn wants_decay(&self) -> bool {
        // Ordering: Relaxed, as `decay` looks again, under the lock.
        self.wanted.load(Ordering::Relaxed)
    }

    // ---- Promises ---------------------------------------------------------------------------

    fn tally(&self) -> Tally {
        // Ordering: SeqCst, see the top of the file.
        Tally(self.tally.load(Ordering::SeqCst))
    }

    /// Counts `n` more against the cap: the tally that this makes.
    #[inline]
    fn count(&self, unit: u64, n: usize) -> io::Result<Tally> {
        let mut tally = Tally(self.tally.load(Ordering::Relaxed));
        loop {
            let Some(more) = tally.with(unit, n, self.max) else {
                return Err(self.capped(tally, n));
            };
            // Ordering: SeqCst, see the top of the file.
            let exchange = self.tally.compare_exchange_weak(
                tally.0,
                more.0,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            match exchange {
                Ok(_) => return Ok(more),
                Err(other) => tally = Tally(other),
            }
        }
    }

    #[inline]
    fn uncount(&self, unit: u64, n: usize) {
        // Ordering: SeqCst as all that write the tally. The stacks under these promises came back
        // before, and whoever takes them next has got them through the lock.
        let tally = Tally(self.tally.fetch_sub(unit * n as u64, Ordering::SeqCst));
        debug_assert!(
            n <= if unit == Tally::USUAL {
                tally.usual()
            } else {
                tally.sized()
            },
            "more promises were taken back than made"
        );
    }

    #[cold]
    fn capped(&self, tally: Tally, n: usize) -> io::Error {
        io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!(
                "cannot have more than {} stacks: this is the cap of the runtime, which has {} \
                 and was asked for {n} more; raise it with `runtime::Builder::max_stacks`",
                self.max,
                tally.usual() + tally.sized()
            ),
        )
    }

    // ---- Address space ----------------------------------------------------------------------

    /// Sees to it that all that is promised finds room.
    #[cold]
    fn reserve(&self) -> io::Result<()> {
        self.reserve_locked(&mut lock(&self.shared))
    }

    fn reserve_locked(&self, shared: &mut Shared) -> io::Result<()> {
        let stride = self.shape.stride();
        let mut slots = SLAB.div_ceil(stride);
        loop {
            self.set_room(shared);
            if self.missing(shared) == 0 {
                return Ok(());
            }
            // Where so much cannot be had, the half may do: under a limit, or where holes in
            // the address space are small. What was mapped before an error is kept.
            let slab = loop {
                match Slab::map(self.shape, slots) {
                    Ok(slab) => break slab,
                    Err(error) if slots == 1 => {
                        shared.refused = true;
                        return Err(self.refused(shared, &error));
                    }
                    Err(_) => slots = slots.div_ceil(2),
                }
            };
            shared.refused = false;
            shared.capacity += slab.slots();
            shared.slabs.push(slab);
        }
    }

    /// What of the capacity is not there for promises.
    fn reserved(&self, shared: &Shared) -> usize {
        shared.caches * CACHE + self.chunk()
    }

    fn set_room(&self, shared: &Shared) {
        let room = shared.capacity.saturating_sub(self.reserved(shared));
        // Ordering: SeqCst, see the top of the file.
        self.room.store(room, Ordering::SeqCst);
    }

    /// How many slots the capacity lacks.
    fn missing(&self, shared: &Shared) -> usize {
        (self.tally().usual() + self.reserved(shared)).saturating_sub(shared.capacity)
    }

    #[cold]
    fn refused(&self, shared: &Shared, error: &io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!(
                "cannot reserve address space for more stacks of {} bytes: {error}. The runtime \
                 has reserved {} MiB so far. Either the process may not have more (`ulimit -v`), \
                 or the system does not overcommit memory (`sysctl vm.overcommit_memory` is 2); \
                 stacks are made smaller with `runtime::Builder::stack_size`, and fewer with \
                 `runtime::Builder::max_stacks`",
                self.shape.size,
                (shared.capacity * self.shape.stride()) >> 20
            ),
        )
    }

    // ---- The free lists ---------------------------------------------------------------------

    /// Opens `cache` if that can be; whether it is open.
    fn open(&self, shared: &mut Shared, cache: &mut Cache) -> bool {
        if !cache.is_open() {
            shared.caches += 1;
            self.set_room(shared);
            let fits = self.missing(shared) == 0;
            // What the kernel has refused is not asked for at every turn.
            if !fits && (shared.refused || self.reserve_locked(shared).is_err()) {
                shared.caches -= 1;
                self.set_room(shared);
                return false;
            }
            cache.open(self.id);
        }
        true
    }

    /// Gets stacks for a cache that is empty, or one for a caller without a cache: the one to be
    /// used first is returned.
    #[cold]
    fn refill(&self, mut cache: Option<&mut Cache>) -> io::Result<Slot> {
        let mut shared = lock(&self.shared);
        if let Some(unopened) = &mut cache
            && !self.open(&mut shared, unopened)
        {
            cache = None;
        }
        let wished = if cache.is_some() { HALF } else { 1 };
        let mut batch = shared.free(wished);
        if batch.is_empty() {
            batch = shared.fresh(wished);
            drop(shared);
            let (made, result) = self.guards.install(&self.adviser, &batch, self.shape);
            if made < batch.len() {
                lock(&self.shared).bare.extend(batch.drain(made..));
            }
            if made == 0 {
                return Err(result.err().unwrap_or_else(|| {
                    debug_assert!(false, "a stack was taken that was not promised");
                    io::Error::other("no stack is left: more were taken than promised")
                }));
            }
            // The lowest first.
            batch.reverse();
        }
        let Some(first) = batch.pop() else {
            unreachable!("an empty batch is an error above");
        };
        if let Some(cache) = cache {
            for slot in batch {
                let kept = cache.push(slot);
                debug_assert!(kept.is_ok(), "the cache was empty");
            }
        }
        Ok(first)
    }

    /// Finds a place for `slot`, which `cache` has no room for.
    #[cold]
    fn overflow(&self, cache: &mut Cache, slot: Slot) {
        let mut shared = lock(&self.shared);
        let slot = if self.open(&mut shared, cache) {
            // The older half, so that those in the processor's caches stay. An open cache with
            // room means that it was opened just now.
            if cache.len() == CACHE {
                self.flush(&mut shared, cache, HALF);
            }
            cache.push(slot).err()
        } else {
            Some(slot)
        };
        if let Some(slot) = slot {
            shared.touched.push_back(slot);
            self.call_for_decay(&shared);
        }
    }

    #[cold]
    fn give_global(&self, slot: Slot) {
        let mut shared = lock(&self.shared);
        shared.touched.push_back(slot);
        self.call_for_decay(&shared);
    }

    /// Moves the oldest `count` stacks of `cache` to the global list.
    fn flush(&self, shared: &mut Shared, cache: &mut Cache, count: usize) {
        shared.touched.extend(cache.shift(count));
        self.call_for_decay(shared);
    }
}

impl Shared {
    /// Up to `count` free stacks, the one to be used first at the end.
    fn free(&mut self, count: usize) -> Vec<Slot> {
        let touched = count.min(self.touched.len());
        let released = (count - touched).min(self.released.len());
        let mut free = Vec::with_capacity(count);
        free.extend(self.released.drain(self.released.len() - released..));
        free.extend(self.touched.drain(self.touched.len() - touched..));
        self.tide.ebbs_to(self.touched.len());
        free
    }

    /// Up to `count` slots without a guard.
    fn fresh(&mut self, count: usize) -> Vec<Slot> {
        let mut fresh = Vec::with_capacity(count);
        while fresh.len() < count {
            if let Some(slot) = self.bare.pop() {
                fresh.push(slot);
                continue;
            }
            let Some(slab) = self.slabs.get_mut(self.carving) else {
                break;
            };
            match slab.carve() {
                Some(slot) => fresh.push(slot),
                None => self.carving += 1,
            }
        }
        fresh
    }
}

impl Drop for Pool {
    /// Unmaps what nobody can borrow from: slabs whose stacks all came back.
    fn drop(&mut self) {
        let shared = self
            .shared
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut slabs = mem::take(&mut shared.slabs);
        slabs.sort_unstable_by_key(Slab::start);
        let mut free: Vec<Slot> = mem::take(&mut shared.touched).into();
        free.append(&mut shared.released);
        free.append(&mut shared.bare);
        free.sort_unstable();
        shared.sized.unmap_kept();

        let mut free = free.into_iter().peekable();
        for slab in slabs {
            let mut slots = Vec::new();
            while let Some(slot) = free.next_if(|slot| slab.has(slot)) {
                slots.push(slot);
            }
            if slots.len() == slab.carved() {
                // SAFETY: as many slots came back as were carved, each `Slot` being one of a kind,
                // and all of them go away here.
                unsafe { slab.unmap() };
            } else {
                self.release(&mut slots);
            }
        }
    }
}
