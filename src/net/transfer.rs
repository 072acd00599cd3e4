//! Reading from streams and writing to them, in the styles of all traits.

use super::evented::{Evented, Moved};
use crate::engine::netpoll::Direction;
use crate::io::Interest;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::task::{Context, Poll};
use std::time::Duration;

/// What is read from as a stream.
pub(in crate::net) trait Source: mio::event::Source {
    /// Reads into `buf`.
    fn read_some(&self, buf: &mut [u8]) -> io::Result<Moved>;

    /// Reads into what of `buf` is not filled, which need not be initialised.
    #[cfg(feature = "tokio-io")]
    fn read_some_into(&self, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<Moved>;
}

#[cfg(unix)]
impl Source for mio::net::UnixStream {
    fn read_some(&self, buf: &mut [u8]) -> io::Result<Moved> {
        let mut io = self;
        Ok(Moved::of(io.read(buf)?, buf.len()))
    }

    #[cfg(feature = "tokio-io")]
    fn read_some_into(&self, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<Moved> {
        use std::os::fd::AsFd;
        let asked = buf.remaining();
        let len = crate::engine::sys::receive_into(self.as_fd(), buf)?;
        Ok(Moved::of(len, asked))
    }
}

pub(super) fn poll_read<E: Source>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>> {
    evented.poll_transfer(cx, Direction::Read, |io| io.read_some(buf))
}

#[cfg(feature = "tokio-io")]
pub(super) fn poll_read_buf<E: Source>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let read = evented.poll_transfer(cx, Direction::Read, |io| io.read_some_into(buf));
    read.map_ok(|_len| ())
}

pub(super) fn poll_read_vectored<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>>
where
    E: mio::event::Source,
    for<'a> &'a E: Read,
{
    let len = sum(bufs.iter().map(|buf| buf.len()));
    evented.poll_transfer(cx, Direction::Read, |mut io| {
        Ok(Moved::of(io.read_vectored(bufs)?, len))
    })
}

pub(super) fn poll_write<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>>
where
    E: mio::event::Source,
    for<'a> &'a E: Write,
{
    evented.poll_transfer(cx, Direction::Write, |mut io| {
        Ok(Moved::of(io.write(buf)?, buf.len()))
    })
}

pub(super) fn poll_write_vectored<E>(
    evented: &Evented<E>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    E: mio::event::Source,
    for<'a> &'a E: Write,
{
    let len = sum(bufs.iter().map(|buf| buf.len()));
    evented.poll_transfer(cx, Direction::Write, |mut io| {
        Ok(Moved::of(io.write_vectored(bufs)?, len))
    })
}

/// How much there is of all together.
pub(super) fn sum(lens: impl Iterator<Item = usize>) -> usize {
    lens.fold(0, usize::saturating_add)
}

/// Calls `f`, which moves bytes, until it does not say that it would block, waiting in between in the way of code that is
/// not async, for no longer than `limit`.
///
/// # Errors
/// Those of `f`; where futures are polled, which must not wait in this way; and if the time runs out.
pub(super) fn wait_transfer<E: mio::event::Source>(
    evented: &Evented<E>,
    interest: Interest,
    limit: Option<Duration>,
    f: impl FnMut(&E) -> io::Result<Moved>,
) -> io::Result<usize> {
    wait(evented.async_transfer(interest, f), limit, || {
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
