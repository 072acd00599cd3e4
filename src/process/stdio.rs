//! The ends of the pipes to a child process.

use crate::engine::sys::set_nonblocking;
use crate::net::unix::pipe::{Receiver, Sender};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

/// What a child process reads from its standard input is written to this.
///
/// What is written is in the pipe at once: there is nothing to flush. The child finds the end of its
/// input when this is dropped; to shut it down or to close it is not enough, as nothing can be said
/// through a pipe but by closing its descriptor. A write to a child that does not read any more fails
/// with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
#[derive(Debug)]
pub struct ChildStdin {
    pipe: Sender,
}

/// What a child process writes to its standard output is read from this.
#[derive(Debug)]
pub struct ChildStdout {
    pipe: Receiver,
}

/// What a child process writes to its standard error is read from this.
#[derive(Debug)]
pub struct ChildStderr {
    pipe: Receiver,
}

macro_rules! stdio {
    ($type:ident, $pipe:ident) => {
        impl $type {
            /// Of a pipe of the standard library, which is in non-blocking mode from then on.
            ///
            /// # Errors
            /// Those of the operating system; or the runtime is gone.
            ///
            /// # Panics
            /// If there is no current runtime.
            #[track_caller]
            pub fn from_std(inner: std::process::$type) -> io::Result<$type> {
                let fd = OwnedFd::from(inner);
                set_nonblocking(fd.as_fd(), true)?;
                let pipe = $pipe::from_owned_fd_unchecked(fd)?;
                Ok($type { pipe })
            }

            /// The descriptor, in blocking mode, as another process expects it.
            ///
            /// # Errors
            /// Those of the operating system.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                self.pipe.into_blocking_fd()
            }
        }

        /// For the standard stream of another process.
        impl TryFrom<$type> for Stdio {
            type Error = io::Error;

            fn try_from(stream: $type) -> io::Result<Stdio> {
                stream.into_owned_fd().map(Stdio::from)
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.pipe.as_raw_fd()
            }
        }
    };
}

stdio!(ChildStdin, Sender);
stdio!(ChildStdout, Receiver);
stdio!(ChildStderr, Receiver);

impl futures_io::AsyncWrite for ChildStdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write(Pin::new(&mut self.pipe), cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.pipe), cx, bufs)
    }

    /// Does nothing: what is written is in the pipe.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the pipe is closed when this is dropped.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(feature = "tokio-io")]
impl tokio::io::AsyncWrite for ChildStdin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write(self, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write_vectored(self, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(self, cx)
    }
}

macro_rules! read {
    ($type:ident) => {
        impl futures_io::AsyncRead for $type {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncRead::poll_read(Pin::new(&mut self.pipe), cx, buf)
            }

            fn poll_read_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncRead::poll_read_vectored(Pin::new(&mut self.pipe), cx, bufs)
            }
        }

        #[cfg(feature = "tokio-io")]
        impl tokio::io::AsyncRead for $type {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                tokio::io::AsyncRead::poll_read(Pin::new(&mut self.pipe), cx, buf)
            }
        }
    };
}

read!(ChildStdout);
read!(ChildStderr);
