//! Questions about descriptors that std does not ask.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The user, the group and, where the system tells, the process on the other side of `socket`.
///
/// # Errors
/// If it is no such socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(u32, u32, Option<i32>)> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the kernel writes at most `len` bytes to `cred`, which has as
    // many and for which every value is valid, and the length to `len`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((cred.uid, cred.gid, Some(cred.pid)))
}

/// As above.
#[cfg(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    target_os = "dragonfly"
))]
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(u32, u32, Option<i32>)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is open; the two numbers are written to.
    let result = unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((uid, gid, None))
}

/// As above.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    target_os = "dragonfly"
)))]
pub(crate) fn peer_credentials(_socket: BorrowedFd<'_>) -> io::Result<(u32, u32, Option<i32>)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How `fd` is open: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn access_mode(fd: BorrowedFd<'_>) -> io::Result<i32> {
    Ok(status_flags(fd)? & libc::O_ACCMODE)
}

/// Puts `fd` into non-blocking mode, or out of it.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    let before = status_flags(fd)?;
    let after = if nonblocking {
        before | libc::O_NONBLOCK
    } else {
        before & !libc::O_NONBLOCK
    };
    if before == after {
        return Ok(());
    }
    // SAFETY: the descriptor is open, and the command takes a number.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, after) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn status_flags(fd: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: the descriptor is open, and the command takes nothing.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) } {
        -1 => Err(io::Error::last_os_error()),
        flags => Ok(flags),
    }
}
