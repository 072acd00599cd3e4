//! Memory for the stacks of stackful Gs.
//!
//! ```text
//!   Cache of a P, 64 ──(full: the older half)──► free list of the Pool, touched ──(decay)──► released
//!        ▲  │                                        │                                        │
//!        │  └── take: the youngest                   │  up to 32 back, those touched first    │
//!        └───────────────────────────────────────────┴────────────────────────────────────────┘
//!        ▲
//!        └── when there are none: 32 carved fresh from a slab, whose guards are made then
//! ```
//!
//! - Address space is reserved when stacks are *promised*, in [slabs](slab); memory is taken up
//!   page by page as it is touched, and given back in the background by [`Pool::decay`].
//! - Whoever has a promise gets a stack: address space is reserved for all promises, and for what
//!   may lie in the caches of others meanwhile.
//! - Below each stack is a [guard]. Who touches it gets the [report](overflow) of an
//!   overflow, and the process ends.
//!
//! # What measuring decided
//!
//! | decision | instead of | because |
//! |---|---|---|
//! | the guards of 32 fresh stacks in one system call, `advise.rs` | a call for each | 0.23 µs each instead of 0.32 to 0.53 |
//! | neighbours are given back as one range, guards and all, `pool/decay.rs` | a range for each | 0.16 µs each instead of 0.23 in a list and 1.2 alone; guards survive it |
//! | `MADV_DONTNEED` | `MADV_FREE` | it costs the same, and what `MADV_FREE` gives back still counts as resident until memory is short; touching the memory again costs 1.3 µs instead of 0.4, which only stacks unused for a second meet |
//! | the first page of a stack is touched by its first user | `MADV_POPULATE_WRITE` for 32 | it would save a fifth of 1.3 µs, and make 128 KiB resident where one stack is needed |

mod advise;
mod cache;
mod guard;
pub(crate) mod overflow;
mod pool;
mod regions;
mod size;
mod slab;

#[cfg(test)]
mod tests;

pub(crate) use cache::Cache;
#[cfg(test)]
pub(crate) use pool::Counts;
pub(crate) use pool::Pool;
pub(crate) use size::{MIN, normalise};

use crate::engine::primitive::{AtomicPtr, Ordering};
use slab::Slot;
use std::ptr::NonNull;

/// What lies above [`Stack::top`], at the very end of the memory of a stack.
#[derive(Debug)]
#[repr(C, align(16))]
struct Footer {
    /// What the report of an overflow describes; null while nobody owns the stack.
    owner: AtomicPtr<()>,
}

/// Stacks begin at different places in their highest pages. Otherwise what is on them, mostly a few
/// lines at the top, would have the same place in a page on all of them, and share a few sets of the
/// caches: a thousand stacks in turn took twice the time. Neighbours are an odd number of guards
/// apart if their size is a power of two.
const COLORS: usize = 16;
/// How far apart they begin, in bytes.
const COLOR: usize = 128;
const _: () =
    assert!(COLORS * COLOR <= MIN / 4 && COLOR.is_multiple_of(crate::engine::context::ALIGN));

/// One stack: memory that its holder has to himself.
///
/// One that is dropped instead of given back to its [`Pool`] is leaked, on purpose: someone may
/// still borrow from it. It stays mapped for ever then, and its promise stays taken.
#[derive(Debug)]
pub(crate) struct Stack {
    slot: Slot,
    /// Bytes, which are whole pages, with the [`Kind`] in the lowest bits.
    size: usize,
}

const _: () = assert!(size_of::<Stack>() == 16);

/// Where a stack goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum Kind {
    /// A usual one, under a promise.
    Promised = 0,
    /// A usual one that `take_sized` made the promise for.
    Counted = 1,
    /// One with a slab of its own.
    Sized = 2,
}

impl Kind {
    const MASK: usize = 3;
}

impl Stack {
    #[inline]
    fn new(slot: Slot, size: usize, kind: Kind) -> Stack {
        Stack {
            slot,
            size: size | kind as usize,
        }
    }

    /// Where the first frame begins: aligned to 16 bytes, with everything below it free. What lies
    /// above it, the color and the footer, is less than 2 KiB.
    #[inline]
    pub(crate) fn top(&self) -> NonNull<u8> {
        let footer = self.footer().cast::<u8>();
        let color = footer.addr().get() / size::GUARD % COLORS * COLOR;
        // SAFETY: a stack has at least `MIN` bytes, which are more than all colors take.
        unsafe { footer.sub(color) }
    }

    /// The lowest byte of the stack; the one below it is in the guard.
    #[inline]
    pub(crate) fn limit(&self) -> NonNull<u8> {
        self.slot.limit(self.size())
    }

    /// How many bytes of memory it has, those above its top among them.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size & !Kind::MASK
    }

    /// Sets what the report of an overflow describes. `Pool::give` sets it to null.
    #[inline]
    pub(crate) fn set_owner(&self, owner: *const ()) {
        // SAFETY: the footer is the last 16 bytes of memory that is mapped while there is a
        // `Stack`, and nothing but atomic operations ever touches it.
        let footer = unsafe { self.footer().as_ref() };
        // Ordering: Relaxed. The handler that reads it runs on the thread that runs the owner,
        // and what made the owner run there made this store visible.
        footer.owner.store(owner.cast_mut(), Ordering::Relaxed);
    }

    #[inline]
    fn footer(&self) -> NonNull<Footer> {
        // SAFETY: a stack has at least `MIN` bytes below its end.
        unsafe { self.slot.end().cast::<Footer>().sub(1) }
    }

    /// Whether it is a usual one, whose promise is with the holder.
    #[inline]
    pub(crate) fn is_promised(&self) -> bool {
        self.kind() == Kind::Promised
    }

    #[inline]
    fn kind(&self) -> Kind {
        match self.size & Kind::MASK {
            0 => Kind::Promised,
            1 => Kind::Counted,
            _ => Kind::Sized,
        }
    }
}
