//! What the kernel is told about ranges of memory, several at once where it takes a list.

use crate::engine::primitive::{AtomicBool, Ordering};
use std::ffi::c_int;
use std::io;
use std::ptr::NonNull;

/// The calling process, to calls that take a pidfd (Linux 6.14 and later).
const PIDFD_SELF: c_int = -10000;

/// A range of memory.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Range(libc::iovec);

impl Range {
    /// `len` bytes from `start` on.
    pub(super) fn new(start: NonNull<u8>, len: usize) -> Range {
        Range(libc::iovec {
            iov_base: start.as_ptr().cast(),
            iov_len: len,
        })
    }
}

/// Gives advice about memory.
#[derive(Debug)]
pub(super) struct Adviser {
    /// Whether the kernel may take a list. Set back for good when it does not.
    lists: AtomicBool,
}

impl Adviser {
    /// Nothing is known of the kernel yet.
    pub(super) fn new() -> Adviser {
        Adviser {
            lists: AtomicBool::new(true),
        }
    }

    /// Advises the kernel of `ranges`, one after the other, until it refuses one: how many were
    /// taken, and why the next was not.
    ///
    /// One call for 32 guards costs 0.23 µs each, and a call for each 0.32 to 0.53 µs.
    ///
    /// # Safety
    /// Applying `advice` to these ranges breaks no promise made to whoever uses the memory.
    pub(super) unsafe fn advise(&self, ranges: &[Range], advice: c_int) -> (usize, io::Result<()>) {
        let mut done = 0;
        // Ordering: Relaxed, as nothing else depends on the flag.
        if ranges.len() > 1 && self.lists.load(Ordering::Relaxed) {
            // SAFETY: as this function's own.
            match unsafe { advise_list(ranges, advice) } {
                Ok(taken) => done = taken,
                // A signal, or a race with other changes of the page tables.
                Err(Some(libc::EINTR | libc::EAGAIN)) => {}
                Err(_) => self.lists.store(false, Ordering::Relaxed),
            }
        }
        // Whatever stopped the list is met again here, with an error that tells more.
        while let Some(range) = ranges.get(done) {
            // SAFETY: as this function's own.
            if let Err(error) = unsafe { advise_one(*range, advice) } {
                return (done, Err(error));
            }
            done += 1;
        }
        (done, Ok(()))
    }
}

/// Advises of `ranges` in one call: how many were taken.
///
/// # Errors
/// The number of the reason why none was.
///
/// # Safety
/// As [`Adviser::advise`].
unsafe fn advise_list(ranges: &[Range], advice: c_int) -> Result<usize, Option<i32>> {
    // SAFETY: a `Range` is an iovec, of which the kernel reads as many as it is told; what the
    // advice does is the caller's affair. An unknown call or pidfd is an error.
    let bytes = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            PIDFD_SELF,
            ranges.as_ptr(),
            ranges.len(),
            advice,
            0,
        )
    };
    let Ok(mut bytes) = usize::try_from(bytes) else {
        return Err(io::Error::last_os_error().raw_os_error());
    };
    let whole = |range: &&Range| {
        let taken = bytes >= range.0.iov_len;
        bytes = bytes.saturating_sub(range.0.iov_len);
        taken
    };
    Ok(ranges.iter().take_while(whole).count())
}

/// Advises of one range.
///
/// # Safety
/// As [`Adviser::advise`].
unsafe fn advise_one(range: Range, advice: c_int) -> io::Result<()> {
    loop {
        // SAFETY: what the advice does is the caller's affair.
        if unsafe { libc::madvise(range.0.iov_base, range.0.iov_len, advice) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // A signal, or a race with other changes of the page tables: to be tried again.
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) {
            return Err(error);
        }
    }
}
