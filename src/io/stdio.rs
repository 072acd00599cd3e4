//! The standard streams of the process, on the pool of blocking threads.

use super::buf::{Buf, DEFAULT_MAX_BUF_SIZE, slices};
use super::lost;
use crate::task::{JoinHandle, spawn_owed, try_spawn_blocking};
use std::future::Future;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The standard input of the process. Made by [`stdin`].
///
/// # Cancel safety
/// A read that was dropped goes on, and what it brings is kept for the next one of this `Stdin`.
#[derive(Debug)]
pub struct Stdin {
    std: io::Stdin,
    turn: Turn,
}

/// The standard output of the process. Made by [`stdout`].
///
/// A write is over when its bytes are on their way: a thread of the pool writes them, also if this
/// handle is dropped or the runtime shut down meanwhile. Flushing waits for it and reports its
/// errors; so does the next write.
#[derive(Debug)]
pub struct Stdout {
    std: io::Stdout,
    writes: Writes,
}

/// The standard error stream of the process. Made by [`stderr`].
///
/// It is written to as [`Stdout`] is.
#[derive(Debug)]
pub struct Stderr {
    std: io::Stderr,
    writes: Writes,
}

/// A handle to the standard input of the process.
///
/// Each read is a blocking one on a thread of the pool, by way of the buffer that all handles, also
/// those of [`std::io::stdin`], have in common. It cannot be cancelled: a program whose runtime ends
/// while a read is waiting, ends when there is input. So this serves programs that read what is
/// piped into them. For a dialogue, use [`std::io::stdin`] on a thread of your own, with a channel;
/// [`Runtime::shutdown_background`](crate::runtime::Runtime::shutdown_background) leaves a read that
/// waits behind.
///
/// # Panics
/// Reading panics if there is no current runtime.
///
/// # Examples
/// ```no_run
/// # #[cfg(feature = "tokio-io")]
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// use runnext::io::{AsyncBufReadExt, BufReader};
///
/// let mut lines = BufReader::new(runnext::io::stdin()).lines();
/// while let Some(line) = lines.next_line().await? {
///     println!("{} characters", line.chars().count());
/// }
/// # std::io::Result::Ok(())
/// # });
/// ```
pub fn stdin() -> Stdin {
    Stdin {
        std: io::stdin(),
        turn: Turn::new(),
    }
}

/// A handle to the standard output of the process.
///
/// All handles, also those of [`std::io::stdout`] and `println!`, share one buffer, which is written
/// out at the end of each line. Tasks that write at the same time may do so in pieces.
///
/// # Panics
/// Writing panics if there is no current runtime.
///
/// # Examples
/// ```
/// # #[cfg(feature = "tokio-io")]
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// use runnext::io::AsyncWriteExt;
///
/// let mut stdout = runnext::io::stdout();
/// stdout.write_all(b"hello\n").await?;
/// stdout.flush().await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn stdout() -> Stdout {
    Stdout {
        std: io::stdout(),
        writes: Writes::default(),
    }
}

/// A handle to the standard error stream of the process, which is not buffered.
///
/// # Panics
/// Writing panics if there is no current runtime.
///
/// # Examples
/// ```
/// # #[cfg(feature = "tokio-io")]
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// use runnext::io::AsyncWriteExt;
///
/// let mut stderr = runnext::io::stderr();
/// stderr.write_all(b"something went wrong\n").await?;
/// stderr.flush().await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn stderr() -> Stderr {
    Stderr {
        std: io::stderr(),
        writes: Writes::default(),
    }
}

type Running = JoinHandle<(io::Result<()>, Buf)>;

/// Whose turn it is with the buffer: the caller's, or that of an operation.
#[derive(Debug)]
enum Turn {
    Idle(Buf),
    Busy(Running),
}

impl Turn {
    const fn new() -> Turn {
        Turn::Idle(Buf::new())
    }

    /// Waits for the operation in flight, for its result and the buffer.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Buf>> {
        if let Turn::Busy(running) = self {
            let (result, buf) = match ready!(Pin::new(running).poll(cx)) {
                Ok(ended) => ended,
                Err(error) => (Err(lost(error)), Buf::new()),
            };
            *self = Turn::Idle(buf);
            result?;
        }
        match self {
            Turn::Idle(buf) => Poll::Ready(Ok(buf)),
            Turn::Busy(_) => unreachable!("the operation has ended"),
        }
    }
}

impl Stdin {
    /// Waits until there is something in the buffer, or the input has ended, or `wanted` is zero.
    fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<&mut Buf>> {
        // What an operation in flight brings, be it the end of the input, is for this read.
        if let Turn::Idle(buf) = &mut self.turn
            && buf.is_empty()
            && wanted > 0
        {
            let mut buf = std::mem::take(buf);
            self.turn = Turn::Busy(try_spawn_blocking(move || {
                let result = buf.read_from(&mut io::stdin(), wanted.min(DEFAULT_MAX_BUF_SIZE));
                (result, buf)
            })?);
        }
        self.turn.poll_end(cx)
    }
}

/// The writing side of a stream.
#[derive(Debug)]
struct Writes {
    turn: Turn,
    /// Whether something was written since the last flush.
    unflushed: bool,
}

impl Default for Writes {
    fn default() -> Writes {
        Writes {
            turn: Turn::new(),
            unflushed: false,
        }
    }
}

impl Writes {
    /// Hands `parts`, or as much of them as one operation takes, to a thread that writes them to what
    /// `stream` returns.
    fn poll_write<'a, W: Write + 'static>(
        &mut self,
        cx: &mut Context<'_>,
        stream: fn() -> W,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        let mut buf = std::mem::take(ready!(self.turn.poll_end(cx))?);
        let count = buf.fill(parts, DEFAULT_MAX_BUF_SIZE);
        self.turn = Turn::Busy(spawn_owed(move || {
            let result = buf.write_to(&mut stream());
            (result, buf)
        })?);
        self.unflushed = true;
        Poll::Ready(Ok(count))
    }

    fn poll_flush<W: Write + 'static>(
        &mut self,
        cx: &mut Context<'_>,
        stream: fn() -> W,
    ) -> Poll<io::Result<()>> {
        loop {
            let buf = ready!(self.turn.poll_end(cx))?;
            if !self.unflushed {
                return Poll::Ready(Ok(()));
            }
            let buf = std::mem::take(buf);
            self.turn = Turn::Busy(spawn_owed(move || (stream().flush(), buf))?);
            self.unflushed = false;
        }
    }
}

#[cfg(feature = "tokio-io")]
impl tokio::io::AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let buf = ready!(self.poll_fill(cx, into.remaining()))?;
        into.put_slice(buf.take(into.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl futures_io::AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(self.poll_fill(cx, into.len()))?.take(into.len());
        into[..bytes.len()].copy_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

macro_rules! writer {
    ($($name:ident: $stream:path;)*) => {$(
        #[cfg(feature = "tokio-io")]
        impl tokio::io::AsyncWrite for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.writes.poll_write(cx, $stream, [bytes])
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.writes.poll_write(cx, $stream, slices(bufs))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.writes.poll_flush(cx, $stream)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.writes.poll_flush(cx, $stream)
            }
        }

        impl futures_io::AsyncWrite for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.writes.poll_write(cx, $stream, [bytes])
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.writes.poll_write(cx, $stream, slices(bufs))
            }

            fn poll_flush(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.writes.poll_flush(cx, $stream)
            }

            fn poll_close(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.writes.poll_flush(cx, $stream)
            }
        }
    )*};
}

writer! {
    Stdout: io::stdout;
    Stderr: io::stderr;
}

#[cfg(unix)]
mod unix {
    use super::{Stderr, Stdin, Stdout};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    macro_rules! fd {
        ($($name:ident)*) => {$(
            impl AsFd for $name {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.std.as_fd()
                }
            }

            impl AsRawFd for $name {
                fn as_raw_fd(&self) -> RawFd {
                    self.std.as_raw_fd()
                }
            }
        )*};
    }

    fd!(Stdin Stdout Stderr);
}
