//! Reading from streams and writing to them, in the styles of all traits.

use super::evented::Evented;
use crate::engine::netpoll::Direction;
use crate::io::Interest;
use mio::event::Source;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::task::{Context, Poll};

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
/// not async.
///
/// # Errors
/// Those of `f`; and where futures are polled, which must not wait in this way.
pub(super) fn wait_io<E: Source, R>(
    evented: &Evented<E>,
    interest: Interest,
    f: impl FnMut(&E) -> io::Result<R>,
) -> io::Result<R> {
    wait(evented.async_io(interest, f))
}

/// Waits for `future` in the way of code that is not async.
///
/// # Errors
/// Where futures are polled, which must not wait in this way.
pub(super) fn wait<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    crate::engine::scheduler::wait::wait(std::pin::pin!(future)).unwrap_or_else(|_refused| {
        Err(io::Error::other(
            "blocking I/O in a task that is polled would block all tasks on this thread; use the \
             methods of `AsyncReadExt` and `AsyncWriteExt` and `.await` them, or run this code in \
             a stackful task, with `runnext::go`",
        ))
    })
}
