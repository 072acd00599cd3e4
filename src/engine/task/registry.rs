//! allgs: the living Gs, in shards, for dumps, metrics and the shutdown.
//!
//! Each P has a shard that only its owner adds to, so adding costs two plain stores. A G is struck
//! off by whoever finishes it. If that is the owner of the shard, the slot goes to the front of
//! the owner's free list; if not, onto a stack of remotely freed slots, which the owner takes over
//! as a whole when its own list is empty. (The allocator mimalloc frees memory across threads in
//! this way.) Threads without a P share a few shards, each under a lock.
//!
//! A shard is a table of chunks that double in size and never move, so that a place is an index
//! of four bytes in the header of the G.

use super::RawG;
use crate::engine::primitive::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64, Ordering};
use crate::engine::util::CachePadded;
use std::cell::Cell;
use std::ptr;

/// log2 of the number of slots in the first chunk.
const FIRST: u32 = 6;
/// As many chunks as make 2^32 slots.
const CHUNKS: usize = (32 - FIRST) as usize + 1;
/// The end of a free list.
const END: u32 = u32::MAX;

/// Where a G stands in the registry.
#[derive(Debug)]
pub(crate) struct Place {
    index: AtomicU32,
    shard: AtomicU16,
}

/// No shard has this number.
const NOWHERE: u16 = u16::MAX;

impl Place {
    /// The place of a G that is in no shard.
    pub(crate) fn nowhere() -> Place {
        Place {
            index: AtomicU32::new(0),
            shard: AtomicU16::new(NOWHERE),
        }
    }

    /// Which shard it is in.
    #[inline]
    pub(crate) fn shard(&self) -> Option<usize> {
        let shard = self.shard.load(Ordering::Relaxed);
        (shard != NOWHERE).then_some(usize::from(shard))
    }
}

/// Some of the living Gs.
#[derive(Debug)]
pub(crate) struct Shard {
    number: u16,
    /// Chunk `k` holds `64 << k` slots. A slot holds the cell of a G, or, with bit 0 set, the index
    /// of the next free slot.
    chunks: [AtomicPtr<AtomicPtr<()>>; CHUNKS],
    /// The owner's: the first free slot, the first never used, how many came and went.
    free: Cell<u32>,
    fresh: Cell<u32>,
    added: AtomicU64,
    struck: AtomicU64,
    /// Everybody's, and so on a line of its own. The owner takes it over as a whole.
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0..32 | the last slot that another thread freed |
    /// | 32..64 | how many they freed since the owner looked |
    remote: CachePadded<AtomicU64>,
}

/// One slot more that another thread freed.
const REMOTE: u64 = 1 << 32;
const NO_REMOTE: u64 = END as u64;

// SAFETY: the cells are touched by the owner of the shard alone, as the contracts of the functions
// that do so say; ownership moves from thread to thread with release and acquire. The pointers in
// the slots are to cells of Gs, whose headers are Sync.
unsafe impl Send for Shard {}
// SAFETY: as above.
unsafe impl Sync for Shard {}

impl Shard {
    /// An empty shard that gives its Gs `number` as theirs.
    pub(crate) fn new(number: u16) -> Shard {
        Shard {
            number,
            chunks: std::array::from_fn(|_| AtomicPtr::default()),
            free: Cell::new(END),
            fresh: Cell::new(0),
            added: AtomicU64::new(0),
            struck: AtomicU64::new(0),
            remote: CachePadded::new(AtomicU64::new(NO_REMOTE)),
        }
    }

    /// Adds the G in `cell`, and tells it its place.
    ///
    /// # Safety
    /// The caller owns the shard; the G is new, and `place` is the one in its header.
    #[inline]
    pub(crate) unsafe fn add(&self, cell: RawG, place: &Place) {
        let mut index = self.free.get();
        if index == END {
            index = self.refill();
        }
        let slot = self.slot(index);
        // A never used slot holds null, which says "the next one"; a freed one holds its link.
        let link = slot.load(Ordering::Relaxed);
        self.free
            .set(if link.is_null() { END } else { unlink(link) });
        // Ordering: Relaxed here and below: those who read slots of others (`for_each`) come after
        // everything by their contract, and the count is for metrics.
        slot.store(cell.as_ptr(), Ordering::Relaxed);
        place.index.store(index, Ordering::Relaxed);
        place.shard.store(self.number, Ordering::Relaxed);
        add(&self.added, 1);
    }

    /// Strikes off the G at `place`.
    ///
    /// # Safety
    /// The G was added to this shard, and this is called once for it. `owner`: the caller owns
    /// the shard.
    #[inline]
    pub(crate) unsafe fn strike(&self, place: &Place, owner: bool) {
        let index = place.index.load(Ordering::Relaxed);
        let slot = self.slot(index);
        if owner {
            slot.store(link(self.free.get()), Ordering::Relaxed);
            self.free.set(index);
            add(&self.struck, 1);
            return;
        }
        let mut top = self.remote.load(Ordering::Relaxed);
        loop {
            slot.store(link(top as u32), Ordering::Relaxed);
            // Ordering: Release, so that the owner, who takes the stack with Acquire, sees the link.
            // No ABA: only the owner takes, and takes all. The count cannot overflow: there are not
            // that many slots.
            match self.remote.compare_exchange_weak(
                top,
                ((top & !NO_REMOTE) + REMOTE) | u64::from(index),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// How many of its Gs are alive; an estimate while they come and go.
    pub(crate) fn alive(&self) -> u64 {
        let remote = self.remote.load(Ordering::Relaxed) >> 32;
        let struck = self.struck.load(Ordering::Relaxed) + remote;
        self.added.load(Ordering::Relaxed).saturating_sub(struck)
    }

    /// How many Gs were ever added.
    pub(crate) fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// Calls `f` with the cell of each living G.
    ///
    /// # Safety
    /// Nobody adds to the shard or strikes off of it meanwhile, and whoever did so before
    /// happened before this.
    pub(crate) unsafe fn for_each(&self, mut f: impl FnMut(RawG)) {
        for index in 0..self.fresh.get() {
            let cell = self.slot(index).load(Ordering::Relaxed);
            if cell.addr() & 1 == 0
                && let Some(cell) = RawG::new(cell)
            {
                f(cell);
            }
        }
    }

    /// A free slot for the owner, whose list is empty.
    #[cold]
    fn refill(&self) -> u32 {
        // Ordering: Acquire, partner of the Release in `strike`.
        let remote = self.remote.swap(NO_REMOTE, Ordering::Acquire);
        add(&self.struck, remote >> 32);
        if remote as u32 != END {
            return remote as u32;
        }
        let index = self.fresh.get();
        assert!(index != END, "2^32 - 1 tasks of one worker are alive");
        let (chunk, offset) = locate(index);
        if offset == 0 {
            let slots: Box<[AtomicPtr<()>]> = (0..1usize << (chunk as u32 + FIRST))
                .map(|_| AtomicPtr::default())
                .collect();
            // Ordering: Release, for the Acquire in `slot` by those who strike off remotely.
            self.chunks[chunk].store(Box::into_raw(slots).cast(), Ordering::Release);
        }
        self.fresh.set(index + 1);
        index
    }

    #[inline]
    fn slot(&self, index: u32) -> &AtomicPtr<()> {
        let (chunk, offset) = locate(index);
        let slots = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: an index is only handed out by `refill`, after the chunk that it lies in was
        // made; chunks are freed by Drop alone.
        unsafe { &*slots.add(offset) }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        for (k, chunk) in self.chunks.iter().enumerate() {
            let slots = chunk.load(Ordering::Relaxed);
            if !slots.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(slots, 1 << (k as u32 + FIRST));
                // SAFETY: made by `Box::into_raw` in `refill` with this length, and freed once.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

#[inline]
fn locate(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + (1 << FIRST);
    let top = shifted.ilog2();
    ((top - FIRST) as usize, (shifted - (1 << top)) as usize)
}

#[inline]
fn link(next: u32) -> *mut () {
    ptr::without_provenance_mut(((next as usize) << 1) | 1)
}

#[inline]
fn unlink(link: *mut ()) -> u32 {
    (link.addr() >> 1) as u32
}

/// Adds to a counter that only the caller writes: cheaper than a read-modify-write.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{FIRST, Place, RawG, Shard, locate};
    use std::collections::HashSet;

    fn cell(n: usize) -> RawG {
        RawG::new(std::ptr::without_provenance_mut((n + 1) * 8)).unwrap()
    }

    #[test]
    fn chunks_follow_each_other_without_gap() {
        let mut expected = (0, 0);
        for index in 0..5_000 {
            assert_eq!(locate(index), expected);
            expected.1 += 1;
            if expected.1 == 1 << (expected.0 as u32 + FIRST) {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(locate(u32::MAX - 1).0, super::CHUNKS - 1);
    }

    #[test]
    fn slots_are_reused_and_the_living_are_listed() {
        let shard = Shard::new(3);
        let mut places: Vec<(Place, RawG)> = Vec::new();
        for n in 0..10_000 {
            let place = Place::nowhere();
            // SAFETY: one thread, new Gs, their own places.
            unsafe { shard.add(cell(n), &place) };
            assert_eq!(place.shard(), Some(3));
            places.push((place, cell(n)));
            if n % 3 == 0 {
                let (place, _) = places.swap_remove(n % places.len());
                // SAFETY: one thread; each place leaves the list before it is struck off.
                unsafe { shard.strike(&place, n % 2 == 0) };
            }
        }
        let mut seen = HashSet::new();
        // SAFETY: one thread.
        unsafe { shard.for_each(|cell| assert!(seen.insert(cell))) };
        let living: HashSet<RawG> = places.iter().map(|(_, cell)| *cell).collect();
        assert_eq!(seen, living);
        assert_eq!(shard.alive(), living.len() as u64);
        assert!(shard.fresh.get() < 8_000, "freed slots were not reused");
    }
}
