//! How large stacks are, and how a slot of memory is divided.

use std::io;

/// The smallest stack: room for a panic without a backtrace.
pub(crate) const MIN: usize = 16 << 10;
/// The largest stack.
pub(crate) const MAX: usize = 1 << 30;
/// What lies below each stack and must not be touched. Four pages, so that a frame of several
/// KiB which does not probe its pages, as C compilers make them, still hits it.
pub(super) const GUARD: usize = 16 << 10;

/// Rounds a wished size to one that stacks have: at least [`MIN`], and whole pages.
///
/// # Errors
/// `InvalidInput` above [`MAX`].
pub(crate) fn normalise(size: usize) -> io::Result<usize> {
    if size > MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a stack cannot have {size} bytes: the largest has {MAX} bytes (1 GiB)"),
        ));
    }
    Ok(size.max(MIN).next_multiple_of(page_size()))
}

/// The size of a page of memory.
pub(super) fn page_size() -> usize {
    // SAFETY: sysconf takes an integer and gives one back.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // POSIX has no system without a page size. A wrong guess is refused by the kernel.
    usize::try_from(size).unwrap_or(4096)
}

/// How the slot of a stack is divided.
///
/// ```text
///   low addresses                                        high addresses
///   ├── guard, 16 KiB ──┼──────────── size ─────────────────────────┤
///                       │ limit()                     top() │ Footer │ end of the slot
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of the guard: whole pages.
    pub(super) guard: usize,
    /// Bytes of the stack, the footer among them.
    pub(super) size: usize,
}

impl Shape {
    /// The shape of stacks of `size` bytes, which is normalised.
    pub(super) fn new(size: usize) -> Shape {
        debug_assert!((MIN..=MAX).contains(&size));
        Shape {
            guard: GUARD.next_multiple_of(page_size()),
            size,
        }
    }

    /// Bytes of a slot.
    #[inline]
    pub(super) fn stride(self) -> usize {
        self.guard + self.size
    }
}
