//! Reads that std does not make.
//!
//! A buffer of tokio's need not be initialised: to do that for each read would cost more than the rest of
//! what is done around one. And Linux can say with a read of a TCP connection whether it has left anything
//! (`TCP_INQ`), which saves the second one, that finds out.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Where to, and how many bytes there is room for.
struct Room {
    to: *mut u8,
    len: usize,
}

#[cfg(target_os = "linux")]
impl Room {
    fn of(buf: &mut [u8]) -> Room {
        Room {
            to: buf.as_mut_ptr(),
            len: buf.len(),
        }
    }
}

/// Calls `read` with what of `buf` is not filled, and counts what it has read as filled.
///
/// # Safety
/// `read` returns how many bytes it has written there, from the first on.
#[cfg(feature = "tokio-io")]
unsafe fn fill<T>(
    buf: &mut tokio::io::ReadBuf<'_>,
    read: impl FnOnce(Room) -> io::Result<(usize, T)>,
) -> io::Result<(usize, T)> {
    // SAFETY: nobody but the kernel writes to these bytes, so what is initialised remains so.
    let unfilled = unsafe { buf.unfilled_mut() };
    let room = Room {
        to: unfilled.as_mut_ptr().cast(),
        len: unfilled.len(),
    };
    let (len, more) = read(room)?;
    // SAFETY: as our caller promised.
    unsafe { buf.assume_init(len) };
    buf.advance(len);
    Ok((len, more))
}

fn counted(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Reads from `fd` into what of `buf` is not filled, and counts it as filled.
///
/// # Errors
/// Those of the system, among them that it would block.
#[cfg(feature = "tokio-io")]
pub(crate) fn read_into(fd: BorrowedFd<'_>, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<usize> {
    let read = |room: Room| {
        // Some systems refuse more.
        let len = room.len.min(i32::MAX as usize);
        // SAFETY: the descriptor is open; the kernel writes at most `len` bytes, for which there is room.
        let read = unsafe { libc::read(fd.as_raw_fd(), room.to.cast(), len) };
        Ok((counted(read)?, ()))
    };
    // SAFETY: the kernel has written as many as it says.
    let (len, ()) = unsafe { fill(buf, read) }?;
    Ok(len)
}

/// As `read_into`, from a socket.
///
/// # Errors
/// Those of the system, among them that it would block.
#[cfg(feature = "tokio-io")]
pub(crate) fn receive_into(
    socket: BorrowedFd<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> io::Result<usize> {
    let read = |room: Room| {
        let len = room.len.min(i32::MAX as usize);
        // SAFETY: as above.
        let read = unsafe { libc::recv(socket.as_raw_fd(), room.to.cast(), len, 0) };
        Ok((counted(read)?, ()))
    };
    // SAFETY: as above.
    let (len, ()) = unsafe { fill(buf, read) }?;
    Ok(len)
}

/// As [`receive_and_ask`], into what of `buf` is not filled.
///
/// # Errors
/// Those of the system, among them that it would block.
#[cfg(all(target_os = "linux", feature = "tokio-io"))]
pub(crate) fn receive_and_ask_into(
    socket: BorrowedFd<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> io::Result<(usize, Left)> {
    // SAFETY: the kernel has written as many as it says, and there is room for what it is told of.
    unsafe { fill(buf, |room| receive_to(socket, room)) }
}

/// What a read has left in its socket.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: what comes later makes an event.
    Nothing,
    /// Something, if only the end of what comes; or the system does not say.
    Perhaps,
}

/// Has [`receive_and_ask`] be told what is left of what the other side of the TCP connection has sent, or
/// no more.
///
/// # Errors
/// If the system cannot, as before Linux 4.18.
#[cfg(target_os = "linux")]
pub(crate) fn set_inq(socket: BorrowedFd<'_>, tell: bool) -> io::Result<()> {
    let tell = libc::c_int::from(tell);
    // SAFETY: the descriptor is open; the kernel reads a number of that size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INQ,
            (&raw const tell).cast(),
            size_of_val(&tell) as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Reads from a TCP connection for which there was [`set_inq`]: how many bytes, and what is left.
///
/// # Errors
/// Those of the system, among them that it would block.
#[cfg(target_os = "linux")]
pub(crate) fn receive_and_ask(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, Left)> {
    // SAFETY: there is room for as many bytes as it is told of.
    unsafe { receive_to(socket, Room::of(buf)) }
}

/// # Safety
/// There is room for as many bytes as `room` says.
#[cfg(target_os = "linux")]
unsafe fn receive_to(socket: BorrowedFd<'_>, room: Room) -> io::Result<(usize, Left)> {
    /// A message about one number, laid out as the kernel does it.
    #[repr(C)]
    struct Told {
        header: libc::cmsghdr,
        left: libc::c_int,
        padding: libc::c_int,
    }

    let mut part = libc::iovec {
        iov_base: room.to.cast(),
        iov_len: room.len,
    };
    // SAFETY: all of it are numbers.
    let mut told: Told = unsafe { std::mem::zeroed() };
    // SAFETY: as above, and pointers, which may be null.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut told).cast();
    message.msg_controllen = size_of::<Told>() as _;
    // SAFETY: the descriptor is open; the kernel writes to the buffer, for which there is room as our
    // caller promised, and to `told`, whose size it knows and for which every value is valid.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let len = counted(read)?;
    let is_told =
        told.header.cmsg_level == libc::IPPROTO_TCP && told.header.cmsg_type == libc::TCP_CM_INQ;
    let left = if is_told && told.left == 0 {
        Left::Nothing
    } else {
        Left::Perhaps
    };
    Ok((len, left))
}
