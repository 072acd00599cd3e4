//! Accepting connections of Unix domain sockets.

use super::SocketAddr;
use super::stream::UnixStream;
use crate::engine::netpoll::Direction;
use crate::io::Interest;
use crate::net::evented::{Assume, Evented};
use crate::net::macros::descriptor;
use crate::net::refuse_blocking;
use std::io;
use std::path::Path;
use std::task::{Context, Poll, ready};

/// Listens for connections on a Unix domain socket.
///
/// The file of the socket remains when this is dropped.
///
/// # Examples
/// ```no_run
/// use runnext::net::UnixListener;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let listener = UnixListener::bind("/run/example.sock")?;
/// loop {
///     let (socket, _address) = listener.accept().await?;
///     runnext::spawn(async move { drop(socket) });
/// }
/// # #[allow(unreachable_code)]
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixListener {
    io: Evented<mio::net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`, where there must not be anything yet. On Linux a path that begins with a NUL
    /// is a name in the abstract namespace.
    ///
    /// # Errors
    /// If the address cannot be had.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&super::stream::address(path.as_ref())?)
    }

    /// Listens at `addr`.
    ///
    /// # Errors
    /// If the address cannot be had.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::new(mio::net::UnixListener::bind_addr(&addr.0)?)
    }

    #[track_caller]
    pub(super) fn new(listener: mio::net::UnixListener) -> io::Result<UnixListener> {
        let io = Evented::new(listener, Assume::Ready)?;
        Ok(UnixListener { io })
    }

    /// Of a listener from elsewhere, which has to be in non-blocking mode.
    ///
    /// # Errors
    /// If it is in blocking mode; or those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        refuse_blocking(&listener)?;
        UnixListener::new(mio::net::UnixListener::from_std(listener))
    }

    /// The listener as std's, in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        let listener = self.io.into_inner()?;
        Ok(std::os::fd::OwnedFd::from(listener).into())
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr().map(SocketAddr)
    }

    /// The error that came up on the socket since this was last asked, if there was one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.io().take_error()
    }

    /// Takes the next connection, and says who it is with.
    ///
    /// # Cancel safety
    /// Cancel safe: no connection is lost.
    ///
    /// # Errors
    /// Those of the operating system. After some of them, as for a lack of descriptors, there are
    /// connections left that another call can take when the reason is gone.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let accept = |io: &mio::net::UnixListener| io.accept();
        let (stream, peer) = self.io.async_io(Interest::READABLE, accept).await?;
        Ok((UnixStream::accepted(&self.io, stream)?, SocketAddr(peer)))
    }

    /// As [`accept`](UnixListener::accept), in the style of `poll` functions. Only the last task that
    /// polled is woken.
    ///
    /// # Errors
    /// As for [`accept`](UnixListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let accepted = self.io.poll_io(cx, Direction::Read, |io| io.accept());
        let (stream, peer) = ready!(accepted)?;
        let stream = UnixStream::accepted(&self.io, stream);
        Poll::Ready(stream.map(|stream| (stream, SocketAddr(peer))))
    }
}

impl TryFrom<std::os::unix::net::UnixListener> for UnixListener {
    type Error = io::Error;

    /// As [`from_std`](UnixListener::from_std).
    fn try_from(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }
}

descriptor!(UnixListener);
