//! Connections of Unix domain sockets.

use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{SocketAddr, UCred, ucred};
use crate::engine::netpoll::Room;
use crate::io::Interest;
use crate::net::evented::{Assume, Evented};
use crate::net::macros::{
    async_read, async_write, blocking_style, descriptor, readiness_methods, stream_methods,
};
use crate::net::refuse_blocking;
use crate::net::timeouts::Timeouts;
use std::io;
use std::net::Shutdown;
use std::path::Path;

/// A connection of Unix domain sockets.
///
/// Reading and writing is done by the traits, as with [`TcpStream`](super::super::TcpStream).
///
/// # Examples
/// ```
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use runnext::net::UnixStream;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let (mut here, mut there) = UnixStream::pair()?;
/// here.write_all(b"hello").await?;
/// drop(here);
/// let mut text = String::new();
/// there.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixStream {
    io: Evented<mio::net::UnixStream>,
    timeouts: Timeouts,
}

/// The address that `path` is: on Linux one in the abstract namespace if it begins with a NUL.
pub(super) fn address(path: &Path) -> io::Result<SocketAddr> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        if let [0, name @ ..] = path.as_os_str().as_bytes() {
            return std::os::unix::net::SocketAddr::from_abstract_name(name).map(SocketAddr);
        }
    }
    std::os::unix::net::SocketAddr::from_pathname(path).map(SocketAddr)
}

impl UnixStream {
    /// Connects to the socket at `path`. On Linux a path that begins with a NUL is a name in the
    /// abstract namespace.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that was begun is dropped.
    ///
    /// # Errors
    /// If there is no connection to be had; [`WouldBlock`](io::ErrorKind::WouldBlock) on Linux if the
    /// listener has as many as it takes, for which there is no waiting.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&address(path.as_ref())?).await
    }

    /// As [`connect`](UnixStream::connect), to the socket at `addr`.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that was begun is dropped.
    ///
    /// # Errors
    /// As for [`connect`](UnixStream::connect).
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<UnixStream> {
        UnixStream::connecting(mio::net::UnixStream::connect_addr(&addr.0)?).await
    }

    /// Waits for a connection that was begun.
    pub(super) async fn connecting(stream: mio::net::UnixStream) -> io::Result<UnixStream> {
        let assume = Assume::ready_if(stream.peer_addr().is_ok());
        let stream = UnixStream {
            io: Evented::new(stream, assume)?,
            timeouts: Timeouts::none(),
        };
        if assume == Assume::Ready {
            // As with TCP: whoever is to accept it gets a turn.
            crate::task::yield_now().await;
        } else {
            stream.io.ready(Interest::WRITABLE).await?;
        }
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    /// Of a connection that `listener` accepted, on the same runtime.
    pub(super) fn accepted(
        listener: &Evented<mio::net::UnixListener>,
        stream: mio::net::UnixStream,
    ) -> io::Result<UnixStream> {
        let room = Room::of(&stream);
        Ok(UnixStream {
            io: listener.beside(stream, room)?,
            timeouts: Timeouts::none(),
        })
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// Those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        let room = Room::of(&one);
        let one = UnixStream {
            io: Evented::with_room(one, room)?,
            timeouts: Timeouts::none(),
        };
        let room = Room::of(&other);
        let other = UnixStream {
            io: one.io.beside(other, room)?,
            timeouts: Timeouts::none(),
        };
        Ok((one, other))
    }

    /// Of a stream from elsewhere, which has to be in non-blocking mode.
    ///
    /// # Errors
    /// If it is in blocking mode; or those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        refuse_blocking(&stream)?;
        let stream = mio::net::UnixStream::from_std(stream);
        let room = Room::of(&stream);
        Ok(UnixStream {
            io: Evented::with_room(stream, room)?,
            timeouts: Timeouts::from_system(),
        })
    }

    /// The stream as std's, in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        let stream = self.io.into_inner()?;
        Ok(std::os::fd::OwnedFd::from(stream).into())
    }

    readiness_methods!();
    stream_methods!();

    /// The address of this side.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr().map(SocketAddr)
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().peer_addr().map(SocketAddr)
    }

    /// Who is on the other side: as it was when the connection was made.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        ucred::of(self)
    }

    pub(super) fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        match self.io.io().shutdown(how) {
            // The other side was first.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    pub(super) fn evented(&self) -> &Evented<mio::net::UnixStream> {
        &self.io
    }

    /// Splits it for reading and writing within one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits it for reading and writing in two tasks. The write half ends what can be written when it
    /// is dropped.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::into_split(self)
    }
}

async_read!([] UnixStream, this => &this.io);
async_write!([] UnixStream, this => &this.io, this.shut_down(Shutdown::Write));
descriptor!(UnixStream);
blocking_style!(UnixStream);

impl TryFrom<std::os::unix::net::UnixStream> for UnixStream {
    type Error = io::Error;

    /// As [`from_std`](UnixStream::from_std).
    fn try_from(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        UnixStream::from_std(stream)
    }
}
