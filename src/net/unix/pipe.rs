//! Pipes: one end to write to, one to read from; those without a name, and those in the file system
//! (FIFOs).
//!
//! ```
//! use futures::{AsyncReadExt, AsyncWriteExt};
//! use runnext::net::unix::pipe;
//!
//! # let runtime = runnext::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! let (mut sender, mut receiver) = pipe::pipe()?;
//! sender.write_all(b"hello").await?;
//! drop(sender);
//! let mut text = String::new();
//! receiver.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

use crate::engine::netpoll::Direction;
use crate::engine::sys::{access_mode, set_nonblocking};
use crate::io::{Interest, Ready};
use crate::net::evented::{Assume, Evented, Moved};
use crate::net::macros::{async_read, async_write};
use crate::net::transfer;
use mio::event::Source;
use mio::unix::SourceFd;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::task::{Context, Poll};

/// A pipe without a name.
///
/// # Errors
/// Those of the operating system.
///
/// # Panics
/// If there is no current runtime.
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (receiver, sender) = io::pipe()?;
    let (receiver, sender) = (OwnedFd::from(receiver), OwnedFd::from(sender));
    Ok((Sender::new(sender)?, Receiver::new(receiver)?))
}

/// How a pipe in the file system is opened.
///
/// # Examples
/// ```no_run
/// use runnext::net::unix::pipe;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let receiver = pipe::OpenOptions::new().open_receiver("/run/example.fifo")?;
/// # drop(receiver);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// With nothing set.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Opens the pipe for reading and writing at once. So a sender can be opened before there is a
    /// receiver, and a receiver never sees the end of what it reads.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn read_write(&mut self, value: bool) -> &mut OpenOptions {
        self.read_write = value;
        self
    }

    /// Does not look whether the file is a pipe.
    pub fn unchecked(&mut self, value: bool) -> &mut OpenOptions {
        self.unchecked = value;
        self
    }

    /// Opens the end to read from. It does not wait for somebody who writes.
    ///
    /// # Errors
    /// Those of the operating system; or the file is no pipe.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        let file = self.open(path.as_ref(), End::Receiver)?;
        Receiver::new(file.into())
    }

    /// Opens the end to write to, which needs somebody who reads.
    ///
    /// # Errors
    /// Those of the operating system, as if nobody reads (`ENXIO`); or the file is no pipe.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        let file = self.open(path.as_ref(), End::Sender)?;
        Sender::new(file.into())
    }

    fn open(&self, path: &Path, end: End) -> io::Result<File> {
        let mut options = std::fs::OpenOptions::new();
        options
            .read(end == End::Receiver)
            .write(end == End::Sender)
            .custom_flags(libc::O_NONBLOCK);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.read_write {
            options.read(true).write(true);
        }
        let file = options.open(path)?;
        if !self.unchecked {
            check_pipe(&file)?;
        }
        Ok(file)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Sender,
    Receiver,
}

fn check_pipe(file: &File) -> io::Result<()> {
    if file.metadata()?.file_type().is_fifo() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the file is not a pipe",
    ))
}

/// Refuses what is not a pipe that is open for that end.
fn checked(fd: OwnedFd, end: End) -> io::Result<OwnedFd> {
    let file = File::from(fd);
    check_pipe(&file)?;
    let mode = access_mode(file.as_fd())?;
    let (wanted, refusal) = match end {
        End::Sender => (libc::O_WRONLY, "the pipe is not open for writing"),
        End::Receiver => (libc::O_RDONLY, "the pipe is not open for reading"),
    };
    if mode != wanted && mode != libc::O_RDWR {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, refusal));
    }
    Ok(file.into())
}

/// One end.
#[derive(Debug)]
struct Pipe(File);

impl transfer::Source for Pipe {
    fn read_some(&self, buf: &mut [u8]) -> io::Result<Moved> {
        Ok(Moved::of((&self.0).read(buf)?, buf.len()))
    }

    #[cfg(feature = "tokio-io")]
    fn read_some_into(&self, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<Moved> {
        let asked = buf.remaining();
        let len = crate::engine::sys::read_into(self.0.as_fd(), buf)?;
        Ok(Moved::of(len, asked))
    }
}

impl Source for Pipe {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for &Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.0).read_vectored(bufs)
    }
}

impl Write for &Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.0).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.0).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end of a pipe that is written to.
///
/// A write to a pipe that nobody reads fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
#[derive(Debug)]
pub struct Sender {
    io: Evented<Pipe>,
}

/// The end of a pipe that is read from.
///
/// When nobody has it open for writing any more, a read finds the end.
#[derive(Debug)]
pub struct Receiver {
    io: Evented<Pipe>,
}

impl Sender {
    /// Waits until there is room to write to.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime that the pipe belongs to is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// As [`writable`](Sender::writable), in the style of `poll` functions. Only the last task that
    /// polls in this way is woken.
    ///
    /// # Errors
    /// If the runtime that the pipe belongs to is gone.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_ready(cx, Direction::Write).map_ok(drop)
    }

    /// Writes what there is room for, without waiting, and says how much that was.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; or those of the operating
    /// system.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.try_io(Interest::WRITABLE, |mut io| io.write(buf))
    }

    /// As [`try_write`](Sender::try_write), from several buffers, one after the other.
    ///
    /// # Errors
    /// As for [`try_write`](Sender::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.io
            .try_io(Interest::WRITABLE, |mut io| io.write_vectored(bufs))
    }

    /// Calls `f`, which writes to the pipe without waiting, if that may be ready. When `f` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) it counts as not ready until there is an event.
    ///
    /// # Errors
    /// Those of `f`; `WouldBlock` if the pipe is known not to be ready.
    pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.try_user_io(Interest::WRITABLE, |_| f())
    }
}

impl Receiver {
    /// Waits until there is something to read, or nobody has the pipe open for writing any more.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime that the pipe belongs to is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// As [`readable`](Receiver::readable), in the style of `poll` functions. Only the last task that
    /// polls in this way is woken.
    ///
    /// # Errors
    /// If the runtime that the pipe belongs to is gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_ready(cx, Direction::Read).map_ok(drop)
    }

    /// Reads what is there, without waiting. 0 if there will be no more, or `buf` is empty.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; or those of the operating
    /// system.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Interest::READABLE, |mut io| io.read(buf))
    }

    crate::net::bufs::try_read_buf!();

    /// As [`try_read`](Receiver::try_read), into several buffers, one after the other.
    ///
    /// # Errors
    /// As for [`try_read`](Receiver::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.io
            .try_io(Interest::READABLE, |mut io| io.read_vectored(bufs))
    }

    /// Calls `f`, which reads from the pipe without waiting, if that may be ready. When `f` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) it counts as not ready until there is an event.
    ///
    /// # Errors
    /// Those of `f`; `WouldBlock` if the pipe is known not to be ready.
    pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.try_user_io(Interest::READABLE, |_| f())
    }
}

macro_rules! end {
    ($end:ident, $interest:expr, $assume:expr, $which:literal) => {
        impl $end {
            /// Of a descriptor in non-blocking mode.
            #[track_caller]
            fn of(fd: OwnedFd) -> io::Result<$end> {
                let handle = crate::runtime::Handle::current();
                let io = Evented::on(&handle, Pipe(fd.into()), $interest, $assume);
                Ok($end {
                    io: io.map_err(|(_, error)| error)?,
                })
            }

            #[track_caller]
            fn new(fd: OwnedFd) -> io::Result<$end> {
                set_nonblocking(fd.as_fd(), true)?;
                $end::of(fd)
            }

            /// Of a file that is a pipe, which is in non-blocking mode from then on.
            ///
            /// # Errors
            #[doc = concat!("If it is no pipe, or not open for ", $which, "; or those of the operating")]
            /// system.
            ///
            /// # Panics
            /// If there is no current runtime.
            #[track_caller]
            pub fn from_file(file: File) -> io::Result<$end> {
                $end::from_owned_fd(file.into())
            }

            /// As [`from_file`](Self::from_file), of a descriptor.
            ///
            /// # Errors
            /// As for [`from_file`](Self::from_file).
            ///
            /// # Panics
            /// If there is no current runtime.
            #[track_caller]
            pub fn from_owned_fd(owned_fd: OwnedFd) -> io::Result<$end> {
                $end::new(checked(owned_fd, End::$end)?)
            }

            /// Of a file that is a pipe and is in non-blocking mode, both of which is not looked at.
            ///
            /// # Errors
            /// Those of the operating system.
            ///
            /// # Panics
            /// If there is no current runtime.
            #[track_caller]
            pub fn from_file_unchecked(file: File) -> io::Result<$end> {
                $end::of(file.into())
            }

            /// As [`from_file_unchecked`](Self::from_file_unchecked), of a descriptor.
            ///
            /// # Errors
            /// Those of the operating system.
            ///
            /// # Panics
            /// If there is no current runtime.
            #[track_caller]
            pub fn from_owned_fd_unchecked(owned_fd: OwnedFd) -> io::Result<$end> {
                $end::of(owned_fd)
            }

            /// The descriptor, in blocking mode, as a child process expects it.
            ///
            /// # Errors
            /// Those of the operating system.
            pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
                let fd = self.into_nonblocking_fd()?;
                set_nonblocking(fd.as_fd(), false)?;
                Ok(fd)
            }

            /// The descriptor, in non-blocking mode.
            ///
            /// # Errors
            /// Those of the operating system.
            pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
                self.io.into_inner().map(|pipe| pipe.0.into())
            }

            /// Waits until the pipe is ready for something of `interest`.
            ///
            /// # Cancel safety
            /// Cancel safe.
            ///
            /// # Errors
            /// If the runtime that the pipe belongs to is gone.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.io.ready(interest).await
            }
        }

        impl AsFd for $end {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.io.io().0.as_fd()
            }
        }

        impl AsRawFd for $end {
            fn as_raw_fd(&self) -> RawFd {
                self.io.io().0.as_raw_fd()
            }
        }
    };
}

end!(Sender, Interest::WRITABLE, Assume::Ready, "writing");
// A pipe that nobody has opened for writing yet would say that it has come to its end.
end!(Receiver, Interest::READABLE, Assume::Nothing, "reading");

// Nothing is to be ended: the pipe is closed when its end is dropped.
async_write!([] Sender, this => &this.io, {
    let _open = this;
    Ok(())
});
async_read!([] Receiver, this => &this.io);
