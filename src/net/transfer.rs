//! Reading from streams and writing to them, in the styles of all traits.

use super::evented::Evented;
use crate::engine::netpoll::Direction;
use crate::io::Interest;
use mio::event::Source;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::task::{Context, Poll};
use std::time::Duration;

pub(super) fn poll_read<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>>
where
    E: Source,
    for<'a> &'a E: Read,
{
    let len = buf.len();
    evented.poll_transfer(cx, Direction::Read, len, |mut io| io.read(buf))
}

/// As above, into what of `buf` is not filled, which need not be initialised.
#[cfg(all(unix, feature = "tokio-io"))]
pub(super) fn poll_read_buf<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> Poll<io::Result<()>>
where
    E: Source + std::os::fd::AsFd,
{
    let len = buf.remaining();
    let read = evented.poll_transfer(cx, Direction::Read, len, |io| {
        crate::engine::sys::read_into(io.as_fd(), buf)
    });
    read.map_ok(|_len| ())
}

/// As above.
#[cfg(all(not(unix), feature = "tokio-io"))]
pub(super) fn poll_read_buf<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> Poll<io::Result<()>>
where
    E: Source,
    for<'a> &'a E: Read,
{
    let read = poll_read(evented, cx, buf.initialize_unfilled());
    read.map_ok(|len| buf.advance(len))
}

pub(super) fn poll_read_vectored<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>>
where
    E: Source,
    for<'a> &'a E: Read,
{
    let len = bufs
        .iter()
        .fold(0, |sum: usize, buf| sum.saturating_add(buf.len()));
    evented.poll_transfer(cx, Direction::Read, len, |mut io| io.read_vectored(bufs))
}

pub(super) fn poll_write<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>>
where
    E: Source,
    for<'a> &'a E: Write,
{
    evented.poll_transfer(cx, Direction::Write, buf.len(), |mut io| io.write(buf))
}

pub(super) fn poll_write_vectored<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    E: Source,
    for<'a> &'a E: Write,
{
    let len = bufs
        .iter()
        .fold(0, |sum: usize, buf| sum.saturating_add(buf.len()));
    evented.poll_transfer(cx, Direction::Write, len, |mut io| io.write_vectored(bufs))
}

/// Calls `f` until it does not say that it would block, waiting in between in the way of code that is
/// not async, for no longer than `limit`.
///
/// # Errors
/// Those of `f`; where futures are polled, which must not wait in this way; and if the time runs out.
pub(super) fn wait_io<E: Source, R>(
    evented: &Evented<E>,
    interest: Interest,
    limit: Option<Duration>,
    f: impl FnMut(&E) -> io::Result<R>,
) -> io::Result<R> {
    wait(evented.async_io(interest, f), limit, || {
        // As of a socket in blocking mode with a timeout.
        #[cfg(unix)]
        return io::Error::from_raw_os_error(libc::EAGAIN);
        #[cfg(not(unix))]
        return io::ErrorKind::TimedOut.into();
    })
}

/// Waits for `future` in the way of code that is not async, for no longer than `limit`.
///
/// # Errors
/// Where futures are polled, which must not wait in this way; `elapsed` if the time runs out.
pub(super) fn wait<T>(
    future: impl Future<Output = io::Result<T>>,
    limit: Option<Duration>,
    elapsed: impl FnOnce() -> io::Error,
) -> io::Result<T> {
    use crate::engine::scheduler::wait::Unready;
    match crate::engine::scheduler::wait::wait(std::pin::pin!(future), limit) {
        Ok(result) => result,
        Err(Unready::Elapsed) => Err(elapsed()),
        Err(Unready::Gone) => Err(crate::engine::netpoll::gone()),
        Err(Unready::Refused) => Err(io::Error::other(
            "blocking I/O in a task that is polled would block all tasks on this thread; use the \
             methods of `AsyncReadExt` and `AsyncWriteExt` and `.await` them, or run this code in \
             a stackful task, with `runnext::go`",
        )),
    }
}

/// What the std-style setters and `connect_timeout` refuse: each wait would fail at once.
///
/// # Errors
/// If it is zero.
pub(super) fn not_zero(timeout: Duration) -> io::Result<Duration> {
    if timeout.is_zero() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a timeout of zero would end each wait at once; `None` is for no timeout",
        ));
    }
    Ok(timeout)
}
