//! Small things without a home of their own: random numbers, and catching the user's panics.

#[cfg(not(loom))]
pub(crate) mod counter;
#[cfg(not(loom))]
pub(crate) mod histogram;
#[cfg_attr(not(stackful), allow(dead_code))] // What is always empty then.
pub(crate) mod inbox;
#[cfg(not(loom))]
pub(crate) mod panics;
pub(crate) mod random;

/// A G that is ready to run, as the queues hold it: the pointer of its `Runnable`.
pub(crate) type RawG = std::ptr::NonNull<()>;

/// A value on a cache line of its own, so that its writers do not slow the readers of neighbours.
pub(crate) use crossbeam_utils::CachePadded;

/// Begins to load `lines` lines of the cache from `address` on; without effect on what the program
/// does, whatever the address.
#[cfg(stackful)]
#[inline]
pub(crate) fn prefetch<T>(address: *const T, lines: usize) {
    for line in 0..lines {
        let address = address.cast::<u8>().wrapping_add(64 * line);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, which neither faults nor changes anything.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{address}]",
                address = in(reg) address,
                options(nostack, preserves_flags, readonly)
            );
        }
    }
}
