//! Descriptors of processes.

use std::io;
use std::os::fd::OwnedFd;

/// A descriptor of the process with this number, which must be a child that was not waited for. It can
/// be read from, for an epoll, when the process has ended. `None` where there is no such thing.
///
/// # Errors
/// If there are no descriptors left; `ESRCH` if there is no such process.
#[cfg(target_os = "linux")]
pub(crate) fn open(pid: u32) -> io::Result<Option<OwnedFd>> {
    use crate::engine::primitive::{AtomicBool, Ordering};
    use std::os::fd::{FromRawFd, RawFd};

    /// Set when the kernel has said that it does not know the call.
    static UNKNOWN: AtomicBool = AtomicBool::new(false);

    // Ordering: Relaxed, a hint that each thread may find out for itself.
    if UNKNOWN.load(Ordering::Relaxed) {
        return Ok(None);
    }
    // SAFETY: the call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd >= 0 {
        // SAFETY: the descriptor is new, open, and nobody else's.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            UNKNOWN.store(true, Ordering::Relaxed);
            Ok(None)
        }
        // What a sandbox says that knows no such call; and a system without anonymous files.
        Some(libc::EPERM | libc::EACCES | libc::ENODEV) => Ok(None),
        _ => Err(error),
    }
}

/// As above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(_pid: u32) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}
